'use strict'

/**
 * Throw-away keys, made once a process by ssh-keygen and kept until it ends. RSA
 * keys cost seconds: test files that run side by side share theirs in the
 * folder that ALKNET_TEST_KEYS names.
 */

const { execFileSync } = require('node:child_process')
const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')

let directory = null
const made = new Map()

function home () {
  if (directory === null) {
    directory = fs.mkdtempSync(path.join(os.tmpdir(), 'alknet-keys-'))
    process.on('exit', () => fs.rmSync(directory, { recursive: true, force: true }))
  }
  return directory
}

function keygen (file, kind, [passphrase, comment, pem]) {
  const [type, bits] = kind.split('-')
  execFileSync('ssh-keygen', ['-q', '-t', type, ...(bits ? ['-b', bits] : []),
    '-N', passphrase, '-C', comment, ...(pem ? ['-m', 'PEM'] : []), '-f', file])
}

/** A copy in file of the pair that the pool has as id; make(file) where it has none. */
function share (pool, id, make, file) {
  const there = path.join(pool, id)
  if (!fs.existsSync(there)) {
    const mine = fs.mkdtempSync(path.join(pool, '.new-'))
    make(path.join(mine, 'key'))
    // Whole or not at all; another process may have been faster.
    try {
      fs.renameSync(mine, there)
    } catch (err) {
      if (err.code !== 'ENOTEMPTY' && err.code !== 'EEXIST') throw err
      fs.rmSync(mine, { recursive: true })
    }
  }
  for (const end of ['', '.pub']) fs.copyFileSync(path.join(there, `key${end}`), file + end)
}

/**
 * A key pair: { path, publicPath, public, blob, fingerprint, type, private }.
 * `name` tells two keys of one kind apart.
 *
 * @param {'ed25519' | 'ecdsa-256' | 'ecdsa-384' | 'rsa-2048' | 'rsa-3072'} kind
 * @param {string} [name]
 * @param {{ passphrase?: string, pem?: boolean }} [options]
 */
function key (kind, name = 'a', options = {}) {
  const { passphrase = '', pem = false } = options
  const id = `${kind}-${name}${passphrase ? '-locked' : ''}${pem ? '-pem' : ''}`
  if (!made.has(id)) {
    const file = path.join(home(), id)
    const make = (file) => keygen(file, kind, [passphrase, `test ${id}`, pem])
    if (kind.startsWith('rsa') && process.env.ALKNET_TEST_KEYS) share(process.env.ALKNET_TEST_KEYS, id, make, file)
    else make(file)
    made.set(id, describeKey(file))
  }
  return made.get(id)
}

/** The same, of a private key file that is already there with its .pub. */
function describeKey (file) {
  const line = fs.readFileSync(`${file}.pub`, 'utf8').trim()
  const [type, base64] = line.split(/\s+/)
  return {
    path: file,
    publicPath: `${file}.pub`,
    public: line,
    type,
    base64,
    blob: Buffer.from(base64, 'base64'),
    get private () { return fs.readFileSync(file) },
    get fingerprint () {
      const text = execFileSync('ssh-keygen', ['-l', '-E', 'sha256', '-f', `${file}.pub`])
      return /SHA256:\S+/.exec(text.toString())[0]
    }
  }
}

/** A known_hosts line, as OpenSSH writes them. */
function knownHostsLine (host, port, hostKey) {
  return `${port === 22 ? host : `[${host}]:${port}`} ${hostKey.type} ${hostKey.base64}\n`
}

/** The same with its name hashed by ssh-keygen -H. */
function hashedKnownHosts (scope, text) {
  const file = scope.file('known_hosts', text)
  execFileSync('ssh-keygen', ['-q', '-H', '-f', file], { stdio: 'ignore' })
  return fs.readFileSync(file, 'utf8')
}

module.exports = { key, keyOf: describeKey, knownHostsLine, hashedKnownHosts }
