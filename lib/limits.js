'use strict'

/**
 * How many connections a server takes. Counting and checking is one step, so
 * that no two connections can pass the same last place. Pure but for the dice.
 */

const { sourceOf } = require('./addresses')

class Limits {
  /**
   * Each limit: 0 for none. random: () => number in [0, 1).
   */
  constructor (limits, random = Math.random) {
    this.update(limits)
    this._random = random
    this._perSource = new Map() // an IPv6 client has a whole /64 of addresses
    this.unauthenticated = 0
    this.sessions = 0
  }

  /** Other limits from now on; who is in already stays in. */
  update ({ maxConnectionsPerIp, maxUnauthenticatedPerIp, maxUnauthenticated, maxSessions }) {
    this._maxPerIp = maxConnectionsPerIp
    this._maxUnauthenticatedPerIp = maxUnauthenticatedPerIp
    this._maxUnauthenticated = maxUnauthenticated
    this._maxSessions = maxSessions
  }

  /**
   * A connection from ip, '' where it has none, asks to come in. Gives a ticket to give back with
   * leave(), or a string: the limit that turns it away.
   */
  enter (ip) {
    const name = sourceOf(ip)
    const source = this._perSource.get(name) ?? { name, connections: 0, unauthenticated: 0 }
    if (ip !== '' && isFull(this._maxPerIp, source.connections)) return 'max_connections_per_ip'
    if (ip !== '' && isFull(this._maxUnauthenticatedPerIp, source.unauthenticated)) return 'max_unauthenticated_per_ip'
    if (this._dropsEarly()) return 'max_unauthenticated'
    this._perSource.set(name, source)
    source.connections++
    source.unauthenticated++
    this.unauthenticated++
    return { source, authenticated: false, left: false }
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
    if (isFull(this._maxSessions, this.sessions)) return false
    ticket.authenticated = true
    ticket.source.unauthenticated--
    this.unauthenticated--
    this.sessions++
    return true
  }

  /** The ticket's connection has gone. Idempotent. */
  leave (ticket) {
    if (ticket.left) return
    const { source } = ticket
    ticket.left = true
    if (ticket.authenticated) {
      this.sessions--
    } else {
      this.unauthenticated--
      source.unauthenticated--
    }
    source.connections--
    if (source.connections === 0) this._perSource.delete(source.name)
  }
}

// 0: no limit.
function isFull (max, count) {
  return max > 0 && count >= max
}

module.exports = { Limits }
