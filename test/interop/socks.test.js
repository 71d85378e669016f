'use strict'

/** SOCKS as curl and as raw bytes speak it: every reply, every split. */

const assert = require('node:assert')
const crypto = require('node:crypto')
const dns = require('node:dns/promises')
const os = require('node:os')
const { connectArgs, needAlknet, runAlknet, startConnect, startServe } = require('../helpers/alknet')
const { curl, webServer } = require('../helpers/curl')
const { closed, dial, echoServer, expectEcho, freePort, listen, needIPv6Localhost, readAll, readBytes } = require('../helpers/net')
const { needSshd, startSshd } = require('../helpers/openssh')
const { need } = require('../helpers/proc')
const { suiteScope, testScope } = require('../helpers/scope')
const { greeting, login, readReply, request, request4, socks5, socksCode, socksOpen, writeCut } = require('../helpers/socks')
const { startSsh2Server } = require('../helpers/ssh2')

/** No machine has these, and no resolver knows it (RFC 6761 §6.4). */
const UNKNOWN_NAME = 'no-such-host.invalid'

const haveGlobalIPv6 = () => Object.values(os.networkInterfaces()).flat()
  .some((a) => a.family === 'IPv6' && !a.internal && !/^fe80/i.test(a.address))

describe('SOCKS: curl', function () {
  this.timeout(60000)
  const scope = suiteScope()
  const body = crypto.randomBytes(300000).toString('base64')
  let proxy, web, web6

  before(async function () {
    needAlknet(this)
    need(this, 'curl')
    proxy = (await startConnect(scope, await startServe(scope))).socks
    web = await webServer(scope, body)
    web6 = await webServer(scope, body, '::1')
  })

  const at = () => `${proxy.host}:${proxy.port}`

  for (const [name, flag, url] of [
    ['--socks5-hostname, a name', '--socks5-hostname', () => `http://localhost:${web.port}/`],
    ['--socks5-hostname, a name that only IPv6 answers at', '--socks5-hostname', () => `http://localhost:${web6.port}/`],
    ['--socks5-hostname, IPv4', '--socks5-hostname', () => `http://127.0.0.1:${web.port}/`],
    ['--socks5-hostname, IPv6', '--socks5-hostname', () => `http://[::1]:${web6.port}/`],
    ['--socks5, a name', '--socks5', () => `http://localhost:${web.port}/`],
    ['--socks5, IPv4', '--socks5', () => `http://127.0.0.1:${web.port}/`],
    ['--socks5, IPv6', '--socks5', () => `http://[::1]:${web6.port}/`],
    ['--socks4a, a name', '--socks4a', () => `http://localhost:${web.port}/`],
    ['--socks4a, IPv4', '--socks4a', () => `http://127.0.0.1:${web.port}/`],
    ['--socks4, IPv4', '--socks4', () => `http://127.0.0.1:${web.port}/`]
  ]) {
    it(name, async function () {
      if (/only IPv6/.test(name)) await needIPv6Localhost(this)
      const args = url().includes('localhost') && flag === '--socks5' ? ['-4'] : []
      const { code, stdout, stderr } = await curl(scope, [...args, flag, at(), url()])
      assert.strictEqual(code, 0, stderr)
      assert.strictEqual(stdout, body)
    })
  }

  it('says what went wrong', async () => {
    const refused = await curl(scope, ['--socks5-hostname', at(), `http://127.0.0.1:${await freePort()}/`])
    assert.strictEqual(refused.code, 97)
    assert.match(refused.stderr, /\(5\)/)
    const denied = await curl(scope, ['--socks5-hostname', at(), 'http://169.254.169.254/'])
    assert.strictEqual(denied.code, 97)
    assert.match(denied.stderr, /\(2\)/)
  })
})

describe('SOCKS: replies', function () {
  this.timeout(60000)
  const suite = suiteScope()
  const scope = testScope()
  let server, proxy, echo

  before(async function () {
    needAlknet(this)
    server = await startServe(suite)
    proxy = (await startConnect(suite, server)).socks
    echo = await echoServer(suite)
  })

  const code = (host, port, options) => socksCode(scope, proxy, host, port, options)

  it('0, an IPv4 address', async () => {
    const result = await socks5(scope, proxy, '127.0.0.1', echo.port)
    assert.deepStrictEqual([result.version, result.code, result.reserved], [5, 0, 0])
    assert.ok(result.atyp === 1 || result.atyp === 4)
    await expectEcho(result.socket)
  })

  it('0, an IPv6 address', async () => {
    const echo6 = await echoServer(scope, { host: '::1' })
    await expectEcho(await socksOpen(scope, proxy, '::1', echo6.port))
  })

  it('0, a name', async () => {
    await expectEcho(await socksOpen(scope, proxy, 'localhost', echo.port))
  })

  it('0, an address sent as a name', async () => {
    await expectEcho(await socksOpen(scope, proxy, '127.0.0.1', echo.port, { name: true }))
  })

  it('0, among several methods', async () => {
    await expectEcho(await socksOpen(scope, proxy, '127.0.0.1', echo.port, { methods: [1, 2, 0x80, 0] }))
    const all = Array.from({ length: 255 }, (_, i) => i)
    await expectEcho(await socksOpen(scope, proxy, '127.0.0.1', echo.port, { methods: all.reverse() }))
  })

  for (const [name, host, port, options] of [
    ['the metadata service', '169.254.169.254', 80],
    ['the metadata service as a name', '169.254.169.254', 80, { name: true }],
    ['the metadata service, IPv4-mapped', '::ffff:169.254.169.254', 80],
    ['another metadata service', '100.100.100.200', 80],
    ['the IPv6 metadata service', 'fd00:ec2::254', 80],
    ['a link-local IPv4 address', '169.254.1.2', 80],
    ['a link-local IPv6 address', 'fe80::1', 80],
    ['a link-local IPv6 address with a zone', 'fe80::1%lo', 80, { name: true }],
    ['an IPv4-mapped one with a zone', '::ffff:169.254.169.254%lo', 80, { name: true }],
    ['the IPv6 loopback address with a zone', '::1%lo', () => echo.port, { name: true }],
    ['the unspecified IPv4 address', '0.0.0.0', () => echo.port],
    ['the unspecified IPv6 address', '::', () => echo.port],
    ['0.0.0.0/8', '0.1.2.3', 80],
    ['the metadata service as a number', '2852039166', 80],
    ['the metadata service in hexadecimal', '0xa9.0xfe.0xa9.0xfe', 80],
    ['the server itself', '127.0.0.1', () => server.port],
    ['the server itself as a number', '2130706433', () => server.port],
    ['the server itself in short', '127.1', () => server.port],
    ['the server itself, IPv4-mapped', '::ffff:127.0.0.1', () => server.port],
    ['an alknet- name', 'alknet-control', 22],
    ['an alknet- name that nobody serves', 'alknet-foo', 22],
    ['an alknet- name with port 0', 'alknet-control', 0]
  ]) {
    it(`2, ${name}`, async () => {
      assert.strictEqual(await code(host, typeof port === 'function' ? port() : port, options), 2)
    })
  }

  it('2, the server itself by name', async () => {
    const addresses = await dns.lookup('localhost', { all: true })
    // The server is at 127.0.0.1 alone: where the name is ::1 too, that is tried, and nobody is there.
    const expected = addresses.some(({ address }) => address === '::1') ? 5 : 2
    assert.strictEqual(await code('localhost', server.port), expected)
  })

  it('3 or 4, a network without a route', async function () {
    if (haveGlobalIPv6()) {
      console.log('      skipped: this machine may have a route to 2001:db8::1')
      this.skip()
    }
    assert.ok([3, 4].includes(await code('2001:db8::1', 80)))
  })

  it('4, a name that does not exist', async () => {
    assert.strictEqual(await code(UNKNOWN_NAME, 80), 4)
  })

  it('5, a closed port', async () => {
    assert.strictEqual(await code('127.0.0.1', await freePort()), 5)
    assert.strictEqual(await code('::1', await freePort('::1')), 5)
    assert.strictEqual(await code('localhost', await freePort()), 5)
  })

  for (const command of [2, 3, 0, 4, 0xf0]) {
    it(`7, command ${command}`, async () => {
      assert.strictEqual(await code('127.0.0.1', echo.port, { command }), 7)
    })
  }

  for (const atyp of [0, 2, 5, 0xff]) {
    it(`8, address type ${atyp}`, async () => {
      assert.strictEqual(await code('127.0.0.1', echo.port, { atyp }), 8)
    })
  }

  for (const methods of [[], [2], [1], [0xff], [1, 2, 3, 0x80]]) {
    it(`no acceptable method among [${methods}]`, async () => {
      const { socket, method } = await socks5(scope, proxy, '127.0.0.1', echo.port, { methods })
      assert.strictEqual(method, 0xff)
      await closed(socket)
    })
  }

  it('closes after a refusal', async () => {
    const { socket, code } = await socks5(scope, proxy, '127.0.0.1', await freePort())
    assert.strictEqual(code, 5)
    await readAll(socket)
  })

  for (const [name, bytes] of [
    ['an empty name', Buffer.from([5, 1, 0, 3, 0, 0, 80])],
    ['a name with a NUL', request('local\0host', 80, { name: true })],
    ['a name with a line feed', request('local\nhost', 80, { name: true })]
  ]) {
    it(`never 0, ${name}`, async () => {
      const socket = await dial(scope, proxy.port)
      socket.write(greeting())
      await readBytes(socket, 2)
      socket.write(bytes)
      const answer = await readAll(socket)
      if (answer.length > 0) assert.notStrictEqual(answer[1], 0)
    })
  }

  for (const [name, bytes] of [
    ['HTTP', Buffer.from('GET / HTTP/1.1\r\nHost: x\r\n\r\n')],
    ['TLS', Buffer.from('16030100', 'hex')],
    ['version 6', Buffer.from([6, 1, 0])],
    ['a wrong version in the request', Buffer.concat([greeting(), Buffer.from([4, 1, 0, 1, 127, 0, 0, 1, 0, 80])])]
  ]) {
    it(`closes on ${name}`, async () => {
      const socket = await dial(scope, proxy.port)
      socket.write(bytes)
      await closed(socket)
      await expectEcho(await socksOpen(scope, proxy, '127.0.0.1', echo.port))
    })
  }

  it('SOCKS4: 90 and 91', async () => {
    for (const host of ['127.0.0.1', 'localhost']) {
      const socket = await dial(scope, proxy.port)
      socket.write(request4(host, echo.port))
      assert.deepStrictEqual([...(await readBytes(socket, 2))], [0, 90])
      await readBytes(socket, 6)
      await expectEcho(socket)
    }
    for (const bytes of [request4('127.0.0.1', await freePort()), request4('127.0.0.1', echo.port, 'u', 2)]) {
      const socket = await dial(scope, proxy.port)
      socket.write(bytes)
      assert.deepStrictEqual([...(await readBytes(socket, 2))], [0, 91])
      await closed(socket)
    }
  })

  it('SOCKS4 without an end: closed, nothing kept', async () => {
    const socket = await dial(scope, proxy.port)
    socket.write(Buffer.concat([Buffer.from([4, 1, 0, 80, 127, 0, 0, 1]), Buffer.alloc(100000, 0x61)]))
    await closed(socket)
  })

  it('handshake and first data in one segment', async () => {
    const socket = await dial(scope, proxy.port)
    socket.write(Buffer.concat([greeting(), request('127.0.0.1', echo.port), Buffer.from('early data')]))
    assert.deepStrictEqual([...(await readBytes(socket, 2))], [5, 0])
    assert.strictEqual((await readReply(socket)).code, 0)
    assert.strictEqual((await readBytes(socket, 10)).toString(), 'early data')
  })

  it('a client that ends right after its request gets its answer', async () => {
    const server = await listen(scope, (socket) => {
      socket.resume()
      socket.once('end', () => socket.end('answer'))
    })
    const socket = await dial(scope, proxy.port)
    socket.end(Buffer.concat([greeting(), request('127.0.0.1', server.port)]))
    const all = await readAll(socket)
    assert.strictEqual(all.subarray(-6).toString(), 'answer')
  })

  it('a client that leaves in the middle disturbs nobody', async () => {
    const messages = Buffer.concat([greeting(), request('localhost', echo.port)])
    for (let n = 0; n < messages.length; n++) {
      const socket = await dial(scope, proxy.port)
      await writeCut(socket, messages.subarray(0, n))
      if (n % 2) socket.resetAndDestroy()
      else socket.end()
      await closed(socket)
    }
    await expectEcho(await socksOpen(scope, proxy, '127.0.0.1', echo.port))
  })
})

describe('SOCKS: every split of every message', function () {
  this.timeout(120000)
  const suite = suiteScope()
  const scope = testScope()
  let server, proxy, authProxy, echo, echo6

  before(async function () {
    needAlknet(this)
    server = await startServe(suite)
    proxy = (await startConnect(suite, server)).socks
    authProxy = (await startConnect(suite, server, { args: ['--socks5-auth', 'us:pa'] })).socks
    echo = await echoServer(suite)
    echo6 = await echoServer(suite, { host: '::1' })
  })

  const cuts = (message) => [...Array.from({ length: message.length - 1 }, (_, i) => [i + 1]), 'bytes']

  it('the greeting', async () => {
    for (const cutGreeting of cuts(greeting([2, 1, 0]))) {
      await expectEcho(await socksOpen(scope, proxy, '127.0.0.1', echo.port, { methods: [2, 1, 0], cutGreeting }))
    }
  })

  for (const [name, host, target] of [
    ['IPv4', '127.0.0.1', () => echo],
    ['IPv6', '::1', () => echo6],
    ['name', 'localhost', () => echo]
  ]) {
    it(`the request, ${name}`, async () => {
      const { port } = target()
      for (const cutRequest of cuts(request(host, port))) {
        await expectEcho(await socksOpen(scope, proxy, host, port, { cutRequest }))
      }
    })
  }

  it('the login', async () => {
    for (const cutLogin of cuts(login('us', 'pa'))) {
      await expectEcho(await socksOpen(scope, authProxy, '127.0.0.1', echo.port,
        { user: 'us', password: 'pa', cutLogin }))
    }
  })

  it('SOCKS4 and 4a', async () => {
    for (const host of ['127.0.0.1', 'localhost']) {
      const message = request4(host, echo.port)
      for (const cut of cuts(message)) {
        const socket = await dial(scope, proxy.port)
        await writeCut(socket, message, cut)
        assert.strictEqual((await readBytes(socket, 8))[1], 90)
        await expectEcho(socket)
        socket.destroy()
      }
    }
  })

  it('all of a conversation, sent ahead and cut once', async () => {
    const messages = Buffer.concat([greeting(), request('127.0.0.1', echo.port), Buffer.from('xyz')])
    for (const cut of cuts(messages)) {
      const socket = await dial(scope, proxy.port)
      const sent = writeCut(socket, messages, cut)
      await readBytes(socket, 2)
      assert.strictEqual((await readReply(socket)).code, 0)
      assert.strictEqual((await readBytes(socket, 3)).toString(), 'xyz')
      await sent
      socket.destroy()
    }
  })
})

describe('SOCKS: authentication', function () {
  this.timeout(60000)
  const suite = suiteScope()
  const scope = testScope()
  let server, proxy, echo

  before(async function () {
    needAlknet(this)
    server = await startServe(suite)
    proxy = (await startConnect(suite, server, { args: ['--socks5-auth', 'user:pass:word'] })).socks
    echo = await echoServer(suite)
  })

  it('the right password', async () => {
    await expectEcho(await socksOpen(scope, proxy, '127.0.0.1', echo.port, { user: 'user', password: 'pass:word' }))
  })

  for (const [user, password] of [['user', 'wrong'], ['other', 'pass:word'], ['', ''], ['user', ''],
    ['user', 'pass:wor'], ['user', 'pass:word2'], ['user\0', 'pass:word'], ['u'.repeat(255), 'p'.repeat(255)]]) {
    it(`a wrong one: ${JSON.stringify([user, password]).slice(0, 40)}`, async () => {
      const { socket, status } = await socks5(scope, proxy, '127.0.0.1', echo.port, { user, password })
        .catch((err) => ({ socket: null, status: err.message }))
      assert.notStrictEqual(status, 0)
      if (socket) await closed(socket)
    })
  }

  it('no password offered', async () => {
    const { method } = await socks5(scope, proxy, '127.0.0.1', echo.port, { methods: [0] })
    assert.strictEqual(method, 0xff)
  })

  it('SOCKS4 does not get around it', async () => {
    const socket = await dial(scope, proxy.port)
    socket.write(request4('127.0.0.1', echo.port))
    const answer = await readAll(socket).catch(() => Buffer.alloc(0))
    if (answer.length > 0) assert.notStrictEqual(answer[1], 90)
    assert.strictEqual(echo.sockets.size, 0)
  })

  it('curl logs in', async function () {
    need(this, 'curl')
    const web = await webServer(scope, 'page')
    const url = `http://127.0.0.1:${web.port}/`
    const good = await curl(scope, ['--socks5-hostname', `${proxy.host}:${proxy.port}`, '--proxy-user', 'user:pass:word', url])
    assert.strictEqual(good.stdout, 'page', good.stderr)
    const bad = await curl(scope, ['--socks5-hostname', `${proxy.host}:${proxy.port}`, '--proxy-user', 'user:no', url])
    assert.notStrictEqual(bad.code, 0)
  })

  it('an address for all is refused without it, exit 2', async () => {
    const { code, stderr } = await runAlknet(scope, connectArgs(scope, server, { socks: '0.0.0.0:0' }))
    assert.strictEqual(code, 2, stderr)
    assert.match(stderr, /--socks5-auth/)
    assert.match(stderr, /--socks5-open/)
  })

  for (const args of [['--socks5-auth', 'a:b'], ['--socks5-open']]) {
    it(`an address for all is bound with ${args[0]}`, async () => {
      const { socks } = await startConnect(scope, server, { socks: '0.0.0.0:0', args })
      assert.strictEqual(socks.host, '0.0.0.0')
    })
  }

  for (const value of ['nocolon', ':', 'user:', ':pass', `${'u'.repeat(256)}:p`]) {
    it(`--socks5-auth ${value.slice(0, 12)} is refused, exit 2`, async () => {
      const { code, stderr } = await runAlknet(scope, connectArgs(scope, server, { args: ['--socks5-auth', value] }))
      assert.strictEqual(code, 2, stderr)
      assert.ok(value.length < 6 || !stderr.includes(value), 'a secret is not repeated')
    })
  }
})

describe('SOCKS: what the far end says', function () {
  this.timeout(60000)
  const suite = suiteScope()
  const scope = testScope()
  let peer, proxy

  before(async function () {
    needAlknet(this)
    peer = await startSsh2Server(suite)
    proxy = (await startConnect(suite, peer)).socks
  })

  afterEach(() => { if (peer) Object.assign(peer, { refuse: null, onTarget: null }) })

  for (const [reason, text, expected] of [
    [1, 'open failed', [2]],
    [1, '', [2]],
    [2, 'Connection refused', [5]],
    [2, 'Network is unreachable', [3, 4]],
    [2, 'No route to host', [3, 4]],
    [2, 'Connection timed out', [6]],
    [2, 'Name or service not known', [4]],
    [2, '', [1, 5]],
    [2, 'something new', [1, 5]],
    [3, 'unknown', [1]],
    [4, 'shortage', [1]],
    [77, 'x'.repeat(20000), [1]],
    [0, '', [1]]
  ]) {
    it(`reason ${reason} ${text.slice(0, 30)} is reply ${expected.join(' or ')}`, async () => {
      peer.refuse = { reason, text }
      const code = await socksCode(scope, proxy, '10.1.2.3', 80)
      assert.ok(expected.includes(code), `reply ${code}`)
    })
  }

  it('names go to the far end as they are, up to 255 bytes', async () => {
    peer.refuse = { reason: 2, text: 'Connection refused' }
    const label = 'a'.repeat(63)
    const long = `${label}.${label}.${label}.${'b'.repeat(63)}`
    assert.strictEqual(long.length, 255)
    for (const name of [UNKNOWN_NAME, 'x', long, 'Mixed-Case.invalid', 'trailing.dot.invalid.']) {
      assert.strictEqual(await socksCode(scope, proxy, name, 4321), 5)
      assert.deepStrictEqual(peer.targets.at(-1), { host: name, port: 4321 })
    }
  })

  it('addresses go to the far end as text', async () => {
    peer.refuse = { reason: 2, text: 'Connection refused' }
    await socksCode(scope, proxy, '10.1.2.3', 65535)
    assert.deepStrictEqual(peer.targets.at(-1), { host: '10.1.2.3', port: 65535 })
    await socksCode(scope, proxy, '2001:db8::7', 1)
    assert.deepStrictEqual(peer.targets.at(-1), { host: '2001:db8::7', port: 1 })
  })

  it('success comes only after the far end has connected', async () => {
    const order = []
    let confirm
    const asked = new Promise((resolve) => {
      peer.onTarget = (accept) => {
        order.push('asked')
        confirm = () => {
          order.push('confirmed')
          accept().end('x')
        }
        resolve()
      }
    })
    const reply = socks5(scope, proxy, '10.0.0.1', 80).then((result) => {
      order.push('replied')
      return result
    })
    await asked
    // A second connection goes all the way while the first one waits.
    peer.onTarget = null
    const echo = await echoServer(scope)
    await expectEcho(await socksOpen(scope, proxy, '127.0.0.1', echo.port))
    confirm()
    assert.strictEqual((await reply).code, 0)
    assert.deepStrictEqual(order, ['asked', 'confirmed', 'replied'])
  })

  it('a client that leaves while the far end connects disturbs nobody', async () => {
    const asked = new Promise((resolve) => { peer.onTarget = (accept) => resolve(accept) })
    const socket = await dial(scope, proxy.port)
    socket.write(Buffer.concat([greeting(), request('10.0.0.1', 80)]))
    const accept = await asked
    socket.resetAndDestroy()
    await closed(socket)
    peer.onTarget = null
    const channel = accept()
    channel.on('error', () => {})
    await closed(channel)
    const echo = await echoServer(scope)
    await expectEcho(await socksOpen(scope, proxy, '127.0.0.1', echo.port))
  })

  it('by sshd: closed ports and unknown names', async function () {
    needSshd(this)
    const { socks } = await startConnect(scope, await startSshd(scope))
    assert.strictEqual(await socksCode(scope, socks, '127.0.0.1', await freePort()), 5)
    assert.ok([1, 4].includes(await socksCode(scope, socks, UNKNOWN_NAME, 80)))
  })

  it('by sshd: forwarding forbidden is 2', async function () {
    needSshd(this)
    const { socks } = await startConnect(scope, await startSshd(scope, { config: ['AllowTcpForwarding no'] }))
    assert.strictEqual(await socksCode(scope, socks, '127.0.0.1', await freePort()), 2)
  })
})

describe('SOCKS: a slow client', function () {
  this.timeout(60000)
  const scope = testScope()
  it('is closed when it does not finish its handshake', async function () {
    needAlknet(this)
    const { socks } = await startConnect(scope, await startServe(scope))
    const silent = await dial(scope, socks.port)
    const half = await dial(scope, socks.port)
    half.write(greeting())
    await readBytes(half, 2)
    half.write(Buffer.from([5, 1, 0]))
    await Promise.all([closed(silent), closed(half)])
  })
})
