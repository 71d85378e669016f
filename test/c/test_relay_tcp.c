/* test_relay_tcp.c - a relay between two raw tcp peers: volume, slow readers
 * and sudden deaths. The orders of events are test_relay.c's. */
#include "core/relay.h"

#include "helpers.h"

typedef struct {
  env_t *e;
  int calls;
  bool failed;
  uint64_t a_to_b, b_to_a;
  alk_stream_t *s[2];
  peer_t peer[2];
} wire_t;

static void on_relay_close(const alk_err_t *err, uint64_t a_to_b,
                           uint64_t b_to_a, void *data)
{
  wire_t *w = data;
  w->calls++;
  w->failed = err != NULL;
  w->a_to_b = a_to_b;
  w->b_to_a = b_to_a;
}

static void wire(env_t *e, wire_t *w)
{
  rec_t a = {0}, b = {0};
  *w = (wire_t){.e = e};
  tcp_pair(e, &a, &w->peer[0]);
  tcp_pair(e, &b, &w->peer[1]);
  w->s[0] = a.s;
  w->s[1] = b.s;
  alk_relay(a.s, b.s, on_relay_close, w);
}

static void wire_finish(wire_t *w)
{
  RUN_UNTIL(w->e, w->calls == 1);
  peer_close(&w->peer[0]);
  peer_close(&w->peer[1]);
}

/* Writes what fits of the pattern; returns where it has come to. */
static uint64_t peer_pour(const peer_t *p, uint64_t from, uint64_t size)
{
  static char buf[251 * 1000];
  static bool filled;
  if (!filled) fill_pattern(buf, sizeof buf, 0);
  filled = true;
  size_t off = (size_t) (from % sizeof buf), len = sizeof buf - off;
  if (len > size - from) len = (size_t) (size - from);
  ssize_t n = len > 0 ? write(p->fd, buf + off, len) : 0;
  return n > 0 ? from + (uint64_t) n : from;
}

static void check_heard(peer_t *p, uint64_t *from)
{
  size_t len = alk_buf_size(&p->got);
  if (len > 0) check_pattern(alk_buf_head(&p->got), len, *from);
  alk_buf_consume(&p->got, len);
  *from += len;
}

static void volume_with_a_slow_reader(void **state)
{
  enum { SIZE = 64 * 1024 * 1024, SIP = 32 * 1024 };
  wire_t w;
  uint64_t sent = 0, heard = 0;
  bool was_full = false;
  wire(*state, &w);
  while (!w.peer[1].eof) {
    if (sent < SIZE && (sent = peer_pour(&w.peer[0], sent, SIZE)) == SIZE)
      shutdown(w.peer[0].fd, SHUT_WR);
    uv_run(&w.e->uv, UV_RUN_NOWAIT);
    size_t queue = uv_stream_get_write_queue_size(alk_uvstream_handle(w.s[1]));
    assert_true(queue <= ALK_HIGH_WATER + ALK_READ_BUF);
    was_full |= queue > alk_stream_high(w.s[1]) / 4;
    peer_read(&w.peer[1], SIP);
    check_heard(&w.peer[1], &heard);
  }
  assert_true(was_full); /* or the reader was not slow */
  assert_true(heard == SIZE);
  peer_say(&w.peer[1], "thanks");
  shutdown(w.peer[1].fd, SHUT_WR);
  PUMP_UNTIL(w.e, &w.peer[0], w.peer[0].eof);
  assert_int_equal(alk_buf_size(&w.peer[0].got), 6);
  RUN_UNTIL(w.e, w.calls == 1);
  assert_false(w.failed);
  assert_true(w.a_to_b == SIZE);
  assert_true(w.b_to_a == 6);
  wire_finish(&w);
}

/* The reader is killed in the middle: the writer is told by a reset. */
static void reader_killed(void **state)
{
  for (uint64_t moment = 0; moment < 4; moment++) {
    wire_t w;
    uint64_t sent = 0, heard = 0, size = 16 * 1024 * 1024;
    wire(*state, &w);
    while (heard < moment * 1000 * 1000 || sent == 0) {
      sent = peer_pour(&w.peer[0], sent, size);
      uv_run(&w.e->uv, UV_RUN_NOWAIT);
      peer_read(&w.peer[1], 64 * 1024);
      check_heard(&w.peer[1], &heard);
    }
    if (moment % 2 == 0)
      peer_reset(&w.peer[1]);
    else
      peer_close(&w.peer[1]);
    while (!peer_done(&w.peer[0])) {
      sent = peer_pour(&w.peer[0], sent, size * 4);
      uv_run(&w.e->uv, UV_RUN_NOWAIT);
      peer_read(&w.peer[0], 1024);
    }
    RUN_UNTIL(w.e, w.calls == 1);
    assert_true(w.failed);
    wire_finish(&w);
  }
}

/* An upload that is answered early ("413, go away") by a server that closes:
 * the client hears the answer and then the end, and the relay is over, even
 * though the upload never stops and the relay was full when it broke. */
static void early_answer(env_t *e, bool stops)
{
  wire_t w;
  uint64_t sent = 0;
  wire(e, &w);
  size_t queue = 0;
  while (queue < alk_stream_high(w.s[1])) {
    sent = peer_pour(&w.peer[0], sent, UINT64_MAX);
    uv_run(&e->uv, UV_RUN_NOWAIT);
    queue = uv_stream_get_write_queue_size(alk_uvstream_handle(w.s[1]));
  }
  if (stops) shutdown(w.peer[0].fd, SHUT_WR);
  turns(e, 2);
  peer_say(&w.peer[1], "go away");
  turns(e, 1);
  peer_close(&w.peer[1]);
  PUMP_UNTIL(e, &w.peer[0], w.calls == 1 && peer_done(&w.peer[0]));
  assert_int_equal(alk_buf_size(&w.peer[0].got), 7);
  assert_memory_equal(alk_buf_head(&w.peer[0].got), "go away", 7);
  assert_true(w.failed); /* not all that was uploaded has arrived */
  wire_finish(&w);
}

static void early_answer_to_an_endless_upload(void **state)
{
  early_answer(*state, false);
}

static void early_answer_to_an_ended_upload(void **state)
{
  early_answer(*state, true);
}

static void loop_closes_under_a_relay(void **state)
{
  env_t *own = env_new();
  wire_t w;
  (void) state;
  wire(own, &w);
  peer_say(&w.peer[0], "hello");
  turns(own, 2);
  env_close(own);
  wire_finish(&w);
  assert_false(w.failed);
  env_free(own);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    TEST(volume_with_a_slow_reader),
    TEST(reader_killed),
    TEST(early_answer_to_an_endless_upload),
    TEST(early_answer_to_an_ended_upload),
    TEST(loop_closes_under_a_relay),
  };
  return cmocka_run_group_tests_name("relay_tcp", tests, NULL, NULL);
}
