#!/usr/bin/env node
'use strict'

/**
 * node tools/ja4.js [FILE]
 * node tools/ja4.js --listen [ADDR:]PORT
 *
 * JA3 and JA4 of a TLS ClientHello: of the bytes in FILE or on stdin, as they
 * stand on the wire; or of whoever connects to PORT (0: any), and is hung up on.
 * JA4 as FoxIO describes it, JA3 as Salesforce did; GREASE (RFC 8701) counts in
 * neither.
 */

const { createHash } = require('crypto')
const fs = require('fs')
const net = require('net')

const HANDSHAKE = 22
const CLIENT_HELLO = 1
const MAX_HELLO = 64 * 1024

const SNI = 0
const GROUPS = 10
const POINT_FORMATS = 11
const SIGNATURES = 13
const ALPN = 16
const VERSIONS = 43
const KEY_SHARE = 51

/** Reads numbers and lists, and throws where there is less than they say. */
class Reader {
  constructor (bytes) {
    this._bytes = bytes
    this._at = 0
  }

  get isEmpty () {
    return this._at === this._bytes.length
  }

  take (length) {
    if (this._at + length > this._bytes.length) throw new Error('a ClientHello that is cut short')
    this._at += length
    return this._bytes.subarray(this._at - length, this._at)
  }

  number (bytes) {
    return this.take(bytes).readUIntBE(0, bytes)
  }

  /** What stands behind its own length, of so many bytes. */
  list (bytes) {
    return this.take(this.number(bytes))
  }
}

/** The numbers of two bytes in a list. */
function numbers (bytes) {
  const reader = new Reader(bytes)
  const out = []
  while (!reader.isEmpty) out.push(reader.number(2))
  return out
}

const isGrease = (value) => (value & 0x0f0f) === 0x0a0a && value >> 8 === (value & 0xff)
const plain = (values) => values.filter((one) => !isGrease(one))

/** The first handshake message in records; null: it is not all there yet. */
function firstMessage (bytes) {
  let message = Buffer.alloc(0)
  for (let at = 0; at + 5 <= bytes.length;) {
    if (bytes[at] !== HANDSHAKE) throw new Error('not a TLS handshake')
    const end = at + 5 + bytes.readUInt16BE(at + 3)
    if (end > bytes.length) return null
    message = Buffer.concat([message, bytes.subarray(at + 5, end)])
    if (message.length >= 4 && message.length >= 4 + message.readUIntBE(1, 3)) return message.subarray(0, 4 + message.readUIntBE(1, 3))
    at = end
  }
  return null
}

/**
 * A ClientHello as it stands on the wire.
 * @param {Buffer} bytes records; what follows the ClientHello is not looked at
 * @returns {object|null} null: more has to come. { bytes: the message, version,
 *   ciphers, extensions: [{ type, data }], alpn, servername, hidden }; hidden:
 *   [begin, end] of what is random in the message
 */
function parseClientHello (bytes) {
  const message = firstMessage(bytes)
  if (message === null) {
    if (bytes.length > MAX_HELLO) throw new Error('no ClientHello is as long')
    return null
  }
  if (message[0] !== CLIENT_HELLO) throw new Error('not a ClientHello')
  const reader = new Reader(message.subarray(4))
  const version = reader.number(2)
  const hidden = [span(message, reader.take(32)), span(message, reader.list(1))]
  const ciphers = numbers(reader.list(2))
  reader.list(1) // compressions
  const extensions = []
  const rest = reader.isEmpty ? reader : new Reader(reader.list(2))
  while (!rest.isEmpty) extensions.push({ type: rest.number(2), data: rest.list(2) })
  const dataOf = (type) => extensions.find((one) => one.type === type)?.data ?? null
  hidden.push(...shares(dataOf(KEY_SHARE)).map((one) => span(message, one)))
  return { bytes: message, version, ciphers, extensions, dataOf, hidden, alpn: protocols(dataOf(ALPN)), servername: nameIn(dataOf(SNI)) }
}

/** Where a part of a message stands in it. */
function span (message, part) {
  const begin = part.byteOffset - message.byteOffset
  return [begin, begin + part.length]
}

function shares (data) {
  const out = []
  const reader = new Reader(data === null ? Buffer.alloc(0) : new Reader(data).list(2))
  while (!reader.isEmpty) {
    reader.number(2) // the group
    out.push(reader.list(2))
  }
  return out
}

function protocols (data) {
  const out = []
  const reader = new Reader(data === null ? Buffer.alloc(0) : new Reader(data).list(2))
  while (!reader.isEmpty) out.push(reader.list(1).toString('latin1'))
  return out
}

function nameIn (data) {
  if (data === null || data.length === 0) return null
  const reader = new Reader(new Reader(data).list(2))
  return reader.number(1) === 0 ? reader.list(2).toString('latin1') : null
}

/** What a hello says of whoever sent it: the message without what is random. */
function lasting (hello) {
  const bytes = Buffer.from(hello.bytes)
  for (const [begin, end] of hello.hidden) bytes.fill(0, begin, end)
  return bytes.toString('hex')
}

const hex = (value) => value.toString(16).padStart(4, '0')
const short = (text) => text === '' ? '000000000000' : createHash('sha256').update(text).digest('hex').slice(0, 12)
const twoDigits = (count) => String(Math.min(count, 99)).padStart(2, '0')

const NAMES = { 0x0304: '13', 0x0303: '12', 0x0302: '11', 0x0301: '10', 0x0300: 's3', 0x0002: 's2' }

function versionName ({ version, dataOf }) {
  const offered = dataOf(VERSIONS)
  const highest = offered === null ? version : Math.max(...plain(numbers(new Reader(offered).list(1))))
  return NAMES[highest] ?? '00'
}

/** The first and the last character of the first protocol. */
function alpnMark ([first]) {
  if (first === undefined || first === '') return '00'
  const ends = first[0] + first.at(-1)
  if (/^[0-9A-Za-z]{2}$/.test(ends)) return ends
  const digits = Buffer.from(first, 'latin1').toString('hex')
  return digits[0] + digits.at(-1)
}

/** { ja4, ja4r }: the fingerprint, and what its two sums are of. */
function ja4 (hello) {
  const ciphers = plain(hello.ciphers).map(hex).sort()
  const types = plain(hello.extensions.map((one) => one.type))
  const others = types.filter((type) => type !== SNI && type !== ALPN).map(hex).sort()
  const signed = hello.dataOf(SIGNATURES)
  const signatures = signed === null ? [] : plain(numbers(new Reader(signed).list(2))).map(hex)
  const head = `t${versionName(hello)}${types.includes(SNI) ? 'd' : 'i'}${twoDigits(ciphers.length)}${twoDigits(types.length)}${alpnMark(hello.alpn)}`
  const tail = [others.join(','), ...signatures.length > 0 ? [signatures.join(',')] : []].join('_')
  return { ja4: `${head}_${short(ciphers.join(','))}_${short(tail)}`, ja4r: `${head}_${ciphers.join(',')}_${tail}` }
}

/** { ja3, full }: the sum, and what it is of. */
function ja3 (hello) {
  const groups = hello.dataOf(GROUPS)
  const formats = hello.dataOf(POINT_FORMATS)
  const full = [
    hello.version,
    plain(hello.ciphers).join('-'),
    plain(hello.extensions.map((one) => one.type)).join('-'),
    groups === null ? '' : plain(numbers(new Reader(groups).list(2))).join('-'),
    formats === null ? '' : [...new Reader(formats).list(1)].join('-')
  ].join(',')
  return { ja3: createHash('md5').update(full).digest('hex'), full }
}

function report (hello) {
  const [four, three] = [ja4(hello), ja3(hello)]
  console.log(`ja4   ${four.ja4}\nja4_r ${four.ja4r}\nja3   ${three.ja3}\n      ${three.full}\nalpn  ${hello.alpn.join(',') || 'none'}\nbytes ${hello.bytes.length}`)
}

/** hello comes of the first bytes on a socket: onHello(hello), or onError(err). */
function listenFor (socket, onHello, onError) {
  let bytes = Buffer.alloc(0)
  socket.on('error', onError).on('data', (chunk) => {
    bytes = Buffer.concat([bytes, chunk])
    try {
      const hello = parseClientHello(bytes)
      if (hello === null) return
      socket.destroy()
      onHello(hello)
    } catch (err) {
      socket.destroy()
      onError(err)
    }
  })
}

function main ([first, place]) {
  if (first !== '--listen') {
    const hello = parseClientHello(fs.readFileSync(first ?? 0))
    if (hello === null) throw new Error('a ClientHello that is cut short')
    return report(hello)
  }
  const [, host = '127.0.0.1', port] = /^(?:(.*):)?(\d+)$/.exec(place ?? '') ?? [null, '127.0.0.1', '0']
  const server = net.createServer((socket) => listenFor(socket, report, (err) => console.error(err.message)))
  server.listen(Number(port), host, () => console.log(`listening on ${host}:${server.address().port}`))
}

if (require.main === module) {
  try {
    main(process.argv.slice(2))
  } catch (err) {
    console.error(`ja4: ${err.message}`)
    process.exitCode = 1
  }
}

module.exports = { ja3, ja4, lasting, listenFor, parseClientHello }
