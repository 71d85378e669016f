'use strict'

/**
 * SSH over a WebSocket, so that it passes where only HTTP does: a web server
 * hands what connects to /ssh to alknet, which listens nowhere itself.
 *
 *   node examples/websocket/websocket.js        (needs: npm install ws)
 */

const http = require('node:http')
const { once } = require('node:events')
const { WebSocket, WebSocketServer, createWebSocketStream } = require('ws')
const alknet = require('alknet')

async function main () {
  const [host, me] = await Promise.all([alknet.generateKey(), alknet.generateKey()])

  const server = await alknet.serve({
    hostKey: host.privateKey,
    authorizedKeys: Buffer.from(me.publicKey),
    listen: [],
    onConnection: (stream, info) => stream.end(`hello ${info.user}, who came by ${info.transport} from ${info.remoteAddress}\n`)
  })
  const web = http.createServer((request, response) => response.end('a web site\n'))
  // No message needs to be larger: what is larger is refused before it is there.
  const sockets = new WebSocketServer({ server: web, path: '/ssh', maxPayload: 1024 * 1024 })
  sockets.on('connection', (socket, { socket: { remoteAddress, remotePort } }) => {
    server.accept(createWebSocketStream(socket), { remoteAddress, remotePort })
  })
  await once(web.listen(0, '127.0.0.1'), 'listening')

  // The client: nothing that comes from the WebSocket is trusted before the
  // host key was checked.
  const socket = new WebSocket(`ws://127.0.0.1:${web.address().port}/ssh`)
  const stream = await alknet.connect({ stream: createWebSocketStream(socket), identity: me.privateKey, hostKey: host.fingerprint })
  for await (const chunk of stream) process.stdout.write(chunk)

  await stream.session.close()
  await server.close()
  sockets.close()
  web.close()
}

main()
