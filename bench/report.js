'use strict'

/** From samples to medians, a table, and the bars that alknet must clear. */

function median (numbers) {
  const sorted = [...numbers].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

/** The values of one field in the samples that match. */
function values (samples, match, field) {
  return samples.filter((sample) => Object.entries(match).every(([key, value]) => sample[key] === value))
    .map((sample) => sample[field])
}

function number (n) {
  if (n >= 100) return n.toFixed(0)
  return n >= 10 ? n.toFixed(1) : n.toFixed(2)
}

/** "median (lowest–highest)", or a dash where nothing was measured. */
function spread (numbers) {
  if (numbers.length === 0) return '–'
  return `${number(median(numbers))} (${number(Math.min(...numbers))}–${number(Math.max(...numbers))})`
}

const short = (cipher) => cipher.replace('@openssh.com', '')

function rows (samples) {
  const out = []
  const row = (what, match, field) => {
    const of = (side) => values(samples, { ...match, side }, field)
    const [ours, theirs] = [of('alknet'), of('openssh')]
    if (ours.length + theirs.length === 0) return
    const ratio = ours.length && theirs.length ? number(median(ours) / median(theirs)) : '–'
    out.push(`| ${what} | ${spread(ours)} | ${spread(theirs)} | ${ratio} |`)
  }
  for (const cipher of new Set(values(samples, { scene: 'bulk' }, 'cipher'))) {
    for (const direction of ['up', 'down']) {
      const match = { scene: 'bulk', cipher, direction }
      const name = `${direction}, ${short(cipher)}`
      row(`${name}: MiB/s`, match, 'mibPerSecond')
      row(`${name}: CPU s/GiB, both ends`, match, 'cpuPerGiB')
      row(`${name}: RSS of the client, MB`, match, 'rssClient')
      row(`${name}: RSS of the server, MB`, match, 'rssServer')
      for (const end of ['client', 'server']) {
        row(`${name}: loop delay p99 of the ${end}, ms`, { scene: 'loop', cipher, direction, end }, 'p99')
      }
    }
    for (const end of ['client', 'server']) {
      row(`${short(cipher)}: peak RSS of the ${end}, MB`, { scene: 'peak', cipher, end }, 'rss')
    }
  }
  for (const atOnce of new Set(values(samples, { scene: 'open' }, 'atOnce'))) {
    const match = { scene: 'open', atOnce }
    const name = `new connections, ${atOnce === 1 ? 'one by one' : `${atOnce} at once`}`
    row(`${name}: a second`, match, 'perSecond')
    row(`${name}: p50, ms`, match, 'p50')
    row(`${name}: p99, ms`, match, 'p99')
    row(`${name}: CPU µs each, both ends`, match, 'cpuMicros')
  }
  return out
}

/** How much the memory of an end grew from its first round to its last, in MB. */
function growth (samples, field) {
  const cipher = samples.find((sample) => sample.scene === 'bulk')?.cipher
  const rss = values(samples, { scene: 'bulk', side: 'alknet', cipher }, field)
  return rss.length < 2 ? undefined : rss.at(-1) - rss[0]
}

/**
 * Each bar: what, the value found, the limit, and whether it was met. A bar
 * that could not be measured in this run is left out.
 */
function bars (samples) {
  const out = []
  const bar = (what, value, limit, met) => {
    if (value !== undefined && !Number.isNaN(value)) out.push({ what, value, limit, met: met(value) })
  }
  const atMost = (limit) => (value) => value <= limit
  const ratio = (match, field) => median(values(samples, { ...match, side: 'alknet' }, field)) /
    median(values(samples, { ...match, side: 'openssh' }, field))
  const worst = (match, field) => {
    const found = values(samples, { ...match, side: 'alknet' }, field)
    return found.length === 0 ? undefined : Math.max(...found)
  }
  for (const direction of ['up', 'down']) {
    bar(`CPU per GiB with AES-GCM, ${direction}, against OpenSSH`,
      ratio({ scene: 'bulk', cipher: 'aes128-gcm@openssh.com', direction }, 'cpuPerGiB'),
      'at most 1.25', atMost(1.25))
  }
  for (const atOnce of [1, 64]) {
    bar(`new connections a second, ${atOnce} at once, against OpenSSH`,
      ratio({ scene: 'open', atOnce }, 'perSecond'), 'at least 1', (value) => value >= 1)
  }
  for (const end of ['Client', 'Server']) {
    bar(`RSS of the ${end.toLowerCase()} during a transfer, MB`,
      worst({ scene: 'bulk' }, `rss${end}`), 'under 110', (value) => value < 110)
    bar(`growth of the ${end.toLowerCase()} from the first transfer to the last, MB`,
      growth(samples, `rss${end}`), 'at most 8', atMost(8))
  }
  bar('event-loop delay p99 during a transfer, ms', worst({ scene: 'loop' }, 'p99'),
    'under 20', (value) => value < 20)
  return out
}

/** The result as a page of Markdown. */
function table ({ date, plan, versions, samples, bars }) {
  return `# alknet and OpenSSH, side by side

${date}, ${versions.cpu}, Linux ${versions.kernel}, Node ${versions.node}, ${versions.openssh};
${plan.rounds} alternating rounds of ${plan.size} MiB through SOCKS5 over loopback, ${plan.openRounds} of ${plan.opens} connections
(1 KiB each way). Median (lowest–highest).

${versions.alknet.split('\n').map((line) => `    ${line}`).join('\n')}

| | alknet | OpenSSH | ratio |
| --- | --- | --- | --- |
${rows(samples).join('\n')}

| bar | found | wanted | |
| --- | --- | --- | --- |
${bars.map((bar) => `| ${bar.what} | ${number(bar.value)} | ${bar.limit} | ${bar.met ? 'met' : '**missed**'} |`).join('\n')}
`
}

module.exports = { bars, median, table }
