/* cipher_chacha.c - chacha20-poly1305@openssh.com (PROTOCOL.chacha20poly1305).
 *
 * Not the AEAD of RFC 8439, so it is put together from ChaCha20 and Poly1305.
 * Of the 64 bytes of key, the last 32 encrypt the length and the first 32 the
 * packet. Both use the sequence number, 64 bits in big endian, as nonce, and a
 * block counter of 64 bits in little endian in front of it. The packet's block
 * 0 gives Poly1305 its key for this packet; the packet itself begins with block
 * 1. Poly1305 goes over the encrypted length and the encrypted packet.
 *
 * So one initialisation a packet is enough: the 32 bytes that nobody uses of
 * block 0 are run through too, and the stream is then where it has to be. */
#include <string.h>

#include <openssl/crypto.h>

#include "ssh/native/cipher_impl.h"

enum { KEY_LEN = 32, IV_LEN = 16, TAG_LEN = 16 };

static bool chacha_start(cipher_t *c, const uint8_t *key, const uint8_t *iv,
                         const uint8_t *mac_key)
{
  (void) iv;
  (void) mac_key;
  static const uint8_t zero[IV_LEN];
  c->ctx = cipher_ctx_new(c, key, KEY_LEN, zero);
  c->length_ctx = cipher_ctx_new(c, key + KEY_LEN, KEY_LEN, zero);
  c->mac_ctx = cipher_mac_ctx_new("POLY1305");
  return c->ctx != NULL && c->length_ctx != NULL && c->mac_ctx != NULL &&
         EVP_CIPHER_CTX_get_iv_length(c->ctx) == IV_LEN &&
         EVP_MAC_CTX_get_mac_size(c->mac_ctx) == TAG_LEN;
}

/* At block 0 of this packet's stream. */
static bool seek(EVP_CIPHER_CTX *ctx, uint32_t seq)
{
  uint8_t iv[IV_LEN] = {0};
  cipher_put_u32(iv + 12, seq);
  return EVP_CipherInit_ex2(ctx, NULL, NULL, iv, -1, NULL) == 1;
}

static bool crypt_length(cipher_t *c, uint32_t seq, const uint8_t *in,
                         uint8_t *out)
{
  return seek(c->length_ctx, seq) &&
         cipher_update(c->length_ctx, out, in, LENGTH_SIZE);
}

/* Poly1305 has its key, and the stream is at the packet's first byte. */
static bool next_packet(cipher_t *c, uint32_t seq)
{
  static const uint8_t zero[CHACHA_BLOCK];
  uint8_t block[CHACHA_BLOCK];
  bool ok = seek(c->ctx, seq) &&
            cipher_update(c->ctx, block, zero, sizeof block) &&
            EVP_MAC_init(c->mac_ctx, block, KEY_LEN, NULL) == 1;
  OPENSSL_cleanse(block, sizeof block);
  return ok;
}

static bool make_tag(cipher_t *c, const uint8_t *p, size_t len,
                     uint8_t tag[TAG_LEN])
{
  size_t n = 0;
  return EVP_MAC_update(c->mac_ctx, p, len) == 1 &&
         EVP_MAC_final(c->mac_ctx, tag, &n, TAG_LEN) == 1 && n == TAG_LEN;
}

static bool chacha_seal(cipher_t *c, uint32_t seq, uint8_t *out,
                        const cipher_plain_t *plain)
{
  size_t len = plain->front_len + plain->mid_len + plain->tail_len;
  return crypt_length(c, seq, out, out) && next_packet(c, seq) &&
         cipher_update_plain(c->ctx, plain) &&
         make_tag(c, out, LENGTH_SIZE + len, plain->out + len);
}

/* The reader asks when four bytes are there, and opening asks again: the answer
 * is kept. */
static bool chacha_length(cipher_t *c, uint32_t seq,
                          const uint8_t in[LENGTH_SIZE], uint32_t *length)
{
  bool known = c->length_known && c->length_seq == seq &&
               memcmp(c->length_sealed, in, LENGTH_SIZE) == 0;
  if (!known) {
    uint8_t clear[LENGTH_SIZE];
    c->length_known = false;
    if (!crypt_length(c, seq, in, clear)) return false;
    memcpy(c->length_sealed, in, LENGTH_SIZE);
    c->length_seq = seq;
    c->length = cipher_get_u32(clear);
    c->length_known = true;
  }
  *length = c->length;
  return true;
}

static bool chacha_open(cipher_t *c, uint32_t seq, const uint8_t *in,
                        size_t len, uint8_t *out)
{
  uint8_t tag[TAG_LEN];
  return next_packet(c, seq) && make_tag(c, in, LENGTH_SIZE + len, tag) &&
         CRYPTO_memcmp(tag, in + LENGTH_SIZE + len, TAG_LEN) == 0 &&
         cipher_update(c->ctx, out, in + LENGTH_SIZE, len);
}

const cipher_ops_t cipher_chacha_ops = {
  .start = chacha_start,
  .seal = chacha_seal,
  .length = chacha_length,
  .open = chacha_open,
};
