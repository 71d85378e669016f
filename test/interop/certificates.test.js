'use strict'

/**
 * The certificate matrix: who may log in with which certificate, and whether
 * anything may then be forwarded. Each case is a certificate of ssh-keygen, or
 * one that ssh-keygen does not make, of test/helpers/certificates.js. `ssh` and
 * alknet's own client offer it to `alknet serve`, `ssh` offers it to `sshd`; what
 * neither client would offer goes by ssh2. All verdicts are the same, or `sshd`
 * says what stock sshd does instead, and `why`: docs/cli.md has those.
 *
 * One server and one sshd serve all cases: a case with a line of authorized_keys
 * has a CA of its own.
 */

const assert = require('node:assert')
const crypto = require('node:crypto')
const { execFileSync } = require('node:child_process')
const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')
const { openSession, serve } = require('../../lib')
const { engineOf, needAlknet, runAlknet, startServe } = require('../helpers/alknet')
const { HOST, certificateLine, certify, makeKey } = require('../helpers/certificates')
const { key, keyOf } = require('../helpers/keys')
const { listen, readAll } = require('../helpers/net')
const { me, needSshd, runSsh, startSshd } = require('../helpers/openssh')
const { need } = require('../helpers/proc')
const { suiteScope, testScope } = require('../helpers/scope')
const { connectWithCertificate, forwardOut } = require('../helpers/ssh2')

// Verdicts: refused; the login alone; forwarding too.
const NO = 'refused'
const LOGIN = 'login'
const YES = 'forwards'

const LATER = ['-V', '20400101:20410101']
const PAST = ['-V', '20200101:20210101']

/** by: the CA, of made.cas or made.nodeCa. args: of ssh-keygen -s. */
const CASES = [
  // ---- kinds of keys
  { name: 'an Ed25519 key', verdict: YES },
  { name: 'a P-256 key', subject: 'ecdsa-256', verdict: YES },
  { name: 'a P-384 key', subject: 'ecdsa-384', verdict: YES },
  { name: 'an RSA key', subject: 'rsa-3072', verdict: YES },
  { name: 'an RSA key of 2048 bits', subject: 'rsa-2048', verdict: NO, reason: 'cert_invalid', sshd: YES, why: 'RSA from 3072 bits' },
  { name: 'a CA of P-256', by: 'ecdsa-256', verdict: YES },
  { name: 'a CA of P-384', by: 'ecdsa-384', verdict: YES },
  { name: 'a CA of RSA, rsa-sha2-512', by: 'rsa-3072', args: ['-t', 'rsa-sha2-512'], verdict: YES },
  { name: 'a CA of RSA, rsa-sha2-256', by: 'rsa-3072', args: ['-t', 'rsa-sha2-256'], verdict: YES },
  { name: 'a CA of RSA, SHA-1', by: 'rsa-3072', args: ['-t', 'ssh-rsa'], raw: true, verdict: NO, reason: 'cert_invalid' },
  { name: 'a CA of RSA with 2048 bits', by: 'rsa-2048', verdict: NO, reason: 'cert_invalid', sshd: YES, why: 'RSA from 3072 bits' },

  // ---- type and signature
  { name: "a host's certificate", args: ['-h'], raw: true, verdict: NO, reason: 'cert_not_user' },
  { name: 'a right certificate by the raw client', fields: {}, raw: true, verdict: YES },
  { name: "another key's signature", fields: {}, signer: 'ed25519-other', raw: true, engine: 'native', verdict: NO, why: 'libssh waits for the login time' },
  { name: 'a changed key id', fields: { spoil: true }, raw: true, verdict: NO, reason: 'cert_invalid' },
  { name: 'the CA is a certificate', fields: () => ({ caBlob: certify(nodeCa, nodeCa.blob) }), raw: true, verdict: NO, reason: 'cert_invalid' },
  { name: "another CA's name on it", fields: () => ({ caBlob: key('ed25519', 'ca').blob }), raw: true, verdict: NO, reason: 'cert_invalid' },
  { name: 'signed by its own key', by: 'itself', verdict: NO, reason: 'ca_unknown' },
  { name: 'an unknown type number', fields: { kind: 3 }, raw: true, verdict: NO, reason: 'cert_invalid' },
  { name: "a host's certificate of an unknown CA", fields: { kind: HOST }, by: 'unknown', raw: true, verdict: NO, reason: 'cert_not_user' },
  { name: 'an unknown CA', by: 'unknown', verdict: NO, reason: 'ca_unknown' },

  // ---- revoked
  { name: 'a CA in the KRL', by: 'revoked', verdict: NO, reason: 'ca_revoked' },
  { name: "a CA's hash in the KRL", by: 'hashed', verdict: NO, reason: 'ca_revoked' },
  { name: 'a serial number in the KRL', args: ['-z', '42'], verdict: NO, reason: 'key_revoked' },
  { name: 'a serial number of a range in the KRL', args: ['-z', '1500'], verdict: NO, reason: 'key_revoked' },
  { name: 'the serial number after that range', args: ['-z', '2001'], verdict: YES },
  { name: 'a revoked serial number of another CA', by: 'ecdsa-256', args: ['-z', '42'], verdict: YES },
  { name: 'the largest serial number', args: ['-z', '18446744073709551615'], verdict: NO, reason: 'key_revoked' },
  { name: 'a key id in the KRL', id: 'revoked-id', verdict: NO, reason: 'key_revoked' },
  { name: 'its key in the KRL', subject: 'ed25519-revoked', verdict: NO, reason: 'key_revoked' },
  { name: "its key's SHA-256 in the KRL", subject: 'ed25519-sha256', verdict: NO, reason: 'key_revoked' },
  { name: "its key's SHA-1 in the KRL", subject: 'ed25519-sha1', verdict: NO, reason: 'key_revoked' },
  { name: 'its key in a plain list', subject: 'ed25519-listed', sshd: 'plain', verdict: NO, reason: 'key_revoked' },
  { name: 'its CA in a plain list', by: 'listed', sshd: 'plain', verdict: NO, reason: 'ca_revoked' },
  { name: "its key's fingerprint in a plain list", subject: 'ed25519-print', verdict: NO, reason: 'key_revoked', sshd: YES, why: 'sshd has no fingerprints in lists' },
  { name: 'a plain key in the KRL', plain: true, subject: 'ed25519-revoked', verdict: NO, reason: 'key_revoked' },
  { name: 'a plain key', plain: true, subject: 'ed25519-known', verdict: YES },
  { name: 'the key of a trusted CA', plain: true, subject: 'ca', verdict: NO, reason: 'unknown_key' },

  // ---- time
  { name: 'expired', args: PAST, verdict: NO, reason: 'cert_expired' },
  { name: 'not yet valid', args: LATER, verdict: NO, reason: 'cert_not_yet_valid' },
  { name: 'valid for an hour', args: ['-V', '-5m:+1h'], verdict: YES },
  { name: 'valid after it has expired', fields: { validAfter: 5n, validBefore: 4n }, raw: true, verdict: NO, reason: 'cert_expired' },

  // ---- principals
  { name: 'another principal', principals: 'other', verdict: NO, reason: 'principal_mismatch' },
  { name: 'several principals', principals: `a,${me},b`, verdict: YES },
  { name: 'no principals', principals: null, verdict: NO, reason: 'principals_empty' },
  { name: "no principals, by a line's CA", line: '', principals: null, verdict: NO, reason: 'principals_empty', sshd: YES, why: 'for sshd such a certificate is everybody\'s' },
  { name: 'a principal with a comma', fields: { principals: [`${me},other`] }, raw: true, verdict: NO, reason: 'principal_mismatch' },
  { name: 'a pattern for a principal', principals: '*', verdict: NO, reason: 'principal_mismatch' },
  { name: 'a principal in other case', principals: me.toUpperCase(), verdict: NO, reason: 'principal_mismatch' },
  { name: 'principals= with it', line: 'principals="x,y"', principals: 'y', verdict: YES },
  { name: 'principals= without it', line: 'principals="x,y"', principals: 'z', verdict: NO, reason: 'principal_mismatch' },
  { name: 'principals= in place of the user', line: 'principals="x,y"', principals: me, verdict: NO, reason: 'principal_mismatch' },
  { name: 'principals= and a comma', line: 'principals="x,y"', fields: { principals: ['x,z'] }, raw: true, verdict: NO, reason: 'principal_mismatch', sshd: [YES, NO], why: 'sshd before 10.3 took the comma apart' },
  { name: 'principals= of a pattern', line: 'principals="*"', principals: 'z', verdict: NO, reason: 'principal_mismatch' },

  // ---- critical options
  { name: 'an unknown critical option', args: ['-O', 'critical:no-such@example.com=x'], verdict: NO, reason: 'critical_option' },
  { name: 'verify-required', args: ['-O', 'verify-required'], verdict: NO, reason: 'critical_option', sshd: YES, why: 'sshd asks it of security keys only' },
  { name: 'force-command', args: ['-O', 'force-command=id'], verdict: YES },
  { name: 'force-command and another command=', line: 'command="true"', args: ['-O', 'force-command=id'], verdict: YES, sshd: NO, why: 'no command is run here' },
  { name: 'source-address in', args: ['-O', 'source-address=10.0.0.0/8,127.0.0.0/8'], verdict: YES },
  { name: 'source-address out', args: ['-O', 'source-address=10.0.0.0/8,192.0.2.0/24'], verdict: NO, reason: 'source_address' },
  { name: 'source-address of one address', args: ['-O', 'source-address=127.0.0.1'], verdict: YES },
  { name: 'source-address malformed', args: ['-O', 'critical:source-address=0.0.0.0/0,x'], verdict: NO, reason: 'source_address' },
  { name: 'source-address with host bits', args: ['-O', 'critical:source-address=127.0.0.1/8'], verdict: NO, reason: 'source_address' },
  { name: 'source-address with a space', args: ['-O', 'critical:source-address=127.0.0.1, 127.0.0.0/8'], verdict: NO, reason: 'source_address' },
  { name: 'source-address as a pattern', args: ['-O', 'critical:source-address=127.*'], verdict: NO, reason: 'source_address' },
  { name: 'source-address in, IPv6', v6: true, args: ['-O', 'source-address=2001:db8::/32,::1/128'], verdict: YES },
  { name: 'source-address out, IPv6', v6: true, args: ['-O', 'source-address=2001:db8::/32'], verdict: NO, reason: 'source_address' },
  { name: 'source-address of IPv4, by IPv6', v6: true, args: ['-O', 'source-address=0.0.0.0/0'], verdict: NO, reason: 'source_address' },
  { name: 'options out of order', fields: { critical: { 'source-address': '0.0.0.0/0', 'force-command': 'x' } }, verdict: NO, reason: 'cert_invalid', sshd: YES, why: 'what a CA may not write is refused' },
  { name: 'the same option twice', fields: { critical: [['source-address', '0.0.0.0/0'], ['source-address', '10.0.0.0/8']] }, verdict: NO, reason: 'cert_invalid' },

  // ---- extensions
  { name: 'without permit-port-forwarding', args: ['-O', 'no-port-forwarding'], verdict: LOGIN },
  { name: 'without any extension', args: ['-O', 'clear'], verdict: LOGIN },
  { name: 'with permit-port-forwarding alone', args: ['-O', 'clear', '-O', 'permit-port-forwarding'], verdict: YES },
  { name: 'an unknown extension', args: ['-O', 'extension:x@example.com=y'], verdict: YES },
  { name: 'permit-port-forwarding with a value', args: ['-O', 'clear', '-O', 'extension:permit-port-forwarding=x'], verdict: NO, reason: 'cert_invalid' },
  { name: 'scopes', args: ['-O', 'extension:scopes@alknet=a,b'], verdict: YES },
  { name: 'scopes that are none', args: ['-O', 'extension:scopes@alknet=a b'], verdict: NO, reason: 'cert_scopes', sshd: YES, why: "scopes are alknet's own" },
  { name: 'a key id that is not UTF-8', fields: { keyId: Buffer.from([0x61, 0xff]) }, verdict: NO, reason: 'cert_invalid', sshd: YES, why: 'key ids become identities' },

  // ---- the CA's line
  { name: 'a line', line: '', verdict: YES },
  { name: 'a line of restrict', line: 'restrict', verdict: LOGIN },
  { name: 'a line of restrict and port-forwarding', line: 'restrict,port-forwarding', verdict: YES },
  { name: 'a line of no-port-forwarding', line: 'no-port-forwarding', verdict: LOGIN },
  { name: 'a line that permits what the certificate does not', line: 'port-forwarding', args: ['-O', 'clear'], verdict: LOGIN },
  { name: 'a line with from=, in', line: 'from="127.0.0.0/8"', verdict: YES },
  { name: 'a line with from=, out', line: 'from="10.0.0.0/8"', verdict: NO, reason: 'from_mismatch' },
  { name: 'a line with from= and source-address', line: 'from="127.0.0.0/8"', args: ['-O', 'source-address=10.0.0.0/8'], verdict: NO, reason: 'source_address' },
  { name: 'a line that has expired', line: 'expiry-time="20200101"', verdict: NO, reason: 'key_expired' },
  { name: 'a line that expires later', line: 'expiry-time="20400101Z"', verdict: YES },
  { name: 'a line with permitopen of another port', line: 'permitopen="127.0.0.1:1"', verdict: LOGIN },
  { name: 'a line with permitopen of the host', line: 'permitopen="127.0.0.1:*"', verdict: YES },
  { name: 'a line with an unknown option', line: 'no-such-option', verdict: NO, reason: 'ca_unknown' },
  { name: 'a line without cert-authority', line: 'pty', authority: false, verdict: NO, reason: 'ca_unknown' }
]

const nodeCa = makeKey()
const keygen = (...args) => execFileSync('ssh-keygen', ['-q', ...args], { stdio: ['ignore', 'pipe', 'pipe'] })

/** 'ed25519-x' and 'ecdsa-256' alike: a key of that kind. */
function keyNamed (name, role) {
  const [kind, rest] = name.split('-')
  if (kind === 'ed25519') return key(kind, `${role}${rest === undefined ? '' : `-${rest}`}`)
  return key(name, role)
}

/** The CA of a case: { public, path or sign, blob }. */
function authorityOf (one, number) {
  if (one.fields !== undefined) return one.line !== undefined || one.by !== undefined ? makeKey() : nodeCa
  if (one.line !== undefined) return key('ed25519', `ca-${number}`)
  return keyNamed({ undefined: 'ed25519', unknown: 'ed25519-unknown', revoked: 'ed25519-revoked', hashed: 'ed25519-hashed', listed: 'ed25519-listed' }[one.by] ?? one.by, 'ca')
}

/** Makes a case's identity in a directory of its own: id, id.pub, id-cert.pub. */
function prepare (scope, one, number) {
  const id = path.join(scope.dir(), 'id')
  const subject = one.subject === 'ca' ? key('ed25519', 'ca') : keyNamed(one.subject ?? 'ed25519', 'cert-user')
  fs.copyFileSync(subject.path, id)
  fs.chmodSync(id, 0o600)
  fs.writeFileSync(`${id}.pub`, `${subject.public}\n`)
  const made = { ...one, identity: keyOf(id), keyId: one.id ?? `case-${number}`, subject }
  if (one.plain) return made
  const isOwn = one.by === 'itself'
  made.ca = isOwn ? subject : authorityOf(one, number)
  if (one.fields !== undefined) {
    const fields = typeof one.fields === 'function' ? one.fields() : one.fields
    const blob = certify(made.ca, subject.blob, { keyId: made.keyId, principals: [me], ...fields })
    fs.writeFileSync(`${id}-cert.pub`, certificateLine(blob))
  } else {
    const principals = one.principals === null ? [] : ['-n', one.principals ?? me]
    keygen('-s', isOwn ? id : made.ca.path, '-I', made.keyId, ...principals, ...(one.args ?? []), `${id}.pub`)
  }
  made.blob = Buffer.from(fs.readFileSync(`${id}-cert.pub`, 'utf8').split(' ')[1], 'base64')
  return made
}

/** The line of authorized_keys for a case's CA, or for its plain key. */
function lineOf ({ line, authority = true, plain, subject, ca }) {
  if (plain) return subject.path === key('ed25519', 'ca').path ? null : subject.public
  if (line === undefined) return null
  return `${[authority ? 'cert-authority' : '', line].filter(Boolean).join(',')} ${ca.public}`
}

/** A KRL of ssh-keygen's with every kind of entry. */
function makeKrl (scope) {
  const file = path.join(scope.dir(), 'krl')
  const of = (name, role = 'cert-user') => keyNamed(`ed25519-${name}`, role).public
  const entries = scope.file('entries', [
    'serial: 42', 'serial: 1000-2000', 'serial: 18446744073709551615', 'id: revoked-id',
    `key: ${of('revoked')}`, `sha256: ${of('sha256')}`, `sha1: ${of('sha1')}`,
    `key: ${of('revoked', 'ca')}`, `hash: ${keyNamed('ed25519-hashed', 'ca').fingerprint}`, ''
  ].join('\n'))
  keygen('-k', '-f', file, '-s', key('ed25519', 'ca').publicPath, entries)
  return file
}

const CAS = ['ed25519', 'ed25519-revoked', 'ed25519-hashed', 'ed25519-listed', 'ecdsa-256', 'ecdsa-384', 'rsa-3072', 'rsa-2048']

describe('certificates: the matrix', function () {
  this.timeout(120000)
  const suite = suiteScope()
  const scope = testScope()
  const hostKey = key('ed25519', 'host')
  const hasIPv6 = Object.values(os.networkInterfaces()).flat().some((one) => one.address === '::1')
  let cases, target, server, sshd, plainSshd

  before(async function () {
    needAlknet(this)
    need(this, 'ssh', 'ssh-keygen')
    needSshd(this)
    target = await listen(suite, (socket) => socket.resume().end('ok'))
    cases = new Map(CASES.map((one, i) => [one, prepare(suite, one, i)]))
    const lines = [...cases.values()].map(lineOf).filter((line) => line !== null)
    const authorities = suite.file('ca.pub', [...CAS.map((name) => keyNamed(name, 'ca')), nodeCa].map((ca) => `${ca.public}\n`).join(''))
    const listed = [keyNamed('ed25519-listed', 'cert-user'), keyNamed('ed25519-listed', 'ca')].map((one) => `${one.public}\n`).join('')
    const krl = makeKrl(suite)
    const started = await startServe(suite, {
      listen: ['127.0.0.1:0', ...(hasIPv6 ? ['[::1]:0'] : [])],
      authorizedKeys: `${lines.join('\n')}\n`,
      args: ['--cert-authority', authorities, '--revoked-keys', krl,
        '--revoked-keys', suite.file('revoked', `# gone\n${listed}\n${keyNamed('ed25519-print', 'cert-user').fingerprint} too\n`)]
    })
    server = { ...started, user: me }
    const config = [`TrustedUserCAKeys ${authorities}`, ...(hasIPv6 ? ['ListenAddress ::1'] : [])]
    const userKeys = lines.map((line) => ({ public: line }))
    sshd = await startSshd(suite, { userKeys, config: [...config, `RevokedKeys ${krl}`] })
    plainSshd = await startSshd(suite, { userKeys, config: [...config, `RevokedKeys ${suite.file('listed', listed)}`] })
  })

  async function overIPv6 (one) {
    const match = await one.proc.waitFor(/listening on (?:\[::1\]:|::1 port )(\d+)/)
    return { ...one, host: '::1', port: Number(match[1]) }
  }

  /** What stock ssh gets out of it. */
  async function bySsh (to, { identity }) {
    const { code, stdout, output } = await runSsh(scope, to, { identity, options: ['KexAlgorithms=curve25519-sha256'], args: ['-W', `127.0.0.1:${target.port}`] })
    if (code === 0 && stdout === 'ok') return YES
    if (/Authenticated to/.test(output)) {
      assert.match(output, /administratively prohibited/, output)
      return LOGIN
    }
    assert.match(output, /Permission denied/, output)
    return NO
  }

  /** What alknet's client gets out of it; it may refuse to offer it at all. */
  async function byAlknet (to, { identity, signer }) {
    if (signer !== undefined) return NO // it has no key but that of the certificate
    const session = await openSession({
      server: `${to.host.includes(':') ? `[${to.host}]` : to.host}:${to.port}`,
      user: me,
      identity: identity.path,
      hostKey: hostKey.fingerprint,
      knownHosts: []
    }).catch((err) => err)
    if (session instanceof Error) {
      assert(['auth', 'key'].includes(session.stage), session.stack)
      return NO
    }
    scope.defer(() => session.close())
    const stream = await session.open({ host: '127.0.0.1', port: target.port }).catch((err) => err)
    if (stream instanceof Error) {
      assert.strictEqual(stream.reason, 1, stream.stack)
      return LOGIN
    }
    assert.strictEqual((await readAll(stream)).toString(), 'ok')
    return YES
  }

  /** What the bytes get, whether or not a client would offer them. */
  async function byBytes (to, { subject, signer, blob }) {
    const identity = signer === undefined ? subject : keyNamed(signer, 'cert-user')
    const client = await connectWithCertificate(scope, to, { identity, blob }).catch((err) => err)
    if (client instanceof Error) {
      assert.match(client.message, /authentication methods failed/)
      return NO
    }
    const stream = await forwardOut(client, '127.0.0.1', target.port).catch((err) => err)
    if (stream instanceof Error) {
      assert.strictEqual(stream.reason, 1, stream.stack)
      return LOGIN
    }
    assert.strictEqual((await readAll(stream)).toString(), 'ok')
    return YES
  }

  /** How the log calls that login: by the certificate, or by what was sent. */
  function inLog ({ plain, subject, blob, keyId, reason }) {
    const print = (bytes) => `key_fingerprint=SHA256:${crypto.createHash('sha256').update(bytes).digest('base64').replace(/=+$/, '')}`
    if (plain) return print(subject.blob)
    return reason === 'cert_invalid' ? `(?:cert_id=${keyId}|${print(blob)})` : `cert_id=${keyId}`
  }

  for (const [number, one] of CASES.entries()) {
    const { name, verdict, reason, raw, v6, engine, sshd: theirs = verdict } = one
    it(`${number + 1}. ${name}: ${verdict}${reason ? ` (${reason})` : ''}`, async function () {
      if (v6 && !hasIPv6) {
        console.log('      skipped: this machine has no ::1')
        this.skip()
      }
      if (engine !== undefined && engineOf('serve') !== engine) {
        console.log(`      skipped: ${one.why}`)
        this.skip()
      }
      const made = cases.get(one)
      const at = async (which) => v6 ? overIPv6(which) : which
      const stock = raw ? byBytes : bySsh
      const [ssh, ours, other] = await Promise.all([
        stock(await at(server), made),
        byAlknet(await at(server), made),
        stock(await at(theirs === 'plain' ? plainSshd : sshd), made)
      ])
      const expected = theirs === 'plain' ? verdict : theirs
      assert.deepStrictEqual({ ssh, ours, sshd: other }, { ssh: verdict, ours: verdict, sshd: [expected].flat().includes(other) ? other : expected })
      if (expected !== verdict) assert(one.why, 'a difference needs its reason')
      if (verdict === NO && reason === undefined) return // the engine has refused it
      const what = inLog(made).replace(/[+]/g, '\\$&')
      await server.proc.waitFor(new RegExp(`auth attempt .*${what} .*result=${verdict === NO ? `reject reason=${reason}` : 'accept'}\\n`))
    })
  }

  it('has at least forty cases', () => {
    assert(CASES.length >= 40, String(CASES.length))
    assert.strictEqual(new Set(CASES.map((one) => one.name)).size, CASES.length)
  })
})

describe('certificates: a server that runs', function () {
  this.timeout(60000)
  const scope = testScope()
  const hostKey = key('ed25519', 'host')
  const user = key('ed25519', 'cert-user')
  const ca = makeKey()
  const certificate = Buffer.from(certificateLine(certify(ca, user.blob, { keyId: 'alice', principals: ['alice'], extensions: { 'permit-port-forwarding': '', 'scopes@alknet': 'ops' } })))
  let server, lines, infos

  async function started (options) {
    lines = []
    infos = []
    const mine = await serve({
      hostKey: hostKey.private,
      certAuthority: Buffer.from(ca.public),
      listen: '127.0.0.1:0',
      log: { write: (line) => lines.push(line) },
      ...options
    })
    server = mine
    server.on('auth', (info) => infos.push(info))
    scope.defer(() => mine.close())
  }

  /** A session by the certificate, or why there is none. */
  async function login () {
    const session = await openSession({
      server: `127.0.0.1:${server.address().port}`,
      user: 'alice',
      identity: user.private,
      certificate,
      hostKey: hostKey.fingerprint,
      knownHosts: []
    }).catch((err) => err)
    if (!(session instanceof Error)) scope.defer(() => session.close())
    return session
  }

  async function expectLogin () {
    const session = await login()
    assert(!(session instanceof Error), session.stack)
    return session
  }

  async function expectRefusal (reason) {
    assert.strictEqual((await login()).code, 'ERR_ALKNET_AUTH')
    assert(lines.some((line) => line.includes(' cert_id=alice cert_serial=1 ca_fingerprint=SHA256:') && line.endsWith(`result=reject reason=${reason}`)), lines.join('\n'))
  }

  it('knows who somebody is by the certificate', async () => {
    await started()
    await expectLogin()
    assert.deepStrictEqual(infos.map(({ user, identity }) => [user, identity]), [['alice', { id: 'alice', scopes: ['ops'], resources: {} }]])
    assert(!lines.some((line) => line.startsWith('WARN nobody can log in')))
  })

  it('takes revocations and CAs at a reload, all or nothing', async () => {
    await started()
    const target = await listen(scope, (socket) => socket.resume().end('ok'))
    const session = await expectLogin()
    await server.reloadAll({ revokedKeys: Buffer.from(user.public) })
    await expectRefusal('key_revoked')
    assert.strictEqual((await readAll(await session.open({ host: '127.0.0.1', port: target.port }))).toString(), 'ok', 'a session goes on')
    await assert.rejects(server.reloadAll({ revokedKeys: Buffer.from('rubbish'), certAuthority: [] }), { code: 'ERR_ALKNET_KEY', message: /^revokedKeys:1: / })
    await assert.rejects(server.reloadAll({ revokedKeys: '/nonexistent/krl' }), { code: 'ENOENT' })
    lines.length = 0
    await expectRefusal('key_revoked')
    await server.reloadAll({ revokedKeys: [] })
    await expectLogin()
    await server.reloadAll({ certAuthority: [] })
    await expectRefusal('ca_unknown')
    assert(lines.some((line) => line.startsWith('WARN nobody can log in')))
  })

  it('has rules for its key id and its scopes', async () => {
    const target = await listen(scope, (socket) => socket.resume().end('ok'))
    for (const principals of ['alice', 'ops']) {
      await started({ forwarding: { default: 'deny', rules: `allow 127.0.0.1:${target.port} ${principals}` } })
      const session = await expectLogin()
      assert.strictEqual((await readAll(await session.open({ host: '127.0.0.1', port: target.port }))).toString(), 'ok')
    }
    await started({ forwarding: { default: 'deny', rules: `allow 127.0.0.1:${target.port} bob` } })
    const session = await expectLogin()
    await assert.rejects(session.open({ host: '127.0.0.1', port: target.port }), { reason: 1 })
  })

  describe('on the command line', () => {
    const args = (...more) => ['serve', '--key', hostKey.path, '--listen', '127.0.0.1:0', ...more]

    it('does not start without its revocations', async () => {
      const broken = scope.file('revoked', `# gone\n${user.public.slice(0, -40)}\n`)
      const missing = path.join(scope.dir(), 'krl')
      for (const [file, message] of [[broken, `${broken}:2: `], [missing, `cannot read ${missing}: no such file`]]) {
        for (const check of [[], ['--check']]) {
          const { code, stdout, stderr } = await runAlknet(scope, args('--revoked-keys', file, ...check))
          assert.strictEqual(code, 2, stderr)
          assert.strictEqual(stdout, '')
          assert(stderr.startsWith(`alknet: ${message}`), stderr)
          assert.strictEqual(stderr.trimEnd().split('\n').length, 1, stderr)
        }
      }
    })

    it('keeps the old state when a revocation list is broken at SIGHUP', async () => {
      const file = scope.file('revoked', `${user.public}\n`)
      const { proc, port } = await startServe(scope, { args: ['--cert-authority', scope.file('ca.pub', ca.public), '--revoked-keys', file] })
      fs.writeFileSync(file, 'rubbish\n')
      proc.kill('SIGHUP')
      await proc.waitFor(/ERROR not reloaded .*revoked:1: /)
      server = { address: () => ({ port }) }
      assert.strictEqual((await login()).code, 'ERR_ALKNET_AUTH')
      await proc.waitFor(/cert_id=alice .*reason=key_revoked/)
      fs.writeFileSync(file, '\n')
      proc.kill('SIGHUP')
      await proc.waitFor(/INFO reloaded/)
      await expectLogin()
    })

    it('shows its CAs with --check, in a file that says the same', async () => {
      const file = scope.file('ca.pub', `# CAs\n${ca.public}\nrubbish\n`)
      const line = scope.file('authorized_keys', `cert-authority ${key('ed25519', 'ca').public}\n`)
      const krl = scope.file('revoked', '')
      const first = await runAlknet(scope, args('--cert-authority', file, '--authorized-keys', line, '--revoked-keys', krl, '--check'))
      assert.strictEqual(first.code, 0, first.output)
      assert(first.stderr.startsWith(`${file}:3: `), first.stderr)
      assert(first.stdout.includes(`\n# certificate authority ${key('ed25519', 'ca').fingerprint} ssh-ed25519 (${line}:1)\n`), first.stdout)
      assert(first.stdout.includes(`(${file}:2)\n`), first.stdout)
      assert(first.stdout.includes(`cert-authority = ["${file}"]\n`) && first.stdout.includes(`revoked-keys = ["${krl}"]\n`), first.stdout)
      const second = await runAlknet(scope, ['serve', '--config', scope.file('alknet.toml', first.stdout), '--check'])
      assert.strictEqual(second.stdout, first.stdout)
    })
  })
})
