'use strict'

/** What is made of samples: objects with `side`, `round`, words that say of what they are, and numbers. */

function median (numbers) {
  const sorted = [...numbers].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

function percentile (numbers, part) {
  const sorted = [...numbers].sort((a, b) => a - b)
  return sorted[Math.floor(sorted.length * part)]
}

/** Jain's index of fairness: 1 when all have the same, 1/n when one has it all. */
function jain (numbers) {
  const sum = numbers.reduce((a, b) => a + b, 0)
  const squares = numbers.reduce((a, b) => a + b * b, 0)
  return squares === 0 ? 0 : sum * sum / (numbers.length * squares)
}

/** The samples that have all that match has. */
function matching (samples, match) {
  return samples.filter((sample) => Object.entries(match).every(([key, value]) => sample[key] === value))
}

/** The values of one field in the samples that match. */
function values (samples, match, field) {
  return matching(samples, match).map((sample) => sample[field]).filter((value) => value !== undefined)
}

/** The median of a field, or undefined where there is none. */
function middle (samples, match, field) {
  const found = values(samples, match, field)
  return found.length === 0 ? undefined : median(found)
}

/**
 * A side's value by another's in the same round; the median of all rounds, so
 * that a busy minute is busy for both. undefined: nothing to compare.
 */
function ratio (samples, match, field, [side, other]) {
  const ratios = matching(samples, { ...match, side }).flatMap((ours) =>
    matching(samples, { ...match, side: other, round: ours.round }).map((theirs) => ours[field] / theirs[field]))
  return ratios.length === 0 ? undefined : median(ratios)
}

function distinct (samples, field) {
  return [...new Set(samples.map((sample) => sample[field]))].filter((value) => value !== undefined)
}

function number (n) {
  if (n === undefined || Number.isNaN(n)) return '–'
  const size = Math.abs(n)
  if (size >= 100) return n.toFixed(0)
  return size >= 10 ? n.toFixed(1) : n.toFixed(2)
}

/** "median (lowest–highest)", or a dash where nothing was measured. */
function spread (numbers) {
  if (numbers.length < 2) return number(numbers[0])
  const [least, most] = [number(Math.min(...numbers)), number(Math.max(...numbers))]
  return least === most ? least : `${number(median(numbers))} (${least}–${most})`
}

module.exports = { distinct, jain, matching, median, middle, number, percentile, ratio, spread, values }
