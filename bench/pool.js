'use strict'

/**
 * node bench/pool.js [idle|long|fair|all] [--sessions 1,4,16] [--channels 1000,4000]
 *                    [--rounds 3] [--engine native,libssh]
 *
 * What several SSH sessions behind one client bring, and what one does to
 * those who share it. Prints a table for each.
 *
 *   idle  alknet connect to stock sshd with so many idle channels: seconds until
 *         they are open, round trip of 1 KiB beside none and beside all, new
 *         connections a second beside all, CPU of both ends
 *   long  the same to sshd and to alknet serve over a way of 100 ms (netem), one
 *         stream and eight: MiB/s. Linux, root
 *   fair  one session of alknet's at both ends, each engine: the round trip of one
 *         byte beside a bulk stream, and how evenly 100 streams share (Jain's
 *         index: 1 when each has the same)
 *
 * Rounds take turns with what is compared; each figure is the median.
 */

const net = require('net')
const path = require('path')
const { once } = require('events')
const { parseArgs } = require('util')
const { bin, cleanEnv, startConnect, startServe } = require('../test/helpers/alknet')
const { key, knownHostsLine } = require('../test/helpers/keys')
const { startNet } = require('../test/helpers/netns')
const { startSshd } = require('../test/helpers/openssh')
const { run, start } = require('../test/helpers/proc')
const { Scope } = require('../test/helpers/scope')
const { metered } = require('./meter')
const { median } = require('./report')

const MiB = 1 << 20
const TRIPS = 500
const OPENS = 300
const STREAMS = 100
const LONG_MS = 100

function options () {
  const text = { type: 'string' }
  const { values, positionals } = parseArgs({ allowPositionals: true, options: { sessions: text, channels: text, rounds: text, engine: text } })
  const numbers = (list, byDefault) => (list ?? byDefault).split(',').map(Number)
  return {
    scene: positionals[0] ?? 'all',
    sessions: numbers(values.sessions, '1,4,16'),
    channels: numbers(values.channels, '1000,4000'),
    rounds: Number(values.rounds ?? 3),
    engines: (values.engine ?? 'native,libssh').split(',')
  }
}

/** bench/load.c, compiled; gives its path. */
async function makeLoad (scope) {
  const program = path.join(scope.dir(), 'load')
  const cc = await run(scope, process.env.CC ?? 'cc', ['-O2', '-std=c11', '-D_GNU_SOURCE', '-o', program, path.join(__dirname, 'load.c')])
  if (cc.code !== 0) throw new Error(`load.c does not compile: ${cc.output.trim()}`)
  return program
}

/** Where load serves, on this machine or on another. */
async function startTarget (scope, program, machine) {
  const proc = machine === undefined ? start(scope, program, ['serve']) : machine.start(scope, [program, 'serve'])
  return Number((await proc.waitFor(/^(\d+)\n/))[1])
}

function percentile (values, part) {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))]
}

/** Prints rows of medians: each sample has a name and numbers. */
function print (title, samples) {
  const rows = new Map()
  for (const { name, ...numbers } of samples) {
    const row = rows.get(name) ?? new Map()
    rows.set(name, row)
    for (const [what, value] of Object.entries(numbers)) row.set(what, [...row.get(what) ?? [], value])
  }
  const columns = [...[...rows.values()][0].keys()]
  const text = (values) => Number(median(values).toPrecision(3)).toString()
  console.log(`\n${title}\n\n| | ${columns.join(' | ')} |\n|---|${columns.map(() => '---|').join('')}`)
  for (const [name, row] of rows) console.log(`| ${name} | ${columns.map((column) => text(row.get(column))).join(' | ')} |`)
}

/** Gives each of all its turn, the other way round in every second round. */
async function alternate (all, rounds, turn) {
  for (let round = 0; round < rounds; round++) {
    for (const one of round % 2 === 0 ? all : [...all].reverse()) await turn(one)
  }
}

const progress = (text) => process.stderr.write(`${text}\n`)

// ---- idle channels of sshd

async function idleTurn (program, count, sessions, samples) {
  const scope = new Scope()
  try {
    const target = await startTarget(scope, program)
    const server = await startSshd(scope, { config: ['LogLevel INFO'] })
    const client = await startConnect(scope, server, {
      forwards: [`127.0.0.1:0:127.0.0.1:${target}`], args: ['--sessions', String(sessions), '--max-channels', '8192', '--open-timeout', '10m']
    })
    const way = `direct:${client.local[0].port}`
    const idle = start(scope, program, ['idle', way, String(target), String(count), String(TRIPS)], { keepStdin: true })
    const line = async (n) => JSON.parse((await idle.waitFor(new RegExp(`(?:[^]*?\\n){${n}}`)))[0].trim().split('\n')[n - 1])
    const ends = { client: [client.proc.pid], server: [server.proc.pid] }
    const none = await line(1)
    const opened = await metered(ends, () => {
      idle.child.stdin.write('\n')
      return line(2)
    })
    const fresh = await run(scope, program, ['open', way, String(target), String(OPENS), '1'])
    if (fresh.code !== 0) throw new Error(`open: ${fresh.output.trim()}`)
    idle.child.stdin.write('\n')
    const all = await line(3)
    const sample = {
      name: `${count} channels, ${sessions} session${sessions === 1 ? '' : 's'}`,
      'opened in s': opened.seconds,
      'CPU s of both': opened.cpu.client + opened.cpu.server,
      'RSS of sshd, MB': opened.rss.server,
      'trip beside none, p50 ms': percentile(none.micros, 0.5) / 1000,
      'beside all, p50 ms': percentile(all.micros, 0.5) / 1000,
      'p99 ms': percentile(all.micros, 0.99) / 1000,
      'new a second': OPENS / JSON.parse(fresh.stdout).seconds
    }
    samples.push(sample)
    progress(JSON.stringify(sample))
  } finally {
    await scope.close()
  }
}

async function idleScene ({ sessions, channels, rounds }) {
  const scope = new Scope()
  const samples = []
  try {
    const program = await makeLoad(scope)
    for (const count of channels) await alternate(sessions, rounds, (n) => idleTurn(program, count, n, samples))
  } finally {
    await scope.close()
  }
  print('Idle channels of a stock sshd', samples)
}

// ---- a long way

/** A server of that name on the far machine: { address, known, user, pid }. */
async function startFar (scope, far, name) {
  const host = key('ed25519', 'host')
  const authorized = scope.file('authorized_keys', `${key('ed25519', 'user').public}\n`)
  const port = 2222
  if (name === 'sshd') {
    const config = scope.file('sshd_config', [`ListenAddress ${far.address}`, `Port ${port}`, `HostKey ${host.path}`, `AuthorizedKeysFile ${authorized}`,
      'PidFile none', 'StrictModes no', 'UsePAM no', 'PermitRootLogin prohibit-password', 'AllowTcpForwarding yes', 'MaxStartups 1000', 'UseDNS no', ''].join('\n'))
    await far.start(scope, ['/usr/sbin/sshd', '-D', '-e', '-f', config]).waitFor(/Server listening/)
  } else {
    await far.start(scope, [process.execPath, bin, 'serve', '--key', host.path, '--listen', `${far.address}:${port}`, '--authorized-keys', authorized,
      '--allow', '127.0.0.1:*', '--ssh-engine', name], { env: cleanEnv(scope) }).waitFor(/listening on/)
  }
  return { server: `${far.address}:${port}`, known: knownHostsLine(far.address, port, host) }
}

async function longTurn (program, name, sessions, samples) {
  const scope = new Scope()
  try {
    const machines = await startNet(scope)
    const target = await startTarget(scope, program, machines.far)
    const { server, known } = await startFar(scope, machines.far, name)
    if (!await machines.delay(LONG_MS)) throw new Error('this kernel has no netem')
    // Each eighth stream is to find room of its own: one channel fills a session.
    const client = machines.near.start(scope, [process.execPath, bin, 'connect', '--server', server, '--user', require('os').userInfo().username,
      '--identity', key('ed25519', 'user').path, '--known-hosts', scope.file('known_hosts', known), '--socks5', '127.0.0.1:0',
      '--forward', `127.0.0.1:0:127.0.0.1:${target}`, '--sessions', String(sessions), '--session-channels', '1', '--control', path.join(scope.dir(), 'c'),
      '--ssh-engine', name === 'libssh' ? name : 'native'], { env: cleanEnv(scope) })
    const [, port] = await client.waitFor(/forward on 127\.0\.0\.1:(\d+)/)
    const pull = async (direction, streams, mib) => {
      const all = await Promise.all(Array.from({ length: streams }, () =>
        machines.near.start(scope, [program, direction, `direct:${port}`, String(target), String(Math.round(mib * MiB))]).exited))
      for (const { code, output } of all) if (code !== 0) throw new Error(output.trim())
      return streams * mib / Math.max(...all.map(({ stdout }) => JSON.parse(stdout).seconds))
    }
    for (let i = 0; i < 2 + 8; i++) await pull('down', 8, 0.01) // all sessions are there by then
    const sample = { name: `${name}, ${sessions} session${sessions === 1 ? '' : 's'}` }
    sample['1 stream down, MiB/s'] = await pull('down', 1, 64)
    sample['8 streams down'] = await pull('down', 8, 24)
    sample['1 stream up'] = await pull('up', 1, 64)
    sample['8 streams up'] = await pull('up', 8, 24)
    samples.push(sample)
    progress(JSON.stringify(sample))
  } finally {
    await scope.close()
  }
}

async function longScene ({ sessions, rounds }) {
  const scope = new Scope()
  const samples = []
  try {
    const program = await makeLoad(scope)
    for (const name of ['sshd', 'native', 'libssh']) await alternate(sessions, rounds, (n) => longTurn(program, name, n, samples))
  } finally {
    await scope.close()
  }
  print(`A way of ${LONG_MS} ms`, samples)
}

// ---- those who share one session

/** What load serve is asked: 'd' and a length that never ends, or 'p'. */
function header (mode) {
  const bytes = Buffer.alloc(9)
  bytes.write(mode)
  bytes.writeBigUInt64LE(2n ** 50n, 1)
  return bytes
}

async function connect (scope, port, mode) {
  const socket = net.connect(port, '127.0.0.1').on('error', () => {})
  scope.defer(() => { socket.destroy() })
  await once(socket, 'connect')
  socket.setNoDelay(true).write(header(mode))
  return socket
}

async function trips (socket, count) {
  const found = []
  const question = Buffer.alloc(1024) // load's echo answers in such pieces; the SSH packet is one all the same
  for (let i = 0; i < count; i++) {
    const began = performance.now()
    socket.write(question)
    for (let got = 0; got < question.length;) got += (await once(socket, 'data'))[0].length
    found.push(performance.now() - began)
  }
  return found
}

function jain (values) {
  const sum = values.reduce((a, b) => a + b, 0)
  const squares = values.reduce((a, b) => a + b * b, 0)
  return sum * sum / (values.length * squares)
}

async function fairTurn (program, engine, samples) {
  const scope = new Scope()
  try {
    const target = await startTarget(scope, program)
    const server = await startServe(scope, { engine })
    const { local: [{ port }] } = await startConnect(scope, server, { engine, forwards: [`127.0.0.1:0:127.0.0.1:${target}`] })
    const sample = { name: engine }
    const one = await connect(scope, port, 'p')
    await trips(one, 100)
    const alone = await trips(one, 1000)
    sample['trip alone, p50 ms'] = percentile(alone, 0.5)
    sample['p99 ms'] = percentile(alone, 0.99)
    // The bulk stream's reader is a process of its own: it is not what is measured.
    const bulk = start(scope, program, ['down', `direct:${port}`, String(target), String(2 ** 40)])
    await trips(one, 100)
    const beside = await trips(one, 1000)
    sample['beside bulk, p50'] = percentile(beside, 0.5)
    sample['beside bulk, p99'] = percentile(beside, 0.99)
    bulk.kill('SIGKILL')
    await bulk.exited
    const got = new Array(STREAMS).fill(0)
    await Promise.all(got.map(async (_, i) => {
      const socket = await connect(scope, port, 'd')
      socket.on('data', (chunk) => { got[i] += chunk.length })
    }))
    while (got.some((bytes) => bytes < 256 * 1024)) await new Promise(setImmediate)
    const before = [...got]
    const sum = (values) => values.reduce((a, b) => a + b, 0)
    while (sum(got) - sum(before) < 512 * MiB) await new Promise(setImmediate)
    sample["Jain's index of 100"] = jain(got.map((bytes, i) => bytes - before[i]))
    samples.push(sample)
    progress(JSON.stringify(sample))
  } finally {
    await scope.close()
  }
}

async function fairScene ({ rounds, engines }) {
  const scope = new Scope()
  const samples = []
  try {
    const program = await makeLoad(scope)
    await alternate(engines, rounds, (engine) => fairTurn(program, engine, samples))
  } finally {
    await scope.close()
  }
  print('One session, shared', samples)
}

const SCENES = { idle: idleScene, long: longScene, fair: fairScene }

async function main () {
  const plan = options()
  for (const [name, scene] of Object.entries(SCENES)) {
    if (plan.scene === name || plan.scene === 'all') await scene(plan)
  }
}

main().catch((err) => {
  console.error(err)
  process.exitCode = 1
})
