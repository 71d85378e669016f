'use strict'

/** alknet keygen */

const fs = require('fs/promises')
const os = require('os')
const path = require('path')

const { inFlags } = require('./shared')

const EPILOGUE = `
Examples:
  $ alknet keygen
  $ alknet keygen -f host_key -C "key of example.com"
  $ alknet keygen -t rsa -f old_peer_key`

function problem (message) {
  return Object.assign(new Error(message), { code: 'ERR_ALKNET_OPTION', stage: 'options' })
}

/** Creates file; one that is there already stays, unless force. */
async function create (file, data, mode, force) {
  if (force) await fs.rm(file, { force: true })
  try {
    await fs.writeFile(file, data, { mode, flag: 'wx' })
  } catch (err) {
    if (err.code === 'EEXIST') throw problem(`${file} exists already; --force replaces it`)
    throw Object.assign(err, { message: `cannot write ${file}: ${err.code}`, stage: 'file' })
  }
}

/** Both files, or none. */
async function createPair (file, key, force) {
  await create(`${file}.pub`, key.publicKey, 0o644, force)
  try {
    await create(file, key.privateKey, 0o600, force)
  } catch (err) {
    await fs.rm(`${file}.pub`, { force: true })
    throw err
  }
}

async function run ({ type, file, comment, passphrase, force }) {
  const { generateKey } = require('../..')
  const target = file ?? path.join(os.homedir(), '.config', 'alknet', `id_${type}`)
  const key = await generateKey(type, { comment, passphrase: passphrase === '' ? undefined : passphrase })
    .catch((err) => { throw inFlags(err) })
  if (file === undefined) await fs.mkdir(path.dirname(target), { recursive: true, mode: 0o700 })
  await createPair(target, key, force)
  key.privateKey.fill(0)
  process.stdout.write(`${target}\n${target}.pub\n${key.type} ${key.fingerprint}\n`)
}

module.exports = (alknet) => {
  alknet.command('keygen')
    .description('make a key pair')
    .option('-t, --type <type>', 'ed25519, ecdsa or rsa', 'ed25519')
    .option('-f, --file <path>', 'the private key; the public one is beside it as PATH.pub (default: ~/.config/alknet/id_TYPE)')
    .option('-C, --comment <text>', 'comment', '')
    .option('-N, --passphrase <text>', 'encrypt the private key with it')
    .option('--force', 'replace files that exist')
    .addHelpText('after', EPILOGUE)
    .action(run)
}
