/* fuzz_http_head.c - the head of an answer to CONNECT, against a second parser
 * that reads it whole, and in arbitrary pieces; and the handshake over it.
 *
 * Input: one byte for the sizes of the pieces, then what the proxy says. */
#include <stdlib.h>
#include <string.h>

#include <uv.h>

#include "core/mem.h"

#include "proto/handshake.h"
#include "proto/http_codec.h"

#include "fake_stream.h"
#include "fuzz_next.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static alk_loop_t *loop;
static uv_loop_t uv;

/* the parser */

/* From memory of just that size, so that a byte read too many is seen. */
static size_t take(alk_http_head_t *h, const uint8_t *p, size_t n, uint8_t seed)
{
  size_t used = 0;
  uint32_t x = seed;
  while (used < n && h->result == ALK_HTTP_MORE) {
    size_t len = piece(&x, seed, n - used);
    uint8_t *copy = alk_memdup(p + used, len);
    size_t took = alk_http_head_take(h, copy, len);
    alk_free(copy);
    CHECK(took <= len);
    CHECK(took == len || h->result != ALK_HTTP_MORE);
    used += took;
  }
  return used;
}

static bool is_space_or_text(uint8_t c)
{
  return c == '\t' || c == ' ' || (c > ' ' && c != 0x7f);
}

/* One line without its CR LF, or false: a wrong character is in it. */
static bool is_line(const uint8_t *p, size_t n)
{
  for (size_t i = 0; i < n; i++)
    if (!is_space_or_text(p[i])) return false;
  return true;
}

static bool is_status_line(const uint8_t *p, size_t n, int *status)
{
  if (n < 12 || memcmp(p, "HTTP/1.", 7) != 0) return false;
  if ((p[7] != '0' && p[7] != '1') || p[8] != ' ') return false;
  for (int i = 9; i < 12; i++)
    if (p[i] < '0' || p[i] > '9') return false;
  *status = (p[9] - '0') * 100 + (p[10] - '0') * 10 + (p[11] - '0');
  return *status >= 100 && *status < 600 && (n == 12 || p[12] == ' ');
}

static bool is_field(const uint8_t *p, size_t n)
{
  const uint8_t *colon = memchr(p, ':', n);
  if (colon == NULL || colon == p) return false;
  for (; p < colon; p++)
    if (*p <= ' ' || *p >= 0x7f || strchr("\"(),/;<=>?@[\\]{}", *p) != NULL)
      return false;
  return true;
}

/* What a whole head comes to, slowly: the status, or 0 for none. *used is where
 * it ends. */
static int read_head(const uint8_t *p, size_t n, size_t *used)
{
  size_t at = 0;
  int status = 0;
  for (int line = 0;; line++) {
    const uint8_t *end = memmem(p + at, n - at, "\r\n", 2);
    if (end == NULL) return 0;
    size_t len = (size_t) (end - (p + at));
    const uint8_t *text = p + at;
    at += len + 2;
    if (!is_line(text, len)) return 0;
    if (line == 0) {
      if (!is_status_line(text, len, &status)) return 0;
    } else if (len == 0) {
      if (status == 101) return 0;
      if (status >= 200) break;
      line = -1;
    } else if (*text == ' ' || *text == '\t') {
      if (line == 1) return 0;
    } else if (!is_field(text, len)) {
      return 0;
    }
  }
  *used = at;
  return status;
}

static void check_text(const char *text, size_t cap)
{
  size_t len = strnlen(text, cap);
  CHECK(len < cap);
  for (size_t i = 0; i < len; i++)
    CHECK(text[i] >= ' ' && text[i] <= '~');
}

static alk_http_head_t fuzz_parser(const uint8_t *p, size_t n, uint8_t seed)
{
  alk_http_head_t all = {0}, cut = {0};
  size_t ends = 0;
  size_t used = take(&all, p, n, 0);
  CHECK(take(&cut, p, n, seed) == used && cut.result == all.result);
  CHECK(cut.status == all.status);
  CHECK(strcmp(cut.reason, all.reason) == 0);
  CHECK(strcmp(cut.schemes, all.schemes) == 0);
  check_text(all.reason, sizeof all.reason);
  check_text(all.schemes, sizeof all.schemes);
  CHECK(used <= ALK_HTTP_HEAD_MAX && used <= n);
  int status = read_head(p, n, &ends);
  if (all.result == ALK_HTTP_DONE)
    CHECK(status == all.status && used == ends);
  else
    CHECK(status == 0 || ends > ALK_HTTP_HEAD_MAX);
  if (all.result == ALK_HTTP_MORE) CHECK(used == n);
  if (all.result == ALK_HTTP_LONG) CHECK(used == ALK_HTTP_HEAD_MAX);
  return all;
}

/* the handshake */

typedef struct {
  fake_t *f;
  next_t next;
  int ends;
  alk_err_t err;
} talk_t;

static void on_open(void *data, alk_stream_t *s)
{
  talk_t *t = data;
  CHECK(t->ends++ == 0 && s == t->f->s && !t->f->resumed);
  next_own(&t->next, s);
}

static void on_closed(void *data, const alk_err_t *err)
{
  talk_t *t = data;
  CHECK(t->ends++ == 0 && err != NULL && err->code != ALK_OK);
  t->err = *err;
}

static const alk_proxy_events_t events = {.on_open = on_open,
                                          .on_close = on_closed};

static void hold(talk_t *t, const uint8_t *p, size_t n, uint8_t seed)
{
  static const alk_proxy_ask_t ask = {
    .host = "h", .port = 1, .limit_ms = 3600 * 1000};
  uint32_t x = seed;
  *t = (talk_t){.f = fake_stream_new(loop)};
  alk_proxy_http(t->f->s, &ask, &events, t);
  while (n > 0) {
    size_t len = piece(&x, seed, n);
    fake_feed(t->f, p, len);
    p += len;
    n -= len;
  }
  fake_feed_end(t->f);
  uv_run(&uv, UV_RUN_DEFAULT);
  CHECK(t->ends == 1);
  CHECK(alk_buf_size(&t->f->out) == strlen("CONNECT h:1 HTTP/1.1\r\n"
                                           "Host: h:1\r\n\r\n"));
  bool opened = t->next.s != NULL;
  if (opened) alk_stream_close(t->next.s);
  uv_run(&uv, UV_RUN_DEFAULT);
  CHECK(t->next.s == NULL && t->f->s == NULL && alk_loop_live(loop) == 0);
  fake_free(t->f);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
  static talk_t pieces, whole;
  if (loop == NULL) {
    CHECK(uv_loop_init(&uv) == 0);
    loop = alk_loop_new(&uv);
  }
  if (n < 1 || n > 10000) return 0;
  alk_http_head_t head = fuzz_parser(p + 1, n - 1, p[0]);
  hold(&pieces, p + 1, n - 1, p[0]);
  hold(&whole, p + 1, n - 1, 0);
  CHECK(pieces.err.code == whole.err.code);
  CHECK(pieces.err.reason == whole.err.reason);
  CHECK(next_is_equal(&pieces.next, &whole.next));
  bool yes = head.result == ALK_HTTP_DONE && head.status < 300;
  CHECK((whole.err.code == ALK_OK) == yes);
  CHECK(yes || whole.next.bytes == 0);
  return 0;
}
