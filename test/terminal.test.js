'use strict'

/** The status line: what it says, and what is on the screen after all that can happen. */

const assert = require('assert')
const { EventEmitter } = require('events')
const { ClientLine, bytesText } = require('../bin/terminal/client-line')
const { paint, wantsColour } = require('../bin/terminal/colours')
const { onHangUp } = require('../bin/terminal/hang-up')
const { StatusLine, isCapable, isForeground } = require('../bin/terminal/status-line')
const { Screen } = require('./helpers/screen')

const TTY = { isTTY: true }

/** A terminal: a screen that a stream writes to. */
class Terminal extends EventEmitter {
  constructor (columns = 80) {
    super()
    this.columns = columns
    this.isTTY = true
    this.screen = new Screen(columns)
    this.writes = 0
  }

  write (text) {
    this.writes++
    this.screen.write(text)
  }

  resize (columns) {
    this.screen.resize(columns)
    this.columns = columns
    this.emit('resize')
  }
}

describe('colours', () => {
  it('are there where they are wanted', () => {
    const xterm = { TERM: 'xterm' }
    const cases = [
      [TTY, xterm, true], [TTY, { TERM: 'dumb' }, false], [TTY, {}, false], [{}, xterm, false],
      [TTY, { ...xterm, NO_COLOR: '1' }, false], [TTY, { ...xterm, NO_COLOR: '' }, true],
      [{}, { FORCE_COLOR: '1' }, true], [TTY, { ...xterm, FORCE_COLOR: '0' }, false],
      [TTY, { ...xterm, FORCE_COLOR: '1', NO_COLOR: '1' }, true], [TTY, { TERM: 'dumb', FORCE_COLOR: '' }, false]
    ]
    for (const [stream, env, wanted] of cases) {
      assert.strictEqual(wantsColour(stream, env), wanted, JSON.stringify([stream, env]))
      assert.strictEqual(paint(stream, 'red', 'x', env), wanted ? '\x1b[31mx\x1b[0m' : 'x')
    }
  })
})

describe('status line', () => {
  function line (columns) {
    const terminal = new Terminal(columns)
    const status = new StatusLine(terminal, () => true)
    return { terminal, status, shows: (...rows) => assert.deepStrictEqual(terminal.screen.lines(), rows) }
  }

  it('is written in its place, and taken away', () => {
    const { terminal, status, shows } = line()
    status.set('connecting')
    shows('connecting')
    status.set('ready')
    shows('ready')
    status.set('ready')
    assert.strictEqual(terminal.writes, 2, 'the same is not written again')
    status.close()
    shows()
    status.set('more')
    status.close()
    shows()
    assert.strictEqual(terminal.listenerCount('resize'), 0)
  })

  it('is below whatever else is printed, and tears none of it', () => {
    const { terminal, status, shows } = line(20)
    status.set('ready')
    status.print(terminal, 'INFO one')
    status.print(terminal, 'a line that is longer than the terminal is wide')
    shows('INFO one', 'a line that is longe', 'r than the terminal', 'is wide', 'ready')
    status.set('x')
    status.close()
    shows('INFO one', 'a line that is longe', 'r than the terminal', 'is wide')
  })

  it('fits, whatever the terminal', () => {
    for (const columns of [200, 20, 5, 1]) {
      const { terminal, status } = line(columns)
      status.set('0123456789abcdef', '\x1b[32m0123456789abcdef\x1b[0m')
      assert(terminal.screen.rows.length === 1, `${columns} columns: in one row`)
      assert.strictEqual(terminal.screen.lines().join(''), '0123456789abcdef'.slice(0, columns - 1))
    }
    const { terminal, status } = line()
    terminal.columns = 0 // what some that are none say
    status.set('x'.repeat(200))
    assert.strictEqual(terminal.screen.lines()[0].length, 79)
  })

  it('survives a terminal that is made narrower and wider', () => {
    const { terminal, status, shows } = line(80)
    status.print(terminal, 'above')
    status.set('ready  example.com:2222  3 open')
    for (const columns of [20, 10, 7, 40, 80, 6, 80]) {
      terminal.resize(columns)
      assert.strictEqual(terminal.screen.rows.at(-1).trimEnd(), 'ready  example.com:2222  3 open'.slice(0, columns - 1).trimEnd())
    }
    status.close()
    shows('above')
  })

  it('makes way for a question', () => {
    const { terminal, status, shows } = line()
    status.set('connecting')
    status.pause()
    status.set('connecting more')
    terminal.write('Passphrase for key: ')
    shows('Passphrase for key:')
    terminal.write('\n')
    status.resume()
    shows('Passphrase for key:', 'connecting more')
    status.close()
  })

  it('is not drawn while another program has the terminal', () => {
    const terminal = new Terminal()
    let isOurs = false
    const status = new StatusLine(terminal, () => isOurs)
    status.set('ready')
    assert.deepStrictEqual(terminal.screen.lines(), [])
    isOurs = true
    status.set('ready')
    assert.deepStrictEqual(terminal.screen.lines(), ['ready'])
    status.close()
    assert.strictEqual(typeof isForeground(), 'boolean')
  })

  it('is only for terminals that understand it', () => {
    assert.strictEqual(isCapable(TTY, { TERM: 'xterm' }), true)
    for (const [stream, env] of [[TTY, { TERM: 'dumb' }], [TTY, {}], [{}, { TERM: 'xterm' }], [{ isTTY: false }, { TERM: 'xterm' }]]) {
      assert.strictEqual(isCapable(stream, env), false)
    }
  })
})

describe('status line of a client', () => {
  let now
  let terminal
  let client
  afterEach(() => client.close())

  function make (columns = 80, env = { TERM: 'xterm', NO_COLOR: '1' }) {
    now = 0
    terminal = new Terminal(columns)
    client = new ClientLine(new StatusLine(terminal, () => true), 'example.com:2222', { env, now: () => now })
  }

  const shown = () => terminal.screen.lines().join('|')

  class Session extends EventEmitter {
    constructor () {
      super()
      this.state = 'ready'
      this.asked = 0
      this.counts = { bytesIn: 0, bytesOut: 0, channels: 0 }
      this.rttMs = 12.4
    }

    stats () {
      return this.counts
    }

    async rtt () {
      this.asked++
      if (this.rttMs === null) throw new Error('cannot')
      return this.rttMs
    }
  }

  const settle = () => new Promise((resolve) => setImmediate(resolve))

  it('turns while it connects', () => {
    make()
    const seen = new Set()
    for (let i = 0; i < 8; i++) {
      seen.add(shown()[0])
      assert.match(shown(), /^[|/\\-] connecting {2}example\.com:2222$/)
      client.tick()
    }
    assert.strictEqual(seen.size, 4)
    client.close()
    make(80, { TERM: 'xterm', LANG: 'C.UTF-8', NO_COLOR: '1' })
    assert.match(shown(), /^[\u2800-\u28ff] connecting/)
  })

  it('tells state, server, connections, rate and round-trip time', async () => {
    make()
    const session = new Session()
    client.follow(session)
    assert.strictEqual(shown(), 'ready  example.com:2222  0 open')
    await settle()
    now = 1000
    session.counts = { bytesIn: 1_230_000, bytesOut: 999, channels: 3 }
    client.tick()
    assert.strictEqual(shown(), 'ready  example.com:2222  3 open  in 1.2 MB/s  out 999 B/s  12 ms')
    now = 3000
    client.tick()
    assert.strictEqual(shown(), 'ready  example.com:2222  3 open  in 0 B/s  out 0 B/s  12 ms')
    assert.strictEqual(session.asked, 1)
    session.rttMs = null
    now = 11_000
    client.tick()
    await settle()
    client.tick()
    assert.strictEqual(session.asked, 2)
    assert.doesNotMatch(shown(), / ms$/)
  })

  it('asks for no second time while it waits for one', async () => {
    make()
    const session = new Session()
    let answer
    session.rtt = () => { session.asked++; return new Promise((resolve) => { answer = resolve }) }
    client.follow(session)
    for (now of [11_000, 22_000, 33_000]) client.tick()
    assert.strictEqual(session.asked, 1)
    answer(7)
    await settle()
    client.tick()
    assert.match(shown(), / 7 ms$/)
  })

  it('tells the server of several that it is connected to', () => {
    make()
    const session = new Session()
    session.server = 'second.example:22'
    client.follow(session)
    assert.match(shown(), /^ready {2}second\.example:22 {2}0 open/)
  })

  it('tells of states as they come; a new session counts from the beginning', () => {
    make()
    const session = new Session()
    session.counts = { bytesIn: 1e9, bytesOut: 1e9, channels: 2 }
    client.follow(session)
    session.state = 'waiting'
    session.emit('state', 'waiting', 'lost')
    assert.match(shown(), /^[|/\\-] waiting {2}example\.com:2222 {2}2 open$/)
    session.state = 'ready'
    session.counts = { bytesIn: 5000, bytesOut: 0, channels: 0 }
    now = 1000
    client.tick()
    assert.match(shown(), /^ready {2}example\.com:2222 {2}0 open {2}in 5\.0 kB\/s {2}out 0 B\/s/)
  })

  it('leaves out what does not fit, the least important first', async () => {
    make()
    const session = new Session()
    client.follow(session)
    await settle()
    now = 1000
    client.tick()
    const all = shown()
    for (const columns of [70, 60, 45, 35, 25]) {
      terminal.resize(columns)
      client.tick()
      assert(shown().length < columns)
      assert(all.startsWith(shown()), shown())
      assert.match(shown(), /^ready {2}example/)
    }
  })

  it('writes nothing where nothing has changed', () => {
    make()
    client.follow(new Session())
    client.tick()
    const before = terminal.writes
    for (let i = 0; i < 100; i++) client.tick()
    assert.strictEqual(terminal.writes, before)
  })

  it('counts bytes as people do', () => {
    const cases = { 0: '0 B', 999: '999 B', 1000: '1.0 kB', 12_345: '12.3 kB', 99_499: '99.5 kB', 123_456: '123 kB', 999_600: '1.0 MB', 5e9: '5.0 GB', 1e15: '1000 TB' }
    for (const [n, text] of Object.entries(cases)) assert.strictEqual(bytesText(Number(n)), text)
  })
})

describe('a hang-up', () => {
  const released = []
  afterEach(() => { for (const release of released.splice(0)) release() })

  /** Heard signals, and a terminal at some descriptors; hasLooked(n): n looks at it later. */
  function watch (fds, { lookMs = 3_600_000 } = {}) {
    const world = { fds: new Set(fds), heard: [], looks: 0, waiting: null }
    const isTerminal = (fd) => {
      if (fd === fds[0] && --world.looks === 0) setImmediate(world.waiting)
      return world.fds.has(fd)
    }
    released.push(onHangUp({ asked: () => world.heard.push('asked'), left: () => world.heard.push('left') }, { isTerminal, lookMs }))
    world.hasLooked = (n) => new Promise((resolve) => Object.assign(world, { looks: n, waiting: resolve }))
    world.hears = (...words) => {
      process.emit('SIGHUP', 'SIGHUP')
      assert.deepStrictEqual(world.heard.splice(0), words)
    }
    return world
  }

  it('is one when the terminal is gone, and a question when it is there', () => {
    const world = watch([0, 2])
    world.hears('asked')
    world.fds.delete(2)
    world.hears('left')
    world.hears()
    released.pop()()
    world.hears() // not even then does a second one end the process
    process.removeAllListeners('SIGHUP')
  })

  it('is a question where there never was a terminal', () => {
    const world = watch([])
    world.hears('asked')
    world.hears('asked')
  })

  it('is a question to what has outlived its terminal', async () => {
    const world = watch([1], { lookMs: 1 })
    await world.hasLooked(3)
    world.hears('asked')
    world.fds.clear()
    await world.hasLooked(2)
    world.hears('asked')
    world.hears('asked')
  })

  it('is heard no more afterwards', () => {
    const before = process.listenerCount('SIGHUP')
    const release = onHangUp({ asked () {}, left () {} })
    assert.strictEqual(process.listenerCount('SIGHUP'), before + 1)
    release()
    assert.strictEqual(process.listenerCount('SIGHUP'), before)
  })
})
