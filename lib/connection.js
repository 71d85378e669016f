'use strict'

/**
 * One client of a server: its session from the first byte to the last.
 *
 *   accepted -> kex -> login (login grace) -> ready -> channels -> closed
 *
 * Whatever goes wrong on one connection ends that connection.
 */

const binding = require('./binding')
const { canonicalHost } = require('./addresses')
const { Keepalive } = require('./keepalive')
const { Login } = require('./login')
const { Lookups } = require('./lookups')
const { nativeOptions } = require('./native-options')
const { Outbound, PROHIBITED, SHORTAGE } = require('./outbound')
const { Relays } = require('./relays')
const { Stream } = require('./stream')

const DIRECT_TCPIP = 0
const RESERVED = /^alknet-/i
const CLOSE_MS = 2000

/** One client. Owner of its native session. */
class Connection {
  /** server: of server.js. stream: open. ticket: of limits.enter(). */
  constructor (server, stream, peer, ticket) {
    this._session = binding.sshServer(stream, nativeOptions(server._options, {
      hostKeys: server._hostKeys,
      ...(server._options.hostKeyAlgorithms && { hostKeyAlgorithms: server._options.hostKeyAlgorithms })
    }))
    this._session.owner = this
    this._server = server
    this._remote = { remote_addr: peer.address, remote_port: peer.port }
    this._ticket = ticket
    this._login = new Login(server, this._remote, ticket)
    this._opened = process.hrtime.bigint()
    this._channels = 0 // asked for, joined or handed out, until both sides are closed
    this._keepalive = null
    this._reason = undefined
    this._isClosing = false
    this._isDraining = false
    this._closeTimer = null
    this._relays = new Relays(() => this.channelGone())
    this.lookups = new Lookups(server._options.maxLookups)
    this.closed = new Promise((resolve) => { this._resolveClosed = resolve })
    this._grace = setTimeout(onGrace, server._options.loginGrace * 1000, this)
    server._log.info('connection opened', { ...this._remote, transport: 'tcp' })
  }

  get policy () {
    return this._server._policy
  }

  /** A question to the policy. target: { host, port } or { path }. */
  request (target) {
    return { identity: this._login.identity, permissions: this._login.permissions, transport: 'tcp', ...target }
  }

  get connectMs () {
    return this._server._options.connectTimeout * 1000
  }

  // ---- login

  onauth (user, algorithm, blob, proven) {
    if (this._isClosing) return
    const { admit, reason } = this._login.answer(user, algorithm, blob, proven)
    this._session.admit(admit)
    if (reason !== null) this.close(reason)
  }

  onready () {
    clearTimeout(this._grace)
    if (this._isClosing) return
    this._keepalive = new Keepalive(this._session, this._server._options, () => this.close('keepalive'))
    this._server.emit('auth', { ...this._info(), destination: undefined })
  }

  _info () {
    return {
      identity: this._login.identity,
      user: this._login.user,
      remoteAddress: this._remote.remote_addr,
      remotePort: this._remote.remote_port,
      transport: 'tcp'
    }
  }

  // ---- channels

  onchannel (channel, type, host, port) {
    if (this._isClosing) return channel.close()
    this._channels++
    const { maxChannels } = this._server._options
    if (this._channels > maxChannels) return this.turnAway(channel, SHORTAGE, 'too many channels (maxChannels)')
    if (type !== DIRECT_TCPIP || this._login.permissions === null) return this.turnAway(channel, PROHIBITED, 'not served here')
    // The one spelling: no other may become a look-up of a reserved name.
    const name = canonicalHost(host) ?? host
    if (RESERVED.test(name)) return this._reserved(channel, name.toLowerCase(), port)
    new Outbound(this, channel, host, port).start()
  }

  // Never a look-up and never a connection, whatever stands in /etc/hosts.
  _reserved (channel, host, port) {
    const server = this._server
    const verdict = this.policy.decideReserved(this.request({ host, port }))
    if (!verdict.allow) return this.turnAway(channel, PROHIBITED, verdict.text)
    if (!server._hasHandler()) return this.turnAway(channel, PROHIBITED, 'nobody serves this here')
    channel.owner = {
      onopen: () => {
        const stream = new Stream(channel)
        stream.once('close', () => this.channelGone())
        server._handle(stream, { ...this._info(), destination: `${host}:${port}` })
      },
      onclose: () => this.channelGone()
    }
    this._session.accept(channel)
  }

  /** Confirms the channel and joins it with its target. */
  join (channel, stream) {
    if (this._isClosing) {
      channel.close()
      stream.close()
      return
    }
    this._session.accept(channel)
    this._relays.join(channel, stream)
  }

  turnAway (channel, reason, text) {
    if (this._isClosing) channel.close()
    else this._session.refuse(channel, reason, text)
    this.channelGone()
  }

  /** One channel less; a draining connection without any has nothing to do. */
  channelGone () {
    this._channels--
    if (this._channels === 0 && this._isDraining) this.close()
  }

  // ---- the end

  /** Closes as soon as no channel is left. */
  drain () {
    this._isDraining = true
    if (this._channels === 0) this.close()
  }

  close (reason) {
    if (this._isClosing) return
    this._isClosing = true
    this._reason = reason
    this._closeTimer = setTimeout(() => this._over(), CLOSE_MS)
    this._session.close()
  }

  onclose (err) {
    if (err !== null) this._reason ??= err.code
    this._isClosing = true
    this._over()
  }

  _over () {
    if (this._resolveClosed === null) return
    clearTimeout(this._grace)
    clearTimeout(this._closeTimer)
    this._keepalive?.close()
    this.lookups.close()
    this._server._left(this, this._ticket)
    const ms = Number((process.hrtime.bigint() - this._opened) / 1000000n)
    this._server._log.info('connection closed', {
      ...this._remote, transport: 'tcp', duration: ms / 1000, reason: this._reason
    })
    this._resolveClosed()
    this._resolveClosed = null
  }
}

function onGrace (connection) {
  connection.close('login_grace')
}

module.exports = { Connection }
