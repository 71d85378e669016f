'use strict'

/** New connections: connect, 1 KiB there and the same back, close; one by one and 64 at once. */

const { MAIN, watchable } = require('../bench')
const { watched } = require('../loop-watch')
const { metered } = require('../meter')
const { distinct, number, percentile, ratio, spread, values } = require('../stats')
const { title } = require('../sides')

const WAYS = { forward: 'a forward', socks: 'the SOCKS5 proxy' }
const AT_ONCE = [1, 64]
const WARM = 2000
const NAMES = ['native', 'libssh', 'openssh', 'native-sshd', 'ssh-native', 'libssh-sshd', 'ssh-libssh', 'ssh2', 'russh', 'relay']

async function run (bench) {
  const samples = []
  const { plan, load } = bench
  await bench.withSides(bench.sides(NAMES), { cipher: plan.ciphers[0] }, async (all) => {
    for (const way of plan.ways) {
      const these = all.filter((side) => side.ways[way] && (way === 'forward' || MAIN.includes(side.name)))
      for (const side of these) await load.open(side, way, Math.min(plan.opens, WARM), 64)
      for (const atOnce of AT_ONCE) {
        await bench.alternate(these, async (side, round) => samples.push(await turn(bench, side, { way, atOnce, round })))
      }
    }
    for (const side of watchable(all)) {
      for (const atOnce of AT_ONCE) {
        samples.push(...await watched(side, `connections, ${atOnce} at once`, () => load.open(side, 'forward', plan.opens, atOnce)))
      }
    }
  })
  return samples
}

async function turn (bench, side, { way, atOnce, round }) {
  const { opens } = bench.plan
  const { seconds, micros, cpu } = await metered(side.ends, () => bench.load.open(side, way, opens, atOnce))
  const sample = {
    kind: 'open',
    side: side.name,
    way,
    atOnce,
    round,
    perSecond: opens / seconds,
    cpuMicros: (cpu.client + cpu.server) / opens * 1e6,
    p50: percentile(micros, 0.5) / 1000,
    p99: percentile(micros, 0.99) / 1000
  }
  bench.say(`open ${way}, ${atOnce} at once, ${title(side.name)}: ${number(sample.perSecond)} a second, ${number(sample.cpuMicros)} CPU µs each`)
  return sample
}

function table (samples, way, atOnce) {
  const match = { kind: 'open', way, atOnce }
  const here = samples.filter((sample) => sample.way === way && sample.atOnce === atOnce)
  const rows = distinct(here, 'side').map((side) => {
    const to = (field) => side === 'openssh' ? '' : number(ratio(here, match, field, [side, 'openssh']))
    const of = (field) => spread(values(here, { side }, field))
    return [title(side), of('perSecond'), to('perSecond'), of('cpuMicros'), to('cpuMicros'), of('p50'), of('p99')]
  })
  return {
    title: `New connections, ${atOnce === 1 ? 'one by one' : `${atOnce} at once`}, through ${WAYS[way]}`,
    head: ['', 'a second', '÷ OpenSSH', 'CPU µs each, both ends', '÷ OpenSSH', 'p50, ms', 'p99, ms'],
    rows
  }
}

function tables (samples) {
  const here = samples.filter(({ kind }) => kind === 'open')
  return distinct(here, 'way').flatMap((way) => AT_ONCE.map((atOnce) => table(here, way, atOnce)))
}

module.exports = { run, tables }
