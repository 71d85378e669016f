'use strict'

/**
 * A SOCKS client (RFC 1928, RFC 1929, SOCKS4/4a) that can cut its messages at
 * any byte. It does nothing behind a test's back: replies come as they are.
 */

const fs = require('node:fs')
const net = require('node:net')
const { destination } = require('./destinations')
const { dial, readBytes } = require('./net')

/** RFC 1928 §3. */
function greeting (methods = [0]) {
  return Buffer.from([5, methods.length, ...methods])
}

/** RFC 1929 §2. */
function login (user, password) {
  const u = Buffer.from(user)
  const p = Buffer.from(password)
  return Buffer.concat([Buffer.from([1, u.length]), u, Buffer.from([p.length]), p])
}

function ipv6Bytes (text) {
  const mapped = /^(.*:)(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(text)
  if (mapped) {
    const [a, b, c, d] = mapped.slice(2).map(Number)
    text = `${mapped[1]}${(a * 256 + b).toString(16)}:${(c * 256 + d).toString(16)}`
  }
  const [head, tail] = text.split('::')
  const left = head ? head.split(':') : []
  const right = tail ? tail.split(':') : []
  const zeros = tail === undefined ? 0 : 8 - left.length - right.length
  const groups = [...left, ...Array(zeros).fill('0'), ...right]
  return Buffer.from(groups.flatMap((g) => [parseInt(g, 16) >> 8, parseInt(g, 16) & 255]))
}

/**
 * RFC 1928 §4.
 *
 * @param {string} host - an address goes as one, unless `name` is set
 * @param {number} port
 * @param {{ command?: number, name?: boolean, atyp?: number }} [options]
 */
function request (host, port, options = {}) {
  const { command = 1, name = false } = options
  destination(host, port)
  const family = name ? 0 : net.isIP(host)
  let address
  let atyp
  if (family === 4) {
    atyp = 1
    address = Buffer.from(host.split('.').map(Number))
  } else if (family === 6) {
    atyp = 4
    address = ipv6Bytes(host)
  } else {
    atyp = 3
    const bytes = Buffer.from(host, 'latin1')
    address = Buffer.concat([Buffer.from([bytes.length]), bytes])
  }
  if (options.atyp !== undefined) atyp = options.atyp
  return Buffer.concat([Buffer.from([5, command, 0, atyp]), address,
    Buffer.from([port >> 8, port & 255])])
}

/** SOCKS4, and 4a when host is no IPv4 address. */
function request4 (host, port, user = 'u', command = 1) {
  const plain = net.isIPv4(host)
  destination(host, port)
  const address = plain ? host.split('.').map(Number) : [0, 0, 0, 1]
  return Buffer.concat([
    Buffer.from([4, command, port >> 8, port & 255, ...address]),
    Buffer.from(`${user}\0`),
    plain ? Buffer.alloc(0) : Buffer.from(`${host}\0`)
  ])
}

/**
 * Resolves when the far side of a loopback connection has read all that was
 * sent so far (or has gone). It looks into the kernel's table of sockets, so
 * that the pieces of a message arrive apart without a guess at a delay.
 */
function consumed (socket) {
  if (process.platform !== 'linux') return new Promise((resolve) => setImmediate(resolve))
  const hex = (port) => port.toString(16).toUpperCase().padStart(4, '0')
  const near = hex(socket.localPort)
  const far = hex(socket.remotePort)
  const table = socket.remoteFamily === 'IPv6' ? '/proc/net/tcp6' : '/proc/net/tcp'
  return new Promise((resolve) => {
    const look = () => {
      if (socket.destroyed) return resolve()
      const row = fs.readFileSync(table, 'latin1').split('\n').find((line) => {
        const [, local, remote] = line.trim().split(/\s+/)
        return local && local.endsWith(`:${far}`) && remote.endsWith(`:${near}`)
      })
      const queues = row && row.trim().split(/\s+/)[4]
      if (!row || (socket.writableLength === 0 && /:0+$/.test(queues))) resolve()
      else setImmediate(look)
    }
    setImmediate(look)
  })
}

/**
 * Writes a message in pieces that arrive one by one.
 *
 * @param {net.Socket} socket
 * @param {Buffer} message
 * @param {number[] | 'bytes'} cuts - where to cut; 'bytes': after each byte
 */
async function writeCut (socket, message, cuts = []) {
  const at = cuts === 'bytes' ? [...message.keys()].slice(1) : cuts
  let from = 0
  for (const to of at) {
    socket.write(message.subarray(from, to))
    await consumed(socket)
    from = to
  }
  socket.write(message.subarray(from))
}

/** Reads a SOCKS5 reply: { code, atyp, address, port }. */
async function readReply (socket) {
  const head = await readBytes(socket, 4)
  const length = head[3] === 4 ? 16 : head[3] === 3 ? (await readBytes(socket, 1))[0] : 4
  const rest = await readBytes(socket, length + 2)
  return { version: head[0], code: head[1], reserved: head[2], atyp: head[3], port: rest.readUInt16BE(length) }
}

/**
 * One whole SOCKS5 handshake.
 *
 * @param {Scope} scope
 * @param {{ host: string, port: number }} proxy
 * @param {string} host
 * @param {number} port
 * @param {object} [options] - those of request(), and methods, user, password,
 *   cutGreeting, cutLogin, cutRequest
 * @returns {Promise<{ socket: net.Socket, method: number, status?: number, code?: number }>}
 */
async function socks5 (scope, proxy, host, port, options = {}) {
  const { user, password } = options
  const methods = options.methods || (user === undefined ? [0] : [0, 2])
  const socket = await dial(scope, proxy.port, proxy.host)
  await writeCut(socket, greeting(methods), options.cutGreeting)
  const method = (await readBytes(socket, 2))[1]
  if (method === 0xff) return { socket, method }
  let status
  if (method === 2) {
    await writeCut(socket, login(user, password), options.cutLogin)
    status = (await readBytes(socket, 2))[1]
    if (status !== 0) return { socket, method, status }
  }
  await writeCut(socket, request(host, port, options), options.cutRequest)
  return { socket, method, status, ...await readReply(socket) }
}

/** The connection through the proxy, or an error with the reply's `code`. */
async function socksOpen (scope, proxy, host, port, options) {
  const result = await socks5(scope, proxy, host, port, options)
  if (result.code === 0) return result.socket
  result.socket.destroy()
  throw Object.assign(new Error(`SOCKS reply ${result.code}`), { code: result.code })
}

/** The reply code for a destination. */
async function socksCode (scope, proxy, host, port, options) {
  const result = await socks5(scope, proxy, host, port, options)
  result.socket.destroy()
  return result.code
}

module.exports = {
  greeting,
  login,
  request,
  request4,
  consumed,
  writeCut,
  readReply,
  socks5,
  socksOpen,
  socksCode
}
