/* cert_build.h - a CA for test_cert*.c, which also signs what a real one never
 * would. */
#ifndef CERT_BUILD_H
#define CERT_BUILD_H

#include <string.h>

#include "ssh/cert.h"

#define CERT_SUFFIX "-cert-v01@openssh.com"

/* Bytes with NULs in them; p NULL: what a good certificate has. */
typedef struct {
  const char *p;
  size_t len;
} lit_t;
#define LIT(text)             \
  (lit_t)                     \
  {                           \
    (text), sizeof(text) - 1u \
  }

typedef struct {
  const alk_key_t *key, *ca;
  const char *algorithm; /* NULL: that of the CA's key, rsa-sha2-512 */
  uint32_t kind;
  uint64_t serial, after, before;
  lit_t type, nonce, fields, key_id, principals, critical, extensions, reserved,
    ca_blob;
} spec_t;

static inline void put_lit(lit_t given, const char *p, size_t len,
                           alk_buf_t *out)
{
  if (given.p != NULL)
    alk_buf_str(out, given.p, given.len);
  else
    alk_buf_str(out, p, len);
}

/* What the signature is over. */
static inline alk_buf_t cert_body(const spec_t *s)
{
  alk_buf_t out = {0}, type = {0};
  const char *plain = alk_key_type(s->key);
  alk_buf_add(&type, plain, strlen(plain));
  alk_buf_add(&type, CERT_SUFFIX, strlen(CERT_SUFFIX));
  put_lit(s->type, (const char *) type.p, alk_buf_size(&type), &out);
  alk_buf_free(&type);
  put_lit(s->nonce, "0123456789abcdef", 16, &out);
  size_t len, skip = 4 + strlen(plain);
  const uint8_t *blob = alk_key_blob(s->key, &len);
  if (s->fields.p != NULL)
    alk_buf_add(&out, s->fields.p, s->fields.len);
  else
    alk_buf_add(&out, blob + skip, len - skip);
  alk_buf_u64(&out, s->serial);
  alk_buf_u32(&out, s->kind);
  put_lit(s->key_id, "an id", 5, &out);
  put_lit(s->principals, "\0\0\0\5alice\0\0\0\3bob", 16, &out);
  alk_buf_u64(&out, s->after);
  alk_buf_u64(&out, s->before);
  put_lit(s->critical, "", 0, &out);
  put_lit(s->extensions, "", 0, &out);
  put_lit(s->reserved, "", 0, &out);
  blob = alk_key_blob(s->ca, &len);
  put_lit(s->ca_blob, (const char *) blob, len, &out);
  return out;
}

/* Empty: the CA cannot sign. */
static inline alk_buf_t cert_build(const spec_t *s)
{
  alk_buf_t out = cert_body(s), sig = {0};
  const char *algorithm = s->algorithm;
  if (algorithm == NULL) algorithm = alk_key_type(s->ca);
  if (strcmp(algorithm, "ssh-rsa") == 0) algorithm = "rsa-sha2-512";
  if (alk_key_sign(s->ca, algorithm, out.p, alk_buf_size(&out), &sig, NULL))
    alk_buf_str(&out, sig.p, alk_buf_size(&sig));
  else
    alk_buf_free(&out);
  alk_buf_free(&sig);
  return out;
}

#endif
