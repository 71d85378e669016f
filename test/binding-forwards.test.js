'use strict'

/** What the addon does for forwards, without the policy of lib/ above it. */

const assert = require('node:assert')
const fs = require('node:fs')
const net = require('node:net')
const path = require('node:path')
const { once } = require('node:events')
const { Worker } = require('node:worker_threads')
const binding = require('../lib/binding')
const { cleanEnv } = require('./helpers/alknet')
const { run } = require('./helpers/proc')
const { testScope } = require('./helpers/scope')
const { Ear, endPair, grant, key, readStream, sessionPair, streamPair } = require('./helpers/sessions')
const { greeting, login, request } = require('./helpers/socks')
const { echoServer, freePort } = require('./helpers/net')

const CHILD = path.join(__dirname, 'helpers', 'forwards-child.js')
const FORWARDED_TCPIP = 1
const DIRECT_STREAMLOCAL = 2
const FORWARDED_STREAMLOCAL = 3
const HAS_LIBSSH = binding.engines.includes('libssh')
const GRANTED = Buffer.from([5, 0, 0, 1, 0, 0, 0, 0, 0, 0])

const turn = () => new Promise((resolve) => setImmediate(resolve))
const closedError = { code: 'ERR_ALKNET_CLOSED' }

describe('binding: forwards', () => {
  const scope = testScope()
  let before

  beforeEach(() => { before = binding.live() })

  // Every test closes what it has opened; this shows that nothing else is left.
  afterEach(async () => {
    await scope.close()
    while (binding.live() !== before) await turn()
  })

  /** A pair that is closed with the test. */
  async function pair (options) {
    const made = await sessionPair(options)
    scope.defer(async () => {
      made.client.handle.close()
      made.server.handle.close()
      while (!made.client.log.includes('onclose') || !made.server.log.includes('onclose')) await turn()
    })
    return made
  }

  const socketPath = () => path.join(scope.dir(), 's')

  /** A channel of the server's that its client has accepted: { near, far } Ears. */
  async function forwarded ({ client, server }, type, host, port) {
    const far = new Ear(server.handle.open(type, host, port, '192.0.2.1', 7), 'Stream')
    const [stream] = await client.next('onchannel')
    const near = new Ear(stream, 'Stream')
    client.handle.accept(stream)
    await Promise.all([near.next('onopen'), far.next('onopen')])
    return { near, far }
  }

  async function end (ear) {
    ear.handle.close()
    return ear.next('onclose')
  }

  describe('listenUnix', () => {
    it('gives streams without addresses, and its path', async () => {
      const file = socketPath()
      const listener = new Ear(binding.listenUnix(file), 'Listener')
      assert.deepStrictEqual(listener.handle.address(), { path: file })
      assert.strictEqual(fs.statSync(file).mode & 0o777, 0o600)
      const socket = net.connect(file)
      const [stream] = await listener.next('onstream')
      const ear = new Ear(stream, 'Stream')
      assert.strictEqual(stream.kind, 'pipe')
      assert.strictEqual(stream.peer(), null)
      assert.strictEqual(stream.local(), null)
      socket.write('hello')
      assert.strictEqual(String(await readStream(ear, 5)), 'hello')
      stream.write(Buffer.from('bye'))
      assert.strictEqual(String((await once(socket, 'data'))[0]), 'bye')
      socket.destroy()
      listener.handle.close()
      assert.ok(!fs.existsSync(file), 'the file is gone at once')
      await Promise.all([end(ear), listener.next('onclose')])
      assert.throws(() => listener.handle.address(), closedError)
    })

    it('throws as listenTcp does', () => {
      const file = socketPath()
      fs.writeFileSync(file, 'a file of somebody')
      assert.throws(() => binding.listenUnix(file), { code: 'EADDRINUSE' })
      assert.strictEqual(fs.readFileSync(file, 'utf8'), 'a file of somebody')
      assert.throws(() => binding.listenUnix(path.join(file, 'x')), { code: 'ENOTDIR' })
      assert.throws(() => binding.listenUnix(''), { code: 'EINVAL' })
      assert.throws(() => binding.listenUnix('a\0b'), { code: 'ERR_ALKNET_OPTION' })
      assert.throws(() => binding.listenUnix(7), { code: 'ERR_ALKNET_OPTION' })
    })

    it('refuses a path that is too long, and so does connectUnix', async () => {
      const dir = scope.dir()
      const longest = path.join(dir, 'x'.repeat(107 - dir.length - 1))
      const listener = new Ear(binding.listenUnix(longest), 'Listener')
      assert.deepStrictEqual(fs.readdirSync(dir), [path.basename(longest)])
      for (const file of [`${longest}x`, `${longest}${'x'.repeat(3000)}`]) {
        assert.throws(() => binding.listenUnix(file), { code: 'ENAMETOOLONG' })
        const stream = new Ear(binding.connectUnix(file), 'Stream')
        const [err] = await stream.next('onclose')
        assert.strictEqual(err.code, 'ENAMETOOLONG')
      }
      assert.deepStrictEqual(fs.readdirSync(dir), [path.basename(longest)])
      listener.handle.close()
      await listener.next('onclose')
    })
  })

  describe('listen', () => {
    it('asks the server, and hears its answer', async () => {
      const { client, server } = await pair()
      const ids = [
        client.handle.listen(false, '127.0.0.1', 0),
        client.handle.listen(false, '', 8080),
        client.handle.listen(true, '/run/x', 0),
        client.handle.unlisten(false, '127.0.0.1', 40000),
        client.handle.unlisten(true, '/run/x', 0)
      ]
      assert.deepStrictEqual(ids, [1, 2, 3, 4, 5])
      const asked = []
      for (let i = 0; i < 3; i++) asked.push(await server.next('onlisten'))
      for (let i = 0; i < 2; i++) asked.push(await server.next('onunlisten'))
      assert.deepStrictEqual(asked.map(([, ...rest]) => rest), [
        [false, '127.0.0.1', 0], [false, '', 8080], [true, '/run/x', 0],
        [false, '127.0.0.1', 40000], [true, '/run/x', 0]
      ])
      const requests = asked.map(([request]) => request)
      assert.ok(requests.every(Number.isInteger))
      assert.strictEqual(new Set(requests).size, 5)
      // In any order: the replies come in the order of the questions.
      server.handle.answer(requests[4], false, 0)
      server.handle.answer(requests[2], true, 0)
      server.handle.answer(requests[1], false)
      server.handle.answer(requests[0], true, 40000)
      server.handle.answer(requests[3], true)
      const replies = []
      for (let i = 0; i < 5; i++) replies.push(await client.next('onreply'))
      assert.deepStrictEqual(replies,
        [[1, true, 40000], [2, false, 0], [3, true, 0], [4, true, 40000], [5, false, 0]])
    })

    it('takes one answer, and none after the end', async () => {
      const { client, server } = await pair()
      client.handle.listen(false, '', 0)
      client.handle.listen(false, '', 81)
      const [first] = await server.next('onlisten')
      const [second] = await server.next('onlisten')
      assert.throws(() => server.handle.answer(first, true, 0), { code: 'ERR_ALKNET_OPTION' })
      assert.throws(() => server.handle.answer('x', true, 1), { code: 'ERR_ALKNET_OPTION' })
      server.handle.answer(first, true, 40000)
      server.handle.answer(first, false, 0)
      server.handle.answer(first, true, 40001)
      server.handle.answer(second + 1000, true, 1)
      assert.deepStrictEqual(await client.next('onreply'), [1, true, 40000])
      server.handle.close()
      await Promise.all([server.next('onclose'), client.next('onclose')])
      server.handle.answer(second, true, 81)
      assert.deepStrictEqual(await client.next('onreply'), [2, false, 0])
    })

    for (const [what, close] of [
      ['the client closes', ({ client }) => client.handle.close()],
      ['the server closes', ({ server }) => server.handle.close()],
      ['both close at once', ({ client, server }) => {
        for (const { handle } of [client, server]) {
          handle.close()
          handle.close()
        }
      }]
    ]) {
      it(`says no, then closes, when ${what}`, async () => {
        const both = await pair()
        const { client, server } = both
        client.handle.listen(false, '', 0)
        client.handle.listen(true, '/run/x', 0)
        client.handle.unlisten(false, '', 80)
        const [request] = await server.next('onlisten')
        await server.next('onlisten')
        await server.next('onunlisten')
        close(both)
        await Promise.all([client.next('onclose'), server.next('onclose')])
        assert.deepStrictEqual(client.log.slice(-4), ['onreply', 'onreply', 'onreply', 'onclose'])
        for (const id of [1, 2, 3]) assert.deepStrictEqual(await client.next('onreply'), [id, false, 0])
        server.handle.answer(request, true, 1)
        assert.throws(() => client.handle.listen(false, '', 0), closedError)
        assert.throws(() => client.handle.unlisten(false, '', 0), closedError)
      })
    }

    it('may be answered, asked and closed from inside the event', async () => {
      const { client, server } = await pair()
      server.onlisten = (request, isLocal, host, port) => {
        if (port === 2) server.handle.close()
        server.handle.answer(request, true, port)
        server.handle.answer(request, false, 0)
      }
      const replies = []
      client.onreply = (...reply) => {
        replies.push(reply)
        if (reply[0] === 1) client.handle.listen(false, '', 2)
      }
      client.handle.listen(false, '', 1)
      await Promise.all([client.next('onclose'), server.next('onclose')])
      assert.deepStrictEqual(replies, [[1, true, 1], [2, false, 0]])
    })

    it('is refused by a server that does not want to hear of it', async () => {
      const { client, server } = await pair({ server: { listens: false } })
      client.handle.listen(false, '', 0)
      client.handle.listen(true, '/run/x', 0)
      client.handle.unlisten(false, '', 80)
      for (const id of [1, 2, 3]) assert.deepStrictEqual(await client.next('onreply'), [id, false, 0])
      assert.ok(!server.log.includes('onlisten') && !server.log.includes('onunlisten'))
    })

    it('throws where it cannot be', async () => {
      const { near, far } = await streamPair()
      const early = new Ear(binding.sshClient(near, { user: 'u' }), 'Session')
      assert.throws(() => early.handle.listen(false, '', 0), closedError)
      early.handle.close()
      far.close()
      await early.next('onclose')
      const { client, server } = await pair()
      for (const name of ['listen', 'unlisten']) {
        assert.throws(() => server.handle[name](false, '', 0), { code: 'ERR_ALKNET_UNSUPPORTED', message: /a server of the native engine/ })
        assert.throws(() => client.handle[name](false, '', 65536), { code: 'ERR_ALKNET_OPTION' })
        assert.throws(() => client.handle[name](false, 'x'.repeat(256), 1), { code: 'ERR_ALKNET_OPTION' })
        assert.throws(() => client.handle[name](true, 'a\0b', 0), { code: 'ERR_ALKNET_OPTION' })
      }
      assert.strictEqual(client.handle.listen(true, '/run/x'), 1, 'a socket has no port')
      const hostKeys = [await key()]
      assert.throws(() => binding.sshServer(near, { hostKeys, listens: 1 }), { code: 'ERR_ALKNET_OPTION' })
    })

    it('is not for the libssh engine, on either side', async function () {
      if (!HAS_LIBSSH) {
        console.log('      skipped: the libssh engine is not built in')
        this.skip()
      }
      const old = await pair({ client: { engine: 'libssh' } })
      assert.throws(() => old.client.handle.listen(false, '', 0), { code: 'ERR_ALKNET_UNSUPPORTED', message: /a client of the libssh engine/ })
      const far = await pair({ server: { engine: 'libssh' } })
      far.client.handle.listen(false, '', 0)
      assert.deepStrictEqual(await far.client.next('onreply'), [1, false, 0])
    })

    it('is bounded: a client that asks on and on is put out', async () => {
      const { client, server } = await pair()
      for (let i = 0; i < 200; i++) client.handle.listen(false, '', 0)
      const [err] = await server.next('onclose')
      assert.strictEqual(err.code, 'ERR_ALKNET_LIMIT')
      assert.strictEqual(server.log.filter((name) => name === 'onlisten').length, 128)
      await client.next('onclose')
      assert.strictEqual(client.log.filter((name) => name === 'onreply').length, 200)
    })
  })

  describe('channels', () => {
    for (const [type, isLocal, host, port, origin] of [
      [FORWARDED_TCPIP, false, '127.0.0.1', 40000, ['192.0.2.1', 7]],
      [FORWARDED_STREAMLOCAL, true, '/run/x', 0, ['', 0]]
    ]) {
      it(`of type ${type} come to the client that asked for them`, async () => {
        const both = await pair()
        const { client, server } = both
        await grant(both, isLocal, host, port)
        const far = new Ear(server.handle.open(type, host, port, '192.0.2.1', 7), 'Stream')
        const [stream, ...target] = await client.next('onchannel')
        assert.deepStrictEqual(target, [type, host, port, ...origin])
        assert.strictEqual(stream.kind, 'channel')
        const near = new Ear(stream, 'Stream')
        client.handle.accept(stream)
        await Promise.all([near.next('onopen'), far.next('onopen')])
        near.handle.write(Buffer.from('ping'))
        assert.strictEqual(String(await readStream(far, 4)), 'ping')
        far.handle.write(Buffer.from('pong'))
        assert.strictEqual(String(await readStream(near, 4)), 'pong')
        await Promise.all([end(near), far.next('onclose')])

        const refused = new Ear(server.handle.open(type, host, port, '192.0.2.1', 7), 'Stream')
        const [second] = await client.next('onchannel')
        client.handle.refuse(second, 2, 'nobody is there')
        const [err] = await refused.next('onclose')
        assert.strictEqual(err.code, 'ERR_ALKNET_CHANNEL')
        assert.strictEqual(err.reason, 2)
        assert.match(err.message, /nobody is there/)

        client.handle.unlisten(isLocal, host, port)
        const [request] = await server.next('onunlisten')
        server.handle.answer(request, true, 0)
        await client.next('onreply')
        const late = new Ear(server.handle.open(type, host, port, '192.0.2.1', 7), 'Stream')
        assert.strictEqual((await late.next('onclose'))[0].reason, 1)
      })

      it(`of type ${type} are refused unasked without that`, async () => {
        const { client, server } = await pair()
        const far = new Ear(server.handle.open(type, host, port, '192.0.2.1', 7), 'Stream')
        const [err] = await far.next('onclose')
        assert.strictEqual(err.code, 'ERR_ALKNET_CHANNEL')
        assert.strictEqual(err.reason, 1)
        assert.ok(!client.log.includes('onchannel'))
        const wrong = new Ear(client.handle.open(type, host, port, '192.0.2.1', 7), 'Stream')
        assert.strictEqual((await wrong.next('onclose'))[0].code, 'ERR_ALKNET_UNSUPPORTED')
      })
    }

    it('to a Unix socket come to the server, which joins them', async () => {
      const { client, server } = await pair()
      const file = socketPath()
      const echo = net.createServer((socket) => socket.pipe(socket)).listen(file)
      await once(echo, 'listening')
      scope.defer(() => { echo.close() })
      const near = new Ear(client.handle.open(DIRECT_STREAMLOCAL, file, 0, '', 0), 'Stream')
      const [channel, type, host, port] = await server.next('onchannel')
      assert.deepStrictEqual([type, host, port], [DIRECT_STREAMLOCAL, file, 0])
      server.handle.accept(channel)
      const relay = new Ear(binding.relay(channel, binding.connectUnix(file)), 'Relay')
      await near.next('onopen')
      near.handle.write(Buffer.from('hello'))
      assert.strictEqual(String(await readStream(near, 5)), 'hello')
      near.handle.end()
      near.handle.resume()
      await near.next('onend')
      near.handle.close()
      assert.deepStrictEqual(await relay.next('onclose'), [null, 5, 5])
      await near.next('onclose')
    })
  })

  describe('Door', () => {
    /** A SOCKS client's end of a stream, which has said its request. */
    async function asks (ear, host, port) {
      ear.handle.write(greeting())
      assert.deepStrictEqual([...await readStream(ear, 2)], [5, 0])
      ear.handle.write(request(host, port))
    }

    async function closeDoor (door) {
      door.handle.close()
      door.handle.close()
      assert.ok(!door.log.includes('onclose'), 'not from inside the call')
      await door.next('onclose')
      assert.strictEqual(door.log.filter((name) => name === 'onclose').length, 1)
    }

    /** A channel that came from the server's listener into a door: { door, far }. */
    async function entered (both) {
      await grant(both, false, '', 1080)
      const { near, far } = await forwarded(both, FORWARDED_TCPIP, '', 1080)
      const door = new Ear(binding.socksDoor(null, null, 60000), 'Door')
      door.handle.enter(near.handle)
      assert.throws(() => near.handle.resume(), closedError)
      return { door, far }
    }

    for (const isOpen of [false, true]) {
      it(`joins a channel and ${isOpen ? 'an open' : 'an opening'} stream`, async () => {
        const both = await pair()
        const echo = await echoServer(scope)
        const { door, far } = await entered(both)
        await asks(far, 'name.example', 443)
        const [handle, version, host, port] = await door.next('onrequest')
        assert.deepStrictEqual([version, host, port], [5, 'name.example', 443])
        const socks = new Ear(handle, 'Socks')
        const target = new Ear(binding.connectTcp('127.0.0.1', echo.port), 'Stream')
        if (isOpen) await target.next('onopen')
        handle.join(target.handle, 60000)
        assert.throws(() => target.handle.resume(), closedError)
        assert.throws(() => handle.refuse(1), closedError)
        assert.deepStrictEqual(await readStream(far, 10), GRANTED)
        await closeDoor(door) // whom it has let in goes on
        far.handle.write(Buffer.from('hello'))
        assert.strictEqual(String(await readStream(far, 5)), 'hello')
        far.handle.end()
        far.handle.resume()
        await far.next('onend')
        far.handle.close()
        assert.deepStrictEqual(await socks.next('onclose'), [null])
        assert.deepStrictEqual(target.log, isOpen ? ['onopen'] : [], 'it is not its owner\'s any more')
        await far.next('onclose')
      })
    }

    it('tells why a stream did not open, and the client may still be refused', async () => {
      const both = await pair()
      const { door, far } = await entered(both)
      await asks(far, '127.0.0.1', 1)
      const [handle] = await door.next('onrequest')
      const socks = new Ear(handle, 'Socks')
      handle.join(binding.connectTcp('127.0.0.1', await freePort()), 60000)
      assert.strictEqual((await socks.next('onrefused'))[0].code, 'ECONNREFUSED')
      // A channel that nobody accepts does not open: the limit ends the wait.
      const waits = both.client.handle.open(0, 'a', 1, 'b', 2)
      handle.join(waits, 1)
      assert.strictEqual((await socks.next('onrefused'))[0].code, 'ERR_ALKNET_TIMEOUT')
      const failed = binding.connectUnix('') // closing, and its onclose not yet told
      handle.join(failed, 60000)
      assert.strictEqual((await socks.next('onrefused'))[0].code, 'EINVAL')
      handle.refuse(5)
      assert.strictEqual((await readStream(far, 10))[1], 5)
      far.handle.close()
      assert.deepStrictEqual(await socks.next('onclose'), [null])
      assert.throws(() => handle.join(binding.connectUnix(''), 1), closedError)
      await Promise.all([far.next('onclose'), closeDoor(door)])
    })

    it('lets an open stream go when its client has gone meanwhile', async () => {
      const both = await pair()
      const echo = await echoServer(scope)
      const { door, far } = await entered(both)
      await asks(far, '127.0.0.1', 1)
      const [handle] = await door.next('onrequest')
      const socks = new Ear(handle, 'Socks')
      const target = new Ear(binding.connectTcp('127.0.0.1', echo.port), 'Stream')
      await target.next('onopen')
      handle.close() // its onclose is still to come
      handle.join(target.handle, 60000)
      assert.strictEqual((await socks.next('onclose'))[0].code, 'ERR_ALKNET_CANCELED')
      await Promise.all([end(far), closeDoor(door)])
    })

    it('asks for a password, from streams of any kind', async () => {
      const door = new Ear(binding.socksDoor('user', 'secret', 60000), 'Door')
      const listener = new Ear(binding.listenUnix(socketPath()), 'Listener')
      for (const [password, isRight] of [['secret', true], ['wrong', false]]) {
        const client = new Ear(binding.connectUnix(listener.handle.address().path), 'Stream')
        const [stream] = await listener.next('onstream')
        door.handle.enter(stream)
        client.handle.write(greeting([2]))
        assert.deepStrictEqual([...await readStream(client, 2)], [5, 2])
        client.handle.write(login('user', password))
        assert.deepStrictEqual([...await readStream(client, 2)], [1, isRight ? 0 : 1])
        if (isRight) {
          client.handle.write(request('a', 1))
          const [handle] = await door.next('onrequest')
          const socks = new Ear(handle, 'Socks')
          handle.close()
          await socks.next('onclose')
        }
        await end(client)
      }
      assert.strictEqual(door.log.length, 1)
      listener.handle.close()
      await Promise.all([listener.next('onclose'), closeDoor(door)])
    })

    it('drops those that have not asked, and only those', async () => {
      const door = new Ear(binding.socksDoor(null, null, 60000), 'Door')
      const silent = await streamPair()
      const asking = await streamPair()
      const late = await streamPair()
      const quiet = new Ear(silent.near, 'Stream')
      const loud = new Ear(asking.near, 'Stream')
      door.handle.enter(silent.far)
      door.handle.enter(asking.far)
      await asks(loud, 'a', 1)
      const [handle] = await door.next('onrequest')
      const socks = new Ear(handle, 'Socks')
      quiet.handle.resume()
      await closeDoor(door)
      await quiet.next('onclose')
      assert.throws(() => door.handle.enter(late.far), closedError)
      late.far.peer() // it is still there
      assert.ok(!socks.log.includes('onclose'))
      handle.refuse(2)
      assert.strictEqual((await readStream(loud, 10))[1], 2)
      for (const stream of [late.near, late.far]) stream.close()
      await Promise.all([end(loud), socks.next('onclose')])
    })

    it('does not take what it cannot talk to', async () => {
      const door = new Ear(binding.socksDoor(null, null, 60000), 'Door')
      const { near, far } = await streamPair()
      far.end()
      assert.throws(() => door.handle.enter(far), closedError)
      near.close()
      assert.throws(() => door.handle.enter({}), { code: 'ERR_ALKNET_OPTION' })
      assert.throws(() => binding.socksDoor('user', null, 1), { code: 'ERR_ALKNET_OPTION' })
      assert.throws(() => binding.socksDoor(null, null, -1), { code: 'ERR_ALKNET_OPTION' })
      far.close()
      const closing = await streamPair()
      closing.near.close()
      door.handle.enter(closing.near) // it goes as any other that goes
      closing.far.close()
      await closeDoor(door)
    })
  })

  describe('a process', function () {
    this.timeout(60000)

    it('may exit whatever is open', async () => {
      const { code, signal, output } = await run(scope, process.execPath, [CHILD, 'exit', socketPath()], { env: cleanEnv(scope) })
      assert.deepStrictEqual({ code, signal }, { code: 0, signal: null }, output)
      assert.match(output, /ready/)
    })

    it('may terminate a worker, whose socket goes with it', async () => {
      const file = socketPath()
      const worker = new Worker(CHILD, { argv: ['worker', file] })
      assert.deepStrictEqual(await once(worker, 'message'), ['ready'])
      assert.ok(fs.existsSync(file))
      await worker.terminate()
      assert.ok(!fs.existsSync(file))
    })

    it('keeps nothing of a thousand listeners, questions and doors', async () => {
      const { code, signal, stdout, output } = await run(scope, process.execPath,
        ['--expose-gc', CHILD, 'rounds', socketPath()], { env: cleanEnv(scope) })
      assert.deepStrictEqual({ code, signal }, { code: 0, signal: null }, output)
      const { live, fdsBefore, fdsAfter, grown } = JSON.parse(stdout)
      assert.strictEqual(live, 0, 'native objects')
      assert.ok(fdsAfter <= fdsBefore, `descriptors: ${fdsBefore} before, ${fdsAfter} after`)
      assert.ok(grown < 16 << 20, `memory grew by ${grown} bytes`)
    })
  })

  it('ends a pair in good order', async () => {
    await endPair(await sessionPair())
  })
})
