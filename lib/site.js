'use strict'

/**
 * The site that visitors are handed to, and where its name leads. No visitor
 * has it looked up: many could fill the few threads that do so for all, and a
 * resolver that is slow would show that this is no site itself.
 *
 *   at the start -> addresses: in use until there are others -> a minute
 *      ^    \ none: those of before, or an error -> ten seconds    |
 *       \_____________________________________________/___________/
 */

const dns = require('dns')
const net = require('net')

const AGAIN_MS = 60_000
const RETRY_MS = 10_000

const TIMERS = {
  start: (ms, fn) => setTimeout(fn, ms).unref(),
  stop: (timer) => clearTimeout(timer)
}

class Site {
  /**
   * upstream: of parseUpstream(). onProblem(err): it was looked up, and not
   * found. lookup: dns.lookup or a stand-in.
   */
  constructor ({ host, port, text }, onProblem, { lookup = dns.lookup, timers = TIMERS } = {}) {
    this.host = host
    this.port = port
    this.text = text
    this._onProblem = onProblem
    this._lookup = lookup
    this._timers = timers
    this._timer = null
    this._isClosed = false
    this._found = null // the last that were, or null
    this._problem = null // of the last look-up, or null
    this._waiting = new Set() // for the first one
    if (net.isIP(host) === 0) this._look()
  }

  /** What dial.js is to use in place of dns.lookup. signal: aborted when nobody wants to know any more. */
  lookupFor (signal) {
    return (host, options, done) => {
      if (this._found !== null || this._problem !== null) return this._tell(done)
      this._waiting.add(done)
      signal.addEventListener('abort', () => this._waiting.delete(done), { once: true })
    }
  }

  _tell (done) {
    if (this._found !== null) done(null, this._found)
    else done(this._problem)
  }

  // The next begins when this one has ended: there is never more than one.
  _look () {
    this._lookup(this.host, { all: true, verbatim: true }, (err, found) => {
      this._problem = err ?? (found.length === 0 ? new Error('no address') : null)
      if (this._problem === null) this._found = found
      else if (!this._isClosed) this._onProblem(this._problem)
      for (const done of this._waiting) this._tell(done)
      this._waiting.clear()
      if (this._isClosed) return
      this._timer = this._timers.start(this._problem === null ? AGAIN_MS : RETRY_MS, () => this._look())
    })
  }

  /** Looks no more; who waits is still told. */
  close () {
    this._isClosed = true
    this._timers.stop(this._timer)
  }
}

module.exports = { Site }
