'use strict'

/** alknet doctor: looks for what would keep a client or a server from working. */

const { Option } = require('commander')
const { passphrase } = require('./shared')
const connect = require('./connect')
const serve = require('./serve')
const { paint } = require('../terminal/colours')

const EPILOGUE = `
Examples:
  $ alknet doctor --server example.com --identity ~/.ssh/id_ed25519
  $ alknet doctor --config alknet.toml --profile work --json
  $ alknet doctor serve --config /etc/alknet/serve.toml

Takes the flags of alknet connect, or of alknet serve, and looks at the clock, the
keys with their permissions and certificates, known_hosts, the ports, and for a client
the way to the server step by step, up to one login. For what is wrong it says what
to do. It changes nothing: no key is written down, nothing stays bound.

Exit codes: 0 nothing has failed   1 something has   2 usage or configuration`

const COLOURS = { ok: 'green', warn: 'yellow', fail: 'red', skip: 'dim' }
const WIDTH = 15

/** One finding: a line, and what to do below it. */
function lines ({ check, status, text, advice }) {
  const first = `${paint(process.stdout, COLOURS[status], status.padEnd(4))}  ${check.padEnd(WIDTH)}  ${text}\n`
  return advice === '' ? first : `${first}${advice.split('\n').map((line) => `${' '.repeat(8 + WIDTH)}${line}\n`).join('')}`
}

function summary (findings) {
  const count = (status) => findings.filter((one) => one.status === status).length
  return `${count('ok')} ok, ${count('warn')} to look at, ${count('fail')} failed${count('skip') === 0 ? '' : `, ${count('skip')} not looked at`}\n`
}

async function run (command, kind, collect) {
  const { diagnose } = require('../..')
  const { options, explain } = await collect()
  const { json } = command.opts()
  const common = kind === 'connect' ? { socks5: true } : {}
  const { ok, findings } = await diagnose({ ...common, ...options, passphrase }, {
    command: kind,
    onFinding: (finding) => { if (!json) process.stdout.write(lines(finding)) }
  }).catch((err) => { throw explain(err) })
  process.stdout.write(json ? `${JSON.stringify({ ok, findings })}\n` : summary(findings))
  if (!ok) process.exitCode = 1
}

function subcommand (doctor, name, description, options) {
  return doctor.command(name, options)
    .description(description)
    .addOption(new Option('--json', 'one JSON object: { ok, findings: [{ check, status, text, advice }] }'))
    .addHelpText('after', EPILOGUE)
}

module.exports = (alknet) => {
  const doctor = alknet.command('doctor').description('look for what would keep a client or a server from working')
  const client = subcommand(doctor, 'connect', 'before alknet connect: the same flags', { isDefault: true })
  connect.addFlags(client)
  client.action(() => run(client, 'connect', () => connect.collect(client)))
  const server = subcommand(doctor, 'serve', 'before alknet serve: the same flags')
  const collect = serve.addFlags(server)
  server.action(() => run(server, 'serve', collect))
}
