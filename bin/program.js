'use strict'

/**
 * The command line of alknet: a table of subcommands, and --version.
 */

const { Command, CommanderError } = require('commander')

function versionText () {
  const { versions } = require('..')
  return [
    `alknet ${versions.alknet}`,
    `node ${versions.node}`,
    ...versions.libssh ? [`libssh ${versions.libssh}`] : [],
    `openssl ${versions.openssl}`,
    `libuv ${versions.uv}`,
    `engines ${versions.engines.join(', ')}`
  ].join('\n')
}

const EPILOGUE = `
Examples:
  $ alknet keygen -f host_key
  $ alknet keygen -f my_key && cp my_key.pub authorized_keys
  $ alknet serve --key host_key --authorized-keys authorized_keys --listen 0.0.0.0:2222
  $ alknet connect --server example.com:2222 --identity my_key --accept-new
  $ curl --socks5-hostname 127.0.0.1:1080 http://private.example/

Exit codes:
  0 done   1 failed   2 usage or configuration   3 authentication refused
  4 host key not trusted   5 could not reach the server

alknet COMMAND --help says more.`

function program () {
  const alknet = new Command('alknet')
    .description('SSH tunnels: a SOCKS5 proxy and port forwards over SSH.')
    .option('-V, --version', 'the versions of alknet, Node, libssh, OpenSSL and libuv')
    .addHelpText('after', EPILOGUE)
    .showSuggestionAfterError(true)
    .exitOverride()
  alknet.on('option:version', () => {
    process.stdout.write(`${versionText()}\n`)
    throw new CommanderError(0, 'commander.version', '')
  })
  for (const name of ['serve', 'connect', 'status', 'forward', 'keygen', 'policy', 'doctor', 'completion']) require(`./commands/${name}`)(alknet)
  return alknet
}

module.exports = { program }
