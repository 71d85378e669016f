'use strict'

/** What is looked at before a client connects: a table, in this order. */

const { canonicalHost, formatHostPort } = require('../addresses')
const binding = require('../binding')
const { clientContext } = require('../tls-files')
const { failure, ok, skip, warn } = require('./findings')
const { checkKnownHosts } = require('./hosts')
const { checkClock, checkKeys } = require('./keys')
const { checkPlaces } = require('./ports')
const { Visit, checkName, checkProxy } = require('./reach')

/** The servers that are tried; of a stream nobody knows any. */
const serversOf = ({ server }) => server === undefined ? [] : [server].flat()

/** The proxies on the way to a server; the nearest first. */
const proxiesTo = ({ proxy }, { host }) => proxy?.to(canonicalHost(host) ?? host) ?? []

// Whoever stands between, or wraps it, makes the way to the server another one:
// then the login goes it, and says where it ends. Behind a proxy it is the
// proxy that looks the name up.
const near = (options) => options.stream === undefined ? serversOf(options).filter((server) => proxiesTo(options, server).length === 0) : []
const isDirect = (options) => options.transport === 'tcp' && near(options).length > 0

/** Those proxies that it connects to itself, each once. */
function firstProxies (options) {
  const first = serversOf(options).flatMap((server) => proxiesTo(options, server).slice(0, 1))
  return [...new Map(first.map((one) => [formatHostPort(one.host, one.port), one])).values()]
}

function placesOf ({ socks5, forward, metrics }) {
  const forwards = forward.map(({ here, text }) => [`forward ${text}`, here.path === undefined ? { address: here.host, port: here.port } : here])
  return [...socks5 === null ? [] : [['SOCKS5 proxy', socks5]], ...forwards, ...metrics === null ? [] : [['metrics', metrics]]]
}

function keysOf ({ identity, certificate, user }, passphrase) {
  return checkKeys(identity, {
    option: 'identity', certificateOption: 'certificate', certificates: certificate, kind: 'user', principal: user, passphrase
  })
}

async function checkTls (options) {
  await clientContext(options)
  if (options.insecure) return warn('the server\'s certificate is not checked (insecure): anybody may pretend to be it', 'give --tls-ca the CA that has signed it')
  const own = options.tlsCa.length === 0 ? '' : ` and ${options.tlsCa.length} of --tls-ca`
  return ok(`trusts the CAs of the system${own}`)
}

const each = async (list, check) => (await Promise.all(list.map(check))).flat()

/** A visit to each of the servers by itself; of a stream there is one. */
function visitsOf (context) {
  const { options, raw, passphrase, openSession } = context
  const tools = { openSession, passphrase, user: options.user }
  const servers = serversOf(options)
  context.visits ??= servers.length < 2
    ? [new Visit(raw, servers[0] ?? null, options, tools)]
    : servers.map((server) => new Visit({ ...raw, server: formatHostPort(server.host, server.port) }, server, options, tools))
  return context.visits
}

/** The servers that nobody can go on to: server => the check that says so. */
function lostOf (context) {
  context.lost ??= new Map()
  return context.lost
}

/** What check finds of one server; once something is wrong with it, no more is looked at. */
async function step (context, name, server, check) {
  const lost = lostOf(context)
  if (lost.has(server)) return [skip(`not looked at: ${lost.get(server)} has to be right first`)]
  const findings = [await check()].flat()
  if (findings.some((one) => one.status === 'fail')) lost.set(server, name)
  return findings
}

function checkNames (context) {
  const { options, lookup } = context
  return each(near(options), (server) => step(context, 'name', server, () => checkName(server, options, lookup)))
}

function checkConnections (context) {
  const visits = visitsOf(context).filter((visit) => near(context.options).includes(visit.server))
  const mayLogIn = context.statusOf('identity') !== 'fail'
  return each(visits, (visit) => step(context, 'connection', visit.server, () => visit.connection(mayLogIn)))
}

// One that cannot be logged in to does not hide the others.
function checkLogins (context) {
  return each(visitsOf(context), (visit) => step(context, 'login', visit.server, () => visit.login().catch((err) => {
    if (err.code === 'ERR_ALKNET_CANCELED') throw err
    return failure(err)
  })))
}

/**
 * Rows: name; run(context) gives one finding or several, or throws one; needs:
 * what must not have failed; applies(options): whether there is anything to
 * look at. context: { options, raw, passphrase, openSession, lookup, statusOf }.
 */
const CLIENT = [
  { name: 'clock', run: () => checkClock() },
  { name: 'identity', run: ({ options, passphrase }) => keysOf(options, passphrase) },
  {
    name: 'known hosts',
    applies: ({ dangerouslyAcceptAnyHostKey }) => !dangerouslyAcceptAnyHostKey,
    run: ({ options }) => checkKnownHosts(options, serversOf(options), (options.sshEngine ?? binding.engines[0]) !== 'libssh')
  },
  { name: 'listen', applies: (options) => placesOf(options).length > 0, run: ({ options }) => checkPlaces(placesOf(options)) },
  { name: 'tls', applies: ({ transport }) => transport === 'tls', run: ({ options }) => checkTls(options) },
  { name: 'proxy', applies: (options) => firstProxies(options).length > 0, run: ({ options }) => each(firstProxies(options), (one) => checkProxy(one, options)) },
  { name: 'name', applies: (options) => near(options).length > 0, run: checkNames },
  { name: 'connection', applies: isDirect, run: checkConnections },
  { name: 'login', needs: ['identity', 'proxy'], run: checkLogins }
]

module.exports = { CLIENT }
