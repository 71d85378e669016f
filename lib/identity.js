'use strict'

/**
 * Who a peer is, for policy, events and the control channel: data, and nothing
 * that decides. Pure.
 *
 *   { id, scopes, resources }
 *
 * id: 'SHA256:…' of the key, or a certificate's key id. scopes: flat words of
 * the operator, from scopes= in authorized_keys or the certificate's extension
 * scopes@alknet. resources: { kind: [name, …] }, empty where keys and
 * certificates are all there is.
 */

const MAX_SCOPES = 256
const MAX_SCOPE = 255

// No spaces, commas or quotes: a scope stands in lists, rules and log lines.
const SCOPE = /^[A-Za-z0-9._:/@+*>-]+$/

/**
 * 'a,b' => ['a', 'b'], each once; or a string that says what is wrong. Empty
 * text has no scopes.
 */
function parseScopes (text) {
  if (text === '') return []
  const list = text.split(',')
  if (list.length > MAX_SCOPES) return `more than ${MAX_SCOPES} scopes`
  for (const one of list) {
    if (one.length > MAX_SCOPE || !SCOPE.test(one)) return 'a scope is empty, too long, or has other characters than A-Z a-z 0-9 . _ : / @ + * > -'
  }
  return [...new Set(list)]
}

/** A copy that nobody can change: handlers of users get it too. */
function createIdentity ({ id, scopes = [], resources = {} }) {
  const owned = Object.entries(resources).map(([kind, names]) => [kind, Object.freeze([...names])])
  return Object.freeze({
    id,
    scopes: Object.freeze([...new Set(scopes)]),
    resources: Object.freeze(Object.fromEntries(owned))
  })
}

/** Of a key: its fingerprint, and the scopes of its line in authorized_keys. */
function identityOfKey (fingerprint, scopes) {
  return createIdentity({ id: fingerprint, scopes })
}

/**
 * Of a certificate that has been verified. keyId: what the CA called it; an
 * empty one says nothing, and the key's fingerprint stands for it. extension:
 * the value of scopes@alknet, or undefined. scopes: those of the CA's line.
 * Gives an identity, or a string that says why there is none.
 */
function identityOfCertificate ({ keyId, fingerprint, extension, scopes = [] }) {
  const granted = extension === undefined ? [] : parseScopes(extension)
  if (typeof granted === 'string') return `scopes@alknet: ${granted}`
  return createIdentity({ id: keyId === '' ? fingerprint : keyId, scopes: [...scopes, ...granted] })
}

module.exports = { createIdentity, identityOfCertificate, identityOfKey, parseScopes }
