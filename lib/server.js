'use strict'

/**
 * The server: where it listens (entrances.js), who comes in (admission.js), and
 * what is in force for all of them (in-force.js).
 */

const { EventEmitter } = require('events')
const { plainAddress } = require('./addresses')
const { openAcme } = require('./acme/acme')
const { Admission } = require('./admission')
const { Authorize } = require('./authorize')
const { serverAnswers } = require('./control-answers')
const { openControl } = require('./control-socket')
const { Counters } = require('./counters')
const { DuplexTransport } = require('./duplex')
const { Entrances } = require('./entrances')
const { fail, optionError } = require('./errors')
const { InForce } = require('./in-force')
const { createLogger, NO_LOG } = require('./log')
const { acceptOptions, closeOptions, handlerName } = require('./call-options')
const { Limits } = require('./limits')
const { Places } = require('./listening')
const { Penalties } = require('./penalties')
const { openMetrics } = require('./metrics')
const { serverFamilies } = require('./metrics-values')
const { Reloads } = require('./reloads')
const { Reserved } = require('./reserved')
const { ServerSession } = require('./server-session')
const { serverStats } = require('./server-stats')
const { rarely } = require('./listener')
const { serverContexts } = require('./tls-files')
const { Workers } = require('./workers/workers')

/**
 * A server. Made by serve(), in server-start.js.
 *
 * Events: `'auth'` (info): somebody has logged in. `'session'` (ServerSession):
 * the same, to be closed. `'connection'` (stream, info): a channel to a reserved
 * destination (`alknet-…`). `'error'` (err, info): a handler of handle() has
 * failed; nobody has to listen. `'close'`: all is closed.
 */
class Server extends EventEmitter {
  /** raw: options as the user gave them, and given: of serverOptions(). */
  constructor (raw, given, hostKeys) {
    super()
    this._inForce = new InForce(this, raw, given)
    const options = this._options
    this._hostKeys = hostKeys
    this._log = options.log === null ? NO_LOG : createLogger(options.log)
    this._warn = rarely(this._log)
    this._noteRefusal = rarely(this._log, 'info')
    this._workers = options.workers > 1 ? new Workers(this, options) : null
    this._limits = new Limits(options, undefined, undefined, this._workers?.seats)
    this._penalties = new Penalties(options)
    this._counters = new Counters()
    this._authorize = new Authorize(this._warn)
    this._reserved = new Reserved(this, options, this._log)
    this._lastSession = 0
    this._admission = new Admission(this, {
      limits: this._limits, penalties: this._penalties, counters: this._counters, log: this._log, onEmpty: () => this._checkClosed()
    })
    this._places = new Places() // what clients have us listen on
    this._entrances = new Entrances(this)
    this._open = 0
    this._control = null
    this._metrics = null
    this._acme = null // who gets certificates
    this._since = new Date()
    this._isClosing = false
    this._reloads = new Reloads(this)
    if (this._workers !== null) this.on('newListener', (event) => { if (event === 'connection') this._checkAlone() })
    /** Resolves when everything is closed; never rejects. */
    this.closed = new Promise((resolve) => { this._resolveClosed = resolve })
  }

  /**
   * { address, family, port, transport } of the listener; an array when there are several.
   */
  address () {
    const { addresses } = this._entrances
    return addresses.length === 1 ? addresses[0] : addresses.slice()
  }

  /** { address, family, port } of where metrics are told; null: nowhere. */
  metricsAddress () {
    return this._metrics === null ? null : this._metrics.address()
  }

  /** How many clients are connected, logged in or not. */
  get connections () {
    return this._admission.count + (this._workers?.connections ?? 0)
  }

  /**
   * How many there are now, and what was counted since the start.
   * @returns {object} numbers, by reason where there are several: docs/api.md
   */
  stats () {
    return serverStats(this)
  }

  /** Those who are logged in. */
  sessions () {
    const here = [...this._admission.connections].flatMap(({ session }) => session ?? [])
    return this._workers === null ? here : [...here, ...this._workers.sessions()].sort((a, b) => a.id - b.id)
  }

  /**
   * Serves a reserved name: before onConnection, 'connection' and loops.
   * @param {string} name 'alknet-…', with any port
   * @param {Function} fn (stream, info); what it throws, or rejects with, ends
   *   that stream and is an 'error' event, where somebody listens for it
   * @returns {Function} undoes it; also Symbol.dispose
   */
  handle (name, fn) {
    const canonical = handlerName(name, fn)
    this._checkAlone()
    if (this._isClosing) throw fail('CLOSED', 'session', 'the server is closed')
    return this._reserved.handle(canonical, fn)
  }

  /** for await (const { stream, info } of server): what no handler takes. */
  [Symbol.asyncIterator] () {
    this._checkAlone()
    return this._reserved.iterate()
  }

  /**
   * Reads the keys again and takes over changed options: all of it, or, when
   * anything is wrong, nothing. Certificates of TLS stand by themselves: those
   * that cannot be used hold up nothing else, and nothing else holds them up.
   * Rejects with what was wrong. What needs a new start is named in the log.
   * @param {object|Function} [changes] those options of serve() that change; or
   *   a function that gives all of them, or a promise of that: what it leaves
   *   out is the default again
   * @param {{ signal?: AbortSignal }} [options] aborted: nothing changes
   */
  reloadAll (changes = {}, options) {
    return this._reloads.run('all', options, (check) => this._inForce.reload(changes, check))
  }

  /**
   * Another policy from now on, for what is asked for from now on.
   * @param {object} forwarding as in serve(): what it leaves out is the default
   * @param {{ signal?: AbortSignal }} [options]
   */
  reloadForwarding (forwarding, options) {
    return this._reloads.run('forwarding', options, () => this._inForce.reloadForwarding(forwarding))
  }

  /**
   * Reads the certificates and keys of TLS again, for those who come from now
   * on. When one cannot be used, all stay as they were.
   * @param {{ signal?: AbortSignal }} [options]
   */
  reloadTls (options) {
    return this._reloads.run('tls', options, (check) => this._inForce.loadTls(check))
  }

  /**
   * Asks the CA of acmeDomain for another certificate, now, for those who come
   * from then on. When there is none it rejects, and the old one stays.
   * @returns {Promise<void>}
   */
  async renewCertificate () {
    if (this._acme === null) throw optionError('acmeDomain', 'is required: the certificates are files')
    await this._acme.renew()
  }

  /**
   * Reads authorized_keys, CAs and revocations again. When that fails, the old
   * state stays.
   * @param {{ signal?: AbortSignal }} [options]
   */
  reloadAuth (options) {
    return this._reloads.run('auth', options, (check) => this._inForce.loadAuth(check))
  }

  /**
   * Serves a client that has come over a stream of somebody else's: a WebSocket,
   * a channel of another session. The stream is the server's from here on, and
   * is destroyed when the client is gone.
   * @param {import('stream').Duplex} stream
   * @param {{ remoteAddress?: string, remotePort?: number }} [info] who that is,
   *   for from="…", the limits and the log
   */
  accept (stream, info = {}) {
    const { remoteAddress, remotePort } = acceptOptions(stream, info)
    if (this._isClosing) throw fail('CLOSED', 'session', 'the server is closed')
    const transport = new DuplexTransport(stream)
    this._admission.enter(transport.take(), { address: plainAddress(remoteAddress), port: remotePort, transport: 'stream' })
  }

  /**
   * Stops accepting, lets channels end for up to drainMs, disconnects all.
   * @param {{ drainMs?: number }} [options]
   * @returns {Promise<void>} closed
   */
  async close (options) {
    const { drainMs } = closeOptions(options)
    this._isClosing = true
    this._acme?.close()
    this._entrances.close()
    this._reserved.close()
    await Promise.all([this._admission.close(drainMs), this._workers?.close(drainMs)])
    this._control?.close()
    this._metrics?.close()
    this._checkClosed()
    return this.closed
  }

  [Symbol.asyncDispose] () {
    return this.close()
  }

  ref () {
    this._entrances.ref()
    this._workers?.keepAlive(true)
    return this
  }

  unref () {
    this._entrances.unref()
    this._workers?.keepAlive(false)
    return this
  }

  // Nothing is open yet that would have to be closed.
  async _openContexts (options) {
    this._acme = await openAcme(options, { contexts: () => this._entrances.contexts.filter((one) => one !== null), log: this._log })
    return serverContexts(options.places, options, this._acme)
  }

  // Before there is a client who could ask for its port.
  async _openMetrics () {
    const { metrics, metricsOpen, sshEngine } = this._options
    if (metrics === null) return
    const opened = await openMetrics(metrics, metricsOpen, (delay) => serverFamilies(this.stats(), sshEngine, delay))
    const { address, port } = opened.address()
    this._metrics = opened
    this.onopen()
    opened.closed.then(() => this.onclose())
    this._log.info('metrics', { address, port })
  }

  // Nor before this one, for its path.
  async _openControl () {
    this._control = await openControl(this._options.control, 'serve', serverAnswers(this), this._log)
    if (this._control === null) return
    this.onopen()
    this._control.closed.then(() => this.onclose())
  }

  /** contexts: for the places of the options, in their order. */
  _listen (contexts) {
    this._entrances.listen(this._options.places, contexts)
    const { rules, default: byDefault } = this._options.forwarding
    if (rules.length === 0 && byDefault === 'allow') {
      this._log.info('forwarding is allowed to every target but the built-in deny', {})
    }
    if (this._options.proxy !== undefined) {
      this._log.info('names go to the proxy as they are: where they lead is for its own rules to say', {})
    }
  }

  // Certificates come only once there is somebody whom a CA can look at.
  _startAcme () {
    this._acme?.start({
      onContext: () => {
        this._entrances.use(this._options.places, this._entrances.contexts)
        return this._reloads.spread()
      },
      count: (result) => this._counters.count('certificateOrders', result)
    })
  }

  // ---- for its connections

  get _options () {
    return this._inForce.options
  }

  get _policy () {
    return this._inForce.policy
  }

  get _authorizer () {
    return this._inForce.authorizer
  }

  /** Where it listens itself: who may reach that is its policy's to say. */
  _ownPlaces () {
    return [
      ...this._entrances.addresses,
      ...this._metrics === null ? [] : [this._metrics.address()],
      ...this._acme?.challenges.addresses() ?? [],
      ...this._control === null ? [] : [{ path: this._control.path }]
    ]
  }

  // A channel's bytes are in the thread of its session.
  _checkAlone () {
    if (this._workers !== null) throw fail('UNSUPPORTED', 'session', 'a server with workers serves no channels itself')
  }

  /** Somebody has logged in. */
  _enterSession (connection) {
    return new ServerSession(connection, ++this._lastSession)
  }

  _checkClosed () {
    if (this._open > 0 || this.connections > 0 || !this._admission.visitors.isEmpty || this._workers?.isRunning || this._resolveClosed === null) return
    this._resolveClosed()
    this._resolveClosed = null
    this.emit('close')
  }

  // ---- events of the listeners

  onopen () {
    this._open++
  }

  onerror (err) {
    this._counters.count('acceptErrors')
    this._warn('accept failed', { error: err.code })
  }

  onclose () {
    this._open--
    this._checkClosed()
  }
}

module.exports = { Server }
