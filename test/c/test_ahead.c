/* test_ahead.c - how far a TCP socket is filled: the arithmetic, and what a
 * stream does with it. What it is for takes a slow way: bench/scenes/slow.js.
 */
#include <netinet/tcp.h>

#include "core/ahead.h"

#include "helpers.h"

enum { SEGMENT = 1448, MS = 1000 /* microseconds */ };

static void follows_the_rate(void **state)
{
  (void) state;
  /* 20 Mbit/s and 50 ms: 125,000 bytes a round trip, half of that in 25 ms */
  assert_int_equal(alk_ahead_of(125, 1000, 50 * MS), 62500);
  /* the same way with a queue that doubles window and round trip */
  assert_int_equal(alk_ahead_of(250, 1000, 100 * MS), 62500);
  assert_int_equal(alk_ahead_of(10, SEGMENT, 100 * MS), AHEAD_MIN);
  assert_int_equal(alk_ahead_of(2500, 1000, 100 * MS), 625000);
  /* 1 Gbit/s, and loopback */
  assert_int_equal(alk_ahead_of(8640, SEGMENT, 100 * MS), AHEAD_FREE);
  assert_int_equal(alk_ahead_of(10, 65483, 20), AHEAD_FREE);
}

static void takes_any_numbers(void **state)
{
  (void) state;
  const uint32_t all[] = {0, 1, INT32_MAX, UINT32_MAX};
  for (int i = 0; i < 64; i++) {
    uint32_t n = alk_ahead_of(all[i % 4], all[i / 4 % 4], all[i / 16]);
    if (n != AHEAD_FREE) assert_in_range(n, AHEAD_MIN, AHEAD_FREE_RATE);
  }
}

static void leaves_others_alone(void **state)
{
  (void) state;
  int fds[2];
  assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
  assert_int_equal(alk_ahead_limit(fds[0]), AHEAD_FREE);
  assert_int_equal(alk_ahead_limit(-1), AHEAD_FREE);
  close(fds[0]);
  close(fds[1]);
}

typedef struct {
  rec_t got;
  alk_listener_t *ln;
} reader_t;

static void on_stream(alk_listener_t *ln, alk_stream_t *s)
{
  reader_t *reader = alk_listener_data(ln);
  rec_own(&reader->got, s);
}

static void on_listener_close(alk_listener_t *ln)
{
  reader_t *reader = alk_listener_data(ln);
  reader->ln = NULL;
}

static const alk_listener_events_t events = {
  .on_stream = on_stream,
  .on_close = on_listener_close,
};

/* Only a socket that has refused bytes is asked; all the same each arrives. */
static void limits_a_full_socket(void **state)
{
  env_t *e = *state;
  enum { CHUNK = 64 * 1024 };
  static const char chunk[CHUNK];
  rec_t r = {0};
  reader_t reader = {0};
  alk_err_t err = {0};
  alk_addr_t at = {0};
  size_t sent = 0;
  reader.ln = alk_tcp_listen(e->l, "127.0.0.1", 0, &events, &reader, &err);
  assert_true(alk_listener_address(reader.ln, &at));
  rec_own(&r, alk_tcp_connect(e->l, "127.0.0.1", at.port));
  RUN_UNTIL(e, r.opens == 1 && reader.got.s != NULL);
  alk_stream_write(r.s, chunk, 1);
  assert_int_equal(tcp_option(r.s, TCP_NOTSENT_LOWAT), 0);
  bool takes_more = true;
  while (takes_more) {
    QUIET(&r, takes_more = alk_stream_write(r.s, chunk, CHUNK));
    sent += CHUNK;
  }
  assert_in_range(tcp_option(r.s, TCP_NOTSENT_LOWAT), AHEAD_MIN, AHEAD_FREE);
  assert_in_range(alk_stream_high(r.s), AHEAD_MIN / 4, ALK_HIGH_WATER);
  assert_int_equal(r.drains, 0);
  alk_stream_resume(reader.got.s);
  RUN_UNTIL(e, alk_buf_size(&reader.got.data) == sent + 1 && r.drains == 1);
  rec_finish(e, &r);
  rec_finish(e, &reader.got);
  alk_listener_close(reader.ln);
  RUN_UNTIL(e, reader.ln == NULL);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(follows_the_rate),
    cmocka_unit_test(takes_any_numbers),
    cmocka_unit_test(leaves_others_alone),
    TEST(limits_a_full_socket),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
