/* cert.h - OpenSSH's certificates (PROTOCOL.certkeys), shared by every engine.
 *
 * A certificate is a public key with a statement about it, signed by a CA's
 * key: of the types ssh-ed25519, ecdsa-sha2-nistp256, -384, -521 and ssh-rsa,
 * each with -cert-v01@openssh.com behind it. Nothing leaves this header that
 * the key named in the certificate did not sign. Whether that key is a CA to
 * trust, whether anything is revoked, and what the options mean, is policy and
 * not decided here; alk_cert_check has the rules that need no policy. */
#ifndef ALK_CERT_H
#define ALK_CERT_H

#include "ssh/key.h"

enum {
  ALK_CERT_PRINCIPALS_MAX = 256, /* OpenSSH's limit */
  ALK_CERT_OPTIONS_MAX = 256     /* of each of the two lists */
};

typedef enum { ALK_CERT_USER = 1, ALK_CERT_HOST = 2 } alk_cert_kind_t;

typedef struct {
  const uint8_t *p;
  size_t len;
} alk_cert_bytes_t;

typedef struct {
  char *name;
  alk_cert_bytes_t value; /* as it stands there: often one string, or empty */
  char *text; /* what that one string holds; NULL: value is not such a text */
} alk_cert_option_t;

/* In lexical order of the names, each there once. */
typedef struct {
  alk_cert_option_t *list;
  size_t count;
} alk_cert_options_t;

/* No text holds a NUL; else texts are the CA's, of any bytes. */
typedef struct {
  const char *type; /* "ssh-ed25519-cert-v01@openssh.com" */
  alk_key_t *key;   /* what is certified */
  alk_cert_bytes_t nonce;
  uint64_t serial; /* 0: the CA does not count */
  alk_cert_kind_t kind;
  char *key_id;
  char **principals; /* users or hosts; see alk_cert_check */
  size_t principals_count;
  uint64_t valid_after, valid_before; /* seconds since 1970 */
  alk_cert_options_t critical, extensions;
  alk_cert_bytes_t reserved;
  alk_key_t *ca; /* the signature is its own: it may be anybody's */
  alk_cert_bytes_t signature;
  const char *algorithm; /* the signature's; never SHA-1 */
  uint8_t *blob; /* the whole; what is alk_cert_bytes_t points into it */
  size_t blob_len;
} alk_cert_t;

/* Whether the blob's type is that of a certificate, of any kind of key. */
bool alk_cert_is(const uint8_t *blob, size_t len);

/* NULL: err says why. */
alk_cert_t *alk_cert_read(const uint8_t *blob, size_t len, alk_err_t *err);
void alk_cert_free(alk_cert_t *c);

/* The key that signs for a blob, which is a plain public key or a certificate:
 * then, once all of it was found right, the certified key. NULL: err. */
alk_key_t *alk_cert_subject(const uint8_t *blob, size_t len, alk_err_t *err);

/* alk_fingerprint of that key, which is what OpenSSH shows of a certificate.
 * False: the blob is neither. */
bool alk_cert_fingerprint(const uint8_t *blob, size_t len,
                          char out[ALK_FINGERPRINT_MAX]);

/* NULL: there is no such option. */
const alk_cert_option_t *alk_cert_option(const alk_cert_options_t *options,
                                         const char *name);

/* The rules without policy: the kind is the wanted one; valid after <= now <
 * valid before; there is a principal, and one is the given one (NULL: the
 * caller compares). A user's is equal to the last byte; a host's, without its
 * port and in any case, may be a pattern with * and ?. False: err says why, as
 * ALK_E_AUTH or ALK_E_HOSTKEY.
 *
 * Critical options: none on a host's certificate; on a user's only
 * force-command and source-address (a text) and verify-required (empty). Those
 * the caller must still honour: what it cannot, it must refuse. An extension
 * that OpenSSH knows must be empty, the others are free. */
bool alk_cert_check(const alk_cert_t *c, alk_cert_kind_t want,
                    const char *principal, uint64_t now, alk_err_t *err);

#endif
