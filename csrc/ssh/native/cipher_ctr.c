/* cipher_ctr.c - AES-CTR (RFC 4344) with an HMAC over the encrypted packet
 * (PROTOCOL §1.5), for peers that know no AEAD.
 *
 * The key stream runs on from packet to packet. The length is not encrypted.
 * The MAC goes over the sequence number, the length and the encrypted packet,
 * and is checked before a byte is decrypted. */
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/params.h>

#include "ssh/native/cipher_impl.h"

static bool ctr_start(cipher_t *c, const uint8_t *key, const uint8_t *iv,
                      const uint8_t *mac_key)
{
  char digest[16];
  OPENSSL_strlcpy(digest, c->mac->digest, sizeof digest);
  OSSL_PARAM params[] = {
    OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
    OSSL_PARAM_construct_end(),
  };
  c->ctx = cipher_ctx_new(c, key, c->kind->info.key_len, iv);
  c->mac_ctx = cipher_mac_ctx_new("HMAC");
  return c->ctx != NULL && c->mac_ctx != NULL &&
         EVP_CIPHER_CTX_get_iv_length(c->ctx) == (int) c->kind->info.iv_len &&
         EVP_MAC_init(c->mac_ctx, mac_key, c->mac->info.key_len, params) == 1 &&
         EVP_MAC_CTX_get_mac_size(c->mac_ctx) == c->tag_len;
}

static bool make_tag(cipher_t *c, uint32_t seq, const uint8_t *p, size_t len,
                     uint8_t *tag)
{
  size_t n = 0;
  uint8_t number[4];
  cipher_put_u32(number, seq);
  return EVP_MAC_init(c->mac_ctx, NULL, 0, NULL) == 1 && /* the same key */
         EVP_MAC_update(c->mac_ctx, number, sizeof number) == 1 &&
         EVP_MAC_update(c->mac_ctx, p, len) == 1 &&
         EVP_MAC_final(c->mac_ctx, tag, &n, c->tag_len) == 1 && n == c->tag_len;
}

static bool ctr_seal(cipher_t *c, uint32_t seq, uint8_t *out,
                     const cipher_plain_t *plain)
{
  size_t len = plain->front_len + plain->mid_len + plain->tail_len;
  return cipher_update_plain(c->ctx, plain) &&
         make_tag(c, seq, out, LENGTH_SIZE + len, plain->out + len);
}

static bool ctr_length(cipher_t *c, uint32_t seq, const uint8_t in[LENGTH_SIZE],
                       uint32_t *length)
{
  (void) c;
  (void) seq;
  *length = cipher_get_u32(in);
  return true;
}

static bool ctr_open(cipher_t *c, uint32_t seq, const uint8_t *in, size_t len,
                     uint8_t *out)
{
  uint8_t tag[CIPHER_TAG_MAX];
  return make_tag(c, seq, in, LENGTH_SIZE + len, tag) &&
         CRYPTO_memcmp(tag, in + LENGTH_SIZE + len, c->tag_len) == 0 &&
         cipher_update(c->ctx, out, in + LENGTH_SIZE, len);
}

const cipher_ops_t cipher_ctr_ops = {
  .start = ctr_start,
  .seal = ctr_seal,
  .length = ctr_length,
  .open = ctr_open,
};
