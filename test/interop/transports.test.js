'use strict'

/** SSH over whatever is a Duplex: WebSockets, channels of other sessions, pipes of programs. */

const assert = require('node:assert')
const { execFile, spawn } = require('node:child_process')
const { once } = require('node:events')
const http = require('node:http')
const net = require('node:net')
const path = require('node:path')
const { Duplex } = require('node:stream')
const { promisify } = require('node:util')
const { WebSocket, WebSocketServer, createWebSocketStream } = require('ws')
const alknet = require('../../lib')
const { cleanEnv, needAlknet, root, startServe } = require('../helpers/alknet')
const { behaves, MiB } = require('../helpers/behaviours')
const { key } = require('../helpers/keys')
const { dial, echoServer, expectEcho } = require('../helpers/net')
const { needSshd, runSsh, sshArgs, startSsh, startSshd } = require('../helpers/openssh')
const { need } = require('../helpers/proc')
const { suiteScope, testScope } = require('../helpers/scope')
const { connectSsh2, forwardOut } = require('../helpers/ssh2')

const SMALL = { bytes: 4 * MiB, many: 20 }
const engines = alknet.versions.engines
const INNER = key('ed25519', 'inner-host')

/** Options of a session with a server that a helper has started. */
function credentials (server, options) {
  return {
    user: server.user,
    identity: key('ed25519', 'user').path,
    hostKey: server.hostKeys[0].fingerprint,
    knownHosts: [],
    ...options
  }
}

async function openSession (scope, options) {
  const session = await alknet.openSession(options)
  scope.defer(() => session.close())
  return session
}

/** A session with a server that listens somewhere. */
function dialSession (scope, server, options) {
  return openSession(scope, { server: `${server.host}:${server.port}`, ...credentials(server, options) })
}

const through = (session) => ({ open: (scope, host, port) => session().open({ host, port }) })

/** A server in this process that listens nowhere, as the helpers describe one. */
async function acceptingServer (scope, options = {}) {
  const server = await alknet.serve({
    hostKey: key('ed25519', 'host').path, authorizedKeys: key('ed25519', 'user').publicPath, listen: [], ...options
  })
  scope.defer(() => server.close())
  return Object.assign(server, { user: 'alknet', hostKeys: [key('ed25519', 'host')] })
}

/** A web server whose WebSockets are accepted; resolves to its URL. */
async function webServer (scope, server) {
  const web = http.createServer()
  const sockets = new WebSocketServer({ server: web })
  sockets.on('connection', (socket, { socket: { remoteAddress, remotePort } }) =>
    server.accept(createWebSocketStream(socket), { remoteAddress, remotePort }))
  await once(web.listen(0, '127.0.0.1'), 'listening')
  scope.defer(() => {
    for (const socket of sockets.clients) socket.terminate()
    web.close()
  })
  return `ws://127.0.0.1:${web.address().port}`
}

describe('SSH over a WebSocket', function () {
  this.timeout(60000)
  before(function () { needAlknet(this) })

  for (const engine of engines) {
    describe(`${engine} at both ends`, () => {
      const scope = suiteScope()
      let session
      before(async () => {
        const server = await acceptingServer(scope, { sshEngine: engine })
        const socket = new WebSocket(await webServer(scope, server))
        session = await openSession(scope, { stream: createWebSocketStream(socket), ...credentials(server, { sshEngine: engine }) })
      })
      behaves(() => through(() => session), SMALL)
    })
  }

  const scope = testScope()

  it('knows the client by the address that was told', async () => {
    let told
    const server = await acceptingServer(scope, { onConnection: (stream, info) => { told = info; stream.end() } })
    const socket = new WebSocket(await webServer(scope, server))
    const stream = await alknet.connect({ stream: createWebSocketStream(socket), ...credentials(server) })
    stream.end()
    stream.resume()
    await once(stream, 'close')
    assert.deepStrictEqual([told.remoteAddress, told.transport], ['127.0.0.1', 'stream'])
    assert(told.remotePort > 0)
  })

  it('ends with the WebSocket, and the WebSocket with it', async () => {
    const server = await acceptingServer(scope)
    const url = await webServer(scope, server)
    const open = async () => {
      const socket = new WebSocket(url)
      return { socket, session: await openSession(scope, { stream: createWebSocketStream(socket), ...credentials(server) }) }
    }
    const cut = await open()
    cut.socket.terminate()
    await cut.session.closed
    assert.strictEqual(cut.session.error.code, 'ERR_ALKNET_LOST')
    const closed = await open()
    const gone = once(closed.socket, 'close')
    await closed.session.close()
    await gone
    assert.strictEqual(closed.session.error, null)
  })

  it('rejects when nobody answers as a WebSocket', async () => {
    const web = http.createServer((request, response) => response.writeHead(404).end()).listen(0, '127.0.0.1')
    scope.defer(() => { web.close() })
    await once(web, 'listening')
    const server = await acceptingServer(scope)
    const stream = createWebSocketStream(new WebSocket(`ws://127.0.0.1:${web.address().port}`))
    await assert.rejects(alknet.openSession({ stream, ...credentials(server) }),
      (err) => err.code === 'ERR_ALKNET_LOST' && /the stream failed: .*404/.test(err.message) && /404/.test(err.cause.message))
  })
})

const JUMPS = {
  'alknet serve': { need: () => {}, start: (scope) => startServe(scope) },
  'stock sshd': { need: needSshd, start: (scope) => startSshd(scope) }
}
const INNERS = {
  'alknet serve': { need: () => {}, start: (scope) => startServe(scope, { hostKeys: [INNER] }) },
  'stock sshd': { need: needSshd, start: (scope) => startSshd(scope, { hostKeys: [INNER] }) }
}

describe('SSH over a channel of another session', function () {
  this.timeout(60000)
  before(function () { needAlknet(this) })

  for (const [jumpName, jump] of Object.entries(JUMPS)) {
    for (const [innerName, inner] of Object.entries(INNERS)) {
      describe(`${jumpName}, then ${innerName}`, () => {
        const scope = suiteScope()
        let session
        before(async function () {
          jump.need(this)
          inner.need(this)
          const [first, second] = await Promise.all([jump.start(scope), inner.start(scope)])
          const outer = await dialSession(scope, first)
          session = await openSession(scope,
            { stream: await outer.open({ host: second.host, port: second.port }), ...credentials(second) })
        })
        behaves(() => through(() => session), SMALL)
      })
    }
  }

  const scope = testScope()

  for (const engine of engines) {
    it(`goes through several, and ends with the first (${engine})`, async () => {
      const servers = await Promise.all([1, 2, 3].map(() => startServe(scope, { engine })))
      const sessions = [await dialSession(scope, servers[0], { sshEngine: engine })]
      for (const server of servers.slice(1)) {
        sessions.push(await openSession(scope,
          { stream: await sessions.at(-1).open({ host: server.host, port: server.port }), ...credentials(server, { sshEngine: engine }) }))
      }
      const echo = await echoServer(scope)
      await expectEcho(await sessions[2].open({ host: '127.0.0.1', port: echo.port }))
      await servers[0].proc.stop()
      await Promise.all(sessions.map((session) => session.closed))
      for (const session of sessions) assert.notStrictEqual(session.error, null)
    })
  }

  it('closes the channel with the inner session, and the outer one when connect() made it', async () => {
    const [first, second] = await Promise.all([startServe(scope), startServe(scope, { hostKeys: [INNER] })])
    const channel = await alknet.connect({
      server: `${first.host}:${first.port}`, destination: `${second.host}:${second.port}`, ...credentials(first)
    })
    const inner = await openSession(scope, { stream: channel, ...credentials(second) })
    const echo = await echoServer(scope)
    await expectEcho(await inner.open({ host: '127.0.0.1', port: echo.port }))
    await inner.close()
    await channel.session.closed
    assert.strictEqual(channel.session.error, null)
    assert(channel.destroyed)
  })

  it('ends the inner session when the channel is destroyed', async () => {
    const [first, second] = await Promise.all([startServe(scope), startServe(scope, { hostKeys: [INNER] })])
    const outer = await dialSession(scope, first)
    const channel = await outer.open({ host: second.host, port: second.port })
    const inner = await openSession(scope, { stream: channel, ...credentials(second) })
    const err = new Error('enough')
    channel.destroy(err)
    await inner.closed
    assert.strictEqual(inner.error.code, 'ERR_ALKNET_LOST')
    assert.strictEqual(inner.error.cause, err)
  })

  it('refuses an inner host key that is not the pinned one', async () => {
    const [first, second] = await Promise.all([startServe(scope), startServe(scope, { hostKeys: [INNER] })])
    const outer = await dialSession(scope, first)
    const channel = await outer.open({ host: second.host, port: second.port })
    await assert.rejects(alknet.openSession({ stream: channel, ...credentials(first) }), { code: 'ERR_ALKNET_HOSTKEY' })
    await once(channel, 'close')
  })
})

describe('SSH over streams of other programs', function () {
  this.timeout(60000)
  before(function () {
    needAlknet(this)
    needSshd(this)
  })

  describe('a channel of the ssh2 package', () => {
    const scope = suiteScope()
    let session
    before(async () => {
      const [first, second] = [await startSshd(scope), await startSshd(scope, { hostKeys: [INNER] })]
      const client = await connectSsh2(scope, first)
      session = await openSession(scope, { stream: await forwardOut(client, second.host, second.port), ...credentials(second) })
    })
    behaves(() => through(() => session), SMALL)
  })

  describe('ssh -W', () => {
    const scope = suiteScope()
    let session
    before(async function () {
      need(this, 'ssh')
      const [first, second] = [await startSshd(scope), await startServe(scope, { hostKeys: [INNER] })]
      const args = sshArgs(scope, first, { args: ['-W', `${second.host}:${second.port}`] })
      const child = spawn('ssh', args.filter((arg) => arg !== '-v'), { env: cleanEnv(scope), stdio: ['pipe', 'pipe', 'ignore'] })
      scope.defer(() => { child.kill('SIGKILL') })
      const stream = Duplex.from({ readable: child.stdout, writable: child.stdin })
      session = await openSession(scope, { stream, ...credentials(second) })
    })
    behaves(() => through(() => session), SMALL)
  })

  describe('stock ssh to server.accept()', () => {
    const scope = suiteScope()
    let client
    before(async function () {
      need(this, 'ssh')
      const server = await acceptingServer(scope)
      const listener = net.createServer({ allowHalfOpen: true }, (socket) => {
        server.accept(socket, { remoteAddress: socket.remoteAddress, remotePort: socket.remotePort })
      }).listen(0, '127.0.0.1')
      await once(listener, 'listening')
      scope.defer(() => { listener.close() })
      client = { host: '127.0.0.1', port: listener.address().port, user: server.user, hostKeys: server.hostKeys }
    })

    it('forwards', async () => {
      const own = await echoServer(scope)
      const { local } = await startSsh(scope, client, { dynamic: false, local: [`127.0.0.1:${own.port}`] })
      await expectEcho(await dial(scope, local[0].port))
    })

    it('refuses a key that it does not know', async () => {
      const { code, output } = await runSsh(scope, client, { identity: key('ed25519', 'stranger'), args: ['-N'] })
      assert.strictEqual(code, 255)
      assert.match(output, /Permission denied \(publickey\)/)
    })
  })
})

describe('the examples', function () {
  this.timeout(60000)
  before(function () { needAlknet(this) })

  const outputs = {
    'jump-host': /^hello alknet, from the inner server\n$/,
    websocket: /^hello alknet, who came by stream from 127\.0\.0\.1\n$/
  }
  for (const [name, expected] of Object.entries(outputs)) {
    it(name, async () => {
      const { stdout, stderr } = await promisify(execFile)(process.execPath, [path.join(root, 'examples', name, `${name}.js`)], { timeout: 30000 })
      assert.strictEqual(stderr, '')
      assert.match(stdout, expected)
    })
  }
})
