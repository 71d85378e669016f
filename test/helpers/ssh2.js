'use strict'

/** npm ssh2 as the other end: a client to log in with, a server to log in to. */

const { once } = require('node:events')
const net = require('node:net')
const { Client, Server, utils } = require('ssh2')
const { key, knownHostsLine } = require('./keys')

/**
 * Logs in with ssh2.
 *
 * @param {Scope} scope
 * @param {{ host: string, port: number, user: string }} server
 * @param {object} [options] - for Client.connect(); identity: a key; onClient:
 *   gets the client before it connects
 * @returns {Promise<Client & { negotiated: object }>}
 */
async function connectSsh2 (scope, server, options = {}) {
  const { identity = key('ed25519', 'user'), onClient = () => {}, ...rest } = options
  const client = new Client()
  onClient(client)
  scope.defer(() => { client.destroy() })
  client.on('handshake', (negotiated) => { client.negotiated = negotiated })
  const ready = new Promise((resolve, reject) => {
    client.once('ready', resolve)
    client.on('error', reject) // also what follows a refusal
    client.once('close', () => reject(new Error('closed before it was ready')))
  })
  client.connect({
    host: server.host,
    port: server.port,
    username: server.user,
    readyTimeout: 0,
    ...(identity ? { privateKey: identity.private } : {}),
    ...rest
  })
  await ready
  client.on('error', () => {}) // close follows
  return client
}

/** A string of RFC 4251 §5. */
function sshString (bytes) {
  const buf = Buffer.from(bytes)
  const length = Buffer.alloc(4)
  length.writeUInt32BE(buf.length)
  return Buffer.concat([length, buf])
}

/**
 * Logs in with a certificate that no ssh would offer: the bytes as they are,
 * first asked about and then with a right signature of the key. ssh2 knows no
 * certificates, so the requests are made here.
 *
 * @param {{ identity: object, blob: Buffer }} options - identity: of ed25519
 */
function connectWithCertificate (scope, server, { identity, blob }) {
  const type = blob.toString('latin1', 4, 4 + blob.readUInt32BE(0))
  const key = utils.parseKey(identity.private)
  return connectSsh2(scope, server, {
    identity,
    authHandler: ['publickey'],
    onClient: (client) => client.once('handshake', () => {
      const protocol = client._protocol
      protocol.authPK = (user, parsed, algorithm, isSigned) => {
        const request = Buffer.concat([Buffer.of(50), ...[user, 'ssh-connection', 'publickey'].map(sshString),
          Buffer.of(isSigned ? 1 : 0), sshString(type), sshString(blob)])
        const sign = () => key.sign(Buffer.concat([sshString(protocol._kex.sessionID), request]))
        const signature = () => sshString(Buffer.concat([sshString('ssh-ed25519'), sshString(sign())]))
        const payload = Buffer.concat([request, ...(isSigned ? [signature()] : [])])
        const { write } = protocol._packetRW
        const packet = write.alloc(payload.length)
        payload.copy(packet, write.allocStart)
        protocol._authsQueue.push('publickey')
        protocol._cipher.encrypt(write.finalize(packet))
      }
    })
  })
}

/** A direct-tcpip channel of an ssh2 client, or its refusal ({ reason }). */
function forwardOut (client, host, port) {
  return new Promise((resolve, reject) => {
    client.forwardOut('127.0.0.1', 1, host, port, (err, stream) => {
      if (err) return reject(err)
      stream.on('error', () => {})
      resolve(stream)
    })
  })
}

/**
 * An SSH server that admits one user key and connects what it is asked for.
 * `methods` holds the authentication methods that it saw, `targets` the
 * destinations. Set `refuse` to { reason, text } to refuse every channel, and
 * `onTarget` to answer in another way.
 */
async function startSsh2Server (scope, options = {}) {
  const { hostKey = key('ed25519', 'host'), userKey = key('ed25519', 'user'), admitNone = false, ...rest } = options
  const state = {
    host: '127.0.0.1',
    user: 'alknet',
    hostKeys: [hostKey],
    methods: [],
    targets: [],
    clients: new Set(),
    rekeys: 0,
    refuse: null,
    onTarget: null
  }
  const allowed = utils.parseKey(userKey.public)
  const server = new Server({ hostKeys: [hostKey.private], ...rest }, (client) => {
    state.clients.add(client)
    client.on('error', () => {})
    client.on('close', () => state.clients.delete(client))
    client.on('handshake', (negotiated) => { state.negotiated = negotiated })
    client.on('rekey', () => state.rekeys++)
    client.on('authentication', (ctx) => {
      state.methods.push(ctx.method)
      state.username = ctx.username
      if (ctx.method === 'none' && admitNone) return ctx.accept()
      if (ctx.method !== 'publickey' || !ctx.key.data.equals(allowed.getPublicSSH())) {
        return ctx.reject(['publickey'])
      }
      if (ctx.signature && allowed.verify(ctx.blob, ctx.signature, ctx.hashAlgo) !== true) {
        return ctx.reject(['publickey'])
      }
      ctx.accept()
    })
    client.on('tcpip', (accept, reject, info) => onTcpip(state, client, accept, reject, info))
  })
  server.listen(0, state.host)
  await once(server, 'listening')
  state.port = server.address().port
  state.knownHosts = knownHostsLine(state.host, state.port, hostKey)
  state.server = server
  scope.defer(() => new Promise((resolve) => {
    for (const client of state.clients) client.end()
    for (const client of state.clients) client._sock.destroy()
    server.close(resolve)
  }))
  return state
}

function onTcpip (state, client, accept, reject, info) {
  state.targets.push({ host: info.destIP, port: info.destPort })
  if (state.refuse !== null) {
    const { reason, text } = state.refuse
    const protocol = client._protocol // ssh2 has no public way to say why
    const fail = protocol.channelOpenFail
    protocol.channelOpenFail = (recipient) => fail.call(protocol, recipient, reason, text)
    reject()
    protocol.channelOpenFail = fail
    return
  }
  if (state.onTarget !== null) return state.onTarget(accept, reject, info)
  const socket = net.connect({ host: info.destIP, port: info.destPort, allowHalfOpen: true })
  let channel = null
  socket.once('connect', () => {
    channel = accept()
    channel.on('error', () => {})
    channel.on('close', () => socket.destroySoon())
    channel.pipe(socket)
    socket.pipe(channel)
  })
  socket.on('error', () => { if (channel === null) reject() })
  socket.on('close', (failed) => { if (failed && channel !== null) channel.destroy() })
}

module.exports = { connectSsh2, connectWithCertificate, forwardOut, startSsh2Server }
