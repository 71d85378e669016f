'use strict'

/** The relays of one session: how many there are, and when the last is gone. */

const binding = require('./binding')

class Relays {
  /** onGone(err): a relay has closed both sides; err null for a clean end. */
  constructor (onGone) {
    this.count = 0
    this._onGone = onGone
    this._onIdle = null
  }

  /** Joins two streams of the addon; either may still be opening. */
  join (a, b) {
    this.add()
    binding.relay(a, b).owner = this
  }

  /** One more, made elsewhere. */
  add () {
    this.count++
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
