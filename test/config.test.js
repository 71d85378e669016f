'use strict'

const assert = require('assert')
const fs = require('fs')
const os = require('os')
const path = require('path')
const { formatConfig, parseConfig, readConfig } = require('../lib/config')
const { clientOptions, serverOptions } = require('../lib/options')
const { parseToml } = require('../lib/toml')

const WHOLE = `# a server and its clients
[server]
key = "host_key"
authorized-keys = ["keys/a", "/etc/b"]   # two
listen = ["127.0.0.1:0", "[::1]:0"]
login_grace = "1m30s"
max-sessions = 7
log-level = "warn"

[forwarding]
default = "deny"
rules = [
  "allow private:443",
  { action = "deny", target = "*:22", principals = ["bob, of sales"] },
  "allow *.internal:5432 ops tls",
]
permit-listen = ["loopback:8000-9000"]

[client]
server = "example.com"
identity = "~/.ssh/id_ed25519"
keepalive = "5m"
user = "me"

[profiles.work]
server = "work.example:2222"
forward = ["5432:db:5432"]
`

function fails (text, pattern, about) {
  assert.throws(() => parseConfig(text, { file: 'f.toml', ...about }), (err) => {
    assert.strictEqual(err.code, 'ERR_ALKNET_OPTION')
    assert.strictEqual(err.stage, 'options')
    assert.match(err.message, pattern)
    assert.doesNotMatch(err.message, /\n/)
    return true
  }, text)
}

describe('config', () => {
  it('gives options as serve() takes them', () => {
    const { options } = parseConfig(WHOLE, { dir: '/etc/alknet' })
    assert.deepStrictEqual({ ...options, forwarding: null }, {
      hostKey: '/etc/alknet/host_key',
      authorizedKeys: ['/etc/alknet/keys/a', '/etc/b'],
      listen: ['127.0.0.1:0', '[::1]:0'],
      loginGrace: '1m30s',
      maxSessions: 7,
      log: { level: 'warn' },
      forwarding: null
    })
    const checked = serverOptions(options)
    assert.strictEqual(checked.loginGrace, 90)
    assert.deepStrictEqual(checked.forwarding.rules.map((one) => one.text), ['allow private:443', 'deny *:22 "bob, of sales"', 'allow *.internal:5432 ops tls'])
    assert.strictEqual(checked.forwarding.default, 'deny')
    assert.strictEqual(checked.forwarding.permitListen[0].text, 'loopback:8000-9000')
  })

  it('gives options as openSession() takes them, a profile over the rest', () => {
    const plain = parseConfig(WHOLE, { command: 'connect' }).options
    assert.deepStrictEqual(plain, { server: 'example.com', identity: path.join(os.homedir(), '.ssh/id_ed25519'), keepalive: '5m', user: 'me' })
    const work = parseConfig(WHOLE, { command: 'connect', profile: 'work' }).options
    assert.deepStrictEqual(work, { ...plain, server: 'work.example:2222', forward: ['5432:db:5432'] })
    assert.strictEqual(clientOptions(work).keepalive, 300)
    fails(WHOLE, /no profile "home"; there are: work/, { command: 'connect', profile: 'home' })
    fails(WHOLE, /no profile "toString"/, { command: 'connect', profile: 'toString' })
  })

  it('knows where each value stands', () => {
    const config = parseConfig(WHOLE, { file: 'f.toml' })
    const lines = WHOLE.split('\n')
    const starts = (option, text, index) => {
      const [file, line, column] = config.where(option, index).split(':')
      assert.strictEqual(file, 'f.toml')
      assert(lines[line - 1].slice(column - 1).startsWith(text), `${option} ${line}:${column}`)
    }
    starts('hostKey', 'key')
    starts('authorizedKeys', '"/etc/b"', 1)
    starts('loginGrace', 'login_grace')
    starts('log.level', 'log-level')
    starts('forwarding.default', 'default')
    starts('forwarding.rules', '{ action', 1)
    starts('forwarding.rules', '"allow *.int', 2)
    assert.strictEqual(config.where('maxLookups'), null)
    assert.match(parseConfig(WHOLE, { file: 'f.toml', command: 'connect', profile: 'work' }).where('server'), /^f\.toml:26:1$/)
  })

  it('refuses what it does not know, with a suggestion', () => {
    fails('[server]\nmax-sesions = 1', /^f\.toml:2:1: server\.max-sesions: there is no such key; did you mean max-sessions\?$/)
    fails('[sever]\n', /^f\.toml:1:1: sever: there is no such key; did you mean server\?$/)
    fails('[server]\nkey = "a"\n[forwarding]\n  rule = []', /^f\.toml:4:3: forwarding\.rule: .*did you mean rules\?$/)
    fails('[server]\nallow = "x:1"', /^f\.toml:2:1: .*\[forwarding\]/)
    fails('x = 1', /^f\.toml:1:1: x: there is no such key$/)
    fails('[profiles.work]\nserv = "a"', /profiles\.work\.serv: .*did you mean server\?/)
    fails('[profiles]\nwork = 1', /^f\.toml:2:1: .*\[profiles\.work\]/)
    for (const value of ['1', '"x"', '[]', '[{}]', '1979-05-27', '1979-05-27T07:32:00Z', '07:32:00', 'true']) fails(`server = ${value}`, /^f\.toml:1:1: server must be a table/)
    fails('[server]\nmax-sessions = 1\nmax_sessions = 2', /^f\.toml:3:1: .*twice/)
    fails('[server]\npassphrase = "x"', /no such key/)
    fails('[server]\non-connection = "x"', /no such key/)
    fails('[client]\ndangerously-accept-any-host-key = true', /no such key/)
    fails('[server]\n__proto__ = 1', /no such key/)
    fails('[server]\nconstructor = 1', /no such key/)
    fails('[server]\nquiet = 1', /^f\.toml:2:1: server\.quiet: must be true or false/)
  })

  it('refuses what is no TOML, with line and column', () => {
    fails('[server\nkey = 1', /^f\.toml:1:\d+: /)
    fails('[server]\nkey = ', /^f\.toml:2:\d+: /)
    fails('[server]\nkey = "a"\nkey = "b"', /^f\.toml:3:1: /)
    fails('a = 99999999999999999999', /^f\.toml:1:\d+: /)
    fails(`a = ${'['.repeat(10_000)}`, /^f\.toml:1:\d+: /)
    fails('a = "\u0000"', /^f\.toml:1:\d+: /)
  })

  it('reads a file, and says what hinders it', async () => {
    const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'alknet-'))
    try {
      const file = path.join(dir, 'alknet.toml')
      fs.writeFileSync(file, `\ufeff${WHOLE}`)
      const config = await readConfig(file)
      assert.strictEqual(config.options.hostKey, path.join(dir, 'host_key'), 'relative to the file')
      const refuses = (what, pattern) => assert.rejects(what, (err) => err.code === 'ERR_ALKNET_OPTION' && err.stage === 'options' && pattern.test(err.message))
      await refuses(readConfig(path.join(dir, 'none')), /no such file/)
      await refuses(readConfig(dir), /directory/)
      fs.writeFileSync(file, Buffer.from([0x61, 0xff]))
      await refuses(readConfig(file), /not UTF-8/)
      fs.writeFileSync(file, Buffer.alloc(1024 * 1024 + 1, '#'))
      await refuses(readConfig(file), /longer than/)
      await refuses(readConfig(5), /path/)
      await refuses(readConfig(file, { command: 'keygen' }), /serve or connect/)
    } finally {
      fs.rmSync(dir, { recursive: true })
    }
  })

  it('says what is in effect, as a file that says the same', () => {
    const options = serverOptions(parseConfig(WHOLE, { dir: '/etc/alknet' }).options)
    const text = formatConfig('serve', options)
    const again = serverOptions(parseConfig(text, { dir: '/' }).options)
    assert.deepStrictEqual({ ...again, log: null }, { ...options, log: null })
    assert.strictEqual(formatConfig('serve', again), text)
    assert.match(text, /^# ciphers: not set$/m)
    assert.match(text, /^# built in, before the rules: /m)
  })

  it('says it for clients too, without secrets', () => {
    const given = { server: '[::1]:22', identity: Buffer.from('PRIVATE'), forward: ['1:[::1]:2'], socks5: true, socks5Auth: 'me:sesame', passphrase: 'sesame', knownHosts: [] }
    const text = formatConfig('connect', clientOptions(given))
    assert.doesNotMatch(text, /sesame|PRIVATE/)
    assert.match(text, /^# socks5-auth: set, and not shown$/m)
    const again = clientOptions({ ...parseConfig(text, { command: 'connect' }).options, identity: 'x' })
    const { forward, server, socks5 } = clientOptions(given)
    assert.deepStrictEqual([again.forward, again.server, again.socks5], [forward, server, socks5])
  })

  it('keeps hostile text inside its quotes', () => {
    const options = serverOptions({ hostKey: 'a"\nmax-sessions = 99\n#', forwarding: { rules: [{ action: 'allow', target: '*:*', principals: ['x\u007f"\n[server]'] }] } })
    const again = serverOptions(parseConfig(formatConfig('serve', options), { dir: '/' }).options)
    assert.strictEqual(again.maxSessions, 0)
    assert.deepStrictEqual(again.forwarding.rules[0].principals, options.forwarding.rules[0].principals)
  })
})

describe('toml: the places of keys', () => {
  const TEXT = `# c
a = 1
b.c = "x"   # y
"q.\\u0041" = { d = [1, 2,
  3 ], e = 'l' }
m = """a
"b" = 2 \\""" x"""""
n = '''[z]
y = 1'''
[s]
k = [
  "one", # c ]
  { t = 1, u = [ "v" ] },
]
[[arr]]
x = 1
[arr.sub]
y = 2\r
[[arr]]
x = 3
when = 1979-05-27 07:32:00Z
[arr.sub]
y=4`
  const PLACES = [
    [['a'], 'a = 1'], [['b'], 'b.c'], [['b', 'c'], 'c = "x"'], [['q.A'], '"q.'], [['q.A', 'd'], 'd = ['], [['q.A', 'd', 2], '3 ]'], [['q.A', 'e'], "e = 'l'"],
    [['m'], 'm = '], [['n'], 'n = '], [['s'], '[s]'], [['s', 'k'], 'k = ['], [['s', 'k', 0], '"one"'], [['s', 'k', 1], '{ t'], [['s', 'k', 1, 'u', 0], '"v"'],
    [['arr', 0, 'x'], 'x = 1'], [['arr', 0, 'sub', 'y'], 'y = 2'], [['arr', 1, 'x'], 'x = 3'], [['arr', 1, 'when'], 'when'], [['arr', 1, 'sub', 'y'], 'y=4'],
    [['s', 'k', 1, 'none'], '{ t'], [['s', 'none', 'x'], '[s]'], [['nowhere'], '# c']
  ]
  for (const [keys, start] of PLACES) {
    it(JSON.stringify(keys), () => {
      const [line, column] = parseToml(TEXT).place(keys)
      assert(TEXT.split('\n')[line - 1].slice(column - 1).startsWith(start), `${line}:${column}`)
    })
  }
})
