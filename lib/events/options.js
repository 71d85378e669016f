'use strict'

/** The options of event targets, hubs and subscriptions. Pure. */

const { optionError } = require('../errors')
const { abortSignal, callback, flag, hostPort, integer, oneOf, seconds } = require('../option-checks')
const { validate } = require('../option-table')
const { checkStream } = require('./link')
const { POLICIES } = require('./queue')

const DAY = 86400
const GIB = 1024 ** 3

const QUEUE = {
  policy: [oneOf(POLICIES, [])],
  maxQueue: [integer(1, 10_000), 1024],
  maxQueueBytes: [integer(1024, GIB, ' bytes'), 4 * 1024 ** 2]
}

const COMMON = {
  ...QUEUE,
  blockTimeout: [seconds(1, DAY), 30],
  maxFrame: [integer(16384, 64 * 1024 ** 2, ' bytes'), 1024 ** 2],
  maxDepth: [integer(2, 1000), 64],
  maxTopic: [integer(1, 1024), 255],
  maxSubscriptions: [integer(1, 65536), 256]
}

const TABLES = {
  target: {
    ...COMMON,
    policy: [QUEUE.policy[0], 'block'],
    stream: [checkStream],
    session: [aSession],
    destination: [hostPort(), { host: 'alknet-control', port: 0 }],
    reattach: [flag, false]
  },
  hub: {
    ...COMMON,
    policy: [QUEUE.policy[0], 'disconnect'],
    authorize: [callback],
    authorizeTimeout: [seconds(1, DAY), 10],
    destination: [reserved, 'alknet-control:0'],
    maxClients: [integer(1, 65536), 1024]
  },
  subscribe: { ...QUEUE, policy: [QUEUE.policy[0], 'block'], signal: [abortSignal] },
  dispatch: { signal: [abortSignal] }
}

/** 'alknet-name:port', as connections have it in their info. */
function reserved (name, value) {
  const { host, port } = hostPort(0)(name, value)
  if (!/^alknet-/i.test(host)) throw optionError(name, 'must begin with alknet-')
  return `${host.toLowerCase()}:${port}`
}

/** What has open(), and tells of its states: by its methods, for there may be another copy of the class. */
function aSession (name, value) {
  if (['open', 'on', 'once', 'off'].some((method) => typeof value?.[method] !== 'function')) throw optionError(name, 'must be a Session')
  if (value.state === 'closing' || value.state === 'closed') throw optionError(name, 'is closed')
  return value
}

/** raw, checked. what: a table. inherited: what stands for options that raw leaves out. */
function eventOptions (what, raw, inherited = {}) {
  const table = TABLES[what]
  const out = validate(table, raw)
  for (const name of Object.keys(inherited)) {
    if (raw[name] === undefined) out[name] = inherited[name]
  }
  return out
}

module.exports = { TABLES, eventOptions }
