/* cert_sign.h - what a CA does: certificates are made here, read in cert.h. */
#ifndef ALK_CERT_SIGN_H
#define ALK_CERT_SIGN_H

#include "ssh/cert.h"

typedef struct {
  const char *name;
  const char *text; /* NULL: the option has no value */
} alk_cert_spec_option_t;

/* What a certificate is to say. No text is NULL but where it says so. */
typedef struct {
  const uint8_t *key; /* the public key to certify; not a certificate */
  size_t key_len;
  alk_cert_kind_t kind;
  uint64_t serial, valid_after, valid_before;
  const char *key_id;
  const char *const *principals;
  size_t principals_count;
  const alk_cert_spec_option_t *critical, *extensions; /* in any order */
  size_t critical_count, extensions_count;
} alk_cert_spec_t;

/* Appends the certificate, signed with the private key: rsa-sha2-512 for RSA.
 * It is read again before it is given out, so what alk_cert_read would refuse
 * (an option that is there twice, a list too long) is not made. False: err. */
bool alk_cert_sign(const alk_key_t *ca, const alk_cert_spec_t *spec,
                   alk_buf_t *out, alk_err_t *err);

#endif
