'use strict'

/** Private and public keys for users: loading, making, fingerprints. */

const binding = require('./binding')
const { fail, optionError, canceled } = require('./errors')
const { readInput } = require('./files')
const { askPassphrase } = require('./passphrase')

const MAX_KEY_FILE = 64 * 1024
const PUBLIC_LINE = /^(?:ssh-|ecdsa-|sk-)/

// OpenSSH's rule: a private key of ours that others can read is no longer
// private. Other people's files are theirs to guard.
function checkMode (stats, path) {
  if (!stats.isFile()) return
  if (stats.uid === process.getuid?.() && (stats.mode & 0o077) !== 0) {
    const mode = (stats.mode & 0o777).toString(8).padStart(4, '0')
    throw fail('KEY', 'key', `${path}: others can read this private key (mode ${mode}); run: chmod 600 ${path}`)
  }
}

function formatError (format, name, text) {
  if (format === 'pem') {
    return fail('KEY', 'key', `${name} is a PEM key; alknet reads OpenSSH's format only. ` +
      `To convert it in place, run: ssh-keygen -p -f ${name}`)
  }
  const isPublic = PUBLIC_LINE.test(text)
  return fail('KEY', 'key', isPublic
    ? `${name} is a public key; the private key is wanted (mostly the same path without .pub)`
    : `${name} is not an OpenSSH private key`)
}

/**
 * Loads one private key.
 * @param {string|Uint8Array} source a path or the file's bytes
 * @param {object} options
 * @param {string} options.option what to call the source in messages
 * @param {string|Function} [options.passphrase] text, or (name) => text | Promise
 * @param {AbortSignal} [options.signal]
 * @returns {Promise<object>} the addon's Key
 */
async function loadPrivateKey (source, { option, passphrase, signal }) {
  let stats = null
  const { data, name } = await readInput(source, option, MAX_KEY_FILE, (found) => { stats = found })
  try {
    const text = data.toString('latin1')
    // A public key is for everybody to read.
    if (stats !== null && !PUBLIC_LINE.test(text)) checkMode(stats, name)
    const format = binding.keyFormat(text)
    if (format === 'pem' || format === 'unknown') throw formatError(format, name, text)
    let answer = null
    if (format === 'encrypted') {
      answer = await askPassphrase(passphrase, name, signal)
      if (answer === null) throw fail('KEY', 'key', `${name} is encrypted and no passphrase was given`)
    }
    if (signal?.aborted) throw canceled('key', signal.reason)
    return await binding.readPrivateKey(text, answer).catch((err) => {
      throw fail('KEY', 'key', `${name}: ${err.message}`, { cause: err })
    })
  } finally {
    if (typeof source === 'string') data.fill(0)
  }
}

const CERTIFICATE = /^([A-Za-z0-9@.-]+)[ \t]+([A-Za-z0-9+/]+={0,2})(?:[ \t][^\r\n]*)?$/

/** The blob of a certificate of one line, 'type base64 comment'. Throws. */
function certificateBlob (text, name) {
  const lines = text.split(/\r?\n/).map((line) => line.trim()).filter((line) => line !== '' && !line.startsWith('#'))
  const match = lines.length === 1 ? CERTIFICATE.exec(lines[0]) : null
  const blob = match === null ? null : Buffer.from(match[2], 'base64')
  if (blob === null || blob.length < 4 || !binding.isCertificate(blob)) {
    throw fail('KEY', 'key', `${name} is not a certificate of one line (type base64 comment); ssh-keygen -s makes them`)
  }
  return { type: match[1], blob }
}

/**
 * Loads a certificate.
 * @param {string|Uint8Array} source a path or the file's bytes
 * @param {object} options
 * @param {string} options.option what to call the source in messages
 * @param {'user'|'host'} options.kind what it has to be for
 * @returns {Promise<object>} of binding.readCertificate(), and { name, blob }
 */
async function loadCertificate (source, { option, kind }) {
  const { data, name } = await readInput(source, option, MAX_KEY_FILE)
  const { type, blob } = certificateBlob(data.toString('latin1'), name)
  let certificate
  try {
    certificate = binding.readCertificate(blob)
  } catch (err) {
    throw fail('KEY', 'key', `${name}: ${err.message}`, { cause: err })
  }
  if (certificate.type !== type) {
    throw fail('KEY', 'key', `${name}: the certificate is of type ${certificate.type}, not what the line names`)
  }
  if (certificate.kind !== kind) {
    throw fail('KEY', 'key', `${name} is a ${certificate.kind} certificate, and a ${kind} certificate is wanted here`)
  }
  return { ...certificate, name, blob }
}

/** The certificate that lies beside a private key, or null: ssh's name for it. */
async function certificateBeside (path, kind) {
  try {
    return await loadCertificate(`${path}-cert.pub`, { kind })
  } catch (err) {
    if (err.code === 'ENOENT') return null
    throw err
  }
}

/**
 * Loads private keys, each with its certificates: the one that lies beside it
 * (PATH-cert.pub), and those of `certificates` that are for it.
 * @param {Array} sources of private keys
 * @param {object} options
 * @param {string} options.option, options.certificateOption what to call the
 *   sources in messages
 * @param {Array} options.certificates sources of certificates; each has to be
 *   for one of the keys
 * @param {'user'|'host'} options.kind of the certificates
 * @param {string|Function} [options.passphrase]
 * @param {AbortSignal} [options.signal]
 * @returns {Promise<Array>} { key: the addon's Key, certificates: [of loadCertificate()] }
 */
async function loadKeys (sources, { option, certificateOption, certificates, kind, passphrase, signal }) {
  const out = []
  // One after the other: a passphrase prompt is for one key.
  for (const source of sources) {
    const key = await loadPrivateKey(source, { option, passphrase, signal })
    const beside = typeof source === 'string' ? await certificateBeside(source, kind) : null
    if (beside !== null && !beside.key.equals(key.blob())) {
      throw fail('KEY', 'key', `${beside.name} is for another key (${beside.fingerprint}) than ${source}`)
    }
    out.push({ key, certificates: beside === null ? [] : [beside] })
  }
  for (const source of certificates) {
    const certificate = await loadCertificate(source, { option: certificateOption, kind })
    const owner = out.find(({ key }) => certificate.key.equals(key.blob()))
    if (owner === undefined) {
      throw fail('KEY', 'key', `${certificate.name} is for none of the keys given: ${certificate.fingerprint}`)
    }
    if (!owner.certificates.some(({ blob }) => blob.equals(certificate.blob))) owner.certificates.push(certificate)
  }
  return out
}

const TYPES = ['ed25519', 'ecdsa', 'rsa']

/**
 * Makes a key pair.
 * @param {'ed25519'|'ecdsa'|'rsa'} [type='ed25519']
 * @param {object} [options]
 * @param {string} [options.comment='']
 * @param {string} [options.passphrase] encrypts the private key
 * @param {AbortSignal} [options.signal]
 * @returns {Promise<{ type, fingerprint, privateKey: Buffer, publicKey: string }>}
 */
async function generateKey (type = 'ed25519', { comment = '', passphrase, signal } = {}) {
  if (!TYPES.includes(type)) throw optionError('type', `must be one of ${TYPES.join(', ')}`)
  // eslint-disable-next-line no-control-regex
  if (typeof comment !== 'string' || comment.length > 1024 || /[\x00-\x1f\x7f]/.test(comment)) {
    throw optionError('comment', 'must be one line of text')
  }
  if (passphrase !== undefined && (typeof passphrase !== 'string' || passphrase === '')) {
    throw optionError('passphrase', 'must be text, not empty')
  }
  if (signal?.aborted) throw canceled('key', signal.reason)
  const key = await binding.generateKey(type)
  const privateKey = await key.writePrivate(passphrase ?? null, comment)
  if (signal?.aborted) throw canceled('key', signal.reason)
  return {
    type: key.type,
    fingerprint: binding.fingerprint(key.blob()),
    privateKey,
    publicKey: key.writePublic(comment)
  }
}

/**
 * A public key of one line, 'type base64 comment'.
 * @returns {{ type: string, blob: Buffer, comment: string, fingerprint: string }}
 */
function parsePublicKey (line) {
  const match = typeof line === 'string' && line.length <= MAX_KEY_FILE
    ? /^([A-Za-z0-9@.-]+)[ \t]+([A-Za-z0-9+/]+={0,2})(?:[ \t]+([^\r\n]*))?\s*$/.exec(line)
    : null
  if (match === null) throw fail('KEY', 'key', 'not a public key of one line (type base64 comment)')
  const blob = Buffer.from(match[2], 'base64')
  const key = binding.readPublicBlob(blob)
  if (key.type !== match[1]) throw fail('KEY', 'key', `the key is of type ${key.type}, not what the line names`)
  return { type: key.type, blob, comment: match[3] ?? '', fingerprint: binding.fingerprint(blob) }
}

/**
 * 'SHA256:…' of a public key: a line of text, or its bytes as on the wire.
 */
function fingerprint (key) {
  return typeof key === 'string' ? parsePublicKey(key).fingerprint : binding.fingerprint(key)
}

module.exports = { fingerprint, generateKey, loadKeys, loadPrivateKey, parsePublicKey }
