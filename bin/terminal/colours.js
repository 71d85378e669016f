'use strict'

/** Colours, where they are wanted: on a terminal that has them, and nobody has said no. */

const CODES = { red: 31, green: 32, yellow: 33, cyan: 36, dim: 2, bold: 1 }

/**
 * FORCE_COLOR decides, then NO_COLOR (no-color.org), then whether it is a
 * terminal that understands more than text.
 */
function wantsColour (stream, env = process.env) {
  const { FORCE_COLOR: force, NO_COLOR: no, TERM: term } = env
  if (force !== undefined && force !== '') return force !== '0' && force !== 'false'
  if (no !== undefined && no !== '') return false
  return stream.isTTY === true && term !== 'dumb' && term !== undefined
}

/** text in a colour, or as it is. */
function paint (stream, colour, text, env) {
  return wantsColour(stream, env) ? `\x1b[${CODES[colour]}m${text}\x1b[0m` : text
}

module.exports = { paint, wantsColour }
