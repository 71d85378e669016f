'use strict'

/**
 * A server that is knocked at stays open for who has a key: counts, not times
 * (those are bench/noise.js's). The addresses are those of Linux's loopback.
 */

const assert = require('node:assert')
const net = require('node:net')
const { once } = require('node:events')
const { randomBytes } = require('node:crypto')
const { setTimeout: sleep } = require('node:timers/promises')
const alknet = require('..')
const { startServer } = require('./helpers/api')
const { testScope } = require('./helpers/scope')

const SOURCES = 20

describe('noise', function () {
  this.timeout(60000)
  const scope = testScope()

  before(function () {
    if (process.platform === 'linux') return
    console.log('      skipped: only Linux has all of 127.0.0.0/8 on its loopback')
    this.skip()
  })

  function knock (server, i) {
    const socket = net.connect({ port: server.address().port, host: '127.0.0.1', localAddress: `127.0.2.${1 + i % SOURCES}` })
    scope.defer(() => { socket.destroy() })
    return socket.on('error', () => {}).resume()
  }

  /** A session, by as many tries as it takes. */
  async function atLast (login) {
    for (;;) {
      const session = await login().catch(() => null)
      if (session !== null) return session
      await sleep(50)
    }
  }

  it('half-open logins that hold all places let somebody in who logs in', async () => {
    const { server, login } = await startServer(scope, { maxUnauthenticated: 10, loginGrace: 3600 })
    const holders = [...Array(200).keys()].map((i) => knock(server, i))
    await Promise.all(holders.map((socket) => once(socket, 'connect')))
    for (const socket of holders) socket.write('SSH-2.0-silent\r\n')
    while (server.stats().accepted + server.stats().refused.max_unauthenticated < 200) await sleep(10)
    // Who is silent for long may have had to go for another by now, on a slow machine.
    assert.ok(server.stats().refused.max_unauthenticated > 0)
    while (server.stats().clients > 10) await sleep(10)
    const session = await atLast(login)
    assert.ok(await session.rtt() > 0)
    assert.ok(server.stats().clients <= 11)
  })

  it('wrong keys close the door to where they come from, and to nobody else', async () => {
    const { server, login, keys } = await startServer(scope, { penalties: { authfail: 60, min: 15 } })
    const attempt = async (i) => {
      const stream = net.connect({ port: server.address().port, host: '127.0.0.1', localAddress: `127.0.2.${1 + i % SOURCES}` })
      await once(stream, 'connect')
      return alknet.openSession({ stream, identity: keys.stranger.privateKey, hostKey: keys.host.fingerprint, knownHosts: [] })
    }
    for (let round = 0; round < 5; round++) {
      const ends = await Promise.allSettled([...Array(SOURCES).keys()].map(attempt))
      assert.ok(ends.every(({ status }) => status === 'rejected'))
      while (server.connections > 0) await sleep(5)
    }
    const { rejected, refused, penalisedSources, logins } = server.stats()
    assert.deepStrictEqual([rejected.unknown_key, refused.penalty, penalisedSources, logins], [SOURCES, 4 * SOURCES, SOURCES, 0])
    assert.ok(await (await login()).rtt() > 0)
  })

  it('scanners, browsers and garbage leave nothing', async () => {
    const { server, login } = await startServer(scope, { penalties: false })
    const kinds = [
      (socket) => socket.destroy(),
      (socket) => socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n'),
      (socket) => socket.write(randomBytes(1024)),
      (socket) => socket.write(Buffer.concat([Buffer.from('SSH-2.0-x\r\n'), randomBytes(1024)])),
      (socket) => socket.end()
    ]
    const sockets = [...Array(100).keys()].map((i) => knock(server, i).once('connect', function () { kinds[i % kinds.length](this) }))
    assert.ok(await (await atLast(login)).rtt() > 0)
    await Promise.all(sockets.map((socket) => socket.closed || new Promise((resolve) => socket.once('close', resolve))))
    while (server.connections > 1) await sleep(5)
    assert.strictEqual(server.stats().logins, 1)
  })
})
