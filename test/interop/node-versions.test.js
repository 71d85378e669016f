'use strict'

/**
 * One addon file for every Node: the .node that was built for this one runs in
 * others. ALKNET_NODES names their binaries, separated by colons:
 *
 *   ALKNET_NODES=$(script/nodes 22 24 26) npx mocha test/interop/node-versions.test.js
 *
 * The C tests of the key exchanges run in them too, because their OpenSSL may
 * have ML-KEM where the one that those are usually linked with has not.
 */

const assert = require('node:assert')
const { execFileSync, spawnSync } = require('node:child_process')
const fs = require('node:fs')
const path = require('node:path')
const alknet = require('../..')
const { bin, cleanEnv, connectArgs, needAlknet, startConnect, startServe } = require('../helpers/alknet')
const { download, MiB, upload } = require('../helpers/behaviours')
const { key, knownHostsLine } = require('../helpers/keys')
const { echoServer, expectEcho, sinkServer, sourceServer } = require('../helpers/net')
const { start } = require('../helpers/proc')
const { connectRussh, needRussh, openRussh } = require('../helpers/russh')
const { suiteScope, testScope } = require('../helpers/scope')
const { socksOpen } = require('../helpers/socks')

const SIZE = 64 * MiB
const MLKEM = 'mlkem768x25519-sha256'
const nodes = (process.env.ALKNET_NODES || '').split(':').filter(Boolean)

/** Runs a few lines of JavaScript in a Node and reads the JSON that they print. */
function ask (node, code) {
  const lines = `const alknet = require(${JSON.stringify(require.resolve('../..'))}); ${code}`
  return JSON.parse(execFileSync(node, ['-e', lines], { encoding: 'utf8' }))
}

/** test_native_kex.c as an addon; or why there is none. */
function buildKexTest (scope) {
  const dir = path.join(__dirname, '../c')
  const native = path.join(__dirname, '../../csrc/ssh/native')
  const core = path.join(__dirname, '../../csrc/core')
  const file = path.join(scope.dir(), 'test_native_kex.node')
  const sources = [path.join(dir, 'test_native_kex.c'), path.join(dir, 'in_node.c'),
    ...fs.readdirSync(native).filter((name) => /^kex.*\.c$/.test(name)).map((name) => path.join(native, name)),
    path.join(core, 'buf.c'), path.join(core, 'mem.c')]
  const { status, stderr, error } = spawnSync(process.env.CC ?? 'cc', ['-shared', '-fPIC', '-O1', '-std=c11', '-D_GNU_SOURCE',
    '-Dmain=test_main', `-I${path.dirname(core)}`, `-I${dir}`, '-o', file, ...sources, '-lcmocka'], { encoding: 'utf8' })
  if (error) return { why: `no C compiler: ${error.message}` }
  if (status !== 0 && /cmocka/.test(stderr)) return { why: 'no cmocka' }
  assert.strictEqual(status, 0, stderr)
  return { file }
}

describe('one addon, other versions of Node', function () {
  this.timeout(60000)
  const scope = testScope()
  const suite = suiteScope()
  let kexTest

  before(function () {
    needAlknet(this)
    if (nodes.length > 0) kexTest = buildKexTest(suite)
  })

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

      it(`key exchanges are as computed${hasMlkem ? ', ML-KEM by the vectors of ACVP' : ''}`, function () {
        if (kexTest.why) {
          console.log(`      skipped: ${kexTest.why}`)
          this.skip()
        }
        const load = 'process.dlopen({ exports: {} }, process.argv[1], os.constants.dlopen.RTLD_NOW)'
        const { status, stdout, stderr } = spawnSync(node, ['-e', load, kexTest.file], { encoding: 'utf8' })
        assert.strictEqual(status, 0, stdout + stderr)
        const said = stdout + stderr
        assert.match(said, /\[ {2}PASSED {2}\] (9|1\d) test\(s\)/)
        if (hasMlkem) assert.doesNotMatch(said, /skipped/i)
      })

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
