'use strict'

const assert = require('assert')
const { execFile } = require('child_process')
const fs = require('fs')
const net = require('net')
const os = require('os')
const path = require('path')

const BIN = path.join(__dirname, '..', 'bin', 'alknet.js')

describe('alknet (command)', () => {
  let dir
  before(() => { dir = fs.mkdtempSync(path.join(os.tmpdir(), 'alknet-')) })
  after(() => fs.rmSync(dir, { recursive: true }))

  function run (args, env = {}) {
    return new Promise((resolve) => {
      execFile(process.execPath, [BIN, ...args], { env: { PATH: process.env.PATH, HOME: dir, ...env } }, (err, stdout, stderr) => {
        resolve({ code: err === null ? 0 : err.code, stdout, stderr })
      }).stdin.end()
    })
  }

  async function fails (args, code, pattern, env) {
    const result = await run(args, env)
    assert.strictEqual(result.code, code, `${args.join(' ')}\n${result.stderr}`)
    assert.match(result.stderr, pattern)
    assert.doesNotMatch(result.stderr, /^\s+at /m, 'no stack')
    return result
  }

  const CONNECT = ['connect', '--server', '127.0.0.1:1', '--socks5', '127.0.0.1:0', '--identity']

  it('shows help with examples for each subcommand', async () => {
    for (const args of [['--help'], ['serve', '--help'], ['connect', '--help'], ['keygen', '--help']]) {
      const { code, stdout } = await run(args)
      assert.strictEqual(code, 0)
      assert.match(stdout, /Examples:\n {2}\$ alknet /)
    }
  })

  it('shows the versions of what it runs on', async () => {
    const { code, stdout } = await run(['--version'])
    assert.strictEqual(code, 0)
    assert.match(stdout, /^alknet \d+\.\d+\.\d+\nnode \d+\S*\nlibssh \d+\S*\nopenssl \d\S*.*\nlibuv \d+\S*\nengines native, libssh\n$/)
  })

  it('exits with 2 and a suggestion for what it does not know', async () => {
    await fails([], 2, /Usage: alknet/)
    await fails(['conect'], 2, /unknown command 'conect'[^]*connect/)
    await fails(['connect', '--identiti', 'x'], 2, /unknown option '--identiti'[^]*--identity/)
    await fails(['serve', '--keys', 'x'], 2, /unknown option '--keys'[^]*--key/)
    await fails(['serve', 'extra'], 2, /too many arguments/)
    await fails(['connect', '--server'], 2, /argument missing/)
  })

  it('knows every flag of the specification, and ignores none', async () => {
    const planned = {
      connect: [['--peer', 'x'], ['--remote-forward', '1:a:2'], ['--proxy', 'x'], ['--tls-server-name', 'x'], ['--tls-ca', 'x'], ['--insecure'],
        ['--iroh-relay', 'x'], ['--config', 'x'], ['--profile', 'x'], ['--retry'], ['--transport', 'tls'], ['--forward', '1:/a.sock']],
      serve: [['--cert-authority', 'x'], ['--revoked-keys', 'x'], ['--tls-cert', 'x'], ['--tls-key', 'x'], ['--acme-domain', 'x'], ['--acme-directory', 'x'],
        ['--acme-contact', 'x'], ['--acme-cache', 'x'], ['--acme-challenge', 'x'], ['--stealth'], ['--stealth-upstream', 'x'], ['--proxy', 'x'],
        ['--deny', 'x'], ['--default', 'x'], ['--permit-listen', 'x'], ['--metrics', 'x'], ['--config', 'x'], ['--check'], ['--transport', 'iroh']]
    }
    const all = Object.entries(planned).flatMap(([command, list]) => list.map((flags) => [command, flags]))
    await Promise.all(all.map(([command, flags]) => fails([command, ...flags], 2, new RegExp(`^alknet: ${flags[0]}: .*not available yet\n$`))))
  }).timeout(60_000)

  it('exits with 2 for configuration that is wrong, in the words of the flags', async () => {
    await fails(['connect'], 2, /^alknet: --server: is required/)
    await fails(['connect', '--server', 'x'], 2, /^alknet: --identity: is required/)
    await fails(['serve'], 2, /^alknet: --key: is required/)
    await fails([...CONNECT, 'k', '--keepalive', 'x'], 2, /^alknet: --keepalive: must be a whole number/)
    await fails([...CONNECT, 'k', '--log-level', 'loud'], 2, /^alknet: --log-level: must be one of/)
    await fails([...CONNECT, 'k', '--socks5', '0.0.0.0:1080'], 2, /^alknet: --socks5: /)
    await fails([...CONNECT, 'k', '--forward', 'x'], 2, /^alknet: --forward: /)
    await fails(['connect', '--identity', 'k'], 2, /^alknet: --server: /, { ALKNET_SERVER: 'a:b:c' })
    await fails(['serve', '--key', 'k', '--listen', 'x:1'], 2, /^alknet: --listen: /)
    await fails(['keygen', '-t', 'dsa'], 2, /^alknet: --type: must be one of/)
  }).timeout(60_000)

  it('makes keys, and replaces none by accident', async () => {
    const file = path.join(dir, 'made')
    const { code, stdout } = await run(['keygen', '-f', file, '-C', 'me'])
    assert.strictEqual(code, 0)
    assert.match(stdout, /ssh-ed25519 SHA256:[A-Za-z0-9+/]{43}\n$/)
    assert.strictEqual(fs.statSync(file).mode & 0o777, 0o600)
    assert.match(fs.readFileSync(`${file}.pub`, 'utf8'), /^ssh-ed25519 \S+ me\n$/)
    const before = fs.readFileSync(file)
    await fails(['keygen', '-f', file], 2, /exists already; --force/)
    assert(fs.readFileSync(file).equals(before))
    assert.strictEqual((await run(['keygen', '-f', file, '--force'])).code, 0)
    assert(!fs.readFileSync(file).equals(before))
  })

  it('exits with 2 for keys that are not usable', async () => {
    await fails([...CONNECT, path.join(dir, 'none')], 2, /cannot read .*none: no such file/)
    const open = path.join(dir, 'open')
    assert.strictEqual((await run(['keygen', '-f', open])).code, 0)
    fs.chmodSync(open, 0o644)
    await fails([...CONNECT, open], 2, /others can read this private key/)
    const pem = path.join(dir, 'pem')
    const { privateKey } = require('crypto').generateKeyPairSync('ed25519')
    fs.writeFileSync(pem, privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 })
    await fails([...CONNECT, pem], 2, /PEM.*ssh-keygen/)
    await fails([...CONNECT, `${open}.pub`], 2, /is a public key|others can read/)
    const locked = path.join(dir, 'locked')
    assert.strictEqual((await run(['keygen', '-f', locked, '-N', 'right'])).code, 0)
    await fails([...CONNECT, locked], 2, /no passphrase was given/)
    await fails([...CONNECT, locked], 2, /passphrase/, { ALKNET_PASSPHRASE: 'wrong' })
    await fails([...CONNECT, locked], 5, /cannot reach 127\.0\.0\.1:1/, { ALKNET_PASSPHRASE: 'right' })
  }).timeout(60_000)

  it('exits with 1 for a port in use, and with 5 for a server that cannot be reached', async () => {
    const key = path.join(dir, 'client')
    assert.strictEqual((await run(['keygen', '-f', key])).code, 0)
    const taken = net.createServer().listen(0, '127.0.0.1')
    await new Promise((resolve) => taken.once('listening', resolve))
    const { port } = taken.address()
    await fails(['connect', '--server', '127.0.0.1:1', '--identity', key, '--socks5', `127.0.0.1:${port}`], 1,
      new RegExp(`cannot listen on 127\\.0\\.0\\.1:${port}: the address is in use`))
    await fails(['serve', '--key', key, '--listen', `127.0.0.1:${port}`], 1, /the address is in use/)
    taken.close()
    await fails(['connect', '--server', '127.0.0.1:1', '--identity', key, '--socks5', '127.0.0.1:0'], 5, /cannot reach 127\.0\.0\.1:1/)
  })
})
