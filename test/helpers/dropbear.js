'use strict'

/**
 * Dropbear at both ends. Its server takes authorized_keys from the home of the
 * account and nowhere else: it runs in a mount namespace of its own, in which
 * /etc/passwd is a file of the test.
 */

const { execFileSync, spawnSync } = require('node:child_process')
const fs = require('node:fs')
const path = require('node:path')
const { key, knownHostsLine } = require('./keys')
const { freePort } = require('./net')
const { need, start } = require('./proc')

const USER = 'tester'

/** The key pair in Dropbear's own format, private: what it takes everywhere. */
function converted (scope, pair) {
  const file = path.join(scope.dir(), 'key')
  execFileSync('dropbearconvert', ['openssh', 'dropbear', pair.path, file], { stdio: 'pipe' })
  return file
}

/** In a before(): skips, and says why, where dbclient cannot run. */
function needDbclient (context) {
  need(context, 'dbclient', 'dropbearconvert')
}

/** In a before(): skips, and says why, where the server cannot run. */
function needDropbear (context) {
  need(context, 'dropbear', 'dropbearconvert', 'unshare')
  let reason = null
  if (process.getuid() !== 0) reason = 'only root can give dropbear an account of the test'
  else if (spawnSync('unshare', ['--mount', 'true'], { stdio: 'ignore' }).status !== 0) reason = 'no mount namespaces here'
  if (reason === null) return
  console.log(`      skipped: ${reason}`)
  context.skip()
}

/**
 * Starts dropbear on a free loopback port; retries when another process takes
 * the port in between.
 *
 * @param {Scope} scope
 * @param {{ hostKey?: object, userKey?: object, args?: string[] }} [options]
 * @returns {Promise<{ proc: Proc, host: string, port: number, user: string, hostKeys: object[], knownHosts: string }>}
 */
async function startDropbear (scope, options = {}) {
  const { hostKey = key('ed25519', 'host'), userKey = key('ed25519', 'user'), args = [] } = options
  const home = scope.dir()
  fs.mkdirSync(path.join(home, '.ssh'), { mode: 0o700 })
  fs.writeFileSync(path.join(home, '.ssh', 'authorized_keys'), `${userKey.public}\n`, { mode: 0o600 })
  const passwd = scope.file('passwd', `${USER}:x:0:0::${home}:/bin/sh\n`, 0o644)
  const keyFile = converted(scope, hostKey)
  const host = '127.0.0.1'
  for (let tries = 0; ; tries++) {
    const port = await freePort(host)
    const proc = start(scope, 'unshare', ['--mount', 'sh', '-c', 'mount --bind "$0" /etc/passwd && exec "$@"', passwd,
      'dropbear', '-F', '-E', '-s', '-P', path.join(home, 'pid'), '-p', `${host}:${port}`, '-r', keyFile, ...args])
    try {
      await proc.waitFor(/Not backgrounding/)
    } catch (err) {
      if (tries < 4 && /Address already in use/.test(proc.output)) continue
      throw err
    }
    return { proc, host, port, user: USER, hostKeys: [hostKey], knownHosts: knownHostsLine(host, port, hostKey) }
  }
}

/**
 * Starts `dbclient -N` with forwards and waits until they stand.
 *
 * @param {Scope} scope
 * @param {object} server
 * @param {{ local: string[], identity?: object, args?: string[] }} options
 *   local: `host:port` targets, each behind a free port
 * @returns {Promise<{ proc: Proc, local: { host: string, port: number }[] }>}
 */
async function startDbclient (scope, server, options) {
  const identity = converted(scope, options.identity || key('ed25519', 'user'))
  const HOME = scope.dir()
  for (let tries = 0; ; tries++) {
    const local = []
    const args = ['-N', '-y', '-y', '-i', identity, '-p', String(server.port), ...(options.args || [])]
    for (const target of options.local) {
      local.push({ host: '127.0.0.1', port: await freePort() })
      args.push('-L', `127.0.0.1:${local.at(-1).port}:${target}`)
    }
    const proc = start(scope, 'dbclient', [...args, `${server.user}@${server.host}`],
      { env: { ...process.env, HOME } })
    await waitForListeners(proc, local)
    if (proc.result === null) return { proc, local }
    if (tries < 4 && /Address already in use|Failed/.test(proc.output)) continue
    throw new Error(`dbclient ended:\n${proc.output}`)
  }
}

/** dbclient says nothing when its forwards stand: the kernel's table does. */
async function waitForListeners (proc, local) {
  const LISTEN = '0A'
  const hex = ({ port }) => `:${port.toString(16).toUpperCase().padStart(4, '0')}`
  for (;;) {
    if (proc.result !== null) return
    const rows = fs.readFileSync('/proc/net/tcp', 'latin1').split('\n').map((line) => line.trim().split(/\s+/))
    if (local.every((one) => rows.some((row) => row[1]?.endsWith(hex(one)) && row[3] === LISTEN))) return
    await new Promise((resolve) => setImmediate(resolve))
  }
}

module.exports = { needDbclient, needDropbear, startDbclient, startDropbear }
