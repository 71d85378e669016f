/* tcp.c - tcp and unix-socket connections.
 *
 * A connection is one address, one try; racing several (RFC 8305) is policy and
 * lives above. */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <uv.h>

#include "core/mem.h"
#include "core/parcel.h"
#include "core/uvstream.h"

#include "net/address.h"
#include "net/net.h"

/* The kernel's own probes notice a peer that vanished when nobody speaks SSH
 * keepalives, as on a forward's target. */
enum { KEEPALIVE_SECONDS = 60 };

/* The kernel's limit for what is not acknowledged: its name and its unit. A
 * name that is none is refused. */
#if defined(TCP_USER_TIMEOUT)
enum { UNACKED = TCP_USER_TIMEOUT, UNACKED_UNIT_MS = 1 };
#elif defined(TCP_RXT_CONNDROPTIME)
enum { UNACKED = TCP_RXT_CONNDROPTIME, UNACKED_UNIT_MS = 1000 };
#else
enum { UNACKED = -1, UNACKED_UNIT_MS = 1 };
#endif

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
  int rc = address_parse(address, port, &addr);
  if (rc == 0)
    rc = uv_tcp_connect(req, (uv_tcp_t *) alk_uvstream_handle(s),
                        (const struct sockaddr *) &addr, on_connect);
  if (rc < 0) {
    alk_free(req);
    alk_stream_fail_sys(s, rc, "connect");
  }
  return s;
}

alk_stream_t *alk_unix_connect(alk_loop_t *l, const char *path)
{
  alk_stream_t *s = alk_uvstream_new(l, UV_NAMED_PIPE);
  struct sockaddr_un sa;
  int rc = address_parse_path(path, &sa);
  if (rc < 0) {
    alk_stream_fail_sys(s, rc, "connect");
    return s;
  }
  uv_connect_t *req = alk_alloc(sizeof *req);
  req->data = s;
  uv_pipe_connect(req, (uv_pipe_t *) alk_uvstream_handle(s), path, on_connect);
  return s;
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
  return get(h, (struct sockaddr *) &sa, &len) == 0 && address_fill(&sa, out);
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

/* ---- from one thread to another */

static void drop_fd(void *thing)
{
  const int *fd = thing;
  close(*fd);
  alk_free(thing);
}

static const alk_parcel_kind_t connection = {.drop = drop_fd};

uint64_t alk_tcp_send(alk_stream_t *s, alk_err_t *err)
{
  if (!is_open_tcp(s)) {
    alk_fail(err, ALK_E_OPTION, 0, "only an open tcp stream can be sent");
    return 0;
  }
  int fd = alk_uvstream_give(s);
  if (fd < 0) {
    alk_fail(err, ALK_E_SYS, fd, "dup: %s", uv_strerror(fd));
    return 0;
  }
  return alk_parcel_send(alk_stream_loop(s), &connection,
                         alk_memdup(&fd, sizeof fd));
}

alk_stream_t *alk_tcp_take(alk_loop_t *l, uint64_t number, alk_err_t *err)
{
  int *fd = alk_parcel_take(number, &connection);
  if (fd == NULL) {
    alk_fail(err, ALK_E_CLOSED, 0, "there is no such connection");
    return NULL;
  }
  alk_stream_t *s = alk_uvstream_new(l, UV_TCP);
  int rc = uv_tcp_open((uv_tcp_t *) alk_uvstream_handle(s), *fd);
  if (rc < 0) {
    drop_fd(fd);
    alk_stream_close(s); /* nobody owns it: it frees itself */
    alk_fail(err, ALK_E_SYS, rc, "open: %s", uv_strerror(rc));
    return NULL;
  }
  alk_free(fd);
  alk_uvstream_opened(s); /* nobody owns it yet: no event comes of it */
  return s;
}
