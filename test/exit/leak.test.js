'use strict'

/** Nothing is left behind: no native object, no descriptor, no memory. */

const assert = require('node:assert')
const path = require('node:path')
const { cleanEnv, needAlknet } = require('../helpers/alknet')
const { slopeOf } = require('../helpers/memory-slope')
const { run } = require('../helpers/proc')
const { testScope } = require('../helpers/scope')

const CHILD = path.join(__dirname, '..', 'helpers', 'leak-child.js')
const ROUNDS = 1000

// Bytes for each session, or channel: less than a stream, and than a buffer. What V8 learns of code that runs for the first time is in it.
const SLOPES = { heap: 1024, outside: 4096 }

describe('leaks', function () {
  this.timeout(180000)
  const scope = testScope()

  it(`${ROUNDS} sessions and 1000 channels leave nothing behind`, async function () {
    needAlknet(this)
    const { code, signal, stdout, output } = await run(scope, process.execPath,
      ['--expose-gc', CHILD, String(ROUNDS)], { env: cleanEnv(scope) })
    assert.strictEqual(signal, null, output)
    assert.strictEqual(code, 0, output)
    const { live, fdsBefore, fdsAfter, samples } = JSON.parse(stdout)
    assert.strictEqual(live, 0, 'native objects')
    assert.ok(fdsAfter <= fdsBefore, `descriptors: ${fdsBefore} before, ${fdsAfter} after`)
    for (const [what, taken] of Object.entries(samples)) {
      for (const [key, limit] of Object.entries(SLOPES)) {
        const slope = slopeOf(taken, key)
        assert.ok(slope < limit, `${key}: ${Math.round(slope)} bytes more with each of ${what}: ${JSON.stringify(taken.map((one) => one[key]))}`)
      }
    }
  })
})
