'use strict'

/** The relays of one session: how many there are, and when the last is gone. */

const binding = require('./binding')
const { Opening } = require('./opening')
const { channelOpen, channelOver, isTraced } = require('./trace')

class Relays {
  /** onGone(err): a relay has closed both sides; err null for a clean end. */
  constructor (onGone) {
    this.count = 0
    this.total = 0
    this._onGone = onGone
    this._onIdle = null
  }

  /** Joins two streams of the addon, both open. */
  join (a, b) {
    this.add()
    this.hold(a, b)
  }

  /** Joins a stream with a channel that the far end has ms to open. */
  joinOpening (stream, channel, ms) {
    this.add()
    if (!isTraced(channel)) { // all of it in C
      binding.relay(stream, channel, ms).owner = this
      return
    }
    new Opening(channel, ms, undefined, (err, opened) => { // eslint-disable-line no-new
      if (!err) return this.hold(stream, opened)
      stream.close()
      this.onclose(err)
    })
  }

  /** One more, made elsewhere. */
  add () {
    this.count++
    this.total++
  }

  /** Joins two streams that have been counted. */
  hold (a, b) {
    const channel = [a, b].find(isTraced)
    binding.relay(a, b).owner = channel === undefined ? this : this._traced(channel)
  }

  _traced (channel) {
    channelOpen(channel)
    return {
      onclose: (err) => {
        channelOver(channel, err)
        this.onclose(err)
      }
    }
  }

  /** One has closed both sides. */
  onclose (err) {
    this.count--
    this._onGone(err)
    if (this.count === 0 && this._onIdle !== null) this._onIdle()
  }

  /** Resolves when none is left, or after ms. */
  drained (ms) {
    if (this.count === 0 || ms <= 0) return Promise.resolve()
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms)
      this._onIdle = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }
}

module.exports = { Relays }
