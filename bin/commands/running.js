'use strict'

/** Which running clients and servers are meant. */

const { inFlags, plain } = require('./shared')

function asked (err) {
  // Whatever went wrong over there, here it is the question that failed.
  return err.stage === 'options' ? inFlags(err) : Object.assign(err, { stage: 'control' })
}

function usage (message) {
  return Object.assign(new Error(message), { code: 'ERR_ALKNET_OPTION', stage: 'options' })
}

/** Asks; what fails has exit code 1, but for what was wrong in the question. */
async function ask (path, request) {
  const { askControl } = require('../..')
  return askControl(path, request).catch((err) => { throw asked(err) })
}

/**
 * Those that run, each with its status: the one at the path, or all that are
 * found. role: 'client', 'server' or neither. Throws when there is none.
 */
async function choose (path, role) {
  const { findControls } = require('../..')
  if (path !== undefined) return [{ path, status: await ask(path, { op: 'status' }) }]
  const found = (await findControls()).filter(({ status }) => role === undefined || status.role === role)
  if (found.length > 0) return found
  const what = role === 'client' ? 'alknet connect' : 'alknet connect or alknet serve'
  throw Object.assign(new Error(`no ${what} of this user is running with a control socket at the usual place (--control names another)`),
    { code: 'ERR_ALKNET_CLOSED', stage: 'control' })
}

/** The client that is meant: the one at the path, or the only one. */
async function chooseClient (path) {
  if (path !== undefined) return path
  const found = await choose(path, 'client')
  if (found.length === 1) return found[0].path
  const lines = found.map((one) => `  --control ${one.path}    client of ${plain(one.status.server)} as ${plain(one.status.user)}`)
  throw usage(`there are ${found.length} clients running; say which one:\n${lines.join('\n')}`)
}

module.exports = { ask, choose, chooseClient, usage }
