'use strict'

/**
 * Remote forwards of a client (ssh's -R): the server listens, and each
 * connection that it accepts comes here as a channel (RFC 4254 §7).
 *
 *   ask -> the server's yes -> standing -> cancelled, or the session ends
 *                                | channel
 *                                v
 *            connect to the target -> accept and relay, or refuse
 *
 * Only what stands gets channels: nobody else's, and none once it is closed.
 */

const { EventEmitter } = require('events')
const net = require('net')
const binding = require('./binding')
const { FORWARDED_STREAMLOCAL, FORWARDED_TCPIP, PROHIBITED } = require('./channels')
const { AlknetError, canceled, fail } = require('./errors')
const { formatPlace } = require('./forward-spec')
const { Arrival } = require('./incoming')
const { Lookups } = require('./lookups')
const { Outbound } = require('./outbound')
const { Policy } = require('./policy')
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

/** A place that the server listens on for us. A Listener, as its like are. */
class RemoteForward extends EventEmitter {
  /** all: RemoteForwards. spec: of parseRemoteForward(). port: granted. */
  constructor (all, spec, port) {
    super()
    this.kind = 'remote-forward'
    this.spec = spec.text
    this.there = spec.there
    this.here = spec.here.path === undefined ? { host: spec.here.host, port } : spec.here
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
    this._replies = new Map() // id of a request => what its reply is for
    this._standing = new Set()
    this._closing = new Set()
    this._isOver = false
    this._lookups = new Lookups(session._options.maxLookups)
    this._door = null
    this._asked = null // the question of ping() that is under way
    this._toTarget = this._way(ANYWHERE, (target) => target)
    this._toAnywhere = this._way(new Policy({ own: () => session._ownPlaces() }), (target) => ({ ...NOBODY, ...target }))
  }

  /** What outbound.js and socks-exit.js want of us. */
  _way (policy, request) {
    const session = this._session
    const relays = session._relays
    return {
      policy,
      request,
      relays,
      lookups: this._lookups,
      connectMs: session._options.connectTimeout * 1000,
      proxies: () => [],
      join: (channel, stream) => {
        session._handle.accept(channel)
        relays.hold(channel, stream)
      },
      turnAway: (channel, reason, text) => {
        session._handle.refuse(channel, reason, text)
        channelOver(channel, { code: 'ERR_ALKNET_CHANNEL', reason }, true)
        relays.onclose(null)
      },
      channelGone: () => relays.onclose(null)
    }
  }

  // ---- asking

  /**
   * Asks the server to listen. Resolves with a RemoteForward.
   * @returns {Promise<RemoteForward>}
   */
  ask (spec, ms, signal) {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(canceled('listen', signal.reason))
      const finish = (err, forward) => {
        clearTimeout(timer)
        signal?.removeEventListener('abort', onAbort)
        if (err !== null) reject(err)
        else resolve(forward)
      }
      // The answer may still be a yes: then it is taken back.
      const giveUp = (err) => {
        this._replies.set(id, (yes, port) => { if (yes) new RemoteForward(this, spec, port).close() })
        finish(err)
      }
      const onAbort = () => giveUp(canceled('listen', signal.reason))
      const id = this._request('listen', spec.here)
      this._replies.set(id, (yes, port) => {
        if (yes) finish(null, this._stand(spec, port))
        else finish(this._isOver ? closedError() : refusedError(spec))
      })
      signal?.addEventListener('abort', onAbort, { once: true })
      const timer = setTimeout(() => giveUp(fail('TIMEOUT', 'listen',
        `remote forward on ${formatPlace(spec.here)}: the server has not answered in time`)), ms)
    })
  }

  // Now and not later: the first channel may come right behind the answer.
  _stand (spec, port) {
    const forward = new (spec.Listener ?? RemoteForward)(this, spec, port)
    this._standing.add(forward)
    return forward
  }

  /** Sends a request and gives its id. */
  _request (name, { host, port, path }) {
    const handle = this._session._handle
    if (handle === null) throw closedError()
    try {
      return handle[name](path !== undefined, path ?? host, port ?? 0)
    } catch (err) {
      if (err.code !== 'ERR_ALKNET_UNSUPPORTED') throw err
      throw new AlknetError('this SSH engine cannot have the server listen (sshEngine native can)', {
        code: err.code, stage: 'listen', cause: err
      })
    }
  }

  onreply (id, yes, port) {
    const then = this._replies.get(id)
    this._replies.delete(id)
    then?.(yes, port)
  }

  _cancel (forward) {
    this._standing.delete(forward)
    this._closing.add(forward)
    const done = () => {
      clearTimeout(timer)
      if (this._closing.delete(forward)) forward._resolveClosed()
    }
    const timer = setTimeout(done, this._session._openMs)
    forward._done = done
    if (this._isOver) return done()
    try {
      this._replies.set(this._request('unlisten', forward.here), done)
    } catch {
      done() // the session is at its end, and the server's listener with it
    }
  }

  /** Asks for an answer and gives the milliseconds until it came; one question at a time is for all who ask. */
  ping (ms, signal) {
    this._asked ??= this._ping().finally(() => { this._asked = null })
    return new Promise((resolve, reject) => {
      const finish = (settle, value) => {
        clearTimeout(timer)
        signal?.removeEventListener('abort', onAbort)
        settle(value)
      }
      const onAbort = () => finish(reject, canceled('session', signal.reason))
      const timer = setTimeout(() => finish(reject, fail('TIMEOUT', 'session', 'the server has not answered in time')), ms)
      signal?.addEventListener('abort', onAbort, { once: true })
      this._asked.then((value) => finish(resolve, value), (err) => finish(reject, err))
    })
  }

  async _ping () {
    const began = performance.now()
    const id = this._session._handle.ping()
    return new Promise((resolve, reject) => {
      this._replies.set(id, (yes) => {
        if (yes) resolve(performance.now() - began)
        else reject(fail('CLOSED', 'session', 'the session is closed'))
      })
    })
  }

  // ---- channels

  /**
   * The server opens a channel: a connection that it has accepted for us. from:
   * { remoteAddress, remotePort } as the server says.
   */
  onchannel (channel, type, host, port, from) {
    const forward = this._find(type, host, port)
    if (forward === undefined) return this._session._handle.refuse(channel, PROHIBITED, 'not asked for')
    if (forward.take !== undefined) return this._arrive(forward, channel, type === FORWARDED_TCPIP ? from : {})
    if (forward.there === null) return this._enter(channel)
    this._session._relays.add()
    this._session._trace.channel(channel)
    new Outbound(this._toTarget, channel, forward.there).start()
  }

  _arrive (forward, channel, from) {
    const session = this._session
    session._trace.channel(channel)
    forward.take(new Arrival(channel, Object.freeze(from), {
      accept: (channel) => { if (session._handle === null) channel.close(); else session._handle.accept(channel) },
      opened: (stream) => session._keep(stream),
      gone: () => {},
      refuse: (channel, reason, text) => {
        channelOver(channel, { code: 'ERR_ALKNET_CHANNEL', reason }, true)
        if (session._handle === null) channel.close()
        else session._handle.refuse(channel, reason, text)
      }
    }))
  }

  // Servers name the address as it was asked for, or as they see it: where
  // the port alone says which one is meant, it does.
  _find (type, host, port) {
    const all = [...this._standing]
    if (type === FORWARDED_STREAMLOCAL) return all.find(({ here }) => here.path === host)
    if (type !== FORWARDED_TCPIP) return undefined
    const there = all.filter(({ here }) => here.path === undefined && here.port === port)
    return there.length === 1 ? there[0] : there.find(({ here }) => here.host === host)
  }

  _enter (channel) {
    this._door ??= this._openDoor()
    this._session._handle.accept(channel)
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

  /** Those that stand now. */
  list () {
    return [...this._standing]
  }

  /** The session is over. Resolves when nothing of it is left. */
  async over () {
    this._isOver = true
    this._lookups.close()
    for (const then of [...this._replies.values()]) then(false, 0)
    this._replies.clear()
    for (const forward of this._standing) forward.close()
    for (const forward of this._closing) forward._done()
    this._door?.close()
    await this._doorClosed
  }
}

function closedError () {
  return fail('CLOSED', 'listen', 'the session is closed')
}

// The protocol's no has no reason in it: RFC 4254 §4. The sentence may end in a
// journal, so that it does not say where the forward leads.
function refusedError (spec) {
  const what = spec.here.path === undefined
    ? 'the address may be in use; sshd: AllowTcpForwarding, PermitListen, GatewayPorts, and root for ports below 1024; alknet serve: --permit-listen'
    : 'the path may be in use; sshd: AllowStreamLocalForwarding; alknet serve: --permit-listen unix:/path'
  return fail('CHANNEL', 'listen', `remote forward on ${formatPlace(spec.here)}: the server refused to listen (${what})`, {
    reason: PROHIBITED
  })
}

module.exports = { RemoteForward, RemoteForwards }
