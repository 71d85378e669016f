'use strict'

/**
 * How late the event loop is with what is due: the health of a process that
 * does everything on one thread. Node measures how long its own timer took;
 * what is told here is that without the time it was to take.
 */

const { monitorEventLoopDelay } = require('perf_hooks')

const RESOLUTION_MS = 20

// Quantiles are of what came lately: who asks more often gets the same window.
const WINDOW_MS = 10_000

const toSeconds = (ns) => Math.max(0, ns - RESOLUTION_MS * 1e6) / 1e9

class LoopDelay {
  /** histogram: as perf_hooks makes them. now: () => ms, that only grow. */
  constructor ({ histogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS }), now = () => performance.now() } = {}) {
    this._histogram = histogram
    this._now = now
    this._began = now()
    this._sum = 0 // of the windows that are over
    this._count = 0
    histogram.enable()
  }

  /**
   * { p50, p99, sum, count }, in seconds: the quantiles since the window began,
   * NaN when nothing was measured in it, the others since the start.
   */
  read () {
    const { count } = this._histogram
    const sum = count === 0 ? 0 : toSeconds(this._histogram.mean) * count
    const quantile = (p) => count === 0 ? NaN : toSeconds(this._histogram.percentile(p))
    const values = { p50: quantile(50), p99: quantile(99), sum: this._sum + sum, count: this._count + count }
    if (this._now() - this._began >= WINDOW_MS) this._turn(values)
    return values
  }

  _turn ({ sum, count }) {
    this._sum = sum
    this._count = count
    this._began = this._now()
    this._histogram.reset()
  }

  close () {
    this._histogram.disable()
  }
}

module.exports = { LoopDelay, RESOLUTION_MS, WINDOW_MS }
