'use strict'

/** Debian's nginx, as a site with nothing in it: on a free loopback port, as the current user. */

const fs = require('node:fs')
const net = require('node:net')
const path = require('node:path')
const { once } = require('node:events')
const { freePort } = require('./net')
const { start } = require('./proc')

/** Debian keeps it where an ordinary user's PATH does not look. */
const program = fs.existsSync('/usr/sbin/nginx') ? '/usr/sbin/nginx' : 'nginx'

async function isThere (port) {
  const socket = net.connect({ port, host: '127.0.0.1' })
  try {
    await once(socket, 'connect')
    return true
  } catch {
    return false
  } finally {
    socket.destroy()
  }
}

/**
 * Starts nginx with what Debian's nginx.conf says of TLS, one server for https,
 * and a root that is not there.
 * @param {{ cert: string, key: string }} id
 * @param {{ server?: string[], location?: string[], seconds?: number }} [options]
 *   server, location: more lines; seconds: of the time limits
 * @returns {Promise<{ host: string, port: number }>}
 */
async function startNginx (scope, id, { server = [], location = [], headSeconds = 60, idleSeconds = 75 } = {}) {
  const dir = scope.dir()
  for (let tries = 0; ; tries++) {
    const port = await freePort()
    const conf = path.join(dir, 'nginx.conf')
    fs.writeFileSync(conf, `
daemon off;
master_process off;
pid ${dir}/pid;
error_log stderr warn;
events { worker_connections 768; }
http {
  access_log off;
  ${['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((one) => `${one}_temp_path ${dir}/${one};`).join(' ')}
  ssl_protocols TLSv1 TLSv1.1 TLSv1.2 TLSv1.3;
  ssl_prefer_server_ciphers on;
  client_header_timeout ${headSeconds};
  keepalive_timeout ${idleSeconds};
  server {
    listen 127.0.0.1:${port} ssl;
    ssl_certificate ${id.cert};
    ssl_certificate_key ${id.key};
    root ${dir}/nothing;
    ${server.join('\n    ')}
    ${location.length === 0 ? '' : `location / { ${location.join(' ')} }`}
  }
}
`)
    const proc = start(scope, program, ['-c', conf, '-p', dir, '-e', 'stderr'])
    while (proc.result === null) {
      if (await isThere(port)) return { host: '127.0.0.1', port, proc }
    }
    if (tries === 4 || !/in use/.test(proc.output)) throw new Error(`nginx ended:\n${proc.output}`)
  }
}

module.exports = { program, startNginx }
