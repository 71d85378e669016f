/* test_key_sign.c - signatures: every flipped byte and every cut is refused,
 * and each algorithm belongs to one type of key. */
#include "core/mem.h"

#include "ssh/key.h"

#include "key_cases.h"

static void signatures(void **state)
{
  (void) state;
  static const uint8_t data[] = "what is signed";
  for (size_t i = 0; i < FIXTURES * 2; i++) {
    const fixture_t *f = &fixtures[i / 2];
    const char *algorithm = f->algorithms[i % 2];
    if (algorithm == NULL) continue;
    alk_key_t *k = read_key(f->text);
    alk_buf_t sig = {0};
    alk_err_t err = {0};
    assert_true(alk_key_sign(k, algorithm, data, sizeof data, &sig, &err));
    size_t len = alk_buf_size(&sig);
    assert_true(alk_key_verify(k, algorithm, sig.p, len, data, sizeof data));
    assert_false(
      alk_key_verify(k, algorithm, sig.p, len, data, sizeof data - 1));
    for (size_t at = 0; at < len; at++) { /* flipped, and cut */
      uint8_t *copy = alk_memdup(sig.p, len);
      copy[at] ^= (uint8_t) (1 << at % 8);
      assert_false(alk_key_verify(k, algorithm, copy, len, data, sizeof data));
      alk_free(copy);
      copy = alk_memdup(sig.p, at);
      assert_false(alk_key_verify(k, algorithm, copy, at, data, sizeof data));
      alk_free(copy);
    }
    alk_buf_u8(&sig, 0);
    assert_false(
      alk_key_verify(k, algorithm, sig.p, len + 1, data, sizeof data));
    alk_buf_free(&sig);
    alk_key_free(k);
  }
}

/* Each key with each algorithm, and a signature under each name. */
static void algorithms_suit_keys(void **state)
{
  (void) state;
  static const char *const names[] = {"ssh-ed25519",
                                      "ecdsa-sha2-nistp256",
                                      "ecdsa-sha2-nistp384",
                                      "ecdsa-sha2-nistp521",
                                      "rsa-sha2-256",
                                      "rsa-sha2-512",
                                      "ssh-rsa",
                                      "ssh-dss",
                                      "",
                                      "ssh-ed25519-cert-v01@openssh.com"};
  static const uint8_t data[] = "what is signed";
  for (size_t i = 0; i < FIXTURES; i++) {
    alk_key_t *k = read_key(fixtures[i].text);
    alk_buf_t sig = {0};
    assert_true(alk_key_sign(k, fixtures[i].algorithms[0], data, sizeof data,
                             &sig, NULL));
    size_t allowed = 0;
    for (size_t j = 0; j < sizeof names / sizeof names[0]; j++) {
      alk_buf_t out = {0};
      alk_err_t err = {0};
      bool made = alk_key_sign(k, names[j], data, sizeof data, &out, &err);
      allowed += made;
      assert_int_equal(err.code, made ? ALK_OK : ALK_E_KEY);
      assert_int_equal(alk_buf_size(&out) > 0, made);
      bool right = strcmp(names[j], fixtures[i].algorithms[0]) == 0;
      assert_int_equal(alk_key_verify(k, names[j], sig.p, alk_buf_size(&sig),
                                      data, sizeof data),
                       right);
      alk_buf_free(&out);
    }
    assert_int_equal(allowed, fixtures[i].algorithms[1] == NULL ? 1 : 2);
    alk_buf_free(&sig);
    alk_key_free(k);
  }
}

/* A good SHA-1 signature cannot be made here, so the other way round: an
 * rsa-sha2-256 signature that calls itself ssh-rsa is refused under both. */
static void sha1_never(void **state)
{
  (void) state;
  static const uint8_t data[] = "what is signed";
  alk_key_t *k = read_key(fixture_rsa);
  alk_buf_t sig = {0}, renamed = {0};
  assert_true(alk_key_sign(k, "rsa-sha2-256", data, sizeof data, &sig, NULL));
  size_t head = 4 + strlen("rsa-sha2-256");
  alk_buf_cstr(&renamed, "ssh-rsa");
  alk_buf_add(&renamed, sig.p + head, alk_buf_size(&sig) - head);
  assert_false(alk_key_verify(k, "ssh-rsa", renamed.p, alk_buf_size(&renamed),
                              data, sizeof data));
  assert_false(alk_key_verify(k, "rsa-sha2-256", renamed.p,
                              alk_buf_size(&renamed), data, sizeof data));
  alk_buf_free(&sig);
  alk_buf_free(&renamed);
  alk_key_free(k);
}

static alk_buf_t rsa_sig(const uint8_t *p, size_t len)
{
  alk_buf_t out = {0};
  alk_buf_cstr(&out, "rsa-sha2-256");
  alk_buf_str(&out, p, len);
  return out;
}

/* Some signers leave leading zeros away. One in 256 signatures has one. */
static void short_and_long_rsa_signatures(void **state)
{
  (void) state;
  enum { LEN = 3072 / 8 };
  alk_key_t *k = read_key(fixture_rsa);
  uint8_t data[4] = {0}, raw[LEN + 1] = {0};
  bool found = false;
  for (unsigned n = 0; n < 10000 && !found; n++) {
    memcpy(data, &n, sizeof data);
    alk_buf_t sig = {0};
    assert_true(alk_key_sign(k, "rsa-sha2-256", data, sizeof data, &sig, NULL));
    memcpy(raw + 1, sig.p + alk_buf_size(&sig) - LEN, LEN);
    found = raw[1] == 0;
    alk_buf_free(&sig);
  }
  assert_true(found);
  for (size_t off = 0; off < 3; off++) { /* longer, right, shorter */
    alk_buf_t sig = rsa_sig(raw + off, LEN + 1 - off);
    assert_int_equal(alk_key_verify(k, "rsa-sha2-256", sig.p,
                                    alk_buf_size(&sig), data, sizeof data),
                     off > 0);
    alk_buf_free(&sig);
  }
  alk_key_free(k);
}

/* Numbers that no signer sends: r and s of zero, negative, with zeros before
 * them, of the group's order, too long. */
static void ecdsa_numbers(void **state)
{
  (void) state;
  static const uint8_t order[] = {
    0x00, 0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff,
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa, 0xad, 0xa7,
    0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51};
  static const uint8_t zeros[40] = {0};
  static const uint8_t ones[40] = {[0] = 1};
  static const uint8_t data[] = "what is signed";
  alk_key_t *k = read_key(fixture_p256);
  alk_buf_t sig = {0};
  const char *name = "ecdsa-sha2-nistp256";
  size_t r_len = 0, s_len = 0;
  const uint8_t *good_r = NULL, *good_s = NULL;
  while (r_len != 33) { /* one with a zero before its r, which is needed */
    alk_buf_free(&sig);
    assert_true(alk_key_sign(k, name, data, sizeof data, &sig, NULL));
    alk_rd_t r = alk_rd(sig.p, alk_buf_size(&sig));
    assert_true(alk_rd_is(&r, name));
    alk_rd_t pair = alk_rd_sub(&r);
    good_r = alk_rd_str(&pair, &r_len);
    good_s = alk_rd_str(&pair, &s_len);
  }
  const struct {
    const uint8_t *p;
    size_t len;
  } bad[] = {{good_r + 1, 32}, {zeros, 0},  {zeros, 1}, {order, sizeof order},
             {order + 1, 32},  {zeros, 32}, {ones, 33}, {ones, 40}};
  size_t n = sizeof bad / sizeof bad[0];
  for (size_t i = 0; i <= n * 2; i++) { /* the last is the good one */
    alk_buf_t inner = {0}, whole = {0};
    bool is_r = i < n, is_s = i >= n && i < 2 * n;
    size_t at = i % n;
    alk_buf_str(&inner, is_r ? bad[at].p : good_r, is_r ? bad[at].len : r_len);
    alk_buf_str(&inner, is_s ? bad[at].p : good_s, is_s ? bad[at].len : s_len);
    alk_buf_cstr(&whole, name);
    alk_buf_str(&whole, inner.p, alk_buf_size(&inner));
    assert_int_equal(
      alk_key_verify(k, name, whole.p, alk_buf_size(&whole), data, sizeof data),
      i == n * 2);
    alk_buf_free(&inner);
    alk_buf_free(&whole);
  }
  alk_buf_free(&sig);
  alk_key_free(k);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(signatures),
    cmocka_unit_test(algorithms_suit_keys),
    cmocka_unit_test(sha1_never),
    cmocka_unit_test(short_and_long_rsa_signatures),
    cmocka_unit_test(ecdsa_numbers),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
