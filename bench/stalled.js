'use strict'

/**
 * node bench/stalled.js [handshakes] [logins]
 *
 * How much later a client has logged in over TLS while so many others (200) have
 * begun a TLS handshake and do not go on. Logins beside them and beside none
 * take turns; prints both medians, in milliseconds.
 */

const { once } = require('events')
const net = require('net')
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

async function stall (server, count) {
  const sockets = Array.from({ length: count }, () => net.connect(server.port, '127.0.0.1').on('error', () => {}))
  await Promise.all(sockets.map((socket) => once(socket, 'connect')))
  for (const socket of sockets) socket.write(BEGUN)
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
    const found = { none: [], stalled: [] }
    for (let i = 0; i < logins; i++) {
      found.none.push(await login(server, ca.cert))
      const sockets = await stall(server, handshakes)
      found.stalled.push(await login(server, ca.cert))
      for (const socket of sockets) socket.destroy()
      await Promise.all(sockets.map((socket) => socket.closed || once(socket, 'close')))
    }
    const [alone, beside] = [median(found.none), median(found.stalled)]
    console.log(`login over TLS: ${alone.toFixed(1)} ms beside none, ${beside.toFixed(1)} ms beside ${handshakes} stalled handshakes: ${(beside - alone).toFixed(1)} ms later (medians of ${logins})`)
  } finally {
    await scope.close()
  }
}

main().catch((err) => {
  console.error(err)
  process.exitCode = 1
})
