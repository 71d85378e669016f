'use strict'

const assert = require('assert')
const { Keepalive } = require('../lib/keepalive')
const { fakeSession } = require('./helpers/fake-binding')

/** The ticks are the test's: what matters is what each of them does. */
function scripted (options) {
  const session = fakeSession()
  let lost = 0
  const keepalive = new Keepalive(session, { keepalive: 3600, keepaliveMax: 3, ...options }, () => lost++)
  return { session, keepalive, lost: () => lost, asked: () => session.called.filter((name) => name === 'keepalive').length }
}

describe('keepalive', () => {
  it('gives up after so many questions without an answer', () => {
    const { keepalive, lost, asked } = scripted()
    for (let i = 1; i <= 3; i++) {
      keepalive._tick()
      assert.deepStrictEqual([asked(), lost()], [i, 0])
    }
    keepalive._tick()
    assert.deepStrictEqual([asked(), lost()], [3, 1])
    assert.strictEqual(keepalive._timer, null)
  })

  it('asks nothing while something comes', () => {
    const { session, keepalive, lost, asked } = scripted()
    for (let i = 1; i <= 10; i++) {
      session.answers.received = i
      keepalive._tick()
    }
    assert.deepStrictEqual([asked(), lost()], [0, 0])
  })

  it('counts from anew after an answer', () => {
    const { session, keepalive, lost } = scripted()
    for (let i = 1; i <= 10; i++) {
      keepalive._tick()
      keepalive._tick()
      keepalive._tick()
      session.answers.received = i
      keepalive._tick()
    }
    assert.strictEqual(lost(), 0)
  })

  it('is off with 0, and holds no timer after close()', () => {
    assert.strictEqual(scripted({ keepalive: 0 }).keepalive._timer, null)
    const { keepalive } = scripted()
    assert.strictEqual(keepalive._timer.hasRef(), false)
    keepalive.close()
    assert.strictEqual(keepalive._timer, null)
  })
})
