/** What the API gives, exactly: for tsd. Uses that must and must not type are in index.test-d.ts. */

import { Duplex } from 'node:stream'
import { expectAssignable, expectNotAssignable, expectType } from 'tsd'
import * as alknet from '../..'

declare const session: alknet.Session
declare const server: alknet.Server
declare const stream: alknet.Stream
declare const error: alknet.AlknetError
const identity = 'key'

expectType<Promise<alknet.Session>>(alknet.openSession({ server: 'a', identity }))
expectType<Promise<alknet.Stream & { session: alknet.Session }>>(alknet.connect({ server: 'a', identity }))
expectType<Promise<alknet.Server>>(alknet.serve({ hostKey: 'k' }))
expectType<Promise<alknet.Stream>>(session.open({ host: 'a', port: 1 }))
expectType<Promise<alknet.Stream>>(session.open({ path: '/run/x.sock' }, { signal: AbortSignal.abort() }))
expectType<Promise<void>>(session.close({ drainMs: 1 }))
expectType<Promise<void>>(server.close())
expectType<Promise<void>>(session.closed)
expectType<Promise<number>>(session.rtt())
expectType<Promise<alknet.GeneratedKey>>(alknet.generateKey())

expectAssignable<Duplex>(stream)
expectAssignable<Error>(error)
expectAssignable<AsyncDisposable>(session)
expectAssignable<AsyncDisposable>(server)
expectAssignable<NodeJS.EventEmitter>(session)
expectType<string>(error.code)
expectType<string>(error.stage)
expectType<boolean>(error.retryable)
expectType<unknown>(error.cause)

// One form, and nothing half-given.
// @ts-expect-error
void session.open('a', 1)
// @ts-expect-error
void session.open({ host: 'a' })
// @ts-expect-error
void session.open({ host: 'a', port: '1' })
// @ts-expect-error
void alknet.serve({})
// @ts-expect-error
void alknet.openSession({ identity })
// @ts-expect-error
void alknet.serve({ hostKey: 'k', hostkey: 'k' })
// @ts-expect-error
void alknet.openSession({ server: 'a', identity, sshEngine: 'openssl' })
// @ts-expect-error
void new alknet.Session()
// @ts-expect-error
error.code = 'x'
expectNotAssignable<alknet.SessionOptions>({ server: 'a', identity, destination: 'b:1' })
expectNotAssignable<alknet.ServeOptions>({ hostKey: 1 })
