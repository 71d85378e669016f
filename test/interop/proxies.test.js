'use strict'

/** Through real proxies, and through ones that misbehave: to a server, and from it to its targets. */

const assert = require('node:assert')
const dns = require('node:dns')
const { once } = require('node:events')
const net = require('node:net')
const { startServer } = require('../helpers/api')
const { connectArgs, needAlknet, runAlknet, startConnect, startServe } = require('../helpers/alknet')
const { curl, webServer } = require('../helpers/curl')
const { echoServer, expectEcho, freePort, listen } = require('../helpers/net')
const { need } = require('../helpers/proc')
const { PASSWORD, PLAIN_PASSWORD, programOf, scriptedHttp, startDante, startMicrosocks, startSquid, startTinyproxy } = require('../helpers/proxies')
const { suiteScope, testScope } = require('../helpers/scope')
const { socksCode, socksOpen } = require('../helpers/socks')

/** closed: what it says of a closed port. forbids: of what its rules forbid. twice: it lets itself be asked for itself. */
const KINDS = [
  { name: 'microsocks', program: 'microsocks', start: startMicrosocks, twice: true, closed: { code: 'ECONNREFUSED', reason: 5 } },
  { name: 'microsocks with a login', program: 'microsocks', start: (scope) => startMicrosocks(scope, { login: true }), login: true },
  { name: 'dante', program: programOf('danted'), start: startDante, closed: { code: 'ECONNREFUSED', reason: 5 }, forbids: { reason: 2 } },
  { name: 'tinyproxy', program: 'tinyproxy', start: startTinyproxy, closed: { code: 'ERR_ALKNET_PROXY', reason: 500 } },
  { name: 'tinyproxy with a login', program: 'tinyproxy', start: (scope) => startTinyproxy(scope, { login: true }), login: true },
  { name: 'squid', program: programOf('squid'), start: startSquid, twice: true, closed: { code: 'ERR_ALKNET_PROXY', reason: 503 }, forbids: { reason: 403 } },
  { name: 'squid with a login', program: programOf('squid'), start: (scope) => startSquid(scope, { login: true }), login: true }
]

describe('proxies: a client', function () {
  this.timeout(60000)
  const suite = suiteScope()
  const scope = testScope()
  let echo, server, login

  before(async function () {
    echo = await echoServer(suite)
    const started = await startServer(suite, { listen: ['127.0.0.1:0', '[::1]:0'] })
    server = started.server
    login = (options) => started.login({ server: at('127.0.0.1'), ...options })
  })

  const at = (host) => {
    const { port } = server.address().find((one) => (one.family === 6) === (host === '[::1]'))
    return `${host}:${port}`
  }

  /** A session through proxies, and something that goes through it. */
  const reach = async (proxy, host = '127.0.0.1') => {
    const session = await login({ proxy, server: at(host) })
    const stream = await session.open({ host: '127.0.0.1', port: echo.port })
    await expectEcho(stream)
    await session.close()
  }

  for (const kind of KINDS) {
    describe(kind.name, function () {
      const own = suiteScope()
      let proxy
      before(async function () {
        need(this, kind.program)
        proxy = await kind.start(own)
      })

      it('to an IPv4 address', () => reach(proxy.url))
      it('to an IPv6 address', () => reach(proxy.url, '[::1]'))
      it('to a name', () => reach(proxy.url, 'localhost'))

      it('by its name', () => reach(proxy.url.replace('127.0.0.1', 'localhost')))

      if (kind.twice) it('twice through it', () => reach([proxy.url, proxy.url]))

      if (kind.closed !== undefined) {
        it('says that nobody is there', async () => {
          const port = await freePort()
          await assert.rejects(login({ proxy: proxy.url, server: `127.0.0.1:${port}` }), (err) => {
            assert.deepStrictEqual({ code: err.code, reason: err.reason }, kind.closed, err.message)
            assert.deepStrictEqual([err.stage, err.hop, err.retryable], ['proxy', 1, true])
            return true
          })
        })
      }

      if (kind.forbids !== undefined) {
        it('says that it is not allowed', async () => {
          await assert.rejects(login({ proxy: proxy.url, server: '127.0.0.2:22' }),
            { code: 'ERR_ALKNET_PROXY', stage: 'proxy', hop: 1, retryable: false, ...kind.forbids })
        })
      }

      if (kind.login) {
        it('refuses a wrong password, and none', async () => {
          for (const wrong of [proxy.bare.replace('//', '//user:wrong@'), proxy.bare.replace('//', '//user@'), proxy.bare]) {
            await assert.rejects(login({ proxy: wrong }), (err) => {
              assert.deepStrictEqual([err.code, err.stage, err.hop, err.retryable], ['ERR_ALKNET_PROXYAUTH', 'proxy', 1, false], err.message)
              assert(!`${err.message}${err.stack}`.includes('wrong@'))
              return true
            })
          }
        })
      }
    })
  }

  describe('chains', () => {
    before(function () { need(this, 'microsocks', 'tinyproxy') })

    it('SOCKS then HTTP, HTTP then SOCKS, with logins, IPv6 in between', async () => {
      const socks = await startMicrosocks(scope, { login: true, host: '::1' })
      const http = await startTinyproxy(scope, { login: true })
      await reach([socks.url, http.url])
      await reach([http.url, socks.url], 'localhost')
      await reach([http.url, socks.url, socks.url], '[::1]')
    })

    it('say which proxy it was', async () => {
      const socks = await startMicrosocks(scope)
      const http = await startTinyproxy(scope, { login: true })
      await assert.rejects(login({ proxy: [socks.url, http.bare] }), { code: 'ERR_ALKNET_PROXYAUTH', hop: 2, reason: 407 })
      await assert.rejects(login({ proxy: [socks.url, `http://127.0.0.1:${await freePort()}`] }),
        { code: 'ECONNREFUSED', stage: 'proxy', hop: 1, reason: 5, message: /asked for the next proxy .* says: connection refused/ })
      await assert.rejects(login({ proxy: [`http://127.0.0.1:${await freePort()}`, socks.url] }),
        { code: 'ECONNREFUSED', stage: 'proxy', hop: 1, retryable: true })
    })
  })

  describe('that misbehaves', () => {
    const scripted = (answer) => scriptedHttp(scope, (socket) => {
      if (typeof answer === 'function') answer(socket)
      else socket.write(answer)
    })

    it('stalls', async () => {
      const proxy = await scripted('HTTP/1.1 200 OK\r\nSlow: ')
      await assert.rejects(login({ proxy: proxy.url, connectTimeout: 1 }), { code: 'ERR_ALKNET_TIMEOUT', stage: 'proxy', hop: 1, retryable: true })
      await assert.rejects(login({ proxy: [proxy.url.replace('http', 'socks5')], connectTimeout: 1 }), { code: 'ERR_ALKNET_TIMEOUT', stage: 'proxy' })
    })

    it('stalls, and somebody loses patience', async () => {
      const controller = new AbortController()
      const proxy = await scripted(() => controller.abort())
      await assert.rejects(login({ proxy: proxy.url, signal: controller.signal }), { code: 'ERR_ALKNET_CANCELED' })
    })

    for (const [name, answer, code, message] of [
      ['has an endless head', `HTTP/1.1 200 OK\r\nA: ${'a'.repeat(9000)}`, 'ERR_ALKNET_LIMIT', /8 KiB/],
      ['has endless interim heads', 'HTTP/1.1 102 Processing\r\n\r\n'.repeat(400), 'ERR_ALKNET_LIMIT', /8 KiB/],
      ['is none', 'SSH-2.0-nothing\r\n', 'ERR_ALKNET_PROTO', /not HTTP/],
      ['says HTTP/2', 'HTTP/2 200\r\n\r\n', 'ERR_ALKNET_PROTO', /not HTTP/],
      ['switches protocols', 'HTTP/1.1 101 Switching Protocols\r\n\r\n', 'ERR_ALKNET_PROTO', /not HTTP/],
      ['refuses in odd words', 'HTTP/1.1 418 \x1b[31mteapot\x07\r\n\r\n', 'ERR_ALKNET_PROTO', /not HTTP/],
      ['refuses in words of others', Buffer.from('HTTP/1.1 418 caf\xe9\r\n\r\n', 'latin1'), 'ERR_ALKNET_PROXY', /418 caf\?$/],
      ['moves', 'HTTP/1.1 302 Found\r\nLocation: http://elsewhere/\r\n\r\n', 'ERR_ALKNET_PROXY', /302 Found/],
      ['wants NTLM', 'HTTP/1.1 407 Auth\r\nProxy-Authenticate: NTLM\r\nContent-Length: 3\r\n\r\nno!', 'ERR_ALKNET_PROXYAUTH', /407.*offers NTLM/],
      ['ends', (socket) => socket.end(), 'ERR_ALKNET_PROXY', /ended the connection/],
      ['ends within its head', (socket) => socket.end('HTTP/1.1 200 OK\r\n'), 'ERR_ALKNET_PROXY', /ended the connection/],
      ['resets', (socket) => socket.resetAndDestroy(), 'ECONNRESET', /reset/]
    ]) {
      it(name, async () => {
        const proxy = await scripted(answer)
        await assert.rejects(login({ proxy: proxy.url }), (err) => {
          assert.deepStrictEqual([err.code, err.stage, err.hop], [code, 'proxy', 1], err.message)
          assert.match(err.message, message)
          return true
        })
      })
    }

    it('says 200 and then something else than SSH', async () => {
      const proxy = await scripted((socket) => socket.end('HTTP/1.1 200 OK\r\n\r\n<html>not SSH at all</html>\r\n'))
      await assert.rejects(login({ proxy: proxy.url }), (err) => ['kex', 'protocol', 'session'].includes(err.stage) && !err.message.includes('html'))
    })

    it('gives the banner in the segment of its answer', async () => {
      const { port } = server.address().find((one) => one.family === 4)
      const proxy = await scripted((socket) => {
        const to = net.connect(port, '127.0.0.1')
        scope.defer(() => to.destroy())
        to.once('data', (banner) => {
          // The server speaks first: the answer and its banner leave as one.
          socket.write(Buffer.concat([Buffer.from('HTTP/1.1 200 OK\r\n\r\n'), banner]))
          to.pipe(socket).pipe(to)
        })
      })
      const session = await login({ proxy: proxy.url })
      await expectEcho(await session.open({ host: '127.0.0.1', port: echo.port }))
      assert.deepStrictEqual(proxy.requests, [`CONNECT 127.0.0.1:${port} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n\r\n`])
    })

    it('hears nothing of the tunnel before its yes', async () => {
      let early = null
      const proxy = await scripted((socket) => {
        early = 0
        socket.on('data', (chunk) => { early += chunk.length })
      })
      const controller = new AbortController()
      const opening = login({ proxy: proxy.url, signal: controller.signal, connectTimeout: 1 })
      await assert.rejects(opening, { code: 'ERR_ALKNET_TIMEOUT' })
      assert.strictEqual(early, 0)
      assert.doesNotMatch(proxy.requests[0], /SSH-/)
    })
  })
})

describe('proxies: a server', function () {
  this.timeout(60000)
  const suite = suiteScope()
  const scope = testScope()
  let echo
  before(async () => { echo = await echoServer(suite) })

  const start = async (options) => {
    const lines = []
    const log = { level: 'debug', write: (line) => lines.push(line) }
    const { server, login } = await startServer(scope, { log, ...options })
    return { server, session: await login(), lines }
  }

  const refused = (reason, message) => ({ code: 'ERR_ALKNET_CHANNEL', reason, message })

  for (const kind of KINDS) {
    it(`reaches targets through ${kind.name}`, async function () {
      need(this, kind.program)
      const proxy = await kind.start(scope)
      const { session } = await start({ proxy: proxy.url })
      await expectEcho(await session.open({ host: '127.0.0.1', port: echo.port }))
      await expectEcho(await session.open({ host: 'localhost', port: echo.port }))
      const port = await freePort()
      await assert.rejects(session.open({ host: '127.0.0.1', port }),
        refused(2, kind.closed?.code === 'ECONNREFUSED' || kind.program === 'microsocks' ? /Connection refused/ : /the proxy of the server could not connect/))
      if (kind.forbids !== undefined) {
        await assert.rejects(session.open({ host: '127.0.0.2', port }), refused(1, /the proxy of the server does not allow it/))
      }
    })
  }

  it('for its clients\' SOCKS and forwards', async function () {
    need(this, 'microsocks')
    const proxy = await startMicrosocks(scope, { login: true })
    const { session } = await start({ proxy: proxy.url })
    const socks = (await session.socks5({ socks5: '127.0.0.1:0' })).address()
    const forward = (await session.forwardLocal(`0:localhost:${echo.port}`)).address()
    const at = { host: socks.address, port: socks.port }
    await expectEcho(await socksOpen(scope, at, 'localhost', echo.port))
    const socket = net.connect(forward.port, forward.address)
    scope.defer(() => socket.destroy())
    await expectEcho(socket)
    assert.strictEqual(await socksCode(scope, at, '127.0.0.1', await freePort()), 5)
  })

  it('hands names over, and looks none up', async () => {
    const proxy = await scriptedHttp(scope, (socket) => {
      const to = net.connect(echo.port, '127.0.0.1')
      socket.write('HTTP/1.1 200 OK\r\n\r\n')
      scope.defer(() => to.destroy())
      socket.pipe(to).pipe(socket)
    })
    const { session, lines } = await start({ proxy: proxy.url })
    // No resolver knows it (RFC 6761 §6.4), and the scripted proxy does not care.
    await expectEcho(await session.open({ host: 'Secret.Target.invalid', port: 7 }))
    assert.deepStrictEqual(proxy.requests.map((one) => one.split('\r\n')[0]), ['CONNECT secret.target.invalid:7 HTTP/1.1'])
    assert.doesNotMatch(lines.join('\n'), /secret\.target/i)
  })

  it('minds the policy, for names without an address', async () => {
    const proxy = await scriptedHttp(scope, (socket) => socket.end('HTTP/1.1 504 Late\r\n\r\n'))
    const forwarding = { rules: ['allow known.test:80', 'deny 10.0.0.0/8:*', 'deny never.test:*'] }
    const { session, server } = await start({ proxy: proxy.url, forwarding })
    const open = (host) => session.open({ host, port: 80 })
    await assert.rejects(open('known.test'), refused(2, /timed out/))
    await assert.rejects(open('other.test'), refused(1, /does not see the address/))
    await assert.rejects(open('10.0.0.1'), refused(1, /denied by a rule/))
    await assert.rejects(open('169.254.169.254'), refused(1, /built-in deny of metadata/))
    const { address, port } = server.address()
    await assert.rejects(session.open({ host: address, port }), refused(1, /own listeners/))
    await assert.rejects(open('11.0.0.1'), refused(2, /timed out/))
    assert.strictEqual(proxy.requests.length, 2)
  })

  it('asks authorize for what the policy leaves', async () => {
    const proxy = await scriptedHttp(scope, (socket) => socket.end('HTTP/1.1 503 no\r\n\r\n'))
    const asked = []
    const { session } = await start({
      proxy: proxy.url,
      forwarding: { rules: ['deny private'] },
      authorize: (request) => { if (request.kind === 'channel') asked.push(request.host); return true }
    })
    await assert.rejects(session.open({ host: 'a.test', port: 80 }), refused(1, /does not see/))
    await assert.rejects(session.open({ host: '8.8.8.8', port: 80 }), refused(2, /could not connect/))
    assert.deepStrictEqual(asked, ['8.8.8.8'])
  })

  it('tells its log, and not the client, what is wrong with the proxy', async () => {
    const gone = await freePort()
    const { session, lines, server } = await start({ proxy: `socks5://me:secret@127.0.0.1:${gone}` })
    await assert.rejects(session.open({ host: 'somewhere.test', port: 80 }), refused(2, /^(?!.*Connection refused)(?!.*127)(?!.*somewhere).*the server cannot use its proxy/))
    assert(lines.some((line) => /^WARN proxy failed error=ECONNREFUSED hop=1$/.test(line)), lines.join('\n'))
    assert.doesNotMatch(lines.join('\n'), /secret|somewhere/)
    // A reload takes another proxy over, for what is opened from now on.
    await server.reloadAll({ proxy: undefined })
    await expectEcho(await session.open({ host: '127.0.0.1', port: echo.port }))
  })

  it('tells it, too, of a proxy that does not answer, or is not to be found', async () => {
    const cannot = refused(2, /the server cannot use its proxy$/)
    const silent = await listen(scope, (socket) => socket.resume())
    const chain = await start({ proxy: [`socks5://127.0.0.1:${silent.port}`, 'socks5://127.0.0.1:1'], connectTimeout: 1 })
    await assert.rejects(chain.session.open({ host: 'a.test', port: 80 }), cannot)
    assert(chain.lines.includes('WARN proxy failed error=ERR_ALKNET_TIMEOUT hop=1'), chain.lines.join('\n'))
    const { lookup } = dns
    scope.defer(() => { dns.lookup = lookup })
    dns.lookup = () => {}
    const { session, lines } = await start({ proxy: 'socks5://proxy.test:1080', connectTimeout: 1 })
    await assert.rejects(session.open({ host: 'a.test', port: 80 }), cannot)
    assert(lines.includes('WARN proxy failed error=ERR_ALKNET_TIMEOUT hop=1'), lines.join('\n'))
  })

  it('gives up when its client does, and in time', async () => {
    const sockets = []
    const proxy = await listen(scope, (socket) => {
      sockets.push(socket)
      socket.resume()
    })
    const { session } = await start({ proxy: `socks5://127.0.0.1:${proxy.port}`, connectTimeout: 1 })
    await assert.rejects(session.open({ host: 'a.test', port: 80 }), refused(2, /timed out/))
    const controller = new AbortController()
    const opening = session.open({ host: 'a.test', port: 80 }, { signal: controller.signal })
    while (sockets.length < 2) await once(proxy, 'connection')
    controller.abort()
    await assert.rejects(opening, { code: 'ERR_ALKNET_CANCELED' })
    for (const socket of sockets) if (!socket.closed) await new Promise((resolve) => socket.once('close', resolve))
  })
})

describe('proxies: the command', function () {
  this.timeout(60000)
  const scope = testScope()

  before(function () { needAlknet(this) })

  it('a tunnel in a tunnel: the SOCKS5 of one client is the proxy of another', async function () {
    need(this, 'curl')
    const outer = await startServe(scope)
    const inner = await startServe(scope)
    const first = await startConnect(scope, outer, { args: ['--socks5-auth', 'me:p@ss'] })
    const second = await startConnect(scope, { ...inner, host: 'localhost' }, {
      knownHosts: inner.knownHosts.replaceAll('127.0.0.1', 'localhost'),
      env: { ALKNET_PROXY: `socks5h://me:p%40ss@${first.socks.host}:${first.socks.port}` }
    })
    const web = await webServer(scope, 'through two tunnels')
    const { stdout } = await curl(scope, ['--socks5-hostname', `${second.socks.host}:${second.socks.port}`, `http://127.0.0.1:${web.port}/`])
    assert.strictEqual(stdout, 'through two tunnels')
    for (const { proc } of [outer, inner, first, second]) assert.doesNotMatch(proc.output, /p@ss|p%40ss/)
  })

  it('reads the environment for env, and only for env', async () => {
    const server = await startServe(scope)
    const port = await freePort()
    const env = { HTTPS_PROXY: `127.0.0.1:${port}` }
    await startConnect(scope, server, { env })
    const { code, stderr } = await runAlknet(scope, connectArgs(scope, server, { args: ['--proxy', 'env'] }), { env })
    assert.strictEqual(code, 5)
    assert.match(stderr, new RegExp(`the proxy 127\\.0\\.0\\.1:${port}: .*refused`))
    await startConnect(scope, server, { args: ['--proxy', 'env'], env: { ...env, NO_PROXY: '127.0.0.0/8' } })
  })

  it('takes chains from flags and from a file, and shows none of it', async function () {
    need(this, 'microsocks', 'tinyproxy')
    const socks = await startMicrosocks(scope, { login: true })
    const http = await startTinyproxy(scope, { login: true })
    const server = await startServe(scope, { args: ['--proxy', http.url, '--proxy', socks.url] })
    const config = scope.file('alknet.toml', `[client]\nproxy = ["${socks.url}", "${http.url}"]\n`)
    const client = await startConnect(scope, server, { args: ['--config', config, '--log-level', 'debug'] })
    const echo = await echoServer(scope)
    await expectEcho(await socksOpen(scope, client.socks, 'localhost', echo.port))
    const check = await runAlknet(scope, connectArgs(scope, server, { args: ['--config', config, '--check'] }))
    assert.match(check.stdout, /^# proxy: set, and not shown$/m)
    for (const { output } of [server.proc, client.proc, check]) {
      for (const secret of [PASSWORD, PLAIN_PASSWORD, encodeURIComponent(PASSWORD)]) assert(!output.includes(secret), output)
    }
  })

  it('exits with 5 and says what the proxy said', async function () {
    need(this, 'tinyproxy')
    const server = await startServe(scope)
    const http = await startTinyproxy(scope, { ports: [1] })
    const { code, stderr } = await runAlknet(scope, connectArgs(scope, server, { args: ['--proxy', http.url] }))
    assert.strictEqual(code, 5)
    assert.match(stderr, /^alknet: the proxy 127\.0\.0\.1:\d+ says: it refused: 403 \S.*$/m)
  })
})
