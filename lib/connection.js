'use strict'

/**
 * One client of a server: its session from the first byte to the last.
 *
 *   accepted -> kex -> login (login grace) -> ready -> channels -> closed
 *
 * Whatever goes wrong on one connection ends that connection.
 */

const net = require('net')
const binding = require('./binding')
const { BYE } = require('./bye')
const {
  DIRECT_STREAMLOCAL, DIRECT_TCPIP, FORWARDED_STREAMLOCAL, FORWARDED_TCPIP, PROHIBITED, SHORTAGE, UNKNOWN_TYPE
} = require('./channels')
const { canonicalHost, isReserved } = require('./addresses')
const { Arrival } = require('./incoming')
const { Keepalive } = require('./keepalive')
const { Login } = require('./login')
const { Lookups } = require('./lookups')
const { Listening } = require('./listening')
const { nativeOptions } = require('./native-options')
const { Outbound } = require('./outbound')
const { Relays } = require('./relays')
const { SignOfLife } = require('./sign-of-life')
const { Trace, channelOver } = require('./trace')
const { tlsInfo } = require('./tls-handshake')
const { within } = require('./within')

const CLOSE_MS = 2000

// What a client says before is its name, which is shorter; what it says then is longer.
const KEXINIT_BYTES = 128
const NO = { yes: false, port: 0 }

// RFC 4254 §5.1, as the counters call it.
const REFUSALS = { 1: 'prohibited', 2: 'connect_failed', 3: 'unknown_type', 4: 'shortage' }

const { BY_APPLICATION, CONNECTION_LOST, NO_MORE_AUTH, TOO_MANY_CONNECTIONS } = BYE

// What the client is told when we end its connection, by our reason.
const FAREWELLS = {
  server_closed: [BY_APPLICATION, 'the server is shutting down'],
  closed_by_server: [BY_APPLICATION, 'closed by the server'],
  taken_over: [BY_APPLICATION, 'another session of this client took its place'],
  keepalive: [CONNECTION_LOST, 'no answer'],
  login_grace: [BY_APPLICATION, 'the login took too long'],
  max_auth_attempts: [NO_MORE_AUTH, 'too many attempts to log in'],
  max_sessions: [TOO_MANY_CONNECTIONS, 'too many sessions'],
  max_unauthenticated: [TOO_MANY_CONNECTIONS, 'too many connections that have not logged in']
}

// Why we end a connection that is held against its source.
const OFFENCES = { login_grace: 'grace_exceeded', max_auth_attempts: 'auth_failed', max_unauthenticated: 'no_auth' }

/** One client. Owner of its native session. */
class Connection {
  /** server: of server.js. stream: open. peer: { address, port, transport }, address '' where there is none. ticket: of limits.enter(). */
  constructor (server, stream, peer, ticket) {
    const tls = tlsInfo(stream) // before it is taken
    this._session = binding.sshServer(stream, nativeOptions(server._options, {
      listens: true,
      hostKeys: server._hostKeys,
      ...(server._options.hostKeyAlgorithms && { hostKeyAlgorithms: server._options.hostKeyAlgorithms })
    }))
    this._session.owner = this
    this._server = server
    this._peer = peer
    this._secured = tls === null ? {} : { tls }
    this._remote = peer.address === '' ? {} : { remote_addr: peer.address, remote_port: peer.port }
    this._ticket = ticket
    this._login = new Login(server, this._remote, ticket, {
      remoteAddress: peer.address, remotePort: peer.port, transport: peer.transport, ...this._secured
    })
    /** What users see of it, once somebody has logged in. */
    this.session = null
    this._trace = new Trace('server', peer.transport)
    this._opened = process.hrtime.bigint()
    this._channels = 0 // asked for, joined or handed out, until both sides are closed
    this._keepalive = null
    this._reason = undefined
    this._isClosing = false
    this._isOurDoing = false // that it ends
    this._isDraining = false
    this._drainReason = undefined
    this._closeTimer = null
    this._relays = new Relays(() => this.channelGone())
    this._arrivals = {
      accept: (channel) => { if (this._isClosing) channel.close(); else this._session.accept(channel) },
      refuse: (channel, reason, text) => this.turnAway(channel, reason, text),
      opened: (stream) => stream.once('close', () => this.channelGone()),
      gone: () => this.channelGone()
    }
    this.lookups = new Lookups(server._options.maxLookups)
    this._listening = new Listening(this, server._places)
    this._life = new SignOfLife(this._session)
    this.closed = new Promise((resolve) => { this._resolveClosed = resolve })
    this._grace = setTimeout(onGrace, server._options.loginGrace * 1000, this)
    server._log.info('connection opened', { ...this._remote, transport: peer.transport })
  }

  get policy () {
    return this._server._policy
  }

  /** A question to the policy. target: { host, port } or { path }. */
  request (target) {
    return { identity: this._login.identity, permissions: this._login.permissions, transport: this._peer.transport, ...target }
  }

  get connectMs () {
    return this._server._options.connectTimeout * 1000
  }

  /** What stands between us and a host, canonical. */
  proxies (host) {
    return this._server._options.proxy?.to(host) ?? []
  }

  proxyFailed (err) {
    this._server._warn('proxy failed', { error: err.code, hop: err.hop })
  }

  // ---- for listening.js

  get log () {
    return this._server._log
  }

  get remote () {
    return this._remote
  }

  get identity () {
    return this._login.identity
  }

  get maxRemoteForwards () {
    return this._server._options.maxRemoteForwards
  }

  decideListen (target) {
    return this.policy.decideListen(this.request(target))
  }

  /** The name that it has logged in with. */
  get user () {
    return this._login.user
  }

  get takeoverMs () {
    return this._server._options.takeoverTimeout * 1000
  }

  /** Resolves with whether the client gives a sign of life within ms; those that it owes already count. */
  async isAlive (ms) {
    if (this._isClosing) return false
    return this._life.ask(Math.max(1, ms - (this._keepalive?.unansweredMs() ?? 0)))
  }

  onreply (id, yes) {
    this._life.onreply(id, yes)
  }

  get remoteAddress () {
    return this._peer.address
  }

  // ---- login

  onauth (user, algorithm, blob, proven) {
    if (this._isClosing) return
    this._login.ask(user, algorithm, blob, proven, ({ admit, reason }) => {
      if (this._isClosing) return
      if (proven || !admit) this._trace.auth(admit)
      // Whoever is told no may be gone before it hears why it was the last time.
      if (reason === null || admit) this._session.admit(admit)
      if (reason !== null) this.close(reason)
    })
  }

  onauthrefused (user, why, blob) {
    if (this._isClosing) return
    this._trace.auth(false)
    const reason = this._login.refused(user, why, blob)
    if (reason !== null) this.close(reason)
  }

  onready () {
    clearTimeout(this._grace)
    if (this._isClosing) return
    this._trace.ready(this._session)
    this._keepalive = new Keepalive(this._session, this._server._options, () => this.close('keepalive'))
    this.session = this._server._enterSession(this)
    this._server.emit('auth', this.who())
    this._server.emit('session', this.session)
  }

  /** Who is at the other end. */
  who () {
    return {
      identity: this._login.identity,
      user: this._login.user,
      remoteAddress: this._peer.address,
      remotePort: this._peer.port,
      transport: this._peer.transport,
      ...this._secured
    }
  }

  get channels () {
    return this._channels
  }

  /** Whether it has not yet begun to exchange keys. */
  get isSilent () {
    return this._session.received() < KEXINIT_BYTES
  }

  /** What has gone over the wire. */
  get bytes () {
    return { received: this._session.received(), sent: this._session.sent() }
  }

  // ---- listening for the client

  onlisten (request, isLocal, host, port) {
    this._answer(request, this._login.permissions === null
      ? NO
      : this._listening.listen(isLocal ? { path: host } : { host, port }))
  }

  onunlisten (request, isLocal, host, port) {
    this._answer(request, this._listening.unlisten(isLocal ? { path: host } : { host, port }))
  }

  async _answer (request, answer) {
    const { yes, port } = await answer
    this._session.answer(request, yes, port)
  }

  // ---- channels

  onchannel (channel, type, host, port) {
    if (this._isClosing) return channel.close()
    this._channels++
    this._server._counters.count('channelsTotal')
    this._trace.channel(channel)
    const { maxChannels } = this._server._options
    if (this._channels > maxChannels) return this.turnAway(channel, SHORTAGE, 'too many channels (maxChannels)')
    if (this._login.permissions === null) return this.turnAway(channel, PROHIBITED, 'not served here')
    if (type === DIRECT_STREAMLOCAL) return this._outbound(channel, { path: host })
    if (type !== DIRECT_TCPIP) return this.turnAway(channel, PROHIBITED, 'not served here')
    // The one spelling: no other may become a look-up of a reserved name.
    if (!isReserved(host)) return this._outbound(channel, { host, port })
    const name = (canonicalHost(host) ?? host).toLowerCase()
    // One with letters of other scripts is nobody's name: handlers have the other form.
    if (!name.startsWith('alknet-')) return this.turnAway(channel, PROHIBITED, 'nobody serves this here')
    this._reserved(channel, name, port)
  }

  _outbound (channel, target) {
    const go = () => new Outbound(this, channel, target).start()
    if (this._server._options.authorize === undefined || this._isRefused(target)) go()
    else this._ask(channel, target, go)
  }

  // What the policy refuses nobody is asked about: Outbound says why.
  _isRefused ({ host, port, path }) {
    if (path !== undefined) return !this.policy.decidePath(this.request({ path })).allow
    const name = canonicalHost(host)
    if (name === null) return true
    const request = this.request({ host: name, port })
    if (this.proxies(name).length > 0) return !this.policy.decideUnresolved(request).allow
    return this.policy.preview(request) !== null || (net.isIP(name) !== 0 && this.policy.decide(request, [name]).refusal !== null)
  }

  /** Goes on when authorize() says true. Owner of the channel until then. */
  _ask (channel, target, go) {
    const request = { kind: 'channel', ...this.who(), ...target }
    let question = null
    channel.owner = {
      onclose: (err) => {
        question?.cancel()
        channelOver(channel, err, true)
        this.channelGone()
      }
    }
    question = this._server._authorize.ask(this._server._options, request, (answer, why) => {
      channel.owner = null
      if (answer === true && !this._isClosing) go()
      else this.turnAway(channel, why === 'authorize_busy' ? SHORTAGE : PROHIBITED, 'not authorized')
    })
  }

  /** Somebody has connected to what the server listens on for the client. */
  openForwarded (stream, { host, port, path }) {
    const peer = path === undefined ? stream.peer() : { address: '', port: 0 }
    if (this._isClosing || peer === null || this._channels >= this._server._options.maxChannels) return stream.close()
    let channel
    try {
      channel = path === undefined
        ? this._session.open(FORWARDED_TCPIP, host, port, peer.address, peer.port)
        : this._session.open(FORWARDED_STREAMLOCAL, path, 0, '', 0)
    } catch {
      return stream.close() // the session is at its end
    }
    this._channels++
    this._trace.channel(channel)
    this._relays.joinOpening(stream, channel, this.connectMs)
  }

  // Never a look-up and never a connection, whatever stands in /etc/hosts.
  _reserved (channel, host, port) {
    const server = this._server
    const verdict = this.policy.decideReserved(this.request({ host, port }))
    if (!verdict.allow) return this.turnAway(channel, PROHIBITED, verdict.text)
    if (!server._reserved.serves(host)) return this.turnAway(channel, PROHIBITED, 'nobody serves this here')
    const take = () => server._reserved.take(host, new Arrival(channel, { ...this.who(), destination: `${host}:${port}` }, this._arrivals))
    if (server._options.authorize === undefined) take()
    else this._ask(channel, { host, port }, take)
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
    this._refused(reason, text)
    if (this._isClosing) channel.close()
    else this._session.refuse(channel, reason, text)
    channelOver(channel, { code: 'ERR_ALKNET_CHANNEL', reason }, true)
    this.channelGone()
  }

  /** The engine has refused one by itself. */
  onchannelrefused (reason) {
    this._server._counters.count('channelsTotal')
    this._refused(reason, reason === SHORTAGE ? 'too many channels (maxChannels)' : undefined)
  }

  // A limit, or a program that wants what there is not, is the operator's to know; what the policy says is between it and its client.
  _refused (reason, problem) {
    this._server._counters.count('channelsRefused', REFUSALS[reason])
    if (reason !== SHORTAGE && reason !== UNKNOWN_TYPE) return
    this._server._noteRefusal('channel refused', { ...this._remote, reason: REFUSALS[reason], problem })
  }

  /** One channel less; a draining connection without any has nothing to do. */
  channelGone () {
    this._channels--
    if (this._channels === 0 && this._isDraining) this.close(this._drainReason)
  }

  // ---- the end

  /** Closes as soon as no channel is left. */
  drain (reason) {
    this._isDraining = true
    this._drainReason = reason
    this._listening.close()
    if (this._channels === 0) this.close(reason)
  }

  /** Lets channels end for up to ms, and closes. */
  async end (ms, reason) {
    if (ms > 0) {
      this.drain(reason)
      await within(ms, this.closed)
    }
    this.close(reason)
  }

  close (reason) {
    if (this._isClosing) return
    this._isClosing = true
    this._isOurDoing = true
    this._reason = reason
    this._listening.close()
    this._closeTimer = setTimeout(() => this._over(), CLOSE_MS)
    if (reason !== undefined) this._server._counters.count('closed', reason)
    this._session.close(...FAREWELLS[reason] ?? [])
  }

  onclose (err) {
    if (err !== null) this._reason ??= isGoodbye(err) ? 'closed_by_client' : err.code
    this._isClosing = true
    this._over()
  }

  /** What is held against the source of a connection that is over, or null. */
  _offence () {
    if (this._login.permissions !== null || this._login.isExcused) return null
    if (this._isOurDoing) return this._login.isWaiting ? null : OFFENCES[this._reason] ?? null
    return this._login.attempts > 0 ? 'auth_failed' : 'no_auth'
  }

  _over () {
    if (this._resolveClosed === null) return
    const offence = this._offence()
    clearTimeout(this._grace)
    clearTimeout(this._closeTimer)
    this._keepalive?.close()
    this._listening.close()
    this._life.close()
    this.lookups.close()
    this._login.close()
    this._server._admission.left(this, this._ticket, offence)
    this._trace.over(this._reason === undefined ? null : { code: this._reason })
    const ms = Number((process.hrtime.bigint() - this._opened) / 1000000n)
    this._server._log.info('connection closed', {
      ...this._remote, transport: this._peer.transport, duration: ms / 1000, reason: this._reason
    })
    this._resolveClosed()
    this._resolveClosed = null
  }
}

// It has said that it goes, and was logged in: no failure.
function isGoodbye ({ code, reason }) {
  return code === 'ERR_ALKNET_LOST' && reason === BY_APPLICATION
}

function onGrace (connection) {
  connection.close('login_grace')
}

module.exports = { Connection }
