'use strict'

/**
 * The file of --log-file. Lines wait in a queue with a limit and leave by one
 * write at a time, which is not waited for: a slow disk holds up no tunnel, and
 * a full one ends none.
 *
 *   line -> queue -> one write at a time -> the file
 *     |       ^            | fails: said once on stderr, tried again
 *     |       \------------/
 *     \-> the queue is full: refused, and the logger counts it
 *
 * SIGUSR1 opens the path anew, for whoever has moved the file away. When that
 * fails, the old file stays in use. Each line is whole in one file; one that the
 * disk has torn is ended there, and written again.
 */

const fs = require('fs')
const path = require('path')
const { plain } = require('./shared')

const LIMITS = {
  waiting: 1024 * 1024, // bytes in the queue
  retryMs: 1000
}

const NEWLINE = 0x0a
const NOTHING = Buffer.alloc(0)

// A pipe that nobody reads must not hold up the start.
const { O_APPEND, O_CREAT, O_NOCTTY, O_NONBLOCK, O_WRONLY } = fs.constants
const FLAGS = O_WRONLY | O_APPEND | O_CREAT | O_NOCTTY | O_NONBLOCK
const MODE = 0o600

/** 'ENOSPC: no space left on device', without what was called. */
const textOf = (err) => err.message.replace(/, (open|write)\b.*$/s, '')

function sayOnStderr (text) {
  process.stderr.write(`alknet: ${plain(text)}\n`)
}

class LogFile {
  /** Opens it, or throws. files: fs, or what stands in for it. */
  constructor (name, { files = fs, say = sayOnStderr, ...limits } = {}) {
    this.path = path.resolve(name)
    this._files = files
    this._say = say
    this._limits = { ...LIMITS, ...limits }
    this._lines = []
    this._batch = NOTHING // what is being written, or has to be tried again
    this._waiting = 0 // bytes of both
    this._isTorn = false // the file ends within a line
    this._isWriting = false
    this._isFailing = false
    this._retry = null
    this._next = null // opened, to be written to from the next write on
    this._fd = files.openSync(this.path, FLAGS, MODE)
  }

  /** Takes a line, or says 'dropped': too many wait. The logger knows the word. */
  write (line) {
    const bytes = Buffer.from(`${line}\n`)
    if (this._waiting + bytes.length > this._limits.waiting) return 'dropped'
    this._waiting += bytes.length
    this._lines.push(bytes)
    this._flush()
  }

  /** Opens the path again: the file that was there may have another name now. */
  reopen () {
    this._files.open(this.path, FLAGS, MODE, (err, fd) => {
      if (err) return this._say(`the log file ${this.path} cannot be opened again, the old one stays: ${textOf(err)}`)
      if (this._next !== null) this._close(this._next)
      this._next = fd
      if (!this._isWriting) this._swap()
      this._flush()
    })
  }

  /** At the end of the process: what waits is written now, or never. */
  finish () {
    clearTimeout(this._retry)
    try {
      // What is under way ends by itself.
      if (this._isWriting) this._batch = NOTHING
      while (this._gather()) this._advance(this._writeNow())
    } catch (err) {
      this._say(`the last lines are not in the log file ${this.path}: ${textOf(err)}`)
    }
  }

  _writeNow () {
    const written = this._files.writeSync(this._fd, this._chunk())
    if (written === 0) throw new Error('nothing was taken')
    return written
  }

  _flush () {
    if (this._isWriting || this._retry !== null || !this._gather()) return
    this._isWriting = true
    this._files.write(this._fd, this._chunk(), (err, written) => this._written(err, written))
  }

  _written (err, written) {
    this._isWriting = false
    if (!err && written > 0) {
      if (this._isFailing) this._say(`the log file ${this.path} is written again`)
      this._isFailing = false
      this._advance(written)
    } else this._failed(err)
    if (this._next !== null) this._swap()
    this._flush()
  }

  _failed (err) {
    if (!this._isFailing) {
      this._say(`the log file ${this.path} cannot be written, lines wait as long as there is room: ${err ? textOf(err) : 'nothing was taken'}`)
    }
    this._isFailing = true
    this._retry = setTimeout(() => {
      this._retry = null
      this._flush()
    }, this._limits.retryMs).unref()
  }

  /** Whether there is anything to write. */
  _gather () {
    if (this._batch.length === 0 && this._lines.length > 0) {
      this._batch = Buffer.concat(this._lines)
      this._lines = []
    }
    return this._batch.length > 0
  }

  _chunk () {
    return this._isTorn ? Buffer.concat([Buffer.of(NEWLINE), this._batch]) : this._batch
  }

  /** So many bytes of _chunk() are in the file. */
  _advance (written) {
    const done = written - (this._isTorn ? 1 : 0)
    const whole = done > 0 ? this._batch.lastIndexOf(NEWLINE, done - 1) + 1 : 0
    this._isTorn = whole < done
    this._batch = this._batch.subarray(whole)
    this._waiting -= whole
  }

  _swap () {
    this._close(this._fd)
    this._fd = this._next
    this._next = null
    this._isTorn = false
  }

  _close (fd) {
    this._files.close(fd, () => {})
  }
}

/** A wrong --log-file, as the library's errors of options are. */
function fileError (message) {
  return Object.assign(new Error(`log.file: ${message}`), { code: 'ERR_ALKNET_OPTION', stage: 'options', option: 'log.file' })
}

function openFile (given) {
  const { logFile, explain } = given
  if (logFile === undefined) return null
  if (logFile === '' || logFile.includes('\0')) throw explain(fileError('must be a path'))
  try {
    return new LogFile(logFile)
  } catch (err) {
    throw explain(fileError(`cannot open ${logFile}: ${textOf(err)}`))
  }
}

/**
 * Opens the log that was asked for. Gives { into, release }: into(given) are the
 * options of gather(), with the log going there; release() takes the handler of
 * SIGUSR1 away.
 * @param {object} given of gather()
 */
function openLog (given) {
  const file = openFile(given)
  // Without a handler Node would open its debugger to whoever can connect.
  const onSignal = () => file?.reopen()
  const onExit = () => file?.finish()
  process.on('SIGUSR1', onSignal)
  process.on('exit', onExit)
  const write = file === null ? undefined : (line) => file.write(line)
  return {
    into: ({ options, logFile }) =>
      logFile === given.logFile ? { ...options, log: { ...options.log, write } } : options,
    release: () => process.off('SIGUSR1', onSignal)
  }
}

/** What --check prints, with the file in its place. */
function withLogFile (config, { logFile }) {
  if (logFile === undefined) return config
  return config.replace(/^log-time = .*$/m, (line) => `${line}\nlog-file = ${JSON.stringify(path.resolve(logFile))}`)
}

module.exports = { LogFile, openLog, withLogFile }
