'use strict'

/** Reading what an option names: a path or the bytes themselves. */

const fs = require('fs/promises')
const { AlknetError, systemError, systemText, fail } = require('./errors')

/**
 * Gives { data, name }. The size is checked before anything is read. check:
 * (stats, path) => void may throw.
 */
async function readInput (input, option, maxBytes, check) {
  if (typeof input !== 'string') {
    if (input.length > maxBytes) throw tooLong(option, maxBytes)
    return { data: Buffer.from(input), name: option }
  }
  let file
  try {
    file = await fs.open(input, 'r')
    const stats = await file.stat()
    if (check !== undefined) check(stats, input)
    if (stats.size > maxBytes) throw tooLong(input, maxBytes)
    return { data: await readAtMost(file, input, maxBytes), name: input }
  } catch (err) {
    if (err instanceof AlknetError) throw err
    throw systemError(err, 'key', `cannot read ${input}: ${systemText(err)}`)
  } finally {
    if (file !== undefined) await file.close()
  }
}

// A pipe or /dev/stdin has no size to check beforehand.
async function readAtMost (file, name, maxBytes) {
  const chunks = []
  let total = 0
  for (;;) {
    const { bytesRead, buffer } = await file.read(Buffer.alloc(64 * 1024), 0, 64 * 1024, null)
    if (bytesRead === 0) return Buffer.concat(chunks)
    total += bytesRead
    if (total > maxBytes) throw tooLong(name, maxBytes)
    chunks.push(buffer.subarray(0, bytesRead))
  }
}

function tooLong (name, maxBytes) {
  return fail('LIMIT', 'key', `${name} is longer than ${maxBytes} bytes`)
}

module.exports = { readInput }
