'use strict'

/**
 * A local forward (ssh's -L): each connection that is accepted becomes a
 * channel. The bytes go from socket to channel in C; this runs once a
 * connection.
 */

const { Listener } = require('./listener')

class ForwardListener extends Listener {
  /** session: lib/session.js. spec: of parseForward(). */
  constructor (session, spec, log) {
    super('forward', spec.bind, spec.port, log)
    this._session = session
    this._spec = spec
  }

  onstream (stream) {
    const channel = this._session._open(this._spec.host, this._spec.hostPort)
    if (channel === null) stream.close()
    else this._session._relays.join(stream, channel)
  }
}

module.exports = { ForwardListener }
