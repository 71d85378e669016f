'use strict'

/** The stream that a client's session runs over. */

const binding = require('./binding')
const { AlknetError, canceled } = require('./errors')
const { canonicalHost, formatHostPort } = require('./addresses')
const { dialThrough } = require('./dial-through')
const { unackedMs } = require('./keepalive')
const { greet } = require('./stealth')
const { secure } = require('./tls-handshake')

/**
 * An open stream of the addon to the server.
 * @param {Session} session
 * @param {{ host: string, port: number }|null} server null: a stream is all there is
 * @param {AbortSignal} signal
 */
async function openTransport (session, server, signal) {
  const began = performance.now()
  const stream = await openInner(session, server, signal)
  if (session._tls === null) return stream
  const { tlsServerName, insecure, connectTimeout } = session._options
  if (insecure) session._log.error('TLS CERTIFICATE NOT CHECKED: only the host key says who the server is', {})
  const name = tlsServerName ?? canonicalHost(server?.host ?? '')
  const secured = await secure(binding.tlsClient(stream, session._tls, name), {
    timeoutMs: Math.max(1, connectTimeout * 1000 - (performance.now() - began)),
    limit: `${connectTimeout} s (connectTimeout)`,
    signal
  })
  if (session._secret === null) return secured
  try {
    return greet(secured, session._secret, name)
  } catch (err) {
    secured.close()
    throw err
  }
}

/** What the transport goes over: TCP, or a stream of the user's. */
async function openInner ({ _options: options, _duplex: duplex }, server, signal) {
  if (duplex === null) {
    const proxies = options.proxy?.to(canonicalHost(server.host) ?? server.host)
    const stream = await dialThrough(binding, { ...server, proxies, timeoutMs: options.connectTimeout * 1000, signal })
    stream.limitUnacked(unackedMs(options))
    return stream
  }
  if (signal.aborted) throw canceled('connect', signal.reason)
  return duplex.take()
}

/** An error of the way there says where it happened, and to whom. */
function atConnect (err, server) {
  const stage = { system: 'connect', tls: 'tls' }[err.stage]
  if (stage === undefined || err.code === 'ERR_ALKNET_CANCELED') return err
  const what = server === null ? 'no session over the stream' : `cannot reach ${formatHostPort(server.host, server.port)}`
  return new AlknetError(`${what}: ${err.message}`, { code: err.code, errno: err.errno, stage, cause: err })
}

module.exports = { atConnect, openTransport }
