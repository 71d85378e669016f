'use strict'

/** Key exchange methods, keys from secrets, and Ed25519 keys. */

const crypto = require('node:crypto')
const { Reader, mpint, string } = require('./bytes')

function rawX25519 (key) {
  return Buffer.from(key.export({ format: 'jwk' }).x, 'base64url')
}

/** One side of curve25519-sha256 (RFC 8731). */
class Curve25519 {
  constructor () {
    const { publicKey, privateKey } = crypto.generateKeyPairSync('x25519')
    this.public = rawX25519(publicKey)
    this._private = privateKey
  }

  secret (far) {
    const publicKey = crypto.createPublicKey({ key: { kty: 'OKP', crv: 'X25519', x: far.toString('base64url') }, format: 'jwk' })
    return crypto.diffieHellman({ privateKey: this._private, publicKey })
  }
}

/** One side of ecdh-sha2-nistp256 (RFC 5656 §4). */
class NistP256 {
  constructor () {
    this._ecdh = crypto.createECDH('prime256v1')
    this.public = this._ecdh.generateKeys()
  }

  secret (far) { return this._ecdh.computeSecret(far) }
}

const METHODS = { 'curve25519-sha256': Curve25519, 'ecdh-sha2-nistp256': NistP256 }

/**
 * RFC 8731 §3.1.
 *
 * @param {{ clientIdent: string, serverIdent: string, clientKexinit: Buffer, serverKexinit: Buffer, hostKey: Buffer, clientPublic: Buffer, serverPublic: Buffer, secret: Buffer }} all
 */
function exchangeHash (all) {
  const hash = crypto.createHash('sha256')
  for (const part of [all.clientIdent, all.serverIdent, all.clientKexinit, all.serverKexinit,
    all.hostKey, all.clientPublic, all.serverPublic]) hash.update(string(part))
  return hash.update(mpint(all.secret)).digest()
}

/** RFC 4253 §7.2. letter: 'A' to 'F'. */
function deriveKey (secret, hash, sessionId, letter, length) {
  const start = Buffer.concat([mpint(secret), hash])
  let key = crypto.createHash('sha256').update(start).update(letter).update(sessionId).digest()
  while (key.length < length) key = Buffer.concat([key, crypto.createHash('sha256').update(start).update(key).digest()])
  return key.subarray(0, length)
}

/** An Ed25519 key pair: { blob, public, type, base64, pem, sign(data) }. */
function makeKey () {
  const { publicKey, privateKey } = crypto.generateKeyPairSync('ed25519')
  const raw = Buffer.from(publicKey.export({ format: 'jwk' }).x, 'base64url')
  const blob = Buffer.concat([string('ssh-ed25519'), string(raw)])
  const base64 = blob.toString('base64')
  return {
    type: 'ssh-ed25519',
    blob,
    base64,
    public: `ssh-ed25519 ${base64} raw`,
    sign: (data) => Buffer.concat([string('ssh-ed25519'), string(crypto.sign(null, data, privateKey))])
  }
}

/** Whether a signature blob over data is that of an ssh-ed25519 key blob. */
function verify (blob, signature, data) {
  const key = new Reader(blob)
  const sig = new Reader(signature)
  if (key.text() !== 'ssh-ed25519' || sig.text() !== 'ssh-ed25519') return false
  const publicKey = crypto.createPublicKey({
    key: { kty: 'OKP', crv: 'Ed25519', x: key.string().toString('base64url') }, format: 'jwk'
  })
  return crypto.verify(null, data, publicKey, sig.string())
}

module.exports = { METHODS, exchangeHash, deriveKey, makeKey, verify }
