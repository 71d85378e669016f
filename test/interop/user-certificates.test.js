'use strict'

/** alknet's client logs in to stock sshd with a certificate, and what it says of one that is of no use. */

const assert = require('node:assert')
const { execFileSync } = require('node:child_process')
const fs = require('node:fs')
const path = require('node:path')
const alknet = require('../../lib')
const { needAlknet, runConnect, startConnect } = require('../helpers/alknet')
const { key, keyOf } = require('../helpers/keys')
const { echoServer, expectEcho } = require('../helpers/net')
const { me, needSshd, startSshd } = require('../helpers/openssh')
const { suiteScope, testScope } = require('../helpers/scope')
const { socksOpen } = require('../helpers/socks')

describe('user certificates of the client', function () {
  this.timeout(60000)
  const suite = suiteScope()
  const scope = testScope()
  const ca = key('ed25519', 'user-ca')
  const { engines } = alknet.versions
  let sshd, echo

  before(async function () {
    needAlknet(this)
    needSshd(this)
    // Nobody's key is known there: only the CA lets in.
    sshd = await startSshd(suite, { userKeys: [], config: [`TrustedUserCAKeys ${ca.publicPath}`] })
    echo = await echoServer(suite)
  })

  /** A key of its own, certified for who runs this, in a new directory. */
  function makeUser ({ kind = 'ed25519', name = 'certified-user', args = ['-n', me], host = [], passphrase } = {}) {
    const from = key(kind, name, { passphrase })
    const file = path.join(scope.dir(), 'id')
    for (const end of ['', '.pub']) fs.copyFileSync(`${from.path}${end}`, `${file}${end}`)
    fs.chmodSync(file, 0o600)
    execFileSync('ssh-keygen', ['-q', '-s', ca.path, ...host, '-I', 'somebody', ...args, `${file}.pub`], { stdio: 'pipe' })
    return { ...keyOf(file), certificate: `${file}-cert.pub` }
  }

  async function open (options, server = sshd) {
    const session = await alknet.openSession({
      server: `${server.host}:${server.port}`,
      user: me,
      knownHosts: Buffer.from(server.knownHosts),
      ...options
    })
    scope.defer(() => session.close())
    await expectEcho(await session.open({ host: '127.0.0.1', port: echo.port }))
    await session.close()
  }

  for (const sshEngine of engines) {
    describe(`of the ${sshEngine} engine`, () => {
      for (const kind of ['ed25519', 'ecdsa-256', 'rsa-3072']) {
        it(`${kind}: PATH-cert.pub logs in, and nothing does without it`, async () => {
          const user = makeUser({ kind })
          await open({ sshEngine, identity: user.path })
          fs.rmSync(user.certificate)
          await assert.rejects(open({ sshEngine, identity: user.path }), { code: 'ERR_ALKNET_AUTH' })
        })
      }

      it('the plain key comes after a certificate that is refused', async () => {
        const user = makeUser({ args: ['-n', 'somebody-else'] })
        await assert.rejects(open({ sshEngine, identity: user.path }),
          (err) => err.code === 'ERR_ALKNET_AUTH' && err.message.includes(`${user.fingerprint} with a certificate, ${user.fingerprint}`))
        const knowing = await startSshd(scope, { userKeys: [user], config: [`TrustedUserCAKeys ${ca.publicPath}`] })
        await open({ sshEngine, identity: user.path }, knowing)
        assert.match(knowing.proc.output, /Certificate invalid: name is not a listed principal[^]*Accepted key/)
      })
    })
  }

  it('bytes have theirs in `certificate`, and so have keys with it elsewhere', async () => {
    const user = makeUser()
    const certificate = fs.readFileSync(user.certificate)
    fs.rmSync(user.certificate)
    const apart = scope.file('certificate', certificate)
    await open({ identity: user.private, certificate })
    await open({ identity: user.path, certificate: apart })
    await open({ identity: [key('ed25519', 'user').path, user.private], certificate: [apart, certificate] })
  })

  it('several certificates of one key are tried in turn', async () => {
    const useless = makeUser({ args: ['-n', 'somebody-else'] })
    const good = makeUser()
    await open({ identity: useless.path, certificate: good.certificate })
  })

  it('an encrypted key is asked for once', async () => {
    const user = makeUser({ passphrase: 'open sesame' })
    const asked = []
    await open({
      identity: user.path,
      passphrase: (name) => {
        asked.push(name)
        return 'open sesame'
      }
    })
    assert.deepStrictEqual(asked, [user.path])
  })

  it('alknet connect uses PATH-cert.pub and --certificate', async () => {
    const user = makeUser()
    const apart = scope.file('certificate', fs.readFileSync(user.certificate))
    const through = async (options) => {
      const { socks } = await startConnect(scope, sshd, { identity: user, ...options })
      await expectEcho(await socksOpen(scope, socks, '127.0.0.1', echo.port))
    }
    await through({})
    fs.rmSync(user.certificate)
    await through({ args: ['--certificate', apart] })
  })

  it('what is no certificate for the key is a fault, exit 2', async () => {
    const user = makeUser()
    const good = fs.readFileSync(user.certificate, 'utf8')
    const refused = async (pattern, args = []) => {
      const { code, stderr } = await runConnect(scope, sshd, { identity: user, args })
      assert.strictEqual(code, 2, stderr)
      assert.match(stderr, pattern)
      assert.strictEqual(stderr.trim().split('\n').length, 1, stderr)
    }
    fs.writeFileSync(user.certificate, 'rubbish')
    await refused(/id-cert\.pub is not a certificate of one line/)
    fs.writeFileSync(user.certificate, fs.readFileSync(makeUser({ kind: 'ecdsa-256' }).certificate))
    await refused(/id-cert\.pub is for another key \(SHA256:\S+\) than \S+id/)
    fs.writeFileSync(user.certificate, fs.readFileSync(makeUser({ host: ['-h'] }).certificate))
    await refused(/id-cert\.pub is a host certificate, and a user certificate is wanted/)
    const [type, base64] = good.split(' ')
    const damaged = Buffer.from(base64, 'base64')
    damaged[damaged.length - 1] ^= 1
    fs.writeFileSync(user.certificate, `${type} ${damaged.toString('base64')}\n`)
    await refused(/id-cert\.pub: .*signature/)
    fs.rmSync(user.certificate)
    await refused(/no such file/, ['--certificate', path.join(scope.dir(), 'none')])
    await refused(/certificate is for none of the keys given/, ['--certificate', scope.file('certificate', fs.readFileSync(makeUser({ kind: 'ecdsa-256' }).certificate))])
    fs.mkdirSync(user.certificate)
    await refused(/id-cert\.pub: it is a directory/)
  })
})
