'use strict'

/**
 * Words between the main thread and a worker thread, in their order: what one
 * side tells, and questions with an answer. Both sides are this program: what
 * is not known is a fault of ours, and ends the thread.
 *
 *   asked -> answered: done(answer)
 *     |-----> the other side has gone: done(undefined)
 *     \-----> cancel(): nobody waits any more, and the other side is told
 */

class Port {
  /**
   * channel: a worker, or a thread's parentPort. handlers: name => (data) for
   * what is told, (data, answer) for what is asked: answer(value) comes once,
   * now or later; it may give a function for when nobody waits any more.
   */
  constructor (channel, handlers) {
    this._channel = channel
    this._handlers = handlers
    this._asked = new Map() // number => done
    this._asking = new Map() // of the other side: number => what cancels it
    this._last = 0
    channel.on('message', (message) => this._heard(message))
  }

  tell (what, data) {
    this._channel.postMessage({ what, data })
  }

  /** Gives a function that cancels it: then done() does not come. */
  ask (what, data, done) {
    const number = ++this._last
    this._asked.set(number, done)
    this._channel.postMessage({ what, data, number })
    return () => {
      if (this._asked.delete(number)) this.tell('cancel', number)
    }
  }

  /** The other side has gone, or is to be forgotten. */
  close () {
    for (const cancel of this._asking.values()) cancel?.()
    this._asking.clear()
    const asked = [...this._asked.values()]
    this._asked.clear()
    for (const done of asked) done(undefined)
  }

  _heard ({ what, data, number }) {
    if (what === 'answer') return this._answered(data)
    if (what === 'cancel') return this._canceled(data)
    if (number === undefined) return this._handlers[what](data)
    this._asking.set(number, null)
    const cancel = this._handlers[what](data, (value) => {
      if (this._asking.delete(number)) this.tell('answer', { number, value })
    })
    if (this._asking.has(number)) this._asking.set(number, cancel)
  }

  _answered ({ number, value }) {
    const done = this._asked.get(number)
    this._asked.delete(number)
    done?.(value)
  }

  _canceled (number) {
    this._asking.get(number)?.()
    this._asking.delete(number)
  }
}

module.exports = { Port }
