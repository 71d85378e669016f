/** Compiled, not run: uses of the API that must type, and some that must not. */

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
    log: { level: 'debug', format: 'json', write: (line: string) => { line.trim() } },
    signal: AbortSignal.timeout(1000)
  })
  const stream: Duplex = await session.open('db.internal', 5432, { signal: AbortSignal.timeout(1) })
  stream.end('x')
  const proxy: alknet.Listener = await session.socks5({ socks5: true })
  const port: number = proxy.address().port
  const forward = await session.forward(`${port}:web:80`)
  await forward.unref().close()
  session.on('close', (err) => { const code: string | undefined = err?.code; return code })
  const cipher: string | undefined = session.info?.cipherIn
  session.unref().ref()
  await session.close({ drainMs: cipher === undefined ? 0 : 2000 })
  await session.closed
  const one = await alknet.connect({ server: 'x', identity: 'k', destination: 'web:80' })
  await one.session.close()
}

async function server (): Promise<void> {
  const running: alknet.Server = await alknet.serve({
    hostKey: 'host_key',
    authorizedKeys: 'authorized_keys',
    listen: ['127.0.0.1:0', '[::1]:0'],
    forwarding: { default: 'deny', rules: ['allow metadata:80', { action: 'deny', target: '*:*', principals: ['x'] }], permitListen: 'none' },
    onConnection: (stream, info) => {
      const id: string = info.identity.id
      stream.end(id + info.destination)
    }
  })
  running.on('auth', (info) => { const user: string = info.user; return user })
  const addresses: alknet.Address[] = [running.address()].flat()
  await running.reloadAuth()
  await running.reload({ maxSessions: 5 })
  const config = await alknet.readConfig('alknet.toml', { command: 'serve' })
  await running.reload(() => config.options as unknown as alknet.ServeOptions)
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
  void [first, engines, made.privateKey.length]
}

function errors (err: unknown): boolean {
  return err instanceof alknet.AlknetError && err.retryable && err.code === 'ECONNREFUSED' && err.stage === 'connect'
}

function wrong (): void {
  // @ts-expect-error server is required
  void alknet.openSession({ identity: 'k' })
  // @ts-expect-error an option that there is not
  void alknet.openSession({ server: 'x', identity: 'k', knownHost: 'x' })
  // @ts-expect-error not available yet
  void alknet.openSession({ server: 'x', identity: 'k', transport: 'tls' })
  // @ts-expect-error a session is made by openSession()
  void new alknet.Session()
  // @ts-expect-error only connect() has a destination
  void alknet.openSession({ server: 'x', identity: 'k', destination: 'web:80' })
}

export { client, server, keys, errors, wrong }
