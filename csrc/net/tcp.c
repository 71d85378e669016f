/* tcp.c - tcp and unix-socket connections, and listeners for both, also on a
 * socket that whoever started this process has bound.
 *
 * Addresses are numeric: whoever resolved the name has also decided which of
 * its addresses may be reached. A connection is one address, one try; racing
 * several (RFC 8305) is policy and lives above.
 *
 * A Unix socket is bound here and not by libuv, so that its file never has
 * another mode than 0600, a path is never cut, and the file that goes with the
 * listener is its own, whatever stands at the path by then. */
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

#include "net/net.h"

/* The kernel's own probes notice a peer that vanished when nobody speaks SSH
 * keepalives, as on a forward's target. */
enum { KEEPALIVE_SECONDS = 60, BACKLOG = 511 };

/* Connections that a listener takes in one turn of the loop. libuv takes one,
 * and then each costs a turn with writes of its own; many at once would wait
 * for one another. */
enum { ACCEPT_MAX = 4 };

/* The kernel's limit for what is not acknowledged: its name and its unit. A
 * name that is none is refused. */
#if defined(TCP_USER_TIMEOUT)
enum { UNACKED = TCP_USER_TIMEOUT, UNACKED_UNIT_MS = 1 };
#elif defined(TCP_RXT_CONNDROPTIME)
enum { UNACKED = TCP_RXT_CONNDROPTIME, UNACKED_UNIT_MS = 1000 };
#else
enum { UNACKED = -1, UNACKED_UNIT_MS = 1 };
#endif

static int parse(const char *address, uint16_t port,
                 struct sockaddr_storage *out)
{
  memset(out, 0, sizeof *out);
  if (uv_ip4_addr(address, port, (struct sockaddr_in *) out) == 0) return 0;
  return uv_ip6_addr(address, port, (struct sockaddr_in6 *) out);
}

static void on_connect(uv_connect_t *req, int status)
{
  alk_stream_t *s = req->data;
  alk_free(req);
  if (alk_stream_is(s, ALK_S_CLOSING)) return;
  if (status < 0) {
    alk_stream_fail_sys(s, status, "connect");
    return;
  }
  if (alk_uvstream_handle(s)->type == UV_TCP)
    uv_tcp_keepalive((uv_tcp_t *) alk_uvstream_handle(s), 1, KEEPALIVE_SECONDS);
  alk_uvstream_opened(s);
}

alk_stream_t *alk_tcp_connect(alk_loop_t *l, const char *address, uint16_t port)
{
  alk_stream_t *s = alk_uvstream_new(l, UV_TCP);
  struct sockaddr_storage addr;
  uv_connect_t *req = alk_alloc(sizeof *req);
  req->data = s;
  int rc = parse(address, port, &addr);
  if (rc == 0)
    rc = uv_tcp_connect(req, (uv_tcp_t *) alk_uvstream_handle(s),
                        (const struct sockaddr *) &addr, on_connect);
  if (rc < 0) {
    alk_free(req);
    alk_stream_fail_sys(s, rc, "connect");
  }
  return s;
}

/* An empty path would name a socket that has no file, and libuv 1.44 would cut
 * one that is too long. */
static int parse_path(const char *path, struct sockaddr_un *out)
{
  size_t len = strlen(path);
  if (len == 0) return UV_EINVAL;
  if (len >= sizeof out->sun_path) return UV_ENAMETOOLONG;
  *out = (struct sockaddr_un){.sun_family = AF_UNIX};
  memcpy(out->sun_path, path, len);
  return 0;
}

alk_stream_t *alk_unix_connect(alk_loop_t *l, const char *path)
{
  alk_stream_t *s = alk_uvstream_new(l, UV_NAMED_PIPE);
  struct sockaddr_un sa;
  int rc = parse_path(path, &sa);
  if (rc < 0) {
    alk_stream_fail_sys(s, rc, "connect");
    return s;
  }
  uv_connect_t *req = alk_alloc(sizeof *req);
  req->data = s;
  uv_pipe_connect(req, (uv_pipe_t *) alk_uvstream_handle(s), path, on_connect);
  return s;
}

static bool fill(const struct sockaddr_storage *sa, alk_addr_t *out)
{
  const struct sockaddr_in *in4 = (const struct sockaddr_in *) sa;
  const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *) sa;
  if (sa->ss_family == AF_INET) {
    out->family = 4;
    out->port = ntohs(in4->sin_port);
    return uv_ip4_name(in4, out->address, sizeof out->address) == 0;
  }
  if (sa->ss_family == AF_INET6) {
    out->family = 6;
    out->port = ntohs(in6->sin6_port);
    return uv_ip6_name(in6, out->address, sizeof out->address) == 0;
  }
  return false;
}

typedef int (*name_fn)(const uv_tcp_t *h, struct sockaddr *name, int *len);

static bool is_open_tcp(const alk_stream_t *s)
{
  return strcmp(alk_stream_kind(s), "tcp") == 0 && alk_stream_is_open(s);
}

static bool name_of(alk_stream_t *s, name_fn get, alk_addr_t *out)
{
  if (!is_open_tcp(s)) return false;
  struct sockaddr_storage sa = {0};
  int len = sizeof sa;
  const uv_tcp_t *h = (const uv_tcp_t *) alk_uvstream_handle(s);
  return get(h, (struct sockaddr *) &sa, &len) == 0 && fill(&sa, out);
}

bool alk_tcp_peer(alk_stream_t *s, alk_addr_t *out)
{
  return name_of(s, uv_tcp_getpeername, out);
}

bool alk_tcp_local(alk_stream_t *s, alk_addr_t *out)
{
  return name_of(s, uv_tcp_getsockname, out);
}

bool alk_tcp_limit_unacked(alk_stream_t *s, unsigned ms)
{
  uv_os_fd_t fd;
  unsigned value = ms / UNACKED_UNIT_MS + (ms % UNACKED_UNIT_MS != 0);
  return is_open_tcp(s) &&
         uv_fileno((uv_handle_t *) alk_uvstream_handle(s), &fd) == 0 &&
         setsockopt(fd, IPPROTO_TCP, UNACKED, &value, sizeof value) == 0;
}

struct alk_listener {
  alk_loop_t *loop;
  alk_live_t live;
  const alk_listener_events_t *ev;
  void *data;
  char *path;        /* of a Unix socket; NULL: tcp, or nothing is there */
  struct stat as_of; /* its file, as it was made */
  union {
    uv_handle_t handle;
    uv_stream_t stream;
    uv_tcp_t tcp;
    uv_pipe_t pipe;
  } uv; /* the one handle */
};

static void report(alk_listener_t *ln, int rc)
{
  alk_err_t err;
  alk_fail(&err, ALK_E_SYS, rc, "accept: %s", uv_strerror(rc));
  ln->ev->on_error(ln, &err);
}

static void give(alk_listener_t *ln, alk_stream_t *s, int rc)
{
  if (rc < 0) {
    alk_stream_fail_sys(s, rc, "accept");
    report(ln, rc);
    return;
  }
  alk_uvstream_opened(s); /* keepalive came with it from the listener */
  ln->ev->on_stream(ln, s);
}

/* One more of those that wait. Where there is none, or no descriptor for it,
 * libuv sees to it in the next turn. */
static bool accept_more(alk_listener_t *ln)
{
#ifdef __linux__
  uv_os_fd_t from;
  if (uv_is_closing(&ln->uv.handle) || uv_fileno(&ln->uv.handle, &from) != 0)
    return false;
  int fd = accept4(from, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (fd < 0) return false;
  alk_stream_t *s = alk_uvstream_new(ln->loop, ln->uv.handle.type);
  uv_stream_t *h = alk_uvstream_handle(s);
  int rc = h->type == UV_TCP ? uv_tcp_open((uv_tcp_t *) h, fd)
                             : uv_pipe_open((uv_pipe_t *) h, fd);
  if (rc < 0) close(fd);
  give(ln, s, rc);
  return true;
#else
  (void) ln; /* no accept4() */
  return false;
#endif
}

static void on_connection(uv_stream_t *h, int status)
{
  alk_listener_t *ln = h->data;
  if (uv_is_closing((uv_handle_t *) h)) return;
  if (status < 0) {
    report(ln, status);
    return;
  }
  alk_stream_t *s = alk_uvstream_new(ln->loop, h->type);
  give(ln, s, uv_accept(h, alk_uvstream_handle(s)));
  for (int i = 1; i < ACCEPT_MAX && accept_more(ln); i++)
    ;
}

static void gone(alk_listener_t *ln)
{
  alk_live_remove(ln->loop, &ln->live);
  alk_free(ln->path);
  alk_free(ln);
}

static void on_listener_closed(uv_handle_t *h)
{
  alk_listener_t *ln = h->data;
  ln->ev->on_close(ln);
  gone(ln);
}

void alk_listener_ref(alk_listener_t *ln, bool keeps)
{
  if (keeps)
    uv_ref(&ln->uv.handle);
  else
    uv_unref(&ln->uv.handle);
}

static bool is_same_file(const struct stat *a, const struct stat *b)
{
  return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* Before the socket is closed: nobody finds a file that nobody listens at. */
static void remove_file(const alk_listener_t *ln)
{
  struct stat now;
  if (ln->path == NULL || lstat(ln->path, &now) != 0) return;
  if (is_same_file(&ln->as_of, &now)) unlink(ln->path);
}

static void shut(alk_listener_t *ln, uv_close_cb cb)
{
  if (uv_is_closing(&ln->uv.handle)) return;
  remove_file(ln);
  uv_close(&ln->uv.handle, cb);
}

void alk_listener_close(alk_listener_t *ln)
{
  shut(ln, on_listener_closed);
}

static void close_live(alk_live_t *o)
{
  alk_listener_close(
    (alk_listener_t *) (void *) ((char *) o - offsetof(alk_listener_t, live)));
}

static void free_unheard(uv_handle_t *h)
{
  gone(h->data);
}

static alk_listener_t *listener_new(alk_loop_t *l,
                                    const alk_listener_events_t *ev, void *data)
{
  alk_listener_t *ln = alk_alloc(sizeof *ln);
  ln->loop = l;
  ln->ev = ev;
  ln->data = data;
  ln->uv.handle.data = ln;
  alk_live_add(l, &ln->live, close_live);
  return ln;
}

static int listen_at(alk_listener_t *ln, const struct sockaddr_storage *addr)
{
  unsigned flags = addr->ss_family == AF_INET6 ? UV_TCP_IPV6ONLY : 0;
  int rc = uv_tcp_bind(&ln->uv.tcp, (const struct sockaddr *) addr, flags);
  if (rc == 0) rc = uv_listen(&ln->uv.stream, BACKLOG, on_connection);
  if (rc == 0) uv_tcp_keepalive(&ln->uv.tcp, 1, KEEPALIVE_SECONDS);
  return rc;
}

alk_listener_t *alk_tcp_listen(alk_loop_t *l, const char *address,
                               uint16_t port, const alk_listener_events_t *ev,
                               void *data, alk_err_t *err)
{
  struct sockaddr_storage addr;
  alk_listener_t *ln = listener_new(l, ev, data);
  CHECK(uv_tcp_init(alk_loop_uv(l), &ln->uv.tcp) == 0);
  int rc = parse(address, port, &addr);
  if (rc == 0) rc = listen_at(ln, &addr);
  if (rc == 0) return ln;
  alk_fail(err, ALK_E_SYS, rc, "listen on %s port %u: %s", address,
           (unsigned) port, uv_strerror(rc));
  shut(ln, free_unheard);
  return NULL;
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
  if (getsockname(fd, (struct sockaddr *) &sa, &len) != 0)
    return uv_translate_sys_error(errno);
  bool is_ip = sa.ss_family == AF_INET || sa.ss_family == AF_INET6;
  bool ok = is_ip && socket_option(fd, SO_TYPE) == SOCK_STREAM &&
            socket_option(fd, SO_ACCEPTCONN) == 1;
  return ok ? 0 : UV_EINVAL;
}

alk_listener_t *alk_tcp_adopt(alk_loop_t *l, int fd,
                              const alk_listener_events_t *ev, void *data,
                              alk_err_t *err)
{
  alk_listener_t *ln = listener_new(l, ev, data);
  CHECK(uv_tcp_init(alk_loop_uv(l), &ln->uv.tcp) == 0);
  int rc = check_listening(fd);
  if (rc == 0 && fcntl(fd, F_SETFD, FD_CLOEXEC) != 0)
    rc = uv_translate_sys_error(errno);
  if (rc == 0) rc = uv_tcp_open(&ln->uv.tcp, fd);
  if (rc == 0) rc = uv_listen(&ln->uv.stream, BACKLOG, on_connection);
  if (rc == 0) uv_tcp_keepalive(&ln->uv.tcp, 1, KEEPALIVE_SECONDS);
  if (rc == 0) return ln;
  alk_fail(err, ALK_E_SYS, rc, "listen on descriptor %d: %s", fd,
           uv_strerror(rc));
  shut(ln, free_unheard);
  return NULL;
}

/* Linux gives the file the mode of its socket, so that it never has another;
 * elsewhere the mode follows at once, and nobody can connect before listen().
 * What came of it is looked at: some file systems know no modes. */
static int bind_private(alk_listener_t *ln, int fd,
                        const struct sockaddr_un *sa, const char *path)
{
  const mode_t mode = S_IRUSR | S_IWUSR;
  if (fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) return uv_translate_sys_error(errno);
#ifdef __linux__
  if (fchmod(fd, mode) != 0) return uv_translate_sys_error(errno);
#endif
  if (bind(fd, (const struct sockaddr *) sa, sizeof *sa) != 0)
    return uv_translate_sys_error(errno);
#ifndef __linux__
  fchmodat(AT_FDCWD, path, mode, AT_SYMLINK_NOFOLLOW);
#endif
  if (lstat(path, &ln->as_of) != 0) return uv_translate_sys_error(errno);
  ln->path = alk_strdup(path);
  bool ok = S_ISSOCK(ln->as_of.st_mode) && (ln->as_of.st_mode & 0777) == mode;
  return ok ? 0 : UV_EPERM;
}

static int listen_in(alk_listener_t *ln, const char *path)
{
  struct sockaddr_un sa;
  int rc = parse_path(path, &sa);
  if (rc < 0) return rc;
  int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  if (fd < 0) return uv_translate_sys_error(errno);
  rc = bind_private(ln, fd, &sa, path);
  if (rc == 0) rc = uv_pipe_open(&ln->uv.pipe, fd);
  if (rc < 0) {
    close(fd);
    return rc;
  }
  return uv_listen(&ln->uv.stream, BACKLOG, on_connection);
}

alk_listener_t *alk_unix_listen(alk_loop_t *l, const char *path,
                                const alk_listener_events_t *ev, void *data,
                                alk_err_t *err)
{
  alk_listener_t *ln = listener_new(l, ev, data);
  CHECK(uv_pipe_init(alk_loop_uv(l), &ln->uv.pipe, 0) == 0);
  int rc = listen_in(ln, path);
  if (rc == 0) return ln;
  alk_fail(err, ALK_E_SYS, rc, "listen on %s: %s", path, uv_strerror(rc));
  shut(ln, free_unheard);
  return NULL;
}

void *alk_listener_data(const alk_listener_t *ln)
{
  return ln->data;
}

bool alk_listener_address(const alk_listener_t *ln, alk_addr_t *out)
{
  struct sockaddr_storage sa = {0};
  int len = sizeof sa;
  return ln->uv.handle.type == UV_TCP &&
         uv_tcp_getsockname(&ln->uv.tcp, (struct sockaddr *) &sa, &len) == 0 &&
         fill(&sa, out);
}

const char *alk_listener_path(const alk_listener_t *ln)
{
  return ln->path;
}
