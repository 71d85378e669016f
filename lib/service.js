'use strict'

/**
 * What a service manager such as systemd passes on in variables: sockets that it
 * has bound for us (sd_listen_fds(3)), and a socket that wants to be told how it
 * goes (sd_notify(3)). Without those variables all of it does nothing.
 *
 * The manager is never waited for, and that it cannot be told ends nothing.
 */

const { optionError } = require('./errors')

const FIRST_FD = 3
const MAX_FDS = 64
const MAX_STATUS = 200
const MAX_DELAY_MS = 2 ** 31 - 1

// A manager that is behind is asked again so often.
const RETRY_MS = 100
const RETRIES = 100
const LATER = new Set(['EAGAIN', 'ENOBUFS'])

function take (env, ...names) {
  const values = names.map((name) => env[name])
  for (const name of names) delete env[name]
  return values
}

/**
 * The listening sockets that this process was started with, as `listen` of
 * serve() takes them: ['fd:3', …]. Empty when there are none, or when they are
 * another process's. Takes the variables away, so that no child reads them.
 * @param {object} [env] in place of process.env
 * @returns {string[]}
 */
function inheritedListeners (env = process.env) {
  if (env.LISTEN_PID !== String(process.pid)) return []
  const [, count] = take(env, 'LISTEN_PID', 'LISTEN_FDS', 'LISTEN_FDNAMES')
  if (!/^\d{1,3}$/.test(count ?? '') || Number(count) > MAX_FDS) {
    throw optionError('LISTEN_FDS', `must be a number of 0 to ${MAX_FDS}`)
  }
  return Array.from({ length: Number(count) }, (_, i) => `fd:${FIRST_FD + i}`)
}

/** How often to give a sign of life, in ms; null: nobody waits for one. */
function watchdogDelay ([usec, pid]) {
  if (!/^\d{1,16}$/.test(usec ?? '') || Number(usec) === 0) return null
  if (pid !== undefined && pid !== String(process.pid)) return null
  return Math.min(MAX_DELAY_MS, Math.max(1, Math.floor(Number(usec) / 2000)))
}

const isAddress = (text) => typeof text === 'string' && /^[/@]./.test(text)

/** One line of it, as a manager shows it. */
const oneLine = (text) => String(text).slice(0, MAX_STATUS).replace(/[^\x20-\x7e]/g, '?')

/**
 * Tells a service manager how it goes. Made by createNotifier().
 *
 * Where the manager has a watchdog it gets a sign of life from the event loop,
 * twice as often as it wants one: a loop that is blocked is silent.
 */
class Notifier {
  /** send: (path, bytes) => void, throws. */
  constructor (env, send, onProblem) {
    const [path] = take(env, 'NOTIFY_SOCKET')
    const delay = watchdogDelay(take(env, 'WATCHDOG_USEC', 'WATCHDOG_PID'))
    this._path = isAddress(path) ? path : null
    this._send = send
    this._onProblem = onProblem
    this._isStopping = false // and says nothing else any more
    this._waiting = null // fields that did not get through yet
    this._tries = 0
    this._retry = null
    this._watchdog = null
    if (this._path === null || delay === null) return
    this._watchdog = setInterval(() => this._try({ WATCHDOG: 1 }), delay).unref()
    this._try({ WATCHDOG: 1 })
  }

  /** Whether anybody wants to be told. */
  get isActive () {
    return this._path !== null
  }

  /** It serves, for the first time or again after reloading(). */
  ready (status) {
    this._tell({ READY: 1, MAINPID: process.pid, ...this._status(status) })
  }

  /** One line about how it goes. */
  status (text) {
    this._tell(this._status(text))
  }

  /** The configuration is read again; ready() says that this is over. */
  reloading () {
    this._tell({ RELOADING: 1, MONOTONIC_USEC: process.hrtime.bigint() / 1000n })
  }

  /** It is about to end. */
  stopping (status) {
    this._tell({ STOPPING: 1, ...this._status(status) })
    this._isStopping = true
  }

  /** No further sign of life. */
  close () {
    clearInterval(this._watchdog)
    clearTimeout(this._retry)
    this._path = null
  }

  _status (text) {
    return text === undefined ? {} : { STATUS: oneLine(text) }
  }

  _tell (fields) {
    if (this._path === null || this._isStopping) return
    // READY=1 ends what RELOADING=1 began, and nothing said before STOPPING=1 counts.
    this._waiting = fields.READY === 1 || fields.STOPPING === 1 ? fields : { ...this._waiting, ...fields }
    this._tries = 0
    this._flush()
  }

  _flush () {
    clearTimeout(this._retry)
    if (this._try(this._waiting) || this._tries++ === RETRIES) this._waiting = null
    else this._retry = setTimeout(() => this._flush(), RETRY_MS).unref()
  }

  /** False: worth another try. */
  _try (fields) {
    const text = Object.entries(fields).map(([name, value]) => `${name}=${value}\n`).join('')
    try {
      this._send(this._path, Buffer.from(text))
    } catch (err) {
      if (LATER.has(err.code)) return false
      this._onProblem?.(err)
      this._onProblem = null
    }
    return true
  }
}

/**
 * Tells the service manager that has started this process how it goes, where
 * there is one ($NOTIFY_SOCKET). Takes the variables away.
 * @param {object} [options]
 * @param {object} [options.env] in place of process.env
 * @param {(err: Error) => void} [options.onProblem] hears once that the manager
 *   cannot be told
 * @returns {Notifier}
 */
function createNotifier ({ env = process.env, onProblem, send = require('./binding').notify } = {}) {
  return new Notifier(env, send, onProblem)
}

module.exports = { Notifier, createNotifier, inheritedListeners }
