'use strict'

/** alknet serve */

const { Option } = require('commander')
const {
  DRAIN_MS, addCommon, gather, metricsLine, number, onStop, passphrase, placeOf, printer, repeatable, rules, value
} = require('./shared')
const { openLog, withLogFile } = require('./log-file')
const { usage } = require('./running')
const { notifier, withSockets } = require('./service')
const { onHangUp } = require('../terminal/hang-up')

const RENAMED = { key: 'hostKey' }

const EPILOGUE = `
Examples:
  $ alknet serve --key host_key --authorized-keys authorized_keys --listen 127.0.0.1:2222
  $ alknet serve --key host_key --authorized-keys authorized_keys --allow 169.254.169.254:80

  $ alknet serve --key host_key --authorized-keys authorized_keys --default deny --allow private:443 --allow '*.internal:5432 ops'
  $ alknet serve --key host_key --authorized-keys authorized_keys --tls-cert fullchain.pem --tls-key privkey.pem --listen tls://0.0.0.0:443 --listen 0.0.0.0:22
  $ alknet serve --key host_key --authorized-keys authorized_keys --acme-domain tunnel.example --listen tls://0.0.0.0:443
  $ alknet serve --config alknet.toml --check

Allowed are all targets but link-local, metadata and unspecified addresses and
this server's own listeners, until a rule or --default says otherwise.
docs/policy.md has the rules, docs/config.md the file.

SIGHUP reads the file, the keys and the revocations again: all of it, or nothing when something is wrong; and,
by itself, the certificates of tls. SIGUSR1 opens the log file anew. SIGTERM and SIGINT stop accepting, let connections end for
up to 2 s and exit with 0; a second one ends at once.`

/** A CA as a comment of TOML's, which holds no control characters. */
function comment ({ source, line, type, fingerprint }) {
  return `# certificate authority ${fingerprint} ${type} (${source}:${line})`.replace(/[^\x20-\x7e]/g, '?')
}

/** --check: what would be in effect on stdout, lines of no use on stderr. */
async function check (given) {
  const { options, explain } = given
  const { checkServe } = require('../..')
  const { config, problems, authorities } = await checkServe({ ...options, passphrase }).catch((err) => { throw explain(err) })
  for (const { source, line, message } of problems) {
    process.stderr.write(`${source}:${line}: ${message}; this line grants nothing\n`)
  }
  process.stdout.write(withLogFile(config, given))
  for (const one of authorities) process.stdout.write(`${comment(one)}\n`)
}

/** Asks for each key once: at a reload nobody may be there to answer. */
function askOnce (signal) {
  const answers = new Map()
  return async (name) => {
    if (!answers.has(name)) answers.set(name, await passphrase(name, signal))
    return answers.get(name)
  }
}

/** What the next SIGHUP takes over; its errors name file, line and column. */
async function changes (collect, log, ask) {
  const { checkServe } = require('../..')
  const given = await collect()
  const { explain } = given
  const options = log.into(given)
  await checkServe({ ...options, passphrase: ask }, { files: false }).catch((err) => { throw explain(err) })
  return options
}

async function run (fromFlags, command) {
  const collect = withSockets(fromFlags)
  const given = await collect()
  if (given.options.listen?.length === 0) throw usage('listen is empty: nobody could connect')
  if (command.opts().check) return check(given)
  const { serve } = require('../..')
  const log = openLog(given)
  const manager = notifier()
  const controller = new AbortController()
  const ask = askOnce(controller.signal)
  let server = null
  const stop = () => {
    manager.stopping()
    controller.abort() // the start; later, a question that a reload asks
    server?.close({ drainMs: DRAIN_MS })
  }
  const release = onStop(stop)
  const reload = async () => {
    if (server === null) return
    manager.reloading()
    await server.reloadAll(() => changes(collect, log, ask)).catch(() => {}) // it has been logged
    manager.ready()
  }
  const releaseHangUp = onHangUp({ asked: reload, left: stop })
  try {
    server = await serve({ ...log.into(given), passphrase: ask, signal: controller.signal })
    const places = [server.address()].flat().map(placeOf)
    for (const place of places) printer(given.isQuiet)(`listening on ${place}`)
    const metrics = server.metricsAddress()
    if (metrics !== null) printer(given.isQuiet)(metricsLine(metrics))
    manager.ready(`listening on ${places.join(', ')}`)
    await server.closed
  } catch (err) {
    if (!controller.signal.aborted) throw given.explain(err)
  } finally {
    release()
    log.release()
    manager.close()
    releaseHangUp()
  }
}

/** The flags of a server. Gives a function for the options that they, the variables and the file say. */
function addFlags (command) {
  const flagRules = []
  command
    .addOption(repeatable('--key <path>', 'private host key (repeatable; required)'))
    .addOption(repeatable('--host-certificate <path>', 'certificate for one of the host keys, besides a PATH-cert.pub beside it (repeatable)'))
    .addOption(repeatable('--authorized-keys <path>', 'who may log in (repeatable; default: nobody)'))
    .addOption(repeatable('--cert-authority <path>', 'public keys of CAs whose user certificates let in (repeatable; default: none)'))
    .addOption(repeatable('--revoked-keys <path>', 'keys, fingerprints or a KRL that let nobody in (repeatable; default: none)'))
    .addOption(repeatable('--listen <addr:port>', 'where to listen; tls://addr:port or tcp://addr:port says what is spoken there (repeatable; port 0: any; fd:3: a socket that the process was started with; default: 0.0.0.0:22, for tls 0.0.0.0:443)'))
    .addOption(value('--tls-cert <path>', 'certificate for tls, and those it was signed with (PEM)'))
    .addOption(value('--tls-key <path>', 'its private key (PEM)'))
    .addOption(value('--tls-alpn <list>', 'protocols to choose from with tls, the best first: a,b; a client that offers others is turned away (default: not looked at)'))
    .addOption(repeatable('--acme-domain <name>', 'have a CA give a certificate for tls: for this name or IP address (repeatable; agrees to the terms of the CA; default: --tls-cert)'))
    .addOption(value('--acme-directory <url>', 'the CA (default: Let\'s Encrypt)'))
    .addOption(repeatable('--acme-contact <address>', 'mail address that the CA may write to (repeatable; default: none)'))
    .addOption(value('--acme-cache <path>', 'folder for the account and the certificate (default: ~/.config/alknet/acme)'))
    .addOption(value('--acme-challenge <kind>', 'how the CA sees that a name is ours: tls-alpn-01, on the ports for tls, or http-01 (default: tls-alpn-01)'))
    .addOption(repeatable('--acme-http-listen <addr:port>', 'where http-01 is answered, while the CA looks (repeatable; default: 0.0.0.0:80)'))
    .addOption(repeatable('--acme-ca <path>', 'certificates to trust as the CA\'s own, besides the system\'s (PEM; repeatable; default: none)'))
    .addOption(value('--acme-profile <name>', 'which of the CA\'s certificates (default: the CA\'s choice; for an address its short-lived one)'))
    .addOption(value('--acme-eab-kid <id>', 'key identifier of an account at the CA, to bind ours to (default: none)'))
    .addOption(value('--acme-eab-hmac-file <path>', 'its key, base64url'))
    .addOption(number('--tls-handshake-timeout <seconds>', 'time for a client\'s TLS handshake (default: 10)'))
    .addOption(new Option('--stealth', 'pass for a web server, an nginx that has no page, on the listeners for tls'))
    .addOption(value('--stealth-upstream <url>', 'hand those who are no clients to the site at http://HOST[:PORT] instead'))
    .addOption(value('--stealth-secret <path>', 'a file, the same at the clients: who cannot show that it knows it gets no SSH'))
    .addOption(value('--stealth-server <name>', 'what the web server calls itself (default: nginx/1.22.1)'))
    .addOption(number('--stealth-head-timeout <seconds>', 'its time for a TLS handshake and a whole request (default: 60)'))
    .addOption(number('--stealth-idle-timeout <seconds>', 'its time between two requests (default: 75)'))
    .addOption(number('--max-visitors <n>', 'connections of those who are no clients, or have not said so yet (default: 512)'))
    .addOption(number('--max-connections-per-ip <n>', '0: no limit (default: 0)'))
    .addOption(number('--max-auth-attempts <n>', 'keys a connection may try or ask about (default: 10)'))
    .addOption(number('--max-unauthenticated <n>', 'connections not logged in; random early drop from half on (default: 100)'))
    .addOption(number('--max-unauthenticated-per-ip <n>', 'of these from one address; 0: no limit (default: 25)'))
    .addOption(number('--evict-after-ms <n>', 'how long somebody who has not logged in keeps a place that a newcomer needs (default: 1000)'))
    .addOption(number('--evict-silent-after-ms <n>', 'the same of somebody who has not begun to (default: 400)'))
    .addOption(number('--login-grace <seconds>', 'time to log in (default: 30)'))
    .addOption(number('--max-sessions <n>', '0: no limit (default: 0)'))
    .addOption(value('--penalties <list>', 'how long to refuse sources that misbehave, as in authfail:5s,noauth:1s,grace-exceeded:10s,min:15s,max:10m (the default); off: never'))
    .addOption(repeatable('--penalty-exempt <network>', 'address or network that gets no penalties (repeatable; default: none)'))
    .addOption(number('--max-lookups <n>', 'names a session may have looked up at once (default: 64)'))
    .addOption(number('--max-remote-forwards <n>', 'places that a session may have the server listen on (default: 64)'))
    .addOption(number('--workers <n>', 'worker threads that serve the clients; 1: none, the main thread does (default: 1)'))
    .addOption(number('--takeover-timeout <seconds>', 'time that an old session has to show that it lives when a new one of the same identity wants its place (default: 2)'))
    .addOption(repeatable('--proxy <url>', 'reach all targets through socks5://[user:pass@]host[:port] or http://[user:pass@]host[:port], which get the names (repeatable: one through the other, the nearest first; env: as HTTPS_PROXY, ALL_PROXY and NO_PROXY say)'))
    .addOption(number('--connect-timeout <seconds>', 'time to reach a target (default: 20)'))
    .addOption(repeatable('--permit-listen <rule>', 'address:port [principals] [transports] that clients may listen on here, or none (repeatable; default: loopback:1024-65535)'))
  rules(command, flagRules)
  addCommon(command)
  return () => gather(command, { kind: 'serve', renamed: RENAMED, flagRules })
}

module.exports = (alknet) => {
  const command = alknet.command('serve')
    .description('run the server that clients connect to')
    .addHelpText('after', EPILOGUE)
  const collect = addFlags(command)
  command
    .addOption(new Option('--check', 'say what is wrong, or print what would be in effect, and exit'))
    .action(() => run(collect, command))
}

Object.assign(module.exports, { addFlags })
