'use strict'

/** The text of a local forward, `[bind:]port:host:hostport` (spec §5). Pure. */

const net = require('net')
const { isHost, parsePort, printable } = require('./addresses')

const MAX_SPEC = 1024

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

/**
 * Parses a forward. Gives { bind, port, host, hostPort }, or a string that
 * says what is wrong. port 0 asks the system for a free one.
 */
function parseForward (text) {
  const shown = printable(text)
  const shape = `"${shown}" is not [bind:]port:host:hostport (IPv6 in brackets)`
  if (text.length > MAX_SPEC) return 'the forward is too long'
  if (text.includes('/')) return `"${shown}": Unix sockets in forwards are not available yet`
  const parts = splitColons(text)
  if (parts === null || parts.length < 3 || parts.length > 4) return shape
  const [bindText, portText, host, hostPortText] =
    parts.length === 4 ? parts : ['127.0.0.1', ...parts]
  const bind = bindText === 'localhost' ? '127.0.0.1' : bindText
  if (net.isIP(bind) === 0) return `"${shown}": the bind address must be an IP address or localhost`
  const port = parsePort(portText)
  if (port < 0) return `"${shown}": "${printable(portText)}" is not a port (0 to 65535)`
  if (!isHost(host)) return `"${shown}": "${printable(host)}" is not a host name or an address`
  const hostPort = parsePort(hostPortText)
  if (hostPort < 1) return `"${shown}": "${printable(hostPortText)}" is not a port (1 to 65535)`
  return { bind, port, host, hostPort }
}

module.exports = { parseForward }
