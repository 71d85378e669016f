'use strict'

/** Whether it can listen where it is to listen: binds, and lets go at once. */

const binding = require('../binding')
const { formatHostPort } = require('../addresses')
const { findControls } = require('../control-ask')
const { SYSTEM_ADVICE, systemText } = require('../errors')
const { adopt } = require('../listener')
const { listenUnix } = require('../unix-socket')
const { failed, ok, skip } = require('./findings')

const nameOf = ({ address, port, path, fd }) => path ?? (fd === undefined ? formatHostPort(address, port) : `descriptor ${fd}`)

async function bind ({ address, port, path, fd }) {
  if (path !== undefined) return listenUnix(path)
  return fd === undefined ? binding.listenTcp(address, port) : adopt(fd)
}

/** ' by alknet (process 123)' when one of this user's has the place. */
async function holder ({ port, path }) {
  const listens = (address) => path === undefined ? address?.port === port : address?.path === path
  const found = (await findControls()).find(({ status }) =>
    [...(status.addresses ?? []), ...(status.listeners ?? []).map((one) => one.address), status.metrics].some(listens))
  return found === undefined ? '' : ` by alknet (process ${found.status.pid})`
}

async function checkPlace (what, place) {
  const text = `${what} on ${nameOf(place)}`
  if (place.fd !== undefined) return skip(`${text}: whoever starts alknet has it`)
  try {
    (await bind(place)).close()
    return ok(`${text}: ${place.port === 0 ? 'any port' : 'free'}`)
  } catch (err) {
    const why = err.code === 'EADDRINUSE' ? `in use${await holder(place)}` : place.path === undefined ? systemText(err) : err.message
    return failed(`${text}: ${why}`, SYSTEM_ADVICE[err.code])
  }
}

/** places: [[what, { address, port } or { path } or { fd }]]. */
async function checkPlaces (places) {
  const findings = []
  for (const [what, place] of places) findings.push(await checkPlace(what, place))
  return findings
}

module.exports = { checkPlaces }
