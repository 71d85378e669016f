'use strict'

/** The same transfer with all bytes in C, over a Duplex as transport at both ends, and over a channel as a Duplex at both ends. */

const path = require('path')
const { LoopWatch, watched } = require('../loop-watch')
const { HERE } = require('../programs')
const { number, ratio, spread, values } = require('../stats')
const { Scope } = require('../../test/helpers/scope')
const { key } = require('../../test/helpers/keys')

const WAYS = {
  c: 'all bytes in C', transport: 'a Duplex as transport at both ends', streams: 'a channel as a Duplex at both ends'
}
const DIRECTIONS = ['up', 'down']
const WARM_MIB = 16

async function startEnd (scope, ...args) {
  const watch = new LoopWatch(scope)
  const argv = [process.execPath, path.join(__dirname, '..', 'ends', 'duplex-end.js'), ...args.map(String)]
  const proc = HERE.start(scope, argv, { env: { ...process.env, ...watch.env } })
  const [line] = await proc.waitFor(/^\{.*\}\n/)
  watch.pid = proc.pid
  return { pid: proc.pid, watch, ports: JSON.parse(line) }
}

/** Two processes with all the ways between them. */
async function startEnds (scope, target) {
  const [host, user] = [key('ed25519', 'host').path, key('ed25519', 'user').path]
  const server = await startEnd(scope, 'server', host, user, target)
  const client = await startEnd(scope, 'client', host, user, target, JSON.stringify(server.ports))
  return {
    name: 'native',
    ways: Object.fromEntries(Object.entries(client.ports).map(([way, port]) => [way, `direct:${port}`])),
    ends: { client: [client.pid], server: [server.pid] },
    watches: { client: client.watch, server: server.watch }
  }
}

async function run (bench) {
  const scope = new Scope()
  const { plan, load } = bench
  try {
    const samples = []
    const side = await startEnds(scope, load.target)
    const ways = Object.keys(WAYS)
    for (const way of ways) await load.bulk(side, way, 'up', WARM_MIB << 20)
    for (const direction of DIRECTIONS) {
      for (let round = 0; round < plan.rounds; round++) {
        for (const way of round % 2 === 0 ? ways : [...ways].reverse()) {
          const figures = await bench.transfer(side, way, direction, plan.size)
          samples.push({ kind: 'transfer', side: way, direction, round, ...figures })
          bench.say(`duplex ${direction}, ${WAYS[way]}: ${number(figures.mibPerSecond)} MiB/s, ${number(figures.cpuPerGiB)} CPU s/GiB`)
        }
      }
      for (const way of ['transport', 'streams']) {
        samples.push(...await watched(side, `${WAYS[way]}, ${direction}`, () => load.bulk(side, way, direction, plan.size << 20)))
      }
    }
    return samples
  } finally {
    await scope.close()
  }
}

function tables (samples) {
  const rows = Object.entries(WAYS).map(([way, name]) => [name, ...DIRECTIONS.flatMap((direction) => {
    const match = { kind: 'transfer', direction }
    return [
      spread(values(samples, { ...match, side: way }, 'mibPerSecond')),
      way === 'c' ? '' : number(ratio(samples, match, 'mibPerSecond', [way, 'c'])),
      spread(values(samples, { ...match, side: way }, 'cpuPerGiB'))
    ]
  })])
  const head = ['', ...DIRECTIONS.flatMap((direction) => [`${direction}: MiB/s`, '÷ in C', 'CPU s/GiB'])]
  return [{ title: 'Streams of JavaScript, aes128-gcm', head, rows }]
}

module.exports = { run, tables }
