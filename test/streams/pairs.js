'use strict'

/** Both ends of a channel as Streams, over a real session in this process. */

const alknet = require('../..')

let keys = null

/** One pair of keys a process: what is tested is not the login. */
async function twoKeys () {
  keys ??= Promise.all([alknet.generateKey(), alknet.generateKey()])
  const [host, user] = await keys
  return { host, user }
}

/**
 * A server and a session with it; both end with the scope.
 *
 * @param {Scope} scope
 * @param {string} engine of both ends
 * @param {object} [options] of both ends
 * @returns {Promise<{ server, session, open }>} open(): { near, far }, the two
 *   ends of a channel; near is the session's
 */
async function startPair (scope, engine, options = {}) {
  const { host, user } = await twoKeys()
  const waiting = new Map()
  let count = 0
  const server = await alknet.serve({
    hostKey: host.privateKey,
    authorizedKeys: Buffer.from(user.publicKey),
    listen: '127.0.0.1:0',
    sshEngine: engine,
    ...options,
    onConnection: (stream, info) => waiting.get(info.destination)(stream)
  })
  scope.defer(() => server.close())
  const session = await alknet.openSession({
    server: `127.0.0.1:${server.address().port}`,
    identity: user.privateKey,
    hostKey: host.fingerprint,
    knownHosts: [],
    sshEngine: engine,
    ...options
  })
  scope.defer(() => session.close())

  async function open () {
    const port = ++count
    const accepted = new Promise((resolve) => waiting.set(`alknet-test:${port}`, resolve))
    const [near, far] = await Promise.all([session.open({ host: 'alknet-test', port }), accepted])
    return { near, far }
  }
  return { server, session, open }
}

module.exports = { startPair, twoKeys }
