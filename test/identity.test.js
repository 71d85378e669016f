'use strict'

const assert = require('assert')
const { createIdentity, identityOfCertificate, identityOfKey, parseScopes } = require('../lib/identity')

describe('identity', () => {
  it('of a key is its fingerprint, with the scopes of its line', () => {
    assert.deepStrictEqual(identityOfKey('SHA256:x', ['a', 'b', 'a']), { id: 'SHA256:x', scopes: ['a', 'b'], resources: {} })
  })

  it('of a certificate is its key id, with the scopes that its CA gave', () => {
    const certificate = { keyId: 'bob, of sales', fingerprint: 'SHA256:x' }
    assert.deepStrictEqual(identityOfCertificate(certificate), { id: 'bob, of sales', scopes: [], resources: {} })
    assert.deepStrictEqual(identityOfCertificate({ ...certificate, extension: 'a,b', scopes: ['b', 'c'] }).scopes, ['b', 'c', 'a'])
    assert.strictEqual(identityOfCertificate({ ...certificate, keyId: '' }).id, 'SHA256:x')
    assert.match(identityOfCertificate({ ...certificate, extension: 'a, b' }), /^scopes@alknet: /)
  })

  it('reads scopes whole or not at all', () => {
    assert.deepStrictEqual(parseScopes(''), [])
    assert.deepStrictEqual(parseScopes('relay:connect,service:gitea:read,relay:connect'), ['relay:connect', 'service:gitea:read'])
    for (const text of [',', 'a,', 'a,,b', 'a b', 'a\n', 'a"', 'a\0b', 'x'.repeat(256), Array(257).fill('a').join()]) {
      assert.strictEqual(typeof parseScopes(text), 'string', JSON.stringify(text.slice(0, 20)))
    }
  })

  it('can be changed by nobody', () => {
    const scopes = ['a']
    const resources = { repo: ['x'] }
    const identity = createIdentity({ id: 'i', scopes, resources })
    scopes.push('root')
    resources.repo.push('y')
    assert.deepStrictEqual(identity, { id: 'i', scopes: ['a'], resources: { repo: ['x'] } })
    assert.throws(() => identity.scopes.push('root'), TypeError)
    assert.throws(() => identity.resources.repo.push('y'), TypeError)
    assert.throws(() => { identity.id = 'root' }, TypeError)
  })
})
