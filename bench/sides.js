'use strict'

/**
 * What is compared: pairs of a client and a server, each started as a user
 * would, at its usual log level, with the same keys and the same cipher. A side
 * has ways to the target (a forward, for most a SOCKS5 proxy), two ends whose
 * processes can be measured, and, where an end is alknet, a watch on its loop.
 */

const path = require('path')
const { key, knownHostsLine } = require('../test/helpers/keys')
const { freePort } = require('../test/helpers/net')
const { runAlknet, startConnect, startServe } = require('../test/helpers/alknet')
const { sshArgs, startSshd } = require('../test/helpers/openssh')
const { has } = require('../test/helpers/proc')
const { makeCa } = require('../test/helpers/tls-certs')
const { LoopWatch } = require('./loop-watch')
const { HERE } = require('./programs')

const ENDS = path.join(__dirname, 'ends')

const maxChannels = (n) => n === undefined ? [] : ['--max-channels', String(n)]

/** `alknet serve`. extra: flags of this kind. */
async function alknetServer (engine, extra, scope, { far = HERE, cipher, channels }) {
  const watch = new LoopWatch(scope)
  const tls = extra.tls ? tlsArgs(scope) : { client: [], server: [] }
  const server = await startServe(scope, {
    machine: far,
    listen: [`${far.address}:0`],
    engine,
    args: ['--ciphers', cipher, ...maxChannels(channels), ...tls.server, ...(extra.args ?? [])],
    env: watch.env
  })
  watch.pid = server.proc.pid
  return { ...server, watch, clientArgs: tls.client }
}

/** `alknet connect`, its proxy and its forward to the target ready. */
async function alknetClient (engine, extra, scope, server, { near = HERE, cipher, channels, target }) {
  const watch = new LoopWatch(scope)
  const client = await startConnect(scope, server, {
    machine: near,
    engine,
    forwards: [`127.0.0.1:0:127.0.0.1:${target}`],
    args: ['--ciphers', cipher, ...maxChannels(channels), ...(server.clientArgs ?? []), ...(extra.args ?? [])],
    env: watch.env
  })
  watch.pid = client.proc.pid
  return { proc: client.proc, socks: client.socks.port, forward: client.local[0].port, watch }
}

/** What both ends get for the transport tls. */
function tlsArgs (scope) {
  const ca = makeCa(scope)
  const { cert, key } = ca.issue()
  return {
    client: ['--transport', 'tls', '--tls-ca', ca.cert],
    server: ['--transport', 'tls', '--tls-cert', cert, '--tls-key', key]
  }
}

function sshd (scope, { far = HERE, cipher }) {
  return startSshd(scope, { machine: far, host: far.address, config: ['LogLevel INFO', `Ciphers ${cipher}`] })
}

/** `ssh -D -L`. Without -v, whose lines would be a burden on ssh alone, it says by a command of ours when all stands. */
async function ssh (scope, server, { near = HERE, cipher, target }) {
  const [socks, forward] = [await freePort(), await freePort()]
  const args = sshArgs(scope, server, {
    options: [`Ciphers=${cipher}`, 'PermitLocalCommand=yes', 'LocalCommand=echo ready'],
    args: ['-N', '-D', `127.0.0.1:${socks}`, '-L', `127.0.0.1:${forward}:127.0.0.1:${target}`]
  })
  const proc = near.start(scope, ['ssh', ...args.filter((arg) => arg !== '-v')])
  await proc.waitFor(/^ready$/m)
  return { proc, socks, forward }
}

/** An end in a process of Node of ours: `node ends/NAME-end.js ROLE JSON`, which prints its port. */
async function nodeEnd (scope, name, role, options) {
  const proc = HERE.start(scope, [process.execPath, path.join(ENDS, `${name}-end.js`), role, JSON.stringify(options)])
  const [, port] = await proc.waitFor(/^(\d+)\n/)
  return { proc, port: Number(port) }
}

async function nodeServer (name, scope, { cipher }) {
  const [host, user] = [key('ed25519', 'host'), key('ed25519', 'user')]
  const { proc, port } = await nodeEnd(scope, name, 'server', { hostKey: host.path, userKey: user.path, cipher })
  return { proc, host: '127.0.0.1', port, user: 'alknet', hostKeys: [host], knownHosts: knownHostsLine('127.0.0.1', port, host) }
}

async function nodeClient (name, scope, server, { cipher, target }) {
  const { proc, port } = await nodeEnd(scope, name, 'client', {
    port: server.port, user: server.user, hostKey: server.hostKeys[0].path, userKey: key('ed25519', 'user').path, cipher, target
  })
  return { proc, forward: port }
}

const servers = {
  native: alknetServer.bind(null, 'native', {}),
  libssh: alknetServer.bind(null, 'libssh', {}),
  tls: alknetServer.bind(null, 'native', { tls: true }),
  workers: alknetServer.bind(null, 'native', { args: ['--workers', '2'] }),
  sshd,
  ssh2: nodeServer.bind(null, 'ssh2'),
  relay: (scope, { programs, target }) => programs.relay(scope, target)
}

const clients = {
  native: alknetClient.bind(null, 'native', {}),
  libssh: alknetClient.bind(null, 'libssh', {}),
  pool: alknetClient.bind(null, 'native', { args: ['--sessions', '4'] }),
  ssh,
  ssh2: nodeClient.bind(null, 'ssh2'),
  russh: nodeClient.bind(null, 'russh'),
  relay: async (scope, server, { programs }) => {
    const { proc, port } = await programs.relay(scope, server.port)
    return { proc, forward: port }
  }
}

/** name: client, server, what it is called. */
const SIDES = {
  native: ['native', 'native', 'alknet'],
  libssh: ['libssh', 'libssh', 'alknet, libssh'],
  openssh: ['ssh', 'sshd', 'OpenSSH'],
  'native-sshd': ['native', 'sshd', 'alknet → sshd'],
  'ssh-native': ['ssh', 'native', 'ssh → alknet'],
  'libssh-sshd': ['libssh', 'sshd', 'alknet, libssh → sshd'],
  'ssh-libssh': ['ssh', 'libssh', 'ssh → alknet, libssh'],
  tls: ['native', 'tls', 'alknet over TLS'],
  pool: ['pool', 'native', 'alknet, 4 sessions'],
  'pool-sshd': ['pool', 'sshd', 'alknet, 4 sessions → sshd'],
  workers: ['native', 'workers', 'alknet, 2 workers'],
  ssh2: ['ssh2', 'ssh2', 'ssh2'],
  russh: ['russh', 'sshd', 'russh → sshd'],
  relay: ['relay', 'relay', 'plain TCP relays']
}

const title = (name) => SIDES[name]?.[2] ?? name

/** Why a module cannot be used, or null. */
function moduleProblem (name) {
  try {
    require(name)
    return null
  } catch (err) {
    return `npm ${name} cannot be loaded: ${err.message.split('\n')[0]}`
  }
}

async function flagProblem (scope, command, flag) {
  const { stdout } = await runAlknet(scope, [command, '--help'])
  return stdout.includes(flag) ? null : `alknet ${command} has no ${flag}`
}

/** Why a kind of end is not here, or null: by its name. */
const problems = {
  ssh: () => has('ssh') ? null : 'ssh is not installed',
  sshd: () => has('/usr/sbin/sshd') ? null : 'sshd is not installed',
  ssh2: () => moduleProblem('ssh2'),
  russh: () => moduleProblem('russh'),
  pool: (scope) => flagProblem(scope, 'connect', '--sessions'),
  workers: (scope) => flagProblem(scope, 'serve', '--workers')
}

/** Those of the sides that are here; of the others it says why not. */
async function availableSides (scope, names, say) {
  const found = []
  for (const name of names) {
    let problem = null
    for (const kind of SIDES[name].slice(0, 2)) problem ??= await problems[kind]?.(scope) ?? null
    if (problem === null) found.push(name)
    else say(`skipped: ${title(name)}: ${problem}`)
  }
  return found
}

/**
 * Starts a side.
 *
 * @param {{ cipher: string, target: number, programs: object, channels?: number, near?: object, far?: object }} options
 *   channels: how many at once, where that has to be said
 */
async function startSide (scope, name, options) {
  const [client, server] = SIDES[name]
  const far = await servers[server](scope, options)
  const near = await clients[client](scope, far, options)
  const watches = Object.entries({ client: near.watch, server: far.watch }).filter(([, watch]) => watch !== undefined)
  return {
    name,
    ways: { forward: `direct:${near.forward}`, ...(near.socks && { socks: `socks:${near.socks}` }) },
    ends: { client: [near.proc.pid], server: [far.proc.pid] },
    watches: Object.fromEntries(watches)
  }
}

/** A server alone, for clients of somebody else's. */
function startServer (scope, kind, options) {
  return servers[kind](scope, options)
}

module.exports = { SIDES, availableSides, startServer, startSide, title }
