/* listener.c - sources of streams: tcp and Unix sockets that are listened on,
 * also one that whoever started this process has bound.
 *
 *   bound -> listening -- on_stream for each --> closed
 *               |    ^
 *         accept() fails: no descriptor, no memory
 *               v    |
 *            resting, REST_MS
 *
 * Sockets are bound and accepted on here and not by libuv. Where no descriptor
 * is free, libuv takes connections with a spare one and drops them, and turns
 * in circles for as long as the spare one is lost to another thread
 * (uv__emfile_trick() and uv__server_io() in unix/stream.c); here they wait in
 * the kernel's queue, and the loop has peace. And the file of a Unix socket
 * never has another mode than 0600, its path is never cut, and the file that
 * goes with the listener is its own, whatever stands at the path by then. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <uv.h>

#include "core/mem.h"
#include "core/uvstream.h"

#include "net/address.h"
#include "net/net.h"

/* Connections that a listener takes in one turn of the loop. One would cost
 * each a turn with writes of its own; many at once would wait for one
 * another. */
enum { ACCEPT_MAX = 4 };

/* Whoever waits does not notice, and a thousand listeners that rest are no
 * load. */
enum { REST_MS = 100 };

/* As uv_tcp_keepalive() has it for connections of our own. */
enum {
  KEEPALIVE_SECONDS = 60,
  KEEPALIVE_EVERY = 1,
  KEEPALIVE_PROBES = 10,
  BACKLOG = 511
};

/* A socket, and the file that is its name. */
typedef struct {
  int fd; /* -1: none yet */
  uv_handle_type type;
  char *path;        /* of a Unix socket; NULL: tcp, or nothing is there */
  struct stat as_of; /* its file, as it was made */
} bound_t;

struct alk_listener {
  alk_loop_t *loop;
  alk_live_t live;
  const alk_listener_events_t *ev;
  void *data;
  bound_t at;
  int open; /* of these two handles */
  uv_poll_t poll;
  uv_timer_t rest;
};

static int last_error(void)
{
  return uv_translate_sys_error(errno);
}

/* ---- connections */

static int accept_fd(int from)
{
#ifdef __linux__
  return accept4(from, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
#else
  int fd = accept(from, NULL, NULL);
  if (fd >= 0) (void) fcntl(fd, F_SETFD, FD_CLOEXEC);
  return fd;
#endif
}

/* An error of the connection that would have been next, accept(2): there may be
 * another behind it. */
static bool is_of_connection(int error)
{
  switch (error) {
  case EINTR:
  case ECONNABORTED:
  case EPROTO:
  case EPERM:
  case ENETDOWN:
  case ENOPROTOOPT:
  case EHOSTDOWN:
  case EHOSTUNREACH:
  case EOPNOTSUPP:
  case ENETUNREACH:
    return true;
  default:
    return false;
  }
}

static void report(alk_listener_t *ln, int rc)
{
  alk_err_t err;
  alk_fail(&err, ALK_E_SYS, rc, "accept: %s", uv_strerror(rc));
  ln->ev->on_error(ln, &err);
}

/* 0; or there is none, EAGAIN; or why none can be had. */
static int take_one(alk_listener_t *ln)
{
  int fd = accept_fd(ln->at.fd);
  if (fd < 0) return is_of_connection(errno) ? 0 : last_error();
  alk_stream_t *s = alk_uvstream_new(ln->loop, ln->at.type);
  uv_stream_t *h = alk_uvstream_handle(s);
  int rc = h->type == UV_TCP ? uv_tcp_open((uv_tcp_t *) h, fd)
                             : uv_pipe_open((uv_pipe_t *) h, fd);
  if (rc < 0) {
    close(fd);
    alk_stream_fail_sys(s, rc, "accept");
    report(ln, rc);
    return 0;
  }
  alk_uvstream_opened(s); /* keepalive came with it from the listener */
  ln->ev->on_stream(ln, s);
  return 0;
}

static void on_readable(uv_poll_t *poll, int status, int events);

static void on_rested(uv_timer_t *timer)
{
  alk_listener_t *ln = timer->data;
  (void) uv_poll_start(&ln->poll, UV_READABLE, on_readable);
}

static void rest(alk_listener_t *ln, int rc)
{
  uv_poll_stop(&ln->poll);
  uv_timer_start(&ln->rest, on_rested, REST_MS, 0);
  report(ln, rc);
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
  (void) events;
  alk_listener_t *ln = poll->data;
  int rc = status;
  for (int i = 0; i < ACCEPT_MAX && rc == 0; i++)
    rc = uv_is_closing((uv_handle_t *) poll) ? UV_EAGAIN : take_one(ln);
  if (rc != 0 && rc != UV_EAGAIN) rest(ln, rc);
}

/* ---- the socket */

static int open_socket(int family, bound_t *b)
{
#ifdef SOCK_CLOEXEC
  b->fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  return b->fd < 0 ? last_error() : 0;
#else
  b->fd = socket(family, SOCK_STREAM, 0);
  return b->fd < 0 || fcntl(b->fd, F_SETFD, FD_CLOEXEC) != 0 ? last_error() : 0;
#endif
}

static bool set(int fd, int level, int name, int value)
{
  return setsockopt(fd, level, name, &value, sizeof value) == 0;
}

/* What it accepts inherits this. A system that cannot does without. */
static void keep_alive(int fd)
{
  (void) set(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
#if defined(TCP_KEEPIDLE)
  (void) set(fd, IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_SECONDS);
#elif defined(TCP_KEEPALIVE)
  (void) set(fd, IPPROTO_TCP, TCP_KEEPALIVE, KEEPALIVE_SECONDS);
#endif
#ifdef TCP_KEEPINTVL
  (void) set(fd, IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_EVERY);
#endif
#ifdef TCP_KEEPCNT
  (void) set(fd, IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_PROBES);
#endif
}

static int bind_tcp(const char *address, uint16_t port, bound_t *b)
{
  struct sockaddr_storage sa;
  int rc = address_parse(address, port, &sa);
  bool is_v6 = sa.ss_family == AF_INET6;
  socklen_t len =
    is_v6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
  if (rc == 0) rc = open_socket(sa.ss_family, b);
  if (rc < 0) return rc;
  if (!set(b->fd, SOL_SOCKET, SO_REUSEADDR, 1) ||
      (is_v6 && !set(b->fd, IPPROTO_IPV6, IPV6_V6ONLY, 1)) ||
      bind(b->fd, (const struct sockaddr *) &sa, len) != 0)
    return last_error();
  keep_alive(b->fd);
  return 0;
}

static int socket_option(int fd, int name)
{
  int value = 0;
  socklen_t len = sizeof value;
  return getsockopt(fd, SOL_SOCKET, name, &value, &len) == 0 ? value : -1;
}

/* A number in an environment variable says little: it may be stale, and name a
 * file, or a socket of Node's own. */
static int check_listening(int fd)
{
  struct sockaddr_storage sa = {0};
  socklen_t len = sizeof sa;
  if (getsockname(fd, (struct sockaddr *) &sa, &len) != 0) return last_error();
  bool is_ip = sa.ss_family == AF_INET || sa.ss_family == AF_INET6;
  bool ok = is_ip && socket_option(fd, SO_TYPE) == SOCK_STREAM &&
            socket_option(fd, SO_ACCEPTCONN) == 1;
  return ok ? 0 : UV_EINVAL;
}

/* Linux gives the file the mode of its socket, so that it never has another;
 * elsewhere the mode follows at once, and nobody can connect before listen().
 * What came of it is looked at: some file systems know no modes. */
static int bind_private(const char *path, bound_t *b)
{
  const mode_t mode = S_IRUSR | S_IWUSR;
  struct sockaddr_un sa;
  int rc = address_parse_path(path, &sa);
  if (rc == 0) rc = open_socket(AF_UNIX, b);
  if (rc < 0) return rc;
#ifdef __linux__
  if (fchmod(b->fd, mode) != 0) return last_error();
#endif
  if (bind(b->fd, (const struct sockaddr *) &sa, sizeof sa) != 0)
    return last_error();
#ifndef __linux__
  fchmodat(AT_FDCWD, path, mode, AT_SYMLINK_NOFOLLOW);
#endif
  if (lstat(path, &b->as_of) != 0) return last_error();
  b->path = alk_strdup(path);
  bool ok = S_ISSOCK(b->as_of.st_mode) && (b->as_of.st_mode & 0777) == mode;
  return ok ? 0 : UV_EPERM;
}

static bool is_same_file(const struct stat *a, const struct stat *b)
{
  return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* The file goes before the socket is closed: nobody finds one that nobody
 * listens at. */
static void unbind(bound_t *b)
{
  struct stat now;
  if (b->path != NULL && lstat(b->path, &now) == 0 &&
      is_same_file(&b->as_of, &now))
    unlink(b->path);
  if (b->fd >= 0) close(b->fd);
  b->fd = -1;
}

/* What was bound, and cannot be listened on. */
static void drop(bound_t *b)
{
  unbind(b);
  alk_free(b->path);
}

/* ---- the listener */

static void on_handle_closed(uv_handle_t *h)
{
  alk_listener_t *ln = h->data;
  if (--ln->open > 0) return;
  ln->ev->on_close(ln);
  alk_live_remove(ln->loop, &ln->live);
  alk_free(ln->at.path);
  alk_free(ln);
}

void alk_listener_close(alk_listener_t *ln)
{
  if (uv_is_closing((uv_handle_t *) &ln->poll)) return;
  uv_close((uv_handle_t *) &ln->poll, on_handle_closed);
  uv_close((uv_handle_t *) &ln->rest, on_handle_closed);
  unbind(&ln->at);
}

static void close_live(alk_live_t *o)
{
  alk_listener_close(
    (alk_listener_t *) (void *) ((char *) o - offsetof(alk_listener_t, live)));
}

void alk_listener_ref(alk_listener_t *ln, bool keeps)
{
  void (*change)(uv_handle_t * h) = keeps ? uv_ref : uv_unref;
  change((uv_handle_t *) &ln->poll);
  change((uv_handle_t *) &ln->rest);
}

/* rc: of what has bound it. NULL, and *rc: it cannot be listened on, and b is
 * still the caller's. An adopted one listens already: once more just sets the
 * backlog. */
static alk_listener_t *start(alk_loop_t *l, bound_t *b,
                             const alk_listener_events_t *ev, void *data,
                             int *rc)
{
  alk_listener_t *ln = alk_alloc(sizeof *ln);
  if (*rc == 0 && listen(b->fd, BACKLOG) != 0) *rc = last_error();
  if (*rc == 0) *rc = uv_poll_init(alk_loop_uv(l), &ln->poll, b->fd);
  if (*rc < 0) {
    alk_free(ln);
    return NULL;
  }
  CHECK(uv_timer_init(alk_loop_uv(l), &ln->rest) == 0);
  ln->open = 2;
  ln->loop = l;
  ln->ev = ev;
  ln->data = data;
  ln->at = *b;
  ln->poll.data = ln->rest.data = ln;
  alk_live_add(l, &ln->live, close_live);
  CHECK(uv_poll_start(&ln->poll, UV_READABLE, on_readable) == 0);
  return ln;
}

alk_listener_t *alk_tcp_listen(alk_loop_t *l, const char *address,
                               uint16_t port, const alk_listener_events_t *ev,
                               void *data, alk_err_t *err)
{
  bound_t b = {.fd = -1, .type = UV_TCP};
  int rc = bind_tcp(address, port, &b);
  alk_listener_t *ln = start(l, &b, ev, data, &rc);
  if (ln != NULL) return ln;
  drop(&b);
  alk_fail(err, ALK_E_SYS, rc, "listen on %s port %u: %s", address,
           (unsigned) port, uv_strerror(rc));
  return NULL;
}

alk_listener_t *alk_tcp_adopt(alk_loop_t *l, int fd,
                              const alk_listener_events_t *ev, void *data,
                              alk_err_t *err)
{
  bound_t b = {.fd = -1, .type = UV_TCP};
  int rc = check_listening(fd);
  if (rc == 0 && fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) rc = last_error();
  if (rc == 0) {
    b.fd = fd;
    keep_alive(fd);
  }
  alk_listener_t *ln = start(l, &b, ev, data, &rc);
  if (ln != NULL) return ln;
  alk_fail(err, ALK_E_SYS, rc, "listen on descriptor %d: %s", fd,
           uv_strerror(rc));
  return NULL;
}

alk_listener_t *alk_unix_listen(alk_loop_t *l, const char *path,
                                const alk_listener_events_t *ev, void *data,
                                alk_err_t *err)
{
  bound_t b = {.fd = -1, .type = UV_NAMED_PIPE};
  int rc = bind_private(path, &b);
  alk_listener_t *ln = start(l, &b, ev, data, &rc);
  if (ln != NULL) return ln;
  drop(&b);
  alk_fail(err, ALK_E_SYS, rc, "listen on %s: %s", path, uv_strerror(rc));
  return NULL;
}

void *alk_listener_data(const alk_listener_t *ln)
{
  return ln->data;
}

bool alk_listener_address(const alk_listener_t *ln, alk_addr_t *out)
{
  struct sockaddr_storage sa = {0};
  socklen_t len = sizeof sa;
  return ln->at.type == UV_TCP &&
         getsockname(ln->at.fd, (struct sockaddr *) &sa, &len) == 0 &&
         address_fill(&sa, out);
}

const char *alk_listener_path(const alk_listener_t *ln)
{
  return ln->at.path;
}
