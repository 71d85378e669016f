'use strict'

/** The way to a server, step by step: its name, a connection, SSH, a login. */

const dns = require('dns')
const net = require('net')
const binding = require('../binding')
const { formatHostPort, printable } = require('../addresses')
const { dialHost } = require('../dial')
const { within } = require('../within')
const { failed, failure, ok, warn } = require('./findings')

const BANNER_MS = 10_000
const MAX_BANNER = 255
const PATIENCE_MS = 3000 // with a login, before somebody looks at what answers
const MAX_ADDRESSES = 8 // that are named

function lookUp (host) {
  return new Promise((resolve, reject) => {
    dns.lookup(host, { all: true }, (err, found) => err ? reject(err) : resolve(found))
  })
}

async function checkName ({ host }, { connectTimeout }, lookup = lookUp) {
  if (net.isIP(host) !== 0) return ok(`${host} is an address`)
  const found = await within(connectTimeout * 1000, lookup(host).catch((err) => err), () => new Error(`no answer within ${connectTimeout} s`))
  if (found instanceof Error) {
    return failed(`${host}: ${found.code === 'ENOTFOUND' ? 'name not found' : found.code ?? found.message}`,
      'check the name, and whether this machine can look names up (getent hosts NAME)')
  }
  const addresses = found.slice(0, MAX_ADDRESSES).map((one) => one.address)
  return ok(`${host} is ${addresses.join(', ')}${found.length > MAX_ADDRESSES ? ` and ${found.length - MAX_ADDRESSES} more` : ''}`)
}

/** What begins with these bytes, when it is not SSH. */
function guess (bytes) {
  if (bytes.length === 0) return ['nothing came from it', 'a TLS server waits for the client: is --transport tls meant? Else it is the wrong port, or it hangs']
  if (/^HTTP\/|^<|^\s*<!/i.test(bytes.toString('latin1'))) return ['a web server answers', 'it is the wrong port']
  if (bytes[0] === 0x15 || bytes[0] === 0x16) return ['a TLS server answers', 'is --transport tls meant?']
  return [`something else than SSH answers: "${printable(bytes.toString('latin1').split(/[\r\n]/)[0])}"`, 'it is the wrong port']
}

/** The first line of what the stream says; what came, when it is none. */
function firstLine (stream, ms) {
  return new Promise((resolve) => {
    let text = Buffer.alloc(0)
    const finish = () => {
      clearTimeout(timer)
      stream.owner = { onclose: () => {} }
      stream.close()
      resolve(text)
    }
    const timer = setTimeout(finish, ms)
    stream.owner = {
      ondata: (chunk) => {
        text = Buffer.concat([text, chunk])
        // Lines may come before it (RFC 4253 §4.2).
        if (/(^|\n)SSH-[^\n]*\n/.test(text.toString('latin1')) || text.length > 16 * MAX_BANNER) finish()
      },
      onend: finish,
      onclose: finish
    }
    stream.resume()
  })
}

/** A connection just to see who answers. A server that minds such visitors minds one a minute little. */
async function probe (server, { connectTimeout, signal }) {
  const name = formatHostPort(server.host, server.port)
  const began = performance.now()
  let stream
  try {
    stream = await dialHost(binding, { ...server, timeoutMs: connectTimeout * 1000, signal })
  } catch (err) {
    return [failure(Object.assign(err, { message: `${name}: ${err.message}` }))]
  }
  const ms = Math.round(performance.now() - began)
  const peer = stream.peer()
  const bytes = await firstLine(stream, Math.min(BANNER_MS, connectTimeout * 1000))
  const [banner] = /(^|\n)SSH-[^\r\n]*/.exec(bytes.toString('latin1')) ?? [null]
  const connected = ok(`${name}: connected${peer === null ? '' : ` to ${peer.address}`} in ${ms} ms`)
  if (banner === null) return [connected, failed(`${name}: ${guess(bytes)[0]}`, guess(bytes)[1])]
  return [connected, ok(`${name}: ${printable(banner.trim())}`)]
}

/** Whether a proxy is there; whether it lets us through shows in the login. Without its user and password. */
async function checkProxy ({ kind, host, port }, { connectTimeout, signal }) {
  const name = `${kind} proxy ${formatHostPort(host, port)}`
  const began = performance.now()
  try {
    const stream = await dialHost(binding, { host, port, timeoutMs: connectTimeout * 1000, signal })
    stream.owner = {}
    stream.close()
  } catch (err) {
    return failure(Object.assign(err, { message: `${name}: ${err.message}` }))
  }
  return ok(`${name}: connected in ${Math.round(performance.now() - began)} ms`)
}

// What begins a session and nothing else: no listener, no file, one attempt.
const ALONE = { socks5: false, forward: [], remoteForward: [], control: 'off', metrics: false, log: false, acceptNew: false, retry: false }

async function logIn (raw, { openSession, user }) {
  const session = await openSession(raw)
  try {
    const { hostkey, peer, kex } = session.info
    const rtt = await session.rtt().then((ms) => `, answers in ${Math.round(ms)} ms`, () => '')
    return ok(`logged in as ${user}: ${printable(peer)}, ${hostkey}, ${kex}${rtt}`)
  } finally {
    await session.close()
  }
}

async function tryLogin (raw, tools) {
  const alone = { ...raw, ...ALONE, passphrase: tools.passphrase }
  try {
    return [await logIn(alone, tools)]
  } catch (err) {
    const [received] = /SHA256:[A-Za-z0-9+/]{43}/.exec(err.message) ?? []
    if (!raw.acceptNew || !/is not known: /.test(err.message) || received === undefined) throw err
    // What --accept-new would trust; here nothing is written down.
    const finding = await logIn({ ...alone, hostKey: received }, tools)
    return [warn(`the host key is new: ${received}`, 'compare it with the one at the server (there: ssh-keygen -lf host_key.pub)'), finding]
  }
}

// Where an attempt ended that has spoken SSH with somebody.
const REACHED = new Set(['hostkey', 'auth'])

/**
 * One server: a whole login, with all that the options say of the way there,
 * tried once, when the first asks.
 */
class Visit {
  /**
   * raw: options for this one server. server: { host, port }, or null. options:
   * checked ones. tools: { openSession, user, passphrase }.
   */
  constructor (raw, server, options, tools) {
    this._raw = raw
    this.server = server
    this._options = options
    this._tools = tools
    this._attempt = null
    this._abort = new AbortController()
  }

  /** { findings } or { err }. */
  _tried () {
    this._attempt ??= this._try().then((findings) => ({ findings }), (err) => ({ err }))
    return this._attempt
  }

  async _try () {
    const { signal } = this._raw
    const abort = () => this._abort.abort(signal.reason)
    signal?.addEventListener('abort', abort, { once: true })
    try {
      return await tryLogin({ ...this._raw, signal: this._abort.signal }, this._tools)
    } finally {
      signal?.removeEventListener('abort', abort)
    }
  }

  /** Whether the way leads to an SSH server; where no login says so, a look at what answers. */
  async connection (mayLogIn) {
    const { err = null } = mayLogIn ? await within(PATIENCE_MS, this._tried(), () => ({ err: {} })) : { err: {} }
    if (err === null || REACHED.has(err.stage)) return ok(`${formatHostPort(this.server.host, this.server.port)}: an SSH server answers`)
    const findings = await probe(this.server, this._options)
    if (findings.some((one) => one.status === 'fail')) this._abort.abort()
    return findings
  }

  async login () {
    const { findings, err } = await this._tried()
    if (err !== undefined) throw err
    return findings
  }
}

module.exports = { Visit, checkName, checkProxy }
