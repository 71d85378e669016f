'use strict'

/** Streams without a network, and a peer that speaks frames by hand. */

const { Duplex } = require('stream')
const { FrameReader } = require('../../lib/events/frames')

/** One side: what is written is read at the other, with back-pressure. */
class Side extends Duplex {
  constructor ({ isSlow = false } = {}) {
    super({ allowHalfOpen: true, highWaterMark: 16 * 1024 }) // Node 22 has another default
    this.other = null
    if (isSlow) this._writev = this._writeSlowly
    this._waiting = null
  }

  _read () {
    const callback = this.other._waiting
    this.other._waiting = null
    callback?.()
  }

  _write (chunk, encoding, callback) {
    if (this._writev) return this._writeSlowly([{ chunk }], callback)
    if (this.other.destroyed) return callback(Object.assign(new Error('gone'), { code: 'EPIPE' }))
    if (this.other.push(chunk)) callback()
    else this._waiting = callback
  }

  // Takes a turn of the loop for each write, as a network would at least.
  _writeSlowly (chunks, callback) {
    for (const { chunk } of chunks) this.other.push(chunk)
    setImmediate(callback)
  }

  _final (callback) {
    this.other.push(null)
    callback()
  }

  _destroy (err, callback) {
    callback(err)
    if (!this.writableFinished) process.nextTick(() => this.other.destroy())
  }
}

/** Two ends of a stream. options: { isSlow }, each write takes a turn of the loop. */
function pair (options) {
  const [a, b] = [new Side(options), new Side(options)]
  a.other = b
  b.other = a
  return [a, b]
}

/** A frame of any bytes, right or wrong. */
function frame (body) {
  const bytes = Buffer.isBuffer(body) ? body : Buffer.from(typeof body === 'string' ? body : JSON.stringify(body))
  const header = Buffer.alloc(4)
  header.writeUInt32BE(bytes.length)
  return Buffer.concat([header, bytes])
}

const LIMITS = { maxFrame: 64 * 1024 ** 2, maxDepth: 1000, maxTopic: 1024 }

/**
 * The far end of a stream, by hand. It reads all the time, until hold(), and
 * ends when the other end does, unless it is rude.
 */
class Peer {
  constructor (stream, { isRude = false } = {}) {
    this.stream = stream
    this.events = [] // that nobody has asked for yet
    this._waiting = []
    this._reader = new FrameReader(LIMITS)
    /** Resolves when the other end has ended in good order. */
    this.ended = new Promise((resolve) => stream.once('end', resolve))
    this.closed = new Promise((resolve) => stream.once('close', resolve))
    if (!isRude) this.ended.then(() => stream.end())
    stream.on('error', () => {})
    stream.on('data', (chunk) => this._take(chunk))
  }

  _take (chunk) {
    this._reader.push(chunk)
    for (let event = this._reader.read(); event !== null; event = this._reader.read()) {
      const waiting = this._waiting.shift()
      if (waiting === undefined) this.events.push(event)
      else waiting(event)
    }
  }

  send (...events) {
    for (const { type, id = '', payload = null } of events) this.stream.write(frame({ type, id, payload }))
  }

  /** The next event from the other end. */
  next () {
    if (this.events.length > 0) return Promise.resolve(this.events.shift())
    return new Promise((resolve) => this._waiting.push(resolve))
  }

  async take (n) {
    const events = []
    while (events.length < n) events.push(await this.next())
    return events
  }

  /** Resolves when the other end has handled all that was sent, told by its answer to a question. */
  async settled () {
    const id = `settled-${Math.random()}`
    this.send({ type: '__subscribe', id, payload: { topic: 'settled' } })
    const before = []
    for (;;) {
      const event = await this.next()
      if (event.id === id) break
      before.push(event)
    }
    this.send({ type: '__unsubscribe', payload: { topic: 'settled' } })
    return before
  }

  hold () {
    this.stream.pause()
  }

  resume () {
    this.stream.resume()
  }
}

/** The first n events of an async iterator. */
async function first (iterator, n) {
  const events = []
  while (events.length < n) {
    const { value, done } = await iterator.next()
    if (done) break
    events.push(value)
  }
  return events
}

module.exports = { Peer, first, frame, pair }
