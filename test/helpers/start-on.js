'use strict'

/** Programs that listen on a port of our choice, and do not say when. */

const { once } = require('node:events')
const net = require('node:net')
const { freePort } = require('./net')
const { start } = require('./proc')

// What is still open at the end may hold a program back; then it is killed.
const END_MS = 5000

/** Whether somebody listens there. */
async function isThere (port, host) {
  const socket = net.connect({ port, host })
  try {
    await once(socket, 'connect')
    return true
  } catch {
    return false
  } finally {
    socket.destroy()
  }
}

/** Resolves with true when the program listens there; false: it has ended. */
async function answering (proc, port, host = '127.0.0.1') {
  while (proc.result === null) {
    if (await isThere(port, host)) return true
  }
  return false
}

async function end (proc) {
  proc.kill('SIGTERM')
  let timer
  const late = new Promise((resolve) => { timer = setTimeout(resolve, END_MS) })
  await Promise.race([proc.exited, late])
  clearTimeout(timer)
}

/**
 * Starts a program that listens on a port of our choice; once more when somebody
 * else has taken it meanwhile. argsOf(port) gives [command, ...args].
 */
async function startOn (scope, host, argsOf) {
  for (let tries = 0; ; tries++) {
    const port = await freePort(host)
    const [command, ...args] = argsOf(port)
    const proc = start(scope, command, args)
    // Some have children, which end with them only when they are asked to.
    scope.defer(() => end(proc))
    if (await answering(proc, port, host)) return { proc, host, port }
    if (tries < 4 && /in use|could not bind|bind:/i.test(proc.output)) continue
    throw new Error(`${proc.name}\nended:\n${proc.output}`)
  }
}

module.exports = { answering, startOn }
