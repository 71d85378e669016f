'use strict'

const assert = require('assert')
const { once } = require('events')
const alknet = require('..')
const { startServer, textOf } = require('./helpers/api')
const { closed } = require('./helpers/net')
const { testScope } = require('./helpers/scope')

const CLOSED = { code: 'ERR_ALKNET_CLOSED' }
const REFUSED = { code: 'ERR_ALKNET_CHANNEL', reason: 1 }
const OPTION = (option) => ({ code: 'ERR_ALKNET_OPTION', option })

for (const sshEngine of alknet.versions.engines) {
  describe(`a server, ${sshEngine}`, () => {
    const scope = testScope()

    it('serves names by handlers, before anybody else', async () => {
      const { server, login } = await startServer(scope, { sshEngine, onConnection: (stream, { destination }) => stream.end(`rest ${destination}`) })
      const remove = server.handle('alknet-Echo', (stream, info) => {
        assert.deepStrictEqual(Object.keys(info).sort(), ['destination', 'identity', 'remoteAddress', 'remotePort', 'transport', 'user'])
        stream.end(`echo ${info.destination}`)
      })
      const session = await login()
      const ask = async (host, port) => textOf(await session.open({ host, port }))
      assert.deepStrictEqual(await Promise.all([ask('alknet-echo', 7), ask('ALKNET-echo', 0), ask('alknet-other', 1)]),
        ['echo alknet-echo:7', 'echo alknet-echo:0', 'rest alknet-other:1'])
      assert.throws(() => server.handle('alknet-echo', () => {}), OPTION('name'))
      remove()
      assert.strictEqual(await ask('alknet-echo', 7), 'rest alknet-echo:7')
      server.handle('alknet-echo', (stream) => stream.end('again'))
      remove() // of what is another's now
      assert.strictEqual(await ask('alknet-echo', 7), 'again')
    })

    it('gives a loop what nobody else takes, and only while there is one', async () => {
      const { server, login } = await startServer(scope, { sshEngine, maxPending: 1 })
      const session = await login()
      await assert.rejects(session.open({ host: 'alknet-a', port: 1 }), REFUSED)
      const loop = server[Symbol.asyncIterator]()
      const next = loop.next()
      const near = await session.open({ host: 'alknet-a', port: 1 })
      const { value: { stream, info } } = await next
      assert.strictEqual(info.destination, 'alknet-a:1')
      stream.end('by hand')
      assert.strictEqual(await textOf(near), 'by hand')

      const waiting = session.open({ host: 'alknet-b', port: 2 })
      await assert.rejects(session.open({ host: 'alknet-c', port: 3 }), { code: 'ERR_ALKNET_CHANNEL', reason: 4, message: /maxPending/ })
      const refused = assert.rejects(waiting, REFUSED)
      await loop.return()
      await refused
      await assert.rejects(session.open({ host: 'alknet-a', port: 1 }), REFUSED)
    })

    it('knows its sessions', async () => {
      const { server, login, keys } = await startServer(scope, { sshEngine })
      const seen = []
      server.on('session', (one) => seen.push(one))
      const first = await login({ user: 'one' })
      const second = await login({ user: 'two' })
      assert.deepStrictEqual(server.sessions(), seen)
      assert.deepStrictEqual(seen.map(({ id, user, identity, remoteAddress, transport }) => [id, user, identity.id, remoteAddress, transport]),
        [1, 2].map((id) => [id, ['one', 'two'][id - 1], keys.user.fingerprint, '127.0.0.1', 'tcp']))
      await seen[0].close()
      await Promise.all([first.closed, seen[0].closed])
      assert.strictEqual(first.error.code, 'ERR_ALKNET_LOST')
      assert.deepStrictEqual(server.sessions(), [seen[1]])
      assert.strictEqual(second.state, 'ready')
      await seen[0].close()
    })

    it('lets the channels of a session end first', async () => {
      const { server, login } = await startServer(scope, { sshEngine })
      let far
      server.handle('alknet-wait', (stream) => { far = stream.resume() })
      const session = await login()
      const near = await session.open({ host: 'alknet-wait', port: 1 })
      const [one] = server.sessions()
      assert.strictEqual(one.channels, 1)
      const closing = one.close({ drainMs: 60_000 })
      far.end('the last word')
      assert.strictEqual(await textOf(near), 'the last word')
      near.end()
      await closing
    })
  })
}

describe('a server', () => {
  const scope = testScope()

  it('ends just the stream of a handler that fails, and says so', async () => {
    const lines = []
    const { server, login } = await startServer(scope, { log: { write: (line) => lines.push(line) } })
    server.handle('alknet-throws', () => { throw new RangeError('by a handler') })
    server.handle('alknet-rejects', async () => { throw Object.assign(new Error('later'), { code: 'EWHY' }) })
    server.handle('alknet-good', (stream) => stream.end('good'))
    const session = await login()
    const warning = once(process, 'warning')
    await closed((await session.open({ host: 'alknet-throws', port: 1 })).resume())
    assert.match((await warning)[0].message, /by a handler/)
    const told = once(server, 'error').catch((err) => [err])
    await closed((await session.open({ host: 'alknet-rejects', port: 1 })).resume())
    assert.strictEqual((await told)[0].code, 'EWHY')
    assert.strictEqual(await textOf(await session.open({ host: 'alknet-good', port: 1 })), 'good')
    assert.deepStrictEqual(lines.filter((line) => line.includes('handler failed')), ['ERROR handler failed error=RangeError', 'ERROR handler failed error=EWHY'])
  })

  it('takes no handler that is none', async () => {
    const { server } = await startServer(scope)
    for (const name of [undefined, 5, '', 'echo', 'alknet-', 'alknet-a b', 'alknet-a:1']) assert.throws(() => server.handle(name, () => {}), OPTION('name'), String(name))
    assert.throws(() => server.handle('alknet-x', 'fn'), OPTION('handler'))
    await server.close()
    assert.throws(() => server.handle('alknet-x', () => {}), CLOSED)
  })

  it('ends its loops when it is closed', async () => {
    const { server } = await startServer(scope)
    const loop = server[Symbol.asyncIterator]()
    const next = loop.next()
    await server.close()
    assert.deepStrictEqual([await next, await loop.next()], Array(2).fill({ value: undefined, done: true }))
  })

  it('takes another policy over, and leaves the rest', async () => {
    const { server, login } = await startServer(scope, { maxChannels: 5 })
    const session = await login()
    server.handle('alknet-x', (stream) => stream.end())
    await server.reloadForwarding({ rules: 'deny alknet-x:*' })
    await assert.rejects(session.open({ host: 'alknet-x', port: 1 }), REFUSED)
    for (const wrong of [undefined, null, 'x', { rules: 'no' }, { rule: [] }]) {
      await assert.rejects(server.reloadForwarding(wrong), { code: 'ERR_ALKNET_OPTION' }, String(wrong))
    }
    await assert.rejects(session.open({ host: 'alknet-x', port: 1 }), REFUSED, 'nothing has changed')
    await server.reloadForwarding({})
    ;(await session.open({ host: 'alknet-x', port: 1 })).destroy()
    await server.reloadAll({ forwarding: { rules: 'deny alknet-x:*' } })
    await assert.rejects(session.open({ host: 'alknet-x', port: 1 }), REFUSED)
    await server.reloadAll({ maxSessions: 9 }) // keeps what reloadForwarding() or reloadAll() has set
    await assert.rejects(session.open({ host: 'alknet-x', port: 1 }), REFUSED)
  })

  it('changes nothing in a reload that was aborted', async () => {
    const { server, keys, login } = await startServer(scope)
    const controller = new AbortController()
    const { signal } = controller
    const file = scope.file('authorized_keys', keys.stranger.publicKey)
    const all = { hostKey: keys.host.privateKey, authorizedKeys: file }
    const running = server.reloadAll(() => { controller.abort(); return all }, { signal })
    const canceled = { code: 'ERR_ALKNET_CANCELED' }
    await assert.rejects(running, canceled)
    await assert.rejects(server.reloadAll(all, { signal }), canceled)
    await assert.rejects(server.reloadForwarding({ default: 'deny' }, { signal }), canceled)
    await assert.rejects(server.reloadAuth({ signal }), canceled)
    await assert.rejects(server.reloadTls({ signal }), canceled)
    for (const wrong of [null, 5, { signal: 5 }, { singal: signal }]) await assert.rejects(server.reloadAuth(wrong), { code: 'ERR_ALKNET_OPTION' })
    await login() // with the key of before
  })

  it('closes nothing for a time that is none', async () => {
    const { server, login } = await startServer(scope)
    const session = await login()
    for (const wrong of [null, 5, { drainMs: -1 }, { drainMs: 1.5 }, { drainMs: '5' }, { drainMs: 86400001 }, { drain: 5 }]) {
      for (const one of [session, server, server.sessions()[0]]) await assert.rejects(one.close(wrong), { code: 'ERR_ALKNET_OPTION' }, JSON.stringify(wrong))
    }
    assert.strictEqual(session.state, 'ready')
    await server.close({ drainMs: 10 })
  })

  it('reads keys anew after what was asked before, and not once it is closed', async () => {
    const { login, server, keys } = await startServer(scope)
    const file = scope.file('authorized_keys', keys.user.publicKey)
    await server.reloadAll({ authorizedKeys: file })
    require('fs').writeFileSync(file, keys.stranger.publicKey)
    const [slow, quick] = [server.reloadAll(() => new Promise(setImmediate).then(() => ({ hostKey: keys.host.privateKey, authorizedKeys: file }))), server.reloadAuth()]
    await Promise.all([slow, quick])
    await login({ identity: keys.stranger.privateKey })
    await assert.rejects(login(), { code: 'ERR_ALKNET_AUTH' })
    require('fs').rmSync(file)
    await assert.rejects(server.reloadAuth(), { code: 'ENOENT' })
    await login({ identity: keys.stranger.privateKey })
    await server.close()
    for (const call of [server.reloadAuth(), server.reloadAll(), server.reloadForwarding({})]) await assert.rejects(call, CLOSED)
  })
})
