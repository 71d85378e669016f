'use strict'

/**
 * A client's wish to reach a target, on the server: allowed? where is it?
 * allowed there? connected? then the channel is confirmed and both are joined.
 * One small object a connection; it runs a few times and is gone.
 *
 *   identity -> look-up -> each address against the policy
 *     -> one address: connect, accept and relay are one call of the addon
 *     -> several: dial, then accept and relay
 *     -> or refuse with the reason
 *
 * The client may give up at any step (onclose of the channel).
 */

const binding = require('./binding')
const { systemText } = require('./errors')
const { canonicalHost } = require('./addresses')
const { Dial } = require('./dial')

const PROHIBITED = 1
const CONNECT_FAILED = 2
const SHORTAGE = 4

class Outbound {
  /** connection: of connection.js. channel: its owner until it is joined. */
  constructor (connection, channel, host, port) {
    this._connection = connection
    this._channel = channel
    this._host = canonicalHost(host)
    this._port = port
    this._policy = connection.policy // in force now; a reload is for later channels
    this._dial = null
    channel.owner = this
  }

  start () {
    if (this._host === null || this._port === 0) return this._refuse(CONNECT_FAILED, 'not a target')
    const verdict = this._policy.preview(this._connection.request({ host: this._host, port: this._port }))
    if (verdict !== null) return this._refuse(PROHIBITED, verdict.text)
    const asked = this._connection.lookups.resolve(this._host, (err, addresses) => this._resolved(err, addresses))
    if (!asked) this._refuse(SHORTAGE, 'too many look-ups (maxLookups)')
  }

  _resolved (err, addresses) {
    if (this._channel === null) return
    if (err !== null) return this._refuse(CONNECT_FAILED, 'name not found')
    if (addresses.length === 0) return this._refuse(CONNECT_FAILED, 'name not found')
    const decision = this._policy.decide(this._connection.request({ host: this._host, port: this._port }), addresses)
    if (decision.refusal !== null) return this._refuse(PROHIBITED, decision.refusal)
    if (decision.addresses.length === 1) {
      this._channel.connect(decision.addresses[0], this._port, this._connection.connectMs)
    } else {
      this._dial = new Dial(binding.connectTcp, decision.addresses, this._port, this._connection.connectMs,
        (failure, stream) => this._dialed(failure, stream))
    }
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
    this._connection.join(channel, stream)
  }

  _refuse (reason, text) {
    const channel = this._channel
    this._channel = null
    channel.owner = null
    this._connection.turnAway(channel, reason, text)
  }

  /** The client has gone, or its session; or all that was relayed has. */
  onclose () {
    if (this._channel === null) return
    this._channel = null
    if (this._dial !== null) this._dial.close()
    this._connection.channelGone()
  }
}

module.exports = { Outbound, PROHIBITED, SHORTAGE }
