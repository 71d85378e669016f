'use strict'

/**
 * Proxies to go through: microsocks, Dante, tinyproxy and Squid from Debian,
 * each on a free loopback port, as the current user; and ones whose answers a
 * test scripts.
 */

const fs = require('node:fs')
const path = require('node:path')
const { listen } = require('./net')
const { startOn } = require('./start-on')

const USER = 'user'
const PASSWORD = 'se:cr/et'
const PLAIN_PASSWORD = 's-e.cret' // what tinyproxy's configuration can say

const urlsOf = (scheme, host, port, password) => ({
  port,
  bare: `${scheme}://${place(host, port)}`,
  url: `${scheme}://${password === null ? '' : `${USER}:${encodeURIComponent(password)}@`}${place(host, port)}`
})

/** Debian keeps two of them where an ordinary user's PATH does not look. */
const programOf = (name) => fs.existsSync(`/usr/sbin/${name}`) ? `/usr/sbin/${name}` : name

const place = (host, port) => host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`

/** With a login it knows only that one. */
async function startMicrosocks (scope, { login = false, host = '127.0.0.1' } = {}) {
  const { port } = await startOn(scope, host, (port) => ['microsocks', '-i', host, '-p', String(port),
    ...login ? ['-u', USER, '-P', PASSWORD] : []])
  return urlsOf('socks5', host, port, login ? PASSWORD : null)
}

/** Lets nobody reach 127.0.0.2. */
async function startDante (scope) {
  const { port } = await startOn(scope, '127.0.0.1', (port) => [programOf('danted'), '-N', '1', '-f', scope.file('danted.conf', `
logoutput: stderr
internal: 127.0.0.1 port = ${port}
external: 127.0.0.1
external: ::1
external.rotation: route
clientmethod: none
socksmethod: none
client pass { from: 127.0.0.0/8 to: 0.0.0.0/0 }
socks block { from: 127.0.0.0/8 to: 127.0.0.2/32 }
socks pass { from: 127.0.0.0/8 to: 0.0.0.0/0 command: connect }
socks pass { from: 127.0.0.0/8 to: ::/0 command: connect }
`)])
  return urlsOf('socks5', '127.0.0.1', port, null)
}

/** ports: those that CONNECT may reach; none: all. */
async function startTinyproxy (scope, { login = false, ports = [], host = '127.0.0.1' } = {}) {
  const { port } = await startOn(scope, host, (port) => ['tinyproxy', '-d', '-c', scope.file('tinyproxy.conf', `
Port ${port}
Listen ${host}
MaxClients 50
Timeout 60
${login ? `BasicAuth ${USER} ${PLAIN_PASSWORD}` : ''}
${ports.map((one) => `ConnectPort ${one}`).join('\n')}
`)])
  return urlsOf('http', host, port, login ? PLAIN_PASSWORD : null)
}

/** Lets nobody reach 127.0.0.2, nor the names below forbidden.test. */
async function startSquid (scope, { login = false } = {}) {
  const dir = scope.dir()
  fs.chmodSync(dir, 0o777) // as root it runs as another user
  const helper = path.join(dir, 'login.sh')
  fs.writeFileSync(helper, `while read -r line; do
  case "$line" in
    "${USER} ${PASSWORD}" | "${USER} ${encodeURIComponent(PASSWORD)}") echo OK ;;
    *) echo ERR ;;
  esac
done
`, { mode: 0o755 })
  const { port } = await startOn(scope, '127.0.0.1', (port) => {
    const conf = path.join(dir, 'squid.conf')
    fs.writeFileSync(conf, `
http_port 127.0.0.1:${port}
visible_hostname proxy.test
acl forbidden dst 127.0.0.2
acl forbidden_names dstdomain .forbidden.test
http_access deny forbidden_names
http_access deny forbidden
${login
  ? `auth_param basic program /bin/sh ${helper}
auth_param basic children 1 startup=1
acl known proxy_auth REQUIRED
http_access allow known`
  : 'http_access allow all'}
http_access deny all
cache deny all
cache_mem 1 MB
access_log none
cache_log ${dir}/cache.log
pid_filename none
netdb_filename none
coredump_dir ${dir}
pinger_enable off
max_filedescriptors 256
shutdown_lifetime 0 seconds
`, { mode: 0o644 })
    return [programOf('squid'), '-N', '-f', conf]
  })
  return urlsOf('http', '127.0.0.1', port, login ? PASSWORD : null)
}

/**
 * A proxy that says what the test wants: onAsked(socket, request) is called with
 * the whole request of an HTTP CONNECT.
 */
async function scriptedHttp (scope, onAsked) {
  const proxy = await listen(scope, (socket) => {
    let head = ''
    const take = (chunk) => {
      head += chunk.toString('latin1')
      if (!head.includes('\r\n\r\n')) return
      socket.off('data', take)
      proxy.requests.push(head)
      onAsked(socket, head)
    }
    socket.on('data', take)
  })
  proxy.requests = []
  proxy.url = `http://127.0.0.1:${proxy.port}`
  return proxy
}

module.exports = { PASSWORD, PLAIN_PASSWORD, programOf, scriptedHttp, startDante, startMicrosocks, startSquid, startTinyproxy }
