'use strict'

/**
 * Log lines, spec §9: one line an event, logfmt or JSON with the same keys.
 * What a peer chose is quoted and escaped, and cut, so that no line can be
 * forged. Destinations, names looked up and byte counts never come here.
 */

const LEVELS = { error: 0, warn: 1, info: 2, debug: 3 }
const MAX_VALUE = 255
const PLAIN = /^[A-Za-z0-9._:/@+-]+$/

function escapeChar (c) {
  const code = c.charCodeAt(0)
  if (c === '"' || c === '\\') return `\\${c}`
  if (code < 0x80) return `\\x${code.toString(16).padStart(2, '0')}`
  return `\\u${code.toString(16).padStart(4, '0')}`
}

function cut (text) {
  return text.length > MAX_VALUE ? `${text.slice(0, MAX_VALUE)}...` : text
}

function textValue (value) {
  const text = cut(String(value))
  if (PLAIN.test(text)) return text
  return `"${text.replace(/[^\x20-\x7e]|["\\]/g, escapeChar)}"`
}

/**
 * 'INFO auth attempt remote_addr=… user=root …': no line break at the end.
 * time: text that comes first, or undefined.
 */
function formatText (level, event, fields, time) {
  let line = `${time === undefined ? '' : `${time} `}${level.toUpperCase()} ${event}`
  for (const key of Object.keys(fields)) {
    if (fields[key] !== undefined) line += ` ${key}=${textValue(fields[key])}`
  }
  return line
}

/** The same as one JSON object in ASCII. */
function formatJson (level, event, fields, time) {
  const record = time === undefined ? { level, event } : { time, level, event }
  for (const key of Object.keys(fields)) {
    const value = fields[key]
    if (value !== undefined) record[key] = typeof value === 'string' ? cut(value) : value
  }
  return JSON.stringify(record).replace(/[\x7f-\uffff]/g,
    (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

const FORMATS = { text: formatText, json: formatJson }

function silent () {}

const NO_LOG = { error: silent, warn: silent, info: silent, debug: silent }

/**
 * Makes a logger: an object with error(), warn(), info() and debug(), each
 * called with an event and an object of fields.
 * @param {object} [options]
 * @param {'error'|'warn'|'info'|'debug'} [options.level='info']
 * @param {'text'|'json'} [options.format='text']
 * @param {boolean} [options.time=false] each line begins with the time, in UTC
 * @param {(line: string) => unknown} [options.write] gets each line, without its
 *   line break; 'dropped': it was not taken, and is counted. **Default:** to stderr.
 */
function createLogger ({ level = 'info', format = 'text', time = false, write = toStderr } = {}) {
  const logger = { ...NO_LOG }
  const put = (name, event, fields) => guarded(write,
    FORMATS[format](name, event, fields, time ? new Date().toISOString() : undefined))
  let dropped = 0
  const log = (name, event, fields) => {
    // The gap is told where it is, before what comes after it.
    if (dropped > 0 && put('warn', 'log lines dropped', { count: dropped })) dropped = 0
    if (dropped > 0 || !put(name, event, fields)) dropped++
  }
  for (const [name, rank] of Object.entries(LEVELS)) {
    if (rank <= LEVELS[level]) logger[name] = (event, fields = {}) => log(name, event, fields)
  }
  return logger
}

// Whether the line was taken. A stream's false is none: it has taken the line.
// What a user's write() throws must not unwind the one who logs: it becomes an
// uncaughtException of its own.
function guarded (write, line) {
  try {
    return write(line) !== 'dropped'
  } catch (err) {
    process.nextTick(() => { throw err })
    return true
  }
}

function toStderr (line) {
  process.stderr.write(`${line}\n`)
}

module.exports = { LEVELS, FORMATS, NO_LOG, createLogger }
