'use strict'

/** The completion for fish: a line for each flag and command, on the condition that the line has come to it. */

const { brief, flat } = require('../tree')

const quote = (text) => `'${text.replace(/[\\']/g, '\\$&')}'`
const names = ({ long, short }) => [long, ...short === null ? [] : [short]]

function flagLine (condition, flag) {
  const { long, short, kind, values, description } = flag
  const value = { none: '', any: ' -x', file: ' -r -F', words: ` -x -a ${quote(values.join(' '))}` }[kind]
  return `complete -c alknet -n ${condition} -l ${long.slice(2)}${short === null ? '' : ` -s ${short.slice(1)}`}${value} -d ${quote(brief(description))}`
}

function argumentLines (condition, { argument, argumentValues }) {
  if (argument === 'file') return [`complete -c alknet -n ${condition} -F`]
  return argument === 'words' ? [`complete -c alknet -n ${condition} -a ${quote(argumentValues.join(' '))}`] : []
}

function linesOf (command) {
  const condition = quote(`__alknet_at ${command.path.slice(1).join(' ')}`.trim())
  return [
    ...command.commands.map((one) => `complete -c alknet -n ${condition} -a ${quote(one.path.at(-1))} -d ${quote(one.description)}`),
    ...command.flags.map((flag) => flagLine(condition, flag)),
    ...argumentLines(condition, command)
  ]
}

/** @param {object} tree of treeOf() */
function fish (tree) {
  const commands = flat(tree)
  const valued = [...new Set(commands.flatMap((command) => command.flags.filter((flag) => flag.kind !== 'none').flatMap(names)))]
  const paths = commands.slice(1).map((command) => quote(command.path.slice(1).join(' ')))
  return `# fish completion for alknet, made by: alknet completion fish

# Whether the line has come to the command that is named, and no further.
function __alknet_at
    set -l words (commandline -opc)
    set -e words[1]
    set -l at
    set -l skip no
    for word in $words
        if test $skip = yes
            set skip no
            continue
        end
        switch $word
            case ${valued.join(' ')}
                set skip yes
            case '-*'
            case '*'
                if contains -- "$at $word" ${paths.map((path) => `' ${path.slice(1)}`).join(' ')}
                    set at "$at $word"
                end
        end
    end
    set -l want (string join ' ' -- '' $argv)
    test "$at" = "$want"
end

complete -c alknet -f
${commands.flatMap(linesOf).join('\n')}
`
}

module.exports = { fish }
