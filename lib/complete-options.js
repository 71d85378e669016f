'use strict'

/**
 * What holds between options that are each right by themselves: what one needs
 * of another, what makes no sense together, and what follows from others for
 * those that were not said. What would have no effect is a mistake, and one
 * about trust is a grave one. Pure.
 */

const os = require('os')
const path = require('path')
const { completeAcme } = require('./acme/options')
const { optionError } = require('./errors')
const { DEFAULT_PORTS, defaultPlace, listenPlaces } = require('./listen-options')

const MAX_HOST_KEYS = 8 // as many as the engines take

// What the client offers that the hello of csrc/net/tls_ctx.c is taken from.
const STEALTH_ALPN = 'h2,http/1.1'

function isLoopback (address) {
  return address === '::1' || address.startsWith('127.')
}

function checkMetrics ({ metrics, metricsOpen }) {
  if (!metrics || isLoopback(metrics.address) || metricsOpen) return
  throw optionError('metrics', `${metrics.address} can be reached by others: ` +
    'listen on 127.0.0.1 or ::1, or set metricsOpen (--metrics-open) to let anybody read them')
}

/** Throws where a proxy would be open to others by accident. */
function checkSocks5 ({ socks5, socks5Auth, socks5Open }) {
  if (socks5 === null || isLoopback(socks5.address) || socks5Auth !== undefined || socks5Open) return
  throw optionError('socks5', `${socks5.address} can be reached by others: ` +
    'set socks5Auth (--socks5-auth) to user:password, or socks5Open (--socks5-open) to let anybody use the proxy')
}

function checkTls ({ transport, stream, server, tlsServerName, tlsCa, tlsAlpn, insecure, stealth, stealthSecret }) {
  if (transport !== 'tls') {
    for (const [name, isSet] of [['tlsServerName', tlsServerName !== undefined], ['tlsCa', tlsCa.length > 0], ['tlsAlpn', tlsAlpn !== undefined], ['insecure', insecure], ['stealth', stealth], ['stealthSecret', stealthSecret !== undefined]]) {
      if (isSet) throw optionError(name, 'makes sense only with the transport tls')
    }
    return
  }
  if (insecure && tlsCa.length > 0) throw optionError('insecure', 'makes no sense together with tlsCa')
  if (stream !== undefined && server === undefined && tlsServerName === undefined && !insecure) {
    throw optionError('tlsServerName', 'is required for tls over a stream without server: whose certificate has it to be?')
  }
}

// Whose key it has to be does not follow from a stream, and there is no second one.
function checkStream ({ server, hostKey, proxy, dangerouslyAcceptAnyHostKey, reconnect, retry, sessions }) {
  if (proxy !== undefined) throw optionError('proxy', 'makes no sense together with stream: the stream leads there already')
  if (reconnect.isOn) throw optionError('reconnect', 'makes no sense together with stream: there is no other one')
  if (retry) throw optionError('retry', 'makes no sense together with stream: there is no other one')
  if (sessions > 1) throw optionError('sessions', 'makes no sense together with stream: it carries one')
  if (server?.length > 1) throw optionError('server', 'must be one: the name of who is behind the stream')
  if (server !== undefined || hostKey.length > 0 || dangerouslyAcceptAnyHostKey) return
  throw optionError('stream', 'needs to know whose host key is right: ' +
    'set hostKey (a pin), or server, the name to look for in known_hosts')
}

function configFile (...parts) {
  return path.join(os.homedir(), ...parts)
}

/** Checked options of a client, complete. */
function completeClient (out) {
  checkMetrics(out)
  if (out.stream !== undefined) checkStream(out)
  else if (out.server === undefined) throw optionError('server', 'is required: host[:port]')
  checkTls(out)
  out.stealth ||= out.stealthSecret !== undefined // who hides that he is let in does not say hello as nobody else
  if (out.stealth) out.tlsAlpn ??= STEALTH_ALPN
  out.server = out.server?.map((one) => ({ ...one, port: one.port ?? DEFAULT_PORTS[out.transport] }))
  if (out.identity === undefined) throw optionError('identity', 'is required: a private key (alknet keygen makes one)')
  out.knownHosts ??= [configFile('.config', 'alknet', 'known_hosts'), configFile('.ssh', 'known_hosts')]
  if (out.acceptNew && typeof out.knownHosts[0] !== 'string') {
    throw optionError('acceptNew', 'needs a path as the first of knownHosts, to write the new key to')
  }
  if (out.dangerouslyAcceptAnyHostKey && (out.acceptNew || out.hostKey.length > 0)) {
    throw optionError('dangerouslyAcceptAnyHostKey', 'makes no sense together with hostKey or acceptNew')
  }
  checkSocks5(out)
  return out
}

/** Checked options of a server, complete, with places: where it listens. */
function completeServer (out) {
  if (out.hostKey === undefined) {
    throw optionError('hostKey', 'is required: the server\'s private key (alknet keygen makes one)')
  }
  if (out.hostKey.length > MAX_HOST_KEYS) throw optionError('hostKey', `is said ${out.hostKey.length} times: ${MAX_HOST_KEYS} at most`)
  if (out.workers > 1 && out.onConnection !== undefined) {
    throw optionError('onConnection', 'makes no sense together with workers: a channel is in the thread of its session')
  }
  completeAcme(out)
  out.places = listenPlaces(out)
  if (!out.places.some((one) => one.stealth)) {
    for (const name of ['stealthUpstream', 'stealthSecret']) {
      if (out[name] !== undefined) throw optionError(name, 'makes sense only with stealth')
    }
  }
  if (out.listeners === undefined) out.listen ??= [defaultPlace(out)]
  checkMetrics(out)
  return out
}

module.exports = { checkSocks5, completeClient, completeServer }
