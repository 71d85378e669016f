'use strict'

/**
 * process.exit() and an exception inside every callback that a user can give:
 * the exit goes through, the exception is an uncaughtException once, and what
 * was going on can still be closed and begun anew.
 */

const assert = require('node:assert')
const path = require('node:path')
const { cleanEnv, needAlknet } = require('../helpers/alknet')
const { run } = require('../helpers/proc')
const { testScope } = require('../helpers/scope')

const CHILD = path.join(__dirname, '..', 'helpers', 'callbacks-child.js')

const CALLBACKS = [
  'server passphrase', 'client passphrase',
  'server log: listening', 'server log: connection opened', 'server log: auth attempt', 'server log: connection closed',
  'onConnection', 'server connection', 'server auth', 'server session', 'server close', 'server closed',
  'session state', 'session close', 'session closed', 'listener closed',
  'stream data', 'stream end', 'stream finish', 'stream drain', 'stream close', 'stream write', 'stream end()',
  'broken stream readable', 'broken stream error', 'broken stream close', 'broken stream write',
  'server stream data', 'server stream end', 'server stream finish', 'server stream drain', 'server stream error',
  'server stream close', 'server stream write', 'server stream end()',
  'alknet:connect', 'alknet:auth', 'alknet:channel'
]

// What these throw, the call that asked for them rejects with.
const REJECTS = ['server passphrase', 'client passphrase']

describe('callbacks', function () {
  this.timeout(60000)
  const scope = testScope()
  before(function () { needAlknet(this) })

  async function child (callback, action) {
    const { code, signal, stdout, output } = await run(scope, process.execPath, [CHILD, callback, action], { env: cleanEnv(scope) })
    assert.strictEqual(signal, null, output)
    return { code, stdout, output }
  }

  for (const callback of CALLBACKS) {
    it(`process.exit() in: ${callback}`, async () => {
      const { code, output } = await child(callback, 'exit')
      assert.strictEqual(code, 7, output)
    })

    it(`an exception in: ${callback}`, async () => {
      const { code, stdout, output } = await child(callback, 'throw')
      assert.strictEqual(code, 0, output)
      assert.deepStrictEqual(JSON.parse(stdout), { came: true, uncaught: REJECTS.includes(callback) ? 0 : 1, live: 0 }, output)
    })
  }
})
