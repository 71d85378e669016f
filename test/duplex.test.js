'use strict'

/** Any Duplex as a transport: the stream of the addon behind it, and sessions over it. */

const assert = require('node:assert')
const crypto = require('node:crypto')
const { once } = require('node:events')
const { Duplex, PassThrough, Readable, Writable, duplexPair } = require('node:stream')
const alknet = require('..')
const binding = require('../lib/binding')
const { engines } = require('../lib/binding')
const { DuplexTransport } = require('../lib/duplex')
const { Ear } = require('./helpers/sessions')
const { socketPair, tlsPair } = require('./helpers/duplexes')
const { testScope } = require('./helpers/scope')

const KiB = 1024
const HIGH = 256 * KiB
const turn = () => new Promise(setImmediate)
const turns = async (n = 20) => { while (n-- > 0) await turn() }

/** The two faces of a native stream of JavaScript's, each with an Ear. */
function faces (scope, does = {}) {
  const duplex = new Ear(binding.openDuplex(), 'Duplex', does)
  const stream = new Ear(duplex.handle.stream, 'Stream')
  scope.defer(() => { if (!stream.log.includes('onclose')) stream.handle.close() })
  return { duplex, stream, far: duplex.handle, near: stream.handle }
}

describe('a stream of the addon over JavaScript', () => {
  const scope = testScope()

  it('is open, paused, and named js', () => {
    const { near } = faces(scope)
    assert.strictEqual(near.kind, 'js')
    assert.strictEqual(near.peer(), null)
    assert.strictEqual(near.local(), null)
  })

  it('calls nobody back from inside a call', async () => {
    const { near, far, duplex, stream } = faces(scope)
    near.resume()
    far.push(Buffer.from('a'))
    near.write(Buffer.from('b'))
    near.pause()
    near.resume()
    far.end()
    far.ready()
    near.end()
    far.finished()
    far.close(0, null)
    near.close()
    assert.deepStrictEqual([...duplex.log, ...stream.log], [])
    await turns()
    assert.deepStrictEqual([...duplex.log, ...stream.log], ['onclose', 'onclose'])
  })

  it('delivers what is pushed, then the end', async () => {
    const { near, far, stream } = faces(scope)
    const bytes = Buffer.from('first')
    assert.strictEqual(far.push(bytes), 5)
    bytes.fill(0) // its owner does what it likes with it
    assert.strictEqual(far.push(Buffer.from(' second')), 7)
    assert.strictEqual(far.push(Buffer.alloc(0)), 0)
    far.end()
    await turns()
    assert.deepStrictEqual(stream.log, [], 'nobody reads yet')
    near.resume()
    assert.strictEqual(String((await stream.next('ondata'))[0]), 'first second')
    await stream.next('onend')
    assert.throws(() => far.push(bytes), { code: 'ERR_ALKNET_CLOSED' })
    await turns()
    assert.deepStrictEqual(stream.log, ['ondata', 'onend'])
  })

  it('delivers in its order what came at different times', async () => {
    const { near, far, stream } = faces(scope)
    far.push(Buffer.from('a'))
    near.write(Buffer.from('x'))
    await turns()
    far.push(Buffer.from('b'))
    near.resume()
    assert.strictEqual(String((await stream.next('ondata'))[0]), 'a')
    assert.strictEqual(String((await stream.next('ondata'))[0]), 'b')
  })

  it('takes no more than its limit while nobody reads, and says when it takes more', async () => {
    const { near, far, duplex, stream } = faces(scope)
    assert.strictEqual(far.push(Buffer.alloc(100 * KiB)), 100 * KiB)
    assert.strictEqual(far.push(Buffer.alloc(10 ** 7)), HIGH - 100 * KiB)
    assert.strictEqual(far.push(Buffer.alloc(1)), 0)
    await turns()
    assert.deepStrictEqual(duplex.log, [])
    near.resume()
    await duplex.next('onread')
    const got = stream.log.filter((name) => name === 'ondata').length
    assert(got > 0)
    assert.strictEqual(far.push(Buffer.alloc(10 ** 7)), HIGH)
    near.pause()
    await turns()
    assert.strictEqual(stream.log.filter((name) => name === 'ondata').length, got)
  })

  it('stops at once when it is paused inside of ondata', async () => {
    const duplex = new Ear(binding.openDuplex(), 'Duplex')
    const sizes = []
    const near = duplex.handle.stream
    near.owner = {
      ondata (chunk) {
        sizes.push(chunk.length)
        near.pause()
        if (sizes.length < 3) duplex.handle.push(Buffer.from('more')) // from inside of an event of its own
      },
      onend () { sizes.push('end') }
    }
    duplex.handle.push(Buffer.alloc(10))
    near.resume()
    await turns()
    assert.deepStrictEqual(sizes, [10])
    near.resume()
    await turns()
    assert.deepStrictEqual(sizes, [10, 4])
    duplex.handle.end()
    await turns()
    near.resume()
    await turns()
    assert.deepStrictEqual(sizes, [10, 4, 4], 'the end is behind what was pushed')
    near.close()
    await duplex.next('onclose')
  })

  it('hands over what is written, the next when JavaScript is ready', async () => {
    const { near, far, duplex, stream } = faces(scope)
    assert.strictEqual(near.write(Buffer.from('one ')), true)
    assert.strictEqual(near.write(Buffer.from('two')), true)
    assert.strictEqual(String((await duplex.next('onwrite'))[0]), 'one two')
    assert.strictEqual(near.write(Buffer.alloc(HIGH - 1)), true)
    assert.strictEqual(near.write(Buffer.alloc(1)), false, 'that is all that it holds')
    await turns()
    assert.deepStrictEqual(duplex.log, ['onwrite'], 'not before it is ready')
    assert.deepStrictEqual(stream.log, [])
    far.ready()
    await stream.next('ondrain')
    let length = 0
    while (length < HIGH) length += (await duplex.next('onwrite'))[0].length
    assert.strictEqual(length, HIGH)
    near.write(Buffer.alloc(1))
    await turns()
    assert.strictEqual(duplex.log.filter((name) => name === 'onwrite').length, 1 + 4, 'in pieces, for one ready()')
  })

  it('ends behind all that was written, and drains when all has left', async () => {
    const { near, far, duplex, stream } = faces(scope)
    near.write(Buffer.from('a'))
    await duplex.next('onwrite')
    near.write(Buffer.from('b'))
    near.end()
    await turns()
    assert.deepStrictEqual(duplex.log, ['onwrite'])
    far.ready()
    await duplex.next('onend')
    assert.deepStrictEqual(duplex.log, ['onwrite', 'onwrite', 'onend'])
    far.ready()
    await turns()
    assert.deepStrictEqual(stream.log, [], 'ended, and not gone yet')
    far.finished()
    await stream.next('ondrain')
    far.finished()
    await turns()
    assert.deepStrictEqual(stream.log, ['ondrain'])
  })

  it('drops on close() what has not left and what was not read', async () => {
    const { near, far, duplex, stream } = faces(scope)
    far.push(Buffer.from('in'))
    near.resume()
    near.write(Buffer.from('out'))
    near.close()
    far.push(Buffer.from('in'))
    const [err] = await stream.next('onclose')
    assert.strictEqual(err, null)
    assert.deepStrictEqual([duplex.log, stream.log], [['onclose'], ['onclose']])
    for (const call of [() => far.push(Buffer.alloc(1)), () => far.end(), () => far.ready(), () => far.finished(), () => far.close(0, null)]) {
      assert.throws(call, { code: 'ERR_ALKNET_CLOSED' })
    }
  })

  it('fails with what closed it, behind all that was pushed', async () => {
    const { near, far, stream } = faces(scope)
    far.push(Buffer.from('last words'))
    far.end()
    far.close(104, 'the stream failed: reset')
    await turns()
    assert.deepStrictEqual(stream.log, [])
    near.resume()
    const [err] = await stream.next('onclose')
    assert.strictEqual(err.code, 'ECONNRESET')
    assert.strictEqual(err.message, 'the stream failed: reset')
    assert.deepStrictEqual(stream.log, ['ondata', 'onend', 'onclose'])
  })

  it('fails at once when there is nothing to be read, or when it is written to', async () => {
    const one = faces(scope)
    one.far.close(0, 'gone')
    assert.strictEqual((await one.stream.next('onclose'))[0].code, 'ERR_ALKNET_LOST')
    const two = faces(scope)
    two.far.end()
    two.far.close(0, null)
    await turns()
    assert.deepStrictEqual(two.stream.log, [], 'it has closed in good order')
    two.near.write(Buffer.from('x'))
    assert.strictEqual((await two.stream.next('onclose'))[0].code, 'EPIPE')
    const three = faces(scope)
    three.far.end()
    three.far.close(0, null)
    three.near.end()
    await three.stream.next('ondrain')
  })

  it('refuses what is no Uint8Array, no number and no text', () => {
    const { far } = faces(scope)
    for (const bad of [undefined, 'text', [1], new Uint16Array(2), {}]) assert.throws(() => far.push(bad), { code: 'ERR_ALKNET_OPTION' })
    for (const args of [[-1, 'x'], [4096, 'x'], ['1', 'x'], [0, 'x'.repeat(300)], [0, 'a\0b'], [0, 5]]) {
      assert.throws(() => far.close(...args), { code: 'ERR_ALKNET_OPTION' })
    }
    const { push } = far
    assert.throws(() => push.call({}, Buffer.alloc(1)))
    assert.throws(() => push.call(binding.openDuplex, Buffer.alloc(1)))
  })
})

describe('a Duplex that nobody reads', () => {
  const scope = testScope()

  /** Writes until nothing more is taken for a while; resolves to how much it was. */
  async function fill (stream, chunk) {
    let taken = 0
    for (let idle = 0; idle < 20; idle++) {
      while (!stream.writableNeedDrain && taken < 16 * KiB * KiB) {
        stream.write(chunk)
        taken += chunk.length
        idle = 0
      }
      await turn()
    }
    return taken
  }

  for (const size of [100, 64 * KiB, 1024 * KiB]) {
    it(`is paused, and goes on in its order, with chunks of ${size} bytes`, async () => {
      const [near, far] = duplexPair()
      const transport = new DuplexTransport(near)
      const chunk = crypto.randomBytes(size)
      const taken = await fill(far, chunk)
      const most = HIGH + near.readableHighWaterMark + far.writableHighWaterMark + 3 * size
      assert(taken >= HIGH && taken <= most, `${taken}, at most ${most}`)
      const chunks = []
      const handle = transport.take()
      scope.defer(() => handle.close())
      const ended = new Promise((resolve) => {
        handle.owner = { ondata: (data) => { chunks.push(data) }, onend: resolve }
      })
      far.end()
      handle.resume()
      await ended
      const all = Buffer.concat(chunks)
      assert.strictEqual(all.length, taken)
      for (let at = 0; at < all.length; at += size) assert(all.subarray(at, at + size).equals(chunk), `at ${at}`)
    })
  }
})

describe('sessions over a Duplex', () => {
  const scope = testScope()
  let host, user, stranger
  before(async () => { [host, user, stranger] = await Promise.all([1, 2, 3].map(() => alknet.generateKey())) })

  async function serve (options = {}) {
    const lines = []
    const server = await alknet.serve({
      hostKey: host.privateKey,
      authorizedKeys: Buffer.from(user.publicKey),
      listen: [],
      log: { write: (line) => lines.push(line) },
      onConnection: (stream) => stream.pipe(stream),
      ...options
    })
    scope.defer(() => server.close())
    server.lines = lines
    return server
  }

  const credentials = (options) => ({ identity: user.privateKey, hostKey: host.fingerprint, knownHosts: [], ...options })

  async function open (stream, options) {
    const session = await alknet.openSession({ stream, ...credentials(options) })
    scope.defer(() => session.close())
    return session
  }

  /** A session over a pair, and its two ends. */
  async function overPair ([near, far], { client, server: options } = {}) {
    const server = await serve(options)
    server.accept(far)
    return { server, near, far, session: await open(near, client) }
  }

  async function echoes (session, bytes) {
    const stream = await session.open({ host: 'alknet-echo', port: 1 })
    const sent = crypto.randomBytes(bytes)
    stream.end(sent)
    const chunks = []
    for await (const chunk of stream) chunks.push(chunk)
    assert(sent.equals(Buffer.concat(chunks)))
  }

  const PAIRS = {
    'duplexPair()': () => duplexPair(),
    'net.Socket': () => socketPair(scope),
    'net.Socket that closes with its peer': () => socketPair(scope, { allowHalfOpen: false }),
    'tls.TLSSocket': () => tlsPair(scope)
  }
  for (const [name, pair] of Object.entries(PAIRS)) {
    for (const [client, server] of engines.flatMap((a) => engines.map((b) => [a, b]))) {
      it(`${name}: ${client} client, ${server} server`, async () => {
        const { near, far, session, server: it } = await overPair(await pair(),
          { client: { sshEngine: client }, server: { sshEngine: server } })
        await Promise.all([echoes(session, 1500 * KiB), echoes(session, 700 * KiB), echoes(session, 1)])
        await session.close()
        assert.strictEqual(session.error, null)
        await it.close()
        await Promise.all([near, far].map((end) => end.closed || once(end, 'close')))
      })
    }
  }

  it('leaves nothing behind', async () => {
    await turns()
    const before = binding.live()
    for (let i = 0; i < 10; i++) {
      const { session, server } = await overPair(duplexPair())
      await echoes(session, 1000)
      if (i % 2 === 0) await session.close()
      await server.close()
      await session.closed
    }
    while (binding.live() > before) await turn()
    assert.strictEqual(binding.live(), before)
  })

  it('connect() closes the session and the stream with its channel', async () => {
    const server = await serve()
    const [near, far] = duplexPair()
    server.accept(far)
    const channel = await alknet.connect({ stream: near, ...credentials() })
    channel.end('x')
    channel.resume()
    await once(channel, 'close')
    await channel.session.closed
    assert(near.destroyed)
  })

  for (const engine of engines) {
    it(`works over a stream that gives one byte at a time (${engine})`, async () => {
      const [near, far] = duplexPair()
      const slow = new Duplex({
        read () {},
        write (chunk, encoding, callback) { near.write(chunk, callback) },
        final (callback) { near.end(callback) }
      })
      near.on('data', (chunk) => { for (const byte of chunk) slow.push(Buffer.of(byte)) })
      near.on('end', () => slow.push(null))
      const { session } = await overPair([slow, far], { client: { sshEngine: engine } })
      await echoes(session, 2000)
    })

    it(`takes a chunk of any size from a stream that does not pause (${engine})`, async () => {
      const [near, far] = duplexPair()
      const rude = new Duplex({
        highWaterMark: 1e9,
        read () {},
        write (chunk, encoding, callback) { near.write(chunk, callback) }
      })
      rude.pause = () => rude
      let held = []
      near.on('data', (chunk) => {
        if (held.length < 40) return held.push(chunk)
        rude.push(Buffer.concat([...held, chunk])) // all that has come meanwhile as one
        held = []
      })
      const flush = setInterval(() => { if (held.length > 0) rude.push(Buffer.concat(held.splice(0))) }, 2)
      scope.defer(() => clearInterval(flush))
      const { session } = await overPair([rude, far], { client: { sshEngine: engine, windowMax: 8 * KiB * KiB } })
      await echoes(session, 3000 * KiB)
    })

    it(`holds what is written over a stream that never drains (${engine})`, async () => {
      const { session, near } = await overPair(duplexPair(), { client: { sshEngine: engine } })
      const channel = await session.open({ host: 'alknet-echo', port: 1 })
      near._write = () => {}
      const chunk = Buffer.alloc(64 * KiB)
      let taken = 0
      for (let idle = 0; idle < 20;) {
        if (channel.writableNeedDrain) {
          idle++
          await turn()
          continue
        }
        idle = 0
        channel.write(chunk)
        taken += chunk.length
        assert(taken < 8 * KiB * KiB, 'it takes without end')
        await turn()
      }
      assert(near.writableLength <= 2 * KiB * KiB, String(near.writableLength))
      const gone = once(near, 'close')
      await session.close()
      await gone
    })

    it(`pauses a stream that it does not read (${engine})`, async () => {
      const { session, near, far } = await overPair(duplexPair(),
        { client: { sshEngine: engine }, server: { onConnection: (stream) => flood(stream) } })
      const channel = await session.open({ host: 'alknet-flood', port: 1 })
      await once(channel, 'readable')
      await turns(200)
      assert(near.readableLength <= 2 * KiB * KiB && far.writableLength <= 2 * KiB * KiB)
      assert(channel.readableLength <= 2 * KiB * KiB)
    })
  }

  function flood (stream) {
    const chunk = Buffer.alloc(64 * KiB)
    const more = () => { while (stream.write(chunk)); }
    stream.on('drain', more)
    more()
  }

  describe('when the stream fails', () => {
    const system = () => Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET', errno: -104 })

    it('tells with its own error', async () => {
      const { session, near, server } = await overPair(duplexPair())
      const err = system()
      near.destroy(err)
      await session.closed
      assert.strictEqual(session.error.code, 'ECONNRESET')
      assert.strictEqual(session.error.cause, err)
      assert.match(session.error.message, /the stream failed: read ECONNRESET/)
      server._admission.connections.forEach((one) => one.close())
    })

    it('tells of any other error as of a lost session', async () => {
      const { session, near } = await overPair(duplexPair())
      const err = Object.assign(new TypeError('of my own \x1b[31m'), { errno: 12345, code: 'ERR_MINE' })
      near.destroy(err)
      await session.closed
      assert.strictEqual(session.error.code, 'ERR_ALKNET_LOST')
      assert.strictEqual(session.error.cause, err)
      assert.strictEqual(session.error.message, 'the stream failed: of my own ?[31m')
    })

    it('tells of a stream that is destroyed without an error', async () => {
      const { session, near } = await overPair(duplexPair())
      near.destroy()
      await session.closed
      assert.strictEqual(session.error.code, 'ERR_ALKNET_LOST')
      assert.strictEqual(session.error.message, 'the stream was closed')
    })

    it('tells of a stream that is ended by somebody else', async () => {
      const { session, near } = await overPair(duplexPair())
      near.end()
      session.open({ host: 'alknet-echo', port: 1 }).catch(() => {})
      await session.closed
      assert.strictEqual(session.error.code, 'ERR_ALKNET_LOST')
    })

    it('ends with its peer', async () => {
      const { session, server, near } = await overPair(duplexPair())
      await server.close()
      await session.closed
      assert.strictEqual(session.error.code, 'ERR_ALKNET_LOST')
      assert(near.destroyed)
    })

    it('takes an exception of write() for the end of the stream', async () => {
      const { session, near } = await overPair(duplexPair())
      const err = new Error('thrown')
      near._write = () => { throw err }
      const mochas = process.listeners('uncaughtException')
      process.removeAllListeners('uncaughtException')
      const uncaught = once(process, 'uncaughtException')
      session.open({ host: 'alknet-echo', port: 1 }).catch(() => {})
      try {
        assert.strictEqual((await uncaught)[0], err, 'who wrote it hears of it')
      } finally {
        for (const listener of mochas) process.on('uncaughtException', listener)
      }
      await session.closed
      assert.strictEqual(session.error.cause, err)
    })

    it('refuses text', async () => {
      const { session, near } = await overPair(duplexPair())
      near.emit('data', 'text')
      await session.closed
      assert.strictEqual(session.error.message, 'the stream gave text, not bytes')
    })

    it('rejects when it fails before the login, whatever the moment', async () => {
      for (let n = 0; n < 30; n++) {
        const server = await serve()
        const [near, far] = duplexPair()
        server.accept(far)
        const opening = alknet.openSession({ stream: near, ...credentials() })
        let ready = false
        opening.then(() => { ready = true }, () => {})
        await turns(n)
        if (ready) break
        const err = system()
        near.destroy(err)
        await assert.rejects(opening, (got) => got.code === 'ECONNRESET' && got.cause !== undefined && /the stream/.test(got.message))
        assert(near.destroyed)
        far.destroy()
        await server.close()
      }
    })

    it('is destroyed when the session cannot begin, and left alone when an option is wrong', async () => {
      const tries = [
        [{ identity: '/nowhere/at/all' }, 'ENOENT'],
        [{ hostKey: stranger.fingerprint }, 'ERR_ALKNET_HOSTKEY'],
        [{ identity: stranger.privateKey }, 'ERR_ALKNET_AUTH'],
        [{ signal: AbortSignal.abort() }, 'ERR_ALKNET_CANCELED']
      ]
      for (const [options, code] of tries) {
        const server = await serve()
        const [near, far] = duplexPair()
        server.accept(far)
        await assert.rejects(alknet.openSession({ stream: near, ...credentials(options) }), { code })
        await turns()
        assert(near.destroyed, code)
        far.destroy()
        await server.close()
      }
      const [near] = duplexPair()
      await assert.rejects(alknet.openSession({ stream: near, ...credentials({ user: '' }) }), { code: 'ERR_ALKNET_OPTION' })
      assert(!near.destroyed)
      assert.strictEqual(near.listenerCount('data'), 0)
    })

    it('is canceled at any moment', async () => {
      for (let n = 0; n < 30; n++) {
        const server = await serve()
        const [near, far] = duplexPair()
        server.accept(far)
        const controller = new AbortController()
        const opening = alknet.openSession({ stream: near, signal: controller.signal, ...credentials() })
        let ready = false
        opening.then(() => { ready = true }, () => {})
        await turns(n)
        if (ready) break
        controller.abort()
        await assert.rejects(opening, { code: 'ERR_ALKNET_CANCELED' })
        await turns()
        assert(near.destroyed)
        far.destroy()
        await server.close()
      }
    })
  })

  describe('whose host key it has to be', () => {
    const line = (name, mark = '') => Buffer.from(`${mark}${name} ${host.publicKey}\n`)

    async function trusts (options) {
      const server = await serve()
      const [near, far] = duplexPair()
      server.accept(far)
      const session = await alknet.openSession({ stream: near, identity: user.privateKey, ...options })
      await session.close()
      await server.close()
    }

    it('is looked up by the name in server', async () => {
      await trusts({ server: 'inner.example', knownHosts: line('inner.example') })
      await trusts({ server: 'inner.example:2222', knownHosts: line('[inner.example]:2222') })
      await assert.rejects(trusts({ server: 'inner.example', knownHosts: line('other.example') }),
        { code: 'ERR_ALKNET_HOSTKEY', message: /inner\.example:22 is not known/ })
    })

    it('is the pinned one, which @revoked can take back', async () => {
      await trusts({ hostKey: host.fingerprint, knownHosts: [] })
      await assert.rejects(trusts({ hostKey: stranger.fingerprint, knownHosts: [] }),
        { code: 'ERR_ALKNET_HOSTKEY', message: /host key of the stream is not the pinned one/ })
      await assert.rejects(trusts({ hostKey: host.fingerprint, knownHosts: line('*', '@revoked ') }),
        { code: 'ERR_ALKNET_HOSTKEY', message: /host key of the stream is revoked/ })
    })

    it('has to be said', async () => {
      const [near] = duplexPair()
      for (const options of [{}, { acceptNew: true, knownHosts: '/tmp/x' }]) {
        await assert.rejects(alknet.openSession({ stream: near, identity: user.privateKey, ...options }),
          { code: 'ERR_ALKNET_OPTION', option: 'stream', message: /set hostKey \(a pin\), or server/ })
      }
      assert(!near.destroyed)
      await trusts({ dangerouslyAcceptAnyHostKey: true })
    })
  })

  describe('a stream that is none', () => {
    const bad = {
      'no object': [5, 'must be a stream.Duplex'],
      null: [null, 'must be a stream.Duplex'],
      'only readable': [new Readable({ read () {} }), 'must be a stream.Duplex'],
      'only writable': [new Writable(), 'must be a stream.Duplex'],
      'an object mode': [new PassThrough({ objectMode: true }), 'is in object mode: a transport carries bytes'],
      'one side in object mode': [new PassThrough({ readableObjectMode: true }), 'is in object mode: a transport carries bytes'],
      'an encoding': [new PassThrough({ encoding: 'utf8' }), 'has an encoding: a transport carries bytes'],
      destroyed: [new PassThrough().destroy(), 'is destroyed already'],
      failed: [new PassThrough().on('error', () => {}).destroy(new Error('x')), 'has failed already'],
      'ended by us': [new PassThrough().end(), 'has ended already: nothing can be written to it'],
      'nothing to read': [new Duplex({ readable: false, write () {} }), 'has ended already: nothing more comes from it'],
      'nothing to write': [new Duplex({ writable: false, read () {} }), 'has ended already: nothing can be written to it']
    }
    for (const [name, [stream, problem]] of Object.entries(bad)) {
      it(`is refused: ${name}`, async () => {
        const expected = { code: 'ERR_ALKNET_OPTION', option: 'stream', message: `stream: ${problem}` }
        await assert.rejects(alknet.openSession({ stream, ...credentials() }), expected)
        const server = await serve()
        assert.throws(() => server.accept(stream), expected)
      })
    }

    it('is refused: ended by its peer', async () => {
      const [near, far] = duplexPair()
      far.end()
      near.resume()
      await once(near, 'end')
      await assert.rejects(alknet.openSession({ stream: near, ...credentials() }), { message: /nothing more comes from it/ })
    })

    it('is refused: the transport of another session', async () => {
      const { near, far, server, session } = await overPair(duplexPair())
      await assert.rejects(alknet.openSession({ stream: near, ...credentials() }),
        { code: 'ERR_ALKNET_OPTION', message: 'stream: is the transport of another session' })
      assert.throws(() => server.accept(far), { message: 'stream: is the transport of another session' })
      await echoes(session, 10)
    })
  })

  describe('server.accept()', () => {
    it('tells who it is where that was said, and nothing where not', async () => {
      const infos = []
      const server = await serve({ onConnection: (stream, info) => { infos.push(info); stream.pipe(stream) } })
      for (const info of [{ remoteAddress: '::ffff:192.0.2.7', remotePort: 5000 }, undefined]) {
        const [near, far] = duplexPair()
        server.accept(far, info)
        await echoes(await open(near), 1)
      }
      assert.deepStrictEqual(infos.map(({ remoteAddress, remotePort, transport }) => [remoteAddress, remotePort, transport]),
        [['192.0.2.7', 5000, 'stream'], ['', 0, 'stream']])
      assert.strictEqual(server.lines.filter((line) => /remote_addr=192\.0\.2\.7 remote_port=5000/.test(line)).length, 2)
      assert(!server.lines.some((line) => /remote_(addr|port)=("|undefined|0|$)/.test(line)), server.lines.join('\n'))
      assert.match(server.lines.join('\n'), /connection opened transport=stream$/m)
    })

    it('counts addresses, and does not count who has none', async () => {
      const server = await serve({ maxConnectionsPerIp: 1 })
      const ends = []
      for (const info of [{ remoteAddress: '192.0.2.7' }, {}, {}, {}, { remoteAddress: '192.0.2.8' }]) {
        const [near, far] = duplexPair()
        server.accept(far, info)
        ends.push(far)
        await open(near)
      }
      const [near, far] = duplexPair()
      server.accept(far, { remoteAddress: '192.0.2.7' })
      await turns()
      assert(far.destroyed)
      assert.match(server.lines.join('\n'), /connection rejected remote_addr=192\.0\.2\.7 remote_port=0 transport=stream reason=max_connections_per_ip/)
      assert(ends.every((one) => !one.destroyed))
      near.destroy()
    })

    it('counts everybody for maxUnauthenticated', async () => {
      const server = await serve({ maxUnauthenticated: 1 })
      const pairs = [duplexPair(), duplexPair()]
      for (const [, far] of pairs) server.accept(far)
      await turns()
      assert.deepStrictEqual(pairs.map(([, far]) => far.destroyed), [false, true])
      assert.match(server.lines.join('\n'), /connection rejected transport=stream reason=max_unauthenticated/)
      for (const [near] of pairs) near.destroy()
    })

    it('asks from="…" for the address that was told, and lets nobody without one pass it', async () => {
      const tries = [
        ['from="192.0.2.0/24"', { remoteAddress: '192.0.2.7' }, true],
        ['from="192.0.2.0/24"', { remoteAddress: '198.51.100.7' }, false],
        ['from="192.0.2.0/24"', {}, false],
        ['from="*"', {}, false],
        ['from="!192.0.2.0/24,*"', {}, false]
      ]
      for (const [options, info, isIn] of tries) {
        const server = await serve({ authorizedKeys: Buffer.from(`${options} ${user.publicKey}`) })
        const [near, far] = duplexPair()
        server.accept(far, info)
        if (isIn) await open(near)
        else await assert.rejects(open(near), { code: 'ERR_ALKNET_AUTH' }, options)
      }
    })

    it('is the transport "stream" for the rules', async () => {
      const { session } = await overPair(duplexPair(), { server: { forwarding: { rules: ['deny alknet-echo:1 * stream'] } } })
      await assert.rejects(session.open({ host: 'alknet-echo', port: 1 }), { code: 'ERR_ALKNET_CHANNEL', reason: 1 })
      await echoes((await overPair(duplexPair(), { server: { forwarding: { rules: ['deny alknet-echo:1 * tcp'] } } })).session, 1)
    })

    it('refuses wrong information, and a server that is closed', async () => {
      const server = await serve()
      const [, far] = duplexPair()
      for (const [info, message] of [
        [{ remoteAddress: 'example.com' }, 'remoteAddress: must be an IP address'],
        [{ remotePort: 65536 }, 'remotePort: must be a whole number of 0 to 65535'],
        [{ remoteAddr: '::1' }, 'remoteAddr: there is no such option; did you mean remoteAddress?']
      ]) assert.throws(() => server.accept(far, info), { code: 'ERR_ALKNET_OPTION', message })
      await server.close()
      assert.throws(() => server.accept(far), { code: 'ERR_ALKNET_CLOSED' })
      assert(!far.destroyed)
    })

    it('closes with the server those that have not logged in', async () => {
      const server = await serve()
      const [, far] = duplexPair()
      server.accept(far)
      await server.close()
      await turns()
      assert(far.destroyed)
    })
  })

  it('passes ref() and unref() on to the stream', async () => {
    const pair = duplexPair()
    const calls = []
    pair[0].ref = () => calls.push('ref')
    pair[0].unref = () => calls.push('unref')
    const { session } = await overPair(pair)
    session.unref().ref()
    assert.deepStrictEqual(calls, ['unref', 'ref'])
  })
})
