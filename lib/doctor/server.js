'use strict'

/** What is looked at before a server starts: a table, as the client's. */

const { X509Certificate } = require('crypto')
const fs = require('fs/promises')
const { printable } = require('../addresses')
const { loadAuthorizer } = require('../authorizer')
const { checkAcme } = require('./acme')
const { checkClock, checkKeys, checkWritable } = require('./keys')
const { serverContexts } = require('../tls-files')
const { checkPlaces } = require('./ports')
const { checkProxy } = require('./reach')
const { ok, skip, warn } = require('./findings')

// Each connection through the server needs a descriptor, and its session one.
const FEW_FILES = 4096

const DAY_MS = 86400 * 1000
const SOON_DAYS = 7
const MAX_PROBLEMS = 20 // lines that are named

function count (n, one, many = `${one}s`) {
  return `${n} ${n === 1 ? one : many}`
}

async function checkAuthorized (options) {
  const { authorizer, problems } = await loadAuthorizer(options)
  const findings = await checkWritable([...options.authorizedKeys, ...options.certAuthority, ...options.revokedKeys])
  for (const { source, line, message } of problems.slice(0, MAX_PROBLEMS)) {
    findings.push(warn(`${source}:${line}: ${message}`, 'correct the line: it grants nothing'))
  }
  if (problems.length > MAX_PROBLEMS) findings.push(warn(`and ${problems.length - MAX_PROBLEMS} more lines that grant nothing`))
  findings.push(authorizer.isEmpty
    ? warn('nobody can log in: there is no usable key and no CA', 'give --authorized-keys or --cert-authority a file with one')
    : ok(`${count(authorizer.keys().length, 'key')} and ${count(authorizer.authorities().length, 'CA')} may log in`))
  return findings
}

function checkPolicy ({ forwarding }) {
  const { default: byDefault, rules } = forwarding
  if (rules.length === 0 && byDefault === 'allow') return ok('every target is allowed but the built-in deny (no rule is given)')
  return ok(`${count(rules.length, 'rule')}, then ${byDefault}`)
}

async function checkFiles () {
  const text = await fs.readFile('/proc/self/limits', 'utf8').catch(() => '')
  const [, soft] = /^Max open files +(\d+|unlimited)/m.exec(text) ?? []
  if (soft === undefined) return skip('this system does not tell the limit')
  if (soft === 'unlimited' || Number(soft) >= FEW_FILES) return ok(`${soft} may be open`)
  return warn(`${soft} may be open: enough for about ${Math.floor(Number(soft) / 2)} connections`, 'raise it: ulimit -n, or LimitNOFILE= of systemd')
}

const isTls = ({ transport }) => transport === 'tls'

async function certificateFinding ({ tlsCert }) {
  const pem = typeof tlsCert === 'string' ? await fs.readFile(tlsCert) : tlsCert
  const { validTo, subjectAltName } = new X509Certificate(pem)
  const days = Math.floor((Date.parse(validTo) - Date.now()) / DAY_MS)
  const about = `${typeof tlsCert === 'string' ? tlsCert : 'tlsCert'}: for ${printable(subjectAltName ?? 'no name')}, valid for ${count(days, 'day')}`
  return days < SOON_DAYS ? warn(about, 'renew it in time; SIGHUP has the server read it again') : ok(about)
}

/** Each pair of certificate and key: as the server would take them, and for how long. */
async function checkTls (options, passphrase) {
  const places = options.places.filter((place) => isTls(place) && !place.isAcme)
  await serverContexts(places, { ...options, passphrase })
  const pairs = new Map(places.map((place) => [place.tlsCert, place]))
  return Promise.all([...pairs.values()].map(certificateFinding))
}

function keysOf ({ hostKey, hostCertificate }, passphrase) {
  return checkKeys(hostKey, {
    option: 'hostKey', certificateOption: 'hostCertificate', certificates: hostCertificate, kind: 'host', principal: null, passphrase
  })
}

const placesOf = ({ places, metrics, acmeHttpListen = [] }) => [
  ...places.map((place) => [place.transport, place]),
  ...metrics === null ? [] : [['metrics', metrics]],
  ...acmeHttpListen.map((place) => ['http-01', place])
]

const SERVER = [
  { name: 'clock', run: () => checkClock() },
  { name: 'host key', run: ({ options, passphrase }) => keysOf(options, passphrase) },
  { name: 'authorized keys', run: ({ options }) => checkAuthorized(options) },
  { name: 'policy', run: ({ options }) => checkPolicy(options) },
  { name: 'tls', applies: ({ places }) => places.some((one) => isTls(one) && !one.isAcme), run: ({ options, passphrase }) => checkTls(options, passphrase) },
  { name: 'acme', applies: ({ acmeDomain }) => acmeDomain !== undefined, run: ({ options }) => checkAcme(options) },
  { name: 'listen', applies: (options) => placesOf(options).length > 0, run: ({ options }) => checkPlaces(placesOf(options)) },
  { name: 'proxy', applies: ({ proxy }) => proxy !== undefined, run: ({ options }) => checkProxy(options.proxy.chain[0], options) },
  { name: 'files', run: checkFiles }
]

module.exports = { SERVER }
