'use strict'

/** Nothing is left behind: no native object, no descriptor, no memory. */

const assert = require('node:assert')
const path = require('node:path')
const { cleanEnv, needAlknet } = require('../helpers/alknet')
const { MiB } = require('../helpers/behaviours')
const { run } = require('../helpers/proc')
const { testScope } = require('../helpers/scope')

const CHILD = path.join(__dirname, '..', 'helpers', 'leak-child.js')
const ROUNDS = 1000

describe('leaks', function () {
  this.timeout(180000)
  const scope = testScope()

  it(`${ROUNDS} sessions and 1000 channels leave nothing behind`, async function () {
    needAlknet(this)
    const { code, signal, stdout, output } = await run(scope, process.execPath,
      ['--expose-gc', CHILD, String(ROUNDS)], { env: cleanEnv(scope) })
    assert.strictEqual(signal, null, output)
    assert.strictEqual(code, 0, output)
    const { live, fdsBefore, fdsAfter, heap, outside } = JSON.parse(stdout)
    assert.strictEqual(live, 0, 'native objects')
    assert.ok(fdsAfter <= fdsBefore, `descriptors: ${fdsBefore} before, ${fdsAfter} after`)
    assert.ok(heap < 4 * MiB, `the heap grew by ${(heap / MiB).toFixed(1)} MiB`)
    assert.ok(outside < 36 * MiB, `memory outside of it grew by ${(outside / MiB).toFixed(1)} MiB`)
  })
})
