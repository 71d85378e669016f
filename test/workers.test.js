'use strict'

const assert = require('assert')
const { once } = require('events')
const fs = require('fs')
const { MessageChannel } = require('worker_threads')
const { duplexPair, Duplex, PassThrough } = require('stream')
const alknet = require('..')
const { Port } = require('../lib/workers/port')
const { Seats, sharedNumbers } = require('../lib/workers/seats')
const { startServer, threeKeys } = require('./helpers/api')
const { checkLines } = require('./helpers/log-lines')
const { echoServer, expectEcho, freezableWay } = require('./helpers/net')
const { need } = require('./helpers/proc')
const { suiteScope, testScope } = require('./helpers/scope')
const { makeCa } = require('./helpers/tls-certs')

const REFUSED = { code: 'ERR_ALKNET_CHANNEL', reason: 1 }
const AUTH = { code: 'ERR_ALKNET_AUTH' }

describe('seats of several threads', () => {
  it('are never more than there are, and go with the thread', () => {
    const numbers = sharedNumbers(3)
    const [main, one, two] = [0, 1, 2].map((slot) => new Seats(numbers, slot))
    assert.deepStrictEqual([one.take(3), two.take(3), main.take(3), two.take(3), one.take(3)], [true, true, true, false, false])
    assert.strictEqual(main.taken, 3)
    one.give()
    assert.strictEqual(two.take(3), true)
    main.clear(2)
    assert.deepStrictEqual([main.taken, one.take(0), one.taken], [1, true, 2])
  })
})

describe('the port between threads', () => {
  function pair (here, there) {
    const { port1, port2 } = new MessageChannel()
    after(() => port1.close())
    return [new Port(port1, here), new Port(port2, there)]
  }

  it('tells in order, asks and answers, now or later', async () => {
    const heard = []
    const [near] = pair({}, {
      note: (data) => heard.push(data),
      double: (data, answer) => { setImmediate(() => answer(data * 2)); return () => {} },
      read: (data, answer) => answer(heard.slice())
    })
    near.tell('note', 1)
    near.tell('note', 2)
    const ask = (what, data) => new Promise((resolve) => near.ask(what, data, resolve))
    assert.deepStrictEqual(await Promise.all([ask('double', 21), ask('read')]), [42, [1, 2]])
  })

  it('tells the other side that nobody waits any more, and hears no answer then', async () => {
    let answerLate
    const canceled = new Promise((resolve) => {
      const [near] = pair({}, {
        question: (data, answer) => {
          answerLate = answer
          return () => { answer('too late'); resolve() }
        }
      })
      const cancel = near.ask('question', null, () => assert.fail('an answer'))
      setImmediate(cancel)
    })
    await canceled
    answerLate('again')
  })

  it('that is closed leaves nobody waiting on either side', async () => {
    let asked
    const arrived = new Promise((resolve) => { asked = resolve })
    let isCanceled = false
    const [near, far] = pair({}, { question: () => { asked(); return () => { isCanceled = true } } })
    const answers = []
    near.ask('question', null, (value) => answers.push(value))
    await arrived
    far.close()
    near.close()
    assert.deepStrictEqual([answers, isCanceled], [[undefined], true])
  })
})

/** A log of lines, and a promise for the first that matches from now on. */
function logOf () {
  const lines = []
  let waiting = []
  const write = (line) => {
    lines.push(line)
    waiting = waiting.filter(({ pattern, resolve }) => !pattern.test(line) || resolve(line))
  }
  const next = (pattern) => new Promise((resolve) => waiting.push({ pattern, resolve }))
  return { lines, next, log: { level: 'debug', write } }
}

for (const sshEngine of alknet.versions.engines) {
  describe(`a server with workers, ${sshEngine}`, () => {
    const suite = suiteScope()
    const scope = testScope()
    let echo
    before(async () => { echo = await echoServer(suite) })

    async function start (options = {}) {
      const log = logOf()
      const made = await startServer(scope, { workers: 2, sshEngine, log: log.log, ...options })
      scope.defer(() => checkLines(log.lines))
      const through = async (session) => {
        const stream = await session.open({ host: '127.0.0.1', port: echo.port })
        await expectEcho(stream)
        return stream
      }
      return { ...made, ...log, through }
    }

    /** Ends a thread as a fault of ours would. */
    const breakWorker = (server, number) => {
      const [thread] = [...server._workers._threads].filter((one) => one.number === number)
      thread.tell('what nobody knows')
    }

    const warned = () => new Promise((resolve) => {
      process.on('warning', function heard (warning) {
        if (warning.name !== 'AlknetWarning') return
        process.off('warning', heard)
        resolve(warning)
      })
    })

    it('spreads its clients, and sums up what they do', async () => {
      const { server, login, through, lines } = await start()
      const events = []
      server.on('auth', (info) => events.push(info.user))
      server.on('session', (one) => events.push(one.id))
      const sessions = []
      for (const user of ['one', 'two', 'three', 'four']) sessions.push(await login({ user }))
      for (const session of sessions) (await through(session)).destroy()
      const list = server.sessions()
      assert.deepStrictEqual(list.map(({ user, worker }) => [user, worker]), [['one', 1], ['two', 2], ['three', 1], ['four', 2]])
      assert.deepStrictEqual(events, ['one', 1, 'two', 2, 'three', 3, 'four', 4])
      const keys = await threeKeys()
      assert.deepStrictEqual(list[0].identity, { id: keys.user.fingerprint, scopes: [], resources: {} })
      assert(Object.isFrozen(list[0].identity))
      assert.strictEqual(list[0].remoteAddress, '127.0.0.1')
      const { clients, sessions: count, workers, accepted, logins, workersLost } = server.stats()
      assert.deepStrictEqual({ clients, count, workers, accepted, logins, workersLost }, { clients: 4, count: 4, workers: 2, accepted: 4, logins: 4, workersLost: 0 })
      assert.strictEqual(lines.filter((line) => line.startsWith('INFO auth attempt')).length, 4)
      await Promise.all(sessions.map((session) => session.close()))
      await server.close()
      const { bytesIn, bytesOut, channelsTotal, channels, clients: left, sessions: none } = server.stats()
      assert.deepStrictEqual({ channelsTotal, channels, left, none }, { channelsTotal: 4, channels: 0, left: 0, none: 0 })
      assert(bytesIn > 4000 && bytesOut > 4000, `${bytesIn}, ${bytesOut}`)
    })

    it('tells within a second or so what sessions have', async () => {
      const { server, login, through } = await start()
      const [, stream] = await Promise.all([through(await login()), through(await login())])
      const [, two] = server.sessions()
      while (two.channels !== 1 || server.stats().channels !== 2) await new Promise(setImmediate)
      stream.destroy()
      while (two.channels !== 0) await new Promise(setImmediate)
      assert.strictEqual(server.stats().channels, 1)
    })

    it('asks authorize() here, about keys and channels', async () => {
      const asked = []
      let answer = true
      const { server, login, keys, through } = await start({
        authorize: async (request) => {
          asked.push(request)
          assert(request.key === undefined || Object.isFrozen(request.key))
          return typeof answer === 'function' ? answer(request) : answer
        }
      })
      await through(await login({ identity: keys.stranger.privateKey, user: 'guest' }))
      const [key, channel] = asked
      assert.deepStrictEqual([key.kind, key.user, key.identity, key.key.fingerprint, key.certificate], ['key', 'guest', null, keys.stranger.fingerprint, null])
      assert(Buffer.isBuffer(key.key.blob) && alknet.fingerprint(key.key.blob) === keys.stranger.fingerprint)
      assert.deepStrictEqual([channel.kind, channel.host, channel.port, channel.identity.id], ['channel', '127.0.0.1', echo.port, keys.stranger.fingerprint])
      answer = ({ kind }) => kind === 'key' ? { scopes: ['ops'] } : false
      const session = await login({ identity: keys.stranger.privateKey })
      assert.deepStrictEqual(server.sessions().at(-1).identity.scopes, ['ops'])
      await assert.rejects(through(session), REFUSED)
      answer = { scopes: () => {} } // what no other thread can be told
      await assert.rejects(login(), AUTH)
      assert.strictEqual(server.stats().rejected.authorize_failed, 1)
      await server.reloadAll({ authorize: undefined })
      await login()
      assert.strictEqual(asked.length, 5)
    })

    it('loses nothing that an answer of authorize() has by its class', async () => {
      class Grant {
        get scopes () { return ['ops'] }
        get forwarding () { return false }
      }
      const { server, login, keys, through } = await start({ authorize: ({ kind }) => kind === 'channel' || new Grant() })
      const session = await login({ identity: keys.stranger.privateKey })
      assert.deepStrictEqual(server.sessions()[0].identity.scopes, ['ops'])
      await assert.rejects(through(session), REFUSED)
    })

    it('denies in the threads what it denies, also where the options have inherited that', async () => {
      const keys = await threeKeys()
      const base = { hostKey: keys.host.privateKey, authorizedKeys: Buffer.from(keys.user.publicKey), listen: '127.0.0.1:0', workers: 2, sshEngine }
      for (const forwarding of [{ default: 'deny' }, Object.create({ default: 'deny' })]) {
        const server = await alknet.serve(Object.create({ ...base, forwarding }))
        scope.defer(() => server.close())
        const session = await alknet.openSession({
          server: `127.0.0.1:${server.address().port}`, identity: keys.user.privateKey, hostKey: keys.host.fingerprint, knownHosts: []
        })
        scope.defer(() => session.close())
        const refused = () => assert.rejects(session.open({ host: '127.0.0.1', port: echo.port }), REFUSED)
        await refused()
        await server.reloadAll({ maxSessions: 5 })
        await refused()
      }
    })

    it('reloads keys, policy and limits in all threads before it says so', async () => {
      const { server, login, keys, through, lines } = await start()
      const [a, b] = [await login(), await login()]
      await server.reloadForwarding({ default: 'deny' })
      for (const session of [a, b]) await assert.rejects(through(session), REFUSED)
      await server.reloadForwarding({})
      for (const session of [a, b]) await through(session)
      await server.reloadAll({ authorizedKeys: Buffer.from(keys.stranger.publicKey), workers: 3, keepaliveMax: 7 })
      assert(lines.includes('WARN needs a new start option=workers'))
      for (let i = 0; i < 2; i++) {
        await assert.rejects(login(), AUTH)
        while (server.connections > server.sessions().length) await new Promise(setImmediate) // who was refused is gone
        await login({ identity: keys.stranger.privateKey })
      }
      assert.deepStrictEqual(server.sessions().map(({ worker }) => worker).sort(), [1, 1, 2, 2])
      await assert.rejects(server.reloadAll({ authorizedKeys: '/nowhere/at/all' }), { code: 'ENOENT' })
      await login({ identity: keys.stranger.privateKey })
    })

    it('outlives a thread: its sessions end, the others go on, another takes its place', async () => {
      const { server, login, through, next, lines } = await start()
      const [a, b] = [await login(), await login()]
      const stream = await through(b)
      const [ended, warning] = [next(/^ERROR worker ended /), warned()]
      breakWorker(server, 1)
      await a.closed
      assert(['ERR_ALKNET_LOST', 'ECONNRESET'].includes(a.error.code), a.error.code)
      assert.match(await ended, /^ERROR worker ended worker=1 error=TypeError delay=0\.1\d*$/)
      assert.match((await warning).message, /^a worker thread of a server has ended: TypeError/)
      await expectEcho(stream)
      assert.deepStrictEqual(server.sessions().map(({ worker }) => worker), [2])
      assert.deepStrictEqual([server.stats().sessions, server.stats().clients, server.stats().workersLost], [1, 1, 1])
      while (server.stats().workers < 2) await new Promise((resolve) => setTimeout(resolve, 5))
      await through(await login())
      assert.deepStrictEqual(server.sessions().map(({ worker }) => worker).sort(), [1, 2])
      assert.strictEqual(lines.filter((line) => line.startsWith('ERROR')).length, 1)
    })

    it('ends a thread that answers no more, and no other', async () => {
      const { server, login, through, next } = await start()
      const [a, b] = [await login(), await login()]
      const stream = await through(b)
      const workers = server._workers
      const [stuck, sound] = [...workers._threads]
      stuck._worker.postMessage = () => {} // nothing that it is told comes there
      const [ended, warning] = [next(/^ERROR worker ended /), warned()]
      for (let checks = 0; checks < 3; checks++) {
        assert.deepStrictEqual([stuck.isReady, sound.isReady], [true, true])
        workers.check()
        while (sound._missed > 0) await new Promise(setImmediate)
      }
      assert.match(await ended, /^ERROR worker ended worker=1 error=ERR_ALKNET_TIMEOUT /)
      assert.match((await warning).message, /it answers no more/)
      await a.closed
      await expectEcho(stream)
      while (server.stats().workers < 2) await new Promise((resolve) => setTimeout(resolve, 5))
      assert.deepStrictEqual([server.stats().sessions, server.stats().clients, server.stats().workersLost], [1, 1, 1])
      await through(await login())
    })

    it('ends no thread that was stopped with the whole process', async () => {
      const { server, login, through } = await start()
      const stream = await through(await login())
      const [thread] = server._workers._threads
      thread.check()
      thread.check() // before anything can have been heard
      while (thread._missed > 0) await new Promise(setImmediate)
      thread.check()
      while (thread._missed > 0) await new Promise(setImmediate)
      assert.strictEqual(server.stats().workersLost, 0)
      await expectEcho(stream)
    })

    it('lets channels end before it closes, and not longer than it was told', async () => {
      const { server, login, through } = await start()
      const streams = [await through(await login()), await through(await login())]
      const closing = server.close({ drainMs: 60_000 })
      for (const stream of streams) await expectEcho(stream)
      for (const stream of streams) stream.end().resume()
      await closing
      assert.strictEqual(server.connections, 0)
      const again = await start()
      await again.through(await again.login())
      await again.server.close({ drainMs: 1 })
    })

    // What follows is the same for all engines.
    if (sshEngine !== 'native') return

    it('closes one session, and leaves the others', async () => {
      const { server, login, through } = await start()
      const [a, b, c] = [await login(), await login(), await login()]
      const [first] = server.sessions()
      await Promise.all([first.close(), a.closed])
      assert.deepStrictEqual(server.sessions().map(({ id }) => id), [2, 3])
      for (const session of [b, c]) await through(session)
    })

    it('counts sessions of all threads for maxSessions, and gives places back', async () => {
      const { server, login } = await start({ maxSessions: 3 })
      const sessions = [await login(), await login(), await login()]
      await assert.rejects(login(), AUTH)
      assert.deepStrictEqual([server.stats().sessions, server.stats().rejected.max_sessions], [3, 1])
      await sessions[1].close()
      while (server.stats().sessions === 3) await new Promise(setImmediate)
      await login()
      await server.reloadAll({ maxSessions: 1 })
      await assert.rejects(login(), AUTH)
    })

    it('holds an offence in one thread against who comes to another', async () => {
      const { server, login, lines, keys } = await start({ penalties: { authfail: 100 } })
      const stranger = login({ identity: keys.stranger.privateKey })
      await assert.rejects(stranger, AUTH)
      while (server.stats().penalties.auth_failed === 0) await new Promise(setImmediate)
      await assert.rejects(login())
      assert.strictEqual(server.stats().refused.penalty, 1)
      assert(lines.some((line) => /^INFO source penalised remote_addr=127\.0\.0\.1 .*reason=auth_failed$/.test(line)))
    })

    it('lets a newcomer have the place of who says nothing, in whichever thread', async () => {
      const { server, login, next } = await start({ maxUnauthenticated: 1, loginGrace: 60 })
      const socket = require('net').connect(server.address().port, '127.0.0.1')
      scope.defer(() => socket.destroy())
      const gone = next(/^INFO connection closed .*reason=max_unauthenticated/)
      await once(socket, 'data') // its name: it was let in
      const [thread] = [...server._workers._threads].filter(({ connections }) => connections.size > 0)
      const [connection] = thread.connections.values()
      while (!connection.isSilent) await new Promise(setImmediate)
      await login()
      await gone
      assert.strictEqual(server.connections, 1)
    })

    it('tells authorize() that the client has gone', async () => {
      let ask
      const asked = new Promise((resolve) => { ask = resolve })
      const { login, through } = await start({ authorize: (request) => request.kind === 'key' || new Promise(() => ask(request)) })
      const session = await login()
      const opening = assert.rejects(through(session))
      const { signal } = await asked
      const aborted = once(signal, 'abort')
      await Promise.all([session.close(), aborted, opening])
    })

    it('leaves alone what a file has changed and only a new start takes over', async () => {
      const { server, login } = await start({ ciphers: 'aes128-gcm@openssh.com' })
      await server.reloadAll({ ciphers: 'chacha20-poly1305@openssh.com' })
      const session = await login()
      assert.strictEqual(session.info.cipherIn, 'aes128-gcm@openssh.com')
    })

    it('denies its own listeners from every thread', async () => {
      const { server, login } = await start()
      const { port } = server.address()
      for (const session of [await login(), await login()]) {
        await assert.rejects(session.open({ host: '127.0.0.1', port }), { ...REFUSED, message: /own listeners/ })
      }
    })

    it('serves by itself while no thread is there', async () => {
      const { server, login, through, next } = await start()
      server._workers._start = () => ({ update: async () => {} }) // none takes their place
      for (const number of [1, 2]) {
        const [ended, warning] = [next(/^ERROR worker ended /), warned()]
        breakWorker(server, number)
        await Promise.all([ended, warning])
      }
      const session = await login()
      await through(session)
      assert.deepStrictEqual(server.sessions().map(({ worker }) => worker), [null])
      assert.strictEqual(server.stats().sessions, 1)
    })

    it('serves by itself whom it cannot hand over', async () => {
      const { server, login, through } = await start({ maxConnectionsPerIp: 2 })
      const { _workers: workers } = server
      workers.take = (stream, ...rest) => {
        Object.defineProperty(stream, 'send', { value () { throw new Error('no descriptor is free') } })
        delete workers.take
        return workers.take(stream, ...rest)
      }
      await through(await login())
      await through(await login())
      assert.deepStrictEqual(server.sessions().map(({ worker }) => worker), [null, 1])
      await assert.rejects(login())
    })

    it('serves a stream that it is given by itself, beside them', async () => {
      const { server, login, through } = await start({ maxSessions: 2 })
      const [near, far] = duplexPair === undefined ? pairOfPipes() : duplexPair()
      server.accept(far)
      await through(await login({ server: undefined, stream: near }))
      await through(await login())
      assert.deepStrictEqual(server.sessions().map(({ worker }) => worker), [null, 1])
      await assert.rejects(login(), AUTH)
      assert.strictEqual(server.stats().sessions, 2)
    })

    it('has no channels of its own, and says so', async () => {
      const { server, login } = await start()
      const UNSUPPORTED = { code: 'ERR_ALKNET_UNSUPPORTED' }
      assert.throws(() => server.handle('alknet-time', () => {}), UNSUPPORTED)
      assert.throws(() => server[Symbol.asyncIterator](), UNSUPPORTED)
      assert.throws(() => server.on('connection', () => {}), UNSUPPORTED)
      assert.throws(() => alknet.createEventHub(server), UNSUPPORTED)
      const session = await login()
      await assert.rejects(session.open({ host: 'alknet-time', port: 0 }), REFUSED)
    })
  })
}

/** Two ends of a stream where Node has no duplexPair(). */
function pairOfPipes () {
  const [a, b] = [new PassThrough(), new PassThrough()]
  return [Duplex.from({ readable: a, writable: b }), Duplex.from({ readable: b, writable: a })]
}

// libssh's clients can ask for no remote forward.
describe('remote forwards of a server with workers', () => {
  const scope = testScope()

  it('are nobody\'s while their session lives, and then their identity\'s, whichever thread has them', async () => {
    const { user, stranger } = await threeKeys()
    const { server, login } = await startServer(scope, { workers: 2, takeoverTimeout: 1, authorizedKeys: Buffer.from(`${user.publicKey}\n${stranger.publicKey}`) })
    const ways = [await freezableWay(scope, server.address().port), await freezableWay(scope, server.address().port)]
    const by = (way) => ({ server: `127.0.0.1:${way.port}` })
    const [first, other, again] = [await login(by(ways[0])), await login({ identity: stranger.privateKey }), await login(by(ways[1]))]
    const { port } = (await first.listen({ host: '127.0.0.1', port: 0 })).address()
    assert.strictEqual(server.stats().remoteForwards, 1)
    await assert.rejects(other.listen({ host: '127.0.0.1', port }), { code: 'ERR_ALKNET_CHANNEL' })
    await assert.rejects(first.listen({ host: '127.0.0.1', port }), { code: 'ERR_ALKNET_CHANNEL' })
    // Two of the same identity, in both threads.
    const elsewhere = await login()
    const workers = server.sessions().map(({ worker }) => worker)
    assert.notStrictEqual(workers[0], workers[3])
    for (const [i, session] of [again, elsewhere].entries()) {
      await assert.rejects(session.listen({ host: '127.0.0.1', port }), { code: 'ERR_ALKNET_CHANNEL' })
      ways[i].freeze()
      const listener = await session.listen({ host: '127.0.0.1', port })
      assert.strictEqual(server.stats().remoteForwards, 1)
      const next = once(listener, 'connection')
      require('net').connect(port, '127.0.0.1').on('error', () => {}).end('hello')
      const [stream] = await next
      assert.strictEqual(String((await once(stream, 'data'))[0]), 'hello')
      stream.destroy()
    }
    await elsewhere.close()
    while (server.stats().remoteForwards > 0) await new Promise(setImmediate)
    await other.listen({ host: '127.0.0.1', port })
  })

  it('go with their thread', async () => {
    const { server, login } = await startServer(scope, { workers: 2 })
    const session = await login()
    const { port } = (await session.listen({ host: '127.0.0.1', port: 0 })).address()
    const [thread] = [...server._workers._threads].filter(({ connections }) => connections.size > 0)
    await thread.stop()
    assert.strictEqual(server.stats().remoteForwards, 0)
    await session.closed
    const next = await login()
    await next.listen({ host: '127.0.0.1', port })
  })
})

describe('tls of a server with workers', () => {
  const scope = testScope()
  before(function () { need(this, 'openssl') })

  it('is spoken in the threads, and takes over other certificates', async () => {
    const ca = makeCa(scope)
    const [one, two] = [ca.issue(), ca.issue()]
    const [tlsCert, tlsKey] = [scope.file('cert.pem', fs.readFileSync(one.cert)), scope.file('key.pem', fs.readFileSync(one.key))]
    const { server, login } = await startServer(scope, { workers: 2, listen: ['tls://127.0.0.1:0', '127.0.0.1:0'], tlsCert, tlsKey })
    const [secure, plain] = server.address()
    const overTls = () => login({ transport: 'tls', server: `127.0.0.1:${secure.port}`, tlsCa: ca.cert })
    const shown = () => new Promise((resolve, reject) => {
      const socket = require('tls').connect({ host: '127.0.0.1', port: secure.port, rejectUnauthorized: false }, () => {
        resolve(socket.getPeerX509Certificate().serialNumber)
        socket.destroy()
      }).on('error', reject)
    })
    await Promise.all([overTls(), overTls(), login({ server: `127.0.0.1:${plain.port}` })])
    assert.deepStrictEqual(server.sessions().map(({ transport, tls }) => `${transport} ${tls?.version}`).sort(), ['tcp undefined', 'tls TLSv1.3', 'tls TLSv1.3'])
    const before = await shown()
    fs.copyFileSync(two.cert, tlsCert)
    fs.copyFileSync(two.key, tlsKey)
    await server.reloadTls()
    const after = [await shown(), await shown(), await shown()]
    assert(after.every((serial) => serial !== before && serial === after[0]), `${before} ${after}`)
    await overTls()
  })
})

describe('stealth of a server with workers', () => {
  const scope = testScope()
  before(function () { need(this, 'openssl') })

  it('is the main thread\'s, beside listeners of the others', async () => {
    const ca = makeCa(scope)
    const { cert, key } = ca.issue()
    const { server, login } = await startServer(scope, {
      workers: 2, listen: undefined, listeners: [{ transport: 'tls', listen: '127.0.0.1:0', tlsCert: cert, tlsKey: key, stealth: true }, { listen: '127.0.0.1:0' }]
    })
    const [hidden, plain] = server.address()
    await login({ transport: 'tls', server: `127.0.0.1:${hidden.port}`, tlsCa: ca.cert, stealth: true })
    await login({ server: `127.0.0.1:${plain.port}` })
    assert.deepStrictEqual(server.sessions().map(({ worker, transport }) => [worker, transport]), [[null, 'tls'], [1, 'tcp']])
  })
})

describe('a server with workers that does not start', () => {
  const scope = testScope()

  it('leaves nothing: its place is taken, or it is canceled', async () => {
    const { server, keys } = await startServer(scope)
    const options = { hostKey: keys.host.privateKey, authorizedKeys: Buffer.from(keys.user.publicKey), workers: 2 }
    await assert.rejects(alknet.serve({ ...options, listen: `127.0.0.1:${server.address().port}` }), { code: 'EADDRINUSE' })
    const controller = new AbortController()
    const starting = alknet.serve({ ...options, listen: '127.0.0.1:0', signal: controller.signal })
    setImmediate(() => controller.abort())
    await assert.rejects(starting, { code: 'ERR_ALKNET_CANCELED' })
  })

  it('takes no function for channels together with them', async () => {
    const { keys } = await startServer(scope)
    await assert.rejects(alknet.serve({ hostKey: keys.host.privateKey, workers: 2, onConnection: () => {} }), { code: 'ERR_ALKNET_OPTION', option: 'onConnection' })
    for (const workers of [0, 65, 1.5, '2']) await assert.rejects(alknet.serve({ hostKey: keys.host.privateKey, workers }), { code: 'ERR_ALKNET_OPTION', option: 'workers' })
  })
})
