'use strict'

/**
 * What is in force on a server: its options, who may log in, the policy; and
 * the reloads that swap all of that at once. That they come one after another
 * is reloads.js's.
 */

const { isDeepStrictEqual } = require('util')
const { loadAuthorizer } = require('./authorizer')
const { placeKeys } = require('./entrance')
const { optionError } = require('./errors')
const { RELOADABLE, onlyInCode, ownOptions, serverOptions } = require('./options')
const { Policy } = require('./policy')
const { readSecret } = require('./stealth')
const { serverContexts } = require('./tls-files')

/** A signal is for the start alone: one that comes later, or a limit of that time, is nothing to a reload. */
function withoutSignal (options) {
  return { ...options, signal: undefined }
}

/** What options, or changes of them, have from a class too: a copy has only what they have themselves. */
function withInherited (given) {
  return { ...ownOptions(given), ...given }
}

// Where a server listens is the same also when its certificates are others.
function isSame (name, options, old) {
  if (name === 'places') return true // what becomes of the others
  if (name !== 'listeners' || options.listeners === undefined || old.listeners === undefined) {
    return isDeepStrictEqual(options[name], old[name])
  }
  return isDeepStrictEqual(placeKeys(options.places), placeKeys(old.places))
}

class InForce {
  /** server: of server.js. raw: of ownOptions(), and options: of serverOptions(). */
  constructor (server, raw, options) {
    this._server = server
    this.options = withoutSignal(options)
    this.policy = this._policyOf(options)
    /** Who may log in: of authorizer.js. */
    this.authorizer = null
    /** The files that this was read from. */
    this.files = null
    this._wanted = withoutSignal(raw) // as they were last given: what reload() changes
    /** Of these, those that hold: some need a new start. */
    this.raw = this._wanted
  }

  /**
   * All of it. Gives what is wrong with the certificates alone, which were
   * left. changes: of server.reloadAll(). check: of reloads.js.
   */
  async reload (changes, check) {
    const { raw, options, auth, secret, problem } = await this._read(changes).catch((err) => ({ problem: err }))
    if (problem !== undefined) {
      await this._renewTls(check)
      throw problem
    }
    const { _acme: acme, _admission: admission } = this._server
    const read = await serverContexts(options.places, options, acme).then((contexts) => ({ contexts }), (err) => ({ problem: err }))
    check()
    this._takeOver(raw, options, auth, read.contexts ?? [])
    acme?.refresh()
    admission.visitors.update(secret)
    return read.problem
  }

  /** Another policy. */
  reloadForwarding (forwarding) {
    if (forwarding === undefined) throw optionError('forwarding', 'is required')
    const { raw, options } = this._checked({ ...this._wanted, forwarding })
    this.options = { ...this.options, forwarding: options.forwarding }
    this._wanted = raw
    this.raw = { ...this.raw, forwarding: raw.forwarding }
    this.policy = this._policyOf(this.options)
  }

  /** The certificates and keys of TLS, from their files. */
  async loadTls (check) {
    const { places } = this.options
    const { _acme: acme, _entrances: entrances } = this._server
    const contexts = await serverContexts(places, this.options, acme)
    check()
    entrances.use(places, contexts)
    acme?.refresh()
  }

  /** authorized_keys and its like, from their files. */
  async loadAuth (check = () => {}) {
    const auth = await loadAuthorizer(this.options)
    check()
    this._useAuth(auth)
  }

  async _read (changes) {
    const { raw, options } = this._checked(typeof changes === 'function'
      ? { ...onlyInCode(this._wanted), ...withInherited(await changes()) }
      : { ...this._wanted, ...withInherited(changes) })
    return { raw, options, auth: await loadAuthorizer(options), secret: await readSecret(options) }
  }

  _checked (given) {
    const raw = withoutSignal(given)
    return { options: serverOptions(raw), raw: ownOptions(raw) }
  }

  // What is wrong with the rest must not let a certificate expire.
  async _renewTls (check) {
    if (!this.options.places.some(({ transport }) => transport === 'tls')) return
    const { _reloads: reloads } = this._server
    try {
      await this.loadTls(check)
      reloads.done('tls')
    } catch (err) {
      check()
      reloads.failed('tls', err)
    }
  }

  // One step: nothing in here waits.
  _takeOver (raw, options, auth, contexts) {
    const { _entrances: entrances, _limits: limits, _log: log, _penalties: penalties } = this._server
    const old = this.options
    const next = { ...old }
    this._wanted = raw
    this.raw = { ...this.raw }
    for (const name of RELOADABLE) {
      next[name] = options[name]
      this.raw[name] = raw[name]
    }
    for (const name of Object.keys(options)) {
      if (RELOADABLE.includes(name) || isSame(name, options, old)) continue
      log.warn('needs a new start', { option: name })
    }
    // The certificates change with the files; the places only with a new start.
    next.places = entrances.use(options.places, contexts)
    this.options = next
    this.policy = this._policyOf(next)
    limits.update(next)
    penalties.update(next)
    this._useAuth(auth)
  }

  _policyOf ({ forwarding }) {
    return new Policy({
      rules: forwarding.rules,
      byDefault: forwarding.default,
      permitListen: forwarding.permitListen,
      own: () => this._server._ownPlaces()
    })
  }

  _useAuth ({ authorizer, problems, files }) {
    const { _log: log, _workers: workers } = this._server
    for (const { source, line, message } of problems) {
      log.warn('authorized_keys line ignored', { source, line, problem: message })
    }
    this.authorizer = authorizer
    if (workers !== null) this.files = files
    if (authorizer.isEmpty) log.warn('nobody can log in: no usable line in authorized_keys, and no CA', {})
  }
}

module.exports = { InForce }
