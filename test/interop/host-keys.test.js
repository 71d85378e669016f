'use strict'

/** Which host keys `alknet connect` trusts, and what it says of the others. */

const assert = require('node:assert')
const fs = require('node:fs')
const path = require('node:path')
const { connectArgs, needAlknet, runAlknet, runConnect, startConnect, startServe } = require('../helpers/alknet')
const { hashedKnownHosts, key, knownHostsLine } = require('../helpers/keys')
const { echoServer, expectEcho } = require('../helpers/net')
const { needSshd, startSshd } = require('../helpers/openssh')
const { run } = require('../helpers/proc')
const { suiteScope, testScope } = require('../helpers/scope')
const { socksOpen } = require('../helpers/socks')

describe('host keys', function () {
  this.timeout(60000)
  const suite = suiteScope()
  const scope = testScope()
  const host = key('ed25519', 'host')
  const other = key('ed25519', 'other-host')
  let server, echo

  before(async function () {
    needAlknet(this)
    server = await startServe(suite)
    echo = await echoServer(suite)
  })

  const line = (hostKey = host, marker = '') =>
    `${marker}${knownHostsLine(server.host, server.port, hostKey)}`

  async function accepted (options, to = server) {
    const client = await startConnect(scope, to, options)
    await expectEcho(await socksOpen(scope, client.socks, '127.0.0.1', echo.port))
  }

  async function refused (options) {
    const { code, stdout, stderr } = await runConnect(scope, server, options)
    assert.strictEqual(code, 4, stderr)
    assert.doesNotMatch(stdout, /SOCKS5 proxy on/)
    assert.doesNotMatch(stderr, /\n\s+at /)
    return stderr
  }

  it('an unknown key is refused, with its fingerprint and the ways to trust it', async () => {
    const stderr = await refused({ knownHosts: '' })
    assert.ok(stderr.includes(host.fingerprint), stderr)
    assert.match(stderr, /known_hosts|known-hosts/)
    assert.match(stderr, /--host-key/)
    assert.match(stderr, /--accept-new/)
  })

  it('an unknown key is refused without any known_hosts file', async () => {
    await refused({ knownHosts: null })
  })

  it('a plain entry', () => accepted({ knownHosts: line() }))

  it('a plain entry among comments, blank lines, other hosts and rubbish', () => accepted({
    knownHosts: `# comment\n\n${knownHostsLine('elsewhere', 22, other)}not a line\n|1|bad|bad ssh-ed25519 x\n` +
      `${line().trim()} a comment\n`
  }))

  it('a hashed entry', () => accepted({ knownHosts: hashedKnownHosts(scope, line()) }))

  it('an entry with several names', () => accepted({
    knownHosts: `elsewhere,[${server.host}]:${server.port},third ${host.type} ${host.base64}\n`
  }))

  it('an entry with a pattern', () => accepted({
    knownHosts: `[127.0.0.*]:${server.port} ${host.type} ${host.base64}\n`
  }))

  it('a negated pattern does not match', () => refused({
    knownHosts: `[127.0.0.*]:${server.port},![127.0.0.1]:${server.port} ${host.type} ${host.base64}\n`
  }))

  it('the entry of another port does not count', () => refused({
    knownHosts: knownHostsLine(server.host, server.port === 2222 ? 2223 : 2222, host)
  }))

  it('the entry of another host does not count, plain or hashed', async () => {
    const elsewhere = knownHostsLine('elsewhere', server.port, host)
    await refused({ knownHosts: elsewhere })
    await refused({ knownHosts: hashedKnownHosts(scope, elsewhere) })
  })

  it('one of several files', () => accepted({
    knownHosts: '', args: ['--known-hosts', scope.file('second', line())]
  }))

  it('what ssh itself wrote down, and ssh-keygen hashed', async function () {
    const file = scope.file('known_hosts', '')
    await run(scope, 'ssh', ['-F', 'none', '-p', String(server.port), '-i', key('ed25519', 'user').path,
      '-o', 'IdentitiesOnly=yes', '-o', 'IdentityAgent=none', '-o', 'BatchMode=yes', '-o', 'HashKnownHosts=yes',
      '-o', `UserKnownHostsFile=${file}`, '-o', 'StrictHostKeyChecking=accept-new', `alknet@${server.host}`, 'x'])
    const text = fs.readFileSync(file, 'utf8')
    assert.match(text, /^\|1\|/)
    await accepted({ knownHosts: text })
  })

  it('~/.ssh/known_hosts is read and never written', async () => {
    const HOME = scope.dir()
    fs.mkdirSync(path.join(HOME, '.ssh'))
    const file = path.join(HOME, '.ssh', 'known_hosts')
    fs.writeFileSync(file, line())
    await accepted({ knownHosts: null, env: { HOME } })
    fs.writeFileSync(file, '')
    await accepted({ knownHosts: null, env: { HOME }, args: ['--accept-new'] })
    assert.strictEqual(fs.readFileSync(file, 'utf8'), '')
    const own = fs.readFileSync(path.join(HOME, '.config', 'alknet', 'known_hosts'), 'utf8')
    assert.ok(own.includes(host.base64))
    await accepted({ knownHosts: null, env: { HOME } })
  })

  describe('pins', () => {
    it('the right fingerprint', () => accepted({ knownHosts: null, args: ['--host-key', host.fingerprint] }))

    it('one of several', () => accepted({
      knownHosts: null, args: ['--host-key', other.fingerprint, '--host-key', host.fingerprint]
    }))

    it('a wrong one is refused, with what came instead', async () => {
      const stderr = await refused({ knownHosts: null, args: ['--host-key', other.fingerprint] })
      assert.ok(stderr.includes(host.fingerprint), stderr)
    })

    it('a wrong one is refused even when known_hosts knows the key', () =>
      refused({ knownHosts: line(), args: ['--host-key', other.fingerprint] }))

    it('a wrong one is refused with --accept-new too', () =>
      refused({ knownHosts: '', args: ['--host-key', other.fingerprint, '--accept-new'] }))

    for (const pin of ['', 'SHA256:', 'SHA256:short', 'MD5:00:11', 'rubbish']) {
      it(`${JSON.stringify(pin)} is no pin: exit 2`, async () => {
        const { code, stderr } = await runConnect(scope, server, { knownHosts: line(), args: ['--host-key', pin] })
        assert.strictEqual(code, 2, stderr)
      })
    }
  })

  describe('--accept-new', () => {
    it('writes an unknown key down, for the next time', async () => {
      const file = scope.file('known_hosts', '# mine\n')
      const args = ['--known-hosts', file]
      await accepted({ knownHosts: null, args: [...args, '--accept-new'] })
      const text = fs.readFileSync(file, 'utf8')
      assert.match(text, /^# mine\n/)
      assert.ok(text.includes(host.base64))
      await accepted({ knownHosts: null, args })
      const found = await run(scope, 'ssh-keygen', ['-F', `[${server.host}]:${server.port}`, '-f', file])
      assert.strictEqual(found.code, 0, 'ssh-keygen finds it too')
    })

    it('writes it once', async () => {
      const file = scope.file('known_hosts', '')
      const options = { knownHosts: null, args: ['--known-hosts', file, '--accept-new'] }
      await accepted(options)
      const text = fs.readFileSync(file, 'utf8')
      await accepted(options)
      assert.strictEqual(fs.readFileSync(file, 'utf8'), text)
    })

    it('does not join two lines where the last one has no end', async () => {
      const file = scope.file('known_hosts', knownHostsLine('elsewhere', 22, other).trimEnd())
      await accepted({ knownHosts: null, args: ['--known-hosts', file, '--accept-new'] })
      const lines = fs.readFileSync(file, 'utf8').trimEnd().split('\n')
      assert.strictEqual(lines.length, 2)
    })

    it('makes a file that is not there, for the owner only', async () => {
      const file = path.join(scope.dir(), 'new', 'known_hosts')
      await accepted({ knownHosts: null, args: ['--known-hosts', file, '--accept-new'] })
      assert.strictEqual(fs.statSync(file).mode & 0o077 & 0o022, 0)
    })

    it('does not accept a changed key', async () => {
      const file = scope.file('known_hosts', line(other))
      await refused({ knownHosts: null, args: ['--known-hosts', file, '--accept-new'] })
      assert.strictEqual(fs.readFileSync(file, 'utf8'), line(other))
    })

    it('does not accept a revoked key', () =>
      refused({ knownHosts: line(host, '@revoked '), args: ['--accept-new'] }))
  })

  it('a changed key is refused, with the line that it contradicts', async () => {
    const stderr = await refused({ knownHosts: `# first\n${line(other)}` })
    assert.ok(stderr.includes(host.fingerprint), stderr)
    assert.match(stderr, /chang/i)
    assert.match(stderr, /known_hosts:2|line 2/)
  })

  it('a changed key is refused in a hashed file too', () =>
    refused({ knownHosts: hashedKnownHosts(scope, line(other)) }))

  it('a second, right key for the same host is enough', () =>
    accepted({ knownHosts: line(other) + line(host) }))

  it('a revoked key is refused, also when another line has it', async () => {
    assert.match(await refused({ knownHosts: line(host) + line(host, '@revoked ') }), /revoked/i)
    await refused({ knownHosts: line(host, '@revoked ') + line(host) })
    await refused({ knownHosts: `${line(host)}@revoked * ${host.type} ${host.base64}\n` })
  })

  it('a revocation of another key does no harm', () =>
    accepted({ knownHosts: line(host) + line(other, '@revoked ') }))

  it('a @cert-authority line does not make a plain key trusted', () =>
    refused({ knownHosts: line(host, '@cert-authority ') }))

  it('an entry of another type does not vouch for this key', async () => {
    await refused({ knownHosts: line(key('ecdsa-256', 'host')) })
  })

  it('of a server with several keys, the one that is known is asked for', async () => {
    for (const kind of ['rsa-3072', 'ecdsa-256', 'ed25519']) {
      const many = await startServe(scope, { hostKeys: ['ed25519', 'ecdsa-256', 'rsa-3072'].map((k) => key(k, 'host')) })
      const known = knownHostsLine(many.host, many.port, key(kind, 'host'))
      await startConnect(scope, many, { knownHosts: known })
    }
  })

  it('of sshd with several keys, the one that is known is asked for', async function () {
    needSshd(this)
    const sshd = await startSshd(scope, { hostKeys: ['ed25519', 'ecdsa-256', 'rsa-3072'].map((k) => key(k, 'host')) })
    const known = knownHostsLine(sshd.host, sshd.port, key('rsa-3072', 'host'))
    await startConnect(scope, sshd, { knownHosts: known })
  })

  it('a known_hosts file that cannot be read is a fault, exit 2', async () => {
    const { code, stderr } = await runConnect(scope, server, { knownHosts: line(), args: ['--known-hosts', scope.dir()] })
    assert.strictEqual(code, 2, stderr)
  })

  it('no flag or variable skips the check', async () => {
    for (const flag of ['--insecure', '--no-host-key-check', '--accept-any', '--strict-host-key-checking=no']) {
      const { code, stderr } = await runAlknet(scope, connectArgs(scope, server, { knownHosts: '', args: [flag] }))
      assert.strictEqual(code, 2, stderr)
    }
  })

  it('a name is looked up as it was typed', async () => {
    const known = `[localhost]:${server.port} ${host.type} ${host.base64}\n`
    await accepted({ knownHosts: known }, { ...server, host: 'localhost' })
    await accepted({ knownHosts: known }, { ...server, host: 'LOCALHOST' })
  })
})
