'use strict'

const assert = require('assert')
const path = require('path')
const { Wake } = require('../lib/wake')
const { cleanEnv, needAlknet } = require('./helpers/alknet')
const { run } = require('./helpers/proc')
const { testScope } = require('./helpers/scope')

const WAKE = path.join(__dirname, '..', 'lib', 'wake')

/** A machine whose clocks are the test's. */
function machine ({ watchNetwork } = {}) {
  const clock = { wall: 1e12, steady: 5000 }
  const watches = []
  const timers = new Map()
  const wake = new Wake({
    watchNetwork: watchNetwork ?? (() => {
      const watch = { owner: null, closed: 0, close () { this.closed++ } }
      watches.push(watch)
      return watch
    }),
    wall: () => clock.wall,
    steady: () => clock.steady,
    every: (fn, ms) => { timers.set(fn, ms); return fn },
    stop: (fn) => timers.delete(fn)
  })
  const heard = []
  return {
    wake,
    watches,
    timers,
    heard,
    listen: () => wake.on((why) => heard.push(why)),
    /** The timer comes after so much of either clock. */
    pass (steady, wall = steady) {
      clock.steady += steady
      clock.wall += wall
      for (const fn of timers.keys()) fn()
    }
  }
}

describe('wake', () => {
  it('tells that the wall clock has run ahead, once', () => {
    const { listen, pass, heard } = machine()
    listen()
    for (let i = 0; i < 100; i++) pass(3000, 3000 + (i % 2 === 0 ? 40 : -40)) // slewed
    assert.deepStrictEqual(heard, [])
    pass(3000, 3600e3)
    pass(3000)
    assert.deepStrictEqual(heard, ['clock'])
  })

  it('tells that its timer came far too late, and not that it came a little late', () => {
    const { listen, pass, heard } = machine()
    listen()
    pass(5500)
    assert.deepStrictEqual(heard, [])
    pass(60000)
    assert.deepStrictEqual(heard, ['clock'])
  })

  it('takes a clock that was set back for none', () => {
    const { listen, pass, heard } = machine()
    listen()
    pass(3000, -3600e3)
    assert.deepStrictEqual(heard, [])
  })

  it('passes on what the addon says of the network', () => {
    const { listen, watches, heard } = machine()
    listen()
    watches[0].owner.onchange()
    assert.deepStrictEqual(heard, ['network'])
  })

  it('has one watch and one timer for all, and none for nobody', () => {
    const { listen, watches, timers, pass, heard } = machine()
    const off = [listen(), listen(), listen()]
    assert.deepStrictEqual([watches.length, timers.size], [1, 1])
    pass(1e6)
    assert.strictEqual(heard.length, 3)
    off[0]()
    off[0]() // twice is once
    off[1]()
    assert.deepStrictEqual([watches[0].closed, timers.size], [0, 1])
    off[2]()
    assert.deepStrictEqual([watches[0].closed, watches[0].owner, timers.size], [1, null, 0])
    listen()
    assert.deepStrictEqual([watches.length, timers.size], [2, 1])
  })

  it('may be left, and joined, by who is told', () => {
    const { wake, pass, heard } = machine()
    const off = wake.on(() => {
      heard.push('first')
      off()
      wake.on(() => heard.push('second'))
    })
    wake.on(() => heard.push('other'))
    pass(1e6)
    pass(1e6)
    assert.deepStrictEqual(heard, ['first', 'other', 'other', 'second'])
  })

  it('does without a watch where there is none, or when it ends', () => {
    const without = machine({ watchNetwork: () => { throw new Error('not here') } })
    const off = without.listen()
    without.pass(3000, 1e6)
    assert.deepStrictEqual(without.heard, ['clock'])
    off()
    const failing = machine()
    const leave = failing.listen()
    failing.watches[0].owner.onclose()
    leave()
    assert.strictEqual(failing.watches[0].closed, 0)
  })

  describe('of a process', function () {
    this.timeout(60000)
    const scope = testScope()
    before(function () { needAlknet(this) })

    const inChild = (script) => run(scope, process.execPath, ['-e', script], { env: cleanEnv(scope) })

    it('keeps no process up, and leaves nothing', async () => {
      const { code, output } = await inChild(`
        const { wake } = require(${JSON.stringify(WAKE)})
        const binding = require(${JSON.stringify(path.join(WAKE, '..', 'binding'))})
        wake.on(() => {})()
        const off = wake.on(() => {})
        setImmediate(() => setImmediate(() => {
          console.log(binding.live())
          off()
          setImmediate(() => setImmediate(() => { console.log(binding.live()); wake.on(() => {}) }))
        }))`)
      const watches = process.platform === 'linux' ? 1 : 0
      assert.deepStrictEqual([code, output], [0, `${watches}\n0\n`])
    })

    it('ends with its worker', async () => {
      const { code, output } = await inChild(`
        const { Worker } = require('worker_threads')
        const worker = new Worker(${JSON.stringify(`
          require(${JSON.stringify(WAKE)}).wake.on(() => {})
          require('worker_threads').parentPort.postMessage('on')
          setInterval(() => {}, 1000)`)}, { eval: true })
        worker.once('message', async () => { await worker.terminate(); console.log('gone') })`)
      assert.deepStrictEqual([code, output], [0, 'gone\n'])
    })
  })
})
