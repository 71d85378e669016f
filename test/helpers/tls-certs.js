'use strict'

/** Certificates for TLS, made by openssl: a CA of this process, and what it signs. */

const { execFileSync } = require('node:child_process')
const fs = require('node:fs')
const path = require('node:path')

const EC = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']

function openssl (...args) {
  return execFileSync('openssl', args, { stdio: 'pipe' })
}

let count = 0

/** A self-signed certificate: { cert, key }, paths. */
function selfSigned (scope, names = 'DNS:localhost,IP:127.0.0.1') {
  const dir = scope.dir()
  const [cert, key] = ['cert.pem', 'key.pem'].map((name) => path.join(dir, name))
  openssl('req', '-x509', ...EC, '-keyout', key, '-out', cert, '-subj', `/CN=self ${++count}`,
    ...names === null ? [] : ['-addext', `subjectAltName=${names}`], '-days', '30')
  return { cert, key }
}

/** A CA: { cert, key, issue([options]) }. */
function makeCa (scope) {
  const ca = selfSigned(scope, null)
  return { ...ca, issue: (options) => issue(scope, ca, options) }
}

/**
 * A certificate of a CA: { cert, key }, paths.
 * @param {{ names?: string, days?: number, type?: string[] }} options names: the
 *   subjectAltName; days: until it expires, also negative
 */
function issue (scope, ca, { names = 'DNS:localhost,IP:127.0.0.1,IP:::1', days = 30, keyArgs = EC } = {}) {
  const dir = scope.dir()
  const [cert, key, request, extensions] = ['cert.pem', 'key.pem', 'request.pem', 'extensions'].map((name) => path.join(dir, name))
  fs.writeFileSync(extensions, `basicConstraints=CA:FALSE\nsubjectAltName=${names}\n`)
  openssl('req', ...keyArgs, '-keyout', key, '-out', request, '-subj', '/CN=test')
  openssl('x509', '-req', '-in', request, '-CA', ca.cert, '-CAkey', ca.key, '-set_serial', String(++count),
    '-days', String(days), '-extfile', extensions, '-out', cert)
  return { cert, key }
}

module.exports = { issue, makeCa, openssl, selfSigned }
