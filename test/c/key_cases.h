/* key_cases.h - one key of each type, for test_key*.c. */
#ifndef KEY_CASES_H
#define KEY_CASES_H

/* cmocka.h does not include what it uses: it comes after these. */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */
#include <string.h>

#include "ssh/key.h"

#include "key_fixtures.h"

typedef struct {
  const char *text, *type;
  unsigned bits;
  const char *algorithms[2];
} fixture_t;

static const fixture_t fixtures[] = {
  {fixture_ed25519, "ssh-ed25519", 256, {"ssh-ed25519"}},
  {fixture_p256, "ecdsa-sha2-nistp256", 256, {"ecdsa-sha2-nistp256"}},
  {fixture_p384, "ecdsa-sha2-nistp384", 384, {"ecdsa-sha2-nistp384"}},
  {fixture_p521, "ecdsa-sha2-nistp521", 521, {"ecdsa-sha2-nistp521"}},
  {fixture_rsa, "ssh-rsa", 3072, {"rsa-sha2-256", "rsa-sha2-512"}},
};

enum { FIXTURES = sizeof fixtures / sizeof fixtures[0] };

static inline alk_key_t *read_key(const char *text)
{
  alk_err_t err = {0};
  alk_key_t *k = alk_key_read_private(text, strlen(text), NULL, &err);
  assert_string_equal(err.msg, "");
  assert_non_null(k);
  return k;
}

#endif
