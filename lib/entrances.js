'use strict'

/** All the places where a server listens, and the certificates that are shown there. */

const { Entrance, placeKeys } = require('./entrance')
const { certificateOf } = require('./tls-files')

class Entrances {
  /** server: of server.js. */
  constructor (server) {
    this._server = server
    this._all = []
    /** { address, family, port, transport } of each. */
    this.addresses = []
  }

  /** places: of listenPlaces(). contexts: for each of them, of serverContexts(). */
  listen (places, contexts) {
    for (const [index, place] of places.entries()) {
      const entrance = new Entrance(this._server, place, contexts[index])
      this._all.push(entrance)
      this.addresses.push(entrance.address)
      this._server.onopen()
    }
    for (const { transport, address, port } of this.addresses) {
      this._server._log.info('listening', { transport, address, port })
    }
  }

  indexOf (entrance) {
    return this._all.indexOf(entrance)
  }

  /** The addon's TlsContext of each, or null. */
  get contexts () {
    return this._all.map(({ context }) => context)
  }

  /** When the first of the certificates that are shown expires; undefined: none is shown. */
  get expires () {
    const times = this.contexts.flatMap((context) => certificateOf(context)?.expires ?? [])
    return times.length === 0 ? undefined : new Date(Math.min(...times))
  }

  /**
   * Has those who come from now on meet other contexts. Those of places where
   * nobody listens are for the next start. contexts: [] leaves those that there
   * are. Gives the places that are in force.
   */
  use (places, contexts) {
    const { _acme: acme, _options: { places: old } } = this._server
    // A certificate of ACME may have come meanwhile.
    const contextOf = (place, index) => (place.isAcme && acme?.shownAt(place)) || contexts[index]
    const fresh = new Map(placeKeys(places).map((key, index) => [key, { place: places[index], context: contextOf(places[index], index) }]))
    const keys = placeKeys(old)
    for (const [index, entrance] of this._all.entries()) {
      entrance.context = fresh.get(keys[index])?.context ?? entrance.context
      if (entrance.context !== null) acme?.challenges.adopt(entrance.context)
    }
    return old.map((place, index) => {
      const next = fresh.get(keys[index])?.place ?? place
      // Nobody asks a CA before the next start: until then it is the files.
      return next.isAcme && acme === null ? place : next
    })
  }

  ref () {
    for (const { handle } of this._all) handle.ref()
  }

  unref () {
    for (const { handle } of this._all) handle.unref()
  }

  close () {
    for (const { handle } of this._all) handle.close()
    this._all = []
  }
}

module.exports = { Entrances }
