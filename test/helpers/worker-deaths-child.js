'use strict'

/**
 * `node worker-deaths-child.js COUNT`: a server with workers, clients that come
 * and go all the time, and threads that end meanwhile, COUNT of them, by a fault
 * or by terminate(). Prints { fds, logins, left } when the last client has
 * gone: descriptors more than before, and what the server still counts.
 */

const fs = require('node:fs')
const net = require('node:net')
const { once } = require('node:events')
const alknet = require('../..')

const COUNT = Number(process.argv[2])
const fds = () => fs.existsSync('/proc/self/fd') ? fs.readdirSync('/proc/self/fd').length : 0
const traffic = { isOver: false }

async function repeat (step) {
  while (!traffic.isOver) await step().catch(() => {}) // whoever is in a thread that ends is cut off
}

/** Connects, and goes as soon as anything comes, or is left. */
async function knock (port) {
  const socket = net.connect(port, '127.0.0.1').on('error', () => {})
  await Promise.race([once(socket, 'data'), once(socket, 'close')])
  socket.destroy()
}

async function main () {
  const [host, user] = [await alknet.generateKey(), await alknet.generateKey()]
  const options = { hostKey: host.privateKey, authorizedKeys: Buffer.from(user.publicKey), listen: '127.0.0.1:0', penalties: false, maxUnauthenticated: 0, maxUnauthenticatedPerIp: 0, workers: 2 }
  await (await alknet.serve(options)).close() // what is opened once, and stays
  const before = fds()
  const server = await alknet.serve(options)
  const { port } = server.address()
  const login = async () => {
    const session = await alknet.openSession({ server: `127.0.0.1:${port}`, identity: user.privateKey, hostKey: host.fingerprint, knownHosts: [] })
    await session.close()
  }
  const clients = [login, login, login, knock, knock, knock].map((one) => repeat(() => one(port)))
  for (let i = 0; i < COUNT;) {
    const { accepted } = server.stats()
    while (server.stats().accepted < accepted + 5) await new Promise(setImmediate)
    const thread = [...server._workers._threads].find(({ isReady }) => isReady)
    if (thread === undefined) continue
    if (++i % 2 === 0) thread.tell('what nobody knows')
    else thread.stop()
    await thread.over
  }
  traffic.isOver = true
  await Promise.all(clients)
  while (server.connections > 0 || server.stats().workersLost < COUNT) await new Promise(setImmediate)
  const { sessions, clients: connected, logins } = server.stats()
  const { _waiting: waiting, _perSource: sources } = server._limits
  await server.close()
  console.log(JSON.stringify({ fds: fds() - before, logins, left: { sessions, connected, waiting: waiting.size, sources: sources.size } }))
}

main()
