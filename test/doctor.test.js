'use strict'

/** alknet doctor: one thing is wrong at a time, and it is named with what to do. */

const assert = require('assert')
const fs = require('fs')
const net = require('net')
const path = require('path')
const { execFileSync } = require('child_process')
const alknet = require('..')
const { cleanEnv, runAlknet } = require('./helpers/alknet')
const { key } = require('./helpers/keys')
const { suiteScope, testScope } = require('./helpers/scope')
const { checkClock } = require('../lib/doctor/keys')
const { checkName } = require('../lib/doctor/reach')

describe('doctor', function () {
  this.timeout(30000)
  const suite = suiteScope()
  const scope = testScope()
  const host = () => key('ed25519', 'host')
  const user = () => key('ed25519', 'user')
  let server
  let place
  let home

  before(async () => {
    server = await alknet.serve({ hostKey: host().path, authorizedKeys: user().publicPath, listen: '127.0.0.1:0', penalties: 'off' })
    suite.defer(() => server.close())
    place = `127.0.0.1:${server.address().port}`
    home = suite.dir()
  })

  /** Options with which everything is well, but for more. */
  const good = (more) => ({ server: place, identity: user().path, knownHosts: path.join(home, 'known_hosts'), hostKey: host().fingerprint, socks5: '127.0.0.1:0', ...more })

  async function examine (options, about) {
    const told = []
    const result = await alknet.diagnose(options, { ...about, onFinding: (one) => told.push(one) })
    assert.deepStrictEqual(told, result.findings)
    assert.strictEqual(result.ok, result.findings.every((one) => one.status !== 'fail'))
    for (const one of result.findings) {
      assert.deepStrictEqual(Object.keys(one), ['check', 'status', 'text', 'advice'])
      if (one.status === 'fail') assert.notStrictEqual(one.advice, '', `${one.text}: what to do?`)
    }
    return result
  }

  const of = ({ findings }, check) => findings.filter((one) => one.check === check)
  const statuses = (result) => Object.fromEntries(result.findings.map((one) => [one.check, one.status]))

  /** The check finds something with this status and text, and all else is as it was. */
  async function finds (options, check, status, pattern, advice, about) {
    const result = await examine(options, about)
    const found = of(result, check).find((one) => one.status === status && pattern.test(one.text))
    assert(found, `${check}: no ${status} ${pattern} in ${JSON.stringify(result.findings, null, 2)}`)
    if (advice !== undefined) assert.match(found.advice, advice)
    return result
  }

  describe('of a client', () => {
    it('finds nothing where nothing is wrong, and leaves nothing', async () => {
      const before = server.connections
      const result = await examine(good())
      assert.deepStrictEqual(statuses(result), {
        clock: 'ok', identity: 'ok', 'known hosts': 'ok', listen: 'ok', name: 'ok', connection: 'ok', login: 'ok'
      })
      assert.match(of(result, 'login')[0].text, /^logged in as alknet: SSH-2\.0-alknet, ssh-ed25519, \S+, answers in \d+ ms$/)
      assert.match(of(result, 'connection')[0].text, /an SSH server answers$/)
      assert.deepStrictEqual(fs.readdirSync(home), [], 'no known_hosts')
      while (server.connections > before) await new Promise((resolve) => setTimeout(resolve, 10))
    })

    it('a key that is missing, public, open to others or locked', async () => {
      const open = scope.file('open', fs.readFileSync(user().path))
      fs.chmodSync(open, 0o644)
      const locked = key('ed25519', 'user', { passphrase: 'sesame' }).path
      const missing = path.join(home, 'none')
      for (const [identity, text, advice] of [
        [missing, /none: no such file/, /alknet keygen -f \S+none/],
        [scope.file('public', user().public), /is a public key/],
        [open, /others can read this private key \(mode 0644\); run: chmod 600/],
        [locked, /is encrypted and no passphrase was given/, /ALKNET_PASSPHRASE/]
      ]) {
        const result = await finds(good({ identity }), 'identity', 'fail', text, advice)
        assert.strictEqual(of(result, 'login')[0].status, 'skip')
      }
      await finds(good({ identity: locked, passphrase: 'wrong' }), 'identity', 'fail', /passphrase|could not be/)
      const asked = []
      const ask = (name) => { asked.push(name); return 'sesame' }
      const result = await finds(good({ identity: [locked, missing], passphrase: ask }), 'identity', 'ok', /, encrypted$/)
      assert.strictEqual(of(result, 'identity').length, 2, 'one that is wrong does not hide the other')
      assert.deepStrictEqual(asked, [locked], 'asked for once')
      assert.doesNotMatch(JSON.stringify(result), /sesame/)
    })

    /** A copy of the user's key with a certificate beside it. */
    function certified (args) {
      const dir = scope.dir()
      const file = path.join(dir, 'id')
      fs.copyFileSync(user().path, file)
      fs.copyFileSync(user().publicPath, `${file}.pub`)
      execFileSync('ssh-keygen', ['-q', '-s', key('ed25519', 'ca').path, '-I', 'me', ...args, `${file}.pub`], { stdio: 'ignore' })
      return file
    }

    it('a certificate that is expired, soon will be, or is for others', async () => {
      await finds(good({ identity: certified(['-n', 'alknet', '-V', '+52w']) }), 'identity', 'ok', /certificate "me" of SHA256:\S+: valid$/)
      await finds(good({ identity: certified(['-n', 'alknet', '-V', '-2d:-1d']) }), 'identity', 'warn', /expired/, /CA/)
      await finds(good({ identity: certified(['-n', 'alknet', '-V', '+3h']) }), 'identity', 'warn', /expires in [23] h/, /renew/)
      await finds(good({ identity: certified(['-n', 'others', '-V', '+52w']) }), 'identity', 'warn', /certificate "me"/)
    })

    it('a host key of which nothing is known, or another one', async () => {
      const known = scope.file('known_hosts', '')
      const unknown = await finds(good({ hostKey: undefined, knownHosts: known }), 'known hosts', 'fail', /nothing is known/, /--accept-new/)
      assert.match(of(unknown, 'login')[0].text, /is not known/)
      await finds(good({ hostKey: user().fingerprint }), 'login', 'fail', /is not the pinned one/, /listening in/)
      fs.writeFileSync(known, `[127.0.0.1]:${server.address().port} ${user().public}\n`)
      await finds(good({ hostKey: undefined, knownHosts: known }), 'login', 'fail', /HAS CHANGED/, /operator/)
    })

    it('what --accept-new would do, without doing it', async () => {
      const known = path.join(scope.dir(), 'deep', 'known_hosts')
      const options = good({ hostKey: undefined, knownHosts: known, acceptNew: true })
      const result = await finds(options, 'known hosts', 'warn', /will trust what comes first/)
      assert.strictEqual(result.ok, true)
      assert.deepStrictEqual(of(result, 'login').map((one) => one.status), ['warn', 'ok'])
      assert(!fs.existsSync(path.dirname(known)))
      await finds({ ...options, knownHosts: path.join(user().path, 'known_hosts') }, 'known hosts', 'fail', /not a directory|part of the path/)
    })

    it('files of known hosts that others can write to, or that say nothing', async () => {
      const line = `[127.0.0.1]:${server.address().port} ${host().public}`
      const known = scope.file('known_hosts', `# fine\n\n${line}\nexample.com ssh-ed25519 AAAA\nexample.com ssh-dss AAAA\n@cert-authority * ${host().public}\n@else * ${host().public}\nx\n`)
      const result = await finds(good({ hostKey: undefined, knownHosts: known }), 'known hosts', 'warn', /in line 4, 7, 8$/)
      assert.strictEqual(result.ok, true)
      fs.chmodSync(known, 0o666)
      await finds(good({ hostKey: undefined, knownHosts: known }), 'known hosts', 'warn', /others can write/, /chmod go-w/)
    })

    it('ports that are taken, and by whom', async () => {
      const { port } = server.address()
      await finds(good({ socks5: `127.0.0.1:${port}` }), 'listen', 'fail', /SOCKS5 proxy on \S+: in use$/, /choose another/)
      await finds(good({ forward: [`${port}:db.internal:1`] }), 'listen', 'fail', /forward \S+ on \S+: in use$/)
      await finds(good({ forward: ['192.0.2.1:0:db.internal:1'] }), 'listen', 'fail', /not one of this machine/, /ip address/)
      const socket = path.join(scope.dir(), 's')
      await finds(good({ forward: [`${socket}:db.internal:1`] }), 'listen', 'ok', /: free$/)
      assert(!fs.existsSync(socket))
      const noFolder = path.join(home, 'none', 's')
      await finds(good({ forward: [`${noFolder}:db.internal:1`] }), 'listen', 'fail', /no such folder/)
    })

    /** A server that says something; ended with the test. */
    async function says (text) {
      const sockets = new Set()
      const other = net.createServer((socket) => {
        sockets.add(socket.on('error', () => {}))
        if (text === null) socket.destroy()
        else socket.write(text)
      }).listen(0, '127.0.0.1')
      await new Promise((resolve) => other.once('listening', resolve))
      scope.defer(() => {
        for (const socket of sockets) socket.destroy()
        other.close()
      })
      return `127.0.0.1:${other.address().port}`
    }

    it('a server that is not there, silent, or something else', async () => {
      const closed = await finds(good({ server: '127.0.0.1:1' }), 'connection', 'fail', /refused/, /nobody listens/)
      assert.strictEqual(of(closed, 'login')[0].status, 'skip')
      // Those that stay silent cost their time limit: all at once.
      const silent = (text, pattern, advice, more = { connectTimeout: 1 }) => says(text).then((server) => finds(good({ server, ...more }), 'connection', 'fail', pattern, advice))
      await Promise.all([
        silent('HTTP/1.1 400 Bad Request\r\n\r\n', /a web server answers/, /wrong port/),
        silent(Buffer.from([0x15, 3, 1, 0, 2]), /a TLS server answers/, /--transport tls/),
        silent('220 \u001b[2Jftp\r\n', /something else than SSH answers: "220 \?\[2Jftp"$/),
        silent('', /nothing came/, /hangs/),
        silent(null, /nothing came/),
        silent('x'.repeat(1e6), /something else/, undefined, { connectTimeout: 60 })
      ])
      await finds(good({ server: await says('hello\r\nSSH-2.0-odd\u0007\r\n'), handshakeTimeout: 1 }), 'connection', 'ok', /SSH-2\.0-odd\?$/)
    })

    it('a name that is not found, or a resolver that says nothing', async () => {
      const options = { connectTimeout: 0.05 }
      const lookup = async (host) => { throw Object.assign(new Error('getaddrinfo'), { code: host === 'gone' ? 'ENOTFOUND' : 'EAI_AGAIN' }) }
      assert.match((await checkName({ host: 'gone' }, options, lookup)).text, /^gone: name not found$/)
      assert.match((await checkName({ host: 'later' }, options, lookup)).text, /^later: EAI_AGAIN$/)
      assert.match((await checkName({ host: 'never' }, options, () => new Promise(() => {}))).text, /^never: no answer within 0\.05 s$/)
      const many = async () => Array.from({ length: 20 }, (_, i) => ({ address: `10.0.0.${i}` }))
      assert.match((await checkName({ host: 'many' }, options, many)).text, /^many is 10\.0\.0\.0, .*, 10\.0\.0\.7 and 12 more$/)
    })

    it('comes once, where nothing is wrong: servers hold other visits against their source', async () => {
      const other = await alknet.serve({ hostKey: host().path, authorizedKeys: user().publicPath, listen: '127.0.0.1:0' })
      scope.defer(() => other.close())
      const options = good({ server: `127.0.0.1:${other.address().port}` })
      for (let i = 0; i < 3; i++) assert.strictEqual((await examine(options)).ok, true)
      assert.strictEqual(other.stats().notedSources, 0)
    })

    it('one of several servers, and looks at the others all the same', async () => {
      const other = await alknet.serve({ hostKey: host().path, authorizedKeys: key('ed25519', 'stranger').publicPath, listen: '127.0.0.1:0' })
      scope.defer(() => other.close())
      const strict = `127.0.0.1:${other.address().port}`
      const lookup = async () => { throw Object.assign(new Error('getaddrinfo'), { code: 'ENOTFOUND' }) }
      const result = await examine(good({ server: ['gone.invalid:22', '127.0.0.1:1', strict, place] }), { lookup })
      const told = (check) => of(result, check).map(({ status, text }) => `${status} ${text.replace(/^127\S+: /, '')}`)
      assert.deepStrictEqual(told('connection'), ['skip not looked at: name has to be right first', 'fail connect: connection refused',
        'ok an SSH server answers', 'ok an SSH server answers'])
      const [first, second, refused, there] = told('login')
      assert.deepStrictEqual([first, second], ['skip not looked at: name has to be right first', 'skip not looked at: connection has to be right first'])
      assert.match(refused, /^fail the server accepted none of the keys/)
      assert.match(there, /^ok logged in as /)
    })

    it('an SSH server, although there is no key to log in with', async () => {
      const result = await examine(good({ identity: path.join(home, 'none') }))
      assert.match(of(result, 'connection')[0].text, /: connected to 127\.0\.0\.1 in \d+ ms$/)
      assert.match(of(result, 'connection')[1].text, /: SSH-2\.0-alknet$/)
      assert.match(of(result, 'login')[0].text, /identity has to be right first/)
    })

    it('a proxy that is not there, or refuses, without its password', async () => {
      const gone = await finds(good({ proxy: 'socks5://me:sesame@127.0.0.1:1' }), 'proxy', 'fail', /^socks5 proxy 127\.0\.0\.1:1: .*refused/, /nobody listens/)
      assert.deepStrictEqual([of(gone, 'name'), of(gone, 'connection')], [[], []], 'the way is another one')
      assert.match(of(gone, 'login')[0].text, /proxy has to be right first/)
      const web = await finds(good({ proxy: `http://me:sesame@${await says('HTTP/1.1 403 Forbidden\r\n\r\n')}` }), 'proxy', 'ok', /^http proxy 127\.0\.0\.1:\d+: connected in \d+ ms$/)
      assert.match(of(web, 'login')[0].text, /403/)
      assert.doesNotMatch(JSON.stringify([gone, web]), /sesame/)
      await finds({ hostKey: host().path, listen: '127.0.0.1:0', proxy: 'socks5://127.0.0.1:1' }, 'proxy', 'fail', /refused/, undefined, { command: 'serve' })
    })

    it('CAs of TLS that cannot be read, or that nobody asks', async () => {
      const tls = { transport: 'tls', server: '127.0.0.1:1' }
      await finds(good({ ...tls, tlsCa: path.join(home, 'none') }), 'tls', 'fail', /no such file/)
      await finds(good({ ...tls, insecure: true }), 'tls', 'warn', /not checked/, /--tls-ca/)
      await finds(good(tls), 'login', 'fail', /refused/, /nobody listens/)
    })

    it('a login that is refused', async () => {
      const result = await finds(good({ identity: key('ed25519', 'stranger').path }), 'login', 'fail', /accepted none of the keys/, /authorized_keys/)
      assert.strictEqual(result.ok, false)
    })

    it('stops when it is told to', async () => {
      const controller = new AbortController()
      const about = { onFinding: () => controller.abort() }
      await assert.rejects(alknet.diagnose(good({ signal: controller.signal }), about), { code: 'ERR_ALKNET_CANCELED' })
    })
  })

  describe('of a server', () => {
    const serve = (more) => ({ hostKey: host().path, authorizedKeys: user().publicPath, listen: '127.0.0.1:0', ...more })
    const about = { command: 'serve' }

    it('finds nothing where nothing is wrong', async () => {
      const { ok, findings } = await examine(serve({ listen: ['127.0.0.1:0', 'fd:3'] }), about)
      assert.strictEqual(ok, true)
      assert.deepStrictEqual(findings.map(({ check, status }) => `${check} ${status}`),
        ['clock ok', 'host key ok', 'authorized keys ok', 'policy ok', 'listen ok', 'listen skip', 'files ok'].map((line, i) =>
          i === 6 ? `files ${findings[6].status}` : line))
    })

    it('certificates of TLS that are not for their key, or not for long', async () => {
      const dir = scope.dir()
      const pem = (name, days) => {
        execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', String(days),
          '-subj', '/CN=x', '-addext', 'subjectAltName=DNS:a.example', '-keyout', path.join(dir, `${name}.key`), '-out', path.join(dir, `${name}.pem`)], { stdio: 'ignore' })
        return { transport: 'tls', tlsCert: path.join(dir, `${name}.pem`), tlsKey: path.join(dir, `${name}.key`) }
      }
      const good = pem('good', 90)
      await finds(serve(good), 'tls', 'ok', /good\.pem: for DNS:a\.example, valid for (89|90) days$/, undefined, about)
      await finds(serve(pem('soon', 2)), 'tls', 'warn', /valid for [12] days?$/, /renew/, about)
      await finds(serve({ ...good, tlsKey: path.join(dir, 'soon.key') }), 'tls', 'fail', /./, undefined, about)
      await finds(serve({ ...good, tlsCert: path.join(dir, 'none') }), 'tls', 'fail', /no such file/, undefined, about)
    })

    it('keys, files and ports that are wrong', async () => {
      await finds(serve({ hostKey: path.join(home, 'none') }), 'host key', 'fail', /no such file/, /keygen/, about)
      await finds(serve({ authorizedKeys: path.join(home, 'none') }), 'authorized keys', 'fail', /no such file/, undefined, about)
      await finds(serve({ authorizedKeys: [] }), 'authorized keys', 'warn', /nobody can log in/, undefined, about)
      const keys = scope.file('keys', `sudo ${user().public}\n${user().public}\n`)
      fs.chmodSync(keys, 0o620)
      const result = await finds(serve({ authorizedKeys: keys }), 'authorized keys', 'warn', /others can write/, /chmod go-w/, about)
      assert.match(of(result, 'authorized keys')[1].text, /keys:1: the option "sudo" is not known/)
      assert.match(of(result, 'authorized keys')[2].text, /^1 key and 0 CAs/)
      await finds(serve({ listen: place }), 'listen', 'fail', /in use/, /choose another/, about)
    })
  })

  it('a clock that is wrong', () => {
    assert.strictEqual(checkClock(0).status, 'fail')
    assert.match(checkClock(0).text, /^1970-01-01T00:00:00Z/)
    assert.strictEqual(checkClock(Date.UTC(2026, 11, 1)).status, 'ok')
    assert.strictEqual(checkClock(Date.UTC(2126, 0, 1)).status, 'warn')
  })

  it('rejects options that are wrong', async () => {
    await assert.rejects(alknet.diagnose({ server: 'x' }), { code: 'ERR_ALKNET_OPTION', option: 'identity' })
    await assert.rejects(alknet.diagnose({}, { command: 'status' }), { code: 'ERR_ALKNET_OPTION', option: 'command' })
  })

  describe('as a command', () => {
    const flags = () => ['--server', place, '--identity', user().path, '--host-key', host().fingerprint, '--socks5', '127.0.0.1:0']

    it('prints a line for each, or one object, and the exit code says whether all is well', async () => {
      const { code, stdout, stderr } = await runAlknet(scope, ['doctor', ...flags()])
      assert.deepStrictEqual([code, stderr], [0, ''])
      assert.match(stdout, /^ok {4}clock {12}\d{4}-[^\n]*\nok {4}identity {9}[^]*\n7 ok, 0 to look at, 0 failed\n$/)
      const json = await runAlknet(scope, ['doctor', 'connect', '--json', ...flags(), '--identity', path.join(home, 'none')])
      assert.strictEqual(json.code, 1)
      const { ok, findings } = JSON.parse(json.stdout)
      assert.strictEqual(ok, false)
      assert.deepStrictEqual(findings.filter((one) => one.status === 'fail').map((one) => one.check), ['identity'])
      const coloured = await runAlknet(scope, ['doctor', ...flags()], { env: { FORCE_COLOR: '1' } })
      assert.match(coloured.stdout, /^\x1b\[32mok {2}\x1b\[0m {2}clock/) // eslint-disable-line no-control-regex
    })

    it('looks at a server with its flags, and at a file', async () => {
      const file = scope.file('alknet.toml', `[server]\nkey = "${host().path}"\nlisten = "127.0.0.1:0"\nauthorized-keys = "${user().publicPath}"\n`)
      const { code, stdout } = await runAlknet(scope, ['doctor', 'serve', '--config', file])
      assert.strictEqual(code, 0, stdout)
      assert.match(stdout, /host key {9}\S+: ssh-ed25519 SHA256:/)
    })

    it('exits with 2 and one line for flags that are wrong', async () => {
      for (const [args, line] of [
        [[], /^alknet: --server: is required[^\n]*\n$/],
        [['serve'], /^alknet: --key: is required[^\n]*\n$/],
        [['--server', 'a:b:c', '--identity', 'x'], /^alknet: --server: [^\n]*\n$/]
      ]) {
        const { code, stdout, stderr } = await runAlknet(scope, ['doctor', ...args], { env: cleanEnv(scope) })
        assert.deepStrictEqual([code, stdout], [2, ''])
        assert.match(stderr, line)
      }
    })
  })
})
