'use strict'

/** ClientHellos: of whoever connects, and made up. */

const { listenFor } = require('../../tools/ja4')
const { listen } = require('./net')

/**
 * A port on which the next ClientHello is looked at, and hung up on.
 * @param {Scope} scope
 * @returns {Promise<{ port: number, next: () => Promise<object> }>} next(): of
 *   parseClientHello(); ask before somebody connects
 */
async function helloServer (scope) {
  let heard = null
  const { port } = await listen(scope, (socket) => listenFor(socket, (hello) => heard.resolve(hello), (err) => heard.reject(err)))
  return { port, next: () => new Promise((resolve, reject) => { heard = { resolve, reject } }) }
}

const u16 = (...values) => Buffer.concat(values.map((value) => Buffer.from([value >> 8, value & 0xff])))
const list16 = (bytes) => Buffer.concat([u16(bytes.length), bytes])
const list8 = (bytes) => Buffer.concat([Buffer.from([bytes.length]), bytes])

/**
 * A ClientHello in records of a size.
 * @param {{ version: number, ciphers: number[], extensions: Array<[number, Buffer]> }} hello
 */
function makeHello ({ version, ciphers, extensions }, size = 1 << 14) {
  const body = Buffer.concat([
    u16(version), Buffer.alloc(32, 1), list8(Buffer.alloc(0)), list16(u16(...ciphers)), list8(Buffer.from([0])),
    list16(Buffer.concat(extensions.map(([type, data]) => Buffer.concat([u16(type), list16(data)]))))
  ])
  const message = Buffer.concat([Buffer.from([1, 0]), u16(body.length), body])
  const records = []
  for (let at = 0; at < message.length; at += size) records.push(Buffer.from([22, 3, 1]), list16(message.subarray(at, at + size)))
  return Buffer.concat(records)
}

module.exports = { helloServer, list16, list8, makeHello, u16 }
