/* base64.c - RFC 4648 §4, strict: one spelling for each run of bytes. */
#include "ssh/key.h"

static const char letters[] =
  "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

enum { BAD = 64 };

static uint32_t value(char c)
{
  if (c >= 'A' && c <= 'Z') return (uint32_t) (c - 'A');
  if (c >= 'a' && c <= 'z') return (uint32_t) (c - 'a') + 26;
  if (c >= '0' && c <= '9') return (uint32_t) (c - '0') + 52;
  if (c == '+') return 62;
  return c == '/' ? 63 : BAD;
}

/* 2, 3 or 4 letters are 1, 2 or 3 bytes; the bits left over must be 0. */
static bool decode_group(const char *text, size_t len, uint8_t *out)
{
  uint32_t bits = 0;
  for (size_t i = 0; i < 4; i++) {
    uint32_t v = i < len ? value(text[i]) : 0;
    if (v == BAD) return false;
    bits = bits << 6 | v;
  }
  for (size_t i = 0; i + 1 < len; i++)
    out[i] = (uint8_t) (bits >> (16 - 8 * i));
  return len == 4 || (bits & (len == 3 ? 0xff : 0xffff)) == 0;
}

bool alk_base64_decode(const char *text, size_t len, alk_buf_t *out)
{
  if (len % 4 != 0) return false;
  if (len == 0) return true;
  size_t pad = text[len - 1] != '=' ? 0 : text[len - 2] != '=' ? 1 : 2;
  uint8_t *p = alk_buf_reserve(out, len / 4 * 3);
  for (size_t i = 0; i < len; i += 4) {
    size_t used = i + 4 < len ? 4 : 4 - pad;
    if (!decode_group(text + i, used, p + i / 4 * 3)) return false;
  }
  alk_buf_commit(out, len / 4 * 3 - pad);
  return true;
}

void alk_base64_encode(const uint8_t *p, size_t len, alk_buf_t *out)
{
  uint8_t *q = alk_buf_reserve(out, (len / 3 + 1) * 4), *start = q;
  for (size_t i = 0; i < len; i += 3) {
    size_t used = len - i < 3 ? len - i : 3;
    uint32_t bits = (uint32_t) p[i] << 16;
    if (used > 1) bits |= (uint32_t) p[i + 1] << 8;
    if (used > 2) bits |= p[i + 2];
    for (size_t j = 0; j < 4; j++)
      *q++ = j <= used ? (uint8_t) letters[bits >> (18 - 6 * j) & 63] : '=';
  }
  alk_buf_commit(out, (size_t) (q - start));
}
