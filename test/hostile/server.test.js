'use strict'

/**
 * Peers that send garbage, too much, too early or nothing to `alknet serve`:
 * each loses its own connection, within the time limit, and a good session
 * beside it goes on undisturbed.
 */

const assert = require('node:assert')
const crypto = require('node:crypto')
const { engineOf, needAlknet, startServe } = require('../helpers/alknet')
const { MiB } = require('../helpers/behaviours')
const { key } = require('../helpers/keys')
const { closed, dial, echoServer, expectEcho, readBytes } = require('../helpers/net')
const { suiteScope, testScope } = require('../helpers/scope')
const { consumed } = require('../helpers/socks')
const { connectSsh2, forwardOut } = require('../helpers/ssh2')
const { kexinit, packet, readIdent, readPacket } = require('../helpers/wire')

const IDENT = 'SSH-2.0-hostile\r\n'

/** A packet header that announces so many bytes, and some of them. */
function announced (length, padding = 4) {
  const out = Buffer.alloc(64)
  out.writeUInt32BE(length, 0)
  out[4] = padding
  return out
}

function message (number, body = Buffer.alloc(0)) {
  return packet(Buffer.concat([Buffer.from([number]), body]))
}

const string = (text) => {
  const bytes = Buffer.from(text)
  const length = Buffer.alloc(4)
  length.writeUInt32BE(bytes.length)
  return Buffer.concat([length, bytes])
}

const bigList = Array.from({ length: 10000 }, (_, i) => `name${i}`).join(',')

/** What is sent after the identification strings. */
const AFTER_IDENT = {
  'packet length 2^32-1': announced(0xffffffff),
  'packet length 2^31': announced(0x80000000),
  'packet length 1 MB': announced(1000000),
  'packet length 0': announced(0),
  'packet length 1': announced(1),
  'a length that is no multiple of the block': announced(13),
  'more padding than packet': announced(12, 255),
  'no padding': announced(12, 0),
  'random bytes': crypto.randomBytes(100000),
  zeros: Buffer.alloc(100000),
  'a KEXINIT cut short inside': packet(kexinit().subarray(0, 40)),
  'a KEXINIT with a list that leads out of it': packet(Buffer.concat([Buffer.from([20]), Buffer.alloc(16), Buffer.from('7fffffff', 'hex')])),
  'a KEXINIT without a common algorithm': packet(kexinit({ kex: 'diffie-hellman-group1-sha1' })),
  'a KEXINIT with empty lists': packet(kexinit({ kex: '', hostKeys: '', ciphersToServer: '', ciphersToClient: '' })),
  'a KEXINIT with only commas': packet(kexinit({ kex: ',,,', hostKeys: ',' })),
  'a KEXINIT of ten thousand names': packet(kexinit({ kex: bigList })).subarray(0, 200000),
  'an authentication before the keys': message(50, Buffer.concat([string('alknet'), string('ssh-connection'), string('none')])),
  'a success message from the client': message(52),
  'a channel before the keys': message(90, Buffer.concat([string('session'), Buffer.alloc(12)])),
  'new keys before any exchange': message(21),
  'a service before the keys': message(5, string('ssh-connection')),
  'a disconnect': message(1, Buffer.concat([Buffer.from([0, 0, 0, 11]), string('bye'), string('')]))
}

/** What is sent after both KEXINITs. */
const AFTER_KEXINIT = {
  'new keys without an exchange': message(21),
  'an empty public value': message(30, string('')),
  'an all-zero public value': message(30, string(Buffer.alloc(32))),
  'a public value of 31 bytes': message(30, string(Buffer.alloc(31, 9))),
  'a public value of 33 bytes': message(30, string(Buffer.alloc(33, 9))),
  'a public value with a length of 4 GB': message(30, Buffer.from('ffffffff00', 'hex')),
  'a reply instead of an init': message(31, Buffer.concat([string('x'), string('y'), string('z')])),
  'a second KEXINIT': packet(kexinit()),
  'an authentication in the middle': message(50, Buffer.concat([string('a'), string('ssh-connection'), string('none')])),
  garbage: crypto.randomBytes(1000)
}

describe('hostile clients', function () {
  this.timeout(60000)
  const suite = suiteScope()
  const scope = testScope()
  let server, patient, good, echo, stream, rss

  before(async function () {
    needAlknet(this)
    server = await startServe(suite, {
      args: ['--login-grace', '2'], userKeys: [key('ed25519', 'user'), key('rsa-3072', 'user')]
    })
    // Here nothing but the fault itself ends a connection in a test's time.
    patient = await startServe(suite, { args: ['--login-grace', '600'] })
    echo = await echoServer(suite)
    good = await connectSsh2(suite, server)
    stream = await forwardOut(good, '127.0.0.1', echo.port)
    await expectEcho(stream)
    if (process.platform === 'linux') rss = server.proc.rss()
  })

  // After each of them: the old session lives, and a new one gets in.
  afterEach(async () => {
    if (!stream) return
    await expectEcho(stream)
    const again = await connectSsh2(scope, server)
    await expectEcho(await forwardOut(again, '127.0.0.1', echo.port))
    again.end()
  })

  it('silence is ended by --login-grace', async () => {
    await closed(await dial(scope, server.port))
  })

  it('silence after the identification is ended', async () => {
    const socket = await dial(scope, server.port)
    socket.write(IDENT)
    await closed(socket)
  })

  it('half an identification is ended', async () => {
    const socket = await dial(scope, server.port)
    socket.write('SSH-2.0-ha')
    await closed(socket)
  })

  it('half a KEXINIT is ended', async () => {
    const socket = await dial(scope, server.port)
    socket.write(IDENT)
    const whole = packet(kexinit())
    socket.write(whole.subarray(0, whole.length >> 1))
    await closed(socket)
  })

  it('a KEXINIT and then silence is ended', async () => {
    const socket = await dial(scope, server.port)
    socket.write(IDENT)
    await readIdent(socket)
    socket.write(packet(kexinit()))
    await readPacket(socket)
    await closed(socket)
  })

  for (const [name, bytes] of [
    ['an identification with a NUL', Buffer.from('SSH-2.0-a\0b\r\n')],
    ['an unknown message', Buffer.concat([Buffer.from(IDENT), message(200)])],
    ['message 0', Buffer.concat([Buffer.from(IDENT), message(0)])],
    ['ignored messages without end', Buffer.concat([Buffer.from(IDENT), ...Array(10000).fill(message(2, string('x')))])]
  ]) {
    it(`${name} and then silence is ended`, async () => {
      const socket = await dial(scope, server.port)
      socket.write(bytes)
      await closed(socket)
    })
  }

  it('a client that dribbles one byte after another is ended', async () => {
    const socket = await dial(scope, server.port)
    socket.resume()
    while (!socket.destroyed && !socket.readableEnded) {
      socket.write('S')
      await consumed(socket)
    }
    await closed(socket)
  })

  it('keys exchanged and then silence is ended', async () => {
    const { Client } = require('ssh2')
    const client = new Client()
    scope.defer(() => { client.destroy() })
    client.on('error', () => {})
    const gone = new Promise((resolve) => client.once('close', resolve))
    client.connect({
      host: server.host,
      port: server.port,
      username: 'alknet',
      readyTimeout: 0,
      authHandler: () => {} // never says how it wants to log in
    })
    await gone
  })

  for (const [name, bytes] of [
    ['garbage', crypto.randomBytes(5000)],
    ['SSH-1.0', 'SSH-1.0-old\r\n'],
    ['SSH-1.5', 'SSH-1.5-old\r\n'],
    ['HTTP', 'GET / HTTP/1.1\r\nHost: x\r\n\r\n'],
    ['TLS', Buffer.concat([Buffer.from('1603010200010001fc0303', 'hex'), crypto.randomBytes(500)])],
    ['an identification of 300 bytes', `SSH-2.0-${'x'.repeat(300)}\r\n`],
    ['an empty line', '\r\n'],
    ['a thousand lines', 'hello\r\n'.repeat(1000)],
    ['SSH-', 'SSH-\r\n']
  ]) {
    it(`${name} as identification is ended`, async () => {
      const socket = await dial(scope, patient.port)
      socket.write(bytes)
      await closed(socket)
    })
  }

  it('a megabyte without a line end is ended', async () => {
    const socket = await dial(scope, patient.port)
    socket.write(Buffer.alloc(MiB, 0x41))
    await closed(socket)
  })

  it('a megabyte that begins like an identification is ended', async () => {
    const socket = await dial(scope, patient.port)
    socket.write('SSH-2.0-')
    socket.write(Buffer.alloc(MiB, 0x41))
    await closed(socket)
  })

  for (const [name, bytes] of Object.entries(AFTER_IDENT)) {
    it(`after the identification: ${name}`, async () => {
      const socket = await dial(scope, patient.port)
      socket.write(IDENT)
      await readIdent(socket)
      socket.write(bytes)
      await closed(socket)
    })
  }

  for (const [name, bytes] of Object.entries(AFTER_KEXINIT)) {
    it(`in the key exchange: ${name}`, async () => {
      const socket = await dial(scope, patient.port)
      socket.write(IDENT)
      await readIdent(socket)
      socket.write(packet(kexinit({ kex: 'curve25519-sha256,kex-strict-c-v00@openssh.com' })))
      await readPacket(socket)
      socket.write(bytes)
      await closed(socket)
    })
  }

  for (const [stage, go] of [
    ['at once', async () => {}],
    ['after its identification', async (socket) => { socket.write(IDENT) }],
    ['after half a KEXINIT', async (socket) => { socket.write(Buffer.concat([Buffer.from(IDENT), packet(kexinit()).subarray(0, 100)])) }],
    ['after its KEXINIT', async (socket) => { socket.write(Buffer.concat([Buffer.from(IDENT), packet(kexinit())])) }],
    ['after both KEXINITs', async (socket) => {
      socket.write(IDENT)
      await readIdent(socket)
      socket.write(packet(kexinit()))
      await readPacket(socket)
    }]
  ]) {
    for (const how of ['reset', 'end']) {
      it(`a ${how} ${stage}`, async () => {
        for (let i = 0; i < 20; i++) {
          const socket = await dial(scope, server.port)
          await go(socket)
          if (how === 'reset') socket.resetAndDestroy()
          else socket.end()
          await closed(socket)
        }
      })
    }
  }

  for (const stage of ['handshake', 'ready', 'channel', 'transfer']) {
    it(`a reset at the stage "${stage}" of a session`, async () => {
      for (let i = 0; i < 5; i++) {
        const { Client } = require('ssh2')
        const client = new Client()
        client.on('error', () => {})
        const gone = new Promise((resolve) => client.once('close', resolve))
        client.once('handshake', () => { if (stage === 'handshake') client._sock.resetAndDestroy() })
        client.once('ready', () => {
          if (stage === 'ready') return client._sock.resetAndDestroy()
          client.forwardOut('127.0.0.1', 1, '127.0.0.1', echo.port, (err, channel) => {
            assert.ifError(err)
            channel.on('error', () => {})
            if (stage === 'channel') return client._sock.resetAndDestroy()
            channel.write(Buffer.alloc(3 * MiB))
            channel.once('data', () => client._sock.resetAndDestroy())
          })
        })
        client.connect({ host: server.host, port: server.port, username: 'alknet', privateKey: key('ed25519', 'user').private, readyTimeout: 0 })
        await gone
      }
    })
  }

  it('a hundred half-open connections', async () => {
    // One that is dropped early may be gone before it is seen to be connected.
    const unlessDropped = (err) => { if (err.code !== 'ECONNRESET') throw err }
    const all = await Promise.all(Array.from({ length: 100 }, () => dial(scope, server.port).catch(unlessDropped)))
    const sockets = all.filter((socket) => socket !== undefined)
    assert.ok(sockets.length > 10)
    for (const [i, socket] of sockets.entries()) if (i % 2) socket.write(IDENT)
    await expectEcho(stream)
    await Promise.all(sockets.map(closed))
  })

  it('a stranger who keeps asking is cut off', async () => {
    const stranger = key('ed25519', 'stranger').private
    let asked = 0
    await assert.rejects(connectSsh2(scope, server, {
      identity: null,
      authHandler: () => {
        asked++
        return { type: 'publickey', username: 'alknet', key: stranger }
      }
    }))
    assert.ok(asked <= 20, `${asked} attempts`)
  })

  it('none of all that made the server grow', function () {
    if (rss === undefined) {
      console.log('      skipped: memory is read from /proc')
      this.skip()
    }
    const grown = (server.proc.rss() - rss) / MiB
    assert.ok(grown < 48, `by ${grown.toFixed(1)} MiB`)
  })
})

describe('hostile sessions', function () {
  this.timeout(60000)
  const suite = suiteScope()
  const scope = testScope()
  let server, good, echo, stream

  before(async function () {
    needAlknet(this)
    server = await startServe(suite)
    echo = await echoServer(suite)
    good = await connectSsh2(suite, server)
    stream = await forwardOut(good, '127.0.0.1', echo.port)
  })

  afterEach(async () => { if (stream) await expectEcho(stream) })

  /** A logged-in client whose packets are made by hand. */
  async function rogue () {
    const client = await connectSsh2(scope, server)
    const protocol = client._protocol
    return {
      client,
      gone: new Promise((resolve) => client.once('close', resolve)),
      send (bytes) {
        const p = protocol._packetRW.write.alloc(bytes.length)
        p.set(bytes, protocol._packetRW.write.allocStart)
        protocol._cipher.encrypt(protocol._packetRW.write.finalize(p))
      }
    }
  }

  const u32 = (...numbers) => {
    const out = Buffer.alloc(4 * numbers.length)
    numbers.forEach((n, i) => out.writeUInt32BE(n, 4 * i))
    return out
  }
  const direct = (window, packetSize, host = '127.0.0.1', port = echo.port) => Buffer.concat([
    Buffer.from([90]), string('direct-tcpip'), u32(7, window, packetSize), string(host), u32(port), string('127.0.0.1'), u32(1)])

  for (const [name, bytes] of [
    ['data for a channel that is not there', Buffer.concat([Buffer.from([94]), u32(4242), string('x')])],
    ['a window for a channel that is not there', Buffer.concat([Buffer.from([93]), u32(4242, 1)])],
    ['the end of a channel that is not there', Buffer.concat([Buffer.from([96]), u32(4242)])],
    ['the close of a channel that is not there', Buffer.concat([Buffer.from([97]), u32(4242)])],
    ['a confirmation that nobody waits for', Buffer.concat([Buffer.from([91]), u32(4242, 1, 1, 1)])],
    ['a success that nobody waits for', Buffer.from([81])],
    ['a second authentication', Buffer.concat([Buffer.from([50]), string('root'), string('ssh-connection'), string('none')])],
    ['a channel of type ""', Buffer.concat([Buffer.from([90]), string(''), u32(1, 1, 1)])],
    ['a channel cut short', Buffer.concat([Buffer.from([90]), string('direct-tcpip'), u32(1, 1)])],
    ['a target with a length of 4 GB', Buffer.concat([Buffer.from([90]), string('direct-tcpip'), u32(1, 1000, 1000, 0xffffffff)])],
    ['a forwarded-tcpip channel from a client', Buffer.concat([Buffer.from([90]), string('forwarded-tcpip'), u32(1, 1000, 1000), string('h'), u32(1), string('o'), u32(1)])],
    ['message 0', Buffer.from([0])],
    ['an unknown message', Buffer.from([200])],
    ['an empty global request', Buffer.from([80])]
  ]) {
    it(`${name}: at most its own session ends`, async () => {
      const { client, send, gone } = await rogue()
      send(bytes)
      // Either the session goes on and answers, or it has been ended.
      const alive = forwardOut(client, '127.0.0.1', echo.port).then((s) => expectEcho(s)).catch(() => gone)
      await Promise.race([gone, alive])
    })
  }

  for (const [window, size] of [[0, 0], [0, 1], [1, 1], [0xffffffff, 0xffffffff], [1000, 0], [0xffffffff, 0]]) {
    it(`a channel with window ${window} and packet size ${size} harms nobody`, async () => {
      const { client, send } = await rogue()
      send(direct(window, size))
      await expectEcho(stream)
      const other = await connectSsh2(scope, server)
      await expectEcho(await forwardOut(other, '127.0.0.1', echo.port))
      client.destroy()
    })
  }

  for (const port of [0, 65536, 0xffffffff]) {
    it(`a target port of ${port} is refused`, async () => {
      const client = await connectSsh2(scope, server)
      const err = await forwardOut(client, '127.0.0.1', port).then(() => null, (err) => err)
      assert.ok(err, 'it was let through')
    })
  }

  for (const host of ['', '\0', '127.0.0.1\0.example', 'a'.repeat(300), 'a'.repeat(30000), '-oProxyCommand=x', '\r\nx', '%00', '127.0.0.1%lo']) {
    it(`a target host ${JSON.stringify(host).slice(0, 30)} is refused`, async () => {
      const client = await connectSsh2(scope, server)
      const err = await forwardOut(client, host, 80).then(() => null, (err) => err)
      assert.ok(err, 'it was let through')
    })
  }

  it('a thousand refused channels leave nothing behind', async () => {
    const client = await connectSsh2(scope, server)
    for (let i = 0; i < 20; i++) {
      await Promise.all(Array.from({ length: 50 }, () =>
        forwardOut(client, '169.254.169.254', 80).then(() => assert.fail('let through'), () => {})))
    }
    await expectEcho(await forwardOut(client, '127.0.0.1', echo.port))
  })

  it('channels closed while their target is being connected', async () => {
    for (let i = 0; i < 10; i++) {
      const { send, client, gone } = await rogue()
      send(direct(100000, 1000))
      if (i % 2) {
        client._sock.resetAndDestroy()
        await gone
      } else {
        client.end()
        await gone
      }
    }
  })

  it('a flood of global requests is answered or ended', async () => {
    const { client, send, gone } = await rogue()
    const request = Buffer.concat([Buffer.from([80]), string('nonsense@example.com'), Buffer.from([0])])
    for (let i = 0; i < 20000; i++) send(request)
    const alive = forwardOut(client, '127.0.0.1', echo.port).then((s) => expectEcho(s)).catch(() => gone)
    await Promise.race([gone, alive])
    await readBytes(stream, 0)
  })

  const wish = (name, host, port) => Buffer.concat([
    Buffer.from([80]), string(name), Buffer.from([1]), string(host), ...port === undefined ? [] : [u32(port)]])
  for (const [name, bytes] of [
    ['a port above 65535', wish('tcpip-forward', '127.0.0.1', 65536)],
    ['port 2^32-1', wish('tcpip-forward', '127.0.0.1', 0xffffffff)],
    ['no port', wish('tcpip-forward', '127.0.0.1')],
    ['a host with a NUL', wish('tcpip-forward', '127.0.0.1\0', 0)],
    ['a host of 30,000 bytes', wish('tcpip-forward', 'a'.repeat(30000), 0)],
    ['a host that is a flag', wish('tcpip-forward', '-R', 0)],
    ['an address with a zone', wish('tcpip-forward', '::1%lo', 0)],
    ['a path of 30,000 bytes', wish('streamlocal-forward@openssh.com', `/${'a'.repeat(30000)}`)],
    ['a path with a NUL', wish('streamlocal-forward@openssh.com', '/tmp/a\0b')],
    ['a path that climbs', wish('streamlocal-forward@openssh.com', '/tmp/../tmp/alknet-hostile.sock')],
    ['an empty path', wish('streamlocal-forward@openssh.com', '')],
    ['to cancel what is not there', wish('cancel-tcpip-forward', '127.0.0.1', 1)],
    ['to cancel a path that is not there', wish('cancel-streamlocal-forward@openssh.com', '/tmp/x')]
  ]) {
    it(`a wish to listen, ${name}: no listener, and at most its own session ends`, async () => {
      const { client, send, gone } = await rogue()
      const before = server.proc.output.length
      send(bytes)
      const alive = forwardOut(client, '127.0.0.1', echo.port).then((s) => expectEcho(s)).catch(() => gone)
      await Promise.race([gone, alive])
      await expectEcho(stream)
      assert.doesNotMatch(server.proc.output.slice(before), /remote forward opened/)
    })
  }

  function needListening (context) {
    if (engineOf('serve') !== 'libssh') return
    console.log('      skipped: a server with the libssh engine listens for nobody')
    context.skip()
  }

  it('a flood of wishes to listen gets as many listeners as the limit allows, and they go with it', async function () {
    needListening(this)
    const fds = server.proc.fds()
    const before = server.proc.output.length
    const { client, send, gone } = await rogue()
    const request = Buffer.concat([Buffer.from([80]), string('tcpip-forward'), Buffer.from([0]), string('127.0.0.1'), u32(0)])
    for (let i = 0; i < 5000; i++) send(request)
    const alive = forwardOut(client, '127.0.0.1', echo.port).then((s) => expectEcho(s)).catch(() => gone)
    await Promise.race([gone, alive])
    const opened = server.proc.output.slice(before).match(/remote forward opened.*/g)
    assert.ok(opened.length <= 64, `${opened.length} listeners`)
    assert.ok(opened.length > 0)
    assert.ok(server.proc.fds() <= fds + 64 + 5, `${server.proc.fds()} descriptors, ${fds} before`)
    client._sock.resetAndDestroy()
    await gone
    for (const line of opened) await server.proc.waitFor(new RegExp(line.replace('opened', 'closed')))
  })

  it('a client that never answers for what has come to its listener', async function () {
    needListening(this)
    const { client, send, gone } = await rogue()
    const port = await new Promise((resolve, reject) => client.forwardIn('127.0.0.1', 0, (err, port) => err ? reject(err) : resolve(port)))
    client._protocol._handlers.CHANNEL_OPEN = () => {}
    const waiting = await Promise.all(Array.from({ length: 20 }, () => dial(scope, port)))
    for (const socket of waiting) socket.write('anybody?')
    await expectEcho(stream)
    send(Buffer.concat([Buffer.from([92]), u32(0, 1), string('no'), string('')])) // one refusal
    client._sock.resetAndDestroy()
    await gone
    await Promise.all(waiting.map((socket) => closed(socket)))
  })
})
