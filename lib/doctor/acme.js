'use strict'

/** Certificates that a server is to get by itself: what is kept, and whether the CA can be reached. */

const { X509Certificate } = require('crypto')
const { openAuthority } = require('../acme/acme')
const { renewAt } = require('../acme/schedule')
const { printable } = require('../addresses')
const { systemText } = require('../errors')
const { failed, failure, ok, warn } = require('./findings')

const PATIENCE_MS = 10_000
const DAY_MS = 86_400_000

/** What is kept of the last start, without changing anything. */
async function checkKept (store) {
  const kept = await store.readCertificate()
  if (kept === null) return ok('no certificate is kept: the server asks for one when it has started')
  const { validFrom, validTo } = new X509Certificate(kept.cert)
  const span = { from: Date.parse(validFrom), to: Date.parse(validTo) }
  const now = Date.now()
  const about = `${store.file}: valid until ${new Date(span.to).toISOString()}`
  if (span.to <= now) return warn(`${about}, which is over`, 'start the server: it asks for another; its log says why it gets none')
  const late = now - renewAt(span, 1)
  if (late > DAY_MS || late > (span.to - span.from) / 10) return warn(`${about}, and was not renewed when it was due`, 'see the log: no certificate issued')
  return ok(about)
}

async function checkDirectory (authority, url) {
  const { host } = new URL(url)
  try {
    await authority.look(AbortSignal.timeout(PATIENCE_MS))
    return ok(`${printable(host)} answers`)
  } catch (err) {
    const text = err.code === 'ERR_ALKNET_CANCELED' ? `cannot reach ${printable(host)}: ${systemText({ code: 'ETIMEDOUT' })}` : err.message
    return failed(text, 'check --acme-directory, --acme-ca for a CA of your own, and whether this machine may connect to it')
  }
}

/** The key of an external account, what is kept, and the way to the CA. */
async function checkAcme (options) {
  const { authority, store } = await openAuthority(options)
  const kept = await checkKept(store).catch((err) => failure(err, 'remove the file to have another certificate'))
  return [kept, await checkDirectory(authority, options.acmeDirectory)]
}

module.exports = { checkAcme }
