'use strict'

/** A session that comes back, and the process around it: it ends when it should, and nothing is left behind. */

const assert = require('node:assert')
const path = require('node:path')
const { Worker } = require('node:worker_threads')
const { cleanEnv, needAlknet } = require('../helpers/alknet')
const { ONE_ARENA, UNOPTIMIZED, assertFlat } = require('../helpers/memory-slope')
const { run } = require('../helpers/proc')
const { testScope } = require('../helpers/scope')

const CHILD = path.join(__dirname, '..', 'helpers', 'reconnect-child.js')
const STATES = ['lost', 'waiting', 'connecting', 'ready', 'closing', 'closed']
const ROUNDS = 500

describe('the end of a process whose session comes back', function () {
  this.timeout(60000)
  const scope = testScope()
  before(function () { needAlknet(this) })

  const child = (...args) => run(scope, process.execPath, ['--expose-gc', CHILD, ...args], { env: cleanEnv(scope) })

  it('comes by itself when all is closed', async () => {
    const { code, signal, output } = await child('moment', 'none', 'none')
    assert.deepStrictEqual([code, signal, output], [0, null, ''])
  })

  for (const state of STATES) {
    it(`process.exit() when it is ${state}`, async () => {
      const { code, signal, output } = await child('moment', state, 'exit')
      assert.deepStrictEqual([code, signal], [3, null], output)
    })

    it(`an exception when it is ${state}`, async () => {
      const { code, signal, output } = await child('moment', state, 'throw')
      assert.deepStrictEqual([code, signal], [1, null], output)
      assert.match(output, /thrown on purpose/)
    })

    it(`worker.terminate() when it is ${state}`, async () => {
      const worker = new Worker(CHILD, { workerData: [state, 'none'] })
      await new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject))
      await worker.terminate()
    })
  }

  for (const [mode, expected] of [['ref', 'up\n'], ['unref', ''], ['again', 'up\n']]) {
    it(`while it waits, ${mode}: ${expected === '' ? 'the process ends' : 'the process stays'}`, async () => {
      const { code, signal, stdout, stderr } = await child('wait', mode)
      assert.deepStrictEqual({ code, signal, stdout, stderr }, { code: 0, signal: null, stdout: expected, stderr: '' })
    })
  }
})

describe('many reconnects', function () {
  this.timeout(180000)
  const scope = testScope()

  it(`${ROUNDS} in a row leave nothing behind, and each recovers`, async function () {
    needAlknet(this)
    const { code, signal, stdout, output } = await run(scope, process.execPath,
      [...UNOPTIMIZED, CHILD, 'rounds', String(ROUNDS)], { env: { ...cleanEnv(scope), ...ONE_ARENA } })
    assert.deepStrictEqual([code, signal], [0, null], output)
    const { recovered, fdsBefore, fdsAfter, liveBefore, liveAfter, resources, samples, live } = JSON.parse(stdout)
    assert.strictEqual(recovered, ROUNDS)
    assert.ok(fdsAfter <= fdsBefore, `descriptors: ${fdsBefore} before, ${fdsAfter} after`)
    assert.strictEqual(liveAfter, liveBefore, 'native objects')
    assert.ok(resources <= 0, `${resources} more handles and requests`)
    assertFlat(samples, 'them')
    assert.strictEqual(live, 0, 'native objects at the end')
  })
})
