'use strict'

/** The event bus over real sessions, on each engine. */

const assert = require('assert')
const { execFile } = require('child_process')
const fs = require('fs')
const path = require('path')
const alknet = require('..')
const { first } = require('./helpers/events')
const { key } = require('./helpers/keys')
const { start } = require('./helpers/proc')
const { testScope } = require('./helpers/scope')

const root = path.join(__dirname, '..')

for (const sshEngine of alknet.versions.engines) {
  describe(`Events over sessions (${sshEngine})`, function () {
    this.timeout(60_000)
    const scope = testScope()
    const common = { sshEngine, ...(sshEngine === 'native' && { windowMax: 1024 ** 2 }) }
    let host, users

    before(async () => {
      host = await alknet.generateKey()
      users = await Promise.all(['a', 'b'].map(() => alknet.generateKey()))
    })

    /** A server with a hub, and what its clients need. */
    async function serve (scopes, options) {
      const server = await alknet.serve({
        ...common,
        hostKey: host.privateKey,
        authorizedKeys: Buffer.from(users.map((user) => `scopes="${scopes}" ${user.publicKey}\n`).join('')),
        listen: '127.0.0.1:0'
      })
      scope.defer(() => server.close())
      const hub = alknet.createEventHub(server, options)
      const connect = (user = users[0]) => alknet.connect({
        ...common, server: `127.0.0.1:${server.address().port}`, identity: user.privateKey, hostKey: host.fingerprint
      })
      return { server, hub, connect }
    }

    async function join ({ connect }, user, options) {
      const stream = await connect(user)
      const target = alknet.createEventTarget({ stream, ...options })
      scope.defer(async () => {
        await target.close()
        await stream.session.close()
      })
      return { target, stream }
    }

    it('passes events between clients, as far as their scopes go', async () => {
      const s = await serve('topics:publish:orders.*,topics:subscribe:orders.>')
      const [{ target: a }, { target: b }] = [await join(s, users[0]), await join(s, users[1])]
      const events = b.subscribe('orders.*')
      const own = new Promise((resolve) => s.hub.addEventListener('>', resolve, { once: true }))
      await events.ready
      for (let i = 0; i < 2000; i++) await a.dispatchEvent({ type: 'orders.new', id: String(i), payload: { text: 'é'.repeat(50) } })
      const got = await first(events, 2000)
      assert.deepStrictEqual(got.map(({ id }) => id), Array.from({ length: 2000 }, (_, i) => String(i)))
      assert.deepStrictEqual(got[0], { type: 'orders.new', id: '0', payload: { text: 'é'.repeat(50) } })
      assert.strictEqual((await own).identity.id, users[0].fingerprint)
      await assert.rejects(b.subscribe('users.*').ready, { code: 'ERR_ALKNET_AUTH' })
      await s.hub.close()
      await Promise.all([a.closed, b.closed])
      assert.deepStrictEqual([a.error, b.error], [null, null])
    })

    it('carries large events, and refuses larger ones on this side', async () => {
      const s = await serve('topics:publish:>,topics:subscribe:>')
      const [{ target: a }, { target: b }] = [await join(s), await join(s)]
      const events = b.subscribe('n')
      await events.ready
      const payload = 'x'.repeat(1024 ** 2 - 100)
      for (let i = 0; i < 8; i++) await a.dispatchEvent({ type: 'n', id: String(i), payload })
      assert.deepStrictEqual((await first(events, 8)).map(({ id, payload: { length } }) => [id, length]), Array.from({ length: 8 }, (_, i) => [String(i), payload.length]))
      assert.throws(() => a.dispatchEvent({ type: 'n', payload: 'x'.repeat(1024 ** 2) }), { code: 'ERR_ALKNET_LIMIT' })
    })

    it('a subscriber that stops holds the publisher back (block), and gets everything', async () => {
      const s = await serve('topics:publish:>,topics:subscribe:>', { policy: 'block', maxQueue: 4 })
      const [{ target: a }, { target: b }] = [await join(s, users[0], { maxQueue: 4 }), await join(s)]
      const events = b.subscribe('n', { maxQueue: 1 })
      await events.ready
      const payload = 'x'.repeat(256 * 1024)
      const count = 48 // more than all windows and buffers on the way hold
      let sent = 0
      const sending = (async () => {
        for (let i = 0; i < count; i++) {
          await a.dispatchEvent({ type: 'n', id: String(i), payload })
          sent++
        }
      })()
      const isHeld = () => a._queue._waiting.length > 0 && b._link._isHeld &&
        [...s.hub._clients].some(({ queue }) => queue._waiting.length > 0)
      while (!await Promise.race([sending.then(() => true), new Promise((resolve) => setImmediate(() => resolve(isHeld())))]));
      assert(sent < count)
      assert.deepStrictEqual((await first(events, count)).map(({ id }) => Number(id)), Array.from({ length: count }, (_, i) => i))
      await sending
    })

    it('goes on with a new session when the old one is lost', async () => {
      const s = await serve('topics:subscribe:>')
      const target = alknet.createEventTarget({ reattach: true })
      scope.defer(() => target.close())
      const events = target.subscribe('n')
      for (const id of ['1', '2', '3']) {
        const stream = await s.connect()
        const detached = new Promise((resolve) => target.addEventListener('__detached', resolve, { once: true }))
        target.attach(stream)
        await target.subscribe('n').ready
        await s.hub.dispatchEvent({ type: 'n', id })
        assert.strictEqual((await events.next()).value.id, id)
        await stream.session.close()
        await detached
      }
      assert.strictEqual(target.error, null)
    })

    it('goes on with its session, without anything twice, and tells of the gap', async () => {
      const s = await serve('topics:publish:>,topics:subscribe:>')
      const open = (user) => alknet.openSession({
        ...common, server: `127.0.0.1:${s.server.address().port}`, identity: user.privateKey, hostKey: host.fingerprint, reconnect: { minDelayMs: 1, maxDelayMs: 10 }
      })
      const [one, two] = await Promise.all(users.map(open))
      scope.defer(() => Promise.all([one.close(), two.close()]))
      const [reader, writer] = [one, two].map((session) => alknet.createEventTarget({ session }))
      const told = []
      for (const type of ['__attached', '__detached']) reader.addEventListener(type, ({ payload }) => told.push([type, payload.gap]))
      const events = reader.subscribe('n')
      const heard = []
      reader.addEventListener('n', ({ id }) => heard.push(id))
      await events.ready
      for (const id of ['1', '2', '3']) {
        await s.hub.dispatchEvent({ type: 'n', id })
        assert.strictEqual((await events.next()).value.id, id)
        // The writer is lost, and what it says meanwhile comes once it is back.
        for (const session of s.server.sessions()) session.close()
        const again = new Promise((resolve) => reader.addEventListener('__attached', resolve, { once: true }))
        await Promise.all([one, two].map((session) => session.state === 'lost' || new Promise((resolve) => session.once('state', resolve))))
        await again
        await reader.subscribe('n').ready
        await writer.dispatchEvent({ type: 'n', id: `${id} from a client` })
        assert.strictEqual((await events.next()).value.id, `${id} from a client`)
      }
      assert.deepStrictEqual(heard, ['1', '1 from a client', '2', '2 from a client', '3', '3 from a client'])
      assert.deepStrictEqual(told, [['__attached', false], ...Array(3).fill([['__detached', undefined], ['__attached', true]]).flat()])
      assert.strictEqual(s.hub.clients, 2)
      await one.close()
      await reader.closed
      assert.deepStrictEqual([reader.error, writer.error, writer.isAttached], [null, null, true])
      await writer.close()
      assert.strictEqual(two.state, 'ready', 'its session is not its own')
    })

    it('is over with a session whose server takes no events, and with one that is lost', async () => {
      const s = await serve('topics:publish:>')
      const session = await alknet.openSession({ ...common, server: `127.0.0.1:${s.server.address().port}`, identity: users[0].privateKey, hostKey: host.fingerprint })
      scope.defer(() => session.close())
      const wrong = alknet.createEventTarget({ session, destination: '127.0.0.1:1' })
      await wrong.closed
      assert.strictEqual(wrong.error.code, 'ERR_ALKNET_CHANNEL')
      const target = alknet.createEventTarget({ session })
      await new Promise((resolve) => target.addEventListener('__attached', resolve))
      s.server.sessions()[0].close()
      await target.closed
      assert.strictEqual(target.error, session.error)
      for (const options of [{ session }, { session: {} }, { session, stream: 1 }, { destination: 'a:1', reattach: true }]) {
        assert.throws(() => alknet.createEventTarget(options), { code: 'ERR_ALKNET_OPTION' })
      }
    })

    it('ends with the server', async () => {
      const s = await serve('topics:subscribe:>')
      const { target } = await join(s)
      const events = target.subscribe('n')
      await events.ready
      await s.server.close()
      await s.hub.closed
      await target.closed
      // Whether a disconnection ends its channels in good order is the engine's affair.
      const end = await events.next().catch((err) => err)
      assert(target.error === null ? end.done : end === target.error)
      if (target.error !== null) assert.strictEqual(target.error.code, 'ERR_ALKNET_LOST')
    })

    it('needs a scope: a client without one is refused, not ended', async () => {
      const s = await serve('db')
      const { target } = await join(s)
      await assert.rejects(target.subscribe('n').ready, { code: 'ERR_ALKNET_AUTH' })
      await assert.rejects(target.subscribe('m').next(), { code: 'ERR_ALKNET_AUTH' })
      assert.strictEqual(target.error, null)
    })
  })
}

describe('examples/pubsub', function () {
  this.timeout(60_000)
  const scope = testScope()

  it('runs in two processes', async () => {
    const [host, user] = [key('ed25519', 'host'), key('ed25519', 'user')]
    const authorized = scope.file('authorized_keys', `scopes="topics:publish:orders.*,topics:subscribe:orders.>" ${user.public}\n`)
    const script = (name) => path.join(root, 'examples/pubsub', name)
    const hub = start(scope, process.execPath, [script('hub.js'), host.path, authorized])
    const [, port] = await hub.waitFor(/listening on 127\.0\.0\.1:(\d+)/)
    const args = [`127.0.0.1:${port}`, host.fingerprint, user.path]
    const reader = start(scope, process.execPath, [script('client.js'), ...args, 'subscribe', 'orders.*', '3'])
    await reader.waitFor(/subscribed to orders\.\*/)
    const writer = start(scope, process.execPath, [script('client.js'), ...args, 'publish', 'orders.new', 'one', 'two', 'three'])
    assert.deepStrictEqual(await writer.exited.then(({ code, stderr }) => [code, stderr]), [0, ''])
    const { code, stdout, stderr } = await reader.exited
    assert.deepStrictEqual([code, stderr], [0, ''])
    assert.deepStrictEqual(stdout.split('\n'), ['subscribed to orders.*', 'orders.new one', 'orders.new two', 'orders.new three', ''])
    const refused = start(scope, process.execPath, [script('client.js'), ...args, 'subscribe', 'users.*', '1'])
    assert.deepStrictEqual(await refused.exited.then(({ code, stderr }) => [code, stderr]), [1, 'not allowed to subscribe to users.* (ERR_ALKNET_AUTH)\n'])
    hub.kill('SIGTERM')
    assert.strictEqual((await hub.exited).code, 0)
  })
})

describe('docs/events.md', function () {
  this.timeout(60_000)
  const page = () => fs.readFileSync(path.join(root, 'docs/events.md'), 'utf8')

  it("'s example runs", async () => {
    const code = page().split('## A whole example')[1].match(/```js\n([^]*?)```/)[1]
    const file = testFile(code.replace("require('alknet')", `require(${JSON.stringify(root)})`))
    const output = await new Promise((resolve, reject) => execFile(process.execPath, [file], { timeout: 15_000 },
      (err, stdout, stderr) => err ? reject(new Error(`${err.message}\n${stderr}`)) : resolve(stdout)))
    assert.strictEqual(output, 'orders.new { total: 5 }\n')
  })

  const scope = testScope()
  const testFile = (text) => scope.file('example.js', text)

  it('has every option with its default and limits', () => {
    const { TABLES } = require('../lib/events/options')
    for (const name of new Set(Object.values(TABLES).flatMap(Object.keys))) assert.match(page(), new RegExp('`' + name + '`'), name)
    const rows = new Map([...page().matchAll(/^\| `(\w+)` \| `([^`]*)` \|/gm)].map(([, name, byDefault]) => [name, byDefault]))
    const defaults = Object.entries({ ...TABLES.hub, ...TABLES.target }).filter(([, row]) => typeof row[1] === 'number')
    assert(defaults.length > 8)
    for (const [name, [, byDefault]] of defaults) assert.strictEqual(rows.get(name), String(byDefault), name)
  })
})
