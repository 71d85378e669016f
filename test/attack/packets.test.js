'use strict'

/**
 * Packets that are not what they should be: lengths, paddings, tags, order;
 * each cipher, both roles (CVE-2026-59847 of libssh, CVE-2021-43565 of Go).
 */

const crypto = require('node:crypto')
const { needAlknet } = require('../helpers/alknet')
const { message, string, u32, u8 } = require('./ssh/bytes')
const { CIPHERS } = require('./ssh/cipher')
const n = require('./ssh/numbers')
const { CORRUPT, attackClient, attackServer } = require('./rows')
const { advance } = require('./states')
const { runAll, startVictimClient, startVictimServer } = require('./victims')
const { suiteScope } = require('../helpers/scope')

const PACKET_MAX = 35000
const ignore = (length = 1) => message(n.IGNORE, string(Buffer.alloc(length, 0x41)))

/** A body of exactly so many bytes, with an IGNORE in it where there is room. */
function bodyOf (length) {
  if (length < 6) return Buffer.alloc(length, 4)
  const payload = length < 10 ? Buffer.alloc(length - 5, 199) : ignore(length - 10)
  return Buffer.concat([u8(4), payload, Buffer.alloc(4)])
}

/**
 * Whether a sealed packet of that length is one (RFC 4253 §6). OpenSSH sends
 * some of 8 bytes with ChaCha20: the least that there is.
 */
function isLegal ({ block }, length) {
  return length >= 8 && length <= PACKET_MAX && length % block === 0
}

const LENGTHS = [...Array.from({ length: 65 }, (_, i) => i), 96, 100]

/** Sealed as a packet of that length has to be: only the length can be wrong. */
const lengthAttack = (length) => async (peer) => {
  peer.send(null, { body: bodyOf(length) })
}

/** A length alone, with some bytes behind it: nobody may wait for the rest. */
const announce = (length) => async (peer) => {
  peer.send(null, { length, body: Buffer.alloc(64) })
}

function flipped (bytes, at) {
  const changed = Buffer.from(bytes)
  changed[at] ^= 0x10
  return changed
}

/** Rows of both roles; `at` is a state in which packets are sealed. */
function rows (cipher, at) {
  const peer = { cipher }
  const row = (name, attack, more = {}) => ({ name: `${name}, ${cipher}`, at, peer, attack, ...more })
  return [
    ...[0x7fffffff, 0x80000000, 0xffffffff, 0x00100000, 0x00040010, PACKET_MAX * 10 + 8].map((length) =>
      row(`announces ${length} bytes`, announce(length), { codes: CORRUPT })),
    row('no payload at all', async (peer) => peer.send(Buffer.alloc(0)), {
      codes: CORRUPT, libssh: { expect: 'on', why: 'libssh takes it for message 0, and answers UNIMPLEMENTED' }
    }),
    ...[0, 1, 2, 3].map((padding) => row(`${padding} bytes of padding`, async (peer) => {
      // The length is right: what lacks in padding is payload.
      peer.send(null, { body: Buffer.concat([u8(padding), message(n.IGNORE, string(Buffer.alloc(26 - padding))), Buffer.alloc(padding)]) })
    }, {
      codes: CORRUPT,
      libssh: { expect: 'on', why: 'libssh takes any padding that is inside the packet' }
    })),
    ...[32, 33, 255].map((paddingLength) => row(`says ${paddingLength} bytes of padding in 32`, async (peer) => {
      peer.send(null, { body: Buffer.concat([u8(paddingLength), Buffer.alloc(31)]) })
    }, { codes: CORRUPT })),
    row('the same packet twice', async (peer) => {
      const bytes = peer.seal(ignore())
      peer.write(Buffer.concat([bytes, bytes]))
      peer.write(crypto.randomBytes(PACKET_MAX)) // a length may have become any other
    }, { codes: null }),
    row('a packet is left out', async (peer) => {
      peer.seal(ignore())
      peer.send(ignore())
      peer.write(crypto.randomBytes(PACKET_MAX))
    }, { codes: null }),
    row('two packets change places', async (peer) => {
      const first = peer.seal(ignore())
      peer.write(Buffer.concat([peer.seal(ignore(20)), first]))
      peer.write(crypto.randomBytes(PACKET_MAX))
    }, { codes: null }),
    row('a packet without a cipher', async (peer) => {
      peer.write(Buffer.concat([u32(12), u8(10, n.IGNORE), Buffer.alloc(10)]))
      peer.write(crypto.randomBytes(PACKET_MAX))
    }, { codes: null })
  ]
}

/** The strict key exchange of libssh: what was strange shows in the end. */
async function endsAtNewkeys (peer) {
  await advance(peer, 'reply')
  peer.sendNewkeys()
  await peer.finish()
}

const PLAIN = [
  {
    name: 'announces 35004 bytes before the keys',
    at: 'ident',
    attack: announce(35004),
    codes: [2, 3, 5],
    libssh: { expect: 'limit', why: 'libssh waits for packets of up to 256 KiB' }
  },
  ...[0, 1, 4, 5, 11, 13, 14, 0x00100000, 0x7fffffff, 0x80000000, 0xffffffff].map((length) => ({
    name: `announces ${length} bytes before the keys`, at: 'ident', attack: announce(length), codes: [2, 3, 5]
  })),
  ...[12, 255].map((paddingLength) => ({
    name: `says ${paddingLength} bytes of padding in 12 before the keys`,
    at: 'ident',
    codes: [2, 3, 5],
    attack: async (peer) => peer.send(null, { body: Buffer.concat([u8(paddingLength), Buffer.alloc(11)]) })
  })),
  {
    name: 'no payload at all before the keys',
    at: 'ident',
    codes: [2, 3, 5],
    attack: async (peer) => peer.send(Buffer.alloc(0)),
    libssh: { expect: endsAtNewkeys, why: 'libssh takes it for message 0, and looks back at NEWKEYS' }
  }
]

describe('packets to a server', function () {
  this.timeout(15000)
  before(function () { needAlknet(this) })
  attackServer([...PLAIN, ...Object.keys(CIPHERS).flatMap((cipher) => rows(cipher, 'keys'))])
})

describe('packets to a client', function () {
  this.timeout(15000)
  before(function () { needAlknet(this) })
  attackClient([...PLAIN, ...Object.keys(CIPHERS).flatMap((cipher) => rows(cipher, 'ready'))])
})

describe('every length and every flipped byte', function () {
  this.timeout(30000)
  let server, client
  after(async () => {
    await server.end()
    await client.end()
  })
  const suite = suiteScope()

  before(async function () {
    needAlknet(this)
    server = await startVictimServer(suite)
    client = await startVictimClient(suite)
  })
  afterEach(async () => {
    await server.assertUnharmed()
    await client.assertUnharmed()
  })

  /** attack(peer): whether the session is to go on. */
  const toServer = (cipher, at, attack) => async (scope) => {
    const peer = await server.connect(scope, { cipher })
    peer.echoPort = server.echo.port
    await advance(peer, at)
    if (await attack(peer)) await advance(peer)
    else await peer.finish()
  }
  const toClient = (cipher, at, attack) => async (scope) => {
    const { session, far } = await client.session(scope, async (peer) => {
      await advance(peer, at)
      if (await attack(peer)) await advance(peer)
      else await peer.finish()
    }, {}, { cipher })
    const end = client.fare(session)
    await far
    await end
  }

  for (const cipher of Object.keys(CIPHERS)) {
    for (const [role, run] of [['server', toServer], ['client', toClient]]) {
      it(`lengths of 0 to 64, ${cipher}, to a ${role}`, () => runAll(LENGTHS.map((length) => ({
        name: `${length} bytes`,
        run: run(cipher, 'ready', async (peer) => {
          await lengthAttack(length)(peer)
          return isLegal(peer.out, length)
        })
      }))))

      // Twice 16 bytes and a tag: what is longer is more of the same.
      it(`flips a bit of each byte, ${cipher}, to a ${role}`, () => runAll(
        Array.from({ length: 4 + 32 + CIPHERS[cipher].tagLength }, (_, at) => ({
          name: `byte ${at}`,
          run: run(cipher, 'ready', async (peer) => {
            const bytes = peer.seal(ignore(22))
            if (bytes.length !== 4 + 32 + CIPHERS[cipher].tagLength) throw new Error(`${bytes.length} bytes`)
            peer.write(flipped(bytes, at))
            peer.write(crypto.randomBytes(PACKET_MAX)) // for a length that has grown
            return false
          })
        }))))
    }
  }
})
