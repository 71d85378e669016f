'use strict'

/** Asking a session or a server that runs, through its control socket. */

const net = require('net')
const { AlknetError, fail, optionError, systemText } = require('./errors')
const { readLine, writeLine } = require('./control-line')
const { runDirs, socketsIn } = require('./control-place')
const { controlPath } = require('./option-checks')

// A list of forwards has no limit of its own.
const MAX_ANSWER = 16 * 1024 * 1024

// A server may take its time to say whether it listens.
const ANSWER_MS = 60_000
const FIND_MS = 5000

function dial (file) {
  return new Promise((resolve, reject) => {
    const socket = net.connect({ path: file, allowHalfOpen: true })
    socket.once('connect', () => {
      socket.off('error', reject)
      socket.on('error', () => {}) // what matters shows in what is read
      resolve(socket)
    })
    socket.once('error', reject)
  })
}

function unreachable (file, err) {
  const why = err.code === 'ECONNREFUSED' || err.code === 'ENOENT' ? 'nobody listens there' : systemText(err)
  return new AlknetError(`${file}: ${why}`, { code: err.code, stage: 'control', errno: err.errno, cause: err })
}

function parseAnswer (file, line) {
  if (line === null) throw fail('LOST', 'control', `${file}: hung up without an answer`)
  let answer = null
  try {
    answer = JSON.parse(line)
  } catch {}
  if (answer?.ok === true) return answer.result
  if (answer?.ok !== false || typeof answer.error?.message !== 'string') throw fail('PROTO', 'control', `${file}: not a control socket of alknet`)
  const { code, stage, option, message } = answer.error
  // Advice is for who could act on it there.
  throw new AlknetError(message, { code, stage, option, advice: '' })
}

/**
 * Asks a process one question.
 * @param {string} file its control socket
 * @param {object} request { op: 'status' }, { op: 'list' }, or { op: 'add' or
 *   'cancel', kind: 'forward' or 'remote-forward', spec }
 * @returns {Promise<object>} the answer; rejects with the error that the
 *   process has answered
 */
async function askControl (file, request, { timeoutMs = ANSWER_MS } = {}) {
  if (request === null || typeof request !== 'object' || typeof request.op !== 'string') throw optionError('request', 'must be an object with op')
  const place = controlPath('control', file)
  const socket = await dial(place).catch((err) => { throw unreachable(place, err) })
  try {
    const answered = readLine(socket, { max: MAX_ANSWER, ms: timeoutMs })
    // Who hangs up before it has read the question may have said why.
    await writeLine(socket, request, { ms: timeoutMs }).catch(() => {})
    return parseAnswer(place, await answered)
  } finally {
    socket.destroy()
  }
}

/**
 * The sessions and servers of this user that answer at the default places.
 * @returns {Promise<Array<{ path: string, status: object }>>}
 */
async function findControls () {
  const places = (await Promise.all((await runDirs()).map(socketsIn))).flat()
  const found = await Promise.all(places.map(async ({ file }) => {
    const status = await askControl(file, { op: 'status' }, { timeoutMs: FIND_MS }).catch(() => null)
    return { path: file, status }
  }))
  return found.filter((one) => one.status !== null)
}

module.exports = { askControl, findControls }
