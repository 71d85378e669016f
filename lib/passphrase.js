'use strict'

/** Asks for the passphrase of a key, whoever the key is for. */

const { canceled } = require('./errors')

/** Resolves with promise, or rejects when the signal is aborted before. */
async function unlessAborted (promise, signal) {
  let onAbort
  const aborted = new Promise((resolve, reject) => {
    onAbort = () => reject(canceled('key', signal.reason))
  })
  if (signal.aborted) onAbort()
  signal.addEventListener('abort', onAbort)
  try {
    return await Promise.race([promise, aborted])
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}

/**
 * The passphrase, or null where there is none. A person may never answer: it
 * rejects when the signal is aborted.
 * @param {string|Function} [passphrase] text, or (name) => text | Promise
 * @param {string} name of the key
 * @param {AbortSignal} [signal]
 */
async function askPassphrase (passphrase, name, signal) {
  if (typeof passphrase !== 'function') return passphrase ?? null
  if (signal?.aborted) throw canceled('key', signal.reason) // a question that nobody is to answer would stay
  const asked = Promise.resolve(passphrase(name))
  const answer = await (signal === undefined ? asked : unlessAborted(asked, signal))
  return answer === null || answer === undefined ? null : String(answer)
}

module.exports = { askPassphrase }
