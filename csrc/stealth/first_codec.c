/* first_codec.c - a greeting, an SSH banner (RFC 4253 §4.2), or neither. */
#include "stealth/first_codec.h"

#include <string.h>

static const char before[] = "GET /";
static const char behind[] = " HTTP/1.1\r\n";
static const char end_of_head[] = "\r\n\r\n";

enum {
  BEFORE = sizeof before - 1,
  BEHIND = sizeof behind - 1,
  LINE = BEFORE + ALK_TOKEN_TEXT + BEHIND
};

bool alk_first_is_tls(uint8_t c)
{
  return c == 0x16 || (c & 0x80) != 0;
}

static bool is_base64url(uint8_t c)
{
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
         (c >= 'A' && c <= 'Z') || c == '-' || c == '_';
}

/* How much of the two is the same, if one of them is the other's beginning. */
static bool begins(const uint8_t *p, size_t n, const char *word, size_t len)
{
  return memcmp(p, word, n < len ? n : len) == 0;
}

/* Whether the line may still become a greeting's, whatever its token. */
static bool looks_like_greeting(const uint8_t *p, size_t n)
{
  if (!begins(p, n, before, BEFORE)) return false;
  for (size_t i = BEFORE; i < n && i < BEFORE + ALK_TOKEN_TEXT; i++)
    if (!is_base64url(p[i])) return false;
  size_t at = BEFORE + ALK_TOKEN_TEXT;
  return n <= at || begins(p + at, n - at, behind, BEHIND);
}

/* In constant time: where two differ is nobody's to learn. */
static bool is_token(const uint8_t *p, const char *token)
{
  uint8_t differ = 0;
  for (size_t i = 0; i < ALK_TOKEN_TEXT; i++)
    differ |= (uint8_t) (p[i] ^ (uint8_t) token[i]);
  return differ == 0;
}

static alk_first_t look_for_greeting(const uint8_t *p, size_t n,
                                     const char *token, size_t *used)
{
  if (!looks_like_greeting(p, n)) return ALK_FIRST_OTHER;
  if (n < LINE) return ALK_FIRST_MORE;
  if (!is_token(p + BEFORE, token)) return ALK_FIRST_OTHER;
  const uint8_t *end = memmem(p, n, end_of_head, sizeof end_of_head - 1);
  if (end == NULL) return n < ALK_FIRST_MAX ? ALK_FIRST_MORE : ALK_FIRST_OTHER;
  *used = (size_t) (end - p) + sizeof end_of_head - 1;
  return ALK_FIRST_KNOWN;
}

alk_first_t alk_first_look(const uint8_t *p, size_t n, const char *token,
                           size_t *used)
{
  static const char *const banners[] = {"SSH-2.0-", "SSH-1.99-"};
  *used = 0;
  if (n == 0) return ALK_FIRST_MORE;
  if (token != NULL) return look_for_greeting(p, n, token, used);
  for (size_t i = 0; i < sizeof banners / sizeof *banners; i++) {
    size_t len = strlen(banners[i]);
    if (!begins(p, n, banners[i], len)) continue;
    return n < len ? ALK_FIRST_MORE : ALK_FIRST_SSH;
  }
  return ALK_FIRST_OTHER;
}
