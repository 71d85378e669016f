'use strict'

/** All scenes, in the order in which they are measured and told: { run(bench), tables(samples) } each. */

module.exports = {
  limits: require('./limits'),
  bulk: require('./bulk'),
  duplex: require('./duplex'),
  open: require('./open'),
  http: require('./http'),
  idle: require('./idle'),
  sessions: require('./sessions'),
  path: require('./path'),
  beside: require('./beside'),
  slow: require('./slow'),
  flat: require('./flat')
}
