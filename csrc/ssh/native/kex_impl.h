/* kex_impl.h - for the files that make up kex.h.
 *
 * A method is a curve, and for a hybrid ML-KEM beside it. kex.c holds the run
 * together and does the hashing; the other two files do the arithmetic. */
#ifndef ALK_NATIVE_KEX_IMPL_H
#define ALK_NATIVE_KEX_IMPL_H

#include <openssl/evp.h>

#include "ssh/native/kex.h"

enum {
  KEX_POINT_MAX = 1 + 2 * 66, /* P-521 */
  KEX_FIELD_MAX = 66,
  KEX_X25519_LEN = 32,
  KEX_KEM_PUBLIC = 1184, /* ML-KEM-768, FIPS 203 §8 */
  KEX_KEM_CIPHERTEXT = 1088,
  KEX_KEM_SECRET = 32,
  KEX_HYBRID_INIT = KEX_KEM_PUBLIC + KEX_X25519_LEN,
  KEX_HYBRID_REPLY = KEX_KEM_CIPHERTEXT + KEX_X25519_LEN
};

typedef struct {
  const char *type;  /* OpenSSL's name of the kind of key ... */
  const char *group; /* ... and of the curve; NULL: the kind is the curve */
  size_t public_len, secret_len;
} kex_curve_t;

extern const kex_curve_t kex_x25519, kex_p256, kex_p384, kex_p521;

/* finish and reply put the shared secret to k->secret in the form in which it
 * is hashed. */
typedef struct {
  bool (*start)(kex_t *k, uint8_t *init);
  bool (*finish)(kex_t *k, const uint8_t *reply);
  bool (*reply)(kex_t *k, const uint8_t *init, uint8_t *reply);
} kex_ops_t;

struct kex_method {
  const char *name;
  const char *hash;
  const kex_curve_t *curve;
  size_t init_len, reply_len; /* every other length is refused */
  const kex_ops_t *ops;
};

typedef enum { KEX_NEW, KEX_STARTED, KEX_DONE, KEX_FAILED } kex_state_t;

struct kex {
  const kex_method_t *method;
  kex_state_t state;
  EVP_PKEY *curve_key; /* ours, until the secret is made */
  EVP_PKEY *kem_key;
  alk_buf_t secret; /* K, encoded: mpint, or a hybrid's string */
};

extern const kex_ops_t kex_ecdh_ops, kex_hybrid_ops;

/* A fresh key of a kind that has no parameters, or only a curve. */
EVP_PKEY *kex_generate(const char *type, const char *group);
EVP_PKEY *kex_peer(const char *type, const char *group, const uint8_t *public,
                   size_t len);
bool kex_public(const EVP_PKEY *key, uint8_t *out, size_t len);
/* The secret of our key and the peer's public one; out has curve->secret_len.
 * False also when it is all zero, or the point is not on the curve. */
bool kex_agree(const kex_curve_t *curve, EVP_PKEY *own, const uint8_t *public,
               uint8_t *out);
bool kex_has_mlkem(void);

#endif
