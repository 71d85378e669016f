'use strict'

const assert = require('node:assert')
const { Backoff } = require('../lib/backoff')
const { isFatal } = require('../lib/keeper')
const { Pause } = require('../lib/pause')
const { fail, nativeError, systemError } = require('../lib/errors')

describe('Backoff', () => {
  const delays = (backoff, count) => Array.from({ length: count }, () => backoff.next())

  it('doubles up to the longest, and begins anew', () => {
    const backoff = new Backoff({ minDelayMs: 1000, maxDelayMs: 30_000 }, () => 0)
    assert.deepStrictEqual(delays(backoff, 8), [1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000])
    backoff.reset()
    assert.deepStrictEqual(delays(backoff, 2), [1000, 2000])
  })

  it('is up to a fifth longer', () => {
    const random = [0, 0.5, 1]
    const backoff = new Backoff({ minDelayMs: 1000, maxDelayMs: 1000 }, () => random.shift())
    assert.deepStrictEqual(delays(backoff, 3), [1000, 1100, 1200])
  })

  it('never waits for longer than the longest, also when the shortest is longer', () => {
    assert.deepStrictEqual(delays(new Backoff({ minDelayMs: 50, maxDelayMs: 20 }, () => 0), 3), [20, 20, 20])
  })
})

describe('Pause', () => {
  /** Its clock is mocked: nothing waits. */
  function begin (limits, more = () => 0) {
    const listeners = new Set()
    const wakes = {
      on (fn) {
        listeners.add(fn)
        return () => listeners.delete(fn)
      }
    }
    const backoff = new Backoff(limits, more)
    for (let i = 0; i < 5; i++) backoff.next()
    const what = { ends: 0, listeners, wake: () => { for (const fn of [...listeners]) fn() } }
    what.pause = new Pause(backoff, wakes, () => what.ends++)
    return what
  }

  let time = 0
  let timers = []
  const real = { setTimeout, clearTimeout, now: performance.now }
  beforeEach(() => {
    time = 0
    timers = []
    performance.now = () => time
    global.setTimeout = (fn, ms) => {
      const timer = { fn, at: time + ms, isRef: true, ref () { this.isRef = true }, unref () { this.isRef = false } }
      timers.push(timer)
      return timer
    }
    global.clearTimeout = (timer) => { timers = timers.filter((one) => one !== timer) }
  })
  afterEach(() => {
    Object.assign(global, { setTimeout: real.setTimeout, clearTimeout: real.clearTimeout })
    performance.now = real.now
  })

  function goTo (ms) {
    time = ms
    for (const timer of timers.filter(({ at }) => at <= ms)) {
      timers = timers.filter((one) => one !== timer)
      timer.fn()
    }
  }

  const LIMITS = { minDelayMs: 1000, maxDelayMs: 30_000 }

  it('is over when its delay has passed', () => {
    const one = begin(LIMITS)
    assert.strictEqual(one.pause.delay, 30_000)
    goTo(29_999)
    assert.strictEqual(one.ends, 0)
    goTo(30_000)
    assert.deepStrictEqual([one.ends, one.listeners.size, timers.length], [1, 0, 0])
  })

  it('is over sooner when the network is another, and never before the shortest delay', () => {
    const one = begin(LIMITS)
    for (let ms = 100; ms < 1000; ms += 100) {
      goTo(ms)
      one.wake()
      assert.deepStrictEqual([one.ends, timers.length], [0, 1])
    }
    goTo(999)
    assert.strictEqual(one.ends, 0)
    goTo(1000)
    assert.strictEqual(one.ends, 1)
    const late = begin(LIMITS)
    goTo(11_000)
    late.wake()
    assert.strictEqual(late.ends, 0, 'not from inside of the event')
    goTo(11_001)
    assert.deepStrictEqual([late.ends, late.listeners.size], [1, 0])
  })

  it('has a shortest delay that differs from client to client', () => {
    const one = begin(LIMITS, () => 0.5)
    one.wake()
    goTo(1099)
    assert.strictEqual(one.ends, 0)
    goTo(1100)
    assert.strictEqual(one.ends, 1)
  })

  it('keeps the process up, or not, also once it is hastened', () => {
    const one = begin(LIMITS)
    one.pause.keepAlive(false)
    one.wake()
    assert.deepStrictEqual(timers.map(({ isRef }) => isRef), [false])
    one.pause.keepAlive(true)
    assert.deepStrictEqual(timers.map(({ isRef }) => isRef), [true])
    one.pause.end()
    assert.deepStrictEqual([one.ends, timers.length], [1, 0])
  })
})

describe('what is tried again', () => {
  // docs/api.md has this as a table.
  const system = (code, stage) => Object.assign(nativeError(null, stage, code, -1, 0, 'x'))
  const rows = [
    // error, fatal at first, fatal later
    [fail('HOSTKEY', 'hostkey', 'x'), true, true],
    [fail('OPTION', 'options', 'x'), true, true],
    [fail('UNSUPPORTED', 'listen', 'x'), true, true],
    [fail('AUTH', 'auth', 'x'), true, false],
    [fail('AUTH', 'auth', 'too many sessions', { reason: 12 }), false, false],
    [fail('KEY', 'key', 'x'), true, false],
    [fail('CANCELED', 'connect', 'x'), true, false],
    [systemError(system('EACCES'), 'hostkey', 'known_hosts cannot be written'), true, false],
    [system('ECONNRESET', 'hostkey'), false, false],
    [system('ECONNREFUSED', 'connect'), false, false],
    [system('ENETUNREACH', 'connect'), false, false],
    [fail('DNS', 'dns', 'x'), false, false],
    [fail('TIMEOUT', 'kex', 'x'), false, false],
    [fail('LOST', 'session', 'x'), false, false],
    [fail('PROTO', 'kex', 'x'), false, false],
    [fail('KEX', 'kex', 'x'), false, false],
    [fail('CHANNEL', 'listen', 'a remote forward that is refused'), false, false]
  ]
  for (const [err, atFirst, later] of rows) {
    it(`${err.code} at the stage ${err.stage}: ${atFirst ? 'fatal at first' : 'always'}${later ? ' and later' : ''}`, () => {
      assert.deepStrictEqual([isFatal(err, true), isFatal(err, false)], [atFirst, later])
    })
  }
})
