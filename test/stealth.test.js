'use strict'

/** Stealth, at the API: who is let in, who is a visitor, and what is kept of them. */

const assert = require('assert')
const { createHmac } = require('crypto')
const dns = require('dns')
const { once } = require('events')
const { readFileSync } = require('fs')
const http = require('http')
const net = require('net')
const tls = require('tls')
const alknet = require('..')
const binding = require('../lib/binding')
const { Visitors } = require('../lib/visitors')
const { startServer, textOf } = require('./helpers/api')
const { dial, echoServer, expectEcho, freePort, listen } = require('./helpers/net')
const { Probe } = require('./helpers/probe')
const { get } = require('./helpers/probe-table')
const { need } = require('./helpers/proc')
const { suiteScope, testScope } = require('./helpers/scope')
const { makeCa } = require('./helpers/tls-certs')

const SECRET = Buffer.from('a secret of this test, and no other')
const OTHER = Buffer.from('another secret, of somebody else')
// What a client finds where there is no SSH: native says so, libssh that it is over.
const NO_SSH = ({ code }) => ['ERR_ALKNET_PROTO', 'ERR_ALKNET_LOST'].includes(code)
// Of OpenSSL's options: without it TLS 1.2 has no keys to show a secret with.
const NO_EXTENDED_MASTER_SECRET = 1
const BANNER = 'SSH-2.0-OpenSSH_9.6\r\n'

describe('stealth', function () {
  this.timeout(60000)
  const suite = suiteScope()
  const scope = testScope()
  let ca, id

  before(function () {
    need(this, 'openssl')
    ca = makeCa(suite)
    id = ca.issue()
  })

  /** A server that passes for a web server, and sessions with it. */
  async function stealthy (options = {}) {
    const made = await startServer(scope, {
      listen: 'tls://127.0.0.1:0', tlsCert: id.cert, tlsKey: id.key, stealth: true, onConnection: (stream) => stream.pipe(stream), ...options
    })
    const { port } = [made.server.address()].flat().find((one) => one.transport === 'tls')
    const login = (more) => made.login({ transport: 'tls', server: `127.0.0.1:${port}`, tlsCa: ca.cert, ...more })
    return { ...made, port, login }
  }

  async function ask (port, text, secure = {}) {
    const probe = await new Probe().open(port, secure)
    scope.defer(() => probe.close())
    await probe.write(Buffer.from(text, 'latin1'))
    return probe
  }

  async function answerTo (port, text, secure) {
    const probe = await ask(port, text, secure)
    await probe.ended
    probe.close()
    return probe.said.toString('latin1')
  }

  const echo = async (session) => {
    const stream = await session.open({ host: 'alknet-echo', port: 0 })
    await expectEcho(stream)
    stream.destroy()
  }

  /** Resolves when the server's numbers are so. */
  async function counts (server, isSo) {
    while (!isSo(server.stats())) await new Promise((resolve) => setImmediate(resolve))
  }

  for (const sshEngine of alknet.versions.engines) {
    it(`lets in who knows the secret, ${sshEngine}`, async () => {
      const { server, port, login } = await stealthy({ sshEngine, stealthSecret: SECRET })
      await echo(await login({ stealthSecret: SECRET }))
      assert.match(await answerTo(port, BANNER), /^HTTP\/1\.1 400 Bad Request\r\n/)
      await assert.rejects(login(), NO_SSH)
      await assert.rejects(login({ stealthSecret: OTHER }), (err) => NO_SSH(err) && /stealthSecret/.test(err.advice))
      await counts(server, ({ visitors }) => visitors.bad === 3) // the last thing that it said counts
      assert.deepStrictEqual([server.stats().accepted, server.stats().visiting], [1, 0])
    })

    it(`lets in who begins with a banner when there is no secret, ${sshEngine}`, async () => {
      const { port, login } = await stealthy({ sshEngine })
      await echo(await login())
      const probe = await ask(port, 'SSH-2.')
      await probe.write(Buffer.from('0-x\r\n'))
      await probe.hear('SSH-2.0-')
      assert.match(probe.said.toString('latin1'), /^SSH-2\.0-/)
    })
  }

  /** What a client says first, of keys as Node gives them. */
  function greeting (socket, secret) {
    const key = socket.exportKeyingMaterial(32, 'EXPORTER-alknet-stealth')
    return `GET /${createHmac('sha256', secret).update(key).digest('base64url')} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`
  }

  async function secured (port, options) {
    const socket = tls.connect({ port, host: '127.0.0.1', rejectUnauthorized: false, servername: 'localhost', ...options })
    scope.defer(() => { socket.destroy() })
    socket.on('error', () => {}) // its end shows in the assertions
    await once(socket, 'secureConnect')
    return socket
  }

  for (const version of ['TLSv1.2', 'TLSv1.3']) {
    it(`lets in who shows the secret with keys of another's ${version}`, async () => {
      const { server, port, login } = await stealthy({ stealthSecret: SECRET })
      const only = { minVersion: version, maxVersion: version }
      const socket = await secured(port, only)
      assert.strictEqual(socket.getProtocol(), version)
      socket.write(greeting(socket, SECRET))
      await echo(await login({ transport: undefined, server: undefined, tlsCa: undefined, stream: socket }))
      for (const said of [greeting(socket, SECRET), greeting(await secured(port, only), OTHER)]) {
        const stranger = await secured(port, only)
        stranger.write(said)
        assert.match(await textOf(stranger), /^HTTP\/1\.1 404 /)
      }
      await counts(server, ({ visitors }) => visitors.served === 2)
      assert.strictEqual(server.stats().accepted, 1)
    })
  }

  it('takes no secret over TLS 1.2 whose keys a third could know', async () => {
    const { server, port } = await stealthy({ stealthSecret: SECRET })
    const socket = await secured(port, { maxVersion: 'TLSv1.2', secureOptions: NO_EXTENDED_MASTER_SECRET })
    socket.write(greeting(socket, SECRET))
    assert.match(await textOf(socket), /^HTTP\/1\.1 404 /)
    assert.strictEqual(server.stats().accepted, 0)
  })

  it('takes the secret from a file, with blanks around it', async () => {
    const file = scope.file('secret', `${SECRET}\n`)
    const { login } = await stealthy({ stealthSecret: file })
    await echo(await login({ stealthSecret: SECRET }))
    await assert.rejects(stealthy({ stealthSecret: scope.file('short', 'x\n') }), { code: 'ERR_ALKNET_OPTION', message: /^stealthSecret: must hold 16 to 1024 bytes/ })
    await assert.rejects(stealthy({ stealthSecret: '/does/not/exist' }), { code: 'ERR_ALKNET_OPTION', message: /^stealthSecret: cannot read/ })
    await assert.rejects(login({ stealthSecret: scope.file('long', 'x'.repeat(1027)) }), { code: 'ERR_ALKNET_OPTION', message: /^stealthSecret: .*longer/ })
  })

  /** The lengths of the encrypted records in bytes of a TLS connection. */
  function recordLengths (bytes) {
    const lengths = []
    for (let at = 0; at + 5 <= bytes.length; at += 5 + bytes.readUInt16BE(at + 3)) {
      if (bytes[at] === 23) lengths.push(bytes.readUInt16BE(at + 3))
    }
    return lengths
  }

  it('hides the sizes of a key exchange, on both sides', async () => {
    const { port, login } = await stealthy({ stealthSecret: SECRET })
    const said = { client: [], server: [] }
    const front = await listen(scope, (socket) => {
      const far = net.connect(port, '127.0.0.1')
      far.on('error', () => {})
      socket.on('data', (data) => said.client.push(data))
      far.on('data', (data) => said.server.push(data))
      socket.pipe(far).pipe(socket)
    })
    await echo(await login({ server: `127.0.0.1:${front.port}`, stealthSecret: SECRET }))
    // What comes before is the handshake's: the client's last word; the server's certificate and tickets.
    const [client, server] = [recordLengths(Buffer.concat(said.client)).slice(1), recordLengths(Buffer.concat(said.server)).slice(6)]
    assert(client.length >= 4 && server.length >= 3, `${client} ${server}`)
    for (const length of [...client.slice(0, 16), ...server.slice(0, 16)]) assert(length >= 64 + 17, `${client} ${server}`)
  })

  it('is closed by a client that cannot show the secret there', async () => {
    const server = tls.createServer({ cert: readFileSync(id.cert), key: readFileSync(id.key), maxVersion: 'TLSv1.2', secureOptions: NO_EXTENDED_MASTER_SECRET })
    server.listen(0, '127.0.0.1')
    scope.defer(() => server.close())
    await once(server, 'listening')
    const closed = new Promise((resolve) => server.once('secureConnection', (socket) => socket.on('error', () => {}).resume().once('close', resolve)))
    const { login } = await stealthy({ stealthSecret: SECRET })
    await assert.rejects(login({ server: `127.0.0.1:${server.address().port}`, stealthSecret: SECRET }), { code: 'ERR_ALKNET_TLS', message: /has no keys to show the secret with/ })
    await closed
  })

  it('lets in who comes over a stream, and has no name for the server', async () => {
    const { port, login } = await stealthy({ stealthSecret: SECRET })
    await echo(await login({ server: undefined, stream: await dial(scope, port), insecure: true, tlsCa: undefined, stealthSecret: SECRET }))
  })

  it('takes from nobody in the middle what a client has shown', async () => {
    const { port, login } = await stealthy({ stealthSecret: SECRET })
    const front = await tlsRelay(scope, port, ca)
    // The keys are those of the client's connection, which ends there.
    await assert.rejects(login({ server: `127.0.0.1:${front.port}`, stealthSecret: SECRET }), NO_SSH)
    assert.match(front.said(), /^GET \/[\w-]{43} HTTP\/1\.1\r\n/)
  })

  /** One in the middle that has a right certificate, and passes on what is said. */
  async function tlsRelay (its, port, ca) {
    const mine = ca.issue()
    let said = ''
    const server = tls.createServer({ cert: readFileSync(mine.cert), key: readFileSync(mine.key) }, (client) => {
      const behind = tls.connect({ port, host: '127.0.0.1', rejectUnauthorized: false, servername: 'localhost' })
      client.on('data', (chunk) => { said += chunk.toString('latin1') }).on('error', () => behind.destroy())
      behind.on('error', () => client.destroy())
      client.pipe(behind).pipe(client)
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    its.defer(() => server.close())
    return { port: server.address().port, said: () => said }
  }

  it('has a first record whose length is another each time', async () => {
    const { port, login } = await stealthy({ stealthSecret: SECRET })
    const lengths = new Set()
    for (let i = 0; i < 4; i++) {
      const front = await tlsRelay(scope, port, ca)
      await assert.rejects(login({ server: `127.0.0.1:${front.port}`, stealthSecret: SECRET }))
      const length = front.said().indexOf('\r\n\r\n') + 4
      assert(length >= 250 && length <= 1500, String(length))
      lengths.add(length)
    }
    assert(lengths.size > 1, 'four lengths out of a thousand are the same')
  })

  it('turns away in disguise whom it would turn away', async () => {
    const { server, port, login } = await stealthy({ stealthSecret: SECRET, maxUnauthenticatedPerIp: 0, maxConnectionsPerIp: 1 })
    await echo(await login({ stealthSecret: SECRET }))
    await assert.rejects(login({ stealthSecret: SECRET }), NO_SSH)
    assert.strictEqual(server.stats().refused.max_connections_per_ip, 1)
    assert.match(await answerTo(port, get('/', 'Host: a\r\nConnection: close\r\n')), /^HTTP\/1\.1 404 /)
  })

  it('holds nothing against visitors, and counts them', async () => {
    const { server, port, login } = await stealthy({ stealthSecret: SECRET, penalties: { noauth: 60, min: 1 }, maxUnauthenticated: 2 })
    for (let i = 0; i < 8; i++) assert.match(await answerTo(port, BANNER), /^HTTP\/1\.1 400 /)
    assert.match(await answerTo(port, get('/', 'Host: a\r\nConnection: close\r\n')), / 404 /)
    assert.match(await answerTo(port, get(), null), /The plain HTTP request was sent to HTTPS port/)
    assert.match(await answerTo(port, get(`/${'a'.repeat(9000)}`)), / 414 /)
    const silent = await new Probe().open(port, null)
    silent.cut()
    await silent.ended
    silent.close()
    await assert.rejects(once(tls.connect({ port, host: '127.0.0.1', rejectUnauthorized: false, ALPNProtocols: ['x'] }), 'secureConnect'))
    await counts(server, ({ visitors }) => visitors.tls === 1 && visitors.silent === 1 && visitors.bad === 8 && visitors.too_long === 1)
    assert.deepStrictEqual(server.stats().visitors, { silent: 1, tls: 1, late: 0, plain: 1, bad: 8, too_long: 1, served: 1, site: 0, crowded: 0 })
    assert.deepStrictEqual([server.stats().notedSources, server.stats().refused.max_unauthenticated], [0, 0])
    await echo(await login({ stealthSecret: SECRET }))
  })

  it('has the oldest visitor make room, and never a client', async () => {
    const { server, port, login } = await stealthy({ maxVisitors: 2 })
    const session = await login()
    const first = await ask(port, get())
    await first.hear('</html>')
    const second = await new Probe().open(port, null)
    await counts(server, ({ visiting }) => visiting === 2)
    const third = await new Probe().open(port, {})
    await first.ended
    assert.strictEqual(first.end, 'fin')
    await echo(session)
    await counts(server, ({ visitors }) => visitors.crowded === 1)
    for (const one of [first, second, third]) one.close()
    await counts(server, ({ visiting }) => visiting === 0)
  })

  it('has the source that has most visitors make room', async () => {
    const { server, port } = await stealthy({ maxVisitors: 3 })
    const elsewhere = net.connect({ port, host: '127.0.0.1', localAddress: '127.0.0.2' })
    scope.defer(() => { elsewhere.destroy() })
    elsewhere.on('error', () => {}) // then it has no answer
    await once(elsewhere, 'connect')
    await counts(server, ({ visiting }) => visiting === 1)
    const many = []
    for (let i = 0; i < 6; i++) {
      many.push(await new Probe().open(port, null))
      await counts(server, ({ visiting, visitors }) => visiting + visitors.crowded === many.length + 1)
    }
    for (const one of many.slice(0, 4)) await one.ended
    elsewhere.write(get())
    assert.match(await textOf(elsewhere), /The plain HTTP request was sent to HTTPS port/)
    for (const one of many) one.close()
  })

  it('has those who hold the site make room for who has just come', async () => {
    const site = http.createServer({ keepAliveTimeout: 0 }, (request, response) => response.end('of the site'))
    site.listen(0, '127.0.0.1')
    await once(site, 'listening')
    scope.defer(() => { site.closeAllConnections(); site.close() })
    const { server, port } = await stealthy({ maxVisitors: 2, stealthUpstream: `http://127.0.0.1:${site.address().port}` })
    const holders = [await ask(port, get()), await ask(port, get())]
    for (const one of holders) await one.hear('of the site')
    const coming = await new Probe().open(port, null)
    await holders[0].ended
    const last = await new Probe().open(port, null)
    await holders[1].ended
    assert.deepStrictEqual(holders.map(({ end }) => end), ['fin', 'fin'])
    await coming.write(Buffer.from(get()))
    await coming.ended
    assert.match(coming.said.toString('latin1'), /The plain HTTP request was sent to HTTPS port/)
    await counts(server, ({ visitors }) => visitors.crowded === 2)
    for (const one of [coming, last]) one.close()
  })

  it('gives those who have made room a second, and no more places than it has', () => {
    const { openGate } = binding
    const gates = []
    scope.defer(() => { binding.openGate = openGate })
    binding.openGate = () => {
      const gate = { calls: [], close: () => gate.calls.push('close'), drop: () => gate.calls.push('drop') }
      gates.push(gate)
      return gate
    }
    const counted = []
    const visitors = new Visitors({ _options: { maxVisitors: 2, keepalive: 1, keepaliveMax: 1 } }, null, {
      counters: { count: (...what) => counted.push(what) }, log: { warn () {}, debug () {} }, onEmpty () {}
    })
    const come = () => visitors.arrive({ limitUnacked () {} }, { address: '192.0.2.1', port: 1, transport: 'tls' }, null)
    for (let i = 0; i < 4; i++) come()
    assert.deepStrictEqual(gates.map(({ calls }) => calls), [['close'], ['close'], [], []])
    come()
    assert.deepStrictEqual(gates.map(({ calls }) => calls), [['close', 'drop'], ['close'], ['close'], [], []])
    for (const { owner } of gates.slice(0, 3)) owner.onclose('site', null)
    assert.deepStrictEqual(counted, Array(3).fill(['visitors', 'crowded']))
    come()
    assert.deepStrictEqual(gates.map(({ calls }) => calls), [['close', 'drop'], ['close'], ['close'], ['close'], [], []])
    assert.strictEqual(visitors.count, 2)
    for (const { owner } of gates.slice(4)) owner.onclose('site', null)
    assert.deepStrictEqual([visitors.count, visitors.isEmpty], [0, false])
    gates[3].owner.onclose('site', null)
    assert.strictEqual(visitors.isEmpty, true)
  })

  it('closes who takes too long, and counts that', async () => {
    const { server, port } = await stealthy({ stealthHeadTimeout: 1, stealthIdleTimeout: 1 })
    const slow = [await ask(port, 'GET / HTTP/1.1\r\nHost:'), await ask(port, '\x16\x03\x01\x00\x20', null), await ask(port, 'GET /', null)]
    const silent = await new Probe().open(port, {})
    for (const one of [...slow, silent]) {
      await one.ended
      assert.deepStrictEqual([one.end, one.said.length], ['fin', 0])
      assert(one.elapsed > 900, String(one.elapsed))
      one.close()
    }
    await counts(server, ({ visiting }) => visiting === 0)
    assert.deepStrictEqual([server.stats().visitors.late, server.stats().visitors.silent], [3, 1])
  })

  it('hands visitors to a site, and back what it says', async () => {
    const seen = []
    const site = http.createServer((request, response) => {
      seen.push(`${request.method} ${request.url} ${request.headers.host}`)
      request.resume().once('end', () => response.end('of the site'))
    })
    site.listen(0, '127.0.0.1')
    await once(site, 'listening')
    scope.defer(() => { site.closeAllConnections(); site.close() })
    const { server, port, login } = await stealthy({ stealthUpstream: `http://127.0.0.1:${site.address().port}`, stealthSecret: SECRET })
    const answer = await answerTo(port, get('/x', 'Host: a.example\r\n') + get('/y', 'Host: b.example\r\nConnection: close\r\n'))
    assert.strictEqual(answer.match(/of the site/g).length, 2)
    assert.deepStrictEqual(seen, ['GET /x a.example', 'GET /y b.example'])
    assert.match(await answerTo(port, BANNER), /^HTTP\/1\.1 400 Bad Request\r\n/) // the site's own
    assert.match(await answerTo(port, get(), null), /nginx\/1\.22\.1/) // no TLS: ours
    await echo(await login({ stealthSecret: SECRET }))
    await counts(server, ({ visitors }) => visitors.site === 2 && visitors.plain === 1)
  })

  it('looks the site up at the start, and for no visitor', async () => {
    const site = http.createServer({ keepAliveTimeout: 0 }, (request, response) => response.end('of the site'))
    site.listen(0, '127.0.0.1')
    await once(site, 'listening')
    scope.defer(() => { site.closeAllConnections(); site.close() })
    const { lookup } = dns
    scope.defer(() => { dns.lookup = lookup })
    const asked = []
    dns.lookup = (host, options, done) => {
      if (host !== 'site.test') return lookup(host, options, done)
      asked.push(done)
    }
    const { server, port } = await stealthy({ stealthUpstream: `http://site.test:${site.address().port}` })
    const GONE = get('/', 'Host: a\r\nConnection: close\r\n')
    assert.strictEqual(asked.length, 1)
    const early = answerTo(port, GONE)
    await counts(server, ({ visiting }) => visiting === 1)
    asked[0](null, [{ address: '127.0.0.1', family: 4 }])
    assert.match(await early, /of the site/)
    for (let i = 0; i < 5; i++) assert.match(await answerTo(port, GONE), /of the site/)
    await server.reloadAll()
    assert.match(await answerTo(port, GONE), /of the site/)
    assert.strictEqual(asked.length, 1)
  })

  it('hands whom it would turn away to the site, too', async () => {
    const site = http.createServer({ keepAliveTimeout: 0 })
    site.on('clientError', (err, socket) => socket.end(`HTTP/1.1 400 of the site, ${err.code}\r\n\r\n`))
    site.listen(0, '127.0.0.1')
    await once(site, 'listening')
    scope.defer(() => { site.closeAllConnections(); site.close() })
    const { server, port, login } = await stealthy({ stealthUpstream: `http://127.0.0.1:${site.address().port}`, maxUnauthenticatedPerIp: 0, maxConnectionsPerIp: 1 })
    await echo(await login())
    assert.match(await answerTo(port, BANNER), /^HTTP\/1\.1 400 of the site, HPE_/)
    assert.strictEqual(server.stats().refused.max_connections_per_ip, 1)
  })

  it('says what nginx says of a site that is not there', async () => {
    const log = []
    const { server, port } = await stealthy({ stealthUpstream: `http://127.0.0.1:${await freePort()}`, log: { write: (line) => { log.push(line) } } })
    const answer = await answerTo(port, get() + get('/x', 'Host: a\r\nConnection: close\r\n'))
    assert.match(answer, /^HTTP\/1\.1 502 Bad Gateway\r\nServer: nginx\/1\.22\.1\r\n[^]*keep-alive[^]*HTTP\/1\.1 502 Bad Gateway\r\n[^]*close\r\n/)
    await counts(server, ({ visitors }) => visitors.served === 1)
    assert(log.some((line) => /^WARN site failed error=ECONNREFUSED$/.test(line)), log.join('\n'))
  })

  it('bears a reload that takes the site from those who are coming', async () => {
    const { server, port } = await stealthy({ stealthUpstream: `http://127.0.0.1:${await freePort()}` })
    const probe = await new Probe().open(port, {})
    scope.defer(() => probe.close())
    await server.reloadAll({ stealthUpstream: undefined })
    await probe.write(Buffer.from(get('/', 'Host: a\r\nConnection: close\r\n')))
    await probe.ended
    assert.match(probe.said.toString('latin1'), /^HTTP\/1\.1 502 /) // of the site that there was when it came
    assert.match(await answerTo(port, get('/', 'Host: a\r\nConnection: close\r\n')), /^HTTP\/1\.1 404 /)
  })

  it('calls itself what it is told to', async () => {
    const { port } = await stealthy({ stealthServer: 'cloud thing' })
    const answer = await answerTo(port, 'GET / HTTP/1.0\r\n\r\n')
    assert.match(answer, /\r\nServer: cloud thing\r\n[^]*<center>cloud thing<\/center>/)
  })

  it('is one of several listeners, with sessions in common', async () => {
    const { server, login, keys } = await startServer(scope, {
      listeners: [
        { listen: 'tcp://127.0.0.1:0' },
        { listen: 'tls://127.0.0.1:0', tlsCert: id.cert, tlsKey: id.key },
        { listen: 'tls://127.0.0.1:0', tlsCert: id.cert, tlsKey: id.key, stealth: true }
      ],
      listen: undefined,
      stealthSecret: SECRET,
      onConnection: (stream) => stream.pipe(stream)
    })
    assert(keys)
    const [tcp, secure, stealth] = server.address().map(({ port }) => ({ server: `127.0.0.1:${port}` }))
    const withTls = { transport: 'tls', tlsCa: ca.cert }
    for (const options of [tcp, { ...secure, ...withTls }, { ...stealth, ...withTls, stealthSecret: SECRET }]) await echo(await login(options))
    assert.strictEqual(server.sessions().length, 3)
    const ports = server.address().map(({ port }) => port)
    const plain = net.connect(ports[0], '127.0.0.1')
    scope.defer(() => { plain.destroy() })
    plain.end()
    assert.match(await textOf(plain), /^SSH-2\.0-/)
    const visitor = await ask(ports[2], get())
    await visitor.hear('</html>')
    await server.close()
    await visitor.ended
    assert.strictEqual(visitor.end, 'fin')
    visitor.close()
  })

  it('is the main thread\'s, beside workers', async () => {
    const target = await echoServer(scope)
    const { server, login } = await startServer(scope, {
      listen: ['tls://127.0.0.1:0', 'tcp://127.0.0.1:0'], tlsCert: id.cert, tlsKey: id.key, stealth: true, stealthSecret: SECRET, workers: 2
    })
    const [stealth, tcp] = server.address()
    const works = async (options) => {
      const session = await login(options)
      const stream = await session.open({ host: '127.0.0.1', port: target.port })
      await expectEcho(stream)
      stream.destroy()
    }
    const withTls = { transport: 'tls', server: `127.0.0.1:${stealth.port}`, tlsCa: ca.cert }
    await works({ server: `127.0.0.1:${tcp.port}` })
    await works({ ...withTls, stealthSecret: SECRET })
    assert.match(await answerTo(stealth.port, BANNER), / 400 /)
    await server.reloadAll({ stealthSecret: OTHER })
    await works({ ...withTls, stealthSecret: OTHER })
  })

  it('takes over another secret, and another site, while it runs', async () => {
    const { server, port, login } = await stealthy({ stealthSecret: SECRET })
    const before = await login({ stealthSecret: SECRET })
    await server.reloadAll({ stealthSecret: OTHER, stealthServer: 'another' })
    await echo(before)
    await echo(await login({ stealthSecret: OTHER }))
    await assert.rejects(login({ stealthSecret: SECRET }))
    assert.match(await answerTo(port, 'GET / HTTP/1.0\r\n\r\n'), /Server: another/)
    await assert.rejects(server.reloadAll({ stealthSecret: Buffer.from('short') }), { code: 'ERR_ALKNET_OPTION' })
    await echo(await login({ stealthSecret: OTHER }))
  })
})
