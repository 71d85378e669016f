'use strict'

/**
 * Who comes in to a server, and who is let in:
 *
 *   arrived -> limits and penalties -> [TLS handshake] -> a Connection -> left
 *                | no                    | failed, or its time is over
 *                v                       v
 *            turned away             noted against its source
 *
 * Where a server has worker threads they have all that comes after the limits
 * (workers/), each with an Admission of its own for it.
 *
 * It counts from its arrival on, in one step with the question whether there
 * is room.
 */

const binding = require('./binding')
const { ACME_ALPN } = require('./acme/challenges')
const { plainAddress } = require('./addresses')
const { Connection } = require('./connection')
const { fail } = require('./errors')
const { unackedMs } = require('./keepalive')
const { rarely } = require('./listener')
const { isBare } = require('./tls-files')
const { Handshake } = require('./tls-handshake')
const { Visitors } = require('./visitors')

const FAREWELL_MS = 1000

/** Whether it was made only to see whose name this is: nothing is said on it (RFC 8737 §4). */
function isProof (secured) {
  return binding.tlsInfo(secured)?.alpn === ACME_ALPN
}

/** Ends a stream of the addon, which says no more. */
function farewell (stream) {
  const late = setTimeout(() => stream.close(), FAREWELL_MS)
  stream.owner = {
    ondrain: () => stream.close(),
    onclose: () => clearTimeout(late)
  }
  stream.resume()
  stream.end()
}

class Admission {
  /** onEmpty(): the last has left. */
  constructor (server, { limits, penalties, counters, log, onEmpty }) {
    this._server = server
    this._limits = limits
    this._penalties = penalties
    this._counters = counters
    this._log = log
    this._warn = rarely(log)
    this._logRefusal = rarely(log, 'info')
    this._onEmpty = onEmpty
    this._handshakes = new Map() // of TLS: the handshake => its ticket
    this._bytesBefore = { received: 0, sent: 0 } // of clients that are gone
    this._isClosing = false
    /** Those who have not shown that they are clients: of listeners with stealth. */
    this.visitors = new Visitors(server, this, { counters, log, onEmpty })
    /** Those who speak SSH, logged in or not. */
    this.connections = new Set()
  }

  /** How many are connected, in a handshake of TLS or further. */
  get count () {
    return this.connections.size + this._handshakes.size
  }

  /** What all of them, and those before, have received and sent. */
  get bytes () {
    const sum = { ...this._bytesBefore }
    for (const { bytes: { received, sent } } of this.connections) {
      sum.received += received
      sum.sent += sent
    }
    return sum
  }

  /** A client has connected. stream: of the addon, open. */
  arrive (stream, entrance) {
    const { address, port } = stream.peer() ?? {}
    if (address === undefined) return stream.close()
    const peer = { address: plainAddress(address), port, transport: entrance.transport }
    if (entrance.isStealthy) return this.visitors.arrive(stream, peer, entrance.context)
    const ticket = this.ticketFor(peer)
    if (ticket === null) return stream.close()
    if (this._server._workers?.take(stream, peer, ticket, entrance)) return
    this.takeIn(stream, peer, ticket, entrance.context)
  }

  /** A client comes in by a stream of any kind, or is turned away. stream: of the addon, open. */
  enter (stream, peer) {
    const ticket = this.ticketFor(peer)
    if (ticket === null) stream.close()
    else this.takeIn(stream, peer, ticket, null)
  }

  /** A ticket for who may come in; null: it is counted as turned away, and its stream is still there. */
  ticketFor (peer) {
    const ticket = this._penalties.refuses(peer.address) ? 'penalty' : this._limits.enter(peer.address)
    if (typeof ticket === 'string') {
      this._turnAway(peer, ticket)
      return null
    }
    ticket.victim?.giveWay?.()
    ticket.victim = null
    return ticket
  }

  /**
   * A client is let in. ticket: of limits.enter(). context: with what to speak
   * TLS first; null: it is not spoken, or was.
   */
  takeIn (stream, peer, ticket, context) {
    stream.limitUnacked(unackedMs(this._server._options))
    if (context === null) this.take(stream, peer, ticket)
    else this._secure(stream, peer, ticket, context)
  }

  // It counts as not logged in from here on, and holds up nobody.
  _secure (stream, peer, ticket, context) {
    const { tlsHandshakeTimeout: seconds } = this._server._options
    const handshake = new Handshake(binding.tlsServer(stream, context), seconds * 1000, `${seconds} s (tlsHandshakeTimeout)`, (err, secured) => {
      this._handshakes.delete(handshake)
      if (err === null && !isProof(secured)) return this.take(secured, peer, ticket)
      this._limits.leave(ticket)
      if (err === null) farewell(secured)
      if (this._isClosing) return this._onEmpty()
      if (err === null) return
      this._logRefusal('tls handshake failed', {
        remote_addr: peer.address, remote_port: peer.port, transport: peer.transport, reason: err.code, problem: err.message
      })
      this._counters.count('tlsFailures')
      // It is no fault of theirs that there is nothing to show.
      if (isBare(context)) return
      this.punish(peer.address, err.code === 'ERR_ALKNET_TIMEOUT' ? 'grace_exceeded' : 'no_auth')
    })
    ticket.giveWay = () => handshake.close(fail('LIMIT', 'tls', 'another client took its place (maxUnauthenticated)'))
    this._handshakes.set(handshake, ticket)
  }

  /** It speaks SSH from here on. stream: open, of TLS or not; null: it has gone meanwhile. */
  take (stream, peer, ticket) {
    if (stream === null) return this._limits.leave(ticket)
    try {
      const connection = new Connection(this._server, stream, peer, ticket)
      ticket.giveWay = () => connection.close('max_unauthenticated')
      ticket.isSilent = () => connection.isSilent
      this.connections.add(connection)
      this._counters.count('accepted')
    } catch (err) {
      // The engine does not take the options: nothing that a client has done.
      stream.close() // it may not even have been taken
      this._limits.leave(ticket)
      this._warn('connection failed', { error: err.code, problem: err.message })
    }
  }

  _turnAway ({ address, port, transport }, reason) {
    const remote = address === '' ? {} : { remote_addr: address, remote_port: port }
    this._counters.count('refused', reason)
    this._logRefusal('connection rejected', { ...remote, transport, reason })
  }

  /** A client is gone. offence: of penalties.js, or null. */
  left (connection, ticket, offence) {
    this._limits.leave(ticket)
    this.connections.delete(connection)
    const { received, sent } = connection.bytes
    this._bytesBefore.received += received
    this._bytesBefore.sent += sent
    if (offence !== null) this.punish(connection.remoteAddress, offence)
  }

  /** Notes what a client has done. offence: of penalties.js. */
  punish (address, offence) {
    const penalty = this._penalties.punish(address, offence)
    if (penalty === null) return
    const { source, seconds, isNew } = penalty
    this._counters.count('penalties', offence)
    if (isNew) this._log.info('source penalised', { remote_addr: address, source, seconds, reason: offence })
  }

  /** Nobody comes in any more; all who are here are sent away. */
  async close (drainMs) {
    this._isClosing = true
    for (const handshake of this._handshakes.keys()) handshake.close()
    this.visitors.close()
    await Promise.all([...this.connections].map(async (connection) => {
      await connection.end(drainMs, 'server_closed')
      return connection.closed
    }))
  }
}

module.exports = { Admission }
