'use strict'

/**
 * authorized_keys (sshd(8), AUTHORIZED_KEYS FILE FORMAT; spec §7). Pure.
 *
 * A line that is not understood grants nothing and is named in `problems`: an
 * option that is not known may be the restriction that mattered. A line is
 * whole or nothing: one that is too long, or has a NUL or a lone carriage
 * return in it, is not cut into pieces that would then be lines.
 */

const { addressBytes, cidrHas, isHost, parseCidr, parsePort, printable } = require('./addresses')
const { parseScopes } = require('./identity')

const MAX_FILE = 16 * 1024 * 1024
const MAX_LINE = 64 * 1024

const KEY_TYPES = new Set([
  'ssh-ed25519', 'ssh-rsa',
  'ecdsa-sha2-nistp256', 'ecdsa-sha2-nistp384', 'ecdsa-sha2-nistp521'
])
const LOOKS_LIKE_TYPE = /^(ssh-|ecdsa-|sk-)/

// Options without a meaning here: there are no sessions, agents or terminals.
const MEANINGLESS = new Set([
  'agent-forwarding', 'no-agent-forwarding', 'pty', 'no-pty', 'user-rc', 'no-user-rc',
  'x11-forwarding', 'no-x11-forwarding', 'command', 'environment', 'tunnel'
])

/** A reason for a line to grant nothing. Stays in this file. */
class BadLine extends Error {}

function bad (message) {
  throw new BadLine(message)
}

/** Where the first word ends: at a space or tab outside of double quotes. */
function endOfWord (text, from) {
  let quoted = false
  for (let i = from; i < text.length; i++) {
    const c = text[i]
    if (c === '\\' && text[i + 1] === '"') i++
    else if (c === '"') quoted = !quoted
    else if ((c === ' ' || c === '\t') && !quoted) return i
  }
  return quoted ? bad('a double quote is not closed') : text.length
}

/** 'a,b="c,d"' => [['a', undefined], ['b', 'c,d']]. */
function splitOptions (text) {
  const out = []
  const one = /([A-Za-z0-9-]+)(?:="((?:\\"|[^"])*)")?(,|$)/y
  while (one.lastIndex < text.length) {
    const at = one.lastIndex
    const match = one.exec(text)
    if (match === null) bad(`the options do not parse at "${printable(text.slice(at, at + 20))}"`)
    out.push([match[1].toLowerCase(), match[2]?.replaceAll('\\"', '"')])
    if (match[3] === ',' && one.lastIndex === text.length) bad('the options end with a comma')
  }
  return out
}

/** A target 'host:port' of permitopen or permitlisten; port 0 stands for *. */
function parsePermit (name, value) {
  const match = /^(?:\[([^\]]+)\]|([^:[\]]*)):([^:]+)$/.exec(value)
  if (match === null) bad(`${name}="${printable(value)}" is not host:port`)
  const host = (match[1] ?? match[2]).toLowerCase()
  if (host !== '*' && !isHost(host)) bad(`${name}="${printable(value)}": not a host`)
  if (match[3] === '*') return { host, port: 0 }
  const port = parsePort(match[3])
  if (port < 1) bad(`${name}="${printable(value)}": the port must be 1 to 65535 or *`)
  return { host, port }
}

// A bare port is allowed in permitlisten: any address.
function parsePermitListen (value) {
  return parsePermit('permitlisten', value.includes(':') ? value : `*:${value}`)
}

/**
 * 'YYYYMMDD[HHMM[SS]][Z]' => milliseconds; without Z in local time. UTC may
 * stand for Z, as sshd takes it.
 */
function parseExpiry (value) {
  const match = /^(\d{4})(\d\d)(\d\d)(?:(\d\d)(\d\d)(\d\d)?)?(Z|UTC)?$/i.exec(value)
  if (match === null) bad(`expiry-time="${printable(value)}" is not YYYYMMDD[HHMM[SS]][Z]`)
  const [year, month, day, hour, minute, second] = match.slice(1, 7).map((s) => Number(s ?? 0))
  const utc = new Date(Date.UTC(year, month - 1, day, hour, minute, second))
  const isReal = utc.getUTCMonth() === month - 1 && utc.getUTCDate() === day &&
    utc.getUTCHours() === hour && utc.getUTCMinutes() === minute && utc.getUTCSeconds() === second
  if (!isReal) bad(`expiry-time="${printable(value)}" is not a date`)
  return match[7] === undefined
    ? new Date(year, month - 1, day, hour, minute, second).getTime()
    : utc.getTime()
}

// sshd compares elements with the spaces around them: what was meant without
// would mean something else there.
function parseList (name, value) {
  const list = value.split(',')
  if (list.some((s) => s === '')) bad(`${name} has an empty element`)
  if (list.some((s) => s !== s.trim())) bad(`${name} has a space before or after an element`)
  return list
}

const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** The names of a certificate are UTF-8, and only the same bytes are the same. */
function parsePrincipals (value) {
  try {
    return parseList('principals', UTF8.decode(Buffer.from(value, 'latin1')))
  } catch (err) {
    return bad(err instanceof BadLine ? err.message : 'principals is not UTF-8')
  }
}

function parseScopesOption (value) {
  const list = value === '' ? 'an empty list' : parseScopes(value)
  return typeof list === 'string' ? bad(`scopes: ${list}`) : list
}

/** 'from': patterns for addresses: wildcards, networks, ! in front. */
function parseFrom (value) {
  return parseList('from', value).map((text) => {
    const negated = text.startsWith('!')
    const pattern = negated ? text.slice(1) : text
    if (pattern === '') bad('from has an empty element')
    const cidr = parseCidr(pattern)
    if (cidr === null && pattern.includes('/')) bad(`from: "${printable(pattern)}" is not a network`)
    return { negated, cidr, pattern: pattern.toLowerCase() }
  })
}

// name => (entry, value): what each option does to its line.
const WITH_VALUE = {
  permitopen: (e, v) => { (e.permitOpen ??= []).push(parsePermit('permitopen', v)) },
  permitlisten: (e, v) => { (e.permitListen ??= []).push(parsePermitListen(v)) },
  from: (e, v) => { e.from = e.from === null ? parseFrom(v) : bad('from stands there twice') },
  'expiry-time': (e, v) => { e.expires = Math.min(e.expires, parseExpiry(v)) },
  principals: (e, v) => { e.principals = e.principals === null ? parsePrincipals(v) : bad('principals stands there twice') },
  scopes: (e, v) => { e.scopes.push(...parseScopesOption(v)) }
}
const WITHOUT_VALUE = {
  restrict: (e) => { e.forwarding = false },
  'no-port-forwarding': (e) => { e.forwarding = false },
  'port-forwarding': (e) => { e.forwarding = true },
  'cert-authority': (e) => { e.certAuthority = true }
}

function applyOptions (entry, options) {
  for (const [name, value] of options) {
    if (MEANINGLESS.has(name)) continue
    if (Object.hasOwn(WITHOUT_VALUE, name)) {
      if (value !== undefined) bad(`the option ${name} takes no value`)
      WITHOUT_VALUE[name](entry)
    } else if (Object.hasOwn(WITH_VALUE, name)) {
      if (value === undefined) bad(`the option ${name} needs a value in double quotes`)
      WITH_VALUE[name](entry, value)
    } else {
      bad(`the option "${printable(name)}" is not known`)
    }
  }
}

/** The key's bytes; throws when the base64 or the type inside is wrong. */
function decodeBlob (type, base64) {
  const blob = Buffer.from(base64, 'base64')
  const stripped = (text) => text.replace(/=+$/, '')
  if (stripped(blob.toString('base64')) !== stripped(base64)) bad('the key is not base64')
  const inside = blob.length >= 4 && blob.readUInt32BE(0) === type.length &&
    blob.toString('latin1', 4, 4 + type.length) === type
  if (!inside) bad('the key is not of the type that the line names')
  return blob
}

function parseLine (text, isAuthority) {
  const entry = {
    type: '',
    blob: null,
    comment: '',
    forwarding: true,
    permitOpen: null,
    permitListen: null,
    from: null,
    expires: Infinity,
    certAuthority: isAuthority,
    principals: null,
    scopes: []
  }
  let rest = text
  let end = endOfWord(rest, 0)
  if (!LOOKS_LIKE_TYPE.test(rest)) {
    applyOptions(entry, splitOptions(rest.slice(0, end)))
    rest = rest.slice(end).trimStart()
    end = endOfWord(rest, 0)
  }
  entry.type = rest.slice(0, end)
  if (!KEY_TYPES.has(entry.type)) bad(`keys of type "${printable(entry.type)}" are not accepted`)
  const [base64, ...comment] = rest.slice(end).trim().split(/[ \t]+/)
  entry.blob = decodeBlob(entry.type, base64)
  entry.comment = comment.join(' ')
  if (entry.principals !== null && !entry.certAuthority) bad('principals is for the keys of a cert-authority')
  return entry
}

function checkText (line) {
  if (line.length > MAX_LINE) bad(`longer than ${MAX_LINE} bytes`)
  if (line.includes('\0')) bad('has a NUL in it')
  if (line.includes('\r')) bad('has a carriage return in it (lines must end with a line feed)')
}

// PEM, with the private keys of OpenSSH, and those of ssh.com and PuTTY: headers, lines of base64, and mostly an end.
const KEY_BEGIN = /^(?:-{4,5} ?BEGIN ([A-Z0-9 ]{1,64}?) ?-{4,5}|(PuTTY-User-Key-File)-\d+: .*)$/
const KEY_INSIDE = /^(?:[A-Za-z0-9+/]*={0,2}|[A-Za-z0-9-]+: .*|#.*|-{4,5} ?END [A-Z0-9 ]{1,64}?-{4,5})$/

/**
 * Tells of each line in turn whether it is a part of something that somebody has
 * taken for a file of public keys, and throws at its first. The others are not
 * told of: it may be a private key, and a message of any of it would be in a log.
 */
function framed () {
  let isInside = false
  return (line) => {
    const begin = KEY_BEGIN.exec(line)
    isInside = begin !== null || (isInside && KEY_INSIDE.test(line))
    if (begin === null) return isInside
    const isPrivate = begin[2] !== undefined || begin[1].endsWith('PRIVATE KEY')
    return bad(`${isPrivate ? 'a private key' : 'PEM'} begins here; the line of a public key (mostly in a .pub file) is wanted`)
  }
}

/**
 * Parses a file. Gives { entries, problems }: entries in file order, each with
 * its `line` from 1; problems as [{ line, message }].
 * @param {string|Uint8Array} input
 * @param {object} [options]
 * @param {boolean} [options.certAuthority=false] each key is that of a CA, as if
 *   cert-authority stood in its line
 */
function parseAuthorizedKeys (input, { certAuthority = false } = {}) {
  const entries = []
  const problems = []
  // latin1 keeps bytes apart: an option's text is compared, never shown raw.
  let text = Buffer.from(input).toString('latin1')
  if (text.length > MAX_FILE) {
    return { entries, problems: [{ line: 0, message: `the file is longer than ${MAX_FILE} bytes` }] }
  }
  text = text.replace(/^\u00ef\u00bb\u00bf/, '')
  const isFramed = framed()
  text.split('\n').forEach((raw, index) => {
    const line = raw.replace(/\r$/, '').replace(/^[ \t]+/, '')
    try {
      if (isFramed(line.trimEnd()) || line === '' || line.startsWith('#')) return
      checkText(line)
      entries.push({ ...parseLine(line, certAuthority), line: index + 1 })
    } catch (err) {
      if (!(err instanceof BadLine)) throw err
      problems.push({ line: index + 1, message: err.message })
    }
  })
  return { entries, problems }
}

/**
 * `*` and `?` against text, in time of the product of both lengths at most:
 * after a failure it goes back to the last star only.
 */
function wildcard (pattern, text) {
  let p = 0
  let t = 0
  let star = -1
  let mark = 0
  while (t < text.length) {
    if (p < pattern.length && pattern[p] === '*') {
      star = p++
      mark = t
    } else if (p < pattern.length && (pattern[p] === '?' || pattern[p] === text[t])) {
      p++
      t++
    } else if (star >= 0) {
      p = star + 1
      t = ++mark
    } else {
      return false
    }
  }
  while (pattern[p] === '*') p++
  return p === pattern.length
}

function fromAllows (patterns, address) {
  if (address === '') return false // not known: no pattern, and no ! in front of one, can be asked
  const bytes = addressBytes(address)
  const has = (one) => one.cidr !== null
    ? bytes !== null && cidrHas(one.cidr, bytes)
    : wildcard(one.pattern, address.toLowerCase())
  if (patterns.some((one) => one.negated && has(one))) return false
  return patterns.some((one) => !one.negated && has(one))
}

/**
 * Why entry does not let address in at the time now (ms), or null. A CA's entry
 * lets nobody in by itself: for it, this is one of the questions.
 */
function refuseEntry (entry, address, now) {
  if (now >= entry.expires) return 'key_expired'
  if (entry.from !== null && !fromAllows(entry.from, address)) return 'from_mismatch'
  return null
}

module.exports = { MAX_FILE, parseAuthorizedKeys, refuseEntry, wildcard }
