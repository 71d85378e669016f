'use strict'

/** TLS with other programs at the other end: openssl, stunnel, socat, and ssh and sshd behind them. */

const assert = require('node:assert')
const { X509Certificate } = require('node:crypto')
const fs = require('node:fs')
const path = require('node:path')
const { needAlknet, runAlknet, runConnect, startConnect, startServe } = require('../helpers/alknet')
const { behaves, MiB } = require('../helpers/behaviours')
const { key, knownHostsLine } = require('../helpers/keys')
const { echoServer, expectEcho, freePort } = require('../helpers/net')
const { needSshd, startSsh, startSshd } = require('../helpers/openssh')
const { need, run, start } = require('../helpers/proc')
const { suiteScope, testScope } = require('../helpers/scope')
const { socksOpen } = require('../helpers/socks')
const { makeCa, openssl } = require('../helpers/tls-certs')

const SMALL = { bytes: 4 * MiB, many: 20 }
const VERSIONS = ['TLSv1.2', 'TLSv1.3']

const through = (client) => ({ open: (scope, host, port) => socksOpen(scope, client().socks, host, port) })

/**
 * stunnel on a free loopback port; retries when another process takes the port
 * in between.
 * @param {string[]} lines of its one service
 * @returns {Promise<{ host: string, port: number, proc: Proc }>}
 */
async function startStunnel (scope, lines) {
  for (let tries = 0; ; tries++) {
    const port = await freePort()
    const file = scope.file('stunnel.conf', ['foreground = yes', 'pid =', 'debug = info', 'syslog = no',
      '[ssh]', `accept = 127.0.0.1:${port}`, 'TIMEOUTclose = 0', ...lines, ''].join('\n'))
    const proc = start(scope, 'stunnel', [file])
    try {
      await proc.waitFor(/Configuration successful/)
      return { host: '127.0.0.1', port, proc }
    } catch (err) {
      if (tries < 4 && /Address already in use/.test(proc.output)) continue
      throw err
    }
  }
}

/** What a helper says of a server, at another place. */
const at = (server, { host, port }) => ({
  ...server, host, port, knownHosts: server.hostKeys.map((k) => knownHostsLine(host, port, k)).join('')
})

describe('tls with other programs', function () {
  this.timeout(60000)
  const suite = suiteScope()
  const scope = testScope()
  let ca, id

  before(function () {
    needAlknet(this)
    need(this, 'openssl')
    ca = makeCa(suite)
    id = ca.issue()
  })

  const secureArgs = () => ['--tls-cert', id.cert, '--tls-key', id.key]
  const startSecure = (its = scope, more = {}) => startServe(its, { listen: ['tls://127.0.0.1:0'], ...more, args: [...secureArgs(), ...more.args ?? []] })
  const connectTls = (its, server, more = []) => startConnect(its, server, { args: ['--transport', 'tls', '--tls-ca', ca.cert, ...more] })

  const works = async (client, its = scope) => {
    const echo = await echoServer(its)
    await expectEcho(await socksOpen(its, client.socks, '127.0.0.1', echo.port))
  }

  describe('alknet connect to alknet serve', () => {
    let client
    before(async () => { client = await connectTls(suite, await startSecure(suite)) })
    behaves(() => through(() => client), { bytes: 16 * MiB, many: 100 })
  })

  describe('alknet connect to stunnel, and alknet serve behind it', () => {
    let client
    before(async function () {
      need(this, 'stunnel')
      const server = await startServe(suite)
      const front = await startStunnel(suite, [`connect = 127.0.0.1:${server.port}`, `cert = ${id.cert}`, `key = ${id.key}`])
      client = await connectTls(suite, at(server, front))
    })
    behaves(() => through(() => client), SMALL)
  })

  describe('alknet connect to stunnel, and sshd behind it', () => {
    for (const version of VERSIONS) {
      it(`with ${version} alone`, async function () {
        need(this, 'stunnel')
        needSshd(this)
        const server = await startSshd(scope)
        const front = await startStunnel(scope, [`connect = 127.0.0.1:${server.port}`, `cert = ${id.cert}`, `key = ${id.key}`,
          `sslVersionMin = ${version}`, `sslVersionMax = ${version}`])
        await works(await connectTls(scope, at(server, front)))
        assert.match(front.proc.output, new RegExp(`${version} ciphersuite: (TLS_AES_128_GCM|ECDHE-ECDSA-AES\\d+-GCM)`))
        await works(await connectTls(scope, at(server, front), ['--stealth']))
        assert.match(front.proc.output, new RegExp(`${version} ciphersuite: (TLS_AES_256_GCM|ECDHE-ECDSA-AES256-GCM)`))
      })
    }
  })

  it('alknet connect to stunnel as a client, and alknet serve behind it', async function () {
    need(this, 'stunnel')
    const server = await startSecure()
    const front = await startStunnel(scope, ['client = yes', `connect = 127.0.0.1:${server.port}`, `CAfile = ${ca.cert}`, 'verifyChain = yes', 'checkIP = 127.0.0.1'])
    await works(await startConnect(scope, at(server, front)))
  })

  describe('ssh behind openssl s_client, and alknet serve', () => {
    let client
    before(async function () {
      need(this, 'ssh')
      const server = await startSecure(suite)
      client = await startSsh(suite, server, { options: [`ProxyCommand=${sClient(server.port)}`] })
    })
    const sClient = (port, more = '') => `openssl s_client -quiet -verify_quiet -verify_return_error -CAfile ${ca.cert} -verify_ip 127.0.0.1 ${more} -connect 127.0.0.1:${port} 2>/dev/null`
    behaves(() => through(() => client), SMALL)

    for (const [version, flag] of [['TLS 1.2', '-tls1_2'], ['TLS 1.3', '-tls1_3']]) {
      it(`with ${version} alone`, async function () {
        need(this, 'ssh')
        const server = await startSecure()
        await works(await startSsh(scope, server, { options: [`ProxyCommand=${sClient(server.port, flag)}`] }))
      })
    }

    it('with nothing older', async () => {
      const server = await startSecure()
      const { stderr, code } = await run(scope, 'openssl', ['s_client', '-connect', `127.0.0.1:${server.port}`, '-tls1_1', '-cipher', 'ALL:@SECLEVEL=0'])
      assert.notStrictEqual(code, 0)
      assert.match(stderr, /alert protocol version/)
      await server.proc.waitFor(/tls handshake failed .*the peer is older than TLS 1\.2/)
    })
  })

  it('ssh behind socat, and alknet serve', async function () {
    need(this, 'ssh', 'socat')
    const server = await startSecure()
    const command = `socat STDIO OPENSSL:127.0.0.1:${server.port},cafile=${ca.cert},commonname=127.0.0.1`
    await works(await startSsh(scope, server, { options: [`ProxyCommand=${command}`] }))
  })

  it('alknet connect to socat, and sshd behind it', async function () {
    need(this, 'socat')
    needSshd(this)
    const server = await startSshd(scope)
    const port = await freePort()
    const front = start(scope, 'socat', ['-d', '-d', `OPENSSL-LISTEN:${port},bind=127.0.0.1,fork,reuseaddr,cert=${id.cert},key=${id.key},verify=0`, `TCP:127.0.0.1:${server.port}`])
    await front.waitFor(/listening on/)
    await works(await connectTls(scope, at(server, { host: '127.0.0.1', port })))
  })

  it('a resumed connection is one like any other', async () => {
    const server = await startSecure()
    const session = path.join(scope.dir(), 'session')
    const ask = (...args) => run(scope, 'openssl', ['s_client', '-connect', `127.0.0.1:${server.port}`, '-CAfile', ca.cert, '-ign_eof', ...args], { input: 'not ssh\r\n\r\n' })
    assert.match((await ask('-sess_out', session)).stdout, /^New, TLSv1\.3/m)
    const { stdout } = await ask('-sess_in', session)
    assert.match(stdout, /^Reused, TLSv1\.3/m)
    assert.match(stdout, /SSH-2\.0-/)
  })

  // ---- the command

  it('exits with 5 when the certificate is not right, and with 2 when it cannot be used', async () => {
    const server = await startSecure()
    const other = makeCa(scope)
    const wrong = async (code, words, args, from = server) => {
      const { code: got, stderr } = await runConnect(scope, from, { args: ['--transport', 'tls', ...args] })
      assert.match(stderr, words)
      assert.strictEqual(got, code, stderr)
    }
    await wrong(5, /unable to get local issuer certificate/, ['--tls-ca', other.cert])
    await wrong(5, /hostname mismatch/, ['--tls-ca', ca.cert, '--tls-server-name', 'other.example'])
    await wrong(2, /^alknet: --tls-ca: \S+gone: .*no such file|^alknet: --tls-ca: cannot read/m, ['--tls-ca', `${ca.cert}.gone`])
    await wrong(2, /^alknet: --insecure: makes no sense together with tlsCa/m, ['--tls-ca', ca.cert, '--insecure'])
    const plain = await startServe(scope)
    await wrong(5, /the peer does not speak TLS/, ['--tls-ca', ca.cert], plain)
    const { code, stderr } = await runConnect(scope, server, { args: ['--tls-ca', ca.cert] })
    assert.deepStrictEqual([code, stderr], [2, 'alknet: --tls-ca: makes sense only with the transport tls\n'])
    const expired = ca.issue({ days: -1 })
    const serve = await runAlknet(scope, ['serve', '--key', key('ed25519', 'host').path, '--listen', 'tls://127.0.0.1:0', '--tls-cert', expired.cert, '--tls-key', expired.key])
    assert.strictEqual(serve.code, 2)
    assert.match(serve.stderr, /^alknet: --tls-cert: \S+cert\.pem: the certificate has expired$/m)
  })

  it('alknet status tells what was agreed on', async () => {
    const control = path.join(scope.dir(), 'control')
    const server = await startSecure(scope, { args: ['--tls-alpn', 'http/1.1'] })
    await connectTls(scope, server, ['--stealth', '--control', control])
    const { stdout } = await runAlknet(scope, ['status', '--control', control])
    const { fingerprint256 } = new X509Certificate(fs.readFileSync(id.cert))
    assert.match(stdout, /^ {2}tls +TLSv1\.3, TLS_AES_128_GCM_SHA256, http\/1\.1$/m)
    assert.match(stdout, new RegExp(`^ {2}certificate +SHA-256 ${fingerprint256}$`, 'm'))
  })

  it('--insecure says so, also with --quiet', async () => {
    const server = await startSecure()
    const client = await startConnect(scope, server, { args: ['--transport', 'tls', '--insecure'] })
    await works(client)
    assert.match(client.proc.stderr, /ERROR TLS CERTIFICATE NOT CHECKED/)
  })

  it('SIGHUP reads certificates again, and sessions go on', async () => {
    const [cert, its] = [scope.file('cert.pem', fs.readFileSync(id.cert)), scope.file('key.pem', fs.readFileSync(id.key))]
    const more = scope.file('more_keys', '')
    const server = await startServe(scope, { listen: ['tls://127.0.0.1:0'], args: ['--tls-cert', cert, '--tls-key', its, '--authorized-keys', more] })
    const client = await connectTls(scope, server)
    await works(client)
    const renewed = ca.issue({ names: 'DNS:renewed.example' })
    fs.copyFileSync(renewed.cert, cert)
    const second = key('ed25519', 'second')
    fs.writeFileSync(more, `${second.public}\n`)
    server.proc.kill('SIGHUP')
    await server.proc.waitFor(/ERROR tls certificates not reloaded .*it is not the certificate's.*\nINFO reloaded\n/)
    await works(await startConnect(scope, server, { identity: second, args: ['--transport', 'tls', '--tls-ca', ca.cert] })) // with the old one
    fs.copyFileSync(renewed.key, its)
    server.proc.kill('SIGHUP')
    await server.proc.waitFor(/(INFO reloaded\n[^]*){2}/)
    await works(client)
    await works(await connectTls(scope, server, ['--tls-server-name', 'renewed.example']))
    const { code } = await runConnect(scope, server, { args: ['--transport', 'tls', '--tls-ca', ca.cert] })
    assert.strictEqual(code, 5)
  })

  it('SIGHUP reads a key with a passphrase again, too', async () => {
    const locked = path.join(scope.dir(), 'key.pem')
    openssl('pkcs8', '-topk8', '-in', id.key, '-out', locked, '-passout', 'pass:sesame')
    const server = await startServe(scope, { listen: ['tls://127.0.0.1:0'], args: ['--tls-cert', id.cert, '--tls-key', locked], env: { ALKNET_PASSPHRASE: 'sesame' } })
    server.proc.kill('SIGHUP')
    const [line] = await server.proc.waitFor(/\w+ (?:not )?reloaded.*/)
    assert.strictEqual(line, 'INFO reloaded')
    await works(await connectTls(scope, server))
  })

  it('several listeners, from flags and from a file', async () => {
    const flags = await startServe(scope, { listen: ['tls://127.0.0.1:0', 'tcp://127.0.0.1:0'], args: secureArgs() })
    const [, plain] = await flags.proc.waitFor(/listening on tls:\S+\nlistening on 127\.0\.0\.1:(\d+)\n/)
    await works(await connectTls(scope, flags))
    await works(await startConnect(scope, at(flags, { host: '127.0.0.1', port: Number(plain) })))
    const file = scope.file('alknet.toml', `
[[listeners]]
listen = "127.0.0.1:0"

[[listeners]]
transport = "tls"
listen = "127.0.0.1:0"
tls-cert = "${id.cert}"
tls_key = "${id.key}"
`)
    const { stdout } = await runAlknet(scope, ['serve', '--key', key('ed25519', 'host').path, '--config', file, '--check'])
    assert.match(stdout, /\[\[listeners\]\]\nlisten = \["127\.0\.0\.1:0"\]\n\n\[\[listeners\]\]\ntransport = "tls"\nlisten = \["127\.0\.0\.1:0"\]\ntls-cert = "\S+"\ntls-key = "\S+"\n$/)
    const served = await startServe(scope, { listen: [], args: ['--config', file] })
    const [, port] = await served.proc.waitFor(/listening on tls:\/\/127\.0\.0\.1:(\d+)/)
    await works(await connectTls(scope, at(served, { host: '127.0.0.1', port: Number(port) })))
    const typo = scope.file('typo.toml', '[[listeners]]\nlisten = "127.0.0.1:0"\ntls-crt = "x"\n')
    const bad = await runAlknet(scope, ['serve', '--key', key('ed25519', 'host').path, '--config', typo])
    assert.deepStrictEqual([bad.code, bad.stderr.replace(/\S+typo\.toml/, 'typo.toml')],
      [2, 'alknet: typo.toml:3:1: listeners.0.tls-crt: there is no such key; did you mean tls-cert?\n'])
  })
})
