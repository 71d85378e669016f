/* tls_pair.h - a TLS client and a TLS server in one loop, over two fake streams
 * whose bytes a test carries: whole, in pieces, changed, or not at all. */
#ifndef ALK_TLS_PAIR_H
#define ALK_TLS_PAIR_H

#include "net/tls_impl.h"

#include "fake_stream.h"
#include "helpers.h"
#include "tls_certs.h"

enum { TURNS_ENOUGH = 200 * 1000 };

typedef struct {
  fake_t *f; /* beneath */
  rec_t r;   /* above */
  size_t moved;
  bool told_end;
} end_t;

typedef struct {
  env_t *e;
  identity_t ca, id;
  alk_tls_ctx_t *client_ctx, *server_ctx;
  end_t c, s;
  size_t step; /* bytes of a piece that is carried; 0: all there are */
} pair_t;

static inline alk_tls_ctx_t *new_server_ctx(const identity_t *id,
                                            const char *alpn)
{
  alk_err_t err;
  alk_tls_server_opts_t opts = {
    .cert = pem_of_certs(id, NULL), .key = pem_of_key(id, NULL), .alpn = alpn};
  alk_tls_ctx_t *ctx = alk_tls_server_ctx(&opts, &err);
  if (ctx == NULL) fail_msg("%s", err.msg);
  free_pem(&opts.cert);
  free_pem(&opts.key);
  return ctx;
}

static inline alk_tls_ctx_t *new_client_ctx(const identity_t *ca,
                                            const char *alpn)
{
  alk_err_t err;
  alk_tls_client_opts_t opts = {.insecure = ca == NULL, .alpn = alpn};
  if (ca != NULL) opts.ca = pem_of_certs(ca, NULL);
  alk_tls_ctx_t *ctx = alk_tls_client_ctx(&opts, &err);
  if (ctx == NULL) fail_msg("%s", err.msg);
  free_pem(&opts.ca);
  return ctx;
}

/* Both contexts; the server is a.example, *.b.example, 192.0.2.1 and ::1. */
static inline void pair_init(pair_t *p, env_t *e)
{
  *p = (pair_t){.e = e};
  p->ca = make_identity(NULL, &(wanted_t){.from = -1, .to = 2});
  p->id = make_identity(
    &p->ca,
    &(wanted_t){.names = "DNS:a.example,DNS:*.b.example,IP:192.0.2.1,IP:::1",
                .from = -1,
                .to = 1});
  p->client_ctx = new_client_ctx(&p->ca, NULL);
  p->server_ctx = new_server_ctx(&p->id, NULL);
}

/* A connection that has not begun. */
static inline void pair_connect(pair_t *p, const char *name)
{
  p->c = (end_t){.f = fake_stream_new(p->e->l)};
  p->s = (end_t){.f = fake_stream_new(p->e->l)};
  rec_own(&p->s.r, alk_tls_server(p->s.f->s, p->server_ctx));
  rec_own(&p->c.r, alk_tls_client(p->c.f->s, p->client_ctx, name));
}

static inline void carry(const pair_t *p, end_t *from, end_t *to)
{
  size_t len = from->f->sent - from->moved;
  if (p->step != 0 && len > p->step) len = p->step;
  if (len > 0) fake_feed(to->f, alk_buf_head(&from->f->out) + from->moved, len);
  from->moved += len;
  if (from->told_end || from->moved < from->f->sent) return;
  if (from->f->flushed)
    fake_feed_end(to->f);
  else if (from->f->closed)
    fake_fail(to->f, UV_ECONNRESET);
  from->told_end = from->f->flushed || from->f->closed;
}

static inline void pair_turn(pair_t *p)
{
  carry(p, &p->c, &p->s);
  carry(p, &p->s, &p->c);
  uv_run(&p->e->uv, UV_RUN_NOWAIT);
}

#define PAIR_UNTIL(p, cond)                              \
  do {                                                   \
    for (int n_ = 0; !(cond) && n_ < TURNS_ENOUGH; n_++) \
      pair_turn(p);                                      \
    assert_true(cond);                                   \
  } while (0)

static inline void pair_open(pair_t *p, const char *name)
{
  pair_connect(p, name);
  PAIR_UNTIL(p, p->c.r.opens + p->c.r.closes == 1 &&
                  p->s.r.opens + p->s.r.closes == 1);
  assert_string_equal(p->c.r.log, "o");
  assert_string_equal(p->s.r.log, "o");
}

/* Ends both sides in order. */
static inline void pair_finish(pair_t *p)
{
  end_t *ends[] = {&p->c, &p->s};
  for (int i = 0; i < 2; i++) {
    rec_t *r = &ends[i]->r;
    if (r->s == NULL) continue;
    QUIET(r, alk_stream_close(r->s));
  }
  PAIR_UNTIL(p, p->c.r.closes == 1 && p->s.r.closes == 1);
  for (int i = 0; i < 2; i++) {
    rec_free(&ends[i]->r);
    fake_free(ends[i]->f);
    *ends[i] = (end_t){0};
  }
}

static inline void pair_free(pair_t *p)
{
  if (p->c.f != NULL) pair_finish(p);
  alk_tls_ctx_free(p->client_ctx);
  alk_tls_ctx_free(p->server_ctx);
  free_identity(&p->ca);
  free_identity(&p->id);
}

#endif
