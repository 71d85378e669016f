'use strict'

const assert = require('assert')
const fs = require('fs')
const os = require('os')
const path = require('path')
const { execFileSync } = require('child_process')
const { fakeBinding, loadWith } = require('./helpers/fake-binding')
const { key } = require('./helpers/keys')

function load (format = 'openssh') {
  const binding = fakeBinding()
  binding.keyFormat = () => format
  binding.readPrivateKey = async (text, passphrase) => {
    if (format === 'encrypted' && passphrase !== 'right') throw new Error('the passphrase is wrong')
    return { text, passphrase }
  }
  return loadWith(binding, ['keys'])[0].loadPrivateKey
}

describe('private keys', () => {
  let dir, file
  beforeEach(() => {
    dir = fs.mkdtempSync(path.join(os.tmpdir(), 'alknet-'))
    file = path.join(dir, 'key')
    fs.writeFileSync(file, 'secret', { mode: 0o600 })
  })
  afterEach(() => fs.rmSync(dir, { recursive: true }))

  it('come from a path or from bytes', async () => {
    assert.strictEqual((await load()(file, { option: 'identity' })).text, 'secret')
    const bytes = Buffer.from('bytes')
    assert.strictEqual((await load()(bytes, { option: 'identity' })).text, 'bytes')
    assert.strictEqual(String(bytes), 'bytes', "the caller's bytes are the caller's")
  })

  it('are refused when others can read them', async () => {
    for (const mode of [0o644, 0o640, 0o604, 0o660, 0o601]) {
      fs.chmodSync(file, mode)
      await assert.rejects(load()(file, { option: 'identity' }),
        { code: 'ERR_ALKNET_KEY', stage: 'key', message: new RegExp(`mode 0${mode.toString(8)}.*chmod 600`) })
    }
    fs.chmodSync(file, 0o400)
    await load()(file, { option: 'identity' })
  })

  it('are refused in a sentence when they cannot be read', async () => {
    await assert.rejects(load()(path.join(dir, 'none'), { option: 'identity' }), { code: 'ENOENT', stage: 'key', message: /cannot read .*none: no such file/ })
    await assert.rejects(load()(dir, { option: 'identity' }), { code: 'EISDIR', stage: 'key' })
  })

  it('are refused in a sentence when they are something else', async () => {
    await assert.rejects(load('pem')(file, { option: 'identity' }), { code: 'ERR_ALKNET_KEY', message: /PEM.*ssh-keygen -p -f/ })
    await assert.rejects(load('unknown')(file, { option: 'identity' }), { message: /not an OpenSSH private key/ })
    fs.writeFileSync(`${file}.pub`, 'ssh-ed25519 AAAA', { mode: 0o644 })
    await assert.rejects(load('unknown')(`${file}.pub`, { option: 'identity' }), { message: /is a public key.*without \.pub/ })
    await assert.rejects(load('unknown')(Buffer.from('ssh-ed25519 AAAA'), { option: 'identity' }), { message: /identity is a public key/ })
  })

  it('have a limit', async () => {
    fs.writeFileSync(file, Buffer.alloc(65 * 1024))
    await assert.rejects(load()(file, { option: 'identity' }), { code: 'ERR_ALKNET_LIMIT' })
    await assert.rejects(load()(Buffer.alloc(65 * 1024), { option: 'identity' }), { code: 'ERR_ALKNET_LIMIT' })
  })

  it('ask for a passphrase only when there is need', async () => {
    const asked = []
    const passphrase = async (name) => {
      asked.push(name)
      return 'right'
    }
    await load()(file, { option: 'identity', passphrase })
    assert.deepStrictEqual(asked, [])
    assert.strictEqual((await load('encrypted')(file, { option: 'identity', passphrase })).passphrase, 'right')
    assert.deepStrictEqual(asked, [file])
    await assert.rejects(load('encrypted')(file, { option: 'identity', passphrase, signal: AbortSignal.abort() }), { code: 'ERR_ALKNET_CANCELED', stage: 'key' })
    assert.deepStrictEqual(asked, [file], 'nobody is asked who is not to answer')
    await load('encrypted')(file, { option: 'identity', passphrase: 'right' })
    await assert.rejects(load('encrypted')(file, { option: 'identity' }), { code: 'ERR_ALKNET_KEY', message: /encrypted and no passphrase/ })
    await assert.rejects(load('encrypted')(file, { option: 'identity', passphrase: 'wrong' }), { code: 'ERR_ALKNET_KEY', message: /key: the passphrase is wrong/ })
  })
})

describe('keys and their certificates', () => {
  const binding = require('../lib/binding')
  const { loadKeys } = require('../lib/keys')
  const of = (kind, certificates) => ({ option: 'identity', certificateOption: 'certificate', certificates, kind })
  let dir, ours, other

  const read = (file) => binding.readPrivateKey(fs.readFileSync(file, 'latin1'), null)
  const blobOf = (file) => Buffer.from(fs.readFileSync(file, 'utf8').split(' ')[1], 'base64')

  function certify (from, name, ...args) {
    const file = path.join(dir, name)
    for (const end of ['', '.pub']) fs.copyFileSync(`${from.path}${end}`, `${file}${end}`)
    fs.chmodSync(file, 0o600)
    execFileSync('ssh-keygen', ['-q', '-s', key('ed25519', 'ca').path, '-I', name, '-n', 'me', ...args, `${file}.pub`], { stdio: 'pipe' })
    return file
  }

  before(() => {
    dir = fs.mkdtempSync(path.join(os.tmpdir(), 'alknet-'))
    ours = certify(key('ed25519', 'user'), 'ours')
    other = certify(key('ecdsa-256', 'user'), 'other')
  })
  after(() => fs.rmSync(dir, { recursive: true }))

  it('are attached only to the key that is certified', async () => {
    const blob = blobOf(`${ours}-cert.pub`)
    const one = await read(ours)
    assert.strictEqual(one.certificate, null)
    const damaged = Buffer.from(blob)
    damaged[damaged.length - 1] ^= 1
    for (const wrong of [blobOf(`${other}-cert.pub`), blobOf(`${ours}.pub`), damaged, Buffer.alloc(0)]) {
      assert.throws(() => one.attachCertificate(wrong), { code: 'ERR_ALKNET_KEY' })
      assert.strictEqual(one.certificate, null)
    }
    assert.throws(() => binding.readPublicBlob(one.blob()).attachCertificate(blob), { code: 'ERR_ALKNET_KEY', message: /private/ })
    assert.throws(() => one.attachCertificate('text'))
    const copy = one.dup()
    copy.attachCertificate(blob)
    assert.deepStrictEqual(copy.certificate, blob)
    assert.deepStrictEqual(copy.dup().certificate, blob)
    assert.strictEqual(one.certificate, null)
    assert.deepStrictEqual([copy.type, copy.isPrivate, copy.blob()], [one.type, true, one.blob()])
    assert.throws(() => copy.attachCertificate(damaged), { code: 'ERR_ALKNET_KEY' })
    assert.deepStrictEqual(copy.certificate, blob, 'it keeps what it had')
  })

  it('come from beside the key and from a list, each once', async () => {
    const apart = path.join(dir, 'apart')
    fs.writeFileSync(apart, `# a comment\r\n\r\n  ${fs.readFileSync(`${ours}-cert.pub`, 'utf8').trim()}\r\n`)
    const names = async (sources, certificates) =>
      (await loadKeys(sources, of('user', certificates))).map((one) => one.certificates.map(({ keyId, name }) => `${keyId} ${path.basename(name)}`))
    assert.deepStrictEqual(await names([other, ours], []), [['other other-cert.pub'], ['ours ours-cert.pub']])
    assert.deepStrictEqual(await names([ours], [apart, fs.readFileSync(apart)]), [['ours ours-cert.pub']])
    assert.deepStrictEqual(await names([fs.readFileSync(ours)], []), [[]])
    assert.deepStrictEqual(await names([fs.readFileSync(ours), other], [fs.readFileSync(apart)]), [['ours certificate'], ['other other-cert.pub']])
    assert.deepStrictEqual(await names([key('ed25519', 'host').path], []), [[]])
  })

  it('are for users or for hosts', async () => {
    const host = certify(key('ed25519', 'host'), 'host', '-h')
    await loadKeys([host], of('host', []))
    await assert.rejects(loadKeys([host], of('user', [])), { code: 'ERR_ALKNET_KEY', message: /host-cert\.pub is a host certificate, and a user certificate is wanted/ })
    await assert.rejects(loadKeys([ours], of('host', [])), { code: 'ERR_ALKNET_KEY', message: /ours-cert\.pub is a user certificate/ })
  })

  it('have a limit', async () => {
    await assert.rejects(loadKeys([ours], of('user', [Buffer.alloc(65 * 1024)])), { code: 'ERR_ALKNET_LIMIT', message: /^certificate is longer/ })
  })
})
