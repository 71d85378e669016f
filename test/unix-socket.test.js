'use strict'

/** Over the real addon: what it leaves and what it takes are files. */

const assert = require('assert')
const { spawnSync } = require('child_process')
const { once } = require('events')
const fs = require('fs')
const net = require('net')
const path = require('path')
const { testScope } = require('./helpers/scope')
const { listenUnix } = require('../lib/unix-socket')

describe('listening on a Unix socket', () => {
  const scope = testScope()
  const at = (name = 'x.sock') => path.join(scope.dir(), name)

  /** What a program leaves that ends without closing. */
  function leaveBehind (file) {
    const { status, stderr } = spawnSync(process.execPath, ['-e', `require('net').createServer().listen(${JSON.stringify(file)}, () => process.kill(process.pid, 'SIGKILL'))`])
    assert.strictEqual(status, null, String(stderr))
    assert(fs.lstatSync(file).isSocket())
  }

  async function open (file) {
    const handle = await listenUnix(file)
    const closed = new Promise((resolve) => { handle.owner = { onclose: resolve, onstream: (stream) => stream.close() } })
    scope.defer(async () => {
      handle.close()
      await closed
    })
    return handle
  }

  it('makes a socket that only this user reaches, and takes it away', async () => {
    const file = at()
    const handle = await listenUnix(file)
    const closed = new Promise((resolve) => { handle.owner = { onclose: resolve } })
    assert.deepStrictEqual(handle.address(), { path: file })
    assert.strictEqual(fs.statSync(file).mode & 0o777, 0o600)
    handle.close()
    await closed
    assert(!fs.existsSync(file))
  })

  it('takes the place of a socket that nobody listens on', async () => {
    const file = at()
    leaveBehind(file)
    await open(file)
    const socket = net.connect(file)
    await once(socket, 'connect')
    socket.destroy()
  })

  it('leaves a socket alone that somebody listens on', async () => {
    const file = at()
    const server = net.createServer((socket) => socket.on('error', () => {}).end('mine')).listen(file)
    scope.defer(() => new Promise((resolve) => server.close(resolve)))
    await once(server, 'listening')
    await assert.rejects(listenUnix(file), { code: 'EADDRINUSE', stage: 'listen', message: `cannot listen on ${file}: somebody listens there` })
    const socket = net.connect(file)
    const [text] = await once(socket, 'data')
    assert.strictEqual(String(text), 'mine')
    socket.destroy()
  })

  it('leaves a file alone, a folder, and a link to a socket', async () => {
    const file = at('file')
    fs.writeFileSync(file, 'precious')
    const stale = at()
    leaveBehind(stale)
    const link = at('link')
    fs.symlinkSync(stale, link)
    const dir = scope.dir()
    for (const one of [file, link, dir]) {
      await assert.rejects(listenUnix(one), { code: 'EADDRINUSE', message: `cannot listen on ${one}: there is a file that is no socket` })
    }
    assert.strictEqual(fs.readFileSync(file, 'utf8'), 'precious')
    assert(fs.lstatSync(link).isSymbolicLink())
    assert(fs.lstatSync(stale).isSocket())
  })

  it('gives one of several at once the place, and the others a refusal', async () => {
    const file = at()
    leaveBehind(file)
    const results = await Promise.allSettled(Array.from({ length: 5 }, () => open(file)))
    assert.deepStrictEqual(results.filter(({ status }) => status === 'rejected').map(({ reason }) => reason.code), Array(4).fill('EADDRINUSE'))
    const socket = net.connect(file)
    await once(socket, 'connect')
    socket.destroy()
  })

  it('says what is wrong with a path', async () => {
    await assert.rejects(listenUnix(path.join(scope.dir(), 'no', 'x.sock')), { code: 'ENOENT', message: /there is no such folder$/ })
    await assert.rejects(listenUnix(`/${'a'.repeat(200)}`), { code: 'ENAMETOOLONG', message: /the path is too long$/ })
  })
})
