'use strict'

/**
 * How a server starts: keys and certificates are read, what answers questions
 * about it is opened, and last it listens. What fails takes the rest with it.
 */

const { loadHostKeys } = require('./credentials')
const { canceled, optionError, AlknetError } = require('./errors')
const { ownOptions, serverOptions } = require('./options')
const { Server } = require('./server')
const { readSecret } = require('./stealth')

/** given: options as the user has them, who may change them once this waits. */
async function startServer (given) {
  const options = serverOptions(given)
  const raw = ownOptions(given)
  const { signal } = options
  if (signal?.aborted) throw canceled('listen', signal.reason)
  const { keys, problems } = await loadHostKeys(options)
  const secret = await readSecret(options)
  const server = new Server(raw, options, keys)
  for (const { source, message } of problems) server._log.warn('host certificate of no use', { source, problem: message })
  server._admission.visitors.update(secret)
  try {
    const contexts = await server._openContexts(options)
    await server._inForce.loadAuth()
    await server._openMetrics()
    await server._openControl()
    await server._workers?.start()
    if (signal?.aborted) throw canceled('listen', signal.reason)
    server._listen(contexts)
    await server._workers?.update() // before anybody who has come: it has gone first
    if (signal?.aborted) throw canceled('listen', signal.reason)
    server._startAcme()
  } catch (err) {
    await server.close()
    throw err instanceof AlknetError ? err : optionError('listen', err.message, err)
  }
  return server
}

module.exports = { startServer }
