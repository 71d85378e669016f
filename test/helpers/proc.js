'use strict'

/**
 * Child processes whose output is waited for, never slept for. Each is ended
 * through its own pid, at the latest when this process exits.
 */

const { spawn, spawnSync } = require('node:child_process')
const fs = require('node:fs')

const running = new Set()
process.on('exit', () => {
  for (const proc of running) proc.kill('SIGKILL')
})

/** How much of a child's output is kept. */
const OUTPUT_MAX = 1 << 20

/**
 * Resident memory of a process in bytes (Linux): all of it, and what is its own,
 * which is all but the parts of files, as of programs, that it has come upon.
 */
function residentMemory (pid) {
  const status = fs.readFileSync(`/proc/${pid}/status`, 'utf8')
  const kib = (name) => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)[1])
  return { all: kib('VmRSS') * 1024, own: kib('RssAnon') * 1024 }
}

class Proc {
  /**
   * @param {string} command
   * @param {string[]} args
   * @param {{ env?: object, input?: string, cwd?: string }} [options]
   */
  constructor (command, args, options = {}) {
    this.name = `${command} ${args.join(' ')}`
    this.stdout = ''
    this.stderr = ''
    this.output = ''
    this.result = null
    this._waiting = new Set()
    this.child = spawn(command, args, {
      stdio: ['pipe', 'pipe', 'pipe'],
      env: options.env || process.env,
      cwd: options.cwd
    })
    running.add(this)
    this.child.stdin.on('error', () => {})
    if (options.input !== undefined) this.child.stdin.write(options.input)
    if (!options.keepStdin) this.child.stdin.end()
    for (const name of ['stdout', 'stderr']) {
      this.child[name].setEncoding('utf8')
      this.child[name].on('data', (text) => this._collect(name, text))
    }
    /** Resolves to { code, signal, stdout, stderr, output }; never rejects. */
    this.exited = new Promise((resolve) => {
      const done = (code, signal, error) => {
        if (this.result !== null) return
        running.delete(this)
        const { stdout, stderr, output } = this
        this.result = { code, signal, stdout, stderr, output, error }
        this._check()
        resolve(this.result)
      }
      this.child.once('error', (error) => done(null, null, error))
      this.child.once('close', (code, signal) => done(code, signal, null))
    })
  }

  get pid () {
    return this.child.pid
  }

  _collect (name, text) {
    this[name] = (this[name] + text).slice(-OUTPUT_MAX)
    this.output = (this.output + text).slice(-OUTPUT_MAX)
    this._check()
  }

  _check () {
    for (const check of this._waiting) check()
  }

  /**
   * Waits until the output matches. Rejects with the whole output when the
   * process ends first.
   *
   * @param {RegExp} pattern
   * @returns {Promise<RegExpMatchArray>}
   */
  waitFor (pattern) {
    return new Promise((resolve, reject) => {
      const check = () => {
        const match = this.output.match(pattern)
        if (match === null && this.result === null) return
        this._waiting.delete(check)
        if (match !== null) return resolve(match)
        const { code, signal, error } = this.result
        reject(new Error(`${this.name}\nended (code ${code}, signal ${signal}` +
          `${error ? `, ${error.message}` : ''}) before ${pattern}:\n${this.output}`))
      }
      this._waiting.add(check)
      check()
    })
  }

  kill (signal) {
    if (this.result === null && this.child.pid !== undefined) this.child.kill(signal)
  }

  /** Ends it at once and waits until it has gone. */
  async stop () {
    this.kill('SIGKILL')
    await this.exited
  }

  /** Resident memory in bytes (Linux). */
  rss () {
    return residentMemory(this.pid).all
  }

  /** How many file descriptors it has open (Linux). */
  fds () {
    return fs.readdirSync(`/proc/${this.pid}/fd`).length
  }
}

/**
 * Starts a process that ends with the scope.
 *
 * @returns {Proc}
 */
function start (scope, command, args, options) {
  const proc = new Proc(command, args, options)
  scope.defer(() => proc.stop())
  return proc
}

/** Runs a process to its end. */
function run (scope, command, args, options) {
  return start(scope, command, args, options).exited
}

const found = new Map()

/** Whether a program is there; the answer is remembered. */
function has (program) {
  if (!found.has(program)) {
    const { error } = spawnSync(program, ['--version'], { stdio: 'ignore' })
    found.set(program, !(error && error.code === 'ENOENT'))
  }
  return found.get(program)
}

/**
 * In a before() or it(): skips, and says why, when a program is missing.
 *
 * @param {Mocha.Context} context
 * @param {...string} programs
 */
function need (context, ...programs) {
  for (const program of programs) {
    if (has(program)) continue
    console.log(`      skipped: ${program} is not installed`)
    context.skip()
  }
}

module.exports = { Proc, start, run, has, need, residentMemory }
