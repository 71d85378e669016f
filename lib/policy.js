'use strict'

/**
 * Which targets the server may connect to: spec §8, as far as it is built. The
 * built-in deny stands before everything; an allow rule lifts it for just what
 * it names. The rest is allowed. Pure but for the look at this machine's own
 * addresses, and that only when a port is one of the server's own.
 */

const os = require('os')
const {
  SETS, addressBytes, cidrHas, cidrInside, parseCidr, parsePort, printable, sameAddress, setHas
} = require('./addresses')

const DENIED_SETS = ['metadata', 'link-local', 'unspecified']

function parsePorts (text) {
  if (text === '*') return { low: 0, high: 65535 }
  const [first, last, more] = text.split('-')
  const low = parsePort(first)
  const high = last === undefined ? low : parsePort(last)
  return more !== undefined || low < 1 || high < low ? null : { low, high }
}

/**
 * Parses `target:port`. target: an address, a network, [v6]/bits or a named
 * set; port: a number, lo-hi or *. Gives { cidrs, low, high }, or a string
 * that says what is wrong.
 */
function parseAllow (text) {
  const shown = printable(text)
  const shape = `"${shown}" is not target:port`
  const colon = text.lastIndexOf(':')
  if (colon < 1) return shape
  const ports = parsePorts(text.slice(colon + 1))
  if (ports === null) return `"${shown}": the port must be 1 to 65535, lo-hi or *`
  const target = text.slice(0, colon).toLowerCase()
  if (Object.hasOwn(SETS, target)) return { cidrs: SETS[target], ...ports }
  const bracketed = /^\[([^\]]+)\](\/\d+)?$/.exec(target)
  if (bracketed === null && target.includes(':')) return `"${shown}": write IPv6 in brackets`
  const cidr = parseCidr(bracketed ? bracketed[1] + (bracketed[2] ?? '') : target)
  if (cidr === null) {
    return `"${shown}": name an address, a network or one of ${Object.keys(SETS).join(', ')}; ` +
      'rules for names are not available yet'
  }
  return { cidrs: [cidr], ...ports }
}

class Policy {
  /**
   * allow: rules of parseAllow(). own: () => [{ address, port }], the server's
   * listeners as they are now.
   */
  constructor ({ allow = [], own = () => [] } = {}) {
    this._allow = allow
    this._own = own
  }

  /**
   * Before any look-up: may this identity open that at all? null, or the
   * refusal's text.
   */
  refuseIdentity (permissions, host, port) {
    if (!permissions.forwarding) return 'this key may not forward (no-port-forwarding)'
    if (permissions.permitOpen === null) return null
    const wanted = host.toLowerCase()
    const isOpen = permissions.permitOpen.some((one) =>
      (one.port === 0 || one.port === port) &&
      (one.host === '*' || one.host === wanted || sameAddress(one.host, wanted)))
    return isOpen ? null : 'this key may not open that target (permitopen)'
  }

  /**
   * A resolved address: null, or the refusal's text. Only an address that got
   * null may be connected to.
   */
  refuseAddress (address, port) {
    const bytes = addressBytes(address)
    if (bytes === null) return 'not an address'
    const set = DENIED_SETS.find((name) => setHas(name, bytes))
    if (set !== undefined && !this._liftsSet(bytes, port)) {
      return `built-in deny of ${set} addresses (the operator can lift it with --allow)`
    }
    if (this._isOwn(bytes, port) && !this._liftsOwn(bytes, port)) {
      return "built-in deny of the server's own listeners (the operator can lift it with --allow)"
    }
    return null
  }

  // A rule lifts the deny when it names that part explicitly: 0.0.0.0/0 names
  // everything, and so nothing.
  _liftsSet (bytes, port) {
    return this._allow.some((rule) => port >= rule.low && port <= rule.high &&
      rule.cidrs.some((cidr) => cidrHas(cidr, bytes) &&
        DENIED_SETS.some((name) => SETS[name].some((outer) => cidrInside(cidr, outer)))))
  }

  _liftsOwn (bytes, port) {
    return this._allow.some((rule) => rule.low === port && rule.high === port &&
      rule.cidrs.some((cidr) => cidr.bits === bytes.length * 8 && cidrHas(cidr, bytes)))
  }

  _isOwn (bytes, port) {
    return this._own().some((own) => {
      if (own.port !== port) return false
      const bound = addressBytes(own.address)
      if (bound === null) return false
      if (!bound.every((byte) => byte === 0)) return cidrHas({ bytes: bound, bits: bound.length * 8 }, bytes)
      return setHas('loopback', bytes) || setHas('unspecified', bytes) || isThisMachine(bytes)
    })
  }
}

function isThisMachine (bytes) {
  return Object.values(os.networkInterfaces()).flat().some((one) => {
    const own = addressBytes(one.address)
    return own !== null && cidrHas({ bytes: own, bits: own.length * 8 }, bytes)
  })
}

module.exports = { Policy, parseAllow }
