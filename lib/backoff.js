'use strict'

/**
 * How long to wait before the next try (spec §3): 1, 2, 4, 8, 16, 30, 30 … s,
 * each up to a fifth longer, so that the clients of a server that was away do
 * not all come back in one moment. Pure.
 */

const JITTER = 0.2

class Backoff {
  /** random(): 0 to 1. */
  constructor ({ minDelayMs, maxDelayMs }, random = Math.random) {
    this._min = minDelayMs
    this._max = maxDelayMs
    this._random = random
    this._next = minDelayMs
  }

  /** Milliseconds until the next try. */
  next () {
    const delay = Math.min(this._next, this._max)
    this._next = Math.min(delay * 2, this._max)
    return this._jittered(delay)
  }

  /** Milliseconds that are between two tries at least, whatever happens meanwhile. */
  shortest () {
    return this._jittered(Math.min(this._min, this._max))
  }

  _jittered (delay) {
    return Math.round(delay * (1 + JITTER * this._random()))
  }

  /** It has worked: the next delay is the shortest again. */
  reset () {
    this._next = this._min
  }
}

module.exports = { Backoff }
