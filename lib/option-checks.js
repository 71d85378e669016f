'use strict'

/**
 * Checks of values: (name, value) => the value as alknet uses it, or they throw
 * ERR_ALKNET_OPTION with the name in it. What an option is called, and its
 * limits, say options.js. Pure.
 */

const net = require('net')
const path = require('path')
const { optionError } = require('./errors')
const { isHost, parseHostPort, printable } = require('./addresses')

const MAX_LIST = 1000

function text (max, pattern, what) {
  return (name, value) => {
    if (typeof value !== 'string' || value === '' || value.length > max || !pattern.test(value)) {
      throw optionError(name, `must be ${what}`)
    }
    return value
  }
}

function integer (min, max, unit = '') {
  return (name, value) => {
    if (!Number.isInteger(value) || value < min || value > max) {
      throw optionError(name, `must be a whole number of ${min} to ${max}${unit}`)
    }
    return value
  }
}

const DURATION = /^(?=.)(?:(\d{1,9})d)?(?:(\d{1,9})h)?(?:(\d{1,9})m)?(?:(\d{1,9})s)?$/

/** '90s', '5m', '1h30m', '30d' => seconds; null for what is none. */
function parseDuration (text) {
  const match = DURATION.exec(text)
  if (match === null) return null
  const [days, hours, minutes, rest] = match.slice(1).map((part) => Number(part ?? 0))
  return ((days * 24 + hours) * 60 + minutes) * 60 + rest
}

/** Seconds: a whole number, or a duration in text. */
function seconds (min, max) {
  return (name, value) => {
    const number = typeof value === 'string' ? parseDuration(value) : value
    if (!Number.isInteger(number) || number < min || number > max) {
      throw optionError(name, `must be a whole number of ${min} to ${max} seconds, or a duration like 5m`)
    }
    return number
  }
}

function flag (name, value) {
  if (typeof value !== 'boolean') throw optionError(name, 'must be true or false')
  return value
}

function callback (name, value) {
  if (typeof value !== 'function') throw optionError(name, 'must be a function')
  return value
}

function abortSignal (name, value) {
  if (!(value instanceof AbortSignal)) throw optionError(name, 'must be an AbortSignal')
  return value
}

const STREAM_METHODS = ['on', 'off', 'pause', 'resume', 'write', 'end', 'destroy']

/** What is wrong with a stream as a transport, or null. */
function problemOfStream (stream) {
  if (stream.readableObjectMode || stream.writableObjectMode) return 'is in object mode: a transport carries bytes'
  if (stream.readableEncoding) return 'has an encoding: a transport carries bytes'
  if (stream.errored) return 'has failed already'
  if (stream.destroyed) return 'is destroyed already'
  if (stream.readableEnded || stream.readable === false) return 'has ended already: nothing more comes from it'
  if (stream.writableEnded || stream.writable === false) return 'has ended already: nothing can be written to it'
  return null
}

/** A stream.Duplex that is to be a transport. */
function duplex (name, value) {
  if (value === null || typeof value !== 'object' || STREAM_METHODS.some((method) => typeof value[method] !== 'function')) {
    throw optionError(name, 'must be a stream.Duplex')
  }
  const problem = problemOfStream(value)
  if (problem !== null) throw optionError(name, problem)
  return value
}

/** The address of somebody: an IP address. */
function ipAddress (name, value) {
  if (typeof value !== 'string' || net.isIP(value) === 0) throw optionError(name, 'must be an IP address')
  return value
}

const PROTOCOL = /^[\x21-\x2b\x2d-\x7e]+$/

/** Names of protocols (RFC 7301): an array or 'a,b', given back as the latter. */
function protocols (name, value) {
  const list = typeof value === 'string' ? value.split(',') : value
  if (!Array.isArray(list) || !list.every((one) => typeof one === 'string' && PROTOCOL.test(one)) || list.length === 0) {
    throw optionError(name, 'must be a list of names of protocols: h2,http/1.1')
  }
  const text = [...new Set(list)].join(',')
  if (text.length > 255) throw optionError(name, 'must have 255 characters in all at most')
  return text
}

/** One or several of what check takes, always given back as an array. */
function several (check, min = 1) {
  return (name, value) => {
    const list = Array.isArray(value) ? value : [value]
    if (list.length < min || list.length > MAX_LIST) throw optionError(name, `must have ${min} to ${MAX_LIST} elements`)
    return list.map((one, index) => {
      try {
        return check(name, one)
      } catch (err) {
        // Who knows where the list came from can say which element it is.
        if (Array.isArray(value)) err.index = index
        throw err
      }
    })
  }
}

function pathOrBytes (name, value) {
  if (value instanceof Uint8Array) return value
  if (typeof value !== 'string' || value === '' || value.includes('\0')) {
    throw optionError(name, 'must be a path, or a Buffer with the file\'s bytes')
  }
  return value
}

function hostPort (defaultPort) {
  return (name, value) => {
    if (typeof value !== 'string') throw optionError(name, 'must be host:port')
    const parsed = parseHostPort(value)
    if (typeof parsed === 'string') throw optionError(name, parsed)
    const port = parsed.port ?? defaultPort
    if (port === undefined) throw optionError(name, `"${printable(value)}" has no port`)
    return { host: parsed.host, port }
  }
}

/** Where to listen: an address of this machine and a port; 0 for any. */
function listenAddress (name, value) {
  const { host, port } = hostPort()(name, value)
  const address = host === 'localhost' ? '127.0.0.1' : host
  if (net.isIP(address) === 0) throw optionError(name, `"${printable(host)}" is not an IP address or localhost`)
  return { address, port }
}

/**
 * Where a server listens: the same, or fd:N, a socket that this process was
 * started with.
 */
function serverListen (name, value) {
  const match = typeof value === 'string' ? /^fd:(\d{1,9})$/.exec(value) : null
  if (match === null) return listenAddress(name, value)
  const fd = Number(match[1])
  if (fd < 3) throw optionError(name, `"${value}" is a standard stream: descriptors that are handed over begin with 3`)
  return { fd }
}

// What ssh takes, and where it goes here.
const OF_SSH = [
  [/^[a-z][a-z0-9+.-]*:\/\//i, 'a URL is not taken: write host[:port]'],
  [/@/, 'write host[:port] alone; the user has an option of its own']
]

/** The password that some write into an address: it is told to nobody. */
const PASSWORD = /^((?:[a-z][a-z0-9+.-]*:\/\/)?[^:@]*):.*@/i

/** host[:port]; the port that is not said depends on the transport. */
function serverAddress (name, value) {
  const [, hint] = OF_SSH.find(([pattern]) => typeof value === 'string' && pattern.test(value)) ?? []
  if (hint !== undefined) throw optionError(name, `"${printable(value.replace(PASSWORD, '$1:***@'))}": ${hint}`)
  const parsed = hostPort(null)(name, value)
  if (parsed.port === 0) throw optionError(name, 'the port must be 1 to 65535')
  return parsed
}

function parsedBy (parse, takesObjects = false) {
  return (name, value) => {
    const parsed = typeof value === 'string' || takesObjects ? parse(value) : 'must be text'
    if (typeof parsed === 'string') throw optionError(name, parsed)
    return parsed
  }
}

function oneOf (available, planned) {
  return (name, value) => {
    if (planned.includes(value)) throw optionError(name, `"${value}" is not available yet`)
    if (!available.includes(value)) throw optionError(name, `must be one of ${available.join(', ')}`)
    return value
  }
}

const FINGERPRINT = /^SHA256:[A-Za-z0-9+/]{43}$/
const PUBLIC_KEY = /^(ssh|ecdsa)-[A-Za-z0-9@.-]+ [A-Za-z0-9+/]+={0,2}( |$)/

function pin (name, value) {
  const trimmed = typeof value === 'string' ? value.trim().replace(/=+$/, (s) => value.startsWith('SHA256:') ? '' : s) : ''
  if (!FINGERPRINT.test(trimmed) && !PUBLIC_KEY.test(trimmed)) {
    throw optionError(name, 'must be a fingerprint (SHA256:...) or a public key (type base64)')
  }
  return trimmed
}

function passphrase (name, value) {
  if (typeof value !== 'string' && typeof value !== 'function') {
    throw optionError(name, 'must be text, or a function that gives it')
  }
  return value
}

function socksAuth (name, value) {
  const colon = typeof value === 'string' ? value.indexOf(':') : -1
  const user = colon < 0 ? '' : value.slice(0, colon)
  const password = colon < 0 ? '' : value.slice(colon + 1)
  const fits = (s) => s !== '' && Buffer.byteLength(s) <= 255 && !s.includes('\0')
  if (!fits(user) || !fits(password)) throw optionError(name, 'must be user:password, 1 to 255 bytes each')
  return { user, password }
}

function socksListen (name, value) {
  if (value === false) return null
  return listenAddress(name, value === true ? '127.0.0.1:1080' : value)
}

/** Where metrics are told. */
function metricsListen (name, value) {
  return value === false ? null : listenAddress(name, value)
}

// sun_path of Linux without its NUL; a longer one would not be the same file.
const MAX_SOCKET_PATH = 107

/** What session.open() reaches: what is behind it the server decides. */
function hostName (name, value) {
  if (typeof value !== 'string' || !isHost(value)) throw optionError(name, 'must be a host name or an address')
  return value
}

/** The path of a Unix socket at the server. */
function socketPath (name, value) {
  // eslint-disable-next-line no-control-regex
  if (typeof value !== 'string' || !/^\/[^\x00-\x1f\x7f]*[^\x00-\x1f\x7f/]$/.test(value) || Buffer.byteLength(value) > MAX_SOCKET_PATH) {
    throw optionError(name, `must be the absolute path of a socket, of ${MAX_SOCKET_PATH} bytes at most`)
  }
  return value
}

/** Where a server is asked to listen (RFC 4254 §7.1): '' is every address. */
function remoteBind (name, value) {
  if (value === '' || value === '*') return ''
  if (value !== 'localhost' && (typeof value !== 'string' || net.isIP(value) === 0)) {
    throw optionError(name, 'must be an IP address, localhost or *')
  }
  return value
}

/** The path of a control socket, absolute. */
function controlPath (name, value) {
  if (typeof value !== 'string' || value === '' || value.includes('\0')) throw optionError(name, 'must be the path of a socket')
  const file = path.resolve(value)
  if (Buffer.byteLength(file) > MAX_SOCKET_PATH) {
    throw optionError(name, `"${printable(file)}" is longer than the ${MAX_SOCKET_PATH} bytes that the path of a socket may have`)
  }
  return file
}

/** Where a process can be asked: a path, true for the default place, or 'off'. */
function control (name, value) {
  if (value === false || value === 'off') return 'off'
  return value === true ? true : controlPath(name, value)
}

/** 'http://host[:port]' => { host, port }, or a string that says what is wrong. */
function parseUpstream (text) {
  const url = /^http:\/\/[^/?#@]+\/?$/i.test(text) && URL.canParse(text) ? new URL(text) : null
  if (url === null || url.port === '0') return 'must be http://host[:port]: where the site is, without a path'
  const host = url.hostname.replace(/^\[|\]$/g, '')
  return { host, port: url.port === '' ? 80 : Number(url.port), text: url.origin }
}

module.exports = {
  abortSignal,
  callback,
  control,
  controlPath,
  duplex,
  flag,
  hostName,
  hostPort,
  integer,
  ipAddress,
  listenAddress,
  metricsListen,
  oneOf,
  parseDuration,
  parseUpstream,
  parsedBy,
  passphrase,
  pathOrBytes,
  pin,
  protocols,
  remoteBind,
  seconds,
  serverAddress,
  serverListen,
  several,
  socketPath,
  socksAuth,
  socksListen,
  text
}
