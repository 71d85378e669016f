'use strict'

/**
 * Two machines with a long wire between them: the two of netns.js, and
 * load/link.c, because not every kernel has netem and each has TUN devices.
 *
 *   near 10.78.0.1  -- way0: so much delay, such a rate, a queue --  far 10.78.0.2
 */

const fs = require('fs')
const { spawnSync } = require('child_process')
const { startNet } = require('../test/helpers/netns')
const { has, start } = require('../test/helpers/proc')

const ADDRESS = { near: '10.78.0.1', far: '10.78.0.2' }

// What a stream needs for 1 Gbit/s and 167 ms, and more; the kernel gives up to
// 6 MiB by itself, which would be the limit of everybody.
const TCP_BUFFER = 64 << 20

/** Why there can be no such machines here, or null. */
function linkProblem () {
  for (const program of ['unshare', 'nsenter', 'ip', 'nft']) {
    if (!has(program)) return `${program} is not installed`
  }
  if (process.getuid() !== 0) return 'it takes root to make network devices'
  if (!fs.existsSync('/dev/net/tun')) return 'there is no /dev/net/tun'
  const { status, stderr } = spawnSync('unshare', ['--net', 'sh', '-ec', 'ip link add wire type veth peer name other; ip tuntap add way0 mode tun'], { encoding: 'utf8' })
  return status === 0 ? null : `no namespaces with veth and tun here: ${stderr.trim()}`
}

/**
 * The two machines, which end with the scope.
 *
 * @param {{ ms: number, mbit: number, buffers: boolean }} options ms: there and
 *   back; buffers: of TCP, as large as such a way needs
 */
async function startLink (scope, programs, { ms, mbit, buffers }) {
  const { near, far } = await startNet(scope)
  const queueKiB = Math.round(mbit * 1e6 / 8 * ms / 1000 / 1024) // as much as is under way
  const args = [near.pid, far.pid, ms * 1000 / 2, mbit, queueKiB].map((n) => String(Math.round(n)))
  await start(scope, programs.path('link'), args).waitFor(/ready/)
  for (const machine of [near, far]) {
    machine.address = ADDRESS[machine.name]
    await machine.shell(scope, `ip address add ${machine.address}/24 dev way0
      ip link set way0 up
      ${buffers ? `echo 4096 131072 ${TCP_BUFFER} >/proc/sys/net/ipv4/tcp_rmem; echo 4096 65536 ${TCP_BUFFER} >/proc/sys/net/ipv4/tcp_wmem` : ''}`)
  }
  return { near, far }
}

module.exports = { linkProblem, startLink }
