'use strict'

/**
 * Questions to a configuration, without a server: does it hold, what is in
 * effect, may somebody reach a target?
 */

const dns = require('dns')
const binding = require('./binding')
const { openAuthority } = require('./acme/acme')
const { optionError } = require('./errors')
const { loadAuthorizer } = require('./authorizer')
const { canonicalHost, isReserved, parseHostPort } = require('./addresses')
const { formatConfig } = require('./config')
const { createIdentity } = require('./identity')
const { loadCredentials, loadHostKeys } = require('./credentials')
const { Lookups } = require('./lookups')
const { clientOptions, serverOptions } = require('./options')
const { Policy } = require('./policy')
const { readSecret } = require('./stealth')
const { clientContext, serverContexts } = require('./tls-files')

/**
 * Checks everything that serve() would, and reads the same files, but listens
 * nowhere.
 * @param {object} raw options of serve()
 * @param {{ hostKeys?: boolean, files?: boolean }} [what] hostKeys false: leave
 *   the private keys alone; files false: read nothing, check the options alone
 * @returns {Promise<{ config: string, problems: object[], authorities: object[] }>}
 *   what would be in effect, as TOML without secrets; the lines of keys and CAs
 *   that grant nothing, as { source, line, message }; the CAs, as { source, line,
 *   type, fingerprint }
 */
async function checkServe (raw, { hostKeys = true, files = true } = {}) {
  const options = serverOptions(raw)
  if (!files) return { config: formatConfig('serve', options), problems: [], authorities: [] }
  if (hostKeys) await loadHostKeys(options)
  await serverContexts(options.places, options)
  if (options.acmeDomain !== undefined) await openAuthority(options)
  await readSecret(options)
  const { authorizer, problems } = await loadAuthorizer(options)
  const authorities = authorizer.authorities().map(({ source, line, type, blob }) =>
    ({ source, line, type, fingerprint: binding.fingerprint(blob) }))
  return { config: formatConfig('serve', options), problems, authorities }
}

/**
 * Checks options of openSession() and reads the keys, but connects to nobody.
 * @param {object} raw
 * @returns {Promise<{ config: string }>} what would be in effect, as TOML
 *   without secrets
 */
async function checkConnect (raw) {
  const options = clientOptions(raw)
  await loadCredentials(options)
  if (options.transport === 'tls') await clientContext(options)
  await readSecret(options)
  return { config: formatConfig('connect', options) }
}

/** 'host:port' or 'unix:/path' => { host, port } or { path }. */
function parseTarget (text) {
  if (typeof text !== 'string') throw optionError('target', 'must be host:port or unix:/path')
  if (text.startsWith('unix:')) return { path: text.slice(5) }
  const parsed = parseHostPort(text)
  if (typeof parsed === 'string') throw optionError('target', parsed)
  const host = canonicalHost(parsed.host)
  if (host === null) throw optionError('target', 'is not a host name or an address')
  // The server refuses it, and looks up neither of its forms.
  const isName = isReserved(parsed.host)
  if (isName && !host.startsWith('alknet-')) throw optionError('target', 'is another form of a reserved name')
  if (parsed.port === undefined || (parsed.port === 0 && !isName)) throw optionError('target', 'needs a port of 1 to 65535')
  return { host, port: parsed.port }
}

/** The line of authorized_keys for the key id, or null. */
async function lineOf (options, id) {
  const { authorizer } = await loadAuthorizer(options)
  return authorizer.keys().find((entry) => binding.fingerprint(entry.blob) === id) ?? null
}

function lookUp (host, lookup) {
  return new Promise((resolve, reject) => {
    new Lookups(1, lookup).resolve(host, (err, addresses) => {
      if (err) reject(Object.assign(err, { message: `${host}: name not found` }))
      else resolve(addresses)
    })
  })
}

/**
 * Whether the policy of these options lets somebody reach a target, and by
 * which rule. A name is looked up here, as the server would.
 * @param {object} raw options of serve(); hostKey may be missing
 * @param {object} question
 * @param {string} question.target 'host:port' or 'unix:/path'
 * @param {string} question.id the identity's id: a key that stands in
 *   authorizedKeys brings its line's scopes and limits
 * @param {string[]} [question.scopes] scopes on top
 * @param {'tcp'|'tls'|'iroh'|'stream'} [question.transport='tcp']
 * @param {Function} [question.lookup] in place of dns.lookup
 * @returns {Promise<{ allow: boolean, isKnown: boolean, verdicts: object[] }>}
 *   verdicts: { address, allow, by, rule, number, text }, one for each address
 */
async function testPolicy (raw, { target, id, scopes = [], transport = 'tcp', lookup = dns.lookup }) {
  const options = serverOptions({ hostKey: 'none', ...raw })
  const where = parseTarget(target)
  const line = await lineOf(options, id)
  const request = {
    ...where,
    transport,
    identity: createIdentity({ id, scopes: [...(line?.scopes ?? []), ...scopes] }),
    permissions: line ?? { forwarding: true, permitOpen: null, permitListen: null }
  }
  const { default: byDefault, rules, permitListen } = options.forwarding
  const policy = new Policy({ rules, byDefault, permitListen, own: () => ownPlaces(options) })
  const isProxied = where.path === undefined && options.proxy !== undefined && options.proxy.to(where.host).length > 0
  const verdicts = await judge(policy, request, isProxied ? null : lookup)
  return {
    allow: verdicts.some((one) => one.allow),
    isKnown: line !== null,
    verdicts: verdicts.map(({ rule, ...rest }) => ({ ...rest, rule: rule === null ? null : rule.text }))
  }
}

/** Those of the server's own listeners whose place is known before it runs. */
function ownPlaces ({ places: all, control, metrics }) {
  const listeners = metrics === null ? all : [...all, metrics]
  const places = listeners.filter((one) => one.fd === undefined && one.port !== 0)
  return control === true || control === 'off' ? places : [...places, { path: control }]
}

// lookup: null where a proxy does it.
async function judge (policy, request, lookup) {
  if (request.path !== undefined) return [{ address: null, ...policy.decidePath(request) }]
  if (isReserved(request.host)) return [{ address: null, ...policy.decideReserved(request) }]
  if (lookup === null) return [{ address: null, ...policy.decideUnresolved(request) }]
  const early = policy.preview(request)
  if (early !== null) return [{ address: null, ...early }]
  const addresses = await lookUp(request.host, lookup)
  return policy.decide(request, addresses).verdicts.map((one, i) => ({ address: addresses[i], ...one }))
}

module.exports = { checkConnect, checkServe, testPolicy }
