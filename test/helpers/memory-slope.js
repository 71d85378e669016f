'use strict'

/**
 * How memory grows with what is done again and again. A total says little: V8
 * and malloc keep what they have had, and take more in steps. What leaks shows
 * in the slope, which the median of all pairs of samples gives whatever single
 * steps there are (Theil and Sen).
 */

const assert = require('node:assert')

/**
 * The environment of a process that is measured. Each thread takes an arena of
 * its own from glibc, and what is freed in one serves nobody in another: memory
 * grows for long without anything being kept. In one arena it does not.
 */
const ONE_ARENA = { MALLOC_ARENA_MAX: '1' }

/**
 * And its flags. V8's optimizing compilers begin when they see fit, take some
 * MB, and keep most of them: in Node 26 in the midst of the rounds.
 */
const UNOPTIMIZED = ['--expose-gc', '--no-opt', '--no-maglev']

// Bytes each time: less than a stream, and than a buffer. What V8 learns of code that runs for the first time is in it.
const LIMITS = { heap: 1024, outside: 4096 }

/** { at, heap, outside }: what is used of JavaScript's heap, and what is resident outside of it. Needs UNOPTIMIZED. */
function sample (at) {
  global.gc()
  const { rss, heapTotal, heapUsed } = process.memoryUsage()
  return { at, heap: heapUsed, outside: rss - heapTotal }
}

/** By how many bytes what is called key grows with each step; the first third of the samples is warming up. */
function slopeOf (samples, key) {
  const warm = samples.slice(Math.ceil(samples.length / 3))
  const slopes = []
  for (const [i, a] of warm.entries()) {
    for (const b of warm.slice(i + 1)) slopes.push((b[key] - a[key]) / (b.at - a.at))
  }
  slopes.sort((x, y) => x - y)
  return (slopes[Math.floor((slopes.length - 1) / 2)] + slopes[Math.ceil((slopes.length - 1) / 2)]) / 2
}

/** Throws when memory grows with each of what is named. */
function assertFlat (samples, what) {
  for (const [key, limit] of Object.entries(LIMITS)) {
    const slope = slopeOf(samples, key)
    assert.ok(slope < limit, `${key}: ${Math.round(slope)} bytes more with each of ${what}: ${JSON.stringify(samples.map((one) => one[key]))}`)
  }
}

module.exports = { ONE_ARENA, UNOPTIMIZED, sample, slopeOf, assertFlat }
