'use strict'

/** The C programs of bench/load: compiled, and run. */

const path = require('path')
const { run, start } = require('../test/helpers/proc')
const { Scope } = require('../test/helpers/scope')

const FOLDER = path.join(__dirname, 'load')
const PARTS = {
  load: ['load.c', 'common.c', 'serve.c', 'bulk.c', 'many.c'],
  relay: ['relay.c', 'common.c'],
  link: ['link.c']
}
const FLAGS = ['-O2', '-std=c11', '-D_GNU_SOURCE', '-Wall', '-Wextra']

/** This machine, as netns.js has others: where programs are started, and how it is called. */
const HERE = {
  address: '127.0.0.1',
  start: (scope, [command, ...args], options) => start(scope, command, args, options)
}

/** Only what a test needs of a process: its output, to its end. */
async function toEnd (machine, argv, what) {
  const own = new Scope() // thousands of runs would pile up in the big one
  try {
    const done = await machine.start(own, argv).exited
    if (done.code !== 0) throw new Error(`${what}: ${done.output.trim()}`)
    return done.stdout
  } finally {
    await own.close()
  }
}

/** The load generator on a machine, with its target. */
class Load {
  constructor (program, machine, port) {
    this._program = program
    this._machine = machine
    /** The port of the target, for forwards. */
    this.target = port
  }

  async _run (side, way, what, ...args) {
    const argv = [this._program, what, side.ways[way], this.target, ...args].map(String)
    return JSON.parse(await toEnd(this._machine, argv, `${side.name}, ${what} over ${way}`))
  }

  /** One transfer; { seconds }. direction: 'up' or 'down'. */
  bulk (side, way, direction, bytes) {
    return this._run(side, way, direction, bytes)
  }

  /** Transfers for so long: { whole, steady }, bytes a second of each stream, of all the time and after `first` ms. */
  timed (side, way, direction, streams, [first, second]) {
    return this._run(side, way, `timed-${direction}`, streams, first, second)
  }

  /** Up to so many round trips within so many seconds: { seconds, micros }. */
  trips (side, way, count, bytes, seconds) {
    return this._run(side, way, 'trips', count, bytes, seconds)
  }

  open (side, way, count, atOnce) {
    return this._run(side, way, 'open', count, atOnce)
  }

  /** A process that prints a line of JSON for each of its four steps, and waits for a line before the next. */
  idle (scope, side, way, count, trips) {
    const proc = this._machine.start(scope, [this._program, 'idle', side.ways[way], this.target, count, trips].map(String), { keepStdin: true })
    let n = 0
    const next = async () => {
      n++
      const [text] = await proc.waitFor(new RegExp(`^(?:[^\\n]*\\n){${n}}`))
      return JSON.parse(text.trim().split('\n')[n - 1])
    }
    return { next, goOn: () => proc.child.stdin.write('\n') }
  }
}

/** The compiled programs. */
class Programs {
  constructor (folder) {
    this._folder = folder
  }

  path (name) {
    return path.join(this._folder, name)
  }

  /** Starts a program that prints its port. */
  async _listener (scope, machine, argv) {
    const [, port] = await machine.start(scope, argv.map(String)).waitFor(/^(\d+)\n/)
    return Number(port)
  }

  /** The load generator, its target running on the far machine. */
  async load (scope, near = HERE, far = near) {
    return new Load(this.path('load'), near, await this._listener(scope, far, [this.path('load'), 'serve']))
  }

  /** Another target, that others than this machine reach: its port. */
  serve (scope, machine, address) {
    return this._listener(scope, machine, [this.path('load'), 'serve', address])
  }

  /** A TCP relay to a port of this machine: { pid, port }. */
  async relay (scope, port) {
    const proc = start(scope, this.path('relay'), [String(port)])
    const [, own] = await proc.waitFor(/^(\d+)\n/)
    return { proc, port: Number(own) }
  }
}

async function compile (scope) {
  const folder = scope.dir()
  for (const [name, parts] of Object.entries(PARTS)) {
    const cc = await run(scope, process.env.CC ?? 'cc',
      [...FLAGS, '-o', path.join(folder, name), ...parts.map((part) => path.join(FOLDER, part))])
    if (cc.code !== 0) throw new Error(`bench/load/${name} does not compile: ${cc.output.trim()}`)
  }
  return new Programs(folder)
}

module.exports = { HERE, compile }
