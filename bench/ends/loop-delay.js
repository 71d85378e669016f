'use strict'

/**
 * Loaded into the alknet processes with `node --require`: measures how late
 * their event loop is. SIGUSR2 starts; the next SIGUSR2 stops and appends one
 * line of JSON to the file that BENCH_LOOP_DELAY names. Between measurements
 * it costs nothing.
 */

const fs = require('fs')
const { monitorEventLoopDelay } = require('perf_hooks')

const resolution = 1 // ms; the histogram's values include it
let delay = null

process.on('SIGUSR2', () => {
  if (delay === null) {
    delay = monitorEventLoopDelay({ resolution })
    delay.enable()
    fs.appendFileSync(process.env.BENCH_LOOP_DELAY, '{"started":true}\n')
    return
  }
  delay.disable()
  const late = (ns) => Math.max(0, ns / 1e6 - resolution)
  const line = {
    p50: late(delay.percentile(50)), p99: late(delay.percentile(99)), max: late(delay.max)
  }
  delay = null
  fs.appendFileSync(process.env.BENCH_LOOP_DELAY, JSON.stringify(line) + '\n')
})
