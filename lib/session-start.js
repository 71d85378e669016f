'use strict'

/**
 * How a session begins: keys and known_hosts read -> listeners bound -> its
 * first link -> the server listens, too. What goes wrong undoes all of it.
 */

const { canceled } = require('./errors')
const { clientAnswers } = require('./control-answers')
const { openControl } = require('./control-socket')
const { loadCredentials } = require('./credentials')
const { DuplexTransport } = require('./duplex')
const { Session } = require('./session')
const { readSecret } = require('./stealth')
const { clientContext } = require('./tls-files')

/**
 * @param {object} options of clientOptions()
 * @returns {Promise<Session>} it is ready
 */
async function startSession (options) {
  if (options.stream === undefined) return beginSession(options, null)
  const duplex = new DuplexTransport(options.stream)
  try {
    return await beginSession(options, duplex)
  } catch (err) {
    duplex.close()
    throw err
  }
}

async function beginSession (options, duplex) {
  const { signal, onSession } = options
  if (signal?.aborted) throw canceled('connect', signal.reason)
  const credentials = await loadCredentials(options)
  const tls = options.transport === 'tls' ? await clientContext(options) : null
  const secret = await readSecret(options)
  const session = new Session(options, { ...credentials, tls, secret }, duplex)
  try {
    onSession?.(session)
    await session._openMetrics()
    session._control = await openControl(options.control, 'connect', clientAnswers(session), session._log)
    await session._listen()
    await session._keeper.begin(signal)
    return session
  } catch (err) {
    session._shut(err)
    await session.closed
    // What was bound only after somebody had closed the session.
    await Promise.all([session._control?.close(), session._metrics?.close()])
    throw err
  }
}

module.exports = { startSession }
