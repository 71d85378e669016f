'use strict'

const assert = require('assert')
const { Lookups } = require('../lib/lookups')

function scripted (max) {
  const asked = []
  const lookups = new Lookups(max, (host, options, callback) => {
    assert.deepStrictEqual(options, { all: true, verbatim: true })
    asked.push({ host, callback })
  })
  return { asked, lookups }
}

describe('look-ups', () => {
  it('answer an address at once, without a resolver', () => {
    const { asked, lookups } = scripted(1)
    const seen = []
    assert(lookups.resolve('::1', (err, addresses) => seen.push(err, addresses)))
    assert.deepStrictEqual(seen, [null, ['::1']])
    assert.deepStrictEqual(asked, [])
  })

  it('run two at once and keep the rest in line', () => {
    const { asked, lookups } = scripted(10)
    const seen = []
    for (const host of ['a', 'b', 'c', 'd']) lookups.resolve(host, (err, addresses) => seen.push(host, err, addresses))
    assert.deepStrictEqual(asked.map((one) => one.host), ['a', 'b'])
    asked[1].callback(null, [{ address: '1.1.1.1', family: 4 }, { address: '::2', family: 6 }])
    assert.deepStrictEqual(seen, ['b', null, ['1.1.1.1', '::2']])
    assert.deepStrictEqual(asked.map((one) => one.host), ['a', 'b', 'c'])
  })

  it('refuse more than their limit, and take more when one is done', () => {
    const { asked, lookups } = scripted(3)
    const ignore = () => {}
    for (const host of ['a', 'b', 'c']) assert(lookups.resolve(host, ignore))
    assert(!lookups.resolve('d', assert.fail))
    asked[0].callback(null, [])
    assert(lookups.resolve('d', ignore))
    assert(!lookups.resolve('e', assert.fail))
  })

  it('say nothing about the name when it is not found', () => {
    const { asked, lookups } = scripted(1)
    let seen
    lookups.resolve('secret.example', (err) => { seen = err })
    asked[0].callback(Object.assign(new Error('getaddrinfo ENOTFOUND secret.example'), { code: 'ENOTFOUND' }))
    assert.strictEqual(seen.code, 'ERR_ALKNET_DNS')
    assert.doesNotMatch(seen.message, /secret/)
  })

  it('answer nobody after close()', () => {
    const { asked, lookups } = scripted(4)
    for (const host of ['a', 'b', 'c']) lookups.resolve(host, assert.fail)
    lookups.close()
    asked[0].callback(null, [])
    asked[1].callback(new Error('x'))
    assert.strictEqual(asked.length, 2)
    assert(!lookups.resolve('d', assert.fail))
  })
})
