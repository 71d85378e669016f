'use strict'

/** A server with stealth beside Debian's nginx: whoever asks both gets the same answers. */

const assert = require('node:assert')
const { startServer } = require('../helpers/api')
const { program, startNginx } = require('../helpers/nginx')
const { Probe } = require('../helpers/probe')
const { ending, get, handshakes, plain, staying } = require('../helpers/probe-table')
const { need } = require('../helpers/proc')
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
  it('has the alerts of TLS', () => compare(handshakes, { secure: null }))
  it('has the alerts of TLS, byte by byte', () => compare(handshakes, { secure: null, piece: 1 }))
})
