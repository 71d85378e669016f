'use strict'

/** ref() and unref() of a session: whether it keeps the process up. */

const assert = require('node:assert')
const path = require('node:path')
const alknet = require('../..')
const { cleanEnv, needAlknet } = require('../helpers/alknet')
const { run } = require('../helpers/proc')
const { testScope } = require('../helpers/scope')

const CHILD = path.join(__dirname, '..', 'helpers', 'unref-child.js')

describe('unref', function () {
  this.timeout(30000)
  const scope = testScope()

  for (const [mode, expected] of [['none', 'up\n'], ['unref', ''], ['ref', 'up\n']]) {
    it(`a session, ${mode}: ${expected === '' ? 'the process ends' : 'the process stays'}`, async function () {
      needAlknet(this)
      const host = await alknet.generateKey()
      const me = await alknet.generateKey()
      const server = await alknet.serve({
        hostKey: host.privateKey, authorizedKeys: Buffer.from(me.publicKey), listen: '127.0.0.1:0'
      })
      scope.defer(() => server.close())
      const options = {
        server: `127.0.0.1:${server.address().port}`,
        identity: scope.file('key', me.privateKey),
        hostKey: host.fingerprint
      }
      const { code, signal, stdout, stderr } = await run(scope, process.execPath,
        [CHILD, JSON.stringify(options), mode], { env: cleanEnv(scope) })
      assert.deepStrictEqual({ code, signal, stdout, stderr }, { code: 0, signal: null, stdout: expected, stderr: '' })
    })
  }
})
