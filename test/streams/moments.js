'use strict'

/**
 * The moments at which something may happen to a stream, and a watcher that
 * notes all that the stream tells.
 */

const { once } = require('node:events')

const CHUNK = Buffer.alloc(64 * 1024, 7)
const EVENTS = new Set(['readable', 'data', 'end', 'finish', 'drain', 'error', 'close'])

/** Notes the events of a stream, in their order, and counts its callbacks. */
class Watcher {
  constructor (stream) {
    this.stream = stream
    this.events = []
    this.errors = []
    this.owed = 0 // callbacks
    this.calls = []
    this.closed = new Promise((resolve) => { stream.once('close', resolve) })
    const emit = stream.emit
    stream.emit = (name, ...args) => {
      if (EVENTS.has(name)) this.events.push(name)
      if (name === 'error') this.errors.push(args[0])
      return emit.call(stream, name, ...args)
    }
  }

  /** A callback for write() or end() that has to be called, once. */
  callback () {
    const index = this.owed++
    this.calls[index] = 0
    return () => { this.calls[index]++ }
  }

  write (chunk) {
    return this.stream.write(chunk, this.callback())
  }

  end (chunk) {
    if (chunk === undefined) this.stream.end(this.callback())
    else this.stream.end(chunk, this.callback())
  }

  count (event) {
    return this.events.filter((name) => name === event).length
  }

  afterClose () {
    const at = this.events.indexOf('close')
    return at < 0 ? [] : this.events.slice(at + 1)
  }
}

/** Writes until the stream has had enough, and then once more. */
function fill (watcher) {
  while (watcher.write(CHUNK));
  watcher.write(CHUNK)
}

/** Lets the other end read until nothing more comes for now. */
async function readSome (stream) {
  if (stream.readableLength === 0) await once(stream, 'readable')
  stream.read(1000)
}

/** One byte to the far end and back on a channel of its own: what was sent before has come. */
async function roundTrip ({ open }) {
  const { near, far } = await open()
  far.pipe(far)
  near.end('x')
  near.resume()
  await once(near, 'close')
}

/**
 * name: what is going on. Each takes { near, far, open }, the ends as Watchers,
 * and has come to its moment when it resolves.
 */
const MOMENTS = {
  fresh () {},

  'in the middle of a write' ({ near }) {
    fill(near)
  },

  async 'in the middle of a read' ({ near, far }) {
    fill(far)
    await readSome(near.stream)
  },

  async 'reading and writing' ({ near, far }) {
    fill(far)
    fill(near)
    await readSome(near.stream)
  },

  async 'while data flows' ({ near, far }) {
    const pump = (watcher) => {
      while (!watcher.stream.destroyed && watcher.write(CHUNK));
    }
    for (const one of [near, far]) {
      one.stream.on('data', () => {})
      one.stream.on('drain', () => pump(one))
      pump(one)
    }
    await once(near.stream, 'data')
  },

  'while it ends' ({ near }) {
    fill(near)
    near.end(CHUNK)
  },

  async 'after its end' ({ near }) {
    near.end('last')
    await once(near.stream, 'finish')
  },

  async 'after the peer\'s end' ({ near, far }) {
    far.end('last')
    near.stream.resume()
    await once(near.stream, 'end')
  },

  async 'after the peer\'s end, unread' ({ far, open }) {
    far.end('last')
    await once(far.stream, 'finish')
    await roundTrip({ open })
  },

  async 'after the peer was destroyed' ({ far, open }) {
    far.stream.destroy()
    await far.closed
    await roundTrip({ open })
  },

  async 'after both ends' ({ near, far }) {
    near.end()
    far.end()
    near.stream.resume()
    far.stream.resume()
    await near.closed
  },

  async 'destroyed' ({ near }) {
    fill(near)
    near.stream.destroy()
  },

  async 'after its close' ({ near }) {
    near.stream.destroy()
    await near.closed
  }
}

/** Moments after which the stream has had its end already, one way or another. */
const OVER = ['after the peer was destroyed', 'after both ends', 'destroyed', 'after its close']

module.exports = { CHUNK, MOMENTS, OVER, Watcher, fill, roundTrip }
