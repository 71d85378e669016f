'use strict'

const assert = require('assert')
const { dialThrough } = require('../lib/dial-through')
const { nativeError } = require('../lib/errors')
const { parseProxies } = require('../lib/proxies')
const { Handle, fakeStream } = require('./helpers/fake-binding')

const HOUR = 3_600_000

/** An addon whose streams and proxies the test plays. */
function scripted () {
  const tcp = []
  const asked = []
  const ask = (kind) => (stream, ...args) => {
    const handle = Object.assign(new Handle('proxy', ['close']), { asks: kind, stream, args })
    asked.push(handle)
    return handle
  }
  const binding = {
    connectTcp: (address, port) => {
      const stream = Object.assign(fakeStream(), { target: `${address} ${port}` })
      tcp.push(stream)
      return stream
    },
    proxyHttp: ask('http'),
    proxySocks5: ask('socks5')
  }
  return { tcp, asked, binding }
}

const through = (binding, urls, more) => dialThrough(binding, {
  proxies: parseProxies(urls, {})?.chain, host: 'Target.Example', port: 22, timeoutMs: HOUR, ...more
})

/** What was said to it, without the time, which is what is left. */
function saidTo ({ asks, args: [host, port, ms, ...login] }) {
  assert(ms > 0 && ms <= HOUR)
  return [asks, host, port, ...login]
}

const refusal = (reason, code = 'ERR_ALKNET_PROXY') => nativeError(code, 'proxy', null, 0, reason, 'proxy: its rules do not allow that (2)')
const soon = () => new Promise((resolve) => setImmediate(resolve))

describe('dialling through proxies', () => {
  it('without any goes straight there', async () => {
    const { tcp, asked, binding } = scripted()
    const opening = through(binding, [], { host: '10.0.0.1' })
    assert.deepStrictEqual(tcp.map((one) => one.target), ['10.0.0.1 22'])
    tcp[0].emit('onopen')
    assert.strictEqual(await opening, tcp[0])
    assert.deepStrictEqual(asked, [])
  })

  it('asks each for the next, and the last for the host, as it is', async () => {
    const { tcp, asked, binding } = scripted()
    const opening = through(binding, ['socks5://me:pw@10.0.0.1', 'http://a:b@proxy.example:3128', 'http://10.0.0.3:8080'])
    assert.deepStrictEqual(tcp.map((one) => one.target), ['10.0.0.1 1080'])
    const streams = [tcp[0], fakeStream(), fakeStream(), fakeStream()]
    tcp[0].emit('onopen')
    for (let i = 0; i < 3; i++) {
      await soon()
      assert.strictEqual(asked.length, i + 1)
      assert.strictEqual(asked[i].stream, streams[i])
      asked[i].emit('onopen', streams[i + 1])
    }
    assert.strictEqual(await opening, streams[3])
    assert.deepStrictEqual(asked.map(saidTo), [
      ['socks5', 'proxy.example', 3128, 'me', 'pw'],
      ['http', '10.0.0.3', 8080, `Basic ${Buffer.from('a:b').toString('base64')}`],
      ['http', 'target.example', 22, null]
    ])
    assert.strictEqual(tcp.length, 1)
  })

  it('looks up the first proxy alone, and tries each of its addresses', async () => {
    const { tcp, asked, binding } = scripted()
    const names = []
    const lookup = (name, options, done) => {
      names.push(name)
      done(null, [{ address: '10.0.0.1' }, { address: '10.0.0.2' }])
    }
    const opening = through(binding, ['http://one.example', 'http://two.example'], { lookup })
    tcp[0].emit('onclose', nativeError('ERR_ALKNET_SYS', 'system', 'ECONNREFUSED', -111, 0, 'connect'))
    tcp[1].emit('onopen')
    await soon()
    asked[0].emit('onopen', fakeStream())
    await soon()
    asked[1].emit('onopen', fakeStream())
    await opening
    assert.deepStrictEqual(names, ['one.example'])
    assert.deepStrictEqual(tcp.map((one) => one.target), ['10.0.0.1 1080', '10.0.0.2 1080'])
  })

  it('hands names of other scripts over in ASCII', async () => {
    const { tcp, asked, binding } = scripted()
    const opening = through(binding, ['socks5://10.0.0.1'], { host: 'bücher.example' })
    tcp[0].emit('onopen')
    await soon()
    assert.deepStrictEqual(saidTo(asked[0]), ['socks5', 'xn--bcher-kva.example', 22, null, null])
    asked[0].emit('onopen', fakeStream())
    await opening
  })

  it('says which proxy it was, what it answered, and whether to try again', async () => {
    for (const [hop, reason, retryable] of [[1, 2, false], [2, 403, false], [2, 503, true]]) {
      const { tcp, asked, binding } = scripted()
      const opening = through(binding, ['http://me:secret@10.0.0.1', 'socks5://me:secret@[::2]:9'])
      opening.catch(() => {})
      tcp[0].emit('onopen')
      await soon()
      if (hop === 2) asked[0].emit('onopen', fakeStream())
      await soon()
      asked.at(-1).emit('onclose', refusal(reason))
      await assert.rejects(opening, (err) => {
        assert.deepStrictEqual([err.code, err.stage, err.hop, err.reason, err.retryable], ['ERR_ALKNET_PROXY', 'proxy', hop, reason, retryable])
        assert.match(err.message, hop === 1
          ? /^the proxy 10\.0\.0\.1:1080, asked for the next proxy \[::2\]:9, says: its rules/
          : /^the proxy \[::2\]:9 says: its rules/)
        assert.doesNotMatch(err.message, /secret|target/)
        return true
      })
    }
  })

  it('keeps the system\'s codes: of the proxy itself without a reason', async () => {
    const { tcp, asked, binding } = scripted()
    const refused = through(binding, ['http://10.0.0.1'])
    tcp[0].emit('onclose', nativeError('ERR_ALKNET_SYS', 'system', 'ECONNREFUSED', -111, 0, 'connect'))
    await assert.rejects(refused, (err) => {
      assert.deepStrictEqual([err.code, err.errno, err.stage, err.hop, err.reason, err.retryable], ['ECONNREFUSED', -111, 'proxy', 1, undefined, true])
      return true
    })
    const there = through(binding, ['socks5://10.0.0.1'])
    tcp[1].emit('onopen')
    await soon()
    asked[0].emit('onclose', nativeError('ERR_ALKNET_SYS', 'system', 'ECONNREFUSED', -111, 5, 'proxy: connection refused (5)'))
    await assert.rejects(there, { code: 'ECONNREFUSED', stage: 'proxy', hop: 1, reason: 5, message: 'the proxy 10.0.0.1:1080 says: connection refused (5)' })
  })

  it('says it of a name that is not found', async () => {
    const { binding } = scripted()
    const lookup = (name, options, done) => done(new Error('no'))
    await assert.rejects(through(binding, ['http://one.example'], { lookup }), { code: 'ERR_ALKNET_DNS', stage: 'proxy', hop: 1 })
  })

  it('is aborted at every step, and leaves nothing open', async () => {
    for (let step = 0; step < 3; step++) {
      const { tcp, asked, binding } = scripted()
      const controller = new AbortController()
      const opening = through(binding, ['http://10.0.0.1', 'http://10.0.0.2'], { signal: controller.signal })
      if (step > 0) tcp[0].emit('onopen')
      await soon()
      const second = fakeStream()
      if (step > 1) asked[0].emit('onopen', second)
      await soon()
      controller.abort(new Error('enough'))
      await assert.rejects(opening, { code: 'ERR_ALKNET_CANCELED' })
      assert.strictEqual(asked.length, step)
      if (step === 0) assert.deepStrictEqual(tcp[0].called, ['close'])
      else assert.deepStrictEqual(asked.at(-1).called, ['close'])
      asked.at(-1)?.emit('onclose', refusal(1)) // nobody hears it
    }
  })

  it('closes the stream when it was aborted between two steps', async () => {
    const { tcp, asked, binding } = scripted()
    const controller = new AbortController()
    const opening = through(binding, ['http://10.0.0.1', 'http://10.0.0.2'], { signal: controller.signal })
    tcp[0].emit('onopen')
    await soon()
    const second = fakeStream()
    asked[0].emit('onopen', second)
    controller.abort()
    await assert.rejects(opening, { code: 'ERR_ALKNET_CANCELED' })
    assert.deepStrictEqual(second.called, ['close'])
    assert.strictEqual(asked.length, 1)
  })

  it('closes the stream that the addon does not take', async () => {
    const { tcp, binding } = scripted()
    binding.proxyHttp = () => { throw nativeError('ERR_ALKNET_OPTION', 'options', null, 0, 0, 'expected a string') }
    const opening = through(binding, ['http://10.0.0.1'])
    tcp[0].emit('onopen')
    await assert.rejects(opening, { code: 'ERR_ALKNET_OPTION', stage: 'proxy' })
    assert.deepStrictEqual(tcp[0].called, ['close'])
  })
})
