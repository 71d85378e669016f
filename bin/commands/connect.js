'use strict'

/** alknet connect */

const { Option } = require('commander')
const {
  DRAIN_MS, addCommon, addPlanned, gather, list, listenerLine, metricsLine, number, onStop, passphrase, plain, repeatable, value
} = require('./shared')
const { clientLine } = require('../terminal/client-line')
const { onHangUp } = require('../terminal/hang-up')
const { openLog, withLogFile } = require('./log-file')
const { notifier } = require('./service')

const PLANNED = [
  '--peer <id>', '--iroh-relay <url>'
]

const EPILOGUE = `
Examples:
  $ alknet connect --server example.com --identity ~/.ssh/id_ed25519 --accept-new
  $ alknet connect --server example.com:2222 --identity key --host-key SHA256:... --socks5 127.0.0.1:0
  $ alknet connect --server example.com --identity key --forward 5432:db.internal:5432
  $ alknet connect --server example.com --identity key --remote-forward 8080:127.0.0.1:3000
  $ alknet connect --transport tls --server example.com --identity key
  $ alknet connect --config alknet.toml --profile work

The SOCKS5 proxy is always there; names are looked up at the server. SIGTERM and
SIGINT let connections end for up to 2 s and exit with 0; a second one ends at
once. A session that is lost is made anew for ever, after 1, 2, 4 ... 30 s; SIGHUP
tries at once. What is new meanwhile waits for up to 10 s. A host key that is
another one then is never accepted: exit code 4.
The passphrase of an encrypted key comes from ALKNET_PASSPHRASE or a prompt.`

async function run (flags, command) {
  const given = await collect(command)
  const { explain, isQuiet } = given
  const { checkConnect, openSession } = require('../..')
  if (command.opts().check) {
    const { config } = await checkConnect({ socks5: true, ...given.options, passphrase }).catch((err) => { throw explain(err) })
    process.stdout.write(withLogFile(config, given))
    return
  }
  const log = openLog(given)
  const manager = notifier()
  const controller = new AbortController()
  let coming = null // from before it connects
  let session = null
  const stop = () => {
    manager.stopping()
    if (session === null) controller.abort()
    else session.close({ drainMs: DRAIN_MS })
  }
  const release = onStop(stop)
  // What it leads to shows in the state.
  const releaseHangUp = onHangUp({ asked: () => coming?.reconnect().catch(() => {}), left: stop })
  const line = statusLine(given)
  try {
    session = await openSession({
      socks5: true,
      reconnect: true,
      ...line.above(log.into(given)),
      passphrase: line.asking((name) => passphrase(name, controller.signal)),
      signal: controller.signal,
      onSession: (one) => {
        coming = one
        line.follow(one)
      }
    })
    for (const listener of session.openListeners) line.printer(isQuiet)(listenerLine({ kind: listener.kind, address: listener.address() }))
    const metrics = session.metricsAddress()
    if (metrics !== null) line.printer(isQuiet)(metricsLine(metrics))
    session.on('state', (state) => manager.status(state))
    manager.ready('ready')
    await session.closed
    if (session.error !== null) throw session.error.stage === 'hostkey' ? session.error : lost(session.error)
  } catch (err) {
    if (!controller.signal.aborted) throw explain(err)
  } finally {
    line.close()
    release()
    releaseHangUp()
    log.release()
    manager.close()
  }
}

function statusLine ({ options, isQuiet }) {
  const [server] = [options.server].flat()
  return clientLine({ server: typeof server === 'string' ? plain(server) : '', format: options.log.format, isQuiet })
}

/** Exit code 1 whatever ended a session that was ready. */
function lost (cause) {
  return Object.assign(new Error(`the session was lost: ${cause.message}`), { code: cause.code, stage: 'session' })
}

/** The flags that say what to connect to, and how. */
function addFlags (command) {
  command
    .addOption(list('--server <host[:port]>', 'the server (required; default port: 22, for tls 443); several are tried in order, the last good one first (repeatable, or a,b)', 'ALKNET_SERVER'))
    .addOption(new Option('--retry', 'go on until the first connection is there, as after a loss; what only you can change is still fatal'))
    .addOption(value('--tls-server-name <name>', 'whom to ask for with tls, and whose certificate it has to be (default: the server\'s name)'))
    .addOption(value('--tls-alpn <list>', 'protocols to offer with tls: a,b (default: none; with --stealth h2,http/1.1)'))
    .addOption(new Option('--stealth', 'say hello with tls as curl does, and hide what the sizes of the first records tell'))
    .addOption(repeatable('--tls-ca <path>', 'certificates (PEM) to trust besides the system\'s (repeatable)'))
    .addOption(value('--stealth-secret <path>', 'a file, the same at the server: shows with tls that this is a client (implies --stealth)'))
    .addOption(new Option('--insecure', 'do not check the certificate: only the host key says who the server is'))
    .addOption(repeatable('--identity <path>', 'private key (repeatable; required)', 'ALKNET_IDENTITY'))
    .addOption(repeatable('--certificate <path>', 'certificate for one of the identities, besides a PATH-cert.pub beside it (repeatable)'))
    .addOption(value('--user <name>', 'user name (default: alknet)', 'ALKNET_USER'))
    .addOption(repeatable('--known-hosts <path>', 'known host keys (repeatable; default: ~/.config/alknet/known_hosts, and ~/.ssh/known_hosts read-only)', 'ALKNET_KNOWN_HOSTS'))
    .addOption(repeatable('--host-key <SHA256:...>', 'trust just this host key (repeatable)', 'ALKNET_HOST_KEY'))
    .addOption(new Option('--accept-new', 'trust an unknown host key and write it down (a changed one is refused)'))
    .addOption(value('--socks5 <addr:port>', 'where the SOCKS5 proxy listens (default: 127.0.0.1:1080; port 0: any)', 'ALKNET_SOCKS5'))
    .addOption(value('--socks5-auth <user:pass>', 'ask the proxy\'s users for this'))
    .addOption(new Option('--socks5-open', 'let the proxy listen where others can reach it, without --socks5-auth'))
    .addOption(repeatable('-L, --forward <spec>', '[bind:]port:host:hostport, or a path of a Unix socket on either side (repeatable; IPv6 in brackets; port 0: any)'))
    .addOption(repeatable('-R, --remote-forward <spec>', 'the same with the sides exchanged: the server listens; [bind:]port alone: a SOCKS5 proxy there that leaves here (repeatable)'))
    .addOption(repeatable('--proxy <url>', 'reach the server through socks5://[user:pass@]host[:port] or http://[user:pass@]host[:port] (repeatable: one through the other, the nearest first; env: as HTTPS_PROXY, ALL_PROXY and NO_PROXY say)', 'ALKNET_PROXY'))
    .addOption(number('--connect-timeout <seconds>', 'time to reach the server, or the target of a remote forward (default: 20)'))
    .addOption(number('--handshake-timeout <seconds>', 'time for key exchange and login (default: 30)'))
    .addOption(number('--open-timeout <seconds>', 'time for the server to reach a target (default: 30)'))
    .addOption(number('--wait-timeout <seconds>', 'time that new connections wait for a session that is lost (default: 10)'))
    .addOption(number('--max-waiting <n>', 'new connections that may wait for it (default: 1024)'))
    .addOption(number('--sessions <n>', 'SSH sessions with the server, 1 to 16: another one when those that there are are full (default: 1)'))
    .addOption(number('--session-channels <n>', 'connections that fill one of several sessions (default: 64)'))
    .addOption(number('--session-rate <n>', 'bytes a second that fill one of several sessions; 0: none do (default: 1048576)'))
    .addOption(number('--session-idle <seconds>', 'a further session without a connection is closed after this; 0: never (default: 60)'))
    .addOption(number('--max-lookups <n>', 'names that remote forwards may have looked up at once (default: 64)'))
    .addOption(value('--profile <name>', 'the part [profiles.NAME] of the --config file, over its [client]'))
  addCommon(command)
  addPlanned(command, PLANNED)
}

/** The options that these flags, the variables and the file say. */
const collect = (command) => gather(command, { kind: 'connect', planned: PLANNED })

module.exports = (alknet) => {
  const command = alknet.command('connect')
    .description('connect to a server and offer a SOCKS5 proxy and forwards')
    .addHelpText('after', EPILOGUE)
    .action(run)
  addFlags(command)
  command.addOption(new Option('--check', 'say what is wrong, or print what would be in effect, and exit'))
}

Object.assign(module.exports, { addFlags, collect })
