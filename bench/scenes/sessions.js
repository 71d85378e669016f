'use strict'

/**
 * Many sessions to one server: how fast they log in, what each costs the server
 * while it is idle, and whether 100 streams get the same. The client is alknet
 * for all, with the engine native, in one process.
 */

const path = require('path')
const { memory } = require('../meter')
const { LoopWatch } = require('../loop-watch')
const { HERE } = require('../programs')
const { startServer } = require('../sides')
const { distinct, jain, number, spread, values } = require('../stats')
const { Scope } = require('../../test/helpers/scope')
const { key } = require('../../test/helpers/keys')

const SERVERS = { native: 'alknet', libssh: 'alknet, libssh', workers: 'alknet, 2 workers', sshd: 'OpenSSH', ssh2: 'ssh2' }
const NEEDS = { native: 'native', libssh: 'libssh', workers: 'workers', sshd: 'openssh', ssh2: 'ssh2' }
const AT_ONCE = 16
const WARM = 20
const STREAMS = 100

// Each has a process of its own.
const SSHD_SESSIONS = 100

/** The process with all the clients: ask(command) gives its answer. */
async function startClients (scope, server, { cipher, target }) {
  const watch = new LoopWatch(scope)
  const options = {
    port: server.port, user: server.user, hostKey: server.hostKeys[0].path, userKey: key('ed25519', 'user').path, cipher, target
  }
  const argv = [process.execPath, path.join(__dirname, '..', 'ends', 'sessions-end.js'), JSON.stringify(options)]
  const proc = HERE.start(scope, argv, { env: { ...process.env, ...watch.env }, keepStdin: true })
  watch.pid = proc.pid
  let n = 0
  const ask = async (command) => {
    n++
    proc.child.stdin.write(`${JSON.stringify(command)}\n`)
    const [text] = await proc.waitFor(new RegExp(`^(?:[^\\n]*\\n){${n}}`))
    return JSON.parse(text.trim().split('\n')[n - 1])
  }
  return { ask, pid: proc.pid, watch }
}

async function run (bench) {
  const samples = []
  for (const name of Object.keys(SERVERS)) {
    if (bench.sides([NEEDS[name]]).length === 0) continue
    for (let round = 0; round < bench.plan.fewer; round++) samples.push(...await turn(bench, name, round))
  }
  return samples
}

async function turn (bench, name, round) {
  const scope = new Scope()
  const { plan, load } = bench
  const options = { cipher: plan.ciphers[0], target: load.target }
  try {
    const server = await startServer(scope, name, options)
    const { ask, pid, watch } = await startClients(scope, server, options)
    // Of several processes, each one's share of what they have in common.
    const used = () => ({ server: memory([server.proc.pid], 'Pss'), client: memory([pid], 'Pss') })
    await ask({ open: WARM, atOnce: AT_ONCE, forward: false })
    await ask({ close: true })
    const before = used()
    const count = name === 'sshd' ? Math.min(SSHD_SESSIONS, plan.sessions) : plan.sessions
    const watches = Object.entries({ client: watch, server: server.watch }).filter(([, one]) => one !== undefined)
    const { seconds } = await ask({ open: count, atOnce: AT_ONCE, forward: false })
    const after = used()
    const kib = (end) => (after[end] - before[end]) * 1e6 / 1024 / count
    await ask({ close: true })
    const shares = async (ports) => (await load.timed({ name, ways: { all: `direct:${ports}` } }, 'all', 'down', STREAMS, plan.fairMs)).steady
    const one = await ask({ open: 1, atOnce: 1, forward: true })
    const inOne = await shares(one.ports)
    await ask({ close: true })
    for (const [, each] of watches) await each.turn()
    const { ports } = await ask({ open: STREAMS, atOnce: AT_ONCE, forward: true })
    const late = []
    for (const [end, each] of watches) late.push({ kind: 'loop', side: name, end, what: `${STREAMS} logins`, ...await each.turn() })
    const sample = {
      kind: 'sessions',
      side: name,
      round,
      sessions: count,
      loginsASecond: count / seconds,
      kibServer: kib('server'),
      kibClient: kib('client'),
      fairSessions: jain(await shares(ports.join(','))),
      fairChannels: jain(inOne)
    }
    bench.say(`sessions, ${SERVERS[name]}: ${number(sample.loginsASecond)} logins a second, ${number(sample.kibServer)} KiB each (client ${number(sample.kibClient)}), ` +
      `fairness ${sample.fairSessions.toFixed(3)} and ${sample.fairChannels.toFixed(3)}`)
    return [sample, ...late]
  } finally {
    await scope.close()
  }
}

function tables (samples) {
  const fields = [
    ['sessions', 'sessions'], ['loginsASecond', `logins a second, ${AT_ONCE} at once`], ['kibServer', 'KiB for each idle one, server'],
    ['kibClient', 'client (alknet)'], ['fairSessions', `Jain's index, ${STREAMS} streams in as many sessions`], ['fairChannels', 'in one session']
  ]
  const here = samples.filter(({ kind }) => kind === 'sessions')
  const rows = distinct(here, 'side').map((side) => [SERVERS[side], ...fields.map(([field]) => spread(values(here, { side }, field)))])
  return [{ title: 'Many sessions to one server', head: ['server', ...fields.map(([, name]) => name)], rows }]
}

module.exports = { run, tables }
