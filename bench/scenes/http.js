'use strict'

/** HTTP through a forward, by wrk: 1 KiB pages, on connections that are kept and on new ones. */

const { watchable } = require('../bench')
const { watched } = require('../loop-watch')
const { metered } = require('../meter')
const { distinct, number, ratio, spread, values } = require('../stats')
const { title } = require('../sides')
const { has, run: runProgram } = require('../../test/helpers/proc')
const { Scope } = require('../../test/helpers/scope')

const NAMES = ['native', 'libssh', 'openssh', 'native-sshd', 'ssh-native', 'ssh2', 'russh', 'relay']
const CONNECTIONS = 64
const KINDS = { kept: [], new: ['-H', 'Connection: close'] }
const UNITS = { us: 0.001, ms: 1, s: 1000 }

async function wrk (side, kind, seconds) {
  const scope = new Scope()
  try {
    const port = side.ways.forward.split(':')[1]
    const { code, stdout, output } = await runProgram(scope, 'wrk',
      ['-t', '1', '-c', String(CONNECTIONS), '-d', `${seconds}s`, '--timeout', '60s', '--latency', ...KINDS[kind], `http://127.0.0.1:${port}/`])
    const late = (percent) => {
      const [, value, unit] = new RegExp(`${percent}%\\s+([\\d.]+)(us|ms|s)`).exec(stdout)
      return Number(value) * UNITS[unit]
    }
    const problem = /Non-2xx|Socket errors: (?!connect 0, read \d+, write 0, timeout 0)/.exec(stdout)
    if (code !== 0 || problem !== null) throw new Error(`${side.name}: ${output.trim()}`)
    return { requests: Number(/([\d]+) requests in/.exec(stdout)[1]), perSecond: Number(/Requests\/sec:\s+([\d.]+)/.exec(stdout)[1]), p50: late(50), p99: late(99) }
  } finally {
    await scope.close()
  }
}

async function run (bench) {
  if (!has('wrk')) {
    bench.say('skipped: HTTP: wrk is not installed')
    return []
  }
  const samples = []
  const { plan } = bench
  await bench.withSides(bench.sides(NAMES), { cipher: plan.ciphers[0] }, async (all) => {
    for (const kind of Object.keys(KINDS)) {
      for (const side of all) await wrk(side, kind, 1) // warm
      await bench.alternate(all, async (side, round) => {
        const { requests, cpu, ...found } = await metered(side.ends, () => wrk(side, kind, plan.httpSeconds))
        delete found.rss
        const sample = { kind, side: side.name, round, ...found, cpuMicros: (cpu.client + cpu.server) / requests * 1e6 }
        samples.push(sample)
        bench.say(`http, ${kind} connections, ${title(side.name)}: ${number(sample.perSecond)} a second, p99 ${number(sample.p99)} ms`)
      })
      for (const side of watchable(all)) {
        samples.push(...await watched(side, `HTTP, ${kind} connections`, () => wrk(side, kind, plan.httpSeconds)))
      }
    }
  })
  return samples
}

function table (samples, kind) {
  const rows = distinct(samples, 'side').map((side) => {
    const of = (field) => spread(values(samples, { kind, side }, field))
    const to = (field) => side === 'openssh' ? '' : number(ratio(samples, { kind }, field, [side, 'openssh']))
    return [title(side), of('perSecond'), to('perSecond'), of('cpuMicros'), to('cpuMicros'), of('p50'), of('p99')]
  })
  const head = ['', 'requests a second', '÷ OpenSSH', 'CPU µs each, both ends', '÷ OpenSSH', 'p50, ms', 'p99, ms']
  return { title: `HTTP, ${CONNECTIONS} at once, ${kind === 'kept' ? 'connections that are kept' : 'a new connection for each'}`, head, rows }
}

function tables (samples) {
  const here = samples.filter(({ kind }) => kind !== 'loop')
  return Object.keys(KINDS).map((kind) => table(here, kind))
}

module.exports = { run, tables }
