'use strict'

/**
 * A client that reaches its server through a proxy, and a server that reaches
 * its targets through another, all in this thread, with one thing done at one
 * stage: `node proxy-child.js STAGE ACTION`, or as a worker.
 *
 * ACTION  exit    process.exit(7)
 *         close   aborts and closes all; then the process has to end by itself,
 *                 and says how many native objects are left: 'live 0'
 *         wait    goes on; as a worker it posts 'at STAGE'
 */

const { once } = require('node:events')
const net = require('node:net')
const { isMainThread, parentPort, workerData } = require('node:worker_threads')
const alknet = require('../..')
const binding = require('../../lib/binding')

const { stage, action } = isMainThread ? { stage: process.argv[2], action: process.argv[3] } : workerData

const controller = new AbortController()
const open = []
let isClosing = false

function at (name) {
  if (name !== stage || isClosing) return
  if (!isMainThread) parentPort.postMessage(`at ${name}`)
  if (action === 'exit') process.exit(7)
  if (action === 'close') closeAll().catch(fault)
}

function fault (err) {
  console.error(err)
  process.exit(1)
}

async function closeAll () {
  isClosing = true
  controller.abort()
  while (open.length > 0) await open.pop().close()
  while (binding.live() > 0) await new Promise((resolve) => setImmediate(resolve))
  console.log(`live ${binding.live()}`)
}

async function listen (onSocket) {
  const sockets = new Set()
  const server = net.createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => {}).on('close', () => sockets.delete(socket))
    onSocket(socket)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  open.push({
    close: () => new Promise((resolve) => {
      for (const socket of sockets) socket.destroy()
      server.close(resolve)
    })
  })
  return server.address().port
}

/** An HTTP proxy whose steps are stages: 'client: asked', … */
function proxy (who) {
  return listen((socket) => {
    at(`${who}: connected`)
    let head = ''
    const take = (chunk) => {
      head += chunk
      if (!head.includes('\r\n\r\n')) return
      socket.off('data', take)
      at(`${who}: asked`)
      const [host, port] = head.split(' ')[1].split(':')
      const to = net.connect(Number(port), host)
      to.on('error', () => socket.destroy()).on('close', () => socket.destroy())
      socket.on('close', () => to.destroy())
      socket.write('HTTP/1.1 200 OK\r\nHalf: ', () => {
        at(`${who}: half an answer`)
        socket.write('whole\r\n\r\n', () => at(`${who}: granted`))
        socket.pipe(to).pipe(socket)
      })
    }
    socket.on('data', take)
  })
}

async function main () {
  const [host, me] = await Promise.all([alknet.generateKey(), alknet.generateKey()])
  const target = await listen((socket) => socket.pipe(socket))
  const server = await alknet.serve({
    hostKey: host.privateKey,
    authorizedKeys: Buffer.from(me.publicKey),
    listen: '127.0.0.1:0',
    proxy: `http://127.0.0.1:${await proxy('server')}`
  })
  open.push(server)
  const session = await alknet.openSession({
    server: `127.0.0.1:${server.address().port}`,
    identity: me.privateKey,
    hostKey: host.fingerprint,
    knownHosts: [],
    proxy: `http://127.0.0.1:${await proxy('client')}`,
    signal: controller.signal
  })
  open.push(session)
  const stream = await session.open({ host: '127.0.0.1', port: target })
  stream.write('x')
  await once(stream, 'data')
  at('through both')
  await closeAll()
}

main().catch((err) => {
  if (!isClosing) fault(err)
})
