'use strict'

/**
 * Writes down what alknet says in a test file, and where the connections
 * through it lead; tools/destinations.js then looks that no line has a target
 * in it (spec §1). tools/mocha-files.js has each mocha require this file, and
 * ALKNET_TEST_DESTINATIONS is how the names of what it writes begin. Without
 * that, nothing is written down.
 *
 * Said: what every process that runs alknet prints, whoever started it, and
 * every line that is logged in this process, of all levels and whether a test
 * wants it or not.
 *
 * Targets: the servers of net.js; what somebody asks a SOCKS proxy for; the far
 * end of a forward, in whatever arguments of a program it stands; and what the
 * sessions of this process are asked to open.
 */

const childProcess = require('node:child_process')
const fs = require('node:fs')
const path = require('node:path')

const PREFIX = process.env.ALKNET_TEST_DESTINATIONS
const FLUSH_BYTES = 1 << 20
// Of a line that does not end, what is kept to be put together.
const REST_MAX = 1 << 16

// Who asks for a target, over the control socket or of a configuration, is told
// it: an answer is no log.
const ANSWERS = new Set(['forward', 'policy', 'status'])
const ASKS = ['--check', '--help']

const lines = []
let size = 0
const targets = new Set()

function flush () {
  if (lines.length > 0) fs.appendFileSync(`${PREFIX}said`, lines.splice(0).join(''))
  size = 0
}

function say (text) {
  lines.push(text, '\n')
  size += text.length
  if (size > FLUSH_BYTES) flush()
}

/** Takes down that something leads to host:port, or to the path of a socket. */
function destination (place, port) {
  if (PREFIX !== undefined) targets.add(port === undefined ? place : `${place} ${port}`)
}

/** The targets in the arguments of a program: alknet's, and ssh's. */
function targetsOf (args) {
  const { parseForward, parseRemoteForward } = require('../../lib/forward-spec')
  const parsers = {
    '-L': parseForward,
    '--forward': parseForward,
    '-R': parseRemoteForward,
    '--remote-forward': parseRemoteForward,
    '-W': (text) => parseForward(`0:${text}`)
  }
  for (const [i, arg] of args.entries()) {
    if (!Object.hasOwn(parsers, arg) || args[i + 1] === undefined) continue
    const { there } = parsers[arg](String(args[i + 1])) // undefined of a text that says what is wrong
    if (there) destination(there.path ?? there.host, there.port)
  }
}

/** Whether a program is alknet, or a program around it, and nobody's question. */
function isAlknet (args) {
  const at = args.findIndex((arg) => arg.includes('alknet.js'))
  if (at >= 0) return !ANSWERS.has(args[at + 1]) && !ASKS.some((flag) => args.includes(flag))
  return args.some((arg) => /^node/.test(path.basename(arg)))
}

/** Has what a stream brings said line by line, behind the back of who reads it. */
function tap (stream) {
  if (!stream) return
  const { push } = stream
  let rest = ''
  stream.push = function (chunk, encoding) {
    const text = rest + (chunk ?? '')
    const at = chunk === null ? text.length : text.lastIndexOf('\n')
    if (at > 0) say(text.slice(0, at))
    rest = chunk === null ? '' : text.slice(at + 1).slice(-REST_MAX)
    return push.call(this, chunk, encoding)
  }
}

function watchChildren () {
  const { spawn } = childProcess.ChildProcess.prototype
  childProcess.ChildProcess.prototype.spawn = function (options) {
    const result = spawn.call(this, options)
    const args = (options.args ?? []).map(String)
    targetsOf(args)
    if (isAlknet(args)) {
      tap(this.stdout)
      tap(this.stderr)
    }
    return result
  }
  for (const name of ['spawnSync', 'execFileSync']) watchSync(name)
}

function watchSync (name) {
  const real = childProcess[name]
  childProcess[name] = function (file, args, options) {
    const words = [file, ...Array.isArray(args) ? args.map(String) : []]
    targetsOf(words)
    const isOurs = isAlknet(words)
    const hear = (result) => {
      for (const output of [result?.stdout ?? result, result?.stderr]) if (isOurs && output) say(String(output))
    }
    try {
      const result = real(file, args, options)
      hear(result)
      return result
    } catch (err) {
      hear(err)
      throw err
    }
  }
}

/** Lines of this process: those that nobody wants are formatted for this alone. */
function watchLog () {
  const log = require('../../lib/log')
  const { NO_LOG, LEVELS, FORMATS, createLogger } = log
  for (const level of Object.keys(LEVELS)) {
    NO_LOG[level] = (event, fields = {}) => say(FORMATS.text(level, event, fields))
  }
  log.createLogger = (options) => {
    const logger = createLogger(options)
    for (const level of Object.keys(LEVELS)) {
      const put = logger[level]
      if (put === NO_LOG[level]) continue
      logger[level] = (event, fields) => {
        NO_LOG[level](event, fields)
        return put(event, fields)
      }
    }
    return logger
  }
}

function watchSessions () {
  const { Session } = require('../../lib/session')
  const { open } = Session.prototype
  Session.prototype.open = function (target, options) {
    if (typeof target?.path === 'string') destination(target.path)
    else if (typeof target?.host === 'string') destination(target.host, target.port)
    return open.call(this, target, options)
  }
}

if (PREFIX !== undefined) {
  watchLog()
  watchChildren()
  watchSessions()
  process.on('exit', () => {
    flush()
    fs.writeFileSync(`${PREFIX}targets`, [...targets, ''].join('\n'))
  })
}

module.exports = { destination }
