'use strict'

/** Where the site of visitors is, with a resolver and a clock of the test. */

const assert = require('assert')
const { Site } = require('../lib/site')

const UPSTREAM = { host: 'site.example', port: 80, text: 'http://site.example' }
const A = [{ address: '192.0.2.1', family: 4 }]
const B = [{ address: '192.0.2.2', family: 4 }, { address: '2001:db8::1', family: 6 }]

function scripted (upstream = UPSTREAM) {
  const asked = []
  const timers = []
  const problems = []
  const site = new Site(upstream, (err) => problems.push(err.message), {
    lookup: (host, options, done) => {
      assert.strictEqual(host, upstream.host)
      assert.deepStrictEqual(options, { all: true, verbatim: true })
      asked.push(done)
    },
    timers: {
      start: (ms, fn) => {
        const timer = { ms, fn }
        timers.push(timer)
        return timer
      },
      stop: (timer) => {
        const at = timers.indexOf(timer)
        if (at >= 0) timers.splice(at, 1)
      }
    }
  })
  /** A visitor asks; what it is told. */
  const ask = (signal = new AbortController().signal) => {
    const told = []
    site.lookupFor(signal)(upstream.host, {}, (err, found) => told.push(err?.message ?? found))
    return told
  }
  /** Goes to the next look-up; gives how long that was. */
  const go = () => {
    assert.strictEqual(timers.length, 1, 'one timer at a time')
    const [{ ms, fn }] = timers.splice(0)
    fn()
    return ms
  }
  return { site, asked, timers, problems, ask, go }
}

describe('the site of visitors', () => {
  it('is looked up by nobody where it is an address', () => {
    for (const host of ['192.0.2.1', '2001:db8::1']) {
      const { asked, timers } = scripted({ ...UPSTREAM, host })
      assert.deepStrictEqual([asked, timers], [[], []])
    }
  })

  it('is looked up at the start, for all who wait', () => {
    const { asked, ask } = scripted()
    const all = Array.from({ length: 100 }, () => ask())
    assert.strictEqual(asked.length, 1)
    assert(all.every((told) => told.length === 0))
    asked[0](null, A)
    for (const told of all) assert.deepStrictEqual(told, [A])
    assert.deepStrictEqual(ask(), [A])
    assert.strictEqual(asked.length, 1)
  })

  it('is looked up again each minute, and is where it was meanwhile', () => {
    const { asked, timers, ask, go } = scripted()
    asked[0](null, A)
    assert.strictEqual(go(), 60_000)
    assert.strictEqual(asked.length, 2)
    assert.deepStrictEqual([ask(), timers], [[A], []]) // this one has not been answered, and there is no other
    asked[1](null, B)
    assert.deepStrictEqual(ask(), [B])
    assert.strictEqual(go(), 60_000)
  })

  it('stays where it was when it is not found, and is soon looked up again', () => {
    const { asked, problems, ask, go } = scripted()
    asked[0](null, A)
    go()
    asked[1](new Error('no resolver'))
    assert.deepStrictEqual([ask(), problems], [[A], ['no resolver']])
    assert.strictEqual(go(), 10_000)
    asked[2](null, []) // what some resolvers say in place of an error
    assert.deepStrictEqual([ask(), problems], [[A], ['no resolver', 'no address']])
    assert.strictEqual(go(), 10_000)
    asked[3](null, B)
    assert.deepStrictEqual(ask(), [B])
    assert.strictEqual(go(), 60_000)
  })

  it('is missing at once, and for all, until it is found', () => {
    const { asked, ask, go } = scripted()
    const early = ask()
    asked[0](new Error('not yet'))
    assert.deepStrictEqual([early, ask(), ask()], [['not yet'], ['not yet'], ['not yet']])
    assert.strictEqual(go(), 10_000)
    assert.deepStrictEqual(ask(), ['not yet']) // nobody waits for this one
    asked[1](null, A)
    assert.deepStrictEqual(ask(), [A])
  })

  it('forgets who does not wait any more', () => {
    const { site, asked, ask } = scripted()
    const controller = new AbortController()
    const [gone, told] = [ask(controller.signal), ask()]
    controller.abort()
    assert.strictEqual(site._waiting.size, 1)
    asked[0](null, A)
    assert.deepStrictEqual([gone, told], [[], [A]])
  })

  it('is not looked up any more once it is another, and tells those who wait', () => {
    const { site, asked, timers, problems, ask } = scripted()
    const told = ask()
    site.close()
    asked[0](new Error('late'))
    assert.deepStrictEqual([told, timers, problems], [['late'], [], []])
    const other = scripted()
    other.asked[0](null, A)
    other.site.close()
    assert.deepStrictEqual(other.timers, [])
  })
})
