'use strict'

/** alknet forward list, add and cancel */

const { Option } = require('commander')
const { listenerLine, plain, repeatable, value } = require('./shared')
const { ask, chooseClient, usage } = require('./running')

const EPILOGUE = `
Examples:
  $ alknet forward list
  $ alknet forward add -L 5432:db.internal:5432
  $ alknet forward add -R 8080:localhost:3000 --control /run/alknet/work.sock
  $ alknet forward cancel -L 5432:db.internal:5432

Changes what a running alknet connect forwards. When several run, --control says
which one is meant; alknet status names their sockets. Connections that are there
go on when their forward is canceled. A forward that was asked for with port 0
is also known by the port it got. The changes end with the session.

Exit codes: 0 done   1 failed, or nobody is running   2 usage`

const FLAGS = { forward: '-L', 'remote-forward': '-R' }

const withFlag = (one) => FLAGS[one.kind] === undefined
  ? listenerLine(one)
  : `${listenerLine(one)}  ${FLAGS[one.kind]} ${plain(one.spec)}`

async function list ({ control, json }) {
  const { listeners } = await ask(await chooseClient(control), { op: 'list' })
  process.stdout.write(json ? `${JSON.stringify(listeners)}\n` : listeners.map((one) => `${withFlag(one)}\n`).join(''))
}

/** The forwards of -L and -R: [{ kind, spec }]. */
function named ({ forward = [], remoteForward = [] }) {
  const all = [
    ...forward.map((spec) => ({ kind: 'forward', spec })),
    ...remoteForward.map((spec) => ({ kind: 'remote-forward', spec }))
  ]
  if (all.length === 0) throw usage('-L or -R is required')
  return all
}

/** One after the other; the first that fails is the last. */
async function each (op, flags, print) {
  const forwards = named(flags)
  const path = await chooseClient(flags.control)
  for (const one of forwards) print(await ask(path, { op, ...one }))
}

function add (flags) {
  return each('add', flags, (one) => process.stdout.write(`${listenerLine(one)}\n`))
}

function cancel (flags) {
  return each('cancel', flags, ({ listeners }) => {
    for (const one of listeners) process.stdout.write(`canceled: ${withFlag(one)}\n`)
  })
}

function subcommand (parent, name, text, action) {
  return parent.command(name)
    .description(text)
    .addOption(value('--control <path>', 'the control socket of the client (default: of the only one that runs)'))
    .addHelpText('after', EPILOGUE)
    .action(action)
}

module.exports = (alknet) => {
  const forward = alknet.command('forward').description('list, add and cancel forwards of a running client')
  subcommand(forward, 'list', 'what listens, here and at the server', list)
    .addOption(new Option('--json', 'a JSON array'))
  for (const [name, text, action] of [['add', 'add forwards', add], ['cancel', 'stop listening for forwards', cancel]]) {
    subcommand(forward, name, text, action)
      .addOption(repeatable('-L, --forward <spec>', '[bind:]port:host:hostport, or paths of sockets (repeatable)'))
      .addOption(repeatable('-R, --remote-forward <spec>', 'the same with the server listening, or [bind:]port alone (repeatable)'))
  }
}
