'use strict'

/**
 * README.md and docs/: links inside the project lead somewhere, the README
 * stays short, and every dependency has its line in docs/dependencies.md.
 * Prints what is wrong and exits 1.
 */

const fs = require('fs')
const path = require('path')

const root = path.join(__dirname, '..')
const read = (name) => fs.readFileSync(path.join(root, name), 'utf8')
const faults = []
const pages = ['README.md', ...fs.readdirSync(path.join(root, 'docs'))
  .filter((name) => name.endsWith('.md')).map((name) => `docs/${name}`)]

/** The anchor that a heading gets on the usual hosts. */
function anchor (heading) {
  return heading.toLowerCase().replace(/[^\p{L}\p{N} _-]/gu, '').replaceAll(' ', '-')
}

const anchorsOf = (text) => new Set(prose(text).split('\n')
  .filter((line) => /^#+ /.test(line)).map((line) => anchor(line.replace(/^#+ /, ''))))

/** The text without its code blocks, where a bracket is only a bracket. */
function prose (text) {
  return text.replace(/^ *```[^]*?^ *```/gm, '').replace(/`[^`\n]*`/g, (code) => code.replace(/[[\]()]/g, ''))
}

function checkLinks (page) {
  for (const [, target] of prose(read(page)).matchAll(/\]\(([^)\s]+)\)/g)) {
    if (/^[a-z]+:/.test(target)) continue
    const [file, fragment] = target.split('#')
    const name = file === '' ? page : path.posix.join(path.posix.dirname(page), file)
    if (!fs.existsSync(path.join(root, name))) {
      faults.push(`${page}: ${target} leads nowhere`)
    } else if (fragment && name.endsWith('.md') && !anchorsOf(read(name)).has(fragment)) {
      faults.push(`${page}: ${target} has no such heading`)
    }
  }
}

function checkDependencies () {
  const page = read('docs/dependencies.md')
  const { dependencies, devDependencies } = JSON.parse(read('package.json'))
  const debian = [...read('script/setup').matchAll(/packages\+?=\(([^)]*)\)/g)]
    .flatMap(([, list]) => list.trim().split(/\s+/))
  for (const name of [...Object.keys(dependencies), ...Object.keys(devDependencies), ...debian]) {
    if (!page.includes(`\`${name}\``)) faults.push(`docs/dependencies.md: says nothing about \`${name}\``)
  }
}

for (const page of pages) {
  if (!fs.existsSync(path.join(root, page))) faults.push(`${page} is missing`)
  else checkLinks(page)
}
if (fs.existsSync(path.join(root, 'README.md')) && read('README.md').split('\n').length > 201) {
  faults.push('README.md: longer than 200 lines')
}
checkDependencies()

for (const fault of faults) console.error(fault)
if (faults.length === 0) console.log(`documents: ${pages.length} pages, every link leads somewhere`)
process.exitCode = faults.length === 0 ? 0 : 1
