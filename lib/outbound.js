'use strict'

/**
 * A client's wish to reach a target, on the server: allowed? where is it?
 * allowed there? connected? then the channel is confirmed and both are joined.
 * One small object a connection; it runs a few times and is gone.
 *
 *   identity -> look-up -> each address against the policy -> dial
 *     -> accept and relay, or refuse with the reason
 *
 * The client may give up at any step (onclose of the channel).
 */

const binding = require('./binding')
const { systemText } = require('./errors')
const { isHost } = require('./addresses')
const { Dial } = require('./dial')

const PROHIBITED = 1
const CONNECT_FAILED = 2
const SHORTAGE = 4

class Outbound {
  /** connection: of server.js. channel: its owner until it is joined. */
  constructor (connection, channel, host, port) {
    this._connection = connection
    this._channel = channel
    this._host = host
    this._port = port
    this._dial = null
    channel.owner = this
  }

  start () {
    const { policy, lookups } = this._connection
    if (!isHost(this._host) || this._port === 0) return this._refuse(CONNECT_FAILED, 'not a target')
    const refusal = policy.refuseIdentity(this._connection.permissions, this._host, this._port)
    if (refusal !== null) return this._refuse(PROHIBITED, refusal)
    const asked = lookups.resolve(this._host, (err, addresses) => this._resolved(err, addresses))
    if (!asked) this._refuse(SHORTAGE, 'too many look-ups (maxLookups)')
  }

  _resolved (err, addresses) {
    if (this._channel === null) return
    if (err !== null) return this._refuse(CONNECT_FAILED, 'name not found')
    let refusal = 'name not found'
    const allowed = []
    for (const address of addresses) {
      const text = this._connection.policy.refuseAddress(address, this._port)
      if (text === null) allowed.push(address)
      else refusal = text
    }
    if (allowed.length === 0) return this._refuse(addresses.length === 0 ? CONNECT_FAILED : PROHIBITED, refusal)
    this._dial = new Dial(binding.connectTcp, allowed, this._port, this._connection.connectMs,
      (failure, stream) => this._dialed(failure, stream))
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

  /** The client has gone, or its session. */
  onclose () {
    if (this._channel === null) return
    this._channel = null
    if (this._dial !== null) this._dial.close()
    this._connection.channelGone()
  }
}

module.exports = { Outbound, PROHIBITED, SHORTAGE }
