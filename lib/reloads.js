'use strict'

/** The reloads of a server, one after another: what was read first is not taken over last. */

const { canceled, fail } = require('./errors')
const { signalOption } = require('./call-options')

// What the log says of each kind.
const RELOADED = { all: 'reloaded', forwarding: 'forwarding reloaded', auth: 'authorized_keys reloaded', tls: 'tls certificates reloaded' }
const NOT_RELOADED = { all: 'not reloaded', forwarding: 'forwarding not reloaded', auth: 'authorized_keys not reloaded', tls: 'tls certificates not reloaded' }

class Reloads {
  /** server: of server.js. */
  constructor (server) {
    this._server = server
    this._last = Promise.resolve()
  }

  /**
   * Resolves when it has been taken over, in all threads. what: of RELOADED.
   * options: { signal } of the call. reload(check): check() throws when it is
   * not wanted any more; it may give what is wrong with the certificates alone,
   * which were left.
   */
  run (what, options, reload) {
    const done = this._last.then(async () => {
      let problem
      try {
        const check = this._check(options)
        check()
        problem = await this._everywhere(() => reload(check))
      } catch (err) {
        this.failed(what, err)
        throw err
      }
      if (problem !== undefined) this.failed('tls', problem)
      this.done(what)
      if (problem !== undefined) throw problem
    })
    this._last = done.catch(() => {})
    return done
  }

  /** Resolves when all threads have what is in force, after the reloads that are under way. */
  spread () {
    this._last = this._last.then(() => this._everywhere(() => {})).catch(() => {})
    return this._last
  }

  /** Writes down that it was taken over. */
  done (what) {
    this._server._log.info(RELOADED[what], {})
  }

  failed (what, err) {
    this._server._log.error(NOT_RELOADED[what], { error: err.code, problem: err.message })
  }

  // A part may have been taken over also where the rest has failed.
  async _everywhere (reload) {
    try {
      return await reload()
    } finally {
      if (!this._server._isClosing) await this._server._workers?.update()
    }
  }

  _check (options) {
    const { signal } = signalOption(options)
    return () => {
      if (this._server._isClosing) throw fail('CLOSED', 'session', 'the server is closed')
      if (signal?.aborted) throw canceled('session', signal.reason)
    }
  }
}

module.exports = { Reloads }
