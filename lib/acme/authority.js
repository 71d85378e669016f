'use strict'

/**
 * A certificate from an authority, by ACME (RFC 8555; RFC 8738 for addresses):
 *
 *   account -> order -> for each name: a challenge, shown, looked at, taken away
 *     -> a new key's request -> the certificate, checked
 *
 * The protocol's messages are acme-client's, which is loaded when somebody asks
 * for a certificate; requests go through requests.js. Whoever has named an
 * authority takes its terms as agreed to.
 */

const { X509Certificate } = require('crypto')
const net = require('net')
const { AlknetError, canceled, fail, optionError } = require('../errors')
const { readInput } = require('../files')
const { certifiedName } = require('./options')
const { Requests, problemText, words } = require('./requests')

const POLL = { firstMs: 250, maxMs: 5000, patienceMs: 120_000 }
const MAX_HMAC_FILE = 4096

// RFC 8555 §8.3: at least 128 bits, and nothing that means anything in a path.
const TOKEN = /^[A-Za-z0-9_-]{22,128}$/

// Let's Encrypt certifies addresses for a few days only.
const SHORT_LIVED = 'shortlived'

/** Resolves after ms, or rejects as soon as signal is aborted. Keeps no process up. */
function pause (ms, signal) {
  return new Promise((resolve, reject) => {
    const onAbort = () => {
      clearTimeout(timer)
      reject(canceled('acme', signal.reason))
    }
    const timer = setTimeout(() => {
      signal.removeEventListener('abort', onAbort)
      resolve()
    }, ms)
    timer.unref()
    if (signal.aborted) onAbort()
    else signal.addEventListener('abort', onAbort, { once: true })
  })
}

/** The secret that an account is bound with (RFC 8555 §7.3.4): base64url, as CAs give it. */
async function readHmac (source) {
  const { data, name } = await readInput(source, 'acmeEabHmacFile', MAX_HMAC_FILE)
  const text = data.toString('latin1').trim()
  if (!/^[A-Za-z0-9_+/-]{16,}={0,2}$/.test(text)) throw optionError('acmeEabHmacFile', `${name}: not a key in base64url`)
  return text
}

/** Where the CA says for each name whether it believes that it is ours. */
function authorizationsOf ({ authorizations }, names) {
  if (Array.isArray(authorizations) && authorizations.length <= names.length) return authorizations
  throw fail('ACME', 'acme', `the CA wants something else than ${names.length} names proven`)
}

/** The name that is to be proven: one of ours. */
function nameOf ({ identifier }, names) {
  const said = String(identifier?.value)
  const name = net.isIP(said) === 0 ? said.toLowerCase() : certifiedName('name', said)
  if (names.includes(name)) return name
  throw fail('ACME', 'acme', `the CA asks for ${words(name)}, which nobody wants`)
}

/** Throws unless the certificate is for all of names. */
function checkNames (pem, names) {
  const certificate = new X509Certificate(pem)
  const isFor = (name) => (net.isIP(name) === 0 ? certificate.checkHost(name, { subject: 'never' }) : certificate.checkIP(name)) !== undefined
  const missing = names.filter((name) => !isFor(name))
  if (missing.length > 0) throw fail('ACME', 'acme', `the CA has issued a certificate that is not for ${words(missing[0])}`)
}

class Authority {
  /**
   * options: of serverOptions(). ca: PEM of whom to trust as the CA. hmac: of
   * readHmac(), or null. store: of store.js. poll: how long to wait for the CA.
   */
  constructor ({ options, ca, hmac, store, poll = POLL }) {
    this._options = options
    this._ca = ca
    this._hmac = hmac
    this._store = store
    this._poll = poll
  }

  /** challenges: of challenges.js. Resolves with { cert, key }, PEM. */
  async obtain (challenges, signal) {
    const requests = new Requests({ ca: this._ca, signal })
    try {
      const { client, order } = await this._begin(requests)
      const until = (ask, isDone) => this._until(requests, signal, ask, isDone)
      for (const url of authorizationsOf(order, this._options.acmeDomain)) {
        const ask = async () => (await client.api.getAuthorization(url)).data
        const authorization = await ask()
        if (authorization.status !== 'valid') await this._prove(client, authorization, challenges, () => until(ask, ({ status }) => status !== 'pending'))
      }
      return await this._finish(client, order, until)
    } catch (err) {
      if (signal.aborted) throw canceled('acme', signal.reason)
      throw err instanceof AlknetError ? err : fail('ACME', 'acme', words(err.message), { cause: err })
    } finally {
      requests.close()
    }
  }

  /** Whether there is a directory: for the doctor. */
  async look (signal) {
    const requests = new Requests({ ca: this._ca, signal, keepsUp: true })
    try {
      await requests.request(this._options.acmeDirectory, 'get')
    } finally {
      requests.close()
    }
  }

  _client (requests, account) {
    const { Client } = require('acme-client')
    const { acmeDirectory, acmeEabKid } = this._options
    const client = new Client({
      directoryUrl: acmeDirectory,
      accountKey: account.key,
      accountUrl: account.url ?? undefined,
      ...this._hmac === null ? {} : { externalAccountBinding: { kid: acmeEabKid, hmacKey: this._hmac } }
    })
    client.http.request = (url, method, given) => requests.request(url, method, given)
    return client
  }

  // An account that the CA does not know any more is made anew, with its key.
  async _begin (requests) {
    const { crypto } = require('acme-client')
    const kept = await this._store.readAccount()
    const key = kept?.key ?? String(await crypto.createPrivateEcdsaKey('P-256'))
    if (kept !== null) {
      const client = this._client(requests, kept)
      try {
        await this._tellContact(client, kept)
        return { client, order: await this._order(client) }
      } catch (err) {
        if (err.problem !== 'accountDoesNotExist') throw err
      }
    }
    const client = await this._register(requests, key)
    return { client, order: await this._order(client) }
  }

  async _register (requests, key) {
    const client = this._client(requests, { key, url: null })
    const contact = this._options.acmeContact
    // Its own createAccount() goes on to change an account that is there already,
    // also where nothing is to be changed, which some CAs refuse.
    await client.api.createAccount({ termsOfServiceAgreed: true, ...contact.length === 0 ? {} : { contact } })
    await this._store.writeAccount({ key, url: client.getAccountUrl(), contact })
    return client
  }

  async _tellContact (client, account) {
    const contact = this._options.acmeContact
    if (contact.join() === account.contact.join()) return
    await client.updateAccount({ contact })
    await this._store.writeAccount({ ...account, contact })
  }

  async _order (client) {
    const { acmeDomain: names, acmeProfile } = this._options
    const identifiers = names.map((value) => ({ type: net.isIP(value) === 0 ? 'dns' : 'ip', value }))
    const profiles = await client.api.http.getMetaField('profiles')
    const needsShort = identifiers.some(({ type }) => type === 'ip') && profiles !== null && Object.hasOwn(profiles, SHORT_LIVED)
    const profile = acmeProfile ?? (needsShort ? SHORT_LIVED : undefined)
    return client.createOrder({ identifiers, ...profile === undefined ? {} : { profile } })
  }

  /** settled(): a promise of the authorization when it has been judged. */
  async _prove (client, authorization, challenges, settled) {
    const { crypto } = require('acme-client')
    const { acmeChallenge: type } = this._options
    const name = nameOf(authorization, this._options.acmeDomain)
    const challenge = authorization.challenges.find((one) => one.type === type)
    if (challenge === undefined) throw fail('ACME', 'acme', `the CA offers no ${type} for ${words(name)}`)
    if (!TOKEN.test(challenge.token)) throw fail('ACME', 'acme', 'the token of a challenge is none')
    const keyAuthorization = await client.getChallengeKeyAuthorization(challenge)
    const hide = await challenges.show({
      name,
      token: challenge.token,
      keyAuthorization,
      certify: async () => {
        const [key, cert] = await crypto.createAlpnCertificate(authorization, keyAuthorization, await crypto.createPrivateEcdsaKey('P-256'))
        return { key, cert }
      }
    })
    try {
      if (challenge.status === 'pending') await client.completeChallenge(challenge)
      const done = await settled()
      if (done.status !== 'valid') throw this._notProven(done, type)
    } finally {
      hide()
    }
  }

  _notProven ({ challenges, identifier, status }, type) {
    const problem = challenges.find((one) => one.type === type)?.error
    return fail('ACME', 'acme', `the CA does not believe that ${words(identifier.value)} is this server's: ${problem ? problemText(problem) : words(status)}`, { reason: 403 })
  }

  async _finish (client, order, until) {
    const { crypto } = require('acme-client')
    const names = this._options.acmeDomain
    const key = await crypto.createPrivateEcdsaKey('P-256')
    const [, csr] = await crypto.createCsr({ altNames: names }, key)
    const isOver = ({ status }) => status === 'valid' || status === 'invalid'
    const ready = await until(() => client.getOrder(order), ({ status }) => status !== 'pending')
    if (ready.status !== 'ready') throw fail('ACME', 'acme', `the order is ${words(ready.status)}`)
    const asked = await client.finalizeOrder(ready, csr)
    const done = isOver(asked) ? asked : await until(() => client.getOrder(ready), isOver)
    if (done.status !== 'valid') throw fail('ACME', 'acme', `the CA issues no certificate: ${done.error ? problemText(done.error) : 'the order is invalid'}`)
    const cert = await client.getCertificate(done)
    checkNames(cert, names)
    return { cert: String(cert), key: String(key) }
  }

  /** Asks until isDone(answer), less and less often. */
  async _until (requests, signal, ask, isDone) {
    const { firstMs, maxMs, patienceMs } = this._poll
    const end = performance.now() + patienceMs
    for (let delay = firstMs; ; delay = Math.min(delay * 2, maxMs)) {
      const answer = await ask()
      if (isDone(answer)) return answer
      if (performance.now() > end) throw fail('TIMEOUT', 'acme', `the CA has not come to an end within ${patienceMs / 1000} s`)
      await pause(Math.min(Math.max(delay, (requests.retryAfter ?? 0) * 1000), maxMs), signal)
    }
  }
}

module.exports = { Authority, pause, readHmac }
