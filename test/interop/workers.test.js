'use strict'

/** `alknet serve --workers`: ssh and alknet through it, many connections at once, signals. */

const assert = require('node:assert')
const fs = require('node:fs')
const alknet = require('../../lib')
const { needAlknet, runAlknet, runConnect, startConnect, startServe } = require('../helpers/alknet')
const { key } = require('../helpers/keys')
const { echoServer, expectEcho } = require('../helpers/net')
const { startSsh } = require('../helpers/openssh')
const { need } = require('../helpers/proc')
const { suiteScope, testScope } = require('../helpers/scope')
const { socksOpen } = require('../helpers/socks')

const PARALLEL = 200

describe('workers of alknet serve', function () {
  this.timeout(60000)
  const suite = suiteScope()
  const scope = testScope()
  let echo

  before(async function () {
    needAlknet(this)
    echo = await echoServer(suite)
  })

  for (const engine of alknet.versions.engines) {
    it(`${PARALLEL} connections at once by four clients, ${engine}`, async function () {
      need(this, 'ssh')
      const server = await startServe(scope, { engine, args: ['--workers', '2'] })
      const clients = await Promise.all([
        startSsh(scope, server), startSsh(scope, server), startConnect(scope, server), startConnect(scope, server)
      ])
      await Promise.all(Array.from({ length: PARALLEL }, async (_, i) => {
        const socket = await socksOpen(scope, clients[i % clients.length].socks, '127.0.0.1', echo.port)
        for (let n = 0; n < 3; n++) await expectEcho(socket, `${i} ${n} ${'x'.repeat(1000)}`)
        socket.destroy()
      }))
      server.proc.child.kill('SIGTERM')
      const { code, output } = await server.proc.exited
      assert.strictEqual(code, 0, output)
      assert.doesNotMatch(output, /^(?:ERROR|WARN)|Warning/m)
      assert.strictEqual(output.match(/ result=accept$/mg).length, 4)
    })
  }

  it('says how many there are, and takes over with SIGHUP who may come', async () => {
    const [user, other] = [key('ed25519', 'user'), key('ed25519', 'other')]
    const control = `${scope.dir()}/serve.sock`
    const config = scope.file('alknet.toml', 'server.workers = 3\n')
    const server = await startServe(scope, { args: ['--config', config, '--control', control] })
    const connected = await startConnect(scope, server)
    const { stdout } = await runAlknet(scope, ['status', '--control', control])
    assert.match(stdout, /^ {2}sessions {2,}1$/m)
    assert.match(stdout, /^ {2}workers {3,}3$/m)
    const checked = await runAlknet(scope, ['serve', '--check', '--key', server.hostKeys[0].path, '--config', config])
    assert.match(checked.stdout, /^workers = 3$/m)

    const args = server.proc.child.spawnargs
    fs.writeFileSync(args[args.indexOf('--authorized-keys') + 1], `${other.public}\n`)
    server.proc.child.kill('SIGHUP')
    await server.proc.waitFor(/^INFO reloaded$/m)
    assert.notStrictEqual((await runConnect(scope, server, { identity: user })).code, 0)
    const late = await startConnect(scope, server, { identity: other })
    for (const { socks } of [late, connected]) await expectEcho(await socksOpen(scope, socks, '127.0.0.1', echo.port))
    server.proc.child.kill('SIGTERM')
    assert.strictEqual((await server.proc.exited).code, 0)
  })

  for (const wrong of ['0', '65', 'two']) {
    it(`refuses --workers ${wrong}`, async () => {
      const { code, output } = await runAlknet(scope, ['serve', '--key', key('ed25519', 'host').path, '--workers', wrong])
      assert.strictEqual(code, 2, output)
      assert.match(output, /--workers: must be a whole number of 1 to 64/)
    })
  }
})
