'use strict'

/**
 * The manual pages, one for each command, out of what commander knows and what
 * the help says below the flags: one source.
 *
 *   node tools/man.js           writes man/ anew
 *   node tools/man.js --check   says which pages are not up to date, and fails
 */

const fs = require('fs')
const path = require('path')
const { program } = require('../bin/program')
const { flat, treeOf } = require('../bin/tree')
const { version } = require('../package.json')

const root = path.join(__dirname, '..')

// Of the form of the pages, not of a build: they change when their text does.
const DATE = '2026-11-21'

const EXIT = [
  ['0', 'done'], ['1', 'failed'], ['2', 'usage or configuration'], ['3', 'authentication refused'],
  ['4', 'host key not trusted'], ['5', 'could not reach the server']
]

const MAX_LINE = 72

/** Text for roff: nothing in it is a request, an escape or a hyphenation. */
function text (words) {
  return words.replace(/\\/g, '\\e').replace(/\u2026/g, '...').replace(/-/g, '\\-').replace(/^([.'])/gm, '\\&$1')
}

/** The same in lines of a length that people can read, too. */
function prose (words) {
  const lines = ['']
  for (const word of words.split(/\s+/)) {
    if (lines.at(-1) !== '' && lines.at(-1).length + word.length >= MAX_LINE) lines.push('')
    lines[lines.length - 1] += `${lines.at(-1) === '' ? '' : ' '}${word}`
  }
  return lines.map(text).join('\n')
}

const sentence = (words) => `${words[0].toUpperCase()}${words.slice(1).replace(/\.$/, '')}.`

const pageOf = (command) => command.path.slice(0, 2).join('-')

/** The parts of the notes: { examples, exits, paragraphs }. */
function partsOf (notes) {
  const blocks = notes.replace(/^\n+/, '').split(/\n\n+/).map((block) => block.replace(/\s+$/, '')).filter((block) => block !== '')
  const out = { examples: [], exits: null, paragraphs: [] }
  for (const block of blocks) {
    const isExample = /^Examples:/.test(block) || /^ {2}\$ /.test(block)
    if (isExample) out.examples.push(...block.split('\n').filter((line) => /^ {2}/.test(line)).map((line) => line.slice(2)))
    else if (/^Exit codes?:/.test(block)) out.exits = block
    else if (!/^Not available yet:/.test(block)) out.paragraphs.push(block)
  }
  return out
}

/** '0 done   1 failed\n 4 …' => [['0', 'done'], …] */
function exitsOf (block) {
  if (block === null) return EXIT
  const found = [...block.replace(/\n\s*/g, '   ').matchAll(/(\d)\s+(.+?)(?=\s{2,}\d\s|\s{2,}|$)/g)]
  return found.map(([, code, words]) => [code, words])
}

function section (title, lines) {
  return lines.length === 0 ? [] : [`.SH ${title}`, ...lines]
}

function tagged (tag, words) {
  return ['.TP', tag, prose(words)]
}

function flagTag ({ long, short, value }) {
  const names = [...short === null ? [] : [short], long].map((name) => `\\fB${text(name)}\\fR`).join(', ')
  return value === null ? names : `${names} \\fI${text(value.slice(1, -1))}\\fR`
}

function flagLines (flag) {
  const env = flag.env === null ? '' : ` (variable: ${flag.env})`
  return tagged(flagTag(flag), `${flag.description}${env}`)
}

function synopsis (commands) {
  return commands.flatMap(({ path, usage }, i) => [
    ...i === 0 ? [] : ['.br'], `.B ${text(path.join(' '))}`, text(usage)
  ])
}

/** What a command with others below it has to say of each. */
function subsections (commands) {
  return commands.flatMap((one) => [
    `.SS "${text(one.path.join(' '))}"`, prose(sentence(one.description)), ...one.flags.flatMap(flagLines)
  ])
}

function environment (commands) {
  const all = new Map(commands.flatMap((one) => one.flags).filter((flag) => flag.env !== null).map((flag) => [flag.env, flag.long]))
  const lines = [...all].sort().flatMap(([name, long]) => tagged(`.B ${name}`, `as ${long}`))
  const takesKeys = commands.some((one) => one.flags.some(({ long }) => ['--identity', '--key', '--sign'].includes(long)))
  return takesKeys ? [...lines, ...tagged('.B ALKNET_PASSPHRASE', 'the passphrase of encrypted keys')] : lines
}

function example (lines) {
  return lines.length === 0 ? [] : ['.nf', ...lines.map(text), '.fi']
}

function page (command, pages) {
  const commands = flat(command)
  const name = pageOf(command)
  // Those below say the same again where they say anything.
  const notes = [...new Map(commands.map((one) => [one.notes, partsOf(one.notes)])).values()]
  const exits = exitsOf(notes.find((one) => one.exits !== null)?.exits ?? null)
  const paragraphs = new Set(notes.flatMap((one) => one.paragraphs))
  const examples = new Set(notes.flatMap((one) => one.examples))
  const isTop = command.path.length === 1
  const options = command.commands.length > 0 && !isTop ? subsections(command.commands) : command.flags.flatMap(flagLines)
  return [
    '.\\" Made by tools/man.js. Do not edit: change the command, then npm run man.',
    `.TH ${text(name.toUpperCase())} 1 ${DATE} "alknet ${version}" "alknet manual"`,
    ...section('NAME', [`${text(name)} \\- ${text(command.description.replace(/\.$/, ''))}`]),
    ...section('SYNOPSIS', synopsis(command.commands.length > 0 && !isTop ? commands.slice(1) : [command])),
    ...section('DESCRIPTION', [prose(sentence(command.description)), ...[...paragraphs].flatMap((block) => ['.PP', prose(block)])]),
    ...isTop ? section('COMMANDS', command.commands.flatMap((one) => tagged(`.BR ${text(pageOf(one))} (1)`, one.description))) : [],
    ...section('OPTIONS', options),
    ...section('ENVIRONMENT', isTop ? [] : environment(commands)),
    ...section('EXIT STATUS', exits.flatMap(([code, words]) => tagged(`.B ${code}`, words))),
    ...section('EXAMPLES', example([...examples])),
    ...section('SEE ALSO', seeAlso(pages.filter((one) => one !== name)))
  ].join('\n') + '\n'
}

function seeAlso (names) {
  return names.map((name, i) => `.BR ${text(name)} (1)${i === names.length - 1 ? '' : ' ,'}`)
}

/** name of a file => its text. */
function pages () {
  const tree = treeOf(program())
  const all = [tree, ...tree.commands]
  const names = all.map(pageOf)
  return new Map(all.map((command) => [`${pageOf(command)}.1`, page(command, names)]))
}

function read (file) {
  try {
    return fs.readFileSync(file, 'utf8')
  } catch {
    return null
  }
}

function main () {
  const dir = path.join(root, 'man')
  const made = pages()
  const there = fs.existsSync(dir) ? fs.readdirSync(dir) : []
  const stale = [...made].filter(([name, roff]) => read(path.join(dir, name)) !== roff).map(([name]) => name)
  stale.push(...there.filter((name) => !made.has(name)))
  if (process.argv[2] === '--check') {
    for (const name of stale) console.error(`man/${name} is not up to date: npm run man`)
    process.exitCode = stale.length === 0 ? 0 : 1
    return
  }
  fs.mkdirSync(dir, { recursive: true })
  for (const name of stale) {
    if (made.has(name)) fs.writeFileSync(path.join(dir, name), made.get(name))
    else fs.rmSync(path.join(dir, name))
  }
}

module.exports = { pages }
if (require.main === module) main()
