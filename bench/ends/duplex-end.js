'use strict'

/**
 * One end of the tunnels that the scene "duplex" compares, in a process of its
 * own: `node duplex-end.js server HOST_KEY USER_KEY TARGET_PORT` and `node
 * duplex-end.js client HOST_KEY USER_KEY TARGET_PORT SERVER_PORTS`. Prints its
 * ports as JSON: the server's, or those whose connections come out at the
 * target.
 *
 *   c          the forward of a session over TCP: its bytes stay in C
 *   transport  the same, but the session's transport is a net.Socket at both ends
 *   streams    a channel of a session over TCP as a Duplex at both ends, each
 *              piped to a net.Socket: all that comes and goes is seen by JavaScript
 */

const fs = require('fs')
const net = require('net')
const { once } = require('events')
const alknet = require('../..')

const CIPHER = 'aes128-gcm@openssh.com'

function join (stream, socket) {
  for (const one of [stream, socket]) one.on('error', () => {})
  stream.pipe(socket).pipe(stream)
  stream.on('close', () => socket.destroy())
  socket.on('close', () => stream.destroy())
}

async function listen (onSocket) {
  const server = net.createServer({ allowHalfOpen: true, noDelay: true }, onSocket)
  await once(server.listen(0, '127.0.0.1'), 'listening')
  return server.address().port
}

const connect = (port) => net.connect({ port, host: '127.0.0.1', allowHalfOpen: true, noDelay: true })

async function server (hostKey, userKey, target) {
  const running = await alknet.serve({
    hostKey,
    authorizedKeys: `${userKey}.pub`,
    listen: '127.0.0.1:0',
    ciphers: CIPHER,
    onConnection: (stream) => join(stream, connect(target))
  })
  const duplex = await listen((socket) => running.accept(socket))
  return { tcp: running.address().port, duplex }
}

async function client (hostKey, userKey, target, { tcp, duplex }) {
  const options = {
    identity: userKey,
    hostKey: fs.readFileSync(`${hostKey}.pub`, 'utf8').trim(),
    knownHosts: [],
    ciphers: CIPHER,
    forward: `127.0.0.1:0:127.0.0.1:${target}`
  }
  const portOf = (session) => session.openListeners[0].address().port
  const overTcp = await alknet.openSession({ server: `127.0.0.1:${tcp}`, ...options })
  const overDuplex = await alknet.openSession({ stream: connect(duplex), ...options })
  const streams = await listen(async (socket) => join(await overTcp.open({ host: 'alknet-bench', port: 1 }), socket))
  return { c: portOf(overTcp), transport: portOf(overDuplex), streams }
}

const [role, hostKey, userKey, target, ports] = process.argv.slice(2)
const start = role === 'server' ? server : client
start(hostKey, userKey, Number(target), ports === undefined ? undefined : JSON.parse(ports))
  .then((found) => process.stdout.write(`${JSON.stringify(found)}\n`))
