'use strict'

/**
 * A local forward (ssh's -L): each connection that is accepted becomes a
 * channel. The bytes go from socket to channel in C; this runs twice a
 * connection.
 */

const { Listener, listen } = require('./listener')
const { listenUnix } = require('./unix-socket')

class ForwardListener extends Listener {
  /** channels: of session-channels.js. spec: of parseForward(). handle: of openForward(). */
  constructor (channels, spec, handle, log) {
    super('forward', spec.text, handle, log)
    this._channels = channels
    this._there = spec.there
  }

  onstream (stream) {
    this._channels.join(stream, this._there)
  }
}

/**
 * Listens where the forward begins.
 * @returns {Promise<ForwardListener>}
 */
async function openForward (channels, spec, log) {
  const { host, port, path } = spec.here
  const handle = path === undefined ? listen(host, port) : await listenUnix(path)
  return new ForwardListener(channels, spec, handle, log)
}

module.exports = { openForward }
