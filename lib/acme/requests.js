'use strict'

/**
 * Requests to a certificate authority: HTTPS alone, with limits for size and
 * time, and what it refuses as an error in its own words. acme-client makes
 * them through here, so that each server has its own roots, and a close() ends
 * what is under way.
 */

const https = require('https')
const { AlknetError, canceled, fail, systemText } = require('../errors')
const { version } = require('../../package.json')

const MAX_BODY = 1024 * 1024
const REQUEST_MS = 30_000
const MAX_WORDS = 300
const MAX_SUBPROBLEMS = 3

const BAD_NONCE = 'urn:ietf:params:acme:error:badNonce'

/** Text of the CA's for a message of ours. */
function words (text) {
  const whole = String(text)
  return `${whole.slice(0, MAX_WORDS).replace(/[^\x20-\x7e]/g, '?')}${whole.length > MAX_WORDS ? '...' : ''}`
}

/** A problem document (RFC 7807, RFC 8555 §6.7) as a sentence. */
function problemText ({ type, detail, subproblems }) {
  const parts = Array.isArray(subproblems) ? subproblems.slice(0, MAX_SUBPROBLEMS).map((one) => one?.detail).filter(Boolean) : []
  const kind = typeof type === 'string' ? ` (${type.replace(/^urn:ietf:params:acme:error:/, '')})` : ''
  return words([detail ?? 'it says no more', ...parts].join('; ') + kind)
}

/** Seconds, of a number or a date; undefined when it says nothing. */
function retryAfter (headers, now = Date.now()) {
  const value = headers['retry-after']
  if (value === undefined) return undefined
  const seconds = /^\d{1,9}$/.test(value) ? Number(value) : Math.ceil((Date.parse(value) - now) / 1000)
  return seconds > 0 ? seconds : undefined
}

function refusal (host, { status, headers, data }) {
  const problem = data !== null && typeof data === 'object' ? data : {}
  return Object.assign(fail('ACME', 'acme', `${host} refuses: ${problemText({ detail: `status ${status}`, ...problem })}`, { reason: status }), {
    problem: typeof problem.type === 'string' ? problem.type.replace(/^urn:ietf:params:acme:error:/, '') : null,
    retryAfter: retryAfter(headers)
  })
}

const NOT_FOUND = new Set(['ENOTFOUND', 'EAI_AGAIN', 'EAI_FAIL'])

function unreachable (host, err) {
  if (err instanceof AlknetError) return err
  const code = NOT_FOUND.has(err.code) ? 'ERR_ALKNET_DNS' : /^E[A-Z]+$/.test(err.code ?? '') ? err.code : 'ERR_ALKNET_ACME'
  const text = code === 'ERR_ALKNET_ACME' ? words(err.message) : systemText({ code })
  return new AlknetError(`cannot reach ${host}: ${text}`, { code, stage: 'acme', cause: err })
}

/** What was said: an object where it is JSON. An answer to HEAD is empty, whatever it says it is. */
function parse ({ status, headers, text }) {
  if (text === '' || !/^application\/(\S+\+)?json\b/i.test(headers['content-type'] ?? '')) return text
  try {
    return JSON.parse(text)
  } catch {
    if (status >= 300) return '' // the number says enough
    throw fail('ACME', 'acme', 'its answer is not JSON')
  }
}

class Requests {
  /** ca: PEM of whom to trust. signal: ends all. keepsUp: whether a process stays for an answer. */
  constructor ({ ca, signal, keepsUp = false, limits = {} }) {
    this._signal = signal
    this._keepsUp = keepsUp
    this._limits = { bytes: MAX_BODY, ms: REQUEST_MS, ...limits }
    this._agent = new https.Agent({ ca, keepAlive: true, maxSockets: 2, minVersion: 'TLSv1.2' })
    /** What the last answer has said about when to ask again, in seconds. */
    this.retryAfter = undefined
  }

  close () {
    this._agent.destroy()
  }

  /** As acme-client asks, and is answered: { status, headers, data }. */
  async request (url, method, { headers = {}, data } = {}) {
    if (this._signal.aborted) throw canceled('acme', this._signal.reason)
    const target = typeof url === 'string' && URL.canParse(url) ? new URL(url) : null
    if (target?.protocol !== 'https:') throw fail('ACME', 'acme', `the CA names a URL that is not https: ${words(url)}`)
    try {
      const answer = await this._exchange(target, method.toUpperCase(), {
        ...headers, 'user-agent': `alknet/${version}`, ...data === undefined ? {} : { 'content-type': 'application/jose+json' }
      }, data)
      this.retryAfter = retryAfter(answer.headers)
      // Another nonce, and the same again: the library's to do.
      if (answer.status >= 300 && answer.data?.type !== BAD_NONCE) throw refusal(target.host, answer)
      return answer
    } catch (err) {
      if (this._signal.aborted) throw canceled('acme', this._signal.reason)
      throw unreachable(target.host, err)
    }
  }

  _exchange (url, method, headers, data) {
    const { ms, bytes } = this._limits
    return new Promise((resolve, reject) => {
      const request = https.request(url, { method, headers, agent: this._agent, signal: this._signal })
      const late = setTimeout(() => request.destroy(fail('TIMEOUT', 'acme', `no answer of ${url.host} within ${ms / 1000} s`)), ms)
      late.unref()
      const finish = (settle, value) => {
        clearTimeout(late)
        settle(value)
      }
      if (!this._keepsUp) request.on('socket', (socket) => socket.unref())
      request.on('error', (err) => finish(reject, err))
      request.on('response', (response) => collect(response, bytes).then(
        (text) => finish(resolve, { status: response.statusCode, headers: response.headers, text }),
        (err) => {
          request.destroy()
          finish(reject, err)
        }))
      request.end(data === undefined ? undefined : JSON.stringify(data))
    }).then((answer) => ({ ...answer, data: parse(answer) }))
  }
}

async function collect (response, max) {
  const chunks = []
  let size = 0
  for await (const chunk of response) {
    size += chunk.length
    if (size > max) throw fail('LIMIT', 'acme', `an answer of the CA is longer than ${max} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

module.exports = { Requests, problemText, words }
