/* bcrypt_pbkdf.c - bcrypt as a key derivation, over a Blowfish of our own.
 *
 * OpenSSL has Blowfish only in its legacy provider, and the expensive key
 * schedule of bcrypt ("eksblowfish", Provos and Mazieres 1999) not at all. It
 * is PBKDF2's scheme with two changes: the function that is repeated is
 * bcrypt over SHA-512 of the passphrase and of the salt, and the bytes of each
 * block are strewn over the whole output, so that no part of it is cheaper
 * than all of it.
 *
 * Everything that depends on the passphrase lives in state_t and is wiped. */
#include "ssh/bcrypt_pbkdf.h"

#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "core/mem.h"

#include "ssh/blowfish_pi.h"

enum {
  ROUNDS = 16,   /* Blowfish's own */
  HASH_LEN = 32, /* what one bcrypt gives */
  HASH_WORDS = 8,
  DIGEST_LEN = 64, /* SHA-512 */
  COST = 64        /* 2^6 key schedules a bcrypt */
};

typedef struct {
  uint32_t p[ROUNDS + 2];
  uint32_t s[4][256];
} blowfish_t;

typedef struct {
  blowfish_t blowfish;
  uint8_t pass[DIGEST_LEN], salt[DIGEST_LEN];
  uint8_t block[HASH_LEN], sum[HASH_LEN];
  uint8_t counted[ALK_BCRYPT_SALT_MAX + 4]; /* the salt and a block number */
} state_t;

/* A key or salt as an endless run of big-endian words. */
typedef struct {
  const uint8_t *p;
  size_t at;
} cycle_t;

static uint32_t cycle_next(cycle_t *c)
{
  const uint8_t *p = c->p + c->at;
  c->at = (c->at + 4) % DIGEST_LEN;
  return (uint32_t) p[0] << 24 | (uint32_t) p[1] << 16 | (uint32_t) p[2] << 8 |
         p[3];
}

static uint32_t scramble(const blowfish_t *b, uint32_t x)
{
  uint32_t sum = b->s[0][x >> 24] + b->s[1][x >> 16 & 0xff];
  return (sum ^ b->s[2][x >> 8 & 0xff]) + b->s[3][x & 0xff];
}

static void encrypt(const blowfish_t *b, uint32_t lr[2])
{
  uint32_t l = lr[0], r = lr[1];
  for (int i = 0; i < ROUNDS; i += 2) {
    l ^= b->p[i];
    r ^= scramble(b, l);
    r ^= b->p[i + 1];
    l ^= scramble(b, r);
  }
  lr[0] = r ^ b->p[ROUNDS + 1];
  lr[1] = l ^ b->p[ROUNDS];
}

/* Overwrites len words with the running encryption of lr, into which the salt
 * is mixed before each block. */
static void refill(const blowfish_t *b, uint32_t *words, size_t len,
                   uint32_t lr[2], cycle_t *salt)
{
  for (size_t i = 0; i < len; i += 2) {
    if (salt != NULL) {
      lr[0] ^= cycle_next(salt);
      lr[1] ^= cycle_next(salt);
    }
    encrypt(b, lr);
    words[i] = lr[0];
    words[i + 1] = lr[1];
  }
}

/* One key schedule. salt NULL: a salt of zeros. */
static void expand(blowfish_t *b, const uint8_t *key, const uint8_t *salt)
{
  cycle_t keys = {.p = key}, salts = {.p = salt};
  cycle_t *mix = salt == NULL ? NULL : &salts;
  uint32_t lr[2] = {0, 0};
  for (int i = 0; i < ROUNDS + 2; i++)
    b->p[i] ^= cycle_next(&keys);
  refill(b, b->p, ROUNDS + 2, lr, mix);
  for (int i = 0; i < 4; i++)
    refill(b, b->s[i], 256, lr, mix);
  OPENSSL_cleanse(lr, sizeof lr);
}

/* st->block = bcrypt(st->pass, st->salt). */
static void hash(state_t *st)
{
  static const char text[HASH_LEN + 1] = "OxychromaticBlowfishSwatDynamite";
  blowfish_t *b = &st->blowfish;
  memcpy(b->p, blowfish_pi_p, sizeof b->p);
  memcpy(b->s, blowfish_pi_s, sizeof b->s);
  expand(b, st->pass, st->salt);
  for (int i = 0; i < COST; i++) {
    expand(b, st->salt, NULL);
    expand(b, st->pass, NULL);
  }
  uint32_t words[HASH_WORDS];
  cycle_t letters = {.p = (const uint8_t *) text};
  for (int i = 0; i < HASH_WORDS; i++)
    words[i] = cycle_next(&letters);
  for (int i = 0; i < COST; i++)
    for (int j = 0; j < HASH_WORDS; j += 2)
      encrypt(b, words + j);
  for (int i = 0; i < HASH_LEN; i++) /* little endian, unlike all the rest */
    st->block[i] = (uint8_t) (words[i / 4] >> 8 * (i % 4));
  OPENSSL_cleanse(words, sizeof words);
}

static bool digest(const void *p, size_t len, uint8_t out[DIGEST_LEN])
{
  return EVP_Digest(p, len, out, NULL, EVP_sha512(), NULL) == 1;
}

/* st->sum = block number `number` of the output, before it is strewn. */
static bool derive_block(state_t *st, const alk_bcrypt_t *in, uint32_t number)
{
  memcpy(st->counted, in->salt, in->salt_len);
  for (int i = 0; i < 4; i++)
    st->counted[in->salt_len + (size_t) i] = (uint8_t) (number >> (24 - 8 * i));
  if (!digest(st->counted, in->salt_len + 4, st->salt)) return false;
  hash(st);
  memcpy(st->sum, st->block, HASH_LEN);
  for (unsigned round = 1; round < in->rounds; round++) {
    if (!digest(st->block, HASH_LEN, st->salt)) return false;
    hash(st);
    for (int i = 0; i < HASH_LEN; i++)
      st->sum[i] ^= st->block[i];
  }
  return true;
}

static bool derive(state_t *st, const alk_bcrypt_t *in, uint8_t *out,
                   size_t len)
{
  if (!digest(in->pass, in->pass_len, st->pass)) return false;
  size_t blocks = (len + HASH_LEN - 1) / HASH_LEN;
  size_t used = (len + blocks - 1) / blocks; /* of each block */
  for (size_t n = 0; n < blocks; n++) {
    if (!derive_block(st, in, (uint32_t) n + 1)) return false;
    for (size_t i = 0; i < used && i * blocks + n < len; i++)
      out[i * blocks + n] = st->sum[i];
  }
  return true;
}

bool alk_bcrypt_pbkdf(const alk_bcrypt_t *in, uint8_t *out, size_t len)
{
  if (len == 0 || len > ALK_BCRYPT_OUT_MAX) return false;
  bool ok = false;
  if (in->pass_len > 0 && in->salt_len > 0 &&
      in->salt_len <= ALK_BCRYPT_SALT_MAX && in->rounds > 0) {
    state_t *st = alk_alloc(sizeof *st);
    ok = derive(st, in, out, len);
    alk_free_secret(st, sizeof *st);
  }
  if (!ok) OPENSSL_cleanse(out, len);
  return ok;
}
