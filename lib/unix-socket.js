'use strict'

/**
 * Listening on a Unix socket where the last who did may have left its file.
 *
 * A file goes only when it is a socket that refuses connections, and is still
 * the one that was looked at. Anything else at the path stays, and is in the
 * way.
 */

const fs = require('fs')
const binding = require('./binding')
const { AlknetError, systemText } = require('./errors')

// A socket whose listener is busy takes connections no less for that.
const ANSWER_MS = 1000

const TEXT = {
  EADDRINUSE: 'somebody listens there',
  ENAMETOOLONG: 'the path is too long',
  ENOENT: 'there is no such folder'
}

function listenError (path, err, text = TEXT[err.code] ?? systemText(err)) {
  return new AlknetError(`cannot listen on ${path}: ${text}`, {
    code: err.code, stage: 'listen', errno: err.errno, cause: err
  })
}

const inTheWay = (path, text) => listenError(path, { code: 'EADDRINUSE' }, text)

/** Whether somebody listens there. Resolves; what is not sure is a yes. */
function isAnswering (path) {
  return new Promise((resolve) => {
    const stream = binding.connectUnix(path)
    const late = setTimeout(() => stream.owner.onopen(), ANSWER_MS)
    const finish = (answer) => {
      clearTimeout(late)
      stream.owner = null
      resolve(answer)
    }
    stream.owner = {
      onopen: () => {
        finish(true)
        stream.close()
      },
      onclose: (err) => finish(err?.code !== 'ECONNREFUSED' && err?.code !== 'ENOENT')
    }
  })
}

/** What stands at the path, or null. */
function statOf (path) {
  try {
    return fs.lstatSync(path, { bigint: true })
  } catch (err) {
    if (err.code === 'ENOENT') return null
    throw listenError(path, err)
  }
}

const isSame = (a, b) => a.dev === b.dev && a.ino === b.ino && a.ctimeNs === b.ctimeNs

/** Binds where found stood, if it still does, or nothing. */
function replace (path, found) {
  const now = statOf(path)
  try {
    if (now !== null && found !== null && isSame(found, now)) fs.unlinkSync(path)
  } catch (err) {
    if (err.code !== 'ENOENT') throw listenError(path, err)
  }
  return bind(path)
}

function bind (path) {
  try {
    return binding.listenUnix(path)
  } catch (err) {
    throw listenError(path, err)
  }
}

/**
 * Listens at a path, mode 0600. Rejects with the path in the sentence.
 * @param {string} path
 * @returns {Promise<object>} the addon's listener, without an owner
 */
async function listenUnix (path) {
  try {
    return bind(path)
  } catch (err) {
    if (err.code !== 'EADDRINUSE') throw err
  }
  const found = statOf(path)
  if (found !== null && !found.isSocket()) throw inTheWay(path, 'there is a file that is no socket')
  if (found !== null && await isAnswering(path)) throw inTheWay(path, 'somebody listens there')
  // From here on nothing waits, so that no other listener of ours comes between.
  return replace(path, found)
}

module.exports = { listenUnix }
