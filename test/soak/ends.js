'use strict'

/** What is soaked: servers and clients as users run them, and what kills them. */

const net = require('node:net')
const { randomInt } = require('node:crypto')
const { once } = require('node:events')
const { setTimeout: sleep } = require('node:timers/promises')
const { connectArgs, startAlknet, startServe } = require('../helpers/alknet')

const LIMITS = ['--keepalive', '5', '--keepalive-max', '3']

/** A relay whose connections die all at once, as through a NAT that restarts. */
async function startCutter (scope, port) {
  const sockets = new Set()
  const server = net.createServer((near) => {
    const far = net.connect(port, '127.0.0.1')
    for (const [one, other] of [[near, far], [far, near]]) {
      sockets.add(one)
      one.on('error', () => {}).once('close', () => {
        sockets.delete(one)
        other.destroy()
      })
      one.pipe(other)
    }
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const cut = () => {
    for (const socket of sockets) socket.resetAndDestroy()
  }
  scope.defer(() => {
    server.close()
    cut()
  })
  return { port: server.address().port, cut }
}

/**
 * A server that is killed and started again at the same port, of an address
 * that it has for itself: at a common one somebody else could be given the port
 * meanwhile.
 */
class Phoenix {
  constructor (scope) {
    this._scope = scope
    this._host = `127.${randomInt(1, 255)}.${randomInt(256)}.${randomInt(1, 255)}`
    this.server = null // of startServe()
    this.kills = 0
  }

  async start () {
    const listen = [`${this._host}:${this.server?.port ?? 0}`]
    this.server = await startServe(this._scope, { listen, args: LIMITS })
  }

  async kill () {
    await this.server.proc.stop()
    this.kills++
    await sleep(200 + Math.random() * 800)
    await this.start()
  }
}

/**
 * `alknet connect` with a proxy, a forward and a remote forward to the echo at
 * port, over `through`: a port of this machine.
 *
 * @returns {Promise<{ proc: Proc, socks: number, local: number, remote: number }>}
 */
async function startClient (scope, server, through, port) {
  const at = { ...server, port: through, knownHosts: server.knownHosts.replaceAll(`:${server.port}`, `:${through}`) }
  const proc = startAlknet(scope, connectArgs(scope, at, {
    forwards: [`0:127.0.0.1:${port}`], args: ['-R', `127.0.0.1:0:127.0.0.1:${port}`, ...LIMITS]
  }))
  const portOf = async (what) => Number((await proc.waitFor(new RegExp(`^${what} on 127\\.0\\.0\\.1:(\\d+)`, 'm')))[1])
  return { proc, socks: await portOf('SOCKS5 proxy'), local: await portOf('forward'), remote: await portOf('remote forward') }
}

module.exports = { LIMITS, Phoenix, startClient, startCutter }
