'use strict'

/**
 * Remote forwards of a client (ssh's -R): the server listens, and each
 * connection that it accepts comes here as a channel (RFC 4254 §7).
 *
 *   ask -> the server's yes -> standing -> cancelled, or the session ends
 *                              | channel
 *                              |   -> connect to the target -> accept and relay, or refuse
 *                              | the link is lost: it does not listen
 *                              |   -> asked for again over the next one, the same port
 *                              |   -> a no: 'lost'; asked for again after a while, and so on
 *
 * Only what stands gets channels: nobody else's, and none once it is closed.
 */

const { EventEmitter } = require('events')
const net = require('net')
const { Backoff } = require('./backoff')
const binding = require('./binding')
const { FORWARDED_STREAMLOCAL, FORWARDED_TCPIP, PROHIBITED } = require('./channels')
const { emitSafely } = require('./emit')
const { canceled, fail } = require('./errors')
const { formatPlace } = require('./forward-spec')
const { Arrival } = require('./incoming')
const { Lookups } = require('./lookups')
const { Outbound } = require('./outbound')
const { Policy } = require('./policy')
const { closedError } = require('./requests')
const { HANDSHAKE_MS } = require('./socks')
const { SocksExit } = require('./socks-exit')
const { channelOver } = require('./trace')

// The target of a forward is the operator's own word: nobody judges it.
const ANYWHERE = {
  preview: () => null,
  decide: (request, addresses) => ({ addresses, refusal: null }),
  decidePath: () => ({ allow: true })
}

// Whoever reaches a SOCKS proxy at the server's end is nobody we know.
const NOBODY = {
  identity: { id: '', scopes: [] },
  permissions: { forwarding: true, permitOpen: null, permitListen: null },
  transport: 'tcp'
}

/**
 * A place that the server listens on for us. A Listener, as its like are.
 *
 * Event `'lost'` (err): the session is back, and the server did not listen
 * again. `'listening'`: it did.
 */
class RemoteForward extends EventEmitter {
  /** all: RemoteForwards. spec: of parseRemoteForward(). port: granted. */
  constructor (all, spec, port) {
    super()
    this.kind = 'remote-forward'
    this.spec = spec.text
    this.there = spec.there
    this.here = spec.here.path === undefined ? { host: spec.here.host, port } : spec.here
    /** Whether the server listens now: it does not while the session is lost. */
    this.isListening = true
    /** Why it does not although the session is back, or null. */
    this.problem = null
    this._backoff = new Backoff(all._session._options.reconnect)
    this._retry = null
    this._all = all
    this._isClosing = false
    /** Resolves when the server no longer listens, or the session is over. */
    this.closed = new Promise((resolve) => { this._resolveClosed = resolve })
  }

  /**
   * Where the server listens: { address, family, port }, the address as it was
   * asked for ('localhost', '*' or numbers, with family 0 when it is no
   * address); or { path }.
   */
  address () {
    if (this.here.path !== undefined) return this.here
    const { host, port } = this.here
    return { address: host || '*', family: net.isIP(host), port }
  }

  /** Has the server stop; connections that are there go on. */
  close () {
    if (!this._isClosing) {
      this._isClosing = true
      this._all._cancel(this)
    }
    return this.closed
  }

  // It has no handle of its own: the session's keeps the process up.
  ref () {
    return this
  }

  unref () {
    return this
  }

  [Symbol.asyncDispose] () {
    return this.close()
  }
}

/** The remote forwards of one session. */
class RemoteForwards {
  /** session: of session.js. */
  constructor (session) {
    this._session = session
    this._standing = new Set()
    this._closing = new Set()
    this._isOver = false
    this._lookups = new Lookups(session._options.maxLookups)
    this._door = null
    this._waysOut = new WeakMap() // link => what its channels need
    this._toAnywhere = this._way(null, new Policy({ own: () => session._ownPlaces() }), (target) => ({ ...NOBODY, ...target }))
  }

  /** What outbound.js and socks-exit.js want of us; link: of whose channels it is. */
  _way (link, policy, request) {
    const session = this._session
    const relays = session._channels.relays
    return {
      policy,
      request,
      relays,
      lookups: this._lookups,
      connectMs: session._options.connectTimeout * 1000,
      proxies: () => [],
      join: (channel, stream) => {
        link.accept(channel)
        relays.hold(channel, stream)
      },
      turnAway: (channel, reason, text) => {
        link.refuse(channel, reason, text)
        channelOver(channel, { code: 'ERR_ALKNET_CHANNEL', reason }, true)
        relays.onclose(null)
      },
      channelGone: () => relays.onclose(null)
    }
  }

  // ---- asking

  /**
   * Asks the server of this link to listen. Resolves with a RemoteForward.
   * @returns {Promise<RemoteForward>}
   */
  ask (link, spec, signal) {
    return this._ask(link, spec, signal, (port) => this._stand(spec, port),
      (port) => new RemoteForward(this, spec, port).close())
  }

  // The answer may come too late, and be a yes: then it is late(port)'s.
  _ask (link, spec, signal, granted, late) {
    const { requests } = link
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(canceled('listen', signal.reason))
      const finish = (err, forward) => {
        clearTimeout(timer)
        signal?.removeEventListener('abort', onAbort)
        if (err !== null) reject(err)
        else resolve(forward)
      }
      const giveUp = (err) => {
        requests.replace(id, (yes, port) => { if (yes) late(port) })
        finish(err)
      }
      const onAbort = () => giveUp(canceled('listen', signal.reason))
      const id = requests.ask('listen', spec.here, (yes, port) => {
        if (yes) finish(null, granted(port))
        else finish(link.isReady ? refusedError(spec) : closedError())
      })
      signal?.addEventListener('abort', onAbort, { once: true })
      const timer = setTimeout(() => giveUp(fail('TIMEOUT', 'listen',
        `remote forward on ${formatPlace(spec.here)}: the server has not answered in time`)), this._session._openMs)
    })
  }

  // Now and not later: the first channel may come right behind the answer.
  _stand (spec, port) {
    const forward = new (spec.Listener ?? RemoteForward)(this, spec, port)
    this._standing.add(forward)
    return forward
  }

  _cancel (forward) {
    clearTimeout(forward._retry)
    this._standing.delete(forward)
    this._closing.add(forward)
    const done = () => {
      clearTimeout(timer)
      if (this._closing.delete(forward)) forward._resolveClosed()
    }
    const timer = setTimeout(done, this._session._openMs)
    forward._done = done
    const link = this._session._link
    if (this._isOver || link === null || !forward.isListening) return done()
    forward.isListening = false
    try {
      link.requests.ask('unlisten', forward.here, done)
    } catch {
      done() // the session is at its end, and the server's listener with it
    }
  }

  // ---- links that come and go

  /** The link is lost, and nothing that it had listens. */
  down () {
    for (const forward of this._standing) {
      clearTimeout(forward._retry)
      forward.isListening = false
    }
  }

  /** Has the server of a new link listen again. Resolves when it has answered for all. */
  async again (link) {
    await Promise.all(this.list().map((forward) => this._again(link, forward)))
  }

  async _again (link, forward) {
    const granted = () => {
      forward.isListening = true
      if (forward._isClosing) this._cancel(forward) // closed while it was asked for
    }
    const late = () => {
      granted()
      this._tellBack(forward)
    }
    try {
      await this._ask(link, { text: forward.spec, here: forward.here }, undefined, granted, late)
      this._tellBack(forward)
    } catch (err) {
      await new Promise(setImmediate) // a session that ends says no to all first
      if (link.isReady && !forward._isClosing) this._missed(link, forward, err)
    }
  }

  _tellBack (forward) {
    if (!forward.isListening) return
    if (forward.problem !== null) this._session._log.info('remote forward back', { place: formatPlace(forward.here) })
    forward.problem = null
    forward._backoff.reset()
    emitSafely(forward, 'listening')
    this._session._listenerChanged(forward, null)
  }

  // The place may be free soon: a server can take minutes to miss an old session.
  _missed (link, forward, err) {
    forward._retry = setTimeout(() => this._again(link, forward), forward._backoff.next())
    forward._retry.unref()
    if (forward.problem === null) this._tellLost(forward, err)
    forward.problem = err
  }

  _tellLost (forward, err) {
    this._session._log.warn('remote forward lost', { place: formatPlace(forward.here), error: err.code })
    emitSafely(forward, 'lost', err)
    this._session._listenerChanged(forward, err)
  }

  // ---- channels

  /**
   * The server opens a channel: a connection that it has accepted for us. from:
   * { remoteAddress, remotePort } as the server says.
   */
  onchannel (link, channel, type, host, port, from) {
    const forward = this._find(type, host, port)
    if (forward === undefined) return link.refuse(channel, PROHIBITED, 'not asked for')
    if (forward.take !== undefined) return this._arrive(link, forward, channel, type === FORWARDED_TCPIP ? from : {})
    if (forward.there === null) return this._enter(link, channel)
    this._session._channels.relays.add()
    link.traceChannel(channel)
    new Outbound(this._wayOut(link), channel, forward.there).start()
  }

  _wayOut (link) {
    if (!this._waysOut.has(link)) this._waysOut.set(link, this._way(link, ANYWHERE, (target) => target))
    return this._waysOut.get(link)
  }

  _arrive (link, forward, channel, from) {
    link.traceChannel(channel)
    forward.take(new Arrival(channel, Object.freeze(from), {
      accept: (channel) => link.accept(channel),
      opened: (stream) => this._session._channels.keep(stream),
      gone: () => {},
      refuse: (channel, reason, text) => {
        channelOver(channel, { code: 'ERR_ALKNET_CHANNEL', reason }, true)
        link.refuse(channel, reason, text)
      }
    }))
  }

  // Servers name the address as it was asked for, or as they see it: where
  // the port alone says which one is meant, it does.
  _find (type, host, port) {
    const all = [...this._standing].filter((one) => one.isListening)
    if (type === FORWARDED_STREAMLOCAL) return all.find(({ here }) => here.path === host)
    if (type !== FORWARDED_TCPIP) return undefined
    const there = all.filter(({ here }) => here.path === undefined && here.port === port)
    return there.length === 1 ? there[0] : there.find(({ here }) => here.host === host)
  }

  _enter (link, channel) {
    this._door ??= this._openDoor()
    link.accept(channel)
    this._door.enter(channel)
  }

  _openDoor () {
    const door = binding.socksDoor(null, null, HANDSHAKE_MS)
    this._doorClosed = new Promise((resolve) => {
      door.owner = {
        onrequest: (socks, version, host, port) => new SocksExit(this._toAnywhere, socks).reach(host, port),
        onclose: resolve
      }
    })
    return door
  }

  // ---- the end

  /** Those that stand, also while the server does not listen. */
  list () {
    return [...this._standing]
  }

  /** The session is over. Resolves when nothing of it is left. */
  async over () {
    this._isOver = true
    this._lookups.close()
    for (const forward of this._standing) forward.close()
    for (const forward of this._closing) forward._done()
    this._door?.close()
    await this._doorClosed
  }
}

// The protocol's no has no reason in it: RFC 4254 §4. The sentence may end in a
// journal, so that it does not say where the forward leads.
function refusedError (spec) {
  const what = spec.here.path === undefined
    ? 'the address may be in use, also by another client with this key that still answers; sshd: AllowTcpForwarding, PermitListen, GatewayPorts, and root for ports below 1024; alknet serve: --permit-listen'
    : 'the path may be in use; sshd: AllowStreamLocalForwarding; alknet serve: --permit-listen unix:/path'
  return fail('CHANNEL', 'listen', `remote forward on ${formatPlace(spec.here)}: the server refused to listen (${what})`, {
    reason: PROHIBITED
  })
}

module.exports = { RemoteForward, RemoteForwards }
