'use strict'

/**
 * The control socket of a session or a server: a Unix socket on which
 * `alknet status` and `alknet forward` ask their questions (control-ask.js).
 *
 *   {"op":"status"}     ──►
 *                       ◄──  {"ok":true,"result":{…}}
 *   {"op":"add",…}      ──►
 *                       ◄──  {"ok":false,"error":{"code","stage","message"}}
 *
 * One question after the other on each connection. What does not speak this
 * gets one line that says so, and is closed. Whoever may open the file may ask
 * everything: its mode, and that of its directory, are the guard.
 */

const path = require('path')
const { AlknetError, fail, optionError } = require('./errors')
const { rarely } = require('./listener')
const { Stream } = require('./stream')
const { readLine, writeLine } = require('./control-line')
const { prepareDir, runDirs, sweep } = require('./control-place')
const { listenUnix } = require('./unix-socket')

const LIMITS = {
  max: 64 * 1024, // bytes of a question
  ms: 10_000, // for a whole question, and to take an answer
  callers: 16
}

// Sockets of one process, each of its own session or server.
const MAX_NAMES = 64

// process.exit() waits for nobody, and would leave the files.
const standing = new Set()

function closeAll () {
  for (const control of standing) control.close()
}

/** Listens, and lets answers() have each question. Made by openControl(). */
class ControlSocket {
  /** handle: of listenUnix(). answers: { op: (request) => result or a promise of it }. */
  constructor (file, handle, answers, log, limits) {
    this.path = file
    this._answers = answers
    this._warn = rarely(log)
    this._limits = { ...LIMITS, ...limits }
    this._streams = new Set()
    this._callers = 0 // of these, those that are answered
    this._isClosing = false
    this._handle = handle
    this._handle.owner = this
    // Being asked is no reason to stay.
    this._handle.unref()
    if (standing.size === 0) process.on('exit', closeAll)
    standing.add(this)
    /** Resolves when it is closed, with all that have asked; never rejects. */
    this.closed = new Promise((resolve) => { this._resolveClosed = resolve })
  }

  /** Removes the file at once, and hangs up. */
  close () {
    if (!this._isClosing) {
      this._isClosing = true
      standing.delete(this)
      if (standing.size === 0) process.off('exit', closeAll)
      this._handle.close()
      for (const stream of this._streams) stream.destroy()
    }
    return this.closed
  }

  onstream (handle) {
    const stream = new Stream(handle)
    const { callers } = this._limits
    const isAdmitted = this._callers < callers
    if (isAdmitted) this._callers++
    this._streams.add(stream)
    stream.once('close', () => {
      if (isAdmitted) this._callers--
      this._streams.delete(stream)
      this._checkClosed()
    })
    if (isAdmitted) this._converse(stream).then(() => this._hangUp(stream), (err) => this._hangUp(stream, err))
    else if (this._streams.size > 2 * callers) stream.destroy()
    else this._turnAway(stream, fail('LIMIT', 'control', `at most ${callers} may ask at once`))
  }

  onerror (err) {
    this._warn('accept failed', { error: err.code })
  }

  onclose () {
    this._handle = null
    this._checkClosed()
  }

  _checkClosed () {
    if (this._handle === null && this._streams.size === 0) this._resolveClosed()
  }

  async _converse (stream) {
    for (;;) {
      const line = await readLine(stream, this._limits)
      if (line === null) return
      await writeLine(stream, await this._reply(line), this._limits)
    }
  }

  // What is no question at all ends the conversation; a wrong one does not.
  async _reply (line) {
    const request = parseRequest(line)
    try {
      if (!Object.hasOwn(this._answers, request.op)) throw fail('UNSUPPORTED', 'control', 'this process does not know that question')
      return { ok: true, result: await this._answers[request.op](request) }
    } catch (err) {
      return refusal(err)
    }
  }

  // It has done nothing wrong: its question is read, so that it reads our line
  // and does not fail at writing.
  _turnAway (stream, err) {
    this._endIn(this._limits.ms, stream)
    stream.end(refusalLine(err))
    stream.resume().once('end', () => stream.destroy())
  }

  _hangUp (stream, err) {
    if (stream.destroyed) return
    this._endIn(this._limits.ms, stream)
    stream.end(err === undefined ? '' : refusalLine(err), () => stream.destroy())
  }

  // Whoever does not take the last line in time goes without it.
  _endIn (ms, stream) {
    const timer = setTimeout(() => stream.destroy(), ms)
    stream.once('close', () => clearTimeout(timer))
  }
}

function parseRequest (line) {
  try {
    const request = JSON.parse(line)
    if (request !== null && typeof request === 'object' && typeof request.op === 'string') return request
  } catch {}
  throw fail('PROTO', 'control', 'not a question: each line is a JSON object with "op"')
}

function refusal (err) {
  // Anything else is a slip of ours, and its text is for the log alone.
  const { code, stage, option, message } = err instanceof AlknetError ? err : fail('SYS', 'control', 'this process failed to answer')
  return { ok: false, error: { code, stage, option, message } }
}

const refusalLine = (err) => `${JSON.stringify(refusal(err))}\n`

async function listenAt (file, answers, log, limits) {
  return new ControlSocket(file, await listenUnix(file), answers, log, limits)
}

/** In the first directory that can be had, under the first name that is free. */
async function listenAnywhere (command, answers, log, limits) {
  let problem = fail('SYS', 'listen', 'this user has no directory for it')
  for (const dir of await runDirs()) {
    try {
      await prepareDir(dir)
      await sweep(dir)
      return await listenIn(dir, command, answers, log, limits)
    } catch (err) {
      problem = err
    }
  }
  throw problem
}

async function listenIn (dir, command, answers, log, limits) {
  for (let i = 1; ; i++) {
    const name = `${command}-${process.pid}${i === 1 ? '' : `-${i}`}.sock`
    try {
      return await listenAt(path.join(dir, name), answers, log, limits)
    } catch (err) {
      if (err.code !== 'EADDRINUSE' || i === MAX_NAMES) throw err
    }
  }
}

/**
 * Opens the control socket that the option `control` asks for. Gives null for
 * 'off'. One that was asked for by its path has to be had, or this throws;
 * without the one at the default place a tunnel is still a tunnel.
 * @param {'off'|true|string} control
 * @param {'connect'|'serve'} command
 * @param {object} answers { op: (request) => result or a promise of it }
 */
async function openControl (control, command, answers, log, limits) {
  if (control === 'off') return null
  try {
    return control === true
      ? await listenAnywhere(command, answers, log, limits)
      : await listenAt(control, answers, log, limits)
  } catch (err) {
    // Somebody else's place is one thing, and a place that cannot be another.
    if (control !== true) throw err.code === 'EADDRINUSE' ? err : optionError('control', err.message, err)
    log.warn('no control socket', { error: err.code, problem: err.message })
    return null
  }
}

module.exports = { openControl }
