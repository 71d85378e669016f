'use strict'

const assert = require('assert')
const { isLocalhost, parseNoProxy, parseProxies, parseProxy } = require('../lib/proxies')

describe('URLs of proxies', () => {
  it('are SOCKS5 or HTTP', () => {
    const none = { user: null, password: null }
    assert.deepStrictEqual(parseProxy('socks5://proxy.example'), { kind: 'socks5', host: 'proxy.example', port: 1080, ...none })
    assert.deepStrictEqual(parseProxy('SOCKS5h://Proxy.Example:1'), { kind: 'socks5', host: 'proxy.example', port: 1, ...none })
    assert.deepStrictEqual(parseProxy('http://10.0.0.1'), { kind: 'http', host: '10.0.0.1', port: 1080, ...none })
    assert.deepStrictEqual(parseProxy('http://10.0.0.1:80/'), { kind: 'http', host: '10.0.0.1', port: 80, ...none })
    assert.deepStrictEqual(parseProxy('http://[::1]:3128'), { kind: 'http', host: '::1', port: 3128, ...none })
    assert.strictEqual(parseProxy('http://bücher.example').host, 'xn--bcher-kva.example')
  })

  it('have a user and a password, percent-encoded', () => {
    const login = (text) => { const { user, password } = parseProxy(text); return [user, password] }
    assert.deepStrictEqual(login('socks5://me:secret@h'), ['me', 'secret'])
    assert.deepStrictEqual(login('socks5://m%40e:s%3Ae%2Fc%25%C3%A9@h:1'), ['m@e', 's:e/c%é'])
    assert.deepStrictEqual(login('http://me:a:b@h'), ['me', 'a:b'])
    assert.deepStrictEqual(login('http://me:a@b@h'), ['me', 'a@b'])
    assert.deepStrictEqual(login('http://me@h'), ['me', ''])
    assert.deepStrictEqual(login('socks5://a%3Ab:c@h'), ['a:b', 'c'])
    assert.deepStrictEqual(login(`socks5://${'u'.repeat(255)}:${'p'.repeat(255)}@h`), ['u'.repeat(255), 'p'.repeat(255)])
  })

  for (const wrong of [
    '', 'h', 'h:1', '//h', 'https://me:secret@h', 'socks4://me:secret@h', 'socks://secret', 'http:secret', 'http://', 'http:///',
    'http://me:secret@', 'http://me:secret@:1', 'http://h:0', 'http://h:65536', 'http://h:secret', 'http://me:se/cret@h', 'http://me:se?cret@h',
    'http://me:se#cret@h', 'http://h/path', 'http://h?q', 'http://[::1', 'http://::1:1', 'http://:secret@h', 'http://@h', 'http://me%00:secret@h',
    'http://me%0d%0aX:secret@h', 'http://me:secret%@h', 'http://me:%ff@h', 'http://a%3Ab:secret@h', ' http://h', 'http://h ', 'http://a b', 'constructor://h',
    `http://${'u'.repeat(256)}:secret@h`, `socks5://me:${'secret'.repeat(43)}@h`, 'http://me:secret@h%00x', 'http://-h'
  ]) {
    it(`refuse ${JSON.stringify(wrong).slice(0, 60)}, and quote nothing of it`, () => {
      const message = parseProxy(wrong)
      assert.strictEqual(typeof message, 'string')
      assert.doesNotMatch(message, /secret|cret|uuu/)
    })
  }
})

describe('the environment', () => {
  const of = (env) => parseProxies(['env'], env)

  it('is read in the order of curl', () => {
    const all = { https_proxy: 'http://a', HTTPS_PROXY: 'http://b', all_proxy: 'socks5://c', ALL_PROXY: 'd:1' }
    const hosts = []
    for (const name of Object.keys(all)) {
      hosts.push(of(all).to('x')[0].host)
      all[name] = ''
    }
    assert.deepStrictEqual(hosts, ['a', 'b', 'c', 'd'])
    assert.strictEqual(of(all), undefined)
    assert.strictEqual(of({ http_proxy: 'http://a', HTTP_PROXY: 'http://a' }), undefined)
  })

  it('may leave the scheme out', () => {
    assert.deepStrictEqual(of({ ALL_PROXY: 'me:pw@h:3128/' }).to('x'), [{ kind: 'http', host: 'h', port: 3128, user: 'me', password: 'pw' }])
  })

  it('exempts hosts', () => {
    for (const name of ['no_proxy', 'NO_PROXY']) {
      const proxies = of({ ALL_PROXY: 'http://h', [name]: 'example.com' })
      assert.strictEqual(proxies.to('www.example.com').length, 0)
      assert.strictEqual(proxies.to('example.net').length, 1)
    }
    assert.strictEqual(of({ ALL_PROXY: 'http://h', no_proxy: 'a', NO_PROXY: 'b' }).to('b').length, 1)
  })

  it('names the variable that is wrong, and not what is in it', () => {
    assert.match(of({ HTTPS_PROXY: 'https://me:secret@h' }), /^the variable HTTPS_PROXY must be (?!.*secret)/)
    assert.match(of({ ALL_PROXY: 'me:secret@h:x' }), /^the variable ALL_PROXY (?!.*secret)/)
  })

  it('is read for env only', () => {
    const env = { ALL_PROXY: 'http://h', NO_PROXY: '*' }
    assert.strictEqual(parseProxies([], env), undefined)
    assert.strictEqual(parseProxies(['http://a'], env).to('x')[0].host, 'a')
    assert.match(parseProxies(['env', 'http://a'], env), /env stands alone/)
  })
})

describe('NO_PROXY', () => {
  // What curl 7.86 and later make of the same.
  const cases = [
    ['', [], ['a', '1.2.3.4', '::1', 'localhost', '127.0.0.1']],
    ['*', ['a', '1.2.3.4', '::1'], []],
    [' * ', ['a'], []],
    ['*,a', ['a'], ['b', '1.2.3.4']],
    ['example.com', ['example.com', 'EXAMPLE.com.', 'www.example.com', 'a.b.example.com'], ['badexample.com', 'example.com.evil.net', 'example.net', 'com']],
    ['.example.com', ['example.com', 'www.example.com'], ['badexample.com']],
    ['example.com.', ['example.com', 'www.example.com'], ['example.net']],
    ['EXAMPLE.Com', ['www.example.com'], []],
    ['a, b c,,d\te', ['a', 'b', 'c', 'd', 'e', 'x.e'], ['f']],
    ['.', [], ['a', 'a.']],
    ['10.0.0.0/8', ['10.1.2.3', '::ffff:10.1.2.3'], ['11.0.0.1', '10.example.com', '::1', 'a']],
    ['192.168.0.1', ['192.168.0.1'], ['192.168.0.2', '192.168.0.10']],
    ['fd00::/8,::1', ['fd12::1', '::1', '0:0:0:0:0:0:0:1'], ['fe00::1', '::2', '127.0.0.1']],
    ['[::1]', ['::1'], ['::2']],
    ['10.0.0.0/33,10.0.0.0/,/8', [], ['10.0.0.0', '10.0.0.1']],
    ['0.0.0.0/0', ['1.2.3.4'], ['::1', 'a']]
  ]
  for (const [text, exempt, other] of cases) {
    it(JSON.stringify(text), () => {
      const isExempt = parseNoProxy(text)
      for (const host of exempt) assert(isExempt(host), host)
      for (const host of other) assert(!isExempt(host), host)
    })
  }
})

describe('localhost', () => {
  it('is known by its names', () => {
    for (const name of ['localhost', 'LOCALHOST.', 'a.b.localhost']) assert(isLocalhost(name), name)
    for (const name of ['localhost.example', 'mylocalhost', '127.0.0.1', '::1']) assert(!isLocalhost(name), name)
  })
})
