'use strict'

/** The addon itself, without lib/: ears for its events, and pairs of sessions. */

const binding = require('../../lib/binding')

/** What answers an ear's events by itself, until a test takes over. */
const POLITE = {
  onhostkey: (session) => session.trust(true),
  onauth: (session) => session.admit(true)
}

/**
 * The owner of a handle, which keeps each event until somebody asks for it.
 * `log` has the names of all that came.
 */
class Ear {
  /** className: 'Stream', 'Session', … does: what answers an event at once, by name. */
  constructor (handle, className, does = {}) {
    this.handle = handle
    this.log = []
    this._came = new Map()
    this._waiting = new Map()
    for (const name of binding.events[className]) {
      this[name] = (...args) => {
        this.log.push(name)
        if (does[name] !== undefined) return does[name](handle, ...args)
        const waiting = this._waiting.get(name)?.shift()
        if (waiting !== undefined) waiting(args)
        else this._came.set(name, [...this._came.get(name) ?? [], args])
      }
    }
    handle.owner = this
  }

  /** The arguments of the next such event, which may have come already. */
  next (name) {
    const came = this._came.get(name)?.shift()
    if (came !== undefined) return Promise.resolve(came)
    return new Promise((resolve) => {
      this._waiting.set(name, [...this._waiting.get(name) ?? [], resolve])
    })
  }
}

/** Two ends of a loopback connection: { near, far }, both open. */
async function streamPair () {
  const listener = new Ear(binding.listenTcp('127.0.0.1', 0), 'Listener')
  const { address, port } = listener.handle.address()
  const near = new Ear(binding.connectTcp(address, port), 'Stream')
  const [far] = await listener.next('onstream')
  await near.next('onopen')
  listener.handle.close()
  await listener.next('onclose')
  return { near: near.handle, far }
}

/** One key a process: what is tested is not the login. */
let madeKey = null
function key () {
  madeKey ??= binding.generateKey('ed25519')
  return madeKey
}

/**
 * A client and a server that are ready: { client, server }, both Ears.
 *
 * @param {{ server?: object, client?: object }} [options] of the two sessions
 */
async function sessionPair (options = {}) {
  const one = await key()
  const { near, far } = await streamPair()
  const server = new Ear(binding.sshServer(far, { hostKeys: [one], listens: true, ...options.server }), 'Session', POLITE)
  const client = new Ear(binding.sshClient(near, { user: 'test', ...options.client }), 'Session',
    { ...POLITE, onlogin: (session) => session.login(one) })
  await Promise.all([server.next('onready'), client.next('onready')])
  return { client, server }
}

/** Closes the client and waits for both ends. */
async function endPair ({ client, server }) {
  client.handle.close()
  server.handle.close()
  await Promise.all([client.next('onclose'), server.next('onclose')])
}

/** The server listens where the client asked: resolves to the port. */
async function grant ({ client, server }, isLocal, host, port) {
  client.handle.listen(isLocal, host, port)
  const [request] = await server.next('onlisten')
  server.handle.answer(request, true, port)
  const [, yes, told] = await client.next('onreply')
  if (!yes) throw new Error('the listener was refused')
  return told
}

/** Reads `length` bytes of an open stream. */
async function readStream (ear, length) {
  let got = Buffer.alloc(0)
  ear.handle.resume()
  while (got.length < length) got = Buffer.concat([got, (await ear.next('ondata'))[0]])
  ear.handle.pause()
  return got
}

module.exports = { Ear, endPair, grant, key, readStream, sessionPair, streamPair }
