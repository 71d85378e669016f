'use strict'

const assert = require('assert')
const { Limits } = require('../lib/limits')

const NONE = { maxConnectionsPerIp: 0, maxUnauthenticated: 0, maxSessions: 0 }

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
    assert.strictEqual(limits._perIp.size, 0)
    assert.strictEqual(limits.unauthenticated, 0)
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
