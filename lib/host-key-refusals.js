'use strict'

/**
 * What a person is told when a host key is not trusted: what was expected, what
 * came, where the line stands, and what to do. Each takes what KnownHosts has
 * seen: { host, port, blob, received, certificate, authority, problem, verdict,
 * line, file }.
 */

const binding = require('./binding')
const { fail } = require('./errors')
const { formatHostPort, printable } = require('./addresses')

const FOREVER = 2n ** 64n - 1n

function refusal (message, advice) {
  return fail('HOSTKEY', 'hostkey', message, { advice })
}

const placeOf = ({ file, line }) => `${file.name}:${line}`

/** The fingerprint that a line holds, or ''. */
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

// A stream's server need not have a name. Nobody is called this.
const NO_NAME = '(stream)'

const targetOf = ({ host, port }) => host === NO_NAME ? 'the stream' : formatHostPort(host, port)
const keyOf = ({ blob, received }) => `${keyType(blob)} ${received}`

/** Behind what came: who else vouches for it, and that this is of no use. */
function byAuthority ({ certificate, authority }) {
  if (certificate === null || authority.verdict === 'trusted') return ''
  const others = authority.verdict === 'other' ? `, expected ${expectedOf(authority)} (${placeOf(authority)})` : ''
  return `, with a certificate of the CA ${certificate.caFingerprint}, which is not known for this host${others}`
}

/** The ways to trust a key that is right. */
function waysFor (seen, files) {
  const { host, port, received, blob, certificate } = seen
  const where = files.find((file) => file.writable)?.name
  const ways = [
    `  --host-key ${received}   (API: hostKey) trusts just this key`,
    `  --accept-new   (API: acceptNew) trusts it now and writes it to ${where ?? 'the first known_hosts file'}`,
    `  or add this line to ${where ?? 'a known_hosts file'}:`,
    `  ${binding.hostsLine(host, port, false, blob).trim()}`
  ]
  if (certificate !== null) {
    ways.push('  or, when you trust its CA, this one; a pattern like *.example.com trusts it for more hosts:',
      `  @cert-authority ${binding.hostsLine(host, port, false, certificate.ca).trim()}`)
  }
  return ways.join('\n')
}

function unknown (seen, files) {
  return refusal(`the host key of ${targetOf(seen)} is not known: ${keyOf(seen)}${byAuthority(seen)}`,
    'Compare the fingerprint with the one at the server (there: ssh-keygen -lf <its public key>). ' +
    `When it is the same, one of these trusts it:\n${waysFor(seen, files)}`)
}

function changed (seen) {
  const place = placeOf(seen)
  return refusal(`THE HOST KEY OF ${targetOf(seen)} HAS CHANGED: ` +
    `expected ${expectedOf(seen)} (${place}), received ${seen.received}${byAuthority(seen)}`,
  'Somebody may be listening in, or the server has a new key. ' +
    `Ask its operator; only when the new fingerprint is right, remove the line ${place} and connect again.`)
}

function otherType (seen) {
  const place = placeOf(seen)
  return refusal(`the host key of ${targetOf(seen)} is of a type that is not known for it: ` +
    `expected ${expectedOf(seen)} (${place}), received ${keyOf(seen)}${byAuthority(seen)}`,
  `Ask the server's operator. When the key is right, pin it with --host-key ${seen.received} (API: hostKey) ` +
    `or replace the line ${place}.`)
}

function revoked (seen) {
  return refusal(`the host key of ${targetOf(seen)} is revoked (${placeOf(seen)}): ${seen.received}`,
    'Do not connect: the key is marked as stolen or retired. Ask the server for its new key.')
}

function revokedAuthority (seen) {
  return refusal(`the CA of the host certificate of ${targetOf(seen)} is revoked (${placeOf(seen.authority)}): ` +
    `${seen.certificate.caFingerprint}; received ${keyOf(seen)}`,
  'Do not connect: the CA is marked as stolen or retired, and whoever has it can make a certificate for any host. ' +
    "Ask the server's operator for a certificate of another CA, or for its plain key.")
}

/** A date of a certificate; the years that no Date has are as good as never. */
function dateOf (seconds) {
  return seconds > 8640000000000n ? 'ever' : new Date(Number(seconds) * 1000).toISOString().replace('.000Z', 'Z')
}

function aboutCertificate ({ principals, validAfter, validBefore }) {
  const names = principals.length === 0 ? 'nobody' : principals.slice(0, 10).map(printable).join(', ')
  const more = principals.length > 10 ? ` and ${principals.length - 10} more` : ''
  const from = validAfter === 0n ? '' : ` from ${dateOf(validAfter)}`
  const until = validBefore === FOREVER ? ' for ever' : ` until ${dateOf(validBefore)}`
  return `The certificate is for ${names}${more}, and valid${from}${until}.`
}

/** The CA may vouch for the host, and this certificate does not. */
function badCertificate (seen) {
  const { certificate, authority, problem } = seen
  const known = seen.verdict === 'unknown'
    ? ', which is not known itself'
    : `, and the known key is ${expectedOf(seen)} (${placeOf(seen)})`
  return refusal(`the host certificate of ${targetOf(seen)} is not valid: ${problem.replace(/^the certificate is refused: /, '')} ` +
    `(key id "${printable(certificate.keyId)}", CA ${certificate.caFingerprint} at ${placeOf(authority)}); it is of the key ${keyOf(seen)}${known}`,
  `${aboutCertificate(certificate)} Ask the server's operator for a new one. Until then, when the key's fingerprint is the ` +
    `one at the server, --host-key ${seen.received} (API: hostKey) trusts just this key.`)
}

// The addon refuses when a hash of the file could not be computed (hosts.c).
function unreadable (seen, file) {
  return refusal(`the host key of ${targetOf(seen)} cannot be checked: ` +
    `${file.name} could not be evaluated; received ${keyOf(seen)}`,
  'OpenSSL could not hash the names in that file (SHA-1, as its format wants), or it is too long. ' +
    'Until it can be read nothing is trusted.')
}

function unreadableCertificate (target, err) {
  return refusal(`the host certificate of ${targetOf(target)} cannot be read: ${err.message}`,
    "Ask the server's operator for another one, or leave certificates out with --host-key-algorithms (API: hostKeyAlgorithms).")
}

function notPinned (seen, pins) {
  return refusal(`the host key of ${targetOf(seen)} is not the pinned one: ` +
    `expected ${pins.join(' or ')}, received ${keyOf(seen)}`,
  'Somebody may be listening in, or the server has a new key. Ask its operator before changing the pin.')
}

module.exports = {
  NO_NAME,
  badCertificate,
  changed,
  notPinned,
  otherType,
  revoked,
  revokedAuthority,
  unknown,
  unreadable,
  unreadableCertificate
}
