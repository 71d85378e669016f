/* test_tcp.c - connecting and listening, and how each is refused. */
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/un.h>

#include "helpers.h"

/* A listener and the streams that it gave. */
enum { ACCEPTED_MAX = 16 };
typedef struct {
  alk_listener_t *ln;
  rec_t got[ACCEPTED_MAX];
  int n, errors, closes;
  const uv_loop_t *uv;
  uint64_t first_ms, last_ms; /* of the errors, by the loop's clock */
  bool refuse, close_itself;
  alk_err_t err;
} source_t;

static void on_stream(alk_listener_t *ln, alk_stream_t *s)
{
  source_t *src = alk_listener_data(ln);
  assert_int_equal(src->closes, 0);
  assert_ptr_equal(src->ln, ln);
  assert_true(alk_stream_is_open(s));
  assert_true(src->n < ACCEPTED_MAX);
  rec_own(&src->got[src->n++], s);
  if (src->refuse) alk_stream_close(s);
  if (src->close_itself) alk_listener_close(ln);
}

static void on_error(alk_listener_t *ln, const alk_err_t *err)
{
  source_t *src = alk_listener_data(ln);
  src->last_ms = uv_now(src->uv);
  if (src->errors++ == 0) src->first_ms = src->last_ms;
  src->err = *err;
}

static void on_close(alk_listener_t *ln)
{
  source_t *src = alk_listener_data(ln);
  assert_ptr_equal(src->ln, ln);
  src->closes++;
  src->ln = NULL;
}

static const alk_listener_events_t events = {
  .on_stream = on_stream,
  .on_error = on_error,
  .on_close = on_close,
};

static alk_addr_t listen_on(env_t *e, source_t *src, const char *address)
{
  alk_addr_t at = {0};
  alk_err_t err = {0};
  src->uv = &e->uv;
  src->ln = alk_tcp_listen(e->l, address, 0, &events, src, &err);
  assert_string_equal(err.msg, "");
  assert_non_null(src->ln);
  assert_true(alk_listener_address(src->ln, &at));
  assert_string_equal(at.address, address);
  assert_true(at.port != 0);
  return at;
}

static void source_finish(env_t *e, source_t *src)
{
  if (src->ln != NULL) alk_listener_close(src->ln);
  if (src->ln != NULL) alk_listener_close(src->ln);
  for (int i = 0; i < src->n; i++)
    rec_finish(e, &src->got[i]);
  RUN_UNTIL(e, src->closes == 1);
}

/* The kernel may have no IPv6; then there is nothing to test. */
static bool have_ipv6(void)
{
  struct sockaddr_in6 sa = {.sin6_family = AF_INET6,
                            .sin6_addr = IN6ADDR_LOOPBACK_INIT};
  int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
  bool ok = fd >= 0 && bind(fd, (const struct sockaddr *) &sa, sizeof sa) == 0;
  if (fd >= 0) close(fd);
  return ok;
}

static void listens(env_t *e, const char *address, int family)
{
  source_t src = {0};
  rec_t r = {0};
  alk_addr_t at = listen_on(e, &src, address), a, b;
  assert_int_equal(at.family, family);
  rec_own(&r, alk_tcp_connect(e->l, address, at.port));
  assert_false(alk_tcp_peer(r.s, &a)); /* not connected yet */
  RUN_UNTIL(e, r.opens == 1 && src.n == 1);
  assert_true(alk_tcp_peer(r.s, &a));
  assert_string_equal(a.address, address);
  assert_int_equal(a.port, at.port);
  assert_int_equal(a.family, family);
  assert_true(alk_tcp_local(r.s, &a));
  assert_true(alk_tcp_peer(src.got[0].s, &b));
  assert_string_equal(a.address, b.address);
  assert_int_equal(a.port, b.port);
  QUIET(&src.got[0], alk_stream_resume(src.got[0].s));
  alk_stream_write(r.s, "hello", 5);
  RUN_UNTIL(e, alk_buf_size(&src.got[0].data) == 5);
  alk_stream_close(r.s);
  assert_false(alk_tcp_peer(r.s, &a)); /* no more */
  rec_finish(e, &r);
  source_finish(e, &src);
  assert_int_equal(src.errors, 0);
}

static void listens_on_ipv4(void **state)
{
  listens(*state, "127.0.0.1", 4);
}

static void listens_on_ipv6(void **state)
{
  env_t *e = *state;
  if (!have_ipv6()) {
    print_message("skipped: the system cannot bind ::1\n");
    e->passed = true;
    skip();
  }
  listens(e, "::1", 6);
}

/* "::" means IPv6 alone: what was not asked for is not reachable. */
static void ipv6_any_is_not_ipv4(void **state)
{
  env_t *e = *state;
  source_t src = {0};
  rec_t r = {0};
  if (!have_ipv6()) {
    print_message("skipped: the system cannot bind ::1\n");
    e->passed = true;
    skip();
  }
  alk_addr_t at = listen_on(e, &src, "::");
  rec_own(&r, alk_tcp_connect(e->l, "127.0.0.1", at.port));
  RUN_UNTIL(e, r.closes == 1);
  assert_int_equal(r.err.sys, UV_ECONNREFUSED);
  rec_finish(e, &r);
  source_finish(e, &src);
}

static void address_in_use(void **state)
{
  env_t *e = *state;
  source_t src = {0};
  alk_err_t err = {0};
  char text[sizeof err.msg];
  alk_addr_t at = listen_on(e, &src, "127.0.0.1");
  assert_null(alk_tcp_listen(e->l, "127.0.0.1", at.port, &events, NULL, &err));
  assert_int_equal(err.code, ALK_E_SYS);
  assert_int_equal(err.sys, UV_EADDRINUSE);
  snprintf(text, sizeof text,
           "listen on 127.0.0.1 port %u: address already in use", at.port);
  assert_string_equal(err.msg, text);
  source_finish(e, &src);
}

/* A unix socket in a directory of its own. */
static int unix_listen(char *dir, struct sockaddr_un *sa)
{
  assert_non_null(mkdtemp(dir));
  *sa = (struct sockaddr_un){.sun_family = AF_UNIX};
  snprintf(sa->sun_path, sizeof sa->sun_path, "%s/s", dir);
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  assert_true(fd >= 0);
  assert_int_equal(bind(fd, (const struct sockaddr *) sa, sizeof *sa), 0);
  assert_int_equal(listen(fd, 8), 0);
  return fd;
}

/* What a service manager hands over: bound and listening before this process
 * was there. */
static void adopts(void **state)
{
  env_t *e = *state;
  source_t src = {0};
  alk_addr_t at = {0};
  alk_err_t err = {0};
  uint16_t port;
  int inherited = raw_listen(&port);
  int early = raw_connect(port); /* waits since before the listener was */
  assert_int_equal(fcntl(inherited, F_SETFD, 0), 0);
  src.ln = alk_tcp_adopt(e->l, inherited, &events, &src, &err);
  assert_string_equal(err.msg, "");
  assert_non_null(src.ln);
  assert_int_equal(fcntl(inherited, F_GETFD), FD_CLOEXEC);
  assert_true(alk_listener_address(src.ln, &at));
  assert_string_equal(at.address, "127.0.0.1");
  assert_int_equal(at.port, port);
  int late = raw_connect(port);
  RUN_UNTIL(e, src.n == 2);
  close(early);
  close(late);
  source_finish(e, &src);
  assert_int_equal(fcntl(inherited, F_GETFD), -1); /* it was the listener's */
}

static void adopt_fails(env_t *e, int fd, int sys)
{
  alk_err_t err = {0};
  char text[sizeof err.msg];
  int before = fcntl(fd, F_GETFD);
  source_t src = {0};
  assert_null(alk_tcp_adopt(e->l, fd, &events, &src, &err));
  assert_int_equal(err.code, ALK_E_SYS);
  assert_int_equal(err.sys, sys);
  snprintf(text, sizeof text, "listen on descriptor %d: %s", fd,
           uv_strerror(sys));
  assert_string_equal(err.msg, text);
  turns(e, 2);
  assert_int_equal(fcntl(fd, F_GETFD), before); /* still whose it was */
  assert_int_equal(src.closes, 0);
}

static void adopts_nothing_else(void **state)
{
  env_t *e = *state;
  struct sockaddr_un sa;
  uint16_t port;
  char dir[] = "/tmp/alknet-test-XXXXXX";
  int local = unix_listen(dir, &sa);
  int ln = raw_listen(&port);
  int connected = raw_connect(port);
  int fresh = socket(AF_INET, SOCK_STREAM, 0);
  int datagram = socket(AF_INET, SOCK_DGRAM, 0);
  int file = open("/dev/null", O_RDONLY);
  int refused[] = {local, connected, fresh, datagram};
  for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
    adopt_fails(e, refused[i], UV_EINVAL);
    close(refused[i]);
  }
  adopt_fails(e, file, UV_ENOTSOCK);
  close(file);
  adopt_fails(e, file, UV_EBADF);
  adopt_fails(e, -1, UV_EBADF);
  close(ln);
  unlink(sa.sun_path);
  rmdir(dir);
}

static void bad_addresses(void **state)
{
  env_t *e = *state;
  const char *bad[] = {
    "",           "localhost", "127.1", "1.2.3.256",  "127.0.0.1 ",
    "0x7f.0.0.1", "[::1]",     ":::",   "2130706433", "1.2.3.4.5"};
  char giant[4096];
  memset(giant, '1', sizeof giant);
  giant[sizeof giant - 1] = '\0';
  for (size_t i = 0; i <= sizeof bad / sizeof bad[0]; i++) {
    const char *address = i < sizeof bad / sizeof bad[0] ? bad[i] : giant;
    rec_t r = {0};
    alk_err_t err = {0};
    rec_own(&r, alk_tcp_connect(e->l, address, 80));
    RUN_UNTIL(e, r.closes == 1);
    assert_string_equal(r.log, "c");
    assert_true(r.failed);
    assert_memory_equal(r.err.msg, "connect: ", 9);
    rec_finish(e, &r);
    assert_null(alk_tcp_listen(e->l, address, 0, &events, NULL, &err));
    assert_int_equal(err.code, ALK_E_SYS);
    assert_memory_equal(err.msg, "listen on ", 10);
  }
  assert_null(alk_tcp_listen(e->l, "127.1", 0, &events, NULL, NULL));
}

static void connect_refused(void **state)
{
  env_t *e = *state;
  rec_t r = {0};
  rec_own(&r, alk_tcp_connect(e->l, "127.0.0.1", dead_port()));
  QUIET(&r, alk_stream_resume(r.s));
  QUIET(&r, alk_stream_write(r.s, "anybody?", 8));
  QUIET(&r, alk_stream_end(r.s));
  RUN_UNTIL(e, r.closes == 1);
  assert_string_equal(r.log, "c");
  assert_int_equal(r.err.code, ALK_E_SYS);
  assert_int_equal(r.err.sys, UV_ECONNREFUSED);
  assert_string_equal(r.err.msg, "connect: connection refused");
  rec_finish(e, &r);
}

static void connect_closed_at_once(void **state)
{
  env_t *e = *state;
  rec_t r = {0};
  rec_own(&r, alk_tcp_connect(e->l, "127.0.0.1", dead_port()));
  QUIET(&r, alk_stream_write(r.s, "never mind", 10));
  QUIET(&r, alk_stream_close(r.s));
  QUIET(&r, alk_stream_write(r.s, "never mind", 10));
  QUIET(&r, alk_stream_end(r.s));
  QUIET(&r, alk_stream_resume(r.s));
  QUIET(&r, alk_stream_pause(r.s));
  QUIET(&r, alk_stream_unread(r.s, "x", 1));
  RUN_UNTIL(e, r.closes == 1);
  assert_string_equal(r.log, "c");
  assert_false(r.failed);
  rec_finish(e, &r);
}

static void unix_connects(void **state)
{
  env_t *e = *state;
  rec_t r = {0};
  peer_t p;
  alk_addr_t a;
  struct sockaddr_un sa;
  char dir[] = "/tmp/alknet-test-XXXXXX";
  int ln = unix_listen(dir, &sa);
  rec_own(&r, alk_unix_connect(e->l, sa.sun_path));
  QUIET(&r, alk_stream_resume(r.s));
  QUIET(&r, alk_stream_write(r.s, "hello", 5));
  RUN_UNTIL(e, r.opens == 1);
  assert_string_equal(alk_stream_kind(r.s), "pipe");
  assert_false(alk_tcp_peer(r.s, &a));
  assert_false(alk_tcp_local(r.s, &a));
  peer_init(&p, accept4(ln, NULL, NULL, SOCK_CLOEXEC));
  PUMP_UNTIL(e, &p, alk_buf_size(&p.got) == 5);
  peer_say(&p, "hi");
  peer_close(&p);
  RUN_UNTIL(e, r.ends == 1);
  assert_heard(&r, "hi");
  rec_finish(e, &r);
  assert_false(r.failed);
  close(ln);
  unlink(sa.sun_path);
  rmdir(dir);
}

static void unix_fails(env_t *e, const char *path, int sys)
{
  for (int writes = 0; writes < 2; writes++) {
    rec_t r = {0};
    rec_own(&r, alk_unix_connect(e->l, path));
    if (writes == 1) QUIET(&r, alk_stream_write(r.s, "anybody?", 8));
    RUN_UNTIL(e, r.closes == 1);
    assert_string_equal(r.log, "c");
    assert_int_equal(r.err.sys, sys); /* why, even if a write came first */
    assert_memory_equal(r.err.msg, "connect: ", 9);
    rec_finish(e, &r);
  }
}

static void unix_refused(void **state)
{
  env_t *e = *state;
  struct sockaddr_un sa;
  char dir[] = "/tmp/alknet-test-XXXXXX", giant[300];
  close(unix_listen(dir, &sa));
  unix_fails(e, sa.sun_path, UV_ECONNREFUSED);
  unlink(sa.sun_path);
  unix_fails(e, sa.sun_path, UV_ENOENT);
  rmdir(dir);
  memset(giant, 'x', sizeof giant);
  giant[sizeof giant - 1] = '\0';
  unix_fails(e, giant, UV_ENAMETOOLONG);
  giant[sizeof sa.sun_path] = '\0'; /* one too long, were it cut */
  unix_fails(e, giant, UV_ENAMETOOLONG);
}

static void listener_may_close_its_streams(void **state)
{
  env_t *e = *state;
  source_t src = {.refuse = true};
  int fds[5];
  alk_addr_t at = listen_on(e, &src, "127.0.0.1");
  for (int i = 0; i < 5; i++)
    fds[i] = raw_connect(at.port);
  RUN_UNTIL(e, src.n == 5 && src.got[4].closes == 1);
  for (int i = 0; i < 5; i++)
    close(fds[i]);
  source_finish(e, &src);
}

static void listener_may_close_itself(void **state)
{
  env_t *e = *state;
  source_t src = {.close_itself = true};
  int fds[5];
  alk_addr_t at = listen_on(e, &src, "127.0.0.1");
  for (int i = 0; i < 5; i++)
    fds[i] = raw_connect(at.port);
  RUN_UNTIL(e, src.closes == 1);
  assert_int_equal(src.n, 1); /* and no more streams after it */
  for (int i = 0; i < 5; i++)
    close(fds[i]);
  source_finish(e, &src);
}

/* A client that is gone before it was accepted harms nobody. */
static void client_resets_in_the_backlog(void **state)
{
  env_t *e = *state;
  source_t src = {0};
  peer_t p;
  alk_addr_t at = listen_on(e, &src, "127.0.0.1");
  peer_init(&p, raw_connect(at.port));
  peer_reset(&p);
  int fd = raw_connect(at.port);
  RUN_UNTIL(e, src.n >= 1);
  turns(e, 3);
  rec_t *last = &src.got[src.n - 1];
  QUIET(last, alk_stream_resume(last->s));
  assert_int_equal(write(fd, "ok", 2), 2);
  RUN_UNTIL(e, alk_buf_size(&last->data) == 2);
  close(fd);
  source_finish(e, &src);
}

/* Valgrind has a limit of its own in the place of the kernel's: what is
 * accepted beyond it is closed, and not left to wait. */
static int lost_to_valgrind(int tries)
{
  const char *preload = getenv("LD_PRELOAD");
  return preload != NULL && strstr(preload, "vgpreload") != NULL ? tries : 0;
}

/* No descriptor is left: those who wait go on waiting, the loop does not turn
 * in circles, and when there are descriptors again all of them are accepted. */
static void out_of_descriptors(void **state)
{
  enum { TRIES = 4, WAITING = 6, REST_MS = 100 };
  env_t *e = *state;
  source_t src = {0};
  struct rlimit was, low;
  int fds[WAITING];
  alk_addr_t at = listen_on(e, &src, "127.0.0.1");
  for (int i = 0; i < WAITING; i++)
    fds[i] = raw_connect(at.port);
  assert_int_equal(getrlimit(RLIMIT_NOFILE, &was), 0);
  low = was;
  int top = dup(0);
  low.rlim_cur = (rlim_t) top; /* the next one would be top */
  close(top);
  assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
  assert_int_equal(dup(0), -1);
  RUN_UNTIL(e, src.errors == 1);
  assert_int_equal(src.err.sys, UV_EMFILE);
  RUN_UNTIL(e, src.errors == TRIES);
  assert_true(src.last_ms - src.first_ms >= (TRIES - 1) * REST_MS);
  assert_int_equal(src.n, 0);
  assert_int_equal(setrlimit(RLIMIT_NOFILE, &was), 0);
  RUN_UNTIL(e, src.n == WAITING - lost_to_valgrind(TRIES));
  assert_int_equal(src.errors, TRIES);
  for (int i = 0; i < WAITING; i++)
    close(fds[i]);
  source_finish(e, &src);
}

/* One that rests closes like any other, and keeps the loop up like any other.
 */
static void closes_while_it_rests(void **state)
{
  env_t *e = *state;
  source_t src = {0};
  struct rlimit was, low;
  alk_addr_t at = listen_on(e, &src, "127.0.0.1");
  int fd = raw_connect(at.port);
  assert_int_equal(getrlimit(RLIMIT_NOFILE, &was), 0);
  low = was;
  int top = dup(0);
  low.rlim_cur = (rlim_t) top;
  close(top);
  assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
  RUN_UNTIL(e, src.errors == 1);
  assert_int_equal(setrlimit(RLIMIT_NOFILE, &was), 0);
  alk_listener_ref(src.ln, false);
  assert_false(uv_loop_alive(&e->uv));
  alk_listener_ref(src.ln, true);
  assert_true(uv_loop_alive(&e->uv));
  source_finish(e, &src);
  assert_int_equal(src.n, 0);
  close(fd);
}

/* connect() fails the same way: by on_close. */
static void connect_out_of_descriptors(void **state)
{
  env_t *e = *state;
  rec_t r = {0}, u = {0};
  struct rlimit was, low;
  uint16_t port;
  int ln = raw_listen(&port);
  /* libuv keeps a spare descriptor from a loop's first socket on. */
  rec_t first = {0};
  rec_own(&first, alk_tcp_connect(e->l, "127.0.0.1", port));
  rec_finish(e, &first);
  assert_int_equal(getrlimit(RLIMIT_NOFILE, &was), 0);
  low = was;
  int top = dup(0);
  low.rlim_cur = (rlim_t) top;
  close(top);
  assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
  rec_own(&r, alk_tcp_connect(e->l, "127.0.0.1", port));
  rec_own(&u, alk_unix_connect(e->l, "/nowhere"));
  RUN_UNTIL(e, r.closes == 1 && u.closes == 1);
  assert_int_equal(setrlimit(RLIMIT_NOFILE, &was), 0);
  assert_int_equal(r.err.sys, UV_EMFILE);
  assert_int_equal(u.err.sys, UV_EMFILE);
  rec_finish(e, &r);
  rec_finish(e, &u);
  close(ln);
}

/* An unref'd listener works, but does not keep the loop alive. */
static void listener_ref(void **state)
{
  env_t *e = *state;
  source_t src = {0};
  rec_t r = {0};
  alk_addr_t at = listen_on(e, &src, "127.0.0.1");
  assert_true(uv_run(&e->uv, UV_RUN_NOWAIT) != 0);
  alk_listener_ref(src.ln, false);
  assert_int_equal(uv_run(&e->uv, UV_RUN_DEFAULT), 0);
  alk_listener_ref(src.ln, true);
  assert_true(uv_run(&e->uv, UV_RUN_NOWAIT) != 0);
  alk_listener_ref(src.ln, false);
  rec_own(&r, alk_tcp_connect(e->l, "127.0.0.1", at.port));
  RUN_UNTIL(e, r.opens == 1 && src.n == 1);
  rec_finish(e, &r);
  source_finish(e, &src);
}

#ifdef TCP_USER_TIMEOUT
static void what_is_unacked_has_a_limit(void **state)
{
  env_t *e = *state;
  source_t src = {0};
  rec_t r = {0};
  alk_addr_t at = listen_on(e, &src, "127.0.0.1");
  rec_own(&r, alk_tcp_connect(e->l, "127.0.0.1", at.port));
  assert_false(alk_tcp_limit_unacked(r.s, 1000)); /* not connected yet */
  RUN_UNTIL(e, r.opens == 1 && src.n == 1);
  assert_int_equal(tcp_option(r.s, TCP_USER_TIMEOUT), 0);
  QUIET(&r, assert_true(alk_tcp_limit_unacked(r.s, 60001)));
  assert_true(alk_tcp_limit_unacked(src.got[0].s, 1500));
  assert_int_equal(tcp_option(r.s, TCP_USER_TIMEOUT), 60001);
  assert_int_equal(tcp_option(src.got[0].s, TCP_USER_TIMEOUT), 1500);
  assert_true(alk_tcp_limit_unacked(r.s, 0));
  assert_int_equal(tcp_option(r.s, TCP_USER_TIMEOUT), 0);
  alk_stream_close(r.s);
  assert_false(alk_tcp_limit_unacked(r.s, 1000));
  rec_finish(e, &r);
  source_finish(e, &src);
}

static void what_is_no_tcp_has_none(void **state)
{
  env_t *e = *state;
  rec_t r = {0};
  peer_t p;
  pipe_pair(e, &r, &p);
  assert_false(alk_tcp_limit_unacked(r.s, 1000));
  rec_finish(e, &r);
  peer_close(&p);
}
#endif

int main(void)
{
  const struct CMUnitTest tests[] = {
    TEST(listens_on_ipv4),
    TEST(listens_on_ipv6),
    TEST(ipv6_any_is_not_ipv4),
    TEST(address_in_use),
    TEST(adopts),
    TEST(adopts_nothing_else),
    TEST(bad_addresses),
    TEST(connect_refused),
    TEST(connect_closed_at_once),
    TEST(unix_connects),
    TEST(unix_refused),
    TEST(listener_may_close_its_streams),
    TEST(listener_may_close_itself),
    TEST(client_resets_in_the_backlog),
    TEST(out_of_descriptors),
    TEST(closes_while_it_rests),
    TEST(connect_out_of_descriptors),
    TEST(listener_ref),
#ifdef TCP_USER_TIMEOUT
    TEST(what_is_unacked_has_a_limit),
    TEST(what_is_no_tcp_has_none),
#endif
  };
  return cmocka_run_group_tests_name("tcp", tests, NULL, NULL);
}
