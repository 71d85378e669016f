'use strict'

/**
 * The SOCKS proxy of a client (spec §4). The conversation, the channel and the
 * relay are C's; this decides, once a connection: may that be asked for, and
 * what to say when it was refused.
 */

const binding = require('./binding')
const { formatHostPort, isHost } = require('./addresses')
const { Listener, listen } = require('./listener')
const { REPLY, replyCode } = require('./socks-reply')
const { channelOver } = require('./trace')

// For a client's request, and to take a refusal.
const HANDSHAKE_MS = 10_000

/**
 * One client of the proxy that has asked for something.
 *
 *   connect --> channel opens --> relay --> onclose
 *      | onrefused
 *      v
 *   refuse --> onclose
 */
class SocksClient {
  constructor (session, socks) {
    this._session = session
    this._socks = socks
    this._isJoined = false // or about to be
    socks.owner = this
    session._clients.add(this)
  }

  connect (host, port) {
    this._isJoined = isHost(host) && this._session._connect(this._socks, host, port)
    if (!this._isJoined) this._socks.refuse(REPLY.failure)
  }

  onrefused (err) {
    channelOver(this._socks, err, true)
    this._leave(err)
    this._socks.refuse(replyCode(err))
  }

  onclose (err) {
    channelOver(this._socks, err, false)
    this._leave(err)
    this._session._clients.delete(this)
  }

  _leave (err) {
    if (!this._isJoined) return
    this._isJoined = false
    this._session._relays.onclose(err)
  }

  /** The session is gone. A relay ends with its channel. */
  close () {
    this._socks.close()
  }
}

/** A listener for SOCKS clients of a session. */
class SocksListener extends Listener {
  /** auth: { user, password } or undefined. */
  constructor (session, address, port, auth, log) {
    super('socks5', formatHostPort(address, port), listen(address, port, (address, port) =>
      binding.listenSocks(address, port, auth?.user ?? null, auth?.password ?? null, HANDSHAKE_MS)), log)
    this._session = session
  }

  onrequest (socks, version, host, port) {
    new SocksClient(this._session, socks).connect(host, port)
  }
}

module.exports = { HANDSHAKE_MS, SocksListener }
