'use strict'

const assert = require('assert')
const { once } = require('events')
const { Stream } = require('../lib/stream')
const { fail } = require('../lib/errors')
const { fakeStream } = require('./helpers/fake-binding')

function pair () {
  const handle = fakeStream('channel')
  return { handle, stream: new Stream(handle) }
}

function readAll (stream) {
  const chunks = []
  stream.on('data', (chunk) => chunks.push(chunk))
  return new Promise((resolve) => stream.on('end', () => resolve(Buffer.concat(chunks).toString())))
}

// events.once() would reject for the 'error' that comes before.
function closeOf (stream) {
  return new Promise((resolve) => stream.on('close', resolve))
}

describe('Stream', () => {
  it('reads what comes until the end, and writes on after it', async () => {
    const { handle, stream } = pair()
    const text = readAll(stream)
    handle.emit('ondata', Buffer.from('a'))
    handle.emit('ondata', Buffer.from('b'))
    handle.emit('onend')
    assert.strictEqual(await text, 'ab')
    assert(!stream.destroyed, 'half open')
    stream.write('c')
    assert.deepStrictEqual(handle.calls.filter(([name]) => name === 'write').map(([, chunk]) => String(chunk)), ['c'])
  })

  it('pauses the native side when nobody reads, and resumes it', () => {
    const { handle, stream } = pair()
    stream.read(0)
    assert.deepStrictEqual(handle.called, ['resume'])
    handle.emit('ondata', Buffer.alloc(stream.readableHighWaterMark))
    assert.deepStrictEqual(handle.called, ['resume', 'pause'])
    stream.read()
    assert.deepStrictEqual(handle.called, ['resume', 'pause', 'resume'])
  })

  it('waits for drain when the native side is full', () => {
    const { handle, stream } = pair()
    handle.answers.write = false
    const done = []
    stream.write('a', () => done.push('a'))
    stream.write('b', () => done.push('b'))
    assert.strictEqual(handle.called.filter((name) => name === 'write').length, 1)
    handle.emit('ondrain')
    assert.strictEqual(handle.called.filter((name) => name === 'write').length, 2)
  })

  it('finishes only when all has left', async () => {
    const { handle, stream } = pair()
    let finished = false
    stream.on('finish', () => { finished = true })
    stream.end('a')
    await new Promise(setImmediate)
    assert(handle.called.includes('end'))
    assert(!finished)
    handle.emit('ondrain')
    await once(stream, 'finish')
    assert(!handle.called.includes('close'), 'the other side is still open')
  })

  it('closes itself when both sides have ended', async () => {
    const { handle, stream } = pair()
    stream.resume()
    stream.end()
    handle.emit('onend')
    await new Promise(setImmediate)
    assert(!handle.called.includes('close'))
    handle.emit('ondrain')
    await new Promise(setImmediate)
    assert(handle.called.includes('close'))
    const closed = closeOf(stream)
    handle.emit('onclose', null)
    await closed
    assert.strictEqual(stream.errored, null)
  })

  it('calls every callback that waits when it is destroyed', async () => {
    const { handle, stream } = pair()
    handle.answers.write = false
    const errors = []
    stream.write('a', (err) => errors.push(err))
    stream.write('b', (err) => errors.push(err))
    stream.destroy()
    assert.deepStrictEqual(handle.called.at(-1), 'close')
    handle.emit('onclose', null)
    await closeOf(stream)
    await new Promise(setImmediate)
    assert.strictEqual(errors.length, 2)
    assert(errors.every(Boolean))
  })

  it('is destroyed by the error of the peer, and ends no process by it', async () => {
    const { handle, stream } = pair()
    let written
    handle.answers.write = false
    stream.write('a', (err) => { written = err })
    const err = fail('LOST', 'session', 'gone')
    handle.emit('onclose', err)
    await closeOf(stream)
    assert.strictEqual(stream.errored, err)
    assert.strictEqual(written, err)
    assert(!handle.called.includes('close'), 'it has closed already')
  })

  it('keeps what came before an orderly close', async () => {
    const { handle, stream } = pair()
    handle.emit('ondata', Buffer.from('last words'))
    handle.emit('onend')
    handle.emit('onclose', null)
    const closed = closeOf(stream)
    assert.strictEqual(await readAll(stream), 'last words')
    await closed
  })

  it('takes an orderly close without an end for the end', async () => {
    const { handle, stream } = pair()
    handle.emit('ondata', Buffer.from('last words'))
    handle.emit('onclose', null)
    assert.strictEqual(await readAll(stream), 'last words')
  })

  it('refuses to write after the close', async () => {
    const { handle, stream } = pair()
    handle.emit('onclose', null)
    const [err] = await new Promise((resolve) => stream.write('a', (...args) => resolve(args)))
    assert.strictEqual(err.code, 'ERR_ALKNET_CLOSED')
  })

  it('carries the native error of its own destruction', async () => {
    const { handle, stream } = pair()
    stream.destroy()
    const err = fail('LOST', 'session', 'gone')
    handle.emit('onclose', err)
    await closeOf(stream)
    assert.strictEqual(stream.errored, err)
  })
})
