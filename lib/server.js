'use strict'

/**
 * The server: listeners, one Connection for each client, who may log in, where
 * a channel may lead.
 *
 *   accepted -> limits -> kex -> auth (login grace) -> ready -> channels -> closed
 *
 * Whatever goes wrong on one connection ends that connection.
 */

const { EventEmitter } = require('events')
const net = require('net')
const { isDeepStrictEqual } = require('util')
const binding = require('./binding')
const { canonicalHost } = require('./addresses')
const { canceled, optionError, AlknetError } = require('./errors')
const { createLogger, NO_LOG } = require('./log')
const { RELOADABLE, serverOptions } = require('./options')
const { loadPrivateKey } = require('./keys')
const { loadAuthorizer } = require('./authorizer')
const { identityOfKey } = require('./identity')
const { Limits } = require('./limits')
const { Lookups } = require('./lookups')
const { Policy } = require('./policy')
const { Keepalive } = require('./keepalive')
const { Relays } = require('./relays')
const { Stream } = require('./stream')
const { listen, rarely } = require('./listener')
const { nativeOptions } = require('./session')
const { Outbound, PROHIBITED, SHORTAGE } = require('./outbound')

const DIRECT_TCPIP = 0
const RESERVED = /^alknet-/i
const CLOSE_MS = 2000

/** An IPv4 client of a dual-stack listener is logged as IPv4: one form each. */
function plainAddress (address) {
  const tail = address.startsWith('::ffff:') ? address.slice(7) : ''
  return net.isIPv4(tail) ? tail : address
}

/** One client. Owner of its native session. */
class Connection {
  constructor (server, stream, peer, ticket) {
    this._session = binding.sshServer(stream, nativeOptions(server._options, {
      hostKeys: server._hostKeys,
      ...(server._options.hostKeyAlgorithms && { hostKeyAlgorithms: server._options.hostKeyAlgorithms })
    }))
    this._session.owner = this
    this._server = server
    this._remote = { remote_addr: peer.address, remote_port: peer.port }
    this._ticket = ticket
    this._opened = process.hrtime.bigint()
    this._attempts = 0
    this._channels = 0 // asked for, joined or handed out, until both sides are closed
    this._user = ''
    this._identity = null
    this._keepalive = null
    this._reason = undefined
    this._isClosing = false
    this._isDraining = false
    this._closeTimer = null
    this._relays = new Relays(() => this.channelGone())
    this.permissions = null
    this.lookups = new Lookups(server._options.maxLookups)
    this.closed = new Promise((resolve) => { this._resolveClosed = resolve })
    this._grace = setTimeout(onGrace, server._options.loginGrace * 1000, this)
    server._log.info('connection opened', { ...this._remote, transport: 'tcp' })
  }

  get policy () {
    return this._server._policy
  }

  /** A question to the policy. */
  request (host, port) {
    return { identity: this._identity, permissions: this.permissions, transport: 'tcp', host, port }
  }

  get connectMs () {
    return this._server._options.connectTimeout * 1000
  }

  // ---- login

  onauth (user, algorithm, blob, proven) {
    if (this._isClosing) return
    // Who is in stays who they are (RFC 4252 §5.1): no engine should ask again.
    if (this.permissions !== null) return this._session.admit(false)
    const { maxAuthAttempts } = this._server._options
    this._attempts++
    const found = this._server._authorizer.find(blob, this._remote.remote_addr)
    const isFull = found.entry !== null && proven && !this._server._limits.promote(this._ticket)
    const entry = isFull ? null : found.entry
    if (entry === null || proven) this._logAttempt(user, blob, isFull ? 'max_sessions' : found.reason)
    if (entry !== null && proven) this._admitted(user, blob, entry)
    this._session.admit(entry !== null)
    if (isFull) this.close('max_sessions')
    else if (this.permissions === null && this._attempts >= maxAuthAttempts) this.close('max_auth_attempts')
  }

  // The entry is that of the key whose signature was right, and of no other.
  _admitted (user, blob, entry) {
    this._user = user
    this._identity = identityOfKey(binding.fingerprint(blob), entry.scopes)
    this.permissions = { forwarding: entry.forwarding, permitOpen: entry.permitOpen, permitListen: entry.permitListen }
  }

  _logAttempt (user, blob, reason) {
    this._server._log.info('auth attempt', {
      ...this._remote,
      user,
      key_fingerprint: binding.fingerprint(blob),
      result: reason === null ? 'accept' : 'reject',
      reason: reason ?? undefined
    })
  }

  onready () {
    clearTimeout(this._grace)
    if (this._isClosing) return
    this._keepalive = new Keepalive(this._session, this._server._options, () => this.close('keepalive'))
    this._server.emit('auth', { ...this._info(), destination: undefined })
  }

  _info () {
    return {
      identity: this._identity,
      user: this._user,
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
    if (type !== DIRECT_TCPIP || this.permissions === null) return this.turnAway(channel, PROHIBITED, 'not served here')
    // The one spelling: no other may become a look-up of a reserved name.
    const name = canonicalHost(host) ?? host
    if (RESERVED.test(name)) return this._reserved(channel, name.toLowerCase(), port)
    new Outbound(this, channel, host, port).start()
  }

  // Never a look-up and never a connection, whatever stands in /etc/hosts.
  _reserved (channel, host, port) {
    const server = this._server
    const verdict = this.policy.decideReserved(this.request(host, port))
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
    this._server._limits.leave(this._ticket)
    this._server._connections.delete(this)
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

/**
 * A server. Made by serve().
 *
 * Events: `'auth'` (info): somebody has logged in. `'connection'` (stream,
 * info): a channel to a reserved destination (`alknet-…`). `'close'`: all is
 * closed.
 */
class Server extends EventEmitter {
  /** options: of serverOptions(). */
  constructor (options, hostKeys) {
    super()
    this._options = options
    this._hostKeys = hostKeys
    this._log = options.log === null ? NO_LOG : createLogger(options.log)
    this._warn = rarely(this._log)
    this._authorizer = null
    this._limits = new Limits(options)
    this._connections = new Set()
    this._listeners = []
    this._addresses = []
    this._open = 0
    this._policy = this._policyOf(options)
    this._raw = null // options as they were given: what reload() changes
    this._reloading = Promise.resolve()
    /** Resolves when everything is closed; never rejects. */
    this.closed = new Promise((resolve) => { this._resolveClosed = resolve })
  }

  /**
   * { address, family, port } of the listener; an array when there are several.
   */
  address () {
    return this._addresses.length === 1 ? this._addresses[0] : this._addresses.slice()
  }

  /** How many clients are connected, logged in or not. */
  get connections () {
    return this._connections.size
  }

  /**
   * Reads the keys again and takes over changed options: all of it, or, when
   * anything is wrong, nothing. What needs a new start is named in the log.
   * @param {object|Function} [changes] those options of serve() that change; or
   *   a function that gives all of them, or a promise of that: what it leaves
   *   out is the default again
   */
  async reload (changes = {}) {
    const before = this._reloading
    const done = before.then(() => this._reload(changes))
    this._reloading = done.catch(() => {})
    return done
  }

  async _reload (changes) {
    try {
      const raw = typeof changes === 'function'
        ? { ...onlyInCode(this._raw), ...await changes() }
        : { ...this._raw, ...changes }
      const options = serverOptions(raw)
      const auth = await loadAuthorizer(options.authorizedKeys)
      this._takeOver(raw, options, auth)
    } catch (err) {
      this._log.error('not reloaded', { error: err.code, problem: err.message })
      throw err
    }
    this._log.info('reloaded', {})
  }

  // One step: nothing in here waits.
  _takeOver (raw, options, auth) {
    const old = this._options
    const next = { ...old }
    for (const name of RELOADABLE) next[name] = options[name]
    for (const name of Object.keys(options)) {
      if (RELOADABLE.includes(name) || isDeepStrictEqual(options[name], old[name])) continue
      this._log.warn('needs a new start', { option: name })
    }
    this._raw = raw
    this._options = next
    this._policy = this._policyOf(next)
    this._limits.update(next)
    this._useAuth(auth)
  }

  _policyOf ({ forwarding }) {
    return new Policy({
      rules: forwarding.rules,
      byDefault: forwarding.default,
      permitListen: forwarding.permitListen,
      own: () => this._addresses
    })
  }

  /** Reads authorized_keys again. When that fails, the old state stays. */
  async reloadAuth () {
    try {
      await this._loadAuth()
    } catch (err) {
      this._log.error('authorized_keys not reloaded', { error: err.code, problem: err.message })
      throw err
    }
    this._log.info('authorized_keys reloaded', {})
  }

  /**
   * Stops accepting, lets channels end for up to drainMs, disconnects all.
   * @param {{ drainMs?: number }} [options]
   * @returns {Promise<void>} closed
   */
  async close ({ drainMs = 0 } = {}) {
    for (const listener of this._listeners) listener.close()
    this._listeners = []
    const all = () => Promise.all([...this._connections].map((one) => one.closed))
    if (drainMs > 0) {
      for (const connection of this._connections) connection.drain()
      await within(drainMs, all())
    }
    for (const connection of this._connections) connection.close('server_closed')
    await all()
    this._checkClosed()
    return this.closed
  }

  [Symbol.asyncDispose] () {
    return this.close()
  }

  ref () {
    for (const listener of this._listeners) listener.ref()
    return this
  }

  unref () {
    for (const listener of this._listeners) listener.unref()
    return this
  }

  async _loadAuth () {
    this._useAuth(await loadAuthorizer(this._options.authorizedKeys))
  }

  _useAuth ({ authorizer, problems }) {
    for (const { source, line, message } of problems) {
      this._log.warn('authorized_keys line ignored', { source, line, problem: message })
    }
    this._authorizer = authorizer
    if (authorizer.isEmpty) this._log.warn('nobody can log in: no usable line in authorized_keys', {})
  }

  _listen () {
    for (const { address, port } of this._options.listen) {
      const listener = listen(address, port)
      listener.owner = this
      this._listeners.push(listener)
      this._addresses.push(listener.address())
      this._open++
    }
    for (const one of this._addresses) {
      this._log.info('listening', { transport: 'tcp', address: one.address, port: one.port })
    }
    const { rules, default: byDefault } = this._options.forwarding
    if (rules.length === 0 && byDefault === 'allow') {
      this._log.info('forwarding is allowed to every target but the built-in deny', {})
    }
  }

  _hasHandler () {
    return this._options.onConnection !== undefined || this.listenerCount('connection') > 0
  }

  _handle (stream, info) {
    if (this._options.onConnection !== undefined) this._options.onConnection(stream, info)
    else this.emit('connection', stream, info)
  }

  _checkClosed () {
    if (this._open > 0 || this._connections.size > 0 || this._resolveClosed === null) return
    this._resolveClosed()
    this._resolveClosed = null
    this.emit('close')
  }

  // ---- events of the listeners

  onstream (stream) {
    const peer = stream.peer()
    if (peer === null) return stream.close()
    peer.address = plainAddress(peer.address)
    const ticket = this._limits.enter(peer.address)
    if (typeof ticket === 'string') {
      this._log.info('connection rejected', {
        remote_addr: peer.address, remote_port: peer.port, transport: 'tcp', reason: ticket
      })
      return stream.close()
    }
    try {
      this._connections.add(new Connection(this, stream, peer, ticket))
    } catch (err) {
      // The engine does not take the options: nothing that a client has done.
      this._limits.leave(ticket)
      this._warn('connection failed', { error: err.code, problem: err.message })
    }
  }

  onerror (err) {
    this._warn('accept failed', { error: err.code })
  }

  onclose () {
    this._open--
    this._checkClosed()
  }
}

// No file has them, so that no file can leave them out.
function onlyInCode ({ passphrase, signal, onConnection, log }) {
  return { passphrase, signal, onConnection, log }
}

/** Resolves with promise, or after ms. */
function within (ms, promise) {
  let timer
  const late = new Promise((resolve) => { timer = setTimeout(resolve, ms) })
  return Promise.race([promise, late]).finally(() => clearTimeout(timer))
}

/** raw: options as the user gave them. */
async function startServer (raw) {
  const options = serverOptions(raw)
  const { signal, passphrase } = options
  if (signal?.aborted) throw canceled('listen', signal.reason)
  const hostKeys = []
  for (const source of options.hostKey) {
    hostKeys.push(await loadPrivateKey(source, { option: 'hostKey', passphrase, signal }))
  }
  const server = new Server(options, hostKeys)
  server._raw = raw
  try {
    await server._loadAuth()
    if (signal?.aborted) throw canceled('listen', signal.reason)
    server._listen()
  } catch (err) {
    await server.close()
    throw err instanceof AlknetError ? err : optionError('listen', err.message, err)
  }
  return server
}

module.exports = { Server, plainAddress, startServer }
