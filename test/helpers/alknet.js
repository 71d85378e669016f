'use strict'

/** The product under test, as a user runs it: `node bin/alknet.js …`. */

const fs = require('node:fs')
const path = require('node:path')
const { key, knownHostsLine } = require('./keys')
const { start } = require('./proc')

const root = path.join(__dirname, '..', '..')
const bin = path.join(root, 'bin', 'alknet.js')

/** `ADDR:PORT`, the address in brackets when it is IPv6. */
const ADDRESS = '(\\[[0-9a-fA-F:.%]+\\]|[^\\s:]+):(\\d+)'

/**
 * Which SSH engine the ends of a tunnel have, unless a test names one:
 * ALKNET_SERVE_ENGINE and ALKNET_CONNECT_ENGINE, or alknet's own default.
 */
const engines = {
  serve: process.env.ALKNET_SERVE_ENGINE,
  connect: process.env.ALKNET_CONNECT_ENGINE
}

function engineArgs (engine) {
  return engine ? ['--ssh-engine', engine] : []
}

/** The engine that an end has; for a test whose expectation depends on it. */
function engineOf (end) {
  return engines[end] || require('../../lib').versions.engines[0]
}

/** An environment without what the user may have set, and with a home of its own. */
function cleanEnv (scope, extra = {}) {
  const env = Object.fromEntries(Object.entries(process.env)
    .filter(([name]) => !/^(ALKNET_|SSH_|NODE_|XDG_|.*_PROXY$|.*_proxy$)/.test(name)))
  return { ...env, HOME: scope.dir(), ...extra }
}

/**
 * Starts the CLI and returns at once.
 *
 * @param {Scope} scope
 * @param {string[]} args
 * @param {{ env?: object, input?: string, machine?: Machine }} [options] - env is added to a
 *   clean one; machine: one of netns.js's, instead of this one
 */
function startAlknet (scope, args, { machine, ...options } = {}) {
  const all = { ...options, env: cleanEnv(scope, options.env) }
  if (machine !== undefined) return machine.start(scope, [process.execPath, bin, ...args], all)
  return start(scope, process.execPath, [bin, ...args], all)
}

/** Runs the CLI to its end. */
function runAlknet (scope, args, options) {
  return startAlknet(scope, args, options).exited
}

function address (match) {
  return { host: match[1].replace(/^\[|\]$/g, ''), port: Number(match[2]) }
}

/**
 * Starts `alknet serve` on a free loopback port.
 *
 * @param {Scope} scope
 * @param {{ hostKeys?: object[], userKeys?: object[], authorizedKeys?: string, listen?: string[], engine?: string, penalties?: boolean, args?: string[], env?: object, machine?: Machine }} [options]
 *   penalties: as a user has them; they are off otherwise
 * @returns {Promise<{ proc: Proc, host: string, port: number, user: string, hostKeys: object[], knownHosts: string }>}
 */
async function startServe (scope, options = {}) {
  const hostKeys = options.hostKeys || [key('ed25519', 'host')]
  const userKeys = options.userKeys || [key('ed25519', 'user')]
  const listen = options.listen || ['127.0.0.1:0']
  const authorized = scope.file('authorized_keys',
    options.authorizedKeys || userKeys.map((k) => `${k.public}\n`).join(''))
  const proc = startAlknet(scope, ['serve',
    ...hostKeys.flatMap((k) => ['--key', k.path]),
    ...listen.flatMap((at) => ['--listen', at]),
    '--authorized-keys', authorized,
    // All clients of all tests have one address.
    ...(options.penalties ? [] : ['--penalties', 'off']),
    ...engineArgs(options.engine || engines.serve),
    ...(options.args || [])], { env: options.env, machine: options.machine })
  const { host, port } = address(await proc.waitFor(new RegExp(`listening on (?:tls://)?${ADDRESS}`)))
  return {
    proc,
    host,
    port,
    user: 'alknet',
    hostKeys,
    knownHosts: hostKeys.map((k) => knownHostsLine(host, port, k)).join('')
  }
}

/**
 * The arguments of `alknet connect` to a server.
 *
 * @param {Scope} scope
 * @param {{ host: string, port: number, user: string, knownHosts?: string }} server
 * @param {{ identity?: object, knownHosts?: string | null, socks?: string, forwards?: string[], engine?: string, args?: string[] }} [options]
 */
function connectArgs (scope, server, options = {}) {
  const identity = options.identity || key('ed25519', 'user')
  const known = options.knownHosts === undefined ? server.knownHosts : options.knownHosts
  const host = server.host.includes(':') ? `[${server.host}]` : server.host
  return ['connect', '--server', `${host}:${server.port}`,
    '--user', server.user,
    '--identity', identity.path,
    '--socks5', options.socks || '127.0.0.1:0',
    ...engineArgs(options.engine || engines.connect),
    ...(known === null ? [] : ['--known-hosts', scope.file('known_hosts', known)]),
    ...(options.forwards || []).flatMap((spec) => ['--forward', spec]),
    ...(options.args || [])]
}

/**
 * Starts `alknet connect` and waits until its proxy and its forwards stand.
 *
 * @returns {Promise<{ proc: Proc, socks: { host: string, port: number }, local: { host: string, port: number }[] }>}
 */
async function startConnect (scope, server, options = {}) {
  const proc = startAlknet(scope, connectArgs(scope, server, options), { env: options.env, machine: options.machine })
  const socks = address(await proc.waitFor(new RegExp(`SOCKS5 proxy on ${ADDRESS}`)))
  const local = []
  const forwards = options.forwards || []
  if (forwards.length > 0) {
    const line = `forward(?:ing)?(?: on| from)? ${ADDRESS}`
    await proc.waitFor(new RegExp(`(?:${line}[^]*){${forwards.length}}`))
    for (const match of proc.output.matchAll(new RegExp(line, 'g'))) local.push(address(match))
  }
  return { proc, socks, local }
}

/** Runs `alknet connect` to its end: for connections that must not come up. */
function runConnect (scope, server, options = {}) {
  return runAlknet(scope, connectArgs(scope, server, options), { env: options.env })
}

/** In a before(): skips, and says why, when the product is not built. */
function needAlknet (context) {
  const addon = [
    path.join(root, 'prebuilds', `${process.platform}-${process.arch}`, 'alknet.node'),
    path.join(root, 'build', 'Release', 'alknet.node')
  ].some((file) => fs.existsSync(file))
  if (addon && fs.existsSync(bin)) return
  throw new Error('alknet is not built: run npm run build')
}

module.exports = {
  root,
  bin,
  cleanEnv,
  engineOf,
  startAlknet,
  runAlknet,
  startServe,
  startConnect,
  connectArgs,
  runConnect,
  needAlknet
}
