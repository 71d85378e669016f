'use strict'

/**
 * The proxies between us and a host: their URLs, those of the environment, and
 * which hosts need none. Pure. No message quotes a URL: there may be a password
 * in it, and where it ends is just what is in doubt.
 */

const net = require('net')
const { addressBytes, canonicalHost, cidrHas, parseCidr, parseHostPort } = require('./addresses')

// What curl takes for either kind where a URL has no port.
const DEFAULT_PORT = 1080

// Of a user and of a password: RFC 1929 has one byte for each length.
const MAX_FIELD = 255

const MAX_CHAIN = 8

const KINDS = { 'socks5:': 'socks5', 'socks5h:': 'socks5', 'http:': 'http' }
const FORMS = 'socks5://[user:password@]host[:port] or http://[user:password@]host[:port]'

/** Percent-decoded, or null: not UTF-8, too long, or with a control character. */
function decodeField (text) {
  try {
    const decoded = decodeURIComponent(text)
    // eslint-disable-next-line no-control-regex
    return Buffer.byteLength(decoded) <= MAX_FIELD && !/[\x00-\x1f\x7f]/.test(decoded) ? decoded : null
  } catch {
    return null
  }
}

/** 'user:password' => { user, password }, or what is wrong. */
function parseLogin (text) {
  const colon = text.indexOf(':')
  const user = decodeField(colon < 0 ? text : text.slice(0, colon))
  const password = decodeField(colon < 0 ? '' : text.slice(colon + 1))
  if (user === null || password === null || user === '') {
    return `user and password must be percent-encoded UTF-8 of at most ${MAX_FIELD} bytes, without control characters, and the user not empty`
  }
  return { user, password }
}

/**
 * The URL of a proxy => { kind: 'socks5' | 'http', host, port, user, password },
 * user and password null where there are none; or a string that says what is
 * wrong.
 */
function parseProxy (text) {
  const [, scheme, authority] = /^([a-z0-9+.-]+:)\/\/([^/?#]*)\/?$/i.exec(text) ?? []
  if (scheme === undefined || !Object.hasOwn(KINDS, scheme.toLowerCase())) {
    return `must be ${FORMS}, with the special characters of user and password percent-encoded; or env`
  }
  const kind = KINDS[scheme.toLowerCase()]
  const at = authority.lastIndexOf('@')
  const login = at < 0 ? { user: null, password: null } : parseLogin(authority.slice(0, at))
  if (typeof login === 'string') return login
  // What RFC 7617 could not tell apart.
  if (kind === 'http' && login.user?.includes(':')) return 'the user of an HTTP proxy has no colon in it'
  const place = parseHostPort(authority.slice(at + 1).replace(/^[^[]*:.*:.*$/, '')) // IPv6 has brackets
  if (typeof place === 'string' || place.port === 0) return 'needs the host of the proxy, IPv6 in brackets, and a port of 1 to 65535 if any'
  const host = canonicalHost(place.host)
  if (host === null) return 'needs the host of the proxy'
  return { kind, host, port: place.port ?? DEFAULT_PORT, ...login }
}

const withoutDot = (name) => name.endsWith('.') ? name.slice(0, -1) : name

/**
 * NO_PROXY as curl reads it: names with all that is below them, addresses,
 * networks; '*' by itself is everything.
 * @returns {(host: string) => boolean} whether a canonical host needs no proxy
 */
function parseNoProxy (text) {
  if (text.trim() === '*') return () => true
  const entries = text.toLowerCase().split(/[\s,]+/).filter((one) => one !== '')
  const names = entries.map((one) => withoutDot(one.replace(/^\./, ''))).filter((one) => one !== '')
  const networks = entries.map((one) => parseCidr(one.replace(/^\[([^\]]*)\]/, '$1'))).filter((one) => one !== null)
  return (host) => {
    const bytes = addressBytes(host)
    if (bytes !== null) return networks.some((one) => cidrHas(one, bytes))
    const name = withoutDot(host.toLowerCase())
    return names.some((one) => name === one || name.endsWith(`.${one}`))
  }
}

/** What stands between us and the hosts: a chain, and who is exempt from it. */
class Proxies {
  /** chain: of parseProxy(), the nearest first. isExempt: (host) => boolean */
  constructor (chain, isExempt = () => false) {
    this.chain = chain
    this._isExempt = isExempt
  }

  /** The proxies to host, which is canonical; [] for none. */
  to (host) {
    return this._isExempt(host) ? [] : this.chain
  }
}

const firstOf = (env, names) => names.find((name) => env[name] !== undefined && env[name] !== '')

/**
 * What the environment says, as curl reads it for https: Proxies, or undefined
 * when it says nothing; or a string that says what is wrong.
 */
function proxiesOfEnv (env) {
  const name = firstOf(env, ['https_proxy', 'HTTPS_PROXY', 'all_proxy', 'ALL_PROXY'])
  if (name === undefined) return undefined
  const proxy = parseProxy(env[name].includes('://') ? env[name] : `http://${env[name]}`)
  if (typeof proxy === 'string') return `the variable ${name} ${proxy.replace(/; or env$/, '')}`
  return new Proxies([proxy], parseNoProxy(env[firstOf(env, ['no_proxy', 'NO_PROXY'])] ?? ''))
}

/**
 * URLs, or 'env' alone => Proxies; undefined for none; a string that says what
 * is wrong.
 */
function parseProxies (list, env) {
  if (list.length === 0) return undefined
  if (list.includes('env')) return list.length === 1 ? proxiesOfEnv(env) : 'env stands alone'
  if (list.length > MAX_CHAIN) return `a chain has at most ${MAX_CHAIN} proxies`
  const chain = []
  for (const one of list) {
    const proxy = typeof one === 'string' ? parseProxy(one) : 'must be text'
    if (typeof proxy === 'string') return proxy
    chain.push(proxy)
  }
  return new Proxies(chain)
}

/** Whether a name means this machine wherever it is looked up: RFC 6761 §6.3. */
function isLocalhost (host) {
  return net.isIP(host) === 0 && /^(?:.*\.)?localhost\.?$/i.test(host)
}

module.exports = { Proxies, isLocalhost, parseNoProxy, parseProxies, parseProxy }
