'use strict'

const assert = require('assert')
const { Queue } = require('../lib/events/queue')

const queueOf = (policy, options = {}, stall) => new Queue({ policy, maxQueue: 3, maxQueueBytes: 100, ...options }, stall)
const takeAll = (queue) => {
  const items = []
  for (let item = queue.take(); item !== undefined; item = queue.take()) items.push(item)
  return items
}

describe('Queue of events', () => {
  it('block: lets the next in when one is taken, in the order in which they came', async () => {
    const queue = queueOf('block')
    const done = []
    for (let i = 0; i < 5; i++) queue.push(i, 1)?.then(() => done.push(i))
    assert.strictEqual(queue.length, 3)
    assert.strictEqual(queue.take(), 0)
    await null
    assert.deepStrictEqual(done, [3])
    assert.deepStrictEqual(takeAll(queue), [1, 2, 3, 4])
    await null
    assert.deepStrictEqual(done, [3, 4])
  })

  it('block: nobody overtakes who waits, however small', async () => {
    const queue = queueOf('block')
    queue.push('a', 90)
    const big = queue.push('b', 50)
    const small = queue.push('c', 1)
    assert(big !== null && small !== null)
    assert.deepStrictEqual(takeAll(queue), ['a', 'b', 'c'])
    await Promise.all([big, small])
  })

  it('block: bounds those who wait, too', () => {
    const queue = queueOf('block')
    const waiting = Array.from({ length: 6 }, (_, i) => queue.push(i, 1)).slice(3)
    assert(waiting.every((one) => one !== null))
    assert.throws(() => queue.push(6, 1), { code: 'ERR_ALKNET_LIMIT' })
    const heavy = queueOf('block')
    heavy.push(0, 100)
    heavy.push(1, 100)
    assert.throws(() => heavy.push(2, 100), { code: 'ERR_ALKNET_LIMIT' })
    assert.deepStrictEqual(takeAll(heavy), [0, 1])
  })

  it('block: who waits can leave', async () => {
    const queue = queueOf('block')
    for (let i = 0; i < 3; i++) queue.push(i, 1)
    const controller = new AbortController()
    const gone = queue.push(3, 1, controller.signal)
    const next = queue.push(4, 1)
    controller.abort()
    await assert.rejects(gone, { code: 'ERR_ALKNET_CANCELED' })
    assert.deepStrictEqual(takeAll(queue), [0, 1, 2, 4])
    await next
  })

  it('block: says when nothing is taken for too long while somebody waits', async () => {
    let stalled
    const stall = new Promise((resolve) => { stalled = resolve })
    const queue = queueOf('block', {}, { ms: 1, onstall: () => stalled() })
    for (let i = 0; i < 3; i++) queue.push(i, 1)
    assert.strictEqual(queue._timer, null, 'nobody waits')
    const waiting = queue.push(3, 1)
    await stall
    const err = new Error('too slow')
    queue.rejectWaiting(err)
    await assert.rejects(waiting, err)
    assert.strictEqual(queue._timer, null)
  })

  it('block: has no timer any more when all have been let in', async () => {
    const queue = queueOf('block', {}, { ms: 1e6, onstall: () => {} })
    for (let i = 0; i < 4; i++) queue.push(i, 1)
    assert.notStrictEqual(queue._timer, null)
    queue.take()
    assert.strictEqual(queue._timer, null)
  })

  it('drop-oldest: drops what has waited longest, and counts it', () => {
    const queue = queueOf('drop-oldest')
    for (let i = 0; i < 10; i++) assert.strictEqual(queue.push(i, 1), null)
    assert.strictEqual(queue.dropped, 7)
    assert.deepStrictEqual(takeAll(queue), [7, 8, 9])
    for (const size of [40, 40, 90]) queue.push(size, size)
    assert.deepStrictEqual(takeAll(queue), [90])
    assert.strictEqual(queue.dropped, 9)
  })

  it('disconnect: throws, and keeps what it has', () => {
    const queue = queueOf('disconnect')
    for (let i = 0; i < 3; i++) assert.strictEqual(queue.push(i, 1), null)
    assert.throws(() => queue.push(3, 1), { code: 'ERR_ALKNET_LIMIT', stage: 'events' })
    assert.deepStrictEqual(takeAll(queue), [0, 1, 2])
  })

  for (const policy of ['block', 'drop-oldest', 'disconnect']) {
    it(`${policy}: takes one that is larger than the queue when it is empty`, () => {
      const queue = queueOf(policy)
      assert.strictEqual(queue.push('huge', 1000), null)
      assert.deepStrictEqual(takeAll(queue), ['huge'])
    })
  }
})
