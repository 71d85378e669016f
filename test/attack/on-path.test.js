'use strict'

/**
 * Somebody between client and server, who changes what passes: the session
 * ends, and not one changed byte reaches an application.
 */

const assert = require('node:assert')
const net = require('node:net')
const { needAlknet, runConnect, startConnect, startServe } = require('../helpers/alknet')
const { knownHostsLine } = require('../helpers/keys')
const { listen } = require('../helpers/net')
const { testScope } = require('../helpers/scope')
const { start } = require('../helpers/proc')
const { socksOpen } = require('../helpers/socks')
const { packet } = require('../helpers/wire')
const { engineArgs } = require('./victims')

/** Gives the bytes of an unencrypted beginning piece by piece: the line, then packets. */
function framer (onPiece, isOver = () => false) {
  let rest = Buffer.alloc(0)
  let hasLine = false
  const frame = (chunk) => {
    rest = Buffer.concat([rest, chunk])
    const out = []
    for (;;) {
      if (isOver()) return Buffer.concat(out)
      let length
      if (!hasLine) length = rest.indexOf('\n') + 1
      else if (rest.length >= 4 && rest.length >= 4 + rest.readUInt32BE(0)) length = 4 + rest.readUInt32BE(0)
      if (!length) return Buffer.concat(out)
      const piece = rest.subarray(0, length)
      rest = rest.subarray(length)
      out.push(hasLine ? onPiece(piece, piece[5]) : piece)
      hasLine = true
    }
  }
  /** What has come of a piece that is not whole. */
  frame.rest = () => rest
  return frame
}

/**
 * A relay to `server` that passes each direction through a function.
 *
 * @returns {Promise<object>} like the server, with another port
 */
async function onPath (scope, server, { toServer = (b) => b, toClient = (b) => b }) {
  const relay = await listen(scope, (client) => {
    const far = net.connect(server.port, server.host)
    scope.defer(() => { far.destroy() })
    far.on('error', () => {})
    client.on('data', (chunk) => far.write(toServer(chunk)))
    far.on('data', (chunk) => client.write(toClient(chunk)))
    client.on('end', () => far.end())
    far.on('end', () => client.end())
    client.on('close', () => far.destroy())
    far.on('close', () => client.destroy())
  })
  return { ...server, port: relay.port, knownHosts: knownHostsLine('127.0.0.1', relay.port, server.hostKeys[0]) }
}

/**
 * Reads all that comes through the proxy and says by its exit code how that
 * ended. Not with node:net, which takes a reset behind data for an end.
 */
function cat (scope, proxy, port) {
  const octal = [5, 1, 0, 5, 1, 0, 1, 127, 0, 0, 1, port >> 8, port & 255].map((n) => `\\${n.toString(8).padStart(3, '0')}`).join('')
  return start(scope, 'bash', ['-c', 'exec 3<>"/dev/tcp/$0/$1"; printf "$2" >&3; head -c 1000 <&3 >/dev/null; echo flowing; cat <&3 >/dev/null', proxy.host, String(proxy.port), octal])
}

const string = (text) => {
  const length = Buffer.alloc(4)
  length.writeUInt32BE(text.length)
  return Buffer.concat([length, Buffer.from(text)])
}

const KEXINIT = 20
const NEWKEYS = 21

describe('somebody on the path', function () {
  this.timeout(60000)
  const scope = testScope()
  before(function () { needAlknet(this) })

  for (const cipher of ['aes128-gcm@openssh.com', 'chacha20-poly1305@openssh.com', 'aes256-ctr']) {
    for (const direction of ['toServer', 'toClient']) {
      for (const [where, position] of [['first', () => 1], ['middle', (n) => n >> 1], ['last', (n) => n - 1]]) {
        it(`flips a bit near the ${where} byte, ${direction}, ${cipher}`, async () => {
          let armed = false
          const flip = (chunk) => {
            if (!armed || chunk.length < 60) return chunk
            armed = false
            const changed = Buffer.from(chunk)
            changed[position(chunk.length)] ^= 0x10
            return changed
          }
          const server = await startServe(scope, { args: engineArgs })
          const path = await onPath(scope, server, { [direction]: flip })
          const client = await startConnect(scope, path, { args: ['--ciphers', cipher, ...engineArgs] })
          let wrong = 0
          const check = (chunk) => { for (const byte of chunk) if (byte !== 0x41) wrong++ }
          const echo = await listen(scope, (socket) => {
            socket.on('data', (chunk) => {
              check(chunk)
              socket.write(chunk)
            })
          })
          const stream = await socksOpen(scope, client.socks, '127.0.0.1', echo.port)
          let got = 0
          // Traffic goes on until the session is over: a changed length waits for more.
          await new Promise((resolve) => {
            const more = () => { if (!stream.destroyed) stream.write(Buffer.alloc(5000, 0x41)) }
            stream.on('data', (chunk) => {
              check(chunk)
              const before = got
              got += chunk.length
              if (before < 50000 && got >= 50000) armed = true
              more()
            })
            stream.once('end', resolve)
            stream.once('close', resolve)
            more()
            more()
            const steady = setInterval(more, 10)
            scope.defer(() => clearInterval(steady))
          })
          stream.destroy()
          assert.ok(got >= 50000 && !armed, 'nothing was changed')
          assert.strictEqual(wrong, 0, `${wrong} changed bytes came through`)
          await client.proc.waitFor(/session state=lost error=\S+\n/)
        })
      }
    }
  }

  for (const [name, extra] of [
    ['an IGNORE', packet(Buffer.concat([Buffer.from([2]), string('x')]))],
    ['a DEBUG', packet(Buffer.concat([Buffer.from([4, 0]), string('x'), string('')]))],
    ['an UNIMPLEMENTED', packet(Buffer.from([3, 0, 0, 0, 0]))]
  ]) {
    for (const direction of ['toServer', 'toClient']) {
      for (const [when, type] of [['before the KEXINIT', KEXINIT], ['before the NEWKEYS', NEWKEYS]]) {
        it(`slips in ${name} ${when}, ${direction}`, async () => {
          let slipped = 0
          let isOpen = true
          const insert = framer((piece, number) => {
            if (number !== type || slipped > 0) return piece
            slipped++
            return Buffer.concat([extra, piece])
          })
          const pass = (chunk) => {
            if (!isOpen) return chunk
            const out = insert(chunk)
            if (slipped === 0) return out
            isOpen = false
            return Buffer.concat([out, insert.rest()])
          }
          const server = await startServe(scope, { args: engineArgs })
          const path = await onPath(scope, server, { [direction]: pass })
          const { code, signal, output } = await runConnect(scope, path, { args: ['--handshake-timeout', '5', ...engineArgs] })
          assert.strictEqual(slipped, 1)
          assert.strictEqual(signal, null)
          assert.ok(code === 1 || code === 5, `exit code ${code}: ${output}`)
          assert.doesNotMatch(server.proc.output, /result=accept/)
        })
      }
    }
  }

  /** Leaves out the first packet behind NEWKEYS: with AES-GCM its length is in clear. */
  function dropper () {
    const state = { dropped: 0 }
    let rest = null
    const find = framer((piece, number) => {
      if (number === NEWKEYS) rest = Buffer.alloc(0)
      return piece
    }, () => rest !== null)
    state.pass = (chunk) => {
      if (state.dropped > 0) return chunk
      if (rest === null) {
        const out = find(chunk)
        if (rest === null) return out
        rest = find.rest()
        return Buffer.concat([out, cut()])
      }
      rest = Buffer.concat([rest, chunk])
      return cut()
    }
    const cut = () => {
      if (rest.length < 4 || rest.length < 4 + rest.readUInt32BE(0) + 16) return Buffer.alloc(0)
      state.dropped++
      return rest.subarray(4 + rest.readUInt32BE(0) + 16)
    }
    return state
  }

  for (const direction of ['toServer', 'toClient']) {
    it(`leaves out the first packet behind the new keys, ${direction}`, async () => {
      const drop = dropper()
      const server = await startServe(scope, { args: engineArgs })
      const path = await onPath(scope, server, { [direction]: drop.pass })
      const { code, signal, output } = await runConnect(scope, path,
        { args: ['--handshake-timeout', '5', '--ciphers', 'aes128-gcm@openssh.com', ...engineArgs] })
      assert.strictEqual(drop.dropped, 1)
      assert.strictEqual(signal, null)
      assert.ok(code === 1 || code === 5, `exit code ${code}: ${output}`)
      assert.doesNotMatch(server.proc.output, /result=accept/)
    })
  }

  it('takes the strict key exchange away: the exchange hash does not hold', async () => {
    // Removing the marker changes the KEXINIT, which the exchange hash covers.
    let removed = 0
    const strip = framer((piece, number) => {
      if (number !== KEXINIT) return piece
      const changed = Buffer.from(piece)
      const at = changed.indexOf('kex-strict-')
      assert.notStrictEqual(at, -1)
      changed.write('xxx', at)
      removed++
      return changed
    })
    const server = await startServe(scope, { args: engineArgs })
    const path = await onPath(scope, server, {
      toServer: (chunk) => {
        if (removed) return chunk
        const out = strip(chunk)
        return removed ? Buffer.concat([out, strip.rest()]) : out
      }
    })
    const { code } = await runConnect(scope, path, { args: ['--handshake-timeout', '5', ...engineArgs] })
    assert.strictEqual(removed, 1)
    assert.ok([1, 4, 5].includes(code), `exit code ${code}`)
  })

  it('cuts the connection: no truncated transfer looks complete', async () => {
    const server = await startServe(scope, { args: engineArgs })
    const path = await onPath(scope, server, {})
    const client = await startConnect(scope, path, { args: engineArgs })
    const source = await listen(scope, (socket) => socket.write(Buffer.alloc(8 << 20)))
    const reader = cat(scope, client.socks, source.port)
    await reader.waitFor(/flowing/)
    await server.proc.stop()
    const { code, stderr } = await reader.exited
    assert.match(stderr, /reset by peer/)
    assert.strictEqual(code, 1)
  })
})
