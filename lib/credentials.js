'use strict'

/**
 * What a client brings to a session: its keys, and what it knows of the
 * server's; and what a server shows to all: its host keys. Both with their
 * certificates.
 */

const binding = require('./binding')
const { fail, optionError } = require('./errors')
const { loadKnownHosts } = require('./known-hosts')
const { loadKeys, parsePublicKey } = require('./keys')
const { ALGORITHMS } = require('./algorithms')

// A key of ours that is to sign has one certificate; a client can try several.
const MAX_HOST_CERTIFICATES = 1

/** libssh can neither show nor check a host certificate. */
function hasHostCertificates ({ sshEngine }) {
  return (sshEngine ?? binding.engines[0]) !== 'libssh'
}

const isCertificate = (algorithm) => algorithm.endsWith('-cert-v01@openssh.com')

/**
 * The offered host key algorithms, those first that knownTypes has. Those of
 * certificates are there only when it has them (a CA is known for the host), or
 * when somebody asked for them.
 */
function hostKeyOrder (offered, knownTypes) {
  const list = offered?.split(',') ??
    ALGORITHMS.hostKeyAlgorithms.filter((name) => !isCertificate(name) || knownTypes.includes(name))
  const isKnown = (name) => knownTypes.includes(/^rsa-sha2-\d+$/.test(name) ? 'ssh-rsa' : name)
  return [...list.filter(isKnown), ...list.filter((name) => !isKnown(name))].join(',')
}

/** The fingerprint and, where it is known, the type of a pin. */
function pinParts (pin) {
  if (pin.startsWith('SHA256:')) return { fingerprint: pin, type: null }
  try {
    return parsePublicKey(pin)
  } catch (err) {
    throw optionError('hostKey', err.message, err)
  }
}

/** A key with each of its certificates, and then without, as ssh tries them. */
function loginKeys ({ key, certificates }) {
  const certified = certificates.map(({ blob }) => {
    const copy = key.dup()
    copy.attachCertificate(blob)
    return copy
  })
  return [...certified, key]
}

/** Everything that can be wrong before anything starts. */
async function loadCredentials (options) {
  const { identity, certificate, passphrase, signal, knownHosts, hostKey, acceptNew } = options
  const pins = hostKey.map(pinParts)
  const loaded = await loadKeys(identity, {
    option: 'identity', certificateOption: 'certificate', certificates: certificate, kind: 'user', passphrase, signal
  })
  const known = await loadKnownHosts({
    inputs: knownHosts,
    pins: pins.map((pin) => pin.fingerprint),
    acceptNew,
    certificates: hasHostCertificates(options)
  })
  return { keys: loaded.flatMap(loginKeys), known }
}

/** Why clients will not take a certificate now, or null. */
function problemOf ({ blob, principals }) {
  if (principals.length === 0) return 'it names no host: not every client takes that for all hosts'
  return binding.checkCertificate(blob, 'host', null, Math.floor(Date.now() / 1000))
}

/**
 * A server's keys, with their certificates attached.
 * @param {object} options of serverOptions()
 * @returns {Promise<{ keys: object[], problems: object[] }>} problems: { source,
 *   message } of certificates that are of no use now
 */
async function loadHostKeys (options) {
  const { hostKey, hostCertificate, passphrase, signal } = options
  const loaded = await loadKeys(hostKey, {
    option: 'hostKey', certificateOption: 'hostCertificate', certificates: hostCertificate, kind: 'host', passphrase, signal
  })
  const problems = []
  for (const { key, certificates } of loaded) {
    if (certificates.length > MAX_HOST_CERTIFICATES) {
      throw fail('KEY', 'key', `${certificates[1].name} and ${certificates[0].name} are for the same key, and it can show one`)
    }
    for (const certificate of certificates) {
      const message = hasHostCertificates(options) ? problemOf(certificate) : 'the libssh engine shows none'
      if (message !== null) problems.push({ source: certificate.name, message })
      key.attachCertificate(certificate.blob)
    }
  }
  return { keys: loaded.map(({ key }) => key), problems }
}

module.exports = { hostKeyOrder, loadCredentials, loadHostKeys }
