'use strict'

const assert = require('assert')
const { Limits } = require('../lib/limits')
const { serverOptions } = require('../lib/options')
const { createRandom, seed } = require('./helpers/random')

const NONE = { maxConnectionsPerIp: 0, maxUnauthenticatedPerIp: 0, maxUnauthenticated: 0, maxSessions: 0, evictAfterMs: 1000, evictSilentAfterMs: 400 }

describe('limits', () => {
  it('counts connections for each address', () => {
    const limits = new Limits({ ...NONE, maxConnectionsPerIp: 2 })
    const first = limits.enter('a')
    assert.strictEqual(typeof limits.enter('a'), 'object')
    assert.strictEqual(limits.enter('a'), 'max_connections_per_ip')
    assert.strictEqual(typeof limits.enter('b'), 'object')
    limits.leave(first)
    limits.leave(first) // once is enough
    assert.strictEqual(typeof limits.enter('a'), 'object')
    assert.strictEqual(limits.enter('a'), 'max_connections_per_ip')
  })

  it('forgets addresses that have gone', () => {
    const limits = new Limits(NONE)
    for (let i = 0; i < 1000; i++) limits.leave(limits.enter(`10.0.0.${i}`))
    assert.strictEqual(limits._perSource.size, 0)
    assert.strictEqual(limits.unauthenticated, 0)
  })

  it('counts a /64 of IPv6 as one address', () => {
    const limits = new Limits({ ...NONE, maxConnectionsPerIp: 1 })
    assert.strictEqual(typeof limits.enter('2001:db8:0:1::1'), 'object')
    assert.strictEqual(limits.enter('2001:db8:0:1:8000::2'), 'max_connections_per_ip')
    assert.strictEqual(typeof limits.enter('2001:db8:0:2::1'), 'object')
    assert.strictEqual(typeof limits.enter('192.0.2.1'), 'object')
    assert.strictEqual(limits.enter('::ffff:192.0.2.1'), 'max_connections_per_ip')
    assert.strictEqual(typeof limits.enter('192.0.2.2'), 'object')
  })

  it('leaves places to others when one source opens all it can', () => {
    const { maxUnauthenticated, maxUnauthenticatedPerIp } = serverOptions({ hostKey: 'k' })
    const limits = new Limits({ ...NONE, maxUnauthenticated, maxUnauthenticatedPerIp }, () => 0)
    const tickets = []
    for (let i = 0; i < 1000; i++) {
      const ticket = limits.enter('192.0.2.1')
      if (typeof ticket === 'object') tickets.push(ticket)
      else assert.strictEqual(ticket, 'max_unauthenticated_per_ip')
    }
    assert.strictEqual(tickets.length, 25)
    assert.strictEqual(typeof limits.enter('192.0.2.2'), 'object', 'without any luck')
    limits.promote(tickets[0])
    assert.strictEqual(typeof limits.enter('192.0.2.1'), 'object', 'who has logged in takes no such place')
    assert.strictEqual(limits.enter('192.0.2.1'), 'max_unauthenticated_per_ip')
    for (let i = 0; i < 20; i++) assert.strictEqual(typeof limits.enter(''), 'object', 'no address is no source')
  })

  it('has no limit where that is 0', () => {
    const limits = new Limits(NONE, () => 0)
    for (let i = 0; i < 5000; i++) assert(limits.promote(limits.enter('192.0.2.1')))
    for (let i = 0; i < 5000; i++) assert.strictEqual(typeof limits.enter('192.0.2.1'), 'object')
  })

  it('neither loses nor invents anybody, whatever comes in which order', () => {
    const { below, pick, next } = createRandom()
    let now = 0
    const limits = new Limits(NONE, next, () => now)
    const inside = new Map() // ticket => its address
    const gone = []
    const addresses = ['', '192.0.2.1', '192.0.2.2', '2001:db8::1', '2001:db8:0:1::1']
    for (let i = 0; i < 20_000; i++) {
      const kind = below(8)
      if (kind < 3) {
        const address = pick(addresses)
        const ticket = limits.enter(address)
        if (typeof ticket === 'object') {
          inside.set(ticket, address)
          if (ticket.victim !== null) gone.push(ticket.victim)
          inside.delete(ticket.victim)
        }
        now += below(100)
      } else if (kind < 5 && inside.size > 0) {
        limits[pick(['promote', 'promote', 'favour', 'unfavour'])](pick([...inside.keys()])) // some of them again
      } else if (kind < 7 && inside.size > 0) {
        const ticket = pick([...inside.keys()])
        limits.leave(ticket)
        inside.delete(ticket)
        gone.push(ticket)
      } else if (gone.length > 0) {
        const ticket = pick(gone)
        limits.leave(ticket)
        if (!ticket.authenticated) assert(!limits.promote(ticket))
        limits.favour(ticket) // too late, like everything
      }
      if (below(100) === 0) {
        limits.update({ ...NONE, maxConnectionsPerIp: below(20), maxUnauthenticatedPerIp: below(10), maxUnauthenticated: below(40), maxSessions: below(20) })
      }
      const context = `step ${i}, ALKNET_SEED=${seed}`
      const tickets = [...inside.keys()]
      assert.strictEqual(limits.sessions, tickets.filter((one) => one.authenticated).length, context)
      assert.strictEqual(limits.unauthenticated, tickets.filter((one) => !one.authenticated).length, context)
      const sum = (name) => [...limits._perSource.values()].reduce((total, one) => total + one[name], 0)
      assert.deepStrictEqual([sum('connections'), sum('unauthenticated')], [inside.size, limits.unauthenticated], context)
    }
    for (const ticket of inside.keys()) limits.leave(ticket)
    assert.deepStrictEqual([limits.sessions, limits.unauthenticated, limits._perSource.size], [0, 0, 0])
  })

  it('lets the oldest who has not logged in go for a newcomer, once it is stale', () => {
    let now = 0
    const limits = new Limits({ ...NONE, maxUnauthenticated: 2 }, () => 0, () => now)
    const [first, second] = [limits.enter('a'), limits.enter('b')]
    now = 999
    assert.strictEqual(limits.enter('c'), 'max_unauthenticated')
    now = 1000
    const third = limits.enter('c')
    assert.strictEqual(third.victim, first)
    assert.deepStrictEqual([first.left, limits.unauthenticated], [true, 2])
    limits.leave(first) // its connection closes by and by
    assert.strictEqual(limits.unauthenticated, 2)
    assert(!limits.promote(first), 'too late')
    assert(limits.promote(second), 'who logs in stays')
    assert.strictEqual(limits.enter('d').victim, null)
    assert.strictEqual(limits.enter('e'), 'max_unauthenticated', 'c is not stale')
  })

  it('lets one go sooner who is silent, though others have waited longer', () => {
    let now = 0
    const limits = new Limits({ ...NONE, maxUnauthenticated: 3 }, () => 0.99, () => now)
    const [talks, silent, unknown] = ['a', 'b', 'c'].map((ip) => limits.enter(ip))
    talks.isSilent = () => false
    silent.isSilent = () => true
    now = 399
    assert.strictEqual(limits.enter('d'), 'max_unauthenticated')
    now = 400
    assert.strictEqual(limits.enter('d').victim, silent)
    assert.strictEqual(limits.enter('e'), 'max_unauthenticated')
    now = 1000
    assert.deepStrictEqual([limits.enter('e').victim, limits.enter('f').victim], [talks, unknown])
  })

  it('has other times for that, and the shorter one is never the longer', () => {
    let now = 0
    const limits = new Limits({ ...NONE, maxUnauthenticated: 1, evictAfterMs: 5000, evictSilentAfterMs: 9000 }, () => 0, () => now)
    limits.enter('a').isSilent = () => true
    now = 4999
    assert.strictEqual(limits.enter('b'), 'max_unauthenticated')
    now = 5000
    const b = limits.enter('b')
    assert.notStrictEqual(b.victim, null)
    limits.update({ ...NONE, maxUnauthenticated: 1, evictAfterMs: 100, evictSilentAfterMs: 100 })
    now = 5100
    assert.strictEqual(limits.enter('c').victim, b)
  })

  it('keeps the place of who has shown a key that would do, of half of them at most', () => {
    let now = 0
    const limits = new Limits({ ...NONE, maxUnauthenticated: 4 }, () => 0.99, () => now)
    const [a, b, c, d] = ['a', 'b', 'c', 'd'].map((ip) => limits.enter(ip))
    for (const ticket of [a, b, c]) limits.favour(ticket)
    assert.strictEqual(limits.unauthenticated, 4)
    now = 1e6
    const [e, f] = ['e', 'f'].map((ip) => limits.enter(ip))
    assert.deepStrictEqual([e.victim, f.victim], [c, d], 'the third is like any other')
    assert.strictEqual(limits.enter('g'), 'max_unauthenticated')
    now += 1000
    assert.deepStrictEqual(['g', 'h'].map((ip) => limits.enter(ip).victim), [e, f])
    assert(limits.promote(a))
    limits.unfavour(b)
    now += 999
    assert.strictEqual(limits.enter('i').victim, null, 'the place of a')
    assert.strictEqual(limits.enter('j'), 'max_unauthenticated', 'its time has begun anew')
    now += 1
    assert.notStrictEqual(limits.enter('j').victim, b)
    limits.leave(b)
    assert.strictEqual(limits._favoured.size, 0)
  })

  it('drops early, likelier the nearer the limit', () => {
    const limits = new Limits({ ...NONE, maxUnauthenticated: 100 }, () => 0.5)
    const tickets = []
    for (;;) {
      const ticket = limits.enter('a')
      if (typeof ticket === 'string') break
      tickets.push(ticket)
    }
    // (n - 50) / 50 > 0.5 from 76 on.
    assert.strictEqual(tickets.length, 76)
    limits.leave(tickets[0])
    assert.strictEqual(typeof limits.enter('a'), 'object')
  })

  it('never drops below half, always at the limit', () => {
    for (const max of [1, 2, 9, 10, 100, 1e6]) {
      const unlucky = new Limits({ ...NONE, maxUnauthenticated: max }, () => 0)
      const half = Math.min(Math.floor(max / 2), 1000)
      for (let i = 0; i <= half && i < max; i++) assert.strictEqual(typeof unlucky.enter('a'), 'object', `${i} of ${max}`)
      if (max > 1000) continue
      const lucky = new Limits({ ...NONE, maxUnauthenticated: max }, () => 0.999999)
      for (let i = 0; i < max; i++) assert.strictEqual(typeof lucky.enter('a'), 'object', `${i} of ${max}`)
      assert.strictEqual(lucky.enter('a'), 'max_unauthenticated')
    }
  })

  it('counts sessions when they have logged in', () => {
    const limits = new Limits({ ...NONE, maxSessions: 1, maxUnauthenticated: 10 })
    const a = limits.enter('a')
    const b = limits.enter('b')
    assert(limits.promote(a))
    assert.strictEqual(limits.unauthenticated, 1)
    assert(!limits.promote(b))
    const c = limits.enter('c')
    limits.leave(b)
    limits.leave(a)
    assert.deepStrictEqual([limits.sessions, limits.unauthenticated], [0, 1])
    assert(limits.promote(c))
  })
})
