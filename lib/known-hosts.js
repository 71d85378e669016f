'use strict'

/**
 * Is this the server's key? Pins and known_hosts files (spec §3, principle 6).
 * There is no default that trusts an unknown key.
 *
 * A certificate is the key that it certifies, with somebody who vouches for it:
 *
 *   the key or its CA is @revoked for the host    never
 *   there are pins                                they decide, about the key
 *   the CA is a @cert-authority for the host,
 *   and the certificate is valid for it now       trusted
 *   the key itself stands there                   trusted
 *   the CA is one, the certificate is not valid   never
 *   else                                          as a plain key that is new
 *
 * So an unknown CA does no harm, and is never taken for a new one: acceptNew
 * writes down the key. ssh does the same but for the last line but one, where
 * it, too, takes the key for new.
 */

const fs = require('fs/promises')
const path = require('path')
const binding = require('./binding')
const { AlknetError, optionError, systemError, systemText } = require('./errors')
const { readInput } = require('./files')
const { ALGORITHMS } = require('./algorithms')
const refusals = require('./host-key-refusals')

const MAX_FILE = 16 * 1024 * 1024

// The types of keys that a server may be asked for. A file may name others, of
// newer and older programs, and a library that is given one refuses the list.
const CERTIFICATES = ALGORITHMS.hostKeyAlgorithms.filter((name) => name.includes('-cert-'))
const TYPES = new Set(ALGORITHMS.hostKeyAlgorithms.filter((name) => !CERTIFICATES.includes(name))
  .map((name) => name.startsWith('rsa-sha2-') ? 'ssh-rsa' : name))

// When several files speak, the strongest word counts.
const RANK = { revoked: 4, trusted: 3, changed: 2, other: 1, unknown: 0 }

class KnownHosts {
  /**
   * files: [{ name, text, writable }]; pins: fingerprints; acceptNew: take an
   * unknown key and write it down into the first file; certificates: whether
   * the SSH engine knows host certificates.
   */
  constructor ({ files, pins, acceptNew, certificates = false }) {
    this._files = files
    this._pins = pins
    this._acceptNew = acceptNew
    this._certificates = certificates
  }

  /**
   * The types of keys to ask the server for first: those that stand there for
   * the host; before them certificates, when a CA does. Pins are about keys.
   */
  types (host, port) {
    const typesIn = (look) => this._files.flatMap((file) => look(file.text, host, port, null).types.split(','))
    const plain = [...new Set(typesIn(binding.hostsMatch))].filter((type) => TYPES.has(type))
    const hasAuthority = this._certificates && this._pins.length === 0 &&
      typesIn(binding.hostsAuthority).some((type) => type !== '')
    return hasAuthority ? [...CERTIFICATES, ...plain] : plain
  }

  /** What the files say of a key; look: hostsMatch, or hostsAuthority of a CA's. */
  _match (look, host, port, blob) {
    let best = { verdict: 'unknown', line: 0, file: null }
    for (const file of this._files) {
      const { verdict, line } = look(file.text, host, port, blob)
      if (RANK[verdict] > RANK[best.verdict]) best = { verdict, line, file }
    }
    return best
  }

  /** All that there is to say about what came: what the refusals speak of. */
  _see (host, port, blob) {
    const certificate = readCertificate(host, port, blob)
    const key = certificate === null ? blob : certificate.key
    const authority = certificate === null ? null : this._match(binding.hostsAuthority, host, port, certificate.ca)
    // Only a CA that may vouch for the host has its certificates looked at.
    const problem = authority?.verdict === 'trusted'
      ? binding.checkCertificate(blob, 'host', host, Math.floor(Date.now() / 1000))
      : null
    return {
      host, port, blob: key, received: binding.fingerprint(key), certificate, authority, problem, ...this._match(binding.hostsMatch, host, port, key)
    }
  }

  /**
   * Resolves when the key, or its certificate, is trusted: with a sentence for
   * the log where something is wrong nevertheless, else with null. Rejects with
   * ERR_ALKNET_HOSTKEY and advice when it is not.
   */
  async verify (host, port, blob) {
    const seen = this._see(host, port, blob)
    const { verdict, authority, problem } = seen
    if (verdict === 'revoked') throw seen.line === 0 ? refusals.unreadable(seen, seen.file) : refusals.revoked(seen)
    if (authority?.verdict === 'revoked') {
      throw authority.line === 0 ? refusals.unreadable(seen, authority.file) : refusals.revokedAuthority(seen)
    }
    if (this._pins.length > 0) {
      if (this._pins.includes(seen.received)) return null
      throw refusals.notPinned(seen, this._pins)
    }
    if (authority?.verdict === 'trusted' && problem === null) return null
    if (verdict === 'trusted') return problem
    if (problem !== null) throw refusals.badCertificate(seen)
    if (verdict === 'changed') throw refusals.changed(seen)
    if (verdict === 'other') throw refusals.otherType(seen)
    if (!this._acceptNew) throw refusals.unknown(seen, this._files)
    await this._store(host, port, seen.blob)
    return null
  }

  async _store (host, port, blob) {
    const file = this._files[0]
    const line = binding.hostsLine(host, port, false, blob)
    try {
      await appendLine(file, line)
    } catch (err) {
      throw systemError(err, 'hostkey', `the host key could not be written to ${file.name}: ${systemText(err)}`)
    }
    file.text += line
  }
}

async function appendLine (file, line) {
  await fs.mkdir(path.dirname(file.name), { recursive: true, mode: 0o700 })
  const gap = file.text === '' || file.text.endsWith('\n') ? '' : '\n'
  const handle = await fs.open(file.name, 'a', 0o600)
  try {
    await handle.appendFile(gap + line)
  } finally {
    await handle.close()
  }
}

/** What the addon reads of a certificate; null: blob is a plain key. */
function readCertificate (host, port, blob) {
  if (!binding.isCertificate(blob)) return null
  try {
    return binding.readCertificate(blob)
  } catch (err) {
    throw refusals.unreadableCertificate({ host, port }, err)
  }
}

/** The key that a server has shown: of a certificate the one that it certifies. */
function keyOf (blob) {
  return binding.isCertificate(blob) ? binding.readCertificate(blob).key : blob
}

/**
 * Throws when a file could not be written: better now than when the server's
 * key has come. What does not exist yet is made where the next folder above is.
 */
async function checkWritable (name) {
  for (let place = path.resolve(name); ; place = path.dirname(place)) {
    try {
      return await fs.access(place, fs.constants.W_OK)
    } catch (err) {
      if (err.code === 'ENOENT' && place !== path.dirname(place)) continue
      throw optionError('acceptNew', `a new host key could not be written to ${name}: ${systemText(err)}`, err)
    }
  }
}

/** A file that does not exist knows nobody. */
async function loadFile (input) {
  const writable = typeof input === 'string'
  try {
    const { data, name } = await readInput(input, 'knownHosts', MAX_FILE)
    return { name, text: data.toString('latin1'), writable }
  } catch (err) {
    if (err instanceof AlknetError && err.code === 'ENOENT') return { name: input, text: '', writable }
    throw err
  }
}

/**
 * inputs: paths and Buffers, in order; pins: 'SHA256:…' each; the others as
 * KnownHosts takes them.
 * @returns {Promise<KnownHosts>}
 */
async function loadKnownHosts ({ inputs, ...options }) {
  if (options.acceptNew && typeof inputs[0] === 'string') await checkWritable(inputs[0])
  return new KnownHosts({ files: await Promise.all(inputs.map(loadFile)), ...options })
}

module.exports = { KnownHosts, keyOf, loadKnownHosts }
