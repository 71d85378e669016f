'use strict'

/** What a command says when it fails: what has failed, where, and what to try. */

const { paint } = require('./colours')

// Where a client or a server was, when that says more than the sentence does.
const STAGES = {
  dns: 'looking up the name of the server',
  connect: 'connecting to the server',
  proxy: 'asking the proxy',
  tls: 'the TLS handshake',
  protocol: 'speaking SSH',
  kex: 'agreeing on ciphers and keys',
  hostkey: 'checking who the server is',
  auth: 'logging in',
  listen: 'beginning to listen',
  session: 'in the session'
}

// Before a session is there: the doctor goes the same way.
const ON_THE_WAY = new Set(['dns', 'connect', 'proxy', 'tls', 'protocol', 'kex', 'hostkey', 'auth'])

const LABEL = 9

function labelled (label, text) {
  const [first, ...rest] = text.split('\n')
  return [`  ${label}:`.padEnd(LABEL) + first, ...rest.map((line) => ' '.repeat(LABEL) + line)]
}

/**
 * The lines for stderr. What is wrong with an option or a key has one line, and
 * a fault of ours its stack.
 */
function lastWord (err, stream = process.stderr, env = process.env) {
  const name = paint(stream, 'red', 'alknet:', env)
  if (typeof err.code !== 'string') return `${name} ${err.stack ?? err}\n`
  const lines = [`${name} ${err.message}`]
  if (Object.hasOwn(STAGES, err.stage)) {
    lines.push(...labelled('where', STAGES[err.stage]))
    if (err.advice) lines.push(...labelled('try', err.advice))
    if (ON_THE_WAY.has(err.stage)) lines.push(...labelled('more', 'alknet doctor, with the same flags, looks at each step'))
  }
  return `${lines.join('\n')}\n`
}

module.exports = { lastWord }
