'use strict'

/**
 * A way of 200 ms: nothing is taken for dead, and what arrives is right. The
 * delay is that of a relay, for not every kernel has netem.
 */

const assert = require('node:assert')
const net = require('node:net')
const { once } = require('node:events')
const alknet = require('../..')
const { startServer } = require('../helpers/api')
const { echoServer, readAll, sendPattern, patternDigest } = require('../helpers/net')
const { testScope } = require('../helpers/scope')
const { createHash } = require('node:crypto')

const DELAY_MS = 200
const BYTES = 1 << 20

/** A relay to port on which each byte takes half of ms. */
async function startSlowRelay (scope, port, ms) {
  const sockets = new Set()
  const relay = net.createServer((near) => {
    const far = net.connect(port, '127.0.0.1')
    for (const [from, to] of [[near, far], [far, near]]) {
      sockets.add(from)
      const later = (fn) => setTimeout(() => !to.destroyed && fn(), ms / 2)
      from.on('error', () => {})
        .on('data', (chunk) => later(() => to.write(chunk)))
        .once('end', () => later(() => to.end()))
        .once('close', () => later(() => to.destroy()))
    }
  }).listen(0, '127.0.0.1')
  await once(relay, 'listening')
  scope.defer(() => {
    for (const socket of sockets) socket.destroy()
    relay.close()
  })
  return relay.address().port
}

describe('a way of 200 ms', function () {
  this.timeout(60000)
  const scope = testScope()

  it('is not taken for a dead one, and carries what it should', async () => {
    const limits = { keepalive: 1, keepaliveMax: 3 }
    const { server, keys } = await startServer(scope, limits)
    const echo = await echoServer(scope)
    const session = await alknet.openSession({
      server: `127.0.0.1:${await startSlowRelay(scope, server.address().port, DELAY_MS)}`,
      identity: keys.user.privateKey,
      hostKey: keys.host.fingerprint,
      knownHosts: [],
      ...limits
    })
    scope.defer(() => session.close())
    const states = []
    session.on('state', (state) => states.push(state))
    assert.ok(await session.rtt() >= DELAY_MS)
    const stream = await session.open({ host: '127.0.0.1', port: echo.port })
    const [back] = await Promise.all([readAll(stream), sendPattern(stream, BYTES)])
    assert.strictEqual(createHash('sha256').update(back).digest('hex'), patternDigest(BYTES))
    // As long as a dead one would be given: an idle session lives on its answers.
    await new Promise((resolve) => setTimeout(resolve, 3500))
    assert.ok(await session.rtt() >= DELAY_MS)
    assert.deepStrictEqual([states, server.connections], [[], 1])
  })
})
