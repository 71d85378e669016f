'use strict'

/**
 * What goes through a client's session: streams of this program, and
 * connections of its listeners. A new one needs a link; while there is none but
 * is to be one, it waits.
 */

const { fail } = require('./errors')
const { Opening } = require('./opening')
const { Relays } = require('./relays')
const { Waiting } = require('./waiting')

class Channels {
  /** session: of session.js. */
  constructor (session) {
    this._session = session
    this._waiting = new Waiting(session._options)
    this._streams = new Set() // channels that are somebody's Duplex
    this._streamsTotal = 0
    this._isStopped = false
    this.relays = new Relays((err) => { if (err !== null) session._log.debug('connection failed', { error: err.code }) })
    /** Of SOCKS, from their request on. */
    this.clients = new Set()
  }

  count () {
    return { channels: this.relays.count + this._streams.size, channelsTotal: this.relays.total + this._streamsTotal }
  }

  /** Resolves when there is a link. */
  ready (stage, signal) {
    return new Promise((resolve, reject) => {
      this._waiting.add((err) => { if (err === null) resolve(); else reject(err) }, stage, signal)
    })
  }

  /**
   * Calls done(err): now when there is a link, else when there is one, or it
   * has waited long enough. Gives a function that forgets it.
   */
  withLink (done) {
    const isReady = this._session._isReady
    if (!isReady && !this._isStopped) return this._waiting.add(done, 'channel')
    done(isReady ? null : closedError())
    return () => {}
  }

  /** Opens a channel; streamOf(channel) gives the Stream that it becomes, at once. */
  async openStream (target, signal, streamOf) {
    const session = this._session
    session._checkOpen('channel', signal)
    if (!session._isReady) await this.ready('channel', signal)
    const channel = session._pool.pick(target).openChannel(target)
    return new Promise((resolve, reject) => {
      new Opening(channel, session._openMs, signal, (err, opened) => { // eslint-disable-line no-new
        if (err) reject(err)
        else resolve(this.keep(streamOf(opened)))
      })
    })
  }

  /** Counts a stream for as long as it is open. */
  keep (stream) {
    this._streamsTotal++
    this._streams.add(stream)
    stream.once('close', () => this._streams.delete(stream))
    return stream
  }

  /** Opens a channel for what a forward has accepted, and joins both. */
  join (stream, there) {
    this.withLink((err) => {
      const channel = err === null ? this._guard(() => this._session._pool.pick(there).openChannel(there)) : null
      if (channel === null) stream.close()
      else this.relays.joinOpening(stream, channel, this._session._openMs)
    })
  }

  /** Opens a channel for a SOCKS client and joins both; false: the engine cannot. There is a link. */
  connect (socks, host, port) {
    const ms = this._session._openMs
    const link = this._session._pool.pick({ host, port })
    const begun = this._guard(() => {
      socks.connect(link.handle, host, port, ms)
      return socks
    })
    if (begun === null) return false
    this.relays.add()
    link.traceChannel(socks)
    return true
  }

  /** What open() gives, or null when it throws. */
  _guard (open) {
    try {
      return open()
    } catch (err) {
      this._session._log.debug('channel failed', { error: err.code })
      return null
    }
  }

  // ---- for session.js

  /** There is a link. */
  linked () {
    this._waiting.settle(null)
  }

  /** There will be no other link. err: why, or null. */
  stop (err) {
    this._isStopped = true
    this._waiting.settle(err ?? closedError())
  }

  /** The session is over. A relay ends with its channel. */
  end (err) {
    this.stop(err)
    for (const client of this.clients) client.close()
  }
}

function closedError () {
  return fail('CLOSED', 'channel', 'the session is closed')
}

module.exports = { Channels }
