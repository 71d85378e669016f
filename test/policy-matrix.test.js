'use strict'

/**
 * The forwarding policy as a table (spec §8), decided as a channel is: by
 * lib/outbound.js over a scripted addon, with a resolver that the test scripts.
 * A row says what was asked, what the name resolves to, and which addresses may
 * be connected to. What counts is what the addon was asked to connect to.
 */

const assert = require('assert')
const { loadWith, fakeBinding, fakeStream } = require('./helpers/fake-binding')
const { createIdentity } = require('../lib/identity')
const { Lookups } = require('../lib/lookups')
const { Policy } = require('../lib/policy')
const { parseRule } = require('../lib/rules')

const binding = fakeBinding()
const [{ Outbound }] = loadWith(binding, ['outbound'])

/** A resolver: names are { name: [answer, …] }, the last answer for ever. */
function resolverOf (names, asked) {
  return (name, options, done) => {
    const answers = names[name]
    asked.push(name)
    if (answers === undefined) return done(Object.assign(new Error('none'), { code: 'ENOTFOUND' }))
    const turn = asked.filter((one) => one === name).length - 1
    done(null, answers[Math.min(turn, answers.length - 1)].map((address) => ({ address })))
  }
}

function policyOf ({ rules = [], byDefault, own = [] }) {
  const parsed = rules.map(parseRule)
  assert.deepStrictEqual(parsed.filter((one) => typeof one === 'string'), [])
  return new Policy({ rules: parsed, byDefault, own: () => own })
}

/**
 * A channel to host:port. Gives { dialed, text, lookups }: every address that
 * the addon was asked to connect to when each of them fails; the refusal, when
 * there was one before that; the names that were looked up.
 */
function ask (setup, host, port = 80) {
  const { names = {}, id = 'SHA256:me', scopes = [], transport = 'tcp' } = setup
  const lookups = []
  const refusals = []
  const permissions = setup.permissions ?? { forwarding: true, permitOpen: null }
  const identity = createIdentity({ id, scopes })
  const connection = {
    policy: policyOf(setup),
    connectMs: 60_000,
    lookups: new Lookups(8, resolverOf(names, lookups)),
    proxies: () => [],
    request: (target) => ({ identity, permissions, transport, ...target }),
    turnAway: (channel, reason, text) => refusals.push(text),
    channelGone () {}
  }
  binding.made.tcp.length = 0
  const channel = fakeStream('channel')
  new Outbound(connection, channel, { host, port }).start()
  const text = refusals[0] ?? null
  const direct = channel.calls.filter(([name]) => name === 'connect').map(([, address]) => address)
  // An attempt that fails makes the next one start.
  for (let i = 0; i < binding.made.tcp.length; i++) binding.made.tcp[i].emit('onclose', { code: 'ECONNREFUSED' })
  return { dialed: [...direct, ...binding.made.tcp.map((one) => one.target.address)], text, lookups }
}

const ALLOWED = true
const DENIED = false

// name, what is asked, set-up, expected: true, false or the list of addresses.
const ROWS = []
const row = (what, host, setup, expected, port) => ROWS.push({ what, host, setup, expected, port })

// ---- loopback, in every spelling
const LOOPBACK = [
  '127.0.0.1', '127.0.0.2', '127.255.255.255', '127.1', '127.0.1', '2130706433', '0x7f000001', '0x7f.0.0.1', '0x7f.1', '0X7F.0.0.0X1',
  '0177.0.0.1', '0177.1', '017700000001', '127.0.0.1.', '127.1.', '１２７.０.０.１', '127。0。0。1', '::1', '0:0:0:0:0:0:0:1', '0000::0001',
  '::ffff:127.0.0.1', '::ffff:7f00:1', '::FFFF:127.0.0.1', '0:0:0:0:0:ffff:7f00:0001', '::ffff:127.8.9.1', '64:ff9b::127.0.0.1', '64:ff9b::7f00:1'
]
for (const host of LOOPBACK) {
  row('loopback under --deny loopback', host, { rules: ['deny loopback'] }, DENIED)
}
for (const host of ['127.0.0.1', '::1', '::ffff:127.0.0.1', '127.1', '2130706433', '0x7f.1', '0177.0.0.1']) {
  row('loopback by default', host, {}, ALLOWED)
}
row('localhost under --deny loopback', 'localhost', { rules: ['deny loopback'], names: { localhost: [['127.0.0.1', '::1']] } }, DENIED)
row('localhost under deny localhost:*', 'LocalHost', { rules: ['deny localhost:*'], names: { localhost: [['127.0.0.1']] } }, DENIED)
row('a name for loopback under deny localhost:*', 'lvh.example', { rules: ['deny localhost:*'], names: { 'lvh.example': [['127.0.0.1']] } }, DENIED)

// ---- the built-in deny
const BUILT_IN = [
  '169.254.169.254', '169.254.0.1', '0xa9fea9fe', '2852039166', '0251.0376.0251.0376', '0xa9.0xfe.0xa9.0xfe', '169.254.43518', '::ffff:169.254.169.254',
  '::ffff:a9fe:a9fe', '100.100.100.200', '::ffff:100.100.100.200', '1684301000', 'fd00:ec2::254', 'fd00:0ec2:0:0:0:0:0:0254', 'fe80::1', 'febf::1',
  'fe80::1%lo', '0.0.0.0', '0', '0.1.2.3', '0x0', '::', '::ffff:0.0.0.0', '64:ff9b::169.254.169.254', '64:ff9b::a9fe:a9fe'
]
for (const host of BUILT_IN) row('the built-in deny', host, {}, DENIED)
for (const host of ['169.254.169.254', 'fe80::1', '0.0.0.0']) row('the built-in deny before allow *:*', host, { rules: ['allow *:*'] }, DENIED)
row('a name for the metadata service', 'metadata.google.internal', { names: { 'metadata.google.internal': [['169.254.169.254']] } }, DENIED)
row('a rule for that name lifts nothing', 'metadata.google.internal', { rules: ['allow metadata.google.internal:80'], names: { 'metadata.google.internal': [['169.254.169.254']] } }, DENIED)
row('a rule for the address lifts it', '169.254.169.254', { rules: ['allow 169.254.169.254:80'] }, ALLOWED)
row('... for the mapped form too', '::ffff:169.254.169.254', { rules: ['allow 169.254.169.254:80'] }, ALLOWED)
row('... not for another port', '169.254.169.254', { rules: ['allow 169.254.169.254:81'] }, DENIED)
row('... not for the neighbour', '169.254.169.253', { rules: ['allow 169.254.169.254:80'] }, DENIED)
row('... only for whom it names', '169.254.169.254', { rules: ['allow 169.254.169.254:80 ops'] }, DENIED)
row('... by a scope', '169.254.169.254', { rules: ['allow 169.254.169.254:80 ops'], scopes: ['ops'] }, ALLOWED)
row('a rule for the set lifts it', '100.100.100.200', { rules: ['allow metadata:80'] }, ALLOWED)
row('link-local does not lift metadata', '169.254.169.254', { rules: ['allow link-local:*'] }, DENIED)
row('link-local lifts the rest of link-local', '169.254.7.7', { rules: ['allow LINK-LOCAL:*'] }, ALLOWED)
row('private does not lift metadata', '100.100.100.200', { rules: ['allow private:*'] }, DENIED)
row('a wide network lifts nothing', '169.254.169.254', { rules: ['allow 0.0.0.0/0:*', 'allow 169.0.0.0/8:*'] }, DENIED)
row('lifted, and then denied by a rule before', '169.254.169.254', { rules: ['deny *:*', 'allow metadata:80'] }, DENIED)
row('lifted where the default is deny', '169.254.169.254', { rules: ['allow metadata:80'], byDefault: 'deny' }, ALLOWED)

// ---- the server's own listeners
const OWN = [{ address: '127.0.0.1', port: 2222 }, { address: '0.0.0.0', port: 9090 }, { path: '/run/alknet.sock' }]
for (const host of ['127.0.0.1', '127.1', '::ffff:127.0.0.1', '64:ff9b::127.0.0.1']) row('an own listener', host, { own: OWN }, DENIED, 2222)
row('a listener at all addresses', '127.9.9.9', { own: OWN }, DENIED, 9090)
row('a listener at all addresses, by IPv6', '::1', { own: OWN }, DENIED, 9090)
row('an own listener, and allow loopback', '127.0.0.1', { own: OWN, rules: ['allow loopback:*', 'allow 127.0.0.1:1-65535'] }, DENIED, 2222)
row('an own listener in so many words', '127.0.0.1', { own: OWN, rules: ['allow 127.0.0.1:2222'] }, ALLOWED, 2222)
row('the port beside an own listener', '127.0.0.1', { own: OWN }, ALLOWED, 2223)

// ---- names, patterns, ports, order, defaults
const DB = { 'db.internal': [['10.0.0.5']], 'db.internal.': [['10.0.0.5']], 'x.db.internal': [['10.0.0.6']], internal: [['10.0.0.7']] }
const named = (rules, more) => ({ rules, names: DB, byDefault: 'deny', ...more })
row('a name', 'db.internal', named(['allow db.internal:80']), ALLOWED)
row('a name in other case', 'DB.Internal', named(['allow db.INTERNAL:80']), ALLOWED)
row('a name with the dot of the root', 'db.internal.', named(['deny db.internal:*'], { byDefault: 'allow' }), DENIED)
row('a name in wide letters', 'ｄｂ.internal', named(['deny db.internal:*'], { byDefault: 'allow' }), DENIED)
row('a name with a wide dot', 'db。internal', named(['deny db.internal:*'], { byDefault: 'allow' }), DENIED)
row('a name with a soft hyphen', 'd\u00adb.internal', named(['deny db.internal:*'], { byDefault: 'allow' }), DENIED)
row('a pattern', 'db.internal', named(['allow *.internal:80']), ALLOWED)
row('a pattern with several labels', 'x.db.internal', named(['allow *.internal:80']), ALLOWED)
row('a pattern has not its own parent', 'internal', named(['allow *.internal:80']), DENIED)
row('a name is not its end', 'x.db.internal', named(['allow db.internal:80']), DENIED)
row('every star counts', 'x.db.internal', named(['allow x.*.int*l:80']), ALLOWED)
row('another port', 'db.internal', named(['allow db.internal:80']), DENIED, 81)
row('the first port of a range', 'db.internal', named(['allow db.internal:80-90']), ALLOWED, 80)
row('the last port of a range', 'db.internal', named(['allow db.internal:80-90']), ALLOWED, 90)
row('the port after a range', 'db.internal', named(['allow db.internal:80-90']), DENIED, 91)
row('every port', 'db.internal', named(['allow db.internal:*']), ALLOWED, 65535)
row('*:port', 'db.internal', named(['allow *:22']), ALLOWED, 22)
row('a network sees what a name resolves to', 'db.internal', named(['deny 10.0.0.0/8:*'], { byDefault: 'allow' }), DENIED)
row('a network allows what a name resolves to', 'db.internal', named(['allow 10.0.0.0/8:80']), ALLOWED)
row('a set sees what a name resolves to', 'db.internal', named(['deny private'], { byDefault: 'allow' }), DENIED)
row('the first match decides: allow', 'db.internal', named(['allow db.internal:80', 'deny *:*']), ALLOWED)
row('the first match decides: deny', 'db.internal', named(['deny private', 'allow db.internal:80']), DENIED)
row('an IPv6 network', 'fd12::1', { rules: ['deny [fd00::]/8:*'] }, DENIED)
row('an IPv4 network in its mapped form', '10.1.2.3', { rules: ['deny [::ffff:10.0.0.0]/104:*'] }, DENIED)
row('no IPv4 rule allows an address behind NAT64', '64:ff9b::10.1.2.3', { rules: ['allow 10.0.0.0/8:*'], byDefault: 'deny' }, DENIED)
row('a rule for the NAT64 prefix allows it', '64:ff9b::10.1.2.3', { rules: ['allow [64:ff9b::]/96:*'], byDefault: 'deny' }, ALLOWED)
row('a mapped address in an IPv4 network', '::ffff:10.1.2.3', { rules: ['deny 10.0.0.0/8:*'] }, DENIED)
row('the default deny', '8.8.8.8', { byDefault: 'deny' }, DENIED)
row('the default allow', '8.8.8.8', {}, ALLOWED)

// ---- who, and over what
row('an id', '8.8.8.8', { byDefault: 'deny', rules: ['allow *:* SHA256:me'] }, ALLOWED)
row('another id', '8.8.8.8', { byDefault: 'deny', rules: ['allow *:* SHA256:you'] }, DENIED)
row('an id in other case', '8.8.8.8', { byDefault: 'deny', rules: ['allow *:* sha256:ME'] }, DENIED)
row('a scope', '8.8.8.8', { byDefault: 'deny', rules: ['allow *:* ops,dev'], scopes: ['dev'] }, ALLOWED)
row('an id with a comma and a space', '8.8.8.8', { byDefault: 'deny', rules: ['allow *:* "bob, of sales"'], id: 'bob, of sales' }, ALLOWED)
row('everyone', '8.8.8.8', { byDefault: 'deny', rules: ['allow *:* *'] }, ALLOWED)
row('a transport', '8.8.8.8', { byDefault: 'deny', rules: ['allow *:* * tls'], transport: 'tls' }, ALLOWED)
row('another transport', '8.8.8.8', { byDefault: 'deny', rules: ['allow *:* * tls,iroh'] }, DENIED)
row('a key that may not forward', '8.8.8.8', { rules: ['allow *:*'], permissions: { forwarding: false, permitOpen: null } }, DENIED)
row('a key with another permitopen', '8.8.8.8', { rules: ['allow *:*'], permissions: { forwarding: true, permitOpen: [{ host: '8.8.4.4', port: 0 }] } }, DENIED)
row('permitopen allows, a rule denies', '8.8.8.8', { rules: ['deny *:*'], permissions: { forwarding: true, permitOpen: [{ host: '*', port: 0 }] } }, DENIED)

// ---- names with several addresses, and resolvers that change their mind
const MIXED = { mixed: [['10.0.0.1', '169.254.169.254', '2001:db8::1', 'fe80::1%lo']] }
row('several addresses, one denied', 'mixed', { names: MIXED }, ['10.0.0.1', '2001:db8::1'])
row('... by a rule', 'mixed', { names: MIXED, rules: ['deny private'] }, ['2001:db8::1'])
row('... in every position', 'mixed', { names: { mixed: [['169.254.169.254', '10.0.0.1']] } }, ['10.0.0.1'])
row('... all of them', 'mixed', { names: { mixed: [['169.254.169.254', '0.0.0.0', '::']] } }, DENIED)
row('... none at all', 'mixed', { names: { mixed: [[]] } }, DENIED)
row('an answer that changes to the metadata service', 'rebind', { names: { rebind: [['8.8.8.8'], ['169.254.169.254']] } }, ['8.8.8.8'])
row('an answer that changes to loopback', 'rebind', { rules: ['deny loopback'], names: { rebind: [['8.8.8.8'], ['127.0.0.1']] } }, ['8.8.8.8'])
row('an answer that changes to what is allowed', 'rebind', { names: { rebind: [['169.254.169.254'], ['8.8.8.8']] } }, DENIED)
row('an answer with addresses that are none', 'odd', { names: { odd: [['127.1', 'x', '']] } }, DENIED)

// ---- what is no target
for (const host of ['', '-x', 'a b', 'a\nb', 'a/b', '1.2.3.4.5', '1.2.3.256', '0x', '999999999999', 'a.0x7f.0x', 'a%b', 'x'.repeat(256), '[::1]', '127.0.0.1:80']) {
  row('no target', host, { rules: ['allow *:*'] }, DENIED)
}

describe('policy matrix', () => {
  it(`has at least 80 rows, each its own (${ROWS.length})`, () => {
    assert(ROWS.length >= 80)
    assert.strictEqual(new Set(ROWS.map((one) => JSON.stringify(one))).size, ROWS.length)
  })

  for (const { what, host, setup, expected, port = 80 } of ROWS) {
    it(`${expected === DENIED ? 'denies' : 'allows'} ${what}: ${JSON.stringify(host.slice(0, 40))}:${port}`, () => {
      const { dialed, text, lookups } = ask(setup, host, port)
      if (Array.isArray(expected)) assert.deepStrictEqual(dialed.toSorted(), expected.toSorted())
      else assert.strictEqual(dialed.length > 0, expected, text)
      // One look-up a channel: what was checked is what is connected to.
      assert(lookups.length <= 1, `${lookups.length} look-ups`)
      if (expected === DENIED) {
        assert.strictEqual(typeof text, 'string')
        if (host.length > 4) assert(!text.includes(host), `the refusal repeats the target: ${text}`)
        assert.doesNotMatch(text, /\d{2,}|internal|ops|SHA256/, 'the refusal tells more than the kind of rule')
      } else {
        assert.strictEqual(text, null)
      }
    })
  }

  it('never looks up what no address could make allowed', () => {
    const cases = [
      [{ rules: ['deny *.internal:*'] }, 'db.internal'],
      [{ byDefault: 'deny' }, 'db.internal'],
      [{ byDefault: 'deny', rules: ['allow other.example:80', 'deny private', 'allow private:81'] }, 'db.internal'],
      [{ byDefault: 'deny', rules: ['allow private:80 ops'] }, 'db.internal'],
      [{ permissions: { forwarding: true, permitOpen: [{ host: 'x', port: 1 }] } }, 'db.internal'],
      [{}, '127.1'], [{}, '2130706433']
    ]
    for (const [setup, host] of cases) assert.deepStrictEqual(ask({ names: DB, ...setup }, host).lookups, [], host)
    assert.deepStrictEqual(ask({ names: DB, byDefault: 'deny', rules: ['deny *.internal:81', 'allow private:80'] }, 'db.internal').lookups, ['db.internal'])
  })

  it('asks the resolver for the name that was checked', () => {
    assert.deepStrictEqual(ask({ names: DB }, 'ｄｂ。INTERNAL').lookups, ['db.internal'])
  })
})
