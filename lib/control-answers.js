'use strict'

/**
 * What a session and a server answer on their control sockets: how they are,
 * and what was set up. Where a connection leads they do not tell.
 */

const binding = require('./binding')
const { version } = require('../package.json')
const { fail, optionError } = require('./errors')
const { formatHostPort } = require('./addresses')
const { formatPlace, parseForward, parseRemoteForward } = require('./forward-spec')
const { keyOf } = require('./known-hosts')

/** kind of a listener => { add, parse, option }. */
const KINDS = {
  forward: { add: 'forwardLocal', parse: parseForward, option: 'forward' },
  'remote-forward': { add: 'forwardRemote', parse: parseRemoteForward, option: 'remoteForward' }
}

const listenerOf = (one) => ({ kind: one.kind, spec: one.spec, address: one.address(), isListening: one.isListening })

/** { option, parsed, … } of what a request names; throws for what is none. */
function forwardOf ({ kind, spec }) {
  if (typeof kind !== 'string' || !Object.hasOwn(KINDS, kind)) throw optionError('kind', `must be one of ${Object.keys(KINDS).join(', ')}`)
  const { add, parse, option } = KINDS[kind]
  const parsed = typeof spec === 'string' ? parse(spec) : 'must be text'
  if (typeof parsed === 'string') throw optionError(option, parsed)
  return { add, option, parse, text: parsed.text }
}

/** The text of a listener's forward with the port that it has in the place of 0. */
function textWithPort (listener, parse) {
  const { here, there } = parse(listener.spec)
  if (here.port !== 0) return listener.spec
  const sides = [{ ...here, port: listener.address().port }, ...there === null ? [] : [there]]
  return sides.map(formatPlace).join(':')
}

function clientStatus (session) {
  const link = session._link
  const server = link?.server ?? session._options.server?.[0]
  const hostKey = link?.hostKey ?? null
  const { attempts, problem, retryAt } = session._keeper
  const { reconnects, sessions } = session.stats()
  return {
    role: 'client',
    pid: process.pid,
    version,
    state: session.state,
    since: link !== null && link.isReady ? link.since : null,
    server: server === undefined ? null : formatHostPort(server.host, server.port),
    user: session._options.user,
    hostKey: hostKey === null ? null : binding.fingerprint(keyOf(hostKey)), // as ssh shows it
    reconnects,
    sessions,
    attempts,
    retryAt,
    problem: problem === null ? null : problem.code,
    ...session.info,
    connections: session._channels.relays.count,
    listeners: session.openListeners.map(listenerOf),
    metrics: session.metricsAddress()
  }
}

/** Of openControl(), for a session. */
function clientAnswers (session) {
  return {
    status: () => clientStatus(session),
    list: () => ({ listeners: session.openListeners.map(listenerOf) }),
    async add (request) {
      const { add, text } = forwardOf(request)
      return listenerOf(await session[add](text))
    },
    async cancel (request) {
      const { option, parse, text } = forwardOf(request)
      const canceled = session.openListeners.filter((one) => one.kind === request.kind &&
        (one.spec === text || textWithPort(one, parse) === text))
      if (canceled.length === 0) throw fail('CLOSED', 'control', `there is no ${option === 'forward' ? 'forward' : 'remote forward'} ${text}`)
      const listeners = canceled.map(listenerOf)
      await Promise.all(canceled.map((one) => one.close()))
      return { listeners }
    }
  }
}

/** null where no TLS is spoken. problem: why there is no newer one, which is asked for again at retryAt. */
function certificateStatus ({ _entrances: { expires }, _acme: acme }) {
  if (expires === undefined && acme === null) return null
  const problem = acme?.problem?.code ?? null
  return { expires: expires ?? null, problem, retryAt: problem === null ? null : acme.dueAt }
}

function serverStatus (server) {
  const stats = server.stats()
  return {
    role: 'server',
    pid: process.pid,
    version,
    state: server._isClosing ? 'closing' : 'ready',
    since: server._since,
    engine: server._options.sshEngine ?? binding.engines[0],
    hostKeys: server._hostKeys.map((key) => binding.fingerprint(key.blob())),
    addresses: server._entrances.addresses,
    certificate: certificateStatus(server),
    metrics: server.metricsAddress(),
    clients: stats.clients,
    sessions: stats.sessions,
    channels: stats.channels,
    stats
  }
}

const onlyClients = () => { throw fail('UNSUPPORTED', 'control', 'this is a server: forwards are its clients\'') }

/** Of openControl(), for a server. */
function serverAnswers (server) {
  return { status: () => serverStatus(server), list: onlyClients, add: onlyClients, cancel: onlyClients }
}

module.exports = { clientAnswers, serverAnswers }
