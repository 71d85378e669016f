'use strict'

/**
 * Notices a peer that is gone. Every `seconds` in which nothing was received a
 * question is sent that every SSH peer has to answer; after `max` of them
 * without an answer the session counts as lost.
 */

class Keepalive {
  /** session: the addon's. seconds 0: off. onLost() comes at most once. */
  constructor (session, { keepalive, keepaliveMax }, onLost) {
    this._session = session
    this._max = keepaliveMax
    this._onLost = onLost
    this._received = session.received()
    this._unanswered = 0
    this._timer = keepalive === 0 ? null : setInterval(onTick, keepalive * 1000, this).unref()
  }

  close () {
    clearInterval(this._timer)
    this._timer = null
  }

  _tick () {
    const received = this._session.received()
    if (received !== this._received) {
      this._received = received
      this._unanswered = 0
    } else if (this._unanswered >= this._max) {
      this.close()
      this._onLost()
    } else {
      this._unanswered++
      this._session.keepalive()
    }
  }
}

function onTick (keepalive) {
  keepalive._tick()
}

module.exports = { Keepalive }
