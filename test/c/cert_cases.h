/* cert_cases.h - a certificate of each type, for test_cert*.c. */
#ifndef CERT_CASES_H
#define CERT_CASES_H

#include "core/mem.h"

#include "ssh/cert.h"

#include "cert_build.h"
#include "cert_fixtures.h"
#include "key_cases.h"

/* In the order of fixtures[]: the key's is the index. */
static const struct {
  const char *text;
  size_t ca;
  const char *algorithm;
  alk_cert_kind_t kind;
} certs[FIXTURES] = {
  {cert_ed25519, 1, "ecdsa-sha2-nistp256", ALK_CERT_USER},
  {cert_p256, 4, "rsa-sha2-512", ALK_CERT_HOST},
  {cert_p384, 0, "ssh-ed25519", ALK_CERT_USER},
  {cert_p521, 2, "ecdsa-sha2-nistp384", ALK_CERT_HOST},
  {cert_rsa, 3, "ecdsa-sha2-nistp521", ALK_CERT_USER},
};

static alk_key_t *keys[FIXTURES];
static inline alk_buf_t cert_bytes(size_t i)
{
  alk_buf_t out = {0};
  assert_true(alk_base64_decode(certs[i].text, strlen(certs[i].text), &out));
  return out;
}

static inline void refused(const uint8_t *p, size_t len, const char *why)
{
  uint8_t *copy = alk_memdup(p, len); /* its end is where a reader must stop */
  alk_err_t err = {0};
  char print[ALK_FINGERPRINT_MAX];
  assert_null(alk_cert_read(copy, len, &err));
  assert_int_equal(err.code, ALK_E_KEY);
  if (strstr(err.msg, why) == NULL) fail_msg("\"%s\": %s", why, err.msg);
  if (alk_cert_is(copy, len)) {
    assert_null(alk_cert_subject(copy, len, NULL));
    assert_false(alk_cert_fingerprint(copy, len, print));
    assert_string_equal(print, "");
  }
  alk_free(copy);
}

static inline void refused_buf(alk_buf_t b, const char *why)
{
  assert_true(alk_buf_size(&b) > 0);
  refused(b.p, alk_buf_size(&b), why);
  alk_buf_free(&b);
}

static inline void refused_spec(const spec_t *s, const char *why)
{
  refused_buf(cert_build(s), why);
}

static inline alk_cert_t *accepted(alk_buf_t b)
{
  alk_err_t err = {0};
  alk_cert_t *c = alk_cert_read(alk_buf_head(&b), alk_buf_size(&b), &err);
  assert_string_equal(err.msg, "");
  assert_non_null(c);
  alk_buf_free(&b); /* the certificate has bytes of its own */
  return c;
}

static inline spec_t spec(size_t key, size_t ca)
{
  return (spec_t){.key = keys[key],
                  .ca = keys[ca],
                  .kind = ALK_CERT_USER,
                  .before = UINT64_MAX};
}

static inline void same_key(const alk_key_t *a, const alk_key_t *b)
{
  size_t a_len, b_len;
  const uint8_t *p = alk_key_blob(a, &a_len), *q = alk_key_blob(b, &b_len);
  assert_int_equal(a_len, b_len);
  assert_memory_equal(p, q, a_len);
}

static inline int cert_setup(void **state)
{
  (void) state;
  for (size_t i = 0; i < FIXTURES; i++)
    keys[i] = read_key(fixtures[i].text);
  return 0;
}

static inline int cert_teardown(void **state)
{
  (void) state;
  for (size_t i = 0; i < FIXTURES; i++)
    alk_key_free(keys[i]);
  return 0;
}

#endif
