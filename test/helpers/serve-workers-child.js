'use strict'

/**
 * `node serve-workers-child.js STAGE ACTION`: a server with workers, and a
 * session with it, in this process; does ACTION when it comes to STAGE.
 *
 * STAGE   starting started connecting session open data closing closed
 * ACTION  exit    process.exit(0)
 *         throw   an exception that nobody catches
 *         none    goes on to the end; waits until nothing of ours is open, and
 *                 prints how many descriptors are more than before
 *         unref   unref() of the server and the session, and nothing to do from
 *                 there on; prints "up" when the process stays all the same
 *         ref     the same without unref()
 */

const fs = require('node:fs')
const net = require('node:net')
const { once } = require('node:events')
const alknet = require('../..')
const binding = require('../../lib/binding')

const [stage, action] = process.argv.slice(2)
const all = []
const fds = () => fs.existsSync('/proc/self/fd') ? fs.readdirSync('/proc/self/fd').length : 0

/** Gives a promise where the rest is not to come. */
function at (name) {
  if (name !== stage) return undefined
  if (action === 'exit') process.exit(0)
  if (action === 'throw') throw new Error('thrown on purpose')
  if (action === 'unref') for (const one of all) one.unref()
  // Fires only when something else keeps the loop up.
  setTimeout(() => {
    console.log('up')
    process.exit()
  }, 300).unref()
  return new Promise(() => {})
}

async function main () {
  const [host, user] = [await alknet.generateKey(), await alknet.generateKey()]
  const target = net.createServer((socket) => socket.on('error', () => {}).pipe(socket)).listen(0, '127.0.0.1').unref()
  await once(target, 'listening')
  const before = fds()
  const starting = alknet.serve({ hostKey: host.privateKey, authorizedKeys: Buffer.from(user.publicKey), listen: '127.0.0.1:0', workers: 2 })
  setImmediate(() => setImmediate(at, 'starting'))
  const server = await starting
  all.push(server)
  await at('started')
  const opening = alknet.openSession({ server: `127.0.0.1:${server.address().port}`, identity: user.privateKey, hostKey: host.fingerprint, knownHosts: [] })
  setImmediate(at, 'connecting')
  const session = await opening
  all.push(session)
  await at('session')
  const stream = await session.open({ host: '127.0.0.1', port: target.address().port })
  at('open')
  stream.on('error', () => {}).resume()
  for (let i = 0; i < 16; i++) stream.write(Buffer.alloc(65536))
  await once(stream, 'data')
  at('data')
  stream.destroy()
  const closing = [session.close(), server.close()]
  at('closing')
  await Promise.all(closing)
  at('closed')
  target.close()
  while (binding.live() > 0) await new Promise(setImmediate)
  console.log(fds() - before)
}

main()
