'use strict'

/** Ten transfers in a row: memory must not grow. */

const { metered } = require('../meter')
const { distinct, number, values } = require('../stats')
const { title } = require('../sides')

const TRANSFERS = 10

async function run (bench) {
  const samples = []
  const { plan, load } = bench
  await bench.withSides(bench.sides(['native', 'libssh']), { cipher: plan.ciphers[0] }, async (all) => {
    for (const side of all) {
      for (let round = 0; round < TRANSFERS; round++) {
        const direction = round % 2 === 0 ? 'up' : 'down'
        const { rss } = await metered(side.ends, () => load.bulk(side, 'forward', direction, plan.size << 18))
        samples.push({ side: side.name, round, client: rss.client, server: rss.server })
      }
      bench.say(`flat ${title(side.name)}: done`)
    }
  })
  return samples
}

/** MB from the first transfer to the last. */
function growth (samples, side, end) {
  const rss = values(samples, { side }, end)
  return rss.length < 2 ? undefined : rss.at(-1) - rss[0]
}

function tables (samples) {
  const rows = distinct(samples, 'side').map((side) => [title(side), ...['client', 'server'].flatMap((end) =>
    [number(values(samples, { side }, end)[0]), number(growth(samples, side, end))])])
  return [{ title: 'Ten transfers in a row', head: ['', 'client: RSS in the first, MB', 'growth', 'server: RSS in the first, MB', 'growth'], rows }]
}

module.exports = { run, tables }
