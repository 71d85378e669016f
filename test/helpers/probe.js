'use strict'

/**
 * A connection to a web server that is looked at closely: what it says, in
 * which records of TLS, and how it ends.
 */

const { once } = require('node:events')
const net = require('node:net')
const { Duplex } = require('node:stream')
const tls = require('node:tls')

/** A socket as a Duplex that shows what goes through it. */
class Watched extends Duplex {
  constructor (socket) {
    super({ allowHalfOpen: true })
    this._socket = socket
    this._bytes = Buffer.alloc(0)
    /** [type, length] of each record that has come. */
    this.records = []
    socket.on('data', (chunk) => {
      this._watch(chunk)
      if (!this.destroyed && !this.push(chunk)) socket.pause()
    })
    socket.on('end', () => { if (!this.destroyed) this.push(null) })
  }

  _watch (chunk) {
    this._bytes = Buffer.concat([this._bytes, chunk])
    while (this._bytes.length >= 5 && this._bytes.length >= 5 + this._bytes.readUInt16BE(3)) {
      const len = this._bytes.readUInt16BE(3)
      this.records.push([this._bytes[0], len])
      this._bytes = this._bytes.subarray(5 + len)
    }
  }

  _read () {
    this._socket.resume()
  }

  _write (chunk, encoding, callback) {
    this._socket.write(chunk, () => callback()) // one that fails is seen at its end
  }

  _final (callback) {
    this._socket.end(callback)
  }

  _destroy (err, callback) {
    // TLS is through with it; what still comes, and its end, are to be seen.
    this._socket.resume()
    callback(err)
  }
}

/** One connection. */
class Probe {
  constructor () {
    this.said = Buffer.alloc(0)
    this._waiting = new Set()
    this.end = null // 'fin' or 'rst'
    this.began = performance.now()
    this.elapsed = null // in ms, until its end
  }

  /** secure: options of tls.connect(); null: no TLS. */
  async open (port, secure) {
    const socket = this._socket = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true })
    socket.setNoDelay(true)
    this.ended = new Promise((resolve) => {
      const over = (how) => {
        if (this.end !== null) return
        this.end = how
        this.elapsed = performance.now() - this.began
        resolve()
        this._tell()
      }
      socket.on('end', () => over('fin'))
      socket.on('error', () => over('rst'))
      socket.on('close', () => over('rst'))
    })
    await once(socket, 'connect')
    this.began = performance.now()
    this._stream = socket
    if (secure !== null) await this._secure(secure)
    this._stream.on('data', (chunk) => {
      this.said = Buffer.concat([this.said, chunk])
      this._tell()
    })
    this._stream.on('error', () => {})
    return this
  }

  async _secure (options) {
    this._watched = new Watched(this._socket)
    this._stream = tls.connect({ socket: this._watched, rejectUnauthorized: false, servername: 'localhost', ...options })
    await once(this._stream, 'secureConnect')
    this._before = this._watched.records.length
    this.agreed = {
      version: this._stream.getProtocol(),
      cipher: this._stream.getCipher().name,
      alpn: this._stream.alpnProtocol,
      group: this._stream.getEphemeralKeyInfo()
    }
  }

  _tell () {
    for (const check of this._waiting) check()
  }

  /** Resolves when the pattern has been said so often, or it is over. */
  async hear (pattern, times = 1) {
    const enough = () => this.end !== null || this.said.toString('latin1').split(pattern).length > times
    if (enough()) return
    await new Promise((resolve) => {
      const check = () => {
        if (!enough()) return
        this._waiting.delete(check)
        resolve()
      }
      this._waiting.add(check)
    })
  }

  write (bytes) {
    if (this.end === null) return new Promise((resolve) => this._stream.write(bytes, () => resolve()))
  }

  /** In pieces of so many bytes, each on its way before the next. */
  async send (bytes, piece) {
    if (piece === 0) return this.write(bytes)
    for (let at = 0; at < bytes.length && this.end === null; at += piece) {
      await this.write(bytes.subarray(at, at + piece))
      await new Promise((resolve) => setImmediate(resolve))
    }
  }

  finish () {
    this._stream.end()
  }

  /** FIN alone: TLS says nothing. */
  cut () {
    this._socket.end()
  }

  /** Those of the handshake too, as far as it went. */
  get all () {
    return this._watched.records.slice(0, this._before)
  }

  get records () {
    return this._watched === undefined ? [] : this._watched.records.slice(this._before)
  }

  close () {
    this._socket.destroy()
    this._stream?.destroy()
  }
}

module.exports = { Probe }
