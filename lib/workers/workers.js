'use strict'

/**
 * The worker threads of a server: `workers` of serve(). The main thread listens
 * and lets in, so that limits and penalties are in one place, and gives each
 * connection to the thread that has fewest; there it stays.
 *
 *   started, all of them, or serve() fails
 *     -> one ends by itself, or answers no more and is ended: its sessions are
 *        over, another takes its place after a while; who comes while there is
 *        none is served here
 *     -> close(): each sends its sessions away and ends
 */

const { Backoff } = require('../backoff')
const { Seats, sharedNumbers } = require('./seats')
const { WorkerThread } = require('./worker-thread')

const RESTART = { minDelayMs: 100, maxDelayMs: 30_000 }

// One that lived so long has not ended because it cannot live.
const LIVED_MS = 60_000

const CHECK_MS = 15_000

class Workers {
  /** server: of server.js. options: of serverOptions(). */
  constructor (server, options) {
    this.server = server
    this.options = options
    this.seatNumbers = sharedNumbers(options.workers + 1)
    /** Of the main thread's own sessions, and with them of all. */
    this.seats = new Seats(this.seatNumbers, 0)
    this.lastConnection = 0
    /** Whether they keep the process up when nobody is connected. */
    this.keeps = true
    this._threads = new Set() // all that have not ended
    this._started = 0
    this._backoffs = Array.from({ length: options.workers }, () => new Backoff(RESTART))
    this._timers = new Set()
    this._checks = null
    this._past = { received: 0, sent: 0 } // of those that have ended
    this._isClosing = false
  }

  /** Resolves when all are there; rejects when one cannot be. */
  async start () {
    this._checks = setInterval(() => this.check(), CHECK_MS).unref()
    const all = Array.from({ length: this.options.workers }, (_, i) => this._start(i + 1))
    await Promise.all(all.map(async (thread) => {
      await thread.update(true)
      if (!thread.isReady && !this._isClosing) throw thread.problem
    }))
  }

  _start (number) {
    const thread = new WorkerThread(this, number, `${number}.${++this._started}`)
    this._threads.add(thread)
    thread.keepAlive()
    return thread
  }

  /** Ends those that answer no more. */
  check () {
    for (const thread of this._threads) thread.check()
  }

  /** Whether there is a thread, or is to be one. */
  get isRunning () {
    return this._threads.size > 0 || this._timers.size > 0
  }

  /** How many take clients. */
  get size () {
    return [...this._threads].filter(({ isReady }) => isReady).length
  }

  /** How many clients they have, logged in or not. */
  get connections () {
    return this._sum(({ connections }) => connections.size)
  }

  get channels () {
    return this._sum(({ numbers }) => numbers.channels)
  }

  /** What came and went over all of their connections. */
  get bytes () {
    return {
      received: this._past.received + this._sum(({ numbers }) => numbers.received),
      sent: this._past.sent + this._sum(({ numbers }) => numbers.sent)
    }
  }

  _sum (of) {
    return [...this._threads].reduce((sum, thread) => sum + of(thread), 0)
  }

  /** Those who are logged in, as ServerSessions. */
  sessions () {
    return [...this._threads].flatMap(({ connections }) => [...connections.values()].flatMap(({ session }) => session ?? []))
  }

  /** Gives a client to one of them. False: there is none, or no descriptor for it. entrance: where it came. */
  take (stream, peer, ticket, entrance) {
    let chosen = null
    for (const thread of this._threads) {
      if (thread.isReady && (chosen === null || thread.connections.size < chosen.connections.size)) chosen = thread
    }
    return chosen !== null && chosen.take(stream, peer, ticket, this.server._entrances.indexOf(entrance))
  }

  /** Has all take over what is in force now. Resolves when they have. */
  async update () {
    await Promise.all([...this._threads].map((thread) => thread.update()))
  }

  keepAlive (keeps) {
    this.keeps = keeps
    for (const thread of this._threads) thread.keepAlive()
  }

  /** Resolves when all have ended. */
  async close (drainMs) {
    this._isClosing = true
    for (const timer of this._timers) clearTimeout(timer)
    this._timers.clear()
    await Promise.all([...this._threads].map((thread) => thread.close(drainMs)))
    clearInterval(this._checks)
  }

  // ---- for worker-thread.js

  /** A client has logged in. */
  loggedIn (connection) {
    const { server } = this
    connection.session = server._enterSession(connection)
    server.emit('auth', connection.who())
    server.emit('session', connection.session)
  }

  /** err: why it has ended, or null. */
  ended (thread, err) {
    const { number } = thread
    this._threads.delete(thread)
    this.seats.clear(number)
    this._past.received += thread.numbers.received
    this._past.sent += thread.numbers.sent
    if (this._isClosing) return
    const backoff = this._backoffs[number - 1]
    if (performance.now() - thread.began >= LIVED_MS) backoff.reset()
    const ms = backoff.next()
    this.server._counters.count('workersLost')
    this.server._log.error('worker ended', { worker: number, error: err?.code ?? err?.name, delay: ms / 1000 })
    if (err !== null) process.emitWarning(`a worker thread of a server has ended: ${err?.stack ?? err}`, 'AlknetWarning')
    const timer = setTimeout(() => {
      this._timers.delete(timer)
      this._start(number).update(true)
    }, ms).unref()
    this._timers.add(timer)
  }
}

module.exports = { Workers }
