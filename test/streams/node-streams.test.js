'use strict'

/** A channel is a stream as Node's own tools expect one. */

const assert = require('node:assert')
const crypto = require('node:crypto')
const { once } = require('node:events')
const { Duplex, PassThrough, Readable, Transform, Writable, finished, pipeline } = require('node:stream')
const promises = require('node:stream/promises')
const { text, buffer } = require('node:stream/consumers')
const { createGunzip, createGzip } = require('node:zlib')
const alknet = require('../..')
const { needAlknet } = require('../helpers/alknet')
const { readAll } = require('../helpers/net')
const { suiteScope } = require('../helpers/scope')
const { roundTrip } = require('./moments')
const { startPair } = require('./pairs')

const SIZE = 4 * 1024 * 1024
const bytes = crypto.randomBytes(SIZE)

function * slices (length = 50000) {
  for (let at = 0; at < SIZE; at += length) yield bytes.subarray(at, at + length)
}

const gone = (stream) => new Promise((resolve) => stream.once('close', resolve))

for (const engine of alknet.versions.engines) {
  describe(`streams and Node's tools, ${engine}`, function () {
    this.timeout(30000)
    const suite = suiteScope()
    let pair = null

    before(async function () {
      needAlknet(this)
      pair = await startPair(suite, engine)
    })

    it('is a Duplex, and says what it is', async () => {
      const { near, far } = await pair.open()
      for (const one of [near, far]) {
        assert(one instanceof Duplex && one instanceof alknet.Stream)
        assert.deepStrictEqual(
          [one.readable, one.writable, one.allowHalfOpen, one.readableObjectMode, one.writableObjectMode, one.destroyed],
          [true, true, true, false, false, false])
      }
      near.destroy()
      await gone(near)
      assert.deepStrictEqual([near.readable, near.writable, near.destroyed, near.closed], [false, false, true, true])
      far.destroy()
    })

    it('is half open, either way', async () => {
      const { near, far } = await pair.open()
      near.end('a question')
      assert.strictEqual(String(await readAll(far)), 'a question')
      assert(far.writable && !near.readableEnded && !near.destroyed && !far.destroyed)
      far.write('an ')
      await roundTrip(pair) // the one end has long been told
      far.end('answer')
      assert.strictEqual(String(await readAll(near)), 'an answer')
      await Promise.all([near, far].map((one) => one.closed || gone(one)))
      assert.deepStrictEqual([near.errored, far.errored], [null, null])
    })

    it('takes text, encodings, Uint8Array, nothing, and much at once', async () => {
      const { near, far } = await pair.open()
      const got = buffer(far)
      const parts = [['ä€𝄞', 'utf8'], ['ff00', 'hex'], [new Uint8Array([1, 2])], [Buffer.alloc(0)], [bytes]]
      for (const part of parts) await new Promise((resolve, reject) => near.write(...part, (err) => err ? reject(err) : resolve()))
      near.end()
      assert((await got).equals(Buffer.concat([Buffer.from('ä€𝄞'), Buffer.from('ff000102', 'hex'), bytes])))
      far.destroy()
    })

    it('refuses objects, and null', async () => {
      const { near, far } = await pair.open()
      assert.throws(() => near.write({}), { code: 'ERR_INVALID_ARG_TYPE' })
      assert.throws(() => near.write(null), { code: 'ERR_STREAM_NULL_VALUES' })
      near.destroy()
      far.destroy()
    })

    it('keeps what was written in one piece and in order, corked', async () => {
      const { near, far } = await pair.open()
      const got = buffer(far)
      near.cork()
      for (const slice of slices(1000)) near.write(slice)
      process.nextTick(() => { near.uncork() })
      near.end()
      assert((await got).equals(bytes))
      far.destroy()
    })

    it('decodes what is cut between two chunks', async () => {
      const { near, far } = await pair.open()
      near.setEncoding('utf8')
      const euros = Buffer.from('€'.repeat(50000))
      const got = text(near)
      for (let at = 0; at < euros.length; at += 7001) far.write(euros.subarray(at, at + 7001))
      far.end()
      assert.strictEqual(await got, String(euros))
      near.destroy()
    })

    it('pipe()', async () => {
      const { near, far } = await pair.open()
      far.pipe(new PassThrough()).pipe(far)
      Readable.from(slices()).pipe(near)
      assert((await buffer(near)).equals(bytes))
      await Promise.all([near, far].map((one) => one.closed || gone(one)))
    })

    it('pipeline(), through both ends', async () => {
      const { near, far } = await pair.open()
      const there = promises.pipeline(Readable.from(slices()), createGzip(), near)
      const parts = []
      const out = new Writable({
        write (chunk, encoding, callback) {
          parts.push(chunk)
          setImmediate(callback) // slower than what comes
        }
      })
      await Promise.all([there, promises.pipeline(far, createGunzip(), out)])
      assert(Buffer.concat(parts).equals(bytes))
      for (const one of [near, far]) one.destroy()
    })

    it('pipeline() ends it when another stream of it breaks', async () => {
      const { near, far } = await pair.open()
      const broken = new Transform({ transform (chunk, encoding, callback) { callback(new Error('broken')) } })
      const farGone = gone(far)
      far.resume().write('x')
      await assert.rejects(promises.pipeline(near, broken, new PassThrough()), /broken/)
      await Promise.all([near.closed || gone(near), farGone])
    })

    it('pipeline() tells the others when it is lost', async () => {
      const { near, far } = await pair.open()
      const from = new PassThrough()
      const done = new Promise((resolve) => pipeline(from, near, resolve))
      from.write('x')
      await once(far, 'data')
      far.destroy()
      await roundTrip(pair)
      from.write('y') // libssh's peer looks as if it had ended: only who writes finds out
      const err = await done
      assert(err instanceof Error, String(err))
      assert(from.destroyed)
    })

    it('finished(): both ways, one way, too early', async () => {
      const first = await pair.open()
      const all = promises.finished(first.near)
      const written = promises.finished(first.near, { readable: false })
      let isRead = false
      first.far.resume().end('x')
      first.near.end()
      await written
      first.near.on('end', () => { isRead = true })
      first.near.resume()
      await all
      assert(isRead)

      const second = await pair.open()
      const early = new Promise((resolve) => finished(second.near, resolve))
      second.near.destroy()
      assert.strictEqual((await early).code, 'ERR_STREAM_PREMATURE_CLOSE')

      const third = await pair.open()
      const mine = new Error('mine')
      const told = new Promise((resolve) => finished(third.near, resolve))
      third.near.destroy(mine)
      assert.strictEqual(await told, mine)
      for (const { far } of [second, third]) far.destroy()
    })

    it('for await', async () => {
      const { near, far } = await pair.open()
      promises.pipeline(Readable.from(slices()), far)
      let got = 0
      for await (const chunk of near) {
        assert(chunk.equals(bytes.subarray(got, got + chunk.length)))
        got += chunk.length
      }
      assert.strictEqual(got, SIZE)
      near.destroy()
    })

    it('for await that breaks off destroys it, and the peer hears of it', async () => {
      const { near, far } = await pair.open()
      const written = new Promise((resolve) => far.write(bytes, resolve))
      const farGone = gone(far)
      let got = 0
      for await (const chunk of near) {
        got += chunk.length
        if (got > 100000) break
      }
      assert(near.destroyed && got < SIZE)
      far.resume()
      await farGone
      assert((await written) instanceof Error)
    })

    it('for await that finds the peer gone throws', async () => {
      const { near, far } = await pair.open()
      far.write('x')
      await assert.rejects(async () => {
        for await (const chunk of near) {
          assert.strictEqual(String(chunk), 'x')
          far.destroy(new Error('far'))
          if (engine === 'libssh') near.destroy(new Error('libssh tells no broken stream from an ended one'))
        }
      }, Error)
      near.destroy()
    })

    it('Duplex.toWeb()', async () => {
      const { near, far } = await pair.open()
      const web = Duplex.toWeb(near)
      promises.pipeline(far, new PassThrough(), far)
      const writer = web.writable.getWriter()
      const sent = (async () => {
        for (const slice of slices()) {
          await writer.ready
          await writer.write(slice)
        }
        await writer.close()
      })()
      const parts = []
      for await (const chunk of web.readable) parts.push(chunk)
      await sent
      assert(Buffer.concat(parts).equals(bytes))
    })

    it('Duplex.toWeb(): a cancelled reader and an aborted writer end it', async () => {
      const { near, far } = await pair.open()
      const farGone = gone(far)
      far.resume()
      const web = Duplex.toWeb(near)
      await Promise.allSettled([web.readable.cancel(), web.writable.abort(new Error('enough'))])
      await Promise.all([near.closed || gone(near), farGone])
    })

    it('unshift() and read(n)', async () => {
      const { near, far } = await pair.open()
      far.write('GET / HTTP/1.1')
      await once(near, 'readable')
      const method = near.read(3)
      near.unshift(method)
      assert.strictEqual(String(near.read(5)), 'GET /')
      near.destroy()
      far.destroy()
    })

    it('Symbol.asyncDispose', async () => {
      const { near, far } = await pair.open()
      const farGone = gone(far)
      far.resume()
      await near[Symbol.asyncDispose]()
      assert(near.closed)
      await farGone
    })
  })
}
