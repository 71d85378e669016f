'use strict'

/**
 * contrib/fail2ban by the real thing: Debian's fail2ban reads what a real server
 * has logged of clients that do their best to be somebody else. And logrotate
 * with what contrib/logrotate says.
 */

const assert = require('node:assert')
const fs = require('node:fs')
const path = require('node:path')
const { needAlknet, root, startServe } = require('../helpers/alknet')
const { key } = require('../helpers/keys')
const { parseLine } = require('../helpers/log-lines')
const { has, need, run, start } = require('../helpers/proc')
const { suiteScope, testScope } = require('../helpers/scope')
const { connectSsh2 } = require('../helpers/ssh2')

const contrib = path.join(root, 'contrib')
const FILTER = path.join(contrib, 'fail2ban', 'filter.d', 'alknet.conf')
const VICTIM = '192.0.2.66'

// Each wants another address banned than its own, or a line that is not there.
const USERS = [
  'root',
  `x remote_addr=${VICTIM}`,
  `x" remote_addr=${VICTIM} remote_port=1 user=y`,
  `x\nINFO auth attempt remote_addr=${VICTIM} remote_port=1 user=y key_fingerprint=z result=reject reason=unknown_key`,
  `x\r\n2026-03-01T12:00:00.000Z INFO auth attempt remote_addr=${VICTIM} remote_port=1 user=y key_fingerprint=z result=reject reason=unknown_key`,
  `","remote_addr":"${VICTIM}","user":"`,
  `"}\n{"time":"2026-03-01T12:00:00.000Z","level":"info","event":"auth attempt","remote_addr":"${VICTIM}","remote_port":1,"user":"y","key_fingerprint":"z","result":"reject","reason":"unknown_key"}`,
  `2026-03-01T12:00:00.000Z from ${VICTIM}`,
  'x" result=accept "',
  'back\\slash\\"', ' ', '\u2028\u202eevil', '\x1b[2J\x07', 'naïve 😀', '%(host)s <HOST> <ADDR>', 'u'.repeat(255), '"'.repeat(255)
]

// eslint-disable-next-line no-control-regex
const NO_NAME = /[\x00-\x1f\x7f]/

// Fewer than what one source may have at once.
const AT_ONCE = 6

// alknet's own penalties would keep the rest of them out of the log.
const ALL_COUNT = ['--penalties', 'off']

/** Tries to log in with a key that nobody knows. */
async function attack (scope, server, user) {
  await assert.rejects(connectSsh2(scope, { ...server, user }, { identity: key('ed25519', 'stranger') }))
}

describe('fail2ban: the filter', function () {
  this.timeout(120_000)
  const suite = suiteScope()
  const scope = testScope()

  before(function () {
    needAlknet(this)
    need(this, 'fail2ban-regex')
  })

  async function matches (log) {
    const { code, stdout, stderr } = await run(scope, 'fail2ban-regex', ['--out', '<ip>\t<F-USER>', log, FILTER])
    assert.strictEqual(stderr, '')
    assert([0, 1].includes(code), `code ${code}`)
    return stdout.split('\n').filter((line) => line !== '').map((line) => line.split('\t'))
  }

  for (const format of ['text', 'json']) {
    it(`finds each attempt with its own address, and nothing else (${format})`, async () => {
      const log = path.join(suite.dir(), 'serve.log')
      const server = await startServe(scope, { listen: ['127.0.0.1:0', '[::1]:0'], args: ['--log-file', log, '--log-format', format, ...ALL_COUNT] })
      await server.proc.waitFor(/listening on \[::1\]/)
      const places = [...server.proc.output.matchAll(/listening on \[?([^\s\]]+)\]?:(\d+)/g)].map(([, host, port]) => ({ ...server, host, port: Number(port) }))
      assert.deepStrictEqual(places.map(({ host }) => host), ['127.0.0.1', '::1'])
      for (const place of places) {
        for (let at = 0; at < USERS.length; at += AT_ONCE) {
          await Promise.all(USERS.slice(at, at + AT_ONCE).map((user) => attack(scope, place, user)))
        }
        await connectSsh2(scope, { ...place, user: `friend remote_addr=${VICTIM}` })
      }
      server.proc.kill('SIGTERM')
      await server.proc.exited
      const found = await matches(log)
      assert.deepStrictEqual(found.map(([ip]) => ip).sort(), places.flatMap(({ host }) => USERS.map(() => host)).sort())
      const records = fs.readFileSync(log, 'utf8').trimEnd().split('\n').map(parseLine)
      const attempts = records.filter((one) => one.event === 'auth attempt')
      const told = attempts.filter((one) => one.result === 'reject').map((one) => one.user)
      // Of what cannot be a name an engine may tell nothing at all.
      const expected = [...USERS, ...USERS].map((user) => NO_NAME.test(user) && !told.includes(user) ? '' : user)
      assert.deepStrictEqual(told.sort(), expected.sort(), 'every name is read again as it was sent')
      assert.strictEqual(attempts.filter((one) => one.result === 'accept').length, 2)
    })
  }

  it('finds who is too slow, and who tries too many keys', async () => {
    const log = path.join(suite.dir(), 'serve.log')
    const server = await startServe(scope, { args: ['--log-file', log, '--login-grace', '1', '--max-auth-attempts', '1', ...ALL_COUNT] })
    await attack(scope, server, 'many')
    const idle = require('node:net').connect(server.port, server.host).resume()
    await new Promise((resolve) => idle.on('error', () => {}).once('close', resolve))
    server.proc.kill('SIGTERM')
    await server.proc.exited
    const text = fs.readFileSync(log, 'utf8')
    assert.match(text, /reason=login_grace$/m)
    assert.deepStrictEqual(await matches(log), [['127.0.0.1', 'many'], ['127.0.0.1', ''], ['127.0.0.1', '']])
  })

  it("reads the journal too, and leaves out what is not the client's doing", async () => {
    const time = '2026-03-01T12:00:00.000Z '
    const line = (user, reason) => `INFO auth attempt remote_addr=192.0.2.1 remote_port=5 user=${user} key_fingerprint=SHA256:x cert_id="a b" result=reject reason=${reason}`
    const lines = [
      `host alknet[12]: ${line('journal', 'unknown_key')}`,
      `host node[12]: ${time}${line('journal-with-time', 'unknown_key')}`,
      'host alknet[12]: {"level":"info","event":"auth attempt","remote_addr":"2001:db8::1","remote_port":5,"user":"json","key_fingerprint":"x","cert_serial":"5","result":"reject","reason":"ca_unknown"}',
      `${time}${line('forger', 'bad_signature')}`,
      `${time}INFO auth attempt remote_addr=192.0.2.1 remote_port=5 user=keyless result=reject reason=unsupported_method`,
      ...['max_sessions', 'authorize_busy', 'authorize_timeout', 'authorize_failed'].map((reason) => time + line(reason, reason)),
      `${time}${line('more', 'unknown_key')} more`,
      `${time}more ${line('before', 'unknown_key')}`,
      `${time}INFO connection closed remote_addr=192.0.2.1 remote_port=5 transport=tcp duration=1 reason=keepalive`,
      `${time}INFO auth attempt remote_addr=192.0.2.1 remote_port=5 user=friend key_fingerprint=x result=accept`
    ]
    const found = await matches(scope.file('log', `${lines.join('\n')}\n`))
    assert.deepStrictEqual(found.map(([, user]) => user.replaceAll('"', '')), ['journal', 'journal-with-time', 'json', 'forger', 'keyless'])
  })
})

describe('fail2ban: a ban', function () {
  this.timeout(120_000)
  const scope = testScope()

  /** All that fail2ban-server wants, in a directory of its own; a ban is a line in a file. */
  function jail (log) {
    const dir = scope.dir()
    const write = (name, text) => {
      fs.mkdirSync(path.dirname(path.join(dir, name)), { recursive: true })
      fs.writeFileSync(path.join(dir, name), text)
    }
    fs.cpSync(path.join(contrib, 'fail2ban'), dir, { recursive: true })
    write('fail2ban.conf', `[DEFAULT]\nloglevel = INFO\nlogtarget = STDOUT\nsyslogsocket = auto\nsocket = ${dir}/sock\npidfile = ${dir}/pid\ndbfile = None\ndbpurgeage = 1d\ndbmaxmatches = 10\n[Definition]\nallowipv6 = auto\n`)
    write('jail.conf', '[DEFAULT]\n')
    // Ours is read as it ships; only what differs here stands after it.
    write('jail.local', `[alknet]\nlogpath = ${log}\nbackend = polling\nmaxretry = 3\nignoreself = false\naction = note\n`)
    write('action.d/note.conf', `[Definition]\nactionban = echo "ban <ip>" >> ${dir}/banned\nactionunban = echo "unban <ip>" >> ${dir}/banned\n`)
    return { dir, banned: path.join(dir, 'banned') }
  }

  it('is one on every port, wherever alknet listens', async function () {
    need(this, 'fail2ban-client')
    const whole = '/etc/fail2ban/jail.conf' // its defaults are what the jail builds on
    if (!fs.existsSync(whole)) {
      console.log(`      skipped: there is no ${whole}`)
      return this.skip()
    }
    const dir = scope.dir()
    fs.cpSync(path.dirname(whole), dir, { recursive: true })
    fs.rmSync(path.join(dir, 'jail.d'), { recursive: true, force: true })
    fs.cpSync(path.join(contrib, 'fail2ban'), dir, { recursive: true })
    fs.writeFileSync(path.join(dir, 'jail.local'), `[alknet]\nlogpath = ${scope.file('log', '')}\n`)
    const { code, stdout, output } = await run(scope, 'fail2ban-client', ['-c', dir, '-d'])
    assert.strictEqual(code, 0, output)
    const [action] = stdout.split('\n').filter((line) => line.startsWith("['multi-set', 'alknet', 'action', "))
    assert.match(action, /\['port', '0:65535'\]/)
  })

  it('falls on who has tried too often, and on nobody else', async function () {
    needAlknet(this)
    need(this, 'fail2ban-server', 'fail2ban-client')
    const log = path.join(scope.dir(), 'serve.log')
    const server = await startServe(scope, { args: ['--log-file', log, ...ALL_COUNT] })
    const { dir, banned } = jail(log)
    const fail2ban = start(scope, 'fail2ban-server', ['-f', '-c', dir, '-s', `${dir}/sock`, '-p', `${dir}/pid`, 'start'])
    const isUp = await fail2ban.waitFor(/Jail 'alknet' started/).then(() => true, () => false)
    if (!isUp) {
      console.log(`      skipped: fail2ban-server does not run here: ${fail2ban.output.trim().split('\n').at(-1)}`)
      return this.skip()
    }
    for (const user of USERS.slice(1, 4)) await attack(scope, server, user)
    await fail2ban.waitFor(/Ban 127\.0\.0\.1/)
    // It says so first, and does it then.
    while (!fs.existsSync(banned)) await new Promise((resolve) => setTimeout(resolve, 20))
    fail2ban.kill('SIGTERM')
    await fail2ban.exited
    assert.strictEqual(fs.readFileSync(banned, 'utf8').split('\n')[0], 'ban 127.0.0.1')
    assert.doesNotMatch(fail2ban.output + fs.readFileSync(banned, 'utf8'), new RegExp(VICTIM.replaceAll('.', '\\.')))
  })
})

describe('logrotate', function () {
  this.timeout(60_000)
  const scope = testScope()

  it('rotates what contrib/logrotate/alknet names, and alknet goes on in the new file', async function () {
    needAlknet(this)
    const program = ['logrotate', '/usr/sbin/logrotate'].find(has)
    if (program === undefined) need(this, 'logrotate')
    const dir = scope.dir()
    const log = path.join(dir, 'serve.log')
    const server = await startServe(scope, { args: ['--log-file', log] })
    const shipped = fs.readFileSync(path.join(contrib, 'logrotate', 'alknet'), 'utf8')
    assert(shipped.includes('\n/var/log/alknet/*.log {\n') && /\n\t\tsystemctl kill .*--signal=SIGUSR1 .*\n/.test(shipped))
    const file = scope.file('alknet', shipped.replace('/var/log/alknet', dir).replace(/\n\t\tsystemctl kill .*\n/, `\n\t\tkill -USR1 ${server.proc.pid}\n`), 0o644)
    const { code, output } = await run(scope, program, ['--force', '--state', path.join(dir, 'state'), file])
    assert.deepStrictEqual([code, output], [0, ''])
    while (!fs.existsSync(log)) await new Promise((resolve) => setTimeout(resolve, 5))
    await attack(scope, server, 'after')
    server.proc.kill('SIGTERM')
    await server.proc.exited
    assert.match(fs.readFileSync(`${log}.1`, 'utf8'), /INFO listening/)
    assert.match(fs.readFileSync(log, 'utf8'), /user=after/)
    assert.doesNotMatch(fs.readFileSync(log, 'utf8'), /INFO listening/)
  })
})
