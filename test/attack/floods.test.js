'use strict'

/**
 * Too much of what is allowed, or of what is not, and a peer that stops in the
 * middle: nothing grows with it (CVE-2025-26466 of OpenSSH, CVE-2025-22869 and
 * CVE-2026-39830 of Go), and nobody else waits.
 */

const assert = require('node:assert')
const { needAlknet } = require('../helpers/alknet')
const { listen } = require('../helpers/net')
const { suiteScope, testScope } = require('../helpers/scope')
const { message, string, u32, u8 } = require('./ssh/bytes')
const { openDirect } = require('./ssh/client')
const n = require('./ssh/numbers')
const { Ended } = require('./ssh/peer')
const { attackClient, attackServer } = require('./rows')
const { advance } = require('./states')
const { MiB, isLibssh, startVictimServer } = require('./victims')

/**
 * Writes `count` packets as fast as they are taken, and reads what comes
 * meanwhile if `reads`. Resolves also when the victim has had enough.
 */
async function pour (peer, count, make, reads = true) {
  const marker = { isSent: false }
  const reading = reads ? readTo(peer, marker).catch((err) => { if (!(err instanceof Ended)) throw err }) : null
  for (let sent = 0; sent < count && !peer.socket.destroyed;) {
    const batch = []
    for (let i = 0; i < 500 && sent < count; i++) batch.push(peer.seal(make(sent++)))
    if (!peer.socket.write(Buffer.concat(batch))) await written(peer.socket)
  }
  peer.send(message(n.GLOBAL_REQUEST, string('nonsense@example.com'), u8(1)))
  marker.isSent = true
  await reading
}

/** Reads up to the first packet after the marker was sent. */
async function readTo (peer, marker) {
  do await peer.read()
  while (!marker.isSent)
}

/** The socket takes more, or is no more. */
function written (socket) {
  return new Promise((resolve) => {
    if (socket.destroyed) return resolve()
    const done = () => {
      socket.off('drain', done)
      socket.off('close', done)
      resolve()
    }
    socket.on('drain', done)
    socket.on('close', done)
  })
}

const FLOODS = {
  IGNORE: [40000, () => message(n.IGNORE, string('x'))],
  DEBUG: [40000, () => message(n.DEBUG, u8(0), string('x'), string(''))],
  'IGNORE of 32 kB': [1000, () => message(n.IGNORE, string(Buffer.alloc(32000)))],
  UNIMPLEMENTED: [40000, () => message(n.UNIMPLEMENTED, u32(0))],
  'REQUEST_SUCCESS, which nobody has asked for': [40000, () => message(n.REQUEST_SUCCESS)],
  'GLOBAL_REQUEST, to be answered': [20000, () => message(n.GLOBAL_REQUEST, string('x@example.com'), u8(1))],
  'GLOBAL_REQUEST of 32 kB': [1000, () => message(n.GLOBAL_REQUEST, string('x'.repeat(32000)), u8(0))],
  'CHANNEL_OPEN, to be refused': [15000, (i) => openDirect(i, '127.0.0.1', 9, { type: 'session' })],
  'unknown messages': [20000, () => message(199)],
  PING: [20000, () => message(n.PING, string('x'.repeat(100)))]
}

/** The flood is over when its last packet has its answer, or with the connection. */
const floodRows = (at) => Object.entries(FLOODS).map(([name, [count, make]]) => ({
  name: `${count} times ${name}`,
  at,
  attack: (peer) => pour(peer, count, make),
  expect: async () => {}
}))

describe('floods at a server', function () {
  this.timeout(20000)
  before(function () { needAlknet(this) })
  attackServer([
    ...floodRows('channel'),
    ...['IGNORE', 'unknown messages', 'PING'].map((name) => ({
      name: `${name} before the login`,
      at: 'keys',
      attack: (peer) => pour(peer, 20000, FLOODS[name][1]),
      expect: async () => {}
    })),
    {
      name: 'questions from one who reads no answers',
      at: 'channel',
      attack: (peer) => Promise.race([pour(peer, 200000, FLOODS['GLOBAL_REQUEST, to be answered'][1], false), stuck(peer.socket)]),
      expect: async (peer) => { peer.socket.destroy() }
    },
    {
      name: 'IGNORE in the middle of a rekey',
      at: 'rekey',
      expect: 'on',
      async attack (peer) {
        for (let i = 0; i < 20000; i++) peer.send(message(n.IGNORE, string('x'.repeat(100))))
      }
    }
  ])
})

/** Resolves when nothing has been written to a socket for a while: its far side does not read. */
function stuck (socket) {
  return new Promise((resolve) => {
    let last = -1
    const look = setInterval(() => {
      if (socket.bytesWritten !== last && !socket.destroyed) last = socket.bytesWritten
      else {
        clearInterval(look)
        resolve()
      }
    }, 500)
  })
}

describe('floods at a client', function () {
  this.timeout(20000)
  before(function () { needAlknet(this) })
  attackClient([
    ...floodRows('channel'),
    {
      name: '20000 banners',
      at: 'asked',
      attack: async (peer) => { for (let i = 0; i < 20000; i++) peer.send(message(n.USERAUTH_BANNER, string('x'.repeat(100)), string(''))) },
      expect: 'any'
    }
  ])
})

// A window that is used up, and what comes then. libssh takes it and keeps it
// for as long as nobody reads: so it grows by what was sent, and no more.
const TOO_MUCH = 48 * MiB
const TAKES_IT = { expect: 'alive', why: 'libssh takes what is too much, and gives no window for it' }
const growthMax = isLibssh ? 2 * TOO_MUCH : undefined

/** All of it is handed to the socket: whoever ends the connection throws the rest away. */
function fill (peer, id) {
  const payload = message(n.DATA, u32(id), string(Buffer.alloc(32000, 0x41)))
  for (let sent = 0; sent < TOO_MUCH; sent += 32000) peer.send(payload)
}

describe('more than a window takes, to a server', function () {
  this.timeout(20000)
  before(function () { needAlknet(this) })
  attackServer([{
    name: 'to a target that does not read',
    at: 'ready',
    async attack (peer, victim) {
      const channel = await peer.open('127.0.0.1', victim.stalled.port, { id: 66 })
      fill(peer, channel.far)
    },
    codes: [null, n.PROTOCOL_ERROR], // a reset may overtake it
    libssh: TAKES_IT
  }], { growthMax })
})

describe('more than a window takes, to a client', function () {
  this.timeout(20000)
  before(function () { needAlknet(this) })
  attackClient([{
    name: 'in a channel that nobody reads',
    at: 'channel',
    attack: async (peer) => fill(peer, peer.opened.far),
    codes: [null, n.PROTOCOL_ERROR],
    libssh: TAKES_IT
  }], { growthMax })
})

describe('a rekey that stops in the middle', function () {
  this.timeout(20000)
  let victim
  after(() => victim.end())
  const suite = suiteScope()
  const scope = testScope()

  before(async function () {
    needAlknet(this)
    victim = await startVictimServer(suite, { args: ['--keepalive', '1', '--keepalive-max', '1'] })
  })
  afterEach(() => victim.assertUnharmed())

  it('holds back what a target pours out, and is given up', async () => {
    let poured = 0
    const source = await listen(scope, (socket) => {
      const chunk = Buffer.alloc(65536)
      const more = () => {
        do poured += chunk.length
        while (!socket.destroyed && socket.write(chunk))
      }
      socket.on('drain', more)
      more()
    })
    const peer = await victim.connect(scope)
    peer.echoPort = victim.echo.port
    await advance(peer, 'ready')
    await peer.open('127.0.0.1', source.port, { window: 0xffffffff })
    peer.sendKexinit()
    // Everything is read, nothing is said: the keepalive is what ends it.
    await peer.finish()
    assert.ok(poured < 48 * MiB, `${poured / MiB} MiB were taken from the target`)
  })
})
