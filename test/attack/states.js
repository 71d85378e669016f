'use strict'

/**
 * An SSH connection as a list of steps, for the raw client and for the raw
 * server. Between two steps the connection is in the state that is named after
 * the first of them: the place to attack it. All steps in turn are the proof
 * that without the attack it is an honest connection.
 */

const { string, u32, u8, message } = require('./ssh/bytes')
const { openDirect } = require('./ssh/client')
const n = require('./ssh/numbers')

/** The raw client's; its server has an echo at `peer.echoPort`. */
const CLIENT_STEPS = {
  ident: (peer) => peer.exchangeIdents(),
  kexinit: async (peer) => {
    peer.sendKexinit()
    await peer.readKexinit()
  },
  reply: async (peer) => {
    await peer.method()
    await peer.readNewkeys()
  },
  keys: async (peer) => peer.sendNewkeys(),
  service: (peer) => peer.service(),
  queried: (peer) => peer.query(),
  ready: (peer) => peer.authenticate(),
  channel: async (peer) => { peer.channel = await peer.open('127.0.0.1', peer.echoPort) },
  rekey: async (peer) => {
    peer.sendKexinit()
    await peer.readKexinit()
  },
  rereply: async (peer) => {
    await peer.method()
    await peer.readNewkeys()
  },
  rekeyed: async (peer) => peer.sendNewkeys(),
  echoed: (peer) => peer.echo(peer.channel)
}

/** The raw server's; its client opens a channel and has four bytes echoed. */
const SERVER_STEPS = {
  ident: (peer) => peer.exchangeIdents(),
  kexinit: async (peer) => {
    peer.sendKexinit()
    await peer.readKexinit()
  },
  reply: async (peer) => {
    await peer.method()
    await peer.readNewkeys()
  },
  keys: async (peer) => peer.sendNewkeys(),
  service: (peer) => peer.service(),
  asked: async (peer) => { peer.asked = await peer.readAuth() },
  ready: async (peer) => {
    if (!peer.asked.hasSignature) {
      peer.pkOk(peer.asked)
      await peer.readProof()
    }
    peer.admit()
  },
  opening: async (peer) => { peer.opened = await peer.readOpen() },
  rekey: async (peer) => {
    peer.sendKexinit()
    await peer.readKexinit()
  },
  rereply: async (peer) => {
    await peer.method()
    await peer.readNewkeys()
  },
  rekeyed: async (peer) => peer.sendNewkeys(),
  channel: async (peer) => {
    peer.channel = peer.confirm(peer.opened)
    peer.ping = await peer.expect(n.DATA) // so it knows that its channel is open
  },
  echoed: async (peer) => {
    peer.ping.u32()
    peer.send(message(n.DATA, u32(peer.channel.far), string(peer.ping.string())))
  }
}

const STEPS = { client: CLIENT_STEPS, server: SERVER_STEPS }

/** Takes a raw peer from its state to another: the last one, if none is named. */
async function advance (peer, to) {
  const steps = STEPS[peer.role]
  const names = Object.keys(steps)
  const last = to === undefined ? names.length - 1 : names.indexOf(to)
  if (last < 0) throw new Error(`no state ${to}`)
  for (let i = names.indexOf(peer.state) + 1; i <= last; i++) {
    await steps[names[i]](peer)
    peer.state = names[i]
  }
}

const NOBODY = 4242

/**
 * A well-formed payload of each message number, as an attacker would send it:
 * what stops it has to be its place, not its form.
 *
 * @param {Peer} peer
 * @param {number} number
 * @param {number} [forbiddenPort] - a target that nobody may reach
 */
function wellFormed (peer, number, forbiddenPort = 9) {
  const fields = {
    [n.DISCONNECT]: () => [u32(11), string('bye'), string('')],
    [n.IGNORE]: () => [string('x')],
    [n.UNIMPLEMENTED]: () => [u32(0)],
    [n.DEBUG]: () => [u8(0), string('x'), string('')],
    [n.SERVICE_REQUEST]: () => [string('ssh-userauth')],
    [n.SERVICE_ACCEPT]: () => [string('ssh-userauth')],
    [n.EXT_INFO]: () => [u32(1), string('server-sig-algs'), string('ssh-ed25519')],
    [n.KEX_INIT]: () => [string(peer.startMethod())],
    [n.KEX_REPLY]: () => [string('x'), string(Buffer.alloc(32, 9)), string('x')],
    [n.USERAUTH_REQUEST]: () => [string('root'), string('ssh-connection'), string('none')],
    [n.USERAUTH_FAILURE]: () => [string('publickey'), u8(0)],
    [n.USERAUTH_BANNER]: () => [string('hello'), string('')],
    [n.USERAUTH_PK_OK]: () => [string('ssh-ed25519'), string('x')],
    [n.GLOBAL_REQUEST]: () => [string('nonsense@example.com'), u8(1)],
    [n.OPEN_CONFIRMATION]: () => [u32(NOBODY, 0, 1 << 20, 32768)],
    [n.OPEN_FAILURE]: () => [u32(NOBODY, 1), string('no'), string('')],
    [n.WINDOW_ADJUST]: () => [u32(NOBODY, 1)],
    [n.DATA]: () => [u32(NOBODY), string('x')],
    [n.EXTENDED_DATA]: () => [u32(NOBODY, 1), string('x')],
    [n.EOF]: () => [u32(NOBODY)],
    [n.CLOSE]: () => [u32(NOBODY)],
    [n.CHANNEL_REQUEST]: () => [u32(NOBODY), string('shell'), u8(1)],
    [n.CHANNEL_SUCCESS]: () => [u32(NOBODY)],
    [n.CHANNEL_FAILURE]: () => [u32(NOBODY)],
    [n.PING]: () => [string('ping')],
    [n.PONG]: () => [string('ping')]
  }
  if (number === n.KEXINIT) return peer.makeKexinit()
  if (number === n.CHANNEL_OPEN) return openDirect(77, '127.0.0.1', forbiddenPort)
  return message(number, ...(fields[number] ? fields[number]() : []))
}

module.exports = { CLIENT_STEPS, SERVER_STEPS, NOBODY, advance, wellFormed }
