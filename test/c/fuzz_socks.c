/* fuzz_socks.c - the SOCKS parsers, and the handshake fed in arbitrary pieces.
 *
 * Input: one byte of options, one for the sizes of the pieces, then what the
 * client says. The parsers see the latter whole and cut; the handshake sees it
 * twice, in pieces and at once, and must come to the same. */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include <uv.h>

#include "core/mem.h"

#include "proto/handshake.h"

#include "fake_stream.h"
#include "fuzz_next.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

enum { LIMIT_MS = 3600 * 1000 }; /* never */

enum {
  WITH_LOGIN = 1 << 0,
  REFUSE = 1 << 1,
  LATE = 1 << 2,  /* the answer comes later, not from inside on_request */
  HELD = 1 << 3,  /* writes leave only when asked to */
  RESET = 1 << 4, /* the client does not end: it dies */
  GIVE_UP = 1 << 5
};

static alk_loop_t *loop;
static uv_loop_t uv;

/* parsers */

typedef struct {
  bool offered;
  alk_socks_login_t login;
  alk_socks_request_t req;
} parsed_t;

static int parse(int which, const uint8_t *p, size_t n, parsed_t *out)
{
  switch (which) {
  case 0:
    return alk_socks5_parse_greeting(p, n, ALK_SOCKS_NONE, &out->offered);
  case 1:
    return alk_socks5_parse_login(p, n, &out->login);
  case 2:
    return alk_socks5_parse_request(p, n, &out->req);
  default:
    return alk_socks4_parse_request(p, n, &out->req);
  }
}

/* Parses from memory of just that size. */
static int parse_copy(int which, const uint8_t *p, size_t n, parsed_t *out)
{
  uint8_t *copy = alk_memdup(p, n);
  memset(out, 0, sizeof *out);
  int rc = parse(which, copy, n, out);
  alk_free(copy);
  CHECK(rc >= ALK_SOCKS_E_SYNTAX);
  CHECK(rc <= 0 || (size_t) rc <= n);
  CHECK(rc <= ALK_SOCKS_MAX);
  if (n >= ALK_SOCKS_MAX) CHECK(rc != 0);
  return rc;
}

static void check_request(const alk_socks_request_t *req, uint8_t version)
{
  size_t len = strnlen(req->host, sizeof req->host);
  CHECK(req->version == version);
  CHECK(len > 0 && len < sizeof req->host);
  for (size_t i = 0; i < len; i++)
    CHECK(req->host[i] > 0x20 && req->host[i] < 0x7f);
}

static void check_address(const uint8_t *p, const alk_socks_request_t *req)
{
  uint8_t ip[16];
  if (p[3] == 1) {
    CHECK(inet_pton(AF_INET, req->host, ip) == 1);
    CHECK(memcmp(ip, p + 4, 4) == 0);
  } else if (p[3] == 4) {
    CHECK(inet_pton(AF_INET6, req->host, ip) == 1);
    CHECK(memcmp(ip, p + 4, 16) == 0);
  } else {
    CHECK(strlen(req->host) == p[4]);
    CHECK(memcmp(req->host, p + 5, p[4]) == 0);
  }
}

/* The verdict over the whole is that over any part of it, or the part was too
 * short for one. */
static void fuzz_parser(int which, const uint8_t *p, size_t n)
{
  static parsed_t all, part;
  int rc = parse_copy(which, p, n, &all);
  if (rc > 0 && which >= 2) check_request(&all.req, which == 2 ? 5 : 4);
  if (rc > 0 && which == 2) check_address(p, &all.req);
  size_t max = n < ALK_SOCKS_MAX + 2 ? n : ALK_SOCKS_MAX + 2;
  bool settled = false;
  /* All of them where messages begin, then some: for speed. */
  for (size_t cut = 0; cut <= max; cut += cut < 24 ? 1 : 11) {
    int cut_rc = parse_copy(which, p, cut, &part);
    if (cut_rc == 0) {
      CHECK(!settled);
      continue;
    }
    settled = true;
    CHECK(cut_rc == rc);
    CHECK(rc < 0 || cut >= (size_t) rc);
    CHECK(memcmp(&part, &all, sizeof all) == 0);
  }
  if (rc > 0) CHECK(parse_copy(which, p, (size_t) rc - 1, &part) == 0);
  if (rc > 0) CHECK(parse_copy(which, p, (size_t) rc, &part) == rc);
}

/* handshake */

typedef struct {
  fake_t *f;
  alk_socks_t *h;
  uint8_t options;
  bool in_call;
  int requests, dones;
  alk_socks_request_t req;
  next_t next;
  bool failed;
} talk_t;

static void answer(talk_t *t)
{
  alk_stream_t *given = NULL;
  t->in_call = true;
  if (t->options & REFUSE)
    alk_socks_refuse(t->h, ALK_SOCKS_REFUSED);
  else
    given = alk_socks_grant(t->h);
  t->in_call = false;
  if (given == NULL) return;
  CHECK(given == t->f->s && !t->f->resumed && t->dones++ == 0);
  t->h = NULL;
  next_own(&t->next, given);
}

static void on_request(alk_socks_t *h, const alk_socks_request_t *req)
{
  talk_t *t = alk_socks_data(h);
  CHECK(!t->in_call && t->requests++ == 0 && t->dones == 0);
  CHECK(!t->f->resumed);
  check_request(req, req->version);
  CHECK(req->version == 5 || !(t->options & WITH_LOGIN));
  t->req = *req;
  if (!(t->options & LATE)) answer(t);
}

static void on_done(alk_socks_t *h, const alk_err_t *err)
{
  talk_t *t = alk_socks_data(h);
  CHECK(!t->in_call && t->dones++ == 0);
  t->h = NULL;
  t->failed = err != NULL;
}

static const alk_socks_events_t events = {
  .on_request = on_request,
  .on_done = on_done,
};

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

static void finish(talk_t *t)
{
  if (t->requests == 1 && t->h != NULL && t->options & LATE) {
    answer(t);
    settle();
  }
  fake_drain(t->f);
  settle();
  if (t->options & GIVE_UP && t->h != NULL)
    alk_socks_close(t->h);
  else if (t->options & RESET)
    fake_fail(t->f, UV_ECONNRESET);
  else
    fake_feed_end(t->f);
  settle();
  CHECK(t->dones == 1 && t->h == NULL);
  if (t->next.s != NULL) alk_stream_close(t->next.s);
  settle();
  CHECK(t->next.s == NULL && t->f->s == NULL);
}

static void hold(talk_t *t, uint8_t options, const uint8_t *p, size_t n,
                 uint8_t seed)
{
  bool login = (options & WITH_LOGIN) != 0;
  *t = (talk_t){.f = fake_stream_new(loop), .options = options};
  t->f->full = (options & HELD) != 0;
  t->h = alk_socks_accept(t->f->s, login ? "u" : NULL, login ? "p" : NULL,
                          LIMIT_MS, &events, t);
  feed(t, p, n, seed);
  finish(t);
  CHECK(alk_loop_live(loop) == 0);
}

/* What the client hears: a short run of messages of known lengths. */
static void check_out(const talk_t *t)
{
  const uint8_t *out = alk_buf_head(&t->f->out);
  size_t len = alk_buf_size(&t->f->out);
  CHECK(len <= 2 + 2 + 10);
  if (len > 0) CHECK(out[0] == 5 || out[0] == 0);
  if (t->requests == 1 && !(t->options & (GIVE_UP | RESET)))
    CHECK(len == (t->req.version == 4       ? 8u
                  : t->options & WITH_LOGIN ? 14
                                            : 12));
  if (t->f->ended) CHECK(t->f->sent == len);
  if (t->requests == 0) CHECK(t->failed && t->next.bytes == 0);
}

static void fuzz_handshake(uint8_t options, uint8_t seed, const uint8_t *p,
                           size_t n)
{
  static talk_t pieces, whole;
  hold(&pieces, options, p, n, seed);
  hold(&whole, options, p, n, 0);
  check_out(&pieces);
  check_out(&whole);
  CHECK(pieces.requests == whole.requests);
  CHECK(memcmp(&pieces.req, &whole.req, sizeof whole.req) == 0);
  CHECK(pieces.failed == whole.failed);
  CHECK(next_is_equal(&pieces.next, &whole.next));
  size_t len = alk_buf_size(&whole.f->out);
  CHECK(alk_buf_size(&pieces.f->out) == len);
  if (len > 0)
    CHECK(memcmp(alk_buf_head(&pieces.f->out), alk_buf_head(&whole.f->out),
                 len) == 0);
  fake_free(pieces.f);
  fake_free(whole.f);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
  if (loop == NULL) {
    CHECK(uv_loop_init(&uv) == 0);
    loop = alk_loop_new(&uv);
  }
  if (n < 2 || n > 4096) return 0;
  for (int which = 0; which < 4; which++)
    fuzz_parser(which, p + 2, n - 2);
  fuzz_handshake(p[0], p[1], p + 2, n - 2);
  return 0;
}
