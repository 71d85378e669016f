'use strict'

/**
 * A world of its own for names: a network namespace whose only interface is
 * the loopback, in which every IPv4 address leads to one child process with
 * name servers and targets. Programs run in it at one of two places, `near`
 * and `far`, which share the network but have their own resolv.conf and hosts.
 */

const { spawn, spawnSync } = require('node:child_process')
const fs = require('node:fs')
const path = require('node:path')
const { bin, cleanEnv, connectArgs } = require('./alknet')
const { key, knownHostsLine } = require('./keys')
const { need, start } = require('./proc')

const RESOLVERS = { near: '10.53.0.1', far: '10.53.0.2' }

// Two halves: the kernel lets nobody bind an address of 0.0.0.0/0.
const NETWORK = 'ip link set lo up && ip route add local 0.0.0.0/1 dev lo && ip route add local 128.0.0.0/1 dev lo'
const ipv6 = (address) => `ip -6 address add ${address} dev lo`
const MOUNTS = 'for f in resolv.conf hosts nsswitch.conf; do mount --bind "$1/$f" "/etc/$f" || exit 1; done; shift; exec "$@"'

const isRoot = process.getuid() === 0
const USER = isRoot ? [] : ['--user', '--preserve-credentials']
const UNSHARE = ['unshare', ...(isRoot ? [] : ['--user', '--map-root-user'])]

/** In a before(): skips, and says why, where there can be no such world. */
function needWorld (context) {
  need(context, 'unshare', 'nsenter', 'ip', 'getent')
  const attempt = `${NETWORK} && ${ipv6('2001:db8::1')} && mount --bind /etc/hosts /etc/hosts`
  const [command, ...args] = [...UNSHARE, '--net', '--mount', 'sh', '-c', attempt]
  const { status, stderr } = spawnSync(command, args, { encoding: 'utf8' })
  if (status === 0) return
  console.log(`      skipped: no namespaces of the network, with IPv6, and of mounts here: ${stderr.trim()}`)
  context.skip()
}

class World {
  /**
   * @param {Scope} scope
   * @param {{ hosts?: { near?: string, far?: string }, search?: string, addresses6?: string[] }} options
   *   hosts: more lines of the hosts files
   */
  constructor (scope, { hosts = {}, search = '', addresses6 = [] } = {}) {
    this._etc = {}
    for (const place of Object.keys(RESOLVERS)) {
      this._etc[place] = path.dirname(scope.file('resolv.conf',
        `nameserver ${RESOLVERS[place]}\n${search && `search ${search}\n`}`, 0o644))
      const write = (name, text) => fs.writeFileSync(path.join(this._etc[place], name), text)
      write('hosts', `127.0.0.1 localhost\n${hosts[place] ?? ''}`)
      write('nsswitch.conf', 'passwd: files\ngroup: files\nhosts: files dns\n')
    }
    this._asked = new Map()
    this._lastId = 0
    this._sentinels = 0
    const set = [NETWORK, ...addresses6.map(ipv6)].join(' && ')
    const [command, ...args] = [...UNSHARE, '--net', 'sh', '-c', `${set} && exec "$@"`, 'sh',
      process.execPath, path.join(__dirname, 'world-child.js')]
    this._child = spawn(command, args, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'], env: cleanEnv(scope) })
    this._child.on('message', (message) => this._onMessage(message))
    this._gone = new Promise((resolve) => this._child.once('close', resolve))
    this._gone.then(() => {
      for (const { reject } of this._asked.values()) reject(new Error('the world has ended'))
      this._asked.clear()
    })
    scope.defer(async () => {
      this._child.kill('SIGKILL')
      await this._gone
    })
    this.ready = this._answerTo(0)
  }

  _answerTo (id) {
    return new Promise((resolve, reject) => this._asked.set(id, { resolve, reject }))
  }

  _onMessage ({ id, value, error }) {
    const { resolve, reject } = this._asked.get(id)
    this._asked.delete(id)
    if (error === undefined) resolve(value)
    else reject(new Error(error))
  }

  /** An operation of world-child.js. */
  ask (op, ...args) {
    const id = ++this._lastId
    const answer = this._answerTo(id)
    this._child.send({ id, op, args })
    return answer
  }

  /** What the resolver of a place answers from now on. */
  zone (place, zone) {
    return this.ask('zone', RESOLVERS[place], zone)
  }

  /** Starts a program at a place. */
  start (scope, place, args, options = {}) {
    return start(scope, 'nsenter', ['--target', String(this._child.pid), ...USER, '--net', '--',
      'unshare', '--mount', 'sh', '-c', MOUNTS, 'sh', this._etc[place], ...args],
    { ...options, env: cleanEnv(scope, options.env) })
  }

  /**
   * The names that were asked for since the last time: { near, far, elsewhere },
   * each a sorted list of 'TYPE name'. A name of ours is looked up at both
   * places first: nothing that was asked before it can still be under way, and
   * a resolver that would not be heard fails here.
   */
  async asked (scope) {
    const sentinel = `sentinel-${++this._sentinels}.test`
    for (const place of Object.keys(RESOLVERS)) {
      await this.start(scope, place, ['getent', 'ahosts', sentinel]).exited
    }
    const out = { near: [], far: [], elsewhere: [] }
    const heard = new Set()
    for (const { resolver, name, type } of await this.ask('queries')) {
      const place = Object.keys(RESOLVERS).find((one) => RESOLVERS[one] === resolver) ?? 'elsewhere'
      if (name === sentinel) heard.add(place)
      if (!name.startsWith('sentinel-')) out[place].push(`${type} ${name}`)
    }
    for (const place of Object.keys(RESOLVERS)) {
      out[place].sort()
      if (!heard.has(place)) throw new Error(`the trap does not hear what is asked ${place}`)
    }
    return out
  }

  /** `alknet serve` at the far place, on a free port. */
  async serve (scope, args = []) {
    const [hostKey, user] = [key('ed25519', 'host'), key('ed25519', 'user')]
    const engine = process.env.ALKNET_SERVE_ENGINE
    const proc = this.start(scope, 'far', [process.execPath, bin, 'serve', '--key', hostKey.path,
      '--listen', '127.0.0.1:0', '--authorized-keys', scope.file('authorized_keys', `${user.public}\n`),
      ...(engine ? ['--ssh-engine', engine] : []), ...args])
    const port = Number((await proc.waitFor(/listening on 127\.0\.0\.1:(\d+)/))[1])
    return { proc, host: '127.0.0.1', port, user: 'alknet', hostKeys: [hostKey], knownHosts: knownHostsLine('127.0.0.1', port, hostKey) }
  }

  /** `alknet connect` at the near place; options: of connectArgs(). */
  async connect (scope, server, options = {}) {
    const proc = this.start(scope, 'near', [process.execPath, bin, ...connectArgs(scope, server, options)])
    const socks = Number((await proc.waitFor(/SOCKS5 proxy on 127\.0\.0\.1:(\d+)/))[1])
    const local = []
    for (let i = 0; i < (options.forwards ?? []).length; i++) {
      const found = await proc.waitFor(new RegExp(`(?:forward on 127\\.0\\.0\\.1:(\\d+)[^]*?){${i + 1}}`))
      local.push({ host: '127.0.0.1', port: Number(found[1]) })
    }
    return { proc, socks: { host: '127.0.0.1', port: socks }, local }
  }
}

/**
 * Starts a world that ends with the scope.
 *
 * @returns {Promise<World>}
 */
async function startWorld (scope, options) {
  const world = new World(scope, options)
  await world.ready
  return world
}

module.exports = { needWorld, startWorld }
