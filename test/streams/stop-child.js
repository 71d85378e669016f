'use strict'

/**
 * One side of a transfer whose reader stops: `stop-child.js serve` or
 * `stop-child.js connect`, started by fork() with --expose-gc.
 *
 * The channel's name says what the server does with it: alknet-take reads so
 * many bytes and stops, alknet-send writes so many, alknet-echo sends back.
 * What the parent asks, { id, op, … }, is answered by { id, … }.
 */

const { once } = require('node:events')
const alknet = require('../..')

const CHUNK = Buffer.alloc(64 * 1024, 7)

/** The transfer that is measured: { stream, wrote, left, got }. */
let current = null

/** Writes `bytes`, minding back-pressure. left: what write() has taken off our hands. */
function send (stream, bytes) {
  const transfer = { stream, wrote: 0, left: 0, got: 0 }
  const more = () => {
    while (transfer.wrote < bytes && !stream.destroyed) {
      transfer.wrote += CHUNK.length
      const goesOn = stream.write(CHUNK, (err) => { if (!err) transfer.left += CHUNK.length })
      if (!goesOn) return
    }
    if (transfer.wrote >= bytes) stream.end()
  }
  stream.on('drain', more)
  stream.resume()
  more()
  return transfer
}

/** Reads at least `bytes`, and stops. */
function take (stream, bytes) {
  const transfer = { stream, wrote: 0, left: 0, got: 0 }
  transfer.limit = bytes
  transfer.stopped = new Promise((resolve) => {
    stream.on('data', (chunk) => {
      transfer.got += chunk.length
      if (transfer.got < transfer.limit) return
      stream.pause()
      resolve()
    })
    stream.once('end', resolve)
  })
  return transfer
}

const answers = {
  async serve ({ options }) {
    const server = await alknet.serve({
      ...options,
      onConnection (stream, { destination }) {
        const [name, mib] = destination.split(':')
        const bytes = Number(mib) * 1048576
        if (name === 'alknet-echo') stream.pipe(stream)
        else current = (name === 'alknet-send' ? send : take)(stream, name === 'alknet-send' ? 1024 ** 3 : bytes)
      }
    })
    return { port: server.address().port }
  },

  async connect ({ options }) {
    answers.session = await alknet.openSession(options)
    return {}
  },

  /** As much there and back on a channel of its own. */
  async traffic ({ mib }) {
    const stream = await answers.session.open({ host: 'alknet-echo', port: 1 })
    let got = 0
    stream.on('data', (chunk) => { got += chunk.length })
    send(stream, mib * 1048576)
    await once(stream, 'end')
    return { got }
  },

  /** Starts the transfer; this side takes so many MiB, or sends a GiB. */
  async start ({ how, mib }) {
    const stream = await answers.session.open({ host: how === 'take' ? 'alknet-send' : 'alknet-take', port: mib })
    current = how === 'take' ? take(stream, mib * 1048576) : send(stream, 1024 ** 3)
    return {}
  },

  async stopped () {
    await current.stopped
    return {}
  },

  /** Goes on until so many MiB more have come. */
  async more ({ mib }) {
    const from = current.got
    current.limit = from + mib * 1048576
    const { stream } = current
    stream.resume()
    while (current.got < current.limit) await once(stream, 'data')
    return { got: current.got - from }
  },

  async destroy () {
    current.stream.destroy()
    if (!current.stream.closed) await once(current.stream, 'close')
    current = null
    return {}
  },

  /** Memory, and what has moved so far. */
  async stats () {
    for (let i = 0; i < 3; i++) {
      global.gc()
      await new Promise((resolve) => setImmediate(resolve))
    }
    const { wrote = 0, left = 0, got = 0 } = current ?? {}
    return { rss: process.memoryUsage.rss(), wrote, left, got }
  }
}

process.on('message', async ({ id, op, ...rest }) => {
  try {
    process.send({ id, ...await answers[op](rest) })
  } catch (err) {
    process.send({ id, error: err.stack })
  }
})
process.on('disconnect', () => process.exit())
