'use strict'

/** Certificates by ACME, from Pebble, the test CA of Let's Encrypt. */

const assert = require('node:assert')
const { once, EventEmitter } = require('node:events')
const fs = require('node:fs')
const path = require('node:path')
const tls = require('node:tls')
const { needAlknet, runAlknet, startServe } = require('../helpers/alknet')
const { startServer } = require('../helpers/api')
const { echoServer, expectEcho } = require('../helpers/net')
const { EAB, openGate, startPebble } = require('../helpers/pebble')
const { need } = require('../helpers/proc')
const { suiteScope, testScope } = require('../helpers/scope')

const here = (server) => ({ host: '127.0.0.1', port: server.address().port })

describe('acme', function () {
  this.timeout(60000)
  const suite = suiteScope()
  const scope = testScope()
  let pebble, root

  before(async function () {
    needAlknet(this)
    need(this, 'pebble', 'openssl')
    pebble = await startPebble(suite)
    root = Buffer.from(await pebble.root())
  })

  afterEach(() => {
    if (pebble !== undefined) pebble.tls.to = pebble.http.to = () => null
  })

  /** A server that asks `ca`; lines: what it has logged; logged(pattern): the next such line, or one that was. */
  async function start (options = {}, ca = pebble) {
    const lines = []
    const news = new EventEmitter()
    const log = {
      level: 'debug',
      write: (line) => {
        lines.push(line)
        news.emit('line')
      }
    }
    const cache = options.acmeCache ?? path.join(scope.dir(), 'acme')
    const opened = await startServer(scope, {
      listen: 'tls://127.0.0.1:0',
      acmeDomain: 'tunnel.test',
      acmeDirectory: ca.directory,
      acmeCa: ca.ca,
      acmeCache: cache,
      log,
      ...options
    })
    ca.tls.to = () => here(opened.server)
    ca.http.to = () => opened.server._acme.challenges.addresses()[0] ?? null
    const logged = async (pattern, count = 1) => {
      for (;;) {
        const found = lines.filter((line) => pattern.test(line))
        if (found.length >= count) return found.at(-1)
        await once(news, 'line')
      }
    }
    return { ...opened, cache, lines, logged, issued: (count) => logged(/^INFO certificate issued/, count) }
  }

  /** A session over TLS to a server; name: whose certificate it has to have. */
  const secure = ({ login }, name = 'tunnel.test', trust = root) => login({ transport: 'tls', tlsCa: trust, tlsServerName: name })

  async function works (session, its = scope) {
    const echo = await echoServer(its)
    await expectEcho(await session.open({ host: '127.0.0.1', port: echo.port }))
  }

  /** What a server shows: the certificate, or the error. */
  async function shown (server, options = {}) {
    const socket = tls.connect({ ...here(server), rejectUnauthorized: false, servername: 'tunnel.test', ...options })
    try {
      await once(socket, 'secureConnect')
      return socket.getPeerX509Certificate()
    } catch (err) {
      return err
    } finally {
      socket.destroy()
    }
  }

  it('certifies names and addresses by tls-alpn-01, on the port of the tunnel', async () => {
    const one = await start({ acmeDomain: ['tunnel.test', 'Other.Test.', '127.0.0.1'], acmeContact: 'admin@tunnel.test' })
    await one.issued()
    for (const name of ['tunnel.test', 'other.test', '127.0.0.1']) await works(await secure(one, name))
    await assert.rejects(secure(one, 'third.test'), /hostname mismatch/)
    const { certificateOrders, certificateExpires, penalties } = one.server.stats()
    assert.deepStrictEqual([certificateOrders, penalties.no_auth], [{ issued: 1, failed: 0 }, 0])
    const { validTo } = await shown(one.server)
    assert.strictEqual(certificateExpires, Date.parse(validTo) / 1000)
    assert(!one.lines.some((line) => /^INFO .*tunnel\.test/.test(line)), one.lines.join('\n'))
  })

  it('keeps account and certificate, and asks for neither at the next start', async () => {
    const one = await start()
    await one.issued()
    const { serialNumber } = await shown(one.server)
    await one.server.close()
    const [authority] = fs.readdirSync(one.cache)
    const files = fs.readdirSync(path.join(one.cache, authority))
    assert.deepStrictEqual(files.map((name) => name.replace(/-[0-9a-f]{16}/, '')).sort(), ['account.json', 'tunnel.test.pem'])
    const modes = [one.cache, path.join(one.cache, authority), ...files.map((name) => path.join(one.cache, authority, name))]
      .map((file) => (fs.statSync(file).mode & 0o777).toString(8))
    assert.deepStrictEqual(modes, ['700', '700', '600', '600'])
    const two = await start({ acmeCache: one.cache })
    await works(await secure(two))
    assert.strictEqual((await shown(two.server)).serialNumber, serialNumber)
    assert.deepStrictEqual(two.server.stats().certificateOrders, { issued: 0, failed: 0 })
    const before = fs.readFileSync(path.join(one.cache, authority, 'account.json'), 'utf8')
    await two.server.renewCertificate()
    assert.strictEqual(fs.readFileSync(path.join(one.cache, authority, 'account.json'), 'utf8'), before)
  })

  it('renews when it is told to, and sessions go on', async () => {
    const one = await start()
    await one.issued()
    const session = await secure(one)
    const { serialNumber } = await shown(one.server)
    await one.server.renewCertificate()
    assert.notStrictEqual((await shown(one.server)).serialNumber, serialNumber)
    await works(session)
    await works(await secure(one))
    // Who has thrown the certificate away wants another.
    const dir = path.join(one.cache, fs.readdirSync(one.cache)[0])
    fs.rmSync(path.join(dir, fs.readdirSync(dir).find((name) => name.endsWith('.pem'))))
    await one.server.reloadAll()
    await one.issued(3)
    await works(session)
  })

  it('certifies by http-01, on a port that is open while the CA looks', async () => {
    const one = await start({ acmeChallenge: 'http-01', acmeHttpListen: '127.0.0.1:0', acmeDomain: ['tunnel.test', '127.0.0.1'] })
    await one.issued()
    await works(await secure(one, '127.0.0.1'))
    assert.deepStrictEqual(one.server._acme.challenges.addresses(), [])
  })

  it('starts while the CA is down, refuses handshakes, and comes back', async () => {
    const gate = await openGate(scope)
    const one = await start({ acmeDirectory: pebble.directory.replace(/:\d+\//, `:${gate.port}/`) })
    assert.match(await one.logged(/no certificate issued/), /^ERROR no certificate issued error=ECONNRESET problem="cannot reach 127\.0\.0\.1:\d+: Connection reset by peer" delay=\d\d$/)
    assert.match((await shown(one.server)).message, /unrecognized name/)
    assert.match((await shown(one.server, { ALPNProtocols: ['acme-tls/1'] })).message, /unrecognized name/)
    assert.strictEqual(one.server.stats().penalties.no_auth, 0)
    assert.strictEqual(one.server.stats().certificateExpires, null)
    gate.to = () => ({ host: '127.0.0.1', port: pebble.port })
    await one.server.reloadTls()
    await one.issued()
    await works(await secure(one))
    // And away again: nobody minds who has a certificate.
    gate.to = () => null
    await assert.rejects(one.server.renewCertificate(), { code: 'ECONNRESET', stage: 'acme', retryable: true })
    assert.match(await one.logged(/no certificate issued/, 2), /^WARN /)
    await works(await secure(one))
  })

  it('says what the CA says', async () => {
    const one = await start({ acmeDomain: ['tunnel.test', 'gone.test'] })
    const line = await one.logged(/no certificate issued/)
    assert.match(line, /error=ERR_ALKNET_ACME problem="the CA does not believe that gone\.test is this server's: .*gone\.test.*delay=\d+$/)
    assert.match((await shown(one.server)).message, /unrecognized name/)
    // What it did prove is not shown any more.
    assert.match((await shown(one.server, { ALPNProtocols: ['acme-tls/1'] })).message, /unrecognized name/)
  })

  it('renews what is valid for seconds, by itself', async () => {
    const one = await start({}, await startPebble(scope, { seconds: 6 }))
    await one.issued()
    // Not checked: on a slow machine it has expired by then.
    const session = await one.login({ transport: 'tls', insecure: true })
    const { serialNumber } = await shown(one.server)
    // There may be a second by now, and this be its number.
    await one.issued(one.lines.filter((line) => /^INFO certificate issued/.test(line)).length + 1)
    assert.notStrictEqual((await shown(one.server)).serialNumber, serialNumber)
    await works(session)
  })

  it('is shown by all threads, with the protocols that are chosen from', async () => {
    const one = await start({ workers: 2, tlsAlpn: 'http/1.1' })
    await one.issued()
    for (let i = 0; i < 4; i++) {
      const { serialNumber, issuer } = await shown(one.server, { ALPNProtocols: ['http/1.1'] })
      assert.match(String(issuer), /Pebble/, serialNumber)
    }
    assert.match((await shown(one.server, { ALPNProtocols: ['h2'] })).message, /no application protocol/)
    const { server } = one
    const { serialNumber } = await shown(server)
    await server.renewCertificate()
    for (let i = 0; i < 4; i++) assert.notStrictEqual((await shown(server)).serialNumber, serialNumber)
    await works(await secure(one))
  })

  it('binds the account to one that the CA has', async () => {
    const closed = await startPebble(scope, { eab: true })
    const one = await start({}, closed)
    assert.match(await one.logged(/no certificate issued/), /error=ERR_ALKNET_ACME problem=".*(external account|externalAccount).*"/i)
    const file = (key) => scope.file('hmac', `${key}\n`)
    const two = await start({ acmeEabKid: EAB.kid, acmeEabHmacFile: file(Buffer.alloc(48).toString('base64url')) }, closed)
    await two.logged(/no certificate issued/)
    const three = await start({ acmeEabKid: EAB.kid, acmeEabHmacFile: file(EAB.key) }, closed)
    await three.issued()
    assert(!three.lines.join('\n').includes(EAB.key))
  })

  it('makes an account again that the CA does not know any more', async () => {
    const one = await start()
    await one.issued()
    const file = path.join(one.cache, fs.readdirSync(one.cache)[0], 'account.json')
    const account = JSON.parse(fs.readFileSync(file, 'utf8'))
    fs.writeFileSync(file, JSON.stringify({ ...account, url: `${account.url}9` }))
    await one.server.renewCertificate()
    assert.strictEqual(JSON.parse(fs.readFileSync(file, 'utf8')).url, account.url)
  })

  it('is a matter of flags, too', async () => {
    const cache = path.join(scope.dir(), 'acme')
    const control = path.join(scope.dir(), 'control.sock')
    const server = await startServe(scope, {
      listen: ['tls://127.0.0.1:0'],
      args: ['--acme-domain', 'tunnel.test', '--acme-directory', pebble.directory, '--acme-ca', pebble.ca, '--acme-cache', cache,
        '--acme-contact', 'admin@tunnel.test', '--acme-challenge', 'tls-alpn-01', '--metrics', '127.0.0.1:0', '--control', control]
    })
    pebble.tls.to = () => ({ host: server.host, port: server.port })
    const [, expires] = await server.proc.waitFor(/INFO certificate issued expires=(\S+)/)
    const status = await runAlknet(scope, ['status', '--control', control])
    assert.match(status.stdout, new RegExp(`certificate +until ${expires.replace('.', '\\.')}`))
    const [, url] = await server.proc.waitFor(/metrics on (\S+)/)
    assert.match(await (await fetch(url)).text(), new RegExp(`^alknet_tls_certificate_expires_seconds ${Date.parse(expires) / 1000}$`, 'm'))
    const doctor = await runAlknet(scope, ['doctor', 'serve', '--key', server.hostKeys[0].path, '--listen', 'tls://127.0.0.1:0', '--acme-domain', 'tunnel.test',
      '--acme-directory', pebble.directory, '--acme-ca', pebble.ca, '--acme-cache', cache])
    assert.match(doctor.stdout, /acme +\S+tunnel\.test-\w+\.pem: valid until/)
    assert.match(doctor.stdout, /127\.0\.0\.1:\d+ answers/)
  })
})
