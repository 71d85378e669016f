'use strict'

/** alknet completion: a script for a shell. */

const { Argument } = require('commander')
const { treeOf } = require('../tree')

const SHELLS = {
  bash: () => require('../completion/bash').bash,
  zsh: () => require('../completion/zsh').zsh,
  fish: () => require('../completion/fish').fish
}

const EPILOGUE = `
Examples:
  $ alknet completion bash > ~/.local/share/bash-completion/completions/alknet
  $ alknet completion zsh > "\${fpath[1]}/_alknet"
  $ alknet completion fish > ~/.config/fish/completions/alknet.fish
  $ source <(alknet completion bash)

Prints a script that completes commands, flags, their words and files. It is made
of what this alknet knows: make it again after an update.`

module.exports = (alknet) => {
  alknet.command('completion')
    .description('print the completion script for a shell')
    .addArgument(new Argument('<shell>', 'bash, zsh or fish').choices(Object.keys(SHELLS)))
    .addHelpText('after', EPILOGUE)
    .action((shell) => { process.stdout.write(SHELLS[shell]()(treeOf(alknet))) })
}
