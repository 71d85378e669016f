/* test_cert_make.c - certificates made by a CA: read again field by field, what
 * is refused, and every allocation of OpenSSL failing. The real ssh-keygen:
 * test/keygen-sign.test.js. */
#include <openssl/err.h>

#include "ssh/cert_sign.h"

#include "cert_cases.h"
#include "crypto_faults.h"

static const char *const names[] = {"alice", "bob"};
static const alk_cert_spec_option_t critical[] = {
  {"source-address", "127.0.0.0/8"}, {"force-command", "ls"}};
static const alk_cert_spec_option_t extensions[] = {
  {"permit-pty", NULL}, {"a@example.com", ""}, {"b@example.com", "x"}};

static alk_cert_spec_t statement(size_t key)
{
  alk_cert_spec_t s = {
    .kind = ALK_CERT_USER,
    .serial = UINT64_MAX,
    .valid_after = 5,
    .valid_before = UINT64_MAX - 1,
    .key_id = "an id",
    .principals = names,
    .principals_count = 2,
    .critical = critical,
    .critical_count = 2,
    .extensions = extensions,
    .extensions_count = 3,
  };
  s.key = alk_key_blob(keys[key], &s.key_len);
  return s;
}

static alk_cert_t *made(const alk_key_t *ca, const alk_cert_spec_t *s)
{
  alk_buf_t b = {0};
  alk_err_t err = {0};
  bool ok = alk_cert_sign(ca, s, &b, &err);
  assert_string_equal(err.msg, "");
  assert_true(ok);
  return accepted(b);
}

static void not_made(const alk_key_t *ca, const alk_cert_spec_t *s,
                     const char *why)
{
  alk_buf_t b = {0};
  alk_err_t err = {0};
  assert_false(alk_cert_sign(ca, s, &b, &err));
  assert_int_equal(alk_buf_size(&b), 0);
  if (strstr(err.msg, why) == NULL) fail_msg("\"%s\": %s", why, err.msg);
}

static void option_is(const alk_cert_options_t *o, size_t i, const char *name,
                      const char *text)
{
  assert_string_equal(o->list[i].name, name);
  if (text != NULL)
    assert_string_equal(o->list[i].text, text);
  else
    assert_int_equal(o->list[i].value.len, 0);
}

static void every_key_by_every_ca(void **state)
{
  (void) state;
  for (size_t key = 0; key < FIXTURES; key++)
    for (size_t ca = 0; ca < FIXTURES; ca++) {
      alk_cert_spec_t s = statement(key);
      alk_cert_t *c = made(keys[ca], &s);
      same_key(c->key, keys[key]);
      same_key(c->ca, keys[ca]);
      assert_string_equal(c->algorithm, fixtures[ca].algorithms[1] != NULL
                                          ? "rsa-sha2-512"
                                          : fixtures[ca].algorithms[0]);
      assert_int_equal(c->kind, ALK_CERT_USER);
      assert_int_equal(c->serial, UINT64_MAX);
      assert_int_equal(c->valid_after, 5);
      assert_int_equal(c->valid_before, UINT64_MAX - 1);
      assert_string_equal(c->key_id, "an id");
      assert_int_equal(c->principals_count, 2);
      assert_string_equal(c->principals[0], "alice");
      assert_string_equal(c->principals[1], "bob");
      assert_int_equal(c->critical.count, 2);
      option_is(&c->critical, 0, "force-command", "ls");
      option_is(&c->critical, 1, "source-address", "127.0.0.0/8");
      assert_int_equal(c->extensions.count, 3);
      option_is(&c->extensions, 0, "a@example.com", "");
      option_is(&c->extensions, 1, "b@example.com", "x");
      option_is(&c->extensions, 2, "permit-pty", NULL);
      assert_int_equal(c->reserved.len, 0);
      alk_cert_free(c);
    }
}

/* The two would be the same but for the nonce. */
static void nonces_differ(void **state)
{
  (void) state;
  alk_cert_spec_t s = statement(1);
  alk_cert_t *a = made(keys[0], &s), *b = made(keys[0], &s);
  assert_int_equal(a->nonce.len, 32);
  assert_int_equal(b->nonce.len, 32);
  assert_memory_not_equal(a->nonce.p, b->nonce.p, 32);
  alk_cert_free(a);
  alk_cert_free(b);
}

/* A host's, with nothing that could be left out. */
static void the_least(void **state)
{
  (void) state;
  alk_cert_spec_t s = {.kind = ALK_CERT_HOST, .key_id = ""};
  s.key = alk_key_blob(keys[1], &s.key_len);
  alk_cert_t *c = made(keys[0], &s);
  assert_int_equal(c->kind, ALK_CERT_HOST);
  assert_string_equal(c->key_id, "");
  assert_int_equal(c->principals_count, 0);
  assert_int_equal(c->critical.count, 0);
  assert_int_equal(c->extensions.count, 0);
  alk_cert_free(c);
}

static void refusals(void **state)
{
  (void) state;
  alk_cert_spec_t s = statement(1);
  const alk_cert_spec_option_t twice[] = {{"a", "1"}, {"b", "2"}, {"a", "3"}};
  s.extensions = twice;
  not_made(keys[0], &s, "extensions are not in order");
  s = statement(1);
  s.critical = twice;
  s.critical_count = 3;
  not_made(keys[0], &s, "critical options are not in order");
  s = statement(1);
  s.kind = (alk_cert_kind_t) 3;
  not_made(keys[0], &s, "neither for a user nor for a host");
  alk_buf_t cert = cert_bytes(0);
  s = statement(1);
  s.key = cert.p;
  s.key_len = alk_buf_size(&cert);
  not_made(keys[0], &s, "it is a certificate, not a key");
  alk_buf_free(&cert);
  s = statement(1);
  s.key_len--;
  not_made(keys[0], &s, "damaged");
  s.key_len = 0;
  not_made(keys[0], &s, "the public key is empty");
  s = statement(1);
  size_t len;
  const uint8_t *blob = alk_key_blob(keys[0], &len);
  alk_key_t *ca = alk_key_read_blob(blob, len, NULL);
  not_made(ca, &s, "a public ssh-ed25519 key does not sign");
  alk_key_free(ca);
}

static void too_much(void **state)
{
  (void) state;
  const char *many[ALK_CERT_PRINCIPALS_MAX + 1];
  for (size_t i = 0; i <= ALK_CERT_PRINCIPALS_MAX; i++)
    many[i] = "a";
  alk_cert_spec_t s = statement(1);
  s.principals = many;
  s.principals_count = ALK_CERT_PRINCIPALS_MAX;
  alk_cert_free(made(keys[0], &s));
  s.principals_count++;
  not_made(keys[0], &s, "would be too long");
  char *text = alk_alloc(ALK_KEY_BLOB_MAX + 1);
  memset(text, 'a', ALK_KEY_BLOB_MAX);
  s = statement(1);
  s.key_id = text;
  not_made(keys[0], &s, "would be too long");
  many[0] = text;
  s = statement(1);
  s.principals = many;
  not_made(keys[0], &s, "would be too long");
  alk_cert_spec_option_t long_one = {"a", text};
  s = statement(1);
  s.extensions = &long_one;
  s.extensions_count = 1;
  not_made(keys[0], &s, "the certificate is too long");
  s.extensions_count = ALK_CERT_OPTIONS_MAX + 1;
  not_made(keys[0], &s, "would be too long");
  alk_free(text);
}

/* Made, and right, or not made: never half. With RSA, whose allocations are
 * many and slow, and under valgrind, not every one fails. */
static void faults(void **state)
{
  (void) state;
  const char *how = getenv("FAULTS");
  unsigned long few = how != NULL && strcmp(how, "few") == 0 ? 10 : 1;
  for (size_t ca = 0; ca < FIXTURES; ca++) {
    alk_cert_spec_t s = statement(1);
    bool more = true;
    size_t refused_count = 0;
    alk_cert_free(made(keys[ca], &s));
    unsigned long step = few * (fixtures[ca].algorithms[1] != NULL ? 9 : 1);
    for (unsigned long n = 1; more; n += step) {
      alk_buf_t b = {0};
      alk_err_t err = {0};
      faults_on(n);
      bool ok = alk_cert_sign(keys[ca], &s, &b, &err);
      more = faults_off();
      refused_count += !ok;
      assert_int_equal(ok, err.msg[0] == '\0');
      assert_int_equal(ok, alk_buf_size(&b) > 0);
      if (ok)
        alk_cert_free(accepted(b));
      else
        alk_buf_free(&b);
    }
    assert_true(refused_count > 0);
  }
  assert_int_equal(ERR_peek_error(), 0);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(every_key_by_every_ca),
    cmocka_unit_test(nonces_differ),
    cmocka_unit_test(the_least),
    cmocka_unit_test(refusals),
    cmocka_unit_test(too_much),
    cmocka_unit_test(faults),
  };
  if (!faults_install()) return 1;
  return cmocka_run_group_tests(tests, cert_setup, cert_teardown);
}
