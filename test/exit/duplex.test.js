'use strict'

/** The end of a process, and of a worker, with sessions over Duplexes in it. */

const assert = require('node:assert')
const path = require('node:path')
const { Worker } = require('node:worker_threads')
const { cleanEnv, needAlknet } = require('../helpers/alknet')
const { run } = require('../helpers/proc')
const { testScope } = require('../helpers/scope')

const CHILD = path.join(__dirname, '..', 'helpers', 'duplex-child.js')

// What alknet calls, and what calls alknet.
const INSIDE = ['stream write', 'stream data', 'stream end', 'stream finish', 'stream destroy', 'stream close', 'stream resume']
const STAGES = ['accepted', 'opening', 'ready', 'server connection', 'channel', 'transfer', 'closed', ...INSIDE]

describe('the end of a process with sessions over Duplexes', function () {
  this.timeout(60000)
  const scope = testScope()
  before(function () { needAlknet(this) })

  const child = (stage, action) => run(scope, process.execPath, [CHILD, stage, action], { env: cleanEnv(scope) })

  for (const stage of STAGES) {
    it(`process.exit() at the stage "${stage}"`, async () => {
      const { code, signal, output } = await child(stage, 'exit')
      assert.strictEqual(signal, null, output)
      assert.strictEqual(code, 7, output)
    })

    it(`worker.terminate() at the stage "${stage}"`, async () => {
      const worker = new Worker(CHILD, { workerData: { stage, action: 'wait' }, stdout: false })
      let failure = null
      worker.on('error', (err) => { failure = err })
      worker.on('message', (text) => { if (text === `at ${stage}`) worker.terminate() })
      await new Promise((resolve) => worker.once('exit', resolve))
      assert.strictEqual(failure, null)
    })
  }

  for (const stage of ['opening', 'ready', 'channel', 'transfer', 'stream destroyed']) {
    it(`ends by itself, with nothing left, when all is closed at the stage "${stage}"`, async () => {
      const { code, signal, output } = await child(stage, 'close')
      assert.strictEqual(signal, null, output)
      assert.strictEqual(code, 0, output)
      assert.match(output, /^ended$/m)
    })
  }

  for (const stage of ['server connection', 'transfer', 'stream write', 'stream data', 'stream end', 'stream destroy', 'stream resume']) {
    it(`an exception at the stage "${stage}" ends it as an uncaught one`, async () => {
      const { code, signal, output } = await child(stage, 'throw')
      assert.strictEqual(signal, null, output)
      assert.strictEqual(code, 1, output)
      assert.strictEqual(output.match(/Error: thrown on purpose/g)?.length, 1, output)
    })
  }
})
