'use strict'

/**
 * node bench/faults.js [--docs] [--keepalive 15] [--keepalive-max 3]: how long
 * it takes until each fault of test/helpers/faults.js is noticed, and until the
 * tunnel works again. All happen at once, each to a tunnel between two network
 * namespaces of its own, so the processor has its share in the figures. With
 * --docs the table goes into docs/reliability.md. Linux, and root or the right
 * to make namespaces.
 */

const { parseArgs } = require('util')
const { FAULTS, happen } = require('../test/helpers/faults')
const { Scope } = require('../test/helpers/scope')
const { writeTable } = require('./reliability')

async function one (name, limits) {
  const scope = new Scope()
  try {
    return { name, ...await happen(scope, name, limits) }
  } finally {
    await scope.close()
  }
}

const seconds = (ms) => ms === null ? '–' : (ms / 1000).toFixed(1)

function row ({ name, client, server, recovered, echoes, lost, before, after }) {
  const left = Object.keys(before).filter((what) => after[what] > before[what])
  const note = echoes === undefined ? '' : `; meanwhile ${echoes} times 8 KiB came back, ${lost ? 'the session was lost' : 'the session stood'}`
  return `| ${name} | ${seconds(client)} | ${seconds(server)} | ${seconds(recovered)} | ${left.length === 0 ? 'nothing' : left.join(', ')}${note} |`
}

async function main () {
  const text = { type: 'string' }
  const { values } = parseArgs({ options: { docs: { type: 'boolean' }, keepalive: text, 'keepalive-max': text } })
  const limits = { keepalive: Number(values.keepalive ?? 15), keepaliveMax: Number(values['keepalive-max'] ?? 3) }
  const results = await Promise.all(Object.keys(FAULTS).map((name) => one(name, limits)))
  const table = [
    `With \`keepalive\` ${limits.keepalive} and \`keepaliveMax\` ${limits.keepaliveMax}: ${limits.keepalive * limits.keepaliveMax} s, and an interval of ` +
      `${seconds(limits.keepalive * limits.keepaliveMax / (limits.keepaliveMax + 1) * 1000)} s.`,
    '',
    '| fault | noticed by the client, s | by the server, s | recovered, s | left behind |',
    '|---|---|---|---|---|',
    ...results.map(row)
  ].join('\n')
  console.log(table)
  if (values.docs) writeTable('faults', table)
}

main()
