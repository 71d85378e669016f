'use strict'

/**
 * node bench/noise.js [--docs] [--only half-open,held,keys,noise]: what a
 * server is like for people while others knock at it from a hundred addresses
 * of loopback (Linux). With --docs the table goes into docs/reliability.md.
 *
 *   half-open  10,000 connections, 1,000 a second, that say who they are, and then nothing
 *   held       the same, and the server takes them all: without such limits
 *   keys       1,000 logins with keys that the server does not know
 *   noise      200 connections a second: scanners, browsers, garbage, silence
 *
 * Meanwhile somebody logs in four times a second, from another address, and
 * tries again after 100 ms when turned away. Taken are the time until logged
 * in, how many needed one try, and how late the server's event loop was.
 */

const fs = require('fs')
const net = require('net')
const path = require('path')
const { randomBytes } = require('crypto')
const { once } = require('events')
const { setTimeout: sleep } = require('timers/promises')
const { parseArgs } = require('util')
const { Worker, isMainThread, parentPort, workerData } = require('worker_threads')
const alknet = require('..')
const { startServe } = require('../test/helpers/alknet')
const { key } = require('../test/helpers/keys')
const { Scope } = require('../test/helpers/scope')
const { writeTable } = require('./reliability')

const SOURCES = 100
const HALF_OPEN = 10000
const HALF_OPEN_RATE = 1000 // a second
const KEYS = 1000
const RATE = 200
const NOISE_SECONDS = 15
const LOGIN_EVERY_MS = 250
const TRY_AGAIN_MS = 100
// How long the server is watched when all is under way.
const WATCH_MS = 5000

const SAY = {
  scanner: (socket) => socket.destroy(),
  browser: (socket) => socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n'),
  garbage: (socket) => socket.write(randomBytes(1024)),
  'ssh and garbage': (socket) => socket.write(Buffer.concat([Buffer.from('SSH-2.0-x\r\n'), randomBytes(1024)])),
  silence: () => {}
}

const source = (i) => `127.0.1.${1 + i % SOURCES}`

/** Waits until the connection after number i may come. */
async function pace (i, rate, started) {
  const ahead = (i + 1) / rate * 1000 - (performance.now() - started)
  if (ahead > 5) await sleep(ahead)
}

/** A connection from one of the sources. */
function knock (server, i) {
  const socket = net.connect({ port: server.port, host: '127.0.0.1', localAddress: source(i) })
  return socket.on('error', () => {})
}

async function login ({ port, hostKey }, identity, localAddress) {
  const stream = net.connect({ port, host: '127.0.0.1', localAddress })
  await once(stream, 'connect')
  return alknet.openSession({ stream, identity, hostKey, knownHosts: [] })
}

/** In a thread of its own: logs in again and again, and tells how long each took. */
async function visit ({ server, identity }) {
  for (;;) {
    const started = performance.now()
    for (let tries = 1; ; tries++) {
      const session = await login(server, Buffer.from(identity), '127.0.0.1').catch(() => null)
      if (session === null) {
        await sleep(TRY_AGAIN_MS)
        continue
      }
      parentPort.postMessage({ ms: performance.now() - started, tries })
      await session.close()
      break
    }
    await sleep(LOGIN_EVERY_MS)
  }
}

/** Somebody who has the right key. */
class Visitor {
  constructor (server) {
    this.visits = []
    this._worker = new Worker(__filename, { workerData: { server, identity: key('ed25519', 'user').private.toString() } })
    this._worker.on('message', (visit) => this.visits.push(visit))
  }

  /** What came before was to warm up. */
  forget () {
    this.visits = []
  }

  async stop () {
    const { visits } = this
    await this._worker.terminate()
    return visits
  }
}

const scenes = {
  'half-open': { what: `${HALF_OPEN} half-open logins`, args: [], act: halfOpen },
  held: { what: `${HALF_OPEN} half-open logins, all held`, args: ['--max-unauthenticated', '0', '--max-unauthenticated-per-ip', '0', '--login-grace', '300'], act: halfOpen },
  keys: { what: `${KEYS} logins with wrong keys`, args: [], act: wrongKeys },
  noise: { what: `${RATE} connections a second of noise`, args: [], act: noise }
}

async function halfOpen (server, scope) {
  const sockets = new Set()
  scope.defer(() => { for (const socket of sockets) socket.destroy() })
  const started = performance.now()
  let taken = 0
  for (let i = 0; i < HALF_OPEN; i++) {
    const socket = knock(server, i)
    sockets.add(socket)
    socket.once('connect', () => socket.write('SSH-2.0-half-open\r\n'))
    socket.once('data', () => taken++)
    socket.once('close', () => sockets.delete(socket))
    await pace(i, HALF_OPEN_RATE, started)
  }
  await sleep(WATCH_MS)
  return `${taken} of them taken, ${sockets.size} held at the end`
}

async function wrongKeys (server) {
  const wrong = [...Array(5)].map(() => alknet.generateKey())
  const keys = (await Promise.all(wrong)).map((one) => one.privateKey)
  const ends = {}
  const from = async (i) => {
    for (let n = 0; n < KEYS / SOURCES; n++) {
      const end = await login(server, keys[n % keys.length], source(i)).then(() => 'LOGGED IN', (err) => err.code)
      ends[end] = (ends[end] ?? 0) + 1
    }
  }
  await Promise.all([...Array(SOURCES).keys()].map(from))
  return Object.entries(ends).map(([code, n]) => `${n} ${code === 'ERR_ALKNET_AUTH' ? 'refused' : 'turned away'}`).join(', ')
}

async function noise (server, scope) {
  const sockets = new Set()
  scope.defer(() => { for (const socket of sockets) socket.destroy() })
  const kinds = Object.values(SAY)
  const started = performance.now()
  const n = NOISE_SECONDS * RATE
  for (let i = 0; i < n; i++) {
    const socket = knock(server, i)
    sockets.add(socket)
    socket.resume().once('connect', () => kinds[i % kinds.length](socket)).once('close', () => sockets.delete(socket))
    await pace(i, RATE, started)
  }
  return `${n} connections`
}

/** The server's event loop, by bench/ends/loop-delay.js in its process. */
class Loop {
  constructor (scope) {
    this.file = path.join(scope.dir(), 'delay')
    fs.writeFileSync(this.file, '')
    this.env = { NODE_OPTIONS: `--require ${path.join(__dirname, 'ends', 'loop-delay.js')}`, BENCH_LOOP_DELAY: this.file }
  }

  async _lines (n) {
    for (;;) {
      const lines = fs.readFileSync(this.file, 'utf8').split('\n').filter((line) => line !== '')
      if (lines.length >= n) return lines
      await sleep(20)
    }
  }

  async start (proc) {
    proc.child.kill('SIGUSR2')
    await this._lines(1)
  }

  async end (proc) {
    proc.child.kill('SIGUSR2')
    return JSON.parse((await this._lines(2))[1])
  }
}

async function run (name) {
  const { what, args, act } = scenes[name]
  const scope = new Scope()
  try {
    const loop = new Loop(scope)
    const { proc, port, hostKeys } = await startServe(scope, { args: [...args, '--log-level', 'error'], env: loop.env })
    const server = { port, hostKey: hostKeys[0].fingerprint }
    const visitor = new Visitor(server)
    while (visitor.visits.length < 3) await sleep(20) // warm
    visitor.forget()
    await loop.start(proc)
    const note = await act(server, scope)
    const delay = await loop.end(proc)
    const rss = proc.rss()
    const visits = await visitor.stop()
    const sorted = visits.map((one) => one.ms).sort((a, b) => a - b)
    return {
      what,
      logins: sorted.length,
      once: visits.filter((one) => one.tries === 1).length,
      p50: sorted[sorted.length >> 1],
      max: sorted.at(-1),
      delay,
      rss,
      note
    }
  } finally {
    await scope.close()
  }
}

const ms = (n) => n === undefined ? 'none' : n.toFixed(0)

function table (results) {
  return [
    '| noise, from 100 addresses | logins meanwhile | at the first try | until logged in, ms: median, longest | event loop late, ms: p99, longest | server, MiB | |',
    '|---|---|---|---|---|---|---|',
    ...results.map(({ what, logins, once: first, p50, max, delay, rss, note }) =>
      `| ${what} | ${logins} | ${first} | ${ms(p50)}, ${ms(max)} | ${ms(delay.p99)}, ${ms(delay.max)} | ${ms(rss / 2 ** 20)} | ${note} |`)
  ].join('\n')
}

async function main () {
  const { values } = parseArgs({ options: { docs: { type: 'boolean' }, only: { type: 'string' } } })
  const results = []
  for (const name of values.only?.split(',') ?? Object.keys(scenes)) {
    results.push(await run(name))
    console.error(table(results.slice(-1)).split('\n').pop())
  }
  console.log(table(results))
  if (values.docs) writeTable('noise', table(results))
}

if (isMainThread) main()
else visit(workerData)
