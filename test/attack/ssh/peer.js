'use strict'

/**
 * One end of an SSH connection over a socket, which does what it is told and
 * nothing more: each step is a call, so that a test can leave one out, repeat
 * it, or put something else in its place.
 *
 *   ident -> sendKexinit, readKexinit -> (the method) -> newkeys -> messages
 *
 * Packets are read when somebody asks for one, never before: the keys change
 * between two of them.
 */

const crypto = require('node:crypto')
const net = require('node:net')
const { kexinit, parseKexinit, readIdent } = require('../../helpers/wire')
const { readBytes } = require('../../helpers/net')
const { Reader, message, string, u32 } = require('./bytes')
const { CIPHERS, MAC, MAC_KEY_LENGTH, Plain } = require('./cipher')
const { METHODS, deriveKey, exchangeHash } = require('./kex')
const n = require('./numbers')

/** The other side has ended the connection; code: of its DISCONNECT, or null. */
class Ended extends Error {
  constructor (message, code = null) {
    super(message)
    this.code = code
  }
}

/** How long a connection may go on that should have ended: no test waits longer. */
const FINISH_MS = 4000

const STRICT = { client: 'kex-strict-c-v00@openssh.com', server: 'kex-strict-s-v00@openssh.com' }

class Peer {
  /**
   * @param {net.Socket} socket
   * @param {'client' | 'server'} role
   * @param {{ ident?: string, kex?: string, cipher?: string, strict?: boolean, lists?: object }} [options]
   *   lists: name-lists of the KEXINIT that are to be different
   */
  constructor (socket, role, options = {}) {
    this.socket = socket
    this.role = role
    this.ident = options.ident || 'SSH-2.0-raw'
    this.kexName = options.kex || 'curve25519-sha256'
    this.cipherName = options.cipher || 'aes128-gcm@openssh.com'
    this.isStrict = false
    this._wantsStrict = options.strict !== false
    this._lists = options.lists || {}
    this.farIdent = null
    this.kexinit = null
    this.farKexinit = null
    this.sessionId = null
    this.seqIn = 0
    this.seqOut = 0
    this.in = new Plain()
    this.out = new Plain()
    /** The sequence numbers that they did not know what to do with. */
    this.unimplemented = []
    this._secret = null
    this._hash = null
    this._hasNewKeys = false
  }

  // ---- bytes and packets

  write (bytes) { this.socket.write(bytes) }

  /** Padding length, payload, padding. */
  _bodyOf (payload) {
    const { block, padsLength } = this.out
    let padding = block - ((payload.length + (padsLength ? 5 : 1)) % block)
    if (padding < 4) padding += block
    return Buffer.concat([Buffer.from([padding]), payload, Buffer.alloc(padding)])
  }

  /**
   * A packet, sealed under the next sequence number.
   *
   * @param {Buffer | null} payload
   * @param {{ length?: number, body?: Buffer }} [how] - length: what the length
   *   field says; body: all between it and the tag, in place of the payload
   */
  seal (payload, how = {}) {
    const body = how.body || this._bodyOf(payload)
    const sealed = this.out.seal(this.seqOut, how.length ?? body.length, body)
    this.seqOut = (this.seqOut + 1) >>> 0
    return sealed
  }

  /** Sends a packet and returns its sequence number. */
  send (payload, how) {
    const seq = this.seqOut
    this.write(this.seal(payload, how))
    return seq
  }

  async _bytes (count) {
    try {
      return await readBytes(this.socket, count)
    } catch (err) {
      throw new Ended(err.message)
    }
  }

  /**
   * The payload of the next packet. Throws Ended where there is none. A
   * NEWKEYS that follows an exchange brings its keys.
   */
  async read () {
    const head = await this._bytes(4)
    const length = this.in.lengthOf(this.seqIn, head)
    if (length > 300000) throw new Error(`a packet of ${length} bytes`)
    const rest = await this._bytes(length + this.in.tagLength)
    const body = this.in.open(this.seqIn, head, rest)
    this.seqIn = (this.seqIn + 1) >>> 0
    const payload = body.subarray(1, body.length - body[0])
    if (payload[0] === n.NEWKEYS && this._hasNewKeys) this._useKeysIn()
    return payload
  }

  /**
   * The next packet that is not one of those that may always come. What is
   * asked for with a global request is refused; a DISCONNECT is thrown.
   */
  async next () {
    for (;;) {
      const payload = await this.read()
      switch (payload[0]) {
        case n.IGNORE: case n.DEBUG: case n.EXT_INFO: case n.USERAUTH_BANNER: case n.WINDOW_ADJUST:
          break
        case n.GLOBAL_REQUEST: {
          const request = new Reader(payload.subarray(1))
          request.string()
          if (request.bool()) this.send(message(n.REQUEST_FAILURE))
          break
        }
        case n.UNIMPLEMENTED:
          this.unimplemented.push(payload.readUInt32BE(1))
          break
        case n.DISCONNECT:
          throw new Ended(describe(payload), payload.readUInt32BE(1))
        default:
          return payload
      }
    }
  }

  /** The next packet, which has to be message `number`: a Reader of its fields. */
  async expect (number) {
    const payload = await this.next()
    if (payload[0] !== number) throw new Error(`message ${number} expected, got ${describe(payload)}`)
    return new Reader(payload.subarray(1))
  }

  /**
   * Reads on to the end of the connection.
   *
   * @returns {Promise<{ numbers: number[], code: number | null, text: string }>}
   *   the messages on the way; code and text: of the DISCONNECT, where one came
   */
  async finish () {
    const numbers = []
    let last = null
    let timer
    const late = new Promise((resolve, reject) => {
      timer = setTimeout(() => reject(new Error(`the connection goes on; its messages: ${numbers}`)), FINISH_MS)
    })
    const end = (async () => {
      for (;;) {
        last = await this.read()
        numbers.push(last[0])
      }
    })()
    try {
      await Promise.race([end, late])
    } catch (err) {
      if (!(err instanceof Ended)) throw err
    } finally {
      clearTimeout(timer)
      end.catch(() => {})
      this.socket.destroy()
    }
    const reader = last !== null && last[0] === n.DISCONNECT ? new Reader(last.subarray(1)) : null
    return { numbers, code: reader ? reader.u32() : null, text: reader ? reader.text() : '' }
  }

  // ---- the beginning

  async exchangeIdents () {
    this.write(`${this.ident}\r\n`)
    this.farIdent = await readIdent(this.socket).catch((err) => { throw new Ended(err.message) })
  }

  // ---- key exchange

  get isClient () { return this.role === 'client' }

  makeKexinit (lists = {}) {
    const markers = this.sessionId === null
      ? [...(this._wantsStrict ? [STRICT[this.role]] : []), ...(this.isClient ? ['ext-info-c'] : [])]
      : []
    return kexinit({
      kex: [this.kexName, ...markers].join(','),
      hostKeys: 'ssh-ed25519',
      ciphersToServer: this.cipherName,
      ciphersToClient: this.cipherName,
      macsToServer: MAC,
      macsToClient: MAC,
      ...this._lists,
      ...lists
    })
  }

  sendKexinit (payload = this.makeKexinit()) {
    this.kexinit = payload
    return this.send(payload)
  }

  /**
   * Reads their KEXINIT.
   *
   * @returns {Promise<Buffer[]>} the messages that were under way before it
   */
  async readKexinit () {
    const before = []
    for (;;) {
      const payload = await this.next()
      if (payload[0] === n.KEXINIT) {
        this.takeKexinit(payload)
        return before
      }
      if (this.sessionId === null) throw new Error(`KEXINIT expected, got ${describe(payload)}`)
      before.push(payload)
    }
  }

  takeKexinit (payload) {
    this.farKexinit = payload
    this.farLists = parseKexinit(payload)
    if (this.sessionId !== null) return
    const far = this.isClient ? STRICT.server : STRICT.client
    this.isStrict = this._wantsStrict && this.farLists.kex.includes(far)
  }

  /** Our part of the method; also the value to send. */
  startMethod () {
    this._method = new METHODS[this.kexName]()
    return this._method.public
  }

  /** With their part: the secret, the exchange hash, and the session's id. */
  finishMethod (hostKey, farPublic) {
    this._secret = this._method.secret(farPublic)
    const mine = { ident: this.ident, kexinit: this.kexinit, public: this._method.public }
    const far = { ident: this.farIdent, kexinit: this.farKexinit, public: farPublic }
    const [client, server] = this.isClient ? [mine, far] : [far, mine]
    this._hash = exchangeHash({
      clientIdent: client.ident,
      serverIdent: server.ident,
      clientKexinit: client.kexinit,
      serverKexinit: server.kexinit,
      clientPublic: client.public,
      serverPublic: server.public,
      hostKey,
      secret: this._secret
    })
    if (this.sessionId === null) this.sessionId = this._hash
    this._hasNewKeys = true
    return this._hash
  }

  /** The cipher of one direction, with the keys of the last exchange. */
  _keys (isFromClient) {
    const { Kind, name, keyLength, ivLength } = CIPHERS[this.cipherName]
    const derive = (letter, length) => deriveKey(this._secret, this._hash, this.sessionId, letter, length)
    const [iv, key, mac] = isFromClient ? 'ACE' : 'BDF'
    return new Kind(name, derive(key, keyLength), derive(iv, ivLength), derive(mac, MAC_KEY_LENGTH))
  }

  sendNewkeys () {
    this.send(message(n.NEWKEYS))
    this.useKeysOut()
  }

  useKeysOut () {
    this.out = this._keys(this.isClient)
    if (this.isStrict) this.seqOut = 0
  }

  _useKeysIn () {
    this.in = this._keys(!this.isClient)
    if (this.isStrict) this.seqIn = 0
    this._hasNewKeys = false
  }

  async readNewkeys () { await this.expect(n.NEWKEYS) }

  disconnect (code = 11) {
    this.send(message(n.DISCONNECT, u32(code), string('bye'), string('')))
    this.socket.end()
  }
}

function describe (payload) {
  const text = payload[0] === n.DISCONNECT ? ` (${payload.readUInt32BE(1)}: ${payload.subarray(9, -4)})` : ''
  return `message ${payload[0]}${text}`
}

/** A connected socket; it is destroyed with the scope. */
function dialRaw (scope, port, host = '127.0.0.1') {
  return new Promise((resolve, reject) => {
    const socket = net.connect({ port, host, allowHalfOpen: true, noDelay: true })
    scope.defer(() => { socket.destroy() })
    socket.once('error', reject)
    socket.once('connect', () => {
      socket.off('error', reject)
      socket.on('error', () => {}) // an end, to whoever reads
      resolve(socket)
    })
  })
}

const random = (length) => crypto.randomBytes(length)

module.exports = { Peer, Ended, STRICT, describe, dialRaw, random }
