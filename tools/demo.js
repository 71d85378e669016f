'use strict'

/**
 * npm run demo: 100 MB through the SOCKS5 proxy of a tunnel on this machine,
 * with throw-away keys and free ports, told in plain words. Leaves nothing
 * behind. With --keep it stays until Ctrl-C.
 */

const crypto = require('crypto')
const fs = require('fs')
const path = require('path')
const { parseArgs } = require('util')
const { runAlknet, startConnect, startServe } = require('../test/helpers/alknet')
const { curl, webServer } = require('../test/helpers/curl')
const { keyOf } = require('../test/helpers/keys')
const { Scope } = require('../test/helpers/scope')

const bytes = 100e6

const say = (text) => console.log(text)

/** Rejects when the promise takes longer than a working demo ever does. */
function soon (promise, what) {
  let timer
  const late = new Promise((resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} was not ready after 30 s`)), 30000)
  })
  return Promise.race([promise, late]).finally(() => clearTimeout(timer))
}

/** A key pair, made by `alknet keygen`. */
async function keygen (scope, name) {
  const file = path.join(scope.dir(), name)
  const { code, output } = await runAlknet(scope, ['keygen', '--file', file])
  if (code !== 0) throw new Error(`alknet keygen failed: ${output}`)
  return keyOf(file)
}

/** Ends a child as a user would, and not only at the end of patience. */
function endsWell (scope, proc) {
  scope.defer(async () => {
    proc.kill('SIGTERM')
    await soon(proc.exited, 'the end of a child').catch(() => {})
  })
}

/** Sets everything up; resolves with what is needed to use it. */
async function build (scope, data) {
  const hostKey = await keygen(scope, 'server')
  const userKey = await keygen(scope, 'client')
  say('1. `alknet keygen` has made two throw-away Ed25519 keys: the server\'s and yours.')

  const server = await soon(startServe(scope, { hostKeys: [hostKey], userKeys: [userKey] }), 'alknet serve')
  endsWell(scope, server.proc)
  say(`2. \`alknet serve\` waits on 127.0.0.1:${server.port}. It lets in your key and no other.`)

  const client = await soon(startConnect(scope, server, { identity: userKey }), 'alknet connect')
  endsWell(scope, client.proc)
  const proxy = `127.0.0.1:${client.socks.port}`
  say('3. `alknet connect` has checked the server\'s key, logged in over SSH,')
  say(`   and opened a SOCKS5 proxy on ${proxy}.`)

  const web = await webServer(scope, data)
  const url = `http://localhost:${web.port}/`
  say(`4. A web server with ${bytes / 1e6} MB of random bytes is at ${url}`)
  return { proxy, url }
}

const sha256 = (data) => crypto.createHash('sha256').update(data).digest('hex')

async function transfer (scope, data, { proxy, url }) {
  const file = path.join(scope.dir(), 'fetched')
  say('5. curl fetches them: curl → alknet connect ══ SSH ══ alknet serve → web server.')
  say('   The name in the address is looked up at the far end.')
  const { code, stdout, output } = await curl(scope, ['--fail', '--socks5-hostname', proxy,
    '--output', file, '--write-out', '%{size_download} %{time_total}', url])
  if (code !== 0) throw new Error(`curl failed (${code}): ${output.trim()}`)
  const [size, seconds] = stdout.split(' ').map(Number)
  say(`   ${size} bytes came in ${seconds.toFixed(2)} s: ${(size / 1e6 / seconds).toFixed(0)} MB/s.`)
  const [sent, got] = [sha256(data), sha256(fs.readFileSync(file))]
  if (sent !== got) throw new Error(`the bytes have changed on the way: SHA-256 ${got}, not ${sent}`)
  say(`   Their SHA-256 is that of the bytes on the web server: ${sent.slice(0, 16)}…`)
}

function howToUse ({ proxy, url }) {
  say(`
It keeps running. In another terminal:

  curl --socks5-hostname ${proxy} --output /dev/null ${url}
  curl --socks5-hostname ${proxy} https://example.com/
  ALL_PROXY=socks5h://${proxy} git ls-remote https://example.com/some/repository

or, in a browser, SOCKS v5 host 127.0.0.1, port ${proxy.split(':')[1]}. Ctrl-C ends it.`)
}

async function main () {
  const { values } = parseArgs({ options: { keep: { type: 'boolean' } } })
  const scope = new Scope()
  const asked = new Promise((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => resolve('stop'))
  })
  let ready = false
  const work = async () => {
    const data = crypto.randomBytes(bytes)
    const tunnel = await build(scope, data)
    await transfer(scope, data, tunnel)
    if (!values.keep) return
    howToUse(tunnel)
    ready = true
    await asked
  }
  try {
    const how = await Promise.race([work(), asked])
    if (how === 'stop' && !ready) process.exitCode = 130
  } finally {
    await scope.close()
  }
  say(process.exitCode ? '\nStopped; nothing is left behind.' : '\nDone: both have ended, and the keys are gone.')
}

main().catch((err) => {
  console.error(`demo: ${err.message}`)
  process.exitCode = 1
})
