'use strict'

/**
 * Services of a program over SSH, without a port for each: names that begin with
 * alknet- lead to no address, but to a handler. Who may use which is said by the
 * scopes of their key, and by rules.
 *
 *   node examples/services/services.js
 */

const { Transform } = require('stream')
const { pipeline } = require('stream/promises')
const alknet = require('alknet')

/** Says what the other end says, in capitals. */
async function shout (stream) {
  await pipeline(stream, new Transform({
    transform: (chunk, encoding, done) => done(null, String(chunk).toUpperCase())
  }), stream)
}

function time (stream, { user }) {
  stream.end(`hello ${user}, it is ${new Date().toISOString()}\n`)
}

async function use (session, host, text) {
  const stream = await session.open({ host, port: 0 })
  stream.end(text)
  for await (const chunk of stream) process.stdout.write(chunk)
}

async function main () {
  const [hostKey, alice, bob] = await Promise.all([1, 2, 3].map(() => alknet.generateKey()))

  const server = await alknet.serve({
    hostKey: hostKey.privateKey,
    authorizedKeys: Buffer.from(`scopes="loud" ${alice.publicKey}${bob.publicKey}`),
    listen: '127.0.0.1:0',
    forwarding: { default: 'deny', rules: ['allow alknet-shout:* loud', 'deny alknet-shout:*'] }
  })
  server.handle('alknet-shout', shout)
  server.handle('alknet-time', time)
  server.on('session', ({ user }) => console.log(`${user} is here`))

  const login = (user, key) => alknet.openSession({
    server: `127.0.0.1:${server.address().port}`, user, identity: key.privateKey, hostKey: hostKey.fingerprint
  })
  const one = await login('alice', alice)
  await use(one, 'alknet-shout', 'can you hear me?\n')
  const two = await login('bob', bob)
  await use(two, 'alknet-time', '')
  await use(two, 'alknet-shout', 'me too?\n').catch(({ message }) => console.log(message))

  // What no handler serves comes to a loop, while there is one.
  const loop = (async () => {
    for await (const { stream, info } of server) stream.end(`${info.destination} is served by a loop\n`)
  })()
  await use(two, 'alknet-other', '')

  await Promise.all([one.close(), two.close()])
  await server.close()
  await loop
}

main()
