'use strict'

/**
 * Servers that send garbage, too much, too early or nothing to
 * `alknet connect`: it ends in its time limit, with the exit code 5 or 1 and a
 * sentence; it never hangs and never crashes.
 */

const assert = require('node:assert')
const crypto = require('node:crypto')
const { needAlknet, runConnect, startConnect } = require('../helpers/alknet')
const { MiB } = require('../helpers/behaviours')
const { closed, dial, echoServer, expectEcho, listen, readBytes } = require('../helpers/net')
const { testScope } = require('../helpers/scope')
const { socksOpen } = require('../helpers/socks')
const { startSsh2Server } = require('../helpers/ssh2')
const { kexinit, packet, readIdent, readPacket } = require('../helpers/wire')

const IDENT = 'SSH-2.0-hostile\r\n'

const string = (text) => {
  const bytes = Buffer.from(text)
  const length = Buffer.alloc(4)
  length.writeUInt32BE(bytes.length)
  return Buffer.concat([length, bytes])
}

const message = (number, ...parts) => packet(Buffer.concat([Buffer.from([number]), ...parts]))

function announced (length) {
  const out = Buffer.alloc(64)
  out.writeUInt32BE(length, 0)
  out[4] = 4
  return out
}

async function exchange (socket) {
  socket.write(IDENT)
  await readIdent(socket)
  socket.write(packet(kexinit({ kex: 'curve25519-sha256,kex-strict-s-v00@openssh.com' })))
  await readPacket(socket)
}

/** The server's side of the connection; what it does not send, it withholds. */
const SERVERS = {
  silence: () => {},
  'an end at once': (socket) => socket.end(),
  'a reset at once': (socket) => socket.resetAndDestroy(),
  garbage: (socket) => socket.write(crypto.randomBytes(5000)),
  HTTP: (socket) => socket.write('HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n'),
  'SSH-1.0': (socket) => socket.write('SSH-1.0-old\r\n'),
  'SSH-1.99 and then silence': (socket) => socket.write('SSH-1.99-old\r\n'),
  'a megabyte without a line end': (socket) => socket.write(Buffer.alloc(MiB, 0x41)),
  'lines for ever': (socket) => {
    const more = () => { while (!socket.destroyed && socket.write('banner\r\n'.repeat(1000))); }
    socket.on('drain', more)
    more()
  },
  'half an identification': (socket) => socket.write('SSH-2.0-'),
  'an identification and then silence': (socket) => socket.write(IDENT),
  'an identification and then an end': (socket) => socket.end(IDENT),
  'an identification of 10 kB': (socket) => socket.write(`SSH-2.0-${'x'.repeat(10000)}\r\n`),
  'half a KEXINIT': (socket) => socket.write(Buffer.concat([Buffer.from(IDENT), packet(kexinit()).subarray(0, 100)])),
  'a packet length of 2^32-1': (socket) => socket.write(Buffer.concat([Buffer.from(IDENT), announced(0xffffffff)])),
  'a packet length of 0': (socket) => socket.write(Buffer.concat([Buffer.from(IDENT), announced(0)])),
  'a packet length of 13': (socket) => socket.write(Buffer.concat([Buffer.from(IDENT), announced(13)])),
  'a KEXINIT and then silence': exchange,
  'a KEXINIT without a common algorithm': (socket) => socket.write(Buffer.concat([Buffer.from(IDENT), packet(kexinit({ kex: 'diffie-hellman-group1-sha1' }))])),
  'a reset after the KEXINITs': async (socket) => {
    await exchange(socket)
    socket.resetAndDestroy()
  },
  'new keys without an exchange': async (socket) => {
    await exchange(socket)
    socket.write(message(21))
  },
  'a reply that is all zeros': async (socket) => {
    await exchange(socket)
    await readPacket(socket)
    socket.write(message(31, string(Buffer.alloc(51)), string(Buffer.alloc(32)), string(Buffer.alloc(83))))
  },
  'a reply with a key of 4 GB': async (socket) => {
    await exchange(socket)
    await readPacket(socket)
    socket.write(message(31, Buffer.from('ffffffff', 'hex')))
  },
  'a reply with a wrong signature': async (socket) => {
    await exchange(socket)
    await readPacket(socket)
    const { publicKey } = crypto.generateKeyPairSync('ed25519')
    const raw = publicKey.export({ type: 'spki', format: 'der' }).subarray(-32)
    const point = crypto.generateKeyPairSync('x25519').publicKey.export({ type: 'spki', format: 'der' }).subarray(-32)
    socket.write(message(31, string(Buffer.concat([string('ssh-ed25519'), string(raw)])), string(point),
      string(Buffer.concat([string('ssh-ed25519'), string(crypto.randomBytes(64))]))))
  },
  'a DISCONNECT that writes to the terminal': async (socket) => {
    await exchange(socket)
    socket.write(message(1, Buffer.from([0, 0, 0, 11]), string('bye\x1b[31m\nforged line'), string('')))
  },
  'algorithms that write to the terminal': (socket) => socket.write(Buffer.concat([Buffer.from(IDENT),
    packet(kexinit({ kex: 'x\x1b[31m\nforged line' }))])),
  'a success before the keys': async (socket) => {
    await exchange(socket)
    socket.write(message(52))
  },
  'an ignored message in a strict key exchange': async (socket) => {
    await exchange(socket)
    socket.write(message(2, string('x')))
  }
}

describe('hostile servers', function () {
  this.timeout(60000)
  const scope = testScope()
  before(function () { needAlknet(this) })

  for (const [name, behave] of Object.entries(SERVERS)) {
    it(name, async () => {
      const peer = await listen(scope, (socket) => { Promise.resolve(behave(socket)).catch(() => {}) })
      const { code, signal, stdout, stderr } = await runConnect(scope,
        { host: '127.0.0.1', port: peer.port, user: 'u', knownHosts: '' },
        { args: ['--handshake-timeout', '2', '--accept-new'] })
      assert.strictEqual(signal, null)
      assert.ok(code === 1 || code === 5, `exit code ${code}: ${stderr}`)
      assert.doesNotMatch(stdout, /SOCKS5 proxy on/)
      assert.match(stderr, /^alknet: \S/m)
      assert.doesNotMatch(stderr, /\n\s+at /)
      // eslint-disable-next-line no-control-regex
      assert.doesNotMatch(stderr, /[\x00-\x08\x0b-\x1f\x7f]/, 'a peer cannot write to the terminal')
      assert.doesNotMatch(stderr, /^forged/m)
    })
  }

  it('a server that never answers the login', async () => {
    const peer = await startSsh2Server(scope)
    peer.server.on('connection', (client) => {
      client.removeAllListeners('authentication')
      client.on('authentication', () => {})
    })
    const { code, signal, stderr } = await runConnect(scope, peer, { args: ['--handshake-timeout', '2'] })
    assert.strictEqual(signal, null)
    assert.ok(code === 1 || code === 5, `exit code ${code}: ${stderr}`)
  })

  it('a server that never answers an open: the client gets a reply, others go on', async () => {
    const peer = await startSsh2Server(scope)
    const client = await startConnect(scope, peer, { args: ['--open-timeout', '2'] })
    peer.onTarget = () => { peer.onTarget = null }
    const err = await socksOpen(scope, client.socks, '10.0.0.1', 80).then(() => null, (err) => err)
    assert.ok(err && [1, 6].includes(err.code), `reply ${err && err.code}`)
    const echo = await echoServer(scope)
    await expectEcho(await socksOpen(scope, client.socks, '127.0.0.1', echo.port))
  })

  it('a server that opens channels of its own is refused', async () => {
    const peer = await startSsh2Server(scope)
    const client = await startConnect(scope, peer)
    const [session] = peer.clients
    for (const open of [
      (done) => session.forwardOut('127.0.0.1', 1, '127.0.0.1', 2, done),
      (done) => session.x11('127.0.0.1', 1, done),
      (done) => session.openssh_forwardOutStreamLocal('/x', done)
    ]) {
      assert.ok(await new Promise((resolve) => open(resolve)) instanceof Error)
    }
    const echo = await echoServer(scope)
    await expectEcho(await socksOpen(scope, client.socks, '127.0.0.1', echo.port))
  })

  /** A server that answers wishes to listen as it likes, and a client with `-R`. */
  async function withWish (answer, args = []) {
    const peer = await startSsh2Server(scope)
    const target = await listen(scope, (socket) => socket.end())
    let session
    peer.server.on('connection', (client) => {
      session = client
      client.on('request', (accept, reject, name, info) => answer(accept, reject, name, info))
    })
    const wish = ['-R', `0:127.0.0.1:${target.port}`, '--ssh-engine', 'native', ...args]
    return { peer, target, wish, open: (host, port) => new Promise((resolve) => session.forwardOut(host, port, '127.0.0.1', 2, (err, channel) => resolve(err ?? channel))) }
  }

  it('a server that opens channels for another forward than it has granted is refused', async () => {
    const { peer, target, wish, open } = await withWish((accept) => accept(4711))
    const client = await startConnect(scope, peer, { args: wish })
    await client.proc.waitFor(/remote forward on localhost:4711/)
    for (const [host, port] of [['localhost', 4712], ['localhost', 0], ['', 1]]) assert.ok(await open(host, port) instanceof Error)
    assert.strictEqual(target.accepted, 0)
    assert.ok(!(await open('localhost', 4711) instanceof Error))
    assert.strictEqual(target.accepted, 1)
  })

  it('a server that opens more channels than there is room for is refused those', async () => {
    const { peer, wish, open } = await withWish((accept) => accept(4711), ['--max-channels', '10'])
    const echo = await echoServer(scope)
    wish[1] = `0:127.0.0.1:${echo.port}`
    const client = await startConnect(scope, peer, { args: wish })
    await client.proc.waitFor(/remote forward on/)
    const all = await Promise.all(Array.from({ length: 100 }, () => open('localhost', 4711)))
    assert.strictEqual(all.filter((one) => !(one instanceof Error)).length, 10)
  })

  it('a server that never answers a wish to listen: exit 1, in time', async () => {
    const { peer, wish } = await withWish(() => {})
    const { code, stderr } = await runConnect(scope, peer, { args: [...wish, '--open-timeout', '1'] })
    assert.strictEqual(code, 1, stderr)
    assert.match(stderr, /^alknet: remote forward on localhost:0: the server has not answered in time$/m)
  })

  for (const port of [0, 65536, 0xffffffff]) {
    it(`a server that grants port ${port}: exit 1`, async () => {
      const { peer, wish } = await withWish((accept) => accept(port))
      const { code, signal, stderr } = await runConnect(scope, peer, { args: wish })
      assert.deepStrictEqual([code, signal], [1, null], stderr)
    })
  }

  /** The session is lost for what error names, and there is another. */
  const comesBack = (client, error) => client.proc.waitFor(new RegExp(`session state=lost error=${error}\\n[^]*session state=ready\\n`))

  it('a session cut in the middle: every connection ends, and it comes back', async () => {
    const peer = await startSsh2Server(scope)
    const client = await startConnect(scope, peer)
    const echo = await echoServer(scope)
    const stream = await socksOpen(scope, client.socks, '127.0.0.1', echo.port)
    await expectEcho(stream)
    for (const session of peer.clients) session._sock.resetAndDestroy()
    await closed(stream)
    await comesBack(client, 'ECONNRESET')
    await expectEcho(await socksOpen(scope, client.socks, '127.0.0.1', echo.port))
  })

  it('garbage in the middle of a session ends it, and it comes back', async () => {
    const peer = await startSsh2Server(scope)
    const client = await startConnect(scope, peer)
    const [session] = peer.clients
    session._sock.write(crypto.randomBytes(100000))
    await comesBack(client, 'ERR_ALKNET_PROTO')
  })

  it('a peer that stops answering keepalives is given up', async () => {
    const peer = await startSsh2Server(scope)
    const client = await startConnect(scope, peer, { args: ['--keepalive', '1', '--keepalive-max', '2'] })
    for (const session of peer.clients) session._sock.pause()
    for (const session of peer.clients) session._sock.removeAllListeners('data')
    await comesBack(client, 'ERR_ALKNET_TIMEOUT')
  })

  it('a peer that answers keepalives is kept', async () => {
    const peer = await startSsh2Server(scope)
    let asked = 0
    const client = await startConnect(scope, peer, { args: ['--keepalive', '1', '--keepalive-max', '1'] })
    const [session] = peer.clients
    await new Promise((resolve) => {
      session._protocol._handlers.GLOBAL_REQUEST = ((original) => (...args) => {
        original(...args)
        if (++asked === 4) resolve()
      })(session._protocol._handlers.GLOBAL_REQUEST)
    })
    const echo = await echoServer(scope)
    await expectEcho(await socksOpen(scope, client.socks, '127.0.0.1', echo.port))
  })

  it('local clients that send rubbish to a forward reach only its target', async () => {
    const peer = await startSsh2Server(scope)
    const echo = await echoServer(scope)
    const client = await startConnect(scope, peer, { forwards: [`0:127.0.0.1:${echo.port}`] })
    const [at] = client.local
    for (let i = 0; i < 20; i++) {
      const socket = await dial(scope, at.port)
      socket.write(crypto.randomBytes(1000))
      socket.resetAndDestroy()
    }
    const socket = await dial(scope, at.port)
    socket.write('x')
    assert.strictEqual((await readBytes(socket, 1)).toString(), 'x')
  })
})
