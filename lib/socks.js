'use strict'

/**
 * The SOCKS proxy of a client (spec §4): request, channel, reply, relay. The
 * conversation itself is C's; this decides, a few calls a connection.
 */

const binding = require('./binding')
const { fail } = require('./errors')
const { isHost } = require('./addresses')
const { Listener } = require('./listener')
const { REPLY, replyCode } = require('./socks-reply')

const HANDSHAKE_MS = 10_000

/**
 * One client of the proxy. Owner of the handshake and then of the channel;
 * their events have different names.
 *
 *   handshake --onrequest--> channel opening --onopen--> reply 0 --ondone--> relay
 *        |                        | onclose, time         | onclose
 *        v ondone(null)           v                       v
 *       gone                   reply n --ondone--> gone  close
 */
class SocksClient {
  constructor (session, stream, auth) {
    this._session = session
    this._channel = null
    this._replied = false
    this._timer = setTimeout(onSilent, HANDSHAKE_MS, this)
    this._socks = binding.socksAccept(stream, auth?.user ?? null, auth?.password ?? null)
    this._socks.owner = this
    session._clients.add(this)
  }

  onrequest (version, host, port) {
    clearTimeout(this._timer)
    if (!isHost(host)) return this._reply(REPLY.failure)
    this._timer = setTimeout(onSlow, this._session._openMs, this)
    const channel = this._session._open(host, port)
    if (channel === null) return this._reply(REPLY.failure)
    this._channel = channel
    channel.owner = this
  }

  onopen () {
    this._reply(REPLY.ok)
  }

  onclose (err) {
    this._channel = null
    this._reply(replyCode(err))
  }

  _reply (code) {
    if (this._replied || this._socks === null) return
    this._replied = true
    clearTimeout(this._timer)
    // A client that does not read its answer has the same 10 s.
    this._timer = setTimeout(onSilent, HANDSHAKE_MS, this)
    this._socks.reply(code)
  }

  ondone (stream, err) {
    clearTimeout(this._timer)
    this._socks = null
    this._session._clients.delete(this)
    if (stream === null) this._channel?.close()
    else if (this._channel === null) stream.close()
    else this._session._relays.join(stream, this._channel)
  }

  /** The session is gone. */
  close () {
    this._socks?.close()
  }

  // The channel did not open in time: RFC 1928 has no better word for it.
  _slow () {
    const channel = this._channel
    this._channel = null
    if (channel !== null) {
      channel.owner = null
      channel.close()
    }
    this._reply(replyCode(fail('TIMEOUT', 'channel', 'the channel did not open in time')))
  }
}

function onSilent (client) {
  client.close()
}

function onSlow (client) {
  client._slow()
}

/** auth: { user, password } or undefined. */
function listenSocks (session, { address, port }, auth, log) {
  return new Listener('socks5', address, port, (stream) => {
    if (session._isReady) new SocksClient(session, stream, auth) // eslint-disable-line no-new
    else stream.close()
  }, log)
}

module.exports = { SocksClient, listenSocks }
