'use strict'

/**
 * What was measured last, scene by scene: bench/results/latest.json (every
 * sample), latest.md, latest.svg. A run of some scenes leaves the others as
 * they were.
 */

const fs = require('fs')
const path = require('path')
const { chart } = require('./chart')
const { page } = require('./report')

const FOLDER = path.join(__dirname, 'results')
const DOCS = path.join(__dirname, '..', 'docs', 'benchmarks.md')

function last () {
  const file = path.join(FOLDER, 'latest.json')
  return fs.existsSync(file) ? JSON.parse(fs.readFileSync(file, 'utf8')) : { scenes: {} }
}

/** One sample a line. */
function json ({ machine, scenes }) {
  const scene = ([name, { samples, ...rest }]) =>
    `${JSON.stringify(name)}: { ${JSON.stringify(rest).slice(1, -1)}, "samples": [\n${samples.map((sample) => JSON.stringify(sample)).join(',\n')}\n] }`
  return `{ "machine": ${JSON.stringify(machine)}, "scenes": {\n${Object.entries(scenes).map(scene).join(',\n')}\n} }\n`
}

/** Puts the page between the two marks of docs/benchmarks.md. */
function intoDocs (text) {
  const [begin, end] = ['<!-- last run -->\n', '<!-- end of the last run -->']
  const old = fs.readFileSync(DOCS, 'utf8')
  const [before, after] = [old.split(begin)[0], old.split(end)[1]]
  fs.writeFileSync(DOCS, before + begin + text + end + after)
}

/**
 * @param {object} result { machine, scenes }
 */
function save (result) {
  const all = { machine: result.machine, scenes: { ...last().scenes, ...result.scenes } }
  fs.mkdirSync(FOLDER, { recursive: true })
  fs.writeFileSync(path.join(FOLDER, 'latest.json'), json(all))
  fs.writeFileSync(path.join(FOLDER, 'latest.md'), page(all))
  fs.writeFileSync(path.join(FOLDER, 'latest.svg'), chart(all.scenes))
  intoDocs(page(all, { chart: '../bench/results/latest.svg', level: 3 }))
}

module.exports = { save }
