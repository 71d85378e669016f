'use strict'

const assert = require('assert')
const { parseForward, parseRemoteForward } = require('../lib/forward-spec')

const LONG = `/${'a'.repeat(106)}`

describe('forward specs', () => {
  it('parse every form', () => {
    const tcp = (host, port) => ({ host, port })
    const cases = {
      '8080:web:80': [tcp('127.0.0.1', 8080), tcp('web', 80)],
      '0:web:80': [tcp('127.0.0.1', 0), tcp('web', 80)],
      'localhost:8080:web:80': [tcp('127.0.0.1', 8080), tcp('web', 80)],
      '0.0.0.0:8080:10.0.0.1:80': [tcp('0.0.0.0', 8080), tcp('10.0.0.1', 80)],
      '[::1]:8080:[fd00::2]:80': [tcp('::1', 8080), tcp('fd00::2', 80)],
      '8080:[::1]:65535': [tcp('127.0.0.1', 8080), tcp('::1', 65535)],
      '8080:alknet-control:1': [tcp('127.0.0.1', 8080), tcp('alknet-control', 1)],
      '8080:/run/x.sock': [tcp('127.0.0.1', 8080), { path: '/run/x.sock' }],
      '[::1]:0:/run/x.sock': [tcp('::1', 0), { path: '/run/x.sock' }],
      '/a.sock:web:80': [{ path: '/a.sock' }, tcp('web', 80)],
      '/a.sock:[::1]:80': [{ path: '/a.sock' }, tcp('::1', 80)],
      '/a.sock:/b.sock': [{ path: '/a.sock' }, { path: '/b.sock' }],
      [`${LONG}:${LONG}`]: [{ path: LONG }, { path: LONG }]
    }
    for (const [text, [here, there]] of Object.entries(cases)) {
      const spec = parseForward(text)
      assert.deepStrictEqual([spec.here, spec.there], [here, there], text)
      assert.deepStrictEqual(parseForward(spec.text), spec, text)
    }
  })

  it('parse every form of remote forwards', () => {
    const tcp = (host, port) => ({ host, port })
    const cases = {
      '8080:web:80': [tcp('localhost', 8080), tcp('web', 80), 'localhost:8080:web:80'],
      ':8080:web:80': [tcp('', 8080), tcp('web', 80), '*:8080:web:80'],
      '*:8080:web:80': [tcp('', 8080), tcp('web', 80), '*:8080:web:80'],
      '127.0.0.1:0:[::1]:80': [tcp('127.0.0.1', 0), tcp('::1', 80), '127.0.0.1:0:[::1]:80'],
      '[::]:8080:/b.sock': [tcp('::', 8080), { path: '/b.sock' }, '[::]:8080:/b.sock'],
      '/a.sock:web:80': [{ path: '/a.sock' }, tcp('web', 80), '/a.sock:web:80'],
      '/a.sock:/b.sock': [{ path: '/a.sock' }, { path: '/b.sock' }, '/a.sock:/b.sock'],
      8080: [tcp('localhost', 8080), null, 'localhost:8080'],
      '*:0': [tcp('', 0), null, '*:0'],
      '[::1]:8080': [tcp('::1', 8080), null, '[::1]:8080'],
      '/a.sock': [{ path: '/a.sock' }, null, '/a.sock']
    }
    for (const [text, [here, there, canonical]] of Object.entries(cases)) {
      assert.deepStrictEqual(parseRemoteForward(text), { here, there, text: canonical }, text)
      assert.deepStrictEqual(parseRemoteForward(canonical), { here, there, text: canonical }, text)
    }
  })

  it('say what is wrong', () => {
    const both = {
      '': /is not/,
      'a:b:c:d:e': /is not \[bind:\]/,
      '::1:8080:web:80': /is not \[bind:\]/,
      '[::1:8080:web:80': /is not \[bind:\]/,
      '[web]:8080:web:80': /is not \[bind:\]/,
      '[::1]8080:web:80': /is not \[bind:\]/,
      'name:8080:web:80': /bind address/,
      '65536:web:80': /is not a port \(0/,
      '8080:web:0': /1 to 65535/,
      '8080:web:http': /1 to 65535/,
      '8080::80': /host name/,
      '8080:-x:80': /host name/,
      '/:web:80': /not a path/,
      '/run/:web:80': /not a path/,
      '/a\nb:web:80': /not a path/,
      '8080:/a\0b': /not a path/,
      [`${LONG}x:web:80`]: /longer than 107 bytes/,
      [`8080:${LONG}x`]: /longer than 107 bytes/,
      [`8080:/${'\u00e4'.repeat(54)}`]: /longer than 107 bytes/,
      '/a:b.sock': /is not \[bind:\]/,
      '8080:/a:b': /host name/,
      'a.sock:web:80': /is not a port/,
      ['8:'.repeat(600)]: /too long/
    }
    const local = { 8080: /is not \[bind:\]/, 'a:b': /is not/, '/a.sock': /is not/, ':8080:web:80': /bind address/, '*:8080:web:80': /bind address/ }
    const remote = { '8080:alknet-x:80': /alknet- lead/, '8080:ALKNET-x.:80': /alknet- lead/, '8080:ａｌｋｎｅｔ-x:80': /alknet- lead/, 'a:b': /is not a port/ }
    for (const [parse, cases] of [[parseForward, { ...both, ...local }], [parseRemoteForward, { ...both, ...remote }]]) {
      for (const [text, pattern] of Object.entries(cases)) {
        const result = parse(text)
        assert.strictEqual(typeof result, 'string', text)
        assert.match(result, pattern, text)
        assert.doesNotMatch(result, /[^\x20-\x7e]/)
      }
    }
  })
})
