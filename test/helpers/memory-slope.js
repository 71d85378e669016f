'use strict'

/**
 * How memory grows with what is done again and again. A total says little: V8
 * and malloc keep what they have had, and take more in steps. What leaks shows
 * in the slope, which the median of all pairs of samples gives whatever single
 * steps there are (Theil and Sen).
 */

/** { at, heap, outside }: what is used of JavaScript's heap, and what is resident outside of it. Needs --expose-gc. */
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

module.exports = { sample, slopeOf }
