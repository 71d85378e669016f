'use strict'

/**
 * The text of forwards (spec §5). Pure.
 *
 *   forward        = here ':' there                     (ssh's -L)
 *   remote forward = here ':' there | here              (ssh's -R)
 *   here           = [bind ':'] port | path
 *   there          = host ':' hostport | path
 *
 * here is where somebody listens, there is where it leads: of a forward this
 * side listens, of a remote forward the server. A remote forward without
 * there is a SOCKS proxy. IPv6 stands in brackets; a path is absolute and has
 * no colon.
 */

const net = require('net')
const { canonicalHost, formatHostPort, isHost, isReserved, parsePort, printable } = require('./addresses')

// sun_path of Linux without its NUL; where it is shorter, the system says so.
const MAX_PATH = 107
const MAX_SPEC = 1024

const SHAPES = {
  forward: '[bind:]port:host:hostport or a path on either side',
  remoteForward: '[bind:]port:host:hostport, a path on either side, or [bind:]port alone'
}

/** Why something is no forward. Stays in this file. */
class BadSpec extends Error {}

function bad (message) {
  throw new BadSpec(message)
}

const quoted = (text) => `"${printable(text)}"`
const isPath = (part) => part.startsWith('/')

/** Splits at colons outside brackets, taking the brackets off; or null. */
function splitColons (text) {
  const parts = []
  let at = 0
  while (at <= text.length) {
    if (text[at] === '[') {
      const close = text.indexOf(']', at)
      if (close < 0 || (close + 1 < text.length && text[close + 1] !== ':')) return null
      const inside = text.slice(at + 1, close)
      if (!net.isIPv6(inside)) return null
      parts.push(inside)
      at = close + 2
    } else {
      const colon = text.indexOf(':', at)
      const end = colon < 0 ? text.length : colon
      parts.push(text.slice(at, end))
      at = end + 1
    }
  }
  return parts
}

/** The parts of here, and those of there; or null. */
function splitSides (text) {
  const parts = splitColons(text)
  if (parts === null) return null
  const last = parts.at(-1)
  if (isPath(parts[0])) return [parts.slice(0, 1), parts.slice(1)]
  if (parts.length > 1 && isPath(last)) return [parts.slice(0, -1), [last]]
  return parts.length < 3 ? [parts, []] : [parts.slice(0, -2), parts.slice(-2)]
}

function parsePath (path, text) {
  // eslint-disable-next-line no-control-regex
  if (path.length < 2 || path.endsWith('/') || /[\x00-\x1f\x7f]/.test(path)) bad(`${quoted(text)}: ${quoted(path)} is not a path of a socket`)
  if (Buffer.byteLength(path) > MAX_PATH) bad(`${quoted(text)}: the path is longer than ${MAX_PATH} bytes`)
  return { path }
}

function parseLocalBind (bind, text) {
  const address = bind === undefined || bind === 'localhost' ? '127.0.0.1' : bind
  if (net.isIP(address) === 0) bad(`${quoted(text)}: the bind address must be an IP address or localhost`)
  return address
}

// What they mean the server decides (RFC 4254 §7.1): '' is every address.
function parseRemoteBind (bind, text) {
  if (bind === undefined) return 'localhost'
  if (bind === '' || bind === '*') return ''
  if (bind !== 'localhost' && net.isIP(bind) === 0) bad(`${quoted(text)}: the bind address must be an IP address, localhost or *`)
  return bind
}

function parseHere (parts, { bindOf, shape }, text) {
  if (parts.length === 1 && isPath(parts[0])) return parsePath(parts[0], text)
  if (parts.length < 1 || parts.length > 2) bad(shape)
  const portText = parts.at(-1)
  const port = parsePort(portText)
  if (port < 0) bad(`${quoted(text)}: ${quoted(portText)} is not a port (0 to 65535)`)
  return { host: bindOf(parts.length === 2 ? parts[0] : undefined, text), port }
}

function parseThere (parts, shape, text) {
  if (parts.length === 1 && isPath(parts[0])) return parsePath(parts[0], text)
  if (parts.length !== 2) bad(shape)
  const [host, portText] = parts
  if (!isHost(host)) bad(`${quoted(text)}: ${quoted(host)} is not a host name or an address`)
  const port = parsePort(portText)
  if (port < 1) bad(`${quoted(text)}: ${quoted(portText)} is not a port (1 to 65535)`)
  return { host, port }
}

/** { host, port } or { path } as it stands in a forward. */
function formatPlace (place) {
  return place.path ?? formatHostPort(place.host || '*', place.port)
}

/** Gives what read() gives, or the text of what is wrong. */
function orText (text, shape, read) {
  try {
    if (text.length > MAX_SPEC) bad('the forward is too long')
    const full = `${quoted(text)} is not ${shape} (IPv6 in brackets)`
    const sides = splitSides(text)
    if (sides === null) bad(full)
    const { here, there } = read(sides, full)
    return { here, there, text: [here, ...there === null ? [] : [there]].map(formatPlace).join(':') }
  } catch (err) {
    if (err instanceof BadSpec) return err.message
    throw err
  }
}

/**
 * Parses a forward. Gives { here, there, text }, or a string that says what is
 * wrong. here and there: { host, port } or { path }; port 0 of here asks the
 * system for a free one. text parses to the same again.
 */
function parseForward (text) {
  return orText(text, SHAPES.forward, ([here, there], shape) => ({
    here: parseHere(here, { bindOf: parseLocalBind, shape }, text),
    there: parseThere(there, shape, text)
  }))
}

/**
 * Parses a remote forward. Gives the same; there is null for a SOCKS proxy.
 */
function parseRemoteForward (text) {
  return orText(text, SHAPES.remoteForward, ([here, there], shape) => ({
    here: parseHere(here, { bindOf: parseRemoteBind, shape }, text),
    there: there.length === 0 ? null : exit(parseThere(there, shape, text), text)
  }))
}

/** A reserved name is never looked up, so it leads nowhere from here. */
function exit (there, text) {
  const name = there.path === undefined ? canonicalHost(there.host) : ''
  if (name === null) bad(`${quoted(text)}: ${quoted(there.host)} is not a host name or an address`)
  if (isReserved(there.host ?? '')) bad(`${quoted(text)}: names that begin with alknet- lead to no address`)
  return there
}

module.exports = { formatPlace, parseForward, parseRemoteForward }
