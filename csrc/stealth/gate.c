/* gate.c - from the first byte to the one who is to have the connection.
 *
 *   PEEK -> SECURE -> FIRST -> ASKED -> alk_gate_take(): somebody else's
 *     \ no TLS            \          -> alk_gate_relay(): SITE
 *      \-------------------\---------> visitor.c
 *
 * All of it has one time limit, as nginx has: from the connection to the whole
 * head of the first request. */
#include "stealth/gate.h"

#include <string.h>

#include "core/mem.h"

#include "stealth/gate_impl.h"

enum {
  END_MS = 60 * 1000,   /* for the last bytes to leave */
  FAREWELL_MS = 1000,   /* the same of who is sent away */
  SITE_LINGER_MS = 5000 /* for a visitor to end, once the site has */
};

const char *alk_gate_outcome_name(alk_gate_outcome_t outcome)
{
  static const char *const names[ALK_GATE_OUTCOMES] = {
    [ALK_GATE_SILENT] = "silent", [ALK_GATE_TLS] = "tls",
    [ALK_GATE_LATE] = "late",     [ALK_GATE_PLAIN] = "plain",
    [ALK_GATE_BAD] = "bad",       [ALK_GATE_TOO_LONG] = "too_long",
    [ALK_GATE_SERVED] = "served", [ALK_GATE_SITE] = "site",
  };
  return names[outcome];
}

void gate_limit(alk_gate_t *g, unsigned ms)
{
  alk_limit_start(alk_stream_loop(g->s), &g->limit, ms);
}

void gate_end(alk_gate_t *g)
{
  g->state = G_LAST;
  gate_limit(g, END_MS);
  alk_stream_resume(g->s);
  alk_stream_end(g->s);
}

void gate_hang_up(alk_gate_t *g)
{
  if (!g->is_secure) {
    gate_end(g);
    return;
  }
  g->state = G_OVER;
  alk_tls_hang_up(g->s);
}

static void free_gate(alk_gate_t *g)
{
  alk_tls_ctx_free(g->tls);
  alk_head_free(&g->head);
  alk_buf_free_secret(&g->first);
  alk_free_secret(g->secret, g->secret_len);
  alk_free_secret(g, sizeof *g);
}

/* ---- who is it */

static void own(alk_gate_t *g, alk_stream_t *s);

static void secure(alk_gate_t *g)
{
  g->state = G_SECURE;
  g->outcome = ALK_GATE_TLS;
  g->is_secure = true;
  own(g, alk_tls_server(g->s, g->tls));
}

static void peek(alk_gate_t *g, const uint8_t *p, size_t n)
{
  if (alk_first_is_tls(p[0])) {
    alk_stream_pause(g->s);
    alk_stream_unread(g->s, (const char *) p, n);
    secure(g);
    return;
  }
  g->is_plain = true;
  visitor_begin(g);
  visitor_data(g, p, n);
}

/* Nobody speaks until the owner has said what becomes of it. */
static void ask(alk_gate_t *g, void (*event)(void *data))
{
  g->state = G_ASKED;
  alk_limit_stop(alk_stream_loop(g->s), &g->limit);
  event(g->data);
}

/* What has come is read once more, by whoever is next. */
static void put_back(alk_gate_t *g, const uint8_t *p, size_t n, size_t used)
{
  alk_stream_pause(g->s);
  alk_stream_unread(g->s, (const char *) p, n);
  alk_stream_unread(g->s, (const char *) alk_buf_head(&g->first) + used,
                    alk_buf_size(&g->first) - used);
  alk_buf_free_secret(&g->first);
}

static void meet(alk_gate_t *g, const uint8_t *p, size_t n)
{
  size_t used, room = ALK_FIRST_MAX - alk_buf_size(&g->first);
  size_t take = n < room ? n : room;
  alk_buf_add(&g->first, p, take);
  alk_first_t who =
    alk_first_look(alk_buf_head(&g->first), alk_buf_size(&g->first),
                   g->has_secret ? g->token.text : NULL, &used);
  if (who == ALK_FIRST_MORE) return;
  put_back(g, p + take, n - take, used);
  if (who != ALK_FIRST_OTHER) {
    ask(g, g->ev->on_ssh);
  } else if (g->has_site) {
    ask(g, g->ev->on_visitor);
  } else {
    visitor_begin(g);
    alk_stream_resume(g->s);
  }
}

static void on_open(alk_stream_t *s)
{
  alk_gate_t *g = alk_stream_data(s);
  if (g->state != G_SECURE) return;
  g->state = G_FIRST;
  g->outcome = ALK_GATE_SILENT;
  /* When it cannot be made, what stands there is no text that could come. */
  if (g->has_secret)
    (void) alk_token_make(s, g->secret, g->secret_len, &g->token);
}

static void on_data(alk_stream_t *s, const char *buf, size_t len)
{
  alk_gate_t *g = alk_stream_data(s);
  const uint8_t *p = (const uint8_t *) buf;
  if (g->state == G_PEEK)
    peek(g, p, len);
  else if (g->state == G_FIRST)
    meet(g, p, len);
  else
    visitor_data(g, p, len);
}

static void on_end(alk_stream_t *s)
{
  alk_gate_t *g = alk_stream_data(s);
  if (g->state == G_PEEK || g->state == G_FIRST) {
    g->has_ended = true;
    gate_hang_up(g);
  } else {
    visitor_end(g);
  }
}

static void on_drain(alk_stream_t *s)
{
  visitor_drain(alk_stream_data(s));
}

static void on_close(alk_stream_t *s, const alk_err_t *err)
{
  alk_gate_t *g = alk_stream_data(s);
  alk_limit_stop(alk_stream_loop(s), &g->limit);
  g->state = G_OVER;
  g->ev->on_close(g->data, g->outcome, err);
  free_gate(g);
}

static void on_late(alk_limit_t *limit)
{
  alk_gate_t *g =
    (alk_gate_t *) (void *) ((char *) limit - offsetof(alk_gate_t, limit));
  switch (g->state) {
  case G_PEEK:
    gate_end(g);
    break;
  case G_SECURE:
    g->outcome = ALK_GATE_LATE;
    gate_hang_up(g);
    break;
  case G_FIRST:
    if (alk_buf_size(&g->first) > 0) {
      g->outcome = ALK_GATE_LATE;
      gate_hang_up(g);
    } else {
      gate_end(g);
    }
    break;
  case G_LAST:
  case G_OVER:
    alk_stream_close(g->s);
    break;
  default:
    visitor_late(g);
  }
}

static const alk_owner_t owner = {
  .on_open = on_open,
  .on_data = on_data,
  .on_end = on_end,
  .on_drain = on_drain,
  .on_close = on_close,
};

static void own(alk_gate_t *g, alk_stream_t *s)
{
  g->s = s;
  alk_stream_own(s, &owner, g);
  alk_stream_resume(s);
}

alk_gate_t *alk_gate(alk_stream_t *s, const alk_gate_opts_t *opts,
                     const alk_gate_events_t *ev, void *data)
{
  alk_gate_t *g = alk_alloc(sizeof *g);
  g->ev = ev;
  g->data = data;
  g->tls = alk_tls_ctx_hold(opts->tls);
  g->has_secret = opts->secret_len > 0;
  g->secret_len = opts->secret_len;
  g->secret = alk_memdup(opts->secret, opts->secret_len);
  g->has_site = opts->has_site;
  g->head_ms = opts->head_ms;
  g->idle_ms = opts->idle_ms;
  g->page = 404;
  size_t len = strnlen(opts->server, ALK_PAGE_SERVER_MAX);
  memcpy(g->server, opts->server, len);
  g->limit.late = on_late;
  own(g, s);
  gate_limit(g, g->head_ms);
  return g;
}

/* ---- the owner's answers */

alk_stream_t *alk_gate_take(alk_gate_t *g)
{
  alk_stream_t *s = g->s;
  if (g->state != G_ASKED || !alk_stream_is_open(s)) return NULL;
  alk_stream_own(s, NULL, NULL);
  free_gate(g);
  return s;
}

void alk_gate_serve(alk_gate_t *g, unsigned page)
{
  if (g->state != G_ASKED || !alk_stream_is_open(g->s)) return;
  g->page = page;
  visitor_begin(g);
  gate_limit(g, g->head_ms);
  alk_stream_resume(g->s);
}

static void on_relayed(const alk_err_t *err, uint64_t a_to_b, uint64_t b_to_a,
                       void *data)
{
  alk_gate_t *g = data;
  (void) a_to_b;
  (void) b_to_a;
  g->state = G_OVER;
  g->relay = NULL;
  g->ev->on_close(g->data, g->outcome, err);
  free_gate(g);
}

void alk_gate_relay(alk_gate_t *g, alk_stream_t *site)
{
  if (g->state != G_ASKED || !alk_stream_is_open(g->s)) {
    alk_stream_own(site, NULL, NULL);
    alk_stream_close(site);
    return;
  }
  g->state = G_SITE;
  g->outcome = ALK_GATE_SITE;
  g->relay = alk_relay(g->s, site, on_relayed, g);
  alk_relay_linger(g->relay, SITE_LINGER_MS);
  g->s = NULL;
}

/* Whether nginx has nothing to do for it but wait. */
static bool is_waited_for(const alk_gate_t *g)
{
  return (g->state == G_FIRST && alk_buf_size(&g->first) == 0) ||
         (g->state == G_HEAD && g->is_idle && !g->is_full);
}

void alk_gate_close(alk_gate_t *g)
{
  if (g->relay != NULL) {
    alk_relay_finish(g->relay, FAREWELL_MS);
    return;
  }
  g->lingers = false;
  if (g->state == G_LINGER) {
    g->state = G_OVER;
    alk_stream_close(g->s);
  } else if (is_waited_for(g)) {
    gate_end(g);
  } else if (g->state != G_LAST && g->state != G_OVER) {
    gate_hang_up(g);
  }
  if (g->state == G_LAST) gate_limit(g, FAREWELL_MS);
}

void alk_gate_drop(alk_gate_t *g)
{
  if (g->relay != NULL) {
    alk_relay_close(g->relay);
    return;
  }
  g->state = G_OVER;
  alk_tls_drop(g->s);
}
