'use strict'

const assert = require('assert')
const os = require('os')
const { createIdentity } = require('../lib/identity')
const { Policy } = require('../lib/policy')
const { parseListenRule, parseRule } = require('../lib/rules')

const FREE = { forwarding: true, permitOpen: null, permitListen: null }

function policyOf (rules, more = {}) {
  return new Policy({ rules: rules.map(parseRule), ...more, permitListen: more.permitListen?.map(parseListenRule) ?? null })
}

function request (more) {
  return { identity: createIdentity({ id: 'me', scopes: ['dev'] }), permissions: FREE, transport: 'tcp', host: 'x.example', port: 80, ...more }
}

function textFor (policy, address, port, more) {
  return policy.decide(request({ host: address, port, ...more }), [address]).verdicts[0].text
}

// The rest of the decisions about addresses is the table of policy-matrix.
describe('policy: addresses', () => {
  it('takes nothing but addresses', () => {
    for (const text of ['localhost', '', '2130706433', '127.1']) assert.strictEqual(textFor(policyOf([]), text, 80), 'not an address')
  })

  it('refuses a zone where it means nothing', () => {
    for (const address of ['::1%lo', 'fd00::1%1', '2001:db8::1%eth0', '::ffff:127.0.0.1%lo']) {
      assert.match(textFor(policyOf(['allow loopback:*', 'allow private:*']), address, 80), /zone/, address)
    }
    assert.strictEqual(textFor(policyOf(['allow [fe80::1]:80']), 'fe80::1%x:127.0.0.1', 80), null)
  })

  it('knows that a wildcard listener is at every address of this machine', () => {
    const mine = Object.values(os.networkInterfaces()).flat().map((one) => one.address)
    for (const wildcard of ['0.0.0.0', '::']) {
      const policy = policyOf([], { own: () => [{ address: wildcard, port: 2222 }] })
      for (const address of ['127.0.0.1', '127.8.9.1', '::1', ...mine]) assert.notStrictEqual(textFor(policy, address, 2222), null, address)
      assert.strictEqual(textFor(policy, '192.0.2.1', 2222), null)
    }
  })

  it('says which rule decided', () => {
    const policy = policyOf(['deny private:81', 'allow private', 'deny *:*'])
    const decide = (address, port) => policy.decide(request({ port }), [address]).verdicts[0]
    const what = ({ allow, by, number, rule }) => [allow, by, number, rule?.text]
    assert.deepStrictEqual(what(decide('10.0.0.1', 81)), [false, 'rule', 1, 'deny private:81'])
    assert.deepStrictEqual(what(decide('10.0.0.1', 80)), [true, 'rule', 2, 'allow private'])
    assert.deepStrictEqual(what(decide('8.8.8.8', 80)), [false, 'rule', 3, 'deny *:*'])
    assert.deepStrictEqual(what(decide('169.254.169.254', 80)), [false, 'built-in', 0, undefined])
    assert.deepStrictEqual(what(policyOf([]).decide(request(), ['8.8.8.8']).verdicts[0]), [true, 'default', 0, undefined])
    assert.deepStrictEqual(what(policyOf([]).decide(request({ permissions: { ...FREE, forwarding: false } }), ['8.8.8.8']).verdicts[0]), [false, 'key', 0, undefined])
  })

  it('tells the client the kind of rule and how to lift it, and no more', () => {
    const texts = [
      [textFor(policyOf([]), '169.254.169.254', 4711), /^built-in deny of metadata addresses .*--allow/],
      [textFor(policyOf([]), 'fe80::1', 4711), /^built-in deny of link-local addresses .*--allow/],
      [textFor(policyOf([], { own: () => [{ address: '127.0.0.1', port: 4711 }] }), '127.0.0.1', 4711), /own listeners .*--allow/],
      [textFor(policyOf(['deny 10.4.7.11:4711 secret-scope,dev']), '10.4.7.11', 4711), /^denied by a rule .*--allow/],
      [textFor(policyOf([], { byDefault: 'deny' }), '10.4.7.11', 4711), /^denied by the default .*--allow/],
      [policyOf([]).decidePath(request({ path: '/run/4711' })).text, /--allow unix:/],
      [policyOf([]).decideListen(request({ host: '0.0.0.0', port: 4711 })).text, /--permit-listen/]
    ]
    for (const [text, pattern] of texts) {
      assert.match(text, pattern)
      assert.doesNotMatch(text, /\d|secret|dev\b/)
    }
  })

  it('keeps a key to its permitopen', () => {
    const permissions = { ...FREE, permitOpen: [{ host: 'db.internal', port: 5432 }, { host: '::1', port: 0 }, { host: '*', port: 443 }] }
    const preview = (host, port) => policyOf([]).preview(request({ permissions, host, port }))
    assert.strictEqual(preview('DB.internal', 5432), null)
    assert.strictEqual(preview('0:0:0:0:0:0:0:1', 7), null)
    assert.strictEqual(preview('anything', 443), null)
    for (const [host, port] of [['db.internal', 5433], ['xdb.internal', 5432], ['127.0.0.1', 7], ['::1%lo', 7]]) {
      assert.match(preview(host, port).text, /permitopen/, host)
    }
    assert.match(policyOf([]).preview(request({ permissions: { ...FREE, forwarding: false } })).text, /no-port-forwarding/)
  })
})

describe('policy: Unix sockets', () => {
  const decide = (rules, path, more = {}) => policyOf(rules, more).decidePath(request({ path, ...more })).allow

  it('are denied whatever the default, until a rule allows a path', () => {
    assert(!decide([], '/run/db.sock'))
    assert(!decide(['allow *:*'], '/run/db.sock'))
    assert(decide(['allow unix:/run/db.sock'], '/run/db.sock'))
    assert(decide(['allow unix:/run/*'], '/run/db.sock'))
    assert(decide(['allow unix:/run/*/s.*'], '/run/a/s.5432'))
  })

  it('have stars that cross no slash, and one spelling', () => {
    for (const path of ['/run/a/b', '/run', '/run/', '/runx/a', '//run/a', '/run/../etc/a', '/run/./a', '/run/..', 'run/a', '', '/run/a\0', `/run/${'x'.repeat(200)}`]) {
      assert(!decide(['allow unix:/run/*'], path), JSON.stringify(path))
    }
  })

  it('follow order, principals and transports', () => {
    assert(!decide(['deny unix:/run/secret*', 'allow unix:/run/*'], '/run/secret.sock'))
    assert(decide(['allow unix:/run/* dev'], '/run/a'))
    assert(!decide(['allow unix:/run/* ops'], '/run/a'))
    assert(!decide(['allow unix:/run/* * tls'], '/run/a'))
  })

  it('are not for keys with other limits', () => {
    assert(!decide(['allow unix:/run/*'], '/run/a', { permissions: { ...FREE, forwarding: false } }))
    assert(!decide(['allow unix:/run/*'], '/run/a', { permissions: { ...FREE, permitOpen: [{ host: '*', port: 0 }] } }))
  })

  it('of the server itself need a rule in so many words', () => {
    const own = () => [{ path: '/run/alknet.sock' }, { address: '127.0.0.1', port: 1 }]
    assert(!decide(['allow unix:/run/*'], '/run/alknet.sock', { own }))
    assert(decide(['allow unix:/run/alknet.sock'], '/run/alknet.sock', { own }))
  })
})

describe('policy: reserved destinations', () => {
  const decide = (rules, host, more = {}) => policyOf(rules, more).decideReserved(request({ host, port: 0, ...more })).allow

  it('are not for rules about addresses and names, nor for the default', () => {
    assert(decide(['deny *:*', 'deny *:*', 'deny a*:*'], 'alknet-control', { byDefault: 'deny' }))
  })

  it('are for rules that name them', () => {
    assert(!decide(['deny alknet-control:*'], 'alknet-control'))
    assert(!decide(['allow alknet-control:* ops', 'deny alknet-*:*'], 'alknet-control'))
    assert(decide(['allow alknet-control:* dev', 'deny alknet-*:*'], 'alknet-control'))
    assert(!decide([], 'alknet-control', { permissions: { ...FREE, permitOpen: [{ host: 'db', port: 1 }] } }))
  })

  it('is asked as a server with a proxy would', async () => {
    const { testPolicy } = require('..')
    const lookup = () => assert.fail('it was looked up')
    const ask = (rules, target) => testPolicy({ proxy: 'socks5://proxy.example', forwarding: { rules } }, { target, id: 'x', lookup })
    assert.deepStrictEqual((await ask([], 'db.example:80')).verdicts.map(({ address, allow, by }) => [address, allow, by]), [[null, true, 'default']])
    assert.match((await ask(['deny private'], 'db.example:80')).verdicts[0].text, /does not see the address/)
    assert(!(await ask([], '169.254.169.254:80')).allow)
  })

  it('answers no question about another form of a reserved name, and looks none up', async () => {
    const { testPolicy } = require('..')
    const lookup = () => assert.fail('it was looked up')
    for (const target of ['alknet-é:80', 'ALKNET-É:80']) {
      await assert.rejects(testPolicy({}, { target, id: 'x', lookup }), { code: 'ERR_ALKNET_OPTION' })
    }
    assert((await testPolicy({}, { target: 'ALKNET-Control:0', id: 'x', lookup })).allow)
  })
})

describe('policy: listening for a client', () => {
  const listen = (permitListen, host, port, more) => policyOf([], { permitListen }).decideListen(request({ host, port, ...more })).addresses

  it('permits loopback from port 1024 on, and nothing else', () => {
    assert.deepStrictEqual(listen(undefined, 'localhost', 8080), ['127.0.0.1', '::1'])
    assert.deepStrictEqual(listen(undefined, 'LOCALHOST', 1024), ['127.0.0.1', '::1'])
    assert.deepStrictEqual(listen(undefined, '127.0.0.1', 0), ['127.0.0.1'])
    assert.deepStrictEqual(listen(undefined, '::1', 65535), ['::1'])
    assert.deepStrictEqual(listen(undefined, '127.3.4.5', 8080), ['127.3.4.5'])
    for (const [host, port] of [['localhost', 1023], ['localhost', 22], ['', 8080], ['*', 8080], ['0.0.0.0', 8080], ['::', 8080], ['10.0.0.1', 8080],
      ['example.com', 8080], ['127.1', 8080], ['::ffff:0.0.0.0', 8080], ['x\0', 8080]]) {
      assert.deepStrictEqual(listen(undefined, host, port), [], `${host}:${port}`)
    }
    assert.deepStrictEqual(policyOf([]).decideListen(request({ path: '/tmp/a', host: undefined })).addresses, [])
  })

  it('permits what the rules name, instead', () => {
    assert.deepStrictEqual(listen(['*:8080'], '', 8080), ['0.0.0.0', '::'])
    assert.deepStrictEqual(listen(['*:8080'], 'localhost', 8081), [], 'the rules replace the default')
    assert.deepStrictEqual(listen(['0.0.0.0:8080'], '', 8080), [], 'all addresses or none')
    assert.deepStrictEqual(listen(['0.0.0.0:8080'], '0.0.0.0', 8080), ['0.0.0.0'])
    assert.deepStrictEqual(listen(['127.0.0.1:8080'], 'localhost', 8080), ['127.0.0.1'])
    assert.deepStrictEqual(listen(['private:80-90'], '10.0.0.1', 85), ['10.0.0.1'])
    assert.deepStrictEqual(listen([], 'localhost', 8080), [])
  })

  it('gives any free port only where all of them are permitted', () => {
    assert.deepStrictEqual(listen(['loopback:8000-9000'], 'localhost', 0), [])
    assert.deepStrictEqual(listen(['loopback:1024-65535'], 'localhost', 0), ['127.0.0.1', '::1'])
    assert.deepStrictEqual(listen(['loopback'], 'localhost', 0), ['127.0.0.1', '::1'])
  })

  it('asks who, over what, and what the key may', () => {
    assert.deepStrictEqual(listen(['loopback dev'], 'localhost', 80), ['127.0.0.1', '::1'])
    assert.deepStrictEqual(listen(['loopback ops'], 'localhost', 80), [])
    assert.deepStrictEqual(listen(['loopback * iroh'], 'localhost', 80), [])
    assert.deepStrictEqual(listen(['loopback'], 'localhost', 80, { permissions: { ...FREE, forwarding: false } }), [])
    const permissions = { ...FREE, permitListen: [{ host: 'localhost', port: 8080 }, { host: '*', port: 9090 }] }
    assert.deepStrictEqual(listen(undefined, 'localhost', 8080, { permissions }), ['127.0.0.1', '::1'])
    assert.deepStrictEqual(listen(undefined, '127.0.0.1', 9090, { permissions }), ['127.0.0.1'])
    assert.deepStrictEqual(listen(undefined, '127.0.0.1', 8080, { permissions }), [])
    assert.deepStrictEqual(listen(['*:8080', '*:9090'], '', 8080, { permissions }), [])
  })

  it('permits paths by rule', () => {
    const path = (rules, path) => policyOf([], { permitListen: rules }).decideListen(request({ path, host: undefined, port: undefined })).addresses
    assert.deepStrictEqual(path(['unix:/run/user/*'], '/run/user/a'), ['/run/user/a'])
    assert.deepStrictEqual(path(['unix:/run/user/*'], '/run/user/../a'), [])
    assert.deepStrictEqual(path(['*:*'], '/run/user/a'), [])
  })
})

describe('policy: names that a proxy looks up', () => {
  const verdict = (rules, host, more, port = 80) => policyOf(rules, more).decideUnresolved(request({ host, port }))
  const what = (...args) => { const { allow, by, number } = verdict(...args); return [allow, by, number] }

  it('allows what every address would be allowed', () => {
    assert.deepStrictEqual(what([], 'x.example'), [true, 'default', 0])
    assert.deepStrictEqual(what(['allow *.example:80', 'deny private'], 'x.example'), [true, 'rule', 1])
    assert.deepStrictEqual(what(['allow *:80', 'deny loopback'], 'x.example'), [true, 'rule', 1])
    assert.deepStrictEqual(what(['deny private:81', 'deny loopback:* others'], 'x.example'), [true, 'default', 0])
  })

  it('refuses where a rule about addresses might', () => {
    assert.deepStrictEqual(what(['allow y.example:80', 'deny private'], 'x.example'), [false, 'rule', 2])
    assert.match(verdict(['deny 10.0.0.0/8:*'], 'x.example').text, /does not see the address .*--allow/)
    assert.deepStrictEqual(what(['allow private', 'deny *:*'], 'x.example'), [false, 'rule', 2])
    assert.deepStrictEqual(what(['allow private'], 'x.example', { byDefault: 'deny' }), [false, 'default', 0])
    assert.deepStrictEqual(what(['deny x.example:*'], 'x.example'), [false, 'rule', 1])
    const permissions = { ...FREE, permitOpen: [{ host: 'y.example', port: 80 }] }
    assert.strictEqual(policyOf([]).decideUnresolved(request({ permissions })).by, 'key')
  })

  it('judges addresses as always', () => {
    for (const host of ['169.254.169.254', 'fe80::1', '0.0.0.0', '::ffff:169.254.169.254']) assert.strictEqual(verdict([], host).by, 'built-in', host)
    assert.deepStrictEqual(what(['deny private'], '10.0.0.1'), [false, 'rule', 1])
    assert.deepStrictEqual(what(['deny private'], '8.8.8.8'), [true, 'default', 0])
    assert.deepStrictEqual(what(['allow 169.254.169.254:80'], '169.254.169.254'), [true, 'rule', 1])
  })

  it('knows where localhost leads', () => {
    const own = { own: () => [{ address: '127.0.0.1', port: 80 }] }
    for (const host of ['localhost', 'LocalHost.', 'a.localhost']) {
      assert.deepStrictEqual(what(['deny loopback'], host), [false, 'rule', 1])
      assert.deepStrictEqual(what(['deny private'], host), [true, 'default', 0])
      assert.strictEqual(verdict([], host, own).by, 'built-in')
      assert.strictEqual(what(['allow 127.0.0.1:80', 'deny *:*'], host)[0], false) // not ::1
    }
  })

  // All lists of up to three rules out of these: a name that is allowed is so
  // whatever its address.
  it('never allows a name that one address would not be allowed', () => {
    const all = ['deny private', 'allow private', 'deny 8.8.8.8:80', 'allow x.example:*', 'deny *.example:80', 'allow *:80', 'deny *:*', 'deny private:80 dev', 'allow loopback:*']
    const addresses = ['10.0.0.1', '127.0.0.1', '8.8.8.8', '2001:db8::1', 'fd00::1', '64:ff9b::a00:1']
    const lists = all.flatMap((a) => all.flatMap((b) => all.map((c) => [a, b, c])))
    let allowed = 0
    for (const rules of lists) {
      for (const byDefault of ['allow', 'deny']) {
        const policy = policyOf(rules, { byDefault })
        if (!policy.decideUnresolved(request()).allow) continue
        allowed++
        assert.deepStrictEqual(policy.decide(request(), addresses).addresses, addresses, `${rules}; ${byDefault}`)
      }
    }
    assert(allowed > 100)
  })
})
