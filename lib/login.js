'use strict'

/**
 * The login of one connection (RFC 4252 §7): which key may in, how often
 * somebody may ask, who they are then.
 *
 * A question without a signature counts as an attempt, and known and unknown
 * keys take the same way.
 */

const { grantOf } = require('./authorize')
const binding = require('./binding')

// What the engine has refused by itself, by the addon's number.
const REFUSED = ['unsupported_method', 'invalid_user', 'unsupported_key', 'bad_signature']

// Where authorize() has let them down, nobody can say that they may not in.
const OUR_FAULT = new Set(['max_sessions', 'authorize_busy', 'authorize_timeout', 'authorize_failed'])

// What authorize() may have a say in: what is let in, and what nobody knows.
const isOpen = ({ grant, reason }) => grant !== null || reason === 'unknown_key'

class Login {
  /**
   * remote: { remote_addr, remote_port }, undefined where there is none. ticket:
   * of limits.enter(). peer: what authorize() is told of where they come from.
   */
  constructor (server, remote, ticket, peer) {
    this._server = server
    this._peer = peer
    this._remote = remote
    this._ticket = ticket
    /** How often they have asked. */
    this.attempts = 0
    this._wasLetDown = false
    this._question = null // to authorize()
    this.user = ''
    /** Who has logged in, and what their key permits; null until then. */
    this.identity = null
    this.permissions = null
  }

  /**
   * Answers by files alone. Gives { admit, reason }: the answer to the client,
   * and why the connection has to end, or null.
   */
  answer (user, algorithm, blob, proven) {
    // Who is in stays who they are (RFC 4252 §5.1): no engine should ask again.
    if (this.permissions !== null) return { admit: false, reason: null }
    this.attempts++
    return this._decide(user, blob, proven, this._find(user, blob))
  }

  /** The same, but authorize() is asked too: done({ admit, reason }), now or later, unless close() comes. */
  ask (user, algorithm, blob, proven, done) {
    const { _options: options } = this._server
    const found = options.authorize === undefined || this.permissions !== null ? null : this._find(user, blob)
    if (found === null || !isOpen(found)) return done(this.answer(user, algorithm, blob, proven))
    this.attempts++
    // Only whoever has a key gets it judged; until then it is like any other.
    if (!proven) {
      if (found.grant !== null) this._server._limits.favour(this._ticket)
      return done({ admit: true, reason: this._reasonToEnd(false) })
    }
    this._server._limits.favour(this._ticket)
    this._question = this._server._authorize.ask(options, this._request(user, algorithm, blob, found), (answer, why) => {
      this._question = null
      if (found.grant === null) this._server._limits.unfavour(this._ticket)
      done(this._decide(user, blob, true, this._judge(user, blob, found, answer, why)))
    })
  }

  /** Notes what the engine has refused: blob is null where no key was shown. Gives why the connection has to end, or null. */
  refused (user, why, blob) {
    if (this.permissions !== null) return null
    this.attempts++
    this._log(user, blob, null, REFUSED[why])
    return this._reasonToEnd(false)
  }

  /** Whether it was not their fault that they were refused: authorize() has failed, or all sessions are taken. */
  get isExcused () {
    return this._wasLetDown
  }

  /** Whether they wait for an answer of authorize(). */
  get isWaiting () {
    return this._question !== null
  }

  /** The client has gone. */
  close () {
    this._question?.cancel()
    this._question = null
  }

  _find (user, blob) {
    return this._server._authorizer.find({ blob, user, address: this._remote.remote_addr ?? '' })
  }

  _request (user, algorithm, blob, { grant, certificate }) {
    const { keyId, serial, principals, caFingerprint } = certificate ?? {}
    return {
      kind: 'key',
      user,
      identity: grant === null ? null : grant.identity,
      key: Object.freeze({ type: algorithm, fingerprint: certificate?.fingerprint ?? binding.fingerprint(blob), blob: Buffer.from(blob) }),
      certificate: certificate === null ? null : Object.freeze({ keyId, serial, principals, caFingerprint }),
      ...this._peer
    }
  }

  // Files are asked again: they may have been read anew meanwhile.
  _judge (user, blob, before, answer, why) {
    const found = this._find(user, blob)
    const { certificate } = found
    if (!isOpen(found) || (found.grant === null && before.grant !== null)) return found
    if (answer === null) return { grant: null, reason: why, certificate }
    const grant = grantOf(answer, found.grant, blob)
    if (typeof grant !== 'string') return { grant, reason: null, certificate }
    this._server._warn('authorize failed', { kind: 'key', problem: grant })
    return { grant: null, reason: 'authorize_failed', certificate }
  }

  _decide (user, blob, proven, found) {
    const isFull = found.grant !== null && proven && !this._server._limits.promote(this._ticket)
    const grant = isFull ? null : found.grant
    if (grant === null || proven) this._log(user, blob, found.certificate, isFull ? 'max_sessions' : found.reason)
    if (grant !== null && proven) this._admitted(user, grant)
    if (grant !== null && !proven) this._server._limits.favour(this._ticket)
    return { admit: grant !== null, reason: this._reasonToEnd(isFull) }
  }

  _reasonToEnd (isFull) {
    if (isFull) return 'max_sessions'
    const { maxAuthAttempts } = this._server._options
    return this.permissions === null && this.attempts >= maxAuthAttempts ? 'max_auth_attempts' : null
  }

  // The grant is that of the key whose signature was right, and of no other.
  _admitted (user, { identity, permissions }) {
    this.user = user
    this.identity = identity
    this.permissions = permissions
  }

  // A certificate's key is named as the key it certifies, as ssh names it; one
  // that cannot be read has only its own fingerprint.
  _log (user, blob, certificate, reason) {
    if (reason === null) this._server._counters.count('logins')
    else this._server._counters.count('rejected', reason)
    if (OUR_FAULT.has(reason)) this._wasLetDown = true
    this._server._log.info('auth attempt', {
      ...this._remote,
      user,
      key_fingerprint: certificate?.fingerprint ?? (blob === null ? undefined : binding.fingerprint(blob)),
      cert_id: certificate?.keyId,
      cert_serial: certificate?.serial.toString(), // text: a number of JSON's may not hold it
      ca_fingerprint: certificate?.caFingerprint,
      result: reason === null ? 'accept' : 'reject',
      reason: reason ?? undefined
    })
  }
}

module.exports = { Login }
