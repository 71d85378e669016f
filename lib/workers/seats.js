'use strict'

/**
 * How many sessions there are, counted by several threads at once: each has a
 * number of its own that it alone changes, and all see the sum. A thread that
 * ends takes its own with it, and no other's.
 */

class Seats {
  /** numbers: an Int32Array, shared where there are several threads. mine: whose this is. */
  constructor (numbers = new Int32Array(1), mine = 0) {
    this._numbers = numbers
    this._mine = mine
  }

  get taken () {
    let sum = 0
    for (let i = 0; i < this._numbers.length; i++) sum += Atomics.load(this._numbers, i)
    return sum
  }

  /**
   * One more, of max; 0: any number. False: there is no place. Of two who ask
   * for the last one at the same moment both may hear that; never more than max
   * hear a yes.
   */
  take (max) {
    Atomics.add(this._numbers, this._mine, 1)
    if (max === 0 || this.taken <= max) return true
    this.give()
    return false
  }

  give () {
    Atomics.sub(this._numbers, this._mine, 1)
  }

  /** A thread has ended. */
  clear (whose) {
    Atomics.store(this._numbers, whose, 0)
  }
}

/** Numbers for so many threads. */
function sharedNumbers (threads) {
  return new Int32Array(new SharedArrayBuffer(threads * Int32Array.BYTES_PER_ELEMENT))
}

module.exports = { Seats, sharedNumbers }
