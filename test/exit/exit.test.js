'use strict'

/** Nothing that happens at any moment may abort Node: exits, exceptions, terminated workers. */

const assert = require('node:assert')
const { spawn } = require('node:child_process')
const path = require('node:path')
const { Worker } = require('node:worker_threads')

const scenario = path.join(__dirname, 'scenario.js')
const STAGES = ['serve', 'connecting', 'handshake', 'session', 'onConnection', 'open',
  'target', 'data', 'transfer', 'destroyed', 'closing', 'closed']

function run (...args) {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [scenario, ...args], { stdio: ['ignore', 'inherit', 'pipe'] })
    let stderr = ''
    child.stderr.on('data', (data) => { stderr += data })
    child.once('error', reject)
    child.once('close', (code, signal) => resolve({ code, signal, stderr }))
  })
}

describe('exit', function () {
  this.timeout(20000)

  it('ends by itself when all is closed', async () => {
    assert.deepStrictEqual(await run('none', 'none'), { code: 0, signal: null, stderr: '' })
  })

  for (const stage of STAGES) {
    it(`process.exit() at: ${stage}`, async () => {
      const { code, signal, stderr } = await run(stage, 'exit')
      assert.deepStrictEqual({ code, signal }, { code: 0, signal: null }, stderr)
    })

    it(`an exception at: ${stage}`, async () => {
      const { code, signal, stderr } = await run(stage, 'throw')
      assert.strictEqual(signal, null, stderr)
      assert.ok(code === 1 || code === 7, `code ${code}: ${stderr}`)
    })

    it(`worker.terminate() at: ${stage}`, async () => {
      const worker = new Worker(scenario, { workerData: [stage, 'none'] })
      await new Promise((resolve, reject) => {
        worker.once('message', resolve)
        worker.once('error', reject)
      })
      await worker.terminate()
    })
  }
})
