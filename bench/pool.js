'use strict'

/**
 * node bench/pool.js [idle] [long] [--sessions 1,4,16] [--channels 1000,4000]
 *                    [--rounds 3]
 *
 * What several SSH sessions behind one client bring, by their number. Prints a
 * table for each scene, of medians; rounds take turns with what is compared.
 *
 *   idle  alknet connect to stock sshd with so many idle channels: until they are
 *         open, a round trip beside none and beside all, new connections beside all
 *   long  to sshd and to alknet serve over a way of 100 ms: one stream and eight,
 *         each of which may have a session of its own. Linux, root
 */

const { parseArgs } = require('util')
const { startConnect, startServe } = require('../test/helpers/alknet')
const { startSshd } = require('../test/helpers/openssh')
const { Scope } = require('../test/helpers/scope')
const { linkProblem, startLink } = require('./long-path')
const { memory, metered } = require('./meter')
const { compile } = require('./programs')
const { distinct, median, number, percentile, values } = require('./stats')

const TRIPS = 500
const WAY = { ms: 100, mbit: 1000, buffers: false }
const TIMES = [4000, 8000] // ms: what comes after the first is what counts

function options () {
  const text = { type: 'string' }
  const { values: given, positionals } = parseArgs({ allowPositionals: true, options: { sessions: text, channels: text, rounds: text } })
  const numbers = (list) => list.split(',').map(Number)
  return {
    scenes: positionals.length === 0 ? Object.keys(SCENES) : positionals,
    sessions: numbers(given.sessions ?? '1,4,16'),
    channels: numbers(given.channels ?? '1000,4000'),
    rounds: Number(given.rounds ?? 3)
  }
}

/** Gives each of all its turn, the other way round in every second round. */
async function alternate (all, rounds, turn) {
  for (let round = 0; round < rounds; round++) {
    for (const one of round % 2 === 0 ? all : [...all].reverse()) await turn(one)
  }
}

const inWords = (sessions) => `${sessions} session${sessions === 1 ? '' : 's'}`

function print (title, samples) {
  const columns = Object.keys(samples[0]).filter((name) => name !== 'name')
  console.log(`\n${title}\n\n| | ${columns.join(' | ')} |\n|---|${columns.map(() => '---|').join('')}`)
  for (const name of distinct(samples, 'name')) {
    console.log(`| ${name} | ${columns.map((column) => number(median(values(samples, { name }, column)))).join(' | ')} |`)
  }
}

async function idleTurn (programs, count, sessions) {
  const scope = new Scope()
  try {
    const load = await programs.load(scope)
    const server = await startSshd(scope, { config: ['LogLevel INFO'] })
    const client = await startConnect(scope, server, {
      forwards: [`127.0.0.1:0:127.0.0.1:${load.target}`], args: ['--sessions', String(sessions), '--max-channels', '8192', '--open-timeout', '10m']
    })
    const side = { name: inWords(sessions), ways: { forward: `direct:${client.local[0].port}` } }
    const ends = { client: [client.proc.pid], server: [server.proc.pid] }
    const idle = load.idle(scope, side, 'forward', count, TRIPS)
    const none = await idle.next()
    idle.goOn()
    const opened = await metered(ends, () => idle.next())
    const rss = memory(ends.server, 'VmRSS')
    idle.goOn()
    const all = await idle.next()
    idle.goOn()
    const more = await idle.next()
    return {
      name: `${count} channels, ${inWords(sessions)}`,
      'open after, s': opened.seconds,
      'CPU meanwhile, s': opened.cpu.client + opened.cpu.server,
      'RSS of sshd, MB': rss,
      'trip beside none, p50 ms': percentile(none.micros, 0.5) / 1000,
      'beside all, p50': percentile(all.micros, 0.5) / 1000,
      p99: percentile(all.micros, 0.99) / 1000,
      'new ones a second': more.micros.length / more.seconds
    }
  } finally {
    await scope.close()
  }
}

async function idleScene (programs, { sessions, channels, rounds }) {
  const samples = []
  for (const count of channels) {
    await alternate(sessions, rounds, async (n) => {
      samples.push(await idleTurn(programs, count, n))
      process.stderr.write(`${JSON.stringify(samples.at(-1))}\n`)
    })
  }
  print('Idle channels of a stock sshd', samples)
}

async function longTurn (programs, name, sessions) {
  const scope = new Scope()
  try {
    const { near, far } = await startLink(scope, programs, WAY)
    const load = await programs.load(scope, near, far)
    const server = name === 'sshd'
      ? await startSshd(scope, { machine: far, host: far.address, config: ['LogLevel INFO'] })
      : await startServe(scope, { machine: far, listen: [`${far.address}:2222`], args: ['--allow', '127.0.0.1:*'] })
    const client = await startConnect(scope, server, {
      machine: near, forwards: [`127.0.0.1:0:127.0.0.1:${load.target}`], args: ['--sessions', String(sessions), '--session-channels', '1']
    })
    const side = { name, ways: { forward: `direct:${client.local[0].port}` } }
    const mbits = async (direction, streams, times) => {
      const { steady } = await load.timed(side, 'forward', direction, streams, times)
      return steady.reduce((a, b) => a + b, 0) * 8 / 1e6
    }
    // The first eight find one session, and have the others opened.
    await mbits('down', 8, [1000, 4000])
    const sample = { name: `${name}, ${inWords(sessions)}` }
    for (const direction of ['down', 'up']) {
      for (const streams of [1, 8]) sample[`${streams} ${direction}, Mbit/s`] = await mbits(direction, streams, TIMES)
    }
    return sample
  } finally {
    await scope.close()
  }
}

async function longScene (programs, { sessions, rounds }) {
  const problem = linkProblem()
  if (problem !== null) return console.log(`skipped: long ways: ${problem}`)
  const samples = []
  for (const name of ['sshd', 'alknet serve']) {
    await alternate(sessions, rounds, async (n) => {
      samples.push(await longTurn(programs, name, n))
      process.stderr.write(`${JSON.stringify(samples.at(-1))}\n`)
    })
  }
  print(`A way of ${WAY.ms} ms and ${WAY.mbit} Mbit/s, TCP buffers of Linux`, samples)
}

const SCENES = { idle: idleScene, long: longScene }

async function main () {
  const plan = options()
  const scope = new Scope()
  try {
    const programs = await compile(scope)
    for (const name of plan.scenes) await SCENES[name](programs, plan)
  } finally {
    await scope.close()
  }
}

main().catch((err) => {
  console.error(err)
  process.exitCode = 1
})
