'use strict'

/** npm russh as a client, with each engine. It has no server. */

const assert = require('node:assert')
const alknet = require('../..')
const { needAlknet, startServe } = require('../helpers/alknet')
const { behaves, MiB } = require('../helpers/behaviours')
const { key } = require('../helpers/keys')
const { echoServer, expectEcho } = require('../helpers/net')
const { connectRussh, needRussh, openRussh } = require('../helpers/russh')
const { suiteScope, testScope } = require('../helpers/scope')

const CIPHERS = ['aes128-gcm@openssh.com', 'aes256-gcm@openssh.com', 'chacha20-poly1305@openssh.com', 'aes128-ctr', 'aes256-ctr']
const KEX = ['curve25519-sha256', 'ecdh-sha2-nistp256']
const KEYS = ['ed25519', 'ecdsa-256', 'rsa-3072']

for (const engine of alknet.versions.engines) {
  describe(`npm russh to alknet serve, ${engine}`, function () {
    this.timeout(60000)
    const suite = suiteScope()
    const scope = testScope()
    let echo, session
    before(async function () {
      needAlknet(this)
      needRussh(this)
      echo = await echoServer(suite)
      session = await connectRussh(suite, await startServe(suite, { engine }))
    })
    behaves(() => ({ open: (scope, host, port) => openRussh(session, host, port) }), { bytes: 32 * MiB, many: 50 })

    // Narrowed at the server: that a session stands says what it speaks.
    async function check (serve, options) {
      const session = await connectRussh(scope, await startServe(scope, { engine, ...serve }), options)
      await expectEcho(await openRussh(session, '127.0.0.1', echo.port))
    }

    for (const cipher of CIPHERS) {
      it(cipher, () => check({ args: ['--ciphers', cipher] }, { preferred: { ciphers: [cipher] } }))
    }
    for (const kex of KEX) {
      it(kex, () => check({ args: ['--kex', kex] }, { preferred: { kex: [kex] } }))
    }
    for (const kind of KEYS) {
      it(`host key ${kind}`, () => check({ hostKeys: [key(kind, 'host')] }))
      it(`user key ${kind}`, () => check({ userKeys: [key(kind, 'user')] },
        { identity: key(kind, 'user'), hash: kind === 'rsa-3072' ? 'sha512' : null }))
    }

    it('a stranger stays out', async () => {
      await assert.rejects(check({}, { identity: key('ed25519', 'stranger') }), /was not let in/)
    })
  })
}
