'use strict'

/** A session that is lost comes back: its states, its listeners, who waits for it, and what ends it for good. */

const assert = require('node:assert')
const dns = require('node:dns')
const { once } = require('node:events')
const net = require('node:net')
const { PassThrough } = require('node:stream')
const alknet = require('..')
const binding = require('../lib/binding')
const { needAlknet } = require('./helpers/alknet')
const { threeKeys } = require('./helpers/api')
const { closed, dial, echoServer, expectEcho, freePort, freezableWay, listen, readAll } = require('./helpers/net')
const { testScope } = require('./helpers/scope')
const { socksOpen } = require('./helpers/socks')

const turn = () => new Promise(setImmediate)

const FAST = { minDelayMs: 1, maxDelayMs: 20 }

describe('reconnect', () => {
  const scope = testScope()
  before(function () { needAlknet(this) })

  /** A server at a port that is the same whenever it starts again. */
  async function restartable (options = {}) {
    const { host, user } = await threeKeys()
    const here = { server: null, port: 0 }
    here.start = async (more = {}) => {
      here.server = await alknet.serve({
        hostKey: host.privateKey,
        authorizedKeys: Buffer.from(user.publicKey),
        listen: `127.0.0.1:${here.port}`,
        ...options,
        ...more
      })
      here.port = here.server.address().port
    }
    here.stop = () => here.server.close()
    scope.defer(() => here.stop())
    await here.start()
    here.options = {
      server: `127.0.0.1:${here.port}`, identity: user.privateKey, hostKey: host.fingerprint, knownHosts: [], reconnect: FAST
    }
    here.login = async (more = {}) => {
      const session = await alknet.openSession({ ...here.options, ...more })
      scope.defer(() => session.close())
      return session
    }
    return here
  }

  /** Resolves when the session is in a state, or was. */
  function reached (session, state) {
    return new Promise((resolve) => {
      if (session.state === state) return resolve()
      const listener = (to) => {
        if (to !== state) return
        session.off('state', listener)
        resolve()
      }
      session.on('state', listener)
    })
  }

  /** Resolves when a try has failed with this code. */
  function refusedOnce (session, code) {
    return new Promise((resolve) => session.on('state', (to, from, err) => { if (to === 'waiting' && err.code === code) resolve() }))
  }

  /** Resolves with the error of a socket. */
  async function failed (socket) {
    socket.removeAllListeners('error')
    return (await once(socket.resume(), 'error'))[0]
  }

  it('goes through its states, and says why', async () => {
    const here = await restartable()
    const session = await here.login()
    const seen = []
    session.on('state', (to, from, err) => seen.push([from, to, err?.code]))
    const isBack = reached(session, 'connecting').then(() => reached(session, 'ready'))
    here.server.sessions()[0].close()
    await isBack
    assert.deepStrictEqual(seen, [
      ['ready', 'lost', 'ERR_ALKNET_LOST'], ['lost', 'waiting', 'ERR_ALKNET_LOST'], ['waiting', 'connecting', undefined], ['connecting', 'ready', undefined]])
    assert.strictEqual(session.stats().reconnects, 1)
    await expectEcho(await session.open({ host: '127.0.0.1', port: (await echoServer(scope)).port }))
    await session.close()
    assert.deepStrictEqual(seen.slice(4), [['ready', 'closing', undefined], ['closing', 'closed', undefined]])
    assert.strictEqual(session.error, null)
  })

  it('keeps its listeners, and what comes meanwhile waits', async () => {
    const here = await restartable()
    const echo = await echoServer(scope)
    const session = await here.login({ socks5: '127.0.0.1:0', forward: `0:127.0.0.1:${echo.port}` })
    const [proxy, forward] = session.openListeners
    await here.stop()
    await reached(session, 'waiting')
    assert(proxy.isListening && forward.isListening)
    const waiting = [
      session.open({ host: '127.0.0.1', port: echo.port }),
      socksOpen(scope, proxy.address(), '127.0.0.1', echo.port),
      dial(scope, forward.address().port)
    ]
    const socket = await waiting[2]
    while (session._channels._waiting.size < 3) await turn()
    await here.start()
    for (const one of await Promise.all(waiting)) await expectEcho(one)
    socket.destroy()
  })

  it('resets what was open', async () => {
    const here = await restartable()
    const echo = await echoServer(scope)
    const between = await listen(scope, (socket) => {
      const inner = net.connect(here.port, '127.0.0.1').on('error', () => {})
      socket.pipe(inner).pipe(socket)
    })
    const session = await here.login({ server: `127.0.0.1:${between.port}`, socks5: '127.0.0.1:0', forward: `0:127.0.0.1:${echo.port}` })
    const [proxy, forward] = session.openListeners
    const open = [await socksOpen(scope, proxy.address(), '127.0.0.1', echo.port), await dial(scope, forward.address().port)]
    for (const one of open) await expectEcho(one)
    const stream = await session.open({ host: '127.0.0.1', port: echo.port })
    const ends = open.map(failed)
    for (const socket of between.sockets) socket.resetAndDestroy()
    assert.deepStrictEqual((await Promise.all(ends)).map((err) => err.code), ['ECONNRESET', 'ECONNRESET'])
    await closed(stream)
    assert(stream.errored !== null)
    await reached(session, 'ready')
    await expectEcho(await dial(scope, forward.address().port))
  })

  it('lets nobody wait for longer than waitTimeout, nor too many', async () => {
    const here = await restartable()
    const session = await here.login({ socks5: '127.0.0.1:0', forward: '0:a:1', waitTimeout: 1, maxWaiting: 3 })
    const [proxy, forward] = session.openListeners
    await here.stop()
    await reached(session, 'waiting')
    const opening = session.open({ host: 'a', port: 1 })
    const refused = socksOpen(scope, proxy.address(), 'a', 1).catch((err) => err)
    const reset = failed(await dial(scope, forward.address().port))
    while (session._channels._waiting.size < 3) await turn()
    await assert.rejects(session.open({ host: 'a', port: 1 }), { code: 'ERR_ALKNET_LIMIT', stage: 'session' })
    await assert.rejects(opening, { code: 'ERR_ALKNET_TIMEOUT', stage: 'session', retryable: true })
    assert.strictEqual((await refused).code, 6)
    await reset
    assert.strictEqual(session._channels._waiting.size, 0)
    await assert.rejects(session.rtt(), { code: 'ERR_ALKNET_LOST' })
  })

  it('forgets who goes, and tells all at the end', async () => {
    const here = await restartable()
    const session = await here.login({ socks5: '127.0.0.1:0' })
    await here.stop()
    await reached(session, 'waiting')
    const controller = new AbortController()
    const aborted = session.open({ host: 'a', port: 1 }, { signal: controller.signal })
    controller.abort()
    await assert.rejects(aborted, { code: 'ERR_ALKNET_CANCELED', stage: 'channel' })
    const calls = [session.open({ host: 'a', port: 1 }), session.forwardRemote('0:a:1'), session.listen({ port: 0 }), session.reconnect()]
    const all = Promise.all(calls.map((call) => assert.rejects(call, { code: 'ERR_ALKNET_CLOSED' })))
    await session.close()
    await all
    await assert.rejects(session.reconnect(), { code: 'ERR_ALKNET_CLOSED' })
  })

  it('keeps nothing of clients that leave while they wait', async () => {
    const here = await restartable()
    const echo = await echoServer(scope)
    const session = await here.login({ socks5: '127.0.0.1:0', forward: `0:127.0.0.1:${echo.port}` })
    const [proxy, forward] = session.openListeners
    const before = binding.live()
    await here.stop()
    await reached(session, 'waiting')
    const sockets = []
    for (let i = 0; i < 5; i++) {
      const asking = await dial(scope, proxy.address().port)
      asking.write(Buffer.from([5, 1, 0, 5, 1, 0, 1, 127, 0, 0, 1, echo.port >> 8, echo.port & 255]))
      sockets.push(asking, await dial(scope, forward.address().port))
    }
    while (session._channels._waiting.size < sockets.length) await turn()
    for (const socket of sockets) socket.destroy()
    await here.start()
    await reached(session, 'ready')
    while (session._channels.clients.size > 0 || session.stats().channels > 0) await turn()
    assert.strictEqual(session._channels._waiting.size, 0)
    while (binding.live() > before) await turn()
  })

  it('has the server listen again, at the same port', async () => {
    const here = await restartable({ sshEngine: 'native' })
    const echo = await echoServer(scope)
    const session = await here.login({ sshEngine: 'native', remoteForward: `0:127.0.0.1:${echo.port}` })
    const listener = await session.listen({ port: 0 })
    const [forward] = session.openListeners
    const { port } = forward.address()
    const back = []
    session.on('listener', (one, err) => back.push([one.kind, err]))
    await here.stop()
    await reached(session, 'waiting')
    assert.deepStrictEqual(session.openListeners.map((one) => one.isListening), [false, false])
    await here.start()
    while (back.length < 2) await turn()
    assert.deepStrictEqual(back, [['remote-forward', null], ['listen', null]])
    assert.deepStrictEqual([forward.address().port, forward.isListening, listener.isListening], [port, true, true])
    await expectEcho(await dial(scope, port))
    const visitor = await dial(scope, listener.address().port)
    const { value: { stream } } = await listener[Symbol.asyncIterator]().next()
    stream.end('hello')
    assert.strictEqual(String((await once(visitor, 'data'))[0]), 'hello')
  })

  it('says when the server does not listen any more, and asks until it does', async () => {
    const here = await restartable({ sshEngine: 'native' })
    const session = await here.login({ sshEngine: 'native' })
    const forward = await session.forwardRemote('0:127.0.0.1:1')
    const { port } = forward.address()
    await here.stop()
    const thief = await listen(scope, () => {}, { port })
    const lost = once(forward, 'lost')
    await here.start()
    const [err] = await lost
    assert.deepStrictEqual([err.code, err.stage, forward.isListening, session.state], ['ERR_ALKNET_CHANNEL', 'listen', false, 'ready'])
    assert.deepStrictEqual([session.openListeners, forward.problem], [[forward], err])
    await session.reconnect() // asks for it, in vain
    assert.strictEqual(forward.isListening, false)
    const back = once(forward, 'listening')
    await new Promise((resolve) => thief.close(resolve))
    await back
    assert.deepStrictEqual([forward.isListening, forward.problem], [true, null])
    await forward.close()
    assert.deepStrictEqual(session.openListeners, [])
  })

  it('tries at once when it is told to, whatever its state', async () => {
    const here = await restartable()
    const session = await here.login({ reconnect: { minDelayMs: 3_600_000, maxDelayMs: 3_600_000 } })
    await session.reconnect()
    assert.strictEqual(session.state, 'ready')
    await here.stop()
    await reached(session, 'waiting')
    await here.start()
    await Promise.all([session.reconnect(), session.reconnect()])
    assert.deepStrictEqual([session.state, session.stats().reconnects], ['ready', 2])
    const controller = new AbortController()
    await here.stop()
    await reached(session, 'waiting')
    const waited = session.reconnect({ signal: controller.signal })
    controller.abort()
    await assert.rejects(waited, { code: 'ERR_ALKNET_CANCELED' })
    await here.start()
    await session.reconnect()
    await session.close()
  })

  it('without the option there is one try, and only when it is told to', async () => {
    const here = await restartable()
    const session = await here.login({ reconnect: false })
    await session.reconnect()
    assert.strictEqual(session.state, 'ready')
    await here.stop()
    await session.closed
    assert.strictEqual(session.error.code, 'ERR_ALKNET_LOST')
    await here.start()
    const other = await here.login({ reconnect: false })
    here.options.server = `127.0.0.1:${await freePort()}`
    other._keeper._servers = [{ host: '127.0.0.1', port: await freePort() }]
    await assert.rejects(other.reconnect(), { code: 'ECONNREFUSED', stage: 'connect' })
    await other.closed
    assert.strictEqual(other.error.code, 'ECONNREFUSED')
  })

  it('gives up after maxAttempts', async () => {
    const here = await restartable()
    const session = await here.login({ reconnect: { ...FAST, maxAttempts: 3 } })
    const states = []
    session.on('state', (to) => states.push(to))
    await here.stop()
    await session.closed
    assert.strictEqual(session.error.code, 'ECONNREFUSED')
    assert.deepStrictEqual(states, ['lost', ...Array(3).fill(['waiting', 'connecting']).flat(), 'closed'])
  })

  it('never goes past another host key', async () => {
    const here = await restartable()
    const session = await here.login()
    await here.stop()
    await here.start({ hostKey: (await threeKeys()).stranger.privateKey })
    await session.closed
    assert.deepStrictEqual([session.error.code, session.error.stage], ['ERR_ALKNET_HOSTKEY', 'hostkey'])
  })

  it('tries again when its key is refused later, not when it is at first', async () => {
    const here = await restartable()
    const session = await here.login()
    await here.stop()
    await here.start({ authorizedKeys: [] })
    await refusedOnce(session, 'ERR_ALKNET_AUTH')
    await here.stop()
    await here.start()
    await reached(session, 'ready')
    const { stranger } = await threeKeys()
    await assert.rejects(here.login({ identity: stranger.privateKey, retry: true }), { code: 'ERR_ALKNET_AUTH' })
    await assert.rejects(here.login({ hostKey: stranger.fingerprint, retry: true }), { code: 'ERR_ALKNET_HOSTKEY' })
    await assert.rejects(here.login({ identity: Buffer.from('none'), retry: true }), { code: 'ERR_ALKNET_KEY' })
    const taken = await listen(scope, () => {})
    await assert.rejects(here.login({ forward: `${taken.port}:a:1`, retry: true }), { code: 'EADDRINUSE' })
  })

  it('tries the first connection again with retry', async () => {
    const here = await restartable()
    await here.stop()
    await assert.rejects(here.login(), { code: 'ECONNREFUSED' })
    let opening
    const coming = await new Promise((resolve) => { opening = here.login({ retry: true, onSession: resolve }) })
    await refusedOnce(coming, 'ECONNREFUSED')
    await here.start()
    const session = await opening
    assert.strictEqual(session, coming)
    assert.deepStrictEqual([session.state, session.stats().reconnects], ['ready', 0])
    await here.stop()
    const controller = new AbortController()
    let aborted
    const other = await new Promise((resolve) => { aborted = here.login({ retry: true, signal: controller.signal, onSession: resolve }) })
    await reached(other, 'waiting')
    controller.abort()
    await assert.rejects(aborted, { code: 'ERR_ALKNET_CANCELED' })
  })

  it('has no more remote forwards after many first tries than it asks for', async () => {
    const here = await restartable({ sshEngine: 'native' })
    const taken = await listen(scope, () => {})
    const options = { sshEngine: 'native', retry: true, remoteForward: ['127.0.0.1:0:127.0.0.1:1', `127.0.0.1:${taken.port}:127.0.0.1:1`] }
    // A login alone is no session: these are tries that have failed.
    await assert.rejects(here.login({ ...options, reconnect: { ...FAST, maxAttempts: 3 } }), { code: 'ERR_ALKNET_CHANNEL', stage: 'listen' })
    let opening
    const coming = await new Promise((resolve) => { opening = here.login({ ...options, onSession: resolve }) })
    for (let i = 0; i < 5; i++) await refusedOnce(coming, 'ERR_ALKNET_CHANNEL')
    await new Promise((resolve) => taken.close(resolve))
    const session = await opening
    assert.deepStrictEqual(session.openListeners.map((one) => [one.spec, one.isListening]), options.remoteForward.map((spec) => [spec, true]))
    assert.strictEqual(here.server.stats().remoteForwards, 2)
    await session.reconnect()
    assert.deepStrictEqual(session.openListeners.map((one) => one.isListening), [true, true])
  })

  it('comes back when it is given up in the turn in which it came', async () => {
    const here = await restartable()
    const session = await here.login()
    for (let ticks = 0; ticks < 24; ticks++) {
      const given = new Promise((resolve) => {
        const listener = async (to) => {
          if (to !== 'ready') return
          session.off('state', listener)
          for (let i = 0; i < ticks; i++) await null
          resolve(session.reconnect())
        }
        session.on('state', listener)
      })
      session.reconnect().catch(() => {})
      await given
      assert.strictEqual(session.state, 'ready', `${ticks} ticks later`)
    }
  })

  it('leaves nothing bound when it is closed before it has begun', async () => {
    const here = await restartable()
    const before = binding.live()
    let session
    const closing = (one) => {
      session = one
      one.close()
    }
    await assert.rejects(here.login({ control: `${scope.dir()}/control.sock`, metrics: '127.0.0.1:0', onSession: closing }), { code: 'ERR_ALKNET_CLOSED' })
    await assert.rejects(dial(scope, session.metricsAddress().port), { code: 'ECONNREFUSED' })
    while (binding.live() > before) await turn()
  })

  it('goes on to the next server, and begins with the one that was good', async () => {
    const [one, two] = [await restartable(), await restartable()]
    const session = await one.login({ server: [one, two].map(({ port }) => `127.0.0.1:${port}`) })
    const port = () => session._link.server.port
    assert.strictEqual(port(), one.port)
    await one.stop()
    await reached(session, 'connecting')
    await reached(session, 'ready')
    assert.strictEqual(port(), two.port)
    await one.start()
    await session.reconnect()
    assert.strictEqual(port(), two.port, 'not back to the first')
    await two.stop()
    await reached(session, 'connecting')
    await reached(session, 'ready')
    assert.strictEqual(port(), one.port)
  })

  for (const state of ['lost', 'waiting', 'connecting', 'ready']) {
    it(`closes when it is ${state}, and leaves nothing`, async () => {
      const before = binding.live()
      const here = await restartable()
      const session = await here.login({ socks5: '127.0.0.1:0' })
      const closed = new Promise((resolve) => session.on('state', (to) => {
        if (to !== state) return
        const open = session.open({ host: '127.0.0.1', port: 1 })
        resolve(Promise.all([session.close(), state === 'ready' || assert.rejects(open, { code: 'ERR_ALKNET_CLOSED' }), open.catch(() => {})]))
      }))
      here.server.sessions()[0].close()
      await closed
      assert.deepStrictEqual([session.state, session.error], ['closed', null])
      await here.stop()
      while (binding.live() > before) await turn()
    })
  }

  it('takes no place from a session that lives, and gets it when that one does no more', async () => {
    const here = await restartable({ sshEngine: 'native', takeoverTimeout: 1 })
    const target = await listen(scope, (socket) => socket.end('old'))
    const between = await freezableWay(scope, here.port)
    const old = await here.login({ sshEngine: 'native', server: `127.0.0.1:${between.port}`, keepalive: 0 })
    const { port } = (await old.forwardRemote(`0:127.0.0.1:${target.port}`)).address()
    const nameThere = async () => (await readAll(await dial(scope, port))).toString()
    const fresh = await here.login({ sshEngine: 'native' })
    await assert.rejects(fresh.forwardRemote(`${port}:127.0.0.1:1`), { code: 'ERR_ALKNET_CHANNEL', message: /also by another client with this key/ })
    assert.deepStrictEqual([old.state, fresh.state, await nameThere()], ['ready', 'ready', 'old'], 'both go on')
    between.freeze()
    const ended = here.server.sessions()[0].closed
    await fresh.forwardRemote(`${port}:127.0.0.1:${target.port}`)
    await ended
    assert.strictEqual(await nameThere(), 'old')
    assert.strictEqual(here.server.sessions().length, 1)
  })

  it('looks names up anew for each try', async () => {
    const here = await restartable()
    const { lookup } = dns
    let count = 0
    dns.lookup = (host, options, done) => {
      if (host !== 'tunnel.example') return lookup(host, options, done)
      // The first address is one where nobody is any more.
      setImmediate(done, null, [{ address: ++count === 2 ? '127.0.0.9' : '127.0.0.1', family: 4 }])
    }
    scope.defer(() => { dns.lookup = lookup })
    const session = await here.login({ server: `tunnel.example:${here.port}` })
    const failed = refusedOnce(session, 'ECONNREFUSED')
    here.server.sessions()[0].close()
    await failed
    await reached(session, 'ready')
    assert.strictEqual(count, 3)
  })

  it('takes no options that make no sense', async () => {
    const here = await restartable()
    const wrong = [
      [{ reconnect: 1 }, 'reconnect'], [{ reconnect: { maxAttempts: -1 } }, 'reconnect.maxAttempts'], [{ reconnect: { minDelayMs: 0 } }, 'reconnect.minDelayMs'],
      [{ reconnect: { maxDelay: 1 } }, 'reconnect.maxDelay'], [{ retry: 'yes' }, 'retry'], [{ waitTimeout: -1 }, 'waitTimeout'], [{ maxWaiting: 0 }, 'maxWaiting'],
      [{ server: [] }, 'server'], [{ onSession: 1 }, 'onSession']
    ]
    for (const [options, option] of wrong) await assert.rejects(here.login(options), { code: 'ERR_ALKNET_OPTION', option }, JSON.stringify(options))
    for (const more of [{ reconnect: true }, { reconnect: false, retry: true }, { reconnect: false, server: ['a', 'b'] }]) {
      await assert.rejects(alknet.openSession({ ...here.options, ...more, stream: new PassThrough() }), { code: 'ERR_ALKNET_OPTION' })
    }
  })
})
