'use strict'

/**
 * What alknet has set itself: each bar, and the goal beyond it, for both
 * engines. Where there are several figures (directions, ends) the worst counts.
 */

const { MBIT, linkName } = require('./scenes/path')
const { middle, number, ratio, values } = require('./stats')

const DIRECTIONS = ['up', 'down']
const LINK = linkName({ ms: 100, buffers: true })

const atLeast = (n) => ({ text: `≥ ${n}`, isMet: (value) => value >= n, worst: Math.min })
const atMost = (n) => ({ text: `≤ ${n}`, isMet: (value) => value <= n, worst: Math.max })

const bulk = (cipher, field, other) => ({ bulk: samples = [] }, engine) => DIRECTIONS.map((direction) =>
  ratio(samples, { kind: 'transfer', way: 'forward', cipher, direction }, field, [engine, other]))

const opens = (other) => ({ open: samples = [] }, engine) =>
  [ratio(samples, { kind: 'open', way: 'forward', atOnce: 64 }, 'perSecond', [engine, other])]

const idle = (...fields) => ({ idle: samples = [] }, engine) => fields.map((field) => middle(samples, { kind: 'idle', side: engine }, field))

const sessions = (field) => ({ sessions: samples = [] }, engine) => [middle(samples, { kind: 'sessions', side: engine }, field)]

const onPath = (samples = [], side, streams, direction) => middle(samples, { kind: 'path', link: LINK, side, streams, direction }, 'steady')

const share = (streams) => ({ path }, engine) => DIRECTIONS.map((direction) => onPath(path, engine, streams, direction) / MBIT)

const toOpenssh = ({ path }, engine) => DIRECTIONS.map((direction) => onPath(path, engine, 1, direction) / onPath(path, 'openssh', 1, direction))

// They are there only with the engine that is the default.
const duplex = ({ duplex: samples = [] }, engine) => engine !== 'native'
  ? []
  : ['transport', 'streams'].flatMap((way) => DIRECTIONS.map((direction) =>
      ratio(samples, { kind: 'transfer', direction }, 'mibPerSecond', [way, 'c'])))

// The default engine's, as TLS is.
const overTls = ({ bulk: samples = [] }, engine) => engine !== 'native'
  ? []
  : DIRECTIONS.map((direction) => ratio(samples, { kind: 'transfer', way: 'forward', cipher: 'aes128-gcm', direction }, 'mibPerSecond', ['tls', 'native']))

const beside = ({ beside: samples = [] }, engine) => DIRECTIONS.map((direction) => middle(samples, { side: engine, direction }, 'p99'))

/** All that was watched of an engine. */
function loops (all, engine) {
  return Object.values(all).flat().filter(({ kind, side }) => kind === 'loop' && side === engine)
}

const loopDelay = (all, engine) => values(loops(all, engine), {}, 'p99')

const BARS = [
  ...['aes128-gcm', 'aes256-gcm', 'chacha20'].flatMap((cipher) => [
    [`bulk throughput, ${cipher}, to OpenSSH's`, bulk(cipher, 'mibPerSecond', 'openssh'), atLeast(1), atLeast(1.4)],
    [`CPU per GiB, both sides, ${cipher}, to OpenSSH's`, bulk(cipher, 'cpuPerGiB', 'openssh'), atMost(1), atMost(0.7)]
  ]),
  ['new connections a second, 64 at once, to OpenSSH\'s', opens('openssh'), atLeast(1.3), atLeast(1.8)],
  ['RSS per idle channel, KiB a side', idle('kibClient', 'kibServer'), atMost(5), atMost(1)],
  ['round trip with 4,000 idle channels, p50, to that with none', idle('tripRatio'), atMost(2), atMost(1.1)],
  ['opening 4,000 channels, s', idle('seconds'), atMost(2), atMost(1)],
  ['100 ms × 1 Gbit/s, one stream, to OpenSSH\'s', toOpenssh, atLeast(4), null],
  ['100 ms × 1 Gbit/s, one stream, share of the link', share(1), null, atLeast(0.9)],
  ['100 ms × 1 Gbit/s, eight streams, share of the link', share(8), atLeast(0.85), atLeast(0.95)],
  ['1,000 sessions to one server, KiB of RSS per idle session', sessions('kibServer'), atMost(64), atMost(24)],
  ['bulk throughput, aes128-gcm, to that of ssh2', bulk('aes128-gcm', 'mibPerSecond', 'ssh2'), atLeast(1.4), atLeast(2)],
  ['new connections a second, 64 at once, to those of ssh2', opens('ssh2'), atLeast(3), atLeast(5)],
  ['bulk throughput over TLS, aes128-gcm, to that over tcp', overTls, atLeast(0.7), null],
  ['JS Duplex at both ends against C to C', duplex, atLeast(0.5), atLeast(0.7)],
  ['event-loop delay p99, the worst of every scene, ms', loopDelay, atMost(20), atMost(5)],
  ['round trip of a byte beside a bulk stream, p99, ms', beside, atMost(20), null]
]

/**
 * @param {object} all scene: samples
 * @returns {object[]} { what, found: { native, libssh }, bar, goal }; bar and
 *   goal: { text, isMet } of the engine native, or null. What could not be
 *   measured is left out.
 */
function barsOf (all) {
  return BARS.flatMap(([what, figures, bar, goal]) => {
    const { worst } = bar ?? goal
    const found = Object.fromEntries(['native', 'libssh'].map((engine) => {
      const known = figures(all, engine).filter((figure) => Number.isFinite(figure))
      return [engine, known.length === 0 ? undefined : worst(...known)]
    }))
    if (found.native === undefined) return []
    const judge = (limit) => limit === null ? null : { text: limit.text, isMet: limit.isMet(found.native) }
    return [{ what, found, bar: judge(bar), goal: judge(goal) }]
  })
}

const word = (judged) => judged === null ? ['', ''] : [judged.text, judged.isMet ? 'met' : '**not met**']

function barTable (bars) {
  return {
    title: 'The bars',
    head: ['', 'alknet', 'alknet, libssh', 'bar', '', 'goal', ''],
    rows: bars.map(({ what, found, bar, goal }) => [what, number(found.native), number(found.libssh), ...word(bar), ...word(goal)])
  }
}

/** The loop's delay by what was going on. */
function loopTable (all) {
  const names = [...new Set([...loops(all, 'native'), ...loops(all, 'libssh')].map(({ what }) => what))]
  const cell = (engine, what) => ['client', 'server'].map((end) => {
    const found = values(loops(all, engine), { what, end }, 'p99')
    return found.length === 0 ? '–' : number(Math.max(...found))
  })
  return {
    title: 'Delay of the event loop, p99, ms',
    head: ['', 'alknet: client', 'server', 'alknet, libssh: client', 'server'],
    rows: names.map((what) => [what, ...cell('native', what), ...cell('libssh', what)])
  }
}

module.exports = { LINK, barTable, barsOf, loopTable }
