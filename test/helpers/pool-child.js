'use strict'

/**
 * A client with several SSH sessions, for tests of what happens to the process.
 *
 *   node pool-child.js wait MODE OPTIONS   with all of them there, at a server elsewhere
 *     that OPTIONS (JSON) lead to: ref, unref or again (both). Prints "up" when the
 *     process stays up
 *   node pool-child.js moment ACTION  does ACTION (exit, throw) while a further one
 *     is under way; none: closes all and ends by itself
 *   node pool-child.js rounds COUNT   further ones that come and go in every way;
 *     prints { moved, fdsBefore, fdsAfter, liveBefore, liveAfter, resources, heap, outside, live },
 *     resources, heap and outside as differences
 */

const fs = require('node:fs')
const { once } = require('node:events')
const alknet = require('../..')
const binding = require('../../lib/binding')

const [what, ...args] = process.argv.slice(2)
const turn = () => new Promise(setImmediate)
const fds = () => fs.existsSync('/proc/self/fd') ? fs.readdirSync('/proc/self/fd').length : 0

async function until (isSo) {
  while (!isSo()) await turn()
}

/** What is used of JavaScript's heap, and what is resident outside of it: V8 keeps heap that it has had. */
function memory () {
  global.gc()
  const { rss, heapTotal, heapUsed } = process.memoryUsage()
  return { heap: heapUsed, outside: rss - heapTotal }
}

async function start () {
  const [host, user] = await Promise.all([alknet.generateKey(), alknet.generateKey()])
  const server = await alknet.serve({
    hostKey: host.privateKey,
    authorizedKeys: Buffer.from(user.publicKey),
    listen: '127.0.0.1:0',
    penalties: false,
    onConnection: (stream) => stream.pipe(stream)
  })
  const login = () => alknet.openSession({
    server: `127.0.0.1:${server.address().port}`, identity: user.privateKey, hostKey: host.fingerprint, knownHosts: [], sessions: 3, sessionChannels: 1
  })
  return { server, login }
}

const open = (session) => session.open({ host: 'alknet-echo', port: 1 })

async function ask (stream) {
  stream.on('error', () => {}).write('x')
  await once(stream, 'data')
}

/** A channel on each of three. */
async function fill (session) {
  const streams = [await open(session)]
  for (let count = 2; count <= 3; count++) {
    const early = await open(session)
    await until(() => session.stats().sessions === count)
    early.destroy()
    await once(early, 'close')
    streams.push(await open(session))
  }
  return streams
}

/** options: of openSession(); the server is another process's. */
async function wait (mode, options) {
  const session = await alknet.openSession({ ...JSON.parse(options), sessions: 3, sessionChannels: 1 })
  const streams = await fill(session)
  if (mode !== 'ref') session.unref()
  if (mode === 'again') session.ref()
  for (const stream of streams) stream.destroy()
  // Fires only when something else keeps the loop up.
  setTimeout(() => {
    console.log('up')
    process.exit()
  }, 300).unref()
}

async function moment (action) {
  const { server, login } = await start()
  const session = await login()
  await open(session)
  await open(session)
  if (action === 'exit') process.exit(3)
  if (action === 'throw') process.nextTick(() => { throw new Error('thrown on purpose') })
  await session.close()
  await server.close()
}

async function rounds (count) {
  const { server, login } = await start()
  let session = await login()
  let moved = 0
  const round = async (i) => {
    const streams = await fill(session)
    for (const stream of streams) {
      await ask(stream)
      moved++
    }
    const pool = session._pool
    switch (i % 5) {
      case 0: // idle
        for (const stream of streams) stream.destroy()
        await until(() => [session._link, ...pool._ready].every((link) => link.channels() === 0))
        for (const time of [1, 2]) pool._measure(pool._at + time * 60_000)
        break
      case 1: // a further one is lost, and the first
        server.sessions().at(-1).close()
        await until(() => session.stats().sessions === 2)
        server.sessions()[0].close()
        await until(() => session.stats().sessions === 1)
        break
      case 2: // all are given up, with another under way
        streams.push(await open(session))
        await session.reconnect()
        break
      case 3: // under way when all is closed
        streams.push(await open(session))
        await session.close()
        session = await login()
        break
      default:
        await session.close()
        session = await login()
    }
    for (const stream of streams) stream.destroy()
    await until(() => session.stats().sessions === 1 && session.stats().channels === 0 && server.connections === 1)
  }
  for (let i = 0; i < 20; i++) await round(i)
  const before = { fds: fds(), live: binding.live(), memory: memory(), resources: process.getActiveResourcesInfo().length }
  moved = 0
  for (let i = 0; i < count; i++) await round(i)
  const now = memory()
  const report = {
    moved,
    fdsBefore: before.fds,
    fdsAfter: fds(),
    liveBefore: before.live,
    liveAfter: binding.live(),
    resources: process.getActiveResourcesInfo().length - before.resources,
    heap: now.heap - before.memory.heap,
    outside: now.outside - before.memory.outside
  }
  await session.close()
  await server.close()
  process.once('beforeExit', () => process.stdout.write(`${JSON.stringify({ ...report, live: binding.live() })}\n`))
}

const run = { wait, moment, rounds: (count) => rounds(Number(count)) }[what]
run(...args).catch((err) => {
  console.error(err)
  process.exitCode = 7
})
