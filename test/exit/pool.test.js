'use strict'

/** A client with several SSH sessions, and the process around it: it ends when it should, and nothing is left behind. */

const assert = require('node:assert')
const path = require('node:path')
const alknet = require('../..')
const { cleanEnv, needAlknet } = require('../helpers/alknet')
const { MiB } = require('../helpers/behaviours')
const { run } = require('../helpers/proc')
const { testScope } = require('../helpers/scope')

const CHILD = path.join(__dirname, '..', 'helpers', 'pool-child.js')
const ROUNDS = 500

describe('the end of a process with several sessions', function () {
  this.timeout(60000)
  const scope = testScope()
  before(function () { needAlknet(this) })

  const child = (...args) => run(scope, process.execPath, ['--expose-gc', CHILD, ...args], { env: cleanEnv(scope) })

  it('comes by itself when all is closed', async () => {
    const { code, signal, output } = await child('moment', 'none')
    assert.deepStrictEqual([code, signal, output], [0, null, ''])
  })

  for (const [action, expected] of [['exit', 3], ['throw', 1]]) {
    it(`${action} while a further one is under way`, async () => {
      const { code, signal, output } = await child('moment', action)
      assert.deepStrictEqual([code, signal], [expected, null], output)
    })
  }

  for (const [mode, expected] of [['ref', 'up\n'], ['unref', ''], ['again', 'up\n']]) {
    it(`with all of them, ${mode}: ${expected === '' ? 'the process ends' : 'the process stays'}`, async () => {
      const [host, me] = await Promise.all([alknet.generateKey(), alknet.generateKey()])
      const server = await alknet.serve({
        hostKey: host.privateKey,
        authorizedKeys: Buffer.from(me.publicKey),
        listen: '127.0.0.1:0',
        onConnection: (stream) => stream.pipe(stream)
      })
      scope.defer(() => server.close())
      const options = { server: `127.0.0.1:${server.address().port}`, identity: scope.file('key', me.privateKey), hostKey: host.fingerprint, knownHosts: [] }
      const { code, signal, stdout, stderr } = await child('wait', mode, JSON.stringify(options))
      assert.deepStrictEqual({ code, signal, stdout, stderr }, { code: 0, signal: null, stdout: expected, stderr: '' })
    })
  }
})

describe('many further sessions', function () {
  this.timeout(180000)
  const scope = testScope()

  it(`${ROUNDS} rounds of them leave nothing behind`, async function () {
    needAlknet(this)
    const { code, signal, stdout, output } = await run(scope, process.execPath,
      ['--expose-gc', CHILD, 'rounds', String(ROUNDS)], { env: cleanEnv(scope) })
    assert.deepStrictEqual([code, signal], [0, null], output)
    const { moved, fdsBefore, fdsAfter, liveBefore, liveAfter, resources, heap, outside, live } = JSON.parse(stdout)
    assert.strictEqual(moved, 3 * ROUNDS)
    assert.ok(fdsAfter <= fdsBefore, `descriptors: ${fdsBefore} before, ${fdsAfter} after`)
    assert.strictEqual(liveAfter, liveBefore, 'native objects')
    assert.ok(resources <= 0, `${resources} more handles and requests`)
    assert.ok(heap < 2 * MiB, `the heap grew by ${(heap / MiB).toFixed(1)} MiB`)
    assert.ok(outside < 16 * MiB, `memory outside of it grew by ${(outside / MiB).toFixed(1)} MiB`)
    assert.strictEqual(live, 0, 'native objects at the end')
  })
})
