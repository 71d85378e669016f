'use strict'

/**
 * The addon's surface (lib/binding.js) as plain objects that a test scripts:
 * each call is recorded in `calls`, each event is a call of the owner's method
 * by the test.
 */

const path = require('path')

const lib = path.join(__dirname, '..', '..', 'lib')

class Handle {
  constructor (kind, methods) {
    this.kind = kind
    this.calls = []
    this.owner = null
    for (const name of methods) {
      this[name] = (...args) => {
        this.calls.push([name, ...args])
        return this.answers?.[name]
      }
    }
  }

  /** Calls an event of the owner, as the addon does. */
  emit (event, ...args) {
    if (this.owner && this.owner[event]) this.owner[event](...args)
  }

  /** The names of the calls so far. */
  get called () {
    return this.calls.map(([name]) => name)
  }
}

const STREAM = ['resume', 'pause', 'write', 'end', 'close', 'peer', 'local', 'connect', 'limitUnacked']
const SOCKS = ['connect', 'join', 'refuse', 'close']
const SESSION = ['trust', 'login', 'admit', 'keepalive', 'received', 'sent', 'silence', 'info', 'close', 'open', 'accept', 'refuse', 'answer', 'ping', 'ref', 'unref']

function fakeStream (kind = 'tcp') {
  const stream = new Handle(kind, STREAM)
  stream.answers = { write: true, peer: { address: '127.0.0.1', port: 40000, family: 4 } }
  return stream
}

function fakeSession () {
  const session = new Handle('session', SESSION)
  session.opened = []
  session.open = (type, host, port) => {
    const channel = fakeStream('channel')
    channel.target = { type, host, port }
    session.opened.push(channel)
    return channel
  }
  session.asked = [] // of the peer, by listen() and unlisten(); an id is a place from 1
  for (const name of ['listen', 'unlisten']) {
    session[name] = (isLocal, host, port) => session.asked.push([name, isLocal, host, port])
  }
  session.answers = { received: 0, sent: 0, silence: 0, info: {} }
  return session
}

function fakeListener (address, port) {
  const listener = new Handle('listener', ['close', 'ref', 'unref', 'address'])
  listener.answers = { address: { address, port: port || 41000, family: 4 } }
  return listener
}

function fakeUnixListener (path) {
  const listener = fakeListener()
  listener.answers = { address: { path } }
  return listener
}

/** A SOCKS client whose request is to be an event of a listener. */
function fakeSocks () {
  return new Handle('socks', SOCKS)
}

/** A whole addon. made: everything that it has made, by kind. */
function fakeBinding () {
  const made = { tcp: [], unix: [], listener: [], door: [], session: [], relay: [] }
  const keep = (kind, handle) => {
    made[kind].push(handle)
    return handle
  }
  return {
    made,
    errors: [],
    engines: ['libssh'],
    versions: {},
    connectTcp: (address, port) => keep('tcp', Object.assign(fakeStream(), { target: { address, port } })),
    connectUnix: (path) => keep('unix', Object.assign(fakeStream('pipe'), { target: { path } })),
    listenUnix: (path) => keep('listener', fakeUnixListener(path)),
    socksDoor: (user, password, ms) => keep('door', Object.assign(new Handle('door', ['enter', 'close']), { ms })),
    listenTcp: (address, port) => keep('listener', fakeListener(address, port)),
    listenSocks: (address, port, user, password, ms) =>
      keep('listener', Object.assign(fakeListener(address, port), { user, password, ms })),
    sshClient: (stream, options) => keep('session', Object.assign(fakeSession(), { stream, options })),
    sshServer: (stream, options) => keep('session', Object.assign(fakeSession(), { stream, options })),
    relay: (a, b, ms) => keep('relay', Object.assign(new Handle('relay', ['close']), { a, b, ms })),
    fingerprint: (blob) => `SHA256:${Buffer.from(blob).toString('hex')}`,
    readPublicBlob: () => ({}),
    isCertificate: () => false,
    tlsInfo: () => null,
    keyFormat: () => 'openssh',
    readPrivateKey: async (text) => ({ blob: () => Buffer.from(text) }),
    hostsMatch: () => ({ verdict: 'unknown', line: 0, types: '' }),
    hostsAuthority: () => ({ verdict: 'unknown', line: 0, types: '' }),
    hostsLine: (host, port, hashed, blob) => `${host}:${port} ${Buffer.from(blob).toString('base64')}\n`
  }
}

/**
 * Loads modules of lib/ on top of binding. What was loaded before stays as it
 * is for everybody else.
 *
 * @param {object} binding
 * @param {string[]} names - 'session', …
 * @returns {object[]} what the modules export
 */
function loadWith (binding, names) {
  const isOurs = (file) => file.startsWith(lib + path.sep)
  const ours = Object.keys(require.cache).filter(isOurs)
  const saved = ours.map((file) => [file, require.cache[file]])
  for (const file of ours) delete require.cache[file]
  const file = path.join(lib, 'binding.js')
  require.cache[file] = Object.assign(new module.constructor(file), { exports: binding, loaded: true, filename: file })
  try {
    return names.map((name) => require(path.join(lib, name)))
  } finally {
    for (const one of Object.keys(require.cache)) if (isOurs(one)) delete require.cache[one]
    for (const [one, cached] of saved) require.cache[one] = cached
  }
}

module.exports = { Handle, fakeBinding, fakeSession, fakeSocks, fakeStream, loadWith }
