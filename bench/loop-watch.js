'use strict'

/** How late the event loop of a process of Node is: ends/loop-delay.js in it, asked from here. */

const fs = require('fs')
const path = require('path')

const PROBE = path.join(__dirname, 'ends', 'loop-delay.js')
const ANSWER_MS = 30_000

class LoopWatch {
  constructor (scope) {
    this.pid = null // of the process, to be set when it has started
    this._file = path.join(scope.dir(), 'delay')
    this._lines = 0
    fs.writeFileSync(this._file, '')
  }

  /** What the process has to have in its environment. */
  get env () {
    return { NODE_OPTIONS: `--require ${JSON.stringify(PROBE)}`, BENCH_LOOP_DELAY: this._file }
  }

  /** Starts to measure, or stops and tells { p50, p99, max } in ms. */
  async turn () {
    process.kill(this.pid, 'SIGUSR2')
    this._lines++
    for (const deadline = Date.now() + ANSWER_MS; Date.now() < deadline;) {
      const lines = fs.readFileSync(this._file, 'utf8').split('\n').slice(0, -1)
      if (lines.length >= this._lines) return JSON.parse(lines[this._lines - 1])
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
    throw new Error('an alknet process did not answer SIGUSR2')
  }
}

/**
 * Does something and says how late the loops of both ends were meanwhile. It
 * costs CPU, so nothing else is measured at that time.
 *
 * @param {{ name: string, watches: { client?: LoopWatch, server?: LoopWatch } }} side
 * @returns {Promise<object[]>} samples: { kind: 'loop', side, end, what, p50, p99, max }
 */
async function watched (side, what, work) {
  const all = Object.entries(side.watches ?? {})
  if (all.length === 0) return []
  for (const [, watch] of all) await watch.turn()
  await work()
  const samples = []
  for (const [end, watch] of all) samples.push({ kind: 'loop', side: side.name, end, what, ...await watch.turn() })
  return samples
}

module.exports = { LoopWatch, watched }
