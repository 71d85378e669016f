'use strict'

/**
 * Aborts a call at one moment: `node abort-child.js MOMENT`. Prints
 * { code, stage, cause, message, live, worksAgain } when nothing keeps the process
 * up any more; it must come to that by itself.
 */

const fs = require('node:fs')
const { subscribe } = require('node:diagnostics_channel')
const dns = require('node:dns')
const { once } = require('node:events')
const net = require('node:net')
const alknet = require('../..')
const binding = require('../../lib/binding')

const moment = process.argv[2]
const controller = new AbortController()
const { signal } = controller
const reason = new Error('the reason')
const abort = () => controller.abort(reason)
const fds = () => fs.existsSync('/proc/self/fd') ? fs.readdirSync('/proc/self/fd').length : 0

/** Has fn run just after the call of that name of the addon. */
function after (name, fn) {
  const original = binding[name]
  binding[name] = (...args) => {
    const result = original(...args)
    fn()
    return result
  }
}

/** A TCP server that says nothing but `greeting`, and aborts at the client's first bytes. */
async function mute (greeting) {
  const server = net.createServer((socket) => {
    socket.on('error', () => {})
    if (greeting) socket.write(greeting)
    socket.once('data', abort)
    server.gone = new Promise((resolve) => socket.once('close', resolve)) // also with an error
    socket.resume()
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return server
}

/**
 * A session of its own whose way to the server is cut, and from then on leads to
 * nobody who says anything: then(session) when it is in `state`.
 */
async function cutOff (options, state, then) {
  const sockets = new Set()
  let isCut = false
  const way = net.createServer((socket) => {
    sockets.add(socket.on('error', () => {}))
    if (isCut) return socket.resume()
    const inner = net.connect(options.server.split(':')[1], '127.0.0.1').on('error', () => {})
    sockets.add(inner)
    socket.pipe(inner).pipe(socket)
  }).listen(0, '127.0.0.1')
  await once(way, 'listening')
  const minDelayMs = state === 'connecting' ? 1 : 3_600_000
  const session = await alknet.openSession({
    ...options, server: `127.0.0.1:${way.address().port}`, reconnect: { minDelayMs, maxDelayMs: minDelayMs }, keepalive: 0
  })
  const there = new Promise((resolve) => session.on('state', (to) => { if (to === state) resolve() }))
  isCut = true
  for (const socket of sockets) socket.destroy()
  try {
    await there
    return await then(session)
  } finally {
    await session.close()
    for (const socket of sockets) socket.destroy()
    way.close()
  }
}

/** The call, which is given up in the next turn: it has nothing to wait for but the session. */
const soon = (promise) => {
  setImmediate(abort)
  return promise
}

/** What aborts, and when; given { options, serveOptions, session, server }. */
const MOMENTS = {
  'openSession: before': {
    call ({ options }) {
      abort()
      return alknet.openSession({ ...options, signal })
    }
  },
  'openSession: a passphrase is asked for': {
    call: ({ options, locked }) => alknet.openSession({ ...options, identity: locked, signal, passphrase: () => { abort(); return 'secret' } })
  },
  'openSession: a passphrase is asked for and never comes': {
    call: ({ options, locked }) => alknet.openSession({ ...options, identity: locked, signal, passphrase: () => new Promise(() => setImmediate(abort)) })
  },
  'openSession: a name is looked up': {
    call ({ options }) {
      dns.lookup = (...args) => { setImmediate(abort) } // and it is never answered
      return alknet.openSession({ ...options, server: 'name.invalid:22', signal })
    }
  },
  'openSession: it connects': {
    call ({ options }) {
      after('connectTcp', () => process.nextTick(abort))
      return alknet.openSession({ ...options, signal })
    }
  },
  'openSession: the server says nothing': {
    async call ({ options }) {
      const server = await mute('')
      return alknet.openSession({ ...options, server: `127.0.0.1:${server.address().port}`, signal })
        .finally(() => server.gone).finally(() => server.close())
    }
  },
  'openSession: in the key exchange': {
    async call ({ options }) {
      const server = await mute('SSH-2.0-mute\r\n')
      return alknet.openSession({ ...options, server: `127.0.0.1:${server.address().port}`, signal })
        .finally(() => server.gone).finally(() => server.close())
    }
  },
  'openSession: the host key is shown': {
    call: ({ options }) => alknet.openSession({
      ...options,
      hostKey: undefined,
      dangerouslyAcceptAnyHostKey: true,
      log: { level: 'warn', write: abort },
      signal
    })
  },
  'openSession: the key is proven': {
    serve: (line) => { if (/auth attempt/.test(line)) abort() },
    call: ({ options }) => alknet.openSession({ ...options, signal })
  },
  'openSession: the server is to listen': {
    call ({ options }) {
      subscribe('alknet:connect', ({ role, event }) => { if (role === 'client' && event === 'open') setImmediate(abort) })
      return alknet.openSession({ ...options, remoteForward: '0:127.0.0.1:1', signal })
    }
  },
  'openSession: in a handshake of TLS': {
    async call ({ options }) {
      const server = await mute('')
      return alknet.openSession({ ...options, transport: 'tls', insecure: true, server: `127.0.0.1:${server.address().port}`, signal })
        .finally(() => server.gone).finally(() => server.close())
    }
  },
  'openSession: a proxy is asked': {
    async call ({ options }) {
      const server = await mute('')
      return alknet.openSession({ ...options, proxy: `socks5://127.0.0.1:${server.address().port}`, signal })
        .finally(() => server.gone).finally(() => server.close())
    }
  },
  'openSession: it waits between two tries': {
    call: ({ options }) => alknet.openSession({
      ...options,
      server: '127.0.0.1:1',
      retry: true,
      reconnect: { minDelayMs: 3_600_000 },
      onSession: (session) => session.on('state', (to) => { if (to === 'waiting') setImmediate(abort) }),
      signal
    })
  },
  'openSession: in a later try': {
    async call ({ options }) {
      const server = await mute('')
      return alknet.openSession({
        ...options, server: ['127.0.0.1:1', `127.0.0.1:${server.address().port}`], retry: true, reconnect: { minDelayMs: 1 }, signal
      }).finally(() => server.gone).finally(() => server.close())
    }
  },
  'connect: the channel opens': {
    connection: abort,
    call: ({ options }) => alknet.connect({ ...options, destination: 'alknet-test:1', signal })
  },
  'open: before': {
    call ({ session }) {
      abort()
      return session.open({ host: 'alknet-test', port: 1 }, { signal })
    }
  },
  'open: at once': {
    call ({ session }) {
      const promise = session.open({ host: 'alknet-test', port: 1 }, { signal })
      abort()
      return promise
    }
  },
  'open: the server has accepted': {
    connection: abort,
    call: ({ session }) => session.open({ host: 'alknet-test', port: 1 }, { signal })
  },
  'forwardLocal: before': {
    call ({ session }) {
      abort()
      return session.forwardLocal('0:127.0.0.1:1', { signal })
    }
  },
  'forwardLocal: at once': {
    call ({ session }) {
      const promise = session.forwardLocal('0:127.0.0.1:1', { signal })
      abort()
      return promise
    }
  },
  'forwardRemote: before': {
    call ({ session }) {
      abort()
      return session.forwardRemote('0:127.0.0.1:1', { signal })
    }
  },
  'forwardRemote: at once': {
    call ({ session }) {
      const promise = session.forwardRemote('0:127.0.0.1:1', { signal })
      process.nextTick(abort)
      return promise
    }
  },
  'listen: at once': {
    call ({ session }) {
      const promise = session.listen({ host: '127.0.0.1', port: 0 }, { signal })
      process.nextTick(abort)
      return promise
    }
  },
  'rtt: at once': {
    call ({ session }) {
      const promise = session.rtt({ signal })
      process.nextTick(abort)
      return promise
    }
  },
  'open: while the session waits': {
    call: ({ options }) => cutOff(options, 'waiting', (session) => soon(session.open({ host: 'alknet-test', port: 1 }, { signal })))
  },
  'open: while the session connects again': {
    call: ({ options }) => cutOff(options, 'connecting', (session) => soon(session.open({ host: 'alknet-test', port: 1 }, { signal })))
  },
  'open: as the session is lost': {
    call: ({ options }) => cutOff(options, 'lost', (session) => soon(session.open({ host: 'alknet-test', port: 1 }, { signal })))
  },
  'forwardRemote: while the session waits': {
    call: ({ options }) => cutOff(options, 'waiting', (session) => soon(session.forwardRemote('0:127.0.0.1:1', { signal })))
  },
  'forwardRemote: while the session connects again': {
    call: ({ options }) => cutOff(options, 'connecting', (session) => soon(session.forwardRemote('0:127.0.0.1:1', { signal })))
  },
  'listen: while the session waits': {
    call: ({ options }) => cutOff(options, 'waiting', (session) => soon(session.listen({ host: '127.0.0.1', port: 0 }, { signal })))
  },
  'reconnect: before': {
    call ({ session }) {
      abort()
      return session.reconnect({ signal })
    }
  },
  'reconnect: at once': {
    call ({ session }) {
      const promise = session.reconnect({ signal })
      abort()
      return promise.catch(async (err) => { // the wait is given up, the try goes on
        while (session.state !== 'ready') await once(session, 'state')
        throw err
      })
    }
  },
  'reconnect: while the session waits': {
    call: ({ options }) => cutOff(options, 'waiting', (session) => soon(session.reconnect({ signal })))
  },
  'reconnect: while the session connects again': {
    call: ({ options }) => cutOff(options, 'connecting', (session) => soon(session.reconnect({ signal })))
  },
  'socks5: before': {
    call ({ session }) {
      abort()
      return session.socks5({ socks5: '127.0.0.1:0', signal })
    }
  },
  'serve: before': {
    call ({ serveOptions }) {
      abort()
      return alknet.serve({ ...serveOptions, signal })
    }
  },
  'serve: a passphrase is asked for': {
    call: ({ serveOptions, locked }) => alknet.serve({ ...serveOptions, hostKey: locked, signal, passphrase: () => { abort(); return 'secret' } })
  },
  'serve: a passphrase is asked for and never comes': {
    call: ({ serveOptions, locked }) => alknet.serve({ ...serveOptions, hostKey: locked, signal, passphrase: () => new Promise(() => setImmediate(abort)) })
  },
  'serve: at once': {
    call ({ serveOptions }) {
      const promise = alknet.serve({ ...serveOptions, signal })
      abort()
      return promise
    }
  },
  'serve: it listens, and its threads are not told yet': {
    call: ({ serveOptions }) => alknet.serve({ ...serveOptions, signal, log: { write: (line) => { if (/ listening /.test(line)) abort() } } })
  },
  'reloadAll: at once': {
    call ({ server }) {
      const promise = server.reloadAll({}, { signal })
      abort()
      return promise
    }
  },
  'generateKey: before': {
    call () {
      abort()
      return alknet.generateKey('ed25519', { signal })
    }
  },
  'generateKey: at once': {
    call () {
      const promise = alknet.generateKey('rsa', { signal })
      abort()
      return promise
    }
  }
}

const turn = () => new Promise((resolve) => setImmediate(resolve))

/** Whether a channel carries something; it is gone when this resolves. */
async function echoes (session) {
  const live = binding.live()
  const stream = await session.open({ host: 'alknet-test', port: 2 })
  stream.write('again')
  const [echo] = await once(stream, 'data')
  stream.destroy()
  while (binding.live() > live) await turn()
  return String(echo) === 'again'
}

async function main () {
  const { call, serve = () => {}, connection = () => {} } = MOMENTS[moment]
  const [host, user, lockedKey] = await Promise.all([
    alknet.generateKey(), alknet.generateKey(), alknet.generateKey('ed25519', { passphrase: 'secret' })])
  const locked = lockedKey.privateKey
  const serveOptions = {
    hostKey: host.privateKey,
    authorizedKeys: [user, lockedKey].map(({ publicKey }) => Buffer.from(publicKey)),
    listen: '127.0.0.1:0'
  }
  let isArmed = false
  const armed = (fn) => (...args) => { if (isArmed) fn(...args) }
  const server = await alknet.serve({
    ...serveOptions,
    log: { write: armed(serve) },
    onConnection (stream) {
      armed(connection)()
      stream.pipe(stream)
    }
  })
  const options = {
    server: `127.0.0.1:${server.address().port}`, identity: user.privateKey, hostKey: host.fingerprint, knownHosts: []
  }
  const session = await alknet.openSession(options)
  await echoes(session)
  const before = { fds: fds(), live: binding.live() }
  isArmed = true
  const err = await call({ options, serveOptions, session, server, locked }).then(
    (value) => Promise.resolve(value.close?.()).then(() => new Error('it was not aborted')), (err) => err)
  isArmed = false
  // What was opened goes in the next turns; what does not, the test's time limit shows.
  while (binding.live() > before.live || fds() > before.fds || server.connections > 1) await turn()
  const worksAgain = await echoes(session)
  await session.close()
  await server.close()
  process.once('beforeExit', () => {
    console.log(JSON.stringify({
      code: err.code, stage: err.stage, cause: err.cause?.message, message: err.message, live: binding.live(), worksAgain
    }))
  })
}

main()
