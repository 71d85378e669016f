/* test_key.c - keys: round trips, every cut and every flipped byte, refusals.
 * Public blobs, signatures and the real ssh-keygen: test_key_blob.c,
 * test_key_sign.c, test_key_interop.c. */
/* cmocka.h does not include what it uses: it comes after these. */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */
#include <string.h>

#include <openssl/err.h>

#include "core/mem.h"

#include "ssh/key.h"

#include "key_cases.h"

#define PASSPHRASE "open sesame"
#define BEGIN      "-----BEGIN OPENSSH PRIVATE KEY-----\n"
#define END        "\n-----END OPENSSH PRIVATE KEY-----\n"

static void refused(const char *text, size_t len, const char *pass,
                    const char *why)
{
  alk_err_t err = {0};
  assert_null(alk_key_read_private(text, len, pass, &err));
  assert_int_equal(err.code, ALK_E_KEY);
  assert_non_null(strstr(err.msg, why));
  assert_null(alk_key_read_private(text, len, pass, NULL));
}

/* The container inside a text. */
static alk_buf_t container(const char *text)
{
  alk_buf_t letters = {0}, bytes = {0};
  const char *end = strstr(text, "\n-----END");
  for (const char *p = text + strlen(BEGIN); p < end; p++)
    if (*p != '\n') alk_buf_u8(&letters, (uint8_t) *p);
  assert_true(alk_base64_decode((const char *) alk_buf_head(&letters),
                                alk_buf_size(&letters), &bytes));
  alk_buf_free(&letters);
  return bytes;
}

static alk_buf_t armored(const uint8_t *p, size_t len)
{
  alk_buf_t out = {0};
  alk_buf_add(&out, BEGIN, strlen(BEGIN));
  alk_base64_encode(p, len, &out);
  alk_buf_add(&out, END, strlen(END));
  return out;
}

static alk_key_t *read_bytes(const uint8_t *p, size_t len, const char *pass)
{
  alk_buf_t text = armored(p, len);
  alk_key_t *k = alk_key_read_private((const char *) alk_buf_head(&text),
                                      alk_buf_size(&text), pass, NULL);
  alk_buf_free(&text);
  return k;
}

static bool same_blob(const alk_key_t *a, const alk_key_t *b)
{
  size_t a_len, b_len;
  const uint8_t *p = alk_key_blob(a, &a_len), *q = alk_key_blob(b, &b_len);
  return a_len == b_len && memcmp(p, q, a_len) == 0;
}

static void base64(void **state)
{
  (void) state;
  static const char *const pairs[][2] = {{"", ""},
                                         {"f", "Zg=="},
                                         {"fo", "Zm8="},
                                         {"foo", "Zm9v"},
                                         {"foob", "Zm9vYg=="},
                                         {"fooba", "Zm9vYmE="},
                                         {"foobar", "Zm9vYmFy"},
                                         {"\xfb\xff\xbe", "+/++"}};
  for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
    const char *bytes = pairs[i][0], *text = pairs[i][1];
    alk_buf_t out = {0}, back = {0};
    alk_base64_encode((const uint8_t *) bytes, strlen(bytes), &out);
    assert_int_equal(alk_buf_size(&out), strlen(text));
    if (*text != '\0')
      assert_memory_equal(alk_buf_head(&out), text, strlen(text));
    assert_true(alk_base64_decode(text, strlen(text), &back));
    assert_int_equal(alk_buf_size(&back), strlen(bytes));
    if (*bytes != '\0')
      assert_memory_equal(alk_buf_head(&back), bytes, strlen(bytes));
    alk_buf_free(&out);
    alk_buf_free(&back);
  }
  static const char *const bad[] = {
    "Z",    "Zg",   "Zg=",    "Zg===",    "====", "=",    "Z===",   "Zh==",
    "Zm9=", "Z g=", "Zg==\n", "Zg==Zg==", "Z=g=", "Zm-_", "Zm9v\n", "=AAA",
  };
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    alk_buf_t out = {0};
    assert_false(alk_base64_decode(bad[i], strlen(bad[i]), &out));
    assert_int_equal(alk_buf_size(&out), 0);
    alk_buf_free(&out);
  }
}

static void all_bytes_in_base64(void **state)
{
  (void) state;
  uint8_t all[256];
  for (size_t i = 0; i < sizeof all; i++)
    all[i] = (uint8_t) (i * 167);
  for (size_t len = 1; len <= sizeof all; len++) {
    alk_buf_t text = {0}, back = {0};
    alk_base64_encode(all, len, &text);
    assert_true(alk_base64_decode((const char *) alk_buf_head(&text),
                                  alk_buf_size(&text), &back));
    assert_int_equal(alk_buf_size(&back), len);
    assert_memory_equal(alk_buf_head(&back), all, len);
    alk_buf_free(&text);
    alk_buf_free(&back);
  }
}

static void fixtures_are_read(void **state)
{
  (void) state;
  for (size_t i = 0; i < FIXTURES; i++) {
    alk_key_t *k = read_key(fixtures[i].text);
    assert_string_equal(alk_key_type(k), fixtures[i].type);
    assert_int_equal(alk_key_bits(k), fixtures[i].bits);
    assert_true(alk_key_is_private(k));
    assert_string_equal(alk_key_comment(k), "fixture@example");
    size_t len;
    const uint8_t *blob = alk_key_blob(k, &len);
    alk_key_t *public = alk_key_read_blob(blob, len, NULL);
    assert_non_null(public);
    assert_false(alk_key_is_private(public));
    assert_string_equal(alk_key_comment(public), "");
    assert_int_equal(alk_key_bits(public), fixtures[i].bits);
    assert_true(same_blob(k, public));
    alk_err_t err = {0};
    alk_buf_t out = {0};
    assert_false(alk_key_write_private(public, NULL, "", &out, &err));
    assert_int_equal(err.code, ALK_E_KEY);
    assert_false(
      alk_key_sign(public, fixtures[i].algorithms[0], blob, len, &out, &err));
    assert_int_equal(alk_buf_size(&out), 0);
    alk_key_free(public);
    alk_key_free(k);
  }
  alk_key_free(NULL);
}

static void round_trip(const alk_key_t *k, const char *pass)
{
  alk_buf_t text = {0};
  alk_err_t err = {0};
  assert_true(alk_key_write_private(k, pass, "c o m m e n t", &text, &err));
  const char *p = (const char *) alk_buf_head(&text);
  size_t len = alk_buf_size(&text);
  assert_int_equal(alk_key_format(p, len),
                   pass == NULL ? ALK_KEY_FORMAT_OPENSSH
                                : ALK_KEY_FORMAT_OPENSSH_ENCRYPTED);
  alk_key_t *back = alk_key_read_private(p, len, pass, &err);
  assert_non_null(back);
  assert_true(same_blob(k, back));
  assert_string_equal(alk_key_comment(back), "c o m m e n t");
  alk_key_free(back);
  alk_buf_free_secret(&text);
}

static void written_keys_are_read(void **state)
{
  (void) state;
  for (size_t i = 0; i < FIXTURES; i++) {
    alk_key_t *k = read_key(fixtures[i].text);
    round_trip(k, NULL);
    alk_key_free(k);
  }
  alk_key_t *k = read_key(fixture_p521);
  round_trip(k, PASSPHRASE);
  alk_key_free(k);
}

static void generated_keys(void **state)
{
  (void) state;
  static const char *const names[] = {"ed25519", "ecdsa", "rsa"};
  static const size_t same[] = {0, 1, 4};
  for (size_t i = 0; i < 3; i++) {
    alk_err_t err = {0};
    alk_key_t *k = alk_key_generate(names[i], &err);
    assert_non_null(k);
    assert_string_equal(alk_key_type(k), fixtures[same[i]].type);
    assert_int_equal(alk_key_bits(k), fixtures[same[i]].bits);
    assert_string_equal(alk_key_comment(k), "");
    round_trip(k, NULL);
    alk_key_t *fixture = read_key(fixtures[same[i]].text);
    assert_false(same_blob(k, fixture));
    alk_key_free(fixture);
    alk_key_free(k);
  }
  alk_err_t err = {0};
  assert_null(alk_key_generate("dsa", &err));
  assert_int_equal(err.code, ALK_E_OPTION);
}

static void what_cannot_be_written(void **state)
{
  (void) state;
  alk_key_t *k = read_key(fixture_ed25519);
  alk_buf_t out = {0};
  alk_err_t err = {0};
  char *comment = alk_alloc(2000);
  memset(comment, 'x', 1999);
  assert_false(alk_key_write_private(k, "", NULL, &out, &err));
  assert_int_equal(err.code, ALK_E_OPTION);
  assert_false(alk_key_write_private(k, NULL, "two\nlines", &out, &err));
  assert_false(alk_key_write_private(k, NULL, comment, &out, &err));
  assert_int_equal(alk_buf_size(&out), 0);
  alk_key_write_public(k, "two\nlines", &out);
  const char *tail = " two?lines\n";
  size_t n = strlen(tail);
  assert_true(alk_buf_size(&out) > n);
  assert_memory_equal(alk_buf_head(&out) + alk_buf_size(&out) - n, tail, n);
  alk_free(comment);
  alk_buf_free(&out);
  alk_key_free(k);
}

static void passphrases(void **state)
{
  (void) state;
  size_t len = strlen(fixture_locked);
  assert_int_equal(alk_key_format(fixture_locked, len),
                   ALK_KEY_FORMAT_OPENSSH_ENCRYPTED);
  static const char need[] = "the key is encrypted: give its passphrase";
  refused(fixture_locked, len, NULL, need);
  refused(fixture_locked, len, "", need);
  refused(fixture_locked, len, "open sesam", "the passphrase is wrong");
  refused(fixture_locked, len, "Open sesame", "the passphrase is wrong");
  alk_key_t *k = alk_key_read_private(fixture_locked, len, PASSPHRASE, NULL);
  assert_non_null(k);
  alk_key_free(k);
  k = alk_key_read_private(fixture_ed25519, strlen(fixture_ed25519),
                           "not needed", NULL);
  assert_non_null(k);
  alk_key_free(k);
}

/* bcrypt's rounds are checked before they are computed: 2^32 would take a
 * year, so this test ends only when they are. */
static void too_many_rounds(void **state)
{
  (void) state;
  alk_buf_t b = container(fixture_locked);
  static const uint8_t one[] = {0, 0, 0, 1, 0, 0, 0, 1}; /* rounds, keys */
  uint8_t *rounds = memmem(b.p, alk_buf_size(&b), one, sizeof one);
  assert_non_null(rounds);
  memset(rounds, 0xff, 4);
  alk_buf_t text = armored(b.p, alk_buf_size(&b));
  refused((const char *) text.p, alk_buf_size(&text), PASSPHRASE,
          "bcrypt rounds; at most 1024");
  memset(rounds, 0, 4);
  assert_null(read_bytes(b.p, alk_buf_size(&b), PASSPHRASE));
  alk_buf_free(&text);
  alk_buf_free(&b);
}

static void texts(void **state)
{
  (void) state;
  static const struct {
    const char *text, *why;
    alk_key_format_t format;
  } bad[] = {
    {"-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----\n",
     "PEM-encoded keys are not supported; convert it with: "
     "ssh-keygen -p -f FILE",
     ALK_KEY_FORMAT_PEM},
    {"-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----\n",
     "ssh-keygen -p -f", ALK_KEY_FORMAT_PEM},
    {"-----BEGIN EC PARAMETERS-----\nBgg=\n-----END EC PARAMETERS-----\n"
     "-----BEGIN EC PRIVATE KEY-----\nMHcC\n-----END EC PRIVATE KEY-----\n",
     "ssh-keygen -p -f", ALK_KEY_FORMAT_PEM},
    {"PuTTY-User-Key-File-3: ssh-ed25519\n", "PuTTYgen",
     ALK_KEY_FORMAT_UNKNOWN},
    {"ssh-ed25519 AAAA me\n", "this is a public key", ALK_KEY_FORMAT_UNKNOWN},
    {"", "empty", ALK_KEY_FORMAT_UNKNOWN},
    {"hello", "not a private key", ALK_KEY_FORMAT_UNKNOWN},
    {"-----BEGIN PUBLIC KEY-----\nMIIE\n-----END PUBLIC KEY-----\n",
     "not a private key", ALK_KEY_FORMAT_UNKNOWN},
    {BEGIN END, "damaged", ALK_KEY_FORMAT_OPENSSH},
    {BEGIN "AAAA" END, "damaged", ALK_KEY_FORMAT_OPENSSH},
    {BEGIN "!!!!" END, "damaged", ALK_KEY_FORMAT_OPENSSH},
    {BEGIN, "damaged", ALK_KEY_FORMAT_OPENSSH},
  };
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    size_t len = strlen(bad[i].text);
    assert_int_equal(alk_key_format(bad[i].text, len), bad[i].format);
    refused(bad[i].text, len, NULL, bad[i].why);
  }
  char *big = alk_alloc(ALK_KEY_FILE_MAX + 1);
  memset(big, ' ', ALK_KEY_FILE_MAX + 1);
  assert_int_equal(alk_key_format(big, ALK_KEY_FILE_MAX + 1),
                   ALK_KEY_FORMAT_UNKNOWN);
  refused(big, ALK_KEY_FILE_MAX + 1, NULL, "longer than 65536 bytes");
  memcpy(big, fixture_rsa, strlen(fixture_rsa));
  alk_key_t *k = alk_key_read_private(big, ALK_KEY_FILE_MAX, NULL, NULL);
  assert_non_null(k);
  alk_key_free(k);
  alk_free(big);
}

/* What editors and secret stores do to a file: CRLF, no last newline. */
static void spaces_do_not_matter(void **state)
{
  (void) state;
  alk_buf_t b = {0};
  alk_buf_add(&b, " \r\n", 3);
  for (const char *p = fixture_p384; *p != '\0'; p++) {
    if (*p == '\n') alk_buf_u8(&b, '\r');
    alk_buf_u8(&b, (uint8_t) *p);
  }
  alk_key_t *k =
    alk_key_read_private((const char *) b.p, b.len - 2, NULL, NULL);
  assert_non_null(k);
  alk_key_free(k);
  alk_buf_free(&b);
}

/* Copies end where the malloc block ends, so that a sanitizer sees the first
 * byte read outside. */
static void every_cut_of_a_text(void **state)
{
  (void) state;
  for (size_t i = 0; i < FIXTURES; i++)
    for (size_t len = 0; len < strlen(fixtures[i].text) - 1; len++) {
      char *copy = alk_memdup(fixtures[i].text, len);
      assert_null(alk_key_read_private(copy, len, NULL, NULL));
      alk_key_format(copy, len);
      alk_free(copy);
    }
}

static void every_cut_of_a_container(void **state)
{
  (void) state;
  for (size_t i = 0; i < FIXTURES; i++) {
    alk_buf_t b = container(fixtures[i].text);
    for (size_t len = 0; len < alk_buf_size(&b); len++)
      assert_null(read_bytes(b.p, len, NULL));
    alk_buf_u8(&b, 0);
    assert_null(read_bytes(b.p, alk_buf_size(&b), NULL));
    alk_buf_free(&b);
  }
}

/* Where the private part says it ends, cut with all lengths kept right. */
static void every_cut_of_a_private_part(void **state)
{
  (void) state;
  for (size_t i = 0; i < FIXTURES; i++) {
    alk_buf_t b = container(fixtures[i].text);
    alk_rd_t r = alk_rd(b.p, alk_buf_size(&b));
    size_t len;
    alk_rd_bytes(&r, sizeof "openssh-key-v1");
    for (int j = 0; j < 3; j++)
      alk_rd_str(&r, &len);
    alk_rd_u32(&r);
    alk_rd_str(&r, &len);
    size_t head = (size_t) (r.p - b.p);
    const uint8_t *secret = alk_rd_str(&r, &len);
    assert_true(alk_rd_done(&r));
    for (size_t cut = 0; cut < len; cut++) {
      alk_buf_t part = {0};
      alk_buf_add(&part, b.p, head);
      alk_buf_str(&part, secret, cut);
      alk_key_t *k = read_bytes(part.p, alk_buf_size(&part), NULL);
      assert_null(k);
      alk_buf_free(&part);
    }
    alk_buf_free(&b);
  }
}

/* A file with one byte changed is refused, unless that byte is the comment's:
 * then it is the same key. */
static size_t flip_each_byte(const char *text, const char *pass, size_t step)
{
  alk_buf_t b = container(text);
  alk_key_t *k = read_bytes(b.p, alk_buf_size(&b), pass);
  assert_non_null(k);
  size_t accepted = 0;
  for (size_t i = 0; i < alk_buf_size(&b); i += step) {
    b.p[i] ^= (uint8_t) (1 << i % 8);
    alk_key_t *other = read_bytes(b.p, alk_buf_size(&b), pass);
    b.p[i] ^= (uint8_t) (1 << i % 8);
    if (other == NULL) continue;
    accepted++;
    assert_true(same_blob(k, other));
    assert_string_not_equal(alk_key_comment(k), alk_key_comment(other));
    alk_key_free(other);
  }
  assert_true(accepted <= strlen("fixture@example"));
  alk_key_free(k);
  alk_buf_free(&b);
  return accepted;
}

static void every_flipped_byte_of_a_file(void **state)
{
  (void) state;
  flip_each_byte(fixture_ed25519, NULL, 1);
  flip_each_byte(fixture_p256, NULL, 1);
  flip_each_byte(fixture_p384, NULL, 5);
  flip_each_byte(fixture_p521, NULL, 7);
  flip_each_byte(fixture_rsa, NULL, 11);
  flip_each_byte(fixture_locked, PASSPHRASE, 5);
  assert_int_equal(flip_each_byte(fixture_gcm, PASSPHRASE, 4), 0);
}

static void fingerprints(void **state)
{
  (void) state;
  char text[ALK_FINGERPRINT_MAX];
  assert_true(alk_fingerprint((const uint8_t *) "abc", 3, text));
  assert_string_equal(text,
                      "SHA256:ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0");
}

/* TLS on the same thread looks at the queue after its own calls. */
static void the_error_queue_is_left_alone(void **state)
{
  (void) state;
  ERR_clear_error();
  ERR_raise(ERR_LIB_USER, 42);
  unsigned long before = ERR_peek_last_error();
  size_t len = strlen(fixture_locked);
  alk_key_free(alk_key_read_private(fixture_locked, len, "wrong", NULL));
  alk_key_t *k = read_key(fixture_p256);
  size_t blob_len;
  uint8_t *blob = alk_memdup(alk_key_blob(k, &blob_len), 104);
  assert_int_equal(blob_len, 104);
  blob[100] ^= 1;
  assert_null(alk_key_read_blob(blob, 104, NULL));
  alk_buf_t sig = {0};
  assert_true(alk_key_sign(k, "ecdsa-sha2-nistp256", blob, 9, &sig, NULL));
  sig.p[30] ^= 0x10;
  assert_false(alk_key_verify(k, "ecdsa-sha2-nistp256", sig.p,
                              alk_buf_size(&sig), blob, 9));
  assert_int_equal(ERR_peek_last_error(), before);
  assert_int_equal(ERR_get_error(), before);
  assert_int_equal(ERR_get_error(), 0);
  alk_buf_free(&sig);
  alk_free(blob);
  alk_key_free(k);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(base64),
    cmocka_unit_test(all_bytes_in_base64),
    cmocka_unit_test(fixtures_are_read),
    cmocka_unit_test(written_keys_are_read),
    cmocka_unit_test(generated_keys),
    cmocka_unit_test(what_cannot_be_written),
    cmocka_unit_test(passphrases),
    cmocka_unit_test(too_many_rounds),
    cmocka_unit_test(texts),
    cmocka_unit_test(spaces_do_not_matter),
    cmocka_unit_test(every_cut_of_a_text),
    cmocka_unit_test(every_cut_of_a_container),
    cmocka_unit_test(every_cut_of_a_private_part),
    cmocka_unit_test(every_flipped_byte_of_a_file),
    cmocka_unit_test(fingerprints),
    cmocka_unit_test(the_error_queue_is_left_alone),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
