'use strict'

/**
 * What is in force on a server, as a worker thread is told it: words and bytes,
 * and the numbers of parcels (binding.js) for keys and certificates, each for
 * one thread. Nothing of it is read again from a file: all threads have what
 * the main thread has found right.
 */

const { ACME } = require('../acme/options')
const { isBare } = require('../tls-files')

// What a thread needs none of: who listens, and for whom, with all of stealth,
// whose clients stay in the main thread; what is read in the main thread; and
// functions.
const NOT_TOLD = new Set([
  'workers', 'listen', 'listeners', 'transport', 'tlsCert', 'tlsKey', 'tlsAlpn', ...Object.keys(ACME),
  'stealth', 'stealthUpstream', 'stealthSecret', 'stealthServer', 'stealthHeadTimeout', 'stealthIdleTimeout', 'maxVisitors', 'control', 'metrics', 'metricsOpen',
  'hostKey', 'hostCertificate', 'passphrase', 'authorizedKeys', 'certAuthority', 'revokedKeys',
  'onConnection', 'authorize', 'maxPending', 'log', 'signal'
])

// A view of a bigger buffer would be copied with all of it.
const bytes = (list) => list.map((one) => new Uint8Array(one))

/**
 * @param {object} server of server.js
 * @param {boolean} isFirst with the host keys, which no reload changes
 * @returns {{ state: object, parcels: number[] }} parcels: to be dropped when nobody takes them
 */
function stateOf (server, isFirst) {
  const { authorizedKeys, certAuthority, revokedKeys } = server._inForce.files
  const hostKeys = isFirst ? server._hostKeys.map((key) => key.send()) : null
  const shown = server._entrances.contexts
  const contexts = shown.map((context) => context === null ? null : context.send())
  const state = {
    options: Object.fromEntries(Object.entries(server._inForce.raw).filter(([name]) => !NOT_TOLD.has(name))),
    files: { authorizedKeys: bytes(authorizedKeys), certAuthority: bytes(certAuthority), revokedKeys: bytes(revokedKeys) },
    own: server._ownPlaces(),
    asks: server._options.authorize !== undefined,
    hostKeys,
    contexts,
    bare: shown.map((context) => isBare(context))
  }
  return { state, parcels: [...hostKeys ?? [], ...contexts.filter((one) => one !== null)] }
}

module.exports = { stateOf }
