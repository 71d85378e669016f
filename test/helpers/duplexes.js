'use strict'

/** Pairs of Duplexes whose ends are joined: what one writes the other reads. */

const { once } = require('node:events')
const fs = require('node:fs')
const net = require('node:net')
const path = require('node:path')
const tls = require('node:tls')
const { execFileSync } = require('node:child_process')

/** The socket that the server accepts next. */
async function accepted (scope, server, event) {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const coming = once(server, event).then(([socket]) => socket)
  scope.defer(() => { server.close() })
  return { port: server.address().port, coming }
}

function care (scope, sockets) {
  for (const socket of sockets) scope.defer(() => { socket.destroy() })
  return sockets
}

/** Two net.Sockets of a loopback connection. */
async function socketPair (scope, { allowHalfOpen = true } = {}) {
  const server = net.createServer({ allowHalfOpen })
  const { port, coming } = await accepted(scope, server, 'connection')
  // Not connected yet: that is the transport's affair.
  return care(scope, [net.connect({ port, host: '127.0.0.1', allowHalfOpen }), await coming])
}

let certificate = null

/** A key and a self-signed certificate for localhost, made once. */
function tlsCertificate (scope) {
  if (certificate === null) {
    const dir = scope.dir()
    const [key, cert] = ['key.pem', 'cert.pem'].map((name) => path.join(dir, name))
    execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes',
      '-keyout', key, '-out', cert, '-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost', '-days', '30'], { stdio: 'pipe' })
    certificate = { key: fs.readFileSync(key), cert: fs.readFileSync(cert) }
  }
  return certificate
}

/** Two tls.TLSSockets of a loopback connection. */
async function tlsPair (scope) {
  const { key, cert } = tlsCertificate(scope)
  const { port, coming } = await accepted(scope, tls.createServer({ key, cert }), 'secureConnection')
  return care(scope, [tls.connect({ port, host: '127.0.0.1', servername: 'localhost', ca: cert }), await coming])
}

module.exports = { socketPair, tlsCertificate, tlsPair }
