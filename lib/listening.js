'use strict'

/**
 * What a client has had the server listen on (RFC 4254 §7.1; OpenSSH PROTOCOL
 * §2.4), and who holds which place on the server.
 *
 *   asked -> policy, limit -> the place is free -> bound -> yes
 *     |                            ^      -> each connection becomes a channel
 *     |                            |      -> cancelled, or the session ends
 *     | held by an old session     | no: it ends
 *     \--------------------------> is it alive? -> yes: refused
 *
 * Somebody who comes back while the old session has not been missed yet gets
 * the place of it; nobody else does, and nobody gets one of a session that
 * lives: two clients with one key do not take it from each other for ever.
 */

const binding = require('./binding')
const { overlaps } = require('./addresses')
const { rarely } = require('./listener')
const { Patience } = require('./patience')
const { listenUnix } = require('./unix-socket')

// A port that is free in one family may be taken in the other.
const FREE_PORT_TRIES = 10

// So many old sessions, one after the other, may be in the way of a new one.
const TAKEOVERS = 3

// Identities that are remembered for what they have logged.
const MAX_NOTES = 1024

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

  /** Its identity has come back, and wants it. Resolves with whether it is free: it is not while the client answers within ms. */
  async giveWay (ms) {
    const connection = this.listening._connection
    if (await connection.isAlive(ms)) return false
    connection.close('taken_over')
    return true
  }

  onstream (stream) {
    this.listening._accepted(stream, this.asked)
  }

  onerror (err) {
    this.listening._warn('accept failed', { error: err.code })
  }
}

/**
 * log.info of each identity: it may fill its forwards and empty them in a loop,
 * in one session or in many.
 */
class Notes {
  constructor () {
    this._of = new Map() // id of an identity => of rarely(), the oldest first
  }

  of (id, log, burst) {
    if (!this._of.has(id)) {
      if (this._of.size >= MAX_NOTES) this._of.delete(this._of.keys().next().value)
      this._of.set(id, rarely(log, 'info', { burst }))
    }
    return this._of.get(id)
  }
}

/**
 * All places that a server's clients hold: { places, id, owner, giveWay() },
 * id being whose they are and owner which of their sessions has them.
 */
class Places {
  constructor () {
    this._held = new Set()
    this._patience = new Patience()
    this.notes = new Notes()
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
   * Has those that are in the way of places give way, or throws a Refusal, now
   * or later. Gives a promise where there are any; ms: how long their clients
   * have for a sign of life, if none was ended for it lately.
   */
  makeRoom (id, owner, places, ms, rounds = 0) {
    const old = [...this._held].filter((held) =>
      held.places.some((mine) => places.some((one) => overlaps(mine, one))))
    if (old.some((held) => held.owner === owner || held.id !== id)) throw new Refusal('in_use')
    if (old.length === 0) return undefined
    if (rounds === TAKEOVERS) throw new Refusal('in_use')
    return this._replace(old, id, ms).then(() => this.makeRoom(id, owner, places, ms, rounds + 1))
  }

  async _replace (old, id, ms) {
    const patience = this._patience.of(id, ms)
    const given = await Promise.all(old.map((held) => held.giveWay(patience)))
    if (given.includes(false)) throw new Refusal('in_use')
    this._patience.spent(id, ms)
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
      this._note('remote forward refused', { ...this._connection.remote, reason: err.reason ?? err.code })
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
    return this._places.makeRoom(this.id, this, places.filter((one) => one.port !== 0), this._connection.takeoverMs)
  }

  /** Whose places they are: an identity's under one name. */
  get id () {
    return JSON.stringify([this._connection.identity.id, this._connection.user])
  }

  get _note () {
    return this._places.notes.of(this._connection.identity.id, this._connection.log, 2 * this._connection.maxRemoteForwards)
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
    const { remote } = this._connection
    for (const { address, port, path } of held.places) {
      this._note(isOpen ? 'remote forward opened' : 'remote forward closed', { ...remote, address, port, path })
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

module.exports = { Listening, Notes, Places, Refusal }
