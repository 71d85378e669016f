'use strict'

/**
 * Tells when connections may have died without a word, and when a new one may
 * succeed that failed before: the machine has slept, or its network is another.
 *
 *   'clock'    the wall clock has run ahead of the monotonic one, which stands
 *              still while a machine sleeps; or the timer came far too late,
 *              as after a SIGSTOP or in a virtual machine that was paused
 *   'network'  an interface, an address or a route has changed (Linux)
 *
 * Nothing runs, and nothing is open, while nobody listens; and what runs keeps
 * no process up. Each worker thread has its own.
 */

const CHECK_MS = 3000

// What a clock may be off without a reason: time servers make smaller steps.
const JUMP_MS = 3000

class Wake {
  /**
   * watchNetwork(): of the addon. wall(), steady(): milliseconds. every(fn, ms):
   * a timer, and stop(timer) its end.
   */
  constructor ({ watchNetwork, wall, steady, every, stop }) {
    this._watchNetwork = watchNetwork
    this._wall = wall
    this._steady = steady
    this._every = every
    this._stop = stop
    this._listeners = new Set()
    this._timer = null
    this._watch = null
    this._last = null // { wall, steady }
  }

  /**
   * @param {(why: 'clock' | 'network') => void} fn
   * @returns {() => void} no longer
   */
  on (fn) {
    const listener = { fn } // the same function may come twice
    this._listeners.add(listener)
    if (this._listeners.size === 1) this._start()
    return () => {
      if (this._listeners.delete(listener) && this._listeners.size === 0) this._end()
    }
  }

  _start () {
    this._last = this._now()
    this._timer = this._every(() => this._check(), CHECK_MS)
    try {
      this._watch = this._watchNetwork()
      this._watch.owner = this
    } catch {
      this._watch = null // there is no such thing here: keepalives have to do
    }
  }

  _end () {
    this._stop(this._timer)
    this._timer = null
    if (this._watch === null) return
    this._watch.owner = null
    this._watch.close()
    this._watch = null
  }

  _now () {
    return { wall: this._wall(), steady: this._steady() }
  }

  _check () {
    const last = this._last
    const now = this._last = this._now()
    const slept = (now.wall - last.wall) - (now.steady - last.steady)
    const late = now.steady - last.steady - CHECK_MS
    if (slept > JUMP_MS || late > JUMP_MS) this._tell('clock')
  }

  _tell (why) {
    for (const { fn } of [...this._listeners]) fn(why)
  }

  // ---- events of the addon

  onchange () {
    this._tell('network')
  }

  onclose () {
    this._watch = null
  }
}

/** The one of this thread. */
function ofThisThread () {
  const binding = require('./binding')
  return new Wake({
    watchNetwork: binding.watchNetwork,
    wall: Date.now,
    steady: () => performance.now(),
    every: (fn, ms) => setInterval(fn, ms).unref(),
    stop: clearInterval
  })
}

module.exports = { Wake, wake: ofThisThread() }
