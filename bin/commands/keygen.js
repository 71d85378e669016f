'use strict'

/** alknet keygen: makes key pairs, and signs keys as a CA. */

const fs = require('fs/promises')
const os = require('os')
const path = require('path')

const { inFlags, passphrase: askPassphrase, repeatable } = require('./shared')

const EPILOGUE = `
Examples:
  $ alknet keygen
  $ alknet keygen -f host_key -C "key of example.com"
  $ alknet keygen -t rsa -f old_peer_key
  $ alknet keygen -f ca
  $ alknet keygen --sign ca --key-id alice@laptop --principals alice --valid 52w alice.pub
  $ alknet keygen --sign ca --host --key-id web1 --principals web1.example.com host_key.pub`

function problem (message) {
  return Object.assign(new Error(message), { code: 'ERR_ALKNET_OPTION', stage: 'options' })
}

/** Creates file; one that is there already stays, unless force. */
async function create (file, data, mode, force) {
  if (force) await fs.rm(file, { force: true })
  const failed = (err) => {
    if (err.code === 'EEXIST') return problem(`${file} exists already; --force replaces it`)
    return Object.assign(err, { message: `cannot write ${file}: ${err.message.replace(/, (open|write)\b.*$/s, '')}`, stage: 'file' })
  }
  const handle = await fs.open(file, 'wx', mode).catch((err) => { throw failed(err) })
  try {
    await handle.writeFile(data)
  } catch (err) {
    await fs.rm(file, { force: true }) // a part of it
    throw failed(err)
  } finally {
    await handle.close()
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

async function generate ({ type, file, comment, passphrase, force }) {
  const { generateKey } = require('../..')
  const target = file ?? path.join(os.homedir(), '.config', 'alknet', `id_${type}`)
  const key = await generateKey(type, { comment, passphrase: passphrase === '' ? undefined : passphrase })
    .catch((err) => { throw inFlags(err) })
  if (file === undefined) await fs.mkdir(path.dirname(target), { recursive: true, mode: 0o700 })
  await createPair(target, key, force)
  key.privateKey.fill(0)
  process.stdout.write(`${target}\n${target}.pub\n${key.type} ${key.fingerprint}\n`)
}

// ---- signing

// Flags whose option of signCertificate() is not called the same.
const RENAMED = { option: 'options', sign: 'caKey' }

/** The serial number of the nth key: '7' is everybody's, '+7' the first's. */
function serialOf (text, index) {
  return text?.startsWith('+') && /^\+\d{1,20}$/.test(text) ? BigInt(text.slice(1)) + BigInt(index) : text
}

/** Asked for once, however many keys are signed. */
function askOnce () {
  let answer
  return (name) => {
    answer ??= askPassphrase(name)
    return answer
  }
}

function time (seconds, open, word) {
  return seconds === open ? word : new Date(Number(seconds) * 1000).toISOString().replace('.000', '')
}

function describe (file, { kind, fingerprint, keyId, serial, principals, validAfter, validBefore }) {
  const from = time(validAfter, 0n, 'always')
  const to = time(validBefore, 2n ** 64n - 1n, 'forever')
  return `${file}\n${kind} certificate ${fingerprint} id "${keyId}" serial ${serial} for ${principals.join(',')} valid ${from} to ${to}\n`
}

async function sign (pubkeys, { sign: caKey, host, option, force, ...flags }) {
  const { signCertificate } = require('../..')
  if (pubkeys.length === 0) throw problem('--sign: needs the public keys to certify: alknet keygen --sign CA_KEY … PUBKEY…')
  const { keyId, principals, valid, validFrom, validTo } = flags
  const common = { keyId, principals, valid, validFrom, validTo, kind: host ? 'host' : 'user', options: option, passphrase: askOnce() }
  const signed = []
  for (const [index, key] of pubkeys.entries()) {
    const certificate = await signCertificate(caKey, { ...common, key, serial: serialOf(flags.serial, index) })
      .catch((err) => { throw inFlags(err, RENAMED) })
    signed.push([`${key.replace(/\.pub$/, '')}-cert.pub`, certificate])
  }
  for (const [file, certificate] of signed) {
    await create(file, certificate.certificate, 0o644, force)
    process.stdout.write(describe(file, certificate))
  }
}

const OF_PAIRS = ['type', 'file', 'comment', 'passphrase']
const OF_SIGNING = ['host', 'keyId', 'principals', 'valid', 'validFrom', 'validTo', 'serial', 'option']

async function run (pubkeys, flags, command) {
  const isSigning = flags.sign !== undefined
  const strange = (isSigning ? OF_PAIRS : OF_SIGNING).find((name) => command.getOptionValueSource(name) === 'cli')
  if (strange !== undefined) {
    const flag = command.options.find((one) => one.attributeName() === strange).long
    throw problem(`${flag}: makes no sense ${isSigning ? 'together with' : 'without'} --sign`)
  }
  if (isSigning) return sign(pubkeys, flags)
  if (pubkeys.length > 0) throw problem('public keys are for --sign; the file of a new key is --file')
  return generate(flags)
}

module.exports = (alknet) => {
  alknet.command('keygen')
    .description('make a key pair, or certify keys as a CA (--sign)')
    .argument('[pubkey...]', 'with --sign: the public keys to certify; NAME.pub gets NAME-cert.pub')
    .option('-t, --type <type>', 'ed25519, ecdsa or rsa', 'ed25519')
    .option('-f, --file <path>', 'the private key; the public one is beside it as PATH.pub (default: ~/.config/alknet/id_TYPE)')
    .option('-C, --comment <text>', 'comment', '')
    .option('-N, --passphrase <text>', 'encrypt the private key with it')
    .option('--force', 'replace files that exist')
    .option('--sign <path>', 'certify public keys with this private key of a CA')
    .option('--host', 'certificates of hosts, not of users')
    .option('--key-id <text>', 'what logs, rules and revocation lists call it')
    .option('--principals <names>', 'the users or hosts it is for: a,b')
    .option('--valid <duration>', 'from now on: 52w, 1h30m; or from:to (default: always:forever)')
    .option('--valid-from <time>', 'always, YYYYMMDD[HHMM[SS]][Z], +1h or -5m')
    .option('--valid-to <time>', 'forever, or the same')
    .option('--serial <n>', 'for revocation lists; +N: one more for each further key (default: 0, none)')
    .addOption(repeatable('--option <text>', 'as ssh-keygen -O: source-address=…, no-pty, extension:scopes@alknet=a,b, … (repeatable)'))
    .addHelpText('after', EPILOGUE)
    .action(run)
}
