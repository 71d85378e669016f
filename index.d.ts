/** Types of alknet. Reference: docs/api.md. Errors: docs/errors.md. */

/// <reference types="node" />

import type { Duplex } from 'node:stream'
import type { EventEmitter } from 'node:events'
import type * as http from 'node:http'
import type * as https from 'node:https'
import type * as tls from 'node:tls'

/** A path, or the bytes of the file. */
export type PathOrBytes = string | Uint8Array

export interface LogOptions {
  /** **Default:** `'info'`. */
  level?: 'error' | 'warn' | 'info' | 'debug'
  /** **Default:** `'text'` (logfmt). */
  format?: 'text' | 'json'
  /** Each line begins with the time, in UTC. **Default:** `false`. */
  time?: boolean
  /** Gets each line, without its line break; `'dropped'`: it was not taken, and is counted. **Default:** writes to stderr. */
  write?: (line: string) => unknown
}

/** A passphrase, or a function that is asked for one when a key is encrypted. */
export type Passphrase = string | ((name: string) => string | null | Promise<string | null>)

/** What clients and servers have in common. */
export interface CommonOptions {
  /** What SSH goes over. **Default:** `'tcp'`. `'iroh'` is not available yet. */
  transport?: 'tcp' | 'tls'
  /** For private keys that are encrypted. */
  passphrase?: Passphrase
  /** **Default:** the first of `versions.engines`. */
  sshEngine?: 'native' | 'libssh'
  /** Narrows the key exchanges offered, in this order: an array or `'a,b'`. */
  kex?: string | string[]
  /** Narrows the ciphers offered. */
  ciphers?: string | string[]
  /** Narrows the MACs offered. */
  macs?: string | string[]
  /** Narrows the host key algorithms offered. */
  hostKeyAlgorithms?: string | string[]
  /** New keys after so many bytes, 1024 to 2^30. **Default:** the engine's. */
  rekeyBytes?: number
  /** New keys after so many seconds. **Default:** `3600`. */
  rekeySeconds?: Seconds
  /** To what a channel's window may grow, in bytes: what a reader who stops has to wait for him at most. **Default:** 16 MiB. The libssh engine has a fixed one. */
  windowMax?: number
  /** What the windows of all channels of a session may promise, in bytes. **Default:** 64 MiB. No effect with the libssh engine. */
  windowTotal?: number
  /** Channels at once in a session, 1 to 65536. **Default:** `1024`. */
  maxChannels?: number
  /** Names that one session may have looked up at once: by a server for its client, by a client for remote forwards. **Default:** `64`. */
  maxLookups?: number
  /** A peer from which nothing has come for `keepalive * keepaliveMax` seconds is lost; 0: never. **Default:** `15`. */
  keepalive?: Seconds
  /** Questions that it is asked in that time. **Default:** `3`. */
  keepaliveMax?: number
  /** Seconds to connect: a client to its server, and either to the target of a forward. **Default:** `20`. */
  connectTimeout?: Seconds
  /**
   * A client's way to its server, a server's to all targets: `'socks5://[user:password@]host[:port]'`,
   * `'http://…'`, several for a chain, the nearest first; or `'env'`: HTTPS_PROXY, ALL_PROXY, NO_PROXY.
   */
  proxy?: string | string[]
  /** Where Prometheus may ask: `'addr:port'`; port 0 is any. **Default:** `false`. */
  metrics?: string | false
  /** Lets metrics listen where others can reach them. **Default:** `false`. */
  metricsOpen?: boolean
  /** **Default:** `false`: no log. */
  log?: false | LogOptions
  /** The Unix socket for `askControl()`: a path, or `true` for one in the user's directory for such. **Default:** `'off'`. */
  control?: boolean | string
  /** Aborts the start; rejects with `ERR_ALKNET_CANCELED`. */
  signal?: AbortSignal
}

export interface SocksOptions {
  /** Where the proxy listens: `'addr:port'`; `true` is `127.0.0.1:1080`; port 0 is any. */
  socks5?: string | boolean
  /** `'user:password'` to ask of the proxy's users (RFC 1929). */
  socks5Auth?: string
  /** Lets the proxy listen where others can reach it without `socks5Auth`. **Default:** `false`. */
  socks5Open?: boolean
}

/** Where the server is. */
export type ServerOptions = {
  /** `'host[:port]'`, IPv6 in brackets. Default port: 22, for tls 443. Several are tried in their order, the last good one first. */
  server: string | string[]
  stream?: undefined
} | {
  /** The name to look for in known_hosts. Without it `hostKey` is needed. */
  server?: string
  /**
   * The transport, in place of a TCP connection: a WebSocket's stream, a channel
   * of another session. It belongs to the session, and is destroyed with it.
   */
  stream: Duplex
}

export type SessionOptions = ServerOptions & ClientOptions

export interface ClientOptions extends CommonOptions, SocksOptions {
  /** For tls: whom to ask for, and whose certificate it has to be. **Default:** the host of `server`. */
  tlsServerName?: string
  /** For tls: certificates (PEM) to trust besides the system's. */
  tlsCa?: PathOrBytes | PathOrBytes[]
  /** For tls: protocols to offer (ALPN), an array or `'a,b'`. **Default:** none; with `stealth` `'h2,http/1.1'`. */
  tlsAlpn?: string | string[]
  /** For tls: says hello as curl does, and hides how long its first records are. **Default:** `false`. */
  stealth?: boolean
  /** For tls: do not check the certificate; each start is logged as an error. **Default:** `false`. */
  insecure?: boolean
  /** For tls: what a server with stealth wants to be shown, 16 to 1024 bytes: docs/stealth.md. */
  stealthSecret?: PathOrBytes
  /** Private keys, tried in this order; each with the certificate in `PATH-cert.pub` first, where there is one. */
  identity: PathOrBytes | PathOrBytes[]
  /** Further certificates for these keys, each for one of them. */
  certificate?: PathOrBytes | PathOrBytes[]
  /** **Default:** `'alknet'`. */
  user?: string
  /** **Default:** `~/.config/alknet/known_hosts` and `~/.ssh/known_hosts`. Only the first is ever written to. */
  knownHosts?: PathOrBytes | PathOrBytes[]
  /** Pins: fingerprints (`SHA256:…`) or public keys, also of a key that is certified. With pins, known_hosts can only refuse (`@revoked`). */
  hostKey?: string | string[]
  /** Trusts a host without a known key, and writes its key down. **Default:** `false`. */
  acceptNew?: boolean
  /** Trusts every host key: anybody can listen in. For tests only. **Default:** `false`. */
  dangerouslyAcceptAnyHostKey?: boolean
  /** Seconds for key exchange and login. **Default:** `30`. */
  handshakeTimeout?: Seconds
  /** Seconds for the server to reach a target. **Default:** `30`. */
  openTimeout?: Seconds
  /**
   * Whether a session that is lost connects again. **Default:** `false`: it is
   * over. `true` is for ever, after 1, 2, 4, 8, 16, 30, 30 … seconds.
   */
  reconnect?: boolean | ReconnectOptions
  /** Whether the first connection is tried again, too. **Default:** `false`: its first failure is what `openSession()` rejects with. */
  retry?: boolean
  /** Seconds that what is new waits for a session that is lost; 0: it does not. **Default:** `10`. */
  waitTimeout?: Seconds
  /** How much of it may wait, 1 to 65536. **Default:** `1024`. */
  maxWaiting?: number
  /** SSH sessions with the server, 1 to 16: a further one when those that there are are full. **Default:** `1`. */
  sessions?: number
  /** Channels that fill one of several, 1 to 65536. **Default:** `64`. */
  sessionChannels?: number
  /** Bytes a second that fill one of several; 0: none do. **Default:** 1 MiB. */
  sessionRate?: number
  /** Seconds after which a further one without a channel is closed; 0: never. **Default:** `60`. */
  sessionIdle?: Seconds
  /** Gets the session before it connects: for the events of its beginning. */
  onSession?: (session: Session) => void
  /** Local forwards: `'[bind:]port:host:hostport'`, or a path of a Unix socket on either side. */
  forward?: string | string[]
  /**
   * Remote forwards: the same, but the server listens and the target is on this
   * side; `'[bind:]port'` alone is a SOCKS proxy at the server that leaves here.
   * All of them are granted, or there is no session.
   */
  remoteForward?: string | string[]
}

export interface ReconnectOptions {
  /** Tries in a row without success until the session is over; 0: any number. **Default:** `0`. */
  maxAttempts?: number
  /** The first wait; each is twice the last and up to a fifth longer. **Default:** `1000`. */
  minDelayMs?: number
  /** The longest wait. **Default:** `30000`. */
  maxDelayMs?: number
}

export type ConnectOptions = SessionOptions & {
  /** `'host:port'` of the channel. **Default:** `'alknet-control:0'`. */
  destination?: string
}

/** Seconds, or text like `'90s'`, `'5m'`, `'1h30m'`. */
export type Seconds = number | string

export type Transport = 'tcp' | 'tls' | 'iroh' | 'stream'

export interface ForwardingRule {
  action: 'allow' | 'deny'
  /** `'db.internal:5432'`, `'*.example.com:*'`, `'10.0.0.0/8:80-90'`, `'private:443'`, `'unix:/run/*'`. */
  target: string
  /** Ids or scopes. **Default:** everyone. */
  principals?: string | string[]
  /** **Default:** all. */
  transports?: Transport | Transport[]
}

export interface Forwarding {
  /** What no rule matches. **Default:** `'allow'`. */
  default?: 'allow' | 'deny'
  /** In order: the first that matches decides. Text: `'allow|deny target [principals] [transports]'`. */
  rules?: string | ForwardingRule | Array<string | ForwardingRule>
  /** Where clients may listen, or `'none'`. **Default:** `'loopback:1024-65535'`. */
  permitListen?: string | Omit<ForwardingRule, 'action'> | Array<string | Omit<ForwardingRule, 'action'>>
}

/** One place of `listeners`, or several that are alike. */
export interface ListenerOptions {
  /** **Default:** the server's `transport`. */
  transport?: 'tcp' | 'tls'
  listen: string | string[]
  /** **Default:** the server's. */
  tlsAlpn?: string | string[]
  /** **Default:** the server's. */
  tlsCert?: PathOrBytes
  /** **Default:** the server's. */
  tlsKey?: PathOrBytes
  /** Passes for a web server: docs/stealth.md. **Default:** the server's. */
  stealth?: boolean
}

export interface ServeOptions extends CommonOptions {
  /** The server's private keys, 8 at most; `PATH-cert.pub`, where there is one, is shown to clients that ask for certificates. */
  hostKey: PathOrBytes | PathOrBytes[]
  /** Further certificates for these keys, one for a key at most. */
  hostCertificate?: PathOrBytes | PathOrBytes[]
  /** Who may log in. **Default:** nobody. */
  authorizedKeys?: PathOrBytes | PathOrBytes[]
  /** Public keys of CAs, whose certificates let users in. **Default:** none. */
  certAuthority?: PathOrBytes | PathOrBytes[]
  /** What lets nobody in: KRLs, or lists of public keys and fingerprints. **Default:** none. */
  revokedKeys?: PathOrBytes | PathOrBytes[]
  /** `'addr:port'`, `'tls://addr:port'`, or several. Port 0 is any; `[]` is nowhere, for `accept()`. **Default:** `'0.0.0.0:22'`, for the transport tls `'0.0.0.0:443'`. */
  listen?: string | string[]
  /** In place of `listen`, where certificates differ. */
  listeners?: ListenerOptions | ListenerOptions[]
  /** For tls: the certificate, and those it was signed with, PEM. */
  tlsCert?: PathOrBytes
  /** Its private key, PEM. */
  tlsKey?: PathOrBytes
  /** For tls: protocols to choose from (ALPN), the best first. A client that offers others alone is turned away. **Default:** it is not looked at. */
  tlsAlpn?: string | string[]
  /** In place of `tlsCert`: names and IP addresses that a CA is to give a certificate for (docs/transports.md); agrees to its terms. */
  acmeDomain?: string | string[]
  /** The CA. **Default:** Let's Encrypt. */
  acmeDirectory?: string
  /** Mail addresses that the CA may write to. **Default:** none. */
  acmeContact?: string | string[]
  /** Folder for the account's key and the certificate. **Default:** `~/.config/alknet/acme`. */
  acmeCache?: string
  /** How the CA sees that a name is ours. **Default:** `'tls-alpn-01'`. */
  acmeChallenge?: 'tls-alpn-01' | 'http-01'
  /** Where `http-01` is answered, while the CA looks. **Default:** `'0.0.0.0:80'`. */
  acmeHttpListen?: string | string[]
  /** Certificates (PEM) to trust as the CA's own, besides the system's. */
  acmeCa?: PathOrBytes | PathOrBytes[]
  /** Which of the CA's certificates. **Default:** its choice; for an address `shortlived`, where it has that. */
  acmeProfile?: string
  /** Key identifier of an account at the CA, to bind ours to. */
  acmeEabKid?: string
  /** Its key, in base64url. */
  acmeEabHmacFile?: PathOrBytes
  /** Seconds for a client's TLS handshake. **Default:** `10`. */
  tlsHandshakeTimeout?: Seconds
  /** To who is no client, the listeners for tls are a web server: docs/stealth.md. **Default:** `false`. */
  stealth?: boolean
  /** What clients have to show that they know: 16 to 1024 bytes. **Default:** none; an SSH banner will do. */
  stealthSecret?: PathOrBytes
  /** `'http://host[:port]'`: the site that visitors are handed to. **Default:** none, and pages that say so. */
  stealthUpstream?: string
  /** What the web server calls itself. **Default:** `'nginx/1.22.1'`. */
  stealthServer?: string
  /** Seconds for a TLS handshake and a whole head. **Default:** `60`. */
  stealthHeadTimeout?: Seconds
  /** Seconds between two requests. **Default:** `75`. */
  stealthIdleTimeout?: Seconds
  /** Connections that have not shown that they are clients. **Default:** `512`. */
  maxVisitors?: number
  /** What clients may reach, and where they may listen: docs/policy.md. */
  forwarding?: Forwarding
  /** Connections of one address, or of one /64 of IPv6; 0: no limit. **Default:** `0`. */
  maxConnectionsPerIp?: number
  /** Keys that a connection may try or ask about. **Default:** `10`. */
  maxAuthAttempts?: number
  /** Connections not logged in; random early drop from half on; 0: no limit. **Default:** `100`. */
  maxUnauthenticated?: number
  /** Of these, from one address or one /64 of IPv6; 0: no limit. **Default:** `25`. */
  maxUnauthenticatedPerIp?: number
  /** How long somebody without a login keeps a place that a newcomer needs, in milliseconds. **Default:** `1000`. */
  evictAfterMs?: number
  /** The same of somebody who has not begun to exchange keys. **Default:** `400`. */
  evictSilentAfterMs?: number
  /** Time to log in. **Default:** `30`. */
  loginGrace?: Seconds
  /** Sessions that are logged in; 0: no limit. **Default:** `0`. */
  maxSessions?: number
  /**
   * How long sources that misbehave are refused: docs/cli.md#abuse. Text is as
   * in `'authfail:5s,max:10m'`; false: never. **Default:** true.
   */
  penalties?: boolean | string | Penalties
  /** Addresses and networks that get no penalties. **Default:** none. */
  penaltyExempt?: string | string[]
  /** Places that one session may have the server listen on, 1 to 1024. **Default:** `64`. */
  maxRemoteForwards?: number
  /**
   * Threads that serve the clients, 1 to 64; 1: none, the main thread does:
   * docs/operations.md#workers. **Default:** `1`.
   */
  workers?: number
  /** How long an old session has to show that it lives when a new one of the same identity wants its place, at most 20. **Default:** `2`. */
  takeoverTimeout?: Seconds
  /** Gets the channels to `alknet-…`. Without it, and without a `'connection'` listener, they are refused. */
  onConnection?: (stream: Stream, info: ConnectionInfo) => void
  /** Connections that may wait for a loop over the server, 1 to 65536. **Default:** `128`. */
  maxPending?: number
  /**
   * Has a say in what files and rules allow, and in keys that no file knows.
   * Only `true`, or an object for a key, is a yes: docs/api.md#who-decides.
   */
  authorize?: (request: AuthorizeRequest) => AuthorizeAnswer | PromiseLike<AuthorizeAnswer>
  /** Time for an answer; then it is a no. **Default:** `10`. */
  authorizeTimeout?: Seconds
}

/** What a connection that ends without a login costs its source, and from when on the source is refused. */
export interface Penalties {
  /** It was refused at the login. **Default:** `5`. */
  authfail?: Seconds
  /** It has not even tried. **Default:** `1`. */
  noauth?: Seconds
  /** `loginGrace` has passed. **Default:** `10`. */
  graceExceeded?: Seconds
  /** A source with so many is refused until all have passed. **Default:** `15`. */
  min?: Seconds
  /** It never has more. **Default:** `600`. */
  max?: Seconds
}

export type AuthorizeAnswer = boolean | null | undefined | KeyGrant

/** What a key is granted. A key that a file knows can only lose by it. */
export interface KeyGrant {
  /** **Default:** none for a key that no file knows, else the file's. */
  scopes?: string[]
  /** Whether it may open channels and listen. **Default:** `true`. */
  forwarding?: boolean
}

interface AuthorizeFrom {
  readonly user: string
  readonly remoteAddress: string
  readonly remotePort: number
  readonly transport: 'tcp' | 'tls' | 'stream'
  /** Where the transport is tls. */
  readonly tls?: TlsInfo
  /** Aborted when nobody waits for the answer any more. */
  readonly signal: AbortSignal
}

/** Somebody has shown that they have this key. */
export interface AuthorizeKey extends AuthorizeFrom {
  readonly kind: 'key'
  /** As the files have it; null: they do not know the key. */
  readonly identity: Identity | null
  readonly key: { readonly type: string, readonly fingerprint: string, readonly blob: Buffer }
  /** With which they log in. */
  readonly certificate: { readonly keyId: string, readonly serial: bigint, readonly principals: string[], readonly caFingerprint: string } | null
}

/** Somebody wants a channel: to host and port, or to path. */
export interface AuthorizeChannel extends AuthorizeFrom {
  readonly kind: 'channel'
  readonly identity: Identity
  readonly host?: string
  readonly port?: number
  readonly path?: string
}

export type AuthorizeRequest = AuthorizeKey | AuthorizeChannel

export interface Address {
  address: string
  family: number
  port: number
}

/** Where a server listens, and what is spoken there. */
export interface ServerAddress extends Address {
  transport: 'tcp' | 'tls'
}

/** What was negotiated; empty strings where the engine cannot say. */
export interface SessionInfo {
  engine: string
  /** The peer's identification string, as it came: escape it before showing it. */
  peer: string
  kex: string
  hostkey: string
  cipherIn: string
  cipherOut: string
  macIn: string
  macOut: string
  /** Where TLS is spoken. */
  tls?: TlsInfo
}

/** What TLS has agreed on. */
export interface TlsInfo {
  readonly version: 'TLSv1.2' | 'TLSv1.3'
  readonly cipher: string
  /** The protocol that the server has chosen (ALPN), or null. */
  readonly alpn: string | null
  /** Whom the client has asked for (SNI), as it wrote it: escape it before showing it. Null: nobody, or an address. */
  readonly servername: string | null
  /** By a ticket of an earlier connection. */
  readonly resumed: boolean
  /** SHA-256 of the peer's certificate, `'AB:CD:…'`; null at the server, which asks for none. */
  readonly fingerprint256: string | null
}

export interface Identity {
  /** `SHA256:…` of the key, or a certificate's key id. */
  id: string
  /** From `scopes=` in authorized_keys, or a certificate. */
  scopes: string[]
  /** `{ kind: [name, …] }`; empty for keys and certificates. */
  resources: Record<string, string[]>
}

export interface AuthInfo {
  identity: Identity
  /** The user name as the client chose it. */
  user: string
  /** `''` when nobody said it to `accept()`. */
  remoteAddress: string
  remotePort: number
  transport: 'tcp' | 'tls' | 'stream'
  /** Where the transport is tls. */
  tls?: TlsInfo
}

export interface ConnectionInfo extends AuthInfo {
  /** `'alknet-control:0'` */
  destination: string
}

/** A channel as a Duplex: half-open, with back-pressure. Its error is in `errored` and ends no process. */
export class Stream extends Duplex {
  private constructor ()
  /** The session of a stream that `connect()` made. */
  session?: Session
}

/** A SOCKS5 proxy, a forward or a remote forward of a session. */
export interface Listener<A = Address | { path: string }> {
  readonly kind: 'socks5' | 'forward' | 'remote-forward' | 'listen'
  /** What was asked for, as text that says the same again. */
  readonly spec: string
  /** Whether it does. One at the server does not while the session is lost, or when the server refuses it afterwards. */
  readonly isListening: boolean
  /**
   * Where it listens, with the real port, or the path of a Unix socket. Of a
   * remote forward: at the server, the address as it was asked for (`'localhost'`,
   * `'*'` or an address; family 0 when it is none).
   */
  address (): A
  /** Stops accepting; connections that are there go on. */
  close (): Promise<void>
  /** Resolves when it is closed; never rejects. */
  readonly closed: Promise<void>
  [Symbol.asyncDispose] (): Promise<void>
  ref (): this
  unref (): this
}

/** A place at the server: a name or an address with a port, or a Unix socket. */
export type Target = { host: string, port: number } | { path: string }

/** Aborts the call; rejects with `ERR_ALKNET_CANCELED`. */
export interface CallOptions {
  signal?: AbortSignal
}

/** Who has connected, as the server says; empty for a Unix socket. */
export interface IncomingInfo {
  readonly remoteAddress?: string
  readonly remotePort?: number
}

/** A place that the server listens on: asked for again after a reconnect. */
export interface RemoteForward extends Listener {
  /** Why the server does not listen for it although the session is back, or null. It is asked again meanwhile. */
  readonly problem: AlknetError | null
  /** The session is back, and the server does not listen again. */
  on (event: 'lost', listener: (err: AlknetError) => void): this
  once (event: 'lost', listener: (err: AlknetError) => void): this
  off (event: 'lost', listener: (err: AlknetError) => void): this
  /** The server listens again. */
  on (event: 'listening', listener: () => void): this
  once (event: 'listening', listener: () => void): this
  off (event: 'listening', listener: () => void): this
}

/**
 * The server listens, and this program takes what comes: by `'connection'`
 * events, or `for await (const { stream, info } of listener)`.
 */
export interface RemoteListener extends RemoteForward, AsyncIterable<{ stream: Stream, info: IncomingInfo }> {
  readonly kind: 'listen'
  on (event: 'connection', listener: (stream: Stream, info: IncomingInfo) => void): this
  on (event: 'lost', listener: (err: AlknetError) => void): this
  on (event: 'listening', listener: () => void): this
  once (event: 'connection', listener: (stream: Stream, info: IncomingInfo) => void): this
  once (event: 'lost', listener: (err: AlknetError) => void): this
  once (event: 'listening', listener: () => void): this
  off (event: 'connection', listener: (stream: Stream, info: IncomingInfo) => void): this
  off (event: 'lost', listener: (err: AlknetError) => void): this
  off (event: 'listening', listener: () => void): this
}

/** One that is not to reconnect is never lost or waiting: it closes. */
export type SessionState = 'connecting' | 'ready' | 'lost' | 'waiting' | 'closing' | 'closed'

export interface SessionStats {
  /** Of the transport, encryption and all. */
  bytesIn: number
  bytesOut: number
  /** Open now. */
  channels: number
  channelsTotal: number
  reconnects: number
  /** SSH sessions with the server that are ready. */
  sessions: number
}

/** What undici's `Agent` and `Pool` take as `connect`. */
export type Connector = (options: any, callback: (...args: any[]) => void) => void

/** A session with a server. */
export class Session extends EventEmitter {
  /** `'host:port'` of the server that it is connected to; without a link the first; null where it is a stream. */
  readonly server: string | null
  private constructor ()
  readonly state: SessionState
  /** What was negotiated; null while there is no connection. */
  readonly info: SessionInfo | null
  /** The SOCKS5 proxies, forwards, remote forwards and `listen()`s; those at the server also while it does not listen. */
  readonly openListeners: Listener[]
  /** Why the session ended; null while it lives, and when it was closed here. */
  readonly error: AlknetError | null
  /** Resolves when the session is over; never rejects. */
  readonly closed: Promise<void>
  /**
   * Opens a channel; a name is looked up at the server. Rejects with
   * `ERR_ALKNET_CHANNEL` (and `reason`), `ERR_ALKNET_TIMEOUT`,
   * `ERR_ALKNET_CANCELED`, `ERR_ALKNET_CLOSED`, `ERR_ALKNET_OPTION`. While the
   * session is lost it waits: `waitTimeout`, `maxWaiting` (`ERR_ALKNET_LIMIT`).
   */
  open (target: Target, options?: CallOptions): Promise<Stream>
  /** Adds a SOCKS5 proxy. Rejects with the system's code when it cannot listen. */
  socks5 (options?: SocksOptions & CallOptions): Promise<Listener<Address>>
  /** Adds a forward: `'[bind:]port:host:hostport'`, or a path on either side. */
  forwardLocal (spec: string, options?: CallOptions): Promise<Listener>
  /**
   * Has the server listen: as the option `remoteForward`. Rejects with
   * `ERR_ALKNET_CHANNEL` when the server refuses, `ERR_ALKNET_UNSUPPORTED` when
   * the SSH engine cannot.
   */
  forwardRemote (spec: string, options?: CallOptions): Promise<RemoteForward>
  /** Has the server listen for this program. host: `'localhost'` (**Default**), `'*'` or an address. */
  listen (place: { host?: string, port: number } | { path: string }, options?: CallOptions & {
    /** Connections that may wait to be taken, 1 to 65536. **Default:** `128`. */
    maxPending?: number
  }): Promise<RemoteListener>
  /** For `http.get(url, { agent })`; names are looked up at the server. */
  httpAgent (options?: http.AgentOptions): http.Agent
  /** For `https.get(url, { agent })`; certificates are checked here, as always. */
  httpsAgent (options?: https.AgentOptions): https.Agent
  /** For undici: `new Agent({ connect: session.connector() })`. */
  connector (options?: tls.ConnectionOptions): Connector
  /** Milliseconds to an answer of the server. Rejects with `ERR_ALKNET_UNSUPPORTED` where the engine cannot tell. */
  rtt (options?: CallOptions): Promise<number>
  stats (): SessionStats
  /** Where metrics are told; null: nowhere. */
  metricsAddress (): Address | null
  /**
   * Gives up the connection to the server and makes a new one at once. Resolves
   * when it is there, however many tries that takes; rejects when the session is
   * over, or the signal aborted, which ends no try.
   */
  reconnect (options?: CallOptions): Promise<void>
  /** Stops listening, lets connections end for up to drainMs (**Default:** `0`), disconnects. */
  close (options?: { drainMs?: number }): Promise<void>
  [Symbol.asyncDispose] (): Promise<void>
  ref (): this
  /** The session and its listeners no longer keep the process up; connections through them do. */
  unref (): this
  on (event: 'close', listener: (err: AlknetError | null) => void): this
  /** err: why there is no connection, in `'lost'` and `'waiting'`. */
  on (event: 'state', listener: (to: SessionState, from: SessionState, err: AlknetError | null) => void): this
  /** After a reconnect: the server listens again for a remote forward, or err says why it does not. */
  on (event: 'listener', listener: (listener: Listener, err: AlknetError | null) => void): this
  once (event: 'close', listener: (err: AlknetError | null) => void): this
  once (event: 'state', listener: (to: SessionState, from: SessionState, err: AlknetError | null) => void): this
  once (event: 'listener', listener: (listener: Listener, err: AlknetError | null) => void): this
}

export interface ServerStats {
  /** Connected now, logged in or not. */
  clients: number
  /** Logged in now. */
  sessions: number
  channels: number
  /** Worker threads that serve clients now. */
  workers: number
  /** Sources that are refused now, for what they have done. */
  penalisedSources: number
  /** Sources of whom anything is held against them. */
  notedSources: number
  /** Places that the server listens on for clients. */
  remoteForwards: number
  /** When the first certificate of tls that is shown expires, in seconds since 1970. */
  certificateExpires: number | null
  /** Connections to listeners with stealth that have not shown that they are clients. */
  visiting: number
  /** As SSH, since the start. */
  bytesIn: number
  bytesOut: number
  /** Channels that clients have asked for, since the start. */
  channelsTotal: number
  /** Connections that could try to log in, since the start, as all that follows. */
  accepted: number
  acceptErrors: number
  /** TLS handshakes that came to nothing. */
  tlsFailures: number
  logins: number
  /** Worker threads that have ended by themselves. */
  workersLost: number
  /** By reason: docs/cli.md#why-a-connection-is-rejected. */
  refused: Record<'penalty' | 'max_unauthenticated' | 'max_unauthenticated_per_ip' | 'max_connections_per_ip', number>
  /** By reason: docs/cli.md#why-a-login-is-refused. */
  rejected: Record<string, number>
  /** Channels that clients have not got. */
  channelsRefused: Record<'prohibited' | 'connect_failed' | 'unknown_type' | 'shortage', number>
  /** Connections that the server has ended. */
  closed: Record<'keepalive' | 'taken_over' | 'closed_by_server' | 'max_unauthenticated' | 'max_sessions' | 'max_auth_attempts' | 'login_grace' | 'server_closed', number>
  /** Certificates that were asked for by ACME. */
  certificateOrders: Record<'issued' | 'failed', number>
  /** Connections that were held against their source. */
  penalties: Record<'auth_failed' | 'no_auth' | 'grace_exceeded', number>
  /** Connections to listeners with stealth that were no clients: docs/stealth.md#limits. */
  visitors: Record<'silent' | 'tls' | 'late' | 'plain' | 'bad' | 'too_long' | 'served' | 'site' | 'crowded', number>
}

/** Somebody who has logged in to a server. */
export interface ServerSession extends AuthInfo {
  /** No other session of the server has had it. */
  readonly id: number
  readonly since: Date
  /** Which worker thread serves it, from 1; null: the main thread. */
  readonly worker: number | null
  /** How many channels it has. */
  readonly channels: number
  /** Resolves when it is over; never rejects. */
  readonly closed: Promise<void>
  /** Lets channels end for up to drainMs (**Default:** `0`), and disconnects. */
  close (options?: { drainMs?: number }): Promise<void>
  [Symbol.asyncDispose] (): Promise<void>
}

/** A server. */
export class Server extends EventEmitter {
  private constructor ()
  /** Where it listens, and for what; an array when there are several listeners. */
  address (): ServerAddress | ServerAddress[]
  /** How many clients are connected, logged in or not. */
  readonly connections: number
  /** Resolves when everything is closed; never rejects. */
  readonly closed: Promise<void>
  /** Those who are logged in. */
  sessions (): ServerSession[]
  /** How many there are now, and what was counted since the start. */
  stats (): ServerStats
  /** Where metrics are told; null: nowhere. */
  metricsAddress (): Address | null
  /**
   * Serves a reserved name, with any port, before everybody else. What fn throws
   * or rejects with ends that stream. Gives what undoes it. Throws
   * `ERR_ALKNET_OPTION`, `ERR_ALKNET_CLOSED`.
   */
  handle (name: string, fn: (stream: Stream, info: ConnectionInfo) => unknown): (() => void) & { [Symbol.dispose] (): void }
  /** What no handler, `onConnection` or `'connection'` listener takes. */
  [Symbol.asyncIterator] (): AsyncIterator<{ stream: Stream, info: ConnectionInfo }>
  /**
   * Takes over changed options and reads the keys again: all of it, or nothing
   * and it rejects. A function gives all options; what it leaves out is the
   * default again. Other options than keys, policy and limits need a new start.
   */
  reloadAll (changes?: Partial<ServeOptions> | (() => ServeOptions | Promise<ServeOptions>), options?: { signal?: AbortSignal }): Promise<void>
  /** Another policy; what it leaves out is the default again. Rejects with `ERR_ALKNET_OPTION`, and nothing has changed. */
  reloadForwarding (forwarding: Forwarding, options?: { signal?: AbortSignal }): Promise<void>
  /**
   * Serves a client that has come over a stream of any kind: a WebSocket, a
   * channel of another session. The stream is the server's from here on. Throws
   * `ERR_ALKNET_OPTION`, `ERR_ALKNET_CLOSED`.
   */
  accept (stream: Duplex, info?: {
    /** An IP address, for `from="…"`, `maxConnectionsPerIp` and the log. */
    remoteAddress?: string
    remotePort?: number
  }): void
  /** Reads the certificates of TLS again, for those who come from now on; when one cannot be used it rejects, and all stay. */
  reloadTls (options?: { signal?: AbortSignal }): Promise<void>
  /** Asks the CA of `acmeDomain` for another certificate now; when there is none it rejects, and the old one stays. */
  renewCertificate (): Promise<void>
  /** Reads authorized_keys, CAs and revocations again; when that fails it rejects, and the old state stays. */
  reloadAuth (options?: { signal?: AbortSignal }): Promise<void>
  /** Stops accepting, lets channels end for up to drainMs (**Default:** `0`), disconnects all. */
  close (options?: { drainMs?: number }): Promise<void>
  [Symbol.asyncDispose] (): Promise<void>
  ref (): this
  unref (): this
  on (event: 'auth', listener: (info: AuthInfo) => void): this
  on (event: 'session', listener: (session: ServerSession) => void): this
  on (event: 'error', listener: (err: unknown, info: ConnectionInfo) => void): this
  on (event: 'connection', listener: (stream: Stream, info: ConnectionInfo) => void): this
  on (event: 'close', listener: () => void): this
  once (event: 'auth', listener: (info: AuthInfo) => void): this
  once (event: 'session', listener: (session: ServerSession) => void): this
  once (event: 'error', listener: (err: unknown, info: ConnectionInfo) => void): this
  once (event: 'connection', listener: (stream: Stream, info: ConnectionInfo) => void): this
  once (event: 'close', listener: () => void): this
}

/** Every error of alknet. */
export class AlknetError extends Error {
  private constructor ()
  readonly name: 'AlknetError'
  /** `'ERR_ALKNET_…'` (docs/errors.md), or the system's: `'ECONNREFUSED'`. */
  readonly code: string
  /** Where: `'options' 'key' 'dns' 'connect' 'listen' 'kex' 'hostkey' 'auth' 'session' 'channel' 'proxy'` … */
  readonly stage: string
  /** The system's number when `code` is the system's. */
  readonly errno?: number
  /** For `ERR_ALKNET_CHANNEL`: RFC 4254 §5.1. At stage `'proxy'`: what the proxy answered. */
  readonly reason?: number
  /** At stage `'proxy'`: which of the proxies it is about, from 1. */
  readonly hop?: number
  /** The option of an `ERR_ALKNET_OPTION`. */
  readonly option?: string
  /** Which element of it, when it is a list. */
  readonly index?: number
  /** Whether the same call may succeed later, unchanged. */
  readonly retryable: boolean
  /** What to do, for people. */
  readonly advice: string
  readonly cause?: unknown
}

export interface GeneratedKey {
  /** `'ssh-ed25519'` … */
  type: string
  fingerprint: string
  /** An OpenSSH private key file. */
  privateKey: Buffer
  /** One line. */
  publicKey: string
}

export interface PublicKey {
  type: string
  /** As on the wire (RFC 4253 §6.6). */
  blob: Buffer
  comment: string
  fingerprint: string
}

export interface AuthorizedKey {
  line: number
  type: string
  blob: Buffer
  comment: string
  forwarding: boolean
  /** null: no restriction. port 0: any. */
  permitOpen: { host: string, port: number }[] | null
  permitListen: { host: string, port: number }[] | null
  from: object[] | null
  /** Milliseconds since 1970, or Infinity. */
  expires: number
  certAuthority: boolean
  principals: string[] | null
  scopes: string[]
}

/**
 * Connects to a server and logs in. Rejects with `ERR_ALKNET_OPTION`,
 * `ERR_ALKNET_KEY`, `ERR_ALKNET_DNS`, `ERR_ALKNET_TIMEOUT`, `ERR_ALKNET_KEX`,
 * `ERR_ALKNET_HOSTKEY`, `ERR_ALKNET_AUTH`, `ERR_ALKNET_PROTO`,
 * `ERR_ALKNET_LOST`, `ERR_ALKNET_CANCELED`, or the system's code.
 */
export function openSession (options: SessionOptions): Promise<Session>

/** A session with one channel. The session is `stream.session` and closes with the stream. */
export function connect (options: ConnectOptions): Promise<Stream & { session: Session }>

/** Starts a server. Rejects with `ERR_ALKNET_OPTION`, `ERR_ALKNET_KEY`, or the system's code. */
export function serve (options: ServeOptions): Promise<Server>

/** What a configuration file says: docs/config.md. */
export interface Config {
  /** As `serve()` or `openSession()` take them; they are checked there. */
  readonly options: Record<string, unknown>
  /** What is the command's alone: `quiet`, and the path of `log-file`. */
  readonly quiet?: boolean
  readonly logFile?: string
  /** `'file:line:column'` of an option, or null when it does not stand there. */
  where (option: string, index?: number): string | null
}

/**
 * What node:diagnostics_channel hears on `alknet:connect`, `alknet:auth` and
 * `alknet:channel`: docs/api.md, "Tracing".
 */
export interface TraceMessage {
  event: 'start' | 'open' | 'close' | 'error' | 'accept' | 'reject'
  /** Of the session, in this process. */
  id: number
  role: 'client' | 'server'
  transport: Transport
  /** Since `'start'`. */
  ms?: number
  /** Why it was closed, or failed. */
  code?: string
  stage?: string
  /** Of a channel that was refused: RFC 4254 §5.1. */
  reason?: number
  /** Of `alknet:auth`: which answer it is, from 1 on. */
  attempt?: number
  engine?: string
  kex?: string
  hostkey?: string
  cipherIn?: string
  cipherOut?: string
}

/** A listener as a control socket tells of it. */
export interface ControlListener {
  kind: string
  /** Parses to the same again. */
  spec: string
  address: Address | { path: string }
  isListening: boolean
}

export interface ClientStatus extends Partial<SessionInfo> {
  role: 'client'
  pid: number
  /** alknet's. */
  version: string
  state: SessionState
  /** When it was ready, as ISO 8601; null while it is not. */
  since: string | null
  /** `'host:port'`; null for a stream without a name */
  server: string | null
  user: string
  /** The server's fingerprint; null before it has shown one. */
  hostKey: string | null
  reconnects: number
  /** SSH sessions with the server that are ready. */
  sessions: number
  /** Tries in a row that have failed. */
  attempts: number
  /** When the next begins, as ISO 8601, or null. */
  retryAt: string | null
  /** The code of why there is no connection, or null. */
  problem: string | null
  /** How many go through its listeners now. */
  connections: number
  listeners: ControlListener[]
  /** Where metrics are told; null: nowhere. */
  metrics: Address | null
}

export interface ServerStatus {
  role: 'server'
  pid: number
  version: string
  state: 'ready' | 'closing'
  since: string
  engine: string
  /** Fingerprints. */
  hostKeys: string[]
  addresses: ServerAddress[]
  /** The first certificate of tls that expires; problem: why there is no newer one, a code. null: no tls. */
  certificate: { expires: string | null, problem: string | null, retryAt: string | null } | null
  /** Where metrics are told; null: nowhere. */
  metrics: Address | null
  /** Connected, logged in or not. */
  clients: number
  /** Logged in. */
  sessions: number
  /** Of all sessions. */
  channels: number
  stats: ServerStats
}

export type ControlRequest =
  | { op: 'status' }
  | { op: 'list' }
  | { op: 'add' | 'cancel', kind: 'forward' | 'remote-forward', spec: string }

/**
 * Asks the session or the server whose control socket this is. Rejects with
 * the error that it answers, `ERR_ALKNET_LOST`, `ERR_ALKNET_PROTO`,
 * `ERR_ALKNET_TIMEOUT` (**Default:** after 60,000 ms), or the system's code.
 */
export function askControl (file: string, request: { op: 'status' }, options?: { timeoutMs?: number }): Promise<ClientStatus | ServerStatus>
export function askControl (file: string, request: { op: 'add', kind: 'forward' | 'remote-forward', spec: string }, options?: { timeoutMs?: number }): Promise<ControlListener>
export function askControl (file: string, request: ControlRequest, options?: { timeoutMs?: number }): Promise<{ listeners: ControlListener[] }>

/** The sessions and servers of this user whose control socket is at the default place. */
export function findControls (): Promise<Array<{ path: string, status: ClientStatus | ServerStatus }>>

/** Made by `createNotifier()`: tells a service manager such as systemd how it goes. */
export interface Notifier {
  /** Whether anybody wants to be told. */
  readonly isActive: boolean
  /** It serves, for the first time or again after `reloading()`. status: one line for people. */
  ready (status?: string): void
  /** One line about how it goes. */
  status (text: string): void
  /** The configuration is read again; `ready()` says that this is over. */
  reloading (): void
  /** It is about to end. */
  stopping (status?: string): void
  /** No further sign of life. */
  close (): void
}

/**
 * Tells the service manager that has started this process how it goes
 * (sd_notify(3)), and where it has a watchdog gives it signs of life from the
 * event loop. Does nothing where there is none.
 */
export function createNotifier (options?: {
  /** In place of `process.env`. */
  env?: Record<string, string | undefined>
  /** Hears once that the manager cannot be told. */
  onProblem?: (err: Error) => void
}): Notifier

/**
 * The listening sockets that this process was started with (sd_listen_fds(3)),
 * for `listen` of `serve()`: `['fd:3', …]`.
 */
export function inheritedListeners (env?: Record<string, string | undefined>): string[]

/** Reads a configuration file. Rejects with `ERR_ALKNET_OPTION`: file, line and column. */
export function readConfig (file: string, about?: { command?: 'serve' | 'connect', profile?: string }): Promise<Config>

/** Checks all that `serve()` would, and reads the keys, but listens nowhere. */
export function checkServe (options: ServeOptions, what?: { hostKeys?: boolean, files?: boolean }): Promise<{
  /** What would be in effect, as TOML without secrets. */
  config: string
  /** Lines of keys and CAs that grant nothing. */
  problems: { source: string, line: number, message: string }[]
  /** The CAs that are trusted. */
  authorities: { source: string, line: number, type: string, fingerprint: string }[]
}>

/** Checks all that `openSession()` would, and reads the keys, but connects to nobody. */
export function checkConnect (options: SessionOptions): Promise<{ config: string }>

export interface Finding {
  /** `'clock'`, `'identity'`, `'known hosts'`, `'listen'`, `'name'`, `'connection'`, `'login'`, … */
  check: string
  /** `'skip'`: not looked at, and `text` says why. */
  status: 'ok' | 'warn' | 'fail' | 'skip'
  text: string
  /** What to do, or `''`. */
  advice: string
}

/**
 * Looks for what would keep a client or a server from working. Rejects only
 * when an option is wrong, or `signal` was aborted.
 */
export function diagnose (options: SessionOptions, about?: { command?: 'connect', onFinding?: (finding: Finding) => void }): Promise<{ ok: boolean, findings: Finding[] }>
export function diagnose (options: ServeOptions, about: { command: 'serve', onFinding?: (finding: Finding) => void }): Promise<{ ok: boolean, findings: Finding[] }>

export interface Verdict {
  /** null when it holds for every address, and for paths. */
  address: string | null
  allow: boolean
  by: 'key' | 'built-in' | 'rule' | 'default'
  rule: string | null
  /** The rule's place, from 1; 0 without a rule. */
  number: number
  /** What a client is told; null when it is allowed. */
  text: string | null
}

/** Whether these options let somebody reach a target, and by which rule. */
export function testPolicy (options: Partial<ServeOptions>, question: {
  /** `'host:port'` or `'unix:/path'`. */
  target: string
  id: string
  scopes?: string[]
  transport?: Transport
  lookup?: Function
}): Promise<{ allow: boolean, isKnown: boolean, verdicts: Verdict[] }>

/** Makes a key pair. **Default:** `'ed25519'`. */
export function generateKey (type?: 'ed25519' | 'ecdsa' | 'rsa', options?: {
  comment?: string
  /** Encrypts the private key. */
  passphrase?: string
  signal?: AbortSignal
}): Promise<GeneratedKey>

/** A critical option or an extension of a certificate; `null`: without a value. */
export interface CertificateOption {
  name: string
  value: string | null
}

export interface SignOptions {
  /** The public key to certify: a path, or the bytes of its one line. */
  key: PathOrBytes
  /** **Default:** `'user'`. */
  kind?: 'user' | 'host'
  /** What logs, rules and revocation lists call it. */
  keyId: string
  /** The users or hosts it is for: an array or `'a,b'`. A host's may be patterns with `*` and `?`. */
  principals: string | string[]
  /** A number for revocation lists, 0 to 2^64 - 1. **Default:** `0n`: none. */
  serial?: bigint | number | string
  /** How long from now on, `'52w'`, or `'from:to'`. Not together with the next two. */
  valid?: string
  /** `'always'`, `'YYYYMMDD[HHMM[SS]][Z]'`, or `'+1h'` or `'-5m'` from now. **Default:** `'always'`. */
  validFrom?: string | Date
  /** The same; `'forever'`. **Default:** `'forever'`. */
  validTo?: string | Date
  /** As `ssh-keygen -O` takes them: `'clear'`, `'no-pty'`, `'source-address=10.0.0.0/8'`, `'extension:scopes@alknet=a,b'`. */
  options?: string | string[]
  /** Of the CA's key. */
  passphrase?: Passphrase
  signal?: AbortSignal
}

export interface SignedCertificate {
  /** The line of a `-cert.pub` file. */
  certificate: string
  /** `'ssh-ed25519-cert-v01@openssh.com'` */
  type: string
  kind: 'user' | 'host'
  /** Of the certified key. */
  fingerprint: string
  caFingerprint: string
  keyId: string
  serial: bigint
  principals: string[]
  /** Seconds since 1970. */
  validAfter: bigint
  validBefore: bigint
  critical: CertificateOption[]
  extensions: CertificateOption[]
}

/** Signs a key as a CA. */
export function signCertificate (caKey: PathOrBytes, options: SignOptions): Promise<SignedCertificate>

/** `'SHA256:…'` of a public key: its line, or its bytes as on the wire. */
export function fingerprint (key: string | Uint8Array): string

/** Reads a public key of one line. Throws `ERR_ALKNET_KEY`. */
export function parsePublicKey (line: string): PublicKey

/** Reads an authorized_keys file. Lines that grant nothing are in `problems`. */
export function parseAuthorizedKeys (input: string | Uint8Array, options?: { certAuthority?: boolean }): {
  entries: AuthorizedKey[]
  problems: { line: number, message: string }[]
}

/** What a queue does when it is full: docs/events.md. */
export type QueuePolicy = 'block' | 'drop-oldest' | 'disconnect'

/** Topics and their payloads: `{ 'orders.new': Order }`. */
export type Payloads = Record<string, any>

export interface TopicEvent<P = any, T extends string = string> {
  /** The topic. */
  readonly type: T
  readonly id: string
  readonly payload: P
}

/** What is dispatched: `id` is `''` and `payload` null when they are left out. */
export interface EventToSend<P = any, T extends string = string> {
  type: T
  id?: string
  payload?: P
}

export type TopicListener<E> = ((event: E) => void) | { handleEvent (event: E): void }

export interface SubscribeOptions {
  /** **Default:** `'block'`. */
  policy?: QueuePolicy
  /** **Default:** that of the target or hub. */
  maxQueue?: number
  maxQueueBytes?: number
  /** Ends it; it throws `ERR_ALKNET_CANCELED`. */
  signal?: AbortSignal
}

/** The events of a topic. `return()`, or `break`, unsubscribes. */
export interface TopicSubscription<E> extends AsyncIterableIterator<E> {
  readonly topic: string
  /** Resolves when the other end has confirmed it; rejects with `ERR_ALKNET_AUTH`, `ERR_ALKNET_LIMIT`, … */
  readonly ready: Promise<void>
  /** Events that the policy has dropped. */
  readonly dropped: number
  return (value?: any): Promise<IteratorResult<E>>
  throw (err?: any): Promise<IteratorResult<E>>
  [Symbol.asyncDispose] (): Promise<void>
}

/** Limits of event targets and hubs. */
export interface EventOptions {
  /** **Default:** `'block'` for a target, `'disconnect'` for the queues of a hub. */
  policy?: QueuePolicy
  /** Events in a queue, 1 to 10000. **Default:** `1024`. */
  maxQueue?: number
  /** Bytes in a queue. **Default:** 4 MiB. */
  maxQueueBytes?: number
  /** How long a full queue may stand still while somebody waits. **Default:** `30`. */
  blockTimeout?: Seconds
  /** Bytes of an event, 16384 to 2^26. **Default:** 1 MiB. */
  maxFrame?: number
  /** Levels of brackets, 2 to 1000. **Default:** `64`. */
  maxDepth?: number
  /** Characters of a topic, 1 to 1024. **Default:** `255`. */
  maxTopic?: number
  /** Topics of a client, 1 to 65536. **Default:** `256`. */
  maxSubscriptions?: number
}

export interface EventTargetOptions extends EventOptions {
  /** Required without `session` or `reattach`. */
  stream?: Duplex
  /** Gives the target its streams, one after the other: with `reconnect` they come back as the session does. */
  session?: Session
  /** With `session`: where its streams lead. **Default:** `'alknet-control:0'`. */
  destination?: string
  /** Outlives its streams: `attach()` gives it another. **Default:** `false`. */
  reattach?: boolean
}

/** What targets and hubs have in common. */
export interface EventBus<M extends object, X = {}> {
  addEventListener<T extends keyof M & string> (topic: T, listener: TopicListener<TopicEvent<M[T], T> & X>, options?: { once?: boolean, signal?: AbortSignal }): void
  addEventListener (topic: string, listener: TopicListener<TopicEvent & X>, options?: { once?: boolean, signal?: AbortSignal }): void
  removeEventListener (topic: string, listener: TopicListener<any>): void
  subscribe<T extends keyof M & string> (topic: T, options?: SubscribeOptions): TopicSubscription<TopicEvent<M[T], T> & X>
  subscribe (topic: string, options?: SubscribeOptions): TopicSubscription<TopicEvent & X>
  /** Lets what is queued leave, for 2 s at most. */
  close (): Promise<void>
  /** Resolves when it is over; never rejects. */
  readonly closed: Promise<void>
  [Symbol.asyncDispose] (): Promise<void>
}

/** One end of a stream of events. */
export interface AlknetEventTarget<M extends object = Payloads> extends EventBus<M> {
  /** Resolves when the event has its place in the queue. Nobody has to look at it. */
  dispatchEvent<T extends keyof M & string> (event: EventToSend<M[T], T> | CustomEvent<M[T]>, options?: { signal?: AbortSignal }): Promise<void>
  /** Goes on with another stream. */
  attach (stream: Duplex): void
  readonly isAttached: boolean
  /** Events that the policy has dropped on their way out. */
  readonly dropped: number
  /** Why it ended; null when it was closed, here or at the other end. */
  readonly error: AlknetError | null
}

/** A question to `authorize`. */
export interface TopicRequest {
  identity: Identity | null
  action: 'publish' | 'subscribe'
  /** A pattern, when action is `'subscribe'`. */
  topic: string
  /** As given to `accept()` or `onConnection`. */
  info?: ConnectionInfo
}

export interface EventHubOptions extends EventOptions {
  /** Only `true` allows it. **Default:** `authorizeByScopes`. */
  authorize?: (request: TopicRequest) => boolean | Promise<boolean>
  /** **Default:** `10`. */
  authorizeTimeout?: Seconds
  /** **Default:** `'alknet-control:0'`. */
  destination?: string
  /** **Default:** `1024`. */
  maxClients?: number
}

/** The middle of a star: passes events on between its clients. */
export interface EventHub<M extends object = Payloads> extends EventBus<M, { readonly identity: Identity | null }> {
  dispatchEvent<T extends keyof M & string> (event: EventToSend<M[T], T> | CustomEvent<M[T]>): Promise<void>
  /** Takes a client in. */
  accept (stream: Duplex, info?: { identity?: Identity | null }): void
  /** How many it has. */
  readonly clients: number
}

/** Events over a stream. Throws `ERR_ALKNET_OPTION`. */
export function createEventTarget<M extends object = Payloads> (options: EventTargetOptions): AlknetEventTarget<M>

/** A hub for the clients of a server; with null, `accept()` takes them in. Throws `ERR_ALKNET_OPTION`. */
export function createEventHub<M extends object = Payloads> (server: Server | null, options?: EventHubOptions): EventHub<M>

/** Whether the scopes `topics:publish:…` and `topics:subscribe:…` of an identity allow it. */
export function authorizeByScopes (request: Pick<TopicRequest, 'identity' | 'action' | 'topic'>): boolean

export const versions: {
  readonly alknet: string
  readonly node: string
  /** Where that engine is built in. */
  readonly libssh?: string
  readonly openssl: string
  readonly uv: string
  readonly engines: readonly string[]
}
