'use strict'

const assert = require('node:assert')
const { Patience } = require('../lib/patience')
const { SignOfLife } = require('../lib/sign-of-life')

describe('Patience', () => {
  let now = 0
  const make = () => new Patience(() => now)

  it('doubles with each takeover of an identity, up to 20 s, and is short again after ten quiet minutes', () => {
    const patience = make()
    const seen = []
    for (let i = 0; i < 6; i++) {
      seen.push(patience.of('a', 2000))
      patience.spent('a', 2000)
      now += 60_000
    }
    assert.deepStrictEqual(seen, [2000, 4000, 8000, 16_000, 20_000, 20_000])
    assert.strictEqual(patience.of('b', 2000), 2000)
    now += 539_999
    assert.strictEqual(patience.of('a', 2000), 20_000)
    now += 1
    assert.strictEqual(patience.of('a', 2000), 2000)
    assert.strictEqual(patience.of('a', 3000), 3000)
  })

  it('is never shorter than the option says', () => {
    const patience = make()
    patience.spent('a', 1000)
    assert.strictEqual(patience.of('a', 10_000), 10_000)
  })

  it('remembers so many identities, the last ones', () => {
    const patience = make()
    for (let i = 0; i < 2000; i++) patience.spent(`id ${i}`, 1000)
    assert.strictEqual(patience._spent.size, 1024)
    assert.deepStrictEqual([patience.of('id 975', 1000), patience.of('id 976', 1000), patience.of('id 1999', 1000)], [1000, 2000, 2000])
  })
})

describe('SignOfLife', () => {
  const LONG = 3_600_000

  function aSession () {
    const session = { bytes: 100, pings: 0, received: () => session.bytes, ping: () => ++session.pings }
    return session
  }

  it('is the answer, and one question is for all who ask', async () => {
    const session = aSession()
    const life = new SignOfLife(session)
    const both = [life.ask(LONG), life.ask(LONG)]
    life.onreply(7, true) // somebody else's
    life.onreply(1, true)
    assert.deepStrictEqual([await Promise.all(both), session.pings], [[true, true], 1])
    const again = life.ask(LONG)
    life.onreply(2, true)
    assert.strictEqual(await again, true)
  })

  it('is any byte by the end of the time, also one that is found in the same turn of the loop', async () => {
    const session = aSession()
    const life = new SignOfLife(session)
    assert.strictEqual(await life.ask(1), false)
    const asked = life.ask(1)
    session.bytes++
    assert.strictEqual(await asked, true)
    const late = life.ask(1)
    // Both are due at once when the process comes to it: the timer, and what waits in the kernel.
    setTimeout(() => { session.bytes++ }, 1)
    const stopped = performance.now() + 20
    while (performance.now() < stopped);
    assert.strictEqual(await late, true)
  })

  it('is none at the end of a session', async () => {
    const session = aSession()
    const life = new SignOfLife(session)
    const [asked, closed] = [life.ask(LONG), life.ask(LONG)]
    life.onreply(1, false)
    assert.strictEqual(await asked, false)
    assert.strictEqual(await closed, false)
    const open = life.ask(LONG)
    life.close()
    assert.strictEqual(await open, false)
    session.ping = () => { throw new Error('closed') }
    assert.strictEqual(await life.ask(LONG), false)
  })
})
