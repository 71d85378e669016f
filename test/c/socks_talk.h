/* socks_talk.h - what the tests of the SOCKS handshake share. */
#ifndef ALK_TEST_SOCKS_TALK_H
#define ALK_TEST_SOCKS_TALK_H

#include "proto/handshake.h"

#include "fake_stream.h"
#include "helpers.h"

#define ASK4A    "\x04\x01\x01\xbb\0\0\0\x01me\0example.com\0"
#define OK5      "\x05\x00\x00\x01\0\0\0\0\0\0"
#define NO5(rep) "\x05" rep "\x00\x01\0\0\0\0\0\0"
#define OK4      "\0\x5a\0\0\0\0\0\0"
#define NO4      "\0\x5b\0\0\0\0\0\0"

/* One conversation, and what it has come to. */
typedef struct {
  env_t *e;
  fake_t *f;
  alk_socks_t *h; /* NULL: done */
  int requests, dones;
  alk_socks_request_t req;
  alk_stream_t *given;
  bool failed;
  alk_err_t err;
  bool in_call; /* law 1 */
  void (*on_ask)(void *talk);
} talk_t;

#include "handshake_talk.h"

static inline void on_request(alk_socks_t *h, const alk_socks_request_t *req)
{
  talk_t *t = alk_socks_data(h);
  assert_false(t->in_call);
  assert_ptr_equal(t->h, h);
  assert_int_equal(t->requests++, 0);
  assert_int_equal(t->dones, 0);
  assert_false(t->f != NULL && t->f->resumed); /* it waits for the answer */
  t->req = *req;
  if (t->on_ask != NULL) CALL(t, t->on_ask(t));
}

static inline void on_done(alk_socks_t *h, const alk_err_t *err)
{
  talk_t *t = alk_socks_data(h);
  assert_false(t->in_call);
  assert_ptr_equal(t->h, h);
  assert_int_equal(t->dones++, 0);
  alk_socks_close(h); /* does no harm here */
  alk_socks_refuse(h, ALK_SOCKS_REFUSED);
  assert_null(alk_socks_grant(h));
  t->h = NULL;
  t->failed = err != NULL;
  if (err != NULL) t->err = *err;
}

static const alk_socks_events_t events = {
  .on_request = on_request,
  .on_done = on_done,
};

static inline void talk_login(talk_t *t, env_t *e, const char *user,
                              const char *password)
{
  *t = (talk_t){.e = e, .f = fake_stream_new(e->l)};
  t->h = alk_socks_accept(t->f->s, user, password, LIMIT_MS, &events, t);
  assert_true(t->f->resumed);
}

static inline void talk(talk_t *t, env_t *e)
{
  talk_login(t, e, NULL, NULL);
}

/* Grants or refuses: the second answer, and one to nobody, change nothing. */
static inline void answer(talk_t *t, uint8_t rep)
{
  if (t->h == NULL) return;
  if (rep != ALK_SOCKS_OK) {
    alk_socks_refuse(t->h, rep);
    return;
  }
  alk_stream_t *s = alk_socks_grant(t->h);
  if (s == NULL) return;
  assert_int_equal(t->dones++, 0);
  assert_true(alk_stream_is_open(s));
  t->h = NULL;
  t->given = s;
}

static inline void reply(talk_t *t, uint8_t rep)
{
  CALL(t, answer(t, rep));
  settle(t);
}

static inline void assert_asked(const talk_t *t, uint8_t version,
                                const char *host, uint16_t port)
{
  assert_int_equal(t->requests, 1);
  assert_int_equal(t->req.version, version);
  assert_string_equal(t->req.host, host);
  assert_int_equal(t->req.port, port);
  assert_int_equal(t->dones, 0);
}

static inline void talk_free(talk_t *t)
{
  assert_int_equal(t->dones, 1);
  talk_over(t);
}

static inline void finish_given(talk_t *t, const char *early)
{
  assert_int_equal(t->dones, 1);
  assert_ptr_equal(t->given, t->f->s);
  assert_false(t->f->resumed);
  assert_false(t->f->ended);
  assert_false(t->failed);
  assert_null(alk_stream_data(t->given)); /* nobody's */
  assert_works(t, early);
  talk_free(t);
}

/* The refusal has left; the client has not ended yet. */
static inline void finish_refused(talk_t *t)
{
  size_t out = alk_buf_size(&t->f->out);
  assert_true(t->f->flushed);
  assert_false(t->f->closed);
  assert_int_equal(t->dones, 0);
  feed(t, "what was on its way", 19);
  settle(t);
  assert_null(t->f->first); /* read, and dropped */
  assert_int_equal(t->dones, 0);
  fake_feed_end(t->f);
  settle(t);
  assert_int_equal(t->f->sent, out);
  assert_int_equal(alk_buf_size(&t->f->out), out); /* one answer is enough */
  assert_int_equal(t->dones, 1);
  assert_null(t->given);
  talk_free(t);
}

static inline void assert_failed(const talk_t *t, alk_code_t code)
{
  assert_int_equal(t->dones, 1);
  assert_null(t->given);
  assert_true(t->failed);
  assert_int_equal(t->err.code, code);
  assert_true(t->err.msg[0] != '\0');
  assert_null(strstr(t->err.msg, "example")); /* no destination in an error */
}

#endif
