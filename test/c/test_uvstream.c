/* test_uvstream.c - sockets as streams, against raw peers: tcp over loopback
 * and pipes of a socketpair. Most tests run once for each. */
#include "helpers.h"

static const char tcp[] = "tcp", pipe_kind[] = "pipe";

static void pair(env_t *e, rec_t *r, peer_t *p)
{
  if (e->arg == tcp)
    tcp_pair(e, r, p);
  else
    pipe_pair(e, r, p);
  assert_string_equal(alk_stream_kind(r->s), e->arg);
  r->log[0] = '\0'; /* a pipe is born open, tcp says so */
}

static bool say(rec_t *r, const char *text)
{
  bool room;
  QUIET(r, room = alk_stream_write(r->s, text, strlen(text)));
  return room;
}

static void assert_peer_heard(const peer_t *p, const char *text)
{
  assert_int_equal(alk_buf_size(&p->got), strlen(text));
  assert_memory_equal(alk_buf_head(&p->got), text, strlen(text));
}

/* Writes the pattern in chunks until write() says false; returns how much. */
static size_t write_until_full(rec_t *r, size_t chunk, size_t from)
{
  char *buf = alk_alloc(chunk);
  bool room = true;
  size_t n = from;
  while (room) {
    fill_pattern(buf, chunk, n);
    QUIET(r, room = alk_stream_write(r->s, buf, chunk));
    n += chunk;
  }
  alk_free(buf);
  return n - from;
}

static size_t write_queue(const rec_t *r)
{
  return uv_stream_get_write_queue_size(alk_uvstream_handle(r->s));
}

static void data_both_ways(void **state)
{
  env_t *e = *state;
  rec_t r = {0};
  peer_t p;
  pair(e, &r, &p);
  peer_say(&p, "hello");
  turns(e, 3);
  assert_string_equal(r.log, ""); /* born paused */
  QUIET(&r, alk_stream_resume(r.s));
  RUN_UNTIL(e, alk_buf_size(&r.data) == 5);
  assert_heard(&r, "hello");
  assert_true(say(&r, "hi"));
  assert_true(say(&r, ""));
  PUMP_UNTIL(e, &p, alk_buf_size(&p.got) == 2);
  assert_peer_heard(&p, "hi");
  rec_finish(e, &r);
  assert_string_equal(r.log, "dc");
  assert_false(r.failed);
  peer_close(&p);
}

static void write_drains_at_low_water(void **state)
{
  env_t *e = *state;
  rec_t r = {0};
  peer_t p;
  pair(e, &r, &p);
  size_t sent = write_until_full(&r, 4096, 0);
  assert_true(write_queue(&r) > ALK_LOW_WATER);
  assert_true(write_queue(&r) <= ALK_HIGH_WATER + 4096);
  turns(e, 3);
  assert_int_equal(r.drains, 0);
  PUMP_UNTIL(e, &p, r.drains == 1);
  assert_true(write_queue(&r) <= ALK_LOW_WATER);
  assert_true(write_queue(&r) > 0); /* not only when all has left */
  sent += write_until_full(&r, 100 * 1000, sent);
  PUMP_UNTIL(e, &p, alk_buf_size(&p.got) == sent);
  turns(e, 3);
  assert_string_equal(r.log, "ww"); /* one a false */
  check_pattern(alk_buf_head(&p.got), sent, 0);
  rec_finish(e, &r);
  peer_close(&p);
}

/* Each write that waits costs a request: a peer that makes us write single
 * bytes must not get more memory out of us than one that does not. */
static void tiny_writes_are_counted_in_full(void **state)
{
  env_t *e = *state;
  rec_t r = {0};
  peer_t p;
  pair(e, &r, &p);
  size_t sent = write_until_full(&r, 4096, 0);
  PUMP_UNTIL(e, &p, r.drains == 1);
  assert_true(write_queue(&r) > 0); /* so nothing leaves at once */
  size_t tiny = write_until_full(&r, 1, sent);
  assert_true(tiny > 16);
  assert_true(tiny <= ALK_HIGH_WATER / sizeof(uv_write_t));
  sent += tiny;
  PUMP_UNTIL(e, &p, alk_buf_size(&p.got) == sent);
  turns(e, 3);
  assert_int_equal(r.drains, 2);
  check_pattern(alk_buf_head(&p.got), sent, 0);
  rec_finish(e, &r);
  peer_close(&p);
}

static void end_drains_when_all_has_left(void **state)
{
  env_t *e = *state;
  rec_t r = {0};
  peer_t p;
  pair(e, &r, &p);
  size_t sent = write_until_full(&r, 64 * 1024, 0);
  QUIET(&r, alk_stream_end(r.s));
  QUIET(&r, alk_stream_end(r.s));
  turns(e, 3);
  assert_string_equal(r.log, "");
  while (r.drains == 0) {
    assert_false(p.eof);
    peer_read(&p, 4096);
    uv_run(&e->uv, UV_RUN_NOWAIT);
  }
  assert_int_equal(write_queue(&r), 0);
  QUIET(&r, alk_stream_close(r.s));
  PUMP_UNTIL(e, &p, peer_done(&p));
  assert_true(p.eof); /* in good order: no reset */
  assert_int_equal(alk_buf_size(&p.got), sent);
  check_pattern(alk_buf_head(&p.got), sent, 0);
  rec_finish(e, &r);
  assert_string_equal(r.log, "wc");
  assert_false(r.failed);
  peer_close(&p);
}

/* Nothing waits: the drain comes soon, whatever happens to the reading, and the
 * end leaves although nobody closes. */
static void end_drains_while_paused(void **state)
{
  env_t *e = *state;
  rec_t r = {0};
  peer_t p;
  pair(e, &r, &p);
  QUIET(&r, alk_stream_resume(r.s));
  QUIET(&r, alk_stream_end(r.s));
  QUIET(&r, alk_stream_pause(r.s));
  RUN_UNTIL(e, r.drains == 1);
  PUMP_UNTIL(e, &p, p.eof);
  peer_say(&p, "still here");
  turns(e, 3);
  assert_string_equal(r.log, "w");
  QUIET(&r, alk_stream_resume(r.s));
  RUN_UNTIL(e, alk_buf_size(&r.data) == 10);
  assert_heard(&r, "still here");
  rec_finish(e, &r);
  assert_string_equal(r.log, "wdc");
  assert_false(r.failed);
  peer_close(&p);
}

/* What was put back comes too, and after it the stream reads on. */
static void end_drains_beside_what_was_put_back(void **state)
{
  env_t *e = *state;
  rec_t r = {0};
  peer_t p;
  pair(e, &r, &p);
  QUIET(&r, alk_stream_unread(r.s, "before ", 7));
  QUIET(&r, alk_stream_resume(r.s));
  QUIET(&r, alk_stream_end(r.s));
  RUN_UNTIL(e, r.drains == 1);
  peer_say(&p, "after");
  RUN_UNTIL(e, alk_buf_size(&r.data) == 12);
  assert_heard(&r, "before after");
  rec_finish(e, &r);
  assert_string_equal(r.log, "wdc");
  peer_close(&p);
}

static void close_inside(rec_t *r, char ev)
{
  if (ev == (char) r->count) QUIET(r, alk_stream_close(r->s));
}

/* The close is the end, then: in good order, behind all of the bytes. */
static void close_inside_the_drain_ends(void **state)
{
  env_t *e = *state;
  rec_t r = {.then = close_inside, .count = 'w'};
  peer_t p;
  pair(e, &r, &p);
  say(&r, "all of it");
  QUIET(&r, alk_stream_end(r.s));
  RUN_UNTIL(e, r.closes == 1);
  PUMP_UNTIL(e, &p, peer_done(&p));
  assert_true(p.eof);
  assert_peer_heard(&p, "all of it");
  rec_finish(e, &r);
  assert_string_equal(r.log, "wc");
  assert_false(r.failed);
  peer_close(&p);
}

static void close_before_the_drain(void **state)
{
  env_t *e = *state;
  rec_t r = {0};
  peer_t p;
  pair(e, &r, &p);
  QUIET(&r, alk_stream_end(r.s));
  QUIET(&r, alk_stream_close(r.s));
  RUN_UNTIL(e, r.closes == 1);
  rec_finish(e, &r);
  assert_string_equal(r.log, "c");
  peer_close(&p);
}

/* The peer of a tcp stream can tell a broken stream from a finished one. */
static void close_without_end_resets(void **state)
{
  env_t *e = *state;
  rec_t r = {0};
  peer_t p;
  pair(e, &r, &p);
  QUIET(&r, alk_stream_close(r.s));
  QUIET(&r, alk_stream_close(r.s));
  RUN_UNTIL(e, r.closes == 1);
  PUMP_UNTIL(e, &p, peer_done(&p));
  assert_int_equal(p.error, e->arg == tcp ? ECONNRESET : 0);
  rec_finish(e, &r);
  assert_string_equal(r.log, "c");
  assert_false(r.failed);
  peer_close(&p);
}

static void close_before_the_end_has_left_resets(void **state)
{
  env_t *e = *state;
  rec_t r = {0};
  peer_t p;
  pair(e, &r, &p);
  size_t sent = write_until_full(&r, 64 * 1024, 0);
  QUIET(&r, alk_stream_end(r.s));
  turns(e, 2);
  QUIET(&r, alk_stream_close(r.s));
  RUN_UNTIL(e, r.closes == 1);
  PUMP_UNTIL(e, &p, peer_done(&p));
  assert_true(alk_buf_size(&p.got) < sent);
  assert_int_equal(p.error, e->arg == tcp ? ECONNRESET : 0);
  rec_finish(e, &r);
  assert_string_equal(r.log, "c");
  peer_close(&p);
}

static void we_end_first(void **state)
{
  env_t *e = *state;
  rec_t r = {0};
  peer_t p;
  pair(e, &r, &p);
  QUIET(&r, alk_stream_resume(r.s));
  say(&r, "question");
  QUIET(&r, alk_stream_end(r.s));
  PUMP_UNTIL(e, &p, p.eof);
  assert_peer_heard(&p, "question");
  peer_say(&p, "answer");
  shutdown(p.fd, SHUT_WR);
  RUN_UNTIL(e, r.ends == 1);
  assert_heard(&r, "answer");
  rec_finish(e, &r);
  assert_string_equal(r.log, "wdec");
  assert_false(r.failed);
  peer_close(&p);
}

static void peer_ends_first(void **state)
{
  env_t *e = *state;
  rec_t r = {0};
  peer_t p;
  pair(e, &r, &p);
  QUIET(&r, alk_stream_resume(r.s));
  peer_say(&p, "question");
  shutdown(p.fd, SHUT_WR);
  RUN_UNTIL(e, r.ends == 1);
  assert_heard(&r, "question");
  QUIET(&r, alk_stream_pause(r.s));
  QUIET(&r, alk_stream_resume(r.s));
  turns(e, 3);
  say(&r, "answer");
  QUIET(&r, alk_stream_end(r.s));
  PUMP_UNTIL(e, &p, p.eof && r.drains == 1);
  assert_peer_heard(&p, "answer");
  rec_finish(e, &r);
  assert_string_equal(r.log, "dewc");
  assert_false(r.failed);
  peer_close(&p);
}

/* Bytes and the reset in one wake-up: libuv reads a part and takes the hang-up
 * for an end. A transfer that was cut may not look whole. */
static void a_reset_behind_data_is_no_end(void **state)
{
  env_t *e = *state;
  for (int i = 0; i < 20; i++) {
    peer_t p;
    rec_t r = {0};
    pair(e, &r, &p);
    peer_say(&p, "a part of it");
    peer_reset(&p);
    alk_stream_resume(r.s);
    RUN_UNTIL(e, r.closes == 1);
    assert_int_equal(r.ends, 0);
    assert_true(r.failed);
    assert_int_equal(r.err.sys, UV_ECONNRESET);
    rec_free(&r);
  }
}

static void peer_resets(void **state)
{
  env_t *e = *state;
  rec_t r = {0};
  peer_t p;
  pair(e, &r, &p);
  QUIET(&r, alk_stream_resume(r.s));
  peer_reset(&p);
  RUN_UNTIL(e, r.closes == 1);
  assert_string_equal(r.log, "c");
  assert_true(r.failed);
  assert_int_equal(r.err.code, ALK_E_SYS);
  assert_int_equal(r.err.sys, UV_ECONNRESET);
  assert_string_equal(r.err.msg, "read: connection reset by peer");
  rec_finish(e, &r);
}

static void peer_goes_while_we_only_write(void **state)
{
  env_t *e = *state;
  rec_t r = {0};
  peer_t p;
  pair(e, &r, &p);
  peer_close(&p);
  for (int i = 0; r.closes == 0 && i < 100; i++) {
    if (alk_stream_is_open(r.s)) say(&r, "anybody?");
    turns(e, 1);
  }
  RUN_UNTIL(e, r.closes == 1);
  assert_string_equal(r.log, "c");
  assert_true(r.failed);
  assert_true(r.err.sys == UV_EPIPE || r.err.sys == UV_ECONNRESET);
  assert_memory_equal(r.err.msg, "write: ", 7);
  rec_finish(e, &r);
}

static void peer_goes_while_we_wait_for_drain(void **state)
{
  env_t *e = *state;
  rec_t r = {0};
  peer_t p;
  pair(e, &r, &p);
  write_until_full(&r, 64 * 1024, 0);
  turns(e, 2);
  peer_close(&p); /* with our bytes unread: tcp resets */
  RUN_UNTIL(e, r.closes == 1);
  assert_string_equal(r.log, "c");
  assert_true(r.failed);
  rec_finish(e, &r);
}

/* The peer answers early and goes. We write on and fail, but the answer is
 * still to be read, whether or not we have ended meanwhile. */
static void early_answer(env_t *e, bool ends, bool full)
{
  rec_t r = {0};
  peer_t p;
  pair(e, &r, &p);
  QUIET(&r, alk_stream_resume(r.s));
  if (full)
    write_until_full(&r, 64 * 1024, 0);
  else
    say(&r, "a request that the peer does not read");
  turns(e, 2);
  peer_say(&p, "go away");
  peer_close(&p);
  say(&r, "more");
  say(&r, "and more");
  if (ends) QUIET(&r, alk_stream_end(r.s));
  RUN_UNTIL(e, r.closes == 1);
  assert_heard(&r, "go away");
  /* Whether the error was seen by the write or by the read is the kernel's. */
  assert_true(strcmp(r.log, "dec") == 0 || strcmp(r.log, "dc") == 0);
  assert_true(r.failed);
  rec_finish(e, &r);
}

static void failed_write_still_reads(void **state)
{
  early_answer(*state, false, false);
}

static void failed_write_then_end_still_reads(void **state)
{
  early_answer(*state, true, false);
}

static void failed_full_write_still_reads(void **state)
{
  early_answer(*state, false, true);
}

static void failed_full_write_then_end_still_reads(void **state)
{
  early_answer(*state, true, true);
}

/* The same while nobody reads: the answer waits for whoever reads on, and the
 * error behind it. */
static void early_answer_unread(env_t *e, bool ends, bool full)
{
  rec_t r = {0};
  peer_t p;
  pair(e, &r, &p);
  if (full)
    write_until_full(&r, 64 * 1024, 0);
  else
    say(&r, "a request that the peer does not read");
  turns(e, 2);
  peer_say(&p, "go away");
  peer_close(&p);
  for (int i = 0; i < 10; i++) {
    say(&r, "more");
    turns(e, 2);
  }
  if (ends) QUIET(&r, alk_stream_end(r.s));
  turns(e, 10);
  assert_string_equal(r.log, "");
  QUIET(&r, alk_stream_resume(r.s));
  RUN_UNTIL(e, r.closes == 1);
  assert_heard(&r, "go away");
  assert_true(strcmp(r.log, "dec") == 0 || strcmp(r.log, "dc") == 0);
  assert_true(r.failed);
  rec_finish(e, &r);
}

static void failed_write_keeps_what_is_unread(void **state)
{
  early_answer_unread(*state, false, false);
  early_answer_unread(*state, true, false);
}

static void failed_full_write_keeps_what_is_unread(void **state)
{
  early_answer_unread(*state, false, true);
  early_answer_unread(*state, true, true);
}

/* What was put back is unread, too. */
static void failed_write_keeps_what_was_put_back(void **state)
{
  env_t *e = *state;
  rec_t r = {0};
  peer_t p;
  pair(e, &r, &p);
  QUIET(&r, alk_stream_unread(r.s, "before", 6));
  peer_close(&p);
  for (int i = 0; i < 10; i++) {
    say(&r, "anybody?");
    turns(e, 2);
  }
  assert_string_equal(r.log, "");
  QUIET(&r, alk_stream_resume(r.s));
  RUN_UNTIL(e, r.closes == 1);
  assert_heard(&r, "before");
  assert_true(r.failed);
  rec_finish(e, &r);
}

/* Writes until the socket takes no more, or max bytes are in it. */
static size_t fill_socket(const peer_t *p, size_t max)
{
  static char buf[64 * 1024];
  int size = (int) max;
  setsockopt(p->fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size);
  setsockopt(p->fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
  size_t n = 0;
  while (n < max) {
    fill_pattern(buf, sizeof buf, n);
    ssize_t put = write(p->fd, buf, sizeof buf);
    if (put < 0) break;
    n += (size_t) put;
  }
  return n;
}

/* However much has come, a turn of the loop takes no more than a burst. */
static void bursts_end(void **state)
{
  enum { BURST = 2 * ALK_READ_BUF, WANTED = 6 * ALK_READ_BUF };
  env_t *e = *state;
  rec_t r = {0};
  peer_t p;
  pipe_pair(e, &r, &p);
  size_t sent = fill_socket(&p, WANTED);
  if (sent <= BURST) print_message("skipped: sockets hold %zu bytes\n", sent);
  QUIET(&r, alk_stream_resume(r.s));
  for (size_t before = 0; before < sent; before = alk_buf_size(&r.data)) {
    turns(e, 1);
    assert_true(alk_buf_size(&r.data) - before <= BURST);
    assert_true(alk_buf_size(&r.data) > before);
  }
  check_pattern(alk_buf_head(&r.data), sent, 0);
  peer_say(&p, "more");
  RUN_UNTIL(e, alk_buf_size(&r.data) == sent + 4);
  rec_finish(e, &r);
  peer_close(&p);
}

static void pause_inside(rec_t *r, char ev)
{
  if (ev == 'd') QUIET(r, alk_stream_pause(r->s));
}

static void pause_is_immediate(void **state)
{
  env_t *e = *state;
  rec_t r = {.then = pause_inside};
  peer_t p;
  size_t size = 2 * ALK_READ_BUF, sent = 0;
  char *buf = alk_alloc(size);
  pair(e, &r, &p);
  fill_pattern(buf, size, 0);
  QUIET(&r, alk_stream_resume(r.s));
  while (alk_buf_size(&r.data) < size) {
    ssize_t n = sent < size ? write(p.fd, buf + sent, size - sent) : 0;
    if (n > 0) sent += (size_t) n;
    turns(e, 2);
    size_t before = alk_buf_size(&r.data);
    turns(e, 2);
    assert_int_equal(alk_buf_size(&r.data), before);
    QUIET(&r, alk_stream_resume(r.s));
    QUIET(&r, alk_stream_resume(r.s));
  }
  check_pattern(alk_buf_head(&r.data), size, 0);
  shutdown(p.fd, SHUT_WR);
  RUN_UNTIL(e, r.ends == 1);
  rec_finish(e, &r);
  peer_close(&p);
  alk_free(buf);
}

/* Keeps one byte of what it hears and puts the rest back, every time, while
 * the kernel has more: the order must hold. */
static void unread_inside(rec_t *r, char ev)
{
  size_t held = alk_buf_size(&r->data), keep = (size_t) r->count + 1;
  if (ev != 'd' || r->count == 30 || held <= keep) return;
  QUIET(r, alk_stream_unread(r->s, (const char *) alk_buf_head(&r->data) + keep,
                             held - keep));
  r->data.len -= held - keep;
  r->count++;
}

static void unread_keeps_the_order(void **state)
{
  env_t *e = *state;
  rec_t r = {.then = unread_inside};
  peer_t p;
  pair(e, &r, &p);
  peer_say(&p, "abcdefghijklmnopqrstuvwxyz0123456789 ABCDEFGHIJ");
  QUIET(&r, alk_stream_resume(r.s));
  RUN_UNTIL(e, r.count >= 1);
  assert_true(r.count < 30);
  peer_say(&p, "KLMNOP");
  shutdown(p.fd, SHUT_WR);
  RUN_UNTIL(e, r.ends == 1);
  assert_int_equal(r.count, 30);
  assert_heard(&r, "abcdefghijklmnopqrstuvwxyz0123456789 ABCDEFGHIJKLMNOP");
  rec_finish(e, &r);
  peer_close(&p);
}

static void close_inside_each_event(void **state)
{
  env_t *e = *state;
  for (const char *ev = "dew"; *ev != '\0'; ev++) {
    rec_t r = {.then = close_inside, .count = *ev};
    peer_t p;
    pair(e, &r, &p);
    QUIET(&r, alk_stream_resume(r.s));
    peer_say(&p, "data");
    shutdown(p.fd, SHUT_WR);
    if (*ev == 'w') QUIET(&r, alk_stream_end(r.s));
    RUN_UNTIL(e, r.closes == 1);
    assert_int_equal(r.log[strlen(r.log) - 2], *ev);
    rec_finish(e, &r);
    peer_close(&p);
  }
}

static void write_and_end_before_open(void **state)
{
  env_t *e = *state;
  rec_t r = {0};
  peer_t p;
  uint16_t port;
  int ln = raw_listen(&port);
  rec_own(&r, alk_tcp_connect(e->l, "127.0.0.1", port));
  assert_false(alk_stream_is_open(r.s));
  QUIET(&r, alk_stream_resume(r.s));
  assert_true(say(&r, "too "));
  assert_true(say(&r, "early"));
  QUIET(&r, alk_stream_end(r.s));
  RUN_UNTIL(e, r.drains == 1);
  assert_string_equal(r.log, "ow");
  peer_init(&p, accept4(ln, NULL, NULL, SOCK_CLOEXEC));
  PUMP_UNTIL(e, &p, p.eof);
  assert_peer_heard(&p, "too early");
  peer_say(&p, "not at all");
  peer_close(&p);
  RUN_UNTIL(e, r.ends == 1);
  assert_heard(&r, "not at all");
  rec_finish(e, &r);
  assert_false(r.failed);
  close(ln);
}

static void high_water_before_open(void **state)
{
  env_t *e = *state;
  rec_t r = {0};
  peer_t p;
  uint16_t port;
  int ln = raw_listen(&port);
  rec_own(&r, alk_tcp_connect(e->l, "127.0.0.1", port));
  size_t sent = write_until_full(&r, 4096, 0);
  assert_true(sent <= ALK_HIGH_WATER);
  RUN_UNTIL(e, r.opens == 1);
  peer_init(&p, accept4(ln, NULL, NULL, SOCK_CLOEXEC));
  PUMP_UNTIL(e, &p, alk_buf_size(&p.got) == sent);
  turns(e, 3);
  assert_string_equal(r.log, "ow");
  check_pattern(alk_buf_head(&p.got), sent, 0);
  rec_finish(e, &r);
  peer_close(&p);
  close(ln);
}

static void end_inside_open(rec_t *r, char ev)
{
  if (ev != 'o') return;
  say(r, "all I have");
  QUIET(r, alk_stream_end(r->s));
}

static void write_and_end_inside_on_open(void **state)
{
  env_t *e = *state;
  rec_t r = {.then = end_inside_open};
  peer_t p;
  tcp_pair(e, &r, &p);
  PUMP_UNTIL(e, &p, p.eof);
  assert_peer_heard(&p, "all I have");
  RUN_UNTIL(e, r.drains == 1);
  rec_finish(e, &r);
  assert_string_equal(r.log, "owc");
  assert_false(r.failed);
  peer_close(&p);
}

static void close_inside_on_open(void **state)
{
  env_t *e = *state;
  rec_t r = {.then = close_inside, .count = 'o'};
  peer_t p;
  tcp_pair(e, &r, &p);
  rec_finish(e, &r);
  assert_string_equal(r.log, "oc");
  peer_close(&p);
}

static void an_unref_stream_keeps_no_loop_up(void **state)
{
  env_t *e = *state;
  rec_t r = {0};
  peer_t p;
  pair(e, &r, &p);
  QUIET(&r, alk_stream_resume(r.s));
  turns(e, 2);
  assert_true(uv_loop_alive(&e->uv));
  QUIET(&r, alk_stream_ref(r.s, false));
  assert_false(uv_loop_alive(&e->uv));
  QUIET(&r, alk_stream_ref(r.s, true));
  assert_true(uv_loop_alive(&e->uv));
  rec_finish(e, &r);
  peer_close(&p);
}

static void pipe_of_a_bad_descriptor(void **state)
{
  env_t *e = *state;
  int fd = open("/", O_PATH | O_CLOEXEC); /* cannot be made non-blocking */
  assert_true(fd >= 0);
  assert_null(alk_pipe_open(e->l, fd));
  assert_int_equal(fcntl(fd, F_GETFD), -1);
  assert_int_equal(errno, EBADF);
}

#define BOTH(f) TEST_OF("tcp " #f, f, tcp), TEST_OF("pipe " #f, f, pipe_kind)

int main(void)
{
  const struct CMUnitTest tests[] = {
    BOTH(data_both_ways),
    BOTH(write_drains_at_low_water),
    BOTH(tiny_writes_are_counted_in_full),
    BOTH(end_drains_when_all_has_left),
    BOTH(end_drains_while_paused),
    BOTH(end_drains_beside_what_was_put_back),
    BOTH(close_inside_the_drain_ends),
    BOTH(close_before_the_drain),
    BOTH(close_without_end_resets),
    BOTH(close_before_the_end_has_left_resets),
    BOTH(we_end_first),
    BOTH(peer_ends_first),
    TEST_OF("tcp reset behind data", a_reset_behind_data_is_no_end, tcp),
    TEST_OF("tcp peer_resets", peer_resets, tcp),
    BOTH(peer_goes_while_we_only_write),
    BOTH(peer_goes_while_we_wait_for_drain),
    BOTH(failed_write_still_reads),
    BOTH(failed_write_then_end_still_reads),
    BOTH(failed_full_write_still_reads),
    BOTH(failed_full_write_then_end_still_reads),
    BOTH(failed_write_keeps_what_is_unread),
    BOTH(failed_full_write_keeps_what_is_unread),
    BOTH(failed_write_keeps_what_was_put_back),
    BOTH(pause_is_immediate),
    BOTH(unread_keeps_the_order),
    BOTH(close_inside_each_event),
    BOTH(an_unref_stream_keeps_no_loop_up),
    TEST(bursts_end),
    TEST(write_and_end_before_open),
    TEST(high_water_before_open),
    TEST(write_and_end_inside_on_open),
    TEST(close_inside_on_open),
    TEST(pipe_of_a_bad_descriptor),
  };
  return cmocka_run_group_tests_name("uvstream", tests, NULL, NULL);
}
