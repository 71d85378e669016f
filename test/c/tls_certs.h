/* tls_certs.h - certificates for the tests of TLS, made when they run: none
 * expires in the tree. */
#ifndef ALK_TLS_CERTS_H
#define ALK_TLS_CERTS_H

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "net/tls.h"

enum { DAY = 24 * 60 * 60 };

typedef struct {
  EVP_PKEY *key;
  X509 *cert;
} identity_t;

typedef struct {
  const char *names; /* "DNS:a.example,IP:192.0.2.1"; NULL: a CA */
  int from, to;      /* days from now */
} wanted_t;

static inline void add_extension(X509 *cert, X509 *issuer, int nid,
                                 const char *value)
{
  X509V3_CTX ctx;
  X509V3_set_ctx_nodb(&ctx);
  X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
  X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
  assert_non_null(ext);
  assert_int_equal(X509_add_ext(cert, ext, -1), 1);
  X509_EXTENSION_free(ext);
}

/* issuer: NULL for one that is signed by itself. */
static inline identity_t make_identity(const identity_t *issuer,
                                       const wanted_t *w)
{
  static long serial;
  identity_t id = {.key = EVP_EC_gen("P-256"), .cert = X509_new()};
  assert_non_null(id.key);
  assert_non_null(id.cert);
  if (issuer == NULL) issuer = &id;
  X509_set_version(id.cert, X509_VERSION_3);
  ASN1_INTEGER_set(X509_get_serialNumber(id.cert), ++serial);
  X509_gmtime_adj(X509_getm_notBefore(id.cert), (long) w->from * DAY);
  X509_gmtime_adj(X509_getm_notAfter(id.cert), (long) w->to * DAY);
  X509_set_pubkey(id.cert, id.key);
  char cn[32];
  snprintf(cn, sizeof cn, "%s %ld", w->names == NULL ? "CA" : "server", serial);
  X509_NAME_add_entry_by_txt(X509_get_subject_name(id.cert), "CN", MBSTRING_ASC,
                             (const unsigned char *) cn, -1, -1, 0);
  X509_set_issuer_name(id.cert, X509_get_subject_name(issuer->cert));
  add_extension(id.cert, issuer->cert, NID_basic_constraints,
                w->names == NULL ? "critical,CA:TRUE" : "CA:FALSE");
  if (w->names != NULL)
    add_extension(id.cert, issuer->cert, NID_subject_alt_name, w->names);
  assert_true(X509_sign(id.cert, issuer->key, EVP_sha256()) > 0);
  return id;
}

static inline void free_identity(identity_t *id)
{
  EVP_PKEY_free(id->key);
  X509_free(id->cert);
  *id = (identity_t){0};
}

/* What a BIO holds as text of its own. */
static inline alk_pem_t take_pem(BIO *bio)
{
  char *p;
  long len = BIO_get_mem_data(bio, &p);
  alk_pem_t pem = {.p = alk_memdup(p, (size_t) len), .len = (size_t) len};
  BIO_free(bio);
  return pem;
}

static inline alk_pem_t pem_of_certs(const identity_t *first,
                                     const identity_t *second)
{
  BIO *bio = BIO_new(BIO_s_mem());
  assert_int_equal(PEM_write_bio_X509(bio, first->cert), 1);
  if (second != NULL)
    assert_int_equal(PEM_write_bio_X509(bio, second->cert), 1);
  return take_pem(bio);
}

/* passphrase: NULL for one in the clear. */
static inline alk_pem_t pem_of_key(const identity_t *id, const char *passphrase)
{
  union {
    const char *given;
    char *taken;
  } secret = {.given = passphrase};
  BIO *bio = BIO_new(BIO_s_mem());
  assert_int_equal(
    PEM_write_bio_PKCS8PrivateKey(bio, id->key,
                                  passphrase == NULL ? NULL : EVP_aes_128_cbc(),
                                  NULL, 0, NULL, secret.taken),
    1);
  return take_pem(bio);
}

static inline void free_pem(alk_pem_t *pem)
{
  union {
    const char *given;
    char *taken;
  } p = {.given = pem->p};
  alk_free(p.taken);
  *pem = (alk_pem_t){0};
}

#endif
