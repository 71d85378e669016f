'use strict'

/**
 * An AbortSignal at every stage of every call that takes one: the call rejects,
 * no socket, descriptor or native object is left, what else was open goes on,
 * and the process ends by itself.
 */

const assert = require('node:assert')
const path = require('node:path')
const { cleanEnv, needAlknet } = require('../helpers/alknet')
const { run } = require('../helpers/proc')
const { testScope } = require('../helpers/scope')

const CHILD = path.join(__dirname, '..', 'helpers', 'abort-child.js')

/** A moment of abort-child.js => the stage that the error names. */
const MOMENTS = {
  'openSession: before': 'connect',
  'openSession: a passphrase is asked for': 'key',
  'openSession: a passphrase is asked for and never comes': 'key',
  'openSession: a name is looked up': 'connect',
  'openSession: it connects': 'connect',
  'openSession: the server says nothing': 'kex',
  'openSession: in the key exchange': 'kex',
  'openSession: the host key is shown': 'hostkey',
  'openSession: the key is proven': 'auth',
  'openSession: the server is to listen': 'listen',
  'openSession: in a handshake of TLS': 'tls',
  'openSession: a proxy is asked': 'proxy',
  'openSession: it waits between two tries': 'connect',
  'openSession: in a later try': 'kex',
  'connect: the channel opens': 'channel',
  'open: before': 'channel',
  'open: at once': 'channel',
  'open: the server has accepted': 'channel',
  'forwardLocal: before': 'listen',
  'forwardLocal: at once': 'listen',
  'forwardRemote: before': 'listen',
  'forwardRemote: at once': 'listen',
  'listen: at once': 'listen',
  'rtt: at once': 'session',
  'open: while the session waits': 'channel',
  'open: while the session connects again': 'channel',
  'open: as the session is lost': 'channel',
  'forwardRemote: while the session waits': 'listen',
  'forwardRemote: while the session connects again': 'listen',
  'listen: while the session waits': 'listen',
  'reconnect: before': 'session',
  'reconnect: at once': 'session',
  'reconnect: while the session waits': 'session',
  'reconnect: while the session connects again': 'session',
  'socks5: before': 'listen',
  'serve: before': 'listen',
  'serve: a passphrase is asked for': 'key',
  'serve: a passphrase is asked for and never comes': 'key',
  'serve: at once': 'key',
  'serve: it listens, and its threads are not told yet': 'listen',
  'reloadAll: at once': 'session',
  'generateKey: before': 'key',
  'generateKey: at once': 'key'
}

describe('abort', function () {
  this.timeout(30000)
  const scope = testScope()
  before(function () { needAlknet(this) })

  for (const [moment, stage] of Object.entries(MOMENTS)) {
    it(moment, async () => {
      const { code, signal, stdout, output } = await run(scope, process.execPath, [CHILD, moment], { env: cleanEnv(scope) })
      assert.deepStrictEqual({ code, signal }, { code: 0, signal: null }, output)
      assert.deepStrictEqual(JSON.parse(stdout),
        { code: 'ERR_ALKNET_CANCELED', stage, cause: 'the reason', message: 'canceled', live: 0, worksAgain: true })
    })
  }
})
