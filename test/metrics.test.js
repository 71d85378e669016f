'use strict'

/** Metrics: all that docs/metrics.md says, each of them true, and nothing else. */

const assert = require('assert')
const { execFileSync, spawnSync } = require('child_process')
const fs = require('fs')
const http = require('http')
const net = require('net')
const { once } = require('events')
const path = require('path')
const { LoopDelay, RESOLUTION_MS, WINDOW_MS } = require('../lib/loop-delay')
const { formatMetrics, openMetrics } = require('../lib/metrics')
const { serverFamilies } = require('../lib/metrics-values')
const { cleanEnv, runAlknet, startConnect, startServe } = require('./helpers/alknet')
const { startServer } = require('./helpers/api')
const { key } = require('./helpers/keys')
const { echoServer, listen, readAll } = require('./helpers/net')
const { has } = require('./helpers/proc')
const { suiteScope, testScope } = require('./helpers/scope')
const { socksCode } = require('./helpers/socks')
const alknet = require('..')

const page = fs.readFileSync(path.join(__dirname, '..', 'docs', 'metrics.md'), 'utf8')

const rows = page.split('\n## List\n')[1].split('\n').filter((line) => line.startsWith('| `')).map((line) => {
  const [name, of, type, labels] = line.split('|').slice(1).map((cell) => cell.trim())
  assert(['server', 'client', 'both'].includes(of), line)
  return { name: name.slice(1, -1), of, type, labels: [...labels.matchAll(/`(\w+)`/g)].map(([, label]) => label).sort() }
})

/** name => { type, labels } of a role, as the page has them. */
const documented = (role) => new Map(rows.filter(({ of }) => of === role || of === 'both').map((row) => [row.name, row]))

/** Fails where what is told is not what the page says, name by name. */
function expectDocumented (families, role) {
  const expected = documented(role)
  assert.deepStrictEqual([...families.keys()].sort(), [...expected.keys()].sort())
  for (const [name, { type, samples }] of families) {
    assert.strictEqual(type, expected.get(name).type, name)
    for (const one of samples) {
      assert.deepStrictEqual(Object.keys(one.labels).sort(), one.name === name ? expected.get(name).labels : [], name)
    }
    if (type === 'counter') assert.match(name, /_total$/)
  }
}

const SAMPLE = /^([a-z_]+)(?:\{((?:[a-z_]+="(?:[^"\\\n]|\\[\\"n])*",?)*)\})? (NaN|-?\d+(?:\.\d+)?(?:e[+-]\d+)?)$/

/** The text format 0.0.4, strictly: name => { type, samples: [{ labels, value }] }. */
function parse (text) {
  assert(text.endsWith('\n'))
  const families = new Map()
  let family = null
  for (const line of text.slice(0, -1).split('\n')) {
    const help = /^# HELP (\w+) (\S.*)$/.exec(line)
    const type = /^# TYPE (\w+) (gauge|counter|summary)$/.exec(line)
    if (help !== null) {
      assert(!families.has(help[1]), `${help[1]} twice`)
      family = { name: help[1], type: null, samples: [] }
      families.set(help[1], family)
    } else if (type !== null) {
      assert.deepStrictEqual([type[1], family.type, family.samples.length], [family.name, null, 0])
      family.type = type[2]
    } else {
      const [, name, labels = '', value] = SAMPLE.exec(line) ?? assert.fail(`no sample: ${line}`)
      assert(name === family.name || (family.type === 'summary' && [`${family.name}_sum`, `${family.name}_count`].includes(name)), line)
      const pairs = [...labels.matchAll(/([a-z_]+)="((?:[^"\\]|\\.)*)"/g)].map(([, label, text]) => [label, text])
      family.samples.push({ name, labels: Object.fromEntries(pairs), value: Number(value) })
    }
  }
  return families
}

/** A socket that is closed, with an error or without. */
const gone = (socket) => new Promise((resolve) => socket.on('error', () => {}).once('close', resolve))

function get ({ port, address }, { path = '/metrics', method = 'GET', headers } = {}) {
  return new Promise((resolve, reject) => {
    const request = http.request({ host: address, port, path, method, headers, agent: false }, async (response) => {
      let body = ''
      for await (const chunk of response) body += chunk
      resolve({ status: response.statusCode, headers: response.headers, body })
    })
    request.once('error', reject).end()
  })
}

const read = async (place) => parse((await get(place)).body)

/** The value of a metric, of one reason where there are several. */
function valueOf (families, name, labels = {}) {
  const found = families.get(name).samples.filter((one) => Object.entries(labels).every(([key, text]) => one.labels[key] === text))
  assert.strictEqual(found.length, 1, `${name} ${JSON.stringify(labels)}`)
  return found[0].value
}

describe('metrics of a server', () => {
  const scope = testScope()
  const start = (options) => startServer(scope, { metrics: '127.0.0.1:0', ...options })

  it('are those of docs/metrics.md, with their types and labels', async () => {
    const { server } = await start()
    const { status, headers, body } = await get(server.metricsAddress())
    assert.deepStrictEqual([status, headers['content-type'], headers.connection], [200, 'text/plain; version=0.0.4; charset=utf-8', 'close'])
    const families = parse(body)
    expectDocumented(families, 'server')
    const { labels } = families.get('alknet_build_info').samples[0]
    assert.deepStrictEqual([labels.version, labels.role, labels.node], [alknet.versions.alknet, 'server', process.versions.node])
  })

  it('move with what they count', async () => {
    const target = await echoServer(scope)
    const { server, login, keys } = await start({ maxConnectionsPerIp: 2, penalties: true })
    const place = server.metricsAddress()
    const before = await read(place)
    const session = await login()
    const stream = await session.open({ host: '127.0.0.1', port: target.port })
    stream.write(Buffer.alloc(100_000))
    for (let got = 0; got < 100_000;) got += (await once(stream, 'data'))[0].length
    await assert.rejects(session.open({ host: '169.254.169.254', port: 80 }), { reason: 1 })
    await session.forwardRemote('127.0.0.1:0:127.0.0.1:1')
    await assert.rejects(login({ identity: (await alknet.generateKey()).privateKey }), { code: 'ERR_ALKNET_AUTH' })
    while (server.connections > 1) await new Promise((resolve) => setImmediate(resolve))
    const idle = net.connect(server.address().port, '127.0.0.1').resume()
    await once(idle, 'data')
    await gone(net.connect(server.address().port, '127.0.0.1').resume())
    const now = await read(place)
    const moved = (name, labels) => valueOf(now, name, labels) - valueOf(before, name, labels)
    const expected = {
      alknet_connections: 2,
      alknet_connections_accepted_total: 3,
      alknet_sessions: 1,
      alknet_logins_total: 1,
      alknet_channels: 1,
      alknet_channels_total: 2,
      alknet_remote_forwards: 1,
      alknet_accept_errors_total: 0
    }
    for (const [name, by] of Object.entries(expected)) assert.strictEqual(moved(name), by, name)
    assert.strictEqual(moved('alknet_connections_refused_total', { reason: 'max_connections_per_ip' }), 1)
    assert.strictEqual(moved('alknet_logins_refused_total', { reason: 'unknown_key' }), 1)
    assert.strictEqual(moved('alknet_channels_refused_total', { reason: 'prohibited' }), 1)
    assert.strictEqual(moved('alknet_penalties_total', { reason: 'auth_failed' }), 1)
    for (const name of ['alknet_received_bytes_total', 'alknet_sent_bytes_total']) assert(moved(name) > 100_000 && moved(name) < 200_000, name)
    assert(moved('process_cpu_seconds_total') > 0)
    assert(valueOf(now, 'process_resident_memory_bytes') > 10e6)
    assert(Math.abs(valueOf(now, 'process_start_time_seconds') - (Date.now() / 1000 - process.uptime())) < 5)
    idle.destroy()
    await session.close()
    while (server.connections > 0) await new Promise((resolve) => setImmediate(resolve))
    const after = await read(place)
    for (const name of ['alknet_connections', 'alknet_sessions', 'alknet_channels', 'alknet_remote_forwards']) assert.strictEqual(valueOf(after, name), 0, name)
    assert(valueOf(after, 'alknet_received_bytes_total') >= valueOf(now, 'alknet_received_bytes_total'), 'those of who is gone stay')
    assert.doesNotMatch((await get(place)).body, new RegExp(`${target.port}|127\\.0|169\\.254|${keys.user.fingerprint.slice(7, 20)}`))
  }).timeout(60_000)

  it('have each number in its place, those too that are hard to bring about', async () => {
    const { server } = await start()
    let next = 1000
    const numbered = (values) => Object.fromEntries(Object.entries(values).map(([name, value]) => [name, typeof value === 'object' ? numbered(value) : next++]))
    const stats = numbered({ ...server.stats(), certificateExpires: 0 })
    const delay = { read: () => ({ p50: 0.25, p99: 0.5, sum: 7.5, count: 9 }) }
    const families = parse(formatMetrics(serverFamilies(stats, 'native', delay)))
    const single = {
      clients: 'connections',
      accepted: 'connections_accepted_total',
      acceptErrors: 'accept_errors_total',
      tlsFailures: 'tls_failures_total',
      sessions: 'sessions',
      logins: 'logins_total',
      penalisedSources: 'penalised_sources',
      channels: 'channels',
      channelsTotal: 'channels_total',
      remoteForwards: 'remote_forwards',
      workers: 'workers',
      workersLost: 'workers_lost_total',
      visiting: 'visitors',
      certificateExpires: 'tls_certificate_expires_seconds',
      bytesIn: 'received_bytes_total',
      bytesOut: 'sent_bytes_total'
    }
    const several = { refused: 'connections_refused_total', rejected: 'logins_refused_total', penalties: 'penalties_total', channelsRefused: 'channels_refused_total', closed: 'connections_closed_total', certificateOrders: 'certificate_orders_total', visitors: 'visitors_total' }
    assert.deepStrictEqual(Object.keys(stats).sort(), [...Object.keys(single), ...Object.keys(several), 'notedSources'].sort(), 'a number that nobody tells')
    for (const [name, metric] of Object.entries(single)) assert.strictEqual(valueOf(families, `alknet_${metric}`), stats[name], metric)
    for (const [name, metric] of Object.entries(several)) {
      const told = families.get(`alknet_${metric}`).samples.map(({ labels, value }) => [labels.reason ?? labels.result, value])
      assert.deepStrictEqual(Object.fromEntries(told), stats[name], metric)
    }
    const { samples } = families.get('alknet_event_loop_delay_seconds')
    assert.deepStrictEqual(samples.map(({ name, labels, value }) => [name.slice(31), labels.quantile, value]),
      [['', '0.5', 0.25], ['', '0.99', 0.5], ['_sum', undefined, 7.5], ['_count', undefined, 9]])
  })

  it('count penalties, until they pass', async () => {
    const { server, login } = await start({ penalties: { authfail: 60, min: 1 } })
    await assert.rejects(login({ identity: (await alknet.generateKey()).privateKey }))
    while (server.connections > 0) await new Promise((resolve) => setImmediate(resolve))
    await assert.rejects(login())
    const now = await read(server.metricsAddress())
    assert.strictEqual(valueOf(now, 'alknet_penalised_sources'), 1)
    assert.strictEqual(valueOf(now, 'alknet_connections_refused_total', { reason: 'penalty' }), 1)
  })

  it('are what promtool takes, without a complaint', async function () {
    if (!has('promtool')) {
      console.log('      skipped: promtool is not installed (Debian: prometheus, 100 MB)')
      this.skip()
    }
    const { server, login } = await start()
    for (const one of [server, await login({ metrics: '127.0.0.1:0' })]) {
      const { body } = await get(one.metricsAddress())
      const { status, stdout, stderr } = spawnSync('promtool', ['check', 'metrics'], { input: body, encoding: 'utf8' })
      assert.deepStrictEqual([status, stdout + stderr], [0, ''])
    }
  })

  it('are not to be reached through the tunnel, but by a rule', async () => {
    const { server, login } = await start()
    const { address, port } = server.metricsAddress()
    const session = await login()
    for (const host of [address, 'localhost', '127.0.0.1']) {
      await assert.rejects(session.open({ host, port }), { reason: 1 }, host)
    }
    await server.reloadForwarding({ rules: [`allow 127.0.0.1:${port}`] })
    const stream = await session.open({ host: address, port })
    stream.write('GET /metrics HTTP/1.0\r\n\r\n')
    assert.match(String(await readAll(stream)), /^HTTP\/1\.1 200 OK\r\n/)
    await assert.rejects(session.forwardRemote(`127.0.0.1:${port}:127.0.0.1:1`))
  })

  it('end with the server', async () => {
    const { server } = await start()
    const place = server.metricsAddress()
    const idle = net.connect(place.port, place.address).resume()
    const isGone = gone(idle)
    await once(idle, 'connect')
    await server.close()
    await isGone
    await assert.rejects(get(place), { code: 'ECONNREFUSED' })
    assert.strictEqual((await start({ metrics: undefined })).server.metricsAddress(), null)
  })
})

describe('metrics of a client', () => {
  const scope = testScope()

  it('are those of docs/metrics.md, and move', async () => {
    const target = await echoServer(scope)
    const { server, login } = await startServer(scope)
    const session = await login({ metrics: '127.0.0.1:0', reconnect: true, forward: `0:127.0.0.1:${target.port}` })
    const place = session.metricsAddress()
    const before = await read(place)
    expectDocumented(before, 'client')
    assert.strictEqual(before.get('alknet_build_info').samples[0].labels.role, 'client')
    const stream = await session.open({ host: '127.0.0.1', port: target.port })
    stream.write(Buffer.alloc(50_000))
    for (let got = 0; got < 50_000;) got += (await once(stream, 'data'))[0].length
    const now = await read(place)
    const moved = (name) => valueOf(now, name) - valueOf(before, name)
    assert.deepStrictEqual(['channels', 'channels_total', 'listeners', 'session_ready'].map((name) => moved(`alknet_${name}`)), [1, 1, 0, 0])
    assert.deepStrictEqual(['listeners', 'session_ready'].map((name) => valueOf(now, `alknet_${name}`)), [1, 1])
    for (const name of ['alknet_received_bytes_total', 'alknet_sent_bytes_total']) assert(moved(name) > 50_000 && moved(name) < 100_000, name)
    stream.destroy()
    await session.reconnect()
    assert.strictEqual(valueOf(await read(place), 'alknet_reconnects_total'), 1)
    const isLost = new Promise((resolve) => session.once('state', resolve))
    await server.close()
    assert.strictEqual(await isLost, 'lost')
    assert.strictEqual(valueOf(await read(place), 'alknet_session_ready'), 0)
    await session.close()
    await assert.rejects(get(place), { code: 'ECONNREFUSED' })
  })

  it('are not to be reached through a SOCKS proxy at the server', async () => {
    const { login } = await startServer(scope)
    const session = await login({ metrics: '127.0.0.1:0' })
    const { port } = await (await session.forwardRemote('0')).address()
    const place = session.metricsAddress()
    assert.strictEqual(await socksCode(scope, { host: '127.0.0.1', port }, place.address, place.port), 2)
    const target = await echoServer(scope)
    assert.strictEqual(await socksCode(scope, { host: '127.0.0.1', port }, '127.0.0.1', target.port), 0)
  })
})

describe('metrics over HTTP', () => {
  const scope = testScope()

  async function open (isOpen = false, limits) {
    const metrics = await openMetrics({ address: '127.0.0.1', port: 0 }, isOpen, () => [
      { name: 'a', type: 'gauge', help: 'line\nback\\slash', samples: [[{ text: 'q"b\\n\n' }, 1], [{}, NaN]] }
    ], limits)
    scope.defer(() => metrics.close())
    return metrics.address()
  }

  it('escape what has to be escaped', async () => {
    assert.strictEqual((await get(await open())).body, '# HELP a line\\nback\\\\slash\n# TYPE a gauge\na{text="q\\"b\\\\n\\n"} 1\na NaN\n')
  })

  it('answer GET /metrics, and nothing else', async () => {
    const place = await open()
    for (const [request, status] of [
      [{ path: '/metrics?x=1' }, 200], [{ path: '/' }, 404], [{ path: '/metrics/' }, 404], [{ path: '/METRICS' }, 404],
      [{ method: 'POST' }, 405], [{ method: 'HEAD' }, 405], [{ method: 'DELETE' }, 405]
    ]) {
      const answer = await get(place, request)
      assert.strictEqual(answer.status, status, JSON.stringify(request))
      assert.strictEqual(answer.headers.connection, 'close')
    }
  })

  it('answer on loopback only by an address or localhost', async () => {
    const place = await open()
    for (const [host, status] of [['evil.example', 403], ['evil.example:80', 403], ['localhost:9', 200], ['[::1]:9', 200], ['127.0.0.1', 200], ['127.0.0.1.evil.example', 403]]) {
      assert.strictEqual((await get(place, { headers: { host } })).status, status, host)
    }
    assert.strictEqual((await get(await open(true), { headers: { host: 'server.example' } })).status, 200)
  })

  it('have limits for who is slow, too many, or too long', async () => {
    const place = await open(false, { ms: 500, connections: 2, headerBytes: 512 })
    const connect = () => net.connect(place.port, place.address)
    const long = connect().on('error', () => {})
    long.write(`GET /metrics HTTP/1.1\r\nhost: localhost\r\nx: ${'y'.repeat(2000)}\r\n\r\n`)
    assert.match(String(await readAll(long)), /^HTTP\/1\.1 431 /)
    const slow = connect().resume()
    slow.write('GET /metrics HTTP/1.1\r\n')
    await gone(slow)
  })

  it('keep no process up', () => {
    const script = `
      const { openMetrics } = require(${JSON.stringify(require.resolve('../lib/metrics'))})
      openMetrics({ address: '127.0.0.1', port: 0 }, false, () => []).then((metrics) => console.log(metrics.address().port > 0))`
    assert.strictEqual(execFileSync(process.execPath, ['-e', script], { encoding: 'utf8', timeout: 60_000 }), 'true\n')
  }).timeout(60_000)

  it('turn away who is too many', async () => {
    const place = await open(false, { connections: 2 })
    const sockets = [1, 2].map(() => net.connect(place.port, place.address).resume())
    await Promise.all(sockets.map((socket) => once(socket, 'connect')))
    await gone(net.connect(place.port, place.address).resume())
    for (const socket of sockets) {
      assert.strictEqual(socket.destroyed, false)
      socket.destroy()
    }
  })
})

describe('the delay of the event loop', () => {
  it('is what comes on top of the time that was to pass, in windows', () => {
    const late = (ms) => (RESOLUTION_MS + ms) * 1e6
    const histogram = {
      count: 0, mean: NaN, enable () {}, disable () {}, percentile (p) { return this.of[p] }, reset () { this.count = 0; this.mean = NaN }
    }
    let time = 0
    const delay = new LoopDelay({ histogram, now: () => time })
    assert.deepStrictEqual(delay.read(), { p50: NaN, p99: NaN, sum: 0, count: 0 })
    Object.assign(histogram, { count: 100, mean: late(5), of: { 50: late(1), 99: late(250) } })
    const first = { p50: 0.001, p99: 0.25, sum: 0.5, count: 100 }
    assert.deepStrictEqual(delay.read(), first)
    time += WINDOW_MS
    assert.deepStrictEqual(delay.read(), first, 'the last of its window')
    Object.assign(histogram, { count: 10, mean: late(-1), of: { 50: late(-1), 99: late(3) } })
    assert.deepStrictEqual(delay.read(), { p50: 0, p99: 0.003, sum: 0.5, count: 110 })
  })

  it('is seen where there is one', async () => {
    const delay = new LoopDelay()
    await new Promise((resolve) => setTimeout(resolve, 3 * RESOLUTION_MS))
    execFileSync('sleep', ['0.2'])
    while (delay.read().count === 0) await new Promise((resolve) => setTimeout(resolve, RESOLUTION_MS))
    while (!(delay.read().p99 > 0.1)) await new Promise((resolve) => setTimeout(resolve, RESOLUTION_MS))
    delay.close()
  })
})

describe('--metrics', function () {
  this.timeout(60_000)
  const suite = suiteScope()
  const scope = testScope()

  it('is printed with its port, and answers', async () => {
    const server = await startServe(scope, { args: ['--metrics', '127.0.0.1:0'] })
    const [, host, port] = await server.proc.waitFor(/metrics on http:\/\/(127\.0\.0\.1):(\d+)\/metrics\n/)
    assert.strictEqual(valueOf(await read({ address: host, port }), 'alknet_sessions'), 0)
    const client = await startConnect(scope, server, { args: ['--metrics', '[::1]:0'] })
    const [, own] = await client.proc.waitFor(/metrics on http:\/\/\[::1\]:(\d+)\/metrics\n/)
    assert.strictEqual(valueOf(await read({ address: '::1', port: own }), 'alknet_session_ready'), 1)
    server.proc.kill('SIGTERM')
    assert.strictEqual((await server.proc.exited).code, 0)
  })

  it('is refused with exit code 2 where it cannot be, before anybody listens', async () => {
    const taken = await listen(suite, () => {})
    const file = key('ed25519', 'host').path
    const config = scope.file('alknet.toml', `[server]\nkey = ${JSON.stringify(file)}\nlisten = "127.0.0.1:0"\nmetrics = "127.0.0.1:${taken.port}"\n`)
    for (const [args, pattern] of [
      [['--metrics', `127.0.0.1:${taken.port}`], new RegExp(`^alknet: --metrics: cannot listen on 127\\.0\\.0\\.1:${taken.port}: the address is in use\n$`, 'm')],
      [['--config', config], new RegExp(`^alknet: \\S+alknet\\.toml:4:1: metrics: cannot listen on 127\\.0\\.0\\.1:${taken.port}: the address is in use\n$`, 'm')],
      [['--metrics', '192.0.2.1:0', '--metrics-open'], /^alknet: --metrics: cannot listen on 192\.0\.2\.1:0: the address is not one of this machine\n$/m],
      [['--metrics', '0.0.0.0:0'], /^alknet: --metrics: 0\.0\.0\.0 can be reached by others: .*--metrics-open/m],
      [['--metrics', 'name:1'], /^alknet: --metrics: /m]
    ]) {
      const { code, stdout, stderr } = await runAlknet(scope, ['serve', '--key', file, '--listen', '127.0.0.1:0', ...args])
      assert.deepStrictEqual([code, stdout], [2, ''], stderr)
      assert.match(stderr, pattern)
    }
    const { code, stderr } = await runAlknet(scope, ['connect', '--server', '127.0.0.1:1', '--identity', file, '--socks5', '127.0.0.1:0', '--metrics', `127.0.0.1:${taken.port}`])
    assert.strictEqual(code, 2, stderr)
    assert.match(stderr, /^alknet: --metrics: cannot listen on /m)
  })

  it('is in the status, and doctor says who has the place', async () => {
    const { HOME } = cleanEnv(scope)
    const server = await startServe(scope, { args: ['--metrics', '127.0.0.1:0'], env: { HOME } })
    const [, url, port] = await server.proc.waitFor(/metrics on (http:\/\/127\.0\.0\.1:(\d+)\/metrics)\n/)
    const status = await runAlknet(scope, ['status'], { env: { HOME } })
    assert.match(status.stdout, /^ {2}metrics +http/m)
    assert(status.stdout.includes(url))
    const { stdout } = await runAlknet(scope, ['doctor', 'serve', '--key', key('ed25519', 'host').path, '--listen', '127.0.0.1:0', '--metrics', `127.0.0.1:${port}`], { env: { HOME } })
    assert.match(stdout, new RegExp(`metrics on 127\\.0\\.0\\.1:${port}: in use by alknet \\(process ${server.proc.pid}\\)`))
  })

  it('is one of the places that policy test knows', async () => {
    const ask = (...args) => runAlknet(scope, ['policy', 'test', '--as', 'me', ...args])
    const config = scope.file('alknet.toml', '[server]\nmetrics = "127.0.0.1:9122"\n')
    const { code, stdout } = await ask('--config', config, '127.0.0.1:9122')
    assert.strictEqual(code, 1)
    assert.match(stdout, /built-in deny of the server's own listeners/)
    assert.strictEqual((await ask('127.0.0.1:9122')).code, 0)
  })
})
