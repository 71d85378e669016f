'use strict'

/** Where a server listens, and what is spoken there. */

const { formatPlaces } = require('./listen-options')
const { adopt, listen } = require('./listener')

/** One place where a server listens. Owner of the addon's listener. */
class Entrance {
  /** place: of listenPlaces(). context: the addon's TlsContext, or null for tcp. */
  constructor (server, place, context) {
    this._server = server
    this.transport = place.transport
    this.context = context // another one when it is reloaded
    /** Whether it passes for a web server. */
    this.isStealthy = place.stealth === true
    this.handle = place.fd === undefined ? listen(place.address, place.port) : adopt(place.fd)
    this.handle.owner = this
    this.address = { ...this.handle.address(), transport: place.transport }
  }

  onstream (stream) {
    this._server._admission.arrive(stream, this)
  }

  onerror (err) {
    this._server.onerror(err)
  }

  onclose () {
    this._server.onclose()
  }
}

/** What tells places from one another: port 0 may be there twice. */
function placeKeys (places) {
  const seen = new Map()
  return formatPlaces(places).map((place, index) => {
    const name = places[index].stealth ? `${place} stealth` : place
    const count = (seen.get(name) ?? 0) + 1
    seen.set(name, count)
    return `${name} ${count}`
  })
}

module.exports = { Entrance, placeKeys }
