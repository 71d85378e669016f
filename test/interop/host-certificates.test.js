'use strict'

/**
 * The matrix of host certificates: which server `alknet` and `ssh` take for the
 * one that they asked for. Each case is a certificate of ssh-keygen and a
 * known_hosts file; alknet and sshd serve with it, alknet's client and ssh look
 * at it. All verdicts are the same, or `ssh` says what stock ssh does instead,
 * and `why`: docs/cli.md has those.
 */

const assert = require('node:assert')
const { execFileSync } = require('node:child_process')
const fs = require('node:fs')
const path = require('node:path')
const alknet = require('../../lib')
const { needAlknet, runAlknet, runConnect, startConnect, startServe } = require('../helpers/alknet')
const { certificateLine, certify, HOST, makeKey } = require('../helpers/certificates')
const { hashedKnownHosts, key, keyOf, knownHostsLine } = require('../helpers/keys')
const { echoServer, expectEcho, sendPattern, drainStream } = require('../helpers/net')
const { needSshd, runSsh, startSshd } = require('../helpers/openssh')
const { run } = require('../helpers/proc')
const { testScope } = require('../helpers/scope')
const { socksOpen } = require('../helpers/socks')

const YES = 'trusted'
const NO = 'refused'
const CERTIFIED = 'ssh-ed25519-cert-v01@openssh.com'

/** A line of known_hosts for names, or for the server's own spelling. */
const line = (marker, names) => (who) => ({ host, port }, made) =>
  `${marker}${names ?? `[${host}]:${port}`} ${made[who].type} ${made[who].base64}\n`
const trusts = line('@cert-authority ')('ca')
const revokes = (who) => line('@revoked ')(who)
const knows = (who) => ({ host, port }, made) => knownHostsLine(host, port, made[who])
const trustsAs = (names) => line('@cert-authority ', names)('ca')
const trustsOther = line('@cert-authority ')('otherCa')

// args: of ssh-keygen -s. known: lines of known_hosts, each by server and keys.
// says: what our client's message has to hold.
const NAME = ['-n', '127.0.0.1']
const PAST = ['-V', '20200101:20210101']
const LATER = ['-V', '20400101:20410101']
const CASES = [
  // ---- kinds of keys
  { name: 'an Ed25519 key', known: [trusts], verdict: YES },
  { name: 'a P-256 key', subject: 'ecdsa-256', known: [trusts], verdict: YES },
  { name: 'an RSA key', subject: 'rsa-3072', known: [trusts], verdict: YES },
  { name: 'a CA of P-256', ca: 'ecdsa-256', known: [trusts], verdict: YES },
  { name: 'a CA of P-384', ca: 'ecdsa-384', known: [trusts], verdict: YES },
  { name: 'a CA of RSA', ca: 'rsa-3072', known: [trusts], verdict: YES },
  { name: 'a CA of RSA, SHA-1', ca: 'rsa-3072', args: [...NAME, '-t', 'ssh-rsa'], known: [trusts], verdict: NO, serves: false, says: /certificate cannot be used/ },
  { name: 'a CA of RSA with 2048 bits', ca: 'rsa-2048', known: [trusts], verdict: NO, ssh: YES, why: 'RSA from 3072 bits', serves: false, says: /certificate cannot be used/ },

  // ---- lines
  { name: 'a CA for all hosts', known: [trustsAs('*')], verdict: YES },
  { name: 'a CA for the host on any port', known: [trustsAs('127.0.0.1')], verdict: YES },
  { name: 'a CA for a pattern', known: [trustsAs('10.*,127.0.*')], verdict: YES },
  { name: 'a CA for a pattern with a port', known: [({ port }, made) => trustsAs(`[127.0.0.*]:${port}`)({}, made)], verdict: YES },
  { name: 'a CA for another port', known: [({ port }, made) => trustsAs(`[127.0.0.1]:${port === 2222 ? 2223 : 2222}`)({}, made)], verdict: NO, says: /not known/ },
  { name: 'a CA for another host', known: [trustsAs('127.0.0.2')], verdict: NO, says: /not known/ },
  { name: 'a CA for all hosts but this', known: [trustsAs('*,!127.0.0.1,![127.0.0.1]:*')], verdict: NO, says: /not known/ },
  { name: 'a CA for all hosts but this, without its port', known: [trustsAs('*,!127.0.0.1')], verdict: NO, ssh: YES, why: 'a negation counts for every port', says: /not known/ },
  { name: 'a hashed line', known: [trusts], hashed: true, verdict: YES },
  { name: 'no line', known: [], verdict: NO, says: /not known/ },
  { name: 'another CA', known: [trustsOther], verdict: NO, says: /CA SHA256:\S+, which is not known for this host, expected SHA256:\S+ \(\S+:1\)/ },
  { name: 'another CA, and then this', known: [trustsOther, trusts], verdict: YES },
  { name: 'a line for the CA as if it were a key', known: [knows('ca')], verdict: NO, says: /CHANGED/ },
  { name: 'the key itself as its CA', known: [line('@cert-authority ')('subject')], verdict: NO, says: /not known/ },

  // ---- whom it is for
  { name: 'the second of three hosts', args: ['-n', 'a.example,127.0.0.1,b.example'], known: [trusts], verdict: YES },
  { name: 'another host', args: ['-n', 'a.example,127.0.0.2'], known: [trusts], verdict: NO, says: /not for this host/ },
  { name: 'the host with its port', args: ['-n', '[127.0.0.1]'], known: [trusts], verdict: NO, says: /not for this host/ },
  { name: 'a pattern', args: ['-n', '127.0.0.*'], known: [trusts], verdict: YES, ssh: NO, why: 'ssh compares the name alone' },
  { name: 'a negated pattern', args: ['-n', '!10.*'], known: [trusts], verdict: NO, says: /not for this host/ },
  { name: 'nobody', args: [], known: [trusts], verdict: NO, ssh: YES, why: 'an empty list is nobody', says: /names nobody/ },
  { name: 'a name, in capitals', host: 'localhost', args: ['-n', 'LocalHost'], known: [trusts], verdict: YES, ssh: NO, why: 'names of hosts have no case' },
  { name: 'a name', host: 'localhost', args: ['-n', 'localhost'], known: [trusts], verdict: YES },
  { name: "a user's", kind: [], known: [trusts], verdict: NO, serves: false, says: /not a host's/ },

  // ---- when
  { name: 'expired', args: [...NAME, ...PAST], known: [trusts], verdict: NO, says: /has expired.*key id "web"/ },
  { name: 'not yet valid', args: [...NAME, ...LATER], known: [trusts], verdict: NO, says: /not yet valid/ },
  { name: 'valid now', args: [...NAME, '-V', '20200101:20900101'], known: [trusts], verdict: YES },
  { name: 'valid for ever', args: [...NAME, '-V', 'always:forever'], known: [trusts], verdict: YES },

  // ---- options
  { name: 'a critical option', args: [...NAME, '-O', 'critical:x@example.com=y'], known: [trusts], verdict: NO, says: /critical option/ },
  { name: 'an extension', args: [...NAME, '-O', 'extension:x@example.com=y'], known: [trusts], verdict: YES },

  // ---- revoked
  { name: 'a revoked CA', known: [trusts, revokes('ca')], verdict: NO, says: /CA .* is revoked \(\S+:2\)/ },
  { name: 'a revoked CA of a known key', known: [trusts, revokes('ca'), knows('subject')], verdict: NO, says: /CA .* is revoked/ },
  { name: 'a revoked key', known: [trusts, revokes('subject')], verdict: NO, says: /host key .* is revoked \(\S+:2\)/ },
  { name: 'a revoked certificate', known: [trusts, revokes('certificate')], verdict: NO, says: /host key .* is revoked \(\S+:2\)/ },
  { name: 'a CA revoked for another host', known: [trusts, line('@revoked ', '127.0.0.2')('ca')], verdict: YES },
  { name: 'another revoked CA', known: [trusts, revokes('otherCa')], verdict: YES },

  // ---- the key behind it
  { name: 'a known key, no CA', known: [knows('subject')], verdict: YES },
  { name: 'a known key, another CA', known: [trustsOther, knows('subject')], verdict: YES },
  { name: 'a known key, expired', args: [...NAME, ...PAST], known: [trusts, knows('subject')], verdict: YES, warns: true },
  { name: 'a known key, another host', args: ['-n', 'a.example'], known: [trusts, knows('subject')], verdict: YES, warns: true },
  { name: 'a known key that is revoked', known: [trusts, knows('subject'), revokes('subject')], verdict: NO, says: /is revoked/ },
  { name: 'a changed key, another CA', known: [trustsOther, knows('otherHost')], verdict: NO, says: /CHANGED: expected SHA256:\S+ \(\S+:2\)/ },
  { name: 'a changed key, expired', args: [...NAME, ...PAST], known: [trusts, knows('otherHost')], verdict: NO, says: /has expired.*the known key is SHA256:\S+ \(\S+:2\)/ },
  { name: 'a changed key, a good certificate', known: [trusts, knows('otherHost')], verdict: YES }
]

/** A host key of its own, with a certificate of the CA beside it. */
function makeHost (scope, one) {
  const { subject = 'ed25519', ca = 'ed25519', kind = ['-h'], args = NAME } = one
  const file = path.join(scope.dir(), 'host')
  const from = key(subject, 'certified-host')
  for (const end of ['', '.pub']) fs.copyFileSync(`${from.path}${end}`, `${file}${end}`)
  fs.chmodSync(file, 0o600)
  const authority = key(ca, 'host-ca')
  execFileSync('ssh-keygen', ['-q', '-s', authority.path, ...kind, '-I', 'web', ...args, `${file}.pub`], { stdio: 'pipe' })
  const [type, base64] = fs.readFileSync(`${file}-cert.pub`, 'utf8').split(' ')
  return {
    subject: keyOf(file),
    ca: authority,
    otherCa: key('ed25519', 'other-host-ca'),
    otherHost: key(subject, 'other-certified-host'),
    certificate: { type, base64, path: `${file}-cert.pub` }
  }
}

describe('host certificates', function () {
  this.timeout(60000)
  const scope = testScope()
  const user = key('ed25519', 'user')

  before(function () {
    needAlknet(this)
    needSshd(this)
  })

  /** alknet serve, in this process: { host, port, user, hostKeys }. */
  async function serveWith (made, options = {}) {
    const server = await alknet.serve({
      hostKey: made.subject.path,
      authorizedKeys: Buffer.from(`${user.public}\n`),
      listen: '127.0.0.1:0',
      sshEngine: 'native',
      ...options
    })
    scope.defer(() => server.close())
    return { host: '127.0.0.1', port: server.address().port, user: 'alknet', hostKeys: [] }
  }

  const sshdWith = (made, config = []) => startSshd(scope, {
    hostKeys: [made.subject], config: [`HostCertificate ${made.certificate.path}`, ...config]
  })

  function knownText (one, server, made) {
    const text = one.known.map((lineOf) => lineOf(server, made)).join('')
    return one.hashed ? hashedKnownHosts(scope, text) : text
  }

  /** Our client: { verdict, err, log }. */
  async function ask (server, known, options = {}) {
    const log = []
    try {
      const session = await alknet.openSession({
        server: `${server.host}:${server.port}`,
        user: server.user,
        identity: user.path,
        knownHosts: Buffer.from(known),
        sshEngine: 'native',
        log: { level: 'warn', write: (text) => log.push(text) },
        ...options
      })
      const { info } = session
      await session.close()
      return { verdict: YES, info, log }
    } catch (err) {
      assert.strictEqual(err.code, 'ERR_ALKNET_HOSTKEY', err.stack)
      return { verdict: NO, err, log }
    }
  }

  /** Stock ssh: what it takes the server for. The session itself is not asked for. */
  async function sshVerdict (server, known, options = []) {
    const { output } = await runSsh(scope, server, {
      options: [...options, `UserKnownHostsFile=${scope.file('known_hosts', known)}`], command: ['true']
    })
    if (/Authenticated to|authenticated using|Permission denied/i.test(output)) return YES
    assert.match(output, /Host key verification failed/, output)
    return NO
  }

  function check (one, { verdict, err, log }) {
    assert.strictEqual(verdict, one.verdict, err?.message)
    if (one.says !== undefined) {
      assert.match(err.message, one.says)
      assert.notStrictEqual(err.advice, '')
    }
    assert.strictEqual(log.some((text) => /host certificate not used/.test(text)), one.warns === true, log.join('\n'))
  }

  for (const one of CASES) {
    const differs = one.ssh === undefined ? '' : `; ssh: ${one.ssh}, for ${one.why}`
    it(`${one.name}: ${one.verdict}${differs}`, async () => {
      const made = makeHost(scope, one)
      const servers = [await sshdWith(made)]
      if (one.serves === false) {
        await assert.rejects(serveWith(made), { code: 'ERR_ALKNET_KEY', message: new RegExp(made.certificate.path) })
      } else {
        servers.push(await serveWith(made))
      }
      for (const at of servers) {
        const server = { ...at, host: one.host ?? at.host, hostKeys: [] }
        const known = knownText(one, server, made)
        check(one, await ask(server, known))
        assert.strictEqual(await sshVerdict(server, known), one.ssh ?? one.verdict)
      }
    })
  }

  describe('the client', () => {
    let made
    beforeEach(() => { made = makeHost(scope, {}) })

    it('asks for a certificate where it knows a CA, and for a key elsewhere', async () => {
      for (const server of [await sshdWith(made), await serveWith(made)]) {
        const hostkey = async (known, options) => (await ask(server, known, options)).info.hostkey
        assert.strictEqual(await hostkey(trusts(server, made)), CERTIFIED)
        assert.strictEqual(await hostkey(knows('subject')(server, made)), 'ssh-ed25519')
        assert.strictEqual(await hostkey(trusts(server, made) + knows('subject')(server, made), { hostKeyAlgorithms: 'ssh-ed25519' }), 'ssh-ed25519')
        // Asked for by name it comes without a CA too, and its key is known.
        assert.strictEqual(await hostkey(knows('subject')(server, made), { hostKeyAlgorithms: CERTIFIED }), CERTIFIED)
        assert.strictEqual(await hostkey('', { hostKeyAlgorithms: CERTIFIED, hostKey: made.subject.fingerprint }), CERTIFIED)
        const { verdict } = await ask(server, trusts(server, made), { hostKey: made.ca.fingerprint })
        assert.strictEqual(verdict, NO, "a pin is the key's, not the CA's")
      }
    })

    it('keeps to the certificate through changes of keys', async () => {
      const echo = await echoServer(scope)
      for (const server of [await sshdWith(made), await serveWith(made)]) {
        const session = await alknet.openSession({
          server: `${server.host}:${server.port}`,
          user: server.user,
          identity: user.path,
          knownHosts: Buffer.from(trusts(server, made)),
          sshEngine: 'native',
          rekeyBytes: 64 * 1024
        })
        const stream = await session.open({ host: '127.0.0.1', port: echo.port })
        const got = drainStream(stream)
        const { digest } = await sendPattern(stream, 1024 * 1024)
        assert.deepStrictEqual(await got, { bytes: 1024 * 1024, digest })
        assert.strictEqual(session.info.hostkey, CERTIFIED)
        await session.close()
      }
    })

    it('writes down the key of an unknown CA when told to, as ssh does, and never a CA', async () => {
      for (const server of [await sshdWith(made), await serveWith(made)]) {
        // With another CA for the host it is the certificate that comes.
        const other = scope.file('others', trustsOther(server, made))
        const file = scope.file('known_hosts', '')
        const { verdict, info, err } = await ask(server, '', { knownHosts: [file, other], acceptNew: true })
        assert.strictEqual(verdict, YES, err?.message)
        assert.strictEqual(info.hostkey, CERTIFIED)
        assert.strictEqual(fs.readFileSync(file, 'utf8'), knows('subject')(server, made))
        const theirs = scope.file('known_hosts', '')
        assert.strictEqual(await sshVerdict(server, '',
          [`UserKnownHostsFile=${theirs} ${other}`, 'StrictHostKeyChecking=accept-new', 'UpdateHostKeys=no']), YES)
        assert.strictEqual(fs.readFileSync(theirs, 'utf8'), knows('subject')(server, made))
      }
    })

    it('writes nothing down for who shows a certificate that is no longer valid', async () => {
      const old = makeHost(scope, { args: [...NAME, ...PAST] })
      const server = await sshdWith(old)
      const file = scope.file('known_hosts', trusts(server, old))
      const { verdict, err } = await ask(server, '', { knownHosts: file, acceptNew: true })
      assert.strictEqual(verdict, NO)
      assert.match(err.message, /has expired/)
      assert.strictEqual(fs.readFileSync(file, 'utf8'), trusts(server, old))
    })

    it('says on the terminal what is wrong, exit 4', async () => {
      const old = makeHost(scope, { args: ['-n', 'a.example', ...PAST] })
      const server = await sshdWith(old)
      const { code, stderr } = await runConnect(scope, server, { knownHosts: `# mine\n${trusts(server, old)}`, engine: 'native' })
      assert.strictEqual(code, 4, stderr)
      assert.match(stderr, /the host certificate of \S+ is not valid: it has expired/)
      assert.match(stderr, /known_hosts:2/)
      assert.match(stderr, /for a\.example, and valid from .* until 2021-/)
      assert.ok(stderr.includes(old.ca.fingerprint) && stderr.includes(old.subject.fingerprint), stderr)
      assert.doesNotMatch(stderr, /\n\s+at /)
    })

    it('refuses one with texts that are not what they seem', async () => {
      // ssh-keygen would refuse to make it; sshd serves what it is given.
      const ca = makeKey()
      fs.writeFileSync(made.certificate.path, certificateLine(certify(ca, made.subject.blob, {
        kind: HOST, principals: ['127.0.0.1'], keyId: Buffer.from([0xff, 0xfe]), extensions: {}
      })))
      const server = await sshdWith(made)
      const { verdict, err } = await ask(server, `@cert-authority * ${ca.public}\n`)
      assert.strictEqual(verdict, NO)
      assert.match(err.message, /cannot be read.*UTF-8/)
    })

    it('of the libssh engine takes the key and has no certificates', async function () {
      if (!alknet.versions.engines.includes('libssh')) {
        console.log('      skipped: the libssh engine is not built in')
        this.skip()
      }
      const server = await sshdWith(made)
      const known = trusts(server, made) + knows('subject')(server, made)
      const { info } = await ask(server, known, { sshEngine: 'libssh' })
      assert.strictEqual(info.hostkey, 'ssh-ed25519')
      await assert.rejects(ask(server, known, { sshEngine: 'libssh', hostKeyAlgorithms: CERTIFIED }), /not offered by libssh/)
      const log = []
      const ours = await serveWith(made, { sshEngine: 'libssh', log: { write: (text) => log.push(text) } })
      assert.match(log.join('\n'), /host certificate of no use.*libssh/)
      assert.strictEqual((await ask(ours, knows('subject')(ours, made))).verdict, YES)
    })
  })

  describe('the server', () => {
    it('takes PATH-cert.pub, and serves ssh with the certificate and with the key', async () => {
      const made = makeHost(scope, {})
      const server = { ...await startServe(scope, { hostKeys: [made.subject], engine: 'native' }), hostKeys: [] }
      assert.strictEqual(await sshVerdict(server, trusts(server, made)), YES)
      assert.strictEqual(await sshVerdict(server, knows('subject')(server, made)), YES)
      assert.strictEqual(await sshVerdict(server, knows('subject')(server, made), ['HostKeyAlgorithms=ssh-ed25519']), YES)
      const scan = (...args) => run(scope, 'ssh-keyscan', [...args, '-p', String(server.port), '-t', 'ed25519', server.host])
      assert.ok((await scan()).stdout.includes(made.subject.base64))
      assert.ok((await scan('-c')).stdout.includes(made.certificate.base64))
      const client = await startConnect(scope, server, { knownHosts: trusts(server, made), engine: 'native' })
      const echo = await echoServer(scope)
      await expectEcho(await socksOpen(scope, client.socks, '127.0.0.1', echo.port))
    })

    it('with several keys shows the certificates that there are', async () => {
      const made = makeHost(scope, {})
      const plain = key('rsa-3072', 'host')
      const server = await serveWith(made, { hostKey: [plain.path, made.subject.path] })
      assert.strictEqual((await ask(server, trusts(server, made))).info.hostkey, CERTIFIED)
      assert.strictEqual((await ask(server, knownHostsLine(server.host, server.port, plain))).info.hostkey, 'rsa-sha2-512')
    })

    it('takes a certificate from elsewhere, and bytes', async () => {
      const made = makeHost(scope, {})
      const apart = scope.file('certificate', fs.readFileSync(made.certificate.path))
      const certificate = fs.readFileSync(made.certificate.path)
      fs.rmSync(made.certificate.path)
      for (const options of [{ hostCertificate: apart }, { hostKey: made.subject.private, hostCertificate: certificate }]) {
        const server = await serveWith(made, options)
        assert.strictEqual((await ask(server, trusts(server, made))).info.hostkey, CERTIFIED)
      }
      const { proc, ...server } = await startServe(scope, { hostKeys: [made.subject], engine: 'native', args: ['--host-certificate', apart] })
      assert.strictEqual((await ask(server, trusts(server, made))).info.hostkey, CERTIFIED)
    })

    it('warns of one that is of no use now', async () => {
      for (const [args, problem] of [[[...NAME, ...PAST], /expired/], [[...NAME, ...LATER], /not yet valid/], [[], /names no host/]]) {
        const made = makeHost(scope, { args })
        const log = []
        await serveWith(made, { log: { write: (text) => log.push(text) } })
        const warning = log.find((text) => /^WARN host certificate of no use/.test(text))
        assert.match(warning ?? log.join('\n'), problem)
        assert.ok(warning.includes(made.certificate.path))
      }
    })

    it('does not start with one that is wrong, and says which: exit 2', async () => {
      const made = makeHost(scope, {})
      const file = made.certificate.path
      const good = fs.readFileSync(file, 'utf8')
      const other = makeHost(scope, {})
      const foreign = makeHost(scope, { subject: 'ecdsa-256' })
      const texts = {
        'not a certificate of one line': [key('ed25519', 'host').public, '', 'rubbish', `${good}${good}`, 'ssh-ed25519-cert-v01@openssh.com AAAA'],
        'is for another key': [fs.readFileSync(foreign.certificate.path, 'utf8')],
        'not what the line names': [good.replace('ssh-ed25519-cert', 'ssh-rsa-cert')]
      }
      for (const [problem, list] of Object.entries(texts)) {
        for (const text of list) {
          fs.writeFileSync(file, text)
          await assert.rejects(serveWith(made), (err) => {
            assert.deepStrictEqual([err.code, err.stage], ['ERR_ALKNET_KEY', 'key'])
            assert.ok(err.message.includes(file) && err.message.includes(problem), err.message)
            return true
          })
        }
      }
      fs.writeFileSync(file, good)
      await assert.rejects(serveWith(made, { hostCertificate: key('ed25519', 'host').publicPath }), /not a certificate/)
      await assert.rejects(serveWith(made, { hostKey: key('ed25519', 'host').path, hostCertificate: file }), /for none of the keys/)
      await assert.rejects(serveWith(made, { hostCertificate: path.join(scope.dir(), 'none') }), { code: 'ENOENT' })
      await assert.rejects(serveWith(made, { hostCertificate: other.certificate.path }), /for the same key, and it can show one/)
      fs.rmSync(file)
      fs.mkdirSync(file)
      const { code, stderr } = await runAlknet(scope, ['serve', '--key', made.subject.path, '--listen', '127.0.0.1:0'])
      assert.strictEqual(code, 2, stderr)
      assert.match(stderr, /host-cert\.pub: it is a directory/)
    })
  })
})
