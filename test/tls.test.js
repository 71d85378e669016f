'use strict'

const assert = require('assert')
const crypto = require('crypto')
const { once } = require('events')
const fs = require('fs')
const net = require('net')
const tls = require('tls')
const alknet = require('..')
const { startServer, textOf, threeKeys } = require('./helpers/api')
const { dial, drainStream, expectEcho, listen, patternDigest, sendPattern } = require('./helpers/net')
const { need } = require('./helpers/proc')
const { suiteScope, testScope } = require('./helpers/scope')
const { makeCa, openssl, selfSigned } = require('./helpers/tls-certs')

const TLS = (message) => ({ code: 'ERR_ALKNET_TLS', stage: 'tls', message })

/** A log of lines, and a promise for the first that matches. */
function logOf () {
  const lines = []
  const waiting = []
  const write = (line) => {
    lines.push(line)
    for (const { pattern, resolve } of waiting) if (pattern.test(line)) resolve(line)
  }
  const line = (pattern) => new Promise((resolve) => {
    const found = lines.find((one) => pattern.test(one))
    if (found === undefined) waiting.push({ pattern, resolve })
    else resolve(found)
  })
  return { lines, line, log: { level: 'info', write } }
}

describe('tls', () => {
  const suite = suiteScope()
  const scope = testScope()
  let ca, id

  before(function () {
    this.timeout(60000)
    need(this, 'openssl')
    ca = makeCa(suite)
    id = ca.issue()
  })

  /** A server on a tls port, and sessions with it. */
  async function secure (options = {}, sessions = {}) {
    const made = await startServer(scope, {
      listen: 'tls://127.0.0.1:0', tlsCert: id.cert, tlsKey: id.key, onConnection: (stream) => stream.pipe(stream), ...options
    })
    const port = [made.server.address()].flat().find((one) => one.transport === 'tls').port
    const login = (more) => made.login({ transport: 'tls', server: `127.0.0.1:${port}`, tlsCa: ca.cert, ...sessions, ...more })
    return { ...made, port, login }
  }

  /** Somebody else's. */
  const clientHello = () => new Promise((resolve) => {
    const probe = net.createServer((socket) => socket.once('data', (data) => { resolve(data); socket.destroy(); probe.close() }))
    probe.listen(0, '127.0.0.1', () => tls.connect({ port: probe.address().port, host: '127.0.0.1' }).on('error', () => {}))
  })

  // Whatever ends it: a reset is an end too.
  const gone = (socket) => new Promise((resolve) => {
    if (socket.closed) resolve()
    else socket.on('error', () => {}).resume().once('close', resolve)
  })

  const echo = async (session) => {
    const stream = await session.open({ host: 'alknet-echo', port: 0 })
    await expectEcho(stream)
    stream.destroy()
  }

  for (const sshEngine of alknet.versions.engines) {
    it(`carries a session, ${sshEngine}`, async () => {
      const { log, lines, line } = logOf()
      const seen = []
      const { server, login } = await secure({
        sshEngine, log, onConnection: (stream, info) => { seen.push(info.transport); stream.pipe(stream) }
      })
      assert.strictEqual(server.address().transport, 'tls')
      const session = await login()
      const stream = await session.open({ host: 'alknet-echo', port: 0 })
      const bytes = 3 << 20
      const sent = sendPattern(stream, bytes)
      const { digest } = await drainStream(stream)
      await sent
      assert.strictEqual(digest, patternDigest(bytes))
      assert.deepStrictEqual(seen, ['tls'])
      assert.strictEqual(server.sessions()[0].transport, 'tls')
      await session.close()
      assert.strictEqual(session.error, null)
      assert.match(await line(/^INFO connection closed/), /transport=tls duration=[\d.]+ reason=closed_by_client$/)
      assert.match(lines[0], /^INFO listening transport=tls address=127\.0\.0\.1 port=\d+$/)
      assert(lines.some((one) => /^INFO connection opened .*transport=tls$/.test(one)))
    })
  }

  it('tells what was agreed on, and takes up again what was before', async () => {
    const { login, server } = await secure()
    const first = await login()
    const fingerprint256 = new crypto.X509Certificate(fs.readFileSync(id.cert)).fingerprint256
    const agreed = { version: 'TLSv1.3', cipher: 'TLS_AES_128_GCM_SHA256', alpn: null, servername: null, resumed: false }
    assert.deepStrictEqual(first.info.tls, { ...agreed, fingerprint256 })
    assert.deepStrictEqual(server.sessions()[0].tls, { ...agreed, fingerprint256: null })
    await echo(first)
    const second = await login() // of the same process, to the same server
    assert.strictEqual(second.info.tls.resumed, true)
    assert.strictEqual(second.info.tls.fingerprint256, fingerprint256)
    await echo(second)
  })

  it('tells the server whom the client has asked for, and by which protocol', async () => {
    const named = ca.issue({ names: 'DNS:tunnel.example,IP:127.0.0.1' })
    const told = []
    const { server, login } = await secure({
      tlsCert: named.cert,
      tlsKey: named.key,
      tlsAlpn: ['h3', 'h2', 'http/1.1'],
      authorize: ({ kind, tls }) => { told.push([kind, tls]); return true },
      onConnection: (stream, { tls }) => { told.push(['connection', tls]); stream.end('x') }
    })
    server.on('auth', ({ tls }) => told.push(['auth', tls]))
    const session = await login({ tlsServerName: 'tunnel.example', tlsAlpn: 'http/1.1,h2' })
    assert.deepStrictEqual([session.info.tls.alpn, session.info.tls.servername], ['h2', 'tunnel.example'])
    await textOf(await session.open({ host: 'alknet-x', port: 0 }))
    assert.deepStrictEqual(told.map(([kind, { alpn, servername }]) => [kind, alpn, servername]),
      ['key', 'auth', 'channel', 'connection'].map((kind) => [kind, 'h2', 'tunnel.example']))
    const [one] = server.sessions()
    assert.deepStrictEqual([one.tls.alpn, one.tls.servername], ['h2', 'tunnel.example'])
    assert(Object.isFrozen(one.tls))
    const silent = await login() // it offers nothing
    assert.deepStrictEqual([silent.info.tls.alpn, silent.info.tls.servername], [null, null])
    await assert.rejects(login({ tlsAlpn: 'imap' }), TLS(/no application protocol \(alert 120\)$/))
  })

  it('works in disguise, with tickets too', async () => {
    const { login, server } = await secure({ tlsAlpn: 'http/1.1' })
    for (const resumed of [false, true]) {
      const session = await login({ stealth: true })
      assert.deepStrictEqual([session.info.tls.version, session.info.tls.alpn, session.info.tls.resumed], ['TLSv1.3', 'http/1.1', resumed])
      await echo(session)
      await session.close()
    }
    assert.strictEqual((await login()).info.tls.resumed, false) // another context, for another hello
    assert.strictEqual(server.sessions().length, 1)
  })

  it('looks at no protocol unless it is told to, and has no TLS to tell of over tcp', async () => {
    const seen = []
    const { server, login } = await secure({ listen: ['tls://127.0.0.1:0', '127.0.0.1:0'], onConnection: (stream, info) => { seen.push(info); stream.end('x') } })
    assert.strictEqual((await login({ tlsAlpn: ['anything', 'h2'] })).info.tls.alpn, null)
    const plain = await login({ server: `127.0.0.1:${server.address()[1].port}`, transport: 'tcp', tlsCa: undefined })
    await textOf(await plain.open({ host: 'alknet-x', port: 0 }))
    assert(!('tls' in plain.info) && !('tls' in seen[0]))
    assert.deepStrictEqual(server.sessions().map((one) => 'tls' in one), [true, false])
  })

  it('is verified: names, addresses, CAs', async () => {
    const named = ca.issue({ names: 'DNS:tunnel.example,DNS:localhost' })
    const { login, port } = await secure({ tlsCert: named.cert, tlsKey: named.key })
    await login({ tlsServerName: 'tunnel.example' })
    await login({ server: `localhost:${port}` })
    await assert.rejects(login(), TLS(/^cannot reach 127\.0\.0\.1:\d+: TLS handshake: the server's certificate: IP address mismatch$/))
    await assert.rejects(login({ tlsServerName: 'other.example' }), TLS(/hostname mismatch/))
    await assert.rejects(login({ tlsCa: [] }), TLS(/unable to get local issuer certificate/))
    await assert.rejects(login({ tlsCa: selfSigned(scope).cert }), TLS(/certificate/))
    await login({ tlsCa: [selfSigned(scope).cert, fs.readFileSync(ca.cert)], tlsServerName: 'tunnel.example' })
  })

  it('takes IPv4 and IPv6 addresses of a certificate', async function () {
    const { login } = await secure({ listen: ['tls://127.0.0.1:0'] })
    await login()
    const six = await secure({ listen: 'tls://[::1]:0' }).catch((err) => {
      if (err.code !== 'EADDRNOTAVAIL') throw err
      console.log('      skipped: this machine has no ::1')
      this.skip()
    })
    await six.login({ server: `[::1]:${six.port}` })
  })

  it('is not verified with insecure, which is loud each time', async () => {
    const own = selfSigned(scope, 'DNS:nobody.example')
    const { login } = await secure({ tlsCert: own.cert, tlsKey: own.key })
    await assert.rejects(login({ tlsCa: [] }), TLS(/certificate/))
    for (let i = 0; i < 2; i++) {
      const { log, lines } = logOf()
      await login({ tlsCa: [], insecure: true, log: { ...log, level: 'error' } })
      assert.deepStrictEqual(lines, ['ERROR TLS CERTIFICATE NOT CHECKED: only the host key says who the server is'])
    }
    await login({ tlsCa: own.cert, tlsServerName: 'nobody.example' }) // trusted by itself
  })

  it('refuses certificates that have expired, and says so to both', async () => {
    const expired = ca.issue({ days: -1 })
    const server = tls.createServer({ cert: fs.readFileSync(expired.cert), key: fs.readFileSync(expired.key) })
    server.listen(0, '127.0.0.1')
    scope.defer(() => server.close())
    await once(server, 'listening')
    const alert = once(server, 'tlsClientError')
    const keys = await threeKeys()
    await assert.rejects(alknet.openSession({
      transport: 'tls', server: `127.0.0.1:${server.address().port}`, tlsCa: ca.cert, identity: keys.user.privateKey, hostKey: keys.host.fingerprint
    }), TLS(/certificate has expired/))
    assert.match((await alert)[0].message, /alert certificate expired/)
  })

  it('tells what the other side speaks, where it is not TLS', async () => {
    const { login, server, keys } = await secure({ listen: ['tls://127.0.0.1:0', '127.0.0.1:0'] })
    const [, plain] = server.address()
    await assert.rejects(login({ server: `127.0.0.1:${plain.port}`, tlsServerName: 'localhost' }), TLS(/the peer does not speak TLS/))
    const { log, line } = logOf()
    const other = await secure({ log })
    await assert.rejects(alknet.openSession({
      server: `127.0.0.1:${other.port}`, identity: keys.user.privateKey, hostKey: keys.host.fingerprint, handshakeTimeout: 10
    }), { stage: 'kex' })
    assert.match(await line(/tls handshake failed/), /^INFO tls handshake failed remote_addr=127\.0\.0\.1 remote_port=\d+ transport=tls reason=ERR_ALKNET_TLS problem="TLS handshake: the peer does not speak TLS"$/)
    await other.login()
    const asked = logOf() // of another server: there is a line a second for each reason
    const http = await dial(scope, (await secure({ log: asked.log })).port)
    http.end('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n')
    assert.match(await asked.line(/tls handshake failed/), /the peer speaks HTTP, not TLS/)
  })

  it('gives a silent server as long as connectTimeout', async () => {
    let heard = () => {}
    const silent = await listen(scope, (socket) => socket.once('data', () => heard(socket)))
    const keys = await threeKeys()
    const options = { transport: 'tls', server: `127.0.0.1:${silent.port}`, identity: keys.user.privateKey, hostKey: keys.host.fingerprint, tlsCa: ca.cert }
    await assert.rejects(alknet.openSession({ ...options, connectTimeout: 1 }),
      { code: 'ERR_ALKNET_TIMEOUT', stage: 'tls', message: /no TLS handshake within 1 s \(connectTimeout\)$/ })
    const controller = new AbortController()
    heard = () => controller.abort(new Error('why'))
    await assert.rejects(alknet.openSession({ ...options, signal: controller.signal }), { code: 'ERR_ALKNET_CANCELED', stage: 'tls' })
    await Promise.all([...silent.sockets].map(gone))
    heard = (socket) => socket.end()
    await assert.rejects(alknet.openSession(options), { code: 'ERR_ALKNET_LOST', stage: 'tls', retryable: true })
  })

  it('limits a handshake in time, and counts it as somebody who has not logged in', async () => {
    const { log, line } = logOf()
    // First nobody's time comes, whatever this machine does meanwhile.
    const { server, login, port } = await secure({ log, tlsHandshakeTimeout: 600, maxUnauthenticated: 1, evictAfterMs: 600_000 })
    const stall = async () => {
      const stalled = await dial(scope, port)
      stalled.write(Buffer.from([0x16, 3, 1, 2, 0, 1])) // the beginning of a ClientHello
      return stalled
    }
    const first = await stall()
    while (server.connections === 0) await new Promise(setImmediate)
    await gone(net.connect(port, '127.0.0.1')) // turned away
    assert.match(await line(/connection rejected/), /transport=tls reason=max_unauthenticated$/)
    first.destroy()
    while (server.connections > 0) await new Promise(setImmediate)
    await server.reloadAll({ tlsHandshakeTimeout: 1 })
    await gone(await stall())
    assert.match(await line(/tls handshake failed.*TIMEOUT/), /reason=ERR_ALKNET_TIMEOUT problem="no TLS handshake within 1 s \(tlsHandshakeTimeout\)"$/)
    assert.strictEqual(server.connections, 0)
    await login()
  })

  it('serves the 201st while 200 handshakes are stalled', async () => {
    const { server, login, port } = await secure({ maxUnauthenticated: 0, maxUnauthenticatedPerIp: 0, tlsHandshakeTimeout: 600 })
    const stalled = await Promise.all(Array.from({ length: 200 }, () => dial(scope, port)))
    const hello = await clientHello()
    const answers = stalled.map((socket, index) => {
      if (index % 3 === 0) socket.write(hello.subarray(0, 20))
      if (index % 3 === 1) socket.write(hello)
      return index % 3 === 1 ? once(socket, 'data') : null // the rest say nothing at all
    })
    await Promise.all(answers)
    while (server.connections < 200) await new Promise(setImmediate)
    await echo(await login())
    assert.strictEqual(server.connections, 201)
    await server.close()
    await Promise.all(stalled.map(gone))
  })

  it('survives what is no handshake', async () => {
    const { server, login, port } = await secure()
    const hello = await clientHello()
    const bad = [
      Buffer.alloc(5000, 0x16), Buffer.from('\r\n'.repeat(2000)), Buffer.concat([hello, Buffer.alloc(40, 7)]),
      hello.subarray(0, hello.length - 3), Buffer.from([0x15, 3, 3, 0, 2, 2, 40]), Buffer.concat([hello, hello])
    ]
    await Promise.all(bad.map(async (bytes) => {
      const socket = await dial(scope, port)
      socket.end(bytes)
      await gone(socket)
    }))
    const slow = await dial(scope, port) // byte by byte is no fault
    for (const byte of hello) slow.write(Buffer.from([byte]))
    assert.strictEqual((await once(slow, 'data'))[0][0], 0x16) // a ServerHello
    slow.destroy()
    await echo(await login())
    while (server.connections > 1) await new Promise(setImmediate)
  })

  /** The serial number of what is shown on a port. */
  async function shown (port) {
    const socket = tls.connect({ port, host: '127.0.0.1', ca: fs.readFileSync(ca.cert) })
    await once(socket, 'secureConnect')
    const { serialNumber } = socket.getPeerCertificate()
    socket.destroy()
    return serialNumber
  }

  it('reads certificates again, and leaves sessions alone', async () => {
    const { lines, log, line } = logOf()
    const [cert, key] = [scope.file('cert.pem', fs.readFileSync(id.cert)), scope.file('key.pem', fs.readFileSync(id.key))]
    const { server, login, port } = await secure({ tlsCert: cert, tlsKey: key, log })
    const session = await login()
    const first = await shown(port)
    const next = ca.issue()
    fs.copyFileSync(next.cert, cert)
    await assert.rejects(server.reloadTls(), { code: 'ERR_ALKNET_OPTION', option: 'tlsKey', message: /it is not the certificate's/ })
    assert.match(await line(/not reloaded/), /^ERROR tls certificates not reloaded error=ERR_ALKNET_OPTION problem="tlsKey: /)
    assert.strictEqual(await shown(port), first)
    fs.copyFileSync(next.key, key)
    await server.reloadTls()
    await line(/^INFO tls certificates reloaded$/)
    const second = await shown(port)
    assert.notStrictEqual(second, first)
    await echo(session) // over the old one
    await echo(await login())

    const third = ca.issue()
    await server.reloadAll({ tlsCert: third.cert, tlsKey: third.key })
    assert(![first, second].includes(await shown(port)))
    const expired = ca.issue({ days: -1 })
    await assert.rejects(server.reloadAll({ tlsCert: expired.cert, tlsKey: expired.key, maxSessions: 1 }), { option: 'tlsCert', message: /has expired/ })
    assert.match(lines.at(-2), /^ERROR tls certificates not reloaded error=ERR_ALKNET_OPTION problem="tlsCert: .*has expired"$/)
    assert.strictEqual(lines.at(-1), 'INFO reloaded')
    assert(![first, second].includes(await shown(port)))
    await assert.rejects(login(), { code: 'ERR_ALKNET_AUTH' }) // maxSessions was taken over
    fs.copyFileSync(id.cert, expired.cert)
    fs.copyFileSync(id.key, expired.key)
    await server.reloadTls() // the files are those of the reload
    assert.strictEqual(await shown(port), first)
    await echo(session)
  })

  it('reads certificates again whatever is wrong with the rest of a reload', async () => {
    const { log, lines } = logOf()
    const [cert, key] = [scope.file('cert.pem', fs.readFileSync(id.cert)), scope.file('key.pem', fs.readFileSync(id.key))]
    const { server, login, port } = await secure({ tlsCert: cert, tlsKey: key, log })
    const renew = () => {
      const next = ca.issue()
      fs.copyFileSync(next.cert, cert)
      fs.copyFileSync(next.key, key)
    }
    const wrongs = [
      [{ maxSessions: 1, revokedKeys: `${cert}.gone` }, /no such file/],
      [{ maxSessions: 1, keepalive: -1 }, /^keepalive: /],
      [() => { throw new Error('no file') }, /^no file$/]
    ]
    for (const [changes, message] of wrongs) {
      const before = await shown(port)
      renew()
      await assert.rejects(server.reloadAll(changes), { message })
      assert.strictEqual(lines.at(-2), 'INFO tls certificates reloaded')
      assert.match(lines.at(-1), /^ERROR not reloaded /)
      assert.notStrictEqual(await shown(port), before)
    }
    const before = await shown(port)
    fs.writeFileSync(key, 'nothing of that kind')
    await assert.rejects(server.reloadAll({ keepalive: -1 }), { option: 'keepalive' })
    assert.match(lines.at(-2), /^ERROR tls certificates not reloaded /)
    assert.match(lines.at(-1), /^ERROR not reloaded .*keepalive/)
    assert.strictEqual(await shown(port), before)
    await login()
    await login() // maxSessions never was taken over
    await assert.rejects(server.reloadAll({ maxSessions: 1 }, { signal: AbortSignal.abort() }), { code: 'ERR_ALKNET_CANCELED' })
  })

  it('reads the files until the new start that a CA in their place needs', async () => {
    const { log, lines } = logOf()
    const [cert, key] = [scope.file('cert.pem', fs.readFileSync(id.cert)), scope.file('key.pem', fs.readFileSync(id.key))]
    const { server, port } = await secure({ tlsCert: cert, tlsKey: key, log })
    const first = await shown(port)
    await server.reloadAll({ tlsCert: undefined, tlsKey: undefined, acmeDomain: 'a.example', acmeCache: scope.dir() })
    assert(lines.includes('WARN needs a new start option=acmeDomain'), lines.join('\n'))
    assert.strictEqual(await shown(port), first)
    const next = ca.issue()
    fs.copyFileSync(next.cert, cert)
    fs.copyFileSync(next.key, key)
    await server.reloadTls()
    assert.notStrictEqual(await shown(port), first)
  })

  it('reads them again, too, when the signal of its start has come since', async () => {
    const controller = new AbortController()
    const { server, login, port } = await secure({ signal: controller.signal })
    const first = await shown(port)
    controller.abort()
    await server.reloadTls()
    assert.strictEqual(await shown(port), first)
    const [second, third] = [ca.issue(), ca.issue()]
    await server.reloadAll({ tlsCert: second.cert, tlsKey: second.key, signal: AbortSignal.abort() })
    const shownThen = await shown(port)
    assert.notStrictEqual(shownThen, first)
    const { host, user } = await threeKeys()
    await server.reloadAll(() => ({
      hostKey: host.privateKey, authorizedKeys: Buffer.from(user.publicKey), penalties: false, listen: 'tls://127.0.0.1:0', tlsCert: third.cert, tlsKey: third.key
    }))
    assert(![first, shownThen].includes(await shown(port)))
    await echo(await login())
  })

  it('listens in several places, each with its certificate, for one server', async () => {
    const { log, lines } = logOf()
    const other = ca.issue({ names: 'DNS:other.example' })
    const { server, login } = await startServer(scope, {
      listen: undefined,
      listeners: [
        { listen: ['127.0.0.1:0'] },
        { transport: 'tls', listen: ['127.0.0.1:0', 'tcp://127.0.0.1:0'] },
        { listen: 'tls://127.0.0.1:0', tlsCert: other.cert, tlsKey: other.key }
      ],
      tlsCert: id.cert,
      tlsKey: id.key,
      log,
      maxSessions: 3,
      onConnection: (stream, { transport }) => stream.end(transport)
    })
    const places = server.address()
    assert.deepStrictEqual(places.map((one) => one.transport), ['tcp', 'tls', 'tcp', 'tls'])
    const at = (index, more) => login({ server: `127.0.0.1:${places[index].port}`, ...more })
    const sessions = [
      await at(0),
      await at(1, { transport: 'tls', tlsCa: ca.cert }),
      await at(3, { transport: 'tls', tlsCa: ca.cert, tlsServerName: 'other.example' })
    ]
    const transports = await Promise.all(sessions.map(async (session) => textOf(await session.open({ host: 'alknet-x', port: 0 }))))
    assert.deepStrictEqual(transports, ['tcp', 'tls', 'tls'])
    await assert.rejects(at(2), { code: 'ERR_ALKNET_AUTH' }) // maxSessions is for all
    await assert.rejects(at(3, { transport: 'tls', tlsCa: ca.cert }), TLS(/mismatch/))
    const renewed = ca.issue({ names: 'DNS:renewed.example' })
    const listeners = [
      { listen: ['127.0.0.1:0'] },
      { transport: 'tls', listen: ['127.0.0.1:0', 'tcp://127.0.0.1:0'] },
      { listen: 'tls://127.0.0.1:0', tlsCert: renewed.cert, tlsKey: renewed.key }
    ]
    await server.reloadAll({ listeners, maxSessions: 4 })
    await at(3, { transport: 'tls', tlsCa: ca.cert, tlsServerName: 'renewed.example' })
    assert(!lines.some((one) => /needs a new start/.test(one)))
    await server.reloadAll({ listeners: listeners.slice(0, 2) })
    assert(lines.includes('WARN needs a new start option=listeners'))
    await server.close()
    await Promise.all(sessions.map((session) => session.closed))
  })

  it('goes over any Duplex', async () => {
    const { port, login } = await secure()
    const socket = await dial(scope, port)
    await assert.rejects(login({ server: undefined, stream: socket }), { option: 'tlsServerName' })
    await echo(await login({ server: undefined, stream: socket, tlsServerName: 'localhost' }))
    const second = await dial(scope, port)
    await assert.rejects(login({ server: undefined, stream: second, tlsServerName: 'x' }), TLS(/mismatch/))
    await gone(second)
  })

  it('does not start with what cannot be used', async () => {
    const keys = await threeKeys()
    const start = (options) => alknet.serve({ hostKey: keys.host.privateKey, listen: 'tls://127.0.0.1:0', tlsCert: id.cert, tlsKey: id.key, ...options })
    const expired = ca.issue({ days: -1 })
    const other = ca.issue()
    const junk = scope.file('junk.pem', 'nothing of that kind')
    const faults = [
      [{ tlsKey: other.key }, 'tlsKey', /key\.pem: it is not the certificate's/],
      [{ tlsCert: expired.cert, tlsKey: expired.key }, 'tlsCert', /cert\.pem: the certificate has expired/],
      [{ tlsCert: junk }, 'tlsCert', /junk\.pem: no certificate \(PEM\) is in it/],
      [{ tlsKey: junk }, 'tlsKey', /junk\.pem: no private key/],
      [{ tlsCert: `${junk}.gone` }, 'tlsCert', /no such file/],
      [{ tlsKey: scope.dir() }, 'tlsKey', /it is a directory/],
      [{ tlsCert: Buffer.from('x') }, 'tlsCert', /^tlsCert: no certificate/]
    ]
    for (const [options, option, message] of faults) {
      await assert.rejects(start(options), { code: 'ERR_ALKNET_OPTION', stage: 'options', option, message }, option)
      await assert.rejects(alknet.checkServe({ hostKey: keys.host.privateKey, listen: 'tls://127.0.0.1:0', tlsCert: id.cert, tlsKey: id.key, ...options }), { option })
    }
    await assert.rejects(alknet.openSession({
      transport: 'tls', server: '127.0.0.1:1', identity: keys.user.privateKey, hostKey: keys.host.fingerprint, tlsCa: junk
    }), { option: 'tlsCa', message: /junk\.pem: no certificate/ })
  })

  it('takes bytes, and keys with a passphrase', async () => {
    const encrypted = `${id.key}.encrypted`
    openssl('pkcs8', '-topk8', '-in', id.key, '-passout', 'pass:open sesame', '-out', encrypted)
    await assert.rejects(secure({ tlsKey: encrypted }), { option: 'tlsKey', message: /needs its passphrase/ })
    await assert.rejects(secure({ tlsKey: encrypted, passphrase: 'wrong' }), { option: 'tlsKey', message: /passphrase is wrong/ })
    const asked = []
    const bytes = { cert: fs.readFileSync(id.cert), key: fs.readFileSync(encrypted) }
    const { login, server } = await secure({ tlsCert: bytes.cert, tlsKey: bytes.key, passphrase: async (name) => { asked.push(name); return 'open sesame' } })
    await login({ tlsCa: fs.readFileSync(ca.cert) })
    assert.deepStrictEqual(asked, ['tlsKey'])
    await server.reloadTls() // what was given is as it was
    assert.deepStrictEqual(bytes.key, fs.readFileSync(encrypted))
  })

  it('is cut off, not ended, where the connection is', async () => {
    const { port, login } = await secure()
    const between = await listen(scope, (socket) => {
      const far = net.connect(port, '127.0.0.1')
      far.on('error', () => {})
      socket.pipe(far).pipe(socket)
    })
    const session = await login({ server: `127.0.0.1:${between.port}` })
    for (const socket of between.sockets) socket.end() // a FIN, and no close_notify
    await session.closed
    assert.strictEqual(session.error.code, 'ERR_ALKNET_LOST')
    assert.match(session.error.message, /cut off: it ended without a close_notify/)
  })
})
