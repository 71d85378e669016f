'use strict'

// A server, a session to it and a transfer, all in this thread, with one thing
// done at one stage: the exit tests run it as a child process or as a worker.
//
//   node scenario.js STAGE ACTION     ACTION: exit throw none
//
// As a worker it posts 'stage' when it gets there, and goes on.

const { isMainThread, parentPort, workerData } = require('node:worker_threads')
const net = require('node:net')
const alknet = require('../..')

const [stage, action] = isMainThread ? process.argv.slice(2) : workerData

function at (name) {
  if (name !== stage) return
  if (!isMainThread) parentPort.postMessage('stage')
  if (action === 'exit') process.exit(0)
  if (action === 'throw') throw new Error('thrown on purpose')
}

async function main () {
  const host = await alknet.generateKey()
  const me = await alknet.generateKey()
  const target = net.createServer((socket) => {
    at('target')
    socket.on('error', () => {})
    socket.pipe(socket)
  }).listen(0, '127.0.0.1')
  await new Promise((resolve) => target.once('listening', resolve))

  const server = await alknet.serve({
    hostKey: host.privateKey,
    authorizedKeys: Buffer.from(me.publicKey),
    listen: '127.0.0.1:0',
    onConnection: (stream) => { at('onConnection'); stream.resume(); stream.end() }
  })
  at('serve')
  const opening = alknet.openSession({
    server: `127.0.0.1:${server.address().port}`,
    identity: me.privateKey,
    hostKey: host.fingerprint
  })
  at('connecting')
  setImmediate(() => at('handshake'))
  const session = await opening
  at('session')
  const reserved = alknet.connect({
    server: `127.0.0.1:${server.address().port}`,
    identity: me.privateKey,
    hostKey: host.fingerprint,
    destination: 'alknet-test:0'
  })
  const greeting = await reserved
  greeting.resume().end()
  await new Promise((resolve) => greeting.once('close', resolve))
  await greeting.session.close()

  const stream = await session.open({ host: '127.0.0.1', port: target.address().port })
  at('open')
  const chunk = Buffer.alloc(65536, 7)
  let sent = 0
  let got = 0
  const push = () => { while (sent < 64 && stream.write(chunk)) sent++ }
  stream.on('drain', push)
  push()
  await new Promise((resolve) => stream.on('data', (data) => {
    got += data.length
    at('data')
    if (got >= chunk.length * 32) resolve()
  }))
  at('transfer')
  stream.destroy()
  at('destroyed')
  const closing = session.close()
  at('closing')
  await closing
  at('closed')
  await server.close()
  await new Promise((resolve) => target.close(resolve))
}

main().catch((err) => {
  // What the test threw reaches the top; anything else is a fault.
  if (err.message !== 'thrown on purpose') console.error(err)
  process.exitCode = 7
  process.exit()
})
