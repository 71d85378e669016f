'use strict'

/** What the machine's ciphers can do, by `openssl speed`: one core, blocks of 16 KiB. */

const { matching } = require('../stats')
const { has, run: runProgram } = require('../../test/helpers/proc')
const { Scope } = require('../../test/helpers/scope')

const CIPHERS = { 'aes128-gcm': 'aes-128-gcm', 'aes256-gcm': 'aes-256-gcm', chacha20: 'chacha20-poly1305' }
const BYTES = 16384

async function run (bench) {
  if (!has('openssl')) {
    bench.say('skipped: the limits of ciphers: openssl is not installed')
    return []
  }
  const scope = new Scope()
  try {
    const samples = []
    for (const [cipher, name] of Object.entries(CIPHERS)) {
      const { stdout, output } = await runProgram(scope, 'openssl', ['speed', '-mr', '-seconds', '1', '-bytes', String(BYTES), '-evp', name])
      const found = /^\+F:\d+:[^:]+:([\d.]+)/m.exec(stdout)
      if (found === null) throw new Error(`openssl speed: ${output.trim()}`)
      samples.push({ side: 'openssl', cipher, mibPerSecond: Number(found[1]) / 2 ** 20 })
      bench.say(`openssl speed, ${cipher}: ${samples.at(-1).mibPerSecond.toFixed(0)} MiB/s`)
    }
    return samples
  } finally {
    await scope.close()
  }
}

function tables (samples) {
  const rows = Object.keys(CIPHERS).flatMap((cipher) =>
    matching(samples, { cipher }).map(({ mibPerSecond }) => [cipher, mibPerSecond.toFixed(0), (1024 / mibPerSecond).toFixed(2)]))
  return [{ title: '`openssl speed`, one core', head: ['', 'MiB/s', 's/GiB, to seal or to open'], rows }]
}

module.exports = { run, tables }
