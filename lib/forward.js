'use strict'

/**
 * A local forward (ssh's -L): each connection that is accepted becomes a
 * channel. The bytes go from socket to channel in C; this runs twice a
 * connection.
 */

const { Listener, listen } = require('./listener')
const { listenUnix } = require('./unix-socket')

class ForwardListener extends Listener {
  /** session: lib/session.js. spec: of parseForward(). handle: of openForward(). */
  constructor (session, spec, handle, log) {
    super('forward', spec.text, handle, log)
    this._session = session
    this._there = spec.there
  }

  onstream (stream) {
    this._session._join(stream, this._there)
  }
}

/**
 * Listens where the forward begins.
 * @returns {Promise<ForwardListener>}
 */
async function openForward (session, spec, log) {
  const { host, port, path } = spec.here
  const handle = path === undefined ? listen(host, port) : await listenUnix(path)
  return new ForwardListener(session, spec, handle, log)
}

module.exports = { openForward }
