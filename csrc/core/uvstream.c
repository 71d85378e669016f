/* uvstream.c - a libuv tcp or pipe handle as a stream.
 *
 * Writing: what the kernel takes at once is gone (uv_try_write); the rest is
 * copied into one uv_write each, counted in `queued` with what the request
 * itself costs. When a tcp socket refuses bytes it is told how much it may take
 * ahead (ahead.h), and `queued` has the same limit. End: a uv_shutdown behind
 * the writes; its callback is the drain that says "all of it has left". Where
 * nothing waits, that is told in this turn of the loop, and an owner who then
 * closes spares the call: close() says the end as well. Close: a tcp stream
 * that has not ended in good order is reset, so that the peer can tell a broken
 * stream from a finished one.
 *
 * When a write fails because the peer has gone, what it said before may still
 * wait in the kernel (an HTTP server's early answer): the rest of what we write
 * is dropped, and reading goes on until it meets the error itself, or the end;
 * then the stream closes with the write's error. While nobody reads, and there
 * is something to be read, that waits for the owner to read on, for a while.
 * When it fails for another reason (no memory), the peer is there and may never
 * say another word: who reads is told at once.
 *
 * Reading: libuv reads up to 32 times as long as each read fills the buffer,
 * which would be 8 MiB of one stream before others have a turn. After a burst
 * of full reads it gets no buffer; it says so and lets the loop go on. */
#include "core/uvstream.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/ahead.h"
#include "core/mem.h"

/* How long a dead peer's last words wait for a reader. */
enum { UNREAD_MS = 10 * 1000 };

enum { BURST_MAX = 2 };

/* Runs while a stream is broken and nobody reads it. */
typedef struct {
  alk_limit_t limit;
  alk_stream_t *s;
} unread_t;

typedef struct {
  alk_stream_t stream; /* first */
  size_t queued;       /* memory held by uv_write requests */
  uint32_t high;       /* of these: write() says false from here on */
  uint32_t looked_ms;  /* when the socket was last asked for it */
  unread_t *unread;    /* NULL until it is needed */
  int broken;          /* why a write failed: nothing more can leave; or 0 */
  bool shutting;       /* uv_shutdown was called */
  bool given;          /* the connection goes on without us */
  uint8_t burst;       /* full reads in a row */
  union {
    uv_handle_t handle;
    uv_stream_t stream;
    uv_tcp_t tcp;
    uv_pipe_t pipe;
  } uv; /* the one handle; last: no more than its kind needs is allocated */
} uvstream_t;

typedef struct {
  uv_write_t req; /* first */
  size_t cost;    /* of this and the bytes */
  char bytes[];
} write_t;

static uvstream_t *self(alk_stream_t *s)
{
  return (uvstream_t *) (void *) s;
}

static void on_alloc(uv_handle_t *h, size_t hint, uv_buf_t *buf)
{
  (void) hint;
  uvstream_t *u = h->data;
  bool enough = u->burst >= BURST_MAX;
  if (enough) u->burst = 0;
  buf->base = alk_loop_read_buf(u->stream.loop);
  buf->len = enough ? 0 : ALK_READ_BUF;
}

/* libuv takes a hang-up behind a short read for an end; the socket knows
 * whether it was a reset. */
static int hidden_error(uv_stream_t *h)
{
  uv_os_fd_t fd;
  int error = 0;
  socklen_t len = sizeof error;
  if (uv_fileno((uv_handle_t *) h, &fd) != 0 ||
      getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0)
    return 0;
  return error == 0 ? 0 : uv_translate_sys_error(error);
}

static void on_read(uv_stream_t *h, ssize_t n, const uv_buf_t *buf)
{
  uvstream_t *u = h->data;
  alk_stream_t *s = &u->stream;
  if (alk_stream_is(s, ALK_S_CLOSING) || n == 0) return;
  if (n == UV_ENOBUFS && buf->len == 0) return; /* the end of a burst */
  if (n > 0) {
    u->burst = n == ALK_READ_BUF ? (uint8_t) (u->burst + 1) : 0;
    alk_emit_data(s, buf->base, (size_t) n);
    return;
  }
  uv_read_stop(h);
  int error = n == UV_EOF ? hidden_error(h) : (int) n;
  if (error != 0) {
    alk_stream_fail_sys(s, error, "read");
    return;
  }
  alk_emit_end(s);
  if (u->broken != 0) alk_stream_fail_sys(s, u->broken, "write");
}

static void stop_unread(uvstream_t *u)
{
  if (u->unread != NULL) alk_limit_stop(u->stream.loop, &u->unread->limit);
}

static void uvstream_resume(alk_stream_t *s)
{
  stop_unread(self(s));
  if (alk_stream_is(s, ALK_S_GOT_END)) return;
  int rc = uv_read_start(&self(s)->uv.stream, on_alloc, on_read);
  if (rc < 0 && rc != UV_EALREADY) alk_stream_fail_sys(s, rc, "read");
}

/* Whether a read is still to come that will tell of the peer's death. */
static bool is_reading(const alk_stream_t *s)
{
  return alk_stream_is(s, ALK_S_READING) && !alk_stream_is(s, ALK_S_GOT_END);
}

static bool has_unread(uvstream_t *u)
{
  uv_os_fd_t fd;
  int n = 0;
  if (u->stream.prefix != NULL) return true;
  return !alk_stream_is(&u->stream, ALK_S_GOT_END) &&
         uv_fileno(&u->uv.handle, &fd) == 0 && ioctl(fd, FIONREAD, &n) == 0 &&
         n > 0;
}

static void on_unread(alk_limit_t *t)
{
  unread_t *unread = (unread_t *) (void *) t;
  uvstream_t *u = self(unread->s);
  alk_stream_fail_sys(&u->stream, u->broken, "write");
}

static void start_unread(uvstream_t *u)
{
  if (u->unread == NULL) {
    u->unread = alk_alloc(sizeof *u->unread);
    *u->unread = (unread_t){.limit.late = on_unread, .s = &u->stream};
  }
  if (!u->unread->limit.running)
    alk_limit_start(u->stream.loop, &u->unread->limit, UNREAD_MS);
}

/* It is broken: it fails now, unless a reader, present or to come, is to hear
 * the peer's last words before. */
static void fail_when_read(uvstream_t *u)
{
  alk_stream_t *s = &u->stream;
  bool is_gone = u->broken == UV_EPIPE || u->broken == UV_ECONNRESET;
  if (is_reading(s) && is_gone) return;
  if (is_reading(s) || !has_unread(u))
    alk_stream_fail_sys(s, u->broken, "write");
  else
    start_unread(u);
}

static void uvstream_pause(alk_stream_t *s)
{
  uvstream_t *u = self(s);
  uv_read_stop(&u->uv.stream);
  if (u->broken != 0) fail_when_read(u);
}

static void write_failed(uvstream_t *u, int sys)
{
  alk_stream_t *s = &u->stream;
  if (u->broken == 0) u->broken = sys;
  if (!alk_stream_is(s, ALK_S_OPEN)) return; /* connect tells, and why */
  fail_when_read(u);
}

static void on_written(uv_write_t *req, int status)
{
  write_t *w = (write_t *) (void *) req;
  uvstream_t *u = req->handle->data;
  alk_stream_t *s = &u->stream;
  u->queued -= w->cost;
  alk_free(w);
  if (alk_stream_is(s, ALK_S_CLOSING)) return;
  if (status < 0)
    write_failed(u, status);
  else if (alk_stream_is(s, ALK_S_FULL) && u->queued <= u->high / 4 &&
           !alk_stream_is(s, ALK_S_ENDED))
    alk_emit_drain(s);
}

/* uv_buf_init would cut a length to 32 bits, and libuv knows no const. */
static uv_buf_t buf_of(const char *buf, size_t len)
{
  union {
    const char *given;
    char *taken;
  } base = {.given = buf};
  return (uv_buf_t){.base = base.taken, .len = len};
}

/* The socket has refused bytes: how much is it to take? */
static void look_ahead(uvstream_t *u)
{
  uint32_t now = (uint32_t) uv_now(alk_loop_uv(u->stream.loop));
  uv_os_fd_t fd;
  if (u->uv.handle.type != UV_TCP || now - u->looked_ms < AHEAD_LOOK_MS ||
      uv_fileno(&u->uv.handle, &fd) != 0)
    return;
  u->looked_ms = now;
  /* The kernel's part bridges a busy loop; ours only has to follow at once. */
  uint32_t high = alk_ahead_limit(fd) / 4;
  u->high = high < ALK_HIGH_WATER ? high : ALK_HIGH_WATER;
}

static size_t uvstream_high(const alk_stream_t *s)
{
  return ((const uvstream_t *) (const void *) s)->high;
}

static bool uvstream_write(alk_stream_t *s, const char *buf, size_t len)
{
  uvstream_t *u = self(s);
  if (u->broken != 0) return true;
  if (u->queued == 0 && alk_stream_is(s, ALK_S_OPEN)) {
    uv_buf_t b = buf_of(buf, len);
    int n = uv_try_write(&u->uv.stream, &b, 1);
    if (n < 0 && n != UV_EAGAIN && n != UV_ENOSYS) {
      write_failed(u, n);
      return true;
    }
    if (n > 0) {
      buf += n;
      len -= (size_t) n;
    }
  }
  if (len == 0) return true;
  if (u->queued == 0 && alk_stream_is(s, ALK_S_OPEN)) look_ahead(u);
  /* Not zeroed: bulk comes this way whenever the peer is slower than we. */
  write_t *w = alk_realloc(NULL, sizeof *w + len);
  w->cost = sizeof *w + len;
  memcpy(w->bytes, buf, len);
  u->queued += w->cost;
  uv_buf_t b = buf_of(w->bytes, len);
  int rc = uv_write(&w->req, &u->uv.stream, &b, 1, on_written);
  if (rc < 0) {
    u->queued -= w->cost;
    alk_free(w);
    write_failed(u, rc);
    return true;
  }
  return u->queued < u->high;
}

static void on_shutdown(uv_shutdown_t *req, int status)
{
  uvstream_t *u = req->handle->data;
  alk_stream_t *s = &u->stream;
  alk_free(req);
  if (alk_stream_is(s, ALK_S_CLOSING)) return;
  if (u->broken != 0) return; /* not all of it has left: reading tells */
  /* The peer that has reset after everything was read is none of our worry:
   * a read reports it where it matters. */
  if (status < 0 && status != UV_ENOTCONN)
    alk_stream_fail_sys(s, status, "shutdown");
  else
    alk_emit_drain(s);
}

static void uvstream_end(alk_stream_t *s)
{
  uvstream_t *u = self(s);
  if (!alk_stream_is(s, ALK_S_OPEN)) return; /* opened() comes back here */
  if (u->shutting) return;                   /* opened(), after on_open did */
  if (u->broken != 0) {
    fail_when_read(u);
    return;
  }
  u->shutting = true;
  if (u->queued == 0) {
    alk_owe_drain(s);
    return;
  }
  uv_shutdown_t *req = alk_alloc(sizeof *req);
  int rc = uv_shutdown(req, &u->uv.stream, on_shutdown);
  if (rc == 0) return;
  alk_free(req);
  alk_stream_fail_sys(s, rc, "shutdown");
}

/* Of the peer that has reset, as in on_shutdown, a read tells. */
static void uvstream_drained(alk_stream_t *s)
{
  uv_os_fd_t fd;
  if (uv_fileno(&self(s)->uv.handle, &fd) != 0 || shutdown(fd, SHUT_WR) == 0 ||
      errno == ENOTCONN)
    return;
  alk_stream_fail_sys(s, uv_translate_sys_error(errno), "shutdown");
}

static void on_closed(uv_handle_t *h)
{
  uvstream_t *u = h->data;
  alk_emit_close(&u->stream);
}

/* uv_tcp_close_reset does this too, but refuses while a shutdown is under way,
 * which is when the peer would take half of what we had for all of it. */
static void reset_on_close(uvstream_t *u)
{
  struct linger now = {.l_onoff = 1};
  uv_os_fd_t fd;
  if (uv_fileno(&u->uv.handle, &fd) == 0)
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
}

static void uvstream_close(alk_stream_t *s)
{
  uvstream_t *u = self(s);
  stop_unread(u);
  if (u->uv.handle.type == UV_TCP && alk_stream_is(s, ALK_S_OPEN) &&
      !alk_stream_is(s, ALK_S_FLUSHED) && !u->given)
    reset_on_close(u);
  uv_close(&u->uv.handle, on_closed);
}

static void uvstream_ref(alk_stream_t *s, bool keeps)
{
  if (keeps)
    uv_ref(&self(s)->uv.handle);
  else
    uv_unref(&self(s)->uv.handle);
}

static void uvstream_free(alk_stream_t *s)
{
  alk_free(self(s)->unread);
  alk_free(self(s));
}

#define UVSTREAM_OPS                                                           \
  .resume = uvstream_resume, .pause = uvstream_pause, .write = uvstream_write, \
  .high = uvstream_high, .end = uvstream_end, .drained = uvstream_drained,     \
  .close = uvstream_close, .free = uvstream_free, .ref = uvstream_ref

static const alk_stream_ops_t tcp_ops = {.kind = "tcp", UVSTREAM_OPS};
static const alk_stream_ops_t pipe_ops = {.kind = "pipe", UVSTREAM_OPS};

alk_stream_t *alk_uvstream_new(alk_loop_t *l, uv_handle_type type)
{
  CHECK(type == UV_TCP || type == UV_NAMED_PIPE);
  size_t handle = type == UV_TCP ? sizeof(uv_tcp_t) : sizeof(uv_pipe_t);
  uvstream_t *u = alk_alloc(offsetof(uvstream_t, uv) + handle);
  uv_loop_t *uv = alk_loop_uv(l);
  if (type == UV_TCP)
    CHECK(uv_tcp_init(uv, &u->uv.tcp) == 0);
  else
    CHECK(uv_pipe_init(uv, &u->uv.pipe, 0) == 0);
  u->uv.handle.data = u;
  u->high = ALK_HIGH_WATER;
  alk_stream_init(&u->stream, l, type == UV_TCP ? &tcp_ops : &pipe_ops);
  return &u->stream;
}

uv_stream_t *alk_uvstream_handle(alk_stream_t *s)
{
  return &self(s)->uv.stream;
}

void alk_uvstream_opened(alk_stream_t *s)
{
  if (s->ops == &tcp_ops) uv_tcp_nodelay(&self(s)->uv.tcp, 1);
  alk_emit_open(s);
  if (alk_stream_is(s, ALK_S_ENDED) && !alk_stream_is(s, ALK_S_CLOSING))
    uvstream_end(s);
}

alk_stream_t *alk_pipe_open(alk_loop_t *l, int fd)
{
  alk_stream_t *s = alk_uvstream_new(l, UV_NAMED_PIPE);
  int rc = uv_pipe_open(&self(s)->uv.pipe, fd);
  if (rc < 0) {
    alk_stream_close(s); /* nobody owns it: it frees itself */
    close(fd);
    return NULL;
  }
  alk_emit_open(s); /* nobody owns it yet: no event comes of it */
  return s;
}

int alk_uvstream_give(alk_stream_t *s)
{
  uv_os_fd_t fd;
  CHECK(s->ops == &tcp_ops && s->prefix == NULL);
  int rc = uv_fileno(&self(s)->uv.handle, &fd);
  if (rc < 0) return rc;
  int own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
  if (own < 0) return uv_translate_sys_error(errno);
  self(s)->given = true;
  alk_stream_close(s);
  return own;
}
