'use strict'

/** A short soak: that test/soak/soak.js finds nothing wrong in some seconds. */

const assert = require('node:assert')
const path = require('node:path')
const { cleanEnv, needAlknet } = require('./helpers/alknet')
const { run } = require('./helpers/proc')
const { testScope } = require('./helpers/scope')

const SECONDS = 12

describe('a short soak', function () {
  this.timeout(180000)
  const scope = testScope()

  it('brings what it should through cuts and kills, and leaves nothing', async function () {
    needAlknet(this)
    const { code, signal, stdout, output } = await run(scope, process.execPath,
      [path.join(__dirname, 'soak', 'soak.js')], { env: { ...cleanEnv(scope), SOAK_SECONDS: String(SECONDS) } })
    assert.deepStrictEqual([code, signal], [0, null], output)
    const { cuts, whole, events } = JSON.parse(stdout)
    assert.ok(cuts > 0 && whole > 0 && events.received > 0, stdout)
  })
})
