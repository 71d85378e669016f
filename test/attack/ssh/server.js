'use strict'

/** The server's steps, each alone, and `serve()` for all of them. */

const { listen } = require('../../helpers/net')
const { Reader, message, string, u8, u32 } = require('./bytes')
const { verify } = require('./kex')
const n = require('./numbers')
const { Ended, Peer, describe } = require('./peer')

class RawServer extends Peer {
  /**
   * @param {net.Socket} socket
   * @param {object} options - Peer's, and: hostKey (of makeKey), userKey (the blob that may in)
   */
  constructor (socket, options) {
    super(socket, 'server', options)
    this.hostKey = options.hostKey
    this.userKey = options.userKey
    this.channels = new Map() // ours -> { far, window }
    this._nextChannel = 0
  }

  // ---- key exchange

  async readInit () {
    this.clientPublic = (await this.expect(n.KEX_INIT)).string()
  }

  replyMessage () {
    const mine = this.startMethod()
    const hash = this.finishMethod(this.hostKey.blob, this.clientPublic)
    return message(n.KEX_REPLY, string(this.hostKey.blob), string(mine), string(this.hostKey.sign(hash)))
  }

  sendReply () {
    this.send(this.replyMessage())
  }

  async method () {
    await this.readInit()
    this.sendReply()
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

  async readService () {
    this.wanted = (await this.expect(n.SERVICE_REQUEST)).string()
  }

  acceptService () {
    this.send(message(n.SERVICE_ACCEPT, string(this.wanted)))
  }

  async service () {
    await this.readService()
    this.acceptService()
  }

  /**
   * The next authentication request: what it is of, and whether its signature
   * is right. Requests of other methods are refused on the way.
   */
  async readAuth () {
    for (;;) {
      const reader = await this.expect(n.USERAUTH_REQUEST)
      const request = { user: reader.text(), service: reader.text(), method: reader.text() }
      if (request.method === 'publickey') return this._readPublickey(request, reader)
      this.refuseAuth()
    }
  }

  _readPublickey (request, reader) {
    const hasSignature = reader.bool()
    const algorithm = reader.text()
    const blob = reader.string()
    const all = { ...request, algorithm, blob, hasSignature, proven: false }
    if (!hasSignature) return all
    const signed = Buffer.concat([string(this.sessionId), message(n.USERAUTH_REQUEST, string(request.user),
      string(request.service), string('publickey'), u8(1), string(algorithm), string(blob))])
    return { ...all, proven: verify(blob, reader.string(), signed) }
  }

  refuseAuth () {
    this.send(message(n.USERAUTH_FAILURE, string('publickey'), u8(0)))
  }

  pkOk (request) {
    this.send(message(n.USERAUTH_PK_OK, string(request.algorithm), string(request.blob)))
  }

  /** Reads requests until one comes with a signature, which has to be right. */
  async readProof () {
    for (;;) {
      const request = await this.readAuth()
      if (!request.blob.equals(this.userKey)) this.refuseAuth()
      else if (!request.hasSignature) this.pkOk(request)
      else if (request.proven) return request
      else throw new Error('the signature of the user is wrong')
    }
  }

  admit () {
    this.send(message(n.USERAUTH_SUCCESS))
  }

  async login () {
    await this.exchange()
    await this.service()
    await this.readProof()
    this.admit()
  }

  // ---- channels

  /** Reads a CHANNEL_OPEN: { type, far, window, packet, host, port }. */
  async readOpen () {
    const open = await this.expect(n.CHANNEL_OPEN)
    const all = { type: open.text(), far: open.u32(), window: open.u32(), packet: open.u32() }
    return { ...all, host: open.text(), port: open.u32() }
  }

  confirm (open, options = {}) {
    const { id = this._nextChannel++, window = 1 << 20, packet = 32768 } = options
    this.channels.set(id, { ...open, id })
    this.send(message(n.OPEN_CONFIRMATION, u32(open.far, id, window, packet)))
    return this.channels.get(id)
  }

  /** An honest server from here on: opens direct-tcpip, echoes, until the end. */
  async serve () {
    try {
      for (;;) await this._answer(await this.next())
    } catch (err) {
      this.socket.destroy()
      if (!(err instanceof Ended)) throw err
    }
  }

  async _answer (payload) {
    const reader = new Reader(payload.subarray(1))
    switch (payload[0]) {
      case n.KEXINIT:
        this.takeKexinit(payload)
        this.rekeyed = (this.rekeyed || 0) + 1
        this.sendKexinit()
        await this.method()
        return this.newkeys()
      case n.CHANNEL_OPEN: {
        const type = reader.text()
        this.confirm({ type, far: reader.u32() })
        return
      }
      case n.DATA: {
        const { far } = this.channels.get(reader.u32())
        const bytes = reader.string()
        this.send(message(n.WINDOW_ADJUST, u32(far, bytes.length)))
        this.send(message(n.DATA, u32(far), string(bytes)))
        return
      }
      case n.EOF: {
        const { far } = this.channels.get(reader.u32())
        this.send(message(n.EOF, u32(far)))
        this.send(message(n.CLOSE, u32(far)))
        return
      }
      case n.CLOSE:
        this.channels.delete(reader.u32())
        return
      default:
        throw new Error(`an honest server got ${describe(payload)}`)
    }
  }
}

/**
 * A listener for one connection after the other.
 *
 * @param {Scope} scope
 * @param {object} options - for each RawServer
 * @returns {Promise<{ host: string, port: number, take: (behave: (peer: RawServer) => Promise) => Promise }>}
 *   take: gives the next connection to `behave` and resolves to what that does
 */
async function startRawServer (scope, options) {
  const waiting = []
  const server = await listen(scope, (socket) => {
    socket.setNoDelay(true)
    const next = waiting.shift()
    if (next === undefined) return socket.destroy()
    next.accept(new RawServer(socket, options))
  })
  return {
    host: server.host,
    port: server.port,
    take: (behave) => new Promise((resolve) => waiting.push({ accept: resolve })).then(behave)
  }
}

module.exports = { RawServer, startRawServer }
