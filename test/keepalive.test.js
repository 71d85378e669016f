'use strict'

const assert = require('assert')
const { Keepalive, unackedMs } = require('../lib/keepalive')
const { fakeSession } = require('./helpers/fake-binding')

const STEP = 3600 * 3 / 4 * 1000

/** The judgements are the test's: what matters is what each of them does. */
function scripted (options) {
  const session = fakeSession()
  const lost = []
  const wakes = { fns: new Set(), on (fn) { this.fns.add(fn); return () => this.fns.delete(fn) } }
  const keepalive = new Keepalive(session, { keepalive: 3600, keepaliveMax: 3, ...options }, (seconds) => lost.push(seconds), wakes)
  let received = 0
  return {
    session,
    keepalive,
    lost,
    wakes,
    asked: () => session.called.filter((name) => name === 'keepalive').length,
    /** ms of silence have passed. */
    judge (ms) {
      session.answers.silence = ms
      keepalive._judge()
    },
    hear: () => { session.answers.received = ++received },
    wait: () => keepalive._timer?._idleTimeout
  }
}

describe('keepalive', () => {
  it('gives up keepalive * max after the last byte, with max questions without an answer', () => {
    const { keepalive, judge, lost, asked, wait } = scripted()
    assert.strictEqual(wait(), STEP)
    for (let i = 1; i <= 3; i++) {
      judge(i * STEP)
      assert.deepStrictEqual([asked(), lost, wait()], [i, [], STEP])
    }
    judge(4 * STEP)
    assert.deepStrictEqual([asked(), lost], [3, [3600 * 3]])
    assert.strictEqual(keepalive._timer, null)
  })

  for (const [keepalive, keepaliveMax] of [[15, 3], [1, 1], [15, 1], [7, 1000]]) {
    it(`${keepaliveMax} questions and the time for the last answer share ${keepalive * keepaliveMax} s`, () => {
      const { wait } = scripted({ keepalive, keepaliveMax })
      const exact = keepalive * keepaliveMax * 1000 / (keepaliveMax + 1)
      assert.ok(wait() >= exact && wait() < exact + 1, String(wait()))
    })
  }

  it('asks nothing while something comes, and waits for a step of silence', () => {
    const { hear, judge, lost, asked, wait } = scripted()
    for (let i = 1; i <= 10; i++) {
      hear()
      judge(i * 1000)
      assert.strictEqual(wait(), STEP - i * 1000) // counted from the last byte on
    }
    assert.deepStrictEqual([asked(), lost], [0, []])
  })

  it('counts from anew after an answer', () => {
    const { hear, judge, lost, asked } = scripted()
    for (let i = 1; i <= 10; i++) {
      judge(STEP)
      judge(2 * STEP)
      judge(3 * STEP)
      hear()
      judge(5)
    }
    assert.deepStrictEqual([asked(), lost], [30, []])
  })

  it('does not give up before it has asked, however late it comes', () => {
    const { hear, judge, lost, asked } = scripted()
    judge(100 * STEP) // the process was stopped meanwhile
    assert.deepStrictEqual([asked(), lost], [1, []])
    hear()
    judge(10)
    assert.deepStrictEqual(lost, [])
  })

  it('looks again in the turn after its time: an answer may wait in the kernel', async () => {
    const { session, hear, lost } = scripted({ keepalive: 1, keepaliveMax: 1 })
    session.answers.silence = 500
    session.keepalive = () => setImmediate(hear) // heard between the timer and the judgement
    let judged = 0
    await new Promise((resolve) => {
      session.silence = () => {
        if (++judged === 4) resolve()
        return judged % 2 === 1 ? 500 : 490
      }
    })
    assert.deepStrictEqual(lost, [])
  })

  it('asks at once when it is woken, and gives one step for the answer', () => {
    const { wakes, judge, lost, asked, wait } = scripted()
    const [woken] = wakes.fns
    judge(STEP) // asked once
    woken('clock')
    assert.deepStrictEqual([asked(), wait()], [2, STEP])
    woken('network') // its time runs already
    assert.strictEqual(asked(), 2)
    judge(2.5 * STEP)
    assert.deepStrictEqual([asked(), lost], [2, [3600 * 3 / 4 * 2.5]])
    assert.strictEqual(wakes.fns.size, 0)
  })

  it('goes on as before when the answer to that came', () => {
    const { wakes, hear, judge, lost, asked } = scripted()
    const [woken] = wakes.fns
    for (let i = 0; i < 5; i++) {
      woken('network')
      hear()
      judge(10)
    }
    assert.deepStrictEqual([asked(), lost], [5, []])
    for (let i = 1; i <= 3; i++) judge(i * STEP)
    assert.deepStrictEqual([asked(), lost], [8, []])
    judge(4 * STEP)
    assert.strictEqual(lost.length, 1)
  })

  it('is never later for being woken', () => {
    const { wakes, judge, lost, asked } = scripted()
    const [woken] = wakes.fns
    for (let i = 1; i <= 3; i++) judge(i * STEP)
    woken('network') // the last question is out
    assert.strictEqual(asked(), 3)
    judge(4 * STEP)
    assert.strictEqual(lost.length, 1)
  })

  it('knows for how long it has waited for an answer', () => {
    const { keepalive, hear, judge } = scripted()
    const { now } = performance
    let time = 1000
    performance.now = () => time
    try {
      assert.strictEqual(keepalive.unansweredMs(), 0)
      judge(STEP)
      time += STEP
      assert.strictEqual(keepalive.unansweredMs(), STEP)
      judge(2 * STEP) // the second question
      time += 5
      assert.strictEqual(keepalive.unansweredMs(), STEP + 5)
      hear()
      assert.strictEqual(keepalive.unansweredMs(), 0)
      judge(2 * STEP)
      time += 7
      assert.strictEqual(keepalive.unansweredMs(), 7)
      keepalive.close()
      assert.strictEqual(keepalive.unansweredMs(), 0)
    } finally {
      performance.now = now
    }
  })

  it('is off with 0, and holds no timer and no ear after close()', () => {
    const off = scripted({ keepalive: 0 })
    assert.deepStrictEqual([off.keepalive._timer, off.wakes.fns.size], [null, 0])
    off.keepalive.probe()
    assert.strictEqual(off.asked(), 0)
    const { keepalive, wakes } = scripted()
    assert.strictEqual(keepalive._timer.hasRef(), false)
    keepalive.close()
    assert.deepStrictEqual([keepalive._timer, wakes.fns.size], [null, 0])
  })

  it('gives the kernel a step more, and never more than it takes', () => {
    assert.strictEqual(unackedMs({ keepalive: 15, keepaliveMax: 3 }), 60000)
    assert.strictEqual(unackedMs({ keepalive: 0, keepaliveMax: 3 }), 0)
    assert.strictEqual(unackedMs({ keepalive: 86400, keepaliveMax: 1000 }), 2 ** 31 - 1)
  })
})
