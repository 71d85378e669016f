'use strict'

/**
 * What every tunnel must do, whoever holds its two ends: the same tests for
 * each pair of client and server.
 */

const assert = require('node:assert')
const {
  closed, drainStream, echoServer, expectEcho, freePort, listen, patternDigest,
  readAll, readBytes, sendPattern, sinkServer, sourceServer
} = require('./net')
const { testScope } = require('./scope')

const MiB = 1 << 20

/** Sends `bytes` to a sink and checks its receipt. */
async function upload (stream, bytes) {
  const receipt = readAll(stream)
  const { digest } = await sendPattern(stream, bytes)
  assert.strictEqual((await receipt).toString(), `${bytes} ${digest}`)
}

/** Receives all from a source and checks it. */
async function download (stream, bytes) {
  const got = await drainStream(stream)
  assert.deepStrictEqual(got, { bytes, digest: patternDigest(bytes) })
  stream.end()
}

/**
 * Defines the tests.
 *
 * @param {() => { open: (scope: Scope, host: string, port: number) => Promise<Duplex> }} tunnel
 *   the pair under test; asked for inside each test
 * @param {{ bytes?: number, many?: number, targetEndsFirst?: boolean, opensFirst?: boolean }} [options]
 *   bytes: each way in the bulk tests; many: connections at once;
 *   targetEndsFirst: false when the far end cannot half-close; opensFirst: true
 *   when a connection stands before its target is asked, and a refusal ends it
 */
function behaves (tunnel, options = {}) {
  const { bytes = 256 * MiB, many = 100, targetEndsFirst = true, opensFirst = false } = options
  const scope = testScope()
  const open = (port, host = '127.0.0.1') => tunnel().open(scope, host, port)

  it('carries text there and back', async () => {
    const echo = await echoServer(scope)
    const stream = await open(echo.port)
    await expectEcho(stream)
    await expectEcho(stream)
  })

  it(`carries ${bytes / MiB} MiB to the target unchanged`, async function () {
    this.timeout(240000)
    const sink = await sinkServer(scope)
    await upload(await open(sink.port), bytes)
  })

  it(`carries ${bytes / MiB} MiB from the target unchanged`, async function () {
    this.timeout(240000)
    const source = await sourceServer(scope, bytes)
    await download(await open(source.port), bytes)
  })

  it('carries both ways at once', async function () {
    this.timeout(120000)
    const size = 32 * MiB
    const echo = await echoServer(scope)
    const stream = await open(echo.port)
    const got = drainStream(stream)
    const { digest } = await sendPattern(stream, size)
    assert.deepStrictEqual(await got, { bytes: size, digest })
  })

  it('lets the client end first and still receive', async () => {
    const server = await listen(scope, async (socket) => {
      const text = await readAll(socket)
      socket.write(`you said ${text}; `)
      setImmediate(() => socket.end('and I end now'))
    })
    const stream = await open(server.port)
    stream.end('all of this')
    assert.strictEqual((await readAll(stream)).toString(),
      'you said all of this; and I end now')
  })

  it('lets the target end first and still receive', async function () {
    if (!targetEndsFirst) {
      console.log('      skipped: this far end closes a channel once it has ended it')
      this.skip()
    }
    let received
    const server = await listen(scope, (socket) => {
      received = readAll(socket)
      socket.end('bye')
    })
    const stream = await open(server.port)
    assert.strictEqual((await readAll(stream)).toString(), 'bye')
    stream.write('still ')
    stream.end('here')
    assert.strictEqual((await received).toString(), 'still here')
  })

  it('closes the target when the client goes away', async () => {
    let gone
    const server = await listen(scope, (socket) => {
      gone = new Promise((resolve) => socket.once('close', resolve))
      socket.resume()
      socket.write('hello')
      socket.once('end', () => socket.end())
    })
    const stream = await open(server.port)
    await readBytes(stream, 5)
    stream.destroy()
    await gone
  })

  it('ends a connection that the target resets, and no other', async () => {
    const echo = await echoServer(scope)
    const server = await listen(scope, (socket) => {
      socket.once('data', () => socket.resetAndDestroy())
    })
    const other = await open(echo.port)
    await expectEcho(other)
    const stream = await open(server.port)
    stream.write('now')
    await closed(stream)
    await expectEcho(other)
  })

  it('lets go of a target in mid-transfer when the client resets', async function () {
    const echo = await echoServer(scope)
    const source = await sourceServer(scope, 64 * MiB)
    const other = await open(echo.port)
    const stream = await open(source.port)
    await readBytes(stream, 100000)
    const gone = closed(source.last)
    if (stream.resetAndDestroy) stream.resetAndDestroy()
    else stream.destroy()
    await gone
    await expectEcho(other)
  })

  it(`carries ${many} connections at once`, async function () {
    this.timeout(120000)
    const echo = await echoServer(scope)
    const streams = await Promise.all(Array.from({ length: many }, () => open(echo.port)))
    await Promise.all(streams.map((stream, i) => expectEcho(stream, `connection ${i}`)))
    assert.strictEqual(echo.sockets.size, many)
    const ends = streams.map((stream) => readAll(stream))
    for (const stream of streams) stream.end('last')
    for (const end of await Promise.all(ends)) assert.strictEqual(end.toString(), 'last')
  })

  it('reports a target that refuses, and goes on', async () => {
    const echo = await echoServer(scope)
    // The refusal may be quicker than the news that the connection stands.
    if (opensFirst) await open(await freePort()).then(closed, (err) => assert.strictEqual(err.code, 'ECONNRESET'))
    else await assert.rejects(open(await freePort()))
    await expectEcho(await open(echo.port))
  })
}

module.exports = { behaves, upload, download, MiB }
