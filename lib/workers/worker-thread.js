'use strict'

/**
 * One worker thread of a server, as the main thread sees it, and the clients
 * that it serves. What it knows of them is enough to be rid of them when the
 * thread ends:
 *
 *   started -> 'state' answered: ready -> 'socket' … -> 'close' -> over
 *       \-----------------\--------------------\----> lost: all of it over
 */

const path = require('path')
const { Worker } = require('worker_threads')
const binding = require('../binding')
const { fail } = require('../errors')
const { createIdentity } = require('../identity')
const { within } = require('../within')
const { Port } = require('./port')
const { stateOf } = require('./state')

// How long a thread may take to do as it is told, besides what it waits for.
const ANSWER_MS = 30_000

// So many checks may find a question unanswered. Two, as the answer of a thread
// that was stopped with all of the process comes behind the first.
const MISSED = 2

/** What users of another thread's words get, and may not change. */
function frozen ({ identity, certificate, tls }) {
  return {
    identity: identity === null ? null : createIdentity(identity),
    ...(certificate && { certificate: Object.freeze(certificate) }),
    ...(tls && { tls: Object.freeze(tls) })
  }
}

/** A client that a thread serves: what server-session.js wants of a connection. */
class WorkerConnection {
  constructor (thread, id, ticket, parcel) {
    this._thread = thread
    this._who = null
    this.id = id
    this.ticket = ticket
    this.parcel = parcel
    this.isSilent = false
    this.channels = 0
    this.worker = thread.number
    this.closed = new Promise((resolve) => { this.over = resolve })
  }

  who () {
    return this._who
  }

  loggedIn (who) {
    this._who = { ...who, ...frozen(who) }
  }

  end (ms, reason) {
    this._thread.tell('end', { id: this.id, ms, reason })
    return this.closed
  }
}

/** A place that a client in a thread holds: as Places of listening.js wants it. */
class WorkerHeld {
  constructor (thread, { number, id, owner, places }) {
    this._thread = thread
    this._number = number
    this.id = id
    this.owner = `${thread.name} ${owner}`
    this.places = places
  }

  giveWay (ms) {
    return within(ms + ANSWER_MS, this._thread.ask('drop', { number: this._number, ms }))
  }
}

class WorkerThread {
  /** workers: of workers.js. number: from 1; its slot of the seats. name: like that of no other. */
  constructor (workers, number, name) {
    const { server } = workers
    this._workers = workers
    this._server = server
    this.number = number
    this.name = name
    this.isReady = false
    this.began = performance.now()
    this.connections = new Map() // by id
    this.numbers = { channels: 0, received: 0, sent: 0 }
    this._held = new Map() // by number
    this._parcels = new Set() // of states that were not answered
    this._error = null
    this._isClosing = false
    this._missed = 0 // checks, since it was asked
    const { options: { log } } = workers
    this._worker = new Worker(path.join(__dirname, 'thread.js'), {
      name: 'alknet',
      workerData: { numbers: workers.seatNumbers, slot: number, level: log === null ? null : log.level ?? 'info' }
    })
    this._port = new Port(this._worker, this._handlers())
    this._worker.on('error', (err) => { this._error = err })
    /** Resolves when the thread has ended, and nothing of it is left. */
    this.over = new Promise((resolve) => {
      this._worker.once('exit', () => {
        this._gone()
        resolve()
      })
    })
  }

  tell (what, data) {
    this._port.tell(what, data)
  }

  /** Resolves with the answer; undefined when the thread ends instead. */
  ask (what, data) {
    return new Promise((resolve) => this._port.ask(what, data, resolve))
  }

  /**
   * Has it take over what is in force. Resolves when it has, or has ended: one
   * that cannot, or does not answer, is not to go on with what was.
   */
  async update (isFirst = false) {
    const { state, parcels } = stateOf(this._server, isFirst)
    for (const one of parcels) this._parcels.add(one)
    const done = await within(ANSWER_MS, this.ask('state', state))
    if (done !== true) return this.stop()
    for (const one of parcels) this._parcels.delete(one)
    this.isReady = !this._isClosing
  }

  /** Why there is none. */
  get problem () {
    return fail('LOST', 'session', `a worker thread has ended${this._error === null ? '' : `: ${this._error.message}`}`, { cause: this._error ?? undefined })
  }

  /** A client that was let in is its own from now on. False: it cannot be had, and stays where it is. */
  take (stream, peer, ticket, place) {
    let parcel
    try {
      parcel = stream.send()
    } catch {
      return false // it takes another descriptor, and none is free
    }
    const connection = new WorkerConnection(this, ++this._workers.lastConnection, ticket, parcel)
    this.connections.set(connection.id, connection)
    ticket.giveWay = () => this.tell('giveWay', connection.id)
    ticket.isSilent = () => connection.isSilent
    this.keepAlive()
    this.tell('socket', { id: connection.id, parcel, peer, place })
    return true
  }

  /** Whether the process has to stay for it: who is served is served to the end. */
  keepAlive () {
    if (this._workers.keeps || this.connections.size > 0) this._worker.ref()
    else this._worker.unref()
  }

  /** Comes at intervals: a thread that says nothing for some of them never will, and holds its clients. */
  check () {
    if (this._missed === MISSED) {
      this._error ??= fail('TIMEOUT', 'session', 'it answers no more')
      return this.stop()
    }
    if (this._missed++ === 0) this._port.ask('alive', null, () => { this._missed = 0 })
  }

  /** Sends all of its clients away, after drainMs at most, and ends it. */
  async close (drainMs) {
    this._isClosing = true
    this.isReady = false
    this._worker.ref()
    this.tell('close', drainMs)
    await within(drainMs + ANSWER_MS, this.over)
    await this.stop()
  }

  /** Ends it, whatever it does. */
  async stop () {
    this.isReady = false
    await this._worker.terminate()
    return this.over
  }

  _gone () {
    this.isReady = false
    this._port.close()
    for (const parcel of this._parcels) binding.dropParcel(parcel)
    for (const held of this._held.values()) this._server._places.delete(held)
    for (const connection of [...this.connections.values()]) this._left(connection)
    this._workers.ended(this, this._isClosing ? null : this._error)
  }

  _left (connection) {
    this.connections.delete(connection.id)
    binding.dropParcel(connection.parcel) // it may never have been taken
    this._server._limits.leave(connection.ticket)
    connection.over()
    this.keepAlive()
  }

  // ---- what it tells

  _handlers () {
    const server = this._server
    const of = (id, fn) => {
      const connection = this.connections.get(id)
      if (connection !== undefined) fn(connection)
    }
    return {
      log: ({ level, event, fields }) => server._log[level](event, fields),
      counts: (list) => { for (const one of list) server._counters.count(...one) },
      numbers: ({ sessions, ...numbers }) => {
        this.numbers = numbers
        for (const [id, channels] of sessions) of(id, (connection) => { connection.channels = channels })
      },
      promoted: (id) => of(id, ({ ticket }) => server._limits.promoted(ticket)),
      favour: (id) => of(id, ({ ticket }) => server._limits.favour(ticket)),
      unfavour: (id) => of(id, ({ ticket }) => server._limits.unfavour(ticket)),
      silent: (id) => of(id, (connection) => { connection.isSilent = true }),
      left: (id) => of(id, (connection) => this._left(connection)),
      punish: ({ address, offence }) => server._admission.punish(address, offence),
      session: ({ id, who }) => of(id, (connection) => {
        connection.loggedIn(who)
        this._workers.loggedIn(connection)
      }),
      held: (told) => {
        this._held.set(told.number, new WorkerHeld(this, told))
        server._places.add(this._held.get(told.number))
      },
      unheld: (number) => {
        server._places.delete(this._held.get(number))
        this._held.delete(number)
      },
      room: (asked, answer) => this._makeRoom(asked, answer),
      authorize: (request, answer) => this._authorize(request, answer)
    }
  }

  async _makeRoom ({ id, owner, places, ms }, answer) {
    try {
      await this._server._places.makeRoom(id, `${this.name} ${owner}`, places, ms)
      answer({ reason: null })
    } catch (err) {
      answer({ reason: err.reason ?? 'in_use' })
    }
  }

  // What was asked before a reload that has taken authorize() away is a no.
  _authorize (request, answer) {
    const server = this._server
    if (server._options.authorize === undefined) return answer({ answer: null, why: 'authorize_refused' })
    const { key } = request
    const question = server._authorize.ask(server._options, {
      ...request,
      ...frozen(request),
      ...(key !== undefined && { key: Object.freeze({ ...key, blob: Buffer.from(key.blob) }) })
    }, (said, why) => answer(tellable(server, said, why)))
    return () => question?.cancel()
  }
}

/** What authorize.js reads of an answer may be inherited, and a clone inherits nothing: without it a grant is larger. */
function plain (said) {
  return said === true || said === null ? said : { ...said, scopes: said.scopes, forwarding: said.forwarding }
}

/** An answer of authorize() that another thread can be told. */
function tellable (server, said, why) {
  try {
    return { answer: structuredClone(plain(said)), why }
  } catch {
    server._warn('authorize failed', { kind: 'key', problem: 'it has a property that there is not' })
    return { answer: null, why: 'authorize_failed' }
  }
}

module.exports = { WorkerThread }
