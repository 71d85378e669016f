'use strict'

/** Which algorithms are spoken with others, which are offered, which refused. */

const assert = require('node:assert')
const fs = require('node:fs')
const { connectArgs, needAlknet, runAlknet, runConnect, startConnect, startServe } = require('../helpers/alknet')
const { key } = require('../helpers/keys')
const { dial, echoServer, listen, drainStream, expectEcho, sendPattern } = require('../helpers/net')
const { needSshd, runSsh, startSsh, startSshd } = require('../helpers/openssh')
const { need } = require('../helpers/proc')
const { suiteScope, testScope } = require('../helpers/scope')
const { socksOpen } = require('../helpers/socks')
const { connectSsh2, forwardOut, startSsh2Server } = require('../helpers/ssh2')
const { kexinit, packet, parseKexinit, readIdent, readPacket } = require('../helpers/wire')

const MAC = 'hmac-sha2-256-etm@openssh.com'
const CIPHERS = ['aes128-gcm@openssh.com', 'aes256-gcm@openssh.com', 'chacha20-poly1305@openssh.com', 'aes256-ctr']
const KEX = ['curve25519-sha256', 'ecdh-sha2-nistp256']
const KEYS = ['ed25519', 'ecdsa-256', 'rsa-3072']

/** What OpenSSH calls the host key algorithms that a key can be used with. */
const HOST_KEY_ALGORITHMS = {
  ed25519: ['ssh-ed25519'],
  'ecdsa-256': ['ecdsa-sha2-nistp256'],
  'rsa-3072': ['rsa-sha2-512', 'rsa-sha2-256']
}

const processorHasAes = () => {
  try {
    return /^(flags|Features)\s*:.*\baes\b/m.test(fs.readFileSync('/proc/cpuinfo', 'utf8'))
  } catch {
    return true
  }
}

/** Some MiB there and back: enough that a wrong cipher would show. */
async function exercise (stream) {
  const size = 4 << 20
  const got = drainStream(stream)
  const { digest } = await sendPattern(stream, size)
  assert.deepStrictEqual(await got, { bytes: size, digest })
}

describe('algorithms: ssh to alknet serve', function () {
  this.timeout(60000)
  const scope = testScope()
  const suite = suiteScope()
  let echo
  before(async function () {
    needAlknet(this)
    need(this, 'ssh')
    echo = await echoServer(suite)
  })

  async function check (server, options, expected) {
    const client = await startSsh(scope, server, options)
    await exercise(await socksOpen(scope, client.socks, '127.0.0.1', echo.port))
    assert.match(client.proc.output, expected)
  }

  describe('ciphers', () => {
    let server
    before(async () => { server = await startServe(suite) })
    for (const cipher of CIPHERS) {
      it(cipher, () => check(server, { options: [`Ciphers=${cipher}`, `MACs=${MAC}`] },
        new RegExp(`kex: server->client cipher: ${cipher}`)))
    }
    for (const kex of KEX) {
      it(kex, () => check(server, { options: [`KexAlgorithms=${kex}`] },
        new RegExp(`kex: algorithm: ${kex}`)))
    }
  })

  describe('user keys', () => {
    let server
    before(async () => { server = await startServe(suite, { userKeys: KEYS.map((kind) => key(kind, 'user')) }) })
    for (const kind of KEYS) {
      it(kind, () => check(server, { identity: key(kind, 'user') },
        /Authenticated to .* using "publickey"/))
    }
    for (const algorithm of ['rsa-sha2-256', 'rsa-sha2-512']) {
      it(`rsa-3072 with ${algorithm}`, () => check(server,
        { identity: key('rsa-3072', 'user'), options: [`PubkeyAcceptedAlgorithms=${algorithm}`] },
        /Server accepts key.*RSA[^]*Authenticated to/))
    }
  })

  describe('host keys', () => {
    for (const kind of KEYS) {
      for (const algorithm of HOST_KEY_ALGORITHMS[kind]) {
        it(algorithm, async () => {
          const server = await startServe(scope, { hostKeys: [key(kind, 'host')] })
          await check(server, { options: [`HostKeyAlgorithms=${algorithm}`] },
            new RegExp(`kex: host key algorithm: ${algorithm}`))
        })
      }
    }
    it('several at once, each usable', async () => {
      const server = await startServe(scope, { hostKeys: KEYS.map((kind) => key(kind, 'host')) })
      for (const kind of KEYS) {
        const [algorithm] = HOST_KEY_ALGORITHMS[kind]
        await check(server, { options: [`HostKeyAlgorithms=${algorithm}`] },
          new RegExp(`kex: host key algorithm: ${algorithm}`))
      }
    })
  })
})

describe('algorithms: alknet connect to sshd', function () {
  this.timeout(60000)
  const scope = testScope()
  const suite = suiteScope()
  let echo
  before(async function () {
    needAlknet(this)
    needSshd(this)
    echo = await echoServer(suite)
  })

  async function check (sshd, options, expected) {
    const client = await startConnect(scope, sshd, options)
    await exercise(await socksOpen(scope, client.socks, '127.0.0.1', echo.port))
    await sshd.proc.waitFor(expected)
  }

  for (const cipher of CIPHERS) {
    it(cipher, async () => check(await startSshd(scope, { config: [`Ciphers ${cipher}`, `MACs ${MAC}`] }), {},
      new RegExp(`kex: server->client cipher: ${cipher}`)))
  }
  for (const kex of KEX) {
    it(kex, async () => check(await startSshd(scope, { config: [`KexAlgorithms ${kex}`] }), {},
      new RegExp(`kex: algorithm: ${kex}`)))
  }
  for (const kind of KEYS) {
    it(`user key ${kind}`, async () => check(await startSshd(scope, { userKeys: [key(kind, 'user')] }),
      { identity: key(kind, 'user') }, /Accepted publickey for/))
    for (const algorithm of HOST_KEY_ALGORITHMS[kind]) {
      it(`host key ${algorithm}`, async () => check(await startSshd(scope,
        { hostKeys: [key(kind, 'host')], config: [`HostKeyAlgorithms ${algorithm}`] }), {},
      new RegExp(`kex: host key algorithm: ${algorithm}`)))
    }
  }

  it('tries its identities in turn', async () => {
    await check(await startSshd(scope), {
      identity: key('ed25519', 'stranger'),
      args: ['--identity', key('ed25519', 'user').path]
    }, /Accepted publickey for/)
  })

  it('by default, the fastest cipher that the processor is good at', async () => {
    const first = processorHasAes() ? CIPHERS[0] : CIPHERS[2]
    await check(await startSshd(scope), {}, new RegExp(`kex: client->server cipher: ${first}`))
  })

  it('narrows the ciphers and the key exchange on demand', async () => {
    await check(await startSshd(scope),
      { args: ['--ciphers', 'aes256-gcm@openssh.com', '--kex', 'ecdh-sha2-nistp256'] },
      /kex: algorithm: ecdh-sha2-nistp256[^]*kex: client->server cipher: aes256-gcm@openssh.com/)
  })

  for (const [what, config] of [
    ['finite-field Diffie-Hellman with SHA-1', ['KexAlgorithms diffie-hellman-group14-sha1']],
    ['finite-field Diffie-Hellman with SHA-2', ['KexAlgorithms diffie-hellman-group14-sha256,diffie-hellman-group16-sha512,diffie-hellman-group-exchange-sha256']],
    ['a CBC cipher', ['Ciphers aes128-cbc,aes256-cbc,3des-cbc', 'MACs hmac-sha2-256']],
    ['a SHA-1 MAC', ['Ciphers aes256-ctr', 'MACs hmac-sha1,hmac-sha1-etm@openssh.com']],
    ['encrypt-and-MAC', ['Ciphers aes256-ctr', 'MACs hmac-sha2-256,hmac-sha2-512']]
  ]) {
    it(`refuses a server that only has ${what}`, async () => {
      const sshd = await startSshd(scope, { config })
      const { code, output } = await runConnect(scope, sshd)
      assert.ok(code === 1 || code === 5, `exit code ${code}: ${output}`)
      await sshd.proc.waitFor(/no matching|Unable to negotiate|Connection (closed|reset)/)
      assert.doesNotMatch(output, /\n\s+at /)
    })
  }

  it('refuses an RSA host key signed with SHA-1', async () => {
    const sshd = await startSshd(scope,
      { hostKeys: [key('rsa-3072', 'host')], config: ['HostKeyAlgorithms ssh-rsa'] })
    const { code, output } = await runConnect(scope, sshd)
    assert.ok([1, 4, 5].includes(code), `exit code ${code}: ${output}`)
  })

  it('refuses an RSA host key of 2048 bits, known or not', async () => {
    const sshd = await startSshd(scope, { hostKeys: [key('rsa-2048', 'host')] })
    const { code, output } = await runConnect(scope, sshd)
    assert.ok([1, 4, 5].includes(code), `exit code ${code}: ${output}`)
    assert.doesNotMatch(sshd.proc.output, /Accepted publickey/)
  })
})

describe('algorithms: npm ssh2', function () {
  this.timeout(60000)
  const scope = testScope()
  const suite = suiteScope()
  let echo
  let server
  before(async function () {
    needAlknet(this)
    echo = await echoServer(suite)
    server = await startServe(suite, { userKeys: KEYS.map((kind) => key(kind, 'user')) })
  })

  const choice = (cipher, kex = KEX[0]) => ({ algorithms: { cipher: [cipher], hmac: [MAC], kex: [kex] } })

  for (const cipher of CIPHERS) {
    it(`${cipher}, ssh2 as client`, async () => {
      const client = await connectSsh2(scope, server, choice(cipher))
      await exercise(await forwardOut(client, '127.0.0.1', echo.port))
      assert.strictEqual(client.negotiated.cs.cipher, cipher)
    })
    it(`${cipher}, ssh2 as server`, async () => {
      const peer = await startSsh2Server(scope, choice(cipher))
      const client = await startConnect(scope, peer)
      await exercise(await socksOpen(scope, client.socks, '127.0.0.1', echo.port))
      assert.strictEqual(peer.negotiated.cs.cipher, cipher)
    })
  }
  for (const kex of KEX) {
    it(`${kex}, ssh2 as client`, async () => {
      const client = await connectSsh2(scope, server, choice(CIPHERS[0], kex))
      await exercise(await forwardOut(client, '127.0.0.1', echo.port))
      assert.strictEqual(client.negotiated.kex, kex)
    })
    it(`${kex}, ssh2 as server`, async () => {
      const peer = await startSsh2Server(scope, choice(CIPHERS[0], kex))
      const client = await startConnect(scope, peer)
      await exercise(await socksOpen(scope, client.socks, '127.0.0.1', echo.port))
      assert.strictEqual(peer.negotiated.kex, kex)
    })
  }
  for (const kind of KEYS) {
    it(`user key ${kind}, ssh2 as client`, async () => {
      const client = await connectSsh2(scope, server, { identity: key(kind, 'user') })
      await exercise(await forwardOut(client, '127.0.0.1', echo.port))
    })
    it(`user and host key ${kind}, ssh2 as server`, async () => {
      const peer = await startSsh2Server(scope, { hostKey: key(kind, 'host'), userKey: key(kind, 'user') })
      const client = await startConnect(scope, peer, { identity: key(kind, 'user') })
      await exercise(await socksOpen(scope, client.socks, '127.0.0.1', echo.port))
    })
  }
})

describe('algorithms: refused by alknet serve', function () {
  this.timeout(60000)
  const scope = testScope()
  const suite = suiteScope()
  let server
  before(async function () {
    needAlknet(this)
    need(this, 'ssh')
    server = await startServe(suite, {
      hostKeys: [key('ed25519', 'host'), key('rsa-3072', 'host')],
      userKeys: [key('ed25519', 'user'), key('rsa-3072', 'user')]
    })
  })

  for (const [what, options, message] of [
    ['diffie-hellman-group14-sha1', ['KexAlgorithms=diffie-hellman-group14-sha1'], /no matching key exchange/],
    ['every finite-field Diffie-Hellman', ['KexAlgorithms=diffie-hellman-group14-sha256,diffie-hellman-group16-sha512,diffie-hellman-group18-sha512,diffie-hellman-group-exchange-sha256,diffie-hellman-group-exchange-sha1'], /no matching key exchange/],
    ['CBC', ['Ciphers=aes128-cbc,aes192-cbc,aes256-cbc,3des-cbc'], /no matching cipher/],
    ['hmac-sha1', ['Ciphers=aes256-ctr', 'MACs=hmac-sha1,hmac-sha1-etm@openssh.com'], /no matching MAC/],
    ['hmac-md5', ['Ciphers=aes256-ctr', 'MACs=hmac-md5,hmac-md5-etm@openssh.com'], /no matching MAC/],
    ['ssh-rsa as host key algorithm', ['HostKeyAlgorithms=ssh-rsa'], /no matching host key type/]
  ]) {
    it(what, async () => {
      const { code, output } = await runSsh(scope, server, { options, args: ['-N'] })
      assert.strictEqual(code, 255, output)
      assert.doesNotMatch(output, /Authenticated to/)
      // The server may have closed before ssh could read why.
      assert.match(output, new RegExp(`${message.source}|Connection (closed|reset)`))
    })
  }

  it('ssh-rsa signatures of users', async () => {
    const { code, output } = await runSsh(scope, server, {
      identity: key('rsa-3072', 'user'), options: ['PubkeyAcceptedAlgorithms=ssh-rsa'], args: ['-N']
    })
    assert.strictEqual(code, 255, output)
    assert.match(output, /Permission denied \(publickey\)|no mutual signature/)
  })

  it('RSA user keys of 2048 bits', async () => {
    // The line may be a fault at start or grant nothing: nobody gets in by it.
    const server = await startServe(scope, { userKeys: [key('rsa-2048', 'user'), key('ed25519', 'user')] })
    const { code, output } = await runSsh(scope, server, { identity: key('rsa-2048', 'user'), args: ['-N'] })
    assert.strictEqual(code, 255, output)
    assert.match(output, /Permission denied \(publickey\)/)
  })

  for (const method of ['password', 'keyboard-interactive', 'none', 'hostbased']) {
    it(`authentication by ${method}`, async () => {
      const auth = { password: { password: 'x' }, 'keyboard-interactive': { tryKeyboard: true } }
      await assert.rejects(connectSsh2(scope, server,
        { identity: null, ...auth[method], authHandler: [method === 'hostbased' ? 'none' : method] }),
      /authentication methods failed/)
    })
  }

  it('offers publickey and nothing else', async () => {
    const { code, output } = await runSsh(scope, server, { identity: key('ed25519', 'stranger'), args: ['-N'] })
    assert.strictEqual(code, 255)
    const offers = [...output.matchAll(/Authentications that can continue: (.*)/g)].map((m) => m[1].trim())
    assert.ok(offers.length > 0, output)
    for (const offer of offers) assert.strictEqual(offer, 'publickey')
  })
})

describe('algorithms: what is offered', function () {
  this.timeout(60000)
  const scope = testScope()
  before(function () { needAlknet(this) })

  const strict = (list) => list.filter((name) => !/^(ext-info-|kex-strict-)/.test(name))
  const KNOWN_KEX = ['mlkem768x25519-sha256', 'curve25519-sha256', 'curve25519-sha256@libssh.org', 'ecdh-sha2-nistp256']

  function checkCommon (lists) {
    const kex = strict(lists.kex)
    assert.deepStrictEqual(kex, KNOWN_KEX.filter((name) => kex.includes(name)), 'the order of the specification')
    assert.ok(kex.includes('curve25519-sha256') && kex.includes('ecdh-sha2-nistp256'))
    const aes = ['aes128-gcm@openssh.com', 'aes256-gcm@openssh.com']
    const chacha = ['chacha20-poly1305@openssh.com']
    const best = processorHasAes() ? [...aes, ...chacha] : [...chacha, ...aes]
    const ciphers = [...best, 'aes256-ctr', 'aes128-ctr']
    const macs = ['hmac-sha2-256-etm@openssh.com', 'hmac-sha2-512-etm@openssh.com']
    assert.deepStrictEqual(lists.ciphersToServer, ciphers)
    assert.deepStrictEqual(lists.ciphersToClient, ciphers)
    assert.deepStrictEqual(lists.macsToServer, macs)
    assert.deepStrictEqual(lists.macsToClient, macs)
    assert.deepStrictEqual(lists.compressionToServer, ['none'])
    assert.deepStrictEqual(lists.compressionToClient, ['none'])
  }

  it('by the server, with strict key exchange', async () => {
    const server = await startServe(scope, { hostKeys: [key('ed25519', 'host'), key('rsa-3072', 'host')] })
    const socket = await dial(scope, server.port)
    socket.write('SSH-2.0-probe\r\n')
    assert.match(await readIdent(socket), /^SSH-2\.0-/)
    socket.write(packet(kexinit()))
    const lists = parseKexinit(await readPacket(socket))
    checkCommon(lists)
    assert.ok(lists.kex.includes('kex-strict-s-v00@openssh.com'))
    assert.deepStrictEqual(lists.hostKeys, ['ssh-ed25519', 'rsa-sha2-512', 'rsa-sha2-256'])
  })

  it('by the client, with strict key exchange', async () => {
    let lists
    const peer = await listen(scope, async (socket) => {
      socket.write('SSH-2.0-probe\r\n')
      await readIdent(socket)
      lists = parseKexinit(await readPacket(socket))
      socket.destroy()
    })
    const { code } = await runConnect(scope, { host: '127.0.0.1', port: peer.port, user: 'u', knownHosts: '' })
    assert.ok(code === 1 || code === 5, `exit code ${code}`)
    checkCommon(lists)
    assert.ok(lists.kex.includes('kex-strict-c-v00@openssh.com'))
    const known = ['ssh-ed25519-cert-v01@openssh.com', 'ssh-ed25519', 'ecdsa-sha2-nistp256', 'rsa-sha2-512', 'rsa-sha2-256']
    assert.deepStrictEqual(lists.hostKeys, known.filter((name) => lists.hostKeys.includes(name)))
    assert.ok(lists.hostKeys.includes('ssh-ed25519') && lists.hostKeys.includes('rsa-sha2-256'))
  })

  for (const [flag, value] of [
    ['--ciphers', 'aes128-cbc'], ['--ciphers', 'aes128-gcm@openssh.com,3des-cbc'], ['--ciphers', 'none'],
    ['--kex', 'diffie-hellman-group14-sha256'], ['--host-key-algorithms', 'ssh-rsa']
  ]) {
    it(`${flag} ${value} cannot widen the lists: exit 2`, async () => {
      const { code, stderr } = await runAlknet(scope, connectArgs(scope,
        { host: '127.0.0.1', port: 1, user: 'u', knownHosts: '' }, { args: [flag, value] }))
      assert.strictEqual(code, 2, stderr)
      assert.match(stderr, /cipher|kex|key|algorithm/i)
    })
  }

  it('a client never asks for none, password or keyboard-interactive', async () => {
    const peer = await startSsh2Server(scope, { admitNone: true })
    const echo = await echoServer(scope)
    const client = await startConnect(scope, peer)
    await expectEcho(await socksOpen(scope, client.socks, '127.0.0.1', echo.port))
    assert.deepStrictEqual([...new Set(peer.methods)], ['publickey'])
  })

  it('a client refused by a server that would take a password gives up', async () => {
    const peer = await startSsh2Server(scope, { userKey: key('ed25519', 'stranger') })
    const { code, output } = await runConnect(scope, peer)
    assert.strictEqual(code, 3, output)
    assert.ok(!peer.methods.includes('password') && !peer.methods.includes('keyboard-interactive'))
  })
})
