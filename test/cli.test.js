'use strict'

const assert = require('assert')
const { execFile, spawn } = require('child_process')
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
    for (const args of [['--help'], ['serve', '--help'], ['connect', '--help'], ['keygen', '--help'], ['policy', 'test', '--help']]) {
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
      connect: [['--peer', 'x'], ['--iroh-relay', 'x'], ['--transport', 'iroh']],
      serve: [['--transport', 'iroh']]
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
    await fails([...CONNECT, 'k', '--proxy', 'ftp://me:secret@x'], 2, /^alknet: --proxy: (?!.*secret)must be socks5:/)
    await fails([...CONNECT, 'k'], 2, /^alknet: --proxy: (?!.*secret)needs the host/, { ALKNET_PROXY: 'http://me:x@x:secret' })
    await fails([...CONNECT, 'k', '--proxy', 'env'], 2, /^alknet: --proxy: the variable HTTPS_PROXY must be/, { HTTPS_PROXY: 'https://x' })
    await fails(['serve', '--key', 'k', '--proxy', 'env', '--proxy', 'http://x'], 2, /^alknet: --proxy: env stands alone/)
    await fails(['serve', '--key', 'k', '--listen', 'x:1'], 2, /^alknet: --listen: /)
    await fails(['keygen', '-t', 'dsa'], 2, /^alknet: --type: must be one of/)
  }).timeout(60_000)

  describe('with a file', () => {
    const file = () => path.join(dir, 'alknet.toml')
    const CONFIG = '[server]\nkey = "file_key"\nauthorized-keys = "file_key.pub"\nlisten = "127.0.0.1:0"\nlogin-grace = "1m"\nmax-sessions = 7\n\n' +
      '[forwarding]\ndefault = "deny"\nrules = [\n  "allow loopback:1024-65535",\n  "deny *.internal:* guests",\n]\n\n[client]\nserver = "127.0.0.1:1"\nidentity = "file_key"\n\n[profiles.work]\nuser = "worker"\n'

    before(async () => {
      assert.strictEqual((await run(['keygen', '-f', path.join(dir, 'file_key')])).code, 0)
    })
    beforeEach(() => fs.writeFileSync(file(), CONFIG))

    it('--check prints what is in effect, which says the same again', async () => {
      const { code, stdout, stderr } = await run(['serve', '--config', file(), '--check'])
      assert.deepStrictEqual([code, stderr], [0, ''])
      for (const line of ['login-grace = 60', 'max-sessions = 7', 'default = "deny"', '  "deny *.internal:* guests",', 'max-lookups = 64']) assert(stdout.includes(`${line}\n`), line)
      fs.writeFileSync(file(), stdout)
      assert.strictEqual((await run(['serve', '--config', file(), '--check'])).stdout, stdout)
      const work = await run(['connect', '--config', file(), '--profile', 'work', '--socks5-auth', 'a:sesame', '--check'])
      assert.strictEqual(work.code, 2, 'the server\'s dump has no [client]')
      fs.writeFileSync(file(), CONFIG)
      const client = await run(['connect', '--config', file(), '--profile', 'work', '--socks5-auth', 'a:sesame', '--check'])
      assert.match(client.stdout, /^user = "worker"$/m)
      assert.doesNotMatch(client.stdout, /sesame/)
    })

    it('flags come before variables, these before the file, this before the default', async () => {
      fs.appendFileSync(file(), '\n')
      fs.writeFileSync(file(), CONFIG.replace('max-sessions = 7', 'max-sessions = 7\nlog-level = "debug"\ntransport = "tcp"').replace('[client]', '[client]\nuser = "of-file"'))
      const check = async (args, env) => (await run([...args, '--config', file(), '--check'], env)).stdout
      assert.match(await check(['serve', '--max-sessions', '9', '--login-grace', '2m']), /login-grace = 120\n[^]*max-sessions = 9\n[^]*log-level = "debug"/)
      assert.match(await check(['serve'], { ALKNET_LOG_LEVEL: 'warn' }), /log-level = "warn"/)
      assert.match(await check(['serve', '--log-level', 'info'], { ALKNET_LOG_LEVEL: 'warn' }), /log-level = "info"/)
      assert.match(await check(['connect'], {}), /user = "of-file"/)
      assert.match(await check(['connect'], { ALKNET_USER: 'of-env' }), /user = "of-env"/)
      assert.match(await check(['connect', '--user', 'of-flag'], { ALKNET_USER: 'of-env' }), /user = "of-flag"/)
      const rules = await check(['serve', '--deny', 'private', '--allow', '*:22 ops', '--default', 'allow'])
      assert.match(rules, /default = "allow"\nrules = \[\n {2}"deny private",\n {2}"allow \*:22 ops",\n {2}"allow loopback:1024-65535",\n/)
      assert.match(await check(['serve', '--permit-listen', 'none']), /permit-listen = \[\]/)
    })

    it('--check exits with 2 and one line with file, line and column', async () => {
      const cases = [
        ['"1m"', '"1x"', /^alknet: \S+alknet\.toml:5:1: login-grace: must be .*\n$/],
        ['"deny *.internal', '"deny 10.*', /^alknet: \S+alknet\.toml:12:3: rules: .*\n$/],
        ['"deny"', '"no"', /^alknet: \S+alknet\.toml:9:1: default: must be allow or deny\n$/],
        ['max-sessions', 'max-sesions', /^alknet: \S+alknet\.toml:6:1: .*did you mean max-sessions\?\n$/],
        ['7\n', '7 7\n', /^alknet: \S+alknet\.toml:6:\d+: .*\n$/],
        ['"127.0.0.1:0"', '["127.0.0.1:0", "x:1"]', /^alknet: \S+alknet\.toml:4:26: listen: .*\n$/],
        ['max-sessions = 7', 'stealth = true', /^alknet: \S+alknet\.toml:6:1: stealth: makes sense only for tls.*\n$/]
      ]
      for (const [from, to, pattern] of cases) {
        assert(CONFIG.includes(from))
        fs.writeFileSync(file(), CONFIG.replace(from, to))
        await fails(['serve', '--config', file(), '--check'], 2, pattern)
      }
      fs.writeFileSync(file(), CONFIG)
      await fails(['serve', '--config', file(), '--check', '--allow', 'x'], 2, /^alknet: --allow: "x" has no port/)
      await fails(['serve', '--config', file(), '--check', '--allow', '*:1', '--deny', '127.1:1'], 2, /^alknet: --deny: "127\.1:1"/)
      await fails(['serve', '--config', path.join(dir, 'none.toml')], 2, /none\.toml: no such file/)
      await fails(['connect', '--profile', 'work'], 2, /--profile: needs --config/)
      await fails(['connect', '--config', file(), '--profile', 'home'], 2, /no profile "home"; there are: work/)
    })

    it('--check names lines of authorized_keys that grant nothing', async () => {
      fs.appendFileSync(path.join(dir, 'file_key.pub'), 'sudo ssh-ed25519 AAAA\n')
      const { code, stderr } = await run(['serve', '--config', file(), '--check'])
      assert.strictEqual(code, 0)
      assert.match(stderr, /^\S+file_key\.pub:2: the option "sudo" is not known; this line grants nothing\n$/)
    })

    it('policy test says allow or deny, and by which rule', async () => {
      const ask = (...args) => run(['policy', 'test', '--config', file(), '--as', 'me', ...args])
      const allowed = await ask('127.1:8080')
      assert.deepStrictEqual([allowed.code, allowed.stdout], [0, `allow 127.1:8080\n  127.0.0.1: allow, rule 1: allow loopback:1024-65535 (${file()}:11:3)\n`])
      const denied = await ask('8.8.8.8:53')
      assert.deepStrictEqual([denied.code, denied.stdout.split('\n')[0]], [1, 'deny 8.8.8.8:53'])
      assert.match(denied.stdout, /the default/)
      assert.match((await ask('169.254.169.254:80', '--default', 'allow')).stdout, /deny, built-in deny of metadata addresses/)
      assert.match((await ask('8.8.8.8:53', '--allow', '*:53')).stdout, /allow, rule 1: allow \*:53 \(--allow\)/)
      assert.match((await ask('db.internal:80', '--default', 'allow', '--scopes', 'guests')).stdout, /every address: deny, rule 2: deny \*\.internal:\* guests/)
      assert.strictEqual((await ask('unix:/run/x', '--allow', 'unix:/run/*')).code, 0)
      await fails(['policy', 'test', '--as', 'me', 'surely-not-there.invalid:80'], 1, /surely-not-there\.invalid: name not found/)
      await fails(['policy', 'test', '--as', 'me', 'nothing'], 2, /--target|port/)
      await fails(['policy', 'test', 'a:1'], 2, /--as/)
    })

    it('policy test knows the limits and scopes of a key', async () => {
      const line = fs.readFileSync(path.join(dir, 'file_key.pub'), 'utf8').split('\n')[0]
      const { fingerprint } = require('../lib/keys')
      fs.writeFileSync(path.join(dir, 'limited'), `permitopen="127.0.0.1:80",scopes="ops" ${line}\n`)
      const ask = (target) => run(['policy', 'test', '--authorized-keys', path.join(dir, 'limited'), '--as', fingerprint(line), '--default', 'deny', '--allow', '*:* ops', target])
      assert.strictEqual((await ask('127.0.0.1:80')).code, 0)
      assert.match((await ask('127.0.0.1:81')).stdout, /^deny [^]*permitopen/)
    })

    it('SIGHUP takes over the file, for old sessions too; a bad one changes nothing', async () => {
      const { openSession } = require('..')
      fs.writeFileSync(file(), CONFIG)
      const echo = net.createServer((socket) => socket.on('error', () => {}).pipe(socket)).listen(0, '127.0.0.1')
      await new Promise((resolve) => echo.once('listening', resolve))
      const server = spawn(process.execPath, [BIN, 'serve', '--config', file()], { env: { PATH: process.env.PATH, HOME: dir } })
      let output = ''
      const waitFor = (pattern) => new Promise((resolve, reject) => {
        const look = () => {
          const match = pattern.exec(output)
          if (match !== null) resolve(match)
        }
        for (const stream of [server.stdout, server.stderr]) stream.on('data', look)
        server.once('exit', () => reject(new Error(`ended: ${output}`)))
        look()
      })
      for (const stream of [server.stdout, server.stderr]) stream.on('data', (chunk) => { output += chunk })
      let session
      try {
        const [, port] = await waitFor(/listening on 127\.0\.0\.1:(\d+)/)
        const key = path.join(dir, 'file_key')
        session = await openSession({ server: `127.0.0.1:${port}`, identity: key, hostKey: fs.readFileSync(`${key}.pub`, 'utf8').split('\n')[0] })
        const target = echo.address().port
        const open = async () => (await session.open({ host: '127.0.0.1', port: target })).destroy()
        await open()
        const reload = async (text, pattern) => {
          fs.writeFileSync(file(), text)
          output = ''
          server.kill('SIGHUP')
          await waitFor(pattern)
        }
        await reload(CONFIG.replace('"allow loop', '"deny loop'), /INFO reloaded/)
        await assert.rejects(open(), { code: 'ERR_ALKNET_CHANNEL', reason: 1, message: /denied by a rule of the server/ })
        await reload(CONFIG.replace('"deny *.internal', '"deny 10.*'), /ERROR not reloaded .*alknet\.toml:12:3: rules/)
        await assert.rejects(open(), { reason: 1 })
        await reload(CONFIG.replace('127.0.0.1:0', '127.0.0.1:1'), /WARN needs a new start option=listen\n[^]*INFO reloaded/)
        await open()
        assert.doesNotMatch(output, new RegExp(`:${target}\\b`), 'no destination')
      } finally {
        await session?.close()
        echo.close()
        server.kill('SIGTERM')
        await new Promise((resolve) => server.exitCode === null ? server.once('exit', resolve) : resolve())
      }
      assert.strictEqual(server.exitCode, 0)
    })
  }).timeout(120_000)

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
