'use strict'

/**
 * What a client brings to a session: its keys, and what it knows of the
 * server's.
 */

const { optionError } = require('./errors')
const { loadKnownHosts } = require('./known-hosts')
const { loadPrivateKey, parsePublicKey } = require('./keys')
const { ALGORITHMS } = require('./options')

/** The offered host key algorithms, those first whose keys are known. */
function hostKeyOrder (offered, knownTypes) {
  const list = (offered ?? ALGORITHMS.hostKeyAlgorithms.join(',')).split(',')
  const isKnown = (name) => knownTypes.includes(name.startsWith('rsa-sha2-') ? 'ssh-rsa' : name)
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

/** Everything that can be wrong before anything starts. */
async function loadCredentials (options) {
  const { identity, passphrase, signal, knownHosts, hostKey, acceptNew } = options
  const pins = hostKey.map(pinParts)
  const keys = []
  // One after the other: a passphrase prompt is for one key.
  for (const source of identity) keys.push(await loadPrivateKey(source, { option: 'identity', passphrase, signal }))
  const known = await loadKnownHosts({ inputs: knownHosts, pins: pins.map((pin) => pin.fingerprint), acceptNew })
  return { keys, known }
}

module.exports = { hostKeyOrder, loadCredentials }
