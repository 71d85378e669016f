'use strict'

const assert = require('node:assert')
const { execFileSync, spawnSync } = require('node:child_process')
const fs = require('node:fs')
const path = require('node:path')
const binding = require('../lib/binding')
const { loadRevocations } = require('../lib/revocation')
const { key } = require('./helpers/keys')
const { need } = require('./helpers/proc')
const { createRandom, seed } = require('./helpers/random')
const { suiteScope } = require('./helpers/scope')

// ---- the format of KRLs, for those that ssh-keygen does not make

function u32 (n) {
  const b = Buffer.alloc(4)
  b.writeUInt32BE(n)
  return b
}

function str (bytes) {
  return Buffer.concat([u32(bytes.length), Buffer.from(bytes)])
}

function section (type, ...parts) {
  return Buffer.concat([Buffer.from([type]), str(Buffer.concat(parts.map((part) => Buffer.from(part))))])
}

function krl (...sections) {
  return Buffer.concat([Buffer.from('SSHKRL\n\0'), u32(1), Buffer.alloc(24), str(''), str(''), ...sections])
}

function blobOf (file) {
  return Buffer.from(fs.readFileSync(file, 'utf8').split(' ')[1], 'base64')
}

describe('revocation', function () {
  this.timeout(60_000) // keys are made, by ssh-keygen
  const scope = suiteScope()
  const names = []
  let dir

  const at = (name) => path.join(dir, name)
  const blob = (name) => blobOf(at(name))

  /** A certificate of key `of` by `ca`, as ssh-keygen makes it: NAME-cert.pub. */
  function certify (name, of, ca, ...args) {
    fs.copyFileSync(key(...of).publicPath, at(`${name}.pub`))
    execFileSync('ssh-keygen', ['-q', '-s', key(...ca).path, '-n', 'alice', ...args, at(`${name}.pub`)])
    fs.rmSync(at(`${name}.pub`))
    names.push(`${name}-cert.pub`)
  }

  before(function () {
    need(this, 'ssh-keygen')
    dir = scope.dir()
    for (const [name, of] of Object.entries(KEYS)) {
      fs.copyFileSync(key(...of).publicPath, at(`${name}.pub`))
      names.push(`${name}.pub`)
    }
    certify('one', KEYS.user, KEYS.ca, '-I', 'an id', '-z', '1')
    certify('nine', KEYS.user, KEYS.ca, '-I', 'nine', '-z', '9')
    certify('last', KEYS.user, KEYS.ca, '-I', 'l\u00e4st', '-z', '18446744073709551615')
    certify('uncounted', KEYS.user, KEYS.ca, '-I', 'uncounted')
    certify('host', KEYS.ecdsa, KEYS.ca, '-I', 'a host', '-h', '-z', '1000')
    certify('other', KEYS.rsa, KEYS.otherCa, '-I', 'an id', '-z', '1')
    certify('of-rsa', KEYS.user, KEYS.rsa, '-I', 'by rsa', '-z', '77')
  })

  const KEYS = {
    user: ['ed25519', 'revoked-user'],
    ecdsa: ['ecdsa-384', 'revoked'],
    rsa: ['rsa-3072', 'revoked'],
    ca: ['ed25519', 'revoked-ca'],
    otherCa: ['ecdsa-256', 'revoked-ca']
  }

  /** Which of names ssh-keygen -Q calls revoked. */
  function asked (file, of = names) {
    const { stdout, stderr } = spawnSync('ssh-keygen', ['-Q', '-f', file, ...of.map(at)], { encoding: 'utf8' })
    const verdicts = stdout.trim().split('\n').map((line) => /^(.*): (ok|REVOKED)$/.exec(line)?.[2])
    assert.strictEqual(verdicts.filter((verdict) => verdict !== undefined).length, of.length, stdout + stderr)
    return of.filter((name, i) => verdicts[i] === 'REVOKED')
  }

  async function ours (input, of = names) {
    const revocations = await loadRevocations([input])
    return of.filter((name) => revocations.isRevoked(blob(name)))
  }

  /** A KRL of ssh-keygen's: inputs are files of keys, or specifications. */
  function makeKrl (name, args, inputs) {
    const file = at(`${name}.krl`)
    const files = inputs.map((input, i) => {
      if (names.includes(input)) return at(input)
      fs.writeFileSync(at(`spec-${i}`), input)
      return at(`spec-${i}`)
    })
    execFileSync('ssh-keygen', ['-q', '-k', '-f', file, ...args, ...files])
    return file
  }

  const line = (name) => fs.readFileSync(at(name), 'utf8')
  const print = (name) => execFileSync('ssh-keygen', ['-lf', at(name)], { encoding: 'utf8' }).split(' ')[1]
  const byCa = () => ['-s', at('ca.pub')]

  // name: [arguments, inputs, what is revoked]
  const LISTS = {
    nothing: () => [byCa(), ['# nothing\n'], []],
    'one number': () => [byCa(), ['serial: 1\n'], ['one-cert.pub']],
    'numbers of another CA': () => [['-s', at('otherCa.pub')], ['serial: 1\nserial: 9\n'], ['other-cert.pub']],
    'an RSA key as CA': () => [['-s', at('rsa.pub')], ['serial: 77\n'], ['of-rsa-cert.pub']],
    'a range': () => [byCa(), ['serial: 2-999\n'], ['nine-cert.pub']],
    'a range to the end': () => [byCa(), ['serial: 1000-18446744073709551615\n'], ['last-cert.pub', 'host-cert.pub']],
    'every number, but those without': () => [byCa(), ['serial: 1-18446744073709551615\n'],
      ['one-cert.pub', 'nine-cert.pub', 'last-cert.pub', 'host-cert.pub']],
    'numbers for a bitmap': () => [byCa(), [Array.from({ length: 40 }, (_, i) => `serial: ${i * 2 + 1}\n`).join('')],
      ['one-cert.pub', 'nine-cert.pub']],
    'numbers beside them': () => [byCa(), ['serial: 2-8\nserial: 10-999\nserial: 1001\n'], []],
    'key ids': () => [byCa(), ['id: an id\nid: l\u00e4st\nid: nobody\n'], ['one-cert.pub', 'last-cert.pub']],
    'key ids of every CA': () => [['-s', 'none'], ['id: an id\nid: uncounted\n'], ['one-cert.pub', 'uncounted-cert.pub', 'other-cert.pub']],
    'numbers of every CA': () => [['-s', 'none'], ['serial: 1\nserial: 77\n'], ['one-cert.pub', 'other-cert.pub', 'of-rsa-cert.pub']],
    'a key': () => [[], [`key: ${line('ecdsa.pub')}`], ['ecdsa.pub', 'host-cert.pub']],
    'a key, by its file': () => [[], ['user.pub'],
      ['user.pub', 'one-cert.pub', 'nine-cert.pub', 'last-cert.pub', 'uncounted-cert.pub', 'of-rsa-cert.pub']],
    'the SHA-1 of a key': () => [[], [`sha1: ${line('rsa.pub')}`], ['rsa.pub', 'other-cert.pub', 'of-rsa-cert.pub']],
    'the SHA-256 of a key': () => [[], [`sha256: ${line('ecdsa.pub')}`], ['ecdsa.pub', 'host-cert.pub']],
    'a fingerprint': () => [[], [`hash: ${print('rsa.pub')}\n`], ['rsa.pub', 'other-cert.pub', 'of-rsa-cert.pub']],
    'the CA': () => [[], ['ca.pub'],
      ['ca.pub', 'one-cert.pub', 'nine-cert.pub', 'last-cert.pub', 'uncounted-cert.pub', 'host-cert.pub']],
    'the SHA-256 of the CA': () => [[], [`sha256: ${line('otherCa.pub')}`], ['otherCa.pub', 'other-cert.pub']],
    'a whole certificate': () => [byCa(), ['nine-cert.pub'], ['nine-cert.pub']],
    'a certificate without a number': () => [byCa(), ['uncounted-cert.pub'], ['uncounted-cert.pub']],
    'all together': () => [byCa(), ['serial: 9-12\nid: an id\n', `key: ${line('ecdsa.pub')}`, `sha1: ${line('rsa.pub')}`, `hash: ${print('otherCa.pub')}\n`],
      ['ecdsa.pub', 'rsa.pub', 'otherCa.pub', 'one-cert.pub', 'nine-cert.pub', 'host-cert.pub', 'other-cert.pub', 'of-rsa-cert.pub']]
  }

  describe('by lists of ssh-keygen -k', () => {
    for (const [name, make] of Object.entries(LISTS)) {
      it(`${name}: says what ssh-keygen -Q says`, async () => {
        const [args, inputs, revoked] = make()
        const file = makeKrl('list', args, inputs)
        assert.deepStrictEqual(asked(file), revoked)
        assert.deepStrictEqual(await ours(file), revoked)
        assert.deepStrictEqual(await ours(fs.readFileSync(file)), revoked)
      })
    }

    it('grow', async () => {
      const file = makeKrl('growing', byCa(), ['serial: 1\n'])
      assert.deepStrictEqual(await ours(file), ['one-cert.pub'])
      makeKrl('growing', [...byCa(), '-u'], ['serial: 9\n'])
      makeKrl('growing', ['-s', at('otherCa.pub'), '-u'], ['serial: 1\n'])
      assert.deepStrictEqual(await ours(file), ['one-cert.pub', 'nine-cert.pub', 'other-cert.pub'])
      assert.deepStrictEqual(asked(file), await ours(file))
    })

    // Dense and sparse numbers, so that lists, ranges and bitmaps are among them.
    it('of numbers drawn at random', async () => {
      const { below: draw } = createRandom()
      const ca = await binding.readPrivateKey(key(...KEYS.ca).private, null)
      const statement = {
        key: key(...KEYS.user).blob, kind: 'user', keyId: 'x', principals: ['alice'], validAfter: 0n, validBefore: 1n, critical: [], extensions: []
      }
      const drawn = []
      const serials = new Set()
      for (let i = 0; i < 60; i++) serials.add(1 + draw(i % 2 === 0 ? 200 : 100_000))
      for (const serial of serials) {
        const blob = await binding.signCertificate(ca, { ...statement, serial: BigInt(serial) })
        fs.writeFileSync(at(`drawn-${serial}-cert.pub`), `ssh-ed25519-cert-v01@openssh.com ${blob.toString('base64')}\n`)
        drawn.push(`drawn-${serial}-cert.pub`)
      }
      const spec = []
      for (let i = 0; i < 150; i++) {
        const from = 1 + draw(i % 3 === 0 ? 100_000 : 200)
        spec.push(i % 10 === 0 ? `serial: ${from}-${from + draw(5000)}` : `serial: ${from}`)
      }
      const file = makeKrl('drawn', byCa(), [`${spec.join('\n')}\n`])
      const revoked = asked(file, drawn)
      assert(revoked.length > 0 && revoked.length < drawn.length, `ALKNET_SEED=${seed}`)
      assert.deepStrictEqual(await ours(file, drawn), revoked, `ALKNET_SEED=${seed}`)
    })
  })

  describe('by lists that are refused as a whole', () => {
    const ca = () => str(blob('ca.pub'))
    const NUMBER_9 = section(0x20, Buffer.from('0000000000000009', 'hex'))

    async function refused (list, pattern) {
      await assert.rejects(loadRevocations([at('user.pub'), list]), { code: 'ERR_ALKNET_KEY', stage: 'key', message: pattern })
    }

    it('only non-critical extensions are skipped', async () => {
      const list = (critical) => krl(section(255, str('a@b'), [critical], str('x')), section(1, ca(), str(''), NUMBER_9))
      assert.deepStrictEqual(await ours(list(0)), ['nine-cert.pub'])
      await refused(list(1), /^revokedKeys: .*critical extension/)
      const inside = (critical) => krl(section(1, ca(), str(''), NUMBER_9, section(0x39, str('a@b'), [critical], str('x'))))
      assert.deepStrictEqual(await ours(inside(0)), ['nine-cert.pub'])
      await refused(inside(1), /critical extension/)
    })

    it('a section that is not known, a signature, a newer format', async () => {
      await refused(krl(section(6, [])), /a section of type 6, which is not known/)
      await refused(krl(section(1, str(''), str(''), section(0x24, []))), /for certificates of type 36/)
      await refused(krl(section(4, ca()), str('signature')), /is signed, which is not supported/)
      const newer = krl()
      newer[11] = 2
      await refused(newer, /format that is not known/)
    })

    it('one that is cut short, with the name of its file', async () => {
      const whole = fs.readFileSync(makeKrl('whole', byCa(), ['serial: 9\nid: an id\n']))
      assert.deepStrictEqual(await ours(whole), ['one-cert.pub', 'nine-cert.pub'])
      const head = whole.length - 5 - whole.readUInt32BE(45)
      assert.strictEqual(head, 44) // an empty list ends there
      for (let length = 8; length < whole.length; length++) {
        if (length === head) continue
        await assert.rejects(loadRevocations([whole.subarray(0, length)]), { code: 'ERR_ALKNET_KEY' }, `cut at ${length}`)
      }
      fs.writeFileSync(at('cut.krl'), whole.subarray(0, 60))
      await assert.rejects(loadRevocations([at('cut.krl')]), { code: 'ERR_ALKNET_KEY', message: /cut\.krl: the revocation list's section is damaged$/ })
    })

    it('one that is not there, or too long', async () => {
      await assert.rejects(loadRevocations([at('none')]), { code: 'ENOENT', message: /cannot read .*none/ })
      await assert.rejects(loadRevocations([Buffer.alloc(16 * 1024 * 1024 + 1)]), { code: 'ERR_ALKNET_LIMIT' })
    })
  })

  describe('by plain lists', () => {
    const OF_USER = ['user.pub', 'one-cert.pub', 'nine-cert.pub', 'last-cert.pub', 'uncounted-cert.pub', 'of-rsa-cert.pub']
    const OF_CA = ['ca.pub', 'one-cert.pub', 'nine-cert.pub', 'last-cert.pub', 'uncounted-cert.pub', 'host-cert.pub']
    const list = (text) => Buffer.from(text)

    it('of keys', async () => {
      assert.deepStrictEqual(await ours(list(line('user.pub'))), OF_USER)
      assert.deepStrictEqual(await ours(list(line('ca.pub'))), OF_CA)
      assert.deepStrictEqual(await ours(list(line('rsa.pub'))), ['rsa.pub', 'other-cert.pub', 'of-rsa-cert.pub'])
    })

    it('of fingerprints, padded or not', async () => {
      assert.deepStrictEqual(await ours(list(print('user.pub'))), OF_USER)
      assert.deepStrictEqual(await ours(list(`${print('ca.pub')}= the CA\n`)), OF_CA)
    })

    it('with comments, empty lines and the line ends of other systems', async () => {
      const text = `# ${line('ca.pub')}\r\n\r\n  ${print('otherCa.pub')} lost\t\r\n\t# end\n${line('ecdsa.pub').trim()}`
      assert.deepStrictEqual(await ours(list(text)), ['ecdsa.pub', 'otherCa.pub', 'host-cert.pub', 'other-cert.pub'])
      assert.deepStrictEqual(await ours(list('')), [])
    })

    it('of certificates, for the keys in them, as OpenSSH takes them', async () => {
      assert.deepStrictEqual(await ours(list(line('one-cert.pub'))), OF_USER)
    })

    it('of keys that alknet does not take anyway', async () => {
      const dss = str('ssh-dss')
      const text = `ssh-dss ${Buffer.concat([dss, str('x')]).toString('base64')}\n${key('rsa-2048', 'revoked').public}\n${print('user.pub')}`
      assert.deepStrictEqual(await ours(list(text)), OF_USER)
    })

    it('several together, and with KRLs', async () => {
      const revocations = await loadRevocations([list(line('ecdsa.pub')), makeKrl('several', byCa(), ['serial: 9\n']), list('')])
      assert.deepStrictEqual(names.filter((name) => revocations.isRevoked(blob(name))), ['ecdsa.pub', 'nine-cert.pub', 'host-cert.pub'])
      assert.strictEqual(revocations.why(blob('nine-cert.pub')), 'the certificate\'s serial number is revoked')
      assert.strictEqual(revocations.why(blob('host-cert.pub')), 'the certified key is revoked')
      assert.strictEqual(revocations.why(blob('user.pub')), null)
    })

    it('with nothing skipped: the line is named', async () => {
      const good = line('ecdsa.pub')
      const base64 = good.split(' ')[1]
      const cut = Buffer.from(base64, 'base64').subarray(0, -1).toString('base64')
      const certificate = blob('one-cert.pub')
      certificate[certificate.length - 1] ^= 1
      const cases = [
        ['nonsense', /neither a public key .* nor a fingerprint/],
        [`from="10.0.0.1" ${good.trim()}`, /neither/],
        [base64, /neither/],
        ['SHA256:short', /neither/],
        ['MD5:43:51:43:a1:b5:fc:8b:b7:0a:3a:a9:b1:0f:66:73:a8', /neither/],
        [`SHA256:${'/'.repeat(43)}`, /the fingerprint is damaged/],
        [`ecdsa-sha2-nistp384 ${base64.slice(0, -1)}`, /the key is damaged/],
        [`ecdsa-sha2-nistp384 ${cut}`, /the key is damaged/],
        [`ssh-ed25519 ${base64}`, /not of the type that the line names/],
        [`ssh-ed25519-cert-v01@openssh.com ${certificate.toString('base64')}`, /the certificate's signature is wrong/],
        ['SSHKRL', /neither/],
        [`${good.trim()}\r${good.trim()}`, /neither/],
        [`${good.trim()}\0`, /neither/]
      ]
      for (const [text, pattern] of cases) {
        const err = await loadRevocations([list(`# list\n\n${good}${text}\n${good}`)]).then(() => assert.fail(text), (err) => err)
        assert.strictEqual(err.code, 'ERR_ALKNET_KEY', text)
        assert.match(err.message, /^revokedKeys:4: /, text)
        assert.match(err.message, pattern, text)
      }
      fs.writeFileSync(at('bad'), 'x\n')
      await assert.rejects(loadRevocations([at('bad')]), { message: /bad:1: neither/ })
    })
  })

  it('takes what it cannot read for revoked', async () => {
    const revocations = await loadRevocations([])
    assert.strictEqual(revocations.isRevoked(blob('user.pub')), false)
    const some = await loadRevocations([Buffer.from('')])
    assert.strictEqual(some.isRevoked(blob('user.pub')), false)
    assert.strictEqual(some.isRevoked(Buffer.from('x')), true)
    const damaged = blob('one-cert.pub')
    damaged[damaged.length - 1] ^= 1
    assert.strictEqual(some.why(damaged), 'the key cannot be read')
  })
})
