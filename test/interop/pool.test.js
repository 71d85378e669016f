'use strict'

/** Several SSH sessions behind one client, to the servers that there are. */

const assert = require('node:assert')
const net = require('node:net')
const { connectArgs, needAlknet, runAlknet, startAlknet, startServe } = require('../helpers/alknet')
const { knownHostsLine } = require('../helpers/keys')
const { closed, dial, echoServer, expectEcho, freePort, listen } = require('../helpers/net')
const { needSshd, startSshd } = require('../helpers/openssh')
const { testScope } = require('../helpers/scope')

// The libssh engine has no remote forwards.
const engine = 'native'

describe('several sessions', function () {
  this.timeout(60000)
  const scope = testScope()
  before(function () { needAlknet(this) })

  for (const [name, startServer] of [['alknet serve', startServe], ['sshd', startSshd]]) {
    /** A client of it through a wire whose connections the test can cut. */
    async function setUp (context) {
      if (startServer === startSshd) needSshd(context)
      const server = await startServer(scope)
      const wires = []
      const wire = await listen(scope, (socket) => {
        wires.push(socket)
        const inner = net.connect(server.port, server.host)
        for (const one of [socket, inner]) one.on('error', () => {}).on('close', () => { socket.destroy(); inner.destroy() })
        socket.pipe(inner).pipe(socket)
      })
      const echo = await echoServer(scope)
      const remote = await freePort()
      const env = { HOME: scope.dir(), XDG_RUNTIME_DIR: scope.dir() }
      const through = { ...server, host: '127.0.0.1', port: wire.port, knownHosts: knownHostsLine('127.0.0.1', wire.port, server.hostKeys[0]) }
      const proc = startAlknet(scope, connectArgs(scope, through, {
        engine, args: ['--sessions', '3', '--session-channels', '1', '-L', `0:127.0.0.1:${echo.port}`, '-R', `${remote}:127.0.0.1:${echo.port}`]
      }), { env })
      await proc.waitFor(/^remote forward on /m)
      const port = Number(/^forward on .*:(\d+)$/m.exec(proc.stdout)[1])
      /** One over each session, the first one's first. */
      const sockets = []
      for (let count = 1; count <= 3; count++) {
        if (count > 1) await proc.waitFor(new RegExp(`sessions open=${count}`))
        const socket = await dial(scope, port)
        await expectEcho(socket)
        sockets.push(socket)
        if (count === 3) break
        const another = await dial(scope, port) // finds all full
        await expectEcho(another)
        if (count === 1) another.destroy()
        else sockets.push(another)
      }
      return { proc, port, remote, wires, sockets, env }
    }

    it(`of ${name}: one that is cut takes no other with it, and the first is replaced`, async function () {
      const { proc, port, remote, wires, sockets, env } = await setUp(this)
      const { stdout } = await runAlknet(scope, ['status'], { env })
      assert.match(stdout, /^ {2}sessions +3$/m)
      await expectEcho(await dial(scope, remote))
      wires[0].resetAndDestroy()
      await proc.waitFor(/sessions open=2 error=/)
      await closed(sockets[0])
      // The server listens again, for another session, when it knows of the first one's end.
      for (;;) {
        const socket = await dial(scope, remote).catch((err) => err)
        if (!(socket instanceof Error) && await expectEcho(socket).then(() => true, () => false)) break
      }
      assert.doesNotMatch(proc.output, /state=lost/)
      await expectEcho(sockets.at(-1))
      await expectEcho(await dial(scope, port))
      for (const one of wires) one.destroy()
      await proc.waitFor(/state=lost[^]*state=ready/)
      await expectEcho(await dial(scope, port))
      proc.kill('SIGTERM')
      assert.strictEqual((await proc.exited).code, 0)
    })
  }
})
