'use strict'

/**
 * Name look-ups of one session on the server. They run in libuv's few threads,
 * so one session may keep only two of them busy, and its queue has a limit:
 * a session that asks for slow names delays itself, not the others.
 */

const dns = require('dns')
const net = require('net')
const { AlknetError } = require('./errors')

const AT_ONCE = 2

class Lookups {
  /** max: look-ups asked and not answered yet. lookup: dns.lookup or a stand-in. */
  constructor (max, lookup = dns.lookup) {
    this._max = max
    this._lookup = lookup
    this._running = 0
    this._waiting = []
  }

  /**
   * done(err, addresses) is called now for an address and later for a name,
   * with err ERR_ALKNET_DNS or null. False, and no call: too many wait.
   */
  resolve (host, done) {
    if (net.isIP(host) !== 0) {
      done(null, [host])
      return true
    }
    if (this._running + this._waiting.length >= this._max) return false
    this._waiting.push({ host, done })
    this._next()
    return true
  }

  /** Forgets what waits; what runs is answered to nobody. */
  close () {
    this._waiting = []
    this._max = 0
  }

  _next () {
    while (this._running < AT_ONCE && this._waiting.length > 0) {
      const { host, done } = this._waiting.shift()
      this._running++
      this._lookup(host, { all: true, verbatim: true }, (err, found) => {
        this._running--
        if (this._max === 0) return
        this._next()
        if (err) done(dnsError(err))
        else done(null, found.map((one) => one.address))
      })
    }
  }
}

/** The message has no name in it: it may be logged. */
function dnsError (cause) {
  return new AlknetError('name not found', { code: 'ERR_ALKNET_DNS', stage: 'dns', cause })
}

module.exports = { Lookups, dnsError }
