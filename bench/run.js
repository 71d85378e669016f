'use strict'

/**
 * npm run bench -- [--quick] [--only alknet|openssh] [--size MiB] [--rounds n]
 *                  [--strict]
 *
 * Compares alknet with OpenSSH in one run: the same keys, cipher, sizes and
 * load generator, in alternating rounds, so that a busy machine is busy for
 * both. Prints a table and writes bench/results/latest.json and latest.md.
 * --strict ends with 1 when a bar is missed.
 */

const fs = require('fs')
const path = require('path')
const { parseArgs } = require('util')
const { run, start } = require('../test/helpers/proc')
const { Scope } = require('../test/helpers/scope')
const { memory, metered } = require('./meter')
const { bars, table } = require('./report')
const { sides, versions } = require('./sides')

const MiB = 1024 * 1024
const ciphers = ['aes128-gcm@openssh.com', 'chacha20-poly1305@openssh.com']

const full = { size: 1024, rounds: 5, opens: 2000, openRounds: 5 }
const quick = { size: 256, rounds: 3, opens: 1000, openRounds: 3 }

function options () {
  const { values } = parseArgs({
    options: {
      quick: { type: 'boolean' },
      strict: { type: 'boolean' },
      only: { type: 'string' },
      size: { type: 'string' },
      rounds: { type: 'string' }
    }
  })
  const plan = { ...(values.quick ? quick : full), names: Object.keys(sides) }
  if (values.only) plan.names = plan.names.filter((name) => name === values.only)
  if (plan.names.length === 0) throw new Error(`--only takes one of: ${Object.keys(sides)}`)
  for (const name of ['size', 'rounds']) {
    if (values[name] === undefined) continue
    plan[name] = Number(values[name])
    if (!Number.isInteger(plan[name]) || plan[name] < 1) throw new Error(`--${name} takes a number from 1`)
  }
  return { plan, strict: values.strict }
}

/** Runs a program to its end and returns what it prints; throws when it fails. */
async function output (scope, program, args) {
  const { code, stdout, output } = await run(scope, program, args)
  if (code !== 0) throw new Error(`${path.basename(program)} failed: ${output.trim()}`)
  return stdout
}

/** The load generator, compiled, with its server running. */
async function makeLoad (scope) {
  const program = path.join(scope.dir(), 'load')
  await output(scope, 'cc', ['-O2', '-std=c11', '-D_GNU_SOURCE', '-o', program, path.join(__dirname, 'load.c')])
  const [, port] = await start(scope, program, ['serve']).waitFor(/^(\d+)\n/)
  const through = async (side, what, ...args) => {
    const own = new Scope() // thousands of runs would pile up in the big one
    try {
      return JSON.parse(await output(own, program, [what, String(side.port), port, ...args.map(String)]))
    } finally {
      await own.close()
    }
  }
  return {
    bulk: (side, direction, bytes) => through(side, direction, bytes),
    open: (side, count, atOnce) => through(side, 'open', count, atOnce)
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
  for (const side of all) await load.bulk(side, 'up', 16 * MiB)
  for (const direction of ['up', 'down']) {
    await alternate(all, plan.rounds, async (side, round) => {
      const used = await metered(side.ends, () => load.bulk(side, direction, bytes))
      samples.push({
        scene: 'bulk',
        cipher,
        direction,
        round,
        side: side.name,
        mibPerSecond: plan.size / used.seconds,
        cpuPerGiB: used.cpu / (bytes / 2 ** 30),
        rssClient: used.rss.client,
        rssServer: used.rss.server
      })
      progress(`bulk ${direction} ${cipher} ${side.name}: ${Math.round(plan.size / used.seconds)} MiB/s`)
    })
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

/** In a round of its own: watching the loop costs CPU. */
async function loopDelayScene (bench, cipher, side) {
  const { plan, load, samples } = bench
  let lines = 0
  const signal = async () => {
    lines++
    const found = {}
    for (const end of ['client', 'server']) {
      process.kill(side.ends[end][0], 'SIGUSR2')
      found[end] = await nthLine(`${side.delays}-${end}`, lines)
    }
    return found
  }
  for (const direction of ['up', 'down']) {
    await signal()
    await load.bulk(side, direction, plan.size * MiB)
    const found = await signal()
    for (const end of ['client', 'server']) {
      samples.push({ scene: 'loop', cipher, direction, end, side: side.name, ...found[end] })
    }
  }
}

async function openScene (bench, all) {
  const { plan, load, samples } = bench
  for (const side of all) await load.open(side, plan.opens, 64) // warm
  for (const atOnce of [1, 64]) {
    await alternate(all, plan.openRounds, async (side, round) => {
      const { seconds, micros, cpu } = await metered(side.ends, () => load.open(side, plan.opens, atOnce))
      micros.sort((a, b) => a - b)
      samples.push({
        scene: 'open',
        atOnce,
        round,
        side: side.name,
        perSecond: plan.opens / seconds,
        cpuMicros: cpu / plan.opens * 1e6,
        p50: micros[Math.floor(micros.length * 0.5)] / 1000,
        p99: micros[Math.floor(micros.length * 0.99)] / 1000
      })
      progress(`open ${atOnce} at once ${side.name}: ${Math.round(plan.opens / seconds)} a second`)
    })
  }
}

function progress (text) {
  process.stderr.write(`${text}\n`)
}

async function cipherScenes (bench, cipher) {
  const scope = new Scope()
  try {
    const all = []
    for (const name of bench.plan.names) all.push(await sides[name](scope, cipher))
    await bulkScene(bench, cipher, all)
    for (const side of all.filter((each) => each.delays)) await loopDelayScene(bench, cipher, side)
    if (cipher === ciphers[0]) await openScene(bench, all)
    for (const side of all) {
      for (const end of ['client', 'server']) {
        bench.samples.push({ scene: 'peak', cipher, end, side: side.name, rss: memory(side.ends[end], 'VmHWM') })
      }
    }
  } finally {
    await scope.close()
  }
}

function report (result, strict) {
  const text = table(result)
  const results = path.join(__dirname, 'results')
  fs.mkdirSync(results, { recursive: true })
  fs.writeFileSync(path.join(results, 'latest.json'), JSON.stringify(result, null, 1) + '\n')
  fs.writeFileSync(path.join(results, 'latest.md'), text)
  console.log(text)
  if (strict && result.bars.some((bar) => !bar.met)) process.exitCode = 1
}

async function main () {
  const { plan, strict } = options()
  const scope = new Scope()
  // Ends by exit, which ends every child: Ctrl-C leaves nothing behind.
  for (const signal of ['SIGINT', 'SIGTERM']) {
    process.once(signal, () => scope.close().finally(() => process.exit(130)))
  }
  try {
    const bench = { plan, samples: [], load: await makeLoad(scope) }
    const result = { date: new Date().toISOString(), plan, versions: await versions(scope) }
    for (const cipher of ciphers) await cipherScenes(bench, cipher)
    report({ ...result, samples: bench.samples, bars: bars(bench.samples) }, strict)
  } finally {
    await scope.close()
  }
}

main().catch((err) => {
  console.error(`bench: ${err.message}`)
  process.exitCode = 1
})
