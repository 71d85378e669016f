'use strict'

/**
 * The commands as data, for completions and manual pages: what commander knows,
 * and what may stand behind a flag.
 *
 *   { path: ['alknet', 'forward', 'add'], description, commands: [of these],
 *     flags: [{ long, short, value, kind, values, isRepeatable, env,
 *     description }], argument: kind, notes }
 *
 * kind: 'file', 'words' (values has them), 'any', or 'none' where nothing
 * follows. notes: what the help says below the flags.
 */

// Values that are words: commander leaves their checks to the library, which
// knows what it has. A test tries each of them.
const WORDS = {
  '--transport': ['tcp', 'tls'],
  '--ssh-engine': ['native', 'libssh'],
  '--log-level': ['error', 'warn', 'info', 'debug'],
  '--log-format': ['text', 'json'],
  '--default': ['allow', 'deny'],
  '--acme-challenge': ['tls-alpn-01', 'http-01'],
  '--type': ['ed25519', 'ecdsa', 'rsa'],
  'test --transport': ['tcp', 'tls', 'iroh', 'stream'] // of a question, not of a connection
}

const isPath = (placeholder) => /^(path|file)$/.test(placeholder)

function flagOf (option, command) {
  const placeholder = / [<[](.+)[>\]]$/.exec(option.flags)?.[1] ?? null
  const values = WORDS[`${command} ${option.long}`] ?? WORDS[option.long] ?? option.argChoices ?? []
  const kind = placeholder === null ? 'none' : values.length > 0 ? 'words' : isPath(placeholder) ? 'file' : 'any'
  return {
    long: option.long,
    short: option.short ?? null,
    value: placeholder === null ? null : `<${placeholder}>`,
    kind,
    values,
    isRepeatable: /repeatable/.test(option.description),
    env: option.envVar ?? null,
    description: option.description
  }
}

const HELP = { long: '--help', short: '-h', value: null, kind: 'none', values: [], isRepeatable: false, env: null, description: 'show the help' }

/** What stands below the flags in the help. */
function notesOf (command) {
  let text = ''
  const settings = command.configureOutput()
  command.configureOutput({ ...settings, writeOut: (part) => { text += part } })
  command.outputHelp()
  command.configureOutput(settings)
  return text.slice(command.helpInformation().length)
}

function treeOf (command, above = []) {
  const path = [...above, command.name()]
  const commands = command.commands.map((one) => treeOf(one, path))
  const own = command.options.filter((option) => !option.hidden).map((option) => flagOf(option, command.name()))
  // Without a word behind it, a command with a default is that one.
  const byDefault = commands.find((one) => one.path.at(-1) === command._defaultCommandName)
  const argument = command.registeredArguments[0]?.name()
  return {
    path,
    description: command.description(),
    commands,
    byDefault: byDefault?.path.at(-1) ?? null,
    flags: [...own, ...byDefault?.flags.filter((one) => one.long !== '--help') ?? [], HELP],
    argument: argument === undefined ? 'none' : argument === 'shell' ? 'words' : argument === 'pubkey' ? 'file' : 'any',
    argumentValues: command.registeredArguments[0]?.argChoices ?? [],
    usage: command.usage(),
    notes: notesOf(command)
  }
}

/** A command and all below it, the outer ones first. */
function flat (tree) {
  return [tree, ...tree.commands.flatMap(flat)]
}

/** The first words of a description, for where there is little room. */
function brief (description) {
  return description.split(/ \(|; |: |, (?=or )/)[0]
}

module.exports = { brief, flat, treeOf }
