'use strict'

/**
 * Metrics over HTTP, as Prometheus reads them (text format 0.0.4): GET /metrics
 * and nothing else. Everything is small, and has an end: what asks gets one
 * answer, and the connection is closed.
 */

const http = require('http')
const net = require('net')
const { once } = require('events')
const { formatHostPort } = require('./addresses')
const { optionError, systemText } = require('./errors')
const { LoopDelay } = require('./loop-delay')

const LIMITS = {
  connections: 16,
  headerBytes: 8192,
  ms: 10_000 // for a request, and for its answer to be taken
}

const TYPE = 'text/plain; version=0.0.4; charset=utf-8'

const escapeLabel = (text) => text.replace(/[\\"\n]/g, (c) => c === '\n' ? '\\n' : `\\${c}`)
const escapeHelp = (text) => text.replace(/[\\\n]/g, (c) => c === '\n' ? '\\n' : '\\\\')

function formatSample (name, [labels, value, suffix = '']) {
  const pairs = Object.entries(labels).map(([key, text]) => `${key}="${escapeLabel(String(text))}"`)
  return `${name}${suffix}${pairs.length === 0 ? '' : `{${pairs.join(',')}}`} ${value}`
}

/** Families of metrics-values.js as text. */
function formatMetrics (families) {
  return families.map(({ name, type, help, samples }) => [
    `# HELP ${name} ${escapeHelp(help)}`,
    `# TYPE ${name} ${type}`,
    ...samples.map((sample) => formatSample(name, sample)), ''
  ].join('\n')).join('')
}

/**
 * Whether a request names this machine as an address or as localhost. A page
 * in a browser here, whose name somebody has made lead to loopback, does not.
 */
function isAddressed (host) {
  if (host === undefined) return true
  const name = host.replace(/:\d+$/, '').replace(/^\[(.*)\]$/, '$1')
  return net.isIP(name) !== 0 || name.toLowerCase() === 'localhost'
}

const addressOf = ({ address, port }) => ({ address, family: net.isIP(address), port })

/** The listener. Made by openMetrics(). */
class Metrics {
  /** families: (delay) => those of metrics-values.js. isOpen: who reaches it may be anybody. */
  constructor (families, isOpen, limits) {
    this._families = families
    this._isOpen = isOpen
    this._delay = null
    this._address = null
    this._limits = { ...LIMITS, ...limits }
    const { connections, headerBytes, ms } = this._limits
    this._http = http.createServer({
      maxHeaderSize: headerBytes, headersTimeout: ms, requestTimeout: ms, connectionsCheckingInterval: Math.min(1000, ms)
    }, (request, response) => this._answer(request, response))
    this._http.maxConnections = connections
    this._http.setTimeout(ms)
    /** Resolves when it is closed, with all that have asked. */
    this.closed = new Promise((resolve) => this._http.once('close', resolve))
  }

  /** Listens, or rejects with the system's error. */
  async listen (address, port) {
    this._http.listen({ host: address, port, exclusive: true })
    await once(this._http, 'listening')
    this._address = addressOf(this._http.address())
    this._http.on('error', () => {}) // of one that comes: no more than that
    // Being asked is no reason to stay.
    this._http.unref()
    this._delay = new LoopDelay()
  }

  /** { address, family, port } */
  address () {
    return this._address
  }

  close () {
    this._delay?.close()
    this._http.close()
    this._http.closeAllConnections()
    return this.closed
  }

  _answer (request, response) {
    const { method, url, headers } = request
    if (!this._isOpen && !isAddressed(headers.host)) return this._refuse(response, 403, 'not by this name')
    if (url !== '/metrics' && !url.startsWith('/metrics?')) return this._refuse(response, 404, 'only /metrics')
    if (method !== 'GET') return this._refuse(response, 405, 'only GET', { allow: 'GET' })
    this._send(response, 200, TYPE, formatMetrics(this._families(this._delay)))
  }

  _refuse (response, status, text, headers) {
    this._send(response, status, 'text/plain; charset=utf-8', `${text}\n`, headers)
  }

  _send (response, status, type, text, headers = {}) {
    response.writeHead(status, {
      ...headers, 'content-type': type, 'content-length': Buffer.byteLength(text), connection: 'close'
    })
    response.end(text)
  }
}

/**
 * Listens for who wants metrics, or throws: they were asked for.
 * @param {{ address: string, port: number }} place
 * @param {boolean} isOpen of the option metricsOpen
 * @param {Function} families
 * @returns {Promise<Metrics>}
 */
async function openMetrics ({ address, port }, isOpen, families, limits) {
  const metrics = new Metrics(families, isOpen, limits)
  try {
    await metrics.listen(address, port)
  } catch (err) {
    throw optionError('metrics', `cannot listen on ${formatHostPort(address, port)}: ${systemText(err)}`, err)
  }
  return metrics
}

module.exports = { formatMetrics, openMetrics }
