'use strict'

/**
 * A question that each SSH peer has to answer, and whether anything came within
 * a time: the answer, or any other byte. One question is for all who ask.
 */

class SignOfLife {
  /** session: the addon's, whose onreply comes here. */
  constructor (session) {
    this._session = session
    this._asked = null // the promise for those who ask
    this._id = null
    this._settle = null
  }

  /** Resolves with whether the peer is there. ms: how long it may take. */
  ask (ms) {
    this._asked ??= this._ask(ms).finally(() => { this._asked = null })
    return this._asked
  }

  _ask (ms) {
    const before = this._session.received()
    return new Promise((resolve) => {
      // In the turn after its time: an answer may wait in the kernel, as after a SIGSTOP.
      let turn = null
      const judge = () => this._settle(this._session.received() > before)
      const timer = setTimeout(() => { turn = setImmediate(judge) }, ms)
      this._settle = (isThere) => {
        clearTimeout(timer)
        clearImmediate(turn)
        this._settle = this._id = null
        resolve(isThere)
      }
      try {
        this._id = this._session.ping()
      } catch {
        this._settle(false) // it is at its end
      }
    })
  }

  /** Of the addon; yes is false at the end of the session. */
  onreply (id, yes) {
    if (id === this._id) this._settle?.(yes)
  }

  /** The session is over. */
  close () {
    this._settle?.(false)
  }
}

module.exports = { SignOfLife }
