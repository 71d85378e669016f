'use strict'

/**
 * The login of one connection (RFC 4252 §7): which key may in, how often
 * somebody may ask, who they are then.
 *
 * A question without a signature counts as an attempt, and known and unknown
 * keys take the same way.
 */

const binding = require('./binding')
const { identityOfKey } = require('./identity')

class Login {
  /** remote: { remote_addr, remote_port }. ticket: of limits.enter(). */
  constructor (server, remote, ticket) {
    this._server = server
    this._remote = remote
    this._ticket = ticket
    this._attempts = 0
    this.user = ''
    /** Who has logged in, and what their key permits; null until then. */
    this.identity = null
    this.permissions = null
  }

  /**
   * Gives { admit, reason }: the answer to the client, and why the connection
   * has to end, or null.
   */
  answer (user, algorithm, blob, proven) {
    // Who is in stays who they are (RFC 4252 §5.1): no engine should ask again.
    if (this.permissions !== null) return { admit: false, reason: null }
    this._attempts++
    const found = this._server._authorizer.find(blob, this._remote.remote_addr)
    const isFull = found.entry !== null && proven && !this._server._limits.promote(this._ticket)
    const entry = isFull ? null : found.entry
    if (entry === null || proven) this._log(user, blob, isFull ? 'max_sessions' : found.reason)
    if (entry !== null && proven) this._admitted(user, blob, entry)
    return { admit: entry !== null, reason: this._reasonToEnd(isFull) }
  }

  _reasonToEnd (isFull) {
    if (isFull) return 'max_sessions'
    const { maxAuthAttempts } = this._server._options
    return this.permissions === null && this._attempts >= maxAuthAttempts ? 'max_auth_attempts' : null
  }

  // The entry is that of the key whose signature was right, and of no other.
  _admitted (user, blob, entry) {
    this.user = user
    this.identity = identityOfKey(binding.fingerprint(blob), entry.scopes)
    this.permissions = { forwarding: entry.forwarding, permitOpen: entry.permitOpen, permitListen: entry.permitListen }
  }

  _log (user, blob, reason) {
    this._server._log.info('auth attempt', {
      ...this._remote,
      user,
      key_fingerprint: binding.fingerprint(blob),
      result: reason === null ? 'accept' : 'reject',
      reason: reason ?? undefined
    })
  }
}

module.exports = { Login }
