'use strict'

/**
 * When a certificate is to be renewed, and when to try again. Times are
 * milliseconds since 1970. Pure.
 */

const MINUTE = 60_000
const HOUR = 60 * MINUTE

// Two thirds of its life, and up to a thirtieth more: what was issued together
// is not renewed together.
const SHARE = 2 / 3
const SPREAD = 1 / 30

/** span: { from, to } of a certificate. random: 0 to 1, the same for one certificate. */
function renewAt ({ from, to }, random) {
  return from + (to - from) * (SHARE + SPREAD * random)
}

// A CA counts what fails (Let's Encrypt: five an hour for a name), so tries
// become rare soon; but there have to be many of them in the last third of a
// life, however short it is.
const FIRST = MINUTE
const LAST = 6 * HOUR
const TRIES = 20
const SHORTEST = 1000

/** { minDelayMs, maxDelayMs } of backoff.js. span: of the certificate that there is; null: none. */
function retryDelays (span) {
  const some = span === null ? LAST : (span.to - span.from) / (3 * TRIES)
  const maxDelayMs = Math.min(LAST, Math.max(SHORTEST, some))
  return { minDelayMs: Math.min(FIRST, maxDelayMs), maxDelayMs }
}

/**
 * When at the earliest one that has just been issued is renewed: it may be old
 * already, by a clock that is wrong or a CA that dates back.
 */
function nextAt (span, now) {
  return now + retryDelays(span).maxDelayMs
}

// What a CA may ask for at most.
const PATIENCE = 24 * HOUR

/** How long until the next try, when the CA has said when to come back; seconds, or undefined. */
function retryDelay (delayMs, retryAfter = 0) {
  return Math.max(delayMs, Math.min(retryAfter * 1000, PATIENCE))
}

// What a clock without a battery shows is long before anybody could run this.
const FIRST_USE = Date.UTC(2025, 0, 1)

/** When it is now at the earliest. span: of a certificate that has been issued, or null. */
function earliest (span) {
  return Math.max(FIRST_USE, span?.from ?? FIRST_USE)
}

module.exports = { HOUR, earliest, nextAt, renewAt, retryDelay, retryDelays }
