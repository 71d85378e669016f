'use strict'

/** Long ways of 1 Gbit/s: one stream and eight, both directions; TCP itself sees the delay. */

const { watchable } = require('../bench')
const { linkProblem, startLink } = require('../long-path')
const { distinct, number, spread, values } = require('../stats')
const { title } = require('../sides')
const { Scope } = require('../../test/helpers/scope')

const MBIT = 1000
const DIRECT = 'direct'
const NAMES = ['native', 'libssh', 'openssh', 'native-sshd', 'ssh-native', 'pool']

// ms: there and back. Where buffers is false, TCP has those that Linux gives it.
const LINKS = [
  { ms: 100, buffers: true, names: NAMES, directions: ['up', 'down'], streams: [1, 8] },
  { ms: 167, buffers: true, names: ['native', 'libssh', 'openssh', 'pool'], directions: ['down'], streams: [1, 8] },
  { ms: 100, buffers: false, names: ['native', 'openssh', 'pool'], directions: ['down'], streams: [1] }
]

const linkName = ({ ms, buffers }) => `${ms} ms × 1 Gbit/s${buffers ? '' : ', TCP buffers of Linux'}`

async function run (bench) {
  const problem = linkProblem()
  if (problem !== null) {
    bench.say(`skipped: long ways: ${problem}`)
    return []
  }
  const samples = []
  for (const link of LINKS.slice(0, bench.plan.links)) {
    for (const name of [DIRECT, ...bench.sides(link.names)]) samples.push(...await withLink(bench, link, name))
  }
  return samples
}

/** Machines of its own for each side: what TCP has learned of a way stays there. onSide(load, side) is done on them. */
async function onLink (bench, link, name, onSide) {
  const scope = new Scope()
  const { programs, plan } = bench
  try {
    const { near, far } = await startLink(scope, programs, link)
    const load = await programs.load(scope, near, far)
    const side = name === DIRECT
      ? { name, ways: { forward: `direct:${far.address}:${await programs.serve(scope, far, far.address)}` } }
      : await bench.startSide(scope, name, { cipher: plan.ciphers[0], target: load.target, near, far })
    return await onSide(load, side)
  } finally {
    await scope.close()
  }
}

function withLink (bench, link, name) {
  return onLink(bench, { ...link, mbit: MBIT }, name, async (load, side) => {
    const samples = []
    for (const direction of link.directions) {
      for (const streams of link.streams) samples.push(...await turn(bench, load, { side, link, direction, streams }))
    }
    return samples
  })
}

// The processor is not what is short here, so the loops are watched meanwhile.
async function turn (bench, load, { side, link, direction, streams }) {
  const watches = watchable([side]).flatMap(({ watches }) => Object.entries(watches))
  for (const [, watch] of watches) await watch.turn()
  const found = await load.timed(side, 'forward', direction, streams, bench.plan.pathMs)
  const sum = (all) => all.reduce((a, b) => a + b, 0) * 8 / 1e6
  const name = linkName(link)
  const sample = { kind: 'path', side: side.name, link: name, direction, streams, whole: sum(found.whole), steady: sum(found.steady) }
  bench.say(`${name}, ${streams} ${direction}, ${title(side.name)}: ${number(sample.steady)} Mbit/s, with its beginning ${number(sample.whole)}`)
  const samples = [sample]
  for (const [end, watch] of watches) {
    const what = `${name}, ${streams} ${direction}`
    samples.push({ kind: 'loop', side: side.name, end, what, ...await watch.turn() })
  }
  return samples
}

function table (samples, link) {
  const here = samples.filter((sample) => sample.link === link)
  const columns = distinct(here, 'streams').flatMap((streams) => distinct(here, 'direction').map((direction) => ({ streams, direction })))
  const head = ['Mbit/s, once it runs; with its beginning', ...columns.map(({ streams, direction }) => `${streams === 1 ? 'one stream' : `${streams} streams`}, ${direction}`)]
  const rows = distinct(here, 'side').map((side) => [side === DIRECT ? 'TCP without a tunnel' : title(side), ...columns.map((match) =>
    `${spread(values(here, { side, ...match }, 'steady'))}; ${spread(values(here, { side, ...match }, 'whole'))}`)])
  return { title: `A way of ${link}`, head, rows }
}

function tables (samples) {
  const here = samples.filter(({ kind }) => kind === 'path')
  return distinct(here, 'link').map((link) => table(here, link))
}

module.exports = { DIRECT, MBIT, linkName, onLink, run, tables }
