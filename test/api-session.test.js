'use strict'

const assert = require('assert')
const { once } = require('events')
const net = require('net')
const alknet = require('..')
const binding = require('../lib/binding')
const { startServer, textOf } = require('./helpers/api')
const { closed, echoServer, expectEcho, listen } = require('./helpers/net')
const { testScope } = require('./helpers/scope')

const CLOSED = { code: 'ERR_ALKNET_CLOSED' }
const OPTION = (option) => ({ code: 'ERR_ALKNET_OPTION', stage: 'options', option })

/** Connects and gives the socket. */
async function dial (address) {
  const socket = address.path === undefined ? net.connect(address.port, '127.0.0.1') : net.connect(address.path)
  await once(socket, 'connect')
  return socket.on('error', () => {}) // a refusal is a reset
}

/** A program there that connects to the listener, says its name and ends. */
async function visit (listener, name) {
  const socket = await dial(listener.address())
  socket.end(name)
  return socket
}

for (const sshEngine of alknet.versions.engines) {
  describe(`a session, ${sshEngine}`, () => {
    const scope = testScope()

    it('opens channels to hosts and to sockets', async () => {
      const path = `${scope.dir()}/echo.sock`
      const { login } = await startServer(scope, { sshEngine, forwarding: { rules: `allow unix:${path}` } })
      const session = await login()
      const echo = await echoServer(scope)
      await expectEcho(await session.open({ host: 'localhost', port: echo.port }))
      const local = net.createServer((socket) => socket.pipe(socket)).listen(path)
      scope.defer(() => local.close())
      await once(local, 'listening')
      if (sshEngine === 'libssh') await assert.rejects(session.open({ path }), { code: 'ERR_ALKNET_UNSUPPORTED' })
      else await expectEcho(await session.open({ path }))
      await assert.rejects(session.open({ host: '127.0.0.1', port: 1 }), { code: 'ERR_ALKNET_CHANNEL', stage: 'channel', reason: 2 })
    })

    it('takes no target that is none', async () => {
      const { login } = await startServer(scope, { sshEngine })
      const session = await login()
      const wrong = [
        [undefined, 'options'], ['a:1', 'options'], [{}, 'host'], [{ host: 'a' }, 'port'], [{ port: 1 }, 'host'], [{ host: 'a', port: '1' }, 'port'],
        [{ host: '-a', port: 1 }, 'host'], [{ host: 'a', port: 65536 }, 'port'], [{ path: 'x' }, 'path'], [{ path: '/x\0' }, 'path'],
        [{ path: `/${'x'.repeat(107)}` }, 'path'], [{ path: '/x', port: 1 }, 'path'], [{ host: 'a', prot: 1 }, 'prot']
      ]
      for (const [target, option] of wrong) await assert.rejects(session.open(target), OPTION(option), JSON.stringify(target))
      await assert.rejects(session.open({ host: 'a', port: 1 }, { sginal: 1 }), { message: /did you mean signal/ })
      await assert.rejects(session.open({ host: 'a', port: 1 }, { signal: 'now' }), OPTION('signal'))
      assert.strictEqual(session.stats().channelsTotal, 0)
    })

    it('tells of each state', async () => {
      const { server, login } = await startServer(scope, { sshEngine })
      const session = await login()
      const seen = []
      session.on('state', (to, from) => {
        assert.strictEqual(session.state, to)
        seen.push(`${from} > ${to}`)
      })
      session.on('close', () => seen.push('close'))
      assert.strictEqual(session.state, 'ready')
      await session.close()
      assert.deepStrictEqual(seen, ['ready > closing', 'closing > closed', 'close'])

      const other = await login()
      other.on('state', (to, from) => seen.push(`${from} > ${to}`))
      seen.length = 0
      server.sessions().at(-1).close()
      await other.closed
      assert.deepStrictEqual(seen, ['ready > closed'])
      assert.strictEqual(other.error.retryable, true)
    })

    it('goes on when a listener of its states throws', async () => {
      const { login } = await startServer(scope, { sshEngine })
      const session = await login()
      const wrong = []
      const others = process.listeners('uncaughtException')
      process.removeAllListeners('uncaughtException')
      process.on('uncaughtException', (err) => wrong.push(err.message))
      try {
        session.on('state', (to) => { throw new Error(to) })
        const closed = once(session, 'close')
        await session.close()
        assert.deepStrictEqual(await closed, [null])
        await new Promise(setImmediate)
      } finally {
        process.removeAllListeners('uncaughtException')
        for (const one of others) process.on('uncaughtException', one)
      }
      assert.deepStrictEqual(wrong, ['closing', 'closed'])
    })

    it('counts bytes and channels, and remembers them', async () => {
      const { login } = await startServer(scope, { sshEngine })
      const session = await login()
      const before = session.stats()
      assert(before.bytesIn > 0 && before.bytesOut > 0)
      const echo = await echoServer(scope)
      const [one, two] = await Promise.all([1, 2].map(() => session.open({ host: '127.0.0.1', port: echo.port })))
      await expectEcho(one)
      one.destroy()
      await closed(one)
      const forward = await session.forwardLocal(`0:127.0.0.1:${echo.port}`)
      const socket = await dial(forward.address())
      await expectEcho(socket)
      const { bytesIn, bytesOut, ...channels } = session.stats()
      assert.deepStrictEqual(channels, { channels: 2, channelsTotal: 3, reconnects: 0, sessions: 1 })
      assert(bytesIn > before.bytesIn && bytesOut > before.bytesOut)
      socket.destroy()
      two.destroy()
      await session.close()
      const after = session.stats()
      assert(after.bytesIn >= bytesIn && after.bytesOut >= bytesOut, 'also when it is over')
      assert.strictEqual(after.channelsTotal, 3)
    })

    it('does nothing once it is closed', async () => {
      const { login } = await startServer(scope, { sshEngine })
      const session = await login()
      await session.close()
      for (const call of [
        () => session.open({ host: 'a', port: 1 }), () => session.forwardLocal('0:a:1'), () => session.forwardRemote('0:a:1'), () => session.listen({ port: 0 }),
        () => session.socks5({ socks5: '127.0.0.1:0' }), () => session.rtt()
      ]) await assert.rejects(call(), CLOSED, String(call))
      await session.close()
    })

    it('does nothing that is aborted before it begins', async () => {
      const { login } = await startServer(scope, { sshEngine })
      const session = await login()
      const why = new Error('not now')
      const signal = AbortSignal.abort(why)
      for (const call of [
        () => session.open({ host: 'a', port: 1 }, { signal }), () => session.forwardLocal('0:a:1', { signal }), () => session.forwardRemote('0:a:1', { signal }),
        () => session.listen({ port: 0 }, { signal }), () => session.socks5({ socks5: '127.0.0.1:0', signal }), () => session.rtt({ signal })
      ]) await assert.rejects(call(), { code: 'ERR_ALKNET_CANCELED', cause: why }, String(call))
      assert.deepStrictEqual(session.openListeners, [])
    })
  })
}

describe('session.rtt()', () => {
  const scope = testScope()

  it('is the time to an answer', async () => {
    const { login } = await startServer(scope, { sshEngine: 'native' })
    const session = await login()
    const [one, two] = await Promise.all([session.rtt(), session.rtt()])
    assert(one > 0)
    assert.strictEqual(one, two, 'who asks while a question is under way gets its answer')
    assert(await session.rtt() > 0, 'and the next one a new one')
  })

  it('is not known to every engine', async function () {
    if (!alknet.versions.engines.includes('libssh')) {
      console.log('      skipped: the libssh engine is not built in')
      this.skip()
    }
    const { login } = await startServer(scope, { sshEngine: 'libssh' })
    await assert.rejects((await login()).rtt(), { code: 'ERR_ALKNET_UNSUPPORTED' })
  })

  it('ends with the session, the time limit or the signal', async () => {
    const { login } = await startServer(scope, { sshEngine: 'native' })
    // All that the server says is held back from some moment on.
    let isDeaf = false
    const sockets = []
    const { server } = await startServer(scope)
    const between = await listen(scope, (socket) => {
      const inner = net.connect(server.address().port, '127.0.0.1')
      sockets.push(socket, inner)
      socket.on('data', (chunk) => { if (!isDeaf) inner.write(chunk) }).on('close', () => inner.destroy())
      inner.pipe(socket)
      inner.on('close', () => socket.destroy())
    })
    const session = await login({ server: `127.0.0.1:${between.port}`, openTimeout: 1, sshEngine: 'native' })
    isDeaf = true
    await assert.rejects(session.rtt(), { code: 'ERR_ALKNET_TIMEOUT' })
    const controller = new AbortController()
    const aborted = session.rtt({ signal: controller.signal })
    controller.abort()
    await assert.rejects(aborted, { code: 'ERR_ALKNET_CANCELED' })
    const lost = assert.rejects(session.rtt(), CLOSED)
    for (const socket of sockets) socket.destroy()
    await lost
  })
})

describe('session.listen()', () => {
  const scope = testScope()

  /** A session, and a listener of it. */
  async function start (place = { port: 0 }, options, serve = {}) {
    const { server, login } = await startServer(scope, { sshEngine: 'native', ...serve })
    const session = await login()
    return { server, session, listener: await session.listen(place, options) }
  }

  it('gives connections to a loop, in their order', async () => {
    const { session, listener } = await start()
    assert.deepStrictEqual([listener.kind, listener.spec, session.openListeners], ['listen', 'localhost:0', [listener]])
    const first = await visit(listener, 'first')
    const seen = []
    for await (const { stream, info } of listener) {
      assert.deepStrictEqual(info, { remoteAddress: '127.0.0.1', remotePort: seen.length === 0 ? first.localPort : info.remotePort })
      seen.push(await textOf(stream))
      stream.end()
      if (seen.length === 1) await visit(listener, 'second')
      else break
    }
    assert.deepStrictEqual(seen, ['first', 'second'])
    await visit(listener, 'third')
    for await (const { stream } of listener) { // who left the loop may come back
      assert.strictEqual(await textOf(stream), 'third')
      stream.end()
      await listener.close()
    }
    assert.deepStrictEqual(session.openListeners, [])
    assert.deepStrictEqual(await listener[Symbol.asyncIterator]().next(), { value: undefined, done: true })
  })

  it('gives them to a listener of its event, those that waited too', async () => {
    const { listener } = await start()
    const waited = await visit(listener, 'early')
    const came = []
    const both = new Promise((resolve) => listener.on('connection', async (stream) => {
      came.push(await textOf(stream))
      stream.end()
      if (came.length === 2) resolve()
      else visit(listener, 'late')
    }))
    await both
    assert.deepStrictEqual(came, ['early', 'late'])
    waited.destroy()
  })

  it('listens at a path', async () => {
    const path = `${scope.dir()}/there.sock`
    const { listener } = await start({ path }, undefined, { forwarding: { permitListen: `unix:${path}` } })
    assert.deepStrictEqual(listener.address(), { path })
    await visit(listener, 'by path')
    const { value: { stream, info } } = await listener[Symbol.asyncIterator]().next()
    assert.deepStrictEqual([await textOf(stream), info], ['by path', {}])
    stream.end()
  })

  it('keeps no more than maxPending, and forgets who goes', async () => {
    const { session, listener } = await start({ port: 0 }, { maxPending: 2 })
    const asked = () => new Promise((resolve) => {
      const { onchannel } = session._remote
      session._remote.onchannel = function (...args) {
        onchannel.apply(this, args)
        session._remote.onchannel = onchannel
        resolve()
      }
    })
    const sockets = []
    for (let i = 0; i < 2; i++) {
      const came = asked()
      sockets.push(await dial(listener.address()))
      await came
    }
    const third = await dial(listener.address())
    await closed(third.resume()) // refused
    const loop = listener[Symbol.asyncIterator]()
    sockets[0].end('still here')
    const { value: { stream } } = await loop.next()
    assert.strictEqual(await textOf(stream), 'still here')
    stream.end()
    const gone = closed(sockets[1].resume())
    await listener.close() // who waits is sent away
    await gone
    assert.strictEqual((await loop.next()).done, true)
  })

  it('ends loops with the error of the session', async () => {
    const { server, session, listener } = await start()
    const waiting = listener[Symbol.asyncIterator]().next()
    server.sessions()[0].close()
    await assert.rejects(waiting, (err) => err === session.error && err.code === 'ERR_ALKNET_LOST')
    await listener.closed
  })

  it('takes no place that is none, and hears a no', async () => {
    const { session } = await start()
    const wrong = [[{}, 'port'], [{ host: 'example.com', port: 0 }, 'host'], [{ path: '/a', host: '' }, 'path'], [{ path: 'a' }, 'path'], [null, 'options']]
    for (const [place, option] of wrong) await assert.rejects(session.listen(place), OPTION(option), JSON.stringify(place))
    await assert.rejects(session.listen({ port: 0 }, { maxPending: 0 }), OPTION('maxPending'))
    await assert.rejects(session.listen({ host: '*', port: 0 }), { code: 'ERR_ALKNET_CHANNEL', stage: 'listen' })
  })

  it('leaves no connection where the engine does not take its options', async () => {
    const { server, login } = await startServer(scope)
    const before = binding.live()
    // 255 characters at most, and more bytes than an engine has for them.
    await assert.rejects(login({ user: 'ü'.repeat(200) }), { code: 'ERR_ALKNET_OPTION' })
    while (server.connections > 0 || binding.live() > before) await new Promise(setImmediate)
  })

  it('leaves nothing behind', async () => {
    const before = binding.live()
    const { server, session, listener } = await start()
    await visit(listener, 'nobody takes it')
    await session.close()
    await server.close()
    while (binding.live() > before) await new Promise(setImmediate)
  })
})
