'use strict'

/**
 * What subscribe() gives: the events of a topic, one after the other. A bounded
 * queue stands between those who publish and `for await`.
 */

const { canceled, fail } = require('../errors')
const { Queue } = require('./queue')

/** An async iterator over events. */
class Subscription {
  /** options: { policy, maxQueue, maxQueueBytes }. ongone: when it wants no more. */
  constructor (topic, options, ongone) {
    this.topic = topic
    this._queue = new Queue(options)
    this._ongone = ongone
    this._takers = [] // of next(), when there is nothing
    this._end = null // { err } when nothing more comes
    this._signal = null
    /**
     * Resolves when the other end says that the subscription is in force; rejects
     * when it is refused or over before that.
     */
    this.ready = new Promise((resolve, reject) => {
      this._resolveReady = resolve
      this._rejectReady = reject
    })
    this.ready.catch(() => {}) // who does not look at it has the iterator
  }

  /** How many events the policy has dropped. */
  get dropped () {
    return this._queue.dropped
  }

  /** @returns {Promise<IteratorResult<object>>} */
  next () {
    const event = this._queue.take()
    if (event !== undefined) return Promise.resolve({ value: event, done: false })
    if (this._end !== null) return this._over()
    return new Promise((resolve, reject) => this._takers.push({ resolve, reject }))
  }

  /** Unsubscribes; what waits is dropped. */
  return (value) {
    this._stop(null)
    this._end.err = null
    this._queue.clear(null)
    return Promise.resolve({ value, done: true })
  }

  throw (err) {
    this.return()
    return Promise.reject(err)
  }

  [Symbol.asyncIterator] () {
    return this
  }

  async [Symbol.asyncDispose] () {
    await this.return()
  }

  // ---- for locals.js

  listen (signal) {
    if (signal === undefined) return
    this._signal = signal
    this._onAbort = () => this.fail(canceled('events', signal.reason))
    if (signal.aborted) this._onAbort()
    else signal.addEventListener('abort', this._onAbort, { once: true })
  }

  /** Gives null, or a promise when the queue is full and its policy is block. */
  deliver (event, size) {
    const taker = this._takers.shift()
    if (taker !== undefined) {
      taker.resolve({ value: event, done: false })
      return null
    }
    try {
      return this._queue.push(event, size)
    } catch (err) {
      this._stop(err) // what is in the queue can still be had
      return null
    }
  }

  /** The other end has it. */
  granted () {
    this._resolveReady()
  }

  /** Nothing more comes, because of err or, when null, in good order. */
  fail (err) {
    this._stop(err)
  }

  _stop (err) {
    if (this._end !== null) return
    this._end = { err }
    this._signal?.removeEventListener('abort', this._onAbort)
    this._rejectReady(err ?? fail('CLOSED', 'events', 'the subscription is over'))
    this._queue.rejectWaiting(null)
    for (const { resolve, reject } of this._takers.splice(0)) {
      if (this._end.err === null) resolve({ value: undefined, done: true })
      else reject(this._end.err)
      this._end.err = null
    }
    this._ongone(this)
  }

  // The error is thrown once; after it the iterator is done, as a generator's.
  _over () {
    const { err } = this._end
    this._end.err = null
    return err === null ? Promise.resolve({ value: undefined, done: true }) : Promise.reject(err)
  }
}

module.exports = { Subscription }
