/* fuzz_proxy_socks.c - the client's side of SOCKS5, fed in arbitrary pieces.
 *
 * Input: one byte of options, one for the sizes of the pieces, then what the
 * proxy says. The handshake sees it twice, in pieces and at once, and must come
 * to the same; the parsers see it cut at every byte. */
#include <stdlib.h>
#include <string.h>

#include <uv.h>

#include "core/mem.h"

#include "proto/handshake.h"
#include "proto/socks_client_codec.h"

#include "fake_stream.h"
#include "fuzz_next.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

enum { WITH_LOGIN = 1 << 0, GIVE_UP = 1 << 1, RESET = 1 << 2 };

static alk_loop_t *loop;
static uv_loop_t uv;

static int parse(int which, const uint8_t *p, size_t n, uint8_t *said)
{
  uint8_t *copy = alk_memdup(p, n);
  int rc = which == 0   ? alk_socks5_parse_method(copy, n, said)
           : which == 1 ? alk_socks5_parse_status(copy, n, said)
                        : alk_socks5_parse_reply(copy, n, said);
  alk_free(copy);
  CHECK(rc >= ALK_SOCKS_E_SYNTAX && rc <= (int) n);
  CHECK(rc <= ALK_SOCKS_ANSWER_MAX && (n < ALK_SOCKS_ANSWER_MAX || rc != 0));
  return rc;
}

/* The verdict over a part is that over the whole, or the part is too short. */
static void fuzz_parser(int which, const uint8_t *p, size_t n)
{
  uint8_t all = 0, part = 0;
  int rc = parse(which, p, n, &all);
  size_t max = n < ALK_SOCKS_ANSWER_MAX + 1 ? n : ALK_SOCKS_ANSWER_MAX + 1;
  bool settled = false;
  for (size_t cut = 0; cut <= max; cut++) {
    int cut_rc = parse(which, p, cut, &part);
    CHECK(cut_rc != 0 || !settled);
    settled = settled || cut_rc != 0;
    CHECK(cut_rc == 0 || (cut_rc == rc && part == all));
  }
  if (rc > 0) CHECK(parse(which, p, (size_t) rc - 1, &part) == 0);
}

typedef struct {
  fake_t *f;
  alk_proxy_t *h;
  next_t next;
  int ends;
  alk_err_t err;
  size_t said; /* bytes to the proxy */
} talk_t;

static void on_open(void *data, alk_stream_t *s)
{
  talk_t *t = data;
  CHECK(t->ends++ == 0 && s == t->f->s && !t->f->resumed);
  t->h = NULL;
  next_own(&t->next, s);
}

static void on_closed(void *data, const alk_err_t *err)
{
  talk_t *t = data;
  CHECK(t->ends++ == 0 && err != NULL && err->code != ALK_OK);
  t->h = NULL;
  t->err = *err;
}

static const alk_proxy_events_t events = {.on_open = on_open,
                                          .on_close = on_closed};

static void settle(void)
{
  uv_run(&uv, UV_RUN_DEFAULT);
}

static void feed(talk_t *t, const uint8_t *p, size_t n, uint8_t seed)
{
  uint32_t x = seed;
  while (n > 0) {
    size_t len = piece(&x, seed, n);
    fake_feed(t->f, p, len);
    p += len;
    n -= len;
    if (seed % 3 == 1) settle();
  }
  settle();
}

static void hold(talk_t *t, uint8_t options, const uint8_t *p, size_t n,
                 uint8_t seed)
{
  bool login = (options & WITH_LOGIN) != 0;
  const alk_proxy_ask_t ask = {.host = "host",
                               .port = 1,
                               .user = login ? "u" : NULL,
                               .password = login ? "p" : NULL,
                               .limit_ms = 3600 * 1000};
  *t = (talk_t){.f = fake_stream_new(loop)};
  t->h = alk_proxy_socks5(t->f->s, &ask, &events, t);
  feed(t, p, n, seed);
  if (options & GIVE_UP && t->h != NULL)
    alk_proxy_close(t->h);
  else if (options & RESET)
    fake_fail(t->f, UV_ECONNRESET);
  else
    fake_feed_end(t->f);
  settle();
  CHECK(t->ends == 1 && t->h == NULL);
  if (t->next.s != NULL) alk_stream_close(t->next.s);
  settle();
  CHECK(t->next.s == NULL && t->f->s == NULL && alk_loop_live(loop) == 0);
  t->said = alk_buf_size(&t->f->out);
  CHECK(t->said <= 4 + 5 + 11);
  fake_free(t->f);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
  static talk_t pieces, whole;
  if (loop == NULL) {
    CHECK(uv_loop_init(&uv) == 0);
    loop = alk_loop_new(&uv);
  }
  if (n < 2 || n > 2048) return 0;
  for (int which = 0; which < 3; which++)
    fuzz_parser(which, p + 2, n - 2);
  hold(&pieces, p[0], p + 2, n - 2, p[1]);
  hold(&whole, p[0], p + 2, n - 2, 0);
  CHECK(pieces.err.code == whole.err.code);
  CHECK(pieces.err.reason == whole.err.reason);
  CHECK(pieces.said == whole.said);
  CHECK(next_is_equal(&pieces.next, &whole.next));
  return 0;
}
