'use strict'

/**
 * `node midcall-child.js CALL ROUNDS`: a worker gives streams to one call of the
 * addon, again and again, and is terminated while it is at it; so many rounds
 * that ended in the middle of such calls. Then prints 'done'.
 *
 * Another thread can tell a worker to end between any two steps of a call. So
 * the moment is a random one, and one in a few is between the two that matter.
 */

const { Worker, isMainThread, workerData } = require('node:worker_threads')
const binding = require('../../lib/binding')

/** How many calls are made one right after the other; those that take longer have a number of their own. */
const BATCH = 1024

/** What comes before all calls, and a call, by its name. */
const CALLS = {
  relay: { call: (stream, other) => binding.relay(stream, other, 1000) },
  proxySocks5: { call: (stream) => binding.proxySocks5(stream, 'localhost', 80, 1000, null, null) },
  proxyHttp: { call: (stream) => binding.proxyHttp(stream, 'localhost', 80, 1000, null) },
  enter: { before: () => binding.socksDoor(null, null, 1000), call: (stream, _, door) => door.enter(stream) },
  openGate: {
    before: () => binding.tlsServerContext(null, null, null, null, false),
    call: (stream, _, context) => binding.openGate(stream, context, 'nginx', null, 1000, 1000, false)
  },
  sshClient: { batch: 128, call: (stream) => binding.sshClient(stream, { user: 'me' }) }
}

/** In the worker. made[0] counts the calls, so that the other thread knows of them. */
async function callOn ({ name, made }) {
  const { before = () => {}, batch = BATCH, call } = CALLS[name]
  const context = await before()
  for (;;) {
    const ends = Array.from({ length: batch }, () => [binding.openDuplex(), binding.openDuplex()])
    const streams = ends.map((pair) => pair.map(({ stream }) => stream))
    for (const [stream, other] of streams) {
      call(stream, other, context)
      Atomics.add(made, 0, 1)
    }
    for (const end of ends.flat()) end.close(0, 'gone')
    while (binding.live() > batch) await new Promise((resolve) => setImmediate(resolve))
  }
}

/** Resolves to whether it was within a batch of calls. */
async function round (name) {
  const { batch = BATCH } = CALLS[name]
  const made = new Int32Array(new SharedArrayBuffer(4))
  const worker = new Worker(__filename, { workerData: { name, made } })
  const ended = new Promise((resolve, reject) => worker.once('exit', resolve).once('error', reject))
  await new Promise((resolve) => worker.once('online', resolve))
  const moment = 1 + Math.floor(Math.random() * batch / 2)
  while (Atomics.load(made, 0) < moment); // nothing that sleeps wakes in time
  worker.terminate()
  await ended
  return Atomics.load(made, 0) % batch > 0
}

async function main (name, rounds) {
  for (let i = 0; i < rounds;) if (await round(name)) i++
  console.log('done')
}

if (isMainThread) main(process.argv[2], Number(process.argv[3]))
else callOn(workerData)
