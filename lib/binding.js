'use strict'

/**
 * The only file that loads the native addon, and the contract between the two
 * languages. Everything else in lib/ gets the addon from here.
 *
 * A native handle has one JS owner: `handle.owner = object`. Events arrive as
 * calls of the owner's methods, always from the event loop, never from inside
 * a call into the addon. Methods that the owner does not have are skipped.
 * Errors that C reports are AlknetError objects (made by errors.js); where an
 * event has an `err`, null means a clean end.
 *
 * Stream     connectTcp(address, port) · connectUnix(path): numeric addresses;
 *            a path of more than 107 bytes ends in onclose(err), ENAMETOOLONG
 *   calls    resume() pause() write(uint8array): boolean end() close()
 *            peer() local(): { address, port, family } | null     kind: string
 *            (null: not a tcp stream, or not open)
 *            limitUnacked(ms): boolean — how long the kernel waits for what was
 *            sent to be acknowledged; 0: as it likes. false: it has no such limit
 *            connect(address, port, ms) — a channel of onchannel: connects to
 *            that, then accepts the channel and relays both
 *   events   onopen() ondata(buffer) onend() ondrain() onclose(err)
 *            onrefused(err): connect() failed or took longer than ms, and the
 *            channel still asks. When it did not, onclose is the next event:
 *            both are closed; meanwhile close() is the only call
 *   laws     born paused; write() takes every byte, false means wait for
 *            ondrain; after end(), ondrain says that all of it has left;
 *            close() drops what has not left; onclose comes once, last, always.
 *            Giving a stream to a session, a handshake or a relay takes it away
 *            from its handle: any later call throws ERR_ALKNET_CLOSED.
 *
 * Parcels    stream.send() (an open tcp stream that nobody has used) · key.send() ·
 *            context.send() (a server's TlsContext): a number for another thread
 *            of this process. The stream is gone from here and its peer hears
 *            nothing of it; keys and contexts are shared.
 *            takeStream(number) · takeKey(number) · takeTlsContext(number): the
 *            thing, once; then, and of another number, ERR_ALKNET_CLOSED
 *            dropParcel(number): when nobody has taken it, nobody will. So it is
 *            with all that a thread has sent when the thread ends
 *
 * Listener   listenTcp(address, port): throws when it cannot bind
 *            listenUnix(path): the same, at a path where nothing is; its file
 *            has the mode 0600 from the first moment on and is removed by
 *            close(), at once, unless another file stands there by then
 *            adoptTcp(fd): on a listening tcp socket that this process was
 *            started with, and which is the listener's then; EINVAL: it is none
 *   calls    address(): { address, port, family }, or { path } of a Unix socket
 *            close() ref() unref()
 *   events   onstream(stream) onerror(err) onclose()
 *            (each stream must get an owner, or be closed, in onstream)
 *            listenSocks(address, port, user | null, password | null, ms): a
 *            Listener whose clients speak SOCKS, and have ms for a request and
 *            as long to take a refusal. close() drops those that have not asked
 *   events   onrequest(socks, version, host, port) onerror(err) onclose()
 *
 * Door       socksDoor(user | null, password | null, ms): a place where streams
 *            of any kind speak SOCKS, as the clients of listenSocks do
 *   calls    enter(stream): takes it; it is open, or opening, and not ended
 *            close(): drops those that have not asked; then enter() throws
 *   events   onrequest(socks, version, host, port) onclose(): once
 *
 * Session    sshClient(stream, options) · sshServer(stream, options)
 *   options  engine user hostKeys: Key[] kex ciphers macs hostKeyAlgorithms
 *            rekeyBytes rekeySeconds windowMax windowTotal maxChannels maxAuthAttempts
 *            listens (all optional but user for a client and hostKeys for a
 *            server; lists: 'a,b'). listens: true for a server whose owner has
 *            onlisten and onunlisten; without it clients hear a no
 *   calls    trust(boolean) login(key) admit(boolean) keepalive()
 *            ref() unref()
 *            received() sent(): number of bytes, also after onclose
 *            silence(): for how many ms nothing has come
 *            channels(): how many there are, those that open included
 *            info(): { engine, peer, kex, hostkey, cipherIn, cipherOut, macIn,
 *            macOut } close(reason, text): both may be left out; the number of RFC
 *            4253 §11.1 that the peer is told, and what stands beside it
 *            open(type, host, port, originHost, originPort): Stream
 *            accept(stream) refuse(stream, reason, text) — channels of onchannel
 *            listen(isLocal, host, port): id — a client asks the server to
 *            listen for it. isLocal: a Unix socket, host is its path, port 0.
 *            Throws ERR_ALKNET_CLOSED before onready and at the end,
 *            ERR_ALKNET_UNSUPPORTED when the engine cannot (libssh)
 *            unlisten(isLocal, host, port): id — the same host, and the port
 *            that was told
 *            ping(): id — a keepalive whose answer is told by onreply; throws
 *            as listen() does
 *            answer(request, yes, port) — of onlisten and onunlisten, in any
 *            order, now or later; nothing happens when it was answered before
 *            or the session is over. A yes to the port 0 names the one bound
 *   events   onhostkey(blob) onlogin() onauth(user, algorithm, blob, proven)
 *            onauthrefused(user, why, blob | null): the engine has refused by
 *            itself; why: 0 another method 1 no user name 2 no key that is
 *            accepted 3 a wrong signature (libssh: 0 and 2 only)
 *            onready() onclose(err)
 *            onchannelrefused(reason): the engine has refused one by itself
 *            onchannel(stream, type, host, port, originHost, originPort): a
 *            client gets channels only of what the server listens on for it
 *            onlisten(request, isLocal, host, port), onunlisten(the same): a
 *            server is asked; request is a number. A session with more than 128
 *            unanswered ends
 *            onreply(id, yes, port): to listen(), unlisten() or ping() (a yes,
 *            whatever the answer), once for each,
 *            in their order; a no at the session's end, before onclose. port:
 *            the one that the server chose, else the one asked for; 0 for a no
 *   types    0 direct-tcpip 1 forwarded-tcpip 2 direct-streamlocal
 *            3 forwarded-streamlocal (host is the path)
 *   reasons  1 prohibited 2 connect failed 3 unknown type 4 resource shortage
 *            (RFC 4254 §5.1); a refused open() ends in the stream's
 *            onclose(err) with err.code ERR_ALKNET_CHANNEL and err.reason
 *
 * Socks      a client of onrequest, which waits for one of:
 *   calls    connect(session, host, port, ms): opens a direct-tcpip channel;
 *            when it opens, says yes to the client and relays both
 *            join(stream, ms): the same with a stream of the addon, open or
 *            opening, which is taken
 *            refuse(code) close() — close() leaves a relay alone
 *   events   onrefused(err): the channel, or the stream, did not open, or not
 *            within ms; the client still waits
 *            onclose(err): once, last, always: the client is gone, and its
 *            channel or stream; null when it was refused or the relay ended
 *            cleanly
 *
 * Duplex     openDuplex(): a stream of the addon whose bytes this side carries,
 *            and the Duplex that carries them (csrc/napi/duplex_wrap.c)
 *            stream (getter): the stream of the addon, open
 *   calls    push(bytes): how many were taken; fewer than given: onread follows
 *            end() close(errno, text | null): heard behind all that was pushed
 *            ready(): after onwrite, the next may come
 *            finished(): after onend, all has left
 *   events   onwrite(buffer) onend() onread() onclose(): once, last
 *
 * Proxy      proxySocks5(stream, host, port, ms, user | null, password | null) ·
 *            proxyHttp(stream, host, port, ms, authorization | null): asks the
 *            proxy at the other end of an open stream, which is taken, for a way
 *            to host, an address or a name, within ms. What is wrong with the
 *            question is an onclose, too, but for a value of the wrong type or
 *            length
 *   calls    close(): gives up, onclose follows
 *   events   onopen(stream): once; it leads there. Or onclose(err): once.
 *            err.reason is the number that the proxy gave
 *
 * TlsContext tlsClientContext(pem | null, alpn | null, isDisguised): Promise<
 *            TlsContext> — certificates to trust, and nobody else's; null: anybody
 *            is trusted. alpn: 'h2,http/1.1', what to offer. isDisguised: it says
 *            hello as curl does
 *            tlsServerContext(certPem, keyPem, passphrase | null, alpn | null, isNginx):
 *            Promise<TlsContext>. Bytes. Rejects with ERR_ALKNET_KEY for what is
 *            wrong with the key, ERR_ALKNET_TLS for the certificate, which has to
 *            be valid now; alpn: what to choose from; isNginx: it shakes
 *            hands as nginx does. Neither a certificate nor
 *            a key, null: a context that refuses everybody, but for
 *            tlsProve(context, name, other | null): who asks for name, and offers
 *            acme-tls/1 alone (RFC 8737), goes on with other, a server's
 *            context; null: no longer
 *            tlsClient(stream, context, name | null): Stream — TLS over stream,
 *            which is taken, open or opening; it opens when the handshake is
 *            done. name: who it has to be; null only if anybody is trusted
 *            tlsServer(stream, context): Stream
 *            tlsInfo(stream): { version, cipher, alpn, name, resumed,
 *            fingerprint256 } | null of an open one; alpn and name (what the
 *            client has asked for): '' for none; else as the peer chose them.
 *            fingerprint256: 'AB:CD:…' of the peer's certificate, or null
 *            tlsPad(stream): the next few records of it hide their length, where
 *            TLS 1.3 is spoken
 *            An end without close_notify is onclose(err), ERR_ALKNET_LOST
 *
 * Gate       openGate(stream, context, server, secret | null, headMs, idleMs,
 *            hasSite): a connection to a listener that passes for a web server;
 *            stream, open, is taken. server: what it calls itself. secret: bytes
 *   calls    take(): Stream | null — after onssh: the TLS stream, and the gate's
 *            last word; null: the client is going
 *            serve(page) — after onssh or onvisitor: it gets pages, and that one
 *            for what is right: 404, 502 or 504
 *            relay(stream) — after onvisitor: an open stream to the site, taken
 *            close(): as nginx does, within a second; drop(): at once
 *   events   onssh(): an SSH client, which knows the secret if there is one
 *            onvisitor(): with hasSite, anybody else who speaks TLS
 *            onclose(outcome, err): once, last; a word of docs/stealth.md#limits
 *            stealthGreeting(stream, secret, host): Buffer — what a client says
 *            first on an open TLS stream; throws ERR_ALKNET_TLS where TLS has no
 *            keys for it
 *
 * Relay      relay(a, b, ms): joins two streams, open or still opening; with ms
 *            they have so long to open
 *   calls    close()
 *   events   onclose(err, bytesAToB, bytesBToA): once, both are closed
 *
 * NetWatch   watchNetwork(): throws ERR_ALKNET_UNSUPPORTED where there is no such
 *            thing (all but Linux); keeps no process up
 *   calls    close()
 *   events   onchange(): an interface, an address or a route is another; at
 *            most four times a second   onclose(): once
 *
 * Key        readPrivateKey(text, passphrase | null): Promise<Key>
 *            readPublicBlob(blob): Key   generateKey(type): Promise<Key>
 *            (type: 'ed25519' 'ecdsa' 'rsa')
 *            keyFormat(text): 'openssh' 'encrypted' 'pem' 'unknown'
 *   calls    type bits comment isPrivate (getters) blob(): Buffer
 *            certificate (getter): Buffer | null   dup(): Key, as it is
 *            attachCertificate(blob): in place of one it had; throws when it
 *            is damaged or certifies another key. A login with the key is one
 *            with the certificate, then; a server has both to show
 *            writePrivate(passphrase | null, comment): Promise<Buffer>
 *            writePublic(comment): string
 *
 * Certificates
 *            isCertificate(blob): boolean — its type is one
 *            readCertificate(blob): a plain object, of a certificate whose
 *            signature is right; else throws ERR_ALKNET_KEY:
 *            { type, keyType, key: Buffer, fingerprint, kind: 'user'|'host',
 *            keyId, serial: BigInt, principals: string[], validAfter: BigInt,
 *            validBefore: BigInt, critical, extensions: [{ name, value, data:
 *            Buffer }], ca: Buffer, caFingerprint, caType, algorithm }
 *            key and ca are blobs; value is what the one string in data holds,
 *            or null when data is no such string or not UTF-8. A key id, a
 *            principal or a name that is not UTF-8 is refused with the whole
 *            certificate: two of them could look the same in JS
 *            checkCertificate(blob, kind, principal | null, nowSeconds): null,
 *            or a sentence why not (alk_cert_check; a damaged one, too)
 *            signCertificate(caKey, { key: blob, kind, keyId, serial: BigInt,
 *            principals, validAfter: BigInt, validBefore: BigInt, critical,
 *            extensions: [{ name, value: string | null }] }): Promise<Buffer>
 *            — off the loop; lists in any order; RSA signs rsa-sha2-512
 *
 * Krl        readKrl(bytes): throws ERR_ALKNET_KEY when any of it is not known
 *   calls    revokes(blob): null, or why a key or certificate is revoked; one
 *            that cannot be read is
 *
 * fingerprint(blob): 'SHA256:…'
 * hostsMatch(text, host, port, blob | null): { verdict, line, types }
 *            verdict: 'unknown' 'trusted' 'changed' 'other' 'revoked'; line
 *            from 1, 0 for none; types: 'ssh-ed25519,…' that stand there
 * hostsAuthority(text, host, port, blob | null): the same, of a CA's key and
 *            @cert-authority lines; 'other': only other CAs stand there
 * hostsLine(host, port, hashed, blob): string
 * notify(path, bytes)
 *            one datagram to the Unix socket at path, or of the abstract name
 *            '@…'; at most 2048 bytes. Never waits: throws EAGAIN when the
 *            reader is behind
 * errors     [{ code, stage, text, advice }] — csrc/core/err.h
 * versions   { libssh, openssl, uv } as they run
 * engines    ['native', 'libssh'] — the first is the default
 * live()     how many native objects are not closed yet (for tests)
 */

const fs = require('fs')
const path = require('path')
const { nativeError } = require('./errors')

const root = path.join(__dirname, '..')
const candidates = [
  path.join(root, 'prebuilds', `${process.platform}-${process.arch}`, 'alknet.node'),
  path.join(root, 'build', 'Release', 'alknet.node')
]

/** A path as a word for a shell. */
function inShell (word) {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`
}

function load () {
  const found = candidates.find((file) => fs.existsSync(file))
  if (found === undefined) {
    // The CLI prints an error that has a code without its stack.
    throw Object.assign(new Error('the native addon of alknet was not found. Looked for:\n' +
      candidates.map((file) => `  ${file}\n`).join('') +
      `To build it, run: npm --prefix ${inShell(root)} run build\nIt needs a C compiler, make and Python 3.`), { code: 'MODULE_NOT_FOUND' })
  }
  return require(found)
}

const binding = load()

binding.setErrorFactory(nativeError)
for (const [name, events] of Object.entries(binding.events)) {
  binding.register(name, events.map((event) => function (...args) {
    const owner = this.owner
    if (owner && owner[event]) owner[event](...args)
  }))
}

module.exports = binding
