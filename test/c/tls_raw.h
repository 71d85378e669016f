/* tls_raw.h - a peer of a TLS stream that is OpenSSL alone: it does what ours
 * would not. */
#ifndef ALK_TLS_RAW_H
#define ALK_TLS_RAW_H

#include "tls_pair.h"

typedef struct {
  SSL *ssl;
  BIO *in, *out; /* ssl's */
  end_t *far;    /* the stream that it talks to: p->c or p->s */
} raw_t;

/* What the stream has said goes to the peer. */
static inline void raw_hear(raw_t *raw)
{
  end_t *far = raw->far;
  size_t n = far->f->sent - far->moved;
  if (n > 0)
    BIO_write(raw->in, alk_buf_head(&far->f->out) + far->moved, (int) n);
  far->moved += n;
}

/* The same, and what the peer has said goes to the stream. */
static inline void raw_carry(pair_t *p, raw_t *raw)
{
  char buf[4096];
  int len;
  raw_hear(raw);
  while ((len = BIO_read(raw->out, buf, sizeof buf)) > 0)
    fake_feed(raw->far->f, buf, (size_t) len);
  uv_run(&p->e->uv, UV_RUN_NOWAIT);
}

static inline void raw_init(pair_t *p, raw_t *raw, SSL_CTX *take, end_t *far)
{
  raw->ssl = SSL_new(take);
  SSL_CTX_free(take);
  raw->in = BIO_new(BIO_s_mem());
  raw->out = BIO_new(BIO_s_mem());
  SSL_set_bio(raw->ssl, raw->in, raw->out);
  raw->far = far;
  *far = (end_t){.f = fake_stream_new(p->e->l)};
}

static inline void raw_shake(pair_t *p, raw_t *raw)
{
  for (int i = 0; i < 50 && raw->far->r.opens == 0; i++) {
    (void) SSL_do_handshake(raw->ssl);
    raw_carry(p, raw);
  }
  assert_int_equal(raw->far->r.opens, 1);
}

/* A client of the context, which is taken, and our server: both are open. */
static inline void raw_to_server(pair_t *p, raw_t *raw, SSL_CTX *take)
{
  raw_init(p, raw, take, &p->s);
  SSL_set_connect_state(raw->ssl);
  rec_own(&p->s.r, alk_tls_server(p->s.f->s, p->server_ctx));
  raw_shake(p, raw);
}

/* A server of the context, which is taken, and our client. */
static inline void raw_to_client(pair_t *p, raw_t *raw, SSL_CTX *take)
{
  raw_init(p, raw, take, &p->c);
  SSL_set_accept_state(raw->ssl);
  rec_own(&p->c.r, alk_tls_client(p->c.f->s, p->client_ctx, "a.example"));
  raw_shake(p, raw);
  raw_hear(raw);
  assert_int_equal(SSL_do_handshake(raw->ssl), 1); /* the client's last word */
}

static inline void raw_finish(pair_t *p, raw_t *raw)
{
  end_t *far = raw->far;
  if (far->r.s != NULL) QUIET(&far->r, alk_stream_close(far->r.s));
  RUN_UNTIL(p->e, far->r.closes == 1);
  SSL_free(raw->ssl);
  rec_free(&far->r);
  fake_free(far->f);
  *far = (end_t){0};
  pair_free(p);
}

#endif
