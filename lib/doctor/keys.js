'use strict'

/** Private keys with their certificates, and the clock that these are held against. */

const fs = require('fs/promises')
const binding = require('../binding')
const { SYSTEM_ADVICE, systemText } = require('../errors')
const { readInput } = require('../files')
const { loadKeys } = require('../keys')
const { failed, failure, ok, warn } = require('./findings')

const MAX_KEY_FILE = 64 * 1024

// A clock before the first release of this program is wrong.
const MADE = Date.UTC(2026, 10, 1)
const FAR = MADE + 20 * 365 * 86400 * 1000

const SET_CLOCK = 'set it (timedatectl set-ntp true): certificates and expiry times are held against it'

function checkClock (now = Date.now()) {
  const text = new Date(now).toISOString().replace(/\.\d+Z$/, 'Z')
  if (now < MADE) return failed(`${text}, and this alknet was made later than that`, SET_CLOCK)
  return now > FAR ? warn(`${text}: far in the future`, SET_CLOCK) : ok(text)
}

/** What a key's error leaves open: where another one would come from. */
function adviceFor (err, path) {
  if (err.code === 'ENOENT') return `check the path, or make one: alknet keygen -f ${path}`
  if (err.code === 'EACCES') return 'it has to be readable by the user that alknet runs as'
  if (/is encrypted and no passphrase/.test(err.message)) return 'set ALKNET_PASSPHRASE, or run this on a terminal; a service cannot be asked'
  return undefined
}

async function isEncrypted (source, name) {
  const { data } = await readInput(source, name, MAX_KEY_FILE)
  return binding.keyFormat(data.toString('latin1')) === 'encrypted'
}

/** principal: whom a certificate has to be for; null: anybody. */
function certificateFinding ({ name, blob, fingerprint, keyId, validBefore }, kind, principal, now) {
  const about = `${name}: certificate "${keyId.replace(/[^\x20-\x7e]/g, '?').slice(0, 80)}" of ${fingerprint}`
  const problem = binding.checkCertificate(blob, kind, principal, Math.floor(now / 1000))
  if (problem !== null) return warn(`${about}: ${problem}`, 'ask the CA for a new one; until then the key has to do without it')
  const hours = (Number(validBefore) - now / 1000) / 3600
  return hours < 24 ? warn(`${about}: expires in ${Math.max(0, Math.floor(hours))} h`, 'renew it in time') : ok(`${about}: valid`)
}

async function checkKey (source, what, now) {
  const { option, certificateOption, kind, principal, passphrase } = what
  const name = typeof source === 'string' ? source : option
  const [{ key, certificates }] = await loadKeys([source], { option, certificateOption, certificates: [], kind, passphrase })
  const locked = await isEncrypted(source, option) ? ', encrypted' : ''
  return [
    ok(`${name}: ${key.type} ${binding.fingerprint(key.blob())}${locked}`),
    ...certificates.map((one) => certificateFinding(one, kind, principal, now))
  ]
}

/**
 * Each key by itself, so that one that is wrong does not hide the others; then
 * the certificates that lie elsewhere.
 * @param {Array} sources paths and Buffers
 * @param {object} what { option, certificateOption, certificates, kind, principal, passphrase }
 */
async function checkKeys (sources, what, now = Date.now()) {
  const findings = []
  for (const source of sources) {
    findings.push(...await checkKey(source, what, now).catch((err) => [failure(err, adviceFor(err, source))]))
  }
  if (what.certificates.length === 0 || findings.some((one) => one.status === 'fail')) return findings
  try {
    const { option, certificateOption, certificates, kind, passphrase, principal } = what
    const loaded = (await loadKeys(sources, { option, certificateOption, certificates, kind, passphrase })).flatMap((one) => one.certificates)
    const beside = new Set(sources.map((source) => `${source}-cert.pub`))
    return [...findings, ...loaded.filter((one) => !beside.has(one.name)).map((one) => certificateFinding(one, kind, principal, now))]
  } catch (err) {
    return [...findings, failure(err)]
  }
}

/** Files that say who is trusted: nobody else may write to them. */
async function checkWritable (paths) {
  const findings = []
  for (const path of paths.filter((one) => typeof one === 'string')) {
    try {
      const { mode } = await fs.stat(path)
      if ((mode & 0o022) !== 0) findings.push(warn(`${path}: others can write to it`, `run: chmod go-w ${path}`))
    } catch (err) {
      if (err.code !== 'ENOENT') findings.push(failed(`cannot look at ${path}: ${systemText(err)}`, SYSTEM_ADVICE[err.code]))
    }
  }
  return findings
}

module.exports = { checkClock, checkKeys, checkWritable }
