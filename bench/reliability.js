'use strict'

/** Where the figures of docs/reliability.md stand: between two comments a table. */

const fs = require('fs')
const path = require('path')

const PAGE = path.join(__dirname, '..', 'docs', 'reliability.md')

/** Puts text between `<!-- name -->` and `<!-- /name -->`. */
function writeTable (name, text) {
  const page = fs.readFileSync(PAGE, 'utf8')
  const [begin, end] = [`<!-- ${name} -->`, `<!-- /${name} -->`]
  const from = page.indexOf(begin)
  const to = page.indexOf(end)
  if (from === -1 || to < from) throw new Error(`docs/reliability.md has no place for ${name}`)
  fs.writeFileSync(PAGE, `${page.slice(0, from + begin.length)}\n${text}\n${page.slice(to)}`)
}

module.exports = { writeTable }
