'use strict'

/**
 * Authentication: skipped, halved, mixed up, asked for too often. In the end
 * only the key that has signed is in, and no channel was there before.
 * SSHamble's checks; CVE-2024-45337 of Go; CVE-2018-10933 of libssh.
 */

const assert = require('node:assert')
const crypto = require('node:crypto')
const { needAlknet } = require('../helpers/alknet')
const { suiteScope, testScope } = require('../helpers/scope')
const { message, mpint, string, u32, u8 } = require('./ssh/bytes')
const { openDirect, publickeyRequest } = require('./ssh/client')
const { makeKey } = require('./ssh/kex')
const n = require('./ssh/numbers')
const { attackClient, attackServer } = require('./rows')
const { advance } = require('./states')
const { isLibssh, startVictimServer } = require('./victims')

const SERVICE = [n.PROTOCOL_ERROR, 7] // SERVICE_NOT_AVAILABLE
const BY_APPLICATION = 11
const ATTEMPTS = [n.PROTOCOL_ERROR, n.NO_MORE_METHODS]
const stranger = makeKey()

/** The request is refused, and the login that follows is not hurt. */
async function refused (peer) {
  const failure = await peer.expect(n.USERAUTH_FAILURE)
  assert.strictEqual(failure.text(), 'publickey')
  assert.strictEqual(failure.bool(), false)
  await advance(peer)
}

/** Refused, or the end of the connection: never a success. */
async function neverIn (peer) {
  const end = await peer.next().catch((err) => ({ end: err.code }))
  if (Buffer.isBuffer(end)) assert.strictEqual(end[0], n.USERAUTH_FAILURE)
  else assert.ok([null, n.PROTOCOL_ERROR, n.NO_MORE_METHODS, 7].includes(end.end), `ended with ${end.end}`)
}

const NEVER_ANSWERS = { expect: 'limit', why: 'libssh answers a wrong signature, and what it cannot read, with silence' }
const SILENT = ['publickey and a NUL', 'gssapi-with-mic', 'an empty key', 'a key of 31 bytes', 'a key of 33 bytes',
  'an unknown type of key', 'a certificate cut short', 'a point that is none']

/** An authentication by another method, with its fields. */
const method = (name, ...fields) => message(n.USERAUTH_REQUEST, string('alknet'), string('ssh-connection'), string(name), ...fields)

const METHODS = {
  none: method('none'),
  'no name': method(''),
  'a NUL': method('\0'),
  'publickey and a NUL': method('publickey\0', u8(0), string('ssh-ed25519'), string('x')),
  PUBLICKEY: method('PUBLICKEY', u8(0), string('ssh-ed25519'), string('x')),
  'password, none': method('password', u8(0), string('')),
  'password, one': method('password', u8(0), string('root')),
  'a change of password': method('password', u8(1), string('a'), string('b')),
  'keyboard-interactive': method('keyboard-interactive', string(''), string('')),
  hostbased: method('hostbased', string('ssh-ed25519'), string(stranger.blob), string('localhost'), string('root'), string('x')),
  'gssapi-with-mic': method('gssapi-with-mic', u32(1), string(Buffer.from('06092a864886f71201020206', 'hex'))),
  'a name of 30 kB': method('x'.repeat(30000))
}

/** What is wrong with a request that carries a signature; none may ever get in. */
const WRONG = {
  'a query for a known key, a signature of another one': async (peer) => {
    peer.send(peer.queryMessage())
    await peer.expect(n.USERAUTH_PK_OK)
    peer.send(peer.authMessage(stranger))
  },
  'a known key, with the signature of another one': async (peer) => peer.send(peer.authMessage(peer.key, stranger)),
  'an unknown key, with the signature of a known one': async (peer) => peer.send(peer.authMessage(stranger, peer.key)),
  'a signature for another session': async (peer) => peer.send(peer.authMessage(peer.key, peer.key, { sessionId: Buffer.alloc(32) })),
  'a signature for another user': async (peer) => {
    const signed = Buffer.concat([string(peer.sessionId), publickeyRequest('somebody', peer.key, true)])
    peer.send(peer.authMessage(peer.key, peer.key, { signed }))
  },
  'a signature for another service': async (peer) => {
    const signed = Buffer.concat([string(peer.sessionId), publickeyRequest(peer.user, peer.key, true, { service: 'ssh-userauth' })])
    peer.send(peer.authMessage(peer.key, peer.key, { signed }))
  },
  'a signature for a query': async (peer) => {
    const signed = Buffer.concat([string(peer.sessionId), publickeyRequest(peer.user, peer.key, false)])
    peer.send(peer.authMessage(peer.key, peer.key, { signed }))
  },
  'an empty signature': async (peer) => peer.send(Buffer.concat([publickeyRequest(peer.user, peer.key, true), string('')])),
  'a signature of zeros': async (peer) => peer.send(Buffer.concat([publickeyRequest(peer.user, peer.key, true),
    string(Buffer.concat([string('ssh-ed25519'), string(Buffer.alloc(64))]))])),
  'a signature cut short': async (peer) => {
    const whole = peer.key.sign(Buffer.concat([string(peer.sessionId), publickeyRequest(peer.user, peer.key, true)]))
    const short = Buffer.concat([string('ssh-ed25519'), string(whole.subarray(-64, -1))])
    peer.send(Buffer.concat([publickeyRequest(peer.user, peer.key, true), string(short)]))
  },
  'a signature of another type': async (peer) => {
    const whole = peer.key.sign(Buffer.concat([string(peer.sessionId), publickeyRequest(peer.user, peer.key, true)]))
    const other = Buffer.concat([string('rsa-sha2-512'), string(whole.subarray(-64))])
    peer.send(Buffer.concat([publickeyRequest(peer.user, peer.key, true), string(other)]))
  }
}

/** Requests that cannot be read. */
const MALFORMED = {
  'a signature of 4 GB': (peer) => Buffer.concat([publickeyRequest(peer.user, peer.key, true), u32(0xffffffff)]),
  'the flag of a signature, and none': (peer) => publickeyRequest(peer.user, peer.key, true),
  'a key of 4 GB': () => method('publickey', u8(0), string('ssh-ed25519'), u32(0xffffffff)),
  'a user of 4 GB': () => message(n.USERAUTH_REQUEST, u32(0xffffffff)),
  'nothing but its number': () => message(n.USERAUTH_REQUEST),
  'no method': (peer) => message(n.USERAUTH_REQUEST, string(peer.user), string('ssh-connection'))
}

/** Keys that are none, or too large to be looked at: refused, and cheaply. */
const rsa = (bits, e = u8(1, 0, 1)) => Buffer.concat([string('ssh-rsa'), mpint(e),
  mpint(Buffer.concat([u8(0xc1), crypto.randomBytes(bits / 8 - 2), u8(1)]))])
const KEYS = {
  'an RSA key of 1024 bits': ['rsa-sha2-512', rsa(1024)],
  'an RSA key of 16384 bits': ['rsa-sha2-512', rsa(16384)],
  'an RSA key with an exponent as large': ['rsa-sha2-512', rsa(3072, crypto.randomBytes(384))],
  'an empty key': ['ssh-ed25519', Buffer.alloc(0)],
  'a key of 31 bytes': ['ssh-ed25519', Buffer.concat([string('ssh-ed25519'), string(Buffer.alloc(31))])],
  'a key of 33 bytes': ['ssh-ed25519', Buffer.concat([string('ssh-ed25519'), string(Buffer.alloc(33))])],
  'a key of another type than it says': ['ecdsa-sha2-nistp256', stranger.blob],
  'an unknown type of key': ['x@example.com', Buffer.concat([string('x@example.com'), string('x')])],
  'a certificate cut short': ['ssh-ed25519-cert-v01@openssh.com', Buffer.concat([string('ssh-ed25519-cert-v01@openssh.com'), string(Buffer.alloc(32))])],
  'a point that is none': ['ecdsa-sha2-nistp256', Buffer.concat([string('ecdsa-sha2-nistp256'), string('nistp256'), string(Buffer.concat([u8(4), Buffer.alloc(64, 1)]))])]
}

const query = (algorithm, blob) => method('publickey', u8(0), string(algorithm), string(blob))

describe('authentication at a server', function () {
  this.timeout(15000)
  before(function () { needAlknet(this) })
  attackServer([
    ...['ssh-connection', 'x', '', 'ssh-userauth\0', 'x'.repeat(30000)].map((name) => ({
      name: `asks for the service ${JSON.stringify(name).slice(0, 20)}`,
      at: 'keys',
      codes: SERVICE,
      attack: async (peer) => peer.send(message(n.SERVICE_REQUEST, string(name))),
      libssh: name === 'ssh-userauth\0'
        ? { expect: async (peer) => assert.strictEqual((await peer.expect(n.SERVICE_ACCEPT)).text(), 'ssh-userauth'), why: 'names end at a NUL' }
        : { expect: (peer) => peer.expect(n.SERVICE_ACCEPT), why: 'libssh accepts each; without ssh-userauth nobody is in' }
    })),
    ...Object.entries(METHODS).map(([name, bytes]) => ({
      name: `the method ${name}`,
      at: 'service',
      attack: async (peer) => peer.send(bytes),
      expect: refused,
      ...(SILENT.includes(name) ? { libssh: NEVER_ANSWERS } : {})
    })),
    ...Object.entries(WRONG).map(([name, attack]) => ({
      name, at: 'service', attack, expect: neverIn, libssh: NEVER_ANSWERS
    })),
    ...Object.entries(WRONG).map(([name, attack]) => ({
      name: `${name}, and a channel behind it`,
      at: 'service',
      async attack (peer, victim) {
        await attack(peer)
        peer.send(openDirect(0, '127.0.0.1', victim.forbidden.port))
      },
      // That it is not reached is asked after each test.
      expect: 'end',
      libssh: { expect: 'end' }
    })),
    ...Object.entries(MALFORMED).map(([name, make]) => ({
      name, at: 'service', attack: async (peer) => peer.send(make(peer)), libssh: NEVER_ANSWERS
    })),
    ...Object.entries(KEYS).map(([name, [algorithm, blob]]) => ({
      name,
      at: 'service',
      attack: async (peer) => peer.send(query(algorithm, blob)),
      expect: refused,
      ...(SILENT.includes(name) ? { libssh: NEVER_ANSWERS } : {})
    })),
    {
      name: 'a request for another service than ssh-connection',
      at: 'service',
      attack: async (peer) => peer.send(peer.authMessage(peer.key, peer.key, { service: 'ssh-userauth' })),
      expect: neverIn
    },
    {
      name: 'another user in the request than in the query: it is judged anew',
      at: 'queried',
      attack: async (peer) => peer.send(peer.authMessage(peer.key, peer.key, { user: 'somebody' })),
      // In with its own signature, or out (RFC 4252 §5): no half of each.
      async expect (peer) {
        const answer = await peer.next().catch((err) => ({ code: err.code }))
        if (!Buffer.isBuffer(answer)) return assert.ok([null, n.PROTOCOL_ERROR].includes(answer.code))
        assert.strictEqual(answer[0], n.USERAUTH_SUCCESS)
        peer.state = 'ready'
        await advance(peer)
      }
    },
    {
      name: 'a half login: a query that was answered, then a channel',
      at: 'queried',
      attack: async (peer, victim) => peer.send(openDirect(0, '127.0.0.1', victim.forbidden.port))
    },
    {
      name: 'a PING before the login is not answered with a PONG',
      at: 'keys',
      attack: async (peer) => peer.send(message(n.PING, string('x'.repeat(1000)))),
      async expect (peer) {
        await advance(peer)
        assert.deepStrictEqual(peer.unimplemented, [0])
      }
    },
    {
      name: 'a second login as somebody else',
      at: 'channel',
      expect: async (peer) => {
        // Ignored, not known, or the end; and nobody becomes anybody else.
        await advance(peer).catch((err) => { if (err.code !== n.PROTOCOL_ERROR && !isLibssh) throw err })
      },
      attack: async (peer) => peer.send(peer.authMessage(stranger, stranger, { user: 'root' }))
    }
  ])
})

describe('authentication at a server, counted and recorded', function () {
  this.timeout(15000)
  const GENEROUS = 30 // more than the native engine's own limit
  let victim, limited, generous
  after(async () => {
    await victim.end()
    await limited.end()
    await generous.end()
  })
  const suite = suiteScope()
  const scope = testScope()

  before(async function () {
    needAlknet(this)
    victim = await startVictimServer(suite)
    limited = await startVictimServer(suite, { args: ['--max-auth-attempts', '10'] })
    generous = await startVictimServer(suite, { args: ['--max-auth-attempts', String(GENEROUS)] })
  })
  afterEach(async () => {
    await victim.assertUnharmed()
    await limited.assertUnharmed()
    await generous.assertUnharmed()
  })

  async function atService (its) {
    const peer = await its.connect(scope)
    await advance(peer, 'service')
    return peer
  }

  /** Sends requests, one at a time, until there is no answer: how many had one. */
  async function askUntilTheEnd (peer, make) {
    for (let answered = 0; answered < 500; answered++) {
      peer.send(make(answered))
      const answer = await peer.next().catch((err) => ({ end: err }))
      if (answer.end) return { answered, code: answer.end.code }
      assert.ok([n.USERAUTH_FAILURE, n.USERAUTH_PK_OK].includes(answer[0]), `message ${answer[0]}`)
    }
    return { answered: 500, code: null }
  }

  const KINDS = {
    'queries for a known key': (peer) => () => peer.queryMessage(),
    'queries for many keys': (peer) => () => peer.queryMessage(makeKey()),
    'signatures of many keys': (peer) => () => peer.authMessage(makeKey()),
    'the method none': () => () => METHODS.none,
    passwords: () => (i) => method('password', u8(0), string(`${i}`))
  }
  for (const [name, kind] of Object.entries(KINDS)) {
    if (['the method none', 'passwords'].includes(name)) {
      it(`${name}: at most 20 are answered, whatever maxAuthAttempts says`, async () => {
        for (const server of [victim, limited]) {
          const peer = await atService(server)
          const { answered, code } = await askUntilTheEnd(peer, kind(peer))
          assert.ok(answered <= 20, `${answered} were answered`)
          // What tries to log in, as `none` does not, also counts for maxAuthAttempts.
          const ends = name === 'the method none' ? ATTEMPTS : [...ATTEMPTS, BY_APPLICATION]
          assert.ok((isLibssh ? [null, BY_APPLICATION] : ends).includes(code), `ended with ${code}`)
        }
      })
      continue
    }

    it(`${name}: as many are answered as maxAuthAttempts says`, async () => {
      for (const [server, most] of [[limited, 10], [generous, GENEROUS]]) {
        const peer = await atService(server)
        const { answered } = await askUntilTheEnd(peer, kind(peer))
        // The end may overtake the last answer.
        assert.ok(answered === most || answered === most - 1, `${answered} were answered, not ${most}`)
      }
    })
  }

  it('a thousand queries in one piece', async () => {
    const peer = await atService(limited)
    peer.write(Buffer.concat(Array.from({ length: 1000 }, () => peer.seal(peer.queryMessage(makeKey())))))
    const { numbers } = await peer.finish()
    assert.ok(numbers.length <= 21, `${numbers.length} were answered`)
  })

  it('the key that has signed is the one that is let in', async () => {
    const peer = await atService(victim)
    peer.send(peer.queryMessage(stranger))
    await peer.expect(n.USERAUTH_FAILURE)
    await peer.authenticate()
    const id = crypto.createHash('sha256').update(peer.key.blob).digest('base64').replace(/=+$/, '')
    await victim.proc.waitFor(new RegExp(`remote_port=${peer.socket.localPort} user=alknet key_fingerprint=SHA256:${id.replace(/[+/]/g, '\\$&')} result=accept`))
  })

  it('an unknown user and an unknown key get the same answer', async () => {
    const answers = []
    for (const user of ['alknet', 'nobody-at-all', 'root', '']) {
      const peer = await atService(victim)
      peer.user = user
      peer.send(peer.queryMessage(stranger))
      answers.push((await peer.next()).toString('hex'))
    }
    assert.deepStrictEqual(new Set(answers).size, 1, answers.join())
  })
})

const PK_OKS = {
  'another key': (asked) => [string(asked.algorithm), string(stranger.blob)],
  'another algorithm': (asked) => [string('rsa-sha2-512'), string(asked.blob)],
  'no key': () => [string('ssh-ed25519'), string('')],
  'a key of 4 GB': () => [string('ssh-ed25519'), u32(0xffffffff)]
}

describe('authentication at a client', function () {
  this.timeout(15000)
  before(function () { needAlknet(this) })
  attackClient([
    ...Object.entries(PK_OKS).map(([name, fields]) => ({
      name: `the answer that ${name} would do`,
      at: 'asked',
      attack: async (peer) => peer.send(message(n.USERAUTH_PK_OK, ...fields(peer.asked))),
      libssh: { expect: 'limit', why: 'in the login libssh notes an error and says nothing of it' }
    })),
    ...[['an empty list', ''], ['a list of ten thousand methods', Array(10000).fill('x').join(',').slice(0, 30000)], ['only password', 'password']].map(([name, list]) => ({
      name: `a failure with ${name}`,
      at: 'asked',
      codes: null,
      error: /^ERR_ALKNET_AUTH$/,
      attack: async (peer) => peer.send(message(n.USERAUTH_FAILURE, string(list), u8(0)))
    })),
    {
      name: 'a partial success: there is no second method',
      at: 'asked',
      codes: null,
      error: /^ERR_ALKNET_AUTH$/,
      attack: async (peer) => peer.send(message(n.USERAUTH_FAILURE, string('publickey,password'), u8(1)))
    },
    {
      name: 'banners that would write to a terminal',
      at: 'asked',
      expect: 'on',
      async attack (peer) {
        for (let i = 0; i < 3; i++) peer.send(message(n.USERAUTH_BANNER, string('\x1b]0;x\x07\x1b[2J'.repeat(100)), string('')))
      }
    },
    {
      name: 'another service than asked for',
      at: 'keys',
      attack: async (peer) => {
        await peer.readService()
        peer.send(message(n.SERVICE_ACCEPT, string('ssh-connection')))
        peer.state = 'service'
      },
      libssh: { expect: 'on', why: 'libssh does not look at the name' }
    },
    {
      name: 'an EXT_INFO of 2^32-1 entries',
      at: 'keys',
      attack: async (peer) => peer.send(message(n.EXT_INFO, u32(0xffffffff), string('server-sig-algs'), string('ssh-ed25519'))),
      libssh: { expect: 'any', why: 'libssh reads as far as there is something' }
    },
    {
      name: 'an EXT_INFO whose algorithms lead out of it',
      at: 'keys',
      attack: async (peer) => peer.send(message(n.EXT_INFO, u32(1), string('server-sig-algs'), u32(0xffffffff))),
      libssh: { expect: 'any', why: 'libssh drops it' }
    },
    {
      name: 'EXT_INFO twice behind the keys: only the first packet has the slot',
      at: 'keys',
      attack: async (peer) => {
        for (let i = 0; i < 2; i++) peer.send(message(n.EXT_INFO, u32(1), string('server-sig-algs'), string('ssh-ed25519')))
      },
      libssh: { expect: 'on', why: 'libssh takes EXT_INFO at any time' }
    }
  ])
})
