'use strict'

/** Resolves with promise, or after ms with what late() gives. */
function within (ms, promise, late = () => {}) {
  let timer
  const timeout = new Promise((resolve) => { timer = setTimeout(() => resolve(late()), ms) })
  return Promise.race([promise, timeout]).finally(() => clearTimeout(timer))
}

module.exports = { within }
