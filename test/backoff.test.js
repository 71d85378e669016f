'use strict'

const assert = require('node:assert')
const { Backoff } = require('../lib/backoff')
const { isFatal } = require('../lib/keeper')
const { fail, nativeError, systemError } = require('../lib/errors')

describe('Backoff', () => {
  const delays = (backoff, count) => Array.from({ length: count }, () => backoff.next())

  it('doubles up to the longest, and begins anew', () => {
    const backoff = new Backoff({ minDelayMs: 1000, maxDelayMs: 30_000 }, () => 0)
    assert.deepStrictEqual(delays(backoff, 8), [1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000])
    backoff.reset()
    assert.deepStrictEqual(delays(backoff, 2), [1000, 2000])
  })

  it('is up to a fifth longer', () => {
    const random = [0, 0.5, 1]
    const backoff = new Backoff({ minDelayMs: 1000, maxDelayMs: 1000 }, () => random.shift())
    assert.deepStrictEqual(delays(backoff, 3), [1000, 1100, 1200])
  })

  it('never waits for longer than the longest, also when the shortest is longer', () => {
    assert.deepStrictEqual(delays(new Backoff({ minDelayMs: 50, maxDelayMs: 20 }, () => 0), 3), [20, 20, 20])
  })
})

describe('what is tried again', () => {
  // docs/api.md has this as a table.
  const system = (code, stage) => Object.assign(nativeError(null, stage, code, -1, 0, 'x'))
  const rows = [
    // error, fatal at first, fatal later
    [fail('HOSTKEY', 'hostkey', 'x'), true, true],
    [fail('OPTION', 'options', 'x'), true, true],
    [fail('UNSUPPORTED', 'listen', 'x'), true, true],
    [fail('AUTH', 'auth', 'x'), true, false],
    [fail('KEY', 'key', 'x'), true, false],
    [fail('CANCELED', 'connect', 'x'), true, false],
    [systemError(system('EACCES'), 'hostkey', 'known_hosts cannot be written'), true, false],
    [system('ECONNRESET', 'hostkey'), false, false],
    [system('ECONNREFUSED', 'connect'), false, false],
    [system('ENETUNREACH', 'connect'), false, false],
    [fail('DNS', 'dns', 'x'), false, false],
    [fail('TIMEOUT', 'kex', 'x'), false, false],
    [fail('LOST', 'session', 'x'), false, false],
    [fail('PROTO', 'kex', 'x'), false, false],
    [fail('KEX', 'kex', 'x'), false, false],
    [fail('CHANNEL', 'listen', 'a remote forward that is refused'), false, false]
  ]
  for (const [err, atFirst, later] of rows) {
    it(`${err.code} at the stage ${err.stage}: ${atFirst ? 'fatal at first' : 'always'}${later ? ' and later' : ''}`, () => {
      assert.deepStrictEqual([isFatal(err, true), isFatal(err, false)], [atFirst, later])
    })
  }
})
