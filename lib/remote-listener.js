'use strict'

/** session.listen(): the server listens, and this program takes what comes. */

const { Backlog } = require('./incoming')
const { RemoteForward } = require('./remote-forward')

/**
 * A place that the server listens on. Event `'connection'` (stream, info);
 * without a listener for it, `for await (const { stream, info } of listener)`.
 */
class RemoteListener extends RemoteForward {
  /** spec: of listenPlace(). */
  constructor (all, spec, port) {
    super(all, spec, port)
    this.kind = 'listen'
    this._backlog = new Backlog(spec.maxPending)
    this.on('newListener', (event) => {
      if (event === 'connection') queueMicrotask(() => this._backlog.flush(this._tell))
    })
    this._tell = (stream, info) => {
      if (!this.emit('connection', stream, info)) stream.destroy()
    }
  }

  /** Somebody has connected there. arrival: of incoming.js. */
  take (arrival) {
    if (this.listenerCount('connection') === 0) return this._backlog.add(arrival)
    arrival.take((stream, info) => stream !== null && this._tell(stream, info))
  }

  close () {
    this._backlog.close(this._all._session.error)
    return super.close()
  }

  [Symbol.asyncIterator] () {
    return this._backlog.iterate()
  }
}

module.exports = { RemoteListener }
