'use strict'

/** A server with worker threads, and the process that ends at any stage of it. */

const assert = require('node:assert')
const path = require('node:path')
const { cleanEnv, needAlknet } = require('../helpers/alknet')
const { run } = require('../helpers/proc')
const { testScope } = require('../helpers/scope')

const CHILD = path.join(__dirname, '..', 'helpers', 'serve-workers-child.js')
const DEATHS = path.join(__dirname, '..', 'helpers', 'worker-deaths-child.js')

describe('a server with workers', function () {
  this.timeout(60000)
  const scope = testScope()
  before(function () { needAlknet(this) })

  async function child (...args) {
    const { code, signal, stdout, output } = await run(scope, process.execPath, [CHILD, ...args], { env: cleanEnv(scope) })
    assert.strictEqual(signal, null, output)
    return { code, stdout, output }
  }

  for (const stage of ['starting', 'started', 'connecting', 'session', 'data', 'closing', 'closed']) {
    it(`process.exit() at the stage "${stage}"`, async () => {
      const { code, output } = await child(stage, 'exit')
      assert.deepStrictEqual({ code, output }, { code: 0, output: '' })
    })
  }

  for (const stage of ['starting', 'session', 'data', 'closing']) {
    it(`an exception at the stage "${stage}"`, async () => {
      const { code, output } = await child(stage, 'throw')
      assert.strictEqual(code, 1, output)
      assert.match(output, /Error: thrown on purpose/)
    })
  }

  it('ends by itself once it is closed, and nothing is left', async () => {
    const { code, stdout, output } = await child('none', 'none')
    assert.strictEqual(code, 0, output)
    assert(Number(stdout) <= 0, output)
  })

  it('keeps nothing of threads that end under its clients', async () => {
    const { code, signal, stdout, output } = await run(scope, process.execPath, ['--no-warnings', DEATHS, '6'], { env: cleanEnv(scope) })
    assert.deepStrictEqual({ code, signal }, { code: 0, signal: null }, output)
    const { fds, logins, left } = JSON.parse(stdout)
    assert(fds <= 0, output)
    assert(logins > 0, output)
    assert.deepStrictEqual(left, { sessions: 0, connected: 0, waiting: 0, sources: 0 })
  })

  for (const [stage, action, expected, text] of [
    ['started', 'ref', 'up\n', 'keeps the process up'],
    ['started', 'unref', '', 'does not, after unref() and without a client'],
    ['session', 'unref', 'up\n', 'does, after unref(), for who is connected']
  ]) {
    it(text, async () => {
      const { code, output } = await child(stage, action)
      assert.deepStrictEqual({ code, output }, { code: 0, output: expected })
    })
  }
})
