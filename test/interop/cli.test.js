'use strict'

/** The command line: what it says, and with which exit code. */

const assert = require('node:assert')
const { execFileSync } = require('node:child_process')
const crypto = require('node:crypto')
const { once } = require('node:events')
const fs = require('node:fs')
const path = require('node:path')
const { bin, connectArgs, needAlknet, runAlknet, runConnect, startAlknet, startConnect, startServe } = require('../helpers/alknet')
const { key, keyOf } = require('../helpers/keys')
const { closed, echoServer, expectEcho, freePort, listen, readAll, readBytes } = require('../helpers/net')
const { needSshd, startSshd } = require('../helpers/openssh')
const { run } = require('../helpers/proc')
const { suiteScope, testScope } = require('../helpers/scope')
const { socksOpen } = require('../helpers/socks')

/** Nothing may have started, and the reason must be readable. */
function checkRefusal ({ code, stdout, stderr }, expected, pattern) {
  assert.strictEqual(code, expected, stderr)
  assert.strictEqual(stdout, '')
  assert.match(stderr, pattern)
  assert.doesNotMatch(stderr, /\n\s+at /, 'no stack trace')
  assert.doesNotMatch(stderr, /undefined|\[object|NaN/)
}

/** Commands that must refuse to start; the server does not exist. */
const nowhere = { host: '127.0.0.1', port: 1, user: 'alknet', knownHosts: '' }

function serveArgs (args = [], { hostKey = key('ed25519', 'host').path, listen = '127.0.0.1:0' } = {}) {
  return ['serve', '--key', hostKey, '--listen', listen, ...args]
}

/** Like runAlknet(), but a server that starts after all fails the test instead of running on. */
async function refusedServe (scope, args) {
  const proc = startAlknet(scope, args)
  await Promise.race([proc.exited, proc.waitFor(/listening on/).catch(() => {})])
  assert.doesNotMatch(proc.stdout, /listening on/, `it started: ${args.join(' ')}`)
  return proc.exited
}

describe('cli: help and versions', function () {
  this.timeout(60000)
  const scope = testScope()
  before(function () { needAlknet(this) })

  for (const flag of ['--version', '-V']) {
    it(flag, async () => {
      const { code, stdout } = await runAlknet(scope, [flag])
      assert.strictEqual(code, 0)
      const { version } = require('../../package.json')
      assert.ok(stdout.includes(`alknet ${version}`), stdout)
      assert.match(stdout, new RegExp(`node v?${process.versions.node}`, 'i'))
      assert.match(stdout, new RegExp(`openssl ${process.versions.openssl.split('+')[0]}`, 'i'))
      const [, engines] = /^engines (native(?:, libssh)?)$/m.exec(stdout)
      assert.strictEqual(/^libssh \d+\.\d+\.\d+/m.test(stdout), engines.includes('libssh'))
    })
  }

  for (const args of [['--help'], ['serve', '--help'], ['connect', '--help'], ['keygen', '--help'], ['help', 'serve']]) {
    it(args.join(' '), async () => {
      const { code, stdout, stderr } = await runAlknet(scope, args)
      assert.strictEqual(code, 0, stderr)
      assert.match(stdout, /Usage: alknet/)
      assert.match(stdout, /Examples:[^]*\$ alknet/)
    })
  }

  it('no command: the usage, exit 2', async () => {
    const { code, output } = await runAlknet(scope, [])
    assert.strictEqual(code, 2)
    assert.match(output, /Usage: alknet/)
  })
})

describe('cli: usage and configuration, exit 2', function () {
  this.timeout(60000)
  const scope = testScope()
  before(function () { needAlknet(this) })

  for (const [what, pattern] of [
    ['me@example.com', /--server: "me@example\.com": write host\[:port\] alone; the user has an option of its own/],
    ['me:se/c:r@t@example.com', /--server: "me:\*\*\*@example\.com": write/],
    ['ssh://me:secret@example.com', /--server: "ssh:\/\/me:\*\*\*@example\.com": a URL/],
    ['ssh://example.com', /--server: "ssh:\/\/example\.com": a URL is not taken: write host\[:port\]/]
  ]) {
    it(`what ssh takes: ${what}`, async () => {
      checkRefusal(await runAlknet(scope, ['connect', '--server', what, '--identity', key('ed25519', 'user').path]), 2, pattern)
    })
  }

  for (const [args, suggestion] of [
    [['serv'], /serve/],
    [['connect', '--sevrer', 'x'], /--server/],
    [['connect', '--identify', 'x'], /--identity/],
    [['serve', '--authorised-keys', 'x'], /--authorized-keys/],
    [['serve', '--lissen', 'x'], /--listen/],
    [['keygen', '--forse'], /--force/]
  ]) {
    it(`unknown: ${args.join(' ')}`, async () => {
      checkRefusal(await runAlknet(scope, args), 2, suggestion)
    })
  }

  for (const [name, args, pattern] of [
    ['no server', ['connect', '--identity', key('ed25519', 'user').path], /--server/],
    ['no identity', ['connect', '--server', '127.0.0.1:1'], /--identity/],
    ['a stray argument', connectArgsOf(['example.com']), /argument|example\.com/],
    ['an empty server', connectArgsOf(['--server', '']), /--server/],
    ['server port 0', connectArgsOf(['--server', 'h:0']), /--server/],
    ['server port 65536', connectArgsOf(['--server', 'h:65536']), /--server/],
    ['server port abc', connectArgsOf(['--server', 'h:abc']), /--server/],
    ['a server with a space', connectArgsOf(['--server', 'a b']), /--server/],
    ['a server with an open bracket', connectArgsOf(['--server', '[::1']), /--server/],
    ['a server that begins with a dash', connectArgsOf(['--server', '-oProxyCommand=x']), /--server/],
    ['a server with a control character', connectArgsOf(['--server', 'a\x01b']), /--server/],
    ['an empty user', connectArgsOf(['--user', '']), /--user/],
    ['a user with a line feed', connectArgsOf(['--user', 'a\nb']), /--user/],
    ['a SOCKS address without port', connectArgsOf(['--socks5', '127.0.0.1']), /--socks5/],
    ['a SOCKS address that is none', connectArgsOf(['--socks5', 'nowhere at all']), /--socks5/],
    ['SOCKS port 65536', connectArgsOf(['--socks5', '127.0.0.1:65536']), /--socks5/],
    ['a forward of one part', connectArgsOf(['--forward', '80']), /--forward/],
    ['a forward of two parts', connectArgsOf(['--forward', '80:host']), /--forward/],
    ['a forward to port 0', connectArgsOf(['--forward', '80:host:0']), /--forward/],
    ['a forward from port 70000', connectArgsOf(['--forward', '70000:host:1']), /--forward/],
    ['a forward without host', connectArgsOf(['--forward', '80::1']), /--forward/],
    ['a forward of five parts', connectArgsOf(['--forward', 'a:1:b:2:c']), /--forward/],
    ['an open bracket', connectArgsOf(['--forward', '80:[::1:80']), /--forward/],
    ['keepalive -1', connectArgsOf(['--keepalive', '-1']), /--keepalive/],
    ['keepalive x', connectArgsOf(['--keepalive', 'x']), /--keepalive/],
    ['a log level', connectArgsOf(['--log-level', 'loud']), /--log-level/],
    ['a log format', connectArgsOf(['--log-format', 'xml']), /--log-format/],
    ['a transport', connectArgsOf(['--transport', 'pigeon']), /--transport/],
    ['an engine', connectArgsOf(['--ssh-engine', 'steam']), /--ssh-engine/]
  ]) {
    it(`connect: ${name}`, async () => checkRefusal(await runAlknet(scope, args), 2, pattern))
  }

  for (const [name, args, pattern] of [
    ['no key', ['serve', '--listen', '127.0.0.1:0'], /--key/],
    ['a name to listen on', serveArgs(['--listen', 'not an address:1']), /--listen/],
    ['port 99999', serveArgs(['--listen', '127.0.0.1:99999']), /--listen/],
    ['no port', serveArgs(['--listen', '127.0.0.1']), /--listen/],
    ['login grace 0x', serveArgs(['--login-grace', '0x']), /--login-grace/],
    ['login grace -1', serveArgs(['--login-grace', '-1']), /--login-grace/],
    ['1.5 channels', serveArgs(['--max-channels', '1.5']), /--max-channels/],
    ['a huge number', serveArgs(['--max-sessions', '99999999999999999999']), /--max-sessions/],
    ['stealth without tls', serveArgs(['--stealth']), /--stealth: makes sense only for tls/],
    ['a site without stealth', serveArgs(['--stealth-upstream', 'http://x']), /--stealth-upstream: makes sense only with stealth/]
  ]) {
    it(`serve: ${name}`, async () => checkRefusal(await refusedServe(scope, args), 2, pattern))
  }

  for (const flag of [['--peer', 'id'], ['--iroh-relay', 'https://x'], ['--transport', 'iroh']]) {
    it(`connect ${flag.join(' ')} is not available yet`, async () => {
      checkRefusal(await runAlknet(scope, connectArgsOf(flag)), 2, /not available yet/)
    })
  }

  for (const flag of [['--transport', 'iroh']]) {
    it(`serve ${flag.join(' ')} is not available yet`, async () => {
      checkRefusal(await refusedServe(scope, serveArgs(flag)), 2, /not available yet/)
    })
  }

  function connectArgsOf (args) {
    const scopeless = { file: () => '/dev/null' }
    return connectArgs(scopeless, nowhere, { args })
  }
})

describe('cli: keys', function () {
  this.timeout(60000)
  const scope = testScope()
  const suite = suiteScope()
  let server, echo

  before(async function () {
    needAlknet(this)
    server = await startServe(suite, { userKeys: [key('ed25519', 'user'), key('ed25519', 'locked', { passphrase: 'open sesame' })] })
    echo = await echoServer(suite)
  })

  const pkcs8 = () => crypto.generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' })
  const text = (file) => fs.readFileSync(file, 'utf8')

  const BAD = {
    'a path that is not there': [() => path.join(scope.dir(), 'missing'), /missing/],
    'a directory': [() => scope.dir(), /alknet-test-/],
    'an empty file': [() => scope.file('key', ''), /key/],
    rubbish: [() => scope.file('key', 'rubbish\n'), /key/],
    'a public key': [() => scope.file('key', key('ed25519', 'user').public), /public|format|key/i],
    'half a key': [() => scope.file('key', text(key('ed25519', 'user').path).slice(0, 200)), /key/],
    'a key cut in its middle': [() => scope.file('key', text(key('ed25519', 'user').path)
      .split('\n').filter((line, i) => i !== 2).join('\n')), /key/],
    'a world-readable key': [() => scope.file('key', text(key('ed25519', 'user').path), 0o644), /permission|mode|0644|chmod/i],
    'a group-readable key': [() => scope.file('key', text(key('ed25519', 'user').path), 0o640), /permission|mode|0640|chmod/i],
    'a PEM key (PKCS#1)': [() => key('rsa-3072', 'pem', { pem: true }).path, /ssh-keygen -p/],
    'a PEM key (PKCS#8)': [() => scope.file('key', pkcs8()), /ssh-keygen -p/],
    'an RSA key of 2048 bits': [() => key('rsa-2048', 'user').path, /3072|2048|RSA/],
    'an encrypted key without a passphrase': [() => key('ed25519', 'locked', { passphrase: 'open sesame' }).path, /passphrase/i]
  }

  for (const [name, [file, pattern]] of Object.entries(BAD)) {
    it(`--identity ${name}: exit 2`, async () => {
      checkRefusal(await runConnect(scope, server, { identity: { path: file() } }), 2, pattern)
    })
    it(`--key ${name}: exit 2`, async () => {
      checkRefusal(await refusedServe(scope, serveArgs([], { hostKey: file() })), 2, pattern)
    })
  }

  it('the passphrase in ALKNET_PASSPHRASE', async () => {
    const identity = key('ed25519', 'locked', { passphrase: 'open sesame' })
    const client = await startConnect(scope, server, { identity, env: { ALKNET_PASSPHRASE: 'open sesame' } })
    await expectEcho(await socksOpen(scope, client.socks, '127.0.0.1', echo.port))
  })

  it('a wrong passphrase: exit 2, and it is not repeated', async () => {
    const identity = key('ed25519', 'locked', { passphrase: 'open sesame' })
    const result = await runConnect(scope, server, { identity, env: { ALKNET_PASSPHRASE: 'wrong-secret' } })
    checkRefusal(result, 2, /passphrase/i)
    assert.doesNotMatch(result.output, /wrong-secret/)
  })

  it('an encrypted host key', async () => {
    const hostKey = key('ed25519', 'locked', { passphrase: 'open sesame' })
    const server = await startServe(scope, { hostKeys: [hostKey], env: { ALKNET_PASSPHRASE: 'open sesame' } })
    await startConnect(scope, server)
  })

  it('authorized_keys that are not there: exit 2', async () => {
    checkRefusal(await refusedServe(scope, serveArgs(['--authorized-keys', '/nonexistent/keys'])), 2, /\/nonexistent\/keys/)
  })

  it('without authorized_keys nobody gets in, and the start says so', async () => {
    const proc = startAlknet(scope, serveArgs())
    const [, port] = await proc.waitFor(/listening on 127\.0\.0\.1:(\d+)/)
    assert.match(proc.output, /nobody|no one|no authorized/i)
    const { code } = await runConnect(scope, { host: '127.0.0.1', port, user: 'alknet', knownHosts: null },
      { args: ['--host-key', key('ed25519', 'host').fingerprint] })
    assert.strictEqual(code, 3)
  })

  it('the start says that everything is allowed when no rule is given', async () => {
    assert.match(server.proc.output, /allow/i)
  })
})

describe('cli: keygen', function () {
  this.timeout(60000)
  const scope = testScope()
  before(function () { needAlknet(this) })

  for (const [type, line] of [['ed25519', /^256 SHA256:\S+ .*\(ED25519\)/], ['ecdsa', /^256 SHA256:\S+ .*\(ECDSA\)/], ['rsa', /^3072 SHA256:\S+ .*\(RSA\)/]]) {
    it(`makes ${type} keys that ssh-keygen, sshd and serve know`, async function () {
      const file = path.join(scope.dir(), 'id')
      const made = await runAlknet(scope, ['keygen', '-t', type, '-f', file, '-C', 'a comment'])
      assert.strictEqual(made.code, 0, made.stderr)
      assert.strictEqual(fs.statSync(file).mode & 0o777, 0o600)
      const listed = execFileSync('ssh-keygen', ['-l', '-f', file]).toString()
      assert.match(listed, line)
      assert.match(listed, /a comment/)
      assert.ok(made.stdout.includes(/SHA256:\S+/.exec(listed)[0]), 'the fingerprint is printed')
      const derived = execFileSync('ssh-keygen', ['-y', '-f', file]).toString().trim().split(' ')
      const identity = keyOf(file)
      assert.deepStrictEqual(derived.slice(0, 2), [identity.type, identity.base64])
      // As user key and as host key, here and with sshd.
      const server = await startServe(scope, { hostKeys: [identity], userKeys: [identity] })
      await startConnect(scope, server, { identity })
      needSshd(this)
      const sshd = await startSshd(scope, { hostKeys: [identity], userKeys: [identity] })
      await startConnect(scope, sshd, { identity })
    })
  }

  it('makes an Ed25519 key by default', async () => {
    const HOME = scope.dir()
    const { code, stdout } = await runAlknet(scope, ['keygen'], { env: { HOME } })
    assert.strictEqual(code, 0)
    const [file] = stdout.split('\n')
    assert.ok(file.startsWith(HOME), stdout)
    assert.strictEqual(keyOf(file).type, 'ssh-ed25519')
  })

  it('encrypts with a passphrase', async () => {
    const file = path.join(scope.dir(), 'id')
    await runAlknet(scope, ['keygen', '-f', file, '-N', 'open sesame'])
    assert.throws(() => execFileSync('ssh-keygen', ['-y', '-P', '', '-f', file], { stdio: 'pipe' }))
    execFileSync('ssh-keygen', ['-y', '-P', 'open sesame', '-f', file])
    const server = await startServe(scope, { userKeys: [keyOf(file)] })
    await startConnect(scope, server, { identity: { path: file }, env: { ALKNET_PASSPHRASE: 'open sesame' } })
  })

  it('never replaces a file unless told to', async () => {
    const file = scope.file('id', 'precious')
    const kept = await runAlknet(scope, ['keygen', '-f', file])
    assert.strictEqual(kept.code, 2)
    assert.match(kept.stderr, /exists/)
    assert.strictEqual(fs.readFileSync(file, 'utf8'), 'precious')
    assert.strictEqual((await runAlknet(scope, ['keygen', '-f', file, '--force'])).code, 0)
    assert.strictEqual(keyOf(file).type, 'ssh-ed25519')
  })

  it('never leaves half a pair where only the public file is there already', async () => {
    const dir = scope.dir()
    const file = path.join(dir, 'id')
    fs.writeFileSync(`${file}.pub`, 'precious')
    const { code } = await runAlknet(scope, ['keygen', '-f', file])
    assert.strictEqual(code, 2)
    assert.strictEqual(fs.readFileSync(`${file}.pub`, 'utf8'), 'precious')
    assert.ok(!fs.existsSync(file), 'a private key without its public one was left behind')
  })

  it('leaves nothing behind where the disk is full', async () => {
    const dir = scope.dir()
    // Node ignores the signal of this limit: a write fails then.
    const { code, stderr } = await run(scope, 'sh', ['-c', 'ulimit -f 0; exec "$@"', 'sh', process.execPath, bin, 'keygen', '-f', path.join(dir, 'id')])
    assert.strictEqual(code, 1)
    assert.match(stderr, /^alknet: cannot write \S+id\.pub: EFBIG: file too large\n$/)
    assert.deepStrictEqual(fs.readdirSync(dir), [])
  })

  for (const args of [['-t', 'dsa'], ['-t', 'ssh-rsa'], ['-f', '/nonexistent/dir/id'], ['-f', ''], ['extra']]) {
    it(`${args.join(' ')}: refused`, async () => {
      const { code, stderr } = await runAlknet(scope, ['keygen', ...args])
      assert.ok(code === 1 || code === 2, `exit ${code}`)
      assert.doesNotMatch(stderr, /\n\s+at /)
    })
  }
})

describe('cli: exit codes', function () {
  this.timeout(60000)
  const scope = testScope()
  const suite = suiteScope()
  let server

  before(async function () {
    needAlknet(this)
    server = await startServe(suite)
  })

  it('3, a key that the server does not know', async () => {
    checkRefusal(await runConnect(scope, server, { identity: key('ed25519', 'stranger') }), 3, /auth|refused|key/i)
  })

  it('3, by sshd too', async function () {
    needSshd(this)
    const sshd = await startSshd(scope)
    checkRefusal(await runConnect(scope, sshd, { identity: key('ed25519', 'stranger') }), 3, /auth|refused|key/i)
    checkRefusal(await runConnect(scope, { ...sshd, user: 'no-such-user-here' }), 3, /auth|refused|key/i)
  })

  it('5, nothing listens there', async () => {
    checkRefusal(await runConnect(scope, { ...nowhere, port: await freePort() }), 5, /refused/i)
  })

  it('5, a name that does not exist', async () => {
    checkRefusal(await runConnect(scope, { ...nowhere, host: 'no-such-host.invalid' }), 5, /no-such-host\.invalid|name|resolve/i)
  })

  it('5, nobody answers in --connect-timeout', async () => {
    // A listener whose queue is full: connections neither succeed nor fail.
    const full = await listen(scope, () => {}, { pauseOnConnect: true })
    const { code, stderr } = await runConnect(scope, { ...nowhere, port: full.port }, { args: ['--handshake-timeout', '1'] })
    assert.strictEqual(code, 5, stderr)
    assert.match(stderr, /time/i)
  })

  it('1, the SOCKS5 address is in use: says which', async () => {
    const taken = await listen(scope, () => {})
    checkRefusal(await runConnect(scope, server, { socks: `127.0.0.1:${taken.port}` }), 1, new RegExp(`${taken.port}.*in use|in use.*${taken.port}`))
  })

  it('1, a forward\'s address is in use: says which', async () => {
    const taken = await listen(scope, () => {})
    const { code, stderr } = await runConnect(scope, server, { forwards: ['0:127.0.0.1:1', `${taken.port}:127.0.0.1:1`] })
    assert.strictEqual(code, 1, stderr)
    assert.match(stderr, new RegExp(`${taken.port}.*in use|in use.*${taken.port}`))
  })

  it('1, the server\'s address is in use: says which', async () => {
    const taken = await listen(scope, () => {})
    const { code, stderr } = await refusedServe(scope, serveArgs([], { listen: `127.0.0.1:${taken.port}` }))
    assert.ok(code === 1 || code === 2, `exit ${code}: ${stderr}`)
    assert.match(stderr, new RegExp(`${taken.port}.*in use|in use.*${taken.port}`))
  })

  it('4, the server that comes back is another', async () => {
    const server = await startServe(scope)
    const client = await startConnect(scope, server)
    await server.proc.stop()
    await client.proc.waitFor(/session state=waiting/)
    await startServe(scope, { listen: [`127.0.0.1:${server.port}`], hostKeys: [key('ed25519', 'user')] })
    client.proc.kill('SIGHUP')
    const { code, stderr } = await client.proc.exited
    assert.strictEqual(code, 4, stderr)
    assert.match(stderr, /SHA256:/)
  })

  it('0, it is stopped while the session is lost', async () => {
    const server = await startServe(scope)
    const client = await startConnect(scope, server)
    await server.proc.stop()
    await client.proc.waitFor(/session state=waiting/)
    client.proc.kill('SIGTERM')
    assert.strictEqual((await client.proc.exited).code, 0)
  })
})

describe('cli: the environment', function () {
  this.timeout(60000)
  const scope = testScope()
  before(function () { needAlknet(this) })

  it('holds what flags hold', async () => {
    const server = await startServe(scope)
    const echo = await echoServer(scope)
    const proc = startAlknet(scope, ['connect'], {
      env: {
        ALKNET_SERVER: `${server.host}:${server.port}`,
        ALKNET_IDENTITY: key('ed25519', 'user').path,
        ALKNET_USER: 'somebody',
        ALKNET_KNOWN_HOSTS: scope.file('known_hosts', server.knownHosts),
        ALKNET_SOCKS5: '127.0.0.1:0'
      }
    })
    const [, port] = await proc.waitFor(/SOCKS5 proxy on 127\.0\.0\.1:(\d+)/)
    await expectEcho(await socksOpen(scope, { host: '127.0.0.1', port: Number(port) }, '127.0.0.1', echo.port))
    await server.proc.waitFor(/user="?somebody/)
  })

  it('a flag wins', async () => {
    const server = await startServe(scope)
    await startConnect(scope, server, { env: { ALKNET_SERVER: 'wrong.invalid:1', ALKNET_USER: 'wrong', ALKNET_IDENTITY: '/wrong', ALKNET_SOCKS5: 'wrong' } })
    await server.proc.waitFor(/user="?alknet/)
  })

  it('ALKNET_HOST_KEY pins', async () => {
    const server = await startServe(scope)
    await startConnect(scope, server, { knownHosts: null, env: { ALKNET_HOST_KEY: key('ed25519', 'host').fingerprint } })
    const wrong = await runConnect(scope, server, { knownHosts: null, env: { ALKNET_HOST_KEY: key('ed25519', 'other-host').fingerprint } })
    assert.strictEqual(wrong.code, 4)
  })
})

describe('cli: signals', function () {
  this.timeout(60000)
  const scope = testScope()
  before(function () { needAlknet(this) })

  async function pair () {
    const server = await startServe(scope)
    const client = await startConnect(scope, server)
    const echo = await echoServer(scope)
    const stream = await socksOpen(scope, client.socks, '127.0.0.1', echo.port)
    await expectEcho(stream)
    return { server, client, echo, stream }
  }

  for (const signal of ['SIGTERM', 'SIGINT']) {
    it(`connect: ${signal} with nothing open ends it at once, exit 0`, async () => {
      const server = await startServe(scope)
      const client = await startConnect(scope, server)
      client.proc.kill(signal)
      const { code, stderr } = await client.proc.exited
      assert.strictEqual(code, 0, stderr)
      await server.proc.waitFor(/connection closed/)
    })

    it(`serve: ${signal} with nothing open ends it at once, exit 0`, async () => {
      const server = await startServe(scope)
      server.proc.kill(signal)
      const { code, stderr } = await server.proc.exited
      assert.strictEqual(code, 0, stderr)
    })

    it(`connect: ${signal} lets an open connection finish, exit 0`, async () => {
      const { client, stream } = await pair()
      client.proc.kill(signal)
      // Once the proxy accepts nobody any more, the drain has begun.
      await refusesConnections(client.socks)
      await expectEcho(stream)
      const end = readAll(stream)
      stream.end('last words')
      assert.strictEqual((await end).toString(), 'last words')
      assert.strictEqual((await client.proc.exited).code, 0)
    })

    it(`serve: ${signal} lets an open connection finish, exit 0`, async () => {
      const { server, stream } = await pair()
      server.proc.kill(signal)
      await refusesConnections(server)
      await expectEcho(stream)
      const end = readAll(stream)
      stream.end('last words')
      assert.strictEqual((await end).toString(), 'last words')
      assert.strictEqual((await server.proc.exited).code, 0)
    })

    it(`connect: ${signal} ends a connection that does not end, exit 0`, async () => {
      const { client, stream } = await pair()
      client.proc.kill(signal)
      assert.strictEqual((await client.proc.exited).code, 0)
      await closed(stream)
    })

    it(`serve: ${signal} ends a connection that does not end, exit 0`, async () => {
      const { server, client, stream } = await pair()
      server.proc.kill(signal)
      assert.strictEqual((await server.proc.exited).code, 0)
      await closed(stream)
      client.proc.kill(signal) // it would wait for another server
      assert.strictEqual((await client.proc.exited).code, 0)
    })

    it(`a second ${signal} ends it at once`, async () => {
      const { client, stream } = await pair()
      client.proc.kill(signal)
      await refusesConnections(client.socks)
      client.proc.kill(signal)
      assert.strictEqual((await client.proc.exited).code, 1, 'not drained, which would be 0')
      await closed(stream)
    })
  }

  it('SIGTERM while it connects: it ends', async () => {
    const silent = await listen(scope, (socket) => socket.resume())
    const accepted = once(silent, 'connection')
    const proc = startAlknet(scope, connectArgs(scope, { ...nowhere, port: silent.port }))
    await accepted
    proc.kill('SIGTERM')
    const { signal } = await proc.exited
    assert.strictEqual(signal, null)
  })

  it('--quiet: nothing but errors', async () => {
    const server = await startServe(scope)
    const port = await freePort()
    const proc = startAlknet(scope, connectArgs(scope, server, { socks: `127.0.0.1:${port}`, args: ['--quiet'] }))
    await server.proc.waitFor(/result=accept/)
    const echo = await echoServer(scope)
    for (;;) {
      const stream = await socksOpen(scope, { host: '127.0.0.1', port }, '127.0.0.1', echo.port).catch(() => null)
      if (stream) break
    }
    assert.strictEqual(proc.output, '')
  })

  it('1, and a word, when the output could not be written', async function () {
    if (!fs.existsSync('/dev/full')) {
      console.log('    (skipped: there is no /dev/full)')
      return this.skip()
    }
    const { code, stderr } = await run(scope, 'sh', ['-c', '"$@" >/dev/full', 'sh', process.execPath, bin, 'completion', 'bash'])
    assert.strictEqual(stderr, 'alknet: not all of the output could be written: ENOSPC\n')
    assert.strictEqual(code, 1)
  })

  it('a reader of stdout that goes away does not end it', async () => {
    const server = await startServe(scope)
    const client = await startConnect(scope, server)
    client.proc.child.stdout.destroy()
    client.proc.child.stderr.destroy()
    server.proc.child.stderr.destroy()
    const echo = await echoServer(scope)
    for (let i = 0; i < 3; i++) {
      const stream = await socksOpen(scope, client.socks, '127.0.0.1', echo.port)
      await expectEcho(stream)
      stream.end()
      await readBytes(stream, 1).catch(() => {})
    }
    await startConnect(scope, server)
  })
})

/** Resolves once nothing accepts there any more. */
async function refusesConnections ({ host, port }) {
  const net = require('node:net')
  for (;;) {
    const socket = net.connect({ host, port })
    const refused = await new Promise((resolve) => {
      socket.once('connect', () => resolve(false))
      socket.once('error', () => resolve(true))
    })
    socket.destroy()
    if (refused) return
  }
}
