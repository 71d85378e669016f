'use strict'

/**
 * Where a server listens, and what speaks there: the options listen, listeners,
 * transport, stealth, tlsCert and tlsKey become one list of places. Pure.
 */

const { optionError } = require('./errors')
const { formatHostPort, printable } = require('./addresses')
const { flag, oneOf, pathOrBytes, protocols, serverListen, several } = require('./option-checks')

/** What a server can speak on a port of its own, and which port that mostly is. */
const DEFAULT_PORTS = { tcp: 22, tls: 443 }
// What nginx has to choose from, without HTTP/2: who has just this looks like it
// in all of its handshakes.
const NGINX_ALPN = 'http/1.1,http/1.0,http/0.9'

const NO_STEALTH = 'makes sense only for tls: what is to pass for a web server has to be one of https'
const SCHEME = /^([a-z]+):\/\/(.*)$/i

const transportOf = oneOf(Object.keys(DEFAULT_PORTS), ['iroh'])

/** 'addr:port', 'fd:3', or 'tls://addr:port'. Gives { address, port } or { fd }, and the transport when it is said. */
function listenSpec (name, value) {
  const match = typeof value === 'string' ? SCHEME.exec(value) : null
  if (match === null) return serverListen(name, value)
  const scheme = match[1].toLowerCase()
  if (!Object.hasOwn(DEFAULT_PORTS, scheme)) throw optionError(name, `"${printable(scheme)}://" is not one of tcp://, tls://`)
  return { ...serverListen(name, match[2]), transport: scheme }
}

const ENTRY = { transport: transportOf, listen: several(listenSpec), tlsCert: pathOrBytes, tlsKey: pathOrBytes, tlsAlpn: protocols, stealth: flag }

/** One of `listeners`: { transport, listen, tlsCert, tlsKey, tlsAlpn, stealth }. */
function listenerEntry (name, value) {
  if (value === null || typeof value !== 'object' || Array.isArray(value) || value instanceof Uint8Array) {
    throw optionError(name, `must be objects { ${Object.keys(ENTRY).join(', ')} }`)
  }
  const out = {}
  for (const key of Object.keys(value)) {
    if (!Object.hasOwn(ENTRY, key)) throw optionError(name, `"${printable(key)}" is not one of ${Object.keys(ENTRY).join(', ')}`)
    if (value[key] !== undefined) out[key] = within(name, key, () => ENTRY[key](key, value[key]))
  }
  if (out.listen === undefined) throw optionError(name, 'listen is required in each: addr:port')
  return out
}

/** An error about a part of an option is one about the option. */
function within (name, key, check) {
  try {
    return check()
  } catch (err) {
    throw optionError(name, err.message, err)
  }
}

/** The text of each place, with its scheme. */
function formatPlaces (list) {
  return list.map(({ transport, address, port, fd }) => `${transport}://${fd === undefined ? formatHostPort(address, port) : `fd:${fd}`}`)
}

function placesOf (list, { transport, tlsCert, tlsKey, tlsAlpn, acmeDomain, stealth }) {
  const isAcme = acmeDomain !== undefined && tlsCert === undefined && tlsKey === undefined
  if (stealth && tlsAlpn !== undefined) throw optionError('tlsAlpn', 'makes no sense together with stealth, which has nginx\'s')
  const alpn = stealth ? NGINX_ALPN : tlsAlpn
  return list.map((one) => {
    const place = { ...one, transport: one.transport ?? transport }
    if (place.transport !== 'tls') return place
    return { ...place, ...isAcme ? { isAcme } : { tlsCert, tlsKey }, ...alpn !== undefined && { tlsAlpn: alpn }, ...stealth && { stealth } }
  })
}

function checkPlaces (places, option, options) {
  if (options.acmeDomain !== undefined) checkAcme(places, options)
  for (const place of places.filter((one) => one.transport === 'tls' && !one.isAcme)) {
    if (place.tlsCert === undefined) throw optionError(option('tlsCert'), 'is required for tls: the certificate and those it was signed with, PEM; or have a CA give one (acme-domain)')
    if (place.tlsKey === undefined) throw optionError(option('tlsKey'), 'is required for tls: the certificate\'s private key, PEM')
  }
  for (const one of options.listeners ?? []) {
    const mine = placesOf(one.listen, { transport: options.transport, ...one })
    if (one.stealth && mine.every((place) => place.transport !== 'tls')) throw optionError('listeners', `stealth ${NO_STEALTH}`)
  }
  if (places.some((one) => one.transport === 'tls')) return
  if (options.stealth) throw optionError('stealth', NO_STEALTH)
  for (const name of ['tlsCert', 'tlsKey', 'tlsAlpn']) {
    if (options[name] !== undefined) throw optionError(name, 'nothing listens for tls: set transport, or listen to tls://addr:port')
  }
}

// Two certificates for one place: whichever was meant, the other was, too.
function checkAcme (places, { tlsCert }) {
  if (tlsCert !== undefined) throw optionError('acmeDomain', 'makes no sense together with tlsCert: a listener that has its own certificate can be one of listeners')
  if (!places.some((one) => one.isAcme)) throw optionError('acmeDomain', 'nothing listens for tls without a certificate of its own: set transport, or listen to tls://addr:port')
}

/**
 * All places that checked options of serve() name: { transport, address, port }, or
 * { transport, fd }, and for tls tlsAlpn, stealth (true), and tlsCert and tlsKey or isAcme. What an entry of
 * listeners leaves out is that of the options.
 */
function listenPlaces (options) {
  const { listen, listeners } = options
  if (listeners === undefined) {
    const places = placesOf(listen ?? [defaultPlace(options)], options)
    checkPlaces(places, (name) => name, options)
    return places
  }
  if (listen !== undefined) throw optionError('listeners', 'makes no sense together with listen: say all in one of them')
  const places = listeners.flatMap((one) => placesOf(one.listen, { ...options, ...one }))
  checkPlaces(places, (name) => name, options)
  return places
}

/** Where a server listens when nobody has said. */
function defaultPlace ({ transport }) {
  return { address: '0.0.0.0', port: DEFAULT_PORTS[transport] }
}

module.exports = { DEFAULT_PORTS, NGINX_ALPN, defaultPlace, formatPlaces, listenPlaces, listenSpec, listenerEntry }
