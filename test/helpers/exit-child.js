'use strict'

/**
 * Runs a server, a session and a transfer between them, and does one thing at
 * one stage: `node exit-child.js STAGE ACTION`, or as a worker with
 * { stage, action } as workerData. What it prints tells the test how far it
 * came; a worker posts it.
 *
 * ACTION  exit    process.exit(7)
 *         throw   an exception in the callback of that stage
 *         wait    nothing: whoever started it ends it
 *         close   closes all, and nothing else: the process has to end by itself
 */

const net = require('node:net')
const { once } = require('node:events')
const { isMainThread, parentPort, workerData } = require('node:worker_threads')
const alknet = require('../..')

const [stage, action] = isMainThread ? process.argv.slice(2) : [workerData.stage, workerData.action]

/** Keeps the event loop alive until there is something else that does. */
const alive = setInterval(() => {}, 1000)
let isDone = false

function say (text) {
  if (isMainThread) process.stdout.write(`${text}\n`)
  else parentPort.postMessage(text)
}

/** The named stage is reached: if it is the one asked for, does the action. */
function at (name) {
  if (name !== stage || isDone) return
  isDone = true
  if (action !== 'wait') clearInterval(alive)
  say(`at ${name}`)
  if (action === 'exit') process.exit(7)
  if (action === 'throw') throw new Error('thrown on purpose')
  if (action === 'close') closeAll()
}

const open = []

async function closeAll () {
  await Promise.all(open.map((thing) => thing.close()))
  say('closed')
}

async function main () {
  const host = await alknet.generateKey()
  const user = await alknet.generateKey('ed25519', { passphrase: 'secret' })

  const source = net.createServer((socket) => {
    const chunk = Buffer.alloc(65536)
    const more = () => { while (!socket.destroyed && socket.write(chunk)); }
    socket.on('drain', more)
    socket.on('error', () => {})
    more()
  }).listen(0, '127.0.0.1')
  await once(source, 'listening')
  open.push({
    close () {
      source.unref() // its connections end with the session
      source.close()
    }
  })

  const serving = alknet.serve({
    hostKey: host.privateKey,
    authorizedKeys: Buffer.from(user.publicKey),
    listen: '127.0.0.1:0',
    log: { level: 'info', write: (line) => { at(`server log: ${line.split(' ').slice(1, 3).join(' ')}`) } },
    onConnection: (stream) => {
      at('server connection')
      stream.on('data', (chunk) => {
        at('server data')
        stream.write(chunk)
      })
      stream.on('end', () => stream.end())
    }
  })
  at('serve')
  const server = await serving
  open.push(server)
  server.on('auth', () => at('server auth'))
  server.on('close', () => at('server close'))
  at('listening')

  const opening = alknet.openSession({
    server: `127.0.0.1:${server.address().port}`,
    identity: user.privateKey,
    passphrase: () => {
      at('passphrase')
      return 'secret'
    },
    hostKey: host.fingerprint,
    socks5: '127.0.0.1:0',
    remoteForward: [`0:127.0.0.1:${source.address().port}`, '0']
  })
  at('connect')
  const session = await opening
  open.push(session)
  session.on('close', () => at('close'))
  at('ready')

  const connecting = session.open({ host: 'alknet-echo', port: 1 })
  at('open')
  const channel = await connecting
  at('channel')
  channel.on('data', () => at('data'))
  channel.write('hello')
  at('write')
  await once(channel, 'data')

  const download = await session.open({ host: '127.0.0.1', port: source.address().port })
  let got = 0
  download.on('data', (chunk) => {
    got += chunk.length
    if (got > 3e6) at('transfer')
  })
  const [{ port }, ...remote] = session.openListeners.map((listener) => listener.address())
  for (const one of remote) net.connect(one.port, '127.0.0.1').on('error', () => {}).resume().write(Buffer.of(5))
  const proxied = net.connect(port, '127.0.0.1')
  proxied.on('error', () => {})
  const target = source.address().port
  proxied.write(Buffer.from([5, 1, 0, 5, 1, 0, 1, 127, 0, 0, 1, target >> 8, target & 255]))
  let relayed = 0
  proxied.on('data', (chunk) => {
    relayed += chunk.length
    if (relayed > 3e6) at('relay')
  })
  await once(download, 'data')
  const seen = { get enough () { return got >= 4e6 && relayed >= 4e6 } }
  while (!seen.enough) await once(relayed < 4e6 ? proxied : download, 'data')

  if (stage === 'destroy') {
    download.destroy()
    at('destroy')
  }
  if (['closing', 'close', 'closed', 'server close'].includes(stage)) {
    const closing = session.close()
    at('closing')
    await closing
    at('closed')
    await server.close()
    source.unref()
  }
  // Whatever the stage was, it has been reached by now.
  if (!isDone) throw new Error(`the stage ${stage} was never reached`)
}

main().catch((err) => {
  if (isDone && err.message !== 'thrown on purpose' && ['wait', 'close'].includes(action)) return // cut short by the end
  throw err
})
