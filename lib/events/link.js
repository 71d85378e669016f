'use strict'

/**
 * One byte stream that carries events, for target.js and hub.js.
 *
 *   live -> ending: close(), fail(), or the peer has ended -> over: 'close'
 *
 * Reading stops while the owner is busy with an event, so that nothing of a
 * peer's queues up here; writing stops while the stream is full, so that all
 * that waits is in the owner's bounded queue. Answers to the peer come first:
 * a peer that does not take them is not read from until it does.
 *
 * close() lets the owner's queue leave, fail() tells the peer a code; both end
 * our side, wait for the peer's end, and destroy the stream when that takes
 * longer than CLOSE_MS. The owner hears onlost() once, unless it closed the
 * link itself, and `closed` resolves when the stream is gone.
 */

const { AlknetError, fail, optionError } = require('../errors')
const { FrameReader, encodeFrame } = require('./frames')

const CLOSE_MS = 2000
const MAX_REPLIES = 64

// What a peer may say that it was: its text is not shown to anybody.
const PEER_CODES = new Map([
  ['ERR_ALKNET_PROTO', 'PROTO'], ['ERR_ALKNET_LIMIT', 'LIMIT'], ['ERR_ALKNET_TIMEOUT', 'TIMEOUT']
])

/** Whether value can carry events; throws ERR_ALKNET_OPTION. */
function checkStream (name, value) {
  // By its methods: a Duplex may be of another copy of the class.
  const has = (method) => typeof value?.[method] === 'function'
  if (!['on', 'read', 'write', 'end', 'destroy'].every(has)) throw optionError(name, 'must be a Duplex')
  if (value.readableObjectMode || value.writableObjectMode) throw optionError(name, 'must carry bytes: it is in object mode')
  if (value.readableEncoding) throw optionError(name, 'must carry bytes: it has an encoding')
  if (value.destroyed || value.readableEnded || value.writableEnded) throw optionError(name, 'is already closed')
  return value
}

/** A stream of events. Owner of the stream. */
class Link {
  /**
   * owner: { onframe (link, event, size) => promise or null, nextFrame () =>
   * Buffer or null, onlost (link, err or null) }.
   */
  constructor (owner, stream, limits) {
    this._owner = owner
    this._stream = stream
    this._limits = limits
    this._reader = new FrameReader(limits)
    this._replies = []
    this._isHeld = false // the owner is busy with an event
    this._isFull = false // the stream wants to drain
    this._isEnding = false
    this._isLost = false
    this._said = null // why the peer closes
    this._timer = null
    /** Resolves when the stream is gone; never rejects. */
    this.closed = new Promise((resolve) => { this._resolveClosed = resolve })
    this._onReadable = () => this._read()
    stream.on('error', (err) => this._broken(err))
    stream.on('readable', this._onReadable)
    stream.on('drain', () => this._drained())
    stream.once('end', () => this._ended())
    stream.once('close', () => this._closed())
  }

  /** Writes what the owner has, as far as the stream takes it. */
  flush () {
    while (!this._isFull && !this._stream.writableEnded && !this._stream.destroyed) {
      const frame = this._replies.shift() ?? (this._isLost && !this._isEnding ? null : this._owner.nextFrame(this))
      if (frame === null) break
      this._isFull = !this._stream.write(frame)
    }
    if (this._isEnding && !this._isFull) this._stream.end()
  }

  /** Answers the peer's message of this id. */
  reply (type, id, payload) {
    if (this._isLost) return
    this._replies.push(encodeFrame({ type, id, payload }, this._limits))
    this.flush()
  }

  /** Ends in good order: what the owner has still leaves. */
  close () {
    if (this._isLost) return
    this._isLost = this._isEnding = true
    this._finish()
    this.flush()
  }

  /** Ends because of err: the peer is told its code, nothing else leaves. */
  fail (err) {
    if (this._isLost) return
    this._lose(err)
    this._replies = []
    if (!this._stream.writableEnded && !this._stream.destroyed) {
      this._stream.write(encodeFrame({ type: '__closed', id: '', payload: { code: err.code, message: err.message } }, this._limits))
      this._stream.end()
    }
    this._finish()
  }

  /** Gives the stream up at once; the owner hears nothing more. */
  drop () {
    this._isLost = true
    this._finish()
    this._stream.destroy()
  }

  // ---- reading

  _read () {
    try {
      while (!this._isHeld && !this._isLost && this._replies.length < MAX_REPLIES) {
        const event = this._reader.read()
        if (event !== null) this._take(event)
        else if (!this._more()) return
      }
    } catch (err) {
      if (!(err instanceof AlknetError)) throw err
      this.fail(err)
    }
  }

  _more () {
    const chunk = this._stream.read()
    if (chunk === null) return false
    this._reader.push(chunk)
    return true
  }

  _take (event) {
    if (event.type === '__closed') {
      this._said ??= PEER_CODES.get(event.payload?.code) ?? 'LOST'
      return
    }
    const busy = this._owner.onframe(this, event, this._reader.size)
    if (busy === null) return
    this._isHeld = true
    busy.then(() => {
      this._isHeld = false
      this._read()
    }, (err) => this.fail(err))
  }

  _drained () {
    this._isFull = false
    this.flush()
    this._read() // it may have waited for its answers to leave
  }

  // ---- the end

  _ended () {
    if (this._isLost) return
    if (this._said !== null) this._lose(fail(this._said, 'events', `the peer closed the stream of events: ERR_ALKNET_${this._said}`))
    else if (this._reader.isInside) this._lose(fail('LOST', 'events', 'the stream of events ended inside a frame'))
    else this._lose(null)
    if (!this._stream.writableEnded) this._stream.end()
    this._finish()
  }

  _broken (err) {
    this._lose(fail('LOST', 'events', 'the stream of events broke', { cause: err }))
    this._finish()
    this._stream.destroy()
  }

  _closed () {
    this._lose(fail('LOST', 'events', 'the stream of events was closed'))
    this._finish()
    clearTimeout(this._timer)
    this._resolveClosed()
  }

  _lose (err) {
    if (this._isLost) return
    this._isLost = true
    this._owner.onlost(this, err)
  }

  /** What still comes is thrown away, for a limited time. */
  _finish () {
    if (this._timer !== null) return
    this._timer = setTimeout(() => {
      this._stream.destroy()
      this._resolveClosed()
    }, CLOSE_MS)
    this._stream.removeListener('readable', this._onReadable)
    this._stream.on('end', () => { if (this._stream.writableFinished) this._stream.destroy() })
    this._stream.on('finish', () => { if (this._stream.readableEnded) this._stream.destroy() })
    this._stream.resume()
  }
}

module.exports = { CLOSE_MS, Link, checkStream }
