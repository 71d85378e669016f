'use strict'

/** The client's steps, each alone, and `login()` for all of them. */

const { Reader, message, string, u8, u32 } = require('./bytes')
const { verify } = require('./kex')
const n = require('./numbers')
const { Peer, describe, dialRaw } = require('./peer')

/** USERAUTH_REQUEST "publickey" (RFC 4252 §7) up to where its signature goes. */
function publickeyRequest (user, key, hasSignature, options = {}) {
  const { service = 'ssh-connection', method = 'publickey', algorithm = 'ssh-ed25519' } = options
  return message(n.USERAUTH_REQUEST, string(user), string(service), string(method),
    u8(hasSignature ? 1 : 0), string(algorithm), string(key.blob))
}

function openDirect (id, host, port, options = {}) {
  const { window = 1 << 20, packet = 32768, type = 'direct-tcpip' } = options
  return message(n.CHANNEL_OPEN, string(type), u32(id, window, packet),
    string(host), u32(port), string('127.0.0.1'), u32(1))
}

class RawClient extends Peer {
  /**
   * @param {net.Socket} socket
   * @param {object} options - Peer's, and: user, key (of makeKey), hostKey (its blob)
   */
  constructor (socket, options) {
    super(socket, 'client', options)
    this.user = options.user
    this.key = options.key
    this._hostKey = options.hostKey
  }

  // ---- key exchange

  sendInit (value = this.startMethod()) {
    return this.send(message(n.KEX_INIT, string(value)))
  }

  /** Reads the reply, and checks it. */
  async readReply () {
    const reply = await this.expect(n.KEX_REPLY)
    const hostKey = reply.string()
    const farPublic = reply.string()
    const hash = this.finishMethod(hostKey, farPublic)
    if (!hostKey.equals(this._hostKey)) throw new Error('another host key')
    if (!verify(hostKey, reply.string(), hash)) throw new Error('the signature of the host key is wrong')
  }

  async method () {
    this.sendInit()
    await this.readReply()
  }

  async newkeys () {
    this.sendNewkeys()
    await this.readNewkeys()
  }

  /** Everything up to the first encrypted packet, or a rekey. */
  async exchange () {
    if (this.farIdent === null) await this.exchangeIdents()
    this.sendKexinit()
    const before = await this.readKexinit()
    await this.method()
    await this.newkeys()
    return before
  }

  // ---- authentication

  async service (name = 'ssh-userauth') {
    this.send(message(n.SERVICE_REQUEST, string(name)))
    await this.expect(n.SERVICE_ACCEPT)
  }

  /** "Would this key do?" */
  queryMessage (key = this.key, options) {
    return publickeyRequest(this.user, key, false, options)
  }

  /** A request with the signature of `signer` over what it says of `key`. */
  authMessage (key = this.key, signer = key, options = {}) {
    const request = publickeyRequest(options.user || this.user, key, true, options)
    const signed = options.signed || Buffer.concat([string(options.sessionId || this.sessionId), request])
    return Buffer.concat([request, string(signer.sign(signed))])
  }

  async query () {
    this.send(this.queryMessage())
    await this.expect(n.USERAUTH_PK_OK)
  }

  async authenticate () {
    this.send(this.authMessage())
    await this.expect(n.USERAUTH_SUCCESS)
  }

  async login () {
    await this.exchange()
    await this.service()
    await this.authenticate()
  }

  // ---- channels

  /** Opens a channel: { id, far, window, packet }; throws when it is refused. */
  async open (host, port, options = {}) {
    const id = options.id ?? 0
    this.send(openDirect(id, host, port, options))
    const answer = await this.next()
    if (answer[0] !== n.OPEN_CONFIRMATION) throw new Error(`not opened: ${describe(answer)}`)
    const reader = new Reader(answer.subarray(1))
    if (reader.u32() !== id) throw new Error('another channel was opened')
    return { id, far: reader.u32(), window: reader.u32(), packet: reader.u32() }
  }

  /** Sends bytes through a channel to an echo server and reads them back. */
  async echo (channel, bytes = Buffer.from('ping')) {
    this.send(message(n.DATA, u32(channel.far), string(bytes)))
    let got = Buffer.alloc(0)
    while (got.length < bytes.length) {
      const data = await this.expect(n.DATA)
      if (data.u32() !== channel.id) throw new Error('data for another channel')
      got = Buffer.concat([got, data.string()])
    }
    if (!got.equals(bytes)) throw new Error('other bytes came back')
  }
}

/** A RawClient on a new connection to `server` ({ host, port }). */
async function connectRaw (scope, server, options) {
  return new RawClient(await dialRaw(scope, server.port, server.host), options)
}

module.exports = { RawClient, connectRaw, publickeyRequest, openDirect }
