'use strict'

/** A Duplex over a stream of the addon: channels as users get them. */

const { Duplex } = require('stream')
const { fail } = require('./errors')
const { channelOpen, channelOver } = require('./trace')

/**
 * A channel of a session, or any other stream of the addon, as a
 * `stream.Duplex`: half-open, with real back-pressure.
 */
class Stream extends Duplex {
  /** handle: open, without an owner; null: _own() comes later. */
  constructor (handle) {
    super({ allowHalfOpen: true })
    this._native = null // also once it has closed; http takes _handle for a TCP handle
    this._waiting = null // the callback of _write or _final that is owed
    this._closed = null // _destroy's callback
    if (handle !== null) this._own(handle)
    // A peer that resets must not end the process of somebody who listens to
    // 'close' only: the error is in stream.errored, and in any pipeline().
    this.on('error', ignore)
  }

  _own (handle) {
    this._native = handle
    handle.owner = this
    channelOpen(handle)
    return this
  }

  _read () {
    if (this._native !== null) this._native.resume()
  }

  _write (chunk, encoding, callback) {
    if (this._native === null) return callback(closedError())
    if (this._native.write(chunk)) callback()
    else this._waiting = callback
  }

  // The end counts as done only when all has left: the Duplex closes itself
  // once both sides have ended, and close() drops what is still here.
  _final (callback) {
    if (this._native === null) return callback(closedError())
    this._waiting = callback
    this._native.end()
  }

  _destroy (err, callback) {
    if (this._native === null) return callback(err)
    this._closed = (nativeErr) => callback(err ?? nativeErr)
    this._native.close()
  }

  ondata (chunk) {
    if (!this.push(chunk) && this._native !== null) this._native.pause()
  }

  onend () {
    this.push(null)
  }

  ondrain () {
    const callback = this._waiting
    this._waiting = null
    if (callback !== null) callback()
  }

  onclose (err) {
    channelOver(this._native, err)
    const waiting = this._waiting
    this._native = this._waiting = null
    if (this._closed !== null) this._closed(err)
    else if (err !== null) this.destroy(err)
    else this._closedCleanly()
    if (waiting !== null) waiting(err ?? closedError())
  }

  // What was received before an orderly close is still the reader's to have.
  _closedCleanly () {
    if (this.readableEnded) {
      this.destroy()
      return
    }
    this.once('end', () => this.destroy())
    if (!this._readableState.ended) this.push(null)
  }
}

function ignore () {}

function closedError () {
  return fail('CLOSED', 'channel', 'the stream is closed')
}

module.exports = { Stream }
