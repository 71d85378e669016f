'use strict'

/**
 * Whatever happens to a stream at whatever moment: 'close' comes once and last,
 * each callback is called once, an error is told once and to those whose it is,
 * and the session's other channels go on.
 */

const assert = require('node:assert')
const alknet = require('../..')
const binding = require('../../lib/binding')
const { needAlknet } = require('../helpers/alknet')
const { suiteScope, testScope } = require('../helpers/scope')
const { MOMENTS, OVER, Watcher, roundTrip } = require('./moments')
const { startPair } = require('./pairs')

const turn = () => new Promise((resolve) => setImmediate(resolve))

/** What is done to the near end. error: what it has to tell, if it is not over yet. */
const ACTIONS = {
  'destroy()': { act: ({ near }) => near.stream.destroy(), error: null },
  'destroy(err)': {
    act: ({ near, mine }) => near.stream.destroy(mine),
    error: ({ mine }) => mine
  },
  'destroy(err) twice': {
    act ({ near, mine }) {
      near.stream.destroy(mine)
      near.stream.destroy(new Error('the second'))
    },
    error: ({ mine }) => mine
  },
  'destroy() inside a write': {
    act ({ near }) {
      if (near.stream.writable) near.write('x')
      near.stream.destroy()
      if (!near.stream.writableEnded) near.write('y')
    },
    error: null
  },
  'end() and destroy()': {
    act ({ near }) {
      if (near.stream.writable) near.end('x')
      near.stream.destroy()
    },
    error: null
  },
  'the peer is destroyed': { act: ({ far }) => far.stream.destroy(new Error('far')) },
  'the session closes': { act: ({ session }) => session.close(), endsSession: true },
  'the server closes': { act: ({ server }) => server.close(), endsSession: true }
}

function checkEnd (watcher, name) {
  assert.strictEqual(watcher.count('close'), 1, `${name}: ${watcher.events}`)
  assert.deepStrictEqual(watcher.afterClose(), [], `${name}: events after 'close'`)
  assert(watcher.count('error') <= 1, `${name}: ${watcher.events}`)
  assert(watcher.count('end') <= 1 && watcher.count('finish') <= 1, `${name}: ${watcher.events}`)
  assert.deepStrictEqual(watcher.calls, watcher.calls.map(() => 1), `${name}: calls of the callbacks`)
}

for (const engine of alknet.versions.engines) {
  describe(`streams at any moment, ${engine}`, function () {
    this.timeout(30000)
    const suite = suiteScope()
    const scope = testScope()
    let shared = null
    let liveBefore = 0

    before(async function () {
      needAlknet(this)
      shared = await startPair(suite, engine)
      await roundTrip(shared)
      liveBefore = binding.live()
    })

    after(async () => {
      // The next turns close what has been closed: no native object is left.
      while (binding.live() > liveBefore) await turn()
    })

    for (const [moment, reach] of Object.entries(MOMENTS)) {
      for (const [name, { act, error, endsSession = false }] of Object.entries(ACTIONS)) {
        it(`${moment}: ${name}`, async () => {
          const pair = endsSession ? await startPair(scope, engine) : shared
          const ends = await pair.open()
          const mine = new Error('mine')
          const at = { ...pair, mine, near: new Watcher(ends.near), far: new Watcher(ends.far) }
          await reach(at)
          const errors = at.near.errors.length
          act(at)
          // A half-open stream, or an unread one, waits for its user.
          at.near.stream.resume().end()
          at.far.stream.resume().end()
          await Promise.all([at.near.closed, at.far.closed])
          if (!endsSession) await roundTrip(pair)
          await turn()
          checkEnd(at.near, 'near')
          checkEnd(at.far, 'far')
          if (error === undefined || OVER.includes(moment)) return
          const told = error === null ? [] : [error(at)]
          assert.deepStrictEqual(at.near.errors.slice(errors), told)
          // What had not left when it was destroyed is lost, and its callback says so.
          const { errored } = at.near.stream
          if (told.length > 0) assert.strictEqual(errored, told[0])
          else assert(errored === null || errored.code === 'ERR_ALKNET_CLOSED', errored)
        })
      }
    }
  })
}
