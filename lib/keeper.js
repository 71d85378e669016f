'use strict'

/**
 * Gives a session its links: the first, and, where that was asked for, another
 * one whenever one is lost (spec §3).
 *
 *   begin() -> connecting -> ready -> lost()
 *                 ^  | no              | reconnect
 *                 |  v                 v
 *               waiting <-------------/
 *
 * Each try goes to the servers in turn, the last that was good first. What no
 * further try can change ends the session, and so does any failure where
 * nobody has asked for more than one try.
 */

const { Backoff } = require('./backoff')
const { BYE } = require('./bye')
const { canceled, fail } = require('./errors')
const { formatHostPort } = require('./addresses')
const { Link } = require('./link')
const { Pause } = require('./pause')
const { atConnect } = require('./transport')
const { wake } = require('./wake')

// What the user has to change whenever it shows; and what, at first, is not
// taken for a weakness that passes.
const FATAL = new Set(['ERR_ALKNET_HOSTKEY', 'ERR_ALKNET_OPTION', 'ERR_ALKNET_UNSUPPORTED'])
const FATAL_AT_FIRST = new Set([...FATAL, 'ERR_ALKNET_AUTH', 'ERR_ALKNET_KEY', 'ERR_ALKNET_CANCELED'])

// A server that had no place for another login has not refused a key.
const isFull = ({ code, reason }) => code === 'ERR_ALKNET_AUTH' && reason === BYE.TOO_MANY_CONNECTIONS

/** Whether no further try can help. isFirst: there was no session yet. */
function isFatal (err, isFirst) {
  if (!isFirst) return FATAL.has(err.code)
  if (isFull(err)) return false
  // A new host key that cannot be written down is the user's to change, too.
  return FATAL_AT_FIRST.has(err.code) || (err.stage === 'hostkey' && !err.retryable)
}

class Keeper {
  /** session: of session.js. wakes: of wake.js. */
  constructor (session, wakes = wake) {
    const { reconnect, retry, server } = session._options
    this._session = session
    this._wakes = wakes
    this._limits = reconnect
    this._retries = retry
    this._servers = server ?? [null] // the one that was good last is the first
    this._backoff = new Backoff(reconnect)
    this._isTrying = false
    this._isHurried = false // reconnect() was called
    this._isStopped = false
    this._pause = null // while it waits
    this._askers = new Set() // of reconnect()
    this._span = null // of the trace, from a loss on
    /** How many tries have failed since the last link. */
    this.attempts = 0
    /** Why there is no link, or null. */
    this.problem = null
  }

  /** When the next try begins; null: it does not wait for one. */
  get retryAt () {
    return this._pause?.until ?? null
  }

  /** Resolves with the first link, when the server listens on all that it was asked for. */
  async begin (signal) {
    const onAbort = () => this.hurry()
    signal?.addEventListener('abort', onAbort, { once: true })
    try {
      await this._connect(true, signal)
    } finally {
      signal?.removeEventListener('abort', onAbort)
    }
  }

  /** Whether there will be another link when this one is over. */
  get isKeeping () {
    return !this._isStopped && (this._limits.isOn || this._isTrying || this._isHurried)
  }

  /** Whether it makes a link, or waits to. */
  get isTrying () {
    return this._isTrying
  }

  /** The link is over. */
  lost () {
    // A try fails by it. Who listens to the state may have stopped this.
    if (!this._isTrying && !this._isStopped) this._run(this._session._link.error)
  }

  /** A new link, at once. Resolves when it is there. */
  again (signal) {
    return new Promise((resolve, reject) => {
      const asker = { resolve, reject, signal }
      asker.onAbort = () => this._answer(asker, canceled('session', signal.reason))
      signal?.addEventListener('abort', asker.onAbort, { once: true })
      this._askers.add(asker)
      if (this.hurry()) return
      this._isHurried = true
      this._session._pool.drop(null)
      this._session._link?.close(null)
    })
  }

  /** Ends a wait. Gives whether there was one. */
  hurry () {
    if (this._pause === null) return false
    this._pause.end()
    return true
  }

  /** There will be no other link. err: null, or why. */
  stop (err) {
    if (this._isStopped) return
    this._isStopped = true
    this.hurry()
    this._span?.over(err)
    for (const asker of this._askers) this._answer(asker, err ?? closedError())
  }

  /** Whether the process stays up for a wait. */
  keepAlive (keeps) {
    this._pause?.keepAlive(keeps)
  }

  _answer (asker, err) {
    if (!this._askers.delete(asker)) return
    asker.signal?.removeEventListener('abort', asker.onAbort)
    if (err === null) asker.resolve()
    else asker.reject(err)
  }

  // ---- trying

  async _run (why) {
    this._isTrying = true
    this.problem = why
    this._span = this._session._trace.reconnect()
    try {
      if (!this._isHurried) await this._wait(why)
      await this._connect(false)
    } catch (err) {
      this._session._shut(err)
    }
  }

  /** Tries until there is a link. */
  async _connect (isFirst, signal) {
    this._isTrying = true
    for (this.attempts = 0; ;) {
      if (this._isStopped) throw closedError()
      if (signal?.aborted) throw canceled('connect', signal.reason)
      this._isHurried = false
      const failure = await this._try(isFirst, signal)
      // Who was told that it is there may have given it up by now.
      if (failure === null && this._session._isReady) return this._linked()
      const err = failure ?? this._session._link.error ?? canceled('connect')
      this.problem = err
      if (this._isStopped || signal?.aborted) throw err
      if (this._isHurried) continue
      this.attempts++
      if (this._givesUp(err, isFirst)) throw err
      await this._wait(err)
    }
  }

  _givesUp (err, isFirst) {
    const { isOn, maxAttempts } = this._limits
    if (isFatal(err, isFirst) || !(isFirst ? this._retries : isOn)) return true
    return maxAttempts > 0 && this.attempts >= maxAttempts
  }

  _linked () {
    this._isTrying = false
    this._span?.open()
    this._span = null
    for (const asker of this._askers) this._answer(asker, null)
  }

  /** Tries each server once. Gives null, or why there is no link. */
  async _try (isFirst, signal) {
    const session = this._session
    let problem = null
    this._span?.tell('attempt', { attempt: this.attempts + 1 })
    for (const server of [...this._servers]) {
      await session._link?.closed
      if (this._isStopped || this._isHurried) break
      session._enter('connecting')
      const err = await this._tryServer(server, isFirst, signal)
      if (err === null) return null
      problem ??= err
      if (isFatal(err, isFirst)) return err
      if (this._servers.length > 1) session._log.info('server failed', { server: formatHostPort(server.host, server.port), error: err.code })
    }
    return problem ?? canceled('connect')
  }

  async _tryServer (server, isFirst, signal) {
    const link = this._session._newLink(new Link(this._session, server))
    try {
      await link.open(signal)
      // At first there is no session before the server listens, and a no counts as a try.
      if (isFirst) await this._session._listenThere(link)
      this._good(server)
      if (!isFirst) await this._session._remote.again(link)
      // It may be lost again by now.
      return link.isReady ? null : link.error ?? canceled('connect')
    } catch (err) {
      await link.close(err)
      // At the end of a session each question that is open is answered with no.
      const cause = err.code === 'ERR_ALKNET_CHANNEL' && link.lost !== null ? link.reasonOf(link.lost) : err
      return atConnect(cause, server)
    }
  }

  /** There is a session: this server is the first to be tried from now on. */
  _good (server) {
    const all = this._session._options.server ?? [null]
    this._servers = [server, ...all.filter((one) => one !== server)]
    this._backoff.reset()
    this.attempts = 0
    this.problem = null
  }

  /** err: why there is no link. */
  _wait (err) {
    return new Promise((resolve) => {
      this._pause = new Pause(this._backoff, this._wakes, () => {
        this._pause = null
        resolve()
      })
      if (this._session._isUnref) this._pause.keepAlive(false)
      this._session._enter('waiting', err, this._pause.delay / 1000)
    })
  }
}

function closedError () {
  return fail('CLOSED', 'session', 'the session is closed')
}

module.exports = { Keeper, isFatal, isFull }
