'use strict'

/**
 * Every SSH engine with every other, and with the programs of others. What the
 * other suites show of the default engine in detail, and at length, stands here
 * in short for each pair; ALKNET_SERVE_ENGINE and ALKNET_CONNECT_ENGINE run
 * those suites with any pair.
 */

const assert = require('node:assert')
const alknet = require('../..')
const { engineOf, needAlknet, startConnect, startServe } = require('../helpers/alknet')
const { behaves, download, MiB, upload } = require('../helpers/behaviours')
const { key, knownHostsLine } = require('../helpers/keys')
const { drainStream, echoServer, expectEcho, freePort, sendPattern, sinkServer, sourceServer } = require('../helpers/net')
const { metered, METERED } = require('../helpers/meter')
const { needSshd, startSsh, startSshd } = require('../helpers/openssh')
const { need } = require('../helpers/proc')
const { suiteScope, testScope } = require('../helpers/scope')
const { socksOpen } = require('../helpers/socks')
const { connectSsh2, forwardOut, startSsh2Server } = require('../helpers/ssh2')

const { engines } = alknet.versions
const SIZE = 64 * MiB
const REKEY_BYTES = 256 * 1024

const MAC = 'hmac-sha2-256-etm@openssh.com'
const CIPHERS = [
  ['aes128-gcm@openssh.com'], ['aes256-gcm@openssh.com'], ['chacha20-poly1305@openssh.com'],
  ['aes128-ctr', MAC], ['aes256-ctr', MAC], ['aes256-ctr', 'hmac-sha2-512-etm@openssh.com']
]
const KEX = ['curve25519-sha256', 'curve25519-sha256@libssh.org', 'ecdh-sha2-nistp256']
const KEYS = ['ed25519', 'ecdsa-256', 'rsa-3072']
const HOST_KEY_ALGORITHMS = {
  'ssh-ed25519': 'ed25519',
  'ecdsa-sha2-nistp256': 'ecdsa-256',
  'rsa-sha2-512': 'rsa-3072',
  'rsa-sha2-256': 'rsa-3072'
}

const through = (client) => ({
  open: (scope, host, port) => socksOpen(scope, client().socks, host, port)
})

/** Bytes there and back, all of them checked. */
async function exercise (stream, size = 2 * MiB) {
  const got = drainStream(stream)
  const { digest } = await sendPattern(stream, size)
  assert.deepStrictEqual(await got, { bytes: size, digest })
}

/**
 * A server and a session of this process, with options for each and for both.
 * before() may put something before the server.
 */
async function session (scope, [client, server], options = {}) {
  const { hostKey = key('ed25519', 'host'), identity = key('ed25519', 'user') } = options
  const { serve = {}, connect = {}, both = {}, before = (server) => server } = options
  const listener = await alknet.serve({
    hostKey: hostKey.path,
    authorizedKeys: Buffer.from(`${identity.public}\n`),
    listen: '127.0.0.1:0',
    sshEngine: server,
    ...both,
    ...serve
  })
  scope.defer(() => listener.close())
  const { host, port } = await before({ host: '127.0.0.1', port: listener.address().port, hostKeys: [hostKey] })
  const session = await alknet.openSession({
    server: `${host}:${port}`,
    identity: identity.path,
    knownHosts: Buffer.from(knownHostsLine(host, port, hostKey)),
    sshEngine: client,
    ...both,
    ...connect
  })
  scope.defer(() => session.close())
  return session
}

function algorithms (pair) {
  const suite = suiteScope()
  const scope = testScope()
  let echo
  before(async () => { echo = await echoServer(suite) })

  async function agree (options, expected) {
    const one = await session(scope, pair, options)
    const { info } = one
    for (const [name, value] of Object.entries({ engine: pair[0], ...expected })) {
      assert.strictEqual(info[name], value, name)
    }
    await exercise(await one.open({ host: '127.0.0.1', port: echo.port }))
  }

  for (const [cipher, mac] of CIPHERS) {
    // Narrowed at one end only: the other must know it.
    it(`${cipher}${mac ? ` with ${mac}` : ''}`, () => agree(
      { connect: { ciphers: cipher, ...(mac ? { macs: mac } : {}) } },
      { cipherIn: cipher, cipherOut: cipher, ...(mac ? { macIn: mac, macOut: mac } : {}) }))
  }
  for (const kex of KEX) {
    it(kex, () => agree({ serve: { kex } }, { kex }))
  }
  for (const [hostkey, kind] of Object.entries(HOST_KEY_ALGORITHMS)) {
    it(`host key ${hostkey}`, () => agree(
      { hostKey: key(kind, 'host'), connect: { hostKeyAlgorithms: hostkey } }, { hostkey }))
  }
  for (const kind of KEYS) {
    it(`user key ${kind}`, () => agree({ identity: key(kind, 'user') }, {}))
  }

  it('refuses a stranger', async () => {
    await assert.rejects(session(scope, pair, { connect: { identity: key('ed25519', 'stranger').path } }),
      { code: 'ERR_ALKNET_AUTH' })
  })

  it('refuses a host key that is not the known one', async () => {
    await assert.rejects(session(scope, pair, { connect: { hostKey: key('ed25519', 'other-host').fingerprint } }),
      { code: 'ERR_ALKNET_HOSTKEY' })
  })

  it('ends where no algorithm is in common', async () => {
    await assert.rejects(session(scope, pair, { serve: { ciphers: CIPHERS[0][0] }, connect: { ciphers: CIPHERS[2][0] } }),
      (err) => ['ERR_ALKNET_KEX', 'ERR_ALKNET_PROTO'].includes(err.code))
  })

  it('says why a channel was refused', async () => {
    const one = await session(scope, pair)
    const reason = (host, port) => one.open({ host, port }).then(() => null, ({ code, reason }) => ({ code, reason }))
    assert.deepStrictEqual(await reason('127.0.0.1', await freePort()), { code: 'ERR_ALKNET_CHANNEL', reason: 2 })
    assert.deepStrictEqual(await reason('169.254.169.254', 80), { code: 'ERR_ALKNET_CHANNEL', reason: 1 })
    await expectEcho(await one.open({ host: '127.0.0.1', port: echo.port }))
  })

  it('carries 1-byte writes through changes of keys', async function () {
    this.timeout(60000)
    let meter
    const one = await session(scope, pair, {
      both: { rekeyBytes: 8 * 1024, ciphers: METERED.cipher, kex: METERED.kex },
      before: async (server) => (meter = await metered(scope, server))
    })
    const stream = await one.open({ host: '127.0.0.1', port: echo.port })
    const count = 10000
    const sent = Buffer.from(Array.from({ length: count }, (_, i) => i % 251))
    const got = []
    const all = new Promise((resolve, reject) => {
      stream.on('data', (chunk) => got.push(chunk))
      stream.once('end', resolve)
      stream.once('close', () => reject(new Error('closed without an end')))
    })
    for (let i = 0; i < count; i++) {
      stream.write(sent.subarray(i, i + 1))
      await new Promise(setImmediate) // or those of one turn would leave together, once keys are changed
    }
    stream.end()
    await all
    assert.ok(Buffer.concat(got).equals(sent))
    // libssh 0.10 counts whole blocks of payload, and these packets have none: it never asks.
    if (pair.includes('native')) assert.ok(meter.exchanges >= 8, `${meter.exchanges} key exchanges`)
  })

  it('passes each byte on at once', async () => {
    const one = await session(scope, pair)
    const stream = await one.open({ host: '127.0.0.1', port: echo.port })
    for (let i = 0; i < 200; i++) await expectEcho(stream, String.fromCharCode(97 + i % 26))
  })
}

function rekeying (pair) {
  const scope = testScope()
  const args = ['--rekey-bytes', String(REKEY_BYTES), '--ciphers', METERED.cipher, '--kex', METERED.kex]
  const narrow = args.slice(2)

  for (const [name, serveArgs, connectArgs] of [
    ['alknet connect', narrow, args], ['alknet serve', args, narrow], ['both', args, args]
  ]) {
    it(`every 256 KB, asked for by ${name}, in the middle of ${SIZE / MiB} MiB each way`, async function () {
      this.timeout(240000)
      const server = await metered(scope, await startServe(scope, { engine: pair[1], args: serveArgs }))
      const client = await startConnect(scope, server, { engine: pair[0], args: connectArgs })
      const open = (port) => socksOpen(scope, client.socks, '127.0.0.1', port)
      await upload(await open((await sinkServer(scope)).port), SIZE)
      const up = server.exchanges
      await download(await open((await sourceServer(scope, SIZE)).port), SIZE)
      const down = server.exchanges - up
      // Who receives asks late, for what is under way still comes; and a server may send, but not
      // ask again, before the client's NEWKEYS. A client of ours that sends keeps the count.
      const exact = pair[0] === 'native' && connectArgs === args
      const least = exact ? SIZE / REKEY_BYTES / 2 : 4
      assert.ok(up >= least && down >= 4, `${up} and ${down} key exchanges`)
      await exercise(await open((await echoServer(scope)).port), 8 * MiB)
    })
  }
}

for (const client of engines) {
  for (const server of engines) {
    const pair = [client, server]
    describe(`engines: ${client} to ${server}`, function () {
      this.timeout(60000)
      before(function () { needAlknet(this) })

      describe('the tunnel', () => {
        // Of the pair that the other suites run, pairs.test.js shows all of this.
        if (client === engineOf('connect') && server === engineOf('serve')) return
        const scope = suiteScope()
        let tunnel
        before(async () => {
          tunnel = await startConnect(scope, await startServe(scope, { engine: server }), { engine: client })
        })
        behaves(() => through(() => tunnel), { bytes: SIZE, many: 200 })
      })

      describe('algorithms', () => algorithms(pair))
      describe('new keys', () => rekeying(pair))
    })
  }
}

// The default engine's turn is in pairs.test.js, with 256 MiB and more.
for (const engine of engines.filter((name) => name !== engineOf('serve'))) {
  describe(`engines: others to ${engine}`, function () {
    this.timeout(60000)
    const scope = suiteScope()
    let server
    before(async function () {
      needAlknet(this)
      server = await startServe(scope, { engine })
    })

    describe('ssh -D', () => {
      let client
      before(async function () {
        need(this, 'ssh')
        client = await startSsh(scope, server)
      })
      behaves(() => through(() => client), { bytes: SIZE, many: 50 })
    })

    describe('npm ssh2', () => {
      let client
      before(async () => { client = await connectSsh2(scope, server) })
      behaves(() => ({ open: (scope, host, port) => forwardOut(client, host, port) }), { bytes: SIZE, many: 50 })
    })
  })
}

for (const engine of engines.filter((name) => name !== engineOf('connect'))) {
  describe(`engines: ${engine} to others`, function () {
    this.timeout(60000)
    const scope = suiteScope()
    before(function () { needAlknet(this) })

    describe('sshd', () => {
      let client
      before(async function () {
        needSshd(this)
        client = await startConnect(scope, await startSshd(scope), { engine })
      })
      behaves(() => through(() => client), { bytes: SIZE, many: 50 })
    })

    describe('npm ssh2', () => {
      let client
      before(async () => { client = await startConnect(scope, await startSsh2Server(scope), { engine }) })
      behaves(() => through(() => client), { bytes: SIZE, many: 50, targetEndsFirst: false })
    })
  })
}
