'use strict'

/**
 * Things that happen to a tunnel between two machines (netns.js), as functions
 * of a Rig: a server on the far one, a client that reconnects on the near one,
 * and an echo through both. The fault tests judge what comes of it, and
 * bench/faults.js puts the figures into docs/reliability.md.
 */

const net = require('node:net')
const path = require('node:path')
const { randomBytes } = require('node:crypto')
const { once } = require('node:events')
const { bin, cleanEnv } = require('./alknet')
const { key, knownHostsLine } = require('./keys')
const { readBytes } = require('./net')
const { startNet } = require('./netns')

const PORT = 2222
const RELAY_PORT = 2223
const RELAY = path.join(__dirname, 'relay-child.js')
const TRY_MS = 50
const ECHO_BYTES = 8 * 1024

/** The part of a process's output behind a mark, as a pattern for waitFor(). */
function behind (mark, pattern) {
  return new RegExp(`^[^]{${mark}}[^]*?(?:${pattern.source})`)
}

const LOST = /session state=lost/
const READY = /session state=ready/
const CLOSED = /connection closed/
const OPENED = /connection opened/

/** Both ends of a tunnel, and what is between them. */
class Rig {
  /** limits: { keepalive, keepaliveMax } of both ends. */
  constructor (scope, limits) {
    this.scope = scope
    this.limits = limits
    this.net = null
    this.server = null // Proc
    this.client = null // Proc
    this.relay = null // Proc, where there is one
    this._dir = scope.dir()
    this._hostKey = key('ed25519', 'host')
    this._known = scope.file('known_hosts', [['10.77.0.2', PORT], ['127.0.0.1', RELAY_PORT]]
      .map(([host, port]) => knownHostsLine(host, port, this._hostKey)).join(''))
    this._authorized = scope.file('authorized_keys', `${key('ed25519', 'user').public}\n`)
    this._echoes = new Set()
  }

  /** What is promised: a link that drops packets is given up within this. */
  get promisedMs () {
    const { keepalive, keepaliveMax } = this.limits
    return (keepalive * keepaliveMax + 1) * 1000
  }

  get near () {
    return this.net.near
  }

  get far () {
    return this.net.far
  }

  /** delayMs: how long a packet takes, each way; isRelayed: the client goes through a relay on its machine. */
  async start ({ delayMs, isRelayed = false } = {}) {
    this.net = await startNet(this.scope, { delayMs })
    // Paths of Unix sockets are the same on both machines, and on this one.
    const echo = net.createServer({ allowHalfOpen: true }, (socket) => {
      this._echoes.add(socket)
      socket.on('error', () => {}).once('close', () => this._echoes.delete(socket))
      socket.pipe(socket)
    }).listen(path.join(this._dir, 'echo'))
    await once(echo, 'listening')
    this.scope.defer(() => {
      for (const socket of this._echoes) socket.destroy()
      echo.close()
    })
    await this.startServer()
    if (isRelayed) await this._startRelay()
    await this._startClient()
    await this.echo()
  }

  async _startRelay () {
    this.relay = this.near.start(this.scope, [process.execPath, RELAY, String(RELAY_PORT), this.far.address, String(PORT)])
    await this.relay.waitFor(/ready/)
  }

  _common () {
    const { keepalive, keepaliveMax } = this.limits
    return ['--keepalive', String(keepalive), '--keepalive-max', String(keepaliveMax), '--log-level', 'info']
  }

  async startServer () {
    this.server = this.far.start(this.scope, [process.execPath, bin, 'serve', '--key', this._hostKey.path,
      '--listen', `${this.far.address}:${PORT}`, '--authorized-keys', this._authorized,
      '--allow', `unix:${this._dir}/*`, ...this._common()], { env: cleanEnv(this.scope) })
    await this.server.waitFor(/listening on/)
  }

  async _startClient () {
    const server = this.relay === null ? `${this.far.address}:${PORT}` : `127.0.0.1:${RELAY_PORT}`
    this.client = this.near.start(this.scope, [process.execPath, bin, 'connect', '--server', server,
      '--identity', key('ed25519', 'user').path, '--known-hosts', this._known, '--socks5', '127.0.0.1:0',
      '--forward', `${this._dir}/local:${this._dir}/echo`, ...this._common()], { env: cleanEnv(this.scope) })
    await this.client.waitFor(/forward/)
  }

  /** One connection through the tunnel: bytes there and back, or it rejects. */
  async echo (bytes = 64) {
    const socket = net.connect(path.join(this._dir, 'local'))
    socket.on('error', () => {})
    try {
      const text = randomBytes(bytes)
      socket.write(text)
      const back = await readBytes(socket, bytes)
      if (!back.equals(text)) throw Object.assign(new Error('other bytes came back'), { isWrong: true })
    } finally {
      socket.destroy()
    }
  }

  /** The same, as often as it takes. Wrong bytes are wrong at once. */
  async echoAtLast (bytes) {
    for (;;) {
      try {
        return await this.echo(bytes)
      } catch (err) {
        if (err.isWrong) throw err
        await new Promise((resolve) => setTimeout(resolve, TRY_MS))
      }
    }
  }

  /** What each end says from now on: wait(pattern) gives the time in ms. */
  listen () {
    const started = performance.now()
    const ear = (proc) => {
      const mark = proc.output.length
      return {
        wait: async (pattern) => {
          await proc.waitFor(behind(mark, pattern))
          return performance.now() - started
        },
        has: (pattern) => behind(mark, pattern).test(proc.output)
      }
    }
    return { client: ear(this.client), server: ear(this.server), since: () => performance.now() - started }
  }

  /** Descriptors and connections of both ends. */
  async holdings () {
    const [near, far] = await Promise.all([this.net.sockets(this.near), this.net.sockets(this.far)])
    return { clientFds: this.client.fds(), serverFds: this.server.fds(), near: near.length, far: far.length }
  }

  /** Resolves when nothing more is held than before; it does not otherwise. */
  async nothingLeft (before) {
    for (;;) {
      const now = await this.holdings()
      if (Object.keys(before).every((name) => now[name] <= before[name])) return now
      await new Promise((resolve) => setTimeout(resolve, TRY_MS))
    }
  }
}

/** Echoes for as long as silence would be borne. Wrong bytes are wrong; any other end of one is not counted. */
async function echoMeanwhile (rig) {
  const said = rig.listen()
  let echoes = 0
  const echoing = (async () => {
    while (said.since() < rig.promisedMs) {
      await rig.echo(ECHO_BYTES).then(() => echoes++, (err) => { if (err.isWrong) throw err })
    }
  })()
  echoing.catch(() => {}) // whoever waits for it hears
  await new Promise((resolve) => setTimeout(resolve, rig.promisedMs))
  return { echoing, count: () => echoes, isLost: () => said.client.has(LOST) }
}

/**
 * What is lost, on one side or both, until both ends have noticed; then it
 * heals. Counted from when the first packet may have been lost: on a busy
 * machine it takes a while until all are.
 */
async function silence (rig, machines) {
  const said = rig.listen()
  await Promise.all(machines.map((machine) => rig.net.lose(rig[machine], 100)))
  const [client, server] = await Promise.all([said.client.wait(LOST), said.server.wait(CLOSED)])
  const again = rig.listen()
  await Promise.all(machines.map((machine) => rig.net.heal(rig[machine])))
  const healed = again.since()
  await rig.echoAtLast()
  return { client, server, recovered: again.since() - healed }
}

const FAULTS = {
  /** Nothing arrives any more. */
  'all packets lost': (rig) => silence(rig, ['near', 'far']),
  /** Nothing of the client's arrives. */
  'packets to the server lost': (rig) => silence(rig, ['far']),
  /** Nothing of the server's arrives. */
  'packets to the client lost': (rig) => silence(rig, ['near']),

  async 'server killed (SIGKILL)' (rig) {
    const said = rig.listen()
    rig.server.kill('SIGKILL')
    const client = await said.client.wait(LOST)
    await rig.server.exited
    await rig.startServer()
    const again = rig.listen()
    await rig.echoAtLast()
    return { client, server: null, recovered: again.since() }
  },

  async 'server stopped (SIGSTOP)' (rig) {
    const said = rig.listen()
    rig.server.kill('SIGSTOP')
    const client = await said.client.wait(LOST)
    const again = rig.listen()
    rig.server.kill('SIGCONT')
    const server = await again.server.wait(CLOSED)
    await rig.echoAtLast()
    return { client, server, recovered: again.since() }
  },

  /** A machine that sleeps: the client finds out when it wakes up. */
  async 'client stopped (SIGSTOP)' (rig) {
    const said = rig.listen()
    rig.client.kill('SIGSTOP')
    const server = await said.server.wait(CLOSED)
    const again = rig.listen()
    rig.client.kill('SIGCONT')
    const client = await again.client.wait(LOST)
    await rig.echoAtLast()
    return { client, server, recovered: again.since() }
  },

  async 'client gone without a word' (rig) {
    const said = rig.listen()
    await rig.net.lose(rig.far, 100)
    rig.client.kill('SIGKILL')
    await rig.client.exited
    const server = await said.server.wait(CLOSED)
    await rig.net.heal(rig.far)
    await rig._startClient()
    await rig.echoAtLast()
    return { client: null, server, recovered: null }
  },

  /** Its connection is gone, but no word of that arrives: a reboot, a NAT that forgot. */
  async 'server half-open' (rig) {
    const said = rig.listen()
    await rig.net.lose(rig.near, 100)
    await rig.far.shell(rig.scope, 'ss -K dport gt 0 >/dev/null')
    await said.server.wait(CLOSED)
    await rig.net.heal(rig.near)
    const client = await said.client.wait(LOST)
    await rig.echoAtLast()
    return { client, server: null, recovered: said.since() - client }
  },

  async 'address changed' (rig) {
    const said = rig.listen()
    await rig.net.move(rig.near, '10.77.0.9')
    const moved = said.since()
    const client = await said.client.wait(LOST)
    await rig.echoAtLast()
    const recovered = said.since() - client
    const server = await said.server.wait(CLOSED)
    return { client: client - moved, server: server - moved, recovered }
  },

  /** Its two connections stand, and it passes nothing on: all that is sent is acknowledged. */
  async 'relay half-open' (rig) {
    const said = rig.listen()
    rig.relay.kill('SIGUSR2')
    const cut = said.since()
    const closing = said.server.wait(CLOSED)
    closing.catch(() => {}) // heard below
    const client = await said.client.wait(LOST)
    await rig.echoAtLast()
    const recovered = said.since() - client
    return { client: client - cut, server: await closing - cut, recovered }
  },

  /** Each way: nothing is to be noticed, but that it is slow. */
  async '30 % of packets lost' (rig) {
    await Promise.all([rig.net.lose(rig.near, 30), rig.net.lose(rig.far, 30)])
    const { echoing, count, isLost } = await echoMeanwhile(rig)
    const again = rig.listen()
    await Promise.all([rig.net.heal(rig.near), rig.net.heal(rig.far)])
    await Promise.all([echoing, rig.echoAtLast()])
    return { client: null, server: null, recovered: again.since(), echoes: count(), lost: isLost() }
  },

  /** Each packet takes that long, each way: nothing is to be noticed either. */
  async '200 ms each way' (rig) {
    const { echoing, count, isLost } = await echoMeanwhile(rig)
    await echoing
    return { client: null, server: null, recovered: null, echoes: count(), lost: isLost() }
  },

  '200 ms each way, then all packets lost': (rig) => silence(rig, ['near', 'far'])
}

/** What is between the ends, where that is not just a wire. */
const WAYS = {
  'relay half-open': { isRelayed: true },
  '200 ms each way': { delayMs: 200 },
  '200 ms each way, then all packets lost': { delayMs: 200 }
}

/**
 * A tunnel to which a fault happens.
 *
 * @returns {Promise<object>} client, server: ms until it was noticed; recovered:
 *   ms until an echo came through again, from when it could; null: not asked;
 *   before, after: what was held
 */
async function happen (scope, name, limits) {
  const rig = new Rig(scope, limits)
  await rig.start(WAYS[name])
  const before = await rig.holdings()
  const result = await FAULTS[name](rig)
  const after = await rig.nothingLeft(before)
  return { ...result, promisedMs: rig.promisedMs, before, after }
}

module.exports = { FAULTS, LOST, OPENED, READY, Rig, happen }
