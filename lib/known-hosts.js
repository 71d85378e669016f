'use strict'

/**
 * Is this the server's key? Pins and known_hosts files (spec §3, principle 6).
 * There is no default that trusts an unknown key.
 */

const fs = require('fs/promises')
const path = require('path')
const binding = require('./binding')
const { AlknetError, fail, systemError, systemText } = require('./errors')
const { formatHostPort } = require('./addresses')
const { readInput } = require('./files')
const { ALGORITHMS } = require('./options')

const MAX_FILE = 16 * 1024 * 1024

// The types of keys that a server may be asked for. A file may name others, of
// newer and older programs, and a library that is given one refuses the list.
const TYPES = new Set(ALGORITHMS.hostKeyAlgorithms.map((name) => name.startsWith('rsa-sha2-') ? 'ssh-rsa' : name))

// When several files speak, the strongest word counts.
const RANK = { revoked: 4, trusted: 3, changed: 2, other: 1, unknown: 0 }

class KnownHosts {
  /**
   * files: [{ name, text, writable }]; pins: fingerprints; accept: take an
   * unknown key and write it down into the first file.
   */
  constructor ({ files, pins, acceptNew }) {
    this._files = files
    this._pins = pins
    this._acceptNew = acceptNew
  }

  /** The key types that stand there for the host, to ask the server for. */
  types (host, port) {
    const found = this._files.flatMap((file) => binding.hostsMatch(file.text, host, port, null).types.split(','))
    return [...new Set(found)].filter((type) => TYPES.has(type))
  }

  _match (host, port, blob) {
    let best = { verdict: 'unknown', line: 0, file: null }
    for (const file of this._files) {
      const { verdict, line } = binding.hostsMatch(file.text, host, port, blob)
      if (RANK[verdict] > RANK[best.verdict]) best = { verdict, line, file }
    }
    return best
  }

  /**
   * Resolves when the key is trusted, rejects with ERR_ALKNET_HOSTKEY and
   * advice when it is not.
   */
  async verify (host, port, blob) {
    const match = this._match(host, port, blob)
    const seen = { host, port, blob, received: binding.fingerprint(blob), ...match }
    if (match.verdict === 'revoked') throw match.line === 0 ? unreadable(seen) : revoked(seen)
    if (this._pins.length > 0) {
      if (this._pins.includes(seen.received)) return
      throw notPinned(seen, this._pins)
    }
    if (match.verdict === 'trusted') return
    if (match.verdict === 'changed') throw changed(seen)
    if (match.verdict === 'other') throw otherType(seen)
    if (!this._acceptNew) throw unknown(seen, this._files)
    await this._store(host, port, blob)
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

/** The fingerprint that the deciding line holds, or ''. */
function expectedOf ({ file, line }) {
  const words = file.text.split('\n')[line - 1].trim().split(/[ \t]+/)
  if (words[0].startsWith('@')) words.shift()
  try {
    return binding.fingerprint(Buffer.from(words[2], 'base64'))
  } catch {
    return ''
  }
}

function keyType (blob) {
  return Buffer.from(blob).toString('latin1', 4, 4 + Math.min(64, Buffer.from(blob).readUInt32BE(0)))
}

function refusal (message, advice) {
  return fail('HOSTKEY', 'hostkey', message, { advice })
}

function unknown ({ host, port, blob, received }, files) {
  const target = formatHostPort(host, port)
  const where = files.find((file) => file.writable)?.name
  const ways = [
    `  --host-key ${received}   (API: hostKey) trusts just this key`,
    `  --accept-new   (API: acceptNew) trusts it now and writes it to ${where ?? 'the first known_hosts file'}`,
    `  or add this line to ${where ?? 'a known_hosts file'}:`,
    `  ${binding.hostsLine(host, port, false, blob).trim()}`
  ]
  return refusal(`the host key of ${target} is not known: ${keyType(blob)} ${received}`,
    'Compare the fingerprint with the one at the server (there: ssh-keygen -lf <its public key>). ' +
    `When it is the same, one of these trusts it:\n${ways.join('\n')}`)
}

function changed (seen) {
  const place = `${seen.file.name}:${seen.line}`
  return refusal(`THE HOST KEY OF ${formatHostPort(seen.host, seen.port)} HAS CHANGED: ` +
    `expected ${expectedOf(seen)} (${place}), received ${seen.received}`,
  'Somebody may be listening in, or the server has a new key. ' +
    `Ask its operator; only when the new fingerprint is right, remove the line ${place} and connect again.`)
}

function otherType (seen) {
  const place = `${seen.file.name}:${seen.line}`
  return refusal(`the host key of ${formatHostPort(seen.host, seen.port)} is of a type that is not known for it: ` +
    `expected ${expectedOf(seen)} (${place}), received ${keyType(seen.blob)} ${seen.received}`,
  `Ask the server's operator. When the key is right, pin it with --host-key ${seen.received} (API: hostKey) ` +
    `or replace the line ${place}.`)
}

function revoked (seen) {
  return refusal(`the host key of ${formatHostPort(seen.host, seen.port)} is revoked ` +
    `(${seen.file.name}:${seen.line}): ${seen.received}`,
  'Do not connect: the key is marked as stolen or retired. Ask the server for its new key.')
}

// The addon refuses when a hash of the file could not be computed (hosts.c).
function unreadable (seen) {
  return refusal(`the host key of ${formatHostPort(seen.host, seen.port)} cannot be checked: ` +
    `${seen.file.name} could not be evaluated; received ${keyType(seen.blob)} ${seen.received}`,
  'OpenSSL could not hash the names in that file (SHA-1, as its format wants), or it is too long. ' +
    'Until it can be read nothing is trusted.')
}

function notPinned (seen, pins) {
  return refusal(`the host key of ${formatHostPort(seen.host, seen.port)} is not the pinned one: ` +
    `expected ${pins.join(' or ')}, received ${keyType(seen.blob)} ${seen.received}`,
  'Somebody may be listening in, or the server has a new key. Ask its operator before changing the pin.')
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
 * inputs: paths and Buffers, in order; pins: 'SHA256:…' each.
 * @returns {Promise<KnownHosts>}
 */
async function loadKnownHosts ({ inputs, pins, acceptNew }) {
  return new KnownHosts({ files: await Promise.all(inputs.map(loadFile)), pins, acceptNew })
}

module.exports = { KnownHosts, loadKnownHosts }
