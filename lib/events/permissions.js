'use strict'

/**
 * Which topics an identity may use, from its scopes. Pure.
 *
 *   scope = 'topics:' ( 'publish' | 'subscribe' ) ':' pattern
 *
 * Who has no such scope may do nothing.
 */

const { covers, patternProblem } = require('./topics')

const SCOPE = /^topics:(publish|subscribe):(.+)$/
const MAX_SCOPE = 255

const granted = new WeakMap() // scopes => { publish, subscribe }, patterns

function grantsOf (scopes) {
  if (!granted.has(scopes)) {
    const grants = { publish: [], subscribe: [] }
    for (const scope of scopes) {
      const [, action, pattern] = SCOPE.exec(scope) ?? []
      // One that is no pattern grants nothing.
      if (action !== undefined && patternProblem(pattern, MAX_SCOPE) === null) grants[action].push(pattern)
    }
    granted.set(scopes, grants)
  }
  return granted.get(scopes)
}

/**
 * Whether the scopes of an identity allow what it asks for: `authorize` of a hub
 * that has none, and a part for your own.
 * @param {{ identity: object|null, action: 'publish'|'subscribe', topic: string }} request
 * @returns {boolean}
 */
function authorizeByScopes ({ identity, action, topic }) {
  const scopes = identity?.scopes
  if (!Array.isArray(scopes) || !Object.isFrozen(scopes)) return false
  return grantsOf(scopes)[action].some((pattern) => covers(pattern, topic))
}

module.exports = { authorizeByScopes }
