'use strict'

/** What a process is to write to is looked at before it listens: exit code 2. */

const assert = require('assert')
const { spawnSync } = require('child_process')
const fs = require('fs')
const net = require('net')
const { once } = require('events')
const path = require('path')
const { bin, runAlknet, startAlknet } = require('./helpers/alknet')
const { key } = require('./helpers/keys')
const { testScope } = require('./helpers/scope')

const NOBODY = 65534

describe('places that cannot be written', function () {
  this.timeout(60_000)
  const scope = testScope()
  const host = () => key('ed25519', 'host').path

  async function refuses (args, pattern) {
    const { code, stdout, stderr } = await runAlknet(scope, args)
    assert.deepStrictEqual([code, stdout], [2, ''], stderr)
    assert.match(stderr, pattern)
  }

  it('for the control socket', async () => {
    const dir = scope.dir()
    const file = scope.file('file', '')
    const config = scope.file('alknet.toml', `[server]\nkey = ${JSON.stringify(host())}\nlisten = "127.0.0.1:0"\ncontrol = "none/x.sock"\n`)
    const serve = ['serve', '--key', host(), '--listen', '127.0.0.1:0', '--control']
    const connect = ['connect', '--server', '127.0.0.1:1', '--identity', host(), '--socks5', '127.0.0.1:0', '--control']
    for (const args of [serve, connect]) {
      await refuses([...args, path.join(dir, 'none', 'x.sock')], /^alknet: --control: cannot listen on .*: there is no such folder\n$/m)
      await refuses([...args, path.join(file, 'x.sock')], /^alknet: --control: cannot listen on .*: a part of the path is not a directory\n$/m)
    }
    await refuses(['serve', '--config', config], /^alknet: \S+alknet\.toml:4:1: control: cannot listen on .*: there is no such folder\n$/m)
  })

  it('for the control socket, where a folder is not this user\'s', function () {
    if (process.getuid() !== 0) {
      console.log('      skipped: only root can be somebody else')
      this.skip()
    }
    const dir = scope.dir()
    const key = path.join(dir, 'key')
    fs.copyFileSync(host(), key)
    fs.chownSync(key, NOBODY, NOBODY)
    fs.chmodSync(dir, 0o555)
    const { status, stdout, stderr } = spawnSync(process.execPath, [bin, 'serve', '--key', key, '--listen', '127.0.0.1:0', '--control', path.join(dir, 'x.sock')],
      { encoding: 'utf8', uid: NOBODY, gid: NOBODY })
    fs.chmodSync(dir, 0o755)
    if (status === 1 && /Cannot find module|EACCES.*alknet\.js/.test(stderr)) {
      console.log('      skipped: the user nobody cannot read these files')
      this.skip()
    }
    assert.deepStrictEqual([status, stdout], [2, ''], stderr)
    assert.match(stderr, /^alknet: --control: cannot listen on .*: permission denied\n$/m)
  })

  it('but not for the one that nobody has asked for: the log says so, and the server runs', async () => {
    const file = scope.file('file', '')
    const proc = startAlknet(scope, ['serve', '--key', host(), '--listen', '127.0.0.1:0'], { env: { HOME: file, XDG_RUNTIME_DIR: file } })
    await proc.waitFor(/^listening on /m)
    assert.match(proc.stderr, /^WARN no control socket error=ENOTDIR /m)
    proc.kill('SIGTERM')
    assert.strictEqual((await proc.exited).code, 0)
  })

  it('for a host key that --accept-new would write down', async function () {
    const dir = scope.dir()
    const server = net.createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    scope.defer(() => new Promise((resolve) => server.close(resolve)))
    let visits = 0
    server.on('connection', (socket) => { visits++; socket.destroy() })
    const identity = path.join(dir, 'id')
    fs.copyFileSync(host(), identity)
    const isRoot = process.getuid() === 0
    if (isRoot) fs.chownSync(identity, NOBODY, NOBODY)
    fs.chmodSync(dir, 0o555)
    const known = path.join(dir, 'deeper', 'known_hosts')
    const args = ['connect', '--server', `127.0.0.1:${server.address().port}`, '--identity', identity, '--socks5', '127.0.0.1:0', '--control', 'off', '--known-hosts', known, '--accept-new']
    const run = (more) => spawnSync(process.execPath, [bin, ...more], { encoding: 'utf8', ...isRoot && { uid: NOBODY, gid: NOBODY } })
    if (run(['--version']).status !== 0) {
      console.log('      skipped: the user nobody cannot read these files')
      this.skip()
    }
    const { status, stdout, stderr } = run(args)
    assert.deepStrictEqual([status, stdout], [2, ''], stderr)
    assert.match(stderr, new RegExp(`^alknet: --accept-new: a new host key could not be written to ${known}: permission denied\n$`))
    assert.strictEqual(visits, 0)
    fs.chmodSync(dir, 0o755)
  })
})
