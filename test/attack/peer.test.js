'use strict'

/**
 * The raw peers against stock OpenSSH, in both roles: what they say of alknet
 * is worth something only because the reference understands them.
 */

const assert = require('node:assert')
const { needAlknet } = require('../helpers/alknet')
const { key } = require('../helpers/keys')
const { dial, echoServer, expectEcho, closed } = require('../helpers/net')
const { needSshd, startSsh, startSshd } = require('../helpers/openssh')
const { need } = require('../helpers/proc')
const { suiteScope, testScope } = require('../helpers/scope')
const { message, string, u32 } = require('./ssh/bytes')
const { CIPHERS, poly1305 } = require('./ssh/cipher')
const { connectRaw } = require('./ssh/client')
const { METHODS, makeKey } = require('./ssh/kex')
const n = require('./ssh/numbers')
const { startRawServer } = require('./ssh/server')

describe('raw peers and OpenSSH', function () {
  const suite = suiteScope()
  const scope = testScope()
  const userKey = makeKey()
  let sshd, echo, options

  before(async function () {
    needAlknet(this)
    needSshd(this)
    need(this, 'ssh')
    // A rekey by the server after so many bytes: the client has to follow.
    sshd = await startSshd(suite, { userKeys: [userKey], config: ['RekeyLimit 64K'] })
    echo = await echoServer(suite)
    options = { user: sshd.user, key: userKey, hostKey: sshd.hostKeys[0].blob }
  })

  it('Poly1305 is that of RFC 8439 §2.5.2', () => {
    const tag = poly1305(Buffer.from('85d6be7857556d337f4452fe42d506a80103808afb0db2fd4abff6af4149f51b', 'hex'),
      Buffer.from('Cryptographic Forum Research Group'))
    assert.strictEqual(tag.toString('hex'), 'a8061dc1305136c6c22b8baf0c0127a9')
  })

  for (const cipher of Object.keys(CIPHERS)) {
    for (const kex of Object.keys(METHODS)) {
      for (const strict of [true, false]) {
        const what = `${kex}, ${cipher}${strict ? ', strict' : ''}`

        it(`a raw client logs in to sshd: ${what}`, async () => {
          const client = await connectRaw(scope, sshd, { ...options, cipher, kex, strict })
          await client.login()
          // OpenSSH 9.2 of Debian 12 has been given the strict key exchange.
          assert.strictEqual(client.isStrict, strict)
          const channel = await client.open('127.0.0.1', echo.port)
          await client.echo(channel)
          await client.exchange()
          await client.echo(channel, Buffer.alloc(1000, 0x41))
        })

        it(`ssh logs in to a raw server: ${what}`, async () => {
          const hostKey = makeKey()
          const user = key('ed25519', 'user')
          const server = await startRawServer(scope, { hostKey, userKey: user.blob, cipher, kex, strict })
          let peer
          const session = server.take(async (raw) => {
            peer = raw
            await raw.login()
            await raw.serve()
          })
          const ssh = await startSsh(scope, { host: server.host, port: server.port, user: 'me', hostKeys: [hostKey] },
            { dynamic: false, local: ['127.0.0.1:7'], options: ['RekeyLimit=16K'] })
          const socket = await dial(scope, ssh.local[0].port)
          for (let i = 0; i < 10; i++) await expectEcho(socket, 'x'.repeat(5000))
          assert.strictEqual(peer.isStrict, strict)
          assert.ok(peer.rekeyed > 0, 'ssh has not asked for new keys')
          socket.end()
          await closed(socket)
          ssh.proc.kill('SIGTERM')
          await session
        })
      }
    }
  }

  it('a raw client follows a rekey that sshd asks for', async () => {
    const client = await connectRaw(scope, sshd, options)
    await client.login()
    const channel = await client.open('127.0.0.1', echo.port)
    for (let i = 0; i < 3; i++) client.send(message(n.DATA, u32(channel.far), string(Buffer.alloc(25000, i))))
    let rekeys = 0
    for (let left = 3 * 25000; left > 0;) {
      const payload = await client.next()
      if (payload[0] === n.DATA) left -= payload.length - 9
      if (payload[0] === n.DATA) continue
      client.takeKexinit(payload)
      client.sendKexinit()
      await client.method()
      await client.newkeys()
      rekeys++
    }
    assert.notStrictEqual(rekeys, 0, 'sshd has not asked for new keys')
    await client.echo(channel)
  })

  it('sshd refuses a raw client with a key that it does not know', async () => {
    const client = await connectRaw(scope, sshd, { ...options, key: makeKey() })
    await client.exchange()
    await client.service()
    client.send(client.authMessage())
    await client.expect(51)
  })

  it('ssh refuses a raw server with another host key', async () => {
    const server = await startRawServer(scope, { hostKey: makeKey(), userKey: key('ed25519', 'user').blob })
    const ended = assert.rejects(server.take((raw) => raw.login()))
    const known = { host: server.host, port: server.port, user: 'me', hostKeys: [makeKey()] }
    await assert.rejects(startSsh(scope, known, { dynamic: false }), /Host key verification failed/)
    await ended
  })
})
