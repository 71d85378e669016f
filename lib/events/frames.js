'use strict'

/**
 * Frames on a byte stream. Pure.
 *
 *   u32 length, big endian, without itself
 *   { "type": text, "id": text, "payload": any }   UTF-8 JSON
 *
 * The peer is hostile: its length is compared with a limit before anything is
 * kept for it, and what is kept grows with what has come, not with what was
 * announced. Its brackets are counted before they are parsed, since much that
 * a program does with a value takes stack for each of its levels.
 */

const { isUtf8 } = require('buffer')
const { fail, optionError } = require('../errors')
const { isReserved, topicProblem } = require('./topics')

const HEADER = 4
const MAX_ID = 1024
const NOTHING = Buffer.alloc(0)

const QUOTE = 0x22
const BACKSLASH = 0x5c
const OPENS = 0x7b // { and, with the bit of lower case, [
const CLOSES = 0x7d
const CASE = 0x20

/** Whether JSON text, as bytes, nests deeper than max. */
function isDeeper (body, max) {
  let depth = 0
  let isText = false
  for (let i = 0; i < body.length; i++) {
    const byte = body[i]
    if (isText) {
      if (byte === BACKSLASH) i++
      else if (byte === QUOTE) isText = false
    } else if (byte === QUOTE) {
      isText = true
    } else if ((byte | CASE) === OPENS) {
      if (++depth > max) return true
    } else if ((byte | CASE) === CLOSES) {
      depth--
    }
  }
  return false
}

function malformed (what) {
  return fail('PROTO', 'events', `a frame ${what}`)
}

function tooMuch (message) {
  return fail('LIMIT', 'events', message)
}

/** The bytes of a frame => { type, id, payload }, frozen; or it throws. */
function parseBody (body, { maxDepth, maxTopic }) {
  if (!isUtf8(body)) throw malformed('is not UTF-8')
  if (isDeeper(body, maxDepth)) throw tooMuch(`a frame nests deeper than ${maxDepth} levels (maxDepth)`)
  let value
  try {
    value = JSON.parse(body.toString())
  } catch {
    throw malformed('is not JSON') // without the cause, which quotes it
  }
  if (value === null || typeof value !== 'object' || Array.isArray(value)) throw malformed('is not an object')
  const { type, id, payload = null } = value
  const problem = topicProblem(type, maxTopic)
  if (problem !== null) throw malformed(`has a type that ${problem}`)
  if (typeof id !== 'string' || id.length > MAX_ID) throw malformed(`has no id that is text of at most ${MAX_ID} characters`)
  return Object.freeze({ type, id, payload })
}

/** Cuts what comes into events. */
class FrameReader {
  /** limits: { maxFrame, maxDepth, maxTopic } */
  constructor (limits) {
    this._limits = limits
    this._chunk = NOTHING // what came last
    this._at = 0 // how far it is read
    this._begun = NOTHING // a frame that came in several chunks
    this._have = 0 // how much of it is here
    /** Bytes of the frame that read() gave last. */
    this.size = 0
  }

  /** Takes bytes; only when read() has nothing more. */
  push (chunk) {
    this._chunk = chunk
    this._at = 0
  }

  /** The next event, or null. Throws once for what is no frame; it is of no use then. */
  read () {
    const body = this._body()
    if (body === null) return null
    this.size = body.length
    return parseBody(body, this._limits)
  }

  /** Whether the stream must not end here. */
  get isInside () {
    return this._have > 0 || this._at < this._chunk.length
  }

  /** How many bytes are kept for a frame that is not complete. */
  get kept () {
    return this._begun.length
  }

  _body () {
    const left = this._chunk.length - this._at
    if (this._have > 0 || left < HEADER) return this._collect()
    const length = this._lengthOf(this._chunk, this._at)
    if (left < HEADER + length) return this._collect()
    const start = this._at + HEADER
    this._at = start + length
    return this._chunk.subarray(start, this._at)
  }

  _collect () {
    if (this._have < HEADER && !this._fill(HEADER)) return null
    const whole = HEADER + this._lengthOf(this._begun, 0)
    if (!this._fill(whole)) return null
    const body = this._begun.subarray(HEADER, whole)
    this._begun = NOTHING
    this._have = 0
    return body
  }

  /** Takes bytes until there are so many; false: they have not come yet. */
  _fill (wanted) {
    const n = Math.min(wanted - this._have, this._chunk.length - this._at)
    const have = this._have + n
    if (have > this._begun.length) {
      const grown = Buffer.allocUnsafeSlow(Math.min(Math.max(have, 2 * this._begun.length), HEADER + this._limits.maxFrame))
      this._begun.copy(grown, 0, 0, this._have)
      this._begun = grown
    }
    this._chunk.copy(this._begun, this._have, this._at, this._at + n)
    this._at += n
    this._have = have
    return have === wanted
  }

  _lengthOf (buffer, at) {
    const length = buffer.readUInt32BE(at)
    if (length > this._limits.maxFrame) throw tooMuch(`a frame of ${length} bytes is longer than ${this._limits.maxFrame} (maxFrame)`)
    return length
  }
}

/** JSON of a payload, or it throws ERR_ALKNET_OPTION. */
function stringify (event) {
  const payload = event.payload instanceof Uint8Array
    ? Buffer.from(event.payload.buffer, event.payload.byteOffset, event.payload.byteLength).toString('base64')
    : event.payload
  let json
  try {
    json = JSON.stringify({ type: event.type, id: event.id, payload: payload ?? null })
  } catch (err) {
    throw optionError('payload', 'cannot be written as JSON', err)
  }
  return json
}

/**
 * A frame of what is an event already. Throws ERR_ALKNET_LIMIT when it is
 * larger or deeper than the limits, ERR_ALKNET_OPTION when it is no JSON.
 */
function encodeFrame (event, { maxFrame, maxDepth }) {
  const json = stringify(event)
  const length = Buffer.byteLength(json)
  if (length > maxFrame) throw tooMuch(`the event has ${length} bytes, more than ${maxFrame} (maxFrame)`)
  const frame = Buffer.allocUnsafeSlow(HEADER + length)
  frame.writeUInt32BE(length)
  frame.write(json, HEADER)
  if (isDeeper(frame.subarray(HEADER), maxDepth)) throw tooMuch(`the event nests deeper than ${maxDepth} levels (maxDepth)`)
  return frame
}

/** What a user wants to send => { type, id, payload }; throws ERR_ALKNET_OPTION. */
function checkEvent (event, { maxTopic }) {
  if (event === null || typeof event !== 'object') throw optionError('event', 'must be an object { type, id, payload }')
  const { type, id = '', payload = event instanceof Event ? event.detail : null } = event
  const problem = topicProblem(type, maxTopic)
  if (problem !== null) throw optionError('type', problem)
  if (isReserved(type)) throw optionError('type', 'begins with __: such names are alknet\'s own')
  if (typeof id !== 'string' || id.length > MAX_ID) throw optionError('id', `must be text of at most ${MAX_ID} characters`)
  if (typeof payload === 'function' || typeof payload === 'symbol') throw optionError('payload', 'cannot be written as JSON')
  return { type, id, payload }
}

module.exports = { FrameReader, checkEvent, encodeFrame }
