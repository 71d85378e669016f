'use strict'

/** CPU time and memory of process trees, from /proc. */

const fs = require('fs')
const { execFileSync } = require('child_process')

const ticks = Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }))

/** The fields of /proc/PID/stat after the name; null when it is gone. */
function stat (pid) {
  let text
  try {
    text = fs.readFileSync(`/proc/${pid}/stat`, 'utf8')
  } catch {
    return null
  }
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ').map(Number)
  return { parent: fields[1], ticks: fields[11] + fields[12] + fields[13] + fields[14] }
}

/** The processes and all that descend from them. */
function family (roots) {
  const all = new Set(roots)
  const parents = fs.readdirSync('/proc').filter((name) => /^\d+$/.test(name))
    .map((name) => [Number(name), stat(name)]).filter(([, found]) => found !== null)
  for (let grown = true; grown;) {
    grown = false
    for (const [pid, { parent }] of parents) {
      if (all.has(parent) && !all.has(pid)) {
        all.add(pid)
        grown = true
      }
    }
  }
  return [...all]
}

/** CPU seconds, user and system, that the processes have used; with those of
 * their children that have ended. */
function cpuSeconds (roots) {
  return family(roots).reduce((sum, pid) => sum + (stat(pid)?.ticks ?? 0), 0) / ticks
}

/** Sums a field over the processes, in MB: VmRSS or VmHWM of /proc/PID/status, or Pss, which shares out what several have. */
function memory (roots, field) {
  const file = field === 'Pss' ? 'smaps_rollup' : 'status'
  let sum = 0
  for (const pid of family(roots)) {
    try {
      const found = new RegExp(`^${field}:\\s+(\\d+) kB`, 'm')
        .exec(fs.readFileSync(`/proc/${pid}/${file}`, 'utf8'))
      if (found) sum += Number(found[1]) * 1024 / 1e6
    } catch {
      // It has ended meanwhile.
    }
  }
  return sum
}

const eachEnd = (ends, of) => ({ client: of(ends.client), server: of(ends.server) })

/**
 * Runs work() and says what the two ends used for it meanwhile.
 * @param {{ client: number[], server: number[] }} ends the roots of each end
 * @returns {Promise<object>} the work's result with cpu (seconds of each end)
 *   and the highest resident memory seen of each
 */
async function metered (ends, work) {
  const rss = { client: 0, server: 0 }
  const look = () => {
    for (const end of ['client', 'server']) {
      rss[end] = Math.max(rss[end], memory(ends[end], 'VmRSS'))
    }
  }
  const timer = setInterval(look, 100)
  const before = eachEnd(ends, cpuSeconds)
  const result = await work().finally(() => clearInterval(timer))
  const cpu = eachEnd(ends, cpuSeconds)
  for (const end of ['client', 'server']) cpu[end] -= before[end]
  look()
  return { ...result, cpu, rss }
}

module.exports = { memory, metered }
