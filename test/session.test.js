'use strict'

const assert = require('assert')
const { fakeBinding, fakeSocks, fakeStream, loadWith } = require('./helpers/fake-binding')
const { nativeError } = require('../lib/errors')

const BLOB = Buffer.concat([Buffer.from([0, 0, 0, 11]), Buffer.from('ssh-ed25519')])
const turn = () => new Promise(setImmediate)

/** A session over a scripted addon, as far as the test has led it. */
async function begin (options = {}, { verdict = 'trusted', types = '' } = {}) {
  const binding = fakeBinding()
  binding.hostsMatch = () => ({ verdict, line: verdict === 'unknown' ? 0 : 1, types })
  const [{ startSession }, { clientOptions }] = loadWith(binding, ['session-start', 'options'])
  const promise = startSession(clientOptions({
    server: '127.0.0.1:2222', identity: [Buffer.from('one'), Buffer.from('two')], knownHosts: Buffer.from('x y eA==\n'), ...options
  }))
  promise.catch(() => {})
  while (binding.made.tcp.length === 0 && !await Promise.race([promise.catch(() => true), turn()])) ;
  return { binding, promise, tcp: binding.made.tcp[0], get native () { return binding.made.session[0] } }
}

async function ready (options) {
  const s = await begin(options)
  s.tcp.emit('onopen')
  await turn()
  s.native.emit('onhostkey', BLOB)
  await turn()
  s.native.emit('onlogin')
  s.native.emit('onready')
  s.session = await s.promise
  s.end = async (err = null) => {
    s.native.emit('onclose', err)
    for (const listener of s.binding.made.listener) listener.emit('onclose')
    await s.session.closed
  }
  return s
}

describe('Session (scripted addon)', () => {
  it('passes ref and unref on to its transport and its listeners, later ones too', async () => {
    const s = await ready({ forward: '0:a:1' })
    const refs = () => [s.native, ...s.binding.made.listener].map((one) => one.called.filter((name) => /ref$/.test(name)).join())
    assert.strictEqual(s.session.unref(), s.session)
    await s.session.forwardLocal('0:b:2')
    assert.deepStrictEqual(refs(), ['unref', 'unref', 'unref'])
    assert.strictEqual(s.session.ref(), s.session)
    await s.session.forwardLocal('0:c:3')
    assert.deepStrictEqual(refs(), ['unref,ref', 'unref,ref', 'unref,ref', ''])
    s.session.close()
    await s.end()
    s.session.unref().ref()
  })

  it('connects, checks the host key, tries each key and is ready', async () => {
    const s = await begin()
    assert.deepStrictEqual(s.tcp.target, { address: '127.0.0.1', port: 2222 })
    s.tcp.emit('onopen')
    await turn()
    assert.strictEqual(s.native.stream, s.tcp)
    assert.strictEqual(s.native.options.user, 'alknet')
    s.native.emit('onhostkey', BLOB)
    await turn()
    s.native.emit('onlogin')
    s.native.emit('onlogin')
    const logins = s.native.calls.filter(([name]) => name === 'login').map(([, key]) => String(key.blob()))
    assert.deepStrictEqual(s.native.calls[0], ['trust', true])
    assert.deepStrictEqual(logins, ['one', 'two'])
    s.native.emit('onready')
    const session = await s.promise
    const closing = session.close()
    s.native.emit('onclose', null)
    await closing
    assert.strictEqual(session.error, null)
  })

  it('asks the server first for the kinds of key that are known', async () => {
    const s = await begin({}, { types: 'ssh-rsa' })
    s.tcp.emit('onopen')
    await turn()
    assert.strictEqual(s.native.options.hostKeyAlgorithms, 'rsa-sha2-512,rsa-sha2-256,ssh-ed25519,ecdsa-sha2-nistp256')
    s.native.emit('onclose', null)
    await assert.rejects(s.promise)
  })

  for (const verdict of ['unknown', 'changed', 'other', 'revoked']) {
    it(`does not trust a key that is ${verdict}`, async () => {
      const s = await begin({}, { verdict })
      s.tcp.emit('onopen')
      await turn()
      s.native.emit('onhostkey', BLOB)
      await turn()
      assert.deepStrictEqual(s.native.calls[0], ['trust', false])
      s.native.emit('onclose', nativeError('ERR_ALKNET_HOSTKEY', 'hostkey', null, 0, 0, 'x'))
      await assert.rejects(s.promise, (err) => {
        assert.strictEqual(err.code, 'ERR_ALKNET_HOSTKEY')
        assert(err.message.includes(`SHA256:${BLOB.toString('hex')}`))
        assert(err.advice.length > 0)
        return true
      })
    })
  }

  it('ends when no key is accepted', async () => {
    const s = await begin()
    s.tcp.emit('onopen')
    await turn()
    for (let i = 0; i < 3; i++) s.native.emit('onlogin')
    assert(s.native.called.includes('close'))
    s.native.emit('onclose', null)
    await assert.rejects(s.promise, { code: 'ERR_ALKNET_AUTH', stage: 'auth' })
  })

  it('says where it was when the connection broke', async () => {
    const s = await begin()
    s.tcp.emit('onopen')
    await turn()
    s.native.emit('onclose', nativeError('ERR_ALKNET_SYS', 'system', 'ECONNRESET', -104, 0, 'reset'))
    await assert.rejects(s.promise, { code: 'ECONNRESET', stage: 'kex', retryable: true })
    const other = await begin()
    other.tcp.emit('onclose', nativeError('ERR_ALKNET_SYS', 'system', 'ECONNREFUSED', -111, 0, 'refused'))
    await assert.rejects(other.promise, { code: 'ECONNREFUSED', stage: 'connect', message: /127\.0\.0\.1:2222/ })
  })

  it('can be aborted at every step', async () => {
    for (const steps of [0, 1, 2, 3]) {
      const controller = new AbortController()
      const s = await begin({ signal: controller.signal, socks5: '127.0.0.1:0' })
      if (steps > 0) s.tcp.emit('onopen')
      await turn()
      if (steps > 1) s.native.emit('onhostkey', BLOB)
      await turn()
      if (steps > 2) s.native.emit('onlogin')
      controller.abort()
      await turn()
      assert((steps === 0 ? s.tcp : s.native).called.includes('close'), `step ${steps}`)
      s.native?.emit('onclose', null)
      await turn()
      assert.deepStrictEqual(s.binding.made.listener[0].called, ['address', 'close'])
      s.binding.made.listener[0].emit('onclose')
      await assert.rejects(s.promise, { code: 'ERR_ALKNET_CANCELED' })
    }
  })

  it('has a limit for the whole handshake', async () => {
    const s = await begin({ handshakeTimeout: 1 })
    s.tcp.emit('onopen')
    await turn()
    const closed = new Promise((resolve) => { s.native.close = resolve })
    await closed
    s.native.emit('onclose', null)
    await assert.rejects(s.promise, { code: 'ERR_ALKNET_TIMEOUT', stage: 'kex' })
  })

  it('opens channels', async () => {
    const s = await ready()
    const opening = s.session.open({ host: 'db.internal', port: 5432 })
    const [channel] = s.native.opened
    assert.deepStrictEqual(channel.target, { type: 0, host: 'db.internal', port: 5432 })
    channel.emit('onopen')
    const stream = await opening
    stream.write('x')
    assert(channel.called.includes('write'))
    const refused = s.session.open({ host: 'db.internal', port: 1 })
    s.native.opened[1].emit('onclose', nativeError('ERR_ALKNET_CHANNEL', 'channel', null, 0, 2, 'Connection refused'))
    await assert.rejects(refused, { code: 'ERR_ALKNET_CHANNEL', reason: 2 })
    await assert.rejects(s.session.open({ host: 'a b', port: 1 }), { code: 'ERR_ALKNET_OPTION' })
    await assert.rejects(s.session.open({ host: 'a', port: 65536 }), { code: 'ERR_ALKNET_OPTION' })
    await s.end()
    await assert.rejects(s.session.open({ host: 'a', port: 1 }), { code: 'ERR_ALKNET_CLOSED' })
  })

  it('stops opening a channel when it is told to', async () => {
    const s = await ready()
    const controller = new AbortController()
    const opening = s.session.open({ host: 'a', port: 1 }, { signal: controller.signal })
    controller.abort()
    await assert.rejects(opening, { code: 'ERR_ALKNET_CANCELED' })
    assert(s.native.opened[0].called.includes('close'))
    await s.end()
  })

  it('joins what a forward accepts with a channel', async () => {
    const s = await ready({ forward: '0:web:80' })
    const stream = fakeStream()
    s.binding.made.listener[0].emit('onstream', stream)
    const [channel] = s.native.opened
    assert.deepStrictEqual(channel.target, { type: 0, host: 'web', port: 80 })
    const [relay] = s.binding.made.relay
    assert.deepStrictEqual([relay.a, relay.b, relay.ms], [stream, channel, 30_000])
    relay.emit('onclose', null)
    assert.strictEqual(s.session._channels.relays.count, 0)
    await s.end()
    const late = fakeStream()
    s.binding.made.listener[0].emit('onstream', late)
    assert.deepStrictEqual(late.called, ['close'])
  })

  it('leads a forward to a Unix socket of the server', async () => {
    const s = await ready({ forward: '0:/run/db.sock' })
    s.binding.made.listener[0].emit('onstream', fakeStream())
    assert.deepStrictEqual(s.native.opened[0].target, { type: 2, host: '/run/db.sock', port: 0 })
    await s.end()
  })

  it('gives the channel of a forward openTimeout to open, and forgets it when it did not', async () => {
    const s = await ready({ forward: '0:web:80', openTimeout: 1 })
    s.binding.made.listener[0].emit('onstream', fakeStream())
    const [relay] = s.binding.made.relay
    assert.strictEqual(relay.ms, 1000)
    assert.strictEqual(s.session._channels.relays.count, 1)
    relay.emit('onclose', nativeError('ERR_ALKNET_TIMEOUT', 'channel', null, 0, 0, 'x'))
    assert.strictEqual(s.session._channels.relays.count, 0)
    await s.end()
  })

  it('drains a connection whose channel is still opening', async () => {
    const s = await ready({ forward: '0:web:80' })
    s.binding.made.listener[0].emit('onstream', fakeStream())
    const closing = s.session.close({ drainMs: 3_600_000 })
    await turn()
    assert(!s.native.called.includes('close'))
    s.native.opened[0].emit('onopen')
    s.binding.made.relay[0].emit('onclose', null)
    await turn()
    assert(s.native.called.includes('close'))
    await s.end()
    await closing
  })

  it('reports the end once, with its reason', async () => {
    const s = await ready()
    const events = []
    s.session.on('close', (err) => events.push(err))
    await s.end()
    await turn()
    assert.deepStrictEqual(events.map((err) => err.code), ['ERR_ALKNET_LOST'])
    assert.strictEqual(s.session.error, events[0])
  })

  it('is lost when the server answers nothing any more', async () => {
    const s = await ready()
    s.native.answers.silence = 3600e3
    for (let i = 0; i < 4; i++) s.session._link._keepalive._judge()
    assert(s.native.called.includes('close'))
    await s.end()
    assert.deepStrictEqual([s.session.error.code, s.session.error.stage], ['ERR_ALKNET_TIMEOUT', 'session'])
  })

  it('refuses channels that the server opens', async () => {
    const s = await ready()
    const channel = fakeStream('channel')
    s.native.emit('onchannel', channel, 1, 'x', 1, 'y', 2)
    assert.deepStrictEqual(s.native.calls.at(-1).slice(0, 3), ['refuse', channel, 1])
    await s.end()
  })

  it('binds before it connects, and undoes it when that fails', async () => {
    const binding = fakeBinding()
    const [{ startSession }, { clientOptions }] = loadWith(binding, ['session-start', 'options'])
    const listenTcp = binding.listenTcp
    binding.listenTcp = (address, port) => {
      if (port === 7) throw nativeError('ERR_ALKNET_SYS', 'system', 'EADDRINUSE', -98, 0, 'x')
      return listenTcp(address, port)
    }
    const promise = startSession(clientOptions({ server: '127.0.0.1', identity: Buffer.from('k'), socks5: '127.0.0.1:0', forward: '7:a:1' }))
    const failed = assert.rejects(promise, { code: 'EADDRINUSE', stage: 'listen', message: /127\.0\.0\.1:7/ })
    while (!binding.made.listener[0]?.called.includes('close')) await turn()
    binding.made.listener[0].emit('onclose')
    await failed
    assert.strictEqual(binding.made.tcp.length, 0)
  })
})

describe('SOCKS (scripted addon)', () => {
  let s, socks, listener
  const ask = (host = 'example.com') => listener.emit('onrequest', socks, 5, host, 443)
  const refused = (reason, text) => nativeError('ERR_ALKNET_CHANNEL', 'channel', null, 0, reason, text)
  beforeEach(async () => {
    s = await ready({ socks5: '127.0.0.1:0', socks5Auth: 'u:p', openTimeout: 7 })
    listener = s.binding.made.listener[0]
    socks = fakeSocks()
  })
  afterEach(async () => {
    socks.emit('onclose', null)
    assert.strictEqual(s.session._channels.clients.size, 0)
    assert.strictEqual(s.session._channels.relays.count, 0)
    await s.end()
  })

  it('hands the login and a time limit to the listener', () => {
    assert.deepStrictEqual([listener.user, listener.password, listener.ms], ['u', 'p', 10_000])
  })

  it('has the client connected to what it asks for', () => {
    ask()
    assert.deepStrictEqual(socks.calls, [['connect', s.native, 'example.com', 443, 7000]])
    assert.strictEqual(s.session._channels.relays.count, 1)
  })

  it('replies with the reason', () => {
    ask()
    socks.emit('onrefused', refused(2, 'Connection refused'))
    assert.deepStrictEqual(socks.calls.slice(1), [['refuse', 5]])
  })

  it('replies that it took too long', () => {
    ask()
    socks.emit('onrefused', nativeError('ERR_ALKNET_TIMEOUT', 'timeout', null, 0, 0, 'it did not open in time'))
    assert.deepStrictEqual(socks.calls.slice(1), [['refuse', 6]])
  })

  it('drains no refusal, however long it is in being taken', async () => {
    ask()
    socks.emit('onrefused', refused(1, 'no'))
    const closing = s.session.close({ drainMs: 3_600_000 })
    await turn()
    assert(s.native.called.includes('close'))
    s.native.emit('onclose', null)
    listener.emit('onclose')
    await closing
  })

  it('drains what is joined', async () => {
    ask()
    const closing = s.session.close({ drainMs: 3_600_000 })
    await turn()
    assert(!s.native.called.includes('close'))
    socks.emit('onclose', null)
    await turn()
    assert(s.native.called.includes('close'))
    s.native.emit('onclose', null)
    listener.emit('onclose')
    await closing
  })

  it('sends nothing on that is no host', () => {
    ask('-oProxyCommand=x')
    assert.deepStrictEqual(socks.calls, [['refuse', 1]])
  })

  it('refuses when the addon does', () => {
    socks.connect = () => { throw nativeError('ERR_ALKNET_CLOSED', 'close', null, 0, 0, 'x') }
    ask()
    assert.deepStrictEqual(socks.calls, [['refuse', 1]])
    assert.strictEqual(s.session._channels.relays.count, 0)
  })

  it('ends handshakes with the session, and refuses after it', () => {
    ask()
    s.native.emit('onclose', null)
    assert.deepStrictEqual(socks.calls.at(-1), ['close'])
    socks.emit('onclose', null)
    socks = fakeSocks()
    ask()
    assert.deepStrictEqual(socks.calls, [['refuse', 1]])
  })
})

describe('remote forwards (scripted addon)', () => {
  let s
  const channelOf = (type, host, port) => {
    const channel = fakeStream('channel')
    s.native.emit('onchannel', channel, type, host, port, '198.51.100.1', 4711)
    return channel
  }
  const refusals = () => s.native.calls.filter(([name]) => name === 'refuse').map(([, channel, reason, text]) => ({ channel, reason, text }))
  /** Has the server grant all that it has been asked for and has not answered. */
  const grant = (port) => s.native.asked.forEach((_, i) => s.native.emit('onreply', i + 1, true, port))
  const standing = async (spec, port = 8080) => {
    const promise = s.session.forwardRemote(spec)
    s.native.emit('onreply', s.native.asked.length, true, port)
    return promise
  }
  beforeEach(async () => { s = await ready() })
  afterEach(async () => {
    await s.end()
    assert.strictEqual(s.session._channels.relays.count, 0)
    assert.deepStrictEqual(s.session.openListeners, [])
  })

  it('asks as the protocol has it, and knows the port that was chosen', async () => {
    const all = Promise.all(['8080:web:80', '*:0:web:80', '[::1]:1:/x.sock', '/a.sock:web:80', '0'].map((spec) => s.session.forwardRemote(spec)))
    assert.deepStrictEqual(s.native.asked, [
      ['listen', false, 'localhost', 8080], ['listen', false, '', 0], ['listen', false, '::1', 1], ['listen', true, '/a.sock', 0], ['listen', false, 'localhost', 0]])
    grant(4711)
    const forwards = await all
    assert.deepStrictEqual(forwards.map((one) => one.address()), [
      { address: 'localhost', family: 0, port: 4711 }, { address: '*', family: 0, port: 4711 }, { address: '::1', family: 6, port: 4711 },
      { path: '/a.sock' }, { address: 'localhost', family: 0, port: 4711 }])
    assert.deepStrictEqual(forwards.map((one) => [one.kind, one.spec])[1], ['remote-forward', '*:0:web:80'])
    assert.deepStrictEqual(s.session.openListeners, forwards)
    assert.strictEqual(s.session.unref().ref(), s.session)
  })

  it('joins a channel with an address in one call', async () => {
    await standing('8080:127.0.0.1:80')
    const channel = channelOf(1, 'localhost', 8080)
    assert.deepStrictEqual(channel.calls, [['connect', '127.0.0.1', 80, 20_000]])
    assert.strictEqual(s.session._channels.relays.count, 1)
    channel.emit('onclose', null)
  })

  it('joins a channel with a Unix socket', async () => {
    await standing('/a.sock:/b.sock')
    const channel = channelOf(3, '/a.sock', 0)
    const [target] = s.binding.made.unix
    assert.deepStrictEqual(target.target, { path: '/b.sock' })
    target.emit('onopen')
    assert.deepStrictEqual(s.native.calls.at(-1), ['accept', channel])
    const [relay] = s.binding.made.relay
    assert.deepStrictEqual([relay.a, relay.b], [channel, target])
    relay.emit('onclose', null)
  })

  it('says why the target cannot be reached', async () => {
    await standing('8080:127.0.0.1:80')
    await standing('/a.sock:/b.sock')
    const first = channelOf(1, 'localhost', 8080)
    first.emit('onrefused', nativeError('ERR_ALKNET_SYS', 'system', 'ECONNREFUSED', -111, 0, 'x'))
    const second = channelOf(3, '/a.sock', 0)
    s.binding.made.unix[0].emit('onclose', nativeError('ERR_ALKNET_SYS', 'system', 'ENOENT', -2, 0, 'x'))
    assert.deepStrictEqual(refusals(), [{ channel: first, reason: 2, text: 'Connection refused' }, { channel: second, reason: 2, text: 'no such file' }])
  })

  it('gives up the target when the channel goes', async () => {
    await standing('/a.sock:/b.sock')
    const channel = channelOf(3, '/a.sock', 0)
    channel.emit('onclose', null)
    assert.deepStrictEqual(s.binding.made.unix[0].called, ['close'])
    assert.deepStrictEqual(refusals(), [])
  })

  it('takes only what it has asked for', async () => {
    await standing('8080:127.0.0.1:80')
    await standing('/a.sock:/b.sock')
    for (const [type, host, port] of [[0, 'localhost', 8080], [1, 'localhost', 8081], [2, '/a.sock', 0], [3, '/b.sock', 0], [3, 'localhost', 8080], [1, '/a.sock', 0]]) {
      const channel = channelOf(type, host, port)
      assert.deepStrictEqual(refusals().at(-1), { channel, reason: 1, text: 'not asked for' })
    }
    const leadsTo = (host, target) => {
      const channel = channelOf(1, host, 8080)
      assert.deepStrictEqual(channel.calls[0].slice(0, 2), ['connect', target])
      channel.emit('onclose', null)
    }
    leadsTo('192.0.2.1', '127.0.0.1') // the server sees its address in its own way
    await standing('[::1]:8080:127.0.0.2:80')
    leadsTo('::1', '127.0.0.2')
    leadsTo('localhost', '127.0.0.1')
    const unclear = channelOf(1, '192.0.2.1', 8080)
    assert.deepStrictEqual(refusals().at(-1).channel, unclear)
  })

  it('takes nothing more once it is closed, and is closed when the server says so', async () => {
    const forward = await standing('0:127.0.0.1:80')
    let isClosed = false
    const closing = forward.close().then(() => { isClosed = true })
    assert.strictEqual(forward.close(), forward.closed)
    assert.deepStrictEqual(s.native.asked.at(-1), ['unlisten', false, 'localhost', 8080])
    assert.deepStrictEqual(s.session.openListeners, [])
    channelOf(1, 'localhost', 8080)
    assert.strictEqual(refusals().at(-1).text, 'not asked for')
    await turn()
    assert(!isClosed)
    s.native.emit('onreply', 2, true, 0)
    await closing
  })

  it('is refused with the place, and what to do', async () => {
    for (const [spec, pattern] of [['80:a:1', /^remote forward on localhost:80: the server refused to listen \(.*--permit-listen/], ['/x:a:1', /^remote forward on \/x: .*--permit-listen unix:/]]) {
      const promise = s.session.forwardRemote(spec)
      s.native.emit('onreply', s.native.asked.length, false, 0)
      await assert.rejects(promise, { code: 'ERR_ALKNET_CHANNEL', stage: 'listen', reason: 1, message: pattern })
    }
    for (const spec of ['x', 5, undefined]) await assert.rejects(s.session.forwardRemote(spec), { code: 'ERR_ALKNET_OPTION' })
  })

  it('says which engine can', async () => {
    s.native.listen = () => { throw nativeError('ERR_ALKNET_UNSUPPORTED', 'engine', null, 0, 0, 'x') }
    await assert.rejects(s.session.forwardRemote('80:a:1'), { code: 'ERR_ALKNET_UNSUPPORTED', message: /sshEngine native/ })
  })

  it('ends with the session, answered or not', async () => {
    const forward = await standing('0:127.0.0.1:80')
    const closing = (await standing('/a.sock:/b.sock')).close()
    const asked = assert.rejects(s.session.forwardRemote('80:a:1'), { code: 'ERR_ALKNET_CLOSED' })
    s.native.emit('onclose', null)
    await Promise.all([forward.closed, closing, asked, s.session.closed])
    await assert.rejects(s.session.forwardRemote('80:a:1'), { code: 'ERR_ALKNET_CLOSED' })
  })

  it('takes a late yes back', async () => {
    const { session } = s
    session._openMs = 1
    await assert.rejects(session.forwardRemote('0:a:1'), { code: 'ERR_ALKNET_TIMEOUT', stage: 'listen' })
    s.native.emit('onreply', 1, true, 4711)
    assert.deepStrictEqual(s.native.asked, [['listen', false, 'localhost', 0], ['unlisten', false, 'localhost', 4711]])
    assert.deepStrictEqual(session.openListeners, [])
  })

  describe('SOCKS', () => {
    let door
    const ask = (host, port = 80) => {
      const socks = fakeSocks()
      door.emit('onrequest', socks, 5, host, port)
      return socks
    }
    beforeEach(async () => {
      await standing('1080', 1080)
      const channel = channelOf(1, 'localhost', 1080)
      door = s.binding.made.door[0]
      assert.deepStrictEqual(s.native.calls.at(-1), ['accept', channel])
      assert.deepStrictEqual(door.calls, [['enter', channel]])
      channelOf(1, 'localhost', 1080)
      assert.strictEqual(s.binding.made.door.length, 1, 'one is enough')
      s.native.emit = ((emit) => function (event, ...args) {
        emit.call(this, event, ...args)
        if (event === 'onclose') setImmediate(() => door.emit('onclose'))
      })(s.native.emit)
    })
    afterEach(async () => {
      await s.end()
      assert.strictEqual(door.called.at(-1), 'close')
    })

    it('reaches a target from here', () => {
      const socks = ask('127.0.0.1')
      const [target] = s.binding.made.tcp.slice(1)
      assert.deepStrictEqual(target.target, { address: '127.0.0.1', port: 80 })
      target.emit('onopen')
      assert.deepStrictEqual(socks.calls, [['join', target, 20_000]])
      assert.strictEqual(s.session._channels.relays.count, 1)
      socks.emit('onclose', null)
    })

    it('refuses what the built-in deny names, our own listeners, and reserved names, without a look-up', async () => {
      await s.session.forwardLocal('7000:a:1')
      for (const [host, port] of [['169.254.169.254', 80], ['::ffff:169.254.169.254', 80], ['0.0.0.0', 80], ['fe80::1', 80], ['127.0.0.1', 7000], ['alknet-x', 80], ['ALKNET-x.', 80]]) {
        const socks = ask(host, port)
        assert.deepStrictEqual(socks.calls, [['refuse', 2]], host)
        socks.emit('onclose', null)
      }
      for (const [host, port] of [['-x', 80], ['127.0.0.1', 0]]) {
        const socks = ask(host, port)
        assert.deepStrictEqual(socks.calls, [['refuse', 1]], host)
        socks.emit('onclose', null)
      }
      assert.strictEqual(s.binding.made.tcp.length, 1)
    })

    it('replies with the reason', () => {
      const refused = ask('127.0.0.1')
      s.binding.made.tcp[1].emit('onclose', nativeError('ERR_ALKNET_SYS', 'system', 'ECONNREFUSED', -111, 0, 'x'))
      assert.deepStrictEqual(refused.calls, [['refuse', 5]])
      const broken = ask('127.0.0.1')
      s.binding.made.tcp[2].emit('onopen')
      broken.emit('onrefused', nativeError('ERR_ALKNET_TIMEOUT', 'timeout', null, 0, 0, 'x'))
      assert.deepStrictEqual(broken.calls.at(-1), ['refuse', 1])
      for (const socks of [refused, broken]) socks.emit('onclose', null)
    })

    it('gives up when the client does', () => {
      const socks = ask('127.0.0.1')
      socks.emit('onclose', null)
      assert.deepStrictEqual(s.binding.made.tcp[1].called, ['close'])
      assert.deepStrictEqual(socks.calls, [])
    })
  })
})

describe('remote forwards at the start (scripted addon)', () => {
  /** As far as the login; the session has not started yet. */
  async function loggedIn (options) {
    const s = await begin({ remoteForward: ['8080:a:1', '/x.sock:b:2'], ...options })
    s.tcp.emit('onopen')
    await turn()
    s.native.emit('onhostkey', BLOB)
    await turn()
    s.native.emit('onlogin')
    s.native.emit('onready')
    await turn()
    assert.deepStrictEqual(s.native.asked, [['listen', false, 'localhost', 8080], ['listen', true, '/x.sock', 0]])
    return s
  }

  /** The session ends, as it has been told. */
  async function end (s, err = null) {
    await turn()
    assert(s.native.called.includes('close'))
    s.native.emit('onclose', err)
  }

  it('are all there, or there is no session', async () => {
    const s = await loggedIn()
    const failed = assert.rejects(s.promise, { code: 'ERR_ALKNET_CHANNEL', message: /^remote forward on \/x\.sock: / })
    s.native.emit('onreply', 1, true, 8080)
    s.native.emit('onreply', 2, false, 0)
    await end(s)
    await failed
  })

  it('do not hide why the session ended', async () => {
    const s = await loggedIn()
    const failed = assert.rejects(s.promise, { code: 'ECONNRESET', stage: 'session' })
    s.native.emit('onreply', 1, false, 0)
    s.native.emit('onreply', 2, false, 0)
    await end(s, nativeError('ERR_ALKNET_SYS', 'system', 'ECONNRESET', -104, 0, 'x'))
    await failed
  })

  it('can be aborted', async () => {
    const controller = new AbortController()
    const s = await loggedIn({ signal: controller.signal })
    const failed = assert.rejects(s.promise, { code: 'ERR_ALKNET_CANCELED' })
    controller.abort()
    await end(s)
    await failed
  })
})
