'use strict'

/**
 * TOML, and where each key of it stands. smol-toml reads the text; it tells the
 * place of what does not parse, but not of a key whose value is wrong. So the
 * text is walked a second time, for the places alone: it has been accepted by
 * then, which keeps the walk simple. Pure.
 */

const { parse, TomlError } = require('smol-toml')
const { printable } = require('./addresses')

const MAX_DEPTH = 32

/** Why a text is no TOML, and where. */
class TomlProblem extends Error {
  constructor (message, line, column) {
    super(message)
    this.line = line
    this.column = column
  }
}

/** Walks a text that is TOML and notes the offset of each key. */
class Walker {
  constructor (text) {
    this.text = text
    this.at = 0
    this.offsets = new Map() // JSON of a path => offset
    this._counts = new Map() // JSON of an array of tables => its elements
  }

  document () {
    let table = []
    for (;;) {
      this.blank(true)
      if (this.at >= this.text.length) return this.offsets
      if (this.text[this.at] === '[') table = this.header()
      else this.pair(table)
    }
  }

  note (path, offset) {
    const key = JSON.stringify(path)
    if (!this.offsets.has(key)) this.offsets.set(key, offset)
  }

  /** Passes over spaces and comments, and over line ends if so wanted. */
  blank (lines) {
    for (; this.at < this.text.length; this.at++) {
      const c = this.text[this.at]
      if (c === '#') this.at = this.indexOr(/\n/g, this.text.length)
      if (this.text[this.at] === '\n' ? !lines : c !== ' ' && c !== '\t' && c !== '\r' && c !== '#') return
    }
  }

  indexOr (pattern, otherwise) {
    pattern.lastIndex = this.at
    const match = pattern.exec(this.text)
    return match === null ? otherwise : match.index
  }

  /** [a.b] or [[a.b]] => its path, with the place in an array of tables. */
  header () {
    const start = this.at
    const isArray = this.text.startsWith('[[', this.at)
    this.at += isArray ? 2 : 1
    const path = []
    const keys = this.keys()
    keys.forEach(({ name }, i) => {
      path.push(name)
      const id = JSON.stringify(path)
      const count = this._counts.get(id)
      if (isArray && i === keys.length - 1) {
        this._counts.set(id, (count ?? 0) + 1)
        path.push(count ?? 0)
      } else if (count !== undefined) {
        path.push(count - 1)
      }
      this.note([...path], start)
    })
    this.at += isArray ? 2 : 1
    return path
  }

  /** a.'b'."c" => [{ name, offset }], up to what follows. */
  keys () {
    const out = []
    do {
      if (out.length > 0) this.at++
      this.blank(false)
      const offset = this.at
      const c = this.text[this.at]
      const name = c === '"' || c === "'" ? this.string() : this.bare(/[\s.=\]]/g)
      out.push({ name, offset })
      this.blank(false)
    } while (this.text[this.at] === '.')
    return out
  }

  bare (end) {
    const from = this.at
    this.at = this.indexOr(end, this.text.length)
    return this.text.slice(from, this.at)
  }

  /** A key in quotes; the parser undoes its escapes. */
  string () {
    const from = this.at
    this.quoted()
    return Object.keys(parse(`${this.text.slice(from, this.at)} = 0`))[0]
  }

  quoted () {
    const c = this.text[this.at]
    const fence = this.text.startsWith(c.repeat(3), this.at) ? c.repeat(3) : c
    this.at += fence.length
    while (this.at < this.text.length && !this.text.startsWith(fence, this.at)) {
      this.at += c === '"' && this.text[this.at] === '\\' ? 2 : 1
    }
    this.at += fence.length
    // Up to two quotes may stand before the closing three.
    if (fence.length === 3) while (this.text[this.at] === c) this.at++
  }

  pair (table) {
    const path = [...table]
    for (const { name, offset } of this.keys()) {
      path.push(name)
      this.note([...path], offset)
    }
    this.at++ // =
    this.value(path)
  }

  value (path) {
    if (path.length > MAX_DEPTH) throw new TomlProblem(`nested deeper than ${MAX_DEPTH}`, ...placeOf(this.text, this.at))
    this.blank(false)
    const c = this.text[this.at]
    if (c === '"' || c === "'") this.quoted()
    else if (c === '[') this.list(']', (i) => { this.note([...path, i], this.at); this.value([...path, i]) })
    else if (c === '{') this.list('}', () => this.pair(path))
    else this.bare(/[,\]}\n#]/g)
  }

  list (end, element) {
    this.at++
    for (let i = 0; this.at < this.text.length; i++) {
      this.blank(true)
      if (this.text[this.at] === end) break
      element(i)
      this.blank(true)
      if (this.text[this.at] === ',') this.at++
    }
    this.at++
  }
}

/** An offset as [line, column], both from 1. */
function placeOf (text, offset) {
  const before = text.slice(0, offset)
  return [before.split('\n').length, offset - before.lastIndexOf('\n')]
}

function problemOf (err) {
  if (!(err instanceof TomlError)) throw err
  const message = err.message.split('\n')[0].replace(/^Invalid TOML document: /, '')
  return new TomlProblem(printable(message), err.line, err.column)
}

/**
 * Parses TOML. Gives { value, place }: place(path) is [line, column] of the key
 * or element, or of the nearest that is around it. Throws a TomlProblem.
 */
function parseToml (text) {
  let value
  try {
    value = parse(text, { maxDepth: MAX_DEPTH })
  } catch (err) {
    throw problemOf(err)
  }
  const offsets = new Walker(text).document()
  const place = (path) => {
    for (let n = path.length; n > 0; n--) {
      const offset = offsets.get(JSON.stringify(path.slice(0, n)))
      if (offset !== undefined) return placeOf(text, offset)
    }
    return [1, 1]
  }
  return { value, place }
}

module.exports = { TomlProblem, parseToml }
