'use strict'

/** Several SSH sessions behind one client: when there is another, what goes where, and what the end of one ends. */

const assert = require('node:assert')
const { once } = require('node:events')
const net = require('node:net')
const alknet = require('..')
const binding = require('../lib/binding')
const { needAlknet } = require('./helpers/alknet')
const { startServer, threeKeys } = require('./helpers/api')
const { HOST, certificateLine, certify, makeKey } = require('./helpers/certificates')
const { closed, dial, echoServer, expectEcho, listen, readBytes } = require('./helpers/net')
const { testScope } = require('./helpers/scope')
const { socksOpen } = require('./helpers/socks')

const turn = () => new Promise(setImmediate)

let ended = 0 // tests
afterEach(() => { ended++ })

/** Resolves when it is so; where it never becomes so, the test ends by its own limit, and this with it. */
async function until (isSo) {
  const before = ended
  while (!isSo()) {
    if (ended !== before) throw new Error('the test has ended')
    await turn()
  }
}

/** Ends a stream of a session, channel and all. */
async function leave (stream) {
  stream.destroy()
  if (!stream.closed) await once(stream, 'close')
}

/** For a session's pool so much time passes, and from then on no other. */
function passTime (session, ms) {
  const pool = session._pool
  clearInterval(pool._timer)
  pool._measure(pool._at + ms)
}

/** How many channels each link of a session has, the first one's first. */
const loads = (session) => [session._link, ...session._pool._ready].map((link) => link.channels())

for (const sshEngine of alknet.versions.engines) {
  describe(`several sessions, ${sshEngine}`, () => {
    const scope = testScope()
    before(function () { needAlknet(this) })

    /** A server with an echo, and a session with `sessions` that one channel fills. */
    async function setUp (options = {}, serverOptions = {}) {
      const lines = []
      const { server, login, keys } = await startServer(scope, { sshEngine, ...serverOptions })
      const echo = await echoServer(scope)
      const target = { host: '127.0.0.1', port: echo.port }
      const session = await login({
        sessions: 3, sessionChannels: 1, log: { level: 'info', write: (line) => lines.push(line) }, ...options
      })
      const states = []
      session.on('state', (to) => states.push(to))
      /** Opens a channel, when so many links are there. */
      const openAt = async (count) => {
        await until(() => session.stats().sessions === count)
        return session.open(target)
      }
      return { server, keys, session, target, echo, states, lines, openAt }
    }

    /** As many channels as links, one each. */
    async function fill (all) {
      const streams = []
      for (let count = 1; count <= 3; count++) {
        const stream = await all.openAt(count)
        streams.push(stream)
        // The next finds all full, and goes where one is all the same.
        const early = await all.session.open(all.target)
        await expectEcho(early)
        await leave(early)
      }
      return streams
    }

    it('another one is opened when those that there are are full, up to the limit', async () => {
      const all = await setUp()
      assert.strictEqual(all.session.stats().sessions, 1)
      const streams = await fill(all)
      assert.deepStrictEqual(loads(all.session), [1, 1, 1])
      for (let i = 0; i < 3; i++) streams.push(await all.session.open(all.target))
      assert.deepStrictEqual(loads(all.session), [2, 2, 2])
      for (const stream of streams) await expectEcho(stream)
      assert.strictEqual(all.server.stats().sessions, 3)
      assert.deepStrictEqual(all.states, [])
      assert.deepStrictEqual(all.lines.filter((line) => /sessions/.test(line)).map((line) => line.match(/open=\d/)[0]), ['open=2', 'open=3'])
    })

    it('one alone has no other, however full', async () => {
      const all = await setUp({ sessions: 1 })
      const streams = await Promise.all(Array.from({ length: 5 }, () => all.session.open(all.target)))
      for (const stream of streams) await expectEcho(stream)
      assert.deepStrictEqual(loads(all.session), [5])
      assert.deepStrictEqual([all.server.stats().accepted, all.session._pool._timer], [1, null])
    })

    it('the limit of channels fills one, where that is the lower', async () => {
      const all = await setUp({ sessionChannels: 64, maxChannels: 2, sessions: 2 })
      await expectEcho(await all.openAt(1))
      await expectEcho(await all.openAt(1))
      for (let i = 0; i < 2; i++) await expectEcho(await all.openAt(2))
      assert.deepStrictEqual(loads(all.session), [2, 2])
      await assert.rejects(all.session.open(all.target), { code: 'ERR_ALKNET_LIMIT' })
    })

    it('all ways into it go over all of them', async () => {
      const all = await setUp({ socks5: '127.0.0.1:0' })
      const [proxy] = all.session.openListeners
      const forward = await all.session.forwardLocal(`0:127.0.0.1:${all.target.port}`)
      await expectEcho(await all.openAt(1))
      await expectEcho(await socksOpen(scope, proxy.address(), '127.0.0.1', all.target.port))
      await until(() => all.session.stats().sessions === 2)
      await expectEcho(await dial(scope, forward.address().port))
      assert.deepStrictEqual(loads(all.session), [2, 1])
      await expectEcho(await dial(scope, forward.address().port))
      await until(() => all.session.stats().sessions === 3)
      await expectEcho(await socksOpen(scope, proxy.address(), '127.0.0.1', all.target.port))
      assert.deepStrictEqual(loads(all.session), [2, 2, 1])
      assert.deepStrictEqual([all.session.stats().channels, all.session.stats().channelsTotal], [5, 5])
    })

    it('a rate fills one as well', async () => {
      const all = await setUp({ sessionChannels: 100, sessionRate: 1000 })
      const busy = await all.openAt(1)
      busy.write(Buffer.alloc(100_000))
      await readBytes(busy, 100_000)
      passTime(all.session, 1000)
      await expectEcho(await all.openAt(1)) // finds the first busy, and has no other
      await expectEcho(await all.openAt(2))
      assert.deepStrictEqual(loads(all.session), [2, 1])
      passTime(all.session, 1000) // a few bytes make none busy
      passTime(all.session, 1000)
      await expectEcho(await all.openAt(2))
      assert.deepStrictEqual([loads(all.session), all.session.stats().sessions], [[2, 2], 2])
    })

    it('idle ones are closed, the first is not, and the bytes stay counted', async () => {
      const all = await setUp({ sessionIdle: 60 })
      const streams = await fill(all)
      const { bytesIn, bytesOut } = all.session.stats()
      passTime(all.session, 0) // from here on it is the test's
      await leave(streams[1])
      await until(() => loads(all.session)[1] === 0)
      passTime(all.session, 59_999)
      assert.strictEqual(all.session.stats().sessions, 3)
      passTime(all.session, 2)
      await until(() => all.session.stats().sessions === 2)
      for (const stream of [streams[0], streams[2]]) {
        await expectEcho(stream)
        await leave(stream)
      }
      await until(() => loads(all.session).every((one) => one === 0))
      passTime(all.session, 60_001)
      await until(() => all.session.stats().sessions === 1 && all.server.stats().sessions === 1)
      const after = all.session.stats()
      assert(after.bytesIn >= bytesIn && after.bytesOut >= bytesOut)
      await until(() => { // nothing is measured where nothing goes on
        passTime(all.session, 60_000)
        return all.session._pool._timer === null
      })
      await expectEcho(await all.openAt(1)) // and it begins anew
      assert.deepStrictEqual(all.states, [])
    })

    it('one that is used in between is not idle', async () => {
      const all = await setUp({ sessions: 2, sessionIdle: 60 })
      await all.openAt(1)
      await leave(await all.session.open(all.target))
      for (let i = 0; i < 4; i++) {
        await leave(await all.openAt(2))
        await until(() => loads(all.session)[1] === 0)
        passTime(all.session, 59_999)
      }
      assert.strictEqual(all.session.stats().sessions, 2)
      passTime(all.session, 60_001) // sums of fractions may be a little less than they are
      await until(() => all.session.stats().sessions === 1)
    })

    it('with sessionIdle 0 they stay', async () => {
      const all = await setUp({ sessionIdle: 0 })
      for (const stream of await fill(all)) stream.destroy()
      await until(() => loads(all.session).every((one) => one === 0))
      passTime(all.session, 1e9)
      assert.strictEqual(all.session.stats().sessions, 3)
    })

    it('one that is lost ends its own channels, and is replaced', async () => {
      const all = await setUp()
      const streams = await fill(all)
      const gone = closed(streams[1])
      all.server.sessions()[1].close()
      await gone
      for (const stream of [streams[0], streams[2]]) await expectEcho(stream)
      await expectEcho(await all.openAt(2))
      await expectEcho(await all.openAt(3))
      assert.deepStrictEqual(all.states, [])
    })

    it('of the first another takes the place, and the session stays ready', async () => {
      const all = await setUp()
      const streams = await fill(all)
      const before = all.session.stats()
      const gone = closed(streams[0])
      all.server.sessions()[0].close()
      await gone
      for (const stream of streams.slice(1)) await expectEcho(stream)
      await expectEcho(await all.openAt(2))
      await expectEcho(await all.openAt(3))
      assert.deepStrictEqual([all.states, all.session.state, all.session.stats().reconnects], [[], 'ready', 0])
      assert(all.session.stats().bytesIn > before.bytesIn)
      assert(all.session.info.kex !== '')
    })

    it('the last that is lost is the end, without reconnect', async () => {
      const all = await setUp()
      await fill(all)
      for (const one of all.server.sessions()) one.close()
      await all.session.closed
      assert.strictEqual(all.session.error.code, 'ERR_ALKNET_LOST')
      assert.deepStrictEqual([all.states.at(-1), all.session.stats().sessions], ['closed', 0])
    })

    it('with reconnect it comes back, with one', async () => {
      const all = await setUp({ reconnect: { minDelayMs: 1, maxDelayMs: 20 } })
      await fill(all)
      for (const one of all.server.sessions()) one.close()
      await until(() => all.session.stats().reconnects === 1 && all.session.state === 'ready')
      assert.deepStrictEqual(all.states, ['lost', 'waiting', 'connecting', 'ready'])
      assert.strictEqual(all.session.stats().sessions, 1)
      await expectEcho(await all.openAt(1))
      await all.session.open(all.target)
      await expectEcho(await all.openAt(2))
    })

    it('reconnect() gives up all of them', async () => {
      const all = await setUp()
      const streams = await fill(all)
      const ends = Promise.all(streams.map(closed))
      await all.session.reconnect()
      await ends
      await until(() => all.server.stats().sessions === 1)
      assert.deepStrictEqual([all.session.stats().sessions, all.session.stats().reconnects], [1, 1])
      await expectEcho(await all.openAt(1))
    })

    it('a server that has no room for another one: the first does it all', async () => {
      const all = await setUp({}, { maxSessions: 1 })
      const streams = [await all.session.open(all.target), await all.session.open(all.target)]
      await until(() => all.lines.some((line) => /no further session/.test(line)))
      assert(all.session._pool._notBefore - performance.now() <= 1200) // it has refused no key
      const { accepted } = all.server.stats()
      for (let i = 0; i < 5; i++) streams.push(await all.session.open(all.target)) // it is not asked again at once
      for (const stream of streams) await expectEcho(stream)
      assert.deepStrictEqual([all.server.stats().accepted, all.session.stats().sessions, all.states], [accepted, 1, []])
      await all.server.reloadAll({ maxSessions: 0 })
      all.session._pool._notBefore = 0 // the wait is over
      await all.session.open(all.target)
      await until(() => all.session.stats().sessions === 2)
    })

    it('a key that is refused by now is tried again after a minute', async () => {
      const all = await setUp()
      await all.server.reloadAll({ authorizedKeys: Buffer.from(all.keys.stranger.publicKey) })
      await all.session.open(all.target)
      await all.session.open(all.target)
      await until(() => all.lines.some((line) => /no further session.*ERR_ALKNET_AUTH/.test(line)))
      const { accepted } = all.server.stats()
      await expectEcho(await all.session.open(all.target))
      assert.deepStrictEqual([all.server.stats().accepted, all.session._pool._opening], [accepted, null])
      await all.server.reloadAll({ authorizedKeys: Buffer.from(all.keys.user.publicKey) })
      all.session._pool._notBefore -= 60_000
      await all.session.open(all.target)
      await until(() => all.session.stats().sessions === 2)
    })

    it('never one with another server, even if that is trusted, too', async () => {
      const { host, stranger } = await threeKeys()
      const here = await startServer(scope, { sshEngine })
      const other = await startServer(scope, { sshEngine, hostKey: stranger.privateKey })
      const doors = [here.server, other.server, other.server].map((server) => server.address().port)
      const between = await listen(scope, (socket) => {
        const inner = net.connect(doors.shift(), '127.0.0.1').on('error', () => {})
        socket.pipe(inner).pipe(socket)
      })
      const lines = []
      const echo = await echoServer(scope)
      const target = { host: '127.0.0.1', port: echo.port }
      const session = await here.login({
        server: `127.0.0.1:${between.port}`, hostKey: [host.fingerprint, stranger.fingerprint], sessions: 2, sessionChannels: 1, log: { level: 'info', write: (line) => lines.push(line) }
      })
      await session.open(target)
      await session.open(target)
      await until(() => lines.some((line) => /no further session.*ERR_ALKNET_HOSTKEY/.test(line)))
      session._pool._notBefore = 0
      await expectEcho(await session.open(target))
      assert.deepStrictEqual([session.stats().sessions, between.accepted, other.server.stats().channelsTotal], [1, 2, 0])
    })

    it('close() in every state leaves nothing', async () => {
      const live = binding.live()
      for (let turns = 0; turns < 40; turns += 3) {
        const all = await setUp()
        await all.session.open(all.target)
        await all.session.open(all.target) // and another link is under way
        for (let i = 0; i < turns; i++) await turn()
        await all.session.close()
        assert.deepStrictEqual([all.session.stats().sessions, all.session._pool._all.size, all.session._pool._timer], [0, 0, null])
        await all.server.close()
      }
      await until(() => binding.live() <= live)
    })

    it('close() with a time to drain waits for the connections of all', async () => {
      const all = await setUp({ socks5: '127.0.0.1:0' })
      const [proxy] = all.session.openListeners
      const sockets = []
      for (let count = 1; count <= 2; count++) {
        await until(() => all.session.stats().sessions === count)
        sockets.push(await socksOpen(scope, proxy.address(), '127.0.0.1', all.target.port), await socksOpen(scope, proxy.address(), '127.0.0.1', all.target.port))
      }
      await until(() => all.session.stats().sessions === 3)
      const isClosed = all.session.close({ drainMs: 60_000 })
      for (const socket of sockets) {
        await expectEcho(socket)
        assert.strictEqual(all.session.state, 'closing')
        socket.destroy()
      }
      await isClosed
    })

    it('asynchronous disposal closes all', async () => {
      const all = await setUp()
      await fill(all)
      await all.session[Symbol.asyncDispose]()
      await until(() => all.server.stats().sessions === 0)
    })

    it('is told in the status', async () => {
      const path = `${scope.dir()}/control`
      const all = await setUp({ control: path })
      await fill(all)
      const { sessions, state } = await alknet.askControl(path, { op: 'status' })
      assert.deepStrictEqual([sessions, state], [3, 'ready'])
    })
  })
}

describe('several sessions and what there is only once', () => {
  const scope = testScope()
  before(function () { needAlknet(this) })

  async function setUp (options, serverOptions) {
    const { server, login } = await startServer(scope, { sshEngine: 'native', ...serverOptions })
    const echo = await echoServer(scope)
    const target = { host: '127.0.0.1', port: echo.port }
    const session = await login({ sessions: 2, sessionChannels: 1, ...options })
    await session.open(target)
    await session.open(target)
    await until(() => session.stats().sessions === 2)
    return { server, session, target }
  }

  it('remote forwards move with the first, to the same port', async () => {
    const echo = await echoServer(scope)
    const { server, session } = await setUp({ remoteForward: `0:127.0.0.1:${echo.port}` })
    const [forward] = session.openListeners
    const { port } = forward.address()
    await expectEcho(await dial(scope, port))
    const isBack = once(session, 'listener')
    server.sessions()[0].close()
    const [listener, err] = await isBack
    assert.deepStrictEqual([listener, err, session.state, forward.address().port], [forward, null, 'ready', port])
    await expectEcho(await dial(scope, port))
    const added = await session.forwardRemote(`0:127.0.0.1:${echo.port}`)
    await expectEcho(await dial(scope, added.address().port))
    await Promise.all([forward.close(), added.close()])
  })

  it('what is said to the server is said over the first, also when it is full', async () => {
    const names = []
    const { session } = await setUp({}, {
      onConnection: (stream, info) => {
        names.push(info.destination)
        stream.end()
      }
    })
    const before = loads(session)
    const control = await session.open({ host: 'alknet-control', port: 0 })
    assert.deepStrictEqual(loads(session), [before[0] + 1, before[1]])
    control.destroy()
    const other = await session.open({ host: 'alknet-other', port: 0 })
    assert.deepStrictEqual(names, ['alknet-control:0', 'alknet-other:0'])
    other.destroy()
  })

  it('a server is the same with another certificate for its key', async () => {
    const ca = makeKey()
    const { host } = await threeKeys()
    const certified = (serial) => Buffer.from(certificateLine(
      certify(ca, Buffer.from(host.publicKey.split(' ')[1], 'base64'), { kind: HOST, principals: ['127.0.0.1'], serial })))
    const [before, now] = [await startServer(scope, { hostCertificate: certified(1) }), await startServer(scope, { hostCertificate: certified(2) })]
    const doors = [before, now].map(({ server }) => server.address().port)
    const between = await listen(scope, (socket) => {
      const inner = net.connect(doors.shift(), '127.0.0.1').on('error', () => {})
      socket.pipe(inner).pipe(socket)
    })
    const echo = await echoServer(scope)
    const target = { host: '127.0.0.1', port: echo.port }
    const session = await before.login({
      server: `127.0.0.1:${between.port}`, hostKey: undefined, knownHosts: [Buffer.from(`@cert-authority * ${ca.public}\n`)], sessions: 2, sessionChannels: 1
    })
    assert.match(session.info.hostkey, /-cert-/)
    await session.open(target)
    await session.open(target)
    await until(() => session.stats().sessions === 2)
    await expectEcho(await session.open(target))
    assert.strictEqual(now.server.stats().channelsTotal, 1)
  })

  it('a stream carries one', async () => {
    await assert.rejects(alknet.openSession({ stream: new net.Socket(), hostKey: `SHA256:${'a'.repeat(43)}`, identity: 'x', sessions: 2 }),
      { code: 'ERR_ALKNET_OPTION', message: /^sessions: makes no sense together with stream/ })
  })

  it('one that is lost has the others asked for a sign of life', async () => {
    const { server, session } = await setUp({ keepalive: 3600 })
    const asked = []
    const first = session._link
    first.probe = () => asked.push('first')
    server.sessions()[1].close()
    await until(() => session.stats().sessions === 1)
    assert.deepStrictEqual(asked, ['first'])
  })
})
