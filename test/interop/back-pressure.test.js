'use strict'

/** A reader that stops holds up its own connection, and nothing else. */

const assert = require('node:assert')
const { needAlknet, startConnect, startServe } = require('../helpers/alknet')
const { MiB } = require('../helpers/behaviours')
const { drainStream, echoServer, listen, patternDigest, sendPattern, sourceServer } = require('../helpers/net')
const { needSshd, startSshd } = require('../helpers/openssh')
const { testScope } = require('../helpers/scope')
const { socksOpen } = require('../helpers/socks')

const OFFERED = 200 * MiB
const GROWTH = 32 * MiB

/** What the kernel and both windows may hold between the two ends. */
const IN_FLIGHT = 48 * MiB

/** Moves a good deal on another connection: time enough for the stalled one. */
async function otherTraffic (open, scope) {
  const echo = await echoServer(scope)
  const stream = await open(echo.port)
  const got = drainStream(stream)
  const { digest } = await sendPattern(stream, 64 * MiB)
  assert.strictEqual((await got).digest, digest)
}

describe('back-pressure', function () {
  this.timeout(120000)
  const scope = testScope()
  before(function () {
    needAlknet(this)
    if (process.platform !== 'linux') {
      console.log('      skipped: memory is read from /proc')
      this.skip()
    }
  })

  for (const [name, startServer] of [
    ['alknet serve', startServe],
    ['sshd', startSshd]
  ]) {
    async function setUp (context) {
      if (startServer === startSshd) needSshd(context)
      const server = await startServer(scope)
      const client = await startConnect(scope, server)
      const open = (port) => socksOpen(scope, client.socks, '127.0.0.1', port)
      await otherTraffic(open, scope) // memory that any traffic takes
      const ours = startServer === startServe ? [client.proc, server.proc] : [client.proc]
      const before = ours.map((proc) => proc.rss())
      const checkMemory = () => ours.forEach((proc, i) => {
        const grown = proc.rss() - before[i]
        assert.ok(grown < GROWTH, `${proc.name}: grew by ${(grown / MiB).toFixed(1)} MiB`)
      })
      return { open, checkMemory }
    }

    it(`a client that stops reading from ${name}`, async function () {
      const { open, checkMemory } = await setUp(this)
      const source = await sourceServer(scope, OFFERED)
      const stalled = await open(source.port)
      stalled.pause()
      await otherTraffic(open, scope)
      checkMemory()
      const left = source.last.bytesWritten - source.last.writableLength
      assert.ok(left < IN_FLIGHT, `${left / MiB} MiB were taken in advance`)
      const got = await drainStream(stalled)
      assert.deepStrictEqual(got, { bytes: OFFERED, digest: patternDigest(OFFERED) })
      checkMemory()
    })

    it(`a target that stops reading behind ${name}`, async function () {
      const { open, checkMemory } = await setUp(this)
      let target
      const server = await listen(scope, (socket) => { target = socket }, { pauseOnConnect: true })
      const stalled = await open(server.port)
      const sent = sendPattern(stalled, OFFERED)
      await otherTraffic(open, scope)
      checkMemory()
      const left = stalled.bytesWritten - stalled.writableLength
      assert.ok(left < IN_FLIGHT, `${left / MiB} MiB were taken in advance`)
      const got = drainStream(target)
      target.resume()
      assert.strictEqual((await sent).digest, (await got).digest)
      checkMemory()
    })
  }

  it('twenty readers that stop at once', async () => {
    const server = await startServe(scope)
    const client = await startConnect(scope, server)
    const open = (port) => socksOpen(scope, client.socks, '127.0.0.1', port)
    await otherTraffic(open, scope)
    const before = [client.proc, server.proc].map((proc) => proc.rss())
    const source = await sourceServer(scope, OFFERED)
    const stalled = await Promise.all(Array.from({ length: 20 }, () => open(source.port)))
    for (const stream of stalled) stream.pause()
    await otherTraffic(open, scope)
    for (const [i, proc] of [client.proc, server.proc].entries()) {
      const grown = proc.rss() - before[i]
      assert.ok(grown < 64 * MiB, `${proc.name}: grew by ${(grown / MiB).toFixed(1)} MiB`)
    }
  })
})
