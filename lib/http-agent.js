'use strict'

/**
 * HTTP through a session: agents for node:http and node:https, and what undici
 * calls to connect. Names are looked up at the far end; a certificate is
 * checked here, against the name, as without a tunnel.
 */

const http = require('http')
const https = require('https')
const net = require('net')
const tls = require('tls')
const { openTarget } = require('./call-options')
const { Stream } = require('./stream')

/**
 * A channel with what HTTP clients call of a net.Socket: it is there at once, so
 * that an agent can count it, and opens meanwhile. Event `'connect'`.
 */
class HttpStream extends Stream {
  /** session: of session.js. target: of openTarget(). */
  constructor (session, target) {
    super(null)
    this._session = session
    this._target = target
    this._canceled = new AbortController()
    this._idle = null
    this.timeout = 0
    this.once('close', () => clearTimeout(this._idle))
  }

  // Node holds reads, writes and the end until this is done.
  _construct (callback) {
    this._session._channels.openStream(this._target, this._canceled.signal, (channel) => this._own(channel)).then(() => {
      callback()
      this.emit('connect')
    }, (err) => callback(this._canceled.signal.aborted ? null : err)) // who destroys it says what is wrong, if anything
  }

  destroy (err) {
    if (this._native === null) this._canceled.abort()
    return super.destroy(err)
  }

  /** Event `'timeout'` after ms without a byte; 0: never. */
  setTimeout (ms, listener) {
    clearTimeout(this._idle)
    this.timeout = ms
    this._idle = ms > 0 && !this.destroyed ? setTimeout(onIdle, ms, this).unref() : null
    if (listener !== undefined && ms > 0) this.once('timeout', listener)
    else if (listener !== undefined) this.off('timeout', listener)
    return this
  }

  ondata (chunk) {
    this._idle?.refresh()
    super.ondata(chunk)
  }

  _write (chunk, encoding, callback) {
    this._idle?.refresh()
    super._write(chunk, encoding, callback)
  }

  // HTTP knows itself when all was said: a server that closes as soon as it has
  // answered is no error.
  _final (callback) {
    this._native?.end()
    callback()
  }

  // Of the session's transport they are, not of a channel.
  setKeepAlive () {
    return this
  }

  setNoDelay () {
    return this
  }

  ref () {
    return this
  }

  unref () {
    return this
  }
}

function onIdle (stream) {
  stream.emit('timeout')
}

/** An http.Agent through a session. */
class HttpAgent extends http.Agent {
  /** session: of session.js. options: of http.Agent. */
  constructor (session, options) {
    super(options)
    this._session = session
  }

  createConnection (options) {
    return openHttp(this._session, options)
  }
}

/** An https.Agent through a session. */
class HttpsAgent extends https.Agent {
  constructor (session, options) {
    super(options)
    this._session = session
  }

  // The parent does TLS over the stream, with its cache of TLS sessions.
  createConnection (options) {
    return super.createConnection({ ...options, socket: openHttp(this._session, options) })
  }
}

const unbracketed = (host) => host.startsWith('[') ? host.slice(1, -1) : host

/** A channel to what an HTTP client connects to. */
function openHttp (session, { socketPath, host, port }) {
  return new HttpStream(session, openTarget(socketPath ? { path: socketPath } : { host: unbracketed(host), port: Number(port) }))
}

/**
 * Gives undici's connect(options, callback). tlsOptions: of tls.connect().
 */
function connector (session, tlsOptions = {}) {
  return ({ hostname, protocol, port, servername, socketPath }, callback) => {
    const isSecure = protocol === 'https:'
    const host = unbracketed(hostname)
    let socket = openHttp(session, { socketPath, host, port: port || (isSecure ? 443 : 80) })
    if (isSecure) {
      const name = servername || host
      socket = tls.connect({ ALPNProtocols: ['http/1.1'], ...tlsOptions, socket, host, ...(net.isIP(name) === 0 && { servername: name }) })
    }
    const onError = (err) => callback(err, null)
    socket.once('error', onError)
    socket.once(isSecure ? 'secureConnect' : 'connect', () => {
      socket.off('error', onError)
      callback(null, socket)
    })
  }
}

module.exports = { HttpAgent, HttpsAgent, connector }
