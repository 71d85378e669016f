'use strict'

/** What alknet exports, and nothing else. */

const { version } = require('../package.json')
const binding = require('./binding')
const { AlknetError } = require('./errors')
const { checkConnect, checkServe, testPolicy } = require('./check')
const { readConfig } = require('./config')
const { createEventHub } = require('./events/hub')
const { authorizeByScopes } = require('./events/permissions')
const { createEventTarget } = require('./events/target')
const { askControl, findControls } = require('./control-ask')
const { clientOptions, connectOptions } = require('./options')
const { diagnose } = require('./doctor')
const { fingerprint, generateKey, parsePublicKey } = require('./keys')
const { parseAuthorizedKeys } = require('./authorized-keys')
const { createNotifier, inheritedListeners } = require('./service')
const { Session } = require('./session')
const { startSession } = require('./session-start')
const { Server } = require('./server')
const { startServer } = require('./server-start')
const { signCertificate } = require('./signing')
const { Stream } = require('./stream')

/**
 * Connects to a server and logs in.
 * @returns {Promise<Session>}
 */
async function openSession (options) {
  return startSession(clientOptions(options))
}

/**
 * Opens a session with one channel, by default to alknet-control:0. The
 * session is the stream's `session` and closes with it.
 * @returns {Promise<Stream>}
 */
async function connect (options) {
  const checked = connectOptions(options)
  const { destination, signal } = checked
  const session = await startSession(checked)
  try {
    const stream = await session.open(destination, { signal })
    stream.session = session
    stream.once('close', () => session.close())
    return stream
  } catch (err) {
    await session.close()
    throw err
  }
}

/**
 * Starts a server.
 * @returns {Promise<Server>}
 */
async function serve (options) {
  return startServer(options)
}

module.exports = {
  AlknetError,
  Server,
  Session,
  Stream,
  askControl,
  authorizeByScopes,
  checkConnect,
  checkServe,
  connect,
  createEventHub,
  createEventTarget,
  createNotifier,
  diagnose,
  findControls,
  fingerprint,
  generateKey,
  inheritedListeners,
  openSession,
  parseAuthorizedKeys,
  parsePublicKey,
  readConfig,
  serve,
  signCertificate,
  testPolicy,
  versions: Object.freeze({
    alknet: version,
    node: process.versions.node,
    ...binding.versions,
    engines: Object.freeze([...binding.engines])
  })
}
