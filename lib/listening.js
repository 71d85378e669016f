'use strict'

/**
 * What a client has had the server listen on (RFC 4254 §7.1; OpenSSH PROTOCOL
 * §2.4), and who holds which place on the server.
 *
 *   asked -> policy, limit -> the place is free, or was this identity's
 *     -> bound -> yes -> each connection becomes a channel
 *     -> cancelled, or the session ends
 *
 * An identity that comes back while its old session has not been missed yet
 * gets its place at once; nobody else does. The old session, most likely dead,
 * is asked for a sign of life and ends without one.
 */

const binding = require('./binding')
const { overlaps } = require('./addresses')
const { rarely } = require('./listener')
const { listenUnix } = require('./unix-socket')

// A port that is free in one family may be taken in the other.
const FREE_PORT_TRIES = 10

/** Why a client does not get its listener. */
class Refusal extends Error {
  constructor (reason) {
    super(reason)
    this.reason = reason
  }
}

/** One place that the server listens on for a client; owner of its handles. */
class Held {
  /** asked: { host, port } or { path }, as the client knows it. */
  constructor (listening, asked, handles) {
    this.listening = listening
    this.asked = asked
    this.places = handles.map((handle) => handle.address())
    this._handles = handles
    for (const handle of handles) handle.owner = this
  }

  /** The places are free when it returns. */
  close () {
    for (const handle of this._handles) handle.close()
    this._handles = []
  }

  // ---- for Places

  get id () {
    return this.listening.id
  }

  get owner () {
    return this.listening
  }

  /** Its identity has come back, and wants it: free when it returns. */
  giveWay () {
    this.listening._drop(this)
    this.listening._connection.probe()
  }

  onstream (stream) {
    this.listening._accepted(stream, this.asked)
  }

  onerror (err) {
    this.listening._warn('accept failed', { error: err.code })
  }
}

/**
 * All places that a server's clients hold: { places, id, owner, giveWay() },
 * id being whose they are and owner which of their sessions has them.
 */
class Places {
  constructor () {
    this._held = new Set()
  }

  get size () {
    return this._held.size
  }

  add (held) {
    this._held.add(held)
  }

  delete (held) {
    this._held.delete(held)
  }

  /**
   * Has those that are in the way of places give way, or throws a Refusal. Gives
   * a promise where one of them is another thread's.
   */
  makeRoom (id, owner, places) {
    const old = [...this._held].filter((held) =>
      held.places.some((mine) => places.some((one) => overlaps(mine, one))))
    if (old.some((held) => held.owner === owner || held.id !== id)) throw new Refusal('in_use')
    const waits = old.map((held) => held.giveWay()).filter((one) => one !== undefined)
    return waits.length === 0 ? undefined : Promise.all(waits)
  }
}

/** Binds all of the addresses to one port, or throws. */
function bindTcp (addresses, port) {
  for (let tries = 1; ; tries++) {
    const handles = []
    try {
      bindEach(addresses, port, handles)
      return handles
    } catch (err) {
      for (const handle of handles) handle.close()
      if (port !== 0 || err.code !== 'EADDRINUSE' || tries === FREE_PORT_TRIES) throw err
    }
  }
}

function bindEach (addresses, port, handles) {
  let missing = null
  for (const address of addresses) {
    try {
      handles.push(binding.listenTcp(address, handles.length > 0 ? handles[0].address().port : port))
    } catch (err) {
      // A machine may have just one of the families.
      if (addresses.length === 1 || !['EADDRNOTAVAIL', 'EAFNOSUPPORT', 'EINVAL'].includes(err.code)) throw err
      missing = err
    }
  }
  if (handles.length === 0) throw missing
}

/** The listeners of one client. */
class Listening {
  /** connection: of connection.js. places: the server's. */
  constructor (connection, places) {
    this._connection = connection
    this._places = places
    this._held = new Set()
    this._last = Promise.resolve() // requests are taken one after the other
    this._isClosed = false
    this._warn = rarely(connection.log)
  }

  /** Resolves with { yes, port }: the answer. */
  listen (asked) {
    return this._inTurn(() => this._listen(asked))
  }

  /** The same, of a request to stop. */
  unlisten (asked) {
    return this._inTurn(() => this._unlisten(asked))
  }

  // A no has no reason in it, so it is the operator who is told.
  _inTurn (step) {
    const answer = this._last.then(step).catch((err) => {
      this._connection.log.debug('remote forward refused', { ...this._connection.remote, reason: err.reason ?? err.code })
      return { yes: false, port: 0 }
    })
    this._last = answer
    return answer
  }

  async _listen (asked) {
    const { addresses, ...verdict } = this._connection.decideListen(asked)
    if (!verdict.allow) throw new Refusal(verdict.by === 'key' ? 'key' : 'policy')
    if (this._held.size >= this._connection.maxRemoteForwards) throw new Refusal('max_remote_forwards')
    const room = this._makeRoom(asked.path === undefined ? addresses.map((address) => ({ address, port: asked.port })) : [asked])
    if (room !== undefined) await room // else nobody can come between
    const handles = asked.path === undefined ? bindTcp(addresses, asked.port) : [await listenUnix(asked.path)]
    if (this._isClosed) {
      for (const handle of handles) handle.close()
      throw new Refusal('closed')
    }
    const port = asked.path === undefined ? handles[0].address().port : 0
    this._hold(new Held(this, asked.path === undefined ? { host: asked.host, port } : asked, handles))
    return { yes: true, port }
  }

  _makeRoom (places) {
    if (this._isClosed) throw new Refusal('closed')
    // Port 0 is no place yet.
    return this._places.makeRoom(this.id, this, places.filter((one) => one.port !== 0))
  }

  /** Whose places they are. */
  get id () {
    return this._connection.identity.id
  }

  _hold (held) {
    this._held.add(held)
    this._places.add(held)
    this._tell(true, held)
  }

  _drop (held) {
    held.close()
    this._held.delete(held)
    this._places.delete(held)
    this._tell(false, held)
  }

  _tell (isOpen, held) {
    const { log, remote } = this._connection
    for (const { address, port, path } of held.places) {
      log.info(isOpen ? 'remote forward opened' : 'remote forward closed', { ...remote, address, port, path })
    }
  }

  _unlisten ({ host, port, path }) {
    const held = [...this._held].find(({ asked }) =>
      asked.path === path && asked.host === host && (path !== undefined || asked.port === port))
    if (held === undefined) throw new Refusal('not_there')
    this._drop(held)
    return { yes: true, port: 0 }
  }

  // The client is told the address as it asked for it: by that it knows which
  // of its forwards is meant (RFC 4254 §7.2).
  _accepted (stream, asked) {
    this._connection.openForwarded(stream, asked)
  }

  /** Nobody listens any more, and nobody will. */
  close () {
    this._isClosed = true
    for (const held of this._held) this._drop(held)
  }
}

module.exports = { Listening, Places, Refusal }
