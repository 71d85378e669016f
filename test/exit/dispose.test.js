'use strict'

/** Symbol.asyncDispose, which `await using` calls, of everything that can be closed. */

const assert = require('node:assert')
const alknet = require('../..')
const binding = require('../../lib/binding')
const { needAlknet } = require('../helpers/alknet')
const { testScope } = require('../helpers/scope')
const { twoKeys } = require('../streams/pairs')

const turn = () => new Promise((resolve) => setImmediate(resolve))

describe('Symbol.asyncDispose', () => {
  const scope = testScope()
  before(function () { needAlknet(this) })

  async function openAll () {
    const { host, user } = await twoKeys()
    const server = await alknet.serve({
      hostKey: host.privateKey,
      authorizedKeys: Buffer.from(user.publicKey),
      listen: '127.0.0.1:0',
      onConnection: (stream) => stream.resume()
    })
    scope.defer(() => server.close())
    const session = await alknet.openSession({
      server: `127.0.0.1:${server.address().port}`,
      identity: user.privateKey,
      hostKey: host.fingerprint,
      knownHosts: []
    })
    scope.defer(() => session.close())
    return {
      Server: server,
      Session: session,
      Stream: await session.open({ host: 'alknet-test', port: 1 }),
      'a SOCKS proxy': await session.socks5({ socks5: '127.0.0.1:0' }),
      'a forward': await session.forwardLocal('0:127.0.0.1:1'),
      'a remote forward': await session.forwardRemote('0:127.0.0.1:1'),
      'a remote listener': await session.listen({ host: '127.0.0.1', port: 0 })
    }
  }

  for (const name of ['Stream', 'a SOCKS proxy', 'a forward', 'a remote forward', 'a remote listener', 'Session', 'Server']) {
    it(`${name}: closed when it resolves`, async () => {
      const all = await openAll()
      const one = all[name]
      await one[Symbol.asyncDispose]()
      // A stream is Node's: the second time it tells that it was cut off.
      if (name === 'Stream') assert(one.closed)
      else await Promise.all([one.closed, one[Symbol.asyncDispose]()])
      // The others are as they were.
      if (name !== 'Session' && name !== 'Server') (await all.Session.open({ host: 'alknet-test', port: 2 })).destroy()
    })
  }

  it('all of it, the last first, leaves nothing', async () => {
    const before = binding.live()
    const all = Object.values(await openAll()).reverse()
    for (const one of all) await one[Symbol.asyncDispose]()
    while (binding.live() > before) await turn()
  })
})
