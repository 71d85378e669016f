'use strict'

/**
 * Opens and closes a great deal in many ways, then counts what is left:
 * prints one JSON line { live, fdsBefore, fdsAfter, grown }.
 */

const fs = require('node:fs')
const net = require('node:net')
const { once } = require('node:events')
const alknet = require('../..')
const binding = require('../../lib/binding')

const ROUNDS = Number(process.argv[2])
const fds = () => fs.existsSync('/proc/self/fd') ? fs.readdirSync('/proc/self/fd').length : 0

async function main () {
  const host = await alknet.generateKey()
  const user = await alknet.generateKey()
  const stranger = await alknet.generateKey()
  const echo = net.createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => {})
    socket.pipe(socket)
  }).listen(0, '127.0.0.1')
  await once(echo, 'listening')
  const target = echo.address().port
  const server = await alknet.serve({
    hostKey: host.privateKey,
    authorizedKeys: Buffer.from(user.publicKey),
    listen: '127.0.0.1:0',
    onConnection: (stream) => stream.pipe(stream)
  })
  const options = {
    server: `127.0.0.1:${server.address().port}`,
    identity: user.privateKey,
    hostKey: host.fingerprint
  }

  async function talk (stream) {
    stream.write('x')
    await once(stream, 'data')
    stream.end()
    stream.resume()
    await once(stream, 'close')
  }

  const expectFailure = (promise) => promise.then(() => { throw new Error('it succeeded') }, () => {})

  /** One way to use and to leave a session for each i. */
  async function round (i) {
    switch (i % 10) {
      case 0: { // orderly
        const session = await alknet.openSession({ ...options, socks5: '127.0.0.1:0', forward: `0:127.0.0.1:${target}` })
        await talk(await session.open('127.0.0.1', target))
        await talk(await session.open('alknet-echo', 1))
        return session.close()
      }
      case 1: { // with everything open
        const session = await alknet.openSession({ ...options, forward: `0:127.0.0.1:${target}` })
        const [listener] = session.localListeners
        const socket = net.connect(listener.address().port, '127.0.0.1')
        socket.on('error', () => {})
        socket.write('x')
        await once(socket, 'data')
        const stream = await session.open('127.0.0.1', target)
        stream.write(Buffer.alloc(1e6))
        const gone = once(socket, 'close')
        await session.close()
        return gone
      }
      case 2: { // destroyed channels
        const session = await alknet.openSession(options)
        const stream = await session.open('127.0.0.1', target)
        stream.destroy()
        await session.close()
        return
      }
      case 3:
        return expectFailure(alknet.openSession({ ...options, identity: stranger.privateKey }))
      case 4:
        return expectFailure(alknet.openSession({ ...options, hostKey: stranger.fingerprint }))
      case 5: { // aborted at once
        const controller = new AbortController()
        const opening = alknet.openSession({ ...options, signal: controller.signal })
        controller.abort()
        return expectFailure(opening)
      }
      case 6: { // aborted after a turn or some
        const controller = new AbortController()
        const opening = alknet.openSession({ ...options, signal: controller.signal })
        let turns = i % 97
        const turn = () => turns-- > 0 ? setImmediate(turn) : controller.abort()
        turn()
        return opening.then((session) => session.close(), () => {})
      }
      case 7: { // refused channels
        const session = await alknet.openSession(options)
        await expectFailure(session.open('169.254.169.254', 80))
        await expectFailure(session.open('alknet-echo', 1, { signal: AbortSignal.abort() }))
        return session.close()
      }
      case 8: { // connect(), which closes its session with its stream
        const stream = await alknet.connect({ ...options, destination: 'alknet-echo:1' })
        await talk(stream)
        return stream.session.closed
      }
      default: // nothing there
        return expectFailure(alknet.openSession({ ...options, server: '127.0.0.1:1' }))
    }
  }

  for (let i = 0; i < 20; i++) await round(i)
  global.gc()
  const fdsBefore = fds()
  const rss = process.memoryUsage().rss
  for (let i = 0; i < ROUNDS; i++) await round(i)

  // A thousand channels of one session.
  const session = await alknet.openSession(options)
  for (let i = 0; i < 1000; i++) {
    if (i % 3) await talk(await session.open('127.0.0.1', target))
    else (await session.open('127.0.0.1', target)).destroy()
  }
  await session.close()
  while (server.connections > 0) await new Promise((resolve) => setImmediate(resolve))
  global.gc()
  const grown = process.memoryUsage().rss - rss
  const fdsAfter = fds()
  await server.close()
  echo.close()
  echo.unref()
  // Handles close in the turn after; the process ends when none is left.
  process.once('beforeExit', () => {
    process.stdout.write(`${JSON.stringify({ live: binding.live(), fdsBefore, fdsAfter, grown })}\n`)
  })
}

main()
