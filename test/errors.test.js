'use strict'

const assert = require('assert')
const { AlknetError, canceled, fail, nativeError, optionError, systemError, systemText } = require('../lib/errors')

describe('errors', () => {
  it('carry the code of the system where there is one', () => {
    const err = nativeError('ERR_ALKNET_SYS', 'system', 'ECONNREFUSED', -111, 0, 'connect: refused')
    assert(err instanceof AlknetError && err instanceof Error)
    assert.deepStrictEqual([err.name, err.code, err.stage, err.errno, err.reason, err.retryable, err.message],
      ['AlknetError', 'ECONNREFUSED', 'system', -111, undefined, true, 'connect: refused'])
  })

  it('carry our own code and the reason of a refused channel', () => {
    const err = nativeError('ERR_ALKNET_CHANNEL', 'channel', null, 0, 2, 'Connection refused')
    assert.deepStrictEqual([err.code, err.errno, err.reason, err.retryable], ['ERR_ALKNET_CHANNEL', undefined, 2, false])
  })

  it('say whether another try may help', () => {
    for (const name of ['TIMEOUT', 'LOST', 'DNS']) assert(fail(name, 's', 'm').retryable, name)
    for (const name of ['HOSTKEY', 'AUTH', 'OPTION', 'KEY', 'CANCELED', 'KEX', 'PROTO']) assert(!fail(name, 's', 'm').retryable, name)
  })

  it('say it of a proxy by its number', () => {
    const by = (reason) => fail('PROXY', 'proxy', 'm', { reason, hop: 1 })
    for (const reason of [undefined, 1, 500, 502, 503, 504, 408, 429]) assert(by(reason).retryable, reason)
    for (const reason of [2, 7, 8, 200, 301, 400, 403, 501]) assert(!by(reason).retryable, reason)
    assert(!fail('PROXYAUTH', 'proxy', 'm').retryable)
    assert.strictEqual(by(2).hop, 1)
    assert(!('hop' in fail('LOST', 's', 'm')))
  })

  it('name the option', () => {
    const err = optionError('user', 'must be text')
    assert.deepStrictEqual([err.message, err.option, err.code, err.advice], ['user: must be text', 'user', 'ERR_ALKNET_OPTION', ''])
  })

  it('keep the cause', () => {
    const cause = Object.assign(new Error('x'), { code: 'ENOENT', errno: -2 })
    const err = systemError(cause, 'key', 'cannot read x')
    assert.deepStrictEqual([err.cause, err.code, err.errno], [cause, 'ENOENT', -2])
    assert.strictEqual(canceled('connect', 'why').cause, 'why')
    assert(!('cause' in fail('LOST', 's', 'm')))
  })

  it('have their own advice where one is given', () => {
    assert.strictEqual(fail('HOSTKEY', 'hostkey', 'm', { advice: 'do this' }).advice, 'do this')
  })

  it('have words for the system', () => {
    assert.strictEqual(systemText({ code: 'ECONNREFUSED' }), 'Connection refused')
    assert.strictEqual(systemText({ code: 'EWHATEVER' }), 'EWHATEVER')
    assert.strictEqual(systemText({}), 'failed')
  })
})
