'use strict'

/** A server with stealth beside Debian's nginx: whoever asks both gets the same answers. */

const assert = require('node:assert')
const { startServer } = require('../helpers/api')
const { program, startNginx } = require('../helpers/nginx')
const { Probe } = require('../helpers/probe')
const { ending, get, handshakes, plain, staying } = require('../helpers/probe-table')
const { need, run } = require('../helpers/proc')
const { suiteScope } = require('../helpers/scope')
const { makeCa } = require('../helpers/tls-certs')

const SECRET = Buffer.from('a secret of this test, and no other')

// The last question of a connection that stays: after it, it does not.
const LAST = get('/last', 'Host: localhost\r\nConnection: close\r\n')

const AT_ONCE = 6

/** What can be compared of one connection. */
function seen (probe) {
  return {
    said: probe.said.toString('latin1').replace(/Date: [^\r]*/g, 'Date: now'),
    records: probe.records.map(([type, len]) => `${type}:${len}`).join(' '),
    end: probe.end
  }
}

async function ask (port, [, text, answers], { secure = {}, piece = 0, stays = false }) {
  const probe = await new Probe().open(port, secure)
  try {
    await probe.send(Buffer.from(text, 'latin1'), piece)
    if (stays) {
      await probe.hear('HTTP/1.1 ', answers ?? 1)
      await probe.hear('\r\n\r\n', answers ?? 1)
      await probe.write(LAST)
    }
    await probe.ended
    return seen(probe)
  } finally {
    probe.close()
  }
}

describe('stealth beside nginx', function () {
  this.timeout(120000)
  const suite = suiteScope()
  let id, nginx, ours

  before(async function () {
    need(this, 'openssl')
    need(this, program)
    id = makeCa(suite).issue({ names: 'DNS:localhost,IP:127.0.0.1' })
    nginx = await startNginx(suite, id)
    ours = await startStealthy()
  })

  async function startStealthy (options) {
    const { server } = await startServer(suite, {
      listen: 'tls://127.0.0.1:0', tlsCert: id.cert, tlsKey: id.key, stealth: true, stealthSecret: SECRET, ...options
    })
    return { server, port: server.address().port }
  }

  /** All rows, a few at once, of both. */
  async function compare (rows, options, where = { nginx, ours }) {
    const left = rows.slice()
    const wrong = []
    const worker = async () => {
      for (let row = left.shift(); row !== undefined; row = left.shift()) {
        const [theirs, mine] = await Promise.all([where.nginx, where.ours].map(({ port }) => ask(port, row, options)))
        try {
          assert.deepStrictEqual(mine, theirs)
        } catch (err) {
          wrong.push(`${row[0]}: ${err.message}`)
        }
      }
    }
    await Promise.all(Array.from({ length: AT_ONCE }, worker))
    assert(wrong.length === 0, `${wrong.length} of ${rows.length} are not the same:\n${wrong.join('\n')}`)
  }

  const short = (rows) => rows.filter(([, text]) => text.length < 2000)

  for (const version of ['TLSv1.2', 'TLSv1.3']) {
    const secure = { minVersion: version, maxVersion: version }
    it(`answers and stays, ${version}`, () => compare(staying, { secure, stays: true }))
    it(`answers and ends, ${version}`, () => compare(ending, { secure }))
  }

  it('answers and stays, byte by byte', () => compare(short(staying), { piece: 1, stays: true }))
  it('answers and ends, byte by byte', () => compare(short(ending), { piece: 1 }))
  it('takes long heads in pieces', async () => {
    await compare(staying.filter(([, text]) => text.length >= 8000), { piece: 1000, stays: true })
    await compare(ending.filter(([, text]) => text.length >= 8000), { piece: 1000 })
  })
  it('answers who speaks no TLS', () => compare(plain, { secure: null }))
  it('answers who speaks no TLS, byte by byte', () => compare(plain, { secure: null, piece: 1 }))

  it('ends a connection at the same request', async () => {
    const MANY = 1000 // keepalive_requests
    const answers = ({ said }) => said.split('HTTP/1.1 404 ').length - 1
    const oneByOne = async (port) => {
      const probe = await new Probe().open(port, {})
      for (let i = 1; i <= MANY; i++) {
        await probe.write(Buffer.from(get()))
        await probe.hear('</html>', i)
      }
      await probe.ended
      probe.close()
      return seen(probe)
    }
    const atOnce = (port) => ask(port, ['', get().repeat(MANY + 2)], {})
    for (const all of [atOnce, oneByOne]) {
      const [theirs, mine] = await Promise.all([nginx, ours].map(({ port }) => all(port)))
      assert.deepStrictEqual([answers(theirs), answers(mine)], [MANY, MANY])
      // Not assert's own comparison, which would spell out the difference of 300 KB.
      for (const what of ['said', 'records', 'end']) assert(mine[what] === theirs[what], `${what} is another: ${mine[what].slice(-400)}\nnginx: ${theirs[what].slice(-400)}`)
    }
  })

  describe('with short limits', () => {
    const SECONDS = 2
    let quick

    before(async () => {
      quick = {
        nginx: await startNginx(suite, id, { headSeconds: SECONDS, idleSeconds: SECONDS }),
        ours: await startStealthy({ stealthHeadTimeout: SECONDS, stealthIdleTimeout: SECONDS })
      }
    })

    it('has the alerts of TLS', () => compare(handshakes, { secure: null }, quick))
    // A byte that comes when nginx has closed is answered by a reset, or is not: it is a matter of chance.
    const decided = handshakes.map(([name, text, enough]) => [name, text.slice(0, enough)])
    it('has the alerts of TLS, byte by byte', () => compare(decided, { secure: null, piece: 1 }, quick))

    /** What both do with a client that does this, and when they end it. */
    async function bothEnd (act, secure) {
      return Promise.all([quick.nginx, quick.ours].map(async ({ port }) => {
        const probe = await new Probe().open(port, secure)
        await act(probe)
        const since = performance.now()
        await probe.ended
        probe.close()
        return { ...seen(probe), ms: performance.now() - since }
      }))
    }

    const text = (bytes) => (probe) => probe.write(Buffer.from(bytes, 'latin1'))
    const slow = [
      ['silence', () => {}],
      ['half of a request line', text('GET / HT')],
      ['half of a head', text('GET / HTTP/1.1\r\nHost: localhost\r\n')],
      ['a dribble', async (probe) => { for (const byte of 'GET / HTTP/1.1\r\n') await probe.write(byte) }],
      ['half of a greeting', text(`GET /${'a'.repeat(43)} HTTP/1`)],
      ['silence behind an answer', async (probe) => {
        await text(get())(probe)
        await probe.hear('</html>')
      }],
      ['half of a second request', async (probe) => {
        await text(get())(probe)
        await probe.hear('</html>')
        await text('GET /')(probe)
      }]
    ]

    for (const [name, secure] of [['TLS', {}], ['no TLS', null]]) {
      it(`ends a client that takes too long as late and in the same way, ${name}`, async () => {
        const wrong = []
        await Promise.all(slow.map(async ([what, act]) => {
          const [{ ms: their, ...theirs }, { ms: our, ...mine }] = await bothEnd(act, secure)
          assert.deepStrictEqual(mine, theirs, what)
          // Both have their timers' own steps; and the machine others to serve.
          if (Math.abs(our - their) > Math.max(their / 10, 500)) wrong.push(`${what}: ${our} ms, nginx ${their} ms`)
        }))
        assert.deepStrictEqual(wrong, [])
      })
    }

    const ends = [
      ['FIN', (probe) => probe.cut()],
      ['close_notify', (probe) => probe.finish()],
      ['FIN in a head', async (probe) => { await text('GET / HTTP/1.1\r\n')(probe); probe.cut() }],
      ['close_notify in a head', async (probe) => { await text('GET / HTTP/1.1\r\n')(probe); probe.finish() }],
      ['FIN in half a method', async (probe) => { await text('GE')(probe); probe.cut() }],
      ['FIN behind a question', async (probe) => { await text(get())(probe); probe.cut() }],
      ['close_notify behind an answer', async (probe) => { await text(get())(probe); await probe.hear('</html>'); probe.finish() }],
      ['FIN in a body', async (probe) => { await text('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\na')(probe); await probe.hear('</html>'); probe.cut() }],
      ['the rest of a body, later', async (probe) => {
        await text('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\na')(probe)
        await probe.hear('</html>')
        await text(`bcdefghi${LAST}`)(probe)
      }]
    ]

    it('ends with a client that ends', async () => {
      for (const secure of [{}, { maxVersion: 'TLSv1.2' }]) {
        await Promise.all(ends.map(async ([what, act]) => {
          const [{ ms: _, ...theirs }, { ms: __, ...mine }] = await bothEnd(act, secure)
          assert.deepStrictEqual(mine, theirs, what)
        }))
      }
    })
  })

  describe('when it sends somebody away', () => {
    const PLACES = 16
    const say = (bytes) => (probe) => probe.write(Buffer.from(bytes, 'latin1'))
    const hear = async (probe) => {
      await say(get())(probe)
      await probe.hear('</html>')
    }
    const old = { maxVersion: 'TLSv1.2' }
    const waitedFor = [
      ['before TLS', null, () => {}],
      ['behind the handshake', {}, () => {}],
      ['behind the handshake, TLS 1.2', old, () => {}],
      ['behind an answer', {}, hear],
      ['behind an answer, TLS 1.2', old, hear]
    ]
    const begun = [
      ['before TLS', null, () => {}],
      ['in the handshake', null, say('\x16\x03\x01\x00\x20')],
      ['in a request', {}, say('GET / HT')],
      ['in a request, TLS 1.2', old, say('GET / HT')],
      ['in a head', {}, say('GET / HTTP/1.1\r\nHost: a\r\n')],
      ['in a body', {}, say('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\na')],
      ['in a request without TLS', null, say('GET / HT')]
    ]

    async function come (port, rows) {
      const probes = []
      for (const [, secure, act] of rows) {
        const probe = await new Probe().open(port, secure)
        await act(probe)
        probes.push(probe)
      }
      return probes
    }

    /** How each of them sees it end, once end() was called. */
    async function gone (port, rows, end) {
      const probes = await come(port, rows)
      // Who has answered this has heard what was said before.
      await ask(port, ['a path', LAST], {})
      await end()
      await Promise.all(probes.map(({ ended }) => ended))
      for (const one of probes) one.close()
      return probes.map(seen)
    }

    it('makes room in the same way', async () => {
      const small = [await startNginx(suite, id, { connections: PLACES }), await startStealthy({ maxVisitors: PLACES })]
      for (const row of waitedFor) {
        const [theirs, mine] = await Promise.all(small.map(async ({ port }) => {
          const crowd = []
          const [seenOne] = await gone(port, [row], async () => {
            for (let i = 0; i < 2 * PLACES; i++) crowd.push(await new Probe().open(port, null))
          })
          for (const one of crowd) one.close()
          return seenOne
        }))
        assert.deepStrictEqual(mine, theirs, row[0])
      }
    })

    /** The same rows of both, which end: nginx by a signal. */
    async function bothEnd (rows, signal, options) {
      const nginx = await startNginx(suite, id, options)
      const ours = await startStealthy()
      const [theirs, mine] = await Promise.all([
        gone(nginx.port, rows, () => nginx.proc.kill(signal)),
        gone(ours.port, rows, () => ours.server.close())
      ])
      for (const [i, [what]] of rows.entries()) assert.deepStrictEqual(mine[i], theirs[i], what)
    }

    it('ends itself in the same way, before whom it waits for', () => bothEnd(waitedFor.slice(3), 'SIGQUIT', { hasWorker: true }))
    it('ends itself in the same way, before who has begun', () => bothEnd(begun, 'SIGTERM', {}))
  })

  describe('as a scanner sees it', () => {
    const OLD = { ciphers: 'ALL:@SECLEVEL=0' }
    const hellos = [
      ['nothing special', {}],
      ['ALPN h2 and http/1.1', { ALPNProtocols: ['h2', 'http/1.1'] }],
      ['ALPN http/1.0', { ALPNProtocols: ['http/1.0'] }],
      ['ALPN h2 alone', { ALPNProtocols: ['h2'] }],
      ['ALPN of nobody', { ALPNProtocols: ['x'] }],
      ['ALPN acme-tls/1', { ALPNProtocols: ['acme-tls/1'] }],
      ['no name', { servername: '' }],
      ['the name of somebody else', { servername: 'example.org' }],
      ['TLS 1.0', { ...OLD, minVersion: 'TLSv1', maxVersion: 'TLSv1' }],
      ['TLS 1.1', { ...OLD, minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1' }],
      ['TLS 1.2', { maxVersion: 'TLSv1.2' }],
      ['TLS 1.2, no name', { maxVersion: 'TLSv1.2', servername: '' }],
      ['TLS 1.2, all ciphers', { ...OLD, maxVersion: 'TLSv1.2' }],
      ['TLS 1.2, ChaCha first', { maxVersion: 'TLSv1.2', ciphers: 'ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES128-GCM-SHA256' }],
      ['TLS 1.2, CBC', { maxVersion: 'TLSv1.2', ciphers: 'ECDHE-ECDSA-AES128-SHA' }],
      ['TLS 1.2, no cipher in common', { maxVersion: 'TLSv1.2', ciphers: 'AES128-SHA' }],
      ['TLS 1.3, ChaCha first', { ciphers: 'TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256' }],
      ['TLS 1.3, AES-128 alone', { ciphers: 'TLS_AES_128_GCM_SHA256' }],
      ['X448', { ecdhCurve: 'X448' }],
      ['P-521', { ecdhCurve: 'P-521' }],
      ['P-384, TLS 1.2', { ecdhCurve: 'P-384', maxVersion: 'TLSv1.2' }],
      ['a group that is not there', { ecdhCurve: 'brainpoolP256r1', maxVersion: 'TLSv1.2' }]
    ]

    /** What a handshake comes to. The signature in it has not always the same length. */
    async function shake (port, options) {
      const probe = new Probe()
      try {
        await probe.open(port, options)
      } catch (err) {
        return { error: err.code, records: probe.all.map(([type, length]) => `${type}:${length}`).join(' ') }
      } finally {
        probe.close()
      }
      const { cipher, alpn, group, version } = probe.agreed
      return { cipher, alpn, group, version, records: probe.all.map(([type]) => type).join(' ') }
    }

    it('agrees to the same, and refuses in the same words', async () => {
      for (const [name, options] of hellos) {
        const [theirs, mine] = await Promise.all([nginx, ours].map(({ port }) => shake(port, options)))
        assert.deepStrictEqual(mine, theirs, name)
      }
    })

    const withoutPlace = (output, port) => output.replaceAll(String(port), 'PORT')

    it('is the same to sslscan', async function () {
      need(this, 'sslscan')
      const [theirs, mine] = await Promise.all([nginx, ours].map(async ({ port }) => {
        const { code, stdout } = await run(suite, 'sslscan', ['--no-colour', '--show-certificate', `127.0.0.1:${port}`])
        assert.strictEqual(code, 0, stdout)
        return withoutPlace(stdout, port)
      }))
      assert.match(theirs, /Preferred TLSv1\.3/)
      assert.strictEqual(mine, theirs)
    })

    it('is the same to nmap', async function () {
      need(this, 'nmap')
      const { code, stdout } = await run(suite, 'nmap', ['-Pn', '-n', '-sT', '-sV', '-T5', '--script', 'ssl-enum-ciphers,tls-alpn,http-server-header,ssl-date,http-title',
        '-p', `${nginx.port},${ours.port}`, '127.0.0.1'])
      assert.strictEqual(code, 0, stdout)
      // What the scripts have found stands in the order in which they were done.
      const sorted = (part) => part.split(/\n\|[ _](?=\S)/).sort().join('\n')
      const parts = stdout.split(/^(?=\d+\/tcp)/m).slice(1).map((part) => part.replace(/\n\n[^]*|\nService detection[^]*/, ''))
      const [theirs, mine] = [nginx, ours].map(({ port }) => sorted(withoutPlace(parts.find((one) => one.startsWith(`${port}/`)).trimEnd(), port)))
      assert.match(theirs, /nginx 1\.22\.1/)
      assert.strictEqual(mine, theirs)
    })
  })
})
