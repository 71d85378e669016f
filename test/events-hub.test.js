'use strict'

const assert = require('assert')
const { EventEmitter, once } = require('events')
const { createEventHub } = require('../lib/events/hub')
const { createEventTarget } = require('../lib/events/target')
const { createIdentity } = require('../lib/identity')
const { NO_LOG } = require('../lib/log')
const { Reserved } = require('../lib/reserved')
const { Peer, first, frame, pair } = require('./helpers/events')

const turn = () => new Promise(setImmediate)
const all = () => true
const who = (id, ...scopes) => ({ identity: createIdentity({ id, scopes }) })

const open = (options = {}) => createEventHub(null, { authorize: all, ...options })

/** What a hub wants of a server. */
function aServer () {
  const server = new EventEmitter()
  server.reserved = new Reserved(server, { maxPending: 1 }, NO_LOG)
  server.handle = (name, fn) => server.reserved.handle(name, fn)
  return server
}

/** A client by hand. options: of pair(). */
function join (hub, info = who('somebody'), options = {}) {
  const [near, far] = pair(options)
  hub.accept(near, info)
  return new Peer(far)
}

/** A client that is a target. */
function target (hub, info = who('somebody'), options = {}) {
  const [near, far] = pair()
  hub.accept(near, info)
  return createEventTarget({ stream: far, ...options })
}

/** Subscribes a peer, and waits until it is in force. */
async function listen (peer, ...topics) {
  for (const topic of topics) {
    peer.send({ type: '__subscribe', id: topic, payload: { topic } })
    assert.deepStrictEqual(await peer.next(), { type: '__subscribed', id: topic, payload: { topic } })
  }
  return peer
}

const ids = (events) => events.map(({ id }) => id)

describe('Event hub', () => {
  it('passes events on to those who have subscribed, and not back', async () => {
    const hub = open()
    const [a, b, c] = [await listen(join(hub), 'orders.*'), await listen(join(hub), 'orders.>', 'orders.*', 'orders.eu.new'), await listen(join(hub), 'users.*')]
    assert.strictEqual(hub.clients, 3)
    a.send({ type: 'orders.new', id: '1', payload: { n: 1 } }, { type: 'orders.eu.new', id: '2' }, { type: 'users.new', id: '3' }, { type: 'nobody', id: '4' })
    assert.deepStrictEqual(await a.settled(), [], 'not back to whom it came from')
    assert.deepStrictEqual(await b.settled(), [{ type: 'orders.new', id: '1', payload: { n: 1 } }, { type: 'orders.eu.new', id: '2', payload: null }], 'once, whatever the number of topics')
    assert.deepStrictEqual(ids(await c.settled()), ['3'])
    b.send({ type: '__unsubscribe', payload: { topic: 'orders.>' } }, { type: '__unsubscribe', payload: { topic: 'not.there' } })
    await b.settled()
    a.send({ type: 'orders.eu.old' })
    await a.settled()
    assert.deepStrictEqual(await b.settled(), [])
    await hub.close()
  })

  it('gives all clients one order, and each publisher its own', async () => {
    const hub = open()
    const readers = [target(hub), target(hub), target(hub)]
    const queues = readers.map((one) => one.subscribe('n.>'))
    await Promise.all(queues.map(({ ready }) => ready))
    const writers = [target(hub), target(hub)]
    for (let i = 0; i < 400; i++) {
      writers.forEach((one, w) => one.dispatchEvent({ type: `n.${w}`, payload: i }))
      if (i % 50 === 0) await turn()
    }
    const seen = await Promise.all(queues.map((one) => first(one, 800)))
    assert.deepStrictEqual(seen[1], seen[0])
    assert.deepStrictEqual(seen[2], seen[0])
    for (const w of [0, 1]) {
      assert.deepStrictEqual(seen[0].filter(({ type }) => type === `n.${w}`).map(({ payload }) => payload), Array.from({ length: 400 }, (_, i) => i))
    }
    await hub.close()
  })

  it('has events of its own, and hears those of clients with their identity', async () => {
    const hub = open()
    const peer = await listen(join(hub, who('bob', 'x')), 'a')
    const events = hub.subscribe('>')
    await events.ready
    const heard = []
    hub.addEventListener('b', (event) => heard.push(event))
    const date = new Date(0)
    await hub.dispatchEvent({ type: 'a', payload: { date } })
    peer.send({ type: 'b', id: '1' })
    assert.deepStrictEqual(await peer.settled(), [{ type: 'a', id: '', payload: { date: date.toJSON() } }])
    assert.deepStrictEqual(await first(events, 2), [
      { type: 'a', id: '', payload: { date: date.toJSON() }, identity: null },
      { type: 'b', id: '1', payload: null, identity: createIdentity({ id: 'bob', scopes: ['x'] }) }
    ])
    assert.deepStrictEqual(ids(heard), ['1'])
    await hub.close()
    assert((await events.next()).done)
  })

  describe('asks who may', () => {
    it('do what, with scopes by default: nobody without one', async () => {
      const hub = createEventHub(null)
      const orders = join(hub, who('orders', 'topics:publish:orders.*', 'topics:subscribe:orders.>'))
      const nobody = join(hub, who('nobody'))
      const unknown = join(hub, undefined)
      await listen(orders, 'orders.*', 'orders.eu.>')
      const refused = (action, topic, id) => ({ type: '__refused', id, payload: { action, topic, code: 'ERR_ALKNET_AUTH', message: `not allowed to ${action}` } })
      for (const peer of [nobody, unknown]) {
        peer.send({ type: '__subscribe', id: '1', payload: { topic: 'orders.new' } }, { type: 'orders.new', id: '2' })
        assert.deepStrictEqual(await peer.take(2), [refused('subscribe', 'orders.new', '1'), refused('publish', 'orders.new', '2')])
      }
      orders.send({ type: '__subscribe', id: '3', payload: { topic: '>' } }, { type: 'orders.eu.new', id: '4' })
      assert.deepStrictEqual(await orders.take(2), [refused('subscribe', '>', '3'), refused('publish', 'orders.eu.new', '4')])
      const other = await listen(join(hub, who('other', 'topics:subscribe:orders.new')), 'orders.new')
      orders.send({ type: 'orders.new', id: '5' })
      assert.strictEqual((await other.next()).id, '5')
      assert.strictEqual(hub.clients, 4, 'a refusal ends nobody')
      await hub.close()
    })

    it('and a target learns of a refusal', async () => {
      const hub = createEventHub(null)
      const one = target(hub, who('x', 'topics:subscribe:a'))
      const refusals = []
      one.addEventListener('__refused', ({ payload }) => refusals.push(payload.action))
      const events = one.subscribe('b')
      await assert.rejects(events.ready, { code: 'ERR_ALKNET_AUTH' })
      one.dispatchEvent({ type: 'a' })
      await one.subscribe('a').ready
      assert.deepStrictEqual(refusals, ['subscribe', 'publish'])
      await hub.close()
    })

    it('of a function, at once or later, in the order of the questions', async () => {
      const asked = []
      const answers = []
      const hub = createEventHub(null, {
        authorize: ({ identity, action, topic, info }) => {
          asked.push([identity.id, action, topic, info.user])
          return topic === 'late' ? new Promise((resolve) => answers.push(resolve)) : true
        }
      })
      const spy = await listen(join(hub, { ...who('spy'), user: 'ada' }), 'now', '>')
      const peer = join(hub, { ...who('bob'), user: 'b' })
      peer.send({ type: 'late', id: '1' }, { type: 'now', id: '2' })
      while (answers.length === 0) await turn()
      assert.deepStrictEqual(await spy.settled(), [], 'the second waits for the first')
      answers[0](true)
      assert.deepStrictEqual(ids(await spy.take(2)), ['1', '2'])
      assert.deepStrictEqual(asked.filter(([, , topic]) => topic !== 'settled'), [
        ['spy', 'subscribe', 'now', 'ada'], ['spy', 'subscribe', '>', 'ada'], ['bob', 'publish', 'late', 'b'], ['bob', 'publish', 'now', 'b']
      ])
      await hub.close()
    })

    for (const [what, authorize] of [
      ['throws', () => { throw new Error('SECRET') }],
      ['rejects', async () => { throw new Error('SECRET') }],
      ['says something else than true', () => 1],
      ['says nothing', () => {}],
      ['resolves to something else than true', async () => 'yes']
    ]) {
      it(`refuses when the function ${what}, and says so on this side`, async () => {
        const hub = createEventHub(null, { authorize })
        const told = new Promise((resolve) => hub.addEventListener('__refused', resolve))
        const peer = join(hub, who('x'))
        peer.send({ type: '__subscribe', id: '1', payload: { topic: 'a' } })
        const answer = await peer.next()
        assert.deepStrictEqual([answer.type, answer.payload.code], ['__refused', 'ERR_ALKNET_AUTH'])
        assert(!JSON.stringify(answer).includes('SECRET'))
        const { action, topic, identity, error } = (await told).payload
        assert.deepStrictEqual([action, topic, identity.id, error.code], ['subscribe', 'a', 'x', 'ERR_ALKNET_AUTH'])
        if (/throws|rejects/.test(what)) assert.strictEqual(error.cause.message, 'SECRET')
        await hub.close()
      })
    }

    it('and waits no longer than authorizeTimeout', async () => {
      const hub = createEventHub(null, { authorize: () => new Promise(() => {}), authorizeTimeout: 1 })
      const peer = join(hub)
      peer.send({ type: '__subscribe', id: '1', payload: { topic: 'a' } })
      assert.strictEqual((await peer.next()).payload.code, 'ERR_ALKNET_AUTH')
      await hub.close()
    })

    it('and does nothing for a client that has left meanwhile', async () => {
      const asked = new EventEmitter()
      const hub = createEventHub(null, { authorize: () => new Promise((resolve) => asked.emit('asked', resolve)) })
      const question = once(asked, 'asked')
      const peer = join(hub)
      peer.send({ type: '__subscribe', id: '1', payload: { topic: 'a' } })
      const [answer] = await question
      peer.stream.destroy()
      while (hub.clients > 0) await turn()
      answer(true)
      await turn()
      assert(hub._tree.isEmpty)
      await hub.close()
    })
  })

  it('passes no calls on', async () => {
    const hub = open()
    const spy = await listen(join(hub), '>')
    const peer = join(hub)
    peer.send({ type: 'call.requested', id: '1' }, { type: 'call', id: '2' }, { type: '__subscribe', id: '3', payload: { topic: 'call.*' } }, { type: 'calls', id: '4' })
    assert.deepStrictEqual((await peer.take(3)).map(({ type, id, payload }) => [type, id, payload.code]), ['1', '2', '3'].map((id) => ['__refused', id, 'ERR_ALKNET_UNSUPPORTED']))
    assert.strictEqual((await spy.next()).id, '4')
    await hub.close()
  })

  it('writes anew what it passes on: one reading for all', async () => {
    const hub = createEventHub(null, { authorize: ({ action, topic }) => action === 'subscribe' || topic === 'open' })
    const spy = await listen(join(hub), '>')
    const raw = new Promise((resolve) => spy.stream.on('data', resolve))
    const peer = join(hub)
    peer.stream.write(frame('{ "type":"secret", "id":"1", "type":"open", "more":1 }'))
    assert.deepStrictEqual(await spy.next(), { type: 'open', id: '1', payload: null })
    assert.strictEqual((await raw).subarray(4).toString(), '{"type":"open","id":"1","payload":null}')
    await hub.close()
  })

  it('refuses an event that grows beyond the limit when it is written anew', async () => {
    const hub = open({ maxFrame: 16384 })
    const peer = await listen(join(hub), 'ok')
    const numbers = Array(3000).fill('1e20').join()
    peer.stream.write(frame(`{"type":"n","id":"1","payload":[${numbers}]}`))
    assert.deepStrictEqual(await peer.next().then(({ type, id, payload }) => [type, id, payload.code]), ['__refused', '1', 'ERR_ALKNET_LIMIT'])
    await peer.settled()
    await hub.close()
  })

  it('takes so many topics of a client, and no more', async () => {
    const hub = open({ maxSubscriptions: 2 })
    const peer = await listen(join(hub), 'a', 'b', 'a')
    peer.send({ type: '__subscribe', id: '1', payload: { topic: 'c' } })
    assert.strictEqual((await peer.next()).payload.code, 'ERR_ALKNET_LIMIT')
    peer.send({ type: '__unsubscribe', payload: { topic: 'b' } })
    await listen(peer, 'c')
    const one = target(hub)
    one.subscribe('a')
    one.subscribe('b')
    await assert.rejects(one.subscribe('c').next(), { code: 'ERR_ALKNET_LIMIT' })
    await hub.close()
  })

  it('takes so many clients, and no more', async () => {
    const hub = open({ maxClients: 2 })
    const [one] = [join(hub), join(hub)]
    const third = join(hub)
    assert.strictEqual((await third.next()).payload.code, 'ERR_ALKNET_LIMIT')
    assert.strictEqual(hub.clients, 2)
    one.stream.end()
    await one.closed
    await listen(join(hub), 'a')
    await hub.close()
  })

  for (const [what, bytes, code] of [
    ['a frame that is too long', Buffer.from('7fffffff', 'hex'), 'ERR_ALKNET_LIMIT'],
    ['a frame that is no JSON', frame('{'), 'ERR_ALKNET_PROTO'],
    ['a topic that is none', frame({ type: '__subscribe', id: '', payload: { topic: 'a..b' } }), 'ERR_ALKNET_PROTO'],
    ['a topic that is too long', frame({ type: '__subscribe', id: '', payload: { topic: 'a'.repeat(256) } }), 'ERR_ALKNET_PROTO'],
    ['a topic to leave that is none', frame({ type: '__unsubscribe', id: '', payload: [] }), 'ERR_ALKNET_PROTO'],
    ['a type that is too long', frame({ type: 'a'.repeat(256), id: '' }), 'ERR_ALKNET_PROTO']
  ]) {
    it(`ends a client for ${what}, and no other`, async () => {
      const hub = open()
      const [bad, good] = [await listen(join(hub), 'a'), await listen(join(hub), 'a')]
      bad.stream.write(bytes)
      const { type, payload } = await bad.next()
      assert.deepStrictEqual([type, payload.code], ['__closed', code])
      await bad.ended
      assert.strictEqual(hub.clients, 1)
      await hub.dispatchEvent({ type: 'a', id: '1' })
      assert.strictEqual((await good.next()).id, '1')
      await hub.close()
    })
  }

  describe('with a client that does not read', () => {
    const payload = 'x'.repeat(20_000)

    async function stuck (options) {
      const hub = open({ maxQueue: 4, ...options })
      const [slow, fast, writer] = [await listen(join(hub), 'n'), await listen(join(hub), 'n'), join(hub)]
      slow.hold()
      return { hub, slow, fast, writer }
    }

    it('disconnect (default): ends it with a code, and the others have everything', async () => {
      const { hub, slow, fast, writer } = await stuck()
      for (let i = 0; i < 50; i++) writer.send({ type: 'n', id: String(i), payload })
      assert.deepStrictEqual(ids(await fast.take(50)), Array.from({ length: 50 }, (_, i) => String(i)))
      assert.strictEqual(hub.clients, 2)
      slow.resume()
      await slow.ended
      const last = slow.events.pop()
      assert.deepStrictEqual([last.type, last.payload.code], ['__closed', 'ERR_ALKNET_LIMIT'])
      assert.deepStrictEqual(ids(slow.events), slow.events.map((_, i) => String(i)), 'what it got has no gap')
      await hub.close()
    })

    it('disconnect: does not end one that only needs a turn of the loop', async () => {
      const hub = open({ maxQueue: 4 })
      const [reader, writer] = [await listen(join(hub, who('slow'), { isSlow: true }), 'n'), join(hub)]
      const one = Buffer.concat(Array.from({ length: 200 }, (_, i) => frame({ type: 'n', id: String(i), payload: 'x'.repeat(300) })))
      writer.stream.write(one)
      assert.strictEqual((await reader.take(200)).length, 200)
      assert.strictEqual(hub.clients, 2)
      await hub.close()
    })

    it('drop-oldest: it has the newest', async () => {
      const { hub, slow, fast, writer } = await stuck({ policy: 'drop-oldest' })
      for (let i = 0; i < 50; i++) writer.send({ type: 'n', id: String(i), payload })
      await fast.take(50)
      slow.resume()
      const got = []
      while (got.at(-1) !== 49) got.push(Number((await slow.next()).id))
      assert(got.length < 50)
      assert.deepStrictEqual(got.slice(-4), [46, 47, 48, 49])
      assert.deepStrictEqual(got, [...got].sort((a, b) => a - b))
      await hub.close()
    })

    it('block: the writers wait, and nobody misses anything', async () => {
      const { hub, slow, fast, writer } = await stuck({ policy: 'block' })
      for (let i = 0; i < 50; i++) writer.send({ type: 'n', id: String(i), payload })
      await turn()
      assert(writer.stream.writableLength > 0, 'the writer is held')
      assert(fast.events.length < 50)
      const own = hub.dispatchEvent({ type: 'n', id: 'own', payload })
      slow.resume()
      await own
      const expected = [...Array.from({ length: 50 }, (_, i) => String(i)), 'own'].sort()
      const [a, b] = [ids(await slow.take(51)), ids(await fast.take(51))]
      assert.deepStrictEqual([...a].sort(), expected)
      assert.deepStrictEqual(b, a, 'in one order')
      await hub.close()
    })

    it('block: no longer than blockTimeout', async () => {
      const { hub, slow, fast, writer } = await stuck({ policy: 'block', blockTimeout: 1 })
      for (let i = 0; i < 50; i++) writer.send({ type: 'n', id: String(i), payload })
      assert.strictEqual((await fast.take(50)).length, 50)
      assert.strictEqual(hub.clients, 2)
      slow.resume()
      await slow.ended
      assert.strictEqual(slow.events.pop().payload.code, 'ERR_ALKNET_TIMEOUT')
      await hub.close()
    })

    it('block: when it leaves, the writers go on', async () => {
      const { hub, slow, fast, writer } = await stuck({ policy: 'block' })
      for (let i = 0; i < 50; i++) writer.send({ type: 'n', id: String(i), payload })
      await turn()
      slow.stream.destroy()
      assert.strictEqual((await fast.take(50)).length, 50)
      await hub.close()
    })

    it('its questions wait: no reply piles up', async () => {
      const hub = open()
      const peer = join(hub)
      peer.hold()
      for (let i = 0; i < 2000; i++) peer.send({ type: '__subscribe', id: String(i), payload: { topic: 'a' } })
      await turn()
      const [client] = hub._clients
      assert(client.link._replies.length <= 64)
      assert(peer.stream.writableLength > 0)
      peer.resume()
      assert.strictEqual((await peer.take(2000)).at(-1).id, '1999')
      await hub.close()
    })
  })

  it('forgets a client with its stream, whatever way it goes', async () => {
    const hub = open()
    for (const way of [(peer) => peer.stream.end(), (peer) => peer.stream.destroy(), (peer) => peer.stream.destroy(new Error('x')), (peer) => peer.stream.write(frame('x'))]) {
      const peer = await listen(join(hub), 'a.*', 'b')
      way(peer)
      await peer.closed
      while (hub.clients > 0) await turn()
      assert(hub._tree.isEmpty)
    }
    await hub.close()
    assert.strictEqual(hub._links.size, 0)
  })

  it('tells a client that comes again, and its old connection nothing', async () => {
    const hub = open()
    const [near, far] = pair()
    hub.accept(near, who('x'))
    const one = createEventTarget({ stream: far, reattach: true })
    const events = one.subscribe('n')
    await events.ready
    const detached = new Promise((resolve) => one.addEventListener('__detached', resolve))
    await hub.dispatchEvent({ type: 'n', id: '1' })
    assert.strictEqual((await events.next()).value.id, '1')
    far.destroy()
    await detached
    while (hub.clients > 0) await turn()
    await hub.dispatchEvent({ type: 'n', id: 'lost' })
    const [again, end] = pair()
    hub.accept(again, who('x'))
    one.attach(end)
    await one.subscribe('n').ready
    await hub.dispatchEvent({ type: 'n', id: '2' })
    await hub.dispatchEvent({ type: 'n', id: '3' })
    assert.deepStrictEqual(ids(await first(events, 2)), ['2', '3'], 'at most once: not what came in between, nothing twice')
    await Promise.all([one.close(), hub.close()])
  })

  it('ends its clients in good order, with all that they were sent', async () => {
    const hub = open()
    const peer = await listen(join(hub), 'n')
    for (let i = 0; i < 500; i++) hub.dispatchEvent({ type: 'n', id: String(i), payload: 'x'.repeat(100) })
    const closed = hub.close()
    assert.strictEqual(hub.close(), closed)
    await peer.ended
    assert.strictEqual(peer.events.length, 500)
    await closed
    for (const call of [() => hub.dispatchEvent({ type: 'a' }), () => hub.subscribe('a'), () => hub.addEventListener('a', () => {}), () => hub.accept(pair()[0])]) {
      assert.throws(call, { code: 'ERR_ALKNET_CLOSED' })
    }
  })

  it('takes the connections of a server to its destination, and ends with it', async () => {
    const server = aServer()
    const hub = createEventHub(server, { authorize: all, destination: 'ALKNET-events' })
    const arrive = (destination) => {
      const [near, far] = pair()
      server.reserved.take('alknet-events', { take: (then) => then(near, { ...who('x'), destination }) })
      return { near, peer: new Peer(far) }
    }
    await listen(arrive('alknet-events:0').peer, 'a')
    assert(arrive('alknet-events:1').near.destroyed, 'nobody else would end it')
    assert.strictEqual(hub.clients, 1)
    server.emit('close')
    await hub.closed
    assert.deepStrictEqual([server.reserved.serves('alknet-events'), server.listenerCount('close')], [false, 0])
  })

  it('shares a server with others, but no name', async () => {
    const server = aServer()
    server.handle('alknet-x', () => {})
    const options = (destination) => ({ authorize: all, destination })
    const hubs = ['alknet-a', 'alknet-b:5'].map((name) => createEventHub(server, options(name)))
    assert(['alknet-a', 'alknet-b', 'alknet-x'].every((name) => server.reserved.serves(name)))
    assert(!server.reserved.serves('alknet-c'), 'nobody does, and nobody is asked')
    for (const name of ['alknet-a', 'alknet-b', 'alknet-x']) {
      assert.throws(() => createEventHub(server, options(name)), { code: 'ERR_ALKNET_OPTION', option: 'name', message: `name: ${name} has a handler` })
    }
    assert.strictEqual(server.listenerCount('close'), 2, 'of those that there are')
    await hubs[0].close()
    const again = createEventHub(server, options('alknet-a'))
    await hubs[0].close()
    assert(server.reserved.serves('alknet-a'), 'of the new one')
    await Promise.all([again.close(), hubs[1].close()])
  })

  it('refuses what cannot be', () => {
    for (const [server, options, option] of [
      [undefined, {}, 'server'], [{}, {}, 'server'], [new EventEmitter(), {}, 'server'],
      [null, { authorize: true }, 'authorize'], [null, { authorizeTimeout: 0 }, 'authorizeTimeout'], [null, { destination: 'web:80' }, 'destination'],
      [null, { destination: 1 }, 'destination'], [null, { maxClients: 0 }, 'maxClients'], [null, { maxClients: 65537 }, 'maxClients'], [null, { policy: 'x' }, 'policy'], [null, { stream: 1 }, 'stream'], [null, null, 'options']
    ]) assert.throws(() => createEventHub(server, options), { code: 'ERR_ALKNET_OPTION', option })
    const hub = open()
    assert.throws(() => hub.accept({}), { code: 'ERR_ALKNET_OPTION', option: 'stream' })
    assert.throws(() => hub.dispatchEvent({ type: '__x' }), { code: 'ERR_ALKNET_OPTION', option: 'type' })
    return hub.close()
  })
})
