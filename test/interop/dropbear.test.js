'use strict'

/** Dropbear, as a client and as a server, with each engine. */

const { needAlknet, startConnect, startServe } = require('../helpers/alknet')
const alknet = require('../..')
const { behaves, download, MiB, upload } = require('../helpers/behaviours')
const { needDbclient, needDropbear, startDbclient, startDropbear } = require('../helpers/dropbear')
const { key } = require('../helpers/keys')
const { dial, echoServer, expectEcho, readAll, sinkServer, sourceServer } = require('../helpers/net')
const assert = require('node:assert')
const { suiteScope, testScope } = require('../helpers/scope')
const { socksOpen } = require('../helpers/socks')

const SIZE = 64 * MiB
// Those of Dropbear 2022.83 that we offer: it has no GCM and no EtM.
const CIPHER = 'chacha20-poly1305@openssh.com'
const KEX = ['curve25519-sha256', 'ecdh-sha2-nistp256']
const KEYS = ['ed25519', 'ecdsa-256', 'rsa-3072']

for (const engine of alknet.versions.engines) {
  describe(`dbclient -N -L to alknet serve, ${engine}`, function () {
    this.timeout(60000)
    const suite = suiteScope()
    const scope = testScope()
    let server, targets
    before(async function () {
      needAlknet(this)
      needDbclient(this)
      server = await startServe(suite, { engine, userKeys: KEYS.map((kind) => key(kind, 'user')) })
      targets = { echo: await echoServer(suite), sink: await sinkServer(suite), source: await sourceServer(suite, SIZE) }
    })

    async function forward (target, options = {}) {
      const { local } = await startDbclient(scope, options.server || server,
        { local: [`127.0.0.1:${target.port}`], ...options })
      return () => dial(scope, local[0].port)
    }

    it('carries bulk data to the target unchanged', async () => {
      const open = await forward(targets.sink, { args: ['-W', '1000000'] })
      await upload(await open(), SIZE)
    })

    it('carries bulk data from the target unchanged', async () => {
      const open = await forward(targets.source, { args: ['-W', '1000000'] })
      await download(await open(), SIZE)
    })

    it('carries 50 connections at once, each to its end', async () => {
      const open = await forward(targets.echo)
      const streams = await Promise.all(Array.from({ length: 50 }, open))
      await Promise.all(streams.map((stream, i) => expectEcho(stream, `connection ${i}`)))
      const ends = streams.map((stream) => readAll(stream))
      for (const stream of streams) stream.end('last')
      for (const end of await Promise.all(ends)) assert.strictEqual(end.toString(), 'last')
    })

    for (const kind of KEYS) {
      it(`user key ${kind}`, async () => {
        const open = await forward(targets.echo, { identity: key(kind, 'user') })
        await expectEcho(await open())
      })
      it(`host key ${kind}`, async () => {
        const server = await startServe(scope, { engine, hostKeys: [key(kind, 'host')] })
        const open = await forward(targets.echo, { server })
        await expectEcho(await open())
      })
    }
    for (const kex of KEX) {
      it(kex, async () => {
        const server = await startServe(scope, { engine, args: ['--kex', kex, '--ciphers', CIPHER] })
        const open = await forward(targets.echo, { server })
        await expectEcho(await open())
      })
    }
  })

  describe(`alknet connect to dropbear, ${engine}`, function () {
    this.timeout(60000)
    const suite = suiteScope()
    let client
    before(async function () {
      needAlknet(this)
      needDropbear(this)
      client = await startConnect(suite, await startDropbear(suite, { args: ['-W', '1000000'] }), { engine })
    })
    behaves(() => ({ open: (scope, host, port) => socksOpen(scope, client.socks, host, port) }), { bytes: SIZE, many: 50 })

    describe('algorithms', () => {
      const scope = testScope()
      let echo
      before(async () => { echo = await echoServer(suite) })

      async function check (dropbear, options = {}) {
        const { socks } = await startConnect(scope, await startDropbear(scope, dropbear), { engine, ...options })
        await expectEcho(await socksOpen(scope, socks, '127.0.0.1', echo.port))
      }

      for (const kind of KEYS) {
        it(`host key ${kind}`, () => check({ hostKey: key(kind, 'host') }))
        it(`user key ${kind}`, () => check({ userKey: key(kind, 'user') }, { identity: key(kind, 'user') }))
      }
      for (const kex of KEX) {
        it(kex, () => check({}, { args: ['--kex', kex, '--ciphers', CIPHER] }))
      }
    })
  })
}
