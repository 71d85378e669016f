'use strict'

/**
 * How long a session may take to show that it lives when another one of the
 * same identity wants its place: short at first, for it is most likely dead,
 * and twice as long each time that one was ended for it lately. So two clients
 * behind slow links do not end each other for ever. Pure but for the clock.
 */

// A client waits for an answer for 30 s by default.
const LONGEST_MS = 20_000

// After that long without a takeover it is short again.
const FORGET_MS = 600_000

const MAX_IDENTITIES = 1024

class Patience {
  /** now: () => ms, that only grow. */
  constructor (now = () => performance.now()) {
    this._now = now
    this._spent = new Map() // id => { ms, at }: the next time, the oldest first
  }

  /** Milliseconds for a session of the identity; base: those of the option. */
  of (id, base) {
    const last = this._spent.get(id)
    if (last === undefined || this._now() - last.at >= FORGET_MS) return base
    return Math.max(base, last.ms)
  }

  /** A session of the identity was ended for another one. */
  spent (id, base) {
    const ms = Math.min(2 * this.of(id, base), LONGEST_MS)
    this._spent.delete(id)
    if (this._spent.size >= MAX_IDENTITIES) this._spent.delete(this._spent.keys().next().value)
    this._spent.set(id, { ms, at: this._now() })
  }
}

module.exports = { Patience }
