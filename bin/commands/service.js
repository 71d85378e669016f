'use strict'

/** What the commands that stay up have to do with a service manager. */

const { plain } = require('./shared')
const { usage } = require('./running')

/** Who has started us, where that is a service manager. */
function notifier () {
  const { createNotifier } = require('../..')
  return createNotifier({
    onProblem: (err) => process.stderr.write(`alknet: the service manager cannot be told anything: ${plain(err.message)}\n`)
  })
}

/** Sockets that a service manager has bound stand in the place of --listen. */
function withSockets (collect) {
  const { inheritedListeners } = require('../..')
  const listen = inheritedListeners()
  if (listen.length === 0) return collect
  return async () => {
    const given = await collect()
    if (given.options.listeners !== undefined) {
      throw usage('[[listeners]] makes no sense for sockets that are handed over: set transport, tls-cert and tls-key in [server]')
    }
    given.options.listen = listen
    return given
  }
}

module.exports = { notifier, withSockets }
