'use strict'

/** The picture: a panel of horizontal bars for each figure that says most. SVG, by hand. */

const { LINK } = require('./bars')
const { middle, number } = require('./stats')
const { title } = require('./sides')

const PANEL = { width: 440, bar: 18, gap: 6, head: 46, label: 150, value: 70 }
const COLUMNS = 2
const MARGIN = 20
const OURS = '#1f6feb'
const THEIRS = '#9aa4b2'

const sidesOf = (scene, match, field, names) => names.map((name) => [title(name), middle(scene ?? [], { ...match, side: name }, field), isOurs(name)])
const isOurs = (name) => ['native', 'libssh', 'tls', 'pool', 'workers'].includes(name)

const ALL = ['native', 'libssh', 'openssh', 'ssh2', 'russh']

/** [title, [[label, value, is ours]]] of each panel. */
function panels ({ bulk, open, idle, sessions, path, http }) {
  const transfer = (direction) => ({ kind: 'transfer', way: 'forward', cipher: 'aes128-gcm', direction })
  const onPath = (streams) => ({ kind: 'path', link: LINK, direction: 'down', streams })
  const server = (name, label, ours) => [label, middle(sessions ?? [], { kind: 'sessions', side: name }, 'kibServer'), ours]
  return [
    ['AES-128-GCM, one stream up: MiB/s', sidesOf(bulk, transfer('up'), 'mibPerSecond', ALL)],
    ['AES-128-GCM, one stream down: MiB/s', sidesOf(bulk, transfer('down'), 'mibPerSecond', ALL)],
    ['CPU seconds a GiB, both ends, up (less is better)', sidesOf(bulk, transfer('up'), 'cpuPerGiB', ALL)],
    ['New connections a second, 64 at once', sidesOf(open, { kind: 'open', way: 'forward', atOnce: 64 }, 'perSecond', ALL)],
    ['KiB for each idle channel, server (less is better)', sidesOf(idle, { kind: 'idle' }, 'kibServer', ALL)],
    ['KiB for each idle session, server (less is better)', [
      server('native', 'alknet', true), server('libssh', 'alknet, libssh', true), server('sshd', 'OpenSSH', false), server('ssh2', 'ssh2', false)]],
    [`${LINK}, one stream: Mbit/s`, sidesOf(path, onPath(1), 'steady', ['native', 'libssh', 'openssh'])],
    [`${LINK}, eight streams: Mbit/s`, sidesOf(path, onPath(8), 'steady', ['native', 'libssh', 'openssh'])],
    ['HTTP, requests a second on kept connections', sidesOf(http, { kind: 'kept' }, 'perSecond', ALL)],
    ['HTTP, requests a second on new connections', sidesOf(http, { kind: 'new' }, 'perSecond', ALL)]
  ].map(([name, bars]) => [name, bars.filter(([, value]) => value !== undefined)]).filter(([, bars]) => bars.length > 0)
}

const escape = (text) => text.replace(/&/g, '&amp;').replace(/</g, '&lt;')

function panel ([name, bars], x, y) {
  const most = Math.max(...bars.map(([, value]) => value))
  const room = PANEL.width - PANEL.label - PANEL.value
  const rows = bars.map(([label, value, ours], i) => {
    const top = y + PANEL.head + i * (PANEL.bar + PANEL.gap)
    const width = most > 0 ? Math.max(1, value / most * room) : 1
    const middle = top + PANEL.bar * 0.72
    return `<text x="${x + PANEL.label - 8}" y="${middle.toFixed(1)}" text-anchor="end">${escape(label)}</text>` +
      `<rect x="${x + PANEL.label}" y="${top}" width="${width.toFixed(1)}" height="${PANEL.bar}" fill="${ours ? OURS : THEIRS}"/>` +
      `<text x="${(x + PANEL.label + width + 6).toFixed(1)}" y="${middle.toFixed(1)}">${number(value)}</text>`
  })
  return `<text x="${x}" y="${y + 28}" class="title">${escape(name)}</text>\n${rows.join('\n')}`
}

/** @param {object} measured scene: { samples } */
function chart (measured) {
  const all = panels(Object.fromEntries(Object.entries(measured).map(([name, { samples }]) => [name, samples])))
  const parts = []
  let y = MARGIN
  for (let i = 0; i < all.length; i += COLUMNS) {
    const row = all.slice(i, i + COLUMNS)
    row.forEach((one, column) => parts.push(panel(one, MARGIN + column * (PANEL.width + MARGIN), y)))
    y += PANEL.head + Math.max(...row.map(([, bars]) => bars.length)) * (PANEL.bar + PANEL.gap)
  }
  const width = MARGIN + COLUMNS * (PANEL.width + MARGIN)
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${y + MARGIN}" viewBox="0 0 ${width} ${y + MARGIN}">
<style>text { font: 12px sans-serif; fill: #24292f } .title { font-weight: bold; font-size: 13px }</style>
<rect width="100%" height="100%" fill="#ffffff"/>
${parts.join('\n')}
</svg>
`
}

module.exports = { chart }
