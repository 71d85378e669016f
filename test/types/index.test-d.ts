/** Compiled, not run: uses of the API that must type, and some that must not. */

import * as http from 'node:http'
import * as https from 'node:https'
import { Duplex } from 'node:stream'
import * as alknet from '../..'

async function client (): Promise<void> {
  const session: alknet.Session = await alknet.openSession({
    server: 'example.com:2222',
    identity: ['key', Buffer.from('')],
    hostKey: 'SHA256:…',
    socks5: '127.0.0.1:0',
    forward: ['8080:web:80'],
    passphrase: async (name: string) => name,
    log: { level: 'debug', format: 'json', time: true, write: (line: string) => { line.trim() } },
    signal: AbortSignal.timeout(1000),
    retry: true,
    reconnect: { maxAttempts: 3, minDelayMs: 10, maxDelayMs: 100 },
    waitTimeout: '5s',
    maxWaiting: 10,
    sessions: 4,
    sessionChannels: 100,
    sessionRate: 0,
    sessionIdle: '1m',
    windowTotal: 2 ** 24,
    onSession: (session) => { session.unref() }
  })
  const stream: Duplex = await session.open({ host: 'db.internal', port: 5432 }, { signal: AbortSignal.timeout(1) })
  stream.end('x')
  const proxy: alknet.Listener<alknet.Address> = await session.socks5({ socks5: true })
  const port: number = proxy.address().port
  const forward = await session.forwardLocal(`${port}:web:80`)
  await forward.unref().close()
  session.on('close', (err) => { const code: string | undefined = err?.code; return code })
  const cipher: string | undefined = session.info?.cipherIn
  session.unref().ref()
  session.on('state', (to, from, err) => { const text: 'connecting' | 'ready' | 'lost' | 'waiting' | 'closing' | 'closed' = to; return text + from + err?.code })
  session.on('listener', (listener, err) => { const text: boolean = listener.isListening; return String(text) + err?.code })
  await session.reconnect({ signal: AbortSignal.timeout(1) })
  const there = await session.forwardRemote('0:web:80', { signal: AbortSignal.timeout(1) })
  there.on('lost', (err) => { const same: boolean = err === there.problem; return same }).once('listening', () => {})
  const listener = await session.listen({ host: '*', port: 0 }, { maxPending: 5 })
  listener.on('connection', (stream, info) => { stream.end(info.remoteAddress) })
  for await (const { stream, info } of listener) stream.end(String(info.remotePort))
  const agents: [http.Agent, https.Agent] = [session.httpAgent({ keepAlive: true }), session.httpsAgent({ ca: 'x' })]
  const connect = session.connector({ ca: 'x' })
  const spent: number = await session.rtt() + session.stats().bytesIn
  void [agents, connect, spent, session.state === 'ready', await session.open({ path: '/x' })]
  await session.close({ drainMs: cipher === undefined ? 0 : 2000 })
  await session.closed
  const one = await alknet.connect({ server: 'x', identity: 'k', destination: 'web:80' })
  const inner = await alknet.connect({ stream: one, hostKey: 'SHA256:…', identity: 'k' })
  await alknet.openSession({ stream: inner, server: 'inner.example.com', identity: 'k' })
  await one.session.close()
}

async function server (): Promise<void> {
  const running: alknet.Server = await alknet.serve({
    metrics: '127.0.0.1:0',
    metricsOpen: false,
    hostKey: 'host_key',
    authorizedKeys: 'authorized_keys',
    certAuthority: ['ca.pub', Buffer.from('')],
    revokedKeys: 'revoked.krl',
    listen: ['127.0.0.1:0', '[::1]:0'],
    forwarding: { default: 'deny', rules: ['allow metadata:80', { action: 'deny', target: '*:*', principals: ['x'] }], permitListen: 'none' },
    workers: 1,
    onConnection: (stream, info) => {
      const id: string = info.identity.id
      stream.end(id + info.destination)
    }
  })
  running.on('session', async (one) => { const id: number = one.id; await one.close({ drainMs: id }) })
  const metricsPort: number | undefined = running.metricsAddress()?.port
  void metricsPort
  const refused: number = running.stats().refused.penalty + running.stats().rejected.unknown_key
  console.log(refused)
  const ids: string[] = running.sessions().map((one) => one.identity.id)
  const threads: (number | null)[] = running.sessions().map((one) => one.worker)
  console.log(threads.length + running.stats().workers)
  const remove = running.handle('alknet-x', async (stream, info) => { stream.end(info.destination + ids.length) })
  remove()
  for await (const { stream, info } of running) stream.end(info.user)
  await running.reloadForwarding({ default: 'deny' })
  await alknet.serve({
    hostKey: 'k',
    authorizeTimeout: '5s',
    authorize: async (request) => request.kind === 'key'
      ? request.identity === null && { scopes: [request.key.fingerprint], forwarding: false }
      : request.host === 'web' && request.identity.scopes.includes('web')
  })
  running.on('auth', (info) => { const user: string = info.user; return user })
  const addresses: alknet.Address[] = [running.address()].flat()
  await running.reloadAuth()
  running.accept(new Duplex())
  running.accept(new Duplex(), { remoteAddress: '192.0.2.7', remotePort: 1 })
  await running.reloadAll({ maxSessions: 5 })
  const config = await alknet.readConfig('alknet.toml', { command: 'serve' })
  await running.reloadAll(() => config.options as unknown as alknet.ServeOptions)
  const where: string | null = config.where('forwarding.rules', 1)
  const { allow, verdicts } = await alknet.testPolicy({}, { target: 'a:1', id: 'x', scopes: [where ?? ''] })
  const by: string[] = verdicts.map((one) => `${one.by} ${allow}`)
  const { problems } = await alknet.checkServe({ hostKey: by, loginGrace: '5m' })
  await alknet.checkConnect({ server: 'x', identity: problems.map((one) => one.source) })
  await running.ref().close({ drainMs: addresses.length })
}

async function keys (): Promise<void> {
  const made = await alknet.generateKey('ed25519', { comment: 'me', passphrase: 'x' })
  const text: string = made.publicKey + made.fingerprint
  const blob: Buffer = alknet.parsePublicKey(text).blob
  alknet.fingerprint(blob)
  const first: alknet.AuthorizedKey | undefined = alknet.parseAuthorizedKeys(text).entries[0]
  const engines: readonly string[] = alknet.versions.engines
  const signed = await alknet.signCertificate('ca', { key: Buffer.from(text), keyId: 'me', principals: ['me'], serial: 1n, valid: '52w', options: 'no-pty' })
  const from: bigint = signed.validAfter
  const names: string[] = signed.extensions.map((one: alknet.CertificateOption) => one.name + (one.value ?? signed.certificate))
  void [first, engines, made.privateKey.length, from, names]
}

async function operations (session: alknet.Session): Promise<void> {
  const manager = alknet.createNotifier({ onProblem: (err) => { err.message.trim() } })
  if (manager.isActive) manager.ready(session.server ?? 'a stream')
  const certified = await alknet.serve({ hostKey: 'k', transport: 'tls', acmeDomain: ['a.example', '192.0.2.1'], acmeChallenge: 'http-01', acmeEabHmacFile: Buffer.from('k') })
  await certified.renewCertificate()
  const expires: number | null = certified.stats().certificateExpires
  if (expires !== null) new Date(expires * 1000).toISOString()
  const server = await alknet.serve({ hostKey: 'k', listen: alknet.inheritedListeners() })
  const { ok, findings } = await alknet.diagnose({ hostKey: 'k' }, { command: 'serve', onFinding: ({ advice }) => { advice.trim() } })
  const failed: alknet.Finding[] = ok ? [] : findings.filter((one) => one.status === 'fail')
  await alknet.diagnose({ server: 'x', identity: 'k' })
  manager.close()
  void [server, failed]
}

async function events (server: alknet.Server, stream: Duplex): Promise<void> {
  interface Orders { 'orders.new': { total: number } }
  void alknet.createEventTarget({ session: await alknet.openSession({ server: 'x', identity: 'k' }), destination: 'alknet-events:0' })
  const target = alknet.createEventTarget<Orders>({ stream, policy: 'drop-oldest', blockTimeout: '5s' })
  target.addEventListener('orders.new', ({ payload }) => { const total: number = payload.total; return total }, { once: true })
  target.addEventListener('__refused', { handleEvent: ({ payload, id }) => { void [payload.code, id.length] } })
  await target.dispatchEvent({ type: 'orders.new', payload: { total: 1 } }, { signal: AbortSignal.timeout(1) })
  const orders = target.subscribe('orders.*', { maxQueue: 5 })
  await orders.ready
  for await (const { type, payload } of orders) void [type.length, payload]
  const code: string | undefined = target.error?.code
  target.attach(stream)
  await target.close()
  const hub = alknet.createEventHub(server, {
    authorize: async (request) => request.topic === code || alknet.authorizeByScopes(request)
  })
  hub.addEventListener('a', ({ identity }) => { const id: string | undefined = identity?.id; return id })
  hub.accept(stream, { identity: null })
  await hub.dispatchEvent({ type: 'a', id: String(hub.clients) })
  await alknet.createEventHub(null).close()
}

function errors (err: unknown): boolean {
  return err instanceof alknet.AlknetError && err.retryable && err.code === 'ECONNREFUSED' && err.stage === 'connect'
}

function wrong (): void {
  // @ts-expect-error a stream is a Duplex
  void alknet.openSession({ stream: 'x', identity: 'k', hostKey: 'SHA256:…' })
  // @ts-expect-error server is required
  void alknet.openSession({ identity: 'k' })
  // @ts-expect-error an option that there is not
  void alknet.openSession({ server: 'x', identity: 'k', knownHost: 'x' })
  // @ts-expect-error a certificate is for somebody
  void alknet.signCertificate('ca', { key: 'x.pub', keyId: 'x' })
  // @ts-expect-error not available yet
  void alknet.openSession({ server: 'x', identity: 'k', transport: 'iroh' })
  // @ts-expect-error a session is made by openSession()
  void new alknet.Session()
  // @ts-expect-error a policy that there is not
  alknet.createEventTarget({ policy: 'drop' })
  // @ts-expect-error not the payload of that topic
  void alknet.createEventTarget<{ a: number }>({ reattach: true }).dispatchEvent({ type: 'a', payload: 'x' })
  // @ts-expect-error the target is an object
  void alknet.openSession({ server: 'x', identity: 'k' }).then((session) => session.open('web', 80))
  // @ts-expect-error neither true nor what a key is granted
  void alknet.serve({ hostKey: 'k', authorize: () => ({ id: 'root' }) })
  // @ts-expect-error proven by DNS, which is not done
  void alknet.serve({ hostKey: 'k', acmeDomain: 'a.example', acmeChallenge: 'dns-01' })
  // @ts-expect-error only connect() has a destination
  void alknet.openSession({ server: 'x', identity: 'k', destination: 'web:80' })
}

async function control (): Promise<void> {
  void alknet.openSession({ server: 'x', identity: 'k', control: true })
  void alknet.serve({ hostKey: 'k', control: '/run/x.sock' })
  for (const { path, status } of await alknet.findControls()) {
    const text: string | null = status.role === 'client' ? status.hostKey : status.hostKeys[0]
    const { listeners } = await alknet.askControl(path, { op: 'cancel', kind: 'forward', spec: '1:a:2' })
    const added: alknet.ControlListener = await alknet.askControl(path, { op: 'add', kind: 'remote-forward', spec: '1:a:2' }, { timeoutMs: 1 })
    void [text, listeners.length, added.spec]
  }
  // @ts-expect-error a question that there is not
  void alknet.askControl('x', { op: 'stop' })
}

export { client, control, server, keys, operations, errors, wrong }
