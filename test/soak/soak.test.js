'use strict'

/**
 * That test/soak/soak.js finds nothing wrong: in some seconds, which say
 * nothing about memory; in CI, and with SOAK_MINUTES, in as many as it takes.
 */

const assert = require('node:assert')
const path = require('node:path')
const { cleanEnv, needAlknet } = require('../helpers/alknet')
const { run } = require('../helpers/proc')
const { testScope } = require('../helpers/scope')

const SHORT_SECONDS = 12
const CI_MINUTES = 2

const { CI, SOAK_MINUTES } = process.env
const seconds = SOAK_MINUTES || CI ? Number(SOAK_MINUTES || CI_MINUTES) * 60 : SHORT_SECONDS

describe(`a soak of ${seconds} seconds`, function () {
  this.timeout(seconds * 1000 + 180000)
  const scope = testScope()

  it('brings what it should through cuts and kills, and leaves nothing', async function () {
    needAlknet(this)
    const { code, signal, stdout, output } = await run(scope, process.execPath,
      [path.join(__dirname, 'soak.js')], { env: { ...cleanEnv(scope), SOAK_SECONDS: String(seconds) } })
    assert.deepStrictEqual([code, signal], [0, null], output)
    const { cuts, whole, events } = JSON.parse(stdout)
    assert.ok(cuts > 0 && whole > 0 && events.received > 0, stdout)
  })
})
