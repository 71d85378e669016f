'use strict'

/**
 * HTTP through a session: node:http with an agent, and fetch() of undici with a
 * dispatcher, reach a web server that only the SSH server can reach.
 *
 *   node examples/http-agent/http-agent.js
 */

const { once } = require('events')
const http = require('http')
const alknet = require('alknet')

async function main () {
  const [hostKey, me] = await Promise.all([alknet.generateKey(), alknet.generateKey()])

  // In real life these two are somewhere else.
  const web = http.createServer((req, res) => res.end(`you asked for ${req.url}\n`)).listen(0, '127.0.0.1')
  await once(web, 'listening')
  const { port } = web.address()
  const server = await alknet.serve({
    hostKey: hostKey.privateKey,
    authorizedKeys: Buffer.from(me.publicKey),
    listen: '127.0.0.1:0',
    forwarding: { default: 'deny', rules: `allow 127.0.0.1:${port}` }
  })

  const session = await alknet.openSession({
    server: `127.0.0.1:${server.address().port}`, identity: me.privateKey, hostKey: hostKey.fingerprint
  })

  // One connection is used for both requests; https has session.httpsAgent().
  const agent = session.httpAgent({ keepAlive: true })
  for (const path of ['/first', '/second']) {
    const [response] = await once(http.get(`http://127.0.0.1:${port}${path}`, { agent }), 'response')
    for await (const chunk of response) process.stdout.write(chunk)
  }
  agent.destroy()

  const { Agent, fetch } = require('undici') // npm install undici
  const dispatcher = new Agent({ connect: session.connector() })
  const response = await fetch(`http://127.0.0.1:${port}/third`, { dispatcher })
  process.stdout.write(await response.text())
  await dispatcher.close()

  await session.close()
  await server.close()
  web.close()
}

main()
