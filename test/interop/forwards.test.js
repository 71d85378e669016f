'use strict'

/** Forwards of both kinds, TCP and Unix sockets, between alknet and real programs. */

const assert = require('node:assert')
const { once } = require('node:events')
const fs = require('node:fs')
const net = require('node:net')
const path = require('node:path')
const alknet = require('../../lib')
const { connectArgs, needAlknet, startAlknet, startServe } = require('../helpers/alknet')
const { behaves, MiB } = require('../helpers/behaviours')
const { key } = require('../helpers/keys')
const { closed, dial, echoServer, expectEcho, freePort, freezableWay, listen, readAll, readBytes } = require('../helpers/net')
const { needSshd, runSsh, sshArgs, startSshd } = require('../helpers/openssh')
const { need, run, start } = require('../helpers/proc')
const { suiteScope, testScope } = require('../helpers/scope')
const { socksCode, socksOpen } = require('../helpers/socks')
const { connectSsh2 } = require('../helpers/ssh2')

// libssh has no remote forwards, whichever engine the other tests are run with.
const engine = 'native'
const BULK = { bytes: 1 * MiB, many: 30 }

/** A connected socket of a Unix socket's. */
async function dialPath (scope, file) {
  const socket = net.connect({ path: file, allowHalfOpen: true })
  socket.on('error', () => {})
  scope.defer(() => { socket.destroy() })
  await once(socket, 'connect')
  socket.resetAndDestroy = undefined // only tcp has resets
  return socket
}

const dialPlace = (scope, place) => place.path === undefined ? dial(scope, place.port, place.host) : dialPath(scope, place.path)

/** Answers `name: ` and what the client has sent, once it has ended. */
function named (scope, name, at) {
  const answer = async (socket) => {
    socket.on('error', () => {})
    socket.end(`${name}: ${await readAll(socket).catch(() => '')}`)
  }
  if (at === undefined) return listen(scope, answer)
  const server = net.createServer({ allowHalfOpen: true }, answer).listen(at)
  scope.defer(() => new Promise((resolve) => server.close(resolve)))
  return once(server, 'listening')
}

async function expectNamed (scope, place, name) {
  const socket = await dialPlace(scope, place)
  socket.end('hello')
  assert.strictEqual((await readAll(socket)).toString(), `${name}: hello`)
}

/** It is accepted, and comes to nothing: the reset may be there before we are told. */
async function expectRefused (scope, port) {
  await dial(scope, port).then(async (socket) => {
    socket.write('x')
    await assert.rejects(readBytes(socket, 1))
  }, (err) => assert.strictEqual(err.code, 'ECONNRESET'))
}

/** Nobody listens there any more. */
async function expectGone (scope, place) {
  await assert.rejects(dialPlace(scope, place), (err) => ['ECONNREFUSED', 'ENOENT'].includes(err.code))
}

/** A session of the library's with a server that a helper has started. */
async function openSession (scope, server, options = {}) {
  const session = await alknet.openSession({
    server: `${server.host}:${server.port}`,
    user: server.user,
    sshEngine: engine,
    identity: key('ed25519', 'user').path,
    hostKey: server.hostKeys[0].fingerprint,
    ...options
  })
  scope.defer(() => session.close())
  return session
}

/** Remote forwards to any target, made when they are asked for. */
function byRemoteForward (ask) {
  const places = new Map()
  return {
    open: async (scope, host, port) => {
      if (!places.has(port)) places.set(port, ask(`${host}:${port}`))
      return dial(scope, await places.get(port))
    }
  }
}

/** `kind on place` of `alknet connect`, in their order: { port, host } or { path }. */
function placesOf (proc, kind) {
  return [...proc.stdout.matchAll(new RegExp(`^${kind} on (?:(/.*)|(.*):(\\d+))$`, 'gm'))]
    .map(([, path, host, port]) => path !== undefined ? { path } : { host: host === 'localhost' || host === '*' ? '127.0.0.1' : host, port: Number(port) })
}

/** Starts `alknet connect` and waits until all of it stands. */
async function startForwards (scope, server, args) {
  const count = args.filter((arg) => /^-[LR]$/.test(arg)).length
  const proc = startAlknet(scope, connectArgs(scope, server, { engine, args }))
  await proc.waitFor(new RegExp(`(?:forward on .*\\n(?:(?!forward on)[^])*){${count}}`))
  return { proc, local: placesOf(proc, 'forward'), remote: placesOf(proc, 'remote forward') }
}

const SERVERS = {
  'alknet serve': {
    need: () => {},
    start: (scope, dir) => startServe(scope, { engine, args: ['--permit-listen', 'loopback:1024-65535', '--permit-listen', `unix:${dir}/*`, '--allow', `unix:${dir}/*`] })
  },
  sshd: {
    need: needSshd,
    start: (scope, dir) => startSshd(scope, { config: ['AllowStreamLocalForwarding yes', 'GatewayPorts no'] })
  }
}

for (const [name, kind] of Object.entries(SERVERS)) {
  describe(`forwards of alknet connect to ${name}`, function () {
    this.timeout(60000)
    const suite = suiteScope()
    const scope = testScope()
    let server, dir

    before(async function () {
      needAlknet(this)
      kind.need(this)
      dir = suite.dir()
      server = await kind.start(suite, dir)
    })

    it('all forms of -L and -R, TCP and Unix', async () => {
      const target = await named(scope, 'tcp')
      const at = path.join(dir, 'target.sock')
      await named(scope, 'unix', at)
      const here = scope.dir()
      const { proc, local, remote } = await startForwards(scope, server, [
        '-L', `0:127.0.0.1:${target.port}`,
        '-L', `0:${at}`,
        '-L', `${here}/a.sock:127.0.0.1:${target.port}`,
        '-L', `${here}/b.sock:${at}`,
        '-R', `0:127.0.0.1:${target.port}`,
        '-R', `127.0.0.1:0:localhost:${target.port}`,
        '-R', `0:${at}`,
        '-R', `${dir}/c.sock:127.0.0.1:${target.port}`,
        '-R', `${dir}/d.sock:${at}`
      ])
      const names = ['tcp', 'unix', 'tcp', 'unix', 'tcp', 'tcp', 'unix', 'tcp', 'unix']
      const places = [...local, ...remote]
      assert.strictEqual(places.length, names.length, proc.output)
      for (const [i, place] of places.entries()) {
        await expectNamed(scope, place, names[i])
        if (place.path !== undefined) assert.strictEqual(fs.statSync(place.path).mode & 0o777, 0o600)
      }
      proc.kill('SIGTERM')
      assert.strictEqual((await proc.exited).code, 0, proc.output)
      for (const place of local) await expectGone(scope, place)
      for (const place of remote) if (place.path === undefined || name !== 'sshd') await whenGone(scope, place)
    })

    it('-R without a target: a SOCKS proxy at the server that leaves here', async () => {
      const echo = await echoServer(scope)
      const { remote: [proxy] } = await startForwards(scope, server, ['-R', '0'])
      await expectEcho(await socksOpen(scope, proxy, '127.0.0.1', echo.port))
      await expectEcho(await socksOpen(scope, proxy, 'localhost', echo.port, { name: true }))
      assert.strictEqual(await socksCode(scope, proxy, '127.0.0.1', await freePort()), 5)
      for (const host of ['169.254.169.254', '0.0.0.0']) assert.strictEqual(await socksCode(scope, proxy, host, 80), 2, host)
      assert.strictEqual(await socksCode(scope, proxy, 'alknet-control', 80, { name: true }), 2)
      assert.strictEqual(await socksCode(scope, proxy, 'nowhere.invalid', 80, { name: true }), 4)
      await expectEcho(await socksOpen(scope, proxy, '127.0.0.1', echo.port))
    })

    it('are added and cancelled while the session goes on', async () => {
      const target = await named(scope, 'tcp')
      const session = await openSession(scope, server)
      const first = await session.forwardRemote(`0:127.0.0.1:${target.port}`)
      const second = await session.forwardRemote(`${dir}/e.sock:127.0.0.1:${target.port}`)
      const running = await dial(scope, first.address().port)
      running.write('begun ')
      await expectNamed(scope, { port: first.address().port }, 'tcp')
      await expectNamed(scope, { path: `${dir}/e.sock` }, 'tcp')
      assert.deepStrictEqual(session.openListeners, [first, second])
      await first.close()
      await expectGone(scope, { port: first.address().port })
      assert.deepStrictEqual(session.openListeners, [second])
      running.end('and ended')
      assert.strictEqual((await readAll(running)).toString(), 'tcp: begun and ended')
      await expectNamed(scope, { path: `${dir}/e.sock` }, 'tcp')
      await second.close()
      if (name !== 'sshd') await expectGone(scope, { path: `${dir}/e.sock` }) // sshd leaves the file
      const again = await session.forwardRemote(`${first.address().port}:127.0.0.1:${target.port}`)
      await expectNamed(scope, { port: again.address().port }, 'tcp')
    })

    it('end with one sentence when the server refuses one of them', async () => {
      const taken = await listen(scope, () => {})
      const args = ['-R', '0:127.0.0.1:1', '-R', `127.0.0.1:${taken.port}:127.0.0.1:1`]
      const { code, stdout, stderr } = await startAlknet(scope, connectArgs(scope, server, { engine, args })).exited
      assert.strictEqual(code, 1, stderr)
      assert.strictEqual(stdout, '')
      assert.match(stderr, new RegExp(`^alknet: remote forward on 127\\.0\\.0\\.1:${taken.port}: the server refused to listen \\(.*\\)\\n  where: `, 'm'))
    })

    it('say why a target cannot be reached, and go on', async () => {
      const target = await named(scope, 'tcp')
      const session = await openSession(scope, server)
      const bad = await session.forwardRemote(`0:127.0.0.1:${await freePort()}`)
      const worse = await session.forwardRemote(`0:${dir}/nothing.sock`)
      const good = await session.forwardRemote(`0:127.0.0.1:${target.port}`)
      for (const one of [bad, worse]) await expectRefused(scope, one.address().port)
      await expectNamed(scope, { port: good.address().port }, 'tcp')
    })

    describe('-R', () => {
      let tunnel
      before(async () => {
        const session = await openSession(suite, server)
        tunnel = byRemoteForward(async (target) => (await session.forwardRemote(`0:${target}`)).address().port)
      })
      behaves(() => tunnel, { ...BULK, opensFirst: true })
    })

    describe('-L to a Unix socket', () => {
      let tunnel
      before(async () => {
        const session = await openSession(suite, server)
        const places = new Map()
        /** From one Unix socket to the server's, and from there to the target. */
        const make = async (target, port) => {
          const there = await session.forwardRemote(`${dir}/to-${port}.sock:${target}`)
          return (await session.forwardLocal(`${dir}/from-${port}.sock:${there.address().path}`)).address().path
        }
        tunnel = {
          open: async (scope, host, port) => {
            if (!places.has(port)) places.set(port, make(`${host}:${port}`, port))
            return dialPath(scope, await places.get(port))
          }
        }
      })
      behaves(() => tunnel, { ...BULK, opensFirst: true })
    })
  })
}

/** The listener goes once the server has seen the end of the session. */
async function whenGone (scope, place) {
  for (;;) {
    try {
      const socket = await dialPlace(scope, place)
      await closed(socket)
    } catch (err) {
      if (['ECONNREFUSED', 'ENOENT'].includes(err.code)) return
      assert.strictEqual(err.code, 'ECONNRESET')
    }
  }
}

describe('forwards of stock ssh to alknet serve', function () {
  this.timeout(60000)
  const suite = suiteScope()
  const scope = testScope()
  let server, dir

  before(async function () {
    needAlknet(this)
    need(this, 'ssh')
    dir = suite.dir()
    server = await SERVERS['alknet serve'].start(suite, dir)
  })

  /** A master connection, and `ssh -O`. */
  async function master (scope) {
    const control = path.join(scope.dir(), 'c')
    const options = [`ControlPath=${control}`]
    const proc = start(scope, 'ssh', sshArgs(scope, server, { options: [...options, 'ControlMaster=yes'], args: ['-N'] }))
    await proc.waitFor(/Entering interactive session/)
    return (command, ...args) => run(scope, 'ssh', sshArgs(scope, server, { options, args: ['-O', command, ...args] }))
  }

  it('all forms, added and cancelled on a live session (ssh -O)', async () => {
    const control = await master(scope)
    const target = await named(scope, 'tcp')
    const at = path.join(dir, 'ssh-target.sock')
    await named(scope, 'unix', at)
    const here = scope.dir()
    const free = async () => ({ host: '127.0.0.1', port: await freePort() })
    const [a, b, c] = [await free(), await free(), await free()]
    const tcp = `127.0.0.1:${target.port}`
    const forms = [
      ['-L', `127.0.0.1:${a.port}:${tcp}`, a, 'tcp'],
      ['-L', `127.0.0.1:${b.port}:${at}`, b, 'unix'],
      ['-L', `${here}/a.sock:${tcp}`, { path: `${here}/a.sock` }, 'tcp'],
      ['-L', `${here}/b.sock:${at}`, { path: `${here}/b.sock` }, 'unix'],
      ['-R', `127.0.0.1:${c.port}:${tcp}`, c, 'tcp'],
      ['-R', `${dir}/f.sock:${tcp}`, { path: `${dir}/f.sock` }, 'tcp'],
      ['-R', `${dir}/g.sock:${at}`, { path: `${dir}/g.sock` }, 'unix']
    ]
    for (const [flag, spec, place, name] of forms) {
      const added = await control('forward', flag, spec)
      assert.strictEqual(added.code, 0, added.output)
      await expectNamed(scope, place, name)
    }
    for (const [flag, spec, place] of forms) {
      const cancelled = await control('cancel', flag, spec)
      assert.strictEqual(cancelled.code, 0, cancelled.output)
      await whenGone(scope, place)
    }
    const again = await control('forward', '-R', `127.0.0.1:${c.port}:${tcp}`)
    assert.strictEqual(again.code, 0, again.output)
    await expectNamed(scope, c, 'tcp')
  })

  it('-R port: a SOCKS proxy at our server', async () => {
    const control = await master(scope)
    const echo = await echoServer(scope)
    const { code, stdout, output } = await control('forward', '-R', '0')
    assert.strictEqual(code, 0, output)
    await expectEcho(await socksOpen(scope, { host: '127.0.0.1', port: Number(stdout) }, 'localhost', echo.port, { name: true }))
  })

  for (const [name, spec] of [
    ['a privileged port', '127.0.0.1:81:127.0.0.1:1'],
    ['all addresses', '*:0:127.0.0.1:1'],
    ['a path that no rule permits', '/tmp/alknet-no.sock:127.0.0.1:1']
  ]) {
    it(`are refused ${name}, and ssh sees it`, async () => {
      const { code, output } = await runSsh(scope, server, { args: ['-N', '-R', spec] })
      assert.strictEqual(code, 255, output)
      assert.match(output, /remote port forwarding failed/)
      assert.match(output, /Authenticated to/)
    })
  }

  it('permitlisten= and no-port-forwarding hold', async () => {
    const [port, other] = [await freePort(), await freePort()]
    const [some, none] = [key('ed25519', 'some'), key('ed25519', 'none')]
    const limited = await startServe(scope, { engine, authorizedKeys: `permitlisten="localhost:${port}" ${some.public}\nno-port-forwarding ${none.public}\n` })
    const attempt = (identity, at) => runSsh(scope, limited, { identity, args: ['-N', '-R', `${at}:127.0.0.1:1`] })
    for (const [identity, at] of [[some, other], [none, port]]) {
      const { code, output } = await attempt(identity, at)
      assert.strictEqual(code, 255, output)
      assert.match(output, /remote port forwarding failed/)
    }
    const proc = start(scope, 'ssh', sshArgs(scope, limited, { identity: some, args: ['-N', '-R', `${port}:127.0.0.1:1`] }))
    await proc.waitFor(/remote forward success/)
  })

  describe('-R', () => {
    let tunnel
    before(async () => {
      const control = await master(suite)
      tunnel = byRemoteForward(async (target) => {
        const { code, stdout, output } = await control('forward', '-R', `0:${target}`)
        assert.strictEqual(code, 0, output)
        return Number(stdout)
      })
    })
    behaves(() => tunnel, { ...BULK, opensFirst: true })
  })
})

describe('remote forwards of npm ssh2 to alknet serve', function () {
  this.timeout(60000)
  const suite = suiteScope()
  const scope = testScope()
  let server

  before(async function () {
    needAlknet(this)
    server = await SERVERS['alknet serve'].start(suite, suite.dir())
  })

  /** Has the server listen, and joins what comes with the target. */
  async function forwardIn (client, targets, target) {
    const port = await new Promise((resolve, reject) => {
      client.forwardIn('127.0.0.1', 0, (err, port) => err ? reject(err) : resolve(port))
    })
    targets.set(port, Number(target.split(':')[1]))
    return port
  }

  function join (targets) {
    return (info, accept, reject) => {
      assert.strictEqual(info.destIP, '127.0.0.1')
      const socket = net.connect({ port: targets.get(info.destPort), host: '127.0.0.1', allowHalfOpen: true })
      let channel = null
      socket.once('connect', () => {
        channel = accept()
        channel.on('error', () => {})
        channel.on('close', () => socket.destroySoon())
        channel.pipe(socket)
        socket.pipe(channel)
      })
      socket.on('error', () => { if (channel === null) reject() })
      socket.on('close', (failed) => { if (failed && channel !== null) channel.destroy() })
    }
  }

  it('are cancelled', async () => {
    const client = await connectSsh2(scope, server)
    const port = await forwardIn(client, new Map(), 'x:1')
    const err = await new Promise((resolve) => client.unforwardIn('127.0.0.1', port, resolve))
    assert.strictEqual(err, undefined)
    await expectGone(scope, { port })
  })

  describe('-R', () => {
    let tunnel
    before(async () => {
      const client = await connectSsh2(suite, server)
      const targets = new Map()
      client.on('tcp connection', join(targets))
      tunnel = byRemoteForward((target) => forwardIn(client, targets, target))
    })
    behaves(() => tunnel, { ...BULK, opensFirst: true })
  })
})

describe('remote forwards and who has the place', function () {
  this.timeout(60000)
  const scope = testScope()
  const another = key('ed25519', 'another')
  let server, dir

  before(function () { needAlknet(this) })
  beforeEach(async () => {
    dir = scope.dir()
    server = await startServe(scope, {
      engine,
      userKeys: [key('ed25519', 'user'), another],
      args: ['--permit-listen', 'loopback:1024-65535', '--permit-listen', `unix:${dir}/*`, '--takeover-timeout', '1']
    })
  })

  it('nobody takes it from a session that lives; from one that does no more the same identity does, and another does not', async () => {
    const [a, b] = [await named(scope, 'first'), await named(scope, 'second')]
    const port = await freePort()
    const way = await freezableWay(scope, server.port)
    const stream = await dial(scope, way.port)
    await openSession(scope, server, { server: undefined, stream, remoteForward: [`${port}:127.0.0.1:${a.port}`, `${dir}/x.sock:127.0.0.1:${a.port}`] })
    await expectNamed(scope, { port }, 'first')
    for (const identity of [another.path, key('ed25519', 'user').path]) {
      for (const spec of [`${port}:127.0.0.1:1`, `${dir}/x.sock:127.0.0.1:1`]) {
        await assert.rejects(openSession(scope, server, { identity, remoteForward: spec }), { code: 'ERR_ALKNET_CHANNEL' })
      }
    }
    await expectNamed(scope, { port }, 'first')
    await expectNamed(scope, { path: `${dir}/x.sock` }, 'first')
    way.freeze()
    const second = await openSession(scope, server, { remoteForward: [`${port}:127.0.0.1:${b.port}`, `${dir}/x.sock:127.0.0.1:${b.port}`] })
    await expectNamed(scope, { port }, 'second')
    await expectNamed(scope, { port, host: '::1' }, 'second')
    await expectNamed(scope, { path: `${dir}/x.sock` }, 'second')
    await second.close()
  })

  it('it is free when the client dies', async () => {
    const port = await freePort()
    const target = await named(scope, 'tcp')
    const { proc } = await startForwards(scope, server, ['-R', `127.0.0.1:${port}:127.0.0.1:${target.port}`])
    await expectNamed(scope, { port }, 'tcp')
    await proc.stop()
    await whenGone(scope, { port })
    await openSession(scope, server, { identity: another.path, remoteForward: `${port}:127.0.0.1:1` })
  })

  it('has a limit for each session', async () => {
    const limited = await startServe(scope, { engine, args: ['--max-remote-forwards', '2'] })
    const session = await openSession(scope, limited, { remoteForward: ['0:127.0.0.1:1', '0:127.0.0.1:1'] })
    await assert.rejects(session.forwardRemote('0:127.0.0.1:1'), { code: 'ERR_ALKNET_CHANNEL' })
    await session.openListeners[0].close()
    await session.forwardRemote('0:127.0.0.1:1')
  })

  it('the local file of a client that was killed is no obstacle, one in use is', async () => {
    const target = await named(scope, 'tcp')
    const here = `${scope.dir()}/l.sock`
    const args = ['-L', `${here}:127.0.0.1:${target.port}`]
    const first = await startForwards(scope, server, args)
    const second = await startAlknet(scope, connectArgs(scope, server, { engine, args })).exited
    assert.strictEqual(second.code, 1, second.output)
    assert.match(second.stderr, new RegExp(`^alknet: cannot listen on ${here}: somebody listens there$`, 'm'))
    await expectNamed(scope, { path: here }, 'tcp')
    await first.proc.stop()
    assert(fs.existsSync(here))
    await startForwards(scope, server, args)
    await expectNamed(scope, { path: here }, 'tcp')
  })
})

describe('remote forwards that cannot be had', function () {
  this.timeout(60000)
  const scope = testScope()

  before(function () { needAlknet(this) })

  it('from an sshd that allows none', async function () {
    needSshd(this)
    const server = await startSshd(scope, { config: ['AllowTcpForwarding local', 'AllowStreamLocalForwarding local'] })
    for (const spec of ['0:127.0.0.1:1', `${scope.dir()}/x.sock:127.0.0.1:1`]) {
      await assert.rejects(openSession(scope, server, { remoteForward: spec }), { code: 'ERR_ALKNET_CHANNEL', message: /refused to listen .*sshd: Allow/ })
    }
  })

  it('with the libssh engine', async function () {
    if (!alknet.versions.engines.includes('libssh')) {
      console.log('      skipped: the libssh engine is not built in')
      this.skip()
    }
    const server = await startServe(scope, { engine })
    await assert.rejects(openSession(scope, server, { sshEngine: 'libssh', remoteForward: '0:127.0.0.1:1' }),
      { code: 'ERR_ALKNET_UNSUPPORTED', message: /sshEngine native/ })
    const old = await startServe(scope, { engine: 'libssh' })
    await assert.rejects(openSession(scope, old, { remoteForward: '0:127.0.0.1:1' }), { code: 'ERR_ALKNET_CHANNEL' })
  })
})
