/* kex_mlkem.c - mlkem768x25519-sha256 (RFC 10042, before that
 * draft-ietf-sshm-mlkem-hybrid-kex): ML-KEM-768 (FIPS 203) beside X25519.
 *
 *   C_INIT   byte[1184] ML-KEM's encapsulation key, byte[32] X25519
 *   S_REPLY  byte[1088] ML-KEM's ciphertext, byte[32] X25519
 *
 * K = SHA-256(K_PQ || K_CL), ML-KEM's secret first; it is a string, not an
 * mpint, where it is hashed. OpenSSL refuses an encapsulation key with a
 * coefficient out of range (FIPS 203 §7.2). A ciphertext that was not made for
 * our key gives a secret that the peer does not know (§6.3, implicit
 * rejection): then the exchange hash is another and its signature is wrong.
 *
 * ML-KEM is in OpenSSL from 3.5 on, and looked for when the program runs; the
 * functions are those of 3.0. */
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/err.h>

#include "ssh/native/kex_impl.h"

#define MLKEM "ML-KEM-768"

bool kex_has_mlkem(void)
{
  ERR_set_mark();
  EVP_KEYMGMT *keys = EVP_KEYMGMT_fetch(NULL, MLKEM, NULL);
  EVP_KEM *kem = EVP_KEM_fetch(NULL, MLKEM, NULL);
  bool has = keys != NULL && kem != NULL;
  EVP_KEYMGMT_free(keys);
  EVP_KEM_free(kem);
  ERR_pop_to_mark();
  return has;
}

static bool encapsulate(const uint8_t *public, uint8_t *ciphertext,
                        uint8_t secret[KEX_KEM_SECRET])
{
  size_t len = KEX_KEM_CIPHERTEXT, secret_len = KEX_KEM_SECRET;
  EVP_PKEY *peer = kex_peer(MLKEM, NULL, public, KEX_KEM_PUBLIC);
  EVP_PKEY_CTX *ctx =
    peer == NULL ? NULL : EVP_PKEY_CTX_new_from_pkey(NULL, peer, NULL);
  bool ok =
    ctx != NULL && EVP_PKEY_encapsulate_init(ctx, NULL) == 1 &&
    EVP_PKEY_encapsulate(ctx, ciphertext, &len, secret, &secret_len) == 1 &&
    len == KEX_KEM_CIPHERTEXT && secret_len == KEX_KEM_SECRET;
  EVP_PKEY_CTX_free(ctx);
  EVP_PKEY_free(peer);
  return ok;
}

static bool decapsulate(EVP_PKEY *own, const uint8_t *ciphertext,
                        uint8_t secret[KEX_KEM_SECRET])
{
  size_t secret_len = KEX_KEM_SECRET;
  EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, own, NULL);
  bool ok = ctx != NULL && EVP_PKEY_decapsulate_init(ctx, NULL) == 1 &&
            EVP_PKEY_decapsulate(ctx, secret, &secret_len, ciphertext,
                                 KEX_KEM_CIPHERTEXT) == 1 &&
            secret_len == KEX_KEM_SECRET;
  EVP_PKEY_CTX_free(ctx);
  return ok;
}

/* Both secrets, in the order in which they are hashed. */
typedef struct {
  uint8_t kem[KEX_KEM_SECRET], curve[KEX_X25519_LEN];
} secrets_t;

_Static_assert(sizeof(secrets_t) == KEX_KEM_SECRET + KEX_X25519_LEN,
               "hashed as one run of bytes");

static bool combine(kex_t *k, const secrets_t *both)
{
  uint8_t hash[KEX_HASH_MAX];
  unsigned len = 0;
  EVP_MD *md = EVP_MD_fetch(NULL, k->method->hash, NULL);
  bool ok = md != NULL && EVP_MD_get_size(md) <= KEX_HASH_MAX &&
            EVP_Digest(both, sizeof *both, hash, &len, md, NULL) == 1;
  if (ok) alk_buf_str(&k->secret, hash, len);
  OPENSSL_cleanse(hash, sizeof hash);
  EVP_MD_free(md);
  return ok;
}

static bool hybrid_start(kex_t *k, uint8_t *init)
{
  const kex_curve_t *curve = k->method->curve;
  k->kem_key = kex_generate(MLKEM, NULL);
  k->curve_key = kex_generate(curve->type, curve->group);
  return k->kem_key != NULL && k->curve_key != NULL &&
         kex_public(k->kem_key, init, KEX_KEM_PUBLIC) &&
         kex_public(k->curve_key, init + KEX_KEM_PUBLIC, curve->public_len);
}

static bool hybrid_finish(kex_t *k, const uint8_t *reply)
{
  secrets_t both;
  bool ok = decapsulate(k->kem_key, reply, both.kem) &&
            kex_agree(k->method->curve, k->curve_key,
                      reply + KEX_KEM_CIPHERTEXT, both.curve) &&
            combine(k, &both);
  OPENSSL_cleanse(&both, sizeof both);
  return ok;
}

static bool hybrid_reply(kex_t *k, const uint8_t *init, uint8_t *reply)
{
  secrets_t both;
  const kex_curve_t *curve = k->method->curve;
  k->curve_key = kex_generate(curve->type, curve->group);
  bool ok =
    k->curve_key != NULL &&
    kex_public(k->curve_key, reply + KEX_KEM_CIPHERTEXT, curve->public_len) &&
    encapsulate(init, reply, both.kem) &&
    kex_agree(curve, k->curve_key, init + KEX_KEM_PUBLIC, both.curve) &&
    combine(k, &both);
  OPENSSL_cleanse(&both, sizeof both);
  return ok;
}

const kex_ops_t kex_hybrid_ops = {
  .start = hybrid_start,
  .finish = hybrid_finish,
  .reply = hybrid_reply,
};
