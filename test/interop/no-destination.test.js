'use strict'

/**
 * What a tunnel's own users reach is nobody's business (spec §1): with every
 * way to name a target, and every way to fail at it, no word of it is in what
 * the two ends print, at any level.
 */

const assert = require('node:assert')
const fs = require('node:fs')
const net = require('node:net')
const path = require('node:path')
const { once } = require('node:events')
const { engineOf, needAlknet, runConnect, startConnect, startServe } = require('../helpers/alknet')
const { key } = require('../helpers/keys')
const { dial, readAll, readBytes } = require('../helpers/net')
const { suiteScope, testScope } = require('../helpers/scope')
const { greeting, request4, socks5, socksCode } = require('../helpers/socks')

// Nobody else has these: on Linux every address of 127/8 is there.
const HOST = '127.77.66.55'
const DENIED = '127.77.66.56'
const NAME = 'well-kept-secret-7f3a.invalid'
const RULED = 'well-kept-rule-9c1d.invalid'
const RESERVED = 'alknet-well-kept-5b2e'

/** A server on a port that no client's own port can be, so that a number in the log means just one thing. */
async function listenBelow (scope, onConnection) {
  for (;;) {
    const server = net.createServer((socket) => onConnection(socket.on('error', () => {})))
    server.listen(11000 + Math.floor(Math.random() * 20000), HOST)
    const isUp = await once(server, 'listening').then(() => true, (err) => { if (err.code !== 'EADDRINUSE') throw err })
    if (!isUp) continue
    scope.defer(() => new Promise((resolve) => server.close(resolve)))
    return server.address().port
  }
}

describe('no destination is told', function () {
  this.timeout(120_000)
  const suite = suiteScope()
  const scope = testScope()
  let ports, closed, unix, needles

  before(async function () {
    needAlknet(this)
    const hello = (socket) => socket.end('hello')
    ports = [await listenBelow(suite, hello), await listenBelow(suite, hello), await listenBelow(suite, hello)]
    const gone = net.createServer()
    closed = await listenBelow({ defer: (close) => gone.once('go', close) }, hello)
    await new Promise((resolve) => setImmediate(() => { gone.emit('go'); resolve() }))
    unix = path.join(suite.dir(), 'well-kept.sock')
    const server = net.createServer(hello).listen(unix)
    await once(server, 'listening')
    suite.defer(() => new Promise((resolve) => server.close(resolve)))
    needles = [HOST, DENIED, NAME, RULED, RESERVED, 'well-kept', '169.254.169.254', ...ports.map(String), String(closed)]
  })

  function expectNothing (...texts) {
    for (const text of texts) {
      for (const needle of needles) {
        const at = text.search(new RegExp(`(?<![0-9a-z])${needle.replaceAll('.', '\\.')}(?![0-9a-z])`, 'i'))
        assert(at < 0, `${needle}: ${text.slice(Math.max(0, at - 200), at + 100)}`)
      }
    }
  }

  const hello = async (place) => String(await readAll(await dial(scope, place.port, place.host)))
  const quiet = (place) => dial(scope, place.port, place.host).then(readAll).catch(() => {})

  async function viaSocks (proxy) {
    const { socket, code } = await socks5(scope, proxy, HOST, ports[0])
    assert.deepStrictEqual([code, String(await readAll(socket))], [0, 'hello'])
    const codes = []
    for (const [host, port] of [[NAME, 80], [HOST, closed], [DENIED, ports[0]], ['169.254.169.254', 80], [RULED, 80], [RESERVED, 1]]) {
      codes.push(await socksCode(scope, proxy, host, port))
    }
    assert.deepStrictEqual(codes, [4, 5, 2, 2, 2, 2])
    const old = await dial(scope, proxy.port, proxy.host)
    old.write(request4(NAME, 80))
    assert.strictEqual((await readBytes(old, 8))[1], 91)
    const rude = await dial(scope, proxy.port, proxy.host)
    rude.end(Buffer.concat([greeting(), Buffer.from([5, 9, 0, 3, NAME.length]), Buffer.from(NAME)]))
    await readAll(rude).catch(() => {})
  }

  for (const [level, format] of [[undefined, 'text'], ['debug', 'text'], ['debug', 'json']]) {
    it(`by SOCKS, forwards, look-ups and refusals (${level ?? 'the default level'}, ${format})`, async () => {
      const args = [...level === undefined ? [] : ['--log-level', level], '--log-format', format]
      const server = await startServe(scope, {
        args: [...args, '--metrics', '127.0.0.1:0', '--deny', `${DENIED}:*`, '--deny', `${RULED}:*`, '--allow', `unix:${path.dirname(unix)}/*`]
      })
      const hasRemote = engineOf('connect') === 'native' && engineOf('serve') === 'native'
      const client = await startConnect(scope, server, {
        forwards: [`0:${HOST}:${ports[1]}`, `0:${NAME}:80`, `0:${HOST}:${closed}`, ...hasRemote ? [`0:${unix}`] : []],
        args: [...args, ...hasRemote ? ['--remote-forward', `0:${HOST}:${ports[2]}`, '--remote-forward', `0:${HOST}:${closed}`, '--remote-forward', `0:${NAME}:80`] : []]
      })
      await viaSocks(client.socks)
      assert.strictEqual(await hello(client.local[0]), 'hello')
      await quiet(client.local[1])
      await quiet(client.local[2])
      if (hasRemote) {
        assert.strictEqual(await hello(client.local[3]), 'hello')
        const all = () => [...client.proc.output.matchAll(/remote forward on localhost:(\d+)/g)]
        await client.proc.waitFor(/(?:remote forward on [^]*){3}/)
        const [first, ...others] = all().map(([, port]) => ({ host: '127.0.0.1', port: Number(port) }))
        assert.strictEqual(await hello(first), 'hello')
        for (const one of others) await quiet(one)
      }
      const [, metrics] = await server.proc.waitFor(/metrics on (http:\S+)/)
      const told = await (await fetch(metrics)).text()
      assert.match(told, /alknet_channels_refused_total\{reason="prohibited"\} [1-9]/)
      expectNothing(told.replace(/ \S+$/gm, '')) // a count may be any number
      for (const { proc } of [client, server]) {
        proc.kill('SIGTERM')
        assert.strictEqual((await proc.exited).code, 0)
        expectNothing(proc.output)
      }
      assert.match(server.proc.output, format === 'json' ? /"event":"connection closed"/ : /INFO connection closed/)
      if (level === 'debug') assert.match(client.proc.output, /connection failed/, 'the client has told of what failed')
    })
  }

  it('when a key may not, or the server does not listen', async () => {
    const user = key('ed25519', 'user')
    const server = await startServe(scope, {
      authorizedKeys: `permitopen="${HOST}:${ports[0]}" ${user.public}\n`, args: ['--log-level', 'debug', '--permit-listen', 'none']
    })
    const client = await startConnect(scope, server, { args: ['--log-level', 'debug'] })
    const { socket, code } = await socks5(scope, client.socks, HOST, ports[0])
    assert.deepStrictEqual([code, String(await readAll(socket))], [0, 'hello'])
    assert.strictEqual(await socksCode(scope, client.socks, HOST, ports[1]), 2)
    if (engineOf('connect') === 'native') {
      const refused = await runConnect(scope, server, { args: ['--log-level', 'debug', '--remote-forward', `0:${NAME}:${ports[2]}`] })
      assert.notStrictEqual(refused.code, 0)
      assert.match(refused.stderr, /refused/)
      expectNothing(refused.output)
    }
    expectNothing(server.proc.output, client.proc.output)
  })

  it('through a proxy that hangs up', async () => {
    const gone = await listenBelow(scope, (socket) => socket.destroy())
    const server = await startServe(scope, { args: ['--log-level', 'debug', '--proxy', `socks5://127.0.0.1:${gone}`] })
    const client = await startConnect(scope, server, { args: ['--log-level', 'debug'] })
    assert.notStrictEqual(await socksCode(scope, client.socks, NAME, ports[0]), 0)
    assert.match(server.proc.output, /WARN proxy failed/)
    expectNothing(server.proc.output, client.proc.output)
  })

  it('in a log file either', async () => {
    const log = path.join(scope.dir(), 'log')
    const server = await startServe(scope, { args: ['--log-file', log, '--log-level', 'debug'] })
    const client = await startConnect(scope, server)
    await socksCode(scope, client.socks, NAME, ports[0])
    server.proc.kill('SIGTERM')
    await server.proc.exited
    expectNothing(fs.readFileSync(log, 'utf8'))
  })
})
