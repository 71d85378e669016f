'use strict'

/**
 * Channels to reserved names (`alknet-…`, spec §10) on a server, and who takes
 * them: a handler of the name, else onConnection or listeners of 'connection',
 * else loops over the server; nobody: refused.
 */

const { PROHIBITED } = require('./channels')
const { optionError } = require('./errors')
const { Backlog } = require('./incoming')

class Reserved {
  /** server: an EventEmitter. onConnection, maxPending: of its options. */
  constructor (server, { onConnection, maxPending }, log) {
    this._server = server
    this._onConnection = onConnection
    this._log = log
    this._handlers = new Map()
    this._backlog = new Backlog(maxPending) // for loops
    this._loops = 0
  }

  /** Gives name to fn (stream, info). Gives what undoes it. */
  handle (name, fn) {
    if (this._handlers.has(name)) throw optionError('name', `${name} has a handler`)
    this._handlers.set(name, fn)
    const remove = () => { if (this._handlers.get(name) === fn) this._handlers.delete(name) }
    return Object.assign(remove, { [Symbol.dispose]: remove })
  }

  iterate () {
    this._loops++
    return this._backlog.iterate(() => {
      this._loops--
      if (this._loops === 0) this._backlog.drop()
    })
  }

  /** Whether anybody takes channels to name. */
  serves (name) {
    return this._handlers.has(name) || this._isHeard() || this._loops > 0
  }

  _isHeard () {
    return this._onConnection !== undefined || this._server.listenerCount('connection') > 0
  }

  /** Gives a channel to name to whoever is first. arrival: of incoming.js. */
  take (name, arrival) {
    const handler = this._handlers.get(name)
    if (handler !== undefined) arrival.take((stream, info) => stream !== null && this._run(handler, stream, info))
    else if (this._isHeard()) arrival.take((stream, info) => stream !== null && this._tell(stream, info))
    else if (this._loops > 0) this._backlog.add(arrival)
    else arrival.refuse(PROHIBITED, 'nobody serves this here')
  }

  _tell (stream, info) {
    if (this._onConnection !== undefined) this._onConnection(stream, info)
    else if (!this._server.emit('connection', stream, info)) stream.destroy()
  }

  async _run (handler, stream, info) {
    try {
      await handler(stream, info)
    } catch (err) {
      stream.destroy(err instanceof Error ? err : undefined)
      this._log.error('handler failed', { error: err?.code ?? err?.name })
      if (this._server.listenerCount('error') > 0) this._server.emit('error', err, info)
      else process.emitWarning(`a handler of a server has failed: ${err?.stack ?? err}`, 'AlknetWarning')
    }
  }

  /** Loops end, and what waits for one is refused. */
  close () {
    this._backlog.close()
  }
}

module.exports = { Reserved }
