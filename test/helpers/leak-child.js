'use strict'

/**
 * Opens and closes a great deal in many ways, then counts what is left: prints
 * one JSON line { live, fdsBefore, fdsAfter, samples }, samples of memory-slope.js.
 */

const fs = require('node:fs')
const net = require('node:net')
const { once } = require('node:events')
const alknet = require('../..')
const binding = require('../../lib/binding')
const { sample } = require('./memory-slope')

const ROUNDS = Number(process.argv[2])
const EVERY = 24 // rounds: each way twice
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
    penalties: false, // strangers and friends have one address
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
    switch (i % 12) {
      case 0: { // orderly
        const session = await alknet.openSession({ ...options, socks5: '127.0.0.1:0', forward: `0:127.0.0.1:${target}` })
        await talk(await session.open({ host: '127.0.0.1', port: target }))
        await talk(await session.open({ host: 'alknet-echo', port: 1 }))
        return session.close()
      }
      case 1: { // with everything open
        const session = await alknet.openSession({ ...options, forward: `0:127.0.0.1:${target}` })
        const [listener] = session.openListeners
        const socket = net.connect(listener.address().port, '127.0.0.1')
        socket.on('error', () => {})
        socket.write('x')
        await once(socket, 'data')
        const stream = await session.open({ host: '127.0.0.1', port: target })
        stream.write(Buffer.alloc(1e6))
        const gone = once(socket, 'close')
        await session.close()
        return gone
      }
      case 2: { // destroyed channels
        const session = await alknet.openSession(options)
        const stream = await session.open({ host: '127.0.0.1', port: target })
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
        await expectFailure(session.open({ host: '169.254.169.254', port: 80 }))
        await expectFailure(session.open({ host: 'alknet-echo', port: 1 }, { signal: AbortSignal.abort() }))
        return session.close()
      }
      case 8: { // connect(), which closes its session with its stream
        const stream = await alknet.connect({ ...options, destination: 'alknet-echo:1' })
        await talk(stream)
        return stream.session.closed
      }
      case 9: { // remote forwards, with all open
        const session = await alknet.openSession({ ...options, remoteForward: [`0:127.0.0.1:${target}`, '0', '127.0.0.1:0:127.0.0.1:1'] })
        const sockets = session.openListeners.map((listener) => net.connect(listener.address().port, '127.0.0.1'))
        for (const socket of sockets) socket.on('error', () => {})
        sockets[0].write('x')
        sockets[1].write('\x05')
        const ends = sockets.map((socket) => new Promise((resolve) => socket.once('close', resolve)))
        await Promise.all([once(sockets[0], 'data'), ends[2]])
        sockets[1].resume()
        await session.close()
        return Promise.all(ends)
      }
      case 10: { // remote forwards, asked for, cancelled and refused
        const session = await alknet.openSession(options)
        const forward = await session.forwardRemote(`0:127.0.0.1:${target}`)
        await expectFailure(session.forwardRemote('1:127.0.0.1:1'))
        const closed = forward.close()
        if (i % 24 > 12) await closed
        expectFailure(session.forwardRemote('0:127.0.0.1:1')).catch(() => {}) // or the end comes first
        return session.close()
      }
      default: // nothing there
        return expectFailure(alknet.openSession({ ...options, server: '127.0.0.1:1' }))
    }
  }

  for (let i = 0; i < 24; i++) await round(i)
  const fdsBefore = fds()
  const samples = { rounds: [], channels: [] }
  for (let i = 0; i < ROUNDS; i++) {
    if (i % EVERY === 0) samples.rounds.push(sample(i))
    await round(i)
  }

  // A thousand channels of one session.
  const session = await alknet.openSession(options)
  for (let i = 0; i < 1000; i++) {
    if (i % EVERY === 0) samples.channels.push(sample(i))
    if (i % 3) await talk(await session.open({ host: '127.0.0.1', port: target }))
    else (await session.open({ host: '127.0.0.1', port: target })).destroy()
  }
  await session.close()
  while (server.connections > 0) await new Promise((resolve) => setImmediate(resolve))
  const fdsAfter = fds()
  await server.close()
  echo.close()
  echo.unref()
  // Handles close in the turn after; the process ends when none is left.
  process.once('beforeExit', () => {
    process.stdout.write(`${JSON.stringify({
      live: binding.live(), fdsBefore, fdsAfter, samples
    })}\n`)
  })
}

main()
