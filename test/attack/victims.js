'use strict'

/**
 * alknet as the one who is attacked, in both roles, with the engine that
 * ALKNET_ENGINE names (else its default), and the proof that it has come
 * through: alive, no target reached, the next honest peer served.
 */

const assert = require('node:assert')
const path = require('node:path')
const readline = require('node:readline')
const { cleanEnv, startServe } = require('../helpers/alknet')
const { key } = require('../helpers/keys')
const { echoServer, listen } = require('../helpers/net')
const { start } = require('../helpers/proc')
const { Scope } = require('../helpers/scope')
const { versions } = require('../..')
const { connectRaw } = require('./ssh/client')
const { makeKey } = require('./ssh/kex')
const { startRawServer } = require('./ssh/server')

const MiB = 1 << 20

const chosen = process.env.ALKNET_ENGINE || ''
const engine = chosen || versions.engines[0]
const isLibssh = engine === 'libssh'

/** For the command line. */
const engineArgs = chosen ? ['--ssh-engine', chosen] : []

/** What a crash or a sanitizer leaves in the output. */
const CRASH = /Sanitizer|runtime error:|FATAL ERROR|broken invariant|Assertion|Segmentation|core dumped|^\s+at .*\.js:\d+|uncaught/im

/** Nothing but the attack may end a connection while a test waits. */
const PATIENCE = 600

/** Runs `use` with a scope of its own: for hooks, which come after a test's. */
async function withScope (use) {
  const scope = new Scope()
  try {
    return await use(scope)
  } finally {
    await scope.close()
  }
}

/** Whether it has crashed, or is about to. */
async function isDead (proc) {
  if (CRASH.test(proc.output)) await proc.exited
  return proc.result !== null
}

function assertUnharmed (proc) {
  const crash = proc.output.split('\n').find((line) => CRASH.test(line))
  assert.strictEqual(crash, undefined)
  assert.strictEqual(proc.result, null, `the process has ended: ${proc.output.slice(-500)}`)
}

/**
 * `alknet serve`, a target that echoes, and a target that nobody may reach.
 *
 * @param {Scope} scope
 * @param {{ args?: string[], patience?: number }} [options]
 */
async function startVictimServer (scope, options = {}) {
  const userKey = makeKey()
  const { patience = PATIENCE } = options
  const server = await startServe(scope, {
    authorizedKeys: `${userKey.public}\n`,
    args: ['--login-grace', String(patience), '--keepalive', '0', '--max-auth-attempts', '1000',
      ...engineArgs, ...(options.args || [])]
  })
  const echo = await echoServer(scope)
  const forbidden = await listen(scope, (socket) => socket.end())
  const stalled = await listen(scope, (socket) => socket.pause())
  const all = { user: 'alknet', key: userKey, hostKey: server.hostKeys[0].blob }
  return {
    proc: server.proc,
    host: server.host,
    port: server.port,
    options: all,
    userKey,
    echo,
    forbidden,
    stalled,
    /** A raw client on a new connection. */
    connect: (inScope, more = {}) => connectRaw(inScope, server, { ...all, ...more }),
    /** The next honest client is served, and nothing has happened that may not. */
    assertUnharmed: () => withScope(async (inScope) => {
      assertUnharmed(server.proc)
      assert.strictEqual(forbidden.accepted, 0, 'the target that nobody may reach was reached')
      const client = await connectRaw(inScope, server, all)
      await client.login()
      await client.echo(await client.open('127.0.0.1', echo.port))
    }),
    /** Ends it in good order. */
    async end () {
      server.proc.kill('SIGTERM')
      const { code, signal, output } = await server.proc.exited
      assert.deepStrictEqual({ code, signal }, { code: 0, signal: null }, output.slice(-500))
    }
  }
}

/**
 * A process that opens sessions, and the raw server that it opens them to.
 *
 * @param {Scope} scope
 */
async function startVictimClient (scope) {
  const hostKey = makeKey()
  const identity = key('ed25519', 'user')
  const proc = start(scope, process.execPath, [path.join(__dirname, 'session-child.js')],
    { env: cleanEnv(scope), keepStdin: true })
  const answers = new Map()
  let ready
  const isReady = new Promise((resolve) => { ready = resolve })
  readline.createInterface({ input: proc.child.stdout }).on('line', (line) => {
    const { id, value, error } = JSON.parse(line)
    if (id === 0) return ready()
    const waiting = answers.get(id)
    answers.delete(id)
    if (error) waiting.reject(Object.assign(new Error(error.message), error))
    else waiting.resolve(value)
  })
  proc.exited.then(() => {
    for (const { reject } of answers.values()) reject(new Error(`the client has ended: ${proc.output}`))
  })
  await Promise.race([isReady, proc.exited])
  assertUnharmed(proc)
  let nextId = 1
  const ask = (what, more) => new Promise((resolve, reject) => {
    if (proc.result !== null) return reject(new Error(`the client has ended: ${proc.output}`))
    const id = nextId++
    answers.set(id, { resolve, reject })
    proc.child.stdin.write(`${JSON.stringify({ id, what, ...more })}\n`)
  })
  const base = {
    identity: identity.path,
    user: 'alknet',
    hostKey: hostKey.public,
    handshakeTimeout: PATIENCE,
    keepalive: 0,
    ...(chosen ? { sshEngine: chosen } : {})
  }
  const victim = {
    proc,
    hostKey,
    ask,
    /**
     * Has it open a session to a raw server that behaves as it is told.
     *
     * @returns {Promise<{ session: Promise<number>, far: Promise }>} session:
     *   its name, or why there is none; far: what `behave` returns
     */
    async session (inScope, behave, options = {}, more = {}) {
      const server = await startRawServer(inScope, { hostKey, userKey: identity.blob, ...more })
      const far = server.take(behave)
      const session = ask('session', { options: { ...base, server: `127.0.0.1:${server.port}`, ...options } })
      session.catch(() => {}) // asked for later
      far.catch(() => {})
      return { session, far }
    },
    /**
     * How a session fares that opens a channel and wants its echo: null, or why
     * it ended. toTheEnd: it is waited for that, also after the echo.
     */
    async fare (session, toTheEnd = false) {
      let name
      try {
        name = await session
        const channel = await ask('open', { session: name, host: 'target', port: 7 })
        await ask('echo', { channel, text: 'ping' })
        return toTheEnd ? ask('over', { session: name }) : null
      } catch (err) {
        return name === undefined ? err : ask('over', { session: name })
      }
    },
    /** The next honest server is used. */
    assertUnharmed: () => withScope(async (inScope) => {
      assertUnharmed(proc)
      const { session, far } = await victim.session(inScope, async (peer) => {
        await peer.login()
        await peer.serve()
      })
      const name = await session
      const channel = await ask('open', { session: name, host: 'target', port: 7 })
      assert.strictEqual(await ask('echo', { channel, text: 'ping' }), 'ping')
      await ask('close', { session: name })
      await far
    }),
    /** Ends it in good order. */
    async end () {
      proc.child.stdin.end()
      const { code, signal, output } = await proc.exited
      assert.deepStrictEqual({ code, signal }, { code: 0, signal: null }, output.slice(-500))
    }
  }
  return victim
}

/** How long one attack of many may take, and how many may fail before the rest is left. */
const JOB_MS = 10000
const FAILURES_MAX = 12

/**
 * Runs attacks, some at once, and fails with the list of those that failed.
 *
 * @param {{ name: string, run: (scope: Scope) => Promise }[]} jobs
 */
async function runAll (jobs) {
  assert.notStrictEqual(jobs.length, 0)
  const failures = []
  const left = [...jobs]
  const runOne = async ({ name, run }) => {
    const scope = new Scope()
    let timer
    const late = new Promise((resolve, reject) => {
      timer = setTimeout(() => reject(new Error('it goes on and on')), JOB_MS)
    })
    const done = run(scope)
    done.catch(() => {}) // when it has been late
    await Promise.race([done, late]).catch((err) => failures.push(`${name}: ${err.message}`))
    clearTimeout(timer)
    await scope.close()
  }
  const worker = async () => {
    while (left.length > 0 && failures.length < FAILURES_MAX) await runOne(left.shift())
  }
  await Promise.all(Array.from({ length: 6 }, worker))
  assert.deepStrictEqual(failures, [])
}

module.exports = { MiB, engineArgs, isDead, isLibssh, runAll, startVictimServer, startVictimClient }
