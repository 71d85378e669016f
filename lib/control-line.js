'use strict'

/**
 * What both ends of a control socket speak: JSON, one object a line. Lines are
 * bounded in length and in time.
 */

const { fail } = require('./errors')

const LINE_FEED = 10

/**
 * Reads one line of at most max bytes. Gives its text, or null when the stream
 * has ended; rejects when it is too long or not whole within ms.
 */
function readLine (stream, { max, ms }) {
  return new Promise((resolve, reject) => {
    const parts = []
    let length = 0
    const finish = (err, text) => {
      clearTimeout(timer)
      stream.off('readable', take)
      for (const event of ENDS) stream.off(event, onEnd)
      if (err) reject(err)
      else resolve(text)
    }
    const onEnd = () => finish(null, null)
    const take = () => {
      for (let chunk = stream.read(); chunk !== null; chunk = stream.read()) {
        const at = chunk.indexOf(LINE_FEED)
        const part = at < 0 ? chunk : chunk.subarray(0, at)
        length += part.length
        if (length > max) return finish(fail('LIMIT', 'control', `a line has at most ${max} bytes`))
        parts.push(part)
        if (at < 0) continue
        if (at + 1 < chunk.length) stream.unshift(chunk.subarray(at + 1))
        return finish(null, Buffer.concat(parts).toString('utf8'))
      }
    }
    const timer = setTimeout(() => finish(fail('TIMEOUT', 'control', `no whole line within ${ms} ms`)), ms)
    if (stream.readableEnded || stream.destroyed) return onEnd()
    stream.on('readable', take)
    for (const event of ENDS) stream.on(event, onEnd)
    take()
  })
}

const ENDS = ['end', 'error', 'close']

/** Writes one line; the promise is kept when ms have not been enough for it. */
function writeLine (stream, message, { ms }) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(fail('TIMEOUT', 'control', `a line was not taken within ${ms} ms`)), ms)
    stream.write(`${JSON.stringify(message)}\n`, (err) => {
      clearTimeout(timer)
      if (err) reject(err)
      else resolve()
    })
  })
}

module.exports = { readLine, writeLine }
