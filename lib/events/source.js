'use strict'

/**
 * The streams of a target that has a session: one from the beginning, and
 * another one whenever that is lost while the session lives.
 *
 *   open -> attached -> lost -> open, when the session is ready again, or after a while
 *    | no: the server refuses, for the first time -> the target is over
 *    |     any other time -> as when it is lost
 *    \ the session is over -> so is the target
 */

const { Backoff } = require('../backoff')

// A hub that ends us at once is not to be asked again at once; and a server that
// has just come back may not have its hub yet.
const DELAYS = { minDelayMs: 1000, maxDelayMs: 30_000 }
const LONG_MS = 60_000

class Source {
  /** target: of target.js. session: of session.js, or a like of it. destination: { host, port }. */
  constructor (target, session, destination, delays = DELAYS) {
    this._target = target
    this._session = session
    this._destination = destination
    this._backoff = new Backoff(delays)
    this._attachedAt = null
    this._isOver = false
    this._canceled = new AbortController()
    this._timer = null
    this._onState = (state) => {
      if (state !== 'ready') return
      this._backoff.reset()
      this._open()
    }
    this._onClose = (err) => target.end(err)
    session.once('close', this._onClose)
    this._open()
  }

  /** The stream of the target is gone, and the target is not. */
  lost () {
    if (performance.now() - this._attachedAt > LONG_MS) this._backoff.reset()
    this._later()
  }

  close () {
    this._isOver = true
    this._pause()
    this._canceled.abort()
    this._session.off('close', this._onClose)
  }

  async _open () {
    if (this._isOver) return
    this._pause()
    let stream
    try {
      stream = await this._session.open(this._destination, { signal: this._canceled.signal })
    } catch (err) {
      return this._failed(err)
    }
    if (this._isOver) return stream.destroy()
    this._attachedAt = performance.now()
    this._target.attach(stream)
  }

  _failed (err) {
    if (this._isOver || err.code === 'ERR_ALKNET_CLOSED') return // 'close' comes, or has
    if (this._attachedAt === null && err.code === 'ERR_ALKNET_CHANNEL') return this._target.end(err)
    this._later()
  }

  _later () {
    this._session.on('state', this._onState)
    this._timer = setTimeout(() => this._open(), this._backoff.next())
    this._timer.unref()
  }

  _pause () {
    clearTimeout(this._timer)
    this._session.off('state', this._onState)
  }
}

module.exports = { Source }
