'use strict'

/**
 * Windows and channels: more than there is room for, what is for nobody, what
 * is over, and openings that nobody may have (CVE-2026-59843 and -59850 of
 * libssh, GHSA-h5rc-j5f5-3gcm of russh).
 */

const assert = require('node:assert')
const { once } = require('node:events')
const { needAlknet } = require('../helpers/alknet')
const { Reader, message, string, u32, u8 } = require('./ssh/bytes')
const { openDirect } = require('./ssh/client')
const n = require('./ssh/numbers')
const { Ended } = require('./ssh/peer')
const { attackClient, attackServer } = require('./rows')
const { advance } = require('./states')

const data = (id, length = 1) => message(n.DATA, u32(id), string(Buffer.alloc(length, 0x41)))
const adjust = (id, by) => message(n.WINDOW_ADJUST, u32(id, by))
const DROPS = (expect) => ({ expect, why: 'libssh drops what is for no channel' })

/** The open is refused or the session ends; nothing spins, which the next client shows. */
async function refusedOrOver (peer) {
  const answer = await peer.next().catch((err) => {
    if (!(err instanceof Ended)) throw err
    return null
  })
  if (answer !== null) assert.strictEqual(answer[0], n.OPEN_FAILURE)
}

/** Refused as prohibited or as an unknown type. */
async function isRefused (peer) {
  const answer = await peer.expect(n.OPEN_FAILURE)
  assert.strictEqual(answer.u32(), 7)
  assert.ok([1, 3].includes(answer.u32()))
  await advance(peer)
}

/** What libssh makes of a name with a NUL in it: the name before it. */
const ENDS_AT_NUL = {
  why: 'names end at a NUL',
  async expect (peer, victim) {
    await peer.expect(n.OPEN_CONFIRMATION)
    if (victim.forbidden.accepted === 0) await once(victim.forbidden, 'connection')
    victim.forbidden.accepted = 0
  }
}

const TYPES = [
  'session', 'x11', 'auth-agent@openssh.com', 'tun@openssh.com', 'forwarded-streamlocal@openssh.com',
  'direct-tcpip\0', 'DIRECT-TCPIP', 'direct-tcpi', '', 'x'.repeat(30000)
]

/** Rows for a channel that is open, of either side; far(peer) is the victim's number of it. */
const openRows = (at, far) => [
  {
    name: 'a window that grows beyond 2^32-1',
    at,
    attack: async (peer) => peer.send(adjust(far(peer), 0xffffffff)),
    libssh: { expect: 'alive', why: 'libssh adds without looking; what it sends is bounded by what it has' }
  },
  {
    name: 'a window that grows beyond 2^32-1 in small steps',
    at,
    attack: async (peer) => peer.write(Buffer.concat(Array.from({ length: 20 }, () => peer.seal(adjust(far(peer), 0x10000000))))),
    libssh: { expect: 'alive', why: 'as above' }
  },
  { name: 'a window that grows by nothing', at, expect: 'on', attack: async (peer) => peer.send(adjust(far(peer), 0)) },
  {
    name: 'data behind its end',
    at,
    attack: async (peer) => {
      peer.send(message(n.EOF, u32(far(peer))))
      peer.send(data(far(peer)))
    },
    libssh: { expect: 'alive', why: 'libssh hands it on' }
  },
  {
    name: 'data behind its close',
    at,
    attack: async (peer) => {
      peer.send(message(n.CLOSE, u32(far(peer))))
      await closed(peer)
      peer.send(data(far(peer)))
    },
    libssh: DROPS('alive')
  },
  {
    name: 'a second close',
    at,
    attack: async (peer) => {
      peer.send(message(n.CLOSE, u32(far(peer))))
      await closed(peer)
      peer.send(message(n.CLOSE, u32(far(peer))))
    },
    libssh: DROPS('alive')
  },
  {
    name: 'everything behind its close, in one piece',
    at,
    codes: null,
    attack: async (peer) => peer.write(Buffer.concat([
      message(n.EOF, u32(far(peer))), message(n.CLOSE, u32(far(peer))), message(n.CLOSE, u32(far(peer))),
      data(far(peer)), adjust(far(peer), 1), message(n.EOF, u32(far(peer))),
      message(n.CHANNEL_REQUEST, u32(far(peer)), string('x'), u8(1))
    ].map((payload) => peer.seal(payload)))),
    libssh: DROPS('alive')
  },
  {
    name: 'a confirmation of what is open',
    at,
    attack: async (peer) => peer.send(message(n.OPEN_CONFIRMATION, u32(far(peer), 9, 1000, 1000))),
    libssh: { expect: 'alive', why: 'libssh drops it' }
  },
  {
    name: 'a failure of what is open',
    at,
    attack: async (peer) => peer.send(message(n.OPEN_FAILURE, u32(far(peer), 1), string('no'), string(''))),
    libssh: { expect: 'alive', why: 'libssh drops it' }
  },
  {
    name: 'a request on a channel is refused',
    at,
    attack: async (peer) => peer.send(message(n.CHANNEL_REQUEST, u32(far(peer)), string('exec'), u8(1), string('id'))),
    async expect (peer) {
      const answer = await peer.next()
      assert.strictEqual(answer[0], n.CHANNEL_FAILURE)
      await advance(peer)
    }
  },
  { name: 'an answer that nobody waits for', at, expect: 'alive', attack: async (peer) => peer.send(message(n.CHANNEL_SUCCESS, u32(far(peer)))) },
  { name: 'extended data', at, expect: 'alive', attack: async (peer) => peer.send(message(n.EXTENDED_DATA, u32(far(peer), 1), string('x'))) },
  ...[n.DATA, n.WINDOW_ADJUST, n.EOF, n.CLOSE, n.CHANNEL_REQUEST, n.EXTENDED_DATA].map((number) => ({
    name: `message ${number} for a channel that was never there`,
    at,
    attack: async (peer) => peer.send(message(number, u32(0x7fffffff, 1), string('x'))),
    libssh: DROPS('on')
  })),
  ...[
    ['data of 4 GB', (id) => message(n.DATA, u32(id, 0xffffffff))],
    ['data without its length', (id) => message(n.DATA, u32(id))],
    ['a window without its number', (id) => message(n.WINDOW_ADJUST, u32(id))],
    ['an end without its channel', () => message(n.EOF)],
    ['a request of 4 GB', (id) => message(n.CHANNEL_REQUEST, u32(id, 0xffffffff))]
  ].map(([name, make]) => ({
    name,
    at,
    attack: async (peer) => peer.send(make(far(peer))),
    libssh: { expect: 'alive', why: 'libssh drops what it cannot read' }
  })),
  ...[
    ['a global request of 4 GB', message(n.GLOBAL_REQUEST, u32(0xffffffff))],
    ['a global request without a word', message(n.GLOBAL_REQUEST)]
  ].map(([name, bytes]) => ({
    name, at, attack: async (peer) => peer.send(bytes), libssh: { expect: 'alive', why: 'libssh drops what it cannot read' }
  }))
]

/** Reads until the victim has closed its side of the channel. */
async function closed (peer) {
  for (;;) {
    const payload = await peer.next()
    if (payload[0] === n.CLOSE) return
  }
}

describe('channels to a server', function () {
  this.timeout(15000)
  before(function () { needAlknet(this) })

  const far = (peer) => peer.channel.far
  const open = (fields) => message(n.CHANNEL_OPEN, ...fields)

  attackServer([
    ...openRows('channel', far),
    ...TYPES.map((type) => ({
      name: `opens a ${JSON.stringify(type).slice(0, 40)}`,
      at: 'ready',
      attack: async (peer, victim) => peer.send(openDirect(7, '127.0.0.1', victim.forbidden.port, { type })),
      expect: isRefused,
      ...(type === 'direct-tcpip\0' ? { libssh: ENDS_AT_NUL } : {})
    })),
    {
      name: 'opens a forwarded-tcpip, which servers open',
      at: 'ready',
      attack: async (peer, victim) => peer.send(openDirect(7, '127.0.0.1', victim.forbidden.port, { type: 'forwarded-tcpip' })),
      expect: isRefused
    },
    ...[[0, 0], [0, 1], [1, 0], [0xffffffff, 0], [1, 1], [0xffffffff, 1], [1000, 10]].map(([window, packet]) => ({
      name: `opens with a window of ${window} and packets of ${packet}`,
      at: 'ready',
      attack: async (peer) => peer.send(openDirect(0, '127.0.0.1', peer.echoPort, { window, packet })),
      expect: refusedOrOver
    })),
    {
      name: 'opens with the largest window and packets that there are',
      at: 'ready',
      attack: async () => {},
      async expect (peer) {
        peer.channel = await peer.open('127.0.0.1', peer.echoPort, { window: 0xffffffff, packet: 0xffffffff })
        const bytes = Buffer.alloc(30000, 0x42)
        await peer.echo(peer.channel, bytes)
      }
    },
    {
      name: 'opens with no window at all: nothing comes until there is one',
      at: 'ready',
      attack: async () => {},
      async expect (peer) {
        const channel = await peer.open('127.0.0.1', peer.echoPort, { window: 0 })
        peer.send(data(channel.far, 4))
        // The answer to this comes first: it is the only thing that may.
        peer.send(message(n.CHANNEL_REQUEST, u32(channel.far), string('x'), u8(1)))
        await peer.expect(n.CHANNEL_FAILURE)
        peer.send(adjust(channel.far, 4))
        assert.strictEqual((await peer.expect(n.DATA)).rest().subarray(-4).toString(), 'AAAA')
      }
    },
    {
      name: 'sends a packet larger than it may',
      at: 'channel',
      expect: 'alive',
      attack: async (peer) => peer.send(data(far(peer), peer.channel.packet + 1))
    },
    {
      name: 'data for a channel whose target is still being connected',
      at: 'ready',
      attack: async (peer) => peer.write(Buffer.concat([
        peer.seal(openDirect(0, '127.0.0.1', peer.echoPort)), peer.seal(data(0)), peer.seal(data(1))])),
      libssh: { expect: 'alive', why: 'libssh drops it or hands it on' }
    },
    {
      name: 'the close of a channel whose target is still being connected',
      at: 'ready',
      codes: null,
      attack: async (peer) => peer.write(Buffer.concat([
        peer.seal(openDirect(0, '127.0.0.1', peer.echoPort)),
        ...[0, 1].map((id) => peer.seal(message(n.CLOSE, u32(id))))])),
      libssh: { expect: 'alive', why: 'libssh drops it' }
    },
    ...[0, 65536, 0xffffffff].map((port) => ({
      name: `opens the port ${port}`,
      at: 'ready',
      attack: async (peer) => peer.send(openDirect(7, '127.0.0.1', port)),
      expect: refusedOrOver
    })),
    ...['', '\0', '127.0.0.1\0', 'x'.repeat(1000), '-x', 'a\nb'].map((host) => ({
      name: `opens the host ${JSON.stringify(host).slice(0, 20)}`,
      at: 'ready',
      attack: async (peer, victim) => peer.send(openDirect(7, host, victim.forbidden.port)),
      expect: refusedOrOver,
      ...(host === '127.0.0.1\0' ? { libssh: ENDS_AT_NUL } : {})
    })),
    ...[
      ['its type', [u32(0xffffffff)]],
      ['its host', [string('direct-tcpip'), u32(7, 1000, 1000, 0xffffffff)]],
      ['its origin', [string('direct-tcpip'), u32(7, 1000, 1000), string('127.0.0.1'), u32(1, 0xffffffff)]]
    ].map(([name, fields]) => ({
      name: `opens a channel with 4 GB of ${name}`,
      at: 'ready',
      attack: async (peer) => peer.send(open(fields)),
      expect: refusedOrOver,
      libssh: { expect: 'any', why: 'libssh drops what it cannot read' }
    })),
    ...Array.from({ length: openDirect(7, '127.0.0.1', 9).length - 1 }, (_, i) => ({
      name: `opens a channel, cut short to ${i + 1} bytes`,
      at: 'ready',
      attack: async (peer, victim) => peer.send(openDirect(7, '127.0.0.1', victim.forbidden.port).subarray(0, i + 1)),
      expect: refusedOrOver,
      libssh: { expect: 'alive', why: 'libssh drops what it cannot read' }
    })),
    {
      name: 'more channels than maxChannels',
      at: 'ready',
      attack: async () => {},
      async expect (peer) {
        peer.write(Buffer.concat(Array.from({ length: 1100 }, (_, i) => peer.seal(openDirect(i, '127.0.0.1', peer.echoPort)))))
        const counts = { [n.OPEN_CONFIRMATION]: 0, [n.OPEN_FAILURE]: 0 }
        for (let i = 0; i < 1100; i++) {
          const answer = await peer.next()
          counts[answer[0]]++
          if (answer[0] === n.OPEN_FAILURE) assert.strictEqual(new Reader(answer.subarray(5)).u32(), 4)
        }
        assert.deepStrictEqual(counts, { [n.OPEN_CONFIRMATION]: 1024, [n.OPEN_FAILURE]: 76 })
      }
    }
  ])
})

describe('channels to a client', function () {
  this.timeout(15000)
  before(function () { needAlknet(this) })

  const far = (peer) => peer.opened.far

  attackClient([
    ...openRows('channel', far),
    {
      name: 'opens a forwarded-streamlocal@openssh.com of its own, with the fields of another type',
      at: 'opening',
      attack: async (peer) => peer.send(openDirect(7, '/x', 9, { type: 'forwarded-streamlocal@openssh.com' })),
      expect: refusedOrOver
    },
    ...['forwarded-tcpip', 'direct-tcpip', ...TYPES.filter((type) => !type.startsWith('forwarded-'))].map((type) => ({
      name: `opens a ${JSON.stringify(type).slice(0, 40)} of its own`,
      at: 'opening',
      attack: async (peer) => peer.send(openDirect(7, '127.0.0.1', 9, { type })),
      expect: isRefused
    })),
    ...[
      ['data', (id) => data(id)],
      ['a window', (id) => adjust(id, 1)],
      ['an end', (id) => message(n.EOF, u32(id))],
      ['a close', (id) => message(n.CLOSE, u32(id))],
      ['a request', (id) => message(n.CHANNEL_REQUEST, u32(id), string('x'), u8(1))]
    ].map(([name, make]) => ({
      name: `${name} before the confirmation`,
      at: 'opening',
      attack: async (peer) => peer.send(make(far(peer))),
      libssh: { expect: 'alive', why: 'libssh knows the channel from its CHANNEL_OPEN on' }
    })),
    ...[[0, 0], [1000, 0], [0xffffffff, 0], [0xffffffff, 1], [1000, 10]].map(([window, packet]) => ({
      name: `confirms with a window of ${window} and packets of ${packet}`,
      at: 'opening',
      expect: 'any',
      attack: async (peer) => {
        peer.channel = peer.confirm(peer.opened, { window, packet })
        peer.socket.end()
      }
    })),
    {
      name: 'confirms and closes in one piece: the close is answered',
      at: 'opening',
      attack: async (peer) => peer.write(Buffer.concat([
        peer.seal(message(n.OPEN_CONFIRMATION, u32(far(peer), 0, 1000, 1000))), peer.seal(message(n.CLOSE, u32(far(peer))))])),
      expect: closed,
      libssh: { expect: 'alive', why: 'such a channel may be forgotten until openTimeout' }
    },
    {
      name: 'confirms and fails the same channel',
      at: 'opening',
      attack: async (peer) => {
        peer.confirm(peer.opened)
        peer.send(message(n.OPEN_FAILURE, u32(far(peer), 1), string('no'), string('')))
      },
      libssh: { expect: 'alive', why: 'libssh drops it' }
    },
    {
      name: 'a failure with 4 GB of words',
      at: 'opening',
      attack: async (peer) => peer.send(message(n.OPEN_FAILURE, u32(far(peer), 1, 0xffffffff))),
      libssh: { expect: 'alive', why: 'libssh takes it for a failure without words' }
    }
  ])
})
