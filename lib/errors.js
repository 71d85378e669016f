'use strict'

/**
 * Every error that leaves alknet. Codes, their meaning and their advice stand
 * in one table, in csrc/core/err.h; this file reads it through the addon, and
 * only when somebody asks, so that pure modules stay free of the addon.
 */

// Worth another try without anybody changing anything.
const RETRYABLE = new Set([
  'ERR_ALKNET_TIMEOUT', 'ERR_ALKNET_LOST', 'ERR_ALKNET_DNS',
  'ECONNREFUSED', 'ECONNRESET', 'ECONNABORTED', 'EPIPE', 'ETIMEDOUT',
  'EHOSTUNREACH', 'EHOSTDOWN', 'ENETUNREACH', 'ENETDOWN', 'EADDRNOTAVAIL',
  'EMFILE', 'ENFILE', 'EAGAIN', 'ENOBUFS'
])

// The same of a proxy, or a certificate authority, that refused, by its number:
// it ended, or a SOCKS reply that says nothing; and what HTTP has for troubles
// that pass.
const PASSING = new Set([undefined, 1, 408, 429, 500, 502, 503, 504])

const OF_OTHERS = new Set(['ERR_ALKNET_PROXY', 'ERR_ALKNET_ACME'])

/**
 * An error of alknet.
 *
 * - `code`: `'ERR_ALKNET_…'`, or the system's own such as `'ECONNREFUSED'`
 * - `stage`: where it happened: `'options' 'key' 'dns' 'connect' 'listen' 'kex'
 *   'hostkey' 'auth' 'channel' 'session' …`
 * - `errno`: the system's number, when `code` is the system's
 * - `reason`: for `ERR_ALKNET_CHANNEL`, the number of RFC 4254 §5.1; at stage
 *   `'proxy'`, the proxy's: a reply of RFC 1928 §6, or a status of HTTP; at
 *   stage `'acme'` the authority's status
 * - `hop`: at stage `'proxy'`, which of the proxies it is about, from 1
 * - `retryable`: whether the same call may succeed later, unchanged
 * - `advice`: what to do, for people
 */
class AlknetError extends Error {
  constructor (message, { code, stage, errno, reason, advice, option, hop, cause } = {}) {
    super(message, cause === undefined ? undefined : { cause })
    this.name = 'AlknetError'
    this.code = code
    this.stage = stage
    if (errno !== undefined) this.errno = errno
    if (reason !== undefined) this.reason = reason
    if (option !== undefined) this.option = option
    if (hop !== undefined) this.hop = hop
    this.retryable = RETRYABLE.has(code) || (OF_OTHERS.has(code) && PASSING.has(reason))
    Object.defineProperty(this, '_advice', { value: advice })
  }

  get advice () {
    const own = this._advice ?? SYSTEM_ADVICE[this.code]
    if (own !== undefined) return own
    const row = errorTable().get(this.code) ?? errorTable().get('ERR_ALKNET_SYS')
    return row === undefined ? '' : row.advice
  }
}

let table = null

/** The addon's table: code => { code, stage, text, advice }. */
function errorTable () {
  if (table === null) table = new Map(require('./binding').errors.map((row) => [row.code, row]))
  return table
}

/**
 * Makes an error for C: sysName is 'ECONNREFUSED' or null, and then errno 0.
 */
function nativeError (codeName, stage, sysName, errno, reason, message) {
  const isSystem = sysName !== null && sysName !== undefined
  return new AlknetError(message, {
    code: isSystem ? sysName : codeName,
    stage,
    errno: isSystem ? errno : undefined,
    reason: reason > 0 ? reason : undefined
  })
}

/** A wrong option: the message begins with its name. */
function optionError (name, message, cause) {
  return new AlknetError(`${name}: ${message}`, {
    code: 'ERR_ALKNET_OPTION', stage: 'options', option: name, advice: '', cause
  })
}

/** alknet's own error: name is the part after ERR_ALKNET_. */
function fail (name, stage, message, extra) {
  return new AlknetError(message, { ...extra, code: `ERR_ALKNET_${name}`, stage })
}

/** An error of Node's (fs, dns) with its code kept, our message and a stage. */
function systemError (err, stage, message) {
  return new AlknetError(message, {
    code: err.code, stage, errno: err.errno, cause: err
  })
}

/** What an AbortSignal's reason becomes. */
function canceled (stage, cause) {
  return fail('CANCELED', stage, 'canceled', { cause })
}

// What people call the system's errors, in the words other SSH programs use:
// a client maps them back to a SOCKS reply (lib/socks-reply.js).
const SYSTEM_TEXT = {
  EACCES: 'permission denied',
  EADDRINUSE: 'the address is in use',
  EADDRNOTAVAIL: 'the address is not one of this machine',
  ECONNREFUSED: 'Connection refused',
  ECONNRESET: 'Connection reset by peer',
  EHOSTDOWN: 'Host is down',
  EHOSTUNREACH: 'No route to host',
  EISDIR: 'it is a directory',
  EMFILE: 'too many open files',
  ENETDOWN: 'Network is down',
  ENETUNREACH: 'Network is unreachable',
  ENOENT: 'no such file',
  ENOSPC: 'no space left',
  ENOTDIR: 'a part of the path is not a directory',
  EROFS: 'the file system is read-only',
  ERR_ALKNET_DNS: 'name not found',
  ERR_ALKNET_TIMEOUT: 'Connection timed out',
  ETIMEDOUT: 'Connection timed out'
}

// What to do about what the system says, where anybody can do anything.
const SYSTEM_ADVICE = {
  EACCES: 'give this user the right to it; for a port below 1024 that is root\'s, CAP_NET_BIND_SERVICE, or socket activation by systemd',
  EADDRINUSE: 'end the program that has it (alknet status and ss -ltnp name it), or choose another',
  EADDRNOTAVAIL: 'choose an address that this machine has (ip address lists them)',
  ECONNREFUSED: 'the machine is there and nobody listens at that port: is the server running, and is it the right port?',
  ECONNRESET: 'somebody hung up: a firewall, or a limit of the server for this address',
  EHOSTUNREACH: 'there is no way to that machine: is it up, and in this network?',
  ENETUNREACH: 'this machine has no way to that network: is it online, and has it addresses of that family?',
  ENOENT: 'check the path',
  ENOTDIR: 'check the path'
}

/** A short text for an error's code, or the code itself. */
function systemText (err) {
  return SYSTEM_TEXT[err.code] ?? String(err.code ?? 'failed')
}

module.exports = {
  AlknetError,
  SYSTEM_ADVICE,
  canceled,
  errorTable,
  fail,
  nativeError,
  optionError,
  systemError,
  systemText
}
