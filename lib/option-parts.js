'use strict'

/** Checks, as option-checks.js has them, of options that are objects with parts. Pure. */

const { optionError } = require('./errors')
const { LEVELS, FORMATS } = require('./log')
const { callback, flag, integer, oneOf, parsedBy, several } = require('./option-checks')
const { validate } = require('./option-table')
const { RULE, parseListenRule, parseRule } = require('./rules')

const DAY = 86400

/** 'allow' or 'deny', in any case. */
function allowOrDeny (name, value) {
  const lower = typeof value === 'string' ? value.toLowerCase() : ''
  if (lower !== 'allow' && lower !== 'deny') throw optionError(name, 'must be allow or deny')
  return lower
}

/** What may be listened on: rules, or 'none'. */
function listenRules (name, value) {
  if (value === 'none') return []
  return several(parsedBy(parseListenRule, true), 0)(name, value)
}

// Spec §8. null: what stands there while nobody has said anything.
const FORWARDING = {
  default: [allowOrDeny, 'allow'],
  rules: [several(parsedBy(parseRule, true), 0), [], RULE],
  permitListen: [listenRules, null, RULE]
}

function forwarding (name, value) {
  if (value === null || typeof value !== 'object' || Array.isArray(value)) {
    throw optionError(name, 'must be an object { default, rules, permitListen }')
  }
  return validate(FORWARDING, value, { prefix: `${name}.` })
}

// How long it is until the next try, and how many tries there are; 0: any number.
const RECONNECT = {
  maxAttempts: [integer(0, 1e6), 0],
  minDelayMs: [integer(1, DAY * 1000, ' milliseconds'), 1000],
  maxDelayMs: [integer(1, DAY * 1000, ' milliseconds'), 30_000]
}

/** false, true or { maxAttempts, minDelayMs, maxDelayMs }. */
function reconnect (name, value) {
  if (typeof value === 'boolean') return { isOn: value, ...validate(RECONNECT, {}) }
  if (value === null || typeof value !== 'object') {
    throw optionError(name, 'must be true, false or { maxAttempts, minDelayMs, maxDelayMs }')
  }
  return { isOn: true, ...validate(RECONNECT, value, { prefix: `${name}.` }) }
}

const LOG = {
  level: [oneOf(Object.keys(LEVELS), [])],
  format: [oneOf(Object.keys(FORMATS), [])],
  time: [flag],
  write: [callback]
}

/** false, or what log.js takes, as it is: its defaults are its own. */
function log (name, value) {
  if (value === false) return null
  if (value === null || typeof value !== 'object') throw optionError(name, 'must be false, or { level, format, time, write }')
  validate(LOG, value, { prefix: `${name}.` })
  return value
}

module.exports = { FORWARDING, forwarding, log, reconnect }
