'use strict'

/** The completion for zsh: a function for each command, by _arguments. */

const { brief } = require('../tree')

/** Text within [ ] or : of a spec, in single quotes. */
const spec = (text) => text.replace(/[[\]:\\]/g, '\\$&').replaceAll("'", "'\\''")

function action ({ kind, values }) {
  if (kind === 'file') return ':_files'
  return kind === 'words' ? `:(${values.join(' ')})` : ': '
}

function flagSpecs (flag) {
  const { long, short, value, isRepeatable, description } = flag
  const tail = value === null ? '' : `:${spec(value.slice(1, -1))}${action(flag)}`
  const text = `[${spec(brief(description))}]`
  const names = [...short === null ? [] : [short], long]
  return names.map((name) => {
    const others = isRepeatable ? '*' : names.length > 1 ? `(${names.join(' ')})` : ''
    const takes = value === null ? '' : name.startsWith('--') ? '=' : '+'
    return `'${others}${name}${takes}${text}${tail}'`
  })
}

const functionOf = ({ path }) => `_${path.join('_')}`

function argumentSpec ({ argument, argumentValues }) {
  if (argument === 'file') return ["'*:file:_files'"]
  return argument === 'words' ? [`'1:word:(${argumentValues.join(' ')})'`] : []
}

function leaf (command) {
  const specs = [...command.flags.flatMap(flagSpecs), ...argumentSpec(command)]
  return `${functionOf(command)}() {\n  _arguments -s -S \\\n    ${specs.join(' \\\n    ')}\n}\n`
}

function branch (command) {
  const words = command.commands.map((one) => `    '${one.path.at(-1)}:${spec(one.description)}'`)
  const cases = command.commands.map((one) => `        ${one.path.at(-1)}) ${functionOf(one)} ;;`)
  return `${functionOf(command)}() {
  local curcontext="$curcontext" state line
  local -a commands
  typeset -A opt_args
  commands=(
${words.join('\n')}
  )
  _arguments -C \\
    ${[...command.flags.flatMap(flagSpecs), "'1: :->command'", "'*:: :->rest'"].join(' \\\n    ')}
  case $state in
    command) _describe command commands ;;
    rest)
      case $line[1] in
${cases.join('\n')}
      esac ;;
  esac
}
`
}

function functions (command) {
  const below = command.commands.flatMap(functions)
  return [...below, command.commands.length > 0 ? branch(command) : leaf(command)]
}

/** @param {object} tree of treeOf() */
function zsh (tree) {
  return `#compdef alknet
# zsh completion for alknet, made by: alknet completion zsh

${functions(tree).join('\n')}
if [[ $funcstack[1] == _alknet ]]; then _alknet "$@"; else compdef _alknet alknet; fi
`
}

module.exports = { zsh }
