/* test_relay.c - two scripted streams joined: every order of their events. */
#include "core/relay.h"

#include "fake_stream.h"
#include "helpers.h"

typedef struct {
  env_t *e;
  fake_t *a, *b;
  alk_relay_t *relay; /* NULL: it has answered */
  int calls;
  bool failed, in_call;
  alk_err_t err;
  uint64_t a_to_b, b_to_a;
} joint_t;

static void on_relay_close(const alk_err_t *err, uint64_t a_to_b,
                           uint64_t b_to_a, void *data)
{
  joint_t *j = data;
  assert_false(j->in_call);
  assert_int_equal(j->calls, 0);
  j->calls++;
  j->relay = NULL;
  j->failed = err != NULL;
  if (err != NULL) j->err = *err;
  j->a_to_b = a_to_b;
  j->b_to_a = b_to_a;
}

static void join(joint_t *j, alk_stream_t *a, alk_stream_t *b)
{
  QUIET(j, j->relay = alk_relay(a, b, on_relay_close, j));
}

static joint_t joint_of(env_t *e, fake_t *a, fake_t *b)
{
  return (joint_t){.e = e, .a = a, .b = b};
}

static joint_t joint(env_t *e)
{
  return joint_of(e, fake_stream_new(e->l), fake_stream_new(e->l));
}

static void settle(joint_t *j)
{
  turns(j->e, 20);
}

static void say(fake_t *f, const char *text)
{
  fake_feed(f, text, strlen(text));
}

static void assert_out(const fake_t *f, const char *text)
{
  assert_int_equal(alk_buf_size(&f->out), strlen(text));
  if (*text != '\0')
    assert_memory_equal(alk_buf_head(&f->out), text, strlen(text));
}

/* The relay has answered, and both streams are gone. */
static void assert_over(joint_t *j, uint64_t a_to_b, uint64_t b_to_a)
{
  settle(j);
  assert_int_equal(j->calls, 1);
  assert_null(j->a->s);
  assert_null(j->b->s);
  assert_true(j->a_to_b == a_to_b);
  assert_true(j->b_to_a == b_to_a);
  fake_free(j->a);
  fake_free(j->b);
}

static void assert_clean(const joint_t *j)
{
  assert_false(j->failed);
}

static void assert_error(const joint_t *j, int sys)
{
  assert_true(j->failed);
  assert_int_equal(j->err.sys, sys);
}

static void both_ways_and_both_ends(void **state)
{
  joint_t j = joint(*state);
  say(j.a, "ping");
  join(&j, j.a->s, j.b->s);
  say(j.b, "pong!");
  settle(&j);
  assert_out(j.b, "ping");
  assert_out(j.a, "pong!");
  fake_feed_end(j.a);
  settle(&j);
  assert_true(j.b->ended);
  assert_false(j.a->ended);
  assert_int_equal(j.calls, 0); /* half closed: b may talk on */
  say(j.b, "more");
  settle(&j);
  assert_out(j.a, "pong!more");
  fake_feed_end(j.b);
  settle(&j);
  assert_true(j.a->flushed && j.b->flushed);
  assert_over(&j, 4, 9);
  assert_clean(&j);
}

static void both_end_at_once(void **state)
{
  joint_t j = joint(*state);
  join(&j, j.a->s, j.b->s);
  say(j.a, "a");
  fake_feed_end(j.a);
  say(j.b, "b");
  fake_feed_end(j.b);
  settle(&j);
  assert_true(j.a->flushed && j.b->flushed);
  assert_over(&j, 1, 1);
  assert_clean(&j);
}

static void back_pressure(env_t *e, bool backwards)
{
  joint_t j = joint(e);
  fake_t *from = backwards ? j.b : j.a, *to = backwards ? j.a : j.b;
  join(&j, j.a->s, j.b->s);
  to->full = true;
  fake_feed_bytes(from, "12345", 5);
  fake_feed_end(from);
  settle(&j);
  assert_out(to, "1"); /* taken, and no more */
  assert_false(from->resumed);
  say(to, "the other way is free");
  settle(&j);
  assert_out(from, "the other way is free");
  fake_drain(to);
  to->full = true;
  settle(&j);
  assert_out(to, "12");
  fake_drain(to);
  settle(&j);
  assert_out(to, "12345");
  assert_true(to->flushed);
  fake_feed_end(to);
  settle(&j);
  assert_over(&j, backwards ? 21 : 5, backwards ? 5 : 21);
  assert_clean(&j);
}

static void back_pressure_forwards(void **state)
{
  back_pressure(*state, false);
}

static void back_pressure_backwards(void **state)
{
  back_pressure(*state, true);
}

/* An end is not the last word of the relay until it has left. */
static void end_waits_for_the_flush(void **state)
{
  joint_t j = joint(*state);
  join(&j, j.a->s, j.b->s);
  j.b->full = true;
  fake_feed_end(j.b);
  say(j.a, "a");
  settle(&j);
  fake_drain(j.b);
  j.b->full = true;
  fake_feed_end(j.a);
  settle(&j);
  assert_int_equal(j.calls, 0);
  fake_drain(j.b);
  settle(&j);
  assert_over(&j, 1, 0);
  assert_clean(&j);
}

/* One side stops in good order: what it said before still arrives. */
static void clean_close_delivers(void **state)
{
  joint_t j = joint(*state);
  join(&j, j.a->s, j.b->s);
  j.b->full = true;
  say(j.a, "last words");
  settle(&j);
  alk_stream_close(j.a->s);
  settle(&j);
  assert_null(j.a->s);
  assert_true(j.b->ended);
  assert_int_equal(j.calls, 0);
  say(j.b, "to nobody");
  settle(&j);
  fake_drain(j.b);
  settle(&j);
  assert_int_equal(j.b->sent, 10);
  assert_true(j.b->flushed);
  assert_over(&j, 10, 9);
  assert_clean(&j);
}

static void clean_close_after_the_other_ended(void **state)
{
  joint_t j = joint(*state);
  join(&j, j.a->s, j.b->s);
  fake_feed_end(j.b);
  j.b->full = true;
  say(j.a, "last words");
  settle(&j);
  assert_true(j.a->flushed);
  alk_stream_close(j.a->s);
  settle(&j);
  assert_int_equal(j.calls, 0);
  fake_drain(j.b);
  settle(&j);
  assert_true(j.b->flushed);
  assert_over(&j, 10, 0);
  assert_clean(&j);
}

/* Back-pressure had paused the side that is left: it must not hang for it. */
static void clean_close_of_a_full_side(void **state)
{
  joint_t j = joint(*state);
  join(&j, j.a->s, j.b->s);
  j.b->full = true;
  say(j.a, "one");
  say(j.a, "two");
  settle(&j);
  alk_stream_close(j.b->s);
  assert_over(&j, 3, 0);
  assert_clean(&j);
}

static void error_takes_the_other_down(void **state)
{
  for (int i = 0; i < 2; i++) {
    joint_t j = joint(*state);
    join(&j, j.a->s, j.b->s);
    j.a->full = j.b->full = true;
    say(j.a, "half a mess");
    say(j.b, "half");
    settle(&j);
    fake_fail(i == 0 ? j.a : j.b, UV_ECONNRESET);
    settle(&j);
    assert_false(j.a->flushed || j.b->flushed); /* no peer is told a lie */
    assert_over(&j, 11, 4);
    assert_error(&j, UV_ECONNRESET);
  }
}

static void the_first_error_is_told(void **state)
{
  joint_t j = joint(*state);
  join(&j, j.a->s, j.b->s);
  fake_fail(j.a, UV_ECONNRESET);
  fake_fail(j.b, UV_EPIPE);
  assert_over(&j, 0, 0);
  assert_error(&j, UV_ECONNRESET);
}

static void write_error_takes_both_down(void **state)
{
  joint_t j = joint(*state);
  join(&j, j.a->s, j.b->s);
  j.b->write_error = UV_EPIPE;
  say(j.a, "a");
  assert_over(&j, 1, 0);
  assert_error(&j, UV_EPIPE);
}

/* A side that had already said its last word dies: the other still gets it. */
static void error_after_the_end_delivers(void **state)
{
  joint_t j = joint(*state);
  join(&j, j.a->s, j.b->s);
  j.b->full = true;
  say(j.a, "go away");
  settle(&j);
  fake_drain(j.b);
  settle(&j);
  j.b->full = true;
  fake_feed_end(j.a);
  settle(&j);
  fake_fail(j.a, UV_EPIPE);
  settle(&j);
  assert_null(j.a->s);
  assert_int_equal(j.calls, 0);
  fake_drain(j.b);
  settle(&j);
  assert_true(j.b->flushed);
  assert_over(&j, 7, 0);
  assert_error(&j, UV_EPIPE);
}

static void streams_open_later(void **state)
{
  for (int order = 0; order < 3; order++) {
    env_t *e = *state;
    joint_t j = joint_of(e, fake_stream_new_unopened(e->l),
                         fake_stream_new_unopened(e->l));
    fake_t *first = order == 0 ? j.a : j.b, *last = order == 0 ? j.b : j.a;
    if (order == 2) fake_open(first);
    if (order == 2) settle(&j); /* open before it was joined */
    join(&j, j.a->s, j.b->s);
    say(j.a, "early");
    fake_feed_end(j.a);
    say(j.b, "bird");
    fake_feed_end(j.b);
    if (order != 2) fake_open(first);
    settle(&j);
    assert_int_equal(j.a->writes + j.b->writes, 0);
    assert_false(first->resumed); /* nothing to do with its bytes yet */
    fake_open(last);
    settle(&j);
    assert_out(j.b, "early");
    assert_out(j.a, "bird");
    assert_over(&j, 5, 4);
    assert_clean(&j);
  }
}

static void one_never_opens(void **state)
{
  for (int i = 0; i < 2; i++) {
    env_t *e = *state;
    fake_t *open = fake_stream_new(e->l);
    fake_t *dead = fake_stream_new_unopened(e->l);
    joint_t j = joint_of(e, i == 0 ? open : dead, i == 0 ? dead : open);
    join(&j, j.a->s, j.b->s);
    say(open, "anybody?");
    settle(&j);
    fake_fail(dead, UV_ECONNREFUSED);
    settle(&j);
    assert_int_equal(open->writes, 0);
    assert_over(&j, 0, 0);
    assert_error(&j, UV_ECONNREFUSED);
  }
}

static void one_takes_too_long_to_open(void **state)
{
  for (int i = 0; i < 3; i++) { /* the second, the first, both */
    env_t *e = *state;
    fake_t *open =
      i < 2 ? fake_stream_new(e->l) : fake_stream_new_unopened(e->l);
    fake_t *late = fake_stream_new_unopened(e->l);
    joint_t j = joint_of(e, i == 1 ? late : open, i == 1 ? open : late);
    join(&j, j.a->s, j.b->s);
    QUIET(&j, alk_relay_limit(j.relay, 1));
    SPIN_UNTIL(e, j.calls == 1);
    assert_over(&j, 0, 0);
    assert_true(j.failed);
    assert_int_equal(j.err.code, ALK_E_TIMEOUT);
  }
}

/* Why it did not open is told, not that it took its time. */
static void one_never_opens_in_time(void **state)
{
  env_t *e = *state;
  joint_t j =
    joint_of(e, fake_stream_new(e->l), fake_stream_new_unopened(e->l));
  join(&j, j.a->s, j.b->s);
  QUIET(&j, alk_relay_limit(j.relay, 60 * 1000));
  fake_fail(j.b, UV_ECONNREFUSED);
  settle(&j);
  assert_over(&j, 0, 0);
  assert_error(&j, UV_ECONNREFUSED);
}

/* A relay whose limit has passed after both had opened; false: this machine
 * took longer than that to open them. */
static bool outlives_its_limit(env_t *e, bool was_open, unsigned limit_ms)
{
  fake_t *a = fake_stream_new(e->l);
  fake_t *b = was_open ? fake_stream_new(e->l) : fake_stream_new_unopened(e->l);
  joint_t j = joint_of(e, a, b);
  join(&j, a->s, b->s);
  QUIET(&j, alk_relay_limit(j.relay, limit_ms));
  if (!was_open) fake_open(b);
  settle(&j);
  bool in_time = j.calls == 0;
  uint64_t passed = uv_now(&e->uv) + limit_ms + 5;
  SPIN_UNTIL(e, uv_now(&e->uv) > passed);
  assert_int_equal(j.calls, in_time ? 0 : 1);
  if (in_time) QUIET(&j, alk_relay_close(j.relay));
  assert_over(&j, 0, 0);
  return in_time;
}

static void open_in_time_has_no_limit(void **state)
{
  assert_true(outlives_its_limit(*state, true, 1));
  unsigned limit_ms = 1;
  while (!outlives_its_limit(*state, false, limit_ms))
    limit_ms *= 2;
}

/* For as long as b has not ended, a may be as slow as it likes. */
static void one_that_ended_waits_for_the_other(void **state)
{
  env_t *e = *state;
  joint_t j = joint_of(e, fake_stream_new(e->l), fake_stream_new(e->l));
  join(&j, j.a->s, j.b->s);
  QUIET(&j, alk_relay_linger(j.relay, 1));
  uint64_t passed = uv_now(&e->uv) + 10;
  SPIN_UNTIL(e, uv_now(&e->uv) > passed);
  assert_int_equal(j.calls, 0);
  fake_feed(j.b, "x", 1);
  fake_feed_end(j.b);
  SPIN_UNTIL(e, j.calls == 1);
  assert_over(&j, 0, 1);
  assert_false(j.failed);
}

/* A slow one gets all of it: its time begins when nothing more waits. */
static void one_that_ended_is_heard_before_time_runs(void **state)
{
  env_t *e = *state;
  joint_t j = joint_of(e, fake_stream_new(e->l), fake_stream_new(e->l));
  join(&j, j.a->s, j.b->s);
  QUIET(&j, alk_relay_linger(j.relay, 1));
  fake_feed(j.b, "x", 1);
  settle(&j);
  j.a->full = true;
  fake_feed_end(j.b);
  settle(&j);
  assert_true(j.a->ended && !j.a->flushed);
  uint64_t passed = uv_now(&e->uv) + 10;
  SPIN_UNTIL(e, uv_now(&e->uv) > passed);
  assert_int_equal(j.calls, 0);
  fake_drain(j.a);
  SPIN_UNTIL(e, j.calls == 1);
  assert_over(&j, 0, 1);
  assert_false(j.failed);
}

static void finished_delivers_what_was_said(void **state)
{
  joint_t j = joint(*state);
  join(&j, j.a->s, j.b->s);
  j.a->full = true;
  fake_feed(j.b, "x", 1);
  settle(&j);
  QUIET(&j, alk_relay_finish(j.relay, 3600 * 1000));
  settle(&j);
  assert_null(j.b->s);
  assert_true(j.a->ended && !j.a->flushed);
  assert_int_equal(j.calls, 0);
  fake_drain(j.a);
  settle(&j);
  assert_true(j.a->flushed);
  assert_over(&j, 0, 1);
  assert_clean(&j);
}

static void finished_waits_for_its_time(void **state)
{
  env_t *e = *state;
  joint_t j = joint(e);
  join(&j, j.a->s, j.b->s);
  j.a->full = true;
  fake_feed(j.b, "x", 1);
  settle(&j);
  QUIET(&j, alk_relay_finish(j.relay, 1));
  SPIN_UNTIL(e, j.calls == 1);
  assert_false(j.a->flushed);
  assert_over(&j, 0, 1);
  assert_clean(&j);
}

/* One that waits for a to end, after b has, waits no longer. */
static void finished_after_an_end(void **state)
{
  joint_t j = joint(*state);
  join(&j, j.a->s, j.b->s);
  QUIET(&j, alk_relay_linger(j.relay, 3600 * 1000));
  fake_feed_end(j.b);
  settle(&j);
  assert_true(j.a->flushed);
  assert_int_equal(j.calls, 0);
  QUIET(&j, alk_relay_finish(j.relay, 3600 * 1000));
  assert_over(&j, 0, 0);
  assert_clean(&j);
}

static void one_closes_before_the_other_opens(void **state)
{
  env_t *e = *state;
  joint_t j =
    joint_of(e, fake_stream_new(e->l), fake_stream_new_unopened(e->l));
  join(&j, j.a->s, j.b->s);
  alk_stream_close(j.a->s);
  settle(&j);
  assert_int_equal(j.calls, 0);
  fake_open(j.b);
  assert_over(&j, 0, 0);
  assert_clean(&j);
}

static void one_is_closing_when_joined(void **state)
{
  joint_t j = joint(*state);
  alk_stream_fail_sys(j.a->s, UV_EPIPE, "before");
  join(&j, j.a->s, j.b->s);
  assert_over(&j, 0, 0);
  assert_error(&j, UV_EPIPE);
}

/* Bytes that a handshake put back are the first to go, the end the last. */
static void unread_bytes_and_a_held_end(void **state)
{
  joint_t j = joint(*state);
  alk_stream_unread(j.a->s, "put back", 8);
  alk_emit_end(j.a->s); /* as a kind may that does not read for it */
  settle(&j);
  join(&j, j.a->s, j.b->s);
  settle(&j);
  assert_out(j.b, "put back");
  assert_true(j.b->flushed);
  fake_feed_end(j.b);
  assert_over(&j, 8, 0);
  assert_clean(&j);
}

/* A script of what happens, one act a turn, that is cut short at each act. */
static void act(joint_t *j, int i)
{
  fake_t *a = j->a, *b = j->b;
  if (i == 0) say(a, "one");
  if (i == 1) say(b, "two");
  if (i == 2) b->full = true;
  if (i == 3) fake_feed_bytes(a, "three", 5);
  if (i == 5) fake_feed_end(b);
  if (i == 7) fake_drain(b);
  if (i == 8) fake_feed_end(a);
}

static void close_at_every_act(void **state)
{
  for (int how = 0; how < 3; how++) {
    for (int n = 0; n < 20; n++) {
      joint_t j = joint(*state);
      join(&j, j.a->s, j.b->s);
      for (int i = 0; i < n; i++) {
        act(&j, i);
        turns(j.e, 1);
      }
      if (j.relay != NULL && how == 0) QUIET(&j, alk_relay_close(j.relay));
      if (j.relay != NULL && how == 0) QUIET(&j, alk_relay_close(j.relay));
      if (how == 1) fake_fail(j.a, UV_ECONNRESET);
      if (how == 2) fake_fail(j.b, UV_ECONNRESET);
      settle(&j);
      fake_drain(j.a);
      fake_drain(j.b); /* what had left to be told is told */
      settle(&j);
      assert_over(&j, j.a_to_b, j.b_to_a);
      if (how == 0) assert_clean(&j);
    }
  }
}

static void nobody_asks(void **state)
{
  joint_t j = joint(*state);
  alk_relay(j.a->s, j.b->s, NULL, NULL);
  fake_feed_end(j.a);
  fake_feed_end(j.b);
  settle(&j);
  assert_null(j.a->s);
  assert_null(j.b->s);
  fake_free(j.a);
  fake_free(j.b);
}

/* Somebody else has heard its end. */
static void hear_end(joint_t *j, fake_t *f)
{
  rec_t r = {0};
  rec_own(&r, f->s);
  QUIET(&r, alk_stream_resume(r.s));
  fake_feed_end(f);
  settle(j);
  assert_string_equal(r.log, "e");
  QUIET(&r, alk_stream_pause(r.s));
  alk_stream_own(f->s, NULL, NULL);
  rec_free(&r);
}

static void end_heard_before(void **state)
{
  for (int backwards = 0; backwards < 2; backwards++) {
    joint_t j = joint(*state);
    hear_end(&j, j.a);
    if (backwards)
      join(&j, j.b->s, j.a->s);
    else
      join(&j, j.a->s, j.b->s);
    settle(&j);
    assert_true(j.b->ended); /* it was passed on */
    say(j.b, "answer");
    fake_feed_end(j.b);
    settle(&j);
    assert_out(j.a, "answer");
    assert_over(&j, backwards ? 6 : 0, backwards ? 0 : 6);
    assert_clean(&j);
  }
}

static void both_ends_heard_before(void **state)
{
  joint_t j = joint(*state);
  hear_end(&j, j.a);
  hear_end(&j, j.b);
  join(&j, j.a->s, j.b->s);
  assert_over(&j, 0, 0);
  assert_clean(&j);
}

/* Somebody else has ended it: what the other still says has nowhere to go, and
 * what it says itself is passed on. */
static void end_said_before(void **state)
{
  joint_t j = joint(*state);
  alk_stream_end(j.a->s);
  settle(&j);
  assert_true(j.a->flushed);
  join(&j, j.a->s, j.b->s);
  say(j.b, "too late");
  say(j.a, "question");
  settle(&j);
  assert_out(j.a, "");
  assert_out(j.b, "question");
  fake_feed_end(j.a);
  settle(&j);
  assert_int_equal(j.calls, 0);
  fake_feed_end(j.b);
  assert_over(&j, 8, 8);
  assert_clean(&j);
}

static void end_said_before_and_not_flushed(void **state)
{
  joint_t j = joint(*state);
  j.a->full = true;
  alk_stream_write(j.a->s, "held", 4);
  alk_stream_end(j.a->s);
  join(&j, j.a->s, j.b->s);
  fake_feed_end(j.a);
  fake_feed_end(j.b);
  settle(&j);
  assert_int_equal(j.calls, 0); /* "held" has not left */
  fake_drain(j.a);
  settle(&j);
  assert_true(j.a->flushed);
  assert_over(&j, 0, 0);
  assert_clean(&j);
}

static void all_was_over_before(void **state)
{
  joint_t j = joint(*state);
  hear_end(&j, j.a);
  hear_end(&j, j.b);
  alk_stream_end(j.a->s);
  alk_stream_end(j.b->s);
  settle(&j);
  join(&j, j.a->s, j.b->s);
  assert_over(&j, 0, 0);
  assert_clean(&j);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    TEST(both_ways_and_both_ends),
    TEST(both_end_at_once),
    TEST(back_pressure_forwards),
    TEST(back_pressure_backwards),
    TEST(end_waits_for_the_flush),
    TEST(clean_close_delivers),
    TEST(clean_close_after_the_other_ended),
    TEST(clean_close_of_a_full_side),
    TEST(error_takes_the_other_down),
    TEST(the_first_error_is_told),
    TEST(write_error_takes_both_down),
    TEST(error_after_the_end_delivers),
    TEST(streams_open_later),
    TEST(one_never_opens),
    TEST(one_takes_too_long_to_open),
    TEST(one_never_opens_in_time),
    TEST(open_in_time_has_no_limit),
    TEST(one_closes_before_the_other_opens),
    TEST(one_is_closing_when_joined),
    TEST(unread_bytes_and_a_held_end),
    TEST(end_heard_before),
    TEST(both_ends_heard_before),
    TEST(one_that_ended_waits_for_the_other),
    TEST(one_that_ended_is_heard_before_time_runs),
    TEST(finished_delivers_what_was_said),
    TEST(finished_waits_for_its_time),
    TEST(finished_after_an_end),
    TEST(end_said_before),
    TEST(end_said_before_and_not_flushed),
    TEST(all_was_over_before),
    TEST(close_at_every_act),
    TEST(nobody_asks),
  };
  return cmocka_run_group_tests_name("relay", tests, NULL, NULL);
}
