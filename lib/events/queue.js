'use strict'

/**
 * A queue with a limit, and what happens when it is full. Pure, but for a timer.
 *
 *   block        who pushes waits; they are let in as they came
 *   drop-oldest  what has waited longest is dropped, and counted
 *   disconnect   push() throws ERR_ALKNET_LIMIT: whoever reads so slowly is cut off
 *
 * Full is: maxQueue items, or maxQueueBytes bytes with one item at least. Who
 * waits is bounded in the same way: a caller who does not wait for its promise
 * gets ERR_ALKNET_LIMIT.
 */

const { canceled, fail } = require('../errors')

const POLICIES = ['block', 'drop-oldest', 'disconnect']

/** First in, first out, and how many bytes that is. */
class Line {
  constructor ({ maxQueue, maxQueueBytes }) {
    this._maxItems = maxQueue
    this._maxBytes = maxQueueBytes
    this._entries = []
    this.bytes = 0
  }

  get length () {
    return this._entries.length
  }

  get first () {
    return this._entries[0]
  }

  hasRoom (size) {
    return this.length === 0 || (this.length < this._maxItems && this.bytes + size <= this._maxBytes)
  }

  get isCrowded () {
    return 2 * this.length > this._maxItems || 2 * this.bytes > this._maxBytes
  }

  push (entry) {
    this._entries.push(entry)
    this.bytes += entry.size
  }

  shift () {
    const entry = this._entries.shift()
    this.bytes -= entry.size
    return entry
  }

  /** Takes one out of the middle; false when it is not here. */
  remove (entry) {
    const i = this._entries.indexOf(entry)
    if (i < 0) return false
    this._entries.splice(i, 1)
    this.bytes -= entry.size
    return true
  }

  clear () {
    const entries = this._entries
    this._entries = []
    this.bytes = 0
    return entries
  }
}

/** What waits to be taken, under a policy. */
class Queue {
  /**
   * options: { policy, maxQueue, maxQueueBytes }. stall: { ms, onstall }, when
   * nobody may wait longer than ms without anything being taken.
   */
  constructor (options, stall = null) {
    this._policy = options.policy
    this._maxQueue = options.maxQueue
    this._line = new Line(options)
    this._waiting = new Line(options)
    this._stall = stall
    this._timer = null
    /** How many items drop-oldest has dropped. */
    this.dropped = 0
  }

  get length () {
    return this._line.length
  }

  /** Whether half of it is taken. */
  get isCrowded () {
    return this._line.isCrowded
  }

  /**
   * Puts an item in. Gives null, or a promise when it has to wait for room.
   * Throws ERR_ALKNET_LIMIT.
   */
  push (item, size, signal) {
    const entry = { item, size }
    if (this._waiting.length === 0 && this._line.hasRoom(size)) {
      this._line.push(entry)
      return null
    }
    if (this._policy === 'block') return this._wait(entry, signal)
    if (this._policy === 'disconnect') throw fail('LIMIT', 'events', `more than ${this._maxQueue} events wait to be taken (maxQueue, maxQueueBytes)`)
    while (!this._line.hasRoom(size)) {
      this._line.shift()
      this.dropped++
    }
    this._line.push(entry)
    return null
  }

  /** The next item, or undefined. */
  take () {
    if (this._line.length === 0) return undefined
    const { item } = this._line.shift()
    while (this._waiting.length > 0 && this._line.hasRoom(this._waiting.first.size)) {
      const entry = this._waiting.shift()
      this._line.push(entry)
      entry.done(null)
    }
    this._watch()
    return item
  }

  /** Turns away all who wait. */
  rejectWaiting (err) {
    for (const entry of this._waiting.clear()) entry.done(err)
    this._watch()
  }

  /** Drops everything. */
  clear (err) {
    this._line.clear()
    this.rejectWaiting(err)
  }

  _wait (entry, signal) {
    if (!this._waiting.hasRoom(entry.size)) throw fail('LIMIT', 'events', `more than ${this._maxQueue} events wait for a place in the queue (maxQueue, maxQueueBytes)`)
    return new Promise((resolve, reject) => {
      const onAbort = () => {
        if (this._waiting.remove(entry)) entry.done(canceled('events', signal.reason))
        this._watch()
      }
      entry.done = (err) => {
        signal?.removeEventListener('abort', onAbort)
        if (err === null) resolve()
        else reject(err)
      }
      signal?.addEventListener('abort', onAbort, { once: true })
      this._waiting.push(entry)
      if (this._timer === null) this._watch()
    })
  }

  // From the last thing that was taken on, for as long as somebody waits.
  _watch () {
    clearTimeout(this._timer)
    this._timer = null
    if (this._stall === null || this._waiting.length === 0) return
    this._timer = setTimeout(() => {
      this._timer = null
      this._stall.onstall()
    }, this._stall.ms)
  }
}

module.exports = { POLICIES, Queue }
