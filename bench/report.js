'use strict'

/** The result as a page of Markdown: the machine, the bars, a table or more of each scene. */

const { barTable, barsOf, loopTable } = require('./bars')
const scenes = require('./scenes')

function samplesOf (measured) {
  return Object.fromEntries(Object.entries(measured).map(([name, { samples }]) => [name, samples]))
}

function tableText ({ title, head, rows }, level) {
  const line = (cells) => `| ${cells.join(' | ')} |`
  return `${'#'.repeat(level)} ${title}\n\n${[line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n')}\n`
}

function about (machine, measured) {
  const rows = Object.entries(measured).map(([name, { date, load, minutes, plan }]) =>
    [name, `${date.slice(0, 16).replace('T', ' ')} UTC`, minutes.toFixed(1), load, `${plan.rounds}, ${plan.fewer}`, plan.size, plan.opens])
  return `${machine.cpu}, Linux ${machine.kernel} (TCP: ${machine.congestion}), Node ${machine.node}, ${machine.openssh}.

${machine.alknet.split('\n').map((line) => `    ${line}`).join('\n')}

| scene | begun | minutes | load average before | rounds of alknet and OpenSSH, of others | MiB of a transfer | connections |
| --- | --- | --- | --- | --- | --- | --- |
${rows.map((row) => `| ${row.join(' | ')} |`).join('\n')}

Median (lowest–highest); a ratio is the median of those of each round.
`
}

/**
 * @param {{ machine: object, scenes: object }} result
 * @param {{ chart?: string, level?: number }} [options] chart: where the picture is
 */
function page ({ machine, scenes: measured }, { chart, level = 2 } = {}) {
  const all = samplesOf(measured)
  const tables = [barTable(barsOf(all)), ...Object.keys(scenes).flatMap((name) => all[name]?.length > 0 ? scenes[name].tables(all[name]) : []), loopTable(all)]
  const picture = chart === undefined ? '' : `![alknet beside others](${chart})\n\n`
  return `${about(machine, measured)}\n${picture}${tables.filter(({ rows }) => rows.length > 0).map((table) => tableText(table, level)).join('\n')}`
}

/** Whether each bar that could be judged is met. */
function allMet (measured) {
  return barsOf(samplesOf(measured)).every(({ bar }) => bar === null || bar.isMet)
}

module.exports = { allMet, page }
