'use strict'

const assert = require('assert')
const { parseForward } = require('../lib/forward-spec')

describe('forward specs', () => {
  it('parses every form', () => {
    const cases = {
      '8080:web:80': ['127.0.0.1', 8080, 'web', 80],
      '0:web:80': ['127.0.0.1', 0, 'web', 80],
      'localhost:8080:web:80': ['127.0.0.1', 8080, 'web', 80],
      '0.0.0.0:8080:10.0.0.1:80': ['0.0.0.0', 8080, '10.0.0.1', 80],
      '[::1]:8080:[fd00::2]:80': ['::1', 8080, 'fd00::2', 80],
      '8080:[::1]:65535': ['127.0.0.1', 8080, '::1', 65535]
    }
    for (const [text, [bind, port, host, hostPort]] of Object.entries(cases)) {
      assert.deepStrictEqual(parseForward(text), { bind, port, host, hostPort }, text)
    }
  })

  it('says what is wrong', () => {
    const cases = {
      '': /is not \[bind:\]/,
      8080: /is not \[bind:\]/,
      'a:b': /is not \[bind:\]/,
      'a:b:c:d:e': /is not \[bind:\]/,
      '::1:8080:web:80': /is not \[bind:\]/,
      '[::1:8080:web:80': /is not \[bind:\]/,
      '[web]:8080:web:80': /is not \[bind:\]/,
      '[::1]8080:web:80': /is not \[bind:\]/,
      ':8080:web:80': /bind address/,
      '*:8080:web:80': /bind address/,
      'name:8080:web:80': /bind address/,
      '65536:web:80': /is not a port/,
      '8080:web:0': /1 to 65535/,
      '8080:web:http': /1 to 65535/,
      '8080::80': /host name/,
      '8080:-x:80': /host name/,
      '/tmp/a:web:80': /not available yet/,
      '8080:/tmp/a': /not available yet/,
      ['8:'.repeat(600)]: /too long/
    }
    for (const [text, pattern] of Object.entries(cases)) {
      const result = parseForward(text)
      assert.strictEqual(typeof result, 'string', text)
      assert.match(result, pattern, text)
    }
  })
})
