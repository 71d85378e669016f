'use strict'

/**
 * What a certificate is to say, from the options of signCertificate(): the
 * words of ssh-keygen(1), -V and -O, and its defaults. Pure.
 */

const { printable } = require('./addresses')
const { parseSourceAddress } = require('./certificates')
const { optionError } = require('./errors')
const { abortSignal, oneOf, passphrase, pathOrBytes, several } = require('./option-checks')
const { validate } = require('./option-table')

const FOREVER = 2n ** 64n - 1n
const MAX_PRINCIPALS = 256
const MAX_TEXT = 1024

// What a user's certificate permits unless it is taken away. Servers that have
// no terminals or agents ignore what is about them.
const PERMITS = ['X11-forwarding', 'agent-forwarding', 'port-forwarding', 'pty', 'user-rc'].map((name) => `permit-${name}`)

/** One line of text that is the same for every reader. */
function isLine (value) {
  // eslint-disable-next-line no-control-regex
  return typeof value === 'string' && value.length <= MAX_TEXT && value.isWellFormed() && !/[\x00-\x1f\x7f]/.test(value)
}

function keyId (name, value) {
  if (!isLine(value) || value === '') throw optionError(name, `must be one line of text, of 1 to ${MAX_TEXT} characters`)
  return value
}

function principals (name, value) {
  const list = typeof value === 'string' ? value.split(',') : value
  if (!Array.isArray(list) || list.length > MAX_PRINCIPALS) throw optionError(name, `must be names: a,b (at most ${MAX_PRINCIPALS})`)
  for (const one of list) {
    // OpenSSH takes a comma in a name for two names here and there.
    if (!isLine(one) || one === '' || one.includes(',') || one.trim() !== one) {
      throw optionError(name, `"${printable(String(one))}" is not a name: it is empty, or has a comma or a space at an end`)
    }
  }
  return list
}

function serial (name, value) {
  const isNumber = typeof value === 'bigint' || Number.isSafeInteger(value) || (typeof value === 'string' && /^\d{1,20}$/.test(value))
  if (!isNumber || BigInt(value) < 0n || BigInt(value) > FOREVER) throw optionError(name, 'must be a whole number of 0 to 2^64 - 1')
  return BigInt(value)
}

// ---- times: BigInt seconds since 1970

const DURATION = /^(?=.)(?:(\d{1,9})w)?(?:(\d{1,9})d)?(?:(\d{1,9})h)?(?:(\d{1,9})m)?(?:(\d{1,9})s?)?$/i
const ABSOLUTE = /^(\d{4})(\d\d)(\d\d)(?:(\d\d)(\d\d)(\d\d)?)?(Z?)$/

/** '52w', '1h30m', '90' => seconds, or null. */
function parseDuration (text) {
  const match = DURATION.exec(text)
  if (match === null) return null
  const [weeks, days, hours, minutes, rest] = match.slice(1).map((part) => Number(part ?? 0))
  return (((weeks * 7 + days) * 24 + hours) * 60 + minutes) * 60 + rest
}

/** 'YYYYMMDD[HHMM[SS]][Z]' => seconds, or null; without Z in local time. */
function parseAbsolute (text) {
  const match = ABSOLUTE.exec(text)
  if (match === null) return null
  const [year, month, day, hour, minute, second] = match.slice(1, 7).map((part) => Number(part ?? 0))
  const parts = [year, month - 1, day, hour, minute, second]
  const utc = new Date(Date.UTC(...parts))
  const real = [utc.getUTCFullYear(), utc.getUTCMonth(), utc.getUTCDate(), utc.getUTCHours(), utc.getUTCMinutes(), utc.getUTCSeconds()]
  if (real.some((part, i) => part !== parts[i])) return null
  return Math.floor((match[7] === 'Z' ? utc : new Date(...parts)).getTime() / 1000)
}

function parseTime (value, now) {
  if (value instanceof Date) return Math.floor(value.getTime() / 1000)
  if (typeof value !== 'string') return null
  const duration = /^[+-]/.test(value) ? parseDuration(value.slice(1)) : null
  if (duration !== null) return value[0] === '-' ? now - duration : now + duration
  return parseAbsolute(value)
}

function time (name, value, now, word, meaning) {
  if (value === undefined || value === word) return meaning
  const seconds = parseTime(value, now)
  if (!Number.isSafeInteger(seconds) || seconds < 0) {
    throw optionError(name, `must be ${word}, YYYYMMDD[HHMM[SS]][Z], or +52w or -5m from now, and not before 1970`)
  }
  return BigInt(seconds)
}

/** From when and to when: [BigInt, BigInt]. now: seconds since 1970. */
function times ({ valid, validFrom, validTo }, now) {
  if (valid !== undefined && (validFrom !== undefined || validTo !== undefined)) {
    throw optionError('valid', 'makes no sense together with validFrom or validTo')
  }
  const range = typeof valid === 'string' ? /^([^:]+):([^:]+)$/.exec(valid) : null
  if (valid !== undefined && range === null) {
    const duration = typeof valid === 'string' ? parseDuration(valid.replace(/^\+/, '')) : null
    if (duration === null || duration === 0) throw optionError('valid', 'must be a duration like 52w or 1h30m, or from:to')
    // For peers whose clock is a little late: from up to two minutes ago.
    return [BigInt(Math.max(0, Math.floor((now - 59) / 60) * 60)), BigInt(now + duration)]
  }
  const name = range === null ? ['validFrom', 'validTo'] : ['valid', 'valid']
  const from = time(name[0], range?.[1] ?? validFrom, now, 'always', 0n)
  const to = time(name[1], range?.[2] ?? validTo, now, 'forever', FOREVER)
  if (to <= from) throw optionError(name[1], 'is not after the time from which the certificate is valid')
  return [from, to]
}

// ---- critical options and extensions

/** The lists while they grow: name => text, or null for none. */
class Lists {
  constructor (permits) {
    this.critical = new Map()
    this.extensions = new Map(permits.map((name) => [name, null]))
  }

  add (list, name, value) {
    if (list.has(name) && list.get(name) !== value) throw optionError('options', `"${printable(name)}" is there twice`)
    list.set(name, value)
  }
}

function sourceAddress (lists, value) {
  if (parseSourceAddress(value) === null) {
    throw optionError('options', `source-address="${printable(value)}" is not a list of addresses and networks (10.0.0.0/8,::1/128)`)
  }
  lists.add(lists.critical, 'source-address', value)
}

function forceCommand (lists, value) {
  if (value === '') throw optionError('options', 'force-command is empty')
  lists.add(lists.critical, 'force-command', value)
}

// Those of users, as ssh-keygen calls them, in any case.
const WORDS = new Map([
  ['clear', (lists) => lists.extensions.clear()],
  ['touch-required', (lists) => lists.extensions.delete('no-touch-required')],
  ['no-touch-required', (lists) => lists.add(lists.extensions, 'no-touch-required', null)],
  ['verify-required', (lists) => lists.add(lists.critical, 'verify-required', null)],
  ['no-verify-required', (lists) => lists.critical.delete('verify-required')],
  ...PERMITS.map((name) => [name.toLowerCase(), (lists) => lists.add(lists.extensions, name, null)]),
  ...PERMITS.map((name) => [name.toLowerCase().replace('permit', 'no'), (lists) => lists.extensions.delete(name)])
])
const VALUES = new Map([['source-address', sourceAddress], ['force-command', forceCommand]])

// 'extension:name', 'critical:name=value': those that are not known by name.
const NAMED = /^(extension|critical):([^=]+)(?:=(.*))?$/

function named (lists, [, kind, name, value], isHost) {
  if (kind === 'critical' && isHost) throw optionError('options', 'a host\'s certificate with a critical option is refused by every client')
  if (kind === 'critical' && VALUES.has(name)) return VALUES.get(name)(lists, value ?? '')
  const takesNone = name === 'verify-required' || name === 'no-touch-required' || PERMITS.includes(name)
  if (takesNone && value !== undefined) throw optionError('options', `${name} takes no value`)
  lists.add(kind === 'critical' ? lists.critical : lists.extensions, name, value ?? null)
}

function apply (lists, text, isHost) {
  const match = NAMED.exec(text)
  if (match !== null) return named(lists, match, isHost)
  const equals = text.indexOf('=')
  const name = (equals < 0 ? text : text.slice(0, equals)).toLowerCase()
  const known = equals < 0 ? WORDS.get(name) : VALUES.get(name)
  if (known === undefined) {
    const hint = VALUES.has(name) ? `${name} needs a value` : `"${printable(text)}" is not known; for one of your own: extension:NAME=VALUE or critical:NAME=VALUE`
    throw optionError('options', hint)
  }
  if (isHost) throw optionError('options', `${name} is for users; a host's certificate can only have extension:NAME=VALUE`)
  known(lists, text.slice(equals + 1))
}

function oneOption (name, value) {
  if (!isLine(value) || value === '') throw optionError(name, `must be lines of text, of 1 to ${MAX_TEXT} characters`)
  return value
}

function optionLists (options, kind) {
  const isHost = kind === 'host'
  const lists = new Lists(isHost ? [] : PERMITS)
  for (const one of options) apply(lists, one, isHost)
  const list = (map) => [...map].map(([name, value]) => ({ name, value }))
  return { critical: list(lists.critical), extensions: list(lists.extensions) }
}

const asItIs = (name, value) => value

const TABLE = {
  key: [pathOrBytes],
  kind: [oneOf(['user', 'host'], []), 'user'],
  keyId: [keyId],
  principals: [principals, []],
  serial: [serial, 0n],
  valid: [asItIs],
  validFrom: [asItIs],
  validTo: [asItIs],
  options: [several(oneOption, 0), []],
  passphrase: [passphrase],
  signal: [abortSignal]
}

/**
 * The options of signCertificate(), as the addon wants them.
 * @param {object} options
 * @param {number} [now] seconds since 1970
 */
function signOptions (options, now = Math.floor(Date.now() / 1000)) {
  const { valid, validFrom, validTo, options: list, ...out } = validate(TABLE, options)
  if (out.key === undefined) throw optionError('key', 'is required: the public key to certify')
  if (out.keyId === undefined) throw optionError('keyId', 'is required: what logs and rules call the certificate\'s owner')
  if (out.principals.length === 0) {
    throw optionError('principals', out.kind === 'host'
      ? 'is required: the host names; a certificate without is for no host'
      : 'is required: the user names; a certificate without is refused by servers, as it once was good for every user')
  }
  const [validAfter, validBefore] = times({ valid, validFrom, validTo }, now)
  return { ...out, validAfter, validBefore, ...optionLists(list, out.kind) }
}

module.exports = { FOREVER, signOptions }
