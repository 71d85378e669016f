'use strict'

/**
 * One transport and one SSH session over it: what a Session has, until it is
 * lost, and then may have another. Its holder is the session, or the pool of
 * those beside the session's first.
 *
 *   open() -> connect -> kex -> host key checked -> login with each key in turn
 *     -> ready: holder._linkReady() -> lost or closed: holder._linkDown()
 *     -> closed: nothing of it is left
 *
 * The login has a time limit, and the first thing that goes wrong is what
 * open() rejects with.
 */

const binding = require('./binding')
const { BYE } = require('./bye')
const { DIRECT_STREAMLOCAL, DIRECT_TCPIP } = require('./channels')
const { AlknetError, canceled, fail } = require('./errors')
const { hostKeyOrder } = require('./credentials')
const { NO_NAME } = require('./host-key-refusals')
const { Keepalive } = require('./keepalive')
const { nativeOptions } = require('./native-options')
const { Requests } = require('./requests')
const { tlsInfo } = require('./tls-handshake')
const { openTransport } = require('./transport')

// Of whom only a stream is known: no known_hosts line but one for all is about it.
const NAMELESS = { host: NO_NAME, port: 22 }

const NO_WIRE = { received: () => 0, sent: () => 0 }

// A peer that no longer reads cannot hold close() back for longer.
const CLOSE_MS = 2000

class Link {
  /** session: of session.js. server: { host, port }, or null. holder: who is told that it is ready, and over. */
  constructor (session, server, holder = session) {
    this._session = session
    this.holder = holder
    this._options = session._options
    this._known = session._known
    this._keys = session._keys
    this._name = server ?? NAMELESS // in known_hosts
    this._nextKey = 0
    this._login = null // { resolve, reject }
    this._keepalive = null
    this._dialing = new AbortController()
    this._isClosing = false
    this._closeTimer = null
    this._trace = session._takeTrace()
    this._tls = null // what TLS has agreed on, if it is spoken
    this._wire = NO_WIRE // what counts its bytes: the handle, also when it is closed
    this.server = server
    /** The addon's session; null when there is none. */
    this.handle = null
    this.stage = 'connect'
    this.isReady = false
    /** When it was ready, or null. */
    this.since = null
    /** The blob of the server's host key, or null. */
    this.hostKey = null
    this.requests = new Requests(this)
    /** Why it ended; null when it was closed for no reason, and before. */
    this.error = null
    /** What the engine said at its end, or null. */
    this.lost = null
    /** Resolves when nothing of it is left; never rejects. */
    this.closed = new Promise((resolve) => { this._resolveClosed = resolve })
  }

  /** Resolves when logged in; rejects with the first thing that goes wrong. */
  async open (signal) {
    const onAbort = () => this.close(canceled(this.stage, signal.reason))
    signal?.addEventListener('abort', onAbort, { once: true })
    try {
      if (signal?.aborted) onAbort()
      const transport = await this._dial()
      if (this._isClosing) { // between the dial's answer and here
        transport.close()
        throw this._whyClosed()
      }
      await this._logIn(transport)
    } catch (err) {
      this.close(err)
      throw err
    } finally {
      signal?.removeEventListener('abort', onAbort)
    }
  }

  /** Disconnects, for err, or null; at most CLOSE_MS. */
  close (err) {
    if (this._isClosing) return this.closed
    this._isClosing = true
    this.error ??= err
    if (this.handle === null) {
      this._dialing.abort(err?.cause)
      this._over()
    } else {
      this._closeTimer = setTimeout(() => this._over(), CLOSE_MS)
      this.handle.close(...farewell(this.error, this.stage))
      this._down()
    }
    return this.closed
  }

  // ---- for session.js

  /** A channel that is opening; throws when the engine cannot. */
  openChannel ({ host, port, path }) {
    const channel = path === undefined
      ? this.handle.open(DIRECT_TCPIP, host, port, '127.0.0.1', 0)
      : this.handle.open(DIRECT_STREAMLOCAL, path, 0, '127.0.0.1', 0)
    this._trace.channel(channel)
    return channel
  }

  accept (channel) {
    if (this.handle === null) channel.close()
    else this.handle.accept(channel)
  }

  refuse (channel, reason, text) {
    if (this.handle === null) channel.close()
    else this.handle.refuse(channel, reason, text)
  }

  /** That of a channel, or of what stands for it. */
  traceChannel (handle) {
    this._trace.channel(handle)
  }

  /** What was negotiated, or null. */
  info () {
    if (this.handle === null) return null
    return this._tls === null ? this.handle.info() : { ...this.handle.info(), tls: this._tls }
  }

  bytes () {
    return { in: this._wire.received(), out: this._wire.sent() }
  }

  /** How many channels it has, those that open included. */
  channels () {
    return this.handle === null ? 0 : this.handle.channels()
  }

  /** Asks whether the server is still there: it is lost soon when it is not. */
  probe () {
    this._keepalive?.probe()
  }

  /** Whether the process stays up for it. */
  keepAlive (keeps) {
    this.handle?.[keeps ? 'ref' : 'unref']()
  }

  /** Why a link that said err at its end is over. */
  reasonOf (err) {
    const reason = this._reasonOf(err)
    const isTurnedAway = this.stage === 'kex' && ['ERR_ALKNET_PROTO', 'ERR_ALKNET_LOST'].includes(reason.code)
    return isTurnedAway && this._options.transport === 'tls' ? maybeStealth(reason) : reason
  }

  _reasonOf (err) {
    if (err === null) {
      return fail('LOST', this.stage, this.stage === 'session'
        ? 'the server closed the session'
        : 'the server closed the connection before the login')
    }
    // A system's error has no stage of its own: it is where it happened.
    if (err.stage === 'system') err.stage = this.stage
    const cause = this._session._duplex?.error ?? null
    if (cause !== null) err.cause = cause
    return err
  }

  // ---- the login

  async _dial () {
    let transport
    try {
      transport = await openTransport(this._session, this.server, this._dialing.signal)
    } catch (err) {
      // A dial that was canceled knows best where it was.
      const isCanceled = err.code === 'ERR_ALKNET_CANCELED' && this.error?.code === err.code
      throw this._isClosing && !isCanceled ? this._whyClosed() : err
    }
    if (!this._isClosing) return transport
    transport.close()
    throw this._whyClosed()
  }

  _whyClosed () {
    return this.error ?? canceled(this.stage)
  }

  /** transport: an open stream; it is taken. */
  _logIn (transport) {
    const { user, hostKeyAlgorithms, handshakeTimeout } = this._options
    const types = this._known.types(this._name.host, this._name.port)
    this.stage = 'kex'
    if (this._session._tls !== null) this._tls = tlsInfo(transport)
    let timer
    return new Promise((resolve, reject) => {
      timer = setTimeout(() => this.close(fail('TIMEOUT', this.stage, `no login within ${handshakeTimeout} s (handshakeTimeout)`)),
        handshakeTimeout * 1000)
      this._login = { resolve, reject }
      try {
        this.handle = binding.sshClient(transport, nativeOptions(this._options, {
          user, hostKeyAlgorithms: hostKeyOrder(hostKeyAlgorithms, types)
        }))
      } catch (err) {
        transport.close() // the engine does not take the options, and may not have taken this
        throw err
      }
      this.handle.owner = this
      this._wire = this.handle
      if (this._session._isUnref) this.keepAlive(false)
    }).finally(() => clearTimeout(timer))
  }

  // ---- events of the addon

  onhostkey (blob) {
    this.stage = 'hostkey'
    this.hostKey = blob
    if (this._options.dangerouslyAcceptAnyHostKey) {
      this._session._log.warn('HOST KEY NOT CHECKED: anybody can listen in', {})
      return this.handle.trust(true)
    }
    this._known.verify(this._name.host, this._name.port, blob).then(
      (problem) => {
        if (problem !== null) this._session._log.warn('host certificate not used', { problem })
        this._trust(true)
      },
      (err) => {
        this.error ??= err
        this._trust(false)
      })
  }

  // The answer may come after the end: storing a key takes time.
  _trust (isTrusted) {
    if (this.handle !== null && !this._isClosing) this.handle.trust(isTrusted)
  }

  onlogin () {
    if (this._isClosing) return
    this.stage = 'auth'
    if (this._nextKey > 0) this._trace.auth(false)
    if (this._nextKey < this._keys.length) return this.handle.login(this._keys[this._nextKey++])
    const tried = this._keys.map((key) => `${binding.fingerprint(key.blob())}${key.certificate ? ' with a certificate' : ''}`).join(', ')
    this.close(fail('AUTH', 'auth', `the server accepted none of the keys for the user ${this._options.user}: ${tried}`))
  }

  onready () {
    if (this._isClosing) return
    this.stage = 'session'
    this.isReady = true
    this.since = new Date()
    this._trace.auth(true)
    this._trace.ready(this.handle)
    this._keepalive = new Keepalive(this.handle, this._options, (seconds) => this.close(fail('TIMEOUT', 'session',
      `the server has not answered for ${seconds} s`)))
    this._login.resolve()
    this._login = null
    this.holder._linkReady(this)
  }

  onchannel (channel, type, host, port, originHost, originPort) {
    if (this._isClosing) channel.close()
    else this._session._remote.onchannel(this, channel, type, host, port, { remoteAddress: originHost, remotePort: originPort })
  }

  onreply (id, yes, port) {
    this.requests.onreply(id, yes, port)
  }

  onclose (err) {
    this.handle = null
    this.lost = err
    if (!this._isClosing) this.error ??= this.reasonOf(err)
    this._over()
  }

  // ---- the end

  /** Nothing more can begin on it. */
  _down () {
    if (!this.isReady) return
    this.isReady = false
    this._keepalive.close()
    this.holder._linkDown(this)
  }

  _over () {
    if (this._resolveClosed === null) return
    this._isClosing = true
    clearTimeout(this._closeTimer)
    this._trace.over(this.error)
    this._down()
    this.requests.over()
    this._login?.reject(this._whyClosed())
    this._login = null
    this._resolveClosed()
    this._resolveClosed = null
  }
}

/** The same error: who fails behind TLS may be a visitor to a server with stealth. */
function maybeStealth ({ message, code, stage, reason, cause }) {
  return new AlknetError(message, {
    code, stage, reason, cause, advice: 'is it an SSH server? One with stealth takes everybody without its --stealth-secret (stealthSecret) for a visitor'
  })
}

/** What the server is told: [number, words]. err: why the link is closed, or null. */
function farewell (err, stage) {
  if (err === null) return [BYE.BY_APPLICATION, 'closed by the user']
  if (err.code === 'ERR_ALKNET_AUTH') return [BYE.NO_MORE_AUTH, 'no more keys']
  if (err.code === 'ERR_ALKNET_TIMEOUT' && stage === 'session') return [BYE.CONNECTION_LOST, 'no answer']
  if (err.code === 'ERR_ALKNET_CANCELED' && stage === 'auth') return [BYE.AUTH_CANCELLED, 'canceled by the user']
  return [BYE.BY_APPLICATION, 'closed']
}

module.exports = { Link }
