'use strict'

/**
 * Connecting to one of several addresses: RFC 8305. The families take turns,
 * the next address starts 250 ms after the last or as soon as it failed, the
 * first that connects wins and the others are closed. Only the addresses that
 * were handed in are ever connected to: who checked them can rely on it.
 */

const dns = require('dns')
const net = require('net')
const { canceled, fail } = require('./errors')
const { dnsError } = require('./lookups')

const DELAY_MS = 250

// Each is tried at least once within the time limit; a name with more has
// more than anybody could wait for.
const MAX_ADDRESSES = 32

/** [v6, v6, v4] => [v6, v4, v6]: the first one's family begins. */
function interleave (addresses) {
  const first = net.isIP(addresses[0])
  const mine = addresses.filter((a) => net.isIP(a) === first)
  const other = addresses.filter((a) => net.isIP(a) !== first)
  const out = []
  for (let i = 0; i < Math.max(mine.length, other.length); i++) {
    if (i < mine.length) out.push(mine[i])
    if (i < other.length) out.push(other[i])
  }
  return out.slice(0, MAX_ADDRESSES)
}

/** One address being tried. Owner of its stream until the dial is over. */
class Attempt {
  constructor (dial, stream) {
    this._dial = dial
    this.stream = stream
    stream.owner = this
  }

  onopen () {
    if (this._dial !== null) this._dial._won(this)
  }

  onclose (err) {
    if (this._dial !== null) this._dial._lost(this, err)
  }

  /** Hands the stream to nobody, or closes it. */
  leave (close) {
    this._dial = null
    if (close) this.stream.close()
  }
}

class Dial {
  /**
   * connectTcp: the addon's. done(err, stream) comes once, later, and not after
   * close(). The stream is open, paused and its owner is the caller's to set.
   */
  constructor (connectTcp, addresses, port, timeoutMs, done) {
    this._connectTcp = connectTcp
    this._waiting = addresses.length > 1 ? interleave(addresses) : addresses.slice()
    this._port = port
    this._done = done
    this._attempts = []
    this._error = null
    this._delay = null
    this._limit = setTimeout(onLimit, timeoutMs, this)
    this._next()
  }

  _next () {
    clearTimeout(this._delay)
    this._delay = null
    const address = this._waiting.shift()
    this._attempts.push(new Attempt(this, this._connectTcp(address, this._port)))
    if (this._waiting.length > 0) this._delay = setTimeout(onDelay, DELAY_MS, this)
  }

  _won (attempt) {
    this._finish(attempt)
    this._done(null, attempt.stream)
  }

  _lost (attempt, err) {
    this._attempts.splice(this._attempts.indexOf(attempt), 1)
    // The first failure is the most telling: it is the preferred address's.
    this._error ??= err
    if (this._waiting.length > 0) this._next()
    else if (this._attempts.length === 0) this._fail(this._error ?? fail('CLOSED', 'connect', 'closed'))
  }

  _fail (err) {
    this._finish(null)
    this._done(err)
  }

  _finish (winner) {
    clearTimeout(this._limit)
    clearTimeout(this._delay)
    this._waiting = []
    for (const attempt of this._attempts) attempt.leave(attempt !== winner)
    this._attempts = []
  }

  /** Gives up, silently. */
  close () {
    this._finish(null)
  }
}

function onDelay (dial) {
  dial._next()
}

function onLimit (dial) {
  dial._fail(fail('TIMEOUT', 'connect', 'Connection timed out'))
}

/**
 * Resolves host and connects to it: the client's way to its server.
 * @returns {Promise<object>} an open stream of the addon
 */
function dialHost (binding, { host, port, timeoutMs, signal, lookup = dns.lookup }) {
  const started = Date.now()
  return new Promise((resolve, reject) => {
    let dial = null
    let over = false
    const finish = (err, stream) => {
      if (over) return
      over = true
      clearTimeout(limit)
      signal?.removeEventListener('abort', onAbort)
      if (dial !== null && err) dial.close()
      if (err) reject(err)
      else resolve(stream)
    }
    const onAbort = () => finish(canceled('connect', signal.reason))
    // A resolver that never answers must not outlive the limit either.
    const limit = setTimeout(() => finish(fail('TIMEOUT', 'connect', `no connection to ${host} within ${timeoutMs / 1000} s`)), timeoutMs)
    if (signal?.aborted) return onAbort()
    signal?.addEventListener('abort', onAbort, { once: true })
    const connect = (addresses) => {
      const left = Math.max(1, timeoutMs - (Date.now() - started))
      dial = new Dial(binding.connectTcp, addresses, port, left, finish)
    }
    if (net.isIP(host) !== 0) return connect([host])
    lookup(host, { all: true, verbatim: true }, (err, found) => {
      if (over) return
      if (err || found.length === 0) finish(Object.assign(dnsError(err), { message: `${host}: name not found` }))
      else connect(found.map((one) => one.address))
    })
  })
}

module.exports = { Dial, dialHost, interleave }
