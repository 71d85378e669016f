'use strict'

/**
 * How many connections a server takes. Counting and checking is one step, so
 * that no two connections can pass the same last place. Pure but for the dice
 * and the clock.
 */

const { sourceOf } = require('./addresses')
const { Seats } = require('./workers/seats')

// So many are looked at for one who may go: the oldest.
const LOOK_AT = 128

class Limits {
  /**
   * Each limit: 0 for none. random: () => number in [0, 1). now: () => ms.
   * seats: where sessions are counted, those of other threads too.
   */
  constructor (limits, random = Math.random, now = () => performance.now(), seats = new Seats()) {
    this.update(limits)
    this._random = random
    this._now = now
    this._waiting = new Set() // tickets of those who have not logged in, the oldest first
    this._favoured = new Set() // and of those among them who keep their places
    this._perSource = new Map() // an IPv6 client has a whole /64 of addresses
    this._seats = seats
  }

  /** How many have logged in, and are still here. */
  get sessions () {
    return this._seats.taken
  }

  /** Other limits from now on; who is in already stays in. */
  update ({ maxConnectionsPerIp, maxUnauthenticatedPerIp, maxUnauthenticated, maxSessions, evictAfterMs, evictSilentAfterMs }) {
    this._maxPerIp = maxConnectionsPerIp
    this._maxUnauthenticatedPerIp = maxUnauthenticatedPerIp
    this._maxUnauthenticated = maxUnauthenticated
    this._maxSessions = maxSessions
    this._evictAfterMs = evictAfterMs
    this._evictSilentAfterMs = Math.min(evictAfterMs, evictSilentAfterMs)
  }

  /**
   * A connection from ip, '' where it has none, asks to come in. Gives a ticket to give back with
   * leave(), or a string: the limit that turns it away. ticket.victim: that of
   * one who has to go for it, and has left by then; or null. ticket.giveWay:
   * the owner's, what that one has to be told; ticket.isSilent: whether it has
   * said nothing to speak of.
   */
  enter (ip) {
    const name = sourceOf(ip)
    const source = this._perSource.get(name) ?? { name, connections: 0, unauthenticated: 0 }
    if (ip !== '' && isFull(this._maxPerIp, source.connections)) return 'max_connections_per_ip'
    if (ip !== '' && isFull(this._maxUnauthenticatedPerIp, source.unauthenticated)) return 'max_unauthenticated_per_ip'
    const victim = this._dropsEarly() ? this._stalest() : null
    if (victim === undefined) return 'max_unauthenticated'
    // The newcomer first: the victim may be the last one of the same source.
    this._perSource.set(name, source)
    source.connections++
    source.unauthenticated++
    if (victim !== null) this.leave(victim)
    const ticket = { source, authenticated: false, hasSeat: false, left: false, since: this._now(), victim, giveWay: null, isSilent: null }
    this._waiting.add(ticket)
    return ticket
  }

  /** How many have not logged in. */
  get unauthenticated () {
    return this._waiting.size + this._favoured.size
  }

  /**
   * Nobody takes the place of this one: it has shown a key that would do, and
   * its user may be typing a passphrase; or it waits for us. A public key is no
   * secret, so that no more than half of all places are kept for such.
   */
  favour (ticket) {
    if (!this._waiting.has(ticket) || this._favoured.size >= Math.floor(this._maxUnauthenticated / 2)) return
    this._waiting.delete(ticket)
    this._favoured.add(ticket)
  }

  /** It is like any other again, and its time begins anew. */
  unfavour (ticket) {
    if (!this._favoured.delete(ticket)) return
    ticket.since = this._now()
    this._waiting.add(ticket)
  }

  // Whoever holds places without logging in does not keep the others out:
  // a newcomer takes the place of the one who has waited longest.
  _stalest () {
    const now = this._now()
    let looked = 0
    for (const ticket of this._waiting) {
      const age = now - ticket.since
      if (age >= this._evictAfterMs || (age >= this._evictSilentAfterMs && ticket.isSilent?.())) return ticket
      if (age < this._evictSilentAfterMs || ++looked === LOOK_AT) return undefined
    }
  }

  // From half of the limit on, the nearer the limit the likelier: an attacker
  // who holds every place but a few still cannot keep everybody else out.
  _dropsEarly () {
    const max = this._maxUnauthenticated
    const n = this.unauthenticated
    if (max === 0) return false
    if (n >= max) return true
    const half = Math.floor(max / 2)
    return n > half && this._random() < (n - half) / (max - half)
  }

  /** The ticket's connection has logged in. False: there is no place for it. */
  promote (ticket) {
    if (ticket.authenticated || ticket.left) return ticket.authenticated
    if (!this._seats.take(this._maxSessions)) return false
    ticket.hasSeat = true
    this.promoted(ticket)
    return true
  }

  /** It has logged in elsewhere, where it has its place among the sessions. */
  promoted (ticket) {
    if (ticket.authenticated || ticket.left) return
    ticket.authenticated = true
    ticket.source.unauthenticated--
    this._forget(ticket)
  }

  /** The ticket's connection has gone. Idempotent. */
  leave (ticket) {
    if (ticket.left) return
    const { source } = ticket
    ticket.left = true
    if (ticket.hasSeat) this._seats.give()
    if (!ticket.authenticated) {
      this._forget(ticket)
      source.unauthenticated--
    }
    source.connections--
    if (source.connections === 0) this._perSource.delete(source.name)
  }

  _forget (ticket) {
    this._waiting.delete(ticket)
    this._favoured.delete(ticket)
  }
}

// 0: no limit.
function isFull (max, count) {
  return max > 0 && count >= max
}

module.exports = { Limits }
