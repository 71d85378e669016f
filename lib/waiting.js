'use strict'

/**
 * Who wants something of a session that is not there at the moment: calls of
 * open(), SOCKS clients, connections to forwards. They wait in their order, not
 * too many of them, and each not for too long.
 */

const { canceled, fail } = require('./errors')

class Waiting {
  /** max: how many; seconds: how long each. 0: nobody waits. */
  constructor ({ maxWaiting, waitTimeout }) {
    this._max = maxWaiting
    this._seconds = waitTimeout
    this._all = new Set()
  }

  get size () {
    return this._all.size
  }

  /**
   * done(err) comes once, now when there is no place; err null: go on. stage: of
   * the error when the signal is aborted. Gives a function that forgets it, after
   * which done() does not come.
   */
  add (done, stage, signal) {
    if (this._seconds === 0) return refuse(done, noSession())
    if (this._all.size >= this._max) return refuse(done, fail('LIMIT', 'session', 'too many wait for the session (maxWaiting)'))
    const one = { settle: null }
    const leave = () => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', onAbort)
      return this._all.delete(one)
    }
    one.settle = (err) => { if (leave()) done(err) }
    const onAbort = () => one.settle(canceled(stage, signal.reason))
    const timer = setTimeout(() => one.settle(fail('TIMEOUT', 'session',
      `the session was not back within ${this._seconds} s (waitTimeout)`)), this._seconds * 1000)
    signal?.addEventListener('abort', onAbort, { once: true })
    this._all.add(one)
    return leave
  }

  /** The session is there, or, with err, will not be. */
  settle (err) {
    for (const one of [...this._all]) one.settle(err)
  }
}

function refuse (done, err) {
  done(err)
  return () => {}
}

function noSession () {
  return fail('LOST', 'session', 'there is no session at the moment')
}

module.exports = { Waiting, noSession }
