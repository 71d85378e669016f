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
 * has slept is late, and does at once what is due.
 */

const { Backoff } = require('../backoff')
const { fail, optionError } = require('../errors')
const { bareContext, contextOf, describeCertificate, readTrusted } = require('../tls-files')
const { Authority, readHmac } = require('./authority')
const { Http, TlsAlpn } = require('./challenges')
const { HOUR, nextAt, renewAt, retryDelay, retryDelays } = require('./schedule')
const { Store } = require('./store')

const ATTEMPT_MS = 10 * 60_000

// Until all threads show it: a reload that does not end is before it.
const SPREAD_MS = 60_000

const CLOCK = {
  now: () => Date.now(),
  start: (ms, fn) => setTimeout(fn, ms).unref(),
  stop: (timer) => clearTimeout(timer)
}

class Acme {
  /**
   * store, authority, challenges: of their files. pair: { cert, key } that is
   * kept, or null. makeContext(pair, alpn): a promise of the addon's TlsContext.
   */
  constructor ({ store, authority, challenges, pair, makeContext, log, clock = CLOCK, random = Math.random }) {
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
    this._use(pair, new Map())
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
    this.renew().catch(() => {}) // it has been logged
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
      const pair = await this._authority.obtain(this.challenges, AbortSignal.any([this._stop.signal, late]))
      const shown = await this._remake(pair)
      await this._store.writeCertificate(pair).catch((err) => {
        this._log.error('certificate not kept', { error: err.code, problem: err.message })
      })
      await this._takeOver(pair, shown)
    } catch (err) {
      const why = late.aborted ? fail('TIMEOUT', 'acme', `no certificate within ${ATTEMPT_MS / 60_000} minutes`, { cause: err }) : err
      if (!this._stop.signal.aborted) this._fail(why)
      throw why
    }
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
    const shown = kept === null ? null : await this._remake(kept.pair).catch(() => null)
    if (this._stop.signal.aborted || this._attempt !== null) return
    if (shown !== null && kept.fingerprint !== this.certificate?.fingerprint) {
      this.problem = null
      this._use(kept.pair, shown)
      await this._spread()
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
 * The pair for a start, when it is of use now; else null. What cannot be read is
 * no reason to ask for another at each start.
 */
async function openKept (store, log) {
  try {
    const kept = await readKept(store)
    if (kept === null) return null
    await makeContext(kept.pair, null)
    return kept.pair
  } catch (err) {
    if (err.errno !== undefined) throw optionError('acmeCache', err.message, err)
    log.warn('kept certificate of no use', { error: err.code, problem: err.message })
    return null
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
  return new Acme({ store, authority, challenges, makeContext, log, pair: await openKept(store, log) })
}

module.exports = { Acme, openAcme, openAuthority }
