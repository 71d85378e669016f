'use strict'

/**
 * node bench/stalled.js [handshakes] [logins]
 *
 * How much later a client has logged in over TLS while so many others (200) have
 * begun a TLS handshake and do not go on: in the middle of their ClientHello, or
 * behind it, when the server has answered and waits for them. Logins beside
 * either and beside none take turns; prints the medians, in milliseconds.
 */

const { once } = require('events')
const net = require('net')
const tls = require('tls')
const alknet = require('..')
const { startServe } = require('../test/helpers/alknet')
const { key } = require('../test/helpers/keys')
const { Scope } = require('../test/helpers/scope')
const { makeCa } = require('../test/helpers/tls-certs')
const { median } = require('./stats')

// The first bytes of a ClientHello of 508.
const BEGUN = Buffer.from([0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3])

async function login (server, tlsCa) {
  const began = performance.now()
  const session = await alknet.openSession({
    transport: 'tls',
    server: `127.0.0.1:${server.port}`,
    tlsCa,
    identity: key('ed25519', 'user').path,
    hostKey: server.hostKeys[0].fingerprint,
    knownHosts: []
  })
  const ms = performance.now() - began
  await session.close()
  return ms
}

/** A whole one. */
async function clientHello () {
  const server = net.createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  tls.connect({ port: server.address().port, host: '127.0.0.1' }).on('error', () => {})
  const [socket] = await once(server, 'connection')
  const [hello] = await once(socket, 'data')
  socket.destroy()
  server.close()
  return hello
}

/** Those who say no more than this. isAnswered: they have an answer to it. */
async function stall (server, count, said, isAnswered) {
  const sockets = Array.from({ length: count }, () => net.connect(server.port, '127.0.0.1').on('error', () => {}))
  await Promise.all(sockets.map((socket) => once(socket, 'connect')))
  await Promise.all(sockets.map((socket) => {
    socket.write(said)
    return isAnswered ? once(socket, 'data') : null
  }))
  return sockets
}

async function main () {
  const [handshakes, logins] = [Number(process.argv[2] ?? 200), Number(process.argv[3] ?? 40)]
  const scope = new Scope()
  try {
    const ca = makeCa(scope)
    const id = ca.issue()
    const server = await startServe(scope, {
      listen: ['tls://127.0.0.1:0'],
      args: ['--tls-cert', id.cert, '--tls-key', id.key, '--tls-handshake-timeout', '1h', '--max-unauthenticated', '0', '--max-unauthenticated-per-ip', '0']
    })
    await login(server, ca.cert) // warm
    const kinds = [
      ['in the middle of their ClientHello', BEGUN, false],
      ['behind it', await clientHello(), true]
    ]
    const found = [[], ...kinds.map(() => [])]
    for (let i = 0; i < logins; i++) {
      found[0].push(await login(server, ca.cert))
      for (const [index, [, said, isAnswered]] of kinds.entries()) {
        const sockets = await stall(server, handshakes, said, isAnswered)
        found[index + 1].push(await login(server, ca.cert))
        for (const socket of sockets) socket.destroy()
        await Promise.all(sockets.map((socket) => socket.closed || once(socket, 'close')))
      }
    }
    const [alone, ...others] = found.map(median)
    console.log(`login over TLS, medians of ${logins}: ${alone.toFixed(1)} ms beside none`)
    for (const [index, [where]] of kinds.entries()) {
      console.log(`beside ${handshakes} handshakes that stand still ${where}: ${others[index].toFixed(1)} ms, ${(others[index] - alone).toFixed(1)} ms later`)
    }
  } finally {
    await scope.close()
  }
}

main().catch((err) => {
  console.error(err)
  process.exitCode = 1
})
