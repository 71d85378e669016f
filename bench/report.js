'use strict'

/** From samples to medians, a table, and the bars that alknet must clear. */

const AES128 = 'aes128-gcm@openssh.com'
const CHACHA20 = 'chacha20-poly1305@openssh.com'
const DIRECTIONS = ['up', 'down']
const ENDS = ['client', 'server']
const WAYS = { forward: '-L', socks: '-D' }
const DUPLEX = {
  c: 'all bytes in C', transport: 'a Duplex as transport at both ends', streams: 'a channel as a Duplex at both ends'
}

function median (numbers) {
  const sorted = [...numbers].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

function matching (samples, match) {
  return samples.filter((sample) => Object.entries(match).every(([key, value]) => sample[key] === value))
}

/** The values of one field in the samples that match. */
function values (samples, match, field) {
  return matching(samples, match).map((sample) => sample[field])
}

/**
 * alknet's value by OpenSSH's in the same round; the median of all rounds, so
 * that a busy minute is busy for both. undefined: nothing to compare.
 */
function ratio (samples, match, side, field) {
  const ratios = []
  for (const ours of matching(samples, { ...match, side })) {
    const [theirs] = matching(samples, { ...match, side: 'openssh', round: ours.round })
    if (theirs !== undefined) ratios.push(ours[field] / theirs[field])
  }
  return ratios.length === 0 ? undefined : median(ratios)
}

/** The throughput of one way by that of the way "c" in the same round: the median. */
function toC (samples, match) {
  const ratios = matching(samples, match).flatMap(({ round, mibPerSecond }) =>
    matching(samples, { ...match, way: 'c', round }).map((inC) => mibPerSecond / inC.mibPerSecond))
  return ratios.length === 0 ? undefined : median(ratios)
}

function number (n) {
  if (n >= 100) return n.toFixed(0)
  return n >= 10 ? n.toFixed(1) : n.toFixed(2)
}

/** "median (lowest–highest)", or a dash where nothing was measured. */
function spread (numbers) {
  if (numbers.length === 0) return '–'
  if (numbers.length === 1) return number(numbers[0])
  return `${number(median(numbers))} (${number(Math.min(...numbers))}–${number(Math.max(...numbers))})`
}

const short = (cipher) => cipher.replace('@openssh.com', '').replace('-poly1305', '')
const atOnceText = (atOnce) => atOnce === 1 ? 'one by one' : `${atOnce} at once`
const distinct = (samples, scene, field) => new Set(values(samples, { scene }, field))

/** What the table has rows for: [what, match, field], in order. */
function * measures (samples) {
  for (const cipher of distinct(samples, 'bulk', 'cipher')) {
    for (const way of distinct(samples, 'bulk', 'way')) {
      for (const direction of DIRECTIONS) {
        const match = { scene: 'bulk', cipher, way, direction }
        const name = `${short(cipher)}, ${WAYS[way]}, ${direction}`
        yield [`${name}: MiB/s`, match, 'mibPerSecond']
        yield [`${name}: CPU s/GiB, both ends`, match, 'cpuPerGiB']
      }
    }
  }
  for (const [end, field] of [['client', 'rssClient'], ['server', 'rssServer']]) {
    yield [`RSS of the ${end} during transfers, MB`, { scene: 'bulk' }, field]
  }
  for (const end of ENDS) yield [`peak RSS of the ${end}, MB`, { scene: 'peak', end }, 'rss']
  for (const end of ENDS) yield [`loop delay p99 of the ${end} during a transfer, ms`, { scene: 'loop', end }, 'p99']
  for (const way of distinct(samples, 'open', 'way')) {
    for (const atOnce of distinct(samples, 'open', 'atOnce')) {
      const match = { scene: 'open', way, atOnce }
      const name = `connections, ${WAYS[way]}, ${atOnceText(atOnce)}`
      yield [`${name}: a second`, match, 'perSecond']
      yield [`${name}: p50, ms`, match, 'p50']
      yield [`${name}: p99, ms`, match, 'p99']
      yield [`${name}: CPU µs each, both ends`, match, 'cpuMicros']
    }
  }
  for (const way of distinct(samples, 'duplex', 'way')) {
    for (const direction of DIRECTIONS) {
      const match = { scene: 'duplex', way, direction }
      yield [`${DUPLEX[way]}, ${direction}: MiB/s`, match, 'mibPerSecond']
      yield [`${DUPLEX[way]}, ${direction}: CPU s/GiB, both ends`, match, 'cpuPerGiB']
    }
  }
  yield ['idle channels', { scene: 'idle' }, 'channels']
  yield ['... opened in s', { scene: 'idle' }, 'seconds']
  yield ['... KiB each, client', { scene: 'idle' }, 'kibClient']
  yield ['... KiB each, server', { scene: 'idle' }, 'kibServer']
  yield ['... round trip of 1 KiB beside none: p50, µs', { scene: 'idle' }, 'p50None']
  yield ['... p99, µs', { scene: 'idle' }, 'p99None']
  yield ['... beside all: p50, µs', { scene: 'idle' }, 'p50All']
  yield ['... p99, µs', { scene: 'idle' }, 'p99All']
}

/** Rows that compare where a comparison means something. */
function rows (samples, names) {
  const out = []
  for (const [what, match, field] of measures(samples)) {
    const all = names.map((side) => values(samples, { ...match, side }, field))
    if (all.every((found) => found.length === 0)) continue
    const ratios = names.filter((side) => side !== 'openssh').map((side) => {
      if (['bulk', 'open'].includes(match.scene) && match.way !== undefined) {
        const found = ratio(samples, match, side, field)
        if (found !== undefined) return number(found)
      }
      return '–'
    })
    out.push(`| ${[what, ...all.map(spread), ...ratios].join(' | ')} |`)
  }
  return out
}

const atMost = (limit) => [`at most ${limit}`, (value) => value <= limit]
const atLeast = (limit) => [`at least ${limit}`, (value) => value >= limit]
const under = (limit) => [`under ${limit}`, (value) => value < limit]

/** How much the memory grew from the first transfer to the last, in MB. */
function growth (samples, side, end) {
  const rss = values(samples, { scene: 'flat', side, end }, 'rss')
  return rss.length < 2 ? undefined : rss.at(-1) - rss[0]
}

/** What every engine has to reach: [what, value or undefined, limit]. */
function * commonBars (samples, side) {
  const worst = (match, field) => {
    const found = values(samples, { ...match, side }, field)
    return found.length === 0 ? undefined : Math.max(...found)
  }
  for (const atOnce of [1, 64]) {
    yield [`connections a second, -D, ${atOnceText(atOnce)}, to OpenSSH's`,
      ratio(samples, { scene: 'open', way: 'socks', atOnce }, side, 'perSecond'), atLeast(1)]
  }
  for (const end of ENDS) {
    yield [`RSS of the ${end} during a transfer, MB`,
      worst({ scene: 'bulk' }, end === 'client' ? 'rssClient' : 'rssServer'), under(110)]
    yield [`growth of the ${end} from the first of ten transfers to the last, MB`,
      growth(samples, side, end), atMost(8)]
    yield [`loop delay p99 of the ${end} during a transfer, ms`, worst({ scene: 'loop', end }, 'p99'), under(20)]
  }
}

function * libsshBars (samples, side) {
  for (const direction of DIRECTIONS) {
    yield [`CPU per GiB, -D, aes128-gcm, ${direction}, to OpenSSH's`,
      ratio(samples, { scene: 'bulk', way: 'socks', cipher: AES128, direction }, side, 'cpuPerGiB'), atMost(1.25)]
  }
}

function * nativeBars (samples, side) {
  for (const [cipher, least] of [[AES128, 1.25], [CHACHA20, 1.7]]) {
    for (const direction of DIRECTIONS) {
      const match = { scene: 'bulk', way: 'forward', cipher, direction }
      const name = `-L, ${short(cipher)}, ${direction}, to OpenSSH's`
      yield [`throughput, ${name}`, ratio(samples, match, side, 'mibPerSecond'), atLeast(least)]
      yield [`CPU per GiB, ${name}`, ratio(samples, match, side, 'cpuPerGiB'), atMost(0.75)]
    }
  }
  for (const [atOnce, least] of [[1, 1], [64, 1.5]]) {
    yield [`connections a second, -L, ${atOnceText(atOnce)}, to OpenSSH's`,
      ratio(samples, { scene: 'open', way: 'forward', atOnce }, side, 'perSecond'), atLeast(least)]
  }
  for (const way of ['transport', 'streams']) {
    for (const direction of DIRECTIONS) {
      yield [`throughput, ${DUPLEX[way]}, ${direction}, to that with all bytes in C`,
        toC(samples, { scene: 'duplex', way, direction }), atLeast(0.5)]
    }
  }
  const idle = (field) => {
    const found = values(samples, { scene: 'idle', side }, field)
    return found.length === 0 ? undefined : median(found)
  }
  yield ['KiB for each idle channel, client', idle('kibClient'), atMost(1)]
  yield ['KiB for each idle channel, server', idle('kibServer'), atMost(1)]
  yield ['seconds until all idle channels are open', idle('seconds'), atMost(1.5)]
  yield ['round trip beside all idle channels to that beside none', idle('tripRatio'), atMost(1.2)]
}

const ownBars = { native: nativeBars, libssh: libsshBars }

/**
 * Each bar: side, what, the value found, the limit, and whether it was met. A
 * bar that could not be measured in this run is left out.
 */
function bars (samples) {
  const out = []
  for (const [side, own] of Object.entries(ownBars)) {
    for (const all of [own, commonBars]) {
      for (const [what, value, [limit, met]] of all(samples, side)) {
        if (value !== undefined) out.push({ side, what, value, limit, met: met(value) })
      }
    }
  }
  return out
}

const title = { native: 'native', libssh: 'libssh', tls: 'native over TLS', openssh: 'OpenSSH' }

/** The result as a page of Markdown. */
function table ({ date, plan, versions, samples, bars }) {
  const engines = plan.sides.filter((side) => side !== 'openssh')
  const heads = ['', ...plan.sides.map((side) => title[side]), ...engines.map((side) => `${side} ÷ OpenSSH`)]
  return `# alknet and OpenSSH, side by side

${date.slice(0, 16)} UTC, ${versions.cpu}, Linux ${versions.kernel}, Node ${versions.node}, ${versions.openssh};
load average ${versions.load} at the start. ${plan.rounds} alternating rounds: transfers of ${plan.size} MiB, ${plan.opens} connections (1 KiB each way),
over loopback, through a forward (-L) and the SOCKS5 proxy (-D). Median (lowest–highest); a ratio is the
median of those of each round.

${versions.alknet.split('\n').map((line) => `    ${line}`).join('\n')}

| ${heads.join(' | ')} |
| ${heads.map(() => '---').join(' | ')} |
${rows(samples, plan.sides).join('\n')}

| engine | bar | found | wanted | |
| --- | --- | --- | --- | --- |
${bars.map((bar) => `| ${bar.side} | ${bar.what} | ${number(bar.value)} | ${bar.limit} | ${bar.met ? 'met' : '**missed**'} |`).join('\n')}
`
}

module.exports = { bars, median, table }
