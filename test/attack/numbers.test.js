'use strict'

/**
 * Every message number in every state, in both roles, each in a well-formed
 * message: CVE-2018-10933 (a server that took USERAUTH_SUCCESS), CVE-2025-32433
 * (channels before the login) and their kind.
 *
 * RULES says what RFC 4253, 4252 and 4254 and the strict key exchange make of a
 * number; LIBSSH what the libssh engine does instead, and why that is let be.
 */

const assert = require('node:assert')
const { needAlknet } = require('../helpers/alknet')
const { suiteScope, testScope } = require('../helpers/scope')
const { makeKey } = require('./ssh/kex')
const n = require('./ssh/numbers')
const { Ended } = require('./ssh/peer')
const { CLIENT_STEPS, SERVER_STEPS, advance, wellFormed } = require('./states')
const { isLibssh, runAll, startVictimClient, startVictimServer } = require('./victims')

const ALL = Array.from({ length: 256 }, (_, i) => i)

/** '2-4 7' as a list of numbers. */
function numbers (text) {
  if (text === '*') return ALL
  return text.split(' ').flatMap((part) => {
    const [from, to = from] = part.split('-').map(Number)
    return ALL.slice(from, to + 1)
  })
}

// What may happen:
//   end      the connection ends with a DISCONNECT that says PROTOCOL_ERROR
//            (or KEY_EXCHANGE_FAILED while keys are exchanged)
//   closed   it ends without a DISCONNECT: the attacker said that it would
//   unimp    UNIMPLEMENTED with the number of that packet, and the session goes on
//   quiet    nothing, and the session goes on
//   N        answered by message N
//   honest   it is what has to come here: the other tests are full of it
// `a|b`: the RFC leaves it open, and OpenSSH does one of them.

const BEFORE_KEYS = [['1', 'closed'], ['*', 'end']]

const AFTER_KEYS = [['1', 'closed'], ['2-4', 'quiet'], ['0', 'unimp|end'], ['20', 20]]
const UNKNOWN = [['*', 'unimp']]

/** The server's rules before the login: nothing of 80 and above. */
const SERVER_LOGIN = [['6 21 30-31 51-53 60 80-82 90-100', 'end'], ...AFTER_KEYS, ...UNKNOWN]
const SERVER_READY = [
  ['5-7 21 30-31 51-53 60 91-98', 'end'],
  ['99-100', 'quiet|end'], // OpenSSH drops answers for channels that are gone
  ['50', 'quiet|end'], // RFC 4252 §5.1: silently ignored
  ['80', n.REQUEST_FAILURE],
  ['81-82', 'quiet|end'], // nobody has asked
  ['90', n.OPEN_CONFIRMATION],
  ...AFTER_KEYS, ...UNKNOWN
]
const REKEY = [['1', 'closed'], ['2-4', 'quiet'], ['*', 'end']]

const CLIENT_LOGIN = [['5 21 30-31 50 80-82 90-100', 'end'], ...AFTER_KEYS, ...UNKNOWN]
const CLIENT_READY = [
  ['5-7 21 30-31 50-52 60 91-98', 'end'],
  ['99-100', 'quiet|end'],
  ['53', 'quiet|end'],
  ['80', n.REQUEST_FAILURE],
  ['81-82', 'quiet|end'],
  ['90', n.OPEN_FAILURE], // nothing was asked for with tcpip-forward
  ...AFTER_KEYS, ...UNKNOWN
]

const RULES = {
  server: {
    ident: [['20', 'honest'], ...BEFORE_KEYS],
    kexinit: [['30', 'honest'], ...BEFORE_KEYS],
    reply: [['21', 'honest'], ...BEFORE_KEYS],
    keys: [['5', 'honest'], ['7', 'quiet|end'], ['50', 'end'], ...SERVER_LOGIN],
    service: [['5', '6|end'], ['7', 'end'], ['50', n.USERAUTH_FAILURE], ...SERVER_LOGIN],
    queried: [['5', '6|end'], ['7', 'end'], ['50', '51|end'], ...SERVER_LOGIN], // another user: RFC 4252 §5
    ready: SERVER_READY,
    channel: SERVER_READY,
    rekey: [['30', 'honest'], ...REKEY],
    rereply: [['21', 'honest'], ...REKEY]
  },
  client: {
    ident: [['20', 'honest'], ...BEFORE_KEYS],
    kexinit: [['31', 'honest'], ...BEFORE_KEYS],
    reply: [['21', 'honest'], ...BEFORE_KEYS],
    keys: [['6', 'honest'], ['7', 'quiet'], ['51-52 60', 'end'], ['53', 'quiet|end'], ...CLIENT_LOGIN],
    asked: [['6', 'end'], ['7', 'quiet|end'], ['51', 'gone'], ['52', 'quiet|end'], ['53', 'quiet'], ['60', 'end'], ...CLIENT_LOGIN],
    ready: CLIENT_READY,
    opening: CLIENT_READY,
    rekey: [['31', 'honest'], ...REKEY],
    rereply: [['21', 'honest'], ...REKEY]
  }
}

// What is different in the libssh engine, and why that is let be. `end` is
// without a DISCONNECT there, always.
//
//   late   the connection ends when the attacker sends NEWKEYS
//   gone   it ends, in whatever way
//   stuck  it ends, or gets nowhere until the time limit of the login
const STRANGE = '0 8-19 22-29 32-49 54-59 62-65 67-79 83-89 101-255'
const LATE = [`2-4 ${STRANGE}`, 'late', 'libssh looks back at NEWKEYS whether something strange has come']
const ANY_TIME = ['7 53', 'quiet', 'libssh takes EXT_INFO and banners at any time']
const GSSAPI = ['61 66', 'gone', 'handlers of GSSAPI, which a filter shuts']
const NO_CHANNEL = ['91-100', 'quiet', 'libssh drops what is for no channel']
const SERVICES = ['5', n.SERVICE_ACCEPT, 'libssh answers it whenever it comes']
const EARLY_REKEY = ['20', 'gone', 'libssh takes no KEXINIT before the login']
const REKEYING = [STRANGE, 'unimp', 'libssh knows no difference while keys are changed']
const UNASKED = ['50 66', n.USERAUTH_FAILURE, 'libssh needs no service first, and refuses GSSAPI itself']
const STUCK = '20-21 30-31 50 60-61 66 80-82 90-100'
const WHY_STUCK = 'in the login libssh notes an error and says nothing of it'

const LIBSSH = {
  server: {
    ident: [LATE],
    kexinit: [LATE],
    reply: [LATE],
    keys: [ANY_TIME, UNASKED, EARLY_REKEY, GSSAPI],
    service: [ANY_TIME, SERVICES, UNASKED, EARLY_REKEY, GSSAPI],
    queried: [ANY_TIME, SERVICES, UNASKED, EARLY_REKEY, GSSAPI],
    ready: [['7', 'quiet', ANY_TIME[2]], SERVICES, NO_CHANNEL, GSSAPI],
    channel: [['7', 'quiet', ANY_TIME[2]], SERVICES, NO_CHANNEL, GSSAPI],
    rekey: [GSSAPI, REKEYING],
    rereply: [GSSAPI, REKEYING]
  },
  client: {
    ident: [LATE],
    kexinit: [LATE],
    reply: [LATE],
    keys: [['7 51 53', 'quiet', ANY_TIME[2]], [`5 52 ${STUCK}`, 'stuck', WHY_STUCK]],
    asked: [[`1 5-6 ${STUCK}`, 'stuck', WHY_STUCK]],
    ready: [['7', 'quiet', ANY_TIME[2]], NO_CHANNEL, GSSAPI],
    opening: [['7', 'quiet', ANY_TIME[2]], NO_CHANNEL, GSSAPI],
    rekey: [GSSAPI, REKEYING],
    rereply: [GSSAPI, REKEYING]
  }
}

/** What may happen after each number in a state of the victim's peer. */
function outcomes (role, state) {
  const rows = [...(isLibssh && LIBSSH[role][state]) || [], ...RULES[role][state]]
  return ALL.map((number) => {
    const row = rows.find(([text]) => numbers(text).includes(number))
    return { number, outcome: row[1] }
  })
}

const STEPS = { server: CLIENT_STEPS, client: SERVER_STEPS }
const IN_KEX = ['ident', 'kexinit', 'reply', 'rekey', 'rereply']

function checkEnd (peer, end, outcome) {
  if (outcome === 'gone') return
  const codes = outcome === 'closed' || isLibssh
    ? [null]
    : [n.PROTOCOL_ERROR, ...(IN_KEX.includes(peer.state) ? [n.KEX_FAILED] : [])]
  assert.ok(codes.includes(end.code), `ended with ${end.code} (${end.text})`)
}

/** Sends it; before the KEXINIT, the KEXINIT follows at once. */
function sendNumber (peer, number, port) {
  const bytes = peer.seal(wellFormed(peer, number, port))
  const seq = peer.seqOut - 1
  if (peer.state !== 'ident') peer.write(bytes)
  else peer.write(Buffer.concat([bytes, peer.seal(peer.kexinit = peer.makeKexinit())]))
  return seq
}

const OBSERVE = {
  async end (peer, send, outcome) {
    send()
    checkEnd(peer, await peer.finish(), outcome)
  },

  async quiet (peer, send) {
    send()
    await advance(peer)
    assert.deepStrictEqual(peer.unimplemented, [])
  },

  async late (peer, send) {
    send()
    if (peer.state === 'ident') await peer.readKexinit()
    if (peer.state !== 'reply') await peer.method()
    peer.sendNewkeys()
    checkEnd(peer, await peer.finish(), 'end')
  },

  async stuck (peer, send) {
    send()
    await assert.rejects(advance(peer))
    const names = Object.keys(STEPS.client)
    assert.ok(names.indexOf(peer.state) < names.indexOf('opening'), 'a channel was opened')
  },

  /** The session ends, or goes on after what is allowed. */
  async either (peer, send, outcome) {
    const seq = send()
    const [what] = outcome.split('|')
    try {
      if (/^\d/.test(what)) return await peer.expect(Number(what))
      await advance(peer)
    } catch (err) {
      if (!(err instanceof Ended)) throw err
      return checkEnd(peer, { code: err.code ?? (isLibssh ? null : n.PROTOCOL_ERROR) }, 'end')
    }
    assert.deepStrictEqual(peer.unimplemented, what === 'unimp' ? [seq] : [])
  }
}
Object.assign(OBSERVE, { closed: OBSERVE.end, gone: OBSERVE.end })

/** Reads up to an answer; what the victim says of its own accord may come before. */
async function awaitNumber (peer, number) {
  while ((await peer.next())[0] !== number);
}

/** Sends one number and sees whether what happens is what should. */
async function observe (peer, number, outcome, port) {
  const send = () => sendNumber(peer, number, port)
  if (typeof outcome === 'number') {
    send()
    await awaitNumber(peer, outcome)
  } else if (outcome.includes('|')) await OBSERVE.either(peer, send, outcome)
  else await OBSERVE[outcome](peer, send, outcome)
}

/** All unknown numbers, one after the other, and the session goes on. */
async function observeUnknown (peer, list) {
  const sent = list.map((number) => sendNumber(peer, number))
  await advance(peer)
  assert.deepStrictEqual(peer.unimplemented, sent)
}

/** One connection for each number, but one for all that are UNIMPLEMENTED. */
function jobsOf (role, state, run) {
  const all = outcomes(role, state).filter(({ outcome }) => outcome !== 'honest')
  const unknown = all.filter(({ outcome }) => outcome === 'unimp').map(({ number }) => number)
  const jobs = all.filter(({ outcome }) => outcome !== 'unimp').map(({ number, outcome }) => ({
    name: `${number} should be ${outcome}`,
    run: (scope) => run(scope, outcome, (peer, port) => observe(peer, number, outcome, port))
  }))
  if (unknown.length === 0) return jobs
  return [...jobs, {
    name: 'the unknown numbers',
    run: (scope) => run(scope, 'unimp', (peer) => observeUnknown(peer, unknown))
  }]
}

describe('every message number to a server', function () {
  this.timeout(30000)
  let victim
  after(() => victim.end())
  const suite = suiteScope()
  const scope = testScope()

  before(async function () {
    needAlknet(this)
    victim = await startVictimServer(suite)
  })
  afterEach(() => victim.assertUnharmed())

  const at = async (inScope, state) => {
    const peer = await victim.connect(inScope)
    peer.echoPort = victim.echo.port
    await advance(peer, state)
    return peer
  }

  it('none of them: the same client gets its echo', async () => {
    await advance(await at(scope, 'ident'))
  })

  for (const state of Object.keys(RULES.server)) {
    const isIn = ['ready', 'channel'].includes(state)
    it(`in the state "${state}"`, () => runAll(jobsOf('server', state, async (inScope, outcome, attack) => {
      // Who is logged in may reach a target: then it is the echo.
      await attack(await at(inScope, state), isIn ? victim.echo.port : victim.forbidden.port)
    })))
  }

  // In one piece with an authentication request: while the server thinks.
  for (const [whose, answer] of [['a known key', n.USERAUTH_PK_OK], ["a stranger's key", n.USERAUTH_FAILURE]]) {
    it(`behind a question about ${whose}`, () => runAll(
      outcomes('server', 'queried').filter(({ outcome }) => ['end', 'unimp'].includes(outcome)).map(({ number, outcome }) => ({
        name: `${number} should be ${outcome}`,
        async run (inScope) {
          const peer = await at(inScope, 'service')
          const key = answer === n.USERAUTH_PK_OK ? peer.key : makeKey()
          const question = peer.seal(peer.queryMessage(key))
          const seq = peer.seqOut
          peer.write(Buffer.concat([question, peer.seal(wellFormed(peer, number, victim.forbidden.port))]))
          if (outcome === 'end') {
            const end = await peer.finish()
            checkEnd(peer, end, outcome)
            // libssh has the end overtake the answer.
            if (!isLibssh) assert.deepStrictEqual(end.numbers, [answer, n.DISCONNECT])
            return
          }
          await peer.expect(answer)
          await advance(peer)
          assert.deepStrictEqual(peer.unimplemented, [seq])
        }
      }))))
  }
})

describe('every message number to a client', function () {
  this.timeout(30000)
  let victim
  after(() => victim.end())
  const suite = suiteScope()
  const scope = testScope()

  before(async function () {
    needAlknet(this)
    victim = await startVictimClient(suite)
  })
  afterEach(() => victim.assertUnharmed())

  async function run (inScope, state, outcome, attack) {
    const { session, far } = await victim.session(inScope, async (peer) => {
      await advance(peer, state)
      await attack(peer)
      if (typeof outcome === 'number') peer.socket.destroy()
    }, outcome === 'stuck' ? { handshakeTimeout: 1 } : {})
    const end = victim.fare(session)
    await far
    // What of several is right has been seen from the other side.
    const isOver = !outcome.toString().includes('|') && !['unimp', 'quiet'].includes(outcome)
    // Where the far end has hung up, the client may have been writing to it just then.
    const codes = typeof outcome === 'number'
      ? /^(ERR_ALKNET_LOST|EPIPE|ECONNRESET)$/
      : /^ERR_ALKNET_(PROTO|KEX|LOST|AUTH|CLOSED|TIMEOUT)$/
    if (isOver) assert.match((await end)?.code ?? 'none', codes)
    else if (['unimp', 'quiet'].includes(outcome)) assert.strictEqual(await end, null)
  }

  it('none of them: the same server serves', async () => {
    await run(scope, 'ident', 'quiet', (peer) => advance(peer))
  })

  for (const state of Object.keys(RULES.client)) {
    it(`in the state "${state}"`, () => runAll(jobsOf('client', state,
      (inScope, outcome, attack) => run(inScope, state, outcome, attack))))
  }
})
