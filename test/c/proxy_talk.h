/* proxy_talk.h - what the tests of the proxies' client side share. */
#ifndef ALK_TEST_PROXY_TALK_H
#define ALK_TEST_PROXY_TALK_H

#include "proto/handshake.h"

#include "fake_stream.h"
#include "helpers.h"

#define YES5 "\x05\x00\x00\x01\x7f\0\0\x01\x12\x34"
#define CONNECT                          \
  "CONNECT example.com:443 HTTP/1.1\r\n" \
  "Host: example.com:443\r\n"
#define YES "HTTP/1.1 200 Connection established\r\n\r\n"

typedef alk_proxy_t *(*asker_t)(alk_stream_t *s, const alk_proxy_ask_t *ask,
                                const alk_proxy_events_t *ev, void *data);

/* One conversation, and what it has come to. */
typedef struct {
  env_t *e;
  fake_t *f;
  alk_proxy_t *h; /* NULL: over */
  int opens, closes;
  alk_stream_t *given;
  alk_err_t err;
  bool in_call; /* law 1 */
  bool close_given;
} talk_t;

#include "handshake_talk.h"

static inline void on_open(void *data, alk_stream_t *s)
{
  talk_t *t = data;
  assert_false(t->in_call);
  assert_int_equal(t->opens++ + t->closes, 0);
  assert_ptr_equal(s, t->f->s);
  assert_true(alk_stream_is_open(s));
  assert_false(t->f->resumed);
  assert_null(alk_stream_data(s)); /* nobody's */
  t->h = NULL;
  t->given = s;
  if (t->close_given) alk_stream_close(s);
}

static inline void on_closed(void *data, const alk_err_t *err)
{
  talk_t *t = data;
  assert_false(t->in_call);
  assert_int_equal(t->opens + t->closes++, 0);
  assert_non_null(err);
  t->h = NULL;
  t->err = *err;
}

static const alk_proxy_events_t events = {
  .on_open = on_open,
  .on_close = on_closed,
};

static inline void ask(talk_t *t, env_t *e, asker_t asker,
                       const alk_proxy_ask_t *what)
{
  *t = (talk_t){.e = e, .f = fake_stream_new(e->l)};
  CALL(t, t->h = asker(t->f->s, what, &events, t));
}

static inline void ask_socks(talk_t *t, env_t *e, const char *login)
{
  const alk_proxy_ask_t what = {.host = "example.com",
                                .port = 443,
                                .user = login,
                                .password = login == NULL ? NULL : "secret",
                                .limit_ms = LIMIT_MS};
  ask(t, e, alk_proxy_socks5, &what);
}

static inline void ask_http(talk_t *t, env_t *e, const char *authorization)
{
  const alk_proxy_ask_t what = {.host = "example.com",
                                .port = 443,
                                .authorization = authorization,
                                .limit_ms = LIMIT_MS};
  ask(t, e, alk_proxy_http, &what);
}

static inline void talk_free(talk_t *t)
{
  assert_int_equal(t->opens + t->closes, 1);
  talk_over(t);
}

static inline void finish_open(talk_t *t, const char *early)
{
  assert_int_equal(t->opens, 1);
  assert_works(t, early);
  talk_free(t);
}

/* It failed with that, and neither target nor password are in the sentence. */
static inline void finish_failed(talk_t *t, alk_code_t code, int reason)
{
  assert_int_equal(t->closes, 1);
  assert_true(t->f->closed);
  assert_int_equal(t->err.code, code);
  assert_int_equal(t->err.reason, reason);
  assert_true(t->err.msg[0] != '\0');
  assert_null(strstr(t->err.msg, "example"));
  assert_null(strstr(t->err.msg, "secret"));
  talk_free(t);
}

#endif
