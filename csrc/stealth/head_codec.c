/* head_codec.c - a request's head, one byte after the other, as nginx 1.22.
 *
 * A byte that may not stand where it stands is a page at once; what a line
 * means is looked at when it is whole, and the request when its head is. The
 * lines are request_line_codec.c's and header_codec.c's; here are the whole,
 * and nginx's buffers. */
#include "stealth/head_codec.h"

#include "stealth/head_state_codec.h"

/* The fields contradict the version, or one another. */
static bool contradicts(const alk_head_t *h, bool is_new)
{
  bool has_length = head_has(h, LENGTH_BIT);
  if (!h->is_bare && is_new && !head_has(h, HOST_BIT)) return true;
  if (has_length && h->length < 0) return true;
  if (h->is_coded && !is_new) return true;
  return h->is_chunked && has_length;
}

static void pass(alk_head_t *h, bool is_new)
{
  h->passed = true;
  h->keeps = h->connection == KEEP_ALIVE ||
             (h->connection == UNSAID && is_new && !h->is_bare);
  if (h->is_old_explorer && h->method == POST) h->keeps = false;
  if (h->length > ALK_HEAD_BODY_MAX) {
    h->keeps = false;
    head_over(h, ALK_PAGE_BODY_TOO_LARGE);
  } else {
    head_over(h, h->method == OTHER ? ALK_PAGE_NOT_ALLOWED : ALK_PAGE_SITE);
  }
}

void head_decide(alk_head_t *h)
{
  bool is_new = h->major == 1 && h->minor > 0;
  if (!head_has(h, LENGTH_BIT)) h->length = -1;
  if (contradicts(h, is_new))
    head_refuse(h);
  else if (h->is_coded && !h->is_chunked)
    head_over(h, ALK_PAGE_NOT_IMPLEMENTED);
  else if (h->method == TRACE || h->method == CONNECT)
    head_over(h, ALK_PAGE_NOT_ALLOWED);
  else
    pass(h, is_new);
}

/* Whether nothing of a line is there yet. */
static bool is_between(const alk_head_t *h)
{
  return h->state == START || h->state == LINE;
}

/* The buffer is full and the head is not whole: the line goes on in the next
 * one, if there is one and it is not longer than that. */
static void fill_up(alk_head_t *h)
{
  if (h->state == START) {
    h->used = h->token = 0; /* of empty lines there may be any number */
    return;
  }
  bool in_request = h->state < LINE;
  uint32_t len = is_between(h) ? 0 : h->used - h->token;
  if (len >= ALK_HEAD_LARGE_BUF || h->large == ALK_HEAD_LARGE_BUFS) {
    head_over(h, in_request ? ALK_PAGE_LINE_TOO_LONG : ALK_PAGE_HEAD_TOO_LARGE);
    return;
  }
  h->large++;
  h->cap = ALK_HEAD_LARGE_BUF;
  h->used = len;
  h->token = 0;
}

static void take_byte(alk_head_t *h, uint8_t c)
{
  if (is_between(h)) {
    alk_buf_consume(&h->line, alk_buf_size(&h->line));
    h->token = h->used;
  }
  h->used++;
  if (h->state == START && (c == '\r' || c == '\n')) return;
  alk_buf_u8(&h->line, c);
  if (h->state < LINE)
    head_in_request_line(h, c);
  else
    head_in_fields(h, c);
}

size_t alk_head_take(alk_head_t *h, const uint8_t *p, size_t n)
{
  size_t used = 0;
  if (h->cap == 0) h->cap = ALK_HEAD_BUF;
  while (used < n && !h->done) {
    take_byte(h, p[used++]);
    if (!h->done && h->used == h->cap) fill_up(h);
  }
  return used;
}

void alk_head_next(alk_head_t *h, bool has_more)
{
  uint32_t cap = h->cap, used = h->used;
  alk_head_free(h);
  if (!has_more || used == cap) return;
  h->cap = cap;
  h->used = h->token = used;
  h->large = cap == ALK_HEAD_LARGE_BUF ? 1 : 0;
}

void alk_head_free(alk_head_t *h)
{
  alk_buf_free(&h->line);
  *h = (alk_head_t){0};
}
