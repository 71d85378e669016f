'use strict'

/**
 * Many connections, each used once and then left open: time to open, memory, a
 * round trip of one byte and new connections beside none and beside all. On
 * fresh processes, which have served thousands before: what was used once is
 * not given back, and not counted.
 */

const { watchable } = require('../bench')
const { memory } = require('../meter')
const { watched } = require('../loop-watch')
const { distinct, percentile, spread, values } = require('../stats')
const { title } = require('../sides')

const NAMES = ['native', 'libssh', 'openssh', 'native-sshd', 'pool-sshd', 'ssh-native', 'ssh2', 'russh']

// Before anything is measured, one by one and at once.
const WARM = 2000

// sshd, and ssh, take a time that grows with the square of it.
const SLOW = ['openssh', 'native-sshd', 'pool-sshd', 'ssh-native', 'russh']

async function run (bench) {
  const samples = []
  const sides = bench.sides(NAMES).map((name) => ({ name }))
  await bench.alternate(sides, async ({ name }, round) => {
    // One round of theirs would be longer than all the others.
    if (round > 0 && SLOW.includes(name)) return
    samples.push(...await turn(bench, name, round))
  })
  return samples
}

/** How many of a side. */
function count ({ plan }, name) {
  if (name === 'openssh') return Math.min(plan.channels, plan.opensshChannels)
  return SLOW.includes(name) ? Math.min(plan.channels, plan.slowChannels) : plan.channels
}

function turn (bench, name, round) {
  const { plan, load } = bench
  const channels = count(bench, name)
  return bench.withSides([name], { cipher: plan.ciphers[0], channels: channels + 100 }, async ([side], scope) => {
    for (const atOnce of [1, 64]) await load.open(side, 'forward', Math.min(plan.opens, WARM), atOnce)
    const resident = () => ({ client: memory(side.ends.client, 'VmRSS'), server: memory(side.ends.server, 'VmRSS') })
    const idle = load.idle(scope, side, 'forward', channels, plan.trips)
    const none = await idle.next()
    const before = resident()
    idle.goOn()
    const opened = await idle.next()
    const after = resident()
    idle.goOn()
    const all = await idle.next()
    idle.goOn()
    const more = await idle.next()
    const kib = (end) => (after[end] - before[end]) * 1e6 / 1024 / channels
    const sample = {
      kind: 'idle',
      side: name,
      round,
      channels,
      seconds: opened.seconds,
      kibClient: kib('client'),
      kibServer: kib('server'),
      p50None: percentile(none.micros, 0.5),
      p99None: percentile(none.micros, 0.99),
      p50All: percentile(all.micros, 0.5),
      p99All: percentile(all.micros, 0.99),
      moreASecond: more.micros.length / more.seconds
    }
    sample.tripRatio = sample.p50All / sample.p50None
    bench.say(`idle ${title(name)}: ${channels} in ${sample.seconds.toFixed(2)} s, ${sample.kibClient.toFixed(2)} and ` +
      `${sample.kibServer.toFixed(2)} KiB each, round trip ${sample.p50None} -> ${sample.p50All} µs`)
    // All are still there.
    return [sample, ...watchable([side]).length === 0 ? [] : await watched(side, `connections beside ${channels} idle ones`, () => load.open(side, 'forward', Math.min(plan.opens, 500), 16))]
  })
}

function tables (samples) {
  const fields = [
    ['channels', 'idle channels'], ['seconds', 'opened in s'], ['kibClient', 'KiB each, client'], ['kibServer', 'KiB each, server'],
    ['p50None', 'round trip beside none: p50, µs'], ['p99None', 'p99'], ['p50All', 'beside all: p50, µs'], ['p99All', 'p99'],
    ['moreASecond', 'new connections a second, one by one, beside all']
  ]
  const here = samples.filter(({ kind }) => kind === 'idle')
  const rows = distinct(here, 'side').map((side) => [title(side), ...fields.map(([field]) => spread(values(here, { side }, field)))])
  return [{ title: 'Idle channels', head: ['', ...fields.map(([, name]) => name)], rows }]
}

module.exports = { run, tables }
