'use strict'

/**
 * Key exchanges with wrong values, wrong lists, wrong guesses and wrong
 * signatures, in both roles.
 */

const crypto = require('node:crypto')
const { needAlknet } = require('../helpers/alknet')
const { message, string, u32, u8 } = require('./ssh/bytes')
const { makeKey } = require('./ssh/kex')
const n = require('./ssh/numbers')
const { attackClient, attackServer } = require('./rows')
const { advance } = require('./states')
const { isLibssh } = require('./victims')

const KEX = [n.PROTOCOL_ERROR, n.KEX_FAILED]
const HOST_KEY = [...KEX, 9] // HOST_KEY_NOT_VERIFIABLE
const EARLY_MAX = 8 // exchanges before the login, the first one included

const hex = (text) => Buffer.from(text, 'hex')

// Points of a small order, and what reduces to them: the secret is all zeros.
const LOW_ORDER = {
  'the point 0': Buffer.alloc(32),
  'the point 1': Buffer.concat([u8(1), Buffer.alloc(31)]),
  'a point of order 8': hex('e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800'),
  'another point of order 8': hex('5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157'),
  'the point p - 1': hex('ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f'),
  'the point p': hex('edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f'),
  'the point p + 1': hex('eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f')
}
const CURVE25519 = {
  'an empty point': Buffer.alloc(0),
  'a point of 31 bytes': Buffer.alloc(31, 9),
  'a point of 33 bytes': Buffer.alloc(33, 9),
  'a point of 64 kB': Buffer.alloc(30000, 9),
  ...LOW_ORDER
}

const point = () => crypto.createECDH('prime256v1').generateKeys()
const compressed = () => crypto.createECDH('prime256v1').generateKeys(null, 'compressed')
const changed = (bytes, at, byte) => {
  const out = Buffer.from(bytes)
  out[at] = byte
  return out
}
const P256 = {
  'an empty point': Buffer.alloc(0),
  'the point at infinity': u8(0),
  'a point of 64 bytes': point().subarray(0, 64),
  'a point of 66 bytes': Buffer.concat([point(), u8(0)]),
  'a compressed point': compressed(),
  'a hybrid point': (() => {
    const bytes = point()
    return changed(bytes, 0, 6 + (bytes[64] & 1))
  })(),
  'a point off the curve': (() => {
    const bytes = point()
    return changed(bytes, 40, bytes[40] ^ 0x55) // another byte, whatever it was
  })(),
  'the point (0, 0)': Buffer.concat([u8(4), Buffer.alloc(64)]),
  'a point with x of p': Buffer.concat([u8(4), hex('ffffffff00000001000000000000000000000000ffffffffffffffffffffffff'), Buffer.alloc(32, 1)]),
  'a point of all ones': Buffer.concat([u8(4), Buffer.alloc(64, 0xff)])
}

// ---- lists

/** A KEXINIT with its lists as raw bytes. */
function rawKexinit (edit) {
  return (peer) => edit(peer.makeKexinit())
}

const LISTS = ['kex', 'hostKeys', 'ciphersToServer', 'ciphersToClient', 'compressionToServer', 'compressionToClient']
const many = (count) => Array.from({ length: count }, (_, i) => `name${i}`).join(',')

const KEXINITS = {
  ...Object.fromEntries(LISTS.map((list) => [`nothing in common in ${list}`, (peer) => peer.makeKexinit({ [list]: 'x@example.com' })])),
  ...Object.fromEntries(LISTS.map((list) => [`an empty list of ${list}`, (peer) => peer.makeKexinit({ [list]: '' })])),
  'no cipher at all': (peer) => peer.makeKexinit({ ciphersToServer: 'none', ciphersToClient: 'none' }),
  'no MAC at all': (peer) => peer.makeKexinit({ ciphersToServer: 'aes256-ctr', ciphersToClient: 'aes256-ctr', macsToServer: 'none', macsToClient: 'none' }),
  'only commas': (peer) => peer.makeKexinit({ kex: ',,,,' }),
  'three thousand names': (peer) => peer.makeKexinit({ kex: many(3000) }),
  'a name of 20 kB': (peer) => peer.makeKexinit({ kex: 'x'.repeat(20000) }),
  'the end of a name': (peer) => peer.makeKexinit({ kex: 'urve25519-sha256' }),
  'a name with a NUL': (peer) => peer.makeKexinit({ kex: 'curve25519-sha256\0' }),
  'a name with more behind it': (peer) => peer.makeKexinit({ kex: 'curve25519-sha2567' }),
  'compression only': (peer) => peer.makeKexinit({ compressionToServer: 'zlib', compressionToClient: 'zlib' }),
  'only its marker': (peer) => peer.makeKexinit({ kex: peer.isClient ? 'kex-strict-c-v00@openssh.com,ext-info-c' : 'kex-strict-s-v00@openssh.com' }),
  'a list that leads out of it': rawKexinit((bytes) => Buffer.concat([bytes.subarray(0, 17), hex('7fffffff'), bytes.subarray(21)])),
  'a list of 4 GB': rawKexinit((bytes) => Buffer.concat([bytes.subarray(0, 17), hex('ffffffff'), bytes.subarray(21)])),
  'nothing but its number': rawKexinit((bytes) => bytes.subarray(0, 1)),
  'half a cookie': rawKexinit((bytes) => bytes.subarray(0, 9)),
  'the lists cut short': rawKexinit((bytes) => bytes.subarray(0, 60)),
  'no flag at its end': rawKexinit((bytes) => bytes.subarray(0, -5)),
  'half of the reserved number': rawKexinit((bytes) => bytes.subarray(0, -2))
}

/** Names that are unknown, doubled or empty beside those in common do no harm. */
const GOOD_KEXINITS = {
  'an unknown name before the common one': (peer) => `x@example.com,${peer.kexName}`,
  'a trailing comma': (peer) => `${peer.kexName},`,
  'the same name often': (peer) => Array(50).fill(peer.kexName).join(','),
  'a thousand names before the common one': (peer) => `${many(1000)},${peer.kexName}`
}

/** The lists of a peer, with `kex` and its markers. */
function withMarkers (peer, kex) {
  const marker = peer.isClient ? 'kex-strict-c-v00@openssh.com' : 'kex-strict-s-v00@openssh.com'
  return peer.makeKexinit({ kex: peer.sessionId === null ? `${kex},${marker}` : kex })
}

/** What libssh lets through: neither gives anybody anything. */
const LENIENT = {
  'no flag at its end': 'libssh does not look at the end of a KEXINIT',
  'half of the reserved number': 'libssh does not look at the end of a KEXINIT',
  'a name with a NUL': 'names end at a NUL in libssh'
}

const earlyRows = isLibssh
  ? [] // libssh takes no KEXINIT before the login
  : [{
      name: 'new keys again and again before the login',
      at: 'keys',
      async attack (peer) {
        for (let i = 1; i < EARLY_MAX; i++) await peer.exchange()
        peer.sendKexinit()
      }
    }]

const kexinitRows = [
  ...Object.entries(KEXINITS).map(([name, make]) => ({
    name: `a KEXINIT with ${name}`,
    at: 'ident',
    codes: KEX,
    attack: async (peer) => peer.sendKexinit(make(peer)),
    ...(LENIENT[name] ? { libssh: { expect: 'any', why: LENIENT[name] } } : {})
  })),
  ...Object.entries(GOOD_KEXINITS).map(([name, kex]) => ({
    name: `a KEXINIT with ${name}`,
    at: 'ident',
    expect: 'on',
    attack: async (peer) => {
      peer.sendKexinit(withMarkers(peer, kex(peer)))
      await peer.readKexinit()
      peer.state = 'kexinit'
    }
  })),
  {
    name: 'an IGNORE first of all, without the strict key exchange: that may be',
    at: 'ident',
    peer: { strict: false },
    expect: 'on',
    attack: async (peer) => peer.send(message(n.IGNORE, string('x')))
  },
  {
    name: 'new keys again and again',
    at: 'rekeyed',
    expect: 'on',
    attack: async (peer) => { for (let i = 0; i < 30; i++) await peer.exchange() }
  },
  ...earlyRows,
  {
    name: 'an IGNORE before the KEXINIT of a rekey: only the first one has to come first',
    at: 'rekeyed',
    expect: 'on',
    attack: async (peer) => {
      peer.send(message(n.IGNORE, string('x')))
      await peer.exchange()
    }
  },
  {
    name: 'the marker of the strict key exchange in a rekey only',
    at: 'rekeyed',
    peer: { strict: false },
    expect: 'on',
    attack: async (peer) => {
      const marker = peer.isClient ? 'kex-strict-c-v00@openssh.com' : 'kex-strict-s-v00@openssh.com'
      peer.sendKexinit(peer.makeKexinit({ kex: `${peer.kexName},${marker}` }))
      await peer.readKexinit()
      await peer.method()
      await peer.newkeys()
    }
  }
]

/** What alknet offers: the strict key exchange, used, and its KEXINIT first of all. */
const offerRows = [{
  name: 'the strict key exchange is offered and used',
  at: 'ident',
  attack: async () => {},
  expect: async (peer) => {
    peer.sendKexinit()
    const first = await peer.read()
    if (first[0] !== n.KEXINIT) throw new Error(`message ${first[0]} comes before the KEXINIT`)
    peer.takeKexinit(first)
    if (!peer.isStrict) throw new Error('it is not offered')
    for (const list of Object.values(peer.farLists).flat()) {
      if (/^none$|^zlib|sha1$|md5|group1-|-cbc$|arcfour|3des|ssh-dss|^ssh-rsa$/.test(list) && list !== 'none') {
        throw new Error(`it offers ${list}`)
      }
    }
    peer.state = 'kexinit'
    await advance(peer) // with sequence numbers from 0, or no tag would be right
  }
}]

// ---- guesses (RFC 4253 §7.1)

function guessing (peer, kex) {
  const bytes = withMarkers(peer, kex)
  bytes[bytes.length - 5] = 1 // first_kex_packet_follows
  return bytes
}

const OTHER = 'diffie-hellman-group14-sha256'

const guessRows = (states) => states.flatMap(([at, next]) => [
  {
    name: `a wrong guess, and its packet to be ignored, ${at === 'ident' ? 'at first' : 'in a rekey'}`,
    at,
    expect: 'on',
    attack: async (peer) => {
      peer.sendKexinit(guessing(peer, `${OTHER},${peer.kexName}`))
      peer.send(message(peer.isClient ? n.KEX_INIT : n.KEX_REPLY, string(Buffer.alloc(256, 1))))
      await peer.readKexinit()
      peer.state = next
    },
    libssh: { expect: 'any', why: 'libssh has its own mind about guesses; nothing breaks' }
  },
  {
    name: `a wrong guess without a packet, ${at === 'ident' ? 'at first' : 'in a rekey'}`,
    at,
    codes: null,
    attack: async (peer) => {
      peer.sendKexinit(guessing(peer, `${OTHER},${peer.kexName}`))
      await peer.readKexinit()
      // What follows is ignored as the guess, and a second one is one too many.
      if (!peer.isClient) return peer.disconnect()
      peer.sendInit()
      peer.send(message(n.NEWKEYS))
    }
  }
])

// ---- the two roles

/** Forms of a point that RFC 5656 §4 leaves open, and OpenSSH refuses. */
const FORMS = ['a compressed point', 'a hybrid point']
const forms = (name, answer) => FORMS.includes(name)
  ? { libssh: { expect: (peer) => peer.expect(answer), why: 'libssh takes each form of a point that OpenSSL does' } }
  : {}

const initRow = (name, kex, value) => ({
  ...forms(name, n.KEX_REPLY),
  name: `${kex}: ${name}`,
  at: 'kexinit',
  peer: { kex },
  codes: KEX,
  attack: async (peer) => peer.sendInit(value)
})

describe('key exchanges with a server', function () {
  this.timeout(15000)
  before(function () { needAlknet(this) })
  attackServer([
    ...offerRows,
    ...Object.entries(CURVE25519).map(([name, value]) => initRow(name, 'curve25519-sha256', value)),
    ...Object.entries(P256).map(([name, value]) => initRow(name, 'ecdh-sha2-nistp256', value)),
    {
      name: 'a point of 4 GB',
      at: 'kexinit',
      codes: KEX,
      attack: async (peer) => peer.send(message(n.KEX_INIT, hex('ffffffff'), Buffer.alloc(32)))
    },
    {
      name: 'a point with more behind it',
      at: 'kexinit',
      codes: KEX,
      attack: async (peer) => peer.send(message(n.KEX_INIT, string(peer.startMethod()), u8(0))),
      libssh: { expect: (peer) => peer.readReply(), why: 'libssh does not look behind the fields' }
    },
    { name: 'the point 0 in a rekey', at: 'rekey', codes: KEX, attack: async (peer) => peer.sendInit(Buffer.alloc(32)) },
    ...kexinitRows,
    ...guessRows([['ident', 'kexinit'], ['channel', 'rekey']])
  ])
})

/** A KEX_REPLY whose parts can be other ones: parts = ({ hostKey, point, hash, sign }) => [hostKey, point, signature]. */
const reply = (parts) => async (peer) => {
  if (peer.clientPublic === undefined || peer.state === 'rekey') await peer.readInit()
  const point = peer.startMethod()
  const hash = peer.finishMethod(peer.hostKey.blob, peer.clientPublic)
  const fields = parts({ peer, hostKey: peer.hostKey, point, hash })
  peer.send(message(n.KEX_REPLY, ...fields.map((field) => string(field))))
}

const signature = (bytes, type = 'ssh-ed25519') => Buffer.concat([string(type), string(bytes)])
const stranger = makeKey()

const SIGNATURES = {
  'a random signature': ({ hostKey, point }) => [hostKey.blob, point, signature(crypto.randomBytes(64))],
  'a signature of all zeros': ({ hostKey, point }) => [hostKey.blob, point, signature(Buffer.alloc(64))],
  'a signature of 63 bytes': ({ hostKey, point, hash }) => [hostKey.blob, point, hostKey.sign(hash).subarray(0, -1)],
  'a signature of 0 bytes': ({ hostKey, point }) => [hostKey.blob, point, signature(Buffer.alloc(0))],
  'no signature': ({ hostKey, point }) => [hostKey.blob, point, Buffer.alloc(0)],
  'a signature of another key': ({ hostKey, point, hash }) => [hostKey.blob, point, stranger.sign(hash)],
  'a signature of something else': ({ hostKey, point }) => [hostKey.blob, point, hostKey.sign(Buffer.alloc(32))],
  'a signature that is called rsa-sha2-512': ({ hostKey, point, hash }) => [hostKey.blob, point, signature(hostKey.sign(hash).subarray(-64), 'rsa-sha2-512')],
  'a signature with a length of 4 GB': ({ hostKey, point }) => [hostKey.blob, point, Buffer.concat([string('ssh-ed25519'), hex('ffffffff')])],
  'a host key of 31 bytes': ({ hostKey, point, hash }) => [Buffer.concat([string('ssh-ed25519'), string(Buffer.alloc(31, 3))]), point, hostKey.sign(hash)],
  'an empty host key': ({ hostKey, point, hash }) => [Buffer.alloc(0), point, hostKey.sign(hash)],
  'a host key of a type that was not chosen': ({ hostKey, point, hash }) => [Buffer.concat([string('ssh-rsa'), string(u8(3)), string(Buffer.alloc(256, 0x81))]), point, hostKey.sign(hash)],
  'a host key with a length of 4 GB': ({ point, hostKey, hash }) => [Buffer.concat([string('ssh-ed25519'), hex('ffffffff')]), point, hostKey.sign(hash)]
}

const replyRow = (name, kex, parts, more = {}) => ({
  name: `${kex}: ${name}`, at: 'kexinit', peer: { kex }, codes: HOST_KEY, attack: reply(parts), ...more
})

/** Sends a point of its own choice; no secret can be made of it here. */
const pointRow = (name, kex, value) => ({
  ...forms(name, n.NEWKEYS),
  name: `${kex}: ${name}`,
  at: 'kexinit',
  peer: { kex },
  codes: KEX,
  attack: async (peer) => {
    await peer.readInit()
    peer.send(message(n.KEX_REPLY, string(peer.hostKey.blob), string(value), string(peer.hostKey.sign(Buffer.alloc(32)))))
  }
})

describe('key exchanges with a client', function () {
  this.timeout(15000)
  before(function () { needAlknet(this) })
  attackClient([
    ...offerRows,
    ...Object.entries(CURVE25519).map(([name, value]) => pointRow(name, 'curve25519-sha256', value)),
    ...Object.entries(P256).map(([name, value]) => pointRow(name, 'ecdh-sha2-nistp256', value)),
    ...Object.entries(SIGNATURES).map(([name, parts]) => replyRow(name, 'curve25519-sha256', parts, {
      error: /^ERR_ALKNET_(PROTO|KEX|HOSTKEY|CRYPTO|LOST|TIMEOUT)$/,
      // It ends it without an answer once it has the NEWKEYS, which never come.
      libssh: { expect: 'limit', why: 'libssh judges the signature when NEWKEYS come' }
    })),
    {
      name: "another host key, with that key's signature",
      at: 'kexinit',
      codes: [...HOST_KEY, 11],
      error: /^ERR_ALKNET_HOSTKEY$/,
      attack: async (peer) => {
        peer.hostKey = stranger
        await peer.method()
        peer.sendNewkeys()
      },
      libssh: { codes: [null, 11], why: 'libssh says BY_APPLICATION' }
    },
    {
      name: 'another host key in a rekey',
      at: 'rekey',
      codes: HOST_KEY,
      attack: async (peer) => {
        peer.hostKey = stranger
        await peer.method()
        peer.sendNewkeys()
        peer.state = 'rekeyed'
      },
      error: /^ERR_ALKNET_(HOSTKEY|KEX|PROTO)$/,
      libssh: {
        why: 'libssh asks nobody about the host key of a rekey, which the old keys protect',
        async expect (peer) {
          await peer.readNewkeys()
          await advance(peer)
        }
      }
    },
    {
      name: 'a wrong signature in a rekey',
      at: 'rekey',
      codes: HOST_KEY,
      attack: async (peer) => {
        await reply(SIGNATURES['a random signature'])(peer)
        peer.sendNewkeys()
      },
      ...(isLibssh ? {} : { error: /^ERR_ALKNET_(HOSTKEY|KEX|PROTO)$/ })
    },
    { name: 'the point 0 in a rekey', at: 'rekey', codes: KEX, attack: async (peer) => pointRow('', '', Buffer.alloc(32)).attack(peer) },
    { name: 'a reply of 4 GB', at: 'kexinit', codes: KEX, attack: async (peer) => peer.send(message(n.KEX_REPLY, u32(0xffffffff))) },
    ...kexinitRows,
    ...guessRows([['ident', 'kexinit'], ['opening', 'rekey']])
  ])
})
