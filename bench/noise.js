'use strict'

/**
 * node bench/noise.js [--docs] [--only half-open,held,keys,...]: what a server
 * is like for people while others knock at it from a hundred addresses of
 * loopback (Linux). With --docs the table goes into docs/reliability.md.
 *
 *   half-open   10,000 connections, 1,000 a second, that say who they are, and then nothing
 *   held        the same, and the server takes them all: without such limits
 *   keys        1,000 logins with keys that the server does not know
 *   unpunished  the same, and no source is refused for it
 *   noise       200 connections a second: scanners, browsers, garbage, silence
 *
 * tls-half-open, tls-keys and tls-noise are the same with a listener for TLS;
 * half-open is there who says the first word of a handshake, which costs the
 * server its answer, and then nothing.
 *
 * Meanwhile somebody logs in four times a second, from another address, and
 * tries again after 100 ms when turned away. Taken are the time until logged
 * in, how many needed one try, and how late the server's event loop was.
 */

const fs = require('fs')
const net = require('net')
const path = require('path')
const tls = require('tls')
const { randomBytes } = require('crypto')
const { once } = require('events')
const { setTimeout: sleep } = require('timers/promises')
const { parseArgs } = require('util')
const { Worker, isMainThread, parentPort, workerData } = require('worker_threads')
const alknet = require('..')
const { startServe } = require('../test/helpers/alknet')
const { key } = require('../test/helpers/keys')
const { Scope } = require('../test/helpers/scope')
const { selfSigned } = require('../test/helpers/tls-certs')
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

/** What comes to a listener for TLS as well. */
const SAY_TLS = {
  ...SAY,
  'a first word': (socket, { hello }) => socket.write(hello),
  'tls and garbage' (socket) {
    const secure = tls.connect({ socket, rejectUnauthorized: false }, () => secure.write(randomBytes(1024)))
    secure.on('error', () => {})
  }
}

/** The first word of a handshake of TLS. */
async function clientHello () {
  const server = net.createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const client = tls.connect({ port: server.address().port, host: '127.0.0.1' }).on('error', () => {})
  const [socket] = await once(server, 'connection')
  const [hello] = await once(socket, 'data')
  client.destroy()
  socket.destroy()
  server.close()
  return hello
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

async function login ({ port, hostKey, isTls }, identity, localAddress) {
  const to = { port, host: '127.0.0.1', localAddress, rejectUnauthorized: false } // the host key says who it is
  const stream = isTls ? tls.connect(to) : net.connect(to)
  await once(stream, isTls ? 'secureConnect' : 'connect')
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
  'half-open': { what: `${HALF_OPEN} half-open logins`, act: halfOpen },
  held: { what: `${HALF_OPEN} half-open logins, all held`, args: ['--max-unauthenticated', '0', '--max-unauthenticated-per-ip', '0', '--login-grace', '300'], act: halfOpen },
  keys: { what: `${KEYS} logins with wrong keys`, act: wrongKeys },
  unpunished: { what: `${KEYS} logins with wrong keys, without penalties`, penalties: false, act: wrongKeys },
  noise: { what: `${RATE} connections a second of noise`, act: noise },
  'tls-half-open': { what: `TLS: ${HALF_OPEN} half-open handshakes`, isTls: true, act: halfOpen },
  'tls-keys': { what: `TLS: ${KEYS} logins with wrong keys`, isTls: true, act: wrongKeys },
  'tls-noise': { what: `TLS: ${RATE} connections a second of noise`, isTls: true, act: noise }
}

async function halfOpen (server, scope) {
  const sockets = new Set()
  scope.defer(() => { for (const socket of sockets) socket.destroy() })
  const started = performance.now()
  let taken = 0
  for (let i = 0; i < HALF_OPEN; i++) {
    const socket = knock(server, i)
    sockets.add(socket)
    socket.once('connect', () => socket.write(server.isTls ? server.hello : 'SSH-2.0-half-open\r\n'))
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
      const end = await login(server, keys[n % keys.length], source(i)).then(() => 'LOGGED IN', (err) => err.code === 'ERR_ALKNET_AUTH' ? 'refused' : 'turned away')
      ends[end] = (ends[end] ?? 0) + 1
    }
  }
  await Promise.all([...Array(SOURCES).keys()].map(from))
  return Object.entries(ends).map(([end, n]) => `${n} ${end}`).join(', ')
}

async function noise (server, scope) {
  const sockets = new Set()
  scope.defer(() => { for (const socket of sockets) socket.destroy() })
  const kinds = Object.values(server.isTls ? SAY_TLS : SAY)
  const started = performance.now()
  const n = NOISE_SECONDS * RATE
  for (let i = 0; i < n; i++) {
    const socket = knock(server, i)
    sockets.add(socket)
    socket.resume().once('connect', () => kinds[i % kinds.length](socket, server)).once('close', () => sockets.delete(socket))
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
  const { what, args = [], isTls = false, penalties = true, act } = scenes[name]
  const scope = new Scope()
  try {
    const loop = new Loop(scope)
    const { cert, key } = selfSigned(scope)
    const { proc, port, hostKeys } = await startServe(scope, {
      penalties,
      listen: [`${isTls ? 'tls' : 'tcp'}://127.0.0.1:0`],
      args: [...isTls ? ['--tls-cert', cert, '--tls-key', key] : [], ...args, '--log-level', 'error'],
      env: loop.env
    })
    const server = { port, hostKey: hostKeys[0].fingerprint, isTls, hello: isTls ? await clientHello() : null }
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
