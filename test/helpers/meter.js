'use strict'

/**
 * A relay before an SSH server that changes nothing and counts packets: the
 * lengths of AES-GCM packets are not encrypted (RFC 5647 §7.3). So a test sees
 * how often the keys were changed between any two peers.
 */

const net = require('node:net')
const { knownHostsLine } = require('./keys')
const { listen } = require('./net')

/** To be negotiated, with an Ed25519 host key, for the packets to be told apart. */
const METERED = { cipher: 'aes128-gcm@openssh.com', kex: 'curve25519-sha256' }

const NEWKEYS = 21
const TAG = 16

/**
 * The size of the server's reply in an exchange (RFC 5656 §4): the number, the
 * host key, a point, the signature, the padding and its length. Data comes in
 * another size, or so seldom in this one that it does not count.
 */
const REPLY = Math.ceil((1 + 1 + 4 + 51 + 4 + 32 + 4 + 83 + 4) / 16) * 16

/** Feeds on one direction's bytes; tells the size of each packet after the first keys. */
function packetSizes (onSize) {
  let rest = Buffer.alloc(0)
  let skip = 0
  let isLine = true
  let isSealed = false
  return (chunk) => {
    if (skip >= chunk.length) {
      skip -= chunk.length
      return
    }
    rest = Buffer.concat([rest, chunk.subarray(skip)])
    skip = 0
    if (isLine) {
      const end = rest.indexOf('\n')
      if (end < 0) return
      rest = rest.subarray(end + 1)
      isLine = false
    }
    while (rest.length >= 6) {
      const length = rest.readUInt32BE(0)
      const whole = 4 + length + (isSealed ? TAG : 0)
      if (isSealed) onSize(length)
      else if (rest.length < whole) return
      if (!isSealed && rest[5] === NEWKEYS) isSealed = true
      skip = Math.max(0, whole - rest.length)
      rest = rest.subarray(whole)
    }
  }
}

/**
 * Puts the relay before a server. `exchanges` counts the changes of keys, but
 * for the first.
 *
 * @param {Scope} scope
 * @param {{ host: string, port: number, hostKeys: object[] }} server
 * @returns {Promise<object>} like the server, with another port
 */
async function metered (scope, server) {
  const state = { ...server, exchanges: 0 }
  const relay = await listen(scope, (client) => {
    const far = net.connect(server.port, server.host)
    far.setNoDelay(true)
    client.setNoDelay(true)
    scope.defer(() => { far.destroy() })
    far.on('error', () => {})
    far.on('close', () => client.destroy())
    client.on('close', () => far.destroy())
    far.on('data', packetSizes((size) => { if (size === REPLY) state.exchanges++ }))
    client.pipe(far)
    far.pipe(client)
  })
  state.port = relay.port
  state.knownHosts = knownHostsLine('127.0.0.1', relay.port, server.hostKeys[0])
  return state
}

module.exports = { metered, METERED }
