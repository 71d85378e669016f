#!/usr/bin/env python3
"""Known answers for the native SSH engine's crypto, computed from the standards.

    tools/gen-native-vectors.py > test/c/native_vectors.h

Nothing of OpenSSL's is used: AES (FIPS 197), GCM (SP 800-38D), ChaCha20 and
Poly1305 (RFC 8439), X25519 (RFC 7748) and the NIST curves (SP 800-186) stand
here in a few lines each, and are first checked against the standards' own
examples. What is built of them is the packet of each cipher, the exchange hash
and the six keys. ML-KEM's own vectors come from test/c/mlkem_acvp.h.
"""
import os
import re
import struct
import sys

# Python's own SHA-2 where there is one, not OpenSSL's.
try:
    import _sha256
    import _sha512
    HASHES = {'sha256': _sha256.sha256, 'sha384': _sha512.sha384, 'sha512': _sha512.sha512}
except ImportError:
    import _sha2
    HASHES = {'sha256': _sha2.sha256, 'sha384': _sha2.sha384, 'sha512': _sha2.sha512}


def sha(name, data):
    return HASHES[name](data).digest()


def hmac_sha(name, key, data):
    block = 64 if name == 'sha256' else 128
    key = key.ljust(block, b'\0')
    inner = sha(name, bytes(k ^ 0x36 for k in key) + data)
    return sha(name, bytes(k ^ 0x5c for k in key) + inner)


def xor(a, b):
    return bytes(x ^ y for x, y in zip(a, b))


# AES (FIPS 197)

def xtime(a):
    return (a << 1 ^ (0x11b if a & 0x80 else 0)) & 0xff


def gmul(a, b):
    r = 0
    while b:
        if b & 1:
            r ^= a
        a, b = xtime(a), b >> 1
    return r


def make_sbox():
    box = []
    for a in range(256):
        inv = next((b for b in range(1, 256) if gmul(a, b) == 1), 0)
        s = 0x63
        for i in range(5):
            s ^= (inv << i | inv >> (8 - i)) & 0xff
        box.append(s)
    return box


SBOX = make_sbox()
MUL2 = [gmul(a, 2) for a in range(256)]
MUL3 = [gmul(a, 3) for a in range(256)]


class Aes:
    def __init__(self, key):
        nk = len(key) // 4
        self.rounds = nk + 6
        w = [list(key[4 * i:4 * i + 4]) for i in range(nk)]
        rcon = 1
        for i in range(nk, 4 * (self.rounds + 1)):
            t = list(w[i - 1])
            if i % nk == 0:
                t = [SBOX[b] for b in t[1:] + t[:1]]
                t[0] ^= rcon
                rcon = xtime(rcon)
            elif nk > 6 and i % nk == 4:
                t = [SBOX[b] for b in t]
            w.append([a ^ b for a, b in zip(w[i - nk], t)])
        self.keys = [sum(w[4 * r:4 * r + 4], []) for r in range(self.rounds + 1)]

    def block(self, data):
        s = [a ^ b for a, b in zip(data, self.keys[0])]
        for r in range(1, self.rounds + 1):
            s = [SBOX[s[(i + 4 * (i % 4)) % 16]] for i in range(16)]
            if r < self.rounds:
                t = []
                for c in range(0, 16, 4):
                    a, b, d, e = s[c:c + 4]
                    t += [MUL2[a] ^ MUL3[b] ^ d ^ e, a ^ MUL2[b] ^ MUL3[d] ^ e,
                          a ^ b ^ MUL2[d] ^ MUL3[e], MUL3[a] ^ b ^ d ^ MUL2[e]]
                s = t
            s = [a ^ b for a, b in zip(s, self.keys[r])]
        return bytes(s)


def ctr_stream(aes, counter, blocks):
    return b''.join(aes.block(((counter + i) % 2**128).to_bytes(16, 'big')) for i in range(blocks))


# GCM (SP 800-38D), nonces of 12 bytes

def ghash(h, data):
    y = 0
    for i in range(0, len(data), 16):
        y ^= int.from_bytes(data[i:i + 16], 'big')
        z, v = 0, h
        for bit in range(127, -1, -1):
            if y >> bit & 1:
                z ^= v
            v = v >> 1 ^ (0xe1 << 120 if v & 1 else 0)
        y = z
    return y.to_bytes(16, 'big')


def pad16(data):
    return data + bytes(-len(data) % 16)


def gcm_seal(key, nonce, aad, plain):
    aes = Aes(key)
    j0 = nonce + b'\0\0\0\1'
    stream = b''.join(aes.block(nonce + (2 + i).to_bytes(4, 'big')) for i in range(-(-len(plain) // 16)))
    sealed = xor(plain, stream)
    h = int.from_bytes(aes.block(bytes(16)), 'big')
    lens = struct.pack('>QQ', 8 * len(aad), 8 * len(sealed))
    return sealed, xor(ghash(h, pad16(aad) + pad16(sealed) + lens), aes.block(j0))


# ChaCha20 and Poly1305 (RFC 8439), with djb's nonce of 64 bits

def chacha_block(key, counter_and_nonce):
    def rot(x, n):
        return (x << n | x >> (32 - n)) & 0xffffffff

    def quarter(s, a, b, c, d):
        for n, (x, y, z) in zip((16, 12, 8, 7), ((a, b, d), (c, d, b), (a, b, d), (c, d, b))):
            s[x] = (s[x] + s[y]) & 0xffffffff
            s[z] = rot(s[z] ^ s[x], n)

    start = list(struct.unpack('<16I', b'expand 32-byte k' + key + counter_and_nonce))
    s = list(start)
    for _ in range(10):
        for q in ((0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15),
                  (0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14)):
            quarter(s, *q)
    return struct.pack('<16I', *((a + b) & 0xffffffff for a, b in zip(s, start)))


def chacha(key, nonce, counter, data):
    stream = b''.join(chacha_block(key, struct.pack('<Q', counter + i) + nonce)
                      for i in range(-(-len(data) // 64)))
    return xor(data, stream)


def poly1305(key, data):
    r = int.from_bytes(key[:16], 'little') & 0x0ffffffc0ffffffc0ffffffc0fffffff
    a = 0
    for i in range(0, len(data), 16):
        a = (a + int.from_bytes(data[i:i + 16] + b'\1', 'little')) * r % (2**130 - 5)
    return ((a + int.from_bytes(key[16:], 'little')) % 2**128).to_bytes(16, 'little')


# Curves

def x25519(scalar, u):
    p = 2**255 - 19
    k = int.from_bytes(scalar, 'little') & ~7 & ~(1 << 255) | 1 << 254
    x1 = int.from_bytes(u, 'little') % 2**255
    x2, z2, x3, z3 = 1, 0, x1, 1
    for t in range(254, -1, -1):
        bit = k >> t & 1
        if bit:
            x2, z2, x3, z3 = x3, z3, x2, z2
        a, b, c, d = x2 + z2, x2 - z2, x3 + z3, x3 - z3
        aa, bb, da, cb = a * a, b * b, d * a, c * b
        e = aa - bb
        x3, z3 = (da + cb)**2 % p, x1 * (da - cb)**2 % p
        x2, z2 = aa * bb % p, e * (aa + 121665 * e) % p
        if bit:
            x2, z2, x3, z3 = x3, z3, x2, z2
    return (x2 * pow(z2, p - 2, p) % p).to_bytes(32, 'little')


CURVES = {  # p, b, x, y of the generator; a is -3
    'p256': (2**256 - 2**224 + 2**192 + 2**96 - 1,
             0x5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604b,
             0x6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296,
             0x4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5),
    'p384': (2**384 - 2**128 - 2**96 + 2**32 - 1,
             0xb3312fa7e23ee7e4988e056be3f82d19181d9c6efe8141120314088f5013875ac656398d8a2ed19d2a85c8edd3ec2aef,
             0xaa87ca22be8b05378eb1c71ef320ad746e1d3b628ba79b9859f741e082542a385502f25dbf55296c3a545e3872760ab7,
             0x3617de4a96262c6f5d9e98bf9292dc29f8f41dbd289a147ce9da3113b5f0b8c00a60b1ce1d7e819d7a431d7c90ea0e5f),
    'p521': (2**521 - 1,
             0x0051953eb9618e1c9a1f929a21a0b68540eea2da725b99b315f3b8b489918ef109e156193951ec7e937b1652c0bd3bb1bf073573df883d2c34f1ef451fd46b503f00,
             0x00c6858e06b70404e9cd9e3ecb662395b4429c648139053fb521f828af606b4d3dbaa14b5e77efe75928fe1dc127a2ffa8de3348b3c1856a429bf97e7e31c2e5bd66,
             0x011839296a789a3bc0045c8a5fb42c7d1bd998f54449579b446817afbd17273e662c97ee72995ef42640c550b9013fad0761353c7086a272c24088be94769fd16650),
}


def multiply(curve, scalar, point):
    p, b = CURVES[curve][:2]
    assert (point[1]**2 - point[0]**3 + 3 * point[0] - b) % p == 0

    def add(s, t):
        if s is None or t is None:
            return s or t
        if s[0] == t[0]:
            if (s[1] + t[1]) % p == 0:
                return None
            m = (3 * s[0]**2 - 3) * pow(2 * s[1], -1, p)
        else:
            m = (t[1] - s[1]) * pow(t[0] - s[0], -1, p)
        x = (m * m - s[0] - t[0]) % p
        return x, (m * (s[0] - x) - s[1]) % p

    r = None
    for bit in bin(scalar)[2:]:
        r = add(r, r)
        if bit == '1':
            r = add(r, point)
    return r


def encode_point(curve, point):
    n = (CURVES[curve][0].bit_length() + 7) // 8
    return b'\4' + point[0].to_bytes(n, 'big') + point[1].to_bytes(n, 'big')


ALICE = bytes.fromhex('77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a')
BOB = bytes.fromhex('5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb')


def self_check():
    h = bytes.fromhex
    # FIPS 197 appendix C
    plain = h('00112233445566778899aabbccddeeff')
    for size, want in ((16, '69c4e0d86a7b0430d8cdb78070b4c55a'),
                       (24, 'dda97ca4864cdfe06eaf70a0ec0d7191'),
                       (32, '8ea2b7ca516745bfeafc49904b496089')):
        assert Aes(bytes(range(size))).block(plain).hex() == want
    # McGrew and Viega's GCM specification, test cases 2 and 4
    assert gcm_seal(bytes(16), bytes(12), b'', bytes(16)) == (
        h('0388dace60b6a392f328c2b971b2fe78'), h('ab6e47d42cec13bdf53a67b21257bddf'))
    sealed, tag = gcm_seal(
        h('feffe9928665731c6d6a8f9467308308'), h('cafebabefacedbaddecaf888'),
        h('feedfacedeadbeeffeedfacedeadbeefabaddad2'),
        h('d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72'
          '1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39'))
    assert tag == h('5bc94fbc3221a5db94fae95ae7121a47') and sealed[:4] == h('42831ec2')
    # RFC 8439 §2.3.2 (its nonce of 96 bits is the same words), §2.5.2
    block = chacha_block(bytes(range(32)), h('01000000000000090000004a00000000'))
    assert block[:16] == h('10f1e7e4d13b5915500fdd1fa32071c4')
    assert poly1305(h('85d6be7857556d337f4452fe42d506a80103808afb0db2fd4abff6af4149f51b'),
                    b'Cryptographic Forum Research Group') == h('a8061dc1305136c6c22b8baf0c0127a9')
    # RFC 4231 test case 2
    assert hmac_sha('sha256', b'Jefe', b'what do ya want for nothing?').hex().startswith('5bdcc146bf60754e')
    assert hmac_sha('sha512', b'Jefe', b'what do ya want for nothing?').hex().startswith('164b7a7bfcf819e2')
    # RFC 7748 §6.1
    a, b = ALICE, BOB
    nine = (9).to_bytes(32, 'little')
    assert x25519(a, nine) == h('8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a')
    assert x25519(b, nine) == h('de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f')
    assert x25519(a, x25519(b, nine)) == x25519(b, x25519(a, nine)) == h(
        '4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742')


# What is printed: packets

SIZES = (1, 27, 300, 32768 + 9)
FIRST_SEQ = 0xfffffffe  # so that it wraps
PAD = 0x5a


def payload(n, size):
    return bytes((64 * n + i) % 251 for i in range(size))


def plain_packet(data, block, counted):
    pad = block - (counted + 1 + len(data)) % block
    if pad < 4:
        pad += block
    return struct.pack('>IB', 1 + len(data) + pad, pad) + data + bytes([PAD]) * pad


def gcm_packets(key, iv):
    counter = int.from_bytes(iv[4:], 'big')
    for n, size in enumerate(SIZES):
        p = plain_packet(payload(n, size), 16, 0)
        nonce = iv[:4] + ((counter + n) % 2**64).to_bytes(8, 'big')
        sealed, tag = gcm_seal(key, nonce, p[:4], p[4:])
        yield p[:4] + sealed + tag


def chacha_packets(key):
    for n, size in enumerate(SIZES):
        p = plain_packet(payload(n, size), 8, 0)
        nonce = ((FIRST_SEQ + n) % 2**32).to_bytes(8, 'big')
        sealed = chacha(key[32:], nonce, 0, p[:4]) + chacha(key[:32], nonce, 1, p[4:])
        yield sealed + poly1305(chacha(key[:32], nonce, 0, bytes(32)), sealed)


def ctr_packets(key, iv, hash_name, mac_key):
    aes, counter = Aes(key), int.from_bytes(iv, 'big')
    for n, size in enumerate(SIZES):
        p = plain_packet(payload(n, size), 16, 0)
        blocks = (len(p) - 4) // 16
        sealed = p[:4] + xor(p[4:], ctr_stream(aes, counter, blocks))
        counter += blocks
        seq = (FIRST_SEQ + n) % 2**32
        yield sealed + hmac_sha(hash_name, mac_key, struct.pack('>I', seq) + sealed)


def c_string(data, indent):
    text = data.hex()
    lines = ['"%s"' % text[i:i + 64] for i in range(0, len(text), 64)] or ['""']
    return ('\n' + ' ' * indent).join(lines)


def print_packets():
    def key(n):
        return bytes((7 * i + 1) % 256 for i in range(n))

    gcm_iv = bytes.fromhex('01020304fffffffffffffffe')
    ctr_iv = bytes.fromhex('fffffffffffffffffffffffffffffffe')
    mac_key = bytes((13 * i + 5) % 256 for i in range(64))
    rows = [(name, None, key(n), gcm_iv, b'', gcm_packets(key(n), gcm_iv))
            for name, n in (('aes128-gcm@openssh.com', 16), ('aes256-gcm@openssh.com', 32))]
    rows.append(('chacha20-poly1305@openssh.com', None, key(64), b'', b'', chacha_packets(key(64))))
    for bits, hash_name in ((128, 'sha256'), (192, 'sha512'), (256, 'sha256'), (256, 'sha512')):
        mk = mac_key[:32 if hash_name == 'sha256' else 64]
        k = key(bits // 8)
        rows.append(('aes%d-ctr' % bits, 'hmac-sha2-%s-etm@openssh.com' % hash_name[3:], k, ctr_iv, mk,
                     ctr_packets(k, ctr_iv, hash_name, mk)))
    print("""
/* Packet n of a row has the payload (64 * n + i) %% 251, the sequence number
 * vector_seq + n and padding of VECTOR_PAD only. The first two are here whole,
 * of all four the SHA-256. */
enum { VECTOR_PACKETS = %d, VECTOR_PAD = 0x%02x };
static const size_t vector_sizes[VECTOR_PACKETS] = {%s};
static const uint32_t vector_seq = 0x%08x;

static const struct packet_vector {
  const char *cipher, *mac, *key, *iv, *mac_key;
  const char *sealed[2];
  const char *hash[VECTOR_PACKETS];
} packet_vectors[] = {""" % (len(SIZES), PAD, ', '.join(map(str, SIZES)), FIRST_SEQ))
    for name, mac, k, iv, mk, packets in rows:
        packets = list(packets)
        print('  {"%s",' % name)
        print('   %s,' % ('"%s"' % mac if mac else 'NULL'))
        for data in (k, iv, mk):
            print('   %s,' % c_string(data, 3))
        print('   {%s},' % (',\n    '.join(c_string(p, 4) for p in packets[:2])))
        print('   {%s}},' % (',\n    '.join(c_string(sha('sha256', p), 4) for p in packets)))
    print('};')


# What is printed: key exchanges

def string(data):
    return struct.pack('>I', len(data)) + data


def mpint(data):
    data = data.lstrip(b'\0')
    return string((b'\0' if data and data[0] & 0x80 else b'') + data)


IDENTS = b'SSH-2.0-alknet_client', b'SSH-2.0-alknet_server extra words'
KEXINITS = bytes([20]) + bytes(range(100)), bytes([20]) + bytes(range(200))
HOST_KEY = string(b'ssh-ed25519') + string(bytes(range(32)))
OTHER_SESSION = bytes(range(32, 64))
DERIVED = 150


def exchange(hash_name, publics, secret):
    parts = IDENTS + KEXINITS + (HOST_KEY,) + publics
    h = sha(hash_name, b''.join(string(p) for p in parts) + secret)

    def derive(letter, session):
        out = sha(hash_name, secret + h + letter + session)
        while len(out) < DERIVED:
            out += sha(hash_name, secret + h + out)
        return out[:DERIVED]

    return h, [derive(bytes([c]), h) for c in b'ABCDEF'], derive(b'C', OTHER_SESSION)


# NIST CAVS 14.1, ECC CDH primitive, count 0 of each curve: d, x, y, Z.
CAVS = {
    'p256': ('7d7dc5f71eb29ddaf80d6214632eeae03d9058af1fb6d22ed80badb62bc1a534',
             '700c48f77f56584c5cc632ca65640db91b6bacce3a4df6b42ce7cc838833d287',
             'db71e509e3fd9b060ddb20ba5c51dcc5948d46fbf640dfe0441782cab85fa4ac',
             '46fc62106420ff012e54a434fbdd2d25ccc5852060561e68040dd7778997bd7b'),
    'p384': ('3cc3122a68f0d95027ad38c067916ba0eb8c38894d22e1b15618b6818a661774'
             'ad463b205da88cf699ab4d43c9cf98a1',
             'a7c76b970c3b5fe8b05d2838ae04ab47697b9eaf52e764592efda27fe7513272'
             '734466b400091adbf2d68c58e0c50066',
             'ac68f19f2e1cb879aed43a9969b91a0839c4c38a49749b661efedf243451915e'
             'd0905a32b060992b468c64766fc8437a',
             '5f9d29dc5e31a163060356213669c8ce132e22f57c9a04f40ba7fcead493b457'
             'e5621e766c40a2e3d4d6a04b25e533f1'),
    'p521': ('017eecc07ab4b329068fba65e56a1f8890aa935e57134ae0ffcce802735151f4'
             'eac6564f6ee9974c5e6887a1fefee5743ae2241bfeb95d5ce31ddcb6f9edb4d6'
             'fc47',
             '00685a48e86c79f0f0875f7bc18d25eb5fc8c0b07e5da4f4370f3a9490340854'
             '334b1e1b87fa395464c60626124a4e70d0f785601d37c09870ebf176666877a2'
             '046d',
             '01ba52c56fc8776d9e8f5db4f0cc27636d0b741bbe05400697942e80b739884a'
             '83bde99e0f6716939e632bc8986fa18dccd443a348b6c3e522497955a4f3c302'
             'f676',
             '005fc70477c3e63bc3954bd0df3ea0d1f41ee21746ed95fc5e1fdf90930d5e13'
             '6672d72cc770742d1711c3c3a4c334a0ad9759436a4d3c5bf6e74b9578fac148'
             'c831'),
}


def x25519_rows():
    """RFC 7748's own pair; then one whose secret is a negative number if its
    sign is forgotten, and one whose secret is a byte shorter than the others."""
    nine = (9).to_bytes(32, 'little')
    pairs = [(ALICE, x25519(BOB, nine))]
    for wanted in (lambda z: z[0] >= 0x80, lambda z: z[0] == 0 and z[1] >= 0x80):
        n = 0
        while True:
            own, peer = sha('sha256', b'own %d' % n), x25519(sha('sha256', b'peer %d' % n), nine)
            if wanted(x25519(own, peer)):
                break
            n += 1
        pairs.append((own, peer))
    for own, peer in pairs:
        yield 'curve25519-sha256', 'sha256', own, x25519(own, nine), peer, mpint(x25519(own, peer))


def nist_rows():
    for curve, hash_name in (('p256', 'sha256'), ('p384', 'sha384'), ('p521', 'sha512')):
        d, x, y, z = CAVS[curve]
        own = multiply(curve, int(d, 16), CURVES[curve][2:])
        peer = int(x, 16), int(y, 16)
        shared = multiply(curve, int(d, 16), peer)[0].to_bytes(len(z) // 2, 'big')
        assert shared.hex() == z
        yield ('ecdh-sha2-nist' + curve, hash_name, bytes.fromhex(d), encode_point(curve, own),
               encode_point(curve, peer), mpint(shared))


def acvp():
    """The ciphertexts and secrets of mlkem_acvp.h, and the key's public part."""
    here = os.path.dirname(os.path.abspath(__file__))
    with open(os.path.join(here, '..', 'test', 'c', 'mlkem_acvp.h')) as f:
        blobs = re.findall(r'/\* (ek_h_z|c|k) \*/\s*((?:"[0-9a-f]+"\s*)+)', f.read())
    blobs = [(name, bytes.fromhex(''.join(re.findall('[0-9a-f]+', text)))) for name, text in blobs]
    rows = blobs[1:]
    return blobs[0][1][:1184], [(c[1], k[1]) for c, k in zip(rows[::2], rows[1::2])]


def hybrid_rows():
    nine = (9).to_bytes(32, 'little')
    public, answers = acvp()
    for c, k in answers:
        secret = string(sha('sha256', k + x25519(ALICE, x25519(BOB, nine))))
        yield (public + x25519(ALICE, nine), c + x25519(BOB, nine)), secret


def print_hash(name, result):
    h, keys, other = result
    print('   %s,' % c_string(h, 3))
    print('   {%s},' % (',\n    '.join(c_string(k, 4) for k in keys)))
    print('   %s},' % c_string(other, 3))


def print_exchanges():
    print("""
/* The transcript of every key exchange here, besides the public values. */
static const char vector_client_ident[] = "%s";
static const char vector_server_ident[] = "%s";
static const char vector_client_kexinit[] =
  %s;
static const char vector_server_kexinit[] =
  %s;
static const char vector_host_key[] =
  %s;
static const char vector_other_session[] =
  %s;
enum { VECTOR_DERIVED = %d };

/* own is the client's private key. keys: A to F with the exchange hash as the
 * session's id; other: C with the other id. */
static const struct kex_vector {
  const char *method, *own, *own_public, *peer_public;
  const char *hash, *keys[6], *other;
} kex_vectors[] = {""" % (IDENTS[0].decode(), IDENTS[1].decode(), c_string(KEXINITS[0], 2),
                          c_string(KEXINITS[1], 2), c_string(HOST_KEY, 2),
                          c_string(OTHER_SESSION, 2), DERIVED))
    for name, hash_name, own, own_public, peer, secret in list(x25519_rows()) + list(nist_rows()):
        print('  {"%s",' % name)
        for data in (own, own_public, peer):
            print('   %s,' % c_string(data, 3))
        print_hash(name, exchange(hash_name, (own_public, peer), secret))
    print("""};

/* The answer n of mlkem_acvp.h, beside the X25519 of RFC 7748 §6.1. */
static const struct hybrid_vector {
  const char *hash, *keys[6], *other;
} hybrid_vectors[] = {""")
    for n, (publics, secret) in enumerate(hybrid_rows()):
        print('  {')
        print_hash(n, exchange('sha256', publics, secret))
    print('};')


def main():
    self_check()
    print("""/* native_vectors.h - known answers for the native engine's crypto.
 *
 * Made by tools/gen-native-vectors.py, from the standards and without OpenSSL;
 * it says what comes from where. */
#ifndef NATIVE_VECTORS_H
#define NATIVE_VECTORS_H

#include <stddef.h>
#include <stdint.h>

/* clang-format off */""")
    print_packets()
    print_exchanges()
    print('/* clang-format on */\n\n#endif')


main()
