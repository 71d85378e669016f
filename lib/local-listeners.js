'use strict'

/** What a client's session listens on, on this side. */

const { openForward } = require('./forward')
const { SocksListener } = require('./socks')

class LocalListeners {
  /** session: of session.js. */
  constructor (session) {
    this._session = session
    this._all = []
  }

  list () {
    return this._all
  }

  /** Adds a SOCKS proxy, or throws. */
  socks5 ({ socks5, socks5Auth }) {
    const session = this._session
    return this._add(new SocksListener(session._channels, socks5.address, socks5.port, socks5Auth, session._log))
  }

  /** Adds a forward. spec: of parseForward(). */
  async forward (spec) {
    const session = this._session
    return this._add(await openForward(session._channels, spec, session._log))
  }

  // The session may have been closed meanwhile.
  _add (listener) {
    if (this._session._isStopping) listener.close()
    this._session._checkOpen('session')
    this._all.push(listener)
    if (this._session._isUnref) listener.unref()
    listener.closed.then(() => {
      this._all = this._all.filter((one) => one !== listener)
    })
    return listener
  }

  keepAlive (keeps) {
    for (const listener of this._all) listener[keeps ? 'ref' : 'unref']()
  }
}

module.exports = { LocalListeners }
