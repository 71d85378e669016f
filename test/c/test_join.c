/* test_join.c - a stream that is waited for: it opens, it does not, it takes
 * too long, nobody waits any more. */
#include "core/join.h"

#include "fake_stream.h"
#include "helpers.h"

enum { LIMIT_MS = 60 * 1000 };

typedef struct {
  env_t *e;
  fake_t *asker, *to;
  alk_join_t *j;
  bool asker_goes; /* on_open gives NULL */
  int opens, refusals, closes;
  bool failed, in_call;
  alk_err_t err;
} wait_t;

static alk_stream_t *on_open(void *data)
{
  wait_t *w = data;
  assert_false(w->in_call);
  assert_int_equal(w->opens++, 0);
  if (!w->asker_goes) return w->asker->s;
  w->j = NULL;
  return NULL;
}

static void on_refused(void *data, const alk_err_t *err)
{
  wait_t *w = data;
  assert_false(w->in_call);
  assert_int_equal(w->opens + w->refusals++ + w->closes, 0);
  assert_non_null(err);
  w->err = *err;
  w->j = NULL;
}

static void on_close(void *data, const alk_err_t *err)
{
  wait_t *w = data;
  assert_false(w->in_call);
  assert_int_equal(w->opens, 1);
  assert_int_equal(w->closes++, 0);
  w->failed = err != NULL;
  if (err != NULL) w->err = *err;
  w->j = NULL;
}

static const alk_join_events_t events = {
  .on_open = on_open,
  .on_refused = on_refused,
  .on_close = on_close,
};

static fake_t *opening(env_t *e)
{
  return fake_stream_new_unopened(e->l);
}

static wait_t begin(env_t *e, unsigned limit_ms, wait_t *at)
{
  wait_t w = {.e = e, .asker = fake_stream_new(e->l), .to = opening(e)};
  w.j = alk_join(w.to->s, limit_ms, &events, at);
  return w;
}

static void finish(wait_t *w)
{
  assert_null(w->j);
  if (w->asker->s != NULL) alk_stream_close(w->asker->s);
  turns(w->e, 20);
  assert_null(w->asker->s);
  assert_null(w->to->s); /* it freed itself, whoever owned it */
  fake_free(w->asker);
  fake_free(w->to);
}

static void relays_when_it_opens(void **state)
{
  wait_t w = begin(*state, LIMIT_MS, &w);
  fake_feed(w.asker, "question", 8);
  fake_feed(w.to, "answer", 6);
  turns(w.e, 20);
  assert_int_equal(w.opens, 0);
  assert_int_equal(w.asker->told, 0); /* nobody reads before */
  fake_open(w.to);
  turns(w.e, 20);
  assert_int_equal(w.opens, 1);
  assert_int_equal(alk_buf_size(&w.to->out), 8);
  assert_int_equal(alk_buf_size(&w.asker->out), 6);
  fake_feed_end(w.asker);
  fake_feed_end(w.to);
  turns(w.e, 20);
  assert_int_equal(w.closes, 1);
  assert_false(w.failed);
  finish(&w);
}

static void asker_that_opens_later(void **state)
{
  wait_t w = {.e = *state, .asker = opening(*state), .to = opening(*state)};
  w.j = alk_join(w.to->s, LIMIT_MS, &events, &w);
  fake_feed(w.to, "answer", 6);
  fake_open(w.to);
  turns(w.e, 20);
  assert_int_equal(w.opens, 1);
  assert_int_equal(w.to->told, 0);
  fake_open(w.asker);
  turns(w.e, 20);
  assert_int_equal(alk_buf_size(&w.asker->out), 6);
  QUIET(&w, alk_join_close(w.j));
  turns(w.e, 20);
  assert_int_equal(w.closes, 1);
  finish(&w);
}

static void tells_why_it_did_not(void **state)
{
  wait_t w = begin(*state, LIMIT_MS, &w);
  fake_fail(w.to, UV_ECONNREFUSED);
  turns(w.e, 20);
  assert_int_equal(w.refusals, 1);
  assert_int_equal(w.err.sys, UV_ECONNREFUSED);
  assert_true(alk_stream_is_open(w.asker->s)); /* still to be told */
  finish(&w);
}

static void a_close_without_reason_is_one(void **state)
{
  wait_t w = begin(*state, LIMIT_MS, &w);
  alk_stream_close(w.to->s);
  turns(w.e, 20);
  assert_int_equal(w.refusals, 1);
  assert_int_equal(w.err.code, ALK_E_CLOSED);
  finish(&w);
}

static void takes_too_long(void **state)
{
  wait_t w = begin(*state, 1, &w);
  SPIN_UNTIL(w.e, w.refusals == 1);
  assert_int_equal(w.err.code, ALK_E_TIMEOUT);
  assert_true(w.to->closed);
  finish(&w);
}

/* One that opened within limit_ms; false: this machine took longer. */
static bool opened_in_time(env_t *e, unsigned limit_ms, wait_t *w)
{
  *w = begin(e, limit_ms, w);
  fake_open(w->to);
  turns(e, 20);
  if (w->opens == 1) return true;
  finish(w);
  return false;
}

static void open_in_time_has_no_limit(void **state)
{
  wait_t w;
  unsigned limit_ms = 1;
  while (!opened_in_time(*state, limit_ms, &w))
    limit_ms *= 2;
  uint64_t passed = uv_now(&w.e->uv) + limit_ms + 5;
  SPIN_UNTIL(w.e, uv_now(&w.e->uv) > passed);
  assert_int_equal(w.refusals + w.closes, 0);
  QUIET(&w, alk_join_close(w.j));
  turns(w.e, 20);
  finish(&w);
}

static void closed_before_it_opens(void **state)
{
  wait_t w = begin(*state, LIMIT_MS, &w);
  QUIET(&w, alk_join_close(w.j));
  w.j = NULL;
  turns(w.e, 20);
  assert_int_equal(w.opens + w.refusals + w.closes, 0);
  assert_true(alk_stream_is_open(w.asker->s));
  finish(&w);
}

static void asker_is_going(void **state)
{
  wait_t w = begin(*state, LIMIT_MS, &w);
  w.asker_goes = true;
  fake_open(w.to);
  turns(w.e, 20);
  assert_int_equal(w.opens, 1);
  assert_int_equal(w.refusals + w.closes, 0);
  assert_true(w.to->closed);
  finish(&w);
}

static void close_with_the_loop(void **state)
{
  (void) state;
  for (int is_open = 0; is_open < 2; is_open++) {
    env_t *e = env_new();
    wait_t w = begin(e, LIMIT_MS, &w);
    if (is_open) fake_open(w.to);
    turns(e, 5);
    QUIET(&w, env_close(e));
    turns(e, 20);
    assert_int_equal(w.refusals, !is_open);
    assert_int_equal(w.closes, is_open);
    fake_free(w.asker);
    fake_free(w.to);
    env_free(e);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    TEST(relays_when_it_opens),   TEST(asker_that_opens_later),
    TEST(tells_why_it_did_not),   TEST(a_close_without_reason_is_one),
    TEST(takes_too_long),         TEST(open_in_time_has_no_limit),
    TEST(closed_before_it_opens), TEST(asker_is_going),
    TEST(close_with_the_loop),
  };
  return cmocka_run_group_tests_name("join", tests, NULL, NULL);
}
