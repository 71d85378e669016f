'use strict'

const assert = require('assert')
const { PassThrough } = require('stream')
const { socks5Options } = require('../lib/call-options')
const { clientOptions, connectOptions, namesForFiles, ownOptions, serverOptions } = require('../lib/options')
const { parseDuration } = require('../lib/option-checks')
const { AlknetError } = require('../lib/errors')

const CLIENT = { server: 'example.com', identity: 'key' }
const SERVER = { hostKey: 'key' }
const PIN = `SHA256:${'a'.repeat(43)}`

function refuses (use, option, pattern) {
  assert.throws(use, (err) => {
    assert(err instanceof AlknetError)
    assert.strictEqual(err.code, 'ERR_ALKNET_OPTION')
    assert.strictEqual(err.stage, 'options')
    assert.strictEqual(err.option, option)
    assert.match(err.message, pattern)
    return true
  })
}

describe('options', () => {
  it('have the defaults of the specification', () => {
    const client = clientOptions(CLIENT)
    assert.deepStrictEqual(client.server, [{ host: 'example.com', port: 22 }])
    assert.deepStrictEqual([client.user, client.transport, client.keepalive, client.keepaliveMax, client.acceptNew, client.socks5],
      ['alknet', 'tcp', 15, 3, false, null])
    assert.deepStrictEqual([client.sessions, client.sessionChannels, client.sessionRate, client.sessionIdle, client.windowTotal], [1, 64, 2 ** 20, 60, undefined])
    assert.match(client.knownHosts[0], /\.config\/alknet\/known_hosts$/)
    assert.match(client.knownHosts[1], /\.ssh\/known_hosts$/)
    assert.deepStrictEqual(connectOptions(CLIENT).destination, { host: 'alknet-control', port: 0 })
    assert.deepStrictEqual(clientOptions({ ...CLIENT, socks5: true }).socks5, { address: '127.0.0.1', port: 1080 })
    const server = serverOptions(SERVER)
    assert.deepStrictEqual(server.listen, [{ address: '0.0.0.0', port: 22 }])
    assert.deepStrictEqual(serverOptions({ hostKey: 'k', listen: ['fd:3', '127.0.0.1:0'] }).listen, [{ fd: 3 }, { address: '127.0.0.1', port: 0 }])
    assert.deepStrictEqual([server.maxConnectionsPerIp, server.maxAuthAttempts, server.maxUnauthenticated, server.maxUnauthenticatedPerIp,
      server.loginGrace, server.maxSessions, server.maxChannels], [0, 10, 100, 25, 30, 0, 1024])
    assert.deepStrictEqual([server.maxPending, server.authorize, server.authorizeTimeout], [128, undefined, 10])
  })

  it('take one or several', () => {
    const client = clientOptions({ server: '[::1]:2222', identity: ['a', Buffer.from('b')], hostKey: PIN, forward: '1:a:2', remoteForward: ['1', '/x:/y'] })
    assert.deepStrictEqual(client.server, [{ host: '::1', port: 2222 }])
    assert.deepStrictEqual(client.identity, ['a', Buffer.from('b')])
    assert.deepStrictEqual(client.hostKey, [PIN])
    assert.deepStrictEqual(client.forward, [{ here: { host: '127.0.0.1', port: 1 }, there: { host: 'a', port: 2 }, text: '127.0.0.1:1:a:2' }])
    assert.deepStrictEqual(client.remoteForward.map((one) => one.text), ['localhost:1', '/x:/y'])
  })

  it('take paths and bytes of CAs and revocations', () => {
    const bytes = Buffer.from('x')
    for (const name of ['certAuthority', 'revokedKeys']) {
      assert.deepStrictEqual(serverOptions(SERVER)[name], [])
      assert.deepStrictEqual(serverOptions({ ...SERVER, [name]: 'path' })[name], ['path'])
      assert.deepStrictEqual(serverOptions({ ...SERVER, [name]: ['path', bytes] })[name], ['path', bytes])
      for (const wrong of [false, '', 'a\0b', [1], {}]) refuses(() => serverOptions({ ...SERVER, [name]: wrong }), name, /must be a path, or a Buffer/)
    }
  })

  it('take undefined for not given', () => {
    assert.strictEqual(clientOptions({ ...CLIENT, user: undefined, proxy: undefined }).user, 'alknet')
  })

  it('name what is missing', () => {
    refuses(() => clientOptions({ identity: 'a' }), 'server', /required/)
    refuses(() => clientOptions({ server: 'a' }), 'identity', /required/)
    refuses(() => serverOptions({}), 'hostKey', /required/)
    refuses(() => serverOptions({ hostKey: Array(9).fill('key') }), 'hostKey', /8 at most/)
    assert.strictEqual(serverOptions({ hostKey: Array(8).fill('key') }).hostKey.length, 8)
    refuses(() => serverOptions(null), 'options', /object/)
  })

  it('suggest what was meant', () => {
    refuses(() => clientOptions({ ...CLIENT, knownHost: 'x' }), 'knownHost', /did you mean knownHosts\?/)
    refuses(() => clientOptions({ ...CLIENT, keepAlive: 1 }), 'keepAlive', /did you mean keepalive\?/)
    refuses(() => serverOptions({ ...SERVER, hostkey: 'x' }), 'hostkey', /did you mean hostKey\?/)
    refuses(() => serverOptions({ ...SERVER, zzzzzzzz: 1 }), 'zzzzzzzz', /^zzzzzzzz: there is no such option$/)
    refuses(() => clientOptions({ ...CLIENT, destination: 'a:1' }), 'destination', /no such option/)
    refuses(() => clientOptions({ ...CLIENT, ['x'.repeat(100000)]: 1 }), `${'x'.repeat(80)}...`, /no such option/)
  })

  it('are never ignored when they are not built yet', () => {
    for (const name of ['peer', 'irohRelay']) {
      refuses(() => clientOptions({ ...CLIENT, [name]: 'x' }), name, /not available yet/)
    }
    refuses(() => clientOptions({ ...CLIENT, transport: 'iroh' }), 'transport', /not available yet/)
  })

  it('of stealth are for tls, and for stealth', () => {
    const tls = { tlsCert: 'c', tlsKey: 'k', listen: 'tls://127.0.0.1:1' }
    const wrong = (options, name, message) => refuses(() => serverOptions({ ...SERVER, ...options }), name, message)
    wrong({ stealth: true }, 'stealth', /only for tls/)
    wrong({ listeners: [{ listen: 'tls://127.0.0.1:1', tlsCert: 'c', tlsKey: 'k' }, { listen: '127.0.0.1:2', stealth: true }] }, 'listeners', /stealth makes sense only for tls/)
    wrong({ ...tls, stealthSecret: 'x' }, 'stealthSecret', /only with stealth/)
    wrong({ ...tls, stealthUpstream: 'http://a' }, 'stealthUpstream', /only with stealth/)
    for (const url of ['https://a', 'http://', 'http://a/b', 'http://u@a', 'http://a:0', 'http://a:70000', 'a:1', 5]) wrong({ ...tls, stealth: true, stealthUpstream: url }, 'stealthUpstream', /must be/)
    for (const name of ['', ' a', 'a\nb', 'a'.repeat(65), 'ä']) wrong({ ...tls, stealth: true, stealthServer: name }, 'stealthServer', /what a web server calls itself/)
    const { places, stealthUpstream, stealthServer, stealthHeadTimeout, stealthIdleTimeout } = serverOptions({ ...SERVER, ...tls, stealth: true, stealthUpstream: 'http://[::1]:8080' })
    assert.deepStrictEqual([places[0].stealth, stealthUpstream.host, stealthUpstream.port, stealthServer], [true, '::1', 8080, 'nginx/1.22.1'])
    assert.deepStrictEqual([stealthHeadTimeout, stealthIdleTimeout], [60, 75]) // nginx's client_header_timeout and keepalive_timeout
    assert.strictEqual(serverOptions({ ...SERVER, listeners: [{ ...tls, stealth: false }, tls], stealth: true }).places.filter((one) => one.stealth).length, 1)
    refuses(() => clientOptions({ ...CLIENT, stealthSecret: 'x' }), 'stealthSecret', /only with the transport tls/)
  })

  it('have a port for each transport', () => {
    assert.strictEqual(clientOptions(CLIENT).server[0].port, 22)
    assert.strictEqual(clientOptions({ ...CLIENT, transport: 'tls' }).server[0].port, 443)
    assert.strictEqual(clientOptions({ ...CLIENT, server: 'a:1', transport: 'tls' }).server[0].port, 1)
    const tls = { tlsCert: 'c', tlsKey: 'k' }
    assert.deepStrictEqual(serverOptions({ ...SERVER, transport: 'tls', ...tls }).listen, [{ address: '0.0.0.0', port: 443 }])
    assert.deepStrictEqual(serverOptions({ ...SERVER, listen: [] }).places, [])
  })

  it('name what speaks tls, in listen or in listeners', () => {
    const tls = { tlsCert: 'c', tlsKey: 'k' }
    const tcp = { transport: 'tcp', address: '127.0.0.1', port: 22 }
    const places = (options) => serverOptions({ ...SERVER, ...options }).places
    assert.deepStrictEqual(places({ listen: ['127.0.0.1:22', 'TLS://[::1]:443'], ...tls }), [tcp, { transport: 'tls', address: '::1', port: 443, ...tls }])
    assert.deepStrictEqual(places({ transport: 'tls', listen: ['tcp://127.0.0.1:22', 'localhost:443'], ...tls }),
      [tcp, { transport: 'tls', address: '127.0.0.1', port: 443, ...tls }])
    assert.deepStrictEqual(places({ listeners: { listen: 'tls://127.0.0.1:1', tlsCert: 'own' }, ...tls }),
      [{ transport: 'tls', address: '127.0.0.1', port: 1, tlsCert: 'own', tlsKey: 'k' }])
    assert.deepStrictEqual(places({ listeners: [{ listen: '127.0.0.1:22' }, { transport: 'tls', listen: ['127.0.0.1:1', '127.0.0.1:2'], ...tls }] }),
      [tcp, ...[1, 2].map((port) => ({ transport: 'tls', address: '127.0.0.1', port, ...tls }))])
    const wrong = (options, name, message) => refuses(() => places(options), name, message)
    wrong({ listen: 'tls://127.0.0.1:1' }, 'tlsCert', /is required for tls/)
    wrong({ listen: 'tls://127.0.0.1:1', tlsCert: 'c' }, 'tlsKey', /is required for tls/)
    wrong({ listen: '127.0.0.1:1', ...tls }, 'tlsCert', /nothing listens for tls/)
    wrong({ listen: '127.0.0.1:1', tlsKey: 'k' }, 'tlsKey', /nothing listens for tls/)
    wrong({ listen: '127.0.0.1:1', tlsAlpn: 'h2' }, 'tlsAlpn', /nothing listens for tls/)
    assert.deepStrictEqual(places({ listeners: [{ listen: 'tls://127.0.0.1:1', tlsAlpn: ['h2', 'x'] }, { listen: 'tls://127.0.0.1:2' }], tlsAlpn: 'h2,h2', ...tls }).map((one) => one.tlsAlpn), ['h2,x', 'h2'])
    wrong({ listen: 'ws://127.0.0.1:1' }, 'listen', /"ws:\/\/" is not one of tcp:\/\/, tls:\/\//)
    wrong({ listen: 'tls://127.0.0.1', ...tls }, 'listen', /has no port/)
    wrong({ listen: 'tls://example.com:1', ...tls }, 'listen', /not an IP address/)
    wrong({ listen: '127.0.0.1:1', listeners: { listen: '127.0.0.1:2' } }, 'listeners', /together with listen/)
    wrong({ listeners: [{ listen: '127.0.0.1:1' }, {}] }, 'listeners', /^listeners: listen is required in each/)
    wrong({ listeners: { listen: '127.0.0.1:1', tlsCrt: 'x' } }, 'listeners', /"tlsCrt" is not one of/)
    wrong({ listeners: { listen: '127.0.0.1:1', transport: 'iroh' } }, 'listeners', /not available yet/)
    for (const listeners of ['x', null, [], [5], [[]], [Buffer.alloc(1)]]) wrong({ listeners }, 'listeners', /./)
  })

  it('of tls have no effect elsewhere, and say so', () => {
    for (const [name, value] of [['tlsServerName', 'a'], ['tlsCa', 'ca.pem'], ['tlsAlpn', 'h2'], ['insecure', true], ['stealth', true]]) {
      refuses(() => clientOptions({ ...CLIENT, [name]: value }), name, /only with the transport tls/)
      clientOptions({ ...CLIENT, transport: 'tls', [name]: value })
    }
    refuses(() => clientOptions({ ...CLIENT, transport: 'tls', tlsCa: 'x', insecure: true }), 'insecure', /together with tlsCa/)
    assert.strictEqual(clientOptions({ ...CLIENT, transport: 'tls', tlsServerName: 'BÜCHER.example' }).tlsServerName, 'xn--bcher-kva.example')
    const alpnOf = (options) => clientOptions({ ...CLIENT, transport: 'tls', ...options }).tlsAlpn
    assert.deepStrictEqual([alpnOf({}), alpnOf({ stealth: true }), alpnOf({ stealth: true, tlsAlpn: ['http/1.1'] })], [undefined, 'h2,http/1.1', 'http/1.1'])
    assert.strictEqual(alpnOf({ stealthSecret: 'x' }), 'h2,http/1.1')
    const { server, ...nameless } = { ...CLIENT, hostKey: PIN, stream: new PassThrough(), transport: 'tls' }
    refuses(() => clientOptions(nameless), 'tlsServerName', /is required for tls over a stream/)
    clientOptions({ ...nameless, tlsServerName: 'a' })
    clientOptions({ ...nameless, insecure: true })
  })

  it('take proxies: one, several, or those of the environment', () => {
    const chain = (value) => clientOptions({ ...CLIENT, proxy: value }).proxy?.chain.map(({ kind, host, port }) => `${kind} ${host} ${port}`)
    assert.deepStrictEqual(chain('socks5://a'), ['socks5 a 1080'])
    assert.deepStrictEqual(chain(['http://a:1', 'socks5h://[::1]:2']), ['http a 1', 'socks5 ::1 2'])
    assert.strictEqual(chain([]), undefined)
    assert.strictEqual(serverOptions({ ...SERVER, proxy: 'http://a' }).proxy.chain.length, 1)
    for (const wrong of ['', 5, null, 'a:1', ['env', 'http://a'], ['http://a', 5], Array(9).fill('http://a')]) {
      refuses(() => clientOptions({ ...CLIENT, proxy: wrong }), 'proxy', /./)
      refuses(() => serverOptions({ ...SERVER, proxy: wrong }), 'proxy', /./)
    }
    const stream = new (require('stream').Duplex)({ read () {}, write (chunk, encoding, callback) { callback() } })
    refuses(() => clientOptions({ identity: 'a', stream, server: 'a', proxy: 'http://a' }), 'proxy', /makes no sense together with stream/)
  })

  it('let metrics listen where only this machine reaches them, unless told otherwise', () => {
    for (const [value, place] of Object.entries({ '127.0.0.1:9122': { address: '127.0.0.1', port: 9122 }, '[::1]:0': { address: '::1', port: 0 }, 'localhost:1': { address: '127.0.0.1', port: 1 } })) {
      assert.deepStrictEqual([clientOptions({ ...CLIENT, metrics: value }).metrics, serverOptions({ ...SERVER, metrics: value }).metrics], [place, place])
    }
    assert.strictEqual(serverOptions({ ...SERVER, metrics: false }).metrics, null)
    assert.strictEqual(serverOptions(SERVER).metrics, null)
    refuses(() => serverOptions({ ...SERVER, metrics: '0.0.0.0:1' }), 'metrics', /can be reached by others: .*metricsOpen \(--metrics-open\)/)
    assert.deepStrictEqual(serverOptions({ ...SERVER, metrics: '0.0.0.0:1', metricsOpen: true }).metrics, { address: '0.0.0.0', port: 1 })
  })

  it('know both engines', () => {
    for (const sshEngine of ['native', 'libssh']) assert.equal(clientOptions({ ...CLIENT, sshEngine }).sshEngine, sshEngine)
    refuses(() => serverOptions({ ...SERVER, sshEngine: 'openssh' }), 'sshEngine', /must be one of native, libssh/)
  })

  const wrong = {
    server: ['', 'a:0', 'a:99999', 'a:b:c', '-x', 5, 'a\nb'],
    identity: ['', 5, null, 'a\0b', []],
    user: ['', '-x', 'a\nb', 'x'.repeat(256), 7],
    hostKey: ['', 'SHA256:abc', 'MD5:00', `${PIN}x`, 'ssh-ed25519'],
    acceptNew: ['yes', 1],
    tlsServerName: ['', 'a b', 'a:1', 7, 'x'.repeat(300)],
    tlsCa: ['', 5, null],
    tlsAlpn: ['', 'a,,b', 'a b', 'ä', [], ['a,b'], [5], 7, 'x'.repeat(256), Array.from({ length: 50 }, (_, i) => `proto${i}`)],
    stealth: ['yes', 1],
    insecure: ['yes', 1],
    socks5: ['', 'name:1', '127.0.0.1', '1.2.3.4:99999', 7],
    socks5Auth: ['', 'user', ':p', 'u:', `${'u'.repeat(256)}:p`],
    forward: ['', '1:a', '1:a:b', '/a', 7],
    remoteForward: ['', 'a', '1:a:b', '/a:', 7],
    maxLookups: [0, 65537, '1'],
    keepalive: [-1, 1.5, '15', NaN, Infinity],
    keepaliveMax: [0],
    connectTimeout: [0, -1],
    maxChannels: [0, 65537],
    windowMax: [32 * 1024 - 1, 2 ** 26 + 1],
    windowTotal: [2 ** 20 - 1, 2 ** 30 + 1, '1'],
    sessions: [0, 17, 1.5, '2', true],
    sessionChannels: [0, 65537],
    sessionRate: [-1, 2 ** 40 + 1],
    sessionIdle: [-1, '2d', 1.5],
    rekeyBytes: [1, 2 ** 31],
    ciphers: ['3des-cbc', 'aes128-cbc', '', 'aes128-gcm@openssh.com,none', []],
    kex: ['diffie-hellman-group14-sha256'],
    macs: ['hmac-sha1'],
    hostKeyAlgorithms: ['ssh-rsa', 'ssh-dss'],
    metrics: ['', 'name:1', '127.0.0.1', true, '0.0.0.0:1', '[::]:1', '192.0.2.1:1'],
    metricsOpen: ['yes', 1],
    log: [true, 'x', null],
    signal: [{}],
    transport: ['udp', '']
  }
  for (const [name, values] of Object.entries(wrong)) {
    it(`refuse a wrong ${name}`, () => {
      for (const value of values) refuses(() => clientOptions({ ...CLIENT, [name]: value }), name, new RegExp(`^${name}: `))
    })
  }

  it('refuse wrong options of a server', () => {
    const cases = { listen: ['', 'name:1', '127.0.0.1', '1.2.3.4:x', [5], 'fd:2', 'fd:x', 'fd:1234567890', { fd: 3 }], maxAuthAttempts: [0], loginGrace: [0], maxUnauthenticated: [-1], maxUnauthenticatedPerIp: [-1, 1.5], evictAfterMs: [0, 99, 1.5], evictSilentAfterMs: [99, '1s'], takeoverTimeout: [0, 21], onConnection: [1], tlsHandshakeTimeout: [0, '2d', 1.5], tlsCert: ['', 5], tlsKey: ['', null], tlsAlpn: ['', 'a,,b', 5] }
    for (const [name, values] of Object.entries(cases)) {
      for (const value of values) refuses(() => serverOptions({ ...SERVER, [name]: value }), name, new RegExp(`^${name}: `))
    }
  })

  it('take durations where they take seconds', () => {
    const cases = { '90s': 90, '5m': 300, '1h30m': 5400, '1d': 86400, '1h1m1s': 3661, '0s': 0 }
    for (const [text, seconds] of Object.entries(cases)) {
      assert.strictEqual(parseDuration(text), seconds, text)
      assert.strictEqual(clientOptions({ ...CLIENT, keepalive: text }).keepalive, seconds, text)
    }
    for (const text of ['', '5', 'm', '5M', '5 m', '5m ', '-5m', '1.5h', '1m1h', '1m1m', '5ms', '1w', '٣m', '9999999999s']) {
      assert.strictEqual(parseDuration(text), null, text)
      refuses(() => clientOptions({ ...CLIENT, keepalive: text }), 'keepalive', /a duration like 5m/)
    }
    refuses(() => serverOptions({ ...SERVER, loginGrace: '2d' }), 'loginGrace', /1 to 86400 seconds/)
    refuses(() => serverOptions({ ...SERVER, maxSessions: '5m' }), 'maxSessions', /must be a whole number/)
    for (const wrong of [0, 1025, 1.5, '5']) refuses(() => serverOptions({ ...SERVER, maxRemoteForwards: wrong }), 'maxRemoteForwards', /must be a whole number of 1 to 1024/)
    assert.strictEqual(serverOptions(SERVER).maxRemoteForwards, 64)
  })

  it('check the parts of forwarding, and say which element is wrong', () => {
    const of = (forwarding) => serverOptions({ ...SERVER, forwarding }).forwarding
    assert.deepStrictEqual(of(undefined), { default: 'allow', rules: [], permitListen: null })
    assert.deepStrictEqual(of({ default: 'DENY', rules: 'allow a:1', permitListen: 'none' }).rules.map((one) => one.text), ['allow a:1'])
    assert.deepStrictEqual(of({ permitListen: 'none' }).permitListen, [])
    assert.strictEqual(of({ default: 'Deny' }).default, 'deny')
    for (const [parts, option, index] of [
      [{ rules: ['allow a:1', 'deny 127.1:1', 'deny b:1'] }, 'forwarding.rules', 1], [{ rules: [{ action: 'deny' }] }, 'forwarding.rules', 0],
      [{ rules: 'x' }, 'forwarding.rules', undefined], [{ default: 'maybe' }, 'forwarding.default', undefined], [{ default: true }, 'forwarding.default', undefined],
      [{ permitListen: ['loopback', 'db:1'] }, 'forwarding.permitListen', 1], [{ rule: [] }, 'forwarding.rule', undefined]
    ]) {
      assert.throws(() => of(parts), (err) => err.code === 'ERR_ALKNET_OPTION' && err.option === option && err.index === index, JSON.stringify(parts))
    }
    for (const parts of [null, [], 'deny', 5]) refuses(() => of(parts), 'forwarding', /must be an object/)
  })

  it('say where the flags about forwarding went', () => {
    for (const name of ['allow', 'deny', 'default', 'permitListen']) {
      refuses(() => serverOptions({ ...SERVER, [name]: 'x' }), name, /a part of forwarding: forwarding\./)
    }
  })

  it('keep what only code can say out of files', () => {
    for (const command of ['serve', 'connect']) {
      for (const name of ['passphrase', 'signal', 'onConnection', 'authorize', 'authorizeTimeout', 'maxPending', 'dangerouslyAcceptAnyHostKey', 'stream']) assert(!namesForFiles(command).includes(name), name)
    }
    assert(namesForFiles('serve').includes('maxSessions') && namesForFiles('serve').includes('stealth'))
  })

  it('check the parts of log', () => {
    refuses(() => clientOptions({ ...CLIENT, log: { level: 'loud' } }), 'log.level', /must be one of/)
    refuses(() => clientOptions({ ...CLIENT, log: { lvl: 'info' } }), 'log.lvl', /did you mean level/)
    refuses(() => clientOptions({ ...CLIENT, log: { time: 'yes' } }), 'log.time', /must be true or false/)
    assert.strictEqual(clientOptions({ ...CLIENT, log: false }).log, null)
  })

  it('narrow algorithms in the order given', () => {
    assert.strictEqual(clientOptions({ ...CLIENT, ciphers: 'aes256-ctr,aes128-gcm@openssh.com,aes256-ctr' }).ciphers, 'aes256-ctr,aes128-gcm@openssh.com')
    assert.strictEqual(clientOptions({ ...CLIENT, kex: ['curve25519-sha256'] }).kex, 'curve25519-sha256')
  })

  it('do not open the proxy to others by accident', () => {
    for (const socks5 of ['0.0.0.0:1080', '[::]:1080', '192.0.2.1:1080', '[::ffff:127.0.0.1]:1080']) {
      refuses(() => clientOptions({ ...CLIENT, socks5 }), 'socks5', /socks5Auth.*socks5Open/)
      refuses(() => socks5Options({ socks5 }), 'socks5', /socks5Auth/)
      clientOptions({ ...CLIENT, socks5, socks5Open: true })
      clientOptions({ ...CLIENT, socks5, socks5Auth: 'u:p' })
    }
    for (const socks5 of ['127.0.0.1:0', '[::1]:0', 'localhost:0', '127.9.9.9:1']) clientOptions({ ...CLIENT, socks5 })
  })

  it('leave no way to trust every host key but the loud one', () => {
    assert.strictEqual(clientOptions(CLIENT).dangerouslyAcceptAnyHostKey, false)
    refuses(() => clientOptions({ ...CLIENT, dangerouslyAcceptAnyHostKey: true, hostKey: PIN }), 'dangerouslyAcceptAnyHostKey', /makes no sense/)
    refuses(() => clientOptions({ ...CLIENT, acceptNew: true, knownHosts: Buffer.from('') }), 'acceptNew', /path/)
  })

  it('do not change the object that they were given', () => {
    const given = Object.freeze({ ...CLIENT })
    clientOptions(given)
    assert.deepStrictEqual(given, CLIENT)
  })

  it('mean the same once they are copied, also what they, their parts and rules have from a class', () => {
    class Rule { get action () { return 'deny' } get target () { return '*:25' } get principals () { return ['ops'] } }
    class Forwarding { get default () { return 'deny' } get rules () { return [new Rule(), 'allow *:443'] } get permitListen () { return 'none' } }
    class Options {
      get hostKey () { return 'key' }
      get forwarding () { return new Forwarding() }
      get penalties () { return Object.create({ authfail: '7s', max: 60 }) }
      get maxSessions () { return 3 }
    }
    const given = new Options()
    const meant = serverOptions(given)
    assert.deepStrictEqual([meant.forwarding.default, meant.forwarding.rules[0].text, meant.penalties.authfail, meant.maxSessions], ['deny', 'deny *:25 ops', 7, 3])
    const own = structuredClone(ownOptions(given))
    assert.deepStrictEqual(serverOptions(own), meant)
    assert.deepStrictEqual(ownOptions(own), own)
  })
})
