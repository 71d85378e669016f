'use strict'

const assert = require('assert')
const { parseAuthorizedKeys, refuseEntry, wildcard } = require('../lib/authorized-keys')
const { parseSourceAddress } = require('../lib/certificates')
const { createRandom, mutate, seed } = require('./helpers/random')

function blobOf (type, byte = 7) {
  const name = Buffer.from(type)
  const blob = Buffer.alloc(4 + name.length + 4 + 32, byte)
  blob.writeUInt32BE(name.length, 0)
  name.copy(blob, 4)
  blob.writeUInt32BE(32, 4 + name.length)
  return blob
}

const TYPE = 'ssh-ed25519'
const KEY = `${TYPE} ${blobOf(TYPE).toString('base64')}`

function one (line) {
  const { entries, problems } = parseAuthorizedKeys(line)
  assert.deepStrictEqual(problems, [], line)
  assert.strictEqual(entries.length, 1, line)
  return entries[0]
}

function bad (line, pattern) {
  const { entries, problems } = parseAuthorizedKeys(line)
  assert.deepStrictEqual(entries, [], JSON.stringify(line).slice(0, 80))
  assert.strictEqual(problems.length, 1)
  if (pattern) assert.match(problems[0].message, pattern)
}

describe('authorized_keys', () => {
  it('quotes nothing of a private key that is taken for them', () => {
    const secret = 'AAAECoyfdeXKw6'
    for (const [kind, what, inside] of [
      ['OPENSSH PRIVATE KEY', /^a private key begins here.*\.pub/, [`b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAA${secret}`, `${secret}+fSsSC==`]],
      ['RSA PRIVATE KEY', /^a private key begins here/, ['Proc-Type: 4,ENCRYPTED', 'DEK-Info: AES-128-CBC,00', '', `${secret}`]],
      ['CERTIFICATE', /^PEM begins here/, [secret]]
    ]) {
      const text = [`${KEY} first`, `-----BEGIN ${kind}-----`, ...inside, `-----END ${kind}-----`, '', `${KEY} last`, secret.slice(1)].join('\r\n')
      const { entries, problems } = parseAuthorizedKeys(text)
      assert.deepStrictEqual(entries.map((e) => e.comment), ['first', 'last'])
      assert.strictEqual(problems.length, 2, 'its beginning, and the lone word, which is a line of its own')
      assert.strictEqual(problems[0].line, 2)
      assert.match(problems[0].message, what)
      assert.ok(!problems[0].message.includes(secret))
    }
    for (const text of [
      ['PuTTY-User-Key-File-3: ssh-ed25519', 'Encryption: none', 'Comment: me', 'Public-Lines: 1', `AAAA${secret}`, 'Private-Lines: 1', secret, `Private-MAC: ${secret}`],
      ['---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----', 'Comment: "me"', `${secret}/`, '---- END SSH2 ENCRYPTED PRIVATE KEY ----'],
      ['-----BEGIN OPENSSH PRIVATE KEY-----', '# mine', secret, '-----END OPENSSH PRIVATE KEY-----']
    ]) {
      const { entries, problems } = parseAuthorizedKeys([...text, `${KEY} last`].join('\n'))
      assert.deepStrictEqual([entries.length, problems.length, problems[0].line], [1, 1, 1], text[0])
      assert.match(problems[0].message, /^a private key begins here/)
    }
    const torn = parseAuthorizedKeys(`-----BEGIN OPENSSH PRIVATE KEY-----\n${secret}\n${KEY}\n`)
    assert.deepStrictEqual([torn.entries.length, torn.problems.length], [1, 1])
  })

  it('reads keys with and without comment and options', () => {
    const { entries, problems } = parseAuthorizedKeys([
      '# a comment', '', '  \t ', KEY, `${KEY} me @ home`, `\t ${KEY}  spaced`, `restrict ${KEY}`, `pty,command="a \\"b\\" c, d" ${KEY}`, `${KEY}\r`
    ].join('\n'))
    assert.deepStrictEqual(problems, [])
    assert.deepStrictEqual(entries.map((e) => e.line), [4, 5, 6, 7, 8, 9])
    assert.deepStrictEqual(entries.map((e) => e.comment), ['', 'me @ home', 'spaced', '', '', ''])
    for (const entry of entries) assert(entry.blob.equals(blobOf(TYPE)))
  })

  it('takes a Buffer, with a byte order mark', () => {
    const { entries } = parseAuthorizedKeys(Buffer.from(`\ufeff${KEY} comment\n`))
    assert.strictEqual(entries.length, 1)
    assert.strictEqual(parseAuthorizedKeys(`\ufeff${KEY}`).entries.length, 1)
  })

  it('lets the last of restrict and port-forwarding decide', () => {
    const cases = {
      '': true,
      'restrict ': false,
      'no-port-forwarding ': false,
      'restrict,port-forwarding ': true,
      'port-forwarding,restrict ': false,
      'RESTRICT,Port-Forwarding,no-pty ': true,
      'no-port-forwarding,port-forwarding ': true
    }
    for (const [options, forwarding] of Object.entries(cases)) assert.strictEqual(one(options + KEY).forwarding, forwarding, options)
  })

  it('reads permitopen and permitlisten', () => {
    assert.deepStrictEqual(one(`permitopen="DB:5432",permitopen="[::1]:*",permitopen="*:80" ${KEY}`).permitOpen,
      [{ host: 'db', port: 5432 }, { host: '::1', port: 0 }, { host: '*', port: 80 }])
    assert.deepStrictEqual(one(`permitlisten="8080",permitlisten="localhost:*" ${KEY}`).permitListen,
      [{ host: '*', port: 8080 }, { host: 'localhost', port: 0 }])
    assert.strictEqual(one(KEY).permitOpen, null)
    for (const value of ['db', 'db:', ':80', 'db:0', 'db:65536', 'db:4294967295', 'db:4294967296', 'db:-1', 'db:+1', 'db:1x', 'db:0x50', '::1:80', '[::1]', '', 'a b:80', 'none']) {
      bad(`permitopen="${value}" ${KEY}`, /permitopen/)
    }
  })

  it('reads scopes, principals and cert-authority', () => {
    const entry = one(`scopes="a,b",principals="x,y",cert-authority ${KEY}`)
    assert.deepStrictEqual([entry.scopes, entry.principals, entry.certAuthority], [['a', 'b'], ['x', 'y'], true])
    assert.deepStrictEqual(one(`scopes="a",scopes="b" ${KEY}`).scopes, ['a', 'b'])
    for (const scopes of ['a,,b', '', 'a b', 'a, b', '\u00e4', 'x'.repeat(256)]) bad(`scopes="${scopes}" ${KEY}`, /scope/)
  })

  it('reads principals as the bytes that a certificate has', () => {
    const utf8 = one(Buffer.from(`principals="j\u00fcrgen,*,!x" cert-authority ${KEY}`.replace('" cert', '",cert')))
    assert.deepStrictEqual(utf8.principals, ['j\u00fcrgen', '*', '!x'])
    assert.deepStrictEqual(one(`cert-authority,principals="j\u00fcrgen" ${KEY}`).principals, ['j\u00fcrgen'], 'text is taken as its UTF-8')
    bad(Buffer.from(`cert-authority,principals="j\u00fcrgen" ${KEY}`, 'latin1'), /not UTF-8/)
    for (const list of ['', 'a,', ',a', 'a,,b']) bad(`cert-authority,principals="${list}" ${KEY}`, /empty/)
    for (const list of [' a', 'a ', 'a, b', 'a\t,b']) bad(`cert-authority,principals="${list}" ${KEY}`, /space/)
    bad(`cert-authority,principals="a",principals="b" ${KEY}`, /twice/)
  })

  it('takes principals for the key of a CA only', () => {
    bad(`principals="a" ${KEY}`, /cert-authority/)
    bad(`restrict,principals="a" ${KEY}`, /cert-authority/)
    one(`principals="a",cert-authority ${KEY}`)
  })

  it('reads the keys of a CA file, with and without cert-authority', () => {
    const { entries, problems } = parseAuthorizedKeys([KEY, `cert-authority ${KEY}`, `principals="a",restrict ${KEY}`, `no-cert-authority ${KEY}`].join('\n'),
      { certAuthority: true })
    assert.deepStrictEqual(entries.map((e) => [e.line, e.certAuthority, e.forwarding, e.principals]),
      [[1, true, true, null], [2, true, true, null], [3, true, false, ['a']]])
    assert.deepStrictEqual(problems.map((p) => p.line), [4])
  })

  it('accepts what has no meaning here', () => {
    const names = ['agent-forwarding', 'no-agent-forwarding', 'pty', 'no-pty', 'X11-forwarding', 'no-X11-forwarding', 'user-rc', 'no-user-rc',
      'command="x"', 'environment="A=b"', 'tunnel="1"']
    for (const name of names) one(`${name} ${KEY}`)
    one(`${names.join(',')} ${KEY}`)
  })

  it('grants nothing for an option that it does not know', () => {
    for (const options of ['x', 'verify-required', 'restrict,x', 'x="y"', 'constructor', 'toString', '__proto__', 'permit-open="a:1"']) {
      bad(`${options} ${KEY}`, /not known|do not parse/)
    }
  })

  it('grants nothing for options that do not parse', () => {
    for (const options of ['restrict,', ',restrict', 'restrict,,pty', 'from=1.2.3.4', 'from', 'restrict="x"', 'from="a"b', 'from="', 'from="a', 'from="a\\"', '"restrict"', 'from="1.2.3.4",from="1.2.3.5"']) {
      bad(`${options} ${KEY}`)
    }
  })

  it('grants nothing for a key that is not one', () => {
    bad(TYPE, /base64|type/)
    bad(`${TYPE} AAAA`)
    bad(`${TYPE} ${blobOf('ssh-rsa').toString('base64')}`, /type/)
    bad(`${TYPE} ${blobOf(TYPE).toString('base64')}!`, /base64/)
    bad(`ssh-dss ${blobOf('ssh-dss').toString('base64')}`, /not accepted/)
    bad(`sk-ssh-ed25519@openssh.com ${blobOf('sk-ssh-ed25519@openssh.com').toString('base64')}`, /not accepted/)
    bad('restrict')
    bad('hello world')
  })

  it('takes a line whole or not at all', () => {
    const long = `restrict,permitopen="a:1"${',pty'.repeat(17000)}`
    bad(`${long} ${KEY}`, /longer/)
    bad(`${KEY} ${'x'.repeat(70000)} ${KEY}`, /longer/)
    bad(`${KEY}\r${KEY}\r`, /carriage return/)
    bad(`# comment\n${KEY} \0`, /NUL/)
    bad(Buffer.from(`${KEY}\n`, 'utf16le').subarray(0, -2), /./)
    assert.strictEqual(parseAuthorizedKeys(`# comment\r${KEY}\r`).entries.length, 0)
    const after = parseAuthorizedKeys(`${KEY} ${'x'.repeat(70000)}\n${KEY}`)
    assert.deepStrictEqual(after.entries.map((e) => e.line), [2])
    const huge = parseAuthorizedKeys(`${'#'.repeat(17 * 1024 * 1024)}\n${KEY}`)
    assert.strictEqual(huge.entries.length, 0)
    assert.strictEqual(huge.problems.length, 1)
  })

  it('repeats nothing unprintable in a problem', () => {
    const { problems } = parseAuthorizedKeys(`\x1b[2J\u202e ${KEY}`)
    assert.match(problems[0].message, /^[\x20-\x7e]+$/)
  })

  it('expires', () => {
    const utc = one(`expiry-time="20300102030405Z" ${KEY}`)
    assert.strictEqual(utc.expires, Date.UTC(2030, 0, 2, 3, 4, 5))
    assert.strictEqual(refuseEntry(utc, '1.2.3.4', utc.expires - 1), null)
    assert.strictEqual(refuseEntry(utc, '1.2.3.4', utc.expires), 'key_expired')
    for (const zone of ['z', 'UTC', 'utc']) assert.strictEqual(one(`expiry-time="20300102${zone}" ${KEY}`).expires, Date.UTC(2030, 0, 2))
    assert.strictEqual(one(`expiry-time="20300102" ${KEY}`).expires, new Date(2030, 0, 2).getTime())
    assert.strictEqual(one(`expiry-time="203001020304" ${KEY}`).expires, new Date(2030, 0, 2, 3, 4).getTime())
    assert.strictEqual(one(`expiry-time="20300102Z",expiry-time="20290102Z" ${KEY}`).expires, Date.UTC(2029, 0, 2))
    for (const value of ['2030', '20301301', '20300230', '2030010224', '20300102Zx', '203001022400', '', '20300102030405ZZ']) {
      bad(`expiry-time="${value}" ${KEY}`, /expiry-time/)
    }
  })

  it('asks where somebody comes from', () => {
    const cases = [
      ['10.0.0.0/8', '10.1.2.3', true],
      ['10.0.0.0/8', '::ffff:10.1.2.3', true],
      ['10.0.0.0/8', '11.1.2.3', false],
      ['10.0.0.0/8,!10.0.0.1', '10.0.0.1', false],
      ['!10.0.0.1,10.0.0.0/8', '10.0.0.2', true],
      ['!10.0.0.1', '10.0.0.2', false],
      ['192.168.1.*', '192.168.1.77', true],
      ['192.168.1.?', '192.168.1.77', false],
      ['fd00::/8', 'fd12::1', true],
      ['::1', '0:0:0:0:0:0:0:1', true],
      ['*.example.com', '10.0.0.1', false]
    ]
    for (const [from, address, isIn] of cases) {
      assert.strictEqual(refuseEntry(one(`from="${from}" ${KEY}`), address, 0), isIn ? null : 'from_mismatch', `${from} ${address}`)
    }
    for (const from of ['', '!', 'a,,b', '10.0.0.0/33', ' 10.0.0.1', '10.0.0.0/8, !10.0.0.1']) bad(`from="${from}" ${KEY}`)
  })

  it('matches patterns without going astray', () => {
    const cases = [['*', '', true], ['a*c', 'abbc', true], ['a*c', 'abbcd', false], ['?', '', false], ['**a**', 'xay', true], ['', '', true], ['', 'a', false]]
    for (const [pattern, text, expected] of cases) assert.strictEqual(wildcard(pattern, text), expected, pattern)
    // Exponential if stars were tried recursively: it would not come back.
    assert.strictEqual(wildcard(`${'*a'.repeat(100)}b`, 'a'.repeat(2000)), false)
  })
})

describe(`authorized_keys, with seed ${seed}`, function () {
  this.timeout(60_000)
  const random = createRandom()
  const LINES = [
    KEY, `restrict,port-forwarding ${KEY}`, `cert-authority,principals="a,b",from="10.0.0.0/8,!10.0.0.1,*.x" ${KEY} comment`,
    `permitopen="db:5432",permitopen="[::1]:*",permitlisten="8080" ${KEY}`, `expiry-time="203001020304Z",scopes="a,b" ${KEY}`,
    `command="a \\"b\\" c",environment="A=b" ${KEY}\r\n# comment\n\n\t${KEY}`, `\ufeff${KEY}\n${KEY}`
  ]
  const NETWORKS = ['10.0.0.0/8', '127.0.0.1,::1/128', 'fd00::/8,0.0.0.0/0', '::ffff:10.0.0.0/104', '2001:db8::/32,192.0.2.0/25']

  function everyText (corpus, check) {
    for (let i = 0; i < 4000; i++) {
      const text = i < corpus.length ? corpus[i] : mutate(random, corpus)
      try {
        check(text)
      } catch (err) {
        err.message = `seed ${seed}, ${JSON.stringify(text)}: ${err.message}`
        throw err
      }
    }
  }

  it('makes an entry or a problem of each line, and never more than one', () => {
    let good = 0
    everyText(LINES, (text) => {
      const { entries, problems } = parseAuthorizedKeys(text)
      const lines = text.replace(/^\ufeff/, '').split('\n').map((line, i) => [line.replace(/\r$/, '').replace(/^[ \t]+/, ''), i + 1])
        .filter(([line]) => line !== '' && !line.startsWith('#'))
      assert.deepStrictEqual([...entries, ...problems].map((one) => one.line).sort((a, b) => a - b), lines.map(([, number]) => number))
      for (const { message } of problems) assert(message.length < 1000 && !/[^\x20-\x7e]/.test(message), message)
      for (const entry of entries) {
        good++
        assert(entry.principals === null || entry.certAuthority)
        assert([null, 'key_expired', 'from_mismatch'].includes(refuseEntry(entry, '10.0.0.1', Date.now())))
      }
    })
    assert(good > 500, `only ${good} were good`)
  })

  it('makes networks or nothing of source-address', () => {
    let good = 0
    everyText(NETWORKS, (text) => {
      const networks = parseSourceAddress(text)
      if (networks === null) return
      good++
      assert.match(text, /^[0-9a-fA-F.:/,]+$/)
      assert(networks.length <= text.split(',').length)
      for (const { bytes, bits } of networks) assert(bits >= 0 && bits <= bytes.length * 8)
    })
    assert(good > 300, `only ${good} were good`)
  })
})
