'use strict'

/**
 * Notices a peer that is gone: within keepalive * keepaliveMax seconds after
 * the last byte that came from it.
 *
 *   heard -- silent for a step --> asked 1 -- a step --> asked 2 … asked max
 *     ^                                                              |
 *     +------------------ a byte --------------------------+      a step
 *                                                          |         v
 *                                                       asked       lost
 *
 * A question is one that every SSH peer has to answer. keepaliveMax of them,
 * and the time to answer the last, share keepalive * keepaliveMax evenly: a
 * step is keepalive * max / (max + 1), 11.25 s by default.
 *
 * When the machine wakes up or its network changes (wake.js) a question is
 * asked at once, and the peer has one step to answer, whatever was asked
 * before.
 *
 * Whether something came is looked at in the turn after the one in which the
 * time has passed: a process that was stopped finds its time gone before it
 * finds the answer that waits in the kernel.
 */

const { wake } = require('./wake')

class Keepalive {
  /**
   * session: the addon's. keepalive 0: off. onLost(seconds) comes at most once,
   * says for how long nothing came, and has to close it. wakes: of wake.js.
   */
  constructor (session, { keepalive, keepaliveMax }, onLost, wakes = wake) {
    this._session = session
    this._max = keepaliveMax
    this._step = keepalive * 1000 * keepaliveMax / (keepaliveMax + 1)
    this._onLost = onLost
    this._received = session.received()
    this._asked = 0 // since something came
    this._askedAt = 0 // the first of these
    this._isProbing = false // woken: this question is the last
    this._timer = null
    this._turn = null
    this._off = null
    if (keepalive === 0) return
    this._off = wakes.on(() => this.probe())
    this._wait(this._step)
  }

  /** Asks now; without an answer in one step the peer is lost. */
  probe () {
    if (this._off === null) return
    this._hear()
    if (this._isProbing || this._asked >= this._max) return // its time runs already
    this._isProbing = true
    this._ask()
  }

  /** For how long the first question has been waiting for an answer; 0: none does. */
  unansweredMs () {
    if (this._off === null) return 0
    this._hear()
    return this._asked === 0 ? 0 : performance.now() - this._askedAt
  }

  close () {
    clearTimeout(this._timer)
    clearImmediate(this._turn)
    this._timer = this._turn = null
    this._off?.()
    this._off = null
  }

  _wait (ms) {
    clearTimeout(this._timer)
    clearImmediate(this._turn)
    this._turn = null
    this._timer = setTimeout(onTime, Math.max(1, Math.ceil(ms)), this).unref()
  }

  _ask () {
    if (this._asked++ === 0) this._askedAt = performance.now()
    this._session.keepalive()
    this._wait(this._step)
  }

  /** Has anything come? Then nothing is unanswered. */
  _hear () {
    const received = this._session.received()
    if (received === this._received) return
    this._received = received
    this._asked = 0
    this._isProbing = false
  }

  _judge () {
    this._hear()
    const silence = this._session.silence()
    if (this._asked === 0 && silence < this._step) return this._wait(this._step - silence)
    if (this._asked < this._max && !this._isProbing) return this._ask()
    this.close()
    this._onLost(Math.round(silence / 1000))
    this._session.close() // once more: at once, for nobody takes its last words
  }
}

/**
 * How long the kernel may wait for what was sent to be acknowledged, in
 * milliseconds: a step more than it takes to be lost, so that it is for those
 * who do not ask, as in a login, or cannot any more, as after a close().
 */
function unackedMs ({ keepalive, keepaliveMax }) {
  return Math.min(keepalive * (keepaliveMax + 1) * 1000, 2 ** 31 - 1)
}

function onTime (keepalive) {
  keepalive._turn = setImmediate(onTurn, keepalive)
}

function onTurn (keepalive) {
  keepalive._judge()
}

module.exports = { Keepalive, unackedMs }
