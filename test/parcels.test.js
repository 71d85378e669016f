'use strict'

/** What the addon sends from one thread to another: binding.js, "Parcels". */

const assert = require('node:assert')
const { once } = require('node:events')
const fs = require('node:fs')
const path = require('node:path')
const { Worker } = require('node:worker_threads')
const binding = require('../lib/binding')
const { need } = require('./helpers/proc')
const { testScope } = require('./helpers/scope')
const { Ear, key, readStream, streamPair } = require('./helpers/sessions')
const { selfSigned } = require('./helpers/tls-certs')

const CLOSED = { code: 'ERR_ALKNET_CLOSED' }
const OPTION = { code: 'ERR_ALKNET_OPTION' }

// Serves one session over what it takes, and says what came of it.
const IN_WORKER = `
  const { parentPort, workerData } = require('node:worker_threads')
  const { Ear } = require(workerData.sessions)
  const binding = require(workerData.binding)
  parentPort.on('message', async ({ stream, key }) => {
    if (stream === undefined) return parentPort.close()
    const hostKeys = [binding.takeKey(key)]
    const server = new Ear(binding.sshServer(binding.takeStream(stream), { hostKeys }), 'Session', { onauth: (session) => session.admit(true) })
    await server.next('onready')
    parentPort.postMessage('ready')
    await server.next('onclose')
    parentPort.postMessage('closed')
  })
  parentPort.postMessage('up')`

describe('parcels', () => {
  const scope = testScope()

  async function startWorker () {
    const worker = new Worker(IN_WORKER, {
      eval: true,
      workerData: { binding: path.join(__dirname, '..', 'lib', 'binding.js'), sessions: path.join(__dirname, 'helpers', 'sessions.js') }
    })
    scope.defer(() => worker.terminate())
    assert.deepStrictEqual(await once(worker, 'message'), ['up'])
    return worker
  }

  it('carry a connection and a key into another thread, which serves a session there', async () => {
    const worker = await startWorker()
    const hostKey = await key()
    const { near, far } = await streamPair()
    const parcel = far.send()
    assert.throws(() => far.peer(), CLOSED, 'it is gone from here')
    const seen = []
    const client = new Ear(binding.sshClient(near, { user: 'test' }), 'Session', {
      onhostkey: (session, blob) => { seen.push(blob); session.trust(true) },
      onlogin: (session) => session.login(hostKey)
    })
    worker.postMessage({ stream: parcel, key: hostKey.send() })
    await Promise.all([client.next('onready'), once(worker, 'message')])
    assert.deepStrictEqual(seen, [hostKey.blob()])
    client.handle.close()
    await Promise.all([client.next('onclose'), once(worker, 'message')])
    worker.postMessage({})
    assert.deepStrictEqual(await once(worker, 'exit'), [0], 'nothing is left open')
  })

  it('are taken once, as what they are', async () => {
    const parcel = (await key()).send()
    assert.throws(() => binding.takeStream(parcel), CLOSED)
    assert.throws(() => binding.takeTlsContext(parcel), CLOSED)
    assert.deepStrictEqual(binding.takeKey(parcel).blob(), (await key()).blob())
    assert.throws(() => binding.takeKey(parcel), CLOSED)
    for (const wrong of [-1, NaN, 2 ** 53, '1', undefined]) assert.throws(() => binding.takeKey(wrong), OPTION)
    assert.throws(() => binding.takeKey(0), CLOSED)
  })

  it('that nobody takes are dropped', async () => {
    const { near, far } = await streamPair()
    const ear = new Ear(near, 'Stream')
    const parcel = far.send()
    binding.dropParcel(parcel)
    binding.dropParcel(parcel)
    assert.throws(() => binding.takeStream(parcel), CLOSED)
    near.resume()
    await ear.next('onend')
    near.close()
    await ear.next('onclose')
  })

  it('go with the thread that has sent them', async () => {
    const { near, far } = await streamPair()
    const ear = new Ear(near, 'Stream')
    const worker = new Worker(`
      const { workerData, parentPort } = require('node:worker_threads')
      const binding = require(workerData.binding)
      parentPort.postMessage(binding.takeStream(workerData.parcel).send())`,
    { eval: true, workerData: { parcel: far.send(), binding: path.join(__dirname, '..', 'lib', 'binding.js') } })
    const [[parcel]] = await Promise.all([once(worker, 'message'), once(worker, 'exit')])
    assert.throws(() => binding.takeStream(parcel), CLOSED)
    near.resume()
    await ear.next('onend')
    near.close()
    await ear.next('onclose')
  })

  it('carry on with what came before', async () => {
    const { near, far } = await streamPair()
    near.write(Buffer.from('early'))
    const there = new Ear(binding.takeStream(far.send()), 'Stream')
    assert.strictEqual(String(await readStream(there, 5)), 'early')
    near.close()
    there.handle.close()
    await there.next('onclose')
  })

  it('carry a server\'s TLS context, and no client\'s', async function () {
    need(this, 'openssl')
    const { cert, key: secret } = selfSigned(scope)
    const context = await binding.tlsServerContext(fs.readFileSync(cert), fs.readFileSync(secret), null, null)
    const taken = binding.takeTlsContext(context.send())
    const { near, far } = await streamPair()
    const server = new Ear(binding.tlsServer(far, taken), 'Stream')
    const client = new Ear(binding.tlsClient(near, await binding.tlsClientContext(null, null), null), 'Stream')
    await Promise.all([server.next('onopen'), client.next('onopen')])
    for (const one of [client, server]) one.handle.close()
    await Promise.all([client.next('onclose'), server.next('onclose')])
    const mine = await binding.tlsClientContext(null, null)
    assert.throws(() => mine.send(), OPTION)
  })
})
