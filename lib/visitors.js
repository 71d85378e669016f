'use strict'

/**
 * Who comes to a listener that passes for a web server:
 *
 *   arrived -> TLS, the first bytes (all of it in C) -> an SSH client: to the others
 *                 |                                        | no room, or a penalty
 *                 v                                        v
 *              a visitor -> [asked: the site, or its absence] -> pages -> gone
 *
 * Visitors have places of their own: they take none from those who log in, and
 * nothing is held against a source for a browser in it. But a client is one of
 * them until it has said so. When all places are taken, the source that has
 * most of them gives one back: whoever fills them has his own go round, and
 * those who come from elsewhere have the time to say who they are.
 */

const binding = require('./binding')
const { sourceOf } = require('./addresses')
const { dialHost } = require('./dial')
const { unackedMs } = require('./keepalive')
const { rarely } = require('./listener')
const { dnsError } = require('./lookups')
const { Site } = require('./site')

// What nginx says of a site that it cannot reach, and of one that is too slow.
const BAD_GATEWAY = 502
const GATEWAY_TIMEOUT = 504
const NOT_FOUND = 404

/** One connection. Owner of the addon's gate. */
class Visitor {
  /** site: that of stealthUpstream when it came, or null: a reload may take it away meanwhile. */
  constructor (visitors, gate, peer, site) {
    this._visitors = visitors
    this._gate = gate
    this._site = site
    this._dialing = null
    this.peer = peer
    this.source = sourceOf(peer.address)
    this.outcome = null // ours, in place of what the addon says
    gate.owner = this
  }

  onssh () {
    if (this._visitors._letIn(this, this._gate)) return
    if (this._site === null) this._gate.serve(NOT_FOUND)
    else this.onvisitor()
  }

  async onvisitor () {
    const { host, port } = this._site
    const timeoutMs = this._visitors._options.connectTimeout * 1000
    this._dialing = new AbortController()
    const { signal } = this._dialing
    try {
      const site = await dialHost(binding, { host, port, timeoutMs, signal, lookup: this._site.lookupFor(signal) })
      if (this._gate === null) return site.close()
      this._gate.relay(site)
    } catch (err) {
      if (this._gate === null) return
      this._visitors._warn('site failed', { error: err.code })
      this._gate.serve(err.code === 'ERR_ALKNET_TIMEOUT' ? GATEWAY_TIMEOUT : BAD_GATEWAY)
    }
  }

  onclose (outcome) {
    this._gate = null
    this._dialing?.abort()
    this._visitors._left(this, this.outcome ?? outcome)
  }

  /** It is somebody else's. */
  leave () {
    this._gate.owner = null
    this._gate = null
  }

  close (outcome = null) {
    this.outcome = outcome
    this._gate.close()
  }

  /** At once, also while it closes. */
  drop () {
    this._gate.drop()
  }
}

class Visitors {
  /**
   * admission: who takes SSH clients. onEmpty(): the last has left.
   */
  constructor (server, admission, { counters, log, onEmpty }) {
    this._server = server
    this._admission = admission
    this._counters = counters
    this._warn = rarely(log)
    this._log = rarely(log, 'debug')
    this._onEmpty = onEmpty
    this._all = new Set()
    this._bySource = new Map() // the same, of each source the oldest first
    this._leaving = new Set() // who have made room, until they are gone
    this._secret = null
    this._site = null
  }

  /** How many there are. */
  get count () {
    return this._all.size
  }

  /** Whether nobody is left, also of those who have made room. */
  get isEmpty () {
    return this._all.size === 0 && this._leaving.size === 0
  }

  get _options () {
    return this._server._options
  }

  /** What the options say now holds for those who come from now on. secret: of readSecret(). */
  update (secret) {
    this._secret = secret
    const { stealthUpstream } = this._options
    if (stealthUpstream?.text === this._site?.text) return
    this._site?.close()
    this._site = stealthUpstream === undefined
      ? null
      : new Site(stealthUpstream, (err) => this._warn('site failed', { error: dnsError(err).code }))
  }

  /** Somebody has connected. stream: of the addon, open. context: with what to speak TLS. */
  arrive (stream, peer, context) {
    const { stealthServer, stealthHeadTimeout, stealthIdleTimeout } = this._options
    this._makeRoom()
    stream.limitUnacked(unackedMs(this._options))
    const gate = binding.openGate(stream, context, stealthServer, this._secret,
      stealthHeadTimeout * 1000, stealthIdleTimeout * 1000, this._site !== null)
    this._add(new Visitor(this, gate, peer, this._site))
  }

  _add (visitor) {
    this._all.add(visitor)
    const ofSource = this._bySource.get(visitor.source)
    if (ofSource === undefined) this._bySource.set(visitor.source, new Set([visitor]))
    else ofSource.add(visitor)
  }

  _remove (visitor) {
    if (!this._all.delete(visitor)) return
    const ofSource = this._bySource.get(visitor.source)
    ofSource.delete(visitor)
    if (ofSource.size === 0) this._bySource.delete(visitor.source)
  }

  _makeRoom () {
    // Two for one that comes: a limit that was made lower is reached in time.
    for (let i = 0; i < 2 && this._all.size >= this._options.maxVisitors; i++) {
      const one = this._oneToGo()
      this._remove(one)
      this._leaving.add(one)
      one.close('crowded')
    }
    // They have a second for it, and no more places than that: who reads nothing
    // and comes again and again would else have any number.
    while (this._leaving.size > this._options.maxVisitors) {
      const [first] = this._leaving
      this._leaving.delete(first)
      first.drop()
    }
  }

  // Also one that is with the site: else who holds all places but a few with it
  // would have those go who are just about to say that they are clients.
  _oneToGo () {
    let most = new Set()
    for (const ofSource of this._bySource.values()) {
      if (ofSource.size > most.size) most = ofSource
    }
    const [oldest] = most
    return oldest
  }

  /** False: it has to be a visitor. */
  _letIn (visitor, gate) {
    const ticket = this._admission.ticketFor(visitor.peer)
    if (ticket === null) return false
    const stream = gate.take()
    if (stream !== null) binding.tlsPad(stream) // what it says first has always the same length
    this._remove(visitor)
    visitor.leave()
    this._admission.take(stream, visitor.peer, ticket)
    return true
  }

  _left (visitor, outcome) {
    const { address, port, transport } = visitor.peer
    this._remove(visitor)
    this._leaving.delete(visitor)
    this._counters.count('visitors', outcome)
    this._log('visitor', { remote_addr: address, remote_port: port, transport, reason: outcome })
    this._onEmpty()
  }

  /** All are sent away. */
  close () {
    this._site?.close()
    for (const one of this._all) one.close()
  }
}

module.exports = { Visitors }
