'use strict'

/**
 * Sources that misbehave before they have logged in are refused for a while.
 *
 *   a connection ends without a login -> so many seconds for its source
 *     -> they add up, up to `max`, and pass with time
 *     -> from `min` seconds on the source is refused, until all have passed
 *
 * As in OpenSSH's PerSourcePenalties: connections that are there already go on;
 * an address that is exempt is neither noted nor refused; and where there are
 * more sources than may be remembered, those whose penalty ends soonest are
 * forgotten, for IPv4 and IPv6 each, so that a flood from one does not let go
 * those of the other. Pure but for the clock.
 */

const { addressBytes, cidrHas, sourceOf } = require('./addresses')

const MAX_SOURCES = 65536

// More than one, which is what a call adds at most.
const EXPIRE_AT_ONCE = 16

/** What is punished, and the option that says for how long. */
const KINDS = { auth_failed: 'authfail', no_auth: 'noauth', grace_exceeded: 'graceExceeded' }

/**
 * Sources by the second in which their penalty ends: to add, to move and to
 * forget the first costs the same however many there are. The entries of a
 * second are a ring: the first of a Set is behind all that were deleted.
 */
class Table {
  constructor (maxSources) {
    this._max = maxSources
    this._bySource = new Map() // source => { source, until, isServed, next, previous }
    this._bySecond = new Map() // second => the head of the ring of those that end in it
    this._first = Infinity // no entry ends before this second
    this.served = 0
  }

  get size () {
    return this._bySource.size
  }

  /** Its { until, isServed }, or undefined when all has passed. */
  get (source, now) {
    this.expire(now)
    const entry = this._bySource.get(source)
    if (entry === undefined || entry.until > now) return entry
    this._forget(entry)
  }

  /** Has the source's penalty end at a time; the soonest makes room for it. */
  set (source, until, isServed) {
    let entry = this._bySource.get(source)
    if (entry === undefined) {
      entry = { source, until, isServed: false, next: null, previous: null }
      this._bySource.set(source, entry)
    } else {
      this._unlist(entry)
    }
    if (isServed && !entry.isServed) {
      entry.isServed = true
      this.served++
    }
    entry.until = until
    this._list(entry)
    if (this.size > this._max) this._forget(this._soonest())
  }

  /** Forgets what has ended: a few of all, so that nobody waits for a flood that ends in one second. */
  expire (now, most = EXPIRE_AT_ONCE) {
    for (let i = 0; i < most && this.size > 0; i++) {
      const entry = this._soonest()
      if (entry.until > now) return
      this._forget(entry)
    }
  }

  // Walks over empty seconds. Each step is one that time, or a set(), has put
  // there: at most as many as the longest penalty has seconds.
  _soonest () {
    while (!this._bySecond.has(this._first)) this._first++
    return this._bySecond.get(this._first).next
  }

  _forget (entry) {
    this._unlist(entry)
    this._bySource.delete(entry.source)
    if (entry.isServed) this.served--
    if (this.size === 0) this._first = Infinity
  }

  _list (entry) {
    const second = Math.ceil(entry.until)
    let head = this._bySecond.get(second)
    if (head === undefined) {
      head = { next: null, previous: null }
      head.next = head.previous = head
      this._bySecond.set(second, head)
    }
    entry.next = head
    entry.previous = head.previous
    head.previous.next = entry
    head.previous = entry
    this._first = Math.min(this._first, second)
  }

  _unlist ({ until, next, previous }) {
    previous.next = next
    next.previous = previous
    if (next === previous) this._bySecond.delete(Math.ceil(until))
  }
}

class Penalties {
  /**
   * options: penalties and penaltyExempt, as options.js gives them. now: ()
   * => seconds, from any beginning, that only grow.
   */
  constructor (options, { now = monotonic, maxSources = MAX_SOURCES } = {}) {
    this._now = now
    this._tables = { 4: new Table(maxSources), 16: new Table(maxSources) } // by the bytes of an address
    this.update(options)
  }

  /** Other limits from now on; what sources have got, they keep. */
  update ({ penalties, penaltyExempt }) {
    this._config = penalties
    this._exempt = penaltyExempt
  }

  /** Whether connections from an address, '' where there is none, are refused now. */
  refuses (address) {
    const source = this._sourceOf(address)
    if (source === null) return false
    return source.table.get(source.text, this._now())?.isServed === true
  }

  /**
   * Notes what a connection from an address has done. kind: of KINDS. Gives
   * null when nothing is noted of it, else { source, seconds, isNew }: how long
   * its penalty has still to go, and whether it is refused from now on.
   */
  punish (address, kind) {
    const source = this._sourceOf(address)
    const seconds = source === null ? 0 : this._config[KINDS[kind]]
    if (seconds === 0) return null
    const { min, max } = this._config
    const now = this._now()
    const before = source.table.get(source.text, now)
    const left = Math.min((before === undefined ? 0 : before.until - now) + seconds, max)
    const wasServed = before !== undefined && before.isServed
    const isServed = wasServed || left >= min
    source.table.set(source.text, now + left, isServed)
    return { source: source.text, seconds: Math.round(left), isNew: isServed && !wasServed }
  }

  /** How many sources have a penalty, and how many of them are refused. */
  counts () {
    const now = this._now()
    const tables = Object.values(this._tables)
    for (const table of tables) table.expire(now, Infinity)
    const sum = (name) => tables.reduce((total, table) => total + table[name], 0)
    return { sources: sum('size'), refused: sum('served') }
  }

  // null: nothing is noted of it.
  _sourceOf (address) {
    if (this._config === 'off' || address === '') return null
    const bytes = addressBytes(address)
    if (bytes === null || this._exempt.some((cidr) => cidrHas(cidr, bytes))) return null
    return { text: sourceOf(address), table: this._tables[bytes.length] }
  }
}

function monotonic () {
  return performance.now() / 1000
}

module.exports = { KINDS, MAX_SOURCES, Penalties }
