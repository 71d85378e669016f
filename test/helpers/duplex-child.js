'use strict'

/**
 * A session over a pair of Duplexes in this process, in mid-transfer both ways,
 * and one thing done at one stage: `node duplex-child.js STAGE ACTION`, or as a
 * worker with { stage, action } as workerData.
 *
 * ACTION  exit    process.exit(7)
 *         throw   an exception in the callback of that stage
 *         wait    nothing: whoever started it ends it
 *         close   closes all, and nothing else: the process has to end by itself
 */

const { once } = require('node:events')
const { duplexPair } = require('node:stream')
const { isMainThread, parentPort, workerData } = require('node:worker_threads')
const alknet = require('../..')
const binding = require('../../lib/binding')

const [stage, action] = isMainThread ? process.argv.slice(2) : [workerData.stage, workerData.action]

const alive = setInterval(() => {}, 1000)
let isDone = false

function say (text) {
  if (isMainThread) process.stdout.write(`${text}\n`)
  else parentPort.postMessage(text)
}

let closeAll = null

function at (name) {
  if (name !== stage || isDone) return
  isDone = true
  clearInterval(alive)
  say(`at ${name}`)
  if (action === 'exit') process.exit(7)
  if (action === 'throw') throw new Error('thrown on purpose')
  if (action === 'close') closeAll()
}

/** The stages inside of a stream of the user's: what is called by alknet, or calls it. */
function watch (stream) {
  let written = 0
  for (const [method, name] of [['write', 'stream write'], ['end', 'stream end'], ['destroy', 'stream destroy'], ['resume', 'stream resume']]) {
    const original = stream[method]
    stream[method] = function (...args) {
      if (method === 'write' && (written += args[0].length) < 3e6) return original.apply(stream, args)
      at(name)
      return original.apply(stream, args)
    }
  }
  stream.on('data', () => at('stream data'))
  stream.on('end', () => at('stream end event'))
  stream.on('finish', () => at('stream finish'))
  stream.on('close', () => at('stream close'))
}

async function main () {
  const [host, user] = [await alknet.generateKey(), await alknet.generateKey()]
  const server = await alknet.serve({
    hostKey: host.privateKey,
    authorizedKeys: Buffer.from(user.publicKey),
    listen: [],
    onConnection: (stream) => {
      at('server connection')
      stream.pipe(stream)
    }
  })
  const [near, far] = duplexPair()
  watch(near)
  server.accept(far)
  at('accepted')
  const opening = alknet.openSession({ stream: near, identity: user.privateKey, hostKey: host.fingerprint })
  closeAll = () => Promise.all([server.close(), opening.then((session) => session.close(), () => {})])
  at('opening')
  const session = await opening
  at('ready')
  const channel = await session.open({ host: 'alknet-echo', port: 1 })
  at('channel')
  const chunk = Buffer.alloc(65536)
  const more = () => { while (!channel.destroyed && channel.write(chunk)); }
  channel.on('drain', more)
  channel.on('error', () => {})
  more()
  let got = 0
  await new Promise((resolve) => {
    channel.on('close', resolve)
    channel.on('data', ({ length }) => {
      got += length
      if (got > 5e6) at('transfer')
      if (got > 8e6) resolve()
    })
  })
  if (stage === 'stream destroyed') {
    near.destroy()
    at('stream destroyed')
  }
  await session.close()
  at('closed')
  await server.close()
  if (!near.closed) await once(near, 'close')
  clearInterval(alive)
}

process.once('beforeExit', () => {
  if (binding.live() > 0) throw new Error(`${binding.live()} objects are left`)
  if (!isDone) throw new Error(`the stage ${stage} was never reached`)
  say('ended')
})

main().catch((err) => {
  if (isDone && err.message !== 'thrown on purpose' && ['wait', 'close'].includes(action)) return // cut short by the end
  throw err
})
