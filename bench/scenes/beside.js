'use strict'

/** Round trips of one byte in a session beside a bulk stream in the same one. */

const { distinct, percentile, spread, values } = require('../stats')
const { title } = require('../sides')

const NAMES = ['native', 'libssh', 'openssh', 'native-sshd', 'ssh-native', 'ssh2']
const TRIPS = 20_000
const DIRECTIONS = ['up', 'down']

async function run (bench) {
  const samples = []
  const { plan, load } = bench
  await bench.withSides(bench.sides(NAMES), { cipher: plan.ciphers[0] }, async (all) => {
    for (const direction of DIRECTIONS) {
      await bench.alternate(all, async (side, round) => {
        const ms = plan.fairMs[1]
        const [bulk, { micros }] = await Promise.all([
          load.timed(side, 'forward', direction, 1, plan.fairMs),
          load.trips(side, 'forward', TRIPS, 1, (ms - 500) / 1000)
        ])
        const sample = {
          side: side.name, direction, round, p50: percentile(micros, 0.5) / 1000, p99: percentile(micros, 0.99) / 1000, mibPerSecond: bulk.whole[0] / 2 ** 20
        }
        samples.push(sample)
        bench.say(`beside a bulk stream ${direction}, ${title(side.name)}: p50 ${sample.p50.toFixed(2)}, p99 ${sample.p99.toFixed(2)} ms`)
      })
    }
  })
  return samples
}

function tables (samples) {
  const rows = distinct(samples, 'side').map((side) => [title(side), ...DIRECTIONS.flatMap((direction) =>
    ['p50', 'p99', 'mibPerSecond'].map((field) => spread(values(samples, { side, direction }, field))))])
  const head = ['', ...DIRECTIONS.flatMap((direction) => [`beside one ${direction}: p50, ms`, 'p99, ms', 'meanwhile MiB/s'])]
  return [{ title: 'A round trip of one byte beside a bulk stream', head, rows }]
}

module.exports = { run, tables }
