'use strict'

/** The data types of SSH (RFC 4251 §5), written and read. */

function u32 (...numbers) {
  const out = Buffer.alloc(4 * numbers.length)
  numbers.forEach((n, i) => out.writeUInt32BE(n, 4 * i))
  return out
}

function u8 (...numbers) {
  return Buffer.from(numbers)
}

function string (value) {
  const bytes = Buffer.from(value)
  return Buffer.concat([u32(bytes.length), bytes])
}

/** The mpint of a big-endian number that is not negative. */
function mpint (bytes) {
  let at = 0
  while (at < bytes.length && bytes[at] === 0) at++
  const digits = bytes.subarray(at)
  return string(digits.length > 0 && digits[0] & 0x80 ? Buffer.concat([u8(0), digits]) : digits)
}

/** A message: its number, then its fields, each a Buffer. */
function message (number, ...fields) {
  return Buffer.concat([u8(number), ...fields])
}

/** Reads fields one after the other, and throws where they are not there. */
class Reader {
  constructor (bytes) {
    this._bytes = bytes
    this._at = 0
  }

  bytes (n) {
    if (this._at + n > this._bytes.length) throw new Error(`${n} bytes wanted, ${this._bytes.length - this._at} left`)
    this._at += n
    return this._bytes.subarray(this._at - n, this._at)
  }

  u8 () { return this.bytes(1)[0] }
  bool () { return this.u8() !== 0 }
  u32 () { return this.bytes(4).readUInt32BE() }
  string () { return this.bytes(this.u32()) }
  text () { return this.string().toString() }
  rest () { return this.bytes(this._bytes.length - this._at) }
}

module.exports = { u8, u32, string, mpint, message, Reader }
