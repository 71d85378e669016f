/* test_bcrypt.c - bcrypt_pbkdf: Blowfish's table against pi computed here, and
 * known answers. That real encrypted keys open is test_key.c's. */
/* cmocka.h does not include what it uses: it comes after these. */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */
#include <stdio.h>
#include <string.h>

#include "ssh/bcrypt_pbkdf.h"
#include "ssh/blowfish_pi.h"

/* Fixed point, big endian: one whole word, then the table's, then spare. */
enum { TABLE = 18 + 1024, DIGITS = 1 + TABLE + 2 };

static void divide(uint32_t *n, uint32_t by)
{
  uint64_t rest = 0;
  for (int i = 0; i < DIGITS; i++) {
    rest = rest << 32 | n[i];
    n[i] = (uint32_t) (rest / by);
    rest %= by;
  }
}

static void add(uint32_t *sum, const uint32_t *n, int sign)
{
  int64_t carry = 0;
  for (int i = DIGITS - 1; i >= 0; i--) {
    carry += (int64_t) sum[i] + sign * (int64_t) n[i];
    sum[i] = (uint32_t) carry;
    carry >>= 32;
  }
}

static int is_zero(const uint32_t *n)
{
  for (int i = 0; i < DIGITS; i++)
    if (n[i] != 0) return 0;
  return 1;
}

/* sum += sign * whole * atan(1/x) */
static void add_atan(uint32_t *sum, uint32_t whole, uint32_t x, int sign)
{
  uint32_t power[DIGITS] = {whole}, term[DIGITS];
  divide(power, x);
  for (uint32_t n = 1; !is_zero(power); n += 2, sign = -sign) {
    memcpy(term, power, sizeof term);
    divide(term, n);
    add(sum, term, sign);
    divide(power, x * x);
  }
}

/* Gauss's formula, not Machin's as in the generator. */
static void table_is_the_fraction_of_pi(void **state)
{
  (void) state;
  uint32_t pi[DIGITS] = {0};
  add_atan(pi, 48, 18, 1);
  add_atan(pi, 32, 57, 1);
  add_atan(pi, 20, 239, -1);
  assert_int_equal(pi[0], 3);
  for (int i = 0; i < 18; i++)
    assert_int_equal(pi[1 + i], blowfish_pi_p[i]);
  for (int i = 0; i < 1024; i++)
    assert_int_equal(pi[19 + i], blowfish_pi_s[i / 256][i % 256]);
}

#define TEN(s) s s s s s s s s s s
#define X100   TEN(TEN("x"))
#define Y100   TEN(TEN("y"))

/* The first two are OpenBSD's and widely published; the others come from
 * another implementation (python3-bcrypt 3.2). */
static const struct {
  const char *pass;
  size_t pass_len;
  const char *salt;
  size_t salt_len;
  unsigned rounds;
  const char *hex;
} vectors[] = {
  {"password", 8, "salt", 4, 12,
   "1ae42c05d487bc02f64921a4ebe4ea93bcacfe135fda99974c06b7b01fae149a"},
  {"passwordy\0PASSWORD", 19, "salty\0SALT", 11, 3,
   "7f310bd3e78c3280c59ce4595211a2928e8d4ec744c1ed2efc9f764e3388e0ad"},
  {"password", 8, "salt", 4, 4,
   "5bbf0cc293587f1c3635555c27796598d47e579071bf427e9d8fbe842aba34d9"},
  {"password", 8, "salt", 4, 8,
   "e1367ec5151a33faac4cc1c144cd23fa15d5548493ecc99b9b5d9c0d3b27bec7"
   "6227ea66088b849b20ab7aa478010246e74bba51723fefa9f9474d6508845e8d"},
  {"password", 8, "salt", 4, 1,
   "7aec9bf4a38f14806969a4c2e52b4628a0d060c49dda058b492eddde724dbf0c"
   "02aa4f446a2ae04e5f8a125294a24cd8cb8a6b8507597baa8090b65a7b3ad92b"
   "d1"},
  {"p", 1, "s", 1, 1, "ca"},
  {"", 1, "", 1, 4, "d1bcd7a22aaa3a47be88d16337b276b1"},
  {"password", 8, "salt", 4, 16,
   "c339d704ec235f27690d3f12167c05a55bf86d572f270adbf9fe04c379da5f8c"
   "7942a939245dbb39ebe26fc2bd19b88b"},
  {X100, 100, Y100, 100, 2,
   "8d1a4c2f227839f203f1c946f3ea07e4bce70f6fd6b8ffeea772b6cce8f9698b"
   "a35a647a95e2999905179795cd202c4ae50634ed8da743ab1ce13abad0802975"
   "fccaeb51728e0c83cd67a82ddfb4dd043a79af283c7d1236f5f9dbac2fdc7d98"
   "c0754a94"},
};

static void known_answers(void **state)
{
  (void) state;
  for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
    alk_bcrypt_t in = {vectors[i].pass, vectors[i].pass_len, vectors[i].salt,
                       vectors[i].salt_len, vectors[i].rounds};
    uint8_t out[128], want[128];
    size_t len = strlen(vectors[i].hex) / 2;
    for (size_t j = 0; j < len; j++) {
      unsigned byte;
      assert_int_equal(sscanf(vectors[i].hex + 2 * j, "%2x", &byte), 1);
      want[j] = (uint8_t) byte;
    }
    memset(out, 0xa5, sizeof out);
    assert_true(alk_bcrypt_pbkdf(&in, out, len));
    assert_int_equal(memcmp(out, want, len), 0);
    assert_int_equal(out[len], 0xa5);
  }
}

static void arguments_out_of_range(void **state)
{
  (void) state;
  static const uint8_t zeros[ALK_BCRYPT_OUT_MAX + 1];
  static uint8_t out[ALK_BCRYPT_OUT_MAX + 1];
  static const alk_bcrypt_t bad[] = {
    {"", 0, "salt", 4, 1},
    {"pass", 4, "", 0, 1},
    {"pass", 4, "salt", 4, 0},
    {"pass", 4, zeros, ALK_BCRYPT_SALT_MAX + 1, 1},
  };
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    memset(out, 1, sizeof out);
    assert_false(alk_bcrypt_pbkdf(&bad[i], out, 32));
    assert_memory_equal(out, zeros, 32);
  }
  alk_bcrypt_t good = {"pass", 4, "salt", 4, 1};
  assert_false(alk_bcrypt_pbkdf(&good, out, 0));
  assert_false(alk_bcrypt_pbkdf(&good, out, sizeof out));
  assert_true(alk_bcrypt_pbkdf(&good, out, ALK_BCRYPT_OUT_MAX));
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(table_is_the_fraction_of_pi),
    cmocka_unit_test(known_answers),
    cmocka_unit_test(arguments_out_of_range),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
