/* key_impl.h - for the files that make up key.h.
 *
 * A kind is one type of key: three families, five types. Each knows the fields
 * of its wire forms and leaves the rest to key.c, key_sign.c and the two files
 * of the container. */
#ifndef ALK_KEY_IMPL_H
#define ALK_KEY_IMPL_H

#include <openssl/bn.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>

#include "ssh/key.h"

enum {
  ALK_RSA_MAX_BYTES = ALK_RSA_MAX_BITS / 8,
  ALK_SIG_MAX = ALK_RSA_MAX_BYTES, /* the longest signature of any kind */
  ALK_KEY_TYPE_MAX = 64            /* of a type's name in a message */
};

typedef struct alk_key_kind alk_key_kind_t;

/* The readers take what stands between the type and the comment, the writers
 * append it. A reader that gives NULL has set r->bad, or else err. */
struct alk_key_kind {
  const char *type;  /* "ssh-ed25519" */
  const char *name;  /* for alk_key_generate; NULL: not generated */
  const char *curve; /* ECDSA: RFC 5656's name, and OpenSSL's */
  const char *group;
  size_t field_len; /* ECDSA: bytes of a coordinate and of the scalar */
  EVP_PKEY *(*read_public)(const alk_key_kind_t *kind, alk_rd_t *r,
                           alk_err_t *err);
  EVP_PKEY *(*read_private)(const alk_key_kind_t *kind, alk_rd_t *r,
                            alk_err_t *err);
  bool (*write_public)(const alk_key_kind_t *kind, const EVP_PKEY *pkey,
                       alk_buf_t *out);
  bool (*write_private)(const alk_key_kind_t *kind, const EVP_PKEY *pkey,
                        alk_buf_t *out);
  EVP_PKEY *(*generate)(const alk_key_kind_t *kind);
  /* Between OpenSSL's form of a signature and the wire's, without the string
   * around it. False: malformed, and out may hold a part. */
  bool (*sig_to_wire)(const alk_key_kind_t *kind, const uint8_t *sig,
                      size_t len, alk_buf_t *out);
  bool (*sig_from_wire)(const alk_key_kind_t *kind, const EVP_PKEY *pkey,
                        alk_rd_t wire, alk_buf_t *out);
};

extern const alk_key_kind_t alk_key_ed25519, alk_key_rsa;
extern const alk_key_kind_t alk_key_p256, alk_key_p384, alk_key_p521;

struct alk_key {
  const alk_key_kind_t *kind;
  EVP_PKEY *pkey;
  bool is_private;
  char *comment;         /* never NULL */
  alk_buf_t blob;        /* the public part as it goes on the wire */
  alk_buf_t cert;        /* the certificate; empty: none */
  const char *cert_type; /* NULL: none */
};

/* Takes pkey, which may be NULL: then so is the result. */
alk_key_t *alk_key_new(const alk_key_kind_t *kind, EVP_PKEY *pkey,
                       bool is_private, alk_err_t *err);

bool alk_key_has_blob(const alk_key_t *k, const uint8_t *blob, size_t len);

/* Reads a type; NULL: err says why. what names the thing that holds it. */
const alk_key_kind_t *alk_key_read_kind(alk_rd_t *r, const char *what,
                                        alk_err_t *err);

/* Reads what stands behind the type of a public key, in its one form. NULL: err
 * says why. */
alk_key_t *alk_key_read_fields(const alk_key_kind_t *kind, alk_rd_t *r,
                               const char *what, alk_err_t *err);

/* A type as it may appear in a message; out is only where to put it. */
const char *alk_key_type_text(const uint8_t *p, size_t len,
                              char out[ALK_KEY_TYPE_MAX + 1]);

/* A natural number as a canonical mpint of at most max_len bytes without its
 * leading zero; anything else sets r->bad. */
typedef struct {
  const uint8_t *p;
  size_t len;
} alk_num_t;
alk_num_t alk_key_num(alk_rd_t *r, size_t max_len);
unsigned alk_num_bits(alk_num_t n);
BIGNUM *alk_num_secret(alk_num_t n); /* NULL: OpenSSL failed */

/* Adds a number of pkey as an mpint. False: OpenSSL failed. */
bool alk_key_put_num(const EVP_PKEY *pkey, const char *param, alk_buf_t *out);

/* Makes a key of what bld holds; NULL: OpenSSL refused. Frees bld, which may
 * be NULL. */
EVP_PKEY *alk_key_from(const char *algorithm, int selection,
                       OSSL_PARAM_BLD *bld);

/* The private container (key_file.c reads, key_write.c writes). */
#define ALK_KEY_MAGIC "openssh-key-v1" /* its final NUL is part of it */
#define ALK_KEY_BEGIN "-----BEGIN OPENSSH PRIVATE KEY-----"
#define ALK_KEY_END   "-----END OPENSSH PRIVATE KEY-----"

typedef struct {
  const char *name;    /* PROTOCOL's */
  const char *openssl; /* NULL: not encrypted */
  size_t key_len, iv_len, tag_len, block_len;
} alk_key_cipher_t;

const alk_key_cipher_t *alk_key_cipher_find(const uint8_t *name, size_t len);

typedef struct {
  const char *passphrase;
  const uint8_t *salt;
  size_t salt_len;
  unsigned rounds;
} alk_key_kdf_t;

typedef enum {
  ALK_KEY_CRYPT_OK,
  ALK_KEY_CRYPT_BAD_TAG,
  ALK_KEY_CRYPT_FAILED
} alk_key_crypt_t;

/* Over len bytes in place; the tag, if the cipher has one, stands or comes
 * right behind them. */
alk_key_crypt_t alk_key_crypt(const alk_key_cipher_t *cipher,
                              const alk_key_kdf_t *kdf, bool seal, uint8_t *buf,
                              size_t len);

#endif
