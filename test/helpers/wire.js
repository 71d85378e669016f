'use strict'

/** The unencrypted beginning of SSH (RFC 4253 §4.2, §6, §7.1), for raw peers. */

const crypto = require('node:crypto')
const { readBytes } = require('./net')

const KEXINIT = 20

const LISTS = ['kex', 'hostKeys', 'ciphersToServer', 'ciphersToClient', 'macsToServer',
  'macsToClient', 'compressionToServer', 'compressionToClient', 'languagesToServer', 'languagesToClient']

/** Reads lines up to the identification string and returns that one. */
async function readIdent (socket) {
  for (;;) {
    let line = ''
    while (!line.endsWith('\n')) line += (await readBytes(socket, 1)).toString('latin1')
    if (line.startsWith('SSH-')) return line.trimEnd()
  }
}

/** Reads one packet before encryption: its payload. */
async function readPacket (socket) {
  const head = await readBytes(socket, 5)
  const length = head.readUInt32BE(0)
  const rest = await readBytes(socket, length - 1)
  return rest.subarray(0, length - 1 - head[4])
}

/** A packet before encryption. */
function packet (payload) {
  let padding = 8 - ((5 + payload.length) % 8)
  if (padding < 4) padding += 8
  const out = Buffer.alloc(5 + payload.length + padding)
  out.writeUInt32BE(1 + payload.length + padding, 0)
  out[4] = padding
  payload.copy(out, 5)
  return out
}

/** A KEXINIT payload that any modern peer can agree with. */
function kexinit (lists = {}) {
  const all = {
    kex: 'curve25519-sha256,ecdh-sha2-nistp256',
    hostKeys: 'ssh-ed25519,ecdsa-sha2-nistp256,rsa-sha2-512,rsa-sha2-256',
    ciphersToServer: 'aes128-gcm@openssh.com,aes256-gcm@openssh.com',
    ciphersToClient: 'aes128-gcm@openssh.com,aes256-gcm@openssh.com',
    macsToServer: 'hmac-sha2-256-etm@openssh.com',
    macsToClient: 'hmac-sha2-256-etm@openssh.com',
    compressionToServer: 'none',
    compressionToClient: 'none',
    languagesToServer: '',
    languagesToClient: '',
    ...lists
  }
  const parts = [Buffer.from([KEXINIT]), crypto.randomBytes(16)]
  for (const name of LISTS) {
    const text = Buffer.from(all[name])
    const length = Buffer.alloc(4)
    length.writeUInt32BE(text.length)
    parts.push(length, text)
  }
  return Buffer.concat([...parts, Buffer.alloc(5)])
}

/** The name-lists of a KEXINIT payload, each an array. */
function parseKexinit (payload) {
  if (payload[0] !== KEXINIT) throw new Error(`not a KEXINIT but message ${payload[0]}`)
  const lists = {}
  let at = 17
  for (const name of LISTS) {
    const length = payload.readUInt32BE(at)
    const text = payload.subarray(at + 4, at + 4 + length).toString()
    lists[name] = text === '' ? [] : text.split(',')
    at += 4 + length
  }
  return lists
}

module.exports = { readIdent, readPacket, packet, kexinit, parseKexinit }
