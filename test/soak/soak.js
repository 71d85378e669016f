'use strict'

/**
 * node test/soak/soak.js: a soak of SOAK_MINUTES (2), or of SOAK_SECONDS.
 *
 * Two clients and two servers, each a process as users run them, carry mixed
 * traffic: the SOCKS proxy, -L, -R; a third session, in this process, carries
 * events. One pair's connections are cut at random, the other's server is
 * killed and started again. Every byte that arrives is compared with what was
 * sent. At the end nothing may be left, and no process that has lived all the
 * time may have grown by more than 5 % since it was warm.
 *
 * Prints one line of JSON; the exit code is 0 when all of that held.
 */

const fs = require('node:fs')
const { setTimeout: sleep } = require('node:timers/promises')
const binding = require('../../lib/binding')
const { startServe } = require('../helpers/alknet')
const { residentMemory } = require('../helpers/proc')
const { Scope } = require('../helpers/scope')
const { Phoenix, LIMITS, startClient, startCutter } = require('./ends')
const { Events } = require('./events')
const { WrongBytes, anySize, dial, dialSocks, echo, transfer } = require('./traffic')

const WORKERS = 6
const BACK_MS = 60000 // a tunnel that is not back by then does not come back
const GROWTH = 0.05
// What a heap may be off by chance, which matters more the shorter a run is;
// this process makes all the traffic, and is warm much later.
const NOISE_BYTES = 6 << 20
const OWN_NOISE_BYTES = 24 << 20
// What is shorter says nothing about memory.
const LEAST_SECONDS = 100
const SAMPLE_MS = 500

const seconds = Number(process.env.SOAK_SECONDS ?? Number(process.env.SOAK_MINUTES ?? 2) * 60)
const wander = (from, to) => sleep((from + Math.random() * (to - from)) * 1000)

function median (numbers) {
  const sorted = [...numbers].sort((a, b) => a - b)
  return sorted[sorted.length >> 1]
}

/** Resident memory over time, of processes that live as long as the soak. */
class Memory {
  constructor (procs) {
    this._procs = procs // name => Proc, or { pid }
    this._samples = Object.fromEntries(Object.keys(procs).map((name) => [name, []]))
    this._timer = setInterval(() => this._take(), SAMPLE_MS)
  }

  _take () {
    for (const [name, proc] of Object.entries(this._procs)) {
      if (fs.existsSync(`/proc/${proc.pid}/status`)) this._samples[name].push(residentMemory(proc.pid))
    }
  }

  /**
   * Name => { warmMiB, lastMiB, grown, isFlat, ownMiB }: medians, after a quarter
   * and at the end. ownMiB: both of what is the process's own.
   */
  end () {
    clearInterval(this._timer)
    const out = {}
    for (const [name, all] of Object.entries(this._samples)) {
      const span = Math.ceil(all.length / 8)
      const parts = [all.slice(2 * span, 3 * span), all.slice(-span)]
      const [warm, last] = parts.map((part) => median(part.map((one) => one.all)))
      const noise = this._procs[name].pid === process.pid ? OWN_NOISE_BYTES : NOISE_BYTES
      out[name] = {
        warmMiB: mib(warm),
        lastMiB: mib(last),
        grown: last / warm - 1,
        isFlat: last - warm <= Math.max(warm * GROWTH, noise),
        ownMiB: parts.map((part) => mib(median(part.map((one) => one.own))))
      }
    }
    return out
  }
}

const mib = (bytes) => Math.round(bytes / 1024 / 1024 * 10) / 10

/** One after another: a way, a size; whether it is left to end, or dropped. */
class Traffic {
  constructor (clients, port) {
    this.ways = clients.flatMap((client, i) => [
      [`socks ${i}`, () => dialSocks(client.socks, port)],
      [`-L ${i}`, () => dial(client.local)],
      [`-R ${i}`, () => dial(client.remote)]
    ])
    this.bytes = 0
    this.whole = 0
    this.cut = 0
    this.refused = 0
    this.last = Object.fromEntries(this.ways.map(([name]) => [name, Date.now()]))
    this.longest = 0 // until a way worked again
    this._isOver = false
  }

  async work () {
    while (!this._isOver) {
      const [name, open] = this.ways[Math.floor(Math.random() * this.ways.length)]
      const socket = await open()
      if (socket === null) {
        this.refused++
        await wander(0.05, 0.2)
      } else await this._use(name, socket)
      const away = Date.now() - this.last[name]
      if (away > BACK_MS) throw new Error(`${name} has not worked for ${away} ms`)
    }
  }

  async _use (name, socket) {
    if (Math.random() < 0.1) setTimeout(() => socket.destroy(), Math.random() * 50)
    const { bytes, isWhole } = await transfer(socket, anySize())
    this.bytes += bytes
    if (isWhole) this.whole++
    else this.cut++
    if (!isWhole) return wander(0.01, 0.1)
    this.longest = Math.max(this.longest, Date.now() - this.last[name])
    this.last[name] = Date.now()
    await wander(0.005, 0.05)
  }

  stop () {
    this._isOver = true
  }
}

async function keepKilling (until, from, to, kill) {
  let n = 0
  for (;;) {
    await Promise.race([wander(from, to), until])
    if (until.isOver) return n
    await kill()
    n++
  }
}

/** Native objects of this process that do not go. */
async function nativeObjects () {
  const deadline = Date.now() + 5000
  while (binding.live() > 0 && Date.now() < deadline) await sleep(10)
  return binding.live()
}

/** Descriptors of processes when nothing goes on, awaited: those of the start. */
async function settled (procs, before) {
  const deadline = Date.now() + 30000
  for (;;) {
    const now = Object.fromEntries(Object.entries(procs).map(([name, proc]) => [name, proc.fds()]))
    if (before === null || Object.keys(now).every((name) => now[name] <= before[name]) || Date.now() > deadline) return now
    await sleep(100)
  }
}

async function soak (scope) {
  const target = await echo()
  scope.defer(() => target.close())
  const { port } = target.address()
  const steady = await startServe(scope, { args: LIMITS })
  const cutter = await startCutter(scope, steady.port)
  const phoenix = new Phoenix(scope)
  await phoenix.start()
  const clients = [
    await startClient(scope, steady, cutter.port, port),
    await startClient(scope, phoenix.server, phoenix.server.port, port)
  ]
  const events = await Events.start(scope)
  const procs = { 'server, connections cut': steady.proc, 'client, connections cut': clients[0].proc, 'client, server killed': clients[1].proc }
  const traffic = new Traffic(clients, port)
  for (const [, open] of traffic.ways) await transfer(await open(), 1)
  const fds = await settled(procs, null)

  const memory = new Memory({ ...procs, 'events, both ends': { pid: process.pid } })
  const over = sleep(seconds * 1000).then(() => { over.isOver = true })
  const killing = [
    keepKilling(over, 3, 9, async () => cutter.cut()),
    keepKilling(over, 15, 40, () => phoenix.kill()),
    keepKilling(over, 5, 20, async () => events.cut())
  ]
  const working = [...Array(WORKERS)].map(() => traffic.work())
  const talking = events.talk()
  await Promise.race([over, Promise.all(working), talking]) // rejects at once when something is wrong
  const flat = memory.end()
  traffic.stop()
  events.stop()
  const [cuts, kills, eventCuts] = await Promise.all(killing)
  await Promise.all([...working, talking])
  const left = await settled(procs, fds)
  await events.close()
  return {
    seconds,
    cuts,
    kills,
    eventCuts,
    transferred: `${mib(traffic.bytes)} MiB`,
    whole: traffic.whole,
    cut: traffic.cut,
    refused: traffic.refused,
    longestGapMs: traffic.longest,
    events: events.figures,
    memory: flat,
    fdsBefore: fds,
    fdsAfter: left,
    live: await nativeObjects()
  }
}

function faultsOf ({ memory, fdsBefore, fdsAfter, whole, live, events }) {
  const faults = []
  for (const [name, { isFlat, grown }] of Object.entries(memory)) {
    if (!isFlat && seconds >= LEAST_SECONDS) faults.push(`${name}: has grown by ${(grown * 100).toFixed(1)} %`)
  }
  for (const [name, n] of Object.entries(fdsAfter)) {
    if (n > fdsBefore[name]) faults.push(`${name}: ${fdsBefore[name]} descriptors before, ${n} after`)
  }
  if (whole === 0) faults.push('no transfer was whole')
  if (events.received === 0) faults.push('no event arrived')
  if (live > 0) faults.push(`${live} native objects are left`)
  return faults
}

async function main () {
  const scope = new Scope()
  let faults = []
  try {
    const result = await soak(scope)
    faults = faultsOf(result)
    console.log(JSON.stringify(result))
  } catch (err) {
    faults = [err instanceof WrongBytes ? `WRONG BYTES: ${err.message}` : err.stack]
  }
  await scope.close()
  for (const fault of faults) console.error(fault)
  process.exit(faults.length === 0 ? 0 : 1)
}

main()
