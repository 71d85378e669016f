'use strict'

/**
 * The middle of a star: clients publish to it, it passes on to those who have
 * subscribed, never back to the one it came from. Who may do what is asked of
 * authorize(), with the identity that the session has proven.
 *
 * One event of one client is decided and given to every queue before the next
 * one of that client is read. All queues get events in one order, the hub's.
 */

const { fail, optionError } = require('../errors')
const { checkEvent, encodeFrame } = require('./frames')
const { Link, checkStream } = require('./link')
const { EventEnd } = require('./locals')
const { eventOptions } = require('./options')
const { authorizeByScopes } = require('./permissions')
const { Queue } = require('./queue')
const { TopicTree, isReserved, patternProblem } = require('./topics')

// Calls go from one to one: passing them on to whoever listens would tell on them.
const CALLS = /^call(\.|$)/

/** One client of a hub. */
class Client {
  constructor (hub, stream, info) {
    const options = hub._options
    this.identity = info?.identity ?? null
    this.info = info
    this.topics = new Set()
    this.queue = new Queue(options, {
      ms: options.blockTimeout * 1000,
      onstall: () => this.cutOff(fail('TIMEOUT', 'events', `no event taken for ${options.blockTimeout} s (blockTimeout)`))
    })
    this._hub = hub
    this.link = new Link(this, stream, options)
  }

  nextFrame () {
    return this.queue.take() ?? null
  }

  onframe (link, event, size) {
    return this._hub._onframe(this, event, size)
  }

  onlost () {
    this._hub._left(this)
  }

  /** Queues a frame for the client. Gives null, or a promise when it has to wait. */
  send (frame) {
    let wait
    try {
      wait = this.queue.push(frame, frame.length)
    } catch (err) {
      this.cutOff(err)
      return null
    }
    this.link.flush()
    // A chunk of a publisher holds more events than a stream takes in one turn:
    // a client that needs only that turn is not one that reads too slowly.
    return wait ?? (this.queue.isCrowded ? new Promise(setImmediate) : null)
  }

  /** Ends the client, whom nobody waits for any longer. */
  cutOff (err) {
    this.link.fail(err)
  }
}

/** Made by createEventHub(). */
class Hub extends EventEnd {
  /** options: of eventOptions(). server: a Server, or null. */
  constructor (server, options) {
    super(options)
    this._authorize = options.authorize ?? authorizeByScopes
    this._clients = new Set()
    this._tree = new TopicTree() // of clients
    this._links = new Set() // also of clients that have left, until their streams are gone
    this._isClosing = false
    this._server = server
    this._onServerClose = () => this.close()
    this._release = server?.handle(options.destination.replace(/:\d+$/, ''), (stream, info) => this._arrived(stream, info))
    server?.once('close', this._onServerClose)
    /** Resolves when it is closed; never rejects. */
    this.closed = new Promise((resolve) => { this._resolveClosed = resolve })
  }

  /** How many clients it has. */
  get clients () {
    return this._clients.size
  }

  /**
   * Takes a stream of a client in.
   * @param {Duplex} stream
   * @param {{ identity?: object }} [info] of onConnection
   */
  accept (stream, info) {
    checkStream('stream', stream)
    this._assertOpen()
    const client = new Client(this, stream, info)
    this._links.add(client.link)
    client.link.closed.then(() => {
      this._links.delete(client.link)
      this._checkClosed()
    })
    const { maxClients } = this._options
    if (this._clients.size >= maxClients) return client.cutOff(fail('LIMIT', 'events', `more than ${maxClients} clients (maxClients)`))
    this._clients.add(client)
  }

  /**
   * Publishes an event of the server's own, without asking authorize(). Throws
   * for what is no event. The promise resolves when each subscriber's queue has
   * it; nobody has to look at it.
   * @returns {Promise<void>}
   */
  dispatchEvent (event) {
    this._assertOpen()
    const checked = checkEvent(event, this._options)
    const frame = encodeFrame(checked, this._options)
    // As the clients get it: what JSON does to a payload is the same for all.
    const { payload } = JSON.parse(frame.toString('utf8', 4))
    return Promise.resolve(this._route(null, { ...checked, payload }, frame)).then(() => {})
  }

  /**
   * Takes nobody in any more, lets what is queued leave, for 2 s at most, and
   * ends all streams.
   * @returns {Promise<void>} closed
   */
  close () {
    if (this._isClosing) return this.closed
    this._isClosing = true
    this._release?.()
    this._server?.removeListener('close', this._onServerClose)
    this._locals.close(null)
    for (const client of [...this._clients]) {
      client.link.close()
      this._left(client)
    }
    this._checkClosed()
    return this.closed
  }

  [Symbol.asyncDispose] () {
    return this.close()
  }

  // ---- clients

  _arrived (stream, info) {
    // The name is the hub's with all of its ports.
    if (info.destination === this._options.destination) this.accept(stream, info)
    else stream.destroy()
  }

  _left (client) {
    this._clients.delete(client)
    for (const topic of client.topics) this._tree.delete(topic, client)
    client.topics.clear()
    // Who waits for this client's queue has waited long enough.
    client.queue.rejectWaiting(null)
  }

  _onframe (client, event, size) {
    if (event.type === '__subscribe') return this._onSubscribe(client, event)
    if (event.type === '__unsubscribe') return this._onUnsubscribe(client, event)
    return isReserved(event.type) ? null : this._onEvent(client, event, size)
  }

  _topicOf ({ payload }) {
    const topic = payload?.topic
    const problem = patternProblem(topic, this._options.maxTopic)
    if (problem !== null) throw fail('PROTO', 'events', `a topic ${problem}`)
    return topic
  }

  _onSubscribe (client, event) {
    const topic = this._topicOf(event)
    return this._ask(client, 'subscribe', topic, event.id, () => {
      const { maxSubscriptions } = this._options
      if (!client.topics.has(topic) && client.topics.size >= maxSubscriptions) {
        return this._refuse(client, 'subscribe', topic, event.id, fail('LIMIT', 'events', `more than ${maxSubscriptions} topics (maxSubscriptions)`))
      }
      client.topics.add(topic)
      this._tree.add(topic, client)
      client.link.reply('__subscribed', event.id, { topic })
      return null
    })
  }

  _onUnsubscribe (client, event) {
    const topic = this._topicOf(event)
    if (client.topics.delete(topic)) this._tree.delete(topic, client)
    return null
  }

  _onEvent (client, event) {
    return this._ask(client, 'publish', event.type, event.id, () => {
      let frame
      try {
        // Written anew: what has been decided upon is what everybody reads, and
        // a key that stood there twice is not read differently elsewhere.
        frame = encodeFrame(event, this._options)
      } catch (err) {
        return this._refuse(client, 'publish', event.type, event.id, err)
      }
      return this._route(client, event, frame)
    })
  }

  /** Gives an event to all who want it: null, or a promise when some queue is full. */
  _route (from, event, frame) {
    const busy = []
    for (const client of this._tree.match(event.type)) {
      if (client === from || !this._clients.has(client)) continue // cut off by now
      const wait = client.send(frame)
      if (wait !== null) busy.push(wait)
    }
    const here = this._locals.deliver(Object.freeze({ ...event, identity: from === null ? null : from.identity }), frame.length)
    if (here !== null) busy.push(here)
    return busy.length === 0 ? null : Promise.all(busy)
  }

  // ---- permissions

  /** Does then() when it is allowed. Gives null, or a promise when that takes time. */
  _ask (client, action, topic, id, then) {
    if (CALLS.test(topic)) return this._refuse(client, action, topic, id, fail('UNSUPPORTED', 'events', 'calls are not passed on'))
    let answer
    try {
      answer = this._authorize({ identity: client.identity, action, topic, info: client.info })
    } catch (err) {
      return this._deny(client, action, topic, id, err)
    }
    if (answer === true) return then()
    if (typeof answer?.then !== 'function') return this._deny(client, action, topic, id)
    return within(this._options.authorizeTimeout * 1000, answer).then(
      (late) => this._clients.has(client) ? (late === true ? then() : this._deny(client, action, topic, id)) : null,
      (err) => this._deny(client, action, topic, id, err))
  }

  _deny (client, action, topic, id, cause) {
    return this._refuse(client, action, topic, id, fail('AUTH', 'events', `not allowed to ${action}`, { cause }))
  }

  _refuse (client, action, topic, id, err) {
    client.link.reply('__refused', id, { action, topic, code: err.code, message: err.message })
    this._locals.tell('__refused', { action, topic, identity: client.identity, error: err })
    return null
  }

  // ---- for locals.js: everything is routed past here, nobody has to be told

  onwant () {}

  onleave () {}

  onjoin (subscription) {
    subscription.granted()
  }

  // ---- the end

  _assertOpen () {
    if (this._isClosing) throw fail('CLOSED', 'events', 'the event hub is closed')
  }

  _checkClosed () {
    if (this._isClosing && this._links.size === 0) this._resolveClosed()
  }
}

/** promise, or a rejection after ms. */
function within (ms, promise) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(fail('TIMEOUT', 'events', `no decision within ${ms / 1000} s (authorizeTimeout)`)), ms)
    Promise.resolve(promise).then(resolve, reject).finally(() => clearTimeout(timer))
  })
}

/**
 * A hub for the clients of a server.
 * @param {Server|null} server whose connections to `destination` it takes; null:
 *   accept() is called for each
 * @param {object} [options] authorize, destination, and limits
 * @returns {Hub}
 */
function createEventHub (server, options = {}) {
  if (server !== null && typeof server?.handle !== 'function') throw optionError('server', 'must be a Server, or null')
  return new Hub(server, eventOptions('hub', options))
}

module.exports = { createEventHub }
