/* test_key_faults.c - every memory allocation of OpenSSL fails once: whatever
 * it was for, nothing is accepted that is wrong, nothing crashes, nothing leaks
 * (under a sanitizer or valgrind). */
/* cmocka.h does not include what it uses: it comes after these. */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "core/mem.h"

#include "ssh/hosts.h"
#include "ssh/key.h"

#include "crypto_faults.h"
#include "key_fixtures.h"

static const struct {
  const char *text, *algorithm, *pass;
} keys[] = {
  {fixture_ed25519, "ssh-ed25519", NULL},
  {fixture_p256, "ecdsa-sha2-nistp256", NULL},
  {fixture_rsa, "rsa-sha2-256", NULL},
  {fixture_locked, "ssh-ed25519", "open sesame"},
};

static const uint8_t data[] = "what is signed";
static size_t now; /* which key the step works with */
static alk_key_t *key;
static alk_buf_t sig, bad;

/* A step says what became of it; it is run until no allocation is left that
 * could fail. */
typedef bool (*step_t)(void);

static void with_every_fault(step_t step)
{
  (void) faults_off();
  assert_true(step()); /* what OpenSSL keeps for good is allocated here */
  unsigned long n, failures = 0;
  bool reached = true;
  for (n = 1; reached; n++) {
    faults_on(n);
    bool ok = step();
    reached = faults_off();
    failures += !ok;
    assert_true(ok || reached);
  }
  assert_true(n > 2);
  assert_true(failures > 0);
}

static bool step_read(void)
{
  alk_err_t err = {0};
  alk_key_t *k = alk_key_read_private(keys[now].text, strlen(keys[now].text),
                                      keys[now].pass, &err);
  bool ok = k != NULL;
  if (k != NULL && key != NULL) {
    size_t a, b;
    const uint8_t *p = alk_key_blob(k, &a), *q = alk_key_blob(key, &b);
    assert_int_equal(a, b);
    assert_memory_equal(p, q, a);
  }
  if (k == NULL) assert_string_not_equal(err.msg, "");
  alk_key_free(k);
  return ok;
}

static bool step_read_blob(void)
{
  size_t len;
  const uint8_t *blob = alk_key_blob(key, &len);
  alk_key_t *k = alk_key_read_blob(blob, len, NULL);
  alk_key_free(k);
  return k != NULL;
}

static bool step_sign(void)
{
  alk_buf_t out = {0};
  alk_err_t err = {0};
  bool ok =
    alk_key_sign(key, keys[now].algorithm, data, sizeof data, &out, &err);
  if (ok) {
    unsigned long left = fault_countdown;
    (void) faults_off();
    assert_true(alk_key_verify(key, keys[now].algorithm, alk_buf_head(&out),
                               alk_buf_size(&out), data, sizeof data));
    faults_on(left);
  } else {
    assert_int_equal(err.code, ALK_E_CRYPTO);
    assert_int_equal(alk_buf_size(&out), 0);
  }
  alk_buf_free(&out);
  return ok;
}

static bool step_verify(void)
{
  return alk_key_verify(key, keys[now].algorithm, alk_buf_head(&sig),
                        alk_buf_size(&sig), data, sizeof data);
}

static void wrong_is_refused_with_every_fault(void)
{
  bool reached = true;
  for (unsigned long n = 1; reached; n++) {
    faults_on(n);
    assert_false(alk_key_verify(key, keys[now].algorithm, alk_buf_head(&bad),
                                alk_buf_size(&bad), data, sizeof data));
    reached = faults_off();
  }
}

static bool step_write(void)
{
  alk_buf_t out = {0};
  bool ok = alk_key_write_private(key, keys[now].pass, "", &out, NULL);
  assert_int_equal(ok, alk_buf_size(&out) > 0);
  alk_buf_free_secret(&out);
  return ok;
}

static void keys_and_signatures(void **state)
{
  (void) state;
  for (now = 0; now < sizeof keys / sizeof keys[0]; now++) {
    key = alk_key_read_private(keys[now].text, strlen(keys[now].text),
                               keys[now].pass, NULL);
    assert_non_null(key);
    assert_true(
      alk_key_sign(key, keys[now].algorithm, data, sizeof data, &sig, NULL));
    alk_buf_add(&bad, alk_buf_head(&sig), alk_buf_size(&sig));
    bad.p[alk_buf_size(&bad) - 1] ^= 1;
    with_every_fault(step_read_blob);
    with_every_fault(step_sign);
    with_every_fault(step_verify);
    wrong_is_refused_with_every_fault();
    with_every_fault(step_read);
    if (keys[now].pass == NULL) /* writing takes 16 rounds of bcrypt */
      with_every_fault(step_write);
    alk_key_free(key);
    key = NULL;
    alk_buf_free(&sig);
    alk_buf_free(&bad);
  }
}

/* A line that could not be looked at may have been the revocation. */
static void hosts_fail_closed(void **state)
{
  (void) state;
  static const uint8_t blob[] = "\0\0\0\13ssh-ed25519\0\0\0\4\1\2\3\4";
  alk_buf_t text = {0};
  assert_true(alk_hosts_line("other", 22, true, blob, sizeof blob - 1, &text));
  assert_true(alk_hosts_line("h", 22, true, blob, sizeof blob - 1, &text));
  bool reached = true;
  unsigned revoked = 0;
  for (unsigned long n = 1; reached; n++) {
    faults_on(n);
    alk_host_match_t m =
      alk_hosts_match((const char *) alk_buf_head(&text), alk_buf_size(&text),
                      "h", 22, blob, sizeof blob - 1);
    reached = faults_off();
    if (m.verdict == ALK_HOST_REVOKED) {
      assert_int_equal(m.line, 0);
      revoked++;
    } else {
      assert_int_equal(m.verdict, ALK_HOST_TRUSTED);
    }
  }
  assert_true(revoked > 0);
  alk_buf_free(&text);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(keys_and_signatures),
    cmocka_unit_test(hosts_fail_closed),
  };
  if (!faults_install()) return 1;
  return cmocka_run_group_tests(tests, NULL, NULL);
}
