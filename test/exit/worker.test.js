'use strict'

/** Worker threads: several at once, and terminated at any stage. */

const assert = require('node:assert')
const path = require('node:path')
const { cleanEnv, needAlknet } = require('../helpers/alknet')
const { run } = require('../helpers/proc')
const { testScope } = require('../helpers/scope')

const CHILD = path.join(__dirname, '..', 'helpers', 'exit-child.js')

/** Starts workers that each come to a stage, and ends them there. */
const MAIN = `
  const { Worker } = require('node:worker_threads')
  const { stage, action, count, rounds } = JSON.parse(process.argv[1])
  async function one () {
    const worker = new Worker(process.argv[2], { workerData: { stage, action } })
    let failure = null
    worker.on('error', (err) => { failure = err })
    const ended = new Promise((resolve) => worker.once('exit', resolve))
    const reached = new Promise((resolve) => {
      worker.on('message', (text) => {
        if (text !== 'at ' + stage) return
        if (action === 'wait') worker.terminate()
        resolve()
      })
    })
    await Promise.race([reached, ended])
    const code = await ended
    console.log('worker', code, failure ? failure.message : '-')
  }
  async function main () {
    for (let i = 0; i < rounds; i++) await Promise.all(Array.from({ length: count }, one))
    console.log('done')
  }
  main()
`

const STAGES = ['serve', 'listening', 'connect', 'passphrase', 'server log: connection opened',
  'server auth', 'ready', 'open', 'server connection', 'channel', 'write', 'server data', 'data', 'transfer',
  'relay', 'destroy', 'closing', 'close', 'closed', 'server close']

describe('workers', function () {
  this.timeout(60000)
  const scope = testScope()
  before(function () { needAlknet(this) })

  async function main (options) {
    const { code, signal, output } = await run(scope, process.execPath,
      ['-e', MAIN, JSON.stringify({ count: 1, rounds: 1, ...options }), CHILD], { env: cleanEnv(scope) })
    assert.strictEqual(signal, null, output)
    assert.strictEqual(code, 0, output)
    assert.match(output, /done/)
    return [...output.matchAll(/^worker (\d+) (.*)$/mg)].map((m) => ({ code: Number(m[1]), error: m[2] }))
  }

  for (const stage of STAGES) {
    it(`terminate() at the stage "${stage}"`, async () => {
      const [{ code, error }] = await main({ stage, action: 'wait' })
      assert.strictEqual(error, '-')
      assert.strictEqual(code, 1, 'terminated, not ended')
    })
  }

  for (const stage of ['connect', 'server auth', 'ready', 'server data', 'transfer', 'closing']) {
    it(`process.exit() at the stage "${stage}" of a worker`, async () => {
      const [{ code, error }] = await main({ stage, action: 'exit' })
      assert.strictEqual(error, '-')
      assert.strictEqual(code, 7)
    })

    it(`an exception at the stage "${stage}" of a worker`, async () => {
      const [{ code, error }] = await main({ stage, action: 'throw' })
      assert.strictEqual(error, 'thrown on purpose')
      assert.strictEqual(code, 1)
    })
  }

  for (const stage of ['ready', 'transfer', 'relay']) {
    it(`the end by itself after close() at the stage "${stage}" of a worker`, async () => {
      const [{ code, error }] = await main({ stage, action: 'close' })
      assert.deepStrictEqual([code, error], [0, '-'])
    })
  }

  it('four at once, three times, terminated in mid-transfer', async () => {
    const workers = await main({ stage: 'transfer', action: 'wait', count: 4, rounds: 3 })
    assert.strictEqual(workers.length, 12)
    for (const { error } of workers) assert.strictEqual(error, '-')
  })

  it('the whole process ends while workers run', async () => {
    const script = `
      const { Worker } = require('node:worker_threads')
      let reached = 0
      for (let i = 0; i < 3; i++) {
        const worker = new Worker(process.argv[1], { workerData: { stage: 'transfer', action: 'wait' } })
        worker.on('message', () => { if (++reached === 3) process.exit(9) })
      }`
    const { code, signal, output } = await run(scope, process.execPath, ['-e', script, CHILD], { env: cleanEnv(scope) })
    assert.strictEqual(signal, null, output)
    assert.strictEqual(code, 9, output)
  })

  it('a server in a worker, a client in the main thread', async () => {
    const script = `
      const { Worker, isMainThread } = require('node:worker_threads')
      const alknet = require(${JSON.stringify(path.join(__dirname, '..', '..'))})
      const inWorker = \`
        const { parentPort, workerData } = require('node:worker_threads')
        const alknet = require(workerData.alknet)
        alknet.serve({ hostKey: Buffer.from(workerData.hostKey), authorizedKeys: Buffer.from(workerData.user),
          listen: '127.0.0.1:0', onConnection: (stream) => stream.pipe(stream) })
          .then((server) => parentPort.postMessage(server.address().port))\`
      async function main () {
        const host = await alknet.generateKey()
        const user = await alknet.generateKey()
        const worker = new Worker(inWorker, { eval: true, workerData: {
          alknet: ${JSON.stringify(path.join(__dirname, '..', '..'))}, hostKey: host.privateKey, user: user.publicKey } })
        const port = await new Promise((resolve) => worker.once('message', resolve))
        const session = await alknet.openSession({ server: '127.0.0.1:' + port, identity: user.privateKey, hostKey: host.fingerprint })
        const stream = await session.open({ host: 'alknet-echo', port: 1 })
        stream.write('through a worker')
        stream.once('data', async (data) => {
          console.log(String(data))
          await worker.terminate()
          await session.closed
          console.log('lost:', session.error.code)
        })
      }
      main()`
    const { code, signal, output } = await run(scope, process.execPath, ['-e', script], { env: cleanEnv(scope) })
    assert.strictEqual(signal, null, output)
    assert.strictEqual(code, 0, output)
    assert.match(output, /through a worker\nlost: /)
  })
})
