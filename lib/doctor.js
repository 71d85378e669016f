'use strict'

/**
 * Looks for what would keep a client or a server from working, and says what to
 * do. The checks are tables: doctor/client.js and doctor/server.js. Nothing is
 * left behind; a client logs in once and leaves.
 */

const { canceled, optionError } = require('./errors')
const { clientOptions, serverOptions } = require('./options')
const { startSession } = require('./session-start')
const { CLIENT } = require('./doctor/client')
const { SERVER } = require('./doctor/server')
const { failure, skip } = require('./doctor/findings')

const COMMANDS = {
  connect: { checks: CLIENT, check: clientOptions },
  serve: { checks: SERVER, check: serverOptions }
}

/** The same key is asked about by several checks, and its owner once. */
function askOnce (passphrase) {
  if (typeof passphrase !== 'function') return passphrase
  const answers = new Map()
  return (name) => {
    if (!answers.has(name)) answers.set(name, passphrase(name))
    return answers.get(name)
  }
}

async function findingsOf (check, context) {
  const { statusOf } = context
  const missing = (check.needs ?? []).find((name) => statusOf(name) === 'fail' || statusOf(name) === 'skip')
  if (missing !== undefined) return [skip(`not looked at: ${missing} has to be right first`)]
  try {
    return [await check.run(context)].flat()
  } catch (err) {
    if (err.code === 'ERR_ALKNET_CANCELED') throw err
    return [failure(err)]
  }
}

const RANK = ['skip', 'ok', 'warn', 'fail']

/**
 * Checks keys, trust, ports, the clock, and for a client the way to its server
 * up to a login; for each finding it says what to do. Rejects only when an
 * option is wrong or signal was aborted.
 * @param {object} raw options of openSession() or of serve()
 * @param {object} [about]
 * @param {'connect'|'serve'} [about.command='connect'] whose options
 * @param {(finding: object) => void} [about.onFinding] gets each as it is found
 * @param {Function} [about.lookup] in place of dns.promises.lookup
 * @returns {Promise<{ ok: boolean, findings: object[] }>} findings: { check,
 *   status: 'ok'|'warn'|'fail'|'skip', text, advice }
 */
async function diagnose (raw, { command = 'connect', onFinding = () => {}, lookup } = {}) {
  if (!Object.hasOwn(COMMANDS, command)) throw optionError('command', 'must be connect or serve')
  const { checks, check } = COMMANDS[command]
  const options = check(raw)
  const findings = []
  const statusOf = (name) => RANK[Math.max(-1, ...findings.filter((one) => one.check === name).map((one) => RANK.indexOf(one.status)))]
  const context = { statusOf, options, raw, lookup, passphrase: askOnce(options.passphrase), openSession: (raw) => startSession(clientOptions(raw)) }
  for (const one of checks) {
    if (options.signal?.aborted) throw canceled('session', options.signal.reason)
    if (one.applies?.(options) === false) continue
    for (const found of await findingsOf(one, context)) {
      const finding = { check: one.name, ...found }
      findings.push(finding)
      onFinding(finding)
    }
  }
  return { ok: findings.every(({ status }) => status !== 'fail'), findings }
}

module.exports = { diagnose }
