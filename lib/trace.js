'use strict'

/**
 * What alknet tells on node:diagnostics_channel, for those who watch how long
 * things take and how they end. Who subscribes may be any code in the process:
 * no name of a user, key, host or destination and no byte comes here.
 *
 *   alknet:connect  start -> open -> close     a session: begun, logged in, over
 *                      \------------> error    or it never came to the login
 *   alknet:reconnect start -> attempt … -> open    it was lost, and is back
 *                                    \---> error   or was given up
 *   alknet:auth     accept | reject            one answer to one key
 *   alknet:channel  start -> open -> close     asked for, open, both sides closed
 *                      \------------> error    refused, or given up
 *
 * A message is { event, id, role, … }: id is the session's, in this process,
 * and stays when it is lost and connects again;
 * role is 'client' or 'server'; ms the time since start. `code` says why, where
 * it was not just closed. That a server's channel is open is told of those that
 * it serves itself: the others are joined with their target in C.
 */

const { channel } = require('diagnostics_channel')

const CONNECT = channel('alknet:connect')
const AUTH = channel('alknet:auth')
const CHANNEL = channel('alknet:channel')
const RECONNECT = channel('alknet:reconnect')

let sessions = 0

/** Something with a beginning and an end. */
class Span {
  /** channel: of diagnostics_channel. who: what each message has. */
  constructor (channel, who) {
    this._channel = channel
    this._who = who
    this._began = performance.now()
    this._isOpen = false
    this._isOver = false
    channel.publish({ event: 'start', ...who })
  }

  open (more) {
    if (this._isOpen || this._isOver) return
    this._isOpen = true
    this.tell('open', more)
  }

  /** err: null, or anything with a code. failed: it was never open, even if nobody was told. */
  over (err, failed = !this._isOpen) {
    if (this._isOver) return
    this._isOver = true
    const { code, reason, stage } = err ?? {}
    this.tell(failed ? 'error' : 'close', {
      ...(code !== undefined && { code }),
      ...(reason !== undefined && { reason }),
      ...(failed && stage !== undefined && { stage })
    })
  }

  /** Something in between. */
  tell (event, more) {
    if (!this._channel.hasSubscribers) return
    this._channel.publish({ event, ...this._who, ms: performance.now() - this._began, ...more })
  }
}

// Spans by the addon's handle: that of the channel, or of the SOCKS client
// whose channel only C knows. Only those that somebody wanted to hear of.
const spans = new WeakMap()

/** The tracing of one session, or of one link of a session that has several. */
class Trace {
  /** role: 'client' or 'server'. transport: 'tcp', 'stream' … */
  constructor (role, transport, id = ++sessions) {
    this._who = { id, role, transport }
    this._attempt = 0
    this._span = new Span(CONNECT, this._who)
  }

  /** Of the next link of the same session. */
  again () {
    const { id, role, transport } = this._who
    return new Trace(role, transport, id)
  }

  /** The link was lost, and there is to be another. Gives what to tell it of. */
  reconnect () {
    return new Span(RECONNECT, this._who)
  }

  /** Logged in. handle: the addon's session. */
  ready (handle) {
    if (!CONNECT.hasSubscribers) return this._span.open()
    const { engine, kex, hostkey, cipherIn, cipherOut } = handle.info()
    this._span.open({ engine, kex, hostkey, cipherIn, cipherOut })
  }

  /** err: null, or why the session is over. */
  over (err) {
    this._span.over(err)
  }

  /** A key was answered. */
  auth (accepted) {
    this._attempt++
    if (!AUTH.hasSubscribers) return
    AUTH.publish({ event: accepted ? 'accept' : 'reject', ...this._who, attempt: this._attempt })
  }

  /** A channel is asked for. handle: its own, or what stands for it. */
  channel (handle) {
    if (CHANNEL.hasSubscribers) spans.set(handle, new Span(CHANNEL, this._who))
  }
}

/** The channel is open. */
function channelOpen (handle) {
  spans.get(handle)?.open()
}

/** The channel is over; err: null, or why. */
function channelOver (handle, err, failed) {
  const span = spans.get(handle)
  if (span === undefined) return
  spans.delete(handle)
  span.over(err, failed)
}

/** Whether anybody is told of the channel. */
function isTraced (handle) {
  return spans.has(handle)
}

module.exports = { Trace, channelOpen, channelOver, isTraced }
