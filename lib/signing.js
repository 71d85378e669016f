'use strict'

/** What a CA does: certificates for the keys of users and hosts. */

const binding = require('./binding')
const { canceled, fail } = require('./errors')
const { readInput } = require('./files')
const { loadPrivateKey, parsePublicKey } = require('./keys')
const { pathOrBytes } = require('./option-checks')
const { signOptions } = require('./sign-options')

const MAX_KEY_FILE = 64 * 1024

async function loadPublicKey (source) {
  const { data, name } = await readInput(source, 'key', MAX_KEY_FILE)
  try {
    return parsePublicKey(data.toString('utf8').trim())
  } catch (err) {
    throw fail('KEY', 'key', `${name}: ${err.message}`, { cause: err })
  }
}

/**
 * Makes a certificate: the CA's word that a key belongs to somebody.
 * @param {string|Uint8Array} caKey the CA's private key: a path or its bytes
 * @param {object} options
 * @param {string|Uint8Array} options.key the public key: a path, or its one line
 * @param {'user'|'host'} [options.kind='user']
 * @param {string} options.keyId
 * @param {string|string[]} options.principals user or host names
 * @param {bigint|number|string} [options.serial=0n]
 * @param {string} [options.valid] '52w' from now on, or 'from:to'
 * @param {string|Date} [options.validFrom='always']
 * @param {string|Date} [options.validTo='forever']
 * @param {string|string[]} [options.options] those of ssh-keygen -O
 * @param {string|Function} [options.passphrase] of the CA's key
 * @param {AbortSignal} [options.signal]
 * @returns {Promise<object>} { certificate: the line of a -cert.pub file, and
 * what it says }
 */
async function signCertificate (caKey, options) {
  const { key: source, passphrase, signal, ...statement } = signOptions(options)
  pathOrBytes('caKey', caKey)
  const key = await loadPublicKey(source)
  const ca = await loadPrivateKey(caKey, { option: 'caKey', passphrase, signal })
  if (signal?.aborted) throw canceled('key', signal.reason)
  const blob = await binding.signCertificate(ca, { ...statement, key: key.blob })
  if (signal?.aborted) throw canceled('key', signal.reason)
  const { type, kind, fingerprint, caFingerprint, keyId, serial, principals, validAfter, validBefore, critical, extensions } = binding.readCertificate(blob)
  const plain = (list) => list.map(({ name, value }) => ({ name, value }))
  return {
    certificate: `${type} ${blob.toString('base64')} ${key.comment}`.trimEnd() + '\n',
    type,
    kind,
    fingerprint,
    caFingerprint,
    keyId,
    serial,
    principals,
    validAfter,
    validBefore,
    critical: plain(critical),
    extensions: plain(extensions)
  }
}

module.exports = { signCertificate }
