'use strict'

/** A slow way: round trips of one byte in a session beside a bulk stream in the same one. */

const { linkProblem } = require('../long-path')
const { distinct, number, percentile, values } = require('../stats')
const { title } = require('../sides')
const { DIRECT, onLink } = require('./path')

const LINK = { ms: 50, mbit: 20, buffers: false }
const NAMES = ['native', 'libssh', 'openssh']
const TRIPS = 20_000
const DIRECTIONS = ['up', 'down']

async function run (bench) {
  const problem = linkProblem()
  if (problem !== null) {
    bench.say(`skipped: a slow way: ${problem}`)
    return []
  }
  const samples = []
  for (const name of [DIRECT, ...bench.sides(NAMES)]) {
    for (const direction of DIRECTIONS) {
      samples.push(await onLink(bench, LINK, name, (load, side) => turn(bench, load, side, direction)))
    }
  }
  return samples
}

async function turn (bench, load, side, direction) {
  const ms = bench.plan.pathMs
  const [bulk, { micros }] = await Promise.all([
    load.timed(side, 'forward', direction, 1, ms),
    load.trips(side, 'forward', TRIPS, 1, (ms[1] - 500) / 1000)
  ])
  const sample = {
    side: side.name, direction, p50: percentile(micros, 0.5) / 1000, p90: percentile(micros, 0.9) / 1000, mbit: bulk.steady[0] * 8 / 1e6
  }
  bench.say(`a slow way, ${direction}, ${title(side.name)}: p50 ${number(sample.p50)} ms beside ${number(sample.mbit)} Mbit/s`)
  return sample
}

function tables (samples) {
  const cell = (match, field) => number(values(samples, match, field)[0])
  const rows = distinct(samples, 'side').map((side) => [side === DIRECT ? 'TCP, a connection each' : title(side), ...DIRECTIONS.flatMap((direction) =>
    ['p50', 'p90', 'mbit'].map((field) => cell({ side, direction }, field)))])
  const head = ['', ...DIRECTIONS.flatMap((direction) => [`beside one ${direction}: p50, ms`, 'p90, ms', 'meanwhile Mbit/s'])]
  return [{ title: `A round trip of one byte beside a bulk stream, on a way of ${LINK.ms} ms and ${LINK.mbit} Mbit/s`, head, rows }]
}

module.exports = { run, tables }
