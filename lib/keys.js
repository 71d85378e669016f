'use strict'

/** Private and public keys for users: loading, making, fingerprints. */

const binding = require('./binding')
const { fail, optionError, canceled } = require('./errors')
const { readInput } = require('./files')

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

async function askPassphrase (passphrase, name) {
  const answer = typeof passphrase === 'function' ? await passphrase(name) : passphrase
  return answer === null || answer === undefined ? null : String(answer)
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
  const { data, name } = await readInput(source, option, MAX_KEY_FILE, checkMode)
  try {
    const text = data.toString('latin1')
    const format = binding.keyFormat(text)
    if (format === 'pem' || format === 'unknown') throw formatError(format, name, text)
    let answer = null
    if (format === 'encrypted') {
      answer = await askPassphrase(passphrase, name)
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

module.exports = { fingerprint, generateKey, loadPrivateKey, parsePublicKey }
