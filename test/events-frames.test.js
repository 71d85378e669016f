'use strict'

const assert = require('assert')
const { AlknetError } = require('../lib/errors')
const { FrameReader, checkEvent, encodeFrame } = require('../lib/events/frames')
const { frame } = require('./helpers/events')
const { createRandom, seed } = require('./helpers/random')

const LIMITS = { maxFrame: 16384, maxDepth: 64, maxTopic: 255 }
const event = (type = 'a', id = '', payload = null) => ({ type, id, payload })

/** All events of the chunks, as a reader gives them. */
function readAll (chunks, limits = LIMITS) {
  const reader = new FrameReader(limits)
  const events = []
  for (const chunk of chunks) {
    reader.push(chunk)
    for (let one = reader.read(); one !== null; one = reader.read()) events.push(one)
  }
  assert(!reader.isInside)
  return events
}

function codeOf (bytes, limits = LIMITS) {
  try {
    readAll([bytes], limits)
  } catch (err) {
    assert(err instanceof AlknetError, err.stack)
    assert.strictEqual(err.stage, 'events')
    assert(!err.message.includes('SECRET'), 'no word of the peer in the message')
    assert.strictEqual(err.cause, undefined)
    return err.code
  }
  return null
}

/** An event that JSON can carry: any text, numbers and nesting. */
function randomEvent ({ below, pick }) {
  const text = () => Array.from({ length: below(12) }, () => pick(['a', '"', '\\', '[', '{', '}', ']', 'é', '€', '😀', '\u2028', '\n', '\0'])).join('')
  const value = (depth) => {
    const kind = below(depth > 4 ? 4 : 6)
    if (kind < 4) return [null, below(1e6), text(), below(2) === 1][kind]
    if (kind === 4) return Array.from({ length: below(4) }, () => value(depth + 1))
    return Object.fromEntries(Array.from({ length: below(4) }, () => [text(), value(depth + 1)]))
  }
  return event(pick(['a', 'orders.created', '__x', 'é.😀']), text(), value(0))
}

function cut ({ below }, bytes) {
  const chunks = []
  for (let at = 0; at < bytes.length;) {
    const n = 1 + below(below(3) === 0 ? 200 : 6)
    chunks.push(bytes.subarray(at, at + n))
    at += n
  }
  return chunks
}

describe('Frames of events', () => {
  it('are a length of four bytes and JSON', () => {
    const bytes = encodeFrame(event('orders.created', '7', { é: 1 }), LIMITS)
    assert.strictEqual(bytes.subarray(0, 4).toString('hex'), '00000035')
    assert.strictEqual(bytes.subarray(4).toString(), '{"type":"orders.created","id":"7","payload":{"é":1}}')
    assert.strictEqual(bytes.length, 4 + 0x35)
    assert.deepStrictEqual(readAll([bytes]), [event('orders.created', '7', { é: 1 })])
  })

  it('are read wherever they are cut', () => {
    const events = [event(), event('b', 'x', ['é', { c: 1 }]), event('c.d')]
    const bytes = Buffer.concat(events.map((one) => encodeFrame(one, LIMITS)))
    for (let size = 1; size <= bytes.length; size++) {
      const chunks = []
      for (let at = 0; at < bytes.length; at += size) chunks.push(bytes.subarray(at, at + size))
      assert.deepStrictEqual(readAll(chunks), events, `pieces of ${size}`)
    }
  })

  it(`are read however random events are cut (ALKNET_SEED=${seed})`, () => {
    const random = createRandom()
    for (let round = 0; round < 300; round++) {
      const events = Array.from({ length: 1 + random.below(8) }, () => randomEvent(random))
      const bytes = Buffer.concat(events.map((one) => encodeFrame(one, LIMITS)))
      assert.deepStrictEqual(readAll(cut(random, bytes)), events, `round ${round}`)
    }
  })

  it(`never do more than be refused when they are torn (ALKNET_SEED=${seed})`, () => {
    const random = createRandom(seed + 1)
    const seen = new Set()
    for (let round = 0; round < 3000; round++) {
      const bytes = Buffer.concat(Array.from({ length: 1 + random.below(3) }, () => encodeFrame(randomEvent(random), LIMITS)))
      for (let n = 1 + random.below(4); n > 0; n--) bytes[random.below(random.pick([5, bytes.length]))] = random.below(256)
      const reader = new FrameReader(LIMITS)
      try {
        for (const chunk of cut(random, bytes)) {
          reader.push(chunk)
          for (let one = reader.read(); one !== null; one = reader.read()) {
            assert.deepStrictEqual(Object.keys(one), ['type', 'id', 'payload'])
            assert.deepStrictEqual([typeof one.type, typeof one.id], ['string', 'string'])
          }
          assert(reader.kept <= 2 * bytes.length)
        }
      } catch (err) {
        assert(err instanceof AlknetError, err.stack)
        seen.add(err.code)
      }
    }
    assert.deepStrictEqual([...seen].sort(), ['ERR_ALKNET_LIMIT', 'ERR_ALKNET_PROTO'])
  })

  it('with a length above the limit are refused before anything is kept', () => {
    for (const length of [LIMITS.maxFrame + 1, 0x7fffffff, 0x80000000, 0xffffffff]) {
      const header = Buffer.alloc(4)
      header.writeUInt32BE(length)
      for (const chunks of [[header], [...header].map((byte) => Buffer.from([byte]))]) {
        const reader = new FrameReader(LIMITS)
        assert.throws(() => {
          for (const chunk of chunks) {
            reader.push(chunk)
            reader.read()
          }
        }, { code: 'ERR_ALKNET_LIMIT', message: /maxFrame/ })
        assert(reader.kept <= 4, `${length}: ${reader.kept} bytes kept`)
      }
    }
  })

  it('of the limit itself are read, and kept as they come', () => {
    const limits = { ...LIMITS, maxFrame: 1024 ** 2 }
    const bytes = frame(JSON.stringify(event('a', '', '')).replace('""}', `"${'x'.repeat(1024 ** 2 - JSON.stringify(event('a', '', '')).length)}"}`))
    assert.strictEqual(bytes.readUInt32BE(), 1024 ** 2)
    const reader = new FrameReader(limits)
    for (let at = 0; at < bytes.length; at += 1000) {
      assert.strictEqual(reader.read(), null)
      reader.push(bytes.subarray(at, at + 1000))
      if (at + 1000 < bytes.length) assert.strictEqual(reader.read(), null)
      assert(reader.kept <= 2 * (at + 1000), `${reader.kept} bytes kept for ${at + 1000}`)
    }
    assert.strictEqual(reader.read().type, 'a')
    assert.strictEqual(reader.kept, 0)
  })

  const wrong = {
    'nothing at all': '',
    'no JSON': '{"type":"SECRET"',
    'two values': '{"type":"a","id":""}{}',
    'a byte order mark': '\ufeff{"type":"a","id":""}',
    'bad UTF-8': Buffer.from([...Buffer.from('{"type":"a","id":"'), 0xc3, 0x28, ...Buffer.from('"}')]),
    'half a surrogate in UTF-8': Buffer.from([...Buffer.from('{"type":"a","id":"'), 0xed, 0xa0, 0x80, ...Buffer.from('"}')]),
    'an array': '["a"]',
    null: 'null',
    'a number': '7',
    text: '"a"',
    'no type': { id: '' },
    'a type that is a number': { type: 1, id: '' },
    'an empty type': { type: '', id: '' },
    'a type with an empty word': { type: 'a..b', id: '' },
    'a type with a space': { type: 'a b', id: '' },
    'a type with a wildcard': { type: 'a.*', id: '' },
    'a type with a control character': { type: 'a\u0007', id: '' },
    'a type with half a surrogate': '{"type":"\\ud800","id":""}',
    'a long type': { type: 'a'.repeat(256), id: '' },
    'a type of many words': { type: Array(17).fill('a').join('.'), id: '' },
    'no id': { type: 'a' },
    'an id that is a number': { type: 'a', id: 1 },
    'an id that is null': { type: 'a', id: null },
    'a long id': { type: 'a', id: 'x'.repeat(1025) }
  }
  for (const [what, body] of Object.entries(wrong)) {
    it(`with ${what} are malformed`, () => assert.strictEqual(codeOf(frame(body)), 'ERR_ALKNET_PROTO'))
  }

  it('are refused when they nest too deeply, counting no bracket in text', () => {
    const nested = (n) => frame(`{"type":"a","id":"","payload":${'['.repeat(n - 1)}${']'.repeat(n - 1)}}`)
    assert.strictEqual(codeOf(nested(64)), null)
    assert.strictEqual(codeOf(nested(65)), 'ERR_ALKNET_LIMIT')
    assert.strictEqual(codeOf(frame('{"a":'.repeat(1000))), 'ERR_ALKNET_LIMIT')
    assert.strictEqual(codeOf(frame(event('a', '', '[{'.repeat(100)))), null)
    assert.strictEqual(codeOf(frame(event('a', '', '\\"[{'.repeat(100)))), null)
    assert.strictEqual(codeOf(frame(event('a', '', Array(100).fill([])))), null, 'beside each other is not inside each other')
  })

  it('take no other keys, and null for a payload that is missing', () => {
    assert.deepStrictEqual(readAll([frame({ more: 1, id: '', type: 'a' })]), [event()])
    const [one] = readAll([frame('{"type":"a","id":"","__proto__":{"x":1},"payload":{"__proto__":{"polluted":1}}}')])
    assert.strictEqual({}.polluted, undefined)
    assert.strictEqual(one.x, undefined)
    assert(Object.isFrozen(one))
  })

  it('are not made of what does not fit', () => {
    const circle = {}
    circle.circle = circle
    for (const payload of [circle, 1n]) assert.throws(() => encodeFrame(event('a', '', payload), LIMITS), { code: 'ERR_ALKNET_OPTION', option: 'payload' })
    assert.throws(() => encodeFrame(event('a', '', 'x'.repeat(16384)), LIMITS), { code: 'ERR_ALKNET_LIMIT', message: /maxFrame/ })
    let deep = null
    for (let i = 0; i < 64; i++) deep = [deep]
    assert.throws(() => encodeFrame(event('a', '', deep), LIMITS), { code: 'ERR_ALKNET_LIMIT', message: /maxDepth/ })
    for (let i = 0; i < 1e5; i++) deep = [deep]
    // Too deep for JSON.stringify(), or, where its stack has no end (Node 26), for us.
    assert.throws(() => encodeFrame(event('a', '', deep), LIMITS), ({ code }) => ['ERR_ALKNET_OPTION', 'ERR_ALKNET_LIMIT'].includes(code))
  })

  it('carry bytes as base64', () => {
    for (const bytes of [Buffer.from('abc'), new Uint8Array([0, 97, 98, 99]).subarray(1)]) {
      assert.deepStrictEqual(readAll([encodeFrame(event('a', '', bytes), LIMITS)]), [event('a', '', 'YWJj')])
    }
  })

  it('are made of events, or an error says what is wrong', () => {
    assert.deepStrictEqual(checkEvent({ type: 'a.b' }, LIMITS), event('a.b'))
    assert.deepStrictEqual(checkEvent(new CustomEvent('a', { detail: 5 }), LIMITS), event('a', '', 5))
    const bad = [[null, 'event'], ['a', 'event'], [{}, 'type'], [{ type: 'a.*' }, 'type'], [{ type: '__subscribe' }, 'type'], [{ type: 'a'.repeat(256) }, 'type'],
      [{ type: 'a', id: 1 }, 'id'], [{ type: 'a', id: 'x'.repeat(1025) }, 'id'], [{ type: 'a', payload () {} }, 'payload'], [{ type: 'a', payload: Symbol('x') }, 'payload']]
    for (const [value, option] of bad) assert.throws(() => checkEvent(value, LIMITS), { code: 'ERR_ALKNET_OPTION', option })
  })
})
