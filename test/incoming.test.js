'use strict'

/**
 * Connections that wait to be taken (lib/incoming.js), without a session.
 */

const assert = require('assert')
const v8 = require('v8')
const vm = require('vm')
const { Backlog } = require('../lib/incoming')

/** An arrival that opens at once. */
function arrival (stream) {
  return { take: (done) => done(stream, {}), refuse: () => assert.fail('refused'), onleave: null }
}

describe('connections that wait', () => {
  it('are forgotten by a loop once it has given them away', async () => {
    v8.setFlagsFromString('--expose-gc')
    const gc = vm.runInNewContext('gc')
    const backlog = new Backlog(1)
    const loop = backlog.iterate()
    const given = []
    for (let i = 0; i < 100; i++) {
      const next = loop.next()
      backlog.add(arrival({ destroy () {} }))
      given.push(new WeakRef((await next).value.stream))
    }
    await new Promise(setImmediate) // what an await of this turn holds is let go
    gc()
    const held = given.filter((one) => one.deref() !== undefined).length
    assert.ok(held < 10, `${held} of 100 are still held`)
    await loop.return()
  })
})
