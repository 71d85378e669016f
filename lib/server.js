'use strict'

/**
 * The server: where it listens, who comes in (admission.js), and what is in
 * force for all of them: options, who may log in, the policy, the limits. A
 * reload swaps all of that at once.
 */

const { EventEmitter } = require('events')
const { isDeepStrictEqual } = require('util')
const { plainAddress } = require('./addresses')
const { openAcme } = require('./acme/acme')
const { Admission } = require('./admission')
const { Authorize } = require('./authorize')
const { serverAnswers } = require('./control-answers')
const { openControl } = require('./control-socket')
const { Counters } = require('./counters')
const { DuplexTransport } = require('./duplex')
const { Entrance, placeKeys } = require('./entrance')
const { canceled, fail, optionError, AlknetError } = require('./errors')
const { createLogger, NO_LOG } = require('./log')
const { acceptOptions, closeOptions, handlerName } = require('./call-options')
const { RELOADABLE, onlyInCode, ownOptions, serverOptions } = require('./options')
const { loadHostKeys } = require('./credentials')
const { loadAuthorizer } = require('./authorizer')
const { Limits } = require('./limits')
const { Places } = require('./listening')
const { Penalties } = require('./penalties')
const { Policy } = require('./policy')
const { openMetrics } = require('./metrics')
const { serverFamilies } = require('./metrics-values')
const { Reloads } = require('./reloads')
const { Reserved } = require('./reserved')
const { ServerSession } = require('./server-session')
const { serverStats } = require('./server-stats')
const { rarely } = require('./listener')
const { readSecret } = require('./stealth')
const { certificateOf, serverContexts } = require('./tls-files')
const { Workers } = require('./workers/workers')

/**
 * A server. Made by serve().
 *
 * Events: `'auth'` (info): somebody has logged in. `'session'` (ServerSession):
 * the same, to be closed. `'connection'` (stream, info): a channel to a reserved
 * destination (`alknet-…`). `'error'` (err, info): a handler of handle() has
 * failed; nobody has to listen. `'close'`: all is closed.
 */
class Server extends EventEmitter {
  /** options: of serverOptions(). */
  constructor (options, hostKeys) {
    super()
    this._options = options
    this._hostKeys = hostKeys
    this._log = options.log === null ? NO_LOG : createLogger(options.log)
    this._warn = rarely(this._log)
    this._noteRefusal = rarely(this._log, 'info')
    this._authorizer = null
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
    this._entrances = []
    this._addresses = []
    this._open = 0
    this._control = null
    this._metrics = null
    this._acme = null // who gets certificates
    this._since = new Date()
    this._isClosing = false
    this._policy = this._policyOf(options)
    this._raw = null // options as they were given: what reloadAll() changes
    this._inForce = null // of these, those that hold: some need a new start
    this._files = null // authorized_keys and its like, as they were read
    this._reloads = new Reloads(this)
    if (this._workers !== null) this.on('newListener', (event) => { if (event === 'connection') this._checkAlone() })
    /** Resolves when everything is closed; never rejects. */
    this.closed = new Promise((resolve) => { this._resolveClosed = resolve })
  }

  /**
   * { address, family, port, transport } of the listener; an array when there are several.
   */
  address () {
    return this._addresses.length === 1 ? this._addresses[0] : this._addresses.slice()
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

  // When the first of the certificates that are shown expires; undefined: none is shown.
  get _expires () {
    const times = this._entrances.flatMap(({ context }) => certificateOf(context)?.expires ?? [])
    return times.length === 0 ? undefined : new Date(Math.min(...times))
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
    return this._reloads.run('all', options, (check) => this._reload(changes, check))
  }

  /**
   * Another policy from now on, for what is asked for from now on.
   * @param {object} forwarding as in serve(): what it leaves out is the default
   * @param {{ signal?: AbortSignal }} [options]
   */
  reloadForwarding (forwarding, options) {
    return this._reloads.run('forwarding', options, () => {
      if (forwarding === undefined) throw optionError('forwarding', 'is required')
      const { raw, options } = checked({ ...this._raw, forwarding })
      this._options = { ...this._options, forwarding: options.forwarding }
      this._raw = raw
      this._inForce = { ...this._inForce, forwarding: raw.forwarding }
      this._policy = this._policyOf(this._options)
    })
  }

  /**
   * Reads the certificates and keys of TLS again, for those who come from now
   * on. When one cannot be used, all stay as they were.
   * @param {{ signal?: AbortSignal }} [options]
   */
  reloadTls (options) {
    return this._reloads.run('tls', options, (check) => this._loadTls(check))
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
    return this._reloads.run('auth', options, (check) => this._loadAuth(check))
  }

  async _reload (changes, check) {
    const { raw, options, auth, secret, problem } = await this._read(changes).catch((err) => ({ problem: err }))
    if (problem !== undefined) {
      await this._renewTls(check)
      throw problem
    }
    const read = await serverContexts(options.places, options, this._acme).then((contexts) => ({ contexts }), (err) => ({ problem: err }))
    check()
    this._takeOver(raw, options, auth, read.contexts ?? [])
    this._acme?.refresh()
    this._admission.visitors.useSecret(secret)
    return read.problem
  }

  async _read (changes) {
    const { raw, options } = checked(typeof changes === 'function'
      ? { ...onlyInCode(this._raw), ...await changes() }
      : { ...this._raw, ...changes })
    return { raw, options, auth: await loadAuthorizer(options), secret: await readSecret(options) }
  }

  // What is wrong with the rest must not let a certificate expire.
  async _renewTls (check) {
    if (!this._options.places.some(({ transport }) => transport === 'tls')) return
    try {
      await this._loadTls(check)
      this._reloads.done('tls')
    } catch (err) {
      check()
      this._reloads.failed('tls', err)
    }
  }

  async _loadTls (check) {
    const { places } = this._options
    const contexts = await serverContexts(places, this._options, this._acme)
    check()
    this._useContexts(places, contexts)
    this._acme?.refresh()
  }

  // One step: nothing in here waits. contexts: [] leaves those that there are.
  _takeOver (raw, options, auth, contexts) {
    const old = this._options
    const next = { ...old }
    const inForce = { ...this._inForce }
    for (const name of RELOADABLE) {
      next[name] = options[name]
      inForce[name] = raw[name]
    }
    for (const name of Object.keys(options)) {
      if (RELOADABLE.includes(name) || isSame(name, options, old)) continue
      this._log.warn('needs a new start', { option: name })
    }
    // The certificates change with the files; the places only with a new start.
    next.places = this._useContexts(options.places, contexts)
    this._raw = raw
    this._inForce = inForce
    this._options = next
    this._policy = this._policyOf(next)
    this._limits.update(next)
    this._penalties.update(next)
    this._useAuth(auth)
  }

  _policyOf ({ forwarding }) {
    return new Policy({
      rules: forwarding.rules,
      byDefault: forwarding.default,
      permitListen: forwarding.permitListen,
      own: () => this._ownPlaces()
    })
  }

  _ownPlaces () {
    return [
      ...this._addresses,
      ...this._metrics === null ? [] : [this._metrics.address()],
      ...this._acme?.challenges.addresses() ?? [],
      ...this._control === null ? [] : [{ path: this._control.path }]
    ]
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
    for (const { handle } of this._entrances) handle.close()
    this._entrances = []
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
    for (const { handle } of this._entrances) handle.ref()
    this._workers?.keepAlive(true)
    return this
  }

  unref () {
    for (const { handle } of this._entrances) handle.unref()
    this._workers?.keepAlive(false)
    return this
  }

  async _loadAuth (check = () => {}) {
    const auth = await loadAuthorizer(this._options)
    check()
    this._useAuth(auth)
  }

  _useAuth ({ authorizer, problems, files }) {
    for (const { source, line, message } of problems) {
      this._log.warn('authorized_keys line ignored', { source, line, problem: message })
    }
    this._authorizer = authorizer
    if (this._workers !== null) this._files = files
    if (authorizer.isEmpty) this._log.warn('nobody can log in: no usable line in authorized_keys, and no CA', {})
  }

  // Nothing is open yet that would have to be closed.
  async _openContexts (options) {
    this._acme = await openAcme(options, { contexts: () => this._entrances.flatMap(({ context }) => context ?? []), log: this._log })
    return serverContexts(options.places, options, this._acme)
  }

  // Before there is a client who could ask for its port.
  async _openMetrics () {
    const { metrics, metricsOpen, sshEngine } = this._options
    if (metrics === null) return
    const opened = await openMetrics(metrics, metricsOpen, (delay) => serverFamilies(this.stats(), sshEngine, delay))
    const { address, port } = opened.address()
    this._metrics = opened
    this._open++
    opened.closed.then(() => this.onclose())
    this._log.info('metrics', { address, port })
  }

  // Nor before this one, for its path.
  async _openControl () {
    this._control = await openControl(this._options.control, 'serve', serverAnswers(this), this._log)
    if (this._control === null) return
    this._open++
    this._control.closed.then(() => this.onclose())
  }

  /** contexts: for the places of the options, in their order. */
  _listen (contexts) {
    for (const [index, place] of this._options.places.entries()) {
      const entrance = new Entrance(this, place, contexts[index])
      this._entrances.push(entrance)
      this._addresses.push(entrance.address)
      this._open++
    }
    for (const { transport, address } of this._entrances) {
      this._log.info('listening', { transport, address: address.address, port: address.port })
    }
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
        this._useContexts(this._options.places, this._entrances.map(({ context }) => context))
        return this._reloads.spread()
      },
      count: (result) => this._counters.count('certificateOrders', result)
    })
  }

  // Those of places where nobody listens are for the next start. Gives the
  // places that are in force. A certificate of ACME may have come meanwhile.
  _useContexts (places, contexts) {
    const contextOf = (place, index) => (place.isAcme && this._acme?.shownAt(place)) || contexts[index]
    const fresh = new Map(placeKeys(places).map((key, index) => [key, { place: places[index], context: contextOf(places[index], index) }]))
    const keys = placeKeys(this._options.places)
    for (const [index, entrance] of this._entrances.entries()) {
      entrance.context = fresh.get(keys[index])?.context ?? entrance.context
      if (entrance.context !== null) this._acme?.challenges.adopt(entrance.context)
    }
    return this._options.places.map((place, index) => {
      const next = fresh.get(keys[index])?.place ?? place
      // Nobody asks a CA before the next start: until then it is the files.
      return next.isAcme && this._acme === null ? place : next
    })
  }

  // ---- for its connections

  // A channel's bytes are in the thread of its session.
  _checkAlone () {
    if (this._workers !== null) throw fail('UNSUPPORTED', 'session', 'a server with workers serves no channels itself')
  }

  /** Somebody has logged in. */
  _enterSession (connection) {
    return new ServerSession(connection, ++this._lastSession)
  }

  _checkClosed () {
    if (this._open > 0 || this.connections > 0 || this._admission.visitors.count > 0 || this._workers?.isRunning || this._resolveClosed === null) return
    this._resolveClosed()
    this._resolveClosed = null
    this.emit('close')
  }

  // ---- events of the listeners

  onerror (err) {
    this._counters.count('acceptErrors')
    this._warn('accept failed', { error: err.code })
  }

  onclose () {
    this._open--
    this._checkClosed()
  }
}

// Where a server listens is the same also when its certificates are others.
function isSame (name, options, old) {
  if (name === 'places') return true // what becomes of the others
  if (name !== 'listeners' || options.listeners === undefined || old.listeners === undefined) {
    return isDeepStrictEqual(options[name], old[name])
  }
  return isDeepStrictEqual(placeKeys(options.places), placeKeys(old.places))
}

/** A signal is for the start alone: one that comes later, or a limit of that time, is nothing to a reload. */
function withoutSignal (options) {
  return { ...options, signal: undefined }
}

/** given: options of a reload => raw, to be kept, and options, what they mean. */
function checked (given) {
  const all = withoutSignal(given)
  return { options: serverOptions(all), raw: ownOptions(all) }
}

/** raw: options as the user gave them. */
async function startServer (raw) {
  const options = serverOptions(raw)
  const { signal } = options
  if (signal?.aborted) throw canceled('listen', signal.reason)
  const { keys, problems } = await loadHostKeys(options)
  const secret = await readSecret(options)
  const server = new Server(withoutSignal(options), keys)
  for (const { source, message } of problems) server._log.warn('host certificate of no use', { source, problem: message })
  server._raw = server._inForce = withoutSignal(ownOptions(raw))
  server._admission.visitors.useSecret(secret)
  try {
    const contexts = await server._openContexts(options)
    await server._loadAuth()
    await server._openMetrics()
    await server._openControl()
    await server._workers?.start()
    if (signal?.aborted) throw canceled('listen', signal.reason)
    server._listen(contexts)
    await server._workers?.update() // before anybody who has come: it has gone first
    server._startAcme()
  } catch (err) {
    await server.close()
    throw err instanceof AlknetError ? err : optionError('listen', err.message, err)
  }
  return server
}

module.exports = { Server, startServer }
