'use strict'

/**
 * One end of a stream of events, as createEventTarget() gives it: what is
 * dispatched here is heard at the other end, what is dispatched there here.
 *
 *   attached -> the stream is lost -> over, or (reattach, session) detached -> attached
 *            -> close() ------------> over
 *
 * The topics that somebody listens to here are told to the other end, which a
 * hub needs to know. What has been told is kept for each stream: a new stream
 * is told everything once, and what changes in between is told as the
 * difference, so that no number of calls can pile up messages.
 */

const { canceled, fail, optionError } = require('../errors')
const { checkEvent, encodeFrame } = require('./frames')
const { Link, checkStream } = require('./link')
const { EventEnd } = require('./locals')
const { eventOptions } = require('./options')
const { Queue } = require('./queue')
const { Source } = require('./source')
const { isReserved, patternProblem } = require('./topics')

/** Made by createEventTarget(). */
class Target extends EventEnd {
  /** options: of eventOptions(). */
  constructor (options) {
    super(options)
    this._queue = new Queue(options, { ms: options.blockTimeout * 1000, onstall: () => this._stalled() })
    this._link = null
    this._told = new Map() // topic that the other end was told => id of the message
    this._lastId = 0
    this._granted = new Set() // those that it has confirmed
    this._untold = new Set() // topics whose change it has not been told
    this._isOver = false
    this._source = null // of streams, where there is a session
    this._hasGap = false // it was attached before: something may have been missed
    /** Why it ended, or null. */
    this.error = null
    /** Resolves when it is over; never rejects. */
    this.closed = new Promise((resolve) => { this._resolveClosed = resolve })
    if (options.stream !== undefined) this._attach(options.stream)
    if (options.session !== undefined) this._source = new Source(this, options.session, options.destination)
  }

  /** Whether it has a stream. */
  get isAttached () {
    return this._link !== null
  }

  /** How many events the policy has dropped on their way to the other end. */
  get dropped () {
    return this._queue.dropped
  }

  /**
   * Sends an event: { type, id, payload }. Throws for what is no event. The
   * promise resolves when the event has its place in the queue; nobody has to
   * look at it.
   * @returns {Promise<void>}
   */
  dispatchEvent (event, options = {}) {
    const { signal } = eventOptions('dispatch', options)
    const frame = encodeFrame(checkEvent(event, this._options), this._options)
    const sent = this._send(frame, signal)
    sent.catch(() => {})
    return sent
  }

  async _send (frame, signal) {
    if (signal?.aborted) throw canceled('events', signal.reason)
    if (this._isOver) throw this.error ?? fail('CLOSED', 'events', 'the event target is closed')
    let wait
    try {
      wait = this._queue.push(frame, frame.length, signal)
    } catch (err) {
      if (this._options.policy === 'disconnect') this._link?.fail(err)
      throw err
    }
    this._link?.flush()
    await wait
  }

  /** Goes on with another stream, and tells it the topics. */
  attach (stream) {
    this._assertOpen()
    checkStream('stream', stream)
    this._link?.drop()
    this._attach(stream)
  }

  /**
   * Lets what was dispatched leave, for 2 s at most, and ends the stream.
   * @returns {Promise<void>} closed
   */
  close () {
    this._over(null)
    return this.closed
  }

  [Symbol.asyncDispose] () {
    return this.close()
  }

  // ---- the stream

  _attach (stream) {
    this._told.clear()
    this._granted.clear()
    this._untold = new Set(this._locals.topics())
    this._link = new Link(this, stream, this._options)
    this._locals.tell('__attached', { gap: this._hasGap })
    this._hasGap = true
    this._link?.flush()
  }

  /** For the link: what is next to leave. */
  nextFrame () {
    for (const topic of this._untold) {
      this._untold.delete(topic)
      const isWanted = this._locals.wants(topic)
      if (isWanted === this._told.has(topic)) continue
      return this._tell(topic, isWanted)
    }
    return this._queue.take() ?? null
  }

  _tell (topic, isWanted) {
    const id = String(++this._lastId)
    this._granted.delete(topic)
    if (isWanted) this._told.set(topic, id)
    else this._told.delete(topic)
    return encodeFrame({ type: isWanted ? '__subscribe' : '__unsubscribe', id, payload: { topic } }, this._options)
  }

  onframe (link, event, size) {
    switch (event.type) {
      case '__subscribe':
        // Everything is sent to this one peer in any case.
        link.reply('__subscribed', event.id, { topic: this._topicOf(event) })
        return null
      case '__subscribed':
        this._onGranted(event)
        return null
      case '__refused':
        return this._onRefused(event)
    }
    return isReserved(event.type) ? null : this._locals.deliver(event, size)
  }

  onlost (link, err) {
    if (!this._options.reattach && this._source === null) return this._over(err)
    this._link = null
    this._source?.lost()
    this._locals.tell('__detached', { code: err === null ? null : err.code })
  }

  _topicOf ({ payload }) {
    const topic = payload?.topic
    const problem = patternProblem(topic, this._options.maxTopic)
    if (problem !== null) throw fail('PROTO', 'events', `a topic ${problem}`)
    return topic
  }

  _onGranted (event) {
    const topic = this._topicOf(event)
    if (this._told.get(topic) !== event.id) return // of one that has been left since
    this._granted.add(topic)
    for (const one of this._locals.subscriptions(topic)) one.granted()
  }

  _onRefused (event) {
    const topic = this._topicOf(event)
    const { action, code } = event.payload
    if (action === 'subscribe' && this._told.get(topic) === event.id) {
      const err = refusal(topic, code)
      for (const one of this._locals.subscriptions(topic)) one.fail(err)
    }
    return this._locals.deliver(event, 0)
  }

  _stalled () {
    const err = fail('TIMEOUT', 'events', `the other end has taken no event for ${this._options.blockTimeout} s (blockTimeout)`)
    this._queue.rejectWaiting(err)
    this._link?.fail(err)
  }

  /** For the source: there will be no other stream. err: why, or null. */
  end (err) {
    this._over(err)
  }

  // ---- for locals.js

  onwant (topic) {
    const { maxSubscriptions } = this._options
    if (this._locals.topics().length >= maxSubscriptions) throw fail('LIMIT', 'events', `more than ${maxSubscriptions} topics (maxSubscriptions)`)
    this._changed(topic)
  }

  onleave (topic) {
    this._changed(topic)
  }

  onjoin (subscription) {
    if (this._granted.has(subscription.topic)) subscription.granted()
  }

  // Told when this turn is over: who takes a topic and leaves it again is not heard.
  _changed (topic) {
    this._untold.add(topic)
    queueMicrotask(() => this._link?.flush())
  }

  // ---- the end

  _assertOpen () {
    if (this._isOver) throw fail('CLOSED', 'events', 'the event target is closed')
  }

  _over (err) {
    if (this._isOver) return
    this._isOver = true
    this.error = err
    const link = this._link
    this._link = null
    this._source?.close()
    this._locals.close(err)
    this._untold.clear() // the end says it all
    this._queue.rejectWaiting(err ?? fail('CLOSED', 'events', 'the event target is closed'))
    link?.close()
    Promise.resolve(link?.closed).then(this._resolveClosed)
  }
}

// The peer's code decides between two of ours, and no text of its is shown.
function refusal (topic, code) {
  if (code === 'ERR_ALKNET_LIMIT') return fail('LIMIT', 'events', `too many topics to subscribe to ${topic} as well`)
  return fail('AUTH', 'events', `not allowed to subscribe to ${topic}`, { advice: 'ask for the scope topics:subscribe:… at the server' })
}

/**
 * An event target over a stream.
 * @param {object} options stream, or session and destination, or reattach; and limits
 * @returns {Target}
 */
function createEventTarget (options) {
  const checked = eventOptions('target', options)
  const { stream, session, reattach } = checked
  if (session !== undefined && (stream !== undefined || reattach)) throw optionError('session', 'makes no sense together with stream or reattach')
  if (session === undefined && options.destination !== undefined) throw optionError('destination', 'makes sense only together with session')
  if (stream === undefined && session === undefined && !reattach) {
    throw optionError('stream', 'is required: a Duplex (or session, or set reattach and attach() one later)')
  }
  return new Target(checked)
}

module.exports = { createEventTarget }
