'use strict'

/**
 * What a check of the doctor has found: { status, text, advice }.
 *
 *   ok     as it should be
 *   warn   it works, or may work, and somebody should look
 *   fail   it does not work
 *   skip   not looked at, and text says why
 */

const { systemText } = require('../errors')

const ok = (text) => ({ status: 'ok', text, advice: '' })
const warn = (text, advice = '') => ({ status: 'warn', text, advice })
const skip = (text) => ({ status: 'skip', text, advice: '' })

function failed (text, advice = '') {
  return { status: 'fail', text, advice }
}

// Where there is more to say than of the kind of error: it was the way to the server.
const ADVICE = {
  ERR_ALKNET_OPTION: 'correct the option, or the file, that is named',
  ERR_ALKNET_DNS: 'check the name, and whether this machine can look names up (getent hosts NAME)',
  ERR_ALKNET_TIMEOUT: 'nothing came back: the machine is down, or a firewall drops it. Is another port or transport let through?'
}

/** Lines without what a terminal would act on: a peer may have had a say in them. */
// eslint-disable-next-line no-control-regex
const tame = (text) => text.replace(/[\x00-\x09\x0b-\x1f\x7f-\x9f]/g, '?')

/** An error as a finding; advice: when the error has none that is better. */
function failure (err, advice) {
  const own = err._advice // of this very error, not of its kind
  const text = err.code !== undefined && err.message === '' ? systemText(err) : err.message
  return failed(tame(text), tame(own || advice || ADVICE[err.code] || err.advice || ''))
}

module.exports = { failed, failure, ok, skip, warn }
