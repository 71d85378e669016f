/* cipher_gcm.c - AES-GCM as OpenSSH does it (RFC 5647, PROTOCOL §1.6).
 *
 * The length is not encrypted but authenticated. The nonce is the derived IV:
 * four fixed bytes and a counter of 64 bits that goes up by one for each packet
 * (RFC 5647 §7.1); the sequence number has no part in it. The counter starts
 * anywhere and runs modulo 2^64, as it does at the peer: it never reaches into
 * the fixed bytes and repeats only after 2^64 packets, which the front's count
 * does not let happen.
 *
 * One context, keyed once; each packet only sets the nonce. That takes no
 * longer than OpenSSL's own counters of TLS (EVP_CTRL_GCM_IV_GEN), which know
 * only one direction each. */
#include <openssl/core_names.h>
#include <openssl/params.h>

#include "ssh/native/cipher_impl.h"

enum { IV_LEN = 12, IV_FIXED = 4, TAG_LEN = 16 };

static bool gcm_start(cipher_t *c, const uint8_t *key, const uint8_t *iv,
                      const uint8_t *mac_key)
{
  (void) mac_key;
  for (size_t i = 0; i < IV_LEN; i++)
    c->iv[i] = iv[i];
  c->ctx = cipher_ctx_new(c, key, c->kind->info.key_len, iv);
  return c->ctx != NULL && EVP_CIPHER_CTX_get_iv_length(c->ctx) == IV_LEN;
}

/* The nonce is used up, whatever becomes of the packet. */
static bool next_packet(cipher_t *c, const uint8_t length[LENGTH_SIZE])
{
  int n = 0;
  bool ok = EVP_CipherInit_ex2(c->ctx, NULL, NULL, c->iv, -1, NULL) == 1 &&
            EVP_CipherUpdate(c->ctx, NULL, &n, length, LENGTH_SIZE) == 1 &&
            n == LENGTH_SIZE;
  for (size_t i = IV_LEN; i > IV_FIXED && ++c->iv[i - 1] == 0; i--)
    ;
  return ok;
}

static bool gcm_seal(cipher_t *c, uint32_t seq, uint8_t *out,
                     const cipher_plain_t *plain)
{
  (void) seq;
  int n = 0;
  uint8_t *tag =
    plain->out + plain->front_len + plain->mid_len + plain->tail_len;
  return next_packet(c, out) && cipher_update_plain(c->ctx, plain) &&
         EVP_CipherFinal_ex(c->ctx, tag, &n) == 1 && n == 0 &&
         EVP_CIPHER_CTX_ctrl(c->ctx, EVP_CTRL_AEAD_GET_TAG, TAG_LEN, tag) == 1;
}

static bool gcm_length(cipher_t *c, uint32_t seq, const uint8_t in[LENGTH_SIZE],
                       uint32_t *length)
{
  (void) c;
  (void) seq;
  *length = cipher_get_u32(in);
  return true;
}

/* OpenSSL wants the tag in memory that it might write to: a copy. */
static bool gcm_open(cipher_t *c, uint32_t seq, const uint8_t *in, size_t len,
                     uint8_t *out)
{
  (void) seq;
  int n = 0;
  uint8_t tag[TAG_LEN];
  for (size_t i = 0; i < TAG_LEN; i++)
    tag[i] = in[LENGTH_SIZE + len + i];
  return next_packet(c, in) &&
         EVP_CIPHER_CTX_ctrl(c->ctx, EVP_CTRL_AEAD_SET_TAG, TAG_LEN, tag) ==
           1 &&
         cipher_update(c->ctx, out, in + LENGTH_SIZE, len) &&
         EVP_CipherFinal_ex(c->ctx, out + len, &n) == 1 && n == 0;
}

const cipher_ops_t cipher_gcm_ops = {
  .start = gcm_start,
  .seal = gcm_seal,
  .length = gcm_length,
  .open = gcm_open,
};
