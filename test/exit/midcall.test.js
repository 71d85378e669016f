'use strict'

/** Workers that are terminated in the middle of a call that takes a stream. */

const assert = require('node:assert')
const path = require('node:path')
const { cleanEnv, needAlknet } = require('../helpers/alknet')
const { run } = require('../helpers/proc')
const { testScope } = require('../helpers/scope')

const CHILD = path.join(__dirname, '..', 'helpers', 'midcall-child.js')

// Of calls that broke at it, one in five of them did, with all cores at work.
const ROUNDS = 10

describe('workers terminated in the middle of a call', function () {
  this.timeout(60000)
  const scope = testScope()
  before(function () { needAlknet(this) })

  for (const name of ['relay', 'proxySocks5', 'proxyHttp', 'enter', 'openGate', 'sshClient']) {
    it(name, async () => {
      const { code, signal, stdout, output } = await run(scope, process.execPath, [CHILD, name, String(ROUNDS)], { env: cleanEnv(scope) })
      assert.deepStrictEqual([code, signal, stdout], [0, null, 'done\n'], output)
    })
  }
})
