'use strict'

/**
 * Keys and certificates that are no longer good: OpenSSH's key revocation lists
 * (csrc/ssh/krl.h), and plain lists of public keys and fingerprints.
 *
 * Fails closed: what cannot be read may be what revokes, so it is an error with
 * its file and line, and never skipped. A plain list is made into a KRL, so
 * that there is one answer to what a key in a list revokes: itself, every
 * certificate of it, and every certificate that it signed as a CA.
 */

const binding = require('./binding')
const { AlknetError, fail } = require('./errors')
const { readInput } = require('./files')

const MAX_FILE = 16 * 1024 * 1024
const MAGIC = Buffer.from('SSHKRL\n\0')

// PROTOCOL.krl's numbers.
const SECTION_KEYS = 2
const SECTION_SHA256 = 5

const KEY_LINE = /^([A-Za-z0-9@.-]+)[ \t]+([A-Za-z0-9+/]+={0,2})(?:[ \t].*)?$/
const PRINT_LINE = /^SHA256:([A-Za-z0-9+/]{43})=?(?:[ \t].*)?$/

/** A string as SSH writes it. */
function sshString (bytes) {
  const length = Buffer.alloc(4)
  length.writeUInt32BE(bytes.length)
  return Buffer.concat([length, bytes])
}

/** A list of keys and of hashes of keys as a KRL. */
function krlOf (keys, hashes) {
  const head = Buffer.alloc(4 + 3 * 8 + 2 * 4) // no dates, flags or comment
  head.writeUInt32BE(1)
  const section = (type, list) => [Buffer.from([type]), sshString(Buffer.concat(list.map(sshString)))]
  return Buffer.concat([MAGIC, head, ...section(SECTION_KEYS, keys), ...section(SECTION_SHA256, hashes)])
}

/** The bytes of base64 in its one spelling, or null. */
function decode (text, padding) {
  const bytes = Buffer.from(text, 'base64')
  return bytes.toString('base64') === text + padding ? bytes : null
}

function typeOf (blob) {
  return blob.length < 4 ? '' : blob.toString('latin1', 4, 4 + blob.readUInt32BE(0))
}

/** What a line revokes, as { key } or { hash }; text: why it cannot be read. */
function parseLine (line) {
  const print = PRINT_LINE.exec(line)
  if (print !== null) {
    const hash = decode(print[1], '=')
    return hash === null ? 'the fingerprint is damaged' : { hash }
  }
  const match = line.includes('\0') ? null : KEY_LINE.exec(line)
  if (match === null) return 'neither a public key (type base64 comment) nor a fingerprint (SHA256:…)'
  const blob = decode(match[2], '')
  if (blob === null) return 'the key is damaged'
  if (typeOf(blob) !== match[1]) return 'the key is not of the type that the line names'
  return binding.isCertificate(blob) ? parseCertificate(blob) : parseKey(blob)
}

// OpenSSH too takes a certificate in such a list for the key in it.
function parseCertificate (blob) {
  try {
    return { key: binding.readCertificate(blob).key }
  } catch (err) {
    return err.message
  }
}

// A key of a type that alknet does not know may stand there: nobody logs in
// with it anyway. One that is damaged may not: it would revoke nothing.
function parseKey (blob) {
  try {
    binding.readKrl(krlOf([blob], []))
    return { key: blob }
  } catch {
    return 'the key is damaged'
  }
}

/** The plain list as a KRL. */
function parseList (text, name) {
  const keys = []
  const hashes = []
  text.split(/\r?\n/).forEach((whole, index) => {
    const line = whole.trim()
    if (line === '' || line.startsWith('#')) return
    const revoked = parseLine(line)
    if (typeof revoked === 'string') throw fail('KEY', 'key', `${name}:${index + 1}: ${revoked}`)
    if (revoked.key !== undefined) keys.push(revoked.key)
    else hashes.push(revoked.hash)
  })
  return krlOf(keys, hashes)
}

/** One file or its bytes as the addon's Krl. */
function parseRevocations (data, name) {
  const isKrl = data.subarray(0, MAGIC.length).equals(MAGIC)
  try {
    return binding.readKrl(isKrl ? data : parseList(data.toString('latin1'), name))
  } catch (err) {
    if (!isKrl && err instanceof AlknetError && err.message.startsWith(`${name}:`)) throw err
    throw fail('KEY', 'key', `${name}: ${err.message}`, { cause: err })
  }
}

class Revocations {
  constructor (lists) {
    this._lists = lists
  }

  /**
   * Why a public key or a certificate (its blob) is revoked, as half a
   * sentence, or null. One that cannot be read is.
   */
  why (blob) {
    for (const list of this._lists) {
      const why = list.revokes(blob)
      if (why !== null) return why
    }
    return null
  }

  /** Whether it is revoked. */
  isRevoked (blob) {
    return this.why(blob) !== null
  }
}

/**
 * Reads revocation lists, each of which may be a KRL or a plain list. Rejects
 * with ERR_ALKNET_KEY, naming file and line, when any of it is not understood.
 * @param {(string|Uint8Array)[]} inputs paths, or the files' bytes
 * @param {string} [option='revokedKeys'] what to call bytes in messages
 * @param {(data: Buffer) => void} [onRead] the bytes of each
 * @returns {Promise<Revocations>}
 */
async function loadRevocations (inputs, option = 'revokedKeys', onRead = () => {}) {
  const lists = []
  for (const input of inputs) {
    const { data, name } = await readInput(input, option, MAX_FILE)
    onRead(data)
    lists.push(parseRevocations(data, name))
  }
  return new Revocations(lists)
}

module.exports = { loadRevocations }
