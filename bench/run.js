'use strict'

/**
 * npm run bench -- [--quick] [--only bulk,loop,flat,open,idle,duplex]
 *                  [--engine native,libssh,tls] [--no-openssh] [--ciphers a,b]
 *                  [--ways socks,forward] [--rounds n] [--size MiB]
 *                  [--opens n] [--channels n] [--docs] [--strict]
 *
 * Compares alknet, with each SSH engine, with OpenSSH in one run: the same
 * keys, ciphers, sizes and load generator, in alternating rounds, so that a
 * busy machine is busy for all. Prints a table and writes
 * bench/results/latest.json and latest.md; with --docs into docs/benchmarks.md
 * too. --strict ends with 1 when a bar is missed.
 *
 * tls is the native engine over TLS, and is measured when it is asked for.
 *
 *   bulk  one transfer, up and down, through the SOCKS5 proxy and a forward
 *   loop  how late alknet's event loops are during a transfer
 *   flat  ten transfers in a row: does memory grow?
 *   open  connections, one by one and 64 at once
 *   idle  many idle connections: time to open, memory, round trips beside them
 *   duplex  the same transfer in C, over a Duplex as transport at both ends, and
 *         over a channel as a Duplex at both ends; alknet alone
 */

const fs = require('fs')
const path = require('path')
const { parseArgs } = require('util')
const { key } = require('../test/helpers/keys')
const { run, start } = require('../test/helpers/proc')
const { Scope } = require('../test/helpers/scope')
const { memory, metered } = require('./meter')
const { bars, table } = require('./report')
const { sides, versions } = require('./sides')

const MiB = 1024 * 1024
const CIPHERS = {
  'aes128-gcm': 'aes128-gcm@openssh.com',
  'aes256-gcm': 'aes256-gcm@openssh.com',
  chacha20: 'chacha20-poly1305@openssh.com'
}
const ENDS = ['client', 'server']
const TRANSFERS = 10 // of the scene "flat"
const TRIPS = 5000
// Opening them takes OpenSSH a time that grows with their square.
const OPENSSH_CHANNELS = 1000

const full = { size: 1024, rounds: 5, opens: 5000, channels: 4000 }
const quick = { size: 256, rounds: 3, opens: 2000, channels: 4000 }

const scenes = { bulk: bulkScene, loop: loopScene, flat: flatScene, open: openScene, idle: idleScene, duplex: duplexScene }

/** A comma list of which each must be one of all. */
function some (name, text, all) {
  if (text === undefined) return all
  const chosen = text.split(',')
  for (const one of chosen) {
    if (!all.includes(one)) throw new Error(`--${name} takes some of: ${all.join(', ')}`)
  }
  return chosen
}

function options () {
  const text = { type: 'string' }
  const { values } = parseArgs({
    options: {
      quick: { type: 'boolean' },
      strict: { type: 'boolean' },
      docs: { type: 'boolean' },
      'no-openssh': { type: 'boolean' },
      only: text,
      engine: text,
      ciphers: text,
      ways: text,
      size: text,
      rounds: text,
      opens: text,
      channels: text
    }
  })
  const plan = {
    ...(values.quick ? quick : full),
    scenes: some('only', values.only, Object.keys(scenes)),
    sides: values.engine === undefined ? ['native', 'libssh'] : some('engine', values.engine, ['native', 'libssh', 'tls']),
    ciphers: some('ciphers', values.ciphers, Object.keys(CIPHERS)).map((name) => CIPHERS[name]),
    ways: some('ways', values.ways, ['forward', 'socks'])
  }
  if (!values['no-openssh']) plan.sides.push('openssh')
  for (const name of Object.keys(full)) {
    if (values[name] === undefined) continue
    plan[name] = Number(values[name])
    if (!Number.isInteger(plan[name]) || plan[name] < 1) throw new Error(`--${name} takes a number from 1`)
  }
  return { plan, strict: values.strict, docs: values.docs }
}

/** The load generator, compiled, with its server running. */
async function makeLoad (scope) {
  const program = path.join(scope.dir(), 'load')
  const cc = await run(scope, process.env.CC ?? 'cc',
    ['-O2', '-std=c11', '-D_GNU_SOURCE', '-o', program, path.join(__dirname, 'load.c')])
  if (cc.code !== 0) throw new Error(`load.c does not compile: ${cc.output.trim()}`)
  const [, port] = await start(scope, program, ['serve']).waitFor(/^(\d+)\n/)
  const through = async (side, way, what, ...args) => {
    const own = new Scope() // thousands of runs would pile up in the big one
    try {
      const done = await run(own, program, [what, side.ways[way], port, ...args.map(String)])
      if (done.code !== 0) throw new Error(`${side.name}, ${what} over ${way}: ${done.output.trim()}`)
      return JSON.parse(done.stdout)
    } finally {
      await own.close()
    }
  }
  return {
    target: Number(port),
    bulk: (side, way, direction, bytes) => through(side, way, direction, bytes),
    open: (side, way, count, atOnce) => through(side, way, 'open', count, atOnce),
    idle: (own, side, way, count) => start(own, program,
      ['idle', side.ways[way], port, String(count), String(TRIPS)], { keepStdin: true })
  }
}

/** Each round gives every side its turn, the first turn going round too. */
async function alternate (all, rounds, turn) {
  for (let round = 0; round < rounds; round++) {
    const order = round % 2 === 0 ? all : [...all].reverse()
    for (const side of order) await turn(side, round)
  }
}

async function bulkScene (bench, cipher, all) {
  const { plan, load, samples } = bench
  const bytes = plan.size * MiB
  const turn = async (way, direction, side, round) => {
    const used = await metered(side.ends, () => load.bulk(side, way, direction, bytes))
    samples.push({
      scene: 'bulk',
      cipher,
      way,
      direction,
      round,
      side: side.name,
      mibPerSecond: plan.size / used.seconds,
      cpuPerGiB: (used.cpu.client + used.cpu.server) / (bytes / 2 ** 30),
      cpuClient: used.cpu.client / (bytes / 2 ** 30),
      cpuServer: used.cpu.server / (bytes / 2 ** 30),
      rssClient: used.rss.client,
      rssServer: used.rss.server
    })
    progress(`bulk ${cipher} ${way} ${direction} ${side.name}: ` +
      `${(plan.size / used.seconds).toFixed(0)} MiB/s, ${samples.at(-1).cpuPerGiB.toFixed(2)} CPU s/GiB`)
  }
  for (const way of plan.ways) {
    for (const side of all) await load.bulk(side, way, 'up', 16 * MiB) // warm
    for (const direction of ['up', 'down']) {
      await alternate(all, plan.rounds, (side, round) => turn(way, direction, side, round))
    }
  }
}

/** The last line of a file once it has that many. */
async function nthLine (file, n) {
  for (const deadline = Date.now() + 10000; Date.now() < deadline;) {
    const lines = fs.existsSync(file) ? fs.readFileSync(file, 'utf8').split('\n').slice(0, -1) : []
    if (lines.length >= n) return JSON.parse(lines[n - 1])
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  throw new Error('an alknet process did not answer SIGUSR2')
}

/** In transfers of its own: watching the loop costs CPU. */
async function loopScene (bench, cipher, all) {
  const { plan, load, samples } = bench
  for (const side of all.filter((each) => each.delays)) {
    let lines = 0
    const signal = async () => {
      lines++
      const found = {}
      for (const end of ENDS) {
        process.kill(side.ends[end][0], 'SIGUSR2')
        found[end] = await nthLine(`${side.delays}-${end}`, lines)
      }
      return found
    }
    for (const direction of ['up', 'down']) {
      await signal()
      await load.bulk(side, plan.ways[0], direction, plan.size * MiB)
      const found = await signal()
      for (const end of ENDS) {
        samples.push({ scene: 'loop', cipher, direction, end, side: side.name, ...found[end] })
      }
    }
  }
}

async function flatScene (bench, cipher, all) {
  const { plan, load, samples } = bench
  if (cipher !== plan.ciphers[0]) return
  for (const side of all) {
    for (let round = 0; round < TRANSFERS; round++) {
      const direction = round % 2 === 0 ? 'up' : 'down'
      const { rss } = await metered(side.ends, () => load.bulk(side, plan.ways[0], direction, plan.size * MiB))
      for (const end of ENDS) samples.push({ scene: 'flat', end, round, side: side.name, rss: rss[end] })
    }
    progress(`flat ${side.name}: done`)
  }
}

function percentile (micros, part) {
  const sorted = [...micros].sort((a, b) => a - b)
  return sorted[Math.floor(sorted.length * part)]
}

async function openScene (bench, cipher, all) {
  const { plan, load, samples } = bench
  if (cipher !== plan.ciphers[0]) return
  const turn = async (way, atOnce, side, round) => {
    const { seconds, micros, cpu } = await metered(side.ends, () => load.open(side, way, plan.opens, atOnce))
    samples.push({
      scene: 'open',
      way,
      atOnce,
      round,
      side: side.name,
      perSecond: plan.opens / seconds,
      cpuMicros: (cpu.client + cpu.server) / plan.opens * 1e6,
      p50: percentile(micros, 0.5) / 1000,
      p99: percentile(micros, 0.99) / 1000
    })
    progress(`open ${way} ${atOnce} at once ${side.name}: ${Math.round(plan.opens / seconds)} a second, ` +
      `${samples.at(-1).cpuMicros.toFixed(0)} CPU µs each`)
  }
  for (const way of plan.ways) {
    for (const side of all) await load.open(side, way, plan.opens, 64) // warm
    for (const atOnce of [1, 64]) {
      await alternate(all, plan.rounds, (side, round) => turn(way, atOnce, side, round))
    }
  }
}

/** One round, with processes of its own: what was used once is not given back. */
async function idleTurn (bench, cipher, name, round) {
  const { plan, load, samples } = bench
  const scope = new Scope()
  try {
    const count = name === 'openssh' ? Math.min(plan.channels, OPENSSH_CHANNELS) : plan.channels
    const side = await sides[name](scope, { cipher, target: load.target, channels: count + 100 })
    for (const atOnce of [1, 64]) await load.open(side, 'forward', 2000, atOnce) // warm
    const idle = load.idle(scope, side, 'forward', count)
    const line = async (n) => JSON.parse((await idle.waitFor(new RegExp(`(?:[^]*?\\n){${n}}`)))[0].trim().split('\n')[n - 1])
    const resident = () => Object.fromEntries(ENDS.map((end) => [end, memory(side.ends[end], 'VmRSS')]))
    const none = await line(1)
    const before = resident()
    idle.child.stdin.write('\n')
    const opened = await line(2)
    const after = resident()
    idle.child.stdin.write('\n')
    const all = await line(3)
    samples.push({
      scene: 'idle',
      round,
      side: name,
      channels: count,
      seconds: opened.seconds,
      kibClient: (after.client - before.client) * 1e6 / 1024 / count,
      kibServer: (after.server - before.server) * 1e6 / 1024 / count,
      p50None: percentile(none.micros, 0.5),
      p99None: percentile(none.micros, 0.99),
      p50All: percentile(all.micros, 0.5),
      p99All: percentile(all.micros, 0.99),
      tripRatio: percentile(all.micros, 0.5) / percentile(none.micros, 0.5)
    })
    const { seconds, kibClient, kibServer, p50None, p50All } = samples.at(-1)
    progress(`idle ${name}: ${count} in ${seconds.toFixed(2)} s, ${kibClient.toFixed(2)} and ${kibServer.toFixed(2)} KiB each, ` +
      `round trip ${p50None} -> ${p50All} µs`)
  } finally {
    await scope.close()
  }
}

/** With all of OpenSSH's rounds it would take longer than all else: one. */
async function idleScene (bench, cipher) {
  const { plan } = bench
  if (cipher !== plan.ciphers[0]) return
  await alternate(plan.sides, plan.rounds, async (name, round) => {
    if (name !== 'openssh' || round === 0) await idleTurn(bench, cipher, name, round)
  })
}

/** Two processes with all the ways between them. */
async function startEnds (scope, target) {
  const [host, user] = [key('ed25519', 'host').path, key('ed25519', 'user').path]
  const end = async (...args) => {
    const proc = start(scope, process.execPath, [path.join(__dirname, 'duplex-end.js'), ...args.map(String)])
    const [line] = await proc.waitFor(/^\{.*\}\n/)
    return { pid: proc.pid, ports: JSON.parse(line) }
  }
  const server = await end('server', host, user, target)
  const client = await end('client', host, user, target, JSON.stringify(server.ports))
  return {
    name: 'native',
    ways: Object.fromEntries(Object.entries(client.ports).map(([way, port]) => [way, `direct:${port}`])),
    ends: { client: [client.pid], server: [server.pid] }
  }
}

async function duplexScene (bench, cipher) {
  const { plan, load, samples } = bench
  if (cipher !== plan.ciphers[0] || !plan.sides.includes('native')) return
  const scope = new Scope()
  try {
    const side = await startEnds(scope, load.target)
    const ways = Object.keys(side.ways)
    for (const way of ways) await load.bulk(side, way, 'up', 16 * MiB) // warm
    for (const direction of ['up', 'down']) {
      await alternate(ways, plan.rounds, async (way, round) => {
        const { seconds, cpu } = await metered(side.ends, () => load.bulk(side, way, direction, plan.size * MiB))
        samples.push({
          scene: 'duplex',
          way,
          direction,
          round,
          side: side.name,
          mibPerSecond: plan.size / seconds,
          cpuPerGiB: (cpu.client + cpu.server) / (plan.size / 1024)
        })
        progress(`duplex ${way} ${direction}: ${samples.at(-1).mibPerSecond.toFixed(0)} MiB/s, ` +
          `${samples.at(-1).cpuPerGiB.toFixed(2)} CPU s/GiB`)
      })
    }
  } finally {
    await scope.close()
  }
}

function progress (text) {
  process.stderr.write(`${text}\n`)
}

/** All scenes with one cipher, on the same processes where that can be. */
async function cipherScenes (bench, cipher) {
  const { plan, load } = bench
  const scope = new Scope()
  try {
    const all = []
    for (const name of plan.sides) all.push(await sides[name](scope, { cipher, target: load.target }))
    for (const scene of plan.scenes) await scenes[scene](bench, cipher, all)
    for (const side of all) {
      for (const end of ENDS) {
        bench.samples.push({ scene: 'peak', cipher, end, side: side.name, rss: memory(side.ends[end], 'VmHWM') })
      }
    }
  } finally {
    await scope.close()
  }
}

/** Puts the table between the two marks of docs/benchmarks.md. */
function intoDocs (text) {
  const file = path.join(__dirname, '..', 'docs', 'benchmarks.md')
  const [begin, end] = ['<!-- last run -->\n', '<!-- end of the last run -->']
  const page = fs.readFileSync(file, 'utf8')
  const [before, rest] = [page.split(begin)[0], page.split(end)[1]]
  fs.writeFileSync(file, before + begin + text.replace(/^#/gm, '##') + end + rest)
}

function report (result, { strict, docs }) {
  const text = table(result)
  const results = path.join(__dirname, 'results')
  fs.mkdirSync(results, { recursive: true })
  fs.writeFileSync(path.join(results, 'latest.json'), JSON.stringify(result, null, 1) + '\n')
  fs.writeFileSync(path.join(results, 'latest.md'), text)
  if (docs) intoDocs(text)
  console.log(text)
  if (strict && result.bars.some((bar) => !bar.met)) process.exitCode = 1
}

async function main () {
  const { plan, ...wishes } = options()
  const scope = new Scope()
  // Ends by exit, which ends every child: Ctrl-C leaves nothing behind.
  for (const signal of ['SIGINT', 'SIGTERM']) {
    process.once(signal, () => scope.close().finally(() => process.exit(130)))
  }
  try {
    const bench = { plan, samples: [], load: await makeLoad(scope) }
    const result = { date: new Date().toISOString(), plan, versions: await versions(scope) }
    // The other scenes take the first cipher only.
    const eachCipher = plan.scenes.includes('bulk') || plan.scenes.includes('loop')
    for (const cipher of eachCipher ? plan.ciphers : plan.ciphers.slice(0, 1)) await cipherScenes(bench, cipher)
    report({ ...result, samples: bench.samples, bars: bars(bench.samples) }, wishes)
  } finally {
    await scope.close()
  }
}

main().catch((err) => {
  console.error(`bench: ${err.message}`)
  process.exitCode = 1
})
