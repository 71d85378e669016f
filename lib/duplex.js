'use strict'

/**
 * Any stream.Duplex as a transport: joins a user's stream with one of the addon,
 * which a session takes.
 *
 *   'data'  -> push(), and what it does not take waits here, the stream paused
 *              -> onread -> the rest, resume()
 *   'end'   -> end(), behind the rest
 *   onwrite -> write() -> ready(), or at 'drain'
 *   onend   -> end() -> 'finish' -> finished()
 *   'error', 'close' -> close(why), behind the rest
 *   onclose -> the session is over: destroy(), after an end in good order when
 *              the peer has ended too
 *
 * Streams differ: some close without 'close', some fail without it, some throw
 * in write(). Whatever it is, the session hears of it once, and nothing that
 * the stream emits later ends the process.
 */

const { getSystemErrorMap } = require('util')
const { isUint8Array } = require('util/types')
const binding = require('./binding')
const { AlknetError, fail, optionError } = require('./errors')
const { printable } = require('./addresses')

// Two that read from one stream would each get a part of it.
const taken = new WeakSet()

// How long a stream whose session has ended in good order may still be read.
const LINGER_MS = 2000

const lost = (message) => fail('LOST', 'session', message)

/** A stream of a user's as a stream of the addon, from the start of a session to its end. */
class DuplexTransport {
  /** stream: checked by duplex() of option-checks.js; it is closed with this. */
  constructor (stream) {
    if (taken.has(stream)) throw optionError('stream', 'is the transport of another session')
    taken.add(stream)
    this._stream = stream
    this._native = binding.openDuplex() // null: over
    this._native.owner = this
    this._handle = this._native.stream // null: given to a session
    this._handle.owner = { onclose: (err) => { this._early = err } }
    this._early = null // why it has closed before there was a session
    this._rest = null // what the addon did not take yet
    this._hasEnded = false // 'end' has come
    this._isEnding = false // end() was called
    this._hasFinished = false // and all of it has left
    this._isGone = false
    /** What was wrong with the stream, or null. */
    this.error = null
    this._listeners = {
      data: (chunk) => this._ondata(chunk),
      end: () => this._onend(),
      drain: () => this._native?.ready(),
      finish: () => this._onfinish(),
      close: () => this._leave(this._problemOfClose())
    }
    stream.on('error', (err) => this._leave(err))
    for (const [event, listener] of Object.entries(this._listeners)) stream.on(event, listener)
    stream.resume() // one that was paused does not flow for a listener alone
  }

  /** The stream of the addon, for the session. Throws when it has closed already. */
  take () {
    if (this._early !== null) {
      this._early.cause = this.error
      throw this._early
    }
    const handle = this._handle
    this._handle = null
    handle.owner = null
    return handle
  }

  /** Nobody took it: closes the stream. */
  close () {
    this._handle?.close()
  }

  ref () {
    this._stream.ref?.()
  }

  unref () {
    this._stream.unref?.()
  }

  // ---- events of the stream

  _ondata (chunk) {
    if (this._isGone) return
    if (!isUint8Array(chunk)) return this._leave(lost('the stream gave text, not bytes'))
    // Some go on for a while after pause().
    if (this._rest === null) this._feed(chunk)
    else this._rest = Buffer.concat([this._rest, chunk])
  }

  _feed (chunk) {
    const length = this._native.push(chunk)
    if (length === chunk.length) return
    this._rest = chunk.subarray(length)
    this._stream.pause()
  }

  _onend () {
    this._hasEnded = true
    if (this._rest === null && !this._isGone) this._native.end()
  }

  _onfinish () {
    if (!this._isEnding) return
    this._hasFinished = true
    this._native.finished()
  }

  _problemOfClose () {
    if (this._stream.errored) return this._stream.errored
    if (!this._hasEnded) return lost('the stream was closed')
    return this._isEnding && !this._hasFinished ? lost('the stream was closed before all had left') : null
  }

  // err: null when nothing was wrong.
  _leave (err) {
    if (this._native === null || this._isGone) return
    this._isGone = true
    this.error = err
    if (this._rest === null) this._tellGone()
  }

  _tellGone () {
    const { error } = this
    if (error === null) return this._native.close(0, null)
    const errno = getSystemErrorMap().has(error.errno) ? -error.errno : 0
    const text = printable(String(error.message))
    this._native.close(errno, error instanceof AlknetError ? text : `the stream failed: ${text}`)
  }

  // ---- events of the addon

  onread () {
    const rest = this._rest
    this._rest = null
    const length = this._native.push(rest)
    if (length < rest.length) {
      this._rest = rest.subarray(length)
      return
    }
    if (this._hasEnded) this._native.end()
    if (this._isGone) this._tellGone()
    else this._stream.resume()
  }

  onwrite (chunk) {
    const stream = this._stream
    if (this._isGone || stream.destroyed) return // the session hears of it
    if (stream.writableEnded) {
      // By itself, with 'end', when it cannot be half open; else somebody's.
      if (!this._hasEnded) this._leave(lost('the stream was ended by somebody else'))
      return
    }
    this._try(() => {
      if (stream.write(chunk)) this._native.ready()
    })
  }

  onend () {
    this._isEnding = true
    if (this._stream.writableFinished) return this._onfinish()
    this._try(() => this._stream.end())
  }

  onclose () {
    this._native = this._rest = null
    for (const [event, listener] of Object.entries(this._listeners)) this._stream.off(event, listener)
    if (this._hasFinished && !this._hasEnded && !this._isGone) linger(this._stream)
    else this._stream.destroy()
  }

  /** A stream of somebody's own may throw: that is its end, and theirs to hear of. */
  _try (action) {
    try {
      action()
    } catch (err) {
      this._leave(err instanceof Error ? err : new Error(String(err)))
      throw err
    }
  }
}

/**
 * Reads on to the end: a stream that is destroyed before its peer has ended may
 * take from the peer what was said to it last, and from its end() the answer.
 */
function linger (stream) {
  const over = () => {
    clearTimeout(timer)
    stream.destroy()
  }
  const timer = setTimeout(over, LINGER_MS)
  timer.unref()
  for (const event of ['end', 'error', 'close']) stream.once(event, over)
  stream.resume()
}

module.exports = { DuplexTransport }
