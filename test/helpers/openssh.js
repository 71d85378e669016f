'use strict'

/** Stock OpenSSH at both ends: `sshd` to connect to, `ssh` to connect with. */

const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')
const { key, knownHostsLine } = require('./keys')
const { freePort } = require('./net')
const { has, start } = require('./proc')

const me = os.userInfo().username

function sshdPath () {
  return ['/usr/sbin/sshd', '/usr/local/sbin/sshd', '/usr/lib/ssh/sshd']
    .find((file) => fs.existsSync(file))
}

/** In a before() or it(): skips, and says why, where sshd cannot run. */
function needSshd (context) {
  let reason = null
  if (sshdPath() === undefined) reason = 'sshd is not installed'
  else if (process.getuid() === 0) {
    try {
      fs.mkdirSync('/run/sshd', { recursive: true, mode: 0o755 })
    } catch (err) {
      reason = `sshd needs /run/sshd: ${err.message}`
    }
  }
  if (reason === null) return
  console.log(`      skipped: ${reason}`)
  context.skip()
}

/**
 * Starts sshd on a free loopback port; retries when another process takes the
 * port in between.
 *
 * @param {Scope} scope
 * @param {{ hostKeys?: object[], userKeys?: object[], config?: string[], host?: string, machine?: Machine }} [options]
 *   machine: one of netns.js's, instead of this one
 * @returns {Promise<{ proc: Proc, host: string, port: number, user: string, hostKeys: object[], knownHosts: string }>}
 */
async function startSshd (scope, options = {}) {
  const { host = '127.0.0.1', config = [], machine } = options
  const hostKeys = options.hostKeys || [key('ed25519', 'host')]
  const userKeys = options.userKeys || [key('ed25519', 'user')]
  const dir = scope.dir()
  const authorized = path.join(dir, 'authorized_keys')
  fs.writeFileSync(authorized, userKeys.map((k) => `${k.public}\n`).join(''), { mode: 0o600 })
  for (let tries = 0; ; tries++) {
    // Another machine has other ports: that of ours is as good as any.
    const port = await freePort(machine === undefined ? host : undefined)
    const file = path.join(dir, 'sshd_config')
    fs.writeFileSync(file, [
      ...config, // sshd takes the first value of each setting
      `ListenAddress ${host}`,
      `Port ${port}`,
      ...hostKeys.map((k) => `HostKey ${k.path}`),
      `AuthorizedKeysFile ${authorized}`,
      'PidFile none',
      'StrictModes no',
      'UsePAM no',
      'PasswordAuthentication no',
      'KbdInteractiveAuthentication no',
      'PermitRootLogin prohibit-password',
      'AllowTcpForwarding yes',
      'MaxSessions 4096',
      'MaxStartups 1000',
      'LogLevel DEBUG1',
      'UseDNS no',
      ''
    ].join('\n'))
    const argv = [sshdPath(), '-D', '-e', '-f', file]
    const proc = machine === undefined ? start(scope, argv[0], argv.slice(1)) : machine.start(scope, argv)
    try {
      await proc.waitFor(/Server listening on \S+ port \d+/)
    } catch (err) {
      if (tries < 4 && /Address already in use/.test(proc.output)) continue
      throw err
    }
    return {
      proc,
      host,
      port,
      user: me,
      hostKeys,
      knownHosts: hostKeys.map((k) => knownHostsLine(host, port, k)).join('')
    }
  }
}

/**
 * The arguments that keep ssh away from the user's own files.
 *
 * @param {Scope} scope
 * @param {{ host: string, port: number, user: string, hostKeys: object[] }} server
 * @param {{ identity?: object, options?: string[] }} [options]
 */
function sshArgs (scope, server, options = {}) {
  const identity = options.identity || key('ed25519', 'user')
  const known = scope.file('known_hosts', server.hostKeys
    .map((k) => knownHostsLine(server.host, server.port, k)).join(''))
  const settings = [
    ...(options.options || []), // ssh takes the first value of each setting
    `UserKnownHostsFile=${known}`,
    'GlobalKnownHostsFile=/dev/null',
    'StrictHostKeyChecking=yes',
    'IdentitiesOnly=yes',
    'IdentityAgent=none',
    'BatchMode=yes',
    'ExitOnForwardFailure=yes'
  ]
  return ['-v', '-F', 'none', '-i', identity.path, '-p', String(server.port),
    ...settings.flatMap((setting) => ['-o', setting]),
    ...(options.args || []),
    `${server.user}@${server.host}`, ...(options.command || [])]
}

/**
 * Starts `ssh -N` with forwards and waits until they stand.
 *
 * @param {Scope} scope
 * @param {object} server
 * @param {{ dynamic?: boolean, local?: string[], identity?: object, options?: string[] }} [options]
 *   local: `host:port` targets, each behind a free port
 * @returns {Promise<{ proc: Proc, socks: { host: string, port: number }, local: { host: string, port: number }[] }>}
 */
async function startSsh (scope, server, options = {}) {
  for (let tries = 0; ; tries++) {
    const args = ['-N']
    const socks = { host: '127.0.0.1', port: await freePort() }
    if (options.dynamic !== false) args.push('-D', `127.0.0.1:${socks.port}`)
    const local = []
    for (const target of options.local || []) {
      local.push({ host: '127.0.0.1', port: await freePort() })
      args.push('-L', `127.0.0.1:${local.at(-1).port}:${target}`)
    }
    const proc = start(scope, 'ssh', sshArgs(scope, server, { ...options, args }))
    try {
      await proc.waitFor(/Entering interactive session/)
    } catch (err) {
      if (tries < 4 && /Address already in use/.test(proc.output)) continue
      throw err
    }
    return { proc, socks, local }
  }
}

/** Runs ssh to its end. */
function runSsh (scope, server, options) {
  return start(scope, 'ssh', sshArgs(scope, server, options)).exited
}

module.exports = { me, needSshd, startSshd, startSsh, runSsh, sshArgs, has }
