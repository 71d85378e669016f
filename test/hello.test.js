'use strict'

/** What a client says first in TLS: the tool that looks at it, and what ours says. */

const assert = require('assert')
const { execFileSync } = require('child_process')
const path = require('path')
const alknet = require('..')
const { ja3, ja4, lasting, parseClientHello } = require('../tools/ja4')
const { threeKeys } = require('./helpers/api')
const { helloServer, list16, list8, makeHello, u16 } = require('./helpers/hello')
const { testScope } = require('./helpers/scope')

// A browser's, with GREASE, as the description of JA4 has it for its example.
const BROWSER = {
  version: 0x0303,
  ciphers: [0x3a3a, 0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8, 0xc013, 0xc014, 0x9c, 0x9d, 0x2f, 0x35],
  extensions: [
    [0x4a4a, Buffer.alloc(0)], [0, list16(Buffer.concat([Buffer.from([0]), list16(Buffer.from('a.example'))]))], [0x17, Buffer.alloc(0)],
    [0xff01, Buffer.from([0])], [0x0a, list16(u16(0x1a1a, 0x1d, 0x17, 0x18))], [0x0b, list8(Buffer.from([0]))], [0x23, Buffer.alloc(0)],
    [0x10, list16(Buffer.concat([list8(Buffer.from('h2')), list8(Buffer.from('http/1.1'))]))], [0x05, Buffer.from([1, 0, 0, 0, 0])],
    [0x0d, list16(u16(0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601))], [0x12, Buffer.alloc(0)],
    [0x33, list16(Buffer.concat([u16(0x1a1a), list16(Buffer.from([0])), u16(0x1d), list16(Buffer.alloc(32, 5))]))],
    [0x2d, list8(Buffer.from([1]))], [0x2b, list8(u16(0x2a2a, 0x0304, 0x0303))], [0x1b, Buffer.from([2, 0, 2])],
    [0x4469, Buffer.from([0, 3, 2, 0x68, 0x32])], [0x6a6a, Buffer.from([0])], [0x15, Buffer.alloc(20)]
  ]
}

const OLD = {
  version: 769,
  ciphers: [47, 53, 5, 10, 49161, 49162, 49171, 49172, 50, 56, 19, 4],
  extensions: [[0, list16(Buffer.concat([Buffer.from([0]), list16(Buffer.from('x'))]))], [10, list16(u16(23, 24, 25))], [11, list8(Buffer.from([0]))]]
}

describe('hello', () => {
  const scope = testScope()

  it('is summed up as others do', () => {
    const hello = parseClientHello(makeHello(BROWSER))
    assert.strictEqual(ja4(hello).ja4, 't13d1516h2_8daaf6152771_e5627efa2ab1')
    assert.deepStrictEqual([hello.alpn, hello.servername], [['h2', 'http/1.1'], 'a.example'])
    const old = parseClientHello(makeHello(OLD))
    assert.deepStrictEqual(ja3(old), { full: '769,47-53-5-10-49161-49162-49171-49172-50-56-19-4,0-10-11,23-24-25,0', ja3: 'ada70206e40642a3e4461f35503241d5' })
    assert.match(ja4(old).ja4, /^t10d120300_/)
    const nobody = parseClientHello(makeHello({ ...OLD, ciphers: [], extensions: [[16, list16(list8(Buffer.from([0xab, 0xcd])))]] }))
    assert.match(ja4(nobody).ja4, /^t10i0001ad_000000000000_000000000000$/)
  })

  it('is read in pieces, and not beyond its end', () => {
    const [whole, pieces] = [makeHello(BROWSER), makeHello(BROWSER, 50)]
    assert.strictEqual(lasting(parseClientHello(pieces)), lasting(parseClientHello(Buffer.concat([whole, Buffer.from('more')]))))
    for (let length = 0; length < whole.length; length++) assert.strictEqual(parseClientHello(whole.subarray(0, length)), null)
    for (let at = 5; at < whole.length; at++) { // any of its lengths may lie
      const bad = Buffer.from(whole)
      bad[at] ^= 0xff
      try {
        const hello = parseClientHello(bad)
        if (hello !== null) ja4(hello)
      } catch (err) {
        assert.match(err.message, /^(a|not a) ClientHello|^no ClientHello/)
      }
    }
    assert.throws(() => parseClientHello(Buffer.from('SSH-2.0-x\r\n')), /not a TLS handshake/)
    assert.throws(() => parseClientHello(Buffer.from([22, 3, 3, 0, 4, 2, 0, 0, 0])), /not a ClientHello/)
  })

  it('is printed by the tool', () => {
    const out = execFileSync(process.execPath, [path.join(__dirname, '..', 'tools', 'ja4.js')], { input: makeHello(OLD), encoding: 'utf8' })
    assert.match(out, /^ja4 {3}t10d120300_/)
    assert.match(out, /^ja3 {3}ada70206e40642a3e4461f35503241d5$/m)
  })

  /** What a session says first, which nobody answers. */
  async function helloOf (options) {
    const { port, next } = await helloServer(scope)
    const { user, host } = await threeKeys()
    const heard = next()
    await assert.rejects(alknet.openSession({
      transport: 'tls', server: `127.0.0.1:${port}`, insecure: true, identity: user.privateKey, hostKey: host.fingerprint, ...options
    }), { stage: 'tls' })
    return heard
  }

  const AEAD = [0x1301, 0x1302, 0x1303, 0xc02b, 0xc02c, 0xc02f, 0xc030, 0xcca8, 0xcca9, 0xff]

  it('of a client offers nothing but what it takes', async () => {
    const hello = await helloOf({})
    assert.deepStrictEqual(hello.ciphers.filter((one) => !AEAD.includes(one)), [])
    assert.deepStrictEqual([hello.alpn, hello.servername], [[], null])
    const { alpn } = await helloOf({ tlsAlpn: ['h2', 'x'] })
    assert.deepStrictEqual(alpn, ['h2', 'x'])
  })

  it('of a client in disguise offers more, and is always the same', async () => {
    const hello = await helloOf({ stealth: true, tlsServerName: 'a.example' })
    assert(hello.ciphers.length > 25)
    assert.deepStrictEqual([hello.alpn, hello.servername], [['h2', 'http/1.1'], 'a.example'])
    assert.strictEqual(lasting(await helloOf({ stealth: true, tlsServerName: 'a.example' })), lasting(hello))
    const other = await helloOf({ stealth: true, tlsServerName: 'b.example', tlsAlpn: 'http/1.1' })
    assert.match(ja4(hello).ja4, /^t13d\d{4}h2_/)
    assert.match(ja4(other).ja4, /^t13d\d{4}h1_/)
    assert.strictEqual(ja4(other).ja4.split('_', 3).slice(1).join('_'), ja4(hello).ja4.split('_', 3).slice(1).join('_'))
  })
})
