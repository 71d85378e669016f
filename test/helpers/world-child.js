'use strict'

/**
 * The inside of a world (world.js): its name servers, its targets, and a
 * client that can be told to connect. Asked by messages { id, op, args },
 * answered by { id, value } or { id, error }.
 *
 * Every IPv4 address leads here, so one name server on all addresses is asked
 * whatever resolver anybody believes in. Who asks an address of this world has
 * just that address himself: the source of a query tells which resolver was
 * meant.
 */

const { once } = require('node:events')
const net = require('node:net')
const dns2 = require('dns2')
const { readAll, readBytes } = require('./net')
const { greeting, readReply, request, request4 } = require('./socks')

const DNS_PORT = 53
const { A, AAAA } = dns2.Packet.TYPE
const { NOERROR, NXDOMAIN } = dns2.Packet.RCODE
const TYPES = { [A]: 'A', [AAAA]: 'AAAA' }

const zones = new Map() // resolver's address => Map of name => { A, AAAA }
const targets = new Map() // 'address port' => { visits }
let queries = []

/** The next answer of a list; the last one stays. */
function nextAnswer (answers = [[]]) {
  return answers.length > 1 ? answers.shift() : answers[0]
}

function answer (question, send, { address }) {
  const [{ name, type }] = question.questions
  queries.push({ resolver: address, name, type: TYPES[type] ?? String(type) })
  const reply = dns2.Packet.createResponseFromRequest(question)
  const entry = zones.get(address)?.get(name.toLowerCase())
  reply.header.rcode = entry === undefined ? NXDOMAIN : NOERROR
  const found = entry === undefined || TYPES[type] === undefined ? [] : nextAnswer(entry[TYPES[type]])
  for (const one of found) {
    reply.answers.push({ name, type, class: dns2.Packet.CLASS.IN, ttl: 0, address: one })
  }
  send(reply)
}

async function startNameServer () {
  const server = dns2.createServer({ udp: true, tcp: true, handle: answer })
  // What is no question is somebody's attempt to ask all the same.
  server.on('requestError', (err) => queries.push({ resolver: '?', name: err.message, type: '?' }))
  const at = { port: DNS_PORT, address: '0.0.0.0' }
  await server.listen({ udp: at, tcp: at })
}

const at = (address, port) => `${address} ${port}`

/** The connection's text to its end; '' when it is refused or broken off. */
async function read (socket) {
  return (await readAll(socket).catch(() => '')).toString()
}

const ops = {
  /** zone: { name: { A: [[address, …], …], AAAA: … } }; one list a query. */
  zone (resolver, zone) {
    if (!zones.has(resolver)) zones.set(resolver, new Map())
    for (const [name, entry] of Object.entries(zone)) zones.get(resolver).set(name.toLowerCase(), entry)
  },

  /** All that was asked since the last time. */
  queries () {
    const all = queries
    queries = []
    return all
  },

  /** A target that says its address. Port 0 in: the port out. */
  async target (address, port) {
    const target = { visits: 0 }
    const server = net.createServer((socket) => {
      target.visits++
      socket.on('error', () => {})
      socket.end(address)
    })
    server.listen(port, address)
    await once(server, 'listening')
    targets.set(at(address, server.address().port), target)
    return server.address().port
  },

  /**
   * How many have come to a target since the last time. A visit of our own
   * comes last: who came before it has been counted when it is.
   */
  async visits (address, port) {
    if (await ops.connect(address, port) !== address) throw new Error('the target is not there')
    const target = targets.get(at(address, port))
    const { visits } = target
    target.visits = 0
    return visits - 1
  },

  async connect (host, port) {
    const socket = net.connect({ host, port })
    socket.on('error', () => {})
    const text = await read(socket)
    socket.destroy()
    return text
  },

  /** Through a SOCKS proxy, the host as a name: { code, said }; code null: no reply, as ssh -D refuses. */
  async socks (proxy, host, port, version) {
    const socket = net.connect(proxy)
    socket.on('error', () => {})
    try {
      await once(socket, 'connect')
      let code
      if (version === 4) {
        socket.write(request4(host, port))
        code = (await readBytes(socket, 8))[1]
      } else {
        socket.write(greeting())
        await readBytes(socket, 2)
        // latin1 in request(): the bytes of UTF-8 as they are.
        socket.write(request(Buffer.from(host).toString('latin1'), port, { name: true }))
        code = (await readReply(socket).catch(() => ({ code: null }))).code
      }
      const isOpen = code === (version === 4 ? 90 : 0)
      return { code, said: isOpen ? await read(socket) : null }
    } finally {
      socket.destroy()
    }
  }
}

process.on('message', async ({ id, op, args }) => {
  try {
    process.send({ id, value: await ops[op](...args) })
  } catch (err) {
    process.send({ id, error: err.message })
  }
})
process.on('disconnect', () => process.exit())

startNameServer().then(() => process.send({ id: 0 }))
