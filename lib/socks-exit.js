'use strict'

/**
 * Where a SOCKS proxy that the server listens on for us (ssh's -R port) leaves:
 * here. Each client of it is a channel, and speaks SOCKS with the addon; names
 * are looked up on this side, and what the built-in deny of the policy names
 * is refused, for whoever can reach the server's end of it can ask.
 */

const { fail, systemText } = require('./errors')
const { canonicalHost, isReserved } = require('./addresses')
const binding = require('./binding')
const { CONNECT_FAILED, PROHIBITED } = require('./channels')
const { Dial } = require('./dial')
const { findAddresses } = require('./outbound')
const { REPLY, replyCode } = require('./socks-reply')

/**
 * One client that has asked for something.
 *
 *   reach --> look-up -> policy -> dial --> join --> relay --> onclose
 *               | refused            |        | onrefused
 *               v                    v        v
 *             refuse ------------------------------------------> onclose
 */
class SocksExit {
  /** way: of remote-forward.js. socks: of the addon. */
  constructor (way, socks) {
    this._way = way
    this._socks = socks // null once it has closed
    this._dial = null
    this._counts = true // as a connection that a drain waits for
    socks.owner = this
    way.relays.add()
  }

  reach (host, port) {
    if (isReserved(host)) return this._refuse(PROHIBITED, 'a reserved name')
    findAddresses(this._way, canonicalHost(host), port, (refusal, addresses) => {
      if (this._socks === null) return
      if (refusal !== null) return this._refuse(refusal.reason, refusal.text)
      this._dial = new Dial(binding.connectTcp, addresses, port, this._way.connectMs,
        (err, stream) => this._dialed(err, stream))
    })
  }

  _dialed (err, stream) {
    this._dial = null
    if (err) this._refuse(CONNECT_FAILED, systemText(err))
    else this._socks.join(stream, this._way.connectMs)
  }

  _refuse (reason, text) {
    this._leave(null)
    this._socks.refuse(replyCode(fail('CHANNEL', 'channel', text, { reason })))
  }

  _leave (err) {
    if (!this._counts) return
    this._counts = false
    this._way.relays.onclose(err)
  }

  onrefused (err) {
    this._leave(err)
    this._socks.refuse(REPLY.failure)
  }

  onclose (err) {
    this._socks = null
    this._dial?.close()
    this._leave(err)
  }
}

module.exports = { SocksExit }
