'use strict'

/**
 * npm run bench -- [--quick] [--only bulk,open,...] [--sides native,openssh,...]
 *                  [--ciphers a,b] [--ways socks,forward] [--rounds n]
 *                  [--size MiB] [--opens n] [--channels n] [--sessions n]
 *                  [--docs] [--strict]
 *
 * Compares alknet, with each SSH engine, with its peers in one run: the same
 * keys, ciphers, sizes and load generator, in alternating rounds, so that a
 * busy machine is busy for all. Prints tables; with --docs they go into
 * bench/results and docs/benchmarks.md, where the scenes of this run take the
 * place of what was there of them. --strict ends with 1 when a bar is missed.
 */

const fs = require('fs')
const os = require('os')
const { runAlknet } = require('../test/helpers/alknet')
const { run } = require('../test/helpers/proc')
const { Scope } = require('../test/helpers/scope')
const { Bench } = require('./bench')
const { planOf } = require('./plan')
const { compile } = require('./programs')
const { allMet, page } = require('./report')
const { save } = require('./results')
const scenes = require('./scenes')
const { availableSides } = require('./sides')

const say = (text) => process.stderr.write(`${text}\n`)

/** What measures and is measured, in words. */
async function machine (scope) {
  const alknet = await runAlknet(scope, ['--version'])
  if (alknet.code !== 0) throw new Error(`alknet is not built: ${alknet.output.trim()}`)
  return {
    cpu: `${os.cpus().length} × ${os.cpus()[0].model}`,
    kernel: os.release(),
    congestion: congestion(),
    node: process.version,
    openssh: (await run(scope, 'ssh', ['-V'])).output.trim(),
    alknet: alknet.stdout.trim()
  }
}

/** How TCP decides how fast it goes. */
function congestion () {
  const file = '/proc/sys/net/ipv4/tcp_congestion_control'
  return fs.existsSync(file) ? fs.readFileSync(file, 'utf8').trim() : '?'
}

/** onScene(name, measured): after each. */
async function measure (bench, onScene) {
  const measured = {}
  const { plan } = bench
  for (const name of plan.scenes) {
    const [began, load] = [new Date(), os.loadavg()[0].toFixed(1)]
    const samples = await scenes[name].run(bench)
    measured[name] = { date: began.toISOString(), minutes: (Date.now() - began) / 60000, load, plan, samples }
    say(`${name}: ${measured[name].minutes.toFixed(1)} minutes`)
    onScene(name, measured[name])
  }
  return measured
}

async function main () {
  const { plan, isStrict, docs } = planOf(process.argv.slice(2))
  const scope = new Scope()
  // Ends by exit, which ends every child: Ctrl-C leaves nothing behind.
  for (const signal of ['SIGINT', 'SIGTERM']) {
    process.once(signal, () => scope.close().finally(() => process.exit(130)))
  }
  try {
    plan.sides = await availableSides(scope, plan.sides, say)
    const programs = await compile(scope)
    const bench = new Bench(plan, programs, await programs.load(scope), say)
    const about = await machine(scope)
    // At once, so that what was measured stays when a later scene fails.
    const keep = (name, measured) => docs && save({ machine: about, scenes: { [name]: measured } })
    const result = { machine: about, scenes: await measure(bench, keep) }
    console.log(page(result))
    if (isStrict && !allMet(result.scenes)) process.exitCode = 1
  } finally {
    await scope.close()
  }
}

main().catch((err) => {
  console.error(`bench: ${err.message}`)
  process.exitCode = 1
})
