'use strict'

/**
 * How a certificate authority sees that names are this server's own. Both kinds
 * have show(proof): a promise of what takes the proof away again.
 *
 *   TlsAlpn   a certificate that only who looks for it is shown (RFC 8737), on
 *             the ports where the server speaks TLS anyway
 *   Http      a file at a path nobody else knows (RFC 8555 §8.3), on a port of
 *             its own that is open only as long as there is a proof
 *
 * A proof is { name, token, keyAuthorization, certify }; certify() gives a
 * promise of { cert, key }, PEM, for TlsAlpn.
 */

const http = require('http')
const net = require('net')
const { once } = require('events')
const binding = require('../binding')
const { addressBytes, formatHostPort } = require('../addresses')
const { optionError, systemError, systemText } = require('../errors')

const ACME_ALPN = 'acme-tls/1'

/** What a CA asks for by SNI (RFC 8738 §6): an address is asked for by its reverse name. */
function sniOf (name) {
  const family = net.isIP(name)
  if (family === 0) return name
  const bytes = [...addressBytes(name)]
  if (family === 4) return `${bytes.reverse().join('.')}.in-addr.arpa`
  return `${Buffer.from(bytes).toString('hex').split('').reverse().join('.')}.ip6.arpa`
}

class TlsAlpn {
  /** contexts: () => the addon's TlsContexts that are in use. */
  constructor (contexts) {
    this._contexts = contexts
    this._shown = new Map() // name in SNI => the context that proves it
  }

  /** Whether anybody may come to look. */
  get isOn () {
    return this._shown.size > 0
  }

  async prepare () {}

  /** Where it listens that nobody else does: nowhere. */
  addresses () {
    return []
  }

  async show ({ name, certify }) {
    const { cert, key } = await certify()
    const context = await binding.tlsServerContext(Buffer.from(cert), Buffer.from(key), null, ACME_ALPN)
    const sni = sniOf(name)
    this._set(sni, context)
    return () => this._set(sni, null)
  }

  _set (sni, context) {
    if (context === null) this._shown.delete(sni)
    else this._shown.set(sni, context)
    for (const one of this._contexts()) binding.tlsProve(one, sni, context)
  }

  /** A context that comes into use while somebody looks. */
  adopt (one) {
    for (const [sni, context] of this._shown) binding.tlsProve(one, sni, context)
  }
}

const PATH = '/.well-known/acme-challenge/'
const LIMITS = { connections: 64, headerBytes: 8192, ms: 10_000 }

class Http {
  /** places: [{ address, port }] */
  constructor (places) {
    this._places = places
    this._files = new Map() // path => what stands there
    this._servers = []
    this._opening = null
  }

  /** Whether it can listen, or throws: a port that somebody has is better known at the start. */
  async prepare () {
    await this._open().catch((err) => { throw optionError('acmeHttpListen', err.message, err) })
    this._close()
  }

  async show ({ token, keyAuthorization }) {
    this._files.set(PATH + token, keyAuthorization)
    const hide = () => {
      this._files.delete(PATH + token)
      if (this._files.size === 0) this._close()
    }
    try {
      await this._open()
    } catch (err) {
      hide()
      throw err
    }
    return hide
  }

  adopt () {}

  _open () {
    this._opening ??= Promise.all(this._places.map((place) => this._listen(place)))
    return this._opening.catch((err) => {
      this._close()
      throw err
    })
  }

  async _listen ({ address, port }) {
    const { connections, headerBytes, ms } = LIMITS
    const server = http.createServer({
      maxHeaderSize: headerBytes, headersTimeout: ms, requestTimeout: ms, connectionsCheckingInterval: 1000
    }, (request, response) => this._answer(request, response))
    server.maxConnections = connections
    server.setTimeout(ms)
    this._servers.push(server)
    // IPv4 may be another's place, or one of ours.
    server.listen({ host: address, port, exclusive: true, ipv6Only: true })
    await once(server, 'listening').catch((err) => {
      throw systemError(err, 'acme', `cannot listen on ${formatHostPort(address, port)}: ${systemText(err)}`)
    })
    server.on('error', () => {}) // of one that comes: no more than that
    server.unref()
  }

  _close () {
    this._opening = null
    for (const server of this._servers.splice(0)) {
      if (server.listening) server.close()
      server.closeAllConnections()
    }
  }

  /** Where it listens now: [{ address, port }]. */
  addresses () {
    return this._servers.filter((one) => one.listening).map((one) => one.address())
  }

  _answer ({ method, url }, response) {
    const text = method === 'GET' || method === 'HEAD' ? this._files.get(url) : undefined
    response.writeHead(text === undefined ? 404 : 200, {
      'content-type': 'application/octet-stream', 'content-length': Buffer.byteLength(text ?? ''), connection: 'close'
    })
    response.end(method === 'HEAD' ? '' : text)
  }
}

module.exports = { ACME_ALPN, Http, TlsAlpn, sniOf }
