'use strict'

/**
 * Traffic whose every byte is checked: a transfer writes a piece of noise that
 * the far end echoes, and compares what comes back as it comes. A transfer may
 * be cut at any byte; what came before has to be right all the same.
 */

const net = require('node:net')
const { createHash, randomBytes, randomInt } = require('node:crypto')
const { once } = require('node:events')
const { greeting, readReply, request } = require('../helpers/socks')
const { readBytes } = require('../helpers/net')

const NOISE = randomBytes(1 << 20)
const CHUNK = 64 * 1024

class WrongBytes extends Error {}

/** Compares chunk with the noise from `at` on, around its end. */
function check (chunk, at) {
  for (let done = 0; done < chunk.length;) {
    const from = (at + done) % NOISE.length
    const n = Math.min(chunk.length - done, NOISE.length - from)
    if (chunk.compare(NOISE, from, from + n, done, done + n) !== 0) throw new WrongBytes('other bytes came back')
    done += n
  }
}

/**
 * Sends so many bytes to an echo and reads them back.
 * @returns {Promise<{ bytes: number, isWhole: boolean }>} what came back
 */
function transfer (socket, bytes) {
  const start = randomInt(NOISE.length)
  let sent = 0
  let got = 0
  return new Promise((resolve, reject) => {
    const push = () => {
      while (sent < bytes) {
        const from = (start + sent) % NOISE.length
        const n = Math.min(CHUNK, bytes - sent, NOISE.length - from)
        sent += n
        if (!socket.write(NOISE.subarray(from, from + n))) return
      }
      socket.end()
      socket.off('drain', push)
    }
    socket.on('data', (chunk) => {
      try {
        if (got + chunk.length > bytes) throw new WrongBytes('more came back than was sent')
        check(chunk, start + got)
        got += chunk.length
      } catch (err) {
        socket.destroy()
        reject(err)
      }
    })
    socket.on('drain', push)
    socket.once('error', () => {})
    socket.once('close', () => resolve({ bytes: got, isWhole: got === bytes }))
    push()
  })
}

/** An echo that counts nothing: what is right is decided where it came from. */
async function echo () {
  const server = net.createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => {})
    socket.pipe(socket)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return server
}

/** A connection to a port of this machine, or null. */
async function dial (port) {
  const socket = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true })
  socket.on('error', () => {})
  try {
    await once(socket, 'connect')
    return socket
  } catch {
    return null
  }
}

/** The same through a SOCKS5 proxy. */
async function dialSocks (proxy, port) {
  const socket = await dial(proxy)
  if (socket === null) return null
  try {
    socket.write(Buffer.concat([greeting(), request('127.0.0.1', port)]))
    await readBytes(socket, 2)
    const { code } = await readReply(socket)
    if (code === 0) return socket
  } catch {}
  socket.destroy()
  return null
}

/** From a few bytes to megabytes, each size as likely as its double. */
function anySize () {
  return Math.floor(2 ** (Math.random() * 21))
}

const digest = (text) => createHash('sha256').update(text).digest('hex')

module.exports = { WrongBytes, anySize, dial, dialSocks, digest, echo, transfer }
