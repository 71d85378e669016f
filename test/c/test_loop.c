/* test_loop.c - deferred tasks run in order and starve nobody; the teardown
 * closes everything, at any moment. */
#include "helpers.h"

typedef struct {
  alk_task_t task; /* first */
  env_t *e;
  char name;
  int again; /* how often it defers itself */
  alk_task_t *defer, *cancel;
  bool close_loop;
} job_t;

static char ran[4096];
static size_t ran_len;

static void run_job(alk_task_t *t)
{
  job_t *j = (job_t *) (void *) t;
  assert_false(alk_task_is_queued(t));
  assert_true(ran_len + 1 < sizeof ran);
  ran[ran_len++] = j->name;
  ran[ran_len] = '\0';
  if (j->defer != NULL) alk_loop_defer(j->e->l, j->defer);
  if (j->cancel != NULL) alk_task_cancel(j->e->l, j->cancel);
  if (j->again-- > 0) alk_loop_defer(j->e->l, t);
  if (j->close_loop) env_close(j->e);
}

static job_t job(env_t *e, char name)
{
  ran_len = 0;
  ran[0] = '\0';
  return (job_t){.task.run = run_job, .e = e, .name = name};
}

static void tasks_run_in_order_and_later(void **state)
{
  env_t *e = *state;
  job_t a = job(e, 'a'), b = job(e, 'b'), c = job(e, 'c');
  alk_loop_defer(e->l, &b.task);
  alk_loop_defer(e->l, &a.task);
  alk_loop_defer(e->l, &c.task);
  alk_loop_defer(e->l, &b.task); /* already there */
  assert_string_equal(ran, "");
  uv_run(&e->uv, UV_RUN_DEFAULT); /* ends: nothing is left */
  assert_string_equal(ran, "bac");
}

static void tasks_can_be_forgotten(void **state)
{
  env_t *e = *state;
  job_t a = job(e, 'a'), b = job(e, 'b'), c = job(e, 'c');
  alk_task_cancel(e->l, &a.task); /* not queued */
  a.cancel = &b.task;             /* in the same pass */
  alk_loop_defer(e->l, &a.task);
  alk_loop_defer(e->l, &b.task);
  alk_loop_defer(e->l, &c.task);
  alk_task_cancel(e->l, &c.task);
  uv_run(&e->uv, UV_RUN_DEFAULT);
  assert_string_equal(ran, "a");
  alk_loop_defer(e->l, &c.task);
  alk_task_cancel(e->l, &c.task);
  uv_run(&e->uv, UV_RUN_DEFAULT);
  assert_string_equal(ran, "a");
}

static void a_chain_costs_no_extra_turn(void **state)
{
  env_t *e = *state;
  job_t a = job(e, 'a'), b = job(e, 'b'), c = job(e, 'c');
  a.defer = &b.task;
  b.defer = &c.task;
  alk_loop_defer(e->l, &a.task);
  uv_run(&e->uv, UV_RUN_NOWAIT);
  assert_string_equal(ran, "abc");
}

static void on_timer(uv_timer_t *t)
{
  job_t *j = t->data;
  j->again = 0;
  uv_close((uv_handle_t *) t, NULL);
}

static void an_endless_task_starves_nobody(void **state)
{
  env_t *e = *state;
  job_t a = job(e, 'a');
  uv_timer_t timer;
  a.again = 1000000;
  alk_loop_defer(e->l, &a.task);
  uv_run(&e->uv, UV_RUN_NOWAIT);
  size_t in_a_turn = ran_len;
  assert_true(in_a_turn > 1);
  assert_int_equal(uv_timer_init(&e->uv, &timer), 0);
  timer.data = &a;
  assert_int_equal(uv_timer_start(&timer, on_timer, 0, 0), 0);
  uv_run(&e->uv, UV_RUN_DEFAULT);
  assert_true(ran_len <= 4 * in_a_turn);
}

/* A task that is deferred while the loop polls wakes it: no sleep between. */
static void a_task_wakes_the_loop(void **state)
{
  env_t *e = *state;
  job_t a = job(e, 'a');
  rec_t r = {0};
  peer_t p;
  pipe_pair(e, &r, &p);
  QUIET(&r, alk_stream_resume(r.s)); /* keeps the loop polling */
  alk_loop_defer(e->l, &a.task);
  uv_run(&e->uv, UV_RUN_ONCE);
  assert_string_equal(ran, "a");
  rec_finish(e, &r);
  peer_close(&p);
}

typedef struct {
  alk_limit_t limit; /* first */
  env_t *e;
  char name;
  uint64_t told; /* when */
  alk_limit_t *start, *stop;
} late_t;

static void be_late(alk_limit_t *t)
{
  late_t *a = (late_t *) (void *) t;
  assert_false(t->running);
  a->told = uv_now(&a->e->uv);
  ran[ran_len++] = a->name;
  ran[ran_len] = '\0';
  if (a->start != NULL) alk_limit_start(a->e->l, a->start, 1);
  if (a->stop != NULL) alk_limit_stop(a->e->l, a->stop);
}

static late_t late(env_t *e, char name)
{
  ran_len = 0;
  ran[0] = '\0';
  return (late_t){.limit.late = be_late, .e = e, .name = name};
}

/* Those that passed in one turn, as on a slow machine, come in any order. */
static void limits_pass_after_their_time(void **state)
{
  env_t *e = *state;
  late_t a = late(e, 'a'), b = late(e, 'b'), c = late(e, 'c');
  alk_limit_start(e->l, &c.limit, 30);
  alk_limit_start(e->l, &a.limit, 1);
  alk_limit_start(e->l, &b.limit, 15);
  uint64_t began = uv_now(&e->uv);
  assert_string_equal(ran, "");
  SPIN_UNTIL(e, ran_len == 3);
  assert_true(a.told >= began + 1);
  assert_true(b.told >= began + 15);
  assert_true(c.told >= began + 30);
  assert_true(a.told <= b.told && b.told <= c.told);
}

static void limits_can_be_stopped_and_begun_anew(void **state)
{
  env_t *e = *state;
  late_t a = late(e, 'a'), b = late(e, 'b');
  alk_limit_stop(e->l, &a.limit); /* not running */
  alk_limit_start(e->l, &a.limit, 1);
  alk_limit_start(e->l, &b.limit, 1);
  alk_limit_start(e->l, &b.limit, 5); /* anew: later */
  alk_limit_stop(e->l, &a.limit);
  SPIN_UNTIL(e, ran_len == 1);
  uint64_t now = uv_now(&e->uv);
  SPIN_UNTIL(e, uv_now(&e->uv) > now + 5);
  assert_string_equal(ran, "b");
}

/* One that is told may start itself, start others and stop others. */
static void limits_inside_limits(void **state)
{
  env_t *e = *state;
  late_t a = late(e, 'a'), b = late(e, 'b'), c = late(e, 'c');
  a.start = &c.limit;
  a.stop = &b.limit;
  alk_limit_start(e->l, &a.limit, 1);
  alk_limit_start(e->l, &b.limit, 1);
  SPIN_UNTIL(e, ran_len == 2);
  assert_string_equal(ran, "ac");
  a.start = &a.limit;
  alk_limit_start(e->l, &a.limit, 1);
  SPIN_UNTIL(e, ran_len >= 4);
  alk_limit_stop(e->l, &a.limit);
  assert_memory_equal(ran, "acaa", 4);
}

/* Both are due when the loop comes round, as after a stop of the process. */
static void what_is_ready_is_not_late(void **state)
{
  env_t *e = *state;
  job_t a = job(e, 'a');
  late_t b = late(e, 'b'), c = late(e, 'c');
  a.again = 1; /* and what comes of it */
  alk_limit_start(e->l, &b.limit, 1);
  alk_limit_start(e->l, &c.limit, 1);
  alk_loop_defer(e->l, &a.task);
  uint64_t passed = b.limit.at > c.limit.at ? b.limit.at : c.limit.at;
  while (uv_hrtime() / 1000000 <= passed)
    ; /* a long turn */
  uv_run(&e->uv, UV_RUN_NOWAIT);
  assert_int_equal(ran_len, 4);
  assert_memory_equal(ran, "aa", 2);
}

static void limits_keep_no_loop_alive(void **state)
{
  env_t *e = *state;
  late_t a = late(e, 'a');
  alk_limit_start(e->l, &a.limit, 1000);
  assert_int_equal(uv_run(&e->uv, UV_RUN_DEFAULT), 0);
  alk_limit_stop(e->l, &a.limit);
}

static void idle_loop_keeps_nothing_alive(void **state)
{
  env_t *e = *state;
  assert_int_equal(uv_run(&e->uv, UV_RUN_DEFAULT), 0);
  assert_non_null(alk_loop_read_buf(e->l));
  assert_ptr_equal(alk_loop_read_buf(e->l), alk_loop_read_buf(e->l));
  assert_ptr_equal(alk_loop_uv(e->l), &e->uv);
  assert_int_equal(alk_loop_live(e->l), 0);
}

/* Something alive whose closing takes some turns of the loop. */
typedef struct thing thing_t;
struct thing {
  alk_live_t live;
  alk_task_t task;
  env_t *e;
  int turns, closes;
  thing_t *heir; /* born when this one is gone */
};

static void thing_close(alk_live_t *o);

static void thing_born(env_t *e, thing_t *t, int n)
{
  t->e = e;
  t->turns = n;
  alk_live_add(e->l, &t->live, thing_close);
}

static void thing_step(alk_task_t *task)
{
  thing_t *t = (thing_t *) (void *) ((char *) task - offsetof(thing_t, task));
  if (t->turns-- > 0) {
    alk_loop_defer(t->e->l, task);
    return;
  }
  if (t->heir != NULL) thing_born(t->e, t->heir, 3);
  alk_live_remove(t->e->l, &t->live);
}

static void thing_close(alk_live_t *o)
{
  thing_t *t = (thing_t *) (void *) ((char *) o - offsetof(thing_t, live));
  if (t->closes++ > 0) return;
  t->task.run = thing_step;
  alk_loop_defer(t->e->l, &t->task);
}

static void close_of_an_empty_loop(void **state)
{
  env_t *e = *state;
  env_close(e);
  uv_run(&e->uv, UV_RUN_DEFAULT);
  assert_true(e->idle);
}

static void close_waits_for_all(void **state)
{
  env_t *e = *state;
  thing_t t[3] = {0};
  for (int i = 0; i < 3; i++)
    thing_born(e, &t[i], 20 * i);
  assert_int_equal(alk_loop_live(e->l), 3);
  turns(e, 2);
  assert_int_equal(t[0].closes, 0);
  env_close(e);
  uv_run(&e->uv, UV_RUN_DEFAULT);
  assert_true(e->idle);
  for (int i = 0; i < 3; i++) {
    assert_true(t[i].closes > 0);
    assert_int_equal(t[i].turns, -1);
  }
}

/* Whoever is born during the teardown is closed too, or it would never end. */
static void close_meets_the_late_born(void **state)
{
  env_t *e = *state;
  thing_t t[3] = {{.heir = &t[1]}, {.heir = &t[2]}};
  thing_born(e, &t[0], 2);
  env_close(e);
  uv_run(&e->uv, UV_RUN_DEFAULT);
  assert_true(e->idle);
  assert_true(t[2].closes > 0);
}

static void close_inside_a_task(void **state)
{
  env_t *e = *state;
  job_t a = job(e, 'a'), b = job(e, 'b');
  thing_t t = {0};
  thing_born(e, &t, 5);
  a.close_loop = true;
  a.defer = &b.task;
  alk_loop_defer(e->l, &a.task);
  uv_run(&e->uv, UV_RUN_DEFAULT);
  assert_true(e->idle);
  assert_string_equal(ran, "ab");
}

static env_t *env_of_hook;

static void close_loop_inside(rec_t *r, char ev)
{
  if (ev == (char) r->count) QUIET(r, env_close(env_of_hook));
}

static void close_inside_each_event(void **state)
{
  (void) state;
  for (const char *ev = "odewc"; *ev != '\0'; ev++) {
    env_t *own = env_new();
    rec_t r = {.then = close_loop_inside, .count = *ev};
    peer_t p;
    env_of_hook = own;
    tcp_pair(own, &r, &p);
    if (!own->closing) peer_say(&p, "data");
    shutdown(p.fd, SHUT_WR);
    if (*ev != 'o') QUIET(&r, alk_stream_resume(r.s));
    if (*ev == 'w') QUIET(&r, alk_stream_end(r.s));
    if (*ev == 'c') QUIET(&r, alk_stream_close(r.s));
    uv_run(&own->uv, UV_RUN_DEFAULT);
    assert_true(own->idle);
    assert_int_equal(r.closes, 1);
    assert_false(r.failed);
    rec_free(&r);
    peer_close(&p);
    env_free(own);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    TEST(tasks_run_in_order_and_later),
    TEST(tasks_can_be_forgotten),
    TEST(a_chain_costs_no_extra_turn),
    TEST(an_endless_task_starves_nobody),
    TEST(a_task_wakes_the_loop),
    TEST(idle_loop_keeps_nothing_alive),
    TEST(limits_pass_after_their_time),
    TEST(limits_can_be_stopped_and_begun_anew),
    TEST(limits_inside_limits),
    TEST(what_is_ready_is_not_late),
    TEST(limits_keep_no_loop_alive),
    TEST(close_of_an_empty_loop),
    TEST(close_waits_for_all),
    TEST(close_meets_the_late_born),
    TEST(close_inside_a_task),
    TEST(close_inside_each_event),
  };
  return cmocka_run_group_tests_name("loop", tests, NULL, NULL);
}
