'use strict'

/** Events whose listeners are somebody else's code. */

/** As emitter.emit(), but what a listener throws is its own: it stops nothing here. */
function emitSafely (emitter, ...event) {
  try {
    emitter.emit(...event)
  } catch (err) {
    process.nextTick(() => { throw err })
  }
}

module.exports = { emitSafely }
