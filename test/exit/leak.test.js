'use strict'

/** Nothing is left behind: no native object, no descriptor, no memory. */

const assert = require('node:assert')
const path = require('node:path')
const { cleanEnv, needAlknet } = require('../helpers/alknet')
const { ONE_ARENA, UNOPTIMIZED, assertFlat } = require('../helpers/memory-slope')
const { run } = require('../helpers/proc')
const { testScope } = require('../helpers/scope')

const CHILD = path.join(__dirname, '..', 'helpers', 'leak-child.js')
const ROUNDS = 2000 // malloc takes about a thousand to find its size

describe('leaks', function () {
  this.timeout(180000)
  const scope = testScope()

  it(`${ROUNDS} sessions and 1000 channels leave nothing behind`, async function () {
    needAlknet(this)
    const { code, signal, stdout, output } = await run(scope, process.execPath,
      [...UNOPTIMIZED, CHILD, String(ROUNDS)], { env: { ...cleanEnv(scope), ...ONE_ARENA } })
    assert.strictEqual(signal, null, output)
    assert.strictEqual(code, 0, output)
    const { live, fdsBefore, fdsAfter, samples } = JSON.parse(stdout)
    assert.strictEqual(live, 0, 'native objects')
    assert.ok(fdsAfter <= fdsBefore, `descriptors: ${fdsBefore} before, ${fdsAfter} after`)
    for (const [what, taken] of Object.entries(samples)) assertFlat(taken, what)
  })
})
