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
 *      |   ^ | onrefused
 *  no  |   | v
 *  session | refuse --> onclose
 *      v   |    ^
 *   waits -/----/ for too long
 */
class SocksClient {
  constructor (channels, socks) {
    this._channels = channels
    this._socks = socks
    this._isJoined = false // or about to be
    this._forget = () => {} // while it waits for the session
    socks.owner = this
    channels.clients.add(this)
  }

  connect (host, port) {
    if (!isHost(host)) return this._socks.refuse(REPLY.failure)
    this._forget = this._channels.withLink((err) => {
      this._isJoined = err === null && this._channels.connect(this._socks, host, port)
      if (!this._isJoined) this._socks.refuse(err === null ? REPLY.failure : replyCode(err))
    })
  }

  onrefused (err) {
    channelOver(this._socks, err, true)
    this._leave(err)
    this._socks.refuse(replyCode(err))
  }

  onclose (err) {
    this._forget()
    channelOver(this._socks, err, false)
    this._leave(err)
    this._channels.clients.delete(this)
  }

  _leave (err) {
    if (!this._isJoined) return
    this._isJoined = false
    this._channels.relays.onclose(err)
  }

  /** The session is gone. A relay ends with its channel. */
  close () {
    this._socks.close()
  }
}

/** A listener for SOCKS clients of a session. channels: of session-channels.js. */
class SocksListener extends Listener {
  /** auth: { user, password } or undefined. */
  constructor (channels, address, port, auth, log) {
    super('socks5', formatHostPort(address, port), listen(address, port, (address, port) =>
      binding.listenSocks(address, port, auth?.user ?? null, auth?.password ?? null, HANDSHAKE_MS)), log)
    this._channels = channels
  }

  onrequest (socks, version, host, port) {
    new SocksClient(this._channels, socks).connect(host, port)
  }
}

module.exports = { HANDSHAKE_MS, SocksListener }
