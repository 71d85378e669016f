'use strict'

/**
 * The time between two tries to connect.
 *
 *   begun -> its delay has passed                                 -> over
 *     |----> the machine is awake again, or its network is another:
 *     |      now it may work; but not before the shortest delay   -> over
 *     \----> end()                                                -> over
 *
 * Networks may change many times a second, as on a machine with containers, and
 * no server is to be tried as often.
 */

class Pause {
  /** backoff: of backoff.js. wakes: of wake.js. onOver() comes once, later. */
  constructor (backoff, wakes, onOver) {
    this._onOver = onOver
    this._began = performance.now()
    this._shortest = backoff.shortest()
    this._isKeeping = true
    /** Milliseconds. */
    this.delay = backoff.next()
    this._due = this.delay // after the beginning
    this._off = wakes.on(() => this._hasten())
    this._start(this.delay)
  }

  /** When it is over, as things stand. */
  get until () {
    return this._until
  }

  end () {
    clearTimeout(this._timer)
    this._off()
    this._onOver()
  }

  /** Whether the process stays up for it. */
  keepAlive (keeps) {
    this._isKeeping = keeps
    this._timer[keeps ? 'ref' : 'unref']()
  }

  _hasten () {
    if (this._due <= this._shortest) return
    this._due = this._shortest
    clearTimeout(this._timer)
    this._start(Math.max(1, this._shortest - (performance.now() - this._began)))
  }

  _start (ms) {
    this._until = new Date(Date.now() + ms)
    this._timer = setTimeout(() => this.end(), ms)
    if (!this._isKeeping) this._timer.unref()
  }
}

module.exports = { Pause }
