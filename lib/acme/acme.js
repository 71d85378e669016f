'use strict'

/**
 * The certificate that a server gets by itself, and keeps valid:
 *
 *   kept from the last start, or none -> it listens -> asks, when it is due
 *     -> a new one: kept, and shown to who comes from now on
 *     -> none: the old one stays, and another try follows, later each time
 *
 * Without a certificate the server runs, and refuses TLS handshakes, except
 * those by which a CA looks. Its clock goes by the time of day: a machine that
 * has slept is late, and does at once what is due. One whose clock was never set
 * would take all certificates for early and ask for more of them: it waits for
 * its clock, and shows then what it has.
 */

const { Backoff } = require('../backoff')
const { fail, optionError } = require('../errors')
const { bareContext, contextOf, describeCertificate, readTrusted } = require('../tls-files')
const { Authority, readHmac } = require('./authority')
const { Http, TlsAlpn } = require('./challenges')
const { HOUR, earliest, nextAt, renewAt, retryDelay, retryDelays } = require('./schedule')
const { Store } = require('./store')

const ATTEMPT_MS = 10 * 60_000

// Until all threads show it: a reload that does not end is before it.
const SPREAD_MS = 60_000

// How often to look at a clock that is wrong.
const CLOCK_MS = 10_000

const CLOCK = {
  now: () => Date.now(),
  start: (ms, fn) => setTimeout(fn, ms).unref(),
  stop: (timer) => clearTimeout(timer)
}

class Acme {
  /**
   * store, authority, challenges: of their files. pair: { cert, key } that is
   * kept, or null; early: one that is not valid yet. makeContext(pair, alpn): a
   * promise of the addon's TlsContext.
   */
  constructor ({ store, authority, challenges, pair, early = null, makeContext, log, clock = CLOCK, random = Math.random }) {
    this._store = store
    this._authority = authority
    this._makeContext = makeContext
    this._log = log
    this._clock = clock
    this._random = random
    this._onContext = () => {}
    this._count = () => {}
    this._timer = null
    this._due = Infinity
    this._attempt = null
    this._stop = new AbortController()
    this.challenges = challenges
    /** Of the certificate in force: { span, expires, fingerprint }; null: there is none. */
    this.certificate = null
    /** Why there is no other: of the last try. */
    this.problem = null
    this._hasSaidClock = false
    this._use(pair, new Map())
    this._early = early
  }

  /** A promise of the context for a place, which may choose from protocols of its own. */
  async contextFor ({ tlsAlpn = null }) {
    for (;;) {
      const shown = this._shown
      if (!shown.has(tlsAlpn)) shown.set(tlsAlpn, await this._makeContext(this._pair, tlsAlpn))
      if (shown === this._shown) return shown.get(tlsAlpn)
    }
  }

  /** The same of a place that it was made for before. */
  shownAt ({ tlsAlpn = null }) {
    return this._shown.get(tlsAlpn)
  }

  /** When it asks, or asks again: a Date. */
  get dueAt () {
    return Number.isFinite(this._due) ? new Date(this._due) : null
  }

  get _span () {
    return this.certificate?.span ?? null
  }

  /** onContext(): what is shown is another; a promise of its being so everywhere. count(result): 'issued' or 'failed'. */
  start ({ onContext, count }) {
    this._onContext = onContext
    this._count = count
    if (this._span === null) this._log.warn('no certificate yet: tls handshakes are refused', {})
    this._arm()
  }

  // When the certificate in force is due, and how often to try then.
  _use (pair, shown) {
    this._pair = pair
    this._early = null
    this._shown = shown // protocols => context
    this.certificate = pair === null ? null : describeCertificate(pair.cert)
    const span = this._span
    this._backoff = new Backoff(retryDelays(span), this._random)
    this._due = span === null ? this._clock.now() : renewAt(span, this._random())
  }

  // Contexts of another certificate, for all that there are now.
  async _remake (pair) {
    const all = [...new Set([null, ...this._shown.keys()])]
    return new Map(await Promise.all(all.map(async (alpn) => [alpn, await this._makeContext(pair, alpn)])))
  }

  _arm () {
    this._clock.stop(this._timer)
    if (this._stop.signal.aborted || this._attempt !== null) return
    // The time of day may jump: it is looked at once an hour.
    const wait = Math.min(Math.max(0, this._due - this._clock.now()), HOUR)
    this._timer = this._clock.start(wait, () => this._tick())
  }

  _tick () {
    if (this._clock.now() < this._due) return this._arm()
    if (!this._isClockRight()) return this._awaitClock()
    this._hasSaidClock = false
    if (this._early !== null) this._showEarly()
    else this.renew().catch(() => {}) // it has been logged
  }

  get _earliest () {
    return earliest(this._early === null ? null : describeCertificate(this._early.cert).span)
  }

  _isClockRight () {
    return this._clock.now() >= this._earliest
  }

  // One line: it may be long until somebody sets it.
  _awaitClock () {
    if (!this._hasSaidClock) {
      const [clock, first] = [this._clock.now(), this._earliest].map((ms) => new Date(ms).toISOString())
      this._log.error('no certificate asked for: the clock is wrong', { clock, earliest: first })
    }
    this._hasSaidClock = true
    this._timer = this._clock.start(CLOCK_MS, () => this._tick())
  }

  // One that could not be shown yet, and may have expired meanwhile.
  async _showEarly () {
    const pair = this._early
    const shown = await this._remake(pair).catch(() => null)
    if (this._stop.signal.aborted || this._attempt !== null || this._early !== pair) return
    this._early = null
    if (shown !== null) await this._useKept(pair, shown)
    this._arm()
  }

  async _useKept (pair, shown) {
    this.problem = null
    this._use(pair, shown)
    await this._spread()
  }

  /** Resolves when all threads show what is in force; or do not, in a time that must not hold up what is due next. */
  _spread () {
    return new Promise((resolve) => {
      const late = this._clock.start(SPREAD_MS, () => {
        if (!this._stop.signal.aborted) this._log.warn('certificate not shown by all threads', {})
        resolve()
      })
      const done = () => {
        this._clock.stop(late)
        resolve()
      }
      Promise.resolve(this._onContext()).then(done, done)
    })
  }

  /** Asks now. Rejects when there is no new certificate; the next try follows. */
  renew () {
    if (this._stop.signal.aborted) return Promise.reject(fail('CLOSED', 'acme', 'the server is closed'))
    this._clock.stop(this._timer)
    this._attempt ??= this._try().finally(() => {
      this._attempt = null
      this._arm()
    })
    return this._attempt
  }

  async _try () {
    const late = AbortSignal.timeout(ATTEMPT_MS)
    try {
      if (!this._isClockRight()) throw fail('ACME', 'acme', `the clock of this machine is wrong: it says ${new Date(this._clock.now()).toISOString()}`)
      const pair = await this._authority.obtain(this.challenges, AbortSignal.any([this._stop.signal, late]))
      if (describeCertificate(pair.cert).span.from > this._clock.now()) await this._putBy(pair)
      const shown = await this._remake(pair)
      await this._keep(pair)
      await this._takeOver(pair, shown)
    } catch (err) {
      const why = late.aborted ? fail('TIMEOUT', 'acme', `no certificate within ${ATTEMPT_MS / 60_000} minutes`, { cause: err }) : err
      if (!this._stop.signal.aborted) this._fail(why)
      throw why
    }
  }

  async _keep (pair) {
    await this._store.writeCertificate(pair).catch((err) => {
      this._log.error('certificate not kept', { error: err.code, problem: err.message })
    })
  }

  // By the CA's clock it is valid: to ask for another would change nothing.
  async _putBy (pair) {
    await this._keep(pair)
    this._early = pair
    const { from } = describeCertificate(pair.cert).span
    throw fail('ACME', 'acme', `the certificate is not valid before ${new Date(from).toISOString()}, and the clock of this machine says ${new Date(this._clock.now()).toISOString()}`)
  }

  async _takeOver (pair, shown) {
    // A reload may have made one for other protocols meanwhile.
    for (const alpn of this._shown.keys()) if (!shown.has(alpn)) shown.set(alpn, await this._makeContext(pair, alpn))
    if (this._stop.signal.aborted) return
    this.problem = null
    this._use(pair, shown)
    this._due = Math.max(this._due, nextAt(this._span, this._clock.now()))
    await this._spread()
    this._count('issued')
    this._log.info('certificate issued', { expires: this.certificate.expires.toISOString() })
  }

  _fail (err) {
    const now = this._clock.now()
    const wait = retryDelay(this._backoff.next(), err.retryAfter)
    const delay = Math.round(wait / 1000)
    const span = this._span
    this.problem = err
    this._due = now + wait
    this._count('failed')
    if (span !== null && span.to > now) this._log.warn('no certificate issued', { error: err.code, problem: err.message, delay })
    else this._log.error('no certificate issued', { error: err.code, problem: err.message, delay })
  }

  /**
   * Somebody has changed something: takes over what was put into the cache, and
   * tries at once where the last try has failed, or where nothing is kept. What
   * cannot be read may be as good as what is in force, and changes nothing.
   */
  async refresh () {
    let kept
    try {
      kept = await readKept(this._store)
    } catch (err) {
      this._log.error('kept certificate not read', { error: err.code, problem: err.message })
      return
    }
    const isEarly = kept !== null && kept.span.from > this._clock.now()
    const shown = kept === null || isEarly ? null : await this._remake(kept.pair).catch(() => null)
    if (this._stop.signal.aborted || this._attempt !== null) return
    if (isEarly) {
      if (this._pair === null) this._early = kept.pair
    } else if (shown !== null && kept.fingerprint !== this.certificate?.fingerprint) {
      await this._useKept(kept.pair, shown)
    } else if (shown === null || this.problem !== null) {
      this._backoff.reset()
      this._due = this._clock.now()
    }
    this._arm()
  }

  close () {
    this._stop.abort(fail('CLOSED', 'acme', 'the server is closed'))
    this._clock.stop(this._timer)
  }
}

/** { pair, span, fingerprint } of what is kept; null: nothing is. Throws for what cannot be read, or is damaged. */
async function readKept (store) {
  const pair = await store.readCertificate()
  return pair === null ? null : { pair, ...describeCertificate(pair.cert) }
}

/**
 * The same for a start: { pair } to be shown now, { early } later. What cannot
 * be read is no reason to ask for another at each start.
 */
async function openKept (store, log) {
  try {
    const kept = await readKept(store)
    if (kept === null) return { pair: null }
    if (kept.span.from > Date.now()) return { pair: null, early: kept.pair }
    await makeContext(kept.pair, null)
    return { pair: kept.pair }
  } catch (err) {
    if (err.errno !== undefined) throw optionError('acmeCache', err.message, err)
    log.warn('kept certificate of no use', { error: err.code, problem: err.message })
    return { pair: null }
  }
}

/** A context of { cert, key }; of null: one that refuses everybody. */
async function makeContext (pair, alpn) {
  return pair === null ? bareContext() : contextOf(Buffer.from(pair.cert), Buffer.from(pair.key), null, alpn)
}

function challengesOf ({ acmeChallenge, acmeHttpListen }, contexts) {
  return acmeChallenge === 'http-01' ? new Http(acmeHttpListen) : new TlsAlpn(contexts)
}

/** What serve() needs to ask for certificates, checked: throws for what is wrong in options. */
async function openAuthority (options) {
  const hmac = options.acmeEabHmacFile === undefined ? null : await readHmac(options.acmeEabHmacFile)
  const store = new Store(options)
  return { store, authority: new Authority({ options, ca: await readTrusted(options.acmeCa, 'acmeCa'), hmac, store }) }
}

/**
 * For options of serverOptions(); null where no certificate was asked for.
 * contexts: () => all of the server's TlsContexts.
 */
async function openAcme (options, { contexts, log }) {
  if (options.acmeDomain === undefined) return null
  const { store, authority } = await openAuthority(options)
  // It takes a while to load: now, and not while sessions wait.
  require('acme-client')
  await store.prepare()
  const challenges = challengesOf(options, contexts)
  await challenges.prepare()
  return new Acme({ store, authority, challenges, makeContext, log, ...await openKept(store, log) })
}

module.exports = { Acme, openAcme, openAuthority }
