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
  const [{ startSession }, { clientOptions }] = loadWith(binding, ['session', 'options'])
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
    await s.session.forward('0:b:2')
    assert.deepStrictEqual(refs(), ['unref', 'unref', 'unref'])
    assert.strictEqual(s.session.ref(), s.session)
    await s.session.forward('0:c:3')
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
    const opening = s.session.open('db.internal', 5432)
    const [channel] = s.native.opened
    assert.deepStrictEqual(channel.target, { type: 0, host: 'db.internal', port: 5432 })
    channel.emit('onopen')
    const stream = await opening
    stream.write('x')
    assert(channel.called.includes('write'))
    const refused = s.session.open('db.internal', 1)
    s.native.opened[1].emit('onclose', nativeError('ERR_ALKNET_CHANNEL', 'channel', null, 0, 2, 'Connection refused'))
    await assert.rejects(refused, { code: 'ERR_ALKNET_CHANNEL', reason: 2 })
    await assert.rejects(s.session.open('a b', 1), { code: 'ERR_ALKNET_OPTION' })
    await assert.rejects(s.session.open('a', 65536), { code: 'ERR_ALKNET_OPTION' })
    await s.end()
    await assert.rejects(s.session.open('a', 1), { code: 'ERR_ALKNET_CLOSED' })
  })

  it('stops opening a channel when it is told to', async () => {
    const s = await ready()
    const controller = new AbortController()
    const opening = s.session.open('a', 1, { signal: controller.signal })
    controller.abort()
    await assert.rejects(opening, { code: 'ERR_ALKNET_CANCELED' })
    assert(s.native.opened[0].called.includes('close'))
    await s.end()
  })

  it('joins what a forward accepts with a channel', async () => {
    const s = await ready({ forward: '0:web:80' })
    const stream = fakeStream()
    s.binding.made.listener[0].emit('onstream', stream)
    const [relay] = s.binding.made.relay
    assert.deepStrictEqual([relay.a, relay.b], [stream, s.native.opened[0]])
    await s.end()
    const late = fakeStream()
    s.binding.made.listener[0].emit('onstream', late)
    assert.deepStrictEqual(late.called, ['close'])
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
    for (let i = 0; i < 4; i++) s.session._keepalive._tick()
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
    const [{ startSession }, { clientOptions }] = loadWith(binding, ['session', 'options'])
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
    assert.strictEqual(s.session._clients.size, 0)
    assert.strictEqual(s.session._relays.count, 0)
    await s.end()
  })

  it('hands the login and a time limit to the listener', () => {
    assert.deepStrictEqual([listener.user, listener.password, listener.ms], ['u', 'p', 10_000])
  })

  it('has the client connected to what it asks for', () => {
    ask()
    assert.deepStrictEqual(socks.calls, [['connect', s.native, 'example.com', 443, 7000]])
    assert.strictEqual(s.session._relays.count, 1)
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
    assert.strictEqual(s.session._relays.count, 0)
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
