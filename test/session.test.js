'use strict'

const assert = require('assert')
const { fakeBinding, fakeStream, loadWith } = require('./helpers/fake-binding')
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
  let s, socks
  beforeEach(async () => {
    s = await ready({ socks5: '127.0.0.1:0', socks5Auth: 'u:p' })
    s.binding.made.listener[0].emit('onstream', fakeStream())
    socks = s.binding.made.socks[0]
  })
  afterEach(async () => {
    if (s.session._clients.size > 0) socks.emit('ondone', null, null)
    await s.end()
  })

  it('hands the login to the handshake', () => {
    assert.deepStrictEqual([socks.user, socks.password], ['u', 'p'])
  })

  it('replies after the channel is open, and joins', () => {
    socks.emit('onrequest', 5, 'example.com', 443)
    const [channel] = s.native.opened
    assert.deepStrictEqual(channel.target, { type: 0, host: 'example.com', port: 443 })
    assert.deepStrictEqual(socks.calls, [])
    channel.emit('onopen')
    assert.deepStrictEqual(socks.calls, [['reply', 0]])
    const stream = fakeStream()
    socks.emit('ondone', stream, null)
    assert.deepStrictEqual([s.binding.made.relay[0].a, s.binding.made.relay[0].b], [stream, channel])
    assert.strictEqual(s.session._clients.size, 0)
  })

  it('replies with the reason', () => {
    socks.emit('onrequest', 5, 'example.com', 443)
    s.native.opened[0].emit('onclose', nativeError('ERR_ALKNET_CHANNEL', 'channel', null, 0, 2, 'Connection refused'))
    assert.deepStrictEqual(socks.calls, [['reply', 5]])
  })

  it('replies once', () => {
    socks.emit('onrequest', 5, 'example.com', 443)
    s.native.opened[0].emit('onopen')
    s.native.opened[0].emit('onclose', null)
    assert.deepStrictEqual(socks.calls, [['reply', 0]])
    const stream = fakeStream()
    socks.emit('ondone', stream, null)
    assert.deepStrictEqual(stream.called, ['close'])
  })

  it('closes the channel when its client goes', () => {
    socks.emit('onrequest', 5, 'example.com', 443)
    socks.emit('ondone', null, null)
    assert.deepStrictEqual(s.native.opened[0].called, ['close'])
  })

  it('sends nothing on that is no host', () => {
    socks.emit('onrequest', 5, '-oProxyCommand=x', 443)
    assert.deepStrictEqual(socks.calls, [['reply', 1]])
    assert.strictEqual(s.native.opened.length, 0)
  })

  it('ends handshakes with the session', async () => {
    s.native.emit('onclose', null)
    assert.deepStrictEqual(socks.calls, [['close']])
  })
})
