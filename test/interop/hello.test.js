'use strict'

/** What a client in disguise says first in TLS, beside what curl says; and what tshark says of both. */

const assert = require('node:assert')
const { execFileSync } = require('node:child_process')
const { ja3, ja4, lasting } = require('../../tools/ja4')
const { needAlknet, runConnect } = require('../helpers/alknet')
const { helloServer, list16, u16 } = require('../helpers/hello')
const { key } = require('../helpers/keys')
const { need, run } = require('../helpers/proc')
const { testScope } = require('../helpers/scope')

// Short ones are padded, a long one is not; an address has no SNI.
const NAMES = ['a.example', `${'long.'.repeat(40)}example`, null]

const seriesOf = (version) => /\b(\d+\.\d+)\.\d+/.exec(version)?.[1]

/** In a test: skips, and says why, where curl's hello cannot be ours. */
function needCurl (context) {
  need(context, 'curl')
  const said = execFileSync('curl', ['--version'], { encoding: 'utf8' })
  const theirs = /\bOpenSSL\/(\S+)/.exec(said)?.[1]
  if (theirs !== undefined && seriesOf(theirs) === seriesOf(process.versions.openssl) && /\bHTTP2\b/.test(said)) return
  console.log(`      skipped: curl has ${theirs === undefined ? 'no OpenSSL' : `OpenSSL ${theirs}`}, Node has ${process.versions.openssl}`)
  context.skip()
}

/** One packet with bytes on port 443, as a file of tcpdump's. */
function pcapOf (bytes) {
  const u32 = (...values) => Buffer.concat(values.map((value) => { const b = Buffer.alloc(4); b.writeUInt32LE(value); return b }))
  const tcp = Buffer.concat([u16(50000, 443), Buffer.from([0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x18, 0xff, 0xff, 0, 0, 0, 0])])
  const packet = Buffer.concat([
    Buffer.from([0x45, 0]), u16(20 + tcp.length + bytes.length), Buffer.from([0, 1, 0x40, 0, 64, 6, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2]), tcp, bytes
  ])
  const RAW_IP = 101
  return Buffer.concat([u32(0xa1b2c3d4, 2 | 4 << 16, 0, 0, 65535, RAW_IP), u32(1700000000, 0, packet.length, packet.length), packet])
}

const recordOf = (hello) => Buffer.concat([Buffer.from([22, 3, 1]), list16(hello.bytes)])

describe('a ClientHello in disguise', function () {
  this.timeout(60000)
  const scope = testScope()

  before(function () { needAlknet(this) })

  async function ours (name, args = ['--stealth']) {
    const { port, next } = await helloServer(scope)
    const heard = next()
    const { code, stderr } = await runConnect(scope, { host: '127.0.0.1', port, user: 'alknet', knownHosts: '' }, {
      identity: key('ed25519', 'user'), args: ['--transport', 'tls', '--insecure', ...args, ...name === null ? [] : ['--tls-server-name', name]]
    })
    assert.strictEqual(code, 5, stderr)
    return heard
  }

  async function curls (name) {
    const { port, next } = await helloServer(scope)
    const heard = next()
    await run(scope, 'curl', ['-sk', '--noproxy', '*', '--max-time', '20',
      ...name === null ? [] : ['--resolve', `${name}:${port}:127.0.0.1`], `https://${name ?? '127.0.0.1'}:${port}/`])
    return heard
  }

  it('is that of curl, byte for byte', async function () {
    needCurl(this)
    for (const name of NAMES) {
      const [mine, its] = [await ours(name), await curls(name)]
      assert.strictEqual(mine.servername, name)
      assert.deepStrictEqual([ja4(mine), ja3(mine)], [ja4(its), ja3(its)])
      assert.strictEqual(lasting(mine), lasting(its))
    }
    assert.notStrictEqual(ja4(await ours(null, [])).ja4, ja4(await curls(null)).ja4)
  })

  it('is summed up by tshark as by our tool', async function () {
    need(this, 'tshark')
    const hello = await ours('a.example')
    const file = scope.file('hello.pcap', pcapOf(recordOf(hello)))
    const knowsJa4 = /\ttls\.handshake\.ja4\t/.test(execFileSync('tshark', ['-G', 'fields'], { encoding: 'utf8', maxBuffer: 1 << 28, stdio: ['ignore', 'pipe', 'ignore'] }))
    if (!knowsJa4) console.log('      this tshark knows no JA4: JA3 alone')
    const fields = ['ja3', 'ja3_full', ...knowsJa4 ? ['ja4', 'ja4_r'] : []].flatMap((one) => ['-e', `tls.handshake.${one}`])
    const { stdout } = await run(scope, 'tshark', ['-r', file, '-T', 'fields', ...fields])
    const [three, four] = [ja3(hello), ja4(hello)]
    assert.deepStrictEqual(stdout.trim().split('\t'), [three.ja3, three.full, ...knowsJa4 ? [four.ja4, four.ja4r] : []])
  })
})
