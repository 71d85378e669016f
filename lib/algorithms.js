'use strict'

/** What may be offered (spec §7): an option narrows a list, never widens it. Pure. */

const { printable } = require('./addresses')
const { optionError } = require('./errors')

const ALGORITHMS = {
  kex: ['mlkem768x25519-sha256', 'curve25519-sha256', 'curve25519-sha256@libssh.org', 'ecdh-sha2-nistp256'],
  ciphers: ['aes128-gcm@openssh.com', 'aes256-gcm@openssh.com', 'chacha20-poly1305@openssh.com', 'aes256-ctr', 'aes128-ctr'],
  macs: ['hmac-sha2-256-etm@openssh.com', 'hmac-sha2-512-etm@openssh.com'],
  hostKeyAlgorithms: [
    'ssh-ed25519-cert-v01@openssh.com', 'ecdsa-sha2-nistp256-cert-v01@openssh.com',
    'rsa-sha2-512-cert-v01@openssh.com', 'rsa-sha2-256-cert-v01@openssh.com',
    'ssh-ed25519', 'ecdsa-sha2-nistp256', 'rsa-sha2-512', 'rsa-sha2-256'
  ]
}

/** A comma list, or an array, of names out of ALGORITHMS: a check as option-checks.js has them. */
function algorithms (name, value) {
  const list = typeof value === 'string' ? value.split(',') : value
  if (!Array.isArray(list) || list.length === 0) throw optionError(name, 'must be a list of names: a,b')
  for (const one of list) {
    if (!ALGORITHMS[name].includes(one)) {
      throw optionError(name, `"${printable(String(one))}" is not one of ${ALGORITHMS[name].join(', ')}`)
    }
  }
  return [...new Set(list)].join(',')
}

module.exports = { ALGORITHMS, algorithms }
