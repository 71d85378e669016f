'use strict'

const assert = require('assert')
const fs = require('fs')
const os = require('os')
const path = require('path')
const { fakeBinding, loadWith } = require('./helpers/fake-binding')

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
    await load('encrypted')(file, { option: 'identity', passphrase: 'right' })
    await assert.rejects(load('encrypted')(file, { option: 'identity' }), { code: 'ERR_ALKNET_KEY', message: /encrypted and no passphrase/ })
    await assert.rejects(load('encrypted')(file, { option: 'identity', passphrase: 'wrong' }), { code: 'ERR_ALKNET_KEY', message: /key: the passphrase is wrong/ })
  })
})
