'use strict'

/** A listening socket with a promise for its end. */

const binding = require('./binding')
const { AlknetError, systemText } = require('./errors')
const { formatHostPort } = require('./addresses')

/**
 * A local listener of a session. What it accepts is its subclass's: a SOCKS5
 * proxy or a forward.
 */
class Listener {
  /** kind: 'socks5' or 'forward'. spec: its text. handle: the addon's listener. */
  constructor (kind, spec, handle, log) {
    this.kind = kind
    this.spec = spec
    this._warn = rarely(log)
    this._isClosing = false
    this._handle = handle
    this._handle.owner = this
    this._address = this._handle.address()
    /** Resolves when it is closed. */
    this.closed = new Promise((resolve) => { this._resolveClosed = resolve })
  }

  /** Whether it accepts: also while the session is lost. */
  get isListening () {
    return this._handle !== null && !this._isClosing
  }

  /** { address, family, port }, the real port where 0 was asked for; or { path }. */
  address () {
    return this._address
  }

  /** Stops accepting; connections that are there go on. */
  close () {
    if (this._handle !== null && !this._isClosing) {
      this._isClosing = true
      this._handle.close()
    }
    return this.closed
  }

  ref () {
    this._handle?.ref()
    return this
  }

  unref () {
    this._handle?.unref()
    return this
  }

  [Symbol.asyncDispose] () {
    return this.close()
  }

  onerror (err) {
    this._warn('accept failed', { error: err.code })
  }

  onclose () {
    this._handle = null
    this._resolveClosed()
  }
}

/**
 * log[level], at most once a second for each event and reason: what a peer can
 * bring about again and again must not fill a disk. How many lines were left
 * out stands in the next one, as `suppressed`. burst: so many may come together
 * after as many seconds of silence. now: () => ms, that only grow.
 */
function rarely (log, level = 'warn', { burst = 1, now = () => performance.now() } = {}) {
  const gates = new Map() // events and reasons are words of ours: there are few
  return (event, fields) => {
    const key = `${event} ${fields.reason ?? ''}`
    const gate = gates.get(key) ?? { next: -Infinity, suppressed: 0 }
    gates.set(key, gate)
    const time = now()
    if (time < gate.next - (burst - 1) * 1000) {
      gate.suppressed++
      return
    }
    log[level](event, gate.suppressed === 0 ? fields : { ...fields, suppressed: gate.suppressed })
    gate.next = Math.max(gate.next, time) + 1000
    gate.suppressed = 0
  }
}

/** Binds, or throws with the address in the sentence. */
function listen (address, port, open = binding.listenTcp) {
  try {
    return open(address, port)
  } catch (err) {
    throw new AlknetError(`cannot listen on ${formatHostPort(address, port)}: ${systemText(err)}`, {
      code: err.code, stage: 'listen', errno: err.errno, cause: err
    })
  }
}

const NO_LISTENER = new Set(['EINVAL', 'ENOTSOCK', 'EBADF'])

/** A listener on a socket that this process was started with, or throws. */
function adopt (fd) {
  try {
    return binding.adoptTcp(fd)
  } catch (err) {
    const text = NO_LISTENER.has(err.code) ? 'it is not a listening TCP socket' : systemText(err)
    throw new AlknetError(`cannot listen on the descriptor ${fd}: ${text}`, {
      code: err.code, stage: 'listen', errno: err.errno, cause: err
    })
  }
}

module.exports = { Listener, adopt, listen, rarely }
