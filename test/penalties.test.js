'use strict'

const assert = require('assert')
const { serverOptions } = require('../lib/options')
const { MAX_SOURCES, Penalties } = require('../lib/penalties')
const { createRandom, seed } = require('./helpers/random')

/** Penalties with a clock that the test sets. */
function withClock (options = {}, more) {
  const clock = { now: 1000.25 }
  const made = new Penalties(checked(options), { now: () => clock.now, ...more })
  return { penalties: made, clock, update: (changes) => made.update(checked(changes)) }
}

function checked (options) {
  return serverOptions({ hostKey: 'k', ...options })
}

const ipv4 = (n) => `10.${(n >> 16) & 255}.${(n >> 8) & 255}.${n & 255}`

describe('penalties', () => {
  it('refuse from 15 s on, until all has passed', () => {
    const { penalties, clock } = withClock()
    assert.deepStrictEqual(penalties.punish('192.0.2.1', 'auth_failed'), { source: '192.0.2.1/32', seconds: 5, isNew: false })
    assert(!penalties.refuses('192.0.2.1'))
    penalties.punish('192.0.2.1', 'auth_failed')
    assert(!penalties.refuses('192.0.2.1'))
    assert.deepStrictEqual(penalties.punish('192.0.2.1', 'auth_failed'), { source: '192.0.2.1/32', seconds: 15, isNew: true })
    assert(penalties.refuses('192.0.2.1'))
    assert(!penalties.refuses('192.0.2.2'))
    assert.deepStrictEqual(penalties.counts(), { sources: 1, refused: 1 })
    clock.now += 14.9 // less than min is left, and it is refused all the same
    assert(penalties.refuses('192.0.2.1'))
    clock.now += 0.2
    assert(!penalties.refuses('192.0.2.1'))
    assert.deepStrictEqual(penalties.counts(), { sources: 0, refused: 0 })
    assert.strictEqual(penalties.punish('192.0.2.1', 'auth_failed').seconds, 5, 'it begins anew')
    assert(!penalties.refuses('192.0.2.1'))
  })

  it('have a length for each offence', () => {
    for (const [kind, seconds] of [['auth_failed', 5], ['no_auth', 1], ['grace_exceeded', 10]]) {
      const { penalties } = withClock()
      assert.strictEqual(penalties.punish('192.0.2.1', kind).seconds, seconds, kind)
    }
  })

  it('pass while they add up', () => {
    const { penalties, clock } = withClock()
    for (let i = 0; i < 100; i++) {
      penalties.punish('192.0.2.1', 'no_auth') // a probe a second
      clock.now += 1
    }
    assert(!penalties.refuses('192.0.2.1'))
  })

  it('add up to 10 minutes at most, one of them alone too', () => {
    const { penalties, clock } = withClock()
    for (let i = 0; i < 1000; i++) penalties.punish('192.0.2.1', 'grace_exceeded')
    clock.now += 599.5
    assert(penalties.refuses('192.0.2.1'))
    clock.now += 1
    assert(!penalties.refuses('192.0.2.1'))
    const long = withClock({ penalties: { authfail: '1h' } }).penalties
    assert.deepStrictEqual(long.punish('192.0.2.1', 'auth_failed'), { source: '192.0.2.1/32', seconds: 600, isNew: true })
  })

  it('are those of a /64 of IPv6, and of IPv4 however it is written', () => {
    const { penalties } = withClock({ penalties: 'min:5s' })
    assert.strictEqual(penalties.punish('2001:db8:0:1::1', 'auth_failed').source, '2001:db8:0:1::/64')
    assert(penalties.refuses('2001:db8:0:1:ffff:ffff:ffff:ffff'))
    assert(!penalties.refuses('2001:db8:0:2::1'))
    penalties.punish('::ffff:192.0.2.1', 'auth_failed')
    assert(penalties.refuses('192.0.2.1'))
    assert(!penalties.refuses('192.0.2.2'))
    assert(!penalties.refuses('::c000:201'))
  })

  it('are for nobody without an address', () => {
    const { penalties } = withClock({ penalties: { min: 0 } })
    assert.strictEqual(penalties.punish('', 'auth_failed'), null)
    assert(!penalties.refuses(''))
  })

  it('spare what is exempt, loopback only when it is', () => {
    const { penalties } = withClock({ penalties: 'min:0', penaltyExempt: ['192.0.2.0/24', '2001:db8::/32'] })
    for (const address of ['192.0.2.9', '::ffff:192.0.2.9', '2001:db8:5::1']) {
      assert.strictEqual(penalties.punish(address, 'auth_failed'), null, address)
      assert(!penalties.refuses(address), address)
    }
    for (const address of ['192.0.3.9', '2001:db9::1', '127.0.0.1', '::1']) {
      penalties.punish(address, 'no_auth')
      assert(penalties.refuses(address), address)
    }
  })

  it('are off where they are, one by one too', () => {
    const { penalties } = withClock({ penalties: false })
    for (let i = 0; i < 10; i++) assert.strictEqual(penalties.punish('192.0.2.1', 'auth_failed'), null)
    assert(!penalties.refuses('192.0.2.1'))
    const some = withClock({ penalties: { noauth: 0 } }).penalties
    assert.strictEqual(some.punish('192.0.2.1', 'no_auth'), null)
    assert.deepStrictEqual(some.counts(), { sources: 0, refused: 0 })
  })

  it('stay when other limits come', () => {
    const { penalties, update } = withClock()
    for (let i = 0; i < 3; i++) penalties.punish('192.0.2.1', 'auth_failed')
    penalties.punish('192.0.2.2', 'auth_failed')
    update({ penalties: { min: 5 } })
    assert(penalties.refuses('192.0.2.1'))
    assert(!penalties.refuses('192.0.2.2'), 'what it has got was too little then')
    penalties.punish('192.0.2.2', 'no_auth')
    assert(penalties.refuses('192.0.2.2'))
    update({ penalties: 'off' })
    assert(!penalties.refuses('192.0.2.1'))
    update({ penaltyExempt: '192.0.2.1' })
    assert(!penalties.refuses('192.0.2.1'))
    assert(penalties.refuses('192.0.2.2'))
    update({})
    assert(penalties.refuses('192.0.2.1'))
  })

  it('forget those that end soonest when there are too many, for IPv4 and IPv6 each', () => {
    const { penalties } = withClock({ penalties: 'min:1s' }, { maxSources: 3 })
    penalties.punish('2001:db8::1', 'no_auth')
    penalties.punish('192.0.2.1', 'auth_failed')
    penalties.punish('192.0.2.2', 'grace_exceeded')
    penalties.punish('192.0.2.3', 'no_auth')
    penalties.punish('192.0.2.4', 'grace_exceeded')
    const refused = [1, 2, 3, 4].filter((n) => penalties.refuses(`192.0.2.${n}`))
    assert.deepStrictEqual(refused, [1, 2, 4])
    penalties.punish('192.0.2.5', 'no_auth') // is itself the soonest
    assert.deepStrictEqual([1, 2, 3, 4, 5].filter((n) => penalties.refuses(`192.0.2.${n}`)), [1, 2, 4])
    assert(penalties.refuses('2001:db8::1'))
    assert.deepStrictEqual(penalties.counts(), { sources: 4, refused: 4 })
  })

  it('hold 65,536 sources, and take as little time for each after that', () => {
    const { penalties } = withClock()
    let steps = 0
    const table = penalties._tables[4]
    const has = table._bySecond.has.bind(table._bySecond)
    table._bySecond.has = (second) => {
      steps++
      return has(second)
    }
    const kinds = ['auth_failed', 'no_auth', 'grace_exceeded']
    for (let i = 0; i < MAX_SOURCES; i++) penalties.punish(ipv4(i), kinds[i % 3])
    for (let i = 0; i < 1000; i++) penalties.punish(ipv4(5), 'grace_exceeded')
    steps = 0
    const more = 20_000
    for (let i = 0; i < more; i++) penalties.punish(ipv4(MAX_SOURCES + i), kinds[i % 3])
    assert.deepStrictEqual(penalties.counts(), { sources: MAX_SOURCES, refused: 1 })
    assert(penalties.refuses(ipv4(5)))
    assert(steps < more * 5, `${steps} steps for ${more} sources`)
  })

  it('end for a flood of sources a few at a time, and for each when it should', () => {
    const { penalties, clock } = withClock({ penalties: 'min:0' })
    for (let i = 0; i < 5000; i++) penalties.punish(ipv4(i), 'auth_failed')
    clock.now += 6
    const table = penalties._tables[4]
    assert(!penalties.refuses('192.0.2.1'))
    assert(table.size > 4900, 'the first who asks does not wait for all of them')
    assert(!penalties.refuses(ipv4(4999)))
    for (let i = 0; i < 500; i++) penalties.punish('192.0.2.1', 'no_auth')
    assert.strictEqual(table.size, 1)
  })

  it('are what a plain list of them says, whatever comes', () => {
    const { below, pick, next } = createRandom()
    const max = 60
    const options = { penalties: { authfail: 3, noauth: 1, graceExceeded: 7, min: 9, max } }
    const { penalties, clock } = withClock(options)
    const costs = { auth_failed: 3, no_auth: 1, grace_exceeded: 7 }
    const model = new Map() // address => { until, isServed }
    for (let i = 0; i < 20_000; i++) {
      const address = pick([`192.0.2.${below(20)}`, `2001:db8:0:${below(20)}::1`])
      const entry = model.get(address)
      if (entry !== undefined && entry.until <= clock.now) model.delete(address)
      const context = `step ${i}, ALKNET_SEED=${seed}`
      if (below(3) === 0) {
        const kind = pick(Object.keys(costs))
        const before = model.get(address) ?? { until: clock.now, isServed: false }
        const left = Math.min(before.until - clock.now + costs[kind], max)
        const after = { until: clock.now + left, isServed: before.isServed || left >= 9 }
        model.set(address, after)
        assert.strictEqual(penalties.punish(address, kind).isNew, after.isServed && !before.isServed, context)
      } else {
        assert.strictEqual(penalties.refuses(address), model.get(address)?.isServed === true, context)
      }
      clock.now += below(10) === 0 ? next() * 30 : next() / 4
    }
    clock.now += 2 * max
    assert.deepStrictEqual(penalties.counts(), { sources: 0, refused: 0 })
    for (const table of Object.values(penalties._tables)) assert.strictEqual(table._bySecond.size, 0)
  })
})

describe('options of penalties', () => {
  const penalties = (value) => checked({ penalties: value }).penalties

  it('have defaults, parts and two forms', () => {
    const text = 'authfail:5s,noauth:1s,grace-exceeded:10s,min:15s,max:600s'
    const all = { authfail: 5, noauth: 1, graceExceeded: 10, min: 15, max: 600, text }
    assert.deepStrictEqual(penalties(undefined), all)
    assert.deepStrictEqual(penalties(true), all)
    assert.deepStrictEqual(penalties(text), all)
    assert.deepStrictEqual(penalties('authfail:1m, max:2h'), penalties({ authfail: 60, max: '2h' }))
    for (const off of [false, 'off']) assert.strictEqual(penalties(off), 'off')
  })

  it('are refused with a sentence', () => {
    const cases = [
      ['authfail', /penalties: "authfail" is not one of authfail, noauth, grace-exceeded, min, max with a duration/],
      ['crash:90s', /"crash:90s" is not one of/],
      ['', /is not one of/],
      ['max:1m,max:2m', /max stands there twice/],
      ['authfail:2d', /penalties\.authfail: must be a whole number of 0 to 86400 seconds/],
      [{ max: 0 }, /penalties\.max: must be a whole number of 1 to/],
      [{ grace: 1 }, /penalties\.grace: there is no such option; there are authfail,/],
      [{ min: 700 }, /penalties\.min: must not be more than max, 600 seconds/],
      [null, /must be false, or an object/],
      [[], /must be false, or an object/],
      [5, /must be false, or an object/]
    ]
    for (const [value, message] of cases) {
      assert.throws(() => penalties(value), (err) => err.code === 'ERR_ALKNET_OPTION' && message.test(err.message), String(value))
    }
  })

  it('take networks, and nothing that is only nearly one', () => {
    const list = checked({ penaltyExempt: ['192.0.2.0/24', '::1', '10.1.2.3', '2001:db8::/32', '::/0'] }).penaltyExempt
    assert.deepStrictEqual(list.map((one) => one.text), ['192.0.2.0/24', '::1', '10.1.2.3', '2001:db8::/32', '::/0'])
    for (const bad of ['', 'name', '192.0.2.1/24', '192.0.2.0/33', '10.0.0.0/4', '2001:db8::1/64', 'fe80::1%eth0', '1.2.3', 7]) {
      assert.throws(() => checked({ penaltyExempt: bad }), { code: 'ERR_ALKNET_OPTION', option: 'penaltyExempt' }, String(bad))
    }
  })
})
