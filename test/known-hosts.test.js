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
    await assert.rejects(verify([path.join(file, 'known_hosts')], { acceptNew: true }), { code: 'ENOTDIR' })
  })

  it('say which file cannot be read', async () => {
    await assert.rejects(verify([dir]), { code: 'EISDIR', stage: 'key', message: new RegExp(dir) })
  })
})
