/* helpers.h - what the tests of csrc/core and csrc/net share: a loop that must
 * end empty, an owner that records what it hears, and raw sockets as peers.
 *
 * Every fixture ends with no live object, uv_loop_close() == 0 and as many open
 * descriptors as it began with. Nothing sleeps and no port is fixed; a test
 * that would wait for ever is ended by the watchdog. */
#ifndef ALK_TEST_HELPERS_H
#define ALK_TEST_HELPERS_H

/* cmocka.h does not include what it uses: it comes after these. */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <uv.h>

#include "core/buf.h"
#include "core/mem.h"
#include "core/uvstream.h"

#include "net/net.h"

/* Long enough for valgrind on a slow machine. */
#ifndef WATCHDOG_SECONDS
#  define WATCHDOG_SECONDS 240
#endif

enum { FDS_MAX = 1024 };

typedef struct {
  uv_loop_t uv;
  alk_loop_t *l;
  bool closing, idle; /* alk_loop_close was called; on_idle came */
  int fds;            /* open when the fixture began */
  void (*test)(void **state);
  const void *arg; /* what the test was registered with */
  bool passed;
} env_t;

/* A test, and which kind of thing it is to be run with. */
typedef struct {
  void (*test)(void **state);
  const void *arg;
} case_t;

static inline int count_fds(void)
{
  int n = 0;
  for (int fd = 0; fd < FDS_MAX; fd++)
    if (fcntl(fd, F_GETFD) != -1) n++;
  return n;
}

static inline env_t *env_new(void)
{
  env_t *e = calloc(1, sizeof *e);
  assert_non_null(e);
  e->fds = count_fds();
  assert_int_equal(uv_loop_init(&e->uv), 0);
  e->l = alk_loop_new(&e->uv);
  return e;
}

static inline void env_on_idle(void *data)
{
  env_t *e = data;
  assert_false(e->idle);
  e->idle = true;
}

static inline void env_close(env_t *e)
{
  if (e->closing) return;
  e->closing = true;
  alk_loop_close(e->l, env_on_idle, e);
  assert_false(e->idle); /* from the loop, not from inside the call */
}

/* Closings that a test began may finish here; nothing may be left open. */
static inline void env_free(env_t *e)
{
  while (!e->closing && alk_loop_live(e->l) > 0)
    if (uv_run(&e->uv, UV_RUN_ONCE) == 0) break;
  if (!e->closing) assert_int_equal(alk_loop_live(e->l), 0);
  env_close(e);
  uv_run(&e->uv, UV_RUN_DEFAULT);
  assert_true(e->idle);
  assert_int_equal(uv_loop_close(&e->uv), 0);
  assert_int_equal(count_fds(), e->fds);
  free(e);
}

static inline int env_setup(void **state)
{
  static bool warm; /* libuv opens its signal pipe once and keeps it */
  signal(SIGPIPE, SIG_IGN);
  alarm(WATCHDOG_SECONDS);
  if (!warm) {
    uv_loop_t uv;
    assert_int_equal(uv_loop_init(&uv), 0);
    assert_int_equal(uv_loop_close(&uv), 0);
    warm = true;
  }
  const case_t *c = *state;
  env_t *e = env_new();
  e->test = c->test;
  e->arg = c->arg;
  *state = e;
  return 0;
}

static inline void env_run(void **state)
{
  env_t *e = *state;
  e->test(state);
  e->passed = true;
}

/* A failed test has left its stack, and with it what the events go to: its
 * loop must not run again. */
static inline int env_teardown(void **state)
{
  env_t *e = *state;
  if (e->passed) env_free(e);
  return 0;
}

#define TEST_OF(name, f, arg)                         \
  {                                                   \
    name, env_run, env_setup, env_teardown, &(case_t) \
    {                                                 \
      f, arg                                          \
    }                                                 \
  }
#define TEST(f) TEST_OF(#f, f, NULL)

/* What the kernel says of a tcp stream. option: TCP_*, of one number. */
static inline unsigned tcp_option(alk_stream_t *s, int option)
{
  uv_os_fd_t fd;
  unsigned value = 0;
  socklen_t len = sizeof value;
  assert_int_equal(uv_fileno((uv_handle_t *) alk_uvstream_handle(s), &fd), 0);
  assert_int_equal(getsockopt(fd, IPPROTO_TCP, option, &value, &len), 0);
  return value;
}

static inline void turns(env_t *e, int n)
{
  while (n-- > 0)
    uv_run(&e->uv, UV_RUN_NOWAIT);
}

static inline void on_spin_again(uv_idle_t *idle)
{
  (void) idle; /* only keeps the loop alive and from sleeping */
}

/* Turns the loop until cond: for time limits, which keep no loop alive. */
#define SPIN_UNTIL(e, cond)                                    \
  do {                                                         \
    uv_idle_t spin_;                                           \
    assert_int_equal(uv_idle_init(&(e)->uv, &spin_), 0);       \
    assert_int_equal(uv_idle_start(&spin_, on_spin_again), 0); \
    while (!(cond))                                            \
      uv_run(&(e)->uv, UV_RUN_NOWAIT);                         \
    uv_close((uv_handle_t *) &spin_, NULL);                    \
    uv_run(&(e)->uv, UV_RUN_NOWAIT);                           \
  } while (0)

/* Fails, instead of waiting, when nothing is left that could make it true. */
#define RUN_UNTIL(e, cond)                    \
  do {                                        \
    int alive_ = 1;                           \
    while (!(cond) && alive_)                 \
      alive_ = uv_run(&(e)->uv, UV_RUN_ONCE); \
    assert_true(cond);                        \
  } while (0)

/* An owner that records: one letter an event, runs of data as one. */
typedef struct rec rec_t;
struct rec {
  alk_stream_t *s; /* NULL: closed */
  char log[64];    /* o open, d data, e end, w drain, c close */
  int opens, ends, drains, closes;
  alk_buf_t data;
  bool failed;
  alk_err_t err;
  bool in_call;                    /* law 1: no event may come meanwhile */
  void (*then)(rec_t *r, char ev); /* what the test does inside an event */
  int count;                       /* for then */
};

/* Calls into a stream; an event from inside the call fails the test. */
#define QUIET(r, call)    \
  do {                    \
    (r)->in_call = true;  \
    call;                 \
    (r)->in_call = false; \
  } while (0)

static inline void rec_note(rec_t *r, char ev)
{
  size_t len = strlen(r->log);
  assert_false(r->in_call);
  assert_int_equal(r->closes, 0);
  if (ev == 'd' && len > 0 && r->log[len - 1] == 'd') return;
  assert_true(len + 1 < sizeof r->log);
  r->log[len] = ev;
}

static inline void rec_open(alk_stream_t *s)
{
  rec_t *r = alk_stream_data(s);
  rec_note(r, 'o');
  r->opens++;
  if (r->then != NULL) r->then(r, 'o');
}

static inline void rec_data(alk_stream_t *s, const char *buf, size_t len)
{
  rec_t *r = alk_stream_data(s);
  rec_note(r, 'd');
  alk_buf_add(&r->data, buf, len);
  if (r->then != NULL) r->then(r, 'd');
}

static inline void rec_end(alk_stream_t *s)
{
  rec_t *r = alk_stream_data(s);
  rec_note(r, 'e');
  r->ends++;
  if (r->then != NULL) r->then(r, 'e');
}

static inline void rec_drain(alk_stream_t *s)
{
  rec_t *r = alk_stream_data(s);
  rec_note(r, 'w');
  r->drains++;
  if (r->then != NULL) r->then(r, 'w');
}

static inline void rec_close(alk_stream_t *s, const alk_err_t *err)
{
  rec_t *r = alk_stream_data(s);
  rec_note(r, 'c');
  assert_ptr_equal(r->s, s);
  r->closes++;
  r->s = NULL;
  r->failed = err != NULL;
  if (err != NULL) r->err = *err;
  if (r->then != NULL) r->then(r, 'c');
}

static const alk_owner_t rec_owner = {
  .on_open = rec_open,
  .on_data = rec_data,
  .on_end = rec_end,
  .on_drain = rec_drain,
  .on_close = rec_close,
};

static inline void rec_own(rec_t *r, alk_stream_t *s)
{
  r->s = s;
  alk_stream_own(s, &rec_owner, r);
}

static inline void rec_free(rec_t *r)
{
  alk_buf_free(&r->data);
}

static inline void assert_heard(const rec_t *r, const char *text)
{
  assert_int_equal(alk_buf_size(&r->data), strlen(text));
  if (*text != '\0')
    assert_memory_equal(alk_buf_head(&r->data), text, strlen(text));
}

/* Closes and waits for the answer. */
static inline void rec_finish(env_t *e, rec_t *r)
{
  if (r->s != NULL) QUIET(r, alk_stream_close(r->s));
  RUN_UNTIL(e, r->closes == 1);
  rec_free(r);
}

/* A peer: a raw socket, never blocking, driven between the turns. */
typedef struct {
  int fd;
  alk_buf_t got;
  bool eof;
  int error; /* errno of the read that failed */
} peer_t;

static inline void peer_init(peer_t *p, int fd)
{
  assert_true(fd >= 0);
  assert_int_equal(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK), 0);
  *p = (peer_t){.fd = fd};
}

static inline bool peer_done(const peer_t *p)
{
  return p->eof || p->error != 0;
}

/* Reads once, at most max bytes. */
static inline void peer_read(peer_t *p, size_t max)
{
  if (peer_done(p)) return;
  ssize_t n = read(p->fd, alk_buf_reserve(&p->got, max), max);
  if (n > 0)
    alk_buf_commit(&p->got, (size_t) n);
  else if (n == 0)
    p->eof = true;
  else if (errno != EAGAIN)
    p->error = errno;
}

static inline void peer_say(const peer_t *p, const char *text)
{
  assert_int_equal(write(p->fd, text, strlen(text)), strlen(text));
}

static inline void peer_close(peer_t *p)
{
  if (p->fd >= 0) close(p->fd);
  p->fd = -1;
  alk_buf_free(&p->got);
}

static inline void peer_reset(peer_t *p)
{
  struct linger now = {.l_onoff = 1};
  assert_int_equal(setsockopt(p->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now),
                   0);
  peer_close(p);
}

/* Turns the loop while the peer reads, until cond. */
#define PUMP_UNTIL(e, p, cond)         \
  do {                                 \
    while (!(cond)) {                  \
      peer_read(p, 64 * 1024);         \
      uv_run(&(e)->uv, UV_RUN_NOWAIT); \
    }                                  \
  } while (0)

static inline struct sockaddr_in loopback(uint16_t port)
{
  return (struct sockaddr_in){.sin_family = AF_INET,
                              .sin_port = htons(port),
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

/* A raw listener on a port of the system's choice. */
static inline int raw_listen(uint16_t *port)
{
  struct sockaddr_in sa = loopback(0);
  socklen_t len = sizeof sa;
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  assert_true(fd >= 0);
  assert_int_equal(bind(fd, (struct sockaddr *) &sa, sizeof sa), 0);
  assert_int_equal(listen(fd, 64), 0);
  assert_int_equal(getsockname(fd, (struct sockaddr *) &sa, &len), 0);
  *port = ntohs(sa.sin_port);
  return fd;
}

/* The kernel's backlog answers: no loop is needed. */
static inline int raw_connect(uint16_t port)
{
  struct sockaddr_in sa = loopback(port);
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  assert_true(fd >= 0);
  assert_int_equal(connect(fd, (struct sockaddr *) &sa, sizeof sa), 0);
  return fd;
}

/* A port that was free a moment ago and that nobody listens on. */
static inline uint16_t dead_port(void)
{
  uint16_t port;
  close(raw_listen(&port));
  return port;
}

/* A connected tcp stream, open and owned by r, and its raw peer. */
static inline void tcp_pair(env_t *e, rec_t *r, peer_t *p)
{
  uint16_t port;
  int ln = raw_listen(&port);
  rec_own(r, alk_tcp_connect(e->l, "127.0.0.1", port));
  RUN_UNTIL(e, r->opens == 1);
  peer_init(p, accept4(ln, NULL, NULL, SOCK_CLOEXEC));
  close(ln);
}

/* The same over a socketpair. */
static inline void pipe_pair(env_t *e, rec_t *r, peer_t *p)
{
  int fds[2];
  assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
  alk_stream_t *s = alk_pipe_open(e->l, fds[0]);
  assert_non_null(s);
  assert_true(alk_stream_is_open(s));
  rec_own(r, s);
  peer_init(p, fds[1]);
}

/* Byte i of an endless pattern whose period is no power of two. */
static inline char pattern(uint64_t i)
{
  return (char) (i % 251);
}

static inline void fill_pattern(char *buf, size_t len, uint64_t from)
{
  for (size_t i = 0; i < len; i++)
    buf[i] = pattern(from + i);
}

static inline void check_pattern(const void *buf, size_t len, uint64_t from)
{
  const char *p = buf;
  for (size_t i = 0; i < len; i++)
    if (p[i] != pattern(from + i))
      fail_msg("byte %llu of the pattern is wrong",
               (unsigned long long) (from + i));
}

#endif
