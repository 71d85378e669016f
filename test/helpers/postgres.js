'use strict'

/** PostgreSQL from the distribution, in a directory of the test, and `psql`. */

const crypto = require('node:crypto')
const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')
const { pipeline } = require('node:stream/promises')
const { execFileSync, spawnSync } = require('node:child_process')
const { cleanEnv } = require('./alknet')
const { freePort } = require('./net')
const { run, start } = require('./proc')

const SUPERUSER = 'tester'

/** The folder with the newest PostgreSQL's programs, or null. */
function programs () {
  const home = '/usr/lib/postgresql' // Debian keeps one folder for each version there
  const versions = fs.existsSync(home) ? fs.readdirSync(home).sort((a, b) => b - a) : []
  const dirs = [...versions.map((one) => path.join(home, one, 'bin')), ...(process.env.PATH ?? '').split(':')]
  return dirs.find((dir) => ['initdb', 'postgres', 'psql'].every((one) => fs.existsSync(path.join(dir, one)))) ?? null
}

/** Who PostgreSQL is to run as: it refuses root. Null: nobody here can. */
function account () {
  const { uid, gid } = os.userInfo()
  if (uid !== 0) return { uid, gid }
  const { status, stdout } = spawnSync('getent', ['passwd', 'postgres', 'nobody'], { encoding: 'utf8' })
  if (status !== 0 && !stdout) return null
  const [, , user, group] = stdout.split('\n')[0].split(':')
  return { uid: Number(user), gid: Number(group) }
}

/** In a before(): skips, and says why, where PostgreSQL cannot run. */
function needPostgres (context) {
  let reason = null
  if (programs() === null) reason = 'PostgreSQL is not installed'
  else if (account() === null) reason = 'PostgreSQL does not run as root, and there is no other account'
  if (reason === null) return
  console.log(`      skipped: ${reason}`)
  context.skip()
}

/** A directory that PostgreSQL may use; removed with the scope. */
function ownDir (scope) {
  const dir = scope.dir()
  const { uid, gid } = account()
  fs.chownSync(dir, uid, gid)
  return dir
}

/** [command, ...args] that run as PostgreSQL's account, in the same process. */
function asAccount (command) {
  if (process.getuid() !== 0) return command
  const { uid, gid } = account()
  return ['setpriv', `--reuid=${uid}`, `--regid=${gid}`, '--clear-groups', ...command]
}

/**
 * Starts PostgreSQL on a free loopback port and on a Unix socket, which is
 * `socket`; `dir` is the folder that it lies in. Ends with the scope.
 *
 * @param {Scope} scope
 * @returns {Promise<{ proc: Proc, host: string, port: number, dir: string, socket: string, password: string }>}
 */
async function startPostgres (scope) {
  const bin = programs()
  const password = crypto.randomUUID()
  const dir = ownDir(scope)
  const data = path.join(dir, 'data')
  const secret = path.join(ownDir(scope), 'password')
  fs.writeFileSync(secret, password, { mode: 0o644 })
  const [command, ...args] = asAccount([path.join(bin, 'initdb'), '-D', data, '-U', SUPERUSER, '-A', 'scram-sha-256',
    `--pwfile=${secret}`, '-E', 'UTF8', '--locale=C', '--no-sync', '--no-instructions'])
  execFileSync(command, args, { stdio: 'pipe', cwd: dir, env: cleanEnv(scope) })
  const { proc, port } = await listening(scope, bin, dir, data)
  return { proc, host: '127.0.0.1', port, dir, socket: path.join(dir, `.s.PGSQL.${port}`), password, user: SUPERUSER }
}

/** Retries when another process takes the port in between. */
async function listening (scope, bin, dir, data) {
  for (let tries = 0; ; tries++) {
    const port = await freePort()
    const settings = {
      listen_addresses: '127.0.0.1',
      unix_socket_directories: dir,
      port,
      fsync: 'off', // what it holds is thrown away
      shared_buffers: '16MB',
      synchronize_seqscans: 'off' // rows come in the order in which they were put in
    }
    const [command, ...args] = asAccount([path.join(bin, 'postgres'), '-D', data,
      ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])])
    const proc = start(scope, command, args, { cwd: dir, env: cleanEnv(scope) })
    scope.defer(() => {
      proc.kill('SIGQUIT') // at once, but it takes its children and its shared memory with it
      return proc.exited
    })
    try {
      await proc.waitFor(/ready to accept connections/)
      return { proc, port }
    } catch (err) {
      if (tries < 4 && /Address already in use/.test(proc.output)) continue
      throw err
    }
  }
}

/**
 * Runs `psql`; where: { host, port }, the host a folder for a Unix socket.
 *
 * @param {Scope} scope
 * @param {object} db - of startPostgres()
 * @param {{ host: string, port: number, wrap?: string[] }} where - wrap: a command that runs psql
 * @param {string} sql - or a command of psql's
 * @returns {Promise<{ code: number, stdout: string, stderr: string }>}
 */
function psql (scope, db, where, sql) {
  const [command, ...args] = [...(where.wrap ?? []), path.join(programs(), 'psql'), '-X', '-q', '-A', '-t',
    '-v', 'ON_ERROR_STOP=1', '-h', where.host, '-p', String(where.port), '-U', db.user, '-d', 'postgres', '-c', sql]
  return run(scope, command, args, {
    cwd: '/', // the account of the server need not see ours
    env: cleanEnv(scope, { PGPASSWORD: db.password, PGCONNECT_TIMEOUT: '60' })
  })
}

/** The same, and it must succeed: what it printed. */
async function query (scope, db, where, sql) {
  const { code, stdout, stderr } = await psql(scope, db, where, sql)
  if (code !== 0) throw new Error(`psql (${where.host}:${where.port}) exited with ${code}:\n${stderr}`)
  return stdout.trim()
}

/** Where the server is, without any tunnel. */
const direct = (db) => ({ host: db.dir, port: db.port })

/** A file of COPY's text format of at least so many bytes, made of noise: { file, bytes, digest }. */
async function copyFile (scope, bytes) {
  const noise = crypto.randomBytes(1 << 20).toString('base64')
  const width = 1000 // a row stays in its page
  const file = scope.file('rows', '')
  function * rows () {
    let made = 0
    for (let i = 0; made < bytes;) {
      let chunk = ''
      for (let n = 0; n < 64; n++, i++) {
        const at = (i * 7919) % (noise.length - width)
        chunk += `${i}\t${noise.slice(at, at + width)}\n`
      }
      made += chunk.length
      yield chunk
    }
  }
  await pipeline(rows, fs.createWriteStream(file))
  return { file, ...await digestOf(file) }
}

/** { bytes, digest } of a file. */
async function digestOf (file) {
  const hash = crypto.createHash('sha256')
  await pipeline(fs.createReadStream(file, { highWaterMark: 1 << 20 }), hash)
  return { bytes: fs.statSync(file).size, digest: hash.digest('hex') }
}

/** COPY out of a table into a file: { bytes, digest }. The file is removed. */
async function copyOut (scope, db, where, table) {
  const file = scope.file('out', '')
  await query(scope, db, where, `\\copy ${table} to '${file}'`)
  const result = await digestOf(file)
  fs.rmSync(file)
  return result
}

/** COPY of a file into a table, which is made anew. */
async function copyIn (scope, db, where, table, file) {
  await query(scope, db, direct(db), `drop table if exists ${table}; create unlogged table ${table} (id bigint, noise text)`)
  await query(scope, db, where, `\\copy ${table} from '${file}'`)
}

/** What a table holds, by the server's own account: { bytes, digest } of a COPY that goes through no tunnel. */
async function held (scope, db, table) {
  const file = path.join(db.dir, 'held')
  await query(scope, db, direct(db), `copy ${table} to '${file}'`)
  const result = await digestOf(file)
  fs.rmSync(file)
  return result
}

module.exports = { copyFile, copyIn, copyOut, direct, held, needPostgres, psql, query, startPostgres }
