'use strict'

/**
 * A forward of npm russh, a client, in a process of its own: `node russh-end.js
 * client JSON`, { port, user, hostKey, userKey, cipher, target }. Prints the
 * forward's port.
 */

const net = require('net')
const { once } = require('events')
const { keyOf } = require('../../test/helpers/keys')
const { connectRussh, needRussh, openRussh } = require('../../test/helpers/russh')
const { Scope } = require('../../test/helpers/scope')

async function client ({ port, user, hostKey, userKey, cipher, target }) {
  needRussh({ skip () { throw new Error('russh cannot be loaded') } })
  const server = { host: '127.0.0.1', port, user, hostKeys: [keyOf(hostKey)] }
  const session = await connectRussh(new Scope(), server, { identity: keyOf(userKey), preferred: { ciphers: [cipher] } })
  const forward = net.createServer({ allowHalfOpen: true, noDelay: true }, async (socket) => {
    socket.on('error', () => {})
    try {
      const stream = await openRussh(session, '127.0.0.1', target)
      stream.pipe(socket).pipe(stream)
      stream.on('close', () => socket.destroy())
      socket.on('close', () => stream.destroy())
    } catch {
      socket.destroy()
    }
  })
  await once(forward.listen({ port: 0, host: '127.0.0.1', backlog: 4096 }), 'listening')
  return forward.address().port
}

client(JSON.parse(process.argv[3])).then((port) => process.stdout.write(`${port}\n`))
