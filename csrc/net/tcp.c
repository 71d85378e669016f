/* tcp.c - tcp and unix-socket connections, and the tcp listener.
 *
 * Addresses are numeric: whoever resolved the name has also decided which of
 * its addresses may be reached. A connection is one address, one try; racing
 * several (RFC 8305) is policy and lives above. */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <uv.h>

#include "core/mem.h"
#include "core/uvstream.h"

#include "net/net.h"

/* The kernel's own probes notice a peer that vanished when nobody speaks SSH
 * keepalives, as on a forward's target. */
enum { KEEPALIVE_SECONDS = 60, BACKLOG = 511 };

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

alk_stream_t *alk_unix_connect(alk_loop_t *l, const char *path)
{
  alk_stream_t *s = alk_uvstream_new(l, UV_NAMED_PIPE);
  struct sockaddr_un limit;
  if (strlen(path) >= sizeof limit.sun_path) { /* libuv 1.44 would cut it */
    alk_stream_fail_sys(s, UV_ENAMETOOLONG, "connect");
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

static bool name_of(alk_stream_t *s, name_fn get, alk_addr_t *out)
{
  if (strcmp(alk_stream_kind(s), "tcp") != 0 || !alk_stream_is_open(s))
    return false;
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

struct alk_listener {
  uv_tcp_t tcp; /* the one handle */
  alk_loop_t *loop;
  alk_live_t live;
  const alk_listener_events_t *ev;
  void *data;
};

static void report(alk_listener_t *ln, int rc)
{
  alk_err_t err;
  alk_fail(&err, ALK_E_SYS, rc, "accept: %s", uv_strerror(rc));
  ln->ev->on_error(ln, &err);
}

static void on_connection(uv_stream_t *h, int status)
{
  alk_listener_t *ln = h->data;
  if (uv_is_closing((uv_handle_t *) h)) return;
  if (status < 0) {
    report(ln, status);
    return;
  }
  alk_stream_t *s = alk_uvstream_new(ln->loop, UV_TCP);
  int rc = uv_accept(h, alk_uvstream_handle(s));
  if (rc < 0) {
    alk_stream_fail_sys(s, rc, "accept");
    report(ln, rc);
    return;
  }
  alk_uvstream_opened(s); /* keepalive came with it from the listener */
  ln->ev->on_stream(ln, s);
}

static void on_listener_closed(uv_handle_t *h)
{
  alk_listener_t *ln = h->data;
  ln->ev->on_close(ln);
  alk_live_remove(ln->loop, &ln->live);
  alk_free(ln);
}

void alk_listener_ref(alk_listener_t *ln, bool keeps)
{
  if (keeps)
    uv_ref((uv_handle_t *) &ln->tcp);
  else
    uv_unref((uv_handle_t *) &ln->tcp);
}

void alk_listener_close(alk_listener_t *ln)
{
  if (!uv_is_closing((uv_handle_t *) &ln->tcp))
    uv_close((uv_handle_t *) &ln->tcp, on_listener_closed);
}

static void close_live(alk_live_t *o)
{
  alk_listener_close(
    (alk_listener_t *) (void *) ((char *) o - offsetof(alk_listener_t, live)));
}

static void free_unheard(uv_handle_t *h)
{
  alk_listener_t *ln = h->data;
  alk_live_remove(ln->loop, &ln->live);
  alk_free(ln);
}

alk_listener_t *alk_tcp_listen(alk_loop_t *l, const char *address,
                               uint16_t port, const alk_listener_events_t *ev,
                               void *data, alk_err_t *err)
{
  struct sockaddr_storage addr;
  alk_listener_t *ln = alk_alloc(sizeof *ln);
  ln->loop = l;
  ln->ev = ev;
  ln->data = data;
  CHECK(uv_tcp_init(alk_loop_uv(l), &ln->tcp) == 0);
  ln->tcp.data = ln;
  alk_live_add(l, &ln->live, close_live);
  int rc = parse(address, port, &addr);
  unsigned flags = rc == 0 && addr.ss_family == AF_INET6 ? UV_TCP_IPV6ONLY : 0;
  if (rc == 0)
    rc = uv_tcp_bind(&ln->tcp, (const struct sockaddr *) &addr, flags);
  if (rc == 0) rc = uv_listen((uv_stream_t *) &ln->tcp, BACKLOG, on_connection);
  if (rc == 0) uv_tcp_keepalive(&ln->tcp, 1, KEEPALIVE_SECONDS);
  if (rc == 0) return ln;
  alk_fail(err, ALK_E_SYS, rc, "listen on %s port %u: %s", address,
           (unsigned) port, uv_strerror(rc));
  uv_close((uv_handle_t *) &ln->tcp, free_unheard);
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
  return uv_tcp_getsockname(&ln->tcp, (struct sockaddr *) &sa, &len) == 0 &&
         fill(&sa, out);
}
