'use strict'

const assert = require('assert')
const { createLogger } = require('../lib/log')

function lines (options, use) {
  const out = []
  use(createLogger({ ...options, write: (line) => out.push(line) }))
  return out
}

const ATTEMPT = {
  remote_addr: '203.0.113.50',
  remote_port: 51234,
  user: 'root',
  key_fingerprint: 'SHA256:abc+/',
  result: 'reject',
  reason: 'unknown_key'
}

describe('log', () => {
  it('writes the lines of the specification', () => {
    assert.deepStrictEqual(lines({}, (log) => {
      log.info('auth attempt', ATTEMPT)
      log.info('connection closed', { remote_addr: '::1', remote_port: 1, transport: 'tcp', duration: 12.345, reason: undefined })
    }), [
      'INFO auth attempt remote_addr=203.0.113.50 remote_port=51234 user=root key_fingerprint=SHA256:abc+/ result=reject reason=unknown_key',
      'INFO connection closed remote_addr=::1 remote_port=1 transport=tcp duration=12.345'
    ])
  })

  it('writes JSON with the same keys', () => {
    const [line] = lines({ format: 'json' }, (log) => log.info('auth attempt', ATTEMPT))
    assert.deepStrictEqual(JSON.parse(line), { level: 'info', event: 'auth attempt', ...ATTEMPT })
  })

  const hostile = [
    'x\nINFO auth attempt remote_addr=198.51.100.1 result=reject',
    'x remote_addr=198.51.100.1', 'a"b', 'a\\', '\\"', '\x1b[2J', 'a\rb', 'a\x7f', 'a\u0085b', 'a\u2028b', '\u202eb', '', '=', 'Zoë', '\ud800'
  ]

  it('keeps what a peer chose inside of its value', () => {
    for (const user of hostile) {
      const [text] = lines({}, (log) => log.info('auth attempt', { remote_addr: '1.2.3.4', user, result: 'reject' }))
      assert.match(text, /^INFO auth attempt remote_addr=1\.2\.3\.4 user="([ !#-[\]-~]|\\["\\]|\\x[0-9a-f]{2}|\\u[0-9a-f]{4})*" result=reject$/, JSON.stringify(user))
      const [json] = lines({ format: 'json' }, (log) => log.info('auth attempt', { remote_addr: '1.2.3.4', user, result: 'reject' }))
      assert.match(json, /^[\x20-\x7e]+$/)
      assert.deepStrictEqual(JSON.parse(json), { level: 'info', event: 'auth attempt', remote_addr: '1.2.3.4', user, result: 'reject' })
    }
  })

  it('cuts what is too long', () => {
    const [text] = lines({}, (log) => log.info('auth attempt', { user: '\n'.repeat(100000) }))
    assert(text.length < 1100)
  })

  it('begins with the time where that is wanted', () => {
    const [text] = lines({ time: true }, (log) => log.info('auth attempt', ATTEMPT))
    assert.match(text, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z INFO auth attempt remote_addr=203/)
    const [json] = lines({ time: true, format: 'json' }, (log) => log.info('auth attempt', ATTEMPT))
    assert.match(json, /^\{"time":"\d{4}-[^"]*Z","level":"info","event":"auth attempt",/)
  })

  it('counts the lines that were not taken, and says it where they are missing', () => {
    const out = []
    let room = 1
    const log = createLogger({ write: (line) => room-- > 0 ? out.push(line) : 'dropped' })
    for (const event of ['a', 'b', 'c']) log.info(event)
    room = 1
    log.info('d') // there is room for the count alone
    room = 2
    log.info('e')
    assert.deepStrictEqual(out, ['INFO a', 'WARN log lines dropped count=2', 'WARN log lines dropped count=1', 'INFO e'])
  })

  it('takes the false of a stream, which has taken the line, for nothing else', () => {
    const out = []
    const log = createLogger({ write: (line) => { out.push(line); return false } })
    for (const event of ['a', 'b']) log.info(event)
    assert.deepStrictEqual(out, ['INFO a', 'INFO b'])
  })

  it('leaves out what is below its level', () => {
    const all = (log) => ['error', 'warn', 'info', 'debug'].forEach((level) => log[level](level))
    assert.deepStrictEqual(lines({ level: 'warn' }, all), ['ERROR error', 'WARN warn'])
    assert.strictEqual(lines({ level: 'debug' }, all).length, 4)
    assert.strictEqual(lines({}, all).length, 3)
  })
})
