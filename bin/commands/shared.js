'use strict'

/** What the subcommands share: flags, errors, signals, the passphrase. */

const { Option } = require('commander')

const DRAIN_MS = 2000

// ---- flags

/** A flag that may be given several times. */
function repeatable (flags, text, env) {
  const option = new Option(flags, text).argParser((value, before = []) => [...before, value])
  return env === undefined ? option : option.env(env)
}

/** The same, where one value may hold several: a,b. */
function list (flags, text, env) {
  return repeatable(flags, text, env).argParser((value, before = []) => [...before, ...value.split(',')])
}

/** A flag with a number, or a duration; the library says which it takes. */
function number (flags, text) {
  return new Option(flags, text).argParser((value) => /^\d{1,15}$/.test(value) ? Number(value) : value)
}

/**
 * --allow and --deny into one list, in the order in which they stand on the
 * command line: the first that matches decides.
 */
function rules (command, list) {
  for (const [action, text] of [['allow', 'let clients reach it; names what the built-in deny is lifted for'], ['deny', 'refuse it']]) {
    command.addOption(new Option(`--${action} <rule>`, `target:port [principals] [transports]: ${text} (repeatable; the first rule that matches decides)`)
      .argParser((rule, before = []) => {
        list.push({ flag: `--${action}`, rule: `${action} ${rule}` })
        return [...before, rule]
      }))
  }
  return command.addOption(value('--default <action>', 'allow or deny what no rule matches (default: allow)'))
}

/** A flag with a value, from the environment too when env is given. */
function value (flags, text, env) {
  const option = new Option(flags, text)
  return env === undefined ? option : option.env(env)
}

/** Flags of the specification that are refused: known, and not built yet. */
function addPlanned (command, flags) {
  for (const flag of flags) command.addOption(new Option(flag).hideHelp())
  const names = flags.map((flag) => flag.split(' ')[0])
  command.addHelpText('after', `\nNot available yet: ${names.join(', ')}`)
}

function addCommon (command) {
  command
    .addOption(value('--transport <kind>', 'tcp or tls (default: tcp; iroh is not available yet)', 'ALKNET_TRANSPORT'))
    .addOption(number('--keepalive <seconds>', 'give up a peer that is silent for this long, times --keepalive-max; 0: never (default: 15)'))
    .addOption(number('--keepalive-max <n>', 'how often it is asked for a sign of life in that time (default: 3)'))
    .addOption(number('--max-channels <n>', 'connections at once in one session (default: 1024)'))
    .addOption(number('--window-max <n>', 'bytes on their way to a reader, to which a connection may grow (default: 16777216; libssh: 1.28 MB always)'))
    .addOption(number('--window-total <n>', 'the same for all connections of a session (default: 67108864)'))
    .addOption(value('--ssh-engine <name>', 'native or libssh (default: the first that alknet --version names)'))
    .addOption(value('--kex <list>', 'narrow the key exchanges: a,b'))
    .addOption(value('--ciphers <list>', 'narrow the ciphers: a,b'))
    .addOption(value('--macs <list>', 'narrow the MACs: a,b'))
    .addOption(value('--host-key-algorithms <list>', 'narrow the host key algorithms: a,b'))
    .addOption(number('--rekey-bytes <n>', 'new keys after so many bytes'))
    .addOption(number('--rekey-seconds <n>', 'new keys after so many seconds'))
    .addOption(value('--metrics <addr:port>', 'tell Prometheus how it goes, at http://ADDR:PORT/metrics (port 0: any; default: off)'))
    .addOption(new Option('--metrics-open', 'let the metrics listen where others can read them'))
    .addOption(value('--log-level <level>', 'error, warn, info or debug (default: info)', 'ALKNET_LOG_LEVEL'))
    .addOption(value('--log-format <format>', 'text or json (default: text)', 'ALKNET_LOG_FORMAT'))
    .addOption(value('--log-file <path>', 'the log goes to the end of this file, each line with its time; SIGUSR1 opens it anew (default: to stderr)', 'ALKNET_LOG_FILE'))
    .addOption(new Option('--log-time', 'begin each line of the log with the time, on stderr too'))
    .addOption(new Option('--quiet', 'only errors').env('ALKNET_QUIET'))
    .addOption(value('--control <path>', 'socket on which alknet status and alknet forward ask; off: none (default: one in a directory of its own)'))
    .addOption(value('--config <file>', 'TOML with what flags hold; flags and variables come before it'))
}

/**
 * The flags of command as options for the library. renamed: { flag's name:
 * option's name }. Throws for a flag that is not available yet.
 */
function libraryOptions (command, planned, renamed = {}) {
  const attributes = command.opts()
  for (const option of command.options) {
    const name = option.attributeName()
    if (planned.some((flags) => flags === option.flags) && attributes[name] !== undefined) {
      throw Object.assign(new Error(`${option.long}: not available yet`), { code: 'ERR_ALKNET_OPTION', stage: 'options' })
    }
  }
  const out = {}
  for (const [name, given] of Object.entries(attributes)) {
    if (!NOT_OPTIONS.has(name)) out[renamed[name] ?? name] = given
  }
  return out
}

// Flags that say where options come from, or that become a part of one.
const NOT_OPTIONS = new Set([
  'config', 'profile', 'check', 'json', 'allow', 'deny', 'default', 'permitListen', 'logLevel', 'logFormat', 'logFile', 'logTime', 'quiet'
])

/**
 * The log: --quiet, then --log-level, then the file's quiet and log-level. Who
 * reads a file later wants to know when it was; who reads stderr, a journal
 * above all, knows.
 */
function logOptions ({ logLevel, logFormat, logTime, quiet }, config, logFile) {
  const file = config?.options.log ?? {}
  const level = logLevel ?? (config?.quiet ? 'error' : file.level)
  return { level: quiet ? 'error' : level, format: logFormat ?? file.format, time: logTime ?? file.time ?? logFile !== undefined }
}

/** The rules of flags stand before those of the file: they come first. */
function forwardingOptions ({ default: byDefault, permitListen }, flagRules, file = {}) {
  return {
    default: byDefault ?? file.default,
    rules: [...flagRules.map((one) => one.rule), ...[].concat(file.rules ?? [])],
    permitListen: permitListen === undefined ? file.permitListen : permitListen.join() === 'none' ? 'none' : permitListen
  }
}

/**
 * All that flags, variables and the file say, the first of them that says it.
 * Gives { options, explain, isQuiet, logFile }; explain(err) makes an option's
 * error name the flag, or the file with line and column.
 * @param {object} about
 * @param {'serve'|'connect'} about.kind whose options
 * @param {string[]} [about.planned] flags that are not available yet
 * @param {object} [about.renamed] { flag's name: option's name }
 * @param {object[]} [about.flagRules] of rules(); with them there is `forwarding`
 */
async function gather (command, { kind, planned = [], renamed = {}, flagRules }) {
  const attributes = command.opts()
  const flags = libraryOptions(command, planned, renamed)
  const { readConfig } = require('../..')
  if (attributes.config === undefined && attributes.profile !== undefined) {
    throw Object.assign(new Error('--profile: needs --config'), { code: 'ERR_ALKNET_OPTION', stage: 'options' })
  }
  const config = attributes.config === undefined
    ? null
    : await readConfig(attributes.config, { command: kind, profile: attributes.profile }).catch((err) => { throw inFlags(err) })
  const logFile = attributes.logFile ?? config?.logFile
  const options = { control: true, ...config?.options, ...flags, log: logOptions(attributes, config, logFile) }
  if (flagRules !== undefined) options.forwarding = forwardingOptions(attributes, flagRules, config?.options.forwarding)
  const isGiven = (option) => Object.hasOwn(flags, option) ||
    attributes[option.replace(/^(log|forwarding)\.(\w)/, (_, part, c) => part === 'log' ? `log${c.toUpperCase()}` : c)] !== undefined
  const explain = (err) => explained(err, { config, isGiven, flagRules: flagRules ?? [], renamed })
  return { options, config, explain, logFile, isQuiet: attributes.quiet ?? config?.quiet ?? false }
}

function explained (err, { config, isGiven, flagRules, renamed }) {
  if (err.option === undefined || !err.message.startsWith(`${err.option}:`)) return err
  const isRule = err.option === 'forwarding.rules'
  if (isRule && err.index < flagRules.length) {
    err.message = flagRules[err.index].flag + err.message.slice(err.option.length)
    return err
  }
  const index = isRule ? err.index - flagRules.length : err.index
  const where = isRule || !isGiven(err.option) ? config?.where(err.option, index) : null
  inFlags(err, renamed)
  if (typeof where === 'string') err.message = `${where}: ${err.message.replace(/^--/, '')}`
  return err
}

/** Where something listens: { address, port } or { path }; with what is spoken there, if it is not plain SSH. */
function placeOf ({ address, port, path, transport = 'tcp' }) {
  if (path !== undefined) return path
  const place = address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`
  return transport === 'tcp' ? place : `${transport}://${place}`
}

const LISTENERS = { socks5: 'SOCKS5 proxy', forward: 'forward', 'remote-forward': 'remote forward' }

/** 'forward on 127.0.0.1:5432', as connect prints it; address: of its address(). */
function listenerLine ({ kind, address }) {
  return `${LISTENERS[kind] ?? plain(kind)} on ${plain(placeOf(address))}`
}

/** 'metrics on http://127.0.0.1:9122/metrics'; address: of metricsAddress(), not null. */
function metricsLine (address) {
  return `metrics on http://${placeOf(address)}/metrics`
}

/** Text that a peer may have chosen, for a terminal. */
function plain (text) {
  return String(text).replace(/[^\x20-\x7e]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

/** Lines for a person or a script, on stdout; the log goes to stderr. */
function printer (isQuiet) {
  return isQuiet ? () => {} : (line) => process.stdout.write(`${line}\n`)
}

// ---- errors

/** The option's name as the flag it came from. */
function flagOf (option, renamed) {
  const name = Object.keys(renamed).find((flag) => renamed[flag] === option) ?? option
  return `--${name.replace('forwarding.', '').replace('.', '-').replace(/([A-Z])/g, (c) => `-${c.toLowerCase()}`)}`
}

/** Makes the message of an option's error speak of flags. */
function inFlags (err, renamed = {}) {
  if (err.option !== undefined && err.message.startsWith(`${err.option}:`)) {
    err.message = flagOf(err.option, renamed) + err.message.slice(err.option.length)
  }
  return err
}

const EXIT_BY_STAGE = { options: 2, key: 2, auth: 3, hostkey: 4, dns: 5, connect: 5, proxy: 5, tls: 5 }

/** Spec §3. */
function exitCodeOf (err) {
  if (err.code === 'ERR_ALKNET_TIMEOUT' && !['session', 'control', 'listen'].includes(err.stage)) return 5
  return EXIT_BY_STAGE[err.stage] ?? 1
}

// ---- signals

/**
 * Calls stop() at the first SIGTERM or SIGINT; the second ends the process.
 * Gives a function that takes the handlers away.
 */
function onStop (stop) {
  let isStopping = false
  const handler = () => {
    if (isStopping) process.exit(1)
    isStopping = true
    stop()
  }
  process.on('SIGTERM', handler)
  process.on('SIGINT', handler)
  return () => {
    process.off('SIGTERM', handler)
    process.off('SIGINT', handler)
  }
}

// ---- passphrases

/**
 * From ALKNET_PASSPHRASE, else asked for on a terminal, else null. signal: when
 * it is aborted, nobody waits for an answer.
 */
async function passphrase (name, signal) {
  if (process.env.ALKNET_PASSPHRASE !== undefined) return process.env.ALKNET_PASSPHRASE
  if (signal?.aborted || !process.stdin.isTTY || !process.stderr.isTTY) return null
  process.stderr.write(`Passphrase for ${name}: `)
  return readHidden(process.stdin, signal)
}

/**
 * One line from a terminal, not shown. null where none comes: after Control-D,
 * when the terminal is closed or the signal aborted. Control-C is what it is
 * where it is shown, a SIGINT.
 */
function readHidden (input, signal) {
  return new Promise((resolve) => {
    let typed = ''
    let isOver = false
    const finish = (answer) => {
      if (isOver) return
      isOver = true
      input.off('data', onData)
      input.setRawMode(false) // which a terminal that is closed has an error for
      input.pause()
      for (const event of ['end', 'error']) input.off(event, giveUp)
      signal?.removeEventListener('abort', giveUp)
      process.stderr.write('\n')
      resolve(answer)
    }
    const giveUp = () => finish(null)
    const interrupt = () => {
      giveUp()
      // Who listens hears of it before the answer is there.
      if (!process.emit('SIGINT', 'SIGINT')) process.kill(process.pid, 'SIGINT')
    }
    const onData = (chunk) => {
      for (const c of chunk.toString('utf8')) {
        if (c === '\r' || c === '\n') return finish(typed)
        if (c === '\x03') return interrupt()
        if (c === '\x04') return giveUp()
        typed = c === '\x7f' || c === '\b' ? typed.slice(0, -1) : typed + c
      }
    }
    for (const event of ['end', 'error']) input.on(event, giveUp)
    signal?.addEventListener('abort', giveUp)
    input.on('data', onData)
    input.setRawMode(true)
    input.resume()
  })
}

module.exports = {
  DRAIN_MS,
  addCommon,
  addPlanned,
  exitCodeOf,
  gather,
  inFlags,
  list,
  listenerLine,
  metricsLine,
  number,
  onStop,
  passphrase,
  placeOf,
  plain,
  printer,
  repeatable,
  rules,
  value
}
