'use strict'

/**
 * The server: its listeners, its clients (connection.js), and what is in force
 * for all of them: options, who may log in, the policy, the limits. A reload
 * swaps all of that at once.
 */

const { EventEmitter } = require('events')
const net = require('net')
const { isDeepStrictEqual } = require('util')
const { Connection } = require('./connection')
const { canceled, optionError, AlknetError } = require('./errors')
const { createLogger, NO_LOG } = require('./log')
const { RELOADABLE, serverOptions } = require('./options')
const { loadPrivateKey } = require('./keys')
const { loadAuthorizer } = require('./authorizer')
const { Limits } = require('./limits')
const { Policy } = require('./policy')
const { listen, rarely } = require('./listener')

/** An IPv4 client of a dual-stack listener is logged as IPv4: one form each. */
function plainAddress (address) {
  const tail = address.startsWith('::ffff:') ? address.slice(7) : ''
  return net.isIPv4(tail) ? tail : address
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

  // ---- for its connections

  _hasHandler () {
    return this._options.onConnection !== undefined || this.listenerCount('connection') > 0
  }

  _handle (stream, info) {
    if (this._options.onConnection !== undefined) this._options.onConnection(stream, info)
    else this.emit('connection', stream, info)
  }

  /** A client is gone. */
  _left (connection, ticket) {
    this._limits.leave(ticket)
    this._connections.delete(connection)
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
