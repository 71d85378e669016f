'use strict'

/** New keys every megabyte, in the middle of transfers. */

const assert = require('node:assert')
const { needAlknet, startConnect, startServe } = require('../helpers/alknet')
const { download, MiB, upload } = require('../helpers/behaviours')
const { drainStream, echoServer, sendPattern, sinkServer, sourceServer } = require('../helpers/net')
const { needSshd, startSsh, startSshd } = require('../helpers/openssh')
const { need } = require('../helpers/proc')
const { testScope } = require('../helpers/scope')
const { socksOpen } = require('../helpers/socks')
const { connectSsh2, forwardOut, startSsh2Server } = require('../helpers/ssh2')

const SIZE = 32 * MiB

/** Bulk each way and both ways at once. */
async function transfers (scope, open) {
  await upload(await open((await sinkServer(scope)).port), SIZE)
  await download(await open((await sourceServer(scope, SIZE)).port), SIZE)
  const stream = await open((await echoServer(scope)).port)
  const got = drainStream(stream)
  const { digest } = await sendPattern(stream, SIZE)
  assert.deepStrictEqual(await got, { bytes: SIZE, digest })
}

const count = (text, pattern) => [...text.matchAll(pattern)].length

describe('rekeying', function () {
  this.timeout(120000)
  const scope = testScope()
  before(function () { needAlknet(this) })

  for (const cipher of ['aes128-gcm@openssh.com', 'chacha20-poly1305@openssh.com', 'aes256-ctr']) {
    it(`asked for by ssh every megabyte, ${cipher}`, async function () {
      need(this, 'ssh')
      const client = await startSsh(scope, await startServe(scope),
        { options: ['RekeyLimit=1M', `Ciphers=${cipher}`] })
      await transfers(scope, (port) => socksOpen(scope, client.socks, '127.0.0.1', port))
      const rekeys = count(client.proc.output, /SSH2_MSG_NEWKEYS received/g)
      assert.ok(rekeys > 4 * SIZE / MiB / 2, `only ${rekeys} key exchanges`)
    })

    it(`asked for by sshd every megabyte, ${cipher}`, async function () {
      needSshd(this)
      const sshd = await startSshd(scope, { config: ['RekeyLimit 1M', `Ciphers ${cipher}`] })
      const client = await startConnect(scope, sshd)
      await transfers(scope, (port) => socksOpen(scope, client.socks, '127.0.0.1', port))
      const rekeys = count(sshd.proc.output, /SSH2_MSG_NEWKEYS received/g)
      assert.ok(rekeys > 4 * SIZE / MiB / 2, `only ${rekeys} key exchanges`)
    })
  }

  for (const [name, options] of [
    ['alknet connect', [[], ['--rekey-bytes', '1048576']]],
    ['alknet serve', [['--rekey-bytes', '1048576'], []]],
    ['both', [['--rekey-bytes', '1048576'], ['--rekey-bytes', '1048576']]]
  ]) {
    it(`asked for by ${name} every megabyte`, async () => {
      const [serveArgs, connectArgs] = options
      const client = await startConnect(scope, await startServe(scope, { args: serveArgs }), { args: connectArgs })
      await transfers(scope, (port) => socksOpen(scope, client.socks, '127.0.0.1', port))
    })
  }

  it('asked for by alknet connect every megabyte, of sshd', async function () {
    needSshd(this)
    const sshd = await startSshd(scope)
    const client = await startConnect(scope, sshd, { args: ['--rekey-bytes', '1048576'] })
    await transfers(scope, (port) => socksOpen(scope, client.socks, '127.0.0.1', port))
    const rekeys = count(sshd.proc.output, /SSH2_MSG_NEWKEYS received/g)
    assert.ok(rekeys > 4 * SIZE / MiB / 2, `only ${rekeys} key exchanges`)
  })

  it('asked for by alknet serve every megabyte, of ssh', async function () {
    need(this, 'ssh')
    const client = await startSsh(scope, await startServe(scope, { args: ['--rekey-bytes', '1048576'] }))
    await transfers(scope, (port) => socksOpen(scope, client.socks, '127.0.0.1', port))
    const rekeys = count(client.proc.output, /SSH2_MSG_NEWKEYS received/g)
    // A server sends on before the client's NEWKEYS have come and cannot ask
    // again until then: with megabytes on the way it asks less often.
    assert.ok(rekeys > 4 * SIZE / MiB / 4, `only ${rekeys} key exchanges`)
  })

  it('asked for by time, between and within transfers', async () => {
    const server = await startServe(scope, { args: ['--rekey-seconds', '1'] })
    const client = await connectSsh2(scope, server)
    const echo = await echoServer(scope)
    const stream = await forwardOut(client, '127.0.0.1', echo.port)
    let rekeys = 0
    const twice = new Promise((resolve) => {
      client.on('handshake', () => { if (++rekeys === 2) resolve() })
    })
    // Idle or busy, the keys grow old: one byte now and then must be enough.
    const busy = setInterval(() => stream.write('.'), 100)
    stream.resume()
    await twice
    clearInterval(busy)
    await transfers(scope, (port) => forwardOut(client, '127.0.0.1', port))
  })

  it('asked for by an ssh2 client in the middle of a transfer', async () => {
    const client = await connectSsh2(scope, await startServe(scope))
    let rekeys = 0
    client.on('handshake', () => {
      if (++rekeys < 10) setImmediate(() => client._protocol.rekey())
    })
    client._protocol.rekey() // ssh2 has no public way to for a client
    await transfers(scope, (port) => forwardOut(client, '127.0.0.1', port))
    assert.strictEqual(rekeys, 10)
  })

  it('asked for by an ssh2 server in the middle of a transfer', async () => {
    const peer = await startSsh2Server(scope)
    const client = await startConnect(scope, peer)
    const [session] = peer.clients
    let rekeys = 0
    const again = () => session.rekey(() => { if (++rekeys < 10) again() })
    again()
    await transfers(scope, (port) => socksOpen(scope, client.socks, '127.0.0.1', port))
    assert.strictEqual(rekeys, 10)
  })
})
