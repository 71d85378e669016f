/* test_krl.c - revocation lists: what each section revokes and what it leaves,
 * every cut, every refusal of form, and every digest that fails. The real
 * ssh-keygen: test/revocation.test.js. */
#include <openssl/evp.h>

#include "cert_cases.h"
#include "crypto_faults.h"
#include "krl_build.h"

enum { KEY = 1, OTHER_KEY = 3, CA = 0, OTHER_CA = 2 };

static alk_krl_t *list_of(alk_buf_t b)
{
  alk_err_t err = {0};
  uint8_t *copy = alk_memdup(b.p, alk_buf_size(&b));
  alk_krl_t *l = alk_krl_read(copy, alk_buf_size(&b), &err);
  alk_free(copy); /* the list has bytes of its own */
  alk_buf_free(&b);
  assert_string_equal(err.msg, "");
  assert_non_null(l);
  return l;
}

static void no_list(alk_buf_t b, const char *why)
{
  alk_err_t err = {0};
  uint8_t *copy = alk_memdup(b.p, alk_buf_size(&b));
  assert_null(alk_krl_read(copy, alk_buf_size(&b), &err));
  assert_int_equal(err.code, ALK_E_KEY);
  if (strstr(err.msg, why) == NULL) fail_msg("\"%s\": %s", why, err.msg);
  alk_free(copy);
  alk_buf_free(&b);
}

static void same_answer(const char *answer, const char *why)
{
  if (why == NULL)
    assert_null(answer);
  else if (answer == NULL || strstr(answer, why) == NULL)
    fail_msg("\"%s\": %s", why, answer == NULL ? "not revoked" : answer);
}

/* why NULL: not revoked. */
static void key_is(const alk_krl_t *l, size_t key, const char *why)
{
  size_t len;
  const uint8_t *blob = alk_key_blob(keys[key], &len);
  same_answer(alk_krl_revokes(l, blob, len), why);
}

static void cert_is(const alk_krl_t *l, const spec_t *s, const char *why)
{
  alk_buf_t b = cert_build(s);
  assert_true(alk_buf_size(&b) > 0);
  same_answer(alk_krl_revokes(l, b.p, alk_buf_size(&b)), why);
  alk_buf_free(&b);
}

static void serial_is(const alk_krl_t *l, size_t ca, uint64_t serial, bool yes)
{
  spec_t s = spec(KEY, ca);
  s.serial = serial;
  cert_is(l, &s, yes ? "serial number is revoked" : NULL);
}

static alk_buf_t numbers(size_t count, const uint64_t *list)
{
  alk_buf_t b = {0};
  for (size_t i = 0; i < count; i++)
    alk_buf_u64(&b, list[i]);
  return b;
}
#define NUMBERS(...)                              \
  numbers(sizeof((uint64_t[]){__VA_ARGS__}) / 8u, \
          (const uint64_t[]){__VA_ARGS__})

/* Of the CA; takes what. */
static alk_buf_t of_ca(unsigned type, alk_buf_t what)
{
  alk_buf_t b = krl_of_ca(keys[CA], type, what.p, alk_buf_size(&what));
  alk_buf_free(&what);
  return b;
}

static alk_buf_t with(unsigned type, alk_buf_t what)
{
  alk_buf_t b = krl_with(type, what.p, alk_buf_size(&what));
  alk_buf_free(&what);
  return b;
}

static alk_buf_t bitmap(uint64_t first, const void *p, size_t len)
{
  alk_buf_t b = {0};
  alk_buf_u64(&b, first);
  alk_buf_str(&b, p, len);
  return b;
}

static alk_buf_t string(const void *p, size_t len)
{
  alk_buf_t b = {0};
  alk_buf_str(&b, p, len);
  return b;
}

static alk_buf_t blob_string(size_t key)
{
  size_t len;
  const uint8_t *blob = alk_key_blob(keys[key], &len);
  return string(blob, len);
}

static void empty_list(void **state)
{
  (void) state;
  alk_buf_t b = {0};
  krl_head(&b, 1, 0);
  alk_krl_t *l = list_of(b);
  key_is(l, KEY, NULL);
  spec_t s = spec(KEY, CA);
  s.serial = 1;
  cert_is(l, &s, NULL);
  /* What is damaged is revoked by every list. */
  same_answer(alk_krl_revokes(l, (const uint8_t *) "", 0), "cannot be read");
  s.key_id = LIT("a\0b");
  cert_is(l, &s, "cannot be read");
  alk_krl_free(l);
  alk_krl_free(NULL);
}

static void serial_numbers(void **state)
{
  (void) state;
  alk_krl_t *l = list_of(of_ca(KRL_SERIALS, NUMBERS(9, 3, UINT64_MAX, 3, 4)));
  static const uint64_t revoked[] = {3, 4, 9, UINT64_MAX};
  static const uint64_t others[] = {0, 1, 2, 5, 8, 10, UINT64_MAX - 1};
  for (size_t i = 0; i < sizeof revoked / 8; i++)
    serial_is(l, CA, revoked[i], true);
  for (size_t i = 0; i < sizeof others / 8; i++)
    serial_is(l, CA, others[i], false);
  serial_is(l, OTHER_CA, 3, false);
  key_is(l, KEY, NULL);
  key_is(l, CA, NULL);
  alk_krl_free(l);
  no_list(of_ca(KRL_SERIALS, NUMBERS(0)), "serial numbers are damaged");
  no_list(of_ca(KRL_SERIALS, string("12345", 5)), "serial numbers are");
}

static void ranges(void **state)
{
  (void) state;
  alk_krl_t *l = list_of(of_ca(KRL_RANGE, NUMBERS(5, 1000000000000)));
  serial_is(l, CA, 4, false);
  serial_is(l, CA, 5, true);
  serial_is(l, CA, 500000000000, true);
  serial_is(l, CA, 1000000000000, true);
  serial_is(l, CA, 1000000000001, false);
  serial_is(l, OTHER_CA, 5, false);
  alk_krl_free(l);
  l = list_of(of_ca(KRL_RANGE, NUMBERS(1, UINT64_MAX)));
  serial_is(l, CA, 0, false); /* what has no number cannot be meant */
  serial_is(l, CA, 1, true);
  serial_is(l, CA, UINT64_MAX, true);
  alk_krl_free(l);
  no_list(of_ca(KRL_RANGE, NUMBERS(0, 5)), "range of serial numbers is");
  no_list(of_ca(KRL_RANGE, NUMBERS(6, 5)), "range of serial numbers is");
  no_list(of_ca(KRL_RANGE, NUMBERS(6)), "range of serial numbers is");
  no_list(of_ca(KRL_RANGE, NUMBERS(5, 6, 7)), "range of serial numbers is");
}

/* Overlapping, touching, one in another, out of order. */
static void ranges_together(void **state)
{
  (void) state;
  static const uint64_t given[][2] = {{50, 60},
                                      {10, 20},
                                      {21, 25},
                                      {15, 18},
                                      {55, 70},
                                      {10, 12},
                                      {100, 100},
                                      {UINT64_MAX - 1, UINT64_MAX},
                                      {UINT64_MAX, UINT64_MAX},
                                      {27, 27}};
  alk_buf_t section = {0};
  alk_buf_t ca = blob_string(CA);
  alk_buf_add(&section, ca.p, alk_buf_size(&ca));
  alk_buf_cstr(&section, "");
  for (size_t i = 0; i < sizeof given / sizeof given[0]; i++) {
    alk_buf_t b = numbers(2, given[i]);
    krl_section(&section, KRL_RANGE, b.p, alk_buf_size(&b));
    alk_buf_free(&b);
  }
  alk_buf_free(&ca);
  alk_krl_t *l = list_of(with(KRL_CERTS, section));
  for (uint64_t serial = 1; serial < 110; serial++) {
    bool yes = false;
    for (size_t i = 0; i < sizeof given / sizeof given[0]; i++)
      yes = yes || (serial >= given[i][0] && serial <= given[i][1]);
    serial_is(l, CA, serial, yes);
  }
  serial_is(l, CA, UINT64_MAX - 2, false);
  serial_is(l, CA, UINT64_MAX - 1, true);
  serial_is(l, CA, UINT64_MAX, true);
  alk_krl_free(l);
}

static void bitmaps(void **state)
{
  (void) state;
  alk_krl_t *l = list_of(of_ca(KRL_BITMAP, bitmap(100, "\0\x81\0\x03", 4)));
  static const uint64_t revoked[] = {100, 101, 116, 123};
  for (uint64_t serial = 90; serial < 140; serial++) {
    bool yes = false;
    for (size_t i = 0; i < 4; i++)
      yes = yes || serial == revoked[i];
    serial_is(l, CA, serial, yes);
  }
  serial_is(l, OTHER_CA, 100, false);
  alk_krl_free(l);
  l = list_of(of_ca(KRL_BITMAP, bitmap(UINT64_MAX - 9, "\x02\x01", 2)));
  serial_is(l, CA, UINT64_MAX, true);
  serial_is(l, CA, UINT64_MAX - 9, true);
  serial_is(l, CA, UINT64_MAX - 1, false);
  alk_krl_free(l);
  l = list_of(of_ca(KRL_BITMAP, bitmap(0, "\x02", 1)));
  serial_is(l, CA, 1, true);
  serial_is(l, CA, 0, false);
  serial_is(l, CA, 8, false); /* a bit of what stands before the bitmap */
  alk_krl_free(l);
  alk_krl_free(list_of(of_ca(KRL_BITMAP, bitmap(0, "", 0))));
}

static void wrong_bitmaps(void **state)
{
  (void) state;
  const char *why = "bitmap of serial numbers is damaged";
  uint8_t big[ALK_KRL_BITMAP_MAX + 2] = {0, 0x40};
  no_list(of_ca(KRL_BITMAP, bitmap(1, "\x80", 1)), why); /* below zero */
  no_list(of_ca(KRL_BITMAP, bitmap(0, "\x01", 1)), why); /* for number 0 */
  no_list(of_ca(KRL_BITMAP, bitmap(UINT64_MAX - 8, "\x02\x01", 2)), why);
  no_list(of_ca(KRL_BITMAP, bitmap(UINT64_MAX, "\x02", 1)), why);
  no_list(of_ca(KRL_BITMAP, bitmap(1, big, sizeof big)), why);
  alk_krl_free(list_of(of_ca(KRL_BITMAP, bitmap(1, big, sizeof big - 1))));
  no_list(of_ca(KRL_BITMAP, NUMBERS(1)), why);
  no_list(of_ca(KRL_BITMAP, string("", 0)), why);
  alk_buf_t more = bitmap(1, "\x01", 1);
  alk_buf_u8(&more, 0);
  no_list(of_ca(KRL_BITMAP, more), why);
}

static void key_ids(void **state)
{
  (void) state;
  alk_buf_t ids = {0};
  alk_buf_cstr(&ids, "other");
  alk_buf_cstr(&ids, "an id");
  alk_buf_cstr(&ids, "\xff\xfe");
  alk_krl_t *l = list_of(of_ca(KRL_KEY_IDS, ids));
  spec_t s = spec(KEY, CA);
  cert_is(l, &s, "key id is revoked");
  s.key_id = LIT("\xff\xfe");
  cert_is(l, &s, "key id is revoked");
  static const lit_t not_revoked[] = {
    {"an id ", 6}, {"an i", 4}, {"An id", 5}, {"", 0}, {"\xff\xff", 2}};
  for (size_t i = 0; i < sizeof not_revoked / sizeof not_revoked[0]; i++) {
    s.key_id = not_revoked[i];
    cert_is(l, &s, NULL);
  }
  s = spec(KEY, OTHER_CA);
  cert_is(l, &s, NULL);
  alk_krl_free(l);
  no_list(of_ca(KRL_KEY_IDS, string("a\0b", 3)), "key ids are damaged");
  no_list(of_ca(KRL_KEY_IDS, NUMBERS(1)), "key ids are damaged");
}

/* Without a CA's key, every CA is meant. */
static void every_ca(void **state)
{
  (void) state;
  alk_buf_t seven = NUMBERS(7);
  alk_krl_t *l =
    list_of(krl_of_ca(NULL, KRL_SERIALS, seven.p, alk_buf_size(&seven)));
  alk_buf_free(&seven);
  for (size_t ca = 0; ca < FIXTURES; ca++) {
    serial_is(l, ca, 7, true);
    serial_is(l, ca, 8, false);
  }
  alk_krl_free(l);
}

/* The key itself, a certificate of it, and what it signs as a CA. */
static void revoked_as(alk_buf_t b)
{
  alk_krl_t *l = list_of(b);
  key_is(l, KEY, "the key is revoked");
  key_is(l, OTHER_KEY, NULL);
  key_is(l, CA, NULL);
  spec_t s = spec(KEY, CA);
  cert_is(l, &s, "the certified key is revoked");
  s = spec(OTHER_KEY, CA);
  cert_is(l, &s, NULL);
  s = spec(OTHER_KEY, KEY);
  cert_is(l, &s, "the certificate's CA is revoked");
  alk_krl_free(l);
}

static alk_buf_t hash_string(const char *name, size_t key)
{
  size_t len, digest_len = 0;
  uint8_t digest[EVP_MAX_MD_SIZE];
  const uint8_t *blob = alk_key_blob(keys[key], &len);
  assert_int_equal(
    EVP_Q_digest(NULL, name, NULL, blob, len, digest, &digest_len), 1);
  return string(digest, digest_len);
}

static void keys_and_hashes(void **state)
{
  (void) state;
  revoked_as(with(KRL_KEYS, blob_string(KEY)));
  revoked_as(with(KRL_SHA1, hash_string("SHA1", KEY)));
  revoked_as(with(KRL_SHA256, hash_string("SHA256", KEY)));
  no_list(with(KRL_SHA1, hash_string("SHA256", KEY)), "hashes are damaged");
  no_list(with(KRL_SHA256, hash_string("SHA1", KEY)), "hashes are damaged");
  no_list(with(KRL_SHA256, string("", 0)), "hashes are damaged");
  no_list(with(KRL_KEYS, NUMBERS(1)), "keys are damaged");
}

/* Every key alone, and all at once. */
static void every_type_of_key(void **state)
{
  (void) state;
  alk_buf_t all = {0};
  for (size_t i = 0; i < FIXTURES; i++) {
    alk_buf_t one = blob_string(i);
    alk_buf_add(&all, one.p, alk_buf_size(&one));
    alk_krl_t *l = list_of(with(KRL_KEYS, one));
    for (size_t k = 0; k < FIXTURES; k++)
      key_is(l, k, k == i ? "the key is revoked" : NULL);
    alk_krl_free(l);
  }
  alk_krl_t *l = list_of(with(KRL_KEYS, all));
  for (size_t i = 0; i < FIXTURES; i++)
    key_is(l, i, "the key is revoked");
  alk_krl_free(l);
}

/* What would never be equal to a key is no way to revoke one. */
static void keys_in_another_form(void **state)
{
  (void) state;
  alk_buf_t cert = cert_bytes(0);
  no_list(with(KRL_KEYS, string(cert.p, alk_buf_size(&cert))), "keys are");
  alk_buf_free(&cert);
  for (size_t i = 0; i < FIXTURES; i++)
    for (int add = 0; add < 2; add++) {
      size_t len;
      const uint8_t *blob = alk_key_blob(keys[i], &len);
      alk_buf_t b = {0};
      alk_buf_add(&b, blob, add ? len : len - 1);
      if (add) alk_buf_u8(&b, 0);
      alk_buf_t what = string(b.p, alk_buf_size(&b));
      alk_buf_free(&b);
      no_list(with(KRL_KEYS, what), "keys are damaged");
    }
  alk_buf_t rsa = {0}; /* e with a zero too many */
  alk_buf_cstr(&rsa, "ssh-rsa");
  alk_buf_str(&rsa, "\0\1\0\1", 4);
  alk_buf_str(&rsa, "\x7f", 1);
  no_list(with(KRL_KEYS, string(rsa.p, alk_buf_size(&rsa))), "keys are");
  alk_buf_free(&rsa);
  no_list(with(KRL_KEYS, string("", 0)), "keys are damaged");
  no_list(with(KRL_KEYS, string("\0\0\0\0abc", 7)), "keys are damaged");
  no_list(with(KRL_KEYS, string("\0\0\0\3abc", 7)), "keys are damaged");
}

/* A list may revoke what would not be let in anyway. */
static void keys_that_are_not_supported(void **state)
{
  (void) state;
  const lit_t others[] = {
    LIT("\0\0\0\7ssh-dss\0\0\0\1\1"),
    LIT("\0\0\0\7ssh-rsa\0\0\0\3\1\0\1\0\0\0\1\x7f"),
    LIT("\0\0\0\32sk-ssh-ed25519@openssh.com\0\0\0\0"),
  };
  for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
    alk_krl_t *l = list_of(with(KRL_KEYS, string(others[i].p, others[i].len)));
    key_is(l, KEY, NULL);
    same_answer(
      alk_krl_revokes(l, (const uint8_t *) others[i].p, others[i].len),
      "cannot be read");
    alk_krl_free(l);
  }
}

static void cas_in_another_form(void **state)
{
  (void) state;
  alk_buf_t cert = cert_bytes(0), section = {0};
  alk_buf_str(&section, cert.p, alk_buf_size(&cert));
  alk_buf_cstr(&section, "");
  alk_buf_free(&cert);
  no_list(with(KRL_CERTS, section), "CA key is damaged");
  section = string("\0\0\0\13ssh-ed25519\0\0\0\1x", 20);
  alk_buf_cstr(&section, "");
  no_list(with(KRL_CERTS, section), "CA key is damaged");
  no_list(with(KRL_CERTS, blob_string(CA)), "CA key is damaged");
}

static alk_buf_t extension(uint8_t critical)
{
  alk_buf_t b = {0};
  alk_buf_cstr(&b, "name@example.com");
  alk_buf_u8(&b, critical);
  alk_buf_cstr(&b, "contents");
  return b;
}

static void extensions(void **state)
{
  (void) state;
  alk_krl_free(list_of(with(KRL_EXTENSION, extension(0))));
  alk_krl_free(list_of(of_ca(KRL_CERT_EXTENSION, extension(0))));
  const char *why = "critical extension that is not known";
  for (unsigned critical = 1; critical < 256; critical += 127) {
    no_list(with(KRL_EXTENSION, extension((uint8_t) critical)), why);
    no_list(of_ca(KRL_CERT_EXTENSION, extension((uint8_t) critical)), why);
  }
  for (size_t cut = 1; cut < 30; cut++) {
    alk_buf_t b = extension(0);
    b.len -= cut;
    no_list(with(KRL_EXTENSION, b), "extension is damaged");
  }
  alk_buf_t more = extension(0);
  alk_buf_u8(&more, 0);
  no_list(of_ca(KRL_CERT_EXTENSION, more), "extension is damaged");
}

static void unknown_sections(void **state)
{
  (void) state;
  for (unsigned type = 0; type < 256; type++) {
    bool known =
      (type >= KRL_CERTS && type <= KRL_SHA256) || type == KRL_EXTENSION;
    if (!known) no_list(krl_with(type, "", 0), "a section of type");
    known = (type >= KRL_SERIALS && type <= KRL_KEY_IDS) ||
            type == KRL_CERT_EXTENSION;
    if (!known)
      no_list(krl_of_ca(NULL, type, "", 0), "a section for certificates");
  }
  alk_buf_t b = with(KRL_SIGNATURE, blob_string(CA));
  alk_buf_cstr(&b, "signature");
  no_list(b, "is signed, which is not supported");
}

static void heads(void **state)
{
  (void) state;
  const char *why = "a format that is not known";
  alk_buf_t b = {0};
  krl_head(&b, 2, 0);
  no_list(b, why);
  b = (alk_buf_t){0};
  krl_head(&b, 0, 0);
  no_list(b, why);
  b = (alk_buf_t){0};
  krl_head(&b, 1, 1);
  no_list(b, why);
  assert_true(alk_krl_is((const uint8_t *) "SSHKRL\n", 8));
  assert_false(alk_krl_is((const uint8_t *) "SSHKRL\n", 7));
  assert_false(alk_krl_is((const uint8_t *) "SSHKRL\nx", 8));
  assert_false(alk_krl_is(NULL, 0));
  alk_err_t err = {0};
  assert_null(alk_krl_read(NULL, 0, &err));
  assert_string_equal(err.msg, "the revocation list is none");
  b = krl_with(KRL_KEYS, "", 0);
  (void) alk_buf_reserve(&b, ALK_KRL_MAX + 1);
  assert_null(alk_krl_read(b.p, ALK_KRL_MAX + 1, &err));
  assert_string_equal(err.msg, "the revocation list is too long");
  alk_buf_free(&b);
}

/* A list with everything in it, cut anywhere: only between sections is what is
 * left a list. */
static void cuts(void **state)
{
  (void) state;
  alk_buf_t b = of_ca(KRL_RANGE, NUMBERS(5, 9));
  size_t ends[4] = {0, alk_buf_size(&b)}, accepted_cuts = 0;
  alk_buf_t part = blob_string(KEY);
  krl_section(&b, KRL_KEYS, part.p, alk_buf_size(&part));
  alk_buf_free(&part);
  ends[2] = alk_buf_size(&b);
  part = hash_string("SHA256", KEY);
  krl_section(&b, KRL_SHA256, part.p, alk_buf_size(&part));
  alk_buf_free(&part);
  alk_buf_t head = {0};
  krl_head(&head, 1, 0);
  ends[0] = alk_buf_size(&head);
  alk_buf_free(&head);
  ends[3] = alk_buf_size(&b);
  for (size_t len = 0; len <= alk_buf_size(&b); len++) {
    uint8_t *copy = alk_memdup(b.p, len);
    alk_krl_t *l = alk_krl_read(copy, len, NULL);
    bool is_end = false;
    for (size_t i = 0; i < 4; i++)
      is_end = is_end || len == ends[i];
    assert_int_equal(l != NULL, is_end);
    accepted_cuts += l != NULL;
    alk_krl_free(l);
    alk_free(copy);
  }
  assert_int_equal(accepted_cuts, 4);
  alk_buf_free(&b);
}

static void many_sections(void **state)
{
  (void) state;
  alk_buf_t b = {0};
  krl_head(&b, 1, 0);
  static const uint8_t none[8] = {0};
  for (size_t i = 0; i < ALK_KRL_SECTIONS_MAX; i++)
    krl_section(&b, KRL_CERTS, none, sizeof none);
  alk_buf_t more = {0};
  alk_buf_add(&more, b.p, alk_buf_size(&b));
  krl_section(&more, KRL_CERTS, none, sizeof none);
  no_list(more, "too many sections");
  alk_krl_t *l = list_of(b);
  serial_is(l, CA, 7, false);
  alk_krl_free(l);
}

/* Two sections for one CA, and one for all: each is looked into. */
static void sections_add_up(void **state)
{
  (void) state;
  alk_buf_t b = of_ca(KRL_SERIALS, NUMBERS(1));
  size_t head = b.len;
  alk_buf_t second = of_ca(KRL_SERIALS, NUMBERS(2)), first = {0};
  krl_head(&first, 1, 0);
  size_t skip = alk_buf_size(&first);
  alk_buf_add(&b, second.p + skip, alk_buf_size(&second) - skip);
  alk_buf_t three = NUMBERS(3);
  alk_buf_t third = krl_of_ca(NULL, KRL_SERIALS, three.p, alk_buf_size(&three));
  alk_buf_add(&b, third.p + skip, alk_buf_size(&third) - skip);
  assert_true(b.len > head);
  alk_buf_free(&first);
  alk_buf_free(&second);
  alk_buf_free(&three);
  alk_buf_free(&third);
  alk_krl_t *l = list_of(b);
  for (uint64_t serial = 1; serial < 5; serial++) {
    serial_is(l, CA, serial, serial < 4);
    serial_is(l, OTHER_CA, serial, serial == 3);
  }
  alk_krl_free(l);
}

/* Whatever fails while it is asked, what is revoked is not let through. */
static void faults(void **state)
{
  (void) state;
  alk_krl_t *lists[] = {
    list_of(with(KRL_KEYS, blob_string(KEY))),
    list_of(with(KRL_SHA1, hash_string("SHA1", KEY))),
    list_of(with(KRL_SHA256, hash_string("SHA256", KEY))),
  };
  spec_t s = spec(OTHER_KEY, KEY);
  alk_buf_t blob = blob_string(KEY), cert = cert_build(&s);
  for (size_t i = 0; i < 3; i++) {
    bool more = true;
    for (unsigned long n = 1; more; n++) {
      faults_on(n);
      assert_non_null(
        alk_krl_revokes(lists[i], blob.p + 4, alk_buf_size(&blob) - 4));
      more = faults_off();
    }
    more = true;
    for (unsigned long n = 1; more; n++) {
      faults_on(n);
      assert_non_null(alk_krl_revokes(lists[i], cert.p, alk_buf_size(&cert)));
      more = faults_off();
    }
    alk_krl_free(lists[i]);
  }
  alk_buf_free(&blob);
  alk_buf_free(&cert);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(empty_list),
    cmocka_unit_test(serial_numbers),
    cmocka_unit_test(ranges),
    cmocka_unit_test(ranges_together),
    cmocka_unit_test(bitmaps),
    cmocka_unit_test(wrong_bitmaps),
    cmocka_unit_test(key_ids),
    cmocka_unit_test(every_ca),
    cmocka_unit_test(keys_and_hashes),
    cmocka_unit_test(every_type_of_key),
    cmocka_unit_test(keys_in_another_form),
    cmocka_unit_test(keys_that_are_not_supported),
    cmocka_unit_test(cas_in_another_form),
    cmocka_unit_test(extensions),
    cmocka_unit_test(unknown_sections),
    cmocka_unit_test(heads),
    cmocka_unit_test(cuts),
    cmocka_unit_test(many_sections),
    cmocka_unit_test(sections_add_up),
    cmocka_unit_test(faults),
  };
  if (!faults_install()) return 1;
  return cmocka_run_group_tests(tests, cert_setup, cert_teardown);
}
