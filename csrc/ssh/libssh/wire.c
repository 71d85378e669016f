/* wire.c - libssh's socket, without a socket.
 *
 * libssh does its own input and output on a descriptor. The link diverts those
 * five calls of the C library (-Wl,--wrap=poll and so on) through here, and
 * while a session's pump runs, its descriptor is a number that stands for the
 * session's transport:
 *
 *   transport on_data -> in --recv-- libssh --send-> out -> transport write
 *
 * So every transport is equal, nothing is copied through the kernel a second
 * time, no call can block, and many packets leave in one write. A socketpair
 * with a relay did the same before and cost a third more CPU: libssh reads 4
 * KiB at a time with a poll before each, which are system calls there and
 * copies here.
 *
 * Outside of a pump, and for any other descriptor, the calls are what they
 * always were. */
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/types.h>

#include "core/mem.h"

#include "ssh/libssh/impl.h"

int __wrap_poll(struct pollfd *fds, nfds_t n, int timeout);
/* The identification comes a line at a time: so libssh's KEXINIT leaves before
 * it meets the peer's, and a peer with whom nothing is in common learns what
 * was offered. */
static size_t line_len(session_t *s, size_t len)
{
  const char *nl = memchr(s->in, '\n', len);
  if (nl == NULL) return len;
  s->greeted = s->in[0] == 'S';
  return (size_t) (nl - s->in) + 1;
}

ssize_t __wrap_recv(int fd, void *buf, size_t len, int flags);
ssize_t __wrap_send(int fd, const void *buf, size_t len, int flags);
int __wrap_close(int fd);
int __wrap_fcntl(int fd, int cmd, ...);

int __real_poll(struct pollfd *fds, nfds_t n, int timeout);
ssize_t __real_recv(int fd, void *buf, size_t len, int flags);
ssize_t __real_send(int fd, const void *buf, size_t len, int flags);
int __real_close(int fd);
int __real_fcntl(int fd, int cmd, ...);

static _Thread_local session_t *current; /* whose pump runs */

session_t *wire_enter(session_t *s)
{
  session_t *outer = current; /* a jump host's pump may feed ours */
  current = s;
  return outer;
}

void wire_leave(session_t *outer)
{
  current = outer;
}

static bool ours(int fd)
{
  return fd == WIRE_FD && current != NULL;
}

int __wrap_poll(struct pollfd *fds, nfds_t n, int timeout)
{
  if (n != 1 || !ours(fds->fd)) return __real_poll(fds, n, timeout);
  const session_t *s = current;
  fds->revents = 0;
  /* Reading dispatches packets, so it has its time: not inside of writes. */
  if (s->reading && (s->in_len > 0 || s->in_ended))
    fds->revents |= fds->events & POLLIN;
  if (!s->full) fds->revents |= fds->events & POLLOUT;
  return fds->revents != 0;
}

ssize_t __wrap_recv(int fd, void *buf, size_t len, int flags)
{
  if (!ours(fd)) return __real_recv(fd, buf, len, flags);
  session_t *s = current;
  if (len > s->in_len) len = s->in_len;
  if (len == 0 && !s->in_ended) {
    errno = EAGAIN;
    return -1;
  }
  if (!s->greeted && len > 0) len = line_len(s, len);
  if (len > 0) memcpy(buf, s->in, len);
  s->in += len;
  s->in_len -= len;
  return (ssize_t) len;
}

ssize_t __wrap_send(int fd, const void *buf, size_t len, int flags)
{
  if (!ours(fd)) return __real_send(fd, buf, len, flags);
  if (current->transport == NULL) {
    errno = EPIPE;
    return -1;
  }
  alk_buf_add(&current->out, buf, len);
  if (!current->reading && !current->idle_words) current->hasty = true;
  size_t waits = alk_buf_size(&current->out);
  if (waits >= WIRE_BATCH || waits >= alk_stream_high(current->transport))
    wire_flush(current);
  return (ssize_t) len;
}

int __wrap_close(int fd)
{
  return ours(fd) ? 0 : __real_close(fd);
}

/* libssh only sets and clears O_NONBLOCK, which has no meaning here. */
int __wrap_fcntl(int fd, int cmd, ...)
{
  va_list ap;
  va_start(ap, cmd);
  void *arg = va_arg(ap, void *);
  va_end(ap);
  return ours(fd) ? 0 : __real_fcntl(fd, cmd, arg);
}

void wire_flush(session_t *s)
{
  size_t len = alk_buf_size(&s->out);
  if (len == 0) return;
  if (s->transport != NULL &&
      !alk_stream_write(s->transport, (const char *) alk_buf_head(&s->out),
                        len))
    s->full = true; /* poll says so until the drain */
  s->wire_out += len;
  alk_buf_consume(&s->out, len);
  s->hasty = false;
  uv_timer_stop(&s->patience);
}

static void on_patience(uv_timer_t *t)
{
  wire_flush(t->data);
}

/* libssh answers a channel's first bytes with a window adjustment, and its
 * last, a CLOSE, with one of its own: for neither does anybody wait. Sent alone
 * each would wake the peer for nothing, on every connection; so they travel
 * with what comes next, or leave after a moment. */
void wire_flush_later(session_t *s)
{
  size_t len = alk_buf_size(&s->out);
  if (s->hasty || len > WIRE_PATIENT || s->state != &state_ready)
    wire_flush(s);
  else if (len > 0 && !uv_is_active((uv_handle_t *) &s->patience))
    CHECK(uv_timer_start(&s->patience, on_patience, PATIENCE_MS, 0) == 0);
}

static void on_data(alk_stream_t *t, const char *buf, size_t len)
{
  session_t *s = alk_stream_data(t);
  if (s->ssh == NULL) return; /* it is closing and hears nothing more */
  s->wire_in += len;
  alk_session_heard(&s->base);
  s->in = buf;
  s->in_len = len;
  session_pump(s);
  /* A question is open: the rest waits where it came from. */
  if (s->in_len > 0 && s->ssh != NULL) alk_stream_unread(t, s->in, s->in_len);
  s->in_len = 0;
}

static void on_end(alk_stream_t *t)
{
  session_t *s = alk_stream_data(t);
  s->in_ended = true;
  session_pump(s);
}

static void on_drain(alk_stream_t *t)
{
  session_t *s = alk_stream_data(t);
  s->full = false;
  if (alk_stream_has_ended(t)) {
    alk_stream_close(t);
    return;
  }
  session_pump(s);
}

static void on_close(alk_stream_t *t, const alk_err_t *err)
{
  session_t *s = alk_stream_data(t);
  s->transport = NULL;
  s->in_ended = true;
  session_transport_gone(s, err);
}

static const alk_owner_t owner = {
  .on_data = on_data,
  .on_end = on_end,
  .on_drain = on_drain,
  .on_close = on_close,
};

void wire_attach(session_t *s, alk_stream_t *transport)
{
  s->transport = transport;
  alk_stream_own(transport, &owner, s);
  alk_stream_resume(transport);
}

/* libssh is gone: what it said last still leaves. */
void wire_end(session_t *s)
{
  if (s->transport == NULL) return;
  wire_flush(s);
  alk_stream_end(s->transport); /* on_drain closes it */
}
