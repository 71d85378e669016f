'use strict'

/** The file of --log-file: bounded, opened anew, and never a reason to stop. */

const assert = require('assert')
const fs = require('fs')
const path = require('path')
const { LogFile } = require('../bin/commands/log-file')
const { createLogger } = require('../lib/log')
const { runAlknet, startConnect, startServe } = require('./helpers/alknet')
const { key } = require('./helpers/keys')
const { suiteScope, testScope } = require('./helpers/scope')
const { echoServer, readBytes } = require('./helpers/net')
const { socksOpen } = require('./helpers/socks')

const enospc = () => Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' })

/**
 * A disk that does what a test says: `answers` are for the next writes, each a
 * number of bytes to take, an error, or undefined for all. `texts` has what
 * each file holds, in the order in which they were opened.
 */
function fakeDisk () {
  const disk = { texts: [], closed: [], answers: [], pending: [], openError: null }
  const take = (fd, chunk, answer) => {
    if (answer instanceof Error) throw answer
    const taken = chunk.subarray(0, answer ?? chunk.length)
    disk.texts[fd] += taken
    return taken.length
  }
  disk.files = {
    openSync: () => disk.texts.push('') - 1,
    open (name, flags, mode, done) {
      if (disk.openError !== null) done(disk.openError)
      else done(null, disk.texts.push('') - 1)
    },
    write: (fd, chunk, done) => disk.pending.push(() => {
      let taken
      try {
        taken = take(fd, chunk, disk.answers.shift())
      } catch (err) {
        return done(err)
      }
      done(null, taken)
    }),
    writeSync: (fd, chunk) => take(fd, chunk, disk.answers.shift()),
    close: (fd, done) => { disk.closed.push(fd) }
  }
  /** Lets all writes come to their end that are asked for now. */
  disk.turn = () => { for (const one of disk.pending.splice(0)) one() }
  return disk
}

function fakeFile (more = {}) {
  const disk = fakeDisk()
  const said = []
  const file = new LogFile('/x/log', { files: disk.files, say: (text) => said.push(text), retryMs: 1, ...more })
  return { disk, said, file }
}

/** Until what a timer or a program has to do is done. */
async function until (isSo) {
  while (!isSo()) await new Promise((resolve) => setTimeout(resolve, 5))
}

describe('LogFile', () => {
  it('writes what waits at once, one write at a time', () => {
    const { disk, file } = fakeFile()
    for (const line of ['a', 'b', 'c']) assert.strictEqual(file.write(line), undefined)
    assert.strictEqual(disk.pending.length, 1)
    disk.turn()
    assert.strictEqual(disk.texts[0], 'a\n')
    disk.turn()
    assert.strictEqual(disk.texts[0], 'a\nb\nc\n')
    assert.strictEqual(disk.pending.length, 0)
  })

  it('refuses what does not fit, and takes lines again when there is room', () => {
    const { disk, file } = fakeFile({ waiting: 10 })
    assert.deepStrictEqual(['1234', '5678', 'x'].map((line) => file.write(line)), [undefined, undefined, 'dropped'])
    disk.turn()
    assert.strictEqual(file.write('x'), undefined)
    disk.turn()
    disk.turn()
    assert.strictEqual(disk.texts[0], '1234\n5678\nx\n')
  })

  it('has the count of the lines that it has not taken, where they are missing', () => {
    const { disk, file } = fakeFile({ waiting: 40 })
    const log = createLogger({ write: (line) => file.write(line) })
    for (const event of ['first', 'second', 'third', 'fourth', 'fifth', 'sixth']) log.info(event)
    disk.turn()
    disk.turn()
    log.info('seventh')
    disk.turn()
    assert.strictEqual(disk.texts[0], 'INFO first\nINFO second\nINFO third\nWARN log lines dropped count=3\n')
  })

  it('keeps lines while the disk is full, says it once, and ends a torn line', async () => {
    const { disk, said, file } = fakeFile()
    disk.answers = [3, enospc(), enospc(), 1, undefined]
    file.write('one')
    disk.turn() // takes 'one' without its end
    assert.strictEqual(disk.texts[0], 'one')
    file.write('two')
    for (let writes = 0; disk.texts[0] !== 'one\none\ntwo\n'; writes++) {
      assert(writes < 10, JSON.stringify(disk.texts))
      await until(() => disk.pending.length > 0)
      disk.turn()
    }
    assert.deepStrictEqual(said.map((text) => text.replace(/.*(cannot be written|written again).*/, '$1')), ['cannot be written', 'written again'])
    assert.match(said[0], /ENOSPC: no space left on device$/)
  })

  it('opens anew: each line is whole in one of the files', () => {
    const { disk, file } = fakeFile()
    disk.answers = [2]
    file.write('first')
    file.reopen() // while a write is under way
    file.reopen()
    assert.deepStrictEqual(disk.closed, [1], 'the one that was never needed')
    disk.turn()
    disk.turn()
    assert.deepStrictEqual(disk.texts, ['fi', '', 'first\n'])
    assert.deepStrictEqual(disk.closed, [1, 0])
  })

  it('keeps the old file when the new one cannot be had', () => {
    const { disk, said, file } = fakeFile()
    disk.openError = Object.assign(new Error("ENOENT: no such file or directory, open '/x/log'"), { code: 'ENOENT' })
    file.reopen()
    assert.match(said[0], /cannot be opened again, the old one stays: ENOENT: no such file or directory$/)
    file.write('still here')
    disk.turn()
    assert.strictEqual(disk.texts[0], 'still here\n')
    assert.deepStrictEqual(disk.closed, [])
  })

  it('writes the rest at the end of the process, and says what it cannot', () => {
    const { disk, file } = fakeFile()
    file.write('under way')
    file.write('waits')
    disk.answers = [2]
    file.finish()
    assert.strictEqual(disk.texts[0], 'wa\nwaits\n')
    for (const answer of [enospc(), 0]) {
      const { disk, said, file } = fakeFile({ retryMs: 60_000 })
      disk.answers = [answer, answer]
      file.write('lost')
      disk.turn()
      file.finish()
      assert.match(said.at(-1), /the last lines are not in the log file/)
    }
  })
})

describe('--log-file', function () {
  this.timeout(60_000)
  const suite = suiteScope()
  const scope = testScope()
  let target

  before(async () => { target = await echoServer(suite) })

  const place = () => path.join(scope.dir(), 'alknet.log')
  const textOf = (file) => fs.existsSync(file) ? fs.readFileSync(file, 'utf8') : ''
  const wait = (file, pattern) => until(() => pattern.test(textOf(file)))

  async function echoes ({ socks }) {
    const socket = await socksOpen(scope, socks, target.host, target.port)
    socket.write('hello')
    assert.strictEqual(String(await readBytes(socket, 5)), 'hello')
    socket.destroy()
  }

  async function connected (server) {
    const client = await startConnect(scope, server)
    await echoes(client)
    return client
  }

  it('has the log, with the time, and nobody else may read it', async () => {
    const file = place()
    const server = await startServe(scope, { args: ['--log-file', file] })
    await connected(server)
    await wait(file, /auth attempt .*result=accept$/m)
    for (const line of textOf(file).trimEnd().split('\n')) assert.match(line, /^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (INFO|WARN) [a-z]/)
    assert.strictEqual(fs.statSync(file).mode & 0o777, 0o600)
    server.proc.kill('SIGTERM')
    const { code, stderr, stdout } = await server.proc.exited
    assert.deepStrictEqual([code, stderr], [0, ''])
    assert.match(stdout, /^listening on /, 'what a program waits for stays on stdout')
    assert.match(textOf(file), /connection closed .*\n$/)
  })

  it('is opened anew by SIGUSR1, from the variable too, as JSON; Node opens no debugger', async () => {
    const file = place()
    const server = await startServe(scope, { args: ['--log-format', 'json'], env: { ALKNET_LOG_FILE: file } })
    await connected(server)
    await wait(file, /auth attempt/)
    fs.renameSync(file, `${file}.1`)
    server.proc.kill('SIGUSR1')
    await until(() => fs.existsSync(file))
    await connected(server)
    await wait(file, /auth attempt/)
    for (const line of textOf(file).trimEnd().split('\n')) assert.match(JSON.parse(line).time, /^20.*Z$/)
    assert.match(textOf(`${file}.1`), /"listening"/)
    assert.doesNotMatch(textOf(file), /"listening"/)
    assert.strictEqual(server.proc.stderr, '')
  })

  it('SIGUSR1 without a file is nothing, least of all a debugger', async () => {
    const server = await startServe(scope)
    server.proc.kill('SIGUSR1')
    server.proc.kill('SIGHUP')
    await server.proc.waitFor(/INFO reloaded/)
    assert.doesNotMatch(server.proc.output, /[Dd]ebugger/)
    assert.deepStrictEqual(server.proc.stderr.match(/needs a new start.*/g), null)
    const client = await connected(server)
    client.proc.kill('SIGUSR1')
    await echoes(client)
    assert.doesNotMatch(client.proc.output, /[Dd]ebugger/)
  })

  it('on a full disk, or in a folder that is gone, ends nothing', async () => {
    const full = await startServe(scope, { args: ['--log-file', '/dev/full'] })
    await connected(full)
    await full.proc.waitFor(/^alknet: the log file \/dev\/full cannot be written, .*: ENOSPC: no space left on device\n/m)
    const file = place()
    const server = await startServe(scope, { args: ['--log-file', file] })
    fs.rmSync(path.dirname(file), { recursive: true })
    server.proc.kill('SIGUSR1')
    await server.proc.waitFor(/cannot be opened again, the old one stays: ENOENT/)
    await connected(server)
  })

  it('that cannot be opened is exit code 2 before anybody listens', async () => {
    const dir = scope.dir()
    const { path: host } = key('ed25519', 'host')
    const config = scope.file('alknet.toml', `[server]\nkey = ${JSON.stringify(host)}\nlisten = "127.0.0.1:0"\nlog-file = "none/log"\n[client]\nlog-file = 5\n`)
    const fifo = path.join(dir, 'fifo')
    require('child_process').execFileSync('mkfifo', [fifo])
    const serve = ['serve', '--key', host, '--listen', '127.0.0.1:0']
    const cases = [
      [[...serve, '--log-file', path.join(dir, 'none', 'log')], /^alknet: --log-file: cannot open .*: ENOENT: no such file or directory\n$/],
      [[...serve, '--log-file', dir], /^alknet: --log-file: cannot open .*: EISDIR: /],
      [[...serve, '--log-file', fifo], /^alknet: --log-file: cannot open .*: ENXIO: /],
      [[...serve, '--log-file', ''], /^alknet: --log-file: must be a path\n$/],
      [['serve', '--config', config], /^alknet: \S+alknet\.toml:4:1: log-file: cannot open .*none\/log: ENOENT/],
      [['connect', '--config', config], /^alknet: \S+alknet\.toml:6:1: .*must be a path\n$/],
      [['connect', '--server', '127.0.0.1:1', '--identity', host, '--log-file', path.join(dir, 'none', 'log')], /^alknet: --log-file: cannot open/]
    ]
    for (const [args, pattern] of cases) {
      const { code, stdout, stderr } = await runAlknet(scope, args)
      assert.deepStrictEqual([code, stdout], [2, ''], args.join(' '))
      assert.match(stderr, pattern)
    }
  })

  it('--check names it, and does not make it; a changed one needs a new start', async () => {
    const file = place()
    const { path: host } = key('ed25519', 'host')
    const config = scope.file('alknet.toml', `[server]\nkey = ${JSON.stringify(host)}\nlisten = "127.0.0.1:0"\nlog-file = ${JSON.stringify(file)}\n`)
    const { stdout } = await runAlknet(scope, ['serve', '--config', config, '--check'])
    assert(stdout.includes(`\nlog-time = true\nlog-file = ${JSON.stringify(file)}\n`), stdout)
    assert(!fs.existsSync(file))
    const server = await startServe(scope, { args: ['--config', config] })
    server.proc.kill('SIGHUP')
    await wait(file, /INFO reloaded\n/)
    assert.doesNotMatch(textOf(file), /option=log\n/)
    fs.appendFileSync(config, '\n')
    fs.writeFileSync(config, fs.readFileSync(config, 'utf8').replace('alknet.log', 'other.log'))
    server.proc.kill('SIGHUP')
    await wait(file, /WARN needs a new start option=log\n/)
  })
})
