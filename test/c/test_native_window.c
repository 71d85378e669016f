/* test_native_window.c - the arithmetic of windows, alone and in a model of a
 * link: a sender with something to say, a delay, a bandwidth, and a reader. At
 * every step no byte of window may be made or lost. */
/* cmocka.h does not include what it uses: it comes after these. */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */
#include <string.h>

#include "ssh/native/window.h"

enum {
  MIB = 1024 * 1024,
  PACKET = 32 * 1024,
  RING = 4096,
  ROOM = 62 * MIB,
  LEAST = 16 * 1024,
  FOREVER = 1 << 30
};

typedef struct {
  uint64_t at_us;
  uint32_t len;
} event_t;

typedef struct { /* in flight, oldest first */
  event_t e[RING];
  unsigned first, len;
  uint64_t bytes;
} pipe_t;

typedef struct {
  /* The link and its ends; rates in bytes a us. */
  uint32_t rtt_us, step_us;
  double link, says, reads; /* 0: no limit */
  uint32_t pause_us;        /* the reader sleeps so long, then reads all */
  uint32_t rest_us;         /* the reader rests so long of six times that */
  uint32_t burst_us;        /* the sender says 1 MiB every so often */
  uint32_t nap_us; /* the sender sleeps but for 2 ms of every so many */
  uint32_t max;
  uint64_t room;
  /* The run. */
  uint64_t now_us, got, adjusts;
  double link_has, says_has, reads_has, burst_left;
  uint32_t peer_left, unread;
  uint64_t next_read_us;
  pipe_t data, back;
  window_t w;
} sim_t;

static void put(pipe_t *p, uint64_t at_us, uint32_t len)
{
  assert_true(p->len < RING);
  p->e[(p->first + p->len++) % RING] = (event_t){at_us, len};
  p->bytes += len;
}

static uint32_t get(pipe_t *p, uint64_t now_us)
{
  if (p->len == 0 || p->e[p->first].at_us > now_us) return 0;
  uint32_t len = p->e[p->first].len;
  p->first = (p->first + 1) % RING;
  p->len--;
  p->bytes -= len;
  return len;
}

/* What a rate lets through in a step; what is not used does not pile up. */
static void refill(double *has, double rate, uint32_t step_us)
{
  double most = rate * step_us + PACKET;
  *has += rate * step_us;
  if (rate <= 0) *has = FOREVER;
  if (rate > 0 && *has > most) *has = most;
}

static uint32_t least(double a, double b)
{
  double v = a < b ? a : b;
  return v > 0 ? (uint32_t) v : 0;
}

static void send_some(sim_t *m)
{
  if (m->nap_us > 0 && m->now_us % m->nap_us > 2000) return;
  for (;;) {
    uint32_t n = least(least(m->link_has, m->says_has), m->peer_left);
    if (n > PACKET) n = PACKET;
    if (n == 0 || (n < PACKET && n < m->peer_left)) return;
    put(&m->data, m->now_us + m->rtt_us / 2, n);
    m->peer_left -= n;
    m->link_has -= n;
    m->says_has -= n;
    m->burst_left -= n;
  }
}

static void read_some(sim_t *m)
{
  uint32_t n = least(m->reads_has, m->unread);
  if (m->rest_us > 0 && m->now_us % (6 * m->rest_us) < m->rest_us) return;
  if (m->pause_us > 0 && m->now_us < m->next_read_us) return;
  if (m->pause_us > 0) m->next_read_us = m->now_us + m->pause_us;
  if (n == 0) return;
  window_eat(&m->w, n);
  m->unread -= n;
  m->reads_has -= n;
}

static void check(const sim_t *m)
{
  assert_int_equal(m->w.size, (uint64_t) m->w.left + m->w.eaten + m->unread);
  assert_int_equal(m->w.left, m->peer_left + m->data.bytes + m->back.bytes);
  assert_true(m->w.size <= m->max);
}

static void burst(sim_t *m)
{
  if (m->now_us == 0) m->burst_left = 0;
  if (m->now_us % m->burst_us == 0) m->burst_left += MIB;
  m->says_has = m->burst_left;
}

static void step(sim_t *m)
{
  uint64_t ms = 5000000000 + m->now_us / 1000; /* 32 bits run over */
  uint32_t n;
  refill(&m->link_has, m->link, m->step_us);
  refill(&m->says_has, m->says, m->step_us);
  refill(&m->reads_has, m->reads, m->step_us);
  if (m->burst_us > 0) burst(m);
  while ((n = get(&m->back, m->now_us)) > 0)
    assert_true(window_add(&m->peer_left, n));
  send_some(m);
  while ((n = get(&m->data, m->now_us)) > 0) {
    assert_true(window_take(&m->w, n, ms));
    m->unread += n;
    m->got += n;
  }
  read_some(m);
  uint32_t before = m->w.size;
  n = window_adjust(&m->w, m->max, m->room, ms);
  m->room = m->room + before - m->w.size;
  if (n > 0) {
    put(&m->back, m->now_us + m->rtt_us / 2, n);
    m->adjusts++;
  }
  check(m);
  m->now_us += m->step_us;
}

static void run(sim_t *m, double seconds)
{
  uint64_t until = m->now_us + (uint64_t) (seconds * 1e6);
  if (m->w.size == 0) {
    if (m->max == 0) m->max = WINDOW_MAX_DEFAULT;
    if (m->room == 0) m->room = ROOM;
    window_init(&m->w, window_first(m->max, LEAST, m->room));
    m->peer_left = m->w.size;
  }
  while (m->now_us < until)
    step(m);
}

/* Bytes a us in the next while. */
static double rate_of(sim_t *m, double seconds)
{
  uint64_t before = m->got;
  run(m, seconds);
  return (double) (m->got - before) / (seconds * 1e6);
}

static void a_long_fat_link_gets_it_all(void **state)
{
  (void) state;
  static sim_t m = {.rtt_us = 100000, .step_us = 100, .link = 125};
  run(&m, 3);
  assert_int_equal(m.w.size, WINDOW_MAX_DEFAULT);
  assert_true(rate_of(&m, 2) > 0.9 * m.link);
}

/* What is given back late is missing on the way: of 16 MiB not a quarter. */
static void a_longer_link_gets_all_that_the_largest_carries(void **state)
{
  (void) state;
  static sim_t m = {.rtt_us = 160000, .step_us = 100, .link = 125};
  run(&m, 4);
  assert_int_equal(m.w.size, WINDOW_MAX_DEFAULT);
  assert_true(rate_of(&m, 2) > 0.95 * WINDOW_MAX_DEFAULT / m.rtt_us);
}

static void a_middling_link_gets_what_it_needs(void **state)
{
  (void) state;
  static sim_t m = {.rtt_us = 20000, .step_us = 100, .link = 125};
  run(&m, 5); /* 2.5 MB are on the way */
  assert_true(m.w.size == 4 * MIB || m.w.size == 8 * MIB);
  assert_true(rate_of(&m, 2) > 0.95 * m.link);
}

static void a_link_that_2_mib_fill_gets_no_more(void **state)
{
  (void) state;
  static sim_t m = {.rtt_us = 10000, .step_us = 100, .link = 100};
  run(&m, 5); /* 1 MB is on the way */
  assert_int_equal(m.w.size, WINDOW_START);
  assert_true(rate_of(&m, 2) > 0.95 * m.link);
}

/* It answers an adjustment when it has a processor again: that is no way. */
static void a_busy_sender_is_no_long_way(void **state)
{
  (void) state;
  static sim_t m = {.rtt_us = 60, .step_us = 10, .link = 1500, .nap_us = 20000};
  run(&m, 5);
  assert_int_equal(m.w.size, WINDOW_START);
}

static void loopback_stays_as_it_is(void **state)
{
  (void) state;
  static sim_t m = {.rtt_us = 60, .step_us = 10, .link = 1500};
  run(&m, 3);
  assert_int_equal(m.w.size, WINDOW_START);
  assert_true(rate_of(&m, 1) > 0.95 * m.link);
}

static void a_slow_reader_gets_no_more(void **state)
{
  (void) state;
  static sim_t m = {.rtt_us = 100000, .step_us = 100, .link = 125, .reads = 1};
  run(&m, 30);
  assert_int_equal(m.w.size, WINDOW_START);
}

static void a_reader_that_sleeps_gets_no_more(void **state)
{
  (void) state;
  static sim_t m = {
    .rtt_us = 20000, .step_us = 100, .link = 125, .pause_us = 700000};
  run(&m, 30);
  assert_int_equal(m.w.size, WINDOW_START);
}

static void a_slow_sender_gets_no_more(void **state)
{
  (void) state;
  static sim_t m = {.rtt_us = 100000, .step_us = 100, .link = 125, .says = 2};
  run(&m, 30);
  assert_int_equal(m.w.size, WINDOW_START);
}

/* Each burst ends just at an edge, which looks like a window that is used up.
 */
static void bursts_get_no_more(void **state)
{
  (void) state;
  static sim_t m = {
    .rtt_us = 1000, .step_us = 100, .link = 1000, .burst_us = 1500000};
  run(&m, 60);
  assert_int_equal(m.w.size, WINDOW_START);
  assert_true(m.got >= 39 * (uint64_t) MIB);
}

static void memory_bounds_growth(void **state)
{
  (void) state;
  static sim_t m = {
    .rtt_us = 100000, .step_us = 100, .link = 125, .room = 3 * MIB};
  run(&m, 5);
  assert_int_equal(m.room, 0);
  assert_int_equal(m.w.size, LEAST + 3 * MIB / WINDOW_SHARE + 3 * MIB);
}

static void the_option_bounds_growth(void **state)
{
  (void) state;
  static sim_t m = {
    .rtt_us = 100000, .step_us = 100, .link = 125, .max = 3 * MIB};
  run(&m, 5);
  assert_int_equal(m.w.size, 3 * MIB);
}

static void the_smallest_window_works(void **state)
{
  (void) state;
  static sim_t m = {.rtt_us = 60, .step_us = 10, .link = 100, .room = 1};
  run(&m, 1);
  assert_int_equal(m.w.size, LEAST);
  assert_true(m.got > 10 * MIB);
}

/* What came while the reader stood still is there, and no more comes on top;
 * where he goes on slowly the window becomes a small one, and is given back. */
static void a_reader_who_falls_behind_gets_less(void **state)
{
  (void) state;
  static sim_t m = {.rtt_us = 100000, .step_us = 100, .link = 125};
  run(&m, 3);
  assert_int_equal(m.w.size, WINDOW_MAX_DEFAULT);
  uint64_t room = m.room;
  m.reads = 0.000001;
  run(&m, 1);
  assert_int_equal(m.w.size, WINDOW_MAX_DEFAULT);
  assert_int_equal(m.unread + m.w.eaten, WINDOW_MAX_DEFAULT);
  m.reads = 2;
  run(&m, 20);
  assert_int_equal(m.w.size, WINDOW_SLOW_MAX);
  assert_int_equal(m.room, room + WINDOW_MAX_DEFAULT - WINDOW_SLOW_MAX);
  assert_true(rate_of(&m, 20) > 0.95 * m.reads);
  m.reads = 0;
  run(&m, 3);
  assert_int_equal(m.w.size, WINDOW_MAX_DEFAULT);
  assert_true(rate_of(&m, 2) > 0.9 * m.link);
}

/* Half as fast as the way, or with a rest of half a round trip now and then. */
static void a_reader_who_keeps_pace_keeps_it_all(void **state)
{
  (void) state;
  static sim_t m = {.rtt_us = 100000, .step_us = 100, .link = 125};
  run(&m, 3);
  m.reads = 62;
  run(&m, 5);
  assert_int_equal(m.w.size, WINDOW_MAX_DEFAULT);
  m.reads = 0;
  m.pause_us = 50000;
  run(&m, 5);
  assert_int_equal(m.w.size, WINDOW_MAX_DEFAULT);
}

/* And has no time to catch up: his window is full when he rests. Half of it is
 * enough for him, the smallest is not. */
static void a_reader_who_rests_stays_as_fast(void **state)
{
  (void) state;
  static sim_t m = {.rtt_us = 100000,
                    .step_us = 100,
                    .link = 125,
                    .reads = 60,
                    .rest_us = 100000};
  run(&m, 6);
  assert_true(rate_of(&m, 18) > 0.95 * m.reads * 5 / 6);
  assert_true(m.w.size > WINDOW_SLOW_MAX);
}

/* All that there can be, one after the other, as conn.c has it. */
static uint64_t promised_to_all(uint64_t memory, uint32_t channels)
{
  uint32_t least = window_least(memory, channels);
  uint64_t promised = 0;
  for (uint32_t i = 0; i < channels; i++) {
    uint64_t kept = (uint64_t) (channels - i) * least;
    if (kept > memory / WINDOW_KEPT) kept = memory / WINDOW_KEPT;
    uint64_t taken = promised + kept;
    uint64_t room = taken < memory ? memory - taken : 0;
    uint32_t size = window_first(WINDOW_MAX_DEFAULT, least, room);
    assert_true(size >= least && size <= WINDOW_START);
    if (memory == WINDOW_MEMORY_DEFAULT && i < 4)
      assert_int_equal(size, WINDOW_START);
    if (memory == WINDOW_MEMORY_DEFAULT && i < 64)
      assert_true(size >= WINDOW_MIN);
    promised += size;
  }
  return promised;
}

static void first_sizes(void **state)
{
  (void) state;
  uint32_t max = WINDOW_MAX_DEFAULT;
  assert_true(promised_to_all(WINDOW_MEMORY_DEFAULT, 1024) <=
              WINDOW_MEMORY_DEFAULT);
  assert_true(promised_to_all(WINDOW_MEMORY_DEFAULT, 16384) <=
              WINDOW_MEMORY_DEFAULT);
  assert_true(promised_to_all(WINDOW_MEMORY_DEFAULT, 65536) <=
              WINDOW_MEMORY_DEFAULT + 65536 * WINDOW_TINY);
  assert_true(promised_to_all(MIB, 256) <= MIB);
  assert_true(promised_to_all(MIB, 1024) <= 2 * MIB);
  assert_int_equal(window_least(WINDOW_MEMORY_DEFAULT, 1024), LEAST);
  assert_int_equal(window_least(UINT32_MAX, 1), WINDOW_MIN);
  assert_int_equal(window_first(1000, LEAST, UINT64_MAX / 2), 1000);
  assert_int_equal(window_first(max, LEAST, UINT64_MAX / 2), WINDOW_START);
  assert_int_equal(window_first(max, LEAST, 0), LEAST);
}

static void overuse_is_refused(void **state)
{
  (void) state;
  window_t w;
  window_init(&w, 1000);
  assert_true(window_take(&w, 600, 1));
  window_t before = w;
  assert_false(window_take(&w, 401, 1));
  assert_memory_equal(&w, &before, sizeof w);
  assert_true(window_take(&w, 0, 1));
  assert_true(window_take(&w, 400, 1));
  assert_false(window_take(&w, 1, 1));
  assert_true(window_take(&w, 0, 1));
}

static void adjustments_wait_for_company(void **state)
{
  (void) state;
  window_t w;
  window_init(&w, 1000);
  assert_false(window_is_due(&w));
  assert_int_equal(window_adjust(&w, 1000, 0, 1), 0);
  assert_true(window_take(&w, 500, 1));
  assert_false(window_is_due(&w)); /* came, but is not consumed */
  window_eat(&w, 249);
  assert_false(window_is_due(&w));
  assert_int_equal(window_adjust(&w, 1000, 0, 1), 0);
  window_eat(&w, 1);
  assert_true(window_is_due(&w));
  assert_int_equal(window_adjust(&w, 1000, 0, 1), 250);
  assert_int_equal(w.left, 750);
  assert_false(window_is_due(&w));
}

/* A channel may rest for 2^32 ms, and its peer can choose when it goes on. */
static void a_round_of_49_days_is_no_round(void **state)
{
  (void) state;
  const uint64_t begin = 1000, later = begin + ((uint64_t) 1 << 32);
  window_t w;
  window_init(&w, 1000);
  assert_true(window_take(&w, 300, begin));
  window_eat(&w, 300);
  assert_int_equal(window_adjust(&w, 4000, 4000, begin), 300);
  assert_true(window_take(&w, 1000, begin)); /* beyond the edge in no time */
  window_eat(&w, 1000);
  assert_int_equal(window_adjust(&w, 4000, 4000, begin), 1000);
  assert_true(window_take(&w, 500, begin + 5)); /* it had stood still */
  assert_true(w.stalled);
  assert_int_equal(w.rtt_ms, 0);
  window_eat(&w, 500);
  assert_int_equal(window_adjust(&w, 4000, 4000, later), 500);
  assert_int_equal(w.size, 1000);
}

static void the_peers_window_cannot_overflow(void **state)
{
  (void) state;
  uint32_t left = 0;
  assert_true(window_add(&left, 0));
  assert_true(window_add(&left, UINT32_MAX));
  assert_true(window_add(&left, 0));
  assert_false(window_add(&left, 1));
  assert_false(window_add(&left, UINT32_MAX));
  assert_int_equal(left, UINT32_MAX);
}

static uint32_t dice(uint32_t below)
{
  static uint64_t x = 88172645463325252;
  x ^= x << 13;
  x ^= x >> 7;
  x ^= x << 17;
  return (uint32_t) (x >> 16) % below;
}

/* Whatever comes in whatever order at whatever time. */
static void no_order_breaks_the_sums(void **state)
{
  (void) state;
  for (int run_no = 0; run_no < 200; run_no++) {
    uint64_t now = UINT32_MAX - 50, given = 0, taken = 0;
    uint32_t unread = 0, max = 1000 + dice(100000);
    window_t w;
    window_init(&w, 1000);
    given = w.size;
    for (int i = 0; i < 2000; i++) {
      uint32_t n = dice(600);
      now += dice(4) == 0 ? dice(40) : 0;
      if (window_take(&w, n, now)) {
        taken += n;
        unread += n;
      } else {
        assert_true(taken + n > given);
      }
      n = dice(unread + 1);
      window_eat(&w, n);
      unread -= n;
      given += window_adjust(&w, max, 5000, now);
      assert_int_equal(given - taken, w.left);
      assert_int_equal(w.size, w.left + w.eaten + unread);
      assert_true(w.size <= max);
    }
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_long_fat_link_gets_it_all),
    cmocka_unit_test(a_longer_link_gets_all_that_the_largest_carries),
    cmocka_unit_test(a_middling_link_gets_what_it_needs),
    cmocka_unit_test(a_link_that_2_mib_fill_gets_no_more),
    cmocka_unit_test(a_busy_sender_is_no_long_way),
    cmocka_unit_test(loopback_stays_as_it_is),
    cmocka_unit_test(a_slow_reader_gets_no_more),
    cmocka_unit_test(a_reader_that_sleeps_gets_no_more),
    cmocka_unit_test(a_slow_sender_gets_no_more),
    cmocka_unit_test(bursts_get_no_more),
    cmocka_unit_test(memory_bounds_growth),
    cmocka_unit_test(the_option_bounds_growth),
    cmocka_unit_test(the_smallest_window_works),
    cmocka_unit_test(a_reader_who_falls_behind_gets_less),
    cmocka_unit_test(a_reader_who_keeps_pace_keeps_it_all),
    cmocka_unit_test(a_reader_who_rests_stays_as_fast),
    cmocka_unit_test(first_sizes),
    cmocka_unit_test(overuse_is_refused),
    cmocka_unit_test(adjustments_wait_for_company),
    cmocka_unit_test(a_round_of_49_days_is_no_round),
    cmocka_unit_test(the_peers_window_cannot_overflow),
    cmocka_unit_test(no_order_breaks_the_sums),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
