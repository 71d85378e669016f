'use strict'

/** Nothing that happens at any moment may abort Node: exits, exceptions, terminated workers. */

const assert = require('node:assert')
const { spawn } = require('node:child_process')
const fs = require('node:fs')
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
  this.timeout(60000)

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

describe('leaks', function () {
  this.timeout(120000)

  const fds = () => fs.readdirSync('/proc/self/fd').length

  it('a thousand connections and two hundred sessions leave nothing', async function () {
    if (process.platform !== 'linux') {
      console.log('      skipped: counts /proc/self/fd')
      return this.skip()
    }
    const alknet = require('../..')
    const binding = require('../../lib/binding')
    const net = require('node:net')
    const host = await alknet.generateKey()
    const me = await alknet.generateKey()
    const target = net.createServer((socket) => socket.pipe(socket)).listen(0, '127.0.0.1')
    await new Promise((resolve) => target.once('listening', resolve))
    const server = await alknet.serve({
      hostKey: host.privateKey, authorizedKeys: Buffer.from(me.publicKey), listen: '127.0.0.1:0'
    })
    const open = () => alknet.openSession({
      server: `127.0.0.1:${server.address().port}`, identity: me.privateKey, hostKey: host.fingerprint
    })
    const echo = async (session) => {
      const stream = await session.open({ host: '127.0.0.1', port: target.address().port })
      stream.end('hello')
      let text = ''
      for await (const data of stream) text += data
      assert.strictEqual(text, 'hello')
    }
    const round = async () => {
      const session = await open()
      for (let i = 0; i < 5; i++) await echo(session)
      await session.close()
    }
    await round()
    const before = fds()
    for (let i = 0; i < 200; i++) await round()
    await server.close()
    await new Promise((resolve) => target.close(resolve))
    assert.strictEqual(binding.live(), 0)
    assert.ok(fds() <= before, `${fds()} descriptors, ${before} at first`)
  })
})
