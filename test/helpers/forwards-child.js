'use strict'

/**
 * A process that uses what the addon has for forwards.
 *
 *   exit FILE     opens one of each, prints `ready` and exits in the middle
 *   worker FILE   a worker that opens the same, and posts `ready`
 *   rounds FILE   opens and closes a great many; prints one JSON line
 *                 { live, fdsBefore, fdsAfter, grown }
 *
 * FILE: where a Unix socket may be.
 */

const fs = require('node:fs')
const { parentPort } = require('node:worker_threads')
const binding = require('../../lib/binding')
const { Ear, endPair, grant, sessionPair, streamPair } = require('./sessions')
const { greeting, request } = require('./socks')

const ROUNDS = 1000
const SESSIONS = 20
const [, , what, file] = process.argv
const fds = () => fs.existsSync('/proc/self/fd') ? fs.readdirSync('/proc/self/fd').length : 0

async function openAll () {
  const both = await sessionPair()
  both.client.handle.listen(false, '', 0)
  await both.server.next('onlisten')
  binding.listenUnix(file)
  const door = new Ear(binding.socksDoor(null, null, 60000), 'Door')
  const [silent, asking] = [await streamPair(), await streamPair()]
  door.handle.enter(silent.far)
  door.handle.enter(asking.far)
  asking.near.write(Buffer.concat([greeting(), request('a', 1)]))
  const [socks] = await door.next('onrequest')
  socks.join(both.client.handle.open(0, 'a', 1, 'b', 2), 60000) // which nobody accepts
}

/** A stream into a door, of which the door is closed; or of which it asks. */
async function doorRound (i) {
  const door = new Ear(binding.socksDoor('user', 'secret', 60000), 'Door')
  const listener = new Ear(binding.listenUnix(file), 'Listener')
  const client = new Ear(binding.connectUnix(file), 'Stream')
  const [stream] = await listener.next('onstream')
  door.handle.enter(stream)
  if (i % 2 === 0) client.handle.write(greeting([2]))
  listener.handle.close()
  door.handle.close()
  client.handle.close()
  await Promise.all([client.next('onclose'), door.next('onclose'), listener.next('onclose')])
}

async function questionRounds (rounds) {
  const both = await sessionPair()
  const { client, server } = both
  for (let i = 0; i < rounds; i++) {
    await grant(both, i % 2 === 0, '/run/x', i % 2)
    client.handle.unlisten(i % 2 === 0, '/run/x', i % 2)
    server.handle.answer((await server.next('onunlisten'))[0], true)
    await client.next('onreply')
  }
  for (let i = 0; i < 100; i++) client.handle.listen(false, '', 0) // never answered
  await server.next('onlisten')
  await endPair(both)
}

async function rounds (n) {
  for (let i = 0; i < n; i++) await doorRound(i)
  for (let i = 0; i < SESSIONS; i++) await questionRounds(n / SESSIONS)
}

async function main () {
  if (what !== 'rounds') {
    await openAll()
    if (what === 'worker') parentPort.postMessage('ready')
    else process.stdout.write('ready\n', () => process.exit(0))
    return
  }
  await rounds(ROUNDS / 4)
  global.gc()
  const fdsBefore = fds()
  const rss = process.memoryUsage().rss
  await rounds(ROUNDS)
  global.gc()
  const grown = process.memoryUsage().rss - rss
  const fdsAfter = fds()
  // Handles close in the turn after; the process ends when none is left.
  process.once('beforeExit', () => {
    process.stdout.write(`${JSON.stringify({ live: binding.live(), fdsBefore, fdsAfter, grown })}\n`)
  })
}

main()
