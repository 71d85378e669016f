'use strict'

/**
 * Who listens on this side: listeners and subscriptions, found by topic. Both
 * ends have one: target.js and hub.js.
 */

const { optionError } = require('../errors')
const { abortSignal } = require('../option-checks')
const { eventOptions } = require('./options')
const { Subscription } = require('./subscription')
const { TopicTree, isReserved, patternProblem } = require('./topics')

/** A listener that is a function or has handleEvent(). */
class Listener {
  constructor (topic, callback, isOnce) {
    this.topic = topic
    this.callback = callback
    this.isOnce = isOnce
    this.forgetSignal = () => {}
  }

  // What a listener throws is its own and stops nobody else: as EventTarget does.
  deliver (event) {
    try {
      if (typeof this.callback === 'function') this.callback(event)
      else this.callback.handleEvent(event)
    } catch (err) {
      process.nextTick(() => { throw err })
    }
    return null
  }
}

/** The listeners and subscriptions of one end. */
class Locals {
  /**
   * options: of eventOptions(). owner: { onwant (topic), onleave (topic) }, when
   * somebody is the first or was the last for a topic; onwant may throw. And
   * onjoin (subscription), which wants to hear that it is in force.
   */
  constructor (options, owner) {
    this._options = options
    this._owner = owner
    this._tree = new TopicTree()
    this._members = new Map() // topic => Set of listeners and subscriptions
    this._callbacks = new Map() // topic => Map of callback => Listener
    this._last = 0
  }

  /** The topics that somebody listens to, and that the other end should know of. */
  topics () {
    return [...this._members.keys()].filter((topic) => !isReserved(topic))
  }

  wants (topic) {
    return this._members.has(topic)
  }

  addListener (topic, callback, { once = false, signal } = {}) {
    this._check(topic)
    if (typeof callback !== 'function' && typeof callback?.handleEvent !== 'function') throw optionError('listener', 'must be a function, or an object with handleEvent()')
    if (signal !== undefined) abortSignal('signal', signal)
    if (signal?.aborted || this._callbacks.get(topic)?.has(callback)) return
    const listener = new Listener(topic, callback, once)
    this._add(listener)
    if (!this._callbacks.has(topic)) this._callbacks.set(topic, new Map())
    this._callbacks.get(topic).set(callback, listener)
    if (signal === undefined) return
    const onAbort = () => this.removeListener(topic, callback)
    signal.addEventListener('abort', onAbort, { once: true })
    listener.forgetSignal = () => signal.removeEventListener('abort', onAbort)
  }

  removeListener (topic, callback) {
    const callbacks = this._callbacks.get(topic)
    const listener = callbacks?.get(callback)
    if (listener === undefined) return
    listener.forgetSignal()
    callbacks.delete(callback)
    if (callbacks.size === 0) this._callbacks.delete(topic)
    this._remove(listener)
  }

  subscribe (topic, raw = {}) {
    this._check(topic)
    if (isReserved(topic)) throw optionError('topic', 'begins with __: such names have listeners only')
    const { maxQueue, maxQueueBytes } = this._options
    const { signal, ...limits } = eventOptions('subscribe', raw, { maxQueue, maxQueueBytes })
    const subscription = new Subscription(topic, limits, (one) => this._remove(one))
    this._add(subscription)
    subscription.listen(signal)
    return subscription
  }

  /** Those who subscribed to just this topic. */
  subscriptions (topic) {
    return [...this._members.get(topic) ?? []].filter((one) => one instanceof Subscription)
  }

  /**
   * Gives an event to everybody whose topic it matches, in the order in which they
   * came. Gives null, or a promise when a queue is full.
   */
  deliver (event, size) {
    if (this._tree.isEmpty) return null
    const found = [...this._tree.match(event.type)].sort((a, b) => a.order - b.order)
    const busy = []
    for (const one of found) {
      if (!this._members.get(one.topic)?.has(one)) continue // removed by one before it
      if (one.isOnce) this.removeListener(one.topic, one.callback)
      const wait = one.deliver(event, size)
      if (wait !== null) busy.push(wait)
    }
    return busy.length === 0 ? null : Promise.all(busy)
  }

  /** Tells listeners of this side something. */
  tell (type, payload) {
    this.deliver(Object.freeze({ type, id: '', payload: Object.freeze(payload) }), 0)
  }

  /** Ends every subscription; listeners hear nothing more. */
  close (err) {
    for (const one of [...this._members.values()].flatMap((members) => [...members])) {
      if (one instanceof Subscription) one.fail(err)
      else this.removeListener(one.topic, one.callback)
    }
  }

  _check (topic) {
    const problem = patternProblem(topic, this._options.maxTopic)
    if (problem !== null) throw optionError('topic', problem)
  }

  _add (one) {
    const { topic } = one
    one.order = ++this._last
    if (!this._members.has(topic)) {
      if (!isReserved(topic)) this._owner.onwant(topic)
      this._members.set(topic, new Set())
    }
    this._members.get(topic).add(one)
    this._tree.add(topic, one)
    if (one instanceof Subscription) this._owner.onjoin(one)
  }

  _remove (one) {
    const members = this._members.get(one.topic)
    if (members === undefined || !members.delete(one)) return
    this._tree.delete(one.topic, one)
    if (members.size > 0) return
    this._members.delete(one.topic)
    if (!isReserved(one.topic)) this._owner.onleave(one.topic)
  }
}

/**
 * What both ends have for those who listen. Each has onwant() and its like, for
 * Locals, and _assertOpen(), which throws when it is closed.
 */
class EventEnd {
  /** options: of eventOptions(). */
  constructor (options) {
    this._options = options
    this._locals = new Locals(options, this)
  }

  addEventListener (topic, listener, options) {
    this._assertOpen()
    this._locals.addListener(topic, listener, options)
  }

  removeEventListener (topic, listener) {
    this._locals.removeListener(topic, listener)
  }

  /**
   * The events of a topic, for `for await`.
   * @returns {Subscription}
   */
  subscribe (topic, options) {
    this._assertOpen()
    return this._locals.subscribe(topic, options)
  }
}

module.exports = { EventEnd }
