'use strict'

/**
 * Connections that come to this program: channels that a peer has asked for,
 * and that somebody here has to take.
 *
 *   asked -> taken by a handler ------------> accepted -> open: a Stream
 *      |-> the backlog -> taken by next() --/
 *      |       |-> the peer goes: forgotten
 *      \-> the backlog is full, or closed: refused
 *
 * What waits is not accepted: the peer sends nothing yet, and it costs no more
 * than its place.
 */

const { PROHIBITED, SHORTAGE } = require('./channels')
const { Stream } = require('./stream')
const { channelOver } = require('./trace')

/** A channel that is asked for. Owner of it until it is open. */
class Arrival {
  /**
   * way: accept(channel), refuse(channel, reason, text), opened(stream) and
   * gone(), for a peer that went before it was open.
   */
  constructor (channel, info, way) {
    this._channel = channel
    this._way = way
    this._done = null
    this.info = info
    /** Called when the peer goes while this waits. */
    this.onleave = null
    channel.owner = this
  }

  /** Accepts. done(stream, info); the stream is null when the peer has gone meanwhile. */
  take (done) {
    this.onleave = null
    this._done = done
    this._way.accept(this._channel)
  }

  refuse (reason, text) {
    this._channel.owner = null
    this._way.refuse(this._channel, reason, text)
  }

  onopen () {
    const stream = new Stream(this._channel)
    this._way.opened(stream)
    this._done(stream, this.info)
  }

  onclose (err) {
    channelOver(this._channel, err)
    this._way.gone()
    if (this._done !== null) this._done(null, this.info)
    else if (this.onleave !== null) this.onleave()
  }
}

/** Arrivals that wait to be taken, and loops that wait for them. */
class Backlog {
  /** max: how many may wait. */
  constructor (max) {
    this.max = max
    this._arrivals = []
    this._readers = [] // { resolve, reject } of next()
    this._end = null // { error }: closed
  }

  /** Takes it now or keeps it. Refuses it when there is no place. */
  add (arrival) {
    const reader = this._readers.shift()
    if (reader !== undefined) return this._give(arrival, reader)
    if (this._arrivals.length >= this.max) return arrival.refuse(SHORTAGE, 'too many connections wait (maxPending)')
    this._arrivals.push(arrival)
    arrival.onleave = () => this._arrivals.splice(this._arrivals.indexOf(arrival), 1)
  }

  _give (arrival, reader) {
    arrival.take((stream, info) => {
      if (stream === null) return this._read(reader, true)
      if (reader.isOver) return stream.destroy()
      reader.resolve({ value: { stream, info }, done: false })
    })
  }

  _read (reader, isFirst) {
    if (reader.isOver) return
    const arrival = this._arrivals.shift()
    if (arrival !== undefined) this._give(arrival, reader)
    else if (this._end !== null) this._stop(reader)
    else if (isFirst) this._readers.unshift(reader)
    else this._readers.push(reader)
  }

  _stop (reader) {
    reader.isOver = true
    const error = this._end?.error ?? null
    if (error === null) reader.resolve({ value: undefined, done: true })
    else reader.reject(error)
  }

  /** What comes next. mine: the readers of one loop that wait, for its end. */
  _next (mine) {
    let reader = null
    return new Promise((resolve, reject) => {
      reader = { resolve, reject, isOver: false }
      mine.add(reader)
      this._read(reader, false)
    }).finally(() => mine.delete(reader))
  }

  /** An async iterator of { stream, info }. onReturn(): somebody has left the loop. */
  iterate (onReturn = () => {}) {
    const mine = new Set()
    let isOver = false
    const done = { value: undefined, done: true }
    return {
      next: () => isOver
        ? Promise.resolve(done)
        : this._next(mine),
      return: async () => {
        if (!isOver) onReturn()
        isOver = true
        this._readers = this._readers.filter((one) => !mine.has(one))
        for (const reader of mine) {
          reader.isOver = true
          reader.resolve(done)
        }
        return done
      },
      [Symbol.asyncIterator] () {
        return this
      }
    }
  }

  /** Gives all that waits to handler(stream, info). */
  flush (handler) {
    for (const arrival of this._arrivals.splice(0)) arrival.take((stream, info) => stream !== null && handler(stream, info))
  }

  /** Refuses all that waits. */
  drop () {
    for (const arrival of this._arrivals.splice(0)) arrival.refuse(PROHIBITED, 'nobody serves this here')
  }

  /** Loops end, or throw error when there is one. */
  close (error = null) {
    if (this._end !== null) return
    this._end = { error }
    this.drop()
    for (const reader of this._readers.splice(0)) this._stop(reader)
  }
}

module.exports = { Arrival, Backlog }
