'use strict'

/** curl, as the everyday user of a SOCKS proxy. */

const http = require('node:http')
const { destination } = require('./destinations')
const { listenAt } = require('./net')
const { run } = require('./proc')

/** A web server whose every page is `body`. Ends with the scope. */
async function webServer (scope, body, host = '127.0.0.1') {
  const server = http.createServer((req, res) => {
    server.seen.push({ host: req.headers.host, url: req.url })
    res.end(body)
  })
  server.seen = []
  await listenAt(server, host, 0)
  server.host = host
  server.port = server.address().port
  destination(host, server.port)
  scope.defer(() => {
    server.closeAllConnections()
    server.close()
  })
  return server
}

/**
 * Fetches a page; resolves to { code, stdout, stderr }.
 *
 * @param {Scope} scope
 * @param {string[]} args
 */
function curl (scope, args) {
  const env = Object.fromEntries(Object.entries(process.env)
    .filter(([name]) => !/_proxy$/i.test(name)))
  return run(scope, 'curl', ['-q', '-sS', '-g', '--noproxy', '', '--max-time', '30', ...args], { env })
}

module.exports = { webServer, curl }
