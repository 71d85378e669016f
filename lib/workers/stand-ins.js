'use strict'

/**
 * What stands in a worker thread for what only the main thread has: limits,
 * penalties, the user's authorize(), places that are listened on, counters, the
 * log. All of it is small: it tells the main thread, or asks it.
 */

const { LEVELS, NO_LOG } = require('../log')
const { Notes, Refusal } = require('../listening')
const { Port } = require('./port')

// Numbers are told together: at a busy time not each by itself.
const TELL_MS = 100

/** The main thread. Whatever it is told, it has been told the counters before. */
class Main extends Port {
  constructor (channel, handlers) {
    super(channel, handlers)
    this.counters = new Counts(this)
  }

  tell (what, data) {
    this.counters.flush()
    super.tell(what, data)
  }
}

/** As counters.js has it: names that were counted, and not told yet. */
class Counts {
  constructor (main) {
    this._main = main
    this._counted = new Map() // 'name reason' => [name, reason, times]
    this._timer = null
    /** Called when a burst of counting is over, or goes on for long. */
    this.onpause = () => {}
  }

  count (name, reason) {
    const key = `${name} ${reason}`
    const entry = this._counted.get(key) ?? [name, reason, 0]
    entry[2]++
    this._counted.set(key, entry)
    this._timer ??= setTimeout(() => this._told(), TELL_MS).unref()
  }

  _told () {
    this._timer = null
    this.flush()
    this.onpause()
  }

  flush () {
    if (this._counted.size === 0) return
    const counted = [...this._counted.values()]
    this._counted.clear()
    this._main.tell('counts', counted)
  }

  close () {
    clearTimeout(this._timer)
    this.flush()
  }
}

/** As limits.js has it, for who has been let in. */
class ThreadLimits {
  /** seats: of this thread. */
  constructor (main, seats) {
    this._main = main
    this._seats = seats
    this._maxSessions = 0
    /** Those who are here: id => { id, authenticated, left, giveWay, isSilent }. */
    this.tickets = new Map()
  }

  update ({ maxSessions }) {
    this._maxSessions = maxSessions
  }

  ticket (id) {
    const ticket = { id, authenticated: false, left: false, giveWay: null, isSilent: null, timer: null }
    this.tickets.set(id, ticket)
    return ticket
  }

  promote (ticket) {
    if (ticket.authenticated || ticket.left) return ticket.authenticated
    if (!this._seats.take(this._maxSessions)) return false
    ticket.authenticated = true
    clearTimeout(ticket.timer)
    this._main.tell('promoted', ticket.id)
    return true
  }

  favour (ticket) {
    this._main.tell('favour', ticket.id)
  }

  unfavour (ticket) {
    this._main.tell('unfavour', ticket.id)
  }

  leave (ticket) {
    if (ticket.left) return
    ticket.left = true
    clearTimeout(ticket.timer)
    if (ticket.authenticated) this._seats.give()
    this.tickets.delete(ticket.id)
    this._main.tell('left', ticket.id)
  }
}

/** As penalties.js has it. What comes of it is the main thread's to say. */
class ThreadPenalties {
  constructor (main) {
    this._main = main
  }

  punish (address, offence) {
    this._main.tell('punish', { address, offence })
    return null
  }
}

/** As authorize.js has it: the user's function is asked in the main thread. */
class ThreadAuthorize {
  constructor (main) {
    this._main = main
  }

  ask (options, request, done) {
    const { key } = request
    const told = key === undefined ? request : { ...request, key: { ...key, blob: new Uint8Array(key.blob) } }
    const cancel = this._main.ask('authorize', told, ({ answer, why }) => done(answer, why))
    return { cancel }
  }
}

/** As Places of listening.js: who holds what is known in the main thread. */
class ThreadPlaces {
  constructor (main) {
    this._main = main
    this._held = new Map() // number => held
    this._numbers = new WeakMap() // of what is held, and of who holds it
    this._last = 0
    this.notes = new Notes() // of this thread
  }

  makeRoom (id, owner, places, ms) {
    return new Promise((resolve, reject) => {
      this._main.ask('room', { id, owner: this._number(owner), places, ms }, ({ reason }) => {
        if (reason === null) resolve()
        else reject(new Refusal(reason))
      })
    })
  }

  add (held) {
    const number = this._number(held)
    this._held.set(number, held)
    this._main.tell('held', { number, id: held.id, owner: this._number(held.owner), places: held.places })
  }

  delete (held) {
    if (this._held.delete(this._number(held))) this._main.tell('unheld', this._number(held))
  }

  /** Somebody in another thread wants what is held here; it may be gone already. */
  async giveWay (number, ms) {
    return this._held.get(number)?.giveWay(ms) ?? true
  }

  _number (one) {
    if (!this._numbers.has(one)) this._numbers.set(one, ++this._last)
    return this._numbers.get(one)
  }
}

/** As log.js has it. level: of the main thread's log; null: it has none. */
function threadLog (main, level) {
  const log = { ...NO_LOG }
  for (const [name, rank] of Object.entries(LEVELS)) {
    if (level !== null && rank <= LEVELS[level]) log[name] = (event, fields = {}) => main.tell('log', { level: name, event, fields })
  }
  return log
}

module.exports = { Main, ThreadAuthorize, ThreadLimits, ThreadPenalties, ThreadPlaces, threadLog }
