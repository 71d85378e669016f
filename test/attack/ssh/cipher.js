'use strict'

/**
 * What protects packets, one object a direction. `seal` takes the length field
 * and the body (padding length, payload, padding) apart, so that a packet can
 * announce what it is not and still have a tag that is right.
 *
 *   lengthOf(seq, head)     what the first four bytes of a packet say
 *   open(seq, head, rest)   rest: the body and the tag; throws when it is wrong
 *   seal(seq, length, body) the whole packet
 */

const crypto = require('node:crypto')
const { u32 } = require('./bytes')

/** Before the first keys (RFC 4253 §6). */
class Plain {
  get block () { return 8 }
  get tagLength () { return 0 }
  /** Whether the length field counts for the padding. */
  get padsLength () { return true }
  lengthOf (seq, head) { return head.readUInt32BE() }
  open (seq, head, rest) { return rest }
  seal (seq, length, body) { return Buffer.concat([u32(length), body]) }
}

/** RFC 5647 as OpenSSH does it: the length is in clear and authenticated. */
class Gcm {
  constructor (name, key, iv) {
    this._name = name
    this._key = key
    this._iv = Buffer.from(iv)
  }

  get block () { return 16 }
  get tagLength () { return 16 }
  get padsLength () { return false }

  _next () {
    const iv = Buffer.from(this._iv)
    this._iv.writeBigUInt64BE(BigInt.asUintN(64, this._iv.readBigUInt64BE(4) + 1n), 4)
    return iv
  }

  lengthOf (seq, head) { return head.readUInt32BE() }

  open (seq, head, rest) {
    const decipher = crypto.createDecipheriv(this._name, this._key, this._next())
    decipher.setAAD(head)
    decipher.setAuthTag(rest.subarray(-16))
    const body = decipher.update(rest.subarray(0, -16))
    decipher.final()
    return body
  }

  seal (seq, length, body) {
    const cipher = crypto.createCipheriv(this._name, this._key, this._next())
    const head = u32(length)
    cipher.setAAD(head)
    const sealed = cipher.update(body)
    cipher.final()
    return Buffer.concat([head, sealed, cipher.getAuthTag()])
  }
}

const P = (1n << 130n) - 5n

function littleEndian (bytes) {
  return BigInt('0x' + (Buffer.from(bytes).reverse().toString('hex') || '0'))
}

/** RFC 8439 §2.5. */
function poly1305 (key, bytes) {
  const r = littleEndian(key.subarray(0, 16)) & 0x0ffffffc0ffffffc0ffffffc0fffffffn
  let sum = 0n
  for (let at = 0; at < bytes.length; at += 16) {
    const block = bytes.subarray(at, at + 16)
    sum = (sum + littleEndian(block) + (1n << BigInt(8 * block.length))) * r % P
  }
  const tag = BigInt.asUintN(128, sum + littleEndian(key.subarray(16, 32)))
  return Buffer.from(tag.toString(16).padStart(32, '0'), 'hex').reverse()
}

function chacha (key, seq, counter, bytes) {
  const iv = Buffer.alloc(16)
  iv[0] = counter
  iv.writeUInt32BE(seq, 12)
  return crypto.createCipheriv('chacha20', key, iv).update(bytes)
}

/** OpenSSH's PROTOCOL.chacha20poly1305. */
class ChaCha20Poly1305 {
  constructor (name, key) {
    this._main = key.subarray(0, 32)
    this._head = key.subarray(32, 64)
  }

  get block () { return 8 }
  get tagLength () { return 16 }
  get padsLength () { return false }

  _tag (seq, bytes) {
    return poly1305(chacha(this._main, seq, 0, Buffer.alloc(32)), bytes)
  }

  lengthOf (seq, head) { return chacha(this._head, seq, 0, head).readUInt32BE() }

  open (seq, head, rest) {
    const sealed = rest.subarray(0, -16)
    if (!this._tag(seq, Buffer.concat([head, sealed])).equals(rest.subarray(-16))) throw new Error('a tag is wrong')
    return chacha(this._main, seq, 1, sealed)
  }

  seal (seq, length, body) {
    const sealed = Buffer.concat([chacha(this._head, seq, 0, u32(length)), chacha(this._main, seq, 1, body)])
    return Buffer.concat([sealed, this._tag(seq, sealed)])
  }
}

/** AES-CTR and hmac-sha2-256-etm@openssh.com: encrypt, then MAC. */
class CtrEtm {
  constructor (name, key, iv, macKey) {
    this._cipher = crypto.createCipheriv(name, key, iv)
    this._macKey = macKey
  }

  get block () { return 16 }
  get tagLength () { return 32 }
  get padsLength () { return false }

  _mac (seq, bytes) {
    return crypto.createHmac('sha256', this._macKey).update(u32(seq)).update(bytes).digest()
  }

  lengthOf (seq, head) { return head.readUInt32BE() }

  open (seq, head, rest) {
    const sealed = rest.subarray(0, -32)
    if (!this._mac(seq, Buffer.concat([head, sealed])).equals(rest.subarray(-32))) throw new Error('a MAC is wrong')
    return this._cipher.update(sealed) // the same both ways
  }

  seal (seq, length, body) {
    const bytes = Buffer.concat([u32(length), this._cipher.update(body)])
    return Buffer.concat([bytes, this._mac(seq, bytes)])
  }
}

const CIPHERS = {
  'aes128-gcm@openssh.com': { Kind: Gcm, name: 'aes-128-gcm', keyLength: 16, ivLength: 12, tagLength: 16 },
  'aes256-gcm@openssh.com': { Kind: Gcm, name: 'aes-256-gcm', keyLength: 32, ivLength: 12, tagLength: 16 },
  'chacha20-poly1305@openssh.com': { Kind: ChaCha20Poly1305, name: '', keyLength: 64, ivLength: 0, tagLength: 16 },
  'aes256-ctr': { Kind: CtrEtm, name: 'aes-256-ctr', keyLength: 32, ivLength: 16, tagLength: 32 }
}

const MAC = 'hmac-sha2-256-etm@openssh.com'
const MAC_KEY_LENGTH = 32

module.exports = { CIPHERS, MAC, MAC_KEY_LENGTH, Plain, poly1305 }
