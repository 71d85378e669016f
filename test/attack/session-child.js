'use strict'

/**
 * alknet as a client, in a process of its own: what it does to that process
 * (its end, its memory) can be seen, and no crash is the test's.
 *
 * Reads commands, one JSON object a line, from stdin, and answers each with
 * one on stdout: { id, value } or { id, error: { code, stage, message } }. It
 * ends when stdin does and everything is closed.
 */

const readline = require('node:readline')
const alknet = require('../..')

const sessions = new Map()
const channels = new Map()
let next = 1

const COMMANDS = {
  async session ({ options }) {
    const session = await alknet.openSession(options)
    const name = next++
    sessions.set(name, session)
    return name
  },

  /** Why it ended: an error, or null. */
  async over ({ session }) {
    await sessions.get(session).closed
    const { error } = sessions.get(session)
    sessions.delete(session)
    return error === null ? null : describe(error)
  },

  async close ({ session }) {
    await sessions.get(session).close()
    sessions.delete(session)
  },

  async open ({ session, host, port }) {
    const stream = await sessions.get(session).open({ host, port })
    stream.on('error', () => {}) // echo() says so
    const name = next++
    channels.set(name, stream)
    return name
  },

  /** Sends text through a channel and reads as many bytes. */
  echo ({ channel, text }) {
    const stream = channels.get(channel)
    return new Promise((resolve, reject) => {
      let got = ''
      const done = () => {
        stream.off('data', ondata)
        stream.pause() // or what comes now would be read and thrown away
        stream.off('close', onclose)
        resolve(got)
      }
      const ondata = (chunk) => {
        got += chunk.toString('latin1')
        if (got.length >= text.length) done()
      }
      const onclose = () => reject(stream.errored ?? new Error('the channel was closed'))
      if (stream.destroyed) return onclose()
      stream.on('data', ondata)
      stream.resume()
      stream.once('close', onclose)
      stream.write(text, 'latin1')
    })
  }
}

function describe (err) {
  return { code: err.code, stage: err.stage, message: err.message }
}

function answer (id, result) {
  process.stdout.write(`${JSON.stringify({ id, ...result })}\n`)
}

const lines = readline.createInterface({ input: process.stdin })

lines.on('line', (line) => {
  const { id, what, ...rest } = JSON.parse(line)
  Promise.resolve().then(() => COMMANDS[what](rest)).then(
    (value) => answer(id, { value: value ?? null }),
    (err) => answer(id, { error: describe(err) }))
})

lines.on('close', () => {
  for (const session of sessions.values()) session.close()
})

answer(0, { value: 'ready' })
