/* test_key_blob.c - public keys from the wire: every cut, every refusal. */
#include "core/mem.h"

#include "ssh/key.h"

#include "key_cases.h"

static void refused_blob(const alk_buf_t *b, const char *why)
{
  alk_err_t err = {0};
  assert_null(alk_key_read_blob(alk_buf_head(b), alk_buf_size(b), &err));
  assert_int_equal(err.code, ALK_E_KEY);
  if (strstr(err.msg, why) == NULL) fail_msg("\"%s\": %s", why, err.msg);
}

static void every_cut_of_a_blob(void **state)
{
  (void) state;
  for (size_t i = 0; i < FIXTURES; i++) {
    alk_key_t *k = read_key(fixtures[i].text);
    size_t size;
    const uint8_t *blob = alk_key_blob(k, &size);
    for (size_t len = 0; len < size; len++) {
      uint8_t *copy = alk_memdup(blob, len);
      alk_err_t err = {0};
      assert_null(alk_key_read_blob(copy, len, &err));
      assert_int_equal(err.code, ALK_E_KEY);
      alk_free(copy);
    }
    alk_buf_t more = {0};
    alk_buf_add(&more, blob, size);
    alk_buf_u8(&more, 0);
    refused_blob(&more, "damaged");
    alk_buf_free(&more);
    alk_key_free(k);
  }
}

/* An RSA key of that many bits, its modulus all ones. */
static alk_buf_t rsa_blob(unsigned bits, const char *e, size_t e_len)
{
  alk_buf_t out = {0};
  size_t len = (bits + 7) / 8;
  uint8_t *n = alk_alloc(len);
  memset(n, 0xff, len);
  n[0] = (uint8_t) (0xff >> (len * 8 - bits));
  alk_buf_cstr(&out, "ssh-rsa");
  alk_buf_mpint(&out, (const uint8_t *) e, e_len);
  alk_buf_mpint(&out, n, len);
  alk_free(n);
  return out;
}

static void rsa_sizes(void **state)
{
  (void) state;
  static const struct {
    unsigned bits;
    const char *e;
    size_t e_len;
    const char *why; /* NULL: accepted */
  } cases[] = {
    {3072, "\1\0\1", 3, NULL},
    {4096, "\3", 1, NULL},
    {16384, "\1\0\1", 3, NULL},
    {3072, "\xff\xff\xff\xff", 4, NULL},
    {1, "\1\0\1", 3, "has 1 bits; at least 3072"},
    {1024, "\1\0\1", 3, "has 1024 bits; at least 3072"},
    {2048, "\1\0\1", 3, "has 2048 bits; at least 3072"},
    {3071, "\1\0\1", 3, "has 3071 bits; at least 3072"},
    {16385, "\1\0\1", 3, "has 16385 bits; at most 16384"},
    {100000, "\1\0\1", 3, "has 100000 bits; at most 16384"},
    {3072, "\1", 1, "unsound"},
    {3072, "\2", 1, "unsound"},
    {3072, "\1\0\0", 3, "unsound"},
    {3072, "\1\0\0\0\1", 5, "unsound"},
    {3072, "\1\0\0\0\0\0\0\0\1", 9, "unsound"},
    {3072, "", 0, "damaged"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    alk_buf_t b = rsa_blob(cases[i].bits, cases[i].e, cases[i].e_len);
    if (cases[i].why != NULL) {
      refused_blob(&b, cases[i].why);
    } else {
      alk_key_t *k = alk_key_read_blob(b.p, alk_buf_size(&b), NULL);
      assert_non_null(k);
      assert_int_equal(alk_key_bits(k), cases[i].bits);
      alk_key_free(k);
    }
    alk_buf_free(&b);
  }
  alk_buf_t even = rsa_blob(3072, "\1\0\1", 3);
  even.p[alk_buf_size(&even) - 1] = 0xfe;
  refused_blob(&even, "unsound");
  alk_buf_free(&even);
}

static alk_buf_t ecdsa_blob(const char *type, const char *curve,
                            const uint8_t *point, size_t len)
{
  alk_buf_t out = {0};
  alk_buf_cstr(&out, type);
  alk_buf_cstr(&out, curve);
  alk_buf_str(&out, point, len);
  return out;
}

static void points(void **state)
{
  (void) state;
  const char *type = "ecdsa-sha2-nistp256";
  alk_key_t *k = read_key(fixture_p256);
  size_t len;
  const uint8_t *blob = alk_key_blob(k, &len);
  uint8_t point[66] = {0};
  memcpy(point, blob + len - 65, 65);
  alk_buf_t b = ecdsa_blob(type, "nistp256", point, 65);
  alk_key_t *again = alk_key_read_blob(b.p, alk_buf_size(&b), NULL);
  assert_non_null(again);
  alk_key_free(again);
  alk_buf_free(&b);

  b = ecdsa_blob(type, "nistp384", point, 65);
  refused_blob(&b, "damaged");
  alk_buf_free(&b);
  b = ecdsa_blob("ecdsa-sha2-nistp384", "nistp384", point, 65);
  refused_blob(&b, "damaged");
  alk_buf_free(&b);
  b = ecdsa_blob(type, "nistp256", point, 66);
  refused_blob(&b, "damaged");
  alk_buf_free(&b);
  b = ecdsa_blob(type, "nistp256", (const uint8_t *) "", 1); /* infinity */
  refused_blob(&b, "damaged");
  alk_buf_free(&b);
  point[0] = (uint8_t) (2 | (point[64] & 1));
  b = ecdsa_blob(type, "nistp256", point, 33); /* compressed */
  refused_blob(&b, "damaged");
  alk_buf_free(&b);
  point[0] = (uint8_t) (6 | (point[64] & 1));
  b = ecdsa_blob(type, "nistp256", point, 65); /* hybrid */
  refused_blob(&b, "damaged");
  alk_buf_free(&b);
  point[0] = 4;
  point[64] ^= 1;
  b = ecdsa_blob(type, "nistp256", point, 65);
  refused_blob(&b, "not on its curve");
  alk_buf_free(&b);
  alk_key_free(k);
}

static void types_refused(void **state)
{
  (void) state;
  static const char *const types[][2] = {
    {"ssh-dss", "ssh-dss is not supported: DSA is not secure"},
    {"sk-ssh-ed25519@openssh.com", "keys on security tokens need an agent"},
    {"ssh-ed25519-cert-v01@openssh.com", "it is a certificate"},
    {"ssh-ed448", "ssh-ed448 is not supported; supported are"},
    {"", "(unreadable)"},
    {"a\nb", "(unreadable)"},
    {"\xffoo", "(unreadable)"},
  };
  for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
    alk_buf_t b = {0};
    alk_buf_cstr(&b, types[i][0]);
    refused_blob(&b, types[i][1]);
    alk_buf_free(&b);
  }
  alk_buf_t b = {0};
  refused_blob(&b, "empty");
  memset(alk_buf_reserve(&b, ALK_KEY_BLOB_MAX + 1), 0, ALK_KEY_BLOB_MAX + 1);
  alk_buf_commit(&b, ALK_KEY_BLOB_MAX + 1);
  refused_blob(&b, "too long");
  alk_buf_free(&b);
}

/* One key, one blob: zeros before a number make another fingerprint. */
static void one_form_only(void **state)
{
  (void) state;
  alk_buf_t good = rsa_blob(3072, "\1\0\1", 3), bad = {0};
  alk_buf_cstr(&bad, "ssh-rsa");
  alk_buf_str(&bad, "\0\1\0\1", 4);
  size_t head = 4 + 7 + 4 + 3;
  alk_buf_add(&bad, good.p + head, alk_buf_size(&good) - head);
  refused_blob(&bad, "damaged");
  alk_buf_free(&good);
  alk_buf_free(&bad);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(every_cut_of_a_blob),
    cmocka_unit_test(rsa_sizes),
    cmocka_unit_test(points),
    cmocka_unit_test(types_refused),
    cmocka_unit_test(one_form_only),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
