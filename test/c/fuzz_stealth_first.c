/* fuzz_stealth_first.c - first bytes: who it is only ever becomes clearer, and
 * only the one with the right token is known. Input: one byte, whose last bit
 * says whether there is a secret, then what is sent; TOKEN in it is the right
 * one. */
#include <string.h>

#include "core/mem.h"

#include "stealth/first_codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static const char token[] = "abcdefghijklmnopqrstuvwxyz-_0123456789ABCDE";

static alk_first_t look(const uint8_t *p, size_t n, const char *secret,
                        size_t *used)
{
  uint8_t *copy = n == 0 ? NULL : alk_memdup(p, n);
  alk_first_t who = alk_first_look(copy, n, secret, used);
  alk_free(copy);
  CHECK(*used <= n);
  return who;
}

static bool begins_right(const uint8_t *p, size_t n)
{
  static const char line[] = "GET /abcdefghijklmnopqrstuvwxyz-_0123456789ABCDE "
                             "HTTP/1.1\r\n";
  return n >= sizeof line - 1 && memcmp(p, line, sizeof line - 1) == 0;
}

static bool is_banner(const uint8_t *p, size_t n)
{
  return (n >= 8 && memcmp(p, "SSH-2.0-", 8) == 0) ||
         (n >= 9 && memcmp(p, "SSH-1.99-", 9) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
  if (n < 1 || n > 512) return 0;
  const char *secret = (p[0] & 1) != 0 ? token : NULL;
  alk_first_t before = ALK_FIRST_MORE;
  size_t used, end = 0;
  for (size_t len = 0; len < n; len++) {
    alk_first_t who = look(p + 1, len, secret, &used);
    CHECK(before == ALK_FIRST_MORE || who == before);
    CHECK(who != ALK_FIRST_KNOWN || end == 0 || used == end);
    CHECK((used > 0) == (who == ALK_FIRST_KNOWN));
    if (who == ALK_FIRST_KNOWN) end = used;
    before = who;
  }
  const uint8_t *all = p + 1;
  CHECK((before == ALK_FIRST_SSH) == (secret == NULL && is_banner(all, n - 1)));
  CHECK((before == ALK_FIRST_KNOWN) ==
        (secret != NULL && begins_right(all, n - 1) &&
         memmem(all, n - 1, "\r\n\r\n", 4) != NULL));
  return 0;
}
