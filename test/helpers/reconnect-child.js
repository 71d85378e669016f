'use strict'

/**
 * A session that is lost and comes back, for tests of what happens to the
 * process meanwhile.
 *
 *   node reconnect-child.js moment STATE ACTION   does ACTION (exit, throw, none) in
 *     a state of the second link: lost, waiting, connecting, ready, closing, closed.
 *     In a worker STATE and ACTION are its workerData, and it posts 'there'
 *   node reconnect-child.js wait MODE             waits for a server that is gone;
 *     MODE: ref, unref or again (both). Prints "up" when the process stays up
 *   node reconnect-child.js rounds COUNT          as many forced reconnects; prints
 *     { recovered, fdsBefore, fdsAfter, liveBefore, liveAfter, resources, samples, live },
 *     resources as a difference, samples of memory-slope.js
 */

const fs = require('node:fs')
const { once } = require('node:events')
const net = require('node:net')
const { isMainThread, parentPort, workerData } = require('node:worker_threads')
const alknet = require('../..')
const binding = require('../../lib/binding')
const { sample } = require('./memory-slope')

const [what, ...args] = isMainThread ? process.argv.slice(2) : ['moment', ...workerData]
const fds = () => fs.existsSync('/proc/self/fd') ? fs.readdirSync('/proc/self/fd').length : 0

async function start (reconnect, more = {}) {
  const host = await alknet.generateKey()
  const user = await alknet.generateKey()
  const server = await alknet.serve({ hostKey: host.privateKey, authorizedKeys: Buffer.from(user.publicKey), listen: '127.0.0.1:0' })
  const session = await alknet.openSession({
    server: `127.0.0.1:${server.address().port}`, identity: user.privateKey, hostKey: host.fingerprint, knownHosts: [], reconnect, ...more
  })
  return { server, session }
}

/** With listeners on both sides, and a connection that waits. */
async function moment (state, action) {
  const { server, session } = await start({ minDelayMs: 1, maxDelayMs: 1 }, {
    socks5: '127.0.0.1:0', forward: '0:127.0.0.1:1', remoteForward: binding.engines[0] === 'native' ? '0:127.0.0.1:1' : []
  })
  session.on('state', (to) => {
    if (to === 'lost') session.open({ host: '127.0.0.1', port: 1 }).catch(() => {})
    if (to !== state) return
    if (!isMainThread) parentPort.postMessage('there')
    if (action === 'exit') process.exit(3)
    if (action === 'throw') throw new Error('thrown on purpose')
  })
  server.sessions()[0].close()
  await once(session, 'state')
  while (session.state !== 'ready') await once(session, 'state')
  await session.close()
  await server.close()
}

async function wait (mode) {
  const { server, session } = await start({ minDelayMs: 3_600_000, maxDelayMs: 3_600_000 }, { forward: '0:127.0.0.1:1' })
  if (mode !== 'ref') session.unref()
  await server.close()
  while (session.state !== 'waiting') await once(session, 'state')
  if (mode === 'again') session.ref()
  // Fires only when something else keeps the loop up.
  setTimeout(() => {
    console.log('up')
    process.exit()
  }, 300).unref()
}

async function rounds (count) {
  const echo = net.createServer((socket) => socket.on('error', () => {}).pipe(socket)).listen(0, '127.0.0.1')
  await once(echo, 'listening')
  const target = { host: '127.0.0.1', port: echo.address().port }
  const { server, session } = await start(true, {
    forward: `0:127.0.0.1:${target.port}`, remoteForward: binding.engines[0] === 'native' ? `0:127.0.0.1:${target.port}` : []
  })
  let recovered = 0
  const ping = async (stream) => {
    stream.on('error', () => {}).write('x')
    await once(stream, 'data')
    recovered++
    return stream
  }
  const round = async (i) => {
    const ways = session.openListeners
    const open = i % (ways.length + 1) === 0
      ? await session.open(target)
      : net.connect(ways[i % (ways.length + 1) - 1].address().port, '127.0.0.1')
    const gone = new Promise((resolve) => open.once('close', resolve))
    await ping(open)
    // By either end, and in the middle of a try.
    if (i % 5 === 4) session.reconnect().catch(() => {})
    await session.reconnect()
    open.destroy()
    await gone
  }
  const settle = async () => { while (server.connections > 1) await new Promise(setImmediate) }
  for (let i = 0; i < 20; i++) await round(i)
  await settle()
  const before = { fds: fds(), live: binding.live(), resources: process.getActiveResourcesInfo().length }
  recovered = 0
  const samples = []
  for (let i = 0; i < count; i++) {
    if (i % 15 === 0) samples.push(sample(i))
    await round(i)
  }
  await settle()
  const report = {
    recovered,
    fdsBefore: before.fds,
    fdsAfter: fds(),
    liveBefore: before.live,
    liveAfter: binding.live(),
    resources: process.getActiveResourcesInfo().length - before.resources,
    samples
  }
  await session.close()
  await server.close()
  await new Promise((resolve) => echo.close(resolve))
  process.once('beforeExit', () => process.stdout.write(`${JSON.stringify({ ...report, live: binding.live() })}\n`))
}

const run = { moment, wait, rounds: (count) => rounds(Number(count)) }[what]
run(...args).catch((err) => {
  console.error(err)
  process.exitCode = 7
})
