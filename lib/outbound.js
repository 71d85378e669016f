'use strict'

/**
 * A wish of the far end to reach a target from here: allowed? where is it?
 * allowed there? connected? then the channel is confirmed and both are joined.
 * One small object a connection; it runs a few times and is gone.
 *
 *   identity -> look-up -> each address against the policy
 *     -> one address: connect, accept and relay are one call of the addon
 *     -> several, or a Unix socket: dial, then accept and relay
 *     -> or refuse with the reason
 *   or, where proxies connect: the policy, then the proxies (proxied.js)
 *
 * The far end may give up at any step (onclose of the channel).
 *
 * A way is whose wishes they are (connection.js on a server, remote-forward.js
 * on a client); only a server's has proxies:
 *   policy request(target) lookups connectMs proxies(host) proxyFailed(err)
 *   join(channel, stream) turnAway(channel, reason, text) channelGone()
 */

const binding = require('./binding')
const { CONNECT_FAILED, PROHIBITED, SHORTAGE } = require('./channels')
const { systemText } = require('./errors')
const { canonicalHost } = require('./addresses')
const { Dial } = require('./dial')
const { ProxiedDial } = require('./proxied')
const { channelOver } = require('./trace')

/**
 * The addresses of host that may be connected to. done(refusal, addresses) is
 * called once, now or later; refusal: { reason, text } or null. host: of
 * canonicalHost().
 */
function findAddresses (way, host, port, done) {
  const { policy } = way // in force now; a reload is for later channels
  if (host === null || port === 0) return done({ reason: CONNECT_FAILED, text: 'not a target' })
  const verdict = policy.preview(way.request({ host, port }))
  if (verdict !== null) return done({ reason: PROHIBITED, text: verdict.text })
  const asked = way.lookups.resolve(host, (err, addresses) => {
    if (err !== null || addresses.length === 0) return done({ reason: CONNECT_FAILED, text: 'name not found' })
    const decision = policy.decide(way.request({ host, port }), addresses)
    if (decision.refusal !== null) done({ reason: PROHIBITED, text: decision.refusal })
    else done(null, decision.addresses)
  })
  if (!asked) done({ reason: SHORTAGE, text: 'too many look-ups (maxLookups)' })
}

class Outbound {
  /** channel: its owner until it is joined. target: { host, port } or { path }. */
  constructor (way, channel, target) {
    this._way = way
    this._channel = channel
    this._target = target
    this._dial = null
    channel.owner = this
  }

  start () {
    const { host, port, path } = this._target
    this._target = null // a relay may live long
    if (path !== undefined) return this._startPath(path)
    const name = canonicalHost(host)
    const proxies = name === null ? [] : this._way.proxies(name)
    if (proxies.length > 0) return this._startProxied(proxies, name, port)
    findAddresses(this._way, name, port, (refusal, addresses) => {
      if (this._channel === null) return
      if (refusal !== null) return this._refuse(refusal.reason, refusal.text)
      if (addresses.length === 1) this._channel.connect(addresses[0], port, this._way.connectMs)
      else this._startDial(binding.connectTcp, addresses, port)
    })
  }

  _startProxied (proxies, host, port) {
    this._dial = new ProxiedDial(this._way, proxies, { host, port }, (refusal, stream) => {
      this._dial = null
      if (refusal !== null) this._refuse(refusal.reason, refusal.text)
      else this._dialed(null, stream)
    })
    this._dial.start()
  }

  _startPath (path) {
    const verdict = this._way.policy.decidePath(this._way.request({ path }))
    if (!verdict.allow) return this._refuse(PROHIBITED, verdict.text)
    this._startDial(binding.connectUnix, [path], 0)
  }

  _startDial (connect, addresses, port) {
    this._dial = new Dial(connect, addresses, port, this._way.connectMs, (err, stream) => this._dialed(err, stream))
  }

  /** The only address could not be connected to. */
  onrefused (err) {
    this._refuse(CONNECT_FAILED, systemText(err))
  }

  _dialed (err, stream) {
    this._dial = null
    if (err) return this._refuse(CONNECT_FAILED, systemText(err))
    const channel = this._channel
    this._channel = null
    this._way.join(channel, stream)
  }

  _refuse (reason, text) {
    const channel = this._channel
    this._channel = null
    channel.owner = null
    this._way.turnAway(channel, reason, text)
  }

  /** The far end has gone, or its session; or all that was relayed has. */
  onclose (err) {
    if (this._channel === null) return
    channelOver(this._channel, err, false)
    this._channel = null
    if (this._dial !== null) this._dial.close()
    this._way.channelGone()
  }
}

module.exports = { Outbound, findAddresses }
