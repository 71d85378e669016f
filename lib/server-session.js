'use strict'

const { closeOptions } = require('./call-options')

/** Somebody who has logged in, as a server's user sees them. */
class ServerSession {
  /** connection: of connection.js, logged in. id: of this server's, from 1. */
  constructor (connection, id) {
    this._connection = connection
    /** A number that no other session of the server has had. */
    this.id = id
    this.since = new Date()
    /** Which worker thread has it; null: the main thread. */
    this.worker = connection.worker ?? null
    Object.assign(this, connection.who())
    /** Resolves when it is over; never rejects. */
    this.closed = connection.closed
  }

  /** How many channels it has, opening ones too. */
  get channels () {
    return this._connection.channels
  }

  /**
   * Lets channels end for up to drainMs, and disconnects.
   * @param {{ drainMs?: number }} [options]
   * @returns {Promise<void>} closed
   */
  async close (options) {
    const { drainMs } = closeOptions(options)
    await this._connection.end(drainMs, 'closed_by_server')
    return this.closed
  }

  [Symbol.asyncDispose] () {
    return this.close()
  }
}

module.exports = { ServerSession }
