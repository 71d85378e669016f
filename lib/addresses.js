'use strict'

/**
 * Addresses, ports, host:port and the named sets of spec §8. Pure.
 *
 * An address is compared as bytes: 4 for IPv4 and for IPv4-mapped IPv6
 * (::ffff:0:0/96, RFC 4291 §2.5.5.2), 16 for the rest of IPv6.
 */

const net = require('net')
const { domainToASCII } = require('url')

const MAX_HOST = 255
const RESERVED = /^alknet-/i

// The text of a name that may be handed to a resolver or to the far end: no
// control characters, no spaces, nothing that looks like a flag.
// eslint-disable-next-line no-control-regex
const BAD_HOST = /[\x00-\x20\x7f-\x9f"'\\/[\]{}<>|;&`$()%]/

function parseV4 (text, out, at) {
  let part = 0
  for (let i = 0; i <= text.length; i++) {
    const c = i === text.length ? 46 : text.charCodeAt(i)
    if (c === 46) {
      out[at++] = part
      part = 0
    } else {
      part = part * 10 + c - 48
    }
  }
}

function parseV6 (text) {
  const out = new Uint8Array(16)
  const lastColon = text.lastIndexOf(':')
  let groups = text
  if (text.includes('.')) {
    // The dotted tail stands for the last two groups.
    parseV4(text.slice(lastColon + 1), out, 12)
    const word = (i) => ((out[i] << 8) | out[i + 1]).toString(16)
    groups = `${text.slice(0, lastColon + 1)}${word(12)}:${word(14)}`
  }
  const [head, tail] = groups.split('::').map((s) => s === '' ? [] : s.split(':'))
  const put = (list, at) => {
    for (const group of list) {
      const value = parseInt(group, 16)
      out[at++] = value >> 8
      out[at++] = value & 0xff
    }
  }
  put(head, 0)
  if (tail !== undefined) {
    out.fill(0, head.length * 2, 16 - tail.length * 2)
    put(tail, 16 - tail.length * 2)
  }
  return out
}

function isMapped (bytes) {
  for (let i = 0; i < 10; i++) if (bytes[i] !== 0) return false
  return bytes[10] === 0xff && bytes[11] === 0xff
}

/**
 * The bytes of an address in text, or null when it is none. A zone
 * (fe80::1%eth0) is left out; only what net.isIP() takes counts.
 */
function addressBytes (text) {
  const family = net.isIP(text)
  if (family === 0) return null
  if (family === 4) {
    const out = new Uint8Array(4)
    parseV4(text, out, 0)
    return out
  }
  const bytes = parseV6(text.slice(0, text.length - zoneOf(text).length))
  return isMapped(bytes) ? bytes.subarray(12) : bytes
}

/**
 * Whose address it is, as far as limits go: that of IPv4, the /64 of IPv6, of
 * which every customer has at least one. Text: '192.0.2.7/32',
 * '2001:db8:0:1::/64'; what is no address is its own source.
 */
function sourceOf (address) {
  const bytes = addressBytes(address)
  if (bytes === null) return address
  if (bytes.length === 4) return `${bytes.join('.')}/32`
  const words = [0, 2, 4, 6].map((i) => ((bytes[i] << 8) | bytes[i + 1]).toString(16))
  return `${words.join(':')}::/64`
}

/**
 * One form of each address, for the log, the limits and whoever reads both: an
 * IPv4 client of a dual-stack listener has its IPv4 address, IPv6 is as short as
 * it can be, and a zone, which says nothing about who it is, is left out.
 */
function plainAddress (address) {
  if (!net.isIPv6(address)) return address
  const shortest = new net.SocketAddress({ address: address.replace(/%.*$/s, ''), family: 'ipv6' }).address
  const tail = shortest.startsWith('::ffff:') ? shortest.slice(7) : ''
  return net.isIPv4(tail) ? tail : shortest
}

/** The zone of an address in text with its %, or ''. */
function zoneOf (text) {
  const at = text.indexOf('%')
  return at < 0 ? '' : text.slice(at)
}

/** Whether two addresses in text are the same one, on the same link. */
function sameAddress (a, b) {
  if (a === b) return true
  const x = addressBytes(a)
  const y = addressBytes(b)
  return x !== null && y !== null && x.length === y.length &&
    x.every((byte, i) => byte === y[i]) && zoneOf(a) === zoneOf(b)
}

/**
 * Whether listening at one place leaves no room for the other. A place is
 * { address, port } or { path }.
 */
function overlaps (a, b) {
  if (a.path !== undefined || b.path !== undefined) return a.path === b.path
  if (a.port !== b.port) return false
  const [x, y] = [addressBytes(a.address), addressBytes(b.address)]
  if (x === null || y === null || x.length !== y.length) return false
  const isAll = (bytes) => bytes.every((byte) => byte === 0)
  return isAll(x) || isAll(y) || x.every((byte, i) => byte === y[i])
}

/**
 * '10.0.0.0/8', 'fd00::/8' or a plain address => { bytes, bits }, or null. With
 * a zone it is null: a network has none.
 */
function parseCidr (text) {
  if (text.includes('%')) return null
  const slash = text.indexOf('/')
  const address = slash < 0 ? text : text.slice(0, slash)
  const bytes = addressBytes(address)
  if (bytes === null) return null
  const width = bytes.length * 8
  if (slash < 0) return { bytes, bits: width }
  const digits = text.slice(slash + 1)
  if (!/^\d{1,3}$/.test(digits)) return null
  // A mapped prefix counts from bit 96 on: ::ffff:10.0.0.0/104 is 10.0.0.0/8.
  const bits = Number(digits) - (address.includes(':') && width === 32 ? 96 : 0)
  return bits < 0 || bits > width ? null : { bytes, bits }
}

/** Whether bytes lie in the network cidr. */
function cidrHas (cidr, bytes) {
  if (cidr.bytes.length !== bytes.length) return false
  const whole = cidr.bits >> 3
  for (let i = 0; i < whole; i++) if (cidr.bytes[i] !== bytes[i]) return false
  const rest = cidr.bits & 7
  if (rest === 0) return true
  const mask = (0xff << (8 - rest)) & 0xff
  return ((cidr.bytes[whole] ^ bytes[whole]) & mask) === 0
}

/** Whether the network inner lies in the network outer. */
function cidrInside (inner, outer) {
  return inner.bits >= outer.bits && cidrHas(outer, inner.bytes)
}

// Spec §8.
const SETS = Object.fromEntries(Object.entries({
  loopback: ['127.0.0.0/8', '::1'],
  private: ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', 'fc00::/7', '100.64.0.0/10'],
  'link-local': ['169.254.0.0/16', 'fe80::/10'],
  metadata: ['169.254.169.254', '100.100.100.200', 'fd00:ec2::254'],
  unspecified: ['0.0.0.0/8', '::']
}).map(([name, list]) => [name, list.map(parseCidr)]))

/** Whether bytes lie in the named set. */
function setHas (name, bytes) {
  return SETS[name].some((cidr) => cidrHas(cidr, bytes))
}

/** A port of 0 to 65535 in text, or -1. */
function parsePort (text) {
  if (!/^\d{1,5}$/.test(text)) return -1
  const port = Number(text)
  return port > 65535 ? -1 : port
}

/** Whether text may stand where a host name or an address is wanted. */
function isHost (text) {
  if (text.length === 0 || text.length > MAX_HOST) return false
  if (net.isIP(text) !== 0) return true
  return !text.startsWith('-') && !text.includes(':') && !BAD_HOST.test(text)
}

// A name whose last label is a number is no name: resolvers read 127.1,
// 2130706433 and 0x7f.0.0.1 as addresses (inet_aton(3), and the URL standard).
const ENDS_IN_NUMBER = /(^|\.)(\d+|0x[0-9a-f]*)\.?$/

/**
 * The one spelling of a host: lower case, IPv4 in four decimal numbers, other
 * scripts in their ASCII form. What is compared with rules and what goes to the
 * resolver are both this, so that no spelling passes a rule that another one
 * does not. Gives null for what is no host.
 */
function canonicalHost (text) {
  if (!isHost(text)) return null
  if (net.isIP(text) !== 0) return text
  const lower = text.toLowerCase()
  // eslint-disable-next-line no-control-regex
  if (/^[\x00-\x7f]*$/.test(lower) && !ENDS_IN_NUMBER.test(lower)) return lower
  const ascii = domainToASCII(lower)
  return ascii !== '' && isHost(ascii) ? ascii : null
}

/**
 * Whether a host, as somebody wrote it or in its canonical form, is a reserved
 * name (spec §10): one that no resolver may ever see. A name with letters of
 * other scripts is only in one of the two, as alknet-é is xn--alknet-….
 */
function isReserved (host) {
  return RESERVED.test(host) || RESERVED.test(canonicalHost(host) ?? '')
}

/**
 * Splits 'host', 'host:port', '[v6]', '[v6]:port' or a bare IPv6 address.
 * Gives { host, port } (port undefined when there is none), or a string that
 * says what is wrong.
 */
function parseHostPort (text) {
  let host = text
  let portText
  if (text.startsWith('[')) {
    const close = text.indexOf(']')
    if (close < 0) return `"${printable(text)}" has no closing bracket`
    host = text.slice(1, close)
    if (net.isIPv6(host) === false) return `"${printable(host)}" in brackets is not an IPv6 address`
    const rest = text.slice(close + 1)
    if (rest !== '' && rest[0] !== ':') return `"${printable(text)}" has something after the bracket that is not a port`
    if (rest !== '') portText = rest.slice(1)
  } else if (net.isIPv6(text) === false) {
    const colon = text.indexOf(':')
    if (colon !== text.lastIndexOf(':')) return `"${printable(text)}" has too many colons (write IPv6 as [::1]:port)`
    if (colon >= 0) {
      host = text.slice(0, colon)
      portText = text.slice(colon + 1)
    }
  }
  if (!isHost(host)) return `"${printable(host)}" is not a host name or an address`
  if (portText === undefined) return { host, port: undefined }
  const port = parsePort(portText)
  return port < 0 ? `"${printable(portText)}" is not a port (0 to 65535)` : { host, port }
}

/** 'host:port', with brackets around IPv6. */
function formatHostPort (host, port) {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}

/** Text of somebody else's for a message of ours: short, printable ASCII. */
function printable (text) {
  const short = text.length > 80 ? `${text.slice(0, 80)}...` : text
  return short.replace(/[^\x20-\x7e]/g, '?')
}

module.exports = {
  SETS,
  addressBytes,
  canonicalHost,
  cidrHas,
  cidrInside,
  formatHostPort,
  isHost,
  isReserved,
  overlaps,
  parseCidr,
  parseHostPort,
  parsePort,
  plainAddress,
  printable,
  sameAddress,
  setHas,
  sourceOf,
  zoneOf
}
