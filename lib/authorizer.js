'use strict'

/**
 * Who may log in: authorized_keys, CAs and revocations in memory, looked up by
 * a key's bytes. Known and unknown keys take the same way: one look into a map.
 *
 *   key          not revoked -> a line with it -> expiry-time -> from
 *   certificate  its signature -> a user's -> a line with its CA -> neither
 *                revoked -> its time -> a line's expiry-time, from, principals
 *                -> its critical options -> its scopes
 *
 * A CA's line never lets its own key in, and a key's line never makes it a CA.
 */

const binding = require('./binding')
const { parseAuthorizedKeys, refuseEntry, MAX_FILE } = require('./authorized-keys')
const certificates = require('./certificates')
const { readInput } = require('./files')
const { identityOfCertificate, identityOfKey } = require('./identity')
const { loadRevocations } = require('./revocation')

/** Why an attempt to log in was refused: docs/cli.md explains each. */
const REASONS = [
  'unknown_key', 'key_revoked', 'key_expired', 'from_mismatch',
  'cert_invalid', 'cert_not_user', 'ca_unknown', 'ca_revoked', 'cert_expired', 'cert_not_yet_valid',
  'principals_empty', 'principal_mismatch', 'source_address', 'critical_option', 'cert_scopes',
  'max_sessions'
]

const NOBODY = []

function mapKey (blob) {
  return Buffer.from(blob.buffer, blob.byteOffset, blob.length).toString('latin1')
}

function byBlob (entries) {
  const map = new Map()
  for (const entry of entries) {
    const key = mapKey(entry.blob)
    const list = map.get(key)
    if (list === undefined) map.set(key, [entry])
    else list.push(entry)
  }
  return map
}

function permissionsOf ({ forwarding, permitOpen, permitListen }) {
  return { forwarding, permitOpen, permitListen }
}

/** The certificate, or null when it is damaged or not signed as it has to be. */
function readCertificate (blob) {
  try {
    return binding.readCertificate(blob)
  } catch {
    return null
  }
}

const refused = (reason, certificate = null) => ({ grant: null, reason, certificate })

class Authorizer {
  /**
   * entries: of parseAuthorizedKeys(), those of CAs among them. revocations: of
   * loadRevocations(), or null for none.
   */
  constructor (entries, revocations = null) {
    this._keys = byBlob(entries.filter((entry) => !entry.certAuthority))
    this._authorities = byBlob(entries.filter((entry) => entry.certAuthority))
    this._revocations = revocations
  }

  /** Whether nobody can log in, whatever they have. */
  get isEmpty () {
    return this._keys.size === 0 && this._authorities.size === 0
  }

  /** The lines of keys that may log in by themselves. */
  keys () {
    return [...this._keys.values()].flat()
  }

  /** The lines of CAs, each with its source. */
  authorities () {
    return [...this._authorities.values()].flat()
  }

  /**
   * Gives { grant, reason, certificate }. grant: { identity, permissions } when
   * the key or certificate in blob lets user in from address; else null, and
   * reason is one of REASONS. certificate: what blob was, when it was one that
   * could be read.
   */
  find ({ blob, user, address }, now = Date.now()) {
    return binding.isCertificate(blob)
      ? this._findCertificate(blob, user, address, now)
      : this._findKey(blob, address, now)
  }

  _isRevoked (blob) {
    return this._revocations !== null && this._revocations.isRevoked(blob)
  }

  _findKey (blob, address, now) {
    if (this._isRevoked(blob)) return refused('key_revoked')
    let reason = 'unknown_key'
    for (const entry of this._keys.get(mapKey(blob)) ?? NOBODY) {
      const refusal = refuseEntry(entry, address, now)
      if (refusal === null) {
        const identity = identityOfKey(binding.fingerprint(blob), entry.scopes)
        return { grant: { identity, permissions: permissionsOf(entry) }, reason: null, certificate: null }
      }
      reason = refusal
    }
    return refused(reason)
  }

  _findCertificate (blob, user, address, now) {
    const certificate = readCertificate(blob)
    if (certificate === null) return refused('cert_invalid')
    const seconds = Math.floor(now / 1000)
    const lines = this._authorities.get(mapKey(certificate.ca)) ?? NOBODY
    const early = this._refuse(certificate, blob, lines) ?? certificates.refuseTime(certificate, seconds)
    if (early !== null) return refused(early, certificate)
    let reason = null
    for (const line of lines) {
      reason = refuseEntry(line, address, now) ?? certificates.refusePrincipals(certificate, user, line.principals) ??
        certificates.refuseCritical(certificate, address)
      if (reason === null) return grantOf(certificate, blob, line, seconds)
    }
    return refused(reason, certificate)
  }

  _refuse (certificate, blob, lines) {
    if (certificate.kind !== 'user') return 'cert_not_user'
    if (lines.length === 0) return 'ca_unknown'
    if (this._isRevoked(certificate.ca)) return 'ca_revoked'
    return this._isRevoked(blob) ? 'key_revoked' : null
  }
}

function grantOf (certificate, blob, line, seconds) {
  const { keyId, fingerprint } = certificate
  // What C says has nothing to do with this list, so that no rule is missing
  // in both: damaged extensions, for one, are only there.
  if (binding.checkCertificate(blob, 'user', null, seconds) !== null) return refused('cert_invalid', certificate)
  const extension = certificates.scopesText(certificate)
  const identity = extension === null
    ? 'not a text'
    : identityOfCertificate({ keyId, fingerprint, extension, scopes: line.scopes })
  if (typeof identity === 'string') return refused('cert_scopes', certificate)
  const permissions = permissionsOf(line)
  permissions.forwarding &&= certificates.permitsForwarding(certificate)
  return { grant: { identity, permissions }, reason: null, certificate }
}

/**
 * The lines of a file. problems gets those that grant nothing, as { source,
 * line, message }. onRead(data): the bytes.
 */
async function readEntries (input, option, problems, onRead) {
  const { data, name } = await readInput(input, option, MAX_FILE)
  onRead(data)
  const parsed = parseAuthorizedKeys(data, { certAuthority: option === 'certAuthority' })
  for (const one of parsed.problems) problems.push({ source: name, ...one })
  return parsed.entries.filter((entry) => {
    try {
      binding.readPublicBlob(entry.blob) // its size and its shape, by C
      entry.source = name
      return true
    } catch (err) {
      problems.push({ source: name, line: entry.line, message: err.message })
      return false
    }
  })
}

/**
 * Reads who may log in, from paths and Buffers. Gives { authorizer, problems,
 * files }; problems as [{ source, line, message }]; files: the options again,
 * with the bytes that were read. Throws when a file cannot be read,
 * and for anything in revokedKeys that is not understood: it may be what
 * revokes.
 * @param {object} options authorizedKeys, certAuthority, revokedKeys: lists
 */
async function loadAuthorizer ({ authorizedKeys, certAuthority, revokedKeys }) {
  const entries = []
  const problems = []
  const files = { authorizedKeys: [], certAuthority: [], revokedKeys: [] }
  for (const [option, inputs] of Object.entries({ certAuthority, authorizedKeys })) {
    for (const input of inputs) entries.push(await readEntries(input, option, problems, (data) => files[option].push(data)))
  }
  const revocations = revokedKeys.length === 0 ? null : await loadRevocations(revokedKeys, 'revokedKeys', (data) => files.revokedKeys.push(data))
  return { authorizer: new Authorizer(entries.flat(), revocations), problems, files }
}

module.exports = { REASONS, loadAuthorizer }
