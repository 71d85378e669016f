'use strict'

/** The end of a process, and of a worker, while proxies are being asked. */

const assert = require('node:assert')
const path = require('node:path')
const { Worker } = require('node:worker_threads')
const { cleanEnv, needAlknet } = require('../helpers/alknet')
const { run } = require('../helpers/proc')
const { testScope } = require('../helpers/scope')

const CHILD = path.join(__dirname, '..', 'helpers', 'proxy-child.js')

const STAGES = [
  ...['client', 'server'].flatMap((who) => ['connected', 'asked', 'half an answer', 'granted'].map((what) => `${who}: ${what}`)),
  'through both'
]

describe('the end of a process with proxies', function () {
  this.timeout(60000)
  const scope = testScope()
  before(function () { needAlknet(this) })

  const child = (stage, action) => run(scope, process.execPath, [CHILD, stage, action], { env: cleanEnv(scope) })

  for (const stage of STAGES) {
    it(`process.exit() at the stage "${stage}"`, async () => {
      const { code, signal, output } = await child(stage, 'exit')
      assert.deepStrictEqual([code, signal], [7, null], output)
    })

    it(`ends by itself, with nothing left, when all is closed at the stage "${stage}"`, async () => {
      const { code, signal, output } = await child(stage, 'close')
      assert.deepStrictEqual([code, signal], [0, null], output)
      assert.match(output, /^live 0$/m)
    })

    it(`worker.terminate() at the stage "${stage}"`, async () => {
      const worker = new Worker(CHILD, { workerData: { stage, action: 'wait' }, stdout: true })
      let failure = null
      let came = false
      worker.on('error', (err) => { failure = err })
      worker.on('message', (text) => {
        came ||= text === `at ${stage}`
        if (came) worker.terminate()
      })
      await new Promise((resolve) => worker.once('exit', resolve))
      assert.deepStrictEqual([came, failure], [true, null])
    })
  }
})
