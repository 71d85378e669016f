'use strict'

/**
 * What the built addon asks of the process that loads it: only Node-API up to
 * our version, and no second libcrypto, libssh or Kerberos beside Node's.
 * Prints what is wrong and exits 1. Linux only: it reads ELF.
 */

const path = require('path')
const { execFileSync } = require('child_process')
const { symbols } = require('node-api-headers')

const napiVersion = 'v8' // NAPI_VERSION in binding.gyp
const addon = path.join(__dirname, '..', 'build', 'Release', 'alknet.node')
const mayNeed = /^(libc|libm|libdl|libpthread|libgcc_s|libz|ld-linux.*)\.so/

if (process.platform !== 'linux') {
  console.log(`addon: not looked at: on ${process.platform} it is not ELF`)
  process.exit()
}

const read = (program, ...args) => execFileSync(program, [...args, addon],
  { encoding: 'utf8', maxBuffer: 64 << 20 }).split('\n')
const faults = []

for (const line of read('readelf', '-d')) {
  const needed = /\(NEEDED\).*\[(.*)\]/.exec(line)
  if (needed && !mayNeed.test(needed[1])) faults.push(`the addon links with ${needed[1]}`)
}

const known = new Set(Object.values(symbols[napiVersion]).flat())
const wanted = read('nm', '-D', '--undefined-only').map((line) => line.trim().split(' ').pop().split('@')[0])
for (const name of wanted) {
  if (/^(napi|node_api)_/.test(name) && !known.has(name)) {
    faults.push(`${name} is not in Node-API ${napiVersion}`)
  }
}
if (!wanted.some((name) => known.has(name))) faults.push('no symbol of Node-API was found: is this the addon?')

// Nothing of what is linked in statically may be seen by other addons.
for (const line of read('nm', '-D', '--defined-only')) {
  const name = line.split(' ').pop()
  if (/^(ssh_|sftp_|gss_|EVP_|OPENSSL_|alk_)/.test(name)) faults.push(`${name} is visible outside`)
}
for (const line of read('nm', '--defined-only')) {
  if (/ [TtWw] (EVP_CIPHER_CTX_new|OPENSSL_init_crypto)$/.test(line)) faults.push('a libcrypto of its own is linked in')
}

for (const fault of faults) console.error(fault)
if (faults.length === 0) console.log(`addon: Node-API ${napiVersion}, and Node's own OpenSSL`)
process.exitCode = faults.length === 0 ? 0 : 1
