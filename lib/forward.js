'use strict'

/**
 * A local forward (ssh's -L): each connection that is accepted becomes a
 * channel. The bytes go from socket to channel in C; this runs once a
 * connection.
 */

const { Listener } = require('./listener')

/** session: lib/session.js. spec: of parseForward(). */
function listenForward (session, spec, log) {
  return new Listener('forward', spec.bind, spec.port, (stream) => {
    const channel = session._open(spec.host, spec.hostPort)
    if (channel === null) stream.close()
    else session._relays.join(stream, channel)
  }, log)
}

module.exports = { listenForward }
