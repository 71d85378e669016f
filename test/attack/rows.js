'use strict'

/**
 * Attacks as rows of a table. Each runs twice: without the attack, which has
 * to come to its echo, and with it, which has to end as the row says.
 *
 *   name     what the attacker does
 *   at       the state in which it does so (states.js)
 *   attack   async (peer, victim) => …
 *   expect   'on'    the session goes on to its echo
 *            'end'   it ends; `codes` are what its DISCONNECT may say
 *            'any'   it ends or goes on to its echo: the RFC leaves it open
 *            'alive' it ends or still answers: the channel may be gone
 *            a function (peer, victim) => …, which looks for itself
 *   codes    default: PROTOCOL_ERROR. null: none has to come
 *   peer     options of the raw peer, also without the attack
 *   libssh   { expect, codes, why }: what the libssh engine does instead;
 *            'limit': it ends with the time limit of the login only
 *
 * libssh never says why it ends: its codes are null, unless the row has some.
 */

const assert = require('node:assert')
const { suiteScope, testScope } = require('../helpers/scope')
const { message, string, u8 } = require('./ssh/bytes')
const n = require('./ssh/numbers')
const { Ended } = require('./ssh/peer')
const { advance } = require('./states')
const { MiB, isDead, isLibssh, startVictimClient, startVictimServer } = require('./victims')

/** A tag is wrong, or a length that nobody could have meant: both reasons are right. */
const CORRUPT = [2, 5]

/** What a victim may grow by in all attacks together: its own buffers, no peer's number. */
const GROWTH_MAX = 24 * MiB

function rule (row) {
  const base = { expect: row.expect || 'end', codes: row.codes === undefined ? [n.PROTOCOL_ERROR] : row.codes }
  if (!isLibssh) return base
  return { ...base, codes: [null], ...row.libssh }
}

function unlessEnded (err) {
  if (!(err instanceof Ended)) throw err
}

/** Asks for something that has to be refused, and reads up to the refusal. */
async function answers (peer) {
  peer.send(message(n.GLOBAL_REQUEST, string('nonsense@example.com'), u8(1)))
  for (;;) if ((await peer.next())[0] === n.REQUEST_FAILURE) return
}

async function judge (peer, victim, { expect, codes }) {
  if (typeof expect === 'function') return expect(peer, victim)
  if (expect === 'on') return advance(peer)
  if (expect === 'any') return advance(peer).catch(unlessEnded)
  if (expect === 'alive') return answers(peer).catch(unlessEnded)
  const end = await peer.finish()
  if (codes !== null && expect !== 'limit') {
    assert.ok(codes.includes(end.code), `ended with ${end.code} (${end.text}), not one of ${codes}`)
  }
}

function checkGrowth (context, victim, rss, max = GROWTH_MAX) {
  if (rss === undefined) {
    console.log('      skipped: memory is read from /proc, and of a process that has lived through it all')
    context.skip()
  }
  const grown = victim.proc.rss() - rss
  assert.ok(grown < max, `it has grown by ${(grown / MiB).toFixed(1)} MiB`)
}

/**
 * Defines the tests of rows against `alknet serve`.
 *
 * @param {object[]} rows
 * @param {{ args?: string[], growthMax?: number }} [options]
 */
function attackServer (rows, options = {}) {
  let victim, impatient, rss
  after(async () => {
    await victim.end()
    if (impatient) await impatient.end()
  })
  const suite = suiteScope()
  const scope = testScope()

  before(async () => {
    victim = await startVictimServer(suite, options)
    // What it allocates once and keeps is there when the measuring begins.
    for (let i = 0; i < 20; i++) await victim.assertUnharmed()
    if (process.platform === 'linux') rss = victim.proc.rss()
  })
  // One that has died has failed its test; the next ones have another.
  beforeEach(async () => {
    if (!await isDead(victim.proc)) return
    victim = await startVictimServer(suite, options)
    rss = undefined
  })

  for (const row of rows) {
    it(row.name, async () => {
      const how = rule(row)
      if (how.expect === 'limit') impatient ??= await startVictimServer(suite, { patience: 1 })
      const its = how.expect === 'limit' ? impatient : victim
      const connect = async (state) => {
        const peer = await its.connect(scope, row.peer)
        peer.echoPort = its.echo.port
        await advance(peer, state)
        return peer
      }
      await advance(await connect('ident'))
      const peer = await connect(row.at)
      await row.attack(peer, its)
      await judge(peer, its, how)
      await its.assertUnharmed()
    })
  }

  it('none of all that made it grow', function () { checkGrowth(this, victim, rss, options.growthMax) })
}

/**
 * Defines the tests of rows against a session that alknet opens.
 *
 * @param {object[]} rows - also: error: the code of the error that it ends with
 * @param {{ growthMax?: number }} [options]
 */
function attackClient (rows, options = {}) {
  let victim, rss
  after(() => victim.end())
  const suite = suiteScope()
  const scope = testScope()

  before(async () => {
    victim = await startVictimClient(suite)
    for (let i = 0; i < 20; i++) await victim.assertUnharmed()
    if (process.platform === 'linux') rss = victim.proc.rss()
  })
  beforeEach(async () => {
    if (!await isDead(victim.proc)) return
    victim = await startVictimClient(suite)
    rss = undefined
  })

  for (const row of rows) {
    it(row.name, async () => {
      const how = rule(row)
      const without = await victim.session(scope, (peer) => advance(peer), {}, row.peer)
      const honest = victim.fare(without.session)
      await without.far
      assert.strictEqual(await honest, null)

      const limits = how.expect === 'limit' ? { handshakeTimeout: 1 } : {}
      const { session, far } = await victim.session(scope, async (peer) => {
        await advance(peer, row.at)
        await row.attack(peer, victim)
        await judge(peer, victim, how)
      }, limits, row.peer)
      const isToEnd = ['end', 'limit'].includes(how.expect)
      const end = victim.fare(session, isToEnd)
      await far
      if (isToEnd) {
        assert.match((await end)?.code ?? 'none', row.error || /^ERR_ALKNET_(PROTO|KEX|LOST|AUTH|CLOSED|TIMEOUT|CRYPTO)$/)
      } else if (how.expect === 'on') assert.strictEqual(await end, null)
      await victim.assertUnharmed()
    })
  }

  it('none of all that made it grow', function () { checkGrowth(this, victim, rss, options.growthMax) })
}

module.exports = { CORRUPT, attackClient, attackServer }
