'use strict'

/** Why one end of an SSH session ends it, in the numbers that the other is told (RFC 4253 §11.1). */
const BYE = Object.freeze({
  CONNECTION_LOST: 10,
  BY_APPLICATION: 11,
  TOO_MANY_CONNECTIONS: 12,
  AUTH_CANCELLED: 13,
  NO_MORE_AUTH: 14
})

module.exports = { BYE }
