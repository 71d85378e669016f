'use strict'

/**
 * Every option: its default, its limits, its message. Pure, and the only place
 * that knows them. An option that alknet does not know, or does not have yet,
 * is an error: nothing is ignored.
 */

const { ACME } = require('./acme/options')
const { canonicalHost } = require('./addresses')
const { algorithms } = require('./algorithms')
const { completeClient, completeServer } = require('./complete-options')
const { optionError } = require('./errors')
const { parseForward, parseRemoteForward } = require('./forward-spec')
const { DEFAULT_PORTS, listenSpec, listenerEntry } = require('./listen-options')
const {
  abortSignal, callback, control, duplex, flag, hostPort, integer, metricsListen, oneOf, parseUpstream, parsedBy, passphrase, pathOrBytes, pin, protocols, seconds, serverAddress, several, socksAuth, socksListen, text
} = require('./option-checks')
const { FORWARDING, forwarding, log, reconnect } = require('./option-parts')
const { own, validate } = require('./option-table')
const { PENALTIES, network, penalties } = require('./penalty-options')
const { parseProxies } = require('./proxies')

const DAY = 86400

/** A name or an address, as a certificate has it: no other script, no scope. */
function tlsName (name, value) {
  const canonical = typeof value === 'string' ? canonicalHost(value) : null
  if (canonical === null || canonical.length > 253) throw optionError(name, 'must be a host name or an address')
  return canonical
}

/** One URL, or several in their order, or 'env': => Proxies, or undefined for none. */
function proxy (name, value) {
  const list = Array.isArray(value) ? value : [value]
  const parsed = parseProxies(list, process.env)
  if (typeof parsed === 'string') throw optionError(name, parsed)
  return parsed
}

// ---- the tables (option-table.js)

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
  log: [log, null],
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
  maxPending: [integer(1, 65536), 128],
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

// What a file or a flag cannot hold.
const IN_CODE_ONLY = ['passphrase', 'signal', 'log', 'onConnection', 'authorize', 'authorizeTimeout', 'maxPending', 'stream', 'reconnect', 'onSession', 'dangerouslyAcceptAnyHostKey']

// ---- what is to be had of them

/** Options of openSession(). */
function clientOptions (options) {
  return completeClient(validate(CLIENT, options, { planned: PLANNED_CLIENT }))
}

/** Options of connect(). */
function connectOptions (options) {
  return completeClient(validate(CONNECT, options, { planned: PLANNED_CLIENT }))
}

/** Options of serve(). */
function serverOptions (options) {
  return completeServer(validate(SERVER, options))
}

/** Those of options that no file can have, so that none can leave them out. */
function onlyInCode (options) {
  return Object.fromEntries(IN_CODE_ONLY.filter((name) => Object.hasOwn(options, name)).map((name) => [name, options[name]]))
}

/** Options of serve() that are right, with what they and their parts inherit. */
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
  CLIENT,
  RELOADABLE,
  SERVER,
  clientOptions,
  connectOptions,
  namesForFiles,
  onlyInCode,
  ownOptions,
  serverOptions
}
