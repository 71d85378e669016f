'use strict'

/** What the commands that stay up have to do with a service manager. */

const { plain } = require('./shared')

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
    given.options.listen = listen
    return given
  }
}

module.exports = { notifier, withSockets }
