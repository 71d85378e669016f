/* test_stream.c - the five laws of stream.h, on a scripted stream. */
#include "fake_stream.h"
#include "helpers.h"

/* A fake and the owner that records it. */
typedef struct {
  rec_t r; /* first: then() gets this */
  fake_t *f;
} duo_t;

static duo_t duo(env_t *e)
{
  duo_t d = {.f = fake_stream_new(e->l)};
  return d;
}

static duo_t duo_unopened(env_t *e)
{
  duo_t d = {.f = fake_stream_new_unopened(e->l)};
  return d;
}

static void duo_finish(env_t *e, duo_t *d)
{
  rec_finish(e, &d->r);
  turns(e, 3);
  assert_int_equal(d->r.closes, 1);
  fake_free(d->f);
}

static fake_t *fake_in(rec_t *r)
{
  return ((duo_t *) (void *) r)->f;
}

static void settle(env_t *e)
{
  turns(e, 20);
}

static bool put(rec_t *r, const char *text)
{
  bool room;
  QUIET(r, room = alk_stream_write(r->s, text, strlen(text)));
  return room;
}

static void unread(rec_t *r, const char *text)
{
  QUIET(r, alk_stream_unread(r->s, text, strlen(text)));
}

static void a_life_in_order(void **state)
{
  env_t *e = *state;
  duo_t d = duo_unopened(e);
  rec_own(&d.r, d.f->s);
  assert_ptr_equal(alk_stream_loop(d.r.s), e->l);
  assert_ptr_equal(alk_stream_data(d.r.s), &d.r);
  assert_string_equal(alk_stream_kind(d.r.s), "fake");
  assert_false(alk_stream_is_open(d.r.s));
  QUIET(&d.r, alk_stream_resume(d.r.s));
  fake_feed(d.f, "ab", 2);
  fake_feed(d.f, "cd", 2);
  fake_feed_end(d.f);
  settle(e);
  assert_string_equal(d.r.log, "");
  fake_open(d.f);
  settle(e);
  assert_true(alk_stream_is_open(d.r.s));
  assert_string_equal(d.r.log, "ode");
  assert_heard(&d.r, "abcd");
  put(&d.r, "efg");
  assert_false(alk_stream_has_ended(d.r.s));
  QUIET(&d.r, alk_stream_end(d.r.s));
  QUIET(&d.r, alk_stream_end(d.r.s));
  assert_true(alk_stream_has_ended(d.r.s));
  settle(e);
  assert_string_equal(d.r.log, "odew");
  assert_true(d.f->flushed);
  assert_int_equal(alk_loop_live(e->l), 1);
  QUIET(&d.r, alk_stream_close(d.r.s));
  assert_false(alk_stream_is_open(d.r.s));
  duo_finish(e, &d);
  assert_string_equal(d.r.log, "odewc");
  assert_false(d.r.failed);
  assert_int_equal(alk_loop_live(e->l), 0);
}

static void born_paused(void **state)
{
  env_t *e = *state;
  duo_t d = duo(e);
  rec_own(&d.r, d.f->s);
  fake_feed(d.f, "a", 1);
  settle(e);
  assert_string_equal(d.r.log, "");
  QUIET(&d.r, alk_stream_pause(d.r.s));
  QUIET(&d.r, alk_stream_resume(d.r.s));
  QUIET(&d.r, alk_stream_resume(d.r.s));
  settle(e);
  assert_heard(&d.r, "a");
  duo_finish(e, &d);
}

static void write_and_end_before_open(void **state)
{
  env_t *e = *state;
  duo_t d = duo_unopened(e);
  rec_own(&d.r, d.f->s);
  put(&d.r, "early");
  QUIET(&d.r, alk_stream_end(d.r.s));
  settle(e);
  assert_string_equal(d.r.log, "");
  fake_open(d.f);
  settle(e);
  assert_string_equal(d.r.log, "ow");
  assert_int_equal(d.f->sent, 5);
  duo_finish(e, &d);
}

static void close_before_open(void **state)
{
  env_t *e = *state;
  duo_t d = duo_unopened(e);
  rec_own(&d.r, d.f->s);
  QUIET(&d.r, alk_stream_resume(d.r.s));
  put(&d.r, "early");
  fake_open(d.f);
  QUIET(&d.r, alk_stream_close(d.r.s));
  duo_finish(e, &d);
  assert_string_equal(d.r.log, "c");
  assert_false(d.r.failed);
}

static void one_drain_for_a_full_stream(void **state)
{
  env_t *e = *state;
  duo_t d = duo(e);
  rec_own(&d.r, d.f->s);
  assert_true(put(&d.r, "a"));
  settle(e);
  assert_string_equal(d.r.log, ""); /* true owes no drain */
  d.f->full = true;
  assert_false(put(&d.r, "b"));
  assert_false(put(&d.r, "c")); /* taken all the same */
  settle(e);
  assert_string_equal(d.r.log, "");
  fake_drain(d.f);
  settle(e);
  assert_string_equal(d.r.log, "w");
  assert_int_equal(alk_buf_size(&d.f->out), 3);
  duo_finish(e, &d);
}

static void end_behind_a_full_queue(void **state)
{
  env_t *e = *state;
  duo_t d = duo(e);
  rec_own(&d.r, d.f->s);
  d.f->full = true;
  put(&d.r, "a");
  QUIET(&d.r, alk_stream_end(d.r.s));
  settle(e);
  assert_string_equal(d.r.log, "");
  assert_false(alk_stream_is(d.r.s, ALK_S_FLUSHED));
  fake_drain(d.f);
  settle(e);
  assert_string_equal(d.r.log, "w"); /* one, for both */
  assert_true(alk_stream_is(d.r.s, ALK_S_FLUSHED));
  duo_finish(e, &d);
}

static void pause_inside(rec_t *r, char ev)
{
  if (ev == 'd') QUIET(r, alk_stream_pause(r->s));
}

static void pause_is_immediate(void **state)
{
  env_t *e = *state;
  duo_t d = duo(e);
  rec_own(&d.r, d.f->s);
  d.r.then = pause_inside;
  fake_feed_bytes(d.f, "abc", 3);
  fake_feed_end(d.f);
  for (size_t n = 1; n <= 3; n++) {
    QUIET(&d.r, alk_stream_resume(d.r.s));
    settle(e);
    assert_int_equal(alk_buf_size(&d.r.data), n);
    assert_int_equal(d.r.ends, 0);
  }
  QUIET(&d.r, alk_stream_resume(d.r.s));
  settle(e);
  assert_string_equal(d.r.log, "de");
  duo_finish(e, &d);
}

/* A pause that comes after the resume, in the same breath, wins: also for
 * what was put back. */
static void pause_after_resume(void **state)
{
  env_t *e = *state;
  duo_t d = duo(e);
  rec_own(&d.r, d.f->s);
  unread(&d.r, "x");
  fake_feed(d.f, "a", 1);
  QUIET(&d.r, alk_stream_resume(d.r.s));
  QUIET(&d.r, alk_stream_pause(d.r.s));
  settle(e);
  assert_string_equal(d.r.log, "");
  QUIET(&d.r, alk_stream_resume(d.r.s));
  settle(e);
  assert_heard(&d.r, "xa");
  duo_finish(e, &d);
}

static void unread_comes_first(void **state)
{
  env_t *e = *state;
  duo_t d = duo(e);
  rec_own(&d.r, d.f->s);
  fake_feed(d.f, "cd", 2);
  unread(&d.r, "b");
  unread(&d.r, "a"); /* in front of what is in front */
  unread(&d.r, "");
  settle(e);
  assert_string_equal(d.r.log, "");
  QUIET(&d.r, alk_stream_resume(d.r.s));
  settle(e);
  assert_heard(&d.r, "abcd");
  unread(&d.r, "e"); /* of a stream that reads */
  fake_feed(d.f, "f", 1);
  settle(e);
  assert_heard(&d.r, "abcdef");
  duo_finish(e, &d);
}

static void unread_before_open(void **state)
{
  env_t *e = *state;
  duo_t d = duo_unopened(e);
  rec_own(&d.r, d.f->s);
  unread(&d.r, "a");
  QUIET(&d.r, alk_stream_resume(d.r.s));
  fake_feed(d.f, "b", 1);
  settle(e);
  assert_string_equal(d.r.log, "");
  fake_open(d.f);
  settle(e);
  assert_string_equal(d.r.log, "od");
  assert_heard(&d.r, "ab");
  duo_finish(e, &d);
}

/* Keeps one more byte each time and puts the rest back. */
static void unread_rest(rec_t *r)
{
  size_t held = alk_buf_size(&r->data), keep = (size_t) ++r->count;
  if (keep >= held) return;
  QUIET(r, alk_stream_unread(r->s, (const char *) alk_buf_head(&r->data) + keep,
                             held - keep));
  r->data.len -= held - keep;
}

static void unread_inside(rec_t *r, char ev)
{
  if (ev == 'd') unread_rest(r);
}

static void unread_inside_on_data(void **state)
{
  env_t *e = *state;
  duo_t d = duo(e);
  rec_own(&d.r, d.f->s);
  d.r.then = unread_inside;
  fake_feed(d.f, "abcdefghijklmnopqrst", 20);
  fake_feed(d.f, "uvwxyz", 6);
  fake_feed_end(d.f);
  QUIET(&d.r, alk_stream_resume(d.r.s));
  settle(e);
  assert_string_equal(d.r.log, "de");
  assert_heard(&d.r, "abcdefghijklmnopqrstuvwxyz");
  duo_finish(e, &d);
}

static void pause_unread_resume_inside(rec_t *r, char ev)
{
  if (ev != 'd') return;
  QUIET(r, alk_stream_pause(r->s));
  unread_rest(r);
  QUIET(r, alk_stream_resume(r->s));
}

static void pause_unread_resume_inside_on_data(void **state)
{
  env_t *e = *state;
  duo_t d = duo(e);
  rec_own(&d.r, d.f->s);
  d.r.then = pause_unread_resume_inside;
  fake_feed(d.f, "abcdefghijklmnopqrst", 20);
  fake_feed(d.f, "uvwxyz", 6);
  fake_feed_end(d.f);
  QUIET(&d.r, alk_stream_resume(d.r.s));
  settle(e);
  assert_string_equal(d.r.log, "de");
  assert_heard(&d.r, "abcdefghijklmnopqrstuvwxyz");
  duo_finish(e, &d);
}

/* A kind may learn of the end on its own, while the owner does not listen or
 * has put bytes back: the owner still hears it, last. */
static void end_waits_for_unread_bytes(void **state)
{
  env_t *e = *state;
  duo_t d = duo(e);
  rec_own(&d.r, d.f->s);
  unread(&d.r, "last words");
  alk_emit_end(d.f->s);
  alk_emit_end(d.f->s);
  settle(e);
  assert_string_equal(d.r.log, "");
  QUIET(&d.r, alk_stream_resume(d.r.s));
  settle(e);
  assert_string_equal(d.r.log, "de");
  assert_heard(&d.r, "last words");
  duo_finish(e, &d);
}

static void end_waits_for_resume(void **state)
{
  env_t *e = *state;
  duo_t d = duo(e), next = {0};
  rec_own(&d.r, d.f->s);
  alk_emit_end(d.f->s);
  settle(e);
  assert_string_equal(d.r.log, "");
  /* Its new owner hears it: a relay would hang without. */
  rec_own(&next.r, d.f->s);
  QUIET(&next.r, alk_stream_resume(next.r.s));
  settle(e);
  assert_string_equal(next.r.log, "e");
  alk_emit_end(d.f->s);
  settle(e);
  assert_string_equal(next.r.log, "e");
  rec_finish(e, &next.r);
  assert_string_equal(d.r.log, "");
  fake_free(d.f);
}

static void end_of_a_reading_stream_with_unread_bytes(void **state)
{
  env_t *e = *state;
  duo_t d = duo(e);
  rec_own(&d.r, d.f->s);
  QUIET(&d.r, alk_stream_resume(d.r.s));
  unread(&d.r, "last words");
  alk_emit_end(d.f->s);
  assert_string_equal(d.r.log, "");
  settle(e);
  assert_string_equal(d.r.log, "de");
  assert_heard(&d.r, "last words");
  duo_finish(e, &d);
}

static rec_t heir;

static void hand_over(rec_t *r, char ev)
{
  if (ev != (char) r->count) return;
  alk_stream_t *s = r->s;
  r->s = NULL;
  if (ev == 'd') QUIET(r, alk_stream_unread(s, "b", 1));
  rec_own(&heir, s);
}

static void own_hands_over(void **state)
{
  env_t *e = *state;
  for (const char *ev = "ode"; *ev != '\0'; ev++) {
    duo_t d = duo_unopened(e);
    heir = (rec_t){0};
    rec_own(&d.r, d.f->s);
    d.r.then = hand_over;
    d.r.count = *ev;
    QUIET(&d.r, alk_stream_resume(d.r.s));
    fake_feed(d.f, "a", 1);
    fake_feed(d.f, "c", 1);
    fake_feed_end(d.f);
    fake_open(d.f);
    settle(e);
    rec_finish(e, &heir);
    assert_int_equal(d.r.log[strlen(d.r.log) - 1], *ev);
    assert_string_equal(heir.log, *ev == 'o'   ? "dec"
                                  : *ev == 'd' ? "dec"
                                               : "c");
    assert_int_equal(d.r.closes, 0);
    rec_free(&d.r);
    fake_free(d.f);
  }
}

static void nobody_cares(void **state)
{
  env_t *e = *state;
  static const alk_owner_t deaf = {0};
  for (int owned = 0; owned < 2; owned++) {
    fake_t *f = fake_stream_new_unopened(e->l);
    if (owned) alk_stream_own(f->s, &deaf, NULL);
    alk_stream_resume(f->s);
    fake_feed(f, "a", 1);
    fake_feed_end(f);
    fake_open(f);
    settle(e);
    alk_stream_end(f->s);
    settle(e);
    alk_stream_close(f->s);
    settle(e);
    assert_null(f->s);
    fake_free(f);
  }
}

static void close_inside(rec_t *r, char ev)
{
  if (ev != (char) r->count) return;
  QUIET(r, alk_stream_close(r->s));
  QUIET(r, alk_stream_close(r->s));
}

/* Closed inside an event, with more of every kind to come: silence. */
static void close_inside_each_event(void **state)
{
  env_t *e = *state;
  for (const char *ev = "odew"; *ev != '\0'; ev++) {
    duo_t d = duo_unopened(e);
    rec_own(&d.r, d.f->s);
    d.r.then = close_inside;
    d.r.count = *ev;
    QUIET(&d.r, alk_stream_resume(d.r.s));
    if (*ev == 'd') unread(&d.r, "unread");
    fake_feed(d.f, "a", 1);
    fake_feed(d.f, "b", 1);
    fake_feed_end(d.f);
    put(&d.r, "out");
    if (*ev == 'w') QUIET(&d.r, alk_stream_end(d.r.s));
    fake_open(d.f);
    settle(e);
    duo_finish(e, &d);
    size_t len = strlen(d.r.log);
    assert_true(len >= 2);
    assert_int_equal(d.r.log[len - 2], *ev);
    assert_int_equal(d.r.log[len - 1], 'c');
    assert_false(d.r.failed);
  }
}

/* Between close() and on_close nothing gets through, whatever is tried. */
static void nothing_between_close_and_on_close(void **state)
{
  env_t *e = *state;
  duo_t d = duo(e);
  rec_own(&d.r, d.f->s);
  QUIET(&d.r, alk_stream_resume(d.r.s));
  unread(&d.r, "x");
  QUIET(&d.r, alk_stream_close(d.r.s));
  unread(&d.r, "y");
  assert_true(put(&d.r, "z"));
  QUIET(&d.r, alk_stream_pause(d.r.s));
  QUIET(&d.r, alk_stream_resume(d.r.s));
  QUIET(&d.r, alk_stream_end(d.r.s));
  QUIET(&d.r, alk_stream_close(d.r.s));
  alk_emit_open(d.r.s);
  alk_emit_data(d.r.s, "a", 1);
  alk_emit_end(d.r.s);
  alk_emit_drain(d.r.s);
  alk_stream_fail_sys(d.r.s, UV_EPIPE, "late");
  assert_int_equal(d.f->writes, 0);
  duo_finish(e, &d);
  assert_string_equal(d.r.log, "c");
  assert_false(d.r.failed);
}

static void the_first_error_counts(void **state)
{
  env_t *e = *state;
  duo_t d = duo(e);
  alk_err_t second;
  rec_own(&d.r, d.f->s);
  QUIET(&d.r, alk_stream_fail_sys(d.r.s, UV_EPIPE, "first"));
  alk_fail(&second, ALK_E_PROTO, 0, "second");
  QUIET(&d.r, alk_stream_fail(d.r.s, &second));
  QUIET(&d.r, alk_stream_close(d.r.s));
  duo_finish(e, &d);
  assert_string_equal(d.r.log, "c");
  assert_true(d.r.failed);
  assert_int_equal(d.r.err.code, ALK_E_SYS);
  assert_int_equal(d.r.err.sys, UV_EPIPE);
  assert_string_equal(d.r.err.msg, "first: broken pipe");
}

/* A write that fails is still no callback from inside a call. */
static void failing_write(void **state)
{
  env_t *e = *state;
  duo_t d = duo(e);
  rec_own(&d.r, d.f->s);
  d.f->write_error = UV_ECONNRESET;
  assert_true(put(&d.r, "a"));
  duo_finish(e, &d);
  assert_string_equal(d.r.log, "c");
  assert_int_equal(d.r.err.sys, UV_ECONNRESET);
}

static void act_after_the_end(rec_t *r, char ev)
{
  if (ev != 'c') return;
  alk_stream_t *s = fake_in(r)->s; /* still there until we return */
  assert_non_null(s);
  QUIET(r, alk_stream_unread(s, "x", 1));
  QUIET(r, alk_stream_resume(s));
  QUIET(r, alk_stream_write(s, "x", 1));
  QUIET(r, alk_stream_close(s));
}

static void calls_inside_on_close(void **state)
{
  env_t *e = *state;
  duo_t d = duo(e);
  rec_own(&d.r, d.f->s);
  d.r.then = act_after_the_end;
  fake_fail(d.f, UV_ECONNRESET);
  settle(e);
  assert_null(d.f->s);
  duo_finish(e, &d);
  assert_string_equal(d.r.log, "c");
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    TEST(a_life_in_order),
    TEST(born_paused),
    TEST(write_and_end_before_open),
    TEST(close_before_open),
    TEST(one_drain_for_a_full_stream),
    TEST(end_behind_a_full_queue),
    TEST(pause_is_immediate),
    TEST(pause_after_resume),
    TEST(unread_comes_first),
    TEST(unread_before_open),
    TEST(unread_inside_on_data),
    TEST(pause_unread_resume_inside_on_data),
    TEST(end_waits_for_unread_bytes),
    TEST(end_waits_for_resume),
    TEST(end_of_a_reading_stream_with_unread_bytes),
    TEST(own_hands_over),
    TEST(nobody_cares),
    TEST(close_inside_each_event),
    TEST(nothing_between_close_and_on_close),
    TEST(the_first_error_counts),
    TEST(failing_write),
    TEST(calls_inside_on_close),
  };
  return cmocka_run_group_tests_name("stream", tests, NULL, NULL);
}
