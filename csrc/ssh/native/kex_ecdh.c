/* kex_ecdh.c - Diffie-Hellman over Curve25519 (RFC 7748, RFC 8731) and the NIST
 * curves (RFC 5656 §4).
 *
 * A public value is 32 bytes, or a point in its uncompressed form; the secret
 * is those bytes of the result, or the point's x, read as a number in big
 * endian. OpenSSL refuses a point that is not on the curve when it takes it in;
 * the three curves have a prime order, so no other check is due. Of Curve25519
 * every string of 32 bytes is a point, and those of a small order give zero. */
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/params.h>

#include "ssh/native/kex_impl.h"

enum { UNCOMPRESSED = 4, NAME_MAX_LEN = 16 };

const kex_curve_t kex_x25519 = {"X25519", NULL, KEX_X25519_LEN, KEX_X25519_LEN};
const kex_curve_t kex_p256 = {"EC", "P-256", 1 + 2 * 32, 32};
const kex_curve_t kex_p384 = {"EC", "P-384", 1 + 2 * 48, 48};
const kex_curve_t kex_p521 = {"EC", "P-521", 1 + 2 * 66, 66};

/* OpenSSL's parameters point to memory that may be written to. */
static OSSL_PARAM group_param(const char *group, char name[NAME_MAX_LEN])
{
  OPENSSL_strlcpy(name, group, NAME_MAX_LEN);
  return OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, name, 0);
}

EVP_PKEY *kex_generate(const char *type, const char *group)
{
  char name[NAME_MAX_LEN];
  OSSL_PARAM params[2] = {OSSL_PARAM_END, OSSL_PARAM_END};
  EVP_PKEY *key = NULL;
  if (group != NULL) params[0] = group_param(group, name);
  EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
  if (ctx == NULL || EVP_PKEY_keygen_init(ctx) != 1 ||
      EVP_PKEY_CTX_set_params(ctx, params) != 1 ||
      EVP_PKEY_generate(ctx, &key) != 1) {
    EVP_PKEY_free(key);
    key = NULL;
  }
  EVP_PKEY_CTX_free(ctx);
  return key;
}

EVP_PKEY *kex_peer(const char *type, const char *group, const uint8_t *public,
                   size_t len)
{
  char name[NAME_MAX_LEN];
  uint8_t copy[KEX_PUBLIC_MAX];
  OSSL_PARAM params[3] = {OSSL_PARAM_END, OSSL_PARAM_END, OSSL_PARAM_END};
  EVP_PKEY *key = NULL;
  if (len > sizeof copy) return NULL;
  memcpy(copy, public, len);
  params[0] =
    OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, copy, len);
  if (group != NULL) params[1] = group_param(group, name);
  EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
  if (ctx == NULL || EVP_PKEY_fromdata_init(ctx) != 1 ||
      EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params) != 1) {
    EVP_PKEY_free(key);
    key = NULL;
  }
  EVP_PKEY_CTX_free(ctx);
  return key;
}

bool kex_public(const EVP_PKEY *key, uint8_t *out, size_t len)
{
  size_t n = 0;
  return EVP_PKEY_get_octet_string_param(key, OSSL_PKEY_PARAM_PUB_KEY, out, len,
                                         &n) == 1 &&
         n == len;
}

static bool is_zero(const uint8_t *p, size_t len)
{
  uint8_t any = 0;
  for (size_t i = 0; i < len; i++)
    any |= p[i];
  return any == 0;
}

/* X25519's zero is refused by OpenSSL too; RFC 8731 §3 puts it to us. */
bool kex_agree(const kex_curve_t *curve, EVP_PKEY *own, const uint8_t *public,
               uint8_t *out)
{
  size_t len = curve->secret_len;
  if (curve->group != NULL && public[0] != UNCOMPRESSED) return false;
  EVP_PKEY *peer =
    kex_peer(curve->type, curve->group, public, curve->public_len);
  EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, own, NULL);
  bool ok = peer != NULL && ctx != NULL && EVP_PKEY_derive_init(ctx) == 1 &&
            EVP_PKEY_derive_set_peer(ctx, peer) == 1 &&
            EVP_PKEY_derive(ctx, out, &len) == 1 && len == curve->secret_len &&
            !is_zero(out, len);
  if (!ok) OPENSSL_cleanse(out, curve->secret_len);
  EVP_PKEY_CTX_free(ctx);
  EVP_PKEY_free(peer);
  return ok;
}

static bool ecdh_start(kex_t *k, uint8_t *init)
{
  const kex_curve_t *curve = k->method->curve;
  k->curve_key = kex_generate(curve->type, curve->group);
  return k->curve_key != NULL &&
         kex_public(k->curve_key, init, curve->public_len);
}

static bool ecdh_finish(kex_t *k, const uint8_t *public)
{
  uint8_t secret[KEX_FIELD_MAX];
  bool ok = kex_agree(k->method->curve, k->curve_key, public, secret);
  if (ok) alk_buf_mpint(&k->secret, secret, k->method->curve->secret_len);
  OPENSSL_cleanse(secret, sizeof secret);
  return ok;
}

static bool ecdh_reply(kex_t *k, const uint8_t *init, uint8_t *reply)
{
  return ecdh_start(k, reply) && ecdh_finish(k, init);
}

const kex_ops_t kex_ecdh_ops = {
  .start = ecdh_start,
  .finish = ecdh_finish,
  .reply = ecdh_reply,
};
