'use strict'

/** known_hosts: can it be read, and does it say anything about the server? */

const fs = require('fs/promises')
const path = require('path')
const { formatHostPort } = require('../addresses')
const { systemText } = require('../errors')
const { readInput } = require('../files')
const { parsePublicKey } = require('../keys')
const { loadKnownHosts } = require('../known-hosts')
const { checkWritable } = require('./keys')
const { failed, failure, ok, warn } = require('./findings')

const MAX_FILE = 16 * 1024 * 1024
const MAX_LINES = 5 // that are named; the rest is counted

/** Whether a line of known_hosts says anything. Key types that nobody here knows are fine. */
function isLine (line) {
  const words = line.trim().split(/[ \t]+/)
  if (words[0].startsWith('@')) {
    if (words[0] !== '@cert-authority' && words[0] !== '@revoked') return false
    words.shift()
  }
  if (words.length < 3) return false
  if (!/^(ssh-(ed25519|rsa)|ecdsa-sha2-nistp(256|384|521))$/.test(words[1])) return /^[A-Za-z0-9@.-]+$/.test(words[1])
  try {
    return parsePublicKey(`${words[1]} ${words[2]}`).type === words[1]
  } catch {
    return false
  }
}

async function badLines (input) {
  const { data, name } = await readInput(input, 'knownHosts', MAX_FILE)
  const bad = data.toString('latin1').split('\n')
    .map((line, index) => [line, index + 1])
    .filter(([line]) => !/^\s*(#|$)/.test(line) && !isLine(line))
    .map(([, number]) => number)
  if (bad.length === 0) return []
  const more = bad.length > MAX_LINES ? ` and ${bad.length - MAX_LINES} more` : ''
  return [warn(`${name}: no keys that can be read in line ${bad.slice(0, MAX_LINES).join(', ')}${more}`, 'remove them: they say nothing')]
}

async function canAppend (file) {
  for (let place = file; ; place = path.dirname(place)) {
    try {
      await fs.access(place, fs.constants.W_OK)
      return null
    } catch (err) {
      if (err.code !== 'ENOENT' || place === path.dirname(place)) return err
    }
  }
}

const WAYS = 'get its fingerprint from its operator (there: ssh-keygen -lf host_key.pub), then --host-key SHA256:…, ' +
  'a line in known_hosts, or --accept-new for the first time'

async function aboutServer ({ host, port }, known, { hostKey, acceptNew, knownHosts }) {
  const name = formatHostPort(host, port)
  if (hostKey.length > 0) return ok(`${name}: ${hostKey.length === 1 ? 'its key is pinned' : `${hostKey.length} keys are pinned`}`)
  const types = known.types(host, port)
  if (types.length > 0) return ok(`${name}: known with ${types.join(', ')}`)
  if (!acceptNew) return failed(`${name}: nothing is known of its host key, and it will be refused`, WAYS)
  const problem = await canAppend(knownHosts[0])
  return problem === null
    ? warn(`${name}: not known; --accept-new will trust what comes first, and write it to ${knownHosts[0]}`, 'compare the fingerprint then')
    : failed(`${name}: not known, and --accept-new cannot write to ${knownHosts[0]}: ${systemText(problem)}`,
      'give --known-hosts a file that this user can write to')
}

/** options: of clientOptions(). certificates: whether the engine has host certificates. */
async function checkKnownHosts (options, servers, certificates) {
  const { knownHosts } = options
  const findings = await checkWritable(knownHosts)
  for (const input of knownHosts) {
    findings.push(...await badLines(input).catch((err) => err.code === 'ENOENT' ? [] : [failure(err)]))
  }
  if (findings.some((one) => one.status === 'fail')) return findings
  const known = await loadKnownHosts({ inputs: knownHosts, pins: [], acceptNew: false, certificates })
  for (const server of servers) findings.push(await aboutServer(server, known, options))
  return findings
}

module.exports = { checkKnownHosts }
