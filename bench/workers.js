'use strict'

/**
 * node bench/workers.js [rounds] [sessions,sessions…]
 *
 * What `alknet serve --workers 2` is worth on this machine: servers with and
 * without take turns, with so many sessions (8, then 100) of two client
 * processes. Logins a second, MiB a second down through a forward of each
 * session at once, and how many processors the server has had for it.
 */

const path = require('path')
const { key } = require('../test/helpers/keys')
const { Scope } = require('../test/helpers/scope')
const { memory, metered } = require('./meter')
const { HERE, compile } = require('./programs')
const { startServer } = require('./sides')
const { number, ratio, spread, values } = require('./stats')

const CIPHER = 'aes128-gcm@openssh.com'
const KINDS = { native: 'no worker', workers: '2 workers' }
const CLIENTS = 2
const AT_ONCE = 8 // of each client
const TRANSFER_MS = [1000, 4000]
const MiB = 1024 * 1024

/** A process with sessions: ask(command) gives its answer. */
function startClient (scope, options) {
  const proc = HERE.start(scope, [process.execPath, path.join(__dirname, 'ends', 'sessions-end.js'), JSON.stringify(options)], { keepStdin: true })
  let n = 0
  return async (command) => {
    n++
    proc.child.stdin.write(`${JSON.stringify(command)}\n`)
    const [text] = await proc.waitFor(new RegExp(`^(?:[^\\n]*\\n){${n}}`))
    return JSON.parse(text.trim().split('\n')[n - 1])
  }
}

/** What came of work(), and for how long the server has had a processor for it. */
async function busy (pid, work) {
  const began = performance.now()
  const { result, cpu } = await metered({ client: [], server: [pid] }, async () => ({ result: await work() }))
  return { result, seconds: (performance.now() - began) / 1000, cpu: cpu.server }
}

async function turn (load, kind, sessions, round) {
  const scope = new Scope()
  try {
    const server = await startServer(scope, kind, { cipher: CIPHER })
    const rss = memory([server.proc.pid], 'VmRSS')
    const options = {
      port: server.port, user: server.user, hostKey: server.hostKeys[0].path, userKey: key('ed25519', 'user').path, cipher: CIPHER, target: load.target
    }
    const clients = Array.from({ length: CLIENTS }, () => startClient(scope, options))
    const all = (command) => Promise.all(clients.map((ask) => ask(command)))
    await all({ open: AT_ONCE, atOnce: AT_ONCE, forward: false }) // warm
    await all({ close: true })
    const login = await busy(server.proc.pid, () => all({ open: sessions / CLIENTS, atOnce: AT_ONCE, forward: true }))
    const ports = login.result.flatMap((one) => one.ports).join(',')
    const side = { name: kind, ways: { all: `direct:${ports}` } }
    const down = await busy(server.proc.pid, () => load.timed(side, 'all', 'down', sessions, TRANSFER_MS))
    const sample = {
      side: kind,
      sessions,
      round,
      rss,
      loginsASecond: sessions / login.seconds,
      loginMs: login.cpu / sessions * 1000,
      mibASecond: down.result.steady.reduce((a, b) => a + b, 0) / MiB,
      cpuPerGiB: down.cpu / (down.result.whole.reduce((a, b) => a + b, 0) / MiB / 1024 * TRANSFER_MS[1] / 1000),
      processors: down.cpu / down.seconds
    }
    console.error(`${sessions} sessions, ${KINDS[kind]}: ${number(sample.loginsASecond)} logins/s, ${number(sample.mibASecond)} MiB/s with ${number(sample.processors)} processors`)
    return sample
  } finally {
    await scope.close()
  }
}

const FIELDS = [['loginsASecond', 'logins a second'], ['loginMs', 'ms of CPU a login, server'], ['mibASecond', 'MiB/s down, all sessions'], ['cpuPerGiB', 's of CPU a GiB, server'], ['processors', 'processors, server'], ['rss', 'RSS at the start, MB']]

function print (samples, counts) {
  console.log(`| sessions | server | ${FIELDS.map(([, name]) => name).join(' | ')} |\n| --- | --- |${' --- |'.repeat(FIELDS.length)}`)
  for (const sessions of counts) {
    for (const [side, name] of Object.entries(KINDS)) {
      console.log(`| ${sessions} | ${name} | ${FIELDS.map(([field]) => spread(values(samples, { side, sessions }, field))).join(' | ')} |`)
    }
    console.log(`| ${sessions} | ratio, median of rounds | ${FIELDS.map(([field]) => number(ratio(samples, { sessions }, field, ['workers', 'native']))).join(' | ')} |`)
  }
}

async function main () {
  const rounds = Number(process.argv[2] ?? 5)
  const counts = (process.argv[3] ?? '8,100').split(',').map(Number)
  const scope = new Scope()
  try {
    const load = await (await compile(scope)).load(scope)
    const samples = []
    for (const sessions of counts) {
      for (let round = 0; round < rounds; round++) {
        const kinds = Object.keys(KINDS)
        for (const kind of round % 2 === 0 ? kinds : kinds.reverse()) samples.push(await turn(load, kind, sessions, round))
      }
    }
    print(samples, counts)
  } finally {
    await scope.close()
  }
}

main().catch((err) => {
  console.error(err)
  process.exitCode = 1
})
