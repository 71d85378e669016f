'use strict'

/**
 * Where control sockets are: one of a process, in a directory that is nobody
 * else's.
 *
 *   $XDG_RUNTIME_DIR/alknet/       when that directory is ours
 *   ~/.config/alknet/run/          otherwise
 *
 * Who asks looks into both: a server that the system has started may not have
 * the variable that a user's shell has.
 */

const fs = require('fs/promises')
const os = require('os')
const path = require('path')
const { fail } = require('./errors')
const { listenUnix } = require('./unix-socket')

const NAME = /^(connect|serve)-(\d{1,10})(?:-\d{1,3})?\.sock$/

// How many files of a directory are looked at.
const MAX_FILES = 256

function isOurs (stats) {
  return process.geteuid === undefined || stats.uid === process.geteuid()
}

/** The directories that may have control sockets, the preferred one first. */
async function runDirs () {
  const dirs = homeDirs()
  const runtime = process.env.XDG_RUNTIME_DIR
  if (runtime === undefined || !path.isAbsolute(runtime)) return dirs
  // After su the variable may still name somebody else's.
  const stats = await fs.lstat(runtime).catch(() => null)
  if (stats !== null && stats.isDirectory() && isOurs(stats)) dirs.unshift(path.join(runtime, 'alknet'))
  return dirs
}

// There are users without a home, and then there is none to look into.
function homeDirs () {
  try {
    return [path.join(os.homedir(), '.config', 'alknet', 'run')]
  } catch {
    return []
  }
}

/** Makes a directory that only we can look into, or throws. */
async function prepareDir (dir) {
  await fs.mkdir(dir, { recursive: true, mode: 0o700 })
  const stats = await fs.lstat(dir)
  if (!stats.isDirectory() || !isOurs(stats)) throw fail('SYS', 'listen', `${dir} is not a directory of this user`)
  if ((stats.mode & 0o077) !== 0) await fs.chmod(dir, 0o700)
}

/** The sockets of a directory: [{ file, command, pid }]. */
async function socketsIn (dir) {
  const names = await fs.readdir(dir).catch(() => [])
  return names.map((name) => NAME.exec(name)).filter((match) => match !== null).slice(0, MAX_FILES)
    .map(([name, command, pid]) => ({ file: path.join(dir, name), command, pid: Number(pid) }))
}

/**
 * Removes what processes have left that were killed: who listens at such a
 * path and stops, takes the file away. One that is in use stays: its process
 * has a pid of another namespace.
 */
async function sweep (dir) {
  for (const { file, pid } of await socketsIn(dir)) {
    if (!isRunning(pid)) await listenUnix(file).then((listener) => listener.close(), () => {})
  }
}

function isRunning (pid) {
  try {
    process.kill(pid, 0)
    return true
  } catch (err) {
    return err.code !== 'ESRCH'
  }
}

module.exports = { prepareDir, runDirs, socketsIn, sweep }
