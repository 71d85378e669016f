'use strict'

/** TCP servers to tunnel to, and the streams of bytes that go through. */

const assert = require('node:assert')
const crypto = require('node:crypto')
const dns = require('node:dns')
const { once } = require('node:events')
const net = require('node:net')
const { TARGET_PORTS } = require('../../tools/destinations')
const { destination } = require('./destinations')

// A number in a log means one thing: no server of this process has another's.
const ports = new Set()

/** A port below those that the system gives, which may be taken. */
function lowPort () {
  const { first, last } = TARGET_PORTS
  for (;;) {
    const port = crypto.randomInt(first, last + 1)
    if (ports.has(port)) continue
    ports.add(port)
    return port
  }
}

/** Has a server listen: at a port, or at 0, which here is a lowPort(). */
async function listenAt (server, host, port) {
  for (;;) {
    server.listen(port || lowPort(), host)
    try {
      return await once(server, 'listening')
    } catch (err) {
      if (port || err.code !== 'EADDRINUSE') throw err
    }
  }
}

/**
 * A TCP server on a free port that ends, with all its connections, with the
 * scope.
 *
 * @param {Scope} scope
 * @param {(socket: net.Socket) => void} onConnection
 * @param {{ host?: string, port?: number, allowHalfOpen?: boolean, pauseOnConnect?: boolean }} [options]
 * @returns {Promise<net.Server & { host: string, port: number, sockets: Set<net.Socket> }>}
 */
async function listen (scope, onConnection, options = {}) {
  const { host = '127.0.0.1', port = 0, ...rest } = options
  const server = net.createServer({ allowHalfOpen: true, ...rest })
  server.sockets = new Set()
  server.accepted = 0
  server.on('connection', (socket) => {
    server.accepted++
    server.sockets.add(socket)
    socket.on('error', () => {}) // what matters shows in the assertions
    socket.once('close', () => server.sockets.delete(socket))
    onConnection(socket)
  })
  await listenAt(server, host, port)
  server.host = host
  server.port = server.address().port
  scope.defer(() => new Promise((resolve) => {
    for (const socket of server.sockets) socket.destroy()
    server.close(resolve)
  }))
  return server
}

/** One to which connections through a tunnel lead. */
async function target (scope, onConnection, options) {
  const server = await listen(scope, onConnection, options)
  destination(server.host, server.port)
  return server
}

/** Sends back what comes, and ends when the client has ended. */
function echoServer (scope, options) {
  return target(scope, (socket) => socket.pipe(socket), options)
}

/** Reads to the client's end, then answers with `<bytes> <sha256>` and ends. */
function sinkServer (scope, options) {
  return target(scope, async (socket) => {
    const { bytes, digest } = await drainStream(socket).catch(() => ({}))
    if (digest) socket.end(`${bytes} ${digest}`)
  }, options)
}

/**
 * Sends `bytes` bytes and ends. The server's `digest` is what a client must
 * have received, `offered` counts what has been written so far.
 */
async function sourceServer (scope, bytes, options) {
  const server = await target(scope, (socket) => {
    socket.resume()
    server.last = socket
    server.sent = sendPattern(socket, bytes).catch((err) => err)
  }, options)
  server.digest = patternDigest(bytes)
  return server
}

/** A port that nothing listens on just now. */
async function freePort (host = '127.0.0.1') {
  const server = net.createServer()
  server.listen(0, host)
  await once(server, 'listening')
  const { port } = server.address()
  server.close()
  await once(server, 'close')
  return port
}

/** A connected socket that is destroyed with the scope. */
async function dial (scope, port, host = '127.0.0.1', options = {}) {
  const socket = net.connect({ port, host, allowHalfOpen: true, ...options })
  socket.on('error', () => {}) // close follows; whoever cares asks for the error
  scope.defer(() => { socket.destroy() })
  await once(socket, 'connect')
  socket.setNoDelay(true)
  return socket
}

/** In an it(): skips, and says why, where `localhost` has no IPv6 address. */
async function needIPv6Localhost (context) {
  const all = await dns.promises.lookup('localhost', { all: true })
  if (all.some(({ family }) => family === 6)) return
  console.log('      skipped: localhost has no IPv6 address on this machine')
  context.skip()
}

const CHUNK = 1 << 16
const noise = crypto.randomBytes(CHUNK)

/** The chunk number i of the pattern: noise, with its number in front. */
function patternChunk (i, length) {
  const chunk = Buffer.from(noise.subarray(0, length))
  if (length >= 8) chunk.writeBigUInt64BE(BigInt(i))
  return chunk
}

/** Writes `bytes` bytes of the pattern, and ends. Minds back-pressure. */
function sendPattern (stream, bytes) {
  const hash = crypto.createHash('sha256')
  return new Promise((resolve, reject) => {
    let sent = 0
    let i = 0
    const more = () => {
      for (;;) {
        if (sent >= bytes) {
          stream.end()
          return resolve({ bytes: sent, digest: hash.digest('hex') })
        }
        const chunk = patternChunk(i++, Math.min(CHUNK, bytes - sent))
        hash.update(chunk)
        sent += chunk.length
        if (!stream.write(chunk)) return stream.once('drain', more)
      }
    }
    stream.once('error', reject)
    stream.once('close', () => reject(new Error(`closed after ${sent} bytes were written`)))
    more()
  })
}

const digests = new Map()

function patternDigest (bytes) {
  if (!digests.has(bytes)) {
    const hash = crypto.createHash('sha256')
    for (let sent = 0, i = 0; sent < bytes; i++) {
      const chunk = patternChunk(i, Math.min(CHUNK, bytes - sent))
      hash.update(chunk)
      sent += chunk.length
    }
    digests.set(bytes, hash.digest('hex'))
  }
  return digests.get(bytes)
}

/** Reads to the end: { bytes, digest }. */
function drainStream (stream) {
  const hash = crypto.createHash('sha256')
  let bytes = 0
  return new Promise((resolve, reject) => {
    stream.on('data', (chunk) => {
      bytes += chunk.length
      hash.update(chunk)
    })
    stream.once('end', () => resolve({ bytes, digest: hash.digest('hex') }))
    stream.once('error', reject)
    stream.once('close', () => reject(new Error(`closed without an end after ${bytes} bytes`)))
  })
}

/** Reads to the end, as a Buffer. */
function readAll (stream) {
  return new Promise((resolve, reject) => {
    const parts = []
    stream.on('data', (chunk) => parts.push(chunk))
    stream.once('end', () => resolve(Buffer.concat(parts)))
    stream.once('error', reject)
    stream.once('close', () => reject(new Error('closed without an end')))
  })
}

/** Reads exactly n bytes and leaves the rest in the stream. */
function readBytes (stream, n) {
  return new Promise((resolve, reject) => {
    const parts = []
    let got = 0
    const finish = (err) => {
      stream.off('readable', onreadable)
      stream.off('end', onend)
      stream.off('close', onend)
      stream.off('error', finish)
      if (err) reject(err)
      else resolve(Buffer.concat(parts))
    }
    const onend = () => finish(new Error(`ended after ${got} of ${n} bytes: ` +
      Buffer.concat(parts).toString('hex')))
    const onreadable = () => {
      while (got < n) {
        const chunk = stream.read(Math.min(n - got, stream.readableLength || n - got))
        if (chunk === null) return
        parts.push(chunk)
        got += chunk.length
      }
      finish(null)
    }
    stream.on('readable', onreadable)
    stream.on('end', onend)
    stream.on('close', onend)
    stream.on('error', finish)
    if (stream.readableEnded || stream.destroyed) onend()
    else onreadable()
  })
}

/** Reads on, ends when the peer ends, and resolves once the stream has closed. */
function closed (stream) {
  if (stream.closed || stream.destroyed) return Promise.resolve()
  if (stream.readableEnded) stream.end()
  else stream.once('end', () => stream.end())
  stream.resume()
  return new Promise((resolve) => stream.once('close', resolve))
}

/** Sends text and expects it back. */
async function expectEcho (stream, text = `ping ${crypto.randomUUID()}`) {
  stream.write(text)
  assert.strictEqual((await readBytes(stream, Buffer.byteLength(text))).toString(), text)
}

/** A way to `port`, { port, freeze() }: frozen, it carries nothing any more, and nobody is told. */
async function freezableWay (scope, port) {
  const inner = new Set()
  const way = await listen(scope, (socket) => {
    const far = net.connect(port, '127.0.0.1').on('error', () => {})
    inner.add(far)
    socket.pipe(far).pipe(socket)
  })
  scope.defer(() => { for (const far of inner) far.destroy() })
  way.freeze = () => { for (const one of [...inner, ...way.sockets]) one.unpipe().pause() }
  return way
}

module.exports = {
  listen,
  listenAt,
  freezableWay,
  echoServer,
  sinkServer,
  sourceServer,
  freePort,
  dial,
  needIPv6Localhost,
  sendPattern,
  patternDigest,
  drainStream,
  readAll,
  readBytes,
  closed,
  expectEcho
}
