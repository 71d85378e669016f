'use strict'

/**
 * A server, a session and what goes through them, with something done inside
 * one of the user's own callbacks: `node callbacks-child.js CALLBACK ACTION`.
 *
 * ACTION  exit    process.exit(7)
 *         throw   an exception, of which process.on('uncaughtException') hears.
 *                 Then all is closed, and all of it must work once more; the
 *                 process has to end by itself. Prints { came, uncaught, live }.
 */

const { subscribe } = require('node:diagnostics_channel')
const { once } = require('node:events')
const net = require('node:net')
const alknet = require('../..')
const binding = require('../../lib/binding')

const [wanted, action] = process.argv.slice(2)
const ON_PURPOSE = 'thrown on purpose'
const BULK = Buffer.alloc(3 << 20) // more than a window: write() says false

let came = false
let uncaught = 0
const open = []

/** Inside a callback: if it is the one that was asked for, does the action, once. */
function at (name) {
  if (name !== wanted || came) return
  came = true
  if (action === 'exit') process.exit(7)
  setImmediate(() => afterwards().catch(fault))
  throw new Error(ON_PURPOSE)
}

function fault (err) {
  console.error(err)
  process.exit(1)
}

process.on('uncaughtException', (err) => {
  if (err.message !== ON_PURPOSE) return fault(err)
  uncaught++
})

/** The callback `name` that does fn. */
const call = (name, fn = () => {}) => (...args) => {
  at(name)
  return fn(...args)
}

/** A logger whose lines are callbacks: 'server log: connection opened'. */
const logTo = (who) => ({ level: 'debug', write: (line) => at(`${who} log: ${line.replace(/^\w+ | \w+=.*/g, '')}`) })

/** All that a stream can call. */
function listen (who, stream) {
  for (const event of ['end', 'finish', 'drain', 'error', 'close', 'data']) stream.on(event, call(`${who} ${event}`))
  stream.write('x', call(`${who} write`))
}

async function main () {
  const secret = { passphrase: wanted.endsWith('passphrase') ? 'secret' : undefined } // its KDF is slow
  const host = await alknet.generateKey('ed25519', secret)
  const user = await alknet.generateKey('ed25519', secret)
  const target = net.createServer((socket) => { socket.on('error', () => {}).pipe(socket) }).listen(0, '127.0.0.1')
  await once(target, 'listening')
  open.push({ close: () => target.close() })
  for (const name of ['connect', 'auth', 'channel']) subscribe(`alknet:${name}`, call(`alknet:${name}`))

  const server = await alknet.serve({
    hostKey: host.privateKey,
    passphrase: call('server passphrase', () => 'secret'),
    authorizedKeys: Buffer.from(user.publicKey),
    listen: '127.0.0.1:0',
    log: logTo('server'),
    ...(wanted !== 'server connection' && {
      onConnection: call('onConnection', (stream) => {
        listen('server stream', stream)
        stream.write(BULK)
        const ends = ['end', 'drain'].map((event) => new Promise((resolve) => stream.once(event, resolve)))
        Promise.all(ends).then(() => stream.end(call('server stream end()')))
      })
    })
  })
  open.push(server)
  server.on('connection', call('server connection'))
  server.on('auth', call('server auth'))
  server.on('session', call('server session'))
  server.on('close', call('server close'))
  server.closed.then(call('server closed'))

  const options = {
    server: `127.0.0.1:${server.address().port}`,
    identity: user.privateKey,
    passphrase: call('client passphrase', async () => 'secret'),
    hostKey: host.fingerprint,
    knownHosts: []
  }
  const session = await alknet.openSession({ ...options, socks5: '127.0.0.1:0', forward: `0:127.0.0.1:${target.address().port}`, log: logTo('client') })
  open.push(session)
  session.on('close', call('session close'))
  session.on('state', call('session state'))
  session.closed.then(call('session closed'))

  const stream = await session.open({ host: 'alknet-test', port: 1 })
  listen('stream', stream)
  stream.write(BULK)
  stream.once('drain', () => stream.end(call('stream end()')))
  if (!stream.closed) await new Promise((resolve) => stream.once('close', resolve))

  const broken = await session.open({ host: 'alknet-test', port: 2 })
  listen('broken stream', broken)
  broken.on('readable', call('broken stream readable', () => broken.read()))
  await new Promise((resolve) => broken.once('data', resolve))
  broken.destroy(new Error('broken'))

  const [listener] = session.openListeners
  listener.closed.then(call('listener closed'))
  await session.close()
  await server.close()
}

/** What was open closes, and the same works again: nothing was left half-done. */
async function afterwards () {
  await Promise.all(open.map((one) => one.close()))
  const [host, user] = await Promise.all([alknet.generateKey(), alknet.generateKey()])
  const server = await alknet.serve({
    hostKey: host.privateKey,
    authorizedKeys: Buffer.from(user.publicKey),
    listen: '127.0.0.1:0',
    onConnection: (stream) => stream.pipe(stream)
  })
  const stream = await alknet.connect({
    server: `127.0.0.1:${server.address().port}`,
    identity: user.privateKey,
    hostKey: host.fingerprint,
    knownHosts: [],
    destination: 'alknet-echo:1'
  })
  stream.write('again')
  const [echo] = await once(stream, 'data')
  if (String(echo) !== 'again') throw new Error(`echoed ${echo}`)
  await stream.session.close()
  await server.close()
  process.once('beforeExit', () => console.log(JSON.stringify({ came, uncaught, live: binding.live() })))
}

main().catch((err) => {
  if (err.message === ON_PURPOSE) return // it came as a rejection of ours
  if (!came) fault(err)
}).finally(() => {
  if (!came) setImmediate(() => { if (!came) fault(new Error(`${wanted} was never called`)) })
})
