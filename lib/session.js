'use strict'

/**
 * A client's session, as its user holds it: its listeners, its channels, its
 * state. The connection to the server is a Link (link.js), of which it has one
 * or none; keeper.js gives it the next. Where it may have several, the others
 * are in pool.js, and one of them takes the place of a first that is lost.
 *
 *   connecting -> ready -> closing -> closed
 *       ^           | the link is lost, and there is to be another
 *       |           v
 *     waiting <-- lost
 *
 * Listeners stay through all of it. What was open over a link that is lost
 * ends; what is new waits for the next one, for a while.
 */

const { EventEmitter } = require('events')
const { formatHostPort } = require('./addresses')
const { emitSafely } = require('./emit')
const { canceled, fail } = require('./errors')
const { closeOptions, forwardSpec, listenPlace, openTarget, remoteForwardSpec, signalOption, socks5Options } = require('./call-options')
const { createLogger, NO_LOG } = require('./log')
const { Keeper } = require('./keeper')
const { openMetrics } = require('./metrics')
const { clientFamilies } = require('./metrics-values')
const { LocalListeners } = require('./local-listeners')
const { Pool } = require('./pool')
const { Channels } = require('./session-channels')
const { Stream } = require('./stream')
const { HttpAgent, HttpsAgent, connector } = require('./http-agent')
const { RemoteForwards } = require('./remote-forward')
const { RemoteListener } = require('./remote-listener')
const { Trace } = require('./trace')
const { noSession } = require('./waiting')

/**
 * A session with a server. Made by openSession().
 *
 * Events: `'state'` (to, from, err): each change of `state`; err: why there is
 * no link, where that is so. `'listener'` (listener, err): the server listens
 * again for a listener after a reconnect; or does not, and err says why.
 * `'close'` (err): the session is over; err is null when it was closed here,
 * else an AlknetError.
 */
class Session extends EventEmitter {
  /** options: of clientOptions(). tls: the addon's TlsContext of that transport, or null. secret: of stealth, or null. duplex: the transport, when it is a stream of the user's, or null. */
  constructor (options, { keys, known, tls, secret }, duplex) {
    super()
    this._options = options
    this._keys = keys
    this._known = known
    this._tls = tls
    this._secret = secret
    this._duplex = duplex
    this._log = options.log === null ? NO_LOG : createLogger(options.log)
    this._openMs = options.openTimeout * 1000
    this._isClosing = false // close() was called
    this._isEnding = false
    this._isUnref = false
    this._link = null
    this._past = { in: 0, out: 0 } // bytes of links that are gone
    this._pool = new Pool(this)
    this._links = 0
    this._keeper = new Keeper(this)
    this._channels = new Channels(this)
    this._locals = new LocalListeners(this)
    this._remote = new RemoteForwards(this)
    this._asked = [] // remote forwards that the options ask for, and that a try had
    this._control = null
    this._metrics = null
    this._state = 'connecting'
    this._trace = new Trace('client', options.stream === undefined ? options.transport : 'stream')
    /** Why the session ended, or null. */
    this.error = null
    /** Resolves when the session is over; never rejects. */
    this.closed = new Promise((resolve) => { this._resolveClosed = resolve })
  }

  /** What was negotiated: { engine, peer, kex, hostkey, cipherIn, … }; null while there is no link. */
  get info () {
    return this._link?.info() ?? null
  }

  /** 'host:port' of the server that it is connected to; without a link the first; null where it is a stream. */
  get server () {
    const server = this._link?.server ?? this._options.server?.[0]
    return server === undefined ? null : formatHostPort(server.host, server.port)
  }

  /** The SOCKS proxies, forwards and remote forwards that there are. */
  get openListeners () {
    return [...this._locals.list(), ...this._remote.list()]
  }

  /** 'connecting', 'ready', 'lost', 'waiting', 'closing' or 'closed'; each change is an event 'state' (to, from, err). */
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
    return this._channels.openStream(openTarget(target), signal, (channel) => new Stream(channel))
  }

  /**
   * Adds a SOCKS proxy. Options: socks5 ('addr:port'), socks5Auth, socks5Open.
   * @returns {Promise<Listener>}
   */
  async socks5 (options = {}) {
    const checked = socks5Options(options)
    this._checkOpen('listen', checked.signal)
    return this._locals.socks5(checked)
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
    this._checkOpen('listen', signal)
    const listener = await this._locals.forward(parsed)
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
    if (!this._isReady) await this._channels.ready('listen', signal)
    return this._remote.ask(this._link, parsed, signal)
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
    if (!this._isReady) await this._channels.ready('listen', signal)
    return this._remote.ask(this._link, { ...parsed, Listener: RemoteListener }, signal)
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
    if (!this._isReady) throw noSession()
    return this._link.requests.ping(this._openMs, signal)
  }

  /** { address, family, port } of where metrics are told; null: nowhere. */
  metricsAddress () {
    return this._metrics === null ? null : this._metrics.address()
  }

  /** How much was done so far. */
  stats () {
    const bytes = this._link?.bytes() ?? { in: 0, out: 0 }
    const others = this._pool.bytes()
    return {
      bytesIn: this._past.in + bytes.in + others.in,
      bytesOut: this._past.out + bytes.out + others.out,
      sessions: (this._isReady ? 1 : 0) + this._pool.size,
      ...this._channels.count(),
      reconnects: Math.max(0, this._links - 1)
    }
  }

  /**
   * Gives up the connection to the server, where there is one, and makes a new
   * one at once.
   * @param {{ signal?: AbortSignal }} [options] ends the wait, not the try
   * @returns {Promise<void>} it is ready again, and the server has answered for
   *   all that it is to listen on
   */
  async reconnect (options) {
    const { signal } = signalOption(options)
    this._checkOpen('session', signal)
    if (this._duplex !== null) throw fail('UNSUPPORTED', 'session', 'a session over a stream cannot reconnect: it has no other')
    return this._keeper.again(signal)
  }

  /**
   * Stops listening, lets what is going on end for up to drainMs, disconnects.
   * @param {{ drainMs?: number }} [options]
   * @returns {Promise<void>} closed
   */
  async close (options) {
    const { drainMs } = closeOptions(options)
    if (this._isEnding) return this.closed
    this._isClosing = true
    this._enter('closing')
    this._keeper.stop(null)
    this._channels.stop(null)
    this._closeListeners()
    await this._channels.relays.drained(drainMs)
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
    this._isUnref = !keeps
    this._link?.keepAlive(keeps)
    this._pool.keepAlive(keeps)
    this._keeper.keepAlive(keeps)
    this._duplex?.[keeps ? 'ref' : 'unref']()
    this._locals.keepAlive(keeps)
    return this
  }

  // ---- for its parts

  get _isReady () {
    return this._link !== null && this._link.isReady
  }

  /** Whether nothing more can begin. */
  get _isStopping () {
    return this._isEnding || this._isClosing
  }

  /** Throws when it cannot begin. */
  _checkOpen (stage, signal) {
    if (signal?.aborted) throw canceled(stage, signal.reason)
    if (this._isStopping) throw closedError(stage)
  }

  async _openMetrics () {
    const { metrics, metricsOpen, sshEngine: engine } = this._options
    if (metrics === null) return
    this._metrics = await openMetrics(metrics, metricsOpen, (delay) => clientFamilies({
      stats: this.stats(), isReady: this._isReady, listeners: this.openListeners.length, engine
    }, delay))
    const { address, port } = this._metrics.address()
    this._log.info('metrics', { address, port })
  }

  /** What nobody may reach through us: our own listeners. */
  _ownPlaces () {
    return [...this._locals.list(), ...this._metrics === null ? [] : [this._metrics]].map((one) => one.address())
  }

  /** Binds what the options ask for. */
  async _listen () {
    const { socks5, forward } = this._options
    if (socks5 !== null) this._locals.socks5(this._options)
    for (const spec of forward) await this._locals.forward(spec)
  }

  /** Has the server listen as the options ask for: all of it, or it rejects. */
  _listenThere (link) {
    const { remoteForward, signal } = this._options
    // What an earlier try had is gone with its link, and is asked for here again.
    for (const forward of this._asked.splice(0)) forward.close()
    return Promise.all(remoteForward.map(async (spec) => this._asked.push(await this._remote.ask(link, spec, signal))))
  }

  _listenerChanged (listener, err) {
    emitSafely(this, 'listener', listener, err)
  }

  _closeListeners () {
    return this.openListeners.map((listener) => listener.close())
  }

  // ---- for keeper.js and link.js

  /** The link that is to be. */
  _newLink (link) {
    if (this._link !== null) this._linkGone(this._link)
    this._link = link
    return link
  }

  /** Nothing of a link is left but what it has counted. */
  _linkGone (link) {
    const bytes = link.bytes()
    this._past.in += bytes.in
    this._past.out += bytes.out
  }

  /** What tells of a link: of the first, from the session's beginning on. */
  _takeTrace () {
    const trace = this._links > 0 || this._link !== null ? this._trace.again() : this._trace
    this._trace = trace
    return trace
  }

  _linkReady () {
    if (this._isEnding) return
    this._links++
    this._enter('ready')
    this._channels.linked()
  }

  /** A link that was ready is over, or about to be. */
  _linkDown (link) {
    this._remote.down()
    if (this._isStopping) return
    const next = this._pool.next(link)
    if (next !== null) return this._goOn(next)
    if (!this._keeper.isKeeping) return this._shut(link.error)
    this._enter('lost', link.error)
    this._keeper.lost()
  }

  /** With another link of the pool as the first. */
  _goOn (link) {
    this._link = link
    link.holder = this
    this._remote.again(link)
  }

  /** err: why there is no link. delay: seconds until the next try. */
  _enter (state, err = null, delay) {
    const from = this._state
    if (from === state) return
    this._state = state
    this._log.info('session', { state, error: err?.code, delay })
    emitSafely(this, 'state', state, from, err)
  }

  // ---- the end

  /** Ends the session, for err or, when null, because it was asked for. */
  _shut (err) {
    if (this._isEnding) return
    this._isEnding = true
    this.error = err
    if (this._link !== null && this._link.handle !== null) this._enter('closing')
    this._keeper.stop(err)
    this._channels.end(err)
    this._pool.drop(err)
    this._link?.close(err)
    this._over(err)
  }

  async _over (err) {
    await Promise.all([this._link?.closed, this._pool.closed()])
    this._trace.over(err)
    this._keys = []
    await Promise.all([...this._closeListeners(), this._remote.over(), this._control?.close(), this._metrics?.close()])
    this._resolveClosed()
    this._enter('closed')
    emitSafely(this, 'close', err)
  }
}

function closedError (stage) {
  return fail('CLOSED', stage, 'the session is closed')
}

module.exports = { Session }
