'use strict'

/**
 * What the status line of alknet connect says: state, server, open connections,
 * rate, round-trip time. What is least worth knowing goes first where the
 * terminal is narrow.
 */

const { printer } = require('../commands/shared')
const { paint } = require('./colours')
const { StatusLine, isCapable } = require('./status-line')

const SPIN_MS = 250 // while something is under way
const TICK_MS = 1000
const RTT_MS = 10_000

const BRAILLE = [...'\u280b\u2819\u2839\u2838\u283c\u2834\u2826\u2827\u2807\u280f']
const PLAIN = [...'|/-\\']
const COLOURS = { connecting: 'yellow', ready: 'green', lost: 'red', waiting: 'yellow', closing: 'dim', closed: 'dim' }

const UNITS = ['B', 'kB', 'MB', 'GB', 'TB']

/** 1234567 => '1.2 MB' */
function bytesText (n) {
  let unit = 0
  while (n >= 999.5 && unit < UNITS.length - 1) {
    n /= 1000
    unit++
  }
  return `${unit === 0 || n >= 99.5 ? Math.round(n) : n.toFixed(1)} ${UNITS[unit]}`
}

function isUtf8 ({ LC_ALL: all, LC_CTYPE: type, LANG: lang }) {
  return /utf-?8/i.test(all || type || lang || '')
}

/** How much came and went a second, since the last look. */
class Rate {
  constructor (now) {
    this._now = now
    this._last = null
  }

  next ({ bytesIn, bytesOut }) {
    const at = this._now()
    const last = this._last
    this._last = { at, bytesIn, bytesOut }
    if (last === null || at <= last.at) return null
    // A new session counts from the beginning.
    const perSecond = (value, before) => (value < before ? value : value - before) / ((at - last.at) / 1000)
    return { in: perSecond(bytesIn, last.bytesIn), out: perSecond(bytesOut, last.bytesOut) }
  }
}

class ClientLine {
  /** line: a StatusLine. server: text. now: () => ms, for tests. */
  constructor (line, server, { env = process.env, now = () => performance.now() } = {}) {
    this._line = line
    this._server = server
    this._env = env
    this._frames = isUtf8(env) ? BRAILLE : PLAIN
    this._frame = 0
    this._session = null
    this._rate = new Rate(now)
    this._rateText = ''
    this._rtt = ''
    this._isAsking = false
    this._now = now
    this._nextRate = 0
    this._nextRtt = 0
    this._timer = setInterval(() => this.tick(), SPIN_MS).unref()
    this.tick()
  }

  /** From here on it is the session that it tells of. */
  follow (session) {
    this._session = session
    session.on('state', () => this.tick())
    this.tick()
  }

  /** options of openSession(), with the log above the line, unless it goes elsewhere. */
  above (options) {
    if (options.log.write !== undefined) return options
    return { ...options, log: { ...options.log, write: (text) => this._line.print(process.stderr, text) } }
  }

  /** Lines for a person or a script, on stdout. */
  printer () {
    return (text) => this._line.print(process.stdout, text)
  }

  /** ask(name), with the terminal to itself. */
  asking (ask) {
    return async (name) => {
      this._line.pause()
      try {
        return await ask(name)
      } finally {
        this._line.resume()
      }
    }
  }

  close () {
    clearInterval(this._timer)
    this._line.close()
  }

  tick () {
    const state = this._session?.state ?? 'connecting'
    this._frame = (this._frame + 1) % this._frames.length
    if (state === 'ready') this._measure()
    const mark = state === 'ready' ? '' : `${this._frames[this._frame]} `
    const rest = this._rest(state)
    const word = `${mark}${state}`
    const text = `${word}${rest}`
    this._line.set(text, `${paint(process.stderr, COLOURS[state] ?? 'bold', word, this._env)}${rest}`)
  }

  /** Whatever fits behind the state. */
  _rest (state) {
    const parts = [this._session?.server ?? this._server]
    if (this._session !== null) parts.push(`${this._session.stats().channels} open`)
    if (state === 'ready') parts.push(this._rateText, this._rtt)
    const all = parts.filter((one) => one !== '')
    while (all.length > 1 && 14 + all.join('  ').length > this._line.width) all.pop()
    return all.map((one) => `  ${one}`).join('')
  }

  _measure () {
    const now = this._now()
    if (now >= this._nextRate) {
      this._nextRate = now + TICK_MS - SPIN_MS / 2
      const rate = this._rate.next(this._session.stats())
      this._rateText = rate === null ? '' : `in ${bytesText(rate.in)}/s  out ${bytesText(rate.out)}/s`
    }
    if (now >= this._nextRtt && !this._isAsking) {
      this._nextRtt = now + RTT_MS
      this._ask()
    }
  }

  async _ask () {
    this._isAsking = true
    try {
      this._rtt = `${Math.round(await this._session.rtt())} ms`
    } catch {
      this._rtt = '' // this engine cannot, or the session has just ended
    }
    this._isAsking = false
  }
}

// In the place of one, where there is none to be.
const NO_LINE = {
  follow () {},
  above: (options) => options,
  printer,
  asking: (ask) => ask,
  close () {}
}

/**
 * A status line on stderr, where that is a terminal and somebody wants one.
 * @param {object} about { server, format, isQuiet }
 */
function clientLine ({ server, format, isQuiet }) {
  if (isQuiet || format === 'json' || !isCapable(process.stderr)) return NO_LINE
  return new ClientLine(new StatusLine(process.stderr), server)
}

module.exports = { ClientLine, bytesText, clientLine }
