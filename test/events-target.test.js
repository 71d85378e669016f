'use strict'

const assert = require('assert')
const { getEventListeners, once } = require('events')
const { Duplex, PassThrough } = require('stream')
const { createEventTarget } = require('../lib/events/target')
const { Peer, first, frame, pair } = require('./helpers/events')

const turn = () => new Promise(setImmediate)

/** A target and the peer at the other end of its stream. */
function start (options = {}) {
  const [near, far] = pair()
  return { target: createEventTarget({ stream: near, ...options }), peer: new Peer(far), near, far }
}

/** Two targets, one at each end. */
function startTwo (options = {}) {
  const [near, far] = pair()
  return [createEventTarget({ stream: near, ...options }), createEventTarget({ stream: far, ...options })]
}

/** A new stream for a target: its far end. */
function attach (target) {
  const [near, far] = pair()
  target.attach(near)
  return new Peer(far)
}

const types = (events) => events.map(({ type }) => type)

describe('Event target', () => {
  it('hears at one end what is dispatched at the other, both ways', async () => {
    const [a, b] = startTwo()
    for (const [from, to] of [[a, b], [b, a]]) {
      const heard = new Promise((resolve) => to.addEventListener('orders.created', resolve, { once: true }))
      await from.dispatchEvent({ type: 'orders.created', id: '7', payload: { total: 5 } })
      assert.deepStrictEqual(await heard, { type: 'orders.created', id: '7', payload: { total: 5 } })
    }
    const own = a.subscribe('orders.created')
    a.dispatchEvent({ type: 'orders.created' })
    await b.dispatchEvent({ type: 'orders.created', id: 'other' })
    assert.deepStrictEqual((await own.next()).value.id, 'other', 'not what it dispatched itself')
    await Promise.all([a.close(), b.close()])
    assert.deepStrictEqual([a.error, b.error], [null, null])
  })

  it('keeps the order, and gives each event once', async () => {
    const [a, b] = startTwo()
    const events = b.subscribe('n.>')
    for (let i = 0; i < 500; i++) a.dispatchEvent({ type: `n.${i % 3}`, payload: i })
    assert.deepStrictEqual((await first(events, 500)).map(({ payload }) => payload), Array.from({ length: 500 }, (_, i) => i))
    await a.close()
    assert.deepStrictEqual(await events.next(), { value: undefined, done: true })
  })

  it('calls listeners in the order in which they came, as EventTarget does', async () => {
    const { target, peer } = start()
    const calls = []
    const note = (name) => () => calls.push(name)
    const twice = note('twice')
    const gone = note('gone')
    const controller = new AbortController()
    target.addEventListener('a.*', note('wildcard'))
    target.addEventListener('a.b', twice)
    target.addEventListener('a.b', twice)
    target.addEventListener('a.b', { handleEvent: note('object') })
    target.addEventListener('a.b', note('once'), { once: true })
    target.addEventListener('a.b', note('signal'), { signal: controller.signal })
    target.addEventListener('a.b', note('never'), { signal: AbortSignal.abort() })
    target.addEventListener('a.b', () => target.removeEventListener('a.b', gone))
    target.addEventListener('a.b', gone)
    target.addEventListener('b.>', note('other'))
    peer.send({ type: 'a.b' })
    await peer.settled()
    assert.deepStrictEqual(calls.splice(0), ['wildcard', 'twice', 'object', 'once', 'signal'])
    controller.abort()
    target.removeEventListener('a.b', twice)
    target.removeEventListener('a.b', twice)
    peer.send({ type: 'a.b' })
    await peer.settled()
    assert.deepStrictEqual(calls, ['wildcard', 'object'])
    await target.close()
  })

  it('goes on when a listener throws, and the exception is uncaught', async () => {
    const { target, peer } = start()
    const others = process.listeners('uncaughtException')
    process.removeAllListeners('uncaughtException')
    try {
      const uncaught = once(process, 'uncaughtException')
      target.addEventListener('a', () => { throw new Error('of the user') })
      const events = target.subscribe('a')
      peer.send({ type: 'a' })
      assert.strictEqual((await uncaught)[0].message, 'of the user')
      assert.strictEqual((await events.next()).value.type, 'a')
    } finally {
      for (const one of others) process.on('uncaughtException', one)
    }
    assert.strictEqual(target.error, null)
    await target.close()
  })

  describe('tells the other end what it listens to', () => {
    it('once for each topic, and again when nobody does any more', async () => {
      const { target, peer } = start()
      const ear = () => {}
      target.addEventListener('a.*', ear)
      const events = target.subscribe('a.*')
      target.addEventListener('b', ear)
      assert.deepStrictEqual((await peer.take(2)).map(({ type, payload }) => [type, payload]), [['__subscribe', { topic: 'a.*' }], ['__subscribe', { topic: 'b' }]])
      target.removeEventListener('a.*', ear)
      await events.return()
      assert.deepStrictEqual(await peer.next().then(({ type, payload }) => [type, payload]), ['__unsubscribe', { topic: 'a.*' }])
      target.addEventListener('__refused', ear)
      target.removeEventListener('b', ear)
      target.addEventListener('b', ear)
      await turn()
      assert.deepStrictEqual(await peer.settled(), [], 'not what is heard on this side only, nor what is as it was')
      await target.close()
    })

    it('before what is dispatched after it', async () => {
      const { target, peer } = start()
      target.dispatchEvent({ type: 'a' })
      target.subscribe('b')
      target.dispatchEvent({ type: 'c' })
      assert.deepStrictEqual(types(await peer.take(3)), ['a', '__subscribe', 'c'])
      await target.close()
    })

    it('as a difference: no number of changes piles up', async () => {
      const { target, peer } = start()
      peer.hold()
      for (let i = 0; i < 5; i++) target.dispatchEvent({ type: 'full', payload: 'x'.repeat(100_000) })
      for (let i = 0; i < 1000; i++) {
        const events = target.subscribe('a')
        await turn()
        await events.return()
      }
      const events = target.subscribe('a')
      peer.resume()
      assert.deepStrictEqual(types(await peer.settled()).filter((type) => type !== 'full'), ['__subscribe'])
      peer.send({ type: 'a', id: 'last' })
      assert.strictEqual((await events.next()).value.id, 'last')
      await target.close()
    })

    it('and `ready` resolves when the other end has confirmed just that', async () => {
      const { target, peer } = start()
      const one = target.subscribe('a')
      const { id } = await peer.next()
      await one.return()
      await assert.rejects(one.ready, { code: 'ERR_ALKNET_CLOSED' })
      await peer.next()
      const two = target.subscribe('a')
      const again = await peer.next()
      let isReady = false
      two.ready.then(() => { isReady = true })
      peer.send({ type: '__subscribed', id, payload: { topic: 'a' } }, { type: '__subscribed', id: again.id, payload: { topic: 'b' } })
      await peer.settled()
      assert(!isReady, 'neither an older answer nor one for another topic')
      peer.send({ type: '__subscribed', id: again.id, payload: { topic: 'a' } })
      await two.ready
      await target.subscribe('a').ready
      await target.close()
    })

    it('and a refusal ends its subscriptions, and nothing else', async () => {
      const { target, peer } = start()
      const refused = target.subscribe('secret')
      const other = target.subscribe('open')
      const told = new Promise((resolve) => target.addEventListener('__refused', resolve))
      const { id } = await peer.next()
      const payload = { action: 'subscribe', topic: 'secret', code: 'ERR_ALKNET_AUTH', message: 'x' }
      peer.send({ type: '__refused', id, payload })
      await assert.rejects(refused.next(), { code: 'ERR_ALKNET_AUTH', stage: 'events' })
      await assert.rejects(refused.ready, { code: 'ERR_ALKNET_AUTH' })
      assert.deepStrictEqual((await told).payload, payload)
      assert.deepStrictEqual(await refused.next(), { value: undefined, done: true })
      peer.send({ type: 'open' })
      assert.strictEqual((await other.next()).value.type, 'open')
      await target.close()
    })

    it('up to maxSubscriptions', async () => {
      const { target } = start({ maxSubscriptions: 2 })
      target.subscribe('a')
      const b = target.subscribe('b')
      target.subscribe('b')
      assert.throws(() => target.subscribe('c'), { code: 'ERR_ALKNET_LIMIT', message: /maxSubscriptions/ })
      assert.throws(() => target.addEventListener('c', () => {}), { code: 'ERR_ALKNET_LIMIT' })
      await b.return()
      await target.close()
    })
  })

  describe('a subscription', () => {
    it('that blocks holds the other end back, and loses nothing', async () => {
      const { target, peer, far } = start()
      const events = target.subscribe('n', { maxQueue: 2 })
      await peer.next()
      for (let i = 0; i < 5000; i++) peer.send({ type: 'n', payload: i })
      await turn()
      assert(far.writableLength > 0, 'the writer is held')
      assert(target._link._reader.kept < 100_000)
      assert.deepStrictEqual((await first(events, 5000)).map(({ payload }) => payload), Array.from({ length: 5000 }, (_, i) => i))
      await target.close()
    })

    it('that drops the oldest has the newest, and counts', async () => {
      const { target, peer } = start()
      const events = target.subscribe('n', { policy: 'drop-oldest', maxQueue: 2 })
      for (let i = 0; i < 10; i++) peer.send({ type: 'n', payload: i })
      await peer.settled()
      assert.strictEqual(events.dropped, 8)
      assert.deepStrictEqual((await first(events, 2)).map(({ payload }) => payload), [8, 9])
      await target.close()
    })

    it('that disconnects ends with an error after what it has', async () => {
      const { target, peer } = start()
      const events = target.subscribe('n', { policy: 'disconnect', maxQueue: 2 })
      const other = target.subscribe('n')
      for (let i = 0; i < 10; i++) peer.send({ type: 'n', payload: i })
      await peer.settled()
      assert.deepStrictEqual((await first(events, 2)).map(({ payload }) => payload), [0, 1])
      await assert.rejects(events.next(), { code: 'ERR_ALKNET_LIMIT' })
      assert.deepStrictEqual((await events.next()).done, true)
      assert.strictEqual((await first(other, 10)).length, 10, 'the target goes on')
      await target.close()
    })

    it('bounds bytes, too', async () => {
      const { target, peer } = start()
      const events = target.subscribe('n', { policy: 'drop-oldest', maxQueueBytes: 1024 })
      for (let i = 0; i < 10; i++) peer.send({ type: 'n', id: String(i), payload: 'x'.repeat(400) })
      await peer.settled()
      assert.strictEqual(events.dropped, 8)
      await target.close()
    })

    it('is left by break, return(), throw() and a signal', async () => {
      const { target, peer } = start()
      const leave = [
        async (events) => { for await (const event of events) if (event.type === 'n') break },
        (events) => events.return(),
        (events) => assert.rejects(events.throw(new Error('x')), { message: 'x' }),
        (events) => events[Symbol.asyncDispose]?.()
      ]
      for (const way of leave) {
        const events = target.subscribe('n')
        assert.strictEqual((await peer.next()).type, '__subscribe')
        peer.send({ type: 'n' }, { type: 'n' })
        await way(events)
        assert.strictEqual((await peer.next()).type, '__unsubscribe')
        assert.strictEqual((await events.next()).done, true)
      }
      const controller = new AbortController()
      const events = target.subscribe('n', { signal: controller.signal })
      const next = events.next()
      controller.abort()
      await assert.rejects(next, { code: 'ERR_ALKNET_CANCELED' })
      await assert.rejects(target.subscribe('n', { signal: AbortSignal.abort() }).next(), { code: 'ERR_ALKNET_CANCELED' })
      await target.close()
    })

    it('that is left lets go of the reader that it held', async () => {
      const { target, peer } = start()
      const controller = new AbortController()
      for (const leave of [(events) => events.return(), () => controller.abort()]) {
        const slow = target.subscribe('n', { maxQueue: 1, signal: controller.signal })
        const other = target.subscribe('m')
        for (let i = 0; i < 10; i++) peer.send({ type: 'n' })
        peer.send({ type: 'm' })
        while (!target._link._isHeld) await turn()
        await leave(slow)
        assert.strictEqual((await other.next()).value.type, 'm')
      }
      await target.close()
    })

    it('that is left leaves nothing on its signal, nor does a listener', async () => {
      const { target } = start()
      const { signal } = new AbortController()
      const ear = () => {}
      target.addEventListener('n', ear, { signal })
      const events = target.subscribe('n', { signal })
      assert.strictEqual(getEventListeners(signal, 'abort').length, 2)
      target.removeEventListener('n', ear)
      await events.return()
      assert.strictEqual(getEventListeners(signal, 'abort').length, 0)
      target.addEventListener('n', ear, { signal })
      target.subscribe('n', { signal })
      await target.close()
      assert.strictEqual(getEventListeners(signal, 'abort').length, 0)
    })

    it('that failed throws no more once it is left', async () => {
      const { target, peer } = start()
      const events = target.subscribe('n', { policy: 'disconnect', maxQueue: 1 })
      peer.send({ type: 'n' }, { type: 'n' })
      await peer.settled()
      await events.return()
      assert.deepStrictEqual(await events.next(), { value: undefined, done: true })
      await target.close()
    })

    it('gives several next() at once their own', async () => {
      const { target, peer } = start()
      const events = target.subscribe('n')
      const nexts = [events.next(), events.next(), events.next(), events.next()]
      peer.send({ type: 'n', payload: 1 }, { type: 'n', payload: 2 })
      assert.deepStrictEqual((await Promise.all(nexts.slice(0, 2))).map(({ value }) => value.payload), [1, 2])
      peer.stream.destroy()
      await assert.rejects(nexts[2], { code: 'ERR_ALKNET_LOST' })
      assert.strictEqual((await nexts[3]).done, true)
    })
  })

  describe('the way out', () => {
    const small = { maxQueue: 4, maxQueueBytes: 1024 ** 2 }
    const big = (i) => ({ type: 'n', id: String(i), payload: 'x'.repeat(20_000) })

    it('block: dispatchEvent() waits for room', async () => {
      const { target, peer } = start(small)
      peer.hold()
      const done = []
      for (let i = 0; i < 9; i++) target.dispatchEvent(big(i)).then(() => done.push(i))
      await turn()
      assert(done.length > 0 && done.length < 9, `${done.length} of 9`)
      const ids = peer.take(9)
      peer.resume()
      assert.deepStrictEqual((await ids).map(({ id }) => Number(id)), [0, 1, 2, 3, 4, 5, 6, 7, 8])
      await turn()
      assert.deepStrictEqual(done, [0, 1, 2, 3, 4, 5, 6, 7, 8])
      await target.close()
    })

    it('block: who does not wait is refused when too many wait, and an ignored refusal ends no process', async () => {
      const { target, peer } = start(small)
      peer.hold()
      let refused = null
      for (let i = 0; i < 100; i++) target.dispatchEvent(big(i)).catch((err) => { refused ??= err })
      const unhandled = []
      const note = (err) => unhandled.push(err)
      process.on('unhandledRejection', note)
      for (let i = 0; i < 100; i++) target.dispatchEvent(big(i))
      await turn()
      process.removeListener('unhandledRejection', note)
      assert.deepStrictEqual(unhandled, [])
      assert.strictEqual(refused.code, 'ERR_ALKNET_LIMIT')
      assert(target._queue.length <= 4 && target._queue._waiting.length <= 4)
      peer.stream.destroy()
      await target.closed
    })

    it('block: a wait can be aborted', async () => {
      const { target, peer } = start(small)
      peer.hold()
      for (let i = 0; i < 6; i++) target.dispatchEvent(big(i))
      const controller = new AbortController()
      const aborted = target.dispatchEvent(big('aborted'), { signal: controller.signal })
      controller.abort()
      await assert.rejects(aborted, { code: 'ERR_ALKNET_CANCELED' })
      await assert.rejects(target.dispatchEvent(big(7), { signal: AbortSignal.abort() }), { code: 'ERR_ALKNET_CANCELED' })
      peer.resume()
      assert.deepStrictEqual((await peer.take(6)).map(({ id }) => id), ['0', '1', '2', '3', '4', '5'])
      assert.deepStrictEqual(await peer.settled(), [])
      await target.close()
    })

    it('block: nobody waits longer than blockTimeout', async () => {
      const { target, peer } = start({ ...small, blockTimeout: 1 })
      peer.hold()
      const results = await Promise.allSettled(Array.from({ length: 8 }, (_, i) => target.dispatchEvent(big(i))))
      assert.strictEqual(results.at(-1).reason.code, 'ERR_ALKNET_TIMEOUT')
      assert.strictEqual(target.error.code, 'ERR_ALKNET_TIMEOUT')
      peer.resume()
      await target.closed
      assert.deepStrictEqual(peer.events.at(-1), { type: '__closed', id: '', payload: { code: 'ERR_ALKNET_TIMEOUT', message: target.error.message } })
    })

    it('drop-oldest: never waits, and counts', async () => {
      const { target, peer } = start({ ...small, policy: 'drop-oldest' })
      peer.hold()
      for (let i = 0; i < 20; i++) await target.dispatchEvent(big(i))
      assert(target.dropped > 10)
      const left = 20 - target.dropped
      peer.resume()
      const ids = (await peer.take(left)).map(({ id }) => Number(id))
      assert.deepStrictEqual(ids.slice(-4), [16, 17, 18, 19])
      assert.deepStrictEqual(ids, [...ids].sort((a, b) => a - b))
      await target.close()
    })

    it('disconnect: ends with an error, which the other end learns', async () => {
      const { target, peer } = start({ ...small, policy: 'disconnect' })
      peer.hold()
      const results = await Promise.allSettled(Array.from({ length: 20 }, (_, i) => target.dispatchEvent(big(i))))
      assert(results.some(({ reason }) => reason?.code === 'ERR_ALKNET_LIMIT'))
      assert.strictEqual(target.error.code, 'ERR_ALKNET_LIMIT')
      peer.resume()
      await target.closed
      assert.strictEqual(peer.events.at(-1).payload.code, 'ERR_ALKNET_LIMIT')
    })
  })

  describe('ends', () => {
    it('in good order, with all that was dispatched', async () => {
      const { target, peer } = start()
      target.subscribe('n')
      await peer.next()
      for (let i = 0; i < 1000; i++) target.dispatchEvent({ type: 'n', payload: 'x'.repeat(100) })
      const closed = target.close()
      assert.strictEqual(target.close(), closed, 'twice is once')
      await peer.ended
      assert.deepStrictEqual(types(peer.events), Array(1000).fill('n'), 'and nothing else: the end says it all')
      await closed
      assert.strictEqual(target.error, null)
    })

    it('in good order also with an end that has much to say', async () => {
      const [near, far] = pair()
      const target = createEventTarget({ stream: near })
      const peer = new Peer(far, { isRude: true })
      const closed = target.close()
      await peer.ended
      for (let i = 0; i < 100; i++) peer.send({ type: 'late', payload: 'x'.repeat(10_000) })
      far.end()
      await closed
      assert(near.readableEnded, 'it was read to its end')
    })

    it('also when the other end never does, within a time limit', async () => {
      const [near, far] = pair()
      const target = createEventTarget({ stream: near })
      const peer = new Peer(far, { isRude: true })
      const closed = target.close()
      await peer.ended
      peer.send({ type: 'late', payload: 'x'.repeat(100_000) })
      await closed
      assert(near.destroyed)
    })

    it('also when the other end does not read', async () => {
      const { target, peer, near } = start()
      peer.hold()
      for (let i = 0; i < 10; i++) target.dispatchEvent({ type: 'n', payload: 'x'.repeat(100_000) })
      await target.close()
      assert(near.destroyed)
    })

    it('when the other end does: iterators are done after what they have', async () => {
      const [a, b] = startTwo()
      const events = b.subscribe('n')
      const ready = new Promise((resolve) => b.addEventListener('n', resolve))
      a.dispatchEvent({ type: 'n' })
      await ready
      await a.close()
      await b.closed
      assert.deepStrictEqual([a.error, b.error], [null, null])
      assert.strictEqual((await events.next()).value.type, 'n')
      assert.deepStrictEqual(await events.next(), { value: undefined, done: true })
    })

    it('with ERR_ALKNET_LOST when the stream breaks, and no event is without an error', async () => {
      for (const way of [(peer) => peer.stream.destroy(), (peer, near) => near.destroy(), (peer) => peer.stream.end(frame({ type: 'a', id: '' }).subarray(0, -1))]) {
        const { target, peer, near } = start()
        const events = target.subscribe('n')
        way(peer, near)
        await assert.rejects(events.next(), { code: 'ERR_ALKNET_LOST', stage: 'events', retryable: true })
        await target.closed
        assert.strictEqual(target.error.code, 'ERR_ALKNET_LOST')
        await assert.rejects(events.ready, { code: 'ERR_ALKNET_LOST' })
      }
    })

    it('with the cause of a stream that fails', async () => {
      const { target, near } = start()
      const cause = new Error('boom')
      near.destroy(cause)
      await target.closed
      assert.strictEqual(target.error.code, 'ERR_ALKNET_LOST')
      assert.strictEqual(target.error.cause, cause)
    })

    const wrong = {
      'a frame that is too long': [Buffer.from('ffffffff', 'hex'), 'ERR_ALKNET_LIMIT'],
      'a frame that is no JSON': [frame('{'), 'ERR_ALKNET_PROTO'],
      'a frame that nests too deeply': [frame('['.repeat(100)), 'ERR_ALKNET_LIMIT'],
      'a subscription to nothing': [frame({ type: '__subscribe', id: '', payload: null }), 'ERR_ALKNET_PROTO'],
      'a subscription to no topic': [frame({ type: '__subscribe', id: '', payload: { topic: 'a..b' } }), 'ERR_ALKNET_PROTO'],
      'a confirmation of nothing': [frame({ type: '__subscribed', id: '', payload: 7 }), 'ERR_ALKNET_PROTO'],
      'a refusal of nothing': [frame({ type: '__refused', id: '', payload: {} }), 'ERR_ALKNET_PROTO']
    }
    for (const [what, [bytes, code]] of Object.entries(wrong)) {
      it(`with ${code} for ${what}, tells the other end, and hears nothing more`, async () => {
        const { target, peer } = start()
        const events = target.subscribe('n')
        await peer.next()
        peer.stream.write(Buffer.concat([frame({ type: 'n', id: 'before' }), bytes, frame({ type: 'n', id: 'after' })]))
        assert.strictEqual((await events.next()).value.id, 'before')
        await assert.rejects(events.next(), { code })
        const last = await peer.next()
        assert.deepStrictEqual([last.type, last.payload.code], ['__closed', code])
        await target.closed
        assert.strictEqual(target.error.code, code)
      })
    }

    it('with what the other end says, if it says something known', async () => {
      for (const [said, code] of [['ERR_ALKNET_LIMIT', 'ERR_ALKNET_LIMIT'], ['ERR_ALKNET_PROTO', 'ERR_ALKNET_PROTO'], ['constructor', 'ERR_ALKNET_LOST'], [undefined, 'ERR_ALKNET_LOST']]) {
        const { target, peer } = start()
        peer.send({ type: '__closed', payload: { code: said, message: 'FORGED' } })
        peer.stream.end()
        await target.closed
        assert.strictEqual(target.error.code, code)
        assert(!target.error.message.includes('FORGED'))
      }
    })

    it('and everything on it is closed then', async () => {
      const { target } = start()
      const waiting = target.subscribe('n').next()
      await target.close()
      assert.deepStrictEqual(await waiting, { value: undefined, done: true })
      await assert.rejects(target.dispatchEvent({ type: 'n' }), { code: 'ERR_ALKNET_CLOSED' })
      for (const call of [() => target.subscribe('n'), () => target.addEventListener('n', () => {}), () => target.attach(pair()[0])]) {
        assert.throws(call, { code: 'ERR_ALKNET_CLOSED' })
      }
      target.removeEventListener('n', () => {})
    })

    it('without a reply for each question of a peer that does not read them', async () => {
      const { target, peer, far } = start()
      peer.hold()
      for (let i = 0; i < 2000; i++) far.write(frame({ type: '__subscribe', id: String(i), payload: { topic: 'x'.repeat(200) } }))
      await turn()
      assert(target._link._replies.length <= 64)
      assert(far.writableLength > 0, 'it is not read from')
      peer.resume()
      assert.strictEqual((await peer.take(2000)).at(-1).id, '1999')
      await target.close()
    })
  })

  describe('with reattach', () => {
    it('goes on with a new stream: topics are told once, nothing comes twice', async () => {
      const target = createEventTarget({ reattach: true })
      const states = []
      for (const type of ['__attached', '__detached']) target.addEventListener(type, ({ payload }) => states.push([type, payload]))
      const events = target.subscribe('n')
      target.addEventListener('n', () => {})
      target.subscribe('m')
      const one = attach(target)
      assert(target.isAttached)
      assert.deepStrictEqual((await one.take(2)).map(({ payload }) => payload.topic), ['n', 'm'])
      one.send({ type: 'n', id: '1' })
      one.stream.write(frame({ type: 'n', id: 'half' }).subarray(0, 7))
      assert.strictEqual((await events.next()).value.id, '1')
      one.stream.destroy()
      await one.closed
      await turn()
      assert(!target.isAttached)
      target.subscribe('k')
      target.dispatchEvent({ type: 'meanwhile' })
      const two = attach(target)
      assert.deepStrictEqual((await two.take(4)).map(({ type, payload }) => payload?.topic ?? type), ['n', 'm', 'k', 'meanwhile'])
      two.send({ type: 'n', id: '2' })
      assert.strictEqual((await events.next()).value.id, '2')
      assert.deepStrictEqual(await two.settled(), [])
      assert.deepStrictEqual(states, [['__attached', { gap: false }], ['__detached', { code: 'ERR_ALKNET_LOST' }], ['__attached', { gap: true }]])
      await target.close()
    })

    it('has no topic in force before the new stream has confirmed it', async () => {
      const target = createEventTarget({ reattach: true })
      const names = Array.from({ length: 200 }, (_, i) => `${i}-${'x'.repeat(200)}`)
      for (const name of names) target.subscribe(name)
      const one = attach(target)
      for (const { id, payload } of await one.take(200)) one.send({ type: '__subscribed', id, payload })
      await target.subscribe(names.at(-1)).ready
      const [near, far] = pair()
      target.attach(near) // nobody reads it: not all of the topics have left
      const again = target.subscribe(names.at(-1))
      let isReady = false
      again.ready.then(() => { isReady = true })
      await turn()
      assert(!isReady)
      const two = new Peer(far)
      for (const { id, payload } of await two.take(200)) two.send({ type: '__subscribed', id, payload })
      await again.ready
      await target.close()
    })

    it('takes a new stream while the old one stands, and hears the old one no more', async () => {
      const target = createEventTarget({ reattach: true })
      const events = target.subscribe('n')
      const one = attach(target)
      await one.next()
      const two = attach(target)
      assert.strictEqual((await two.next()).type, '__subscribe')
      await one.closed
      two.send({ type: 'n', id: 'new' })
      assert.strictEqual((await events.next()).value.id, 'new')
      assert(target.isAttached)
      await target.close()
    })

    it('survives what breaks a stream, with its code', async () => {
      const target = createEventTarget({ reattach: true })
      for (const [way, code] of [
        [(peer) => peer.stream.end(), null],
        [(peer) => peer.stream.write(frame('{')), 'ERR_ALKNET_PROTO'],
        [(peer) => peer.stream.destroy(), 'ERR_ALKNET_LOST']
      ]) {
        const peer = attach(target)
        const detached = new Promise((resolve) => target.addEventListener('__detached', resolve, { once: true }))
        way(peer)
        assert.deepStrictEqual((await detached).payload, { code })
      }
      assert.strictEqual(target.error, null)
      await target.close()
    })

    it('keeps what is dispatched in between under the policy', async () => {
      const kept = createEventTarget({ reattach: true, maxQueue: 2, policy: 'drop-oldest' })
      for (let i = 0; i < 5; i++) await kept.dispatchEvent({ type: 'n', id: String(i) })
      assert.deepStrictEqual((await attach(kept).take(2)).map(({ id }) => id), ['3', '4'])
      const strict = createEventTarget({ reattach: true, maxQueue: 2, policy: 'disconnect' })
      await strict.dispatchEvent({ type: 'n', id: '0' })
      await strict.dispatchEvent({ type: 'n', id: '1' })
      await assert.rejects(strict.dispatchEvent({ type: 'n' }), { code: 'ERR_ALKNET_LIMIT' })
      assert.deepStrictEqual((await attach(strict).take(2)).map(({ id }) => id), ['0', '1'])
      await Promise.all([kept.close(), strict.close()])
    })

    it('does not wait for a stream longer than blockTimeout', async () => {
      const target = createEventTarget({ reattach: true, maxQueue: 1, blockTimeout: 1 })
      await target.dispatchEvent({ type: 'n', id: 'kept' })
      await assert.rejects(target.dispatchEvent({ type: 'n' }), { code: 'ERR_ALKNET_TIMEOUT' })
      assert.deepStrictEqual((await attach(target).next()).id, 'kept')
      await target.close()
    })

    it('closes without a stream', async () => {
      await createEventTarget({ reattach: true }).close()
    })
  })

  it('refuses options and streams that cannot be', () => {
    const ended = new PassThrough()
    ended.end()
    const destroyed = new PassThrough().destroy()
    const encoded = new PassThrough().setEncoding('utf8')
    const bad = {
      stream: [undefined, null, 7, {}, new PassThrough({ objectMode: true }), ended, destroyed, encoded],
      reattach: [1],
      policy: ['drop'],
      maxQueue: [0, 10_001, '5'],
      maxQueueBytes: [1023, 2 ** 31],
      blockTimeout: [0, 86401],
      maxFrame: [16383, 64 * 1024 ** 2 + 1],
      maxDepth: [1, 1001],
      maxTopic: [0, 1025],
      maxSubscriptions: [0, 65537]
    }
    for (const [option, values] of Object.entries(bad)) {
      for (const value of values) {
        const stream = new Duplex({ read () {}, write () {} })
        assert.throws(() => createEventTarget({ stream, [option]: value }), { code: 'ERR_ALKNET_OPTION', option }, `${option}: ${String(value)}`)
        assert.strictEqual(stream.listenerCount('readable'), 0, 'nothing started')
      }
    }
    assert.throws(() => createEventTarget({ stream: pair()[0], maxQueues: 1 }), { code: 'ERR_ALKNET_OPTION', message: /did you mean maxQueue/ })
    const { target } = start()
    assert.throws(() => target.subscribe('a..b'), { code: 'ERR_ALKNET_OPTION', option: 'topic' })
    assert.throws(() => target.subscribe('__refused'), { code: 'ERR_ALKNET_OPTION', option: 'topic' })
    assert.throws(() => target.subscribe('a', { policy: 'no' }), { code: 'ERR_ALKNET_OPTION', option: 'policy' })
    assert.throws(() => target.subscribe('a', { signal: 1 }), { code: 'ERR_ALKNET_OPTION', option: 'signal' })
    assert.throws(() => target.addEventListener('a', 1), { code: 'ERR_ALKNET_OPTION', option: 'listener' })
    assert.throws(() => target.addEventListener('a', () => {}, { signal: 1 }), { code: 'ERR_ALKNET_OPTION', option: 'signal' })
    assert.throws(() => target.dispatchEvent({ type: 'a.*' }), { code: 'ERR_ALKNET_OPTION', option: 'type' })
    assert.throws(() => target.dispatchEvent({ type: 'a' }, { signals: 1 }), { code: 'ERR_ALKNET_OPTION' })
    assert.throws(() => target.attach({}), { code: 'ERR_ALKNET_OPTION', option: 'stream' })
    return target.close()
  })
})
