'use strict'

/**
 * A client's session: one transport, one SSH session, its listeners.
 *
 *   keys and known_hosts read -> listeners bound -> connect -> kex
 *     -> host key checked -> login with each key in turn -> ready
 *     -> lost or closed: 'close'
 *
 * Each step has a time limit, and the first thing that goes wrong is what
 * openSession() rejects with.
 */

const { EventEmitter } = require('events')
const binding = require('./binding')
const { AlknetError, canceled, fail, optionError } = require('./errors')
const { formatHostPort, isHost } = require('./addresses')
const { forwardSpec, socks5Options } = require('./options')
const { createLogger, NO_LOG } = require('./log')
const { hostKeyOrder, loadCredentials } = require('./credentials')
const { dialHost } = require('./dial')
const { Keepalive } = require('./keepalive')
const { nativeOptions } = require('./native-options')
const { Opening } = require('./opening')
const { Relays } = require('./relays')
const { Stream } = require('./stream')
const { ForwardListener } = require('./forward')
const { SocksListener } = require('./socks')

const DIRECT_TCPIP = 0

// A peer that no longer reads cannot hold close() back for longer.
const CLOSE_MS = 2000

/**
 * A session with a server. Made by openSession().
 *
 * Event `'close'` (err): the session is over; err is null when it was closed
 * here, else an AlknetError.
 */
class Session extends EventEmitter {
  /** options: of clientOptions(). keys: private Keys. known: KnownHosts. */
  constructor (options, keys, known) {
    super()
    this._options = options
    this._keys = keys
    this._known = known
    this._log = options.log === null ? NO_LOG : createLogger(options.log)
    this._openMs = options.openTimeout * 1000
    this._handle = null
    this._stage = 'connect'
    this._nextKey = 0
    this._isReady = false
    this._isClosing = false
    this._isOver = false
    this._isUnref = false
    this._keepalive = null
    this._login = null // { resolve, reject, timer, signal, onAbort }
    this._clients = new Set() // of SOCKS, from their request on
    this._relays = new Relays((err) => this._relayGone(err))
    this._listeners = []
    this._closeTimer = null
    /** Why the session ended, or null. */
    this.error = null
    /** Resolves when the session is over; never rejects. */
    this.closed = new Promise((resolve) => { this._resolveClosed = resolve })
  }

  /** What was negotiated: { engine, peer, kex, hostkey, cipherIn, … }; null once over. */
  get info () {
    return this._handle === null ? null : this._handle.info()
  }

  /** The SOCKS proxies and forwards that listen now. */
  get localListeners () {
    return [...this._listeners]
  }

  /**
   * Opens a channel to host:port, which the server connects to.
   * @param {string} host a name or an address; looked up at the server
   * @param {number} port
   * @param {{ signal?: AbortSignal }} [options]
   * @returns {Promise<Stream>}
   */
  open (host, port, { signal } = {}) {
    if (typeof host !== 'string' || !isHost(host)) return Promise.reject(optionError('host', 'must be a host name or an address'))
    if (!Number.isInteger(port) || port < 0 || port > 65535) return Promise.reject(optionError('port', 'must be a whole number of 0 to 65535'))
    if (signal?.aborted) return Promise.reject(canceled('channel', signal.reason))
    const channel = this._open(host, port)
    if (channel === null) return Promise.reject(fail('CLOSED', 'channel', 'the session is not open'))
    return new Promise((resolve, reject) => {
      new Opening(channel, this._openMs, signal, (err, opened) => { // eslint-disable-line no-new
        if (err) reject(err)
        else resolve(new Stream(opened))
      })
    })
  }

  /**
   * Adds a SOCKS proxy. Options: socks5 ('addr:port'), socks5Auth, socks5Open.
   * @returns {Promise<Listener>}
   */
  async socks5 (options = {}) {
    const checked = socks5Options(options)
    return this._addListener(this._socksListener(checked))
  }

  /**
   * Adds a forward: '[bind:]port:host:hostport'.
   * @returns {Promise<Listener>}
   */
  async forward (spec) {
    return this._addListener(new ForwardListener(this, forwardSpec(spec), this._log))
  }

  /**
   * Stops listening, lets what is going on end for up to drainMs, disconnects.
   * @param {{ drainMs?: number }} [options]
   * @returns {Promise<void>} closed
   */
  async close ({ drainMs = 0 } = {}) {
    if (this._isOver) return this.closed
    this._isClosing = true
    this._closeListeners()
    await this._relays.drained(drainMs)
    this._shut(null)
    return this.closed
  }

  [Symbol.asyncDispose] () {
    return this.close()
  }

  ref () {
    return this._keepAlive(true)
  }

  /** The session and its listeners no longer keep the process up; connections through them do. */
  unref () {
    return this._keepAlive(false)
  }

  _keepAlive (keeps) {
    const name = keeps ? 'ref' : 'unref'
    this._isUnref = !keeps
    this._handle?.[name]()
    for (const listener of this._listeners) listener[name]()
    return this
  }

  // ---- for socks.js, forward.js and openSession()

  /** A channel that is opening, or null when there is no session. */
  _open (host, port) {
    if (!this._isReady || this._closeTimer !== null) return null
    try {
      return this._handle.open(DIRECT_TCPIP, host, port, '127.0.0.1', 0)
    } catch (err) {
      this._log.debug('channel failed', { error: err.code })
      return null
    }
  }

  /** Opens a channel for a SOCKS client and joins both; false: no session. */
  _connect (socks, host, port) {
    if (!this._isReady || this._closeTimer !== null) return false
    try {
      socks.connect(this._handle, host, port, this._openMs)
    } catch (err) {
      this._log.debug('channel failed', { error: err.code })
      return false
    }
    this._relays.add()
    return true
  }

  _socksListener ({ socks5, socks5Auth }) {
    return new SocksListener(this, socks5.address, socks5.port, socks5Auth, this._log)
  }

  _addListener (listener) {
    if (this._isOver || this._isClosing) {
      listener.close()
      throw fail('CLOSED', 'session', 'the session is closed')
    }
    this._listeners.push(listener)
    if (this._isUnref) listener.unref()
    listener.closed.then(() => {
      this._listeners = this._listeners.filter((one) => one !== listener)
    })
    return listener
  }

  /** Binds what the options ask for. */
  _listen () {
    const { socks5, forward } = this._options
    if (socks5 !== null) this._addListener(this._socksListener(this._options))
    for (const spec of forward) this._addListener(new ForwardListener(this, spec, this._log))
  }

  /** Resolves when logged in. transport: an open stream; it is taken. */
  _start (transport) {
    const { server, user, hostKeyAlgorithms, handshakeTimeout, signal } = this._options
    const types = this._known.types(server.host, server.port)
    this._stage = 'kex'
    return new Promise((resolve, reject) => {
      const onAbort = () => this._shut(canceled(this._stage, signal.reason))
      const timer = setTimeout(() => this._shut(this._lateError()), handshakeTimeout * 1000)
      this._login = { resolve, reject, timer, signal, onAbort }
      signal?.addEventListener('abort', onAbort, { once: true })
      this._handle = binding.sshClient(transport, nativeOptions(this._options, {
        user, hostKeyAlgorithms: hostKeyOrder(hostKeyAlgorithms, types)
      }))
      this._handle.owner = this
    })
  }

  _lateError () {
    const { handshakeTimeout } = this._options
    return fail('TIMEOUT', this._stage, `no login within ${handshakeTimeout} s (handshakeTimeout)`)
  }

  _endLogin () {
    const login = this._login
    this._login = null
    if (login === null) return null
    clearTimeout(login.timer)
    login.signal?.removeEventListener('abort', login.onAbort)
    return login
  }

  // ---- events of the addon

  onhostkey (blob) {
    this._stage = 'hostkey'
    const { server, dangerouslyAcceptAnyHostKey } = this._options
    if (dangerouslyAcceptAnyHostKey) {
      this._log.warn('HOST KEY NOT CHECKED: anybody can listen in', {})
      return this._handle.trust(true)
    }
    this._known.verify(server.host, server.port, blob).then(
      () => this._trust(true),
      (err) => {
        this.error ??= err
        this._trust(false)
      })
  }

  // The answer may come after the end: storing a key takes time.
  _trust (isTrusted) {
    if (this._handle !== null && this._closeTimer === null) this._handle.trust(isTrusted)
  }

  onlogin () {
    if (this._closeTimer !== null) return
    this._stage = 'auth'
    if (this._nextKey < this._keys.length) return this._handle.login(this._keys[this._nextKey++])
    const tried = this._keys.map((key) => binding.fingerprint(key.blob())).join(', ')
    this._shut(fail('AUTH', 'auth', `the server accepted none of the keys for the user ${this._options.user}: ${tried}`))
  }

  onready () {
    if (this._closeTimer !== null) return
    this._stage = 'session'
    this._isReady = true
    this._keys = []
    this._keepalive = new Keepalive(this._handle, this._options, () => this._shut(fail('TIMEOUT', 'session',
      `the server has not answered for ${this._options.keepalive * (this._options.keepaliveMax + 1)} s`)))
    this._endLogin()?.resolve()
  }

  // A client opens channels, nobody else: alknet asks for no -R yet.
  onchannel (channel) {
    this._handle.refuse(channel, 1, 'not asked for')
  }

  onclose (err) {
    this._handle = null
    this._over(this._isClosing ? this.error : this.error ?? this._reasonOf(err))
  }

  _reasonOf (err) {
    if (err === null) {
      return fail('LOST', this._stage, this._isReady
        ? 'the server closed the session'
        : 'the server closed the connection before the login')
    }
    // A system's error has no stage of its own: it is where it happened.
    if (err.stage === 'system') err.stage = this._stage
    return err
  }

  // ---- the end

  /** Ends the session, for err or, when null, because it was asked for. */
  _shut (err) {
    if (this._isOver) return
    this.error ??= err
    if (err === null) this._isClosing = true
    if (this._handle === null) return this._over(this.error)
    if (this._closeTimer !== null) return
    this._closeTimer = setTimeout(() => this._over(this.error), CLOSE_MS)
    this._handle.close()
  }

  _over (err) {
    if (this._isOver) return
    this._isOver = true
    this._isReady = false
    this.error = err
    this._keys = []
    clearTimeout(this._closeTimer)
    this._keepalive?.close()
    for (const client of this._clients) client.close()
    this._endLogin()?.reject(err ?? canceled(this._stage))
    Promise.all(this._closeListeners()).then(() => {
      this._resolveClosed()
      this.emit('close', err)
    })
  }

  _closeListeners () {
    return this._listeners.map((listener) => listener.close())
  }

  _relayGone (err) {
    if (err !== null) this._log.debug('connection failed', { error: err.code })
  }
}

/** options: of clientOptions(). */
async function startSession (options) {
  const { server, connectTimeout, signal } = options
  if (signal?.aborted) throw canceled('connect', signal.reason)
  const { keys, known } = await loadCredentials(options)
  const session = new Session(options, keys, known)
  try {
    session._listen()
    const transport = await dialHost(binding, { ...server, timeoutMs: connectTimeout * 1000, signal })
    await session._start(transport)
    return session
  } catch (err) {
    await session.close()
    throw atStage(err, 'connect', `cannot reach ${formatHostPort(server.host, server.port)}`)
  }
}

/** A dial's error says where it happened and to whom. */
function atStage (err, stage, what) {
  if (err.stage === 'system') {
    return new AlknetError(`${what}: ${err.message}`, { code: err.code, errno: err.errno, stage, cause: err })
  }
  return err
}

module.exports = { Session, startSession }
