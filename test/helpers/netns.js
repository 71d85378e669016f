'use strict'

/**
 * Two machines and a wire between them: two namespaces of the network, `near`
 * and `far`, joined by a pair of veth interfaces. They live as long as a child
 * process of ours, so that nothing is left of them, however a test ends.
 *
 *   near 10.77.0.1  ----- veth -----  far 10.77.0.2
 *
 * What the wire loses is decided by nftables at the receiving end. Not every
 * kernel can delay packets (netem): a slow wire has a third namespace in the
 * middle, in which slow-wire.py passes them on.
 */

const { spawnSync } = require('node:child_process')
const path = require('node:path')
const { need, run, start } = require('./proc')

const ADDRESS = { near: '10.77.0.1', far: '10.77.0.2' }
const DEVICE = 'wire'
const SLOW_WIRE = path.join(__dirname, 'slow-wire.py')

const isRoot = process.getuid() === 0
const UNSHARE = ['unshare', ...(isRoot ? [] : ['--user', '--map-root-user']), '--net']
const ENTER = ['nsenter', ...(isRoot ? [] : ['--user', '--preserve-credentials']), '--net']

// Holds a namespace for as long as somebody holds its standard input.
const HOLD = 'ip link set lo up && echo ready && exec cat'

const ATTEMPT = `ip link set lo up && ip link add ${DEVICE} type veth peer name other && nft add table inet alknet`

/** In a before(): skips, and says why, where there can be no such machines. */
function needMachines (context) {
  need(context, 'unshare', 'nsenter', 'ip', 'nft', 'python3')
  const [command, ...args] = [...UNSHARE, 'sh', '-c', ATTEMPT]
  const { status, stderr } = spawnSync(command, args, { encoding: 'utf8' })
  if (status === 0) return
  console.log(`      skipped: no namespaces of the network with veth and nftables here: ${stderr.trim()}`)
  context.skip()
}

class Machine {
  constructor (name, holder) {
    this.name = name
    this.address = ADDRESS[name]
    this._holder = holder
  }

  get pid () {
    return this._holder.pid
  }

  _args (args) {
    const [command, ...rest] = ENTER
    return [command, ['--target', String(this.pid), ...rest, '--', ...args]]
  }

  /** Starts a program on it, which ends with the scope. */
  start (scope, args, options) {
    return start(scope, ...this._args(args), options)
  }

  /** Runs a shell script on it; rejects when that fails. */
  async shell (scope, script) {
    const [command, args] = this._args(['sh', '-ec', script])
    const { code, stdout, stderr } = await run(scope, command, args)
    if (code !== 0) throw new Error(`${this.name}: ${script}\n${stderr}`)
    return stdout
  }
}

class Net {
  constructor (scope, near, far) {
    this._scope = scope
    this.near = near
    this.far = far
  }

  /** What is lost of what comes in at a machine: percent of the packets. */
  async lose (machine, percent) {
    await this.heal(machine)
    const rule = percent === 100 ? 'drop' : `numgen random mod 100 < ${percent} drop`
    await machine.shell(this._scope, `nft 'table inet alknet {
      chain wire { type filter hook input priority 0; iifname "${DEVICE}" ${rule}; }
    }'`)
  }

  /** All arrives again. */
  heal (machine) {
    return machine.shell(this._scope, 'nft delete table inet alknet 2>/dev/null || true')
  }

  /** Another address for a machine, in place of the one it has. */
  async move (machine, address) {
    await machine.shell(this._scope,
      `ip address flush dev ${DEVICE}; ip address add ${address}/24 dev ${DEVICE}`)
    machine.address = address
  }

  /** The TCP connections that a machine still has, as lines of ss; TIME-WAIT is none. */
  async sockets (machine) {
    const text = await machine.shell(this._scope, 'ss -Htan | grep -v -e LISTEN -e TIME-WAIT || true')
    return text.split('\n').filter((line) => line !== '')
  }
}

/** A third namespace between two, whose program takes ms for each packet, either way. */
async function joinSlowly (scope, middle, near, far, ms) {
  for (const machine of [near, far]) {
    await machine.shell(scope, `ip link add ${DEVICE} type veth peer name ${machine.name} netns ${middle.pid}
      python3 ${SLOW_WIRE} --no-offload ${DEVICE}`)
    await middle.shell(scope, `ip link set ${machine.name} up`)
  }
  const wire = middle.start(scope, ['python3', SLOW_WIRE, 'near', 'far', String(ms)])
  await wire.waitFor(/ready/)
}

/**
 * Two machines that end with the scope.
 *
 * @param {Scope} scope
 * @param {{ delayMs?: number }} [options] delayMs: how long a packet takes, each way
 * @returns {Promise<Net>}
 */
async function startNet (scope, { delayMs = 0 } = {}) {
  const hold = async (command, args) => {
    const holder = start(scope, command, [...args, 'sh', '-c', HOLD], { keepStdin: true })
    await holder.waitFor(/ready/)
    return holder
  }
  const near = new Machine('near', await hold(UNSHARE[0], UNSHARE.slice(1)))
  // Within the first one's user namespace, or neither may have the other's wire.
  const [command, args] = isRoot ? [UNSHARE[0], UNSHARE.slice(1)] : near._args(['unshare', '--net'])
  const far = new Machine('far', await hold(command, args))
  if (delayMs > 0) await joinSlowly(scope, new Machine('middle', await hold(command, args)), near, far, delayMs)
  else await near.shell(scope, `ip link add ${DEVICE} type veth peer name ${DEVICE} netns ${far.pid}`)
  for (const machine of [near, far]) {
    await machine.shell(scope, `echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6
      ip address add ${machine.address}/24 dev ${DEVICE}
      ip link set ${DEVICE} up`)
  }
  // Until the kernel has told whoever watches the network of all that.
  for (const machine of [near, far]) await machine.shell(scope, `until ip -br link show ${DEVICE} | grep -q ' UP '; do sleep 0.05; done`)
  return new Net(scope, near, far)
}

module.exports = { needMachines, startNet }
