'use strict'

/**
 * Events over a session that is cut: numbered, with a checksum, from a hub to a
 * target. None may come twice, out of order or changed; those of a gap may be
 * missing, and are counted.
 */

const { randomBytes } = require('node:crypto')
const { setTimeout: sleep } = require('node:timers/promises')
const alknet = require('../..')
const { startCutter } = require('./ends')
const { WrongBytes, digest } = require('./traffic')

class Events {
  static async start (scope) {
    const [host, user] = [await alknet.generateKey(), await alknet.generateKey()]
    const server = await alknet.serve({
      hostKey: host.privateKey,
      authorizedKeys: Buffer.from(`scopes="topics:subscribe:>" ${user.publicKey}`),
      listen: '127.0.0.1:0'
    })
    const hub = alknet.createEventHub(server)
    const cutter = await startCutter(scope, server.address().port)
    const session = await alknet.openSession({
      server: `127.0.0.1:${cutter.port}`, identity: user.privateKey, hostKey: host.fingerprint, knownHosts: [], reconnect: true
    })
    return new Events(server, hub, cutter, session)
  }

  constructor (server, hub, cutter, session) {
    this._server = server
    this._hub = hub
    this._session = session
    this.cut = cutter.cut
    this._isOver = false
    this._said = 0
    this._heard = 0 // the number of the last one
    this.figures = { sent: 0, received: 0, missed: 0, streams: 0 }
  }

  /** Says and hears until stop(). Rejects when something is wrong. */
  async talk () {
    await Promise.all([this._say(), this._hear()])
  }

  async _say () {
    while (!this._isOver) {
      const text = randomBytes(Math.floor(Math.random() * 2000)).toString('base64')
      await this._hub.dispatchEvent({ type: 'soak.numbered', id: String(++this._said), payload: { text, sum: digest(text) } })
      this.figures.sent++
      await sleep(5)
    }
  }

  async _hear () {
    while (!this._isOver) {
      try {
        const stream = await this._session.open({ host: 'alknet-control', port: 0 })
        const target = alknet.createEventTarget({ stream })
        this._target = target
        if (this._isOver) target.close() // stop() came while the session was not there
        this.figures.streams++
        for await (const event of target.subscribe('soak.*')) this._take(event)
      } catch (err) {
        if (err instanceof WrongBytes) throw err
        await sleep(50) // the stream, or the session, was cut
      }
    }
  }

  _take ({ id, payload }) {
    const n = Number(id)
    if (digest(payload.text) !== payload.sum) throw new WrongBytes(`event ${n} has changed`)
    if (n <= this._heard) throw new WrongBytes(`event ${n} came after event ${this._heard}`)
    if (this.figures.received > 0) this.figures.missed += n - this._heard - 1
    this._heard = n
    this.figures.received++
  }

  stop () {
    this._isOver = true
    this._target?.close()
  }

  async close () {
    await this._session.close()
    await this._hub.close()
    await this._server.close()
  }
}

module.exports = { Events }
