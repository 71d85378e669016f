'use strict'

/** Whatever has failed, the same options, the same session and the same server work the next time. */

const assert = require('node:assert')
const net = require('node:net')
const { once } = require('node:events')
const alknet = require('../..')
const binding = require('../../lib/binding')
const { needAlknet } = require('../helpers/alknet')
const { freePort, listen } = require('../helpers/net')
const { suiteScope, testScope } = require('../helpers/scope')
const { twoKeys } = require('../streams/pairs')

const turn = () => new Promise((resolve) => setImmediate(resolve))

async function works (session) {
  const stream = await session.open({ host: 'alknet-echo', port: 1 })
  stream.write('x')
  await once(stream, 'data')
  stream.destroy()
}

describe('after a failure', function () {
  this.timeout(30000)
  const suite = suiteScope()
  const scope = testScope()
  let server = null
  let options = null
  let stranger = null

  before(async function () {
    needAlknet(this)
    const { host, user } = await twoKeys()
    stranger = await alknet.generateKey()
    server = await alknet.serve({
      hostKey: host.privateKey,
      authorizedKeys: Buffer.from(user.publicKey),
      listen: '127.0.0.1:0',
      onConnection: (stream) => stream.pipe(stream)
    })
    suite.defer(() => server.close())
    options = Object.freeze({
      server: `127.0.0.1:${server.address().port}`,
      identity: user.privateKey,
      hostKey: host.fingerprint,
      knownHosts: Object.freeze([])
    })
  })

  const LOGINS = {
    'nobody listens': [async () => ({ server: `127.0.0.1:${await freePort()}` }), 'ECONNREFUSED'],
    'another host key': [() => ({ hostKey: stranger.fingerprint }), 'ERR_ALKNET_HOSTKEY'],
    'a key that may not in': [() => ({ identity: stranger.privateKey }), 'ERR_ALKNET_AUTH'],
    'a key that is none': [() => ({ identity: Buffer.from('no key') }), 'ERR_ALKNET_KEY'],
    'an option that there is not': [() => ({ serve: 'x' }), 'ERR_ALKNET_OPTION'],
    'canceled before': [() => ({ signal: AbortSignal.abort() }), 'ERR_ALKNET_CANCELED'],
    'a server that is none': [async () => {
      const other = await listen(scope, (socket) => socket.end('220 mail\r\n'))
      return { server: `127.0.0.1:${other.port}` }
    }, /^ERR_ALKNET_|^E[A-Z]+$/],
    'the forward\'s port is taken': [async () => {
      const other = await listen(scope, (socket) => socket.destroy())
      return { forward: `${other.port}:127.0.0.1:1` }
    }, 'EADDRINUSE'],
    'the server may not listen there': [() => ({ remoteForward: '1:127.0.0.1:1' }), 'ERR_ALKNET_CHANNEL']
  }

  for (const [name, [change, code]] of Object.entries(LOGINS)) {
    it(`openSession(): ${name}`, async () => {
      const live = binding.live()
      const err = await alknet.openSession({ ...options, ...await change() }).then(() => null, (err) => err)
      assert(err instanceof alknet.AlknetError, String(err))
      if (code instanceof RegExp) assert.match(err.code, code)
      else assert.strictEqual(err.code, code)
      while (binding.live() > live) await turn()
      const session = await alknet.openSession(options)
      await works(session)
      await session.close()
    })
  }

  const CHANNELS = {
    'a target that refuses': async (session) => session.open({ host: '127.0.0.1', port: await freePort() }),
    'a target that is denied': (session) => session.open({ host: '169.254.169.254', port: 80 }),
    'a name that there is not': (session) => session.open({ host: 'nowhere.invalid', port: 80 }),
    'a port that is none': (session) => session.open({ host: 'a', port: 70000 }),
    'it was canceled': (session) => session.open({ host: 'alknet-echo', port: 1 }, { signal: AbortSignal.abort() }),
    'a forward that cannot listen': (session) => session.forwardLocal('192.0.2.1:1:a:1'),
    'a forward that is none': (session) => session.forwardLocal('x'),
    'a remote forward that may not': (session) => session.forwardRemote('1:a:1')
  }

  for (const [name, fails] of Object.entries(CHANNELS)) {
    it(`a session: ${name}`, async () => {
      const session = await alknet.openSession(options)
      scope.defer(() => session.close())
      const live = binding.live()
      await assert.rejects(fails(session), alknet.AlknetError)
      while (binding.live() > live) await turn()
      await works(session)
    })
  }

  it('a session that is lost: its end is told, a new one works', async () => {
    const relay = await listen(scope, (socket) => {
      const far = net.connect(server.address().port, '127.0.0.1')
      far.on('error', () => {})
      socket.pipe(far).pipe(socket)
      socket.on('close', () => far.destroy())
    })
    const session = await alknet.openSession({ ...options, server: `127.0.0.1:${relay.port}` })
    const stream = await session.open({ host: 'alknet-echo', port: 1 })
    for (const socket of relay.sockets) socket.resetAndDestroy()
    await session.closed
    assert(session.error.retryable, session.error)
    if (!stream.closed) await new Promise((resolve) => stream.once('close', resolve))
    for (const call of [() => session.open({ host: 'alknet-echo', port: 1 }), () => session.forwardLocal('0:a:1'), () => session.socks5({ socks5: '127.0.0.1:0' })]) {
      await assert.rejects(call(), { code: 'ERR_ALKNET_CLOSED' })
    }
    const again = await alknet.openSession(options)
    await works(again)
    await again.close()
  })

  it('serve() that failed: the same port, once it is free', async () => {
    const { host, user } = await twoKeys()
    const taken = await listen(suite, () => {})
    const serveOptions = { hostKey: host.privateKey, authorizedKeys: Buffer.from(user.publicKey), listen: `127.0.0.1:${taken.port}` }
    const live = binding.live()
    await assert.rejects(alknet.serve(serveOptions), { code: 'EADDRINUSE' })
    while (binding.live() > live) await turn()
    await new Promise((resolve) => taken.close(resolve))
    const second = await alknet.serve(serveOptions)
    await second.close()
    await (await alknet.serve(serveOptions)).close()
  })
})
