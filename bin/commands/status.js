'use strict'

/** alknet status */

const { Option } = require('commander')
const { listenerLine, placeOf, plain, value } = require('./shared')
const { choose } = require('./running')

const EPILOGUE = `
Examples:
  $ alknet status
  $ alknet status --control /run/alknet/serve.sock
  $ alknet status --json | jq -r .state

Asks what this user has running with alknet connect and alknet serve; without
--control all that answers in $XDG_RUNTIME_DIR/alknet and ~/.config/alknet/run.
Where live connections lead is not told. Exit code 0: somebody has answered.
1: nobody has.`

function rows (list) {
  const width = Math.max(...list.map(([name]) => name.length))
  return list.map(([name, text]) => `  ${name.padEnd(width)}  ${plain(text)}`)
}

function both (a, b) {
  return a === b ? a : `${a} in, ${b} out`
}

const since = (status) => status.since === null ? '' : ` since ${status.since}`

/** The first line, and what stands below it: [name, text]. */
function clientLines (status) {
  return [`client of ${plain(status.server)} as ${plain(status.user)}: ${status.state}${since(status)}`,
    ...status.problem === null ? [] : [['problem', `${status.problem}, ${status.attempts} tries failed${status.retryAt === null ? '' : `, the next at ${status.retryAt}`}`]],
    ...status.reconnects === 0 ? [] : [['reconnects', status.reconnects]],
    ...status.hostKey === null ? [] : [['host key', status.hostkey ? `${status.hostKey} (${status.hostkey})` : status.hostKey]],
    ...status.state === 'ready' ? negotiated(status) : [],
    ...status.sessions > 1 ? [['sessions', status.sessions]] : [],
    ['connections', status.connections],
    ...status.listeners.map((one) => [one.isListening ? 'listens' : 'does not listen', `${listenerLine(one)}${one.kind === 'socks5' ? '' : ` (${one.spec})`}`])
  ]
}

function tlsLines ({ version, cipher, alpn, resumed, fingerprint256 }) {
  return [
    ['tls', [version, cipher, ...alpn === null ? [] : [alpn], ...resumed ? ['resumed'] : []].join(', ')],
    ...fingerprint256 === null ? [] : [['certificate', `SHA-256 ${fingerprint256}`]]
  ]
}

function negotiated (status) {
  return [
    ...status.tls === undefined ? [] : tlsLines(status.tls),
    ['engine', `${status.engine}, with ${status.peer}`],
    ['key exchange', status.kex],
    ['ciphers', both(status.cipherIn, status.cipherOut)]
  ]
}

function serverLines (status) {
  return [`server: ${status.state}${since(status)}`,
    ...status.addresses.map((one) => ['listens', placeOf(one)]),
    ...certificateRows(status.certificate),
    ...status.hostKeys.map((one) => ['host key', one]),
    ['engine', status.engine],
    ['clients', status.clients],
    ['sessions', status.sessions],
    ['channels', status.channels],
    ...status.stats.workers > 0 ? [['workers', status.stats.workers]] : [],
    ...counted(status.stats)
  ]
}

function certificateRows (certificate) {
  if (!certificate) return [] // no TLS, or an alknet that is older
  const { expires, problem, retryAt } = certificate
  return [
    ['certificate', expires === null ? 'none yet' : `until ${expires}`],
    ...problem === null ? [] : [['problem', `no newer certificate: ${problem}${retryAt === null ? '' : `, the next try at ${retryAt}`}`]]
  ]
}

/** What has happened since the start; what never has, has no line. */
function counted (stats) {
  const byReason = (reasons) => Object.entries(reasons).filter(([, n]) => n > 0).map(([reason, n]) => `${n} ${reason}`).join(', ')
  return [
    ['forwards', stats.remoteForwards === 0 ? '' : `${stats.remoteForwards} for clients`],
    ['accepted', stats.accepted],
    ['not accepted', stats.acceptErrors === 0 ? '' : `${stats.acceptErrors}, for want of descriptors or memory`],
    ['no TLS', stats.tlsFailures === 0 ? '' : `${stats.tlsFailures} handshakes`],
    ['refused', byReason(stats.refused)],
    ['logins', stats.logins],
    ['rejected', byReason(stats.rejected)],
    ['no channel', byReason(stats.channelsRefused)],
    ['closed', byReason(stats.closed)],
    ['penalties', byReason(stats.penalties)],
    ['visitors', byReason(stats.visitors)],
    ['penalised', stats.penalisedSources === 0 ? '' : `${stats.penalisedSources} source${stats.penalisedSources === 1 ? '' : 's'} now`]
  ].filter(([, text]) => text !== '')
}

function textOf ({ path, status }) {
  const [first, ...rest] = status.role === 'server' ? serverLines(status) : clientLines(status)
  if (status.metrics) rest.push(['metrics', `http://${placeOf(status.metrics)}/metrics`])
  rest.push(['process', `${status.pid}, alknet ${status.version}, ${path}`])
  return [first, ...rows(rest), ''].join('\n')
}

async function run ({ control, json }) {
  const found = await choose(control)
  for (const one of found) {
    process.stdout.write(json ? `${JSON.stringify({ control: one.path, ...one.status })}\n` : textOf(one))
  }
}

module.exports = (alknet) => {
  alknet.command('status')
    .description('how a running client or server is')
    .addOption(value('--control <path>', 'ask just the one with this control socket'))
    .addOption(new Option('--json', 'one JSON object a line for each'))
    .addHelpText('after', EPILOGUE)
    .action(run)
}
