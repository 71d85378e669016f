'use strict'

/** A server and sessions with it, in this process, as a user of the library makes them. */

const alknet = require('../..')

let keys = null

/** Three pairs of keys a process: what is tested is not the making of keys. */
async function threeKeys () {
  keys ??= Promise.all([alknet.generateKey(), alknet.generateKey(), alknet.generateKey()])
  const [host, user, stranger] = await keys
  return { host, user, stranger }
}

/**
 * A server on loopback that knows `user`, and what connects to it.
 *
 * @param {Scope} scope
 * @param {object} [options] of serve()
 * @returns {Promise<{ server, login, keys }>} login([options]): a session
 */
async function startServer (scope, options = {}) {
  const keys = await threeKeys()
  const server = await alknet.serve({
    hostKey: keys.host.privateKey,
    authorizedKeys: Buffer.from(keys.user.publicKey),
    listen: '127.0.0.1:0',
    penalties: false, // all clients of a test have one address
    ...options
  })
  scope.defer(() => server.close())
  const login = async (more = {}) => {
    const session = await alknet.openSession({
      server: `127.0.0.1:${server.address().port}`,
      identity: keys.user.privateKey,
      hostKey: keys.host.fingerprint,
      knownHosts: [],
      sshEngine: options.sshEngine,
      ...more
    })
    scope.defer(() => session.close())
    return session
  }
  return { server, login, keys }
}

/** All of a stream as text; the other direction stays open. */
function textOf (stream) {
  return new Promise((resolve, reject) => {
    let text = ''
    stream.on('data', (chunk) => { text += chunk })
    stream.once('end', () => resolve(text))
    stream.once('error', reject)
    stream.once('close', () => reject(new Error('closed before its end')))
  })
}

module.exports = { startServer, textOf, threeKeys }
