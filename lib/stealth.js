'use strict'

/** The secret of stealth: the same file at both ends, and how a client shows that it has it. */

const binding = require('./binding')
const { optionError } = require('./errors')
const { readInput } = require('./files')

const MIN_SECRET = 16
const MAX_SECRET = 1024

/**
 * The secret of stealthSecret, without the blanks around it; null for none.
 * @param {{ stealthSecret?: string | Uint8Array }} options
 * @returns {Promise<Buffer | null>}
 */
async function readSecret ({ stealthSecret }) {
  if (stealthSecret === undefined) return null
  const { data } = await readInput(stealthSecret, 'stealthSecret', MAX_SECRET + 2)
    .catch((err) => { throw optionError('stealthSecret', err.message, err) })
  const secret = Buffer.from(data.toString('latin1').trim(), 'latin1')
  data.fill(0) // a copy of ours, also where the bytes were given
  if (secret.length >= MIN_SECRET && secret.length <= MAX_SECRET) return secret
  throw optionError('stealthSecret', `must hold ${MIN_SECRET} to ${MAX_SECRET} bytes (openssl rand -base64 32 makes some)`)
}

/** Has a client show on an open TLS stream that it knows the secret. name: whom it asks for; '' or null over a stream that leads to nobody who was named. */
function greet (stream, secret, name) {
  stream.write(binding.stealthGreeting(stream, secret, name || 'localhost'))
  return stream
}

module.exports = { greet, readSecret }
