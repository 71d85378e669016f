'use strict'

/** What node:diagnostics_channel hears of sessions, logins and channels; and what it never hears. */

const assert = require('node:assert')
const { subscribe, unsubscribe } = require('node:diagnostics_channel')
const { once } = require('node:events')
const net = require('node:net')
const alknet = require('..')
const { needAlknet } = require('./helpers/alknet')
const { echoServer, expectEcho, freePort } = require('./helpers/net')
const { testScope } = require('./helpers/scope')
const { socksOpen } = require('./helpers/socks')
const { twoKeys } = require('./streams/pairs')

const turn = () => new Promise((resolve) => setImmediate(resolve))

/** Keeps what comes on a channel, from now on. */
function hear (scope, ...names) {
  const heard = []
  for (const name of names) {
    const note = (message) => { heard.push({ on: name.slice('alknet:'.length), ...message }) }
    subscribe(name, note)
    scope.defer(() => { unsubscribe(name, note) })
  }
  return {
    heard,
    /** 'start', 'open' … of one role and one channel. */
    of: (role, on) => heard.filter((one) => one.role === role && one.on === on),
    events: (role, on) => heard.filter((one) => one.role === role && one.on === on).map((one) => one.event),
    /** Waits for a message. */
    async until (role, on, event) {
      while (!heard.some((one) => one.role === role && one.on === on && one.event === event)) await turn()
    }
  }
}

describe('trace', () => {
  const scope = testScope()
  before(function () { needAlknet(this) })

  async function start (options = {}) {
    const { host, user } = await twoKeys()
    const server = await alknet.serve({
      hostKey: host.privateKey,
      authorizedKeys: Buffer.from(user.publicKey),
      listen: '127.0.0.1:0',
      onConnection: (stream) => stream.pipe(stream)
    })
    scope.defer(() => server.close())
    const to = {
      server: `127.0.0.1:${server.address().port}`,
      identity: user.privateKey,
      hostKey: host.fingerprint,
      knownHosts: [],
      ...options
    }
    return { server, to }
  }

  async function openSession (options) {
    const { server, to } = await start(options)
    const session = await alknet.openSession(to)
    scope.defer(() => session.close())
    return { server, session }
  }

  it('a session, from both ends', async () => {
    const trace = hear(scope, 'alknet:connect', 'alknet:auth')
    const { server, session } = await openSession()
    await session.close()
    await server.close()
    for (const role of ['client', 'server']) {
      assert.deepStrictEqual(trace.events(role, 'connect'), ['start', 'open', 'close'])
      assert.deepStrictEqual(trace.events(role, 'auth'), ['accept'])
      const [begin, open, close] = trace.of(role, 'connect')
      assert(trace.heard.filter((one) => one.role === role).every((one) => one.id === begin.id && one.transport === 'tcp'))
      assert.strictEqual(open.engine, alknet.versions.engines[0])
      assert.match(`${open.kex} ${open.hostkey} ${open.cipherIn}`, /^\S+ \S+ \S+$/)
      assert(open.ms > 0 && close.ms >= open.ms)
    }
    assert(!('code' in trace.of('client', 'connect')[2]), 'it was just closed')
    assert.notStrictEqual(trace.of('client', 'connect')[0].id, trace.of('server', 'connect')[0].id)
  })

  it('a session that does not come up says why', async () => {
    const trace = hear(scope, 'alknet:connect')
    const { to } = await start()
    await assert.rejects(alknet.openSession({ ...to, server: `127.0.0.1:${await freePort()}` }))
    await assert.rejects(alknet.openSession({ ...to, hostKey: (await alknet.generateKey()).fingerprint }))
    await assert.rejects(alknet.openSession({ ...to, forward: `${new URL(`tcp://${to.server}`).port}:a:1` }))
    const ends = trace.of('client', 'connect').filter((one) => one.event !== 'start')
    assert.deepStrictEqual(ends.map(({ event, code, stage }) => [event, code, stage]), [
      ['error', 'ECONNREFUSED', 'system'],
      ['error', 'ERR_ALKNET_HOSTKEY', 'hostkey'],
      ['error', 'EADDRINUSE', 'listen']
    ])
    await trace.until('server', 'connect', 'error')
  })

  it('a session that comes back, and one that does not', async () => {
    const trace = hear(scope, 'alknet:connect', 'alknet:reconnect')
    const { server, session } = await openSession({ reconnect: { minDelayMs: 1, maxDelayMs: 1, maxAttempts: 2 } })
    const [{ id }] = trace.of('client', 'connect')
    server.sessions()[0].close()
    await trace.until('client', 'reconnect', 'open')
    assert.deepStrictEqual(trace.of('client', 'reconnect').map(({ event, attempt }) => [event, attempt]), [['start', undefined], ['attempt', 1], ['open', undefined]])
    assert.deepStrictEqual(trace.events('client', 'connect'), ['start', 'open', 'close', 'start', 'open'])
    trace.heard.length = 0
    await server.close()
    await session.closed
    const told = trace.of('client', 'reconnect')
    assert.deepStrictEqual(told.map(({ event, attempt, code }) => [event, attempt, code]),
      [['start', undefined, undefined], ['attempt', 1, undefined], ['attempt', 2, undefined], ['error', undefined, 'ECONNREFUSED']])
    assert(told.at(-1).ms > 0)
    assert(trace.heard.every((one) => one.role !== 'client' || (one.id === id && one.transport === 'tcp')))
    assert(!JSON.stringify(trace.heard).includes('127.0.0.1'))
  })

  it('keys that are refused', async () => {
    const trace = hear(scope, 'alknet:auth', 'alknet:connect')
    const { to } = await start()
    const strangers = await Promise.all([alknet.generateKey(), alknet.generateKey()])
    const session = await alknet.openSession({ ...to, identity: [strangers[0].privateKey, to.identity] })
    await session.close()
    assert.deepStrictEqual(trace.events('client', 'auth'), ['reject', 'accept'])
    assert.deepStrictEqual(trace.of('client', 'auth').map((one) => one.attempt), [1, 2])
    assert.deepStrictEqual(trace.events('server', 'auth'), ['reject', 'accept'])
    trace.heard.length = 0
    await assert.rejects(alknet.openSession({ ...to, identity: strangers.map((one) => one.privateKey) }), { code: 'ERR_ALKNET_AUTH' })
    assert.deepStrictEqual(trace.events('client', 'auth'), ['reject', 'reject'])
    assert.deepStrictEqual(trace.of('client', 'connect').map(({ event, code }) => [event, code]),
      [['start', undefined], ['error', 'ERR_ALKNET_AUTH']])
  })

  it('channels that a server serves itself', async () => {
    const { session } = await openSession()
    const trace = hear(scope, 'alknet:channel')
    const stream = await session.open({ host: 'alknet-echo', port: 1 })
    stream.resume().end('x')
    await once(stream, 'close')
    await trace.until('server', 'channel', 'close')
    for (const role of ['client', 'server']) assert.deepStrictEqual(trace.events(role, 'channel'), ['start', 'open', 'close'])
  })

  it('channels to a target, refused ones, and given up ones', async () => {
    const { session } = await openSession()
    const echo = await echoServer(scope)
    const trace = hear(scope, 'alknet:channel')
    const stream = await session.open({ host: '127.0.0.1', port: echo.port })
    stream.resume().end('x')
    await once(stream, 'close')
    await trace.until('server', 'channel', 'close')
    assert.deepStrictEqual(trace.events('client', 'channel'), ['start', 'open', 'close'])
    assert.deepStrictEqual(trace.events('server', 'channel'), ['start', 'close'])
    trace.heard.length = 0
    await assert.rejects(session.open({ host: '127.0.0.1', port: await freePort() }))
    const controller = new AbortController()
    const given = session.open({ host: 'alknet-echo', port: 1 }, { signal: controller.signal })
    controller.abort()
    await assert.rejects(given)
    assert.deepStrictEqual(trace.of('client', 'channel').map(({ event, code, reason }) => [event, code, reason]), [
      ['start', undefined, undefined],
      ['error', 'ERR_ALKNET_CHANNEL', 2],
      ['start', undefined, undefined],
      ['error', 'ERR_ALKNET_CANCELED', undefined]
    ])
    assert.deepStrictEqual(trace.of('server', 'channel').slice(0, 2).map(({ event, code, reason }) => [event, code, reason]),
      [['start', undefined, undefined], ['error', 'ERR_ALKNET_CHANNEL', 2]])
  })

  it('channels of a forward, a remote forward and a SOCKS proxy', async () => {
    const echo = await echoServer(scope)
    const to = `127.0.0.1:${echo.port}`
    const { session } = await openSession({ forward: `0:${to}`, socks5: '127.0.0.1:0', remoteForward: `0:${to}` })
    const all = session.openListeners
    for (const [kind, who] of [['forward', 'client'], ['socks5', 'client'], ['remote-forward', 'server']]) {
      const trace = hear(scope, 'alknet:channel')
      const { port } = all.find((one) => one.kind === kind).address()
      const socket = kind === 'socks5'
        ? await socksOpen(scope, { host: '127.0.0.1', port }, '127.0.0.1', echo.port)
        : net.connect({ port, host: '127.0.0.1', allowHalfOpen: true })
      await expectEcho(socket)
      socket.resume().end()
      await Promise.all([trace.until('client', 'channel', 'close'), trace.until('server', 'channel', 'close')])
      assert.strictEqual(trace.events(who, 'channel')[0], 'start')
      for (const role of ['client', 'server']) assert.strictEqual(trace.events(role, 'channel').filter((one) => one === 'start').length, 1)
    }
  })

  it('has no secret, no name and no destination', async () => {
    const trace = hear(scope, 'alknet:connect', 'alknet:auth', 'alknet:channel')
    const echo = await echoServer(scope)
    const { user } = await twoKeys()
    const { session } = await openSession({ user: 'somebody', socks5: '127.0.0.1:0', socks5Auth: 'me:open-sesame' })
    const { host } = await twoKeys()
    await assert.rejects(session.open({ host: 'host.secret.invalid', port: 4321 }))
    await expectEcho(await session.open({ host: '127.0.0.1', port: echo.port }), 'what is said')
    await expectEcho(await session.open({ host: 'alknet-secret', port: 1234 }), 'what is said')
    await assert.rejects(alknet.openSession({ server: 'nowhere.secret.invalid:999', identity: user.privateKey, hostKey: host.fingerprint }))
    await session.close()
    const text = JSON.stringify(trace.heard)
    assert(trace.heard.length > 10, text)
    const fragments = ['somebody', 'sesame', 'secret', 'invalid', '4321', '1234', '127.0.0.1', 'what is said', 'SHA256',
      host.fingerprint.slice(8), user.fingerprint.slice(8)]
    for (const fragment of fragments) assert(!text.includes(fragment), fragment)
    const known = ['on', 'event', 'id', 'role', 'transport', 'ms', 'code', 'stage', 'reason', 'attempt', 'engine', 'kex', 'hostkey', 'cipherIn', 'cipherOut']
    for (const message of trace.heard) assert.deepStrictEqual(Object.keys(message).filter((key) => !known.includes(key)), [])
  })
})
