'use strict'

const assert = require('assert')
const fs = require('fs')
const path = require('path')
const binding = require('../lib/binding')
const { REASONS, loadAuthorizer } = require('../lib/authorizer')
const { Counters } = require('../lib/counters')
const { parseSourceAddress } = require('../lib/certificates')
const { cidrHas, addressBytes } = require('../lib/addresses')
const { Login } = require('../lib/login')
const { FOREVER, HOST, certify, makeKey, string, strings } = require('./helpers/certificates')

const ca = makeKey()
const lineCa = makeKey()
const stranger = makeKey()
const subject = makeKey()
const now = 1_800_000_000

/** An authorizer of these lines and lists, with ca in a file of CAs. */
async function authorizerOf ({ authorizedKeys = '', certAuthority = ca.public, revokedKeys } = {}) {
  const { authorizer, problems } = await loadAuthorizer({
    authorizedKeys: [Buffer.from(authorizedKeys)],
    certAuthority: [Buffer.from(certAuthority)],
    revokedKeys: revokedKeys === undefined ? [] : [Buffer.from(revokedKeys)]
  })
  assert.deepStrictEqual(problems, [])
  return authorizer
}

function find (authorizer, blob, { user = 'root', address = '198.51.100.7', at = now } = {}) {
  return authorizer.find({ blob, user, address }, at * 1000)
}

/** A certificate of subject's, signed by ca unless said otherwise. */
const cert = (fields, by = ca) => certify(by, subject.blob, fields)

describe('certificates', function () {
  this.timeout(60000) // a key of RSA takes its time
  const seen = new Set()
  let plain, rsa
  before(async () => {
    plain = await authorizerOf()
    rsa = makeKey('ssh-rsa')
  })

  function refuses (authorizer, blob, reason, question) {
    const found = find(authorizer, blob, question)
    assert.deepStrictEqual([found.reason, found.grant], [reason, null])
    seen.add(reason)
    return found
  }

  function admits (authorizer, blob, question) {
    const found = find(authorizer, blob, question)
    assert.strictEqual(found.reason, null)
    return found.grant
  }

  it('let in whom a CA has signed for', () => {
    const { identity, permissions } = admits(plain, cert({ keyId: 'alice@laptop' }))
    assert.deepStrictEqual(identity, { id: 'alice@laptop', scopes: [], resources: {} })
    assert.deepStrictEqual(permissions, { forwarding: true, permitOpen: null, permitListen: null })
  })

  it('are signed by each kind of key', async () => {
    for (const other of [makeKey('ecdsa-sha2-nistp256'), rsa]) {
      const authorizer = await authorizerOf({ certAuthority: other.public })
      admits(authorizer, cert({}, other))
      admits(authorizer, certify(other, makeKey('ecdsa-sha2-nistp256').blob))
      refuses(plain, cert({}, other), 'ca_unknown')
    }
    admits(plain, certify(ca, rsa.blob))
  })

  it('that cannot be read are refused', () => {
    const whole = cert()
    const damaged = [
      cert({ spoil: true }), whole.subarray(0, -1), Buffer.concat([whole, Buffer.alloc(1)]), whole.subarray(0, 60),
      cert({ kind: 3 }), cert({ keyId: 'a\0b' }), cert({ principals: ['root\0x', 'root'] }),
      cert({ principals: [Buffer.from([0xff])] }), cert({ keyId: Buffer.from([0xc3]) }),
      cert({ critical: { 'source-address': '0.0.0.0/0', 'force-command': 'x' } }) // not in order
    ]
    for (const blob of damaged) {
      const found = refuses(plain, blob, 'cert_invalid')
      assert.strictEqual(found.certificate, null)
    }
  })

  it('have a CA that is a plain key, and its signature is not SHA-1', async () => {
    const nested = { ...ca, blob: cert() }
    refuses(plain, cert({}, nested), 'cert_invalid')
    const authorizer = await authorizerOf({ certAuthority: rsa.public })
    admits(authorizer, cert({ algorithm: 'rsa-sha2-256' }, rsa))
    refuses(authorizer, cert({ algorithm: 'ssh-rsa' }, rsa), 'cert_invalid')
  })

  it("that are hosts' let nobody in", () => {
    refuses(plain, cert({ kind: HOST }), 'cert_not_user')
    refuses(plain, cert({ kind: HOST }, stranger), 'cert_not_user')
  })

  it('of unknown CAs are refused, whatever else they say', () => {
    const found = refuses(plain, cert({ validBefore: 1n }, stranger), 'ca_unknown')
    assert.strictEqual(found.certificate.caFingerprint, binding.fingerprint(stranger.blob))
    refuses(plain, certify(subject, subject.blob), 'ca_unknown')
  })

  it('have a time', () => {
    const blob = cert({ validAfter: BigInt(now), validBefore: BigInt(now + 10) })
    refuses(plain, blob, 'cert_not_yet_valid', { at: now - 1 })
    admits(plain, blob, { at: now })
    admits(plain, blob, { at: now + 9 })
    refuses(plain, blob, 'cert_expired', { at: now + 10 })
    refuses(plain, cert({ validAfter: FOREVER }), 'cert_not_yet_valid')
    refuses(plain, cert({ validAfter: 5n, validBefore: 4n }), 'cert_expired')
  })

  it('name the user, byte for byte', () => {
    admits(plain, cert({ principals: ['other', 'root'] }))
    admits(plain, cert({ principals: ['j\u00fcrgen'] }), { user: 'j\u00fcrgen' })
    refuses(plain, cert({ principals: [] }), 'principals_empty')
    for (const [principals, user] of [
      [['other'], 'root'], [['Root'], 'root'], [['root '], 'root'], [['*'], 'root'], [['r?ot'], 'root'], [['root,other'], 'root'],
      [[''], ''], [['\ufffd'], '\ufffd'], [['u\u0308'], '\u00fc']
    ]) refuses(plain, cert({ principals }), 'principal_mismatch', { user })
  })

  it('are asked for principals= of their CA instead of the user', async () => {
    const authorizer = await authorizerOf({ authorizedKeys: `cert-authority,principals="ops,db" ${lineCa.public}` })
    admits(authorizer, cert({ principals: ['x', 'db'] }, lineCa), { user: 'anybody' })
    refuses(authorizer, cert({ principals: ['root'] }, lineCa), 'principal_mismatch')
    refuses(authorizer, cert({ principals: ['ops,db'] }, lineCa), 'principal_mismatch')
    refuses(authorizer, cert({ principals: [] }, lineCa), 'principals_empty')
  })

  it('honour source-address', () => {
    const blob = cert({ critical: { 'source-address': '198.51.100.0/24,2001:db8::/32' } })
    admits(plain, blob)
    admits(plain, blob, { address: '2001:db8:1::1' })
    for (const address of ['198.51.101.7', '2001:db9::1', 'not an address', '']) refuses(plain, blob, 'source_address', { address })
    refuses(plain, cert({ critical: { 'source-address': '0.0.0.0/0,x' } }), 'source_address')
    refuses(plain, cert({ critical: { 'source-address': '' } }), 'source_address')
    refuses(plain, cert({ critical: { 'source-address': Buffer.from([0]) } }), 'source_address')
  })

  it('may force a command, and nothing else that is critical', () => {
    admits(plain, cert({ critical: { 'force-command': 'x' } }))
    for (const critical of [{ 'verify-required': '' }, { 'no-such@example.com': 'x' }, { 'force-command': '' }, { constructor: '' }, { 'permit-pty': '' }]) {
      refuses(plain, cert({ critical }), 'critical_option')
    }
  })

  it('permit forwarding, or there is none', async () => {
    assert.strictEqual(admits(plain, cert({ extensions: {} })).permissions.forwarding, false)
    assert.strictEqual(admits(plain, cert({ extensions: { 'permit-pty': '', 'z@example.com': 'x' } })).permissions.forwarding, false)
    refuses(plain, cert({ extensions: { 'permit-port-forwarding': 'x' } }), 'cert_invalid')
    const authorizer = await authorizerOf({ authorizedKeys: `restrict,cert-authority ${lineCa.public}` })
    assert.strictEqual(admits(authorizer, cert({}, lineCa)).permissions.forwarding, false, "the CA's line has to permit it too")
  })

  it('have the limits and the scopes of their CA', async () => {
    const authorizer = await authorizerOf({ authorizedKeys: `cert-authority,permitopen="a:1",permitlisten="2",scopes="x,y" ${lineCa.public}` })
    const grant = admits(authorizer, cert({ keyId: '', extensions: { 'permit-port-forwarding': '', 'scopes@alknet': 'y,z' } }, lineCa))
    assert.deepStrictEqual(grant.permissions, { forwarding: true, permitOpen: [{ host: 'a', port: 1 }], permitListen: [{ host: '*', port: 2 }] })
    assert.deepStrictEqual(grant.identity, { id: binding.fingerprint(subject.blob), scopes: ['x', 'y', 'z'], resources: {} })
  })

  it('are refused with scopes that are none', () => {
    assert.deepStrictEqual(admits(plain, cert({ extensions: { 'scopes@alknet': '' } })).identity.scopes, [])
    for (const scopes of ['a b', 'a,,b', Buffer.from('ab'), string(Buffer.from([0xff])), strings('a', 'b')]) {
      refuses(plain, cert({ extensions: { 'scopes@alknet': scopes } }), 'cert_scopes')
    }
  })

  it('obey expiry-time and from of their CA', async () => {
    const authorizer = await authorizerOf({
      certAuthority: '',
      authorizedKeys: `cert-authority,expiry-time="20300101Z" ${ca.public}\ncert-authority,from="10.0.0.0/8" ${lineCa.public}`
    })
    admits(authorizer, cert())
    refuses(authorizer, cert(), 'key_expired', { at: Date.UTC(2030, 0, 1) / 1000 })
    admits(authorizer, cert({}, lineCa), { address: '10.1.2.3' })
    refuses(authorizer, cert({}, lineCa), 'from_mismatch')
  })

  it('pass when one of several lines lets them', async () => {
    const authorizer = await authorizerOf({
      certAuthority: '',
      authorizedKeys: `cert-authority,principals="x" ${ca.public}\ncert-authority,principals="y",restrict ${ca.public}`
    })
    assert.strictEqual(admits(authorizer, cert({ principals: ['x'] })).permissions.forwarding, true)
    assert.strictEqual(admits(authorizer, cert({ principals: ['y'] })).permissions.forwarding, false)
    refuses(authorizer, cert(), 'principal_mismatch')
  })

  it('keep CAs and keys apart', async () => {
    const authorizer = await authorizerOf({ certAuthority: '', authorizedKeys: `cert-authority ${ca.public}\n${subject.public}` })
    refuses(authorizer, ca.blob, 'unknown_key')
    admits(authorizer, subject.blob)
    refuses(authorizer, certify(subject, stranger.blob), 'ca_unknown')
    refuses(authorizer, certify(stranger, subject.blob), 'ca_unknown', {})
    refuses(plain, ca.blob, 'unknown_key')
  })

  it('are revoked with their key, their CA, or their fingerprints', async () => {
    const ofKey = await authorizerOf({ revokedKeys: `# gone\n${subject.public}\n`, authorizedKeys: subject.public })
    refuses(ofKey, cert(), 'key_revoked')
    refuses(ofKey, subject.blob, 'key_revoked')
    admits(ofKey, certify(ca, stranger.blob))
    const ofPrint = await authorizerOf({ revokedKeys: binding.fingerprint(subject.blob), authorizedKeys: subject.public })
    refuses(ofPrint, cert(), 'key_revoked')
    refuses(ofPrint, subject.blob, 'key_revoked')
    for (const revokedKeys of [ca.public, binding.fingerprint(ca.blob)]) {
      const authorizer = await authorizerOf({ revokedKeys, authorizedKeys: `cert-authority ${lineCa.public}` })
      refuses(authorizer, cert(), 'ca_revoked')
      admits(authorizer, cert({}, lineCa))
    }
    refuses(ofKey, stranger.blob, 'unknown_key')
  })

  it('are told apart in all reasons that there are', () => {
    assert.deepStrictEqual(REASONS.filter((one) => !seen.has(one)), ['max_sessions'], 'each is seen here but the one of the limits')
    for (const one of seen) assert(REASONS.includes(one), one)
  })

  it('have their reasons in cli.md', () => {
    const text = fs.readFileSync(path.join(__dirname, '..', 'docs', 'cli.md'), 'utf8')
    const table = text.split('### Why a login is refused\n')[1].split('\nThe client is told')[0]
    const rows = table.split('\n').filter((line) => line.startsWith('| `')).flatMap((line) => [...line.split('|')[1].matchAll(/`(\w+)`/g)])
    assert.deepStrictEqual(rows.map(([, reason]) => reason).sort(), Object.keys(new Counters().values().rejected).sort())
  })

  it('need files that can be read', async () => {
    for (const [revokedKeys, message] of [['rubbish', /revokedKeys:1: /], [`\n${subject.public.slice(0, -8)}`, /revokedKeys:2: /], ['SSHKRL\n\0x', /revokedKeys: /]]) {
      await assert.rejects(authorizerOf({ revokedKeys }), { code: 'ERR_ALKNET_KEY', message })
    }
    await assert.rejects(loadAuthorizer({ authorizedKeys: [], certAuthority: [], revokedKeys: ['/nonexistent/krl'] }), { code: 'ENOENT' })
    await assert.rejects(loadAuthorizer({ authorizedKeys: [], certAuthority: ['/nonexistent/ca'], revokedKeys: [] }), { code: 'ENOENT' })
  })

  it('leave an authorizer empty only without any CA', async () => {
    assert.strictEqual(plain.isEmpty, false)
    assert.strictEqual((await authorizerOf({ certAuthority: '' })).isEmpty, true)
    assert.strictEqual((await authorizerOf({ certAuthority: '', authorizedKeys: `cert-authority ${ca.public}` })).isEmpty, false)
    assert.strictEqual((await authorizerOf({ certAuthority: '', authorizedKeys: subject.public })).isEmpty, false)
  })

  it('are named in problems when their CA is of no use', async () => {
    const { authorizer, problems } = await loadAuthorizer({
      authorizedKeys: [], certAuthority: [Buffer.from(`# CAs\nfoo ${ca.public}\n${ca.public}\n`)], revokedKeys: []
    })
    assert.deepStrictEqual(problems, [{ source: 'certAuthority', line: 2, message: 'the option "foo" is not known' }])
    assert.deepStrictEqual(authorizer.authorities().map(({ source, line }) => [source, line]), [['certAuthority', 3]])
    assert.deepStrictEqual(authorizer.keys(), [])
  })
})

describe('source-address', () => {
  it('is a list of networks', () => {
    const cases = [
      ['10.0.0.0/8', '10.1.2.3', true], ['10.0.0.0/8', '11.1.2.3', false], ['10.1.2.3', '10.1.2.3', true], ['10.1.2.3', '10.1.2.4', false],
      ['10.0.0.0/8,192.0.2.0/25', '192.0.2.127', true], ['192.0.2.0/25', '192.0.2.128', false], ['0.0.0.0/0', '8.8.8.8', true],
      ['0.0.0.0/0', '::1', false], ['::/0', '8.8.8.8', false], ['::1', '::1', true], ['FD00::/8', 'fd12::1', true], ['fd00::/8', 'fe00::1', false],
      ['10.0.0.0/8', '::ffff:10.1.2.3', true], ['::ffff:10.0.0.0/104', '10.1.2.3', false]
    ]
    for (const [list, address, isIn] of cases) {
      const networks = parseSourceAddress(list)
      assert.notStrictEqual(networks, null, list)
      assert.strictEqual(networks.some((one) => cidrHas(one, addressBytes(address))), isIn, `${list} ${address}`)
    }
  })

  it('is taken whole or not at all', () => {
    for (const list of ['', ',', '10.0.0.0/8,', ',10.0.0.0/8', '10.0.0.0/33', '::/129', '10.0.0.1/8', '10.0.0.0/7x', 'fd00::1/8', '10.0.0.0/',
      '10.0.0.*', '!10.0.0.1', '10.0.0.0/8, 10.1.2.3', 'localhost', 'fe80::1%eth0', '10.0.0.0/8,x', '10.0.0.0/-1', '10.0.0.0/8/8', '010.0.0.0/8x',
      `10.0.0.0/8,${'1'.repeat(60)}`]) assert.strictEqual(parseSourceAddress(list), null, list)
  })
})

describe('the login with a certificate', () => {
  const REMOTE = { remote_addr: '198.51.100.7', remote_port: 5 }

  async function loginOf (options) {
    const logged = []
    const server = {
      _authorizer: await authorizerOf(options),
      _counters: new Counters(),
      _limits: { promote: () => true, favour () {} },
      _options: { maxAuthAttempts: 10 },
      _log: { info: (event, fields) => logged.push(fields) }
    }
    return { login: new Login(server, REMOTE, {}), logged }
  }

  it('is logged with the certificate, accepted or not', async () => {
    const { login, logged } = await loginOf()
    const blob = cert({ keyId: 'a "b"\nc', serial: 2n ** 64n - 1n })
    const about = {
      cert_id: 'a "b"\nc', cert_serial: '18446744073709551615', ca_fingerprint: binding.fingerprint(ca.blob)
    }
    assert.deepStrictEqual(login.answer('other', 'x', blob, true), { admit: false, reason: null })
    assert.deepStrictEqual(login.answer('root', 'x', blob, true), { admit: true, reason: null })
    const key = binding.fingerprint(subject.blob)
    assert.deepStrictEqual(logged, [
      { ...REMOTE, user: 'other', key_fingerprint: key, ...about, result: 'reject', reason: 'principal_mismatch' },
      { ...REMOTE, user: 'root', key_fingerprint: key, ...about, result: 'accept', reason: undefined }
    ])
    assert.strictEqual(login.user, 'root')
    assert.strictEqual(login.identity.id, 'a "b"\nc')
  })

  it('is logged with a fingerprint of what cannot be read', async () => {
    const { login, logged } = await loginOf()
    const blob = cert({ spoil: true })
    assert.strictEqual(login.answer('root', 'x', blob, false).admit, false)
    assert.deepStrictEqual(logged, [{
      ...REMOTE,
      user: 'root',
      key_fingerprint: binding.fingerprint(blob),
      cert_id: undefined,
      cert_serial: undefined,
      ca_fingerprint: undefined,
      result: 'reject',
      reason: 'cert_invalid'
    }])
  })

  it('is not decided by a question', async () => {
    const { login, logged } = await loginOf()
    assert.strictEqual(login.answer('root', 'x', cert(), false).admit, true)
    assert.deepStrictEqual([logged, login.identity, login.permissions], [[], null, null])
  })
})
