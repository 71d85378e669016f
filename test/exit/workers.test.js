'use strict'

/**
 * Many workers, one after the other and four at once, each with a tunnel: all
 * end as they were told, and leave neither memory nor descriptors behind.
 * ALKNET_WORKERS says how many; npm run check has it be 1000.
 */

const assert = require('node:assert')
const path = require('node:path')
const { cleanEnv, needAlknet } = require('../helpers/alknet')
const { MiB } = require('../helpers/behaviours')
const { need, run } = require('../helpers/proc')
const { testScope } = require('../helpers/scope')
const { selfSigned } = require('../helpers/tls-certs')

const CHILD = path.join(__dirname, '..', 'helpers', 'workers-child.js')
const COUNT = Number(process.env.ALKNET_WORKERS || 60)

describe('many workers', function () {
  this.timeout(120000 + COUNT * 3000)
  const scope = testScope()

  async function endsWell (...args) {
    const { code, signal, stdout, output } = await run(scope, process.execPath,
      ['--expose-gc', CHILD, ...args], { env: cleanEnv(scope) })
    assert.deepStrictEqual({ code, signal }, { code: 0, signal: null }, output)
    const { fdsBefore, fdsAfter, grown } = JSON.parse(stdout)
    assert(fdsAfter <= fdsBefore, `descriptors: ${fdsBefore} before, ${fdsAfter} after`)
    assert(grown < 64 * MiB, `memory grew by ${(grown / MiB).toFixed(1)} MiB`)
  }

  it(`${COUNT} are started and stopped`, async function () {
    needAlknet(this)
    await endsWell(String(COUNT))
  })

  it(`${COUNT / 2} over TLS`, async function () {
    needAlknet(this)
    need(this, 'openssl')
    await endsWell(String(COUNT / 2), path.dirname(selfSigned(scope).cert))
  })
})
