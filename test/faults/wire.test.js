'use strict'

/**
 * Faults between two machines: when each end notices, that the tunnel comes
 * back, and that nothing is left. All happen at once, each to a tunnel of its
 * own; how fast it is exactly is bench/faults.js's to say.
 */

const assert = require('node:assert')
const { needAlknet } = require('../helpers/alknet')
const { FAULTS, happen } = require('../helpers/faults')
const { needMachines } = require('../helpers/netns')
const { suiteScope } = require('../helpers/scope')

const LIMITS = { keepalive: 3, keepaliveMax: 2 }
const STEP_MS = 2000

// So long that what is noticed sooner was not noticed by its silence.
const PATIENT = { keepalive: 8, keepaliveMax: 2 }
const PATIENT_STEP_MS = 16000 / 3

// What a slow machine may add to a time that it is told of late.
const SLACK_MS = 6000

// Until then the kernel, left alone, has not noticed anything.
const KERNEL_MS = 60000

describe('faults on the wire', function () {
  this.timeout(240000)
  const scope = suiteScope()
  const results = {}

  before(function () {
    needAlknet(this)
    needMachines(this)
    for (const name of Object.keys(FAULTS)) {
      results[name] = happen(scope, name, name === 'address changed' ? PATIENT : LIMITS)
      results[name].catch(() => {}) // its test tells
    }
  })

  /** Noticed, not before its time and not long after it. */
  function assertNoticed (ms, from, to) {
    assert.ok(ms >= from, `noticed after ${ms} ms: before it could know`)
    assert.ok(ms <= to + SLACK_MS, `noticed after ${ms} ms: later than ${to} ms`)
  }

  for (const name of ['all packets lost', 'packets to the server lost', 'packets to the client lost', 'relay half-open', '200 ms each way, then all packets lost']) {
    it(`${name}: both ends give up within keepalive * max and a second, and it comes back`, async () => {
      const { client, server, promisedMs } = await results[name]
      assert.ok(promisedMs + SLACK_MS < KERNEL_MS)
      // The last byte may have come up to a step before the fault.
      assertNoticed(client, promisedMs - 1000 - STEP_MS - 500, promisedMs)
      assertNoticed(server, promisedMs - 1000 - STEP_MS - 500, promisedMs)
    })
  }

  it('server killed: noticed at once, and it comes back when there is one again', async () => {
    const { client } = await results['server killed (SIGKILL)']
    assertNoticed(client, 0, 1000)
  })

  it('server stopped: given up, and it comes back when it goes on', async () => {
    const { client, promisedMs } = await results['server stopped (SIGSTOP)']
    assertNoticed(client, promisedMs - 1000 - STEP_MS - 500, promisedMs)
  })

  it('client stopped: given up, and it comes back when it goes on', async () => {
    const { client, server, promisedMs } = await results['client stopped (SIGSTOP)']
    assertNoticed(server, promisedMs - 1000 - STEP_MS - 500, promisedMs)
    assertNoticed(client, 0, 1000)
  })

  it('client gone without a word: the server gives it up', async () => {
    const { server, promisedMs } = await results['client gone without a word']
    assertNoticed(server, promisedMs - 1000 - STEP_MS - 500, promisedMs)
  })

  it('half-open: the first question finds out', async () => {
    const { client, promisedMs } = await results['server half-open']
    assertNoticed(client, 0, promisedMs)
  })

  it('address changed: noticed long before its silence, and it comes back from the new one', async () => {
    const { client, server, promisedMs } = await results['address changed']
    const silent = promisedMs - 1000 - PATIENT_STEP_MS // the last byte was at most a step before
    assert.ok(client < silent, `noticed after ${client} ms, as by silence alone`)
    assertNoticed(server, 0, promisedMs)
  })

  it('30 % of packets lost: what arrives is right, and it goes on', async () => {
    const { recovered } = await results['30 % of packets lost'] // which rejects when a byte is wrong
    assert.ok(recovered > 0)
  })

  it('200 ms each way: nobody is given up, and it carries what it should', async () => {
    const { echoes, lost } = await results['200 ms each way']
    assert.ok(echoes > 0)
    assert.strictEqual(lost, false)
  })
})
