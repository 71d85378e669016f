'use strict'

/**
 * A reader that stops holds its sender, through the SSH window, and neither
 * side keeps what is not read: 1 GiB is offered, and at most 4 MiB leave the
 * sender; at most 4 MiB more are the memory of each of the two processes.
 */

const assert = require('node:assert')
const { fork } = require('node:child_process')
const path = require('node:path')
const alknet = require('../..')
const { cleanEnv, needAlknet } = require('../helpers/alknet')
const { testScope } = require('../helpers/scope')
const { twoKeys } = require('./pairs')

const CHILD = path.join(__dirname, 'stop-child.js')
const MiB = 1 << 20
const LIMIT = 4 * MiB

// glibc gives freed memory back at once: what counts is what is in use.
const GIVE_BACK = { MALLOC_MMAP_THRESHOLD_: '16384', MALLOC_TRIM_THRESHOLD_: '0' }

/** A child that is asked and answers. */
function startChild (scope) {
  const child = fork(CHILD, { execArgv: ['--expose-gc'], env: cleanEnv(scope, GIVE_BACK) })
  const waiting = new Map()
  let last = 0
  child.on('message', ({ id, ...answer }) => waiting.get(id)(answer))
  child.once('exit', () => { for (const answered of waiting.values()) answered({ error: 'the child has ended' }) })
  scope.defer(() => new Promise((resolve) => {
    child.once('exit', resolve)
    child.kill('SIGKILL')
  }))
  return async (op, args) => {
    const id = ++last
    const answer = await new Promise((resolve) => {
      waiting.set(id, resolve)
      child.send({ id, op, ...args })
    })
    if (answer.error) throw new Error(answer.error)
    return answer
  }
}

for (const engine of alknet.versions.engines) {
  describe(`streams whose reader stops, ${engine}`, function () {
    this.timeout(120000)
    const scope = testScope()
    before(function () {
      needAlknet(this)
      if (process.platform !== 'linux') {
        console.log('      skipped: elsewhere freed memory is not given back at once')
        this.skip()
      }
    })

    async function start (options = {}) {
      const { host, user } = await twoKeys()
      const server = startChild(scope)
      const client = startChild(scope)
      const { port } = await server('serve', {
        options: {
          hostKey: scope.file('host', host.privateKey),
          authorizedKeys: scope.file('authorized', user.publicKey),
          listen: '127.0.0.1:0',
          sshEngine: engine,
          ...options
        }
      })
      await client('connect', {
        options: {
          server: `127.0.0.1:${port}`,
          identity: scope.file('user', user.privateKey),
          hostKey: host.fingerprint,
          sshEngine: engine,
          ...options
        }
      })
      return { server, client }
    }

    /** The memory that any traffic takes is taken before: at the same places, the same way. */
    async function warmUp ({ server, client }, how) {
      await client('traffic', { mib: 8 })
      await client('start', { how, mib: 16 })
      await (how === 'take' ? client : server)('stopped')
      await Promise.all([client('destroy'), server('destroy')])
      await client('traffic', { mib: 8 })
      return { server: await server('stats'), client: await client('stats') }
    }

    async function stops (how, mib, options) {
      const both = await start(options)
      const before = await warmUp(both, how)
      await both.client('start', { how, mib })
      const [reader, writer] = how === 'take' ? [both.client, both.server] : [both.server, both.client]
      await reader('stopped')
      await both.client('traffic', { mib: 8 }) // by then the other would have come
      const after = { server: await both.server('stats'), client: await both.client('stats') }
      const { got } = how === 'take' ? after.client : after.server
      const { left, wrote } = how === 'take' ? after.server : after.client
      assert(got >= mib * MiB && wrote < 1024 * MiB, `${got} read, ${wrote} written`)
      assert(left - got <= LIMIT, `${(left - got) / MiB} MiB left the sender in advance`)
      for (const side of ['server', 'client']) {
        const grown = after[side].rss - before[side].rss
        assert(grown <= LIMIT, `the ${side} grew by ${grown / MiB} MiB`)
      }
      // It was only held: it goes on when it is read.
      assert((await reader('more', { mib: 8 })).got >= 8 * MiB)
      assert((await writer('stats')).left > left)
    }

    for (const [how, who] of [['take', 'client'], ['send', 'server']]) {
      it(`a ${who} that reads nothing after the first bytes`, () => stops(how, 0))

      it(`a ${who} that stops in the middle, windowMax 2 MiB`, () => stops(how, 16, { windowMax: 2 * MiB }))
    }
  })
}
