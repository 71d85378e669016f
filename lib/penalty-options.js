'use strict'

/**
 * Checks of the options of penalties.js, as option-checks.js has them. Pure.
 *
 *   penalties      'off' or false, true, text as sshd's PerSourcePenalties has
 *                  it ('authfail:5s,max:10m'), or { authfail: 5, max: '10m' };
 *                  what is left out is the default
 *   penaltyExempt  an address or a network
 */

const { optionError } = require('./errors')
const { parseCidr, printable } = require('./addresses')
const { seconds } = require('./option-checks')

const DAY = 86400

// As OpenSSH has them.
const PENALTIES = {
  authfail: [seconds(0, DAY), 5],
  noauth: [seconds(0, DAY), 1],
  graceExceeded: [seconds(0, DAY), 10],
  min: [seconds(0, DAY), 15],
  max: [seconds(1, DAY), 600]
}

const toKebab = (name) => name.replace(/[A-Z]/g, (c) => `-${c.toLowerCase()}`)
const NAMES = new Map(Object.keys(PENALTIES).map((name) => [toKebab(name), name]))

/** 'authfail:5s,max:10m' => { authfail: '5s', max: '10m' }. */
function partsOf (name, text) {
  const out = {}
  for (const part of text.split(',')) {
    const [, key, duration] = /^([^:]*):(.*)$/.exec(part.trim()) ?? []
    if (!NAMES.has(key)) {
      throw optionError(name, `"${printable(part)}" is not one of ${[...NAMES.keys()].join(', ')} with a duration, as in authfail:5s`)
    }
    if (Object.hasOwn(out, NAMES.get(key))) throw optionError(name, `${key} stands there twice`)
    out[NAMES.get(key)] = /^\d{1,15}$/.test(duration) ? Number(duration) : duration
  }
  return out
}

/** How long sources are refused for what: { authfail, …, text }, or 'off'. */
function penalties (name, value) {
  if (value === false || value === 'off') return 'off'
  const parts = value === true ? {} : typeof value === 'string' ? partsOf(name, value) : value
  if (parts === null || typeof parts !== 'object' || Array.isArray(parts)) {
    throw optionError(name, `must be false, or an object { ${Object.keys(PENALTIES).join(', ')} }`)
  }
  for (const key of Object.keys(parts)) {
    if (!Object.hasOwn(PENALTIES, key)) throw optionError(printable(`${name}.${key}`), `there is no such option; there are ${Object.keys(PENALTIES).join(', ')}`)
  }
  const out = {}
  for (const [key, [check, byDefault]] of Object.entries(PENALTIES)) {
    out[key] = parts[key] === undefined ? byDefault : check(`${name}.${key}`, parts[key])
  }
  if (out.min > out.max) throw optionError(`${name}.min`, `must not be more than max, ${out.max} seconds: nobody would ever be refused`)
  return { ...out, text: Object.keys(PENALTIES).map((key) => `${toKebab(key)}:${out[key]}s`).join(',') }
}

/** An address, or a network without a bit behind its prefix: { bytes, bits, text }. */
function network (name, value) {
  const cidr = typeof value === 'string' ? parseCidr(value) : null
  if (cidr === null) throw optionError(name, 'must be an IP address, or a network like 10.0.0.0/8 or 2001:db8::/32')
  const first = cidr.bytes.map((byte, i) => byte & (0xff00 >> Math.min(8, Math.max(0, cidr.bits - i * 8))))
  if (first.some((byte, i) => byte !== cidr.bytes[i])) {
    throw optionError(name, `"${printable(value)}" has bits behind its prefix: which network is meant?`)
  }
  return { ...cidr, text: value }
}

module.exports = { PENALTIES, network, penalties }
