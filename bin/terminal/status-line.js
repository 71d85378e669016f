'use strict'

/**
 * The last line of a terminal, written again and again in its place. Whatever
 * else is printed goes above it, whole.
 *
 *   hidden -> drawn -> drawn anew -> hidden     print(), pause(), close()
 *
 * Only text of one column a character may stand in it.
 */

const fs = require('fs')

const DEFAULT_COLUMNS = 80

/** Whether a terminal understands more than text. */
function isCapable (stream, env = process.env) {
  return stream.isTTY === true && env.TERM !== undefined && env.TERM !== 'dumb'
}

/**
 * Whether the terminal is ours to write to: a program in the background would
 * write into what somebody else shows. Where it cannot be told, it is.
 */
function isForeground () {
  try {
    // After the name, which may have anything in it: state, parent, group, session, terminal, its group.
    const fields = fs.readFileSync('/proc/self/stat', 'latin1').replace(/^.*\) /s, '').split(' ')
    return fields[2] === fields[5]
  } catch {
    return true
  }
}

class StatusLine {
  /** stream: a terminal. isOurs: () => whether it may be drawn now. */
  constructor (stream, isOurs = isForeground) {
    this._stream = stream
    this._isOurs = isOurs
    this._text = '' // as it is to be, without colours
    this._painted = ''
    this._drawn = 0 // characters that stand there
    this._shown = '' // what was written
    this._isPaused = false
    this._isClosed = false
    this._onResize = () => this._draw(true)
    this._onExit = () => this._erase()
    stream.on('resize', this._onResize)
    process.on('exit', this._onExit)
  }

  /** How many characters there is room for: not the last column, where lines wrap. */
  get width () {
    return (this._stream.columns || DEFAULT_COLUMNS) - 1
  }

  /** text: plain; painted: the same with colours. */
  set (text, painted = text) {
    this._text = text
    this._painted = painted
    this._draw(false)
  }

  /** Writes a line to stream, which shows on the same terminal, above this one. */
  print (stream, line) {
    this._erase()
    stream.write(`${line}\n`)
    this._draw(false)
  }

  /** Nothing stands there until resume(). */
  pause () {
    this._erase()
    this._isPaused = true
  }

  resume () {
    this._isPaused = false
    this._draw(false)
  }

  /** Takes it away for good. */
  close () {
    if (this._isClosed) return
    this._erase()
    this._isClosed = true
    this._stream.off('resize', this._onResize)
    process.off('exit', this._onExit)
  }

  _draw (isResized) {
    if (this._isClosed || this._isPaused || this._text === '' || !this._isOurs()) return
    if (isResized) this._erase()
    const fits = this._text.length <= this.width
    const line = fits ? this._painted : this._text.slice(0, Math.max(0, this.width))
    if (line === this._shown) return
    this._stream.write(`\r${line}\x1b[K`)
    this._shown = line
    this._drawn = Math.min(this._text.length, this.width)
  }

  // A terminal that was made narrower shows the line in several rows.
  _erase () {
    if (this._drawn === 0) return
    const rows = Math.ceil(this._drawn / (this._stream.columns || DEFAULT_COLUMNS))
    this._stream.write(`${rows > 1 ? `\x1b[${rows - 1}A` : ''}\r\x1b[J`)
    this._drawn = 0
    this._shown = ''
  }
}

module.exports = { StatusLine, isCapable, isForeground }
