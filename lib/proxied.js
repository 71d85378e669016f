'use strict'

/**
 * A server's way to a target through its proxies: allowed? then the proxies are
 * asked, with the name as it is. What they say of the target the client hears;
 * what is wrong with the proxies themselves only the log.
 */

const binding = require('./binding')
const { fail, systemText } = require('./errors')
const { dialThrough } = require('./dial-through')

// RFC 4254 §5.1.
const PROHIBITED = 1
const CONNECT_FAILED = 2

// "Not allowed" of RFC 1928 §6, and of HTTP; and a proxy that waited in vain.
const NOT_ALLOWED = 2
const FORBIDDEN = 403
const GATEWAY_TIMEOUT = 504

/** What a client is told: { reason, text }; null: nothing about the target. */
function refusalOf (err, proxies) {
  if (err.hop !== proxies.length) return null
  // A proxy that was never reached has not waited for the target.
  if (err.code === 'ERR_ALKNET_TIMEOUT' && err.cause?.stage !== 'connect') return { reason: CONNECT_FAILED, text: systemText(err) }
  if (err.reason === undefined) return null
  if (err.reason === NOT_ALLOWED || err.reason === FORBIDDEN) {
    return { reason: PROHIBITED, text: 'the proxy of the server does not allow it' }
  }
  if (err.reason === GATEWAY_TIMEOUT) return { reason: CONNECT_FAILED, text: 'Connection timed out' }
  if (err.code === 'ERR_ALKNET_PROXYAUTH') return null
  if (err.code === 'ERR_ALKNET_PROXY') return { reason: CONNECT_FAILED, text: 'the proxy of the server could not connect' }
  return { reason: CONNECT_FAILED, text: systemText(err) }
}

/** way.lookups as dns.lookup: the look-ups of a session's proxies have its limit. */
function lookupOf (way) {
  return (host, options, done) => {
    const asked = way.lookups.resolve(host, (err, found) => done(err, found?.map((address) => ({ address }))))
    if (!asked) done(fail('LIMIT', 'dns', 'too many look-ups (maxLookups)'))
  }
}

class ProxiedDial {
  /**
   * way: of outbound.js. proxies: of Proxies.to(). target: { host, port }, the
   * host canonical. done(refusal, stream) comes once, maybe from inside start(),
   * and not after close().
   */
  constructor (way, proxies, target, done) {
    this._way = way
    this._proxies = proxies
    this._target = target
    this._done = done
    this._abort = new AbortController()
  }

  start () {
    const way = this._way
    const { host, port } = this._target
    if (port === 0) return this._done({ reason: CONNECT_FAILED, text: 'not a target' })
    const verdict = way.policy.decideUnresolved(way.request({ host, port }))
    if (!verdict.allow) return this._done({ reason: PROHIBITED, text: verdict.text })
    dialThrough(binding, {
      proxies: this._proxies, host, port, timeoutMs: way.connectMs, signal: this._abort.signal, lookup: lookupOf(way)
    }).then((stream) => this._opened(stream), (err) => this._failed(err))
  }

  _opened (stream) {
    if (this._abort.signal.aborted) stream.close()
    else this._done(null, stream)
  }

  _failed (err) {
    if (this._abort.signal.aborted) return
    const refusal = refusalOf(err, this._proxies)
    if (refusal === null) this._way.proxyFailed(err)
    this._done(refusal ?? { reason: CONNECT_FAILED, text: 'the server cannot use its proxy' })
  }

  /** Gives up, silently. */
  close () {
    this._abort.abort()
  }
}

module.exports = { ProxiedDial }
