'use strict'

const assert = require('assert')
const { concerns, matchesPath, parseListenRule, parseRule } = require('../lib/rules')
const { createIdentity } = require('../lib/identity')

describe('rules', () => {
  it('are read from text', () => {
    const cases = {
      'allow db.internal:5432': { action: 'allow', kind: 'name', pattern: 'db.internal', low: 5432, high: 5432 },
      'DENY  *.Example.COM.:80-90 ': { action: 'deny', kind: 'name', pattern: '*.example.com', low: 80, high: 90 },
      'allow *:22': { kind: 'any', low: 22, high: 22 },
      'allow *:*': { kind: 'any', low: 0, high: 65535 },
      'deny loopback': { kind: 'address', low: 0, high: 65535 },
      'deny bücher.example:80': { kind: 'name', pattern: 'xn--bcher-kva.example' },
      'allow unix:/run/*.sock': { kind: 'path', path: '/run/*.sock' },
      'allow unix:/run/a:b': { kind: 'path', path: '/run/a:b' },
      'allow *:* ops': { principals: ['ops'], transports: null },
      'allow *:* * tls,iroh': { principals: null, transports: ['tls', 'iroh'] },
      'allow *:* "a, b",c,"d\\"\\\\" tcp': { principals: ['a, b', 'c', 'd"\\'], transports: ['tcp'] },
      'allow\t*:*\t*\t*': { principals: null, transports: null }
    }
    for (const [text, parts] of Object.entries(cases)) {
      const rule = parseRule(text)
      for (const [key, value] of Object.entries(parts)) assert.deepStrictEqual(rule[key], value, `${text}: ${key} (${JSON.stringify(rule)})`)
    }
  })

  it('are read from objects', () => {
    const rule = parseRule({ action: 'Deny', target: 'private:1-9', principals: ['a b', 'c'], transports: ['tls'] })
    assert.deepStrictEqual([rule.action, rule.kind, rule.low, rule.high, rule.principals, rule.transports], ['deny', 'address', 1, 9, ['a b', 'c'], ['tls']])
    assert.strictEqual(rule.text, 'deny private:1-9 "a b",c tls')
    assert.deepStrictEqual(parseRule({ action: 'allow', target: '*:*', principals: [] }).principals, null)
  })

  it('are the same after they were written out', () => {
    for (const rule of ['allow db.internal:5432', 'deny private:1-9 "a, b","c\\"d" tls,tcp', 'allow *:* * tls', 'allow unix:/run/*', 'deny [fd00::]/8:* x']) {
      const first = parseRule(rule)
      assert.deepStrictEqual(parseRule(first.text), first)
      const { action, principals, transports } = first
      const target = rule.split(' ')[1]
      assert.deepStrictEqual({ ...parseRule(parseRule({ action, target, principals: principals ?? [], transports: transports ?? [] }).text) }, { ...first })
    }
  })

  const wrong = {
    'no rule': ['', ' ', 'allow', 'db:1', 'permit db:1', 'allow db:1 a tcp more', 'allowdb:1'],
    'no port where one is wanted': ['allow db', 'allow 10.0.0.1', 'allow *', 'allow db:', 'allow localhost', 'allow 10.0.0.0/8', 'allow *.internal'],
    'no port at all': ['allow db:0', 'allow db:65536', 'allow db:9-8', 'allow db:1-2-3', 'allow db:-1', 'allow db:http', 'allow db:0-9', 'allow db:1-', 'allow db:**', 'allow db:0x50', 'allow db:4294967375'],
    'no address': ['allow 10.0.0.1/33:80', 'allow 10.0.0.1/:80', 'allow [x]:80', 'allow [::1]/129:80', 'allow [10.0.0.1]:80', 'allow [fe80::1%eth0]:80', 'allow [::1:80', 'allow ::1]:80', 'allow ::1:80', 'allow [::1]x:80', 'allow []:80', 'allow [::1][::2]:80'],
    'a spelling that would match nothing': ['deny 127.1:*', 'deny 2130706433:*', 'deny 0x7f.1:*', 'deny 0177.0.0.1:*', 'deny 10.*:*', 'deny 10.0.0.*:*', 'deny 1.2.3.4.5:*', 'deny 1.2.3.256:*', 'deny x.0x:*'],
    'no name': ['deny -x:*', 'deny a/b:*', 'deny a%b:*', 'deny "a":*', 'deny a\nb:*', `deny ${'x'.repeat(256)}:*`, 'deny ü*:*', 'deny <*>:*', 'deny !x:*'],
    'no path': ['allow unix:', 'allow unix:/', 'allow unix:x', 'allow unix:/a/../b', 'allow unix:/a/./b', 'allow unix://a', 'allow unix:/a/', `allow unix:/${'x'.repeat(107)}`, 'allow unix:/a\0'],
    'no principals': ['allow *:* ,', 'allow *:* a,', 'allow *:* *,a', 'allow *:* "a', 'allow *:* a"b"', 'allow *:* ""', 'allow *:* "a"b'],
    'no transports': ['allow *:* * udp', 'allow *:* * TLS', 'allow *:* * tcp,', 'allow *:* * ""'],
    'too long': [`allow ${'x'.repeat(5000)}:80`, `allow *:* ${Array(300).fill('a').join()}`, { action: 'allow', target: `${'x'.repeat(5000)}:80` }],
    'no object': [null, undefined, 5, true, [], ['allow', '*:*'], {}, { action: 'allow' }, { target: '*:*' }, { action: 'allow', target: 5 }, new Date(),
      { action: 'allow', target: '*:*', port: 80 }, { action: 'allow', target: '*:*', principals: [5] }, { action: 'allow', target: '*:*', principals: {} },
      { action: 5, target: '*:*' }, { action: 'allow', target: '*:*', transports: ['udp'] }]
  }
  for (const [what, list] of Object.entries(wrong)) {
    it(`refuse ${what}`, () => {
      for (const value of list) {
        const answer = parseRule(value)
        assert.strictEqual(typeof answer, 'string', JSON.stringify(value))
        assert(answer.length > 0 && answer.length < 400 && !/[^\x20-\x7e]/.test(answer), JSON.stringify(answer))
      }
    })
  }

  it('say how to write what was meant', () => {
    const hints = { 'deny 127.1:*': /127\.0\.0\.1/, 'deny 10.*:*': /10\.0\.0\.0\/8/, 'allow ::1:80': /brackets/, 'allow db': /db:\*|target:\*/, 'allow *:* * udp': /tcp, tls, iroh, stream/ }
    for (const [text, pattern] of Object.entries(hints)) assert.match(parseRule(text), pattern, text)
  })

  it('about listening name addresses and paths only', () => {
    for (const text of ['loopback:1024-65535', '*:8080 ops', 'localhost:80', 'unix:/run/user/*', '[::]:80', '10.0.0.0/8:*']) {
      assert.strictEqual(parseListenRule(text).text, text)
    }
    assert.strictEqual(parseListenRule({ target: '*:8080', principals: ['ops'] }).text, '*:8080 ops')
    for (const text of ['', 'db:80', '*.internal:80', 'allow *:80', 'loopback:80 a tcp more', 5, null, { action: 'allow', target: '*:1' }, {}]) {
      assert.strictEqual(typeof parseListenRule(text), 'string', JSON.stringify(text))
    }
  })

  it('concern an identity by its id or a scope, and a transport', () => {
    const request = { identity: createIdentity({ id: 'me', scopes: ['dev', 'ops'] }), transport: 'tls' }
    for (const tail of ['', '*', 'me', 'you,me', 'ops', '* tls', 'dev tcp,tls']) assert(concerns(parseRule(`allow *:* ${tail}`), request), tail)
    for (const tail of ['you', 'm', 'me2', 'Me', '* tcp', 'me tcp', 'you tls']) assert(!concerns(parseRule(`allow *:* ${tail}`), request), tail)
  })

  it('match hostile patterns in no time', () => {
    const pattern = `${'*a'.repeat(50)}b`
    const rule = parseRule(`allow unix:/${pattern}`)
    assert(!matchesPath(rule, `/${'a'.repeat(100_000)}`))
  })
})
