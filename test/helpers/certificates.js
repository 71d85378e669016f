'use strict'

/**
 * Certificates, field by field (PROTOCOL.certkeys): those that ssh-keygen does
 * not make, too. Keys and signatures are Node's, and nothing here is alknet's.
 */

const crypto = require('node:crypto')

const SUFFIX = '-cert-v01@openssh.com'
const USER = 1
const HOST = 2
const FOREVER = 2n ** 64n - 1n

function u32 (n) {
  const out = Buffer.alloc(4)
  out.writeUInt32BE(n)
  return out
}

function u64 (n) {
  const out = Buffer.alloc(8)
  out.writeBigUInt64BE(BigInt(n))
  return out
}

function string (bytes) {
  const buf = Buffer.from(bytes)
  return Buffer.concat([u32(buf.length), buf])
}

function strings (...list) {
  return Buffer.concat(list.map(string))
}

/** A positive number, RFC 4251 §5. */
function mpint (bytes) {
  let at = 0
  while (at < bytes.length - 1 && bytes[at] === 0) at++
  const rest = bytes.subarray(at)
  return string(rest[0] & 0x80 ? Buffer.concat([Buffer.alloc(1), rest]) : rest)
}

const base64 = (text) => Buffer.from(text, 'base64url')

// type => [how Node makes it, JWK => what stands behind the type in a blob]
const KINDS = {
  'ssh-ed25519': [['ed25519'], ({ x }) => string(base64(x))],
  'ecdsa-sha2-nistp256': [['ec', { namedCurve: 'P-256' }], ({ x, y }) =>
    strings('nistp256', Buffer.concat([Buffer.of(4), base64(x), base64(y)]))],
  'ssh-rsa': [['rsa', { modulusLength: 3072 }], ({ n, e }) => Buffer.concat([mpint(base64(e)), mpint(base64(n))])]
}

/** data signed as SSH writes it, by the algorithm's name. */
function sshSignature (key, algorithm, data) {
  if (algorithm === 'ssh-ed25519') return strings(algorithm, crypto.sign(null, data, key))
  if (algorithm.startsWith('ecdsa')) {
    const both = crypto.sign('sha256', data, { key, dsaEncoding: 'ieee-p1363' })
    return strings(algorithm, Buffer.concat([mpint(both.subarray(0, 32)), mpint(both.subarray(32))]))
  }
  const digest = { 'ssh-rsa': 'sha1', 'rsa-sha2-256': 'sha256', 'rsa-sha2-512': 'sha512' }[algorithm]
  return strings(algorithm, crypto.sign(digest, data, key))
}

/**
 * A key of this process: { type, blob, public, sign(data, algorithm) }.
 *
 * @param {'ssh-ed25519' | 'ecdsa-sha2-nistp256' | 'ssh-rsa'} [type]
 */
function makeKey (type = 'ssh-ed25519') {
  const [how, fields] = KINDS[type]
  const { publicKey, privateKey } = crypto.generateKeyPairSync(...how)
  const blob = Buffer.concat([string(type), fields(publicKey.export({ format: 'jwk' }))])
  const usual = type === 'ssh-rsa' ? 'rsa-sha2-512' : type
  return {
    type,
    blob,
    public: `${type} ${blob.toString('base64')}`,
    sign: (data, algorithm = usual) => sshSignature(privateKey, algorithm, data)
  }
}

/**
 * { name: value } or [[name, value]], in the order given; a Buffer stands there
 * as it is.
 */
function options (given) {
  const list = Array.isArray(given) ? given : Object.entries(given)
  return Buffer.concat(list.map(([name, value]) =>
    strings(name, Buffer.isBuffer(value) ? value : value === '' ? '' : string(value))))
}

/**
 * A certificate's blob, signed by ca.
 *
 * @param {{ blob: Buffer, sign: Function }} ca
 * @param {Buffer} blob - the plain key that is certified
 * @param {object} [fields] - caBlob, algorithm: in place of what ca says;
 *   spoil: the key id is another than was signed
 */
function certify (ca, blob, fields = {}) {
  const {
    kind = USER, serial = 1, keyId = 'test', principals = ['root'], validAfter = 0n, validBefore = FOREVER,
    critical = {}, extensions = { 'permit-port-forwarding': '' }, caBlob = ca.blob, algorithm, spoil = false
  } = fields
  const typeLength = blob.readUInt32BE(0)
  const type = blob.toString('latin1', 4, 4 + typeLength)
  const nonce = crypto.randomBytes(32)
  const body = (id) => Buffer.concat([
    strings(`${type}${SUFFIX}`, nonce), blob.subarray(4 + typeLength),
    u64(serial), u32(kind), strings(id, strings(...principals)), u64(validAfter), u64(validBefore),
    strings(options(critical), options(extensions), '', caBlob)
  ])
  return Buffer.concat([body(spoil ? `${keyId}.` : keyId), string(ca.sign(body(keyId), algorithm))])
}

/** The line of a -cert.pub file. */
function certificateLine (blob) {
  return `${blob.toString('latin1', 4, 4 + blob.readUInt32BE(0))} ${blob.toString('base64')} test\n`
}

module.exports = { FOREVER, HOST, USER, certificateLine, certify, makeKey, string, strings }
