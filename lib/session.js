'use strict'

/**
 * A client's session: one transport, one SSH session, its listeners.
 *
 *   keys and known_hosts read -> listeners bound -> connect -> kex
 *     -> host key checked -> login with each key in turn -> ready
 *     -> the server listens too -> lost or closed: 'close'
 *
 * Each step has a time limit, and the first thing that goes wrong is what
 * openSession() rejects with.
 */

const { EventEmitter } = require('events')
const binding = require('./binding')
const { DIRECT_STREAMLOCAL, DIRECT_TCPIP } = require('./channels')
const { AlknetError, canceled, fail } = require('./errors')
const { canonicalHost, formatHostPort } = require('./addresses')
const { forwardSpec, listenPlace, openTarget, remoteForwardSpec, signalOption, socks5Options } = require('./options')
const { createLogger, NO_LOG } = require('./log')
const { clientAnswers } = require('./control-answers')
const { openControl } = require('./control-socket')
const { hostKeyOrder, loadCredentials } = require('./credentials')
const { NO_NAME } = require('./host-key-refusals')
const { dialThrough } = require('./dial-through')
const { DuplexTransport } = require('./duplex')
const { Keepalive, unackedMs } = require('./keepalive')
const { nativeOptions } = require('./native-options')
const { Opening } = require('./opening')
const { Relays } = require('./relays')
const { Stream } = require('./stream')
const { openForward } = require('./forward')
const { HttpAgent, HttpsAgent, connector } = require('./http-agent')
const { RemoteForwards } = require('./remote-forward')
const { RemoteListener } = require('./remote-listener')
const { SocksListener } = require('./socks')
const { clientContext } = require('./tls-files')
const { secure } = require('./tls-handshake')
const { Trace } = require('./trace')

// Of whom only a stream is known: no known_hosts line but one for all is about it.
const NAMELESS = { host: NO_NAME, port: 22 }

const NO_WIRE = { received: () => 0, sent: () => 0 }

// A peer that no longer reads cannot hold close() back for longer.
const CLOSE_MS = 2000

/**
 * A session with a server. Made by openSession().
 *
 * Events: `'state'` (to, from): each change of `state`. `'close'` (err): the
 * session is over; err is null when it was closed here, else an AlknetError.
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
    this._name = options.server ?? NAMELESS // in known_hosts
    this._duplex = null // the transport, when it is a stream of the user's
    this._tls = null // the addon's TlsContext, of the transport tls
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
    this._listeners = [] // on this side
    this._remote = new RemoteForwards(this)
    this._lost = null // what the engine said at the end
    this._closeTimer = null
    this._control = null
    this._hostKey = null // its blob, of who the server says it is
    this._since = null // when it was ready
    this._state = 'connecting'
    this._streams = new Set() // channels that are somebody's Duplex
    this._streamsTotal = 0
    this._wire = NO_WIRE // what counts its bytes: the handle, also when it is closed
    this._trace = new Trace('client', options.stream === undefined ? options.transport : 'stream')
    /** Why the session ended, or null. */
    this.error = null
    /** Resolves when the session is over; never rejects. */
    this.closed = new Promise((resolve) => { this._resolveClosed = resolve })
  }

  /** What was negotiated: { engine, peer, kex, hostkey, cipherIn, … }; null once over. */
  get info () {
    return this._handle === null ? null : this._handle.info()
  }

  /** The SOCKS proxies, forwards and remote forwards that listen now. */
  get openListeners () {
    return [...this._listeners, ...this._remote.list()]
  }

  /** 'connecting', 'ready', 'closing' or 'closed'; each change is an event 'state' (to, from). */
  get state () {
    return this._state
  }

  /**
   * Opens a channel to a place that the server connects to.
   * @param {{ host: string, port: number } | { path: string }} target a name is
   *   looked up at the server; path: of a Unix socket there
   * @param {{ signal?: AbortSignal }} [options]
   * @returns {Promise<Stream>}
   */
  async open (target, options) {
    const { signal } = signalOption(options)
    return this._openStream(openTarget(target), signal, (channel) => new Stream(channel))
  }

  /**
   * Adds a SOCKS proxy. Options: socks5 ('addr:port'), socks5Auth, socks5Open.
   * @returns {Promise<Listener>}
   */
  async socks5 (options = {}) {
    const checked = socks5Options(options)
    this._checkListens(checked.signal)
    return this._addListener(this._socksListener(checked))
  }

  /**
   * Adds a forward: '[bind:]port:host:hostport', or with a path on either side.
   * @param {string} spec
   * @param {{ signal?: AbortSignal }} [options]
   * @returns {Promise<Listener>}
   */
  async forwardLocal (spec, options) {
    const { signal } = signalOption(options)
    const parsed = forwardSpec(spec)
    this._checkListens(signal)
    const listener = this._addListener(await openForward(this, parsed, this._log))
    if (!signal?.aborted) return listener
    await listener.close()
    throw canceled('listen', signal.reason)
  }

  /**
   * Has the server listen: '[bind:]port:host:hostport' or with a path on
   * either side, the target on this side; '[bind:]port' is a SOCKS proxy.
   * @param {string} spec
   * @param {{ signal?: AbortSignal }} [options]
   * @returns {Promise<Listener>}
   */
  async forwardRemote (spec, options) {
    const { signal } = signalOption(options)
    const parsed = remoteForwardSpec(spec)
    this._checkOpen('listen', signal)
    return this._remote.ask(parsed, this._openMs, signal)
  }

  /**
   * Has the server listen, and gives what it accepts to this program.
   * @param {{ host?: string, port: number } | { path: string }} place at the server
   * @param {{ maxPending?: number, signal?: AbortSignal }} [options]
   * @returns {Promise<RemoteListener>}
   */
  async listen (place, options) {
    const { signal, ...parsed } = listenPlace(place, options)
    this._checkOpen('listen', signal)
    return this._remote.ask({ ...parsed, Listener: RemoteListener }, this._openMs, signal)
  }

  /**
   * An http.Agent whose connections go through the session.
   * @param {object} [options] of http.Agent
   */
  httpAgent (options) {
    return new HttpAgent(this, options)
  }

  /**
   * An https.Agent whose connections go through the session; certificates are
   * checked as always.
   * @param {object} [options] of https.Agent
   */
  httpsAgent (options) {
    return new HttpsAgent(this, options)
  }

  /**
   * What undici calls to connect: new Agent({ connect: session.connector() }).
   * @param {object} [options] of tls.connect(), for https:
   * @returns {Function}
   */
  connector (options) {
    return connector(this, options)
  }

  /**
   * How long the server takes to answer, in milliseconds.
   * @param {{ signal?: AbortSignal }} [options]
   * @returns {Promise<number>}
   */
  async rtt (options) {
    const { signal } = signalOption(options)
    this._checkOpen('session', signal)
    return this._remote.ping(this._openMs, signal)
  }

  /** How much was done so far. */
  stats () {
    return {
      bytesIn: this._wire.received(),
      bytesOut: this._wire.sent(),
      channels: this._relays.count + this._streams.size,
      channelsTotal: this._relays.total + this._streamsTotal
    }
  }

  /**
   * Stops listening, lets what is going on end for up to drainMs, disconnects.
   * @param {{ drainMs?: number }} [options]
   * @returns {Promise<void>} closed
   */
  async close ({ drainMs = 0 } = {}) {
    if (this._isOver) return this.closed
    this._isClosing = true
    this._enter('closing')
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
    this._duplex?.[name]()
    for (const listener of this._listeners) listener[name]()
    return this
  }

  // ---- for socks.js, forward.js and openSession()

  /** Throws when there can be no listener on this side. */
  _checkListens (signal) {
    if (signal?.aborted) throw canceled('listen', signal.reason)
    if (this._isOver || this._isClosing) throw fail('CLOSED', 'session', 'the session is closed')
  }

  /** Throws when nothing new can begin with the server. */
  _checkOpen (stage, signal) {
    if (signal?.aborted) throw canceled(stage, signal.reason)
    if (!this._isReady || this._isClosing || this._closeTimer !== null) throw fail('CLOSED', stage, 'the session is closed')
  }

  /** A channel that is opening; throws when there is no session, or the engine cannot. */
  _openChannel ({ host, port, path }) {
    if (!this._isReady || this._closeTimer !== null) throw fail('CLOSED', 'channel', 'the session is closed')
    const channel = path === undefined
      ? this._handle.open(DIRECT_TCPIP, host, port, '127.0.0.1', 0)
      : this._handle.open(DIRECT_STREAMLOCAL, path, 0, '127.0.0.1', 0)
    this._trace.channel(channel)
    return channel
  }

  /** The same, or null. */
  _open (target) {
    try {
      return this._openChannel(target)
    } catch (err) {
      this._log.debug('channel failed', { error: err.code })
      return null
    }
  }

  /** Opens a channel; streamOf(channel) gives the Stream that it becomes, at once. */
  async _openStream (target, signal, streamOf) {
    this._checkOpen('channel', signal)
    const channel = this._openChannel(target)
    return new Promise((resolve, reject) => {
      new Opening(channel, this._openMs, signal, (err, opened) => { // eslint-disable-line no-new
        if (err) reject(err)
        else resolve(this._keep(streamOf(opened)))
      })
    })
  }

  /** Counts a stream for as long as it is open. */
  _keep (stream) {
    this._streamsTotal++
    this._streams.add(stream)
    stream.once('close', () => this._streams.delete(stream))
    return stream
  }

  /** Opens a channel for what a forward has accepted, and joins both. */
  _join (stream, there) {
    const channel = this._open(there)
    if (channel === null) stream.close()
    else this._relays.joinOpening(stream, channel, this._openMs)
  }

  /** What nobody may reach through us: our own listeners. */
  _ownPlaces () {
    return this._listeners.map((listener) => listener.address())
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
    this._trace.channel(socks)
    return true
  }

  _socksListener ({ socks5, socks5Auth }) {
    return new SocksListener(this, socks5.address, socks5.port, socks5Auth, this._log)
  }

  _addListener (listener) {
    if (this._isOver || this._isClosing) listener.close()
    this._checkListens()
    this._listeners.push(listener)
    if (this._isUnref) listener.unref()
    listener.closed.then(() => {
      this._listeners = this._listeners.filter((one) => one !== listener)
    })
    return listener
  }

  /** Binds what the options ask for. */
  async _listen () {
    const { socks5, forward } = this._options
    if (socks5 !== null) this._addListener(this._socksListener(this._options))
    for (const spec of forward) this._addListener(await openForward(this, spec, this._log))
  }

  /** Has the server listen as the options ask for: all of it, or it rejects. */
  _listenThere () {
    const { remoteForward, signal } = this._options
    return Promise.all(remoteForward.map((spec) => this._remote.ask(spec, this._openMs, signal)))
  }

  /** Resolves when logged in. transport: an open stream; it is taken. */
  _start (transport) {
    const { user, hostKeyAlgorithms, handshakeTimeout, signal } = this._options
    const types = this._known.types(this._name.host, this._name.port)
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
      this._wire = this._handle
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
    this._hostKey = blob
    const { dangerouslyAcceptAnyHostKey } = this._options
    if (dangerouslyAcceptAnyHostKey) {
      this._log.warn('HOST KEY NOT CHECKED: anybody can listen in', {})
      return this._handle.trust(true)
    }
    this._known.verify(this._name.host, this._name.port, blob).then(
      (problem) => {
        if (problem !== null) this._log.warn('host certificate not used', { problem })
        this._trust(true)
      },
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
    if (this._nextKey > 0) this._trace.auth(false)
    if (this._nextKey < this._keys.length) return this._handle.login(this._keys[this._nextKey++])
    const tried = this._keys.map((key) => `${binding.fingerprint(key.blob())}${key.certificate ? ' with a certificate' : ''}`).join(', ')
    this._shut(fail('AUTH', 'auth', `the server accepted none of the keys for the user ${this._options.user}: ${tried}`))
  }

  onready () {
    if (this._closeTimer !== null) return
    this._stage = 'session'
    this._isReady = true
    this._since = new Date()
    this._enter('ready')
    this._trace.auth(true)
    this._trace.ready(this._handle)
    this._keys = []
    this._keepalive = new Keepalive(this._handle, this._options, (seconds) => this._shut(fail('TIMEOUT', 'session',
      `the server has not answered for ${seconds} s`)))
    this._endLogin()?.resolve()
  }

  onchannel (channel, type, host, port, originHost, originPort) {
    if (this._closeTimer !== null) channel.close()
    else this._remote.onchannel(channel, type, host, port, { remoteAddress: originHost, remotePort: originPort })
  }

  onreply (id, yes, port) {
    this._remote.onreply(id, yes, port)
  }

  onclose (err) {
    this._handle = null
    this._lost = err
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
    if (this._duplex !== null && this._duplex.error !== null) err.cause = this._duplex.error
    return err
  }

  _enter (state) {
    const from = this._state
    if (from === state) return
    this._state = state
    try {
      this.emit('state', state, from)
    } catch (err) {
      process.nextTick(() => { throw err }) // the listener's own: it stops nothing here
    }
  }

  // ---- the end

  /** Ends the session, for err or, when null, because it was asked for. */
  _shut (err) {
    if (this._isOver) return
    this.error ??= err
    if (err === null) this._isClosing = true
    if (this._handle === null) return this._over(this.error)
    if (this._closeTimer !== null) return
    this._enter('closing')
    this._closeTimer = setTimeout(() => this._over(this.error), CLOSE_MS)
    this._handle.close()
  }

  _over (err) {
    if (this._isOver) return
    this._isOver = true
    this._isReady = false
    this.error = err
    this._trace.over(err)
    this._keys = []
    clearTimeout(this._closeTimer)
    this._keepalive?.close()
    for (const client of this._clients) client.close()
    this._endLogin()?.reject(err ?? canceled(this._stage))
    Promise.all([...this._closeListeners(), this._remote.over(), this._control?.close()]).then(() => {
      this._resolveClosed()
      this._enter('closed')
      this.emit('close', err)
    })
  }

  _closeListeners () {
    return this.openListeners.map((listener) => listener.close())
  }

  _relayGone (err) {
    if (err !== null) this._log.debug('connection failed', { error: err.code })
  }
}

/** An open stream of the addon to the server. */
async function openTransport (session, options) {
  const began = performance.now()
  const stream = await openInner(session, options)
  if (session._tls === null) return stream
  const { server, tlsServerName, insecure, connectTimeout, signal } = options
  if (insecure) session._log.error('TLS CERTIFICATE NOT CHECKED: only the host key says who the server is', {})
  const name = tlsServerName ?? canonicalHost(server?.host ?? '')
  return secure(binding.tlsClient(stream, session._tls, name), {
    timeoutMs: Math.max(1, connectTimeout * 1000 - (performance.now() - began)),
    limit: `${connectTimeout} s (connectTimeout)`,
    signal
  })
}

/** What the transport goes over: TCP, or a stream of the user's. */
async function openInner (session, options) {
  const { server, proxy, connectTimeout, signal } = options
  if (session._duplex === null) {
    const proxies = proxy?.to(canonicalHost(server.host) ?? server.host)
    const stream = await dialThrough(binding, { ...server, proxies, timeoutMs: connectTimeout * 1000, signal })
    stream.limitUnacked(unackedMs(options))
    return stream
  }
  if (signal?.aborted) throw canceled('connect', signal.reason)
  return session._duplex.take()
}

/** options: of clientOptions(). */
async function startSession (options) {
  if (options.stream === undefined) return beginSession(options, null)
  const duplex = new DuplexTransport(options.stream)
  try {
    return await beginSession(options, duplex)
  } catch (err) {
    duplex.close()
    throw err
  }
}

async function beginSession (options, duplex) {
  const { server, signal } = options
  if (signal?.aborted) throw canceled('connect', signal.reason)
  const { keys, known } = await loadCredentials(options)
  const context = options.transport === 'tls' ? await clientContext(options) : null
  const session = new Session(options, keys, known)
  session._duplex = duplex
  session._tls = context
  try {
    session._control = await openControl(options.control, 'connect', clientAnswers(session), session._log)
    await session._listen()
    await session._start(await openTransport(session, options))
    await session._listenThere()
    return session
  } catch (err) {
    session._trace.over(err)
    await session.close()
    // At the end of a session each question that is open is answered with no.
    const cause = err.code === 'ERR_ALKNET_CHANNEL' && session._lost !== null ? session._reasonOf(session._lost) : err
    throw atStage(cause, 'connect', server === undefined ? 'no session over the stream' : `cannot reach ${formatHostPort(server.host, server.port)}`)
  }
}

/** A dial's error says where it happened and to whom. */
function atStage (err, stage, what) {
  if (err.stage === 'system') {
    return new AlknetError(`${what}: ${err.message}`, { code: err.code, errno: err.errno, stage, cause: err })
  }
  if (err.stage === 'tls' && err.code !== 'ERR_ALKNET_CANCELED') {
    return new AlknetError(`${what}: ${err.message}`, { code: err.code, errno: err.errno, stage: 'tls', cause: err })
  }
  return err
}

module.exports = { Session, startSession }
