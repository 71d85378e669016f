'use strict'

/** alknet serve */

const {
  DRAIN_MS, addCommon, addPlanned, inFlags, libraryOptions, number, onStop, passphrase, printer, repeatable
} = require('./shared')

const PLANNED = [
  '--cert-authority <path>', '--revoked-keys <path>', '--tls-cert <path>', '--tls-key <path>',
  '--acme-domain <name>', '--acme-directory <url>', '--acme-contact <address>', '--acme-cache <path>',
  '--acme-challenge <kind>', '--stealth', '--stealth-upstream <url>', '--proxy <url>',
  '--deny <rule>', '--default <policy>', '--permit-listen <rule>', '--metrics <address>',
  '--config <file>', '--check'
]

const RENAMED = { key: 'hostKey' }

const EPILOGUE = `
Examples:
  $ alknet serve --key host_key --authorized-keys authorized_keys --listen 127.0.0.1:2222
  $ alknet serve --key host_key --authorized-keys authorized_keys --allow 169.254.169.254:80

SIGHUP reads the authorized keys again. SIGTERM and SIGINT stop accepting, let
connections end for up to 2 s and exit with 0; a second one ends at once.
Allowed are all targets but link-local, metadata and unspecified addresses and
this server's own listeners; --allow lifts that for what it names.`

function hostPortOf ({ address, port }) {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`
}

async function run (flags, command) {
  const { serve } = require('../..')
  const controller = new AbortController()
  let server = null
  const release = onStop(() => {
    if (server === null) controller.abort()
    else server.close({ drainMs: DRAIN_MS })
  })
  const reload = () => server?.reloadAuth().catch(() => {}) // it has been logged
  process.on('SIGHUP', reload)
  try {
    const options = libraryOptions(command, PLANNED, RENAMED)
    server = await serve({ ...options, passphrase, signal: controller.signal })
    for (const address of [server.address()].flat()) printer(command)(`listening on ${hostPortOf(address)}`)
    await server.closed
  } catch (err) {
    if (!controller.signal.aborted) throw inFlags(err, RENAMED)
  } finally {
    release()
    process.off('SIGHUP', reload)
  }
}

module.exports = (alknet) => {
  const command = alknet.command('serve')
    .description('run the server that clients connect to')
    .addOption(repeatable('--key <path>', 'private host key (repeatable; required)'))
    .addOption(repeatable('--authorized-keys <path>', 'who may log in (repeatable; default: nobody)'))
    .addOption(repeatable('--listen <addr:port>', 'where to listen (repeatable; port 0: any; default: 0.0.0.0:22)'))
    .addOption(repeatable('--allow <target:port>', 'lift the built-in deny for this address, network or set (repeatable)'))
    .addOption(number('--max-connections-per-ip <n>', '0: no limit (default: 0)'))
    .addOption(number('--max-auth-attempts <n>', 'keys a connection may try or ask about (default: 10)'))
    .addOption(number('--max-unauthenticated <n>', 'connections not logged in; random early drop from half on (default: 100)'))
    .addOption(number('--login-grace <seconds>', 'time to log in (default: 30)'))
    .addOption(number('--max-sessions <n>', '0: no limit (default: 0)'))
    .addOption(number('--max-lookups <n>', 'names a session may have looked up at once (default: 64)'))
    .addOption(number('--connect-timeout <seconds>', 'time to reach a target (default: 20)'))
    .addHelpText('after', EPILOGUE)
    .action(run)
  addCommon(command)
  addPlanned(command, PLANNED)
}
