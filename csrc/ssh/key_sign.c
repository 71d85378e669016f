/* key_sign.c - signatures: string algorithm, string bytes (RFC 4253 §6.6).
 *
 * An algorithm is right for exactly one kind of key, and only the algorithms
 * of this table exist: there is no SHA-1 to ask for. */
#include <string.h>

#include <openssl/err.h>

#include "ssh/key_impl.h"

typedef struct {
  const char *name;
  const alk_key_kind_t *kind;
  const EVP_MD *(*digest)(void); /* NULL: the kind hashes by itself */
} algorithm_t;

static const algorithm_t algorithms[] = {
  {"ssh-ed25519", &alk_key_ed25519, NULL},
  {"ecdsa-sha2-nistp256", &alk_key_p256, EVP_sha256},
  {"ecdsa-sha2-nistp384", &alk_key_p384, EVP_sha384},
  {"ecdsa-sha2-nistp521", &alk_key_p521, EVP_sha512},
  {"rsa-sha2-256", &alk_key_rsa, EVP_sha256},
  {"rsa-sha2-512", &alk_key_rsa, EVP_sha512},
};

static const algorithm_t *algorithm_find(const alk_key_t *k, const char *name)
{
  for (size_t i = 0; i < sizeof algorithms / sizeof algorithms[0]; i++)
    if (algorithms[i].kind == k->kind && strcmp(algorithms[i].name, name) == 0)
      return &algorithms[i];
  return NULL;
}

static const EVP_MD *digest_of(const algorithm_t *a)
{
  return a->digest == NULL ? NULL : a->digest();
}

/* In OpenSSL's form; *len is the room in and the length out. OpenSSL 3.0 says
 * yes to an ECDSA signature that it had no memory to encode, and leaves a
 * length of -1 (ECDSA_sign), so its answer alone is not enough. */
static bool sign_raw(const alk_key_t *k, const algorithm_t *a, alk_rd_t data,
                     uint8_t *sig, size_t *len)
{
  int max = EVP_PKEY_get_size(k->pkey);
  EVP_MD_CTX *ctx = EVP_MD_CTX_new();
  bool ok = ctx != NULL && max > 0 && (size_t) max <= *len &&
            EVP_DigestSignInit(ctx, NULL, digest_of(a), NULL, k->pkey) == 1 &&
            EVP_DigestSign(ctx, sig, len, data.p, data.len) == 1 && *len > 0 &&
            *len <= (size_t) max;
  EVP_MD_CTX_free(ctx);
  return ok;
}

bool alk_key_sign(const alk_key_t *k, const char *algorithm,
                  const uint8_t *data, size_t len, alk_buf_t *out,
                  alk_err_t *err)
{
  const algorithm_t *a = algorithm_find(k, algorithm);
  if (!k->is_private || a == NULL) {
    alk_fail(err, ALK_E_KEY, 0, "a %s %s key does not sign with %.64s",
             k->is_private ? "private" : "public", k->kind->type, algorithm);
    return false;
  }
  uint8_t sig[ALK_SIG_MAX];
  size_t sig_len = sizeof sig;
  alk_buf_t wire = {0};
  ERR_set_mark();
  bool ok = sign_raw(k, a, alk_rd(data, len), sig, &sig_len) &&
            k->kind->sig_to_wire(k->kind, sig, sig_len, &wire);
  ERR_pop_to_mark();
  if (ok) {
    alk_buf_cstr(out, a->name);
    alk_buf_str(out, alk_buf_head(&wire), alk_buf_size(&wire));
  } else {
    alk_fail(err, ALK_E_CRYPTO, 0, "OpenSSL cannot sign with %s", a->name);
  }
  alk_buf_free(&wire);
  return ok;
}

/* The one answer that means yes is 1: OpenSSL says 0 for a signature that is
 * wrong and below 0 for one that it could not check. */
static bool verify_raw(const alk_key_t *k, const algorithm_t *a, alk_rd_t data,
                       const alk_buf_t *sig)
{
  EVP_MD_CTX *ctx = EVP_MD_CTX_new();
  bool ok = ctx != NULL &&
            EVP_DigestVerifyInit(ctx, NULL, digest_of(a), NULL, k->pkey) == 1 &&
            EVP_DigestVerify(ctx, alk_buf_head(sig), alk_buf_size(sig), data.p,
                             data.len) == 1;
  EVP_MD_CTX_free(ctx);
  return ok;
}

bool alk_key_verify(const alk_key_t *k, const char *algorithm,
                    const uint8_t *sig, size_t sig_len, const uint8_t *data,
                    size_t len)
{
  const algorithm_t *a = algorithm_find(k, algorithm);
  if (a == NULL || sig_len == 0) return false;
  alk_rd_t r = alk_rd(sig, sig_len);
  if (!alk_rd_is(&r, a->name)) return false;
  alk_rd_t wire = alk_rd_sub(&r);
  if (!alk_rd_done(&r) || wire.bad || wire.len == 0) return false;
  alk_buf_t raw = {0};
  ERR_set_mark();
  bool ok = k->kind->sig_from_wire(k->kind, k->pkey, wire, &raw) &&
            verify_raw(k, a, alk_rd(data, len), &raw);
  ERR_pop_to_mark();
  alk_buf_free(&raw);
  return ok;
}
