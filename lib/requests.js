'use strict'

/**
 * Questions to the server that are about no channel (RFC 4254 §4): may it
 * listen, is it there? Their answers belong to the link that they went over,
 * and come before it is gone: a no, for what it has not answered.
 */

const { AlknetError, canceled, fail } = require('./errors')

class Requests {
  /** link: of link.js. */
  constructor (link) {
    this._link = link
    this._replies = new Map() // id of a request => what its reply is for
    this._asked = null // the question of ping() that is under way
  }

  /** name: 'listen' or 'unlisten'. then(yes, port) comes once, later. Gives an id for replace(). */
  ask (name, { host, port, path }, then) {
    const { handle } = this._link
    if (handle === null) throw closedError()
    try {
      const id = handle[name](path !== undefined, path ?? host, port ?? 0)
      this._replies.set(id, then)
      return id
    } catch (err) {
      if (err.code !== 'ERR_ALKNET_UNSUPPORTED') throw err
      throw new AlknetError('this SSH engine cannot have the server listen (sshEngine native can)', {
        code: err.code, stage: 'listen', cause: err
      })
    }
  }

  /** Somebody else takes the reply. */
  replace (id, then) {
    if (this._replies.has(id)) this._replies.set(id, then)
  }

  onreply (id, yes, port) {
    const then = this._replies.get(id)
    this._replies.delete(id)
    then?.(yes, port)
  }

  /** Asks for an answer and gives the milliseconds until it came; one question at a time is for all who ask. */
  ping (ms, signal) {
    this._asked ??= this._ping().finally(() => { this._asked = null })
    return new Promise((resolve, reject) => {
      const finish = (settle, value) => {
        clearTimeout(timer)
        signal?.removeEventListener('abort', onAbort)
        settle(value)
      }
      const onAbort = () => finish(reject, canceled('session', signal.reason))
      const timer = setTimeout(() => finish(reject, fail('TIMEOUT', 'session', 'the server has not answered in time')), ms)
      signal?.addEventListener('abort', onAbort, { once: true })
      this._asked.then((value) => finish(resolve, value), (err) => finish(reject, err))
    })
  }

  async _ping () {
    const began = performance.now()
    const id = this._link.handle.ping()
    return new Promise((resolve, reject) => {
      this._replies.set(id, (yes) => {
        if (yes) resolve(performance.now() - began)
        else reject(fail('CLOSED', 'session', 'the session is closed'))
      })
    })
  }

  /** The link is over. */
  over () {
    const open = [...this._replies.values()]
    this._replies.clear()
    for (const then of open) then(false, 0)
  }
}

function closedError () {
  return fail('CLOSED', 'listen', 'the session is closed')
}

module.exports = { Requests, closedError }
