'use strict'

/** What a terminal shows: as much of one as alknet's status line needs. */
class Screen {
  constructor (columns = 80) {
    this.columns = columns
    this.rows = ['']
    this._row = 0
    this._column = 0
  }

  /** Text as it comes from a program; of what nobody has thought of, it throws. */
  write (text) {
    const pattern = /\x1b\[(\d*)([A-Za-z])|\r|\n|[^\x1b\r\n]/g // eslint-disable-line no-control-regex
    for (const [all, count, letter] of String(text).matchAll(pattern)) {
      if (letter !== undefined) this._escape(letter, count === '' ? null : Number(count))
      else if (all === '\r') this._column = 0
      else if (all === '\n') this._newline()
      else this._put(all)
    }
  }

  _escape (letter, count) {
    if (letter === 'm') return
    if (letter === 'A') this._row = Math.max(0, this._row - (count ?? 1))
    else if (letter === 'K' && count === null) this._cut()
    else if (letter === 'J' && count === null) {
      this._cut()
      this.rows.length = this._row + 1
    } else throw new Error(`the screen does not know ESC[${count ?? ''}${letter}`)
  }

  _cut () {
    this.rows[this._row] = this.rows[this._row].slice(0, this._column)
  }

  // A terminal in its usual mode goes back to the first column, too.
  _newline () {
    this._row++
    this._column = 0
    if (this._row === this.rows.length) this.rows.push('')
  }

  _put (char) {
    if (this._column === this.columns) this._newline()
    const row = this.rows[this._row].padEnd(this._column)
    this.rows[this._row] = row.slice(0, this._column) + char + row.slice(this._column + 1)
    this._column++
  }

  /** Other columns: what stands there is wrapped anew, the cursor stays behind its character. */
  resize (columns) {
    const rows = this.rows.flatMap((row) => {
      const parts = row === '' ? [''] : row.match(new RegExp(`.{1,${columns}}`, 'g'))
      return parts
    })
    const above = this.rows.slice(0, this._row).reduce((sum, row) => sum + Math.max(1, Math.ceil(row.length / columns)), 0)
    const at = Math.max(0, Math.ceil(this._column / columns) - 1)
    this._row = above + at
    this._column -= at * columns
    this.columns = columns
    this.rows = rows
  }

  /** The rows that have anything in them. */
  lines () {
    return this.rows.map((row) => row.trimEnd()).filter((row) => row !== '')
  }
}

module.exports = { Screen }
