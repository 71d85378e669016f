'use strict'

/**
 * Names, in a world of their own: an answer that changes between two look-ups
 * gets nobody to a denied address; the client looks up no target; alknet-*
 * reaches no resolver. Nothing here touches the machine's own resolver.
 */

const assert = require('node:assert')
const net = require('node:net')
const path = require('node:path')
const { engineOf, needAlknet } = require('../helpers/alknet')
const { closed } = require('../helpers/net')
const { sshArgs } = require('../helpers/openssh')
const { need } = require('../helpers/proc')
const { suiteScope, testScope } = require('../helpers/scope')
const { needWorld, startWorld } = require('../helpers/world')

const PORT = 80
const GOOD = '192.0.2.1'
const OTHER = '192.0.2.2'
const RULED = '192.0.2.3' // denied by a rule of the operator
const CLOSED = '192.0.2.4' // nobody listens there
const METADATA = '169.254.169.254'
const METADATA6 = 'fd00:ec2::254'
const MAPPED = '::ffff:a9fe:a9fe' // METADATA again

const SAID = 0 // SOCKS replies
const DENIED = 2
const REFUSED = 5

const ALKNET_NAMES = [
  'alknet-control', 'ALKNET-control', 'Alknet-Control', 'aLkNeT-x', 'alknet-', 'alknet-control.', 'ALKNET-X.',
  'alknet-x.corp.test', 'alknet-x.corp.test.', 'alknet-nobody'
]
// What only a SOCKS client can spell; a resolver might read them as one of those.
const ODD_NAMES = [
  '\uff41lknet-control', 'alk\u00adnet-control', 'alknet\uff0dcontrol', 'ALKNE\u0054-\u212a', ' alknet-x', 'alknet-x ',
  'alknet-\u00e9', 'alknet-x..', 'alknet-x\0.test', 'alknet-a_b', '.alknet-x'
]

/** A name as zones and hosts files have it. */
const plain = (name) => name.toLowerCase().replace(/\.$/, '')

/** A world with targets at all of these addresses, those that are denied too. */
async function worldWithTargets (scope, options) {
  const world = await startWorld(scope, { addresses6: [METADATA6], ...options })
  for (const address of [GOOD, OTHER, RULED, METADATA, METADATA6]) await world.ask('target', address, PORT)
  return world
}

let names = 0

describe('the resolver: an answer that changes', function () {
  this.timeout(60000)
  const suite = suiteScope()
  const scope = testScope()
  let world, server, client

  before(async function () {
    needAlknet(this)
    needWorld(this)
    world = await worldWithTargets(suite)
    server = await world.serve(suite, ['--deny', `${RULED}:*`, '--allow', `named.test:${PORT}`])
    client = await world.connect(suite, server)
  })

  // What an earlier test has not looked at.
  beforeEach(async () => {
    await world.asked(scope)
    await world.ask('visits', GOOD, PORT)
  })

  // The targets that must not be reached never are, whatever a test asks.
  afterEach(async () => {
    if (client === undefined) return
    for (const address of [METADATA, METADATA6, RULED]) {
      assert.strictEqual(await world.ask('visits', address, PORT), 0, `somebody came to ${address}`)
    }
  })

  /** A name with answers, one list for each time that it is asked for. */
  async function nameOf (A, AAAA = [[]], name = `name-${++names}.test`) {
    await world.zone('far', { [name]: { A, AAAA } })
    return name
  }

  const reach = (name, through = client) => world.ask('socks', through.socks, name, PORT, 5)
  const refused = (code) => ({ code, said: null })
  const reached = (said) => ({ code: SAID, said })

  async function askedOnce (name) {
    assert.deepStrictEqual(await world.asked(scope),
      { near: [], far: [`A ${name}`, `AAAA ${name}`], elsewhere: [] })
  }

  for (const [what, address] of [['the metadata service', METADATA], ['an address that a rule denies', RULED]]) {
    it(`to ${what} after the check: the address that was checked is the one`, async () => {
      const name = await nameOf([[GOOD], [address]])
      assert.deepStrictEqual(await reach(name), reached(GOOD))
      await askedOnce(name)
      assert.deepStrictEqual(await reach(name), refused(DENIED), 'the next channel is judged anew')
    })

    it(`from ${what}: refused is refused, and nobody asks again`, async () => {
      const name = await nameOf([[address], [GOOD]])
      assert.deepStrictEqual(await reach(name), refused(DENIED))
      await askedOnce(name)
      assert.strictEqual(await world.ask('visits', GOOD, PORT), 0)
      assert.deepStrictEqual(await reach(name), reached(GOOD))
    })

    it(`to several addresses, of which ${what} is one: only the others count`, async () => {
      for (const list of [[address, GOOD], [GOOD, address], [address, GOOD, address]]) {
        const name = await nameOf([list, [address]])
        assert.deepStrictEqual(await reach(name), reached(GOOD))
        await askedOnce(name)
      }
    })

    it(`to ${what} and one where nobody listens: it is no way out`, async () => {
      for (const list of [[address, CLOSED], [CLOSED, address]]) {
        const name = await nameOf([list, [address]])
        assert.deepStrictEqual(await reach(name), refused(REFUSED))
        await askedOnce(name)
      }
    })
  }

  it('an IPv6 address that is denied beside an IPv4 address that is not', async () => {
    for (const denied of [METADATA6, MAPPED]) {
      const name = await nameOf([[GOOD]], [[denied]])
      assert.deepStrictEqual(await reach(name), reached(GOOD))
      await askedOnce(name)
    }
  })

  it('nothing but addresses that are denied', async () => {
    const name = await nameOf([[METADATA, RULED], [GOOD]], [[METADATA6, MAPPED], []])
    assert.deepStrictEqual(await reach(name), refused(DENIED))
    await askedOnce(name)
  })

  it('a rule that allows a name allows no address of the built-in deny', async () => {
    const name = await nameOf([[METADATA], [GOOD]], [[]], 'named.test')
    assert.deepStrictEqual(await reach(name), refused(DENIED))
    await askedOnce(name)
  })

  it('the second address after the first has refused: no second look-up', async () => {
    const name = await nameOf([[CLOSED, OTHER], [METADATA]])
    assert.deepStrictEqual(await reach(name), reached(OTHER))
    await askedOnce(name)
  })

  it('an address that goes round in ever new spellings of the name', async () => {
    const name = await nameOf([[GOOD], [METADATA], [GOOD], [METADATA]])
    for (const [spelling, result] of [
      [name.toUpperCase(), reached(GOOD)], [`${name}.`, refused(DENIED)],
      [name.replace('n', 'N'), reached(GOOD)], [name.replace('test', 'TEST.'), refused(DENIED)]
    ]) assert.deepStrictEqual(await reach(spelling), result, spelling)
  })

  it('for fifty channels at once: each has one look-up, and what that said', async () => {
    const count = 50
    const answers = Array.from({ length: count }, (_, i) => [i % 2 === 0 ? GOOD : METADATA])
    const name = await nameOf([...answers, [METADATA]])
    const results = await Promise.all(Array.from({ length: count }, () => reach(name)))
    assert.strictEqual(results.filter(({ code, said }) => code === SAID && said === GOOD).length, count / 2)
    assert.strictEqual(results.filter(({ code }) => code === DENIED).length, count / 2)
    const { far } = await world.asked(scope)
    assert.strictEqual(far.filter((one) => one === `A ${name}`).length, count)
    assert.strictEqual(far.length, 2 * count)
  })

  it('stock ssh gets no further', async function () {
    need(this, 'ssh')
    const name = await nameOf([[GOOD], [METADATA]])
    const ask = () => world.start(scope, 'near', ['ssh', ...sshArgs(scope, server, { args: ['-W', `${name}:${PORT}`] })]).exited
    assert.strictEqual((await ask()).stdout, GOOD)
    const second = await ask()
    assert.strictEqual(second.stdout, '')
    assert.match(second.output, /administratively prohibited/)
  })

  it('these targets are there: a server that allows them reaches them', async () => {
    const open = await world.connect(scope, await world.serve(scope, ['--allow', `metadata:${PORT}`]))
    for (const address of [METADATA, RULED]) {
      const name = await nameOf([[address]])
      assert.deepStrictEqual(await reach(name, open), reached(address))
      assert.strictEqual(await world.ask('visits', address, PORT), 1)
    }
    const name = await nameOf([[]], [[METADATA6]])
    assert.deepStrictEqual(await reach(name, open), reached(METADATA6))
    assert.strictEqual(await world.ask('visits', METADATA6, PORT), 1)
  })
})

describe('the resolver: who asks', function () {
  this.timeout(60000)
  const suite = suiteScope()
  const scope = testScope()
  let world, server, client

  before(async function () {
    needAlknet(this)
    needWorld(this)
    // Near, the same names lead somewhere else: who looks them up there is found out twice.
    world = await worldWithTargets(suite, { hosts: { near: `${OTHER} known.test\n` } })
    await world.zone('near', { 'db.test': { A: [[OTHER]] }, 'server.test': { A: [['127.0.0.1']] } })
    await world.zone('far', { 'db.test': { A: [[GOOD]] }, 'known.test': { A: [[GOOD]] } })
    server = await world.serve(suite)
    client = await world.connect(suite, server, { forwards: [`0:db.test:${PORT}`, `0:known.test:${PORT}`] })
    assert.deepStrictEqual(await world.asked(suite), { near: [], far: [], elsewhere: [] }, 'at the start')
  })

  const askedFar = async (name) => assert.deepStrictEqual(await world.asked(scope),
    { near: [], far: [`A ${name}`, `AAAA ${name}`], elsewhere: [] })

  for (const version of [4, 5]) {
    for (const name of ['db.test', 'known.test']) {
      it(`SOCKS${version}: the server, for ${name}`, async () => {
        const { said } = await world.ask('socks', client.socks, name, PORT, version)
        assert.strictEqual(said, GOOD)
        await askedFar(name)
      })
    }
  }

  for (const [i, name] of ['db.test', 'known.test'].entries()) {
    it(`--forward: the server, for ${name}`, async () => {
      assert.strictEqual(await world.ask('connect', '127.0.0.1', client.local[i].port), GOOD)
      await askedFar(name)
    })
  }

  it('a name that nobody knows: the server', async () => {
    const { said } = await world.ask('socks', client.socks, 'nobody.test', PORT, 5)
    assert.strictEqual(said, null)
    await askedFar('nobody.test')
  })

  it('a name that is none: nobody', async () => {
    for (const name of [' ', 'a b.test', 'a\n.test', '%2e', '-x.test', '..', 'a'.repeat(255)]) {
      const { said } = await world.ask('socks', client.socks, name, PORT, 5)
      assert.strictEqual(said, null)
      const { near, elsewhere } = await world.asked(scope)
      assert.deepStrictEqual({ near, elsewhere }, { near: [], elsewhere: [] }, JSON.stringify(name))
    }
  })

  it('an address in the place of a name: nobody', async () => {
    for (const address of [GOOD, '::ffff:192.0.2.1', '3221225985', '0xc0.0.0x2.1']) {
      const { said } = await world.ask('socks', client.socks, address, PORT, 5)
      assert.strictEqual(said, GOOD, address)
    }
    assert.deepStrictEqual(await world.asked(scope), { near: [], far: [], elsewhere: [] })
  })

  it("the client's own server: the client, and for nothing else; so it is heard when it asks", async () => {
    const named = { ...server, host: 'server.test', knownHosts: server.knownHosts.replace('127.0.0.1', 'server.test') }
    const other = await world.connect(scope, named)
    assert.strictEqual((await world.ask('socks', other.socks, 'db.test', PORT, 5)).said, GOOD)
    assert.deepStrictEqual(await world.asked(scope),
      { near: ['A server.test', 'AAAA server.test'], far: ['A db.test', 'AAAA db.test'], elsewhere: [] })
  })

  it('whoever asks another resolver than its own is heard too', async () => {
    const ask = 'const r = new (require("dns").promises.Resolver)(); r.setServers(["8.8.8.8"]); r.resolve4("stray.test").catch(() => {})'
    await world.start(scope, 'near', [process.execPath, '-e', ask]).exited
    assert.deepStrictEqual(await world.asked(scope), { near: [], far: [], elsewhere: ['A stray.test'] })
  })
})

describe('the resolver: alknet-*', function () {
  this.timeout(60000)
  const suite = suiteScope()
  const scope = testScope()
  let world, server

  before(async function () {
    needAlknet(this)
    needWorld(this)
    // Both places know all of them, and search a domain: what is asked for is found.
    const all = Object.fromEntries(ALKNET_NAMES.map(plain)
      .flatMap((name) => [name, `${name}.corp.test`]).map((name) => [name, { A: [[GOOD]] }]))
    const line = `${GOOD} ${ALKNET_NAMES.map(plain).join(' ')}\n`
    world = await worldWithTargets(suite, { search: 'corp.test', hosts: { near: line, far: line } })
    for (const place of ['near', 'far']) await world.zone(place, { ...all, 'my-alknet-x.test': { A: [[GOOD]] } })
    server = await world.serve(suite)
  })

  const silence = { near: [], far: [], elsewhere: [] }

  async function unanswered (through, name) {
    const { code, said } = await world.ask('socks', through.socks, name, PORT, 5)
    assert.notStrictEqual(code, SAID, JSON.stringify(name))
    assert.strictEqual(said, null)
    return code
  }

  it('through the proxy of alknet connect: refused, and nobody asks', async () => {
    const client = await world.connect(scope, server)
    for (const name of ALKNET_NAMES) assert.strictEqual(await unanswered(client, name), DENIED, name)
    for (const name of ODD_NAMES) await unanswered(client, name)
    assert.deepStrictEqual(await world.asked(scope), silence)
    assert.strictEqual(await world.ask('visits', GOOD, PORT), 0)
  })

  it('through --forward: refused, and nobody asks', async () => {
    const client = await world.connect(scope, server, { forwards: ALKNET_NAMES.map((name) => `0:${name}:${PORT}`) })
    for (const { port } of client.local) assert.strictEqual(await world.ask('connect', '127.0.0.1', port), '')
    assert.deepStrictEqual(await world.asked(scope), silence)
    assert.strictEqual(await world.ask('visits', GOOD, PORT), 0)
  })

  it('through ssh -L: refused, and nobody asks', async function () {
    need(this, 'ssh')
    const dir = scope.dir() // Unix sockets are of every world
    const args = ['-N', ...ALKNET_NAMES.flatMap((name, i) => ['-L', `${path.join(dir, `${i}`)}:${name}:${PORT}`])]
    const ssh = world.start(scope, 'near', ['ssh', ...sshArgs(scope, server, { args })])
    await ssh.waitFor(/Entering interactive session/)
    for (const i of ALKNET_NAMES.keys()) {
      const socket = net.connect(path.join(dir, `${i}`))
      socket.on('error', () => {})
      await closed(socket)
      assert.strictEqual(socket.bytesRead, 0)
      await ssh.waitFor(new RegExp(`(?:open failed: administratively prohibited[^]*?){${i + 1}}`))
    }
    assert.deepStrictEqual(await world.asked(scope), silence)
    assert.strictEqual(await world.ask('visits', GOOD, PORT), 0)
  })

  it('through ssh -D: refused, and nobody asks', async function () {
    need(this, 'ssh')
    // A port that is taken at another address is free at this one: nobody else is in this world.
    const socks = { host: '127.0.0.2', port: await world.ask('target', '127.0.0.1', 0) }
    const ssh = world.start(scope, 'near', ['ssh', ...sshArgs(scope, server, { args: ['-N', '-D', `${socks.host}:${socks.port}`] })])
    await ssh.waitFor(/Entering interactive session/)
    for (const name of [...ALKNET_NAMES, ...ODD_NAMES]) await unanswered({ socks }, name)
    assert.deepStrictEqual(await world.asked(scope), silence)
    assert.strictEqual(await world.ask('visits', GOOD, PORT), 0)
  })

  it('a name that only contains it is a name like any other; so it is heard when it is asked for', async () => {
    const client = await world.connect(scope, server)
    assert.strictEqual((await world.ask('socks', client.socks, 'my-alknet-x.test', PORT, 5)).said, GOOD)
    assert.deepStrictEqual(await world.asked(scope),
      { near: [], far: ['A my-alknet-x.test', 'AAAA my-alknet-x.test'], elsewhere: [] })
  })
})

describe('the resolver: a proxy at the server, which leaves at the client', function () {
  this.timeout(60000)
  const suite = suiteScope()
  const scope = testScope()
  let world, socks

  before(async function () {
    needAlknet(this)
    needWorld(this)
    if (['connect', 'serve'].some((end) => engineOf(end) !== 'native')) {
      console.log('      skipped: libssh knows no remote forwards')
      this.skip()
    }
    world = await worldWithTargets(suite)
    const { proc } = await world.connect(suite, await world.serve(suite), { args: ['--remote-forward', '0'] })
    const [, port] = await proc.waitFor(/remote forward on \S+:(\d+)/)
    socks = { host: '127.0.0.1', port: Number(port) }
  })

  const reach = (name) => world.ask('socks', socks, name, PORT, 5)
  const askedNear = async (name) => assert.deepStrictEqual(await world.asked(scope),
    { near: [`A ${name}`, `AAAA ${name}`], far: [], elsewhere: [] })

  it('the client asks, once, and connects to what it has checked', async () => {
    await world.zone('near', {
      'to.test': { A: [[GOOD], [METADATA]] },
      'from.test': { A: [[METADATA], [GOOD]] },
      'both.test': { A: [[METADATA, GOOD], [METADATA]] }
    })
    for (const [name, said] of [['to.test', GOOD], ['from.test', null], ['both.test', GOOD]]) {
      assert.deepStrictEqual(await reach(name), { code: said === null ? DENIED : SAID, said }, name)
      await askedNear(name)
    }
    assert.strictEqual(await world.ask('visits', METADATA, PORT), 0)
  })

  it('nobody asks for alknet-*', async () => {
    await world.zone('near', Object.fromEntries(ALKNET_NAMES.map((name) => [plain(name), { A: [[GOOD]] }])))
    for (const name of [...ALKNET_NAMES, ...ODD_NAMES]) {
      const { code, said } = await reach(name)
      assert.notStrictEqual(code, SAID, JSON.stringify(name))
      assert.strictEqual(said, null)
    }
    assert.deepStrictEqual(await world.asked(scope), { near: [], far: [], elsewhere: [] })
  })
})
