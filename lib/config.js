'use strict'

/**
 * The configuration file, spec §1 and §8: TOML that holds what flags hold.
 *
 *   [server]          the flags of alknet serve, without the dashes
 *   [forwarding]      default, rules, permit-listen
 *   [[listeners]]     transport, listen, tls-cert, tls-key, tls-alpn: one place, or several
 *   [client]          the flags of alknet connect
 *   [profiles.NAME]   the same, over [client], with --profile NAME
 *
 * A file gives options as serve() and openSession() take them; their checks are
 * the only ones. What a file has on top is the place of each value: an error
 * begins with file, line and column. A key that is not known is refused.
 */

const os = require('os')
const path = require('path')
const { AlknetError, optionError } = require('./errors')
const { formatHostPort, printable } = require('./addresses')
const { readInput } = require('./files')
const { formatPlaces } = require('./listen-options')
const { closest } = require('./option-table')
const { namesForFiles } = require('./options')
const { TomlProblem, parseToml } = require('./toml')

const MAX_FILE = 1024 * 1024
const SECTIONS = ['server', 'forwarding', 'listeners', 'client', 'profiles']
const PARTS = { default: 'default', rules: 'rules', 'permit-listen': 'permitListen' }
const LISTENER = { transport: 'transport', listen: 'listen', 'tls-cert': 'tlsCert', 'tls-key': 'tlsKey', 'tls-alpn': 'tlsAlpn', stealth: 'stealth' }
const LOG = ['log-level', 'log-format', 'log-time', 'log-file', 'quiet']

// Flags that are called otherwise than their option.
const RENAMED = { serve: { key: 'hostKey' }, connect: {} }

// Their value is a path, or several: a file's own folder is where they begin.
const PATHS = new Set([
  'serve:hostKey', 'authorizedKeys', 'certAuthority', 'revokedKeys', 'tlsCert', 'tlsKey', 'stealthSecret', 'acmeCache', 'acmeCa', 'acmeEabHmacFile',
  'identity', 'certificate', 'hostCertificate', 'knownHosts', 'tlsCa', 'control'
])

const SECRETS = new Set(['socks5Auth', 'passphrase', 'proxy'])

const toKebab = (name) => name.replace(/([A-Z])/g, (c) => `-${c.toLowerCase()}`)

// Dates are objects too: Date's, or Temporal's where Node has it.
const isTable = (value) => Object.prototype.toString.call(value) === '[object Object]'

/** key in a file => the option's name, for each option of a command. */
function keysOf (command) {
  const renamed = Object.fromEntries(Object.entries(RENAMED[command]).map(([key, name]) => [name, key]))
  return new Map(namesForFiles(command).map((name) => [renamed[name] ?? toKebab(name), name]))
}

/** 'max_sessions' is 'max-sessions': TOML's users write both. */
const keyOf = (written) => written.replaceAll('_', '-')

class Config {
  /** document: of parseToml(). file: its name in messages. */
  constructor (document, { file, command, profile, dir }) {
    this._document = document
    this._file = file
    this._command = command
    this._dir = dir
    this._paths = new Map() // option's name => its path in the file
    /** What the file says, as serve() or openSession() take it. */
    this.options = {}
    /** What is the command's alone: undefined where the file does not say it. */
    this.quiet = undefined
    this.logFile = undefined
    this._checkSections()
    if (command === 'serve') this._readServer()
    else this._readClient(profile)
  }

  /**
   * Where an option stands: 'file:line:column', or null when it is not of this
   * file. index: which element of a list.
   */
  where (option, index) {
    const at = this._paths.get(option)
    if (at === undefined) return null
    return this._at(index === undefined ? at : [...at, index])
  }

  _at (keys) {
    return `${this._file}:${this._document.place(keys).join(':')}`
  }

  _fail (keys, message) {
    return configError(`${this._at(keys)}: ${message}`)
  }

  _unknown (keys, known) {
    const near = closest(keyOf(keys.at(-1)).slice(0, 100), known)
    const hint = near === null ? '' : `; did you mean ${near}?`
    return this._fail(keys, `${printable(keys.join('.'))}: there is no such key${hint}`)
  }

  // Also what this command does not read: a key with a slip in it would come
  // to light only when somebody needs it.
  _checkSections () {
    const { value } = this._document
    for (const name of Object.keys(value)) {
      if (!SECTIONS.includes(name)) throw this._unknown([name], SECTIONS)
      if (name !== 'listeners' && !isTable(value[name])) throw this._fail([name], `${name} must be a table: [${name}]`)
    }
    this._checkListeners(value.listeners)
    for (const name of Object.keys(value.profiles ?? {})) {
      if (!isTable(value.profiles[name])) throw this._fail(['profiles', name], `a profile is a table: [profiles.${printable(name)}]`)
      this._checkKeys(['profiles', name], value.profiles[name], [...keysOf('connect').keys(), ...LOG])
    }
    this._checkKeys(['server'], value.server ?? {}, [...keysOf('serve').keys(), ...LOG])
    this._checkKeys(['client'], value.client ?? {}, [...keysOf('connect').keys(), ...LOG])
    this._checkKeys(['forwarding'], value.forwarding ?? {}, Object.keys(PARTS))
  }

  _checkListeners (list) {
    if (list === undefined) return
    if (!Array.isArray(list) || !list.every(isTable)) throw this._fail(['listeners'], 'listeners must be tables: [[listeners]]')
    for (const [index, one] of list.entries()) this._checkKeys(['listeners', index], one, Object.keys(LISTENER))
  }

  _checkKeys (section, table, known) {
    const seen = new Set()
    for (const written of Object.keys(table)) {
      const key = keyOf(written)
      const place = [...section, written]
      if (section[0] === 'server' && ['allow', 'deny', 'default', 'permit-listen'].includes(key)) {
        throw this._fail(place, `${key} belongs into [forwarding]: default, rules, permit-listen`)
      }
      if (!known.includes(key)) throw this._unknown(place, known)
      if (seen.has(key)) throw this._fail(place, `${place.join('.')}: stands there twice, with - and with _`)
      seen.add(key)
    }
  }

  _readServer () {
    const { server = {}, forwarding = {}, listeners } = this._document.value
    this._readTable(['server'], server)
    if (listeners !== undefined) {
      this.options.listeners = listeners.map((one) => this._listener(one))
      this._paths.set('listeners', ['listeners'])
    }
    const parts = {}
    for (const [written, value] of Object.entries(forwarding)) {
      const name = PARTS[keyOf(written)]
      parts[name] = value
      this._paths.set(`forwarding.${name}`, ['forwarding', written])
    }
    if (Object.keys(parts).length > 0) this.options.forwarding = parts
  }

  _listener (table) {
    return Object.fromEntries(Object.entries(table).map(([written, value]) => {
      const name = LISTENER[keyOf(written)]
      return [name, PATHS.has(name) ? this._resolved(value) : value]
    }))
  }

  _readClient (profile) {
    const { client = {}, profiles = {} } = this._document.value
    this._readTable(['client'], client)
    if (profile === undefined) return
    if (!Object.hasOwn(profiles, profile)) {
      const names = Object.keys(profiles).map(printable).join(', ') || 'none'
      throw configError(`${this._file}: there is no profile "${printable(profile)}"; there are: ${names}`)
    }
    this._readTable(['profiles', profile], profiles[profile])
  }

  _readTable (section, table) {
    const names = keysOf(this._command)
    for (const [written, value] of Object.entries(table)) {
      const key = keyOf(written)
      const place = [...section, written]
      if (LOG.includes(key)) this._readLog(key, value, place)
      else {
        const name = names.get(key)
        this.options[name] = this._isPath(name, value) ? this._resolved(value) : value
        this._paths.set(name, place)
      }
    }
  }

  _readLog (key, value, place) {
    const log = (this.options.log ??= {})
    if (key === 'quiet') {
      if (typeof value !== 'boolean') throw this._fail(place, `${place.join('.')}: must be true or false`)
      this.quiet = value
      return
    }
    const part = key.slice(4)
    if (part === 'file') {
      if (typeof value !== 'string' || value === '' || value.includes('\0')) throw this._fail(place, `${place.join('.')}: must be a path`)
      this.logFile = this._resolved(value)
    } else log[part] = value
    this._paths.set(`log.${part}`, place)
  }

  _isPath (name, value) {
    if (name === 'control' && value === 'off') return false
    return PATHS.has(name) || PATHS.has(`${this._command}:${name}`)
  }

  _resolved (value) {
    if (Array.isArray(value)) return value.map((one) => this._resolved(one))
    if (typeof value !== 'string' || value === '') return value
    return value.startsWith('~/') ? path.join(os.homedir(), value.slice(2)) : path.resolve(this._dir, value)
  }
}

function configError (message) {
  return new AlknetError(message, { code: 'ERR_ALKNET_OPTION', stage: 'options', advice: '' })
}

/**
 * Parses the text of a file. Throws ERR_ALKNET_OPTION with file, line and
 * column.
 * @param {string} text
 * @param {object} [about]
 * @param {string} [about.file='config'] its name in messages
 * @param {'serve'|'connect'} [about.command='serve'] whose options to give
 * @param {string} [about.profile] for connect
 * @param {string} [about.dir='.'] what relative paths in it are relative to
 * @returns {Config} with `options` and `where()`
 */
function parseConfig (text, { file = 'config', command = 'serve', profile, dir = '.' } = {}) {
  try {
    return new Config(parseToml(text), { file, command, profile, dir })
  } catch (err) {
    if (err instanceof TomlProblem) throw configError(`${file}:${err.line}:${err.column}: ${err.message}`)
    throw err
  }
}

/**
 * Reads a configuration file.
 * @param {string} file
 * @param {{ command?: 'serve'|'connect', profile?: string }} [about]
 * @returns {Promise<Config>}
 */
async function readConfig (file, { command = 'serve', profile } = {}) {
  if (typeof file !== 'string' || file === '' || file.includes('\0')) throw optionError('config', 'must be a path')
  if (!Object.hasOwn(RENAMED, command)) throw optionError('command', 'must be serve or connect')
  const { data } = await readInput(file, 'config', MAX_FILE).catch((err) => { throw configError(err.message) })
  let text
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(data)
  } catch {
    throw configError(`${file}: not UTF-8`)
  }
  return parseConfig(text, { file, command, profile, dir: path.dirname(path.resolve(file)) })
}

// ---- what is in effect, as a file that would say the same

function quote (text) {
  return JSON.stringify(text).replace(/\x7f/g, '\\u007f')
}

/** A checked value as TOML; undefined for what a file cannot say. */
function formatValue (value) {
  if (Array.isArray(value)) {
    const list = value.map(formatValue)
    return list.includes(undefined) ? undefined : `[${list.join(', ')}]`
  }
  if (typeof value === 'string') return quote(value)
  if (typeof value === 'number' || typeof value === 'boolean') return String(value)
  if (value === null || value instanceof Uint8Array || typeof value !== 'object') return undefined
  if (value.text !== undefined) return quote(value.text) // a forward, a network, penalties
  if (value.transport !== undefined) return quote(formatPlaces([value])[0])
  if (value.fd !== undefined) return quote(`fd:${value.fd}`)
  return quote(formatHostPort(value.address ?? value.host, value.port))
}

function formatLine (key, name, value) {
  // No pins is what stands there when nobody has given any.
  if (value === undefined || (name === 'hostKey' && value.length === 0)) return `# ${key}: not set`
  if (SECRETS.has(name)) return `# ${key}: set, and not shown`
  const text = formatValue(value)
  return text === undefined ? `# ${key}: ${value === null ? 'off' : 'given in code'}` : `${key} = ${text}`
}

function formatListener (one) {
  const lines = Object.entries(LISTENER).filter(([, name]) => one[name] !== undefined)
  return ['', '[[listeners]]', ...lines.map(([key, name]) => formatLine(key, name, one[name]))]
}

function formatRules (rules) {
  if (rules.length === 0) return '[]'
  return `[\n${rules.map((rule) => `  ${quote(rule.text)},`).join('\n')}\n]`
}

/**
 * Checked options as TOML, without secrets: what a server or a client runs
 * with.
 */
function formatConfig (command, options) {
  const lines = [command === 'serve' ? '[server]' : '[client]']
  for (const [key, name] of [...keysOf(command)].sort()) {
    const one = name === 'server' && options.server?.length === 1 ? options.server[0] : options[name]
    if (Object.hasOwn(options, name)) lines.push(formatLine(key, name, one))
  }
  if (options.log !== null) {
    lines.push(`log-level = ${quote(options.log.level ?? 'info')}`, `log-format = ${quote(options.log.format ?? 'text')}`,
      `log-time = ${options.log.time ?? false}`)
  }
  if (command !== 'serve') return `${lines.join('\n')}\n`
  const { default: byDefault, rules, permitListen } = options.forwarding
  lines.push('', '[forwarding]',
    "# built in, before the rules: deny metadata, link-local, unspecified and the server's own listeners",
    `default = ${quote(byDefault)}`,
    `rules = ${formatRules(rules)}`,
    permitListen === null
      ? '# permit-listen: not set; loopback:1024-65535 stands'
      : `permit-listen = ${formatRules(permitListen)}`)
  for (const one of options.listeners ?? []) lines.push(...formatListener(one))
  return `${lines.join('\n')}\n`
}

module.exports = { formatConfig, parseConfig, readConfig }
