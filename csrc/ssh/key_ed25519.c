/* key_ed25519.c - ssh-ed25519 (RFC 8709, PROTOCOL.key).
 *
 *   public    string  the point, 32 bytes
 *   private   string  the point
 *             string  64 bytes: the seed, then the point once more
 *   signature string  64 bytes */
#include <string.h>

#include <openssl/crypto.h>

#include "ssh/key_impl.h"

enum { POINT_LEN = 32, SEED_LEN = 32, SIG_LEN = 64 };

static const uint8_t *read_fixed(alk_rd_t *r, size_t want)
{
  size_t len;
  const uint8_t *p = alk_rd_str(r, &len);
  if (p != NULL && len == want) return p;
  r->bad = true;
  r->len = 0;
  return NULL;
}

static EVP_PKEY *read_public(const alk_key_kind_t *kind, alk_rd_t *r,
                             alk_err_t *err)
{
  (void) kind;
  const uint8_t *point = read_fixed(r, POINT_LEN);
  if (point == NULL) return NULL;
  EVP_PKEY *pkey =
    EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, point, POINT_LEN);
  if (pkey == NULL)
    alk_fail(err, ALK_E_CRYPTO, 0, "OpenSSL refuses an Ed25519 key");
  return pkey;
}

static bool get_point(const EVP_PKEY *pkey, uint8_t point[POINT_LEN])
{
  size_t len = POINT_LEN;
  return EVP_PKEY_get_raw_public_key(pkey, point, &len) == 1 &&
         len == POINT_LEN;
}

static EVP_PKEY *read_private(const alk_key_kind_t *kind, alk_rd_t *r,
                              alk_err_t *err)
{
  (void) kind;
  const uint8_t *point = read_fixed(r, POINT_LEN);
  const uint8_t *secret = read_fixed(r, SEED_LEN + POINT_LEN);
  if (point == NULL || secret == NULL) return NULL;
  uint8_t real[POINT_LEN];
  EVP_PKEY *pkey =
    EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, secret, SEED_LEN);
  if (pkey == NULL || !get_point(pkey, real)) {
    alk_fail(err, ALK_E_CRYPTO, 0, "OpenSSL refuses an Ed25519 key");
    goto fail;
  }
  if (CRYPTO_memcmp(real, point, POINT_LEN) == 0 &&
      CRYPTO_memcmp(real, secret + SEED_LEN, POINT_LEN) == 0)
    return pkey;
  alk_fail(err, ALK_E_KEY, 0,
           "the key is damaged: its public part is not that of its private");

fail:
  EVP_PKEY_free(pkey);
  return NULL;
}

static bool write_public(const alk_key_kind_t *kind, const EVP_PKEY *pkey,
                         alk_buf_t *out)
{
  (void) kind;
  uint8_t point[POINT_LEN];
  if (!get_point(pkey, point)) return false;
  alk_buf_str(out, point, POINT_LEN);
  return true;
}

static bool write_private(const alk_key_kind_t *kind, const EVP_PKEY *pkey,
                          alk_buf_t *out)
{
  (void) kind;
  uint8_t secret[SEED_LEN + POINT_LEN];
  size_t len = SEED_LEN;
  bool ok = EVP_PKEY_get_raw_private_key(pkey, secret, &len) == 1 &&
            len == SEED_LEN && get_point(pkey, secret + SEED_LEN);
  if (ok) {
    alk_buf_str(out, secret + SEED_LEN, POINT_LEN);
    alk_buf_str(out, secret, sizeof secret);
  }
  OPENSSL_cleanse(secret, sizeof secret);
  return ok;
}

static EVP_PKEY *generate(const alk_key_kind_t *kind)
{
  (void) kind;
  return EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
}

static bool sig_to_wire(const alk_key_kind_t *kind, const uint8_t *sig,
                        size_t len, alk_buf_t *out)
{
  (void) kind;
  if (len != SIG_LEN) return false;
  alk_buf_add(out, sig, len);
  return true;
}

static bool sig_from_wire(const alk_key_kind_t *kind, const EVP_PKEY *pkey,
                          alk_rd_t wire, alk_buf_t *out)
{
  (void) pkey;
  size_t len = wire.len;
  return sig_to_wire(kind, alk_rd_bytes(&wire, len), len, out);
}

const alk_key_kind_t alk_key_ed25519 = {
  .type = "ssh-ed25519",
  .name = "ed25519",
  .read_public = read_public,
  .read_private = read_private,
  .write_public = write_public,
  .write_private = write_private,
  .generate = generate,
  .sig_to_wire = sig_to_wire,
  .sig_from_wire = sig_from_wire,
};
