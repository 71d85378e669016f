'use strict'

/** alknet status and alknet forward: what runs is asked, and changed, live. */

const assert = require('node:assert')
const { once } = require('node:events')
const fs = require('node:fs')
const net = require('node:net')
const path = require('node:path')
const { connectArgs, needAlknet, runAlknet, startAlknet, startConnect, startServe } = require('../helpers/alknet')
const { curl, webServer } = require('../helpers/curl')
const { key } = require('../helpers/keys')
const { closed, dial, echoServer, expectEcho, listen, readAll } = require('../helpers/net')
const { needSshd, startSsh, startSshd } = require('../helpers/openssh')
const { need } = require('../helpers/proc')
const { suiteScope, testScope } = require('../helpers/scope')

// The libssh engine has neither remote forwards nor Unix sockets.
const engine = 'native'

/** A home and a directory for sockets that all of a test's processes share. */
function world (scope) {
  const env = { HOME: scope.dir(), XDG_RUNTIME_DIR: scope.dir() }
  const dir = path.join(env.XDG_RUNTIME_DIR, 'alknet')
  return {
    env,
    dir,
    sockets: () => fs.existsSync(dir) ? fs.readdirSync(dir).sort() : [],
    run: (...args) => runAlknet(scope, args, { env }),
    async done (...args) {
      const { code, stdout, stderr } = await runAlknet(scope, args, { env })
      assert.deepStrictEqual([code, stderr], [0, ''], args.join(' '))
      return stdout
    },
    async fails (expected, pattern, ...args) {
      const { code, stdout, stderr } = await runAlknet(scope, args, { env })
      assert.deepStrictEqual([code, stdout], [expected, ''], `${args.join(' ')}\n${stderr}`)
      assert.match(stderr, pattern)
      assert.doesNotMatch(stderr, /\n\s+at /, 'no stack trace')
    }
  }
}

const portOf = (line) => Number(/:(\d+)\n/.exec(line)[1])

/** Nobody listens there: a connection is refused. */
async function checkRefused (port) {
  const socket = net.connect(port, '127.0.0.1')
  await assert.rejects(once(socket, 'connect'), { code: 'ECONNREFUSED' })
}

describe('control: forwards of a running client', function () {
  this.timeout(60000)
  const scope = suiteScope()
  const { env, run, done, fails } = world(scope)
  let serve, client, web, echo
  before(async function () {
    needAlknet(this)
    need(this, 'curl')
    serve = await startServe(scope, { env, engine })
    client = await startConnect(scope, serve, { env, engine })
    web = await webServer(scope, 'hello')
    echo = await echoServer(scope)
  })

  async function checkWeb (port) {
    const { stdout, stderr } = await curl(scope, [`http://127.0.0.1:${port}/`])
    assert.strictEqual(stdout, 'hello', stderr)
  }

  it('-L: added, used, listed, canceled; what runs through it goes on', async () => {
    const said = await done('forward', 'add', '-L', `0:127.0.0.1:${web.port}`, '-L', `0:127.0.0.1:${echo.port}`)
    assert.match(said, /^forward on 127\.0\.0\.1:\d+\nforward on 127\.0\.0\.1:\d+\n$/)
    const [toWeb, toEcho] = said.split('\n').map((line) => portOf(`${line}\n0:0\n`))
    await checkWeb(toWeb)
    const running = await dial(scope, toEcho)
    await expectEcho(running)

    assert.strictEqual(await done('forward', 'list'), [
      `SOCKS5 proxy on 127.0.0.1:${client.socks.port}`,
      `forward on 127.0.0.1:${toWeb}  -L 127.0.0.1:0:127.0.0.1:${web.port}`,
      `forward on 127.0.0.1:${toEcho}  -L 127.0.0.1:0:127.0.0.1:${echo.port}`, ''
    ].join('\n'))
    assert.deepStrictEqual(JSON.parse(await done('forward', 'list', '--json')).map((one) => [one.kind, one.address.port]),
      [['socks5', client.socks.port], ['forward', toWeb], ['forward', toEcho]])

    const canceled = await done('forward', 'cancel', '-L', `0:127.0.0.1:${web.port}`, '-L', `${toEcho}:127.0.0.1:${echo.port}`)
    assert.match(canceled, new RegExp(`^canceled: forward on 127.0.0.1:${toWeb} .*\ncanceled: forward on 127.0.0.1:${toEcho} .*\n$`))
    await checkRefused(toWeb)
    await checkRefused(toEcho)
    await expectEcho(running)
    running.end()
    await closed(running)
    assert.strictEqual(await done('forward', 'list'), `SOCKS5 proxy on 127.0.0.1:${client.socks.port}\n`)
  })

  for (const [name, startServer] of [
    ['alknet serve', async () => serve],
    ['stock sshd', async (context) => {
      needSshd(context)
      return startSshd(scope)
    }]
  ]) {
    it(`-R: added, used, canceled at ${name}`, async function () {
      const server = await startServer(this)
      const control = path.join(scope.dir(), 'r.sock')
      await startConnect(scope, server, { env, engine, args: ['--control', control] })
      const on = ['--control', control]
      const said = await done('forward', 'add', '-R', `0:127.0.0.1:${web.port}`, ...on)
      assert.match(said, /^remote forward on localhost:\d+\n$/)
      const port = portOf(said)
      await checkWeb(port)
      const toEcho = portOf(await done('forward', 'add', '-R', `0:127.0.0.1:${echo.port}`, ...on))
      const running = await dial(scope, toEcho)
      await expectEcho(running)
      assert.match(await done('forward', 'list', ...on), new RegExp(`^remote forward on localhost:${port} {2}-R localhost:0:127\\.0\\.0\\.1:${web.port}$`, 'm'))
      await done('forward', 'cancel', '-R', `${port}:127.0.0.1:${web.port}`, '-R', `0:127.0.0.1:${echo.port}`, ...on)
      await checkRefused(port)
      await checkRefused(toEcho)
      await expectEcho(running)
    })
  }

  it('-R that the server does not permit: exit 1', async () => {
    await fails(1, /^alknet: .*localhost:80\b/, 'forward', 'add', '-R', '80:127.0.0.1:1')
  })

  it('a port that is taken: exit 1, and those before it stay', async () => {
    const { code, stdout, stderr } = await run('forward', 'add', '-L', '0:a:1', '-L', `${web.port}:a:1`, '-L', '0:a:2')
    assert.strictEqual(code, 1)
    assert.match(stdout, /^forward on 127\.0\.0\.1:\d+\n$/)
    assert.match(stderr, new RegExp(`^alknet: cannot listen on 127\\.0\\.0\\.1:${web.port}: `))
    await done('forward', 'cancel', '-L', '0:a:1')
  })

  it('help with examples', async () => {
    for (const args of [['status'], ['forward', 'list'], ['forward', 'add'], ['forward', 'cancel']]) {
      assert.match(await done(...args, '--help'), /^Usage: alknet [^]*\nExamples:\n {2}\$ alknet /)
    }
  })

  it('usage: exit 2, in the words of the flags', async () => {
    await fails(2, /^alknet: -L or -R is required\n$/, 'forward', 'add')
    await fails(2, /^alknet: -L or -R is required\n$/, 'forward', 'cancel', '--control', '/nowhere')
    await fails(2, /^alknet: --forward: "x": "x" is not a port/, 'forward', 'add', '-L', 'x')
    await fails(2, /^alknet: --remote-forward: "x": "x" is not a port/, 'forward', 'cancel', '-R', 'x')
    await fails(2, /unknown command/, 'forward', 'remove')
    await fails(2, /unknown option/, 'forward', 'list', '-L', '0:a:1')
    await fails(2, /^alknet: --control: .* 107 bytes/, 'forward', 'list', '--control', `/${'x'.repeat(107)}`)
  })

  it('what is not there: exit 1', async () => {
    await fails(1, /^alknet: there is no forward 127\.0\.0\.1:0:a:1\n$/, 'forward', 'cancel', '-L', '0:a:1')
    await fails(1, /^alknet: \/nowhere\.sock: nobody listens there\n$/, 'forward', 'list', '--control', '/nowhere.sock')
    await fails(1, /forwards are its clients'/, 'forward', 'list', '--control', path.join(env.XDG_RUNTIME_DIR, 'alknet', `serve-${serve.proc.pid}.sock`))
  })
})

describe('control: status', function () {
  this.timeout(60000)
  const scope = testScope()
  before(function () { needAlknet(this) })

  it('of a client and a server, as text and as JSON, without destinations', async () => {
    const { env, done } = world(scope)
    const server = await startServe(scope, { env })
    const { proc, socks, local } = await startConnect(scope, server, { env, forwards: ['0:secret.internal:5432'] })
    const echo = await echoServer(scope)
    const socket = await dial(scope, socks.port)
    socket.write(Buffer.from([4, 1, echo.port >> 8, echo.port & 0xff, 127, 0, 0, 1, 0])) // SOCKS4
    await once(socket, 'data')

    const text = await done('status')
    assert.match(text, new RegExp(`^client of 127\\.0\\.0\\.1:${server.port} as alknet: ready since \\d{4}-\\S+Z$`, 'm'))
    assert.match(text, new RegExp(`^ {2}listens +forward on 127\\.0\\.0\\.1:${local[0].port} \\(127\\.0\\.0\\.1:0:secret\\.internal:5432\\)$`, 'm'))
    assert.match(text, /^ {2}connections +1$/m)
    assert.match(text, /^server: ready since \d{4}-\S+Z$/m)
    assert.match(text, /^ {2}channels +1$/m)
    const port = new RegExp(`\\b${echo.port}\\b`)
    assert.doesNotMatch(text, port)

    const all = (await done('status', '--json')).trimEnd().split('\n').map((line) => JSON.parse(line))
    const mine = all.find((one) => one.role === 'client')
    const theirs = all.find((one) => one.role === 'server')
    assert.strictEqual(all.length, 2)
    assert.deepStrictEqual([mine.pid, theirs.pid], [proc.pid, server.proc.pid])
    assert.deepStrictEqual(theirs.hostKeys, [mine.hostKey])
    assert.match(mine.hostKey, /^SHA256:/)
    assert.deepStrictEqual([theirs.clients, theirs.sessions, theirs.addresses[0].port], [1, 1, server.port])
    assert.doesNotMatch(JSON.stringify(all), port)
    assert.strictEqual(JSON.parse(await done('status', '--json', '--control', mine.control)).pid, proc.pid)
  })

  it('of a client that does not get an answer: connecting; and nobody is left after SIGTERM', async () => {
    const { env, run, sockets } = world(scope)
    const silent = await listen(scope, () => {})
    const proc = startAlknet(scope, connectArgs(scope, { host: '127.0.0.1', port: silent.port, user: 'alknet', knownHosts: '' }), { env })
    await once(silent, 'connection')
    const { stdout } = await run('status')
    assert.match(stdout, new RegExp(`^client of 127\\.0\\.0\\.1:${silent.port} as alknet: connecting\n`))
    proc.kill('SIGTERM')
    assert.strictEqual((await proc.exited).code, 0)
    assert.deepStrictEqual(sockets(), [])
  })

  it('of nobody: exit 1; of two clients forward asks which: exit 2', async () => {
    const { env, done, fails, dir } = world(scope)
    await fails(1, /^alknet: no alknet connect or alknet serve of this user is running/, 'status')
    await fails(1, /^alknet: no alknet connect of this user is running/, 'forward', 'list')
    const server = await startServe(scope, { env })
    await fails(1, /^alknet: no alknet connect of this user is running/, 'forward', 'add', '-L', '0:a:1')
    const [one, two] = [await startConnect(scope, server, { env }), await startConnect(scope, server, { env })]
    const socketOf = ({ proc }) => path.join(dir, `connect-${proc.pid}.sock`)
    await fails(2, /^alknet: there are 2 clients running; say which one:\n(?: {2}--control .* as alknet\n){2}$/, 'forward', 'list')
    for (const client of [one, two]) {
      assert.strictEqual(await done('forward', 'list', '--control', socketOf(client)), `SOCKS5 proxy on 127.0.0.1:${client.socks.port}\n`)
    }
    one.proc.kill('SIGTERM')
    await one.proc.exited
    assert.strictEqual(await done('forward', 'list'), `SOCKS5 proxy on 127.0.0.1:${two.socks.port}\n`)
  })
})

describe('control: the socket', function () {
  this.timeout(60000)
  const scope = testScope()
  before(function () { needAlknet(this) })

  it('is for its user alone, and goes with the process: SIGTERM, a second one, and while the session is lost', async () => {
    const { env, dir, done, sockets } = world(scope)
    const server = await startServe(scope, { env })
    const file = path.join(dir, `serve-${server.proc.pid}.sock`)
    assert.deepStrictEqual([fs.statSync(file).mode & 0o777, fs.statSync(dir).mode & 0o777], [0o600, 0o700])

    const echo = await echoServer(scope)
    const busy = await startConnect(scope, server, { env, forwards: [`0:127.0.0.1:${echo.port}`] })
    await expectEcho(await dial(scope, busy.local[0].port)) // something to wait for
    busy.proc.kill('SIGTERM')
    // It has heard the first when it no longer listens.
    for (let isThere = true; isThere;) isThere = await dial(scope, busy.socks.port).then(() => true, () => false)
    busy.proc.kill('SIGINT')
    assert.strictEqual((await busy.proc.exited).code, 1)
    assert.deepStrictEqual(sockets(), [path.basename(file)])

    const lost = await startConnect(scope, server, { env })
    server.proc.kill('SIGTERM')
    assert.strictEqual((await server.proc.exited).code, 0)
    await lost.proc.waitFor(/session state=waiting/)
    const { state, problem, since } = JSON.parse(await done('status', '--json'))
    assert.match(`${state} ${problem} ${since}`, /^(waiting|connecting) \S+ null$/)
    assert.match(await done('status'), /^client of \S+ as alknet: (waiting|connecting)\n {2}problem +E\S+, \d+ tries failed/)
    lost.proc.kill('SIGTERM')
    assert.strictEqual((await lost.proc.exited).code, 0)
    assert.deepStrictEqual(sockets(), [])
  })

  it('is left behind by SIGKILL, bothers nobody, and is cleaned up by the next', async () => {
    const { env, fails, sockets } = world(scope)
    const killed = await startServe(scope, { env })
    killed.proc.kill('SIGKILL')
    await killed.proc.exited
    assert.deepStrictEqual(sockets(), [`serve-${killed.proc.pid}.sock`])
    await fails(1, /is running/, 'status')
    const next = await startServe(scope, { env })
    assert.deepStrictEqual(sockets(), [`serve-${next.proc.pid}.sock`])
  })

  it('--control: a path, which has to be free; or off', async () => {
    const { env, done, fails, sockets } = world(scope)
    const file = path.join(scope.dir(), 'own.sock')
    const server = await startServe(scope, { env, args: ['--control', file] })
    assert.match(await done('status', '--control', file), /^server: ready/)
    const { code, stderr } = await startAlknet(scope, ['serve', '--key', key('ed25519', 'host').path, '--listen', '127.0.0.1:0', '--control', file], { env }).exited
    assert.strictEqual(code, 1)
    assert.ok(stderr.includes(`alknet: cannot listen on ${file}: somebody listens there\n`), stderr)
    await startConnect(scope, server, { env, args: ['--control', 'off'] })
    assert.deepStrictEqual(sockets(), [])
    await fails(2, /^alknet: --control: .*107 bytes/, 'serve', '--key', 'k', '--control', `/${'x'.repeat(120)}`)
  })

  it('in a configuration file: relative to it, and off', async () => {
    const { done } = world(scope)
    const file = scope.file('alknet.toml', '')
    for (const [value, line] of [['"run/c.sock"', `control = "${path.join(path.dirname(file), 'run', 'c.sock')}"`],
      ['"off"', 'control = "off"'], ['false', 'control = "off"'], ['true', 'control = true']]) {
      fs.writeFileSync(file, `[server]\nkey = "${key('ed25519', 'host').path}"\ncontrol = ${value}\n`)
      const shown = await done('serve', '--config', file, '--check')
      assert.ok(shown.includes(`\n${line}\n`), shown)
      fs.writeFileSync(file, shown)
      assert.strictEqual(await done('serve', '--config', file, '--check'), shown, 'which says the same again')
    }
  })

  it('of a server no client reaches, whatever the rules say of its directory', async function () {
    need(this, 'ssh')
    const { env, dir } = world(scope)
    const server = await startServe(scope, { env, engine, args: ['--allow', `unix:${dir}/*`] })
    const other = path.join(dir, 'other.sock')
    const listener = net.createServer((socket) => socket.end('other')).listen(other)
    scope.defer(() => { listener.close() })
    await once(listener, 'listening')
    const own = path.join(dir, `serve-${server.proc.pid}.sock`)
    const alias = path.join(dir, 'alias.sock')
    fs.symlinkSync(own, alias)
    const { proc, local } = await startSsh(scope, server, { dynamic: false, local: [other, own, alias], options: ['ExitOnForwardFailure=no'] })
    const read = async ({ port }) => (await readAll(await dial(scope, port))).toString()
    assert.strictEqual(await read(local[0]), 'other')
    for (const one of local.slice(1)) assert.strictEqual(await read(one), '')
    await proc.waitFor(/(open failed: administratively prohibited: built-in deny of the server's own listeners[^]*){2}/)
  })
})
