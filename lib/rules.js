'use strict'

/**
 * The text of forwarding rules (spec §8), and whether one matches. Pure.
 *
 *   rule        = action target [principals [transports]]
 *   action      = 'allow' | 'deny'
 *   target      = place ':' ports | set [':' ports] | 'unix:' path
 *   place       = '*' | name, with * for any characters | address | network
 *               | '[' IPv6 ']' ['/' bits] | set | 'localhost'
 *   set         = 'loopback' | 'private' | 'link-local' | 'metadata' | 'unspecified'
 *   ports       = number | low '-' high, both included | '*'
 *   principals, transports = '*' | one ',' one ..., each in double quotes where
 *                 it holds a space, a comma or a quote
 *
 * A rule that does not parse is an error and never a rule that matches
 * nothing: it may be the one that mattered.
 */

const net = require('net')
const { SETS, canonicalHost, cidrHas, parseCidr, parsePort, printable } = require('./addresses')
const { wildcard } = require('./authorized-keys')

const MAX_RULE = 4096
const MAX_NAMES = 256
const MAX_NAME = 1024
const MAX_PATH = 107 // sun_path of Linux, without its NUL
const TRANSPORTS = ['tcp', 'tls', 'iroh', 'stream']
const ACTIONS = ['allow', 'deny']

// What names are made of. Of other characters a rule would match nothing that
// anybody looks up, and a ! would look like the opposite.
const NAME = /^[A-Za-z0-9._*-]+$/

/** Why something is no rule. Stays in this file. */
class BadRule extends Error {}

function bad (message) {
  throw new BadRule(message)
}

const quoted = (text) => `"${printable(text)}"`

// ---- words and lists

/** Cuts text at each separator that is outside of double quotes. */
function cut (text, isSeparator) {
  const parts = []
  let start = 0
  let inQuotes = false
  for (let i = 0; i < text.length; i++) {
    if (text[i] === '\\' && inQuotes) i++
    else if (text[i] === '"') inQuotes = !inQuotes
    else if (!inQuotes && isSeparator(text[i])) {
      parts.push(text.slice(start, i))
      start = i + 1
    }
  }
  if (inQuotes) bad(`${quoted(text)}: a double quote is not closed`)
  parts.push(text.slice(start))
  return parts
}

const words = (text) => cut(text, (c) => c === ' ' || c === '\t').filter((word) => word !== '')

function unquote (text) {
  if (!text.includes('"')) return text
  const match = /^"((?:[^"\\]|\\["\\])*)"$/.exec(text)
  if (match === null) bad(`${quoted(text)}: quotes stand around all of it, with \\" and \\\\ inside`)
  return match[1].replace(/\\(["\\])/g, '$1')
}

/** An array or the text of a list => its elements, or null for everyone. */
function parseNames (given, what) {
  if (given === undefined || given === '*') return null
  const list = typeof given === 'string' ? cut(given, (c) => c === ',').map(unquote) : given
  if (!Array.isArray(list) || list.length > MAX_NAMES) bad(`${what} must be a list of at most ${MAX_NAMES}`)
  for (const one of list) {
    if (typeof one !== 'string' || one === '' || one.length > MAX_NAME) bad(`${what}: an element is empty or no text`)
  }
  if (list.includes('*') && list.length > 1) bad(`${what}: * is everyone, and stands alone`)
  return list.length === 0 || list[0] === '*' ? null : [...list]
}

function parseTransports (given) {
  const list = parseNames(given, 'transports')
  for (const one of list ?? []) {
    if (!TRANSPORTS.includes(one)) bad(`${quoted(one)} is no transport: ${TRANSPORTS.join(', ')}`)
  }
  return list
}

// ---- targets

/** 'n', 'lo-hi', '*' => { low, high }. */
function parsePorts (text, whole) {
  if (text === '*') return { low: 0, high: 65535 }
  const [first, last, more] = text.split('-')
  const low = parsePort(first)
  const high = last === undefined ? low : parsePort(last)
  if (more !== undefined || low < 1 || high < low) bad(`${quoted(whole)}: the port must be 1 to 65535, lo-hi or *`)
  return { low, high }
}

/**
 * A path, with * for any characters of one part of it. One that could be
 * spelled in another way is none: what is compared must be what is opened.
 */
function isPlainPath (path) {
  return path.startsWith('/') && path.length > 1 && Buffer.byteLength(path) <= MAX_PATH &&
    !path.includes('\0') && path.split('/').slice(1).every((part) => part !== '' && part !== '.' && part !== '..')
}

/** Where the place ends and the ports begin, or -1. */
function portColon (target) {
  const close = target.lastIndexOf(']')
  const colon = target.indexOf(':', close + 1)
  return colon === target.lastIndexOf(':') ? colon : -2
}

/** A name with its stars as it is compared. */
function parsePattern (place, whole) {
  if (!place.includes('*')) {
    const name = canonicalHost(place)
    if (name === null || !NAME.test(name)) bad(`${quoted(whole)}: ${quoted(place)} is not a host name, an address, a network or a set`)
    if (name !== place.toLowerCase() && net.isIP(name) !== 0) bad(`${quoted(whole)}: write the address as ${name}`)
    return withoutDot(name)
  }
  // Each star stands for an ordinary character while the rest is looked at.
  if (canonicalHost(place.replaceAll('*', 'x')) === null || !NAME.test(place)) {
    bad(`${quoted(whole)}: ${quoted(place)} is not a pattern of host names`)
  }
  if (/^[0-9.*/]*$/.test(place)) bad(`${quoted(whole)}: write a network of addresses as 10.0.0.0/8`)
  return withoutDot(place.toLowerCase())
}

const withoutDot = (name) => name.length > 1 && name.endsWith('.') ? name.slice(0, -1) : name

function parsePlace (place, whole) {
  if (place === '*') return { kind: 'any' }
  const lower = place.toLowerCase()
  const set = lower === 'localhost' || lower === 'localhost.' ? 'loopback' : lower
  if (Object.hasOwn(SETS, set)) return { kind: 'address', cidrs: SETS[set] }
  const bracketed = /^\[([^\][]+)\](\/\d+)?$/.exec(place)
  if (bracketed === null && /[[\]]/.test(place)) bad(`${quoted(whole)}: the brackets do not fit (write [fd00::]/8:443)`)
  const address = bracketed === null ? place : bracketed[1] + (bracketed[2] ?? '')
  if (bracketed !== null && !address.includes(':')) bad(`${quoted(whole)}: brackets are for IPv6`)
  const cidr = parseCidr(address)
  if (cidr !== null) return { kind: 'address', cidrs: [cidr] }
  if (bracketed !== null || place.includes('/')) bad(`${quoted(whole)}: ${quoted(place)} is not an address or a network`)
  return { kind: 'name', pattern: parsePattern(place, whole) }
}

/** target => { kind, ... } */
function parseTarget (target) {
  if (target.startsWith('unix:')) {
    const path = target.slice(5)
    if (!isPlainPath(path)) bad(`${quoted(target)}: the path must be absolute, with no empty part, . or .. in it, and at most ${MAX_PATH} bytes`)
    return { kind: 'path', path }
  }
  const colon = portColon(target)
  if (colon === -2) bad(`${quoted(target)}: too many colons (write IPv6 in brackets: [fd00::]/8:443)`)
  if (colon >= 0) return { ...parsePlace(target.slice(0, colon), target), ...parsePorts(target.slice(colon + 1), target) }
  if (!Object.hasOwn(SETS, target.toLowerCase())) bad(`${quoted(target)} has no port: write target:port, target:lo-hi or target:*`)
  return { ...parsePlace(target, target), ...parsePorts('*', target) }
}

// ---- rules

/** The parts of a rule that is an object, as a table of option-table.js: what each may be, say the functions below. */
const RULE = { action: [], target: [], principals: [], transports: [] }

function fromObject (value) {
  for (const key of Object.keys(value)) {
    if (!Object.hasOwn(RULE, key)) bad(`${quoted(key)} is no part of a rule: ${Object.keys(RULE).join(', ')}`)
  }
  if (typeof value.target !== 'string') bad('a rule needs a target')
  return value
}

function fromText (text) {
  const [action, target, principals, transports, ...more] = words(text)
  if (target === undefined || more.length > 0) bad(`${quoted(text)} is not: allow|deny target [principals] [transports]`)
  return { action, target, principals, transports }
}

function build ({ action, target, principals, transports }, text) {
  const lower = typeof action === 'string' ? action.toLowerCase() : ''
  if (!ACTIONS.includes(lower)) bad(`${quoted(String(action))} is not allow or deny`)
  if (target.length > MAX_RULE) bad('the target is too long')
  const rule = {
    action: lower,
    principals: parseNames(principals, 'principals'),
    transports: parseTransports(transports),
    ...parseTarget(target)
  }
  return Object.freeze({ ...rule, text: text ?? formatRule(rule, target) })
}

function formatList (list) {
  if (list === null) return '*'
  return list.map((one) => /[\s,"\\]/.test(one) ? `"${one.replace(/["\\]/g, '\\$&')}"` : one).join(',')
}

function formatRule (rule, target) {
  const tail = rule.transports !== null
    ? [formatList(rule.principals), formatList(rule.transports)]
    : rule.principals !== null ? [formatList(rule.principals)] : []
  return [rule.action, target, ...tail].join(' ')
}

/** Gives what read() gives, or the text of what is wrong. */
function orText (read) {
  try {
    return read()
  } catch (err) {
    if (err instanceof BadRule) return err.message
    throw err
  }
}

/**
 * Parses a rule: text, or { action, target, principals, transports }. Gives a
 * frozen rule, or a string that says what is wrong.
 */
function parseRule (value) {
  return orText(() => {
    if (typeof value === 'string') {
      if (value.length > MAX_RULE) bad('the rule is too long')
      return build(fromText(value), words(value).join(' '))
    }
    if (value === null || typeof value !== 'object' || Array.isArray(value)) bad('a rule is text or a table')
    return build(fromObject(value))
  })
}

/**
 * Parses a rule of what may be listened on for a client:
 * `target [principals] [transports]`, without names and their patterns.
 */
function parseListenRule (value) {
  return orText(() => {
    const text = typeof value === 'string'
    if (text && value.length > MAX_RULE) bad('the rule is too long')
    if (!text && (value === null || typeof value !== 'object' || Array.isArray(value))) bad('a rule is text or a table')
    if (!text && value.action !== undefined) bad('what is permitted to listen has no action')
    const [target, principals, transports, ...more] = text ? words(value) : []
    if (more.length > 0) bad(`${quoted(value)} is not: target [principals] [transports]`)
    if (text && target === undefined) bad('the rule is empty')
    const parts = text ? { target, principals, transports } : fromObject(value)
    const rule = build({ ...parts, action: 'allow' })
    if (rule.kind === 'name') bad(`${quoted(parts.target)}: name an address, a network, a set or *`)
    return Object.freeze({ ...rule, text: rule.text.replace(/^allow /, '') })
  })
}

// ---- matching

/** Whether identity is one of principals: by its id, or by a scope of its. */
function isPrincipal (principals, identity) {
  return principals === null || principals.includes(identity.id) ||
    identity.scopes.some((scope) => principals.includes(scope))
}

/** Whether the rule speaks of this identity over this transport. */
function concerns (rule, { identity, transport }) {
  return isPrincipal(rule.principals, identity) &&
    (rule.transports === null || rule.transports.includes(transport))
}

const hasPort = (rule, port) => port >= rule.low && port <= rule.high

/** Whether a name, canonical, is one of the rule's. */
function matchesName (rule, name) {
  return rule.kind === 'any' || (rule.kind === 'name' && wildcard(rule.pattern, withoutDot(name)))
}

/** Whether the bytes of an address are of the rule's. */
function matchesAddress (rule, bytes) {
  return rule.kind === 'any' || (rule.kind === 'address' && rule.cidrs.some((cidr) => cidrHas(cidr, bytes)))
}

/** Whether a path is one of the rule's: a star never crosses a slash. */
function matchesPath (rule, path) {
  if (rule.kind !== 'path') return false
  const mine = rule.path.split('/')
  const theirs = path.split('/')
  return mine.length === theirs.length && mine.every((part, i) => wildcard(part, theirs[i]))
}

module.exports = {
  RULE,
  concerns,
  hasPort,
  isPlainPath,
  matchesAddress,
  matchesName,
  matchesPath,
  parseListenRule,
  parseRule
}
