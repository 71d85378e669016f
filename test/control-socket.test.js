'use strict'

const assert = require('assert')
const { execFileSync } = require('child_process')
const { once } = require('events')
const fs = require('fs')
const net = require('net')
const path = require('path')
const { Worker } = require('worker_threads')
const alknet = require('..')
const binding = require('../lib/binding')
const { askControl, findControls } = require('../lib/control-ask')
const { openControl } = require('../lib/control-socket')
const { fail, optionError } = require('../lib/errors')
const { createLogger, NO_LOG } = require('../lib/log')
const { clientOptions, serverOptions } = require('../lib/options')
const { closed, readAll } = require('./helpers/net')
const { testScope } = require('./helpers/scope')

const modeOf = (file) => fs.statSync(file).mode & 0o777

/** The pid of a process that has ended. */
function deadPid () {
  return Number(execFileSync(process.execPath, ['-p', 'process.pid'], { encoding: 'utf8' }))
}

describe('control socket', () => {
  const scope = testScope()
  let live, env
  beforeEach(() => {
    live = binding.live()
    env = { HOME: process.env.HOME, XDG_RUNTIME_DIR: process.env.XDG_RUNTIME_DIR }
    process.env.HOME = scope.dir()
    delete process.env.XDG_RUNTIME_DIR
  })
  afterEach(() => {
    for (const [name, value] of Object.entries(env)) {
      if (value === undefined) delete process.env[name]
      else process.env[name] = value
    }
  })

  /** What has said that it is closed is freed in one of the next turns. */
  async function allGone () {
    while (binding.live() > live) await new Promise(setImmediate)
  }

  const newPath = () => path.join(scope.dir(), 'c.sock')

  /** One that ends with the test. answers: as of openControl(). */
  async function open (file, answers = {}, { limits, log = NO_LOG, command = 'connect' } = {}) {
    const control = await openControl(file, command, answers, log, limits)
    if (control !== null) scope.defer(() => control.close())
    return control
  }

  /** Connects as nobody of ours would; ends with the test. */
  async function dial (file) {
    const socket = net.connect({ path: file, allowHalfOpen: true })
    socket.on('error', () => {})
    scope.defer(() => { socket.destroy() })
    await once(socket, 'connect')
    return socket
  }

  /** All lines that come until the other side ends. */
  async function linesOf (socket) {
    const text = (await readAll(socket)).toString()
    assert(text === '' || text.endsWith('\n'))
    return text.split('\n').slice(0, -1).map((line) => JSON.parse(line))
  }

  describe('answers', () => {
    it('questions, one a line, in their order', async () => {
      const { path: file } = await open(newPath(), {
        double: async ({ n }) => {
          await new Promise(setImmediate)
          return 2 * n
        }
      })
      const socket = await dial(file)
      socket.end('{"op":"double","n":1}\n{"op":"double","n":21}\n')
      assert.deepStrictEqual(await linesOf(socket), [{ ok: true, result: 2 }, { ok: true, result: 42 }])
      assert.strictEqual(await askControl(file, { op: 'double', n: 4 }), 8)
    })

    it('with the error that there was, and with nothing of an error of ours', async () => {
      const { path: file } = await open(newPath(), {
        spec: () => { throw optionError('forward', 'is wrong') },
        late: async () => { throw fail('TIMEOUT', 'channel', 'too late') },
        slip: () => { throw new TypeError('secret') }
      })
      await assert.rejects(askControl(file, { op: 'spec' }), { name: 'AlknetError', code: 'ERR_ALKNET_OPTION', stage: 'options', option: 'forward', message: 'forward: is wrong' })
      await assert.rejects(askControl(file, { op: 'late' }), { code: 'ERR_ALKNET_TIMEOUT', stage: 'channel', retryable: true })
      await assert.rejects(askControl(file, { op: 'slip' }), (err) => err.code === 'ERR_ALKNET_SYS' && !err.message.includes('secret'))
    })

    it('what it does not know with an error, also names that every object has', async () => {
      const { path: file } = await open(newPath(), { fine: () => 'fine' })
      for (const op of ['what', 'toString', '__proto__', 'constructor']) {
        await assert.rejects(askControl(file, { op }), { code: 'ERR_ALKNET_UNSUPPORTED' })
      }
      const socket = await dial(file)
      socket.end('{"op":"what"}\n{"op":"fine"}\n')
      assert.deepStrictEqual((await linesOf(socket)).map((one) => one.ok), [false, true], 'a wrong question does not end the conversation')
    })

    it('a question that comes in pieces, and one without an answer yet when the asker leaves', async () => {
      const asked = []
      const { path: file } = await open(newPath(), { slow: () => new Promise((resolve) => asked.push(resolve)), quick: () => 'quick' })
      const leaving = await dial(file)
      leaving.write('{"op":"slow"}\n')
      const socket = await dial(file)
      for (const piece of ['{"op":', '"qui', 'ck"}']) {
        socket.write(piece)
        await new Promise(setImmediate)
      }
      socket.end('\n')
      assert.deepStrictEqual(await linesOf(socket), [{ ok: true, result: 'quick' }])
      while (asked.length === 0) await new Promise(setImmediate)
      leaving.destroy()
      asked[0]('nobody hears this')
      assert.strictEqual(await askControl(file, { op: 'quick' }), 'quick')
    })
  })

  describe('does not bear with', () => {
    for (const [name, line] of [
      ['what is no JSON', 'GET / HTTP/1.1'], ['an empty line', ''], ['a number', '1'], ['null', 'null'], ['a list', '[]'],
      ['an object without op', '{}'], ['an op that is no text', '{"op":{}}'], ['bytes that are no UTF-8', '{"op":"\x80']
    ]) {
      it(`${name}: an error line, and the end`, async () => {
        const { path: file } = await open(newPath())
        const socket = await dial(file)
        socket.write(Buffer.from(`${line}\n`, 'latin1')) // and waits
        const [answer, ...rest] = await linesOf(socket)
        assert.deepStrictEqual([answer.ok, answer.error.code, rest], [false, 'ERR_ALKNET_PROTO', []])
      })
    }

    it('a line that is too long', async () => {
      const { path: file } = await open(newPath(), { is: ({ text }) => text.length })
      const full = (length) => `${JSON.stringify({ op: 'is', text: 'x'.repeat(length - '{"op":"is","text":""}'.length) })}\n`
      const fits = await dial(file)
      fits.end(full(64 * 1024))
      assert.strictEqual((await linesOf(fits))[0].ok, true)
      const long = await dial(file)
      long.write(full(64 * 1024 + 1))
      assert.strictEqual((await linesOf(long))[0].error.code, 'ERR_ALKNET_LIMIT')
      const endless = await dial(file)
      endless.write('x'.repeat(64 * 1024 + 1)) // no line feed at all
      assert.strictEqual((await linesOf(endless))[0].error.code, 'ERR_ALKNET_LIMIT')
    })

    it('who is slow to ask', async () => {
      const { path: file } = await open(newPath(), {}, { limits: { ms: 20 } })
      for (const text of ['', '{"op":']) {
        const socket = await dial(file)
        socket.write(text)
        assert.strictEqual((await linesOf(socket))[0].error.code, 'ERR_ALKNET_TIMEOUT')
      }
    })

    it('who does not take the answer', async () => {
      const control = await open(newPath(), { much: () => 'x'.repeat(16 * 1024 * 1024) }, { limits: { ms: 20 } })
      const socket = await dial(control.path)
      socket.pause()
      socket.write('{"op":"much"}\n')
      while (control._streams.size === 0) await new Promise(setImmediate)
      const [stream] = control._streams
      await once(stream, 'close')
      assert.strictEqual(control._streams.size, 0)
    })

    it('too many at once', async () => {
      const { path: file } = await open(newPath(), { fine: () => 'fine' }, { limits: { callers: 2 } })
      const first = await dial(file)
      first.write('{"op":"fine"}\n')
      await once(first, 'data')
      const second = await dial(file)
      second.write('{"op":"fine"}\n')
      await once(second, 'data')
      await assert.rejects(askControl(file, { op: 'fine' }), { code: 'ERR_ALKNET_LIMIT' })
      first.destroy()
      // The place is free as soon as that has come through.
      let answer
      while (answer === undefined) answer = await askControl(file, { op: 'fine' }).catch((err) => assert.strictEqual(err.code, 'ERR_ALKNET_LIMIT'))
      assert.strictEqual(answer, 'fine')
    })

    it('still more than that, and tells them nothing', async () => {
      const control = await open(newPath(), {}, { limits: { callers: 1 } })
      const [asker, turnedAway] = [await dial(control.path), await dial(control.path)]
      await once(turnedAway, 'data')
      const third = await dial(control.path)
      assert.deepStrictEqual(await linesOf(third), [])
      turnedAway.destroy()
      asker.destroy()
    })

    it('16 unless somebody says otherwise', async () => {
      const { path: file } = await open(newPath(), { fine: () => 'fine' })
      const all = []
      for (let i = 0; i < 16; i++) {
        all.push(await dial(file))
        all[i].write('{"op":"fine"}\n')
        await once(all[i], 'data')
      }
      await assert.rejects(askControl(file, { op: 'fine' }), { code: 'ERR_ALKNET_LIMIT' })
    })
  })

  describe('its file', () => {
    it('is for its owner, and goes at once with close(), which hangs up', async () => {
      const control = await open(newPath(), { never: () => new Promise(() => {}) })
      assert.strictEqual(modeOf(control.path), 0o600)
      const socket = await dial(control.path)
      socket.write('{"op":"never"}\n')
      while (control._streams.size === 0) await new Promise(setImmediate)
      const closing = control.close()
      assert(!fs.existsSync(control.path))
      await Promise.all([closing, control.close(), closed(socket)])
      await allGone()
    })

    it('keeps no process up, and does not outlive one that ends in a hurry', async () => {
      const runs = (script) => execFileSync(process.execPath, ['-e', `
        const { openControl } = require(${JSON.stringify(require.resolve('../lib/control-socket'))})
        const open = (file) => openControl(file, 'connect', {}, { warn () {} })
        ${script}`], { encoding: 'utf8', timeout: 60_000 })
      const [first, second] = [newPath(), newPath()]
      runs(`open(${JSON.stringify(first)}).then(() => open(${JSON.stringify(second)}))`)
      runs(`open(${JSON.stringify(first)}).then(() => open(${JSON.stringify(second)})).then(() => process.exit())`)
      for (const file of [first, second]) assert(!fs.existsSync(file))
    }).timeout(60_000)

    it('does not outlive a worker', async () => {
      const file = newPath()
      const script = `
        const { parentPort } = require('worker_threads')
        const { openControl } = require(${JSON.stringify(require.resolve('../lib/control-socket'))})
        openControl(${JSON.stringify(file)}, 'connect', {}, { warn () {} }).then(() => parentPort.postMessage('open'))
        setInterval(() => {}, 1000)`
      const worker = new Worker(script, { eval: true })
      await once(worker, 'message')
      assert(fs.lstatSync(file).isSocket())
      await worker.terminate()
      assert(!fs.existsSync(file))
    }).timeout(60_000)

    it('replaces one that nobody listens on, and nothing else', async () => {
      const file = newPath()
      const script = `require('net').createServer().listen(${JSON.stringify(file)}, () => process.kill(process.pid, 'SIGKILL'))`
      assert.throws(() => execFileSync(process.execPath, ['-e', script]))
      assert(fs.lstatSync(file).isSocket())
      const control = await open(file, { who: () => 'first' })
      await assert.rejects(open(file), { code: 'EADDRINUSE', stage: 'listen' })
      assert.strictEqual(await askControl(file, { op: 'who' }), 'first')
      await control.close()
      fs.writeFileSync(file, 'mine')
      await assert.rejects(open(file), { code: 'EADDRINUSE', stage: 'listen' })
      assert.strictEqual(fs.readFileSync(file, 'utf8'), 'mine')
      await assert.rejects(open(path.join(file, 'sub.sock')), { option: 'control', stage: 'options' })
    })

    it('stands in a directory that is nobody else\'s', async () => {
      const home = await open(true)
      assert.strictEqual(home.path, path.join(process.env.HOME, '.config', 'alknet', 'run', `connect-${process.pid}.sock`))
      assert.strictEqual(modeOf(path.dirname(home.path)), 0o700)
      process.env.XDG_RUNTIME_DIR = scope.dir()
      const dir = path.join(process.env.XDG_RUNTIME_DIR, 'alknet')
      fs.mkdirSync(dir, { mode: 0o777 })
      fs.chmodSync(dir, 0o777)
      const runtime = await open(true, {}, { command: 'serve' })
      assert.strictEqual(runtime.path, path.join(dir, `serve-${process.pid}.sock`))
      assert.strictEqual(modeOf(dir), 0o700, 'one that others may write to is put right')
    })

    it('takes the next name when its own is in use', async () => {
      const [first, second, third] = [await open(true), await open(true), await open(true)]
      assert.deepStrictEqual([first, second, third].map((one) => path.basename(one.path)),
        ['', '-2', '-3'].map((n) => `connect-${process.pid}${n}.sock`))
      await second.close()
      assert.strictEqual((await open(true)).path, second.path)
    })

    it('takes away what a process has left that was killed', async () => {
      const { path: file } = await open(true)
      const dir = path.dirname(file)
      const left = path.join(dir, `serve-${deadPid()}.sock`)
      const script = `require('net').createServer().listen(${JSON.stringify(left)}, () => process.kill(process.pid, 'SIGKILL'))`
      assert.throws(() => execFileSync(process.execPath, ['-e', script]))
      const kept = [`connect-${deadPid()}.sock`, 'other.sock', 'connect-1.sock'].map((name) => path.join(dir, name))
      for (const one of kept) fs.writeFileSync(one, '') // files, none of ours
      await open(true, {}, { command: 'serve' })
      assert(!fs.existsSync(left))
      for (const one of kept) assert(fs.existsSync(one), one)
    })

    it('is not in a directory of somebody else', async function () {
      if (process.getuid() !== 0) {
        console.log('      skipped: needs root to have a directory of another user')
        return this.skip()
      }
      process.env.XDG_RUNTIME_DIR = scope.dir()
      fs.chownSync(process.env.XDG_RUNTIME_DIR, 1, 1)
      assert((await open(true)).path.startsWith(process.env.HOME))
      process.env.XDG_RUNTIME_DIR = 'relative'
      assert((await open(true)).path.startsWith(process.env.HOME))
    })

    it('is missed with a warning at the default place, not at its own', async () => {
      const lines = []
      const log = createLogger({ write: (line) => lines.push(line) })
      fs.writeFileSync(path.join(process.env.HOME, '.config'), 'a file')
      assert.strictEqual(await open(true, {}, { log }), null)
      assert.strictEqual(lines.length, 1)
      assert.match(lines[0], /^WARN no control socket error=\w+ problem=/)
      await assert.rejects(open(path.join(process.env.HOME, '.config', 'x.sock'), {}, { log }), { option: 'control', stage: 'options' })
      assert.strictEqual(lines.length, 1)
    })

    it('is none when it is off', async () => {
      assert.strictEqual(await open('off'), null)
      assert.deepStrictEqual(fs.readdirSync(process.env.HOME), [])
    })
  })

  describe('option', () => {
    const client = (control) => clientOptions({ server: 'x', identity: 'k', control }).control
    const server = (control) => serverOptions({ hostKey: 'k', control }).control

    it('is off, the default place or a path', () => {
      for (const check of [client, server]) {
        assert.strictEqual(check(undefined), 'off')
        assert.strictEqual(check(false), 'off')
        assert.strictEqual(check('off'), 'off')
        assert.strictEqual(check(true), true)
        assert.strictEqual(check('/run/x.sock'), '/run/x.sock')
        assert.strictEqual(check('x.sock'), path.resolve('x.sock'))
      }
    })

    it('says how long a path may be, before anything is cut', () => {
      const longest = `/${'x'.repeat(106)}`
      assert.strictEqual(client(longest), longest)
      for (const wrong of [`${longest}x`, `/${'ü'.repeat(54)}`]) {
        assert.throws(() => client(wrong), { code: 'ERR_ALKNET_OPTION', message: /^control: .* is longer than the 107 bytes/ })
      }
      for (const wrong of ['', 'a\0b', 1, {}, null]) assert.throws(() => server(wrong), { code: 'ERR_ALKNET_OPTION', message: /^control: must be the path of a socket/ })
    })
  })

  describe('asking', () => {
    /** A peer that is no alknet. */
    async function peer (onConnection) {
      const file = newPath()
      const server = net.createServer((socket) => {
        socket.on('error', () => {})
        onConnection(socket)
      }).listen(file)
      await once(server, 'listening')
      scope.defer(() => { server.close() })
      return file
    }

    it('says that nobody is there', async () => {
      const file = newPath()
      await assert.rejects(askControl(file, { op: 'status' }), { code: 'ENOENT', stage: 'control', message: `${file}: nobody listens there` })
      await assert.rejects(askControl(`/${'x'.repeat(107)}`, { op: 'status' }), { code: 'ERR_ALKNET_OPTION', message: /107 bytes/ })
      for (const wrong of [null, undefined, {}, { op: 1 }]) await assert.rejects(askControl(file, wrong), { code: 'ERR_ALKNET_OPTION' })
    })

    for (const [name, text, code] of [
      ['something else', 'SSH-2.0-x\n', 'ERR_ALKNET_PROTO'], ['an object of another kind', '{"ok":"yes"}\n', 'ERR_ALKNET_PROTO'],
      ['an error without a message', '{"ok":false,"error":{}}\n', 'ERR_ALKNET_PROTO'], ['nothing', '', 'ERR_ALKNET_LOST'], ['half a line', '{"ok":tr', 'ERR_ALKNET_LOST']
    ]) {
      it(`${name} is answered: an error`, async () => {
        await assert.rejects(askControl(await peer((socket) => socket.end(text)), { op: 'status' }), { code })
      })
    }

    it('waits no longer than it was told', async () => {
      const file = await peer((socket) => scope.defer(() => { socket.destroy() }))
      await assert.rejects(askControl(file, { op: 'status' }, { timeoutMs: 20 }), { code: 'ERR_ALKNET_TIMEOUT', stage: 'control' })
    })

    it('takes no answer without end', async () => {
      const file = await peer((socket) => {
        const chunk = Buffer.alloc(1 << 20, 'x')
        const more = () => { while (!socket.destroyed && socket.write(chunk)); }
        socket.on('drain', more)
        more()
      })
      await assert.rejects(askControl(file, { op: 'status' }), { code: 'ERR_ALKNET_LIMIT' })
    })

    it('finds those that answer, in both directories', async () => {
      assert.deepStrictEqual(await findControls(), [])
      const home = await open(true, { status: () => ({ role: 'client' }) })
      process.env.XDG_RUNTIME_DIR = scope.dir()
      const runtime = await open(true, { status: () => ({ role: 'server' }) }, { command: 'serve' })
      const silent = await open(true, { status: () => { throw fail('CLOSED', 'session', 'not now') } })
      fs.writeFileSync(path.join(path.dirname(home.path), 'connect-1.sock'), '')
      assert.deepStrictEqual(await findControls(), [{ path: runtime.path, status: { role: 'server' } }, { path: home.path, status: { role: 'client' } }])
      await Promise.all([home, runtime, silent].map((one) => one.close()))
      assert.deepStrictEqual(await findControls(), [])
    })
  })

  describe('of sessions and servers', () => {
    let host, user
    before(async () => { [host, user] = await Promise.all([alknet.generateKey(), alknet.generateKey()]) })

    async function serve (options) {
      const server = await alknet.serve({ hostKey: host.privateKey, authorizedKeys: Buffer.from(user.publicKey), listen: '127.0.0.1:0', ...options })
      scope.defer(() => server.close())
      return server
    }

    async function connect (server, options) {
      const session = await alknet.openSession({ server: `127.0.0.1:${server.address().port}`, identity: user.privateKey, hostKey: host.fingerprint, ...options })
      scope.defer(() => session.close())
      return session
    }

    it('status: who and how, and nothing of where connections lead', async () => {
      const [here, there] = [newPath(), newPath()]
      const server = await serve({ control: there, onConnection: () => {} })
      const session = await connect(server, { control: here, socks5: '127.0.0.1:0', forward: '0:secret.example:80' })
      await session.open({ host: 'alknet-secret', port: 7 })
      const { port } = server.address()
      const mine = await askControl(here, { op: 'status' })
      assert.deepStrictEqual([mine.role, mine.state, mine.server, mine.user, mine.hostKey, mine.pid], ['client', 'ready', `127.0.0.1:${port}`, 'alknet', host.fingerprint, process.pid])
      assert(Math.abs(Date.parse(mine.since) - Date.now()) < 3600_000)
      assert.deepStrictEqual(mine.listeners.map((one) => one.kind), ['socks5', 'forward'])
      assert.deepStrictEqual(mine.listeners[1].address, session.openListeners[1].address())
      assert.strictEqual(mine.engine, session.info.engine)
      const theirs = await askControl(there, { op: 'status' })
      assert.deepStrictEqual([theirs.role, theirs.state, theirs.hostKeys, theirs.clients, theirs.sessions, theirs.channels], ['server', 'ready', [host.fingerprint], 1, 1, 1])
      assert.deepStrictEqual(theirs.addresses, [server.address()])
      assert(!JSON.stringify(theirs).includes('secret'))
      for (const op of ['list', 'add', 'cancel']) await assert.rejects(askControl(there, { op }), { code: 'ERR_ALKNET_UNSUPPORTED' })
    })

    it('add, list and cancel', async () => {
      const control = newPath()
      const session = await connect(await serve(), { control })
      const ask = (op, spec, kind = 'forward') => askControl(control, { op, kind, spec })
      assert.deepStrictEqual(await askControl(control, { op: 'list' }), { listeners: [] })
      const added = await ask('add', '0:db.internal:5432')
      assert.strictEqual(added.kind, 'forward')
      assert(added.address.port > 0)
      const again = await ask('add', '[::]:0:[fd00::1]:80').catch(() => ask('add', '0.0.0.0:0:[fd00::1]:80')) // without IPv6
      assert.deepStrictEqual((await askControl(control, { op: 'list' })).listeners, [added, again])
      assert.deepStrictEqual(session.openListeners.map((one) => one.address()), [added.address, again.address])
      // By the text that it was asked for with, in any spelling; or by its port.
      assert.deepStrictEqual(await ask('cancel', 'localhost:0:db.internal:5432'), { listeners: [added] })
      await assert.rejects(ask('cancel', '0:db.internal:5432'), { code: 'ERR_ALKNET_CLOSED', message: 'there is no forward 127.0.0.1:0:db.internal:5432' })
      const third = await ask('add', '0:db.internal:5432')
      assert.deepStrictEqual(await ask('cancel', `${third.address.port}:db.internal:5432`), { listeners: [third] })
      assert.deepStrictEqual(await ask('cancel', again.spec), { listeners: [again] })
      assert.deepStrictEqual(session.openListeners, [])
    })

    it('refuses what is no forward', async () => {
      const control = newPath()
      const session = await connect(await serve(), { control })
      const ask = (request) => askControl(control, { op: 'add', kind: 'forward', spec: '0:a:1', ...request })
      for (const kind of ['socks5', 'toString', '', 1, null]) await assert.rejects(ask({ kind }), { code: 'ERR_ALKNET_OPTION', message: /^kind: must be one of forward, remote-forward/ })
      for (const spec of ['', 'x', 1, null, {}, '0:a:0', 'x'.repeat(60000)]) await assert.rejects(ask({ spec }), { code: 'ERR_ALKNET_OPTION', option: 'forward' })
      const { address } = await ask({})
      await assert.rejects(ask({ spec: `${address.port}:a:1` }), { code: 'EADDRINUSE', stage: 'listen' })
      assert.strictEqual(session.openListeners.length, 1)
      await assert.rejects(askControl(control, { op: 'cancel', kind: 'remote-forward', spec: '0:a:1' }), { message: /^there is no remote forward / })
    })

    it('end with what they belong to, and leave nothing', async () => {
      const [here, there] = [newPath(), newPath()]
      const server = await serve({ control: there })
      const session = await connect(server, { control: here })
      const socket = await dial(here)
      await session.close()
      assert(!fs.existsSync(here))
      assert(fs.existsSync(there))
      await closed(socket)
      await server.close()
      assert(!fs.existsSync(there))
      await allGone()
    })

    it('that do not come up leave nothing either', async () => {
      const control = newPath()
      const server = await serve()
      const { port } = server.address()
      await assert.rejects(serve({ control, listen: `127.0.0.1:${port}` }), { code: 'EADDRINUSE' })
      assert(!fs.existsSync(control))
      await assert.rejects(connect(server, { control, hostKey: user.fingerprint }), { stage: 'hostkey' })
      assert(!fs.existsSync(control))
      await assert.rejects(connect(server, { control, signal: AbortSignal.abort() }), { code: 'ERR_ALKNET_CANCELED' })
      assert(!fs.existsSync(control))
    })

    it('a server\'s is one of its own listeners: no rule but one that names it opens it', async () => {
      const control = newPath()
      const alias = path.join(scope.dir(), 'alias.sock')
      const other = path.join(path.dirname(control), 'other.sock')
      fs.symlinkSync(control, alias)
      fs.writeFileSync(other, '')
      const rules = [control, alias].map((file) => `allow unix:${path.dirname(file)}/*`)
      const decide = (server, path) => server._policy.decidePath({
        identity: { id: 'x', scopes: [] }, transport: 'tcp', permissions: { forwarding: true, permitOpen: null, permitListen: null }, path
      })
      const server = await serve({ control, forwarding: { rules } })
      assert.strictEqual(decide(server, other).allow, true)
      for (const file of [control, alias]) assert.deepStrictEqual([decide(server, file).allow, decide(server, file).by], [false, 'built-in'], file)
      await server.close()
      const named = await serve({ control, forwarding: { rules: [`allow unix:${control}`] } })
      assert.strictEqual(decide(named, control).allow, true)
    })

    it('a question to the policy knows of it', async () => {
      const ask = (path) => alknet.testPolicy({ control: '/run/x/c.sock', forwarding: { rules: ['allow unix:/run/x/*'] } }, { target: `unix:${path}`, id: 'x' })
      assert.strictEqual((await ask('/run/x/d.sock')).allow, true)
      const { allow, verdicts: [{ by }] } = await ask('/run/x/c.sock')
      assert.deepStrictEqual([allow, by], [false, 'built-in'])
    })

    it('a reload that leaves it as it is says nothing of it', async () => {
      const lines = []
      const server = await serve({ control: true, log: { write: (line) => lines.push(line) } })
      await server.reloadAll()
      assert(!lines.some((line) => line.includes('needs a new start')))
      await server.reloadAll({ control: 'off' })
      assert(lines.includes('WARN needs a new start option=control'))
      assert.strictEqual((await findControls()).length, 1)
    })
  })
})
