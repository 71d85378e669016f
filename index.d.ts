/** Types of alknet. Reference: docs/api.md. Errors: docs/errors.md. */

/// <reference types="node" />

import type { Duplex } from 'node:stream'
import type { EventEmitter } from 'node:events'

/** A path, or the bytes of the file. */
export type PathOrBytes = string | Uint8Array

export interface LogOptions {
  /** **Default:** `'info'`. */
  level?: 'error' | 'warn' | 'info' | 'debug'
  /** **Default:** `'text'` (logfmt). */
  format?: 'text' | 'json'
  /** Gets each line, without its line break. **Default:** writes to stderr. */
  write?: (line: string) => void
}

/** A passphrase, or a function that is asked for one when a key is encrypted. */
export type Passphrase = string | ((name: string) => string | null | Promise<string | null>)

/** What clients and servers have in common. */
export interface CommonOptions {
  /** **Default:** `'tcp'`. `'tls'` and `'iroh'` are not available yet. */
  transport?: 'tcp'
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
  /** Largest window of a channel in bytes. The libssh engine has a fixed one. */
  windowMax?: number
  /** Channels at once in a session, 1 to 65536. **Default:** `1024`. */
  maxChannels?: number
  /** Seconds of silence after which the peer is asked for a sign of life; 0: never. **Default:** `15`. */
  keepalive?: Seconds
  /** Questions without an answer until the session is lost. **Default:** `3`. */
  keepaliveMax?: number
  /** Seconds to connect: a client to its server, a server to a target. **Default:** `20`. */
  connectTimeout?: Seconds
  /** **Default:** `false`: no log. */
  log?: false | LogOptions
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

export interface SessionOptions extends CommonOptions, SocksOptions {
  /** `'host[:port]'`, IPv6 in brackets. Default port: 22. */
  server: string
  /** Private keys, tried in this order. */
  identity: PathOrBytes | PathOrBytes[]
  /** **Default:** `'alknet'`. */
  user?: string
  /** **Default:** `~/.config/alknet/known_hosts` and `~/.ssh/known_hosts`. Only the first is ever written to. */
  knownHosts?: PathOrBytes | PathOrBytes[]
  /** Pins: fingerprints (`SHA256:…`) or public keys. With pins, known_hosts can only refuse (`@revoked`). */
  hostKey?: string | string[]
  /** Trusts a host without a known key, and writes its key down. **Default:** `false`. */
  acceptNew?: boolean
  /** Trusts every host key: anybody can listen in. For tests only. **Default:** `false`. */
  dangerouslyAcceptAnyHostKey?: boolean
  /** Seconds for key exchange and login. **Default:** `30`. */
  handshakeTimeout?: Seconds
  /** Seconds for the server to reach a target. **Default:** `30`. */
  openTimeout?: Seconds
  /** Local forwards: `'[bind:]port:host:hostport'`. */
  forward?: string | string[]
}

export interface ConnectOptions extends SessionOptions {
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

export interface ServeOptions extends CommonOptions {
  /** The server's private keys. */
  hostKey: PathOrBytes | PathOrBytes[]
  /** Who may log in. **Default:** nobody. */
  authorizedKeys?: PathOrBytes | PathOrBytes[]
  /** `'addr:port'`, or several. Port 0 is any. **Default:** `'0.0.0.0:22'`. */
  listen?: string | string[]
  /** What clients may reach, and where they may listen: docs/policy.md. */
  forwarding?: Forwarding
  /** Connections of one address; 0: no limit. **Default:** `0`. */
  maxConnectionsPerIp?: number
  /** Keys that a connection may try or ask about. **Default:** `10`. */
  maxAuthAttempts?: number
  /** Connections not logged in; random early drop from half on; 0: no limit. **Default:** `100`. */
  maxUnauthenticated?: number
  /** Time to log in. **Default:** `30`. */
  loginGrace?: Seconds
  /** Sessions that are logged in; 0: no limit. **Default:** `0`. */
  maxSessions?: number
  /** Names that one session may have looked up at once. **Default:** `64`. */
  maxLookups?: number
  /** Gets the channels to `alknet-…`. Without it, and without a `'connection'` listener, they are refused. */
  onConnection?: (stream: Stream, info: ConnectionInfo) => void
}

export interface Address {
  address: string
  family: number
  port: number
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
  remoteAddress: string
  remotePort: number
  transport: 'tcp'
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

/** A SOCKS5 proxy or a forward of a session. */
export interface Listener {
  readonly kind: 'socks5' | 'forward'
  /** Where it listens, with the real port. */
  address (): Address
  /** Stops accepting; connections that are there go on. */
  close (): Promise<void>
  /** Resolves when it is closed; never rejects. */
  readonly closed: Promise<void>
  [Symbol.asyncDispose] (): Promise<void>
  ref (): this
  unref (): this
}

/** A session with a server. */
export class Session extends EventEmitter {
  private constructor ()
  /** What was negotiated; null when the session is over. */
  readonly info: SessionInfo | null
  /** The SOCKS5 proxies and forwards that listen now. */
  readonly localListeners: Listener[]
  /** Why the session ended; null while it lives, and when it was closed here. */
  readonly error: AlknetError | null
  /** Resolves when the session is over; never rejects. */
  readonly closed: Promise<void>
  /**
   * Opens a channel to host:port; the name is looked up at the server.
   * Rejects with `ERR_ALKNET_CHANNEL` (and `reason`), `ERR_ALKNET_TIMEOUT`,
   * `ERR_ALKNET_CANCELED`, `ERR_ALKNET_CLOSED`, `ERR_ALKNET_OPTION`.
   */
  open (host: string, port: number, options?: { signal?: AbortSignal }): Promise<Stream>
  /** Adds a SOCKS5 proxy. Rejects with the system's code when it cannot listen. */
  socks5 (options?: SocksOptions): Promise<Listener>
  /** Adds a forward `'[bind:]port:host:hostport'`. */
  forward (spec: string): Promise<Listener>
  /** Stops listening, lets connections end for up to drainMs (**Default:** `0`), disconnects. */
  close (options?: { drainMs?: number }): Promise<void>
  [Symbol.asyncDispose] (): Promise<void>
  ref (): this
  /** The session and its listeners no longer keep the process up; connections through them do. */
  unref (): this
  on (event: 'close', listener: (err: AlknetError | null) => void): this
  once (event: 'close', listener: (err: AlknetError | null) => void): this
}

/** A server. */
export class Server extends EventEmitter {
  private constructor ()
  /** Where it listens; an array when there are several listeners. */
  address (): Address | Address[]
  /** How many clients are connected, logged in or not. */
  readonly connections: number
  /** Resolves when everything is closed; never rejects. */
  readonly closed: Promise<void>
  /**
   * Takes over changed options and reads the keys again: all of it, or nothing
   * and it rejects. A function gives all options; what it leaves out is the
   * default again. Other options than keys, policy and limits need a new start.
   */
  reload (changes?: Partial<ServeOptions> | (() => ServeOptions | Promise<ServeOptions>)): Promise<void>
  /** Reads authorized_keys again; when that fails it rejects, and the old state stays. */
  reloadAuth (): Promise<void>
  /** Stops accepting, lets channels end for up to drainMs (**Default:** `0`), disconnects all. */
  close (options?: { drainMs?: number }): Promise<void>
  [Symbol.asyncDispose] (): Promise<void>
  ref (): this
  unref (): this
  on (event: 'auth', listener: (info: AuthInfo) => void): this
  on (event: 'connection', listener: (stream: Stream, info: ConnectionInfo) => void): this
  on (event: 'close', listener: () => void): this
  once (event: 'auth', listener: (info: AuthInfo) => void): this
  once (event: 'connection', listener: (stream: Stream, info: ConnectionInfo) => void): this
  once (event: 'close', listener: () => void): this
}

/** Every error of alknet. */
export class AlknetError extends Error {
  private constructor ()
  readonly name: 'AlknetError'
  /** `'ERR_ALKNET_…'` (docs/errors.md), or the system's: `'ECONNREFUSED'`. */
  readonly code: string
  /** Where: `'options' 'key' 'dns' 'connect' 'listen' 'kex' 'hostkey' 'auth' 'session' 'channel'` … */
  readonly stage: string
  /** The system's number when `code` is the system's. */
  readonly errno?: number
  /** For `ERR_ALKNET_CHANNEL`: RFC 4254 §5.1. */
  readonly reason?: number
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
  /** `'file:line:column'` of an option, or null when it does not stand there. */
  where (option: string, index?: number): string | null
}

/** Reads a configuration file. Rejects with `ERR_ALKNET_OPTION`: file, line and column. */
export function readConfig (file: string, about?: { command?: 'serve' | 'connect', profile?: string }): Promise<Config>

/** Checks all that `serve()` would, and reads the keys, but listens nowhere. */
export function checkServe (options: ServeOptions, what?: { hostKeys?: boolean }): Promise<{
  /** What would be in effect, as TOML without secrets. */
  config: string
  /** Lines of authorized_keys that grant nothing. */
  problems: { source: string, line: number, message: string }[]
}>

/** Checks all that `openSession()` would, and reads the keys, but connects to nobody. */
export function checkConnect (options: SessionOptions): Promise<{ config: string }>

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

/** `'SHA256:…'` of a public key: its line, or its bytes as on the wire. */
export function fingerprint (key: string | Uint8Array): string

/** Reads a public key of one line. Throws `ERR_ALKNET_KEY`. */
export function parsePublicKey (line: string): PublicKey

/** Reads an authorized_keys file. Lines that grant nothing are in `problems`. */
export function parseAuthorizedKeys (input: string | Uint8Array): {
  entries: AuthorizedKey[]
  problems: { line: number, message: string }[]
}

export const versions: {
  readonly alknet: string
  readonly node: string
  /** Where that engine is built in. */
  readonly libssh?: string
  readonly openssl: string
  readonly uv: string
  readonly engines: readonly string[]
}
