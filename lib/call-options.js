'use strict'

/** The arguments of calls on sessions and servers, checked. Pure. */

const { canonicalHost } = require('./addresses')
const { checkSocks5 } = require('./complete-options')
const { optionError } = require('./errors')
const { formatPlace, parseForward, parseRemoteForward } = require('./forward-spec')
const { abortSignal, duplex, hostName, integer, ipAddress, parsedBy, remoteBind, socketPath } = require('./option-checks')
const { validate } = require('./option-table')
const { CLIENT, SERVER } = require('./options')

const DAY = 86400

const SIGNAL = { signal: [abortSignal] }
const CLOSE = { drainMs: [integer(0, DAY * 1000, ' ms'), 0] }
const SOCKS5 = { socks5: CLIENT.socks5, socks5Auth: CLIENT.socks5Auth, socks5Open: CLIENT.socks5Open, ...SIGNAL }
const ACCEPT = { remoteAddress: [ipAddress, ''], remotePort: [integer(0, 65535), 0] }
const TARGET = { host: [hostName], port: [integer(0, 65535)], path: [socketPath] }
const PLACE = { ...TARGET, host: [remoteBind] }
const LISTEN = { maxPending: SERVER.maxPending, ...SIGNAL }

/** { signal } of a call. */
function signalOption (options = {}) {
  return validate(SIGNAL, options)
}

/** { drainMs } of close(). */
function closeOptions (options = {}) {
  return validate(CLOSE, options)
}

/** Options of session.socks5() and session.forwardLocal(), and their signal. */
function socks5Options (options) {
  const out = validate(SOCKS5, { socks5: true, ...options })
  checkSocks5(out)
  return out
}

/** The spec of session.forwardLocal(). */
function forwardSpec (value) {
  return parsedBy(parseForward)('forward', value)
}

/** The spec of session.forwardRemote(). */
function remoteForwardSpec (value) {
  return parsedBy(parseRemoteForward)('remoteForward', value)
}

/** One of two: { host, port } or { path }. */
function either ({ host, port, path }, needsHost) {
  if (path === undefined) {
    if (needsHost && host === undefined) throw optionError('host', 'is required: a host name or an address; or path')
    if (port === undefined) throw optionError('port', 'is required')
    return { host, port }
  }
  if (host !== undefined || port !== undefined) throw optionError('path', 'makes no sense together with host or port')
  return { path }
}

/** The target of session.open(). */
function openTarget (target) {
  return either(validate(TARGET, target), true)
}

/** The arguments of session.listen(), as remote-forward.js wants them. */
function listenPlace (place, options = {}) {
  const here = either(validate(PLACE, place), false)
  if (here.path === undefined) here.host ??= 'localhost'
  const { maxPending, signal } = validate(LISTEN, options)
  return { here, there: null, text: formatPlace(here), maxPending, signal }
}

/** The arguments of server.accept(). */
function acceptOptions (stream, info) {
  return { stream: duplex('stream', stream), ...validate(ACCEPT, info) }
}

/** The name and the function of server.handle(). */
function handlerName (name, fn) {
  const canonical = typeof name === 'string' ? canonicalHost(name) : null
  if (canonical === null || !/^alknet-./.test(canonical)) throw optionError('name', 'must be a name that begins with alknet-')
  if (typeof fn !== 'function') throw optionError('handler', 'must be a function')
  return canonical
}

module.exports = {
  acceptOptions,
  closeOptions,
  forwardSpec,
  handlerName,
  listenPlace,
  openTarget,
  remoteForwardSpec,
  signalOption,
  socks5Options
}
