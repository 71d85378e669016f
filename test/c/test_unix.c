/* test_unix.c - Unix sockets: listening, the file and its mode, and how it is
 * refused. How connecting goes is in test_tcp.c. */
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "helpers.h"

enum { ACCEPTED_MAX = 4, LONGEST = 107 };

/* A listener and the streams that it gave. */
typedef struct {
  alk_listener_t *ln;
  rec_t got[ACCEPTED_MAX];
  int n, errors, closes;
  alk_err_t err;
} source_t;

static void on_stream(alk_listener_t *ln, alk_stream_t *s)
{
  source_t *src = alk_listener_data(ln);
  assert_int_equal(src->closes, 0);
  assert_true(alk_stream_is_open(s));
  assert_true(src->n < ACCEPTED_MAX);
  rec_own(&src->got[src->n++], s);
}

static void on_error(alk_listener_t *ln, const alk_err_t *err)
{
  source_t *src = alk_listener_data(ln);
  src->errors++;
  src->err = *err;
}

static void on_close(alk_listener_t *ln)
{
  source_t *src = alk_listener_data(ln);
  src->closes++;
  src->ln = NULL;
}

static const alk_listener_events_t events = {
  .on_stream = on_stream,
  .on_error = on_error,
  .on_close = on_close,
};

/* A directory, and a path in it. */
typedef struct {
  char dir[32], path[64];
} place_t;

static void place_init(place_t *p)
{
  snprintf(p->dir, sizeof p->dir, "/tmp/alknet-test-XXXXXX");
  assert_non_null(mkdtemp(p->dir));
  snprintf(p->path, sizeof p->path, "%s/s", p->dir);
}

/* Nothing may be left in it. */
static void place_free(const place_t *p)
{
  assert_int_equal(rmdir(p->dir), 0);
}

static bool is_there(const char *path)
{
  struct stat st;
  return lstat(path, &st) == 0;
}

static mode_t mode_of(const char *path)
{
  struct stat st;
  assert_int_equal(lstat(path, &st), 0);
  assert_true(S_ISSOCK(st.st_mode));
  return st.st_mode & 07777;
}

static void listen_at(env_t *e, source_t *src, const char *path)
{
  alk_addr_t at;
  alk_err_t err = {0};
  src->ln = alk_unix_listen(e->l, path, &events, src, &err);
  assert_string_equal(err.msg, "");
  assert_non_null(src->ln);
  assert_string_equal(alk_listener_path(src->ln), path);
  assert_false(alk_listener_address(src->ln, &at));
}

static void source_finish(env_t *e, source_t *src)
{
  for (int twice = 0; twice < 2; twice++)
    if (src->ln != NULL) alk_listener_close(src->ln);
  for (int i = 0; i < src->n; i++)
    rec_finish(e, &src->got[i]);
  RUN_UNTIL(e, src->closes == 1);
}

static void fails(env_t *e, const char *path, int sys)
{
  alk_err_t err = {0};
  char text[sizeof err.msg];
  source_t src = {0};
  assert_null(alk_unix_listen(e->l, path, &events, &src, &err));
  assert_int_equal(err.code, ALK_E_SYS);
  assert_int_equal(err.sys, sys);
  snprintf(text, sizeof text, "listen on %s: %s", path, uv_strerror(sys));
  assert_string_equal(err.msg, text);
  assert_null(alk_unix_listen(e->l, path, &events, &src, NULL));
  turns(e, 2);
  assert_int_equal(src.closes, 0); /* nobody was told of one that never was */
}

static void listens(void **state)
{
  env_t *e = *state;
  source_t src = {0};
  rec_t r = {0};
  place_t p;
  alk_addr_t a;
  place_init(&p);
  listen_at(e, &src, p.path);
  rec_own(&r, alk_unix_connect(e->l, p.path));
  QUIET(&r, alk_stream_resume(r.s));
  RUN_UNTIL(e, r.opens == 1 && src.n == 1);
  rec_t *got = &src.got[0];
  assert_string_equal(alk_stream_kind(got->s), "pipe");
  assert_false(alk_tcp_peer(got->s, &a));
  assert_false(alk_tcp_local(got->s, &a));
  QUIET(got, alk_stream_resume(got->s));
  QUIET(&r, alk_stream_write(r.s, "hello", 5));
  QUIET(&r, alk_stream_end(r.s)); /* half of it */
  RUN_UNTIL(e, got->ends == 1);
  assert_heard(got, "hello");
  QUIET(got, alk_stream_write(got->s, "bye", 3));
  QUIET(got, alk_stream_end(got->s));
  RUN_UNTIL(e, r.ends == 1);
  assert_heard(&r, "bye");
  rec_finish(e, &r);
  assert_false(r.failed);
  source_finish(e, &src);
  assert_int_equal(src.errors, 0);
  place_free(&p);
}

/* Whatever else the process makes its files with. */
static void mode(void **state)
{
  env_t *e = *state;
  const mode_t masks[] = {0, 022, 077, 0177};
  mode_t before = umask(022);
  place_t p;
  place_init(&p);
  for (size_t i = 0; i < sizeof masks / sizeof *masks; i++) {
    source_t src = {0};
    umask(masks[i]);
    listen_at(e, &src, p.path);
    assert_int_equal(umask(masks[i]), masks[i]); /* untouched */
    assert_int_equal(mode_of(p.path), 0600);
    source_finish(e, &src);
  }
  umask(0777); /* the mode cannot be had: so it is not taken for had */
  fails(e, p.path, UV_EPERM);
  umask(before);
  place_free(&p);
}

static void file_goes_at_once(void **state)
{
  env_t *e = *state;
  source_t a = {0}, b = {0};
  place_t p;
  place_init(&p);
  listen_at(e, &a, p.path);
  alk_listener_close(a.ln);
  assert_false(is_there(p.path));
  listen_at(e, &b, p.path); /* while the first is still closing */
  source_finish(e, &a);
  assert_true(is_there(p.path));
  source_finish(e, &b);
  place_free(&p);
}

/* Somebody has taken the path over: the file is his. */
static void another_file_stays(void **state)
{
  env_t *e = *state;
  source_t a = {0}, b = {0};
  rec_t r = {0};
  place_t p;
  place_init(&p);
  listen_at(e, &a, p.path);
  assert_int_equal(unlink(p.path), 0);
  listen_at(e, &b, p.path);
  source_finish(e, &a);
  rec_own(&r, alk_unix_connect(e->l, p.path));
  RUN_UNTIL(e, r.opens == 1 && b.n == 1);
  rec_finish(e, &r);
  assert_int_equal(unlink(p.path), 0);
  source_finish(e, &b); /* nothing is there any more */
  place_free(&p);
}

static void goes_with_the_loop(void **state)
{
  env_t *e = *state;
  source_t src = {0};
  place_t p;
  place_init(&p);
  listen_at(e, &src, p.path);
  env_close(e);
  assert_false(is_there(p.path));
  RUN_UNTIL(e, src.closes == 1);
  place_free(&p);
}

/* What stands at the path stays, and is not used. */
static void path_in_use(void **state)
{
  env_t *e = *state;
  source_t src = {0};
  place_t p;
  place_init(&p);
  listen_at(e, &src, p.path);
  fails(e, p.path, UV_EADDRINUSE);
  assert_true(is_there(p.path));
  source_finish(e, &src);
  assert_int_equal(symlink("/dev/null", p.path), 0);
  fails(e, p.path, UV_EADDRINUSE);
  assert_true(is_there(p.path));
  unlink(p.path);
  place_free(&p);
}

static void bad_paths(void **state)
{
  env_t *e = *state;
  char path[64];
  place_t p;
  place_init(&p);
  fails(e, "", UV_EINVAL); /* no socket without a file */
  snprintf(path, sizeof path, "%s/none/s", p.dir);
  fails(e, path, UV_ENOENT);
  rec_t r = {0};
  rec_own(&r, alk_unix_connect(e->l, ""));
  RUN_UNTIL(e, r.closes == 1);
  assert_int_equal(r.err.sys, UV_EINVAL);
  rec_finish(e, &r);
  place_free(&p);
}

/* The longest path that fits is taken whole, and the next is not cut. */
static void long_paths(void **state)
{
  env_t *e = *state;
  source_t src = {0};
  rec_t r = {0};
  place_t p;
  char path[200];
  place_init(&p);
  int len = snprintf(path, sizeof path, "%s/", p.dir);
  memset(path + len, 'x', sizeof path - (size_t) len);
  path[LONGEST] = '\0';
  listen_at(e, &src, path);
  assert_int_equal(mode_of(path), 0600);
  rec_own(&r, alk_unix_connect(e->l, path));
  RUN_UNTIL(e, r.opens == 1 && src.n == 1);
  rec_finish(e, &r);
  source_finish(e, &src);
  assert_false(is_there(path));
  path[LONGEST] = 'x';
  path[LONGEST + 1] = '\0';
  fails(e, path, UV_ENAMETOOLONG);
  path[LONGEST] = '\0';
  assert_false(is_there(path)); /* as it would be, were it cut */
  place_free(&p);
}

static void out_of_descriptors(void **state)
{
  env_t *e = *state;
  struct rlimit was, low;
  place_t p;
  place_init(&p);
  assert_int_equal(getrlimit(RLIMIT_NOFILE, &was), 0);
  int next = dup(0);
  close(next);
  low = (struct rlimit){.rlim_cur = (rlim_t) next, .rlim_max = was.rlim_max};
  assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
  fails(e, p.path, UV_EMFILE);
  assert_int_equal(setrlimit(RLIMIT_NOFILE, &was), 0);
  assert_false(is_there(p.path));
  place_free(&p);
}

/* An unref'd listener works, but does not keep the loop alive. */
static void listener_ref(void **state)
{
  env_t *e = *state;
  source_t src = {0};
  rec_t r = {0};
  place_t p;
  place_init(&p);
  listen_at(e, &src, p.path);
  assert_true(uv_run(&e->uv, UV_RUN_NOWAIT) != 0);
  alk_listener_ref(src.ln, false);
  assert_int_equal(uv_run(&e->uv, UV_RUN_DEFAULT), 0);
  rec_own(&r, alk_unix_connect(e->l, p.path));
  RUN_UNTIL(e, r.opens == 1 && src.n == 1);
  rec_finish(e, &r);
  alk_listener_ref(src.ln, true);
  assert_true(uv_run(&e->uv, UV_RUN_NOWAIT) != 0);
  source_finish(e, &src);
  place_free(&p);
}

/* The descriptor of the socket that is bound there. */
static int fd_at(const char *path)
{
  for (int fd = 0; fd < FDS_MAX; fd++) {
    struct sockaddr_un sa = {0};
    socklen_t len = sizeof sa;
    if (getsockname(fd, (struct sockaddr *) &sa, &len) == 0 &&
        sa.sun_family == AF_UNIX && strcmp(sa.sun_path, path) == 0)
      return fd;
  }
  fail_msg("no socket is bound to %s", path);
  return -1;
}

/* A child of the process does not get the socket. */
static void closed_at_exec(void **state)
{
  env_t *e = *state;
  source_t src = {0};
  place_t p;
  place_init(&p);
  listen_at(e, &src, p.path);
  assert_true((fcntl(fd_at(p.path), F_GETFD) & FD_CLOEXEC) != 0);
  source_finish(e, &src);
  place_free(&p);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    TEST(listens),
    TEST(mode),
    TEST(file_goes_at_once),
    TEST(another_file_stays),
    TEST(goes_with_the_loop),
    TEST(path_in_use),
    TEST(bad_paths),
    TEST(long_paths),
    TEST(out_of_descriptors),
    TEST(listener_ref),
    TEST(closed_at_exec),
  };
  return cmocka_run_group_tests_name("unix", tests, NULL, NULL);
}
