'use strict'

/** That a run of the tests fails when alknet tells where a connection leads. */

const assert = require('node:assert')
const fs = require('node:fs')
const path = require('node:path')
const { run } = require('./helpers/proc')
const { testScope } = require('./helpers/scope')
const { TARGET_PORTS, destinationsTold } = require('../tools/destinations')

const root = path.join(__dirname, '..')
const helper = (name) => JSON.stringify(path.join(__dirname, 'helpers', name))

/** Files of tests: what is in their one test. */
const FILES = {
  quiet: `
    const echo = await echoServer(scope)
    await run(scope, process.execPath, ['-e', 'console.log("listening on 127.0.0.1:40000")'])
    logger.debug('connection closed', { remote_addr: '127.0.0.1', remote_port: 40000 })`,
  prints: `
    const echo = await echoServer(scope)
    await run(scope, process.execPath, ['-e', 'process.stderr.write("to 127.0.0.1:' + echo.port + '")'])`,
  logs: `
    request('db.well-kept.invalid', 5432)
    logger.debug('connection closed', { reason: 'db.well-kept.invalid' })`,
  answers: `
    require('node:child_process').execFileSync(process.execPath,
      ['-e', 'console.log("/run/well-kept.sock is there")', '--', '-L', '0:/run/well-kept.sock'])`
}

const textOf = (name) => `
  const { echoServer } = require(${helper('net.js')})
  const { run } = require(${helper('proc.js')})
  const { Scope } = require(${helper('scope.js')})
  const { request } = require(${helper('socks.js')})
  const logger = require(${JSON.stringify(path.join(root, 'lib', 'log.js'))}).createLogger({ level: 'error', write () {} })
  it('${name}', async () => {
    const scope = new Scope()
    ${FILES[name]}
    await scope.close()
  })`

describe('a destination that is told', function () {
  this.timeout(180000)
  const scope = testScope()

  it('fails the run, whoever tells it, and says in which file', async () => {
    const files = Object.keys(FILES).map((name) => scope.file(`${name}.test.js`, textOf(name)))
    const { code, stdout, output } = await run(scope, process.execPath,
      [path.join(root, 'tools', 'mocha-files.js'), '--jobs', '2', ...files], { cwd: root, env: { ...process.env, ALKNET_MOCHA_COUNTS: '' } })
    assert.strictEqual(code, 1, output)
    const failed = stdout.split('\nfailed:\n')[1]?.trim().split('\n').map((line) => /([a-z]+)\.test\.js: (.*)$/.exec(line).slice(1)) ?? []
    assert.deepStrictEqual(failed.map(([file]) => file).sort(), ['answers', 'logs', 'prints'], output)
    for (const [, what] of failed) assert.match(what, /^alknet has told a destination, in 1 lines: /)
  })

  const told = (targets, line) => {
    const prefix = path.join(scope.dir(), 'x-')
    fs.writeFileSync(`${prefix}targets`, targets.join('\n'))
    fs.writeFileSync(`${prefix}said`, `INFO before\n${line}\nINFO after\n`)
    const lines = destinationsTold(prefix)
    assert.ok(lines.length === 0 || (lines.length === 1 && lines[0] === line))
    return lines.length === 1
  }

  it('is known by its name, address, path or port', () => {
    const port = TARGET_PORTS.first + 1
    for (const [target, line] of [
      ['db.internal 80', 'DEBUG channel failed problem="db.internal: no"'],
      ['DB.internal 80', 'to db.INTERNAL.'],
      ['alknet-echo 1', 'alknet-echo:1'],
      ['169.254.169.254 80', 'refused 169.254.169.254:80'],
      ['2001:db8::1 80', 'refused [2001:db8::1]:80'],
      ['/run/a.sock', '{"path":"/run/a.sock"}'],
      [`127.0.0.1 ${port}`, `to 127.0.0.1:${port}`],
      [`127.0.0.1 ${port}`, `address=127.0.0.1 port=${port}`],
      [`localhost ${port}`, `{"port":${port}}`]
    ]) assert.strictEqual(told([target, 'other.internal 1'], line), true, `${target} in ${line}`)
  })

  it('is not taken for something else', () => {
    const port = TARGET_PORTS.first + 1
    for (const [target, line] of [
      ['db.internal 80', 'a.db.internal db.internal.example xdb.internal'],
      ['db 80', 'the db'],
      ['127.0.0.1 80', 'listening on 127.0.0.1:80'],
      [`127.0.0.1 ${port}`, `listening on 127.0.0.1:${port}1, ${port}, duration=1.${port}, pid=${port}, {"pid":${port}}`],
      ['127.0.0.1 45678', 'remote_port=45678'],
      ['/run/a.sock', '/run/a.sock2'],
      ['2001:db8::1 80', '2001:db8::12']
    ]) assert.strictEqual(told([target], line), false, `${target} in ${line}`)
  })
})
