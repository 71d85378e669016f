/* buf.c - readers that cannot leave their input, and a byte queue. */
#include "core/buf.h"

#include <string.h>

#include "core/mem.h"

alk_rd_t alk_rd(const void *p, size_t len)
{
  return (alk_rd_t){.p = p, .len = len};
}

const uint8_t *alk_rd_bytes(alk_rd_t *r, size_t len)
{
  if (r->bad || len > r->len) {
    r->bad = true;
    r->len = 0;
    return NULL;
  }
  const uint8_t *p = r->p;
  r->p += len;
  r->len -= len;
  return p;
}

static uint64_t read_be(alk_rd_t *r, size_t len)
{
  const uint8_t *p = alk_rd_bytes(r, len);
  uint64_t v = 0;
  for (size_t i = 0; p != NULL && i < len; i++)
    v = v << 8 | p[i];
  return v;
}

uint8_t alk_rd_u8(alk_rd_t *r)
{
  return (uint8_t) read_be(r, 1);
}

uint16_t alk_rd_u16(alk_rd_t *r)
{
  return (uint16_t) read_be(r, 2);
}

uint32_t alk_rd_u32(alk_rd_t *r)
{
  return (uint32_t) read_be(r, 4);
}

uint64_t alk_rd_u64(alk_rd_t *r)
{
  return read_be(r, 8);
}

const uint8_t *alk_rd_str(alk_rd_t *r, size_t *len)
{
  *len = alk_rd_u32(r);
  const uint8_t *p = alk_rd_bytes(r, *len);
  if (p == NULL) *len = 0;
  return p;
}

alk_rd_t alk_rd_sub(alk_rd_t *r)
{
  size_t len;
  const uint8_t *p = alk_rd_str(r, &len);
  alk_rd_t sub = alk_rd(p, len);
  sub.bad = r->bad;
  return sub;
}

bool alk_rd_done(const alk_rd_t *r)
{
  return !r->bad && r->len == 0;
}

bool alk_rd_is(alk_rd_t *r, const char *text)
{
  size_t len;
  const uint8_t *p = alk_rd_str(r, &len);
  return p != NULL && len == strlen(text) && memcmp(p, text, len) == 0;
}

void alk_buf_free(alk_buf_t *b)
{
  alk_free(b->p);
  *b = (alk_buf_t){0};
}

void alk_buf_free_secret(alk_buf_t *b)
{
  alk_free_secret(b->p, b->cap);
  *b = (alk_buf_t){0};
}

size_t alk_buf_size(const alk_buf_t *b)
{
  return b->len - b->off;
}

const uint8_t *alk_buf_head(const alk_buf_t *b)
{
  return b->p == NULL ? NULL : b->p + b->off;
}

void alk_buf_consume(alk_buf_t *b, size_t len)
{
  CHECK(len <= alk_buf_size(b));
  b->off += len;
  if (b->off == b->len) b->off = b->len = 0;
}

/* Grows through a fresh block, never realloc, so that a secret's old copy can
 * be wiped. Growth doubles: adding n bytes one by one costs O(n). */
static void grow(alk_buf_t *b, size_t need)
{
  size_t held = alk_buf_size(b), cap = b->cap < 128 ? 128 : b->cap;
  CHECK(need <= SIZE_MAX / 4 - held);
  while (cap < held + need)
    cap *= 2;
  uint8_t *p = alk_alloc(cap);
  if (held > 0) memcpy(p, b->p + b->off, held);
  alk_free_secret(b->p, b->cap); /* consumed bytes are still in it */
  *b = (alk_buf_t){.p = p, .len = held, .cap = cap};
}

uint8_t *alk_buf_reserve(alk_buf_t *b, size_t len)
{
  if (len <= b->cap - b->len) return b->p + b->len;
  /* Moving the bytes to the front is cheap only when few are left. */
  if (b->off >= b->cap / 2 && len <= b->cap - alk_buf_size(b)) {
    memmove(b->p, b->p + b->off, alk_buf_size(b));
    b->len -= b->off;
    b->off = 0;
    return b->p + b->len;
  }
  grow(b, len);
  return b->p + b->len;
}

void alk_buf_commit(alk_buf_t *b, size_t len)
{
  CHECK(len <= b->cap - b->len);
  b->len += len;
}

void alk_buf_add(alk_buf_t *b, const void *p, size_t len)
{
  if (len == 0) return;
  memcpy(alk_buf_reserve(b, len), p, len);
  b->len += len;
}

static void add_be(alk_buf_t *b, uint64_t v, size_t len)
{
  uint8_t *p = alk_buf_reserve(b, len);
  for (size_t i = 0; i < len; i++)
    p[i] = (uint8_t) (v >> 8 * (len - 1 - i));
  b->len += len;
}

void alk_buf_u8(alk_buf_t *b, uint8_t v)
{
  add_be(b, v, 1);
}

void alk_buf_u16(alk_buf_t *b, uint16_t v)
{
  add_be(b, v, 2);
}

void alk_buf_u32(alk_buf_t *b, uint32_t v)
{
  add_be(b, v, 4);
}

void alk_buf_u64(alk_buf_t *b, uint64_t v)
{
  add_be(b, v, 8);
}

void alk_buf_str(alk_buf_t *b, const void *p, size_t len)
{
  CHECK(len <= UINT32_MAX);
  add_be(b, len, 4);
  alk_buf_add(b, p, len);
}

void alk_buf_cstr(alk_buf_t *b, const char *s)
{
  alk_buf_str(b, s, strlen(s));
}

void alk_buf_mpint(alk_buf_t *b, const uint8_t *p, size_t len)
{
  while (len > 0 && *p == 0) {
    p++;
    len--;
  }
  bool sign = len > 0 && (*p & 0x80) != 0;
  alk_buf_u32(b, (uint32_t) (len + sign));
  if (sign) alk_buf_u8(b, 0);
  alk_buf_add(b, p, len);
}
