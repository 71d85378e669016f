'use strict'

/**
 * A session through another one: the client reaches a server that only the
 * jump host can reach. What is said inside is encrypted from end to end, and
 * the jump host sees none of it.
 *
 *   node examples/jump-host/jump-host.js
 */

const alknet = require('alknet')

async function main () {
  const [jumpKey, innerKey, me] = await Promise.all([1, 2, 3].map(() => alknet.generateKey()))
  const authorizedKeys = Buffer.from(me.publicKey)

  const inner = await alknet.serve({
    hostKey: innerKey.privateKey,
    authorizedKeys,
    listen: '127.0.0.1:0',
    onConnection: (stream, info) => stream.end(`hello ${info.user}, from the inner server\n`)
  })
  const { port } = inner.address()
  const jump = await alknet.serve({
    hostKey: jumpKey.privateKey,
    authorizedKeys,
    listen: '127.0.0.1:0',
    forwarding: { default: 'deny', rules: `allow 127.0.0.1:${port}` }
  })

  // In real life these are somewhere else.
  const outside = await alknet.openSession({
    server: `127.0.0.1:${jump.address().port}`, identity: me.privateKey, hostKey: jumpKey.fingerprint
  })
  const channel = await outside.open({ host: '127.0.0.1', port })

  // The channel is the transport. Whose key has to be there is said as always:
  // with a pin, or with `server`, the name to look for in known_hosts.
  const stream = await alknet.connect({ stream: channel, identity: me.privateKey, hostKey: innerKey.fingerprint })
  for await (const chunk of stream) process.stdout.write(chunk)

  await stream.session.close()
  await outside.close()
  await Promise.all([inner.close(), jump.close()])
}

main()
