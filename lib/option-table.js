'use strict'

/**
 * Tables of options: name => [check, default, a table of its parts]. What has
 * no default is undefined. An option that is in no table is an error, with the
 * name that was perhaps meant. Pure.
 */

const { optionError } = require('./errors')
const { printable } = require('./addresses')

// Flags that are parts of one option.
const PARTS = {
  allow: 'forwarding.rules', deny: 'forwarding.rules', default: 'forwarding.default', permitListen: 'forwarding.permitListen'
}

/** How many single changes lead from a to b; at most limit + 1. */
function distance (a, b, limit) {
  if (Math.abs(a.length - b.length) > limit) return limit + 1
  let previous = Array.from({ length: b.length + 1 }, (_, i) => i)
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1] ? 0 : 1
      row[j] = Math.min(previous[j] + 1, row[j - 1] + 1, previous[j - 1] + same)
    }
    previous = row
  }
  return previous[b.length]
}

/** The one of known that name is most like, or null. */
function closest (name, known) {
  const near = known.map((one) => [distance(name.toLowerCase(), one.toLowerCase(), 3), one])
    .filter(([d, one]) => d <= Math.min(3, Math.ceil(one.length / 3)))
    .sort((x, y) => x[0] - y[0])
  return near.length === 0 ? null : near[0][1]
}

function unknownOption (name, key, known) {
  if (Object.hasOwn(PARTS, key) && known.includes('forwarding')) {
    return optionError(name, `there is no such option; it is a part of forwarding: ${PARTS[key]}`)
  }
  const near = closest(key.slice(0, 100), known)
  return optionError(printable(name), near === null
    ? 'there is no such option'
    : `there is no such option; did you mean ${near}?`)
}

/**
 * All options of a table, as their checks give them.
 * @param {object} table
 * @param {object} options as the user has them
 * @param {object} [more]
 * @param {string} [more.prefix] of what they are called in an error: the option whose parts they are
 * @param {string[]} [more.planned] names of options that there are to be
 */
function validate (table, options, { prefix = '', planned = [] } = {}) {
  if (options === null || typeof options !== 'object') throw optionError('options', 'must be an object')
  for (const key of Object.keys(options)) {
    if (planned.includes(key) && options[key] !== undefined) throw optionError(key, 'not available yet')
    if (!Object.hasOwn(table, key) && !planned.includes(key)) throw unknownOption(prefix + key, key, Object.keys(table))
  }
  const out = {}
  for (const [key, [check, byDefault]] of Object.entries(table)) {
    out[key] = options[key] === undefined ? byDefault : check(prefix + key, options[key])
  }
  return out
}

/** The same value, where it has parts with those of table as its own: a copy, or a clone, has only what an object has itself. */
function own (value, table) {
  if (Array.isArray(value)) return value.map((one) => own(one, table))
  if (table === undefined || value === null || typeof value !== 'object') return value
  return Object.fromEntries(Object.entries(table)
    .filter(([name]) => value[name] !== undefined)
    .map(([name, [, , parts]]) => [name, own(value[name], parts)]))
}

module.exports = { closest, own, validate }
