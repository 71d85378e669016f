/* test_cert.c - certificates: what is read out of them, every cut, every
 * flipped byte, every refusal of form, and every allocation of OpenSSL failing.
 * Signatures: test_cert_sign.c; what certificates are good for:
 * test_cert_check.c; the real ssh-keygen: test_cert_interop.c. */
#include <stdlib.h>

#include <openssl/crypto.h>
#include <openssl/err.h>

#include "cert_cases.h"
#include "crypto_faults.h"

static void check_option(const alk_cert_options_t *o, size_t i,
                         const char *name, const char *text)
{
  assert_string_equal(o->list[i].name, name);
  assert_ptr_equal(alk_cert_option(o, name), &o->list[i]);
  if (text == NULL) {
    assert_null(o->list[i].text);
    assert_int_equal(o->list[i].value.len, 0);
  } else {
    assert_string_equal(o->list[i].text, text);
    assert_int_equal(o->list[i].value.len, 4 + strlen(text));
  }
}

static void check_lists(const alk_cert_t *c)
{
  bool is_user = c->kind == ALK_CERT_USER;
  assert_int_equal(c->principals_count, 2);
  assert_string_equal(c->principals[0], is_user ? "alice" : "*.example.com");
  assert_string_equal(c->principals[1], is_user ? "bob" : "h?st");
  assert_int_equal(c->critical.count, is_user ? 2 : 0);
  assert_int_equal(c->extensions.count, is_user ? 6 : 0);
  assert_null(alk_cert_option(&c->critical, "permit-pty"));
  if (!is_user) return;
  check_option(&c->critical, 0, "force-command", "/bin/true");
  check_option(&c->critical, 1, "source-address", "127.0.0.0/8,::1/128");
  check_option(&c->extensions, 0, "permit-X11-forwarding", NULL);
  check_option(&c->extensions, 1, "permit-agent-forwarding", NULL);
  check_option(&c->extensions, 2, "permit-port-forwarding", NULL);
  check_option(&c->extensions, 3, "permit-pty", NULL);
  check_option(&c->extensions, 4, "permit-user-rc", NULL);
  check_option(&c->extensions, 5, "scopes@alknet", "a,b");
}

static void fixtures_are_read(void **state)
{
  (void) state;
  for (size_t i = 0; i < FIXTURES; i++) {
    char type[64], id[64];
    snprintf(type, sizeof type, "%s%s", fixtures[i].type, CERT_SUFFIX);
    snprintf(id, sizeof id, "fixture %s",
             (const char *[]){"ed25519", "p256", "p384", "p521", "rsa"}[i]);
    alk_cert_t *c = accepted(cert_bytes(i));
    assert_string_equal(c->type, type);
    assert_string_equal(c->key_id, id);
    assert_int_equal(c->kind, certs[i].kind);
    assert_int_equal(c->serial, 7);
    assert_int_equal(c->valid_after, 1577836800);
    assert_int_equal(c->valid_before, 1893456000);
    assert_int_equal(c->nonce.len, 32);
    assert_int_equal(c->reserved.len, 0);
    assert_string_equal(c->algorithm, certs[i].algorithm);
    assert_false(alk_key_is_private(c->key));
    same_key(c->key, keys[i]);
    same_key(c->ca, keys[certs[i].ca]);
    check_lists(c);
    alk_cert_free(c);
  }
  alk_cert_free(NULL);
}

static void subjects(void **state)
{
  (void) state;
  for (size_t i = 0; i < FIXTURES; i++) {
    char of_key[ALK_FINGERPRINT_MAX], of_cert[ALK_FINGERPRINT_MAX];
    alk_buf_t b = cert_bytes(i);
    size_t len;
    const uint8_t *blob = alk_key_blob(keys[i], &len);
    assert_true(alk_cert_is(b.p, alk_buf_size(&b)));
    assert_false(alk_cert_is(blob, len));
    alk_key_t *from_cert = alk_cert_subject(b.p, alk_buf_size(&b), NULL);
    alk_key_t *from_key = alk_cert_subject(blob, len, NULL);
    same_key(from_cert, keys[i]);
    same_key(from_key, keys[i]);
    assert_null(alk_key_cert_type(from_cert));
    assert_true(alk_fingerprint(blob, len, of_key));
    assert_true(alk_cert_fingerprint(b.p, alk_buf_size(&b), of_cert));
    assert_string_equal(of_cert, of_key);
    assert_true(alk_cert_fingerprint(blob, len, of_cert));
    assert_string_equal(of_cert, of_key);
    refused(blob, len, "not a type of certificate");
    alk_key_free(from_cert);
    alk_key_free(from_key);
    alk_buf_free(&b);
  }
  alk_err_t err = {0};
  assert_null(alk_cert_subject((const uint8_t *) "", 0, &err));
  assert_int_equal(err.code, ALK_E_KEY);
  assert_false(alk_cert_is(NULL, 0));
  assert_false(alk_cert_is((const uint8_t *) "\0\0\0\25" CERT_SUFFIX, 25));
}

static void every_cut(void **state)
{
  (void) state;
  for (size_t i = 0; i < FIXTURES; i++) {
    alk_buf_t b = cert_bytes(i);
    for (size_t len = 0; len < alk_buf_size(&b); len++)
      refused(b.p, len, "");
    alk_buf_u8(&b, 0);
    refused_buf(b, "form is damaged");
  }
}

/* One bit of each byte, and of the smallest certificate every bit. */
static void every_flip(void **state)
{
  (void) state;
  for (size_t i = 0; i < FIXTURES; i++) {
    alk_buf_t b = cert_bytes(i);
    for (size_t at = 0; at < alk_buf_size(&b); at++)
      for (unsigned bit = 0; bit < (i == 0 ? 8 : 1); bit++) {
        uint8_t mask = (uint8_t) (1u << (at + bit) % 8);
        b.p[at] ^= mask;
        if (at % 32 == 0)
          refused(b.p, alk_buf_size(&b), "");
        else
          assert_null(alk_cert_read(b.p, alk_buf_size(&b), NULL));
        b.p[at] ^= mask;
      }
    alk_cert_free(accepted(b));
  }
  assert_int_equal(ERR_peek_error(), 0);
}

static void forms(void **state)
{
  (void) state;
  static const struct {
    size_t at; /* of the field in spec_t */
    lit_t value;
    const char *why; /* NULL: accepted */
  } cases[] = {
#define CASE(field, text, why) \
  {offsetof(spec_t, field), {(text), sizeof(text) - 1u}, why}
    CASE(type, "", "(unreadable) is not a type"),
    CASE(type, "ssh-ed25519", "ssh-ed25519 is not a type"),
    CASE(type, "ssh-ed25519-cert-v00@openssh.com", "is not a type"),
    CASE(type, "ssh-dss-cert-v01@openssh.com", "is not a type"),
    CASE(type, "ssh-ed448-cert-v01@openssh.com", "is not a type"),
    CASE(type, "sk-ssh-ed25519-cert-v01@openssh.com", "is not a type"),
    CASE(type, "rsa-sha2-512-cert-v01@openssh.com", "is not a type"),
    CASE(type, "ssh-ed25519-cert-v01@openssh.com\0", "(unreadable)"),
    CASE(type, "ssh-rsa-cert-v01@openssh.com", "certified key is damaged"),
    CASE(nonce, "", NULL),
    CASE(nonce, "\0", NULL),
    CASE(fields, "", "certified key is damaged"),
    CASE(fields, "\0\0\0\37aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "damaged"),
    CASE(fields, "\0\0\0\41aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "damaged"),
    CASE(key_id, "", NULL),
    CASE(key_id, "a\0b", "key id is damaged"),
    CASE(key_id, "ab\0", "key id is damaged"),
    CASE(principals, "", NULL),
    CASE(principals, "\0\0\0\0", NULL),
    CASE(principals, "\0\0\0\3a,b\0\0\0\1*", NULL),
    CASE(principals, "\0", "principals are damaged"),
    CASE(principals, "\0\0\0\2a", "principals are damaged"),
    CASE(principals, "\0\0\0\1ab", "principals are damaged"),
    CASE(principals, "\xff\xff\xff\xff", "principals are damaged"),
    CASE(principals, "\0\0\0\1a\0\0\0\3b\0c", "principals are damaged"),
    CASE(principals, "\0\0\0\2a\0", "principals are damaged"),
    CASE(critical, "\0\0\0\1a\0\0\0\0\0\0\0\1b\0\0\0\0", NULL),
    CASE(critical, "\0\0\0\1a\0\0\0\0\0\0\0\2aa\0\0\0\0", NULL),
    CASE(critical, "\0\0\0\1~\0\0\0\0\0\0\0\1\x80\0\0\0\0", NULL),
    CASE(critical, "\0\0\0\1b\0\0\0\0\0\0\0\1a\0\0\0\0", "not in order"),
    CASE(critical, "\0\0\0\1a\0\0\0\0\0\0\0\1a\0\0\0\0", "not in order"),
    CASE(critical, "\0\0\0\2aa\0\0\0\0\0\0\0\1a\0\0\0\0", "not in order"),
    CASE(critical, "\0\0\0\1a", "critical options are damaged"),
    CASE(critical, "\0\0\0\1a\0\0\0\0\0\0\0\1b", "options are damaged"),
    CASE(critical, "\0\0\0\1a\0\0\0\1", "critical options are damaged"),
    CASE(critical, "\0\0\0\2a\0\0\0\0\0", "critical options are damaged"),
    CASE(extensions, "\0\0\0\1a\0\0\0\0\0\0\0\1b\0\0\0\0", NULL),
    CASE(extensions, "\0\0\0\1b\0\0\0\0\0\0\0\1a\0\0\0\0", "not in order"),
    CASE(extensions, "\0\0\0\1a\0\0\0\0\0\0\0\1a\0\0\0\0", "not in order"),
    CASE(extensions, "\0\0\0\1a", "extensions are damaged"),
    CASE(reserved, "what is to come", NULL),
#undef CASE
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    spec_t s = spec(0, 0);
    memcpy((char *) &s + cases[i].at, &cases[i].value, sizeof(lit_t));
    if (cases[i].why != NULL)
      refused_spec(&s, cases[i].why);
    else
      alk_cert_free(accepted(cert_build(&s)));
  }
}

static void kinds(void **state)
{
  (void) state;
  static const uint32_t bad[] = {0, 3, 256, UINT32_MAX};
  spec_t s = spec(0, 0);
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    s.kind = bad[i];
    refused_spec(&s, "neither for a user nor for a host");
  }
}

/* The same key in another spelling would not be found to be revoked. */
static void one_form_of_a_key(void **state)
{
  (void) state;
  spec_t s = spec(4, 0);
  size_t len, skip = 4 + strlen("ssh-rsa");
  const uint8_t *blob = alk_key_blob(keys[4], &len);
  alk_buf_t fields = {0};
  alk_buf_str(&fields, "\0\1\0\1", 4); /* e, with a zero too many */
  alk_buf_add(&fields, blob + skip + 7, len - skip - 7);
  s.fields = (lit_t){(const char *) fields.p, alk_buf_size(&fields)};
  refused_spec(&s, "certified key is damaged");
  alk_buf_free(&fields);
}

static void put_options(unsigned count, alk_buf_t *out)
{
  for (unsigned i = 0; i < count; i++) {
    char name[16];
    snprintf(name, sizeof name, "%03u", i);
    alk_buf_cstr(out, name);
    alk_buf_cstr(out, "");
  }
}

static void limits(void **state)
{
  (void) state;
  for (unsigned more = 0; more < 2; more++) {
    alk_buf_t options = {0}, principals = {0};
    put_options(ALK_CERT_OPTIONS_MAX + more, &options);
    put_options((ALK_CERT_PRINCIPALS_MAX) / 2, &principals);
    if (more > 0) alk_buf_cstr(&principals, "");
    lit_t list = {(const char *) options.p, alk_buf_size(&options)};
    spec_t with_critical = spec(0, 0), with_extensions = with_critical,
           with_principals = with_critical;
    with_critical.critical = with_extensions.extensions = list;
    with_principals.principals =
      (lit_t){(const char *) principals.p, alk_buf_size(&principals)};
    if (more > 0) {
      refused_spec(&with_critical, "critical options are too many");
      refused_spec(&with_extensions, "extensions are too many");
      refused_spec(&with_principals, "principals are too many");
    } else {
      alk_cert_t *c = accepted(cert_build(&with_critical));
      assert_int_equal(c->critical.count, ALK_CERT_OPTIONS_MAX);
      alk_cert_free(c);
      c = accepted(cert_build(&with_extensions));
      assert_int_equal(c->extensions.count, ALK_CERT_OPTIONS_MAX);
      alk_cert_free(c);
      c = accepted(cert_build(&with_principals));
      assert_int_equal(c->principals_count, ALK_CERT_PRINCIPALS_MAX);
      alk_cert_free(c);
    }
    alk_buf_free(&options);
    alk_buf_free(&principals);
  }
}

static void size_of_the_whole(void **state)
{
  (void) state;
  static char zeros[ALK_KEY_BLOB_MAX];
  spec_t s = spec(0, 0);
  s.reserved = (lit_t){zeros, 0};
  alk_buf_t b = cert_build(&s);
  s.reserved.len = ALK_KEY_BLOB_MAX - alk_buf_size(&b);
  alk_buf_free(&b);
  alk_cert_t *c = accepted(cert_build(&s));
  assert_int_equal(c->blob_len, ALK_KEY_BLOB_MAX);
  alk_cert_free(c);
  s.reserved.len++;
  refused_spec(&s, "the certificate is too long");
  alk_err_t err = {0};
  assert_null(alk_cert_read(NULL, 0, &err));
  assert_string_equal(err.msg, "the certificate is empty");
}

static void attach(alk_key_t *k, alk_buf_t b, const char *why)
{
  alk_err_t err = {0};
  bool ok = alk_key_attach_cert(k, b.p, alk_buf_size(&b), &err);
  assert_int_equal(ok, why == NULL);
  if (why == NULL) assert_string_equal(err.msg, "");
  if (why != NULL && strstr(err.msg, why) == NULL)
    fail_msg("\"%s\": %s", why, err.msg);
  alk_buf_free(&b);
}

static void has_cert(const alk_key_t *k, alk_buf_t b)
{
  size_t len;
  const uint8_t *p = alk_key_cert(k, &len);
  assert_int_equal(len, alk_buf_size(&b));
  assert_memory_equal(p, b.p, len);
  alk_buf_free(&b);
}

static void a_key_gets_its_certificate(void **state)
{
  (void) state;
  for (size_t i = 0; i < FIXTURES; i++) {
    char type[64];
    size_t len = 1;
    alk_key_t *k = read_key(fixtures[i].text);
    snprintf(type, sizeof type, "%s%s", fixtures[i].type, CERT_SUFFIX);
    assert_null(alk_key_cert(k, &len));
    assert_int_equal(len, 0);
    assert_null(alk_key_cert_type(k));
    for (size_t j = 0; j < FIXTURES; j++)
      if (j != i) attach(k, cert_bytes(j), "for another key");
    assert_null(alk_key_cert_type(k));
    attach(k, cert_bytes(i), NULL);
    assert_string_equal(alk_key_cert_type(k), type);
    assert_string_equal(alk_key_type(k), fixtures[i].type);
    same_key(k, keys[i]);
    alk_buf_t bad = cert_bytes(i);
    bad.p[alk_buf_size(&bad) - 1] ^= 1;
    attach(k, bad, "signature is wrong");
    attach(k, cert_bytes((i + 1) % FIXTURES), "for another key");
    has_cert(k, cert_bytes(i));
    spec_t s = spec(i, i); /* a new one takes the old one's place */
    alk_buf_t next = cert_build(&s);
    assert_true(alk_key_attach_cert(k, next.p, alk_buf_size(&next), NULL));
    has_cert(k, next);
    alk_key_free(k);
  }
  size_t len;
  const uint8_t *blob = alk_key_blob(keys[0], &len);
  alk_key_t *half = alk_key_read_blob(blob, len, NULL);
  attach(half, cert_bytes(0), "only a private key");
  alk_key_free(half);
}

/* How often it was refused because of a fault. */
static unsigned read_with_every_fault(const alk_buf_t *b)
{
  unsigned refusals = 0;
  bool reached = true;
  for (unsigned long n = 1; reached; n++) {
    alk_err_t err = {0};
    faults_on(n);
    alk_cert_t *c = alk_cert_read(b->p, alk_buf_size(b), &err);
    reached = faults_off();
    if (c == NULL) assert_string_not_equal(err.msg, "");
    refusals += c == NULL;
    alk_cert_free(c);
  }
  return refusals;
}

static void faults(void **state)
{
  (void) state;
  for (size_t i = 0; i < FIXTURES; i++) {
    alk_buf_t b = cert_bytes(i);
    alk_cert_free(alk_cert_read(b.p, alk_buf_size(&b), NULL));
    assert_true(read_with_every_fault(&b) > 0);
    alk_buf_free(&b);
  }
  assert_int_equal(ERR_peek_error(), 0);
}

/* Never accepted, whatever fails while it is looked at. */
static void wrong_stays_wrong_with_every_fault(void **state)
{
  (void) state;
  for (size_t i = 0; i < FIXTURES; i++) {
    alk_buf_t b = cert_bytes(i);
    b.p[alk_buf_size(&b) - 1] ^= 1;
    bool reached = true;
    for (unsigned long n = 1; reached; n++) {
      faults_on(n);
      assert_null(alk_cert_read(b.p, alk_buf_size(&b), NULL));
      reached = faults_off();
    }
    alk_buf_free(&b);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(fixtures_are_read),
    cmocka_unit_test(subjects),
    cmocka_unit_test(every_cut),
    cmocka_unit_test(every_flip),
    cmocka_unit_test(forms),
    cmocka_unit_test(kinds),
    cmocka_unit_test(one_form_of_a_key),
    cmocka_unit_test(limits),
    cmocka_unit_test(size_of_the_whole),
    cmocka_unit_test(a_key_gets_its_certificate),
    cmocka_unit_test(faults),
    cmocka_unit_test(wrong_stays_wrong_with_every_fault),
  };
  if (!faults_install()) return 1;
  return cmocka_run_group_tests(tests, cert_setup, cert_teardown);
}
