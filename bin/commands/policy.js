'use strict'

/** alknet policy test */

const { gather, repeatable, rules, value } = require('./shared')

const EPILOGUE = `
Examples:
  $ alknet policy test --config alknet.toml --as SHA256:... db.internal:5432
  $ alknet policy test --deny loopback --as somebody 127.0.0.1:6379
  $ alknet policy test --config alknet.toml --as somebody --scopes ops,db unix:/run/db.sock

A name is looked up on this machine, as the server would. A key that stands in
the authorized keys brings the scopes and limits of its line. Exit code 0: the
target is allowed, at one address at least. 1: it is not.`

/** Which rule, and where it stands. */
function reason ({ by, rule, number, text }, { config, flagRules }) {
  if (by !== 'rule') return text ?? 'by default'
  const inFile = number - 1 - flagRules.length
  const where = inFile < 0 ? flagRules[number - 1].flag : config.where('forwarding.rules', inFile)
  return `rule ${number}: ${rule} (${where})`
}

async function run (target, command, flagRules) {
  const { testPolicy } = require('../..')
  const { as, scopes, transport } = command.opts()
  const { options, config, explain } = await gather(command, { kind: 'serve', flagRules })
  for (const name of ['as', 'scopes', 'transport']) delete options[name]
  const question = { target, id: as, scopes: scopes === undefined ? [] : scopes.split(','), transport: transport ?? 'tcp' }
  const answer = await testPolicy(options, question).catch((err) => {
    // No server was to be reached: what was asked could not be answered.
    throw err.stage === 'dns' ? Object.assign(err, { stage: 'policy' }) : explain(err)
  })
  const lines = answer.verdicts.map((one) => `  ${one.address ?? 'every address'}: ` +
    `${one.allow ? 'allow' : 'deny'}, ${reason(one, { config, flagRules })}`)
  process.stdout.write(`${answer.allow ? 'allow' : 'deny'} ${target}\n${lines.join('\n')}\n`)
  if (!answer.allow) process.exitCode = 1
}

module.exports = (alknet) => {
  const flagRules = []
  const command = alknet.command('policy')
    .description('ask what the forwarding policy says')
    .command('test')
    .description('allow or deny, and by which rule')
    .argument('<target>', 'host:port, or unix:/path')
    .requiredOption('--as <id>', "the identity: a key's fingerprint or a certificate's key id")
    .addOption(value('--scopes <a,b>', 'scopes of the identity'))
    .addOption(value('--transport <kind>', 'tcp, tls, iroh or stream (default: tcp)'))
    .addOption(value('--config <file>', 'the configuration of the server'))
    .addOption(repeatable('--authorized-keys <path>', 'who may log in, with which limits (repeatable)'))
    .addHelpText('after', EPILOGUE)
    .action((target) => run(target, command, flagRules))
  rules(command, flagRules)
}
