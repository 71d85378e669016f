'use strict'

const assert = require('assert')
const os = require('os')
const { Policy, parseAllow } = require('../lib/policy')

const DENIED = ['169.254.169.254', '169.254.1.1', '100.100.100.200', 'fe80::1', 'fd00:ec2::254', '0.0.0.0', '0.1.2.3', '::',
  '::ffff:169.254.169.254', '::ffff:0.0.0.0']
const ALLOWED = ['127.0.0.1', '::1', '10.0.0.1', '8.8.8.8', 'fd00::1', '2001:db8::1', '::ffff:127.0.0.1']

function policyOf (rules, own = []) {
  return new Policy({ allow: rules.map(parseAllow), own: () => own })
}

describe('policy', () => {
  it('denies what nobody wants to be reached', () => {
    const policy = policyOf([])
    for (const address of DENIED) assert.match(policy.refuseAddress(address, 80), /built-in deny of .*--allow/, address)
    for (const address of ALLOWED) assert.strictEqual(policy.refuseAddress(address, 80), null, address)
  })

  it('takes nothing but addresses', () => {
    for (const text of ['localhost', '', '2130706433', '127.1']) assert.notStrictEqual(policyOf([]).refuseAddress(text, 80), null)
  })

  it('lifts the deny for just what a rule names', () => {
    const policy = policyOf(['169.254.169.254:80', '[fe80::]/10:1000-2000'])
    assert.strictEqual(policy.refuseAddress('169.254.169.254', 80), null)
    assert.strictEqual(policy.refuseAddress('::ffff:169.254.169.254', 80), null)
    assert.notStrictEqual(policy.refuseAddress('169.254.169.254', 81), null)
    assert.notStrictEqual(policy.refuseAddress('169.254.169.253', 80), null)
    assert.strictEqual(policy.refuseAddress('fe80::1', 2000), null)
    assert.notStrictEqual(policy.refuseAddress('fe80::1', 2001), null)
  })

  it('lifts it for a named set', () => {
    assert.strictEqual(policyOf(['metadata:80']).refuseAddress('100.100.100.200', 80), null)
    assert.strictEqual(policyOf(['LINK-LOCAL:*']).refuseAddress('169.254.7.7', 65535), null)
    assert.notStrictEqual(policyOf(['loopback:*']).refuseAddress('169.254.7.7', 80), null)
  })

  it('does not lift it for a rule that names everything', () => {
    for (const rule of ['0.0.0.0/0:*', '[::]/0:*', '169.0.0.0/8:*', '0.0.0.0/1:80']) {
      for (const address of DENIED) assert.notStrictEqual(policyOf([rule]).refuseAddress(address, 80), null, `${rule} ${address}`)
    }
  })

  it("denies the server's own listeners", () => {
    const own = [{ address: '127.0.0.1', port: 2222 }, { address: '10.9.9.9', port: 22 }]
    const policy = policyOf([], own)
    assert.match(policy.refuseAddress('127.0.0.1', 2222), /own listeners/)
    assert.match(policy.refuseAddress('::ffff:127.0.0.1', 2222), /own listeners/)
    assert.strictEqual(policy.refuseAddress('127.0.0.1', 2223), null)
    assert.strictEqual(policy.refuseAddress('127.0.0.2', 2222), null)
    assert.strictEqual(policy.refuseAddress('127.0.0.1', 22), null)
  })

  it('knows that a wildcard listener is at every address of this machine', () => {
    const mine = Object.values(os.networkInterfaces()).flat().map((one) => one.address)
    for (const wildcard of ['0.0.0.0', '::']) {
      const policy = policyOf([], [{ address: wildcard, port: 2222 }])
      for (const address of ['127.0.0.1', '127.8.9.1', '::1', ...mine]) {
        assert.notStrictEqual(policy.refuseAddress(address, 2222), null, address)
      }
      assert.strictEqual(policy.refuseAddress('192.0.2.1', 2222), null)
    }
  })

  it('lifts that only for the address and the port in so many words', () => {
    const own = [{ address: '127.0.0.1', port: 2222 }]
    assert.strictEqual(policyOf(['127.0.0.1:2222'], own).refuseAddress('127.0.0.1', 2222), null)
    for (const rule of ['loopback:*', '127.0.0.1:*', '127.0.0.0/8:2222', '127.0.0.1:1-65535']) {
      assert.notStrictEqual(policyOf([rule], own).refuseAddress('127.0.0.1', 2222), null, rule)
    }
  })

  it('refuses rules that do not parse', () => {
    for (const text of ['', ':80', '10.0.0.1', '10.0.0.1:', '10.0.0.1:0', '10.0.0.1:65536', '10.0.0.1:9-8', '10.0.0.1:1-2-3',
      '10.0.0.1/33:80', '::1:80', '[::1:80', '[x]:80', 'example.com:80', '*.example.com:80', '*:80', 'toString:80']) {
      assert.strictEqual(typeof parseAllow(text), 'string', text)
    }
  })

  it('keeps a key to its permitopen', () => {
    const policy = policyOf([])
    const all = { forwarding: true, permitOpen: null }
    assert.strictEqual(policy.refuseIdentity(all, 'any', 1), null)
    assert.match(policy.refuseIdentity({ forwarding: false, permitOpen: null }, 'any', 1), /no-port-forwarding/)
    const some = { forwarding: true, permitOpen: [{ host: 'db.internal', port: 5432 }, { host: '::1', port: 0 }, { host: '*', port: 443 }] }
    assert.strictEqual(policy.refuseIdentity(some, 'DB.internal', 5432), null)
    assert.strictEqual(policy.refuseIdentity(some, '0:0:0:0:0:0:0:1', 7), null)
    assert.strictEqual(policy.refuseIdentity(some, 'anything', 443), null)
    for (const [host, port] of [['db.internal', 5433], ['xdb.internal', 5432], ['127.0.0.1', 7]]) {
      assert.match(policy.refuseIdentity(some, host, port), /permitopen/, host)
    }
  })

  it('says nothing about the target in a refusal', () => {
    assert.doesNotMatch(policyOf([]).refuseAddress('169.254.169.254', 4711), /169|4711/)
  })
})
