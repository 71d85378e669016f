'use strict'

/**
 * The options of serve() about certificates that it gets by itself, as checks of
 * values, and what holds between them. Pure.
 */

const os = require('os')
const path = require('path')
const { optionError } = require('../errors')
const { canonicalHost, printable } = require('../addresses')
const { listenAddress, oneOf, pathOrBytes, several, text } = require('../option-checks')

const LETS_ENCRYPT = 'https://acme-v02.api.letsencrypt.org/directory'

// What Let's Encrypt puts into one certificate.
const MAX_NAMES = 100

/** A name, or an address in its canonical form (RFC 8738 §3), that a certificate is to be for. */
function certifiedName (name, value) {
  const shown = typeof value === 'string' ? `"${printable(value)}"` : 'this'
  if (typeof value === 'string' && value.startsWith('*')) {
    throw optionError(name, `${shown} has a wildcard: these are proven by DNS alone, which alknet does not do`)
  }
  const canonical = typeof value === 'string' ? canonicalHost(value.replace(/\.$/, '')) : null
  if (canonical === null || canonical.length > 253 || canonical.includes('%')) throw optionError(name, `${shown} is not a host name or an address`)
  return canonical.includes(':') ? new URL(`http://[${canonical}]`).hostname.slice(1, -1) : canonical
}

function directoryUrl (name, value) {
  const url = typeof value === 'string' && URL.canParse(value) ? new URL(value) : null
  if (url === null || url.protocol !== 'https:' || url.username !== '' || url.password !== '') {
    throw optionError(name, 'must be the URL of an ACME directory: https://…')
  }
  return url.href
}

const MAIL = /^[^\s<>",:;@]{1,64}@[^\s<>",:;@]{1,253}$/

/** 'a@b.example', or the same as a URL. */
function contact (name, value) {
  const address = typeof value === 'string' ? value.replace(/^mailto:/i, '') : ''
  if (!MAIL.test(address) || /[^\x21-\x7e]/.test(address)) throw optionError(name, 'must be a mail address')
  return `mailto:${address}`
}

function folder (name, value) {
  if (typeof value !== 'string' || value === '' || value.includes('\0')) throw optionError(name, 'must be the path of a folder')
  return path.resolve(value)
}

/** name => check; what is not given is filled in by completeAcme(). */
const ACME = {
  acmeDomain: several(certifiedName),
  acmeDirectory: directoryUrl,
  acmeContact: several(contact, 0),
  acmeCache: folder,
  acmeChallenge: oneOf(['tls-alpn-01', 'http-01'], []),
  acmeHttpListen: several(listenAddress),
  acmeCa: several(pathOrBytes, 0),
  acmeProfile: text(64, /^[\x21-\x7e]+$/, 'the name of a profile of the CA'),
  acmeEabKid: text(1024, /^[\x21-\x7e]+$/, 'the key identifier that the CA gave'),
  acmeEabHmacFile: pathOrBytes
}

const defaults = () => ({
  acmeDirectory: LETS_ENCRYPT,
  acmeContact: [],
  acmeCache: path.join(os.homedir(), '.config', 'alknet', 'acme'),
  acmeChallenge: 'tls-alpn-01',
  acmeCa: []
})

/** Fills in, in checked options of serve(), what was not said; throws for what makes no sense together. */
function completeAcme (out) {
  if (out.acmeDomain === undefined) {
    const idle = Object.keys(ACME).find((name) => out[name] !== undefined)
    if (idle !== undefined) throw optionError(idle, 'makes no sense without acmeDomain: the names, or addresses, that a certificate is to be for')
    return
  }
  out.acmeDomain = [...new Set(out.acmeDomain)]
  if (out.acmeDomain.length > MAX_NAMES) throw optionError('acmeDomain', `must have ${MAX_NAMES} names at most`)
  for (const [name, value] of Object.entries(defaults())) out[name] ??= value
  if (out.acmeChallenge === 'http-01') out.acmeHttpListen ??= [{ address: '0.0.0.0', port: 80 }]
  else if (out.acmeHttpListen !== undefined) throw optionError('acmeHttpListen', 'makes sense only with acmeChallenge http-01')
  for (const [one, other] of [['acmeEabKid', 'acmeEabHmacFile'], ['acmeEabHmacFile', 'acmeEabKid']]) {
    if (out[one] !== undefined && out[other] === undefined) throw optionError(other, `is required together with ${one}`)
  }
}

module.exports = { ACME, certifiedName, completeAcme }
