'use strict'

/** What `alknet serve` refuses, denies, lets through and writes down. */

const assert = require('node:assert')
const fs = require('node:fs')
const os = require('node:os')
const { needAlknet, runAlknet, startAlknet, startConnect, startServe } = require('../helpers/alknet')
const { key } = require('../helpers/keys')
const { closed, dial, echoServer, expectEcho, freePort, listen, needIPv6Localhost, readBytes } = require('../helpers/net')
const { runSsh, startSsh } = require('../helpers/openssh')
const { need } = require('../helpers/proc')
const { suiteScope, testScope } = require('../helpers/scope')
const { socksCode, socksOpen } = require('../helpers/socks')
const { connectSsh2, forwardOut } = require('../helpers/ssh2')

describe('server: what is not a tunnel', function () {
  this.timeout(60000)
  const suite = suiteScope()
  const scope = testScope()
  let server, good, echo

  before(async function () {
    needAlknet(this)
    need(this, 'ssh')
    server = await startServe(suite)
    good = await startSsh(suite, server)
    echo = await echoServer(suite)
  })

  afterEach(async () => {
    if (good) await expectEcho(await socksOpen(scope, good.socks, '127.0.0.1', echo.port))
  })

  for (const [name, options] of [
    ['a command', { command: ['echo', 'leaked'] }],
    ['a shell', { command: [] }],
    ['a shell with a terminal', { args: ['-tt'] }],
    ['a subsystem', { args: ['-s'], command: ['sftp'] }],
    ['X11', { args: ['-X'], command: ['true'] }],
    ['an agent', { args: ['-A'], command: ['true'] }],
    ['stdio forwarding of nothing', { args: ['-W', `127.0.0.1:${1}`] }],
    ['a tunnel device', { args: ['-w', '0:0'], options: ['Tunnel=point-to-point'], command: ['true'] }]
  ]) {
    it(`refuses ${name} of ssh`, async () => {
      const { code, stdout, output } = await runSsh(scope, server, options)
      assert.strictEqual(code, 255, output)
      assert.strictEqual(stdout, '')
      assert.match(output, /Authenticated to/, 'refused after the login, not because of it')
      assert.match(output, /open failed|not allowed|refused|failed|disconnect|closed/i)
    })
  }

  it('refuses a listener on a privileged port', async () => {
    const { code, output } = await runSsh(scope, server, { args: ['-N', '-R', '0.0.0.0:81:127.0.0.1:1'] })
    assert.strictEqual(code, 255, output)
    assert.match(output, /forwarding failed/)
  })

  for (const [name, ask] of [
    ['exec', (client, done) => client.exec('id', done)],
    ['shell', (client, done) => client.shell(done)],
    ['subsystem', (client, done) => client.subsys('sftp', done)],
    ['x11', (client, done) => client.exec('id', { x11: true }, done)],
    ['a Unix socket', (client, done) => client.openssh_forwardOutStreamLocal('/var/run/docker.sock', done)],
    ['a Unix listener', (client, done) => client.openssh_forwardInStreamLocal('/tmp/x.sock', done)],
    ['a public listener', (client, done) => client.forwardIn('0.0.0.0', 80, done)]
  ]) {
    it(`refuses ${name} of ssh2, and the session goes on`, async () => {
      const client = await connectSsh2(scope, server)
      const err = await new Promise((resolve) => ask(client, resolve))
      assert.ok(err instanceof Error, 'it was not refused')
      await expectEcho(await forwardOut(client, '127.0.0.1', echo.port))
    })
  }

  it('no-more-sessions and an unknown global request do no harm', async () => {
    const client = await connectSsh2(scope, server)
    client.openssh_noMoreSessions(() => {})
    await expectEcho(await forwardOut(client, '127.0.0.1', echo.port))
  })

  it('answers keepalives', async () => {
    const client = await connectSsh2(scope, server)
    for (let i = 0; i < 3; i++) {
      await new Promise((resolve) => {
        client._callbacks.push(resolve) // what its own keepalive timer does
        client._protocol.ping()
      })
    }
    await expectEcho(await forwardOut(client, '127.0.0.1', echo.port))
  })
})

describe('server: refusals', function () {
  this.timeout(60000)
  const suite = suiteScope()
  const scope = testScope()
  let server

  before(async function () {
    needAlknet(this)
    server = await startServe(suite)
  })

  it('tells a refused connection from a forbidden one', async () => {
    const client = await connectSsh2(scope, server)
    const port = await freePort()
    const refused = await forwardOut(client, '127.0.0.1', port).then(() => null, (err) => err)
    assert.strictEqual(refused.reason, 2)
    assert.match(refused.message, /refused/i)
    const denied = await forwardOut(client, '169.254.169.254', 80).then(() => null, (err) => err)
    assert.strictEqual(denied.reason, 1)
    const named = await forwardOut(client, 'alknet-anything', 80).then(() => null, (err) => err)
    assert.strictEqual(named.reason, 1)
  })

  it('a refusal never repeats the destination or an address', async () => {
    const client = await connectSsh2(scope, server)
    for (const host of ['169.254.169.254', 'some-secret-name.invalid']) {
      const err = await forwardOut(client, host, 80).then(() => null, (err) => err)
      assert.ok(!err.message.includes(host), err.message)
    }
  })

  it('a connection refused does not hold up another that is slow', async () => {
    // A listener with a full queue answers nobody; others must not wait for it.
    const client = await connectSsh2(scope, server)
    const echo = await echoServer(scope)
    const slow = forwardOut(client, '192.0.2.1', 9).then(() => {}, () => {})
    await expectEcho(await forwardOut(client, '127.0.0.1', echo.port))
    client.destroy()
    await slow
  })
})

describe('server: the built-in deny', function () {
  this.timeout(60000)
  const suite = suiteScope()
  const scope = testScope()
  let echo

  before(async function () {
    needAlknet(this)
    echo = await echoServer(suite)
  })

  async function proxyOf (options) {
    const server = await startServe(scope, options)
    const address = server.host === '0.0.0.0' ? { ...server, host: '127.0.0.1' } : server
    const { socks } = await startConnect(scope, { ...address, knownHosts: null },
      { args: ['--host-key', key('ed25519', 'host').fingerprint] })
    return { server, socks }
  }

  for (const rule of [() => `0.0.0.0:${echo.port}`, () => `unspecified:${echo.port}`, () => 'unspecified:*', () => '0.0.0.0/8:1-65535']) {
    it(`--allow lifts it for what it names (${rule.toString().slice(6)})`, async () => {
      const { socks } = await proxyOf({ args: ['--allow', rule()] })
      await expectEcho(await socksOpen(scope, socks, '0.0.0.0', echo.port))
      assert.strictEqual(await socksCode(scope, socks, '169.254.169.254', 80), 2)
    })
  }

  it('--allow lifts it for no other port', async () => {
    const other = echo.port === 65535 ? 65534 : echo.port + 1
    const { socks } = await proxyOf({ args: ['--allow', `0.0.0.0:${other}`] })
    assert.strictEqual(await socksCode(scope, socks, '0.0.0.0', echo.port), 2)
  })

  it('--allow of one thing does not close the rest', async () => {
    const { socks } = await proxyOf({ args: ['--allow', '0.0.0.0:1'] })
    await expectEcho(await socksOpen(scope, socks, '127.0.0.1', echo.port))
  })

  it('a listener for all addresses is denied at each of them', async () => {
    const { server, socks } = await proxyOf({ listen: ['0.0.0.0:0'] })
    const own = Object.values(os.networkInterfaces()).flat()
      .filter((a) => a.family === 'IPv4' && !/^169\.254/.test(a.address)).map((a) => a.address)
    for (const address of ['127.0.0.1', '127.0.0.2', ...own]) {
      assert.strictEqual(await socksCode(scope, socks, address, server.port), 2, address)
    }
  })

  it('a listener for all IPv6 addresses is denied at IPv4 too', async () => {
    const { server, socks } = await proxyOf({ listen: ['127.0.0.1:0', '[::]:0'] })
    const ports = [...server.proc.output.matchAll(/listening on \S+:(\d+)/g)].map((m) => Number(m[1]))
    assert.strictEqual(ports.length, 2)
    for (const port of ports) {
      assert.strictEqual(await socksCode(scope, socks, '127.0.0.1', port), 2)
    }
    assert.strictEqual(await socksCode(scope, socks, '::1', ports[1]), 2)
  })

  it('a rule that names the own listener lifts it', async () => {
    const port = await freePort()
    const { server, socks } = await proxyOf({ listen: [`127.0.0.1:${port}`], args: ['--allow', `127.0.0.1:${port}`] })
    const stream = await socksOpen(scope, socks, '127.0.0.1', server.port)
    assert.match((await readBytes(stream, 8)).toString(), /^SSH-2\.0-/)
  })

  for (const rule of ['', 'nonsense rule here', '10.0.0.0/33:*', '1.2.3.4', '1.2.3.4:70000', '1.2.3.4:9-1', '[::1:80', 'a b:80']) {
    it(`--allow ${JSON.stringify(rule)} is a fault, exit 2`, async () => {
      const proc = startAlknet(scope, ['serve', '--key', key('ed25519', 'host').path, '--listen', '127.0.0.1:0', '--allow', rule])
      // A server that starts instead would never end.
      const outcome = await Promise.race([proc.exited, proc.waitFor(/listening on/).catch(() => proc.exited)])
      assert.strictEqual(outcome.code, 2, proc.output)
    })
  }
})

describe('server: its log', function () {
  this.timeout(60000)
  const scope = testScope()
  before(function () { needAlknet(this) })

  it('has a line for each login and each connection, and no destination', async () => {
    const server = await startServe(scope)
    const echo = await echoServer(scope)
    const identity = key('ed25519', 'user')
    const client = await startConnect(scope, server)
    await expectEcho(await socksOpen(scope, client.socks, 'localhost', echo.port))
    await socksCode(scope, client.socks, 'a-secret-destination.invalid', 4242)
    await socksCode(scope, client.socks, '169.254.169.254', 4242)
    client.proc.kill('SIGTERM')
    const { code } = await client.proc.exited
    assert.strictEqual(code, 0)
    await server.proc.waitFor(/connection closed/)
    const log = server.proc.output
    assert.match(log, /INFO connection opened remote_addr=127\.0\.0\.1 remote_port=\d+ transport=tcp/)
    assert.match(log, new RegExp('INFO auth attempt remote_addr=127\\.0\\.0\\.1 remote_port=\\d+ user="?alknet"? ' +
      `key_fingerprint=${identity.fingerprint.replace(/[+/]/g, '\\$&')} result=accept`))
    assert.match(log, /INFO connection closed remote_addr=127\.0\.0\.1 remote_port=\d+ transport=tcp duration=\d+(\.\d+)?/)
    for (const text of [log, client.proc.output]) {
      assert.doesNotMatch(text, /a-secret-destination|169\.254\.169\.254|localhost/)
    }
  })

  it('names a refused key, and why', async () => {
    const server = await startServe(scope)
    const stranger = key('ed25519', 'stranger')
    await assert.rejects(connectSsh2(scope, server, { identity: stranger }))
    await server.proc.waitFor(new RegExp('auth attempt .*' +
      `key_fingerprint=${stranger.fingerprint.replace(/[+/]/g, '\\$&')} result=reject reason=unknown_key`))
  })

  for (const user of ['evil\nINFO auth attempt remote_addr=192.0.2.66 result=reject', 'a b" c=d', '\x1b[31mred',
    'root\r\nfrom 1.2.3.4', 'ünïcode\u2028x', '', 'u'.repeat(5000)]) {
    it(`cannot be forged by the user name ${JSON.stringify(user).slice(0, 30)}`, async () => {
      const server = await startServe(scope)
      await assert.rejects(connectSsh2(scope, { ...server, user }, { identity: key('ed25519', 'stranger'), username: user || ' ' }))
      await server.proc.waitFor(/connection closed/)
      const log = server.proc.output
      assert.doesNotMatch(log, /^INFO auth attempt remote_addr=192/m)
      // eslint-disable-next-line no-control-regex
      assert.doesNotMatch(log, /[\x00-\x09\x0b-\x1f\x7f\u2028]/)
      for (const line of log.split('\n')) assert.ok(line.length < 2000, 'a line is bounded')
      for (const line of log.split('\n').filter((l) => l.includes('auth attempt'))) {
        assert.match(line, /^(\S+ )?INFO auth attempt remote_addr=127\.0\.0\.1 remote_port=\d+ user=("(\\.|[^"\\])*"|[^\s"=]*) /)
      }
    })
  }

  it('is JSON on demand', async () => {
    const server = await startServe(scope, { args: ['--log-format', 'json'] })
    const client = await connectSsh2(scope, server)
    client.end()
    await server.proc.waitFor(/connection closed/)
    const lines = server.proc.stderr.trim().split('\n').map((line) => JSON.parse(line))
    const opened = lines.find((line) => JSON.stringify(line).includes('connection opened'))
    assert.strictEqual(opened.remote_addr, '127.0.0.1')
    assert.strictEqual(typeof opened.remote_port, 'number')
  })
})

describe('server: limits', function () {
  this.timeout(60000)
  const scope = testScope()
  before(function () { needAlknet(this) })

  it('--max-auth-attempts: a client with too many keys is cut off', async () => {
    const server = await startServe(scope, { args: ['--max-auth-attempts', '2'] })
    const strangers = Array.from({ length: 4 }, (_, i) => key('ed25519', `stranger${i}`))
    const authHandler = [...strangers, key('ed25519', 'user')]
      .map((k) => ({ type: 'publickey', username: 'alknet', key: k.private }))
    await assert.rejects(connectSsh2(scope, server, { authHandler }))
    const attempts = [...server.proc.output.matchAll(/result=reject/g)].length
    assert.ok(attempts <= 3, `${attempts} attempts`)
    assert.doesNotMatch(server.proc.output, /result=accept/)
  })

  it('--max-connections-per-ip', async () => {
    const server = await startServe(scope, { args: ['--max-connections-per-ip', '2'] })
    const first = await dial(scope, server.port)
    await readBytes(first, 4)
    const second = await dial(scope, server.port)
    await readBytes(second, 4)
    // It may be reset before this side has seen it stand.
    await dial(scope, server.port).then(closed, (err) => assert.strictEqual(err.code, 'ECONNRESET'))
    first.destroy()
    await server.proc.waitFor(/connection closed/)
    const fourth = await dial(scope, server.port)
    assert.strictEqual((await readBytes(fourth, 4)).toString(), 'SSH-')
  })

  it('--max-channels: one more is refused with reason 4, the others live', async () => {
    const server = await startServe(scope, { args: ['--max-channels', '3'] })
    const echo = await echoServer(scope)
    const client = await connectSsh2(scope, server)
    const open = await Promise.all([1, 2, 3].map(() => forwardOut(client, '127.0.0.1', echo.port)))
    const err = await forwardOut(client, '127.0.0.1', echo.port).then(() => null, (err) => err)
    assert.strictEqual(err.reason, 4)
    for (const stream of open) await expectEcho(stream)
    const gone = closed(open[0])
    open[0].end()
    await gone
    await expectEcho(await forwardOut(client, '127.0.0.1', echo.port))
  })

  it('--max-sessions', async () => {
    const server = await startServe(scope, { args: ['--max-sessions', '1'] })
    const client = await connectSsh2(scope, server)
    await assert.rejects(connectSsh2(scope, server))
    const gone = new Promise((resolve) => client.once('close', resolve))
    client.end()
    await gone
    await server.proc.waitFor(/connection closed[^]*connection closed/)
    await connectSsh2(scope, server)
  })

  it('tells stock ssh why it goes, and the log says it, too', async () => {
    const control = `${scope.dir()}/c.sock`
    const server = await startServe(scope, { args: ['--max-sessions', '1', '--max-auth-attempts', '2', '--control', control] })
    const first = await startSsh(scope, server)
    const second = await runSsh(scope, server, { args: ['-N'] })
    assert.match(second.stderr, /Received disconnect from 127\.0\.0\.1 port \d+:12: too many sessions/)
    await server.proc.waitFor(/connection closed .*reason=max_sessions/)
    const third = await runSsh(scope, server, {
      identity: key('ed25519', 'stranger'), options: [`IdentityFile=${key('ed25519', 'stranger1').path}`], args: ['-N']
    })
    assert.match(third.stderr, /Received disconnect from 127\.0\.0\.1 port \d+:14: too many attempts to log in/)
    await server.proc.waitFor(/connection closed .*reason=max_auth_attempts/)
    const { stdout } = await runAlknet(scope, ['status', '--control', control])
    assert.match(stdout, /^ {2}closed +1 max_sessions, 1 max_auth_attempts$/m)
    server.proc.kill('SIGTERM')
    await first.proc.waitFor(/Received disconnect from 127\.0\.0\.1 port \d+:11: the server is shutting down/)
    assert.strictEqual((await server.proc.exited).code, 0)
    assert.match(server.proc.output, /connection closed .*reason=server_closed/)
  })

  it('tells a client that has said good-bye from one that is gone', async () => {
    const server = await startServe(scope)
    const first = await connectSsh2(scope, server)
    first.end()
    await server.proc.waitFor(/connection closed .*reason=closed_by_client/)
    const second = await startSsh(scope, server)
    second.proc.kill('SIGKILL')
    await server.proc.waitFor(/connection closed .*reason=(?:ERR_ALKNET_LOST|ECONNRESET)/)
  })

  it('logs and counts channels that are refused without a question', async () => {
    const control = `${scope.dir()}/c.sock`
    const server = await startServe(scope, { args: ['--max-channels', '1', '--control', control] })
    await runSsh(scope, server, { command: ['echo', 'x'] })
    await server.proc.waitFor(/channel refused remote_addr=\S+ remote_port=\d+ reason=unknown_type$/m)
    const good = await startSsh(scope, server)
    const echo = await echoServer(scope)
    const held = await socksOpen(scope, good.socks, '127.0.0.1', echo.port)
    await expectEcho(held)
    await socksOpen(scope, good.socks, '127.0.0.1', echo.port).then(() => assert.fail('one too many'), () => {})
    await server.proc.waitFor(/channel refused remote_addr=\S+ remote_port=\d+ reason=shortage problem="too many channels \(maxChannels\)"$/m)
    held.destroy()
    const { stdout } = await runAlknet(scope, ['status', '--control', control, '--json'])
    const { channelsRefused } = JSON.parse(stdout).stats
    assert.strictEqual(channelsRefused.unknown_type, 1)
    assert.ok(channelsRefused.shortage >= 1)
    assert.match((await runAlknet(scope, ['status', '--control', control])).stdout, /^ {2}no channel +1 unknown_type, \d+ shortage$/m)
  })

  it('listens on several addresses', async () => {
    const server = await startServe(scope, { listen: ['127.0.0.1:0', '127.0.0.1:0', '[::1]:0'] })
    await server.proc.waitFor(/(?:listening on [^]*){3}/)
    const at = [...server.proc.output.matchAll(/listening on \[?([0-9.:]+)\]?:(\d+)/g)]
    assert.strictEqual(at.length, 3)
    for (const [, host, port] of at) await connectSsh2(scope, { ...server, host, port: Number(port) })
  })

  it('serves many sessions at once', async () => {
    const server = await startServe(scope)
    const echo = await echoServer(scope)
    const clients = await Promise.all(Array.from({ length: 20 }, () => connectSsh2(scope, server)))
    for (const client of clients) await expectEcho(await forwardOut(client, '127.0.0.1', echo.port))
  })

  it('SIGHUP reads the authorized keys again; a bad file keeps the old ones', async () => {
    const file = scope.file('authorized_keys', `${key('ed25519', 'user').public}\n`)
    const server = await startServe(scope, { userKeys: [key('ed25519', 'stranger')], args: ['--authorized-keys', file] })
    await connectSsh2(scope, server)
    fs.writeFileSync(file, `${key('ed25519', 'other-user').public}\n`)
    server.proc.kill('SIGHUP')
    await server.proc.waitFor(/reload/i)
    await connectSsh2(scope, server, { identity: key('ed25519', 'other-user') })
    await assert.rejects(connectSsh2(scope, server))
    fs.rmSync(file)
    const seen = server.proc.output.length
    server.proc.kill('SIGHUP')
    await server.proc.waitFor(new RegExp(`^[^]{${seen},}reload`, 'i'))
    await connectSsh2(scope, server, { identity: key('ed25519', 'other-user') })
  })
})

describe('server: authorized_keys', function () {
  this.timeout(60000)
  const scope = testScope()
  before(function () { needAlknet(this) })

  const user = key('ed25519', 'user')

  async function may (authorizedKeys, target, deny = false) {
    const server = await startServe(scope, { authorizedKeys })
    const client = await connectSsh2(scope, server)
    if (target === undefined) return
    if (!deny) return expectEcho(await forwardOut(client, ...target))
    const err = await forwardOut(client, ...target).then(() => null, (err) => err)
    assert.strictEqual(err && err.reason, 1)
  }

  async function out (authorizedKeys) {
    const server = await startServe(scope, { authorizedKeys })
    await assert.rejects(connectSsh2(scope, server))
  }

  it('comments, blank lines and lines without sense', async () => {
    await may(`# hello\n\n   \nnot a key\nssh-ed25519 AAAA bad\n${user.public}\n`)
  })
  it('options without meaning here', () => may(
    `no-pty,no-X11-forwarding,no-agent-forwarding,command="echo \\"hi\\", there",environment="A=b c" ${user.public}\n`))
  it('an unknown option grants nothing', () => out(`frobnicate ${user.public}\n`))
  it('an unknown option with a value grants nothing', () => out(`frob="a b" ${user.public}\n`))
  it('from= of this address', () => may(`from="10.0.0.0/8,127.0.0.1" ${user.public}\n`))
  it('from= of another address', () => out(`from="10.0.0.0/8" ${user.public}\n`))
  it('from= with a negation', () => out(`from="!127.0.0.1,127.0.0.*" ${user.public}\n`))
  it('expiry-time= in the future', () => may(`expiry-time="29991231" ${user.public}\n`))
  it('expiry-time= in the past', () => out(`expiry-time="20010101" ${user.public}\n`))
  it('a cert-authority line is no login key', () => out(`cert-authority ${user.public}\n`))
  it('an unfinished quotation grants nothing', () => out(`from="127.0.0.1 ${user.public}\n`))

  it('no-port-forwarding and restrict forbid tunnels', async () => {
    const echo = await echoServer(scope)
    await may(`no-port-forwarding ${user.public}\n`, ['127.0.0.1', echo.port], true)
    await may(`restrict ${user.public}\n`, ['127.0.0.1', echo.port], true)
    await may(`restrict,port-forwarding ${user.public}\n`, ['127.0.0.1', echo.port])
  })

  it('permitopen= names the only targets', async () => {
    const echo = await echoServer(scope)
    await may(`permitopen="127.0.0.1:${echo.port}" ${user.public}\n`, ['127.0.0.1', echo.port])
    await may(`permitopen="127.0.0.1:*" ${user.public}\n`, ['127.0.0.1', echo.port])
    await may(`permitopen="localhost:${echo.port}" ${user.public}\n`, ['localhost', echo.port])
    await may(`permitopen="127.0.0.1:1",permitopen="10.0.0.1:80" ${user.public}\n`, ['127.0.0.1', echo.port], true)
  })

  it('the same key twice: the first line that holds for this client decides', async () => {
    await may(`from="10.0.0.0/8" ${user.public}\n${user.public}\n`)
  })
})

describe('server: names', function () {
  this.timeout(60000)
  const scope = testScope()

  it('tries every address of a name', async function () {
    needAlknet(this)
    const server = await startServe(scope)
    const client = await connectSsh2(scope, server)
    const four = await echoServer(scope)
    await expectEcho(await forwardOut(client, 'localhost', four.port))
    await needIPv6Localhost(this)
    const six = await listen(scope, (socket) => socket.pipe(socket), { host: '::1' })
    await expectEcho(await forwardOut(client, 'localhost', six.port))
  })
})
