'use strict'

/**
 * Who may log in: authorized_keys in memory, looked up by the key's bytes.
 * Known and unknown keys take the same way: one look into a map.
 */

const binding = require('./binding')
const { parseAuthorizedKeys, refuseEntry, MAX_FILE } = require('./authorized-keys')
const { readInput } = require('./files')

const NOBODY = []

function mapKey (blob) {
  return Buffer.from(blob.buffer, blob.byteOffset, blob.length).toString('latin1')
}

class Authorizer {
  /** entries: of parseAuthorizedKeys(). */
  constructor (entries) {
    this._byBlob = new Map()
    for (const entry of entries) {
      const key = mapKey(entry.blob)
      const list = this._byBlob.get(key)
      if (list === undefined) this._byBlob.set(key, [entry])
      else list.push(entry)
    }
  }

  get isEmpty () {
    for (const list of this._byBlob.values()) {
      if (list.some((entry) => !entry.certAuthority)) return false
    }
    return true
  }

  /** Every line that grants something. */
  entries () {
    return [...this._byBlob.values()].flat()
  }

  /**
   * Gives { entry, reason }: the first line for that key which lets it in, or
   * entry null and why not.
   */
  find (blob, address, now = Date.now()) {
    let reason = 'unknown_key'
    for (const entry of this._byBlob.get(mapKey(blob)) ?? NOBODY) {
      const refusal = refuseEntry(entry, address, now)
      if (refusal === null) return { entry, reason: null }
      reason = refusal
    }
    return { entry: null, reason }
  }
}

/**
 * Reads authorized_keys from paths and Buffers. Gives { authorizer, problems };
 * problems as [{ source, line, message }]. Throws when one cannot be read.
 */
async function loadAuthorizer (inputs) {
  const entries = []
  const problems = []
  for (const input of inputs) {
    const { data, name } = await readInput(input, 'authorizedKeys', MAX_FILE)
    const parsed = parseAuthorizedKeys(data)
    for (const one of parsed.problems) problems.push({ source: name, ...one })
    for (const entry of parsed.entries) {
      try {
        binding.readPublicBlob(entry.blob) // its size and its shape, by C
        entries.push(entry)
      } catch (err) {
        problems.push({ source: name, line: entry.line, message: err.message })
      }
    }
  }
  return { authorizer: new Authorizer(entries), problems }
}

module.exports = { Authorizer, loadAuthorizer }
