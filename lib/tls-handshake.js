'use strict'

/**
 * TLS handshakes: over a stream of the addon, limited in time. What comes of one
 * is another stream, which has taken the first.
 *
 *   client: stream -> secure() -> an open stream, or an error of the stage 'tls'
 *   server: stream -> Handshake -> an open stream, or why there is none
 */

const binding = require('./binding')
const { canceled, fail } = require('./errors')

/** What went wrong on the way is this stage's, whoever noticed it. */
function atTls (err) {
  if (err.stage === 'system' || err.stage === 'session') err.stage = 'tls'
  return err
}

/** A handshake that is going on. Owner of its stream until it is over. */
class Handshake {
  /**
   * handle: the addon's, of tlsClient() or tlsServer(). done(err, stream) comes
   * once, later: stream is open and without an owner. One that has failed, or
   * took too long, has closed by then.
   */
  constructor (handle, timeoutMs, limit, done) {
    this._handle = handle
    this._done = done
    this._limit = limit
    this._timer = setTimeout(onLate, timeoutMs, this)
    this._late = null
    handle.owner = this
  }

  onopen () {
    const handle = this._handle
    clearTimeout(this._timer)
    handle.owner = null
    this._handle = null
    this._done(null, handle)
  }

  onclose (err) {
    clearTimeout(this._timer)
    this._handle = null
    this._done(this._late ?? atTls(err ?? fail('LOST', 'tls', 'the peer closed the connection during the TLS handshake')))
  }

  /** Gives up: done() comes, with err. */
  close (err = canceled('tls')) {
    clearTimeout(this._timer)
    this._late ??= err
    this._handle?.close()
  }
}

function onLate (handshake) {
  handshake.close(fail('TIMEOUT', 'tls', `no TLS handshake within ${handshake._limit}`))
}

/**
 * A client's handshake.
 * @param {object} handle the addon's stream, of tlsClient()
 * @param {{ timeoutMs: number, limit: string, signal?: AbortSignal }} options
 *   limit: the time limit in words
 * @returns {Promise<object>} the same, open and without an owner
 */
function secure (handle, { timeoutMs, limit, signal }) {
  return new Promise((resolve, reject) => {
    const handshake = new Handshake(handle, timeoutMs, limit, (err, stream) => {
      signal?.removeEventListener('abort', onAbort)
      if (err) reject(err)
      else resolve(stream)
    })
    function onAbort () {
      const err = canceled('tls', signal.reason)
      handshake.close(err)
      reject(err)
    }
    if (signal?.aborted) return onAbort()
    signal?.addEventListener('abort', onAbort, { once: true })
  })
}

/**
 * What TLS has agreed on over an open stream of the addon, as users see it; null
 * where it is not spoken. A name is as the client has written it.
 */
function tlsInfo (stream) {
  const info = binding.tlsInfo(stream)
  if (info === null) return null
  const { version, cipher, alpn, name, resumed, fingerprint256 } = info
  return Object.freeze({ version, cipher, alpn: alpn === '' ? null : alpn, servername: name === '' ? null : name, resumed, fingerprint256 })
}

module.exports = { Handshake, secure, tlsInfo }
