'use strict'

/**
 * What is kept of ACME between two starts:
 *
 *   <acmeCache>/<authority>/account.json     whom the CA knows us as, and its key
 *   <acmeCache>/<authority>/<names>.pem      the key, the certificate, its chain
 *
 * Both hold secrets: 0600, in a folder that only its owner can look into. A
 * file is replaced as a whole, or not at all: it is written beside, brought to
 * the disk, and renamed.
 */

const { createHash, randomBytes } = require('crypto')
const fs = require('fs/promises')
const path = require('path')
const { prepareDir } = require('../control-place')
const { fail, optionError, systemText } = require('../errors')
const { readInput } = require('../files')

const MAX_FILE = 1024 * 1024
const KEY = /-----BEGIN ([A-Z ]*PRIVATE KEY)-----[^]*?-----END \1-----\r?\n?/

const shortHash = (text) => createHash('sha256').update(text).digest('hex').slice(0, 16)

/** A part of a path that says something, and tells any two texts apart. */
const slug = (shown, whole) => `${shown.replace(/[^a-z0-9.-]/gi, '_').replace(/^\.+/, '').slice(0, 100)}-${shortHash(whole)}`

async function syncDir (dir) {
  const handle = await fs.open(dir, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/** Puts text in the place of file. */
async function replaceFile (file, text) {
  const beside = `${file}.${process.pid}.${randomBytes(6).toString('hex')}.new`
  try {
    const handle = await fs.open(beside, 'wx', 0o600)
    try {
      await handle.writeFile(text)
      await handle.sync()
    } finally {
      await handle.close()
    }
    await fs.rename(beside, file)
  } catch (err) {
    await fs.rm(beside, { force: true }).catch(() => {})
    throw err
  }
  await syncDir(path.dirname(file))
}

/** The bytes of a file as text; null when there is none. */
async function readIfThere (file) {
  try {
    return (await readInput(file, 'acmeCache', MAX_FILE)).data.toString('latin1')
  } catch (err) {
    if (err.code === 'ENOENT') return null
    throw err
  }
}

class Store {
  /** options: of serverOptions(), with acmeDomain. */
  constructor ({ acmeCache, acmeDirectory, acmeDomain }) {
    this.dir = path.join(acmeCache, slug(new URL(acmeDirectory).host, acmeDirectory))
    this._cache = acmeCache
    this._account = path.join(this.dir, 'account.json')
    this.file = path.join(this.dir, `${slug(acmeDomain[0], [...acmeDomain].sort().join())}.pem`)
  }

  /** Makes the folders, or throws: what cannot be kept would be asked for at each start. */
  async prepare () {
    try {
      // That folder may be somebody's already, with other things in it: its mode stays.
      await fs.mkdir(this._cache, { recursive: true, mode: 0o700 })
      await prepareDir(this.dir)
      await fs.access(this.dir, fs.constants.R_OK | fs.constants.W_OK | fs.constants.X_OK)
    } catch (err) {
      throw optionError('acmeCache', err.code === 'ERR_ALKNET_SYS' ? err.message : `${this._cache}: ${systemText(err)}`, err)
    }
  }

  /** { cert, key }, PEM; null when there is none. Throws for what cannot be read. */
  async readCertificate () {
    const text = await readIfThere(this.file)
    if (text === null) return null
    const key = KEY.exec(text)
    if (key === null) throw fail('KEY', 'key', `${this.file}: there is no private key in it`)
    return { key: key[0], cert: text.replace(key[0], '') }
  }

  async writeCertificate ({ cert, key }) {
    await replaceFile(this.file, `${key.trimEnd()}\n${cert.trimEnd()}\n`)
  }

  /** { key, url, contact }; null when there is none. Throws for what is none. */
  async readAccount () {
    const text = await readIfThere(this._account)
    if (text === null) return null
    try {
      const { key, url, contact } = JSON.parse(text)
      if (typeof key === 'string' && typeof url === 'string' && Array.isArray(contact)) return { key, url, contact }
    } catch {
      // Told below.
    }
    throw fail('KEY', 'key', `${this._account} is damaged: remove it to have a new account`)
  }

  async writeAccount ({ key, url, contact }) {
    await replaceFile(this._account, `${JSON.stringify({ url, contact, key }, null, 2)}\n`)
  }
}

module.exports = { Store }
