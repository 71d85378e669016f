'use strict'

/**
 * Under a service manager: readiness, the watchdog and reloads as datagrams,
 * and sockets that the manager has bound. The manager's part is played by a
 * socket of Python's and by systemd's own programs.
 */

const assert = require('node:assert')
const net = require('node:net')
const path = require('node:path')
const { connectArgs, bin, cleanEnv, needAlknet, root, startAlknet } = require('../helpers/alknet')
const { key, knownHostsLine } = require('../helpers/keys')
const { need, start } = require('../helpers/proc')
const { testScope } = require('../helpers/scope')

const RECEIVER = path.join(__dirname, '..', 'helpers', 'notify-receiver.py')

describe('service manager', function () {
  this.timeout(60000)
  const scope = testScope()
  before(function () { needAlknet(this) })

  /** A manager that listens: { address, messages(), heard(test) }. */
  async function manager (address = path.join(scope.dir(), 'notify')) {
    const proc = start(scope, 'python3', [RECEIVER, address], { keepStdin: true })
    await proc.waitFor(/^ready$/m)
    const messages = () => proc.stdout.split('\n').filter((line) => line.startsWith('{')).map((line) => JSON.parse(line))
    const heard = async (field, count = 1) => {
      await proc.waitFor(new RegExp(`(?:"${field}": [^]*){${count}}\\n`))
      return messages().filter((one) => one[field] !== undefined)
    }
    return { address, messages, heard }
  }

  const host = () => key('ed25519', 'host')

  function serveArgs (args = []) {
    const authorized = scope.file('authorized_keys', `${key('ed25519', 'user').public}\n`)
    return ['serve', '--key', host().path, '--authorized-keys', authorized, ...args]
  }

  it('hears of a server: ready, alive, reloading, stopping', async function () {
    need(this, 'python3')
    const { address, messages, heard } = await manager()
    const server = startAlknet(scope, serveArgs(['--listen', '127.0.0.1:0']), {
      env: { NOTIFY_SOCKET: address, WATCHDOG_USEC: '100000' }
    })
    const [ready] = await heard('READY')
    const { stdout } = await server.waitFor(/listening on \S+/).then(() => server)
    assert.deepStrictEqual(ready, { READY: '1', MAINPID: String(server.pid), STATUS: stdout.trim() })
    await heard('WATCHDOG', 3)
    server.kill('SIGHUP')
    const [reloading] = await heard('RELOADING')
    assert.match(reloading.MONOTONIC_USEC, /^\d+$/)
    await heard('READY', 2)
    server.kill('SIGTERM')
    await heard('STOPPING')
    assert.strictEqual((await server.exited).code, 0)
    const order = messages().flatMap((one) => Object.keys(one)).filter((name) => ['READY', 'RELOADING', 'STOPPING'].includes(name))
    assert.deepStrictEqual(order, ['READY', 'RELOADING', 'READY', 'STOPPING'])
  })

  it('hears nothing from a loop that is blocked', async function () {
    need(this, 'python3')
    const { address, heard, messages } = await manager(`@alknet-test-${process.pid}-blocked`)
    const script = `const manager = require(${JSON.stringify(root)}).createNotifier()
      manager.ready()
      process.stdin.once('data', () => {
        manager.status('blocked')
        for (const end = Date.now() + 300; Date.now() < end;);
        manager.stopping()
        process.exit()
      })`
    const child = start(scope, process.execPath, ['-e', script], {
      env: cleanEnv(scope, { NOTIFY_SOCKET: address, WATCHDOG_USEC: '20000' }), keepStdin: true
    })
    await heard('WATCHDOG', 3)
    child.child.stdin.write('x')
    await heard('STOPPING')
    // A thread of its own would have said it is well some thirty times.
    assert.deepStrictEqual(messages().slice(-2), [{ STATUS: 'blocked' }, { STOPPING: '1' }])
    await child.exited
  })

  it('hears of a client, at an abstract name', async function () {
    need(this, 'python3')
    const { address, heard } = await manager(`@alknet-test-${process.pid}-client`)
    const server = startAlknet(scope, serveArgs(['--listen', '127.0.0.1:0']))
    const port = Number((await server.waitFor(/listening on \S+:(\d+)/))[1])
    const place = { host: '127.0.0.1', port, user: 'alknet', knownHosts: knownHostsLine('127.0.0.1', port, host()) }
    const client = startAlknet(scope, connectArgs(scope, place), { env: { NOTIFY_SOCKET: address } })
    const [ready] = await heard('READY')
    assert.strictEqual(ready.MAINPID, String(client.pid))
    client.kill('SIGTERM')
    await heard('STOPPING')
    assert.strictEqual((await client.exited).code, 0)
  })

  it('that cannot be told is said once, and ends nothing', async () => {
    const server = startAlknet(scope, serveArgs(['--listen', '127.0.0.1:0']), { env: { NOTIFY_SOCKET: '/nowhere/notify' } })
    await server.waitFor(/alknet: the service manager cannot be told anything: \S[^\n]*\n/)
    await server.waitFor(/listening on /)
    server.kill('SIGTERM')
    const { code, output } = await server.exited
    assert.strictEqual(code, 0)
    assert.strictEqual(output.match(/service manager/g).length, 1)
  })

  /** A line from whoever listens at the port. */
  function banner (port, host = '127.0.0.1') {
    return new Promise((resolve, reject) => {
      const socket = net.connect(port, host).setEncoding('utf8')
      socket.once('data', (text) => {
        socket.destroy()
        resolve(text.split('\r\n')[0])
      })
      socket.once('error', reject)
    })
  }

  /** systemd-socket-activate wants to be told which port: one that was free just now. */
  async function freePort () {
    const probe = net.createServer().listen(0, '127.0.0.1')
    await new Promise((resolve) => probe.once('listening', resolve))
    const { port } = probe.address()
    await new Promise((resolve) => probe.close(resolve))
    return port
  }

  it('hands sockets over: the real systemd-socket-activate', async function () {
    need(this, 'systemd-socket-activate')
    const ports = [await freePort(), await freePort()]
    const activate = start(scope, 'systemd-socket-activate', [
      ...ports.flatMap((port) => ['-l', `127.0.0.1:${port}`]), '-E', 'HOME', '-E', 'PATH',
      process.execPath, bin, ...serveArgs()
    ], { env: cleanEnv(scope) })
    await activate.waitFor(/Listening on [^]*Listening on /)
    // The first connection starts the server, which finds it waiting.
    assert.match(await banner(ports[1]), /^SSH-2\.0-/)
    assert.match(await banner(ports[0]), /^SSH-2\.0-/)
    for (const port of ports) assert.match(activate.output, new RegExp(`^listening on 127\\.0\\.0\\.1:${port}$`, 'm'))
    activate.kill('SIGTERM')
    assert.strictEqual((await activate.exited).code, 0)
  })

  /** alknet with listening sockets as descriptors 3, …: what a manager does, in Python. */
  const HAND_OVER = `
import os, socket, sys
family, bind, fds = sys.argv[1], sys.argv[2], sys.argv[3]
if family == "unix":
    ear = socket.socket(socket.AF_UNIX)
    ear.bind(bind)
else:
    ear = socket.socket(socket.AF_INET6 if family == "6" else socket.AF_INET)
    if family == "6":
        ear.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    ear.bind((bind, 0))
if family != "4-idle":
    ear.listen()
if ear.fileno() != 3:
    os.dup2(ear.fileno(), 3)
os.set_inheritable(3, True)
os.environ["LISTEN_PID"] = str(os.getpid())
os.environ["LISTEN_FDS"] = fds
os.execv(sys.argv[4], sys.argv[4:])
`

  function handOver (family, bind, fds, args) {
    return start(scope, 'python3', ['-c', HAND_OVER, family, bind, fds, process.execPath, bin, ...args], { env: cleanEnv(scope) })
  }

  it('hands over a socket of both families; --listen is left alone, also by a reload', async function () {
    need(this, 'python3')
    const file = scope.file('alknet.toml', `[server]\nkey = "${host().path}"\nlisten = "127.0.0.1:1"\n`)
    const server = handOver('6', '::', '1', ['serve', '--config', file])
    const port = Number((await server.waitFor(/^listening on \[::\]:(\d+)$/m))[1])
    assert.match(await banner(port), /^SSH-2\.0-/)
    await server.waitFor(/connection opened remote_addr=127\.0\.0\.1 /)
    server.kill('SIGHUP')
    await server.waitFor(/INFO reloaded/)
    assert.doesNotMatch(server.output, /needs a new start/)
    assert.match(await banner(port), /^SSH-2\.0-/)
    server.kill('SIGTERM')
    assert.strictEqual((await server.exited).code, 0)
  })

  it('that hands over anything else is told so in one line', async function () {
    need(this, 'python3')
    const line = (result) => result.stderr.split('\n').filter((one) => one.startsWith('alknet: '))
    const inherited = (family, bind, fds) => handOver(family, bind, fds, serveArgs()).exited
    const [unix, idle, none, many, ...flags] = await Promise.all([
      inherited('unix', path.join(scope.dir(), 's'), '1'), inherited('4-idle', '127.0.0.1', '1'),
      inherited('4', '127.0.0.1', '2'), inherited('4', '127.0.0.1', '65'),
      ...['fd:2', 'fd:x', 'fd:'].map((bad) => startAlknet(scope, serveArgs(['--listen', bad])).exited)
    ])
    for (const [result, fd] of [[unix, 3], [idle, 3], [none, 4]]) {
      assert.strictEqual(result.code, 1)
      assert.match(line(result)[0], new RegExp(`cannot listen on the descriptor ${fd}: it is not a listening TCP socket`))
    }
    assert.deepStrictEqual([many.code, line(many)], [2, ['alknet: LISTEN_FDS: must be a number of 0 to 64']])
    for (const { code, stderr } of flags) {
      assert.strictEqual(code, 2)
      assert.match(stderr, /^alknet: --listen: [^\n]*\n$/)
    }
  })
})
