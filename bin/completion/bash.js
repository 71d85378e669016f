'use strict'

/** The completion for bash: words and flags by the command that the line has come to. */

const { flat } = require('../tree')

const quote = (text) => `'${text.replaceAll("'", "'\\''")}'`
const names = ({ long, short }) => [long, ...short === null ? [] : [short]]

/** What may follow a flag. */
function valueCase (flag) {
  const pattern = names(flag).join('|')
  if (flag.kind === 'file') return `        ${pattern}) _alknet_files; return ;;`
  if (flag.kind === 'words') return `        ${pattern}) _alknet_words ${quote(flag.values.join(' '))}; return ;;`
  return `        ${pattern}) return ;;`
}

function argumentLine ({ argument, argumentValues, commands }) {
  if (commands.length > 0) return `      _alknet_words ${quote(commands.map((one) => one.path.at(-1)).join(' '))}`
  if (argument === 'file') return '      _alknet_files'
  return argument === 'words' ? `      _alknet_words ${quote(argumentValues.join(' '))}` : '      :'
}

function commandCase (command) {
  const valued = command.flags.filter((flag) => flag.kind !== 'none')
  const flags = command.flags.map((flag) => flag.long).join(' ')
  return [
    `    ${quote(command.path.join(' '))})`,
    ...valued.length === 0 ? [] : ['      case "$flag" in', ...valued.map(valueCase), '      esac'],
    `      if [[ $cur == -* ]]; then _alknet_words ${quote(flags)}; return; fi`,
    argumentLine(command),
    '      ;;'
  ].join('\n')
}

/** The lines that walk from word to word to the command that is meant. */
function walk (commands) {
  const valued = [...new Set(commands.flatMap((command) => command.flags.filter((flag) => flag.kind !== 'none').flatMap(names)))]
  const paths = commands.slice(1).map((command) => quote(command.path.join(' ')))
  return `  while (( i < COMP_CWORD )); do
    word=\${COMP_WORDS[i]}
    case "$word" in
      ${valued.join('|')})
        if [[ \${COMP_WORDS[i + 1]} == '=' ]]; then (( i += 2 )); else (( i += 1 )); fi ;;
      -*) ;;
      *) case "$at $word" in ${paths.join('|')}) at="$at $word" ;; esac ;;
    esac
    (( i += 1 ))
  done`
}

/** @param {object} tree of treeOf() */
function bash (tree) {
  const commands = flat(tree)
  return `# bash completion for alknet, made by: alknet completion bash

_alknet_words() {
  COMPREPLY=($(compgen -W "$1" -- "$cur"))
}

_alknet_files() {
  compopt -o filenames 2>/dev/null
  local IFS=$'\\n'
  COMPREPLY=($(compgen -f -- "$cur"))
}

_alknet() {
  local cur=\${COMP_WORDS[COMP_CWORD]} flag=\${COMP_WORDS[COMP_CWORD - 1]} word at=alknet i=1
  COMPREPLY=()
  # --flag=value comes as three words.
  if [[ $cur == '=' ]]; then
    cur=
  elif [[ $flag == '=' ]]; then
    flag=\${COMP_WORDS[COMP_CWORD - 2]}
  fi
${walk(commands)}
  case "$at" in
${commands.map(commandCase).join('\n')}
  esac
}

complete -F _alknet alknet
`
}

module.exports = { bash }
