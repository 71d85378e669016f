'use strict'

const assert = require('assert')
const dns = require('dns')
const { fakeBinding, fakeStream, loadWith } = require('./helpers/fake-binding')
const { checkLines } = require('./helpers/log-lines')
const { nativeError } = require('../lib/errors')
const { rarely } = require('../lib/listener')

const KEY = Buffer.concat([Buffer.from([0, 0, 0, 11]), Buffer.from('ssh-ed25519'), Buffer.from([0, 0, 0, 32]), Buffer.alloc(32, 7)])
const OTHER = Buffer.concat([KEY.subarray(0, -1), Buffer.from([9])])
const LINE = `ssh-ed25519 ${KEY.toString('base64')}\n`

const { lookup } = dns
let found = [] // what every look-up finds

/** A server over a scripted addon, and what it has logged. */
async function startServer (options = {}) {
  const binding = fakeBinding()
  const [{ startServer }] = loadWith(binding, ['server-start'])
  const lines = []
  const server = await startServer({
    hostKey: Buffer.from('host key'),
    authorizedKeys: Buffer.from(LINE),
    listen: '127.0.0.1:2222',
    log: { write: (line) => lines.push(line) },
    ...options
  })
  const connect = (peer = { address: '198.51.100.7', port: 5555, family: 4 }) => {
    const stream = fakeStream()
    stream.answers.peer = peer
    binding.made.listener[0].emit('onstream', stream)
    return { stream, session: binding.made.session.at(-1), transport: stream }
  }
  const login = () => {
    const client = connect()
    client.session.emit('onauth', 'root', 'ssh-ed25519', KEY, true)
    client.session.emit('onready')
    return client
  }
  const close = async () => {
    const closing = server.close()
    for (const session of binding.made.session) session.emit('onclose', null)
    for (const listener of binding.made.listener) listener.emit('onclose')
    await closing
    checkLines(lines)
  }
  return { server, binding, lines, connect, login, close }
}

function ask (session, host, port, type = 0) {
  const channel = fakeStream('channel')
  session.emit('onchannel', channel, type, host, port, '127.0.0.1', 1)
  return channel
}

/** Asks for a name that has these addresses. */
async function askName (session, addresses) {
  found = addresses
  const channel = ask(session, 'name.example', 80)
  await new Promise(setImmediate)
  await new Promise(setImmediate)
  return channel
}

function refusals (session) {
  return session.calls.filter(([name]) => name === 'refuse').map(([, channel, reason, text]) => ({ channel, reason, text }))
}

describe('Server (scripted addon)', () => {
  let s
  before(() => { dns.lookup = (host, options, done) => setImmediate(done, null, found.map((address) => ({ address }))) })
  after(() => { dns.lookup = lookup })
  afterEach(() => s.close())

  it('says where it listens and who may come', async () => {
    s = await startServer({ authorizedKeys: undefined })
    assert.deepStrictEqual(s.server.address(), { address: '127.0.0.1', family: 4, port: 2222, transport: 'tcp' })
    assert(s.lines.some((line) => line.startsWith('WARN nobody can log in')))
    assert(s.lines.includes('INFO listening transport=tcp address=127.0.0.1 port=2222'))
  })

  it('names lines of authorized_keys that grant nothing', async () => {
    s = await startServer({ authorizedKeys: Buffer.from(`${LINE}sudo ${LINE}`) })
    assert(s.lines.includes('WARN authorized_keys line ignored source=authorizedKeys line=2 problem="the option \\"sudo\\" is not known"'), s.lines.join('\n'))
  })

  it('admits a proven key that is known, and no other', async () => {
    s = await startServer()
    const { session } = s.connect()
    session.emit('onauth', 'root', 'ssh-ed25519', OTHER, true)
    session.emit('onauth', 'root', 'ssh-ed25519', KEY, false)
    session.emit('onauth', 'root', 'ssh-ed25519', KEY, true)
    assert.deepStrictEqual(session.calls.filter(([name]) => name === 'admit'), [['admit', false], ['admit', true], ['admit', true]])
    const attempts = s.lines.filter((line) => line.includes('auth attempt'))
    assert.match(attempts[0], /^INFO auth attempt remote_addr=198\.51\.100\.7 remote_port=5555 user=root key_fingerprint=SHA256:\w+ result=reject reason=unknown_key$/)
    assert.match(attempts[1], /result=accept$/)
    assert.strictEqual(attempts.length, 2, 'asking about a known key decides nothing')
  })

  it('opens no channel for a key that was only asked about', async () => {
    s = await startServer()
    const { session } = s.connect()
    session.emit('onauth', 'root', 'ssh-ed25519', KEY, false)
    ask(session, '127.0.0.1', 80)
    assert.strictEqual(refusals(session).length, 1)
    assert.strictEqual(s.binding.made.tcp.length, 0)
  })

  it('gives the permissions of the key that signed', async () => {
    s = await startServer({ authorizedKeys: Buffer.from(`${LINE}no-port-forwarding ssh-ed25519 ${OTHER.toString('base64')}\n`) })
    const { session } = s.connect()
    session.emit('onauth', 'root', 'ssh-ed25519', KEY, false)
    session.emit('onauth', 'root', 'ssh-ed25519', OTHER, true)
    session.emit('onready')
    const channel = ask(session, '127.0.0.1', 80)
    assert.deepStrictEqual(refusals(session), [{ channel, reason: 1, text: 'this key may not forward (no-port-forwarding)' }])
  })

  it('lets nobody become somebody else after the login', async () => {
    s = await startServer({ authorizedKeys: Buffer.from(`no-port-forwarding ${LINE}ssh-ed25519 ${OTHER.toString('base64')}\n`) })
    const { session } = s.login()
    session.emit('onauth', 'root', 'ssh-ed25519', OTHER, true)
    assert.deepStrictEqual(session.calls.at(-1), ['admit', false])
    assert.strictEqual(s.server._limits.sessions, 1)
    ask(session, '127.0.0.1', 80)
    assert.strictEqual(refusals(session)[0].reason, 1)
  })

  it('closes after too many attempts, questions included', async () => {
    s = await startServer({ maxAuthAttempts: 3 })
    const { session } = s.connect()
    session.emit('onauth', 'a', 'ssh-ed25519', KEY, false)
    session.emit('onauth', 'a', 'ssh-ed25519', OTHER, false)
    assert(!session.called.includes('close'))
    session.emit('onauth', 'a', 'ssh-ed25519', OTHER, false)
    assert(session.called.includes('close'))
    const before = session.calls.length
    session.emit('onauth', 'a', 'ssh-ed25519', KEY, true)
    assert.strictEqual(session.calls.length, before, 'too late')
    session.emit('onclose', null)
    assert.match(s.lines.at(-1), /connection closed .* reason=max_auth_attempts$/)
  })

  it('lets the last attempt still be the right one', async () => {
    s = await startServer({ maxAuthAttempts: 1 })
    const { session } = s.connect()
    session.emit('onauth', 'a', 'ssh-ed25519', KEY, true)
    assert.deepStrictEqual(session.calls, [['admit', true]])
  })

  it('keeps hostile user names in their place', async () => {
    s = await startServer()
    const { session } = s.connect()
    session.emit('onauth', 'x\nINFO auth attempt remote_addr=203.0.113.9', 'ssh-ed25519', OTHER, true)
    assert(s.lines.every((line) => !line.includes('\n')))
    assert.match(s.lines.at(-1), /^INFO auth attempt remote_addr=198\.51\.100\.7 .*user="x\\x0aINFO/)
  })

  it('logs IPv4 clients of a dual-stack listener as IPv4', async () => {
    s = await startServer()
    s.connect({ address: '::ffff:198.51.100.9', port: 1, family: 6 })
    assert.strictEqual(s.lines.at(-1), 'INFO connection opened remote_addr=198.51.100.9 remote_port=1 transport=tcp')
  })

  it('turns away what is over its limits, before any SSH', async () => {
    s = await startServer({ maxConnectionsPerIp: 1 })
    s.connect()
    const { stream } = s.connect()
    assert.deepStrictEqual(stream.called, ['peer', 'close'])
    assert.strictEqual(s.binding.made.session.length, 1)
    assert.match(s.lines.at(-1), /^INFO connection rejected remote_addr=198\.51\.100\.7 .*reason=max_connections_per_ip$/)
  })

  describe('penalties', () => {
    const penalised = () => s.lines.filter((line) => line.includes('source penalised'))
    const end = (client) => client.session.emit('onclose', null)

    it('refuse a source that cannot log in, before any SSH, and nobody else', async () => {
      s = await startServer({ penalties: { min: 9 } })
      for (let i = 0; i < 2; i++) {
        assert.strictEqual(s.server.stats().refused.penalty, 0)
        const client = s.connect()
        client.session.emit('onauth', 'root', 'ssh-ed25519', OTHER, false)
        client.session.emit('onauth', 'root', 'ssh-ed25519', OTHER, false) // one penalty a connection
        end(client)
      }
      assert.match(penalised().join(), /^INFO source penalised remote_addr=198\.51\.100\.7 source=198\.51\.100\.7\/32 seconds=10 reason=auth_failed$/)
      const { stream } = s.connect()
      assert.deepStrictEqual(stream.called, ['peer', 'close'])
      assert.match(s.lines.at(-1), /^INFO connection rejected remote_addr=198\.51\.100\.7 remote_port=5555 transport=tcp reason=penalty$/)
      assert.strictEqual(s.binding.made.session.length, 2)
      s.connect({ address: '198.51.100.8', port: 1, family: 4 })
      assert.strictEqual(s.binding.made.session.length, 3)
      const { refused, rejected, penalties, accepted, penalisedSources, notedSources } = s.server.stats()
      assert.deepStrictEqual([refused.penalty, rejected.unknown_key, penalties.auth_failed, accepted, penalisedSources, notedSources], [1, 4, 2, 3, 1, 1])
    })

    it('leave the connections of a source that are there alone', async () => {
      s = await startServer({ penalties: 'min:5s' })
      const there = s.login()
      const opening = s.connect()
      const client = s.connect()
      client.session.emit('onauth', 'root', 'ssh-ed25519', OTHER, true)
      end(client)
      opening.session.emit('onauth', 'root', 'ssh-ed25519', KEY, true)
      assert.deepStrictEqual(opening.session.calls.at(-1), ['admit', true])
      assert(!there.session.called.includes('close'))
    })

    it('are counted for what was done', async () => {
      s = await startServer({ maxAuthAttempts: 2, maxSessions: 1 })
      const noted = () => ({ ...s.server.stats().penalties })
      end(s.connect())
      assert.deepStrictEqual(noted(), { auth_failed: 0, no_auth: 1, grace_exceeded: 0 })
      const many = s.connect()
      for (let i = 0; i < 2; i++) many.session.emit('onauth', 'root', 'ssh-ed25519', OTHER, false)
      assert(many.session.called.includes('close'))
      end(many)
      assert.deepStrictEqual(noted(), { auth_failed: 1, no_auth: 1, grace_exceeded: 0 })
      const asked = s.connect() // whose key is known, and who has not logged in with it
      asked.session.emit('onauth', 'root', 'ssh-ed25519', KEY, false)
      end(asked)
      assert.deepStrictEqual(noted(), { auth_failed: 2, no_auth: 1, grace_exceeded: 0 })
      const inside = s.login()
      const full = s.connect()
      full.session.emit('onauth', 'root', 'ssh-ed25519', KEY, true)
      end(full)
      end(inside)
      assert.deepStrictEqual(noted(), { auth_failed: 2, no_auth: 1, grace_exceeded: 0 }, 'a key that is known costs nothing')
    })

    it('are counted for the login grace', async () => {
      s = await startServer({ loginGrace: 1 })
      const client = s.connect()
      client.session.emit('onauth', 'root', 'ssh-ed25519', OTHER, false)
      client.session.close = () => end(client)
      await [...s.server._admission.connections][0].closed
      assert.deepStrictEqual(s.server.stats().penalties, { auth_failed: 0, no_auth: 0, grace_exceeded: 1 })
    })

    it('are not for those whom the server lets down, or ends', async () => {
      let answer = () => { throw new Error('down') }
      s = await startServer({ penalties: 'min:0', authorize: () => answer() })
      const failed = s.connect()
      failed.session.emit('onauth', 'root', 'ssh-ed25519', OTHER, true)
      end(failed)
      answer = () => new Promise(() => {})
      const waiting = s.connect()
      waiting.session.emit('onauth', 'root', 'ssh-ed25519', OTHER, true)
      const idle = s.connect()
      const closing = s.server.close()
      end(waiting)
      end(idle)
      s.binding.made.listener[0].emit('onclose')
      await closing
      assert.deepStrictEqual(s.server.stats().penalties, { auth_failed: 0, no_auth: 0, grace_exceeded: 0 })
    })

    it('have other limits after a reload, and forget nothing', async () => {
      s = await startServer()
      const fail = () => {
        const client = s.connect()
        client.session.emit('onauth', 'root', 'ssh-ed25519', OTHER, true)
        end(client)
      }
      for (let i = 0; i < 5; i++) fail()
      assert.match(s.lines.at(-1), /reason=penalty$/)
      await s.server.reloadAll({ penaltyExempt: '198.51.100.0/24' })
      s.connect()
      await s.server.reloadAll({ penaltyExempt: [] })
      const before = s.binding.made.session.length
      s.connect()
      assert.strictEqual(s.binding.made.session.length, before)
      await s.server.reloadAll({ penalties: false })
      s.connect()
      assert.strictEqual(s.binding.made.session.length, before + 1)
    })
  })

  it('takes what the engine refuses for attempts', async () => {
    s = await startServer({ maxAuthAttempts: 4 })
    const client = s.connect()
    const { session } = client
    session.emit('onauthrefused', 'root', 3, OTHER)
    assert.match(s.lines.at(-1), /^INFO auth attempt remote_addr=198\.51\.100\.7 remote_port=5555 user=root key_fingerprint=SHA256:\w+ result=reject reason=bad_signature$/)
    session.emit('onauthrefused', 'root', 2, KEY)
    assert.match(s.lines.at(-1), /reason=unsupported_key$/)
    session.emit('onauthrefused', '', 1, KEY)
    assert.match(s.lines.at(-1), / user="" key_fingerprint=\S+ result=reject reason=invalid_user$/)
    assert(!session.called.includes('close'))
    session.emit('onauthrefused', 'root', 0, null)
    assert.match(s.lines.at(-1), / user=root result=reject reason=unsupported_method$/)
    assert(session.called.includes('close'))
    session.emit('onauthrefused', 'root', 0, null)
    session.emit('onclose', null)
    const { rejected, penalties, logins } = s.server.stats()
    assert.deepStrictEqual([rejected.bad_signature, rejected.unsupported_key, rejected.invalid_user, rejected.unsupported_method], [1, 1, 1, 1])
    assert.deepStrictEqual([penalties.auth_failed, penalties.no_auth, logins], [1, 0, 0])
  })

  it('has every reason of a refused login in its stats from the start', async () => {
    s = await startServer()
    const { rejected } = s.server.stats()
    for (const reason of require('../lib/authorizer').REASONS) assert.strictEqual(rejected[reason], 0, reason)
    s.server.stats().rejected.unknown_key = 5
    assert.strictEqual(s.server.stats().rejected.unknown_key, 0, 'a copy')
  })

  it('logs a flood of refusals once a second, and how many there were', async () => {
    s = await startServer({ maxConnectionsPerIp: 1, maxUnauthenticated: 2 })
    s.connect()
    for (let i = 0; i < 1000; i++) s.connect()
    const rejected = s.lines.filter((line) => line.includes('connection rejected'))
    assert(rejected.length < 10, `${rejected.length} lines`)
    assert.strictEqual(s.server.stats().refused.max_connections_per_ip, 1000)
    s.connect({ address: '198.51.100.8', port: 1, family: 4 })
    s.connect({ address: '198.51.100.9', port: 1, family: 4 })
    assert.match(s.lines.at(-1), /reason=max_unauthenticated$/, 'another reason is not held back')
  })

  it('admits nobody when all sessions are taken, and does again later', async () => {
    s = await startServer({ maxSessions: 1 })
    const first = s.login().session
    const second = s.connect().session
    second.emit('onauth', 'root', 'ssh-ed25519', KEY, false)
    assert(!second.called.includes('close'), 'a question takes no place')
    second.emit('onauth', 'root', 'ssh-ed25519', KEY, true)
    assert.deepStrictEqual(second.calls.slice(1), [['close', 12, 'too many sessions']])
    assert.match(s.lines.at(-1), /result=reject reason=max_sessions$/)
    second.emit('onclose', null)
    first.emit('onclose', null)
    const third = s.login().session
    assert.deepStrictEqual(third.calls, [['admit', true], ['received']])
  })

  it('keeps the place of who has shown a key that is known, or waits for authorize()', async () => {
    const answers = []
    const all = { maxUnauthenticated: 2, evictAfterMs: 100, evictSilentAfterMs: 100 }
    s = await startServer({ ...all, authorize: () => new Promise((resolve) => answers.push(resolve)) })
    const favoured = () => s.server._limits._favoured.size
    const first = s.connect().session
    first.emit('onauth', 'root', 'ssh-ed25519', OTHER, false)
    assert.strictEqual(favoured(), 0, 'nobody knows that key, whatever it is told')
    first.emit('onauth', 'root', 'ssh-ed25519', OTHER, true)
    assert.strictEqual(favoured(), 1)
    answers.pop()(false)
    await new Promise(setImmediate)
    assert.strictEqual(favoured(), 0)
    first.emit('onauth', 'root', 'ssh-ed25519', KEY, false)
    assert.strictEqual(favoured(), 1)
    first.emit('onauth', 'root', 'ssh-ed25519', KEY, true)
    answers.pop()(true)
    await new Promise(setImmediate)
    assert.deepStrictEqual([favoured(), s.server.stats().sessions], [0, 1])
    await s.server.reloadAll({ authorize: undefined })
    const second = s.connect().session
    second.emit('onauth', 'root', 'ssh-ed25519', OTHER, false)
    assert.strictEqual(favoured(), 0)
    second.emit('onauth', 'root', 'ssh-ed25519', KEY, false)
    assert.strictEqual(favoured(), 1)
    second.emit('onclose', null)
    assert.strictEqual(favoured(), 0)
  })

  it('has the channel connected to its target', async () => {
    s = await startServer({ connectTimeout: 7 })
    const { session } = s.login()
    const channel = ask(session, '127.0.0.1', 80)
    assert.deepStrictEqual(channel.calls, [['connect', '127.0.0.1', 80, 7000]])
    assert(!session.called.includes('accept'))
    assert.strictEqual(refusals(session).length, 0)
  })

  it('tries several addresses, then confirms, then joins', async () => {
    s = await startServer()
    const { session } = s.login()
    const channel = await askName(session, ['127.0.0.1', '127.0.0.2', '169.254.169.254'])
    const [first] = s.binding.made.tcp
    assert.deepStrictEqual(first.target, { address: '127.0.0.1', port: 80 })
    first.emit('onclose', null)
    const second = s.binding.made.tcp[1]
    assert.deepStrictEqual(second.target, { address: '127.0.0.2', port: 80 })
    assert(!session.called.includes('accept'))
    second.emit('onopen')
    assert.deepStrictEqual(session.calls.at(-1), ['accept', channel])
    assert.deepStrictEqual([s.binding.made.relay[0].a, s.binding.made.relay[0].b], [channel, second])
    assert.strictEqual(s.binding.made.tcp.length, 2) // never the third
  })

  it('gives up several addresses when the client does', async () => {
    s = await startServer()
    const { session } = s.login()
    const channel = await askName(session, ['127.0.0.1', '127.0.0.2'])
    channel.emit('onclose', null)
    assert.deepStrictEqual(s.binding.made.tcp[0].called, ['close'])
    s.binding.made.tcp[0].emit('onopen')
    assert(!session.called.includes('accept'))
    assert.strictEqual(refusals(session).length, 0)
  })

  it('says why a target cannot be reached', async () => {
    s = await startServer()
    const { session } = s.login()
    const channel = ask(session, '127.0.0.1', 80)
    channel.emit('onrefused', nativeError('ERR_ALKNET_SYS', 'system', 'ECONNREFUSED', -111, 0, 'x'))
    assert.deepStrictEqual(refusals(session), [{ channel, reason: 2, text: 'Connection refused' }])
    const late = ask(session, '127.0.0.1', 80)
    late.emit('onrefused', nativeError('ERR_ALKNET_TIMEOUT', 'timeout', null, 0, 0, 'x'))
    assert.deepStrictEqual(refusals(session)[1], { channel: late, reason: 2, text: 'Connection timed out' })
  })

  it('denies what the policy denies, and itself', async () => {
    s = await startServer()
    const { session } = s.login()
    for (const [host, port] of [['169.254.169.254', 80], ['127.0.0.1', 2222], ['0.0.0.0', 80], ['::ffff:169.254.169.254', 80]]) {
      assert.deepStrictEqual(ask(session, host, port).calls, [])
    }
    assert.deepStrictEqual(refusals(session).map((one) => one.reason), [1, 1, 1, 1])
  })

  it('refuses what is no target', async () => {
    s = await startServer()
    const { session } = s.login()
    for (const host of ['', '-x', 'a b', '$(id)', 'a\nb', 'x'.repeat(256)]) ask(session, host, 80)
    ask(session, '127.0.0.1', 0)
    assert.deepStrictEqual(refusals(session).map((one) => one.reason), Array(7).fill(2))
    for (const type of [1, 2, 3]) ask(session, '/tmp/x', 0, type)
    assert.deepStrictEqual(refusals(session).slice(7).map((one) => one.reason), [1, 1, 1])
    assert.match(refusals(session)[8].text, /Unix sockets are denied by default/)
    assert.strictEqual(s.binding.made.tcp.length + s.binding.made.unix.length, 0)
  })

  it('gives up when the client does', async () => {
    s = await startServer()
    const { session } = s.login()
    const channel = ask(session, '127.0.0.1', 80)
    channel.emit('onclose', null)
    assert.strictEqual(refusals(session).length, 0)
  })

  it('counts channels until both sides are closed', async () => {
    s = await startServer({ maxChannels: 2 })
    const { session } = s.login()
    const first = ask(session, '127.0.0.1', 80)
    await askName(session, ['127.0.0.1', '127.0.0.2'])
    ask(session, '127.0.0.1', 80)
    assert.deepStrictEqual(refusals(session).map((one) => one.reason), [4])
    s.binding.made.tcp[0].emit('onopen')
    ask(session, '127.0.0.1', 80)
    assert.strictEqual(refusals(session).length, 2)
    s.binding.made.relay[0].emit('onclose', null, 1, 1)
    first.emit('onclose', null)
    ask(session, '127.0.0.1', 80)
    ask(session, '127.0.0.1', 80)
    assert.strictEqual(refusals(session).length, 2)
  })

  it('never resolves a reserved name', async () => {
    s = await startServer()
    const { session } = s.login()
    for (const host of ['alknet-control', 'ALKNET-control', 'alknet-x.example.com', 'ａｌｋｎｅｔ-x', 'alk\u00adnet-x', 'Ⓐlknet-x。example']) ask(session, host, 80)
    assert.deepStrictEqual(refusals(session).map((one) => one.text), Array(6).fill('nobody serves this here'))
    assert.strictEqual(s.binding.made.tcp.length, 0)
  })

  it('hands reserved destinations to who serves them', async () => {
    const served = []
    s = await startServer({ onConnection: (stream, info) => served.push({ stream, info }) })
    const { session } = s.login()
    const channel = ask(session, 'alknet-control', 0)
    assert.deepStrictEqual(session.calls.at(-1), ['accept', channel])
    assert.strictEqual(served.length, 0)
    channel.emit('onopen')
    assert.deepStrictEqual(served[0].info, {
      identity: { id: `SHA256:${KEY.toString('hex')}`, scopes: [], resources: {} },
      user: 'root',
      remoteAddress: '198.51.100.7',
      remotePort: 5555,
      transport: 'tcp',
      destination: 'alknet-control:0'
    })
    channel.emit('onclose', null)
  })

  it('lets no restricted key have a reserved destination', async () => {
    s = await startServer({ authorizedKeys: Buffer.from(`permitopen="db:1" ${LINE}`), onConnection: assert.fail })
    const { session } = s.login()
    ask(session, 'alknet-control', 0)
    assert.strictEqual(refusals(session)[0].reason, 1)
  })

  it('logs no destination, at no level', async () => {
    s = await startServer({ log: { level: 'debug', write: (line) => s?.lines.push(line) } })
    const { session } = s.login()
    ask(session, '169.254.169.254', 4711)
    const channel = ask(session, '127.0.0.1', 4712)
    channel.emit('onrefused', nativeError('ERR_ALKNET_SYS', 'system', 'ECONNREFUSED', -111, 0, 'connect 169.254.169.254:4712'))
    ask(session, 'alknet-secret', 4713)
    assert.doesNotMatch(s.lines.join('\n'), /169\.254|471[123]|secret/)
  })

  it('drains, then closes', async () => {
    s = await startServer()
    const busy = s.login().session
    const idle = s.login().session
    const channel = ask(busy, '127.0.0.1', 80)
    const closing = s.server.close({ drainMs: 3_600_000 })
    assert(idle.called.includes('close'))
    assert(!busy.called.includes('close'))
    channel.emit('onclose', null)
    assert(busy.called.includes('close'))
    for (const session of s.binding.made.session) session.emit('onclose', null)
    s.binding.made.listener[0].emit('onclose')
    await closing
    assert.strictEqual(s.server.connections, 0)
  })

  it('takes over keys, policy and limits at once, for old sessions too', async () => {
    s = await startServer()
    const { session } = s.login()
    ask(session, '127.0.0.1', 80)
    assert.strictEqual(refusals(session).length, 0)
    await s.server.reloadAll({
      authorizedKeys: Buffer.from(`ssh-ed25519 ${OTHER.toString('base64')}\n`),
      forwarding: { rules: ['deny loopback'] },
      maxConnectionsPerIp: 1,
      maxChannels: 2
    })
    ask(session, '127.0.0.1', 80)
    assert.deepStrictEqual(refusals(session).map((one) => one.text), ['denied by a rule of the server (the operator can allow it with --allow, before that rule)'])
    ask(session, '192.0.2.1', 80)
    ask(session, '192.0.2.1', 80)
    assert.strictEqual(refusals(session).at(-1).reason, 4, 'the third open channel')
    assert.deepStrictEqual(s.connect().stream.called, ['peer', 'close'], 'the second connection of that address')
    const { session: next } = s.connect({ address: '198.51.100.8', port: 1, family: 4 })
    next.emit('onauth', 'a', 'ssh-ed25519', KEY, true)
    next.emit('onauth', 'a', 'ssh-ed25519', OTHER, true)
    assert.deepStrictEqual(next.calls, [['admit', false], ['admit', true]])
    assert.strictEqual(s.lines.filter((line) => line === 'INFO reloaded').length, 1)
  })

  it('takes over all or nothing', async () => {
    s = await startServer({ forwarding: { rules: ['deny 192.0.2.0/24:*'] }, maxChannels: 5 })
    const { session } = s.login()
    const wrong = [
      { forwarding: { rules: ['deny 127.1:*'] }, maxChannels: 1 },
      { forwarding: { rules: [] }, authorizedKeys: '/nonexistent/authorized_keys' },
      { maxChannels: 1, maxSessions: -1 },
      { forwarding: { rules: [] }, noSuchOption: 1 },
      () => { throw new Error('no file') },
      async () => ({ hostKey: 'x', forwarding: {}, maxChannels: 0 })
    ]
    for (const changes of wrong) await assert.rejects(s.server.reloadAll(changes))
    assert.strictEqual(s.lines.filter((line) => line.startsWith('ERROR not reloaded')).length, wrong.length)
    assert.match(s.lines.at(-1), /problem="maxChannels: must be a whole number/)
    ask(session, '192.0.2.1', 80)
    for (let i = 0; i < 5; i++) ask(session, '127.0.0.1', 80)
    ask(session, '127.0.0.1', 80)
    assert.deepStrictEqual(refusals(session).map((one) => one.reason), [1, 4])
    const { session: next } = s.connect()
    next.emit('onauth', 'a', 'ssh-ed25519', KEY, true)
    assert.deepStrictEqual(next.calls, [['admit', true]])
  })

  it('keeps what a change does not name; a function gives everything', async () => {
    s = await startServer({ forwarding: { rules: ['deny loopback'] }, maxSessions: 1 })
    await s.server.reloadAll({ maxChannels: 3 })
    assert.strictEqual(s.server._options.maxSessions, 1)
    const { session } = s.login()
    ask(session, '127.0.0.1', 80)
    assert.strictEqual(refusals(session).length, 1)
    await s.server.reloadAll(() => ({ hostKey: Buffer.from('host key'), authorizedKeys: Buffer.from(LINE), listen: '127.0.0.1:2222' }))
    assert.strictEqual(s.server._options.maxSessions, 0)
    ask(session, '127.0.0.1', 80)
    assert.strictEqual(refusals(session).length, 1)
    assert(!s.lines.some((line) => line.includes('needs a new start')), 'nothing else has changed')
  })

  it('takes what changes have from a class, and nothing that came into the options after the call', async () => {
    const forwarding = { default: 'deny' }
    const starting = startServer({ forwarding })
    forwarding.default = 'allow'
    s = await starting
    const denies = () => assert.strictEqual(s.server._options.forwarding.default, 'deny')
    await s.server.reloadAll({ maxChannels: 3 })
    denies()
    class Base { get forwarding () { return { default: 'deny' } } get maxChannels () { return 4 } }
    class All extends Base { hostKey = Buffer.from('host key') }
    for (const changes of [new Base(), () => new All()]) {
      await s.server.reloadAll({ forwarding: {}, maxChannels: 5 })
      await s.server.reloadAll(changes)
      denies()
      assert.strictEqual(s.server._options.maxChannels, 4)
    }
    await assert.rejects(s.server.reloadAll(() => Object.assign(new All(), { maxChanels: 1 })), { option: 'maxChanels' })
  })

  it('names what needs a new start, and leaves it', async () => {
    s = await startServer()
    await s.server.reloadAll({ listen: '127.0.0.1:3333', hostKey: 'other', maxChannels: 1 })
    assert.deepStrictEqual(s.lines.filter((line) => line.includes('new start')), ['WARN needs a new start option=hostKey', 'WARN needs a new start option=listen'])
    assert.deepStrictEqual(s.server._options.listen, [{ address: '127.0.0.1', port: 2222 }])
    assert.strictEqual(s.server._options.maxChannels, 1)
  })

  it('lets the last of several reloads win', async () => {
    s = await startServer()
    let give
    const slow = s.server.reloadAll(() => new Promise((resolve) => { give = resolve }))
    const quick = s.server.reloadAll({ maxChannels: 7 })
    await new Promise((resolve) => setImmediate(resolve))
    give({ hostKey: Buffer.from('host key'), maxChannels: 3 })
    await Promise.all([slow, quick])
    assert.strictEqual(s.server._options.maxChannels, 7)
  })

  it('lets the policy decide that stood there when the channel opened', async () => {
    const dns = require('dns')
    const { lookup } = dns
    let answer
    dns.lookup = (name, options, done) => { answer = () => done(null, [{ address: '127.0.0.1', family: 4 }]) }
    try {
      s = await startServer()
      const { session } = s.login()
      const channel = ask(session, 'slow.example', 80)
      await s.server.reloadAll({ forwarding: { rules: ['deny loopback'] } })
      answer()
      assert.deepStrictEqual(channel.calls.find(([name]) => name === 'connect')?.[1], '127.0.0.1')
      assert.strictEqual(refusals(session).length, 0)
    } finally {
      dns.lookup = lookup
    }
  })

  it('gives everybody a copy of the identity that nobody can change', async () => {
    s = await startServer({ onConnection: (stream, info) => assert.throws(() => info.identity.scopes.push('root'), TypeError) })
    const infos = []
    s.server.on('auth', (info) => infos.push(info))
    s.login()
    assert(Object.isFrozen(infos[0].identity))
  })

  it('keeps the old keys when the new ones cannot be read', async () => {
    s = await startServer()
    s.server._options.authorizedKeys = ['/nonexistent/authorized_keys']
    await assert.rejects(s.server.reloadAuth(), { code: 'ENOENT' })
    const { session } = s.connect()
    session.emit('onauth', 'a', 'ssh-ed25519', KEY, true)
    assert.deepStrictEqual(session.calls, [['admit', true]])
    assert(s.lines.some((line) => line.startsWith('ERROR authorized_keys not reloaded')))
  })
})

describe('lines that come too often', () => {
  it('are left out, and counted', () => {
    let now = 5000
    const lines = []
    const log = { warn: (event, fields) => lines.push([event, fields]) }
    const warn = rarely(log, 'warn', { now: () => now })
    for (let i = 0; i < 3; i++) warn('a', { reason: 'x', n: i })
    warn('a', { reason: 'y' })
    warn('b', {})
    now += 999
    warn('a', { reason: 'x', n: 3 })
    now += 1
    warn('a', { reason: 'x', n: 4 })
    now += 1000
    warn('a', { reason: 'x', n: 5 })
    assert.deepStrictEqual(lines, [
      ['a', { reason: 'x', n: 0 }], ['a', { reason: 'y' }], ['b', {}],
      ['a', { reason: 'x', n: 4, suppressed: 3 }], ['a', { reason: 'x', n: 5 }]
    ])
  })

  it('may come together, so many of them, and again when it was silent for as long', () => {
    let now = 5000
    const lines = []
    const note = rarely({ info: (event, { suppressed }) => lines.push(suppressed) }, 'info', { burst: 3, now: () => now })
    const flood = () => {
      for (let i = 0; i < 5; i++) note('a', {})
      return lines.splice(0)
    }
    assert.deepStrictEqual(flood(), [undefined, undefined, undefined])
    now += 1000
    assert.deepStrictEqual(flood(), [2])
    now += 2000
    assert.deepStrictEqual(flood(), [4, undefined])
    now += 3_600_000
    assert.deepStrictEqual(flood(), [3, undefined, undefined])
  })
})

describe('Server: Unix sockets (scripted addon)', () => {
  let s
  beforeEach(async () => { s = await startServer({ forwarding: { rules: ['allow unix:/run/app/*'] } }) })
  afterEach(() => s.close())

  it('connects to a path that a rule allows, then confirms', () => {
    const { session } = s.login()
    const channel = ask(session, '/run/app/x.sock', 0, 2)
    const [target] = s.binding.made.unix
    assert.deepStrictEqual(target.target, { path: '/run/app/x.sock' })
    assert(!session.called.includes('accept'))
    target.emit('onopen')
    assert.deepStrictEqual(session.calls.at(-1), ['accept', channel])
    assert.deepStrictEqual([s.binding.made.relay[0].a, s.binding.made.relay[0].b], [channel, target])
  })

  it('says why it cannot', () => {
    const { session } = s.login()
    const channel = ask(session, '/run/app/x.sock', 0, 2)
    s.binding.made.unix[0].emit('onclose', nativeError('ERR_ALKNET_SYS', 'system', 'ECONNREFUSED', -111, 0, 'x'))
    assert.deepStrictEqual(refusals(session), [{ channel, reason: 2, text: 'Connection refused' }])
  })

  it('has a limit for that, and gives up when the client does', async () => {
    await s.server.reloadAll({ connectTimeout: 1 })
    const { session } = s.login()
    const late = ask(session, '/run/app/x.sock', 0, 2)
    ask(session, '/run/app/x.sock', 0, 2).emit('onclose', null)
    assert.deepStrictEqual(s.binding.made.unix[1].called, ['close'])
    await new Promise((resolve) => {
      const { refuse } = session
      session.refuse = (...args) => resolve(refuse(...args))
    })
    assert.deepStrictEqual(refusals(session), [{ channel: late, reason: 2, text: 'Connection timed out' }])
    assert.deepStrictEqual(s.binding.made.unix[0].called, ['close'])
  })

  it('denies every other path, however it is spelled', () => {
    const { session } = s.login()
    const paths = ['/run/app', '/run/app/', '/run/app/../x', '/run/app/./x', '/run//app/x', '//run/app/x', '/run/app/x/y', 'run/app/x', '', '/', '/run/app/a\0b', `/run/app/${'a'.repeat(100)}`]
    for (const path of paths) ask(session, path, 0, 2)
    assert.deepStrictEqual(refusals(session).map((one) => one.reason), paths.map(() => 1))
    assert.strictEqual(s.binding.made.unix.length, 0)
  })
})

describe('Server: listening for clients (scripted addon)', () => {
  let s
  afterEach(() => s.close())

  const answers = (session) => session.calls.filter(([name]) => name === 'answer').map(([, ...rest]) => rest)
  const ours = () => s.binding.made.listener.slice(1)

  /** Asks, and gives the answer: [yes, port]. */
  async function want (session, host, port, { event = 'onlisten', isLocal = false } = {}) {
    const before = answers(session).length
    session.emit(event, before + 1, isLocal, host, port)
    while (answers(session).length === before) await new Promise(setImmediate)
    const [request, ...answer] = answers(session).at(-1)
    assert.strictEqual(request, before + 1)
    return answer
  }

  /** Two identities may log in. */
  const start = (options) => startServer({ authorizedKeys: Buffer.from(`${LINE}ssh-ed25519 ${OTHER.toString('base64')}\n`), ...options })

  function loginAs (key) {
    const client = s.connect()
    client.session.emit('onauth', 'root', 'ssh-ed25519', key, true)
    client.session.emit('onready')
    return client.session
  }

  /** The system's no, as the addon tells it. */
  const refusing = (code, when) => {
    const { listenTcp } = s.binding
    s.binding.listenTcp = (address, port) => {
      if (when(address, port)) throw nativeError('ERR_ALKNET_SYS', 'system', code, -1, 0, 'x')
      return listenTcp(address, port)
    }
  }

  it('turns the events on', async () => {
    s = await start()
    assert.strictEqual(s.connect().session.options.listens, true)
  })

  it('listens on both loopbacks for localhost, on one port', async () => {
    s = await start()
    const { session } = s.login()
    assert.deepStrictEqual(await want(session, 'localhost', 0), [true, 41000])
    assert.deepStrictEqual(ours().map((one) => one.answers.address.address), ['127.0.0.1', '::1'])
    assert.deepStrictEqual(ours().map((one) => one.answers.address.port), [41000, 41000])
    assert.deepStrictEqual(await want(session, '127.0.0.1', 8080), [true, 8080])
    assert(s.lines.some((line) => /^INFO remote forward opened remote_addr=198\.51\.100\.7 remote_port=5555 address=127\.0\.0\.1 port=8080$/.test(line)), s.lines.join('\n'))
  })

  it('opens a channel for each connection, under the name that the client gave the place', async () => {
    s = await start()
    const { session } = s.login()
    await want(session, 'localhost', 0)
    const stream = fakeStream()
    ours()[1].emit('onstream', stream)
    const [channel] = session.opened
    assert.deepStrictEqual(channel.target, { type: 1, host: 'localhost', port: 41000 })
    const [relay] = s.binding.made.relay
    assert.deepStrictEqual([relay.a, relay.b, relay.ms], [stream, channel, 20_000])
  })

  it('gives the client connectTimeout to take a connection, and forgets it when it did not', async () => {
    s = await start({ connectTimeout: 1, maxChannels: 1 })
    const { session } = s.login()
    await want(session, '127.0.0.1', 8080)
    ours()[0].emit('onstream', fakeStream())
    const [relay] = s.binding.made.relay
    assert.strictEqual(relay.ms, 1000)
    relay.emit('onclose', nativeError('ERR_ALKNET_TIMEOUT', 'channel', null, 0, 0, 'x'))
    ours()[0].emit('onstream', fakeStream()) // it is no longer counted
    assert.strictEqual(s.binding.made.relay.length, 2)
  })

  it('counts them against maxChannels', async () => {
    s = await start({ maxChannels: 1 })
    const { session } = s.login()
    await want(session, '127.0.0.1', 8080)
    const [first, second, third] = [fakeStream(), fakeStream(), fakeStream()]
    ours()[0].emit('onstream', first)
    ours()[0].emit('onstream', second)
    assert.deepStrictEqual(second.called, ['peer', 'close'])
    ask(session, '127.0.0.1', 80)
    assert.strictEqual(refusals(session)[0].reason, 4)
    session.opened[0].emit('onopen')
    s.binding.made.relay[0].emit('onclose', null)
    ours()[0].emit('onstream', third)
    assert.strictEqual(session.opened.length, 2)
  })

  it('stops when the client cancels, and only what is the client\'s', async () => {
    s = await start()
    const [mine, other] = [loginAs(KEY), loginAs(OTHER)]
    await want(mine, 'localhost', 0)
    assert.deepStrictEqual(await want(other, 'localhost', 41000, { event: 'onunlisten' }), [false, 0])
    for (const [host, port] of [['localhost', 0], ['127.0.0.1', 41000]]) {
      assert.deepStrictEqual(await want(mine, host, port, { event: 'onunlisten' }), [false, 0])
    }
    assert(!ours().some((one) => one.called.includes('close')))
    assert.deepStrictEqual(await want(mine, 'localhost', 41000, { event: 'onunlisten' }), [true, 0])
    assert.deepStrictEqual(ours().map((one) => one.called.at(-1)), ['close', 'close'])
    assert.deepStrictEqual(await want(mine, 'localhost', 41000, { event: 'onunlisten' }), [false, 0])
    assert.strictEqual(s.lines.filter((line) => line.startsWith('INFO remote forward closed')).length, 2)
  })

  it('listens where the policy permits it, and nowhere else', async () => {
    s = await start({ authorizedKeys: Buffer.from(`permitlisten="localhost:9000" ${LINE}no-port-forwarding ssh-ed25519 ${OTHER.toString('base64')}\n`) })
    const [some, none] = [loginAs(KEY), loginAs(OTHER)]
    for (const [host, port] of [['', 9000], ['0.0.0.0', 9000], ['localhost', 80], ['localhost', 9001], ['192.0.2.1', 9000], ['name.example', 9000]]) {
      assert.deepStrictEqual(await want(some, host, port), [false, 0], host)
    }
    assert.deepStrictEqual(await want(none, 'localhost', 9000), [false, 0])
    assert.deepStrictEqual(await want(some, '/tmp/x.sock', 0, { isLocal: true }), [false, 0])
    assert.strictEqual(ours().length, 0)
    assert.deepStrictEqual(await want(some, 'localhost', 9000), [true, 9000])
  })

  it('gives nobody the places of its own', async () => {
    s = await start({ forwarding: { permitListen: ['*:*'] } })
    const { session } = s.login()
    for (const host of ['127.0.0.1', '0.0.0.0', '', 'localhost', '::ffff:127.0.0.1']) assert.deepStrictEqual(await want(session, host, 2222), [false, 0], host)
    assert.deepStrictEqual(await want(session, '::1', 2222), [true, 2222])
  })

  it('has a limit for each session', async () => {
    s = await start({ maxRemoteForwards: 2 })
    const [session, other] = [loginAs(KEY), loginAs(OTHER)]
    for (const i of [1, 2, 3]) session.emit('onlisten', i, false, '127.0.0.1', 8000 + i) // before one is answered
    while (answers(session).length < 3) await new Promise(setImmediate)
    assert.deepStrictEqual(answers(session), [[1, true, 8001], [2, true, 8002], [3, false, 0]])
    assert.deepStrictEqual(await want(other, '127.0.0.1', 8003), [true, 8003])
    await want(session, '127.0.0.1', 8001, { event: 'onunlisten' })
    assert.deepStrictEqual(await want(session, '127.0.0.1', 8004), [true, 8004])
  })

  describe('a place that a session of the same identity has', () => {
    // What a client answers to a question, or not; the addon's number of each is its place from 1.
    function asked (session, answers = true) {
      let questions = 0
      session.ping = () => {
        const id = ++questions
        if (answers) setImmediate(() => session.emit('onreply', id, true, 0))
        return id
      }
      return () => questions
    }

    const closes = () => ours().map((one) => one.called.includes('close'))

    it('is not given away while that one answers, and nobody else is asked', async () => {
      s = await start()
      const [old, other, next] = [loginAs(KEY), loginAs(OTHER), loginAs(KEY)]
      const questions = asked(old)
      await want(old, 'localhost', 8080)
      assert.deepStrictEqual(await want(old, '127.0.0.1', 8080), [false, 0], 'it has it')
      assert.deepStrictEqual(await want(other, '127.0.0.1', 8080), [false, 0])
      assert.strictEqual(questions(), 0)
      assert.deepStrictEqual(await want(next, '127.0.0.1', 8080), [false, 0])
      assert.deepStrictEqual([questions(), closes()], [1, [false, false]])
      assert(s.lines.some((line) => /^INFO remote forward refused .*reason=in_use( suppressed=\d+)?$/.test(line)))
    })

    it('is the new one\'s when there was no answer in time, and the old one ends', async () => {
      s = await start({ takeoverTimeout: 1 })
      const old = loginAs(KEY)
      asked(old, false)
      await want(old, 'localhost', 8080)
      await want(old, '127.0.0.1', 9090)
      const next = loginAs(KEY)
      assert.deepStrictEqual(await want(next, 'localhost', 8080), [true, 8080])
      assert.deepStrictEqual(closes(), [true, true, true, false, false], 'with all that it had')
      assert.deepStrictEqual(old.calls.at(-1), ['close', 11, 'another session of this client took its place'])
      old.emit('onclose', null)
      assert.match(s.lines.at(-1), /^INFO connection closed .*reason=taken_over$/)
      assert.deepStrictEqual(await want(next, '127.0.0.1', 9090), [true, 9090], 'nobody is asked again')
    })

    it('is not taken by somebody with the same key and another name', async () => {
      s = await start()
      const old = loginAs(KEY)
      const questions = asked(old, false)
      await want(old, 'localhost', 8080)
      const { session } = s.connect()
      session.emit('onauth', 'somebody', 'ssh-ed25519', KEY, true)
      session.emit('onready')
      assert.deepStrictEqual(await want(session, 'localhost', 8080), [false, 0])
      assert.strictEqual(questions(), 0)
    })
  })

  it('logs a client that opens and closes its forwards in a loop once a second, in one session or in many', async () => {
    s = await start({ maxRemoteForwards: 2 })
    const flood = async () => {
      const session = loginAs(KEY)
      for (let i = 0; i < 20; i++) {
        await want(session, '127.0.0.1', 8080)
        await want(session, '127.0.0.1', 8080, { event: 'onunlisten' })
        await want(session, '127.0.0.1', 80)
      }
      session.emit('onclose', null)
    }
    await flood()
    await flood()
    const count = (event) => s.lines.filter((line) => line.startsWith(`INFO remote forward ${event} `)).length
    for (const event of ['opened', 'closed', 'refused']) assert(count(event) >= 4 && count(event) < 20, `${event}: ${count(event)}`)
    await want(loginAs(OTHER), '127.0.0.1', 8080)
    assert.match(s.lines.at(-1), /^INFO remote forward opened [^=]*remote_addr=\S+ remote_port=5555 address=127\.0\.0\.1 port=8080$/, 'others are heard')
  })

  it('does with one family where there is only one, and with none where another has the port', async () => {
    s = await start()
    refusing('EADDRNOTAVAIL', (address) => address === '::1')
    const { session } = s.login()
    assert.deepStrictEqual(await want(session, 'localhost', 8080), [true, 8080])
    assert.deepStrictEqual(await want(session, '::1', 8081), [false, 0])
    refusing('EADDRINUSE', (address, port) => address === '::1' && port === 8082)
    assert.deepStrictEqual(await want(session, 'localhost', 8082), [false, 0])
    assert.strictEqual(ours().at(-1).called.at(-1), 'close')
  })

  it('looks for another free port when the other family has not the first', async () => {
    s = await start()
    let tries = 0
    refusing('EADDRINUSE', (address) => address === '::1' && ++tries < 3)
    const { session } = s.login()
    assert.deepStrictEqual(await want(session, 'localhost', 0), [true, 41000])
    tries = -100
    assert.deepStrictEqual(await want(session, 'localhost', 0), [false, 0], 'not for ever')
    assert.deepStrictEqual(ours().map((one) => one.called.includes('close')), [true, true, false, false, ...Array(10).fill(true)])
  })

  it('answers no when the system does, and goes on', async () => {
    s = await start({ log: { level: 'debug', write: (line) => s?.lines.push(line) } })
    refusing('EACCES', (address, port) => port === 8080)
    const { session } = s.login()
    assert.deepStrictEqual(await want(session, '127.0.0.1', 8080), [false, 0])
    assert(s.lines.some((line) => /^INFO remote forward refused .*reason=EACCES$/.test(line)))
    assert.deepStrictEqual(await want(session, '127.0.0.1', 8081), [true, 8081])
  })

  it('listens on Unix sockets that a rule permits', async () => {
    s = await start({ forwarding: { permitListen: ['unix:/run/app/*'] } })
    const { session } = s.login()
    assert.deepStrictEqual(await want(session, '/run/app/x.sock', 0, { isLocal: true }), [true, 0])
    for (const path of ['/run/x.sock', '/run/app/../x.sock', '/run/app/y/x.sock']) assert.deepStrictEqual(await want(session, path, 0, { isLocal: true }), [false, 0])
    assert.deepStrictEqual(ours()[0].answers.address, { path: '/run/app/x.sock' })
    const stream = fakeStream('pipe')
    stream.answers.peer = null
    ours()[0].emit('onstream', stream)
    assert.deepStrictEqual(session.opened[0].target, { type: 3, host: '/run/app/x.sock', port: 0 })
    assert.deepStrictEqual(await want(session, '/run/app/x.sock', 0, { isLocal: true, event: 'onunlisten' }), [true, 0])
    assert.strictEqual(ours()[0].called.at(-1), 'close')
  })

  it('ends with the session', async () => {
    s = await start()
    const lost = loginAs(KEY)
    await want(lost, '127.0.0.1', 8080)
    lost.emit('onclose', nativeError('ERR_ALKNET_LOST', 'session', null, 0, 0, 'x'))
    assert.strictEqual(ours()[0].called.at(-1), 'close')
    assert.deepStrictEqual(await want(loginAs(OTHER), '127.0.0.1', 8080), [true, 8080], 'the place is free')
  })

  it('ends when the server drains, before the connections do', async () => {
    s = await start()
    const { session } = s.login()
    await want(session, '127.0.0.1', 8080)
    ours()[0].emit('onstream', fakeStream())
    session.opened[0].emit('onopen')
    const closing = s.server.close({ drainMs: 3_600_000 })
    assert.strictEqual(ours()[0].called.at(-1), 'close')
    assert(!session.called.includes('close'))
    assert.deepStrictEqual(await want(session, '127.0.0.1', 8081), [false, 0])
    s.binding.made.relay[0].emit('onclose', null)
    assert(session.called.includes('close'))
    session.emit('onclose', null)
    s.binding.made.listener[0].emit('onclose')
    await closing
  })
})
