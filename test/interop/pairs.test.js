'use strict'

/** The same behaviour for every pair of client and server. */

const { needAlknet, startConnect, startServe } = require('../helpers/alknet')
const { behaves, download, MiB, upload } = require('../helpers/behaviours')
const { echoServer, expectEcho, dial, sinkServer, sourceServer } = require('../helpers/net')
const { needSshd, startSsh, startSshd } = require('../helpers/openssh')
const { need } = require('../helpers/proc')
const { suiteScope } = require('../helpers/scope')
const { socksOpen } = require('../helpers/socks')
const { connectSsh2, forwardOut, startSsh2Server } = require('../helpers/ssh2')

const through = (client) => ({
  open: (scope, host, port) => socksOpen(scope, client().socks, host, port)
})

/** Fixed forwards: their targets must stand before the client starts. */
function forwards (start) {
  const scope = suiteScope()
  const size = 64 * MiB
  let local

  before(async function () {
    const targets = [await echoServer(scope), await sinkServer(scope), await sourceServer(scope, size)]
    local = await start(this, scope, targets)
  })

  it('carries text', async () => {
    await expectEcho(await dial(scope, local[0].port, local[0].host))
  })

  it('carries bulk data to the target unchanged', async () => {
    await upload(await dial(scope, local[1].port, local[1].host), size)
  })

  it('carries bulk data from the target unchanged', async () => {
    await download(await dial(scope, local[2].port, local[2].host), size)
  })
}

describe('alknet connect to alknet serve', function () {
  this.timeout(60000)
  const scope = suiteScope()
  let client
  before(async function () {
    needAlknet(this)
    client = await startConnect(scope, await startServe(scope))
  })
  behaves(() => through(() => client), { bytes: 1024 * MiB, many: 500 })

  describe('--forward', () => {
    forwards(async (context, scope, targets) => {
      const server = await startServe(scope)
      const client = await startConnect(scope, server,
        { forwards: targets.map(({ port }) => `0:127.0.0.1:${port}`) })
      return client.local
    })
  })
})

describe('alknet connect to alknet serve over IPv6', function () {
  this.timeout(60000)
  const scope = suiteScope()
  it('carries text', async function () {
    needAlknet(this)
    const server = await startServe(scope, { listen: ['[::1]:0'] })
    const client = await startConnect(scope, server, { socks: '[::1]:0' })
    const echo = await echoServer(scope, { host: '::1' })
    await expectEcho(await socksOpen(scope, client.socks, '::1', echo.port))
  })
})

describe('ssh -N to alknet serve', function () {
  this.timeout(60000)
  const scope = suiteScope()
  let client
  before(async function () {
    needAlknet(this)
    need(this, 'ssh')
    client = await startSsh(scope, await startServe(scope))
  })
  describe('-D', () => {
    behaves(() => through(() => client), { bytes: 1024 * MiB })
  })

  describe('-L', () => {
    forwards(async (context, scope, targets) => {
      const server = await startServe(scope)
      const client = await startSsh(scope, server,
        { dynamic: false, local: targets.map(({ port }) => `127.0.0.1:${port}`) })
      return client.local
    })
  })
})

describe('alknet connect to sshd', function () {
  this.timeout(60000)
  const scope = suiteScope()
  let client
  before(async function () {
    needAlknet(this)
    needSshd(this)
    client = await startConnect(scope, await startSshd(scope))
  })
  behaves(() => through(() => client), { bytes: 1024 * MiB })

  describe('--forward', () => {
    forwards(async (context, scope, targets) => {
      needSshd(context)
      const client = await startConnect(scope, await startSshd(scope),
        { forwards: targets.map(({ port }) => `0:127.0.0.1:${port}`) })
      return client.local
    })
  })
})

describe('npm ssh2 to alknet serve', function () {
  this.timeout(60000)
  const scope = suiteScope()
  let client
  before(async function () {
    needAlknet(this)
    client = await connectSsh2(scope, await startServe(scope))
  })
  behaves(() => ({ open: (scope, host, port) => forwardOut(client, host, port) }))
})

describe('alknet connect to npm ssh2', function () {
  this.timeout(60000)
  const scope = suiteScope()
  let client
  before(async function () {
    needAlknet(this)
    client = await startConnect(scope, await startSsh2Server(scope))
  })
  behaves(() => through(() => client), { targetEndsFirst: false })
})
