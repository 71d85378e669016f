'use strict'

/**
 * What people have tunnels for: PostgreSQL, asked by psql and filled and
 * emptied by COPY, through every kind of forward and through the proxy.
 */

const assert = require('node:assert')
const path = require('node:path')
const { engineOf, needAlknet, startConnect, startServe } = require('../helpers/alknet')
const { freePort } = require('../helpers/net')
const { needSshd, sshArgs, startSshd } = require('../helpers/openssh')
const { copyFile, copyIn, copyOut, direct, held, needPostgres, psql, query, startPostgres } = require('../helpers/postgres')
const { need, start } = require('../helpers/proc')
const { suiteScope, testScope } = require('../helpers/scope')

const MB = 1e6
const SIZE = 200 * MB
const SHORT = 16 * MB

// psql finds a Unix socket by its folder and by this in its name.
const SOCKET_PORT = 5432
const socketIn = (dir) => path.join(dir, `.s.PGSQL.${SOCKET_PORT}`)
const atSocket = (socket) => ({ host: path.dirname(socket), port: SOCKET_PORT })
const atPort = (match) => ({ host: '127.0.0.1', port: Number(match[1]) })

const LISTENS = { forward: /^forward on \S+:(\d+)$/m, remote: /^remote forward on \S+:(\d+)$/m }
const STANDS = { forward: /^forward on (\/\S+)$/m, remote: /^remote forward on (\/\S+)$/m }

/** psql at db's own address, through a SOCKS proxy. */
function throughProxy (scope, db, { host, port }) {
  const config = scope.file('proxychains.conf', `strict_chain\nproxy_dns\n[ProxyList]\nsocks5 ${host} ${port}\n`)
  return { host: db.host, port: db.port, wrap: ['proxychains4', '-q', '-f', config] }
}

// Each way: (scope, db, server) => where psql has to go. server: () => one that
// lets all of this through.
const CONNECT = {
  '--forward, port to port': async (scope, db, server) => {
    const { proc } = await startConnect(scope, await server(), { args: ['--forward', `0:127.0.0.1:${db.port}`] })
    return atPort(await proc.waitFor(LISTENS.forward))
  },
  '--forward, port to Unix socket': async (scope, db, server) => {
    const { proc } = await startConnect(scope, await server(), { args: ['--forward', `0:${db.socket}`] })
    return atPort(await proc.waitFor(LISTENS.forward))
  },
  '--forward, Unix socket to port': async (scope, db, server) => {
    const socket = socketIn(scope.dir())
    const { proc } = await startConnect(scope, await server(), { args: ['--forward', `${socket}:127.0.0.1:${db.port}`] })
    await proc.waitFor(STANDS.forward)
    return atSocket(socket)
  },
  '--forward, Unix socket to Unix socket': async (scope, db, server) => {
    const socket = socketIn(scope.dir())
    const { proc } = await startConnect(scope, await server(), { args: ['--forward', `${socket}:${db.socket}`] })
    await proc.waitFor(STANDS.forward)
    return atSocket(socket)
  },
  '--remote-forward, port to port': async (scope, db, server) => {
    const { proc } = await startConnect(scope, await server(), { args: ['--remote-forward', `0:127.0.0.1:${db.port}`] })
    return atPort(await proc.waitFor(LISTENS.remote))
  },
  '--remote-forward, port to Unix socket': async (scope, db, server) => {
    const { proc } = await startConnect(scope, await server(), { args: ['--remote-forward', `0:${db.socket}`] })
    return atPort(await proc.waitFor(LISTENS.remote))
  },
  '--remote-forward, Unix socket to Unix socket': async (scope, db, server) => {
    const { dir, ...rest } = await server()
    const { proc } = await startConnect(scope, rest, { args: ['--remote-forward', `${socketIn(dir)}:${db.socket}`] })
    await proc.waitFor(STANDS.remote)
    return atSocket(socketIn(dir))
  },
  'the SOCKS5 proxy': async (scope, db, server) =>
    throughProxy(scope, db, (await startConnect(scope, await server())).socks),
  '--remote-forward, a SOCKS5 proxy at the server': async (scope, db, server) => {
    const { proc } = await startConnect(scope, await server(), { args: ['--remote-forward', '0'] })
    return throughProxy(scope, db, atPort(await proc.waitFor(LISTENS.remote)))
  }
}

async function ssh (scope, server, args, ready) {
  const proc = start(scope, 'ssh', sshArgs(scope, server, { args: ['-N', ...args] }))
  await proc.waitFor(/Entering interactive session/)
  return proc.waitFor(ready)
}

/** A port for ssh -L and -D, which cannot say which one they were given. */
async function withPort (attempt) {
  for (let tries = 0; ; tries++) {
    const port = await freePort()
    try {
      await attempt(port)
      return { host: '127.0.0.1', port }
    } catch (err) {
      if (tries === 4 || !/Address already in use/.test(err.message)) throw err
    }
  }
}

const LOCAL = /Local forwarding listening on|Local connections to/
const REMOTE = /remote forward success for/

const SSH = {
  'ssh -L, port to port': async (scope, db, server) => {
    const at = await server()
    return withPort((port) => ssh(scope, at, ['-L', `127.0.0.1:${port}:127.0.0.1:${db.port}`], LOCAL))
  },
  'ssh -L, Unix socket to Unix socket': async (scope, db, server) => {
    const socket = socketIn(scope.dir())
    await ssh(scope, await server(), ['-L', `${socket}:${db.socket}`], LOCAL)
    return atSocket(socket)
  },
  'ssh -R, port to port': async (scope, db, server) =>
    atPort(await ssh(scope, await server(), ['-R', `127.0.0.1:0:127.0.0.1:${db.port}`], /Allocated port (\d+) for remote forward/)),
  'ssh -R, Unix socket to Unix socket': async (scope, db, server) => {
    const { dir, ...rest } = await server()
    await ssh(scope, rest, ['-R', `${socketIn(dir)}:${db.socket}`], REMOTE)
    return atSocket(socketIn(dir))
  },
  'ssh -D': async (scope, db, server) => {
    const at = await server()
    return throughProxy(scope, db, await withPort((port) => ssh(scope, at, ['-D', `127.0.0.1:${port}`], LOCAL)))
  }
}

const SERVERS = {
  'alknet serve': async (scope, db) => {
    const dir = scope.dir()
    const server = await startServe(scope, {
      args: ['--allow', `unix:${db.dir}/*`, '--permit-listen', 'loopback:1024-65535', '--permit-listen', `unix:${dir}/*`]
    })
    return { ...server, dir }
  },
  sshd: async (scope) => ({ ...await startSshd(scope), dir: scope.dir() })
}

describe('PostgreSQL', function () {
  this.timeout(300000)
  const suite = suiteScope()
  const scope = testScope()
  let db
  const files = {}

  before(async function () {
    needAlknet(this)
    needPostgres(this)
    need(this, 'ssh')
    db = await startPostgres(suite)
    for (const [size, table] of [[SIZE, 'all_of_it'], [SHORT, 'some_of_it']]) {
      files[size] = await copyFile(suite, size)
      assert.ok(files[size].bytes >= size)
      await copyIn(suite, db, direct(db), table, files[size].file)
    }
  })

  /** The tests of one way; open gives where psql has to go. */
  function carries (open, size, table) {
    const suite = suiteScope()
    let where

    before(async function () { where = await open(this, suite) })

    it('answers, refuses and tells what is wrong', async () => {
      assert.strictEqual(await query(scope, db, where, 'select 6 * 7'), '42')
      const wrong = await psql(scope, db, where, 'select 1 / 0')
      assert.strictEqual(wrong.code, 1)
      assert.match(wrong.stderr, /division by zero/)
      const stranger = await psql(scope, { ...db, password: 'guessed' }, where, 'select 1')
      assert.strictEqual(stranger.code, 2)
      assert.match(stranger.stderr, /password authentication failed/)
    })

    it(`takes ${size / MB} MB of COPY unchanged`, async () => {
      const { file, bytes, digest } = files[size]
      await copyIn(scope, db, where, 'copied', file)
      assert.deepStrictEqual(await held(scope, db, 'copied'), { bytes, digest })
    })

    it(`gives ${size / MB} MB of COPY unchanged`, async () => {
      const { bytes, digest } = files[size]
      assert.deepStrictEqual(await copyOut(scope, db, where, table), { bytes, digest })
    })
  }

  /** Skips, and says why, what one of the ends cannot do with the engine it was given. */
  function needEngine (context, name, ends) {
    if (!/remote-forward|-R|to Unix socket/.test(name) || ends.every((end) => engineOf(end) === 'native')) return
    console.log('      skipped: libssh knows no remote forwards and no Unix sockets of the server')
    context.skip()
  }

  function describeWays (ways, serverName, ends, size, table) {
    for (const [name, open] of Object.entries(ways)) {
      describe(name, () => carries(async (context, scope) => {
        if (serverName === 'sshd') needSshd(context)
        needEngine(context, name, ends)
        if (/SOCKS|-D/.test(name)) need(context, 'proxychains4')
        return open(scope, db, () => SERVERS[serverName](scope, db))
      }, size, table))
    }
  }

  describe('alknet connect to alknet serve', () =>
    describeWays(CONNECT, 'alknet serve', ['connect', 'serve'], SIZE, 'all_of_it'))
  describe('alknet connect to sshd', () =>
    describeWays(CONNECT, 'sshd', ['connect'], SHORT, 'some_of_it'))
  describe('ssh to alknet serve', () =>
    describeWays(SSH, 'alknet serve', ['serve'], SHORT, 'some_of_it'))

  it('is not reached when the proxy is gone: psql goes through it', async function () {
    need(this, 'proxychains4')
    const { code } = await psql(scope, db, throughProxy(scope, db, { host: '127.0.0.1', port: await freePort() }), 'select 1')
    assert.strictEqual(code, 2)
  })

  it('is not reached through a Unix socket that no rule allows', async function () {
    needEngine(this, 'to Unix socket', ['connect', 'serve'])
    const { proc } = await startConnect(scope, await startServe(scope), { args: ['--forward', `0:${db.socket}`] })
    const { code, stderr } = await psql(scope, db, atPort(await proc.waitFor(LISTENS.forward)), 'select 1')
    assert.strictEqual(code, 2, stderr)
  })
})
