'use strict'

/**
 * A way to a host through proxies: connect to the first, ask it for the second,
 * and the last for the host itself.
 *
 *   dialHost -> ask -> ask -> … -> the host's stream
 *
 * Only the first proxy is looked up here. The others and the host are handed
 * over as they are: where a name leads is for whoever connects to say.
 */

const { performance } = require('perf_hooks')
const { AlknetError, canceled } = require('./errors')
const { canonicalHost, formatHostPort } = require('./addresses')
const { dialHost } = require('./dial')

/** What of a native error, or of a dial's, is said about a proxy. */
function proxyError (err, { proxy, hop, next, isLast }) {
  if (err.code === 'ERR_ALKNET_CANCELED') return err
  const place = formatHostPort(proxy.host, proxy.port)
  const wish = isLast ? '' : `, asked for the next proxy ${formatHostPort(next.host, next.port)},`
  const text = err.message.replace(/^proxy: /, '')
  return new AlknetError(`the proxy ${place}${wish}${err.reason === undefined ? ':' : ' says:'} ${text}`, {
    code: err.code, stage: 'proxy', errno: err.errno, reason: err.reason, hop, cause: err
  })
}

/** RFC 7617, in UTF-8. */
function basic ({ user, password }) {
  return user === null ? null : `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`
}

function begin (binding, proxy, stream, { host, port }, ms) {
  return proxy.kind === 'http'
    ? binding.proxyHttp(stream, host, port, ms, basic(proxy))
    : binding.proxySocks5(stream, host, port, ms, proxy.user, proxy.password)
}

/** Asks one proxy over its stream, which is taken. Resolves with the stream to next. */
function ask (binding, stream, step, ms, signal) {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) {
      stream.close()
      return reject(canceled('proxy', signal.reason))
    }
    let asked
    try {
      asked = begin(binding, step.proxy, stream, step.next, ms)
    } catch (err) {
      stream.close()
      return reject(proxyError(err, step))
    }
    const finish = (settle, value) => {
      signal?.removeEventListener('abort', onAbort)
      settle(value)
    }
    const onAbort = () => {
      asked.owner = null
      asked.close()
      finish(reject, canceled('proxy', signal.reason))
    }
    asked.owner = {
      onopen: (given) => finish(resolve, given),
      onclose: (err) => finish(reject, proxyError(err, step))
    }
    signal?.addEventListener('abort', onAbort, { once: true })
  })
}

/**
 * Connects to host, through proxies where there are any.
 * @param {object} binding
 * @param {object} about
 * @param {object[]} [about.proxies] of Proxies.to()
 * @param {string} about.host looked up here only without proxies
 * @param {number} about.timeoutMs for all of it
 * @returns {Promise<object>} an open stream of the addon, paused, without owner.
 *   What a proxy is the reason of rejects with stage 'proxy'.
 */
async function dialThrough (binding, { proxies = [], host, port, timeoutMs, signal, lookup }) {
  if (proxies.length === 0) return dialHost(binding, { host, port, timeoutMs, signal, lookup })
  const end = performance.now() + timeoutMs
  const target = { host: canonicalHost(host) ?? host, port }
  const [first] = proxies
  let stream = await dialHost(binding, { host: first.host, port: first.port, timeoutMs, signal, lookup })
    .catch((err) => { throw proxyError(err, { proxy: first, hop: 1, isLast: true }) })
  for (const [i, proxy] of proxies.entries()) {
    const isLast = i === proxies.length - 1
    const step = { proxy, hop: i + 1, next: isLast ? target : proxies[i + 1], isLast }
    stream = await ask(binding, stream, step, Math.max(1, Math.ceil(end - performance.now())), signal)
  }
  return stream
}

module.exports = { dialThrough }
