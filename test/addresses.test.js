'use strict'

const assert = require('assert')
const {
  SETS, addressBytes, cidrHas, formatHostPort, isHost, parseCidr, parseHostPort, parsePort, sameAddress, setHas
} = require('../lib/addresses')

const bytes = (text) => [...addressBytes(text)]

describe('addresses', () => {
  it('reads IPv4, IPv6 and the forms between', () => {
    assert.deepStrictEqual(bytes('10.0.255.1'), [10, 0, 255, 1])
    assert.deepStrictEqual(bytes('::1'), [...Array(15).fill(0), 1])
    assert.deepStrictEqual(bytes('::'), Array(16).fill(0))
    assert.deepStrictEqual(bytes('fe80::1%lo'), [0xfe, 0x80, ...Array(13).fill(0), 1])
    assert.deepStrictEqual(bytes('1:2:3:4:5:6:7:8'), [0, 1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6, 0, 7, 0, 8])
    assert.deepStrictEqual(bytes('1::8'), [0, 1, ...Array(12).fill(0), 0, 8])
    assert.deepStrictEqual(bytes('64:ff9b::10.1.2.3').slice(12), [10, 1, 2, 3])
  })

  it('takes IPv4-mapped IPv6 for its IPv4 address, however it is written', () => {
    for (const text of ['::ffff:169.254.169.254', '::ffff:a9fe:a9fe', '0:0:0:0:0:ffff:a9fe:a9fe']) {
      assert.deepStrictEqual(bytes(text), [169, 254, 169, 254], text)
    }
  })

  it('takes nothing that only looks like an address', () => {
    for (const text of ['', 'localhost', '2130706433', '0x7f.1', '0177.0.0.1', '127.1', '1.2.3.4.5', '::1::', ':1']) {
      assert.strictEqual(addressBytes(text), null, text)
    }
  })

  it('compares addresses, not texts', () => {
    assert(sameAddress('::1', '0:0:0:0:0:0:0:1'))
    assert(sameAddress('::ffff:1.2.3.4', '1.2.3.4'))
    assert(!sameAddress('::1', '0.0.0.1'))
    assert(!sameAddress('name', '1.2.3.4'))
    assert(sameAddress('fe80::1%eth0', 'fe80:0::1%eth0'))
    assert(!sameAddress('fe80::1%eth0', 'fe80::1%eth1'), 'another link, another host')
    assert(!sameAddress('fe80::1', 'fe80::1%eth1'))
  })

  it('knows networks at every prefix length', () => {
    const address = addressBytes('10.128.3.255')
    for (let bits = 0; bits <= 32; bits++) {
      assert(cidrHas(parseCidr(`10.128.3.255/${bits}`), address), `/${bits}`)
      if (bits === 0) continue
      // The same address with the last bit of the prefix turned over is outside.
      const other = Uint8Array.from(address)
      other[(bits - 1) >> 3] ^= 0x80 >> ((bits - 1) & 7)
      assert(!cidrHas(parseCidr(`10.128.3.255/${bits}`), other), `not /${bits}`)
    }
    assert(cidrHas(parseCidr('::ffff:10.0.0.0/104'), address))
    assert(!cidrHas(parseCidr('::/0'), address), 'IPv4 is no part of ::/0')
  })

  it('refuses networks that are none', () => {
    for (const text of ['10.0.0.0/33', '::/129', '10.0.0.0/', '10.0.0.0/-1', '10.0.0.0/8x', 'x/8', '::ffff:1.2.3.4/95',
      'fe80::1%eth0', 'fe80::%eth0/64', 'fe80::/64%eth0']) {
      assert.strictEqual(parseCidr(text), null, text)
    }
  })

  it('has the sets of the specification', () => {
    const members = {
      loopback: ['127.0.0.1', '127.255.255.255', '::1', '::ffff:127.0.0.1'],
      private: ['10.1.1.1', '172.16.0.1', '172.31.255.255', '192.168.0.1', 'fd00::1', 'fc00::1', '100.64.0.1', '100.127.255.255'],
      'link-local': ['169.254.0.1', 'fe80::1', 'febf::1', '::ffff:169.254.1.1'],
      metadata: ['169.254.169.254', '100.100.100.200', 'fd00:ec2::254', '::ffff:169.254.169.254'],
      unspecified: ['0.0.0.0', '0.1.2.3', '::', '::ffff:0.0.0.0']
    }
    assert.deepStrictEqual(Object.keys(SETS), Object.keys(members))
    for (const [name, list] of Object.entries(members)) {
      for (const one of list) assert(setHas(name, addressBytes(one)), `${one} in ${name}`)
      for (const one of ['8.8.8.8', '172.32.0.1', '100.128.0.1', 'fec0::1', '2001:db8::1', '::2']) {
        assert(!setHas(name, addressBytes(one)), `${one} not in ${name}`)
      }
    }
  })

  it('splits host and port', () => {
    const cases = {
      'example.com': ['example.com', undefined],
      'example.com:22': ['example.com', 22],
      '127.0.0.1:0': ['127.0.0.1', 0],
      '[::1]:65535': ['::1', 65535],
      '[::1]': ['::1', undefined],
      '::1': ['::1', undefined],
      'db_1.internal.:5432': ['db_1.internal.', 5432]
    }
    for (const [text, [host, port]] of Object.entries(cases)) {
      assert.deepStrictEqual(parseHostPort(text), { host, port }, text)
    }
    for (const text of ['', ':22', 'a:b:1', 'a:65536', 'a:-1', 'a:', 'a:1x', '[::1', '[::1]x', '[x]:1', '-oX:22',
      'a b:1', 'a\n:1', 'a\0:1', '$(id):1', '`id`:1', `${'a'.repeat(256)}:1`]) {
      assert.strictEqual(typeof parseHostPort(text), 'string', JSON.stringify(text))
    }
  })

  it('never repeats a control character in a message', () => {
    // eslint-disable-next-line no-control-regex
    assert.doesNotMatch(parseHostPort('a\x1b[2J\n:1'), /[\x00-\x1f]/)
  })

  it('takes hosts and ports, and nothing else', () => {
    for (const host of ['a', 'xn--bcher-kva.example', '::1', 'fe80::1%eth0', 'bücher.example']) assert(isHost(host), host)
    for (const host of ['', '-a', 'a:b', 'a/b', 'a%b', 'a b', 'a\x7f']) assert(!isHost(host), host)
    assert.strictEqual(parsePort('65535'), 65535)
    for (const port of ['', '65536', '4294967295', '1e3', ' 1', '+1', '0x1']) assert.strictEqual(parsePort(port), -1, port)
  })

  it('formats IPv6 with brackets', () => {
    assert.strictEqual(formatHostPort('::1', 22), '[::1]:22')
    assert.strictEqual(formatHostPort('a', 22), 'a:22')
  })
})
