'use strict'

/**
 * What a server and a session tell to Prometheus: docs/metrics.md is this list.
 * Numbers only, and labels that are words of ours: nobody's name, address or
 * destination, and bytes in total only.
 *
 * A family is { name, type, help, samples }, a sample [labels, value] or, of a
 * summary, [labels, value, suffix].
 */

const { versions } = require('process')
const binding = require('./binding')
const { version } = require('../package.json')

const family = (type, name, help, samples) => ({ name: `alknet_${name}`, type, help, samples })
const gauge = (name, help, value) => family('gauge', name, help, [[{}, value]])
const counter = (name, help, value) => family('counter', `${name}_total`, help, [[{}, value]])

/** A counter for each reason; values: { reason: number }. */
function byReason (name, help, values) {
  return family('counter', `${name}_total`, help, Object.entries(values).map(([reason, value]) => [{ reason }, value]))
}

function processFamilies () {
  const { user, system } = process.cpuUsage()
  const began = Date.now() / 1000 - process.uptime()
  return [
    ['gauge', 'process_start_time_seconds', 'When the process began, in seconds since 1970.', Math.round(began * 1000) / 1000],
    ['counter', 'process_cpu_seconds_total', 'Time of processors that the process has used, in seconds.', (user + system) / 1e6],
    ['gauge', 'process_resident_memory_bytes', 'Memory of the process that is resident, in bytes.', process.memoryUsage.rss()]
  ].map(([type, name, help, value]) => ({ name, type, help, samples: [[{}, value]] }))
}

/** role: 'server' or 'client'. delay: of loop-delay.js. */
function commonFamilies (role, engine, delay) {
  const { p50, p99, sum, count } = delay.read()
  return [
    family('gauge', 'build_info', 'What runs: always 1.', [
      [{ version, role, engine: engine ?? binding.engines[0], node: versions.node, openssl: versions.openssl, libuv: versions.uv }, 1]
    ]),
    family('summary', 'event_loop_delay_seconds', 'How late the event loop is: quantiles of lately, 10 s at least.', [
      [{ quantile: '0.5' }, p50], [{ quantile: '0.99' }, p99], [{}, sum, '_sum'], [{}, count, '_count']
    ]),
    ...processFamilies()
  ]
}

/** Of a server. stats: of server.stats(). */
function serverFamilies (stats, engine, delay) {
  return [
    gauge('connections', 'Clients that are connected, logged in or not.', stats.clients),
    counter('connections_accepted', 'Connections that could try to log in.', stats.accepted),
    byReason('connections_refused', 'Connections that were turned away, before any SSH.', stats.refused),
    byReason('connections_closed', 'Connections that the server has ended.', stats.closed),
    counter('accept_errors', 'Connections that could not be accepted, for want of descriptors or memory.', stats.acceptErrors),
    counter('tls_failures', 'TLS handshakes that have failed.', stats.tlsFailures),
    gauge('visitors', 'Connections to listeners with stealth that have not shown that they are clients.', stats.visiting),
    byReason('visitors', 'Connections to listeners with stealth that were no clients.', stats.visitors),
    gauge('sessions', 'Clients that are logged in.', stats.sessions),
    counter('logins', 'Clients that have logged in.', stats.logins),
    byReason('logins_refused', 'Keys that were refused.', stats.rejected),
    byReason('penalties', 'Connections without a login that were held against their source.', stats.penalties),
    gauge('penalised_sources', 'Sources that are refused now, for what they have done.', stats.penalisedSources),
    gauge('channels', 'Channels that are open or opening.', stats.channels),
    counter('channels', 'Channels that clients have asked for.', stats.channelsTotal),
    byReason('channels_refused', 'Channels that clients have not got.', stats.channelsRefused),
    family('gauge', 'tls_certificate_expires_seconds', 'When the first certificate that is shown expires, in seconds since 1970.',
      stats.certificateExpires === null ? [] : [[{}, stats.certificateExpires]]),
    family('counter', 'certificate_orders_total', 'Certificates that were asked for by ACME.',
      Object.entries(stats.certificateOrders).map(([result, value]) => [{ result }, value])),
    gauge('remote_forwards', 'Places that the server listens on for clients.', stats.remoteForwards),
    gauge('workers', 'Worker threads that serve clients.', stats.workers),
    counter('workers_lost', 'Worker threads that have ended by themselves.', stats.workersLost),
    counter('received_bytes', 'Bytes that came from clients, as SSH.', stats.bytesIn),
    counter('sent_bytes', 'Bytes that went to clients, as SSH.', stats.bytesOut),
    ...commonFamilies('server', engine, delay)
  ]
}

/** Of a session. stats: of session.stats(). isReady: whether there is a link. listeners: how many there are. */
function clientFamilies ({ stats, isReady, listeners, engine }, delay) {
  return [
    gauge('session_ready', 'Whether the client is logged in: 1 or 0.', isReady ? 1 : 0),
    gauge('client_sessions', 'SSH sessions that the client has with the server.', stats.sessions),
    counter('reconnects', 'Times that the client has logged in again.', stats.reconnects),
    gauge('listeners', 'SOCKS proxies, forwards and remote forwards that there are.', listeners),
    gauge('channels', 'Channels that are open or opening.', stats.channels),
    counter('channels', 'Channels that were asked for.', stats.channelsTotal),
    counter('received_bytes', 'Bytes that came from the server, as SSH.', stats.bytesIn),
    counter('sent_bytes', 'Bytes that went to the server, as SSH.', stats.bytesOut),
    ...commonFamilies('client', engine, delay)
  ]
}

module.exports = { clientFamilies, serverFamilies }
