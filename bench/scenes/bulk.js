'use strict'

/** One connection, so many MiB up, then down: three ciphers, through a forward and through the SOCKS5 proxy. */

const { MAIN, watchable } = require('../bench')
const { watched } = require('../loop-watch')
const { distinct, middle, number, ratio, spread, values } = require('../stats')
const { title } = require('../sides')

const DIRECTIONS = ['up', 'down']
const WAYS = { forward: 'a forward', socks: 'the SOCKS5 proxy' }
const WARM_MIB = 16

// With the first cipher; with the others, those that a bar is about.
const ALL = ['native', 'libssh', 'openssh', 'native-sshd', 'ssh-native', 'libssh-sshd', 'ssh-libssh', 'tls', 'ssh2', 'russh', 'relay']
const FEW = [...MAIN, 'ssh2']

const short = (cipher) => cipher.replace('@openssh.com', '').replace('-poly1305', '')

async function run (bench) {
  const samples = []
  const { plan } = bench
  for (const cipher of plan.ciphers) {
    const names = bench.sides(cipher === plan.ciphers[0] ? ALL : FEW)
    await bench.withSides(names, { cipher }, async (all) => {
      for (const way of plan.ways) {
        const these = all.filter((side) => side.ways[way] && (way === 'forward' || MAIN.includes(side.name)))
        samples.push(...await transfers(bench, these, { cipher: short(cipher), way }))
      }
      for (const side of watchable(all)) samples.push(...await loops(bench, side, short(cipher)))
    })
  }
  return samples
}

async function transfers (bench, all, { cipher, way }) {
  const samples = []
  const { size } = bench.plan
  for (const side of all) await bench.load.bulk(side, way, 'up', WARM_MIB << 20)
  for (const direction of DIRECTIONS) {
    await bench.alternate(all, async (side, round) => {
      const figures = await bench.transfer(side, way, direction, size)
      samples.push({ kind: 'transfer', side: side.name, cipher, way, direction, round, ...figures })
      bench.say(`bulk ${cipher} ${way} ${direction}, ${title(side.name)}: ${number(figures.mibPerSecond)} MiB/s, ${number(figures.cpuPerGiB)} CPU s/GiB`)
    })
  }
  return samples
}

/** In transfers of their own: watching the loop costs CPU. */
async function loops (bench, side, cipher) {
  const samples = []
  for (const direction of DIRECTIONS) {
    samples.push(...await watched(side, `bulk ${cipher}, ${direction}`,
      () => bench.load.bulk(side, 'forward', direction, bench.plan.size << 20)))
  }
  return samples
}

function table (samples, cipher, way) {
  const match = { kind: 'transfer', cipher, way }
  const here = samples.filter((sample) => sample.cipher === cipher && sample.way === way)
  const head = ['', ...DIRECTIONS.flatMap((direction) => [`${direction}: MiB/s`, '÷ OpenSSH', 'CPU s/GiB', '÷ OpenSSH'])]
  const rows = distinct(here, 'side').map((side) => [title(side), ...DIRECTIONS.flatMap((direction) => ['mibPerSecond', 'cpuPerGiB'].flatMap((field) => [
    spread(values(here, { ...match, direction, side }, field)),
    side === 'openssh' ? '' : number(ratio(here, { ...match, direction }, field, [side, 'openssh']))
  ]))])
  return { title: `Bulk: ${cipher}, through ${WAYS[way]}`, head, rows }
}

function memory (samples) {
  const here = samples.filter(({ kind }) => kind === 'transfer')
  const rows = distinct(here, 'side').map((side) => [title(side),
    spread(values(here, { side }, 'rssClient')), spread(values(here, { side }, 'rssServer')),
    number(middle(here, { side, cipher: 'aes128-gcm' }, 'cpuClient')), number(middle(here, { side, cipher: 'aes128-gcm' }, 'cpuServer'))])
  return { title: 'Bulk: the two ends', head: ['', 'client: highest RSS, MB', 'server: highest RSS, MB', 'client: CPU s/GiB, aes128-gcm', 'server: CPU s/GiB, aes128-gcm'], rows }
}

function tables (samples) {
  const here = samples.filter(({ kind }) => kind === 'transfer')
  const out = []
  for (const way of distinct(here, 'way')) {
    for (const cipher of distinct(here.filter((sample) => sample.way === way), 'cipher')) out.push(table(here, cipher, way))
  }
  return [...out, memory(samples)]
}

module.exports = { run, tables }
