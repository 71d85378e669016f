'use strict'

const assert = require('assert')
const fs = require('fs')
const os = require('os')
const path = require('path')
const { fakeBinding, loadWith } = require('./helpers/fake-binding')

const BLOB = Buffer.concat([Buffer.from([0, 0, 0, 11]), Buffer.from('ssh-ed25519')])
const FINGERPRINT = `SHA256:${BLOB.toString('hex')}`
const STORED = Buffer.from('stored')

/** A file whose text is `verdict host base64`, which the scripted addon takes at its word. */
function fileOf (verdict) {
  return Buffer.from(`# first\n${verdict} ssh-ed25519 ${STORED.toString('base64')}\n`)
}

async function verify (inputs, options = {}, more = {}) {
  const binding = fakeBinding()
  binding.hostsMatch = (text) => {
    const verdict = /(trusted|changed|other|revoked)/.exec(text)?.[1] ?? 'unknown'
    return { verdict, line: verdict === 'unknown' ? 0 : 2, types: text.length ? 'ssh-ed25519,ssh-rsa' : '' }
  }
  Object.assign(binding, more)
  const [{ loadKnownHosts }] = loadWith(binding, ['known-hosts'])
  const known = await loadKnownHosts({ inputs, pins: [], acceptNew: false, ...options })
  assert(Array.isArray(known.types('example.com', 22)))
  return known.verify('example.com', 22, BLOB)
}

const refused = (pattern, advice) => (err) => {
  assert.deepStrictEqual([err.code, err.stage], ['ERR_ALKNET_HOSTKEY', 'hostkey'])
  assert.match(err.message, pattern)
  assert(err.message.includes(FINGERPRINT))
  if (advice) assert.match(err.advice, advice)
  return true
}

describe('known hosts', () => {
  let dir
  beforeEach(() => { dir = fs.mkdtempSync(path.join(os.tmpdir(), 'alknet-')) })
  afterEach(() => fs.rmSync(dir, { recursive: true }))

  it('trust what one of the files trusts', async () => {
    await verify([fileOf('trusted')])
    await verify([fileOf('changed'), fileOf('trusted')])
    await verify([fileOf('other'), fileOf('x'), fileOf('trusted')])
  })

  it('let @revoked outweigh everything', async () => {
    await assert.rejects(verify([fileOf('trusted'), fileOf('revoked')]), refused(/revoked/))
    await assert.rejects(verify([fileOf('revoked')], { acceptNew: true }), refused(/revoked/))
    await assert.rejects(verify([fileOf('revoked')], { pins: [FINGERPRINT] }), refused(/revoked/))
  })

  it('say so when a file could not be evaluated', async () => {
    // The addon's word for that is revoked, at no line.
    const binding = { hostsMatch: () => ({ verdict: 'revoked', line: 0, types: '' }) }
    const file = path.join(dir, 'known_hosts')
    fs.writeFileSync(file, '|1|hashed')
    for (const more of [{}, { acceptNew: true }, { pins: [FINGERPRINT] }]) {
      await assert.rejects(verify([file], more, binding), (err) => {
        refused(/cannot be checked/, /\S/)(err)
        assert(err.message.includes(file))
        assert.doesNotMatch(err.message + err.advice, /revoked|known_hosts:0|stolen/)
        return true
      })
    }
  })

  it('ask only for key types that exist', async () => {
    const binding = fakeBinding()
    binding.hostsMatch = (text) => ({ verdict: 'unknown', line: 0, types: text })
    const [{ loadKnownHosts }] = loadWith(binding, ['known-hosts'])
    const inputs = ['ssh-dss,x25519-new,ssh-rsa', 'ssh-ed25519,ssh-rsa,rsa-sha2-512,constructor', ''].map((text) => Buffer.from(text))
    const known = await loadKnownHosts({ inputs, pins: [], acceptNew: false })
    assert.deepStrictEqual(known.types('example.com', 22), ['ssh-rsa', 'ssh-ed25519'])
  })

  it('say what was expected, what came, and where it stands', async () => {
    const file = path.join(dir, 'known_hosts')
    fs.writeFileSync(file, fileOf('changed'))
    const expected = `SHA256:${STORED.toString('hex')}`
    await assert.rejects(verify([file]), refused(new RegExp(`CHANGED: expected ${expected} \\(${file}:2\\), received SHA256`)))
    await assert.rejects(verify([fileOf('other')]), refused(new RegExp(`type.*expected ${expected} \\(knownHosts:2\\)`)))
  })

  it('name the three ways to trust an unknown key', async () => {
    const file = path.join(dir, 'known_hosts')
    await assert.rejects(verify([file]), refused(/not known: ssh-ed25519/,
      new RegExp(`--host-key ${FINGERPRINT}[^]*--accept-new[^]*${file}[^]*example.com:22 ${BLOB.toString('base64')}`)))
    assert(!fs.existsSync(file))
  })

  it('follow the pins, and only them', async () => {
    await verify([], { pins: ['SHA256:x', FINGERPRINT] })
    await verify([fileOf('changed')], { pins: [FINGERPRINT] })
    await assert.rejects(verify([fileOf('trusted')], { pins: ['SHA256:x'] }), refused(/not the pinned one: expected SHA256:x/))
    await assert.rejects(verify([path.join(dir, 'k')], { pins: ['SHA256:x'], acceptNew: true }), refused(/pinned/))
  })

  it('take a new key only when told to, and write it down', async () => {
    const file = path.join(dir, 'new', 'deep', 'known_hosts')
    await verify([file], { acceptNew: true })
    assert.strictEqual(fs.readFileSync(file, 'utf8'), `example.com:22 ${BLOB.toString('base64')}\n`)
    assert.strictEqual(fs.statSync(file).mode & 0o777, 0o600)
    assert.strictEqual(fs.statSync(path.dirname(file)).mode & 0o777, 0o700)
  })

  it('end the last line of a file before adding one', async () => {
    const file = path.join(dir, 'known_hosts')
    fs.writeFileSync(file, '# no line feed')
    await verify([file], { acceptNew: true })
    assert.strictEqual(fs.readFileSync(file, 'utf8').split('\n')[0], '# no line feed')
    assert.strictEqual(fs.readFileSync(file, 'utf8').split('\n').length, 3)
  })

  it('do not take a changed key for a new one', async () => {
    const file = path.join(dir, 'known_hosts')
    for (const verdict of ['changed', 'other']) {
      fs.writeFileSync(file, fileOf(verdict))
      await assert.rejects(verify([file], { acceptNew: true }), refused(/CHANGED|type/))
      assert.deepStrictEqual(fs.readFileSync(file), fileOf(verdict))
    }
  })

  it('trust nothing when the new key cannot be written', async () => {
    const file = path.join(dir, 'file')
    fs.writeFileSync(file, '')
    await assert.rejects(verify([path.join(file, 'known_hosts')], { acceptNew: true }), { code: 'ERR_ALKNET_OPTION', option: 'acceptNew' })
    // It could have been at the start, and can no longer.
    const later = path.join(dir, 'later')
    const hostsMatch = () => {
      fs.writeFileSync(later, '')
      return { verdict: 'unknown', line: 0, types: '' }
    }
    await assert.rejects(verify([path.join(later, 'known_hosts')], { acceptNew: true }, { hostsMatch }), { stage: 'hostkey', message: /could not be written/ })
  })

  it('say which file cannot be read', async () => {
    await assert.rejects(verify([dir]), { code: 'EISDIR', stage: 'key', message: new RegExp(dir) })
  })
})

// A certificate of BLOB by the CA; what the addon says of it is scripted.
const CERT = Buffer.from('certificate')
const CA = Buffer.from('authority')
const CERTIFICATE = {
  key: BLOB,
  ca: CA,
  caFingerprint: `SHA256:${CA.toString('hex')}`,
  keyId: 'web "one"\n',
  principals: ['a.example.com', 'b\x1b[2J'],
  validAfter: 0n,
  validBefore: 1700000000n
}

/** The text of a file: one word for the key, one for the CA. */
const says = (key, ca) => Buffer.from(`key:${key} ssh-ed25519 ${STORED.toString('base64')}\n` +
  `@cert-authority ca:${ca} ssh-ed25519 ${STORED.toString('base64')}\n`)

async function verifyCertificate (inputs, { problem = null, certificate = {}, read, ...options } = {}) {
  const binding = fakeBinding()
  const asked = []
  const look = (word, line, expected) => (text, host, port, blob) => {
    if (blob !== null) assert.deepStrictEqual(blob, expected)
    const verdict = new RegExp(`${word}:(\\w+)`).exec(text)?.[1] ?? 'unknown'
    const none = verdict === 'unknown' || verdict === 'broken'
    return { verdict: verdict === 'broken' ? 'revoked' : verdict, line: none ? 0 : line, types: blob === null && !none ? 'ssh-ed25519' : '' }
  }
  Object.assign(binding, {
    hostsMatch: look('key', 1, BLOB),
    hostsAuthority: look('ca', 2, CA),
    isCertificate: (blob) => blob === CERT,
    readCertificate: read ?? (() => ({ ...CERTIFICATE, ...certificate })),
    checkCertificate: (...args) => {
      asked.push(args)
      return problem
    }
  })
  const [{ loadKnownHosts }] = loadWith(binding, ['known-hosts'])
  const known = await loadKnownHosts({ inputs, pins: [], acceptNew: false, certificates: true, ...options })
  const now = Math.floor(Date.now() / 1000)
  const result = await known.verify('example.com', 2222, CERT)
  for (const [blob, kind, host, seconds] of asked) {
    assert.deepStrictEqual([blob, kind, host], [CERT, 'host', 'example.com'])
    assert(seconds >= now && seconds <= now + 60)
  }
  return { result, asked: asked.length }
}

describe('host certificates', () => {
  const EXPIRED = { problem: 'the certificate is refused: it has expired' }
  const words = ['unknown', 'other', 'changed', 'trusted']

  it('are trusted when their CA is and they are valid, whatever is known of the key', async () => {
    for (const key of words) {
      assert.deepStrictEqual(await verifyCertificate([says(key, 'trusted')]), { result: null, asked: 1 })
    }
    await verifyCertificate([says('unknown', 'other'), says('unknown', 'trusted')])
  })

  it('are never trusted when the key or the CA is revoked', async () => {
    for (const options of [{}, { acceptNew: true }, { pins: [FINGERPRINT] }]) {
      await assert.rejects(verifyCertificate([says('trusted', 'trusted'), says('revoked', 'trusted')], options),
        refused(/the host key of example.com:2222 is revoked \(knownHosts:1\)/))
      await assert.rejects(verifyCertificate([says('trusted', 'trusted'), says('trusted', 'revoked')], options),
        refused(/the CA of the host certificate of example.com:2222 is revoked \(knownHosts:2\): SHA256:6175/, /any host/))
      for (const text of [says('broken', 'trusted'), says('trusted', 'broken')]) {
        await assert.rejects(verifyCertificate([text], options), refused(/cannot be checked: knownHosts/))
      }
    }
  })

  it('fall back to the key, when the CA is not one for this host', async () => {
    for (const ca of ['unknown', 'other']) {
      assert.deepStrictEqual(await verifyCertificate([says('trusted', ca)]), { result: null, asked: 0 })
      await assert.rejects(verifyCertificate([says('changed', ca)]), refused(/CHANGED: expected SHA256:\w+ \(knownHosts:1\).*of the CA SHA256:6175\w+, which is not known/))
      await assert.rejects(verifyCertificate([says('other', ca)]), refused(/type that is not known.*CA SHA256:6175/))
      await assert.rejects(verifyCertificate([says('unknown', ca)]), refused(/not known: ssh-ed25519 SHA256:\w+, with a certificate of the CA SHA256:6175/,
        new RegExp(`--host-key ${FINGERPRINT}[^]*--accept-new[^]*\n {2}example.com:2222 ${BLOB.toString('base64')}\n[^]*\n {2}@cert-authority example.com:2222 ${CA.toString('base64')}$`)))
    }
    await assert.rejects(verifyCertificate([says('unknown', 'other')]),
      refused(new RegExp(`expected SHA256:${STORED.toString('hex')} \\(knownHosts:2\\)`)))
  })

  it('are refused when they are not valid, with all that there is to know', async () => {
    await assert.rejects(verifyCertificate([says('unknown', 'trusted')], EXPIRED), (err) => {
      refused(/the host certificate of example.com:2222 is not valid: it has expired \(key id "web "one"\?", CA SHA256:6175\w+ at knownHosts:2\).*not known itself/,
        new RegExp(`for a.example.com, b\\?\\[2J, and valid until 2023-11-14T22:13:20Z\\.[^]*new one[^]*--host-key ${FINGERPRINT}`))(err)
      assert.doesNotMatch(err.message + err.advice, /[\x00-\x09\x0b-\x1f]/) // eslint-disable-line no-control-regex
      return true
    })
    for (const key of ['changed', 'other']) {
      await assert.rejects(verifyCertificate([says(key, 'trusted')], EXPIRED),
        refused(/not valid: it has expired.*the known key is SHA256:73746f726564 \(knownHosts:1\)/))
    }
  })

  it('say for whom they are and how long, in every case', async () => {
    const advice = async (certificate, pattern) =>
      assert.rejects(verifyCertificate([says('unknown', 'trusted')], { ...EXPIRED, certificate }), refused(/not valid/, pattern))
    await advice({ principals: [] }, /for nobody, /)
    await advice({ principals: Array.from({ length: 12 }, (_, i) => `h${i}`) }, /for h0, .*h9 and 2 more, /)
    await advice({ validAfter: 1600000000n, validBefore: 2n ** 64n - 1n }, /valid from 2020-09-13T12:26:40Z for ever\./)
    await advice({ validAfter: 2n ** 63n, validBefore: 2n ** 64n - 2n }, /valid from ever until ever\./)
  })

  it('that are not valid leave a known key known, and say so', async () => {
    assert.deepStrictEqual(await verifyCertificate([says('trusted', 'trusted')], EXPIRED),
      { result: 'the certificate is refused: it has expired', asked: 1 })
  })

  it('are judged by their key when there are pins', async () => {
    await verifyCertificate([says('unknown', 'unknown')], { pins: [FINGERPRINT] })
    await verifyCertificate([says('changed', 'trusted')], { ...EXPIRED, pins: [FINGERPRINT] })
    for (const pin of ['SHA256:x', CERTIFICATE.caFingerprint]) {
      await assert.rejects(verifyCertificate([says('trusted', 'trusted')], { pins: [pin] }), refused(/not the pinned one/))
    }
  })

  it('that are new have their key written down, never the CA', async () => {
    const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'alknet-'))
    try {
      const file = path.join(dir, 'known_hosts')
      await verifyCertificate([file, says('unknown', 'other')], { acceptNew: true })
      assert.strictEqual(fs.readFileSync(file, 'utf8'), `example.com:2222 ${BLOB.toString('base64')}\n`)
      fs.rmSync(file)
      // Somebody who has an old certificate is not new.
      await assert.rejects(verifyCertificate([file, says('unknown', 'trusted')], { ...EXPIRED, acceptNew: true }), refused(/not valid/))
      assert(!fs.existsSync(file))
    } finally {
      fs.rmSync(dir, { recursive: true })
    }
  })

  it('that cannot be read are refused', async () => {
    const read = () => { throw new Error('it is damaged') }
    await assert.rejects(verifyCertificate([says('trusted', 'trusted')], { read, acceptNew: true }),
      { code: 'ERR_ALKNET_HOSTKEY', stage: 'hostkey', message: /certificate of example.com:2222 cannot be read: it is damaged/ })
  })

  it('are asked for first, where a CA is known and the engine can', async () => {
    const binding = fakeBinding()
    binding.hostsMatch = () => ({ verdict: 'unknown', line: 0, types: 'ssh-rsa' })
    binding.hostsAuthority = (text) => ({ verdict: 'unknown', line: 0, types: text })
    const [{ loadKnownHosts }, { hostKeyOrder }] = loadWith(binding, ['known-hosts', 'credentials'])
    const order = async (authorities, { offered, ...options } = {}) => {
      const known = await loadKnownHosts({ inputs: [Buffer.from(authorities)], pins: [], acceptNew: false, certificates: true, ...options })
      return hostKeyOrder(offered, known.types('h', 22)).replaceAll('-cert-v01@openssh.com', '+')
    }
    const plain = 'rsa-sha2-512,rsa-sha2-256,ssh-ed25519,ecdsa-sha2-nistp256'
    const all = `ssh-ed25519+,ecdsa-sha2-nistp256+,rsa-sha2-512+,rsa-sha2-256+,${plain}`
    assert.strictEqual(await order(''), plain)
    assert.strictEqual(await order('ssh-ed25519'), all)
    assert.strictEqual(await order('x25519-new'), all)
    assert.strictEqual(await order('ssh-ed25519', { certificates: false }), plain)
    assert.strictEqual(await order('ssh-ed25519', { pins: ['SHA256:x'] }), plain)
    const offered = 'ssh-ed25519,rsa-sha2-256-cert-v01@openssh.com'
    assert.strictEqual(await order('', { offered }), 'ssh-ed25519,rsa-sha2-256+')
    assert.strictEqual(await order('ssh-ed25519', { offered }), 'rsa-sha2-256+,ssh-ed25519')
    assert.strictEqual(await order('ssh-ed25519', { offered: 'ssh-ed25519' }), 'ssh-ed25519')
  })
})
