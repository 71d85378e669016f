'use strict'

/**
 * Which SOCKS reply (RFC 1928 §6) a failed channel open deserves: spec §4.
 * Pure. The reason of RFC 4254 §5.1 says little ("connect failed"), so the
 * refusal's text is read too: alknet's server, OpenSSH's sshd and most others
 * put the system's words there.
 */

const REPLY = {
  ok: 0,
  failure: 1,
  notAllowed: 2,
  networkUnreachable: 3,
  hostUnreachable: 4,
  refused: 5,
  timedOut: 6
}

// First match decides. "refused" alone would match "refused the channel".
const WORDS = [
  [/connection refused|ECONNREFUSED/i, REPLY.refused],
  [/network (is )?(unreachable|down)|ENETUNREACH/i, REPLY.networkUnreachable],
  [/no route to host|host (is )?(unreachable|down)|EHOSTUNREACH/i, REPLY.hostUnreachable],
  [/name not found|not known|unknown host|could not resolve|no address associated|name resolution|ENOTFOUND|NXDOMAIN/i,
    REPLY.hostUnreachable],
  [/timed ?out|ETIMEDOUT/i, REPLY.timedOut]
]

/** err: why the channel did not open; null when it closed without a reason. */
function replyCode (err) {
  if (err === null || err === undefined) return REPLY.failure
  if (err.code === 'ERR_ALKNET_TIMEOUT') return REPLY.timedOut
  if (err.code !== 'ERR_ALKNET_CHANNEL') return REPLY.failure
  const found = WORDS.find(([pattern]) => pattern.test(err.message))
  if (found !== undefined) return found[1]
  return err.reason === 1 ? REPLY.notAllowed : REPLY.failure
}

module.exports = { REPLY, replyCode }
