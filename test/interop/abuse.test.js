'use strict'

/**
 * Who tries keys that are not known is refused for a while, and nobody else:
 * stock ssh, from several addresses of this machine.
 */

const assert = require('node:assert')
const fs = require('node:fs')
const net = require('node:net')
const { engineOf, needAlknet, runAlknet, startServe } = require('../helpers/alknet')
const { key } = require('../helpers/keys')
const { closed, dial, echoServer, expectEcho, readBytes } = require('../helpers/net')
const { runSsh, startSsh } = require('../helpers/openssh')
const { need, run } = require('../helpers/proc')
const { testScope } = require('../helpers/scope')
const { socksOpen } = require('../helpers/socks')
const { connectSsh2 } = require('../helpers/ssh2')

// Only Linux has all of 127.0.0.0/8.
const GOOD = '127.0.0.2'
const BAD = '127.0.0.3'

describe('server: abuse', function () {
  this.timeout(120000)
  const scope = testScope()

  before(async function () {
    needAlknet(this)
    need(this, 'ssh', 'ssh-keyscan')
    const isThere = await new Promise((resolve) => {
      const probe = net.createServer().once('error', () => resolve(false))
      probe.listen(0, GOOD, () => probe.close(() => resolve(true)))
    })
    if (isThere) return
    console.log(`      skipped: this machine does not have the address ${GOOD}`)
    this.skip()
  })

  /** Logs in from an address: what ssh has said, and how it ended. */
  function login (server, from, identity, more = {}) {
    return runSsh(scope, server, { identity, options: [`BindAddress=${from}`], args: ['-W', '127.0.0.1:1'], ...more })
  }

  async function status (control) {
    const { code, stdout, output } = await runAlknet(scope, ['status', '--control', control, '--json'])
    assert.strictEqual(code, 0, output)
    return JSON.parse(stdout).stats
  }

  it('penalises a source that tries wrong keys, and no other', async () => {
    const control = `${scope.dir()}/c.sock`
    const server = await startServe(scope, {
      penalties: true, args: ['--penalties', 'authfail:1m,min:90s,max:1h', '--control', control, '--log-level', 'info']
    })
    const stranger = key('ed25519', 'stranger')
    for (let i = 0; i < 2; i++) {
      const { code, output } = await login(server, BAD, stranger)
      assert.strictEqual(code, 255)
      assert.match(output, /Permission denied \(publickey\)/)
    }
    await server.proc.waitFor(/INFO source penalised remote_addr=127\.0\.0\.3 source=127\.0\.0\.3\/32 seconds=\d+ reason=auth_failed/)
    const refused = await login(server, BAD, key('ed25519', 'user'))
    assert.strictEqual(refused.code, 255)
    assert.doesNotMatch(refused.output, /Authenticated to|Permission denied/)
    await server.proc.waitFor(/INFO connection rejected remote_addr=127\.0\.0\.3 remote_port=\d+ transport=tcp reason=penalty/)
    const good = await login(server, GOOD, key('ed25519', 'user'))
    assert.match(good.output, /Authenticated to/)
    assert.doesNotMatch(server.proc.output, /remote_addr=127\.0\.0\.2[^\n]*(penal|reject)/)
    const { refused: byReason, rejected, penalties, logins, penalisedSources } = await status(control)
    assert.deepStrictEqual([byReason.penalty, rejected.unknown_key, penalties.auth_failed, logins, penalisedSources], [1, 2, 2, 1, 1])
    const text = (await runAlknet(scope, ['status', '--control', control])).stdout
    assert.match(text, /^ {2}refused +1 penalty$/m)
    assert.match(text, /^ {2}penalised +1 source now$/m)
  })

  it('refuses a source that has keys exchanged again and again, and never logs in', async () => {
    const server = await startServe(scope, { penalties: true, args: ['--penalties', 'noauth:1m,min:4m,max:1h'] })
    const scan = async () => (await run(scope, 'ssh-keyscan', ['-T', '5', '-t', 'ed25519', '-p', String(server.port), '127.0.0.1'])).stdout
    for (let i = 0; i < 5; i++) assert.match(await scan(), /ssh-ed25519/)
    await server.proc.waitFor(/source penalised remote_addr=127\.0\.0\.1 .*reason=no_auth/)
    assert.strictEqual(await scan(), '')
    assert.match((await login(server, GOOD, key('ed25519', 'user'))).output, /Authenticated to/)
  })

  it('lets others in while one source opens all the connections it can', async () => {
    const server = await startServe(scope, { args: ['--login-grace', '1h'] })
    const many = await Promise.all(Array.from({ length: 200 }, () =>
      dial(scope, server.port, '127.0.0.1', { localAddress: BAD }).catch((err) => { if (err.code !== 'ECONNRESET') throw err })))
    await server.proc.waitFor(/connection rejected remote_addr=127\.0\.0\.3 .*reason=max_unauthenticated_per_ip/)
    for (let i = 0; i < 5; i++) {
      const { output } = await login(server, GOOD, key('ed25519', 'user'))
      assert.match(output, /Authenticated to/)
    }
    assert.doesNotMatch(server.proc.output, /remote_addr=127\.0\.0\.2[^\n]*reject/)
    for (const socket of many) socket?.destroy()
  })

  it('lets a client with many keys in, and holds those that were wrong against nobody', async () => {
    const server = await startServe(scope, { penalties: true, args: ['--penalties', 'min:0'] })
    const wrong = ['a', 'b', 'c'].map((name) => key('ed25519', `wrong-${name}`))
    for (let i = 0; i < 3; i++) {
      const { output } = await login(server, BAD, wrong[0], {
        args: ['-W', '127.0.0.1:1', ...[...wrong.slice(1), key('ed25519', 'user')].flatMap((one) => ['-i', one.path])]
      })
      assert.match(output, /Authenticated to/)
    }
    assert.match(server.proc.output, /result=reject reason=unknown_key/)
    assert.doesNotMatch(server.proc.output, /penal/)
  })

  it('counts another method than publickey, and the log names it', async () => {
    const server = await startServe(scope, { penalties: true, args: ['--penalties', 'noauth:0,min:0'] })
    const noise = await dial(scope, server.port, '127.0.0.1', { localAddress: BAD })
    noise.end('SSH-2.0-noise\r\n')
    await closed(noise)
    await assert.rejects(connectSsh2(scope, server, { localAddress: BAD, identity: null, username: 'root', password: 'hunter2', authHandler: ['password'] }))
    await server.proc.waitFor(/INFO auth attempt remote_addr=127\.0\.0\.3 remote_port=\d+ user=root result=reject reason=unsupported_method/)
    await server.proc.waitFor(/INFO source penalised remote_addr=127\.0\.0\.3 source=127\.0\.0\.3\/32 seconds=5 reason=auth_failed/)
    assert.doesNotMatch(server.proc.output, /hunter2/)
  })

  it(`keeps its limits and its memory of sources over a reload (${engineOf('serve')})`, async () => {
    const config = scope.file('alknet.toml', '[server]\npenalties = "authfail:1m,min:1s,max:1h"\n')
    const server = await startServe(scope, { penalties: true, args: ['--config', config] })
    await login(server, BAD, key('ed25519', 'stranger'))
    await server.proc.waitFor(/source penalised/)
    fs.writeFileSync(config, '[server]\npenalty-exempt = "127.0.0.3"\n')
    server.proc.kill('SIGHUP')
    await server.proc.waitFor(/INFO reloaded/)
    assert.match((await login(server, BAD, key('ed25519', 'user'))).output, /Authenticated to/)
    fs.writeFileSync(config, '[server]\n')
    server.proc.kill('SIGHUP')
    await server.proc.waitFor(/INFO reloaded[^]*INFO reloaded/)
    assert.doesNotMatch((await login(server, BAD, key('ed25519', 'user'))).output, /Authenticated to/)
  })
})

describe('server: without descriptors', function () {
  this.timeout(120000)
  const scope = testScope()

  /** CPU time of a process so far, in seconds (Linux). */
  function cpuOf (pid) {
    const fields = fs.readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/^.*\) /, '').split(' ')
    return (Number(fields[11]) + Number(fields[12])) / 100
  }

  before(function () {
    needAlknet(this)
    need(this, 'ssh', 'prlimit')
  })

  it('rests, keeps who is there, and accepts again when there are some', async () => {
    const server = await startServe(scope, { args: ['--max-unauthenticated-per-ip', '0', '--login-grace', '1h'] })
    const echo = await echoServer(scope)
    const good = await startSsh(scope, server)
    const stream = await socksOpen(scope, good.socks, '127.0.0.1', echo.port)
    await expectEcho(stream)
    const most = server.proc.fds() + 20
    const { code, output } = await run(scope, 'prlimit', ['--pid', String(server.proc.pid), `--nofile=${most}:`])
    assert.strictEqual(code, 0, output)

    const many = await Promise.all(Array.from({ length: 60 }, () => dial(scope, server.port)))
    await server.proc.waitFor(/WARN accept failed error=EMFILE/)
    const before = cpuOf(server.proc.pid)
    // Lines come once a second; each says how many tries had none.
    const [, tries] = await server.proc.waitFor(/accept failed error=EMFILE suppressed=(\d+)/)
    const spent = cpuOf(server.proc.pid) - before
    assert.ok(tries <= 12, `${tries} tries in a second`)
    assert.ok(spent < 0.5, `${spent} s of CPU`)
    await expectEcho(stream)

    const waiting = await dial(scope, server.port) // the kernel has taken it
    for (const socket of many) socket.destroy()
    assert.match(String(await readBytes(waiting, 4)), /^SSH-/)
    await expectEcho(stream)
    assert.strictEqual((await runSsh(scope, server, { args: ['-W', `127.0.0.1:${echo.port}`] })).code, 0)
  })
})
