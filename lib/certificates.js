'use strict'

/**
 * Whether a certificate lets a user in: the rules of spec §7 that are about the
 * certificate itself. What it has been signed by, and whether it is revoked, is
 * asked by authorizer.js. Pure.
 *
 * Certificates are those of binding.readCertificate(), whose signature is right
 * and whose texts are UTF-8.
 */

const { addressBytes, cidrHas, parseCidr } = require('./addresses')

/** Without it nothing may be forwarded, whatever the CA's line says. */
const FORWARDING = 'permit-port-forwarding'
const SCOPES = 'scopes@alknet'

/** The option of that name in a list of critical options or extensions. */
function optionOf (list, name) {
  return list.find((one) => one.name === name)
}

/** Whether the bits behind the network's own are all 0, as they have to be. */
function isWholeNetwork ({ bytes, bits }) {
  return bytes.every((byte, i) => (byte & (0xff >> Math.min(8, Math.max(0, bits - i * 8)))) === 0)
}

/**
 * The networks of source-address, or null when one of them is none: a list is
 * taken whole. Neither patterns nor negation, no spaces.
 */
function parseSourceAddress (text) {
  const networks = []
  for (const one of text.split(',')) {
    const cidr = parseCidr(one)
    if (cidr === null || !isWholeNetwork(cidr)) return null
    // A client that comes by IPv4 is in no network that is written as IPv6.
    if (one.includes(':') === (cidr.bytes.length === 16)) networks.push(cidr)
  }
  return networks
}

function refuseSource (value, address) {
  const networks = value === null ? null : parseSourceAddress(value)
  const bytes = addressBytes(address)
  const isInside = networks !== null && bytes !== null && networks.some((one) => cidrHas(one, bytes))
  return isInside ? null : 'source_address'
}

// name => (value, address): the reason to refuse, or null. What is not here
// cannot be honoured, and that is what critical means: verify-required too,
// which only the signature of a security key could.
const CRITICAL = {
  'source-address': refuseSource,
  'force-command': (value) => value === null ? 'critical_option' : null // there are no sessions to force
}

/** Why its time is not now (seconds since 1970), or null. */
function refuseTime ({ validAfter, validBefore }, now) {
  if (BigInt(now) < validAfter) return 'cert_not_yet_valid'
  return BigInt(now) >= validBefore ? 'cert_expired' : null
}

// In a name that was not UTF-8 this stands for what was not: nobody's name.
const REPLACED = '\ufffd'

/**
 * Why it is not that user's, or null. allowed: principals= of the CA's line,
 * one of which has to be in the certificate; null: the user's name has to be.
 */
function refusePrincipals ({ principals }, user, allowed) {
  if (principals.length === 0) return 'principals_empty'
  const names = allowed ?? (user === '' || user.includes(REPLACED) ? [] : [user])
  return names.some((name) => principals.includes(name)) ? null : 'principal_mismatch'
}

/** Why its critical options keep address out, or null. */
function refuseCritical ({ critical }, address) {
  for (const { name, value } of critical) {
    const refusal = Object.hasOwn(CRITICAL, name) ? CRITICAL[name](value, address) : 'critical_option'
    if (refusal !== null) return refusal
  }
  return null
}

/** Whether it permits forwarding at all. */
function permitsForwarding ({ extensions }) {
  return optionOf(extensions, FORWARDING) !== undefined
}

/**
 * The text of scopes@alknet: undefined where there is none, null where it is
 * no text.
 */
function scopesText ({ extensions }) {
  const found = optionOf(extensions, SCOPES)
  if (found === undefined) return undefined
  return found.data.length === 0 ? '' : found.value
}

module.exports = { parseSourceAddress, permitsForwarding, refuseCritical, refusePrincipals, refuseTime, scopesText }
