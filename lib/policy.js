'use strict'

/**
 * What a client may reach, and where it may have the server listen: spec §8.
 *
 *   the key's own limits -> built-in deny -> the rules, first match -> default
 *
 * A channel is decided once. preview() comes before any look-up and refuses
 * what no address could make allowed: a denied name is never asked for.
 * decide() then judges each address that the name has; only an address that it
 * allowed may be connected to, and nobody looks the name up again.
 *
 * Where a proxy connects, it also looks names up, and nobody here knows the
 * address. decideUnresolved() then allows a name only where the rules would
 * whatever the address: at a rule that denies addresses it stops and refuses,
 * and one that allows addresses cannot help. The built-in deny judges what is
 * an address; for names it would deny all, as any might have such an address:
 * there it is the proxy's to judge, from where it stands.
 *
 * The built-in deny stands before the rules. An allow rule lifts it for just
 * what it names; whether the target is then allowed, the rules still say.
 *
 * Pure but for the look at this machine's own addresses, and that only when a
 * port is one of the server's own; and at a path that a rule allows, for whether
 * it is another name of a socket of the server's own.
 *
 * A request is { identity, permissions, transport, host, port }, or a path in
 * the place of host and port.
 */

const fs = require('fs')
const net = require('net')
const os = require('os')
const {
  SETS, addressBytes, cidrHas, cidrInside, overlaps, sameAddress, setHas, zoneOf
} = require('./addresses')
const { isLocalhost } = require('./proxies')
const {
  concerns, hasPort, isPlainPath, matchesAddress, matchesName, matchesPath, parseListenRule
} = require('./rules')

const DENIED_SETS = ['metadata', 'link-local', 'unspecified']

// What stands there while nobody has said what may be listened on.
const LISTEN_BY_DEFAULT = Object.freeze([parseListenRule('loopback:1024-65535')])

// Port 0 asks for any free port, which is never a privileged one.
const FREE_PORTS = { low: 1024, high: 65535 }

// ---- what the client is told: the kind of rule, how to lift it, and no more

const TEXTS = {
  rule: 'denied by a rule of the server (the operator can allow it with --allow, before that rule)',
  default: 'denied by the default of the server (the operator can allow it with --allow)',
  path: 'Unix sockets are denied by default (the operator can allow a path with --allow unix:/...)',
  own: "built-in deny of the server's own listeners (the operator can lift it with --allow address:port)",
  forwarding: 'this key may not forward (no-port-forwarding)',
  permitopen: 'this key may not open that target (permitopen)',
  permitlisten: 'this key may not listen there (permitlisten)',
  listen: 'the server does not permit to listen there (the operator can permit it with --permit-listen)',
  unresolved: 'the server does not see the address of a name behind its proxy, and a rule denies addresses (the operator can allow the name with --allow, before that rule)',
  zone: 'a zone belongs to a link-local address',
  address: 'not an address'
}

const builtinText = (set) => `built-in deny of ${set} addresses (the operator can lift it with --allow)`

/**
 * A verdict: { allow, by, rule, number, text }. by: what decided: 'key',
 * 'built-in', 'rule', 'default'. rule, number: the rule and its place from 1.
 * text: what the client is told; null when it is allowed.
 */
function deny (by, text, rule = null, number = 0) {
  return { allow: false, by, rule, number, text }
}

function allow (by, rule = null, number = 0) {
  return { allow: true, by, rule, number, text: null }
}

function verdictOf (rule, number) {
  return rule.action === 'allow' ? allow('rule', rule, number) : deny('rule', TEXTS.rule, rule, number)
}

// ---- addresses

const NAT64 = { bytes: Uint8Array.from([0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]), bits: 96 }

/**
 * An address, and the one that a NAT64 gateway would make of it (RFC 6052
 * §2.1). Denied is what is denied in either form.
 */
function formsOf (bytes) {
  return bytes.length === 16 && cidrHas(NAT64, bytes) ? [bytes, bytes.subarray(12)] : [bytes]
}

function isThisMachine (bytes) {
  return Object.values(os.networkInterfaces()).flat().some((one) => {
    const own = addressBytes(one.address)
    return own !== null && cidrHas(exactly(own), bytes)
  })
}

/** Through links, too. What cannot be looked at cannot be connected to either. */
function isSameFile (a, b) {
  try {
    const [x, y] = [a, b].map((path) => fs.statSync(path, { bigint: true }))
    return x.dev === y.dev && x.ino === y.ino
  } catch {
    return false
  }
}

const exactly = (bytes) => ({ bytes, bits: bytes.length * 8 })

class Policy {
  /**
   * rules: of parseRule(). byDefault: 'allow' or 'deny'. permitListen: of
   * parseListenRule(), or null for what stands there by default. own: () =>
   * [{ address, port } | { path }], the server's listeners as they are now.
   */
  constructor ({ rules = [], byDefault = 'allow', permitListen = null, own = () => [] } = {}) {
    this.rules = rules
    this.byDefault = byDefault
    this.permitListen = permitListen ?? LISTEN_BY_DEFAULT
    this._own = own
  }

  /**
   * Before the look-up: the verdict that refuses whatever address the name
   * has, or null. host is canonical, as in every question here.
   */
  preview (request) {
    const refusal = this._refusesKey(request)
    // An address needs no look-up: decide() says all there is to say.
    if (refusal !== null || net.isIP(request.host) !== 0) return refusal
    for (const [i, rule] of this.rules.entries()) {
      if (!hasPort(rule, request.port) || !concerns(rule, request)) continue
      // An address of the name may be one of the rule's.
      if (rule.kind === 'address' && rule.action === 'allow') return null
      if (matchesName(rule, request.host)) return rule.action === 'allow' ? null : verdictOf(rule, i + 1)
    }
    return this.byDefault === 'allow' ? null : deny('default', TEXTS.default)
  }

  /**
   * After the look-up. Gives { addresses, verdicts, refusal }: the addresses
   * that may be connected to, in their order; a verdict for each one asked
   * about; when none is allowed, the text for the client.
   */
  decide (request, addresses) {
    const refusal = this._refusesKey(request)
    const verdicts = addresses.map((address) => refusal ?? this._judge(request, address))
    const allowed = addresses.filter((_, i) => verdicts[i].allow)
    return { addresses: allowed, verdicts, refusal: allowed.length > 0 || verdicts.length === 0 ? null : verdicts[0].text }
  }

  /** The verdict on a host that a proxy is to look up, if it is a name. */
  decideUnresolved (request) {
    const { host } = request
    const known = net.isIP(host) !== 0 ? [host] : isLocalhost(host) ? ['127.0.0.1', '::1'] : []
    const { verdicts } = this.decide(request, known)
    return verdicts.find((one) => !one.allow) ?? verdicts[0] ?? this._judgeName(request)
  }

  /** A Unix socket on the server: no rule, no connection. */
  decidePath (request) {
    const { permissions, path } = request
    if (!permissions.forwarding) return deny('key', TEXTS.forwarding)
    if (permissions.permitOpen !== null) return deny('key', TEXTS.permitopen)
    if (!isPlainPath(path)) return deny('default', TEXTS.path)
    const own = this._namesPath(request) ? [] : this._own().filter((one) => one.path !== undefined)
    if (own.some((one) => one.path === path)) return deny('built-in', TEXTS.own)
    const verdict = this._firstMatch(request, (rule) => matchesPath(rule, path)) ?? deny('default', TEXTS.path)
    return verdict.allow && own.some((one) => isSameFile(one.path, path)) ? deny('built-in', TEXTS.own) : verdict
  }

  /**
   * A reserved destination, alknet-…: it leads to no address, so only rules
   * whose pattern begins with just that have a say, and no default.
   */
  decideReserved (request) {
    const speaks = (rule) => rule.kind === 'name' && rule.pattern.startsWith('alknet-') &&
      hasPort(rule, request.port) && matchesName(rule, request.host)
    return this._refusesKey(request) ?? this._firstMatch(request, speaks) ?? allow('default')
  }

  /**
   * May the server listen for this client? request: { …, host, port } as the
   * client asked (RFC 4254 §7.1), or { …, path }. Gives a verdict with
   * `addresses`, those to bind.
   */
  decideListen (request) {
    const { permissions } = request
    if (!permissions.forwarding) return { ...deny('key', TEXTS.forwarding), addresses: [] }
    if (!keyMayListen(permissions, request)) return { ...deny('key', TEXTS.permitlisten), addresses: [] }
    const wanted = request.path === undefined ? listenAddresses(request.host) : [request.path]
    if (wanted.some((one) => this._isOwnPlace(request, one))) return { ...deny('built-in', TEXTS.own), addresses: [] }
    const verdicts = wanted.map((one) => this._judgeListen(request, one))
    const addresses = wanted.filter((_, i) => verdicts[i].allow)
    const verdict = verdicts.find((one) => one.allow) ?? deny('default', TEXTS.listen)
    // Who asks for all addresses gets all of them or none.
    const isWhole = addresses.length === wanted.length || request.host?.toLowerCase() === 'localhost'
    return isWhole && addresses.length > 0 ? { ...verdict, addresses } : { ...deny('default', TEXTS.listen), addresses: [] }
  }

  // ---- the steps

  _refusesKey ({ permissions, host, port }) {
    if (!permissions.forwarding) return deny('key', TEXTS.forwarding)
    const { permitOpen } = permissions
    if (permitOpen === null) return null
    const wanted = host.toLowerCase()
    const isOpen = permitOpen.some((one) => (one.port === 0 || one.port === port) &&
      (one.host === '*' || one.host === wanted || sameAddress(one.host, wanted)))
    return isOpen ? null : deny('key', TEXTS.permitopen)
  }

  _firstMatch (request, matches) {
    const at = this.rules.findIndex((rule) => concerns(rule, request) && matches(rule))
    return at < 0 ? null : verdictOf(this.rules[at], at + 1)
  }

  _judge (request, address) {
    const bytes = addressBytes(address)
    if (bytes === null) return deny('built-in', TEXTS.address)
    // Elsewhere it means nothing, and what means nothing is there to deceive.
    if (zoneOf(address) !== '' && !setHas('link-local', bytes)) return deny('built-in', TEXTS.zone)
    const name = net.isIP(request.host) === 0 ? request.host : null
    const forms = formsOf(bytes)
    return this._builtin(request, forms) ??
      this._firstMatch(request, (rule) => hasPort(rule, request.port) && touches(rule, name, forms)) ??
      (this.byDefault === 'allow' ? allow('default') : deny('default', TEXTS.default))
  }

  _judgeName (request) {
    const refusal = this._refusesKey(request)
    if (refusal !== null) return refusal
    for (const [i, rule] of this.rules.entries()) {
      if (!hasPort(rule, request.port) || !concerns(rule, request)) continue
      if (matchesName(rule, request.host)) return verdictOf(rule, i + 1)
      if (rule.kind === 'address' && rule.action === 'deny') return deny('rule', TEXTS.unresolved, rule, i + 1)
    }
    return this.byDefault === 'allow' ? allow('default') : deny('default', TEXTS.default)
  }

  _builtin (request, forms) {
    for (const bytes of forms) {
      // An address of several sets is lifted by who names it in each of them.
      const set = DENIED_SETS.find((one) => setHas(one, bytes) && !this._liftsSet(request, one, bytes))
      if (set !== undefined) return deny('built-in', builtinText(set))
      if (this._isOwn(bytes, request.port) && !this._liftsOwn(request, bytes)) return deny('built-in', TEXTS.own)
    }
    return null
  }

  _lifters (request) {
    return this.rules.filter((rule) => rule.action === 'allow' && rule.kind === 'address' &&
      hasPort(rule, request.port) && concerns(rule, request))
  }

  // 0.0.0.0/0 names everything, and so nothing: the network has to lie inside.
  _liftsSet (request, set, bytes) {
    return this._lifters(request).some((rule) => rule.cidrs.some((cidr) =>
      cidrHas(cidr, bytes) && SETS[set].some((outer) => cidrInside(cidr, outer))))
  }

  // The address and the port in so many words.
  _liftsOwn (request, bytes) {
    return this._lifters(request).some((rule) => rule.low === rule.high &&
      rule.cidrs.length === 1 && rule.cidrs[0].bits === bytes.length * 8 && cidrHas(rule.cidrs[0], bytes))
  }

  _namesPath (request) {
    return this.rules.some((rule) => rule.action === 'allow' && rule.path === request.path && concerns(rule, request))
  }

  _isOwn (bytes, port) {
    return this._own().some((own) => {
      if (own.port !== port) return false
      const bound = addressBytes(own.address)
      if (bound === null) return false
      if (!bound.every((byte) => byte === 0)) return cidrHas(exactly(bound), bytes)
      return setHas('loopback', bytes) || setHas('unspecified', bytes) || isThisMachine(bytes)
    })
  }

  /** Whether the server itself listens there: nobody takes that from it. */
  _isOwnPlace ({ path, port }, one) {
    const place = path === undefined ? { address: one, port } : { path }
    return port !== 0 && this._own().some((own) => overlaps(own, place))
  }

  _judgeListen (request, one) {
    const bytes = request.path === undefined ? addressBytes(one) : null
    if (bytes !== null && zoneOf(one) !== '' && !setHas('link-local', bytes)) return deny('built-in', TEXTS.zone)
    const at = this.permitListen.findIndex((rule) => concerns(rule, request) && (bytes === null
      ? isPlainPath(one) && matchesPath(rule, one)
      : permitsPort(rule, request.port) && matchesAddress(rule, bytes)))
    return at < 0 ? deny('default', TEXTS.listen) : allow('rule', this.permitListen[at], at + 1)
  }
}

/** A deny rule is hit by either form of an address, an allow rule by the first. */
function touches (rule, name, forms) {
  if (name !== null && matchesName(rule, name)) return true
  return rule.action === 'allow'
    ? matchesAddress(rule, forms[0])
    : forms.some((bytes) => matchesAddress(rule, bytes))
}

function permitsPort (rule, port) {
  return port === 0 ? rule.low <= FREE_PORTS.low && rule.high >= FREE_PORTS.high : hasPort(rule, port)
}

/** What a bind address of RFC 4254 §7.1 stands for; [] for what is none. */
function listenAddresses (host) {
  if (host === '' || host === '*') return ['0.0.0.0', '::']
  if (host.toLowerCase() === 'localhost') return ['127.0.0.1', '::1']
  return net.isIP(host) === 0 ? [] : [host]
}

/** permitlisten: as sshd compares it, the address as it was asked for. */
function keyMayListen ({ permitListen = null }, { host, port, path }) {
  if (permitListen === null) return true
  if (path !== undefined) return false
  const asked = host === '' ? '*' : host.toLowerCase()
  return permitListen.some((one) => (one.port === 0 || one.port === port) &&
    (one.host === '*' || one.host === asked || sameAddress(one.host, asked)))
}

module.exports = { Policy }
