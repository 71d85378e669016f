'use strict'

const assert = require('assert')
const { replyCode } = require('../lib/socks-reply')
const { nativeError, fail, systemText } = require('../lib/errors')

const refused = (reason, text) => nativeError('ERR_ALKNET_CHANNEL', 'channel', null, 0, reason, text)

describe('SOCKS replies', () => {
  it('follow the reason and the words of a refusal', () => {
    const cases = [
      [1, 'the peer refused the channel: administratively prohibited', 2],
      [1, 'built-in deny of link-local addresses (the operator can lift it with --allow)', 2],
      [1, 'open failed', 2],
      [2, 'Connection refused', 5],
      [2, 'the peer refused the channel: Connection refused', 5],
      [2, 'Network is unreachable', 3],
      [2, 'No route to host', 4],
      [2, 'Host is unreachable', 4],
      [2, 'Connection timed out', 6],
      [2, 'name not found', 4],
      [2, 'Name or service not known', 4],
      [2, 'Temporary failure in name resolution', 4],
      [2, 'the peer refused the channel', 1],
      [2, 'Permission denied', 1],
      [3, 'unknown channel type', 1],
      [4, 'too many channels', 1],
      // An engine that can send reason 1 only still has the words.
      [1, 'Connection refused', 5]
    ]
    for (const [reason, text, code] of cases) assert.strictEqual(replyCode(refused(reason, text)), code, `${reason} ${text}`)
  })

  it("understand what alknet's server says about its system's errors", () => {
    const cases = { ECONNREFUSED: 5, ENETUNREACH: 3, ENETDOWN: 3, EHOSTUNREACH: 4, EHOSTDOWN: 4, ETIMEDOUT: 6, ERR_ALKNET_DNS: 4, ERR_ALKNET_TIMEOUT: 6, EACCES: 1 }
    for (const [code, reply] of Object.entries(cases)) assert.strictEqual(replyCode(refused(2, systemText({ code }))), reply, code)
  })

  it('have a word for everything else', () => {
    assert.strictEqual(replyCode(null), 1)
    assert.strictEqual(replyCode(fail('LOST', 'session', 'Connection refused')), 1)
    assert.strictEqual(replyCode(fail('TIMEOUT', 'channel', 'late')), 6)
  })
})
