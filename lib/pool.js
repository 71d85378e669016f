'use strict'

/**
 * The links of a session beside its first: several SSH sessions with the same
 * server, where one is not enough (`sessions`). One is full when it has
 * `sessionChannels` channels, or when `sessionRate` bytes a second go over it.
 *
 *   a new channel -> the link with the fewest that is not busy
 *                      \ it is full, too -> dial -> ready, for channels after this
 *   ready -> without a channel for sessionIdle seconds -> closed
 *         -> lost: its channels end, and nothing else does
 *         -> the first link is lost: this one takes its place
 *   the last of all is lost, or the session gives its link up -> all are closed
 *
 * No channel waits for a link that is under way: it goes where there is one.
 * The first link, and whatever is to be had only once, are session.js's and
 * keeper.js's; none is added while they make a link themselves.
 */

const { Backoff } = require('./backoff')
const { fail } = require('./errors')
const { isFatal, isFull } = require('./keeper')
const { keyOf } = require('./known-hosts')
const { Link } = require('./link')

const TICK_MS = 1000
const CONTROL = 'alknet-control' // what is said there is said in one place
const BUSY = 2 ** 20 // channels that a busy link seems to have besides

// A server that has no room for another one is not to be asked all the time.
const DELAYS = { minDelayMs: 1000, maxDelayMs: 60_000 }

/** Both ways. */
function bytesOf (link) {
  const bytes = link.bytes()
  return bytes.in + bytes.out
}

class Pool {
  /** session: of session.js. */
  constructor (session) {
    const { sessions, sessionChannels, maxChannels, sessionRate, sessionIdle } = session._options
    this._session = session
    this._max = sessions
    // The one that finds it full still has to have a place there.
    this._fullChannels = Math.max(1, Math.min(sessionChannels, maxChannels - 1))
    this._fullRate = sessionRate
    this._idleMs = sessionIdle * 1000
    this._all = new Set() // of which something is left
    this._ready = [] // the oldest first
    this._opening = null
    this._loads = new WeakMap() // link => { bytes, isBusy, isUsed, idleSince }
    this._backoff = new Backoff(DELAYS)
    this._forget()
  }

  /** How many are ready. */
  get size () {
    return this._ready.length
  }

  // ---- channels

  /** The link that a channel to target goes over; the first is ready. */
  pick (target) {
    const first = this._session._link
    if (this._max === 1 || target.host === CONTROL) return first
    this._watch()
    let best = first
    let fewest = Infinity
    let sum = 1
    for (const link of [first, ...this._ready]) {
      const channels = link.channels()
      const load = channels + (this._loads.get(link)?.isBusy ? BUSY : 0)
      sum += channels
      if (load >= fewest) continue
      best = link
      fewest = load
    }
    // It may be over before anybody looks.
    const chosen = this._loads.get(best)
    if (chosen !== undefined) chosen.isUsed = true
    if (fewest >= this._fullChannels) this._want(Math.ceil(sum / this._fullChannels))
    return best
  }

  /** It would be better if there were that many links. */
  _want (count) {
    this._wanted = Math.min(this._max, Math.max(count, this._ready.length + 2))
    this._grow()
  }

  _grow () {
    const isOver = this._session._isStopping || this._session._keeper.isTrying || !this._session._isReady
    if (isOver || this._opening !== null || this._isRefused || performance.now() < this._notBefore) return
    if (this._ready.length + 1 < this._wanted) this._open()
  }

  async _open () {
    const link = new Link(this._session, this._session._link.server, this)
    this._opening = link
    this._keep(link)
    try {
      await link.open()
      if (!link.isReady) throw link.error
    } catch (err) {
      if (this._opening === link) this._failed(err)
      return
    }
    if (this._opening !== link) return
    this._opening = null
    this._backoff.reset()
    this._grow()
  }

  _failed (err) {
    this._opening = null
    this._isRefused = isFatal(err, false)
    // To be refused a key is a penalty at some servers: not one that the first has to share.
    const delay = err.code === 'ERR_ALKNET_AUTH' && !isFull(err) ? DELAYS.maxDelayMs : this._backoff.next()
    this._notBefore = performance.now() + delay
    this._session._log.warn('no further session', { error: err.code })
  }

  // ---- for link.js

  _linkReady (link) {
    // Another server that is trusted, too: what is local there is not what is local here.
    if (!keyOf(link.hostKey).equals(keyOf(this._session._link.hostKey))) {
      link.close(fail('HOSTKEY', 'hostkey', 'a further session came to a server with another host key'))
      return
    }
    this._ready.push(link)
    this._tell(null)
    this._watch()
  }

  _linkDown (link) {
    if (!this._ready.includes(link)) return
    this._ready = this._ready.filter((one) => one !== link)
    this._tell(link.error)
    if (link.error === null) return
    // What has ended this one may have ended all.
    for (const one of [this._session._link, ...this._ready]) one.probe()
  }

  _tell (err) {
    this._session._log.info('sessions', { open: this._ready.length + 1, error: err?.code })
  }

  // ---- for session.js

  /** The first link is over. Gives one that takes its place, or null: then none is left. */
  next (first) {
    const link = this._ready.shift()
    if (link === undefined) {
      this.drop(null)
      return null
    }
    this._keep(first)
    this._all.delete(link)
    this._tell(first.error)
    for (const one of [link, ...this._ready]) one.probe()
    return link
  }

  /** Closes all of them, for err, or null. */
  drop (err) {
    this._forget()
    for (const link of this._all) link.close(err)
  }

  /** Resolves when nothing of them is left. */
  async closed () {
    await Promise.all([...this._all].map((link) => link.closed))
  }

  /** Of all that are not gone. */
  bytes () {
    const sum = { in: 0, out: 0 }
    for (const link of this._all) {
      const bytes = link.bytes()
      sum.in += bytes.in
      sum.out += bytes.out
    }
    return sum
  }

  keepAlive (keeps) {
    for (const link of this._all) link.keepAlive(keeps)
  }

  /** Is there, and counts, until nothing of it is left. */
  _keep (link) {
    this._all.add(link)
    link.closed.then(() => {
      if (this._all.delete(link)) this._session._linkGone(link)
    })
  }

  _forget () {
    clearInterval(this._timer)
    this._timer = null
    this._ready = []
    this._opening = null
    this._wanted = 1
    this._isRefused = false // for good
    this._notBefore = 0
    this._backoff.reset()
  }

  // ---- how busy they are, and how idle

  _watch () {
    if (this._timer !== null || this._max === 1) return
    this._timer = setInterval(() => this._measure(performance.now()), TICK_MS).unref()
    this._at = performance.now()
    for (const link of [this._session._link, ...this._ready]) this._loads.set(link, { bytes: bytesOf(link), isBusy: false, isUsed: false, idleSince: this._at })
  }

  /** now: ms, that only grow. */
  _measure (now) {
    let moved = 0
    for (const link of [this._session._link, ...this._ready]) moved += this._measureOne(link, now)
    this._at = now
    // Nothing goes on, and there is nothing to close: until the next channel.
    if (moved > 0 || this._ready.length > 0) return
    clearInterval(this._timer)
    this._timer = null
  }

  _measureOne (link, now) {
    const bytes = bytesOf(link)
    const last = this._loads.get(link) ?? { bytes, isUsed: true, idleSince: now }
    const moved = bytes - last.bytes
    const isBusy = this._fullRate > 0 && moved >= this._fullRate * (now - this._at) / 1000
    const idleSince = last.isUsed || link.channels() > 0 ? now : last.idleSince
    this._loads.set(link, { bytes, isBusy, isUsed: false, idleSince })
    const isIdle = this._idleMs > 0 && now - idleSince >= this._idleMs
    if (isIdle && link !== this._session._link) link.close(null)
    return moved
  }
}

module.exports = { Pool }
