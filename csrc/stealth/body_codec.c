/* body_codec.c - by its length, or in chunks (RFC 9112 §7.1) as nginx takes
 * them: CR may be left out.
 *
 *   5;name=value CR LF hello CR LF   SIZE EXTENSION SIZE_LF DATA BEHIND_DATA
 *   0 CR LF                          SIZE SIZE_LF
 *   Name: value CR LF                TRAILER FIELD
 *   CR LF                            TRAILER LAST_LF */
#include "stealth/body_codec.h"

typedef enum {
  FIRST, /* of the digits of a size */
  SIZE,
  EXTENSION,
  SIZE_LF,
  DATA,
  BEHIND_DATA,
  DATA_LF,
  TRAILER,
  FIELD,
  FIELD_LF,
  LAST_LF
} state_t;

alk_body_t alk_body(bool is_chunked, int64_t length)
{
  alk_body_t b = {.is_chunked = is_chunked};
  if (!is_chunked && length > 0) b.left = (uint64_t) length;
  b.done = !is_chunked && length <= 0;
  return b;
}

static int hex(uint8_t c)
{
  uint8_t lower = c | 0x20;
  if (c >= '0' && c <= '9') return c - '0';
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

static void go(alk_body_t *b, state_t state)
{
  b->state = (uint8_t) state;
}

static void go_if(alk_body_t *b, bool ok, state_t state)
{
  if (!ok) b->bad = b->done = true;
  go(b, state);
}

static void end_size(alk_body_t *b)
{
  b->is_last = b->left == 0;
  go(b, b->is_last ? TRAILER : DATA);
}

static void in_size(alk_body_t *b, uint8_t c)
{
  int digit = hex(c);
  if (digit >= 0 && b->state != EXTENSION) {
    go_if(b, b->left <= (INT64_MAX >> 4), SIZE);
    b->left = b->left * 16 + (unsigned) digit;
  } else if (b->state == FIRST) {
    go_if(b, false, FIRST);
  } else if (c == '\r') {
    go(b, SIZE_LF);
  } else if (c == '\n') {
    end_size(b);
  } else if (b->state == SIZE) {
    go_if(b, c == ';' || c == ' ' || c == '\t', EXTENSION);
  }
}

static void in_trailer(alk_body_t *b, uint8_t c)
{
  if (c == '\n' && b->state == TRAILER)
    b->done = true;
  else if (c == '\n')
    go(b, TRAILER);
  else if (c == '\r')
    go(b, b->state == TRAILER ? LAST_LF : FIELD_LF);
  else
    go(b, FIELD);
}

static void take_byte(alk_body_t *b, uint8_t c)
{
  switch ((state_t) b->state) {
  case FIRST:
  case SIZE:
  case EXTENSION:
    in_size(b, c);
    break;
  case SIZE_LF:
    go_if(b, c == '\n', SIZE_LF);
    if (!b->bad) end_size(b);
    break;
  case BEHIND_DATA:
    if (c == '\r')
      go(b, DATA_LF);
    else
      go_if(b, c == '\n', FIRST);
    break;
  case DATA_LF:
    go_if(b, c == '\n', FIRST);
    break;
  case TRAILER:
  case FIELD:
    in_trailer(b, c);
    break;
  case FIELD_LF:
    go_if(b, c == '\n', TRAILER);
    break;
  case LAST_LF:
  case DATA:
  default:
    go_if(b, c == '\n', LAST_LF);
    b->done = true;
  }
}

static size_t take_data(alk_body_t *b, size_t n)
{
  size_t used = b->left < n ? (size_t) b->left : n;
  b->left -= used;
  if (b->left == 0) {
    go(b, BEHIND_DATA);
    b->done = !b->is_chunked;
  }
  return used;
}

size_t alk_body_take(alk_body_t *b, const uint8_t *p, size_t n)
{
  size_t used = 0;
  while (used < n && !b->done)
    if (!b->is_chunked || b->state == DATA)
      used += take_data(b, n - used);
    else
      take_byte(b, p[used++]);
  return used;
}
