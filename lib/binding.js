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
 * Stream     connectTcp(address, port) · connectUnix(path): numeric addresses
 *   calls    resume() pause() write(uint8array): boolean end() close()
 *            peer() local(): { address, port, family } | null     kind: string
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
 * Listener   listenTcp(address, port): throws when it cannot bind
 *   calls    address(): { address, port, family } close() ref() unref()
 *   events   onstream(stream) onerror(err) onclose()
 *            (each stream must get an owner, or be closed, in onstream)
 *            listenSocks(address, port, user | null, password | null, ms): a
 *            Listener whose clients speak SOCKS, and have ms for a request and
 *            as long to take a refusal. close() drops those that have not asked
 *   events   onrequest(socks, version, host, port) onerror(err) onclose()
 *
 * Session    sshClient(stream, options) · sshServer(stream, options)
 *   options  engine user hostKeys: Key[] kex ciphers macs hostKeyAlgorithms
 *            rekeyBytes rekeySeconds windowMax maxChannels (all optional but
 *            user for a client and hostKeys for a server; lists: 'a,b')
 *   calls    trust(boolean) login(key) admit(boolean) keepalive()
 *            ref() unref()
 *            received(): number of bytes info(): { engine, peer, kex, hostkey,
 *            cipherIn, cipherOut, macIn, macOut } close()
 *            open(type, host, port, originHost, originPort): Stream
 *            accept(stream) refuse(stream, reason, text) — channels of onchannel
 *   events   onhostkey(blob) onlogin() onauth(user, algorithm, blob, proven)
 *            onready() onclose(err)
 *            onchannel(stream, type, host, port, originHost, originPort)
 *   types    0 direct-tcpip 1 forwarded-tcpip 2 direct-streamlocal
 *            3 forwarded-streamlocal (host is the path)
 *   reasons  1 prohibited 2 connect failed 3 unknown type 4 resource shortage
 *            (RFC 4254 §5.1); a refused open() ends in the stream's
 *            onclose(err) with err.code ERR_ALKNET_CHANNEL and err.reason
 *
 * Socks      a client of onrequest, which waits for one of:
 *   calls    connect(session, host, port, ms): opens a direct-tcpip channel;
 *            when it opens, says yes to the client and relays both
 *            refuse(code) close() — close() leaves a relay alone
 *   events   onrefused(err): the channel did not open, or not within ms; the
 *            client still waits
 *            onclose(err): once, last, always: the client is gone, and its
 *            channel; null when it was refused or the relay ended cleanly
 *
 * Relay      relay(a, b): joins two streams, open or still opening
 *   calls    close()
 *   events   onclose(err, bytesAToB, bytesBToA): once, both are closed
 *
 * Key        readPrivateKey(text, passphrase | null): Promise<Key>
 *            readPublicBlob(blob): Key   generateKey(type): Promise<Key>
 *            (type: 'ed25519' 'ecdsa' 'rsa')
 *            keyFormat(text): 'openssh' 'encrypted' 'pem' 'unknown'
 *   calls    type bits comment isPrivate (getters) blob(): Buffer
 *            writePrivate(passphrase | null, comment): Promise<Buffer>
 *            writePublic(comment): string
 *
 * fingerprint(blob): 'SHA256:…'
 * hostsMatch(text, host, port, blob | null): { verdict, line, types }
 *            verdict: 'unknown' 'trusted' 'changed' 'other' 'revoked'; line
 *            from 1, 0 for none; types: 'ssh-ed25519,…' that stand there
 * hostsLine(host, port, hashed, blob): string
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

function load () {
  const found = candidates.find((file) => fs.existsSync(file))
  if (found === undefined) {
    throw new Error('alknet: the native addon was not found. Looked for:\n' +
      candidates.map((file) => `  ${file}\n`).join('') +
      'To build it, run: npm run build (needs a C compiler, Python 3 and libssh-dev)')
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
