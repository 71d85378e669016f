'use strict'

/**
 * A tunnel of npm ssh2, an end in a process of its own: `node ssh2-end.js
 * server|client JSON`. Prints the server's port, or that of a forward.
 *
 *   server  { hostKey, userKey, cipher }
 *   client  { port, user, userKey, cipher, target }
 */

const net = require('net')
const { once } = require('events')
const { keyOf } = require('../../test/helpers/keys')
const { Scope } = require('../../test/helpers/scope')
const { connectSsh2, forwardOut, startSsh2Server } = require('../../test/helpers/ssh2')

/** ssh2's streams end and close as sockets do. */
function join (stream, socket) {
  for (const one of [stream, socket]) one.on('error', () => {})
  stream.pipe(socket).pipe(stream)
  stream.on('close', () => socket.destroy())
  socket.on('close', () => stream.destroy())
}

async function server ({ hostKey, userKey, cipher }) {
  const state = await startSsh2Server(new Scope(), {
    hostKey: keyOf(hostKey), userKey: keyOf(userKey), algorithms: { cipher: [cipher] }
  })
  state.server.on('connection', (client) => client.setNoDelay(true))
  state.onTarget = (accept, reject, { destIP, destPort }) => {
    const socket = net.connect({ host: destIP, port: destPort, allowHalfOpen: true, noDelay: true })
    const refuse = () => reject()
    socket.once('error', refuse).once('connect', () => {
      socket.off('error', refuse)
      join(accept(), socket)
    })
  }
  return state.port
}

async function client ({ port, user, userKey, cipher, target }) {
  const session = await connectSsh2(new Scope(), { host: '127.0.0.1', port, user }, {
    identity: keyOf(userKey), algorithms: { cipher: [cipher] }
  })
  session.setNoDelay(true)
  const forward = net.createServer({ allowHalfOpen: true, noDelay: true }, async (socket) => {
    socket.on('error', () => {})
    try {
      join(await forwardOut(session, '127.0.0.1', target), socket)
    } catch {
      socket.destroy()
    }
  })
  await once(forward.listen({ port: 0, host: '127.0.0.1', backlog: 4096 }), 'listening')
  return forward.address().port
}

const [role, options] = process.argv.slice(2)
const start = role === 'server' ? server : client
start(JSON.parse(options)).then((port) => process.stdout.write(`${port}\n`))
