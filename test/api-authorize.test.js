'use strict'

const assert = require('assert')
const { once } = require('events')
const alknet = require('..')
const { startServer } = require('./helpers/api')
const { echoServer, expectEcho } = require('./helpers/net')
const { connectSsh2 } = require('./helpers/ssh2')
const { testScope } = require('./helpers/scope')

const AUTH = { code: 'ERR_ALKNET_AUTH' }
const REFUSED = { code: 'ERR_ALKNET_CHANNEL', reason: 1, message: /not authorized/ }

/** A server whose authorize() is that; lines: its log; asked: what it was asked. */
async function start (scope, authorize, options = {}) {
  const lines = []
  const asked = []
  const made = await startServer(scope, {
    authorize: (request) => {
      asked.push(request)
      return authorize(request)
    },
    onConnection: (stream) => stream.end(),
    log: { write: (line) => lines.push(line) },
    ...options
  })
  const reasons = () => lines.filter((line) => line.includes('auth attempt')).map((line) => /(?:reason|result)=(?!reject)(\S+)/.exec(line)[1])
  return { ...made, lines, asked, reasons, stranger: (more) => made.login({ identity: made.keys.stranger.privateKey, ...more }) }
}

const keysOnly = (decide) => (request) => request.kind === 'key' ? decide(request) : true

for (const sshEngine of alknet.versions.engines) {
  describe(`authorize(), ${sshEngine}`, () => {
    const scope = testScope()

    it('lets a key in that no file knows, with what it says', async () => {
      const s = await start(scope, keysOnly(async ({ identity }) => identity === null ? { scopes: ['guest'], forwarding: false } : true), { sshEngine })
      const session = await s.stranger({ user: 'somebody' })
      const [{ identity }] = s.server.sessions()
      assert.deepStrictEqual([identity.id, identity.scopes], [s.keys.stranger.fingerprint, ['guest']])
      await assert.rejects(session.open({ host: '127.0.0.1', port: 1 }), { reason: 1, message: /no-port-forwarding/ })
      const { kind, user, key, certificate, remoteAddress, remotePort, transport, signal } = s.asked[0]
      assert.deepStrictEqual([kind, user, key.fingerprint, key.type, certificate, remoteAddress, transport, signal.aborted],
        ['key', 'somebody', s.keys.stranger.fingerprint, 'ssh-ed25519', null, '127.0.0.1', 'tcp', false])
      assert.deepStrictEqual(key.blob, alknet.parsePublicKey(s.keys.stranger.publicKey).blob)
      assert(remotePort > 0 && Object.isFrozen(s.asked[0]))
      assert.strictEqual(s.asked.filter((one) => one.kind === 'key').length, 1, 'once for each login, whatever the client asks before')
    })

    it('can refuse a key that a file knows', async () => {
      const s = await start(scope, () => false, { sshEngine })
      await assert.rejects(s.login(), AUTH)
      assert.deepStrictEqual(s.reasons(), ['authorize_refused'])
      assert.strictEqual(s.asked[0].identity.id, s.keys.user.fingerprint)
    })

    it('has a say in channels, each of them', async () => {
      const echo = await echoServer(scope)
      const s = await start(scope, async ({ kind, host, port }) => kind === 'key' || (host === '127.0.0.1' ? port === echo.port : host === 'alknet-yes'), { sshEngine })
      const session = await s.login()
      await expectEcho(await session.open({ host: '127.0.0.1', port: echo.port }))
      ;(await session.open({ host: 'alknet-yes', port: 0 })).destroy()
      for (const target of [{ host: '127.0.0.1', port: 1 }, { host: 'alknet-no', port: 0 }, { host: 'localhost', port: echo.port }]) await assert.rejects(session.open(target), REFUSED)
      const { kind, identity, user, host, port } = s.asked.find((one) => one.kind === 'channel')
      assert.deepStrictEqual([kind, identity.id, user, host, port], ['channel', s.keys.user.fingerprint, 'alknet', '127.0.0.1', echo.port])
    })

    it('waits no longer than the login may take', async () => {
      let signalOf
      const asked = new Promise((resolve) => { signalOf = resolve })
      const s = await start(scope, keysOnly(({ signal }) => {
        signalOf(signal)
        return new Promise(() => {})
      }), { sshEngine, loginGrace: 1, authorizeTimeout: 60 })
      await assert.rejects(s.login())
      const signal = await asked
      if (!signal.aborted) await once(signal, 'abort')
      assert.strictEqual(signal.reason.code, 'ERR_ALKNET_CANCELED')
      assert.strictEqual(s.server._authorize._asked.key, 0)
    })
  })
}

describe('authorize()', () => {
  const scope = testScope()

  it('is not asked about what files and rules refuse', async () => {
    const s = await start(scope, () => true, { forwarding: { rules: ['deny 127.0.0.1:1', 'deny alknet-no:*', 'deny *.example:*'] } })
    await s.server.reloadAll({ revokedKeys: Buffer.from(s.keys.stranger.publicKey) })
    await assert.rejects(s.stranger(), AUTH)
    assert.deepStrictEqual([s.asked, s.reasons().every((one) => one === 'key_revoked')], [[], true])
    const session = await s.login()
    s.asked.length = 0
    for (const [host, port] of [['127.0.0.1', 1], ['169.254.169.254', 80], ['a.example', 1], ['alknet-no', 1]]) {
      await assert.rejects(session.open({ host, port }), { reason: 1, message: /denied|deny/ }, host)
    }
    await assert.rejects(session.open({ path: '/run/x.sock' }), { reason: 1, message: /Unix sockets are denied/ })
    assert.deepStrictEqual(s.asked, [])
  })

  it('cannot allow more than the rules: its yes comes before the look-up', async () => {
    const s = await start(scope, () => true, { forwarding: { rules: 'deny loopback' } })
    const session = await s.login()
    await assert.rejects(session.open({ host: 'localhost', port: 80 }), { reason: 1, message: /denied by a rule/ })
    assert.strictEqual(s.asked.at(-1).host, 'localhost')
  })

  it('can only take away from a key that a file knows', async () => {
    const line = (keys) => Buffer.from(`scopes="a,b",no-port-forwarding ${keys.user.publicKey}`)
    const s = await start(scope, keysOnly(() => ({ scopes: ['b', 'c'], forwarding: true })))
    await s.server.reloadAll({ authorizedKeys: line(s.keys) })
    const session = await s.login()
    assert.deepStrictEqual(s.server.sessions()[0].identity.scopes, ['b'])
    await assert.rejects(session.open({ host: '127.0.0.1', port: 1 }), { reason: 1, message: /no-port-forwarding/ })
  })

  it('says no by everything but true and an object it may give', async () => {
    const answers = [undefined, null, false, 0, 1, 'yes', 'true']
    const bad = [{ scope: [] }, { scopes: 'a' }, { scopes: ['a b'] }, { scopes: ['a,b'] }, { scopes: [''] }, { forwarding: 1 }, { id: 'root' }, [true]]
    let answer
    const s = await start(scope, () => answer, { maxAuthAttempts: 1000 })
    for (answer of answers) await assert.rejects(s.stranger(), AUTH, String(answer))
    assert.deepStrictEqual(s.reasons(), answers.map(() => 'authorize_refused'))
    for (answer of bad) await assert.rejects(s.stranger(), AUTH, JSON.stringify(answer))
    assert.deepStrictEqual(s.reasons().slice(answers.length), bad.map(() => 'authorize_failed'))
    answer = true
    const session = await s.login()
    for (answer of [...answers, ...bad, {}]) await assert.rejects(session.open({ host: 'alknet-x', port: 1 }), REFUSED, JSON.stringify(answer))
  })

  it('says no when it fails or is late, and the client goes on', async () => {
    const fails = [() => { throw new Error('x') }, async () => { throw Object.assign(new Error('y'), { code: 'EWHY' }) }, () => ({ then () { throw new Error('z') } })]
    let answer
    const s = await start(scope, () => answer(), { authorizeTimeout: 1 })
    for (answer of fails) await assert.rejects(s.stranger(), AUTH)
    assert(s.lines.some((line) => line === 'WARN authorize failed kind=key error=Error'))
    answer = () => new Promise(() => {})
    await assert.rejects(s.stranger(), AUTH)
    assert.deepStrictEqual(s.reasons(), ['authorize_failed', 'authorize_failed', 'authorize_failed', 'authorize_timeout'])
    assert.strictEqual(s.asked.at(-1).signal.reason.code, 'ERR_ALKNET_TIMEOUT')
    answer = () => true
    const session = await s.login()
    answer = fails[0]
    await assert.rejects(session.open({ host: 'alknet-x', port: 1 }), REFUSED)
    answer = () => new Promise(() => {})
    await assert.rejects(session.open({ host: 'alknet-x', port: 1 }), REFUSED)
    answer = () => true
    ;(await session.open({ host: 'alknet-x', port: 1 })).destroy()
  })

  it('is asked about so many at once, and no more', async () => {
    const s = await start(scope, keysOnly(() => true))
    const session = await s.login()
    s.server._authorize._asked.channel = 1024
    await assert.rejects(session.open({ host: 'alknet-x', port: 1 }), { reason: 4 })
    s.server._authorize._asked.channel = 0
    s.server._authorize._asked.key = 1024
    await assert.rejects(s.stranger(), AUTH)
    assert.strictEqual(s.reasons().at(-1), 'authorize_busy')
    ;(await session.open({ host: 'alknet-x', port: 1 })).destroy() // those inside do not wait for those outside
    s.server._authorize._asked.key = 0
  })

  it('does not outlive a revocation', async () => {
    let revoke
    const s = await start(scope, keysOnly(() => revoke()))
    revoke = () => s.server.reloadAll({ revokedKeys: Buffer.from(s.keys.stranger.publicKey) }).then(() => true)
    await assert.rejects(s.stranger(), AUTH)
    assert.strictEqual(s.reasons().at(-1), 'key_revoked')
    revoke = () => s.server.reloadAll({ authorizedKeys: [] }).then(() => true)
    await assert.rejects(s.login(), AUTH)
    assert.strictEqual(s.reasons().at(-1), 'unknown_key', 'its yes was to a key of a file')
  })

  it('forgets a channel whose client has closed it', async () => {
    let ask
    const asked = new Promise((resolve) => { ask = resolve })
    const s = await start(scope, ({ kind, signal }) => {
      if (kind === 'key') return true
      ask(signal)
      return new Promise(() => {})
    })
    const session = await s.login()
    const opening = session.open({ host: 'alknet-x', port: 1 })
    opening.catch(() => {})
    const signal = await asked
    session.close()
    if (!signal.aborted) await once(signal, 'abort')
    await assert.rejects(opening)
    assert.strictEqual(s.server._authorize._asked.channel, 0)
  })

  it('is asked by clients of others, too', async () => {
    const s = await start(scope, keysOnly(({ user }) => user === 'guest'))
    const { port } = s.server.address()
    const identity = { private: s.keys.stranger.privateKey }
    await connectSsh2(scope, { host: '127.0.0.1', port, user: 'guest' }, { identity })
    await assert.rejects(connectSsh2(scope, { host: '127.0.0.1', port, user: 'other' }, { identity }), /authentication methods failed/)
  })

  it('is a function, with a time limit', async () => {
    for (const [option, value] of [['authorize', true], ['authorizeTimeout', 0], ['authorizeTimeout', '2d'], ['maxPending', 0]]) {
      await assert.rejects(startServer(scope, { [option]: value }), { code: 'ERR_ALKNET_OPTION', option }, `${option}: ${value}`)
    }
  })
})
