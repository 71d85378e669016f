'use strict'

/**
 * docs/logs.md as a test reads it, and the lines of a log as a program of
 * somebody else's would read them: by what that page says.
 */

const assert = require('node:assert')
const fs = require('node:fs')
const path = require('node:path')

const root = path.join(__dirname, '..', '..')

const cells = (row) => row.split(/(?<!\\)\|/).slice(1, -1).map((cell) => cell.trim())
const quoted = (cell) => [...cell.matchAll(/`([^`]*)`/g)].map(([, text]) => text)

/** The rows of the table below a heading, without its head. */
function rowsOf (page, heading) {
  const section = page.split(`\n## ${heading}\n`)[1].split('\n## ')[0]
  return section.split('\n').filter((line) => line.startsWith('| `')).map(cells)
}

let schema = null

/**
 * What docs/logs.md says: { lines: [{ event, level, keys, needed }], types },
 * types by key.
 */
function logSchema () {
  if (schema !== null) return schema
  const page = fs.readFileSync(path.join(root, 'docs', 'logs.md'), 'utf8')
  const lines = rowsOf(page, 'Lines').map(([event, level, keys]) => ({
    event: quoted(event)[0],
    level,
    keys: quoted(keys).map((key) => key.replace('?', '')),
    needed: quoted(keys).filter((key) => !key.endsWith('?'))
  }))
  const types = new Map(rowsOf(page, 'Keys').map(([key, type]) => [quoted(key)[0], type]))
  schema = { lines, types }
  return schema
}

const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/
const TEXT = /^(?:(\S+Z) )?([A-Z]+) (.*)$/
const PAIR = /^ ([a-z_]+)=(?:"((?:[ !#-[\]-~]|\\(?:["\\]|x[0-9a-f]{2}|u[0-9a-f]{4}))*)"|([A-Za-z0-9._:/@+-]+))/

function unescape (text) {
  return text.replace(/\\(?:x([0-9a-f]{2})|u([0-9a-f]{4})|(.))/g, (_, x, u, c) =>
    c ?? String.fromCharCode(parseInt(x ?? u, 16)))
}

/** A line of text as { time, level, event, … }, or it throws. */
function parseText (line) {
  assert.match(line, /^[\x20-\x7e]*$/, 'printable ASCII, and no line break')
  const [, time, level, rest] = TEXT.exec(line) ?? assert.fail(`no line of a log: ${line}`)
  const { types } = logSchema()
  // The longest event that what follows leaves whole.
  const event = rest.replace(/(?: [a-z_]+=(?:"(?:[^"\\]|\\.)*"|[^\s"]+))*$/, '')
  const record = { time, level: level.toLowerCase(), event }
  let pairs = rest.slice(event.length)
  while (pairs !== '') {
    const [all, key, inQuotes, plain] = PAIR.exec(pairs) ?? assert.fail(`no key and value: ${pairs}`)
    assert(!Object.hasOwn(record, key), `${key} twice: ${line}`)
    const value = plain ?? unescape(inQuotes)
    record[key] = types.get(key) === 'number' ? Number(value) : value
    pairs = pairs.slice(all.length)
  }
  return record
}

/** A line, of either form, as { time, level, event, … }. */
function parseLine (line) {
  return line.startsWith('{') ? { time: undefined, ...JSON.parse(line) } : parseText(line)
}

/** What docs/logs.md does not say of a line, or null. */
function problemOfRecord ({ time, level, event, ...fields }) {
  const { lines, types } = logSchema()
  if (time !== undefined && !TIME.test(time)) return `no time: ${time}`
  const row = lines.find((one) => one.event === event && one.level === level)
  if (row === undefined) return `docs/logs.md has no line ${level} "${event}"`
  for (const key of row.needed) if (!Object.hasOwn(fields, key)) return `${key} is missing`
  for (const [key, value] of Object.entries(fields)) {
    if (!row.keys.includes(key)) return `docs/logs.md has no key ${key} for "${event}"`
    const type = types.get(key)
    const isRight = type === 'text' ? typeof value === 'string' : Number.isFinite(value)
    if (!isRight) return `${key} is no ${type}: ${value}`
  }
  return null
}

/** Fails for the first line that docs/logs.md does not describe. Gives the records. */
function checkLines (lines) {
  return lines.map((line) => {
    const record = parseLine(line)
    assert.strictEqual(problemOfRecord(record), null, line)
    return record
  })
}

module.exports = { checkLines, logSchema, parseLine, problemOfRecord, root }
