'use strict'

/**
 * What TLS is given: whom a client trusts, and what a server shows. Both become
 * contexts of the addon, before anything is connected or listened on.
 *
 * A client trusts the system's CAs and those of tlsCa. The system's are those of
 * SSL_CERT_FILE, else the first of PLACES that is there, else Node's own list.
 */

const { X509Certificate, createHash } = require('crypto')
const tls = require('tls')
const binding = require('./binding')
const { AlknetError, canceled, optionError } = require('./errors')
const { readInput } = require('./files')
const { NGINX_ALPN } = require('./listen-options')
const { askPassphrase } = require('./passphrase')

const MAX_PEM = 1024 * 1024

// Of Debian, Alpine and Arch; of Fedora; of SUSE; of macOS and the BSDs.
const PLACES = [
  '/etc/ssl/certs/ca-certificates.crt', '/etc/pki/tls/certs/ca-bundle.crt',
  '/etc/ssl/ca-bundle.pem', '/etc/ssl/cert.pem'
]

async function readPem (source, option) {
  try {
    return await readInput(source, option, MAX_PEM)
  } catch (err) {
    throw optionError(option, err.message, err)
  }
}

/** The CAs that this system trusts, as PEM. */
async function systemRoots () {
  const { SSL_CERT_FILE: chosen } = process.env
  // Whoever sets it means it: no other list in its place.
  if (chosen) return (await readPem(chosen, 'SSL_CERT_FILE')).data
  for (const place of PLACES) {
    try {
      return (await readInput(place, 'tlsCa', MAX_PEM)).data
    } catch (err) {
      if (err.code !== 'ENOENT') throw err
    }
  }
  return Buffer.from(tls.rootCertificates.join('\n'))
}

// The last one that was made: many sessions mostly trust the same CAs, and it
// takes a while, and a megabyte, to read them.
let last = { key: '', context: new WeakRef({}) }

async function readCa (source, option) {
  const { data, name } = await readPem(source, option)
  // By itself: what is wrong with it would else be wrong with all of them.
  await binding.tlsClientContext(data, null, false).catch((err) => {
    throw optionError(option, name === option ? err.message : `${name}: ${err.message}`, err)
  })
  return data
}

/** The system's CAs and those of an option, as PEM. */
async function readTrusted (sources, option) {
  const parts = [await systemRoots(), ...await Promise.all(sources.map((one) => readCa(one, option)))]
  return Buffer.concat(parts.flatMap((one) => [one, Buffer.from('\n')]))
}

/**
 * A client's context.
 * @param {object} options tlsCa, tlsAlpn, insecure and stealth, of clientOptions()
 * @returns {Promise<object>} the addon's TlsContext
 */
async function clientContext ({ tlsCa, tlsAlpn = null, insecure, stealth = false }) {
  const pem = insecure ? null : await readTrusted(tlsCa, 'tlsCa')
  const roots = pem === null ? 'insecure' : createHash('sha256').update(pem).digest('hex')
  const key = `${roots} ${stealth} ${tlsAlpn}`
  const before = last.key === key ? last.context.deref() : undefined
  if (before !== undefined) return before
  const context = await binding.tlsClientContext(pem, tlsAlpn, stealth).catch((err) => {
    throw optionError('tlsCa', `the system's CAs: ${err.message}`, err)
  })
  last = { key, context: new WeakRef(context) }
  return context
}

// The addon's context => what is to be known of the certificate in it.
const certificates = new WeakMap()

/** { span: { from, to }, expires, fingerprint } of a certificate: PEM. */
function describeCertificate (pem) {
  const { validFrom, validTo, fingerprint256: fingerprint } = new X509Certificate(pem)
  const span = { from: Date.parse(validFrom), to: Date.parse(validTo) }
  return { span, expires: new Date(span.to), fingerprint }
}

/** The same of the certificate of a context; undefined when it has none. */
function certificateOf (context) {
  return certificates.get(context)
}

/** A server's context of bytes: PEM. */
async function contextOf (cert, key, passphrase, alpn) {
  const context = await binding.tlsServerContext(cert, key, passphrase, alpn, alpn === NGINX_ALPN)
  certificates.set(context, describeCertificate(cert))
  return context
}

/** One that has no certificate yet: it refuses all but those who look for a proof. */
async function bareContext () {
  return markBare(await binding.tlsServerContext(null, null, null, null))
}

const bare = new WeakSet()

/** Of bareContext(), perhaps of another thread's. */
function isBare (context) {
  return bare.has(context)
}

function markBare (context) {
  bare.add(context)
  return context
}

/**
 * A server's context. Throws when the certificate and the key are not for each
 * other, or the certificate is not valid now.
 * @param {object} place tlsCert and tlsKey: paths, or bytes; tlsAlpn: what to
 *   choose from, if that is looked at
 * @param {object} options passphrase and signal, of serverOptions()
 * @returns {Promise<object>} the addon's TlsContext
 */
async function serverContext ({ tlsCert, tlsKey, tlsAlpn = null }, { passphrase, signal }) {
  const cert = await readPem(tlsCert, 'tlsCert')
  const key = await readPem(tlsKey, 'tlsKey')
  try {
    const isEncrypted = /-----BEGIN ENCRYPTED |^Proc-Type: 4,ENCRYPTED/m.test(key.data.toString('latin1'))
    const answer = isEncrypted ? await askPassphrase(passphrase, key.name, signal) : null
    if (signal?.aborted) throw canceled('listen', signal.reason)
    return await contextOf(cert.data, key.data, answer, tlsAlpn)
  } catch (err) {
    if (!(err instanceof AlknetError) || err.code === 'ERR_ALKNET_CANCELED') throw err
    const [option, { name }] = err.code === 'ERR_ALKNET_KEY' ? ['tlsKey', key] : ['tlsCert', cert]
    throw optionError(option, `${name === option ? '' : `${name}: `}${err.message}`, err)
  } finally {
    key.data.fill(0) // a copy of ours, also where the bytes were given
  }
}

// What tells the context of one place from that of another.
const WHAT = ['tlsCert', 'tlsKey', 'tlsAlpn']

/**
 * The contexts for places of listenPlaces(), in their order; null where no TLS
 * is spoken. Places with the same files and protocols share one. acme: of acme.js,
 * whose certificate it is where none is named; null: nobody is asked for one.
 */
async function serverContexts (places, options, acme = null) {
  const made = []
  const out = []
  for (const place of places) {
    if (place.transport !== 'tls') {
      out.push(null)
      continue
    }
    if (place.isAcme) {
      out.push(await acme?.contextFor(place) ?? null)
      continue
    }
    let one = made.find((other) => WHAT.every((name) => other[name] === place[name]))
    if (one === undefined) {
      // One after the other: a passphrase prompt is for one key.
      one = { ...place, context: await serverContext(place, options) }
      made.push(one)
    }
    out.push(one.context)
  }
  return out
}

module.exports = {
  bareContext,
  certificateOf,
  clientContext,
  contextOf,
  describeCertificate,
  isBare,
  markBare,
  readTrusted,
  serverContexts
}
