'use strict'

/**
 * Starts and stops workers, so many: `node workers-child.js COUNT [DIR]`. Each has
 * a server, a session and a tunnel with data in it, over TLS where DIR has a
 * cert.pem and a key.pem; one in three is terminated in
 * the middle, one ends by process.exit(), one closes all and ends by itself.
 * Prints { fdsBefore, fdsAfter, grown }.
 */

const fs = require('node:fs')
const { Worker, isMainThread, parentPort, workerData } = require('node:worker_threads')
const { once } = require('node:events')
const alknet = require('../..')

const AT_ONCE = 4
const WARM_UP = 24
const fds = () => fs.existsSync('/proc/self/fd') ? fs.readdirSync('/proc/self/fd').length : 0

async function inWorker ({ host, user, fingerprint, end, dir }) {
  const [tlsCert, tlsKey] = ['cert.pem', 'key.pem'].map((name) => dir && `${dir}/${name}`)
  const transport = dir ? 'tls' : 'tcp'
  const server = await alknet.serve({
    hostKey: Buffer.from(host),
    authorizedKeys: Buffer.from(user.publicKey),
    listen: '127.0.0.1:0',
    transport,
    tlsCert,
    tlsKey,
    onConnection: (stream) => stream.pipe(stream)
  })
  const session = await alknet.openSession({
    server: `127.0.0.1:${server.address().port}`,
    identity: Buffer.from(user.privateKey),
    hostKey: fingerprint,
    transport,
    tlsCa: tlsCert,
    knownHosts: []
  })
  const stream = await session.open({ host: 'alknet-echo', port: 1 })
  stream.write(Buffer.alloc(300000))
  await once(stream, 'data')
  if (end === 'exit') process.exit(0)
  if (end === 'terminate') {
    stream.resume()
    return parentPort.postMessage('now')
  }
  await session.close()
  await server.close()
}

async function one (data) {
  const worker = new Worker(__filename, { workerData: data })
  worker.on('message', () => worker.terminate())
  const [code] = await once(worker, 'exit')
  const expected = data.end === 'terminate' ? 1 : 0
  if (code !== expected) throw new Error(`a worker to ${data.end} ended with ${code}`)
}

async function rounds (count, keys) {
  let next = 0
  const lane = async () => {
    while (next < count) await one({ ...keys, end: ['terminate', 'exit', 'close'][next++ % 3] })
  }
  await Promise.all(Array.from({ length: AT_ONCE }, lane))
}

async function main () {
  const [host, { publicKey, privateKey }] = await Promise.all([alknet.generateKey(), alknet.generateKey()])
  const keys = { host: host.privateKey, fingerprint: host.fingerprint, user: { publicKey, privateKey }, dir: process.argv[3] }
  await rounds(WARM_UP, keys)
  global.gc()
  const fdsBefore = fds()
  const rss = process.memoryUsage.rss()
  await rounds(Number(process.argv[2]), keys)
  global.gc()
  console.log(JSON.stringify({ fdsBefore, fdsAfter: fds(), grown: process.memoryUsage.rss() - rss }))
}

if (isMainThread) main()
else inWorker(workerData)
