'use strict'

/** Tunnels that come back, between real programs; and places at the server that a dead client still holds. */

const assert = require('node:assert')
const net = require('node:net')
const { connectArgs, needAlknet, runAlknet, startAlknet, startServe } = require('../helpers/alknet')
const { key, knownHostsLine } = require('../helpers/keys')
const { dial, freePort, listen, readAll } = require('../helpers/net')
const { needSshd, startSshd, runSsh, sshArgs } = require('../helpers/openssh')
const { need, start } = require('../helpers/proc')
const { testScope } = require('../helpers/scope')

// The libssh engine has no remote forwards.
const engine = 'native'

/** Says its name to everybody. */
const named = (scope, name) => listen(scope, (socket) => socket.end(name))

async function nameAt (scope, port) {
  const socket = await dial(scope, port)
  return (await readAll(socket)).toString()
}

/** `alknet connect` with -R and -L, when both stand: { proc, port of -L }. */
async function startTunnel (scope, server, { args, ...more }) {
  const proc = startAlknet(scope, connectArgs(scope, server, { engine, args, ...more }), more)
  await proc.waitFor(/^remote forward on /m)
  const local = /^forward on .*:(\d+)$/m.exec(proc.stdout)
  return { proc, port: local === null ? 0 : Number(local[1]) }
}

describe('alknet connect comes back', function () {
  this.timeout(60000)
  const scope = testScope()
  before(function () { needAlknet(this) })

  it('to alknet serve that was killed and runs again, with its -L, -R and proxy', async () => {
    const env = { HOME: scope.dir(), XDG_RUNTIME_DIR: scope.dir() }
    const first = await startServe(scope, { engine })
    const [here, there] = [await named(scope, 'here'), await named(scope, 'there')]
    const remote = await freePort()
    const { proc, port } = await startTunnel(scope, first, { env, args: ['-R', `${remote}:127.0.0.1:${here.port}`, '-L', `0:127.0.0.1:${there.port}`] })
    assert.deepStrictEqual([await nameAt(scope, remote), await nameAt(scope, port)], ['here', 'there'])
    await first.proc.stop()
    await proc.waitFor(/session state=waiting .*delay=/)
    const waiting = dial(scope, port) // while there is no session
    await startServe(scope, { engine, listen: [`127.0.0.1:${first.port}`] })
    proc.kill('SIGHUP')
    await proc.waitFor(/state=waiting[^]*state=ready/)
    assert.strictEqual((await readAll(await waiting)).toString(), 'there')
    assert.strictEqual(await nameAt(scope, port), 'there')
    const { stdout } = await runAlknet(scope, ['status', '--json'], { env })
    const { state, reconnects, listeners } = JSON.parse(stdout)
    assert.deepStrictEqual([state, reconnects], ['ready', 1])
    assert.strictEqual(listeners.length, 3)
    // The server's answer may be a moment behind the login.
    await proc.waitFor(/state=ready[^]*state=ready/)
    while (await nameAt(scope, remote).catch((err) => err.code) !== 'here') await new Promise(setImmediate)
    proc.kill('SIGTERM')
    assert.strictEqual((await proc.exited).code, 0)
  })

  it('and with --retry waits for its first server, or the next one', async () => {
    const host = key('ed25519', 'host')
    const [nobody, port] = [await freePort(), await freePort()]
    const proc = startAlknet(scope, ['connect', '--retry', '--identity', key('ed25519', 'user').path, '--host-key', host.fingerprint, '--socks5', '127.0.0.1:0'],
      { env: { ALKNET_SERVER: `127.0.0.1:${nobody},127.0.0.1:${port}` } })
    await proc.waitFor(new RegExp(`server failed server=127.0.0.1:${nobody} error=ECONNREFUSED[^]*server=127.0.0.1:${port} [^]*state=waiting`))
    assert.doesNotMatch(proc.stdout, /SOCKS5/)
    await startServe(scope, { engine, listen: [`127.0.0.1:${port}`] })
    proc.kill('SIGHUP')
    await proc.waitFor(/SOCKS5 proxy on/)
    const fatal = await runAlknet(scope, ['connect', '--retry', '--server', `127.0.0.1:${port}`, '--identity', key('ed25519', 'another').path, '--host-key', host.fingerprint,
      '--socks5', '127.0.0.1:0'])
    assert.strictEqual(fatal.code, 3, fatal.stderr)
  })

  it('to sshd, when the way to it was cut', async function () {
    needSshd(this)
    const server = await startSshd(scope)
    const between = await listen(scope, (socket) => {
      const inner = net.connect(server.port, server.host).on('error', () => {})
      inner.once('close', () => socket.destroy())
      socket.once('close', () => inner.destroy()).pipe(inner).pipe(socket)
    })
    const way = { ...server, port: between.port, knownHosts: server.hostKeys.map((k) => knownHostsLine('127.0.0.1', between.port, k)).join('') }
    const here = await named(scope, 'here')
    const remote = await freePort()
    const { proc } = await startTunnel(scope, way, { args: ['-R', `${remote}:127.0.0.1:${here.port}`] })
    for (let i = 1; i <= 3; i++) {
      assert.strictEqual(await nameAt(scope, remote), 'here')
      for (const socket of between.sockets) socket.destroy()
      await proc.waitFor(new RegExp(`(?:state=ready[^]*){${i + 1}}`))
      // sshd may still hold the port for its old session, and then it is asked again.
      while (await nameAt(scope, remote).catch((err) => err.code) !== 'here') await new Promise(setImmediate)
    }
  })
})

describe('a place that a dead client still holds', function () {
  this.timeout(60000)
  const scope = testScope()
  const another = key('ed25519', 'another')
  before(function () {
    needAlknet(this)
    need(this, 'ssh')
  })

  /** Starts a client with -R, and resolves when the server listens. */
  const clients = {
    async 'alknet connect' (server, spec) {
      return (await startTunnel(scope, server, { args: ['-R', spec] })).proc
    },
    async 'stock ssh' (server, spec) {
      const proc = start(scope, 'ssh', sshArgs(scope, server, { args: ['-N', '-R', spec] }))
      await proc.waitFor(/remote forward success/)
      return proc
    }
  }

  for (const [name, connect] of Object.entries(clients)) {
    it(`is its identity's again, and nobody else's: ${name}`, async () => {
      // Nobody would miss the old session in this test's time.
      const server = await startServe(scope, { engine, userKeys: [key('ed25519', 'user'), another], args: ['--keepalive', '3600', '--takeover-timeout', '1'] })
      const [old, fresh] = [await named(scope, 'old'), await named(scope, 'new')]
      const port = await freePort()
      const stale = await connect(server, `127.0.0.1:${port}:127.0.0.1:${old.port}`)
      assert.strictEqual(await nameAt(scope, port), 'old')
      const refused = await runSsh(scope, server, { args: ['-N', '-R', `127.0.0.1:${port}:127.0.0.1:1`] })
      assert.match(refused.stderr, /remote port forwarding failed/, 'it lives, and keeps what it has')
      assert.strictEqual(await nameAt(scope, port), 'old')
      stale.kill('SIGSTOP')
      const other = await runSsh(scope, server, { identity: another, args: ['-N', '-R', `127.0.0.1:${port}:127.0.0.1:1`] })
      assert.notStrictEqual(other.code, 0)
      assert.match(other.stderr, /remote port forwarding failed/)
      await connect(server, `127.0.0.1:${port}:127.0.0.1:${fresh.port}`)
      assert.strictEqual(await nameAt(scope, port), 'new')
      await server.proc.waitFor(/connection closed .*reason=taken_over/)
      assert.strictEqual(server.proc.output.match(/reason=in_use/g).length, 2)
      stale.kill('SIGCONT')
    })
  }

  it('and an alknet that was refused has it when the other one is gone', async () => {
    const server = await startServe(scope, { engine })
    const [first, second] = [await named(scope, 'first'), await named(scope, 'second')]
    const port = await freePort()
    const one = await clients['alknet connect'](server, `127.0.0.1:${port}:127.0.0.1:${first.port}`)
    const two = startAlknet(scope, connectArgs(scope, server, { engine, args: ['--retry', '-R', `127.0.0.1:${port}:127.0.0.1:${second.port}`] }))
    await two.waitFor(/state=waiting error=ERR_ALKNET_CHANNEL/)
    assert.strictEqual(await nameAt(scope, port), 'first')
    one.kill('SIGTERM')
    await one.exited
    await two.waitFor(/^remote forward on /m)
    assert.strictEqual(await nameAt(scope, port), 'second')
  })
})
