'use strict'

/**
 * What is compared: `alknet connect` to `alknet serve` with each SSH engine, the
 * native one over TLS too, and `ssh` to a stock sshd, with the same keys. Each has a SOCKS5 port, a forward
 * to the target, and two ends whose processes can be measured. All run at their
 * usual log level.
 */

const net = require('net')
const os = require('os')
const path = require('path')
const { runAlknet, startConnect, startServe } = require('../test/helpers/alknet')
const { freePort } = require('../test/helpers/net')
const { sshArgs, startSshd } = require('../test/helpers/openssh')
const { run, start } = require('../test/helpers/proc')
const { makeCa } = require('../test/helpers/tls-certs')

/** Resolves when somebody listens on the port: ssh says so only with -v. */
async function listening (port, proc) {
  while (proc.result === null) {
    const open = await new Promise((resolve) => {
      const socket = net.connect(port, '127.0.0.1')
      socket.once('connect', () => { socket.destroy(); resolve(true) })
      socket.once('error', () => resolve(false))
    })
    if (open) return
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  throw new Error(`ssh ended: ${proc.output}`)
}

/** `ssh -D -L` to sshd, started and ready. */
async function openssh (scope, { cipher, target }) {
  const server = await startSshd(scope, { config: ['LogLevel INFO', `Ciphers ${cipher}`] })
  const [socks, forward] = [await freePort(), await freePort()]
  const args = sshArgs(scope, server, {
    options: [`Ciphers=${cipher}`],
    args: ['-N', '-D', `127.0.0.1:${socks}`, '-L', `127.0.0.1:${forward}:127.0.0.1:${target}`]
  })
  // Its debug lines, one for each channel, would be a burden on ssh alone.
  const client = start(scope, 'ssh', args.filter((arg) => arg !== '-v'))
  await listening(socks, client)
  await listening(forward, client)
  return side('openssh', client, server.proc, { socks, forward })
}

/** What both ends get for the transport tls. */
function tlsArgs (scope) {
  const ca = makeCa(scope)
  const { cert, key } = ca.issue()
  return {
    client: ['--transport', 'tls', '--tls-ca', ca.cert],
    server: ['--transport', 'tls', '--tls-cert', cert, '--tls-key', key]
  }
}

/** `alknet connect` to `alknet serve` with an engine, started and ready. */
async function alknet (name, engine, scope, { cipher, target, channels }) {
  const transport = name === 'tls' ? tlsArgs(scope) : { client: [], server: [] }
  const delays = path.join(scope.dir(), 'delay')
  const common = (end) => ({
    args: [...transport[end], '--ciphers', cipher, '--ssh-engine', engine,
      ...(channels ? ['--max-channels', String(channels)] : [])],
    env: {
      NODE_OPTIONS: `--require ${JSON.stringify(path.join(__dirname, 'loop-delay.js'))}`,
      BENCH_LOOP_DELAY: `${delays}-${end}`
    }
  })
  const server = await startServe(scope, common('server'))
  const client = await startConnect(scope, server, {
    ...common('client'), forwards: [`127.0.0.1:0:127.0.0.1:${target}`]
  })
  const ports = { socks: client.socks.port, forward: client.local[0].port }
  return { ...side(name, client.proc, server.proc, ports), delays }
}

function side (name, client, server, ports) {
  return {
    name,
    ways: { socks: `socks:${ports.socks}`, forward: `direct:${ports.forward}` },
    ends: { client: [client.pid], server: [server.pid] }
  }
}

/** What was measured, in words: versions of all that took part. */
async function versions (scope) {
  const alknet = await runAlknet(scope, ['--version'])
  return {
    node: process.version,
    openssh: (await run(scope, 'ssh', ['-V'])).output.trim(),
    alknet: alknet.code === 0 ? alknet.stdout.trim() : 'alknet is not built',
    cpu: `${os.cpus().length} × ${os.cpus()[0].model}`,
    kernel: os.release(),
    load: os.loadavg()[0].toFixed(1)
  }
}

const sides = {
  native: alknet.bind(null, 'native', 'native'),
  libssh: alknet.bind(null, 'libssh', 'libssh'),
  tls: alknet.bind(null, 'tls', 'native'),
  openssh
}

module.exports = { sides, versions }
