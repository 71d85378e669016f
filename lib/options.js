'use strict'

/**
 * Every option: its default, its limits, its message. Pure, and the only place
 * that knows them. An option that alknet does not know, or does not have yet,
 * is an error: nothing is ignored.
 */

const os = require('os')
const path = require('path')
const { optionError } = require('./errors')
const { canonicalHost, printable } = require('./addresses')
const { formatPlace, parseForward, parseRemoteForward } = require('./forward-spec')
const { RULE, parseListenRule, parseRule } = require('./rules')
const { LEVELS, FORMATS } = require('./log')
const { DEFAULT_PORTS, defaultPlace, listenPlaces, listenSpec, listenerEntry } = require('./listen-options')
const { parseProxies } = require('./proxies')
const {
  abortSignal, callback, control, duplex, flag, hostName, hostPort, integer, ipAddress, metricsListen, oneOf, parseUpstream, parsedBy, passphrase, pathOrBytes, pin, protocols, remoteBind, seconds, serverAddress, several, socketPath, socksAuth, socksListen, text
} = require('./option-checks')
const { PENALTIES, network, penalties } = require('./penalty-options')
const { ACME, completeAcme } = require('./acme/options')

const MAX_HOST_KEYS = 8 // as many as the engines take
const DAY = 86400

// What may be offered (spec §7): an option narrows a list, never widens it.
const ALGORITHMS = {
  kex: ['mlkem768x25519-sha256', 'curve25519-sha256', 'curve25519-sha256@libssh.org', 'ecdh-sha2-nistp256'],
  ciphers: ['aes128-gcm@openssh.com', 'aes256-gcm@openssh.com', 'chacha20-poly1305@openssh.com', 'aes256-ctr', 'aes128-ctr'],
  macs: ['hmac-sha2-256-etm@openssh.com', 'hmac-sha2-512-etm@openssh.com'],
  hostKeyAlgorithms: [
    'ssh-ed25519-cert-v01@openssh.com', 'ecdsa-sha2-nistp256-cert-v01@openssh.com',
    'rsa-sha2-512-cert-v01@openssh.com', 'rsa-sha2-256-cert-v01@openssh.com',
    'ssh-ed25519', 'ecdsa-sha2-nistp256', 'rsa-sha2-512', 'rsa-sha2-256'
  ]
}

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
  const out = {}
  for (const key of Object.keys(value)) {
    if (!Object.hasOwn(FORWARDING, key)) throw unknownOption(`${name}.${key}`, key, Object.keys(FORWARDING))
  }
  for (const [key, [check, byDefault]] of Object.entries(FORWARDING)) {
    out[key] = value[key] === undefined ? byDefault : check(`${name}.${key}`, value[key])
  }
  return out
}

/** A comma list, or an array, of names out of ALGORITHMS. */
function algorithms (name, value) {
  const list = typeof value === 'string' ? value.split(',') : value
  if (!Array.isArray(list) || list.length === 0) throw optionError(name, 'must be a list of names: a,b')
  for (const one of list) {
    if (!ALGORITHMS[name].includes(one)) {
      throw optionError(name, `"${printable(String(one))}" is not one of ${ALGORITHMS[name].join(', ')}`)
    }
  }
  return [...new Set(list)].join(',')
}

/** A name or an address, as a certificate has it: no other script, no scope. */
function tlsName (name, value) {
  const canonical = typeof value === 'string' ? canonicalHost(value) : null
  if (canonical === null || canonical.length > 253) throw optionError(name, 'must be a host name or an address')
  return canonical
}

// How long it is until the next try, and how many tries there are; 0: any number.
const RECONNECT = {
  maxAttempts: [integer(0, 1e6), 0],
  minDelayMs: [integer(1, DAY * 1000, ' milliseconds'), 1000],
  maxDelayMs: [integer(1, DAY * 1000, ' milliseconds'), 30_000]
}

/** false, true or { maxAttempts, minDelayMs, maxDelayMs }. */
function reconnect (name, value) {
  const isOn = value !== false
  if (isOn && value !== true && (value === null || typeof value !== 'object')) {
    throw optionError(name, 'must be true, false or { maxAttempts, minDelayMs, maxDelayMs }')
  }
  const out = { isOn }
  for (const key of Object.keys(isOn && value !== true ? value : {})) {
    if (!Object.hasOwn(RECONNECT, key)) throw unknownOption(`${name}.${key}`, key, Object.keys(RECONNECT))
  }
  for (const [key, [check, byDefault]] of Object.entries(RECONNECT)) {
    out[key] = value[key] === undefined ? byDefault : check(`${name}.${key}`, value[key])
  }
  return out
}

function logOption (name, value) {
  if (value === false) return null
  if (value === null || typeof value !== 'object') throw optionError(name, 'must be false, or { level, format, time, write }')
  const checks = {
    level: oneOf(Object.keys(LEVELS), []),
    format: oneOf(Object.keys(FORMATS), []),
    time: flag,
    write: callback
  }
  for (const key of Object.keys(value)) {
    if (!Object.hasOwn(checks, key)) throw unknownOption(`${name}.${key}`, key, Object.keys(checks))
    if (value[key] !== undefined) checks[key](`${name}.${key}`, value[key])
  }
  return value
}

/** One URL, or several in their order, or 'env': => Proxies, or undefined for none. */
function proxy (name, value) {
  const list = Array.isArray(value) ? value : [value]
  const parsed = parseProxies(list, process.env)
  if (typeof parsed === 'string') throw optionError(name, parsed)
  return parsed
}

function configFile (...parts) {
  return path.join(os.homedir(), ...parts)
}

// ---- the options: name => [check, default, a table of its parts]; no default: undefined

// What has come, and waits for this program to take it.
const MAX_PENDING = [integer(1, 65536), 128]

// eslint-disable-next-line no-control-regex
const USER = text(255, /^(?!-)[^\x00-\x1f\x7f]+$/, 'a user name of 1 to 255 characters')

const SERVER_NAME = text(64, /^[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?$/, 'what a web server calls itself, of 1 to 64 printable characters')

const COMMON = {
  control: [control, 'off'],
  transport: [oneOf(Object.keys(DEFAULT_PORTS), ['iroh']), 'tcp'],
  passphrase: [passphrase],
  sshEngine: [oneOf(['native', 'libssh'], [])],
  kex: [algorithms],
  ciphers: [algorithms],
  macs: [algorithms],
  hostKeyAlgorithms: [algorithms],
  rekeyBytes: [integer(1024, 1024 ** 3, ' bytes')],
  rekeySeconds: [seconds(1, DAY)],
  windowMax: [integer(32 * 1024, 64 * 1024 ** 2, ' bytes')],
  windowTotal: [integer(1024 ** 2, 1024 ** 3, ' bytes')],
  maxChannels: [integer(1, 65536), 1024],
  maxLookups: [integer(1, 65536), 64],
  keepalive: [seconds(0, DAY), 15],
  keepaliveMax: [integer(1, 1000), 3],
  connectTimeout: [seconds(1, DAY), 20],
  proxy: [proxy],
  metrics: [metricsListen, null],
  metricsOpen: [flag, false],
  log: [logOption, null],
  signal: [abortSignal]
}

const CLIENT = {
  ...COMMON,
  server: [several(serverAddress)],
  stream: [duplex],
  tlsServerName: [tlsName],
  tlsCa: [several(pathOrBytes, 0), []],
  tlsAlpn: [protocols],
  insecure: [flag, false],
  stealth: [flag, false],
  stealthSecret: [pathOrBytes],
  identity: [several(pathOrBytes)],
  certificate: [several(pathOrBytes, 0), []],
  user: [USER, 'alknet'],
  knownHosts: [several(pathOrBytes, 0)],
  hostKey: [several(pin), []],
  acceptNew: [flag, false],
  dangerouslyAcceptAnyHostKey: [flag, false],
  handshakeTimeout: [seconds(1, DAY), 30],
  openTimeout: [seconds(1, DAY), 30],
  retry: [flag, false],
  reconnect: [reconnect, reconnect('reconnect', false)],
  waitTimeout: [seconds(0, DAY), 10],
  maxWaiting: [integer(1, 65536), 1024],
  sessions: [integer(1, 16), 1],
  sessionChannels: [integer(1, 65536), 64],
  sessionRate: [integer(0, 1024 ** 4, ' bytes a second'), 1024 ** 2],
  sessionIdle: [seconds(0, DAY), 60],
  onSession: [callback],
  socks5: [socksListen, null],
  socks5Auth: [socksAuth],
  socks5Open: [flag, false],
  forward: [several(parsedBy(parseForward), 0), []],
  remoteForward: [several(parsedBy(parseRemoteForward), 0), []]
}

const CONNECT = {
  ...CLIENT,
  destination: [hostPort(), { host: 'alknet-control', port: 0 }]
}

const SERVER = {
  ...COMMON,
  hostKey: [several(pathOrBytes)],
  hostCertificate: [several(pathOrBytes, 0), []],
  authorizedKeys: [several(pathOrBytes, 0), []],
  certAuthority: [several(pathOrBytes, 0), []],
  revokedKeys: [several(pathOrBytes, 0), []],
  listen: [several(listenSpec, 0)],
  listeners: [several(listenerEntry)],
  tlsCert: [pathOrBytes],
  tlsKey: [pathOrBytes],
  tlsAlpn: [protocols],
  tlsHandshakeTimeout: [seconds(1, DAY), 10],
  ...Object.fromEntries(Object.entries(ACME).map(([name, check]) => [name, [check]])),
  stealth: [flag, false],
  stealthUpstream: [parsedBy(parseUpstream)],
  stealthSecret: [pathOrBytes],
  stealthServer: [SERVER_NAME, 'nginx/1.22.1'],
  stealthHeadTimeout: [seconds(1, DAY), 60],
  stealthIdleTimeout: [seconds(1, DAY), 75],
  maxVisitors: [integer(1, 65536), 512],
  forwarding: [forwarding, forwarding('forwarding', {}), FORWARDING],
  maxConnectionsPerIp: [integer(0, 1e6), 0],
  maxAuthAttempts: [integer(1, 1000), 10],
  maxUnauthenticated: [integer(0, 1e6), 100],
  maxUnauthenticatedPerIp: [integer(0, 1e6), 25],
  evictAfterMs: [integer(100, DAY * 1000, ' milliseconds'), 1000],
  evictSilentAfterMs: [integer(100, DAY * 1000, ' milliseconds'), 400],
  loginGrace: [seconds(1, DAY), 30],
  maxSessions: [integer(0, 1e6), 0],
  penalties: [penalties, penalties('penalties', true), PENALTIES],
  penaltyExempt: [several(network, 0), []],
  maxRemoteForwards: [integer(1, 1024), 64],
  workers: [integer(1, 64), 1],
  takeoverTimeout: [seconds(1, 20), 2],
  maxPending: MAX_PENDING,
  onConnection: [callback],
  authorize: [callback],
  authorizeTimeout: [seconds(1, DAY), 10]
}

// In the specification, not built yet.
const PLANNED_CLIENT = ['peer', 'irohRelay']

// What a server takes over while it runs. The rest waits for the next start.
const RELOADABLE = [
  'authorizedKeys', 'certAuthority', 'revokedKeys', 'forwarding', 'maxConnectionsPerIp', 'maxAuthAttempts', 'maxUnauthenticated', 'maxUnauthenticatedPerIp', 'evictAfterMs', 'evictSilentAfterMs', 'loginGrace',
  'tlsCert', 'tlsKey', 'tlsAlpn', 'tlsHandshakeTimeout',
  'stealthUpstream', 'stealthSecret', 'stealthServer', 'stealthHeadTimeout', 'stealthIdleTimeout', 'maxVisitors',
  'penalties', 'penaltyExempt', 'maxSessions', 'maxLookups', 'maxChannels', 'maxRemoteForwards', 'takeoverTimeout', 'connectTimeout', 'proxy', 'keepalive', 'keepaliveMax', 'authorize', 'authorizeTimeout'
]

// Flags that are parts of one option.
const PARTS = {
  allow: 'forwarding.rules', deny: 'forwarding.rules', default: 'forwarding.default', permitListen: 'forwarding.permitListen'
}

// ---- putting them together

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

function validate (table, options, planned = []) {
  if (options === null || typeof options !== 'object') throw optionError('options', 'must be an object')
  for (const key of Object.keys(options)) {
    if (planned.includes(key) && options[key] !== undefined) throw optionError(key, 'not available yet')
    if (!Object.hasOwn(table, key) && !planned.includes(key)) throw unknownOption(key, key, Object.keys(table))
  }
  const out = {}
  for (const [key, [check, byDefault]] of Object.entries(table)) {
    out[key] = options[key] === undefined ? byDefault : check(key, options[key])
  }
  return out
}

function checkMetrics ({ metrics, metricsOpen }) {
  if (!metrics || isLoopback(metrics.address) || metricsOpen) return
  throw optionError('metrics', `${metrics.address} can be reached by others: ` +
    'listen on 127.0.0.1 or ::1, or set metricsOpen (--metrics-open) to let anybody read them')
}

function isLoopback (address) {
  return address === '::1' || address.startsWith('127.')
}

// What the client offers that the hello of csrc/net/tls_ctx.c is taken from.
const STEALTH_ALPN = 'h2,http/1.1'

// What would have no effect is a mistake, and one about trust is a grave one.
function checkTls ({ transport, stream, server, tlsServerName, tlsCa, tlsAlpn, insecure, stealth, stealthSecret }) {
  if (transport !== 'tls') {
    for (const [name, isSet] of [['tlsServerName', tlsServerName !== undefined], ['tlsCa', tlsCa.length > 0], ['tlsAlpn', tlsAlpn !== undefined], ['insecure', insecure], ['stealth', stealth], ['stealthSecret', stealthSecret !== undefined]]) {
      if (isSet) throw optionError(name, 'makes sense only with the transport tls')
    }
    return
  }
  if (insecure && tlsCa.length > 0) throw optionError('insecure', 'makes no sense together with tlsCa')
  if (stream !== undefined && server === undefined && tlsServerName === undefined && !insecure) {
    throw optionError('tlsServerName', 'is required for tls over a stream without server: whose certificate has it to be?')
  }
}

// Whose key it has to be does not follow from a stream, and there is no second one.
function checkStream ({ server, hostKey, proxy, dangerouslyAcceptAnyHostKey, reconnect, retry, sessions }) {
  if (proxy !== undefined) throw optionError('proxy', 'makes no sense together with stream: the stream leads there already')
  if (reconnect.isOn) throw optionError('reconnect', 'makes no sense together with stream: there is no other one')
  if (retry) throw optionError('retry', 'makes no sense together with stream: there is no other one')
  if (sessions > 1) throw optionError('sessions', 'makes no sense together with stream: it carries one')
  if (server?.length > 1) throw optionError('server', 'must be one: the name of who is behind the stream')
  if (server !== undefined || hostKey.length > 0 || dangerouslyAcceptAnyHostKey) return
  throw optionError('stream', 'needs to know whose host key is right: ' +
    'set hostKey (a pin), or server, the name to look for in known_hosts')
}

function checkClient (out) {
  checkMetrics(out)
  if (out.stream !== undefined) checkStream(out)
  else if (out.server === undefined) throw optionError('server', 'is required: host[:port]')
  checkTls(out)
  out.stealth ||= out.stealthSecret !== undefined // who hides that he is let in does not say hello as nobody else
  if (out.stealth) out.tlsAlpn ??= STEALTH_ALPN
  out.server = out.server?.map((one) => ({ ...one, port: one.port ?? DEFAULT_PORTS[out.transport] }))
  if (out.identity === undefined) throw optionError('identity', 'is required: a private key (alknet keygen makes one)')
  out.knownHosts ??= [configFile('.config', 'alknet', 'known_hosts'), configFile('.ssh', 'known_hosts')]
  if (out.acceptNew && typeof out.knownHosts[0] !== 'string') {
    throw optionError('acceptNew', 'needs a path as the first of knownHosts, to write the new key to')
  }
  if (out.dangerouslyAcceptAnyHostKey && (out.acceptNew || out.hostKey.length > 0)) {
    throw optionError('dangerouslyAcceptAnyHostKey', 'makes no sense together with hostKey or acceptNew')
  }
  if (out.socks5 !== null && !isLoopback(out.socks5.address) && out.socks5Auth === undefined && !out.socks5Open) {
    throw optionError('socks5', `${out.socks5.address} can be reached by others: ` +
      'set socks5Auth (--socks5-auth) to user:password, or socks5Open (--socks5-open) to let anybody use the proxy')
  }
  return out
}

/** Options of openSession(). */
function clientOptions (options) {
  return checkClient(validate(CLIENT, options, PLANNED_CLIENT))
}

/** Options of connect(). */
function connectOptions (options) {
  return checkClient(validate(CONNECT, options, PLANNED_CLIENT))
}

/** Options of serve(). */
function serverOptions (options) {
  const out = validate(SERVER, options)
  if (out.hostKey === undefined) {
    throw optionError('hostKey', 'is required: the server\'s private key (alknet keygen makes one)')
  }
  if (out.hostKey.length > MAX_HOST_KEYS) throw optionError('hostKey', `is said ${out.hostKey.length} times: ${MAX_HOST_KEYS} at most`)
  if (out.workers > 1 && out.onConnection !== undefined) {
    throw optionError('onConnection', 'makes no sense together with workers: a channel is in the thread of its session')
  }
  completeAcme(out)
  out.places = listenPlaces(out)
  if (!out.places.some((one) => one.stealth)) {
    for (const name of ['stealthUpstream', 'stealthSecret']) {
      if (out[name] !== undefined) throw optionError(name, 'makes sense only with stealth')
    }
  }
  if (out.listeners === undefined) out.listen ??= [defaultPlace(out)]
  checkMetrics(out)
  return out
}

/** Options of session.socks5() and session.forwardLocal(), and their signal. */
function socks5Options (options) {
  const names = ['socks5', 'socks5Auth', 'socks5Open', 'signal']
  const table = Object.fromEntries(names.map((name) => [name, CLIENT[name]]))
  const out = validate(table, { socks5: true, ...options })
  checkClient({ ...out, server: [{}], identity: '', hostKey: [], transport: 'tcp', tlsCa: [] })
  return out
}

function forwardSpec (value) {
  return parsedBy(parseForward)('forward', value)
}

const ACCEPT = {
  remoteAddress: [ipAddress, ''],
  remotePort: [integer(0, 65535), 0]
}

/** The arguments of server.accept(). */
function acceptOptions (stream, info) {
  return { stream: duplex('stream', stream), ...validate(ACCEPT, info) }
}

/** The spec of session.forwardRemote(). */
function remoteForwardSpec (value) {
  return parsedBy(parseRemoteForward)('remoteForward', value)
}

/** { drainMs } of close(). */
function closeOptions (options = {}) {
  return validate({ drainMs: [integer(0, DAY * 1000, ' ms'), 0] }, options)
}

/** { signal } of a call. */
function signalOption (options = {}) {
  return validate({ signal: [abortSignal] }, options)
}

const TARGET = { host: [hostName], port: [integer(0, 65535)], path: [socketPath] }

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

const PLACE = { ...TARGET, host: [remoteBind] }

/** The arguments of session.listen(), as remote-forward.js wants them. */
function listenPlace (place, options = {}) {
  const here = either(validate(PLACE, place), false)
  if (here.path === undefined) here.host ??= 'localhost'
  const { maxPending, signal } = validate({ maxPending: MAX_PENDING, signal: [abortSignal] }, options)
  return { here, there: null, text: formatPlace(here), maxPending, signal }
}

/** The name and the function of server.handle(). */
function handlerName (name, fn) {
  const canonical = typeof name === 'string' ? canonicalHost(name) : null
  if (canonical === null || !/^alknet-./.test(canonical)) throw optionError('name', 'must be a name that begins with alknet-')
  if (typeof fn !== 'function') throw optionError('handler', 'must be a function')
  return canonical
}

// What a file or a flag cannot hold.
const IN_CODE_ONLY = ['passphrase', 'signal', 'log', 'onConnection', 'authorize', 'authorizeTimeout', 'maxPending', 'stream', 'reconnect', 'onSession', 'dangerouslyAcceptAnyHostKey']

/** Those of options that no file can have, so that none can leave them out. */
function onlyInCode (options) {
  return Object.fromEntries(IN_CODE_ONLY.filter((name) => Object.hasOwn(options, name)).map((name) => [name, options[name]]))
}

/** The same, where it has parts with those of table as its own. */
function own (value, table) {
  if (Array.isArray(value)) return value.map((one) => own(one, table))
  if (table === undefined || value === null || typeof value !== 'object') return value
  return Object.fromEntries(Object.entries(table)
    .filter(([name]) => value[name] !== undefined)
    .map(([name, [, , parts]]) => [name, own(value[name], parts)]))
}

/** Options of serve() that are right, with what they and their parts inherit: a copy, or a clone, has only what an object has itself. */
function ownOptions (options) {
  return own(options, SERVER)
}

/** The names of a client's or a server's options that a file may hold. */
function namesForFiles (command) {
  const [table, planned] = command === 'serve' ? [SERVER, []] : [CLIENT, PLANNED_CLIENT]
  // A file has sections of their own for these.
  const others = [...IN_CODE_ONLY, 'forwarding', 'listeners']
  return [...Object.keys(table), ...planned].filter((name) => !others.includes(name))
}

module.exports = {
  ALGORITHMS,
  RELOADABLE,
  acceptOptions,
  clientOptions,
  closeOptions,
  closest,
  connectOptions,
  forwardSpec,
  handlerName,
  listenPlace,
  namesForFiles,
  onlyInCode,
  openTarget,
  ownOptions,
  remoteForwardSpec,
  serverOptions,
  signalOption,
  socks5Options,
  validate
}
