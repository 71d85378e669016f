'use strict'

const assert = require('assert')
const { Dial, dialHost, interleave } = require('../lib/dial')
const { nativeError } = require('../lib/errors')
const { fakeStream } = require('./helpers/fake-binding')

const HOUR = 3_600_000

function refusedBy (text) {
  return nativeError('ERR_ALKNET_SYS', 'system', 'ECONNREFUSED', -111, 0, text)
}

/** A dial whose streams the test plays, on a clock that the test turns. */
function scripted (addresses, timeoutMs = HOUR) {
  const streams = []
  const results = []
  const dial = new Dial((address, port) => {
    const stream = fakeStream()
    streams.push(Object.assign(stream, { address, port }))
    return stream
  }, addresses, 80, timeoutMs, (err, stream) => results.push([err, stream]))
  return { dial, streams, results }
}

/** Replaces the timers until the test ends: tick(ms) lets time pass. */
function useClock () {
  const saved = [global.setTimeout, global.clearTimeout]
  let now = 0
  let timers = []
  global.setTimeout = (run, ms, ...args) => {
    const timer = { at: now + ms, run, args }
    timers.push(timer)
    return timer
  }
  global.clearTimeout = (timer) => { timers = timers.filter((one) => one !== timer) }
  return {
    tick (ms) {
      now += ms
      for (const timer of timers.filter((one) => one.at <= now)) {
        global.clearTimeout(timer)
        timer.run(...timer.args)
      }
    },
    get waiting () { return timers.length },
    restore () { [global.setTimeout, global.clearTimeout] = saved }
  }
}

describe('dialling', () => {
  let clock
  beforeEach(() => { clock = useClock() })
  afterEach(() => clock.restore())

  it('lets the families take turns', () => {
    assert.deepStrictEqual(interleave(['::1', '::2', '::3', '1.1.1.1', '1.1.1.2']), ['::1', '1.1.1.1', '::2', '1.1.1.2', '::3'])
    assert.deepStrictEqual(interleave(['1.1.1.1', '::1', '::2']), ['1.1.1.1', '::1', '::2'])
    assert.strictEqual(interleave(Array.from({ length: 1000 }, (_, i) => `10.0.${i >> 8}.${i & 255}`)).length, 32)
  })

  it('connects to the one address that there is', () => {
    const { streams, results } = scripted(['10.0.0.1'])
    assert.deepStrictEqual([streams[0].address, streams[0].port], ['10.0.0.1', 80])
    streams[0].emit('onopen')
    assert.deepStrictEqual(results, [[null, streams[0]]])
    assert.deepStrictEqual(streams[0].called, [])
    assert.strictEqual(clock.waiting, 0)
  })

  it('starts the next address after 250 ms, and closes those that lose', () => {
    const { streams, results } = scripted(['::1', '1.1.1.1', '::2'])
    assert.strictEqual(streams.length, 1)
    clock.tick(249)
    assert.strictEqual(streams.length, 1)
    clock.tick(1)
    assert.deepStrictEqual(streams.map((s) => s.address), ['::1', '1.1.1.1'])
    streams[1].emit('onopen')
    assert.deepStrictEqual(results, [[null, streams[1]]])
    assert.deepStrictEqual(streams[0].called, ['close'])
    streams[0].emit('onopen') // too late
    streams[0].emit('onclose', null)
    clock.tick(HOUR)
    assert.strictEqual(streams.length, 2)
    assert.strictEqual(results.length, 1)
    assert.strictEqual(clock.waiting, 0)
  })

  it('starts the next one at once when one fails', () => {
    const { streams, results } = scripted(['::1', '1.1.1.1'])
    streams[0].emit('onclose', refusedBy('first'))
    assert.strictEqual(streams.length, 2)
    streams[1].emit('onclose', refusedBy('second'))
    assert.strictEqual(results.length, 1)
    assert.strictEqual(results[0][0].message, 'first')
    assert.strictEqual(clock.waiting, 0)
  })

  it('waits for the others when the last address fails first', () => {
    const { streams, results } = scripted(['::1', '1.1.1.1'])
    clock.tick(250)
    streams[1].emit('onclose', refusedBy('x'))
    assert.deepStrictEqual(results, [])
    streams[0].emit('onopen')
    assert.deepStrictEqual(results, [[null, streams[0]]])
  })

  it('has a time limit for all together', () => {
    const { streams, results } = scripted(['::1', '1.1.1.1'], 1000)
    clock.tick(250)
    clock.tick(750)
    assert.strictEqual(results[0][0].code, 'ERR_ALKNET_TIMEOUT')
    assert.deepStrictEqual(streams.map((s) => s.called), [['close'], ['close']])
    assert.strictEqual(clock.waiting, 0)
  })

  it('is silent after close()', () => {
    const { dial, streams, results } = scripted(['::1', '1.1.1.1'])
    dial.close()
    dial.close()
    assert.deepStrictEqual(streams[0].called, ['close'])
    streams[0].emit('onclose', null)
    clock.tick(HOUR)
    assert.deepStrictEqual([results, streams.length, clock.waiting], [[], 1, 0])
  })
})

describe('dialling a name', () => {
  function dialling (options = {}) {
    const streams = []
    const asked = []
    const promise = dialHost({
      connectTcp: (address) => {
        streams.push(Object.assign(fakeStream(), { address }))
        return streams.at(-1)
      }
    }, {
      host: 'name', port: 22, timeoutMs: HOUR, lookup: (host, opts, callback) => asked.push({ host, callback }), ...options
    })
    return { promise, streams, asked }
  }

  it('resolves with the stream that opened', async () => {
    const { promise, streams, asked } = dialling()
    asked[0].callback(null, [{ address: '10.0.0.1', family: 4 }])
    streams[0].emit('onopen')
    assert.strictEqual(await promise, streams[0])
  })

  it('rejects for a name that is not found', async () => {
    const { promise, asked } = dialling()
    asked[0].callback(Object.assign(new Error('x'), { code: 'ENOTFOUND' }))
    await assert.rejects(promise, { code: 'ERR_ALKNET_DNS', stage: 'dns' })
    const empty = dialling()
    empty.asked[0].callback(null, [])
    await assert.rejects(empty.promise, { code: 'ERR_ALKNET_DNS' })
  })

  it('can be aborted before, during and after the look-up', async () => {
    await assert.rejects(dialling({ signal: AbortSignal.abort() }).promise, { code: 'ERR_ALKNET_CANCELED' })

    const during = new AbortController()
    const first = dialling({ signal: during.signal })
    during.abort()
    await assert.rejects(first.promise, { code: 'ERR_ALKNET_CANCELED' })
    first.asked[0].callback(null, [{ address: '10.0.0.1', family: 4 }])
    assert.strictEqual(first.streams.length, 0)

    const after = new AbortController()
    const second = dialling({ signal: after.signal, host: '10.0.0.1' })
    after.abort()
    await assert.rejects(second.promise, { code: 'ERR_ALKNET_CANCELED' })
    assert.deepStrictEqual(second.streams[0].called, ['close'])
  })

  it('does not wait for ever for a resolver', async () => {
    await assert.rejects(dialling({ timeoutMs: 1 }).promise, { code: 'ERR_ALKNET_TIMEOUT', stage: 'connect' })
  })
})
