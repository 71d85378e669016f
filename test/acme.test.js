'use strict'

/** When certificates are asked for, and what is made of the answers; with a clock of the test. */

const assert = require('node:assert')
const fs = require('node:fs')
const https = require('node:https')
const path = require('node:path')
const { once } = require('node:events')
const { Acme, openAcme } = require('../lib/acme/acme')
const { Authority } = require('../lib/acme/authority')
const { Http, sniOf } = require('../lib/acme/challenges')
const { Requests } = require('../lib/acme/requests')
const { earliest, renewAt, retryDelay, retryDelays } = require('../lib/acme/schedule')
const { Store } = require('../lib/acme/store')
const { fail, systemError } = require('../lib/errors')
const { serverOptions } = require('../lib/options')
const { bareContext, contextOf, describeCertificate, isBare } = require('../lib/tls-files')
const { needAlknet } = require('./helpers/alknet')
const { need } = require('./helpers/proc')
const { suiteScope, testScope } = require('./helpers/scope')
const { issue, makeCa } = require('./helpers/tls-certs')

const MINUTE = 60_000
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR

describe('acme: the schedule', () => {
  it('renews at two thirds of a life, and up to a thirtieth later', () => {
    for (const life of [90 * DAY, 6 * DAY, 10 * MINUTE]) {
      assert.strictEqual(renewAt({ from: 1000, to: 1000 + life }, 0), 1000 + life * 2 / 3)
      assert(Math.abs(renewAt({ from: 0, to: life }, 1) - life * 0.7) < 1)
    }
  })

  it('tries about twenty times in the last third, and seldom where there is time', () => {
    assert.deepStrictEqual(retryDelays({ from: 0, to: 90 * DAY }), { minDelayMs: MINUTE, maxDelayMs: 6 * HOUR })
    assert.deepStrictEqual(retryDelays(null), { minDelayMs: MINUTE, maxDelayMs: 6 * HOUR })
    assert.deepStrictEqual(retryDelays({ from: 0, to: 6 * DAY }), { minDelayMs: MINUTE, maxDelayMs: 2.4 * HOUR })
    assert.deepStrictEqual(retryDelays({ from: 0, to: 10 * MINUTE }), { minDelayMs: 10_000, maxDelayMs: 10_000 })
    assert.deepStrictEqual(retryDelays({ from: 0, to: 10_000 }), { minDelayMs: 1000, maxDelayMs: 1000 })
  })

  it('comes back when the CA says, within a day', () => {
    assert.strictEqual(retryDelay(MINUTE), MINUTE)
    assert.strictEqual(retryDelay(MINUTE, 30), MINUTE)
    assert.strictEqual(retryDelay(MINUTE, 3600), HOUR)
    assert.strictEqual(retryDelay(MINUTE, 1e9), DAY)
  })
})

describe('acme: a clock', () => {
  it('is wrong that stands before there was anything to ask for, or before what was issued', () => {
    assert.strictEqual(earliest(null), Date.UTC(2025, 0, 1))
    assert.strictEqual(earliest({ from: 0, to: 1 }), Date.UTC(2025, 0, 1))
    assert.strictEqual(earliest({ from: Date.UTC(2030), to: Date.UTC(2031) }), Date.UTC(2030))
  })
})

describe('acme: options', () => {
  const TLS = { hostKey: 'k', transport: 'tls', acmeDomain: 'a.example' }
  const refuses = (options, option, words) => assert.throws(() => serverOptions({ ...TLS, ...options }),
    (err) => err.code === 'ERR_ALKNET_OPTION' && err.option === option && words.test(err.message) ? true : assert.fail(err))

  it('have defaults, and one spelling', () => {
    const { acmeDomain, acmeDirectory, acmeChallenge, acmeContact, acmeHttpListen, places } = serverOptions({
      ...TLS, acmeDomain: ['A.Example.', 'a.example', 'bücher.example', '192.0.2.1', '2001:DB8:0::1'], acmeContact: ['mailto:x@a.example', 'y@a.example']
    })
    assert.deepStrictEqual(acmeDomain, ['a.example', 'xn--bcher-kva.example', '192.0.2.1', '2001:db8::1'])
    assert.deepStrictEqual([acmeDirectory, acmeChallenge, acmeHttpListen], ['https://acme-v02.api.letsencrypt.org/directory', 'tls-alpn-01', undefined])
    assert.deepStrictEqual(acmeContact, ['mailto:x@a.example', 'mailto:y@a.example'])
    assert.deepStrictEqual(places, [{ address: '0.0.0.0', port: 443, transport: 'tls', isAcme: true }])
    assert.deepStrictEqual(serverOptions({ ...TLS, acmeChallenge: 'http-01' }).acmeHttpListen, [{ address: '0.0.0.0', port: 80 }])
  })

  it('are checked', () => {
    refuses({ acmeDomain: '*.a.example' }, 'acmeDomain', /wildcard/)
    for (const acmeDomain of ['', 'a b', '-a', 7, 'fe80::1%lo', 'x'.repeat(300)]) refuses({ acmeDomain }, 'acmeDomain', /is not a host name or an address/)
    refuses({ acmeDomain: [] }, 'acmeDomain', /must have/)
    refuses({ acmeDomain: Array.from({ length: 101 }, (_, i) => `a${i}.example`) }, 'acmeDomain', /100 names at most/)
    for (const acmeDirectory of ['http://ca.example/', 'https://u:p@ca.example/', 'ca.example', 7]) refuses({ acmeDirectory }, 'acmeDirectory', /must be the URL/)
    for (const acmeContact of ['x', 'x@', 'a b@c', 'x@a.example,y@b.example', 'x@a.example?cc=z']) {
      if (acmeContact.includes('?')) continue
      refuses({ acmeContact }, 'acmeContact', /mail address/)
    }
    refuses({ acmeChallenge: 'dns-01' }, 'acmeChallenge', /one of tls-alpn-01, http-01/)
    refuses({ acmeHttpListen: '127.0.0.1:80' }, 'acmeHttpListen', /only with acmeChallenge http-01/)
    refuses({ acmeEabKid: 'k' }, 'acmeEabHmacFile', /required together with acmeEabKid/)
    refuses({ acmeEabHmacFile: 'f' }, 'acmeEabKid', /required together with acmeEabHmacFile/)
    refuses({ acmeCache: '' }, 'acmeCache', /folder/)
    refuses({ acmeDomain: undefined, acmeDirectory: 'https://ca.example/' }, 'acmeDirectory', /without acmeDomain/)
    refuses({ acmeDomain: undefined }, 'tlsCert', /acme-domain/)
    refuses({ tlsCert: 'c', tlsKey: 'k' }, 'acmeDomain', /together with tlsCert/)
    refuses({ transport: 'tcp' }, 'acmeDomain', /nothing listens for tls/)
  })

  it('leave listeners that have a certificate theirs', () => {
    const own = { transport: 'tls', listen: '127.0.0.1:1', tlsCert: 'c', tlsKey: 'k' }
    const { places } = serverOptions({ ...TLS, listeners: [own, { listen: '127.0.0.1:2' }, { transport: 'tcp', listen: '127.0.0.1:3' }] })
    assert.deepStrictEqual(places.map(({ isAcme, tlsCert }) => [isAcme, tlsCert]), [[undefined, 'c'], [true, undefined], [undefined, undefined]])
    refuses({ listeners: [own] }, 'acmeDomain', /nothing listens for tls without/)
  })
})

describe('acme: what a CA looks at', () => {
  const scope = testScope()

  it('names an address by its reverse mapping', () => {
    assert.strictEqual(sniOf('a.example'), 'a.example')
    assert.strictEqual(sniOf('192.0.2.1'), '1.2.0.192.in-addr.arpa')
    assert.strictEqual(sniOf('2001:db8::1'), '1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa')
  })

  it('is one file, as long as it looks', async () => {
    const http = new Http([{ address: '127.0.0.1', port: 0 }])
    await http.prepare()
    assert.deepStrictEqual(http.addresses(), [])
    const [hideA, hideB] = await Promise.all(['a', 'b'].map((token) => http.show({ token, keyAuthorization: `${token}.key` })))
    scope.defer(hideA)
    scope.defer(hideB)
    const base = `http://127.0.0.1:${http.addresses()[0].port}`
    const ask = async (url, method = 'GET') => {
      const answer = await fetch(base + url, { method })
      return [answer.status, await answer.text()]
    }
    assert.deepStrictEqual(await ask('/.well-known/acme-challenge/a'), [200, 'a.key'])
    assert.deepStrictEqual(await ask('/.well-known/acme-challenge/b', 'HEAD'), [200, ''])
    for (const url of ['/', '/.well-known/acme-challenge/', '/.well-known/acme-challenge/c', '/.well-known/acme-challenge/a?b']) {
      assert.deepStrictEqual(await ask(url), [404, ''])
    }
    assert.deepStrictEqual(await ask('/.well-known/acme-challenge/a', 'POST'), [404, ''])
    hideA()
    assert.deepStrictEqual(await ask('/.well-known/acme-challenge/a'), [404, ''])
    hideB()
    assert.deepStrictEqual(http.addresses(), [])
    await assert.rejects(ask('/.well-known/acme-challenge/b'))
    const again = await http.show({ token: 'c', keyAuthorization: 'c.key' })
    assert.strictEqual(http.addresses().length, 1)
    again()
  })

  it('needs its port, which is said at the start', async () => {
    const taken = new Http([{ address: '127.0.0.1', port: 0 }])
    scope.defer(await taken.show({ token: 'a', keyAuthorization: 'a' }))
    const [{ port }] = taken.addresses()
    const other = new Http([{ address: '127.0.0.1', port: 0 }, { address: '127.0.0.1', port }])
    await assert.rejects(other.prepare(), { code: 'ERR_ALKNET_OPTION', option: 'acmeHttpListen' })
    assert.deepStrictEqual(other.addresses(), [])
    await assert.rejects(other.show({ token: 'a', keyAuthorization: 'a' }), { stage: 'acme', code: 'EADDRINUSE' })
    assert.deepStrictEqual(other.addresses(), [])
  })
})

describe('acme: the cache', () => {
  const scope = testScope()
  const storeOf = (more = {}) => new Store({ acmeCache: scope.dir(), acmeDirectory: 'https://ca.example/directory', acmeDomain: ['a.example', 'b.example'], ...more })
  const pair = { key: '-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n', cert: '-----BEGIN CERTIFICATE-----\nBBBB\n-----END CERTIFICATE-----\n' }

  it('is replaced as a whole, and is its owner\'s alone', async () => {
    const store = storeOf()
    await store.prepare()
    assert.deepStrictEqual([await store.readCertificate(), await store.readAccount()], [null, null])
    await store.writeCertificate({ ...pair, cert: 'old' })
    await store.writeCertificate(pair)
    assert.deepStrictEqual(await store.readCertificate(), pair)
    await store.writeAccount({ key: 'k', url: 'u', contact: ['mailto:x'] })
    assert.deepStrictEqual(await store.readAccount(), { key: 'k', url: 'u', contact: ['mailto:x'] })
    assert.deepStrictEqual(fs.readdirSync(store.dir).sort(), [path.basename(store.file), 'account.json'].sort())
    for (const name of fs.readdirSync(store.dir)) assert.strictEqual(fs.statSync(path.join(store.dir, name)).mode & 0o777, 0o600)
    assert.strictEqual(fs.statSync(store.dir).mode & 0o777, 0o700)
  })

  it('leaves a folder that was there as it was', async () => {
    const acmeCache = scope.dir()
    fs.chmodSync(acmeCache, 0o755)
    const store = storeOf({ acmeCache })
    await store.prepare()
    assert.deepStrictEqual([acmeCache, store.dir].map((dir) => fs.statSync(dir).mode & 0o777), [0o755, 0o700])
    const fresh = path.join(acmeCache, 'a', 'b')
    await storeOf({ acmeCache: fresh }).prepare()
    assert.strictEqual(fs.statSync(fresh).mode & 0o777, 0o700)
  })

  it('leaves the old file, and nothing beside it, where the new one cannot be written', async () => {
    const store = storeOf()
    await store.prepare()
    await store.writeCertificate(pair)
    await assert.rejects(store.writeCertificate({ key: pair.key, get cert () { throw new Error('no') } }))
    fs.mkdirSync(path.join(store.dir, 'x'))
    store.file = path.join(store.dir, 'x') // a directory: the rename fails
    await assert.rejects(store.writeCertificate(pair), { code: 'EISDIR' })
    assert.deepStrictEqual(fs.readdirSync(store.dir).filter((name) => name.endsWith('.new')), [])
  })

  it('tells CAs and names apart, in whatever order', () => {
    const files = [storeOf(), storeOf({ acmeDomain: ['a.example'] }), storeOf({ acmeDomain: ['b.example', 'a.example'] })].map(({ file }) => path.basename(file))
    assert.strictEqual(new Set(files).size, 3)
    const hash = (name) => name.match(/[0-9a-f]{16}/)[0]
    assert.strictEqual(hash(files[0]), hash(files[2]))
    const dirs = ['https://ca.example/a', 'https://ca.example/b'].map((acmeDirectory) => path.basename(storeOf({ acmeDirectory }).dir))
    assert.notStrictEqual(dirs[0], dirs[1])
    assert(dirs.every((one) => one.startsWith('ca.example-')))
  })

  it('says what is damaged', async () => {
    const store = storeOf()
    await store.prepare()
    for (const text of ['', '{', '[]', '{"key":1,"url":"u","contact":[]}']) {
      fs.writeFileSync(path.join(store.dir, 'account.json'), text)
      await assert.rejects(store.readAccount(), /account\.json is damaged/)
    }
    fs.writeFileSync(store.file, 'nothing')
    await assert.rejects(store.readCertificate(), /no private key/)
    fs.writeFileSync(store.file, Buffer.alloc(2 * 1024 * 1024))
    await assert.rejects(store.readCertificate(), { code: 'ERR_ALKNET_LIMIT' })
    const file = scope.file('file', '')
    for (const acmeCache of [file, path.join(file, 'x')]) await assert.rejects(storeOf({ acmeCache }).prepare(), { option: 'acmeCache' })
  })
})

describe('acme: requests to a CA', () => {
  const suite = suiteScope()
  const scope = testScope()
  let url, ca, answer

  before(async function () {
    need(this, 'openssl')
    const own = makeCa(suite)
    const { cert, key } = own.issue({ names: 'IP:127.0.0.1' })
    ca = fs.readFileSync(own.cert)
    const server = https.createServer({ cert: fs.readFileSync(cert), key: fs.readFileSync(key) }, (request, response) => answer(request, response))
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    suite.defer(() => {
      server.closeAllConnections()
      server.close()
    })
    url = `https://127.0.0.1:${server.address().port}/x`
  })

  const requests = (options = {}) => {
    const one = new Requests({ ca, signal: new AbortController().signal, ...options })
    scope.defer(() => one.close())
    return one
  }
  const problem = (status, document, headers = {}) => (request, response) => {
    response.writeHead(status, { 'content-type': 'application/problem+json', ...headers })
    response.end(JSON.stringify(document))
  }

  it('tell what it refuses in its own words, bounded and escaped', async () => {
    answer = problem(403, { type: 'urn:ietf:params:acme:error:unauthorized', detail: `no\x1b[31m\n${'x'.repeat(1000)}` })
    await assert.rejects(requests().request(url, 'post', { data: {} }), (err) => {
      assert.deepStrictEqual([err.code, err.stage, err.reason, err.problem, err.retryable], ['ERR_ALKNET_ACME', 'acme', 403, 'unauthorized', false])
      assert.match(err.message, /^127\.0\.0\.1:\d+ refuses: no\?\[31m\?x+\.\.\.$/)
      return err.message.length < 400
    })
    answer = problem(429, { detail: 'later', subproblems: [{ detail: 'a' }, null, { detail: 'b' }] }, { 'retry-after': '77' })
    await assert.rejects(requests().request(url, 'get'), (err) => err.retryable && err.retryAfter === 77 && /later; a; b$/.test(err.message))
    answer = (request, response) => response.writeHead(302, { location: 'https://elsewhere.example/' }).end()
    await assert.rejects(requests().request(url, 'get'), /refuses: status 302/)
  })

  it('take no more than they can bear', async () => {
    answer = (request, response) => response.writeHead(200).end(Buffer.alloc(2000))
    await assert.rejects(requests({ limits: { bytes: 1999 } }).request(url, 'get'), { code: 'ERR_ALKNET_LIMIT', stage: 'acme' })
    assert.strictEqual((await requests({ limits: { bytes: 2000 } }).request(url, 'get')).data.length, 2000)
    answer = (request, response) => response.writeHead(200, { 'content-type': 'application/json' }).end('{')
    await assert.rejects(requests().request(url, 'get'), /not JSON/)
    answer = (request, response) => response.writeHead(502, { 'content-type': 'application/json' }).end('<html>')
    await assert.rejects(requests().request(url, 'get'), { code: 'ERR_ALKNET_ACME', reason: 502, retryable: true })
    answer = (request, response) => response.writeHead(200, { 'content-type': 'application/json' }).end()
    assert.strictEqual((await requests().request(url, 'head')).data, '')
    answer = () => {}
    await assert.rejects(requests({ limits: { ms: 1 } }).request(url, 'get'), { code: 'ERR_ALKNET_TIMEOUT', stage: 'acme' })
  })

  it('go to HTTPS alone, and to whom somebody vouches for', async () => {
    for (const other of ['http://127.0.0.1/', 'file:///etc/passwd', '', undefined]) await assert.rejects(requests().request(other, 'get'), /not https/)
    await assert.rejects(requests({ ca: undefined }).request(url, 'get'), (err) => err.code === 'ERR_ALKNET_ACME' && /^cannot reach .*certificate/.test(err.message))
  })

  it('end when nobody wants them any more', async () => {
    const controller = new AbortController()
    answer = () => controller.abort()
    await assert.rejects(requests({ signal: controller.signal }).request(url, 'get'), { code: 'ERR_ALKNET_CANCELED' })
    await assert.rejects(requests({ signal: controller.signal }).request(url, 'get'), { code: 'ERR_ALKNET_CANCELED' })
  })

  it('leave a bad nonce to who has to try again', async () => {
    answer = problem(400, { type: 'urn:ietf:params:acme:error:badNonce' }, { 'replay-nonce': 'n' })
    const { status, headers } = await requests().request(url, 'post', { data: {} })
    assert.deepStrictEqual([status, headers['replay-nonce']], [400, 'n'])
  })
})

describe('acme: a CA that answers as it likes', () => {
  const suite = suiteScope()
  const scope = testScope()
  const names = ['a.example', '192.0.2.1']
  let own, base, answers

  before(async function () {
    needAlknet(this)
    need(this, 'openssl')
    own = makeCa(suite)
    const { cert, key } = own.issue({ names: 'IP:127.0.0.1' })
    const server = https.createServer({ cert: fs.readFileSync(cert), key: fs.readFileSync(key) }, (request, response) => {
      const [status, body, headers = {}] = answers[request.url.slice(1)] ?? [404, {}]
      response.writeHead(status, { 'content-type': 'application/json', 'replay-nonce': 'bm9uY2U', ...headers })
      response.end(request.method === 'HEAD' ? undefined : typeof body === 'string' ? body : JSON.stringify(body))
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    suite.defer(() => {
      server.closeAllConnections()
      server.close()
    })
    base = `https://127.0.0.1:${server.address().port}/`
  })

  const TOKEN = 'AAAAAAAAAAAAAAAAAAAAAA'

  /** What it takes to get as far as a certificate; changes: those answers that are others. */
  async function obtain (changes, pem = '') {
    const challenge = { type: 'http-01', url: `${base}challenge`, token: TOKEN, status: 'pending' }
    const authorization = (value, status) => ({ identifier: { type: 'dns', value }, status, challenges: [challenge] })
    const order = { status: 'ready', authorizations: [`${base}first`, `${base}second`], finalize: `${base}finalize`, certificate: `${base}certificate` }
    answers = {
      directory: [200, { newNonce: `${base}nonce`, newAccount: `${base}account`, newOrder: `${base}new`, meta: { profiles: { shortlived: '' } } }],
      nonce: [200, ''],
      account: [201, { status: 'valid' }, { location: `${base}account/1` }],
      new: [201, { ...order, status: 'pending' }, { location: `${base}order` }],
      first: [200, authorization('a.example', 'valid')],
      second: [200, authorization('192.0.2.1', 'valid')],
      challenge: [200, challenge],
      order: [200, order],
      finalize: [200, { ...order, status: 'valid' }],
      certificate: [200, pem, { 'content-type': 'application/pem-certificate-chain' }],
      ...changes({ authorization, order, challenge })
    }
    const options = { acmeDirectory: `${base}directory`, acmeDomain: names, acmeContact: [], acmeChallenge: 'http-01', acmeCache: scope.dir() }
    const store = new Store(options)
    await store.prepare()
    const shown = []
    const challenges = {
      show: async ({ token }) => {
        shown.push(token)
        return () => { shown.pop() }
      }
    }
    const authority = new Authority({ options, ca: fs.readFileSync(own.cert), hmac: null, store, poll: { firstMs: 1, maxMs: 2, patienceMs: 20 } })
    try {
      return await authority.obtain(challenges, new AbortController().signal)
    } finally {
      assert.deepStrictEqual(shown, [], 'a proof that nobody has taken away')
    }
  }

  const refuses = (words, changes, pem) => assert.rejects(obtain(changes, pem),
    (err) => err.stage === 'acme' && words.test(err.message) ? true : assert.fail(err))

  it('gets as far as that', async () => {
    const { cert } = issue(scope, own, { names: 'DNS:a.example,IP:192.0.2.1' })
    const pair = await obtain(() => ({}), fs.readFileSync(cert, 'utf8'))
    assert.match(pair.key, /PRIVATE KEY/)
  })

  it('issues for whom nobody asked', async () => {
    const { cert } = issue(scope, own, { names: 'DNS:a.example' })
    await refuses(/a certificate that is not for 192\.0\.2\.1/, () => ({}), fs.readFileSync(cert, 'utf8'))
    await refuses(/./, () => ({}), 'no certificate')
  })

  it('wants something else proven', async () => {
    const many = Array.from({ length: 3 }, () => `${base}first`)
    for (const authorizations of [many, null, 'x']) await refuses(/something else than 2 names/, ({ order }) => ({ new: [201, { ...order, authorizations }, { location: `${base}order` }] }))
    await refuses(/asks for b\.example/, ({ authorization }) => ({ first: [200, authorization('b.example', 'pending')] }))
    await refuses(/./, ({ authorization }) => ({ first: [200, authorization(7, 'pending')] }))
    await refuses(/./, ({ authorization }) => ({ first: [200, { ...authorization('a.example', 'pending'), challenges: 'x' }] }))
    await refuses(/offers no http-01/, ({ authorization }) => ({ first: [200, { ...authorization('a.example', 'pending'), challenges: [] }] }))
    for (const token of ['short', `${TOKEN}/../x`, undefined, 'x'.repeat(1000)]) {
      await refuses(/token/, ({ authorization, challenge }) => ({ first: [200, { ...authorization('a.example', 'pending'), challenges: [{ ...challenge, token }] }] }))
    }
  })

  it('comes to no end, or to a bad one', async () => {
    await refuses(/not come to an end/, ({ authorization }) => ({ first: [200, authorization('a.example', 'pending')] }))
    await refuses(/not believe that a\.example is this server's: no\?\[2J \(dns\)$/, ({ authorization, challenge }) => ({
      first: [200, { ...authorization('a.example', 'invalid'), challenges: [{ ...challenge, status: 'invalid', error: { type: 'urn:ietf:params:acme:error:dns', detail: 'no\x1b[2J' } }] }]
    }))
    await refuses(/the order is invalid/, ({ order }) => ({ order: [200, { ...order, status: 'invalid' }] }))
    await refuses(/issues no certificate: so it is/, ({ order }) => ({ finalize: [200, { ...order, status: 'invalid', error: { detail: 'so it is' } }] }))
    await refuses(/not https/, ({ order }) => ({ finalize: [200, { ...order, status: 'valid', certificate: 'file:///etc/passwd' }] }))
    await refuses(/status 404/, () => ({ directory: undefined }))
    await refuses(/./, () => ({ directory: [200, 'null'] }))
    await refuses(/refuses: you are nobody \(unauthorized\)/, () => ({ account: [401, { type: 'urn:ietf:params:acme:error:unauthorized', detail: 'you are nobody' }] }))
  })
})

describe('acme: a certificate that is kept valid', () => {
  const suite = suiteScope()
  let ca

  before(function () {
    needAlknet(this)
    need(this, 'openssl')
    ca = makeCa(suite)
  })

  const pairOf = (days) => {
    const { cert, key } = issue(suite, ca, { names: 'DNS:a.example', days })
    return { cert: fs.readFileSync(cert, 'utf8'), key: fs.readFileSync(key, 'utf8') }
  }
  const makeContext = (pair, alpn) => pair === null ? bareContext() : contextOf(Buffer.from(pair.cert), Buffer.from(pair.key), null, alpn)

  /** An Acme whose CA says what obtain says, and whose clock only goes when it is told to. */
  async function manager ({ pair = null, early, obtain, store = {}, now = Date.now(), onContext = () => {} } = {}) {
    const timers = []
    const lines = []
    const log = Object.fromEntries(['info', 'warn', 'error'].map((level) => [level, (event, fields) => lines.push([level, event, fields])]))
    const its = { writes: [], asked: 0, lines, timers, shown: 0 }
    its.acme = new Acme({
      pair,
      early,
      makeContext,
      authority: {
        obtain: async (challenges, signal) => {
          its.asked++
          return obtain(its.asked, signal)
        }
      },
      store: { writeCertificate: async (pair) => { its.writes.push(pair) }, readCertificate: async () => null, ...store },
      challenges: {},
      log,
      random: () => 0,
      clock: {
        now: () => now,
        start: (ms, fn) => {
          const timer = { at: now + ms, fn }
          timers.push(timer)
          return timer
        },
        stop: (timer) => {
          const at = timers.indexOf(timer)
          if (at >= 0) timers.splice(at, 1)
        }
      }
    })
    // Goes to the next timer; gives how long that was.
    its.go = async () => {
      assert.strictEqual(timers.length, 1, 'one timer at a time')
      const [{ at, fn }] = timers.splice(0)
      const waited = at - now
      now = at
      fn()
      await its.acme._attempt?.catch(() => {})
      // What follows an attempt does so in a turn of its own.
      await new Promise((resolve) => setImmediate(resolve))
      return waited
    }
    its.untilAsked = async () => {
      const before = its.asked
      let waited = 0
      while (its.asked === before) waited += await its.go()
      return waited
    }
    its.now = () => now
    /** Somebody sets the clock. */
    its.set = (ms) => {
      for (const timer of timers) timer.at += ms - now
      now = ms
    }
    its.start = () => its.acme.start({
      onContext: () => {
        its.shown++
        return onContext()
      },
      count: () => {}
    })
    return its
  }

  const refused = (extra) => { throw Object.assign(fail('ACME', 'acme', 'no', { reason: 500 }), extra) }

  it('is asked for at once where there is none, and then at two thirds', async () => {
    const pair = pairOf(90)
    const its = await manager({ obtain: () => pair })
    its.start()
    assert.deepStrictEqual(its.lines[0].slice(0, 2), ['warn', 'no certificate yet: tls handshakes are refused'])
    assert.strictEqual(await its.untilAsked(), 0)
    assert.deepStrictEqual([its.shown, its.writes.length, its.acme.problem], [1, 1, null])
    const { span } = its.acme.certificate
    const due = its.acme.dueAt.getTime()
    assert(Math.abs(due - (span.from + 60 * DAY)) < DAY)
    // Timers of Node go to 24 days; and a clock may be set.
    const steps = []
    while (its.asked === 1) steps.push(await its.go())
    assert(steps.every((ms) => ms <= HOUR))
    assert.strictEqual(its.now(), due)
    its.acme.close()
    assert.deepStrictEqual(its.timers, [])
  })

  it('is not asked for again and again where it is old when it comes', async () => {
    const its = await manager({ pair: pairOf(90), obtain: () => kept })
    const kept = pairOf(90)
    its.start()
    await its.untilAsked() // at two thirds of its life, and the next one is that old at once
    for (let i = 0; i < 3; i++) assert.strictEqual(await its.untilAsked(), 6 * HOUR)
    assert.deepStrictEqual(its.lines.map(([, event]) => event), Array(4).fill('certificate issued'))
    its.acme.close()
  })

  it('stays when there is no other, and tries become rare', async () => {
    const its = await manager({ pair: pairOf(90), obtain: () => refused() })
    const context = await its.acme.contextFor({})
    its.start()
    await its.untilAsked()
    const waits = []
    for (let i = 0; i < 12; i++) waits.push(await its.untilAsked() / MINUTE)
    assert.deepStrictEqual(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 360, 360, 360])
    assert.strictEqual(its.acme.shownAt({}), context)
    assert.strictEqual(its.shown, 0)
    assert.deepStrictEqual(its.lines[0], ['warn', 'no certificate issued', { error: 'ERR_ALKNET_ACME', problem: 'no', delay: 60 }])
    its.acme.close()
  })

  it('is an error once it has expired, and is shown still', async () => {
    const its = await manager({ pair: pairOf(1), obtain: () => refused() })
    const context = await its.acme.contextFor({})
    its.start()
    while (its.now() <= its.acme.certificate.expires.getTime()) await its.untilAsked()
    assert.strictEqual(its.lines.at(-1)[0], 'error')
    assert(its.lines.filter(([level]) => level === 'warn').length >= 15)
    assert.strictEqual(its.acme.shownAt({}), context)
    its.acme.close()
  })

  it('waits as long as the CA says', async () => {
    const its = await manager({ obtain: () => refused({ retryAfter: 3600 }) })
    its.start()
    await its.untilAsked()
    assert.strictEqual(await its.untilAsked(), HOUR)
    its.acme.close()
  })

  it('is shown also when it cannot be kept, or refused when it is for another key', async () => {
    const [good, other] = [pairOf(90), pairOf(90)]
    const full = async () => { throw Object.assign(new Error('full'), { code: 'ENOSPC' }) }
    const its = await manager({ store: { writeCertificate: full }, obtain: (n) => n === 1 ? { cert: good.cert, key: other.key } : good })
    its.start()
    await its.untilAsked()
    assert.strictEqual(its.shown, 0)
    assert.deepStrictEqual(its.lines.at(-1).slice(0, 2), ['error', 'no certificate issued'])
    await its.untilAsked()
    assert.strictEqual(its.shown, 1)
    assert.deepStrictEqual(its.lines.map(([, event]) => event).slice(-2), ['certificate not kept', 'certificate issued'])
    its.acme.close()
  })

  it('is shown with the protocols of each place', async () => {
    const pair = pairOf(90)
    const its = await manager({ obtain: () => pair })
    const places = [{}, { tlsAlpn: 'h2' }]
    for (const place of places) assert(isBare(await its.acme.contextFor(place)))
    await its.acme.renew()
    const shown = places.map((place) => its.acme.shownAt(place))
    assert.deepStrictEqual(shown.map(isBare), [false, false])
    assert.notStrictEqual(shown[0], shown[1])
    assert.strictEqual(await its.acme.contextFor({ tlsAlpn: 'h2' }), shown[1])
    assert(await its.acme.contextFor({ tlsAlpn: 'http/1.1' }))
    its.acme.close()
  })

  it('is shown, too, with protocols that came while it was being kept', async () => {
    const [old, fresh] = [pairOf(90), pairOf(90)]
    const place = { tlsAlpn: 'h2' }
    let before
    const its = await manager({ pair: old, obtain: () => fresh, store: { writeCertificate: async () => { before = await its.acme.contextFor(place) } } })
    await its.acme.renew()
    const after = its.acme.shownAt(place)
    assert(before !== undefined && after !== undefined)
    assert.notStrictEqual(after, before)
    its.acme.close()
  })

  it('is asked for once, however many want it', async () => {
    const pair = pairOf(90)
    let resolve
    const its = await manager({ obtain: () => new Promise((_resolve) => { resolve = _resolve }) })
    const all = [its.acme.renew(), its.acme.renew()]
    await new Promise((resolve) => setImmediate(resolve))
    resolve(pair)
    await Promise.all(all)
    assert.deepStrictEqual([its.asked, its.shown, its.timers.length], [1, 0, 1])
    its.acme.close()
  })

  it('ends with its server, without a word', async () => {
    const its = await manager({ obtain: (n, signal) => new Promise((resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason))) })
    const asked = its.acme.renew()
    await new Promise((resolve) => setImmediate(resolve))
    its.acme.close()
    await assert.rejects(asked, { code: 'ERR_ALKNET_CLOSED' })
    assert.deepStrictEqual([its.lines, its.timers], [[], []])
    await assert.rejects(its.acme.renew(), { code: 'ERR_ALKNET_CLOSED' })
  })

  it('is tried again at once by a reload, or taken from the cache', async () => {
    let kept = null
    const its = await manager({ pair: pairOf(90), obtain: () => refused(), store: { readCertificate: async () => kept } })
    const context = await its.acme.contextFor({})
    its.start()
    await its.acme.refresh() // it was removed
    assert.strictEqual(await its.untilAsked(), 0)
    kept = pairOf(90)
    await its.acme.refresh()
    assert.strictEqual(its.shown, 1)
    assert.notStrictEqual(its.acme.shownAt({}), context)
    const asked = its.asked
    assert.strictEqual(its.acme.problem, null)
    await its.acme.refresh() // nothing is wrong
    assert(its.acme.dueAt.getTime() > its.now() + DAY)
    assert.strictEqual(its.asked, asked)
    its.acme.close()
  })

  const denied = async () => { throw systemError(Object.assign(new Error('no'), { code: 'EACCES', errno: -13 }), 'key', 'cannot read x: permission denied') }

  it('stays, and no other is asked for, when what is kept cannot be read', async () => {
    const its = await manager({ pair: pairOf(90), obtain: () => refused(), store: { readCertificate: denied } })
    const context = await its.acme.contextFor({})
    its.start()
    const due = its.acme.dueAt.getTime()
    await its.acme.refresh()
    assert.deepStrictEqual(its.lines, [['error', 'kept certificate not read', { error: 'EACCES', problem: 'cannot read x: permission denied' }]])
    assert.deepStrictEqual([its.acme.dueAt.getTime(), its.timers.length, its.shown], [due, 1, 0])
    assert.strictEqual(its.acme.shownAt({}), context)
    its.acme.close()
  })

  it('is not asked for sooner, for what cannot be read, when the last try has failed', async () => {
    const its = await manager({ obtain: () => refused(), store: { readCertificate: denied } })
    its.start()
    await its.untilAsked()
    await its.acme.refresh()
    assert.strictEqual(await its.untilAsked(), MINUTE)
    its.acme.close()
  })

  it('is not asked for at the start, for what is kept and cannot be read', async () => {
    const options = { acmeCache: suite.dir(), acmeDirectory: 'https://ca.example/directory', acmeDomain: ['a.example'], acmeChallenge: 'tls-alpn-01', acmeCa: [] }
    const store = new Store(options)
    await store.prepare()
    fs.mkdirSync(store.file)
    const log = { warn: assert.fail }
    await assert.rejects(openAcme(options, { contexts: () => [], log }), (err) => {
      assert.deepStrictEqual([err.code, err.option], ['ERR_ALKNET_OPTION', 'acmeCache'])
      return /cannot read .*: it is a directory$/.test(err.message)
    })
  })

  it('waits for a clock that was never set, and says so once', async () => {
    const its = await manager({ now: 3000, obtain: () => pairOf(90) })
    its.start()
    assert.strictEqual(await its.go(), 0)
    for (let i = 0; i < 5; i++) assert.strictEqual(await its.go(), 10_000)
    assert.deepStrictEqual(its.lines.map(([level, event]) => [level, event]), [
      ['warn', 'no certificate yet: tls handshakes are refused'], ['error', 'no certificate asked for: the clock is wrong']
    ])
    assert.deepStrictEqual(its.lines[1][2], { clock: '1970-01-01T00:00:03.000Z', earliest: '2025-01-01T00:00:00.000Z' })
    await assert.rejects(its.acme.renew(), { code: 'ERR_ALKNET_ACME', message: /the clock of this machine is wrong: it says 1970-01-01T/ })
    assert.strictEqual(its.asked, 0)
    its.set(Date.now())
    await its.untilAsked()
    assert.strictEqual(its.shown, 1)
    its.acme.close()
  })

  it('is shown as soon as the clock says that it is valid, and none is asked for before', async () => {
    const early = pairOf(90)
    const from = describeCertificate(early.cert).span.from
    const its = await manager({ now: from - 30 * DAY, early, obtain: () => refused() })
    assert(isBare(await its.acme.contextFor({})))
    its.start()
    for (let i = 0; i < 5; i++) await its.go()
    assert.deepStrictEqual(its.lines[1], ['error', 'no certificate asked for: the clock is wrong',
      { clock: new Date(from - 30 * DAY).toISOString(), earliest: new Date(from).toISOString() }])
    await its.acme.refresh() // nothing is kept in this test's cache: it is not asked for all the same
    await its.go()
    assert.strictEqual(its.shown, 0)
    its.set(from)
    await its.go()
    while (its.timers.length === 0) await new Promise((resolve) => setImmediate(resolve))
    assert.deepStrictEqual([its.asked, its.shown], [0, 1])
    assert.strictEqual(its.acme.certificate.span.from, from)
    assert(its.acme.dueAt.getTime() > from + 59 * DAY)
    its.acme.close()
  })

  it('is not replaced by one that is kept and not valid yet, nor is another asked for', async () => {
    const [pair, kept] = [pairOf(90), pairOf(90)]
    const from = describeCertificate(pair.cert).span.from
    const its = await manager({ pair, now: from - DAY, obtain: () => refused(), store: { readCertificate: async () => kept } })
    its.start()
    const due = its.acme.dueAt.getTime()
    await its.acme.refresh()
    assert.deepStrictEqual([its.acme.dueAt.getTime(), its.shown, its.asked], [due, 0, 0])
    its.acme.close()
  })

  it('is kept, and shown later, when it is not valid yet by this clock', async () => {
    const pair = pairOf(90)
    const { from } = describeCertificate(pair.cert).span
    const its = await manager({ now: from - 5 * MINUTE, obtain: () => pair })
    its.start()
    await its.untilAsked()
    assert.deepStrictEqual([its.writes, its.shown], [[pair], 0])
    assert.match(its.lines.at(-1)[2].problem, /^the certificate is not valid before \S+Z, and the clock of this machine says \S+Z$/)
    while (its.now() < from) await its.go()
    while (its.timers.length === 0) await new Promise((resolve) => setImmediate(resolve))
    assert.deepStrictEqual([its.asked, its.shown], [1, 1])
    its.acme.close()
  })

  it('holds back no renewal when it cannot be shown everywhere', async () => {
    const its = await manager({ obtain: () => pairOf(90), onContext: () => new Promise(() => {}) })
    its.start()
    const asked = its.acme.renew()
    while (its.timers.length === 0) await new Promise((resolve) => setImmediate(resolve))
    assert.strictEqual(its.shown, 1)
    const [{ at, fn }] = its.timers.splice(0)
    assert.strictEqual(at - its.now(), MINUTE)
    fn()
    await asked
    assert.deepStrictEqual(its.lines.slice(1).map(([level, event]) => [level, event]), [['warn', 'certificate not shown by all threads'], ['info', 'certificate issued']])
    await new Promise((resolve) => setImmediate(resolve))
    assert.deepStrictEqual([its.timers.length, its.acme.dueAt.getTime() > its.now() + 59 * DAY], [1, true])
    its.acme.close()
  })
})
