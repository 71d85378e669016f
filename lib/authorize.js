'use strict'

/**
 * The option authorize of a server: the user's own function has a say in keys
 * and channels.
 *
 *   asked -> true, or an object (for keys): as it says
 *     |----> anything else, an exception, a rejection: no
 *     |----> no answer in time: no
 *     |----> too many questions are open: no, and nobody is asked
 *     \----> the client goes: the question's signal is aborted, nobody waits
 *
 * What files and rules refuse it is never asked about. To what they allow it
 * may only add a refusal, or take away from the grant; what it lets in itself
 * is a key that no file knows.
 */

const binding = require('./binding')
const { fail } = require('./errors')
const { createIdentity, identityOfKey, parseScopes } = require('./identity')

// Those who are not logged in must not keep the others waiting: each kind of
// question has its own.
const MAX_ASKED = 1024

const EVERYTHING = Object.freeze({ forwarding: true, permitOpen: null, permitListen: null })

/** The questions of one server. */
class Authorize {
  /** warn(event, fields): of rarely(). */
  constructor (warn) {
    this._warn = warn
    this._asked = { key: 0, channel: 0 }
  }

  /**
   * Asks. done(answer, reason) comes once, now or later: answer is true, an
   * object, or null with the reason 'authorize_…'. Gives a Question, to cancel.
   */
  ask ({ authorize, authorizeTimeout }, request, done) {
    const { kind } = request
    if (this._asked[kind] >= MAX_ASKED) {
      done(null, 'authorize_busy')
      return null
    }
    this._asked[kind]++
    const question = new Question(this, kind, authorizeTimeout, done)
    question.put(authorize, request)
    return question
  }
}

class Question {
  constructor (all, kind, seconds, done) {
    this._all = all
    this._kind = kind
    this._done = done
    this._abort = new AbortController()
    this._timer = setTimeout(onLate, seconds * 1000, this)
  }

  put (authorize, request) {
    let answer
    try {
      answer = authorize(Object.freeze({ ...request, signal: this._abort.signal }))
      if (typeof answer?.then !== 'function') return this._answered(answer)
    } catch (err) {
      return this._failed(err)
    }
    Promise.resolve(answer).then((value) => this._answered(value), (err) => this._failed(err))
  }

  /** Nobody waits for it any more: done() does not come. */
  cancel () {
    if (this._end()) this._abort.abort(fail('CANCELED', 'session', 'the client has gone'))
  }

  late () {
    const done = this._done
    if (!this._end()) return
    this._abort.abort(fail('TIMEOUT', 'session', 'no answer within authorizeTimeout'))
    done(null, 'authorize_timeout')
  }

  _answered (answer) {
    const done = this._done
    if (!this._end()) return
    const isYes = answer === true || (typeof answer === 'object' && answer !== null)
    if (isYes) done(answer, null)
    else done(null, 'authorize_refused')
  }

  _failed (err) {
    const done = this._done
    if (!this._end()) return
    this._all._warn('authorize failed', { kind: this._kind, error: err?.code ?? err?.name ?? 'error' })
    done(null, 'authorize_failed')
  }

  // False: it was over already.
  _end () {
    if (this._done === null) return false
    this._done = null
    clearTimeout(this._timer)
    this._all._asked[this._kind]--
    return true
  }
}

function onLate (question) {
  question.late()
}

/** What is wrong with { scopes, forwarding }, or null. */
function problemOfGrant (answer) {
  const { scopes, forwarding, ...rest } = answer
  const [unknown] = Object.keys(rest)
  if (unknown !== undefined) return 'it has a property that there is not'
  if (forwarding !== undefined && typeof forwarding !== 'boolean') return 'forwarding must be true or false'
  if (scopes === undefined) return null
  if (!Array.isArray(scopes) || !scopes.every((one) => typeof one === 'string' && one !== '' && !one.includes(','))) return 'scopes must be a list of names'
  const parsed = parseScopes(scopes.join(','))
  return typeof parsed === 'string' ? parsed : null
}

/**
 * What a key is granted by an answer. known: the grant of the files, which the
 * answer can only make smaller; null: they do not know the key. Gives a grant,
 * or a string that says what is wrong with the answer.
 */
function grantOf (answer, known, blob) {
  if (answer === true) return known ?? { identity: identityOfKey(binding.fingerprint(blob), []), permissions: EVERYTHING }
  const problem = problemOfGrant(answer)
  if (problem !== null) return problem
  const { scopes, forwarding = true } = answer
  if (known === null) {
    return { identity: identityOfKey(binding.fingerprint(blob), scopes ?? []), permissions: { ...EVERYTHING, forwarding } }
  }
  const { identity, permissions } = known
  return {
    identity: scopes === undefined ? identity : createIdentity({ ...identity, scopes: identity.scopes.filter((one) => scopes.includes(one)) }),
    permissions: { ...permissions, forwarding: permissions.forwarding && forwarding }
  }
}

module.exports = { Authorize, grantOf }
