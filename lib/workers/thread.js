'use strict'

/**
 * A worker thread of a server: it takes connections that the main thread has
 * let in, and serves each from its first byte, or its TLS handshake, to its
 * end, with the same connection.js, login.js and policy.js.
 *
 *   'state' -> [ 'state' | 'socket' | 'giveWay' | 'end' | 'drop' … ] -> 'close'
 *
 * What all threads share stays in the main thread (stand-ins.js). An exception
 * in here ends the thread: the main thread sees to it that there is another.
 */

const { parentPort, workerData } = require('worker_threads')
const binding = require('../binding')
const { Admission } = require('../admission')
const { loadAuthorizer } = require('../authorizer')
const { rarely } = require('../listener')
const { serverOptions } = require('../options')
const { Policy } = require('../policy')
const { markBare } = require('../tls-files')
const { Seats } = require('./seats')
const { Main, ThreadAuthorize, ThreadLimits, ThreadPenalties, ThreadPlaces, threadLog } = require('./stand-ins')

const NUMBERS_MS = 1000

/** What connection.js and its like want of a server. */
class ThreadServer {
  constructor (main, { numbers, slot, level }) {
    this._main = main
    this._options = null
    this._hostKeys = []
    this._contexts = [] // of TLS, by the number of the entrance
    this._own = []
    this._authorizer = null
    this._policy = null
    this._log = threadLog(main, level)
    this._warn = rarely(this._log)
    this._noteRefusal = rarely(this._log, 'info')
    this._counters = main.counters
    this._limits = new ThreadLimits(main, new Seats(numbers, slot))
    this._authorize = new ThreadAuthorize(main)
    this._places = new ThreadPlaces(main)
    this._reserved = { serves: () => false }
    this._admission = new Admission(this, {
      limits: this._limits, penalties: new ThreadPenalties(main), counters: main.counters, log: this._log, onEmpty: () => {}
    })
    this._told = { channels: 0, received: 0, sent: 0 }
    this._toldChannels = new Map() // id of a session => how many
    main.counters.onpause = () => this._tellNumbers()
    this._timer = setInterval(() => this._tellNumbers(), NUMBERS_MS).unref()
  }

  /** All that is in force, from now on: of state.js. */
  async apply ({ options, files, hostKeys, contexts, bare, own, asks }) {
    const checked = serverOptions({ ...options, hostKey: 'in the main thread', authorize: asks ? () => false : undefined })
    const { authorizer } = await loadAuthorizer(files)
    if (hostKeys !== null) this._hostKeys = hostKeys.map((number) => binding.takeKey(number))
    this._contexts = contexts.map((number) => number === null ? null : binding.takeTlsContext(number))
    for (const [index, context] of this._contexts.entries()) if (bare[index]) markBare(context)
    this._own = own
    this._options = checked
    this._authorizer = authorizer
    this._limits.update(checked)
    const { rules, default: byDefault, permitListen } = checked.forwarding
    this._policy = new Policy({ rules, byDefault, permitListen, own: () => this._own })
  }

  /** A client comes in. place: the number of the entrance. */
  take ({ id, parcel, peer, place }) {
    const ticket = this._limits.ticket(id)
    let stream
    try {
      stream = binding.takeStream(parcel)
    } catch (err) {
      this._warn('connection failed', { error: err.code, problem: err.message })
      return this._limits.leave(ticket)
    }
    this._admission.takeIn(stream, peer, ticket, this._contexts[place])
    ticket.timer = setTimeout(() => { if (ticket.isSilent?.()) this._main.tell('silent', id) }, this._options.evictSilentAfterMs)
    if (ticket.left) clearTimeout(ticket.timer)
  }

  /** Another client has taken its place, unless it has just logged in. */
  giveWay (id) {
    const ticket = this._limits.tickets.get(id)
    if (ticket?.authenticated === false) ticket.giveWay?.()
  }

  /** Ends one session: as Connection.end(). */
  end ({ id, ms, reason }) {
    for (const connection of this._admission.connections) {
      if (connection._ticket.id === id) connection.end(ms, reason)
    }
  }

  async close (drainMs) {
    await this._admission.close(drainMs)
    clearInterval(this._timer)
    this._main.counters.close()
    this._tellNumbers()
  }

  // What is only read now and then is told now and then, and when it has changed.
  _tellNumbers () {
    const { received, sent } = this._admission.bytes
    const before = this._toldChannels
    this._toldChannels = new Map()
    const sessions = []
    let channels = 0
    for (const { _ticket: { id }, channels: count } of this._admission.connections) {
      channels += count
      this._toldChannels.set(id, count)
      if ((before.get(id) ?? 0) !== count) sessions.push([id, count])
    }
    const told = this._told
    if (sessions.length === 0 && told.channels === channels && told.received === received && told.sent === sent) return
    this._told = { channels, received, sent }
    this._main.tell('numbers', { ...this._told, sessions })
  }

  // ---- for its connections

  _enterSession (connection) {
    this._main.tell('session', { id: connection._ticket.id, who: connection.who() })
    return connection
  }

  // Of what a server emits the main thread is told by the above.
  emit () {}
}

/** parentPort => a server that does as it is told. */
function run () {
  // A state is read while others wait behind it, so that who comes after a
  // change meets it.
  let turn = Promise.resolve()
  const inTurn = (step) => (data, answer) => {
    turn = turn.then(() => step(data, answer))
  }
  const main = new Main(parentPort, {
    state: inTurn(async (state, answer) => {
      await server.apply(state)
      answer(true)
    }),
    socket: inTurn((socket) => server.take(socket)),
    // Others need not wait for its end.
    close: inTurn((drainMs) => { server.close(drainMs).then(() => parentPort.close()) }),
    giveWay: inTurn((id) => server.giveWay(id)),
    end: inTurn((one) => server.end(one)),
    alive: (data, answer) => answer(true),
    drop: ({ number, ms }, answer) => { server._places.giveWay(number, ms).then(answer) }
  })
  const server = new ThreadServer(main, workerData)
}

run()
