/* visitor.c - a web server that has nothing, as nginx 1.22 is one.
 *
 *   HEAD -> a page -> [BODY ->] HEAD … as long as the client keeps asking
 *                  -> LAST [-> LINGER] -> closed
 *
 * A request that came with the one before is answered at once, the next ones
 * have idle_ms to begin and head_ms to be whole. The bytes of a body are
 * dropped: nginx has answered by then. The connection's last answer is
 * followed by the end of what we say; when the client had more to say, that is
 * still taken for a while, or its last answer might never reach it.
 *
 * A client that ends, or takes too long over a head, hears nothing more: not
 * even TLS says goodbye, as OpenSSL is told by nginx. One that does not
 * read its answers is not asked for more, and is gone after SEND_MS. */
#include "stealth/gate_impl.h"

enum {
  LINGER_MS = 5000, /* between two pieces of what is dropped */
  LINGER_ALL_MS = 30 * 1000,
  SEND_MS = 60 * 1000, /* for an answer to leave */
  REQUESTS_MAX = 1000  /* of one connection */
};

static uint64_t now(const alk_gate_t *g)
{
  return uv_now(alk_loop_uv(alk_stream_loop(g->s)));
}

/* ---- what is dropped */

/* Anew for each piece, and all of it within its own time. */
static void limit_dropping(alk_gate_t *g)
{
  uint64_t at = now(g);
  uint64_t left = g->until > at ? g->until - at : 1;
  gate_limit(g, left < LINGER_MS ? (unsigned) left : LINGER_MS);
}

static void begin_dropping(alk_gate_t *g, gate_state_t state)
{
  g->state = state;
  g->until = now(g) + LINGER_ALL_MS;
  limit_dropping(g);
}

/* ---- answers */

static unsigned page_of(const alk_gate_t *g)
{
  if (g->is_plain && g->head.passed) return ALK_PAGE_PLAIN;
  if (g->head.page == ALK_PAGE_SITE) return g->page;
  return g->head.page;
}

static bool may_stay(const alk_gate_t *g, unsigned page)
{
  return g->head.keeps && !g->body.bad && g->requests < REQUESTS_MAX &&
         page != ALK_PAGE_PLAIN && page != ALK_PAGE_BODY_TOO_LARGE;
}

static void note(alk_gate_t *g, unsigned page)
{
  if (page == ALK_PAGE_LINE_TOO_LONG || page == ALK_PAGE_HEAD_TOO_LARGE)
    g->outcome = ALK_GATE_TOO_LONG;
  else if (g->is_plain)
    g->outcome = ALK_GATE_PLAIN;
  else if (g->head.passed)
    g->outcome = ALK_GATE_SERVED;
  else
    g->outcome = ALK_GATE_BAD;
}

/* False: it was the last. */
static bool answer(alk_gate_t *g)
{
  alk_buf_t out = {0};
  unsigned number = page_of(g);
  bool stays = may_stay(g, number);
  alk_page_t page = {
    .page = number,
    .server = g->server,
    .now = time(NULL),
    .is_bare = g->head.is_bare,
    .is_head = g->head.is_head,
    .is_padded = g->head.is_padded,
    .keeps = stays,
  };
  note(g, number);
  alk_page_put(&out, &page);
  if (!alk_stream_write(g->s, (const char *) alk_buf_head(&out),
                        alk_buf_size(&out)))
    g->is_full = true;
  alk_buf_free(&out);
  return stays;
}

/* All is said. rest: how much more has come. */
static void finish(alk_gate_t *g, size_t rest)
{
  if (rest > 0 || g->head.is_broken || g->head.page == ALK_PAGE_LINE_TOO_LONG ||
      g->head.page == ALK_PAGE_HEAD_TOO_LARGE)
    g->lingers = !g->has_ended;
  gate_end(g);
}

static void next_request(alk_gate_t *g, size_t rest)
{
  alk_head_next(&g->head, rest > 0);
  if (g->has_ended) {
    gate_hang_up(g);
    return;
  }
  g->state = G_HEAD;
  g->is_idle = true;
  gate_limit(g, g->idle_ms);
}

/* A head is whole. Returns how many of the bytes behind it were its body's. */
static size_t respond(alk_gate_t *g, const uint8_t *p, size_t n)
{
  bool has_body = g->head.passed || g->head.page == ALK_PAGE_NOT_ALLOWED;
  g->requests++;
  g->body =
    alk_body(has_body && g->head.is_chunked, has_body ? g->head.length : 0);
  size_t used = alk_body_take(&g->body, p, n);
  bool stays = answer(g);
  if (!g->body.done && !g->has_ended)
    begin_dropping(g, G_BODY);
  else if (stays)
    next_request(g, n - used);
  else
    finish(g, n - used);
  return used;
}

static size_t take_head(alk_gate_t *g, const uint8_t *p, size_t n)
{
  size_t used = alk_head_take(&g->head, p, n);
  /* The first head has the time that is left of the handshake's. */
  if (g->is_idle && g->requests > 0) gate_limit(g, g->head_ms);
  g->is_idle = false;
  if (g->head.done) used += respond(g, p + used, n - used);
  return used;
}

static size_t take_body(alk_gate_t *g, const uint8_t *p, size_t n)
{
  size_t used = alk_body_take(&g->body, p, n);
  if (g->body.bad)
    gate_hang_up(g);
  else if (!g->body.done)
    limit_dropping(g);
  else if (may_stay(g, page_of(g)))
    next_request(g, n - used);
  else
    finish(g, n - used);
  return used;
}

void visitor_data(alk_gate_t *g, const uint8_t *p, size_t n)
{
  while (n > 0 && (g->state == G_HEAD || g->state == G_BODY)) {
    if (g->is_full && g->state == G_HEAD) {
      /* It asks, and does not listen: the rest can wait. */
      alk_stream_pause(g->s);
      alk_stream_unread(g->s, (const char *) p, n);
      gate_limit(g, SEND_MS);
      return;
    }
    size_t used = g->state == G_HEAD ? take_head(g, p, n) : take_body(g, p, n);
    p += used;
    n -= used;
  }
  if (n > 0 && g->state == G_LINGER) limit_dropping(g);
}

void visitor_begin(alk_gate_t *g)
{
  g->state = G_HEAD;
  g->is_idle = true;
  g->outcome = ALK_GATE_BAD;
}

void visitor_end(alk_gate_t *g)
{
  g->has_ended = true;
  if (g->state == G_HEAD || g->state == G_BODY) {
    gate_hang_up(g);
  } else if (g->state == G_LINGER) {
    g->state = G_OVER;
    alk_stream_close(g->s);
  }
}

void visitor_drain(alk_gate_t *g)
{
  g->is_full = false;
  if (g->state == G_HEAD) {
    gate_limit(g, g->is_idle ? g->idle_ms : g->head_ms);
    alk_stream_resume(g->s);
  } else if (g->state == G_LAST && g->lingers && !g->has_ended) {
    begin_dropping(g, G_LINGER);
  } else if (g->state == G_LAST) {
    g->state = G_OVER;
    alk_stream_close(g->s);
  }
}

void visitor_late(alk_gate_t *g)
{
  if (g->state == G_HEAD && g->is_idle && !g->is_full) {
    if (g->requests == 0) g->outcome = ALK_GATE_LATE;
    gate_end(g);
  } else if (g->state == G_LINGER) {
    g->state = G_OVER;
    alk_stream_close(g->s);
  } else {
    if (g->state == G_HEAD) g->outcome = ALK_GATE_LATE;
    gate_hang_up(g);
  }
}
