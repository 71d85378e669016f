'use strict'

/** The status line, colours and last words on a real terminal. */

const assert = require('node:assert')
const fs = require('node:fs')
const net = require('node:net')
const path = require('node:path')
const { bin, cleanEnv, connectArgs, needAlknet, startServe } = require('../helpers/alknet')
const { key } = require('../helpers/keys')
const { listen } = require('../helpers/net')
const { need, start } = require('../helpers/proc')
const { testScope } = require('../helpers/scope')
const { Screen } = require('../helpers/screen')
const { openssl, selfSigned } = require('../helpers/tls-certs')

const TERMINAL = path.join(__dirname, '..', 'helpers', 'terminal.py')

describe('terminal', function () {
  this.timeout(60000)
  const scope = testScope()
  before(function () {
    needAlknet(this)
    need(this, 'python3')
  })

  /** Runs the CLI on a terminal. */
  function onTerminal (args, { columns = 100, env = {} } = {}) {
    const proc = start(scope, 'python3', [TERMINAL, '24', String(columns), process.execPath, bin, ...args], {
      env: cleanEnv(scope, { TERM: 'xterm', NO_COLOR: '1', LC_ALL: 'C', ...env }), keepStdin: true
    })
    const order = (text) => proc.child.stdin.write(`${text}\n`)
    return {
      proc,
      type: (text) => order(`type ${JSON.stringify(text)}`),
      resize: (columns) => order(`resize 24 ${columns}`),
      signal: (name) => order(`signal ${name}`),
      hangUp: () => order('hangup'),
      lines () {
        const screen = new Screen(columns)
        screen.write(proc.stdout)
        return screen.lines()
      }
    }
  }

  it('shows the status line below the log and what it prints, and takes it away at the end', async () => {
    const server = await startServe(scope)
    const client = onTerminal(connectArgs(scope, server, { args: ['--log-level', 'debug'] }))
    await client.proc.waitFor(/connecting {2}127\.0\.0\.1:\d+/)
    await client.proc.waitFor(/ready {2}127\.0\.0\.1:\d+ {2}0 open {2}in [^]* \d+ ms/)
    const [, port] = await client.proc.waitFor(/SOCKS5 proxy on 127\.0\.0\.1:(\d+)/)
    assert.match(client.lines().at(-1), /^ready {2}127\.0\.0\.1:\d+ {2}0 open/)
    // A connection, and a line of the log that it leads to.
    const socket = net.connect(Number(port), '127.0.0.1')
    scope.defer(() => socket.destroy())
    socket.write(Buffer.from([5, 1, 0, 5, 1, 0, 1, 127, 0, 0, 1, 0, 1]))
    await client.proc.waitFor(/DEBUG /)
    client.type('\x03')
    const { code, stdout } = await client.proc.exited
    assert.strictEqual(code, 0, stdout)
    const lines = client.lines()
    for (const line of lines) assert.match(line, /^(SOCKS5 proxy on \S+|(INFO|DEBUG|WARN) [a-z][^]*)$/, 'whole lines, and no status')
    assert(lines.some((line) => line.startsWith('DEBUG ')))
  })

  it('follows the size of the terminal', async () => {
    const server = await startServe(scope)
    const client = onTerminal(connectArgs(scope, server), { columns: 100 })
    await client.proc.waitFor(/ready {2}127\.0\.0\.1:\d+ {2}0 open {2}in /)
    client.resize(24)
    await client.proc.waitFor(/\x1b\[J\rready {2}127[^]*\rready {2}127\.0\.0\.1:\d+\x1b\[K/) // eslint-disable-line no-control-regex
    client.type('\x03')
    assert.strictEqual((await client.proc.exited).code, 0)
  })

  it('shows none where none is wanted', async () => {
    const server = await startServe(scope)
    for (const [args, env] of [[['--quiet'], {}], [['--log-format', 'json'], {}], [[], { TERM: 'dumb' }]]) {
      const client = onTerminal(connectArgs(scope, server, { args: ['--control', path.join(scope.dir(), 's'), ...args] }), { env })
      const quiet = args.includes('--quiet')
      if (quiet) await server.proc.waitFor(/result=accept/)
      else await client.proc.waitFor(/SOCKS5 proxy on/)
      client.type('\x03')
      const { stdout } = await client.proc.exited
      assert.doesNotMatch(stdout, /\x1b|open|connecting/) // eslint-disable-line no-control-regex
      assert.doesNotMatch(stdout, /ready {2}/)
    }
  })

  it('makes way for the question for a passphrase', async () => {
    const server = await startServe(scope)
    const identity = key('ed25519', 'user', { passphrase: 'sesame' })
    const client = onTerminal(connectArgs(scope, { ...server }, { identity }))
    await client.proc.waitFor(/Passphrase for [^\n]*: $/)
    assert.match(client.lines().at(-1), /^Passphrase for \S+:$/)
    client.type('sesame\r')
    // It is a key that the server does not know: the login fails, after the question.
    const { code, stdout } = await client.proc.exited
    assert.strictEqual(code, 3, stdout)
    assert.doesNotMatch(stdout, /sesame/)
    const lines = client.lines()
    assert.match(lines[0], /^Passphrase for \S+:$/)
    assert.match(lines.join('\n'), /alknet: the server accepted none of the keys/)
  })

  it('ends at Control-C, and at a SIGTERM, while the passphrase is asked for', async () => {
    const identity = key('ed25519', 'user', { passphrase: 'sesame' })
    for (const args of [
      ['connect', '--server', '127.0.0.1:1', '--identity', identity.path, '--socks5', '127.0.0.1:0'],
      ['serve', '--key', identity.path, '--listen', '127.0.0.1:0']
    ]) {
      for (const end of [(one) => one.type('\x03'), (one) => one.signal('SIGTERM')]) {
        const one = onTerminal(args)
        await one.proc.waitFor(/Passphrase for [^\n]*: $/)
        end(one)
        const { code, stdout } = await one.proc.exited
        assert.strictEqual(code, 0, stdout)
        assert.doesNotMatch(stdout, /alknet: |listening/, 'nothing has failed')
      }
    }
  })

  it('does not hold a server that is to end by the question of a reload', async () => {
    const { cert, key: open } = selfSigned(scope)
    const locked = `${open}.locked`
    openssl('pkcs8', '-topk8', '-in', open, '-passout', 'pass:sesame', '-out', locked)
    const config = scope.file('alknet.toml', '')
    const write = (tlsKey) => fs.writeFileSync(config, `[server]\nkey = "${key('ed25519', 'host').path}"\nlisten = "tls://127.0.0.1:0"\ntls-cert = "${cert}"\ntls-key = "${tlsKey}"\n`)
    for (const end of [(one) => one.signal('SIGTERM'), (one) => one.type('\x03')]) {
      write(open)
      const one = onTerminal(['serve', '--config', config])
      await one.proc.waitFor(/listening on/)
      write(locked)
      one.signal('SIGHUP')
      await one.proc.waitFor(/Passphrase for [^\n]*: $/)
      end(one)
      const { code, stdout } = await one.proc.exited
      assert.strictEqual(code, 0, stdout)
    }
  })

  it('that is closed ends what runs there, whatever it is at', async () => {
    const server = await startServe(scope)
    const silent = await listen(scope, () => {})
    const identity = key('ed25519', 'user', { passphrase: 'sesame' })
    const to = (port, ...more) => ['connect', '--server', `127.0.0.1:${port}`, '--identity', key('ed25519', 'user').path, '--socks5', '127.0.0.1:0', ...more]
    for (const [args, moment, codes = [0]] of [
      [connectArgs(scope, server), /ready {2}127\.0\.0\.1/],
      [to(silent.port), /connecting {2}127\.0\.0\.1/],
      [to(1, '--retry'), /waiting {2}127\.0\.0\.1/],
      [to(1, '--identity', identity.path), /Passphrase for [^\n]*: $/, [0, 2]], // it may see first that there is no answer
      [['serve', '--key', key('ed25519', 'host').path, '--listen', '127.0.0.1:0'], /listening on/]
    ]) {
      const one = onTerminal(args)
      await one.proc.waitFor(moment)
      one.hangUp()
      const { code } = await one.proc.exited
      assert.ok(codes.includes(code), `${code}: ${args.join(' ')}`)
    }
  })

  it('has a last word: what, where, and what to try', async () => {
    const refused = onTerminal(['connect', '--server', '127.0.0.1:1', '--identity', key('ed25519', 'user').path, '--socks5', '127.0.0.1:0'], { columns: 200 })
    assert.strictEqual((await refused.proc.exited).code, 5)
    assert.deepStrictEqual(refused.lines().slice(-4), [
      'alknet: cannot reach 127.0.0.1:1: connect: connection refused',
      '  where: connecting to the server',
      '  try:   the machine is there and nobody listens at that port: is the server running, and is it the right port?',
      '  more:  alknet doctor, with the same flags, looks at each step'
    ])
    const web = await listen(scope, (socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'))
    const wrong = onTerminal(['connect', '--server', `127.0.0.1:${web.port}`, '--identity', key('ed25519', 'user').path, '--socks5', '127.0.0.1:0'], { columns: 200 })
    assert.strictEqual((await wrong.proc.exited).code, 1)
    assert.deepStrictEqual(wrong.lines().slice(-3), [
      '  where: speaking SSH',
      '  try:   check what is listening at the other end',
      '  more:  alknet doctor, with the same flags, looks at each step'
    ])
    const coloured = onTerminal(['connect', '--server', '127.0.0.1:1', '--identity', key('ed25519', 'user').path, '--socks5', '127.0.0.1:0'], { env: { NO_COLOR: '' } })
    const { stdout } = await coloured.proc.exited
    assert.match(stdout, /\x1b\[31malknet:\x1b\[0m cannot reach/) // eslint-disable-line no-control-regex
    assert.match(stdout, /\x1b\[33m[|/\\-] connecting\x1b\[0m/) // eslint-disable-line no-control-regex
  })
})
