'use strict'

/** The channels of a session in numbers, as the addon has them (binding.js). */

/** What a channel is for. */
const DIRECT_TCPIP = 0
const FORWARDED_TCPIP = 1
const DIRECT_STREAMLOCAL = 2
const FORWARDED_STREAMLOCAL = 3

/** Why one does not open (RFC 4254 §5.1). */
const PROHIBITED = 1
const CONNECT_FAILED = 2
const UNKNOWN_TYPE = 3
const SHORTAGE = 4

module.exports = {
  CONNECT_FAILED,
  DIRECT_STREAMLOCAL,
  DIRECT_TCPIP,
  FORWARDED_STREAMLOCAL,
  FORWARDED_TCPIP,
  PROHIBITED,
  SHORTAGE,
  UNKNOWN_TYPE
}
