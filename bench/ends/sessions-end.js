'use strict'

/**
 * Many sessions to one server, in a process of its own: `node sessions-end.js
 * JSON`, { port, user, hostKey, userKey, cipher, target }. Each line that it
 * reads is a command, each line that it writes the answer.
 *
 *   { "open": n, "atOnce": m, "forward": bool }   so many more; { seconds, ports },
 *                                                 of a forward each
 *   { "close": true }                             none any more
 */

const fs = require('fs')
const readline = require('readline')
const alknet = require('../..')

const { port, user, hostKey, userKey, cipher, target } = JSON.parse(process.argv[2])
const options = {
  server: `127.0.0.1:${port}`,
  user,
  identity: userKey,
  hostKey: fs.readFileSync(`${hostKey}.pub`, 'utf8').trim(),
  knownHosts: [],
  ciphers: cipher
}
const sessions = []

async function open (count, atOnce, withForward) {
  const forward = withForward ? `127.0.0.1:0:127.0.0.1:${target}` : []
  const began = performance.now()
  const ports = []
  let left = count
  const worker = async () => {
    while (left-- > 0) {
      const session = await alknet.openSession({ ...options, forward })
      sessions.push(session)
      if (withForward) ports.push(session.openListeners[0].address().port)
    }
  }
  await Promise.all([...Array(atOnce)].map(worker))
  return { seconds: (performance.now() - began) / 1000, ports }
}

async function close () {
  await Promise.all(sessions.splice(0).map((session) => session.close()))
  return {}
}

async function main () {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const command = JSON.parse(line)
    const answer = command.close ? await close() : await open(command.open, command.atOnce, command.forward)
    process.stdout.write(`${JSON.stringify(answer)}\n`)
  }
}

main()
