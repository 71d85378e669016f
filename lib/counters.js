'use strict'

/**
 * What a server has counted since it began: names => numbers that only grow,
 * by reason where there are several. All reasons are there from the start, with
 * 0. What can fall again, such as how many are connected, is not counted here.
 */

const authorizer = require('./authorizer')

const NAMES = ['accepted', 'acceptErrors', 'tlsFailures', 'logins', 'channelsTotal', 'workersLost']

// A reason is one that the log has, too.
const REASONS = {
  // connections that were turned away, before any SSH
  refused: ['penalty', 'max_unauthenticated', 'max_unauthenticated_per_ip', 'max_connections_per_ip'],
  // attempts to log in that were refused
  rejected: [
    ...authorizer.REASONS,
    'authorize_refused', 'authorize_busy', 'authorize_timeout', 'authorize_failed',
    'unsupported_method', 'invalid_user', 'unsupported_key', 'bad_signature'
  ],
  // those who came to a listener with stealth and were no clients, or did not say so in time
  visitors: ['silent', 'tls', 'late', 'plain', 'bad', 'too_long', 'served', 'site', 'crowded'],
  // channels that clients have asked for in vain
  channelsRefused: ['prohibited', 'connect_failed', 'unknown_type', 'shortage'],
  // certificates that were asked for
  certificateOrders: ['issued', 'failed'],
  // connections that the server has ended
  closed: ['keepalive', 'taken_over', 'closed_by_server', 'max_unauthenticated', 'max_sessions', 'max_auth_attempts', 'login_grace', 'server_closed'],
  // connections that ended without a login, and were held against their source
  penalties: ['auth_failed', 'no_auth', 'grace_exceeded']
}

class Counters {
  constructor () {
    for (const name of NAMES) this[name] = 0
    for (const [name, reasons] of Object.entries(REASONS)) {
      this[name] = Object.fromEntries(reasons.map((reason) => [reason, 0]))
    }
  }

  /** One more, or so many. reason: for those that have reasons; never a peer's own words. */
  count (name, reason, times = 1) {
    if (reason === undefined) this[name] += times
    else this[name][reason] = (this[name][reason] ?? 0) + times
  }

  /** A copy: { accepted, …, refused: { reason: number } }. */
  values () {
    return Object.fromEntries([
      ...NAMES.map((name) => [name, this[name]]),
      ...Object.keys(REASONS).map((name) => [name, { ...this[name] }])
    ])
  }
}

module.exports = { Counters }
