'use strict'

/** Debian's nginx, as a site with nothing in it: on a free loopback port, as the current user. */

const fs = require('node:fs')
const path = require('node:path')
const { startOn } = require('./start-on')

/** Debian keeps it where an ordinary user's PATH does not look. */
const program = fs.existsSync('/usr/sbin/nginx') ? '/usr/sbin/nginx' : 'nginx'

/**
 * Starts nginx with what Debian's nginx.conf says of TLS, one server for https,
 * and a root that is not there.
 * @param {{ cert: string, key: string }} id
 * @param {{ server?: string[], location?: string[], headSeconds?: number, idleSeconds?: number, connections?: number, hasWorker?: boolean }} [options]
 *   server, location: more lines; headSeconds, idleSeconds: of the time limits; connections: how many it has;
 *   hasWorker: a process of its own serves, and ends in good order by SIGQUIT
 * @returns {Promise<{ proc: Proc, host: string, port: number }>}
 */
async function startNginx (scope, id, { server = [], location = [], headSeconds = 60, idleSeconds = 75, connections = 768, hasWorker = false } = {}) {
  const dir = scope.dir()
  const conf = path.join(dir, 'nginx.conf')
  return startOn(scope, '127.0.0.1', (port) => {
    fs.writeFileSync(conf, `
daemon off;
master_process ${hasWorker ? 'on' : 'off'};
${hasWorker && process.getuid() === 0 ? 'user root;' : ''}
pid ${dir}/pid;
error_log stderr warn;
events { worker_connections ${connections}; }
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
    return [program, '-c', conf, '-p', dir, '-e', 'stderr']
  })
}

module.exports = { program, startNginx }
