'use strict'

/** What is logged is what docs/logs.md says, and what a peer has chosen stays in its value. */

const assert = require('assert')
const net = require('net')
const { startServer } = require('./helpers/api')
const { checkLines, parseLine, problemOfRecord } = require('./helpers/log-lines')
const { listen } = require('./helpers/net')
const { createRandom, seed } = require('./helpers/random')
const { suiteScope } = require('./helpers/scope')
const { FORMATS } = require('../lib/log')
const { plainAddress } = require('../lib/addresses')

const sorted = (set) => [...set].sort()

const PIECES = [
  '\n', '\r', '\0', '\x1b[31m', '\t', ' ', '"', "'", '\\', '\\"', '\\x0a', '\\u000a', '=', 'INFO auth attempt remote_addr=1.2.3.4', ' result=accept', '{"', '"}',
  '\x7f', '\x85', '\xa0', '\u2028', '\u2029', '\u202e', '\ufeff', '\ud800', '\udc00', '😀', 'é', 'a', 'root', '2026-03-01T12:00:00.000Z ', 'x'.repeat(300)
]

describe('a line of the log', () => {
  it('says just what was to be said, whatever a peer has chosen', () => {
    const { below, pick } = createRandom()
    for (let i = 0; i < 5000; i++) {
      const user = Array.from({ length: below(8) }, () => pick(PIECES)).join('')
      const fields = { remote_addr: '::1', remote_port: 1, user, key_fingerprint: 'SHA256:x', result: 'reject', reason: undefined }
      const told = user.length > 255 ? `${user.slice(0, 255)}...` : user
      const expected = { time: undefined, level: 'info', event: 'auth attempt', ...fields, user: told }
      delete expected.reason
      for (const format of Object.values(FORMATS)) {
        const line = format('info', 'auth attempt', fields)
        assert.match(line, /^[\x20-\x7e]+$/, `seed ${seed}`)
        assert(line.length < 2000)
        assert.deepStrictEqual(parseLine(line), expected, `seed ${seed}: ${JSON.stringify(user)}`)
      }
    }
  }).timeout(60_000)
})

describe('an address in the log', () => {
  it('has one form', () => {
    const cases = {
      '192.0.2.1': '192.0.2.1',
      '::ffff:192.0.2.1': '192.0.2.1',
      '::FFFF:C000:201': '192.0.2.1',
      '0:0:0:0:0:0:0:1': '::1',
      '2001:DB8:0000::0001': '2001:db8::1',
      '2001:db8::0:0:1': '2001:db8::1',
      'fe80::1%eth0': 'fe80::1',
      '': ''
    }
    for (const [given, told] of Object.entries(cases)) assert.strictEqual(plainAddress(given), told, given)
  })
})

describe('the reader of this test', () => {
  const attempt = { level: 'info', event: 'auth attempt', user: 'x', key_fingerprint: 'y', result: 'accept' }

  it('takes no record that docs/logs.md does not have', () => {
    assert.strictEqual(problemOfRecord(attempt), null)
    assert.match(problemOfRecord({ ...attempt, event: 'no such' }), /has no line info "no such"/)
    assert.match(problemOfRecord({ ...attempt, level: 'warn' }), /has no line warn/)
    assert.match(problemOfRecord({ ...attempt, password: 'x' }), /has no key password/)
    assert.match(problemOfRecord({ ...attempt, remote_port: '1' }), /remote_port is no number/)
    assert.match(problemOfRecord({ ...attempt, time: 'now' }), /no time/)
    assert.match(problemOfRecord({ ...attempt, user: undefined, result: 1 }), /user is no text|is missing/)
  })

  it('takes no text that is no line', () => {
    for (const line of ['INFO auth attempt user="\\q"', 'INFO auth attempt user=a\n', 'INFO auth attempt user="é"', 'auth attempt', 'INFO auth attempt user=a user=b']) {
      assert.throws(() => parseLine(line), assert.AssertionError, line)
    }
    assert.match(problemOfRecord(parseLine('INFO auth attempt user=a b')), /has no line/)
  })
})

describe('what a server and its clients log', () => {
  const scope = suiteScope()

  for (const format of ['text', 'json']) {
    it(`is what docs/logs.md says (${format})`, async () => {
      const lines = []
      const log = { level: 'debug', format, time: format === 'json', write: (line) => { lines.push(line) } }
      const target = await listen(scope, (socket) => socket.pipe(socket))
      const { server, login } = await startServer(scope, { log })
      const session = await login({ log, forward: `0:127.0.0.1:${target.port}` })
      const remote = await session.forwardRemote('127.0.0.1:0:127.0.0.1:1')
      await assert.rejects(session.forwardRemote('127.0.0.1:1:127.0.0.1:1'))
      const { port } = session.openListeners[0].address()
      await new Promise((resolve) => net.connect(port, '127.0.0.1').once('close', resolve).end())
      await assert.rejects(session.open({ host: '169.254.169.254', port: 80 }))
      server.handle('alknet-x', () => { throw new Error('of mine') })
      server.on('error', () => {})
      const stream = await session.open({ host: 'alknet-x', port: 1 })
      await new Promise((resolve) => stream.once('close', resolve).resume())
      await remote.close()
      const { privateKey } = await require('..').generateKey()
      await assert.rejects(login({ identity: privateKey, user: 'a "b"\u2028' }))
      await server.reloadForwarding({})
      await assert.rejects(server.reloadAll({ maxSessions: -1 }))
      await server.reloadAll({ listen: '127.0.0.1:1', authorizedKeys: Buffer.from('nonsense\n') })
      await session.close()
      await server.close()
      const seen = new Set(checkLines(lines).map((one) => one.event))
      for (const event of ['listening', 'connection opened', 'auth attempt', 'remote forward opened', 'remote forward refused', 'remote forward closed',
        'handler failed', 'forwarding reloaded', 'not reloaded', 'needs a new start', 'authorized_keys line ignored', 'reloaded', 'connection closed']) {
        assert(seen.has(event), `${event}: ${sorted(seen)}`)
      }
    }).timeout(60_000)
  }
})
