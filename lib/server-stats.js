'use strict'

/** What a server can say of itself in numbers, all of its threads together. */

const NONE = { size: 0, channels: 0, bytes: { received: 0, sent: 0 } }

/** Of server.stats(). server: of server.js. */
function serverStats (server) {
  const { _admission: admission, _penalties: penalties, _entrances: { expires } } = server
  const workers = server._workers ?? NONE
  const { sources, refused } = penalties.counts()
  const bytes = { here: admission.bytes, there: workers.bytes }
  return {
    clients: server.connections,
    sessions: server._limits.sessions,
    channels: [...admission.connections].reduce((sum, one) => sum + one.channels, workers.channels),
    penalisedSources: refused,
    notedSources: sources,
    remoteForwards: server._places.size,
    certificateExpires: expires === undefined ? null : expires.getTime() / 1000,
    visiting: admission.visitors.count,
    workers: workers.size,
    bytesIn: bytes.here.received + bytes.there.received,
    bytesOut: bytes.here.sent + bytes.there.sent,
    ...server._counters.values()
  }
}

module.exports = { serverStats }
