'use strict'

/** npm russh, a client in Rust with an addon of its own for some platforms. */

const { Duplex } = require('node:stream')
const { key } = require('./keys')

let loaded = null
let reason = null

/** The module, or in a before(): skips, and says why. */
function needRussh (context) {
  if (loaded === null && reason === null) {
    try {
      loaded = require('russh')
    } catch (err) {
      reason = `russh cannot be loaded: ${err.message.split('\n')[0]}`
    }
  }
  if (loaded !== null) return loaded
  console.log(`      skipped: ${reason}`)
  return context.skip()
}

/**
 * Logs in.
 *
 * @param {Scope} scope
 * @param {{ host: string, port: number, user: string, hostKeys: object[] }} server
 * @param {{ identity?: object, hash?: string, preferred?: object }} [options]
 * @returns {Promise<AuthenticatedSSHClient>}
 */
async function connectRussh (scope, server, options = {}) {
  const { KeyPair, SSHClient, SshTransport } = loaded
  const { identity = key('ed25519', 'user'), hash = null, preferred } = options
  const isKnown = (theirs) => server.hostKeys.some((one) => Buffer.from(theirs.bytes()).equals(one.blob))
  const transport = await SshTransport.newSocket(`${server.host}:${server.port}`)
  const client = await SSHClient.connect(transport, async (theirs) => isKnown(theirs), { preferred })
  const pair = await KeyPair.parse(identity.private.toString())
  const session = await client.authenticateWithKeyPair(server.user, pair, hash)
  if (!('openTCPForwardChannel' in session)) throw new Error('russh was not let in')
  scope.defer(() => session.disconnect().catch(() => {}))
  return session
}

/**
 * A direct-tcpip channel as a Duplex. russh has no way to slow down what comes
 * in: it is kept here.
 */
async function openRussh (session, host, port) {
  const channel = await session.activateChannel(await session.openTCPForwardChannel({
    addressToConnectTo: host, portToConnectTo: port, originatorAddress: '127.0.0.1', originatorPort: 1
  }))
  let isClosed = false
  const stream = new Duplex({
    allowHalfOpen: true,
    read () {},
    write (chunk, encoding, callback) { channel.write(chunk).then(() => callback(), callback) },
    final (callback) { channel.eof().then(() => callback(), callback) },
    destroy (err, callback) {
      const done = () => callback(err)
      if (isClosed) done()
      else channel.close().then(done, done)
    }
  })
  let hasEnded = false
  const end = () => {
    if (!hasEnded) stream.push(null)
    hasEnded = true
  }
  channel.data$.subscribe((data) => { stream.push(Buffer.from(data)) })
  channel.eof$.subscribe(end)
  channel.closed$.subscribe(() => {
    isClosed = true
    // An end without EOF is a broken connection.
    if (!hasEnded) stream.destroy()
    else stream.once('end', () => stream.destroy())
    if (stream.readableEnded) stream.destroy()
  })
  stream.on('error', () => {})
  return stream
}

module.exports = { connectRussh, needRussh, openRussh }
