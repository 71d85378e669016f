/* test_parcel.c - things from one thread to another: each has one owner, and
 * none is lost. */
#include <sys/resource.h>

#include "core/parcel.h"

#include "helpers.h"

typedef struct {
  int drops;
} thing_t;

static void drop_thing(void *thing)
{
  ((thing_t *) thing)->drops++;
}

static const alk_parcel_kind_t one_kind = {.drop = drop_thing};
static const alk_parcel_kind_t other_kind = {.drop = drop_thing};

static void is_taken_once(void **state)
{
  env_t *e = *state;
  thing_t a = {0}, b = {0};
  uint64_t first = alk_parcel_send(e->l, &one_kind, &a);
  uint64_t second = alk_parcel_send(e->l, &one_kind, &b);
  assert_true(first != 0 && second != 0 && first != second);
  assert_null(alk_parcel_take(0, &one_kind));
  assert_null(alk_parcel_take(second + 1, &one_kind));
  assert_null(alk_parcel_take(second, &other_kind));
  assert_ptr_equal(alk_parcel_take(second, &one_kind), &b);
  assert_null(alk_parcel_take(second, &one_kind));
  assert_ptr_equal(alk_parcel_take(first, &one_kind), &a);
  /* The end of the list was taken off it: it goes on. */
  uint64_t third = alk_parcel_send(e->l, &one_kind, &a);
  assert_true(third > second);
  assert_ptr_equal(alk_parcel_take(third, &one_kind), &a);
  alk_parcel_drop(first);
  alk_parcel_drop(0);
  assert_int_equal(a.drops + b.drops, 0);
}

static void is_dropped_by_number_or_with_its_loop(void **state)
{
  env_t *e = *state;
  thing_t mine = {0}, dropped = {0}, others = {0};
  const alk_loop_t *other = (const alk_loop_t *) (const void *) &others;
  (void) alk_parcel_send(e->l, &one_kind, &mine);
  uint64_t number = alk_parcel_send(e->l, &one_kind, &dropped);
  uint64_t kept = alk_parcel_send(other, &one_kind, &others);
  (void) alk_parcel_send(e->l, &other_kind, &mine);
  alk_parcel_drop(number);
  alk_parcel_drop(number);
  assert_int_equal(dropped.drops, 1);
  alk_parcel_drop_all(e->l);
  assert_int_equal(mine.drops, 2);
  assert_int_equal(dropped.drops, 1);
  assert_int_equal(others.drops, 0);
  assert_ptr_equal(alk_parcel_take(kept, &one_kind), &others);
}

enum { ROUNDS = 2000 };

/* Two threads after the same things: one takes, the other drops. */
typedef struct {
  uint64_t numbers[ROUNDS];
  int got;
  bool takes;
} racer_t;

static void race(void *data)
{
  racer_t *r = data;
  for (int i = 0; i < ROUNDS; i++) {
    if (!r->takes)
      alk_parcel_drop(r->numbers[i]);
    else if (alk_parcel_take(r->numbers[i], &one_kind) != NULL)
      r->got++;
  }
}

static void has_one_owner_whoever_is_first(void **state)
{
  env_t *e = *state;
  static racer_t racers[3];
  static thing_t things[ROUNDS];
  uv_thread_t threads[3];
  for (int i = 0; i < ROUNDS; i++) {
    uint64_t number = alk_parcel_send(e->l, &one_kind, &things[i]);
    for (int j = 0; j < 3; j++)
      racers[j].numbers[i] = number;
  }
  for (int j = 0; j < 3; j++) {
    racers[j].takes = j < 2;
    assert_int_equal(uv_thread_create(&threads[j], race, &racers[j]), 0);
  }
  for (int j = 0; j < 3; j++)
    uv_thread_join(&threads[j]);
  int drops = 0;
  for (int i = 0; i < ROUNDS; i++)
    drops += things[i].drops;
  assert_int_equal(racers[0].got + racers[1].got + drops, ROUNDS);
}

/* ---- connections */

static void a_connection_goes_on_at_another_loop(void **state)
{
  env_t *e = *state;
  rec_t r = {0}, there = {0};
  peer_t peer;
  alk_err_t err = {0};
  tcp_pair(e, &r, &peer);
  peer_say(&peer, "early");
  uint64_t number = 0;
  QUIET(&r, number = alk_tcp_send(r.s, &err));
  assert_true(number != 0);
  RUN_UNTIL(e, r.closes == 1);
  assert_false(r.failed);
  rec_own(&there, alk_tcp_take(e->l, number, &err));
  assert_true(alk_stream_is_open(there.s));
  assert_null(alk_tcp_take(e->l, number, &err));
  assert_int_equal(err.code, ALK_E_CLOSED);
  QUIET(&there, alk_stream_resume(there.s));
  RUN_UNTIL(e, alk_buf_size(&there.data) == 5);
  alk_stream_write(there.s, "answer", 6);
  alk_stream_end(there.s);
  RUN_UNTIL(e, there.drains == 1);
  rec_finish(e, &there);
  /* It was not left in a state in which its end is a reset. */
  PUMP_UNTIL(e, &peer, peer_done(&peer));
  assert_int_equal(peer.error, 0);
  assert_int_equal(alk_buf_size(&peer.got), 6);
  peer_close(&peer);
  rec_free(&r);
}

static void a_connection_that_nobody_takes_is_closed(void **state)
{
  env_t *e = *state;
  rec_t r = {0};
  peer_t peer;
  alk_err_t err = {0};
  tcp_pair(e, &r, &peer);
  uint64_t number = alk_tcp_send(r.s, &err);
  RUN_UNTIL(e, r.closes == 1);
  peer_read(&peer, 1);
  assert_false(peer_done(&peer)); /* until then its peer hears nothing */
  alk_parcel_drop(number);
  PUMP_UNTIL(e, &peer, peer_done(&peer));
  peer_close(&peer);
  rec_free(&r);
}

static void only_an_open_tcp_stream_is_sent(void **state)
{
  env_t *e = *state;
  rec_t r = {0}, opening = {0};
  peer_t peer;
  alk_err_t err = {0};
  pipe_pair(e, &r, &peer);
  assert_int_equal(alk_tcp_send(r.s, &err), 0);
  assert_int_equal(err.code, ALK_E_OPTION);
  rec_own(&opening, alk_tcp_connect(e->l, "127.0.0.1", dead_port()));
  assert_int_equal(alk_tcp_send(opening.s, &err), 0);
  assert_int_equal(r.closes + opening.closes, 0); /* they are as they were */
  rec_finish(e, &r);
  rec_finish(e, &opening);
  peer_close(&peer);
}

/* Its connection stays where it was. */
static void no_descriptor_is_left_for_it(void **state)
{
  env_t *e = *state;
  rec_t r = {0};
  peer_t peer;
  alk_err_t err = {0};
  struct rlimit limit, none;
  tcp_pair(e, &r, &peer);
  assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
  none = limit;
  none.rlim_cur = 0;
  assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
  uint64_t number = alk_tcp_send(r.s, &err);
  assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
  assert_int_equal(number, 0);
  /* The kernel says EINVAL where the limit is below what may be chosen from,
   * valgrind EMFILE. */
  assert_true(err.sys == UV_EINVAL || err.sys == UV_EMFILE);
  peer_say(&peer, "here");
  QUIET(&r, alk_stream_resume(r.s));
  RUN_UNTIL(e, alk_buf_size(&r.data) == 4);
  rec_finish(e, &r);
  peer_close(&peer);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    TEST(is_taken_once),
    TEST(is_dropped_by_number_or_with_its_loop),
    TEST(has_one_owner_whoever_is_first),
    TEST(a_connection_goes_on_at_another_loop),
    TEST(a_connection_that_nobody_takes_is_closed),
    TEST(only_an_open_tcp_stream_is_sent),
    TEST(no_descriptor_is_left_for_it),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
